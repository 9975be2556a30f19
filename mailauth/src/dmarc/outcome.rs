//! What a check comes to.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::Reply;
use pillarbox_core::dns::Name;

use super::{Identifier, Policy, Record, Source, Step, Verdict};
use crate::from::FromFault;
use crate::words::words;

/// What a check comes to.
///
/// Authentication-Results has `dmarc=` [`result`](Outcome::result), `header.from=` [`author`](Outcome::author) and
/// `policy.dmarc=` [`applied_policy`](Outcome::applied_policy) of it (RFC 9989 §9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The result.
    pub result: DmarcResult,
    /// Why.
    pub cause: Cause,
    /// The author domain that the result is about. `None` if there is no single one, unless the policy of one of several
    /// applies.
    pub author: Option<Name>,
    /// How organizational domains were found.
    pub method: Method,
    /// The author's organizational domain; `None` if nothing depended on it.
    pub organizational_domain: Option<Name>,
    /// The record that rules.
    pub policy_record: Option<PolicyRecord>,
    /// What it asks for in the name of this author domain, by `p`, `sp` or `np`. `None` if there is no record, or one that
    /// asks for nothing.
    pub policy: Option<Policy>,
    /// The same after `t` and `pct`.
    pub applied_policy: Option<Policy>,
    /// The domains that SPF and DKIM brought, and what was made of each.
    pub identifiers: Vec<Identifier>,
    /// What to do with the message, all in all.
    pub disposition: Disposition,
    /// Why something else is done than what the record asks for, in the order in which it came.
    pub overrides: Vec<Override>,
    /// How it came about, for people.
    pub trace: Vec<Step>,
}

words! {
    /// The result (RFC 9989 §9.2), in the words of Authentication-Results.
    #[non_exhaustive]
    pub enum DmarcResult {
        /// The author's domain does not take part.
        None = "none",
        /// The author's domain stands behind the message.
        Pass = "pass",
        /// It does not.
        Fail = "fail",
        /// It cannot be told for now.
        TempError = "temperror",
        /// It cannot be told.
        PermError = "permerror",
    }
}

/// Why a result is what it is. It prints as a reason for Authentication-Results: constant texts, numbers and domain names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Pass: SPF or DKIM verified a domain that is aligned.
    Aligned,
    /// Fail: neither did.
    NotAligned,
    /// None: no record rules.
    NoRecord,
    /// Permerror: the record that rules asks for nothing that could be done.
    UnusableRecord,
    /// Temperror: this domain could not be looked up.
    LookupFailed(Name),
    /// Temperror: this domain would be aligned, but SPF or DKIM could not verify it for now.
    NotVerifiedYet(Name),
    /// Temperror: the check was given up before SPF and DKIM were done.
    NoEvidence,
    /// There is no single author domain. Permerror; fail where the strictest policy applies to several From fields.
    Author(FromFault),
}

words! {
    /// How organizational domains were found, in the words of aggregate reports.
    #[non_exhaustive]
    pub enum Method {
        /// By walking up the DNS (RFC 9989 §4.10).
        TreeWalk = "treewalk",
        /// By a public suffix list (RFC 7489 §3.2).
        PublicSuffixList = "psl",
    }
}

/// A record, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyRecord {
    /// The domain, without `_dmarc`.
    pub domain: Name,
    /// What it is to the author's.
    pub place: Place,
    /// The record.
    pub record: Arc<Record>,
}

/// What the domain of a record is to the author's (RFC 9989 §4.10.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// The author's domain itself: `p` applies.
    Author,
    /// Its organizational domain: `sp` or `np` applies.
    Organization,
    /// Its public suffix: `sp` or `np` applies.
    PublicSuffix,
}

words! {
    /// What to do with a message.
    #[non_exhaustive]
    pub enum Disposition {
        /// What would be done without DMARC.
        None = "none",
        /// Treat it as suspicious.
        Quarantine = "quarantine",
        /// Refuse it.
        Reject = "reject",
        /// Put it off: the sender shall try again.
        Defer = "defer",
    }
}

/// Something else is done than what the record asks for (RFC 9989 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Override {
    /// Why.
    pub reason: OverrideReason,
    /// What would have been done.
    pub before: Disposition,
    /// What is done.
    pub after: Disposition,
}

words! {
    /// Why something else is done than what the record asks for, in the words of aggregate reports (RFC 9990 §3.1.6,
    /// RFC 7489 Appendix C).
    #[non_exhaustive]
    pub enum OverrideReason {
        /// A rule of this server.
        LocalPolicy = "local_policy",
        /// It seems to come from a mailing list.
        MailingList = "mailing_list",
        /// Something else.
        Other = "other",
        /// The record has `t=y`. Written as `other` in reports of RFC 7489.
        PolicyTestMode = "policy_test_mode",
        /// It came over somebody on the list of this server, for instance with an ARC chain that such a one sealed.
        TrustedForwarder = "trusted_forwarder",
        /// It was forwarded. RFC 7489 alone; written as `other` in reports of RFC 9990.
        Forwarded = "forwarded",
        /// The record has `pct`, and the message was not drawn. RFC 7489 alone; written as `other` in reports of RFC 9990.
        SampledOut = "sampled_out",
    }
}

impl Outcome {
    pub(super) const fn new(method: Method, result: DmarcResult, cause: Cause) -> Self {
        Outcome {
            result,
            cause,
            author: None,
            method,
            organizational_domain: None,
            policy_record: None,
            policy: None,
            applied_policy: None,
            identifiers: Vec::new(),
            disposition: Disposition::None,
            overrides: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// Whether SPF verified an aligned domain, as aggregate reports tell.
    pub fn spf_is_aligned(&self) -> bool {
        self.is_aligned(Source::Spf)
    }

    /// Whether DKIM verified an aligned domain, as aggregate reports tell.
    pub fn dkim_is_aligned(&self) -> bool {
        self.is_aligned(Source::Dkim)
    }

    fn is_aligned(&self, source: Source) -> bool {
        let mut of_source = self.identifiers.iter().filter(|identifier| identifier.source == source);
        of_source.any(|identifier| identifier.verdict == Verdict::Aligned)
    }

    /// Lets a rule of this server decide otherwise, and keeps the reason (RFC 7960 has where that is wise). Only the
    /// disposition changes; the result stays what it is.
    pub fn override_disposition(&mut self, reason: OverrideReason, disposition: Disposition) {
        if disposition != self.disposition {
            let change = Override { reason, before: self.disposition, after: disposition };
            self.disposition = disposition;
            self.overrides.push(change);
            self.trace.push(Step::Override(change));
        }
    }

    /// The reply to the message if it is not to be taken (RFC 9989 §7.2).
    pub fn refusal(&self) -> Option<Reply> {
        match (self.disposition, &self.cause, &self.policy_record) {
            (Disposition::None | Disposition::Quarantine, ..) => None,
            (Disposition::Defer, ..) => {
                Some(Reply::enhanced(451, 4, 7, 1, "DMARC cannot be checked for now, try again later"))
            }
            (Disposition::Reject, Cause::Author(fault), None) => {
                Some(Reply::enhanced(550, 5, 7, 1, format!("the author cannot be told: {fault}")))
            }
            (Disposition::Reject, _, Some(PolicyRecord { domain, .. })) if self.result == DmarcResult::Fail => {
                Some(Reply::enhanced(550, 5, 7, 1, format!("refused by the DMARC policy of {domain}")))
            }
            (Disposition::Reject, ..) => Some(Reply::enhanced(550, 5, 7, 1, "refused by the policy of this server")),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Aligned => f.write_str("an aligned domain is verified"),
            Cause::NotAligned => f.write_str("no aligned domain is verified"),
            Cause::NoRecord => f.write_str("no record"),
            Cause::UnusableRecord => f.write_str("a record without a policy"),
            Cause::LookupFailed(domain) => write!(f, "{domain} cannot be looked up for now"),
            Cause::NotVerifiedYet(domain) => write!(f, "{domain} cannot be verified for now"),
            Cause::NoEvidence => f.write_str("SPF and DKIM are not done"),
            Cause::Author(fault) => write!(f, "{fault}"),
        }
    }
}

impl From<Policy> for Disposition {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::None => Disposition::None,
            Policy::Quarantine => Disposition::Quarantine,
            Policy::Reject => Disposition::Reject,
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} makes {} of {}", self.reason, self.after, self.before)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Author => "the author's domain itself",
            Place::Organization => "the organizational domain",
            Place::PublicSuffix => "the public suffix",
        })
    }
}
