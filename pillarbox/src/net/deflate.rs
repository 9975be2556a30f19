//! DEFLATE under a session (RFC 4978), over whatever carries it.
//!
//! A compressor that remembers all it has sent takes more memory than everything else of a session. Here one compressor serves all
//! sessions of a thread, as it works without waiting; a session keeps the end of what it has sent, and the compressor is shown that
//! first. What is sent can then be told as a repetition of it, which answers to a mail program mostly are.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Transport;

/// How much of what was sent is kept to be repeated. Twice as much makes the answers to a mail program no shorter.
const HISTORY: usize = 4096;
/// How much is compressed at a time.
const PACK_MAX: usize = 8192;
/// How much is read of what is compressed at a time.
const READ: usize = 4096;
/// How many octets may come out of one, beyond those that are free. DEFLATE itself ends at 1032 (RFC 1951 §3.2.5); mail and
/// commands stay below 10.
const RATIO_MAX: u64 = 100;
/// So many octets are free, once for a connection: a message of blanks only is one all the same.
const FREE: u64 = 64 * 1024 * 1024;

/// A connection whose octets are compressed.
pub(super) struct Deflated {
    inner: Box<dyn Transport>,
    sent: Sent,
    /// Compressed octets that the connection has not taken yet, and how many of them it has.
    waiting: Vec<u8>,
    written: usize,
    received: Received,
}

impl Deflated {
    /// `first`: compressed octets that were read already.
    pub(super) fn new(inner: Box<dyn Transport>, first: Vec<u8>) -> Self {
        Deflated { inner, sent: Sent::default(), waiting: Vec::new(), written: 0, received: Received::new(first) }
    }

    /// Writes what waits.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            match ready!(Pin::new(&mut *self.inner).poll_write(cx, &self.waiting[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        (self.waiting, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Deflated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while buffer.remaining() > 0 {
            match this.received.unpack(buffer.initialize_unfilled())? {
                Unpacked::Octets(octets) => {
                    buffer.advance(octets);
                    break;
                }
                Unpacked::End => break,
                Unpacked::NeedsMore => {}
            }
            let mut packed = [0; READ];
            let mut packed = ReadBuf::new(&mut packed);
            ready!(Pin::new(&mut *this.inner).poll_read(cx, &mut packed))?;
            match packed.filled() {
                [] => break,
                octets => this.received.take(octets),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Deflated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.received.is_broken {
            return Poll::Ready(Err(broken("what came before cannot be read")));
        }
        ready!(this.poll_drain(cx))?;
        let octets = &octets[..octets.len().min(PACK_MAX)];
        if octets.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let (sent, inner) = (&mut this.sent, &mut this.inner);
        // Only what the connection does not take at once is kept.
        this.waiting = sent.pack(octets, |packed| {
            Ok::<_, io::Error>(match Pin::new(&mut **inner).poll_write(cx, packed) {
                Poll::Ready(written) => packed[written?..].to_vec(),
                Poll::Pending => packed.to_vec(),
            })
        })?;
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut *self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut *self.inner).poll_shutdown(cx)
    }
}

/// The compressor of a thread.
struct Packer {
    compress: Compress,
    packed: Vec<u8>,
}

impl Packer {
    /// Compresses these octets behind what is there, up to the end of an octet: whoever has them can read them all.
    fn pack(&mut self, octets: &[u8]) {
        let before = self.compress.total_in();
        loop {
            // Octets that cannot be compressed become a few more, and an end has five.
            self.packed.reserve(octets.len() + 128);
            let used = (self.compress.total_in() - before) as usize;
            let done = self.compress.compress_vec(&octets[used..], &mut self.packed, FlushCompress::Sync);
            debug_assert!(done.is_ok(), "a compressor refuses no octets");
            if self.packed.len() < self.packed.capacity() {
                return;
            }
        }
    }
}

thread_local! {
    static PACKER: RefCell<Packer> =
        RefCell::new(Packer { compress: Compress::new(Compression::fast(), false), packed: Vec::new() });
}

/// What was sent on a connection: the end of it.
#[derive(Default)]
struct Sent {
    history: Vec<u8>,
}

impl Sent {
    /// Compresses octets and shows what became of them.
    fn pack<T>(&mut self, octets: &[u8], show: impl FnOnce(&[u8]) -> T) -> T {
        let shown = PACKER.with_borrow_mut(|packer| {
            packer.compress.reset();
            packer.packed.clear();
            if !self.history.is_empty() {
                // Whoever reads this has it; and it ends where an octet ends.
                packer.pack(&self.history);
                packer.packed.clear();
            }
            packer.pack(octets);
            show(&packer.packed)
        });
        let kept = &octets[octets.len().saturating_sub(HISTORY)..];
        let beyond = (self.history.len() + kept.len()).saturating_sub(HISTORY);
        self.history.drain(..beyond);
        self.history.reserve_exact(kept.len());
        self.history.extend_from_slice(kept);
        shown
    }
}

/// What came on a connection.
struct Received {
    decompress: Decompress,
    /// Compressed octets that were not used yet.
    packed: Vec<u8>,
    used: usize,
    /// The last buffer was filled, so more may be there without another octet.
    is_full: bool,
    /// The peer has ended its stream.
    is_ended: bool,
    is_broken: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Unpacked {
    /// So many.
    Octets(usize),
    NeedsMore,
    End,
}

impl Received {
    fn new(first: Vec<u8>) -> Self {
        let decompress = Decompress::new(false);
        Received { decompress, packed: first, used: 0, is_full: false, is_ended: false, is_broken: false }
    }

    /// More compressed octets; those before are used up.
    fn take(&mut self, packed: &[u8]) {
        (self.packed, self.used) = (packed.to_vec(), 0);
    }

    /// Unpacks into `room`, of which there is some.
    fn unpack(&mut self, room: &mut [u8]) -> io::Result<Unpacked> {
        loop {
            if self.is_broken {
                return Err(broken("what came before cannot be read"));
            }
            if self.is_ended {
                return Ok(Unpacked::End);
            }
            if self.used == self.packed.len() && !self.is_full {
                (self.packed, self.used) = (Vec::new(), 0);
                return Ok(Unpacked::NeedsMore);
            }
            let (taken, given) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self.decompress.decompress(&self.packed[self.used..], room, FlushDecompress::None);
            let taken = (self.decompress.total_in() - taken) as usize;
            let given = (self.decompress.total_out() - given) as usize;
            self.used += taken;
            self.is_full = given == room.len();
            match status {
                Ok(Status::StreamEnd) => self.is_ended = true,
                Ok(_) => {}
                Err(_) => self.is_broken = true,
            }
            let free = FREE.saturating_add(self.decompress.total_in().saturating_mul(RATIO_MAX));
            if self.decompress.total_out() > free {
                self.is_broken = true;
                return Err(broken("more comes out of it than of anything that is mail"));
            }
            if given > 0 {
                return Ok(Unpacked::Octets(given));
            }
            // Neither used nor given: what is there is the beginning of something.
            if taken == 0 && !self.is_broken && !self.is_ended {
                self.is_full = false;
                self.is_broken = self.used < self.packed.len();
            }
        }
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
