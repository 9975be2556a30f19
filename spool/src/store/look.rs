//! Looking at a spool without touching it.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use pillarbox_fs::{Entry, ErrorKind, File, Fs, FsError, Kind, Metadata, Op, Result, Space};

/// A file system of which nothing is changed: whatever would change something fails as on a disk that is mounted for reading.
#[derive(Debug)]
pub(super) struct LookOnly(pub(super) Arc<dyn Fs>);

fn refused<T>(op: Op, path: &Path) -> Result<T> {
    Err(FsError::with_kind(op, path, ErrorKind::ReadOnly, "the spool was opened for a look"))
}

impl Fs for LookOnly {
    fn create(&self, path: &Path) -> Result<File> {
        refused(Op::Create, path)
    }

    fn open(&self, path: &Path) -> Result<File> {
        self.0.open(path)
    }

    fn open_append(&self, path: &Path) -> Result<File> {
        refused(Op::Open, path)
    }

    fn rename(&self, from: &Path, _: &Path) -> Result<()> {
        refused(Op::Rename, from)
    }

    fn link(&self, from: &Path, _: &Path) -> Result<()> {
        refused(Op::Link, from)
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        refused(Op::Unlink, path)
    }

    fn make_dir(&self, path: &Path) -> Result<()> {
        refused(Op::MakeDir, path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        refused(Op::RemoveDir, path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        refused(Op::SyncDir, path)
    }

    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.0.list(path)
    }

    fn list_each(&self, path: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.0.list_each(path, show)
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.0.metadata(path)
    }

    fn space(&self, path: &Path) -> Result<Space> {
        self.0.space(path)
    }
}
