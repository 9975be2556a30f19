//! The file `special-use` of a mailbox: what it is for, one attribute of RFC 6154 a line, as it was made. It lies in the
//! mailbox's own directory, so that it goes where the mailbox goes.

use std::path::Path;

use pillarbox_fs::ErrorKind;

use crate::error::NotFound;
use crate::sidecar::Sidecar;
use crate::{Maildir, Result, Store, Tree};

const FILE: &str = "special-use";
/// There are not so many uses.
const SIZE_MAX: usize = 4096;

impl Maildir {
    /// What this mailbox was made for, such as `\Sent`. Lines that are no attribute are passed over, and so is a file that is no
    /// list of them.
    pub fn special_uses(&self) -> Result<Vec<String>> {
        let bytes = match self.fs().read(&self.dir(FILE), SIZE_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(_) => return Ok(Vec::new()),
        };
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().filter(|line| is_attribute(line)).map(str::to_owned).collect())
    }
}

impl Maildir {
    /// Says what this mailbox is for from now on; without attributes, for nothing. Durable. Whether another mailbox is for the same
    /// is the caller's to ask. What is no attribute is passed over.
    pub fn set_special_uses(&self, uses: &[&str]) -> Result<()> {
        let file = Sidecar { store: self.store(), dir: self.path().to_path_buf(), name: FILE, size_max: SIZE_MAX };
        let lines: String = uses.iter().filter(|word| is_attribute(word)).flat_map(|word| [*word, "\n"]).collect();
        file.replace(&file.lock()?, lines.as_bytes())
    }
}

impl Tree {
    /// Does something while no other thread and no other program of this family gives a mailbox of this account a use by the same
    /// way: whoever looks which uses are taken and then makes a mailbox for one.
    ///
    /// # Errors
    /// [`MaildirError::Locked`](crate::MaildirError::Locked) if somebody is at it for longer than the store's patience.
    pub fn while_uses_stay<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let file = Sidecar { store: &self.store, dir: self.root.clone(), name: FILE, size_max: SIZE_MAX };
        let _lock = file.lock()?;
        Ok(work())
    }
}

/// Whether this is an attribute that LIST can tell: a backslash and an atom.
fn is_attribute(word: &str) -> bool {
    word.strip_prefix('\\').is_some_and(|atom| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b))
    })
}

/// Writes down what a directory that is no mailbox yet will be for. Durable on return: a mailbox that has a use has had it
/// from its beginning.
pub(crate) fn write(store: &Store, path: &Path, uses: &[&str]) -> Result<()> {
    let file = path.join(FILE);
    // A crash may have left one, of a mailbox that never was.
    let there = store.fs().unlink(&file).if_found()?.is_some();
    if uses.is_empty() {
        return if there { Ok(store.sync_dir(path)?) } else { Ok(()) };
    }
    let mut out = match store.fs().create(&file) {
        // Somebody makes the same mailbox at the same time; what is there now is theirs.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        created => created?,
    };
    let lines: String = uses.iter().flat_map(|special| [special, "\n"]).collect();
    out.write(lines.as_bytes())?;
    out.sync()?;
    out.close()?;
    store.sync_dir(path)?;
    Ok(())
}
