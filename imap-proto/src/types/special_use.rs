//! What a mailbox is for (RFC 6154 §2).

use core::fmt;

/// A special use of a mailbox, as an attribute of LIST.
///
/// ```
/// use pillarbox_imap::types::SpecialUse;
///
/// assert_eq!(SpecialUse::parse("\\sent"), Some(SpecialUse::Sent));
/// assert_eq!(SpecialUse::Sent.to_string(), "\\Sent");
/// assert_eq!(SpecialUse::parse("\\Noselect"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SpecialUse {
    /// `\All`: a view of all messages.
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`: a view of what is flagged.
    Flagged,
    /// `\Important` (RFC 8457 §3): a view of what the server thinks important.
    Important,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

const ALL: [SpecialUse; 8] = [
    SpecialUse::All,
    SpecialUse::Archive,
    SpecialUse::Drafts,
    SpecialUse::Flagged,
    SpecialUse::Important,
    SpecialUse::Junk,
    SpecialUse::Sent,
    SpecialUse::Trash,
];

impl SpecialUse {
    /// The use of this name, in any case, its backslash included.
    pub fn parse(text: &str) -> Option<Self> {
        ALL.into_iter().find(|special| special.as_str().eq_ignore_ascii_case(text))
    }

    /// The use as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            SpecialUse::All => "\\All",
            SpecialUse::Archive => "\\Archive",
            SpecialUse::Drafts => "\\Drafts",
            SpecialUse::Flagged => "\\Flagged",
            SpecialUse::Important => "\\Important",
            SpecialUse::Junk => "\\Junk",
            SpecialUse::Sent => "\\Sent",
            SpecialUse::Trash => "\\Trash",
        }
    }

    /// Whether such a mailbox holds no messages of its own, but shows those of others. A store that has no such views
    /// refuses to make one.
    pub const fn is_view(self) -> bool {
        matches!(self, SpecialUse::All | SpecialUse::Flagged | SpecialUse::Important)
    }
}

impl fmt::Display for SpecialUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
