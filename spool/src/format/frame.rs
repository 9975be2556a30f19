//! Headers of segments, groups and records.

use crc32fast::hash as crc;

use super::Malformed;

/// The version that is written.
pub(crate) const VERSION: u32 = 1;
pub(crate) const SEGMENT_HEADER: usize = 56;
pub(crate) const GROUP_HEADER: usize = 36;
pub(crate) const RECORD_HEADER: usize = 32;
const MAGIC: &[u8; 8] = b"PBXSPOOL";

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) floor: u64,
    /// Number of the segment before and where it ends.
    pub(crate) previous: u64,
    pub(crate) previous_end: u64,
    /// What the first group chains to.
    pub(crate) check: u32,
}

/// Why a segment header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Not written whole, or damaged.
    Malformed,
    /// Written by another program, which is newer: there is no older version.
    Version(u32),
}

impl Segment {
    pub(crate) fn encode(number: u64, salt: u64, floor: u64, previous: (u64, u64)) -> (Segment, [u8; SEGMENT_HEADER]) {
        let mut octets = [0; SEGMENT_HEADER];
        octets[..8].copy_from_slice(MAGIC);
        octets[8..12].copy_from_slice(&VERSION.to_le_bytes());
        for (at, value) in [(12, number), (20, salt), (28, floor), (36, previous.0), (44, previous.1)] {
            octets[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let check = crc(&octets[..52]);
        octets[52..].copy_from_slice(&check.to_le_bytes());
        (Segment { number, salt, floor, previous: previous.0, previous_end: previous.1, check }, octets)
    }

    pub(crate) fn decode(octets: &[u8]) -> Result<Segment, Unusable> {
        if octets.len() < SEGMENT_HEADER || octets[..8] != *MAGIC {
            return Err(Unusable::Malformed);
        }
        // It is there in every version, so that a flipped bit is not taken for a newer one.
        let check = u32_at(octets, 52);
        if check != crc(&octets[..52]) {
            return Err(Unusable::Malformed);
        }
        let version = u32_at(octets, 8);
        if version != VERSION {
            return Err(Unusable::Version(version));
        }
        let segment = Segment {
            number: u64_at(octets, 12),
            salt: u64_at(octets, 20),
            floor: u64_at(octets, 28),
            previous: u64_at(octets, 36),
            previous_end: u64_at(octets, 44),
            check,
        };
        let is_sound = segment.floor <= segment.number && segment.previous < segment.number;
        if is_sound { Ok(segment) } else { Err(Unusable::Malformed) }
    }
}

/// The header of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Octets of records.
    pub(crate) length: u32,
    /// Where it begins, and the last synced group ends.
    pub(crate) begins: u64,
    /// The check of that group.
    pub(crate) chain: u32,
    pub(crate) records: u32,
    pub(crate) check: u32,
}

impl Group {
    pub(crate) fn encode(salt: u64, length: u32, begins: u64, chain: u32, records: u32) -> (u32, [u8; GROUP_HEADER]) {
        let mut octets = [0; GROUP_HEADER];
        octets[..8].copy_from_slice(&salt.to_le_bytes());
        octets[12..16].copy_from_slice(&length.to_le_bytes());
        octets[16..24].copy_from_slice(&begins.to_le_bytes());
        octets[24..28].copy_from_slice(&chain.to_le_bytes());
        octets[28..32].copy_from_slice(&records.to_le_bytes());
        let check = crc(&octets[..32]);
        octets[32..].copy_from_slice(&check.to_le_bytes());
        (check, octets)
    }

    /// A group header that stands at this offset of the segment.
    pub(crate) fn decode(octets: &[u8], salt: u64, offset: u64) -> Option<Group> {
        let octets = octets.get(..GROUP_HEADER)?;
        let check = u32_at(octets, 32);
        let is_one = u64_at(octets, 0) == salt && octets[8] == 0 && check == crc(&octets[..32]);
        let group = Group {
            length: u32_at(octets, 12),
            begins: u64_at(octets, 16),
            chain: u32_at(octets, 24),
            records: u32_at(octets, 28),
            check,
        };
        (is_one && group.begins == offset).then_some(group)
    }

    pub(crate) fn end(&self) -> u64 {
        self.begins + (GROUP_HEADER as u64) + u64::from(self.length)
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Carried,
    News,
    Hold,
    Release,
    Delete,
    /// Of a program that is newer.
    Unknown(u8),
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Kind::Message => 1,
            Kind::Carried => 2,
            Kind::News => 3,
            Kind::Hold => 4,
            Kind::Release => 5,
            Kind::Delete => 6,
            Kind::Unknown(number) => number,
        }
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) fields_len: u32,
    pub(crate) body_len: u32,
    pub(crate) fields_check: u32,
    pub(crate) body_check: u32,
}

impl Record {
    pub(crate) fn encode(&self, salt: u64) -> [u8; RECORD_HEADER] {
        let mut octets = [0; RECORD_HEADER];
        octets[..8].copy_from_slice(&salt.to_le_bytes());
        octets[8] = self.kind.number();
        let numbers = [(12, self.fields_len), (16, self.body_len), (20, self.fields_check), (24, self.body_check)];
        for (at, value) in numbers {
            octets[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let check = crc(&octets[..28]);
        octets[28..].copy_from_slice(&check.to_le_bytes());
        octets
    }

    pub(crate) fn decode(octets: &[u8], salt: u64) -> Option<Record> {
        let octets = octets.get(..RECORD_HEADER)?;
        let is_one = u64_at(octets, 0) == salt && octets[8] != 0 && u32_at(octets, 28) == crc(&octets[..28]);
        let kind = match octets[8] {
            1 => Kind::Message,
            2 => Kind::Carried,
            3 => Kind::News,
            4 => Kind::Hold,
            5 => Kind::Release,
            6 => Kind::Delete,
            number => Kind::Unknown(number),
        };
        is_one.then(|| Record {
            kind,
            fields_len: u32_at(octets, 12),
            body_len: u32_at(octets, 16),
            fields_check: u32_at(octets, 20),
            body_check: u32_at(octets, 24),
        })
    }

    /// Octets of the whole record.
    pub(crate) fn len(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.fields_len) + u64::from(self.body_len)
    }
}

/// Whether octets have this checksum.
pub(crate) fn matches(octets: &[u8], check: u32) -> Result<(), Malformed> {
    if crc(octets) == check { Ok(()) } else { Err(Malformed("the checksum is wrong")) }
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().expect("four octets"))
}

fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(octets[at..at + 8].try_into().expect("eight octets"))
}
