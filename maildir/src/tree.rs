//! The mailboxes of an account: INBOX in the root, each other one in a directory `.Name.Sub` beside it (Maildir++).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pillarbox_fs::{Entry, ErrorKind, Kind};

use crate::error::NotFound;
use crate::file_name::bytes;
use crate::folder::make_dir;
use crate::quota::Tally;
use crate::{Access, Mailbox, MailboxName, Maildir, MaildirError, Result, Store, Uid, special_use};

/// The mailboxes of one account.
///
/// ```
/// use pillarbox_maildir::{MailboxName, Options, Store, Tree};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
///
/// let tree = Tree::create(&store, dir.path().join("Maildir"))?;
/// let name = MailboxName::parse("Archive/2026", '/')?;
/// let archive = tree.create_mailbox(&name)?;
/// tree.subscribe(&name)?;
///
/// let names: Vec<_> = tree.list()?.into_iter().map(|listed| (listed.name.to_string(), listed.exists)).collect();
/// assert_eq!(names, [("Archive".into(), false), ("Archive/2026".into(), true), ("INBOX".into(), true)]);
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tree {
    pub(crate) store: Store,
    pub(crate) root: PathBuf,
}

/// A mailbox in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// Its name.
    pub name: MailboxName,
    /// False if it is only the level above another one (`\NonExistent`).
    pub exists: bool,
    /// There are mailboxes below it.
    pub has_children: bool,
}

/// Where a deleted mailbox waits for its removal. No mailbox is called so: its first level would be empty.
const TRASH: &str = "..pillarbox-deleted.";

impl Tree {
    /// Opens an account whose root, which is INBOX, exists. Finishes what a crash left of deletions.
    pub fn open(store: &Store, root: impl Into<PathBuf>) -> Result<Self> {
        let tree = Tree { store: store.clone(), root: root.into() };
        Maildir::open(store, &tree.root)?;
        for entry in store.fs().list(&tree.root)? {
            if bytes(&entry.name).starts_with(TRASH.as_bytes()) && entry.kind == Kind::Directory {
                tree.remove_trash(&tree.root.join(&entry.name));
            }
        }
        Ok(tree)
    }

    /// Makes INBOX where it is missing, and opens the account. Durable.
    pub fn create(store: &Store, root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        Maildir::create(store, &root)?;
        Self::open(store, root)
    }

    /// Makes sure that no two names of mailboxes mean one directory here. Ask once for each account: the answer is that of its
    /// file system. Nothing is written.
    ///
    /// Only case can be taken for nothing: on disk a name is in modified UTF-7, which is ASCII, so that no form of
    /// Unicode is there to be normalised.
    ///
    /// # Errors
    ///
    /// [`MaildirError::CaseFolded`] if the file system folds case, and what it refuses.
    pub fn check_names(&self) -> Result<()> {
        let id = |name| self.store.fs().metadata(&self.root.join(name)).if_found();
        match (id("cur")?, id("CUR")?) {
            (Some(lower), Some(upper)) if lower.id == upper.id => Err(MaildirError::CaseFolded(self.root.clone())),
            _ => Ok(()),
        }
    }

    /// All mailboxes and the levels above them, in the order of their names. Directories whose names no mailbox can have are passed over.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut names = BTreeMap::from([(MailboxName::inbox(), true)]);
        for name in self.existing()? {
            let mut above = name.parent();
            while let Some(parent) = above {
                above = parent.parent();
                names.entry(parent).or_insert(false);
            }
            names.insert(name, true);
        }
        let mut listed: Vec<Listed> =
            names.into_iter().map(|(name, exists)| Listed { name, exists, has_children: false }).collect();
        // In this order what is below a name comes right behind it.
        for n in 1..listed.len() {
            listed[n - 1].has_children = listed[n].name.is_below(&listed[n - 1].name);
        }
        Ok(listed)
    }

    /// Opens a mailbox that exists.
    pub fn mailbox(&self, name: &MailboxName) -> Result<Maildir> {
        if !self.exists(name)? {
            return Err(MaildirError::NoSuchMailbox(name.to_string()));
        }
        Maildir::open_in(&self.store, self.path(name), self.root.clone())
    }

    /// Makes a mailbox, with a UIDVALIDITY that no mailbox of the account has had. The levels above need not exist. Durable.
    pub fn create_mailbox(&self, name: &MailboxName) -> Result<Maildir> {
        self.create_mailbox_for(name, &[])
    }

    /// Makes a mailbox that is for something: `uses` are attributes of RFC 6154, such as `\Sent`, which
    /// [`Maildir::special_uses`] tells. Durable.
    pub fn create_mailbox_for(&self, name: &MailboxName, uses: &[&str]) -> Result<Maildir> {
        if self.exists(name)? {
            return Err(MaildirError::MailboxExists(name.to_string()));
        }
        let fs = self.store.fs();
        let is_mailbox = |entry: &Entry| entry.name.to_str().and_then(MailboxName::from_directory).is_some();
        if fs.list(&self.root)?.iter().filter(|entry| is_mailbox(entry)).count() >= self.store.options().mailboxes_max {
            return Err(MaildirError::TooManyMailboxes);
        }
        let path = self.path(name);
        // It may be there: left by a crash in the middle of this, and never a mailbox.
        make_dir(&self.store, &path)?;
        match fs.create(&path.join("maildirfolder")) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        special_use::write(&self.store, &path, uses)?;
        Maildir::make_dirs(&self.store, &path)?;
        self.store.sync_dir(&self.root)?;
        let maildir = self.mailbox(name)?;
        maildir.lock()?.uids()?;
        Ok(maildir)
    }

    /// Removes a mailbox with all its messages; mailboxes below it stay. INBOX is refused. Durable.
    pub fn delete_mailbox(&self, name: &MailboxName) -> Result<()> {
        if name.is_inbox() {
            return Err(MaildirError::Inbox);
        }
        if !self.exists(name)? {
            return Err(MaildirError::NoSuchMailbox(name.to_string()));
        }
        // Gone at once and whole, whenever the removal of its thousand files may end.
        let trash = self.root.join(format!("{TRASH}{}", self.store.unique_name()));
        let folder = self.mailbox(name)?;
        let mut tally = Tally::begin([&folder]);
        self.store.fs().rename(&self.path(name), &trash)?;
        tally.remove_all(&folder, &trash);
        tally.write();
        self.store.set_durable(&self.path(name), false);
        self.store.sync_dir(&self.root)?;
        self.remove_trash(&trash);
        Ok(())
    }

    /// Renames a mailbox and all below it. Of INBOX the messages move to the new mailbox, and INBOX and what is below it stay
    /// (RFC 9051 §6.3.6). Durable.
    ///
    /// Each mailbox keeps its UIDVALIDITY and UIDs, except that INBOX's messages get new ones.
    pub fn rename_mailbox(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        if self.exists(to)? {
            return Err(MaildirError::MailboxExists(to.to_string()));
        }
        if from.is_inbox() {
            return self.rename_inbox(to);
        }
        let below = |name: &MailboxName| name == from || name.is_below(from);
        let mut moves = Vec::new();
        for name in self.existing()?.into_iter().filter(below) {
            let target = name.renamed(from, to)?;
            if self.exists(&target)? {
                return Err(MaildirError::MailboxExists(target.to_string()));
            }
            moves.push((self.path(&name), self.path(&target)));
        }
        if moves.is_empty() {
            return Err(MaildirError::NoSuchMailbox(from.to_string()));
        }
        let mut done = 0;
        let mut result = Ok(());
        for (old, new) in &moves {
            result = self.store.fs().rename(old, new);
            self.store.set_durable(old, false);
            if result.is_err() {
                break;
            }
            done += 1;
        }
        let result = result.and_then(|()| self.store.sync_dir(&self.root));
        if result.is_err() {
            for (old, new) in moves[..done].iter().rev() {
                let _ = self.store.fs().rename(new, old);
            }
        }
        Ok(result?)
    }

    fn rename_inbox(&self, to: &MailboxName) -> Result<()> {
        let target = self.create_mailbox(to)?;
        let mut inbox = Mailbox::open(&self.mailbox(&MailboxName::inbox())?, Access::ReadWrite)?;
        let all: Vec<Uid> = inbox.messages().map(|message| message.uid).collect();
        match inbox.copy(&all, &target) {
            Ok(_) => inbox.expunge(&all).map(drop),
            Err(error) => {
                let _ = self.delete_mailbox(to);
                Err(error)
            }
        }
    }

    fn existing(&self) -> Result<Vec<MailboxName>> {
        let mut names = Vec::new();
        for entry in self.store.fs().list(&self.root)? {
            let Some(name) = entry.name.to_str().and_then(MailboxName::from_directory) else { continue };
            if entry.kind == Kind::Directory && self.exists(&name)? {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// A symbolic link to a directory is no mailbox: it may lead out of the tree. The root is the installation's choice.
    fn exists(&self, name: &MailboxName) -> Result<bool> {
        let is_dir = |path: &Path| -> Result<bool> {
            Ok(self.store.fs().metadata(path).if_found()?.is_some_and(|metadata| metadata.kind == Kind::Directory))
        };
        let path = self.path(name);
        Ok((name.is_inbox() || is_dir(&path)?) && is_dir(&path.join("cur"))?)
    }

    pub(crate) fn path(&self, name: &MailboxName) -> PathBuf {
        if name.is_inbox() { self.root.clone() } else { self.root.join(name.directory()) }
    }

    /// Removes what can be removed of a deleted mailbox; the rest is tried again when the tree is next opened.
    fn remove_trash(&self, path: &Path) {
        let fs = self.store.fs();
        for entry in fs.list(path).unwrap_or_default() {
            let inner = path.join(&entry.name);
            if entry.kind == Kind::Directory {
                for file in fs.list(&inner).unwrap_or_default() {
                    let _ = fs.unlink(&inner.join(&file.name));
                }
                let _ = fs.remove_dir(&inner);
            } else {
                let _ = fs.unlink(&inner);
            }
        }
        let _ = fs.remove_dir(path);
    }
}
