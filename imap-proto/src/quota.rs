//! How much may be kept: what is asked, and what is told (RFC 9208).

use alloc::string::String;
use alloc::vec::Vec;

use crate::types::MailboxName;

/// What is limited (RFC 9208 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource {
    /// The number of messages.
    Message,
    /// The room that messages take; here in octets, and for clients in units of 1024.
    Storage,
}

/// How much of a resource is used, and how much may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceUse {
    /// Of what.
    pub resource: Resource,
    /// How much there is.
    pub used: u64,
    /// How much there may be.
    pub limit: u64,
}

/// What limits mailboxes together (RFC 9208 §3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRoot {
    /// Its name, which is no mailbox's.
    pub name: String,
    /// What is limited in it; nothing else is. Of a root without any clients are told nothing (RFC 9208 §7).
    pub resources: Vec<ResourceUse>,
}

/// A question about limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaQuestion {
    /// GETQUOTA. Answer: `Quota` once, then `Done`.
    Root(String),
    /// SETQUOTA, from one who may do that. Answer: `Quota` with what there is now, then `Done`: then it is on stable storage.
    Set {
        /// The root.
        root: String,
        /// What there may be of each resource; what is not named has no limit from now on.
        limits: Vec<(Resource, u64)>,
    },
    /// GETQUOTAROOT. Answer: `QuotaRoots` with the names, `Quota` for each of them, then `Done`. The mailbox need not exist.
    Roots(MailboxName),
}
