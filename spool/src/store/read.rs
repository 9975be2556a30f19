//! Reading messages back, whole or not at all.

use std::sync::Arc;

use pillarbox_fs::File;

use super::index::Entry;
use super::recovery::{Waiting, is_not_found};
use super::segment::SegmentFile;
use super::survey::is_passing;
use super::{Store, lock};
use crate::error::{Result, StoreError};
use crate::format::Malformed;
use crate::format::frame::{Kind, RECORD_HEADER, Record, matches};
use crate::format::record::{LargeBody, MessageFields, NewsFields, Place, decode_message, decode_news};
use crate::state::{Attempt, HISTORY_MAX, RecipientState};
use crate::{Envelope, MessageId};

/// Octets that are read at once of a body with a file of its own.
const CHUNK: usize = 64 * 1024;

/// A waiting message with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The message.
    pub id: MessageId,
    /// What it was accepted with.
    pub envelope: Envelope,
    /// What has become of each recipient.
    pub recipients: Vec<RecipientState>,
    /// It is held.
    pub held: bool,
    /// It was released, and some recipient not tried since.
    pub is_owed: bool,
    /// Octets of content.
    pub size: u64,
}

/// The content of a message, whose checksum was found right.
#[derive(Debug)]
pub struct Body {
    source: Source,
    len: u64,
}

/// A segment that stays open between reads.
#[derive(Debug)]
pub(super) struct OpenSegment {
    number: u64,
    file: SegmentFile,
    salt: u64,
}

#[derive(Debug)]
enum Source {
    Memory(Arc<Vec<u8>>),
    File(File),
}

impl Store {
    /// A waiting message with the history of each recipient.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchMessage`], [`StoreError::StillReading`], [`StoreError::Damaged`], [`StoreError::Fs`].
    pub fn message(&self, id: MessageId) -> Result<Message> {
        self.read(id, |store, entry| {
            let (fields, record, _) = store.record(id, entry)?;
            let mut recipients = fields.states.clone();
            store.add_history(entry, &mut recipients)?;
            for (state, status) in recipients.iter_mut().zip(&entry.recipients) {
                status.tell(state);
            }
            let size = size(&fields, &record);
            let (held, is_owed) = (entry.held, entry.is_owed());
            Ok(Message { id, envelope: fields.envelope, recipients, held, is_owed, size })
        })
    }

    /// The content of a waiting message: read and compared with its checksum before any of it is given.
    ///
    /// # Errors
    ///
    /// As [`message`](Store::message).
    pub fn body(&self, id: MessageId) -> Result<Body> {
        self.read(id, |store, entry| {
            let (fields, record, mut segment) = store.record(id, entry)?;
            if let Some(large) = fields.large {
                return store.large_body(id, large);
            }
            let at = entry.first.offset + RECORD_HEADER as u64 + u64::from(record.fields_len);
            let octets = segment.octets(at, record.body_len as usize)?.to_vec();
            matches(&octets, record.body_check).map_err(|Malformed(why)| StoreError::Damaged(id, why))?;
            Ok(Body { len: octets.len() as u64, source: Source::Memory(Arc::new(octets)) })
        })
    }

    /// A waiting message as the recovery tells it: for one that it could not read.
    ///
    /// # Errors
    ///
    /// As [`message`](Store::message).
    pub fn waiting(&self, id: MessageId) -> Result<Waiting> {
        self.waiting_in(id, &mut None)
    }

    /// Messages that came one after the other are in one segment: `open` is the one that was read last.
    pub(super) fn waiting_in(&self, id: MessageId, open: &mut Option<OpenSegment>) -> Result<Waiting> {
        self.read(id, |store, entry| {
            let segment = store.open_segment(entry.first, open)?;
            let (fields, record) = record_in(id, entry, segment)?;
            Ok(Waiting {
                id,
                size: size(&fields, &record),
                envelope: fields.envelope,
                recipients: entry.recipients.iter().map(|status| (status.outcome(), status.notices())).collect(),
                attempts: entry.reports,
                last_attempt: (entry.reports > 0).then_some(entry.last_report),
                held: entry.held,
                is_owed: entry.is_owed(),
            })
        })
    }

    /// Reads by what the index says. A message that is carried forward meanwhile is read again where it is now.
    fn read<T>(&self, id: MessageId, mut read: impl FnMut(&Store, &Entry) -> Result<T>) -> Result<T> {
        let mut entry = self.entry(id)?;
        loop {
            let result = read(self, &entry);
            match &result {
                Err(error) if is_not_found(error) || matches!(error, StoreError::Damaged(..)) => {
                    let now = self.entry(id)?;
                    if now.first == entry.first {
                        let why = "its file is gone";
                        return if is_not_found(error) { Err(StoreError::Damaged(id, why)) } else { result };
                    }
                    entry = now;
                }
                _ => return result,
            }
        }
    }

    pub(super) fn entry(&self, id: MessageId) -> Result<Entry> {
        let index = lock(&self.0.index);
        let missing = if index.reading { StoreError::StillReading } else { StoreError::NoSuchMessage(id) };
        index.messages.get(&id).cloned().ok_or(missing)
    }

    fn open_segment<'a>(&self, place: Place, open: &'a mut Option<OpenSegment>) -> Result<&'a mut OpenSegment> {
        let known = open.take().filter(|known| known.number == place.segment);
        let segment = match known {
            Some(known) => known,
            None => {
                let (file, salt) = self.segment_of(place)?;
                OpenSegment { number: place.segment, file, salt }
            }
        };
        Ok(open.insert(segment))
    }

    /// The segment, and the salt that its frames begin with.
    pub(super) fn segment_of(&self, place: Place) -> Result<(SegmentFile, u64)> {
        let salt = lock(&self.0.index).segments.get(&place.segment).map_or(0, |segment| segment.salt);
        Ok((SegmentFile::open(&*self.0.fs, &self.0.paths.segment(place.segment, salt))?, salt))
    }

    /// The same for a look past what the disk does not give.
    pub(super) fn segment_past_gaps(&self, place: Place) -> Result<(SegmentFile, u64)> {
        let salt = lock(&self.0.index).segments.get(&place.segment).map_or(0, |segment| segment.salt);
        let path = self.0.paths.segment(place.segment, salt);
        Ok((SegmentFile::open_past_gaps(&*self.0.fs, &path)?, salt))
    }

    pub(super) fn record(&self, id: MessageId, entry: &Entry) -> Result<(MessageFields, Record, SegmentFile)> {
        let mut open = None;
        let (fields, record) = record_in(id, entry, self.open_segment(entry.first, &mut open)?)?;
        let segment = open.expect("it was opened above").file;
        Ok((fields, record, segment))
    }

    /// Adds the attempts of all reports, which name each other from the last to the first. Where one cannot be read, it and those
    /// before it are left out; outcomes do not depend on it.
    pub(super) fn add_history(&self, entry: &Entry, recipients: &mut [RecipientState]) -> Result<()> {
        // Of each recipient the last attempt first; however many there were, the first one and the last ones are in memory.
        let mut found: Vec<Vec<Attempt>> = vec![Vec::new(); recipients.len()];
        let mut next = entry.last;
        let mut open = None;
        while let Some(place) = next {
            let news = match self.news(place, &mut open) {
                Ok(Some(news)) => news,
                Err(error) if is_passing(&error) => return Err(error),
                _ => break,
            };
            // Reports only name what was there before them.
            next = news.before.filter(|before| *before < place);
            for about in news.recipients.into_iter().rev() {
                let at = usize::try_from(about.recipient).unwrap_or(usize::MAX);
                if let (Some(attempt), Some(state), Some(found)) =
                    (about.attempt, recipients.get_mut(at), found.get_mut(at))
                {
                    state.attempts = state.attempts.saturating_add(1);
                    found.truncate(HISTORY_MAX - 1);
                    found.push(attempt);
                }
            }
        }
        for (state, found) in recipients.iter_mut().zip(found) {
            state.history.extend(found.into_iter().rev());
            state.shorten(HISTORY_MAX);
        }
        Ok(())
    }

    fn news(&self, place: Place, open: &mut Option<OpenSegment>) -> Result<Option<NewsFields>> {
        let segment = self.open_segment(place, open)?;
        news_at(&mut segment.file, place.offset, segment.salt)
    }

    fn large_body(&self, id: MessageId, large: LargeBody) -> Result<Body> {
        let file = self.0.fs.open(&self.0.paths.body(id))?;
        let len = file.metadata()?.len;
        let mut hasher = crc32fast::Hasher::new();
        let mut buffer = vec![0; CHUNK];
        let mut at = 0;
        while at < len {
            match file.read_at(at, &mut buffer)? {
                0 => break,
                n => {
                    hasher.update(&buffer[..n]);
                    at += n as u64;
                }
            }
        }
        if len != large.length || hasher.finalize() != large.check {
            return Err(StoreError::Damaged(id, "its body is not what was written"));
        }
        Ok(Body { source: Source::File(file), len })
    }
}

fn record_in(id: MessageId, entry: &Entry, segment: &mut OpenSegment) -> Result<(MessageFields, Record)> {
    let damaged = |Malformed(why)| StoreError::Damaged(id, why);
    let record = segment.file.record(entry.first.offset, segment.salt)?;
    let record = record.ok_or(Malformed("its record is not there")).map_err(damaged)?;
    let fields = segment.file.octets(entry.first.offset + RECORD_HEADER as u64, record.fields_len as usize)?;
    matches(fields, record.fields_check).map_err(damaged)?;
    let message = decode_message(fields).map_err(damaged)?;
    if message.id != id || message.states.len() != entry.recipients.len() {
        return Err(StoreError::Damaged(id, "the record is that of another message"));
    }
    Ok((message, record))
}

fn size(fields: &MessageFields, record: &Record) -> u64 {
    fields.large.map_or(u64::from(record.body_len), |large| large.length)
}

fn news_at(segment: &mut SegmentFile, offset: u64, salt: u64) -> Result<Option<NewsFields>> {
    let Some(record) = segment.record(offset, salt)?.filter(|record| record.kind == Kind::News) else {
        return Ok(None);
    };
    let fields = segment.octets(offset + RECORD_HEADER as u64, record.fields_len as usize)?;
    Ok(matches(fields, record.fields_check).and_then(|()| decode_news(fields)).ok())
}

impl Body {
    pub(super) fn of_memory(octets: Arc<Vec<u8>>) -> Self {
        Body { len: octets.len() as u64, source: Source::Memory(octets) }
    }

    /// All of the content, if it is in memory. Then no call waits for the disk.
    pub fn in_memory(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Memory(octets) => Some(octets),
            Source::File(_) => None,
        }
    }

    /// Octets of content.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from this offset on, as far as the content goes; 0 is its end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fs`], where the content has a file.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match &self.source {
            Source::File(file) => Ok(file.read_at(offset, buffer)?),
            Source::Memory(octets) => {
                let rest = usize::try_from(offset).ok().and_then(|at| octets.get(at..)).unwrap_or_default();
                let n = rest.len().min(buffer.len());
                buffer[..n].copy_from_slice(&rest[..n]);
                Ok(n)
            }
        }
    }
}
