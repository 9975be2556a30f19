//! Names of mailboxes (RFC 9051 §5.1), checked once, where they enter.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use pillarbox_core::mutf7;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The name of a mailbox: UTF-8, its levels parted by `/` whatever separator the client sees, INBOX in capitals.
///
/// Such a name is safe to make a path of, level by level: none is empty, `.`, `..` or longer than 255 octets, none
/// begins with `~`, and no control character or `/` is in it. Nor are two names told apart by what nobody sees: names are in
/// normal form C (RFC 5198 §3), and hold no zero-width characters and none that turn the direction of writing. What else a
/// store's own naming forbids, the store refuses.
///
/// ```
/// use pillarbox_imap::types::MailboxName;
///
/// let name = MailboxName::new("inbox/Entwürfe").unwrap();
/// assert_eq!(name.as_str(), "INBOX/Entwürfe");
/// assert!(name.components().eq(["INBOX", "Entwürfe"]));
/// assert!(MailboxName::new("Inbox").unwrap().is_inbox());
/// assert!(MailboxName::new("../etc").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Arc<str>);

/// What parts the levels of a name as clients see it (RFC 9051 §5.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Separator {
    /// `/`
    #[default]
    Slash,
    /// `.`, as servers with Maildir++ show it; no level can then hold a dot.
    Dot,
}

impl Separator {
    /// The character.
    pub const fn as_char(self) -> char {
        match self {
            Separator::Slash => '/',
            Separator::Dot => '.',
        }
    }
}

/// How a name is written on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameEncoding {
    /// Modified UTF-7 (RFC 3501 §5.1.3): what IMAP4rev1 has.
    #[default]
    ModifiedUtf7,
    /// UTF-8, after ENABLE IMAP4rev2 or UTF8=ACCEPT (RFC 9051 §5.1, RFC 6855 §3).
    Utf8,
}

/// Why a text is no mailbox name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxNameError {
    /// A level of the name is empty: the name itself, or something before, behind or between separators.
    #[error("a level of the mailbox name is empty")]
    EmptyLevel,
    /// A level is `.` or `..`, or begins with `~`: a path made of it would lead elsewhere.
    #[error("the mailbox name holds a level that is not allowed")]
    ForbiddenLevel,
    /// A character is a control, a line or paragraph separator, invisible, or `/` where the separator is another.
    #[error("the mailbox name holds a character that is not allowed")]
    ForbiddenCharacter,
    /// A level has more than 255 octets, or there are more than 32 levels.
    #[error("the mailbox name is too long")]
    TooLong,
    /// The octets are no modified UTF-7 (RFC 3501 §5.1.3), or no UTF-8.
    #[error("the mailbox name is not validly encoded")]
    Encoding,
    /// The text is not in normal form C.
    #[error("the mailbox name is not in normal form C")]
    NotNormal,
}

impl MailboxName {
    /// The most octets of a level: what file systems take for a name.
    pub const COMPONENT_MAX: usize = 255;
    /// The most levels.
    pub const DEPTH_MAX: usize = 32;

    /// Checks a name whose levels are parted by `/`.
    ///
    /// # Errors
    ///
    /// See [`MailboxNameError`].
    pub fn new(text: &str) -> Result<Self, MailboxNameError> {
        if text.split('/').count() > Self::DEPTH_MAX {
            return Err(MailboxNameError::TooLong);
        }
        for level in text.split('/') {
            if level.is_empty() {
                return Err(MailboxNameError::EmptyLevel);
            }
            if level == "." || level == ".." || level.starts_with('~') {
                return Err(MailboxNameError::ForbiddenLevel);
            }
            if level.len() > Self::COMPONENT_MAX {
                return Err(MailboxNameError::TooLong);
            }
            if !has_visible_characters_only(level) {
                return Err(MailboxNameError::ForbiddenCharacter);
            }
        }
        if !is_nfc(text) {
            return Err(MailboxNameError::NotNormal);
        }
        Ok(MailboxName(fold_inbox(text)))
    }

    /// Reads a name as clients write it, levels parted by `separator`. It is brought into normal form C.
    ///
    /// # Errors
    ///
    /// See [`MailboxNameError`].
    pub fn from_wire(octets: &[u8], separator: Separator, encoding: NameEncoding) -> Result<Self, MailboxNameError> {
        let text = encoding.decode(octets).ok_or(MailboxNameError::Encoding)?;
        let text: String = if is_nfc(&text) { text } else { text.nfc().collect() };
        match separator {
            Separator::Slash => Self::new(&text),
            Separator::Dot if text.contains('/') => Err(MailboxNameError::ForbiddenCharacter),
            Separator::Dot => Self::new(&text.replace('.', "/")),
        }
    }

    /// Writes the name for clients, levels parted by `separator`. `None` if a level holds the separator: such a mailbox
    /// cannot be named.
    ///
    /// ```
    /// use pillarbox_imap::types::{MailboxName, NameEncoding, Separator};
    ///
    /// let name = MailboxName::from_wire(b"inbox.Entw&APw-rfe", Separator::Dot, NameEncoding::ModifiedUtf7).unwrap();
    /// assert_eq!(name.as_str(), "INBOX/Entwürfe");
    /// assert_eq!(name.to_wire(Separator::Slash, NameEncoding::ModifiedUtf7).unwrap(), "INBOX/Entw&APw-rfe");
    /// assert_eq!(name.to_wire(Separator::Slash, NameEncoding::Utf8).unwrap(), "INBOX/Entwürfe");
    /// ```
    pub fn to_wire(&self, separator: Separator, encoding: NameEncoding) -> Option<String> {
        match separator {
            Separator::Slash => Some(encoding.encode(&self.0)),
            Separator::Dot if self.0.contains('.') => None,
            Separator::Dot => Some(encoding.encode(&self.0.replace('/', "."))),
        }
    }

    /// INBOX.
    pub fn inbox() -> Self {
        MailboxName("INBOX".into())
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == "INBOX"
    }

    /// The name, its levels parted by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The name of the level above; `None` at the top.
    pub fn parent(&self) -> Option<MailboxName> {
        self.0.rsplit_once('/').map(|(parent, _)| MailboxName(parent.into()))
    }

    /// Whether this is a name below `other`, at any depth.
    pub fn is_below(&self, other: &MailboxName) -> bool {
        self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl NameEncoding {
    /// The text that these octets are; `None` if they are none.
    pub fn decode(self, octets: &[u8]) -> Option<String> {
        match self {
            NameEncoding::ModifiedUtf7 => mutf7::decode(octets).ok(),
            NameEncoding::Utf8 => core::str::from_utf8(octets).ok().map(String::from),
        }
    }

    fn encode(self, text: &str) -> String {
        match self {
            NameEncoding::ModifiedUtf7 => mutf7::encode(text),
            NameEncoding::Utf8 => text.into(),
        }
    }
}

/// Whether a level can be told from every other level by looking at it, as far as that is a matter of characters.
fn has_visible_characters_only(level: &str) -> bool {
    let mut before = None;
    let mut chars = level.chars().peekable();
    while let Some(c) = chars.next() {
        let fine = match c {
            // RFC 9051 §5.1 by way of RFC 5198 §2: no C0 and C1 controls; U+2028 and U+2029 end lines for some readers.
            c if c.is_control() => false,
            '\u{2028}' | '\u{2029}' => false,
            // Zero width, and marks and overrides of direction: with them `moc.knab` reads as another name.
            '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' => {
                false
            }
            // Joiners shape letters of scripts that join, and pictures. Beside ASCII they do nothing that could be seen.
            '\u{200C}' | '\u{200D}' => {
                let shapes =
                    |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !matches!(c, '\u{200C}' | '\u{200D}'));
                shapes(before) && shapes(chars.peek().copied())
            }
            _ => true,
        };
        if !fine {
            return false;
        }
        before = Some(c);
    }
    true
}

/// RFC 9051 §5.1: INBOX is one name in any case; so is the level INBOX that others lie below.
fn fold_inbox(text: &str) -> Arc<str> {
    let (first, rest) = text.split_at(text.find('/').unwrap_or(text.len()));
    if first.eq_ignore_ascii_case("INBOX") && first != "INBOX" {
        let mut folded = String::from("INBOX");
        folded.push_str(rest);
        folded.into()
    } else {
        text.into()
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for MailboxName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        use MailboxNameError::*;
        for (wrong, why) in [
            ("", EmptyLevel),
            ("/abs", EmptyLevel),
            ("a//b", EmptyLevel),
            ("a/", EmptyLevel),
            (".", ForbiddenLevel),
            ("..", ForbiddenLevel),
            ("../x", ForbiddenLevel),
            ("a/../../b", ForbiddenLevel),
            ("./a", ForbiddenLevel),
            ("~root", ForbiddenLevel),
            ("a\0", ForbiddenCharacter),
            ("a\r\nb", ForbiddenCharacter),
            ("a\u{1b}", ForbiddenCharacter),
            ("a\u{7f}", ForbiddenCharacter),
            ("a\u{85}", ForbiddenCharacter),
            ("a\u{2028}", ForbiddenCharacter),
            ("a\u{200b}", ForbiddenCharacter),
            ("\u{202e}cod", ForbiddenCharacter),
            ("a\u{feff}", ForbiddenCharacter),
            ("a\u{200d}", ForbiddenCharacter),
            ("a\u{200d}b", ForbiddenCharacter),
            ("ü\u{200d}\u{200d}ü", ForbiddenCharacter),
            ("u\u{308}", NotNormal),
        ] {
            assert_eq!(MailboxName::new(wrong), Err(why), "{wrong:?}");
        }
    }

    #[test]
    fn one_name_has_one_form() {
        let read = |octets: &[u8], encoding| MailboxName::from_wire(octets, Separator::Slash, encoding);
        for twin in ["ü", "u\u{308}"] {
            assert_eq!(read(twin.as_bytes(), NameEncoding::Utf8).unwrap().as_str(), "ü");
        }
        // U+0075 U+0308 in modified UTF-7
        assert_eq!(read(b"u&Awg-", NameEncoding::ModifiedUtf7).unwrap().as_str(), "ü");
        for wrong in [&b"\xFC"[..], b"\xC1\x81", b"\xED\xA0\x80", b"a\xE2\x82"] {
            assert_eq!(read(wrong, NameEncoding::Utf8), Err(MailboxNameError::Encoding), "{wrong:?}");
        }
        assert_eq!(read(b"AT&T", NameEncoding::Utf8).unwrap().as_str(), "AT&T", "no shift here");
        assert!(MailboxName::new("نامه\u{200c}ها").is_ok(), "joiners have a place");
    }

    #[test]
    fn lengths() {
        assert!(MailboxName::new(&"a".repeat(255)).is_ok());
        assert_eq!(MailboxName::new(&"a".repeat(256)), Err(MailboxNameError::TooLong));
        assert!(MailboxName::new(&["a"; 32].join("/")).is_ok());
        assert_eq!(MailboxName::new(&["a"; 33].join("/")), Err(MailboxNameError::TooLong));
    }

    #[test]
    fn there_is_one_inbox() {
        for text in ["INBOX", "inbox", "InBox"] {
            assert!(MailboxName::new(text).unwrap().is_inbox());
        }
        let child = MailboxName::new("inbox/a").unwrap();
        assert_eq!((child.as_str(), child.parent()), ("INBOX/a", Some(MailboxName::inbox())));
        assert!(child.is_below(&MailboxName::inbox()));
        assert_eq!(MailboxName::new("inboxes").unwrap().as_str(), "inboxes");
        assert!(!MailboxName::new("INBOXES").unwrap().is_below(&MailboxName::inbox()));
    }
}
