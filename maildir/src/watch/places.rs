//! What is watched of a folder and of a tree.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::Metadata;

use crate::Store;
use crate::file_name::bytes;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Folder(PathBuf),
    Tree(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Place::Folder(path) | Place::Tree(path) => path,
        }
    }

    /// The directories that notices come from.
    pub(super) fn dirs(&self) -> Vec<PathBuf> {
        let path = self.path();
        match self {
            Place::Folder(_) => vec![path.join("new"), path.join("cur"), path.to_owned()],
            Place::Tree(_) => vec![path.to_owned()],
        }
    }

    /// What is compared.
    fn compared(&self) -> [Option<&'static str>; 4] {
        match self {
            Place::Folder(_) => [Some("new"), Some("cur"), Some("dovecot-uidlist"), Some("dovecot-keywords")],
            Place::Tree(_) => [Some(""), Some("subscriptions"), None, None],
        }
    }

    /// The places that look different when something of this name changes, whether they are watched or not.
    pub(super) fn touched(path: &Path) -> Vec<Place> {
        let mut touched = Place::rest_on(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().map(bytes)) else { return touched };
        if let (Some(b"new" | b"cur"), Some(folder)) = (parent.file_name().map(bytes), parent.parent()) {
            touched.push(Place::Folder(folder.to_owned()));
        }
        if matches!(name, b"dovecot-uidlist" | b"dovecot-keywords") {
            touched.push(Place::Folder(parent.to_owned()));
        }
        if name == b"subscriptions" || name.starts_with(b".") {
            touched.push(Place::Tree(parent.to_owned()));
        }
        touched
    }

    /// The places that have this directory among theirs.
    pub(super) fn rest_on(dir: &Path) -> Vec<Place> {
        let mut places = vec![Place::Folder(dir.to_owned()), Place::Tree(dir.to_owned())];
        if let (Some(b"new" | b"cur"), Some(folder)) = (dir.file_name().map(bytes), dir.parent()) {
            places.push(Place::Folder(folder.to_owned()));
        }
        places
    }
}

/// A place as it was at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamps {
    /// None: it is not there, or cannot be looked at.
    files: [Option<Metadata>; 4],
    /// So much later that the file system's clock cannot hide a further change.
    settled: bool,
}

/// As with the stamps of a listing.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

impl Stamps {
    pub(super) fn read(store: &Store, place: &Place) -> Self {
        let now = store.options().clock.now();
        let files =
            place.compared().map(|name| name.and_then(|name| store.fs().metadata(&place.path().join(name)).ok()));
        let is_old = |file: &Metadata| now.duration_since(file.modified).is_ok_and(|age| age >= SETTLED_AFTER);
        Stamps { files, settled: files.iter().flatten().all(is_old) }
    }

    /// Whether something may have changed from here to `later`.
    pub(super) fn may_differ(&self, later: &Stamps) -> bool {
        !self.settled || self.files != later.files
    }
}
