//! What comes in: sections of messages, data, the ends of commands.

use alloc::borrow::Cow;

use pillarbox_core::Step;

use super::code::{Code, Status, StatusKind};
use super::command::Command;
use super::fetch::FetchReader;
use super::frame::Framed;
use super::handshake::Own;
use super::response::{Line, Response, line};
use super::session::{ClientSession, Idle, Kind, Purpose, Running, Stage};
use super::value::Malformed;
use super::write::{Wait, Writing};
use super::{CloseReason, Event, FailureCause};

impl ClientSession {
    /// Reads a response, or a piece of a section. `None`: something happened.
    pub(super) fn read<'b>(&mut self, input: &mut &'b [u8]) -> Option<Step<Event<'b>>> {
        if let Some(left) = self.section_left {
            if left == 0 {
                self.section_left = None;
                return Some(Step::Event(Event::SectionEnd));
            }
            let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
            if len > 0 {
                let (octets, rest) = input.split_at(len);
                *input = rest;
                self.section_left = Some(left - len as u64);
                self.expect_something();
                return Some(Step::Event(Event::Body(Cow::Borrowed(octets))));
            }
            return self.wait();
        }
        let max = self.response_max();
        let response = match self.framer.frame(input, self.fetch.is_some(), max) {
            Framed::Incomplete => return self.wait(),
            Framed::TooLong => {
                self.fail(FailureCause::BadResponse, None);
                return None;
            }
            Framed::Whole { len } => (len, None),
            Framed::Section { len, size } => (len, Some(size)),
        };
        let (text, rest) = input.split_at(response.0);
        *input = rest;
        // Both kinds end with CRLF.
        let text = &text[..text.len() - 2];
        let done = match response.1 {
            None => self.on_whole(text),
            Some(size) => self.on_section(text, size),
        };
        if done.is_err() {
            self.fail(FailureCause::BadResponse, None);
        }
        self.expect_something();
        self.pump();
        None
    }

    /// There is nothing complete.
    fn wait<'b>(&mut self) -> Option<Step<Event<'b>>> {
        if self.is_input_ended {
            match self.bye.take() {
                _ if self.is_logging_out() => self.close(CloseReason::LoggedOut),
                _ if self.is_stopping => self.close(CloseReason::ShutDown),
                Some(bye) => self.fail(FailureCause::Closing, Some(bye)),
                None => self.fail(FailureCause::ConnectionLost, None),
            }
            return None;
        }
        match &self.writing {
            Some(Writing { wait: Wait::Message { .. }, .. }) => Some(Step::NeedAnswer),
            _ => Some(Step::NeedInput),
        }
    }

    /// Reads what leads to a section; its announcement is at the end of `text`.
    fn on_section(&mut self, text: &[u8], size: u64) -> Result<(), Malformed> {
        let open = text.iter().rposition(|octet| *octet == b'{').ok_or(Malformed)?;
        let text = &text[..open];
        let text = text.strip_suffix(b"~").unwrap_or(text);
        let max = self.response_max();
        let (mut reader, rest) = match self.fetch.take() {
            Some(reader) => (reader, text),
            None => match line(text)? {
                Line::Fetch { number, is_uid, rest } if self.may_tell() => (FetchReader::new(number, is_uid), rest),
                _ => return Err(Malformed),
            },
        };
        reader.read(rest, Some(size), max, &mut self.events)?;
        self.fetch = Some(reader);
        self.section_left = Some(size);
        Ok(())
    }

    /// Reads a response, or what is left of one behind a section.
    fn on_whole(&mut self, text: &[u8]) -> Result<(), Malformed> {
        let (reader, rest) = match self.fetch.take() {
            Some(reader) => (reader, text),
            None => match line(text)? {
                Line::Fetch { number, is_uid, rest } => (FetchReader::new(number, is_uid), rest),
                Line::Untagged(response) => {
                    self.on_untagged(response);
                    return Ok(());
                }
                Line::Tagged { tag, status } => {
                    self.on_tagged(tag, status);
                    return Ok(());
                }
                Line::Continue(text) => {
                    self.on_continue(text);
                    return Ok(());
                }
            },
        };
        self.end_fetch(reader, rest, text)
    }

    fn end_fetch(&mut self, mut reader: FetchReader, rest: &[u8], text: &[u8]) -> Result<(), Malformed> {
        if !self.may_tell() {
            return Ok(());
        }
        let max = self.response_max();
        let response = match reader.read(rest, None, max, &mut self.events) {
            Ok(()) => Response::Fetch(reader.finish()),
            // What follows it can be read.
            Err(Malformed) => Response::Unread(text[..text.len().min(512)].to_vec()),
        };
        self.events.push_back(Event::Response(response));
        Ok(())
    }

    /// Whether data are told to the embedder. Not before TLS where that is to come: anybody may have said them.
    pub(super) fn may_tell(&self) -> bool {
        matches!(self.stage, Stage::Ready) || self.goal.is_authenticated
    }

    fn on_untagged(&mut self, response: Response) {
        match &response {
            Response::Status(status) if self.stage == Stage::Greeting => {
                let status = status.clone();
                return self.greeted(status);
            }
            _ if self.stage == Stage::Greeting => return self.fail(FailureCause::UnaskedResponse, None),
            Response::Status(Status { kind: StatusKind::Bye, .. }) => {
                if let Response::Status(status) = &response {
                    self.bye = Some(status.clone());
                }
            }
            Response::Status(Status { code: Some(Code::Capability(offered)), .. }) | Response::Capability(offered) => {
                self.capabilities = offered.clone();
            }
            Response::Enabled(enabled) if self.may_tell() => self.enabled.add(enabled),
            _ => {}
        }
        if self.may_tell() {
            let renumbers = matches!(response, Response::Expunge(_) | Response::Vanished { earlier: false, .. });
            self.events.push_back(Event::Response(response));
            if renumbers {
                self.renumbered();
            }
        }
    }

    fn on_tagged(&mut self, tag: &[u8], status: Status) {
        let Some(index) = self.running.iter().position(|running| running.tag.as_bytes() == tag) else {
            return self.fail(FailureCause::UnaskedResponse, Some(status));
        };
        let running = &mut self.running[index];
        let (is_begun, is_sent) = (running.start < self.left, running.end.is_some_and(|end| end <= self.left));
        if !is_sent {
            // What has not left cannot be done. It can be refused as far as it has left.
            if status.is_ok() || !is_begun {
                return self.fail(FailureCause::UnaskedResponse, Some(status));
            }
            if running.end.is_none() {
                running.refused = Some(status);
                return self.refused_while_written();
            }
        }
        let Some(running) = self.running.remove(index) else { return };
        self.completed(running.purpose, status);
    }

    /// A command is over.
    pub(super) fn completed(&mut self, purpose: Purpose, status: Status) {
        if let Some(Code::Capability(offered)) = &status.code {
            self.capabilities = offered.clone();
        }
        let (id, kind) = match purpose {
            Purpose::Own(own) => return self.on_own(own, status),
            Purpose::User { id, kind } => (id, kind),
        };
        if kind == Kind::Idle {
            let renews = self.idle.renews && status.is_ok() && self.queue.is_empty();
            self.idle = Idle::default();
            if renews {
                self.idle.is_again = true;
                return self.start(Purpose::User { id, kind }, Command::idle());
            }
        }
        if kind == Kind::Unauthenticate && status.is_ok() {
            self.unauthenticated(&status);
        }
        self.events.push_back(Event::Completed { id, status });
        if kind == Kind::Logout {
            self.close(CloseReason::LoggedOut);
        }
    }

    fn on_continue(&mut self, text: &[u8]) {
        let is_flushed = self.output().is_empty();
        if is_flushed && self.continues() {
            return;
        }
        match self.running.back() {
            Some(Running { purpose: Purpose::Own(Own::Auth(_)), .. }) if is_flushed => {
                self.challenged(text);
            }
            Some(Running { purpose: Purpose::User { kind: Kind::Idle, .. }, .. }) if is_flushed && !self.idle.is_on => {
                self.idle.is_on = true;
                self.timer = Some(self.now + self.config.timeouts.idle);
                if !self.idle.is_again {
                    self.events.push_back(Event::Idling);
                }
            }
            _ => self.fail(FailureCause::UnaskedResponse, None),
        }
    }
}
