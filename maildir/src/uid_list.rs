//! The contents of `dovecot-uidlist`, version 3. Which file keeps it, and when it is synced, is `folder.rs`'s business.
//!
//! ```text
//! 3 V<uidvalidity> N<next uid> G<mailbox guid>
//! <uid> [<key><value> ...] :<file name before the flags>
//! ```
//!
//! Lines may have been appended since the first line was written, so the next UID is the larger of `N` and the last
//! UID plus one. A line stays after its file is gone, until the list is written anew.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use crate::file_name::{Base, Sizes, split};
use crate::lines::Lines;
use crate::{MaildirError, Result, Uid};

/// A UID list as it was read or will be written.
///
/// A clone is a list as it was at that moment, and shares its memory with the original: it costs some pointers, and the next
/// change of the original a copy of the table of names.
#[derive(Clone, Debug)]
pub(crate) struct UidList {
    pub(crate) validity: u32,
    /// One more than the largest UID ever given; one past `u32::MAX` when all are used.
    next: u64,
    /// The rest of the first line: the GUID and what we have no meaning for.
    header_rest: Vec<u8>,
    lines: Lines,
    /// The numbers of the lines that are not dead, by their names.
    by_base: Arc<HashTable<u32>>,
    hasher: RandomState,
    /// The last line has no end: it was cut by a crash, so nothing may be appended to the file.
    pub(crate) torn: bool,
    /// From here on UIDs were given whose lines may not be on the disk: nobody may hear of them, and they are not given again.
    withdrawn: Option<Uid>,
}

/// A message that is to get a UID.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) base: Base,
    /// If it is not the name, and can be written.
    pub(crate) guid: Option<Base>,
}

impl From<Base> for NewMessage {
    fn from(base: Base) -> Self {
        NewMessage { base, guid: None }
    }
}

/// The list cannot be read: it counts as lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged {
    /// The UIDVALIDITY that it claims, which the next one must exceed.
    pub(crate) validity: Option<u32>,
}

/// A list of which a part has been read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    list: Option<UidList>,
    last_line: Vec<u8>,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Reading {
    /// Reads on.
    pub(crate) fn take(&mut self, piece: &[u8]) -> std::result::Result<(), Damaged> {
        self.rest.extend_from_slice(piece);
        let Some(end) = memchr::memrchr(b'\n', &self.rest) else {
            return if self.rest.len() > LINE_MAX { Err(self.damaged()) } else { Ok(()) };
        };
        let lines = &self.rest[..=end];
        match &mut self.list {
            None => self.list = Some(UidList::parse(lines)?),
            Some(list) => list.extend(lines).map_err(|()| Damaged { validity: Some(list.validity) })?,
        }
        self.last_line = last_line(lines);
        self.rest.drain(..=end);
        Ok(())
    }

    /// There is no more. With the list comes its last line, which may be cut.
    pub(crate) fn end(mut self) -> std::result::Result<(UidList, Vec<u8>), Damaged> {
        let damaged = self.damaged();
        let mut list = self.list.take().ok_or(damaged)?;
        list.extend(&self.rest).map_err(|()| damaged)?;
        Ok((list, if self.rest.is_empty() { self.last_line } else { self.rest }))
    }

    fn damaged(&self) -> Damaged {
        Damaged { validity: self.list.as_ref().map(|list| list.validity) }
    }
}

/// A UID above this one is damage, for no mailbox gets there: believed, it would leave no numbers for new messages. Between
/// it and the end there is room for more messages than are ever given UIDs at once.
const LAST: u32 = u32::MAX - (1 << 24);

/// Longer than a line that names a file.
const LINE_MAX: usize = 128 << 10;

impl UidList {
    /// A list without messages.
    pub(crate) fn new(validity: u32, guid: &str) -> Self {
        Self::empty(validity, 1, format!(" G{guid}").into_bytes())
    }

    fn empty(validity: u32, next: u64, header_rest: Vec<u8>) -> Self {
        UidList {
            validity,
            next,
            header_rest,
            lines: Lines::default(),
            by_base: Arc::default(),
            hasher: RandomState::new(),
            torn: false,
            withdrawn: None,
        }
    }

    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, Damaged> {
        let end = memchr::memchr(b'\n', bytes).ok_or(Damaged { validity: None })?;
        let mut list = Self::parse_header(&bytes[..end]).ok_or(Damaged { validity: None })?;
        if list.is_used_up() {
            return Err(Damaged { validity: Some(list.validity) });
        }
        list.extend(&bytes[end + 1..]).map_err(|()| Damaged { validity: Some(list.validity) })?;
        Ok(list)
    }

    /// Takes in lines that were appended. After an error the list is of no use.
    pub(crate) fn extend(&mut self, mut bytes: &[u8]) -> std::result::Result<(), ()> {
        while !bytes.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                // A torn line gave nobody a UID that was synced, but its number may have been read before the crash.
                if let Some((uid, _)) = number(bytes) {
                    self.next = self.next.max(u64::from(uid) + 1);
                }
                self.torn = true;
                return if self.is_used_up() { Err(()) } else { Ok(()) };
            };
            self.parse_line(&bytes[..end]).ok_or(())?;
            bytes = &bytes[end + 1..];
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = format!("3 V{} N{}", self.validity, self.next).into_bytes();
        out.extend_from_slice(&self.header_rest);
        out.push(b'\n');
        for line in self.live() {
            encode_line(&mut out, self.lines.uid(line), self.lines.fields(line).0, self.lines.base(line));
        }
        out
    }

    /// Gives the next UIDs to messages, in order, and returns the lines to append.
    pub(crate) fn assign(&mut self, messages: &[NewMessage]) -> Result<(Vec<Uid>, Vec<u8>)> {
        let mut uids = Vec::with_capacity(messages.len());
        let mut lines = Vec::new();
        for NewMessage { base, guid } in messages {
            let guid = guid.as_ref().filter(|guid| is_value(guid) && *guid != base);
            let fields = guid.map_or_else(Vec::new, |guid| [b"G", &guid[..], b" "].concat());
            let uid = u32::try_from(self.next).ok().and_then(Uid::new).ok_or(MaildirError::NumbersExhausted)?;
            self.next += 1;
            encode_line(&mut lines, uid, &fields, base);
            let fits = self.insert(uid, base, &fields);
            assert!(fits, "no file has a name that long");
            uids.push(uid);
        }
        Ok((uids, lines))
    }

    /// The mailbox's GUID, if the list has one.
    pub(crate) fn guid(&self) -> Option<&str> {
        let guid = self.header_rest.split(|octet| *octet == b' ').find_map(|field| field.strip_prefix(b"G"))?;
        std::str::from_utf8(guid)
            .ok()
            .filter(|guid| !guid.is_empty() && guid.bytes().all(|b| b.is_ascii_alphanumeric()))
    }

    /// Gives the mailbox a GUID in place of none.
    pub(crate) fn set_guid(&mut self, guid: &str) {
        let others = self.header_rest.split(|octet| *octet == b' ').filter(|field| !field.is_empty());
        let others: Vec<u8> =
            others.filter(|field| field[0] != b'G').flat_map(|field| [b" ", field].concat()).collect();
        self.header_rest = [format!(" G{guid}").as_bytes(), &others].concat();
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// The number of a message's line.
    pub(crate) fn line(&self, base: &[u8]) -> Option<u32> {
        self.by_base.find(self.hasher.hash_one(base), |line| self.lines.base(*line) == base).copied()
    }

    /// The lines that have a name.
    pub(crate) fn live(&self) -> impl Iterator<Item = u32> {
        (0..self.lines.len()).filter(|line| !self.lines.is_dead(*line))
    }

    /// The UID that the next message gets at least, as far as that is sure to be so after a crash; `u32::MAX` also when none is
    /// left.
    pub(crate) fn uid_next(&self) -> u32 {
        self.withdrawn.map_or(u32::try_from(self.next).unwrap_or(u32::MAX), Uid::get)
    }

    /// Takes back the UIDs from `first` on, whose lines could not be made durable.
    pub(crate) fn withdraw(&mut self, first: Uid) {
        let first_line = self.lines.first_from(first.get());
        Arc::make_mut(&mut self.by_base).retain(|line| *line < first_line);
        self.lines.truncate(first_line);
        self.withdrawn = Some(self.withdrawn.map_or(first, |earlier| earlier.min(first)));
    }

    /// Some UIDs that were given may not be told.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.withdrawn.is_some()
    }

    /// This UID, and all below, may have been given.
    pub(crate) fn use_up(&mut self, uid: u32) {
        self.next = self.next.max(u64::from(uid) + 1);
    }

    /// Hardly a number is left: the mailbox needs a new UIDVALIDITY, and begins at 1 again.
    pub(crate) fn is_used_up(&self) -> bool {
        self.next > u64::from(LAST) + 1
    }

    /// The list is on the disk as it is.
    pub(crate) fn is_durable(&mut self) {
        self.torn = false;
        self.withdrawn = None;
    }

    /// How many lines have a name.
    pub(crate) fn len(&self) -> usize {
        self.by_base.len()
    }

    /// Drops the lines that `keep` does not want; their UIDs stay used. The others get new numbers, and sizes where `counted` knows
    /// what neither name nor line tells.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32) -> bool, counted: impl Fn(Uid) -> Option<Sizes>) {
        let old = std::mem::take(&mut self.lines);
        let mut by_base = std::mem::take(&mut self.by_base);
        Arc::make_mut(&mut by_base).clear();
        self.by_base = by_base;
        for line in (0..old.len()).filter(|line| !old.is_dead(*line)) {
            if !keep(line) {
                continue;
            }
            let (uid, fields, base) = (old.uid(line), old.fields(line), old.base(line));
            let counted = counted(uid).filter(|_| fields.sizes(base).is_none());
            match counted {
                Some(Sizes { file, message }) => {
                    let others = fields.0.split_inclusive(|octet| *octet == b' ');
                    let others = others.filter(|field| !field.starts_with(b"S") && !field.starts_with(b"W"));
                    let mut fields = format!("S{file} W{message} ").into_bytes();
                    others.for_each(|field| fields.extend_from_slice(field));
                    self.insert(uid, base, &fields)
                }
                None => self.insert(uid, base, fields.0),
            };
        }
    }

    /// False if no file has a name that long.
    fn insert(&mut self, uid: Uid, base: &[u8], fields: &[u8]) -> bool {
        let line = self.lines.len();
        if !self.lines.push(uid, fields, base) {
            return false;
        }
        let (lines, hasher) = (&self.lines, &self.hasher);
        let hash = |line: &u32| hasher.hash_one(lines.base(*line));
        let by_base = Arc::make_mut(&mut self.by_base);
        let entry = by_base.entry(hasher.hash_one(base), |other| lines.base(*other) == base, hash);
        // Two lines of one name: the message has the last UID that it was given.
        if let hashbrown::hash_table::Entry::Occupied(mut occupied) = entry {
            let old = std::mem::replace(occupied.get_mut(), line);
            self.lines.kill(old);
        } else {
            entry.insert(line);
        }
        self.next = self.next.max(u64::from(uid.get()) + 1);
        true
    }

    /// The UIDVALIDITY of the list that begins so.
    pub(crate) fn claimed_validity(bytes: &[u8]) -> Option<u32> {
        let end = memchr::memchr(b'\n', bytes)?;
        Self::parse_header(&bytes[..end]).map(|list| list.validity)
    }

    fn parse_header(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|octet| *octet == b' ');
        if fields.next()? != b"3" {
            return None;
        }
        let (mut validity, mut next, mut header_rest) = (None, None, Vec::new());
        for field in fields.filter(|field| !field.is_empty()) {
            match field[0] {
                b'V' => validity = Some(whole_number(&field[1..])?),
                b'N' => next = Some(whole_number(&field[1..])?),
                _ => {
                    header_rest.push(b' ');
                    header_rest.extend_from_slice(field);
                }
            }
        }
        let validity = validity.filter(|n| *n > 0)?;
        let next = u64::from(next.filter(|n| *n > 0)?);
        Some(Self::empty(validity, next, header_rest))
    }

    fn parse_line(&mut self, line: &[u8]) -> Option<()> {
        let (uid, rest) = number(line)?;
        let uid = Uid::new(uid).filter(|uid| uid.get() <= LAST)?;
        let fields = rest.strip_prefix(b" ")?;
        let mut at = 0;
        while *fields.get(at)? != b':' {
            at += memchr::memchr(b' ', &fields[at..])? + 1;
        }
        let (base, _) = split(&fields[at + 1..]);
        // RFC 9051 §2.3.1.1: UIDs rise. A list where they do not is not one that a server wrote.
        let last = self.lines.len().checked_sub(1).map(|last| self.lines.uid(last));
        if base.is_empty() || last.is_some_and(|last| last >= uid) {
            return None;
        }
        self.insert(uid, base, &fields[..at]).then_some(())
    }
}

/// Whether it can be told from what is around it in a line.
fn is_value(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.len() <= VALUE_MAX && octets.iter().all(u8::is_ascii_graphic)
}

/// As long as a file name.
const VALUE_MAX: usize = 255;

/// What stands behind the last line feed but that at the end.
pub(crate) fn last_line(bytes: &[u8]) -> Vec<u8> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes[memchr::memrchr(b'\n', body).map_or(0, |at| at + 1)..].to_vec()
}

fn encode_line(out: &mut Vec<u8>, uid: Uid, fields: &[u8], base: &[u8]) {
    out.extend_from_slice(uid.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(fields);
    out.push(b':');
    out.extend_from_slice(base);
    out.push(b'\n');
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let end = bytes.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(bytes.len());
    if end == 0 {
        return None;
    }
    let add = |n: u32, digit: &u8| n.checked_mul(10)?.checked_add(u32::from(digit - b'0'));
    Some((bytes[..end].iter().try_fold(0, add)?, &bytes[end..]))
}

fn whole_number(bytes: &[u8]) -> Option<u32> {
    number(bytes).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The same first line, the same lines with names.
#[cfg(test)]
impl PartialEq for UidList {
    fn eq(&self, other: &Self) -> bool {
        (self.encode(), self.torn, self.withdrawn) == (other.encode(), other.torn, other.withdrawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &[u8] = b"3 V7 N3 G00112233 Xother\n1 :a,S=1,W=2\n4 W5 S4 Gid :b\n9 :c:2,S\n";

    fn uid(list: &UidList, base: &[u8]) -> Option<Uid> {
        list.line(base).map(|line| list.lines().uid(line))
    }

    #[test]
    fn a_list_both_ways() {
        let list = UidList::parse(GOOD).unwrap();
        assert_eq!((list.validity, list.uid_next(), list.len()), (7, 10, 3));
        assert_eq!(uid(&list, b"b"), Uid::new(4));
        assert_eq!(uid(&list, b"c"), Uid::new(9));
        let written = list.encode();
        assert_eq!(written, b"3 V7 N10 G00112233 Xother\n1 :a,S=1,W=2\n4 W5 S4 Gid :b\n9 :c\n");
        assert_eq!(UidList::parse(&written).unwrap(), list);
    }

    #[test]
    fn the_mailbox_has_a_guid() {
        let mut list = UidList::parse(GOOD).unwrap();
        assert_eq!(list.guid(), Some("00112233"));
        assert_eq!(UidList::new(7, "abc").guid(), Some("abc"));
        for header in ["3 V7 N3", "3 V7 N3 G", "3 V7 N3 Xa Gb-c Yd"] {
            list = UidList::parse(format!("{header}\n1 :a\n").as_bytes()).unwrap();
            assert_eq!(list.guid(), None);
        }
        list.set_guid("99");
        assert_eq!(list.encode(), b"3 V7 N3 G99 Xa Yd\n1 :a\n");
    }

    #[test]
    fn a_torn_last_line_uses_its_number_up() {
        let list = UidList::parse(b"3 V7 N3\n1 :a\n12 :b").unwrap();
        assert!(list.torn);
        assert_eq!((list.uid_next(), uid(&list, b"b")), (13, None));
    }

    // MDR-06
    #[test]
    fn what_no_server_wrote_is_damaged() {
        for (bytes, validity) in [
            (&b""[..], None),
            (b"3 V7 N3", None),
            (b"2 V7 N3\n", None),
            (b"3 V0 N3\n", None),
            (b"3 V7 N0\n", None),
            (b"3 V7\n", None),
            (b"3 N3\n", None),
            (b"3 V99999999999 N3\n", None),
            (b"3 V7x N3\n", None),
            (b"3 V7 N3\n0 :a\n", Some(7)),
            (b"3 V7 N3\n1\n", Some(7)),
            (b"3 V7 N3\n1 a\n", Some(7)),
            (b"3 V7 N3\n1 :\n", Some(7)),
            (b"3 V7 N3\n\n", Some(7)),
            (b"3 V7 N3\n2 :a\n2 :b\n", Some(7)),
            (b"3 V7 N3\n2 :a\n1 :b\n", Some(7)),
            (b"3 V7 N3\n4294967296 :a\n", Some(7)),
            (b"3 V7 N3\n1 :a\n4294967295 :b\n", Some(7)),
            (b"3 V7 N3\n4278190080 :a\n", Some(7)),
            (b"3 V7 N3\n1 :a\n4294967295 :", Some(7)),
            (b"3 V7 N4294967295\n1 :a\n", Some(7)),
            (b"3 V7 N3\n\0\0\0\0\n", Some(7)),
        ] {
            assert_eq!(UidList::parse(bytes), Err(Damaged { validity }), "{:?}", bytes.escape_ascii().to_string());
        }
    }

    // MDR-06
    #[test]
    fn a_line_without_end_is_no_line() {
        let mut reading = Reading::default();
        reading.take(GOOD).unwrap();
        let mut pieces = 0;
        while reading.take(&[b'x'; 1000]).is_ok() {
            pieces += 1000;
        }
        assert!((LINE_MAX - 1000..=LINE_MAX).contains(&pieces), "{pieces}");
    }

    #[test]
    fn the_last_uid_is_given_and_then_no_more() {
        let near = format!("3 V7 N{LAST}\n{LAST} :z\n");
        assert!(!UidList::parse(near.as_bytes()).unwrap().is_used_up());
        let mut list = UidList::empty(7, u64::from(u32::MAX), Vec::new());
        assert!(list.is_used_up());
        assert_eq!(list.assign(&[Base::from(&b"a"[..]).into()]).unwrap().0, [Uid::MAX]);
        assert!(matches!(list.assign(&[Base::from(&b"b"[..]).into()]), Err(MaildirError::NumbersExhausted)));
    }

    proptest! {
        // MDR-06
        #[test]
        fn any_bytes_are_a_list_or_damage(bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "3 V[0-9]{1,11} N[0-9]{1,11}( [A-Z]?[a-z0-9]{0,4}){0,2}\n([0-9]{0,11} ?([A-Z][0-9]{0,3} ){0,2}:?[a-z:/]{0,3}\n?){0,6}"
                .prop_map(String::into_bytes),
        ]) {
            if let Ok(mut list) = UidList::parse(&bytes) {
                list.is_durable();
                prop_assert_eq!(UidList::parse(&list.encode()), Ok(list));
            }
        }

        // MDR-06
        #[test]
        fn whole_or_in_pieces(
            bytes in "3 V[1-9]{1,3} N[1-9]{1,2}\n([0-9]{1,2} ([A-Z][0-9]{0,3} ){0,2}:[a-z]{0,3}\n?){0,6}".prop_map(String::into_bytes),
            piece in 1..50usize,
        ) {
            let mut reading = Reading::default();
            let pieces = bytes.chunks(piece).try_for_each(|piece| reading.take(piece));
            let read = pieces.and_then(|()| reading.end());
            let last = read.as_ref().map_or_else(|_| last_line(&bytes), |(_, last)| last.clone());
            prop_assert_eq!(read.map(|(list, _)| list), UidList::parse(&bytes));
            prop_assert_eq!(last, last_line(&bytes));
        }

        #[test]
        fn whole_or_in_two_readings(cut in 0..GOOD.len()) {
            let first_line = GOOD.iter().position(|o| *o == b'\n').unwrap();
            let cut = cut.max(first_line);
            let cut = cut + GOOD[cut..].iter().position(|o| *o == b'\n').unwrap() + 1;
            let mut list = UidList::parse(&GOOD[..cut]).unwrap();
            list.extend(&GOOD[cut..]).unwrap();
            prop_assert_eq!(list, UidList::parse(GOOD).unwrap());
        }
    }
}
