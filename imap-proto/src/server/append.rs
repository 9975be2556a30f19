//! APPEND: messages stream through and are never held.

use alloc::borrow::Cow;

use memchr::memchr;

use super::reply::End;
use super::session::{Asked, Doing, Next};
use super::{AppendStart, Event, ServerSession};
use crate::types::{MailboxName, ResponseCode, Uid, UidValidity};
use crate::wire::frame::{Framed, LiteralHeader, Skipper};
use crate::wire::parse::{AppendHead, AppendMessage, append_message};

/// A message of an APPEND that was announced.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    mailbox: MailboxName,
    /// How many came before it in the same command.
    index: usize,
    size: u64,
    synchronising: bool,
    /// It may hold NUL.
    binary: bool,
    /// `UTF8 (` stands before it.
    utf8: bool,
}

impl ServerSession {
    /// RFC 9051 §6.3.12, up to the first message.
    pub(super) fn append<'b>(&mut self, head: &AppendHead<'b>, header: LiteralHeader) -> Result<Event<'b>, End> {
        // What is wrong with the message is said before what is wrong with the name: it cannot be mended by CREATE.
        self.refuse_message(&head.message, header)?;
        let mailbox = self.mailbox_name(&head.mailbox)?;
        Ok(self.announced(mailbox, 0, head.message.clone(), header))
    }

    /// Whether a message of this kind and size can be taken.
    fn refuse_message(&self, message: &AppendMessage, header: LiteralHeader) -> Result<(), End> {
        // Deviates from RFC 6855 §4: because mail with 8-bit header fields is older than that RFC, and a client that moves it from
        // another server would lose it, such a message is taken from a client that did not enable UTF8=ACCEPT too.
        if message.utf8 && !(self.enabled.utf8 && header.binary) {
            // RFC 6855 §4
            return Err(End::bad("UTF8 needs ENABLE UTF8=ACCEPT and a literal8"));
        }
        if header.binary && !message.utf8 && !self.config.extensions.binary {
            return Err(End::bad("A literal8 needs the BINARY extension"));
        }
        if header.size == 0 {
            return Err(End::no(&ResponseCode::Cannot, "An empty message cannot be stored"));
        }
        if header.size > self.config.limits.append_size_max {
            // RFC 7889 §4
            return Err(End::no(&ResponseCode::TooBig, "The message is too large"));
        }
        Ok(())
    }

    fn announced<'b>(
        &mut self,
        mailbox: MailboxName,
        index: usize,
        message: AppendMessage,
        header: LiteralHeader,
    ) -> Event<'b> {
        let AppendMessage { flags, date, utf8 } = message;
        let LiteralHeader { size, synchronising, binary } = header;
        let incoming = Incoming { mailbox: mailbox.clone(), index, size, synchronising, binary, utf8 };
        self.doing = Doing::Asked(Asked::AppendStart(incoming));
        Event::AppendStart(AppendStart { mailbox, index, flags, date, size, binary })
    }

    /// The message is welcome.
    pub(super) fn append_started(&mut self, incoming: Incoming) {
        if incoming.synchronising {
            self.go_ahead();
        }
        self.doing = Doing::Appending { left: incoming.size, incoming };
        self.timer.active();
    }

    /// The message is not welcome: the command ends, once what comes unasked is eaten.
    pub(super) fn append_refused(&mut self, incoming: &Incoming, end: End) {
        if incoming.synchronising {
            self.finish(end);
        } else {
            self.skip_literal(incoming.size, end);
        }
    }

    /// A piece of the message.
    pub(super) fn read_message<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let Doing::Appending { left, incoming } = &mut self.doing else { return Next::Again };
        let bytes: &'b [u8] = input;
        let len = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let piece = &bytes[..len];
        let piece = if incoming.binary { piece } else { &piece[..memchr(0, piece).unwrap_or(len)] };
        if !piece.is_empty() {
            *input = &bytes[piece.len()..];
            *left -= piece.len() as u64;
            if *left == 0 {
                self.doing = Doing::AppendTail { incoming: incoming.clone() };
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
            Doing::Appending { left, .. } => self.skip_literal(left, end),
            _ => self.skip_literal(0, end),
        }
    }

    /// What stands behind a message: the end of the command, or another message (RFC 3502 §6).
    pub(super) fn read_append_tail<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let limits = *self.frame_limits();
        let Doing::AppendTail { incoming } = &self.doing else { return Next::Again };
        let bytes: &'b [u8] = input;
        let wrong = || End::bad("Syntax error behind the message");
        // A line that cannot be one is refused before its end comes.
        let closing = if incoming.utf8 { &b")"[..] } else { b"" };
        let starts_well = match bytes.get(closing.len()) {
            Some(next) => bytes.starts_with(closing) && matches!(next, b'\r' | b' '),
            None => closing.starts_with(bytes),
        };
        if !starts_well {
            self.framer.reset();
            self.skip_literal(0, wrong());
            return Next::Event(Event::Abandoned);
        }
        match self.framer.frame(bytes, &limits) {
            Framed::Incomplete => Next::NeedInput,
            Framed::Command { len } => {
                *input = &bytes[len..];
                if bytes[..len].strip_prefix(closing) == Some(b"\r\n") {
                    self.doing = Doing::Asked(Asked::AppendEnd);
                    return Next::Event(Event::AppendEnd);
                }
                self.finish(wrong());
                Next::Event(Event::Abandoned)
            }
            Framed::Literal { header, len } => {
                *input = &bytes[len..];
                let (mailbox, index) = (incoming.mailbox.clone(), incoming.index + 1);
                self.framer.reset();
                let before = before_announcement(&bytes[..len], header).strip_prefix(closing).unwrap_or_default();
                match self.next_message(before, index, header) {
                    Ok(message) => Next::Event(self.announced(mailbox, index, message, header)),
                    Err(end) => {
                        // Nothing is under way any more, so that a goodbye does not say so once more.
                        self.doing = Doing::Reading;
                        self.eat_literal(header, end, limits.skip_max);
                        Next::Event(Event::Abandoned)
                    }
                }
            }
            Framed::TooLong { len, text } => {
                *input = &bytes[len..];
                let end = End::bad_with("TOOBIG", "The command is too long");
                self.doing = Doing::Skipping { skipper: Skipper::behind(&bytes[text..len], limits.skip_max), end };
                Next::Event(Event::Abandoned)
            }
        }
    }

    fn next_message(&self, text: &[u8], index: usize, header: LiteralHeader) -> Result<AppendMessage, End> {
        if !self.config.extensions.multiappend {
            return Err(End::bad("APPEND ends behind its message"));
        }
        let message = append_message(text).ok_or_else(|| End::bad("Syntax error in the arguments of APPEND"))?;
        if index >= self.config.limits.append_messages_max {
            return Err(End::no(&ResponseCode::Limit, "Too many messages at once"));
        }
        self.refuse_literal_minus(header)?;
        self.refuse_message(&message, header)?;
        Ok(message)
    }

    /// All messages are stored (RFC 4315 §3).
    pub(super) fn appended(&mut self, uid_validity: UidValidity, uids: &[Uid]) {
        let code = (!uids.is_empty()).then(|| {
            Cow::Owned(alloc::format!(
                "APPENDUID {uid_validity} {}",
                super::messages::in_order(uids.iter().map(|uid| uid.get()))
            ))
        });
        self.finish(End { code, ..End::ok("Stored") });
    }
}

/// What stands before the announcement of a literal at the end of a line.
pub(super) fn before_announcement(line: &[u8], header: LiteralHeader) -> &[u8] {
    let brace = line.iter().rposition(|&b| b == b'{').unwrap_or(line.len());
    let tilde = usize::from(header.binary);
    &line[..brace.saturating_sub(tilde)]
}
