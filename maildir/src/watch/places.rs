//! What is watched of a folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::Metadata;

use crate::Store;
use crate::file_name::bytes;

/// What is watched, by its path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A folder: its messages.
    Folder(PathBuf),
    /// An account, by its root: which mailboxes there are and which are subscribed to.
    Names {
        root: PathBuf,
        /// Mailboxes lie in each other. Only those at the top show in the root: it is always to be looked at again.
        nested: bool,
    },
}

/// What is compared.
const COMPARED: [&str; 4] = ["new", "cur", "dovecot-uidlist", "dovecot-keywords"];
/// The same of an account.
const COMPARED_NAMES: [&str; 2] = [".", "subscriptions"];

impl Place {
    /// The directories that notices come from.
    pub(super) fn dirs(&self) -> Vec<PathBuf> {
        match self {
            Place::Folder(folder) => vec![folder.join("new"), folder.join("cur"), folder.clone()],
            Place::Names { root, .. } => vec![root.clone()],
        }
    }

    /// Whether notices and stamps do not show everything.
    pub(super) fn shows_little(&self) -> bool {
        matches!(self, Place::Names { nested: true, .. })
    }

    /// Both accounts that may have this root.
    fn names(root: &Path) -> [Place; 2] {
        [false, true].map(|nested| Place::Names { root: root.to_owned(), nested })
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
        // Where INBOX is the root, what is written with each delivery is no name of a mailbox.
        if ![&b"dovecot"[..], b"pillarbox", b"maildirsize"].iter().any(|other| name.starts_with(other)) {
            touched.extend(Place::names(parent));
        }
        touched
    }

    /// The places that have this directory among theirs.
    pub(super) fn rest_on(dir: &Path) -> Vec<Place> {
        let mut places = vec![Place::Folder(dir.to_owned())];
        places.extend(Place::names(dir));
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
        let read = |path: PathBuf| store.fs().metadata(&path).ok();
        let files = match place {
            Place::Folder(folder) => COMPARED.map(|name| read(folder.join(name))),
            Place::Names { root, .. } => {
                let [root, subscriptions] = COMPARED_NAMES.map(|name| read(root.join(name)));
                [root, subscriptions, None, None]
            }
        };
        let is_old = |file: &Metadata| now.duration_since(file.modified).is_ok_and(|age| age >= SETTLED_AFTER);
        Stamps { files, settled: files.iter().flatten().all(is_old) }
    }

    /// Whether something may have changed from here to `later`.
    pub(super) fn may_differ(&self, later: &Stamps) -> bool {
        !self.settled || self.files != later.files
    }
}
