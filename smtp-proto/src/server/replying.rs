//! How replies leave: at once, late, counted, or as the last one.

use core::mem;

use pillarbox_core::{Reply, Step, Time};

use super::session::ServerSession;
use super::state::{State, Turn};
use super::{CloseReason, Event, Protocol, Why, replies};

/// A reply that is held back.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) until: Time,
    pub(super) reply: Reply,
}

/// How much of a refused line is shown.
const SHOWN: usize = 512;

impl ServerSession {
    /// A line was taken off the input: whether the client has to wait for its reply, whether that reply must not be held
    /// back, and whether the line was the last that was shown.
    pub(super) fn begin_reply(&mut self, waits: bool, prompt: bool, last: bool) {
        self.counted = false;
        self.prompt = prompt;
        if waits {
            self.turn = if last { Turn::Ours } else { Turn::Broken };
        }
    }

    /// Writes a reply.
    pub(super) fn write(&mut self, reply: &Reply) {
        self.output.add(self.now, reply, self.prompt);
        self.wrote();
    }

    /// Writes a challenge (RFC 4954 §4), which is longer than a reply may be.
    pub(super) fn write_challenge(&mut self, challenge: &str) {
        self.output.add_line(self.now, ["334 ", challenge]);
        self.wrote();
    }

    fn wrote(&mut self) {
        if self.turn == Turn::Ours {
            self.turn = Turn::Flush;
        }
    }

    /// The command that is being served counts as an error.
    pub(super) fn count_error(&mut self) {
        self.counted = true;
        self.counts.errors = self.counts.errors.saturating_add(1);
    }

    /// The command that is being served moves no mail: too many of these count as errors.
    pub(super) fn count_idle(&mut self) {
        self.counts.idle = self.counts.idle.saturating_add(1);
        if self.counts.idle > self.config.limits.junk_commands_max {
            self.count_error();
        }
    }

    /// Writes the reply to a refused command, and counts it.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.count_error();
        self.write_in_time(reply);
    }

    /// Writes a reply; if its command counts as an error, late where there were many, and with an end where there were too
    /// many.
    pub(super) fn write_in_time(&mut self, reply: Reply) {
        let limits = &self.config.limits;
        if !self.counted {
            self.write(&reply);
        } else if self.counts.errors >= self.errors_hard() {
            self.write(&reply);
            let goodbye = replies::too_many_errors(&self.config);
            self.close(CloseReason::TooManyErrors, Some(&goodbye));
        } else if self.counts.errors > limits.errors_soft && !limits.error_delay.is_zero() {
            self.held = Some(Held { until: self.now + limits.error_delay, reply });
        } else {
            self.write(&reply);
        }
    }

    /// Writes the refusal of something that was said as it should be: an embedder's, or that of a message beyond a limit.
    pub(super) fn write_refusal(&mut self, reply: Reply) {
        // A client that asks what we do not have may be guessing. That of LMTP is our own queue: it asks for every recipient of
        // a message, and would ask again.
        if reply.is_permanent() && self.config.protocol == Protocol::Smtp {
            self.refuse(reply);
        } else {
            self.write(&reply);
        }
    }

    /// Refuses something that is no SMTP at all.
    pub(super) fn refuse_foreign<'b>(&mut self, line: &'b [u8]) -> Step<Event<'b>> {
        let reply = replies::foreign();
        self.close(CloseReason::Synchronisation, Some(&reply));
        Step::Event(Event::Refused { line: cut(line), reply })
    }

    /// Refuses a line without asking.
    pub(super) fn refuse_line<'b>(&mut self, line: &'b [u8], reply: Reply) -> Option<Step<Event<'b>>> {
        if reply.is_permanent() {
            self.refuse(reply.clone());
        } else {
            // RFC 5321 §4.5.3.1.10: a client that is told to come back with the rest has done nothing wrong.
            self.write(&reply);
        }
        Some(Step::Event(Event::Refused { line: cut(line), reply }))
    }

    /// Ends the session, with a last reply where the peer can still be told.
    pub(super) fn close(&mut self, reason: CloseReason, reply: Option<&Reply>) {
        if let Some(held) = self.held.take() {
            self.write(&held.reply);
        }
        if let Some(reply) = reply {
            self.prompt = true;
            self.write(reply);
        }
        let why = if reason == CloseReason::Quit { Why::Quit } else { Why::Closed };
        match mem::replace(&mut self.state, State::Closed(reason)) {
            State::Transaction { .. } | State::Stored { .. } => self.abandoned = Some(why),
            State::Body(body) | State::Chunks(body) if body.is_wanted() => self.abandoned = Some(why),
            _ => {}
        }
    }

    /// Says 421 and ends, unless something must be finished first.
    pub(super) fn say_goodbye(&mut self) -> bool {
        match self.state {
            // What was promised must be answered, or the handshake is under way, or all is over.
            State::Stored { .. } | State::Upgrading | State::Closed(_) => false,
            _ => {
                let reply = replies::shutting_down(&self.config);
                self.close(CloseReason::ShutDown, Some(&reply));
                true
            }
        }
    }
}

/// As much of a line as is shown.
pub(super) fn cut(line: &[u8]) -> &[u8] {
    &line[..line.len().min(SHOWN)]
}
