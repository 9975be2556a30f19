//! The steps of a check, for people.

use alloc::sync::Arc;
use core::fmt;

use pillarbox_core::dns::Name;

use super::{DmarcResult, Override, Place, Policy, Record, RecordError, Weakness};
use crate::from::FromFault;

/// One step of a check. It prints as a line for people; a check has at most a few dozen for each author domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// There is no single author domain.
    AuthorFault(FromFault),
    /// Whose mail the message claims to be.
    Author(Name),
    /// A domain was looked at for a policy record.
    Looked {
        /// The domain, without `_dmarc`.
        at: Name,
        /// What is there.
        finding: Finding,
    },
    /// The author's organizational domain.
    OrganizationalDomain(Name),
    /// The public suffix list, which has no say, has another organizational domain.
    ListDiffers(Name),
    /// Which record rules.
    PolicyRecord {
        /// Where it stands, without `_dmarc`.
        domain: Name,
        /// What that domain is to the author's.
        place: Place,
    },
    /// Whether the author's domain exists.
    Exists(bool),
    /// What was made of an SPF or DKIM domain.
    Identifier(Identifier),
    /// What the record asks for.
    Policy(Policy),
    /// What came out for this author domain.
    Result(DmarcResult),
    /// Something else is done than what the record asks for.
    Override(Override),
}

/// What is at a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A record.
    Record(Arc<Record>),
    /// None.
    Nothing,
    /// Several, of which none counts (RFC 9989 §4.10).
    Several,
    /// One that is broken.
    Broken(RecordError),
    /// No answer for now.
    TryLater,
}

/// A domain that SPF or DKIM brought, and what was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identifier {
    /// Who brought it.
    pub source: Source,
    /// The domain.
    pub domain: Name,
    /// Its organizational domain, where the verdict depended on it.
    pub organizational_domain: Option<Name>,
    /// What was made of it.
    pub verdict: Verdict,
}

/// Who brought a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// SPF
    Spf,
    /// DKIM
    Dkim,
}

/// What was made of a domain that SPF or DKIM brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It is verified and aligned: the message passes.
    Aligned,
    /// It does not belong to the author's domain.
    NotAligned,
    /// It is not verified.
    NotVerified,
    /// It would be aligned, but SPF or DKIM could not verify it for now.
    NotVerifiedYet,
    /// Whether it is aligned cannot be told for now.
    LookupFailed,
    /// It is verified by a signature that does not count.
    Weak(Weakness),
    /// The name in HELO, which does not count.
    Helo,
    /// No question was left for it.
    TooManyQuestions,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::AuthorFault(fault) => write!(f, "no single author: {fault}"),
            Step::Author(domain) => write!(f, "the author's domain is {domain}"),
            Step::Looked { at, finding } => write!(f, "_dmarc.{at}: {finding}"),
            Step::OrganizationalDomain(domain) => write!(f, "the author's organizational domain is {domain}"),
            Step::ListDiffers(domain) => write!(f, "by the public suffix list it would be {domain}"),
            Step::PolicyRecord { domain, place } => write!(f, "the record of {domain} rules, {place}"),
            Step::Exists(true) => f.write_str("the author's domain exists"),
            Step::Exists(false) => f.write_str("the author's domain does not exist"),
            Step::Identifier(identifier) => write!(f, "{identifier}"),
            Step::Policy(policy) => write!(f, "it asks for {policy}"),
            Step::Result(result) => write!(f, "the result is {result}"),
            Step::Override(change) => write!(f, "{change}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Record(record) => write!(f, "{record}"),
            Finding::Nothing => f.write_str("no record"),
            Finding::Several => f.write_str("several records, of which none counts"),
            Finding::Broken(error) => write!(f, "a broken record: {error}"),
            Finding::TryLater => f.write_str("no answer for now"),
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} domain {}: {}", self.source, self.domain, self.verdict)?;
        match &self.organizational_domain {
            Some(domain) => write!(f, ", its organizational domain is {domain}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Spf => "SPF",
            Source::Dkim => "DKIM",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Aligned => "verified and aligned",
            Verdict::NotAligned => "not aligned",
            Verdict::NotVerified => "not verified",
            Verdict::NotVerifiedYet => "aligned, but not verified for now",
            Verdict::LookupFailed => "its organizational domain cannot be found for now",
            Verdict::Weak(Weakness::PartialBody) => "does not count, as the signature leaves out a part of the body",
            Verdict::Weak(Weakness::TestKey) => "does not count, as the key is for tests",
            Verdict::Weak(Weakness::Algorithm) => "does not count, as the signature is weak",
            Verdict::Helo => "does not count, as it is the name in HELO",
            Verdict::TooManyQuestions => "not looked at, as it takes too many questions",
        })
    }
}
