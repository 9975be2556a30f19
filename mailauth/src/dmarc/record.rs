//! Policy records (RFC 9989 §4.7, §4.8), with what is left of RFC 7489.
//!
//! The enums here are exhaustive on purpose: more values would need another version of records (RFC 9989 §4.8).

use alloc::vec::Vec;
use core::fmt;

use super::{ReportUri, uri};
use crate::tag_list::{Tag, TagList, TagListError, Tags, trim};
use crate::words::words;

words! {
    /// What a domain asks to be done with mail in its name that fails (`p`, `sp`, `np`). The greater is the stricter.
    pub enum Policy {
        /// Nothing.
        None = "none",
        /// Such mail is suspicious.
        Quarantine = "quarantine",
        /// Such mail is not from there.
        Reject = "reject",
    }
}

words! {
    /// How much of a domain must be the author's (`adkim`, `aspf`).
    #[derive(Default)]
    pub enum AlignmentMode {
        /// The organizational domain.
        #[default]
        Relaxed = "r",
        /// All of it.
        Strict = "s",
    }
}

/// Whether independent organizations have domains below this one (`psd`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PublicSuffixDomain {
    /// `psd=y`: they have.
    Yes,
    /// `psd=n`: it is the organizational domain of itself and of what is below.
    No,
    /// The record does not say.
    #[default]
    Unknown,
}

/// Which messages a domain wants failure reports of (`fo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FailureOptions {
    /// When to report that DMARC fails; `None` for not at all.
    pub dmarc: Option<FailureTrigger>,
    /// `d`: of each signature that fails, aligned or not.
    pub dkim: bool,
    /// `s`: when SPF fails, aligned or not.
    pub spf: bool,
}

/// When to report that DMARC fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureTrigger {
    /// `0`: neither SPF nor DKIM has an aligned pass.
    All,
    /// `1`: one of them has none.
    Any,
}

impl Default for FailureOptions {
    fn default() -> Self {
        FailureOptions { dmarc: Some(FailureTrigger::All), dkim: false, spf: false }
    }
}

/// A record, as a domain publishes it at `_dmarc`.
///
/// ```
/// use pillarbox_auth::dmarc::{AlignmentMode, Policy, Record};
///
/// let record = Record::parse(b"v=DMARC1; p=Reject; sp=none; adkim=s; rua=mailto:a@example.org!10m")?;
/// assert_eq!(record.policy, Some(Policy::Reject));
/// assert_eq!(record.dkim_alignment, AlignmentMode::Strict);
/// assert_eq!(record.aggregate_reports[0].mailbox().unwrap().address().to_string(), "a@example.org");
/// assert_eq!(record.to_string(), "v=DMARC1; p=reject; sp=none; adkim=s; rua=mailto:a@example.org!10485760");
/// # Ok::<(), pillarbox_auth::dmarc::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// `p`. `None` if the record asks for nothing that could be done: `p` is missing, or a policy in it is no policy, and
    /// no reports are wanted either (RFC 9989 §4.10.1). It may still say where an organization begins.
    pub policy: Option<Policy>,
    /// `sp`: for subdomains.
    pub subdomain_policy: Option<Policy>,
    /// `np`: for subdomains that do not exist.
    pub nonexistent_policy: Option<Policy>,
    /// `adkim`
    pub dkim_alignment: AlignmentMode,
    /// `aspf`
    pub spf_alignment: AlignmentMode,
    /// `psd`
    pub public_suffix_domain: PublicSuffixDomain,
    /// `t=y`: one step less than the policy is wanted as yet.
    pub is_testing: bool,
    /// `rua`: where aggregate reports go.
    pub aggregate_reports: Vec<ReportUri>,
    /// `ruf`: where failure reports go.
    pub failure_reports: Vec<ReportUri>,
    /// `fo`: the default unless there is a valid `ruf`.
    pub failure_options: FailureOptions,
    /// `pct` of RFC 7489: to how many of a hundred messages the policy applies, 0 to 100. RFC 9989 has it no more.
    pub percent: u8,
    /// `ri` of RFC 7489: how many seconds there should be between aggregate reports. RFC 9989 has it no more.
    pub report_interval: u32,
}

/// Why a text is no DMARC record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It does not begin with `v=DMARC1`: it is a text for somebody else.
    #[error("not a DMARC record")]
    NotDmarc,
    /// A tag stands twice (RFC 6376 §3.2).
    #[error("a tag stands twice")]
    DuplicateTag,
    /// More than 100 tags.
    #[error("too many tags")]
    TooManyTags,
}

/// RFC 7489 §6.3
const REPORT_INTERVAL: u32 = 86_400;

impl Record {
    /// A record that asks for a policy, and for nothing else.
    pub fn new(policy: Policy) -> Self {
        Record { policy: Some(policy), ..Record::empty() }
    }

    const fn empty() -> Self {
        Record {
            policy: None,
            subdomain_policy: None,
            nonexistent_policy: None,
            dkim_alignment: AlignmentMode::Relaxed,
            spf_alignment: AlignmentMode::Relaxed,
            public_suffix_domain: PublicSuffixDomain::Unknown,
            is_testing: false,
            aggregate_reports: Vec::new(),
            failure_reports: Vec::new(),
            failure_options: FailureOptions { dmarc: Some(FailureTrigger::All), dkim: false, spf: false },
            percent: 100,
            report_interval: REPORT_INTERVAL,
        }
    }

    /// Parses a text, the strings of one TXT record put together.
    ///
    /// Unknown tags are read over, and what is wrong behind the version counts as if it were not there (RFC 9989 §4.8). Of
    /// the URIs in a list the first ten that are valid are kept. `rf` of RFC 7489 is read over, too: only one format was
    /// ever registered, and others are to be ignored.
    ///
    /// # Errors
    ///
    /// [`RecordError`]
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        // RFC 9989 §4.8 has no white space before the version, which tag lists elsewhere may have.
        if text.first() != Some(&b'v') {
            return Err(RecordError::NotDmarc);
        }
        // RFC 9989 §4.7: the version is case-sensitive, and the first tag.
        if Tags::new(text).next() != Some(Ok(Tag { name: b"v", value: b"DMARC1" })) {
            return Err(RecordError::NotDmarc);
        }
        let tags = TagList::parse_what_is_well_formed(text).map_err(|error| match error {
            TagListError::TooMany => RecordError::TooManyTags,
            TagListError::Duplicate | TagListError::Malformed => RecordError::DuplicateTag,
        })?;
        let mut record = Record::empty();
        let mut policies = [None; 3];
        let mut failure_options = None;
        for Tag { name, value } in tags.iter() {
            // Octets that are no text are no word either.
            let word = || core::str::from_utf8(value).unwrap_or_default();
            match name {
                b"p" => policies[0] = Some(Policy::from_word(word())),
                b"sp" => policies[1] = Some(Policy::from_word(word())),
                b"np" => policies[2] = Some(Policy::from_word(word())),
                b"rua" => record.aggregate_reports = uri::parse_list(value),
                b"ruf" => record.failure_reports = uri::parse_list(value),
                b"fo" => failure_options = parse_failure_options(value),
                b"adkim" => record.dkim_alignment = AlignmentMode::from_word(word()).unwrap_or_default(),
                b"aspf" => record.spf_alignment = AlignmentMode::from_word(word()).unwrap_or_default(),
                b"psd" => record.public_suffix_domain = parse_psd(value).unwrap_or_default(),
                b"t" => record.is_testing = value.eq_ignore_ascii_case(b"y"),
                b"pct" => record.percent = parse_number(value).filter(|percent| *percent <= 100).unwrap_or(100),
                b"ri" => record.report_interval = parse_number(value).unwrap_or(REPORT_INTERVAL),
                _ => {}
            }
        }
        // RFC 9989 §4.7: "fo" is to be ignored without "ruf".
        if !record.failure_reports.is_empty() {
            record.failure_options = failure_options.unwrap_or_default();
        }
        match policies {
            [Some(Some(policy)), subdomain @ (None | Some(Some(_))), nonexistent @ (None | Some(Some(_)))] => {
                record.policy = Some(policy);
                record.subdomain_policy = subdomain.flatten();
                record.nonexistent_policy = nonexistent.flatten();
            }
            // RFC 9989 §4.10.1: with somewhere to send reports to, as if the record said "p=none".
            _ => record.policy = (!record.aggregate_reports.is_empty()).then_some(Policy::None),
        }
        Ok(record)
    }

    /// What it asks for in the name of a subdomain (RFC 9989 §4.10.1).
    pub fn policy_below(&self, exists: bool) -> Option<Policy> {
        let nonexistent = self.nonexistent_policy.filter(|_| !exists);
        nonexistent.or(self.subdomain_policy).or(self.policy)
    }
}

impl Policy {
    /// One step less: what `t=y` leaves of it (RFC 9989 §4.7), and `pct` for messages that are not drawn (RFC 7489 §6.6.4).
    #[must_use]
    pub const fn lowered(self) -> Self {
        match self {
            Policy::None | Policy::Quarantine => Policy::None,
            Policy::Reject => Policy::Quarantine,
        }
    }
}

fn parse_psd(value: &[u8]) -> Option<PublicSuffixDomain> {
    match value {
        b"y" | b"Y" => Some(PublicSuffixDomain::Yes),
        b"n" | b"N" => Some(PublicSuffixDomain::No),
        b"u" | b"U" => Some(PublicSuffixDomain::Unknown),
        _ => None,
    }
}

fn parse_number<T: core::str::FromStr>(value: &[u8]) -> Option<T> {
    let is_number = value.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

/// RFC 9989 §4.8: each option at most once, and not both of 0 and 1.
fn parse_failure_options(value: &[u8]) -> Option<FailureOptions> {
    let mut options = FailureOptions { dmarc: None, dkim: false, spf: false };
    for option in value.split(|octet| *octet == b':') {
        let is_repeated = match trim(option) {
            b"0" => options.dmarc.replace(FailureTrigger::All).is_some(),
            b"1" => options.dmarc.replace(FailureTrigger::Any).is_some(),
            b"d" | b"D" => core::mem::replace(&mut options.dkim, true),
            b"s" | b"S" => core::mem::replace(&mut options.spf, true),
            _ => return None,
        };
        if is_repeated {
            return None;
        }
    }
    Some(options)
}

impl fmt::Display for FailureOptions {
    /// The value of the tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trigger = self.dmarc.map(|trigger| match trigger {
            FailureTrigger::All => "0",
            FailureTrigger::Any => "1",
        });
        let words = [trigger, self.dkim.then_some("d"), self.spf.then_some("s")];
        for (index, word) in words.into_iter().flatten().enumerate() {
            write!(f, "{}{word}", if index == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Record {
    /// The text to publish, without what is the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=DMARC1")?;
        let policies = [("p", self.policy), ("sp", self.subdomain_policy), ("np", self.nonexistent_policy)];
        for (name, policy) in policies {
            if let Some(policy) = policy {
                write!(f, "; {name}={policy}")?;
            }
        }
        for (name, mode) in [("adkim", self.dkim_alignment), ("aspf", self.spf_alignment)] {
            if mode == AlignmentMode::Strict {
                write!(f, "; {name}=s")?;
            }
        }
        match self.public_suffix_domain {
            PublicSuffixDomain::Yes => f.write_str("; psd=y")?,
            PublicSuffixDomain::No => f.write_str("; psd=n")?,
            PublicSuffixDomain::Unknown => {}
        }
        if self.is_testing {
            f.write_str("; t=y")?;
        }
        for (name, uris) in [("rua", &self.aggregate_reports), ("ruf", &self.failure_reports)] {
            for (index, uri) in uris.iter().enumerate() {
                match index {
                    0 => write!(f, "; {name}={uri}")?,
                    _ => write!(f, ",{uri}")?,
                }
            }
        }
        let options = self.failure_options;
        if options != FailureOptions::default() {
            write!(f, "; fo={options}")?;
        }
        if self.percent != 100 {
            write!(f, "; pct={}", self.percent)?;
        }
        if self.report_interval != REPORT_INTERVAL {
            write!(f, "; ri={}", self.report_interval)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn options_of_failure_reports() {
        let parse = |options: &str| {
            let text = alloc::format!("v=DMARC1; p=none; fo={options}; ruf=mailto:a@b.example");
            Record::parse(text.as_bytes()).unwrap().failure_options
        };
        let options = |dmarc, dkim, spf| FailureOptions { dmarc, dkim, spf };
        let default = FailureOptions::default();
        for (text, expected) in [
            ("1", options(Some(FailureTrigger::Any), false, false)),
            ("d:s", options(None, true, true)),
            ("1 : D: s", options(Some(FailureTrigger::Any), true, true)),
            ("s:0", options(Some(FailureTrigger::All), false, true)),
            ("0:1", default),
            ("d:d", default),
            ("1:x", default),
            ("", default),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        let without_ruf = Record::parse(b"v=DMARC1; p=none; fo=1").unwrap();
        assert_eq!(without_ruf.failure_options, default);
    }

    #[test]
    fn a_policy_that_is_none_of_the_three() {
        let policies = |text: &str| {
            let record = Record::parse(text.as_bytes()).unwrap();
            [record.policy, record.subdomain_policy, record.nonexistent_policy]
        };
        let nothing = [None; 3];
        let as_none = [Some(Policy::None), None, None];
        for tags in ["p=reject; sp=foo", "p=reject; np=foo", "p=; sp=reject", "sp=reject", "p=rejected"] {
            assert_eq!(policies(&alloc::format!("v=DMARC1; {tags}")), nothing, "{tags}");
            assert_eq!(policies(&alloc::format!("v=DMARC1; {tags}; rua=mailto:a@b.example")), as_none, "{tags}");
            assert_eq!(policies(&alloc::format!("v=DMARC1; {tags}; rua=nowhere")), nothing, "{tags}");
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for (tags, percent, interval) in [
            ("pct=0; ri=0", 0, 0),
            ("pct=100; ri=4294967295", 100, u32::MAX),
            ("pct=101; ri=4294967296", 100, REPORT_INTERVAL),
            ("pct=+5; ri=-1", 100, REPORT_INTERVAL),
            ("pct=; ri=1h", 100, REPORT_INTERVAL),
        ] {
            let record = Record::parse(alloc::format!("v=DMARC1; p=none; {tags}").as_bytes()).unwrap();
            assert_eq!((record.percent, record.report_interval), (percent, interval), "{tags}");
        }
    }

    #[test]
    fn lists_have_limits() {
        let many = "v=DMARC1; p=none; ".to_string()
            + &(0..100).map(|n| alloc::format!("x{n}=y;")).collect::<Vec<_>>().concat();
        assert_eq!(Record::parse(many.as_bytes()), Err(RecordError::TooManyTags));
    }
}
