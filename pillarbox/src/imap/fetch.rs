//! FETCH: octets out of the store, data computed from them, in pieces that the session has room for.

use pillarbox_imap::message::{self, Section, SectionText, Structure, UnknownEncoding};
use pillarbox_imap::server::{Answer, FetchData, FetchItem, FlagChange, SectionName};
use pillarbox_imap::types::{Flag, ModSeq, ResponseCode, Uid, UidSet};

use super::pieces::{self, Kept};
use super::session::{Connection, Trouble, no_mailbox};
use crate::parts::{Cached, MessageData, MessageFlags, MessageReader, Piece, SetFlags, StoreError, StoreErrorKind};

/// Octets read from the store at a time.
pub(super) const PIECE: usize = 32 * 1024;

/// How much of a message an item needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    Nothing,
    Header,
    Everything,
}

/// A message that is to be told about.
struct Found {
    now: MessageFlags,
    /// Whatever else is known, where somebody asked for some of it.
    data: Option<MessageData>,
}

/// A message that is open, and the octets of it that are in memory.
struct Opened {
    reader: Option<Box<dyn MessageReader>>,
    octets: Vec<u8>,
}

/// What is asked for but for a preview that is not at hand (RFC 8970 §4.1).
struct Without {
    wanted: Vec<FetchItem>,
    pieces: Vec<Piece>,
}

impl Without {
    fn preview(wanted: &[FetchItem], pieces: &[Piece]) -> Option<Self> {
        let is_it = |item: &FetchItem| *item == FetchItem::Preview { lazy: true };
        wanted.iter().any(is_it).then(|| Without {
            wanted: wanted.iter().filter(|item| !is_it(item)).cloned().collect(),
            pieces: pieces.iter().filter(|piece| **piece != Piece::Preview).cloned().collect(),
        })
    }
}

/// What the answer for a message is made of.
enum Source<'a> {
    Message(Opened),
    Kept(Kept<'a>),
}

impl Connection {
    pub(super) async fn fetch(
        &mut self,
        mut uids: UidSet,
        wanted: &[FetchItem],
        mark_seen: bool,
        changed_since: Option<ModSeq>,
    ) -> Result<(), Trouble> {
        if let Some(since) = changed_since {
            let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
            uids = self.wire.answer(mailbox.changed(&uids, since)).await?;
        }
        let mut found = self.find(&uids, wanted).await?;
        if mark_seen {
            self.mark_seen(&mut found).await?;
        }
        self.look().await;
        // The set names only messages that the client was told of, so those that the store left out are gone.
        // Where only changes were asked for, VANISHED or EXPUNGE tells of them.
        let mut expunged = changed_since.is_none() && (found.len() as u64) < uids.len();
        let mut undecoded = false;
        let caches = self.selected.as_ref().is_some_and(|mailbox| mailbox.caches());
        let pieces = if caches { pieces::wanted(wanted) } else { None };
        // What is to be told of a message whose preview is not at hand, where it may be left out.
        let without = pieces.as_deref().and_then(|pieces| Without::preview(wanted, pieces));
        for (index, some) in found.chunks(pieces::AT_ONCE).enumerate() {
            self.progress(index * pieces::AT_ONCE, found.len()).await?;
            let cached = self.cached(some, pieces.as_deref()).await?;
            let missing = cached.found.iter().filter(|found| found.is_some()).count() < some.len();
            let second = match without.as_ref().filter(|without| missing && !without.pieces.is_empty()) {
                Some(without) => self.cached(some, Some(&without.pieces)).await?.found,
                None => Vec::new(),
            };
            let (mut kept, mut second) = (cached.found.into_iter(), second.into_iter());
            let mut computed = Vec::new();
            for message in some {
                let less = second.next().flatten();
                if let (Some(pieces), Some(octets)) = (&pieces, kept.next().flatten()) {
                    self.tell(message, Source::Kept(Kept { pieces, octets }), wanted).await?;
                    continue;
                }
                if let Some(Without { pieces, .. }) = &without
                    && let Some(octets) = less.or(pieces.is_empty().then(Vec::new))
                {
                    self.tell(message, Source::Kept(Kept { pieces, octets }), wanted).await?;
                    continue;
                }
                let wanted_of_it = without.as_ref().map_or(wanted, |without| &without.wanted);
                let pieces = without.as_ref().map(|without| &without.pieces).or(pieces.as_ref());
                let opened = match self.open(message.now.uid, wanted_of_it).await {
                    Ok(opened) => opened,
                    // RFC 2180 §4.1.2: the rest is answered, and the end says that something was missing.
                    Err(Trouble::Store(error)) if error.kind == StoreErrorKind::Expunged => {
                        expunged = true;
                        continue;
                    }
                    Err(trouble) => return Err(trouble),
                };
                let Some(pieces) = pieces else {
                    undecoded |= !self.tell(message, Source::Message(opened), wanted).await?;
                    continue;
                };
                let whole = wanted_of_it.iter().map(needs).max() == Some(Needs::Everything);
                let also = cached.also.iter().filter(|piece| whole || pieces::is_of_header(piece));
                let mut all = pieces::compute(pieces.iter().chain(also), &opened.octets);
                let octets = all.iter().take(pieces.len()).map(|(_, octets)| octets.clone()).collect();
                self.tell(message, Source::Kept(Kept { pieces, octets }), wanted).await?;
                pieces::keep_small(&mut all);
                computed.push((message.now.uid, all));
            }
            if let Some(mailbox) = self.selected.as_mut().filter(|_| !computed.is_empty()) {
                self.wire.answer(mailbox.remember(computed)).await;
            }
        }
        if undecoded {
            // RFC 3516 §4.3
            let text = "a part has an encoding that is not known here".into();
            self.answer(Answer::No { code: Some(ResponseCode::UnknownCte), text });
            return Ok(());
        }
        if expunged {
            return Err(StoreError::new(StoreErrorKind::Expunged, "some messages are gone").into());
        }
        self.answer(Answer::Done);
        Ok(())
    }

    /// The messages that are still there. Dates and sizes can cost a look at every file, so they are asked for only where
    /// the client did.
    async fn find(&mut self, uids: &UidSet, wanted: &[FetchItem]) -> Result<Vec<Found>, Trouble> {
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        if wanted.iter().any(is_data) {
            let messages = self.wire.answer(mailbox.messages(uids)).await?.into_iter();
            let found = messages.map(|data| {
                let mut now = MessageFlags::new(data.uid, data.flags.clone());
                now.mod_seq = data.mod_seq;
                Found { now, data: Some(data) }
            });
            return Ok(found.collect());
        }
        let messages = self.wire.answer(mailbox.flags(uids)).await?.into_iter();
        Ok(messages.map(|now| Found { now, data: None }).collect())
    }

    /// What is remembered of these messages, where it is any use to ask.
    async fn cached(&mut self, messages: &[Found], pieces: Option<&[Piece]>) -> Result<Cached, Trouble> {
        let Some(pieces) = pieces else { return Ok(Cached::default()) };
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let uids: Vec<Uid> = messages.iter().map(|message| message.now.uid).collect();
        Ok(self.wire.answer(mailbox.cached(&uids, pieces)).await)
    }

    /// Sets `\Seen` where it is not set yet.
    async fn mark_seen(&mut self, found: &mut [Found]) -> Result<(), Trouble> {
        let unseen: UidSet = found
            .iter()
            .map(|message| &message.now)
            .filter(|now| !now.flags.contains(&Flag::Seen))
            .map(|now| now.uid)
            .collect();
        if unseen.is_empty() {
            return Ok(());
        }
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let seen = SetFlags::new(FlagChange::Add, [Flag::Seen].into_iter().collect());
        match self.wire.answer(mailbox.set_flags(&unseen, &seen)).await {
            // Both lists rise.
            Ok(set) => {
                let mut set = set.into_iter().map(|set| set.now).peekable();
                for message in found {
                    while set.next_if(|now| now.uid < message.now.uid).is_some() {}
                    if let Some(now) = set.next_if(|now| now.uid == message.now.uid) {
                        message.now = now;
                    }
                }
            }
            // RFC 4314 §4
            Err(error) if error.kind == StoreErrorKind::NoPermission => {}
            // A full disk is no reason to withhold a message.
            Err(error) => self.failed("marking messages as seen", &error),
        }
        Ok(())
    }

    /// Opens a message, as far as the wanted items need it.
    async fn open(&mut self, uid: Uid, wanted: &[FetchItem]) -> Result<Opened, Trouble> {
        let needs = wanted.iter().map(needs).max().unwrap_or(Needs::Nothing);
        if needs == Needs::Nothing && !wanted.iter().any(is_whole) {
            return Ok(Opened { reader: None, octets: Vec::new() });
        }
        let Some(mailbox) = &mut self.selected else { return Err(no_mailbox().into()) };
        let mut reader = self.wire.answer(mailbox.read(uid)).await?;
        let octets = self.wire.answer(Box::pin(read_up_to(&mut *reader, needs))).await?;
        Ok(Opened { reader: Some(reader), octets })
    }

    /// Answers for one message; false if a part of it cannot be decoded.
    async fn tell(&mut self, message: &Found, source: Source<'_>, wanted: &[FetchItem]) -> Result<bool, Trouble> {
        let (kept, Opened { mut reader, octets }) = match source {
            Source::Kept(kept) => (Some(kept), Opened { reader: None, octets: Vec::new() }),
            Source::Message(opened) => (None, opened),
        };
        let limits = message::Limits::default();
        // Where only the header was read, this is the structure of a message that ends behind it.
        let in_memory = kept.is_none() && wanted.iter().any(|item| needs(item) > Needs::Nothing);
        let structure = in_memory.then(|| Structure::parse(&octets, &limits));

        self.answer(Answer::Message(message.now.uid));
        let mut written = Vec::new();
        let mut decoded = true;
        for item in wanted {
            written.clear();
            if let Some(kept) = &kept
                && self.tell_kept(kept, item).await?
            {
                self.flush_if_full().await?;
                continue;
            }
            match item {
                FetchItem::Uid => {}
                FetchItem::Flags => self.answer(Answer::Data(FetchData::Flags(message.now.flags.clone()))),
                FetchItem::ModSeq => {
                    // The session asks for it only where there is one.
                    let mod_seq = message.now.mod_seq.unwrap_or(ModSeq::MIN);
                    self.answer(Answer::Data(FetchData::ModSeq(mod_seq)));
                }
                FetchItem::InternalDate
                | FetchItem::Rfc822Size
                | FetchItem::SaveDate
                | FetchItem::EmailId
                | FetchItem::ThreadId => {
                    let data = message.data.as_ref().expect("it was asked for");
                    match item {
                        FetchItem::InternalDate => {
                            self.answer(Answer::Data(FetchData::InternalDate(data.internal_date)));
                        }
                        FetchItem::Rfc822Size => self.answer(Answer::Data(FetchData::Rfc822Size(data.size))),
                        FetchItem::SaveDate => self.answer(Answer::Data(FetchData::SaveDate(data.save_date))),
                        FetchItem::ThreadId => {
                            self.answer(Answer::Data(FetchData::ThreadId(data.thread_id.clone())));
                        }
                        _ => {
                            if let Some(id) = data.email_id.clone() {
                                self.answer(Answer::Data(FetchData::EmailId(id)));
                            }
                        }
                    }
                }
                FetchItem::Envelope => {
                    let (header, _) = pillarbox_core::header::split(&octets);
                    message::write_envelope(header, &limits, &mut written);
                    self.answer(Answer::Data(FetchData::Written { item: FetchItem::Envelope, text: &written }));
                }
                FetchItem::Body | FetchItem::BodyStructure => {
                    let structure = structure.as_ref().expect("a structure was needed");
                    let extended = *item == FetchItem::BodyStructure;
                    message::write_body(structure, &octets, &limits, extended, &mut written);
                    self.answer(Answer::Data(FetchData::Written { item: item.clone(), text: &written }));
                }
                FetchItem::Preview { .. } => {
                    let structure = structure.as_ref().expect("a structure was needed");
                    let text = message::preview(structure, &octets, &limits);
                    self.answer(Answer::Data(FetchData::Preview(Some(&text))));
                }
                FetchItem::Section { section, partial, name, .. } => {
                    if is_whole(item) {
                        let reader = reader.as_mut().expect("a reader was opened");
                        self.stream(&mut **reader, section, *name, *partial).await?;
                    } else {
                        let structure = structure.as_ref().expect("a structure was needed");
                        self.section(&octets, structure, section, *name, *partial).await?;
                    }
                }
                FetchItem::Binary { section, partial, .. } => {
                    let structure = structure.as_ref().expect("a structure was needed");
                    decoded &= self.binary(&octets, structure, section, *partial).await?;
                }
                FetchItem::BinarySize(section) => {
                    let structure = structure.as_ref().expect("a structure was needed");
                    let binary = structure.binary(&octets, &section.path);
                    match binary.map(|binary| binary?.measure(&octets, None).map(|(size, _)| size)) {
                        Some(Err(UnknownEncoding)) => decoded = false,
                        // Of a part that there is not BINARY tells nothing.
                        None => self.answer(Answer::Data(FetchData::BinarySize { section, size: 0 })),
                        Some(Ok(size)) => self.answer(Answer::Data(FetchData::BinarySize { section, size })),
                    }
                }
                // An item of a later version of the protocol crate.
                _ => {}
            }
            self.flush_if_full().await?;
        }
        self.answer(Answer::MessageEnd);
        self.flush_if_full().await?;
        Ok(decoded)
    }

    /// Answers for an item out of what was kept; false if it needs nothing of that.
    async fn tell_kept(&mut self, kept: &Kept<'_>, item: &FetchItem) -> Result<bool, Trouble> {
        match item {
            FetchItem::Envelope | FetchItem::Body | FetchItem::BodyStructure => {
                let text = kept.written(item);
                self.answer(Answer::Data(FetchData::Written { item: item.clone(), text }));
            }
            FetchItem::Preview { .. } => self.answer(Answer::Data(FetchData::Preview(kept.preview()))),
            FetchItem::Section { section, partial, name, .. } => {
                let fields = kept.fields(section);
                let (start, count) = partial.unwrap_or((0, u64::MAX));
                let start = usize::try_from(start).unwrap_or(usize::MAX).min(fields.len());
                let len = usize::try_from(count).unwrap_or(usize::MAX).min(fields.len() - start);
                let origin = partial.map(|(origin, _)| origin);
                self.answer(Answer::Literal { section, name: *name, origin, len: len as u64 });
                self.send(&fields[start..start + len]).await?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A part undone of its encoding; false if that cannot be done.
    async fn binary(
        &mut self,
        octets: &[u8],
        structure: &Structure,
        section: &Section,
        partial: Option<(u64, u64)>,
    ) -> Result<bool, Trouble> {
        let (name, origin) = (SectionName::Binary, partial.map(|(origin, _)| origin));
        let binary = match structure.binary(octets, &section.path) {
            None => {
                self.answer(Answer::NoSection { section, name, origin });
                return Ok(true);
            }
            Some(Err(UnknownEncoding)) => return Ok(false),
            Some(Ok(binary)) => binary,
        };
        match binary.measure(octets, partial) {
            Err(UnknownEncoding) => return Ok(false),
            Ok((len, true)) => self.answer(Answer::BinaryLiteral { section, origin, len }),
            Ok((len, false)) => self.answer(Answer::Literal { section, name, origin, len }),
        }
        let mut pieces = binary.pieces(octets, partial);
        while let Some(piece) = pieces.next_piece() {
            self.send(piece).await?;
        }
        Ok(true)
    }

    /// A section out of octets that are in memory.
    async fn section(
        &mut self,
        octets: &[u8],
        structure: &Structure,
        section: &Section,
        name: SectionName,
        partial: Option<(u64, u64)>,
    ) -> Result<(), Trouble> {
        let origin = partial.map(|(origin, _)| origin);
        let Some(found) = structure.section(octets, section) else {
            self.answer(Answer::NoSection { section, name, origin });
            return Ok(());
        };
        let found = match partial {
            Some((origin, count)) => found.partial(origin, count),
            None => found,
        };
        self.answer(Answer::Literal { section, name, origin, len: found.len() as u64 });
        for chunk in found.chunks(octets) {
            self.send(chunk).await?;
        }
        Ok(())
    }

    /// The whole message, straight from the store.
    async fn stream(
        &mut self,
        reader: &mut dyn MessageReader,
        section: &Section,
        name: SectionName,
        partial: Option<(u64, u64)>,
    ) -> Result<(), Trouble> {
        let (start, count) = partial.unwrap_or((0, u64::MAX));
        let len = reader.size().saturating_sub(start).min(count);
        self.answer(Answer::Literal { section, name, origin: partial.map(|(origin, _)| origin), len });
        let mut buffer = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
        let mut sent = 0;
        while sent < len {
            let piece = buffer.len().min(usize::try_from(len - sent).unwrap_or(usize::MAX));
            let read = self.wire.answer(reader.read_at(start + sent, &mut buffer[..piece])).await?;
            if read == 0 {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "a message is shorter than it was").into());
            }
            self.send(&buffer[..read]).await?;
            sent += read as u64;
        }
        Ok(())
    }

    /// Octets of an announced literal, as fast as the client takes them.
    async fn send(&mut self, mut octets: &[u8]) -> Result<(), Trouble> {
        while !octets.is_empty() {
            self.flush_if_full().await?;
            let room = self.wire.machine.room().min(octets.len());
            let (chunk, rest) = octets.split_at(room);
            self.answer(Answer::Chunk(chunk));
            octets = rest;
        }
        Ok(())
    }
}

/// A section that is the message itself and can be streamed.
pub(super) fn is_whole(item: &FetchItem) -> bool {
    matches!(item, FetchItem::Section { section, .. } if section.path.is_empty() && section.text == SectionText::Full)
}

/// What only [`Mailbox::messages`](crate::parts::Mailbox::messages) tells.
fn is_data(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::InternalDate
            | FetchItem::Rfc822Size
            | FetchItem::SaveDate
            | FetchItem::EmailId
            | FetchItem::ThreadId
    )
}

pub(super) fn needs(item: &FetchItem) -> Needs {
    match item {
        FetchItem::Envelope => Needs::Header,
        FetchItem::Body | FetchItem::BodyStructure | FetchItem::Preview { .. } => Needs::Everything,
        FetchItem::Section { .. } if is_whole(item) => Needs::Nothing,
        FetchItem::Section { section, .. } => section_needs(section),
        FetchItem::Binary { .. } | FetchItem::BinarySize(_) => Needs::Everything,
        _ => Needs::Nothing,
    }
}

/// What a section needs that is not the whole message.
pub(super) fn section_needs(section: &Section) -> Needs {
    match section.text {
        SectionText::Header | SectionText::HeaderFields { .. } if section.path.is_empty() => Needs::Header,
        _ => Needs::Everything,
    }
}

/// Reads as much of a message as is needed: nothing, at least its header, or all of it.
pub(super) async fn read_up_to(reader: &mut dyn MessageReader, needs: Needs) -> Result<Vec<u8>, StoreError> {
    let mut octets = Vec::new();
    let size = usize::try_from(reader.size()).map_err(|_| StoreError::new(StoreErrorKind::Limit, "too large"))?;
    let mut step = if needs == Needs::Header { 8 * 1024 } else { size };
    while needs != Needs::Nothing && octets.len() < size {
        let start = octets.len();
        octets.resize((start + step.max(1)).min(size), 0);
        let mut filled = start;
        while filled < octets.len() {
            match reader.read_at(filled as u64, &mut octets[filled..]).await? {
                0 => return Err(StoreError::new(StoreErrorKind::Unavailable, "a message is shorter than it was")),
                read => filled += read,
            }
        }
        // Three octets back: the end of the header may stand across two pieces.
        let look = &octets[start.saturating_sub(3)..];
        if needs == Needs::Header && (look.windows(4).any(|four| four == b"\r\n\r\n") || octets.starts_with(b"\r\n")) {
            break;
        }
        step = step.saturating_mul(2);
    }
    Ok(octets)
}

/// A whole message in memory, for searching.
pub(super) async fn read_message(reader: &mut dyn MessageReader, header_only: bool) -> Result<Vec<u8>, StoreError> {
    read_up_to(reader, if header_only { Needs::Header } else { Needs::Everything }).await
}
