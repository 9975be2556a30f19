//! A folder as IMAP sees it: messages with UIDs and flags, and what has changed since last time.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::cache::Cache;
use crate::file_name::{self, Base, Sizes};
use crate::journal::Journal;
use crate::listing::Dir;
use crate::look::{LISTINGS_MAX, Seen};
use crate::snapshot::Stamps;
use crate::view::{MessageFile, View};
use crate::{Flags, Keywords, Maildir, MaildirError, MessageReader, Result, Uid};

/// An open mailbox: a view of a folder that changes only when it is told to look.
///
/// One process keeps one of these per folder, behind a mutex; other processes, Dovecot among them, may work on the same
/// folder at the same time. What they did shows at the next [`refresh`](Mailbox::refresh).
///
/// ```
/// use pillarbox_maildir::{Access, FlagChange, Flags, Mailbox, Maildir, Options, Store};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
/// # let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
/// # let mut message = inbox.begin()?;
/// # message.write(b"Subject: hello\r\n\r\n")?;
/// # message.commit(Flags::NONE, None)?;
///
/// let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite)?;
/// let uid = mailbox.messages().next().expect("one message").uid;
/// mailbox.set_flags(&[uid], FlagChange::Add, Flags::SEEN)?;
///
/// let mut reader = mailbox.read(uid)?;
/// let mut text = vec![0; reader.len() as usize];
/// reader.read_at(0, &mut text)?;
/// assert_eq!(text, b"Subject: hello\r\n\r\n");
///
/// mailbox.expunge(&[uid])?;
/// assert_eq!(mailbox.messages().count(), 0);
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
#[derive(Debug)]
pub struct Mailbox {
    pub(crate) maildir: Maildir,
    pub(crate) access: Access,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) view: View,
    pub(crate) keywords: Keywords,
    pub(crate) ignored: Vec<PathBuf>,
    /// Of messages that were asked for lately.
    infos: HashMap<Uid, Known>,
    /// Taken out of `new/` and not yet in the view.
    pub(crate) fresh: HashSet<Base>,
    /// Found while looking for something else, and not yet told.
    pub(crate) untold: Changes,
    pub(crate) seen: Option<Seen>,
    pub(crate) journal: Journal,
    /// What the snapshot on the disk was made from, and when it was read or written here.
    pub(crate) snapshot: Option<(Stamps, SystemTime)>,
    /// For `new/` and `cur/`: something happened there since they were last synced, through us or somebody else.
    pub(crate) unsynced: [bool; 2],
    pub(crate) cache: Cache,
    /// Messages that were changed, copied or removed.
    done_with: Arc<AtomicU64>,
}

/// What opening and refreshing a mailbox may change in it. Whether its user may change more is the caller's to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// New messages stay in `new/`, for whoever comes next. They get UIDs, without which nobody can name them, and
    /// what others changed gets mod-sequences.
    ReadOnly,
    /// New messages move to `cur/`, and leftovers in `tmp/` are removed.
    ReadWrite,
}

/// One message of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// Its UID.
    pub uid: Uid,
    /// Its flags.
    pub flags: Flags,
    /// This view was the first to take it out of `new/` (RFC 3501 §2.3.2, `\Recent`).
    pub recent: bool,
    /// Its size with CRLF line ends, if its name or the UID list tells; [`Mailbox::info`] finds out otherwise.
    pub size: Option<u64>,
    /// The first part of the file's name, unique in the folder for all time. Not always UTF-8.
    pub name: &'a [u8],
    /// What stays the same when it is copied or moved: the name that it had first, or what another program gave it. A copy in the
    /// same folder has the same one.
    pub guid: &'a [u8],
}

/// What only the file itself tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The size with CRLF line ends.
    pub size: u64,
    /// IMAP's internal date.
    pub date: SystemTime,
}

/// What has changed since the last time, each list in the order of UIDs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Changes {
    /// The mailbox has another UIDVALIDITY: forget all that was known, the lists below begin from nothing.
    pub reset: bool,
    /// Messages that came.
    pub added: Vec<Uid>,
    /// Messages that went, through other programs.
    pub removed: Vec<Uid>,
    /// Messages whose flags another program changed.
    pub flags: Vec<Uid>,
    /// The keywords have changed.
    pub keywords: bool,
    /// Why new messages are not shown yet: they could not be given UIDs (a full or read-only disk). The rest of the mailbox
    /// is there and can be read.
    pub held_back: Option<MaildirError>,
}

/// What was found out about a message.
#[derive(Clone, Copy, Debug)]
struct Known {
    info: Info,
    /// The length of its file.
    file: u64,
}

/// So many infos are kept. To find one again costs a question to the file system.
const INFOS_MAX: usize = 1024;

impl Mailbox {
    /// From now on each message that [`set_flags`](Mailbox::set_flags), [`copy`](Mailbox::copy), [`move_to`](Mailbox::move_to) and the removals
    /// are done with is counted there, one that is moved twice. What is counted need not be durable yet.
    pub fn count_in(&mut self, counter: Arc<AtomicU64>) {
        self.done_with = counter;
    }

    pub(crate) fn count_one(&self) {
        self.done_with.fetch_add(1, Ordering::Relaxed);
    }

    /// Opens a folder and reads what is in it.
    pub fn open(maildir: &Maildir, access: Access) -> Result<Self> {
        let mut mailbox = Mailbox {
            maildir: maildir.clone(),
            access,
            uid_validity: 0,
            uid_next: 1,
            view: View::default(),
            keywords: Keywords::default(),
            ignored: Vec::new(),
            infos: HashMap::new(),
            fresh: HashSet::new(),
            untold: Changes::default(),
            seen: None,
            journal: Journal::new(maildir),
            snapshot: None,
            unsynced: [true; 2],
            cache: Cache::default(),
            done_with: Arc::default(),
        };
        if access == Access::ReadWrite {
            mailbox.clean_tmp();
        }
        mailbox.look()?;
        if mailbox.uid_validity == 0 {
            return Err(MaildirError::NoSuchMailbox(maildir.path().display().to_string()));
        }
        // What is there at the start is not news, except for what is not there.
        mailbox.untold = Changes { held_back: mailbox.untold.held_back.take(), ..Changes::default() };
        Ok(mailbox)
    }

    /// The folder.
    pub fn maildir(&self) -> &Maildir {
        &self.maildir
    }

    /// Names the numbering: UIDs of one UIDVALIDITY say nothing about another (RFC 9051 §2.3.1.1).
    pub fn uid_validity(&self) -> u32 {
        self.uid_validity
    }

    /// What the next UID will be at least.
    pub fn uid_next(&self) -> u32 {
        self.uid_next
    }

    /// The messages, by rising UID.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = Message<'_>> + DoubleEndedIterator {
        self.view.files().map(|file| self.message_of(file))
    }

    /// One message.
    pub fn message(&self, uid: Uid) -> Option<Message<'_>> {
        self.view.find(uid).map(|file| self.message_of(file))
    }

    fn message_of<'a>(&self, file: MessageFile<'a>) -> Message<'a> {
        let size = file.sizes().map(|sizes| sizes.message);
        Message {
            uid: file.uid,
            flags: file.flags(),
            recent: file.found.recent,
            size: size.or_else(|| Some(self.infos.get(&file.uid)?.info.size)),
            name: file.base,
            guid: file.guid(),
        }
    }

    /// What the letters of keywords mean here.
    pub fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// The names of a message's keywords. The letter P counts as `$Forwarded`.
    pub fn keyword_names(&self, flags: Flags) -> Vec<&str> {
        let mut names: Vec<&str> = flags.keywords().filter_map(|number| self.keywords.name(number)).collect();
        if flags.contains(Flags::PASSED) && !names.contains(&"$Forwarded") {
            names.push("$Forwarded");
        }
        names
    }

    /// When a message changed last, as a number that rises with every change of the mailbox (RFC 7162 §3.1), and stays the same for
    /// all programs that use this crate. `None` where the message is not there, or there are no such numbers: on a disk that
    /// cannot be written on, and after [trouble](Mailbox::journal_trouble).
    pub fn mod_seq(&self, uid: Uid) -> Option<u64> {
        self.journal.mod_seq(uid)
    }

    /// The highest mod-sequence that a change of the mailbox has, messages that went included. Between two looks it stands still, and
    /// all that it counts is in the view or was told to be gone.
    pub fn highest_mod_seq(&self) -> Option<u64> {
        self.journal.highest()
    }

    /// The mod-sequence at which each of these messages, of rising UIDs, went; `None` for those of which it is not known.
    pub fn removed_at(&self, uids: &[Uid]) -> Vec<Option<u64>> {
        self.journal.gone_at(uids)
    }

    /// The messages that went after a mod-sequence (RFC 7162 §3.2.6), as first and last UIDs of ranges in no order; one that came back may be
    /// among them. `None` if that is not known, and so any number that is not there may have gone since: some 10,000 ranges are remembered.
    pub fn removed_since(&self, mod_seq: u64) -> Option<Vec<(Uid, Uid)>> {
        self.journal.gone_since(mod_seq)
    }

    /// Why there are no mod-sequences, for the log.
    pub fn journal_trouble(&self) -> Option<&MaildirError> {
        self.journal.trouble()
    }

    /// What lies in the folder and is no regular file, or has a line feed in its name, for the log; a few of them, if there are
    /// many.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.ignored
    }

    /// Why new messages are not shown yet, if they are not.
    pub(crate) fn held_back(&self) -> Option<MaildirError> {
        self.untold.held_back.clone()
    }

    /// Looks for what others have changed. Where nothing has changed this costs four questions to the file system.
    pub fn refresh(&mut self) -> Result<Changes> {
        self.remember_sizes();
        self.look()?;
        Ok(self.news())
    }

    /// What others have changed, as far as it was found while something else was done here, such as flags being set.
    pub fn news(&mut self) -> Changes {
        std::mem::take(&mut self.untold)
    }

    /// Does something that the journal is to know of, so that nobody gives the same mod-sequence to something else meanwhile.
    pub(crate) fn journaled<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let locked = self.journal.lock()?;
        let done = work(self);
        if locked {
            self.journal.unlock();
        }
        done
    }

    /// Size and date of a message, from its file at the first time.
    pub fn info(&mut self, uid: Uid) -> Result<Info> {
        if let Some(info) = self.infos.get(&uid).filter(|_| self.view.find(uid).is_some()) {
            return Ok(info.info);
        }
        let (metadata, named) = self.with_file(uid, |maildir, file| {
            let metadata = maildir.fs().metadata(&file.path(maildir))?;
            let named = file.sizes().filter(|sizes| sizes.file == metadata.len && sizes.message >= sizes.file);
            Ok((metadata, named))
        })?;
        let size = named.map(|sizes| sizes.message).or_else(|| self.cached_size(uid, metadata.len));
        let size = match size {
            Some(size) => size,
            None => {
                let size = self.read(uid)?.len();
                self.remember_size(uid, metadata.len, size);
                size
            }
        };
        let known = Known { info: Info { size, date: metadata.modified }, file: metadata.len };
        if self.infos.len() >= INFOS_MAX {
            self.infos.clear();
        }
        self.infos.insert(uid, known);
        Ok(known.info)
    }

    /// Opens a message for reading.
    pub fn read(&mut self, uid: Uid) -> Result<MessageReader> {
        self.with_file(uid, |maildir, file| MessageReader::new(maildir.fs().open(&file.path(maildir))?, file.sizes()))
    }

    /// Does something with a message's file. If the file is not where it was, another program may have renamed it, so
    /// the folder is looked at again.
    pub(crate) fn with_file<T>(
        &mut self,
        uid: Uid,
        mut f: impl FnMut(&Maildir, MessageFile<'_>) -> Result<T>,
    ) -> Result<T> {
        let validity = self.uid_validity;
        for _ in 0..LISTINGS_MAX {
            // After a look the folder may be another one, in which the number is another message's.
            if self.uid_validity != validity {
                break;
            }
            let file = self.view.find(uid).ok_or(MaildirError::NoSuchMessage(uid))?;
            match f(&self.maildir, file) {
                Err(error) if error.is_not_found() => self.look_again()?,
                result => return result,
            }
        }
        Err(MaildirError::NoSuchMessage(uid))
    }

    /// Makes what happened in a directory durable, if anything did. A sync that failed, of ours or before us, is made up for.
    pub(crate) fn sync(&mut self, dir: Dir) -> Result<()> {
        if self.unsynced[dir as usize] {
            self.maildir.store().sync_dir(&self.maildir.dir(dir.name()))?;
            self.unsynced[dir as usize] = false;
        }
        Ok(())
    }

    /// Something is about to happen in a directory.
    pub(crate) fn unsynced(&mut self, dir: Dir) {
        self.unsynced[dir as usize] = true;
    }

    /// The sizes of a message that was asked for lately.
    pub(crate) fn counted(&self, uid: Uid) -> Option<Sizes> {
        self.infos.get(&uid).map(|known| Sizes { file: known.file, message: known.info.size })
    }

    /// Shows nothing, and knows nothing of any message.
    pub(crate) fn forget(&mut self) {
        self.view = View::default();
        self.infos.clear();
    }

    /// After an error half-way: what was done is news.
    pub(crate) fn tell_of(&mut self, flags: Vec<Uid>, removed: Vec<Uid>) {
        self.untold.flags.extend(flags);
        self.untold.removed.extend(removed);
        self.untold.settle();
    }

    /// Removes what a crash left in `tmp/`, once it is old enough that no delivery can still be at work on it. Nothing
    /// depends on it, so errors wait for the next time.
    fn clean_tmp(&self) {
        let store = self.maildir.store();
        let tmp = self.maildir.dir("tmp");
        let now = store.options().clock.now();
        for entry in store.fs().list(&tmp).unwrap_or_default() {
            let path = tmp.join(&entry.name);
            let old = |time| now.duration_since(time).is_ok_and(|age| age > store.options().tmp_age_max);
            // A copy, or a message with a date of its own, is young by its name alone.
            let (seconds, ..) = file_name::arrival(file_name::bytes(&entry.name));
            let named = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            if named.is_none_or(old) && store.fs().metadata(&path).is_ok_and(|metadata| old(metadata.modified)) {
                let _ = store.fs().unlink(&path);
            }
        }
    }
}

impl Changes {
    /// True if there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        !self.reset
            && self.added.is_empty()
            && self.removed.is_empty()
            && self.flags.is_empty()
            && !self.keywords
            && self.held_back.is_none()
    }

    /// After several looks: what came and went is nothing, and each is told once.
    pub(crate) fn settle(&mut self) {
        for list in [&mut self.added, &mut self.removed, &mut self.flags] {
            list.sort_unstable();
            list.dedup();
        }
        let has = |list: &[Uid], uid: &Uid| list.binary_search(uid).is_ok();
        let passing: Vec<Uid> = self.added.iter().copied().filter(|uid| has(&self.removed, uid)).collect();
        self.flags.retain(|uid| !has(&self.added, uid) && !has(&self.removed, uid));
        self.added.retain(|uid| !has(&passing, uid));
        self.removed.retain(|uid| !has(&passing, uid));
    }
}
