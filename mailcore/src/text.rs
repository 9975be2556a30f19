//! Text that was checked as octets.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

/// A text out of a command, borrowed from its line or owned.
///
/// It holds octets that are known to be UTF-8, and makes a `str` of them when one is asked for. Making it earlier would cost
/// more than all that a parser looks at, and most of what a session hears is only compared, copied or counted.
///
/// ```
/// use pillarbox_core::Text;
///
/// let name = Text::ascii(b"client.example").expect("it is ASCII");
/// assert_eq!(name, "client.example");
/// assert_eq!(name.len(), 14);
/// assert_eq!(Text::ascii(b"\xff"), None);
/// assert_eq!(Text::from("zo\u{eb}").into_owned().as_str(), "zo\u{eb}");
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(Cow<'a, [u8]>);

impl<'a> Text<'a> {
    /// A text of ASCII; `None` if it holds anything else.
    #[inline]
    pub const fn ascii(octets: &'a [u8]) -> Option<Self> {
        if octets.is_ascii() { Some(Text(Cow::Borrowed(octets))) } else { None }
    }

    /// For octets that a parser has found to be UTF-8. With others, [`as_str`](Text::as_str) and what needs it panic.
    #[inline]
    pub const fn from_checked(octets: &'a [u8]) -> Self {
        Text(Cow::Borrowed(octets))
    }

    /// The same for octets of its own.
    #[inline]
    pub const fn from_checked_vec(octets: Vec<u8>) -> Self {
        Text(Cow::Owned(octets))
    }

    /// The text. It takes time in proportion to its length: keep what you need more than once.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("a text is made of nothing but UTF-8")
    }

    /// The octets of the text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }

    /// The text as a `String`.
    pub fn into_string(self) -> String {
        String::from_utf8(self.0.into_owned()).expect("a text is made of nothing but UTF-8")
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text.as_bytes()))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text.into_bytes()))
    }
}
