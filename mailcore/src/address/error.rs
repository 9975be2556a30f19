//! Why a text is no address.

/// A text is no address: what is wrong, and where. It answers with 501 5.1.3 (5.1.7 in MAIL), and 553 5.6.7 where
/// [`AddressFault::NonAscii`] says that only SMTPUTF8 is missing (RFC 6531 §3.5).
///
/// ```
/// use pillarbox_core::address::{Address, AddressFault};
///
/// let error = Address::parse("joe..doe@example.org").unwrap_err();
/// assert_eq!((error.fault, error.at), (AddressFault::Dot, 4));
/// assert_eq!(error.to_string(), "a dot is misplaced at octet 4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{fault} at octet {at}")]
#[non_exhaustive]
pub struct AddressError {
    /// What is wrong.
    pub fault: AddressFault,
    /// The octet it was seen at, counted from 0 at the start of the text that was parsed.
    pub at: usize,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AddressFault {
    /// An octet that has no place there, such as a space, or a bracket inside a name.
    #[error("an unexpected octet")]
    UnexpectedOctet,
    /// A control: CR, LF, NUL, DEL and their like. No quoting allows one.
    #[error("a control octet")]
    Control,
    /// A character beyond ASCII without SMTPUTF8.
    #[error("a character beyond ASCII without SMTPUTF8")]
    NonAscii,
    /// Octets beyond ASCII that are no UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// Nothing stands before the `@`.
    #[error("the local part is missing")]
    EmptyLocalPart,
    /// A dot at the start, at the end or behind another dot.
    #[error("a dot is misplaced")]
    Dot,
    /// A quote was opened and not closed.
    #[error("a quoted string is not closed")]
    UnclosedQuote,
    /// The local part is longer than 252 octets, so that no path can hold it.
    #[error("the local part is too long")]
    LocalPartTooLong,
    /// There is no `@`.
    #[error("the @ is missing")]
    MissingAt,
    /// Nothing stands behind the `@`.
    #[error("the domain is missing")]
    EmptyDomain,
    /// A label of the domain begins or ends with a hyphen.
    #[error("a hyphen is misplaced")]
    Hyphen,
    /// A label of the domain is longer than 63 octets.
    #[error("a label is too long")]
    LabelTooLong,
    /// The domain is longer than 255 octets.
    #[error("the domain is too long")]
    DomainTooLong,
    /// The text in brackets is no address literal of RFC 5321 §4.1.3.
    #[error("a wrong address literal")]
    Literal,
    /// A path does not begin with `<`.
    #[error("the < is missing")]
    MissingOpen,
    /// A path does not end with `>`.
    #[error("the > is missing")]
    MissingClose,
    /// A path of RCPT is empty.
    #[error("the path is empty")]
    EmptyPath,
    /// The source route before the address is wrong.
    #[error("a wrong source route")]
    SourceRoute,
    /// The path is longer than 256 octets.
    #[error("the path is too long")]
    PathTooLong,
}

impl AddressError {
    pub(super) const fn new(fault: AddressFault, at: usize) -> Self {
        AddressError { fault, at }
    }

    /// The same, seen from a text that begins `by` octets earlier.
    pub(super) const fn moved(self, by: usize) -> Self {
        AddressError { fault: self.fault, at: self.at + by }
    }
}

/// The error at `at`, where `fault` is what is wrong if the octet there is an ordinary one.
pub(super) fn sharpen(fault: AddressFault, text: &str, at: usize, utf8: bool) -> AddressError {
    let fault = match text.as_bytes().get(at) {
        Some(0..0x20 | 0x7f) => AddressFault::Control,
        Some(0x80..) if !utf8 => AddressFault::NonAscii,
        _ => fault,
    };
    AddressError::new(fault, at)
}
