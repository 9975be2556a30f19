//! The log: what is in it is accepted. No time, no schedule.

mod aside;
mod budget;
mod dump;
mod incoming;
mod index;
mod log;
mod look;
mod options;
mod read;
mod recovery;
mod segment;
mod survey;
mod tend;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use pillarbox_core::WallTime;
use pillarbox_fs::{ErrorKind, File, Fs, GroupSync, Kind};

pub use aside::Finding;
pub use dump::dump;
pub use incoming::{Incoming, Ready};
pub use options::{Options, SystemRandom};
pub use read::{Body, Message};
pub use recovery::{Recovered, Recovery, Waiting};
pub use tend::Tended;

use crate::error::{Result, StoreError};
use crate::format::record::{encode_id, encode_report};
use crate::{MessageId, Report};
use budget::Budget;
use index::Index;
use log::{Batch, Effect, Prepared, Queue};
use options::Names;
use segment::FIELDS_MAX;

/// The durable queue: messages that were accepted, and what has become of them. Clones are the same queue.
///
/// All methods block for as long as the disk takes; an asynchronous program calls them where that may be.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_core::address::{ForwardPath, ReversePath};
/// use pillarbox_fs::RealFs;
/// use pillarbox_spool::{Attempt, Change, Envelope, Options, Outcome, Recipient, Report, Store};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("spool");
///
/// let (store, recovery) = Store::open(RealFs, &path, Options::from_system())?;
/// assert_eq!(recovery.count(), 0);                     // what was waiting from before
///
/// let now = WallTime::new(1_700_000_000, 0);
/// let mut incoming = store.begin(now);
/// incoming.write(b"Subject: hello\r\n\r\nhello\r\n")?;
/// let id = incoming.id();
/// let to = Recipient::new(ForwardPath::Address("ann@example.com".parse()?));
/// incoming.commit(Envelope::new(now, ReversePath::Null, [to]))?.wait()?;   // durable: now say "250 queued"
///
/// let mut report = Report::new(id);
/// report.attempt(0, Attempt::new(now, Outcome::Delivered));
/// store.commit(vec![Change::Report(report)])?.wait()?;
/// assert!(store.message(id).is_err(), "nothing is left to do");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

/// Something that changes the queue. Those of one [`commit`](Store::commit) are on the disk together or not at all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// A message is accepted. All its recipients are waiting.
    Accept(Ready),
    /// News about a message; may be about one that is accepted in the same commit.
    Report(Report),
    /// A message is not to be tried until it is released.
    Hold(MessageId),
    /// It is.
    Release(MessageId),
    /// A message is forgotten, without a notice.
    Delete(MessageId),
}

/// A commit that is under way.
///
/// Dropped without being waited for, it is carried out with the next one, or not.
#[derive(Debug)]
#[must_use = "nothing is durable before wait() has returned"]
pub struct Commit {
    store: Store,
    batch: Arc<Batch>,
}

#[derive(Debug)]
struct Shared {
    fs: Arc<dyn Fs>,
    paths: Paths,
    options: options::Limits,
    /// Taken before `queue` where both are held.
    index: Mutex<Index>,
    queue: Mutex<Queue>,
    written: Condvar,
    bodies_sync: GroupSync,
    budget: Arc<Budget>,
    random: Mutex<Names>,
    /// One at a time carries messages forward.
    tending: Mutex<()>,
    /// Held for as long as this is there, unless it is for a look. Nobody asks for the mutex: it makes the handle one that threads
    /// may share.
    _lock: Mutex<Option<File>>,
}

/// Where everything is.
#[derive(Clone, Debug)]
struct Paths {
    root: PathBuf,
    log: PathBuf,
    bodies: PathBuf,
    aside: PathBuf,
    /// There while records of messages may be missing.
    incomplete: PathBuf,
}

/// How much there is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Messages that are waiting; while the queue is read after a start, only those that came since.
    pub messages: usize,
    /// Segments of the log.
    pub segments: usize,
    /// Octets of the log.
    pub log: u64,
    /// Those that belong to waiting messages.
    pub live: u64,
}

impl Store {
    /// Opens a spool, or makes one whose parent folder exists. Takes as long as it takes to look at the end of the log, however many messages
    /// are waiting: what the [`Recovery`] does not tell is not known yet.
    ///
    /// Any state of the folder is good: what cannot be used is moved to `set-aside/` and told by the recovery.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`]; [`StoreError::Fs`] where the disk itself does not answer.
    pub fn open(fs: impl Fs + 'static, root: impl AsRef<Path>, options: Options) -> Result<(Store, Recovery)> {
        let fs: Arc<dyn Fs> = Arc::new(fs);
        let paths = Paths::new(root.as_ref());
        let mut findings = Vec::new();
        paths.make(&*fs, &mut findings)?;
        let held = paths.lock(&*fs, &mut findings)?;
        let survey = survey::survey(&*fs, &paths, findings, true)?;
        Ok(Self::of(fs, paths, survey, options, Some(held)))
    }

    /// Opens a spool for a look: nothing of it is changed, mended, moved or synced, and nobody is kept out, nor kept from coming.
    /// What would change something fails with [`ErrorKind::ReadOnly`].
    ///
    /// What is seen is what another start would find now. Beside a process that uses the spool it may be what was a moment ago, and a
    /// [`Finding`] may be something that this process is about: a group that it is writing, a segment that it has deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fs`], also where there is no spool.
    ///
    /// ```
    /// use pillarbox_fs::RealFs;
    /// use pillarbox_spool::{Options, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("spool");
    /// let (_server, recovery) = Store::open(RealFs, &path, Options::from_system())?;
    /// drop(recovery);
    /// let (look, recovery) = Store::look(RealFs, &path)?;          // although somebody has it
    /// assert_eq!(recovery.count(), 0);
    /// assert_eq!(look.ids(None, 10), []);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn look(fs: impl Fs + 'static, root: impl AsRef<Path>) -> Result<(Store, Recovery)> {
        let fs: Arc<dyn Fs> = Arc::new(look::LookOnly(Arc::new(fs)));
        let paths = Paths::new(root.as_ref());
        let survey = survey::survey(&*fs, &paths, Vec::new(), false)?;
        Ok(Self::of(fs, paths, survey, Options::from_system(), None))
    }

    fn of(
        fs: Arc<dyn Fs>,
        paths: Paths,
        survey: survey::Survey,
        options: Options,
        held: Option<File>,
    ) -> (Store, Recovery) {
        let (limits, names) = options.into_parts();
        let segments = survey.segments.clone();
        let index = Index { segments, recorded_floor: survey.floor, reading: true, ..Index::default() };
        let shared = Shared {
            bodies_sync: GroupSync::new(fs.clone()),
            fs,
            paths,
            index: Mutex::new(index),
            queue: Mutex::new(Queue::new(survey.last, survey.next_number)),
            written: Condvar::new(),
            budget: Budget::new(limits.inline_budget),
            random: Mutex::new(names),
            tending: Mutex::new(()),
            options: limits,
            _lock: Mutex::new(held),
        };
        let store = Store(Arc::new(shared));
        (store.clone(), Recovery::new(store, survey))
    }

    /// Begins a message that is received at this moment. Nothing is written yet.
    pub fn begin(&self, received: WallTime) -> Incoming {
        let id = loop {
            let id = lock(&self.0.random).next_id(received);
            if !lock(&self.0.index).messages.contains_key(&id) {
                break id;
            }
        };
        Incoming::new(self.clone(), id)
    }

    /// Whether a message of this size may come: what has to stay free stays free with it. For the answer to MAIL.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRoom`]; [`StoreError::Fs`] if the disk does not say.
    pub fn check_room(&self, size: u64) -> Result<()> {
        let space = self.0.fs.space(&self.0.paths.log)?;
        let limits = &self.0.options;
        // RFC 1870 §6.1
        if space.bytes.saturating_sub(limits.reserve_bytes) < size.max(1) || space.files < limits.reserve_files {
            return Err(StoreError::NoRoom);
        }
        Ok(())
    }

    /// Puts changes into the next group. They are durable, all together, when [`Commit::wait`] has returned.
    ///
    /// # Errors
    ///
    /// For the first change that cannot be: [`StoreError::NoSuchMessage`], [`StoreError::StillReading`],
    /// [`StoreError::NoSuchRecipient`], [`StoreError::TooLarge`]. None of them is made then.
    pub fn commit(&self, changes: Vec<Change>) -> Result<Commit> {
        let accepted: HashMap<MessageId, usize> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Accept(ready) => Some((ready.id(), ready.prepared.recipients())),
                _ => None,
            })
            .collect();
        let mut index = lock(&self.0.index);
        for change in &changes {
            check(&index, &accepted, change)?;
        }
        let mut records = Vec::with_capacity(changes.len());
        for change in changes {
            records.push(prepare(change));
        }
        for record in &records {
            if let Some(entry) = index.messages.get_mut(&record.id) {
                entry.pending = entry.pending.saturating_add(1);
            }
        }
        let batch = lock(&self.0.queue).push(records);
        Ok(Commit { store: self.clone(), batch })
    }

    /// The waiting messages behind this one (from the first with `None`), at most so many, in order.
    pub fn ids(&self, after: Option<MessageId>, max: usize) -> Vec<MessageId> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        lock(&self.0.index).messages.range((start, Bound::Unbounded)).take(max).map(|(id, _)| *id).collect()
    }

    /// Whether a message is held, as the log says now; `None` if it is finished, or not known yet.
    pub fn is_held(&self, id: MessageId) -> Option<bool> {
        lock(&self.0.index).messages.get(&id).map(|entry| entry.held)
    }

    /// Whether a message was released and some recipient not tried since, as the log says now.
    pub fn is_owed(&self, id: MessageId) -> bool {
        lock(&self.0.index).messages.get(&id).is_some_and(|entry| entry.is_owed())
    }

    /// How much there is.
    pub fn usage(&self) -> Usage {
        let index = lock(&self.0.index);
        Usage {
            messages: index.messages.len(),
            segments: index.segments.len(),
            log: index.segments.values().map(|segment| segment.end).sum(),
            live: index.segments.values().map(|segment| segment.live).sum(),
        }
    }
}

impl Commit {
    /// Returns when the changes are on stable storage. Blocks; of all who wait, one does the work.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fs`]: none of the changes was made, nor will be once a later commit has returned. Should the machine stop
    /// before, they may be found made.
    pub fn wait(self) -> Result<()> {
        self.store.0.wait(&self.batch)
    }
}

fn check(index: &Index, accepted: &HashMap<MessageId, usize>, change: &Change) -> Result<()> {
    let id = match change {
        Change::Accept(_) => return Ok(()),
        Change::Report(report) => report.id,
        Change::Hold(id) | Change::Release(id) | Change::Delete(id) => *id,
    };
    let missing = if index.reading { StoreError::StillReading } else { StoreError::NoSuchMessage(id) };
    let recipients = accepted
        .get(&id)
        .copied()
        .or_else(|| index.messages.get(&id).map(|entry| entry.recipients.len()))
        .ok_or(missing)?;
    if let Change::Report(report) = change {
        let is_unknown = |recipient: u32| usize::try_from(recipient).is_ok_and(|at| at >= recipients);
        if let Some(news) = report.recipients.iter().find(|news| is_unknown(news.recipient)) {
            return Err(StoreError::NoSuchRecipient(id, news.recipient));
        }
        if encode_report(report).len() > FIELDS_MAX as usize - 64 {
            return Err(StoreError::TooLarge);
        }
    }
    Ok(())
}

fn prepare(change: Change) -> Prepared {
    match change {
        Change::Accept(ready) => ready.into_prepared(),
        Change::Report(report) => {
            let fields = encode_report(&report);
            Prepared::of_fields(report.id, fields, Effect::News(report.recipients))
        }
        Change::Hold(id) => Prepared::of_fields(id, encode_id(id), Effect::Hold),
        Change::Release(id) => Prepared::of_fields(id, encode_id(id), Effect::Release),
        Change::Delete(id) => Prepared::of_fields(id, encode_id(id), Effect::Delete),
    }
}

impl Paths {
    fn new(root: &Path) -> Self {
        Paths {
            root: root.to_owned(),
            log: root.join("log"),
            bodies: root.join("bodies"),
            aside: root.join("set-aside"),
            incomplete: root.join("incomplete"),
        }
    }

    /// Makes the folders that are missing, durably.
    fn make(&self, fs: &dyn Fs, findings: &mut Vec<Finding>) -> Result<()> {
        make_dir(fs, &self.root)?;
        make_dir(fs, &self.aside)?;
        for folder in [&self.log, &self.bodies] {
            match fs.metadata(folder) {
                Ok(metadata) if metadata.kind != Kind::Directory => {
                    findings.push(self.move_aside(fs, folder, "not a folder")?);
                }
                _ => {}
            }
            make_dir(fs, folder)?;
        }
        // Whoever made them may have been stopped before this.
        fs.sync_dir(&self.root)?;
        if let Some(parent) = self.root.parent() {
            fs.sync_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        Ok(())
    }

    /// Keeps other processes out.
    fn lock(&self, fs: &dyn Fs, findings: &mut Vec<Finding>) -> Result<File> {
        let path = self.root.join("lock");
        if fs.metadata(&path).is_ok_and(|metadata| metadata.kind != Kind::File) {
            findings.push(self.move_aside(fs, &path, "not a lock")?);
        }
        match fs.create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        // Whoever made it, all who come ask the one that has the name.
        let mut file = fs.open_append(&path)?;
        if file.try_lock()? { Ok(file) } else { Err(StoreError::InUse(self.root.clone())) }
    }

    fn segment(&self, number: u64, salt: u64) -> PathBuf {
        self.log.join(format!("{number:016x}.{salt:016x}"))
    }

    fn body(&self, id: MessageId) -> PathBuf {
        self.bodies.join(id.to_string())
    }
}

fn make_dir(fs: &dyn Fs, path: &Path) -> Result<()> {
    match fs.make_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
