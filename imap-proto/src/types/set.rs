//! Sets of numbers: of UIDs, resolved; and as a client writes them, with `*`.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::ops::RangeInclusive;

use super::Uid;
use super::few::Few;

/// How many ranges of a set of UIDs need no memory of their own. A session holds some such sets all the time, so it is kept
/// small.
const FEW_RANGES: usize = 2;
/// The same for what a client writes, which is gone when its command is.
const FEW_ITEMS: usize = 4;

/// A set of UIDs, kept as ranges: its size follows from its gaps, not from its members.
///
/// ```
/// use pillarbox_imap::types::{Uid, UidSet};
///
/// let mut set: UidSet = [5, 1, 2, 3].into_iter().filter_map(Uid::new).collect();
/// assert_eq!(set.to_string(), "1:3,5");
/// assert!(set.insert(Uid::new(4).unwrap()));
/// assert_eq!((set.to_string().as_str(), set.len()), ("1:5", 5));
/// assert!(set.contains(Uid::new(5).unwrap()) && !set.contains(Uid::new(6).unwrap()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UidSet {
    /// Inclusive, rising, with a gap between each and the next.
    ranges: Few<(Uid, Uid), FEW_RANGES>,
}

impl Default for UidSet {
    fn default() -> Self {
        UidSet::new()
    }
}

impl UidSet {
    /// The empty set.
    pub const fn new() -> Self {
        UidSet { ranges: Few::new((Uid::MIN, Uid::MIN)) }
    }

    /// The set of one UID.
    pub fn one(uid: Uid) -> Self {
        let mut set = UidSet::new();
        set.ranges.push((uid, uid));
        set
    }

    /// Adds a UID; false if it was in the set. Cheapest in rising order.
    pub fn insert(&mut self, uid: Uid) -> bool {
        if self.append(uid, uid) {
            return true;
        }
        if self.contains(uid) {
            return false;
        }
        self.insert_range(uid..=uid);
        true
    }

    /// Adds a range that lies above all others; false, with nothing changed, if it does not.
    #[inline]
    fn append(&mut self, first: Uid, last: Uid) -> bool {
        match self.ranges.last_mut() {
            Some((_, end)) if first <= *end => return false,
            Some((_, end)) if end.next() == Some(first) => *end = last,
            _ => self.ranges.push((first, last)),
        }
        true
    }

    /// Adds UIDs that rise and lie above all others. Runs of them cost no more for being long.
    fn append_rising(&mut self, mut uids: &[Uid]) {
        while let (Some(&first), Some(&last)) = (uids.first(), uids.last()) {
            // Of UIDs that rise, as many as their numbers span are a run.
            let is_run = |len: usize, last: Uid| len as u64 == u64::from(last.get()) - u64::from(first.get()) + 1;
            let (mut run, mut above) = (uids.len(), uids.len() + 1);
            if !is_run(run, last) {
                // Doubling, then halving: a look or two where there are gaps everywhere.
                (run, above) = (1, 2);
                while uids.get(above - 1).is_some_and(|&last| is_run(above, last)) {
                    (run, above) = (above, above.saturating_mul(2));
                }
                above = above.min(uids.len() + 1);
            }
            while above - run > 1 {
                let middle = run + (above - run) / 2;
                match uids.get(middle - 1).is_some_and(|&last| is_run(middle, last)) {
                    true => run = middle,
                    false => above = middle,
                }
            }
            let (taken, rest) = uids.split_at(run);
            if let Some(&last) = taken.last()
                && !self.append(first, last)
            {
                self.insert_range(first..=last);
            }
            uids = rest;
        }
    }

    /// Adds all UIDs of a range (nothing if it is empty). Cheapest in rising order.
    pub fn insert_range(&mut self, range: RangeInclusive<Uid>) {
        let (mut low, mut high) = range.into_inner();
        if low > high {
            return;
        }
        // The ranges that touch the new one or lie beside it without a gap become one with it.
        let start = self.ranges.partition_point(|&(_, end)| end.next().is_some_and(|after| after < low));
        let mut end = start;
        while let Some(&(first, last)) = self.ranges.get(end) {
            if high.next().is_some_and(|after| after < first) {
                break;
            }
            low = low.min(first);
            high = high.max(last);
            end += 1;
        }
        if start == self.ranges.len() {
            self.ranges.push((low, high));
        } else if end == start + 1 {
            self.ranges[start] = (low, high);
        } else {
            self.ranges.replace(start..end, &[(low, high)]);
        }
    }

    /// Takes a UID out; false if it was not in the set.
    pub fn remove(&mut self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, end)| end < uid);
        let Some(&(first, last)) = self.ranges.get(at) else { return false };
        if uid < first {
            return false;
        }
        let below = (first, before(uid));
        let above = (uid.next().unwrap_or(last), last);
        let left = [below, above];
        let left = match (first < uid, uid < last) {
            (true, true) => &left[..],
            (true, false) => &left[..1],
            (false, true) => &left[1..],
            (false, false) => &[],
        };
        self.ranges.replace(at..at + 1, left);
        true
    }

    /// Whether the UID is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, end)| end < uid);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= uid)
    }

    /// How many UIDs are in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last.get() - first.get()) + 1).sum()
    }

    /// Whether no UID is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The smallest UID.
    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().map(|&(first, _)| first)
    }

    /// The largest UID.
    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().map(|&(_, last)| last)
    }

    /// The UIDs, rising. A range may span four billion: intersect with what exists before walking.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| (first.get()..=last.get()).filter_map(Uid::new))
    }

    /// The set as ranges: rising, with a gap between each and the next.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<Uid>> + DoubleEndedIterator + '_ {
        self.ranges.iter().map(|&(first, last)| first..=last)
    }

    /// What is in both sets.
    pub fn intersect(&self, other: &UidSet) -> UidSet {
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut both = UidSet::new();
        while let (Some(&&(a_first, a_last)), Some(&&(b_first, b_last))) = (a.peek(), b.peek()) {
            let (first, last) = (a_first.max(b_first), a_last.min(b_last));
            if first <= last {
                both.ranges.push((first, last));
            }
            if a_last <= b_last {
                a.next()
            } else {
                b.next()
            };
        }
        both
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub fn without(&self, other: &UidSet) -> UidSet {
        let mut cuts = other.ranges.iter().peekable();
        let mut left = UidSet::new();
        for &(first, last) in self.ranges.iter() {
            let mut start = Some(first);
            while let (Some(from), Some(&&(cut_first, cut_last))) = (start, cuts.peek()) {
                if cut_last < from {
                    cuts.next();
                    continue;
                }
                if cut_first > last {
                    break;
                }
                if from < cut_first {
                    left.ranges.push((from, before(cut_first)));
                }
                // The cut may reach into the next range.
                start = cut_last.next().filter(|after| *after <= last);
            }
            if let Some(from) = start {
                left.ranges.push((from, last));
            }
        }
        left
    }

    /// Adds everything that is in `other`.
    pub fn add(&mut self, other: &UidSet) {
        if self.last() < other.first() || other.ranges.len() == 1 {
            for range in other.ranges() {
                self.insert_range(range);
            }
        } else {
            // Sorting both together keeps this linear in the number of ranges, however they lie.
            let mut all: Vec<_> = self.ranges.iter().chain(&*other.ranges).copied().collect();
            all.sort_unstable();
            *self = from_sorted(all);
        }
    }
}

fn before(uid: Uid) -> Uid {
    Uid::new(uid.get() - 1).unwrap_or(Uid::MIN)
}

fn from_sorted(sorted: Vec<(Uid, Uid)>) -> UidSet {
    let mut set = UidSet::new();
    for (first, last) in sorted {
        set.insert_range(first..=last);
    }
    set
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let (mut set, mut uids) = (UidSet::new(), uids.into_iter());
        while let Some(uid) = uids.next() {
            if !set.append(uid, uid) && !set.contains(uid) {
                let mut all = set.ranges.to_vec();
                all.push((uid, uid));
                all.extend(uids.map(|uid| (uid, uid)));
                all.sort_unstable();
                return from_sorted(all);
            }
        }
        set
    }
}

/// Of slices of UIDs that rise: within each, and from one to the next.
impl<'a> FromIterator<&'a [Uid]> for UidSet {
    fn from_iter<I: IntoIterator<Item = &'a [Uid]>>(slices: I) -> Self {
        let mut set = UidSet::new();
        for uids in slices {
            set.append_rising(uids);
        }
        set
    }
}

impl FromIterator<RangeInclusive<Uid>> for UidSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<Uid>>>(ranges: I) -> Self {
        let mut all: Vec<_> = ranges.into_iter().map(RangeInclusive::into_inner).collect();
        if !all.is_sorted() {
            all.sort_unstable();
        }
        from_sorted(all)
    }
}

impl fmt::Display for UidSet {
    /// As a `uid-set` (RFC 4315 §4); the empty set, which the protocol cannot write, is empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}:{last}")?;
            }
        }
        Ok(())
    }
}

/// A number of a [`SequenceSet`]. `*`, the largest number in use, sorts last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetNumber {
    /// A number that stands for itself.
    Number(NonZeroU32),
    /// `*`.
    Star,
}

/// A set of numbers as a client writes it (`sequence-set` in RFC 9051 §9). Whether it means sequence numbers or UIDs,
/// and what `*` is, only the view knows.
///
/// ```
/// use pillarbox_imap::types::SequenceSet;
///
/// let set = SequenceSet::parse(b"2,4:7,*:9").unwrap();
/// assert_eq!(set.resolve(12), [2..=2, 4..=7, 9..=12]);
/// assert_eq!(SequenceSet::parse(b"0"), None);
/// assert!(SequenceSet::parse(b"$").unwrap().names_saved());
/// assert_eq!(set.to_string(), "2,4:7,9:*");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceSet {
    items: Few<(SetNumber, SetNumber), FEW_ITEMS>,
    /// `$`
    saved: bool,
}

impl SequenceSet {
    /// Parses the whole of `text`; `None` if it is no set.
    pub fn parse(text: &[u8]) -> Option<Self> {
        SequenceSet::take(text).and_then(|(set, rest)| rest.is_empty().then_some(set))
    }

    /// Takes a set off the front of `text`; `None` if there is none. What follows has to be no part of a set.
    pub(crate) fn take(text: &[u8]) -> Option<(Self, &[u8])> {
        let mut set = SequenceSet { items: Few::new((SetNumber::Star, SetNumber::Star)), saved: false };
        let mut rest = text;
        loop {
            // RFC 5182 §3, RFC 9051 §9: a set may be `$`, and as a set is made of an item and a set, may end with it.
            if let [b'$', behind @ ..] = rest {
                set.saved = true;
                return Some((set, behind));
            }
            let (first, behind) = set_number(rest)?;
            let behind = match behind {
                [b':', behind @ ..] => {
                    let (last, behind) = set_number(behind)?;
                    // RFC 9051 §9, seq-range: the order of the two does not matter.
                    set.items.push((first.min(last), first.max(last)));
                    behind
                }
                _ => {
                    set.items.push((first, first));
                    behind
                }
            };
            match behind {
                [b',', more @ ..] => rest = more,
                _ => return Some((set, behind)),
            }
        }
    }

    /// The ranges of the set as the client wrote them, the smaller end first; a number that stands alone is both ends.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (SetNumber, SetNumber)> + '_ {
        self.items.iter().copied()
    }

    /// Whether `$` is in the set: what the last SEARCH saved (RFC 5182).
    pub const fn names_saved(&self) -> bool {
        self.saved
    }

    /// Whether the set is more than `$` alone.
    pub fn has_numbers(&self) -> bool {
        !self.items.is_empty()
    }

    /// The ranges in the order in which they were written; `None` if `*` or `$` is among them.
    pub fn as_written(&self) -> Option<impl Iterator<Item = RangeInclusive<NonZeroU32>> + '_> {
        let numbers = |&(first, last): &(SetNumber, SetNumber)| match (first, last) {
            (SetNumber::Number(first), SetNumber::Number(last)) => Some(first..=last),
            _ => None,
        };
        let plain = !self.saved && self.items.iter().all(|item| numbers(item).is_some());
        plain.then(|| self.items.iter().filter_map(numbers))
    }

    /// The largest number that stands for itself alone, not as an end of a range to `*`; 0 if there is none.
    pub fn largest_number(&self) -> u32 {
        let numbers = self.items.iter().filter_map(|&(_, last)| match last {
            SetNumber::Number(number) => Some(number.get()),
            SetNumber::Star => None,
        });
        numbers.max().unwrap_or(0)
    }

    /// The set as numbers, with `largest` for `*` and without `$`: rising ranges with a gap between each and the next. The cost follows
    /// from the text, not from the numbers it spans.
    ///
    /// RFC 9051 §9, seq-range: `*` is one of the two ends, so `9:*` holds `largest` even where that is below 9.
    pub fn resolve(&self, largest: u32) -> Vec<RangeInclusive<u32>> {
        let value = |number: SetNumber| match number {
            SetNumber::Number(number) => number.get(),
            SetNumber::Star => largest,
        };
        let mut all: Vec<_> =
            self.items.iter().map(|&(a, b)| (value(a), value(b))).map(|(a, b)| (a.min(b), a.max(b))).collect();
        all.sort_unstable();
        let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
        for (first, last) in all {
            match ranges.last_mut() {
                Some(before) if first <= before.end().saturating_add(1) => {
                    *before = *before.start()..=last.max(*before.end());
                }
                _ => ranges.push(first..=last),
            }
        }
        ranges
    }
}

/// The number at the front, and what is behind it.
#[inline]
fn set_number(text: &[u8]) -> Option<(SetNumber, &[u8])> {
    // RFC 9051 §9, nz-number: no sign, no leading zero.
    let (mut number, mut rest) = match text {
        [b'*', rest @ ..] => return Some((SetNumber::Star, rest)),
        [digit @ b'1'..=b'9', rest @ ..] => (u64::from(digit - b'0'), rest),
        _ => return None,
    };
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        // Stays far below what 64 bits hold.
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        if number > u64::from(u32::MAX) {
            return None;
        }
        rest = behind;
    }
    let number = NonZeroU32::new(number as u32)?;
    Some((SetNumber::Number(number), rest))
}

impl fmt::Display for SetNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetNumber::Number(number) => number.fmt(f),
            SetNumber::Star => f.write_str("*"),
        }
    }
}

impl fmt::Display for SequenceSet {
    /// As a `sequence-set` (RFC 9051 §9).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(first, last)) in self.items.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}:{last}")?,
            }
        }
        match self.saved {
            true if self.items.is_empty() => f.write_str("$"),
            true => f.write_str(",$"),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;
    use proptest::prelude::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn the_largest_uid_joins_without_overflow() {
        let mut set = UidSet::one(Uid::MAX);
        set.insert_range(Uid::MIN..=uid(u32::MAX - 1));
        assert_eq!((set.to_string().as_str(), set.len()), ("1:4294967295", u64::from(u32::MAX)));
        assert!(set.remove(Uid::MAX) && set.remove(Uid::MIN));
        assert_eq!(set.to_string(), "2:4294967294");
    }

    #[test]
    fn sets_that_are_none() {
        for wrong in [
            "",
            ",",
            "1,",
            "1:",
            ":1",
            "1:2:3",
            "01",
            "+1",
            "-1",
            "4294967296",
            "a",
            "1 ",
            "**",
            "1,,2",
            "$,1",
            "$$",
            "1:$",
            ",$",
        ] {
            assert_eq!(SequenceSet::parse(wrong.as_bytes()), None, "{wrong}");
        }
        for right in ["1", "$", "1,$", "1:2,$", "*", "*:*", "4294967295", "1:4294967295", "5:1"] {
            assert!(SequenceSet::parse(right.as_bytes()).is_some(), "{right}");
        }
    }

    proptest! {
        #[test]
        fn a_set_does_what_an_ordinary_set_does(ops in prop::collection::vec((0..3u8, 1..40u32, 0..6u32), 0..60)) {
            let (mut set, mut oracle) = (UidSet::new(), BTreeSet::new());
            for (op, at, width) in ops {
                match op {
                    0 => prop_assert_eq!(set.insert(uid(at)), oracle.insert(at)),
                    1 => prop_assert_eq!(set.remove(uid(at)), oracle.remove(&at)),
                    _ => {
                        set.insert_range(uid(at)..=uid(at + width));
                        oracle.extend(at..=at + width);
                    }
                }
                prop_assert!(set.iter().map(Uid::get).eq(oracle.iter().copied()));
                prop_assert_eq!(set.len(), oracle.len() as u64);
                let again: UidSet = oracle.iter().rev().map(|&n| uid(n)).collect();
                prop_assert_eq!(&again, &set);
                let rising: Vec<Uid> = oracle.iter().map(|&n| uid(n)).collect();
                for parts in [rising.len().max(1), 1 + rising.len() / 2, 1] {
                    prop_assert_eq!(&rising.chunks(parts).collect::<UidSet>(), &set);
                }
            }
        }

        #[test]
        fn both_sets(a in prop::collection::btree_set(1..40u32, 0..30), b in prop::collection::btree_set(1..40u32, 0..30)) {
            let set = |numbers: &BTreeSet<u32>| numbers.iter().map(|&n| uid(n)).collect::<UidSet>();
            let both: BTreeSet<u32> = a.intersection(&b).copied().collect();
            prop_assert_eq!(set(&a).intersect(&set(&b)), set(&both));
            prop_assert_eq!(set(&a).without(&set(&b)), set(&a.difference(&b).copied().collect()));
            let mut sum = set(&a);
            sum.add(&set(&b));
            prop_assert_eq!(sum, set(&a.union(&b).copied().collect()));
        }
    }
}
