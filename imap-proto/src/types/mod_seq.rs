//! Mod-sequences (RFC 7162).

use core::fmt;
use core::num::NonZeroU64;

/// A mod-sequence: the number of a change in its mailbox (RFC 7162 §3.1). Never 0, at most 63 bits.
///
/// ```
/// use pillarbox_imap::types::ModSeq;
///
/// let one = ModSeq::new(1).unwrap();
/// assert!(one < one.next().unwrap());
/// assert_eq!(ModSeq::new(0), None);
/// assert_eq!(ModSeq::new(1 << 63), None);
/// assert_eq!(ModSeq::MAX.next(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(NonZeroU64);

impl ModSeq {
    /// The smallest: 1.
    pub const MIN: Self = Self(NonZeroU64::MIN);
    /// The largest: 9,223,372,036,854,775,807.
    pub const MAX: Self = Self(NonZeroU64::new(i64::MAX as u64).unwrap());

    /// The number, or `None` for 0 and for what takes more than 63 bits.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) if number.get() <= i64::MAX as u64 => Some(Self(number)),
            _ => None,
        }
    }

    /// The plain number, never 0.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// The number after this one; `None` after the largest.
    pub const fn next(self) -> Option<Self> {
        // No overflow: the largest has 63 bits.
        Self::new(self.get() + 1)
    }

    /// The number before this one; `None` before the smallest.
    pub const fn before(self) -> Option<Self> {
        Self::new(self.get() - 1)
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
