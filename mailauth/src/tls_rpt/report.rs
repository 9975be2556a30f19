//! The report, and the mail that carries it (RFC 8460 §4.4, §5).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use pillarbox_core::dns::Name;

use super::FailureType;
use crate::dane::Tlsa;
use crate::mta_sts::Policy;

/// A report on the sessions with the hosts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Who reports.
    pub organization: String,
    /// An address of whoever can be asked.
    pub contact: String,
    /// What tells this report from others of the same organisation.
    pub id: String,
    /// The first second that the report covers, since 1970. The whole day in UTC is usual.
    pub start: u64,
    /// The last second.
    pub end: u64,
    /// The sessions by policy.
    pub policies: Vec<PolicyReport>,
}

impl Report {
    /// A report.
    pub fn new(
        organization: &str,
        contact: &str,
        id: &str,
        start: u64,
        end: u64,
        policies: impl IntoIterator<Item = PolicyReport>,
    ) -> Self {
        Report {
            organization: organization.into(),
            contact: contact.into(),
            id: id.into(),
            start,
            end,
            policies: policies.into_iter().collect(),
        }
    }
}

/// The sessions under one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyReport {
    /// The policy.
    pub policy: AppliedPolicy,
    /// The domain whose policy it is; `None` if a report that was read does not name one.
    pub domain: Option<Name>,
    /// Sessions that came to what the policy asks for.
    pub successful: u64,
    /// Sessions that did not.
    pub failed: u64,
    /// Why they did not. One session can count in several.
    pub failures: Vec<FailureDetail>,
}

/// A policy in a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct AppliedPolicy {
    /// Its type.
    pub kind: PolicyType,
    /// Its lines (MTA-STS) or records (DANE), as RFC 8460 §4.5 writes them.
    pub lines: Vec<String>,
    /// The patterns of its hosts (MTA-STS).
    pub mx: Vec<String>,
}

/// The type of a policy (RFC 8460 §4.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PolicyType {
    /// MTA-STS.
    Sts,
    /// DANE.
    Tlsa,
    /// Neither of them.
    NoPolicyFound,
    /// Another word, in a report that was read.
    Other(String),
}

impl PolicyType {
    /// The word of the report.
    pub fn as_str(&self) -> &str {
        match self {
            PolicyType::Sts => "sts",
            PolicyType::Tlsa => "tlsa",
            PolicyType::NoPolicyFound => "no-policy-found",
            PolicyType::Other(word) => word,
        }
    }
}

/// Characters of a policy's lines that a report keeps, for all lines together: room for about 40 hosts. A policy can have
/// 64 KiB, and its owner knows it.
const LINES_SIZE_MAX: usize = 2048;

impl AppliedPolicy {
    /// A policy of MTA-STS. Of a long one the first lines are kept.
    pub fn sts(policy: &Policy) -> Self {
        let mx = policy.mx.iter().map(ToString::to_string);
        AppliedPolicy { kind: PolicyType::Sts, lines: first_of(policy.lines()), mx: first_of(mx) }
    }

    /// The policy of MTA-STS of a domain that announces one which nobody could get.
    pub const fn sts_unknown() -> Self {
        AppliedPolicy { kind: PolicyType::Sts, lines: Vec::new(), mx: Vec::new() }
    }

    /// The TLSA records of a host.
    pub fn tlsa<'t>(records: impl IntoIterator<Item = &'t Tlsa>) -> Self {
        let lines = first_of(records.into_iter().map(ToString::to_string));
        AppliedPolicy { kind: PolicyType::Tlsa, lines, mx: Vec::new() }
    }

    /// No policy was found.
    pub const fn none() -> Self {
        AppliedPolicy { kind: PolicyType::NoPolicyFound, lines: Vec::new(), mx: Vec::new() }
    }

    pub(super) fn size(&self) -> usize {
        self.lines.iter().chain(&self.mx).map(|line| line.len() + size_of::<String>()).sum()
    }
}

fn first_of(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut room = LINES_SIZE_MAX;
    lines
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect()
}

/// Sessions that failed in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureDetail {
    /// How.
    pub result: ResultType,
    /// The address that we connected from.
    pub sending_ip: Option<IpAddr>,
    /// The host by its MX record.
    pub receiving_host: Option<Name>,
    /// The name by which it greeted.
    pub receiving_helo: Option<String>,
    /// Its address.
    pub receiving_ip: Option<IpAddr>,
    /// How many sessions.
    pub sessions: u64,
    /// A URI with more about it.
    pub additional_information: Option<String>,
    /// A short code or text of the error.
    pub reason: Option<String>,
}

/// How sessions failed, in a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ResultType {
    /// In a way that RFC 8460 §4.3 names.
    Known(FailureType),
    /// In another way.
    Other(String),
}

impl ResultType {
    /// The word of the report.
    pub fn as_str(&self) -> &str {
        match self {
            ResultType::Known(failure) => failure.as_str(),
            ResultType::Other(word) => word,
        }
    }
}

impl fmt::Display for ResultType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the mail with a report says of it outside the report (RFC 8460 §5.1, §5.3): a `multipart/report` with
/// `report-type="tlsrpt"`, whose second part has the media type and the file name given here. It needs a DKIM signature of
/// the submitter's that covers [`fields`](ReportMail::fields), without `l=`.
///
/// ```
/// use pillarbox_auth::tls_rpt::{Report, ReportMail};
///
/// let report = Report::new("Example", "tls@mail.example.com", "735ff.e317", 1470013207, 1470186007, []);
/// let mail = ReportMail::new(&report, &"example.net".parse()?, &"mail.example.com".parse()?, true);
/// assert_eq!(mail.file_name, "mail.example.com!example.net!1470013207!1470186007.json.gz");
/// assert_eq!(mail.fields()[1], ("TLS-Report-Domain", "example.net"));
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportMail {
    /// The subject.
    pub subject: String,
    /// The domain that the report is for.
    pub domain: String,
    /// The domain that reports: that of the contact in the report.
    pub submitter: String,
    /// The media type of the part with the report.
    pub media_type: &'static str,
    /// The file name of that part.
    pub file_name: String,
}

impl ReportMail {
    /// The mail with a report for a domain, by a submitter; `gzip` says whether the report is compressed (RFC 8460 §5.2).
    pub fn new(report: &Report, domain: &Name, submitter: &Name, gzip: bool) -> Self {
        // RFC 5322 §3.6.4: id-left; what a report's identifier may hold beyond that stays in the report.
        let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let id = report.id.split('@').next().unwrap_or_default();
        let id: String = id.chars().map(|c| if is_atom(c) { c } else { '-' }).take(ID_MAX).collect();
        let (media_type, extension) =
            if gzip { ("application/tlsrpt+gzip", "json.gz") } else { ("application/tlsrpt+json", "json") };
        ReportMail {
            subject: alloc::format!("Report Domain: {domain} Submitter: {submitter} Report-ID: <{id}@{submitter}>"),
            domain: domain.to_string(),
            submitter: submitter.to_string(),
            media_type,
            file_name: alloc::format!("{submitter}!{domain}!{}!{}.{extension}", report.start, report.end),
        }
    }

    /// The fields of the header that tell the report, names and values.
    pub fn fields(&self) -> [(&'static str, &str); 3] {
        [("Subject", &self.subject), ("TLS-Report-Domain", &self.domain), ("TLS-Report-Submitter", &self.submitter)]
    }
}

/// Characters of an identifier that a subject shows.
const ID_MAX: usize = 100;
