//! What the receiver decides, and what the other evaluators found.

use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::dns::Name;

use super::PublicSuffixList;

/// How a receiver does DMARC. The default is RFC 9989, and fails closed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How organizational domains are found.
    pub discovery: Discovery,
    /// What a message gets whose authors are in several domains, or that has several From fields.
    pub several_authors: SeveralAuthors,
    /// Whether a message is put off ([`Disposition::Defer`](super::Disposition::Defer)) if a look-up fails for now. If not,
    /// it is treated as if nobody had asked; it never passes. Default: put off, as the sender tries again and what is forged
    /// is seen then.
    pub defers_on_temp_error: bool,
    /// Whether signatures count that have a [`Weakness`]. Default: no.
    pub counts_weak_signatures: bool,
    /// What a check may cost.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            discovery: Discovery::TreeWalk,
            several_authors: SeveralAuthors::Refuse,
            defers_on_temp_error: true,
            counts_weak_signatures: false,
            limits: Limits::default(),
        }
    }
}

/// How organizational domains are found. The ways can differ, and only the one that is chosen has a say.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Discovery {
    /// By walking up the DNS (RFC 9989 §4.10): at most eight questions for a domain.
    TreeWalk,
    /// The same, and the trace says where a public suffix list has another opinion on the author's domain.
    TreeWalkComparedWith(Arc<PublicSuffixList>),
    /// By a public suffix list (RFC 7489 §3.2): at most two questions.
    PublicSuffixList(Arc<PublicSuffixList>),
}

/// What a message gets whose authors are in several domains, or that has several From fields.
///
/// Where a From field cannot be read, or names no domain, it is refused in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SeveralAuthors {
    /// It is refused: no ordinary mail looks so (RFC 9989 §11.5).
    #[default]
    Refuse,
    /// Each domain is checked, and the strictest policy of those that fail applies. With several From fields none passes,
    /// as nothing tells which of them was signed.
    StrictestPolicy,
}

/// What a check may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Author domains that [`SeveralAuthors::StrictestPolicy`] checks: 5. A message with more is refused (RFC 9989 §11.5).
    pub authors_max: usize,
    /// SPF and DKIM domains that are looked at: 20, which is more than signatures are ever verified. The rest does not count.
    pub identifiers_max: usize,
    /// Questions to the DNS about organizational domains of SPF and DKIM domains, beside those about the author's: 8, one
    /// full walk. Honest mail needs one or two; a domain for which no question is left does not count.
    pub alignment_questions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { authors_max: 5, identifiers_max: 20, alignment_questions_max: 8 }
    }
}

/// What SPF and DKIM found: the authenticated identifiers of RFC 9989 §4.4, and those that are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// What SPF found.
    pub spf: Option<SpfInput>,
    /// What DKIM found of each signature, from the top.
    pub dkim: Vec<DkimInput>,
    /// A number from 0 to 99 that was drawn for this message: then `pct` applies, as in RFC 7489 §6.6.4. `None` ignores it,
    /// as in RFC 9989.
    pub percent_draw: Option<u8>,
}

impl Evidence {
    /// What SPF and DKIM found.
    pub const fn new(spf: Option<SpfInput>, dkim: Vec<DkimInput>) -> Self {
        Evidence { spf, dkim, percent_draw: None }
    }
}

/// What SPF found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpfInput {
    /// Which name of the client was checked.
    pub identity: SpfIdentity,
    /// What came of it.
    pub verification: Verification,
    /// The domain that was checked.
    pub domain: Name,
}

impl SpfInput {
    /// What SPF found.
    pub const fn new(identity: SpfIdentity, verification: Verification, domain: Name) -> Self {
        SpfInput { identity, verification, domain }
    }
}

/// Which name of the client SPF checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpfIdentity {
    /// The domain of MAIL FROM.
    MailFrom,
    /// MAIL FROM was `<>`, and the name in HELO stands in for its domain (RFC 7208 §2.4).
    NullMailFrom,
    /// The name in HELO alone: it is no identity for DMARC (RFC 9989 §4.4.2).
    Helo,
}

/// What DKIM found of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DkimInput {
    /// What came of it.
    pub verification: Verification,
    /// `d=`
    pub domain: Name,
    /// Why a pass is worth less.
    pub weakness: Option<Weakness>,
}

impl DkimInput {
    /// What DKIM found of one signature.
    pub const fn new(verification: Verification, domain: Name) -> Self {
        DkimInput { verification, domain, weakness: None }
    }
}

/// Why a signature that verifies says little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Weakness {
    /// It does not cover all of the body (`l=`), so that anybody can have added to it.
    PartialBody,
    /// The key is published for tests (`t=y`).
    TestKey,
    /// The algorithm or the key size is out of use.
    Algorithm,
}

/// What SPF or DKIM came to, as far as DMARC asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// `pass`
    Pass,
    /// `temperror`: it may pass later.
    TempError,
    /// Everything else: `fail`, `softfail`, `neutral`, `none`, `policy`, `permerror`.
    Fail,
}
