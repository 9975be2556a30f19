//! Tidying: what is finished goes, and what waits in the way of that is carried forward.

use std::sync::Arc;
use std::time::SystemTime;

use pillarbox_fs::{ErrorKind, Kind};

use super::index::{Index, Status};
use super::log::{Effect, Prepared};
use super::recovery::if_found;
use super::segment::{FIELDS_MAX, Found};
use super::{Store, lock};
use crate::MessageId;
use crate::error::{Result, StoreError};
use crate::format::frame::{Kind as RecordKind, RECORD_HEADER};
use crate::format::record::{MessageFields, Place, decode_id, encode_carried};

/// Octets of content that are carried forward in one commit.
const CARRIED_AT_ONCE: u64 = 4 << 20;

/// What was tidied.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tended {
    /// Messages that were carried forward.
    pub carried: usize,
    /// Segments that were deleted.
    pub deleted: usize,
    /// Messages that could not be read on the way and were set aside, and why: they are in the queue no more.
    pub set_aside: Vec<(MessageId, StoreError)>,
}

impl Store {
    /// Deletes what the log no longer needs. Where more than half of it is waste, and more than two segments, the oldest segment's waiting
    /// messages are carried forward, so that one message that waits for days keeps no log of days. Call it every few seconds, from one
    /// place; without anything to do it costs nothing. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fs`]: the log is as it was, or tidied as far as it could be. Messages that were set aside are told by the next
    /// call that has none.
    pub fn tend(&self) -> Result<Tended> {
        let _one = lock(&self.0.tending);
        let mut tended = Tended::default();
        if lock(&self.0.index).reading {
            return Ok(tended);
        }
        self.keep_again();
        for id in std::mem::take(&mut lock(&self.0.index).finished_bodies) {
            // What cannot be removed now is found by the next sweep.
            let _ = self.0.fs.unlink(&self.0.paths.body(id));
        }
        let mut trouble = None;
        while let Some(oldest) = self.is_in_the_way() {
            if let Err(error) = self.carry_forward(oldest, &mut tended.carried) {
                trouble = Some(error);
            }
            if lock(&self.0.index).segments.get(&oldest).is_some_and(|segment| segment.waiting > 0) {
                // Something about its messages is under way.
                break;
            }
        }
        // Where there is no room to carry anything forward, this makes some.
        tended.deleted = self.delete_finished()?;
        if let Some(error) = trouble {
            return Err(error);
        }
        tended.set_aside = std::mem::take(&mut lock(&self.0.index).set_aside);
        Ok(tended)
    }

    /// Copies what was found damaged and could not be copied then: without a copy its segment stays, and all behind it.
    fn keep_again(&self) {
        let unkept = std::mem::take(&mut lock(&self.0.index).unkept);
        for (number, from, to) in unkept {
            let kept = self
                .segment_past_gaps(Place { segment: number, offset: from })
                .and_then(|(mut segment, _)| self.0.keep_part(number, &mut segment, from, to));
            if kept.is_err() {
                lock(&self.0.index).unkept.push((number, from, to));
            }
        }
        let mut index = lock(&self.0.index);
        let Index { unkept, segments, unread, .. } = &mut *index;
        for (number, segment) in segments.iter_mut().filter(|(_, segment)| segment.pinned) {
            segment.pinned = unread.contains(number) || unkept.iter().any(|(other, ..)| other == number);
        }
    }

    /// The oldest segment in which something is waiting, if there is so much waste behind it that it has to go.
    fn is_in_the_way(&self) -> Option<u64> {
        let index = lock(&self.0.index);
        let newest = *index.segments.keys().next_back()?;
        let (oldest, state) = index.segments.iter().find(|(_, segment)| segment.waiting > 0 || segment.pinned)?;
        let (size, live) = index
            .segments
            .range(oldest..)
            .fold((0, 0), |(size, live), (_, segment)| (size + segment.end, live + segment.live));
        let is_wasteful = size > 2 * live + 2 * self.0.options.segment_size;
        (is_wasteful && *oldest != newest && !state.pinned).then_some(*oldest)
    }

    /// Writes the waiting messages of a segment again, with all that is known of them.
    fn carry_forward(&self, number: u64, carried: &mut usize) -> Result<()> {
        let mut ids: Vec<(MessageId, u64)> = Vec::new();
        let (state, place) = {
            let index = lock(&self.0.index);
            (index.segments[&number].clone(), Place { segment: number, offset: 0 })
        };
        let (mut segment, salt) = self.segment_past_gaps(place)?;
        segment.scan(salt, state.chain, state.end, &mut |found| {
            if let Found::Record { offset, record, fields } = found
                && matches!(record.kind, RecordKind::Message | RecordKind::Carried)
                && let Ok(id) = decode_id(fields)
            {
                let here = Place { segment: number, offset: *offset };
                if lock(&self.0.index).messages.get(&id).is_some_and(|entry| entry.first == here) {
                    ids.push((id, record.len()));
                }
            }
            Ok(())
        })?;
        let mut ids = ids.into_iter().peekable();
        let mut trouble = None;
        while ids.peek().is_some() {
            let mut octets = 0;
            let mut records = Vec::new();
            while let Some((id, len)) = ids.next_if(|_| octets < CARRIED_AT_ONCE) {
                octets += len;
                match self.copy_of(id) {
                    Ok(copy) => records.extend(copy),
                    Err(StoreError::NoSuchMessage(_)) => {}
                    Err(error) => trouble = self.out_of_the_way(id, error).err().or(trouble),
                }
            }
            *carried += self.commit_carried(records)?;
        }
        trouble.map_or(Ok(()), Err)
    }

    /// A message that cannot be carried forward because of `why` must not keep the log from being tidied.
    fn out_of_the_way(&self, id: MessageId, why: StoreError) -> Result<()> {
        let is_lost = match &why {
            StoreError::Damaged(..) => true,
            // What the disk does not give twice it will not give.
            StoreError::Fs(error) if error.kind() == ErrorKind::Io => !lock(&self.0.index).not_given.insert(id),
            _ => false,
        };
        if !is_lost {
            return Err(why);
        }
        self.set_aside(id)?;
        let mut index = lock(&self.0.index);
        index.not_given.remove(&id);
        index.set_aside.push((id, why));
        Ok(())
    }

    /// The message as it is to be written again, and its last report at that moment.
    fn copy_of(&self, id: MessageId) -> Result<Option<(Prepared, Option<Place>)>> {
        let entry = self.entry(id)?;
        if entry.pending > 0 {
            return Ok(None);
        }
        let (mut message, record, mut segment) = self.record(id, &entry)?;
        self.add_history(&entry, &mut message.states)?;
        for (state, status) in message.states.iter_mut().zip(&entry.recipients) {
            status.tell(state);
        }
        message.held = entry.held;
        (message.reports, message.last_report) = (entry.reports, entry.last_report);
        let at = entry.first.offset + RECORD_HEADER as u64 + u64::from(record.fields_len);
        let body = segment.octets(at, record.body_len as usize)?.to_vec();
        if crc32fast::hash(&body) != record.body_check {
            return Err(StoreError::Damaged(id, "the checksum is wrong"));
        }
        // Where there is too much to be said it stays where it is, until it is finished.
        let Some(fields) = encode_carried(&mut message, FIELDS_MAX as usize) else { return Ok(None) };
        let mut prepared = Prepared::of_fields(id, fields, Effect::Carry(Box::new(message)));
        (prepared.body, prepared.body_check) = (Arc::new(body), record.body_check);
        Ok(Some((prepared, entry.last)))
    }

    /// Only those that nothing happened to since they were copied: what a later record says must stand behind the copy.
    fn commit_carried(&self, copies: Vec<(Prepared, Option<Place>)>) -> Result<usize> {
        let mut index = lock(&self.0.index);
        let mut records = Vec::new();
        for (copy, last) in copies {
            let Effect::Carry(fields) = &copy.effect else { continue };
            let is_same = |fields: &MessageFields| {
                index.messages.get(&copy.id).is_some_and(|entry| {
                    // Who holds a message or lets it go makes no report.
                    let is_as_held = entry.held == fields.held
                        && entry.recipients.iter().copied().eq(fields.states.iter().map(Status::of));
                    entry.pending == 0 && entry.last == last && is_as_held
                })
            };
            if is_same(fields) {
                index.messages.get_mut(&copy.id).expect("it was looked at").pending += 1;
                records.push(copy);
            }
        }
        let count = records.len();
        let batch = lock(&self.0.queue).push(records);
        drop(index);
        if count > 0 {
            self.0.wait(&batch)?;
        }
        Ok(count)
    }

    /// Deletes the oldest segments in which nothing is waiting: first the log says that they do not count, then they go, one after
    /// the other.
    fn delete_finished(&self) -> Result<usize> {
        let mut index = lock(&self.0.index);
        let newest = index.segments.keys().next_back().copied();
        for (number, segment) in &mut index.segments {
            // The newest one is written to, or will be named by the next one.
            if Some(*number) == newest || segment.waiting > 0 || segment.pinned {
                break;
            }
            segment.retired = true;
        }
        if index.floor() > index.recorded_floor {
            let mut queue = lock(&self.0.queue);
            queue.rotate = true;
            let batch = queue.push(Vec::new());
            drop((queue, index));
            self.0.wait(&batch)?;
        } else {
            drop(index);
        }
        let retired: Vec<(u64, u64)> = {
            let index = lock(&self.0.index);
            let below = |(number, _): &(&u64, _)| **number < index.recorded_floor;
            index.segments.iter().take_while(below).map(|(number, segment)| (*number, segment.salt)).collect()
        };
        for (number, salt) in &retired {
            if_found(self.0.fs.unlink(&self.0.paths.segment(*number, *salt)))?;
            // A name that comes back with a power cut comes back alone: what a later segment said of its messages is there still,
            // should the newest one, which says that neither counts, not be given by the disk.
            self.0.fs.sync_dir(&self.0.paths.log)?;
            lock(&self.0.index).segments.remove(number);
        }
        Ok(retired.len())
    }

    /// Takes a message out of the queue that cannot be read: copies what there is of it to `set-aside/`, durably, and forgets
    /// it. A person has to look at it; its sender was told that it was accepted. Where the disk does not give its segment at all, that
    /// gets a second name there, for the day on which it does.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchMessage`], [`StoreError::StillReading`], [`StoreError::Fs`].
    pub fn set_aside(&self, id: MessageId) -> Result<()> {
        let entry = self.entry(id)?;
        match self.segment_past_gaps(entry.first) {
            Ok((mut segment, _)) => {
                let from = entry.first.offset;
                self.0.keep(&format!("{id}.record"), &mut segment, from, from + entry.len)?;
            }
            // There is nothing to copy.
            Err(StoreError::Fs(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(StoreError::Fs(error)) if error.kind() == ErrorKind::Io => self.keep_whole(id, entry.first)?,
            Err(error) => return Err(error),
        }
        if entry.is_large && self.0.fs.metadata(&self.0.paths.body(id)).is_ok() {
            self.0.paths.move_aside(&*self.0.fs, &self.0.paths.body(id), "the message is damaged")?;
        }
        self.commit(vec![crate::Change::Delete(id)])?.wait()
    }

    /// Removes bodies that belong to no message and to which nobody has written for
    /// [`Options::orphan_age`](crate::Options::orphan_age): those of messages that were finished or never accepted. Call it
    /// after the recovery, and then once a day.
    ///
    /// Where this start or an earlier one found something of the log missing or damaged, they are moved to `set-aside/`, until all have
    /// been that are so old; where something of it could not be read yet, they stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fs`]; those that were found before are gone.
    pub fn sweep(&self, now: SystemTime) -> Result<usize> {
        let mut removed = 0;
        let is_short = {
            let index = lock(&self.0.index);
            // Whose the bodies are is not known.
            if index.reading || index.segments.values().any(|segment| segment.pinned) {
                return Ok(0);
            }
            index.is_short
        };
        let marked = match self.0.fs.metadata(&self.0.paths.incomplete) {
            Ok(metadata) => Some(metadata.modified),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        if is_short && marked.is_none() {
            self.0.paths.mark_incomplete(&*self.0.fs)?;
        }
        let is_short = is_short || marked.is_some();
        let is_old = |moment| now.duration_since(moment).is_ok_and(|age| age >= self.0.options.orphan_age);
        for entry in self.0.fs.list(&self.0.paths.bodies)? {
            let path = self.0.paths.bodies.join(&entry.name);
            let id = entry.name.to_str().and_then(|name| name.parse::<MessageId>().ok());
            let Some(id) = id.filter(|_| entry.kind == Kind::File) else {
                self.0.paths.move_aside(&*self.0.fs, &path, "not a body")?;
                continue;
            };
            if lock(&self.0.index).messages.contains_key(&id) {
                continue;
            }
            let modified = match self.0.fs.metadata(&path) {
                Ok(metadata) => metadata.modified,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            if is_old(modified) {
                if is_short {
                    self.0.paths.move_aside(&*self.0.fs, &path, "a body without a message")?;
                } else {
                    if_found(self.0.fs.unlink(&path))?;
                }
                removed += 1;
            }
        }
        // What is left of nobody's came after the damage.
        if marked.is_some_and(is_old) {
            if_found(self.0.fs.unlink(&self.0.paths.incomplete))?;
            self.0.fs.sync_dir(&self.0.paths.root)?;
            lock(&self.0.index).is_short = false;
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use pillarbox_core::WallTime;
    use pillarbox_core::address::{ForwardPath, ReversePath};
    use pillarbox_fs::SimulatedFs;

    use super::*;
    use crate::{Attempt, Change, Envelope, Options, Outcome, Recipient, Report};

    #[test]
    fn no_recipient_who_was_let_go_meanwhile_is_carried_as_it_was() {
        let now = WallTime::new(1_700_000_000, 0);
        let mut options = Options::from_system();
        (options.reserve_bytes, options.reserve_files) = (0, 0);
        let (store, recovery) = Store::open(SimulatedFs::new(), "/spool", options).unwrap();
        assert_eq!(recovery.count(), 0);
        let to = ["ann@example.com", "bob@example.com"];
        let to = to.map(|to| Recipient::new(ForwardPath::Address(to.parse().unwrap())));
        let mut incoming = store.begin(now);
        incoming.write(b"Subject: hello\r\n\r\n").unwrap();
        let id = incoming.id();
        incoming.commit(Envelope::new(now, ReversePath::Null, to)).unwrap().wait().unwrap();
        let commit = |change| store.commit(vec![change]).unwrap().wait().unwrap();
        let owed = || store.message(id).unwrap().recipients.iter().map(|state| state.is_owed).collect::<Vec<_>>();
        let let_go = || {
            commit(Change::Hold(id));
            commit(Change::Release(id));
        };
        // The first was tried since, the other not.
        let_go();
        let mut report = Report::new(id);
        report.attempt(0, Attempt::new(now, Outcome::Delayed));
        commit(Change::Report(report));
        assert_eq!(owed(), [false, true]);
        let copy = || vec![store.copy_of(id).unwrap().unwrap()];
        let copies = copy();
        let_go();
        assert_eq!((store.commit_carried(copies).unwrap(), owed()), (0, vec![true, true]));
        assert_eq!((store.commit_carried(copy()).unwrap(), owed()), (1, vec![true, true]));
    }
}
