//! What the tests of the store share.
#![allow(dead_code)] // Each test binary uses a part.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{Clock, Flags, Mailbox, Maildir, Options, Prepared, Store};

/// A clock that a test sets; waiting moves it on.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    /// The time of day at the start, so that files on the real disk are neither old nor from the future.
    pub(crate) fn new() -> Arc<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Arc::new(TestClock(AtomicU64::new(now.as_millis() as u64)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
        std::thread::yield_now();
    }
}

pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) fs: Watched,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::on(tempfile::tempdir().unwrap())
    }

    /// Where a sync costs nothing, for tests that make thousands.
    pub(crate) fn in_memory() -> Bench {
        Bench::on(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn on(dir: tempfile::TempDir) -> Bench {
        let fs = Watched::new(RealFs);
        let clock = TestClock::new();
        let mut options = Options::from_system();
        options.clock = clock.clone();
        options.host = "host".into();
        let store = Store::new(fs.clone(), options);
        Bench { dir, fs, clock, store }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn folder(&self, name: &str) -> Maildir {
        Maildir::create(&self.store, self.path(name)).unwrap()
    }

    /// Another process: nothing shared but the disk.
    pub(crate) fn other_process(&self) -> Store {
        let mut options = Options::from_system();
        options.clock = self.clock.clone();
        Store::new(RealFs, options)
    }

    /// What was done since the last call, directories' temporary names left out.
    pub(crate) fn ops(&self) -> Vec<(Op, String)> {
        let changes = self.fs.changes();
        self.fs.clear();
        changes.into_iter().map(|(op, path)| (op, self.short(&path))).collect()
    }

    fn short(&self, path: &Path) -> String {
        let path = path.strip_prefix(self.dir.path()).unwrap();
        let name = path.to_str().unwrap();
        // The unique part of a message's name says nothing.
        match name.find(".M") {
            Some(_) => path.parent().unwrap().join("*").display().to_string(),
            None => name.to_owned(),
        }
    }
}

pub(crate) fn prepare(maildir: &Maildir, text: &str, flags: Flags) -> pillarbox_maildir::Result<Prepared> {
    let mut message = maildir.begin()?;
    message.write(text.as_bytes())?;
    message.prepare(flags, None)
}

pub(crate) fn deliver(maildir: &Maildir, text: &str) -> pillarbox_maildir::Result<()> {
    prepare(maildir, text, Flags::NONE)?.publish().map(drop)
}

pub(crate) fn text(mailbox: &mut Mailbox, uid: pillarbox_maildir::Uid) -> String {
    let mut reader = mailbox.read(uid).unwrap();
    let mut bytes = vec![0; reader.len() as usize];
    assert_eq!(reader.read_at(0, &mut bytes).unwrap(), bytes.len());
    String::from_utf8(bytes).unwrap()
}

pub(crate) fn uids(mailbox: &Mailbox) -> Vec<u32> {
    mailbox.messages().map(|message| message.uid.get()).collect()
}

/// Names of message files in `tmp`, `new` and `cur`.
pub(crate) fn files(path: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for dir in ["tmp", "new", "cur"] {
        for entry in std::fs::read_dir(path.join(dir)).unwrap() {
            names.push(format!("{dir}/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
    }
    names.sort();
    names
}
