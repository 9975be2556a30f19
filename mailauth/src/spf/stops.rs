//! The terms of a record that may match.

use core::ops::Range;

use super::record::{Prefixes, Qualifier, VERSION_END};
use super::scan::{self, ClientIp};

/// A term that may match, or the end of the record. Places are octets of the record, which has at most 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stop {
    /// The octet that it begins at.
    pub(super) start: u16,
    /// That behind it.
    pub(super) end: u16,
    /// Where its domain is, or that of a modifier; nothing if it has none.
    pub(super) domain: (u16, u16),
    pub(super) kind: Kind,
    /// What a match comes to.
    pub(super) qualifier: Qualifier,
    /// Whether it has a domain that is a plain name of two labels or more, as `Name::plain_len` finds it.
    pub(super) is_plain: bool,
    /// Whether there are networks between the stop before, or the version, and this one.
    pub(super) is_behind_networks: bool,
}

/// What a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is none.
    End,
    /// A network without the client.
    Outside,
    /// One with it, and how many of its bits count.
    Network(u8),
    All,
    Include,
    Exists,
    A(Prefixes),
    Mx(Prefixes),
    Ptr,
    Redirect,
    Explanation,
    Unknown,
}

impl Kind {
    pub(super) const fn may_match(self) -> bool {
        !matches!(self, Kind::Outside | Kind::Redirect | Kind::Explanation | Kind::Unknown | Kind::End)
    }

    /// Whether it matches whatever the DNS answers, so that nothing behind it is looked at.
    pub(super) const fn matches(self) -> bool {
        matches!(self, Kind::Network(_) | Kind::All)
    }
}

impl Stop {
    pub(super) const fn end(text: &[u8], is_behind_networks: bool) -> Self {
        let end = place(text.len());
        Stop {
            start: end,
            end,
            domain: (end, end),
            kind: Kind::End,
            qualifier: Qualifier::Pass,
            is_plain: false,
            is_behind_networks,
        }
    }

    /// One that stands in front of `behind` in `rest`, both the ends of `text`, with the octets of its domain at its end.
    #[inline(always)]
    pub(super) fn new(text: &[u8], rest: &[u8], behind: &[u8], kind: Kind, domain: usize) -> Self {
        let [start, end] = [text.len() - rest.len(), text.len() - behind.len()];
        Stop {
            start: place(start),
            end: place(end),
            domain: (place(end - domain), place(end)),
            kind,
            qualifier: Qualifier::of(rest.first().copied().unwrap_or_default()),
            is_plain: domain > 0,
            is_behind_networks: false,
        }
    }

    /// Where its domain is.
    pub(super) fn domain(&self) -> Range<usize> {
        self.domain.0.into()..self.domain.1.into()
    }
}

/// An octet of a record, which has at most 65535.
pub(super) const fn place(at: usize) -> u16 {
    at as u16
}

/// The stops of a record one after another. The first ones were found when the record was checked, and are not looked for again.
#[derive(Clone, Debug)]
pub(super) struct Stops {
    noted: [Stop; NOTED],
    count: u8,
    /// The one that is looked at; behind those that were noted, the last place holds it.
    at: u8,
}

const NOTED: usize = 4;

impl Stops {
    pub(super) const NONE: Stops = Stops { noted: [Stop::end(b"", false); NOTED], count: 0, at: 0 };

    /// Adds one, if there is room.
    #[inline(always)]
    pub(super) fn note(&mut self, stop: Stop) {
        if let Some(place) = self.noted.get_mut(usize::from(self.count)) {
            *place = stop;
            self.count += 1;
        }
    }

    pub(super) const fn is_full(&self) -> bool {
        self.count as usize == NOTED
    }

    /// The stop that is looked at.
    #[inline(always)]
    pub(super) const fn current(&self) -> &Stop {
        &self.noted[self.at as usize % NOTED]
    }

    /// Goes to the next one in a record that was checked, and says where the one before ended.
    #[inline(always)]
    pub(super) fn go_on(&mut self, text: &[u8], client: ClientIp) -> u16 {
        let end = self.current().end;
        if self.at + 1 < self.count {
            self.at += 1;
        } else {
            self.noted[usize::from(self.at) % NOTED] = scan::next(text, end.into(), client);
        }
        end
    }

    /// Where what comes before the first one begins.
    pub(super) const START: u16 = VERSION_END;
}
