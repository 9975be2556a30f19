//! FETCH: the answer streams, message by message and piece by piece.

use alloc::vec::Vec;

use memchr::memchr;
use pillarbox_core::Misuse;

use super::read::Served;
use super::reply::{End, Output};
use super::session::Asked;
use super::sync::FetchModifiers;
use super::{Answer, Event, FetchData, FetchItem, SectionName, ServerSession};
use crate::message::Section;
use crate::types::{Flags, ModSeq, Seq, SequenceSet, Uid, UidSet};
use crate::view::View;
use crate::wire::encode::{date_time, number, push, string};

/// A FETCH that is being answered.
#[derive(Debug)]
pub(super) struct Fetching {
    wanted: Vec<FetchItem>,
    /// UID is told of each message.
    uid: bool,
    /// `\Seen` is set.
    mark_seen: bool,
    /// The command that this is a part of selects the mailbox: without it, none is selected.
    selecting: bool,
    /// How the command ends.
    end: End,
    open: Option<Open>,
}

/// A message whose answer has begun.
#[derive(Debug)]
struct Open {
    uid: Uid,
    /// None: the client does not know the message, and hears nothing of it.
    seq: Option<Seq>,
    /// The client is told no sequence numbers.
    uids_only: bool,
    /// `* 5 FETCH (` was written.
    begun: bool,
    /// Octets of an announced literal that did not come yet.
    left: u64,
    /// That literal may hold NUL.
    binary: bool,
    /// Flags and mod-sequence that were told.
    flags: Option<Flags>,
    mod_seq: Option<ModSeq>,
}

impl ServerSession {
    /// RFC 9051 §6.4.5, RFC 7162 §3.1.4
    pub(super) fn fetch<'b>(
        &mut self,
        set: &SequenceSet,
        mut wanted: Vec<FetchItem>,
        modifiers: FetchModifiers,
        uid: bool,
    ) -> Served<'b> {
        self.refuse_items(&wanted)?;
        let FetchModifiers { changed_since, partial, vanished } = modifiers;
        if changed_since.is_some() && !wanted.contains(&FetchItem::ModSeq) {
            wanted.push(FetchItem::ModSeq);
        }
        let mod_seqs = wanted.contains(&FetchItem::ModSeq);
        if mod_seqs {
            self.refuse_without_mod_seqs()?;
        }
        let mut uids = self.resolve(set, uid)?;
        if let Some(range) = partial {
            self.refuse_part_of_too_many(range)?;
            // RFC 9394 §3.4: before it is seen which of them changed.
            uids = range.of(&uids);
        }
        self.take_last(&mut uids);
        if mod_seqs {
            self.enable_condstore();
        }
        // RFC 9051 §6.4.9: answers to UID FETCH always tell the UID. The session writes it, so nobody is asked for it.
        // RFC 9586: where each answer begins with the UID it stands in it only if it was asked for.
        let tells_uid = uid && !self.enabled.uid_only || wanted.contains(&FetchItem::Uid);
        wanted.retain(|item| *item != FetchItem::Uid);
        if wanted.contains(&FetchItem::Preview { lazy: false }) {
            wanted.retain(|item| *item != FetchItem::Preview { lazy: true });
        }
        // RFC 9051 §6.3.3: EXAMINE changes nothing.
        let mark_seen = !self.mailbox()?.read_only && wanted.iter().any(FetchItem::sets_seen);
        let mut fetching = Fetching::new(wanted.clone(), tells_uid, End::ok("Fetched"));
        fetching.mark_seen = mark_seen;
        if let Some(since) = changed_since.filter(|_| vanished) {
            // The largest UID in use may be one that is gone. Of what `$` names nothing is gone (RFC 5182 §2.1).
            let ranges = set.resolve(u32::MAX).into_iter();
            let unsure: UidSet =
                ranges.filter_map(|range| Some(Uid::new(*range.start())?..=Uid::new(*range.end())?)).collect();
            if !unsure.is_empty() {
                return Ok(Some(self.ask_vanished(unsure, since, uids, fetching)));
            }
        }
        if uids.is_empty() {
            self.finish(End::ok("No such messages"));
            return Ok(None);
        }
        Ok(self.ask(Asked::Fetch(fetching), Event::Fetch { uids, wanted, mark_seen, changed_since }))
    }

    /// Refuses items that are not on offer, as items that are not known.
    pub(super) fn refuse_items(&self, wanted: &[FetchItem]) -> Result<(), End> {
        for item in wanted {
            let known = match item {
                FetchItem::Binary { .. } | FetchItem::BinarySize(_) => self.config.extensions.binary,
                FetchItem::EmailId | FetchItem::ThreadId => self.config.extensions.object_id,
                FetchItem::ModSeq => self.config.extensions.condstore,
                FetchItem::Preview { .. } => self.config.extensions.preview,
                FetchItem::SaveDate => self.config.extensions.save_date,
                // RFC 9051 Appendix E, 18
                FetchItem::Section { name, .. } => *name == SectionName::Body || !self.enabled.rev2,
                _ => true,
            };
            if !known {
                return Err(End::bad("FETCH knows no such item"));
            }
        }
        Ok(())
    }
}

impl Fetching {
    pub(super) fn new(wanted: Vec<FetchItem>, uid: bool, end: End) -> Self {
        Fetching { wanted, uid, mark_seen: false, selecting: false, end, open: None }
    }

    /// The same within SELECT.
    pub(super) fn selecting(self) -> Self {
        Fetching { selecting: true, ..self }
    }

    pub(super) fn is_selecting(&self) -> bool {
        self.selecting
    }

    pub(super) fn marks_seen(&self) -> bool {
        self.mark_seen
    }

    pub(super) fn end(&self) -> End {
        self.end.clone()
    }

    pub(super) fn wanted(&self) -> &[FetchItem] {
        &self.wanted
    }

    /// Whether a message is under way, so that the answer cannot end.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Ends what is open before its time; false if the client waits for octets that will not come.
    pub(super) fn break_off(&mut self, out: &mut Output) -> bool {
        match self.open.take() {
            Some(Open { seq: Some(_), left, .. }) if left > 0 => false,
            Some(Open { begun: true, .. }) => {
                out.end().extend_from_slice(b")\r\n");
                true
            }
            _ => true,
        }
    }

    /// Takes a part of the answer. `room`: how many octets of a chunk are taken.
    pub(super) fn part(
        &mut self,
        answer: &Answer<'_>,
        view: &mut View,
        out: &mut Output,
        room: usize,
    ) -> Result<(), Misuse> {
        let wrong = || Misuse::WrongAnswer { question: "Fetch", answer: super::answer::name(answer) };
        match (&mut self.open, answer) {
            (None, Answer::Message(uid)) => {
                let mut open = Open {
                    uid: *uid,
                    seq: view.seq(*uid),
                    uids_only: view.tells_uids_only(),
                    begun: false,
                    left: 0,
                    binary: false,
                    flags: None,
                    mod_seq: None,
                };
                if self.uid {
                    open.item(out, |out| {
                        out.extend_from_slice(b"UID ");
                        number(out, uid.get().into());
                    });
                }
                self.open = Some(open);
                Ok(())
            }
            (Some(open), Answer::Chunk(chunk)) => {
                if chunk.len() as u64 > open.left || chunk.len() > room {
                    return Err(Misuse::TooLong { what: "a chunk" });
                }
                open.left -= chunk.len() as u64;
                match open.seq {
                    Some(_) if open.binary => out.end().extend_from_slice(chunk),
                    Some(_) => append_without_nul(out.end(), chunk),
                    None => {}
                }
                Ok(())
            }
            // Everything else has to wait for the rest of the literal.
            (Some(open), _) if open.left > 0 => Err(wrong()),
            (Some(open), Answer::MessageEnd) => {
                if open.begun {
                    out.end().extend_from_slice(b")\r\n");
                }
                if let Some(flags) = &open.flags {
                    view.drop_same_flags(open.uid, flags, open.mod_seq);
                }
                if let Some(mod_seq) = open.mod_seq {
                    view.told_mod_seq(mod_seq);
                }
                self.open = None;
                Ok(())
            }
            (Some(open), Answer::Data(data)) => {
                let was_asked = self.wanted.iter().any(|item| match (item, data) {
                    (FetchItem::BinarySize(wanted), FetchData::BinarySize { section, .. }) => wanted == *section,
                    (item, FetchData::EmailId(_)) => *item == FetchItem::EmailId,
                    (item, FetchData::Flags(_)) => *item == FetchItem::Flags,
                    (item, FetchData::InternalDate(_)) => *item == FetchItem::InternalDate,
                    (item, FetchData::ModSeq(_)) => *item == FetchItem::ModSeq,
                    (FetchItem::Preview { lazy }, FetchData::Preview(text)) => text.is_some() || *lazy,
                    (item, FetchData::Rfc822Size(_)) => *item == FetchItem::Rfc822Size,
                    (item, FetchData::SaveDate(_)) => *item == FetchItem::SaveDate,
                    (item, FetchData::ThreadId(_)) => *item == FetchItem::ThreadId,
                    (item, FetchData::Written { item: told, .. }) => item == told,
                    _ => false,
                });
                if !was_asked {
                    return Err(wrong());
                }
                open.data(data, out).ok_or_else(wrong)
            }
            (Some(open), Answer::Literal { section, name, origin, len })
                if is_wanted(&self.wanted, section, *name, *origin) =>
            {
                open.item(out, |out| {
                    section_name(out, section, *name, *origin);
                    push(out, format_args!(" {{{len}}}\r\n"));
                });
                (open.left, open.binary) = (*len, false);
                Ok(())
            }
            (Some(open), Answer::BinaryLiteral { section, origin, len })
                if is_wanted(&self.wanted, section, SectionName::Binary, *origin) =>
            {
                open.item(out, |out| {
                    section_name(out, section, SectionName::Binary, *origin);
                    // RFC 3516 §4.3: what holds NUL is a literal8.
                    push(out, format_args!(" ~{{{len}}}\r\n"));
                });
                (open.left, open.binary) = (*len, true);
                Ok(())
            }
            (Some(open), Answer::NoSection { section, name, origin })
                if is_wanted(&self.wanted, section, *name, *origin) =>
            {
                open.item(out, |out| {
                    section_name(out, section, *name, *origin);
                    push(out, format_args!(" NIL"));
                });
                Ok(())
            }
            _ => Err(wrong()),
        }
    }
}

impl Open {
    /// Writes an item behind the others.
    fn item(&mut self, out: &mut Output, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(seq) = self.seq else { return };
        if self.begun {
            out.end().push(b' ');
        } else {
            let out = out.end();
            out.extend_from_slice(b"* ");
            if self.uids_only {
                number(out, self.uid.get().into());
                out.extend_from_slice(b" UIDFETCH (");
            } else {
                number(out, seq.get().into());
                out.extend_from_slice(b" FETCH (");
            }
            self.begun = true;
        }
        write(out.end());
    }

    fn data(&mut self, data: &FetchData<'_>, out: &mut Output) -> Option<()> {
        match data {
            FetchData::BinarySize { section, size } => {
                self.item(out, |out| push(out, format_args!("BINARY.SIZE[{section}] {size}")));
            }
            // RFC 8474 §7
            FetchData::EmailId(id) => self.item(out, |out| push(out, format_args!("EMAILID ({id})"))),
            FetchData::Flags(flags) => {
                self.flags = Some(flags.clone());
                self.item(out, |out| push(out, format_args!("FLAGS {flags}")));
            }
            FetchData::InternalDate(date) => self.item(out, |out| {
                out.extend_from_slice(b"INTERNALDATE ");
                date_time(out, *date);
            }),
            FetchData::ModSeq(mod_seq) => {
                self.mod_seq = Some(*mod_seq);
                self.item(out, |out| {
                    out.extend_from_slice(b"MODSEQ (");
                    number(out, mod_seq.get());
                    out.push(b')');
                });
            }
            // RFC 8970 §6
            FetchData::Preview(None) => self.item(out, |out| out.extend_from_slice(b"PREVIEW NIL")),
            FetchData::Preview(Some(text)) => self.item(out, |out| {
                out.extend_from_slice(b"PREVIEW ");
                // No literal holds NUL.
                string(out, text.replace('\0', "").as_bytes());
            }),
            // RFC 8514 §5
            FetchData::SaveDate(date) => self.item(out, |out| {
                out.extend_from_slice(b"SAVEDATE ");
                match date {
                    Some(date) => date_time(out, *date),
                    None => out.extend_from_slice(b"NIL"),
                }
            }),
            FetchData::ThreadId(Some(id)) => self.item(out, |out| push(out, format_args!("THREADID ({id})"))),
            FetchData::ThreadId(None) => self.item(out, |out| push(out, format_args!("THREADID NIL"))),
            FetchData::Rfc822Size(size) => self.item(out, |out| {
                out.extend_from_slice(b"RFC822.SIZE ");
                number(out, *size);
            }),
            FetchData::Written { item, text } => {
                let name = match item {
                    FetchItem::Body => "BODY ",
                    FetchItem::BodyStructure => "BODYSTRUCTURE ",
                    FetchItem::Envelope => "ENVELOPE ",
                    _ => return None,
                };
                self.item(out, |out| {
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(text);
                });
            }
        }
        Some(())
    }
}

/// Whether exactly this was asked for.
fn is_wanted(wanted: &[FetchItem], told: &Section, told_name: SectionName, told_origin: Option<u64>) -> bool {
    wanted.iter().any(|item| match item {
        FetchItem::Section { section, partial, name, .. } => {
            section == told && *name == told_name && partial.map(|(origin, _)| origin) == told_origin
        }
        FetchItem::Binary { section, partial, .. } => {
            section == told && told_name == SectionName::Binary && partial.map(|(origin, _)| origin) == told_origin
        }
        _ => false,
    })
}

/// RFC 9051 §7.5.2: the answer's name is the question's, `.PEEK` and the number of octets left out.
fn section_name(out: &mut Vec<u8>, section: &Section, name: SectionName, origin: Option<u64>) {
    match name {
        SectionName::Binary => push(out, format_args!("BINARY[{section}]")),
        SectionName::Body => push(out, format_args!("BODY[{section}]")),
        SectionName::Rfc822 => push(out, format_args!("RFC822")),
        SectionName::Rfc822Header => push(out, format_args!("RFC822.HEADER")),
        SectionName::Rfc822Text => push(out, format_args!("RFC822.TEXT")),
    }
    if let Some(origin) = origin {
        push(out, format_args!("<{origin}>"));
    }
}

/// RFC 9051 §9: a literal holds no NUL. A stored message may; it is shown with 0x80 instead, so that lengths stay.
fn append_without_nul(out: &mut Vec<u8>, mut chunk: &[u8]) {
    while let Some(at) = memchr(0, chunk) {
        out.extend_from_slice(&chunk[..at]);
        out.push(0x80);
        chunk = &chunk[at + 1..];
    }
    out.extend_from_slice(chunk);
}
