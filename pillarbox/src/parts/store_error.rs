//! What goes wrong in stores.

/// What went wrong in a store.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
#[non_exhaustive]
pub struct StoreError {
    /// Which kind, for the reply.
    pub kind: StoreErrorKind,
    /// What happened, for our own logs.
    pub cause: String,
}

impl StoreError {
    /// An error of a kind, with the private cause.
    pub fn new(kind: StoreErrorKind, cause: impl Into<String>) -> Self {
        StoreError { kind, cause: cause.into() }
    }
}

/// Kinds of store errors; each implies a response code (RFC 5530) and an SMTP reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such mailbox (or the user may not know of it).
    NoSuchMailbox,
    /// There is such a mailbox already.
    AlreadyExists,
    /// The name or the operation is not possible here.
    Cannot,
    /// A limit was reached.
    Limit,
    /// The user's quota is used up.
    OverQuota,
    /// The message was expunged by somebody else.
    Expunged,
    /// The mailbox has others below it, and so cannot be deleted (RFC 9051 §6.3.5).
    HasChildren,
    /// The user may not do this; where they may not even know of the mailbox it is
    /// [`NoSuchMailbox`](StoreErrorKind::NoSuchMailbox).
    NoPermission,
    /// A mailbox cannot be made for that use (RFC 6154 §3).
    NotForThatUse,
    /// The value of an annotation has more than so many octets (RFC 5464 §4.3).
    AnnotationTooLarge(u32),
    /// There are as many annotations as there may be.
    TooManyAnnotations,
    /// The disk is full.
    NoSpace,
    /// Any other trouble; later it may work.
    Unavailable,
}
