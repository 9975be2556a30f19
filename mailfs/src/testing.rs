//! File systems for tests: one that writes down what is done and fails at one operation, and one that has bad places.

mod bad_disk;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

pub use bad_disk::{BadDisk, Faults};

use crate::{Entry, File, Fs, FsError, Kind, Metadata, Op, RawFile, Result, Space};

/// Wraps a file system, records every operation on it, and can make one fail.
///
/// ```
/// use pillarbox_fs::testing::Watched;
/// use pillarbox_fs::{ErrorKind, Fs, Op, RealFs};
/// # let dir = tempfile::tempdir().unwrap();
///
/// let fs = Watched::new(RealFs);
/// fs.fail_at(1, 28);                       // the second change from now: ENOSPC
/// let mut file = fs.create(&dir.path().join("a"))?;
/// assert_eq!(file.write(b"x").unwrap_err().kind(), ErrorKind::NoSpace);
/// assert_eq!(fs.changes(), [(Op::Create, dir.path().join("a"))]);
/// # Ok::<(), pillarbox_fs::FsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Watched {
    fs: Arc<dyn Fs>,
    shared: Arc<Shared>,
}

/// What to do in place of a directory sync, such as to wait for the test.
pub type SyncHook = Box<dyn Fn(&Path) -> Result<()> + Send + Sync>;

/// What to do before an operation, such as what another program does at that moment.
type Before = Box<dyn Fn(Op, &Path) + Send + Sync>;

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    sync_hook: Option<SyncHook>,
    before: Option<Before>,
}

#[derive(Debug, Default)]
struct Log {
    changes: Vec<(Op, PathBuf)>,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Fault {
    /// Changes to come before it, or operations of any kind.
    after: usize,
    errno: i32,
    reads_too: bool,
}

impl Watched {
    /// Watches `fs`.
    pub fn new(fs: impl Fs + 'static) -> Self {
        Watched { fs: Arc::new(fs), shared: Arc::default() }
    }

    /// Runs `hook` in place of each directory sync.
    ///
    /// # Panics
    ///
    /// If there are clones of it.
    pub fn on_sync_dir(mut self, hook: SyncHook) -> Self {
        self.being_made().sync_hook = Some(hook);
        self
    }

    /// Runs `hook` before each operation on a path, with that path; for a rename or link with the new name. What is done with
    /// open files is not told.
    ///
    /// # Panics
    ///
    /// If there are clones of it.
    pub fn before(mut self, hook: impl Fn(Op, &Path) + Send + Sync + 'static) -> Self {
        self.being_made().before = Some(Box::new(hook));
        self
    }

    fn being_made(&mut self) -> &mut Shared {
        Arc::get_mut(&mut self.shared).expect("nobody has a clone of what is being put together")
    }

    /// The changes that were carried out since the last [`clear`](Watched::clear), in order: everything that writes,
    /// syncs, closes or names. Of a rename or link the path is the new name. Reads, listings and opening to read are not among them.
    pub fn changes(&self) -> Vec<(Op, PathBuf)> {
        self.shared.log().changes.clone()
    }

    /// Forgets the changes so far.
    pub fn clear(&self) {
        self.shared.log().changes.clear();
    }

    /// Makes the change after the next `n` fail, once, with a system error number; it is then not carried out.
    pub fn fail_at(&self, n: usize, errno: i32) {
        self.shared.log().fault = Some(Fault { after: n, errno, reads_too: false });
    }

    /// The same, counting every operation: opening to read, reads, listings and questions about metadata and space too.
    pub fn fail_any_at(&self, n: usize, errno: i32) {
        self.shared.log().fault = Some(Fault { after: n, errno, reads_too: true });
    }

    /// Takes the planned fault back; true if it had not struck.
    pub fn heal(&self) -> bool {
        self.shared.log().fault.take().is_some()
    }

    fn change<T>(&self, op: Op, path: &Path, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.shared.tell(op, path);
        self.shared.step().map_err(|e| FsError::new(op, path, e))?;
        let value = run()?;
        self.shared.log().changes.push((op, path.to_path_buf()));
        Ok(value)
    }

    fn look<T>(&self, op: Op, path: &Path, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.shared.tell(op, path);
        self.shared.read_step().map_err(|e| FsError::new(op, path, e))?;
        run()
    }

    fn watch(&self, path: &Path, file: File) -> File {
        File::new(path, Box::new(WatchedFile { file, path: path.to_path_buf(), shared: self.shared.clone() }))
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, op: Op, path: &Path) {
        if let Some(before) = &self.before {
            before(op, path);
        }
    }

    fn step(&self) -> io::Result<()> {
        let mut log = self.log();
        match &mut log.fault {
            Some(Fault { after: 0, errno, .. }) => {
                let error = io::Error::from_raw_os_error(*errno);
                log.fault = None;
                Err(error)
            }
            Some(fault) => {
                fault.after -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn read_step(&self) -> io::Result<()> {
        let counted = self.log().fault.as_ref().is_some_and(|fault| fault.reads_too);
        if counted { self.step() } else { Ok(()) }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log().fmt(f)
    }
}

impl Fs for Watched {
    fn create(&self, path: &Path) -> Result<File> {
        self.change(Op::Create, path, || self.fs.create(path)).map(|file| self.watch(path, file))
    }

    fn create_locked(&self, path: &Path, bytes: &[u8]) -> Result<File> {
        self.change(Op::Create, path, || self.fs.create_locked(path, bytes)).map(|file| self.watch(path, file))
    }

    fn open(&self, path: &Path) -> Result<File> {
        self.look(Op::Open, path, || self.fs.open(path)).map(|file| self.watch(path, file))
    }

    fn open_append(&self, path: &Path) -> Result<File> {
        self.change(Op::Open, path, || self.fs.open_append(path)).map(|file| self.watch(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Op::Rename, to, || self.fs.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Op::Link, to, || self.fs.link(from, to))
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        self.change(Op::Unlink, path, || self.fs.unlink(path))
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::MakeDir, path, || self.fs.make_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::RemoveDir, path, || self.fs.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::SyncDir, path, || match &self.shared.sync_hook {
            Some(hook) => hook(path),
            None => self.fs.sync_dir(path),
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.look(Op::List, path, || self.fs.list(path))
    }

    fn list_each(&self, path: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.look(Op::List, path, || self.fs.list_each(path, show))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.look(Op::Metadata, path, || self.fs.metadata(path))
    }

    fn space(&self, path: &Path) -> Result<Space> {
        self.look(Op::Space, path, || self.fs.space(path))
    }

    fn boot(&self) -> Option<u128> {
        self.fs.boot()
    }
}

struct WatchedFile {
    file: File,
    path: PathBuf,
    shared: Arc<Shared>,
}

impl WatchedFile {
    fn change(&mut self, op: Op, run: impl FnOnce(&mut File) -> Result<()>) -> io::Result<()> {
        self.shared.step()?;
        run(&mut self.file).map_err(again)?;
        self.shared.log().changes.push((op, self.path.clone()));
        Ok(())
    }
}

impl RawFile for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.change(Op::Write, |file| file.write(bytes))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.shared.read_step()?;
        self.file.read_at(offset, buffer).map_err(again)
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.change(Op::Touch, |file| file.set_modified(time))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.change(Op::Sync, File::sync)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.change(Op::Sync, File::sync_data)
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        self.file.try_lock().map_err(again)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.shared.read_step()?;
        self.file.metadata().map_err(again)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.shared.step()?;
        self.file.close().map_err(again)?;
        self.shared.log().changes.push((Op::Close, self.path));
        Ok(())
    }
}

/// The system's error once more, so that it is of the same kind on the outside.
fn again(error: FsError) -> io::Error {
    use std::error::Error;
    let number = error.source().and_then(|source| source.downcast_ref()).and_then(io::Error::raw_os_error);
    number.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, RealFs};

    // DSK-06
    #[test]
    fn a_file_whose_sync_failed_is_never_synced_or_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let fs = Watched::new(RealFs);
        for op in [Op::Write, Op::Sync] {
            let mut file = fs.create(&dir.path().join(op.to_string())).unwrap();
            fs.clear();
            fs.fail_at(0, nix::errno::Errno::EIO as i32);
            let failed = if op == Op::Write { file.write(b"x") } else { file.sync() };
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::Io);
            assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::GivenUp);
            assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::GivenUp);
            assert_eq!(file.write(b"y").unwrap_err().kind(), ErrorKind::GivenUp);
            assert_eq!(fs.changes(), [], "nothing reached the file system");
        }
    }

    #[test]
    fn the_order_of_changes_is_written_down() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let fs = Watched::new(RealFs);
        let mut file = fs.create(&a).unwrap();
        file.write(b"x").unwrap();
        file.sync().unwrap();
        file.close().unwrap();
        fs.rename(&a, &b).unwrap();
        fs.sync_dir(dir.path()).unwrap();
        assert_eq!(fs.read(&b, 10).unwrap(), b"x");
        let ops: Vec<_> = fs.changes().into_iter().map(|(op, _)| op).collect();
        assert_eq!(ops, [Op::Create, Op::Write, Op::Sync, Op::Close, Op::Rename, Op::SyncDir]);
    }
}
