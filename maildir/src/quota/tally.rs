//! What comes and goes is written down, a line for each account.

use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, File};

use super::file::MaildirSize;
use super::gate::Changing;
use super::{FILE, Usage, count, file};
use crate::error::NotFound;
use crate::{Maildir, Result, Store};

/// The changes of one operation. It is begun before the first of them and written behind the last; nobody in this process counts
/// in between.
///
/// The line is appended and not synced: whoever starts after a crash counts first. A line that cannot be written is no reason to
/// refuse what is done already, and from then on this process does not believe the file.
#[derive(Debug)]
pub(crate) struct Tally(Vec<Account>);

#[derive(Debug)]
struct Account {
    store: Store,
    root: PathBuf,
    gate: Changing,
    /// The file as it was before; none if there was none.
    file: Option<File>,
    bytes: i128,
    messages: i64,
}

impl Tally {
    /// Begins, for the accounts of all folders that something is about to change in.
    pub(crate) fn begin<'a>(folders: impl IntoIterator<Item = &'a Maildir>) -> Tally {
        let mut accounts: Vec<(&Path, &Store)> =
            folders.into_iter().map(|folder| (folder.account(), folder.store())).collect();
        // In one order, so that nobody waits for somebody who waits for them.
        accounts.sort_unstable_by_key(|(root, _)| *root);
        accounts.dedup_by_key(|(root, _)| *root);
        Tally(accounts.into_iter().map(|(root, store)| Account::open(root, store)).collect())
    }

    /// A message came to a folder.
    pub(crate) fn add(&mut self, folder: &Maildir, bytes: Option<u64>) {
        self.change(folder, bytes.map(|bytes| (i128::from(bytes), 1)));
    }

    /// A message went from a folder. Of a size that nobody knows: the account is counted at the next look.
    pub(crate) fn remove(&mut self, folder: &Maildir, bytes: Option<u64>) {
        self.change(folder, bytes.map(|bytes| (-i128::from(bytes), -1)));
    }

    /// All messages of a folder went, and lie in these directories until they are removed.
    pub(crate) fn remove_all(&mut self, folder: &Maildir, dirs: &[PathBuf]) {
        let went = count::of_dirs(folder.fs(), dirs).ok();
        let messages = |went: Usage| -i64::try_from(went.messages).unwrap_or(i64::MAX);
        self.change(folder, went.map(|went| (-i128::from(went.bytes), messages(went))));
    }

    /// Something came or went of which nobody knows: the account is counted at the next look.
    pub(crate) fn doubt(&mut self, folder: &Maildir) {
        self.change(folder, None);
    }

    fn change(&mut self, folder: &Maildir, by: Option<(i128, i64)>) {
        let Some(account) = self.0.iter_mut().find(|account| account.root == folder.account()) else { return };
        match by {
            Some((bytes, messages)) => {
                account.bytes += bytes;
                account.messages = account.messages.saturating_add(messages);
            }
            None => {
                account.gate.doubt();
                account.gate.changed(None);
            }
        }
    }

    /// Appends the lines.
    pub(crate) fn write(self) {
        self.0.into_iter().for_each(Account::write);
    }
}

impl Account {
    fn open(root: &Path, store: &Store) -> Account {
        let gate = store.quota_gates().of(root).change();
        let path = root.join(FILE);
        // Most accounts have none: a question is cheaper than an attempt.
        let file = match store.fs().metadata(&path).and_then(|_| store.fs().open_append(&path)) {
            Ok(file) => Some(file),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    gate.doubt();
                }
                None
            }
        };
        Account { store: store.clone(), root: root.to_path_buf(), gate, file, bytes: 0, messages: 0 }
    }

    fn write(self) {
        if self.bytes == 0 && self.messages == 0 {
            return;
        }
        self.gate.changed(Some((self.bytes, self.messages)));
        let id = self.file.as_ref().map(|file| file.metadata().map(|metadata| metadata.id).ok());
        let written = self.file.is_none_or(|file| matches!(append(file, self.bytes, self.messages), Ok(true)));
        // A file that another process put there meanwhile may or may not know of this.
        let now = self.store.fs().metadata(&self.root.join(FILE)).if_found();
        if !written || !matches!(now, Ok(now) if now.map(|metadata| Some(metadata.id)) == id) {
            self.gate.doubt();
        }
    }
}

/// Appends a line, in one write, so that those of several processes do not mix.
fn append(mut file: File, bytes: i128, messages: i64) -> Result<bool> {
    // Behind a torn line this one would make a number that nobody wrote, and in a file that was cut off at its limits it would be
    // taken for all there is. What is damaged stays so, and is seen by whoever asks.
    let whole = MaildirSize::read(&file)?.sum().is_some();
    if whole {
        file.write(&file::line(bytes, messages))?;
    }
    file.close()?;
    Ok(whole)
}
