//! Mailboxes in memory, for tests and first tries.

#[cfg(feature = "maildir")]
mod acl;
mod contents;
mod metadata;
mod open;
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_imap::list::{KnownName, List};
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::quota::QuotaRoot;
use pillarbox_imap::server::{Listed, Status, StatusItem};
use pillarbox_imap::types::{MailboxName, ObjectId, SpecialUse, Uid, UidValidity};

use self::contents::{Letter, Shared};
use self::open::{Incoming, Open};
use self::usage::{Limits, Usage, Used};
use super::names::NameLogs;
use crate::parts::{
    Append, BoxFuture, Clock, Identity, IncomingAppend, Mailbox, MailboxStore, MailboxWatch, NameChange, NameWatch,
    StoreCapabilities, StoreError, StoreErrorKind, SystemClock,
};
use crate::store::annotations::Annotations;

/// How many mailboxes an account may have: to list them takes a look at each.
const MAILBOXES_MAX: usize = 10_000;

/// Mailboxes in memory. An account comes to be, with an empty INBOX, when it is first asked for. Clones share the mailboxes.
///
/// Nothing survives the process, so its promise that what returned `Ok` is on stable storage is empty.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::parts::Parts;
/// use pillarbox::store::MemoryStore;
///
/// let store = MemoryStore::new();
/// let parts = Parts { store: Arc::new(store.clone()), ..Parts::in_memory() };
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    accounts: Arc<Mutex<HashMap<Identity, Account>>>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    limits: Limits,
    names: Arc<NameLogs>,
}

/// Identifiers that no other store has, whether of this process or of one before.
struct Ids {
    /// The first UIDVALIDITY of each account: the time at which the store began. A client that kept what it knew of a
    /// process before must not take our messages for those that it knows.
    uid_validity: u32,
    begun: u64,
    next: AtomicU64,
}

struct Account {
    mailboxes: BTreeMap<MailboxName, Arc<Shared>>,
    subscribed: BTreeSet<MailboxName>,
    /// What RFC 5464 calls those of the server.
    annotations: Annotations,
    last_uid_validity: u32,
    used: Arc<Used>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer that needs no waiting.
fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

fn no_such(mailbox: &MailboxName) -> StoreError {
    StoreError::new(StoreErrorKind::NoSuchMailbox, format!("no mailbox {}", mailbox.as_str()))
}

impl Account {
    fn new(store: &MemoryStore) -> Self {
        let (mailboxes, subscribed) = (BTreeMap::new(), BTreeSet::new());
        let (last_uid_validity, used) = (store.ids.uid_validity - 1, Arc::new(Used::new(store.limits)));
        let annotations = Annotations::default();
        let mut account = Account { mailboxes, subscribed, annotations, last_uid_validity, used };
        account.make(store, MailboxName::inbox(), &[]);
        account
    }

    /// Makes a mailbox under a UIDVALIDITY that no mailbox of the account had (RFC 9051 §2.3.1.1).
    fn make(&mut self, store: &MemoryStore, name: MailboxName, uses: &[SpecialUse]) {
        self.last_uid_validity = self.last_uid_validity.saturating_add(1);
        let uid_validity = UidValidity::new(self.last_uid_validity).expect("a count that rises is not 0");
        let id = store.new_id('F');
        self.mailboxes.insert(name, Arc::new(Shared::new(uid_validity, id, uses, Arc::clone(&self.used))));
    }

    /// RFC 6154 §3: there are no views here, and programs would not know which of two mailboxes to use.
    fn refuse_uses(&self, uses: &[SpecialUse], mailbox: &MailboxName) -> Result<(), StoreError> {
        let others = || self.mailboxes.iter().filter(|(name, _)| *name != mailbox);
        let taken = |special| others().any(|(_, shared)| shared.uses().contains(special));
        match uses.iter().find(|special| special.is_view() || taken(special)) {
            Some(special) => Err(StoreError::new(StoreErrorKind::NotForThatUse, format!("{special} cannot be had"))),
            None => Ok(()),
        }
    }

    fn find(&self, name: &MailboxName) -> Result<Arc<Shared>, StoreError> {
        self.mailboxes.get(name).cloned().ok_or_else(|| no_such(name))
    }
}

impl MemoryStore {
    /// No accounts yet; dates come from the system's clock.
    pub fn new() -> Self {
        MemoryStore::with_clock(Arc::new(SystemClock::new()))
    }

    /// No accounts yet; dates come from this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        // The time parts this process from others, and its hash keys part one store from another.
        let now = clock.wall().unix_seconds();
        let mut begun = RandomState::new().build_hasher();
        begun.write_i64(now);
        let uid_validity = u32::try_from(now).unwrap_or_default().max(1);
        let ids = Arc::new(Ids { uid_validity, begun: begun.finish(), next: AtomicU64::new(1) });
        MemoryStore { accounts: Arc::default(), clock, ids, limits: Limits::default(), names: Arc::default() }
    }

    /// Each account that comes to be from now on may hold so many octets and messages (RFC 9208), deliveries with them; `None` is no
    /// limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), pillarbox::parts::StoreError> {
    /// use pillarbox::imap_proto::types::MailboxName;
    /// use pillarbox::parts::{Identity, MailboxStore, StoreErrorKind};
    /// use pillarbox::store::MemoryStore;
    ///
    /// let store = MemoryStore::new().with_quota(Some(10_000_000), None);
    /// let (ann, inbox) = (Identity::new("ann"), MailboxName::inbox());
    /// assert_eq!(store.quota_roots(&ann, &inbox).await?[0].resources[0].limit, 10_000_000);
    /// let refused = store.room(&ann, &inbox, 10_000_001).await.unwrap_err();
    /// assert_eq!(refused.kind, StoreErrorKind::OverQuota);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_quota(mut self, octets: Option<u64>, messages: Option<u64>) -> Self {
        self.limits = Limits { octets, messages };
        self
    }

    fn account<T>(&self, user: &Identity, act: impl FnOnce(&mut Account) -> T) -> T {
        act(lock(&self.accounts).entry(user.clone()).or_insert_with(|| Account::new(self)))
    }

    /// Makes a mailbox, and the levels above it that are not there. What is to be `done` to each of them is done before anybody finds it.
    fn make(
        &self,
        user: &Identity,
        mailbox: &MailboxName,
        uses: &[SpecialUse],
        done: impl Fn(&Shared),
    ) -> Result<Option<ObjectId>, StoreError> {
        self.account(user, |account| {
            if account.mailboxes.contains_key(mailbox) {
                return Err(StoreError::new(StoreErrorKind::AlreadyExists, format!("{} exists", mailbox.as_str())));
            }
            account.refuse_uses(uses, mailbox)?;
            // RFC 9051 §6.3.4: the names above it come to be as well.
            let mut above = Vec::new();
            let mut next = mailbox.parent();
            while let Some(name) = next.filter(|name| !account.mailboxes.contains_key(name)) {
                next = name.parent();
                above.push(name);
            }
            if account.mailboxes.len() + above.len() >= MAILBOXES_MAX {
                return Err(StoreError::new(StoreErrorKind::Limit, "there are too many mailboxes"));
            }
            let new: Vec<&MailboxName> = above.iter().rev().chain([mailbox]).collect();
            for name in &new {
                let uses = if *name == mailbox { uses } else { &[] };
                account.make(self, (*name).clone(), uses);
                done(&account.mailboxes[*name]);
            }
            self.names.tell(user, new.into_iter().cloned().map(NameChange::Created).collect());
            Ok(Some(account.mailboxes[mailbox].id.clone()))
        })
    }

    /// RFC 8474 §5.2: the first letter keeps kinds apart.
    fn new_id(&self, kind: char) -> ObjectId {
        let Ids { begun, next, .. } = &*self.ids;
        let id = format!("{kind}{begun:x}-{:x}", next.fetch_add(1, Ordering::Relaxed));
        ObjectId::new(&id).expect("letters and digits make an identifier")
    }
}

impl MemoryStore {
    /// Renames a mailbox; of INBOX the messages go to a new one, which begins so.
    fn rename_to(
        &self,
        user: &Identity,
        from: &MailboxName,
        to: &MailboxName,
        begin: impl FnOnce(&Shared),
    ) -> Result<(), StoreError> {
        self.account(user, |account| {
            let shared = account.find(from)?;
            if account.mailboxes.contains_key(to) || account.mailboxes.keys().any(|name| name.is_below(to)) {
                return Err(StoreError::new(StoreErrorKind::AlreadyExists, format!("{} exists", to.as_str())));
            }
            if to.is_below(from) {
                return Err(StoreError::new(StoreErrorKind::Cannot, "a mailbox cannot be put below itself"));
            }
            if from.is_inbox() {
                // RFC 9051 §6.3.6: its messages move to a new mailbox; INBOX stays, and so does what is below it.
                account.make(self, to.clone(), &[]);
                let (uids, letters): (Vec<Uid>, Vec<_>) =
                    shared.contents()?.messages.iter().map(|(uid, message)| (*uid, message.letter.clone())).unzip();
                let all = Usage::of(letters.iter().map(|letter: &Letter| letter.octets.len()));
                let target = account.find(to)?;
                begin(&target);
                target.add(letters, self.clock.wall(), all)?;
                // RFC 5464 §4.1
                let annotations = shared.contents()?.annotations.clone();
                target.contents()?.annotations = annotations;
                shared.remove(&uids)?;
                self.names.tell(user, vec![NameChange::Created(to.clone())]);
                return Ok(());
            }
            let names: Vec<MailboxName> =
                account.mailboxes.keys().filter(|name| *name == from || name.is_below(from)).cloned().collect();
            let mut renamed = Vec::with_capacity(names.len());
            for name in names {
                let rest = &name.as_str()[from.as_str().len()..];
                let new = MailboxName::new(&format!("{}{rest}", to.as_str()))
                    .map_err(|error| StoreError::new(StoreErrorKind::Cannot, error.to_string()))?;
                renamed.push((name, new));
            }
            for (old, new) in renamed {
                if let Some(shared) = account.mailboxes.remove(&old) {
                    account.mailboxes.insert(new, Arc::new(shared.renamed()?));
                }
            }
            self.names.tell(user, vec![NameChange::Renamed { from: from.clone(), to: to.clone() }]);
            Ok(())
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new()
    }
}

impl MailboxStore for MemoryStore {
    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities {
            hierarchy: true,
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
            quota: self.limits.are_there(),
            metadata: true,
            server_metadata: true,
            watches: true,
            ..StoreCapabilities::default()
        }
    }

    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        ready(Ok(self.account(user, |account| {
            let mailboxes = account.mailboxes.iter().map(|(name, shared)| {
                let mut known = KnownName::existing(name.clone());
                known.uses = shared.uses();
                known
            });
            list.answer(mailboxes.chain(account.subscribed.iter().cloned().map(KnownName::subscription)))
        })))
    }

    fn status<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        _: &'a [StatusItem],
    ) -> BoxFuture<'a, Result<Status, StoreError>> {
        ready(self.account(user, |account| account.find(mailbox)).and_then(|shared| shared.status()))
    }

    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>, StoreError>> {
        ready(self.make(user, mailbox, uses, |_| {}))
    }

    fn delete<'a>(&'a self, user: &'a Identity, mailbox: &'a MailboxName) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.account(user, |account| {
            // RFC 9051 §6.3.5: neither INBOX, nor (here) a name that has children.
            if mailbox.is_inbox() {
                return Err(StoreError::new(StoreErrorKind::Cannot, "INBOX cannot be deleted"));
            }
            if account.mailboxes.keys().any(|name| name.is_below(mailbox)) {
                return Err(StoreError::new(StoreErrorKind::HasChildren, format!("{mailbox} has children")));
            }
            let shared = account.mailboxes.remove(mailbox).ok_or_else(|| no_such(mailbox))?;
            shared.gone();
            self.names.tell(user, vec![NameChange::Deleted(mailbox.clone())]);
            Ok(())
        }))
    }

    fn rename<'a>(
        &'a self,
        user: &'a Identity,
        from: &'a MailboxName,
        to: &'a MailboxName,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.rename_to(user, from, to, |_| {}))
    }

    fn subscribe<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        subscribed: bool,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.account(user, |account| {
            match subscribed {
                true => account.subscribed.insert(mailbox.clone()),
                false => account.subscribed.remove(mailbox),
            };
            self.names.tell(user, vec![NameChange::Subscribed(mailbox.clone())]);
        });
        ready(Ok(()))
    }

    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>, StoreError>> {
        ready(
            self.account(user, |account| account.find(mailbox))
                .map(|shared| Box::new(Open::new(self.clone(), user.clone(), shared, read_only)) as Box<dyn Mailbox>),
        )
    }

    fn watch<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Box<dyn MailboxWatch>, StoreError>> {
        let shared = self.account(user, |account| account.find(mailbox));
        ready(shared.map(|shared| Box::new(shared.feed.watcher()) as Box<dyn MailboxWatch>))
    }

    fn watch_names<'a>(
        &'a self,
        user: &'a Identity,
        _: &'a [MailboxName],
    ) -> BoxFuture<'a, Result<Box<dyn NameWatch>, StoreError>> {
        ready(Ok(self.names.watch(user)))
    }

    fn room<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        size: u64,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.account(user, |account| {
            account.find(mailbox)?;
            account.used.room(Usage::message(size))
        }))
    }

    fn quota_roots<'a>(
        &'a self,
        user: &'a Identity,
        _: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Vec<QuotaRoot>, StoreError>> {
        ready(match self.limits.are_there() {
            true => Ok(self.account(user, |account| account.used.roots(user))),
            false => Err(StoreError::new(StoreErrorKind::Cannot, "this store has no quotas")),
        })
    }

    fn metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        wanted: &'a WantedEntries,
    ) -> BoxFuture<'a, Result<Vec<Entry>, StoreError>> {
        ready(self.annotations(user, mailbox, wanted))
    }

    fn set_metadata<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: Option<&'a MailboxName>,
        changes: &'a [EntryChange],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.annotate(user, mailbox, changes))
    }

    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>, StoreError>> {
        ready(self.account(user, |account| {
            let shared = account.find(mailbox)?;
            append.size.map_or(Ok(()), |size| account.used.room(Usage::message(size)))?;
            Ok(Box::new(Incoming::new(self.clone(), shared, append)) as Box<dyn IncomingAppend>)
        }))
    }
}
