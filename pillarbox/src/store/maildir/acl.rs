//! The lists of mailboxes, in Dovecot's files.

use pillarbox_fs::ErrorKind;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse};
use pillarbox_maildir::{Acl, Maildir, MaildirError, Tree};

use super::metadata::{on_disk, seen_by};
use super::{Inner, MaildirStore, Result, told};
use crate::parts::{BoxFuture, Identity, NameChange};
use crate::store::acl::{AclChange, AclSource};

impl Inner {
    /// A tree that is there; none is made.
    pub(super) fn tree_there(&self, account: &Identity) -> Result<Tree> {
        Tree::open_with(&self.files, self.root(account)?, (self.lies_as)(account)).map_err(told)
    }

    /// A tree that is there; `None` if we may not look at it.
    pub(super) fn tree_let_in(&self, account: &Identity) -> Result<Option<Tree>> {
        match Tree::open_with(&self.files, self.root(account)?, (self.lies_as)(account)) {
            Err(error) if is_kept_from_us(&error) => Ok(None),
            tree => tree.map(Some).map_err(told),
        }
    }
}

/// Whether the system keeps something from us, which lasts until somebody changes it.
pub(super) fn is_kept_from_us(error: &MaildirError) -> bool {
    matches!(error, MaildirError::Fs(error) if error.kind() == ErrorKind::PermissionDenied)
}

impl MaildirStore {
    /// Work on a tree that is there; none is made.
    pub(super) fn on_tree_there<T: Send + 'static>(
        &self,
        account: &Identity,
        work: impl FnOnce(&Inner, &Tree) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (inner, account) = (std::sync::Arc::clone(&self.inner), account.clone());
        Box::pin(async move {
            let lane = inner.pool.lane(&account);
            lane.run(move || work(&inner, &inner.tree_there(&account)?)).await
        })
    }

    fn on_mailbox_there<T: Send + 'static>(
        &self,
        account: &Identity,
        mailbox: &MailboxName,
        work: impl FnOnce(&Maildir) -> std::result::Result<T, MaildirError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let name = mailbox.clone();
        self.on_tree_there(account, move |inner, tree| {
            let name = inner.names.find(tree, &name)?;
            tree.mailbox(&name).and_then(|folder| work(&folder)).map_err(told)
        })
    }

    /// Changes a list, and tells those who watch.
    fn on_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        work: impl FnOnce(&Maildir) -> std::result::Result<(), MaildirError> + Send + 'static,
    ) -> BoxFuture<'a, Result<()>> {
        let changed = self.on_mailbox_there(account, mailbox, work);
        Box::pin(async move {
            changed.await?;
            self.inner.watched_names.tell(account, vec![NameChange::Rights(mailbox.clone())]);
            Ok(())
        })
    }
}

impl AclSource for MaildirStore {
    fn list_of<'a>(&'a self, account: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<Acl>> {
        self.on_mailbox_there(account, mailbox, Maildir::acl)
    }

    fn lists_of<'a>(&'a self, account: &'a Identity) -> BoxFuture<'a, Result<Vec<(MailboxName, Acl)>>> {
        let (inner, owner) = (std::sync::Arc::clone(&self.inner), account.clone());
        let account = owner.clone();
        let lists = move |inner: &Inner| {
            let Some(tree) = inner.tree_let_in(&account)? else { return Ok(Vec::new()) };
            let there = match tree.list() {
                Err(error) if is_kept_from_us(&error) => Vec::new(),
                there => there.map_err(told)?,
            };
            let there = there.into_iter().filter(|mailbox| mailbox.exists);
            let lists = there.filter_map(|mailbox| {
                let name = inner.names.in_imap(&mailbox.name)?;
                match tree.mailbox(&mailbox.name).and_then(|folder| folder.acl()) {
                    Ok(acl) => Some(Ok((name, acl))),
                    // It went away meanwhile, or nobody gets rights by half a list.
                    Err(MaildirError::NoSuchMailbox(_) | MaildirError::Damaged(_)) => None,
                    // This lasts: what one list keeps from us must not take the names of all others away.
                    Err(error) if is_kept_from_us(&error) => None,
                    Err(error) => Some(Err(told(error))),
                }
            });
            lists.collect()
        };
        Box::pin(async move { inner.pool.lane(&owner).run(move || lists(&inner)).await })
    }

    fn change_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        change: &'a AclChange,
    ) -> BoxFuture<'a, Result<()>> {
        let change = change.clone();
        self.on_list(account, mailbox, move |folder| folder.change_acl(|list| change.apply(list)))
    }

    fn create_with_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        self.make(account, mailbox, uses, Some(list.clone()))
    }

    fn annotations_of<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        reader: &'a Identity,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>> {
        let (reader, wanted) = (reader.clone(), wanted.clone());
        self.on_mailbox_there(account, mailbox, move |folder| Ok(seen_by(&folder.metadata()?, &reader, &wanted)))
    }

    fn annotate_for<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        writer: &'a Identity,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>> {
        let (writer, changes) = (writer.clone(), changes.to_vec());
        let (name, owner) = (mailbox.clone(), account.clone());
        self.on_tree_there(account, move |inner, tree| {
            let folder = tree.mailbox(&inner.names.find(tree, &name)?).map_err(told)?;
            folder.set_metadata_for(writer.user(), owner.user(), &on_disk(&changes)).map_err(told)?;
            inner.watched_names.tell_annotated(&owner, Some(&name), &writer, &changes);
            Ok(())
        })
    }

    fn rename_inbox<'a>(
        &'a self,
        account: &'a Identity,
        to: &'a MailboxName,
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<()>> {
        let (inbox, list) = (MailboxName::inbox(), list.clone());
        Box::pin(async move { self.rename_to(account, &inbox, to, Some(list)).await })
    }
}
