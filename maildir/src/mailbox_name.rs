//! Names of mailboxes, checked once, so that no path is ever built from anything else.

use std::fmt;

use crate::DiskNames;
use crate::layout::{DEPTH_MAX, FILE_NAME_MAX};

/// The name of a mailbox: INBOX, or a path of components. It cannot name anything outside its tree. What else a tree cannot hold
/// depends on its [`Layout`](crate::Layout), and is refused there.
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

/// Octets of a name, with one between levels.
const LEN_MAX: usize = 4 * FILE_NAME_MAX;

/// Why a name is refused. IMAP answers `NO [CANNOT]`, and `NO [LIMIT]` to what is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has no characters, or there is nothing before, behind or between separators.
    #[error("a name or a part of it is empty")]
    Empty,
    /// A level of one dot, or one that begins with two; in Maildir++ any dot, since it separates levels on disk.
    #[error("a name must not hold a dot there")]
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
    /// The name of a file that belongs to a mailbox, where mailboxes lie beside such files ([`Layout::Fs`](crate::Layout::Fs)):
    /// `cur`, `new`, `tmp`, `maildirfolder`, `maildirsize`, `special-use`, `subscriptions`, and what begins as Dovecot's files do.
    #[error("the name is reserved")]
    Reserved,
    /// A level is longer than a file name may be, 255 octets as it is written on disk; in Maildir++ all levels together. Or the name
    /// has more than 32 levels or 1020 octets.
    #[error("the name is too long")]
    TooLong,
}

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
        if name.len() > LEN_MAX {
            return Err(NameError::TooLong);
        }
        let mut components: Vec<String> = name.split(separator).map(str::to_owned).collect();
        for component in &components {
            check(component)?;
        }
        if components.len() > DEPTH_MAX {
            return Err(NameError::TooLong);
        }
        // RFC 9051 §5.1: INBOX in any case is INBOX, and what is below it goes along.
        if components[0].eq_ignore_ascii_case("INBOX") {
            components[0] = "INBOX".into();
        }
        Ok(MailboxName(components))
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
        // Nobody could say a longer one to open it.
        let len = name.0.iter().map(|component| component.len() + 1).sum::<usize>() - 1;
        if name.0.len() > DEPTH_MAX || len > LEN_MAX { Err(NameError::TooLong) } else { Ok(name) }
    }

    /// The levels as they are written on disk.
    pub(crate) fn on_disk(&self, separator: &str, names: DiskNames) -> String {
        self.0.iter().map(|component| names.encode(component)).collect::<Vec<_>>().join(separator)
    }

    pub(crate) fn from_disk(name: &str, separator: char, names: DiskNames) -> Option<Self> {
        let mut read: Option<Self> = None;
        for level in name.split(separator) {
            read = Some(Self::from_disk_below(read.as_ref(), level, names)?);
        }
        read
    }

    /// The name of one level as it is written on disk, below another one.
    pub(crate) fn from_disk_below(above: Option<&MailboxName>, level: &str, names: DiskNames) -> Option<Self> {
        let level = names.decode(level)?;
        let top = above.is_none();
        // A second spelling of INBOX or of what is below it is none.
        if check(&level).is_err()
            || top && level.starts_with('~')
            || top && level.eq_ignore_ascii_case("INBOX") && level != "INBOX"
            || above.is_some_and(|above| above.0.len() >= DEPTH_MAX)
        {
            return None;
        }
        let mut components = above.map_or_else(Vec::new, |above| above.0.clone());
        components.push(level);
        Some(MailboxName(components))
    }
}

fn check(component: &str) -> std::result::Result<(), NameError> {
    if component.is_empty() {
        return Err(NameError::Empty);
    }
    // `..` leads out of the tree; what begins so is ours.
    if component == "." || component.starts_with("..") {
        return Err(NameError::Dot);
    }
    for c in component.chars() {
        match c {
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
            ("..a", NameError::Dot),
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
        assert_eq!(MailboxName::parse(&["a"; 33].join("/"), '/'), Err(NameError::TooLong));
        assert_eq!(MailboxName::parse(&vec!["a"; 1000].join("/"), '/'), Err(NameError::TooLong));
        assert_eq!(MailboxName::parse(&"a".repeat(4097), '/'), Err(NameError::TooLong));
        assert!(MailboxName::parse(&"a".repeat(255), '/').is_ok());
        assert!(MailboxName::parse(&["a"; 32].join("/"), '/').is_ok());
    }

    // MBX-06
    #[test]
    fn there_is_one_inbox() {
        for name in ["INBOX", "inbox", "InBoX"] {
            assert_eq!(MailboxName::parse(name, '/').unwrap(), MailboxName::inbox());
        }
        assert_eq!(MailboxName::parse("inbox/child", '/').unwrap().joined('/'), "INBOX/child");
    }
}
