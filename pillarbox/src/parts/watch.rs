//! Mailboxes that somebody watches without having them open.

use pillarbox_imap::metadata::EntryName;
use pillarbox_imap::server::Status;
use pillarbox_imap::types::MailboxName;

use super::{BoxFuture, Identity, StoreError};

/// What happened in a mailbox that is watched. How it is now is for [`MailboxWatch::numbers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "stores make it")]
pub struct Stirred {
    /// Messages came or went.
    pub messages: bool,
    /// Flags changed.
    pub flags: bool,
}

impl Stirred {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Stirred) -> Stirred {
        Stirred { messages: self.messages || other.messages, flags: self.flags || other.flags }
    }
}

/// A mailbox that is watched, until this is dropped.
pub trait MailboxWatch: Send {
    /// Waits until something happened since the last call; all that happened meanwhile is one answer. Cancel-safe.
    ///
    /// An error if the mailbox is gone or the user may not know or read it any more: there is nothing more to hear then.
    fn stirred(&mut self) -> BoxFuture<'_, Result<Stirred, StoreError>>;

    /// The numbers of the mailbox, as they were after something happened of which this was not asked before: of messages, of those
    /// unseen, the next UID, UIDVALIDITY and the highest mod-sequence. What happened after that, [`stirred`](Self::stirred) tells
    /// next. So all who watch a mailbox can share what was counted for one of them. `None`: ask
    /// [`MailboxStore::status`](super::MailboxStore::status).
    ///
    /// An error as there.
    fn numbers(&mut self) -> BoxFuture<'_, Result<Option<Status>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// What happened to a name, or to what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameChange {
    /// A mailbox was made.
    Created(MailboxName),
    /// A mailbox was deleted.
    Deleted(MailboxName),
    /// A mailbox was renamed, and all below it with it. Not told of INBOX, which stays.
    Renamed {
        /// What it was called.
        from: MailboxName,
        /// What it is called.
        to: MailboxName,
    },
    /// The user subscribed to a name, or does so no longer. Told of each time that a session says so, also where nothing changes by it:
    /// the session waits for what it did itself, and takes the next for that.
    Subscribed(MailboxName),
    /// Somebody may do more, or less, with a mailbox.
    Rights(MailboxName),
    /// Annotations were set or removed (RFC 5464), by whichever session: those of one command that the same people see.
    Annotated {
        /// Of which mailbox; none: of the account, which clients take for the server.
        mailbox: Option<MailboxName>,
        /// Which.
        entries: Vec<EntryName>,
        /// The only one who sees it; none: all who see annotations of the mailbox.
        seen_by: Option<Identity>,
    },
    /// More happened than was kept; whoever reads this hears no more.
    TooMany,
}

impl NameChange {
    /// A user set or removed these annotations of a mailbox, or of the account, at once. What is private only they see: it is told apart
    /// from the rest.
    pub fn annotated<'a>(
        mailbox: Option<&MailboxName>,
        entries: impl IntoIterator<Item = &'a EntryName>,
        by: &Identity,
    ) -> Vec<Self> {
        let (private, shared): (Vec<EntryName>, Vec<EntryName>) =
            entries.into_iter().cloned().partition(EntryName::is_private);
        let one = |(entries, seen_by): (Vec<EntryName>, Option<Identity>)| {
            let mailbox = mailbox.cloned();
            (!entries.is_empty()).then_some(NameChange::Annotated { mailbox, entries, seen_by })
        };
        [(shared, None), (private, Some(by.clone()))].into_iter().filter_map(one).collect()
    }
}

/// Names that are watched, until this is dropped.
pub trait NameWatch: Send {
    /// Waits until something happened; what, in the order in which it did. Cancel-safe: what was not returned comes with the next
    /// call.
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<NameChange>, StoreError>>;
}
