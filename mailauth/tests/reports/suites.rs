//! Reports that others published: those of mail-auth with what it makes of them, those of parsedmarc, mox and the IETF. The
//! table goes to the output of the test; every difference is in a list here, with its reason.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the table of results is printed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pillarbox_auth::reports::aggregate::{Parsed, ReadError, ReadLimits, Record, Report, Text};
use pillarbox_auth::reports::failure::{FailureReadError, FailureReport, Feedback, FeedbackLimits, Original};
use pillarbox_auth::reports::{MailLimits, UnpackError};
use pillarbox_core::address::ReversePath;
use serde_json::Value;

/// The folder of the suites; `None`, with a line that says so, if it is not there to be read.
fn folder() -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("PILLARBOX_SHARED") else {
        eprintln!("skipped: PILLARBOX_SHARED is not set, so conformance/reports is not read");
        return None;
    };
    Some(PathBuf::from(shared).join("conformance/reports"))
}

fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.retain(|file| endings.iter().any(|ending| file.extension().is_some_and(|extension| extension == *ending)));
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

fn parse(file: &Path) -> Result<Parsed, ReadError> {
    let octets = read(file);
    let is_mail = file.extension().is_some_and(|extension| extension == "eml");
    let limits = ReadLimits::default();
    if is_mail { Report::from_mail(&octets, &limits) } else { Report::from_file(&octets, &limits) }
}

/// Holds the results of a suite to the list of differences: `name: what` for each that is not a plain pass.
fn judge(suite: &str, results: &BTreeMap<String, Vec<String>>, expected: &[(&str, &[&str])]) {
    let mut table = format!("{suite}: {} files\n", results.len());
    for (name, differences) in results {
        let result = if differences.is_empty() { "pass".into() } else { differences.join("; ") };
        let _ = writeln!(table, "  {name:60} {result}");
    }
    println!("{table}");
    let mut wrong = Vec::new();
    for (name, differences) in results {
        let listed = expected.iter().find(|(listed, _)| listed == name).map_or(&[][..], |(_, listed)| listed);
        if differences.iter().ne(listed.iter()) {
            wrong.push(format!("{name}: {differences:?}, listed are {listed:?}"));
        }
    }
    wrong.extend(
        expected
            .iter()
            .filter(|(name, _)| !results.contains_key(*name))
            .map(|(name, _)| format!("{name}: no such file")),
    );
    assert!(wrong.is_empty(), "{suite}\n{}", wrong.join("\n"));
}

/// A value of mail-auth's as a word of a report.
fn word(value: &Value) -> Option<String> {
    let word = match value.as_str()? {
        "Unspecified" => return None,
        "Relaxed" => "r",
        "Strict" => "s",
        "MailFrom" => "mfrom",
        "Treewalk" => "treewalk",
        "TrustedForwarder" => "trusted_forwarder",
        word => return Some(word.to_ascii_lowercase()),
    };
    Some(word.to_string())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// What mail-auth says and we do, side by side.
#[derive(Default)]
struct Comparison(Vec<String>);

impl Comparison {
    fn same(&mut self, place: &str, ours: impl ToString, theirs: impl ToString) {
        let (ours, theirs) = (ours.to_string(), theirs.to_string());
        if ours != theirs {
            self.0.push(format!("{place}: {ours:?}, not {theirs:?}"));
        }
    }

    fn word(&mut self, place: &str, ours: Option<impl ToString>, theirs: &Value) {
        let ours = ours.map(|ours| ours.to_string()).unwrap_or_default();
        self.same(place, ours, word(theirs).unwrap_or_default());
    }

    fn text(&mut self, place: &str, ours: Option<&str>, theirs: &Value) {
        self.same(place, ours.unwrap_or_default(), text(theirs));
    }

    fn record(&mut self, ours: &Record, theirs: &Value) {
        let spoken = |text: &Option<Text>| text.as_ref().map(|text| text.text.clone()).unwrap_or_default();
        self.same("source_ip", ours.source_ip, text(&theirs["row"]["source_ip"]));
        self.same("count", ours.count, &theirs["row"]["count"]);
        let evaluated = &theirs["row"]["policy_evaluated"];
        self.word("disposition", ours.evaluated.disposition, &evaluated["disposition"]);
        let word = |is_aligned| if is_aligned { "pass" } else { "fail" };
        self.word("dkim", ours.evaluated.dkim_aligned.map(word), &evaluated["dkim"]);
        self.word("spf", ours.evaluated.spf_aligned.map(word), &evaluated["spf"]);
        let reasons = evaluated["reason"].as_array().unwrap();
        self.same("reasons", ours.evaluated.reasons.len(), reasons.len());
        for (ours, theirs) in ours.evaluated.reasons.iter().zip(reasons) {
            self.word("type", ours.kind, &theirs["type_"]);
            self.same("comment", spoken(&ours.comment), text(&theirs["comment"]));
        }
        self.same("header_from", &ours.identifiers.header_from, text(&theirs["identifiers"]["header_from"]));
        let (envelope_from, envelope_to) = (&ours.identifiers.envelope_from, &ours.identifiers.envelope_to);
        self.text("envelope_from", envelope_from.as_deref(), &theirs["identifiers"]["envelope_from"]);
        self.text("envelope_to", envelope_to.as_deref(), &theirs["identifiers"]["envelope_to"]);
        let dkim = theirs["auth_results"]["dkim"].as_array().unwrap();
        self.same("dkim results", ours.dkim.len(), dkim.len());
        for (ours, theirs) in ours.dkim.iter().zip(dkim) {
            self.same("dkim domain", &ours.domain, text(&theirs["domain"]));
            self.text("selector", ours.selector.as_deref(), &theirs["selector"]);
            self.word("dkim result", ours.result, &theirs["result"]);
            self.same("human_result", spoken(&ours.human_result), text(&theirs["human_result"]));
        }
        let spf = theirs["auth_results"]["spf"].as_array().unwrap();
        self.same("spf results", ours.spf.len(), spf.len());
        for (ours, theirs) in ours.spf.iter().zip(spf) {
            self.same("spf domain", &ours.domain, text(&theirs["domain"]));
            self.word("scope", ours.scope, &theirs["scope"]);
            self.word("spf result", ours.result, &theirs["result"]);
        }
    }
}

fn compare_reports(ours: &Report, theirs: &Value) -> Vec<String> {
    let mut comparison = Comparison::default();
    let metadata = &theirs["report_metadata"];
    comparison.same("org_name", &ours.metadata.org_name, text(&metadata["org_name"]));
    comparison.same("email", &ours.metadata.email, text(&metadata["email"]));
    comparison.same("report_id", &ours.metadata.report_id, text(&metadata["report_id"]));
    let extra = ours.metadata.extra_contact_info.as_ref().map(|text| &*text.text);
    comparison.text("extra_contact_info", extra, &metadata["extra_contact_info"]);
    comparison.text("generator", ours.metadata.generator.as_deref(), &metadata["generator"]);
    comparison.same("errors", ours.metadata.errors.len(), metadata["error"].as_array().unwrap().len());
    comparison.same("begin", ours.metadata.period.begin, &metadata["date_range"]["begin"]);
    comparison.same("end", ours.metadata.period.end, &metadata["date_range"]["end"]);
    let policy = &theirs["policy_published"];
    comparison.same("domain", &ours.policy.domain, text(&policy["domain"]));
    comparison.word("adkim", ours.policy.adkim, &policy["adkim"]);
    comparison.word("aspf", ours.policy.aspf, &policy["aspf"]);
    comparison.word("p", ours.policy.p, &policy["p"]);
    comparison.word("sp", ours.policy.sp, &policy["sp"]);
    comparison.word("np", ours.policy.np, &policy["np"]);
    comparison.word("discovery_method", ours.policy.discovery, &policy["discovery_method"]);
    comparison.text("fo", ours.policy.fo.as_deref(), &policy["fo"]);
    comparison.same("testing", ours.policy.testing.unwrap_or_default(), &policy["testing"]);
    let records = theirs["record"].as_array().unwrap();
    comparison.same("records", ours.records.len(), records.len());
    for (ours, theirs) in ours.records.iter().zip(records) {
        comparison.record(ours, theirs);
    }
    comparison.0
}

#[test]
fn aggregate_reports_with_what_mail_auth_makes_of_them() {
    let Some(folder) = folder() else { return };
    let mut results = BTreeMap::new();
    for file in files(&folder.join("mail-auth/dmarc-feedback"), &["xml", "eml"]) {
        let theirs = serde_json::from_slice::<Value>(&read(&file.with_extension("json"))).unwrap();
        let differences = match parse(&file) {
            Ok(parsed) => compare_reports(&parsed.report, &theirs),
            Err(error) => [error.to_string()].into(),
        };
        results.insert(name(&file), differences);
    }
    judge(
        "mail-auth aggregate",
        &results,
        // RFC 7489 appendix C has this word; it is kept, and written as `other` only in the form of RFC 9990.
        &[("005.xml", &["type: \"sampled_out\", not \"other\""])],
    );
}

#[test]
fn aggregate_reports_of_others() {
    let Some(folder) = folder() else { return };
    let mut results = BTreeMap::new();
    for (sub, endings) in [
        ("parsedmarc/aggregate", &["xml", "gz", "zip", "eml"][..]),
        ("parsedmarc/aggregate_invalid", &["xml"]),
        ("parsedmarc/extract_report", &["xml", "gz", "zip"]),
        ("parsedmarc", &["xml"]),
        ("mox/dmarc-reports", &["eml"]),
        ("ietf", &["xml"]),
    ] {
        for file in files(&folder.join(sub), endings) {
            let (summary, faults) = match parse(&file) {
                Ok(parsed) => {
                    let report = &parsed.report;
                    assert!(!report.records.is_empty() && report.messages() > 0, "{}", file.display());
                    assert!(!report.policy.domain.is_empty());
                    (None, parsed.faults.iter().map(|fault| fault.to_string()).collect())
                }
                Err(error) => (Some(error.to_string()), Vec::new()),
            };
            results.insert(name(&file), summary.into_iter().chain(faults).collect::<Vec<_>>());
        }
    }
    judge(
        "aggregate reports of parsedmarc, mox and the IETF",
        &results,
        &[
            // A file without an octet.
            ("empty.xml", &["not an aggregate report"]),
            ("!example.com!1538204542!1538463818.xml", &["org_name is missing"]),
            ("!large-example.com!1711897200!1711983600.xml", &["org_name is missing"]),
            ("empty_reason.xml", &["type is missing"]),
            // Neither an octet that is not UTF-8 nor a tag that is none costs the report.
            ("invalid_utf_8.xml", &["feedback is not UTF-8", "org_name is missing"]),
            ("invalid_xml.xml", &["feedback is not balanced", "email is missing"]),
        ],
    );
}

fn path(path: Option<&ReversePath<'static>>) -> String {
    match path {
        Some(ReversePath::Address(address)) => address.to_string(),
        _ => String::new(),
    }
}

fn compare_feedback(ours: &Feedback, theirs: &Value) -> Vec<String> {
    let mut comparison = Comparison::default();
    let undashed = |word: Option<&str>| word.map(|word| word.replace('-', ""));
    comparison.word("feedback_type", undashed(ours.kind.map(|kind| kind.as_str())), &theirs["feedback_type"]);
    comparison.word("auth_failure", ours.auth_failure, &theirs["auth_failure"]);
    comparison.word("delivery_result", ours.delivery_result, &theirs["delivery_result"]);
    comparison.word("identity_alignment", ours.identity_alignment, &theirs["identity_alignment"]);
    let date = ours.arrival_date.map(|date| date.unix_seconds().to_string()).unwrap_or_else(|| "null".into());
    comparison.same("arrival_date", date, &theirs["arrival_date"]);
    comparison.same("incidents", ours.incidents, &theirs["incidents"]);
    comparison.same("version", ours.version.unwrap_or_default(), &theirs["version"]);
    comparison.same("source_port", ours.source_port.unwrap_or_default(), &theirs["source_port"]);
    let ip = ours.source_ip.map(|ip| ip.to_string());
    comparison.text("source_ip", ip.as_deref(), &theirs["source_ip"]);
    comparison.text("user_agent", ours.user_agent.as_deref(), &theirs["user_agent"]);
    comparison.text("reporting_mta", ours.reporting_mta.as_deref(), &theirs["reporting_mta"]);
    comparison.text("original_envelope_id", ours.original_envelope_id.as_deref(), &theirs["original_envelope_id"]);
    let bare = |value: &Value| text(value).trim_matches(['<', '>']).to_string();
    comparison.same("original_mail_from", path(ours.original_mail_from.as_ref()), bare(&theirs["original_mail_from"]));
    let recipient = ours.original_rcpt_to.first().map(|address| address.to_string()).unwrap_or_default();
    comparison.same("original_rcpt_to", recipient, bare(&theirs["original_rcpt_to"]));
    let list = |value: &Value| value.as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    let domains = ours.reported_domains.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    comparison.same("reported_domain", domains.join(" "), list(&theirs["reported_domain"]).join(" "));
    comparison.same("reported_uri", ours.reported_uris.join(" "), list(&theirs["reported_uri"]).join(" "));
    // Theirs keeps the folds, ours does not.
    let unfolded = list(&theirs["authentication_results"]).join("\n").replace("\n", "");
    comparison.same("authentication_results", ours.authentication_results.join(""), unfolded);
    let domain = ours.dkim_domain.as_ref().map(|name| name.to_string());
    comparison.text("dkim_domain", domain.as_deref(), &theirs["dkim_domain"]);
    comparison.text("dkim_identity", ours.dkim_identity.as_deref(), &theirs["dkim_identity"]);
    let selector = ours.dkim_selector.as_ref().map(|name| name.to_string());
    comparison.text("dkim_selector", selector.as_deref(), &theirs["dkim_selector"]);
    comparison.text("dkim_selector_dns", ours.dkim_selector_dns.as_deref(), &theirs["dkim_selector_dns"]);
    comparison.text("dkim_adsp_dns", ours.dkim_adsp_dns.as_deref(), &theirs["dkim_adsp_dns"]);
    // Theirs is not decoded.
    for (place, ours) in [
        ("dkim_canonicalized_header", &ours.dkim_canonicalized_header),
        ("dkim_canonicalized_body", &ours.dkim_canonicalized_body),
    ] {
        use base64::Engine as _;
        let theirs = text(&theirs[place]).replace(char::is_whitespace, "");
        let theirs = base64::engine::general_purpose::STANDARD.decode(theirs).unwrap();
        comparison.same(place, format!("{:?}", ours.as_deref().unwrap_or_default()), format!("{theirs:?}"));
    }
    comparison.0
}

fn parse_failure(file: &Path) -> Result<FailureReport, FailureReadError> {
    FailureReport::from_mail(&read(file), &MailLimits::default(), &FeedbackLimits::default())
}

#[test]
fn abuse_reports_with_what_mail_auth_makes_of_them() {
    let Some(folder) = folder() else { return };
    let mut results = BTreeMap::new();
    for file in files(&folder.join("mail-auth/arf"), &["eml"]) {
        let theirs = serde_json::from_slice::<Value>(&read(&file.with_extension("json"))).unwrap();
        let differences = match parse_failure(&file) {
            Ok(report) => {
                let mut differences = compare_feedback(&report.feedback, &theirs);
                if let Some(headers) = theirs["headers"].as_str() {
                    let ours = match &report.original {
                        Original::Header(octets) => String::from_utf8_lossy(octets).into_owned(),
                        original => format!("{original:?}"),
                    };
                    if ours.trim_end() != headers.trim_end() {
                        differences.push("the header differs".into());
                    }
                } else {
                    let Original::Message(octets) = &report.original else { panic!("{}: no message", file.display()) };
                    let whole = read(&file);
                    assert!(octets.len() > 100 && whole.windows(octets.len()).any(|window| window == octets));
                    assert!([&b"Received:"[..], b"From:", b"DKIM-"].iter().any(|start| octets.starts_with(start)));
                }
                differences
            }
            Err(error) => [error.to_string()].into(),
        };
        results.insert(name(&file), differences);
    }
    judge("mail-auth ARF", &results, &[]);
}

#[test]
fn failure_reports_of_others() {
    let Some(folder) = folder() else { return };
    let mut results = BTreeMap::new();
    for file in files(&folder.join("parsedmarc/failure"), &["eml"]) {
        let differences = match parse_failure(&file) {
            Ok(report) => {
                assert!(report.feedback.source_ip.is_some() && report.text.is_some());
                assert!(
                    matches!(&report.original, Original::Message(octets) if octets.starts_with(b"Re")),
                    "{} {:?}",
                    file.display(),
                    report.original
                );
                assert_eq!(report.feedback.kind.unwrap().as_str(), "auth-failure");
                report.faults.iter().map(|fault| fault.to_string()).collect()
            }
            Err(error) => [error.to_string()].into(),
        };
        results.insert(name(&file), differences);
    }
    judge(
        "parsedmarc failure reports",
        &results,
        &[
            // Plain text in a form of its own, without the part that RFC 5965 §2 (c) demands.
            ("exim_plain_text_only_no_arf_part.eml", &["the mail holds no failure report"]),
            // Real reporters leave out what RFC 6591 and RFC 9991 require, and have words of their own.
            (
                "DMARC Failure Report for domain.de (mail-from=sharepoint@domain.de, ip=10.10.10.10).eml",
                &["Delivery-Result cannot be understood", "Identity-Alignment is missing"],
            ),
            ("[Netease DMARC Failure Report] Rent Reminder.eml", &["Auth-Failure is missing"]),
            ("dmarc_ruf_report_linkedin.crlf.eml", &["Identity-Alignment is missing"]),
            ("dmarc_ruf_report_linkedin.eml", &["Identity-Alignment is missing"]),
        ],
    );
}

#[test]
fn cut_anywhere_a_report_is_read_or_refused() {
    let Some(folder) = folder() else { return };
    let limits = ReadLimits::default();
    for file in ["mail-auth/dmarc-feedback/001.xml", "ietf/dmarc-xml-0.2.xml"] {
        let octets = read(&folder.join(file));
        let whole = Report::from_file(&octets, &limits).unwrap();
        let end = octets.windows(11).rposition(|window| window == b"</feedback>").unwrap() + 11;
        for cut in 0..octets.len() {
            match Report::from_file(&octets[..cut], &limits) {
                Ok(parsed) => assert!(cut >= end && parsed == whole, "{file} cut at {cut}"),
                Err(_) => assert!(cut < end, "{file} cut at {cut}"),
            }
        }
    }
    for file in ["mail-auth/dmarc-feedback/101.eml", "mox/dmarc-reports/google.eml"] {
        let octets = read(&folder.join(file));
        let whole = Report::from_mail(&octets, &limits).unwrap();
        for cut in (0..octets.len()).step_by(7) {
            if let Ok(parsed) = Report::from_mail(&octets[..cut], &limits) {
                assert_eq!(parsed, whole, "{file} cut at {cut}");
            }
        }
    }
    for file in files(&folder.join("mail-auth/arf"), &["eml"]) {
        let octets = read(&file);
        for cut in 0..octets.len() {
            let _ = FailureReport::from_mail(&octets[..cut], &MailLimits::default(), &FeedbackLimits::default());
        }
    }
    for ending in ["gz", "zip"] {
        let octets = read(&folder.join(format!("parsedmarc/extract_report/nice-input.xml.{ending}")));
        for cut in 4..octets.len() {
            let result = Report::from_file(&octets[..cut], &limits);
            assert_eq!(result, Err(ReadError::Unpack(UnpackError::Damaged)), "{ending} cut at {cut}");
        }
    }
}
