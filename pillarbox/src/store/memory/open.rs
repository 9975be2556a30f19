//! One selection of a mailbox in memory, and messages on their way into it.

use std::sync::Arc;

use pillarbox_core::WallTime;
use pillarbox_imap::server::{Change, Snapshot};
use pillarbox_imap::types::{Flag, Flags, MailboxName, ModSeq, ObjectId, Uid, UidSet};

use super::contents::{Letter, Shared};
use super::usage::Usage;
use super::{MemoryStore, ready};
use crate::parts::{
    Append, AppendedMessages, BoxFuture, Copied, FlagsSet, Identity, IncomingAppend, Mailbox, MessageData,
    MessageFlags, MessageReader, Progress, SetFlags, StoreError, StoreErrorKind,
};
use crate::store::feed::FeedReader;

pub(super) struct Incoming {
    store: MemoryStore,
    shared: Arc<Shared>,
    /// Messages that came before in the same command.
    complete: Vec<Letter>,
    /// What they need together.
    needed: Usage,
    now: Held,
    published: Vec<Uid>,
    /// The mailbox and the message whose place it takes.
    replaces: Option<(Arc<Shared>, Uid)>,
}

/// A message that is on its way.
struct Held {
    flags: Flags,
    date: WallTime,
    octets: Vec<u8>,
    /// Of a copy: its source's.
    id: Option<ObjectId>,
}

impl Held {
    fn usage(&self) -> Usage {
        Usage::message(self.octets.len() as u64)
    }
}

impl Incoming {
    pub(super) fn new(store: MemoryStore, shared: Arc<Shared>, append: Append) -> Self {
        let now = Incoming::held(&store, append);
        let (complete, needed, published) = (Vec::new(), Usage::default(), Vec::new());
        Incoming { store, shared, complete, needed, now, published, replaces: None }
    }

    fn replacing(self, here: Arc<Shared>, uid: Uid) -> Self {
        Incoming { replaces: Some((here, uid)), ..self }
    }

    fn held(store: &MemoryStore, append: Append) -> Held {
        let date = append.date.unwrap_or_else(|| store.clock.wall());
        Held { flags: append.flags, date, octets: Vec::new(), id: append.email_id }
    }

    fn complete(&self, held: &Held) -> Letter {
        let id = held.id.clone().unwrap_or_else(|| self.store.new_id('M'));
        Letter { flags: held.flags.clone(), date: held.date, octets: held.octets.as_slice().into(), id }
    }
}

impl IncomingAppend for Incoming {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.now.octets.extend_from_slice(octets);
        ready(Ok(()))
    }

    fn next(&mut self, append: Append) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.replaces.is_some() {
            return ready(Err(StoreError::new(StoreErrorKind::Cannot, "one message takes the place of one")));
        }
        // Here, and not when all have come: they are in memory until then.
        let needed = self.needed.plus(self.now.usage());
        if let Err(error) = self.shared.room(needed) {
            return ready(Err(error));
        }
        self.needed = needed;
        let before = std::mem::replace(&mut self.now, Incoming::held(&self.store, append));
        self.complete.push(self.complete(&before));
        ready(Ok(()))
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        ready(match self.replaces {
            None => self.shared.room(self.needed.plus(self.now.usage())),
            // What it takes the place of goes for it.
            Some(_) => Ok(()),
        })
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages, StoreError>> {
        let mut messages = std::mem::take(&mut self.complete);
        messages.push(self.complete(&self.now));
        let added = match &self.replaces {
            None => self.shared.add(messages, self.store.clock.wall(), Usage::default()),
            Some((here, uid)) => here.replace(*uid, &self.shared, messages, self.store.clock.wall()),
        };
        ready(added.map(|uids| {
            self.published.clone_from(&uids);
            AppendedMessages::new(Some((self.shared.uid_validity, uids)))
        }))
    }

    fn undo(&mut self) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.replaces.is_some() && !self.published.is_empty() {
            return ready(Err(StoreError::new(StoreErrorKind::Cannot, "what it took the place of is gone")));
        }
        ready(self.shared.remove(&std::mem::take(&mut self.published)).map(drop))
    }
}

/// The UIDs of messages here and there.
type Pairs = Vec<(Uid, Uid)>;

pub(super) struct Open {
    store: MemoryStore,
    user: Identity,
    shared: Arc<Shared>,
    reader: FeedReader,
    read_only: bool,
    progress: Progress,
}

impl Open {
    pub(super) fn new(store: MemoryStore, user: Identity, shared: Arc<Shared>, read_only: bool) -> Self {
        let reader = shared.feed.reader();
        Open { store, user, shared, reader, read_only, progress: Progress::default() }
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.read_only {
            true => Err(StoreError::new(StoreErrorKind::Cannot, "the mailbox is open for reading only")),
            false => Ok(()),
        }
    }

    /// It is done at once, so that nobody sees less than all of it.
    fn count(&self, messages: usize) {
        self.progress.add(messages as u64);
    }

    fn find(&self, target: &MailboxName) -> Result<Arc<Shared>, StoreError> {
        self.store.account(&self.user, |account| account.find(target))
    }

    /// Copies those of these messages that are there, for good or because they `go`: into which mailbox, and their UIDs here and
    /// there.
    fn copy_now(&self, uids: &UidSet, target: &MailboxName, go: bool) -> Result<(Arc<Shared>, Pairs), StoreError> {
        let (sources, copies): (Vec<Uid>, Vec<Letter>) =
            self.shared.contents()?.those(uids).map(|(uid, message)| (uid, message.letter.clone())).unzip();
        if sources.is_empty() {
            return Err(StoreError::new(StoreErrorKind::Expunged, "none of these messages is there"));
        }
        let target = self.find(target)?;
        let instead = Usage::of(copies.iter().filter(|_| go).map(|letter| letter.octets.len()));
        let added = target.add(copies, self.store.clock.wall(), instead)?;
        self.count(added.len());
        Ok((target, sources.into_iter().zip(added).collect()))
    }

    /// The same, and then they are not here any more.
    fn move_now(&self, uids: &UidSet, target: &MailboxName) -> Result<Copied, StoreError> {
        self.writable()?;
        let (target, mut pairs) = self.copy_now(uids, target, true)?;
        let gone = self.shared.remove(&pairs.iter().map(|(here, _)| *here).collect::<Vec<_>>());
        let gone = gone.unwrap_or_default();
        // What somebody else took away meanwhile is theirs; our copies of it would be doubles.
        let doubles = pairs.extract_if(.., |(here, _)| gone.binary_search(here).is_err());
        // If the target is gone, so are they.
        let _ = target.remove(&doubles.map(|(_, there)| there).collect::<Vec<_>>());
        match pairs.is_empty() {
            true => Err(StoreError::new(StoreErrorKind::Expunged, "none of these messages is there")),
            false => Ok(Copied::Known(target.uid_validity, pairs)),
        }
    }
}

impl Mailbox for Open {
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot, StoreError>> {
        let snapshot = self.shared.snapshot_and(self.read_only, || self.reader.take());
        ready(snapshot)
    }

    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        let news = self.reader.take();
        // What is known is told first.
        ready(if news.is_empty() { self.shared.contents().map(|_| news) } else { Ok(news) })
    }

    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>, StoreError>> {
        Box::pin(async {
            let news = self.reader.take();
            if !news.is_empty() {
                return Ok(news);
            }
            self.shared.contents().map(drop)?;
            Ok(self.reader.next().await)
        })
    }

    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>, StoreError>> {
        let contents = self.shared.contents();
        ready(contents.map(|contents| contents.those(uids).map(|(uid, message)| message.data(uid)).collect()))
    }

    fn flags<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageFlags>, StoreError>> {
        ready(self.shared.contents().map(|contents| contents.flags(uids)))
    }

    fn changed<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet, StoreError>> {
        ready(self.shared.contents().map(|contents| contents.changed(uids, since)))
    }

    fn vanished<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet, StoreError>> {
        ready(self.shared.contents().map(|contents| contents.vanished(uids, since)))
    }

    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>, StoreError>> {
        ready(self.shared.contents().and_then(|contents| match contents.messages.get(&uid) {
            Some(message) => Ok(Box::new(Octets(message.letter.octets.clone())) as Box<dyn MessageReader>),
            None => Err(StoreError::new(StoreErrorKind::Expunged, format!("message {uid} is gone"))),
        }))
    }

    fn count_in(&mut self, progress: Progress) {
        self.progress = progress;
    }

    fn set_flags<'a>(
        &'a mut self,
        uids: &'a UidSet,
        what: &'a SetFlags,
    ) -> BoxFuture<'a, Result<Vec<FlagsSet>, StoreError>> {
        let set = self.writable().and_then(|()| self.shared.set_flags(uids, what));
        self.count(set.as_ref().map_or(0, Vec::len));
        ready(set)
    }

    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied, StoreError>> {
        let copied = self.copy_now(uids, target, false);
        ready(copied.map(|(target, pairs)| Copied::Known(target.uid_validity, pairs)))
    }

    fn move_to<'a>(
        &'a mut self,
        uids: &'a UidSet,
        target: &'a MailboxName,
    ) -> BoxFuture<'a, Result<Copied, StoreError>> {
        ready(self.move_now(uids, target))
    }

    fn replace<'a>(
        &'a mut self,
        uid: Uid,
        target: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>, StoreError>> {
        ready(self.writable().and_then(|()| {
            let target = self.find(target)?;
            let incoming = Incoming::new(self.store.clone(), target, append).replacing(Arc::clone(&self.shared), uid);
            Ok(Box::new(incoming) as Box<dyn IncomingAppend>)
        }))
    }

    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>, StoreError>> {
        ready(self.writable().and_then(|()| {
            let chosen = |uid: &Uid| only.is_none_or(|only| only.contains(*uid));
            let contents = self.shared.contents()?;
            let messages = contents.messages.iter().filter(|(uid, _)| chosen(uid));
            let deleted = messages.filter(|(_, message)| message.letter.flags.contains(&Flag::Deleted));
            let deleted: Vec<Uid> = deleted.map(|(uid, _)| *uid).collect();
            drop(contents);
            let removed = self.shared.remove(&deleted)?;
            self.count(removed.len());
            Ok(removed)
        }))
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
