//! One sync for everyone who waits for it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::{ErrorKind, Fs, Result};

/// Joins the directory syncs that many threads ask for at the same time.
///
/// A caller returns after a sync that **began** after it called: one already under way may have looked at the
/// directory before the caller's rename. While one sync runs, all who come meanwhile share the next one, so that a
/// hundred deliveries to one mailbox cost a few syncs instead of a hundred. If a sync fails, everyone who waited for
/// it gets its error.
///
/// The system may forget what a failed sync was to write, and say nothing of it to the next one. So before the next sync of that
/// directory something new is done in it, the file `.pillarbox-sync` made and removed, with which the directory is written again.
///
/// ```
/// # use pillarbox_fs::{Fs, GroupSync, RealFs};
/// # use std::sync::Arc;
/// # let dir = tempfile::tempdir().unwrap();
/// let group = GroupSync::new(Arc::new(RealFs));
/// std::thread::scope(|s| {
///     for n in 0..4 {
///         let (group, dir) = (&group, dir.path());
///         s.spawn(move || {
///             RealFs.create(&dir.join(n.to_string())).unwrap();
///             group.sync_dir(dir).unwrap();
///         });
///     }
/// });
/// ```
#[derive(Debug)]
pub struct GroupSync {
    fs: Arc<dyn Fs>,
    /// Directories that somebody is syncing or waiting for.
    directories: Mutex<HashMap<PathBuf, Arc<Directory>>>,
    failed: Mutex<Failed>,
}

/// The directories whose last sync failed.
#[derive(Debug, Default)]
struct Failed {
    known: HashSet<PathBuf>,
    /// They were too many to be remembered: any may be one of them.
    many: bool,
}

const FAILED_MAX: usize = 1024;

/// What is made and removed in a directory whose last sync failed. It is no message's name, and no mailbox's.
const RENEWED: &str = ".pillarbox-sync";

impl GroupSync {
    /// A group over a file system.
    pub fn new(fs: Arc<dyn Fs>) -> Self {
        GroupSync { fs, directories: Mutex::default(), failed: Mutex::default() }
    }

    /// Returns when a sync of `path` that began after this call has finished.
    pub fn sync_dir(&self, path: &Path) -> Result<()> {
        let (directory, batch) = {
            let mut directories = lock(&self.directories);
            let directory = directories.entry(path.to_path_buf()).or_default().clone();
            let mut state = lock(&directory.state);
            state.callers += 1;
            let batch = state.next.clone();
            drop(state);
            (directory, batch)
        };
        let result = directory.join(&batch, || self.sync_alone(path));
        let mut directories = lock(&self.directories);
        let mut state = lock(&directory.state);
        state.callers -= 1;
        if state.callers == 0 {
            directories.remove(path);
        }
        result
    }

    /// Nobody else syncs this directory meanwhile.
    fn sync_alone(&self, path: &Path) -> Result<()> {
        if lock(&self.failed).has(path) {
            self.renew(path)?;
        }
        let result = self.fs.sync_dir(path);
        lock(&self.failed).note(path, &result);
        result
    }

    fn renew(&self, path: &Path) -> Result<()> {
        let new = path.join(RENEWED);
        match self.fs.create(&new) {
            // Of another process, or left by a crash: to remove it is as new.
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.fs.unlink(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How many callers wait for a sync of `path`, the one who runs it included.
    pub fn waiting(&self, path: &Path) -> usize {
        lock(&self.directories).get(path).map_or(0, |directory| lock(&directory.state).callers)
    }
}

impl Failed {
    fn has(&self, path: &Path) -> bool {
        self.many || self.known.contains(path)
    }

    fn note(&mut self, path: &Path, result: &Result<()>) {
        match result {
            Ok(()) => drop(self.known.remove(path)),
            Err(error) => match error.kind() {
                // Nothing was tried.
                ErrorKind::NotFound
                | ErrorKind::WrongKind
                | ErrorKind::PermissionDenied
                | ErrorKind::TooManyOpenFiles
                | ErrorKind::Unsupported => {}
                _ if self.known.len() >= FAILED_MAX => self.many = true,
                _ => drop(self.known.insert(path.to_path_buf())),
            },
        }
    }
}

#[derive(Debug, Default)]
struct Directory {
    state: Mutex<State>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    callers: usize,
    running: bool,
    /// The sync that has not begun; who calls now waits for its result.
    next: Batch,
}

type Batch = Arc<OnceLock<Result<()>>>;

impl Directory {
    fn join(&self, batch: &Batch, sync: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = lock(&self.state);
        while state.running && batch.get().is_none() {
            state = self.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(result) = batch.get() {
            return result.clone();
        }
        // Nothing runs and the batch has no result, so it has not begun: it falls to this caller to run it for all.
        state.running = true;
        state.next = Batch::default();
        drop(state);
        let result = sync();
        let mut state = lock(&self.state);
        state.running = false;
        self.finished.notify_all();
        batch.get_or_init(|| result).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::testing::{SyncHook, Watched};
    use crate::{ErrorKind, FsError, Op, RealFs};

    /// A group whose syncs each announce themselves and then wait to be told their result.
    struct Stage {
        dir: tempfile::TempDir,
        fs: Watched,
        group: Arc<GroupSync>,
        begun: mpsc::Receiver<()>,
        finish: mpsc::Sender<Result<()>>,
    }

    fn stage() -> Stage {
        let (begin, begun) = mpsc::channel();
        let (finish, results) = mpsc::channel();
        let results = Mutex::new(results);
        let hook: SyncHook = Box::new(move |_| {
            begin.send(()).unwrap();
            lock(&results).recv().unwrap()
        });
        let fs = Watched::new(RealFs).on_sync_dir(hook);
        let dir = tempfile::tempdir().unwrap();
        Stage { dir, group: Arc::new(GroupSync::new(Arc::new(fs.clone()))), fs, begun, finish }
    }

    impl Stage {
        fn call(&self) -> thread::JoinHandle<Result<()>> {
            let path = self.dir.path().to_path_buf();
            let before = self.group.waiting(&path);
            let group = self.group.clone();
            let handle = thread::spawn(move || group.sync_dir(&path));
            while self.group.waiting(self.dir.path()) == before {
                thread::yield_now();
            }
            handle
        }
    }

    // DUR-10
    #[test]
    fn who_comes_during_a_sync_waits_for_the_next_one() {
        let stage = stage();
        let first = stage.call();
        stage.begun.recv().unwrap();
        let late: Vec<_> = (0..10).map(|_| stage.call()).collect();
        stage.finish.send(Ok(())).unwrap();
        assert!(first.join().unwrap().is_ok());
        // The sync that was under way has satisfied nobody else: a second one begins, and it is the only one.
        stage.begun.recv().unwrap();
        assert!(late.iter().all(|t| !t.is_finished()));
        stage.finish.send(Ok(())).unwrap();
        assert!(late.into_iter().all(|t| t.join().unwrap().is_ok()));
        assert!(stage.begun.try_recv().is_err());
        assert!(lock(&stage.group.directories).is_empty());
    }

    // DUR-10
    #[test]
    fn a_failed_sync_fails_its_whole_group_and_no_other() {
        let stage = stage();
        let first = stage.call();
        stage.begun.recv().unwrap();
        let second: Vec<_> = (0..5).map(|_| stage.call()).collect();
        stage.finish.send(Ok(())).unwrap();
        assert!(first.join().unwrap().is_ok());
        stage.begun.recv().unwrap();
        let third = stage.call();
        let error = FsError::new(Op::SyncDir, "/", nix::errno::Errno::EIO.into());
        stage.finish.send(Err(error)).unwrap();
        for member in second {
            assert_eq!(member.join().unwrap().unwrap_err().kind(), ErrorKind::Io);
        }
        stage.begun.recv().unwrap();
        // What the third one did may have been lost with the second sync, so something new was done before this one.
        let renewed = stage.dir.path().join(RENEWED);
        let done = |op| stage.fs.changes().contains(&(op, renewed.clone()));
        assert!(done(Op::Create) && done(Op::Unlink), "{:?}", stage.fs.changes());
        stage.finish.send(Ok(())).unwrap();
        assert!(third.join().unwrap().is_ok());
        stage.fs.clear();
        let fourth = stage.call();
        stage.begun.recv().unwrap();
        stage.finish.send(Ok(())).unwrap();
        assert!(fourth.join().unwrap().is_ok());
        assert!(!done(Op::Create), "once is enough");
    }

    // DUR-10
    #[test]
    fn names_of_a_failed_sync_are_durable_after_the_next_one() {
        let fs = crate::SimulatedFs::new();
        let group = GroupSync::new(Arc::new(fs.clone()));
        drop(fs.create(Path::new("/a")).unwrap());
        fs.fail_at(0, nix::errno::Errno::EIO as i32, false);
        group.sync_dir(Path::new("/")).unwrap_err();
        // Left by another process.
        drop(fs.create(&Path::new("/").join(RENEWED)).unwrap());
        fs.fail_at(0, nix::errno::Errno::EIO as i32, false);
        group.sync_dir(Path::new("/")).unwrap_err();
        group.sync_dir(Path::new("/")).unwrap();
        for disk in fs.crash().images(100, 1) {
            let names: Vec<_> = disk.list(Path::new("/")).unwrap().into_iter().map(|entry| entry.name).collect();
            assert_eq!(names, ["a"]);
        }
    }

    #[test]
    fn no_more_directories_are_remembered_than_there_is_room_for() {
        let mut failed = Failed::default();
        let error = || Err(FsError::new(Op::SyncDir, "/", nix::errno::Errno::EIO.into()));
        for n in 0..=FAILED_MAX {
            failed.note(Path::new(&n.to_string()), &error());
        }
        assert_eq!(failed.known.len(), FAILED_MAX);
        assert!(failed.has(Path::new("any")));
    }
}
