//! Aggregate reports: what a domain's mail looked like to a receiver in a day (RFC 9990, and the form of RFC 7489).
//!
//! A receiver counts messages in a [`Collector`], makes a [`Report`] of each domain when the period is over, writes it with
//! [`Report::to_xml`] and puts it into an [`AggregateMail`]. A domain owner takes reports out of the mails that come, and gets
//! the same [`Report`] (feature `reports`).

mod collect;
#[cfg(feature = "reports")]
mod element;
mod mail;
mod name;
mod observe;
#[cfg(feature = "reports")]
mod parse;
#[cfg(feature = "reports")]
mod read;
mod write;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

pub use super::period::Period;
pub use crate::dkim::DkimResult;
pub use collect::{Added, CollectLimits, Collected, Collector};
pub use mail::{AggregateMail, Attachment};
pub use name::{Packing, ReportName};
pub use observe::{DkimSeen, Observation, PublishedPolicy, SpfSeen};
#[cfg(feature = "reports")]
pub use parse::{ParseError, ParseLimits, Parsed};
#[cfg(feature = "reports")]
pub use read::{ReadError, ReadLimits};

use crate::dmarc::{AlignmentMode, Method, OverrideReason, Policy};
use crate::spf;
use crate::words::words;

/// An aggregate report as a value: of one domain, one period, one receiver.
///
/// Texts are as the reporter wrote them, claims of a stranger: nothing here is checked against anything. What is `None` was
/// not said, or not in a way that could be understood.
///
/// ```
/// use pillarbox_auth::reports::aggregate::{Metadata, Period, PolicyPublished, Report};
///
/// let metadata = Metadata::new("Example", "dmarc@example.net", "1-example.org@example.net", Period::containing(0, Period::DAY));
/// let report = Report::new(metadata, PolicyPublished::new("example.org"));
/// assert!(report.to_xml().contains("<domain>example.org</domain>"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Which form it is written in.
    pub dialect: Dialect,
    /// Who reports, and when.
    pub metadata: Metadata,
    /// The policy that was found.
    pub policy: PolicyPublished,
    /// What was seen: one for each combination of address, identifiers and results.
    pub records: Vec<Record>,
}

/// The form of an aggregate report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// RFC 9990, with its namespace.
    #[default]
    Rfc9990,
    /// RFC 7489 appendix C. Like every reporter's it is written without a namespace.
    Rfc7489,
}

/// Who reports, and when (RFC 9990 §3.1.1.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The name of the organisation that reports.
    pub org_name: String,
    /// How to reach it.
    pub email: String,
    /// Another way to reach it, such as a web page.
    pub extra_contact_info: Option<Text>,
    /// What tells this report from others; the same when it is sent again.
    pub report_id: String,
    /// The time that is covered.
    pub period: Period,
    /// What was wrong with the domain's record. RFC 9990 has one text at most: several are written as one.
    pub errors: Vec<Text>,
    /// The software that wrote it. Not in RFC 7489.
    pub generator: Option<String>,
}

/// Text for people, with the tag of its language if one is given; without one it is English (RFC 9990 §3.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text {
    /// The text.
    pub text: String,
    /// The tag of its language, such as `de`.
    pub lang: Option<String>,
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text { text: text.into(), lang: None }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text { text, lang: None }
    }
}

/// The policy that a report is about (RFC 9990 §3.1.1.5). Tags that the record does not have may be given with their
/// defaults or left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyPublished {
    /// The domain at which the record was found.
    pub domain: String,
    /// How it was found. Not in RFC 7489.
    pub discovery: Option<Method>,
    /// The policy for the domain.
    pub p: Option<Policy>,
    /// The policy for domains below it.
    pub sp: Option<Policy>,
    /// The policy for domains that do not exist. Not in RFC 7489.
    pub np: Option<Policy>,
    /// How close a DKIM domain must be to the author's.
    pub adkim: Option<AlignmentMode>,
    /// How close an SPF domain must be to the author's.
    pub aspf: Option<AlignmentMode>,
    /// The options for failure reports.
    pub fo: Option<String>,
    /// Whether the policy is only tried out. Not in RFC 7489.
    pub testing: Option<bool>,
    /// The share of messages that the policy is for. RFC 7489 alone.
    pub pct: Option<u8>,
}

/// What was seen of one combination of address, identifiers and results (RFC 9990 §3.1.1.7).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Record {
    /// The address that the messages came from.
    pub source_ip: IpAddr,
    /// How many they were.
    pub count: u64,
    /// What DMARC made of them.
    pub evaluated: PolicyEvaluated,
    /// Which domains they named.
    pub identifiers: Identifiers,
    /// The signatures of each.
    pub dkim: Vec<DkimAuthResult>,
    /// The results of SPF: one at most in RFC 9990, which knows `mfrom` alone; RFC 7489 allowed several.
    pub spf: Vec<SpfAuthResult>,
}

/// What DMARC made of messages (RFC 9990 §3.1.1.9).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct PolicyEvaluated {
    /// What was done with them.
    pub disposition: Option<ActionDisposition>,
    /// Whether an aligned domain passed DKIM.
    pub dkim_aligned: Option<bool>,
    /// Whether an aligned domain passed SPF.
    pub spf_aligned: Option<bool>,
    /// Why it was not what the policy says.
    pub reasons: Vec<Reason>,
}

/// Why something else was done than the policy says (RFC 9990 §3.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Reason {
    /// The kind of reason.
    pub kind: Option<OverrideReason>,
    /// Details for people.
    pub comment: Option<Text>,
}

/// The domains that messages named (RFC 9990 §3.1.1.10).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Identifiers {
    /// The domain in From.
    pub header_from: String,
    /// The domain of MAIL FROM; empty for the null path.
    pub envelope_from: Option<String>,
    /// The domain of RCPT TO.
    pub envelope_to: Option<String>,
}

/// What came of a DKIM signature (RFC 9990 §3.1.1.12).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct DkimAuthResult {
    /// The signing domain, `d=`.
    pub domain: String,
    /// The selector, `s=`; RFC 7489 did not ask for it.
    pub selector: Option<String>,
    /// The result.
    pub result: Option<DkimResult>,
    /// Details for people.
    pub human_result: Option<Text>,
}

/// What came of SPF (RFC 9990 §3.1.1.13).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct SpfAuthResult {
    /// The domain that was checked.
    pub domain: String,
    /// Where it came from.
    pub scope: Option<SpfScope>,
    /// The result.
    pub result: Option<SpfResult>,
    /// Details for people.
    pub human_result: Option<Text>,
}

impl Report {
    /// A report without records, in the form of RFC 9990.
    pub const fn new(metadata: Metadata, policy: PolicyPublished) -> Self {
        Report { dialect: Dialect::Rfc9990, metadata, policy, records: Vec::new() }
    }

    /// How many messages it is about.
    pub fn messages(&self) -> u64 {
        self.records.iter().fold(0, |sum, record| sum.saturating_add(record.count))
    }
}

impl Metadata {
    /// The parts that every report has.
    pub fn new(
        org_name: impl Into<String>,
        email: impl Into<String>,
        report_id: impl Into<String>,
        period: Period,
    ) -> Self {
        Metadata {
            org_name: org_name.into(),
            email: email.into(),
            report_id: report_id.into(),
            period,
            ..Metadata::default()
        }
    }
}

impl PolicyPublished {
    /// The policy of a domain of which nothing else is known yet.
    pub fn new(domain: impl Into<String>) -> Self {
        PolicyPublished { domain: domain.into(), ..PolicyPublished::default() }
    }
}

impl Record {
    /// A record without results.
    pub const fn new(source_ip: IpAddr, count: u64, evaluated: PolicyEvaluated, identifiers: Identifiers) -> Self {
        Record { source_ip, count, evaluated, identifiers, dkim: Vec::new(), spf: Vec::new() }
    }
}

impl Reason {
    /// A reason, with details for people if there are any.
    pub const fn new(kind: OverrideReason, comment: Option<Text>) -> Self {
        Reason { kind: Some(kind), comment }
    }
}

impl Identifiers {
    /// The domain in From.
    pub fn new(header_from: impl Into<String>) -> Self {
        Identifiers { header_from: header_from.into(), ..Identifiers::default() }
    }
}

words! {
    /// What was done with a message.
    #[non_exhaustive]
    pub enum ActionDisposition {
        /// Nothing.
        None = "none",
        /// Nothing, as it passed under a policy that asks for more. Written as `none` in RFC 7489.
        Pass = "pass",
        /// It was treated as suspicious.
        Quarantine = "quarantine",
        /// It was refused.
        Reject = "reject",
    }
}

words! {
    /// Results of SPF as reports have them (RFC 8601 §2.7.2): those of [`spf::SpfResult`], and one that is no result of a check.
    #[non_exhaustive]
    pub enum SpfResult {
        /// The domain has no record.
        None = "none",
        /// The address may send for the domain.
        Pass = "pass",
        /// It may not.
        Fail = "fail" | "hardfail",
        /// It probably may not.
        SoftFail = "softfail",
        /// The result is not acceptable.
        Policy = "policy",
        /// The domain says neither.
        Neutral = "neutral",
        /// A passing error; RFC 7489 appendix C notes that `unknown` was written for it.
        TempError = "temperror" | "unknown",
        /// A lasting error; RFC 7489 appendix C notes that `error` was written for it.
        PermError = "permerror" | "error",
    }
}

words! {
    /// Where the domain that SPF checked came from.
    #[non_exhaustive]
    pub enum SpfScope {
        /// MAIL FROM.
        MailFrom = "mfrom" | "mailfrom",
        /// HELO. RFC 7489 alone.
        Helo = "helo",
    }
}

impl From<spf::SpfResult> for SpfResult {
    fn from(result: spf::SpfResult) -> Self {
        match result {
            spf::SpfResult::None => SpfResult::None,
            spf::SpfResult::Neutral => SpfResult::Neutral,
            spf::SpfResult::Pass => SpfResult::Pass,
            spf::SpfResult::Fail => SpfResult::Fail,
            spf::SpfResult::SoftFail => SpfResult::SoftFail,
            spf::SpfResult::TempError => SpfResult::TempError,
            spf::SpfResult::PermError => SpfResult::PermError,
        }
    }
}
