//! Reading a segment: frame by frame, past what is damaged, and where it ends.

use std::collections::BTreeSet;
use std::path::Path;

use memchr::memmem::Finder;
use pillarbox_fs::{File, Fs};

use crate::error::Result;
use crate::format::frame::{GROUP_HEADER, Group, Kind, RECORD_HEADER, Record, SEGMENT_HEADER, matches};

/// Octets that are read at once where frames follow each other closely.
const WINDOW: usize = 4096;
/// Octets that are read at once in search of a frame, or to add up a checksum.
const CHUNK: usize = 64 * 1024;
/// What a disk gives or does not give as one.
const BLOCK: u64 = 4096;
/// The longest fields that a record has.
pub(crate) const FIELDS_MAX: u32 = 16 * 1024 * 1024;

/// An open segment with a window that is in memory.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    file: File,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
    /// Blocks that the disk does not give, by number: zeros stand for them. Without this a read that fails is an error.
    lost: Option<BTreeSet<u64>>,
}

/// What stands in a segment.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A record whose header and fields are whole. Its body was not looked at.
    Record { offset: u64, record: Record, fields: &'a [u8] },
    /// Octets that cannot be read.
    Damage { from: u64, to: u64, why: &'static str },
}

impl SegmentFile {
    pub(crate) fn open(fs: &dyn Fs, path: &Path) -> Result<Self> {
        let file = fs.open(path)?;
        let len = file.metadata()?.len;
        Ok(SegmentFile { file, len, window: Vec::new(), window_at: 0, lost: None })
    }

    /// One that reads past what the disk does not give. Checksums tell the zeros that stand for it from what was written.
    pub(crate) fn open_past_gaps(fs: &dyn Fs, path: &Path) -> Result<Self> {
        Ok(SegmentFile { lost: Some(BTreeSet::new()), ..Self::open(fs, path)? })
    }

    /// Whether the disk did not give a part of this, as far as it was asked for it.
    fn has_gap(&self, from: u64, to: u64) -> bool {
        let lost = self.lost.as_ref().filter(|_| from < to);
        lost.is_some_and(|lost| lost.range(from / BLOCK..to.div_ceil(BLOCK)).next().is_some())
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// So many octets from here; fewer at the end of the file.
    pub(crate) fn octets(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        let known = offset.checked_sub(self.window_at).and_then(|at| usize::try_from(at).ok());
        let start = match known {
            Some(at) if at.saturating_add(len) <= self.window.len() => at,
            _ => {
                // A bad block behind what is asked for is nothing to it.
                self.load(offset, len.max(WINDOW)).or_else(|_| self.load(offset, len))?;
                0
            }
        };
        Ok(&self.window[start..self.window.len().min(start + len)])
    }

    fn load(&mut self, offset: u64, len: usize) -> Result<()> {
        // No more than there is, whatever a damaged length says.
        let there = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.window.clear();
        self.window.resize(len.min(there), 0);
        self.window_at = offset;
        let SegmentFile { file, window, lost, .. } = self;
        let filled = match (fill(file, offset, window), lost) {
            (Ok(filled), _) => filled,
            (Err(_), Some(lost)) => fill_past_gaps(file, offset, window, lost),
            (Err(error), None) => {
                // What was not read is not in memory.
                window.clear();
                return Err(error);
            }
        };
        self.window.truncate(filled);
        Ok(())
    }

    fn group(&mut self, offset: u64, salt: u64) -> Result<Option<Group>> {
        Ok(Group::decode(self.octets(offset, GROUP_HEADER)?, salt, offset))
    }

    /// The record that begins here, if its header is whole and the file holds as much as it says.
    pub(crate) fn record(&mut self, offset: u64, salt: u64) -> Result<Option<Record>> {
        let len = self.len;
        let record = Record::decode(self.octets(offset, RECORD_HEADER)?, salt);
        Ok(record.filter(|record| record.fields_len <= FIELDS_MAX && offset.saturating_add(record.len()) <= len))
    }

    /// Where the next frame begins at or behind `from`: a group header, or any frame if `any`.
    fn search(&mut self, mut from: u64, to: u64, salt: u64, any: bool) -> Result<Option<u64>> {
        let needle = salt.to_le_bytes();
        let finder = Finder::new(&needle);
        while from < to {
            let length = CHUNK.min(usize::try_from(to - from).unwrap_or(CHUNK));
            let chunk = self.octets(from, length)?;
            let read = chunk.len();
            let places: Vec<u64> = finder.find_iter(chunk).map(|at| from + at as u64).collect();
            for place in places {
                if self.group(place, salt)?.is_some_and(|group| group.end() <= to)
                    || any && self.record(place, salt)?.is_some_and(|record| place + record.len() <= to)
                {
                    return Ok(Some(place));
                }
            }
            if read < length || read < needle.len() {
                return Ok(None);
            }
            // A salt may lie across two chunks.
            from += (read - (needle.len() - 1)) as u64;
        }
        Ok(None)
    }

    /// Visits all that stands before `end`. `chain` is what the first group should chain to, if that is known.
    pub(crate) fn scan(
        &mut self,
        salt: u64,
        chain: Option<u32>,
        end: u64,
        visit: &mut dyn FnMut(&Found<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut offset = SEGMENT_HEADER as u64;
        let mut chain = chain;
        // Of the group that is being read: the checksum that its header names, and that of what was found.
        let mut headers: Option<(u32, crc32fast::Hasher)> = None;
        let settle = |headers: Option<(u32, crc32fast::Hasher)>, offset| {
            let wrong = headers.is_some_and(|(named, found)| found.finalize() != named);
            let why = "the records are not those of their group";
            wrong.then_some(Found::Damage { from: offset, to: offset, why })
        };
        while offset < end {
            if let Some(group) = self.group(offset, salt)?.filter(|group| group.end() <= end) {
                if let Some(damage) = settle(headers.take(), offset) {
                    visit(&damage)?;
                }
                if chain.is_some_and(|chain| chain != group.chain) {
                    let why = "the group does not follow the one before it";
                    visit(&Found::Damage { from: offset, to: offset, why })?;
                }
                chain = Some(group.check);
                headers = Some((group.records, crc32fast::Hasher::new()));
                offset += GROUP_HEADER as u64;
            } else if let Some(record) = self.record(offset, salt)?.filter(|it| offset + it.len() <= end) {
                if let Some((_, found)) = &mut headers {
                    found.update(self.octets(offset, RECORD_HEADER)?);
                }
                let to = offset + record.len();
                let fields = self.octets(offset + RECORD_HEADER as u64, record.fields_len as usize)?;
                if matches(fields, record.fields_check).is_err() {
                    visit(&Found::Damage { from: offset, to, why: "the fields of a record are damaged" })?;
                } else if let Kind::Unknown(_) = record.kind {
                    visit(&Found::Damage { from: offset, to, why: "a record of a newer version" })?;
                } else {
                    visit(&Found::Record { offset, record, fields })?;
                }
                offset = to;
            } else {
                // The next frame is not proven to be of this group.
                (headers, chain) = (None, None);
                let limit = end.min(self.len);
                let next = self.search(offset + 1, limit, salt, true)?.unwrap_or(end);
                visit(&Found::Damage { from: offset, to: next, why: "no frame begins where one should" })?;
                offset = next;
            }
        }
        if let Some(damage) = settle(headers, end) {
            visit(&damage)?;
        }
        Ok(())
    }

    /// Where the last group ends that counts, in a segment that nothing behind it says that of.
    pub(crate) fn good_end(&mut self, salt: u64) -> Result<u64> {
        let mut offset = SEGMENT_HEADER as u64;
        loop {
            let next = match self.group(offset, salt)?.map(|group| (group, group.end())) {
                Some((_, end)) if end <= self.len && self.group(end, salt)?.is_some() => Some(end),
                Some((group, end)) if end <= self.len => match self.search(end, self.len, salt, false)? {
                    // A later group was written, so this one was synced.
                    Some(_) => Some(end),
                    // It is the last one, and may be torn.
                    None if self.is_whole(&group, salt)? => return Ok(end),
                    None => None,
                },
                _ => self.search(offset + 1, self.len, salt, false)?,
            };
            match next {
                Some(next) => offset = next,
                // What the disk does not give may have been accepted: it is damaged, not torn.
                None => return Ok(if self.has_gap(offset, self.len) { self.len } else { offset }),
            }
        }
    }

    /// Whether every octet of a group is what was written.
    fn is_whole(&mut self, group: &Group, salt: u64) -> Result<bool> {
        let mut headers = crc32fast::Hasher::new();
        let mut offset = group.begins + GROUP_HEADER as u64;
        while offset < group.end() {
            let Some(record) = self.record(offset, salt)? else { return Ok(false) };
            headers.update(self.octets(offset, RECORD_HEADER)?);
            let fields_at = offset + RECORD_HEADER as u64;
            let body_at = fields_at + u64::from(record.fields_len);
            if self.checksum(fields_at, record.fields_len)? != record.fields_check
                || self.checksum(body_at, record.body_len)? != record.body_check
            {
                return Ok(false);
            }
            offset += record.len();
        }
        Ok(offset == group.end() && headers.finalize() == group.records)
    }

    fn checksum(&mut self, from: u64, len: u32) -> Result<u32> {
        let mut hasher = crc32fast::Hasher::new();
        let (mut at, end) = (from, from + u64::from(len));
        while at < end {
            let chunk = self.octets(at, CHUNK.min(usize::try_from(end - at).unwrap_or(CHUNK)))?;
            if chunk.is_empty() {
                break;
            }
            hasher.update(chunk);
            at += chunk.len() as u64;
        }
        Ok(hasher.finalize())
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(offset + filled as u64, &mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// The same, block by block. Each block that cannot be read is asked for once.
fn fill_past_gaps(file: &File, offset: u64, buffer: &mut [u8], lost: &mut BTreeSet<u64>) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + filled as u64;
        let rest = usize::try_from(BLOCK - at % BLOCK).unwrap_or(1).min(buffer.len() - filled);
        let part = &mut buffer[filled..filled + rest];
        let read = if lost.contains(&(at / BLOCK)) { None } else { fill(file, at, part).ok() };
        match read {
            Some(n) if n < rest => return filled + n,
            Some(_) => {}
            None => {
                part.fill(0);
                lost.insert(at / BLOCK);
            }
        }
        filled += rest;
    }
    filled
}
