//! One folder as all sessions of this process see it, and the news about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pillarbox_core::WallTime;
use pillarbox_imap::server::{Change, FlagChange, Snapshot, Status, StatusItem};
use pillarbox_imap::types::{Flag, Flags, Keyword, ModSeq, Uid, UidSet};
use pillarbox_maildir::{self as maildir, Keywords, Mailbox, Maildir};

use super::cache::Asked;
use super::email_id::email_id;
use super::looks::{AskedAt, Looked, Looks};
use super::news::News;
use super::numbers::Numbers;
use super::pool::Lane;
use super::unasked::Unasked;
use super::{Result, mailbox_id, number, told, uid, uid_next, uid_validity};
use crate::parts::{FlagsSet, MessageData, MessageFlags, Progress, SetFlags, StoreError, StoreErrorKind};
use crate::store::feed::{Feed, FeedReader, Told, Watcher};

/// A folder's view and its feed. Whoever changes the view tells the feed before letting go of the lock, so that everyone
/// hears of changes in the order in which they were made.
pub(super) struct Shared {
    pub(super) folder: Maildir,
    view: Mutex<Mailbox>,
    asked: Mutex<Asked>,
    feed: Arc<Feed>,
    /// The keywords that were told last.
    keywords: Mutex<Keywords>,
    gone: AtomicBool,
    looks: Arc<Looks>,
    looked: Looked,
    pub(super) unasked: Unasked,
    pub(super) numbers: Numbers,
    pub(super) news: News,
    /// Where its account's turns are.
    pub(super) lane: Lane,
}

impl Shared {
    pub(super) fn new(view: Mailbox, lane: Lane, looks: Arc<Looks>) -> Self {
        let folder = view.maildir().clone();
        let keywords = Mutex::new(view.keywords().clone());
        Shared {
            folder,
            view: Mutex::new(view),
            asked: Mutex::default(),
            feed: Arc::default(),
            keywords,
            gone: AtomicBool::new(false),
            looks,
            looked: Looked::default(),
            unasked: Unasked::default(),
            numbers: Numbers::default(),
            news: News::default(),
            lane,
        }
    }

    pub(super) fn view(&self) -> MutexGuard<'_, Mailbox> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reader(&self) -> FeedReader {
        self.feed.reader()
    }

    pub(super) fn watcher(&self) -> Watcher {
        self.feed.watcher()
    }

    /// Whether the folder was deleted, or its UIDs are no longer those that sessions know.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// This, unless it is gone: its folder may hold another mailbox by now.
    pub(super) fn while_there(&self) -> Result<&Self> {
        match self.is_gone() {
            true => Err(StoreError::new(StoreErrorKind::NoSuchMailbox, "the mailbox was deleted or renamed")),
            false => Ok(self),
        }
    }

    pub(super) fn gone(&self) {
        self.gone.store(true, Ordering::Release);
        self.feed.tell(Change::Gone);
    }

    /// When a question about the folder is asked, for [`refresh_since`](Shared::refresh_since).
    pub(super) fn now(&self) -> AskedAt {
        self.looks.now()
    }

    /// Looks at the folder and tells what others changed in it.
    pub(super) fn refresh(&self) -> Result<()> {
        self.look(self.view())
    }

    /// The same, unless that was done while who asked this waited for a turn.
    pub(super) fn refresh_since(&self, asked: AskedAt) -> Result<()> {
        let view = self.view();
        match self.looked.answers(asked) {
            true => Ok(()),
            false => self.look(view),
        }
    }

    fn look(&self, mut view: MutexGuard<'_, Mailbox>) -> Result<()> {
        let begun = self.looks.begin();
        let reading = Instant::now();
        let refreshed = view.refresh();
        self.unasked.looked(reading.elapsed());
        match refreshed {
            Ok(changes) => {
                self.looked.ended(begun);
                self.tell(&view, changes);
            }
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

    /// Looks at the folder if something was put there and nobody has looked since.
    pub(super) fn catch_up(&self) {
        self.unasked.catch_up(|asked| {
            // Trouble meets the sessions again when they look themselves.
            let _ = self.refresh_since(asked);
        });
    }

    /// Whether somebody waits for what happens next.
    pub(super) fn is_awaited(&self) -> bool {
        self.feed.is_waited_for()
    }

    /// How often sessions were told something.
    pub(super) fn told(&self) -> Told {
        self.feed.told()
    }

    fn tell(&self, view: &Mailbox, changes: maildir::Changes) {
        self.news.looked(changes.held_back.is_some(), view.is_in_doubt());
        if changes.reset {
            return self.gone();
        }
        let mut told = in_order(view, &changes);
        told.extend(changed_flags(view, changes.flags));
        // Who hears of a mod-sequence has heard of all below it.
        told.sort_by_key(|(mod_seq, _)| *mod_seq);
        self.tell_changes(view, told.into_iter().map(|(_, change)| change).collect());
    }

    /// Tells changes, and in front of them of keywords that are new, whoever made them.
    fn tell_changes(&self, view: &Mailbox, mut changes: Vec<Change>) {
        let mut told = self.keywords.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != *view.keywords() {
            told.clone_from(view.keywords());
            let (keywords, can_be_made) = (keywords(view), keywords_can_be_made(view));
            changes.insert(0, Change::Keywords { keywords, can_be_made });
        }
        drop(told);
        self.feed.tell_all(changes);
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
        snapshot.keywords_can_be_made = keywords_can_be_made(&view);
        snapshot.keywords = keywords(&view);
        snapshot.read_only = read_only;
        snapshot.highest_mod_seq = view.highest_mod_seq().and_then(ModSeq::new);
        snapshot.mailbox_id = mailbox_id(view.maildir());
        Ok((snapshot, reader))
    }

    /// The numbers, and the sum of the sizes if it is wanted: of a message whose name does not tell its size the file is read.
    pub(super) fn status(&self, items: &[StatusItem]) -> Result<Status> {
        Shared::status_of(&mut self.view(), items)
    }

    pub(super) fn status_of(view: &mut Mailbox, items: &[StatusItem]) -> Result<Status> {
        let mut status = Status::new(uid_validity(view.uid_validity())?, uid_next(view.uid_next()));
        status.messages = u32::try_from(view.messages().len()).unwrap_or(u32::MAX);
        let unseen = view.messages().filter(|message| !message.flags.contains(maildir::Flags::SEEN)).count();
        status.unseen = u32::try_from(unseen).unwrap_or(u32::MAX);
        let deleted = view.messages().filter(|message| message.flags.contains(maildir::Flags::DELETED)).count();
        status.deleted = u32::try_from(deleted).unwrap_or(u32::MAX);
        status.mailbox_id = mailbox_id(view.maildir());
        status.highest_mod_seq = view.highest_mod_seq().and_then(ModSeq::new);
        let of_all = items.contains(&StatusItem::Size);
        if of_all || items.contains(&StatusItem::DeletedStorage) {
            let is_deleted = |flags: maildir::Flags| flags.contains(maildir::Flags::DELETED);
            let sizes: Vec<_> = view
                .messages()
                .filter(|message| of_all || is_deleted(message.flags))
                .map(|message| (message.uid, message.size, is_deleted(message.flags)))
                .collect();
            for (uid, size, deleted) in sizes {
                let size = match size.map_or_else(|| view.info(uid).map(|info| info.size), Ok) {
                    // Another program was quicker.
                    Err(maildir::MaildirError::NoSuchMessage(_)) => 0,
                    size => size.map_err(told)?,
                };
                status.size = status.size.saturating_add(size);
                if deleted {
                    status.deleted_storage = status.deleted_storage.saturating_add(size);
                }
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
        self.catch_up();
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
            known.mod_seq = mod_seq(&view, found);
            known.save_date = save_date(message.name);
            known.email_id = Some(email_id(message.guid));
            data.push(known);
        }
        Ok(data)
    }

    pub(super) fn flags(&self, uids: &UidSet) -> Result<Vec<MessageFlags>> {
        self.catch_up();
        let view = self.view();
        let those = view.messages().filter(|message| uids.contains(uid(message.uid)));
        Ok(those.map(|message| message_flags(&view, &message)).collect())
    }

    /// Those of these messages that changed after a mod-sequence. Where that is not known, any of them may have.
    pub(super) fn changed(&self, uids: &UidSet, since: ModSeq) -> Result<UidSet> {
        self.catch_up();
        let view = self.view();
        let is_changed = |number: &maildir::Uid| mod_seq(&view, *number).is_none_or(|mod_seq| mod_seq > since);
        Ok(Shared::those(&view, uids).into_iter().filter(is_changed).map(uid).collect())
    }

    /// RFC 7162 §3.2.6
    pub(super) fn vanished(&self, uids: &UidSet, since: ModSeq) -> Result<UidSet> {
        self.catch_up();
        let view = self.view();
        let there: UidSet = view.messages().map(|message| uid(message.uid)).collect();
        let gone: UidSet = match view.removed_since(since.get()) {
            Some(gone) => gone.into_iter().map(|(first, last)| uid(first)..=uid(last)).collect(),
            // Nobody knows: all numbers that were given.
            None => Uid::new(view.uid_next() - 1).map(|last| Uid::MIN..=last).into_iter().collect(),
        };
        Ok(gone.intersect(uids).without(&there))
    }

    pub(super) fn read(&self, message: Uid) -> Result<maildir::MessageReader> {
        self.view().read(number(message)).map_err(told)
    }

    /// The folder, which counts there what is done with its messages.
    fn counting(&self, progress: &Progress) -> MutexGuard<'_, Mailbox> {
        let mut view = self.view();
        view.count_in(progress.counter());
        view
    }

    pub(super) fn set_flags(&self, uids: &UidSet, what: &SetFlags, progress: &Progress) -> Result<Vec<FlagsSet>> {
        let (change, wanted) = (what.change, &what.flags);
        let mut view = self.counting(progress);
        let names: Vec<&str> = wanted.keywords().iter().map(Keyword::as_str).collect();
        let (mut letters, without) = match change {
            // What nobody has needs no letter to be taken away.
            FlagChange::Remove => (letters_of(view.maildir(), &names)?, Vec::new()),
            _ => view.maildir().keyword_flags(&names).map_err(told)?,
        };
        if !without.is_empty() {
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
        let done = match what.unchanged_since {
            Some(since) => {
                view.set_flags_unless_changed(&those, how, letters, since).map(|set| (set.changed, set.refused))
            }
            None => view.set_flags(&those, how, letters).map(|changed| (changed, Vec::new())),
        };
        // What others did came first, and so does what became of it if we failed half-way.
        let news = view.news();
        self.tell(&view, news);
        let (changed, refused) = done.map_err(told)?;
        let by_us: UidSet = changed.iter().copied().map(uid).collect();
        let refused: UidSet = refused.into_iter().map(uid).collect();
        self.tell_changes(&view, changed_flags(&view, changed).map(|(_, change)| change).collect());
        let now = those.into_iter().filter_map(|uid| view.message(uid));
        let set = now.map(|message| {
            let number = uid(message.uid);
            let mut set = FlagsSet::new(message_flags(&view, &message), refused.contains(number));
            set.changed = by_us.contains(number);
            set
        });
        Ok(set.collect())
    }

    /// Copies messages, if there is `room` for what they use.
    pub(super) fn copy(
        &self,
        uids: &UidSet,
        target: &Maildir,
        room: Option<impl FnOnce(maildir::Usage) -> Result<()>>,
        progress: &Progress,
    ) -> Result<maildir::Copied> {
        let Some(room) = room else { return Shared::copy_those(&mut self.counting(progress), uids, target) };
        let (those, adding) = {
            let mut view = self.view();
            let those = Shared::those(&view, uids);
            let adding = view.usage_of(&those).map_err(told)?;
            (those.into_iter().map(uid).collect(), adding)
        };
        // The account may have to be counted, for which it looks at all its messages: others need this folder meanwhile.
        room(adding)?;
        Shared::copy_those(&mut self.counting(progress), &those, target)
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
    pub(super) fn move_to(&self, uids: &UidSet, target: &Maildir, progress: &Progress) -> Result<maildir::Copied> {
        let mut view = self.counting(progress);
        let copied = Shared::copy_those(&mut view, uids, target)?;
        let sources: Vec<maildir::Uid> = copied.uids.iter().map(|(here, _)| *here).collect();
        let removed = view.expunge(&sources);
        self.removed(&mut view, removed)?;
        Ok(copied)
    }

    /// What a message uses of its account's quota; nothing if it is gone.
    pub(super) fn usage_of(&self, message: Uid) -> Result<maildir::Usage> {
        self.view().usage_of(&[number(message)]).map_err(told)
    }

    /// Puts a message into its folder, and removes one here. The view stays locked meanwhile, so that of two sessions that replace
    /// the same message one comes too late.
    ///
    /// The message was named under this UIDVALIDITY: another folder may be here since, in which its number is another message's.
    pub(super) fn replace(&self, message: Uid, of: u32, by: maildir::Prepared) -> Result<maildir::Appended> {
        let mut view = self.view();
        if self.is_gone() || view.uid_validity() != of {
            return Err(StoreError::new(StoreErrorKind::Expunged, "the mailbox of the message to be replaced is gone"));
        }
        let replaced = view.replace(number(message), by);
        let removed = if replaced.is_ok() { vec![number(message)] } else { Vec::new() };
        self.removed(&mut view, Ok(removed))?;
        replaced.map_err(told)
    }

    pub(super) fn expunge(&self, only: Option<&UidSet>, progress: &Progress) -> Result<Vec<Uid>> {
        let mut view = self.counting(progress);
        let removed = view.expunge_deleted(|message| only.is_none_or(|only| only.contains(uid(message))));
        self.removed(&mut view, removed)
    }

    /// Tells what became of a removal.
    fn removed(&self, view: &mut Mailbox, removed: maildir::Result<Vec<maildir::Uid>>) -> Result<Vec<Uid>> {
        // What others did came first, and so does what became of it if we failed half-way.
        let news = view.news();
        self.tell(view, news);
        let removed = removed.map_err(told)?;
        let told = removals(view, &removed).map(|(_, change)| change).collect();
        self.feed.tell_all(told);
        Ok(removed.into_iter().map(uid).collect())
    }
}

fn keywords(view: &Mailbox) -> Vec<Flag> {
    let names: BTreeSet<Keyword> = view.keywords().iter().filter_map(|(_, name)| Keyword::new(name)).collect();
    names.into_iter().map(Flag::Keyword).collect()
}

/// Whether a letter is left.
fn keywords_can_be_made(view: &Mailbox) -> bool {
    view.keywords().iter().count() < 26
}

/// A change and its mod-sequence.
type Dated = (Option<ModSeq>, Change);

/// What went and what came.
fn in_order(view: &Mailbox, changes: &maildir::Changes) -> Vec<Dated> {
    let mut told: Vec<Dated> = removals(view, &changes.removed).collect();
    let added: Vec<(Option<ModSeq>, Uid)> =
        changes.added.iter().map(|number| (mod_seq(view, *number), uid(*number))).collect();
    let added_at = |added: &[(Option<ModSeq>, Uid)]| {
        let mod_seq = added.iter().map(|(mod_seq, _)| *mod_seq).max().flatten();
        (mod_seq, Change::Added { uids: added.iter().map(|(_, uid)| *uid).collect(), mod_seq })
    };
    match added.is_sorted_by_key(|(mod_seq, _)| *mod_seq) {
        true => told.extend(added.chunk_by(|(one, _), (other, _)| one == other).map(added_at)),
        // One that came early was changed since. They have to be told in the order of UIDs, and so only at once.
        false => told.push(added_at(&added)),
    }
    told
}

fn removals(view: &Mailbox, removed: &[maildir::Uid]) -> impl Iterator<Item = Dated> {
    let mut by_mod_seq: BTreeMap<Option<ModSeq>, UidSet> = BTreeMap::new();
    for (number, at) in removed.iter().zip(view.removed_at(removed)) {
        by_mod_seq.entry(at.and_then(ModSeq::new)).or_default().insert(uid(*number));
    }
    by_mod_seq.into_iter().map(|(mod_seq, uids)| (mod_seq, Change::Removed { uids, mod_seq }))
}

fn changed_flags(view: &Mailbox, changed: Vec<maildir::Uid>) -> impl Iterator<Item = Dated> {
    let changed = changed.into_iter().filter_map(|uid| view.message(uid));
    changed.map(|message| {
        let MessageFlags { uid, flags, mod_seq } = message_flags(view, &message);
        (mod_seq, Change::Flags { uid, flags, mod_seq })
    })
}

fn mod_seq(view: &Mailbox, message: maildir::Uid) -> Option<ModSeq> {
    view.mod_seq(message).and_then(ModSeq::new)
}

fn message_flags(view: &Mailbox, message: &maildir::Message<'_>) -> MessageFlags {
    let mut told = MessageFlags::new(uid(message.uid), flags(view, message.flags));
    told.mod_seq = mod_seq(view, message.uid);
    told
}

/// The letters that these keywords have, as far as they have any; `$Forwarded` may also stand as the letter P.
fn letters_of(maildir: &Maildir, names: &[&str]) -> Result<maildir::Flags> {
    let keywords = maildir.keywords().map_err(told)?;
    let is_wanted = |known: &str| names.iter().any(|name| name.eq_ignore_ascii_case(known));
    let known = keywords.iter().filter(|(_, name)| is_wanted(name));
    let letters = known.filter_map(|(number, _)| maildir::Flags::keyword(number));
    let passed = if is_wanted("$Forwarded") { maildir::Flags::PASSED } else { maildir::Flags::NONE };
    Ok(letters.fold(passed, |all, letter| all | letter))
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
    use crate::parts::Identity;
    use crate::store::MaildirStore;

    #[tokio::test]
    async fn nobody_waits_for_a_folder_while_its_account_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_owned();
        let store = MaildirStore::new(move |_| Some(root.clone()));
        let user = Identity::new("you");
        let lane = store.inner.pool.lane(&user);
        let copied = store.on_tree(&user, move |inner, tree| {
            let inbox = tree.mailbox(&maildir::MailboxName::inbox()).map_err(told)?;
            let mut incoming = inbox.begin().map_err(told)?;
            incoming.write(b"a message").map_err(told)?;
            inbox.append(vec![incoming.prepare(maildir::Flags::NONE, None).map_err(told)?]).map_err(told)?;
            let shared = inner.shared(lane, &inbox, false)?;
            let counting = |adding: maildir::Usage| {
                assert_eq!(adding.messages, 1);
                assert!(shared.view.try_lock().is_ok(), "somebody else may look at it");
                Ok(())
            };
            let all = [Uid::MIN..=Uid::MAX].into_iter().collect();
            shared.copy(&all, &inbox, Some(counting), &Progress::default())
        });
        assert_eq!(copied.await.unwrap().uids.len(), 1);
    }

    #[test]
    fn names_begin_with_the_time() {
        assert_eq!(save_date(b"1700000000.M1P2.host,S=3").map(WallTime::unix_seconds), Some(1_700_000_000));
        for other in [&b"x.1"[..], b"1700000000", b"+1.x", b"-1.x", b".x", b"", b"99999999999999999999.x", b"\xFF.x"] {
            assert_eq!(save_date(other), None);
        }
    }
}
