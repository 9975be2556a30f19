//! Names of the DNS.

use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};
use core::net::IpAddr;
use core::str::FromStr;

use super::name_text::NameText;

/// A complete domain name that can be asked for: labels of 1 to 63 octets, 255 octets in all on the wire
/// (RFC 1035 §2.3.4).
///
/// It is kept in small letters and without the dot at the end, so that names that differ in case alone are equal
/// (RFC 4343). Letters, digits and the printable octets that mail puts into names (as `_dmarc`, or a whole address in an SPF
/// macro) are allowed; controls, spaces, quotes, backslashes, brackets, commas, semicolons and everything beyond ASCII are
/// refused before a resolver sees them, as resolvers disagree about them. Most names are short enough to stand in the value
/// itself; a clone of a longer one shares its text.
///
/// ```
/// use pillarbox_core::dns::Name;
///
/// let name = "MX.Example.org.".parse::<Name>()?;
/// assert_eq!(name.to_string(), "mx.example.org");
/// assert!(name.is_within(&"example.ORG".parse()?));
/// assert_eq!(Name::reverse([192, 0, 2, 1].into()).as_str(), "1.2.0.192.in-addr.arpa");
/// assert!("a b.example".parse::<Name>().is_err());
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(
    /// Nothing is the root: no other name is empty.
    NameText,
);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing at all; the root is written as one dot.
    #[error("the name is empty")]
    Empty,
    /// Two dots with nothing between, or a dot at the start.
    #[error("a label is empty")]
    EmptyLabel,
    /// A label of more than 63 octets.
    #[error("a label is longer than 63 octets")]
    LabelTooLong,
    /// More than 255 octets on the wire.
    #[error("the name is longer than 255 octets")]
    TooLong,
    /// An octet that cannot stand in a name.
    #[error("a forbidden octet")]
    ForbiddenOctet,
}

/// RFC 1035 §2.3.4: 255 octets on the wire are 253 of text, as the first length and the root have no dot.
const TEXT_MAX: usize = 253;
/// RFC 1035 §2.3.4
const LABEL_MAX: usize = 63;

impl Name {
    /// Parses a name; one dot at the end is allowed, and the root is one dot alone.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Name::from_octets(text.as_bytes())
    }

    /// The same of octets that may be no text at all.
    ///
    /// # Errors
    ///
    /// [`NameError`] says what is wrong.
    pub fn from_octets(text: &[u8]) -> Result<Self, NameError> {
        let text = match text {
            [] => return Err(NameError::Empty),
            b"." => return Ok(Name::root()),
            [text @ .., b'.'] => text,
            text => text,
        };
        if text.len() > TEXT_MAX {
            return Err(NameError::TooLong);
        }
        if Name::plain_len(text) == Some(text.len()) {
            return Ok(Name(NameText::new(text)));
        }
        check(text)?;
        Ok(Name(NameText::new(&text.to_ascii_lowercase())))
    }

    /// The length of a name at the front of a text that goes on behind it, if it is written as nearly all are: in small letters,
    /// digits, hyphens, underscores and single dots between them, 63 octets at most. `None` says nothing about others.
    ///
    /// ```
    /// use pillarbox_core::dns::Name;
    ///
    /// let text = b"_spf.example.net ~all";
    /// let len = Name::plain_len(text).unwrap();
    /// assert_eq!(Name::from_plain(&text[..len]), Name::parse("_spf.example.net")?);
    /// assert_eq!(Name::plain_len(b"a..example"), None);
    /// # Ok::<(), pillarbox_core::dns::NameError>(())
    /// ```
    #[inline]
    pub fn plain_len(text: &[u8]) -> Option<usize> {
        plain(text).map(|plain| plain.len)
    }

    /// The same for a name of two labels or more.
    ///
    /// ```
    /// use pillarbox_core::dns::Name;
    ///
    /// assert_eq!(Name::plain_domain_len(b"example.org "), Some(11));
    /// assert_eq!(Name::plain_domain_len(b"localhost "), None);
    /// ```
    #[inline]
    pub fn plain_domain_len(text: &[u8]) -> Option<usize> {
        plain(text).filter(|plain| plain.has_dots).map(|plain| plain.len)
    }

    /// For octets that [`plain_len`](Name::plain_len) has found to be a name. Of others it may panic, at once or
    /// where its text is needed, or make something that is no name.
    #[inline]
    pub fn from_plain(octets: &[u8]) -> Self {
        Name(NameText::new(octets))
    }

    /// Makes it what [`from_plain`](Name::from_plain) makes of the octets, where it stays: to move what was just written is slow.
    ///
    /// ```
    /// use pillarbox_core::dns::Name;
    ///
    /// let mut name = Name::root();
    /// name.set_plain(b"_spf.example.net");
    /// assert_eq!(name, Name::parse("_spf.example.net")?);
    /// # Ok::<(), pillarbox_core::dns::NameError>(())
    /// ```
    #[inline(always)]
    pub fn set_plain(&mut self, octets: &[u8]) {
        self.0.set(octets);
    }

    /// The root, which RFC 7505 uses for "no mail here".
    pub const fn root() -> Self {
        Name(NameText::EMPTY)
    }

    /// The name that PTR records of an address have (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn reverse(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                Name(NameText::new(format!("{d}.{c}.{b}.{a}.in-addr.arpa").as_bytes()))
            }
            IpAddr::V6(ip) => {
                let mut name = String::with_capacity(72);
                for octet in ip.octets().iter().rev() {
                    // Writing to a String cannot fail.
                    let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
                }
                name.push_str("ip6.arpa");
                Name(NameText::new(name.as_bytes()))
            }
        }
    }

    /// This name below a label or several, as in `_dmarc`.
    ///
    /// # Errors
    ///
    /// [`NameError`] if that is no name.
    pub fn with_prefix(&self, labels: &str) -> Result<Self, NameError> {
        if self.is_root() { Name::parse(labels) } else { Name::parse(&format!("{labels}.{self}")) }
    }

    /// The text in small letters, without a dot at the end; empty for the root. It may take time in proportion to its length.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The octets of that text, all of them ASCII, at no cost.
    pub fn as_octets(&self) -> &[u8] {
        self.0.octets()
    }

    /// The labels, the leftmost first; none for the root.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.as_str().split('.').filter(|label| !label.is_empty())
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        if self.is_root() {
            return None;
        }
        let octets = self.as_octets();
        Some(memchr::memchr(b'.', octets).map_or(Name::root(), |dot| Name(NameText::new(&octets[dot + 1..]))))
    }

    /// The name of its last `labels` labels; itself if it has no more.
    ///
    /// ```
    /// use pillarbox_core::dns::Name;
    ///
    /// let name = "a.mail.example.com".parse::<Name>()?;
    /// assert_eq!(name.suffix(2).as_str(), "example.com");
    /// assert_eq!(name.suffix(9), name);
    /// # Ok::<(), pillarbox_core::dns::NameError>(())
    /// ```
    #[must_use]
    pub fn suffix(&self, labels: usize) -> Name {
        let octets = self.as_octets();
        match labels.checked_sub(1).map(|before| memchr::memrchr_iter(b'.', octets).nth(before)) {
            None => Name::root(),
            Some(None) => self.clone(),
            Some(Some(dot)) => Name(NameText::new(&octets[dot + 1..])),
        }
    }

    /// Whether it is `other` or below it, label by label: `evilexample.com` is not within `example.com`.
    pub fn is_within(&self, other: &Name) -> bool {
        match self.as_octets().strip_suffix(other.as_octets()) {
            Some(rest) => other.is_root() || matches!(rest, [] | [.., b'.']),
            None => false,
        }
    }

    /// Whether it is the root.
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

/// A name at the front of a text.
#[derive(Clone, Copy)]
struct Plain {
    len: usize,
    has_dots: bool,
}

/// How many octets at the front of a text make a name as nearly all are written: of small letters, digits, hyphens, underscores
/// and dots, with no label that is empty, and no longer than a label may be. Eight octets are looked at in one word, as names are
/// read by the thousand.
fn plain(text: &[u8]) -> Option<Plain> {
    // No dot may stand at the start or behind another.
    let (mut dot_before, mut empty_labels, mut all_dots) = (0x80, 0, 0);
    let mut at = 0;
    while at <= LABEL_MAX {
        let (plain, dots) = plain_octets(word_at(text, at)?);
        let behind_dots = dots << 8 | dot_before;
        if plain == HIGH {
            empty_labels |= dots & behind_dots;
            dot_before = dots >> 56;
            all_dots |= dots;
            at += 8;
            continue;
        }
        let end = (plain ^ HIGH) & (plain ^ HIGH).wrapping_neg();
        // The octet behind the name counts as a dot.
        empty_labels |= (dots & (end - 1) | end) & behind_dots;
        let len = at + end.trailing_zeros() as usize / 8;
        all_dots |= dots & (end - 1);
        return (empty_labels == 0 && len <= LABEL_MAX).then_some(Plain { len, has_dots: all_dots != 0 });
    }
    None
}

/// The eight octets from a place on, with zeros behind the end of the text. The last ones are read as the end of a whole word:
/// what is copied octet by octet cannot be read at once as a word. `None` if the place is behind the end.
#[inline(always)]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let rest = text.get(at..)?;
    if let Some(octets) = rest.first_chunk() {
        return Some(u64::from_le_bytes(*octets));
    }
    let missing = 8 * (8 - rest.len()) as u32;
    match text.last_chunk() {
        Some(octets) => Some(u64::from_le_bytes(*octets).checked_shr(missing).unwrap_or(0)),
        None => Some(rest.iter().rev().fold(0, |word, octet| word << 8 | u64::from(*octet))),
    }
}

/// The high bits of those octets that may stand in a plain name, and of the dots.
#[inline(always)]
const fn plain_octets(word: u64) -> (u64, u64) {
    let [dot, behind_dot] = [at_least(word, b'.'), at_least(word, b'.' + 1)];
    // Each octet is in as many of these as there are bounds below it: an odd number within each of the ranges.
    let hyphen_and_dot = at_least(word, b'-') ^ behind_dot;
    let digits = at_least(word, b'0') ^ at_least(word, b'9' + 1);
    let underscore = at_least(word, b'_') ^ at_least(word, b'_' + 1);
    let letters = at_least(word, b'a') ^ at_least(word, b'z' + 1);
    ((hyphen_and_dot ^ digits ^ underscore ^ letters) & !word & HIGH, (dot ^ behind_dot) & HIGH)
}

/// The high bits of those octets that are at least `least`; of octets beyond ASCII, and of those behind, something or other.
#[inline(always)]
const fn at_least(word: u64, least: u8) -> u64 {
    word.wrapping_add(u64::from_le_bytes([0x80 - least; 8]))
}

const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// What is wrong with a text, if anything is.
fn check(text: &[u8]) -> Result<(), NameError> {
    let mut label = 0;
    for octet in text {
        match *octet {
            b'.' if label == 0 => return Err(NameError::EmptyLabel),
            b'.' => label = 0,
            _ if label == LABEL_MAX => return Err(NameError::LabelTooLong),
            octet if is_allowed(octet) => label += 1,
            _ => return Err(NameError::ForbiddenOctet),
        }
    }
    if label == 0 { Err(NameError::EmptyLabel) } else { Ok(()) }
}

const fn is_allowed(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\' | b'(' | b')' | b'<' | b'>' | b'[' | b']' | b',' | b';')
}

impl fmt::Display for Name {
    /// Without a dot at the end; the root as one dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { self.as_str() })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Name").field(&self.as_str()).finish()
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Name::parse(text)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Name::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn lengths_at_their_limits() {
        let label = "a".repeat(63);
        assert!(Name::parse(&label).is_ok());
        assert_eq!(Name::parse(&format!("{label}a")), Err(NameError::LabelTooLong));
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(longest.len(), 253);
        assert!(Name::parse(&longest).is_ok());
        assert!(Name::parse(&format!("{longest}.")).is_ok());
        assert_eq!(Name::parse(&format!("{longest}b")), Err(NameError::TooLong));
    }

    #[test]
    fn plain_names_are_names() {
        let octets =
            [0, b' ', b',', b'-', b'.', b'/', b'0', b'9', b':', b'A', b'Z', b'^', b'_', b'`', b'a', b'z', b'{', 0x80];
        for len in 1..=4_u32 {
            for number in 0..octets.len().pow(len) {
                let digits = (0..len).map(|place| number / octets.len().pow(place) % octets.len());
                let text = digits.map(|digit| octets[digit]).collect::<alloc::vec::Vec<_>>();
                if Name::plain_len(&text) == Some(text.len()) {
                    assert!(check(&text).is_ok() && !text.iter().any(u8::is_ascii_uppercase), "{text:?}");
                }
            }
        }
        assert_eq!(Name::plain_len(b"_spf.mx-1.example.org"), Some(21));
        for (text, len) in
            [("a", None), ("a.b", Some(3)), ("a ..", None), ("abcdefgh.i", Some(10)), ("abcdefghi", None)]
        {
            assert_eq!(Name::plain_domain_len(text.as_bytes()), len, "{text}");
        }
        for at in 0..30 {
            for (wrong, has_name) in [("..", false), (",", false), ("\u{e9}", false), ("A", true)] {
                let text = "a".repeat(at) + wrong + &"a".repeat(30 - at);
                assert_ne!(Name::plain_len(text.as_bytes()), Some(text.len()), "{text}");
                assert_eq!(Name::parse(&text).is_ok(), has_name, "{text}");
            }
        }
    }

    #[test]
    fn short_and_long_names_are_alike() {
        for len in 1..70 {
            let text = "a".repeat(len.min(40)) + &".b".repeat(len / 2);
            let name = Name::parse(&text).unwrap();
            assert_eq!((name.as_str(), name.as_octets()), (&*text, text.as_bytes()));
            assert_eq!(Name::parse(&text.to_ascii_uppercase()), Ok(name.clone()));
            assert_eq!(Name::from_octets(format!("{text}.").as_bytes()), Ok(name.clone()));
            for before in ["a.example", "a-long-name-of-a-host.example.org"] {
                let mut set = Name::parse(before).unwrap();
                set.set_plain(text.as_bytes());
                assert_eq!(set, name);
            }
            let other = Name::parse(&format!("{text}b")).unwrap();
            assert!(name < other && name != other);
            assert_eq!(name.with_prefix("x").unwrap().parent(), Some(name));
        }
    }

    #[test]
    fn what_no_resolver_shall_see() {
        // Composition Kills A3, A4: parts that read such names differently were played against each other.
        for text in ["a\0b", "a b", "a(b", "a\"b", "a\\b", "é.example", "a\r\nb", "a,b", "\u{7f}"] {
            assert_eq!(Name::parse(text), Err(NameError::ForbiddenOctet), "{text:?}");
        }
        for text in [".a", "a..b", "..", "a.."] {
            assert_eq!(Name::parse(text), Err(NameError::EmptyLabel), "{text:?}");
        }
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        // RFC 7208 §7.1: a name may be made of any visible character, and `exists:%{s}.example` holds an address.
        for text in ["a@b.example", "foo:bar/baz.example"] {
            assert!(Name::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn suffixes_count_by_labels() {
        let name = |text: &str| Name::parse(text).unwrap();
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(!name("evilexample.com").is_within(&name("example.com")));
        assert!(!name("com").is_within(&name("example.com")));
        assert!(name("com").is_within(&Name::root()));
        assert_eq!(name("a.b").parent(), Some(name("b")));
        assert_eq!(name("b").parent(), Some(Name::root()));
        assert_eq!(Name::root().parent(), None);
        assert_eq!(Name::root().to_string(), ".");
        assert_eq!(Name::root().labels().count(), 0);
        assert_eq!(name("a.b").suffix(0), Name::root());
        assert_eq!(name("a.b").suffix(1), name("b"));
        assert_eq!(Name::root().suffix(1), Name::root());
        assert_eq!(name("b").with_prefix("_dmarc"), Ok(name("_dmarc.b")));
    }

    #[test]
    fn reverse_names() {
        let name = Name::reverse("2001:db8::567:89ab".parse().unwrap());
        let expected = "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(name.as_str(), expected);
        assert_eq!(Name::parse(expected), Ok(name));
    }
}
