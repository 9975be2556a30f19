//! A store that does as it is told: it fails, waits, or counts.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use pillarbox::parts::{
    Append, AppendedMessages, BoxFuture, Copied, FlagsSet, Identity, IncomingAppend, Mailbox, MailboxStore,
    MessageData, MessageReader, Progress, SetFlags, StoreCapabilities, StoreError, StoreErrorKind,
};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Entry, EntryChange, WantedEntries};
use pillarbox_imap::server::{Change, Listed, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{MailboxName, ModSeq, ObjectId, SpecialUse, Uid, UidSet};
use tokio::sync::Semaphore;

type Result<T> = std::result::Result<T, StoreError>;

/// Another store, and what is wrong with it.
#[derive(Clone)]
pub struct Bent {
    inner: Arc<dyn MailboxStore>,
    pub bend: Arc<Bend>,
}

pub struct Bend {
    /// Reading fails from this octet on.
    pub unreadable_from: AtomicU64,
    /// Octets that were read.
    pub octets_read: AtomicU64,
    /// Whose messages were opened, in order.
    pub opened: Mutex<Vec<Identity>>,
    /// Opening a message takes one of these.
    pub openings: Semaphore,
    /// Copying, moving, flagging or removing a message takes one of these.
    pub changes: Semaphore,
    /// Messages that are expunged just before they are opened.
    pub expunged: Mutex<UidSet>,
    /// Mailboxes are not made, for this reason.
    pub refusal: Mutex<Option<StoreErrorKind>>,
    /// STATUS panics.
    pub panics: AtomicBool,
    /// Flags cannot be written.
    pub full: AtomicBool,
    /// Writing fails from this octet of a message on.
    pub unwritable_from: AtomicU64,
    /// The largest piece that was written.
    pub largest_piece: AtomicUsize,
    /// Publishing a message takes one of these.
    pub permits: Semaphore,
    /// Somebody waits for one.
    pub publishing: Semaphore,
    /// Looking for changes fails.
    pub blind: AtomicBool,
    /// It says that it keeps neither mod-sequences nor identifiers.
    pub keeps_little: AtomicBool,
    /// Waiting for news fails so often.
    pub no_news: AtomicUsize,
}

impl Bent {
    pub fn over(inner: impl MailboxStore + 'static) -> Bent {
        Bent {
            inner: Arc::new(inner),
            bend: Arc::new(Bend {
                unreadable_from: AtomicU64::new(u64::MAX),
                octets_read: AtomicU64::new(0),
                opened: Mutex::default(),
                openings: Semaphore::new(100_000_000),
                changes: Semaphore::new(100_000_000),
                expunged: Mutex::default(),
                refusal: Mutex::default(),
                panics: AtomicBool::new(false),
                full: AtomicBool::new(false),
                unwritable_from: AtomicU64::new(u64::MAX),
                largest_piece: AtomicUsize::new(0),
                permits: Semaphore::new(1000),
                publishing: Semaphore::new(0),
                blind: AtomicBool::new(false),
                keeps_little: AtomicBool::new(false),
                no_news: AtomicUsize::new(0),
            }),
        }
    }
}

fn trouble(kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, "as the test wants it")
}

impl MailboxStore for Bent {
    fn capabilities(&self) -> StoreCapabilities {
        let mut can = self.inner.capabilities();
        if self.bend.keeps_little.load(SeqCst) {
            (can.mod_seqs, can.vanished, can.object_ids) = (false, false, false);
        }
        can
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
        assert!(!self.bend.panics.load(SeqCst), "as the test wants it");
        self.inner.status(user, mailbox, items)
    }
    fn create<'a>(
        &'a self,
        user: &'a Identity,
        mailbox: &'a MailboxName,
        uses: &'a [SpecialUse],
    ) -> BoxFuture<'a, Result<Option<ObjectId>>> {
        if let Some(kind) = *self.bend.refusal.lock().unwrap() {
            return Box::pin(std::future::ready(Err(trouble(kind))));
        }
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
            let (user, bend, progress) = (user.clone(), Arc::clone(&self.bend), Progress::default());
            Ok(Box::new(Open { inner, user, bend, progress }) as Box<dyn Mailbox>)
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
        Box::pin(async move {
            let inner = self.inner.append(user, mailbox, append).await?;
            Ok(Box::new(Incoming { inner, written: 0, bend: Arc::clone(&self.bend) }) as Box<dyn IncomingAppend>)
        })
    }
}

struct Incoming {
    inner: Box<dyn IncomingAppend>,
    written: u64,
    bend: Arc<Bend>,
}

impl IncomingAppend for Incoming {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        self.bend.largest_piece.fetch_max(octets.len(), SeqCst);
        self.written += octets.len() as u64;
        if self.written > self.bend.unwritable_from.load(SeqCst) {
            return Box::pin(std::future::ready(Err(trouble(StoreErrorKind::NoSpace))));
        }
        self.inner.write(octets)
    }
    fn next(&mut self, append: Append) -> BoxFuture<'_, Result<()>> {
        self.written = 0;
        self.inner.next(append)
    }
    fn prepare(&mut self) -> BoxFuture<'_, Result<()>> {
        self.inner.prepare()
    }
    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages>> {
        Box::pin(async move {
            self.bend.publishing.add_permits(1);
            self.bend.permits.acquire().await.unwrap().forget();
            self.inner.publish().await
        })
    }
    fn undo(&mut self) -> BoxFuture<'_, Result<()>> {
        self.inner.undo()
    }
}

struct Open {
    inner: Box<dyn Mailbox>,
    user: Identity,
    bend: Arc<Bend>,
    progress: Progress,
}

impl Open {
    async fn work(&mut self, messages: u64) {
        for _ in 0..messages {
            self.bend.changes.acquire().await.unwrap().forget();
            self.progress.add(1);
        }
    }
}

impl Mailbox for Open {
    fn count_in(&mut self, progress: Progress) {
        self.progress = progress;
    }
    fn snapshot(&mut self) -> BoxFuture<'_, Result<Snapshot>> {
        self.inner.snapshot()
    }
    fn refresh(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        if self.bend.blind.load(SeqCst) {
            return Box::pin(std::future::ready(Err(trouble(StoreErrorKind::Unavailable))));
        }
        self.inner.refresh()
    }
    fn changes(&mut self) -> BoxFuture<'_, Result<Vec<Change>>> {
        let left = self.bend.no_news.load(SeqCst);
        if left > 0 {
            self.bend.no_news.store(left - 1, SeqCst);
            return Box::pin(std::future::ready(Err(trouble(StoreErrorKind::Unavailable))));
        }
        self.inner.changes()
    }
    fn messages<'a>(&'a mut self, uids: &'a UidSet) -> BoxFuture<'a, Result<Vec<MessageData>>> {
        self.inner.messages(uids)
    }
    fn read(&mut self, uid: Uid) -> BoxFuture<'_, Result<Box<dyn MessageReader>>> {
        Box::pin(async move {
            self.bend.opened.lock().unwrap().push(self.user.clone());
            self.bend.openings.acquire().await.unwrap().forget();
            if self.bend.expunged.lock().unwrap().contains(uid) {
                return Err(trouble(StoreErrorKind::Expunged));
            }
            let inner = self.inner.read(uid).await?;
            Ok(Box::new(Reader { inner, bend: Arc::clone(&self.bend) }) as Box<dyn MessageReader>)
        })
    }
    fn vanished<'a>(&'a mut self, uids: &'a UidSet, since: ModSeq) -> BoxFuture<'a, Result<UidSet>> {
        if self.bend.blind.load(SeqCst) {
            return Box::pin(std::future::ready(Err(trouble(StoreErrorKind::Unavailable))));
        }
        self.inner.vanished(uids, since)
    }
    fn set_flags<'a>(&'a mut self, uids: &'a UidSet, what: &'a SetFlags) -> BoxFuture<'a, Result<Vec<FlagsSet>>> {
        if self.bend.full.load(SeqCst) {
            return Box::pin(std::future::ready(Err(trouble(StoreErrorKind::NoSpace))));
        }
        Box::pin(async move {
            self.work(uids.len()).await;
            self.inner.set_flags(uids, what).await
        })
    }
    fn copy<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        Box::pin(async move {
            self.work(uids.len()).await;
            self.inner.copy(uids, target).await
        })
    }
    fn move_to<'a>(&'a mut self, uids: &'a UidSet, target: &'a MailboxName) -> BoxFuture<'a, Result<Copied>> {
        Box::pin(async move {
            self.work(uids.len()).await;
            self.inner.move_to(uids, target).await
        })
    }
    fn replace<'a>(
        &'a mut self,
        uid: Uid,
        target: &'a MailboxName,
        append: Append,
    ) -> BoxFuture<'a, Result<Box<dyn IncomingAppend>>> {
        self.inner.replace(uid, target, append)
    }
    fn expunge<'a>(&'a mut self, only: Option<&'a UidSet>) -> BoxFuture<'a, Result<Vec<Uid>>> {
        self.inner.expunge(only)
    }
}

struct Reader {
    inner: Box<dyn MessageReader>,
    bend: Arc<Bend>,
}

impl MessageReader for Reader {
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn read_at<'a>(&'a mut self, offset: u64, buffer: &'a mut [u8]) -> BoxFuture<'a, Result<usize>> {
        Box::pin(async move {
            // A disk that takes its time, so that the driver sends what it has meanwhile.
            tokio::task::yield_now().await;
            if offset + buffer.len() as u64 > self.bend.unreadable_from.load(SeqCst) {
                // Of all kinds of trouble the one that also has another meaning, before the answer has begun.
                return Err(trouble(StoreErrorKind::Expunged));
            }
            let read = self.inner.read_at(offset, buffer).await?;
            self.bend.octets_read.fetch_add(read as u64, SeqCst);
            Ok(read)
        })
    }
}
