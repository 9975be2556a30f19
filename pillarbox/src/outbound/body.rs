//! The content of a message in the queue, as a stream.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use pillarbox_spool::Body;
use tokio::io::{AsyncRead, ReadBuf};

use super::disk::Blocking;
use super::seat::Seat;
use crate::parts::BoxFuture;

/// Octets that are read at a time.
const PIECE: usize = 64 * 1024;

/// Content that several look at.
pub(super) struct Content {
    body: Mutex<Body>,
    pub(super) len: u64,
}

impl Content {
    pub(super) fn new(body: Body) -> Self {
        let len = body.len();
        Content { body: Mutex::new(body), len }
    }

    /// Whether a read does not wait for the disk.
    pub(super) fn is_in_memory(&self) -> bool {
        self.body().in_memory().is_some()
    }

    /// Gives up to so many octets from the begin to somebody who looks at them; blocks, where they are on the disk.
    pub(super) fn begin<T>(&self, most: usize, look: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let body = self.body();
        match body.in_memory() {
            Some(octets) => Ok(look(&octets[..octets.len().min(most)])),
            None => read(&body, 0, most).map(|octets| look(&octets)),
        }
    }

    /// Copies what there is room for from an offset on, and says how much that is; `None` where it is on the disk.
    fn copy_to(&self, at: u64, out: &mut ReadBuf<'_>) -> Option<usize> {
        let body = self.body();
        let octets = body.in_memory()?;
        let rest = usize::try_from(at).ok().and_then(|at| octets.get(at..)).unwrap_or_default();
        let n = out.remaining().min(rest.len());
        out.put_slice(&rest[..n]);
        Some(n)
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads up to so many octets from an offset on; blocks, where they are on the disk.
    pub(super) fn read(&self, at: u64, most: usize) -> io::Result<Vec<u8>> {
        read(&self.body(), at, most)
    }
}

/// Reads content from its begin to its end.
pub(super) struct BodyReader {
    body: Arc<Content>,
    disk: Blocking,
    seat: Arc<Seat>,
    at: u64,
    piece: Vec<u8>,
    used: usize,
    reading: Option<BoxFuture<'static, io::Result<Vec<u8>>>>,
}

impl BodyReader {
    pub(super) const fn new(body: Arc<Content>, disk: Blocking, seat: Arc<Seat>) -> Self {
        BodyReader { body, disk, seat, at: 0, piece: Vec::new(), used: 0, reading: None }
    }

    fn read_on(&self) -> BoxFuture<'static, io::Result<Vec<u8>>> {
        let (body, disk, at) = (Arc::clone(&self.body), self.disk.clone(), self.at);
        Box::pin(async move { disk.run(move || body.read(at, PIECE)).await })
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.seat.may_go(false);
        if let Some(n) = self.body.copy_to(self.at, out) {
            self.at += n as u64;
            return Poll::Ready(Ok(()));
        }
        if self.used == self.piece.len() {
            if self.at >= self.body.len {
                return Poll::Ready(Ok(()));
            }
            if self.reading.is_none() {
                self.reading = Some(self.read_on());
            }
            let reading = self.reading.as_mut().expect("it was begun above");
            let piece = ready!(reading.as_mut().poll(cx));
            self.reading = None;
            self.piece = piece?;
            self.used = 0;
            self.at += self.piece.len() as u64;
            if self.piece.is_empty() {
                // Half a message must not pass for a whole one.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        let n = out.remaining().min(self.piece.len() - self.used);
        out.put_slice(&self.piece[self.used..self.used + n]);
        self.used += n;
        Poll::Ready(Ok(()))
    }
}

/// Reads up to so many octets from an offset on; blocks.
pub(super) fn read(body: &Body, at: u64, most: usize) -> io::Result<Vec<u8>> {
    let most = usize::try_from(body.len().saturating_sub(at)).unwrap_or(usize::MAX).min(most);
    let mut octets = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match body.read_at(at + filled as u64, &mut octets[filled..]).map_err(io::Error::other)? {
            0 => break,
            n => filled += n,
        }
    }
    octets.truncate(filled);
    Ok(octets)
}
