//! `pillarbox-journal`: the mod-sequences of a mailbox (RFC 7162), and which messages went at which. Dovecot does not know
//! the file and leaves it alone.
//!
//! The truth of what is there and which flags it has are the names of files and the UID list. The journal says which of it changed
//! when, as far as somebody of ours has looked. What it says is compared with what is there at each look, under the lock on
//! the journal's file: a difference is a change that another program made, and gets a new mod-sequence. Whoever of ours
//! changes something holds the lock from the change until it is written down, so that no two of them give the same number to
//! different things, or two numbers to the same.
//!
//! # The file
//!
//! All numbers are little-endian.
//!
//! ```text
//! header:  "PillarJ2"  generation: 8 octets, by lot  UIDVALIDITY: 4  checksum of these 20: 4  device: 8  inode: 8
//! frame:   length of its items: 4, 1 to 65,536  checksum: 4  items
//! items:   1  UID: 4  flags: 4  mod-sequence: 8             a message has these flags since
//!          2  first UID: 4  last: 4  mod-sequence: 8        all of these were there, and went
//!          3  first UID: 4  last: 4  mod-sequence: 8        these went, before this file began
//!          4  mod-sequence: 8                               what went until then is not known
//!          5  letter, 0 to 25: 1  length: 1  name           the letter is this keyword, or none
//!          6  mod-sequence: 8  run of the system: 16        up to here mod-sequences may have been told
//!          7  mod-sequence: 8                               this one was given
//! ```
//!
//! Flags are bits: D F P R S T, then a to z. Checksums are CRC-32 (the one of IEEE 802.3); a frame's is over the checksum before it (the header's, for
//! the first), its length and its items. So what is behind a lost or damaged frame is lost as well: a journal is believed up to
//! the first octet that is wrong.
//!
//! # What is durable
//!
//! Frames are not synced, for a STORE or EXPUNGE would have to wait for it. A mod-sequence that was told must not be given again
//! to something else, nor may the highest one fall, so that numbers are reserved in steps: item 6 is on stable storage before the
//! first number that it allows is told. Where the system has run on since, all that was written can be read back. Otherwise, and
//! wherever the file ends in something that is wrong, words may be missing: then the journal begins anew above all that was
//! reserved, every message counts as changed, and whatever is not there as gone. A client that comes back is told too much
//! then, and nothing is kept from it. A journal that is lost altogether begins anew at the microseconds of the clock, which
//! are ahead of all that was given: a mailbox changes less often than a million times a second.
//!
//! A journal that was put back from a backup says less than was told, and everything in it is true by itself. So it names its own
//! file, and who has heard of higher numbers believes none of it. Only an older
//! text that is written into the same file while nobody of ours has the mailbox open is not found out.
//!
//! Two machines that use one mailbox over a network see each other's run of the system end all the time: clients are told too
//! much then, too.

mod check;
mod format;
mod state;

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use pillarbox_fs::{ErrorKind, File};

pub(crate) use self::check::is_damaged;
use self::format::{Cut, FRAME_HEAD, FRAME_MAX, HEADER_LEN, Header, Item, MOD_SEQ_MAX, frame_head, frames, is_whole};
use self::state::{Doubt, State, highest_of};
use crate::error::NotFound;
use crate::{Flags, Keywords, Maildir, MaildirError, Result, Uid};

pub(crate) const NAME: &str = "pillarbox-journal";

/// Mod-sequences that are reserved at a time: one sync for so many changes.
const STEP: u64 = 65_536;

/// A file that is longer is no journal.
const LEN_MAX: u64 = 512 << 20;

/// A file this long is not written anew, whatever is in it.
const SMALL: u64 = 64 * 1024;

/// The mod-sequences of one open mailbox.
///
/// No trouble with the file keeps anybody from the mail: as long as it lasts there are no mod-sequences, and after it the journal
/// begins anew.
#[derive(Debug)]
pub(crate) struct Journal {
    maildir: Maildir,
    /// Locked. Nobody waits for the mutex: an open file alone could not be shared by threads that only look.
    held: Mutex<Option<File>>,
    known: Option<Known>,
    /// Up to here mod-sequences may have been told.
    reserved: u64,
    /// This one was told.
    told_highest: u64,
    /// Changes may have been told that were not written down.
    missed: bool,
    doubt: Doubt,
    /// Somebody else wrote something that was not compared with the mailbox yet.
    foreign: bool,
    trouble: Option<MaildirError>,
}

/// What was read of a file, and how far.
#[derive(Debug)]
struct Known {
    header: Header,
    end: u64,
    checksum: u32,
    state: State,
}

impl Journal {
    /// Nothing is read, nor made, before somebody asks for the lock.
    pub(crate) fn new(maildir: &Maildir) -> Self {
        Journal {
            maildir: maildir.clone(),
            held: Mutex::new(None),
            known: None,
            reserved: 0,
            told_highest: 0,
            missed: false,
            doubt: Doubt::default(),
            foreign: false,
            trouble: None,
        }
    }

    /// Keeps all others from changing the journal, and reads what they have written. True if that begins with this call, and is to
    /// be [ended](Journal::unlock) by who made it.
    ///
    /// # Errors
    /// [`MaildirError::Locked`]: somebody has the lock for longer than the store's patience. What is known is still true; what happens
    /// meanwhile must not be told.
    pub(crate) fn lock(&mut self) -> Result<bool> {
        if self.held().is_some() {
            return Ok(false);
        }
        match self.acquire().and_then(|mut file| self.catch_up(&mut file).map(|()| file)) {
            Ok(file) => *self.held() = Some(file),
            Err(error @ MaildirError::Locked(_)) if self.known.is_some() => return Err(error),
            Err(error) => self.give_up(error),
        }
        Ok(self.held().is_some())
    }

    pub(crate) fn unlock(&mut self) {
        *self.held() = None;
    }

    fn held(&mut self) -> &mut Option<File> {
        self.held.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how the mailbox is, as it was listed since the lock was taken. Without the lock, nothing is believed any more.
    ///
    /// `messages` rise by UID. Unless they are `all_listed`, one that is missing may be there.
    pub(crate) fn settle(
        &mut self,
        uid_validity: u32,
        messages: impl ExactSizeIterator<Item = (Uid, Flags)>,
        keywords: &Keywords,
        all_listed: bool,
    ) {
        self.foreign = false;
        if self.held().is_none() {
            self.known = None;
            return;
        }
        if self.known.is_none()
            && let Err(error) = self.read_all(messages.len())
        {
            return self.give_up(error);
        }
        let known = self.known.as_ref().filter(|known| known.header.uid_validity == uid_validity && !self.missed);
        let settled = match known {
            Some(known) => {
                self.doubt.all_listed = all_listed;
                let items = known.state.differences(messages, keywords, &mut self.doubt);
                self.write(&items)
            }
            None => self.begin_anew(uid_validity, messages, keywords),
        };
        if let Err(error) = settled {
            self.give_up(error);
        }
    }

    /// Whether there is nothing to be written down. False only after others have written something; then the whole folder has to be looked
    /// at before the difference can be called a change.
    pub(crate) fn agrees(
        &mut self,
        uid_validity: u32,
        messages: impl Iterator<Item = (Uid, Flags)>,
        keywords: &Keywords,
    ) -> bool {
        if self.foreign
            && let Some(known) = &self.known
        {
            let mut doubt = Doubt { all_listed: true, unseen: Vec::new() };
            let same = known.header.uid_validity == uid_validity && self.doubt.unseen.is_empty() && !self.missed;
            self.foreign = !same || !known.state.differences(messages, keywords, &mut doubt).is_empty();
        }
        !self.foreign
    }

    /// Writes down that these messages came, and that nothing else is known to have happened.
    pub(crate) fn came(&mut self, messages: &[(Uid, Flags)]) {
        self.change(|state| state.came(messages));
    }

    /// Writes down that these messages have other flags now. The lock was taken before they were given them.
    pub(crate) fn flags_changed(&mut self, messages: &[(Uid, Flags)]) {
        self.change(|state| state.change(messages));
    }

    /// Writes down that these messages, of rising UIDs, went. The lock was taken before they went.
    pub(crate) fn expunged(&mut self, uids: &[Uid]) {
        self.change(|state| state.expunge(uids));
    }

    fn change(&mut self, items: impl FnOnce(&State) -> Vec<Item<'static>>) {
        let Some(known) = &self.known else { return };
        let items = items(&known.state);
        if let Err(error) = self.write(&items) {
            self.give_up(error);
        }
    }

    /// What can be told: nothing, while others have written what was not compared with the mailbox.
    fn told(&self) -> Option<&State> {
        self.known.as_ref().filter(|_| !self.foreign).map(|known| &known.state)
    }

    /// The mod-sequence of a message.
    pub(crate) fn mod_seq(&self, uid: Uid) -> Option<u64> {
        self.told()?.mod_seq(uid)
    }

    /// The highest mod-sequence that was given.
    pub(crate) fn highest(&self) -> Option<u64> {
        Some(self.told()?.highest())
    }

    /// What went after a mod-sequence, if that is known.
    pub(crate) fn gone_since(&self, since: u64) -> Option<Vec<(Uid, Uid)>> {
        self.told()?.gone_since(since)
    }

    /// At which mod-sequence each of these messages, of rising UIDs, went; none for those of which that is not known.
    pub(crate) fn gone_at(&self, uids: &[Uid]) -> Vec<Option<u64>> {
        self.told().map_or_else(|| vec![None; uids.len()], |state| state.gone_at(uids))
    }

    /// The folder has to be looked at, whether something in it seems to have changed or not: somebody else has written what may not have
    /// been seen, or what was read cannot be believed.
    pub(crate) fn wants_a_look(&mut self) -> bool {
        self.foreign || self.is_unknown()
    }

    /// All of it has to be read, or to begin anew, and that can be.
    pub(crate) fn is_unknown(&mut self) -> bool {
        self.known.is_none() && (self.trouble.is_none() || self.held().is_some())
    }

    /// Something happened that only a look at the whole folder finds.
    pub(crate) fn doubt(&mut self) {
        self.foreign = true;
    }

    /// Why there are no mod-sequences.
    pub(crate) fn trouble(&self) -> Option<&MaildirError> {
        self.trouble.as_ref()
    }

    /// As long as this lasts changes are told without being written down, so the file is worth nothing afterwards.
    fn give_up(&mut self, error: MaildirError) {
        let path = self.path();
        if self.held().take().is_some() {
            // On a full disk this is all that can be done. On one that is read-only nothing changes anyway.
            let _ = self.maildir.fs().unlink(&path);
        }
        if let Some(known) = self.known.take() {
            self.reserved = self.reserved.max(known.state.reserved);
        }
        self.missed = true;
        self.trouble = Some(error);
    }

    fn path(&self) -> PathBuf {
        self.maildir.dir(NAME)
    }

    /// The file, locked; a new one, of no contents, if there was none.
    fn acquire(&self) -> Result<File> {
        let (store, path) = (self.maildir.store(), self.path());
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_millis(1));
        loop {
            let opened = match store.fs().open_append(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => store.fs().create(&path),
                opened => opened,
            };
            let mut file = match opened {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            if file.try_lock()? {
                let named = store.fs().metadata(&path).if_found()?;
                if named.is_some_and(|named| file.metadata().is_ok_and(|metadata| metadata.id == named.id)) {
                    return Ok(file);
                }
                // It was written anew while we waited.
                continue;
            }
            if waited >= store.options().lock_patience {
                return Err(MaildirError::Locked(path));
            }
            let jitter = Duration::from_micros(store.random() % 1000);
            store.options().clock.sleep(pause + jitter);
            waited += pause + jitter;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Reads what was written since. If the file is another one, nothing is known before all of it is read.
    fn catch_up(&mut self, file: &mut File) -> Result<()> {
        let Some(mut known) = self.known.take() else { return Ok(()) };
        let (reserved, end) = (known.state.reserved, known.end);
        self.reserved = self.reserved.max(reserved);
        self.told_highest = self.told_highest.max(known.state.highest());
        if read_header(file)?.is_none_or(|(header, _)| header != known.header) || !known.read(file)? {
            return Ok(());
        }
        // Whoever wrote this may have been killed before it came to the sync, and what was reserved has to be on stable storage.
        if known.state.reserved > reserved {
            file.sync_data()?;
        }
        self.foreign |= known.end > end;
        self.known = Some(known);
        Ok(())
    }

    /// Reads all of the file, with room for so many messages. If it cannot be believed to its end, nothing is known.
    fn read_all(&mut self, room: usize) -> Result<()> {
        let Some(file) = self.held.get_mut().unwrap_or_else(PoisonError::into_inner) else { return Ok(()) };
        let Some((header, checksum)) = read_header(file)? else { return Ok(()) };
        let mut known = Known { header, end: HEADER_LEN as u64, checksum, state: State::with_room(room) };
        let read = known.read(file)?;
        self.reserved = self.reserved.max(known.state.reserved);
        let boot = self.maildir.fs().boot();
        // Somebody of ours wrote a new file, or an older one was put back.
        let is_old = known.state.highest() < self.told_highest;
        if read && !is_old && known.state.reserved > 0 && boot == Some(known.state.boot) {
            // As above, and for the name as well.
            file.sync_data()?;
            self.maildir.store().sync_dir(self.maildir.path())?;
            self.known = Some(known);
        }
        Ok(())
    }

    /// Writes down changes; the numbers that they have are reserved first.
    fn write(&mut self, items: &[Item<'_>]) -> Result<()> {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (Some(file), Some(known)) = (held, &mut self.known) else { return Ok(()) };
        if items.is_empty() {
            return Ok(());
        }
        let highest = highest_of(items).unwrap_or_default();
        if highest > 0 {
            known.state.at(highest).map_err(|Cut| MaildirError::NumbersExhausted)?;
        }
        if highest > known.state.reserved {
            let boot = self.maildir.fs().boot().unwrap_or_default();
            known.append(file, &[Item::Reserved { up_to: reserve(highest)?, boot }])?;
            file.sync_data()?;
        }
        known.append(file, items)?;
        known.state.finish();
        if known.end > SMALL && known.end > 2 * needed(&known.state) {
            let (header, state) = (known.header, std::mem::take(&mut known.state));
            self.replace(header.uid_validity, state)?;
        }
        Ok(())
    }

    fn begin_anew(
        &mut self,
        uid_validity: u32,
        messages: impl Iterator<Item = (Uid, Flags)>,
        keywords: &Keywords,
    ) -> Result<()> {
        let clock = self.maildir.store().options().clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = u64::try_from(clock.as_micros()).unwrap_or(0).min(MOD_SEQ_MAX / 2);
        let first = self.reserved.max(clock) + 1;
        let boot = self.maildir.fs().boot().unwrap_or_default();
        let state = State::begun(first, messages, keywords, reserve(first)?, boot);
        self.replace(uid_validity, state)?;
        (self.missed, self.trouble) = (false, None);
        Ok(())
    }

    /// Writes a new file and puts it in the place of the old one. Durable on return. Both are locked meanwhile, so that whoever
    /// waits for the old one comes too late for it, and whoever finds the new one waits.
    fn replace(&mut self, uid_validity: u32, state: State) -> Result<()> {
        // Whatever becomes of the file, these may have been told.
        self.reserved = self.reserved.max(state.reserved);
        let store = self.maildir.store().clone();
        // What a crash leaves here is swept up with all else.
        let written = self.maildir.dir("tmp").join(store.unique_name());
        let mut file = store.fs().create(&written)?;
        let mut header = Header { generation: store.random(), uid_validity, file: (0, 0) };
        let mut known = Known { header, end: HEADER_LEN as u64, checksum: 0, state: State::default() };
        let replaced = (|| -> Result<()> {
            file.try_lock()?;
            header.file = file.metadata()?.id;
            let head = header.encode();
            (known.header, known.checksum) = Header::decode(&head).expect("it was encoded just now");
            file.write(&head)?;
            known.write(&mut file, state.items())?;
            known.state = state;
            file.sync()?;
            store.fs().rename(&written, &self.path())?;
            Ok(store.sync_dir(self.maildir.path())?)
        })();
        if replaced.is_err() {
            let _ = store.fs().unlink(&written);
        }
        replaced?;
        self.known = Some(known);
        *self.held() = Some(file);
        Ok(())
    }
}

impl Known {
    /// Reads frames up to the end of the file; false if there is something wrong before it.
    fn read(&mut self, file: &File) -> Result<bool> {
        if file.metadata()?.len == self.end {
            return Ok(true);
        }
        let mut buffer = vec![0; 2 * (FRAME_HEAD + FRAME_MAX)];
        let (mut filled, mut at) = (0, 0);
        let outcome = loop {
            buffer.copy_within(at..filled, 0);
            (filled, at) = (filled - at, 0);
            let more = file.read_at(self.end + filled as u64, &mut buffer[filled..])?;
            filled += more;
            let mut frames = Ok(());
            while frames.is_ok()
                && let Some(head) = buffer[at..filled].first_chunk()
            {
                let Ok((len, checksum)) = frame_head(*head) else {
                    frames = Err(Cut);
                    break;
                };
                let Some(items) = buffer[at..filled].get(FRAME_HEAD..FRAME_HEAD + len) else { break };
                frames = match is_whole(items, checksum, self.checksum) {
                    true => self.apply(items),
                    false => Err(Cut),
                };
                at += FRAME_HEAD + len;
                self.checksum = checksum;
                self.end += (FRAME_HEAD + len) as u64;
            }
            match frames {
                Err(Cut) => break Err(Cut),
                Ok(()) if more > 0 => {}
                Ok(()) if at < filled => break Err(Cut),
                Ok(()) => break Ok(()),
            }
        };
        self.state.finish();
        Ok(outcome.is_ok() && file.metadata()?.len == self.end)
    }

    fn apply(&mut self, mut items: &[u8]) -> std::result::Result<(), Cut> {
        while let Some(item) = Item::decode(&mut items)? {
            self.state.apply(&item)?;
        }
        Ok(())
    }

    /// Writes items at the end of the file. What they say is known then.
    fn append(&mut self, file: &mut File, items: &[Item<'_>]) -> Result<()> {
        for item in items {
            self.state.apply(item).expect("what is written is in order");
        }
        self.write(file, items.iter().cloned())
    }

    /// One write for all: where it tears is found out.
    fn write<'a>(&mut self, file: &mut File, items: impl Iterator<Item = Item<'a>>) -> Result<()> {
        let (bytes, checksum) = frames(items, self.checksum);
        file.write(&bytes)?;
        self.checksum = checksum;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// How far to reserve so that `mod_seq` can be told.
fn reserve(mod_seq: u64) -> Result<u64> {
    let up_to = mod_seq.saturating_add(STEP);
    if up_to > MOD_SEQ_MAX { Err(MaildirError::NumbersExhausted) } else { Ok(up_to) }
}

/// What a file with nothing superfluous in it is long, about.
fn needed(state: &State) -> u64 {
    (state.len() * 17 + HEADER_LEN) as u64
}

/// A file's header and its checksum, if it is a journal.
fn read_header(file: &File) -> Result<Option<(Header, u32)>> {
    let mut head = [0; HEADER_LEN];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(filled as u64, &mut head[filled..])? {
            0 => return Ok(None),
            n => filled += n,
        }
    }
    let metadata = file.metadata()?;
    Ok(Header::decode(&head).ok().filter(|(header, _)| header.file == metadata.id && metadata.len <= LEN_MAX))
}

#[cfg(test)]
mod tests;
