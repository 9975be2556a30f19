//! The lists of mailboxes.

use std::sync::Arc;

use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse};
use pillarbox_maildir::{Acl, AclError};

use super::contents::Shared;
use super::{MemoryStore, lock, no_such, ready};
use crate::parts::{BoxFuture, Identity, NameChange, StoreError, StoreErrorKind};
use crate::store::acl::{AclChange, AclSource};

impl MemoryStore {
    /// A mailbox of an account that has been used.
    fn there(&self, account: &Identity, mailbox: &MailboxName) -> Result<Arc<Shared>, StoreError> {
        lock(&self.accounts).get(account).ok_or_else(|| no_such(mailbox))?.find(mailbox)
    }
}

impl AclSource for MemoryStore {
    fn list_of<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Acl, StoreError>> {
        ready(self.there(account, mailbox).and_then(|shared| Ok(shared.contents()?.acl.clone())))
    }

    fn lists_of<'a>(&'a self, account: &'a Identity) -> BoxFuture<'a, Result<Vec<(MailboxName, Acl)>, StoreError>> {
        let accounts = lock(&self.accounts);
        let mailboxes = accounts.get(account).into_iter().flat_map(|account| &account.mailboxes);
        let lists = mailboxes.map(|(name, shared)| Ok((name.clone(), shared.contents()?.acl.clone())));
        ready(lists.collect())
    }

    fn change_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        change: &'a AclChange,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.there(account, mailbox).and_then(|shared| {
            change.apply(&mut shared.contents()?.acl).map_err(|error| {
                let kind = match error {
                    AclError::TooMany => StoreErrorKind::Limit,
                    _ => StoreErrorKind::Cannot,
                };
                StoreError::new(kind, error.to_string())
            })?;
            self.names.tell(account, vec![NameChange::Rights(mailbox.clone())]);
            Ok(())
        }))
    }

    fn create_with_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<Option<ObjectId>, StoreError>> {
        ready(self.make(account, mailbox, uses, |made| {
            if let Ok(mut contents) = made.contents() {
                contents.acl.clone_from(list);
            }
        }))
    }

    fn annotations_of<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        reader: &'a Identity,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        let shared = self.there(account, mailbox);
        ready(shared.and_then(|shared| Ok(shared.contents()?.annotations.seen_by(reader, wanted))))
    }

    fn annotate_for<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        writer: &'a Identity,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let shared = self.there(account, mailbox);
        ready(shared.and_then(|shared| {
            shared.contents()?.annotations.change(writer, account, changes)?;
            self.names.tell_annotated(account, Some(mailbox), writer, changes);
            Ok(())
        }))
    }

    fn rename_inbox<'a>(
        &'a self,
        account: &'a Identity,
        to: &'a MailboxName,
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.rename_to(account, &MailboxName::inbox(), to, |made| {
            if let Ok(mut contents) = made.contents() {
                contents.acl.clone_from(list);
            }
        }))
    }
}
