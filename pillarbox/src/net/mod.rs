//! One connection's bytes, for the drivers of all protocols: unread input, flushing, deadlines, the switch to TLS.

mod accept;
mod converse;
#[cfg(feature = "compress")]
mod deflate;
mod input;
mod outgoing;
mod proxied;
mod transcript;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pillarbox_core::{Machine, Step, Time};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

pub use accept::{Accepted, Listener, PeerLimits};
pub(crate) use accept::{Doorway, Excuses, Incoming};
pub(crate) use converse::{Caller, Conversation, converse};
use input::Input;
pub use outgoing::ClientTls;
pub(crate) use outgoing::{begin, dial, proofs, upgrade};
pub(crate) use transcript::{Dialect, Transcript};

use crate::parts::{BoxFuture, Clock};

/// A stream of octets both ways: a socket, or TLS over one.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// How long a peer may take to read our last words.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long, and for how many octets, a closed session still reads what the peer sends. Closing a socket with unread octets
/// in it resets the connection, and the reset can overtake the reply that says why.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const LINGER_OCTETS: usize = 256 * 1024;

/// The connection is of no more use: the socket failed, or nothing can happen on it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was lost")]
pub(crate) struct Lost;

/// A machine on a connection: everything between `poll` and the socket that is the same in all protocols.
pub(crate) struct Wire<M> {
    pub(crate) machine: M,
    transport: Box<dyn Transport>,
    input: Input,
    /// The peer sends no more.
    ended: bool,
    /// Something happened that the machine was not polled for yet.
    news: bool,
    /// A deadline passed while output waited. The machine may be closed by it, so nothing waits for that output again before
    /// the machine was polled.
    overdue: bool,
    clock: Arc<dyn Clock>,
    transcript: Transcript,
}

impl<M: Machine> Wire<M> {
    pub(crate) fn new(
        machine: M,
        transport: Box<dyn Transport>,
        early: Input,
        clock: Arc<dyn Clock>,
        transcript: Transcript,
    ) -> Self {
        Wire { machine, transport, input: early, ended: false, news: false, overdue: false, clock, transcript }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// One step of the machine. The event borrows the unread octets; [`used`](Self::used) wants the second value once the
    /// event is done with.
    pub(crate) fn poll(&mut self) -> (Step<M::Event<'_>>, usize) {
        self.transcript.sending(self.machine.output());
        self.news = false;
        self.overdue = false;
        let shown = self.input.unread();
        let mut rest = shown;
        let step = self.machine.poll(self.clock.now(), &mut rest);
        let used = shown.len() - rest.len();
        self.transcript.received(&shown[..used]);
        (step, used)
    }

    /// Drops octets that a step used.
    pub(crate) fn used(&mut self, octets: usize) {
        self.input.consume(octets);
    }

    /// Whether a deadline passed while output waited, since the last poll.
    pub(crate) fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// Writes all output. While the peer does not take it, input is read as far as the machine's buffer allows: a client
    /// that sends a flight of commands before it reads replies would otherwise wait for us while we wait for it
    /// (RFC 2920 §3.1). Ends early when the machine's deadline passes.
    pub(crate) async fn flush(&mut self) -> Result<(), Lost> {
        self.flush_until(None).await
    }

    async fn flush_until(&mut self, limit: Option<Time>) -> Result<(), Lost> {
        self.transcript.sending(self.machine.output());
        loop {
            let deadline = earlier(self.machine.deadline(), limit);
            let room = match self.ended {
                true => 0,
                false => self.machine.max_unread().saturating_sub(self.input.unread().len()),
            };
            let mut timer = Timer::new(&*self.clock, deadline);
            let (transport, input, output) = (&mut self.transport, &mut self.input, self.machine.output());
            let moved = poll_fn(|cx| {
                if output.is_empty() {
                    if let Poll::Ready(done) = Pin::new(&mut *transport).poll_flush(cx) {
                        return Poll::Ready(done.map_or(Moved::Broken, |()| Moved::Flushed));
                    }
                } else if let Poll::Ready(written) = Pin::new(&mut *transport).poll_write(cx, output) {
                    return Poll::Ready(match written {
                        Ok(n) if n > 0 => Moved::Written(n),
                        _ => Moved::Broken,
                    });
                }
                if room > 0
                    && let Poll::Ready(read) = input.poll_read(cx, &mut **transport, room)
                {
                    return Poll::Ready(match read {
                        Ok(0) => Moved::Ended,
                        Ok(_) => Moved::Read,
                        Err(_) => Moved::Broken,
                    });
                }
                timer.poll(cx).map(|()| Moved::Deadline)
            })
            .await;
            drop(timer);
            let now = self.clock.now();
            match moved {
                Moved::Flushed => return Ok(()),
                Moved::Written(n) => {
                    self.transcript.sent(n);
                    self.machine.consume_output(now, n);
                }
                Moved::Read => self.news = true,
                // The peer closed its side only; it may still read.
                Moved::Ended => {
                    self.ended = true;
                    self.news = true;
                    self.machine.handle_eof(now);
                }
                Moved::Broken => return Err(Lost),
                Moved::Deadline => {
                    self.machine.handle_timeout(now);
                    self.news = true;
                    self.overdue = true;
                    return Ok(());
                }
            }
        }
    }

    /// Brings more input, or the end of input, or the deadline to the machine; nothing, if a flush has brought some already.
    /// Cancel-safe, so that a driver can wait for other news at the same time. Flush first.
    pub(crate) async fn fill(&mut self) -> Result<(), Lost> {
        if self.news {
            return Ok(());
        }
        if self.ended {
            // The machine knows; what it still waits for is its deadline.
            return self.rest().await;
        }
        let room = self.input.room(self.machine.max_unread());
        let mut timer = Timer::new(&*self.clock, self.machine.deadline());
        let (transport, input) = (&mut self.transport, &mut self.input);
        let read = poll_fn(|cx| match input.poll_read(cx, &mut **transport, room) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        drop(timer);
        let now = self.clock.now();
        match read {
            Some(Ok(octets)) if octets > 0 => {}
            // A reset ends the input like a close; the next flush fails and ends the session.
            Some(_) => {
                self.ended = true;
                self.machine.handle_eof(now);
            }
            None => self.machine.handle_timeout(now),
        }
        Ok(())
    }

    /// Looks, without waiting, whether the peer is still there: false once it has closed its side. Long work for somebody who
    /// may be gone asks this now and then. What has come is kept as far as the machine's buffer allows; behind a full
    /// buffer the end cannot be seen.
    pub(crate) async fn is_peer_there(&mut self) -> bool {
        while !self.ended {
            let room = self.machine.max_unread().saturating_sub(self.input.unread().len());
            if room == 0 {
                return true;
            }
            let (transport, input) = (&mut self.transport, &mut self.input);
            match poll_fn(|cx| Poll::Ready(input.poll_read(cx, &mut **transport, room))).await {
                Poll::Pending => return true,
                Poll::Ready(Ok(octets)) if octets > 0 => self.news = true,
                Poll::Ready(_) => {
                    self.ended = true;
                    self.news = true;
                    self.machine.handle_eof(self.clock.now());
                }
            }
        }
        false
    }

    /// Our side stops.
    pub(crate) fn shut_down(&mut self) {
        self.machine.shut_down(self.clock.now());
    }

    /// [`rest`](Self::rest) while the machine serves a delay, [`fill`](Self::fill) otherwise.
    pub(crate) async fn wait(&mut self, delayed: bool) -> Result<(), Lost> {
        match delayed {
            true => self.rest().await,
            false => self.fill().await,
        }
    }

    /// Waits for the machine's deadline and reads nothing. Cancel-safe.
    pub(crate) async fn rest(&mut self) -> Result<(), Lost> {
        if self.news {
            return Ok(());
        }
        match self.machine.deadline() {
            Some(deadline) => self.clock.sleep_until(deadline).await,
            // Nothing will ever happen to this machine again.
            None => return Err(Lost),
        }
        self.machine.handle_timeout(self.clock.now());
        Ok(())
    }

    /// Waits for an answer. One that is there at once costs no flush, so that the replies to a flight of commands leave
    /// together (RFC 2920 §3.2); before one that takes time the peer gets what it is owed.
    pub(crate) async fn answer<T>(&mut self, mut answer: BoxFuture<'_, T>) -> T {
        if let Poll::Ready(answer) = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
            return answer;
        }
        if !self.machine.output().is_empty() && !self.overdue {
            // A connection that is lost shows again at the next flush; the answer may be a message on its way to disk.
            let _ = self.flush().await;
        }
        answer.await
    }

    /// Puts TLS under the machine.
    #[cfg(feature = "tls")]
    pub(crate) async fn start_tls(&mut self, side: impl Into<crate::tls::Side>) -> Result<(), Lost> {
        use pillarbox_core::{LayerFacts, UpgradeError};

        self.flush().await?;
        if !self.machine.output().is_empty() {
            return Ok(());
        }
        // Octets that came in clear text must never count as said under TLS (RFC 3207 §4.2, CVE-2011-0411).
        if !self.input.unread().is_empty() || self.ended {
            self.machine.upgrade_failed(self.clock.now(), UpgradeError::Handshake);
            return Ok(());
        }
        let clear = std::mem::replace(&mut self.transport, Box::new(tokio::io::empty()));
        match crate::tls::handshake(side, clear, &*self.clock).await {
            Ok((transport, facts)) => {
                self.transport = transport;
                let told = self.machine.upgraded(self.clock.now(), LayerFacts::Tls(facts));
                told.unwrap_or_else(|misuse| unreachable!("the machine asked for TLS: {misuse}"));
            }
            Err(why) => self.machine.upgrade_failed(self.clock.now(), why),
        }
        Ok(())
    }

    /// Puts DEFLATE between the machine and its connection.
    #[cfg(feature = "compress")]
    pub(crate) async fn start_deflate(&mut self) -> Result<(), Lost> {
        self.flush().await?;
        if !self.machine.output().is_empty() {
            return Ok(());
        }
        // RFC 4978 §3: what came behind the answer is compressed.
        let first = std::mem::take(&mut self.input).unread().to_vec();
        let plain = std::mem::replace(&mut self.transport, Box::new(tokio::io::empty()));
        self.transport = Box::new(deflate::Deflated::new(plain, first));
        let told = self.machine.upgraded(self.clock.now(), pillarbox_core::LayerFacts::Deflate);
        told.unwrap_or_else(|misuse| unreachable!("the machine asked for DEFLATE: {misuse}"));
        // The machine knows of the end; what came before it still counts.
        while self.ended {
            let room = self.machine.max_unread().saturating_sub(self.input.unread().len());
            let (transport, input) = (&mut self.transport, &mut self.input);
            match poll_fn(|cx| Poll::Ready(input.poll_read(cx, &mut **transport, room))).await {
                Poll::Ready(Ok(octets)) if octets > 0 => {}
                _ => break,
            }
        }
        Ok(())
    }

    /// Sends what is left, says goodbye to the layers below, and closes.
    pub(crate) async fn close(mut self) {
        let limit = self.clock.now() + FAREWELL_TIMEOUT;
        if self.flush_until(Some(limit)).await.is_ok() && self.machine.output().is_empty() {
            farewell(&mut *self.transport, &*self.clock, self.ended).await;
        }
    }

    /// Closes without sending anything more: the peer is in the middle of something that must not be completed.
    pub(crate) async fn hang_up(&mut self) {
        farewell(&mut *self.transport, &*self.clock, self.ended).await;
    }

    /// Sends these octets behind what was written and closes: for a session that can no longer speak for itself.
    pub(crate) async fn abort(mut self, last_words: &[u8]) {
        let clock = Arc::clone(&self.clock);
        let limit = clock.now() + FAREWELL_TIMEOUT;
        tokio::select! {
            biased;
            _ = self.transport.write_all(last_words) => {}
            () = clock.sleep_until(limit) => return,
        }
        farewell(&mut *self.transport, &*clock, self.ended).await;
    }
}

enum Moved {
    Flushed,
    Written(usize),
    Read,
    Ended,
    Broken,
    Deadline,
}

/// Closes our side, then reads the peer's until it closes too or patience ends.
async fn farewell(transport: &mut dyn Transport, clock: &dyn Clock, ended: bool) {
    let close = async {
        let mut transport = transport;
        if transport.shutdown().await.is_err() || ended {
            return;
        }
        let mut sink = [0; 1024];
        let mut left = LINGER_OCTETS;
        while left > 0 {
            match tokio::io::AsyncReadExt::read(&mut transport, &mut sink).await {
                Ok(n) if n > 0 => left = left.saturating_sub(n),
                _ => return,
            }
        }
    };
    let limit = clock.now() + LINGER_TIMEOUT;
    tokio::select! {
        biased;
        () = close => {}
        () = clock.sleep_until(limit) => {}
    }
}

fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A wait for a deadline that is only set up when there is something to wait for: most reads and writes are done at once.
struct Timer<'c> {
    clock: &'c dyn Clock,
    deadline: Option<Time>,
    sleep: Option<BoxFuture<'c, ()>>,
}

impl<'c> Timer<'c> {
    fn new(clock: &'c dyn Clock, deadline: Option<Time>) -> Self {
        Timer { clock, deadline, sleep: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        self.sleep.get_or_insert_with(|| self.clock.sleep_until(deadline)).as_mut().poll(cx)
    }
}

/// Reads what a peer sent before anything was said to it, without waiting.
pub(crate) async fn early_input(transport: &mut dyn Transport) -> Input {
    let mut input = Input::default();
    poll_fn(|cx| {
        // An error or the end shows again at the first read of the session.
        let _ = input.poll_read(cx, transport, usize::MAX);
        Poll::Ready(())
    })
    .await;
    input
}

/// Waits so long for what a peer says before anything was said to it, which nobody does who waits for a greeting.
pub(crate) async fn early_talk(transport: &mut dyn Transport, clock: &dyn Clock, wait: Duration) -> Input {
    let mut input = Input::default();
    let mut timer = Timer::new(clock, Some(clock.now() + wait));
    poll_fn(|cx| match input.poll_read(cx, transport, usize::MAX) {
        Poll::Pending => timer.poll(cx),
        // An error or the end shows again at the first read of the session.
        _ => Poll::Ready(()),
    })
    .await;
    drop(timer);
    input
}
