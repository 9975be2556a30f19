//! One Maildir folder: its directories, its UID list and its keywords.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use pillarbox_fs::{ErrorKind, Fs, FsError, Kind, Metadata, replace_file};

use crate::dotlock::DotLock;
use crate::error::NotFound;
use crate::file_name::Sizes;
use crate::own::Own;
use crate::store::lock;
use crate::uid_list::{NewMessage, Reading, UidList, last_line};
use crate::{Flags, Keywords, MaildirError, Result, Store, Uid, uid_validity};

/// One folder of a Maildir: `tmp`, `new`, `cur`, and Dovecot's files beside them.
///
/// The handle is cheap, can be cloned, and is used from any number of threads and processes. It delivers and appends;
/// to see what is in the folder, open it as a [`Mailbox`](crate::Mailbox).
///
/// ```
/// use pillarbox_maildir::{Flags, Maildir, Options, Store};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
///
/// let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
/// let mut message = inbox.begin()?;
/// message.write(b"Subject: hello\r\n\r\n")?;
/// message.write(b"hello\r\n")?;
/// message.commit(Flags::NONE, None)?;   // durable: now the sender may hear 250
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Maildir {
    store: Store,
    path: PathBuf,
    /// Where `dovecot-uidvalidity` and `maildirsize` are.
    account: PathBuf,
    folder: Arc<Folder>,
}

/// What the handles on one folder in one process share. Who holds the mutex may ask for the lock file, so that the
/// threads of a process never wait for each other by asking the file system again and again.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    state: Mutex<State>,
    own: Mutex<Own>,
}

#[derive(Debug, Default)]
struct State {
    uids: Option<Known<UidList>>,
    keywords: Option<Known<Keywords>>,
    /// Appending to this file failed half-way, or a sync of it did, whoever wrote it: what can be read of it is not what the disk
    /// holds, and no later sync helps. Until the list is written anew, `uids` is what was known before, if anything was.
    doubtful: Option<(u64, u64)>,
}

/// What a file held, and how to see that it holds it still.
#[derive(Debug)]
struct Known<T> {
    value: T,
    stamp: Stamp,
    /// The last line, to see that a longer file still begins with what was read.
    last_line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) id: (u64, u64),
    pub(crate) len: u64,
    pub(crate) modified: SystemTime,
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        Stamp { id: metadata.id, len: metadata.len, modified: metadata.modified }
    }
}

const LOCK: &str = "dovecot-uidlist.lock";
/// More than 4 million messages; a larger file is no UID list.
pub(crate) const UID_LIST_MAX: usize = 512 << 20;
/// The first line of a UID list is shorter.
const HEADER_MAX: usize = 4 << 10;
const PIECE: usize = 256 << 10;
pub(crate) const KEYWORDS_MAX: usize = 64 << 10;

impl Maildir {
    /// Opens a folder that exists and is the root of its account, which INBOX is.
    pub fn open(store: &Store, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        Self::open_in(store, path.clone(), path)
    }

    /// Makes the folder's directories where they are missing, and opens it as the root of its account. Durable.
    pub fn create(store: &Store, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let made = make_dir(store, &path)?;
        if made {
            store.sync_dir(&parent(&path))?;
        }
        // Of what was there before, nobody knows how it came there.
        if Self::make_dirs(store, &path)? && made {
            store.set_durable(&path, true);
        }
        Self::open(store, path)
    }

    /// Makes the folder itself durable, once in the life of this process: who made it may not have come to that, being killed, or
    /// another thread that is about to. A message in it would be gone with it.
    pub(crate) fn make_sure(&self) -> Result<()> {
        if !self.store.is_durable(&self.path) {
            self.store.sync_dir(&self.path)?;
            // In the layout `fs` there are directories between the root and this one.
            let mut above = self.path.parent();
            while let Some(level) = above.filter(|level| level.starts_with(&self.account)) {
                self.store.sync_dir(level)?;
                above = level.parent();
            }
            if !self.path.starts_with(&self.account) || self.path == self.account {
                self.store.sync_dir(&parent(&self.path))?;
            }
            self.store.set_durable(&self.path, true);
        }
        Ok(())
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there: another program may have removed or renamed it.
    pub fn exists(&self) -> Result<bool> {
        Ok(self.fs().metadata(&self.dir("cur")).if_found()?.is_some())
    }

    /// The account's root.
    pub(crate) fn account(&self) -> &Path {
        &self.account
    }

    /// What the process's mailboxes share.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The space left for this folder, for refusing a message before it is sent (RFC 1870 §6.1).
    pub fn space(&self) -> Result<pillarbox_fs::Space> {
        Ok(self.fs().space(&self.path)?)
    }

    /// The flags that stand for these keywords here; unknown ones get a letter, durably. Names for which no letter is left, or that
    /// are not atoms, are returned.
    pub fn keyword_flags(&self, names: &[&str]) -> Result<(Flags, Vec<String>)> {
        if names.is_empty() {
            return Ok((Flags::NONE, Vec::new()));
        }
        let known = self.keywords()?;
        if names.iter().all(|name| known.find(name).is_some()) {
            return Ok((numbers(names.iter().filter_map(|name| known.find(name))), Vec::new()));
        }
        let mut locked = self.lock()?;
        let mut keywords = locked.keywords()?;
        let before = keywords.clone();
        let mut left = Vec::new();
        let mut found = Vec::new();
        for name in names {
            match keywords.find_or_add(name) {
                Some(number) => found.push(number),
                None => left.push((*name).to_owned()),
            }
        }
        if keywords != before {
            locked.write_keywords(keywords)?;
        }
        Ok((numbers(found.into_iter()), left))
    }

    /// The keywords that have a letter here.
    pub fn keywords(&self) -> Result<Keywords> {
        self.read_keywords(&mut lock(&self.folder.state))
    }

    /// What names the folder for ever (RFC 8474 §4): letters and digits that no other has, and that it keeps when it is renamed. Without a UID list
    /// one is made, durably.
    pub fn guid(&self) -> Result<String> {
        if let Some(guid) = self.uids()?.as_ref().and_then(UidList::guid) {
            return Ok(guid.to_owned());
        }
        let mut locked = self.lock()?;
        if locked.uids()?.guid().is_none() {
            locked.set_guid()?;
        }
        Ok(locked.uids()?.guid().expect("it was set").to_owned())
    }

    pub(crate) fn open_in(store: &Store, path: PathBuf, account: PathBuf) -> Result<Self> {
        if store.fs().metadata(&path.join("cur")).if_found()?.is_none_or(|metadata| metadata.kind != Kind::Directory) {
            return Err(MaildirError::NoSuchMailbox(path.display().to_string()));
        }
        // A power cut while it was made may have left one without the other, and so does who restores a backup of files alone.
        for name in ["tmp", "new"] {
            match store.fs().metadata(&path.join(name)).if_found()? {
                None => match Self::make_dirs(store, &path) {
                    Ok(_) => {}
                    // It was deleted or renamed since.
                    Err(error) if error.is_not_found() => {
                        return Err(MaildirError::NoSuchMailbox(path.display().to_string()));
                    }
                    Err(error) => return Err(error),
                },
                Some(metadata) if metadata.kind == Kind::Directory => {}
                // A link, say, to where somebody else's mail comes in.
                Some(_) => return Err(MaildirError::NoSuchMailbox(path.display().to_string())),
            }
        }
        Ok(Self::at(store, path, account))
    }

    /// The folder as it is, be it one or not.
    pub(crate) fn at(store: &Store, path: PathBuf, account: PathBuf) -> Self {
        let folder = store.folder(&path);
        Maildir { store: store.clone(), path, account, folder }
    }

    /// `cur` comes last: it is what makes the directory a mailbox.
    /// True if any of them was not there.
    pub(crate) fn make_dirs(store: &Store, path: &Path) -> Result<bool> {
        let mut made = false;
        for name in ["tmp", "new", "cur"] {
            made |= make_dir(store, &path.join(name))?;
        }
        if made {
            store.sync_dir(path)?;
        }
        Ok(made)
    }

    pub(crate) fn fs(&self) -> &dyn Fs {
        self.store.fs()
    }

    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What this process has put into `cur/` lately. Held while a file is put there, so never for long.
    pub(crate) fn own(&self) -> MutexGuard<'_, Own> {
        lock(&self.folder.own)
    }

    /// Takes the lock on the UID list, waiting for other threads and programs.
    pub(crate) fn lock(&self) -> Result<Locked<'_>> {
        self.store.keep(&self.folder);
        let state = lock(&self.folder.state);
        let dotlock = DotLock::acquire(&self.store, self.dir(LOCK))?;
        Ok(Locked { maildir: self, dotlock, state })
    }

    /// The UID list as it is, without the lock; `None` if there is none that can be read.
    pub(crate) fn uids(&self) -> Result<Option<UidList>> {
        let mut state = lock(&self.folder.state);
        match self.load_uids(&mut state, Sync::Needed)? {
            Loaded::Known => Ok(state.uids.as_ref().map(|known| known.value.clone())),
            Loaded::Lost { .. } => Ok(None),
        }
    }

    /// The UIDVALIDITY that the first line of the UID list tells, whatever the rest of the list is worth; `None` if it cannot be read.
    pub(crate) fn claimed_validity(&self) -> Option<u32> {
        let file = self.fs().open(&self.dir("dovecot-uidlist")).ok()?;
        UidList::claimed_validity(&read_from(&file, 0, HEADER_MAX).ok()?)
    }

    /// Changes whenever the UID list does.
    pub(crate) fn uids_stamp(&self) -> Result<Option<Stamp>> {
        Ok(self.fs().metadata(&self.dir("dovecot-uidlist")).if_found()?.map(Stamp::from))
    }

    fn load_uids(&self, state: &mut State, sync: Sync) -> Result<Loaded> {
        let path = self.dir("dovecot-uidlist");
        let file = match self.fs().open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // What was known last is the least that a new list has to exceed.
                let validity = state.uids.take().map(|known| known.value.validity);
                return Ok(Loaded::Lost { validity, damaged: false });
            }
            Err(error) if error.kind() == ErrorKind::WrongKind => {
                let validity = state.uids.take().map(|known| known.value.validity);
                return Ok(Loaded::Lost { validity, damaged: true });
            }
            Err(error) => return Err(error.into()),
        };
        let stamp = Stamp::from(file.metadata()?);
        if state.doubtful.is_some_and(|id| id != stamp.id) {
            // Another program has written the list anew.
            state.doubtful = None;
        }
        let is_doubtful = state.doubtful.is_some();
        let is_same = |known: &Known<UidList>| known.stamp == stamp || is_doubtful;
        if state.uids.as_ref().is_some_and(|known| is_same(known) && !known.value.is_used_up()) {
            return Ok(Loaded::Known);
        }
        if is_doubtful && sync == Sync::Needed {
            return Ok(Loaded::Lost { validity: None, damaged: false });
        }
        let old = state.uids.take();
        let floor = old.as_ref().map(|known| known.value.validity);
        let Some(len) = usize::try_from(stamp.len).ok().filter(|len| *len <= UID_LIST_MAX) else {
            return Ok(Loaded::Lost { validity: floor, damaged: true });
        };
        // Another program may have written this without a sync, and a UID has to be on stable storage before anyone
        // hears it. Where nothing is pending this costs next to nothing, and on a read-only disk nothing can be.
        let mut file = file;
        let synced = match sync {
            Sync::Needed => file.sync().and_then(|()| self.store.sync_dir(&self.path)),
            Sync::Useless => Ok(()),
        };
        if let Err(error) = synced
            && error.kind() != ErrorKind::ReadOnly
        {
            (state.uids, state.doubtful) = (old, Some(stamp.id));
            return Err(error.into());
        }
        if let Some(mut known) = old
            && known.stamp.id == stamp.id
            && known.stamp.len < stamp.len
            && !known.value.torn
        {
            let start = known.stamp.len - known.last_line.len() as u64;
            let tail = read_from(&file, start, len - start as usize)?;
            if let Some(lines) = tail.strip_prefix(&known.last_line[..]) {
                if known.value.extend(lines).is_err() {
                    return Ok(Loaded::Lost { validity: floor, damaged: true });
                }
                known.last_line = last_line(&tail);
                known.stamp = Stamp { len: start + tail.len() as u64, ..stamp };
                state.uids = Some(known);
                return Ok(Loaded::Known);
            }
        }
        // In pieces: the whole of it would take as much memory again as what is made of it.
        let (mut reading, mut read) = (Reading::default(), 0);
        let list = loop {
            let piece = read_from(&file, read as u64, PIECE.min(len - read))?;
            read += piece.len();
            if piece.is_empty() {
                break reading.end();
            }
            if let Err(damaged) = reading.take(&piece) {
                break Err(damaged);
            }
        };
        match list {
            Ok((value, last_line)) => {
                state.uids = Some(Known { value, stamp: Stamp { len: read as u64, ..stamp }, last_line });
                Ok(Loaded::Known)
            }
            Err(damaged) => Ok(Loaded::Lost { validity: damaged.validity.max(floor), damaged: true }),
        }
    }

    fn read_keywords(&self, state: &mut State) -> Result<Keywords> {
        let path = self.dir("dovecot-keywords");
        let Some(metadata) = self.fs().metadata(&path).if_found()? else {
            state.keywords = None;
            return Ok(Keywords::default());
        };
        let stamp = Stamp::from(metadata);
        if let Some(known) = state.keywords.as_ref().filter(|known| known.stamp == stamp) {
            return Ok(known.value.clone());
        }
        let value = match self.fs().read(&path, KEYWORDS_MAX) {
            Ok(bytes) => Keywords::parse(&bytes),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WrongKind | ErrorKind::TooLarge) => {
                Keywords::default()
            }
            Err(error) => return Err(error.into()),
        };
        state.keywords = Some(Known { value: value.clone(), stamp, last_line: Vec::new() });
        Ok(value)
    }
}

/// Whether what is read has to be on stable storage, or is about to be written there anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sync {
    Needed,
    Useless,
}

enum Loaded {
    Known,
    Lost { validity: Option<u32>, damaged: bool },
}

/// A folder whose UID list is locked against everyone else.
pub(crate) struct Locked<'a> {
    maildir: &'a Maildir,
    /// Let go before the mutex, so that the next thread finds the file gone.
    dotlock: DotLock,
    state: MutexGuard<'a, State>,
}

impl Locked<'_> {
    /// The list as it is now; a new one with a greater UIDVALIDITY if it is lost.
    pub(crate) fn uids(&mut self) -> Result<&UidList> {
        if self.state.doubtful.is_some() {
            let before = self.state.uids.take();
            if let Err(error) = self.write_doubtful_anew() {
                self.state.uids = before;
                return Err(error);
            }
        }
        if let Loaded::Lost { validity, damaged } = self.maildir.load_uids(&mut self.state, Sync::Needed)? {
            let store = &self.maildir.store;
            let path = self.maildir.dir("dovecot-uidlist");
            if damaged {
                // Nothing is deleted that somebody may want to look at.
                store.fs().rename(&path, &self.maildir.dir("dovecot-uidlist.damaged"))?;
            }
            let value = uid_validity::next(store, &self.maildir.account, validity.unwrap_or(0))?;
            self.write_uids(UidList::new(value, &new_guid(store)))?;
        }
        let known = self.state.uids.as_ref();
        Ok(&known.expect("a list was loaded or written just now").value)
    }

    /// Fails if somebody took the lock for stale.
    pub(crate) fn verify(&self) -> Result<()> {
        self.dotlock.verify()
    }

    /// The folder was renamed under the lock, which went along.
    pub(crate) fn moved_to(&mut self, path: &Path) {
        self.dotlock.moved_to(path.join(LOCK));
    }

    /// Gives a mailbox a GUID that has none, as another program may have left it.
    fn set_guid(&mut self) -> Result<()> {
        self.uids()?;
        let mut known = self.state.uids.take().expect("loaded above");
        known.value.set_guid(&new_guid(&self.maildir.store));
        self.write_uids(known.value)
    }

    /// Gives UIDs to messages that have none. Durable on return.
    pub(crate) fn assign(&mut self, messages: &[NewMessage]) -> Result<(u32, Vec<Uid>)> {
        let validity = self.uids()?.validity;
        if messages.is_empty() {
            return Ok((validity, Vec::new()));
        }
        // Until the lines are synced nobody may take the list in memory for true.
        let mut known = self.state.uids.take().expect("loaded above");
        let (uids, lines) = known.value.assign(messages)?;
        if known.value.torn {
            self.write_uids(known.value)?;
            return Ok((validity, uids));
        }
        self.dotlock.verify()?;
        let mut file = self.maildir.fs().open_append(&self.maildir.dir("dovecot-uidlist"))?;
        let written = file.write(&lines).and_then(|()| file.sync()).and_then(|()| file.metadata());
        match written.and_then(|metadata| file.close().map(|()| metadata)) {
            Ok(metadata) => {
                known.stamp = metadata.into();
                known.last_line = last_line(&lines);
                self.state.uids = Some(known);
                Ok((validity, uids))
            }
            Err(error) => {
                known.value.withdraw(uids[0]);
                self.state.doubtful = Some(known.stamp.id);
                self.state.uids = Some(known);
                Err(error.into())
            }
        }
    }

    /// What [`Maildir::uids_stamp`] gives while the list is as it was last read or written here.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.state.uids.as_ref().map(|known| known.stamp)
    }

    fn write_doubtful_anew(&mut self) -> Result<()> {
        match self.maildir.load_uids(&mut self.state, Sync::Useless)? {
            Loaded::Known => {
                let known = self.state.uids.take().expect("a list was loaded just now");
                self.write_uids(known.value)
            }
            Loaded::Lost { .. } => {
                self.state.doubtful = None;
                Ok(())
            }
        }
    }

    /// Drops the lines of messages that are gone, and notes sizes that had to be counted.
    pub(crate) fn compact(
        &mut self,
        keep: impl FnMut(u32) -> bool,
        counted: impl Fn(Uid) -> Option<Sizes>,
    ) -> Result<()> {
        self.uids()?;
        let mut known = self.state.uids.take().expect("loaded above");
        known.value.retain(keep, counted);
        self.write_uids(known.value)
    }

    pub(crate) fn keywords(&mut self) -> Result<Keywords> {
        self.maildir.read_keywords(&mut self.state)
    }

    /// Dovecot's own writers hold the list's lock too, and write the new file under this name before it takes its place.
    pub(crate) fn write_keywords(&mut self, keywords: Keywords) -> Result<()> {
        self.state.keywords = None;
        self.replace("dovecot-keywords.lock", "dovecot-keywords", &keywords.encode())?;
        self.maildir.store.sync_dir(&self.maildir.path)?;
        Ok(())
    }

    pub(crate) fn write_uids(&mut self, mut list: UidList) -> Result<()> {
        self.state.uids = None;
        list.is_durable();
        let bytes = list.encode();
        let metadata = self.replace("dovecot-uidlist.tmp", "dovecot-uidlist", &bytes)?;
        if let Err(error) = self.maildir.store.sync_dir(&self.maildir.path) {
            // It can be read, but the disk may keep the old one.
            self.state.doubtful = Some(metadata.id);
            return Err(error.into());
        }
        self.state.uids = Some(Known { value: list, stamp: metadata.into(), last_line: last_line(&bytes) });
        self.state.doubtful = None;
        Ok(())
    }

    /// Writes a whole file and puts it in the place of the old one. Its name is durable after a sync of the folder.
    fn replace(&self, written: &str, name: &str, bytes: &[u8]) -> Result<Metadata> {
        // Whoever holds the lock is the only user of the new one.
        let (written, path) = (self.maildir.dir(written), self.maildir.dir(name));
        replace_file(self.maildir.fs(), &written, &path, bytes, || self.dotlock.verify())
    }
}

fn new_guid(store: &Store) -> String {
    format!("{:016x}{:016x}", store.random(), store.random())
}

fn numbers(numbers: impl Iterator<Item = u8>) -> Flags {
    numbers.filter_map(Flags::keyword).fold(Flags::NONE, |all, flag| all | flag)
}

/// What holds the folder. The dot leads through a link: what stands above the mail is the installation's choice.
pub(crate) fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).join(".")
}

/// True if it was not there.
pub(crate) fn make_dir(store: &Store, path: &Path) -> Result<bool> {
    match store.fs().make_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match store.fs().metadata(path)?.kind {
            Kind::Directory => Ok(false),
            _ => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Up to `len` bytes, fewer if the file ends before.
fn read_from(file: &pillarbox_fs::File, start: u64, len: usize) -> std::result::Result<Vec<u8>, FsError> {
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(start + filled as u64, &mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
