//! Names of the DNS.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write};
use core::net::IpAddr;
use core::str::FromStr;

/// A complete domain name that can be asked for: labels of 1 to 63 octets, 255 octets in all on the wire
/// (RFC 1035 §2.3.4).
///
/// It is kept in small letters and without the dot at the end, so that names that differ in case alone are equal
/// (RFC 4343). Letters, digits and the printable octets that mail puts into names (as `_dmarc`, or a whole address in an SPF
/// macro) are allowed; controls, spaces, quotes, backslashes, brackets, commas, semicolons and everything beyond ASCII are
/// refused before a resolver sees them, as resolvers disagree about them. A clone shares the text.
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(
    /// Nothing is the root: a constant, and no name is empty.
    Option<Arc<str>>,
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
        if text == "." {
            return Ok(Name::root());
        }
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > TEXT_MAX {
            return Err(NameError::TooLong);
        }
        match look_over(text.as_bytes()) {
            // Within the length of a label none can be too long.
            Classes { wrong: false, upper, .. } if text.len() <= LABEL_MAX => Ok(Name::shared(text, upper)),
            Classes { upper, .. } => check(text.as_bytes()).map(|()| Name::shared(text, upper)),
        }
    }

    /// A text that was checked.
    fn shared(text: &str, has_upper: bool) -> Self {
        Name(Some(if has_upper { text.to_ascii_lowercase().into() } else { text.into() }))
    }

    /// The root, which RFC 7505 uses for "no mail here".
    pub const fn root() -> Self {
        Name(None)
    }

    /// The name that PTR records of an address have (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn reverse(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                Name(Some(format!("{d}.{c}.{b}.{a}.in-addr.arpa").into()))
            }
            IpAddr::V6(ip) => {
                let mut name = String::with_capacity(72);
                for octet in ip.octets().iter().rev() {
                    // Writing to a String cannot fail.
                    let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
                }
                name.push_str("ip6.arpa");
                Name(Some(name.into()))
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

    /// The text in small letters, without a dot at the end; empty for the root.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
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
        Some(self.as_str().split_once('.').map_or(Name::root(), |(_, parent)| Name(Some(parent.into()))))
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
        match labels.checked_sub(1).map(|before| self.as_str().rmatch_indices('.').nth(before)) {
            None => Name::root(),
            Some(None) => self.clone(),
            Some(Some((dot, _))) => Name(Some(self.as_str()[dot + 1..].into())),
        }
    }

    /// Whether it is `other` or below it, label by label: `evilexample.com` is not within `example.com`.
    pub fn is_within(&self, other: &Name) -> bool {
        match self.as_str().strip_suffix(other.as_str()) {
            Some(rest) => other.is_root() || rest.is_empty() || rest.ends_with('.'),
            None => false,
        }
    }

    /// Whether it is the root.
    pub const fn is_root(&self) -> bool {
        self.0.is_none()
    }
}

/// What is in a text, found without a branch for each octet: names are read by the thousand.
struct Classes {
    /// A forbidden octet, or an empty label.
    wrong: bool,
    upper: bool,
}

fn look_over(text: &[u8]) -> Classes {
    // What stands before the first label, and behind the last, ends one.
    let (mut seen, mut twice, mut before) = (0, 0, DOT);
    let mut look = |octet: u8| {
        let class = CLASSES[usize::from(octet)];
        seen |= class;
        twice |= class & before;
        before = class;
    };
    let (fours, others) = text.as_chunks::<4>();
    for four in fours {
        four.iter().copied().for_each(&mut look);
    }
    others.iter().copied().for_each(look);
    twice |= before;
    Classes { wrong: seen & FORBIDDEN != 0 || twice & DOT != 0, upper: seen & UPPER != 0 }
}

const UPPER: u8 = 1;
const DOT: u8 = 2;
const FORBIDDEN: u8 = 4;

static CLASSES: [u8; 256] = {
    let mut classes = [FORBIDDEN; 256];
    let mut octet = 0;
    while octet < 128 {
        classes[octet as usize] = match octet {
            b'.' => DOT,
            b'A'..=b'Z' => UPPER,
            octet if is_allowed(octet) => 0,
            _ => FORBIDDEN,
        };
        octet += 1;
    }
    classes
};

/// The same one octet after another: what is wrong, and where labels may be too long.
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
        f.write_str(self.0.as_deref().unwrap_or("."))
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
