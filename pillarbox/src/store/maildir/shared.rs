//! One folder as all sessions of this process see it, and the news about it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use pillarbox_core::WallTime;
use pillarbox_imap::server::{Change, FlagChange, Snapshot, Status};
use pillarbox_imap::types::{Flag, Flags, Keyword, Uid, UidSet};
use pillarbox_maildir::{self as maildir, Mailbox, Maildir};

use super::news::News;
use super::{Result, number, told, uid, uid_next, uid_validity};
use crate::parts::{FlagsSet, MessageData, MessageFlags, SetFlags, StoreError, StoreErrorKind};
use crate::store::feed::{Feed, FeedReader};

/// A folder's view and its feed. Whoever changes the view tells the feed before letting go of the lock, so that everyone
/// hears of changes in the order in which they were made.
pub(super) struct Shared {
    pub(super) folder: Maildir,
    view: Mutex<Mailbox>,
    feed: Arc<Feed>,
    gone: AtomicBool,
    pub(super) news: News,
}

impl Shared {
    pub(super) fn new(view: Mailbox) -> Self {
        let folder = view.maildir().clone();
        Shared {
            folder,
            view: Mutex::new(view),
            feed: Arc::default(),
            gone: AtomicBool::new(false),
            news: News::default(),
        }
    }

    fn view(&self) -> MutexGuard<'_, Mailbox> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reader(&self) -> FeedReader {
        self.feed.reader()
    }

    /// Whether the folder was deleted, or its UIDs are no longer those that sessions know.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.feed.tell(Change::Gone);
    }

    /// Looks at the folder and tells what others changed in it.
    pub(super) fn refresh(&self) -> Result<()> {
        let mut view = self.view();
        match view.refresh() {
            Ok(changes) => self.tell(&view, changes),
            Err(error) => {
                let deleted = matches!(self.folder.exists(), Ok(false));
                if deleted || matches!(error, maildir::MaildirError::NoSuchMailbox(_)) {
                    self.gone();
                }
                return Err(told(error));
            }
        }
        Ok(())
    }

    fn tell(&self, view: &Mailbox, changes: maildir::Changes) {
        self.news.looked(changes.held_back.is_some(), view.is_in_doubt());
        if changes.reset {
            return self.gone();
        }
        let removed: UidSet = changes.removed.into_iter().map(uid).collect();
        if !removed.is_empty() {
            self.feed.tell(Change::Removed { uids: removed, mod_seq: None });
        }
        if !changes.added.is_empty() {
            let uids = changes.added.into_iter().map(uid).collect();
            self.feed.tell(Change::Added { uids, mod_seq: None });
        }
        self.tell_flags(view, changes.flags);
    }

    fn tell_flags(&self, view: &Mailbox, changed: Vec<maildir::Uid>) {
        let changed = changed.into_iter().filter_map(|uid| view.message(uid));
        let changes = changed.map(|message| {
            let flags = flags(view, message.flags);
            Change::Flags { uid: uid(message.uid), flags, mod_seq: None }
        });
        self.feed.tell_all(changes.collect());
    }

    /// The folder as it is now, and a reader of what happens to it from now on.
    pub(super) fn snapshot(&self, read_only: bool) -> Result<(Snapshot, FeedReader)> {
        self.refresh()?;
        let view = self.view();
        let reader = self.feed.reader();
        let mut snapshot = Snapshot::new(uid_validity(view.uid_validity())?, uid_next(view.uid_next()));
        snapshot.uids = view.messages().map(|message| uid(message.uid)).collect();
        let unseen = view.messages().find(|message| !message.flags.contains(maildir::Flags::SEEN));
        snapshot.first_unseen = unseen.map(|message| uid(message.uid));
        let names: BTreeSet<Keyword> = view.keywords().iter().filter_map(|(_, name)| Keyword::new(name)).collect();
        snapshot.keywords_can_be_made = view.keywords().iter().count() < 26;
        snapshot.keywords = names.into_iter().map(Flag::Keyword).collect();
        snapshot.read_only = read_only;
        Ok((snapshot, reader))
    }

    /// The numbers, and the sum of the sizes if it is wanted: of a message whose name does not tell its size the file is read.
    pub(super) fn status(&self, with_size: bool) -> Result<Status> {
        let mut view = self.view();
        let mut status = Status::new(uid_validity(view.uid_validity())?, uid_next(view.uid_next()));
        status.messages = u32::try_from(view.messages().len()).unwrap_or(u32::MAX);
        let unseen = view.messages().filter(|message| !message.flags.contains(maildir::Flags::SEEN)).count();
        status.unseen = u32::try_from(unseen).unwrap_or(u32::MAX);
        let deleted = view.messages().filter(|message| message.flags.contains(maildir::Flags::DELETED)).count();
        status.deleted = u32::try_from(deleted).unwrap_or(u32::MAX);
        if with_size {
            let sizes: Vec<_> = view.messages().map(|message| (message.uid, message.size)).collect();
            for (uid, size) in sizes {
                let size = match size.map_or_else(|| view.info(uid).map(|info| info.size), Ok) {
                    // Another program was quicker.
                    Err(maildir::MaildirError::NoSuchMessage(_)) => 0,
                    size => size.map_err(told)?,
                };
                status.size = status.size.saturating_add(size);
            }
        }
        Ok(status)
    }

    /// Those of these messages that are there, in the order of their UIDs.
    fn those(view: &Mailbox, uids: &UidSet) -> Vec<maildir::Uid> {
        // Sets may name billions of numbers; the folder holds what it holds.
        view.messages().map(|message| message.uid).filter(|number| uids.contains(uid(*number))).collect()
    }

    pub(super) fn messages(&self, uids: &UidSet) -> Result<Vec<MessageData>> {
        let mut view = self.view();
        let mut data = Vec::new();
        for found in Shared::those(&view, uids) {
            let info = match view.info(found) {
                // Another program was quicker.
                Err(maildir::MaildirError::NoSuchMessage(_)) => continue,
                info => info.map_err(told)?,
            };
            let Some(message) = view.message(found) else { continue };
            let flags = flags(&view, message.flags);
            let mut known = MessageData::new(uid(found), flags, wall_time(info.date), info.size);
            known.save_date = save_date(message.name);
            data.push(known);
        }
        Ok(data)
    }

    pub(super) fn flags(&self, uids: &UidSet) -> Result<Vec<MessageFlags>> {
        let view = self.view();
        let those = view.messages().filter(|message| uids.contains(uid(message.uid)));
        Ok(those.map(|message| MessageFlags::new(uid(message.uid), flags(&view, message.flags))).collect())
    }

    pub(super) fn read(&self, message: Uid) -> Result<maildir::MessageReader> {
        self.view().read(number(message)).map_err(told)
    }

    pub(super) fn set_flags(&self, uids: &UidSet, what: &SetFlags) -> Result<Vec<FlagsSet>> {
        if what.unchanged_since.is_some() {
            return Err(StoreError::new(StoreErrorKind::Cannot, "there are no mod-sequences to compare"));
        }
        let (change, wanted) = (what.change, &what.flags);
        let mut view = self.view();
        let names: Vec<&str> = wanted.keywords().iter().map(Keyword::as_str).collect();
        let (mut letters, without) = view.maildir().keyword_flags(&names).map_err(told)?;
        if !without.is_empty() && change != FlagChange::Remove {
            return Err(StoreError::new(
                StoreErrorKind::Limit,
                format!("no letters are left for {}", without.join(" ")),
            ));
        }
        letters |= system(wanted);
        let how = match change {
            FlagChange::Replace => maildir::FlagChange::Replace,
            FlagChange::Add => maildir::FlagChange::Add,
            FlagChange::Remove => maildir::FlagChange::Remove,
        };
        let those = Shared::those(&view, uids);
        let changed = view.set_flags(&those, how, letters);
        // New keywords are in the view only after a look.
        let seen = view.refresh().map_err(told)?;
        self.tell(&view, seen);
        let changed = changed.map_err(told)?;
        let by_us: UidSet = changed.iter().copied().map(uid).collect();
        self.tell_flags(&view, changed);
        let now = those.into_iter().filter_map(|uid| view.message(uid));
        let set = now.map(|message| {
            let now = MessageFlags::new(uid(message.uid), flags(&view, message.flags));
            let mut set = FlagsSet::new(now, false);
            set.changed = by_us.contains(uid(message.uid));
            set
        });
        Ok(set.collect())
    }

    pub(super) fn copy(&self, uids: &UidSet, target: &Maildir) -> Result<maildir::Copied> {
        let mut view = self.view();
        Shared::copy_those(&mut view, uids, target)
    }

    fn copy_those(view: &mut Mailbox, uids: &UidSet, target: &Maildir) -> Result<maildir::Copied> {
        let those = Shared::those(view, uids);
        if those.is_empty() {
            return Err(StoreError::new(StoreErrorKind::Expunged, "none of these messages is there"));
        }
        view.copy(&those, target).map_err(told)
    }

    /// Copies messages and then removes them here. The view stays locked meanwhile, so that of two sessions that move the same
    /// message one comes too late.
    pub(super) fn move_to(&self, uids: &UidSet, target: &Maildir) -> Result<maildir::Copied> {
        let mut view = self.view();
        let copied = Shared::copy_those(&mut view, uids, target)?;
        let sources: Vec<maildir::Uid> = copied.uids.iter().map(|(here, _)| *here).collect();
        self.remove(&mut view, &sources)?;
        Ok(copied)
    }

    pub(super) fn expunge(&self, only: Option<&UidSet>) -> Result<Vec<Uid>> {
        let mut view = self.view();
        let chosen = view.messages().filter(|message| {
            message.flags.contains(maildir::Flags::DELETED) && only.is_none_or(|only| only.contains(uid(message.uid)))
        });
        let chosen: Vec<maildir::Uid> = chosen.map(|message| message.uid).collect();
        self.remove(&mut view, &chosen)
    }

    fn remove(&self, view: &mut Mailbox, chosen: &[maildir::Uid]) -> Result<Vec<Uid>> {
        let removed = view.expunge(chosen);
        // After an error some may be gone; the next look finds that out.
        let gone: Vec<Uid> = removed.map_err(told)?.into_iter().map(uid).collect();
        if !gone.is_empty() {
            let uids = gone.iter().copied().collect();
            self.feed.tell(Change::Removed { uids, mod_seq: None });
        }
        Ok(gone)
    }
}

/// The flags of a message as IMAP writes them.
fn flags(view: &Mailbox, letters: maildir::Flags) -> Flags {
    let system = SYSTEM.iter().filter(|(letter, _)| letters.contains(*letter)).map(|(_, flag)| flag.clone());
    let keywords = view.keyword_names(letters).into_iter().filter_map(Keyword::new).map(Flag::Keyword);
    system.chain(keywords).collect()
}

/// The letters of the system's flags.
pub(super) fn system(flags: &Flags) -> maildir::Flags {
    let set = SYSTEM.iter().filter(|(_, flag)| flags.contains(flag));
    set.fold(maildir::Flags::NONE, |all, (letter, _)| all | *letter)
}

const SYSTEM: [(maildir::Flags, Flag); 5] = [
    (maildir::Flags::ANSWERED, Flag::Answered),
    (maildir::Flags::FLAGGED, Flag::Flagged),
    (maildir::Flags::DELETED, Flag::Deleted),
    (maildir::Flags::SEEN, Flag::Seen),
    (maildir::Flags::DRAFT, Flag::Draft),
];

fn wall_time(time: SystemTime) -> WallTime {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    WallTime::new(seconds, 0)
}

/// When a message came into its folder (RFC 8514 §3): every program makes a name of its own for a message that it puts into a
/// folder, be it new or a copy, and begins it with the seconds. The times of the file are no help, for they change with its flags.
fn save_date(name: &[u8]) -> Option<WallTime> {
    let dot = name.iter().position(|octet| *octet == b'.')?;
    // `parse` would take a sign.
    let digits = name[..dot].iter().all(u8::is_ascii_digit);
    let seconds = std::str::from_utf8(&name[..dot]).ok().filter(|_| digits)?.parse().ok()?;
    Some(WallTime::new(seconds, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_time() {
        assert_eq!(save_date(b"1700000000.M1P2.host,S=3").map(WallTime::unix_seconds), Some(1_700_000_000));
        for other in [&b"x.1"[..], b"1700000000", b"+1.x", b"-1.x", b".x", b"", b"99999999999999999999.x", b"\xFF.x"] {
            assert_eq!(save_date(other), None);
        }
    }
}
