//! Annotations of mailboxes and accounts.

use pillarbox_imap::metadata::{Entry, EntryChange, EntryName, WantedEntries};
use pillarbox_imap::types::MailboxName;

use super::MemoryStore;
use crate::parts::{Identity, StoreError};
use crate::store::annotations::{new_uses, of_uses, refuse_inbox, refuse_shared};

impl MemoryStore {
    pub(super) fn annotations(
        &self,
        user: &Identity,
        mailbox: Option<&MailboxName>,
        wanted: &WantedEntries,
    ) -> Result<Vec<Entry>, StoreError> {
        self.account(user, |account| {
            let Some(mailbox) = mailbox else { return Ok(account.annotations.seen_by(user, wanted)) };
            let shared = account.find(mailbox)?;
            let contents = shared.contents()?;
            let uses = of_uses(&contents.uses).filter(|_| wanted.has(&EntryName::special_use()));
            Ok(contents.annotations.seen_by(user, wanted).into_iter().chain(uses).collect())
        })
    }

    pub(super) fn annotate(
        &self,
        user: &Identity,
        mailbox: Option<&MailboxName>,
        changes: &[EntryChange],
    ) -> Result<(), StoreError> {
        self.account(user, |account| {
            let Some(mailbox) = mailbox else {
                refuse_shared(changes)?;
                account.annotations.change(user, user, changes)?;
                self.names.tell_annotated(user, None, user, changes);
                return Ok(());
            };
            let shared = account.find(mailbox)?;
            match new_uses(changes)? {
                Some(uses) if mailbox.is_inbox() => refuse_inbox(&uses)?,
                Some(uses) => {
                    account.refuse_uses(&uses, mailbox)?;
                    shared.contents()?.uses = uses;
                }
                None => shared.contents()?.annotations.change(user, user, changes)?,
            }
            self.names.tell_annotated(user, Some(mailbox), user, changes);
            Ok(())
        })
    }
}
