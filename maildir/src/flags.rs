//! Flags as they stand in file names.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of flags: the six letters that every Maildir has, and up to 26 keywords whose letters mean what the mailbox's
/// [`Keywords`](crate::Keywords) say.
///
/// ```
/// use pillarbox_maildir::Flags;
///
/// let flags = Flags::SEEN | Flags::ANSWERED | Flags::keyword(1).unwrap();
/// assert_eq!(flags.to_string(), "RSb");
/// assert!(flags.contains(Flags::SEEN));
/// assert_eq!(flags.without(Flags::SEEN).keywords().collect::<Vec<_>>(), [1]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u32);

/// What to do with the flags named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagChange {
    /// The message has these and no others afterwards.
    Replace,
    /// The message has these too afterwards.
    Add,
    /// The message has none of these afterwards.
    Remove,
}

/// In the order of their letters, which is the order in file names.
const LETTERS: [u8; 6] = *b"DFPRST";
const FIRST_KEYWORD: u32 = 6;

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// `\Draft`, letter D.
    pub const DRAFT: Flags = Flags(1);
    /// `\Flagged`, letter F.
    pub const FLAGGED: Flags = Flags(1 << 1);
    /// Passed on, letter P: what other programs write for the keyword `$Forwarded`. Dovecot neither reads nor writes it,
    /// and keeps `$Forwarded` as a keyword.
    pub const PASSED: Flags = Flags(1 << 2);
    /// `\Answered`, letter R.
    pub const ANSWERED: Flags = Flags(1 << 3);
    /// `\Seen`, letter S.
    pub const SEEN: Flags = Flags(1 << 4);
    /// `\Deleted`, letter T.
    pub const DELETED: Flags = Flags(1 << 5);

    /// The keyword with this number, 0 to 25, letters a to z.
    pub const fn keyword(number: u8) -> Option<Flags> {
        if number < 26 { Some(Flags(1 << (number as u32 + FIRST_KEYWORD))) } else { None }
    }

    /// True if nothing is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if all of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those not in `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// The numbers of the keywords that are set, rising.
    pub fn keywords(self) -> impl Iterator<Item = u8> {
        (0..26).filter(move |n| self.0 >> (u32::from(*n) + FIRST_KEYWORD) & 1 == 1)
    }

    /// Without the keywords.
    pub const fn system(self) -> Flags {
        Flags(self.0 & ((1 << FIRST_KEYWORD) - 1))
    }

    /// As they are kept in files of our own.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Flags {
        Flags(bits)
    }

    pub(crate) fn changed(self, how: FlagChange, by: Flags) -> Flags {
        match how {
            FlagChange::Replace => by,
            FlagChange::Add => self | by,
            FlagChange::Remove => self.without(by),
        }
    }

    #[inline]
    pub(crate) fn of_letter(letter: u8) -> Option<Flags> {
        match letter {
            b'a'..=b'z' => Flags::keyword(letter - b'a'),
            _ => LETTERS.iter().position(|l| *l == letter).map(|n| Flags(1 << n)),
        }
    }

    pub(crate) fn letters(self) -> impl Iterator<Item = u8> {
        let system = LETTERS.iter().enumerate().filter(move |(n, _)| self.0 >> n & 1 == 1).map(|(_, letter)| *letter);
        system.chain(self.keywords().map(|n| b'a' + n))
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        *self = *self | other;
    }
}

/// The letters, as in a file name.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letters().try_for_each(|letter| write!(f, "{}", char::from(letter)))
    }
}
