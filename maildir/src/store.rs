//! What all mailboxes of a process share: file system, clock, names, groups of syncs.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use pillarbox_core::{Random, SeededRandom};
use pillarbox_fs::{Fs, GroupSync, Metadata};

use crate::file_name::escape_host;
use crate::folder::Folder;
use crate::quota::Gates;

/// What all mailboxes of a process share. Make one, clone it freely.
///
/// ```
/// use pillarbox_fs::RealFs;
/// use pillarbox_maildir::{Maildir, Options, Store};
/// # let dir = tempfile::tempdir().unwrap();
///
/// let store = Store::new(RealFs, Options::from_system());
/// let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

/// Where the store gets the time. Its files are dated and its lock waits by it.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// Waits. Called only while another program holds a mailbox's lock.
    fn sleep(&self, duration: Duration);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// How the lines of stored messages end. Either way a message is read back byte for byte, and Dovecot reads both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnds {
    /// With LF, as Postfix and Dovecot store them. A message with a bare LF, or with a CR before a CRLF, cannot be
    /// brought back from that and is stored as it came; equal sizes `S=` and `W=` in its name say so.
    #[default]
    Lf,
    /// As they came, which is CRLF.
    AsReceived,
}

/// What a [`Store`] needs to know. Start from [`Options::from_system`] and change what should differ.
#[non_exhaustive]
pub struct Options {
    /// The host name for file names.
    pub host: String,
    /// The process id for file names.
    pub pid: u32,
    /// Time of day, and waiting.
    pub clock: Arc<dyn Clock>,
    /// Seed of the random parts of file names and mailbox GUIDs, which must differ between processes.
    pub seed: u64,
    /// How lines end on disk.
    pub line_ends: LineEnds,
    /// How long to wait for another program's lock on a UID list: 30 seconds.
    pub lock_patience: Duration,
    /// How many mailboxes an account may have beside INBOX: 10,000. Listing them reads all their names.
    pub mailboxes_max: usize,
    /// From how many messages on a snapshot of a mailbox is kept and used, so that it can be opened without reading its
    /// directories: 1,000. A smaller one is read as fast. `usize::MAX` means never.
    pub snapshot_from: usize,
    /// Files in `tmp/` older than this are leftovers of a crash: 36 hours, as the Maildir convention says.
    pub tmp_age_max: Duration,
}

impl Options {
    /// This host, this process, the machine's clock and a seed from the system's randomness.
    pub fn from_system() -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Options {
            host: host.trim().to_owned(),
            pid: std::process::id(),
            clock: Arc::new(SystemClock),
            // The seed of the standard hash maps comes from the system's generator.
            seed: RandomState::new().hash_one(std::process::id()),
            line_ends: LineEnds::default(),
            lock_patience: Duration::from_secs(30),
            mailboxes_max: 10_000,
            snapshot_from: 1000,
            tmp_age_max: Duration::from_secs(36 * 3600),
        }
    }
}

impl Store {
    /// A store on a file system.
    pub fn new(fs: impl Fs + 'static, options: Options) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(fs);
        Store(Arc::new(Shared {
            group: GroupSync::new(fs.clone()),
            fs,
            host: escape_host(&options.host),
            count: AtomicU64::new(0),
            folders: Mutex::default(),
            durable: Mutex::default(),
            recent: Mutex::default(),
            locks_seen: Mutex::default(),
            quota_gates: Gates::default(),
            random: Mutex::new(SeededRandom::new(options.seed)),
            options,
        }))
    }

    pub(crate) fn fs(&self) -> &dyn Fs {
        &*self.0.fs
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    pub(crate) fn host(&self) -> &str {
        &self.0.host
    }

    /// Makes names in a directory durable, together with whoever asks at the same time.
    pub(crate) fn sync_dir(&self, path: &Path) -> pillarbox_fs::Result<()> {
        self.0.group.sync_dir(path)
    }

    pub(crate) fn quota_gates(&self) -> &Gates {
        &self.0.quota_gates
    }

    /// How many wait for names in a directory to be durable.
    #[cfg(test)]
    pub(crate) fn waiting_for_sync(&self, path: &Path) -> usize {
        self.0.group.waiting(path)
    }

    pub(crate) fn next_unique(&self) -> (u64, u64) {
        (self.0.count.fetch_add(1, Ordering::Relaxed), self.random())
    }

    pub(crate) fn random(&self) -> u64 {
        lock(&self.0.random).next_u64()
    }

    /// Whether this process has seen to it that a folder is on stable storage.
    pub(crate) fn is_durable(&self, path: &Path) -> bool {
        lock(&self.0.durable).contains(path)
    }

    pub(crate) fn set_durable(&self, path: &Path, durable: bool) {
        let mut known = lock(&self.0.durable);
        if !durable {
            known.remove(path);
            return;
        }
        // To forget costs two syncs.
        if known.len() >= DURABLE_MAX {
            known.clear();
        }
        known.insert(path.to_path_buf());
    }

    /// Keeps what is known of a folder for its next handle: a hundred thousand messages uploaded one by one would cost as many
    /// readings of a list that long.
    pub(crate) fn keep(&self, folder: &Arc<Folder>) {
        let mut recent = lock(&self.0.recent);
        recent.retain(|kept| !Arc::ptr_eq(kept, folder));
        recent.truncate(RECENT_MAX - 1);
        recent.push_front(Arc::clone(folder));
    }

    /// When a lock's file was first seen as it is now.
    pub(crate) fn first_seen(&self, path: &Path, file: &Metadata, now: SystemTime) -> SystemTime {
        let mut all = lock(&self.0.locks_seen);
        // Who is forgotten is waited for once more.
        if all.len() >= LOCKS_SEEN_MAX {
            all.clear();
        }
        let new = Seen { id: file.id, modified: file.modified, first: now };
        let seen = all.entry(path.to_path_buf()).or_insert(new);
        if (seen.id, seen.modified) != (new.id, new.modified) {
            *seen = new;
        }
        seen.first
    }

    /// What the handles on one mailbox in this process share.
    pub(crate) fn folder(&self, path: &Path) -> Arc<Folder> {
        let mut folders = lock(&self.0.folders);
        if let Some(folder) = folders.get(path).and_then(Weak::upgrade) {
            return folder;
        }
        // Forget closed mailboxes whenever their number may have doubled, so that the cost per opening stays constant.
        if folders.len() == folders.capacity() {
            folders.retain(|_, folder| folder.strong_count() > 0);
        }
        let folder = Arc::new(Folder::default());
        folders.insert(path.to_path_buf(), Arc::downgrade(&folder));
        folder
    }
}

/// A lock's file whose time lies in the future.
#[derive(Clone, Copy)]
struct Seen {
    id: (u64, u64),
    modified: SystemTime,
    first: SystemTime,
}

const LOCKS_SEEN_MAX: usize = 1024;

struct Shared {
    fs: Arc<dyn Fs>,
    group: GroupSync,
    host: String,
    count: AtomicU64,
    random: Mutex<SeededRandom>,
    folders: Mutex<HashMap<PathBuf, Weak<Folder>>>,
    durable: Mutex<HashSet<PathBuf>>,
    recent: Mutex<VecDeque<Arc<Folder>>>,
    locks_seen: Mutex<HashMap<PathBuf, Seen>>,
    quota_gates: Gates,
    options: Options,
}

/// Folders whose UID lists stay in memory after their last handle is gone.
const RECENT_MAX: usize = 4;

/// Folders whose own durability is remembered.
const DURABLE_MAX: usize = 16 * 1024;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("pid", &self.pid)
            .field("line_ends", &self.line_ends)
            .field("lock_patience", &self.lock_patience)
            .field("mailboxes_max", &self.mailboxes_max)
            .field("snapshot_from", &self.snapshot_from)
            .field("tmp_age_max", &self.tmp_age_max)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("fs", &self.fs).field("host", &self.host).finish_non_exhaustive()
    }
}

/// A panic in another thread must not end the mail service: what the mutexes guard is valid between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
