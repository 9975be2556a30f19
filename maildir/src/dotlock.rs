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
    /// Held open, because a file system gives the number of a file that nobody holds to the next one: a successor's lock
    /// would look like this one.
    _file: File,
}

impl DotLock {
    /// Waits up to the store's patience.
    ///
    /// The file stays empty. Dovecot writes its process id, and takes the lock of a dead process at once; but a process
    /// of another container may look dead and have the same host name, so that only age is proof.
    pub(crate) fn acquire(store: &Store, path: PathBuf) -> Result<Self> {
        let mut waited = Duration::ZERO;
        let mut pause = Duration::from_millis(1);
        loop {
            match store.fs().create(&path) {
                Ok(file) => {
                    let id = match file.metadata() {
                        Ok(metadata) => metadata.id,
                        Err(error) => {
                            let _ = store.fs().unlink(&path);
                            return Err(error.into());
                        }
                    };
                    return Ok(DotLock { store: store.clone(), path, id, _file: file });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
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
        // If this fails twice the lock gets stale, and others wait two minutes.
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
    use super::*;
    use crate::Options;
    use pillarbox_fs::RealFs;

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
}
