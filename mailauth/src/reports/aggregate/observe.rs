//! What a collector is told of a message.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

use pillarbox_core::dns::Name;

use super::{ActionDisposition, DkimResult, PolicyPublished, Reason, SpfResult};
use crate::dmarc::{self, Disposition, DmarcResult, Method, Outcome, Policy, PolicyRecord};

/// The policy of a domain as the evaluation of a message found it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishedPolicy {
    /// The domain at which the record was found.
    pub domain: Name,
    /// How it was found.
    pub discovery: Method,
    /// The record, with where the domain wants its reports.
    pub record: dmarc::Record,
}

impl PublishedPolicy {
    /// The policy that a check found; `None` if there is none, or its domain has no mailbox that wants aggregate reports.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let PolicyRecord { domain, record, .. } = outcome.policy_record.as_ref()?;
        let is_wanted = record.policy.is_some() && record.aggregate_reports.iter().any(|uri| uri.mailbox().is_some());
        let (domain, record) = (domain.clone(), dmarc::Record::clone(record));
        is_wanted.then_some(PublishedPolicy { domain, discovery: outcome.method, record })
    }

    /// A policy that was found by walking up the DNS.
    pub const fn new(domain: Name, record: dmarc::Record) -> Self {
        PublishedPolicy { domain, discovery: Method::TreeWalk, record }
    }

    /// As it stands in a report: every tag with its value or its default (RFC 9990 §3.1.1.5).
    pub fn to_published(&self) -> PolicyPublished {
        let record = &self.record;
        // RFC 9989 §4.10.1: a record without a policy that could be used counts as one of none.
        let p = record.policy.unwrap_or(Policy::None);
        PolicyPublished {
            domain: self.domain.to_string(),
            discovery: Some(self.discovery),
            p: Some(p),
            sp: Some(record.policy_below(true).unwrap_or(p)),
            np: Some(record.policy_below(false).unwrap_or(p)),
            adkim: Some(record.dkim_alignment),
            aspf: Some(record.spf_alignment),
            fo: Some(record.failure_options.to_string()),
            testing: Some(record.is_testing),
            pct: Some(record.percent),
        }
    }
}

/// A message that was evaluated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Observation<'a> {
    /// The policy that was found.
    pub policy: &'a PublishedPolicy,
    /// The address of the client; an IPv4 address in its IPv6 form is written as the former.
    pub source_ip: IpAddr,
    /// The author's domain.
    pub header_from: &'a Name,
    /// The domain of MAIL FROM; `None` for the null path.
    pub envelope_from: Option<&'a Name>,
    /// The domain of a recipient. `None` keeps it out of the report: RFC 9990 §3.1.1.10 does not ask for it, and it tells
    /// where mail was forwarded to.
    pub envelope_to: Option<&'a Name>,
    /// What was done with the message.
    pub disposition: ActionDisposition,
    /// Whether an aligned domain passed DKIM.
    pub dkim_aligned: bool,
    /// Whether an aligned domain passed SPF.
    pub spf_aligned: bool,
    /// Why something else was done than the policy says.
    pub reasons: Vec<Reason>,
    /// The signatures.
    pub dkim: &'a [DkimSeen],
    /// The result of SPF for MAIL FROM.
    pub spf: Option<&'a SpfSeen>,
}

impl<'a> Observation<'a> {
    /// A message that was checked: what the check came to, without what SPF and DKIM say of it. `None` if there is nothing
    /// to tell: a message that was put off comes again.
    ///
    /// ```
    /// use pillarbox_auth::dmarc::{Check, Config, Evidence};
    /// use pillarbox_auth::from::Authors;
    /// use pillarbox_auth::reports::aggregate::{CollectLimits, Collector, Observation, PublishedPolicy};
    /// use pillarbox_core::dns::{self, FixedZone, Record};
    ///
    /// let record = "v=DMARC1; p=reject; rua=mailto:reports@example.org";
    /// let zone = FixedZone::new().with("_dmarc.example.org", Record::txt(record));
    /// let authors = Authors::read(b"From: joe@example.org\r\n\r\n", &Default::default());
    /// let mut check = Check::new(&authors, &Config::default());
    /// check.supply(Evidence::default());
    /// let outcome = dns::run(&mut check, &zone);
    ///
    /// let mut collector = Collector::new(CollectLimits::default());
    /// if let Some(policy) = PublishedPolicy::of(&outcome)
    ///     && let Some(mut message) = Observation::of(&policy, &outcome, [192, 0, 2, 1].into())
    /// {
    ///     // message.envelope_from, message.spf and message.dkim are of the other evaluators.
    ///     collector.add(&message);
    /// }
    /// assert_eq!(collector.domains().count(), 1);
    /// ```
    pub fn of(policy: &'a PublishedPolicy, outcome: &'a Outcome, source_ip: IpAddr) -> Option<Self> {
        let (author, disposition) = (outcome.author.as_ref()?, ActionDisposition::of(outcome)?);
        let mut message = Observation::new(policy, source_ip, author, disposition);
        message.dkim_aligned = outcome.dkim_is_aligned();
        message.spf_aligned = outcome.spf_is_aligned();
        message.reasons = outcome.overrides.iter().map(|change| Reason::new(change.reason, None)).collect();
        Some(message)
    }

    /// A message of which no result is known yet.
    pub const fn new(
        policy: &'a PublishedPolicy,
        source_ip: IpAddr,
        header_from: &'a Name,
        disposition: ActionDisposition,
    ) -> Self {
        Observation {
            policy,
            source_ip,
            header_from,
            envelope_from: None,
            envelope_to: None,
            disposition,
            dkim_aligned: false,
            spf_aligned: false,
            reasons: Vec::new(),
            dkim: &[],
            spf: None,
        }
    }
}

/// What came of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimSeen {
    /// `d=`
    pub domain: Name,
    /// `s=`
    pub selector: Name,
    /// The result.
    pub result: DkimResult,
    /// Whether the domain is of the author's organisation.
    pub is_aligned: bool,
    /// Details for people. Each different text makes a record of its own.
    pub human_result: Option<String>,
}

/// What came of SPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfSeen {
    /// The domain that was checked.
    pub domain: Name,
    /// The result.
    pub result: SpfResult,
    /// Details for people. Each different text makes a record of its own.
    pub human_result: Option<String>,
}

impl ActionDisposition {
    /// What a report says was done with a message that was checked; `None` if it was put off.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        match outcome.disposition {
            Disposition::Defer => None,
            Disposition::Quarantine => Some(ActionDisposition::Quarantine),
            Disposition::Reject => Some(ActionDisposition::Reject),
            Disposition::None => {
                let is_enforced = outcome.policy.is_some_and(|policy| policy != Policy::None);
                let is_pass = outcome.result == DmarcResult::Pass && is_enforced;
                Some(if is_pass { ActionDisposition::Pass } else { ActionDisposition::None })
            }
        }
    }
}
