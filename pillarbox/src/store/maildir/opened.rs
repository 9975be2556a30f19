//! The folders that sessions of this process have open or watch, each looked at once for all of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};

use pillarbox_maildir::{self as maildir, Access, Maildir};

use super::pool::Lane;
use super::shared::Shared;
use super::{Inner, Result, told, unasked};

impl Inner {
    /// The view of a folder that all sessions of this process share. Looking at a folder for reading only changes nothing
    /// in it, so such sessions share a view of their own.
    pub(super) fn shared(&self, lane: Lane, maildir: &Maildir, read_only: bool) -> Result<Arc<Shared>> {
        let key = (maildir.path().to_owned(), read_only);
        if let Some(shared) = self.find_open(&key) {
            return Ok(shared);
        }
        let access = if read_only { Access::ReadOnly } else { Access::ReadWrite };
        let opened = maildir::Mailbox::open(maildir, access).map_err(told)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have been quicker: two views of one folder would tell each other's changes twice.
        if let Some(shared) = open.get(&key).and_then(Weak::upgrade).filter(|shared| !shared.is_gone()) {
            return Ok(shared);
        }
        let shared = Arc::new(Shared::new(opened, lane, Arc::clone(&self.looks)));
        open.retain(|_, shared| shared.strong_count() > 0);
        open.insert(key, Arc::downgrade(&shared));
        Ok(shared)
    }

    pub(super) fn find_open(&self, key: &(PathBuf, bool)) -> Option<Arc<Shared>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(key).and_then(Weak::upgrade).filter(|shared| !shared.is_gone())
    }

    /// Tells the sessions that have a folder open that something in it changed.
    pub(super) fn look_again(&self, folder: &Path) {
        for read_only in [false, true] {
            if let Some(shared) = self.find_open(&(folder.to_owned(), read_only)) {
                unasked::put_into(&shared);
            }
        }
    }

    /// A folder was deleted or renamed: who has it open cannot go on.
    pub(super) fn let_go(&self, folder: &Path) {
        for read_only in [false, true] {
            let key = (folder.to_owned(), read_only);
            if let Some(shared) = self.find_open(&key) {
                shared.gone();
            }
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}
