//! One record: the pieces of a message, and what shows that they are whole and its own. Numbers begin with the low octet.
//!
//! | at | octets | what |
//! |---|---|---|
//! | 0 | 4 | [`MAGIC`] |
//! | 4 | 4 | CRC-32 (that of RFC 1952) of all octets of the record from 8 on |
//! | 8 | 4 | length of the whole record, 24 to 32,792 |
//! | 12 | 4 | UID |
//! | 16 | 8 | hash of the first part of the file's name (FNV-1a) |
//! | 24 | | the pieces, each: its kind (1), the length of its name (1) and of its octets (4), its name, its octets |

use pillarbox_fs::File;

use super::pieces::{LEN_MAX, Piece, Pieces};
use crate::Uid;

pub(super) const MAGIC: [u8; 4] = *b"\xf5rec";
const HEAD: usize = 24;
pub(super) const RECORD_MAX: usize = HEAD + LEN_MAX;

/// What is read of a record at first: most are no longer.
const GUESS: usize = 2048;

/// What tells one message from another that had its UID: a UID list may have been put back from a backup. Names are made by
/// servers, so nobody chooses two of one hash.
pub(super) fn key(base: &[u8]) -> u64 {
    base.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3))
}

pub(super) fn encode(out: &mut Vec<u8>, uid: Uid, key: u64, pieces: &Pieces) {
    let start = out.len();
    let len = u32::try_from(HEAD + pieces.encoded().len()).expect("pieces are bounded");
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&uid.get().to_le_bytes());
    out.extend_from_slice(&key.to_le_bytes());
    out.extend_from_slice(pieces.encoded());
    let sum = crc32fast::hash(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

/// What some octets begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// A whole record of this length.
    Record { len: usize, uid: Uid },
    /// What may become a record when there are so many octets.
    Part(usize),
    /// Something else.
    Other,
}

pub(super) fn begin(octets: &[u8]) -> Begins {
    let known = octets.len().min(MAGIC.len());
    if octets[..known] != MAGIC[..known] {
        return Begins::Other;
    }
    if octets.len() < HEAD {
        return Begins::Part(HEAD);
    }
    let len = number(octets, 8) as usize;
    if !(HEAD..=RECORD_MAX).contains(&len) {
        return Begins::Other;
    }
    let Some(record) = octets.get(..len) else { return Begins::Part(len) };
    match Uid::new(number(record, 12)) {
        Some(uid) if crc32fast::hash(&record[8..]) == number(record, 4) => Begins::Record { len, uid },
        _ => Begins::Other,
    }
}

/// The pieces of a message out of its record, if that is still one and this message's.
pub(super) fn read(file: &File, at: u32, uid: Uid, key: u64) -> Option<Pieces> {
    let mut octets = vec![0; GUESS];
    let mut filled = fill(file, u64::from(at), &mut octets)?;
    if let Begins::Part(len) = begin(&octets[..filled]) {
        octets.resize(len, 0);
        filled += fill(file, u64::from(at) + filled as u64, octets.get_mut(filled..)?)?;
    }
    match begin(&octets[..filled]) {
        Begins::Record { len, uid: its } if its == uid && octets[16..HEAD] == key.to_le_bytes() => {
            Pieces::decode(&octets[HEAD..len])
        }
        _ => None,
    }
}

/// The pieces of a whole record, if they are pieces and it is that of the message with this key.
pub(super) fn pieces(record: &[u8], key: u64) -> Option<impl Iterator<Item = Piece<'_>>> {
    if record[16..HEAD] == key.to_le_bytes() { super::pieces::encoded(&record[HEAD..]) } else { None }
}

/// Reads at a place, and returns how many octets there were.
pub(super) fn fill(file: &File, at: u64, buffer: &mut [u8]) -> Option<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(at + filled as u64, &mut buffer[filled..]).ok()? {
            0 => break,
            n => filled += n,
        }
    }
    Some(filled)
}

pub(super) fn number(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().expect("four octets are four"))
}
