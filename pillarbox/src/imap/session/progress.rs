//! Long work: the client hears how far it has come, and whether there still is one is found out.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_imap::server::ServerSession;

use super::{Connection, Shared, Trouble};
use crate::net::{Lost, Wire};
use crate::parts::{BoxFuture, Clock, Mailbox, Progress};

/// How often something is said to a client that has closed its side. One that is gone entirely shows at the second time at the latest,
/// if it has not at the first.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);

impl Connection {
    /// Tells the client now and then how far its command has come (RFC 9585).
    pub(in super::super) async fn progress(&mut self, done: usize, goal: usize) -> Result<(), Lost> {
        let now = self.wire.now();
        if self.wire.machine.in_progress(now, done as u64, Some(goal as u64)) {
            self.wire.flush().await?;
        }
        Ok(())
    }

    /// Asked between two parts of long work. It goes on for a client that has closed its side, for that one may still read: until
    /// something that is said to it cannot be sent, or for as long as a client may be silent.
    pub(in super::super) async fn still_wanted(&mut self, done: usize, goal: Option<usize>) -> Result<(), Trouble> {
        if self.wire.is_peer_there().await {
            return Ok(());
        }
        let now = self.wire.now();
        let closed = *self.closed_side.get_or_insert(now);
        if now >= closed + self.shared.config.limits.idle_timeout {
            return Err(Trouble::HungUp);
        }
        if self.probed.is_none_or(|probed| now >= probed + PROBE_INTERVAL)
            && self.wire.machine.probe(now, done as u64, goal.map(|goal| goal as u64))
        {
            self.probed = Some(now);
            self.wire.flush().await?;
        }
        match self.is_over() {
            true => Err(Lost.into()),
            false => Ok(()),
        }
    }
}

/// Work of a store that the client hears of while it goes on.
pub(super) struct Counted {
    progress: Progress,
    goal: Option<u64>,
    interval: Duration,
    clock: Arc<dyn Clock>,
}

impl Counted {
    /// Work with so many messages, if it is known how many, that a mailbox counts.
    pub(super) fn new(shared: &Shared, mailbox: Option<&mut dyn Mailbox>, goal: Option<u64>) -> Self {
        let progress = Progress::default();
        if let Some(mailbox) = mailbox {
            mailbox.count_in(progress.clone());
        }
        let interval = shared.config.limits.progress_interval;
        Counted { progress, goal, interval, clock: Arc::clone(&shared.parts.clock) }
    }

    /// Waits for it. It is done to its end, whatever becomes of the connection.
    pub(super) async fn wait<T: Send>(&self, wire: &mut Wire<ServerSession>, mut work: BoxFuture<'_, T>) -> T {
        if self.interval.is_zero() {
            return wire.answer(work).await;
        }
        loop {
            let next = wire.now() + self.interval;
            let waited = async {
                tokio::select! {
                    biased;
                    done = &mut work => Some(done),
                    () = self.clock.sleep_until(next) => None,
                }
            };
            if let Some(done) = wire.answer(Box::pin(waited)).await {
                return done;
            }
            // What it says is sent before it is waited for again.
            let now = wire.now();
            wire.machine.in_progress(now, self.progress.done(), self.goal);
        }
    }
}
