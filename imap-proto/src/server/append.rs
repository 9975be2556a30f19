//! APPEND: messages stream through and are never held.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use memchr::memchr;

use super::catenate::{Parts, Tail, too_many_parts};
use super::reply::{End, Verdict};
use super::session::{Asked, Doing, Next};
use super::{AppendStart, Event, ServerSession};
use crate::types::{MailboxName, ResponseCode, Uid, UidValidity};
use crate::wire::frame::{Framed, LiteralHeader, Skipper};
use crate::wire::parse::{AppendMessage, append_message};

/// A message of an APPEND that was announced.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) mailbox: MailboxName,
    /// How many came before it in the same command.
    pub(super) index: usize,
    /// Octets of the literal that comes: of the message, or of a part of it.
    size: u64,
    synchronising: bool,
    /// It may hold NUL.
    binary: bool,
    /// `UTF8 (` stands before it.
    utf8: bool,
    /// The message of the selected mailbox that it takes the place of.
    pub(super) replaces: Option<Uid>,
    /// Its parts; none: it is one literal.
    pub(super) parts: Option<Box<Parts>>,
}

impl Incoming {
    pub(super) fn in_parts(mailbox: MailboxName, replaces: Option<Uid>, parts: Parts) -> Self {
        let (index, size, synchronising, binary, utf8) = (0, 0, false, false, false);
        Incoming { mailbox, index, size, synchronising, binary, utf8, replaces, parts: Some(Box::new(parts)) }
    }

    /// A literal comes next.
    pub(super) fn literal(&mut self, header: LiteralHeader) {
        let LiteralHeader { size, synchronising, binary } = header;
        (self.size, self.synchronising, self.binary) = (size, synchronising, binary);
    }
}

impl ServerSession {
    /// RFC 9051 §6.3.12, up to the first message.
    pub(super) fn append<'b>(
        &mut self,
        mailbox: &[u8],
        message: AppendMessage,
        header: LiteralHeader,
        replaces: Option<Uid>,
    ) -> Result<Event<'b>, End> {
        // What is wrong with the message is said before what is wrong with the name: it cannot be mended by CREATE.
        self.refuse_message(&message, header)?;
        let mailbox = self.mailbox_name(mailbox)?;
        Ok(self.announced(mailbox, 0, message, header, replaces))
    }

    /// Whether a message of this kind and size can be taken.
    pub(super) fn refuse_message(&self, message: &AppendMessage, header: LiteralHeader) -> Result<(), End> {
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

    pub(super) fn announced<'b>(
        &mut self,
        mailbox: MailboxName,
        index: usize,
        message: AppendMessage,
        header: LiteralHeader,
        replaces: Option<Uid>,
    ) -> Event<'b> {
        let AppendMessage { flags, date, utf8 } = message;
        let LiteralHeader { size, synchronising, binary } = header;
        let parts = None;
        let incoming = Incoming { mailbox: mailbox.clone(), index, size, synchronising, binary, utf8, replaces, parts };
        self.doing = Doing::Asked(Asked::AppendStart(incoming));
        Event::AppendStart(AppendStart { mailbox, index, flags, date, size: Some(size), binary, replaces })
    }

    /// The message is welcome.
    pub(super) fn append_started(&mut self, incoming: Incoming) {
        if incoming.parts.is_some() {
            self.doing = Doing::Catenating(incoming);
            return;
        }
        if incoming.synchronising {
            self.go_ahead();
        }
        self.doing = Doing::Appending { left: incoming.size, incoming };
        self.timer.active();
    }

    /// The message is not welcome: the command ends, once what comes unasked is eaten.
    pub(super) fn append_refused(&mut self, incoming: Incoming, end: End) {
        if incoming.parts.is_some() {
            self.parts_no(incoming, end);
        } else if incoming.synchronising {
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
                let incoming = incoming.clone();
                self.doing = match incoming.parts {
                    Some(_) => Doing::Catenating(incoming),
                    None => Doing::AppendTail { incoming },
                };
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
        match core::mem::replace(&mut self.doing, Doing::Reading) {
            Doing::Appending { left, .. } => self.skip_literal(left, end),
            Doing::Catenating(incoming) => self.parts_no(incoming, end),
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
                let text = bytes[..len - 2].strip_prefix(closing);
                if text == Some(b"") {
                    self.doing = Doing::Asked(Asked::AppendEnd {
                        mailbox: incoming.mailbox.clone(),
                        replaces: incoming.replaces,
                    });
                    return Next::Event(Event::AppendEnd);
                }
                if let Some(Tail::Parts) = self.tail_in_parts(text.unwrap_or_default(), None) {
                    return Next::Again;
                }
                self.doing = Doing::Reading;
                self.finish(wrong());
                Next::Event(Event::Abandoned)
            }
            Framed::Literal { header, len } => {
                let mailbox = incoming.mailbox.clone();
                let before = before_announcement(&bytes[..len], header).strip_prefix(closing).unwrap_or_default();
                let tail = match append_message(before) {
                    Some(_) => None,
                    None => self.tail_in_parts(before, Some(header)),
                };
                if let Some(Tail::UrlIsLiteral) = tail
                    && self.framer.accept(header, len, &limits)
                {
                    if header.synchronising {
                        self.go_ahead();
                    }
                    return Next::Again;
                }
                *input = &bytes[len..];
                self.framer.reset();
                if let Some(Tail::Parts) = tail {
                    return Next::Again;
                }
                let next = match tail {
                    Some(Tail::TooManyParts) => Err(too_many_parts()),
                    _ => self.next_message(before, header),
                };
                match next {
                    Ok((index, message)) => Next::Event(self.announced(mailbox, index, message, header, None)),
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

    fn next_message(&self, text: &[u8], header: LiteralHeader) -> Result<(usize, AppendMessage), End> {
        let index = self.refuse_another();
        let message = match (append_message(text), index) {
            (None, Ok(_) | Err(End { verdict: Verdict::No, .. })) => {
                return Err(End::bad("Syntax error in the arguments of APPEND"));
            }
            (_, Err(end)) => return Err(end),
            (Some(message), Ok(index)) => (index, message),
        };
        self.refuse_literal_minus(header)?;
        self.refuse_message(&message.1, header)?;
        Ok(message)
    }

    /// All messages are stored (RFC 4315 §3).
    pub(super) fn appended(&mut self, uid_validity: UidValidity, uids: &[Uid], replaces: Option<Uid>) {
        let code: Option<Cow<'static, str>> = (!uids.is_empty()).then(|| {
            Cow::Owned(alloc::format!(
                "APPENDUID {uid_validity} {}",
                super::messages::in_order(uids.iter().map(|uid| uid.get()))
            ))
        });
        match replaces {
            None => self.finish(End { code, ..End::ok("Stored") }),
            Some(replaced) => {
                // RFC 8508 §4.3: a client that heard of the EXPUNGE first would not know what became of the message.
                if let Some(code) = code {
                    self.untagged("OK", Some(&code), "The message that takes the place");
                }
                self.stored_in_place(replaced);
            }
        }
    }

    /// The message that was replaced is gone.
    pub(super) fn stored_in_place(&mut self, replaced: Uid) {
        self.expunged(&[replaced]);
        self.finish(End::ok("Replaced"));
    }
}

/// What stands before the announcement of a literal at the end of a line.
pub(super) fn before_announcement(line: &[u8], header: LiteralHeader) -> &[u8] {
    let brace = line.iter().rposition(|&b| b == b'{').unwrap_or(line.len());
    let tilde = usize::from(header.binary);
    &line[..brace.saturating_sub(tilde)]
}
