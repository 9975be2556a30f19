//! What a configuration says about mail authentication.

use pillarbox::Network;
use pillarbox::mailcore::dns::Name;

/// What `[authentication]` says. Without it nobody is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The name in our fields Authentication-Results, if it is not `hostname`.
    pub authserv_id: Option<String>,
    /// What becomes of a message that fails DMARC.
    pub dmarc: DmarcUse,
    /// Whether a message is put off that cannot be checked for now.
    pub defers: bool,
    /// Where a message goes that is to be kept apart.
    pub quarantine: Quarantine,
    /// A field Received-SPF is written as well.
    pub received_spf: bool,
    /// Servers of ours whose mail has been checked.
    pub trusted: Vec<Network>,
    /// Forwarders who are believed by ARC.
    pub trusted_sealers: Vec<Name>,
}

/// What becomes of a message that fails DMARC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmarcUse {
    /// It is taken like any other, and the field says what was found.
    Monitor,
    /// It is kept apart, also where its author's domain wants it refused: the domain says nothing of mailing lists and forwarders,
    /// which break what they pass on (RFC 9989 §7.4).
    Quarantine,
    /// What its author's domain asks for.
    Honour,
}

/// Where a message goes that is to be kept apart. It is marked in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// To the mailbox for junk.
    Junk,
    /// To INBOX.
    Header,
}
