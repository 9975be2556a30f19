//! When a command has its turn, and how long its server may take.

use super::command::Command;
use super::session::{ClientSession, Kind, Purpose, Stage};
use super::write::{Wait, Writing};
use super::{Event, handshake};

impl ClientSession {
    pub(super) fn is_idle_running(&self) -> bool {
        self.running.iter().any(|running| matches!(running.purpose, Purpose::User { kind: Kind::Idle, .. }))
    }

    pub(super) fn is_logging_out(&self) -> bool {
        self.running.iter().any(|running| matches!(running.purpose, Purpose::User { kind: Kind::Logout, .. }))
    }

    /// Numbers mean other messages from here on: commands that wait with those of before are not sent, up to where another
    /// mailbox is selected.
    pub(super) fn renumbered(&mut self) {
        if self.running.iter().any(|running| running.rules.selects) {
            return;
        }
        let mut is_same = true;
        let events = &mut self.events;
        self.queue.retain(|(id, command)| {
            is_same &= !command.rules.selects;
            let is_lost = is_same && command.rules.takes_seqs;
            if is_lost {
                events.push_back(Event::Lost { id: *id, was_sent: false });
            }
            !is_lost
        });
    }

    /// Sends what may be sent.
    pub(super) fn pump(&mut self) {
        if self.stage != Stage::Ready {
            return;
        }
        if self.idle.is_on && (self.idle.is_over || !self.queue.is_empty()) {
            self.idle.is_on = false;
            self.output.extend_from_slice(b"DONE\r\n");
            self.expect_something();
        }
        while self.writing.is_none() && self.output().len() < self.output_max() {
            let Some((_, command)) = self.queue.front() else { break };
            if !self.running.iter().all(|running| command.rules.may_follow(running.rules)) {
                break;
            }
            let Some((id, command)) = self.queue.pop_front() else { break };
            let kind = match &*command.name {
                "IDLE" => Kind::Idle,
                "LOGOUT" => Kind::Logout,
                "UNAUTHENTICATE" => Kind::Unauthenticate,
                _ => Kind::Other,
            };
            self.start(Purpose::User { id, kind }, command);
        }
        if self.is_stopping && self.running.is_empty() && self.writing.is_none() {
            self.start(Purpose::Own(handshake::Own::Logout), Command::logout());
            self.timer = Some(self.now + self.config.timeouts.logout);
        }
    }

    /// Sets the clock for what is to come next.
    pub(super) fn expect_something(&mut self) {
        let timeouts = &self.config.timeouts;
        let is_embedders = matches!(self.writing, Some(Writing { wait: Wait::Message { is_asked: true, .. }, .. }));
        let patience = match self.stage {
            Stage::Connecting | Stage::Closed(_) | Stage::Upgrading(_) => None,
            // A server that says goodbye, or that we say goodbye to, does not get longer by talking.
            Stage::Greeting => return,
            _ if (self.is_stopping || self.is_logging_out()) && self.timer.is_some() => {
                let end = self.now + timeouts.logout;
                self.timer = self.timer.map(|timer| timer.min(end));
                return;
            }
            _ if is_embedders && self.output().is_empty() => None,
            // News do not put off the end of IDLE, which is counted from its begin.
            _ if self.idle.is_on => return,
            _ if self.running.is_empty() && self.bye.is_none() => None,
            _ => Some(timeouts.response),
        };
        self.timer = patience.map(|patience| self.now + patience);
    }
}
