//! Two users, and what they ask of a store.

use std::path::Path;

use pillarbox::maildir::{Identifier, RightsChange as OnDisk};
use pillarbox::parts::{Append, Identity, Mailbox, MailboxStore, StoreError, StoreErrorKind};
use pillarbox::store::{AclChange, AclSource, AclStore, MaildirStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::list::List;
use pillarbox_imap::types::{Flag, Flags, MailboxName, Uid, UidSet};

pub(crate) fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

pub(crate) fn user(name: &str) -> Identity {
    Identity::new(name)
}

pub(crate) fn flags(list: &[Flag]) -> Flags {
    list.iter().cloned().collect()
}

pub(crate) fn all() -> UidSet {
    [Uid::MIN..=Uid::MAX].into_iter().collect()
}

pub(crate) fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind)
}

pub(crate) fn in_maildirs(root: &Path) -> MaildirStore {
    let root = root.to_owned();
    MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")))
}

/// The mailboxes of ann, and of everybody.
pub(crate) struct World<S> {
    pub(crate) store: AclStore<S>,
    pub(crate) ann: Identity,
    pub(crate) bob: Identity,
}

impl<S: AclSource + Clone + 'static> World<S> {
    pub(crate) async fn new(source: S) -> Self {
        let everybody = user("everybody");
        source.open(&everybody, &MailboxName::inbox(), true).await.map(drop).unwrap();
        let (identifier, rights) = (Identifier::User("ann".into()), pillarbox::maildir::Rights::ALL);
        let top = AclChange::new(identifier, false, Some(OnDisk::Replace(rights)));
        source.change_list(&everybody, &MailboxName::inbox(), &top).await.unwrap();
        let store = AclStore::new(source).other_users(name("Other Users")).shared(name("Shared"), everybody);
        let world = World { store, ann: user("ann"), bob: user("bob") };
        world.store.create(&world.ann, &name("Work"), &[]).await.unwrap();
        world
    }

    /// Ann's Work as bob calls it.
    pub(crate) fn work(&self) -> MailboxName {
        name("Other Users/ann/Work")
    }

    pub(crate) async fn grant(&self, rights: &str) {
        self.store.set_acl(&self.ann, &name("Work"), "bob", RightsChange::parse(rights)).await.unwrap();
    }

    pub(crate) async fn add(&self, mailbox: &str, with: &[Flag]) -> Uid {
        add(&self.store, &self.ann, mailbox, with).await.unwrap().expect("the owner hears it")
    }

    pub(crate) async fn open(&self, who: &Identity, mailbox: &MailboxName) -> Box<dyn Mailbox> {
        let mut open = self.store.open(who, mailbox, false).await.unwrap();
        open.snapshot().await.unwrap();
        open
    }

    pub(crate) async fn listed(&self, who: &Identity, pattern: &str) -> Vec<String> {
        let listed = self.store.list(who, &List::new(pattern)).await.unwrap();
        listed.into_iter().map(|listed| listed.name.to_string()).collect()
    }
}

/// Adds a message: its UID, if that is told.
pub(crate) async fn add(
    store: &dyn MailboxStore,
    who: &Identity,
    mailbox: &str,
    with: &[Flag],
) -> Result<Option<Uid>, StoreError> {
    let mut append = Append::default();
    (append.flags, append.wants_uid) = (flags(with), true);
    let mut incoming = store.append(who, &name(mailbox), append).await?;
    incoming.write(b"Subject: x\r\n\r\nhello\r\n").await?;
    Ok(incoming.publish().await?.uids.map(|(_, uids)| uids[0]))
}

pub(crate) async fn flags_of(open: &mut dyn Mailbox) -> Vec<Flags> {
    open.flags(&all()).await.unwrap().into_iter().map(|message| message.flags).collect()
}

/// A test of this name for each store.
macro_rules! in_both_stores {
    ($($(#[$doc:meta])* $test:ident)+) => {
        mod memory { $(#[tokio::test] async fn $test() {
            super::$test($crate::world::World::new(pillarbox::store::MemoryStore::new()).await).await;
        })+ }
        mod maildir { $(#[tokio::test] async fn $test() {
            let dir = tempfile::tempdir().unwrap();
            super::$test($crate::world::World::new($crate::world::in_maildirs(dir.path())).await).await;
        })+ }
    };
}

pub(crate) use in_both_stores;
