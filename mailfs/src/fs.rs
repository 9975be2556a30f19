//! The trait: every file operation that durable mail storage may use.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use crate::{ErrorKind, File, FsError, Op, Result};

/// A file system. [`RealFs`](crate::RealFs) is the machine's own; tests put another one in its place.
///
/// What is durable when is part of the contract, and no code above may rely on more:
///
/// - **Bytes** of a file, its length and its modification time are durable when [`File::sync`] has returned.
/// - **Names** (create, rename, link, unlink, mkdir) are durable when [`sync_dir`](Fs::sync_dir) of the directory that
///   holds them has returned; for a rename between directories, the directory that receives the name. Syncing a file
///   does not make its name durable.
/// - Until then, each pending change may or may not survive a crash, alone and in any order, with two promises: a
///   **rename is atomic** (the file has its old name, its new one, or both, never none; what it replaced is replaced
///   whole or not at all), and the bytes of one write may be cut short or torn but never come from elsewhere.
/// - A failed operation may have happened or not. A failed **sync** says that the data may be lost even if a
///   later sync succeeds; [`File`] therefore allows none.
///
/// Nothing follows a symbolic link in the last part of a path.
pub trait Fs: Send + Sync + fmt::Debug {
    /// Makes a new file for writing, mode 0600, which must not exist (`O_EXCL`). Durable: nothing yet.
    fn create(&self, path: &Path) -> Result<File>;

    /// Makes a new file, as [`create`](Fs::create) does, that holds these bytes and is [locked](File::try_lock) by this handle,
    /// all of it from the moment on when it has its name: who finds the bytes and nobody's lock knows that its maker is gone.
    /// Durable: nothing yet.
    ///
    /// Where that cannot be done in one step, a process that is killed on the way leaves an empty file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where files cannot be locked.
    fn create_locked(&self, path: &Path, bytes: &[u8]) -> Result<File> {
        create_locked_in_steps(self, path, bytes)
    }

    /// Opens a regular file for reading. Never waits for a pipe's other end; anything but a regular file is
    /// [`ErrorKind::WrongKind`].
    fn open(&self, path: &Path) -> Result<File>;

    /// Opens a regular file that exists for reading, and for writing at its end.
    fn open_append(&self, path: &Path) -> Result<File>;

    /// Gives a file or directory another name, in place of a file that has that name. Atomic; durable after
    /// `sync_dir` of the directory of `to`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Gives a file one more name; `to` must not exist. Durable after `sync_dir` of the directory of `to`.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file's name. Durable after `sync_dir`; before that the name may come back in a crash.
    fn unlink(&self, path: &Path) -> Result<()>;

    /// Makes a directory, mode 0700. Durable after `sync_dir` of its parent.
    fn make_dir(&self, path: &Path) -> Result<()>;

    /// Removes an empty directory. Durable after `sync_dir` of its parent.
    fn remove_dir(&self, path: &Path) -> Result<()>;

    /// Makes all names in a directory durable, as they were when the call began.
    /// [`GroupSync`](crate::GroupSync) joins the calls of many threads.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// What a directory holds, in no order, without `.` and `..`. Names that come or go during the call may or may
    /// not be in it, and **a name that is being renamed may be in it twice or not at all**.
    fn list(&self, path: &Path) -> Result<Vec<Entry>>;

    /// Shows what [`list`](Fs::list) returns one by one, which takes no memory for each. An error may come after some were shown.
    fn list_each(&self, path: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.list(path)?.iter().for_each(|entry| show(&entry.name, entry.kind));
        Ok(())
    }

    /// Size, time and kind of what has this name, a symbolic link itself included.
    fn metadata(&self, path: &Path) -> Result<Metadata>;

    /// The space left for the owner of files under this directory.
    fn space(&self, path: &Path) -> Result<Space>;

    /// Which run of the system this is, by a number that is another one after every power cut or restart. What was written under
    /// the same number is read back, synced or not; what was written under another one may be lost as far as it was not
    /// synced. `None` where nobody knows: then everything that was not synced may be lost.
    fn boot(&self) -> Option<u128> {
        None
    }

    /// The whole of a small regular file; more than `max` bytes is [`ErrorKind::TooLarge`].
    fn read(&self, path: &Path, max: usize) -> Result<Vec<u8>> {
        let file = self.open(path)?;
        let too_large = || FsError::with_kind(Op::Read, path, ErrorKind::TooLarge, "the file is larger than expected");
        let len = usize::try_from(file.metadata()?.len).map_err(|_| too_large())?;
        if len > max {
            return Err(too_large());
        }
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match file.read_at(filled as u64, &mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

pub(crate) fn create_locked_in_steps<F: Fs + ?Sized>(fs: &F, path: &Path, bytes: &[u8]) -> Result<File> {
    let mut file = fs.create(path)?;
    let locked = match file.try_lock() {
        // Last: what can be read of it is true.
        Ok(true) => file.write(bytes),
        Ok(false) => Err(FsError::with_kind(Op::Lock, path, ErrorKind::Io, "somebody else has locked the new file")),
        Err(error) => Err(error),
    };
    if locked.is_err() {
        let _ = fs.unlink(path);
    }
    locked.map(|()| file)
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, pipe, socket or device: nothing that mail is kept in.
    Other,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// What it stands for.
    pub kind: Kind,
}

impl Entry {
    /// An entry; for implementers of [`Fs`].
    pub fn new(name: OsString, kind: Kind) -> Self {
        Entry { name, kind }
    }
}

/// What is known about a file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What the name stands for.
    pub kind: Kind,
    /// Length in bytes.
    pub len: u64,
    /// When it was last changed; of a directory, at the earliest when its time was last set to something else. The system's clock
    /// for this moves in steps of some milliseconds.
    pub modified: SystemTime,
    /// Device and inode: two names with the same pair are the same file. A pair is used again after a file is gone.
    pub id: (u64, u64),
}

impl Metadata {
    /// Metadata; for implementers of [`Fs`].
    pub fn new(kind: Kind, len: u64, modified: SystemTime, id: (u64, u64)) -> Self {
        Metadata { kind, len, modified, id }
    }
}

/// What is left on a file system for users other than root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Bytes that may still be written.
    pub bytes: u64,
    /// Files that may still be made; `u64::MAX` where the file system makes inodes as needed.
    pub files: u64,
}

impl Space {
    /// A measurement; for implementers of [`Fs`].
    pub fn new(bytes: u64, files: u64) -> Self {
        Space { bytes, files }
    }
}
