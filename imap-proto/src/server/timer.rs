//! The clock of a session: four deadlines, one at a time.

use pillarbox_core::Time;

use super::session::{Doing, Standing};
use super::{CloseReason, ServerSession};
use crate::wire::encode::push;

/// What the deadlines are counted from.
#[derive(Debug, Default)]
pub(super) struct Timer {
    /// The latest time that was told; it never goes back.
    pub(super) now: Time,
    /// When the connection began, the first time that was told; or when its user was let go.
    started: Option<Time>,
    /// When a command was last read or answered.
    active: Time,
    /// When the client in IDLE last heard of us.
    alive: Time,
    /// Since when output waits without any of it leaving.
    stalled: Option<Time>,
}

impl Timer {
    pub(super) fn advance(&mut self, now: Time) {
        self.now = self.now.max(now);
        if self.started.is_none() {
            self.started = Some(self.now);
            self.active = self.now;
        }
    }

    /// The client has to log in anew, and gets as long for it as after it connected.
    pub(super) fn begin_again(&mut self) {
        self.started = Some(self.now);
    }

    /// The client did something.
    pub(super) fn active(&mut self) {
        self.active = self.now;
        self.alive = self.now;
    }

    /// The client in IDLE hears of us.
    pub(super) fn alive(&mut self) {
        self.alive = self.now;
    }

    /// Whether output waits, after something was done.
    pub(super) fn output(&mut self, waits: bool) {
        self.stalled = waits.then(|| self.stalled.unwrap_or(self.now));
    }

    /// Some of the output left.
    pub(super) fn progress(&mut self) {
        self.stalled = None;
    }
}

/// Which deadline comes first.
enum Due {
    Login,
    Idle,
    KeepAlive,
    Output,
}

impl ServerSession {
    fn next_due(&self) -> Option<(Time, Due)> {
        let limits = &self.config.limits;
        let stalled = self.timer.stalled.map(|since| (since + limits.output_timeout, Due::Output));
        let waits_for_client = match self.doing {
            Doing::Closed(_) => return None,
            // While a question is open no client timer runs, but what was said before must still be taken.
            Doing::Asked(_) | Doing::Upgrading { .. } | Doing::Connecting => false,
            _ => true,
        };
        let login = match (&self.standing, self.timer.started) {
            (Standing::NotAuthenticated, Some(started)) if waits_for_client => {
                Some((started + limits.login_timeout, Due::Login))
            }
            _ => None,
        };
        let idle = waits_for_client.then(|| (self.timer.active + limits.idle_timeout, Due::Idle));
        let keeps_alive = self.is_idling() && !limits.keep_alive.is_zero();
        let keep_alive = keeps_alive.then(|| (self.timer.alive + limits.keep_alive, Due::KeepAlive));
        [stalled, login, idle, keep_alive].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// [`Machine::deadline`](pillarbox_core::Machine::deadline)
    pub fn deadline(&self) -> Option<Time> {
        self.next_due().map(|(at, _)| at)
    }

    /// [`Machine::handle_timeout`](pillarbox_core::Machine::handle_timeout)
    pub fn handle_timeout(&mut self, now: Time) {
        self.timer.advance(now);
        while let Some((_, due)) = self.next_due().filter(|(at, _)| *at <= self.timer.now) {
            match due {
                Due::Login => self.bye(CloseReason::Timeout, None, "No login in time"),
                Due::Idle => self.bye(CloseReason::Timeout, None, "Idle for too long"),
                // Whoever reads nothing will not read a goodbye.
                Due::Output => self.close(CloseReason::Timeout),
                Due::KeepAlive => {
                    push(self.out.end(), format_args!("* OK Still here\r\n"));
                    self.timer.alive();
                }
            }
        }
        self.timer.output(!self.out.is_empty());
    }
}
