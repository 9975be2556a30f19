//! Lines off the input: commands, responses, and those that are too long.

use pillarbox_core::line::{LineScanner, LineSkipper, Scan};
use pillarbox_core::sasl::SaslError;
use pillarbox_core::{Reply, Step, Time};

use super::replying::cut;
use super::session::ServerSession;
use super::state::{Framing, State};
use super::{CloseReason, Event, replies};
use crate::command;

/// A line that does not end within so many octets ends the connection.
const LINE_PATIENCE: u64 = 64 * 1024;
/// Below this no limit on a line is taken seriously (RFC 5321 §4.5.3.1.4).
const LINE_MIN: usize = 512;

impl ServerSession {
    /// The line at the front of the input, in whatever state reads lines.
    pub(super) fn poll_line<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Option<Step<Event<'b>>> {
        if let Framing::Skip(_) = self.framing {
            return self.poll_long_line(input);
        }
        let shown: &'b [u8] = input;
        let expects_command = !matches!(self.state, State::Login(_));
        if expects_command
            && self.hello.is_none()
            && shown.first().is_some_and(|octet| !octet.is_ascii_alphabetic() && *octet != b'\r')
        {
            // A TLS handshake, a remote desktop, a game: it may never send a CRLF.
            return Some(self.refuse_foreign(&shown[..1]));
        }
        let line_max = self.line_max();
        let Framing::Line(scanner) = &mut self.framing else { unreachable!("the other framing was served above") };
        match scanner.scan(shown, line_max) {
            Scan::Line { len } => {
                *input = &shown[len..];
                let line = &shown[..len - 2];
                self.waiting_since = now;
                if expects_command {
                    self.command(line, input.is_empty())
                } else {
                    self.response(line, input.is_empty())
                }
            }
            Scan::TooLong if expects_command && command::is_foreign(shown) => Some(self.refuse_foreign(cut(shown))),
            // As much as is there however the line was cut.
            Scan::TooLong if expects_command && self.may_announce_octets(&shown[..line_max]) => {
                Some(self.lose_track(shown, replies::line_too_long()))
            }
            Scan::TooLong => {
                self.framing = Framing::Skip(LineSkipper::new());
                let line = if expects_command { self.shown(cut(shown)) } else { b"" };
                Some(Step::Event(Event::Refused { line, reply: self.long_line_reply() }))
            }
            Scan::Incomplete => self.need_input(),
        }
    }

    /// Eats a line that is too long. Its reply comes at its end, so that it does not get in front of the end.
    fn poll_long_line<'b>(&mut self, input: &mut &'b [u8]) -> Option<Step<Event<'b>>> {
        let Framing::Skip(skipper) = &mut self.framing else { unreachable!("called in that framing only") };
        let ended = skipper.skip(input);
        let reply = self.long_line_reply();
        if ended.unwrap_or(self.skipped()) > LINE_PATIENCE {
            self.close(CloseReason::Synchronisation, Some(&reply));
            return None;
        }
        if ended.is_none() {
            return self.need_input();
        }
        self.framing = Framing::Line(LineScanner::new());
        self.waiting_since = self.now;
        self.prompt = true;
        if let State::Login(_) = self.state {
            self.state = State::Ready;
        }
        self.refuse(reply);
        None
    }

    const fn skipped(&self) -> u64 {
        match &self.framing {
            Framing::Skip(skipper) => skipper.skipped(),
            Framing::Line(_) => 0,
        }
    }

    fn long_line_reply(&self) -> Reply {
        match self.state {
            State::Login(_) => SaslError::TooLong.reply(),
            _ => replies::line_too_long(),
        }
    }

    /// The longest line that is read now.
    pub(super) fn line_max(&self) -> usize {
        let limits = &self.config.limits;
        match self.state {
            State::Login(_) => limits.sasl_line_max.max(LINE_MIN),
            _ => limits.command_line_max.max(LINE_MIN),
        }
    }
}
