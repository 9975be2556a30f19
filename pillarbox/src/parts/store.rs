//! Mailboxes, as IMAP shows them and delivery fills them.

use pillarbox_core::WallTime;
use pillarbox_imap::list::List;
use pillarbox_imap::search::Query;
use pillarbox_imap::server::{Change, FlagChange, Listed, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{Flags, MailboxName, SpecialUse, Uid, UidSet, UidValidity};

use super::{BoxFuture, Identity};

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
    /// Several messages can be appended all or none ([`IncomingAppend::next`]).
    pub multiappend: bool,
    /// The sum of the sizes of a mailbox's messages can be told ([`Status::size`]).
    pub sizes: bool,
    /// Names are listed with what they are for ([`SpecialUse`]).
    pub special_use: bool,
    /// A mailbox can be made for a special use ([`MailboxStore::create`]).
    pub create_special_use: bool,
}

/// The mailboxes of all users. Names come decoded; rights are checked here, not by the caller.
///
/// What a store promises: UIDs rise and are never reused under one UIDVALIDITY; a UID is on stable storage before any
/// client hears it; changes come in commit order and after commit; a reader stays readable while it is held; whatever
/// returns `Ok` is on stable storage.
pub trait MailboxStore: Send + Sync {
    /// What this store can do.
    fn capabilities(&self) -> StoreCapabilities;

    /// The names that a LIST asks for. A store tells what it knows to [`List::answer`]; [`Listed::status`] is filled in by the
    /// caller, who asks [`status`](MailboxStore::status).
    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>>;

    /// The numbers of a mailbox, at least those in `items`.
    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        items: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status, StoreError>>;

    /// Makes a mailbox, for all of these uses or not at all ([`StoreErrorKind::NotForThatUse`]).
    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

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
    /// The UID must be known at the end (APPENDUID). Delivery leaves it to whoever looks next, which is cheaper.
    pub wants_uid: bool,
}

/// A message on its way into a mailbox. Dropping it before it is published leaves nothing behind.
pub trait IncomingAppend: Send {
    /// The next octets.
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>>;
    /// Begins another message in the same mailbox (RFC 3502): what was written is complete, the octets that come are those of
    /// the new one, and all become visible together or none does. Optional: see [`StoreCapabilities::multiappend`].
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
    /// Their mailbox's UIDVALIDITY and their UIDs in the order in which they came, where [`Append::wants_uid`] asked for them.
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

/// What [`Mailbox::copy`] or [`Mailbox::move_to`] made: the target's UIDVALIDITY, and the UIDs of each message here and there.
pub type Copied = (UidValidity, Vec<(Uid, Uid)>);

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
    /// The flags of these messages, rising by UID; ones that are gone are left out. For stores to which dates and sizes cost
    /// more than flags.
    fn flags<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<(Uid, Flags)>, StoreError>> {
        let messages = self.messages(uids);
        Box::pin(async { Ok(messages.await?.into_iter().map(|message| (message.uid, message.flags)).collect()) })
    }
    /// Opens a message's octets.
    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>, StoreError>>;
    /// Changes flags; returns all flags of each message that is still there, rising by UID.
    fn set_flags<'a>(
        &'a mut self,
        uids: &'a UidSet,
        change: FlagChange,
        flags: &'a Flags,
    ) -> BoxFuture<'a, Result<Vec<(Uid, Flags)>, StoreError>>;
    /// Copies those of these messages that are still there, all or none; [`StoreErrorKind::Expunged`] if none is there.
    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied, StoreError>>;
    /// Moves those of these messages that are still there: at every moment each is in one of the two mailboxes, or in both
    /// (RFC 6851 §3.3). [`StoreErrorKind::Expunged`] if none is there. After another error none of them is in the target, or
    /// some are in both. Optional: see [`StoreCapabilities::moves`].
    fn move_to<'a>(
        &'a mut self,
        uids: &'a UidSet,
        target: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Copied, StoreError>> {
        let _ = (uids, target);
        Box::pin(std::future::ready(Err(unsupported("moves"))))
    }
    /// Removes messages that have `\Deleted`, of these or of all; returns which.
    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>, StoreError>>;
    /// Searches with an index of its own. `None`: it has none, and the caller reads the messages itself.
    fn search<'a>(&'a mut self, query: &'a Query) -> BoxFuture<'a, Result<Option<Vec<Uid>>, StoreError>> {
        let _ = query;
        Box::pin(std::future::ready(Ok(None)))
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
}

impl MessageData {
    /// Data about a message.
    pub const fn new(uid: Uid, flags: Flags, internal_date: WallTime, size: u64) -> Self {
        MessageData { uid, flags, internal_date, size }
    }
}

/// A message's octets, with CRLF line ends. Readable while it is held, even if the message is expunged meanwhile.
pub trait MessageReader: Send {
    /// How many octets there are.
    fn size(&self) -> u64;
    /// Reads octets from `offset` on into `buffer`; returns how many, 0 only at the end.
    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize, StoreError>>;
}

/// What went wrong in a store.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
#[non_exhaustive]
pub struct StoreError {
    /// Which kind, for the reply.
    pub kind: StoreErrorKind,
    /// What happened, for our own logs.
    pub cause: String,
}

impl StoreError {
    /// An error of a kind, with the private cause.
    pub fn new(kind: StoreErrorKind, cause: impl Into<String>) -> Self {
        StoreError { kind, cause: cause.into() }
    }
}

/// Kinds of store errors; each implies a response code (RFC 5530) and an SMTP reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such mailbox (or the user may not know of it).
    NoSuchMailbox,
    /// There is such a mailbox already.
    AlreadyExists,
    /// The name or the operation is not possible here.
    Cannot,
    /// A limit was reached.
    Limit,
    /// The user's quota is used up.
    OverQuota,
    /// The message was expunged by somebody else.
    Expunged,
    /// The mailbox has others below it, and so cannot be deleted (RFC 9051 §6.3.5).
    HasChildren,
    /// The user may not do this; where they may not even know of the mailbox it is
    /// [`NoSuchMailbox`](StoreErrorKind::NoSuchMailbox).
    NoPermission,
    /// A mailbox cannot be made for that use (RFC 6154 §3).
    NotForThatUse,
    /// The disk is full.
    NoSpace,
    /// Any other trouble; later it may work.
    Unavailable,
}
