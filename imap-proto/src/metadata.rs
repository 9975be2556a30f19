//! Annotations of mailboxes and of the server: what is asked, and what is told (RFC 5464).

use alloc::vec::Vec;

pub use pillarbox_core::annotation::{EntryName, EntryNameError};

use crate::types::MailboxName;

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
