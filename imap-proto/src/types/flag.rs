//! Flags of messages (RFC 9051 §2.3.2).

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::octet::{ATOM, capitals, word, words};

/// A flag: one of the system's, or a keyword.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent` (RFC 3501 §2.3.2): told by the server, never set by a client.
    Recent,
    /// A keyword, such as `$Forwarded`.
    Keyword(Keyword),
}

const SYSTEM: [Flag; 6] = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft, Flag::Recent];

impl Flag {
    /// Parses a flag as it is written, in any case; `None` for an unknown system flag and for what is no atom or too
    /// long for a [`Keyword`].
    ///
    /// ```
    /// use pillarbox_imap::types::Flag;
    ///
    /// assert_eq!(Flag::parse("\\seen"), Some(Flag::Seen));
    /// assert_eq!(Flag::parse("$Junk").unwrap().to_string(), "$Junk");
    /// assert_eq!(Flag::parse("\\Unheard"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('\\') {
            // NUL behind a name is not in its number.
            Some(name) => Flag::system(capitals(name.as_bytes())).filter(|flag| flag.as_str().len() == text.len()),
            None => Keyword::new(text).map(Flag::Keyword),
        }
    }

    /// The system's flag of this name, which is without its backslash.
    #[inline]
    fn system(name: u128) -> Option<Self> {
        words! {
            ANSWERED, DELETED, DRAFT, FLAGGED, RECENT, SEEN,
        }
        Some(match name {
            ANSWERED => Flag::Answered,
            DELETED => Flag::Deleted,
            DRAFT => Flag::Draft,
            FLAGGED => Flag::Flagged,
            RECENT => Flag::Recent,
            SEEN => Flag::Seen,
            _ => return None,
        })
    }

    /// The flag as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Seen => "\\Seen",
            Flag::Draft => "\\Draft",
            Flag::Recent => "\\Recent",
            Flag::Keyword(keyword) => keyword.as_str(),
        }
    }

    fn bit(&self) -> Option<u8> {
        Some(match self {
            Flag::Answered => 1,
            Flag::Flagged => 2,
            Flag::Deleted => 4,
            Flag::Seen => 8,
            Flag::Draft => 16,
            Flag::Recent => 32,
            Flag::Keyword(_) => return None,
        })
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A keyword: an atom of at most 50 octets. Keeps its spelling and compares without case (RFC 5788 §2).
#[derive(Clone, Debug)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// The most octets of a keyword: every message may carry it, and it is told again and again.
    pub const LEN_MAX: usize = 50;

    /// The keyword, or `None` if it is empty, too long or no atom (RFC 9051 §9, `flag-keyword`).
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(|octet| ATOM.holds(octet));
        fits.then(|| Keyword(text.into()))
    }

    /// The keyword as it was first spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|b| state.write_u8(b));
        state.write_u8(0xFF);
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of flags. Prints as IMAP lists them.
///
/// ```
/// use pillarbox_imap::types::{Flag, Flags};
///
/// let mut flags: Flags = [Flag::Seen, Flag::parse("$Forwarded").unwrap()].into_iter().collect();
/// assert_eq!(flags.to_string(), "(\\Seen $Forwarded)");
/// assert!(flags.remove(&Flag::Seen) && !flags.contains(&Flag::Seen));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    system: u8,
    /// Sorted, each once.
    keywords: Vec<Keyword>,
}

impl Flags {
    /// No flags.
    pub const fn new() -> Self {
        Flags { system: 0, keywords: Vec::new() }
    }

    /// Adds a flag; false if it was there.
    pub fn insert(&mut self, flag: Flag) -> bool {
        match (flag.bit(), flag) {
            (Some(bit), _) => {
                let new = self.system & bit == 0;
                self.system |= bit;
                new
            }
            (None, Flag::Keyword(keyword)) => match self.keywords.binary_search(&keyword) {
                Ok(_) => false,
                Err(at) => {
                    self.keywords.insert(at, keyword);
                    true
                }
            },
            (None, _) => false,
        }
    }

    /// Adds the `flag` at the front of what a client wrote, of which it may set every one but `\Recent`, and gives what is behind
    /// it; none if there is no such flag.
    #[inline]
    pub(crate) fn insert_written<'b>(&mut self, text: &'b [u8]) -> Option<&'b [u8]> {
        if let Some(name) = text.strip_prefix(b"\\") {
            let (name, rest) = word(name);
            let goes_on = rest.first().is_some_and(|octet| ATOM.holds(*octet));
            let flag = Flag::system(name).filter(|flag| *flag != Flag::Recent && !goes_on)?;
            self.system |= flag.bit()?;
            return Some(rest);
        }
        let (name, rest) = ATOM.split(text);
        let keyword = core::str::from_utf8(name).ok().and_then(Keyword::new)?;
        match self.keywords.is_empty() {
            // Most often it stays the only one.
            true => self.keywords = alloc::vec![keyword],
            false => {
                self.insert(Flag::Keyword(keyword));
            }
        }
        Some(rest)
    }

    /// Takes a flag away; false if it was not there.
    pub fn remove(&mut self, flag: &Flag) -> bool {
        match (flag.bit(), flag) {
            (Some(bit), _) => {
                let there = self.system & bit != 0;
                self.system &= !bit;
                there
            }
            (None, Flag::Keyword(keyword)) => match self.keywords.binary_search(keyword) {
                Ok(at) => {
                    self.keywords.remove(at);
                    true
                }
                Err(_) => false,
            },
            (None, _) => false,
        }
    }

    /// Whether the flag is there.
    pub fn contains(&self, flag: &Flag) -> bool {
        match (flag.bit(), flag) {
            (Some(bit), _) => self.system & bit != 0,
            (None, Flag::Keyword(keyword)) => self.keywords.binary_search(keyword).is_ok(),
            (None, _) => false,
        }
    }

    /// How many flags there are.
    pub fn len(&self) -> usize {
        self.system.count_ones() as usize + self.keywords.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The flags: the system's first, then the keywords in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = Flag> + '_ {
        let system = SYSTEM.into_iter().filter(|flag| self.contains(flag));
        system.chain(self.keywords.iter().cloned().map(Flag::Keyword))
    }

    /// The keywords in alphabetical order.
    pub fn keywords(&self) -> &[Keyword] {
        &self.keywords
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut set = Flags::new();
        set.extend(flags);
        set
    }
}

impl Extend<Flag> for Flags {
    fn extend<I: IntoIterator<Item = Flag>>(&mut self, flags: I) {
        for flag in flags {
            self.insert(flag);
        }
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::from("(");
        for flag in self.iter() {
            if text.len() > 1 {
                text.push(' ');
            }
            text.push_str(flag.as_str());
        }
        text.push(')');
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn keywords_are_atoms_of_fifty_octets_at_most() {
        assert!(Keyword::new(&"k".repeat(50)).is_some());
        for wrong in ["", "a b", "a)", "a]", "é", "a\r", "a*", "\\x", &"k".repeat(51)] {
            assert!(Keyword::new(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_stands_behind_a_system_flag() {
        for wrong in ["\\Seen\0", "\\Seen.", "\\Seen]", "\\", "\\Seenseenseenseenseenseen"] {
            assert_eq!(Flag::parse(wrong), None, "{wrong:?}");
            let mut flags = Flags::new();
            assert!(flags.insert_written(wrong.as_bytes()).is_none_or(|rest| !rest.is_empty()), "{wrong:?}");
        }
        let mut flags = Flags::new();
        assert_eq!(flags.insert_written(b"\\seen)"), Some(&b")"[..]));
        assert_eq!(flags.insert_written(b"$Junk \\Draft"), Some(&b" \\Draft"[..]));
        assert_eq!(flags.insert_written(b"\\Recent"), None);
        assert_eq!(flags.to_string(), "(\\Seen $Junk)");
    }

    #[test]
    fn keywords_differ_by_more_than_case() {
        let mut flags = Flags::new();
        assert!(flags.insert(Flag::parse("$junk").unwrap()));
        assert!(!flags.insert(Flag::parse("$JUNK").unwrap()));
        assert!(flags.insert(Flag::parse("Apple").unwrap()));
        assert!(flags.insert(Flag::Draft));
        assert_eq!(flags.to_string(), "(\\Draft $junk Apple)");
        assert_eq!(flags.len(), 3);
        assert!(flags.remove(&Flag::parse("$Junk").unwrap()) && flags.remove(&Flag::Draft));
        assert_eq!(flags.to_string(), "(Apple)");
    }
}
