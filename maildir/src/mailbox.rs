//! A folder as IMAP sees it: messages with UIDs and flags, and what has changed since last time.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pillarbox_fs::{ErrorKind, Kind};

use crate::cache::Cache;
use crate::error::NotFound;
use crate::file_name::{self, Base};
use crate::folder::Stamp;
use crate::listing::{Dir, DirStamps, Found, Listing, path};
use crate::uid_list::UidList;
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
    access: Access,
    uid_validity: u32,
    uid_next: u32,
    pub(crate) messages: BTreeMap<Uid, Entry>,
    keywords: Keywords,
    ignored: Vec<PathBuf>,
    /// Taken out of `new/` and not yet in the view.
    fresh: HashSet<Base>,
    /// Found while looking for something else, and not yet told.
    untold: Changes,
    seen: Option<Seen>,
    /// For `new/` and `cur/`: something happened there since they were last synced, through us or somebody else.
    unsynced: [bool; 2],
    pub(crate) cache: Cache,
}

/// What opening and refreshing a mailbox may change in it. Whether its user may change more is the caller's to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// New messages stay in `new/`, for whoever comes next. They get UIDs, without which nobody can name them.
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
    /// Its size with CRLF line ends, if its name tells; [`Mailbox::info`] finds out otherwise.
    pub size: Option<u64>,
    /// The first part of the file's name, unique in the folder for all time. Not always UTF-8.
    pub name: &'a [u8],
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

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) base: Base,
    pub(crate) found: Found,
    pub(crate) flags: Flags,
    recent: bool,
    info: Option<Info>,
}

/// When all of this is as it was, nothing has changed.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    dirs: DirStamps,
    uids: Option<Stamp>,
}

/// The file system's clock moves in steps, so a directory that has just changed may change again and look the same.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Listings before a message is believed to be gone although the directories never kept still.
const LISTINGS_MAX: usize = 8;

impl Mailbox {
    /// Opens a folder and reads what is in it.
    pub fn open(maildir: &Maildir, access: Access) -> Result<Self> {
        let mut mailbox = Mailbox {
            maildir: maildir.clone(),
            access,
            uid_validity: 0,
            uid_next: 1,
            messages: BTreeMap::new(),
            keywords: Keywords::default(),
            ignored: Vec::new(),
            fresh: HashSet::new(),
            untold: Changes::default(),
            seen: None,
            unsynced: [true; 2],
            cache: Cache::default(),
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
        self.messages.iter().map(|(uid, entry)| entry.message(*uid))
    }

    /// One message.
    pub fn message(&self, uid: Uid) -> Option<Message<'_>> {
        self.messages.get(&uid).map(|entry| entry.message(uid))
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

    /// What lies in the folder and is no regular file, for the log; a few of them, if there are many.
    pub fn ignored(&self) -> &[PathBuf] {
        &self.ignored
    }

    /// Looks for what others have changed. Where nothing has changed this costs three questions to the file system.
    pub fn refresh(&mut self) -> Result<Changes> {
        self.remember_sizes();
        self.look()?;
        Ok(std::mem::take(&mut self.untold))
    }

    /// Size and date of a message, from its file at the first time.
    pub fn info(&mut self, uid: Uid) -> Result<Info> {
        if let Some(info) = self.messages.get(&uid).and_then(|entry| entry.info) {
            return Ok(info);
        }
        let (metadata, named) = self.with_file(uid, |maildir, entry| {
            let metadata = maildir.fs().metadata(&path(maildir, &entry.base, &entry.found))?;
            Ok((metadata, file_name::sizes(&entry.base).filter(|sizes| sizes.file == metadata.len)))
        })?;
        let known = named.map(|sizes| sizes.message).or_else(|| self.cached_size(uid, metadata.len));
        let size = match known {
            Some(size) => size,
            None => {
                let size = self.read(uid)?.len();
                self.remember_size(uid, metadata.len, size);
                size
            }
        };
        let info = Info { size, date: metadata.modified };
        if let Some(entry) = self.messages.get_mut(&uid) {
            entry.info = Some(info);
        }
        Ok(info)
    }

    /// Opens a message for reading.
    pub fn read(&mut self, uid: Uid) -> Result<MessageReader> {
        self.with_file(uid, |maildir, entry| {
            let file = maildir.fs().open(&path(maildir, &entry.base, &entry.found))?;
            MessageReader::new(file, &entry.base)
        })
    }

    /// Does something with a message's file. If the file is not where it was, another program may have renamed it, so
    /// the folder is looked at again.
    pub(crate) fn with_file<T>(&mut self, uid: Uid, mut f: impl FnMut(&Maildir, &Entry) -> Result<T>) -> Result<T> {
        for _ in 0..LISTINGS_MAX {
            let entry = self.messages.get(&uid).ok_or(MaildirError::NoSuchMessage(uid))?;
            match f(&self.maildir, entry) {
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

    /// After an error half-way: what was done is news.
    pub(crate) fn tell_of(&mut self, flags: Vec<Uid>, removed: Vec<Uid>) {
        self.untold.flags.extend(flags);
        self.untold.removed.extend(removed);
        self.untold.settle();
    }

    fn look_again(&mut self) -> Result<()> {
        self.seen = None;
        self.look()
    }

    fn look(&mut self) -> Result<()> {
        let keywords = self.maildir.keywords()?;
        if keywords != self.keywords {
            self.keywords = keywords;
            self.untold.keywords = true;
        }
        if let Some(seen) = &self.seen
            && seen.uids == self.maildir.uids_stamp()?
            && seen.dirs == DirStamps::read(&self.maildir)?
        {
            return Ok(());
        }
        if self.access == Access::ReadWrite {
            self.take_new()?;
        }
        // The list before the files: a file is there before its UID is, so that no UID below `uid_next` can turn up later.
        let mut stamp = self.maildir.uids_stamp()?;
        let listed = self.maildir.with_uids(|uids| (uids.uid_next(), self.expected(uids)))?;
        let mut outcome = None;
        if let Some((uid_next, expected)) = &listed {
            let listing = self.list(expected)?;
            let complete = self.maildir.with_uids(|uids| {
                let is_known = |uid: Uid, base| uid.get() < *uid_next && self.is_in_order(uids, uid, base);
                listing.files.keys().all(|base| uids.uid(base).is_some_and(|uid| is_known(uid, base)))
            })?;
            outcome = Some((listing, *uid_next)).filter(|_| complete == Some(true));
            if outcome.is_some() {
                self.untold.held_back = None;
            }
        }
        let (mut listing, uid_next) = match outcome {
            Some(outcome) => outcome,
            None => match (self.assign_uids(), listed) {
                (Ok(outcome), _) => {
                    stamp = self.maildir.uids_stamp()?;
                    self.untold.held_back = None;
                    outcome
                }
                // With a list to go by, the messages in it can be shown.
                (Err(error), Some((uid_next, expected))) if error.is_temporary() => {
                    self.untold.held_back = Some(error);
                    (self.list(&expected)?, uid_next)
                }
                (Err(error), _) => return Err(error),
            },
        };
        self.ignored = std::mem::take(&mut listing.ignored);
        let settled = listing.quiet.filter(|dirs| {
            let age = self.maildir.store().options().clock.now().duration_since(dirs.modified());
            age.is_ok_and(|age| age >= SETTLED_AFTER)
        });
        self.take_over(listing, uid_next)?;
        let held_back = self.untold.held_back.is_some();
        self.seen = settled.filter(|_| !held_back).map(|dirs| Seen { dirs, uids: stamp });
        Ok(())
    }

    /// Messages that the list has and this view has not: files that a listing should find, unless they are gone.
    fn expected(&self, uids: &UidList) -> Vec<Base> {
        let from = if uids.validity == self.uid_validity { self.uid_next } else { 1 };
        uids.bases_from(from).cloned().collect()
    }

    /// Lists the folder until it is certain that what is missing is gone.
    fn list(&self, expected: &[Base]) -> Result<Listing> {
        let mut listing = self.list_once()?;
        // A file that is renamed while its directory is read may be missed, so a listing is believed if nothing went on
        // meanwhile. One that was here before is gone when it is missed twice, the second time by such a listing.
        let absent = |base: &&Base, listing: &Listing| !listing.files.contains_key(*base);
        let mut missing: Vec<&Base> =
            self.messages.values().map(|entry| &entry.base).filter(|base| absent(base, &listing)).collect();
        let mut certain = missing.is_empty() && listing.quiet.is_some();
        missing.extend(expected.iter().filter(|base| absent(base, &listing)));
        for _ in 1..LISTINGS_MAX {
            if certain {
                break;
            }
            let mut again = self.list_once()?;
            missing.retain(|base| absent(base, &again));
            certain = missing.is_empty() || again.quiet.is_some();
            if again.quiet.is_none() {
                // Seen by one of two listings in a busy folder: more likely missed by the other than gone. What was
                // there before the first began is in one of the two.
                for (base, found) in listing.files {
                    again.files.entry(base).or_insert(found);
                }
            }
            listing = again;
        }
        if !certain {
            // It never kept still: what was there before stays, and a later look will tell.
            for entry in self.messages.values() {
                listing.files.entry(entry.base.clone()).or_insert_with(|| entry.found.clone());
            }
        }
        Ok(listing)
    }

    fn list_once(&self) -> Result<Listing> {
        let mut listing = Listing::read(&self.maildir)?;
        if self.access == Access::ReadWrite && !listing.doubles.is_empty() {
            listing.repair_doubles(&self.maildir)?;
            listing.quiet = None;
        }
        Ok(listing)
    }

    /// Moves what is in `new/` to `cur/`, as whoever opens a mailbox for writing does.
    fn take_new(&mut self) -> Result<()> {
        let fs = self.maildir.fs();
        for entry in fs.list(&self.maildir.dir("new"))? {
            let (base, info) = file_name::split(file_name::bytes(&entry.name));
            if entry.kind != Kind::File || base.is_empty() || base.starts_with(b".") {
                continue;
            }
            let base: Base = base.into();
            let taken = Found { dir: Dir::Cur, info: if info.is_empty() { b":2,"[..].into() } else { info.into() } };
            let target = path(&self.maildir, &base, &taken);
            // A file that has that name already would be lost. Two files of one name are told apart when they are listed.
            if fs.metadata(&target).if_found()?.is_some() {
                continue;
            }
            self.unsynced = [true; 2];
            match fs.rename(&self.maildir.dir("new").join(&entry.name), &target) {
                Ok(()) => {
                    self.fresh.insert(base);
                }
                // Taken by another reader.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // What cannot be moved can be read where it is.
                Err(error) if error.is_temporary() => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// A message that was never shown here, with a UID below those that were, came back from the dead: it has to get a
    /// new UID, because clients expect nothing below UIDNEXT to appear.
    fn is_in_order(&self, uids: &UidList, uid: Uid, base: &[u8]) -> bool {
        uids.validity != self.uid_validity
            || uid.get() >= self.uid_next
            || self.messages.get(&uid).is_some_and(|entry| &entry.base[..] == base)
    }

    /// Under the lock, so that no other program gives UIDs at the same time: lists the folder and gives UIDs to what has
    /// none, in the order of arrival. Durable on return. With the listing comes what the next UID will be.
    fn assign_uids(&self) -> Result<(Listing, u32)> {
        let mut locked = self.maildir.lock()?;
        let expected = self.expected(locked.uids()?);
        let listing = self.list(&expected)?;
        let uids = locked.uids()?;
        let returned: HashSet<Uid> = listing
            .files
            .keys()
            .filter_map(|base| uids.uid(base).filter(|uid| !self.is_in_order(uids, *uid, base)))
            .collect();
        let dead = uids.len().saturating_sub(listing.files.len());
        // Rewriting costs as much as the list is long, so it waits until half of it is dead.
        if !returned.is_empty() || dead > uids.len() / 2 && dead > 100 {
            locked.compact(|uid, base| listing.files.contains_key(base) && !returned.contains(&uid))?;
        }
        let uids = locked.uids()?;
        let mut new: Vec<Base> = listing.files.keys().filter(|base| uids.uid(base).is_none()).cloned().collect();
        new.sort_by(|a, b| file_name::arrival(a).cmp(&file_name::arrival(b)));
        locked.assign(&new)?;
        let uid_next = locked.uids()?.uid_next();
        Ok((listing, uid_next))
    }

    /// Makes the view what the folder is. No UID from `uid_next` on is believed: it was given after the listing, and may
    /// be one of several.
    fn take_over(&mut self, mut listing: Listing, uid_next: u32) -> Result<()> {
        let looked = self.maildir.with_uids(|uids| {
            let mut found = Vec::with_capacity(listing.files.len());
            for (base, file) in listing.files.drain() {
                if let Some(uid) = uids.uid(&base).filter(|uid| uid.get() < uid_next)
                    && self.is_in_order(uids, uid, &base)
                {
                    found.push((uid, base, file));
                }
            }
            (uids.validity, found)
        })?;
        // The list went away between two looks: the next look makes a new one.
        let Some((validity, mut found)) = looked else { return Ok(()) };
        if validity != self.uid_validity {
            self.untold = Changes { reset: true, held_back: self.untold.held_back.take(), ..Changes::default() };
            self.messages.clear();
            self.uid_validity = validity;
            self.uid_next = 1;
        }
        // A tree is built faster from sorted rows.
        found.sort_unstable_by_key(|(uid, ..)| *uid);
        let mut messages = BTreeMap::new();
        for (uid, base, file) in found {
            let flags = file_name::flags(&file.info);
            let entry = match self.messages.remove(&uid) {
                Some(mut entry) => {
                    if entry.flags != flags {
                        self.untold.flags.push(uid);
                    }
                    entry.flags = flags;
                    entry.found = file;
                    entry
                }
                None => {
                    self.untold.added.push(uid);
                    let recent = file.dir == Dir::New || self.fresh.contains(&base);
                    Entry { base, found: file, flags, recent, info: None }
                }
            };
            messages.insert(uid, entry);
        }
        self.fresh.clear();
        for uid in std::mem::replace(&mut self.messages, messages).into_keys() {
            self.untold.removed.push(uid);
        }
        self.uid_next = self.uid_next.max(uid_next);
        self.untold.settle();
        if !self.untold.is_empty() {
            self.unsynced = [true; 2];
        }
        Ok(())
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

impl Entry {
    fn message(&self, uid: Uid) -> Message<'_> {
        let size = self.info.map(|info| info.size).or_else(|| Some(file_name::sizes(&self.base)?.message));
        Message { uid, flags: self.flags, recent: self.recent, size, name: &self.base }
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
    fn settle(&mut self) {
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
