//! Mailboxes, as IMAP shows them and delivery fills them.

use pillarbox_core::WallTime;
use pillarbox_imap::acl::{AclEntry, Grantable, Rights, RightsChange};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::quota::{QuotaRoot, Resource};
use pillarbox_imap::server::{Listed, Status, StatusItem};
use pillarbox_imap::types::{Flags, MailboxName, ObjectId, Separator, SpecialUse, Uid, UidValidity};

use super::{BoxFuture, Identity, Mailbox, MailboxWatch, NameWatch, StoreError, StoreErrorKind};

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
    /// [`Change`](pillarbox_imap::server::Change), in [`MessageFlags`](super::MessageFlags), [`MessageData`](super::MessageData), [`Snapshot`](pillarbox_imap::server::Snapshot) and [`Status`], and [`Mailbox::set_flags`] compares
    /// it.
    pub mod_seqs: bool,
    /// It is known which messages were expunged since when ([`Mailbox::vanished`]).
    pub vanished: bool,
    /// Mailboxes and messages have identifiers (RFC 8474): those of mailboxes are in [`Snapshot`](pillarbox_imap::server::Snapshot), [`Status`] and what
    /// [`MailboxStore::create`] returns, those of messages in [`MessageData`](super::MessageData). Copies of a message have the same one.
    pub object_ids: bool,
    /// It is known when a message came into its mailbox ([`MessageData::save_date`](super::MessageData::save_date), RFC 8514).
    pub save_dates: bool,
    /// It is kept who may do what with each mailbox (RFC 4314): [`MailboxStore::rights`] and its neighbours answer, and
    /// [`Snapshot::rights`](pillarbox_imap::server::Snapshot::rights) is told.
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
    /// It is a copy of the message with this identifier, which has to be the copy's too (RFC 8474 §5.1), as far as the store can give it
    /// that; none: it gets one of its own.
    pub email_id: Option<ObjectId>,
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

pub(super) fn unsupported(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Cannot, format!("this store does not do {what}"))
}
