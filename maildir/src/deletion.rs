//! Removing mailboxes: gone at once by one rename, whenever the removal of a thousand files may end.

use std::path::{Path, PathBuf};

use pillarbox_fs::{Entry, Kind};

use crate::error::NotFound;
use crate::file_name::bytes;
use crate::{MaildirError, Result, Store};

/// Where what is deleted waits for its removal. No mailbox is called so.
pub(crate) const TRASH: &str = "..pillarbox-deleted.";

/// Takes away a mailbox that shares its directory with those below it.
///
/// Its `cur` is renamed, within the directory. From then on there is no mailbox, and as long as the renamed one is there, what lies
/// beside it is known to be leftovers. Durable only after [`sweep`]. Returns what it is called then.
pub(crate) fn take_away(store: &Store, path: &Path) -> Result<PathBuf> {
    let trash = path.join(format!("{TRASH}{}", store.unique_name()));
    store.fs().rename(&path.join("cur"), &trash)?;
    store.set_durable(path, false);
    Ok(trash)
}

/// Makes durable that a mailbox was taken away, and removes what it leaves.
pub(crate) fn sweep(store: &Store, path: &Path) -> Result<()> {
    store.sync_dir(path)?;
    // What cannot be removed now is when somebody next walks by.
    let _ = store.fs().list(path).map_err(MaildirError::from).and_then(|entries| clear(store, path, &entries));
    // Refused if there are mailboxes below.
    let _ = store.fs().remove_dir(path);
    Ok(())
}

/// Removes what is left of a mailbox that was deleted in this directory, if one was. Durable, but for what has no more meaning.
pub(crate) fn finish(store: &Store, path: &Path) -> Result<()> {
    let entries = store.fs().list(path)?;
    if !entries.iter().any(is_trash) {
        return Ok(());
    }
    // Who renamed it may not have come to that: after a power cut the mailbox would be back, without what was removed.
    store.sync_dir(path)?;
    clear(store, path, &entries)
}

pub(crate) fn is_trash(entry: &Entry) -> bool {
    entry.kind == Kind::Directory && bytes(&entry.name).starts_with(TRASH.as_bytes())
}

/// Removes what is left, once it is durable that the mailbox is none any more.
fn clear(store: &Store, path: &Path, entries: &[Entry]) -> Result<()> {
    let fs = store.fs();
    // If another program has made a mailbox here since, what lies beside its `cur` is its own.
    if !entries.iter().any(|entry| entry.name == "cur") {
        for entry in entries {
            let inner = path.join(&entry.name);
            match entry.kind {
                Kind::Directory if entry.name == "new" || entry.name == "tmp" => remove(store, &inner)?,
                Kind::Directory => {}
                _ => drop(fs.unlink(&inner).if_found()?),
            }
        }
        // Before this is durable, a new mailbox here might get back what was in the old one's `new`.
        store.sync_dir(path)?;
    }
    entries.iter().filter(|entry| is_trash(entry)).try_for_each(|entry| remove(store, &path.join(&entry.name)))
}

/// Removes a deleted directory as far as it can. What is left after an error is tried again another time.
pub(crate) fn remove(store: &Store, path: &Path) -> Result<()> {
    let fs = store.fs();
    let mut first = Ok(());
    let mut tried = |removed: pillarbox_fs::Result<()>| {
        if let Err(error) = removed.if_found()
            && first.is_ok()
        {
            first = Err(error);
        }
    };
    for entry in fs.list(path).if_found()?.unwrap_or_default() {
        let inner = path.join(&entry.name);
        if entry.kind == Kind::Directory {
            for file in fs.list(&inner).if_found()?.unwrap_or_default() {
                tried(fs.unlink(&inner.join(&file.name)));
            }
            tried(fs.remove_dir(&inner));
        } else {
            tried(fs.unlink(&inner));
        }
    }
    tried(fs.remove_dir(path));
    first
}
