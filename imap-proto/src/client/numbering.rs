//! The UIDs of a mailbox at their sequence numbers.

use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use crate::types::Uid;

/// UIDs that rise. Any of them may go, and those behind it move up by a place: a server says so in a dozen octets, so it costs
/// the logarithm of their count.
///
/// What has gone stays in its slot, marked, until there are more such slots than others: nothing is moved before.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbering {
    /// Rising, with those that have gone.
    slots: Vec<Uid>,
    /// A bit for each slot: it is still there.
    words: Vec<u64>,
    /// A Fenwick tree of how many bits the words have.
    sums: Vec<u32>,
    len: usize,
}

/// As many slots as a word has bits.
const WORD: usize = 64;

impl Numbering {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        *self = Numbering::default();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        let is_there = |&(slot, _): &(usize, &Uid)| self.has(slot);
        self.slots.iter().enumerate().filter(is_there).map(|(_, uid)| *uid)
    }

    /// The one at this place, the first of which is 0.
    pub(super) fn get(&self, place: usize) -> Option<Uid> {
        self.slots.get(self.slot(place)?).copied()
    }

    /// The highest that is remembered, of those that have gone too: what comes is above it.
    pub(super) fn highest(&self) -> Option<Uid> {
        self.slots.last().copied()
    }

    pub(super) fn last(&self) -> Option<Uid> {
        self.get(self.len.checked_sub(1)?)
    }

    pub(super) fn contains(&self, uid: Uid) -> bool {
        self.slots.binary_search(&uid).is_ok_and(|slot| self.has(slot))
    }

    /// Where those of a range stand.
    pub(super) fn places(&self, range: &RangeInclusive<Uid>) -> Range<usize> {
        let start = self.below(*range.start());
        start..range.end().next().map_or(self.len, |behind| self.below(behind)).max(start)
    }

    /// Adds one that is above all others, and above those that have gone as far as they are remembered.
    pub(super) fn push(&mut self, uid: Uid) {
        debug_assert!(self.highest().is_none_or(|highest| highest < uid), "it is above all others");
        let slot = self.slots.len();
        self.slots.push(uid);
        if slot.is_multiple_of(WORD) {
            self.words.push(0);
            // The sum over the words in front of it that belong to its node.
            let node = self.words.len();
            let (mut below, mut sum) = (node - 1, 0);
            while below > node - lowest_bit(node) {
                sum += self.sums[below - 1];
                below -= lowest_bit(below);
            }
            self.sums.push(sum);
        }
        self.words[slot / WORD] |= 1 << (slot % WORD);
        self.changed(slot / WORD, |sum| sum + 1);
        self.len += 1;
    }

    /// Takes out the one at this place.
    pub(super) fn remove(&mut self, place: usize) -> Option<Uid> {
        let slot = self.slot(place)?;
        let uid = self.slots[slot];
        self.words[slot / WORD] &= !(1 << (slot % WORD));
        self.changed(slot / WORD, |sum| sum - 1);
        self.len -= 1;
        if self.slots.len() > 2 * self.len + WORD {
            *self = self.iter().collect();
        }
        Some(uid)
    }

    /// Takes out those of a range, and says of each that it has gone.
    pub(super) fn remove_range(&mut self, range: &RangeInclusive<Uid>, mut gone: impl FnMut(Uid)) {
        let places = self.places(range);
        for _ in places.clone() {
            if let Some(uid) = self.remove(places.start) {
                gone(uid);
            }
        }
    }

    fn has(&self, slot: usize) -> bool {
        self.words[slot / WORD] & 1 << (slot % WORD) != 0
    }

    fn changed(&mut self, word: usize, change: impl Fn(u32) -> u32) {
        let mut node = word + 1;
        while let Some(sum) = self.sums.get_mut(node - 1) {
            step();
            *sum = change(*sum);
            node += lowest_bit(node);
        }
    }

    fn slot(&self, place: usize) -> Option<usize> {
        if place >= self.len {
            return None;
        }
        let (mut word, mut left) = (0, place);
        let mut width = 1 << self.words.len().ilog2();
        while width > 0 {
            step();
            if let Some(&sum) = self.sums.get(word + width - 1)
                && sum as usize <= left
            {
                word += width;
                left -= sum as usize;
            }
            width /= 2;
        }
        let mut bits = self.words[word];
        for _ in 0..left {
            bits &= bits - 1;
        }
        Some(word * WORD + bits.trailing_zeros() as usize)
    }

    /// How many are lower than this one.
    fn below(&self, uid: Uid) -> usize {
        let slot = self.slots.partition_point(|own| *own < uid);
        let (mut node, bit) = (slot / WORD, slot % WORD);
        let mut count = self.words.get(node).map_or(0, |word| word & ((1 << bit) - 1)).count_ones();
        while node > 0 {
            step();
            count += self.sums[node - 1];
            node -= lowest_bit(node);
        }
        count as usize
    }
}

const fn lowest_bit(number: usize) -> usize {
    number & number.wrapping_neg()
}

/// Counted for tests.
fn step() {
    #[cfg(test)]
    crate::steps::count(1);
}

impl FromIterator<Uid> for Numbering {
    /// Of UIDs that rise.
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut all = Numbering::default();
        uids.into_iter().for_each(|uid| all.push(uid));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn uid(number: usize) -> Uid {
        Uid::new(u32::try_from(number).unwrap()).unwrap()
    }

    #[derive(Clone, Debug)]
    enum Move {
        Push(usize),
        /// What comes next is lower by so much, if that may come.
        Fall(usize),
        Remove(usize),
        RemoveRange(usize, usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            6 => (1..70usize).prop_map(Move::Push),
            2 => (1..200usize).prop_map(Move::Fall),
            3 => (0..1000usize).prop_map(Move::Remove),
            1 => (1..3000usize, 0..600usize).prop_map(|(first, more)| Move::RemoveRange(first, first + more)),
        ];
        prop::collection::vec(one, 0..120)
    }

    proptest! {
        #[test]
        fn it_is_what_a_plain_list_is(moves in moves()) {
            let (mut tree, mut list, mut next) = (Numbering::default(), Vec::new(), 1);
            for one in moves {
                match one {
                    Move::Push(count) => for _ in 0..count {
                        if tree.highest().is_none_or(|highest| highest < uid(next)) {
                            tree.push(uid(next));
                            list.push(uid(next));
                        }
                        next += 1 + next % 3;
                    },
                    Move::Fall(by) => next = next.saturating_sub(by).max(1),
                    Move::Remove(place) if list.is_empty() => prop_assert_eq!(tree.remove(place), None),
                    Move::Remove(place) => {
                        let place = place % list.len();
                        prop_assert_eq!(tree.remove(place), Some(list.remove(place)));
                    }
                    Move::RemoveRange(first, last) => {
                        let range = uid(first)..=uid(last);
                        let start = list.partition_point(|own| own < range.start());
                        let end = list.partition_point(|own| own <= range.end());
                        prop_assert_eq!(tree.places(&range), start..end);
                        let mut gone = Vec::new();
                        tree.remove_range(&range, |uid| gone.push(uid));
                        prop_assert_eq!(gone, list.drain(start..end).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!((tree.len(), tree.last()), (list.len(), list.last().copied()));
                prop_assert!(tree.highest() >= tree.last());
                prop_assert!(tree.iter().eq(list.iter().copied()));
                for place in [0, list.len() / 2, list.len()] {
                    prop_assert_eq!(tree.get(place), list.get(place).copied());
                }
                for number in [1, next / 2 + 1, next + 1] {
                    prop_assert_eq!(tree.contains(uid(number)), list.contains(&uid(number)));
                }
                let all = Uid::MIN..=Uid::new(u32::MAX).unwrap();
                prop_assert_eq!(tree.places(&all), 0..list.len());
            }
        }
    }

    #[test]
    fn what_goes_moves_nothing() {
        let all = |count: usize| (1..=count).map(uid).collect::<Numbering>();
        let from_the_front = |count: usize| {
            let mut all = all(count);
            while all.remove(0).is_some() {}
        };
        crate::steps::assert_linear_logarithmic("each first one goes", 20_000, from_the_front);
        crate::steps::assert_linear_logarithmic("a range that is named again and again", 20_000, |count| {
            let mut all = all(count);
            for _ in 0..count {
                all.remove_range(&(uid(2)..=uid(count - 1)), |_| {});
            }
        });
        // A mailbox of a million: a few dozen steps for each that goes, wherever it stands.
        let mut million = all(1_000_000);
        for place in [0, 500_000, 999_000] {
            let steps = crate::steps::of(|| assert!(million.remove(place).is_some()));
            assert!(steps < 50, "{place}: {steps}");
        }
    }
}
