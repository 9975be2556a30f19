//! APPEND: the message streams through and is never held.

use memchr::memchr;

use super::reply::End;
use super::session::{Asked, Doing, Next};
use super::{Event, ServerSession};
use crate::types::ResponseCode;
use crate::wire::frame::{LiteralHeader, Skipper};
use crate::wire::parse::AppendHead;

/// The message of an APPEND that was announced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    size: u64,
    synchronising: bool,
}

impl ServerSession {
    /// RFC 9051 §6.3.12, up to the message.
    pub(super) fn append<'b>(&mut self, head: AppendHead<'b>, header: LiteralHeader) -> Result<Event<'b>, End> {
        if header.binary {
            return Err(End::bad("A literal8 needs the BINARY extension"));
        }
        if header.size == 0 {
            return Err(End::no(&ResponseCode::Cannot, "An empty message cannot be stored"));
        }
        if header.size > self.config.limits.append_size_max {
            return Err(End::no(&ResponseCode::TooBig, "The message is too large"));
        }
        let mailbox = self.mailbox_name(&head.mailbox)?;
        let incoming = Incoming { size: header.size, synchronising: header.synchronising };
        self.doing = Doing::Asked(Asked::AppendStart(incoming));
        Ok(Event::AppendStart { mailbox, flags: head.flags, date: head.date, size: header.size })
    }

    /// The message is welcome.
    pub(super) fn append_started(&mut self, incoming: Incoming) {
        if incoming.synchronising {
            self.go_ahead();
        }
        self.doing = Doing::Appending { left: incoming.size };
        self.timer.active();
    }

    /// The message is not welcome: the command ends, once what comes unasked is eaten.
    pub(super) fn append_refused(&mut self, incoming: Incoming, end: End) {
        if incoming.synchronising {
            self.finish(end);
        } else {
            self.skip_literal(incoming.size, end);
        }
    }

    /// A piece of the message.
    pub(super) fn read_message<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let Doing::Appending { left } = &mut self.doing else { return Next::Again };
        let bytes: &'b [u8] = input;
        let len = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let piece = &bytes[..len];
        let piece = &piece[..memchr(0, piece).unwrap_or(len)];
        if !piece.is_empty() {
            *input = &bytes[piece.len()..];
            *left -= piece.len() as u64;
            if *left == 0 {
                self.doing = Doing::AppendTail;
            }
            self.timer.active();
            return Next::Event(Event::AppendBody(piece));
        }
        if bytes.is_empty() {
            return Next::NeedInput;
        }
        // RFC 9051 §9: only a literal8 may hold NUL.
        let left = *left;
        self.skip_literal(left, End::bad("The message holds NUL"));
        Next::Event(Event::Abandoned)
    }

    /// The embedder refuses the message before its end.
    pub(super) fn append_broken_off(&mut self, end: End) {
        match self.doing {
            Doing::Appending { left } => self.skip_literal(left, end),
            _ => self.skip_literal(0, end),
        }
    }

    /// The line's end behind the message. MULTIAPPEND, which would go on here, is not on offer.
    pub(super) fn read_append_tail<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let bytes: &'b [u8] = input;
        match bytes {
            [] | [b'\r'] => Next::NeedInput,
            [b'\r', b'\n', rest @ ..] => {
                *input = rest;
                self.doing = Doing::Asked(Asked::AppendEnd);
                Next::Event(Event::AppendEnd)
            }
            _ => {
                let budget = self.frame_limits().skip_max;
                let end = End::bad("APPEND ends behind its message");
                self.doing = Doing::Skipping { skipper: Skipper::new(0, budget), end };
                Next::Event(Event::Abandoned)
            }
        }
    }
}
