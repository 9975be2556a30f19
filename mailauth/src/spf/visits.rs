//! The records that a check goes through.

use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::Record;
use super::names::NameId;
use super::stops::Stops;

/// Records that were gone through, by their numbers. Those of most checks stand in the value.
#[derive(Clone, Debug)]
pub(super) struct Visits {
    first: [Option<Visited>; FIRST],
    others: Vec<Visited>,
}

const FIRST: usize = 2;

/// The number of a record that was gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VisitId(NonZeroU32);

impl VisitId {
    const fn of(index: usize) -> Self {
        // Not even limits that were set much too high let a check have four billion records.
        VisitId(NonZeroU32::MIN.saturating_add(index as u32))
    }

    const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A record that was gone through.
#[derive(Clone, Debug)]
pub(super) struct Visited {
    pub(super) domain: NameId,
    pub(super) record: Record,
    /// The record whose `include` led here, and how many there are around.
    pub(super) includer: Option<VisitId>,
    pub(super) depth: u32,
    /// The terms that may match, and which of them is looked at.
    pub(super) stops: Stops,
    /// Whether that term is counted already: it is looked at again when the names of the client are known.
    pub(super) is_counted: bool,
}

impl Visits {
    pub(super) const NONE: Visits = Visits { first: [const { None }; FIRST], others: Vec::new() };

    /// Adds one, and gives its number and where it lies.
    #[inline(always)]
    pub(super) fn push(&mut self, visited: Visited) -> (VisitId, &mut Visited) {
        if let Some(index) = self.first.iter().position(Option::is_none) {
            return (VisitId::of(index), self.first[index].insert(visited));
        }
        let index = self.others.len();
        self.others.push(visited);
        (VisitId::of(FIRST + index), &mut self.others[index])
    }

    /// Takes back the last one.
    #[cold]
    pub(super) fn pop(&mut self) {
        if self.others.pop().is_none()
            && let Some(last) = self.first.iter_mut().rfind(|first| first.is_some())
        {
            *last = None;
        }
    }

    #[inline(always)]
    pub(super) fn numbered(&self, number: Option<VisitId>) -> Option<&Visited> {
        let index = number?.index();
        match self.first.get(index) {
            Some(first) => first.as_ref(),
            None => self.others.get(index - FIRST),
        }
    }

    #[inline(always)]
    pub(super) fn numbered_mut(&mut self, number: Option<VisitId>) -> Option<&mut Visited> {
        let index = number?.index();
        match self.first.get_mut(index) {
            Some(first) => first.as_mut(),
            None => self.others.get_mut(index - FIRST),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Visited> {
        self.first.iter().flatten().chain(&self.others)
    }
}

impl Visited {
    #[inline(always)]
    pub(super) const fn new(domain: NameId, record: Record, includer: Option<VisitId>, depth: u32) -> Self {
        Visited { domain, record, includer, depth, stops: Stops::NONE, is_counted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_to_records() {
        let mut visits = Visits::NONE;
        for depth in 0..5 {
            let record = Record::parse(b"v=spf1 -all").unwrap();
            let (id, _) = visits.push(Visited::new(NameId::FIRST, record, None, depth));
            assert_eq!(id.index(), depth as usize);
        }
        visits.numbered_mut(Some(VisitId::of(1))).unwrap().is_counted = true;
        for count in (0..=5).rev() {
            let depths = visits.iter().map(|visited| visited.depth).collect::<Vec<_>>();
            assert_eq!(depths, (0..count).collect::<Vec<_>>());
            for number in 0..6 {
                let found = visits.numbered(Some(VisitId::of(number as usize)));
                let found = found.map(|visited| (visited.depth, visited.is_counted));
                assert_eq!(found, (number < count).then_some((number, number == 1)));
            }
            visits.pop();
        }
        assert!(visits.numbered(None).is_none());
    }
}
