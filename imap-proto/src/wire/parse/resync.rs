//! The values of the parameters and modifiers that RFC 7162 §7 adds to SELECT, FETCH and STORE.

use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::ops::RangeInclusive;

use nom::Parser;
use nom::character::complete::char;
use nom::combinator::{map_opt, opt};
use nom::sequence::{delimited, preceded, separated_pair};

use super::Parsed;
use super::token::{number64, nz_number, sequence_set, sp};
use crate::types::{ModSeq, SequenceSet, Uid, UidSet, UidValidity};

/// A run of sequence numbers and UIDs that rise together: the first of both, and how many there are.
pub(crate) type Run = (u32, Uid, u32);

/// What `QRESYNC (..)` says (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resync {
    pub(crate) uid_validity: UidValidity,
    pub(crate) mod_seq: ModSeq,
    /// Absent: all.
    pub(crate) known_uids: Option<UidSet>,
    /// Message sequence match data, in rising order.
    pub(crate) matches: Vec<Run>,
}

/// `"(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`, the whole of it.
pub(crate) fn resync(value: &[u8]) -> Option<Resync> {
    let uid_validity = map_opt(nz_number, UidValidity::new);
    // RFC 7162 §7: `*` is not allowed, and `$` (RFC 5182) means nothing where no mailbox is selected yet.
    let known = map_opt(sequence_set, |set| Some(set.as_written()?.map(uids).collect()));
    let both = separated_pair(sequence_set, sp, sequence_set);
    let matches = map_opt(delimited(char('('), both, char(')')), |(seqs, uids)| paired(&seqs, &uids));
    let all = (uid_validity, preceded(sp, mod_seq), opt(preceded(sp, known)), opt(preceded(sp, matches)));
    let (rest, (uid_validity, mod_seq, known_uids, matches)) =
        delimited(char('('), all, char(')')).parse(value).ok()?;
    let matches = matches.unwrap_or_default();
    rest.is_empty().then_some(Resync { uid_validity, mod_seq, known_uids, matches })
}

/// `mod-sequence-value`, the whole of it.
pub(crate) fn mod_sequence(value: &[u8]) -> Option<ModSeq> {
    mod_seq(value).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, mod_seq)| mod_seq)
}

/// `mod-sequence-valzer`, the whole of it.
pub(crate) fn mod_sequence_or_zero(value: &[u8]) -> Option<u64> {
    number64(value).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, number)| number)
}

fn mod_seq(input: &[u8]) -> Parsed<'_, ModSeq> {
    map_opt(number64, ModSeq::new).parse(input)
}

type Numbers = RangeInclusive<NonZeroU32>;

fn uids(range: Numbers) -> RangeInclusive<Uid> {
    Uid::from(*range.start())..=Uid::from(*range.end())
}

/// RFC 7162 §3.2.5.2: two sets in ascending order, one UID for each sequence number. Ranges are taken apart no further than both
/// sets are, so that the work follows from the text.
fn paired(seqs: &SequenceSet, uids: &SequenceSet) -> Option<Vec<Run>> {
    let (mut seqs, mut uids) = (ascending(seqs)?, ascending(uids)?);
    let mut runs = Vec::new();
    let (mut seq, mut uid) = (seqs.next(), uids.next());
    loop {
        let ((first_seq, seqs_left), (first_uid, uids_left)) = match (seq, uid) {
            (Some(seq), Some(uid)) => (seq, uid),
            (None, None) => return Some(runs),
            _ => return None,
        };
        let len = seqs_left.min(uids_left);
        runs.push((first_seq, Uid::new(first_uid)?, len));
        let rest = |first: u32, left: u32| (left > len).then(|| (first.saturating_add(len), left - len));
        seq = rest(first_seq, seqs_left).or_else(|| seqs.next());
        uid = rest(first_uid, uids_left).or_else(|| uids.next());
    }
}

/// The ranges as their first number and how many there are, if they rise.
fn ascending(set: &SequenceSet) -> Option<impl Iterator<Item = (u32, u32)> + '_> {
    let rise = set.as_written()?.is_sorted_by(|one, next| one.end() < next.start());
    // No overflow: the least number is 1.
    let count = |range: Numbers| (range.start().get(), range.end().get() - range.start().get() + 1);
    set.as_written().filter(|_| rise).map(|ranges| ranges.map(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn matches(text: &str) -> Option<Vec<(u32, u32, u32)>> {
        let resync = resync(alloc::format!("(1 1 {text})").as_bytes())?;
        Some(resync.matches.into_iter().map(|(seq, uid, len)| (seq, uid.get(), len)).collect())
    }

    #[test]
    fn what_resynchronises() {
        let all = resync(b"(67890007 90060115194045000 41:211,5,214:541)").unwrap();
        assert_eq!((all.uid_validity.get(), all.mod_seq.get()), (67_890_007, 90_060_115_194_045_000));
        assert_eq!(all.known_uids.unwrap().to_string(), "5,41:211,214:541");
        assert_eq!(resync(b"(1 9223372036854775807)").unwrap().mod_seq, ModSeq::MAX);
        assert_eq!(resync(b"(1 1 (1 2))").unwrap().known_uids, None);
        for wrong in [
            "",
            "()",
            "(1)",
            "(0 1)",
            "(1 0)",
            "(1 9223372036854775808)",
            "(1 1",
            "(1 1) ",
            "(1 1 *)",
            "(1 1 1:*)",
            "(1 1 $)",
            "(1 1 1 2)",
            "(1 1 0)",
            "(1 1 (1 2) 3)",
            "(4294967296 1)",
            "(1 -1)",
            "1 1",
            "(1 1 ())",
        ] {
            assert_eq!(resync(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn sequence_numbers_and_their_uids() {
        assert_eq!(matches("(1,3:5,9 2,10:12,20)"), Some(vec![(1, 2, 1), (3, 10, 3), (9, 20, 1)]));
        // The ranges need not fall together.
        assert_eq!(matches("(1:4 2:3,8:9)"), Some(vec![(1, 2, 2), (3, 8, 2)]));
        assert_eq!(matches("(1:2,5:6 11:14)"), Some(vec![(1, 11, 2), (5, 13, 2)]));
        assert_eq!(matches("(1:4294967295 1:4294967295)"), Some(vec![(1, 1, u32::MAX)]));
        for wrong in
            ["(1 1:2)", "(1:2 1)", "(2,1 1,2)", "(1,2 2,1)", "(1,1 1,2)", "(1:* 1:2)", "(1 $)", "(1)", "(1 2 3)"]
        {
            assert_eq!(matches(wrong), None, "{wrong}");
        }
    }
}
