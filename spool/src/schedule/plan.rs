//! What a schedule is about to do with a message, for whoever asks.

use std::time::Duration;

use pillarbox_core::Time;

use super::{Schedule, State, floor};
use crate::MessageId;

/// When recipients are tried next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextTry {
    /// They are being tried.
    Trying,
    /// In so long, or at once if that is zero and their turn comes.
    In(Duration),
    /// When the message is released.
    Held,
    /// Never again: they are to be given up.
    Ended,
}

impl Schedule {
    /// When the recipients of a message are tried next, those that go one way together. Empty if no such message is known.
    pub fn next_tries(&self, now: Time, id: MessageId) -> Vec<(Vec<u32>, NextTry)> {
        let now = floor(now);
        let Some(message) = self.names.get(&id).copied() else { return Vec::new() };
        let next = |job: u32| {
            let job = &self.jobs[job];
            let next = match job.state {
                State::Away => NextTry::Trying,
                State::Held => NextTry::Held,
                State::Expired => NextTry::Ended,
                State::Waiting if self.messages[message].held => NextTry::Held,
                State::Waiting => {
                    let due = job.due.max(self.destinations[job.destination].closed_until);
                    NextTry::In(Duration::from_millis(due.saturating_sub(now)))
                }
            };
            (job.recipients.as_slice().to_vec(), next)
        };
        self.jobs_of(message).into_iter().map(next).collect()
    }
}
