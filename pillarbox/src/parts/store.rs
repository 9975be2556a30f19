//! Mailboxes, as IMAP shows them and delivery fills them.

use pillarbox_core::WallTime;
use pillarbox_imap::acl::{AclEntry, Grantable, Rights, RightsChange};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::quota::{QuotaRoot, Resource};
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{Change, FlagChange, Listed, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{Flags, MailboxName, ModSeq, ObjectId, Separator, SpecialUse, Uid, UidSet, UidValidity};

use super::{BoxFuture, Identity, MailboxWatch, NameWatch, Progress, StoreError, StoreErrorKind};

/// What a store can do beside the methods without a default. Sessions advertise what is configured *and* supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCapabilities {
    /// Names can have children, parted by `/`.
    pub hierarchy: bool,
    /// Clients can store keywords of their own.
    pub keywords: bool,
    /// Messages may hold NUL, and read back octet for octet (RFC 3516).
    pub binary: bool,
    /// Messages can be moved ([`Mailbox::move_to`]).
    pub moves: bool,
    /// A message can take the place of another ([`Mailbox::replace`]).
    pub replace: bool,
    /// Several messages can be appended all or none ([`IncomingAppend::next`]).
    pub multiappend: bool,
    /// The sum of the sizes of a mailbox's messages can be told ([`Status::size`]).
    pub sizes: bool,
    /// Names are listed with what they are for ([`SpecialUse`]).
    pub special_use: bool,
    /// A mailbox can be made for a special use ([`MailboxStore::create`]).
    pub create_special_use: bool,
    /// Every change of a mailbox has a mod-sequence (RFC 7162) that lasts as long as its UIDs do: there is one in each
    /// [`Change`], in [`MessageFlags`], [`MessageData`], [`Snapshot`] and [`Status`], and [`Mailbox::set_flags`] compares
    /// it.
    pub mod_seqs: bool,
    /// It is known which messages were expunged since when ([`Mailbox::vanished`]).
    pub vanished: bool,
    /// Mailboxes and messages have identifiers (RFC 8474): those of mailboxes are in [`Snapshot`], [`Status`] and what
    /// [`MailboxStore::create`] returns, those of messages in [`MessageData`]. Copies of a message have the same one.
    pub object_ids: bool,
    /// It is known when a message came into its mailbox ([`MessageData::save_date`], RFC 8514).
    pub save_dates: bool,
    /// It is kept who may do what with each mailbox (RFC 4314): [`MailboxStore::rights`] and its neighbours answer, and
    /// [`Snapshot::rights`] is told.
    pub rights: bool,
    /// Some users may set limits ([`MailboxStore::may_set_quota`]).
    pub quota_set: bool,
    /// Mailboxes and the server have annotations (RFC 5464): [`MailboxStore::metadata`].
    pub metadata: bool,
    /// The server has annotations, and mailboxes need not have.
    pub server_metadata: bool,
    /// Mailboxes and names can be watched ([`MailboxStore::watch`], [`MailboxStore::watch_names`]).
    pub watches: bool,
    /// There are limits, and they can be told ([`MailboxStore::quota_roots`]), as well as what would become free
    /// ([`Status::deleted_storage`]).
    pub quota: bool,
}

/// How clients see the names of mailboxes (RFC 2342).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// What all names but INBOX begin with, as clients see it, such as `INBOX.`; empty where there is nothing of the kind.
    pub prefix: String,
    /// What parts the levels.
    pub separator: Separator,
    /// What the names of other users' mailboxes begin with, such as `Other Users/`; `None` where they cannot be seen.
    pub other_users: Option<String>,
    /// What the names of mailboxes that belong to nobody begin with; `None` where there are none.
    pub shared: Option<String>,
}

/// The mailboxes of all users. Names come decoded; rights are checked here, not by the caller.
///
/// What a store promises: UIDs rise and are never reused under one UIDVALIDITY; a UID is on stable storage before any
/// client hears it; changes come in commit order and after commit; a reader stays readable while it is held; whatever
/// returns `Ok` is on stable storage.
pub trait MailboxStore: Send + Sync {
    /// What this store can do.
    fn capabilities(&self) -> StoreCapabilities;

    /// How the names of this store are spelled for clients; the names that come here have the prefix. `None`, which is the
    /// default: as the server's configuration says.
    fn namespace(&self) -> Option<Namespace> {
        None
    }

    /// The names that a LIST asks for. A store tells what it knows to [`List::answer`]; [`Listed::status`] is filled in
    /// by the caller, who asks [`status`](MailboxStore::status).
    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>>;

    /// The numbers of a mailbox, at least those in `items`.
    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        items: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status, StoreError>>;

    /// Makes a mailbox, for all of these uses or not at all ([`StoreErrorKind::NotForThatUse`]). Returns its identifier, if
    /// mailboxes have such ([`StoreCapabilities::object_ids`]).
    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>, StoreError>>;

    /// Removes a mailbox and its messages.
    fn delete<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Renames a mailbox with all below it; INBOX gives its messages away and stays (RFC 9051 §6.3.6).
    fn rename<'a>(
        &'a self,
        user: &'a Identity,
        from: &'a MailboxName,
        to: &'a MailboxName,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Adds a name to the subscribed ones, or takes it off.
    fn subscribe<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        subscribed: bool,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Opens a mailbox; with `read_only` nothing in it changes by being looked at.
    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>, StoreError>>;

    /// Whether the user's quota has room in a mailbox for a message of so many octets that is sent here: asked before it comes.
    /// [`StoreErrorKind::OverQuota`] if not. A store without quotas has room always.
    fn room<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        size: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let _ = (user, mailbox, size);
        Box::pin(std::future::ready(Ok(())))
    }

    /// What the user may do with a mailbox. Optional, as all about rights: see [`StoreCapabilities::rights`]. A mailbox of which
    /// the user may not know is one that is not there ([`StoreErrorKind::NoSuchMailbox`]).
    fn rights<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<Rights, StoreError>> {
        let _ = (user, mailbox);
        Box::pin(std::future::ready(Err(unsupported("rights"))))
    }

    /// Who may do what with a mailbox, for who may know that.
    fn acl<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Vec<AclEntry>, StoreError>> {
        let _ = (user, mailbox);
        Box::pin(std::future::ready(Err(unsupported("rights"))))
    }

    /// Changes the rights of an identifier, or removes its entry. With `-` in front of it those that are taken away are meant.
    fn set_acl<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        identifier: &'a str,
        change: Option<RightsChange>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let _ = (user, mailbox, identifier, change);
        Box::pin(std::future::ready(Err(unsupported("rights"))))
    }

    /// What an identifier can be granted in a mailbox, for who may grant it.
    fn grantable<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        identifier: &'a str,
    ) -> BoxFuture<'a, Result<Grantable, StoreError>> {
        let _ = (user, mailbox, identifier);
        Box::pin(std::future::ready(Err(unsupported("rights"))))
    }

    /// The annotations that are wanted of a mailbox, or, without one, of the server: as the user sees them, who has those below
    /// `/private` for themselves (RFC 5464 §3.3). What the server's configuration says need not be known here. Optional: see
    /// [`StoreCapabilities::metadata`].
    fn metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        let _ = (user, mailbox, wanted);
        Box::pin(std::future::ready(Err(unsupported("annotations"))))
    }

    /// Changes annotations, all of these or none. `/private/specialuse` of a mailbox is what it is for
    /// ([`StoreErrorKind::NotForThatUse`]).
    fn set_metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let _ = (user, mailbox, changes);
        Box::pin(std::future::ready(Err(unsupported("annotations"))))
    }

    /// What limits a mailbox, be it there or not (RFC 9208); nothing where there are no limits. Optional: see
    /// [`StoreCapabilities::quota`].
    fn quota_roots<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Vec<QuotaRoot>, StoreError>> {
        let _ = (user, mailbox);
        Box::pin(std::future::ready(Err(unsupported("quotas"))))
    }

    /// What a root limits, by its name: one of the user's own mailboxes, or, for who may set limits, any. Where there is none,
    /// [`StoreErrorKind::NoSuchMailbox`].
    fn quota_root<'a>(&'a self, user: &'a Identity, root: &'a str) -> BoxFuture<'a, Result<QuotaRoot, StoreError>> {
        Box::pin(async move {
            // RFC 9208 §6: roots of one's own take no rights.
            let roots = self.quota_roots(user, &MailboxName::inbox()).await?;
            let known = roots.into_iter().find(|known| known.name == root);
            known.ok_or_else(|| StoreError::new(StoreErrorKind::NoSuchMailbox, format!("no quota root {root}")))
        })
    }

    /// Whether a user may set limits, which are the operator's to set: asked when somebody logs in.
    fn may_set_quota(&self, user: &Identity) -> bool {
        let _ = user;
        false
    }

    /// Sets all limits of a root, for who may do that: what is not named is limited no more. Tells what there is now. Optional:
    /// see [`StoreCapabilities::quota_set`].
    fn set_quota<'a>(
        &'a self,
        user: &'a Identity,
        root: &'a str,
        limits: &'a [(Resource, u64)],
    ) -> BoxFuture<'a, Result<QuotaRoot, StoreError>> {
        let _ = (user, root, limits);
        Box::pin(std::future::ready(Err(unsupported("limits that are set"))))
    }

    /// Watches a mailbox without opening it. Whoever changes something never waits for those who watch, and what each of these
    /// costs does not grow with what happens. Optional: see [`StoreCapabilities::watches`].
    fn watch<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Box<dyn MailboxWatch>, StoreError>> {
        let _ = (user, mailbox);
        Box::pin(std::future::ready(Err(unsupported("watching"))))
    }

    /// Watches the names that a user sees: their own, shared ones, and those of the accounts of others in which these names are. What
    /// the names of all others begin with stands for the accounts of which LIST tells there, also those that it tells of later;
    /// [`StoreErrorKind::Limit`](super::StoreErrorKind::Limit) or [`NameChange::TooMany`](super::NameChange::TooMany) if these are too many.
    /// Other names may be told as well, also ones that the user may not know of: look at [`list`](MailboxStore::list) before they
    /// are told to anybody. Annotations are told by the names of their entries, but of a mailbox that the user may not ask for
    /// them none; those with [`seen_by`](super::NameChange::Annotated::seen_by) are for that user alone. Optional, as before.
    fn watch_names<'a>(
        &'a self,
        user: &'a Identity,
        others: &'a [MailboxName],
    ) -> BoxFuture<'a, Result<Box<dyn NameWatch>, StoreError>> {
        let _ = (user, others);
        Box::pin(std::future::ready(Err(unsupported("watching"))))
    }

    /// Begins a new message in a mailbox: for APPEND and for delivery.
    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>, StoreError>>;
}

/// What is known of a message before its octets come.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Append {
    /// The flags that it gets.
    pub flags: Flags,
    /// The internal date that it gets; none: now.
    pub date: Option<WallTime>,
    /// Octets that will come, if known.
    pub size: Option<u64>,
    /// Somebody sent it here, and not the user: it may pass the user's quota as far as the store lets mail pass it that is on
    /// its way.
    pub delivery: bool,
    /// The UID must be known at the end (APPENDUID). Delivery leaves it to whoever looks next, which is cheaper.
    pub wants_uid: bool,
}

/// A message on its way into a mailbox. Dropping it before it is published leaves nothing behind.
pub trait IncomingAppend: Send {
    /// The next octets.
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Lets go of what is held in memory and open until the next octets come. Called after each piece where there are many
    /// copies of one message, so that they cost no more memory and open files than a few. By default nothing.
    fn park(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Begins another message in the same mailbox (RFC 3502): what was written is complete, the octets that come are
    /// those of the new one, and all become visible together or none does. Optional: see
    /// [`StoreCapabilities::multiappend`].
    fn next(&mut self, append: Append) -> BoxFuture<'_, Result<(), StoreError>> {
        let _ = append;
        Box::pin(std::future::ready(Err(unsupported("several messages at once"))))
    }
    /// Brings the octets to stable storage under a private name, so that publishing can hardly fail.
    fn prepare(&mut self) -> BoxFuture<'_, Result<(), StoreError>>;
    /// Makes the message visible, and durable under its name; where there are several, all or none. Prepares first if that
    /// was not done.
    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages, StoreError>>;
    /// Takes published messages back (another copy failed, and the sender will be told "no").
    fn undo(&mut self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Messages that became visible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendedMessages {
    /// Their mailbox's UIDVALIDITY and their UIDs in the order in which they came, where [`Append::wants_uid`] asked for
    /// them and the user may read that mailbox (RFC 4315 §3).
    pub uids: Option<(UidValidity, Vec<Uid>)>,
}

impl AppendedMessages {
    /// Messages with their UIDs, if those are known.
    pub const fn new(uids: Option<(UidValidity, Vec<Uid>)>) -> Self {
        AppendedMessages { uids }
    }
}

fn unsupported(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Cannot, format!("this store does not do {what}"))
}

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
    /// may span all numbers there are. Optional: see [`StoreCapabilities::vanished`].
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
    /// Copies those of these messages that are still there, all or none; [`StoreErrorKind::Expunged`] if none is there.
    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied, StoreError>>;
    /// Moves those of these messages that are still there: at every moment each is in one of the two mailboxes, or in
    /// both (RFC 6851 §3.3). [`StoreErrorKind::Expunged`] if none is there. After another error none of them is in the
    /// target, or some are in both. Optional: see [`StoreCapabilities::moves`].
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
    /// error the other is where it was, with [`StoreErrorKind::Expunged`] if it was gone before; nothing of the new one is left
    /// unless the error came so late that nobody can tell. Of quota only what the two differ by is needed. Published it cannot be
    /// undone, and there is no [`next`](IncomingAppend::next) message. Optional: see [`StoreCapabilities::replace`].
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
    /// ([`StoreCapabilities::mod_seqs`]).
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
    /// Its mod-sequence, where there are such ([`StoreCapabilities::mod_seqs`]).
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
    /// Its mod-sequence, where there are such ([`StoreCapabilities::mod_seqs`]).
    pub mod_seq: Option<ModSeq>,
    /// When it came into this mailbox, whatever APPEND or a copy said (RFC 8514 §3); none where that is not known.
    pub save_date: Option<WallTime>,
    /// Its identifier (RFC 8474 §5.1), the same for all copies; there where the store has such
    /// ([`StoreCapabilities::object_ids`]).
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
