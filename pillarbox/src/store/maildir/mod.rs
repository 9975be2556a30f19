//! Mailboxes in Maildirs.

mod account;
mod acl;
mod append;
mod cache;
mod email_id;
mod looks;
mod metadata;
mod names;
mod news;
mod numbers;
mod open;
mod opened;
mod pool;
mod quota;
mod room;
mod shared;
mod unasked;
mod uses;
mod watched;
mod words;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pillarbox_fs::{ErrorKind, Fs, RealFs};
use pillarbox_imap::list::{KnownName, List};
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::quota::{QuotaRoot, Resource};
use pillarbox_imap::server::{Listed, Status, StatusItem};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse};
use pillarbox_maildir::{
    self as maildir, MaildirError, Options, Purpose, QuotaRules, Tree, TreeOptions, Usage, WatchOptions,
};

use self::account::Accounts;
use self::append::Incoming;
use self::cache::Recomputing;
use self::looks::Looks;
use self::names::Names;
use self::news::Disk;
use self::open::Open;
use self::pool::Pool;
use self::quota::Room;
pub use self::room::room_on_disk;
use self::shared::Shared;
use self::uses::special_uses;
use self::watched::Watched;
use self::words::{mailbox_id, number, told, uid, uid_next, uid_validity};
use super::names::NameLogs;
use crate::parts::{
    Append, BoxFuture, Identity, IncomingAppend, Mailbox, MailboxStore, MailboxWatch, NameChange, NameWatch, Namespace,
    StoreCapabilities, StoreError, StoreErrorKind,
};

/// Mailboxes in Maildir++ folders, one tree of folders for each account, on a bounded pool of threads.
///
/// The folders may be used by other programs at the same time; what they change is noticed at the next look. Sessions in IDLE
/// hear of it within a second where the system gives notices (feature `notify`), and within some seconds where not; see
/// [`watch`](Self::watch). What this process changes, its other sessions hear at once.
///
/// An account's tree is made, with an empty INBOX, when it is first used.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::parts::Parts;
/// use pillarbox::store::MaildirStore;
///
/// # let dir = tempfile::tempdir()?;
/// # let root = dir.path().to_owned();
/// // The names of accounts are checked by whoever makes paths of them.
/// let store = MaildirStore::new(move |account| match account.user() {
///     "you@localhost" => Some(root.join("you/Maildir")),
///     _ => None,
/// });
/// let parts = Parts { store: Arc::new(store), ..Parts::in_memory() };
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct MaildirStore {
    inner: Arc<Inner>,
}

type Locate = dyn Fn(&Identity) -> Option<PathBuf> + Send + Sync;
type QuotaSetters = dyn Fn(&Identity) -> bool + Send + Sync;
type Quotas = dyn Fn(&Identity) -> Option<QuotaRules> + Send + Sync;

type LiesAs = dyn Fn(&Identity) -> TreeOptions + Send + Sync;

struct Inner {
    locate: Box<Locate>,
    lies_as: Box<LiesAs>,
    names: Names,
    quotas: Box<Quotas>,
    /// Who may set limits, if anybody may.
    quota_setters: Option<Box<QuotaSetters>>,
    files: maildir::Store,
    /// The mailboxes that somebody has open.
    open: Mutex<HashMap<(PathBuf, bool), Weak<Shared>>>,
    /// Folders above the accounts' trees that this process has seen to be on stable storage.
    durable: Mutex<HashSet<PathBuf>>,
    pool: Pool,
    disk: Disk,
    watched_names: NameLogs,
    accounts: Accounts,
    looks: Arc<Looks>,
}

type Result<T> = std::result::Result<T, StoreError>;

impl MaildirStore {
    /// A store that keeps each account's mail in the folder that `locate` says; `None` is an account that has none.
    pub fn new(locate: impl Fn(&Identity) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self::with_quotas(locate, |_| None)
    }

    /// The same, where `quotas` says what each account may use; `None` is an account without limits. Deliveries, APPEND and COPY
    /// ask for room; MOVE within an account needs none. What is used is in the account's `maildirsize`, which Dovecot's
    /// `quota = maildir` reads and writes too.
    ///
    /// ```
    /// use pillarbox::maildir::{Quota, QuotaRules};
    /// use pillarbox::store::MaildirStore;
    ///
    /// # let root = std::path::PathBuf::new();
    /// let rules = QuotaRules::new(Quota { bytes: Some(1 << 30), messages: None });
    /// let store = MaildirStore::with_quotas(
    ///     move |account| (account.user() == "you@localhost").then(|| root.join("you/Maildir")),
    ///     move |_| Some(rules.clone()),
    /// );
    /// ```
    pub fn with_quotas(
        locate: impl Fn(&Identity) -> Option<PathBuf> + Send + Sync + 'static,
        quotas: impl Fn(&Identity) -> Option<QuotaRules> + Send + Sync + 'static,
    ) -> Self {
        Self::made(maildir::Store::new(RealFs, Options::from_system()), locate, quotas)
    }

    /// The same over files that the caller has opened, with options or a file system of its own.
    pub fn over(files: maildir::Store, locate: impl Fn(&Identity) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self::made(files, locate, |_| None)
    }

    fn made(
        files: maildir::Store,
        locate: impl Fn(&Identity) -> Option<PathBuf> + Send + Sync + 'static,
        quotas: impl Fn(&Identity) -> Option<QuotaRules> + Send + Sync + 'static,
    ) -> Self {
        MaildirStore {
            inner: Arc::new(Inner {
                locate: Box::new(locate),
                lies_as: Box::new(|_| TreeOptions::default()),
                names: Names::default(),
                quotas: Box::new(quotas),
                quota_setters: None,
                files,
                open: Mutex::default(),
                durable: Mutex::default(),
                pool: Pool::new(),
                disk: Disk::default(),
                watched_names: NameLogs::default(),
                accounts: Accounts::default(),
                looks: Arc::default(),
            }),
        }
    }

    /// Checks the mail of an account, and repairs it if that is wanted, while it is in use; `progress` hears how far it has
    /// come. `None`: the account has no mail yet.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pillarbox::maildir::Repair;
    /// use pillarbox::parts::Identity;
    /// use pillarbox::store::MaildirStore;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let root = dir.path().to_owned();
    /// let store = MaildirStore::new(move |_| Some(root.join("Maildir")));
    /// let report = store.fsck(&Identity::new("you@localhost"), Repair::Yes, |_| {}).await?;
    /// assert!(report.is_none_or(|report| report.is_clean()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::NoSuchMailbox`] if there is no such account, or its folder is none; what keeps the folder from being
    /// listed. What happens to one mailbox is in the report.
    pub fn fsck(
        &self,
        user: &Identity,
        repair: maildir::Repair,
        progress: impl FnMut(&maildir::Progress<'_>) + Send + 'static,
    ) -> BoxFuture<'static, Result<Option<maildir::Report>>> {
        let (inner, user) = (Arc::clone(&self.inner), user.clone());
        Box::pin(async move {
            let lane = inner.pool.lane(&user);
            let check = move || {
                let root = inner.root(&user)?;
                let tree = match Tree::as_it_lies(&inner.files, &root, (inner.lies_as)(&user)) {
                    Err(MaildirError::NoSuchMailbox(_)) if !root.exists() => return Ok(None),
                    tree => tree.map_err(told)?,
                };
                maildir::fsck(&tree, repair, &mut Recomputing(progress)).map(Some).map_err(told)
            };
            lane.run(check).await
        })
    }

    /// How other programs' changes are noticed. Takes effect if no session has waited for news yet.
    #[must_use]
    pub fn watch(self, options: WatchOptions) -> Self {
        *self.inner.disk.options.lock().unwrap_or_else(PoisonError::into_inner) = options;
        self
    }

    /// Work on an account's tree.
    fn on_tree<T: Send + 'static>(
        &self,
        user: &Identity,
        work: impl FnOnce(&Arc<Inner>, &Tree) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (inner, user) = (Arc::clone(&self.inner), user.clone());
        Box::pin(async move {
            let lane = inner.pool.lane(&user);
            lane.run(move || work(&inner, &inner.tree(&user)?)).await
        })
    }
}

impl Inner {
    fn root(&self, user: &Identity) -> Result<PathBuf> {
        (self.locate)(user)
            .ok_or_else(|| StoreError::new(StoreErrorKind::NoSuchMailbox, format!("the account {user} has no folder")))
    }

    fn tree(&self, user: &Identity) -> Result<Tree> {
        let root = self.root(user)?;
        let options = (self.lies_as)(user);
        let inbox = options.inbox.clone();
        let tree = match Tree::open_with(&self.files, &root, options.clone()) {
            Err(MaildirError::NoSuchMailbox(_)) => {
                for folder in [Some(&root), inbox.as_ref()].into_iter().flatten() {
                    maildir::make_folders_above(&self.files, folder).map_err(told)?;
                }
                Tree::create_with(&self.files, &root, options)
            }
            opened => opened,
        };
        let tree = tree.map_err(told)?;
        self.make_sure(&tree, &root)?;
        inbox.map_or(Ok(()), |inbox| self.make_sure(&tree, &inbox))?;
        Ok(tree)
    }

    /// Where to ask for room in a mailbox; none where there are no limits.
    fn room(&self, user: &Identity, tree: &Tree, name: &maildir::MailboxName) -> Option<Room> {
        self.rules(user, tree).map(|rules| Room::new(tree.clone(), name.clone(), rules))
    }

    /// Makes the folders that an account's tree stands in durable, once in the life of this process. Who made them may have
    /// been killed before it came to that, or be another thread that is about to. What the tree stands on is looked at then too.
    fn make_sure(&self, tree: &Tree, root: &Path) -> Result<()> {
        let durable = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |folder: &&Path| durable().contains(*folder);
        let folders: Vec<&Path> = root.ancestors().take_while(|folder| !known(folder)).collect();
        if !folders.is_empty() {
            tree.check_names().map_err(told)?;
        }
        for folder in &folders {
            match RealFs.sync_dir(&itself(folder)) {
                // Not ours to read or write, and so not made by us. A read-only disk holds nothing that is pending.
                Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnly) => {}
                synced => synced.map_err(|error| told(error.into()))?,
            }
        }
        durable().extend(folders.into_iter().map(Path::to_owned));
        Ok(())
    }
}

/// The folder that a path leads to, whatever links the installation put above the mail.
fn itself(folder: &Path) -> PathBuf {
    folder.join(".")
}

impl MaildirStore {
    /// Renames a mailbox; of INBOX the messages go to a new one, with this list if there is one.
    fn rename_to<'a>(
        &'a self,
        user: &Identity,
        from: &MailboxName,
        to: &MailboxName,
        list: Option<pillarbox_maildir::Acl>,
    ) -> BoxFuture<'a, Result<()>> {
        let (old, new, account) = (from.clone(), to.clone(), user.clone());
        self.on_tree(user, move |inner, tree| {
            let (from, to) = (&old, &new);
            let (from, to) = (inner.names.find(tree, from)?, inner.names.find(tree, to)?);
            if to.is_below(&from) {
                return Err(StoreError::new(StoreErrorKind::Cannot, "a mailbox cannot be put below itself"));
            }
            let moved: Vec<PathBuf> = match from.is_inbox() {
                true => Vec::new(),
                false => {
                    let all = tree.list().map_err(told)?;
                    let moved = all.iter().filter(|mailbox| mailbox.name == from || mailbox.name.is_below(&from));
                    moved
                        .filter_map(|mailbox| tree.mailbox(&mailbox.name).ok())
                        .map(|folder| folder.path().to_owned())
                        .collect()
                }
            };
            inner.change_names(&account, false, || {
                match list.as_ref().filter(|_| from.is_inbox()) {
                    Some(list) => tree.rename_inbox(&to, list).map_err(told)?,
                    None => tree.rename_mailbox(&from, &to).map_err(told)?,
                }
                moved.iter().for_each(|folder| inner.let_go(folder));
                if from.is_inbox() {
                    inner.look_again(tree.mailbox(&from).map_err(told)?.path());
                }
                Ok(match from.is_inbox() {
                    true => NameChange::Created(new.clone()),
                    false => NameChange::Renamed { from: old.clone(), to: new.clone() },
                })
            })
        })
    }
}

impl MailboxStore for MaildirStore {
    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities {
            hierarchy: true,
            watches: true,
            keywords: true,
            binary: true,
            moves: true,
            replace: true,
            multiappend: true,
            sizes: true,
            special_use: true,
            create_special_use: true,
            mod_seqs: true,
            vanished: true,
            object_ids: true,
            save_dates: true,
            quota_set: self.inner.quota_setters.is_some(),
            metadata: true,
            server_metadata: true,
            quota: true,
            ..StoreCapabilities::default()
        }
    }

    fn namespace(&self) -> Option<Namespace> {
        self.inner.names.namespace()
    }

    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>>> {
        let list = list.clone();
        self.on_tree(user, move |inner, tree| {
            let in_imap = |name: &maildir::MailboxName| inner.names.in_imap(name);
            let (patterns, mut known) = (list.ready_patterns(), Vec::new());
            for mailbox in tree.list().map_err(told)?.into_iter().filter(|mailbox| mailbox.exists) {
                let Some(name) = in_imap(&mailbox.name) else { continue };
                let mut name = KnownName::existing(name);
                // Its file need not be read where nobody is told.
                if list.recursive || patterns.iter().any(|pattern| pattern.matches(name.name.as_str())) {
                    name.uses = special_uses(tree, &mailbox.name)?;
                }
                known.push(name);
            }
            // Without options nobody is told of subscriptions.
            if list.lsub || list.subscribed || list.tell_subscribed {
                let names = tree.subscriptions().map_err(told)?;
                known.extend(names.iter().filter_map(in_imap).map(KnownName::subscription));
            }
            Ok(list.answer(known))
        })
    }

    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        items: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status>> {
        let (name, items, asked) = (mailbox.clone(), items.to_vec(), self.inner.looks.now());
        let lane = self.inner.pool.lane(user);
        self.on_tree(user, move |inner, tree| {
            let maildir = tree.mailbox(&inner.names.find(tree, &name)?).map_err(told)?;
            let shared = inner.shared(lane, &maildir, true)?;
            shared.refresh_since(asked)?;
            shared.status(&items)
        })
    }

    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        self.make(user, mailbox, uses, None)
    }

    fn delete<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<()>> {
        let (mailbox, account) = (mailbox.clone(), user.clone());
        self.on_tree(user, move |inner, tree| {
            let name = inner.names.find(tree, &mailbox)?;
            let folder = tree.mailbox(&name).map_err(told)?;
            inner.change_names(&account, false, || {
                tree.delete_mailbox(&name).map_err(told)?;
                inner.let_go(folder.path());
                Ok(NameChange::Deleted(mailbox))
            })
        })
    }

    fn rename<'a>(
        &'a self,
        user: &'a Identity,
        from: &'a MailboxName,
        to: &'a MailboxName,
    ) -> BoxFuture<'a, Result<()>> {
        self.rename_to(user, from, to, None)
    }

    fn subscribe<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        subscribed: bool,
    ) -> BoxFuture<'a, Result<()>> {
        let (name, account) = (mailbox.clone(), user.clone());
        self.on_tree(user, move |inner, tree| {
            let on_disk = inner.names.find(tree, &name)?;
            inner.change_names(&account, subscribed, || {
                if subscribed {
                    tree.subscribe(&on_disk).map_err(told)?;
                    return Ok(NameChange::Subscribed(name.clone()));
                }
                // What another program has subscribed to may be spelled otherwise.
                let all = tree.subscriptions().map_err(told)?;
                let otherwise = all.iter().filter(|other| inner.names.in_imap(other).as_ref() == Some(&name));
                let mut spellings = std::iter::once(&on_disk).chain(otherwise.filter(|other| **other != on_disk));
                spellings.try_for_each(|name| tree.unsubscribe(name).map(drop)).map_err(told)?;
                Ok(NameChange::Subscribed(name.clone()))
            })
        })
    }

    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>>> {
        let (name, store, user) = (mailbox.clone(), self.clone(), user.clone());
        let lane = self.inner.pool.lane(&user);
        let opened = self.on_tree(&user, move |inner, tree| {
            let maildir = tree.mailbox(&inner.names.find(tree, &name)?).map_err(told)?;
            inner.shared(lane, &maildir, read_only)
        });
        Box::pin(async move { Ok(Box::new(Open::new(store, user, opened.await?, read_only)) as Box<dyn Mailbox>) })
    }

    fn watch<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Box<dyn MailboxWatch>>> {
        let (name, lane) = (mailbox.clone(), self.inner.pool.lane(user));
        let shared = self.on_tree(user, move |inner, tree| {
            let maildir = tree.mailbox(&inner.names.find(tree, &name)?).map_err(told)?;
            let shared = inner.shared(lane, &maildir, true)?;
            // What is there already is not news.
            shared.refresh()?;
            Ok(shared)
        });
        Box::pin(async move { Ok(Box::new(Watched::begin(&self.inner, shared.await?)?) as Box<dyn MailboxWatch>) })
    }

    fn watch_names<'a>(
        &'a self,
        user: &'a Identity,
        _: &'a [MailboxName],
    ) -> BoxFuture<'a, Result<Box<dyn NameWatch>>> {
        self.watch_account_names(user)
    }

    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        let (name, inner, user) = (mailbox.clone(), Arc::clone(&self.inner), user.clone());
        let size = append.size;
        let purpose = append::purpose(&append);
        let lane = self.inner.pool.lane(&user);
        let opened = self.on_tree(&user.clone(), move |inner, tree| {
            let name = inner.names.find(tree, &name)?;
            let (folder, room) = (tree.mailbox(&name).map_err(told)?, inner.room(&user, tree, &name));
            if let (Some(room), Some(size)) = (&room, size) {
                room.check_announced(size, purpose)?;
            }
            Ok((folder, room))
        });
        Box::pin(async move {
            let (folder, room) = opened.await?;
            Ok(Box::new(Incoming::new(inner, lane, folder, room, append)) as Box<dyn IncomingAppend>)
        })
    }

    fn metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>>> {
        let (reader, mailbox, wanted) = (user.clone(), mailbox.cloned(), wanted.clone());
        self.on_tree(user, move |inner, tree| metadata::told_of(inner, tree, &reader, mailbox.as_ref(), &wanted))
    }

    fn set_metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<()>> {
        let (writer, mailbox, changes) = (user.clone(), mailbox.cloned(), changes.to_vec());
        self.on_tree(user, move |inner, tree| metadata::change(inner, tree, &writer, mailbox.as_ref(), &changes))
    }

    fn quota_roots<'a>(&'a self, user: &'a Identity, _: &'a MailboxName) -> BoxFuture<'a, Result<Vec<QuotaRoot>>> {
        let account = user.clone();
        // One for all mailboxes of the account: rules for single ones say how full it may be when something is put there.
        self.on_tree(user, move |inner, tree| quota::roots(&account, tree, inner.rules(&account, tree)))
    }

    fn quota_root<'a>(&'a self, user: &'a Identity, root: &'a str) -> BoxFuture<'a, Result<QuotaRoot>> {
        match quota::account_of(root) {
            // As with all that one asks of one's own, the account comes to be.
            Some(account) if account == *user => self.on_tree(user, move |inner, tree| inner.root_of(&account, tree)),
            Some(account) if self.may_set_quota(user) => self.quota_root_there(account, None),
            _ => Box::pin(std::future::ready(Err(quota::no_root(root)))),
        }
    }

    fn may_set_quota(&self, user: &Identity) -> bool {
        self.inner.quota_setters.as_ref().is_some_and(|may| may(user))
    }

    fn set_quota<'a>(
        &'a self,
        user: &'a Identity,
        root: &'a str,
        limits: &'a [(Resource, u64)],
    ) -> BoxFuture<'a, Result<QuotaRoot>> {
        let refused = |error| Box::pin(std::future::ready(Err(error))) as BoxFuture<'a, Result<QuotaRoot>>;
        if !self.may_set_quota(user) {
            let error = StoreError::new(StoreErrorKind::NoPermission, format!("{user} may set no limits"));
            return refused(error);
        }
        match quota::account_of(root) {
            Some(account) => self.quota_root_there(account, Some(quota::limits(limits))),
            None => refused(quota::no_root(root)),
        }
    }

    fn room<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName, size: u64) -> BoxFuture<'a, Result<()>> {
        let (name, of) = (mailbox.clone(), user.clone());
        self.on_tree(user, move |inner, tree| match inner.room(&of, tree, &inner.names.find(tree, &name)?) {
            Some(room) => room.check(Usage::message(size), Purpose::Delivery),
            None => Ok(()),
        })
    }
}
