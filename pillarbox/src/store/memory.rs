//! Mailboxes in memory, for tests and first tries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_core::WallTime;
use pillarbox_imap::list::{KnownName, List};
use pillarbox_imap::server::{Change, FlagChange, Listed, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{Flag, Flags, MailboxName, SpecialUse, Uid, UidSet, UidValidity};

use super::feed::{Feed, FeedReader};
use crate::parts::{
    Append, AppendedMessages, BoxFuture, Clock, Copied, Identity, IncomingAppend, Mailbox, MailboxStore, MessageData,
    MessageReader, StoreCapabilities, StoreError, StoreErrorKind, SystemClock,
};

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
}

struct Account {
    mailboxes: BTreeMap<MailboxName, Arc<Shared>>,
    subscribed: BTreeSet<MailboxName>,
    last_uid_validity: u32,
}

/// One mailbox, shared by all who have it open.
struct Shared {
    uid_validity: UidValidity,
    uses: Vec<SpecialUse>,
    contents: Mutex<Contents>,
    feed: Arc<Feed>,
}

struct Contents {
    messages: BTreeMap<Uid, Message>,
    uid_next: Uid,
}

#[derive(Clone)]
struct Message {
    flags: Flags,
    date: WallTime,
    octets: Arc<[u8]>,
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

impl Default for Account {
    fn default() -> Self {
        let mut account = Account { mailboxes: BTreeMap::new(), subscribed: BTreeSet::new(), last_uid_validity: 0 };
        account.make(MailboxName::inbox(), &[]);
        account
    }
}

impl Account {
    /// Makes a mailbox under a UIDVALIDITY that no mailbox of the account had (RFC 9051 §2.3.1.1).
    fn make(&mut self, name: MailboxName, uses: &[SpecialUse]) {
        self.last_uid_validity += 1;
        let uid_validity = UidValidity::new(self.last_uid_validity).expect("a count from 1 is not 0");
        let uid_next = Uid::new(1).expect("1 is not 0");
        let shared = Shared {
            uid_validity,
            uses: uses.to_vec(),
            contents: Mutex::new(Contents { messages: BTreeMap::new(), uid_next }),
            feed: Arc::default(),
        };
        self.mailboxes.insert(name, Arc::new(shared));
    }

    fn find(&self, name: &MailboxName) -> Result<Arc<Shared>, StoreError> {
        self.mailboxes.get(name).cloned().ok_or_else(|| no_such(name))
    }
}

impl Contents {
    fn add(&mut self, message: Message) -> Result<Uid, StoreError> {
        let uid = self.uid_next;
        self.uid_next = uid.next().ok_or_else(|| StoreError::new(StoreErrorKind::Limit, "no UIDs are left"))?;
        self.messages.insert(uid, message);
        Ok(uid)
    }
}

impl Shared {
    /// Adds messages all at once. Changes are told while the contents are locked, so that they come in order.
    fn add(&self, messages: Vec<Message>) -> Result<Vec<Uid>, StoreError> {
        let mut contents = lock(&self.contents);
        let mut uids = Vec::with_capacity(messages.len());
        for message in messages {
            uids.push(contents.add(message)?);
        }
        if !uids.is_empty() {
            self.feed.tell(Change::Added(uids.clone()));
        }
        Ok(uids)
    }

    fn remove(&self, uids: &[Uid]) -> Vec<Uid> {
        let mut contents = lock(&self.contents);
        let gone: Vec<Uid> = uids.iter().copied().filter(|uid| contents.messages.remove(uid).is_some()).collect();
        if !gone.is_empty() {
            self.feed.tell(Change::Removed(gone.iter().copied().collect()));
        }
        gone
    }
}

impl MemoryStore {
    /// No accounts yet; dates come from the system's clock.
    pub fn new() -> Self {
        MemoryStore::with_clock(Arc::new(SystemClock::new()))
    }

    /// No accounts yet; dates come from this clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        MemoryStore { accounts: Arc::default(), clock }
    }

    fn account<T>(&self, user: &Identity, act: impl FnOnce(&mut Account) -> T) -> T {
        act(lock(&self.accounts).entry(user.clone()).or_default())
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
            multiappend: true,
            sizes: true,
            special_use: true,
            create_special_use: true,
        }
    }

    fn list<'a>(&'a self, user: &'a Identity, list: &'a List) -> BoxFuture<'a, Result<Vec<Listed>, StoreError>> {
        ready(Ok(self.account(user, |account| {
            let mailboxes = account.mailboxes.iter().map(|(name, shared)| {
                let mut known = KnownName::existing(name.clone());
                known.uses.clone_from(&shared.uses);
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
        ready(self.account(user, |account| account.find(mailbox)).map(|shared| {
            let contents = lock(&shared.contents);
            let with = |flag| contents.messages.values().filter(|message| message.flags.contains(&flag)).count() as u32;
            let mut status = Status::new(shared.uid_validity, contents.uid_next);
            status.messages = contents.messages.len() as u32;
            status.unseen = status.messages - with(Flag::Seen);
            status.deleted = with(Flag::Deleted);
            status.size = contents.messages.values().map(|message| message.octets.len() as u64).sum();
            status
        }))
    }

    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.account(user, |account| {
            if account.mailboxes.contains_key(mailbox) {
                return Err(StoreError::new(StoreErrorKind::AlreadyExists, format!("{} exists", mailbox.as_str())));
            }
            // RFC 6154 §3: there are no views here, and programs would not know which of two mailboxes to use.
            let taken = |special| account.mailboxes.values().any(|shared| shared.uses.contains(special));
            if let Some(special) = uses.iter().find(|special| special.is_view() || taken(special)) {
                return Err(StoreError::new(StoreErrorKind::NotForThatUse, format!("{special} cannot be had")));
            }
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
            above.into_iter().rev().for_each(|name| account.make(name, &[]));
            account.make(mailbox.clone(), uses);
            Ok(())
        }))
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
            shared.feed.tell(Change::Gone);
            Ok(())
        }))
    }

    fn rename<'a>(
        &'a self,
        user: &'a Identity,
        from: &'a MailboxName,
        to: &'a MailboxName,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        ready(self.account(user, |account| {
            let shared = account.find(from)?;
            if account.mailboxes.contains_key(to) || account.mailboxes.keys().any(|name| name.is_below(to)) {
                return Err(StoreError::new(StoreErrorKind::AlreadyExists, format!("{} exists", to.as_str())));
            }
            if to.is_below(from) {
                return Err(StoreError::new(StoreErrorKind::Cannot, "a mailbox cannot be put below itself"));
            }
            if from.is_inbox() {
                // RFC 9051 §6.3.6: its messages move to a new mailbox; INBOX stays, and so does what is below it.
                account.make(to.clone(), &[]);
                let messages = lock(&shared.contents).messages.clone();
                account.find(to)?.add(messages.values().cloned().collect())?;
                shared.remove(&messages.keys().copied().collect::<Vec<_>>());
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
                    account.mailboxes.insert(new, shared);
                }
            }
            Ok(())
        }))
    }

    fn subscribe<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        subscribed: bool,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.account(user, |account| match subscribed {
            true => account.subscribed.insert(mailbox.clone()),
            false => account.subscribed.remove(mailbox),
        });
        ready(Ok(()))
    }

    fn open<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        read_only: bool,
    ) -> BoxFuture<'a, Result<Box<dyn Mailbox>, StoreError>> {
        ready(self.account(user, |account| account.find(mailbox)).map(|shared| {
            let reader = shared.feed.reader();
            Box::new(Open { store: self.clone(), user: user.clone(), shared, reader, read_only }) as Box<dyn Mailbox>
        }))
    }

    fn append<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>, StoreError>> {
        ready(self.account(user, |account| account.find(mailbox)).map(|shared| {
            let date = append.date.unwrap_or_else(|| self.clock.wall());
            let clock = Arc::clone(&self.clock);
            let now = Held { flags: append.flags, date, octets: Vec::new() };
            Box::new(Incoming { shared, clock, complete: Vec::new(), now, published: Vec::new() })
                as Box<dyn IncomingAppend>
        }))
    }
}

struct Incoming {
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    /// Messages that came before in the same command.
    complete: Vec<Message>,
    now: Held,
    published: Vec<Uid>,
}

/// A message that is on its way.
struct Held {
    flags: Flags,
    date: WallTime,
    octets: Vec<u8>,
}

impl Incoming {
    fn complete(&self, held: &Held) -> Message {
        Message { flags: held.flags.clone(), date: held.date, octets: held.octets.as_slice().into() }
    }
}

impl IncomingAppend for Incoming {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.now.octets.extend_from_slice(octets);
        ready(Ok(()))
    }

    fn next(&mut self, append: Append) -> BoxFuture<'_, Result<(), StoreError>> {
        let date = append.date.unwrap_or_else(|| self.clock.wall());
        let next = Held { flags: append.flags, date, octets: Vec::new() };
        let before = std::mem::replace(&mut self.now, next);
        self.complete.push(self.complete(&before));
        ready(Ok(()))
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(Ok(()))
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages, StoreError>> {
        let mut messages = std::mem::take(&mut self.complete);
        messages.push(self.complete(&self.now));
        ready(self.shared.add(messages).map(|uids| {
            self.published.clone_from(&uids);
            AppendedMessages::new(Some((self.shared.uid_validity, uids)))
        }))
    }

    fn undo(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.shared.remove(&std::mem::take(&mut self.published));
        ready(Ok(()))
    }
}

struct Open {
    store: MemoryStore,
    user: Identity,
    shared: Arc<Shared>,
    reader: FeedReader,
    read_only: bool,
}

impl Open {
    fn writable(&self) -> Result<(), StoreError> {
        match self.read_only {
            true => Err(StoreError::new(StoreErrorKind::Cannot, "the mailbox is open for reading only")),
            false => Ok(()),
        }
    }
}

impl Mailbox for Open {
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        let contents = lock(&self.shared.contents);
        self.reader.take();
        let mut snapshot = Snapshot::new(self.shared.uid_validity, contents.uid_next);
        snapshot.uids = contents.messages.keys().copied().collect();
        snapshot.first_unseen =
            contents.messages.iter().find(|(_, message)| !message.flags.contains(&Flag::Seen)).map(|(uid, _)| *uid);
        let keywords = contents.messages.values().flat_map(|message| message.flags.keywords().iter().cloned());
        snapshot.keywords = keywords.collect::<BTreeSet<_>>().into_iter().map(Flag::Keyword).collect();
        snapshot.read_only = self.read_only;
        ready(Ok(snapshot))
    }

    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        ready(Ok(self.reader.take()))
    }

    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        Box::pin(async { Ok(self.reader.next().await) })
    }

    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>, StoreError>> {
        let contents = lock(&self.shared.contents);
        let found = uids.ranges().flat_map(|range| contents.messages.range(range));
        let data = found.map(|(uid, message)| {
            MessageData::new(*uid, message.flags.clone(), message.date, message.octets.len() as u64)
        });
        ready(Ok(data.collect()))
    }

    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>, StoreError>> {
        let octets = lock(&self.shared.contents).messages.get(&uid).map(|message| message.octets.clone());
        ready(match octets {
            Some(octets) => Ok(Box::new(Octets(octets)) as Box<dyn MessageReader>),
            None => Err(StoreError::new(StoreErrorKind::Expunged, format!("message {uid} is gone"))),
        })
    }

    fn set_flags<'a>(
        &'a mut self,
        uids: &'a UidSet,
        change: FlagChange,
        flags: &'a Flags,
    ) -> BoxFuture<'a, Result<Vec<(Uid, Flags)>, StoreError>> {
        if let Err(error) = self.writable() {
            return ready(Err(error));
        }
        let mut contents = lock(&self.shared.contents);
        let (mut now, mut changes) = (Vec::new(), Vec::new());
        for range in uids.ranges() {
            for (uid, message) in contents.messages.range_mut(range) {
                let before = message.flags.clone();
                match change {
                    FlagChange::Replace => message.flags = flags.clone(),
                    FlagChange::Add => flags.iter().for_each(|flag| {
                        message.flags.insert(flag);
                    }),
                    FlagChange::Remove => flags.iter().for_each(|flag| {
                        message.flags.remove(&flag);
                    }),
                }
                if message.flags != before {
                    changes.push(Change::Flags { uid: *uid, flags: message.flags.clone() });
                }
                now.push((*uid, message.flags.clone()));
            }
        }
        self.shared.feed.tell_all(changes);
        ready(Ok(now))
    }

    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied, StoreError>> {
        let messages: Vec<(Uid, Message)> = {
            let contents = lock(&self.shared.contents);
            let found = uids.ranges().flat_map(|range| contents.messages.range(range));
            found.map(|(uid, message)| (*uid, message.clone())).collect()
        };
        if messages.is_empty() {
            return ready(Err(StoreError::new(StoreErrorKind::Expunged, "none of these messages is there")));
        }
        let (sources, copies): (Vec<Uid>, Vec<Message>) = messages.into_iter().unzip();
        ready(self.store.account(&self.user, |account| account.find(target)).and_then(|target| {
            let added = target.add(copies)?;
            Ok((target.uid_validity, sources.into_iter().zip(added).collect()))
        }))
    }

    fn move_to<'a>(
        &'a mut self,
        uids: &'a UidSet,
        target: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Copied, StoreError>> {
        if let Err(error) = self.writable() {
            return ready(Err(error));
        }
        Box::pin(async move {
            let (uid_validity, mut pairs) = self.copy(uids, target).await?;
            let gone = self.shared.remove(&pairs.iter().map(|(here, _)| *here).collect::<Vec<_>>());
            // What somebody else took away meanwhile is theirs; our copies of it would be doubles.
            let doubles = pairs.extract_if(.., |(here, _)| gone.binary_search(here).is_err());
            let doubles: Vec<Uid> = doubles.map(|(_, there)| there).collect();
            if !doubles.is_empty() {
                self.store.account(&self.user, |account| account.find(target))?.remove(&doubles);
            }
            match pairs.is_empty() {
                true => Err(StoreError::new(StoreErrorKind::Expunged, "none of these messages is there")),
                false => Ok((uid_validity, pairs)),
            }
        })
    }

    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>, StoreError>> {
        if let Err(error) = self.writable() {
            return ready(Err(error));
        }
        let deleted: Vec<Uid> = {
            let contents = lock(&self.shared.contents);
            let chosen = contents.messages.iter().filter(|(uid, message)| {
                message.flags.contains(&Flag::Deleted) && only.is_none_or(|only| only.contains(**uid))
            });
            chosen.map(|(uid, _)| *uid).collect()
        };
        ready(Ok(self.shared.remove(&deleted)))
    }
}

struct Octets(Arc<[u8]>);

impl MessageReader for Octets {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize, StoreError>> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        ready(Ok(count))
    }
}
