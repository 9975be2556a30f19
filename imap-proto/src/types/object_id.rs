//! Identifiers of mailboxes, messages and threads (RFC 8474).

use alloc::sync::Arc;
use core::fmt;

/// A MAILBOXID, EMAILID or THREADID: 1 to 255 letters, digits, `_` and `-`, in which case matters (RFC 8474 §7).
///
/// ```
/// use pillarbox_imap::types::ObjectId;
///
/// assert_eq!(ObjectId::new("M6d99ac3275bb4e").unwrap().as_str(), "M6d99ac3275bb4e");
/// assert_eq!(ObjectId::new("a)b"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Arc<str>);

impl ObjectId {
    /// The most octets.
    pub const LEN_MAX: usize = 255;

    /// The identifier, or `None` if the text is none.
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        (fits && (1..=Self::LEN_MAX).contains(&text.len())).then(|| ObjectId(text.into()))
    }

    /// The identifier as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
