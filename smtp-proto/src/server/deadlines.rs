//! How long a client is waited for.

use core::time::Duration;

use pillarbox_core::Time;

use super::session::ServerSession;
use super::state::State;
use super::{CloseReason, replies};

impl ServerSession {
    /// When [`handle_timeout`](ServerSession::handle_timeout) wants to be called.
    ///
    /// While a question is open nothing is expected of the client but that it takes what was sent.
    pub fn deadline(&self) -> Option<Time> {
        let stalls = (!self.output.is_empty() && !self.heard.stalled)
            .then(|| self.output.since() + self.patience(self.config.limits.output_timeout));
        let waits = match (&self.held, &self.state) {
            _ if self.question.is_some() => None,
            (Some(held), _) => Some(held.until),
            (_, State::Fresh | State::Stored { .. } | State::Upgrading | State::Closed(_)) => None,
            (None, State::Body(body)) => Some(body.deadline(self.data_window())),
            (None, State::Stray(stray)) => Some(stray.deadline(self.data_window())),
            (None, _) => Some(self.waiting_since + self.patience(self.config.limits.command_timeout)),
        };
        match (stalls, waits) {
            (Some(stalls), Some(waits)) => Some(stalls.min(waits)),
            (stalls, waits) => stalls.or(waits),
        }
    }

    /// The time of [`deadline`](ServerSession::deadline) has come.
    pub fn handle_timeout(&mut self, now: Time) {
        // Releases a reply that was held back.
        let now = self.advance(now);
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        if !self.output.is_empty() && now >= self.output.since() + self.patience(self.config.limits.output_timeout) {
            self.heard.stalled = true;
            if let State::Closed(_) = self.state {
                self.output.clear();
            }
            return;
        }
        let (window, rate_min) = (self.data_window(), self.config.limits.data_rate_min);
        let rate = match &mut self.state {
            State::Body(body) => Some(body.rate()),
            State::Stray(stray) => Some(stray.rate()),
            _ => None,
        };
        if rate.is_some_and(|rate| rate.is_enough(now, window, rate_min)) {
            return;
        }
        let reply = replies::timeout(&self.config);
        self.close(CloseReason::Timeout, Some(&reply));
    }

    /// Sessions are so many that the next client may find no room (or no longer so many): a client that holds one must hurry,
    /// and makes fewer mistakes before it has to go. Legal in every state; [`deadline`](ServerSession::deadline) may change.
    ///
    /// Under stress no wait is longer than [`stress_timeout`](super::Limits::stress_timeout), and
    /// [`stress_errors_hard`](super::Limits::stress_errors_hard) mistakes end the connection.
    pub const fn under_stress(&mut self, stress: bool) {
        self.stress = stress;
    }

    /// How long a peer is waited for.
    fn patience(&self, usual: Duration) -> Duration {
        if self.stress { usual.min(self.config.limits.stress_timeout) } else { usual }
    }

    pub(super) fn data_window(&self) -> Duration {
        self.patience(self.config.limits.data_window)
    }

    /// Mistakes that end the connection.
    pub(super) fn errors_hard(&self) -> u32 {
        let limits = &self.config.limits;
        if self.stress { limits.errors_hard.min(limits.stress_errors_hard) } else { limits.errors_hard }
    }
}
