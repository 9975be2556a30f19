//! Names of mailboxes, checked once, so that no path is ever built from anything else.

use std::fmt;

use pillarbox_core::mutf7;

/// The name of a mailbox: INBOX, or a path of components. It cannot name anything outside its tree.
///
/// ```
/// use pillarbox_maildir::{MailboxName, NameError};
///
/// let name = MailboxName::parse("Archive/Täst", '/')?;
/// assert_eq!(name.components().collect::<Vec<_>>(), ["Archive", "Täst"]);
/// assert_eq!(name.joined('.'), "Archive.Täst");
/// assert!(MailboxName::parse("inbox", '/')?.is_inbox());
/// assert_eq!(MailboxName::parse("../etc", '/'), Err(NameError::Dot));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Vec<String>);

/// Why a name is refused. IMAP answers `NO [CANNOT]`, and `NO [LIMIT]` to what is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters, or there is nothing before, behind or between separators.
    #[error("a name or a part of it is empty")]
    Empty,
    /// A dot, which separates levels on disk, so no level can hold one.
    #[error("a name must not hold a dot")]
    Dot,
    /// A slash where it does not separate levels.
    #[error("a name must not hold a slash")]
    Slash,
    /// A tilde at the start, which some programs take for a home directory.
    #[error("a name must not begin with a tilde")]
    Tilde,
    /// A control character, which would break lines in files, logs or replies.
    #[error("a name must not hold control characters")]
    Control,
    /// Longer than a file name may be: 255 octets in modified UTF-7, all levels together.
    #[error("the name is too long")]
    TooLong,
}

/// What a file system allows for one name, and Dovecot for one level.
const FILE_NAME_MAX: usize = 255;

impl MailboxName {
    /// INBOX, which is always there.
    pub fn inbox() -> Self {
        MailboxName(vec!["INBOX".into()])
    }

    /// Checks a name as a client gives it, decoded, with its levels parted by `separator`.
    pub fn parse(name: &str, separator: char) -> std::result::Result<Self, NameError> {
        if name.starts_with('~') {
            return Err(NameError::Tilde);
        }
        // Also bounds the work below.
        if name.len() > 4 * FILE_NAME_MAX {
            return Err(NameError::TooLong);
        }
        let mut components: Vec<String> = name.split(separator).map(str::to_owned).collect();
        for component in &components {
            check(component)?;
        }
        // RFC 9051 §5.1: INBOX in any case is INBOX, and what is below it goes along.
        if components[0].eq_ignore_ascii_case("INBOX") {
            components[0] = "INBOX".into();
        }
        let name = MailboxName(components);
        if name.directory().len() > FILE_NAME_MAX { Err(NameError::TooLong) } else { Ok(name) }
    }

    /// True for INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0.len() == 1 && self.0[0] == "INBOX"
    }

    /// The levels, from the top.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The name with its levels parted by `separator`.
    pub fn joined(&self, separator: char) -> String {
        self.0.join(separator.encode_utf8(&mut [0; 4]))
    }

    /// The mailbox one level up; `None` at the top.
    pub fn parent(&self) -> Option<MailboxName> {
        let (_, above) = self.0.split_last()?;
        if above.is_empty() { None } else { Some(MailboxName(above.to_vec())) }
    }

    /// True if this is somewhere below `other`.
    pub fn is_below(&self, other: &MailboxName) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// The name that this one gets when `from`, which is above it or is it, is renamed to `to`.
    pub(crate) fn renamed(&self, from: &MailboxName, to: &MailboxName) -> std::result::Result<Self, NameError> {
        let mut components = to.0.clone();
        components.extend_from_slice(&self.0[from.0.len()..]);
        let name = MailboxName(components);
        if name.directory().len() > FILE_NAME_MAX { Err(NameError::TooLong) } else { Ok(name) }
    }

    /// The Maildir++ directory in the tree's root; INBOX is the root itself and has none.
    pub(crate) fn directory(&self) -> String {
        if self.is_inbox() { String::new() } else { format!(".{}", self.on_disk(".")) }
    }

    /// Reads the name of a Maildir++ directory; `None` if no name is written so.
    pub(crate) fn from_directory(name: &str) -> Option<Self> {
        let name = Self::from_disk(name.strip_prefix('.')?, '.')?;
        // `.INBOX` would be a second INBOX.
        if name.is_inbox() { None } else { Some(name) }
    }

    /// The levels in modified UTF-7.
    pub(crate) fn on_disk(&self, separator: &str) -> String {
        self.0.iter().map(|component| mutf7::encode(component)).collect::<Vec<_>>().join(separator)
    }

    pub(crate) fn from_disk(name: &str, separator: char) -> Option<Self> {
        let components: Option<Vec<String>> =
            name.split(separator).map(|component| mutf7::decode(component.as_bytes()).ok()).collect();
        let name = MailboxName(components?);
        let valid = name.0.iter().all(|component| check(component).is_ok()) && !name.0[0].starts_with('~');
        if !valid {
            None
        } else if name.0[0].eq_ignore_ascii_case("INBOX") && name.0[0] != "INBOX" {
            // A second spelling of INBOX or of what is below it.
            None
        } else {
            Some(name)
        }
    }
}

fn check(component: &str) -> std::result::Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::Empty);
    }
    for c in component.chars() {
        match c {
            '.' => return Err(NameError::Dot),
            '/' => return Err(NameError::Slash),
            // Line and paragraph separator count: they end lines for whoever reads a log.
            '\u{2028}' | '\u{2029}' => return Err(NameError::Control),
            c if c.is_control() => return Err(NameError::Control),
            _ => {}
        }
    }
    if component.len() > FILE_NAME_MAX { Err(NameError::TooLong) } else { Ok(()) }
}

/// With `/` between the levels.
impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // MBX-01, MBX-02, MBX-03, MBX-05
    #[test]
    fn names_that_are_refused() {
        for (name, error) in [
            ("", NameError::Empty),
            ("..", NameError::Dot),
            ("../x", NameError::Dot),
            ("a/../../b", NameError::Dot),
            ("/abs", NameError::Empty),
            ("~root", NameError::Tilde),
            ("./a", NameError::Dot),
            ("a//b", NameError::Empty),
            ("a/", NameError::Empty),
            (".", NameError::Dot),
            ("a..b", NameError::Dot),
            ("INBOX/..", NameError::Dot),
            ("a\r\nb", NameError::Control),
            ("a\0", NameError::Control),
            ("\u{1b}[2J", NameError::Control),
            ("a\u{7f}", NameError::Control),
            ("a\u{85}", NameError::Control),
            ("a\u{9f}", NameError::Control),
            ("a\u{2028}", NameError::Control),
        ] {
            assert_eq!(MailboxName::parse(name, '/'), Err(error), "{name:?}");
        }
        for (name, error) in
            [(".a", NameError::Empty), ("a.", NameError::Empty), ("a..b", NameError::Empty), ("a/b", NameError::Slash)]
        {
            assert_eq!(MailboxName::parse(name, '.'), Err(error), "{name:?}");
        }
        assert_eq!(MailboxName::parse(&"a".repeat(256), '/'), Err(NameError::TooLong));
        assert_eq!(MailboxName::parse(&"ä".repeat(120), '/'), Err(NameError::TooLong), "longer in modified UTF-7");
        assert_eq!(MailboxName::parse(&vec!["a"; 1000].join("/"), '/'), Err(NameError::TooLong));
        assert_eq!(MailboxName::parse(&"a".repeat(4097), '/'), Err(NameError::TooLong));
        assert!(MailboxName::parse(&"a".repeat(254), '/').is_ok());
    }

    // MBX-02
    #[test]
    fn directories_never_meet_those_of_the_inbox() {
        for name in ["cur", "new", "tmp", "a/cur", "dovecot-uidlist", "subscriptions", "maildirfolder"] {
            let name = MailboxName::parse(name, '/').unwrap();
            assert!(name.directory().starts_with('.') && name.directory() != "." && name.directory() != "..");
            assert_eq!(MailboxName::from_directory(&name.directory()), Some(name));
        }
    }

    // MBX-06
    #[test]
    fn there_is_one_inbox() {
        for name in ["INBOX", "inbox", "InBoX"] {
            assert_eq!(MailboxName::parse(name, '/').unwrap(), MailboxName::inbox());
        }
        assert_eq!(MailboxName::parse("inbox/child", '/').unwrap().directory(), ".INBOX.child");
        assert_eq!(MailboxName::from_directory(".INBOX"), None);
        assert_eq!(MailboxName::from_directory(".inbox.x"), None);
        assert_eq!(MailboxName::from_directory("."), None);
        assert_eq!(MailboxName::from_directory(".."), None);
        assert_eq!(MailboxName::from_directory("..x"), None);
        assert_eq!(MailboxName::from_directory(".&AGE-"), None);
    }
}
