//! Reports as JSON (RFC 8460 §4.4).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::net::IpAddr;

use pillarbox_core::WallTime;
use pillarbox_core::dns::Name;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{AppliedPolicy, FailureDetail, FailureType, PolicyReport, PolicyType, Report, ResultType};

/// What bounds the reading of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// Octets of the report, after decompression: 10 MiB, which RFC 8460 §5.2 names as a usual limit.
    pub size_max: usize,
    /// Policies: 1,000.
    pub policies_max: usize,
    /// Entries of failures, of all policies together: 20,000.
    pub failures_max: usize,
    /// Lines of a policy, and patterns of hosts: 1,000.
    pub lines_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        ReadLimits { size_max: 10 << 20, policies_max: 1000, failures_max: 20_000, lines_max: 1000 }
    }
}

/// Why a report cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// [`ReadLimits::size_max`]
    #[error("the report is too long")]
    TooLarge,
    /// Another limit of [`ReadLimits`].
    #[error("the report has too many {0}")]
    TooMany(&'static str),
    /// It is no JSON, or a value is of another kind than it has to be. Inside lists the place is counted from their start.
    #[error("line {line}, column {column}: not the JSON of a report")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// A date is none (RFC 3339 §5.6).
    #[error("{0} is no date")]
    Date(&'static str),
}

impl Report {
    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&Written::of(self)).expect("strings and numbers are always JSON")
    }

    /// Reads a report.
    ///
    /// Senders leave out fields that are required and write others that are not; so only JSON and the dates have to be right.
    /// A domain, host or address that is none is taken as missing.
    ///
    /// # Errors
    ///
    /// [`ReportError`]
    ///
    /// ```
    /// use pillarbox_auth::tls_rpt::{ReadLimits, Report};
    ///
    /// let json = br#"{"organization-name": "Example", "contact-info": "tls@example.net", "report-id": "1",
    ///     "date-range": {"start-datetime": "2026-01-01T00:00:00Z", "end-datetime": "2026-01-01T23:59:59Z"},
    ///     "policies": [{"policy": {"policy-type": "no-policy-found", "policy-domain": "example.org"},
    ///                   "summary": {"total-successful-session-count": 3, "total-failure-session-count": 0}}]}"#;
    /// let report = Report::parse_json(json, &ReadLimits::default())?;
    /// assert_eq!((report.start, report.policies[0].successful), (1_767_225_600, 3));
    /// assert_eq!(Report::parse_json(report.to_json().as_bytes(), &ReadLimits::default()), Ok(report));
    /// # Ok::<(), pillarbox_auth::tls_rpt::ReportError>(())
    /// ```
    pub fn parse_json(json: &[u8], limits: &ReadLimits) -> Result<Self, ReportError> {
        if json.len() > limits.size_max {
            return Err(ReportError::TooLarge);
        }
        let read: ReadReport<'_> = serde_json::from_slice(json).map_err(syntax)?;
        let policies: Vec<ReadPolicy<'_>> = list(read.policies, limits.policies_max, "policies")?;
        let mut failures_max = limits.failures_max;
        let policies = policies.into_iter().map(|policy| {
            let failures: Vec<ReadFailure<'_>> = list(policy.failure_details, failures_max, "failures")?;
            failures_max -= failures.len();
            Ok(PolicyReport {
                policy: AppliedPolicy {
                    kind: match &*policy.policy.policy_type {
                        "sts" => PolicyType::Sts,
                        "tlsa" => PolicyType::Tlsa,
                        "no-policy-found" => PolicyType::NoPolicyFound,
                        other => PolicyType::Other(other.into()),
                    },
                    lines: lines(policy.policy.policy_string, limits)?,
                    mx: lines(policy.policy.mx_host, limits)?,
                },
                domain: policy.policy.policy_domain.and_then(|name| Name::parse(&name).ok()),
                successful: policy.summary.successful.unwrap_or(0),
                failed: policy.summary.failed.unwrap_or(0),
                failures: failures.into_iter().map(FailureDetail::from).collect(),
            })
        });
        Ok(Report {
            organization: read.organization_name.into(),
            contact: read.contact_info.unwrap_or_default().into(),
            id: read.report_id.into(),
            start: parse_date(&read.date_range.start).ok_or(ReportError::Date("start-datetime"))?,
            end: parse_date(&read.date_range.end).ok_or(ReportError::Date("end-datetime"))?,
            policies: policies.collect::<Result<_, _>>()?,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn syntax(error: serde_json::Error) -> ReportError {
    ReportError::Json { line: error.line(), column: error.column() }
}

/// A list that is read element by element, so that a short text cannot become a long list.
struct Limited<T> {
    max: usize,
    element: PhantomData<T>,
}

/// The mark of the error that says so.
const TOO_MANY: &str = "too many elements";

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Limited<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Limited<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == self.max {
                return Err(A::Error::custom(TOO_MANY));
            }
            list.push(element);
        }
        Ok(list)
    }
}

fn list<'de, T: Deserialize<'de>>(
    raw: Option<&'de RawValue>,
    max: usize,
    what: &'static str,
) -> Result<Vec<T>, ReportError> {
    // Some write null for an empty list.
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    Limited { max, element: PhantomData }.deserialize(&mut deserializer).map_err(|error| {
        if error.is_data() && error.to_string().starts_with(TOO_MANY) {
            return ReportError::TooMany(what);
        }
        syntax(error)
    })
}

/// A list of texts, or one text in its place: the example of RFC 8460 has it both ways.
fn lines(raw: Option<&RawValue>, limits: &ReadLimits) -> Result<Vec<String>, ReportError> {
    match raw.filter(|raw| raw.get().starts_with('"')) {
        Some(text) => Ok([serde_json::from_str(text.get()).map_err(syntax)?].into()),
        None => list(raw, limits.lines_max, "lines of a policy"),
    }
}

// Texts are borrowed where they have no escapes.

#[derive(Deserialize)]
struct ReadReport<'a> {
    #[serde(borrow, rename = "organization-name", default)]
    organization_name: Cow<'a, str>,
    #[serde(borrow, rename = "date-range")]
    date_range: DateRange<'a>,
    #[serde(borrow, rename = "contact-info")]
    contact_info: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "report-id", default)]
    report_id: Cow<'a, str>,
    #[serde(borrow)]
    policies: Option<&'a RawValue>,
}

#[derive(Serialize, Deserialize)]
struct DateRange<'a> {
    #[serde(borrow, rename = "start-datetime")]
    start: Cow<'a, str>,
    #[serde(borrow, rename = "end-datetime")]
    end: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ReadPolicy<'a> {
    #[serde(borrow)]
    policy: ReadPolicyText<'a>,
    #[serde(default)]
    summary: Summary,
    #[serde(borrow, rename = "failure-details")]
    failure_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ReadPolicyText<'a> {
    #[serde(borrow, rename = "policy-type", default)]
    policy_type: Cow<'a, str>,
    #[serde(borrow, rename = "policy-string")]
    policy_string: Option<&'a RawValue>,
    #[serde(borrow, rename = "policy-domain")]
    policy_domain: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "mx-host")]
    mx_host: Option<&'a RawValue>,
}

#[derive(Default, Serialize, Deserialize)]
struct Summary {
    #[serde(rename = "total-successful-session-count")]
    successful: Option<u64>,
    #[serde(rename = "total-failure-session-count")]
    failed: Option<u64>,
}

#[derive(Deserialize)]
struct ReadFailure<'a> {
    #[serde(borrow, rename = "result-type", default)]
    result_type: Cow<'a, str>,
    #[serde(borrow, rename = "sending-mta-ip")]
    sending_mta_ip: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "receiving-mx-hostname")]
    receiving_mx_hostname: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "receiving-mx-helo")]
    receiving_mx_helo: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "receiving-ip")]
    receiving_ip: Option<Cow<'a, str>>,
    #[serde(rename = "failed-session-count")]
    failed_session_count: Option<u64>,
    #[serde(borrow, rename = "additional-information")]
    additional_information: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "failure-reason-code")]
    failure_reason_code: Option<Cow<'a, str>>,
}

impl From<ReadFailure<'_>> for FailureDetail {
    fn from(read: ReadFailure<'_>) -> Self {
        let ip = |text: Option<Cow<'_, str>>| text.and_then(|text| text.parse().ok());
        let result = FailureType::from_word(&read.result_type);
        FailureDetail {
            result: result.map_or_else(|| ResultType::Other(read.result_type.into_owned()), ResultType::Known),
            sending_ip: ip(read.sending_mta_ip),
            receiving_host: read.receiving_mx_hostname.and_then(|name| Name::parse(&name).ok()),
            receiving_helo: read.receiving_mx_helo.map(Cow::into_owned),
            receiving_ip: ip(read.receiving_ip),
            sessions: read.failed_session_count.unwrap_or(0),
            additional_information: read.additional_information.map(Cow::into_owned),
            reason: read.failure_reason_code.map(Cow::into_owned),
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "organization-name")]
    organization_name: &'a str,
    #[serde(rename = "date-range")]
    date_range: DateRange<'static>,
    #[serde(rename = "contact-info")]
    contact_info: &'a str,
    #[serde(rename = "report-id")]
    report_id: &'a str,
    policies: Vec<WrittenPolicy<'a>>,
}

#[derive(Serialize)]
struct WrittenPolicy<'a> {
    policy: WrittenPolicyText<'a>,
    summary: Summary,
    #[serde(rename = "failure-details", skip_serializing_if = "Vec::is_empty")]
    failure_details: Vec<WrittenFailure<'a>>,
}

#[derive(Serialize)]
struct WrittenPolicyText<'a> {
    #[serde(rename = "policy-type")]
    policy_type: &'a str,
    #[serde(rename = "policy-string", skip_serializing_if = "<[String]>::is_empty")]
    policy_string: &'a [String],
    #[serde(rename = "policy-domain", skip_serializing_if = "Option::is_none")]
    policy_domain: Option<&'a str>,
    #[serde(rename = "mx-host", skip_serializing_if = "<[String]>::is_empty")]
    mx_host: &'a [String],
}

#[derive(Serialize)]
struct WrittenFailure<'a> {
    #[serde(rename = "result-type")]
    result_type: &'a str,
    #[serde(rename = "sending-mta-ip", skip_serializing_if = "Option::is_none")]
    sending_mta_ip: Option<IpAddr>,
    #[serde(rename = "receiving-mx-hostname", skip_serializing_if = "Option::is_none")]
    receiving_mx_hostname: Option<&'a str>,
    #[serde(rename = "receiving-mx-helo", skip_serializing_if = "Option::is_none")]
    receiving_mx_helo: Option<&'a str>,
    #[serde(rename = "receiving-ip", skip_serializing_if = "Option::is_none")]
    receiving_ip: Option<IpAddr>,
    #[serde(rename = "failed-session-count")]
    failed_session_count: u64,
    #[serde(rename = "additional-information", skip_serializing_if = "Option::is_none")]
    additional_information: Option<&'a str>,
    #[serde(rename = "failure-reason-code", skip_serializing_if = "Option::is_none")]
    failure_reason_code: Option<&'a str>,
}

impl<'a> Written<'a> {
    fn of(report: &'a Report) -> Self {
        let policies = report.policies.iter().map(|policy| WrittenPolicy {
            policy: WrittenPolicyText {
                policy_type: policy.policy.kind.as_str(),
                policy_string: &policy.policy.lines,
                policy_domain: policy.domain.as_ref().map(Name::as_str),
                mx_host: &policy.policy.mx,
            },
            summary: Summary { successful: Some(policy.successful), failed: Some(policy.failed) },
            failure_details: policy.failures.iter().map(WrittenFailure::of).collect(),
        });
        Written {
            organization_name: &report.organization,
            date_range: DateRange { start: date(report.start).into(), end: date(report.end).into() },
            contact_info: &report.contact,
            report_id: &report.id,
            policies: policies.collect(),
        }
    }
}

impl<'a> WrittenFailure<'a> {
    fn of(failure: &'a FailureDetail) -> Self {
        WrittenFailure {
            result_type: failure.result.as_str(),
            sending_mta_ip: failure.sending_ip,
            receiving_mx_hostname: failure.receiving_host.as_ref().map(Name::as_str),
            receiving_mx_helo: failure.receiving_helo.as_deref(),
            receiving_ip: failure.receiving_ip,
            failed_session_count: failure.sessions,
            additional_information: failure.additional_information.as_deref(),
            failure_reason_code: failure.reason.as_deref(),
        }
    }
}

/// RFC 3339 §5.6, in UTC.
fn date(unix_seconds: u64) -> String {
    let date = WallTime::new(i64::try_from(unix_seconds).unwrap_or(i64::MAX), 0).civil();
    alloc::format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year,
        date.month,
        date.day,
        date.hour,
        date.minute,
        date.second
    )
}

/// RFC 3339 §5.6: a date with its zone, which some leave out; fractions of a second are cut off.
fn parse_date(text: &str) -> Option<u64> {
    let octets = text.as_bytes();
    let number = |from: usize, length: usize| {
        let digits = octets.get(from..from + length)?;
        digits
            .iter()
            .try_fold(0_i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    };
    let part = |from| number(from, 2).and_then(|number| u8::try_from(number).ok());
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let is_date = marks.iter().all(|(at, mark)| octets.get(*at) == Some(mark))
        && matches!(octets.get(10), Some(b'T' | b't' | b' '));
    let mut zone = 19;
    if octets.get(zone) == Some(&b'.') {
        zone += 1 + octets[zone + 1..].iter().take_while(|octet| octet.is_ascii_digit()).count();
    }
    let offset = match octets.get(zone..)? {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let seconds = i32::from(part(zone + 1)?) * 3600 + i32::from(part(zone + 4)?) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let time = WallTime::from_civil(number(0, 4)?, part(5)?, part(8)?, part(11)?, part(14)?, part(17)?, offset)?;
    u64::try_from(time.unix_seconds()).ok().filter(|_| is_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-01-01t01:00:00.123+01:00", Some(1_767_225_600)),
            ("2025-12-31 23:00:00-01:00", Some(1_767_225_600)),
            ("2026-01-01T00:00:00", Some(1_767_225_600)),
            ("2026-01-01T00:00:00.", Some(1_767_225_600)),
            ("2026-02-30T00:00:00Z", None),
            ("2026-01-01", None),
            ("2026-01-01T00:00:00z0", None),
            ("2026-01-01T00:00:00+0100", None),
            ("1969-12-31T23:59:59Z", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text), seconds, "{text}");
        }
        assert_eq!(date(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(parse_date(&date(u64::MAX)), Some(253_402_300_799));
    }
}
