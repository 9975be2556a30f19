//! A part of a result (RFC 9394).

use core::fmt;

use nom::Parser;
use nom::character::complete::char;
use nom::sequence::preceded;

use super::Parsed;
use super::token::nz_number;
use crate::types::UidSet;

/// Which of the messages that are found: `1:500` are the first ones, `-1:-500` the last ones.
///
/// ```
/// use pillarbox_imap::wire::parse::PartialRange;
///
/// let range = PartialRange::parse(b"-10:-1").unwrap();
/// assert!(range.from_end() && range.bounds() == (1, 10) && range.to_string() == "-10:-1");
/// assert_eq!(PartialRange::parse(b"0:5"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialRange {
    first: u32,
    last: u32,
    from_end: bool,
}

impl PartialRange {
    /// Reads a range.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match partial_range(text) {
            Ok((b"", range)) => Some(range),
            _ => None,
        }
    }

    /// The nearest and the farthest, from 1 on.
    pub const fn bounds(self) -> (u32, u32) {
        if self.first < self.last { (self.first, self.last) } else { (self.last, self.first) }
    }

    /// It counts from the last message.
    pub const fn from_end(self) -> bool {
        self.from_end
    }

    /// Those of a set that it means.
    pub fn of(self, uids: &UidSet) -> UidSet {
        let (first, last) = self.bounds();
        // On a platform whose memory they would not fit in there are not so many either.
        let (skip, take) = (first as usize - 1, (last - first) as usize + 1);
        match self.from_end {
            true => {
                let mut chosen: alloc::vec::Vec<_> = uids.iter().rev().skip(skip).take(take).collect();
                chosen.reverse();
                chosen.into_iter().collect()
            }
            false => uids.iter().skip(skip).take(take).collect(),
        }
    }
}

/// `partial-range = partial-range-first / partial-range-last` (RFC 9394 §4)
pub(crate) fn partial_range(input: &[u8]) -> Parsed<'_, PartialRange> {
    let from_end = input.first() == Some(&b'-');
    let number = |input| if from_end { preceded(char('-'), nz_number).parse(input) } else { nz_number(input) };
    let (rest, first) = number(input)?;
    let (rest, last) = preceded(char(':'), number).parse(rest)?;
    Ok((rest, PartialRange { first, last, from_end }))
}

impl fmt::Display for PartialRange {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.first, self.last)
    }
}
