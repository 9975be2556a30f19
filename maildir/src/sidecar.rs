//! Small files of a mailbox that are read whole and replaced whole.

use std::path::PathBuf;

use pillarbox_fs::{ErrorKind, replace_file};

use crate::dotlock::DotLock;
use crate::error::NotFound;
use crate::{Result, Store};

/// One such file.
pub(crate) struct Sidecar<'a> {
    pub(crate) store: &'a Store,
    /// The directory that it is in.
    pub(crate) dir: PathBuf,
    pub(crate) name: &'static str,
    /// The most bytes that it may have.
    pub(crate) size_max: usize,
}

/// What lies there.
#[derive(Debug)]
pub(crate) enum Found {
    Nothing,
    Bytes(Vec<u8>),
    /// Something that is no such file: too large, or no file.
    Damage,
}

impl Sidecar<'_> {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(self.name)
    }

    /// What is there now. Somebody may replace it at any time, and then this is the old or the new one, whole.
    pub(crate) fn read(&self) -> Result<Found> {
        match self.store.fs().read(&self.path(), self.size_max) {
            Ok(bytes) => Ok(Found::Bytes(bytes)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Ok(Found::Nothing),
                ErrorKind::TooLarge | ErrorKind::WrongKind => Ok(Found::Damage),
                _ => Err(error.into()),
            },
        }
    }

    /// Takes the lock that Dovecot takes for such a file: whoever holds it reads, and then replaces.
    pub(crate) fn lock(&self) -> Result<DotLock> {
        DotLock::acquire(self.store, self.dir.join(format!("{}.lock", self.name)))
    }

    /// Puts new contents in the place of the old ones; without contents the file goes. Durable on return.
    pub(crate) fn replace(&self, lock: &DotLock, bytes: &[u8]) -> Result<()> {
        let fs = self.store.fs();
        if bytes.is_empty() {
            lock.verify()?;
            fs.unlink(&self.path()).if_found()?;
            return Ok(self.store.sync_dir(&self.dir)?);
        }
        // Whoever holds the lock is its only user.
        let written = self.dir.join(format!("{}.tmp", self.name));
        replace_file(fs, &written, &self.path(), bytes, || lock.verify())?;
        Ok(self.store.sync_dir(&self.dir)?)
    }

    /// Moves what cannot be read out of the way, for whoever wants to look at it.
    pub(crate) fn set_aside(&self) -> Result<()> {
        let aside = self.dir.join(format!("{}.damaged.{}", self.name, self.store.unique_name()));
        self.store.fs().rename(&self.path(), &aside).if_found()?;
        Ok(())
    }
}
