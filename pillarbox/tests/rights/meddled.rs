//! A store in which something else happens just before something is done.

use std::sync::{Arc, Mutex};

use pillarbox::maildir::Acl;
use pillarbox::parts::{
    Append, BoxFuture, Copied, FlagsSet, Identity, IncomingAppend, Mailbox, MailboxStore, MailboxWatch, MessageData,
    MessageFlags, MessageReader, NameWatch, SetFlags, StoreCapabilities, StoreError,
};
use pillarbox::store::{AclChange, AclSource, MemoryStore};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::server::{Change, Listed, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse, Uid, UidSet};

type Result<T> = std::result::Result<T, StoreError>;
type Meddle = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// What is done that others are quicker than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Read,
    SetFlags,
    Expunge,
    Create,
    ListOf,
}

/// Mailboxes in memory.
#[derive(Clone, Default)]
pub(crate) struct Meddled {
    pub(crate) inner: MemoryStore,
    meddle: Arc<Mutex<Option<(Before, Meddle)>>>,
}

impl Meddled {
    pub(crate) fn over(inner: MemoryStore) -> Self {
        Meddled { inner, ..Meddled::default() }
    }

    /// Does something each time before something; what it fails with is what comes of that.
    pub(crate) fn before<F>(&self, what: Before, meddle: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        *self.meddle.lock().unwrap() = Some((what, Arc::new(move || Box::pin(meddle()))));
    }

    async fn meddle(&self, what: Before) -> Result<()> {
        let meddle = self.meddle.lock().unwrap().clone();
        match meddle {
            Some((before, meddle)) if before == what => meddle().await,
            _ => Ok(()),
        }
    }
}

impl MailboxStore for Meddled {
    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }
    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>>> {
        self.inner.list(user, list)
    }
    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        items: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status>> {
        self.inner.status(user, mailbox, items)
    }
    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        self.inner.create(user, mailbox, uses)
    }
    fn delete<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<()>> {
        self.inner.delete(user, mailbox)
    }
    fn rename<'a>(
        &'a self,
        user: &'a Identity,
        from: &'a MailboxName,
        to: &'a MailboxName,
    ) -> BoxFuture<'a, Result<()>> {
        self.inner.rename(user, from, to)
    }
    fn watch<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Box<dyn MailboxWatch>>> {
        self.inner.watch(user, mailbox)
    }
    fn watch_names<'a>(
        &'a self,
        user: &'a Identity,
        others: &'a [MailboxName],
    ) -> BoxFuture<'a, Result<Box<dyn NameWatch>>> {
        self.inner.watch_names(user, others)
    }
    fn subscribe<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName, on: bool) -> BoxFuture<'a, Result<()>> {
        self.inner.subscribe(user, mailbox, on)
    }
    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>>> {
        Box::pin(async move {
            let inner = self.inner.open(user, mailbox, read_only).await?;
            Ok(Box::new(Open { inner, store: self.clone() }) as Box<dyn Mailbox>)
        })
    }
    fn metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>> {
        self.inner.metadata(user, mailbox, wanted)
    }
    fn set_metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>> {
        self.inner.set_metadata(user, mailbox, changes)
    }
    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        self.inner.append(user, mailbox, append)
    }
}

impl AclSource for Meddled {
    fn list_of<'a>(&'a self, account: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<Acl>> {
        Box::pin(async move {
            self.meddle(Before::ListOf).await?;
            self.inner.list_of(account, mailbox).await
        })
    }
    fn lists_of<'a>(&'a self, account: &'a Identity) -> BoxFuture<'a, Result<Vec<(MailboxName, Acl)>>> {
        Box::pin(async move {
            self.meddle(Before::ListOf).await?;
            self.inner.lists_of(account).await
        })
    }
    fn create_with_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        Box::pin(async move {
            self.meddle(Before::Create).await?;
            self.inner.create_with_list(account, mailbox, uses, list).await
        })
    }
    fn annotations_of<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        reader: &'a Identity,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>> {
        self.inner.annotations_of(account, mailbox, reader, wanted)
    }
    fn annotate_for<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        writer: &'a Identity,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>> {
        self.inner.annotate_for(account, mailbox, writer, changes)
    }
    fn change_list<'a>(
        &'a self,
        account: &'a Identity,
        mailbox: &'a MailboxName,
        change: &'a AclChange,
    ) -> BoxFuture<'a, Result<()>> {
        self.inner.change_list(account, mailbox, change)
    }
    fn rename_inbox<'a>(
        &'a self,
        account: &'a Identity,
        to: &'a MailboxName,
        list: &'a Acl,
    ) -> BoxFuture<'a, Result<()>> {
        self.inner.rename_inbox(account, to, list)
    }
}

struct Open {
    inner: Box<dyn Mailbox>,
    store: Meddled,
}

impl Mailbox for Open {
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot>> {
        self.inner.snapshot()
    }
    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        self.inner.refresh()
    }
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        self.inner.changes()
    }
    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>>> {
        self.inner.messages(uids)
    }
    fn flags<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageFlags>>> {
        self.inner.flags(uids)
    }
    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>>> {
        Box::pin(async move {
            self.store.meddle(Before::Read).await?;
            self.inner.read(uid).await
        })
    }
    fn set_flags<'a>(&'a mut self, uids: &'a UidSet, what: &'a SetFlags) -> BoxFuture<'a, Result<Vec<FlagsSet>>> {
        Box::pin(async move {
            self.store.meddle(Before::SetFlags).await?;
            self.inner.set_flags(uids, what).await
        })
    }
    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        self.inner.copy(uids, target)
    }
    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>>> {
        Box::pin(async move {
            self.store.meddle(Before::Expunge).await?;
            self.inner.expunge(only).await
        })
    }
}
