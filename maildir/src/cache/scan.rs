//! The file as a whole: its header, and where its records are. Numbers begin with the low octet.
//!
//! | at | octets | what |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | version: 1. What has another one is no cache to this program |
//! | 12 | 4 | UIDVALIDITY |
//! | 16 | 4 | 0 |
//! | 20 | 4 | CRC-32 of the 20 octets before |
//! | 24 | | records, each right behind the other; of several of one message the last one counts |
//!
//! What is no record is passed over up to the next [`record::MAGIC`]: the end of a write that was cut short, by a full disk or
//! a crash, with whole records behind it. A file with many such places is given up, so that the time this takes is bounded by the length
//! of the file whatever is in it.

use pillarbox_fs::File;

use super::record::{self, Begins, RECORD_MAX, fill};
use crate::Uid;

const MAGIC: [u8; 8] = *b"PBXCACH\n";
const VERSION: u32 = 1;
const HEADER: usize = 24;

/// Octets in memory while the file is looked through.
pub(super) const BUFFER: usize = 64 << 10;
const _: () = assert!(BUFFER > RECORD_MAX);

/// With more places than these that are no records, the file is given up.
pub(super) const DAMAGED_MAX: u32 = 16;

pub(super) fn header(validity: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&validity.to_le_bytes());
    let sum = crc32fast::hash(&header[..20]);
    header[20..].copy_from_slice(&sum.to_le_bytes());
    header
}

pub(super) fn has_header(file: &File, validity: u32) -> bool {
    let mut found = [0; HEADER];
    fill(file, 0, &mut found) == Some(HEADER) && found == header(validity)
}

pub(super) struct Scanned {
    /// What comes behind this is still being written, or was cut short.
    pub(super) end: u64,
    pub(super) records: u64,
    pub(super) damaged: u32,
}

/// Notes where the records between two places of a file begin; `None` if it cannot be read, is no cache, or holds more than so
/// many.
pub(super) fn scan(file: &File, start: u64, end: u64, most: u64, places: &mut Vec<(Uid, u32)>) -> Option<Scanned> {
    let mut scanned = Scanned { end: start, records: 0, damaged: 0 };
    let mut window = Window::new(file, start, end);
    let mut lost = false;
    while scanned.end < end {
        let octets = window.from(scanned.end)?;
        match record::begin(octets) {
            Begins::Record { .. } if scanned.records >= most => return None,
            Begins::Record { len, uid } => {
                places.push((uid, u32::try_from(scanned.end).ok()?));
                scanned.records += 1;
                scanned.end += len as u64;
                lost = false;
            }
            Begins::Part(_) => break,
            Begins::Other => {
                // What looks like a record costs a checksum, so that each counts.
                scanned.damaged += u32::from(!lost) + u32::from(octets.starts_with(&record::MAGIC));
                if scanned.damaged > DAMAGED_MAX {
                    return None;
                }
                lost = true;
                // The mark may begin in the last three octets.
                let next = memchr::memmem::find(&octets[1..], &record::MAGIC);
                scanned.end += next.map_or(octets.len().saturating_sub(3).max(1), |n| n + 1) as u64;
            }
        }
    }
    Some(scanned)
}

/// A piece of a file in memory.
pub(super) struct Window<'a> {
    file: &'a File,
    /// Nothing is read from here on.
    end: u64,
    first: u64,
    octets: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) const fn new(file: &'a File, start: u64, end: u64) -> Self {
        Window { file, end, first: start, octets: Vec::new() }
    }

    /// What the file holds from a place on, which is never before one that was asked for: at least as much as the longest record, unless the end comes before. `None` if it
    /// cannot be read.
    pub(super) fn from(&mut self, at: u64) -> Option<&[u8]> {
        let known = self.first + self.octets.len() as u64;
        if known < self.end && known < at + RECORD_MAX as u64 {
            let keep = usize::try_from(at - self.first).ok()?.min(self.octets.len());
            self.octets.drain(..keep);
            self.first = at;
            let have = self.octets.len();
            let want = usize::try_from(self.end - at).unwrap_or(usize::MAX).min(BUFFER);
            self.octets.resize(want, 0);
            let filled = fill(self.file, at + have as u64, &mut self.octets[have..])?;
            if have + filled < want {
                // It is shorter than it was.
                return None;
            }
        }
        self.octets.get(usize::try_from(at - self.first).ok()?..)
    }
}
