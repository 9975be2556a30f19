//! Connecting to a host that has several addresses (RFC 8305 §5).

use std::future::{pending, poll_fn};
use std::io;
use std::task::{Context, Poll};
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

/// Where the addresses come from while they are being tried.
pub(super) trait Addresses: Send {
    /// The next one to try, if one is known.
    fn next(&mut self) -> Option<Endpoint>;
    /// Whether no other will become known.
    fn is_complete(&self) -> bool;
    /// Ready once each time that more are known, or that it has become known that there are none.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// All of them are known.
#[cfg(feature = "https")]
impl Addresses for std::vec::IntoIter<Endpoint> {
    fn next(&mut self) -> Option<Endpoint> {
        Iterator::next(self)
    }

    fn is_complete(&self) -> bool {
        self.as_slice().is_empty()
    }

    fn poll_more(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
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
    pub(super) async fn race(&self, addresses: &mut dyn Addresses) -> Raced {
        let mut open: Vec<(Endpoint, Dialling<'_>)> = Vec::new();
        let mut failed = Vec::new();
        let mut is_due = true;
        let mut turn: BoxFuture<'_, ()> = Box::pin(pending());
        loop {
            if is_due && let Some(endpoint) = addresses.next() {
                let whom = endpoint.clone();
                open.push((endpoint, Box::pin(async move { self.dial(&whom).await })));
                (is_due, turn) = (false, self.clock.sleep_until(self.clock.now() + self.delay));
            }
            if open.is_empty() && addresses.is_complete() {
                return Raced { winner: None, failed, undecided: Vec::new() };
            }
            let news = poll_fn(|context| {
                for (index, (_, dialling)) in open.iter_mut().enumerate() {
                    if let Poll::Ready(dialled) = dialling.as_mut().poll(context) {
                        return Poll::Ready(News::Dialled(index, dialled));
                    }
                }
                if !is_due && turn.as_mut().poll(context).is_ready() {
                    return Poll::Ready(News::Turn);
                }
                addresses.poll_more(context).map(|()| News::More)
            });
            match news.await {
                News::Dialled(index, dialled) => {
                    let (endpoint, _) = open.remove(index);
                    match dialled {
                        Ok(connected) => {
                            let undecided = open.into_iter().map(|(endpoint, _)| endpoint).collect();
                            return Raced { winner: Some((endpoint, connected)), failed, undecided };
                        }
                        Err(error) => failed.push((endpoint, error)),
                    }
                    is_due = true;
                }
                News::Turn => is_due = true,
                News::More => {}
            }
        }
    }
}

/// What a race goes on with.
enum News {
    /// One of those that were begun has come to an end.
    Dialled(usize, io::Result<Connected>),
    /// It is time for the next one.
    Turn,
    /// There are more addresses than there were, or none will come.
    More,
}
