//! One open mailbox, and its messages.

use pillarbox_core::WallTime;
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{Change, FlagChange, Snapshot};
use pillarbox_imap::types::{Flags, MailboxName, ModSeq, ObjectId, Uid, UidSet, UidValidity};

use super::store::unsupported;
use super::{Append, BoxFuture, IncomingAppend, Progress, StoreError};

/// What [`Mailbox::copy`] or [`Mailbox::move_to`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Copied {
    /// The target's UIDVALIDITY, and the UIDs of each message here and there.
    Known(UidValidity, Vec<(Uid, Uid)>),
    /// The messages here, where the user may not read what is there, and so hears no UIDs of it (RFC 4315 §3).
    Untold(Vec<Uid>),
}

impl Copied {
    /// The messages here.
    pub fn sources(&self) -> impl Iterator<Item = Uid> {
        let (pairs, untold) = match self {
            Copied::Known(_, pairs) => (&**pairs, &[][..]),
            Copied::Untold(sources) => (&[][..], &**sources),
        };
        pairs.iter().map(|(here, _)| *here).chain(untold.iter().copied())
    }

    /// The target's UIDVALIDITY, and the UIDs of each message here and there, if the user may know them.
    pub fn known(self) -> Option<(UidValidity, Vec<(Uid, Uid)>)> {
        match self {
            Copied::Known(uid_validity, pairs) => Some((uid_validity, pairs)),
            Copied::Untold(_) => None,
        }
    }
}

/// One open selection of a mailbox.
pub trait Mailbox: Send {
    /// The mailbox as it is now; changes are counted from here.
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot, StoreError>>;
    /// What changed since the last call, looked up now. Own changes are in it too.
    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>, StoreError>>;
    /// Waits until something changed. Cancel-safe: what was not returned comes with the next call.
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>, StoreError>>;
    /// What is known of these messages, rising by UID; ones that are gone are left out.
    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>, StoreError>>;
    /// The flags of these messages, rising by UID; ones that are gone are left out. For stores to which dates and sizes
    /// cost more than flags.
    fn flags<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageFlags>, StoreError>> {
        let messages = self.messages(uids);
        let flags =
            |message: MessageData| MessageFlags { uid: message.uid, flags: message.flags, mod_seq: message.mod_seq };
        Box::pin(async move { Ok(messages.await?.into_iter().map(flags).collect()) })
    }
    /// Those of these messages that are there and have a higher mod-sequence.
    fn changed<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet, StoreError>> {
        let flags = self.flags(uids);
        let changed = move |message: MessageFlags| (message.mod_seq > Some(since)).then_some(message.uid);
        Box::pin(async move { Ok(flags.await?.into_iter().filter_map(changed).collect()) })
    }
    /// Those of these messages that were expunged at a higher mod-sequence (RFC 7162 §3.2.6). A store that does not know
    /// it back to `since` gives all of them that are not there and below the next UID, as if each had gone since. `uids`
    /// may span all numbers there are. Optional: see [`StoreCapabilities::vanished`](super::StoreCapabilities::vanished).
    fn vanished<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet, StoreError>> {
        let _ = (uids, since);
        Box::pin(std::future::ready(Err(unsupported("a memory of what was expunged"))))
    }
    /// Opens a message's octets.
    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>, StoreError>>;
    /// From now on what is done with many messages here (flags, copies, moves, removals) is counted there, message by message, so that
    /// whoever waits for it knows how far it has come. What is moved may count twice. Optional.
    fn count_in(&mut self, progress: Progress) {
        drop(progress);
    }
    /// Changes flags, of each message in one step with the comparison that [`SetFlags::unchanged_since`] asks for.
    fn set_flags<'a>(
        &'a mut self,
        uids: &'a UidSet,
        what: &'a SetFlags,
    ) -> BoxFuture<'a, Result<Vec<FlagsSet>, StoreError>>;
    /// Copies those of these messages that are still there, all or none; [`StoreErrorKind::Expunged`](super::StoreErrorKind::Expunged) if none is there.
    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied, StoreError>>;
    /// Moves those of these messages that are still there: at every moment each is in one of the two mailboxes, or in
    /// both (RFC 6851 §3.3). [`StoreErrorKind::Expunged`](super::StoreErrorKind::Expunged) if none is there. After another error none of them is in the
    /// target, or some are in both. Optional: see [`StoreCapabilities::moves`](super::StoreCapabilities::moves).
    fn move_to<'a>(
        &'a mut self,
        uids: &'a UidSet,
        target: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Copied, StoreError>> {
        let _ = (uids, target);
        Box::pin(std::future::ready(Err(unsupported("moves"))))
    }
    /// Begins a message that takes the place of one here (RFC 8508). When it is [published](IncomingAppend::publish) it is in
    /// `target`, which may be this mailbox, and the other is gone: at every moment there is one of the two, or both. After an
    /// error the other is where it was, with [`StoreErrorKind::Expunged`](super::StoreErrorKind::Expunged) if it was gone before; nothing of the new one is left
    /// unless the error came so late that nobody can tell. Of quota only what the two differ by is needed. Published it cannot be
    /// undone, and there is no [`next`](IncomingAppend::next) message. Optional: see [`StoreCapabilities::replace`](super::StoreCapabilities::replace).
    fn replace<'a>(
        &'a mut self,
        uid: Uid,
        target: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>, StoreError>> {
        let _ = (uid, target, append);
        Box::pin(std::future::ready(Err(unsupported("replacing messages"))))
    }
    /// Removes messages that have `\Deleted`, of these or of all; returns which.
    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>, StoreError>>;
    /// Searches with an index of its own. `None`: it has none, and the caller reads the messages itself. Where texts are not
    /// compared by i;unicode-casemap, the server's configuration must not offer I18NLEVEL=2
    /// ([`Extensions::i18n`](pillarbox_imap::server::Extensions::i18n)).
    fn search<'a>(&'a mut self, query: &'a Query) -> BoxFuture<'a, Result<Option<Vec<Uid>>, StoreError>> {
        let _ = query;
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Whether it is worth asking [`cached`](Mailbox::cached) before messages are opened.
    fn caches(&self) -> bool {
        false
    }
    /// What was [remembered](Mailbox::remember) of these messages. What is given was remembered of this very message; that
    /// nothing is given can have any reason. Optional.
    fn cached<'a>(&'a mut self, uids: &'a [Uid], wanted: &'a [Piece]) -> BoxFuture<'a, Cached> {
        let _ = (uids, wanted);
        Box::pin(std::future::ready(Cached::default()))
    }
    /// Keeps pieces of messages that were opened, as far as there is room. Nobody relies on it, so it cannot fail. Optional.
    fn remember(&mut self, computed: Vec<Computed>) -> BoxFuture<'_, ()> {
        drop(computed);
        Box::pin(std::future::ready(()))
    }
}

/// What is computed of a message and never changes, so that a store may keep it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Piece {
    /// The text of ENVELOPE ([`write_envelope`](pillarbox_imap::message::write_envelope)).
    Envelope,
    /// The text of BODY ([`write_body`](pillarbox_imap::message::write_body)).
    Body,
    /// The text of BODYSTRUCTURE.
    BodyStructure,
    /// The beginning of its text, in UTF-8 ([`preview`](pillarbox_imap::message::preview)).
    Preview,
    /// The fields of the header with this name, which is in small letters: of each where it begins in the message and how
    /// long it is, four octets each, low octet first, and the field as it stands there. Empty if there is none.
    Field(String),
    /// What it is sorted by ([`write_sort_keys`](pillarbox_imap::sort::write_sort_keys)).
    SortKeys,
    /// What it is threaded by ([`write_thread_keys`](pillarbox_imap::thread::write_thread_keys)).
    ThreadKeys,
    /// What ends the header and every selection of its fields: an empty line, as the message has it.
    HeaderEnd,
}

/// A message, and pieces that were computed of it.
pub type Computed = (Uid, Vec<(Piece, Vec<u8>)>);

/// What a mailbox remembers of some messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cached {
    /// For each message, in their order, the octets of each piece that was wanted, in their order; `None` where one of them is
    /// missing. Shorter if nothing is known of the rest.
    pub found: Vec<Option<Vec<Vec<u8>>>>,
    /// What else was wanted of messages here lately: worth computing along when one has to be opened.
    pub also: Vec<Piece>,
}

impl Cached {
    /// What was found, and what else was wanted lately.
    pub const fn new(found: Vec<Option<Vec<Vec<u8>>>>, also: Vec<Piece>) -> Self {
        Cached { found, also }
    }
}

/// What is to be done with flags.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SetFlags {
    /// Whether they are set, added or removed.
    pub change: FlagChange,
    /// Which.
    pub flags: Flags,
    /// Leave a message as it is that changed after this mod-sequence (RFC 7162 §3.1.3). For a store that knows when each
    /// flag changed, a message that changed in other flags only counts as unchanged, unless all flags are replaced; there
    /// 0 is before everything but the absence of a keyword. Only where there are mod-sequences
    /// ([`StoreCapabilities::mod_seqs`](super::StoreCapabilities::mod_seqs)).
    pub unchanged_since: Option<u64>,
}

impl SetFlags {
    /// Without a condition.
    pub const fn new(change: FlagChange, flags: Flags) -> Self {
        SetFlags { change, flags, unchanged_since: None }
    }
}

/// What [`Mailbox::set_flags`] came to for a message that is still there; they rise by UID.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagsSet {
    /// The message as it is now.
    pub now: MessageFlags,
    /// It was left as it was, because it had changed.
    pub refused: bool,
    /// It has other flags than before, by this and nobody else. The client is told of what others changed, also where it did
    /// not want to hear of its own changes.
    pub changed: bool,
}

impl FlagsSet {
    /// What came of a message, which changed unless it was refused.
    pub const fn new(now: MessageFlags, refused: bool) -> Self {
        FlagsSet { now, refused, changed: !refused }
    }
}

/// The flags of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageFlags {
    /// Its UID.
    pub uid: Uid,
    /// Its flags.
    pub flags: Flags,
    /// Its mod-sequence, where there are such ([`StoreCapabilities::mod_seqs`](super::StoreCapabilities::mod_seqs)).
    pub mod_seq: Option<ModSeq>,
}

impl MessageFlags {
    /// The flags of a message without a mod-sequence.
    pub const fn new(uid: Uid, flags: Flags) -> Self {
        MessageFlags { uid, flags, mod_seq: None }
    }
}

/// What is known of a message without its octets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MessageData {
    /// Its UID.
    pub uid: Uid,
    /// Its flags.
    pub flags: Flags,
    /// When it arrived, or what APPEND said.
    pub internal_date: WallTime,
    /// Octets with CRLF line ends.
    pub size: u64,
    /// Its mod-sequence, where there are such ([`StoreCapabilities::mod_seqs`](super::StoreCapabilities::mod_seqs)).
    pub mod_seq: Option<ModSeq>,
    /// When it came into this mailbox, whatever APPEND or a copy said (RFC 8514 §3); none where that is not known.
    pub save_date: Option<WallTime>,
    /// Its identifier (RFC 8474 §5.1), the same for all copies; there where the store has such
    /// ([`StoreCapabilities::object_ids`](super::StoreCapabilities::object_ids)).
    pub email_id: Option<ObjectId>,
    /// The identifier of what it is a part of (RFC 8474 §5.2), the same for all with its [`email_id`](Self::email_id),
    /// never changing, and no message's identifier; none where there are no threads.
    pub thread_id: Option<ObjectId>,
}

impl MessageData {
    /// Data about a message without a mod-sequence, a save date and identifiers.
    pub const fn new(uid: Uid, flags: Flags, internal_date: WallTime, size: u64) -> Self {
        MessageData { uid, flags, internal_date, size, mod_seq: None, save_date: None, email_id: None, thread_id: None }
    }
}

/// A message's octets, with CRLF line ends. Readable while it is held, even if the message is expunged meanwhile.
pub trait MessageReader: Send {
    /// How many octets there are.
    fn size(&self) -> u64;
    /// Reads octets from `offset` on into `buffer`; returns how many, 0 only at the end.
    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize, StoreError>>;
}
