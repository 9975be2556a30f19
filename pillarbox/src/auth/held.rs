//! A message that waits for its verdict.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::no_room;
use crate::parts::{IncomingMessage, SinkError};

/// Octets of a message that are held in memory: 256 KiB, which most messages do not reach.
pub const HELD_MAX: usize = 256 * 1024;

/// Octets of all messages of a sink that are held in memory: 64 MiB. Beyond that they go to files, however small they are.
pub const HELD_TOTAL_MAX: usize = 64 * 1024 * 1024;

/// Octets that are written to the file or read from it at a time.
const PIECE: usize = 64 * 1024;

/// What all messages of a sink hold in memory.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// Takes room for so many octets, if there is.
    fn take(&self, octets: usize) -> bool {
        let more = |held: usize| held.checked_add(octets).filter(|held| *held <= HELD_TOTAL_MAX);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, octets: usize) {
        self.0.fetch_sub(octets, Ordering::Relaxed);
    }
}

/// Octets in memory, behind those in a file if they are many.
pub(super) struct Held {
    /// Its length is what it takes of the budget.
    memory: Vec<u8>,
    file: Option<File>,
    budget: Budget,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back(self.memory.len());
    }
}

impl Held {
    pub(super) const fn new(budget: Budget) -> Self {
        Held { memory: Vec::new(), file: None, budget }
    }

    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), SinkError> {
        for piece in octets.chunks(PIECE) {
            if self.memory.len() + piece.len() <= HELD_MAX && self.budget.take(piece.len()) {
                self.memory.extend_from_slice(piece);
                continue;
            }
            let (mut memory, file) = (self.take_memory(), self.file.take());
            memory.extend_from_slice(piece);
            self.file = Some(blocking(move || spill(&memory, file)).await?);
        }
        Ok(())
    }

    fn take_memory(&mut self) -> Vec<u8> {
        self.budget.give_back(self.memory.len());
        std::mem::take(&mut self.memory)
    }

    /// Gives all of it to a sink, but for some places in it, which are in order. Nothing is held afterwards.
    pub(super) async fn replay(
        &mut self,
        without: &[Range<usize>],
        sink: &mut dyn IncomingMessage,
    ) -> Result<(), SinkError> {
        let mut kept = Kept { at: 0, without };
        if let Some(mut file) = self.file.take() {
            file = blocking(move || {
                file.rewind()?;
                Ok(file)
            })
            .await?;
            loop {
                let (back, piece) = blocking(move || {
                    let mut piece = Vec::with_capacity(PIECE);
                    (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
                    Ok((file, piece))
                })
                .await?;
                if piece.is_empty() {
                    break;
                }
                file = back;
                kept.pass_on(&piece, sink).await?;
            }
        }
        kept.pass_on(&self.take_memory(), sink).await
    }
}

/// Where a message is that loses some of its places.
struct Kept<'r> {
    at: usize,
    without: &'r [Range<usize>],
}

impl Kept<'_> {
    async fn pass_on(&mut self, piece: &[u8], sink: &mut dyn IncomingMessage) -> Result<(), SinkError> {
        let mut rest = piece;
        while !rest.is_empty() {
            let (length, is_kept) = match self.without {
                [] => (rest.len(), true),
                [next, ..] if self.at < next.start => (next.start - self.at, true),
                [next, ..] if self.at < next.end => (next.end - self.at, false),
                [_, others @ ..] => {
                    self.without = others;
                    continue;
                }
            };
            let (now, later) = rest.split_at(length.min(rest.len()));
            if is_kept {
                sink.write(now).await?;
            }
            self.at += now.len();
            rest = later;
        }
        Ok(())
    }
}

fn spill(memory: &[u8], file: Option<File>) -> io::Result<File> {
    let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
    file.write_all(memory)?;
    Ok(file)
}

/// File work waits on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, SinkError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(io::Error::other("the work broke off"))).map_err(|error| no_room(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::{Envelope, MemorySink, MessageSink as _};
    use pillarbox_core::address::ReversePath;

    #[tokio::test]
    async fn what_finds_no_room_in_memory_goes_to_files_and_comes_back_whole() {
        let budget = Budget::default();
        assert!(budget.take(HELD_TOTAL_MAX - 10));
        let mut held = Held::new(budget.clone());
        held.write(b"0123456789").await.unwrap();
        assert!(held.file.is_none());
        held.write(b"abc").await.unwrap();
        assert!(held.file.is_some() && held.memory.is_empty());
        held.write(b"def").await.unwrap();
        assert_eq!(budget.0.load(Ordering::Relaxed), HELD_TOTAL_MAX - 7);
        let other = Held::new(budget.clone());
        let sink = MemorySink::new();
        let mut incoming = sink.begin(Envelope::new("id", ReversePath::Null, Vec::new())).await.unwrap();
        held.replay(&[1..3, 11..12], &mut *incoming).await.unwrap();
        incoming.commit(true).await;
        assert_eq!(sink.messages()[0].octets, b"03456789acdef");
        drop((held, other));
        assert_eq!(budget.0.load(Ordering::Relaxed), HELD_TOTAL_MAX - 10);
    }

    #[tokio::test]
    async fn a_message_that_is_given_up_gives_its_room_back() {
        let budget = Budget::default();
        let mut held = Held::new(budget.clone());
        held.write(&[b'x'; HELD_MAX + 1]).await.unwrap();
        held.write(b"rest").await.unwrap();
        assert!(held.file.is_some() && held.memory.len() == 4);
        drop(held);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
    }
}
