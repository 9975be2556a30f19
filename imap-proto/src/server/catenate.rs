//! Messages of parts (CATENATE, RFC 4469), and messages that take the place of others (REPLACE, RFC 8508).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::append::{Incoming, before_announcement};
use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing, Next};
use super::{AppendPart, AppendStart, Event, ServerSession};
use crate::types::{MailboxName, NameEncoding, ResponseCode, Seq, Uid};
use crate::url::{self, MessageUrl};
use crate::wire::frame::{Framed, LiteralHeader, Skipper};
use crate::wire::parse::{AppendItem, AppendLineError, AppendMessage, AppendPlace, append_line};

/// The parts of a message of APPEND, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// What was read and not served yet; the last of it is a literal or the end of the command, if it is not empty.
    waiting: VecDeque<Waiting>,
    /// Where the line that comes next goes on.
    place: AppendPlace,
    /// Parts so far, and their octets.
    count: usize,
    size: u64,
}

impl Parts {
    fn new(waiting: VecDeque<Waiting>, place: AppendPlace) -> Self {
        Parts { waiting, place, count: 0, size: 0 }
    }
}

#[derive(Clone, Debug)]
enum Waiting {
    Begin(AppendMessage),
    Url(Box<[u8]>),
    Text { header: LiteralHeader, utf8: bool },
    End,
    Message(AppendMessage, LiteralHeader),
    CommandEnd,
}

/// What was found behind a message that is one literal.
pub(super) enum Tail {
    Parts,
    /// The literal that was announced belongs to the line.
    UrlIsLiteral,
    TooManyParts,
}

/// The name of a mailbox, and what stands behind it.
type InParts<'b> = (Cow<'b, [u8]>, Vec<AppendItem<'b>>);

fn syntax(name: &str) -> End {
    End::bad(alloc::format!("Syntax error in the arguments of {name}"))
}

pub(super) fn too_many_parts() -> End {
    End::no(&ResponseCode::Limit, "Too many parts")
}

/// What a line holds, with what ends it.
fn waiting(items: Vec<AppendItem<'_>>, literal: Option<LiteralHeader>) -> VecDeque<Waiting> {
    let mut waiting: VecDeque<Waiting> = items
        .into_iter()
        .filter_map(|item| {
            Some(match (item, literal) {
                (AppendItem::Begin(message), _) => Waiting::Begin(message),
                (AppendItem::Url(url), _) => Waiting::Url(url.into_owned().into()),
                (AppendItem::End, _) => Waiting::End,
                (AppendItem::Text(utf8), Some(header)) => Waiting::Text { header, utf8 },
                (AppendItem::Message(message), Some(header)) => Waiting::Message(message, header),
                (AppendItem::Text(_) | AppendItem::Message(_), None) => return None,
            })
        })
        .collect();
    waiting.extend(literal.is_none().then_some(Waiting::CommandEnd));
    waiting
}

impl ServerSession {
    /// APPEND in one line: its messages are of parts that have URLs.
    pub(super) fn append_parts<'b>(&mut self, parts: Option<InParts<'_>>) -> Served<'b> {
        let (mailbox, items) = parts.ok_or_else(|| End::bad("APPEND needs a message as a literal"))?;
        self.whole_in_parts("APPEND", &mailbox, items, None)
    }

    /// The same for REPLACE.
    pub(super) fn replace_parts<'b>(
        &mut self,
        message: Option<u32>,
        parts: Option<InParts<'_>>,
        uid: bool,
    ) -> Served<'b> {
        self.refuse_unoffered_replace()?;
        let (mailbox, items) = parts.ok_or_else(|| End::bad("REPLACE needs a message as a literal"))?;
        let replaces = self.replaced(message, uid)?;
        self.whole_in_parts("REPLACE", &mailbox, items, Some(replaces))
    }

    fn whole_in_parts<'b>(
        &mut self,
        name: &'static str,
        mailbox: &[u8],
        items: Vec<AppendItem<'_>>,
        replaces: Option<Uid>,
    ) -> Served<'b> {
        if !self.config.extensions.catenate {
            return Err(syntax(name));
        }
        let mailbox = self.mailbox_name(mailbox)?;
        self.begin_parts(mailbox, waiting(items, None), AppendPlace::Message, replaces).map(Some)
    }

    /// A literal stands in APPEND or REPLACE, and is not a message by itself: it is a part of one, or a part's URL (`None`).
    pub(super) fn append_with_parts<'b>(
        &mut self,
        name: &'static str,
        mailbox: &[u8],
        text: &[u8],
        header: LiteralHeader,
        replaces: Option<Uid>,
    ) -> Option<Result<Event<'b>, End>> {
        if !self.config.extensions.catenate {
            return Some(Err(syntax(name)));
        }
        let line = match append_line(text, AppendPlace::Message, true, self.config.limits.append_parts_max) {
            Ok(line) => line,
            Err(AppendLineError::UrlIsLiteral) => return None,
            Err(AppendLineError::TooManyParts) => return Some(Err(too_many_parts())),
            Err(AppendLineError::Syntax) => return Some(Err(syntax(name))),
        };
        let mailbox = match self.mailbox_name(mailbox) {
            Ok(mailbox) => mailbox,
            Err(end) => return Some(Err(end)),
        };
        Some(self.begin_parts(mailbox, waiting(line.items, Some(header)), line.place, replaces))
    }

    /// The first message of a command is one of parts.
    fn begin_parts<'b>(
        &mut self,
        mailbox: MailboxName,
        mut waiting: VecDeque<Waiting>,
        place: AppendPlace,
        replaces: Option<Uid>,
    ) -> Result<Event<'b>, End> {
        let Some(Waiting::Begin(message)) = waiting.pop_front() else { return Err(syntax("APPEND")) };
        let incoming = Incoming::in_parts(mailbox, replaces, Parts::new(waiting, place));
        Ok(self.announced_parts(incoming, message))
    }

    fn announced_parts<'b>(&mut self, incoming: Incoming, message: AppendMessage) -> Event<'b> {
        let AppendMessage { flags, date, .. } = message;
        let Incoming { mailbox, index, replaces, .. } = &incoming;
        let (mailbox, index, replaces) = (mailbox.clone(), *index, *replaces);
        self.doing = Doing::Asked(Asked::AppendStart(incoming));
        Event::AppendStart(AppendStart { mailbox, index, flags, date, size: None, binary: false, replaces })
    }

    /// What comes next of a message of parts.
    pub(super) fn read_parts<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let Doing::Catenating(incoming) = &mut self.doing else { return Next::Again };
        match incoming.parts.as_mut().and_then(|parts| parts.waiting.pop_front()) {
            None => self.frame_parts(input),
            Some(next) => self.part(next),
        }
    }

    fn part<'b>(&mut self, next: Waiting) -> Next<'b> {
        let limits = &self.config.limits;
        let (parts_max, size_max) = (limits.append_parts_max, limits.append_size_max);
        let Doing::Catenating(incoming) = &mut self.doing else { return Next::Again };
        let Some(parts) = &mut incoming.parts else { return Next::Again };
        if matches!(next, Waiting::Url(_) | Waiting::Text { .. }) {
            parts.count += 1;
            if parts.count > parts_max {
                return self.parts_refused(Some(next), too_many_parts());
            }
        }
        let room = size_max.saturating_sub(parts.size);
        match next {
            Waiting::Url(octets) => {
                let Some(part) = self.named(&octets, room) else {
                    return self.parts_refused(None, bad_url(&octets));
                };
                if let Doing::Catenating(incoming) = core::mem::replace(&mut self.doing, Doing::Reading) {
                    self.doing = Doing::Asked(Asked::AppendPart(incoming, octets));
                }
                Next::Event(Event::AppendPart(part))
            }
            Waiting::Text { header, utf8 } => {
                if let Err(end) = self.refuse_text(header, utf8, room) {
                    return self.parts_refused(Some(Waiting::Text { header, utf8 }), end);
                }
                if header.synchronising {
                    self.go_ahead();
                }
                self.timer.active();
                let Doing::Catenating(incoming) = &mut self.doing else { return Next::Again };
                incoming.literal(header);
                if let Some(parts) = incoming.parts.as_mut() {
                    parts.size += header.size;
                }
                if header.size > 0 {
                    self.doing = Doing::Appending { left: header.size, incoming: incoming.clone() };
                }
                Next::Again
            }
            Waiting::End if parts.size == 0 => {
                self.parts_refused(None, End::no(&ResponseCode::Cannot, "An empty message cannot be stored"))
            }
            Waiting::End => Next::Again,
            Waiting::Begin(message) => match self.refuse_another() {
                Err(end) => self.parts_refused(None, end),
                Ok(index) => {
                    let Doing::Catenating(mut incoming) = core::mem::replace(&mut self.doing, Doing::Reading) else {
                        return Next::Again;
                    };
                    incoming.index = index;
                    if let Some(parts) = &mut incoming.parts {
                        (parts.count, parts.size) = (0, 0);
                    }
                    Next::Event(self.announced_parts(incoming, message))
                }
            },
            Waiting::Message(message, header) => {
                let refused = self.refuse_another().and_then(|index| {
                    self.refuse_literal_minus(header)?;
                    self.refuse_message(&message, header)?;
                    Ok(index)
                });
                match refused {
                    Err(end) => self.parts_refused(Some(Waiting::Message(message, header)), end),
                    Ok(index) => {
                        let Doing::Catenating(incoming) = core::mem::replace(&mut self.doing, Doing::Reading) else {
                            return Next::Again;
                        };
                        let mailbox = incoming.mailbox;
                        Next::Event(self.announced(mailbox, index, message, header, None))
                    }
                }
            }
            Waiting::CommandEnd => {
                self.doing =
                    Doing::Asked(Asked::AppendEnd { mailbox: incoming.mailbox.clone(), replaces: incoming.replaces });
                Next::Event(Event::AppendEnd)
            }
        }
    }

    /// Whether a part of this kind and size can be taken.
    fn refuse_text(&self, header: LiteralHeader, utf8: bool, room: u64) -> Result<(), End> {
        self.refuse_literal_minus(header)?;
        if utf8 && !(self.enabled.utf8 && header.binary) {
            // RFC 6855 §4
            return Err(End::bad("UTF8 needs ENABLE UTF8=ACCEPT and a literal8"));
        }
        if header.binary && !utf8 && !self.config.extensions.binary {
            return Err(End::bad("A literal8 needs the BINARY extension"));
        }
        if header.size > room {
            return Err(too_big());
        }
        Ok(())
    }

    /// The number of one more message of the command, if it may have one more.
    pub(super) fn refuse_another(&self) -> Result<usize, End> {
        let (Doing::Catenating(incoming) | Doing::AppendTail { incoming }) = &self.doing else {
            return Err(End::bad("APPEND ends behind its message"));
        };
        if incoming.replaces.is_some() {
            // RFC 8508 §4.7
            return Err(End::bad("REPLACE ends behind its message"));
        }
        if !self.config.extensions.multiappend {
            return Err(End::bad("APPEND ends behind its message"));
        }
        let index = incoming.index + 1;
        self.refuse_appending(index)?;
        match index >= self.config.limits.append_messages_max {
            true => Err(End::no(&ResponseCode::Limit, "Too many messages at once")),
            false => Ok(index),
        }
    }

    /// The message or part that a URL names.
    fn named(&self, octets: &[u8], size_max: u64) -> Option<AppendPart> {
        let MessageUrl { mailbox, uid_validity, uid, section, partial } = MessageUrl::parse(octets)?;
        let mailbox = match mailbox {
            // RFC 5092 §8: names in URLs are in UTF-8.
            Some(name) => {
                Some(MailboxName::from_wire(name.as_bytes(), self.config.separator, NameEncoding::Utf8).ok()?)
            }
            None => {
                self.view()?;
                None
            }
        };
        Some(AppendPart { mailbox, uid_validity, uid, section, partial, size_max })
    }

    /// The part was copied: so many octets.
    pub(super) fn part_copied(&mut self, size: u64) {
        if let Doing::Asked(Asked::AppendPart(mut incoming, _)) = core::mem::replace(&mut self.doing, Doing::Reading) {
            if let Some(parts) = incoming.parts.as_mut() {
                parts.size = parts.size.saturating_add(size);
            }
            self.doing = Doing::Catenating(incoming);
        }
    }

    /// What stands behind a message that is one literal, up to the end of the command or to another literal: messages of
    /// parts. `None` if they are none.
    pub(super) fn tail_in_parts(&mut self, text: &[u8], header: Option<LiteralHeader>) -> Option<Tail> {
        if !self.config.extensions.catenate {
            return None;
        }
        let line = match append_line(text, AppendPlace::Message, header.is_some(), self.config.limits.append_parts_max)
        {
            Ok(line) if matches!(line.items.first(), Some(AppendItem::Begin(_))) => line,
            Err(AppendLineError::UrlIsLiteral) => return Some(Tail::UrlIsLiteral),
            Err(AppendLineError::TooManyParts) => return Some(Tail::TooManyParts),
            _ => return None,
        };
        match core::mem::replace(&mut self.doing, Doing::Reading) {
            Doing::AppendTail { mut incoming } => {
                incoming.parts = Some(Box::new(Parts::new(waiting(line.items, header), line.place)));
                self.doing = Doing::Catenating(incoming);
            }
            other => self.doing = other,
        }
        Some(Tail::Parts)
    }

    /// Reads a line behind the octets of a part.
    fn frame_parts<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let limits = *self.frame_limits();
        let bytes: &'b [u8] = input;
        let Doing::Catenating(incoming) = &mut self.doing else { return Next::Again };
        let Some(parts) = &mut incoming.parts else { return Next::Again };
        // What cannot be the rest of the command is refused before its end comes.
        let begins_well = match (bytes.first(), parts.place) {
            (None, _) => return Next::NeedInput,
            (Some(first), AppendPlace::Utf8Part) => *first == b')',
            (Some(first), AppendPlace::Message) => matches!(first, b' ' | b'\r'),
            (Some(first), _) => matches!(first, b' ' | b')'),
        };
        if !begins_well {
            return self.parts_refused(None, syntax("APPEND"));
        }
        let (text, header, len) = match self.framer.frame(bytes, &limits) {
            Framed::Incomplete => return Next::NeedInput,
            Framed::Command { len } => (&bytes[..len - 2], None, len),
            Framed::Literal { header, len } => (before_announcement(&bytes[..len], header), Some(header), len),
            Framed::TooLong { len, text } => {
                *input = &bytes[len..];
                let end = End::bad_with("TOOBIG", "The command is too long");
                self.doing = Doing::Skipping { skipper: Skipper::behind(&bytes[text..len], limits.skip_max), end };
                return Next::Event(Event::Abandoned);
            }
        };
        match append_line(text, parts.place, header.is_some(), self.config.limits.append_parts_max) {
            Ok(line) => {
                parts.waiting = waiting(line.items, header);
                parts.place = line.place;
                *input = &bytes[len..];
                self.framer.reset();
                Next::Again
            }
            Err(error) => {
                let is_url = error == AppendLineError::UrlIsLiteral;
                if let Some(header) = header.filter(|_| is_url)
                    && self.framer.accept(header, len, &limits)
                {
                    if header.synchronising {
                        self.go_ahead();
                    }
                    return Next::Again;
                }
                *input = &bytes[len..];
                self.framer.reset();
                let end = match error {
                    AppendLineError::UrlIsLiteral => {
                        End::bad_with("TOOBIG", "The literals of this command are too large")
                    }
                    AppendLineError::TooManyParts => too_many_parts(),
                    AppendLineError::Syntax => syntax("APPEND"),
                };
                self.parts_broken_off(header, end)
            }
        }
    }

    /// Refuses a message of parts: `next` is what was about to be served, if it is not yet forgotten.
    fn parts_refused<'b>(&mut self, next: Option<Waiting>, end: End) -> Next<'b> {
        let waiting = match &mut self.doing {
            Doing::Catenating(incoming) => incoming.parts.as_mut().map(|parts| core::mem::take(&mut parts.waiting)),
            _ => None,
        };
        match waiting.and_then(|mut waiting| waiting.pop_back()).or(next) {
            Some(Waiting::Text { header, .. } | Waiting::Message(_, header)) => {
                self.parts_broken_off(Some(header), end)
            }
            Some(Waiting::CommandEnd) => self.parts_broken_off(None, end),
            // The rest of the line was not looked at.
            _ => {
                self.framer.reset();
                self.skip_literal(0, end);
                Next::Event(Event::Abandoned)
            }
        }
    }

    /// Ends a command that was read up to a literal, or up to its end.
    fn parts_broken_off<'b>(&mut self, header: Option<LiteralHeader>, end: End) -> Next<'b> {
        // Nothing is under way any more, so that a goodbye does not say so once more.
        self.doing = Doing::Reading;
        match header {
            Some(header) => self.eat_literal(header, end, self.config.limits.after_login.skip_max),
            None => self.finish(end),
        }
        Next::Event(Event::Abandoned)
    }

    /// The embedder refuses a message of parts, and so knows that it is gone.
    pub(super) fn parts_no(&mut self, incoming: Incoming, end: End) {
        self.doing = Doing::Catenating(incoming);
        let _ = self.parts_refused(None, end);
    }

    /// RFC 8508 §3.1
    pub(super) fn refuse_unoffered_replace(&self) -> Result<(), End> {
        if self.config.extensions.replace { Ok(()) } else { Err(End::bad("REPLACE is not on offer")) }
    }

    /// The message that REPLACE takes away.
    pub(super) fn replaced(&mut self, message: Option<u32>, uid: bool) -> Result<Uid, End> {
        self.refuse_read_only()?;
        let view = &self.mailbox()?.view;
        let found = match (message, uid) {
            (None, _) => view.uids().last().copied(),
            (Some(number), true) => Uid::new(number).filter(|uid| view.seq(*uid).is_some()),
            (Some(number), false) => Seq::new(number).and_then(|seq| view.uids().get(seq.get() as usize - 1)).copied(),
        };
        found.ok_or_else(|| match uid {
            true => End::no(&ResponseCode::NonExistent, "No such message"),
            false => End::bad("No such message"),
        })
    }
}

pub(super) fn bad_url(octets: &[u8]) -> End {
    End { code: Some(alloc::format!("BADURL {}", url::repeated(octets)).into()), ..End::no_such("No such part") }
}

pub(super) fn too_big() -> End {
    End::no(&ResponseCode::TooBig, "The message is too large")
}
