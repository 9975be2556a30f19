//! A message that waits for its verdict.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::ops::Range;

use super::no_room;
use crate::parts::{IncomingMessage, SinkError};

/// Octets of a message that are held in memory: 256 KiB, which most messages do not reach.
pub const HELD_MAX: usize = 256 * 1024;

/// Octets that are read from the file at a time.
const PIECE: usize = 64 * 1024;

/// Octets in memory, behind those in a file if they are many.
#[derive(Default)]
pub(super) struct Held {
    memory: Vec<u8>,
    file: Option<File>,
}

impl Held {
    pub(super) async fn write(&mut self, octets: &[u8]) -> Result<(), SinkError> {
        for piece in octets.chunks(HELD_MAX) {
            if self.memory.len() + piece.len() > HELD_MAX {
                let (memory, file) = (std::mem::take(&mut self.memory), self.file.take());
                let (memory, file) = blocking(move || spill(memory, file)).await?;
                (self.memory, self.file) = (memory, Some(file));
            }
            self.memory.extend_from_slice(piece);
        }
        Ok(())
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
        kept.pass_on(&std::mem::take(&mut self.memory), sink).await
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

fn spill(mut memory: Vec<u8>, file: Option<File>) -> io::Result<(Vec<u8>, File)> {
    let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
    file.write_all(&memory)?;
    memory.clear();
    Ok((memory, file))
}

/// File work waits on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, SinkError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(io::Error::other("the work broke off"))).map_err(|error| no_room(&error))
}
