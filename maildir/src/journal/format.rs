//! The octets of a journal: what it is made of, and how far it can be believed.

use crate::{Keywords, Uid};

/// `magic | generation | UIDVALIDITY | checksum | device | inode`
pub(super) const HEADER_LEN: usize = 8 + 8 + 4 + 4 + 16;
const MAGIC: &[u8; 8] = b"PillarJ2";

/// The length and the checksum before the items of a frame.
pub(super) const FRAME_HEAD: usize = 4 + 4;
/// Octets of items in a frame at most. More is damage, so nobody is made to hold more than this.
pub(super) const FRAME_MAX: usize = 64 * 1024;

/// The longest item: a keyword.
const ITEM_MAX: usize = 3 + 255;

/// Mod-sequences have 63 bits (RFC 7162 §3.1). A journal that claims more than half of what there is, is damaged: no mailbox
/// gets there, and above it has to be room.
pub(super) const MOD_SEQ_MAX: u64 = 1 << 62;

/// From here on nothing can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut;

/// The first octets of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Drawn by lot for each file, so that a file that takes another's place is told from it.
    pub(super) generation: u64,
    pub(super) uid_validity: u32,
    /// Device and inode of the file that it was written to: a copy that was put back is another file.
    pub(super) file: (u64, u64),
}

/// One thing that a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A message is there with these flags since this mod-sequence.
    Message { uid: Uid, flags: u32, mod_seq: u64 },
    /// These messages, all of which were there, went.
    Expunged { first: Uid, last: Uid, mod_seq: u64 },
    /// These messages went before the file was written.
    History { first: Uid, last: Uid, mod_seq: u64 },
    /// What went up to this mod-sequence is not known.
    Forgotten { mod_seq: u64 },
    /// A letter in file names stands for this keyword, or for none.
    Keyword { number: u8, name: Option<&'a str> },
    /// Mod-sequences up to this one may have been told, in this run of the system. Synced before the first of them is told.
    Reserved { up_to: u64, boot: u128 },
    /// This mod-sequence was given, though nothing in the file has it.
    Highest { mod_seq: u64 },
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.uid_validity.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.file.0.to_le_bytes());
        bytes[32..].copy_from_slice(&self.file.1.to_le_bytes());
        bytes
    }

    /// The header, and the checksum that the first frame's begins with.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<(Self, u32), Cut> {
        let mut rest = &bytes[..];
        let magic: [u8; 8] = take(&mut rest)?;
        let generation = u64::from_le_bytes(take(&mut rest)?);
        let uid_validity = u32::from_le_bytes(take(&mut rest)?);
        let checksum = u32::from_le_bytes(take(&mut rest)?);
        let file = (u64::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?));
        let good = &magic == MAGIC && uid_validity > 0 && checksum == crc32fast::hash(&bytes[..20]);
        if good { Ok((Header { generation, uid_validity, file }, checksum)) } else { Err(Cut) }
    }
}

/// The octets of as many frames as these items fill, and the checksum of the last.
pub(super) fn frames<'a>(items: impl Iterator<Item = Item<'a>>, before: u32) -> (Vec<u8>, u32) {
    let (mut bytes, mut checksum, mut filling) = (Vec::new(), before, Vec::new());
    let mut close = |items: &[u8]| {
        let (frame, chained) = frame(items, checksum);
        bytes.extend_from_slice(&frame);
        checksum = chained;
    };
    for item in items {
        if filling.len() + ITEM_MAX > FRAME_MAX {
            close(&filling);
            filling.clear();
        }
        item.encode(&mut filling);
    }
    if !filling.is_empty() {
        close(&filling);
    }
    (bytes, checksum)
}

/// The octets of a frame with these items, and its checksum, which is chained to the one before.
fn frame(items: &[u8], before: u32) -> (Vec<u8>, u32) {
    let len = u32::try_from(items.len()).expect("a frame has a limit").to_le_bytes();
    let checksum = chained(before, len, items);
    let mut bytes = Vec::with_capacity(FRAME_HEAD + items.len());
    bytes.extend_from_slice(&len);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(items);
    (bytes, checksum)
}

/// The length of a frame's items and its checksum.
pub(super) fn frame_head(head: [u8; FRAME_HEAD]) -> Result<(usize, u32), Cut> {
    let mut rest = &head[..];
    let len = u32::from_le_bytes(take(&mut rest)?) as usize;
    let checksum = u32::from_le_bytes(take(&mut rest)?);
    if (1..=FRAME_MAX).contains(&len) { Ok((len, checksum)) } else { Err(Cut) }
}

pub(super) fn is_whole(items: &[u8], checksum: u32, before: u32) -> bool {
    u32::try_from(items.len()).is_ok_and(|len| chained(before, len.to_le_bytes(), items) == checksum)
}

fn chained(before: u32, len: [u8; 4], items: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&before.to_le_bytes());
    hasher.update(&len);
    hasher.update(items);
    hasher.finalize()
}

impl<'a> Item<'a> {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let range = |out: &mut Vec<u8>, kind: u8, first: Uid, last: Uid, mod_seq: u64| {
            out.push(kind);
            out.extend_from_slice(&first.get().to_le_bytes());
            out.extend_from_slice(&last.get().to_le_bytes());
            out.extend_from_slice(&mod_seq.to_le_bytes());
        };
        match *self {
            Item::Message { uid, flags, mod_seq } => {
                out.push(1);
                out.extend_from_slice(&uid.get().to_le_bytes());
                out.extend_from_slice(&flags.to_le_bytes());
                out.extend_from_slice(&mod_seq.to_le_bytes());
            }
            Item::Expunged { first, last, mod_seq } => range(out, 2, first, last, mod_seq),
            Item::History { first, last, mod_seq } => range(out, 3, first, last, mod_seq),
            Item::Forgotten { mod_seq } => {
                out.push(4);
                out.extend_from_slice(&mod_seq.to_le_bytes());
            }
            Item::Keyword { number, name } => {
                let name = name.unwrap_or_default();
                let len = u8::try_from(name.len()).expect("a keyword has a limit");
                out.extend_from_slice(&[5, number, len]);
                out.extend_from_slice(name.as_bytes());
            }
            Item::Reserved { up_to, boot } => {
                out.push(6);
                out.extend_from_slice(&up_to.to_le_bytes());
                out.extend_from_slice(&boot.to_le_bytes());
            }
            Item::Highest { mod_seq } => {
                out.push(7);
                out.extend_from_slice(&mod_seq.to_le_bytes());
            }
        }
    }

    /// The next item of a frame, if there is one.
    pub(super) fn decode(items: &mut &'a [u8]) -> Result<Option<Self>, Cut> {
        let Some((kind, rest)) = items.split_first() else { return Ok(None) };
        *items = rest;
        let item = match kind {
            1 => Item::Message { uid: uid(items)?, flags: u32::from_le_bytes(take(items)?), mod_seq: mod_seq(items)? },
            2 => Item::Expunged { first: uid(items)?, last: uid(items)?, mod_seq: mod_seq(items)? },
            3 => Item::History { first: uid(items)?, last: uid(items)?, mod_seq: mod_seq(items)? },
            4 => Item::Forgotten { mod_seq: mod_seq(items)? },
            5 => {
                let [number, len] = take(items)?;
                let (name, rest) = items.split_at_checked(usize::from(len)).ok_or(Cut)?;
                *items = rest;
                let name = std::str::from_utf8(name).map_err(|_| Cut)?;
                if usize::from(number) >= Keywords::LETTERS {
                    return Err(Cut);
                }
                Item::Keyword { number, name: Some(name).filter(|name| !name.is_empty()) }
            }
            6 => Item::Reserved { up_to: mod_seq(items)?, boot: u128::from_le_bytes(take(items)?) },
            7 => Item::Highest { mod_seq: mod_seq(items)? },
            _ => return Err(Cut),
        };
        match item {
            Item::Expunged { first, last, .. } | Item::History { first, last, .. } if first > last => Err(Cut),
            item => Ok(Some(item)),
        }
    }
}

fn uid(items: &mut &[u8]) -> Result<Uid, Cut> {
    Uid::new(u32::from_le_bytes(take(items)?)).ok_or(Cut)
}

fn mod_seq(items: &mut &[u8]) -> Result<u64, Cut> {
    Some(u64::from_le_bytes(take(items)?)).filter(|n| (1..=MOD_SEQ_MAX).contains(n)).ok_or(Cut)
}

fn take<const N: usize>(items: &mut &[u8]) -> Result<[u8; N], Cut> {
    let (taken, rest) = items.split_first_chunk().ok_or(Cut)?;
    *items = rest;
    Ok(*taken)
}

#[cfg(test)]
pub(super) fn frame_of(items: &[u8], before: u32) -> Vec<u8> {
    frame(items, before).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_item() -> impl Strategy<Value = Item<'static>> {
        let uid = || (1..=u32::MAX).prop_map(|n| Uid::new(n).unwrap());
        let mod_seq = || 1..=MOD_SEQ_MAX;
        let range = move || (uid(), uid(), mod_seq()).prop_map(|(a, b, mod_seq)| (a.min(b), a.max(b), mod_seq));
        prop_oneof![
            (uid(), any::<u32>(), mod_seq()).prop_map(|(uid, flags, mod_seq)| Item::Message { uid, flags, mod_seq }),
            range().prop_map(|(first, last, mod_seq)| Item::Expunged { first, last, mod_seq }),
            range().prop_map(|(first, last, mod_seq)| Item::History { first, last, mod_seq }),
            mod_seq().prop_map(|mod_seq| Item::Forgotten { mod_seq }),
            (0..26_u8, prop_oneof![Just(None), Just(Some("$Junk")), Just(Some("ä"))])
                .prop_map(|(number, name)| Item::Keyword { number, name }),
            (mod_seq(), any::<u128>()).prop_map(|(up_to, boot)| Item::Reserved { up_to, boot }),
            mod_seq().prop_map(|mod_seq| Item::Highest { mod_seq }),
        ]
    }

    #[test]
    fn octet_by_octet() {
        let header = Header { generation: 0x0102_0304_0506_0708, uid_validity: 9, file: (2, 3) }.encode();
        assert_eq!(header[..20], *b"PillarJ2\x08\x07\x06\x05\x04\x03\x02\x01\x09\0\0\0");
        assert_eq!(header[24..], [2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        let (read, checksum) = Header::decode(&header).unwrap();
        assert_eq!(read, Header { generation: 0x0102_0304_0506_0708, uid_validity: 9, file: (2, 3) });
        let mut items = Vec::new();
        Item::Message { uid: Uid::new(3).unwrap(), flags: 0x10, mod_seq: 7 }.encode(&mut items);
        assert_eq!(items, [1, 3, 0, 0, 0, 0x10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        let (bytes, chained) = frame(&items, checksum);
        assert_eq!((&bytes[..4], &bytes[FRAME_HEAD..]), (&[17, 0, 0, 0][..], &items[..]));
        assert!(is_whole(&items, chained, checksum) && !is_whole(&items, chained, checksum ^ 1));
        assert!(!is_whole(&items[..16], chained, checksum));
    }

    // MDR-06
    #[test]
    fn what_no_server_wrote_is_cut() {
        for bytes in [
            &[0][..],
            &[8],
            &[1, 3, 0, 0],
            // UID 0, mod-sequences 0 and beyond the limit.
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[4, 0, 0, 0, 0, 0, 0, 0, 0],
            &[4, 1, 0, 0, 0, 0, 0, 0, 0x40],
            // From 3 to 2.
            &[2, 3, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0],
            &[5, 26, 1, b'a'],
            &[5, 0, 2, b'a'],
            &[5, 0, 1, 0xFF],
        ] {
            assert_eq!(Item::decode(&mut &bytes[..]), Err(Cut), "{bytes:?}");
        }
        assert_eq!(Item::decode(&mut &[][..]), Ok(None));
        for (len, good) in
            [(0_u32, false), (1, true), (FRAME_MAX as u32, true), (FRAME_MAX as u32 + 1, false), (u32::MAX, false)]
        {
            let mut head = [0; FRAME_HEAD];
            head[..4].copy_from_slice(&len.to_le_bytes());
            assert_eq!(frame_head(head).is_ok(), good, "{len}");
        }
        let good = Header { generation: 1, uid_validity: 1, file: (1, 1) }.encode();
        for at in 0..HEADER_LEN - 16 {
            let mut bad = good;
            bad[at] ^= 0x20;
            assert_eq!(Header::decode(&bad), Err(Cut), "octet {at}");
        }
        assert_eq!(Header::decode(&Header { generation: 1, uid_validity: 0, file: (1, 1) }.encode()), Err(Cut));
    }

    proptest! {
        #[test]
        fn items_read_back(items in proptest::collection::vec(any_item(), 0..20)) {
            let mut bytes = Vec::new();
            items.iter().for_each(|item| item.encode(&mut bytes));
            let mut rest = &bytes[..];
            for item in &items {
                prop_assert_eq!(Item::decode(&mut rest), Ok(Some(item.clone())));
            }
            prop_assert_eq!(Item::decode(&mut rest), Ok(None));
        }

        // MDR-06
        #[test]
        fn any_octets_are_items_or_a_cut(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while let Ok(Some(item)) = Item::decode(&mut rest) {
                let mut again = Vec::new();
                item.encode(&mut again);
                prop_assert!(bytes[..bytes.len() - rest.len()].ends_with(&again));
            }
        }
    }
}
