//! What was wrong with a report that could be read all the same.

use alloc::vec::Vec;
use core::fmt;

/// Something in a report that was not as it has to be, and was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Fault {
    /// The name of the element or field.
    pub place: &'static str,
    /// What was wrong there.
    pub kind: FaultKind,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// It is not there, and has to be.
    #[error("is missing")]
    Missing,
    /// It cannot be understood: another word, no number, no address.
    #[error("cannot be understood")]
    Unreadable,
    /// It is there more than once; the first one counts.
    #[error("is there more than once")]
    Repeated,
    /// It is longer than the limit, and was cut.
    #[error("is too long and was cut")]
    TooLong,
    /// There are more than the limit, and the rest was left out.
    #[error("is there too often, and the rest was left out")]
    TooMany,
    /// An end without a beginning, or a beginning without an end.
    #[error("is not balanced")]
    Unbalanced,
    /// A reference to an entity that XML does not define. It is never looked up, and stands for nothing.
    #[error("refers to an entity")]
    Entity,
    /// Octets that are not UTF-8; they were replaced.
    #[error("is not UTF-8")]
    NotUtf8,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.kind)
    }
}

/// The faults of a report: each once, and no more than are of use to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
}

/// There are only so many places and kinds; this bounds the search for one that is there already.
const FAULTS_MAX: usize = 64;

impl Faults {
    /// Each fault, in the order in which they were met.
    pub fn iter(&self) -> impl Iterator<Item = Fault> {
        self.list.iter().copied()
    }

    /// Whether the report was as it has to be, as far as its reader looks.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn note(&mut self, place: &'static str, kind: FaultKind) {
        let fault = Fault { place, kind };
        if self.list.len() < FAULTS_MAX && !self.list.contains(&fault) {
            self.list.push(fault);
        }
    }
}
