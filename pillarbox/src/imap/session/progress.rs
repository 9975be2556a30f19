//! Long work: the client hears how far it has come, and whether there still is one is found out.

use std::time::Duration;

use super::{Connection, Trouble};
use crate::net::Lost;

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
