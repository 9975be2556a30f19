//! An open file, and the rule that a failed sync is never tried again.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{ErrorKind, FsError, Metadata, Op, Result};

/// An open file.
///
/// After a write or a sync has failed, the handle refuses to write or sync again ([`ErrorKind::GivenUp`]). On Linux a
/// failed fsync may drop the pages and report the error once, so that a second call would succeed over lost data: the
/// only safe answer is another file.
///
/// ```
/// # use pillarbox_fs::{Fs, RealFs};
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("message");
/// let mut file = RealFs.create(&path)?;
/// file.write(b"Subject: hi\n\n")?;
/// file.sync()?;                   // the bytes are durable ...
/// file.close()?;
/// RealFs.sync_dir(dir.path())?;   // ... and now their name is
/// # Ok::<(), pillarbox_fs::FsError>(())
/// ```
pub struct File {
    raw: Box<dyn RawFile>,
    path: PathBuf,
    given_up: bool,
}

/// What an implementer of [`Fs`](crate::Fs) provides for one open file; [`File`] keeps the rules.
pub trait RawFile: Send {
    /// Writes all bytes at the end.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()>;
    /// Reads at an offset; 0 is the end of the file. May give fewer bytes than asked for.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize>;
    /// Sets the modification time.
    fn set_modified(&mut self, time: SystemTime) -> std::io::Result<()>;
    /// Makes bytes, length and modification time durable.
    fn sync(&mut self) -> std::io::Result<()>;
    /// Makes bytes and length durable.
    fn sync_data(&mut self) -> std::io::Result<()>;
    /// Takes the lock on the open file, if nobody else has it; false if somebody has.
    fn try_lock(&mut self) -> std::io::Result<bool>;
    /// Size, time and kind.
    fn metadata(&self) -> std::io::Result<Metadata>;
    /// Closes, and reports what the file system has to say about it.
    fn close(self: Box<Self>) -> std::io::Result<()>;
}

impl File {
    /// A handle; for implementers of [`Fs`](crate::Fs). `path` is for error texts.
    pub fn new(path: impl Into<PathBuf>, raw: Box<dyn RawFile>) -> Self {
        File { raw, path: path.into(), given_up: false }
    }

    /// The name it was opened by; it may have another one since.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes all bytes at the end. Durable after [`sync`](File::sync). After an error, part of them may be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.once(Op::Write, |raw| raw.write(bytes))
    }

    /// Reads at an offset from the start; 0 is the end of the file. May give fewer bytes than asked for.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.raw.read_at(offset, buffer).map_err(|e| FsError::new(Op::Read, &self.path, e))
    }

    /// Sets the modification time. Durable after [`sync`](File::sync), not after [`sync_data`](File::sync_data).
    pub fn set_modified(&mut self, time: SystemTime) -> Result<()> {
        self.raw.set_modified(time).map_err(|e| FsError::new(Op::Touch, &self.path, e))
    }

    /// Makes everything about the file durable except its name: bytes, length and times.
    pub fn sync(&mut self) -> Result<()> {
        self.once(Op::Sync, |raw| raw.sync())
    }

    /// Makes bytes and length durable, and leaves the times to chance. For logs, where it saves a journal write.
    pub fn sync_data(&mut self) -> Result<()> {
        self.once(Op::Sync, |raw| raw.sync_data())
    }

    /// Takes the lock on this file, unless another handle has it, in this process or another: false then. It is let go when this
    /// handle is closed or dropped, and when the process dies. Nobody is kept from reading or writing by it: it binds those
    /// who ask. It goes with the file, not with the name.
    pub fn try_lock(&mut self) -> Result<bool> {
        self.raw.try_lock().map_err(|e| FsError::new(Op::Lock, &self.path, e))
    }

    /// Size, time and kind of the open file, whatever its name stands for now.
    pub fn metadata(&self) -> Result<Metadata> {
        self.raw.metadata().map_err(|e| FsError::new(Op::Metadata, &self.path, e))
    }

    /// Closes the file. Some network file systems report a failed write only here, so a writer asks; dropping the
    /// handle closes too, and is right where the file is given up anyway.
    pub fn close(self) -> Result<()> {
        self.raw.close().map_err(|e| FsError::new(Op::Close, self.path, e))
    }

    fn once(&mut self, op: Op, f: impl FnOnce(&mut dyn RawFile) -> std::io::Result<()>) -> Result<()> {
        if self.given_up {
            let text = "an earlier write or sync of this file failed";
            return Err(FsError::with_kind(op, &self.path, ErrorKind::GivenUp, text));
        }
        f(&mut *self.raw).map_err(|e| {
            self.given_up = true;
            FsError::new(op, &self.path, e)
        })
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).field("given_up", &self.given_up).finish_non_exhaustive()
    }
}
