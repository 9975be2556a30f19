//! The mailboxes of an account: INBOX in the root, each other one in a directory `.Name.Sub` beside it (Maildir++), or in
//! a directory of its own name below those of the levels above (`fs`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pillarbox_fs::{ErrorKind, Kind};

use crate::deletion::{self, TRASH};
use crate::error::NotFound;
use crate::folder::{Locked, make_dir};
use crate::quota::Tally;
use crate::{
    Access, Acl, Layout, Mailbox, MailboxName, Maildir, MaildirError, Result, Store, TreeOptions, Uid, special_use,
    uid_validity,
};

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
    pub(crate) options: TreeOptions,
    /// Looking at it finishes nothing that was begun.
    pub(crate) untouched: bool,
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

impl Tree {
    /// Opens an account whose root, which is INBOX, exists. Finishes what a crash left of deletions.
    pub fn open(store: &Store, root: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(store, root, TreeOptions::default())
    }

    /// Opens an account that lies as `options` say. Finishes what a crash left of deletions.
    ///
    /// # Errors
    ///
    /// [`MaildirError::NoSuchMailbox`] if there is no INBOX, or no root.
    pub fn open_with(store: &Store, root: impl Into<PathBuf>, options: TreeOptions) -> Result<Self> {
        let tree = Tree { store: store.clone(), root: root.into(), options, untouched: false };
        if tree.options.inbox.is_some() && !tree.is_dir(&tree.root)? {
            return Err(MaildirError::NoSuchMailbox(tree.root.display().to_string()));
        }
        Maildir::open_in(store, tree.inbox_path(), tree.root.clone())?;
        tree.finish_deletions()?;
        Ok(tree)
    }

    /// An account as it lies, for a check by [`fsck`](crate::fsck()): nothing is made, and nothing finished that a crash broke off. INBOX may
    /// lack directories.
    ///
    /// # Errors
    ///
    /// [`MaildirError::NoSuchMailbox`] if there is no root, or nothing in it or in INBOX's folder shows that there ever was a mailbox.
    pub fn as_it_lies(store: &Store, root: impl Into<PathBuf>, options: TreeOptions) -> Result<Self> {
        const SIGNS: [&str; 6] = ["cur", "new", "tmp", "dovecot-uidlist", "dovecot-uidvalidity", "subscriptions"];
        let tree = Tree { store: store.clone(), root: root.into(), options, untouched: true };
        let mut is_account = false;
        if tree.is_dir(&tree.root.join("."))? {
            for path in SIGNS.iter().flat_map(|sign| [tree.root.join(sign), tree.inbox_path().join(sign)]) {
                is_account |= store.fs().metadata(&path).if_found()?.is_some();
            }
        }
        if is_account { Ok(tree) } else { Err(MaildirError::NoSuchMailbox(tree.root.display().to_string())) }
    }

    /// Removes what a crash left of deletions in the root.
    pub(crate) fn finish_deletions(&self) -> Result<()> {
        if self.options.layout == Layout::MaildirPlusPlus {
            let entries = self.store.fs().list(&self.root.join("."))?;
            let mut trash = entries.iter().filter(|entry| deletion::is_trash(entry)).peekable();
            // Who renamed it may not have come to that: after a power cut the mailbox would be back, without what was removed.
            if trash.peek().is_some() && self.store.sync_dir(&self.root).is_ok() {
                for entry in trash {
                    let _ = deletion::remove(&self.store, &self.root.join(&entry.name));
                }
            }
        }
        Ok(())
    }

    /// Makes INBOX where it is missing, and opens the account. Durable.
    pub fn create(store: &Store, root: impl Into<PathBuf>) -> Result<Self> {
        Self::create_with(store, root, TreeOptions::default())
    }

    /// Makes root and INBOX where they are missing, and opens the account. Durable.
    pub fn create_with(store: &Store, root: impl Into<PathBuf>, options: TreeOptions) -> Result<Self> {
        let root = root.into();
        match &options.inbox {
            None => drop(Maildir::create(store, &root)?),
            Some(inbox) => {
                make_dir(store, &root)?;
                store.sync_dir(&crate::folder::parent(&root))?;
                Maildir::create(store, inbox)?;
            }
        }
        Self::open_with(store, root, options)
    }

    /// Makes sure that no two names of mailboxes mean one directory here. Ask once for each account: the answer is that of its
    /// file system. Nothing is written.
    ///
    /// Only case can be taken for nothing: in modified UTF-7 a name is ASCII, so that no form of Unicode is there to be
    /// normalised. With [`DiskNames::Utf8`](crate::DiskNames::Utf8) a file system that normalises is not found out.
    ///
    /// # Errors
    ///
    /// [`MaildirError::CaseFolded`] if the file system folds case, and what it refuses.
    pub fn check_names(&self) -> Result<()> {
        let id = |name: &str| self.store.fs().metadata(&self.inbox_path().join(name)).if_found();
        match (id("cur")?, id("CUR")?) {
            (Some(lower), Some(upper)) if lower.id == upper.id => Err(MaildirError::CaseFolded(self.root.clone())),
            _ => Ok(()),
        }
    }

    /// Whether mailboxes lie in each other.
    pub(crate) fn is_nested(&self) -> bool {
        self.options.layout == Layout::Fs
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
        Maildir::open_in(&self.store, self.path(name)?, self.root.clone())
    }

    /// Makes a mailbox, with a UIDVALIDITY that no mailbox of the account has had. The levels above need not exist. Durable.
    pub fn create_mailbox(&self, name: &MailboxName) -> Result<Maildir> {
        self.create_mailbox_for(name, &[])
    }

    /// Makes a mailbox that is for something: `uses` are attributes of RFC 6154, such as `\Sent`, which
    /// [`Maildir::special_uses`] tells. Durable.
    pub fn create_mailbox_for(&self, name: &MailboxName, uses: &[&str]) -> Result<Maildir> {
        self.make_mailbox(name, uses, None)
    }

    /// Makes a mailbox that has this list from its beginning: nobody ever finds it without. Durable.
    ///
    /// ```
    /// use pillarbox_maildir::{Acl, MailboxName, Options, Store, Tree, Who};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    ///
    /// let tree = Tree::create(&store, dir.path().join("Maildir"))?;
    /// let list = Acl::parse(b"user=ann lrs\n").unwrap();
    /// let folder = tree.create_mailbox_with_acl(&MailboxName::parse("Work", '/')?, &[], &list)?;
    /// assert_eq!(folder.acl()?, list);
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`create_mailbox_for`](Self::create_mailbox_for), and as [`Maildir::change_acl`].
    pub fn create_mailbox_with_acl(&self, name: &MailboxName, uses: &[&str], list: &Acl) -> Result<Maildir> {
        self.make_mailbox(name, uses, Some(list))
    }

    fn make_mailbox(&self, name: &MailboxName, uses: &[&str], list: Option<&Acl>) -> Result<Maildir> {
        if self.exists(name)? {
            return Err(MaildirError::MailboxExists(name.to_string()));
        }
        if self.directories()? >= self.store.options().mailboxes_max {
            return Err(MaildirError::TooManyMailboxes);
        }
        let path = self.path(name)?;
        self.make_levels(&path)?;
        if self.options.layout == Layout::MaildirPlusPlus {
            match self.store.fs().create(&path.join("maildirfolder")) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        // Held until the mailbox is there: of two who make it at once, the list of the one who comes too late is not written.
        let folder = self.at(&path);
        let _lock = match list {
            Some(list) => {
                let lock = folder.lock_acl()?;
                if self.exists(name)? {
                    return Err(MaildirError::MailboxExists(name.to_string()));
                }
                folder.begin_acl(&lock, list)?;
                Some(lock)
            }
            None => None,
        };
        special_use::write(&self.store, &path, uses)?;
        Maildir::make_dirs(&self.store, &path)?;
        self.sync_levels(&path)?;
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
        let path = self.path(name)?;
        let folder = self.mailbox(name)?;
        // Another program may have given it a number that lies ahead of ours, and the next mailbox of the name needs a greater one.
        if let Some(validity) = folder.claimed_validity() {
            uid_validity::outgrow(&self.store, &self.root, validity)?;
        }
        let mut tally = Tally::begin([&folder]);
        match self.options.layout {
            Layout::MaildirPlusPlus => {
                // Gone at once and whole, whenever the removal of its thousand files may end.
                let trash = self.root.join(format!("{TRASH}{}", self.store.unique_name()));
                self.store.fs().rename(&path, &trash)?;
                tally.remove_all(&folder, &["new", "cur"].map(|name| trash.join(name)));
                tally.write();
                self.store.set_durable(&path, false);
                self.store.sync_dir(&self.root)?;
                // The rest is tried again when the tree is next opened.
                let _ = deletion::remove(&self.store, &trash);
            }
            Layout::Fs => {
                let trash = deletion::take_away(&self.store, &path)?;
                // `new` keeps its name, so that until it is removed somebody may deliver who had found the mailbox before.
                tally.remove_all(&folder, &[path.join("new"), trash]);
                tally.doubt(&folder);
                tally.write();
                deletion::sweep(&self.store, &path)?;
            }
        }
        Ok(())
    }

    /// Moves the messages of INBOX to a new mailbox, as [`rename_mailbox`](Self::rename_mailbox) does, that has this list from its
    /// beginning: no crash leaves them in one that has none, or the one of a mailbox that never was. INBOX keeps its own. Durable.
    ///
    /// # Errors
    ///
    /// As `rename_mailbox`, and as [`create_mailbox_with_acl`](Self::create_mailbox_with_acl).
    pub fn rename_inbox(&self, to: &MailboxName, list: &Acl) -> Result<()> {
        self.move_inbox(to, Some(list))
    }

    /// Renames a mailbox and all below it. Of INBOX the messages move to the new mailbox, and INBOX and what is below it stay
    /// (RFC 9051 §6.3.6). Durable. A power cut in the middle leaves each mailbox under one of the two names; in the layout `fs`,
    /// where they lie in one directory, all under one.
    ///
    /// Each mailbox keeps its UIDVALIDITY and UIDs, except that INBOX's messages get new ones.
    pub fn rename_mailbox(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        if self.exists(to)? {
            return Err(MaildirError::MailboxExists(to.to_string()));
        }
        if from.is_inbox() {
            return self.move_inbox(to, None);
        }
        if to.is_below(from) {
            return Err(MaildirError::BelowItself(to.to_string()));
        }
        let below = |name: &MailboxName| name == from || name.is_below(from);
        let mut moves = Vec::new();
        for name in self.existing()?.into_iter().filter(below) {
            let target = name.renamed(from, to)?;
            if self.exists(&target)? {
                return Err(MaildirError::MailboxExists(target.to_string()));
            }
            moves.push((self.path(&name)?, self.path(&target)?));
        }
        // Two who rename at once take their locks in one order.
        moves.sort();
        if moves.is_empty() {
            return Err(MaildirError::NoSuchMailbox(from.to_string()));
        }
        match self.options.layout {
            Layout::MaildirPlusPlus => self.rename_each(&moves),
            Layout::Fs => {
                let folders: Vec<Maildir> = moves.iter().map(|(old, _)| self.at(old)).collect();
                let mut locks = Vec::new();
                for folder in folders.iter().take(LOCKED_MAX) {
                    locks.push(folder.lock()?);
                }
                // The first may have been held for long while the last was waited for.
                locks.iter().try_for_each(Locked::verify)?;
                let renamed = self.rename_directory(&self.path(from)?, &self.path(to)?);
                if renamed.is_ok() {
                    locks.iter_mut().zip(&moves).for_each(|(lock, (_, new))| lock.moved_to(new));
                }
                moves.iter().for_each(|(old, _)| self.store.set_durable(old, false));
                renamed.map_err(|error| match error {
                    // A level above other mailboxes, or a directory with something else in it.
                    MaildirError::Fs(error)
                        if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotEmpty) =>
                    {
                        MaildirError::MailboxExists(to.to_string())
                    }
                    error => error,
                })
            }
        }
    }

    fn rename_each(&self, moves: &[(PathBuf, PathBuf)]) -> Result<()> {
        let mut done = 0;
        let mut result = Ok(());
        for (old, new) in moves {
            result = self.rename_one(old, new);
            self.store.set_durable(old, false);
            if result.is_err() {
                break;
            }
            done += 1;
        }
        let result = result.and_then(|()| Ok(self.store.sync_dir(&self.root)?));
        if result.is_err() {
            for (old, new) in moves[..done].iter().rev() {
                let _ = self.rename_one(new, old);
            }
        }
        result
    }

    /// Renames a mailbox's directory when nobody is about to give UIDs in it: who is, would find it gone between the message and
    /// its line.
    fn rename_one(&self, old: &Path, new: &Path) -> Result<()> {
        let folder = self.at(old);
        let mut locked = folder.lock()?;
        self.store.fs().rename(old, new)?;
        locked.moved_to(new);
        Ok(())
    }

    fn at(&self, path: &Path) -> Maildir {
        Maildir::at(&self.store, path.to_owned(), self.root.clone())
    }

    fn rename_directory(&self, old: &Path, new: &Path) -> Result<()> {
        let above = |path: &Path| path.parent().unwrap_or(&self.root).to_owned();
        let (from, to) = (above(old), above(new));
        if to != self.root {
            self.make_levels(&to)?;
            self.sync_levels(&to)?;
        }
        let fs = self.store.fs();
        fs.rename(old, new)?;
        // The new name first: then it cannot be that neither is on the disk.
        let synced = self.store.sync_dir(&to).and_then(|()| match from == to {
            true => Ok(()),
            false => self.store.sync_dir(&from),
        });
        if synced.is_err() {
            let _ = fs.rename(new, old);
        }
        Ok(synced?)
    }

    fn move_inbox(&self, to: &MailboxName, list: Option<&Acl>) -> Result<()> {
        let target = self.make_mailbox(to, &[], list)?;
        let folder = self.mailbox(&MailboxName::inbox())?;
        let mut inbox = Mailbox::open(&folder, Access::ReadWrite)?;
        let all: Vec<Uid> = inbox.messages().map(|message| message.uid).collect();
        // RFC 5464 §4.1: annotations stay in INBOX, and go along.
        match folder.copy_metadata(&target).and_then(|()| inbox.copy(&all, &target)) {
            Ok(_) => inbox.expunge(&all).map(drop),
            Err(error) => {
                let _ = self.delete_mailbox(to);
                Err(error)
            }
        }
    }

    fn existing(&self) -> Result<Vec<MailboxName>> {
        if self.options.layout == Layout::Fs {
            return Ok(self.walk()?.mailboxes);
        }
        let mut names = Vec::new();
        for entry in self.store.fs().list(&self.root.join("."))? {
            let Some(name) = entry.name.to_str().and_then(|name| self.options.name_of_directory(name)) else {
                continue;
            };
            if entry.kind != Kind::Directory {
                continue;
            }
            match self.exists(&name) {
                Ok(true) => names.push(name),
                Ok(false) => {}
                // Somebody else's folder is no reason to show none.
                Err(MaildirError::Fs(error)) if error.kind() == ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    /// How many directories of mailboxes there are beside INBOX's.
    fn directories(&self) -> Result<usize> {
        if self.options.layout == Layout::Fs {
            return Ok(self.walk()?.directories);
        }
        let is_mailbox = |name: &str| self.options.name_of_directory(name).is_some();
        let entries = self.store.fs().list(&self.root.join("."))?;
        Ok(entries.iter().filter(|entry| entry.name.to_str().is_some_and(is_mailbox)).count())
    }

    /// Looks into every directory that can be a mailbox's or a level above one. Links are not followed. What a crash left of deletions
    /// is removed on the way.
    fn walk(&self) -> Result<Walk> {
        let mut walk = Walk::default();
        let mut open: Vec<(PathBuf, Option<MailboxName>)> = vec![(self.root.clone(), None)];
        while let Some((path, above)) = open.pop() {
            // The root may be a link: where it leads is the installation's choice.
            let listed = if above.is_none() { path.join(".") } else { path.clone() };
            let entries = match self.store.fs().list(&listed).if_found() {
                Ok(Some(entries)) => entries,
                Ok(None) => continue,
                // Something else took its place since its name was read, or it is somebody else's.
                Err(MaildirError::Fs(error))
                    if above.is_some()
                        && matches!(error.kind(), ErrorKind::WrongKind | ErrorKind::PermissionDenied) =>
                {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut is_mailbox = false;
            for entry in entries.iter().filter(|entry| entry.kind == Kind::Directory) {
                let Some(level) = entry.name.to_str() else { continue };
                is_mailbox |= level == "cur";
                if above.is_some() && level.starts_with(TRASH) && !self.untouched {
                    // What cannot be removed is in nobody's way.
                    let _ = deletion::finish(&self.store, &path);
                }
                if let Some(name) = self.options.name_below(above.as_ref(), level) {
                    open.push((path.join(level), Some(name)));
                }
            }
            walk.directories += usize::from(above.is_some());
            // Other programs may have made more than we do, but not without end.
            if walk.directories + open.len() > DIRECTORIES_PER_MAILBOX * self.store.options().mailboxes_max {
                return Err(MaildirError::TooManyMailboxes);
            }
            walk.mailboxes.extend(above.filter(|name| is_mailbox && !name.is_inbox() && !self.is_inbox(&path)));
        }
        Ok(walk)
    }

    /// A symbolic link to a directory is no mailbox, and nothing below one is: it may lead out of the tree. The root is the
    /// installation's choice.
    fn exists(&self, name: &MailboxName) -> Result<bool> {
        let path = self.path(name)?;
        if !name.is_inbox() {
            if self.is_inbox(&path) {
                return Ok(false);
            }
            for level in self.levels(&path) {
                if !self.is_dir(&level)? {
                    return Ok(false);
                }
            }
        }
        self.is_dir(&path.join("cur"))
    }

    fn is_dir(&self, path: &Path) -> Result<bool> {
        match self.store.fs().metadata(path).if_found() {
            Ok(found) => Ok(found.is_some_and(|metadata| metadata.kind == Kind::Directory)),
            // Below a file there is nothing.
            Err(MaildirError::Fs(error)) if error.kind() == ErrorKind::WrongKind => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn path(&self, name: &MailboxName) -> Result<PathBuf> {
        match name.is_inbox() {
            true => Ok(self.inbox_path()),
            false => Ok(self.root.join(self.options.directory(name)?)),
        }
    }

    fn inbox_path(&self) -> PathBuf {
        self.options.inbox.clone().unwrap_or_else(|| self.root.clone())
    }

    /// Whether this directory is INBOX, which has no second name.
    fn is_inbox(&self, path: &Path) -> bool {
        self.options.inbox.as_deref() == Some(path)
    }

    /// The directories from below the root down to this one.
    fn levels(&self, path: &Path) -> Vec<PathBuf> {
        let mut levels: Vec<PathBuf> =
            path.ancestors().take_while(|level| *level != self.root).map(Path::to_owned).collect();
        levels.reverse();
        levels
    }

    /// Makes a directory and those above it. They may be there: as levels above other mailboxes, or left by a crash in the middle
    /// of this or of a deletion.
    fn make_levels(&self, path: &Path) -> Result<()> {
        if self.is_inbox(path) {
            return Err(MaildirError::MailboxExists("INBOX".into()));
        }
        for level in self.levels(path) {
            if !make_dir(&self.store, &level)? && self.options.layout == Layout::Fs {
                deletion::finish(&self.store, &level)?;
            }
        }
        Ok(())
    }

    /// Makes the names of a directory and of those above it durable.
    fn sync_levels(&self, path: &Path) -> Result<()> {
        for level in self.levels(path).iter().rev() {
            self.store.sync_dir(level.parent().unwrap_or(&self.root))?;
        }
        Ok(())
    }
}

/// What a walk through the layout `fs` finds.
#[derive(Default)]
struct Walk {
    mailboxes: Vec<MailboxName>,
    /// All directories below the root that can be a mailbox's or a level above one.
    directories: usize,
}

/// So many mailboxes of the layout `fs` are locked while they are renamed with the one above them; each costs an open file.
/// Of more than that, who appends to one of the others meanwhile may have to ask again.
const LOCKED_MAX: usize = 64;

/// So many directories are looked into for each mailbox that an account may have.
const DIRECTORIES_PER_MAILBOX: usize = 4;
