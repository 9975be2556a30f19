//! What a mailbox's owner does to its messages: flags, expunge, copy, move. All durable on return.

use crate::delivery::Prepared;
use crate::error::NotFound;
use crate::file_name;
use crate::listing::{Dir, Found};
use crate::look::LISTINGS_MAX;
use crate::quota::{Tally, file_size};
use crate::{Appended, FlagChange, Flags, Mailbox, Maildir, MaildirError, Result, Uid};

/// Where messages were copied to (RFC 4315 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDs here and there, in the order of the first.
    pub uids: Vec<(Uid, Uid)>,
}

/// What became of flags that were to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagsSet {
    /// Messages that have other flags now.
    pub changed: Vec<Uid>,
    /// Messages that were left as they were, because they had changed.
    pub refused: Vec<Uid>,
}

impl Mailbox {
    /// Changes flags, and returns those messages whose flags are different now. Messages that are gone are passed over.
    ///
    /// After an error some may be changed; the view tells which.
    ///
    /// What others changed before is found out first, and is [news](Mailbox::news).
    pub fn set_flags(&mut self, uids: &[Uid], how: FlagChange, flags: Flags) -> Result<Vec<Uid>> {
        self.set_flags_of(uids, how, flags, None).map(|set| set.changed)
    }

    /// Changes flags of those messages that have not changed after a mod-sequence (RFC 7162 §3.1.3), each in one step with the
    /// comparison. Messages that are gone are passed over.
    ///
    /// # Errors
    /// [`MaildirError::NoModSeqs`] where there is nothing to compare. After another error some may be changed; the view tells which.
    pub fn set_flags_unless_changed(
        &mut self,
        uids: &[Uid],
        how: FlagChange,
        flags: Flags,
        since: u64,
    ) -> Result<FlagsSet> {
        self.set_flags_of(uids, how, flags, Some(since))
    }

    fn set_flags_of(&mut self, uids: &[Uid], how: FlagChange, flags: Flags, since: Option<u64>) -> Result<FlagsSet> {
        let mut set = FlagsSet::default();
        let renamed = self.journaled(|mailbox| {
            mailbox.look()?;
            if since.is_some() {
                mailbox.highest_mod_seq().ok_or(MaildirError::NoModSeqs)?;
            }
            let alone = mailbox.alone();
            let renamed = mailbox.rename_each(uids, how, flags, since, &mut set);
            mailbox.still_alone(alone);
            let flags_of = |uid: &Uid| Some((*uid, mailbox.view.find(*uid)?.flags()));
            let changed: Vec<(Uid, Flags)> = set.changed.iter().filter_map(flags_of).collect();
            mailbox.journal.flags_changed(&changed);
            renamed
        });
        match renamed.and_then(|()| self.sync(Dir::Cur)) {
            Ok(()) => Ok(set),
            Err(error) => {
                self.tell_of(set.changed, Vec::new());
                Err(error)
            }
        }
    }

    fn rename_each(
        &mut self,
        uids: &[Uid],
        how: FlagChange,
        flags: Flags,
        since: Option<u64>,
        set: &mut FlagsSet,
    ) -> Result<()> {
        let mut left = uids.iter();
        let mut next = left.next();
        let mut looks = 0;
        let validity = self.uid_validity();
        while let Some(uid) = next {
            if self.uid_validity() != validity {
                // These are numbers of other messages now.
                *set = FlagsSet::default();
                return Ok(());
            }
            if since.is_some_and(|since| self.mod_seq(*uid).is_some_and(|mod_seq| mod_seq > since)) {
                set.refused.push(*uid);
                self.count_one();
                next = left.next();
                continue;
            }
            let (mut tried, mut tries) = (false, 0);
            let mut taken = None;
            let renamed = self.with_file(*uid, |maildir, file| {
                tries += 1;
                if since.is_some() && tries > 1 {
                    // Somebody was quicker: it has to be compared again.
                    return Ok(None);
                }
                let wanted = file.flags().changed(how, flags);
                if wanted == file.flags() {
                    return Ok(None);
                }
                let info = file_name::with_flags(&file.info(), wanted);
                let target = maildir.dir(Dir::Cur.name()).join(file_name::join(file.base, &info));
                // A restored backup may have laid it there.
                if maildir.fs().metadata(&target).if_found()?.is_some() {
                    taken = Some(target);
                    return Ok(None);
                }
                tried = true;
                maildir.fs().rename(&file.path(maildir), &target)?;
                Ok(Some((Found { recent: file.found.recent, ..Found::of(Dir::Cur, &info) }, info)))
            });
            if let Some(target) = taken {
                // Another file has the name, and would be lost. A look gives one of them a name of its own.
                match self.held_back() {
                    Some(error) if looks > 0 => return Err(error),
                    _ if looks >= LISTINGS_MAX => return Err(MaildirError::Locked(target)),
                    _ => self.look_again()?,
                }
                looks += 1;
                continue;
            }
            looks = 0;
            if tried {
                self.unsynced(Dir::Cur);
            }
            match renamed {
                Ok(Some((found, info))) => {
                    self.view.rename(*uid, found, &info);
                    set.changed.push(*uid);
                }
                Ok(None) | Err(MaildirError::NoSuchMessage(_)) => {}
                Err(error) => return Err(error),
            }
            if since.is_none() || tries < 2 {
                self.count_one();
                next = left.next();
            }
        }
        Ok(())
    }

    /// Removes messages, and returns those that are gone from the view now. UIDs that name no message are passed over.
    ///
    /// After an error some may be removed; the view tells which.
    ///
    /// What others changed before is found out first, and is [news](Mailbox::news).
    pub fn expunge(&mut self, uids: &[Uid]) -> Result<Vec<Uid>> {
        self.remove(Flags::NONE, |_| uids.to_vec())
    }

    /// The same for those of the wanted messages that have [`Flags::DELETED`] at the moment when they are removed: whose mark
    /// another program has taken off meanwhile, they stay.
    pub fn expunge_deleted(&mut self, wanted: impl Fn(Uid) -> bool) -> Result<Vec<Uid>> {
        self.remove(Flags::DELETED, |mailbox| {
            let marked = mailbox.messages().filter(|message| message.flags.contains(Flags::DELETED));
            marked.map(|message| message.uid).filter(|uid| wanted(*uid)).collect()
        })
    }

    /// Removes the messages that are chosen after a look, as far as they still have these flags.
    fn remove(&mut self, marked: Flags, choose: impl FnOnce(&Mailbox) -> Vec<Uid>) -> Result<Vec<Uid>> {
        let mut gone = Vec::new();
        let unlinked = self.journaled(|mailbox| {
            mailbox.look()?;
            let uids = choose(mailbox);
            let alone = mailbox.alone();
            let mut tally = Tally::begin([&mailbox.maildir]);
            let unlinked = mailbox.unlink_each(&uids, marked, &mut gone, &mut tally);
            tally.write();
            mailbox.view.sweep();
            mailbox.still_alone(alone);
            gone.sort_unstable();
            mailbox.journal.expunged(&gone);
            unlinked
        });
        // Both: the name in new/ that a message had may come back in a crash just as the one in cur/.
        match unlinked.and_then(|()| self.sync(Dir::New)).and_then(|()| self.sync(Dir::Cur)) {
            Ok(()) => Ok(gone),
            Err(error) => {
                self.tell_of(Vec::new(), gone);
                Err(error)
            }
        }
    }

    fn unlink_each(&mut self, uids: &[Uid], marked: Flags, gone: &mut Vec<Uid>, tally: &mut Tally) -> Result<()> {
        let validity = self.uid_validity();
        for uid in uids {
            if self.uid_validity() != validity {
                // These are numbers of other messages now.
                gone.clear();
                return Ok(());
            }
            let mut tried = None;
            let removed = self.with_file(*uid, |maildir, file| {
                // Asked again whenever the file turns out to have another name.
                if !file.flags().contains(marked) {
                    return Err(MaildirError::NoSuchMessage(*uid));
                }
                tried = Some(file.found.dir);
                let path = file.path(maildir);
                let size = file_size(maildir.fs(), file.base, &path)?;
                maildir.fs().unlink(&path)?;
                Ok(size)
            });
            if let Some(dir) = tried {
                self.unsynced(dir);
            }
            match removed {
                Ok(size) => {
                    tally.remove(&self.maildir, Some(size));
                    self.view.drop_row(*uid);
                    gone.push(*uid);
                }
                Err(MaildirError::NoSuchMessage(_)) => {}
                Err(error) => return Err(error),
            }
            self.count_one();
        }
        Ok(())
    }

    /// Copies messages to a folder, all or none, with their flags, keywords and dates. A UID that names no message
    /// is an error, and nothing is copied then. Keywords for which the target has no letter left are lost.
    pub fn copy(&mut self, uids: &[Uid], target: &Maildir) -> Result<Copied> {
        let mut copies: Vec<Prepared> = Vec::with_capacity(uids.len());
        let mut sources = uids.to_vec();
        sources.sort_unstable();
        sources.dedup();
        let keywords = self.keywords_there(&sources, target)?;
        for uid in &sources {
            copies.push(self.with_file(*uid, |maildir, file| {
                let there = file.flags().keywords().filter_map(|number| keywords[usize::from(number)]);
                let flags = there.fold(file.flags().system(), |all, flag| all | flag);
                Prepared::of_file(target, &file.path(maildir), &file, flags)
            })?);
            self.count_one();
        }
        let Appended { uid_validity, uids, .. } = target.append(copies)?;
        Ok(Copied { uid_validity, uids: sources.into_iter().zip(uids).collect() })
    }

    /// Copies messages to a folder and then removes them here: at every moment each is in one of the two, or both
    /// (RFC 6851 §3.3). If the copies are durable and the removal fails, the error says nothing of the copies.
    pub fn move_to(&mut self, uids: &[Uid], target: &Maildir) -> Result<Copied> {
        let copied = self.copy(uids, target)?;
        let sources: Vec<Uid> = copied.uids.iter().map(|(here, _)| *here).collect();
        self.expunge(&sources)?;
        Ok(copied)
    }

    /// Puts a message into its folder and then removes one here: at every moment there is one of the two, or both (RFC 8508 §3.4). That
    /// folder may be this one.
    ///
    /// # Errors
    ///
    /// [`MaildirError::NoSuchMessage`] if there is none to be removed; then, and after any other error that leaves the old
    /// message where it is, the new one is gone again. Where nobody can tell whether the old one is still there, both stay. A
    /// message of the folder that a look finds in the place of this one, under another UIDVALIDITY, is not the one that was meant.
    pub fn replace(&mut self, uid: Uid, message: Prepared) -> Result<Appended> {
        let validity = self.uid_validity();
        self.with_file(uid, |maildir, file| Ok(maildir.fs().metadata(&file.path(maildir))?))?;
        let target = message.maildir().clone();
        let appended = target.append(vec![message])?;
        let removed = self.remove(Flags::NONE, |mailbox| match mailbox.uid_validity() == validity {
            true => vec![uid],
            false => Vec::new(),
        });
        if matches!(&removed, Ok(gone) if gone.contains(&uid)) {
            return Ok(appended);
        }
        // Whoever removed it was quicker, or it is there: then there is no loss in doing without the new one.
        if removed.is_ok() || (self.uid_validity() == validity && self.read(uid).is_ok()) {
            for delivered in &appended.delivered {
                target.take_back(delivered)?;
            }
        }
        Err(removed.err().unwrap_or(MaildirError::NoSuchMessage(uid)))
    }

    /// The target's flag for each of our keywords that these messages have.
    fn keywords_there(&self, uids: &[Uid], target: &Maildir) -> Result<[Option<Flags>; 26]> {
        let mut there = [None; 26];
        let used = uids.iter().filter_map(|uid| self.view.find(*uid)).fold(Flags::NONE, |all, file| all | file.flags());
        for number in used.keywords() {
            if let Some(name) = self.keywords().name(number) {
                let (flag, _) = target.keyword_flags(&[name])?;
                there[usize::from(number)] = Some(flag).filter(|flag| !flag.is_empty());
            }
        }
        Ok(there)
    }
}
