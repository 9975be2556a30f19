//! Dovecot's locks: whoever has made `dovecot-uidlist.lock` may change the mailbox's UID list and keywords, and so for other files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::{ErrorKind, File, Metadata};

use crate::error::NotFound;
use crate::{MaildirError, Result, Store, file_name};

/// A lock untouched for this long belongs to a program that is gone, as Dovecot has it.
const STALE_AFTER: Duration = Duration::from_secs(120);

/// A held lock; dropping it lets go.
pub(crate) struct DotLock {
    store: Store,
    path: PathBuf,
    id: (u64, u64),
    /// Who takes the file over makes it longer, whatever its clock says.
    len: u64,
    /// Held open, because it is locked as long as we live, and because a file system gives the number of a file that nobody holds
    /// to the next one: a successor's lock would look like this one.
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
                Ok(file) => return Self::of(store, path, file, mark.map_or(0, |mark| mark.len() as u64)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            let owner = match &mark {
                Some(mark) => owner(store, &path, mark)?,
                None => Owner::Unknown,
            };
            if let Owner::Dead(file, len) = owner {
                return Self::of(store, path, file, len);
            }
            // Who is seen to live may take its time.
            if !matches!(owner, Owner::Alive)
                && let Some(held) = store.fs().metadata(&path).if_found()?
            {
                let now = store.options().clock.now();
                // A clock that is ahead of ours says nothing; what is untouched as long as we know it is as old at least.
                let since = if held.modified > now { store.first_seen(&path, &held, now) } else { held.modified };
                let age = now.duration_since(since).unwrap_or_default();
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

    fn of(store: &Store, path: PathBuf, file: File, len: u64) -> Result<Self> {
        match file.metadata() {
            Ok(metadata) => Ok(DotLock { store: store.clone(), path, id: metadata.id, len, _file: file }),
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
            Some(metadata) if (metadata.id, metadata.len) == (self.id, self.len) => Ok(()),
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

/// What our locks begin with in this run of the system, and what a process adds. It holds no colon, so that Dovecot looks for no
/// process in it. `None` where one run cannot be told from another: then only age is proof.
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

/// Whose a lock is.
enum Owner {
    /// A process of ours that died. The file is the finder's from now on, and this long.
    Dead(File, u64),
    /// A process of ours that lives.
    Alive,
    /// Anybody's.
    Unknown,
}

/// What one who takes a lock over adds to it.
const TAKEN: &[u8] = b"taken over\n";

/// Takes over the lock of a process of ours that died. The file stays where it is, so that nobody gets in between, and of several
/// who find it one has it. Where the lock on the file was lost while its owner lives, the owner sees that it has grown.
fn owner(store: &Store, path: &Path, mark: &str) -> Result<Owner> {
    // Whatever cannot be opened or read is no lock of ours, or one that has just gone.
    let Ok(mut file) = store.fs().open_append(path) else { return Ok(Owner::Unknown) };
    let mut head = [0; SHARED];
    if !matches!(file.read_at(0, &mut head), Ok(SHARED)) || head != mark.as_bytes()[..SHARED] {
        return Ok(Owner::Unknown);
    }
    match file.try_lock() {
        Ok(true) => {}
        Ok(false) => return Ok(Owner::Alive),
        Err(_) => return Ok(Owner::Unknown),
    }
    // Of two who come so far at once, neither finds the length that it expects.
    let len = file.metadata()?.len + TAKEN.len() as u64;
    file.write(TAKEN)?;
    // Others go by its age. On a network file system this also sends what was written.
    file.set_modified(store.options().clock.now())?;
    // Its owner may have let go of it in peace, or another have taken it for stale, and the name be another file's by now.
    let named = store.fs().metadata(path).if_found()?;
    if named.is_none_or(|named| !file.metadata().is_ok_and(|metadata| metadata.id == named.id)) {
        return Ok(Owner::Unknown);
    }
    Ok(Owner::Dead(file, len))
}

/// Two programs may find the same lock stale, and the slower must not remove the lock that the faster one has made
/// since: so the file is moved away first, looked at, and put back if it is not the stale one.
fn break_stale(store: &Store, path: &Path, stale: &Metadata) -> Result<()> {
    let aside = path.with_extension(format!("stale.{}", store.unique_name()));
    if store.fs().rename(path, &aside).if_found()?.is_none() {
        return Ok(());
    }
    // Who sweeps may have found it old, and then it was.
    let moved = store.fs().metadata(&aside).if_found()?;
    if moved.is_some_and(|moved| (moved.id, moved.modified) != (stale.id, stale.modified)) {
        put_back(store, &aside, path)?;
    }
    store.fs().unlink(&aside).if_found()?;
    sweep(store, path);
    Ok(())
}

/// Gives a living lock its name again. If somebody has made another one meanwhile, its owner will see that it was lost.
fn put_back(store: &Store, aside: &Path, path: &Path) -> Result<()> {
    match store.fs().link(aside, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        // There may be no hard links here.
        Err(_) => match store.fs().metadata(path).if_found()? {
            Some(_) => Ok(()),
            None => Ok(store.fs().rename(aside, path)?),
        },
    }
}

/// Removes what those who moved a lock away left, being killed. What is young may be a living lock that is about to be put back.
fn sweep(store: &Store, path: &Path) {
    let (Some(dir), Some(name)) =
        (path.parent(), path.with_extension("stale.").file_name().map(file_name::bytes).map(<[u8]>::to_vec))
    else {
        return;
    };
    for entry in store.fs().list(dir).unwrap_or_default() {
        let left = dir.join(&entry.name);
        if file_name::bytes(&entry.name).starts_with(&name)
            && let Ok(found) = store.fs().metadata(&left)
            && store.options().clock.now().duration_since(found.modified).is_ok_and(|age| age >= STALE_AFTER)
        {
            let _ = store.fs().unlink(&left);
        }
    }
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
    fn who_lives_sees_that_its_lock_was_taken_over_though_the_system_had_lost_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let mut owner = DotLock::acquire(&process(), path.clone()).unwrap();
        owner._file = pillarbox_fs::Fs::open(&RealFs, Path::new("/proc/self/cmdline")).unwrap();
        let taken = DotLock::acquire(&process(), path).unwrap();
        assert!(matches!(owner.verify(), Err(MaildirError::LockLost(_))));
        drop(owner);
        taken.verify().unwrap();
    }

    #[test]
    fn a_lock_from_the_future_grows_old_while_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let file = std::fs::File::create(&path).unwrap();
        let future = std::time::SystemTime::now() + STALE_AFTER * 1000;
        file.set_modified(future).unwrap();
        let store = process();
        assert!(matches!(DotLock::acquire(&store, path.clone()), Err(MaildirError::Locked(_))));
        // It is touched: somebody is at work.
        store.options().clock.sleep(STALE_AFTER);
        file.set_modified(future + STALE_AFTER).unwrap();
        assert!(matches!(DotLock::acquire(&store, path.clone()), Err(MaildirError::Locked(_))));
        store.options().clock.sleep(STALE_AFTER);
        DotLock::acquire(&store, path).unwrap().verify().unwrap();
    }

    #[test]
    fn the_lock_of_one_who_is_seen_to_live_is_never_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let slow = DotLock::acquire(&process(), path.clone()).unwrap();
        let old = std::time::SystemTime::now() - STALE_AFTER * 2;
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
        assert!(matches!(DotLock::acquire(&process(), path), Err(MaildirError::Locked(_))));
        slow.verify().unwrap();
    }

    #[test]
    fn a_lock_that_is_taken_over_is_young_before_its_name_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        die(DotLock::acquire(&process(), path.clone()).unwrap());
        let old = std::time::SystemTime::now() - STALE_AFTER * 2;
        std::fs::File::open(&path).unwrap().set_modified(old).unwrap();
        let watched = pillarbox_fs::testing::Watched::new(RealFs).before(move |op, path| {
            if op == pillarbox_fs::Op::Metadata {
                assert!(std::fs::metadata(path).unwrap().modified().unwrap() > old, "one more would take it for stale");
            }
        });
        DotLock::acquire(&Store::new(watched, Options::from_system()), path).unwrap().verify().unwrap();
    }

    #[test]
    fn the_slower_of_two_who_break_a_lock_gives_the_successors_back() {
        const EPERM: i32 = 1;
        for without_links in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.lock");
            let left = dir.path().join("x.stale.left-by-a-crash");
            let old = std::time::SystemTime::now() - STALE_AFTER * 2;
            for path in [&path, &left] {
                std::fs::File::create(path).unwrap().set_modified(old).unwrap();
            }
            let fs = pillarbox_fs::testing::Watched::new(RealFs);
            let slower = Store::new(fs.clone(), Options::from_system());
            let stale = slower.fs().metadata(&path).unwrap();
            let successor = DotLock::acquire(&process(), path.clone()).unwrap();
            assert!(!left.exists(), "it is in nobody's way, and nobody's");
            if without_links {
                // After the renaming.
                fs.fail_at(1, EPERM);
            }
            break_stale(&slower, &path, &stale).unwrap();
            assert!(!fs.heal());
            successor.verify().unwrap();
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
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
