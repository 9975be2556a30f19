//! Names of annotations of mailboxes and of accounts (RFC 5464), as IMAP speaks of them and stores keep them.

mod shares;

use alloc::string::String;
use core::fmt;

pub use shares::{ENTRIES_MAX, OCTETS_MAX, OWNER_PART, Shares};

/// The most octets of an entry's name.
const NAME_MAX: usize = 1024;

/// The name of an entry, such as `/private/comment` (RFC 5464 §3.2). Names do not differ by case, and are kept in small letters.
///
/// ```
/// use pillarbox_core::annotation::{EntryName, EntryNameError};
///
/// assert_eq!(EntryName::parse("/Shared/Comment")?.as_str(), "/shared/comment");
/// assert!(EntryName::parse("/private/vendor/x/y")?.is_private());
/// // Something to look below, but no entry.
/// assert!(!EntryName::parse("/private")?.can_hold_value());
/// assert_eq!(EntryName::parse("/comment"), Err(EntryNameError::Scope));
/// # Ok::<(), EntryNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(String);

/// Why a name is refused (RFC 5464 §3.2, §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryNameError {
    /// Its first part is neither `private` nor `shared`.
    #[error("an entry begins with /private or /shared")]
    Scope,
    /// There is nothing between two slashes, or behind the last one.
    #[error("a part of an entry's name is empty")]
    Empty,
    /// A wildcard, a control character, or what is not ASCII.
    #[error("an entry's name must not hold `*`, `%`, control characters, or what is not ASCII")]
    Character,
    /// More than 1,024 octets.
    #[error("the entry's name is too long")]
    TooLong,
}

impl EntryName {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`EntryNameError`].
    pub fn parse(name: &str) -> Result<Self, EntryNameError> {
        if name.len() > NAME_MAX {
            return Err(EntryNameError::TooLong);
        }
        // RFC 5464 §3.2 forbids 0x00 to 0x19, which leaves six control characters that nobody can have meant.
        if !name.bytes().all(|octet| (octet == b' ' || octet.is_ascii_graphic()) && octet != b'*' && octet != b'%') {
            return Err(EntryNameError::Character);
        }
        let name = name.to_ascii_lowercase();
        let rest = name.strip_prefix("/private").or_else(|| name.strip_prefix("/shared"));
        match rest.ok_or(EntryNameError::Scope)?.strip_prefix('/') {
            None if name == "/private" || name == "/shared" => Ok(EntryName(name)),
            None => Err(EntryNameError::Scope),
            Some(parts) if parts.split('/').any(str::is_empty) => Err(EntryNameError::Empty),
            Some(_) => Ok(EntryName(name)),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether each user has a value of their own.
    pub fn is_private(&self) -> bool {
        self.0.starts_with("/private")
    }

    /// `/private/specialuse` of a mailbox, which is what the mailbox is for, as LIST tells it (RFC 6154 §4).
    pub fn special_use() -> Self {
        EntryName("/private/specialuse".into())
    }

    /// Whether an entry can be called so, and not only be somewhere below: it has two parts, and below `vendor` four.
    pub fn can_hold_value(&self) -> bool {
        let mut parts = self.0.split('/').skip(2);
        match parts.next() {
            None => false,
            Some("vendor") => parts.count() >= 2,
            Some(_) => true,
        }
    }

    /// How many levels this is below `other`, such as 0 for `other` itself; none if it is neither below it nor it.
    pub fn levels_below(&self, other: &EntryName) -> Option<usize> {
        match self.0.strip_prefix(&other.0)? {
            "" => Some(0),
            rest => rest.starts_with('/').then(|| rest.matches('/').count()),
        }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, error) in [
            ("", EntryNameError::Scope),
            ("comment", EntryNameError::Scope),
            ("/public/x", EntryNameError::Scope),
            ("/privatex", EntryNameError::Scope),
            ("/sharedx/y", EntryNameError::Scope),
            ("/private/", EntryNameError::Empty),
            ("/shared//x", EntryNameError::Empty),
            ("/shared/x/", EntryNameError::Empty),
            ("/shared/*", EntryNameError::Character),
            ("/shared/x%", EntryNameError::Character),
            ("/shared/\u{e4}", EntryNameError::Character),
            ("/shared/x\r\n", EntryNameError::Character),
            ("/shared/\u{1b}", EntryNameError::Character),
        ] {
            assert_eq!(EntryName::parse(name), Err(error), "{name:?}");
        }
        let long = alloc::format!("/shared/{}", "x".repeat(NAME_MAX));
        assert_eq!(EntryName::parse(&long), Err(EntryNameError::TooLong));
        for (name, holds) in [
            ("/private", false),
            ("/shared/comment", true),
            ("/shared/vendor", false),
            ("/SHARED/Vendor/x", false),
            ("/shared/vendor/x/y", true),
            ("/shared/vendors", true),
        ] {
            assert_eq!(EntryName::parse(name).unwrap().can_hold_value(), holds, "{name}");
        }
    }
}
