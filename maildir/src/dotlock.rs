//! `dovecot-uidlist.lock`: whoever made the file may change the mailbox's UID list and keywords.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::{ErrorKind, File, Metadata};

use crate::error::NotFound;
use crate::{MaildirError, Result, Store};

/// A lock untouched for this long belongs to a program that is gone, as Dovecot has it.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// A held lock; dropping it lets go.
pub(crate) struct DotLock {
    store: Store,
    path: PathBuf,
    id: (u64, u64),
    /// Held open, because it is locked as long as we live, and because a file system gives the number of a file that nobody holds to the next one: a successor's lock
    /// would look like this one.
    _file: File,
}

impl DotLock {
    /// Waits up to the store's patience.
    ///
    /// What is in the file is for us alone. Dovecot writes its process id and its host, and takes the lock of a process at once
    /// that is dead or seems to be; of a file with anything else in it, and of ours, it believes nothing but the age. So do we of
    /// Dovecot's: a process of another container may look dead and have the same host name.
    pub(crate) fn acquire(store: &Store, path: PathBuf) -> Result<Self> {
        let mark = mark(store);
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(1);
        loop {
            match create(store, &path, mark.as_deref()) {
                Ok(file) => return Self::of(store, path, file),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            if let Some(mark) = &mark
                && let Some(file) = of_the_dead(store, &path, mark)?
            {
                return Self::of(store, path, file);
            }
            if let Some(held) = store.fs().metadata(&path).if_found()? {
                let age = store.options().clock.now().duration_since(held.modified).unwrap_or_default();
                if age >= STALE_AFTER {
                    break_stale(store, &path, &held)?;
                    continue;
                }
            }
            if waited >= store.options().lock_patience {
                return Err(MaildirError::Locked(path));
            }
            // A random part keeps two waiting processes from asking in step.
            let jitter = Duration::from_micros(store.random() % 1000);
            store.options().clock.sleep(pause + jitter);
            waited += pause + jitter;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn of(store: &Store, path: PathBuf, file: File) -> Result<Self> {
        match file.metadata() {
            Ok(metadata) => Ok(DotLock { store: store.clone(), path, id: metadata.id, _file: file }),
            Err(error) => {
                let _ = store.fs().unlink(&path);
                Err(error.into())
            }
        }
    }

    /// The directory that it is in has another name now.
    pub(crate) fn moved_to(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Fails if somebody took the lock for stale. Asked just before a change, so that a process that stood still for
    /// minutes does not write over its successor's work.
    pub(crate) fn verify(&self) -> Result<()> {
        match self.store.fs().metadata(&self.path).if_found()? {
            Some(metadata) if metadata.id == self.id => Ok(()),
            _ => Err(MaildirError::LockLost(self.path.clone())),
        }
    }
}

impl Drop for DotLock {
    fn drop(&mut self) {
        // If this fails twice the file stays, and is the next one's who finds it unlocked; others wait two minutes.
        for _ in 0..2 {
            match self.verify() {
                Ok(()) if self.store.fs().unlink(&self.path).is_ok() => break,
                Err(MaildirError::LockLost(_)) => break,
                // Or whose it is cannot be seen now.
                _ => {}
            }
        }
    }
}

/// What our locks begin with in this run of the system, and what a process adds. It holds no colon, so that Dovecot looks for no process in it.
/// `None` where one run cannot be told from another: then only age is proof.
///
/// With another machine's number in it the lock may be held there, for not every network file system shows us the locks
/// of others; and of an earlier run of this machine it would not be told from that.
fn mark(store: &Store) -> Option<String> {
    Some(format!("pillarbox {:032x} {}\n", store.fs().boot()?, store.options().pid))
}

/// How much of the mark all processes share.
const SHARED: usize = "pillarbox ".len() + 32 + 1;

/// Makes the lock's file with our mark; empty where files cannot be locked.
fn create(store: &Store, path: &Path, mark: Option<&str>) -> pillarbox_fs::Result<File> {
    let Some(mark) = mark else { return store.fs().create(path) };
    match store.fs().create_locked(path, mark.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::Unsupported => store.fs().create(path),
        made => made,
    }
}

/// The lock of a process of ours that died, which is ours from now on. The file stays where it is, so that nobody gets in
/// between, and of several who find it one has it.
fn of_the_dead(store: &Store, path: &Path, mark: &str) -> Result<Option<File>> {
    // Whatever cannot be opened or read is no lock of ours, or one that has just gone.
    let Ok(mut file) = store.fs().open_append(path) else { return Ok(None) };
    let mut head = [0; SHARED];
    if !matches!(file.read_at(0, &mut head), Ok(SHARED)) || head != mark.as_bytes()[..SHARED] {
        return Ok(None);
    }
    if !file.try_lock().unwrap_or(false) {
        return Ok(None);
    }
    // Its owner may have let go of it in peace, and the name be another file's by now.
    let named = store.fs().metadata(path).if_found()?;
    if named.is_none_or(|named| !file.metadata().is_ok_and(|metadata| metadata.id == named.id)) {
        return Ok(None);
    }
    // Others go by its age.
    file.set_modified(store.options().clock.now())?;
    Ok(Some(file))
}

/// Two programs may find the same lock stale, and the slower must not remove the lock that the faster one has made
/// since: so the file is moved away first, looked at, and put back if it is not the stale one.
fn break_stale(store: &Store, path: &Path, stale: &Metadata) -> Result<()> {
    let aside = path.with_extension(format!("stale.{}", store.unique_name()));
    if store.fs().rename(path, &aside).if_found()?.is_none() {
        return Ok(());
    }
    let moved = store.fs().metadata(&aside)?;
    if (moved.id, moved.modified) != (stale.id, stale.modified) {
        match store.fs().link(&aside, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
    }
    store.fs().unlink(&aside).if_found().map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{Clock, Options};
    use pillarbox_fs::RealFs;

    /// Time passes only for who waits.
    struct Still(std::sync::Mutex<std::time::SystemTime>);

    impl Clock for Still {
        fn now(&self) -> std::time::SystemTime {
            *crate::store::lock(&self.0)
        }

        fn sleep(&self, duration: Duration) {
            *crate::store::lock(&self.0) += duration;
        }
    }

    /// A process of its own, whose patience is shorter than it takes a lock to be stale.
    fn process() -> Store {
        let mut options = Options::from_system();
        options.clock = Arc::new(Still(std::sync::Mutex::new(std::time::SystemTime::now())));
        Store::new(RealFs, options)
    }

    /// A process that dies closes its files, and does nothing else.
    fn die(mut lock: DotLock) {
        lock._file = pillarbox_fs::Fs::open(&RealFs, Path::new("/proc/self/cmdline")).unwrap();
        std::mem::forget(lock);
    }

    #[test]
    fn a_successors_lock_is_not_taken_for_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(RealFs, Options::from_system());
        let path = dir.path().join("x.lock");
        let slow = DotLock::acquire(&store, path.clone()).unwrap();
        // Somebody takes it for stale. The file system likes to give the number of the file just removed to the next.
        std::fs::remove_file(&path).unwrap();
        let quick = DotLock::acquire(&store, path).unwrap();
        assert!(matches!(slow.verify(), Err(MaildirError::LockLost(_))));
        drop(slow);
        quick.verify().unwrap();
    }

    #[test]
    fn the_lock_of_a_dead_process_is_taken_over_at_once_and_that_of_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let dead = DotLock::acquire(&process(), path.clone()).unwrap();
        let other = process();
        assert!(matches!(DotLock::acquire(&other, path.clone()), Err(MaildirError::Locked(_))));
        dead.verify().unwrap();
        die(dead);
        let old = std::time::SystemTime::now() - Duration::from_secs(100);
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();

        let other = process();
        let before = other.options().clock.now();
        let taken = DotLock::acquire(&other, path.clone()).unwrap();
        assert_eq!(other.options().clock.now(), before, "it was waited for");
        taken.verify().unwrap();
        assert!(std::fs::metadata(&path).unwrap().modified().unwrap() > old, "others would soon take it for stale");
        assert!(matches!(DotLock::acquire(&process(), path.clone()), Err(MaildirError::Locked(_))));
        drop(taken);
        assert!(!path.exists());
    }

    #[test]
    fn what_others_made_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let ours = mark(&process()).unwrap();
        let other_run = format!("pillarbox {:032x} 1\n", 7);
        for text in ["", "1234:host", &ours[..SHARED - 1], &other_run] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(DotLock::acquire(&process(), path.clone()), Err(MaildirError::Locked(_))), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert!(!ours.contains(':'), "Dovecot would look for a process of that number");
    }

    #[test]
    fn of_many_who_find_a_dead_lock_one_has_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let (inside, done) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let store = Store::new(RealFs, Options::from_system());
                    for n in 0..50 {
                        let lock = DotLock::acquire(&store, path.clone()).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        lock.verify().unwrap();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if n % 2 == 0 {
                            die(lock);
                        } else {
                            drop(lock);
                        }
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 200);
    }
}
