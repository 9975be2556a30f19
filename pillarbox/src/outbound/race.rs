//! Connecting to a host that has several addresses (RFC 8305 §5).

use std::future::{pending, poll_fn};
use std::io;
use std::task::Poll;
use std::time::Duration;

use super::{Connect, Connected, Endpoint};
use crate::parts::{BoxFuture, Clock};

/// Who connects, and how fast.
pub(super) struct Pace<'a> {
    pub(super) connect: &'a dyn Connect,
    pub(super) clock: &'a dyn Clock,
    /// How long one address has been tried when the next is begun beside it.
    pub(super) delay: Duration,
    /// How long one address may take.
    pub(super) timeout: Duration,
}

/// What came of it.
pub(super) struct Raced {
    /// The first connection, and with whom.
    pub(super) winner: Option<(Endpoint, Connected)>,
    /// Those that cannot be reached, in the order in which that became known.
    pub(super) failed: Vec<(Endpoint, io::Error)>,
    /// Those that were still being tried when another was first, in their order.
    pub(super) undecided: Vec<Endpoint>,
}

type Dialling<'a> = BoxFuture<'a, io::Result<Connected>>;

impl Pace<'_> {
    /// Connects to one.
    pub(super) async fn dial(&self, endpoint: &Endpoint) -> io::Result<Connected> {
        let deadline = self.clock.now() + self.timeout;
        tokio::select! {
            biased;
            dialled = self.connect.dial(endpoint) => dialled,
            () = self.clock.sleep_until(deadline) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Connects to whoever of these answers first. The next one is begun when one has failed, or when none has answered for a
    /// while; it is asked for only then.
    pub(super) async fn race(&self, mut next: impl FnMut() -> Option<Endpoint>) -> Raced {
        let mut open: Vec<(Endpoint, Dialling<'_>)> = Vec::new();
        let mut failed = Vec::new();
        let mut has_more = true;
        loop {
            match if has_more { next() } else { None } {
                Some(endpoint) => {
                    let whom = endpoint.clone();
                    open.push((endpoint, Box::pin(async move { self.dial(&whom).await })));
                }
                None => has_more = false,
            }
            if open.is_empty() {
                return Raced { winner: None, failed, undecided: Vec::new() };
            }
            let mut turn: BoxFuture<'_, ()> = match has_more {
                true => self.clock.sleep_until(self.clock.now() + self.delay),
                false => Box::pin(pending()),
            };
            let first = poll_fn(|context| {
                for (index, (_, dialling)) in open.iter_mut().enumerate() {
                    if let Poll::Ready(dialled) = dialling.as_mut().poll(context) {
                        return Poll::Ready(Some((index, dialled)));
                    }
                }
                turn.as_mut().poll(context).map(|()| None)
            });
            if let Some((index, dialled)) = first.await {
                let (endpoint, _) = open.remove(index);
                match dialled {
                    Ok(connected) => {
                        let undecided = open.into_iter().map(|(endpoint, _)| endpoint).collect();
                        return Raced { winner: Some((endpoint, connected)), failed, undecided };
                    }
                    Err(error) => failed.push((endpoint, error)),
                }
            }
        }
    }
}
