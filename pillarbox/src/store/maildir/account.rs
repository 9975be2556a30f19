//! The names of an account that somebody watches: which mailboxes there are and which are subscribed to, whoever changes that.
//!
//! What this process changes is told when it is done. What others change shows when the root of the account is looked at, which it
//! is when the system says that it changed, and now and then. An account costs a directory that is watched, and its names in memory;
//! one that nobody watches costs nothing.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use pillarbox_imap::types::MailboxName;
use pillarbox_maildir::{MaildirError, Tree, Watch};
use tokio::runtime::Handle;

use super::acl::is_kept_from_us;
use super::news::{LOOKS_APART, RETRY_AFTER, lock};
use super::{Inner, MaildirStore, Result, told};
use crate::parts::{BoxFuture, Identity, NameChange, NameWatch, StoreErrorKind};

/// The accounts that somebody watches, by their roots.
#[derive(Default)]
pub(super) struct Accounts(Mutex<HashMap<PathBuf, Weak<Account>>>);

impl Accounts {
    fn find(&self, root: &Path) -> Option<Arc<Account>> {
        lock(&self.0).get(root).and_then(Weak::upgrade)
    }
}

/// An account whose names somebody watches.
struct Account {
    identity: Identity,
    root: PathBuf,
    /// Held while names are looked at, and while this process changes them. None: they were not looked at yet.
    seen: Mutex<Option<Seen>>,
    look: Mutex<Look>,
    /// Of whoever came to watch last: that of the first may have ended since.
    runtime: Mutex<Handle>,
    _watch: Watch,
}

#[derive(Default)]
struct Look {
    /// Something happened since the last look began.
    behind: bool,
    looking: bool,
}

/// What there was at the last look.
#[derive(Default)]
struct Seen {
    mailboxes: BTreeSet<MailboxName>,
    subscriptions: BTreeSet<MailboxName>,
}

impl Seen {
    fn of(inner: &Inner, tree: &Tree) -> Result<Self> {
        let existing = known(tree.list())?.into_iter().filter(|mailbox| mailbox.exists);
        let mailboxes = existing.filter_map(|mailbox| inner.names.in_imap(&mailbox.name)).collect();
        let subscriptions = known(tree.subscriptions())?;
        Ok(Seen {
            mailboxes,
            subscriptions: subscriptions.iter().filter_map(|name| inner.names.in_imap(name)).collect(),
        })
    }

    /// What happened from here to there. A rename looks like one mailbox that went and another that came.
    fn changes(&self, now: &Seen) -> Vec<NameChange> {
        let gone = self.mailboxes.difference(&now.mailboxes).cloned().map(NameChange::Deleted);
        let came = now.mailboxes.difference(&self.mailboxes).cloned().map(NameChange::Created);
        let subscribed = self.subscriptions.symmetric_difference(&now.subscriptions).cloned();
        gone.chain(came).chain(subscribed.map(NameChange::Subscribed)).collect()
    }

    /// This process did this.
    fn learn(&mut self, change: &NameChange, subscribed: bool) {
        match change {
            NameChange::Created(name) => drop(self.mailboxes.insert(name.clone())),
            NameChange::Deleted(name) => drop(self.mailboxes.remove(name)),
            NameChange::Renamed { from, to } => {
                let moved = |name: &MailboxName| {
                    let below = name.as_str().strip_prefix(from.as_str())?;
                    let is_moved = below.is_empty() || below.starts_with('/');
                    is_moved.then(|| MailboxName::new(&format!("{to}{below}")).ok())?
                };
                self.mailboxes =
                    self.mailboxes.iter().map(|name| moved(name).unwrap_or_else(|| name.clone())).collect();
            }
            NameChange::Subscribed(name) => match subscribed {
                true => drop(self.subscriptions.insert(name.clone())),
                false => drop(self.subscriptions.remove(name)),
            },
            _ => {}
        }
    }
}

/// Nothing of what is kept from us: whoever watches others beside must not lose them by it.
fn known<T>(names: std::result::Result<Vec<T>, MaildirError>) -> Result<Vec<T>> {
    match names {
        Err(error) if is_kept_from_us(&error) => Ok(Vec::new()),
        names => names.map_err(told),
    }
}

impl Inner {
    /// Does something to the names of an account, and tells those who watch. `subscribed`: what is subscribed to from now on.
    pub(super) fn change_names(
        &self,
        account: &Identity,
        subscribed: bool,
        change: impl FnOnce() -> Result<NameChange>,
    ) -> Result<()> {
        let root = self.root(account)?;
        let (watched, late) = (self.accounts.find(&root), std::cell::OnceCell::new());
        let mut seen = watched.as_ref().map(|account| lock(&account.seen));
        let change = change()?;
        // Whoever began to watch meanwhile may have looked before the change, and must not find it a second time.
        if seen.is_none() {
            seen = late.get_or_init(|| self.accounts.find(&root)).as_ref().map(|account| lock(&account.seen));
        }
        if let Some(seen) = seen.as_mut().and_then(|seen| seen.as_mut()) {
            seen.learn(&change, subscribed);
        }
        self.watched_names.tell(account, vec![change]);
        Ok(())
    }

    /// Looks at the names of an account, once for all who watch it and one look at a time.
    pub(super) fn look_at_names(self: &Arc<Self>, root: &Path) {
        if let Some(account) = self.accounts.find(root) {
            lock(&account.look).behind = true;
            look(self, &account);
        }
    }

    fn compare(&self, account: &Account) -> Result<()> {
        let mut seen = lock(&account.seen);
        let now = match self.tree_let_in(&account.identity) {
            Ok(Some(tree)) => Seen::of(self, &tree)?,
            Ok(None) => Seen::default(),
            Err(error) if error.kind == StoreErrorKind::NoSuchMailbox => Seen::default(),
            Err(error) => return Err(error),
        };
        let changes = seen.as_ref().map(|seen| seen.changes(&now)).unwrap_or_default();
        *seen = Some(now);
        if !changes.is_empty() {
            self.watched_names.tell(&account.identity, changes);
        }
        Ok(())
    }

    /// The account whose names are watched from now on; none if there is none. None comes to be.
    fn watch_account(self: &Arc<Self>, identity: &Identity, runtime: Handle) -> Result<Option<Arc<Account>>> {
        let tree = match self.tree_let_in(identity) {
            Err(error) if error.kind == StoreErrorKind::NoSuchMailbox => return Ok(None),
            tree => match tree? {
                Some(tree) => tree,
                None => return Ok(None),
            },
        };
        let root = self.root(identity)?;
        let watcher = self.disk.watcher(self)?;
        let mut accounts = lock(&self.accounts.0);
        if let Some(account) = accounts.get(&root).and_then(Weak::upgrade) {
            drop(accounts);
            *lock(&account.runtime) = runtime;
            // What was to be looked at and could not be where nothing runs any more.
            look(self, &account);
            return Ok(Some(account));
        }
        accounts.retain(|_, account| account.strong_count() > 0);
        let account = Arc::new(Account {
            identity: identity.clone(),
            root: root.clone(),
            seen: Mutex::default(),
            look: Mutex::default(),
            runtime: Mutex::new(runtime),
            _watch: watcher.names(&tree),
        });
        // Nobody else has it yet, so that nothing is told that was there before.
        let mut seen = lock(&account.seen);
        accounts.insert(root, Arc::downgrade(&account));
        drop(accounts);
        *seen = Some(Seen::of(self, &tree)?);
        drop(seen);
        Ok(Some(account))
    }
}

fn look(inner: &Arc<Inner>, account: &Arc<Account>) {
    let mut state = lock(&account.look);
    if !state.behind || state.looking {
        return;
    }
    (state.behind, state.looking) = (false, true);
    drop(state);
    let looking = Looking(Arc::downgrade(account));
    let runtime = lock(&account.runtime).clone();
    let (store, watched, lane) = (Arc::clone(inner), Arc::clone(account), inner.pool.lane(&account.identity));
    runtime.spawn(async move {
        let (inner, account) = (Arc::clone(&store), Arc::clone(&watched));
        let looked = lane.run(move || inner.compare(&account)).await;
        if looked.is_err() {
            lock(&watched.look).behind = true;
        }
        let after = if looked.is_err() { RETRY_AFTER } else { LOOKS_APART };
        // Nobody is kept here by a pause.
        let (store, root) = (Arc::downgrade(&store), watched.root.clone());
        drop(watched);
        again(store, root, after, looking).await;
    });
}

/// A look and the pause after it. They may also end with the runtime that they are in: the account is then looked at by the next.
struct Looking(Weak<Account>);

impl Looking {
    fn ended(mut self) {
        if let Some(account) = std::mem::take(&mut self.0).upgrade() {
            lock(&account.look).looking = false;
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        if let Some(account) = self.0.upgrade() {
            let mut look = lock(&account.look);
            (look.looking, look.behind) = (false, true);
        }
    }
}

/// Looks after a while, if something happened meanwhile.
fn again(store: Weak<Inner>, root: PathBuf, after: Duration, looking: Looking) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        tokio::time::sleep(after).await;
        looking.ended();
        if let Some(inner) = store.upgrade()
            && let Some(account) = inner.accounts.find(&root)
        {
            look(&inner, &account);
        }
    })
}

/// One who watches an account's names.
struct Watching {
    inner: Arc<Inner>,
    user: Identity,
    told: Box<dyn NameWatch>,
    /// Held for all that the account is looked at because of it. `None`: there was no account yet.
    account: Option<Arc<Account>>,
}

impl Watching {
    async fn begin(&mut self) -> Result<()> {
        let (runtime, lane) = (Handle::current(), self.inner.pool.lane(&self.user));
        let (inner, user) = (Arc::clone(&self.inner), self.user.clone());
        self.account = match lane.run(move || inner.watch_account(&user, runtime)).await {
            Err(error) if error.kind == StoreErrorKind::NoSuchMailbox => None,
            account => account?,
        };
        Ok(())
    }
}

impl NameWatch for Watching {
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<NameChange>>> {
        Box::pin(async move {
            if self.account.is_none() {
                // What was told last may be how it came to be.
                self.begin().await?;
            }
            self.told.changes().await
        })
    }
}

impl MaildirStore {
    pub(super) fn watch_account_names(&self, user: &Identity) -> BoxFuture<'static, Result<Box<dyn NameWatch>>> {
        // In this order: what happens in between is told.
        let told = self.inner.watched_names.watch(user);
        let mut watching = Watching { inner: Arc::clone(&self.inner), user: user.clone(), told, account: None };
        Box::pin(async move {
            watching.begin().await?;
            Ok(Box::new(watching) as Box<dyn NameWatch>)
        })
    }
}
