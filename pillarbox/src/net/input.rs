//! The unread octets of a connection.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BufMut;
use tokio::io::AsyncReadExt;

use super::Transport;

/// What is read at a time by a session that says little: an idle session costs no more.
const READ_MIN: usize = 1024;
/// What is read at a time by one that says much.
const READ_MAX: usize = 32 * 1024;
/// How much more is read after a read that came back full. Who sends more than a few commands sends a message, which most often is
/// there with the second read then.
const READ_GROWTH: usize = 16;

/// The unread octets of a connection. Reads begin small, become large when they come back full, and shrink again when they come
/// back nearly empty.
#[derive(Debug)]
pub(crate) struct Input {
    octets: Vec<u8>,
    /// Where the unread ones begin.
    start: usize,
    /// How many octets the next read asks for.
    read_size: usize,
}

impl Default for Input {
    fn default() -> Self {
        Input { octets: Vec::new(), start: 0, read_size: READ_MIN }
    }
}

impl Input {
    /// The unread octets.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// Drops unread octets that were used.
    pub(crate) fn consume(&mut self, octets: usize) {
        self.start = (self.start + octets).min(self.octets.len());
        if self.start == self.octets.len() {
            self.start = 0;
            self.octets.clear();
            if self.read_size == READ_MIN && self.octets.capacity() > READ_MIN {
                self.octets = Vec::new();
            }
        }
    }

    /// How many octets may be read for a machine that wants to see `max_unread`. A little more is taken than a machine
    /// needs that wants to see little: it may be a flight of commands, or a body that is used as it comes.
    pub(crate) fn room(&self, max_unread: usize) -> usize {
        max_unread.max(READ_MAX).saturating_sub(self.unread().len()).max(1)
    }

    /// Reads at most `room` octets behind the unread ones; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut dyn Transport,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        if self.start > 0 {
            self.octets.drain(..self.start);
            self.start = 0;
        }
        let size = self.read_size.min(room);
        self.octets.reserve(size);
        let mut buffer = (&mut self.octets).limit(size);
        let read = match pin!(transport.read_buf(&mut buffer)).poll(cx) {
            Poll::Ready(read) => read?,
            Poll::Pending => return Poll::Pending,
        };
        if read == self.read_size {
            self.read_size = (self.read_size * READ_GROWTH).min(READ_MAX);
        } else if read <= READ_MIN {
            self.read_size = READ_MIN;
        }
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn read(input: &mut Input, mut source: &[u8], room: usize) -> usize {
        let mut transport = tokio::io::join(&mut source, tokio::io::sink());
        poll_fn(|cx| input.poll_read(cx, &mut transport, room)).await.unwrap()
    }

    #[tokio::test]
    async fn reads_grow_while_full_and_shrink_when_idle() {
        let mut input = Input::default();
        let much = vec![b'x'; 1 << 20];
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let room = input.room(512);
            sizes.push(read(&mut input, &much, room).await);
            input.consume(usize::MAX);
        }
        assert_eq!(sizes, [1024, 16_384, 32_768, 32_768]);
        assert_eq!(read(&mut input, b"QUIT\r\n", 512).await, 6);
        input.consume(6);
        assert_eq!((input.read_size, input.octets.capacity()), (READ_MIN, 0));
    }

    #[tokio::test]
    async fn unread_octets_stay_in_front() {
        let mut input = Input::default();
        read(&mut input, b"abcdef", 6).await;
        input.consume(4);
        assert_eq!(read(&mut input, b"ghi", 2).await, 2);
        assert_eq!(input.unread(), b"efgh");
        assert_eq!(read(&mut input, b"", 10).await, 0);
    }

    #[tokio::test]
    async fn no_more_is_held_than_the_machine_wants() {
        let mut input = Input::default();
        let much = vec![b'x'; 1 << 20];
        while input.unread().len() < 100_000 {
            let room = input.room(100_000);
            read(&mut input, &much, room).await;
        }
        assert_eq!(input.unread().len(), 100_000);
    }
}
