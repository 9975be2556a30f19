//! The names that a check comes across.

use alloc::vec::Vec;

use pillarbox_core::dns::Name;

/// Names by their numbers: what is checked, and what was asked for. Each is written once, where it stays, and others refer to it:
/// to move what was just written by parts is slow. Those of most checks stand in the value.
#[derive(Clone, Debug)]
pub(super) struct Names {
    first: [Name; FIRST],
    /// How many of these there are.
    count: usize,
    others: Vec<Name>,
}

const FIRST: usize = 4;

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameId(u32);

impl NameId {
    /// Of the first.
    pub(super) const FIRST: NameId = NameId(0);
}

impl Names {
    pub(super) const NONE: Names = Names { first: [const { Name::root() }; FIRST], count: 0, others: Vec::new() };

    #[inline(always)]
    pub(super) fn push(&mut self, name: Name) -> NameId {
        if let Some(place) = self.first.get_mut(self.count) {
            *place = name;
            self.count += 1;
            return NameId(self.count as u32 - 1);
        }
        self.others.push(name);
        // Not even limits that were set much too high let a check ask four billion questions.
        NameId(u32::try_from(FIRST + self.others.len() - 1).unwrap_or(u32::MAX))
    }

    /// The same of octets that [`Name::plain_len`] has found to be a name.
    #[inline(always)]
    pub(super) fn push_plain(&mut self, octets: &[u8]) -> NameId {
        let Some(place) = self.first.get_mut(self.count) else { return self.push(Name::from_plain(octets)) };
        place.set_plain(octets);
        self.count += 1;
        NameId(self.count as u32 - 1)
    }

    /// The name with a number.
    ///
    /// # Panics
    ///
    /// If it is of other names.
    #[inline(always)]
    pub(super) fn at(&self, NameId(number): NameId) -> &Name {
        let number = number as usize;
        match self.first.get(number) {
            Some(name) => name,
            None => &self.others[number - FIRST],
        }
    }

    /// The first of them, or the root.
    pub(super) const fn first(&self) -> &Name {
        &self.first[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_to_names() {
        let mut names = Names::NONE;
        let name = |number: usize| Name::parse(&alloc::format!("{number}.example")).unwrap();
        let push = |number| match number % 2 {
            0 => names.push(name(number)),
            _ => names.push_plain(name(number).as_octets()),
        };
        let ids = (0..3 * FIRST).map(push).collect::<Vec<_>>();
        assert_eq!(ids[0], NameId::FIRST);
        for (number, id) in ids.into_iter().enumerate() {
            assert_eq!(*names.at(id), name(number));
        }
        assert_eq!(*names.first(), name(0));
    }
}
