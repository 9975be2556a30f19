//! Names of mailboxes (RFC 9051 §5.1), checked once, where they enter.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use pillarbox_core::mutf7;

/// The name of a mailbox: UTF-8, its levels parted by `/` whatever separator the client sees, INBOX in capitals.
///
/// Such a name is safe to make a path of, level by level: none is empty, `.`, `..` or longer than 255 octets, none
/// begins with `~`, and no control character or `/` is in it. What else a store's own naming forbids, the store refuses.
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
    /// A character is a control, a line or paragraph separator, or `/` where the separator is another.
    #[error("the mailbox name holds a character that is not allowed")]
    ForbiddenCharacter,
    /// A level has more than 255 octets, or there are more than 32 levels.
    #[error("the mailbox name is too long")]
    TooLong,
    /// The octets are no modified UTF-7 (RFC 3501 §5.1.3).
    #[error("the mailbox name is not valid modified UTF-7")]
    Encoding,
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
            // RFC 9051 §5.1 by way of RFC 5198 §2: no C0 and C1 controls; U+2028 and U+2029 end lines for some readers.
            if level.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
                return Err(MailboxNameError::ForbiddenCharacter);
            }
        }
        Ok(MailboxName(fold_inbox(text)))
    }

    /// Reads a name as clients write it: modified UTF-7 (RFC 3501 §5.1.3), levels parted by `separator`.
    ///
    /// # Errors
    ///
    /// See [`MailboxNameError`].
    pub fn from_wire(octets: &[u8], separator: Separator) -> Result<Self, MailboxNameError> {
        let text = mutf7::decode(octets).map_err(|_| MailboxNameError::Encoding)?;
        match separator {
            Separator::Slash => Self::new(&text),
            Separator::Dot if text.contains('/') => Err(MailboxNameError::ForbiddenCharacter),
            Separator::Dot => Self::new(&text.replace('.', "/")),
        }
    }

    /// Writes the name for clients: modified UTF-7, levels parted by `separator`. `None` if a level holds the separator:
    /// such a mailbox cannot be named.
    ///
    /// ```
    /// use pillarbox_imap::types::{MailboxName, Separator};
    ///
    /// let name = MailboxName::from_wire(b"inbox.Entw&APw-rfe", Separator::Dot).unwrap();
    /// assert_eq!(name.as_str(), "INBOX/Entwürfe");
    /// assert_eq!(name.to_wire(Separator::Slash).unwrap(), "INBOX/Entw&APw-rfe");
    /// ```
    pub fn to_wire(&self, separator: Separator) -> Option<String> {
        match separator {
            Separator::Slash => Some(mutf7::encode(&self.0)),
            Separator::Dot if self.0.contains('.') => None,
            Separator::Dot => Some(mutf7::encode(&self.0.replace('/', "."))),
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
        ] {
            assert_eq!(MailboxName::new(wrong), Err(why), "{wrong:?}");
        }
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
