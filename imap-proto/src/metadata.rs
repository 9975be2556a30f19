//! Annotations of mailboxes and of the server: what is asked, and what is told (RFC 5464).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::types::MailboxName;

/// The most octets of an entry's name.
const NAME_MAX: usize = 1024;

/// The name of an entry, such as `/private/comment` (RFC 5464 §3.2). Names do not differ by case, and are kept in small letters.
///
/// ```
/// use pillarbox_imap::metadata::{EntryName, EntryNameError};
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

    /// How many levels this is below `other`; none if it is not below it, and is not it.
    fn levels_below(&self, other: &EntryName) -> Option<usize> {
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

/// How far below a name entries are wanted (RFC 5464 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The entry alone.
    #[default]
    Zero,
    /// The entry, and those immediately below it.
    One,
    /// The entry, and all below it.
    Infinity,
}

/// Which entries are wanted.
///
/// ```
/// use pillarbox_imap::metadata::{Depth, EntryName, WantedEntries};
///
/// let name = |name| EntryName::parse(name).unwrap();
/// let wanted = WantedEntries { names: vec![name("/private/filters")], depth: Depth::One };
/// assert!(wanted.has(&name("/private/filters/boss")));
/// assert!(!wanted.has(&name("/private/filters/boss/name")) && !wanted.has(&name("/private/filtersx")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedEntries {
    /// The names that were given, each once.
    pub names: Vec<EntryName>,
    /// How far below them.
    pub depth: Depth,
}

impl WantedEntries {
    /// Whether this entry is one of them.
    pub fn has(&self, entry: &EntryName) -> bool {
        self.names.iter().any(|name| {
            entry.levels_below(name).is_some_and(|levels| match self.depth {
                Depth::Zero => levels == 0,
                Depth::One => levels <= 1,
                Depth::Infinity => true,
            })
        })
    }
}

/// An entry and its value. Octets of any kind; lines end with CRLF.
pub type Entry = (EntryName, Vec<u8>);

/// An entry and the value that it is to have; none: it is to go.
pub type EntryChange = (EntryName, Option<Vec<u8>>);

/// A question about annotations: of a mailbox, or, without one, of the server (RFC 5464 §3.2.1).
///
/// What lies below `/private` each user has for themselves; for others it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataQuestion {
    /// GETMETADATA. Answer: `Entry` for each that is wanted and there, then `Done`.
    Get {
        /// Of what.
        mailbox: Option<MailboxName>,
        /// Which.
        wanted: WantedEntries,
    },
    /// SETMETADATA. Answer: `Done`, and then all of it is on stable storage, or `No`, and nothing has changed: with
    /// [`MetadataMaxSize`](crate::types::ResponseCode::MetadataMaxSize) or one of its neighbours where that is the reason.
    Set {
        /// Of what.
        mailbox: Option<MailboxName>,
        /// What is to be changed, in this order.
        changes: Vec<EntryChange>,
    },
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
