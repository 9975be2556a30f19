//! A disk on which some files cannot be read.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pillarbox_fs::{Entry, File, Fs, Metadata, RawFile, Result, SimulatedFs, Space};

const EIO: i32 = 5;

/// Files with this in their paths cannot be read: the disk says so at each read.
#[derive(Clone, Debug)]
pub(crate) struct BadDisk {
    pub(crate) disk: SimulatedFs,
    unreadable: Arc<Mutex<Option<(String, usize)>>>,
}

impl BadDisk {
    pub(crate) fn new(disk: SimulatedFs) -> Self {
        BadDisk { disk, unreadable: Arc::default() }
    }

    pub(crate) fn fail_reads_of(&self, part: &str) {
        self.fail_reads_after(part, 0);
    }

    /// So many reads are answered before.
    pub(crate) fn fail_reads_after(&self, part: &str, reads: usize) {
        *self.unreadable.lock().unwrap() = Some((part.into(), reads));
    }

    pub(crate) fn heal(&self) {
        *self.unreadable.lock().unwrap() = None;
    }
}

impl Fs for BadDisk {
    fn create(&self, path: &Path) -> Result<File> {
        self.disk.create(path)
    }

    fn open(&self, path: &Path) -> Result<File> {
        let file = self.disk.open(path)?;
        let bad = BadFile { file, path: path.to_str().unwrap().into(), unreadable: Arc::clone(&self.unreadable) };
        Ok(File::new(path, Box::new(bad)))
    }

    fn open_append(&self, path: &Path) -> Result<File> {
        self.disk.open_append(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
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
}

struct BadFile {
    file: File,
    path: String,
    unreadable: Arc<Mutex<Option<(String, usize)>>>,
}

impl RawFile for BadFile {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        unreachable!("it was opened to be read")
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut *self.unreadable.lock().unwrap() {
            Some((part, 0)) if self.path.contains(&**part) => Err(io::Error::from_raw_os_error(EIO)),
            Some((part, reads)) if self.path.contains(&**part) => {
                *reads -= 1;
                self.file.read_at(offset, buffer).map_err(io::Error::other)
            }
            _ => self.file.read_at(offset, buffer).map_err(io::Error::other),
        }
    }

    fn set_modified(&mut self, _time: SystemTime) -> io::Result<()> {
        unreachable!("it was opened to be read")
    }

    fn sync(&mut self) -> io::Result<()> {
        unreachable!("it was opened to be read")
    }

    fn sync_data(&mut self) -> io::Result<()> {
        unreachable!("it was opened to be read")
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        unreachable!("it was opened to be read")
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata().map_err(io::Error::other)
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}
