//! A file system in memory that can lose its power.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use crate::{Entry, File, Fs, FsError, Metadata, Op, RawFile, Result, Space};

mod crash;
mod disk;

pub use crash::{Crash, Images};
use disk::{Disk, Id, Node, Outcome, ROOT};

/// A file system in memory that knows what a power cut would leave of it.
///
/// It does what [`Fs`] says and promises nothing more: what is not synced may be lost, each change alone. A test runs
/// a program on it, takes the [`Crash`] after each change, and shows the program every disk that may be found after
/// it.
///
/// ```
/// use pillarbox_fs::{Fs, SimulatedFs};
/// use std::path::Path;
///
/// let fs = SimulatedFs::new();
/// fs.make_dir(Path::new("/new"))?;
/// fs.sync_dir(Path::new("/"))?;
/// let mut file = fs.create(Path::new("/new/1"))?;
/// file.write(b"hello")?;
/// file.sync()?;                               // and the name is forgotten
///
/// let found: Vec<_> = fs.crash().images(100, 1).map(|disk| disk.list(Path::new("/new")).unwrap().len()).collect();
/// assert_eq!(found, [0, 1]);
/// # Ok::<(), pillarbox_fs::FsError>(())
/// ```
///
/// Paths begin with `/`. There are no links but hard ones, no rights, and as much space as the machine has memory; time
/// stands still until the test moves it on, so that nothing can be told apart by its time.
#[derive(Clone)]
pub struct SimulatedFs(Arc<Mutex<State>>);

struct State {
    disk: Disk,
    changes: u64,
    recorded: Option<Vec<Crash>>,
    fault: Option<Fault>,
    /// The files that somebody has the lock on.
    locked: BTreeSet<Id>,
}

struct Fault {
    /// Changes that come before it.
    after: usize,
    errno: Errno,
    carried_out: bool,
}

impl SimulatedFs {
    /// An empty disk. Its clock shows 2001-09-09 01:46:40 UTC.
    pub fn new() -> Self {
        Self::of(Disk::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)))
    }

    fn of(disk: Disk) -> Self {
        SimulatedFs(Arc::new(Mutex::new(State {
            disk,
            changes: 0,
            recorded: None,
            fault: None,
            locked: BTreeSet::new(),
        })))
    }

    /// The time that its files get.
    pub fn now(&self) -> SystemTime {
        self.state().disk.now
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.state().disk.now += by;
    }

    /// How many changes were made: everything that writes, syncs, closes or names.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// A power cut now. This file system goes on.
    pub fn crash(&self) -> Crash {
        self.state().crash()
    }

    /// From now on a [`Crash`] is kept after each change.
    pub fn record(&self) {
        self.state().recorded = Some(Vec::new());
    }

    /// Ends the recording, and returns the power cuts after each change since it began.
    pub fn recorded(&self) -> Vec<Crash> {
        self.state().recorded.take().unwrap_or_default()
    }

    /// Makes the change after the next `n` fail, once, with a system error number. `carried_out` says whether it happens
    /// nevertheless, as a change may whose answer is lost. What a failed sync of a file was to make durable stays pending for good; what
    /// that of a directory was to, until a name in it is changed again: then the directory is written anew.
    pub fn fail_at(&self, n: usize, errno: i32, carried_out: bool) {
        self.state().fault = Some(Fault { after: n, errno: Errno::from_raw(errno), carried_out });
    }

    /// Takes the planned fault back; true if it had not struck.
    pub fn heal(&self) -> bool {
        self.state().fault.take().is_some()
    }

    /// All names with the contents of their files, for the report of a test.
    pub fn dump(&self) -> String {
        let mut out = String::new();
        dump(&self.state().disk, ROOT, "", &mut out);
        out
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, op: Op, path: &Path, look: impl FnOnce(&Disk) -> Outcome<T>) -> Result<T> {
        look(&self.state().disk).map_err(|errno| FsError::new(op, path, errno.into()))
    }

    fn change<T>(&self, op: Op, path: &Path, change: impl FnOnce(&mut Disk) -> Outcome<T>) -> Result<T> {
        self.state().change(change).map_err(|errno| FsError::new(op, path, errno.into()))
    }

    fn file(&self, path: &Path, id: Id) -> File {
        File::new(path, Box::new(SimulatedFile { fs: self.clone(), id, has_lock: false }))
    }
}

impl State {
    fn crash(&self) -> Crash {
        Crash { disk: self.disk.clone(), changes: self.changes }
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Disk) -> Outcome<T>) -> Outcome<T> {
        let result = match self.strike() {
            Some(Fault { errno, carried_out, .. }) => {
                if carried_out {
                    // Whatever it gives is lost with the answer.
                    let _ = change(&mut self.disk);
                }
                Err(errno)
            }
            None => change(&mut self.disk),
        };
        self.changes += 1;
        let crash = self.recorded.is_some().then(|| self.crash());
        if let Some(recorded) = &mut self.recorded {
            recorded.extend(crash);
        }
        result
    }

    fn strike(&mut self) -> Option<Fault> {
        match &mut self.fault {
            Some(fault) if fault.after > 0 => {
                fault.after -= 1;
                None
            }
            fault => fault.take(),
        }
    }
}

impl Default for SimulatedFs {
    fn default() -> Self {
        Self::new()
    }
}

impl Fs for SimulatedFs {
    fn create(&self, path: &Path) -> Result<File> {
        self.change(Op::Create, path, |disk| disk.create(path)).map(|id| self.file(path, id))
    }

    fn create_locked(&self, path: &Path, bytes: &[u8]) -> Result<File> {
        let mut state = self.state();
        let created = state.change(|disk| {
            let id = disk.create(path)?;
            disk.write(id, bytes);
            Ok(id)
        });
        let id = created.map_err(|errno| FsError::new(Op::Create, path, errno.into()))?;
        state.locked.insert(id);
        drop(state);
        Ok(File::new(path, Box::new(SimulatedFile { fs: self.clone(), id, has_lock: true })))
    }

    fn open(&self, path: &Path) -> Result<File> {
        self.ask(Op::Open, path, |disk| disk.open(path)).map(|id| self.file(path, id))
    }

    fn open_append(&self, path: &Path) -> Result<File> {
        self.ask(Op::Open, path, |disk| disk.open(path)).map(|id| self.file(path, id))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Op::Rename, to, |disk| disk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.change(Op::Link, to, |disk| disk.link(from, to))
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        self.change(Op::Unlink, path, |disk| disk.unlink(path))
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::MakeDir, path, |disk| disk.make_dir(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::RemoveDir, path, |disk| disk.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        let synced = state.change(|disk| disk.sync_dir(path));
        if synced.is_err() {
            state.disk.fail_sync_dir(path);
        }
        synced.map_err(|errno| FsError::new(Op::SyncDir, path, errno.into()))
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.ask(Op::List, path, |disk| disk.list(path))
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.ask(Op::Metadata, path, |disk| disk.metadata(path))
    }

    fn space(&self, path: &Path) -> Result<Space> {
        self.ask(Op::Space, path, |disk| disk.metadata(path)).map(|_| Space::new(u64::MAX, u64::MAX))
    }

    fn boot(&self) -> Option<u128> {
        Some(self.state().disk.boot)
    }
}

struct SimulatedFile {
    fs: SimulatedFs,
    id: Id,
    has_lock: bool,
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        if self.has_lock {
            self.fs.state().locked.remove(&self.id);
        }
    }
}

impl SimulatedFile {
    fn change(&self, change: impl FnOnce(&mut Disk)) -> io::Result<()> {
        let result = self.fs.state().change(|disk| {
            change(disk);
            Ok(())
        });
        Ok(result?)
    }

    fn sync_with(&self, with_times: bool) -> io::Result<()> {
        let mut state = self.fs.state();
        let result = state.change(|disk| {
            disk.sync(self.id, with_times);
            Ok(())
        });
        if result.is_err() {
            state.disk.fail_sync(self.id);
        }
        Ok(result?)
    }
}

impl RawFile for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.change(|disk| disk.write(self.id, bytes))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.fs.state();
        let bytes = &state.disk.file(self.id).bytes;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.change(|disk| disk.touch(self.id, time))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_with(true)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync_with(false)
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        self.has_lock = self.has_lock || self.fs.state().locked.insert(self.id);
        Ok(self.has_lock)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Ok(self.fs.state().disk.metadata_of(self.id))
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.change(|_| {})
    }
}

fn dump(disk: &Disk, id: Id, path: &str, out: &mut String) {
    match &*disk.nodes[&id] {
        Node::File(file) => {
            let _ = writeln!(out, "{path} ({id}): {}", file.bytes.escape_ascii());
        }
        Node::Directory(directory) => {
            let _ = writeln!(out, "{path}/");
            for (name, id) in &directory.names {
                dump(disk, *id, &format!("{path}/{}", name.display()), out);
            }
        }
    }
}

impl fmt::Debug for SimulatedFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dump())
    }
}
