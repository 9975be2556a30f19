//! What is watched of a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::Metadata;

use crate::Store;
use crate::file_name::bytes;

/// A folder, by its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(pub(super) PathBuf);

/// What is compared.
const COMPARED: [&str; 4] = ["new", "cur", "dovecot-uidlist", "dovecot-keywords"];

impl Place {
    /// The directories that notices come from.
    pub(super) fn dirs(&self) -> Vec<PathBuf> {
        vec![self.0.join("new"), self.0.join("cur"), self.0.clone()]
    }

    /// The places that look different when something of this name changes, whether they are watched or not.
    pub(super) fn touched(path: &Path) -> Vec<Place> {
        let mut touched = Place::rest_on(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().map(bytes)) else { return touched };
        if let (Some(b"new" | b"cur"), Some(folder)) = (parent.file_name().map(bytes), parent.parent()) {
            touched.push(Place(folder.to_owned()));
        }
        if matches!(name, b"dovecot-uidlist" | b"dovecot-keywords") {
            touched.push(Place(parent.to_owned()));
        }
        touched
    }

    /// The places that have this directory among theirs.
    pub(super) fn rest_on(dir: &Path) -> Vec<Place> {
        let mut places = vec![Place(dir.to_owned())];
        if let (Some(b"new" | b"cur"), Some(folder)) = (dir.file_name().map(bytes), dir.parent()) {
            places.push(Place(folder.to_owned()));
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
        let files = COMPARED.map(|name| store.fs().metadata(&place.0.join(name)).ok());
        let is_old = |file: &Metadata| now.duration_since(file.modified).is_ok_and(|age| age >= SETTLED_AFTER);
        Stamps { files, settled: files.iter().flatten().all(is_old) }
    }

    /// Whether something may have changed from here to `later`.
    pub(super) fn may_differ(&self, later: &Stamps) -> bool {
        !self.settled || self.files != later.files
    }
}
