//! Looking at a folder: all of it where another program may have changed it, and only what is new where that is enough.
//!
//! A directory's time of change tells whether anything happened in it, within the steps of the file system's clock. So
//! equal times are proof only if the directory had been at rest when it was read. What we rename ourselves does not
//! send us through all names again; but a change that somebody else made in the same step as one of ours would be hidden by
//! it. Therefore `cur/` is read once more when it has been at rest, at the latest [`DOUBT_MAX`] after the change.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use pillarbox_fs::{ErrorKind, Kind, Metadata};

use crate::error::NotFound;
use crate::file_name::{self, Base, Form};
use crate::folder::Stamp;
use crate::listing::{Dir, DirStamps, Found, Listing, Named, path, stamp};
use crate::uid_list::{NewMessage, UidList};
use crate::view::View;
use crate::{Access, Changes, Mailbox, MaildirError, Result};

/// When all of this is as it was, nothing has changed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) dirs: DirStamps,
    pub(crate) uids: Option<Stamp>,
    /// How many files this process had put into `cur/`.
    pub(crate) own: u64,
    /// How many names the list had.
    pub(crate) listed: usize,
    /// `new/` had been at rest.
    pub(crate) new_settled: bool,
    /// `None`: `cur/` had been at rest. Otherwise since when it has been changed by us, and by nobody else as far as its time
    /// tells.
    pub(crate) doubt: Option<SystemTime>,
}

/// The file system's clock moves in steps, so a directory that has just changed may change again and look the same.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// How long a change of another program may stay hidden behind changes of ours that do not stop.
const DOUBT_MAX: Duration = Duration::from_secs(10);

/// Listings before a message is believed to be gone although the directories never kept still.
pub(crate) const LISTINGS_MAX: usize = 8;

/// Whether who lists has the lock on the UID list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    Held,
    Free,
}

/// What was moved from `new/` to `cur/`.
#[derive(Default)]
struct Taken {
    files: HashMap<Base, Box<[u8]>>,
    /// Something is still in `new/`.
    left: bool,
}

impl Mailbox {
    /// Whether a change of another program may be hidden behind one of ours, because both were made in the same step of the disk's
    /// clock. A [`refresh`](Mailbox::refresh) shows it once the folder has been at rest for two seconds, or after ten.
    pub fn is_in_doubt(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.doubt.is_some())
    }

    /// Looks at all of it, because a message is not where it was.
    ///
    /// # Errors
    /// [`MaildirError::Locked`]: nobody may look now, and so nothing is known of the message.
    pub(crate) fn look_again(&mut self) -> Result<()> {
        self.seen = None;
        self.look_unless_locked()?.map_or(Ok(()), Err)
    }

    pub(crate) fn look(&mut self) -> Result<()> {
        // What cannot be counted is not told. What is known is still true.
        if let Some(locked) = self.look_unless_locked()? {
            self.untold.held_back = Some(locked);
        }
        Ok(())
    }

    /// Why nobody may look now, if that is so.
    fn look_unless_locked(&mut self) -> Result<Option<MaildirError>> {
        self.view.sweep();
        self.look_at_keywords()?;
        // What the journal says that we have not seen would be taken for a change back.
        if self.journal.wants_a_look() || !self.is_as_it_was()? {
            match self.journal.lock() {
                Err(locked) => return Ok(Some(locked)),
                Ok(locked) => {
                    let looked = self.look_closely();
                    if locked {
                        self.journal.unlock();
                    }
                    looked?;
                }
            }
        }
        self.keep_snapshot();
        Ok(None)
    }

    /// A letter may stand for another keyword now: then the flags of messages that have it are others, though their names are the
    /// same.
    fn look_at_keywords(&mut self) -> Result<()> {
        let keywords = self.maildir.keywords()?;
        if keywords != self.keywords {
            let changed = self.keywords.differing(&keywords);
            let have_one = self.view.files().filter(|file| file.flags().without(changed) != file.flags());
            self.untold.flags.extend(have_one.map(|file| file.uid));
            self.untold.settle();
            self.untold.keywords = true;
            self.keywords = keywords;
            self.journal.doubt();
        }
        Ok(())
    }

    /// Nothing has happened since it was seen.
    fn is_as_it_was(&self) -> Result<bool> {
        let Some(seen) = self.seen.as_ref().filter(|seen| seen.new_settled && seen.doubt.is_none()) else {
            return Ok(false);
        };
        Ok(self.maildir.uids_stamp()? == seen.uids && DirStamps::read(&self.maildir)? == seen.dirs)
    }

    fn look_closely(&mut self) -> Result<()> {
        if self.uid_validity == 0 {
            self.seen = self.open_snapshot();
            if self.seen.is_some() {
                self.settle_journal(true);
            }
        }
        // Whatever goes wrong, the next look is a thorough one.
        let mut known = None;
        if let Some(seen) = self.seen.take() {
            known = Some(seen.dirs.cur);
            if !self.journal.is_unknown() && self.look_for_news(seen)? && self.agrees_with_journal() {
                return Ok(());
            }
        }
        self.look_at_all(known)
    }

    /// What others of ours have written is what is seen.
    fn agrees_with_journal(&mut self) -> bool {
        let messages = self.view.files().map(|file| (file.uid, file.flags()));
        self.journal.agrees(self.uid_validity, messages, &self.keywords)
    }

    /// Compares what the journal says with all that there is. Unless they are `all_listed`, messages that are missing may be there.
    fn settle_journal(&mut self, all_listed: bool) {
        let messages = self.view.files().map(|file| (file.uid, file.flags()));
        self.journal.settle(self.uid_validity, messages, &self.keywords, all_listed);
    }

    /// `cur/` is about to be changed here, if nobody else has changed it since it was seen.
    pub(crate) fn alone(&self) -> Option<Metadata> {
        let seen = self.seen.as_ref()?;
        stamp(&self.maildir, Dir::Cur).ok().filter(|now| *now == seen.dirs.cur)
    }

    /// `cur/` has been changed as the view says.
    pub(crate) fn still_alone(&mut self, before: Option<Metadata>) {
        // With a look in between, what came after that look counts.
        if let Some(seen) = self.seen.as_mut().filter(|seen| before == Some(seen.dirs.cur)) {
            match stamp(&self.maildir, Dir::Cur) {
                Ok(after) => {
                    if after != seen.dirs.cur {
                        seen.doubt.get_or_insert(self.maildir.store().options().clock.now());
                    }
                    seen.dirs.cur = after;
                }
                Err(_) => self.seen = None,
            }
        }
    }

    /// Where nobody has changed `cur/`, all that can be new is in `new/`. False if that is not so, or not enough.
    fn look_for_news(&mut self, mut seen: Seen) -> Result<bool> {
        let uids = self.maildir.uids_stamp()?;
        let (dirs, put, own) = {
            // Nothing is put there by us meanwhile.
            let own = self.maildir.own();
            let dirs = DirStamps::read(&self.maildir)?;
            let Some(put) = own.since(seen.own, &seen.dirs.cur, &dirs.cur) else { return Ok(false) };
            let put: Vec<(Base, Box<[u8]>)> = put.map(|(base, info)| (base.clone(), info.into())).collect();
            (dirs, put, own.count())
        };
        let now = self.maildir.store().options().clock.now();
        let due = |since: &SystemTime| {
            was_settled(&dirs.cur, now) || now.duration_since(*since).map_or(true, |doubt| doubt >= DOUBT_MAX)
        };
        if seen.doubt.as_ref().is_some_and(due) {
            return Ok(false);
        }
        if put.is_empty() && dirs == seen.dirs && seen.new_settled && uids == seen.uids {
            self.seen = Some(seen);
            return Ok(true);
        }
        if self.access == Access::ReadOnly {
            return Ok(false);
        }
        let mut taken = self.take_new()?;
        // Something went on in new/ and nothing is there: somebody has moved it.
        if taken.left || taken.files.is_empty() && dirs.new != seen.dirs.new {
            return Ok(false);
        }
        for (base, info) in put {
            if taken.files.insert(base, info).is_some() {
                return Ok(false);
            }
        }
        if taken.files.is_empty() && uids == seen.uids {
            seen.new_settled = was_settled(&dirs.new, now);
            self.seen = Some(seen);
            return Ok(true);
        }
        match self.take_in(&taken, &seen) {
            Ok(None) => Ok(false),
            Ok(Some((list, stamp))) => {
                self.untold.held_back = None;
                self.fresh = HashSet::new();
                // What came since shows at the next look, which goes through new/ again.
                let after = DirStamps::read(&self.maildir)?;
                let doubt = if after.cur == seen.dirs.cur { seen.doubt } else { seen.doubt.or(Some(now)) };
                self.seen = Some(Seen { dirs: after, uids: stamp, own, listed: list.len(), new_settled: false, doubt });
                Ok(true)
            }
            // What is known is still true.
            Err(error) if error.is_temporary() => {
                self.untold.held_back = Some(error);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives what was taken its UIDs and shows it. `None` if the list says more than that.
    fn take_in(&mut self, taken: &Taken, seen: &Seen) -> Result<Option<(UidList, Option<Stamp>)>> {
        let mut stamp = self.maildir.uids_stamp()?;
        let Some(mut list) = self.maildir.uids()?.filter(|list| self.is_grown(list)) else { return Ok(None) };
        if taken.files.keys().any(|base| list.line(base).is_none()) {
            let mut locked = self.maildir.lock()?;
            let uids = locked.uids()?;
            if !self.is_grown(uids) {
                return Ok(None);
            }
            // A list of which nobody holds a copy grows in its place.
            drop(list);
            let unnumbered = taken.files.keys().filter(|base| uids.line(base).is_none()).cloned().collect();
            locked.assign(&by_arrival(unnumbered))?;
            list = locked.uids()?.clone();
            stamp = locked.stamp();
        }
        let lines = list.lines();
        let first = self.view.lines().len();
        let added: Vec<u32> = (first..lines.len()).filter(|line| !lines.is_dead(*line)).collect();
        let all_taken = added.iter().all(|line| taken.files.contains_key(lines.base(*line)));
        // With as many new names as files, no name of before has come back.
        if !all_taken || added.len() != taken.files.len() || list.len() != seen.listed + added.len() {
            return Ok(None);
        }
        self.view.grow(lines);
        let mut came = Vec::with_capacity(added.len());
        for line in added {
            let info = &taken.files[lines.base(line)];
            let recent = self.fresh.contains(lines.base(line));
            let found = Found { recent, ..Found::of(Dir::Cur, info) };
            self.view.push(line, found, Some(info).filter(|_| found.form == Form::Odd).map(|info| &info[..]));
            self.untold.added.push(lines.uid(line));
            came.push((lines.uid(line), found.flags));
        }
        self.journal.came(&came);
        self.uid_next = self.uid_next.max(list.uid_next());
        self.untold.settle();
        self.unsynced = [true; 2];
        Ok(Some((list, stamp)))
    }

    /// The list that the view was made from, perhaps with more at its end.
    fn is_grown(&self, list: &UidList) -> bool {
        list.validity == self.uid_validity && list.lines().is_kin(self.view.lines()) && !list.is_withdrawn()
    }

    /// `known` is what the time of `cur/` was when all in it was known.
    fn look_at_all(&mut self, known: Option<Metadata>) -> Result<()> {
        let own = self.maildir.own().count();
        let cur = stamp(&self.maildir, Dir::Cur)?;
        // What changed it from here on was we.
        let explained = known == Some(cur) || was_settled(&cur, self.maildir.store().options().clock.now());
        if self.access == Access::ReadWrite {
            self.take_new()?;
        }
        // The list before the files: a file is there before its UID is, so that no UID below `uid_next` can turn up later.
        let mut stamp = self.maildir.uids_stamp()?;
        let listed = self.maildir.uids()?;
        let mut outcome = None;
        if let Some(uids) = &listed {
            let listing = self.list(uids, Lock::Free)?;
            if listing.unlisted.is_empty() && self.returned(&listing, uids).is_empty() {
                outcome = Some((listing, uids.clone()));
            }
        }
        let (mut listing, uids) = match outcome {
            Some(outcome) => outcome,
            None => match (self.assign_uids(), listed) {
                (Ok((listing, uids, assigned)), _) => {
                    stamp = assigned;
                    (listing, uids)
                }
                // With a list to go by, the messages in it can be shown.
                (Err(error), Some(uids)) if error.is_temporary() => {
                    let mut listing = self.list(&uids, Lock::Free)?;
                    listing.unrepaired = Some(error);
                    (listing, uids)
                }
                (Err(error), _) => return Err(error),
            },
        };
        self.untold.held_back = listing.unrepaired.take();
        self.ignored = std::mem::take(&mut listing.ignored);
        let (quiet, certain) = (listing.quiet, listing.certain);
        self.take_over(&listing, &uids);
        // What the journal says needs as much room.
        drop(listing);
        self.settle_journal(certain);
        if let Some((dirs, began)) = quiet.filter(|_| self.untold.held_back.is_none()) {
            let settled = was_settled(&dirs.cur, began);
            let doubt = if settled { None } else { Some(began) };
            let new_settled = was_settled(&dirs.new, began);
            self.seen = Some(Seen { dirs, uids: stamp, own, listed: uids.len(), new_settled, doubt })
                .filter(|_| settled || explained);
        }
        Ok(())
    }

    /// Lists the folder until it is certain that what is missing is gone.
    fn list(&self, uids: &UidList, locked: Lock) -> Result<Listing> {
        let mut listing = self.list_once(uids, locked)?;
        let lines = uids.lines();
        let kin = lines.is_kin(self.view.lines());
        // A file that is renamed while its directory is read may be missed, so a listing is believed if nothing went on
        // meanwhile. One that was here before is gone when it is missed twice, the second time by such a listing.
        let mut missing: Vec<&[u8]> = Vec::new();
        for line in self.view.lines_shown() {
            if !kin || listing.at(line).is_none() {
                missing.extend(Some(self.view.lines().base(line)).filter(|base| !listing.has(uids, base)));
            }
        }
        let mut certain = missing.is_empty() && listing.quiet.is_some();
        if !certain {
            // Messages that the list has and this view has not: files that a listing should find, unless they are gone.
            let from = if uids.validity == self.uid_validity { self.uid_next } else { 1 };
            let expected = (lines.first_from(from)..lines.len()).filter(|line| listing.at(*line).is_none());
            missing.extend(expected.map(|line| lines.base(line)).filter(|base| !base.is_empty()));
        }
        for _ in 1..LISTINGS_MAX {
            if certain {
                break;
            }
            let mut again = self.list_once(uids, locked)?;
            missing.retain(|base| !again.has(uids, base));
            certain = missing.is_empty() || again.quiet.is_some();
            if again.quiet.is_none() {
                // Seen by one of two listings in a busy folder: more likely missed by the other than gone. What was
                // there before the first began is in one of the two.
                again.add_missed(listing);
            }
            listing = again;
        }
        listing.certain = certain;
        if !certain {
            // It never kept still: what was there before stays, and a later look will tell.
            for file in self.view.files() {
                if !listing.has(uids, file.base) {
                    listing.put(uids, file.base, file.found.dir, &file.info());
                }
            }
        }
        Ok(listing)
    }

    fn list_once(&self, uids: &UidList, locked: Lock) -> Result<Listing> {
        let mut listing = Listing::read(&self.maildir, uids)?;
        if self.access == Access::ReadOnly || !listing.has_doubles() {
            return Ok(listing);
        }
        if locked == Lock::Held {
            listing.repair_doubles(&self.maildir, uids)?;
            listing.quiet = None;
            return Ok(listing);
        }
        // Of two who repair the same at once each might remove the name that the other keeps.
        match self.maildir.lock() {
            Ok(_locked) => self.list_once(uids, Lock::Held),
            // One of each can be shown; the other waits for its own name.
            Err(error) if error.is_temporary() => {
                listing.unrepaired = Some(error);
                Ok(listing)
            }
            Err(error) => Err(error),
        }
    }

    /// Moves what is in `new/` to `cur/`, as whoever opens a mailbox for writing does.
    fn take_new(&mut self) -> Result<Taken> {
        let fs = self.maildir.fs();
        let mut taken = Taken::default();
        for entry in fs.list(&self.maildir.dir("new"))? {
            let name = file_name::bytes(&entry.name);
            let (base, info) = file_name::split(name);
            // A line feed has no place in a UID list.
            if entry.kind != Kind::File || base.is_empty() || base.starts_with(b".") || name.contains(&b'\n') {
                continue;
            }
            let info = if info.is_empty() { &b":2,"[..] } else { info };
            let target = path(&self.maildir, base, &Named { dir: Dir::Cur, info: info.into() });
            // A file that has that name already would be lost. Two files of one name are told apart when they are listed.
            match fs.metadata(&target).if_found() {
                Ok(None) => {}
                Ok(Some(_)) => {
                    taken.left = true;
                    continue;
                }
                Err(error) if error.is_temporary() => {
                    taken.left = true;
                    break;
                }
                // With its flags the name is too long.
                Err(_) => {
                    taken.left = true;
                    continue;
                }
            }
            self.unsynced = [true; 2];
            match fs.rename(&self.maildir.dir("new").join(&entry.name), &target) {
                Ok(()) => {
                    let base: Base = base.into();
                    self.fresh.insert(base.clone());
                    // Two files of one name are not news alone.
                    taken.left |= taken.files.insert(base, info.into()).is_some();
                }
                // Taken by another reader.
                Err(error) if error.kind() == ErrorKind::NotFound => taken.left = true,
                // What cannot be moved can be read where it is.
                Err(error) if error.is_temporary() => {
                    taken.left = true;
                    break;
                }
                Err(_) => taken.left = true,
            }
        }
        Ok(taken)
    }

    /// Messages that were never shown here, with UIDs below those that were: they came back from the dead, and have to get
    /// new UIDs, because clients expect nothing below UIDNEXT to appear.
    fn returned(&self, listing: &Listing, uids: &UidList) -> HashSet<u32> {
        let mut returned = HashSet::new();
        if uids.validity != self.uid_validity {
            return returned;
        }
        let mut shown = self.view.files().peekable();
        for (line, _) in listing.lines() {
            let uid = uids.lines().uid(line);
            if uid.get() >= self.uid_next {
                break;
            }
            while shown.next_if(|file| file.uid < uid).is_some() {}
            let known = shown.peek().filter(|file| file.uid == uid);
            if known.is_none_or(|file| !same(file.base, uids.lines().base(line))) {
                returned.insert(line);
            }
        }
        returned
    }

    /// Under the lock, so that no other program gives UIDs at the same time: lists the folder and gives UIDs to what has
    /// none, in the order of arrival. Durable on return. With the listing comes the list that it belongs to, and its stamp.
    fn assign_uids(&self) -> Result<(Listing, UidList, Option<Stamp>)> {
        let mut locked = self.maildir.lock()?;
        let mut uids = locked.uids()?.clone();
        let mut listing = self.list(&uids, Lock::Held)?;
        let returned = self.returned(&listing, &uids);
        let dead = uids.len() - listing.listed();
        // Rewriting costs as much as the list is long, so it waits until half of it is dead.
        if !returned.is_empty() || dead > uids.len() / 2 && dead > 100 {
            let keep = |line| listing.at(line).is_some() && !returned.contains(&line);
            locked.compact(keep, |uid| self.counted(uid).filter(|_| uids.validity == self.uid_validity))?;
            let compact = locked.uids()?.clone();
            listing.move_to(&uids, &compact);
            uids = compact;
        }
        if !listing.unlisted.is_empty() {
            locked.assign(&by_arrival(listing.unlisted.keys().cloned().collect()))?;
            let grown = locked.uids()?.clone();
            listing.move_to(&uids, &grown);
            uids = grown;
        }
        Ok((listing, uids, locked.stamp()))
    }

    /// Makes the view what the folder is.
    fn take_over(&mut self, listing: &Listing, uids: &UidList) {
        if uids.validity != self.uid_validity {
            self.untold = Changes { reset: true, held_back: self.untold.held_back.take(), ..Changes::default() };
            self.forget();
            self.uid_validity = uids.validity;
            self.uid_next = 1;
        }
        let lines = uids.lines();
        let old = std::mem::replace(&mut self.view, View::of(lines, listing.listed()));
        let mut shown = old.files().peekable();
        for (line, mut found) in listing.lines() {
            let uid = lines.uid(line);
            while let Some(file) = shown.next_if(|file| file.uid < uid) {
                self.untold.removed.push(file.uid);
            }
            match shown.next_if(|file| file.uid == uid) {
                Some(file) if same(file.base, lines.base(line)) => {
                    if file.flags() != found.flags {
                        self.untold.flags.push(uid);
                    }
                    found.recent = file.found.recent;
                }
                Some(file) => {
                    self.untold.removed.push(file.uid);
                    continue;
                }
                None if uid.get() < self.uid_next => continue,
                None => {
                    self.untold.added.push(uid);
                    let taken = !self.fresh.is_empty() && self.fresh.contains(lines.base(line));
                    found.recent = found.dir == Dir::New || taken;
                }
            }
            self.view.push(line, found, listing.odd(line));
        }
        self.untold.removed.extend(shown.map(|file| file.uid));
        self.fresh = HashSet::new();
        self.uid_next = self.uid_next.max(uids.uid_next());
        self.untold.settle();
        if !self.untold.is_empty() {
            self.unsynced = [true; 2];
        }
    }
}

/// Whether a directory that is read from `began` on will have another time after any further change. How long the reading takes
/// is no help: what counts is when it began.
fn was_settled(dir: &Metadata, began: SystemTime) -> bool {
    is_old(dir.modified, began)
}

pub(crate) fn is_old(modified: SystemTime, now: SystemTime) -> bool {
    now.duration_since(modified).is_ok_and(|age| age >= SETTLED_AFTER)
}

fn by_arrival(mut bases: Vec<Base>) -> Vec<NewMessage> {
    bases.sort_by(|a, b| file_name::arrival(a).cmp(&file_name::arrival(b)));
    bases.into_iter().map(NewMessage::from).collect()
}

/// Names of one list are in one place, and need not be read.
fn same(a: &[u8], b: &[u8]) -> bool {
    std::ptr::eq(a, b) || a == b
}
