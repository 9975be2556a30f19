//! A simulated disk of which some files cannot be read, opened or moved, for now or for good.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::again;
use crate::{Entry, File, Fs, FsError, Metadata, Op, RawFile, Result, SimulatedFs, Space};

/// Wraps a simulated disk, and fails what its [`Faults`] say.
///
/// ```
/// use pillarbox_fs::testing::BadDisk;
/// use pillarbox_fs::{ErrorKind, Fs};
/// # use std::path::Path;
///
/// let fs = BadDisk::default();
/// let mut file = fs.create(Path::new("/log"))?;
/// file.write(&[b'x'; 5000])?;
/// drop(file);
/// fs.faults(|faults| faults.unreadable.push(("log".into(), 4096..5000)));
/// let file = fs.open(Path::new("/log"))?;
/// assert_eq!(file.read_at(0, &mut [0; 4096])?, 4096);
/// assert_eq!(file.read_at(4096, &mut [0; 4096]).unwrap_err().kind(), ErrorKind::Io);
/// # Ok::<(), pillarbox_fs::FsError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct BadDisk {
    disk: SimulatedFs,
    faults: Arc<Mutex<Faults>>,
}

/// What a [`BadDisk`] does not do. Files are named by a part of their paths.
#[derive(Debug, Default)]
pub struct Faults {
    /// Octets that cannot be read (EIO).
    pub unreadable: Vec<(String, Range<u64>)>,
    /// So many reads of those are answered before.
    pub reads_before: usize,
    /// So many reads of those fail then; all, if it is not set.
    pub reads: Option<usize>,
    /// Files that cannot be opened to be read, how often, and the system error number.
    pub unopened: Option<(String, usize, i32)>,
    /// Names that cannot be moved (EACCES): the end of a path.
    pub unmoved: Option<String>,
}

impl Faults {
    fn strikes(&mut self, path: &Path, octets: Range<u64>) -> bool {
        let is_bad = |(part, bad): &(String, Range<u64>)| {
            is_named(path, part) && octets.start < bad.end && bad.start < octets.end
        };
        if !self.unreadable.iter().any(is_bad) {
            return false;
        }
        if self.reads_before > 0 {
            self.reads_before -= 1;
            return false;
        }
        match &mut self.reads {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

fn is_named(path: &Path, part: &str) -> bool {
    path.to_string_lossy().contains(part)
}

impl BadDisk {
    /// A disk on which nothing fails yet.
    pub fn new(disk: SimulatedFs) -> Self {
        BadDisk { disk, faults: Arc::default() }
    }

    /// The disk itself, where nothing fails.
    pub const fn disk(&self) -> &SimulatedFs {
        &self.disk
    }

    /// Changes what fails.
    pub fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.known());
    }

    /// No read of files with this in their paths is answered any more, after so many that are.
    pub fn fail_reads_of(&self, part: &str, reads_before: usize) {
        self.faults(|faults| {
            faults.unreadable.push((part.into(), 0..u64::MAX));
            faults.reads_before = reads_before;
        });
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.faults(|faults| *faults = Faults::default());
    }

    fn known(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fs for BadDisk {
    fn create(&self, path: &Path) -> Result<File> {
        self.disk.create(path)
    }

    fn create_locked(&self, path: &Path, bytes: &[u8]) -> Result<File> {
        self.disk.create_locked(path, bytes)
    }

    fn open(&self, path: &Path) -> Result<File> {
        if let Some((part, times, errno)) = &mut self.known().unopened
            && is_named(path, part)
            && *times > 0
        {
            *times -= 1;
            return Err(FsError::new(Op::Open, path, io::Error::from_raw_os_error(*errno)));
        }
        let file = self.disk.open(path)?;
        let bad = BadFile { file, path: path.to_path_buf(), faults: Arc::clone(&self.faults) };
        Ok(File::new(path, Box::new(bad)))
    }

    fn open_append(&self, path: &Path) -> Result<File> {
        self.disk.open_append(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        if self.known().unmoved.as_ref().is_some_and(|name| from.ends_with(name)) {
            return Err(FsError::new(Op::Rename, to, nix::errno::Errno::EACCES.into()));
        }
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.link(from, to)
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        self.disk.unlink(path)
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        self.disk.make_dir(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.disk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.disk.list(path)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.disk.metadata(path)
    }

    fn space(&self, path: &Path) -> Result<Space> {
        self.disk.space(path)
    }

    fn boot(&self) -> Option<u128> {
        self.disk.boot()
    }
}

struct BadFile {
    file: File,
    path: PathBuf,
    faults: Arc<Mutex<Faults>>,
}

impl RawFile for BadFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write(bytes).map_err(again)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let octets = offset..offset + buffer.len() as u64;
        if self.faults.lock().unwrap_or_else(PoisonError::into_inner).strikes(&self.path, octets) {
            return Err(nix::errno::Errno::EIO.into());
        }
        self.file.read_at(offset, buffer).map_err(again)
    }

    fn set_modified(&mut self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time).map_err(again)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync().map_err(again)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data().map_err(again)
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        self.file.try_lock().map_err(again)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().map_err(again)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        self.file.close().map_err(again)
    }
}
