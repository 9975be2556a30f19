//! A file system that takes names of different case for one.

use std::path::{Path, PathBuf};

use pillarbox_fs::{Entry, File, Fs, Metadata, RealFs, Result, Space};
use pillarbox_maildir::{MaildirError, Options, Store, Tree};

/// The machine's, with the last part of every path in lower case.
#[derive(Debug)]
struct Folding;

fn folded(path: &Path) -> PathBuf {
    match path.file_name() {
        Some(name) => path.with_file_name(name.to_ascii_lowercase()),
        None => path.to_owned(),
    }
}

impl Fs for Folding {
    fn create(&self, path: &Path) -> Result<File> {
        RealFs.create(&folded(path))
    }
    fn open(&self, path: &Path) -> Result<File> {
        RealFs.open(&folded(path))
    }
    fn open_append(&self, path: &Path) -> Result<File> {
        RealFs.open_append(&folded(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealFs.rename(&folded(from), &folded(to))
    }
    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        RealFs.link(&folded(from), &folded(to))
    }
    fn unlink(&self, path: &Path) -> Result<()> {
        RealFs.unlink(&folded(path))
    }
    fn make_dir(&self, path: &Path) -> Result<()> {
        RealFs.make_dir(&folded(path))
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        RealFs.remove_dir(&folded(path))
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        RealFs.sync_dir(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        RealFs.list(path)
    }
    fn metadata(&self, path: &Path) -> Result<Metadata> {
        RealFs.metadata(&folded(path))
    }
    fn space(&self, path: &Path) -> Result<Space> {
        RealFs.space(path)
    }
}

#[test]
fn a_file_system_that_folds_case_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("maildir");
    let tree = Tree::create(&Store::new(Folding, Options::from_system()), &root).unwrap();
    let error = tree.check_names().unwrap_err();
    assert!(matches!(&error, MaildirError::CaseFolded(path) if *path == root), "{error}");
    assert!(error.is_temporary(), "mail waits until somebody has moved the mailboxes");

    let tree = Tree::open(&Store::new(RealFs, Options::from_system()), &root).unwrap();
    tree.check_names().unwrap();
    // Somebody else's folder of that name is not the same folder.
    std::fs::create_dir(root.join("CUR")).unwrap();
    tree.check_names().unwrap();
}
