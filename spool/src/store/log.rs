//! The end of the log: groups are written and synced here, one after the other, each for everybody who waits.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crc32fast::hash as crc;
use pillarbox_fs::File;

use super::budget::Reservation;
use super::index::{Index, SegmentState};
use super::{Shared, lock};
use crate::MessageId;
use crate::error::{Result, StoreError};
use crate::format::frame::{GROUP_HEADER, Group, Kind, RECORD_HEADER, Record, SEGMENT_HEADER, Segment};
use crate::format::record::{MessageFields, Place, append_before};
use crate::state::RecipientReport;

/// Records that wait for the next group, and the end of the log while nobody writes there.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) pending: Vec<Prepared>,
    /// The next group is to begin a segment.
    pub(super) rotate: bool,
    batch: Arc<Batch>,
    /// Who waits for another's sync. To wake nobody costs a call of the system too.
    waiting: usize,
    /// `None` while somebody writes a group.
    end: Option<LogEnd>,
}

/// What the members of one group wait for.
#[derive(Debug, Default)]
pub(super) struct Batch(OnceLock<Result<()>>);

#[derive(Debug)]
pub(super) struct LogEnd {
    writer: Option<Writer>,
    /// The last segment that has something that counts, and where it ends.
    last: (u64, u64),
    next_number: u64,
}

#[derive(Debug)]
struct Writer {
    file: File,
    number: u64,
    salt: u64,
    offset: u64,
    chain: u32,
    /// Where groups are put together.
    group: Vec<u8>,
}

/// Octets of memory that are kept for the next group.
const GROUP_KEPT: usize = 1 << 20;

/// A record that is to be written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: MessageId,
    pub(super) fields: Vec<u8>,
    /// Shared with whoever sends it at once.
    pub(super) body: Arc<Vec<u8>>,
    pub(super) body_check: u32,
    pub(super) effect: Effect,
    /// The memory of the body, until it is written.
    pub(super) _reservation: Reservation,
}

/// What is so when the record is synced.
#[derive(Debug)]
pub(super) enum Effect {
    Accept(Box<MessageFields>),
    Carry(Box<MessageFields>),
    News(Vec<RecipientReport>),
    Hold,
    Release,
    Delete,
}

impl Prepared {
    /// Recipients of a message that is accepted.
    pub(super) fn recipients(&self) -> usize {
        match &self.effect {
            Effect::Accept(fields) => fields.states.len(),
            _ => 0,
        }
    }

    pub(super) fn of_fields(id: MessageId, fields: Vec<u8>, effect: Effect) -> Self {
        Prepared {
            id,
            fields,
            body: Arc::default(),
            body_check: crc(&[]),
            effect,
            _reservation: Reservation::default(),
        }
    }

    fn kind(&self) -> Kind {
        match self.effect {
            Effect::Accept(_) => Kind::Message,
            Effect::Carry(_) => Kind::Carried,
            Effect::News(_) => Kind::News,
            Effect::Hold => Kind::Hold,
            Effect::Release => Kind::Release,
            Effect::Delete => Kind::Delete,
        }
    }
}

impl Queue {
    pub(super) fn new(last: (u64, u64), next_number: u64) -> Self {
        let end = LogEnd { writer: None, last, next_number };
        Queue { pending: Vec::new(), rotate: false, batch: Arc::default(), waiting: 0, end: Some(end) }
    }

    pub(super) fn push(&mut self, records: Vec<Prepared>) -> Arc<Batch> {
        self.pending.extend(records);
        self.batch.clone()
    }
}

impl Shared {
    /// Returns when the group that holds the records of `batch` is synced, or is known to be lost. Whoever comes while nobody
    /// writes does it for all.
    pub(super) fn wait(&self, batch: &Batch) -> Result<()> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(result) = batch.0.get() {
                return result.clone();
            }
            let Some(mut end) = queue.end.take() else {
                queue.waiting += 1;
                queue = self.written.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
                queue.waiting -= 1;
                continue;
            };
            let group = std::mem::take(&mut queue.batch);
            let records = std::mem::take(&mut queue.pending);
            let rotate = std::mem::take(&mut queue.rotate);
            drop(queue);
            let result = self.write_group(&mut end, records, rotate);
            queue = lock(&self.queue);
            queue.end = Some(end);
            group.0.get_or_init(|| result);
            if queue.waiting > 0 {
                self.written.notify_all();
            }
        }
    }

    /// The previous group's sync has returned, or there is a new segment: nothing is written behind what may be lost.
    fn write_group(&self, end: &mut LogEnd, mut records: Vec<Prepared>, rotate: bool) -> Result<()> {
        let is_full = end.writer.as_ref().is_none_or(|writer| writer.offset >= self.options.segment_size);
        let result = if is_full || rotate {
            self.write_to_new_segment(end, &mut records)
        } else {
            self.write_to_segment(end, &mut records)
        };
        let mut index = lock(&self.index);
        match &result {
            Ok(places) => {
                for (record, place) in records.into_iter().zip(places) {
                    apply(&mut index, record, *place);
                }
            }
            Err(_) => {
                // What was written may be there or not; the next segment says that it does not count.
                end.writer = None;
                for record in &records {
                    settle(&mut index, record.id);
                }
            }
        }
        result.map(drop)
    }

    fn write_to_segment(&self, end: &mut LogEnd, records: &mut [Prepared]) -> Result<Vec<(Place, u64)>> {
        let writer = end.writer.as_mut().expect("a segment is open");
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut group = std::mem::take(&mut writer.group);
        group.clear();
        let (places, chain) = self.encode_group(&mut group, records, writer)?;
        writer.file.write(&group)?;
        writer.file.sync_data()?;
        writer.offset += group.len() as u64;
        writer.chain = chain;
        // A large one was for a crowd that may never come again.
        if group.capacity() <= GROUP_KEPT {
            writer.group = group;
        }
        end.last = (writer.number, writer.offset);
        if let Some(segment) = lock(&self.index).segments.get_mut(&writer.number) {
            segment.end = writer.offset;
        }
        Ok(places)
    }

    fn write_to_new_segment(&self, end: &mut LogEnd, records: &mut [Prepared]) -> Result<Vec<(Place, u64)>> {
        // All of the old one is synced. What a network file system says at its close changes nothing about that.
        end.writer = None;
        let number = end.next_number;
        // A number is used once, so that a file that comes back after a crash is never taken for another.
        end.next_number += 1;
        let salt = lock(&self.random).next_u64();
        let floor = {
            let mut index = lock(&self.index);
            index.segments.insert(number, SegmentState::new(salt, None, 0));
            index.floor()
        };
        let (header, octets) = Segment::encode(number, salt, floor, end.last);
        let path = self.paths.segment(number, salt);
        let file = self.fs.create(&path)?;
        let mut writer =
            Writer { file, number, salt, offset: SEGMENT_HEADER as u64, chain: header.check, group: Vec::new() };
        let mut all = octets.to_vec();
        let mut places = Vec::new();
        if !records.is_empty() {
            (places, writer.chain) = self.encode_group(&mut all, records, &writer)?;
        }
        writer.file.write(&all)?;
        writer.file.sync_data()?;
        self.fs.sync_dir(&self.paths.log)?;
        writer.offset = all.len() as u64;
        end.last = (number, writer.offset);
        let mut index = lock(&self.index);
        index.segments.insert(number, SegmentState::new(salt, Some(header.check), writer.offset));
        index.recorded_floor = floor;
        end.writer = Some(writer);
        Ok(places)
    }

    /// Appends a group to `out`, and says where each record will be and what the next group chains to.
    fn encode_group(
        &self,
        out: &mut Vec<u8>,
        records: &mut [Prepared],
        writer: &Writer,
    ) -> Result<(Vec<(Place, u64)>, u32)> {
        let start = out.len();
        let len = |record: &Prepared| RECORD_HEADER + record.fields.len() + record.body.len();
        out.reserve(GROUP_HEADER + records.iter().map(len).sum::<usize>());
        out.resize(start + GROUP_HEADER, 0);
        let mut headers = crc32fast::Hasher::new();
        let mut places = Vec::with_capacity(records.len());
        // The last report of each message, where it is in this group.
        let mut newest: HashMap<MessageId, Option<Place>> = HashMap::new();
        let index = lock(&self.index);
        for record in records.iter_mut() {
            let place = Place { segment: writer.number, offset: writer.offset + (out.len() - start) as u64 };
            match record.effect {
                Effect::News(_) => {
                    let known = || index.messages.get(&record.id).and_then(|entry| entry.last);
                    if let Some(before) = newest.get(&record.id).copied().unwrap_or_else(known) {
                        append_before(&mut record.fields, before);
                    }
                    newest.insert(record.id, Some(place));
                }
                // It holds the history itself.
                Effect::Carry(_) => drop(newest.insert(record.id, None)),
                _ => {}
            }
            let header = record.header();
            let octets = header.encode(writer.salt);
            headers.update(&octets);
            out.extend_from_slice(&octets);
            out.extend_from_slice(&record.fields);
            out.extend_from_slice(&record.body);
            places.push((place, header.len()));
        }
        let length = u32::try_from(out.len() - start - GROUP_HEADER).map_err(|_| StoreError::TooLarge)?;
        let (check, header) = Group::encode(writer.salt, length, writer.offset, writer.chain, headers.finalize());
        out[start..start + GROUP_HEADER].copy_from_slice(&header);
        Ok((places, check))
    }
}

impl Prepared {
    fn header(&self) -> Record {
        // Longer ones were refused when they were prepared.
        let length = |octets: &[u8]| u32::try_from(octets.len()).expect("records are smaller than 4 GiB");
        Record {
            kind: self.kind(),
            fields_len: length(&self.fields),
            body_len: length(&self.body),
            fields_check: crc(&self.fields),
            body_check: self.body_check,
        }
    }
}

fn apply(index: &mut Index, record: Prepared, (place, len): (Place, u64)) {
    let id = record.id;
    settle(index, id);
    match record.effect {
        Effect::Accept(fields) => index.place_message(&fields, place, len),
        Effect::Carry(fields) => {
            // Nothing else about it is pending: that is looked at before it is carried.
            if index.messages.contains_key(&id) {
                let pending = index.messages[&id].pending;
                index.place_message(&fields, place, len);
                index.messages.get_mut(&id).expect("it was placed").pending = pending;
            }
        }
        Effect::News(recipients) => index.add_news(id, place, &recipients),
        Effect::Hold => index.set_held(id, true),
        Effect::Release => index.set_held(id, false),
        Effect::Delete => index.finish(id),
    }
}

fn settle(index: &mut Index, id: MessageId) {
    if let Some(entry) = index.messages.get_mut(&id) {
        entry.pending = entry.pending.saturating_sub(1);
    }
}
