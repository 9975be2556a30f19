//! What rights stand in front of.

use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse};
use pillarbox_maildir::Acl;

use super::{AclChange, Result};
use crate::parts::{BoxFuture, Identity, MailboxStore};

/// A store that keeps the list of each mailbox and obeys none: what an [`AclStore`](super::AclStore) stands in front of. The accounts here are whose
/// the mailboxes are, whoever asks.
pub trait AclSource: MailboxStore {
    /// The list of a mailbox. Nothing comes to be by this question: [`StoreErrorKind::NoSuchMailbox`](crate::parts::StoreErrorKind::NoSuchMailbox) if there is no such account.
    fn list_of<'a>(&'a self, account: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<Acl>>;

    /// All mailboxes of an account with their lists; one whose list is damaged is left out. What cannot be looked at now is an error: who
    /// asks would take it for gone. Nothing comes to be by this either.
    fn lists_of<'a>(&'a self, account: &'a Identity) -> BoxFuture<'a, Result<Vec<(MailboxName, Acl)>>>;

    /// Changes an entry of a list. Durable.
    fn change_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        change: &'a AclChange,
    ) -> BoxFuture<'a, Result<()>>;

    /// Makes a mailbox of an account that is there, with this list from its beginning: nobody ever finds it without. Levels above that
    /// come to be with it have the list too. Durable.
    fn create_with_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<Option<ObjectId>>>;

    /// Moves the messages of INBOX to a new mailbox, which has this list from its beginning (RFC 9051 §6.3.6). INBOX stays, with the
    /// list that it has. Durable.
    fn rename_inbox<'a>(
        &'a self,
        account: &'a Identity,
        to: &'a MailboxName,
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<()>>;

    /// The annotations that are wanted of a mailbox, as somebody sees them whose mailbox it is not. What the mailbox is for
    /// (RFC 6154 §4) is not theirs to know.
    fn annotations_of<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        reader: &'a Identity,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>>;

    /// Changes annotations for somebody whose mailbox it is not, all or none. Durable.
    fn annotate_for<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        writer: &'a Identity,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>>;
}
