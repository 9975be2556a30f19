//! The records that a check goes through.

use alloc::vec::Vec;

use pillarbox_core::dns::Name;

use super::Record;
use super::scan::Stop;

/// Records that were gone through, by their numbers. Those of most checks stand in the value.
#[derive(Clone, Debug)]
pub(super) struct Visits {
    first: [Option<Visited>; FIRST],
    others: Vec<Visited>,
}

const FIRST: usize = 2;

/// A record that was gone through.
#[derive(Clone, Debug)]
pub(super) struct Visited {
    pub(super) domain: Name,
    pub(super) record: Record,
    /// The record whose `include` led here, and how many there are around.
    pub(super) includer: Option<u32>,
    pub(super) depth: u32,
    /// The term that is looked at.
    pub(super) stop: Stop,
    /// Whether that term is counted already: it is looked at again when the names of the client are known.
    pub(super) is_counted: bool,
}

impl Visits {
    pub(super) const NONE: Visits = Visits { first: [const { None }; FIRST], others: Vec::new() };

    /// Adds one, and gives its number and where it lies.
    #[inline(always)]
    pub(super) fn push(&mut self, visited: Visited) -> (u32, &mut Visited) {
        if let Some(number) = self.first.iter().position(Option::is_none) {
            return (number as u32, self.first[number].insert(visited));
        }
        let number = FIRST + self.others.len();
        self.others.push(visited);
        // Not even limits that were set much too high let a check have four billion records.
        (u32::try_from(number).unwrap_or(u32::MAX), &mut self.others[number - FIRST])
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
    pub(super) fn numbered(&self, number: Option<u32>) -> Option<&Visited> {
        let number = number? as usize;
        match self.first.get(number) {
            Some(first) => first.as_ref(),
            None => self.others.get(number - FIRST),
        }
    }

    #[inline(always)]
    pub(super) fn numbered_mut(&mut self, number: Option<u32>) -> Option<&mut Visited> {
        let number = number? as usize;
        match self.first.get_mut(number) {
            Some(first) => first.as_mut(),
            None => self.others.get_mut(number - FIRST),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Visited> {
        self.first.iter().flatten().chain(&self.others)
    }
}

impl Visited {
    #[inline(always)]
    pub(super) const fn new(domain: Name, record: Record, includer: Option<u32>, depth: u32) -> Self {
        let stop = Stop::end(b"", false);
        Visited { domain, record, includer, depth, stop, is_counted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_to_records() {
        let mut visits = Visits::NONE;
        let name = |number: usize| Name::parse(&alloc::format!("{number}.example")).unwrap();
        for number in 0..5 {
            let record = Record::parse(b"v=spf1 -all").unwrap();
            assert_eq!(visits.push(Visited::new(name(number), record, None, 0)).0 as usize, number);
        }
        visits.numbered_mut(Some(1)).unwrap().depth = 7;
        for count in (0..=5).rev() {
            let names = visits.iter().map(|visited| visited.domain.clone()).collect::<Vec<_>>();
            assert_eq!(names, (0..count).map(name).collect::<Vec<_>>());
            for number in 0..6 {
                let found = visits.numbered(Some(number as u32)).map(|visited| (visited.domain.clone(), visited.depth));
                assert_eq!(found, (number < count).then(|| (name(number), if number == 1 { 7 } else { 0 })));
            }
            visits.pop();
        }
        assert!(visits.numbered(None).is_none());
    }
}
