//! What is in a mailbox, and what becomes of it: every change under a mod-sequence of its own, told to all who have it open.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use pillarbox_core::WallTime;
use pillarbox_imap::server::{Change, FlagChange, Snapshot, Status};
use pillarbox_imap::types::{Flag, Flags, Keyword, ModSeq, ObjectId, SpecialUse, Uid, UidSet, UidValidity};

use super::lock;
use super::usage::{Usage, Used};
use crate::parts::{FlagsSet, MessageData, MessageFlags, SetFlags, StoreError, StoreErrorKind};
use crate::store::annotations::Annotations;
use crate::store::expunged::Expunged;
use crate::store::feed::Feed;

/// Keywords of a mailbox. Those that no message has any more give way when others come. Each new one is told with all others.
const KEYWORDS_MAX: usize = 100;

/// Flags of one message of which it is known when they changed.
const FLAG_TIMES_MAX: usize = 32;

/// One mailbox, shared by all who have it open.
pub(super) struct Shared {
    pub(super) uid_validity: UidValidity,
    pub(super) id: ObjectId,
    /// None once it was deleted, or is under another name: who has it open came to it by this one.
    contents: Mutex<Option<Contents>>,
    pub(super) feed: Arc<Feed>,
    /// What all mailboxes of the account hold, this one with them.
    used: Arc<Used>,
}

pub(super) struct Contents {
    #[cfg(feature = "maildir")]
    pub(super) acl: pillarbox_maildir::Acl,
    pub(super) annotations: Annotations,
    pub(super) uses: Vec<SpecialUse>,
    pub(super) messages: BTreeMap<Uid, Message>,
    numbers: Numbers,
    /// Those that messages have or had.
    keywords: BTreeSet<Keyword>,
    uid_next: Uid,
    highest: ModSeq,
    expunged: Expunged,
}

/// What STATUS says of the messages. It is kept, as many sessions may ask for it each time that one message comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Numbers {
    seen: u32,
    deleted: u32,
    octets: u64,
    deleted_octets: u64,
}

impl Numbers {
    fn of(letter: &Letter) -> Self {
        let octets = letter.octets.len() as u64;
        let [seen, deleted] = [Flag::Seen, Flag::Deleted].map(|flag| letter.flags.contains(&flag));
        let deleted_octets = if deleted { octets } else { 0 };
        Numbers { seen: seen.into(), deleted: deleted.into(), octets, deleted_octets }
    }

    fn add(&mut self, more: Numbers) {
        self.seen += more.seen;
        self.deleted += more.deleted;
        self.octets += more.octets;
        self.deleted_octets += more.deleted_octets;
    }

    /// What was added before.
    fn take_away(&mut self, less: Numbers) {
        self.seen -= less.seen;
        self.deleted -= less.deleted;
        self.octets -= less.octets;
        self.deleted_octets -= less.deleted_octets;
    }
}

/// What a message is wherever it lies.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) flags: Flags,
    pub(super) date: WallTime,
    pub(super) octets: Arc<[u8]>,
    pub(super) id: ObjectId,
}

/// A message in its mailbox.
pub(super) struct Message {
    pub(super) letter: Letter,
    /// When it came here.
    saved: WallTime,
    /// At which mod-sequence it came, and at which it changed last.
    added: ModSeq,
    mod_seq: ModSeq,
    /// When its flags changed, the last of them last.
    flag_times: Vec<(Flag, ModSeq)>,
    /// The highest mod-sequence of those that are not in the list any more.
    flags_before: Option<ModSeq>,
}

impl Message {
    pub(super) fn data(&self, uid: Uid) -> MessageData {
        let Letter { flags, date, octets, id } = &self.letter;
        let mut data = MessageData::new(uid, flags.clone(), *date, octets.len() as u64);
        data.mod_seq = Some(self.mod_seq);
        data.save_date = Some(self.saved);
        data.email_id = Some(id.clone());
        data
    }

    fn flags(&self, uid: Uid) -> MessageFlags {
        let mut now = MessageFlags::new(uid, self.letter.flags.clone());
        now.mod_seq = Some(self.mod_seq);
        now
    }

    /// Whether what STORE is about did not change after a mod-sequence (RFC 7162 §3.1.3, §3.1.12).
    fn is_unchanged(&self, what: &SetFlags, since: u64) -> bool {
        let is_old = |mod_seq: ModSeq| mod_seq.get() <= since;
        if what.change == FlagChange::Replace {
            return is_old(self.mod_seq);
        }
        what.flags.iter().all(|flag| {
            let known = self.flag_times.iter().find(|(known, _)| *known == flag).map(|(_, at)| *at);
            match known.or(self.flags_before) {
                Some(at) => is_old(at),
                // RFC 7162 §3.1.3: a system flag always exists; a keyword that was never set did not change either.
                None => is_old(self.added) || matches!(flag, Flag::Keyword(_)) && !self.letter.flags.contains(&flag),
            }
        })
    }

    /// Changes flags; false if they were so before.
    fn change(&mut self, what: &SetFlags, mod_seq: ModSeq) -> bool {
        let before = self.letter.flags.clone();
        match what.change {
            FlagChange::Replace => self.letter.flags = what.flags.clone(),
            FlagChange::Add => what.flags.iter().for_each(|flag| {
                self.letter.flags.insert(flag);
            }),
            FlagChange::Remove => what.flags.iter().for_each(|flag| {
                self.letter.flags.remove(&flag);
            }),
        }
        let now = &self.letter.flags;
        if *now == before {
            return false;
        }
        let changed: Vec<Flag> =
            before.iter().chain(now.iter()).filter(|flag| before.contains(flag) != now.contains(flag)).collect();
        self.flag_times.retain(|(flag, _)| !changed.contains(flag));
        self.flag_times.extend(changed.into_iter().map(|flag| (flag, mod_seq)));
        let too_many = self.flag_times.len().saturating_sub(FLAG_TIMES_MAX);
        for (_, at) in self.flag_times.drain(..too_many) {
            self.flags_before = self.flags_before.max(Some(at));
        }
        self.mod_seq = mod_seq;
        true
    }
}

/// The contents of a mailbox that is there, for the time that nobody else has them.
pub(super) struct Locked<'a>(MutexGuard<'a, Option<Contents>>);

impl Deref for Locked<'_> {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        self.0.as_ref().expect("whoever made this has looked")
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Contents {
        self.0.as_mut().expect("whoever made this has looked")
    }
}

impl Contents {
    /// 63 bits outlast every process.
    fn next_mod_seq(&mut self) -> ModSeq {
        self.highest = self.highest.next().unwrap_or(self.highest);
        self.highest
    }

    /// The first UID of so many messages that come; the ones behind it are theirs as well.
    fn uids_for(&mut self, count: usize) -> Result<u32, StoreError> {
        let first = self.uid_next.get();
        let next = u32::try_from(count).ok().and_then(|count| first.checked_add(count)).and_then(Uid::new);
        self.uid_next = next.ok_or_else(|| StoreError::new(StoreErrorKind::Limit, "no UIDs are left"))?;
        Ok(first)
    }

    fn add(&mut self, uid: Uid, letter: Letter, saved: WallTime, mod_seq: ModSeq) {
        self.numbers.add(Numbers::of(&letter));
        let (flag_times, flags_before) = (Vec::new(), None);
        let message = Message { letter, saved, added: mod_seq, mod_seq, flag_times, flags_before };
        self.messages.insert(uid, message);
    }

    fn usage(&self) -> Usage {
        Usage::of(self.messages.values().map(|message| message.letter.octets.len()))
    }

    /// Whether the keywords that messages are about to get are no more than there may be.
    fn admit<'a>(&mut self, all: impl IntoIterator<Item = &'a Flags>) -> Result<(), StoreError> {
        let wanted: BTreeSet<&Keyword> = all.into_iter().flat_map(|flags| flags.keywords()).collect();
        let new = wanted.iter().filter(|keyword| !self.keywords.contains(**keyword)).count();
        // A mailbox below the limit is not looked through.
        if new == 0 || self.keywords.len() + new <= KEYWORDS_MAX {
            return Ok(());
        }
        let carried = self.carried();
        let more = wanted.iter().filter(|keyword| !carried.contains(**keyword)).count();
        if carried.len() + more > KEYWORDS_MAX {
            return Err(StoreError::new(StoreErrorKind::Limit, "the mailbox may have no more keywords"));
        }
        self.keywords = carried;
        Ok(())
    }

    /// The keywords that messages have.
    fn carried(&self) -> BTreeSet<Keyword> {
        let flags = self.messages.values().map(|message| &message.letter.flags);
        flags.flat_map(|flags| flags.keywords()).cloned().collect()
    }

    /// Takes note of keywords that a message is about to get; the news, if one of them is new here.
    fn learn_keywords(&mut self, flags: &Flags) -> Option<Change> {
        let known = self.keywords.len();
        self.keywords.extend(flags.keywords().iter().cloned());
        if self.keywords.len() == known {
            return None;
        }
        Some(Change::Keywords { keywords: self.keywords(), can_be_made: self.keywords_can_be_made(flags) })
    }

    /// Whether there may be others, also when a message has these flags.
    fn keywords_can_be_made(&self, with: &Flags) -> bool {
        if self.keywords.len() < KEYWORDS_MAX {
            return true;
        }
        let mut carried = self.carried();
        carried.extend(with.keywords().iter().cloned());
        carried.len() < KEYWORDS_MAX
    }

    fn keywords(&self) -> Vec<Flag> {
        self.keywords.iter().cloned().map(Flag::Keyword).collect()
    }

    /// Those of these messages that are there.
    pub(super) fn those<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (Uid, &'a Message)> {
        uids.ranges().flat_map(|range| self.messages.range(range)).map(|(uid, message)| (*uid, message))
    }

    pub(super) fn flags(&self, uids: &UidSet) -> Vec<MessageFlags> {
        self.those(uids).map(|(uid, message)| message.flags(uid)).collect()
    }

    pub(super) fn changed(&self, uids: &UidSet, since: ModSeq) -> UidSet {
        self.those(uids).filter(|(_, message)| message.mod_seq > since).map(|(uid, _)| uid).collect()
    }

    /// RFC 7162 §3.2.6
    pub(super) fn vanished(&self, uids: &UidSet, since: ModSeq) -> UidSet {
        if let Some(gone) = self.expunged.since(since) {
            return gone.intersect(uids);
        }
        let there_were: UidSet = Uid::new(self.uid_next.get() - 1).map(|last| Uid::MIN..=last).into_iter().collect();
        uids.intersect(&there_were).without(&self.messages.keys().copied().collect())
    }
}

impl Shared {
    pub(super) fn new(uid_validity: UidValidity, id: ObjectId, uses: &[SpecialUse], used: Arc<Used>) -> Self {
        let (messages, keywords, expunged) = (BTreeMap::new(), BTreeSet::new(), Expunged::default());
        let contents = Contents {
            #[cfg(feature = "maildir")]
            acl: pillarbox_maildir::Acl::default(),
            annotations: Annotations::default(),
            uses: uses.to_vec(),
            messages,
            numbers: Numbers::default(),
            keywords,
            uid_next: Uid::MIN,
            highest: ModSeq::MIN,
            expunged,
        };
        Shared::of(uid_validity, id, contents, used)
    }

    fn of(uid_validity: UidValidity, id: ObjectId, contents: Contents, used: Arc<Used>) -> Self {
        Shared { uid_validity, id, contents: Mutex::new(Some(contents)), feed: Arc::default(), used }
    }

    /// What it is for. One that is gone is for nothing.
    pub(super) fn uses(&self) -> Vec<SpecialUse> {
        self.contents().map(|contents| contents.uses.clone()).unwrap_or_default()
    }

    /// What is in it, unless it is gone.
    pub(super) fn contents(&self) -> Result<Locked<'_>, StoreError> {
        let contents = lock(&self.contents);
        match contents.is_some() {
            true => Ok(Locked(contents)),
            false => Err(StoreError::new(StoreErrorKind::NoSuchMailbox, "the mailbox was deleted or renamed")),
        }
    }

    /// Takes everything out of it, and tells those who have it open.
    fn empty(&self) -> Option<Contents> {
        let mut contents = lock(&self.contents);
        self.feed.tell(Change::Gone);
        contents.take()
    }

    /// It was deleted.
    pub(super) fn gone(&self) {
        if let Some(contents) = self.empty() {
            self.used.give_back(contents.usage());
        }
    }

    /// The same mailbox for those who come to it by another name. Who has it open cannot go on.
    pub(super) fn renamed(&self) -> Result<Shared, StoreError> {
        let contents = self.empty().ok_or_else(|| StoreError::new(StoreErrorKind::NoSuchMailbox, "it is gone"))?;
        Ok(Shared::of(self.uid_validity, self.id.clone(), contents, Arc::clone(&self.used)))
    }

    /// Whether the account has room for messages.
    pub(super) fn room(&self, coming: Usage) -> Result<(), StoreError> {
        self.used.room(coming)
    }

    /// Adds messages all at once, for which others of the account will go `instead`. Changes are told while the contents are
    /// locked, so that they come in order.
    pub(super) fn add(&self, letters: Vec<Letter>, saved: WallTime, instead: Usage) -> Result<Vec<Uid>, StoreError> {
        let mut contents = self.contents()?;
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        contents.admit(letters.iter().map(|letter| &letter.flags))?;
        let coming = Usage::of(letters.iter().map(|letter| letter.octets.len()));
        self.used.take(coming, instead)?;
        let first = contents.uids_for(letters.len()).inspect_err(|_| self.used.give_back(coming))?;
        let mod_seq = contents.next_mod_seq();
        let uids: Vec<Uid> = (first..).filter_map(Uid::new).take(letters.len()).collect();
        for (uid, letter) in uids.iter().zip(letters) {
            if let Some(news) = contents.learn_keywords(&letter.flags) {
                self.feed.tell(news);
            }
            contents.add(*uid, letter, saved, mod_seq);
        }
        self.feed.tell(Change::Added { uids: uids.clone(), mod_seq: Some(mod_seq) });
        Ok(uids)
    }

    /// Removes those of these messages that are there, and says which.
    pub(super) fn remove(&self, uids: &[Uid]) -> Result<Vec<Uid>, StoreError> {
        let mut contents = self.contents()?;
        let contents = &mut *contents;
        let removed = uids.iter().filter_map(|uid| {
            let letter = contents.messages.remove(uid)?.letter;
            contents.numbers.take_away(Numbers::of(&letter));
            Some((*uid, letter.octets.len()))
        });
        let (gone, sizes): (Vec<Uid>, Vec<usize>) = removed.unzip();
        self.used.give_back(Usage::of(sizes));
        if !gone.is_empty() {
            let (uids, mod_seq): (UidSet, _) = (gone.iter().copied().collect(), contents.next_mod_seq());
            contents.expunged.remember(&uids, mod_seq);
            self.feed.tell(Change::Removed { uids, mod_seq: Some(mod_seq) });
        }
        Ok(gone)
    }

    /// Puts messages into a mailbox, which may be this one, and then removes one here. If that is gone already, nothing is put
    /// there.
    pub(super) fn replace(
        &self,
        uid: Uid,
        target: &Shared,
        letters: Vec<Letter>,
        saved: WallTime,
    ) -> Result<Vec<Uid>, StoreError> {
        let expunged = || StoreError::new(StoreErrorKind::Expunged, format!("message {uid} is gone"));
        let old =
            self.contents()?.messages.get(&uid).map(|message| message.letter.octets.len()).ok_or_else(expunged)?;
        let added = target.add(letters, saved, Usage::of([old]))?;
        let removed = self.remove(&[uid]);
        if removed.as_ref().map_or(true, Vec::is_empty) {
            // Somebody was quicker. If the target is gone too, so is what was put there.
            let _ = target.remove(&added);
            return Err(removed.err().unwrap_or_else(expunged));
        }
        Ok(added)
    }

    pub(super) fn set_flags(&self, uids: &UidSet, what: &SetFlags) -> Result<Vec<FlagsSet>, StoreError> {
        let mut contents = self.contents()?;
        let contents = &mut *contents;
        let mod_seq = contents.highest.next().unwrap_or(contents.highest);
        let (mut set, mut changes) = (Vec::new(), Vec::new());
        if what.change != FlagChange::Remove && contents.those(uids).next().is_some() {
            contents.admit([&what.flags])?;
            changes.extend(contents.learn_keywords(&what.flags));
        }
        for range in uids.ranges() {
            for (uid, message) in contents.messages.range_mut(range) {
                let refused = what.unchanged_since.is_some_and(|since| !message.is_unchanged(what, since));
                let before = Numbers::of(&message.letter);
                let changed = !refused && message.change(what, mod_seq);
                if changed {
                    contents.numbers.take_away(before);
                    contents.numbers.add(Numbers::of(&message.letter));
                    let flags = message.letter.flags.clone();
                    changes.push(Change::Flags { uid: *uid, flags, mod_seq: Some(mod_seq) });
                }
                let mut one = FlagsSet::new(message.flags(*uid), refused);
                one.changed = changed;
                set.push(one);
            }
        }
        // RFC 7162 §3.1: a flag that is set already changes nothing.
        if set.iter().any(|one: &FlagsSet| one.changed) {
            contents.highest = mod_seq;
        }
        self.feed.tell_all(changes);
        Ok(set)
    }

    /// The mailbox as it is, and something that is to be done before it changes.
    pub(super) fn snapshot_and<T>(&self, read_only: bool, at_once: impl FnOnce() -> T) -> Result<Snapshot, StoreError> {
        let contents = self.contents()?;
        at_once();
        let mut snapshot = Snapshot::new(self.uid_validity, contents.uid_next);
        snapshot.uids = contents.messages.keys().copied().collect();
        let flags = || contents.messages.iter().map(|(uid, message)| (*uid, &message.letter.flags));
        snapshot.first_unseen = flags().find(|(_, flags)| !flags.contains(&Flag::Seen)).map(|(uid, _)| uid);
        snapshot.keywords = contents.keywords();
        snapshot.keywords_can_be_made = contents.keywords_can_be_made(&Flags::new());
        snapshot.read_only = read_only;
        snapshot.highest_mod_seq = Some(contents.highest);
        snapshot.mailbox_id = Some(self.id.clone());
        Ok(snapshot)
    }

    pub(super) fn status(&self) -> Result<Status, StoreError> {
        let contents = self.contents()?;
        let Numbers { seen, deleted, octets, deleted_octets } = contents.numbers;
        let mut status = Status::new(self.uid_validity, contents.uid_next);
        status.messages = contents.messages.len() as u32;
        status.unseen = status.messages - seen;
        (status.deleted, status.deleted_storage, status.size) = (deleted, deleted_octets, octets);
        status.highest_mod_seq = Some(contents.highest);
        status.mailbox_id = Some(self.id.clone());
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_messages() {
        let shared = Shared::new(UidValidity::MIN, ObjectId::new("F").unwrap(), &[], Arc::default());
        let letter = |octets: &[u8], flags: &[Flag]| Letter {
            flags: flags.iter().cloned().collect(),
            date: WallTime::default(),
            octets: octets.into(),
            id: ObjectId::new("M").unwrap(),
        };
        let letters = vec![letter(b"one", &[]), letter(b"three", &[Flag::Seen]), letter(b"x", &[Flag::Deleted])];
        let uids = shared.add(letters, WallTime::default(), Usage::default()).unwrap();
        let numbers = |messages, unseen, deleted, deleted_storage, size| {
            let now = shared.status().unwrap();
            let of_all = [now.messages, now.unseen, now.deleted];
            assert_eq!((of_all, now.deleted_storage, now.size), ([messages, unseen, deleted], deleted_storage, size));
        };
        numbers(3, 2, 1, 1, 9);
        let set = |uid: Uid, change, flags: &[Flag]| {
            shared.set_flags(&UidSet::one(uid), &SetFlags::new(change, flags.iter().cloned().collect())).unwrap();
        };
        set(uids[0], FlagChange::Add, &[Flag::Seen, Flag::Deleted]);
        numbers(3, 1, 2, 4, 9);
        set(uids[1], FlagChange::Replace, &[Flag::Flagged]);
        set(uids[1], FlagChange::Replace, &[Flag::Flagged]);
        numbers(3, 2, 2, 4, 9);
        assert_eq!(shared.remove(&[uids[0], uids[0]]).unwrap(), [uids[0]]);
        numbers(2, 2, 1, 1, 6);
        set(uids[2], FlagChange::Remove, &[Flag::Deleted]);
        let renamed = shared.renamed().unwrap().status().unwrap();
        assert_eq!((renamed.messages, renamed.deleted, renamed.size), (2, 0, 6));
    }

    fn letter(flags: Flags, octets: usize) -> Letter {
        let octets = vec![b'x'; octets].into();
        Letter { flags, date: WallTime::default(), octets, id: ObjectId::new("M").unwrap() }
    }

    fn keyword(number: usize) -> Flag {
        Flag::parse(&format!("k{number}")).unwrap()
    }

    #[test]
    fn keywords_have_a_limit_and_those_that_nothing_has_give_way() {
        let shared = Shared::new(UidValidity::MIN, ObjectId::new("F").unwrap(), &[], Arc::default());
        let reader = shared.feed.reader();
        let add = |flags: Flags| shared.add(vec![letter(flags, 1)], WallTime::default(), Usage::default());
        let set = |uid: u32, change, number| {
            let one = UidSet::one(Uid::new(uid).unwrap());
            shared.set_flags(&one, &SetFlags::new(change, [keyword(number)].into_iter().collect())).map(drop)
        };
        let can_be_made = || shared.snapshot_and(false, || ()).unwrap().keywords_can_be_made;
        let told = || -> Vec<(usize, bool, bool)> {
            let seven = keyword(7);
            let told = reader.take().into_iter().filter_map(|change| match change {
                Change::Keywords { keywords, can_be_made } => {
                    Some((keywords.len(), keywords.contains(&seven), can_be_made))
                }
                _ => None,
            });
            told.collect()
        };
        for number in 0..KEYWORDS_MAX {
            assert!(can_be_made(), "{number}");
            add([keyword(number)].into_iter().collect()).unwrap();
        }
        assert_eq!(told().last(), Some(&(KEYWORDS_MAX, true, false)));
        assert!(!can_be_made());
        let before = shared.status().unwrap();
        for refused in [
            set(1, FlagChange::Add, 999),
            set(1, FlagChange::Replace, 999),
            add([keyword(999)].into_iter().collect()).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Limit);
        }
        assert_eq!((shared.status().unwrap(), told()), (before, Vec::new()));
        // The seventh is forgotten only when another one comes.
        set(8, FlagChange::Remove, 7).unwrap();
        assert!(can_be_made());
        assert_eq!(told(), []);
        set(1, FlagChange::Add, 999).unwrap();
        assert_eq!(told(), [(KEYWORDS_MAX, false, false)]);
        assert_eq!(set(1, FlagChange::Add, 7).unwrap_err().kind, StoreErrorKind::Limit);
        // So is what went with its message.
        shared.remove(&[Uid::new(21).unwrap(), Uid::new(31).unwrap()]).unwrap();
        add([keyword(7)].into_iter().collect()).unwrap();
        assert_eq!(told(), [(KEYWORDS_MAX - 1, true, true)]);
        set(1, FlagChange::Add, 20).unwrap();
        assert_eq!(told(), [(KEYWORDS_MAX, true, false)]);
        for _ in 0..1000 {
            set(1, FlagChange::Remove, 998).unwrap();
            set(1, FlagChange::Add, 20).unwrap();
        }
        assert_eq!(told(), []);
    }

    /// A message that is refused has no UID.
    #[test]
    fn what_has_no_room_moves_no_uid() {
        let used = Arc::new(Used::new(super::super::usage::Limits { octets: Some(10), messages: None }));
        let shared = Shared::new(UidValidity::MIN, ObjectId::new("F").unwrap(), &[], used);
        let add = |octets| shared.add(vec![letter(Flags::new(), octets)], WallTime::default(), Usage::default());
        assert_eq!(add(11).unwrap_err().kind, StoreErrorKind::OverQuota);
        assert_eq!(shared.status().unwrap().uid_next, Uid::MIN);
        assert_eq!(add(10).unwrap(), [Uid::MIN]);
        // And one that has no UID takes no room.
        shared.remove(&[Uid::MIN]).unwrap();
        shared.contents().unwrap().uid_next = Uid::new(u32::MAX).unwrap();
        assert_eq!(add(10).unwrap_err().kind, StoreErrorKind::Limit);
        shared.contents().unwrap().uid_next = Uid::MIN;
        add(10).unwrap();
    }

    /// Of one message that many flags change on, only the last of them are known apart; the others count as changed with them.
    #[test]
    fn times_of_flags_have_a_limit() {
        let shared = Shared::new(UidValidity::MIN, ObjectId::new("F").unwrap(), &[], Arc::default());
        let uid = shared.add(vec![letter(Flags::new(), 1)], WallTime::default(), Usage::default()).unwrap()[0];
        let one = UidSet::one(uid);
        let add = |flag: Flag, since: Option<u64>| {
            let mut what = SetFlags::new(FlagChange::Add, [flag].into_iter().collect());
            what.unchanged_since = since;
            shared.set_flags(&one, &what).unwrap()[0].refused
        };
        assert!(!add(keyword(0), Some(0)), "it was never set");
        assert!(add(keyword(0), Some(0)), "now it is");
        let between = shared.status().unwrap().highest_mod_seq.unwrap().get();
        for number in 1..=FLAG_TIMES_MAX {
            assert!(!add(keyword(number), None));
        }
        assert_eq!(shared.contents().unwrap().messages[&uid].flag_times.len(), FLAG_TIMES_MAX);
        assert!(!add(keyword(0), Some(between)), "it did not change since");
        assert!(add(keyword(1), Some(between)), "it did");
        add(keyword(99), None);
        assert!(add(keyword(98), Some(between)), "nobody knows any more that it was never set");
    }
}
