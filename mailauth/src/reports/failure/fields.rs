//! Writing and reading the fields for machines (RFC 5965 §3.5, RFC 6591 §4, RFC 9991 §4).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;
use core::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pillarbox_core::WallTime;
use pillarbox_core::address::{Address, ReversePath};
use pillarbox_core::dns::Name;
use pillarbox_core::header::{self, Fields};

use super::{AuthFailure, DeliveryResult, Feedback, FeedbackType, IdentityAlignment, SpfDns};
use crate::idn;
use crate::reports::fault::{FaultKind, Faults};
use crate::reports::mime::{decode_base64, write_field};
use crate::reports::text::{quote, unquote, without_comments};

/// What is read of the fields at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedbackLimits {
    /// Fields. 1000, as of a header.
    pub fields_max: usize,
    /// Fields of one name that may be repeated, and fields of names that are not known. 100.
    pub repeated_max: usize,
    /// Octets of one field. 102,400, as of a header; longer ones are left out.
    pub field_len_max: usize,
}

impl Default for FeedbackLimits {
    fn default() -> Self {
        FeedbackLimits { fields_max: 1000, repeated_max: 100, field_len_max: 102_400 }
    }
}

impl Feedback {
    /// The fields as text with CRLF line ends. Nothing that a value holds can end its field.
    pub fn to_text(&self) -> String {
        let mut out = FieldWriter(Vec::new());
        out.all("Feedback-Type", self.kind);
        out.all("User-Agent", &self.user_agent);
        out.all("Version", self.version);
        out.all("Auth-Failure", self.auth_failure);
        out.all("Delivery-Result", self.delivery_result);
        out.all("Authentication-Results", &self.authentication_results);
        out.all("Identity-Alignment", self.identity_alignment);
        out.all("DKIM-Domain", &self.dkim_domain);
        out.all("DKIM-Identity", &self.dkim_identity);
        out.all("DKIM-Selector", &self.dkim_selector);
        out.all("DKIM-Selector-DNS", self.dkim_selector_dns.as_deref().map(quote));
        out.all("DKIM-Canonicalized-Header", self.dkim_canonicalized_header.as_deref().map(encode_base64));
        out.all("DKIM-Canonicalized-Body", self.dkim_canonicalized_body.as_deref().map(encode_base64));
        out.all("DKIM-ADSP-DNS", self.dkim_adsp_dns.as_deref().map(quote));
        out.all("SPF-DNS", self.spf_dns.iter().map(write_spf_dns));
        out.all("Original-Envelope-Id", &self.original_envelope_id);
        out.all("Original-Mail-From", &self.original_mail_from);
        out.all("Original-Rcpt-To", self.original_rcpt_to.iter().map(|address| alloc::format!("<{address}>")));
        out.all("Arrival-Date", self.arrival_date);
        out.all("Reporting-MTA", self.reporting_mta.as_ref().map(|name| alloc::format!("dns; {name}")));
        out.all("Source-IP", self.source_ip.map(write_ip));
        out.all("Source-Port", self.source_port);
        out.all("Incidents", (self.incidents != 1).then_some(self.incidents));
        out.all("Reported-Domain", &self.reported_domains);
        out.all("Reported-URI", &self.reported_uris);
        for (name, value) in &self.other {
            // A name that is none would turn its field into another one, or into nothing.
            if !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':') {
                out.all(name, Some(value));
            }
        }
        String::from_utf8(out.0).expect("it was put together from text")
    }

    /// Reads the fields; never fails, as what cannot be understood is left out and told. Octets that are not UTF-8 are
    /// replaced.
    pub fn parse(part: &[u8], limits: &FeedbackLimits) -> (Self, Faults) {
        // Some reporters leave a line empty before the first field.
        let start = part.iter().position(|octet| !matches!(octet, b'\r' | b'\n')).unwrap_or(part.len());
        let mut reader = FieldReader { feedback: Feedback::empty(), faults: Faults::default(), limits };
        let mut count = 0;
        let mut has_incidents = false;
        for field in Fields::new(&part[start..]) {
            count += 1;
            if count > limits.fields_max {
                reader.faults.note("message/feedback-report", FaultKind::TooMany);
                break;
            }
            if field.raw.len() > limits.field_len_max {
                reader.faults.note("message/feedback-report", FaultKind::TooLong);
                continue;
            }
            let unfolded = field.unfolded();
            let value = String::from_utf8_lossy(&unfolded);
            if matches!(value, Cow::Owned(_)) {
                reader.faults.note("message/feedback-report", FaultKind::NotUtf8);
            }
            let name = core::str::from_utf8(field.name).unwrap_or_default();
            reader.read(name, value.trim(), &mut has_incidents);
        }
        reader.finish()
    }
}

struct FieldWriter(Vec<u8>);

impl FieldWriter {
    /// A field for each value.
    fn all<T: Display>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        for value in values {
            write_field(&mut self.0, name, &value.to_string());
        }
    }
}

/// Base64 in words that a line can hold.
fn encode_base64(octets: &[u8]) -> String {
    octets.chunks(54).map(|chunk| STANDARD.encode(chunk)).collect::<Vec<_>>().join(" ")
}

/// RFC 5321 §4.1.3, without the brackets.
fn write_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => alloc::format!("IPv6:{ip}"),
    }
}

fn parse_ip(text: &str) -> Option<IpAddr> {
    let text = text.split_ascii_whitespace().next()?;
    let text = text.strip_prefix('[').map_or(text, |text| text.strip_suffix(']').unwrap_or(text));
    let is_tagged = text.get(..5).is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    text[if is_tagged { 5 } else { 0 }..].parse().ok()
}

fn write_spf_dns(spf: &SpfDns) -> String {
    let kind = if spf.is_spf_type { "spf" } else { "txt" };
    alloc::format!("{kind} : {} : {}", spf.domain, quote(&spf.record))
}

fn parse_spf_dns(text: &str) -> Option<SpfDns> {
    let mut parts = text.splitn(3, ':').map(str::trim);
    let (kind, domain, record) = (parts.next()?, parts.next()?, parts.next()?);
    let is_spf_type = kind.eq_ignore_ascii_case("spf");
    if !is_spf_type && !kind.eq_ignore_ascii_case("txt") {
        return None;
    }
    Some(SpfDns { is_spf_type, domain: parse_name(domain)?, record: unquote(record) })
}

fn parse_name(text: &str) -> Option<Name> {
    Name::parse(&idn::to_ascii(text).ok()?).ok()
}

fn parse_path(text: &str) -> Option<ReversePath<'static>> {
    let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text).trim();
    // Some leave the field empty for the null path.
    if text.is_empty() {
        return Some(ReversePath::Null);
    }
    text.parse::<Address<'static>>().ok().map(ReversePath::Address)
}

/// RFC 9991 §4; some put another mark than the comma between the two.
fn parse_alignment(text: &str) -> Option<IdentityAlignment> {
    let mut alignment = IdentityAlignment::default();
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).peekable();
    words.peek()?;
    for word in words {
        match &*word.to_ascii_lowercase() {
            "dkim" => alignment.dkim = true,
            "spf" => alignment.spf = true,
            "none" => {}
            _ => return None,
        }
    }
    Some(alignment)
}

fn parse_incidents(text: &str) -> Option<u32> {
    text.parse().ok().filter(|incidents| *incidents > 0)
}

struct FieldReader<'l> {
    feedback: Feedback,
    faults: Faults,
    limits: &'l FeedbackLimits,
}

impl FieldReader<'_> {
    fn read(&mut self, name: &str, value: &str, has_incidents: &mut bool) {
        let FieldReader { feedback, faults, limits } = self;
        let bare = || without_comments(value);
        let text = || Some(value.to_string());
        let max = limits.repeated_max;
        match &*name.to_ascii_lowercase() {
            "feedback-type" => once(faults, "Feedback-Type", &mut feedback.kind, FeedbackType::from_word(&bare())),
            "user-agent" => once(faults, "User-Agent", &mut feedback.user_agent, text()),
            "version" => {
                // "1.0" is common.
                let version = bare().split('.').next().and_then(|version| version.parse().ok());
                once(faults, "Version", &mut feedback.version, version);
            }
            "auth-failure" => {
                once(faults, "Auth-Failure", &mut feedback.auth_failure, AuthFailure::from_word(&bare()));
            }
            "delivery-result" => {
                once(faults, "Delivery-Result", &mut feedback.delivery_result, DeliveryResult::from_word(&bare()));
            }
            "identity-alignment" => {
                let alignment = parse_alignment(&bare());
                once(faults, "Identity-Alignment", &mut feedback.identity_alignment, alignment);
            }
            "authentication-results" => {
                many(faults, "Authentication-Results", &mut feedback.authentication_results, text(), max);
            }
            "original-envelope-id" => {
                once(faults, "Original-Envelope-Id", &mut feedback.original_envelope_id, text());
            }
            "original-mail-from" => {
                once(faults, "Original-Mail-From", &mut feedback.original_mail_from, parse_path(&bare()));
            }
            "original-rcpt-to" => {
                let address = match parse_path(&bare()) {
                    Some(ReversePath::Address(address)) => Some(address),
                    _ => None,
                };
                many(faults, "Original-Rcpt-To", &mut feedback.original_rcpt_to, address, max);
            }
            // RFC 5965 §3.2: the historic name means the same.
            "arrival-date" | "received-date" => {
                once::<WallTime>(
                    faults,
                    "Arrival-Date",
                    &mut feedback.arrival_date,
                    header::parse_date(value.as_bytes()),
                );
            }
            "reporting-mta" => {
                let mta = bare();
                let mta = mta.split_once(';').map_or(&*mta, |(_, name)| name.trim());
                once(faults, "Reporting-MTA", &mut feedback.reporting_mta, Some(mta.to_string()));
            }
            "source-ip" => once(faults, "Source-IP", &mut feedback.source_ip, parse_ip(&bare())),
            "source-port" => once(faults, "Source-Port", &mut feedback.source_port, bare().parse().ok()),
            "incidents" => {
                let mut incidents = has_incidents.then_some(feedback.incidents);
                once(faults, "Incidents", &mut incidents, parse_incidents(&bare()));
                feedback.incidents = incidents.unwrap_or(1);
                *has_incidents = incidents.is_some();
            }
            "reported-domain" => {
                many(faults, "Reported-Domain", &mut feedback.reported_domains, parse_name(&bare()), max);
            }
            "reported-uri" => many(faults, "Reported-URI", &mut feedback.reported_uris, text(), max),
            "dkim-domain" => once(faults, "DKIM-Domain", &mut feedback.dkim_domain, parse_name(&bare())),
            "dkim-identity" => once(faults, "DKIM-Identity", &mut feedback.dkim_identity, Some(bare())),
            "dkim-selector" => once(faults, "DKIM-Selector", &mut feedback.dkim_selector, parse_name(&bare())),
            "dkim-selector-dns" => {
                let record = Some(unquote(&bare()));
                once(faults, "DKIM-Selector-DNS", &mut feedback.dkim_selector_dns, record);
            }
            "dkim-canonicalized-header" => {
                let header = decode_base64(value.as_bytes());
                once(faults, "DKIM-Canonicalized-Header", &mut feedback.dkim_canonicalized_header, Some(header));
            }
            "dkim-canonicalized-body" => {
                let body = decode_base64(value.as_bytes());
                once(faults, "DKIM-Canonicalized-Body", &mut feedback.dkim_canonicalized_body, Some(body));
            }
            "dkim-adsp-dns" => {
                once(faults, "DKIM-ADSP-DNS", &mut feedback.dkim_adsp_dns, Some(unquote(&bare())));
            }
            "spf-dns" => many(faults, "SPF-DNS", &mut feedback.spf_dns, parse_spf_dns(&bare()), max),
            "" => faults.note("message/feedback-report", FaultKind::Unreadable),
            _ => {
                let field = Some((name.to_string(), value.to_string()));
                many(faults, "message/feedback-report", &mut feedback.other, field, max);
            }
        }
    }

    /// RFC 5965 §3.1, RFC 6591 §3.2.1, RFC 9991 §4
    fn finish(self) -> (Feedback, Faults) {
        let FieldReader { feedback, mut faults, .. } = self;
        let is_failure = feedback.kind == Some(FeedbackType::AuthFailure);
        let is_dmarc = feedback.auth_failure == Some(AuthFailure::Dmarc);
        for (place, is_missing) in [
            ("Feedback-Type", feedback.kind.is_none()),
            ("User-Agent", feedback.user_agent.is_none()),
            ("Version", feedback.version.is_none()),
            ("Auth-Failure", is_failure && feedback.auth_failure.is_none()),
            ("Authentication-Results", is_failure && feedback.authentication_results.is_empty()),
            ("Identity-Alignment", is_dmarc && feedback.identity_alignment.is_none()),
        ] {
            if is_missing && !faults.iter().any(|fault| fault.place == place) {
                faults.note(place, FaultKind::Missing);
            }
        }
        (feedback, faults)
    }
}

/// A field that may stand once.
fn once<T>(faults: &mut Faults, place: &'static str, target: &mut Option<T>, value: Option<T>) {
    match value {
        None => faults.note(place, FaultKind::Unreadable),
        Some(_) if target.is_some() => faults.note(place, FaultKind::Repeated),
        Some(value) => *target = Some(value),
    }
}

/// A field that may stand many times.
fn many<T>(faults: &mut Faults, place: &'static str, target: &mut Vec<T>, value: Option<T>, max: usize) {
    match value {
        None => faults.note(place, FaultKind::Unreadable),
        Some(_) if target.len() >= max => faults.note(place, FaultKind::TooMany),
        Some(value) => target.push(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Feedback, Vec<String>) {
        let (feedback, faults) = Feedback::parse(text.as_bytes(), &FeedbackLimits::default());
        (feedback, faults.iter().map(|fault| fault.to_string()).collect())
    }

    #[test]
    fn what_reporters_write() {
        let (feedback, faults) = read(
            "\r\nFeedback-Type: AUTH-FAILURE (really)\r\nVersion: 1.0\r\nUser-Agent: Lua/1.0\r\n\
             Authentication-Results: x; dmarc=fail\r\nAuth-Failure: dmarc\r\nIdentity-Alignment: spf-dkim\r\n\
             Original-Mail-From:\r\nSource-IP: 148.163.85.135 (sainay.example.org)\r\nSource-Port: 70000\r\n\
             Received-Date: Wed, 14 Apr 2010 12:15:31 -0700 (PDT)\r\nDelivery-Result: smg-policy-action\r\n\
             Message-ID: <a@b>",
        );
        assert_eq!(feedback.kind, Some(FeedbackType::AuthFailure));
        assert_eq!(feedback.version, Some(1));
        assert_eq!(feedback.original_mail_from, Some(ReversePath::Null));
        assert_eq!(feedback.identity_alignment, Some(IdentityAlignment { dkim: true, spf: true }));
        assert_eq!(feedback.source_ip, Some([148, 163, 85, 135].into()));
        assert_eq!(feedback.other, [("Message-ID".to_string(), "<a@b>".to_string())]);
        assert_eq!(feedback.incidents, 1);
        assert_eq!(faults, ["Source-Port cannot be understood", "Delivery-Result cannot be understood"]);
    }

    #[test]
    fn what_is_missing_or_there_twice_is_told() {
        let (feedback, faults) =
            read("Incidents: 0\r\nIncidents: 5\r\nIncidents: 6\r\nSource-IP: 192.0.2.1\r\nSource-IP: [IPv6:::1]\r\n");
        assert_eq!((feedback.incidents, feedback.source_ip), (5, Some([192, 0, 2, 1].into())));
        assert_eq!(
            faults,
            [
                "Incidents cannot be understood",
                "Incidents is there more than once",
                "Source-IP is there more than once",
                "Feedback-Type is missing",
                "User-Agent is missing",
                "Version is missing"
            ]
        );
    }

    #[test]
    fn floods_of_fields_are_cut() {
        let many = "Reported-Domain: example.org\r\n".repeat(5000);
        let (feedback, faults) = read(&many);
        assert_eq!(feedback.reported_domains.len(), 100);
        assert!(faults.contains(&"message/feedback-report is there too often, and the rest was left out".to_string()));
        let (feedback, _) = read(&alloc::format!("User-Agent: {}\r\nVersion: 1\r\n", "x".repeat(200_000)));
        assert_eq!((feedback.user_agent, feedback.version), (None, Some(1)));
    }

    #[test]
    fn values_cannot_add_fields() {
        let mut feedback = Feedback::auth_failure(AuthFailure::Spf, "a\r\nSource-IP: 192.0.2.9");
        feedback.other =
            [("X: y\r\nZ".to_string(), "v".to_string()), ("X".to_string(), "\r\n\r\nFrom: x".to_string())].into();
        feedback.dkim_identity = Some("@example.org\nVersion: 2".to_string());
        let (read, _) = read(&feedback.to_text());
        assert_eq!(read.source_ip, None);
        assert_eq!(read.version, Some(1));
        assert_eq!(read.other.len(), 1);
    }
}
