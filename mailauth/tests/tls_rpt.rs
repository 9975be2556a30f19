//! TLS-RPT (RFC 8460).

#![allow(clippy::print_stdout, reason = "the tables of the suites are printed")]

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pillarbox_auth::dane::Tlsa;
use pillarbox_auth::mta_sts::Policy;
use pillarbox_auth::tls_rpt::{
    AppliedPolicy, Counters, CountersLimits, Destination, Destinations, Discovery, Failure, FailureType, PolicyType,
    ReadLimits, RecordError, Report, ReportError, ReportMail, ResultType,
};
use pillarbox_core::dns::{self, FixedZone, Name, Record};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn parse(json: &str) -> Result<Report, ReportError> {
    Report::parse_json(json.as_bytes(), &ReadLimits::default())
}

#[test]
fn records_of_the_suite() {
    let Some(suite) = shared::suite("mta-sts/tlsrpt-record.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let record = shared::text(case, "record");
        let parsed = Destinations::parse(record.as_bytes());
        assert_eq!(Some(parsed.is_ok()), case["valid"].as_bool(), "{record}: {parsed:?}");
        println!("pass    {record}");
    }
}

#[test]
fn destinations() {
    let list = |record: &str| {
        let destinations = Destinations::parse(format!("v=TLSRPTv1;{record}").as_bytes())?;
        Ok::<_, RecordError>(destinations.list.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for (record, expected) in [
        ("rua=mailto:a@b.example", "a@b.example"),
        (" rua=MAILTO:a@b.example , HTTPS://b.example:8443/x?y=z#f ;", "a@b.example HTTPS://b.example:8443/x?y=z#f"),
        ("rua=mailto:a%2Db@b.example?subject=x", "a-b@b.example"),
        ("rua=ftp://b.example,mailto:a@b.example", "a@b.example"),
        ("x.y=1;rua=mailto:a@b.example;rua=mailto:c@b.example", "a@b.example"),
        ("rua=mailto:%22a%20b%22@b.example", "\"a b\"@b.example"),
    ] {
        assert_eq!(list(record).unwrap().join(" "), expected);
    }
    for (record, error) in [
        ("", RecordError::Malformed),
        ("x=y", RecordError::NoDestination),
        ("rua=", RecordError::Malformed),
        ("RUA=mailto:a@b.example", RecordError::NoDestination),
        ("rua=mailto:a", RecordError::NoDestination),
        ("rua=mailto:a%2@b.example", RecordError::NoDestination),
        ("rua=mailto:a%2Cb@b.example", RecordError::NoDestination),
        ("rua=mailto:a%0d%0ab@b.example", RecordError::NoDestination),
        ("rua=mailto:a%ff@b.example", RecordError::NoDestination),
        ("rua=http://b.example/", RecordError::NoDestination),
        ("rua=https://", RecordError::NoDestination),
        ("rua=https:///path", RecordError::NoDestination),
        ("rua=https://:443/", RecordError::NoDestination),
        ("rua=https://b.example@127.0.0.1/", RecordError::NoDestination),
        ("rua=https://b.example/<x>", RecordError::NoDestination),
        ("rua=https://b.example/a b", RecordError::NoDestination),
        ("rua=mailto:a@b.example;x=a b", RecordError::Malformed),
    ] {
        assert_eq!(list(record), Err(error), "{record}");
    }
    let many = format!("rua={}", ["mailto:a@b.example"; 50].join(","));
    assert_eq!(list(&many).unwrap().len(), 10);
    let Destination::Https(url) = Destinations::parse(b"v=TLSRPTv1; rua=https://b.example:1/x").unwrap().list.remove(0)
    else {
        panic!("no URL");
    };
    assert_eq!(url.authority(), "b.example:1");
}

#[test]
fn where_a_domain_wants_reports() {
    let discover = |zone: &FixedZone| {
        let mut results = dns::run_in_orders(|| Discovery::new(&name("example.org")), zone);
        results.pop().unwrap().map(|destinations| destinations.list.len())
    };
    let zone = FixedZone::new().with("_smtp._tls.example.org", Record::txt("v=TLSRPTv1; rua=mailto:a@b.example"));
    assert_eq!(discover(&zone), Some(1));
    let zone = zone.with("_smtp._tls.example.org", Record::txt("v=TLSRPTv2; rua=mailto:a@b.example"));
    assert_eq!(discover(&zone), Some(1));
    let zone = zone.with("_smtp._tls.example.org", Record::txt("v=TLSRPTv1; rua=mailto:c@b.example"));
    assert_eq!(discover(&zone), None);
    assert_eq!(discover(&FixedZone::new()), None);
    assert_eq!(discover(&FixedZone::new().failing("_smtp._tls.example.org")), None);
}

/// The reports of others, as JSON or in the mail they came in: who, how many policies, successful and failed sessions,
/// entries of failures.
const REPORTS: [(&str, &str, usize, u64, u64, usize); 11] = [
    ("mail-auth/tlsrpt/rpt01.json", "Company-X", 1, 5326, 303, 3),
    ("mail-auth/tlsrpt/rpt02.json", "Google Inc.", 1, 23, 1, 1),
    ("mail-auth/tlsrpt/rpt03.json", "Google Inc.", 2, 2, 0, 0),
    ("mail-auth/tlsrpt/rpt01.eml", "Company-X", 1, 5326, 303, 3),
    ("mail-auth/tlsrpt/rpt02.eml", "Google Inc.", 1, 23, 1, 1),
    ("mox/tlsreports/example.eml", "Google Inc.", 1, 3, 0, 0),
    ("mox/tlsreports/microsoft.eml", "Microsoft Corporation", 1, 2, 0, 0),
    ("parsedmarc/smtp_tls/google.com_smtp_tls_report.eml", "Google Inc.", 1, 48, 0, 0),
    ("parsedmarc/smtp_tls/mail.ru.json", "Mail.ru", 1, 0, 1, 2),
    ("parsedmarc/smtp_tls/rfc8460.json", "Company-X", 1, 5326, 303, 3),
    ("parsedmarc/smtp_tls/smtp_tls.json", "Example Inc.", 1, 0, 3, 2),
];

#[test]
fn reports_of_others() {
    for (file, organization, policies, successful, failed, failures) in REPORTS {
        let Some(octets) = shared::octets(&format!("reports/{file}")) else { return };
        let json = if file.ends_with(".eml") { attachment(&String::from_utf8(octets).unwrap()) } else { octets };
        let report =
            Report::parse_json(&json, &ReadLimits::default()).unwrap_or_else(|error| panic!("{file}: {error}"));
        let sum =
            |count: fn(&pillarbox_auth::tls_rpt::PolicyReport) -> u64| report.policies.iter().map(count).sum::<u64>();
        assert_eq!(
            (
                &*report.organization,
                report.policies.len(),
                sum(|policy| policy.successful),
                sum(|policy| policy.failed),
                sum(|policy| policy.failures.len() as u64),
            ),
            (organization, policies, successful, failed, failures as u64),
            "{file}"
        );
        assert!(report.end > report.start, "{file}");
        assert_eq!(parse(&report.to_json()), Ok(report), "{file}");
        println!("pass    {file}");
    }
}

/// The JSON in a report's mail: of the parts as few readers see them, which is enough for these.
fn attachment(message: &str) -> Vec<u8> {
    let message = message.replace("\r\n", "\n");
    let part = message.split("\n--").find(|part| part.contains("Content-Type: application/tlsrpt")).unwrap();
    let body = part.split_once("\n\n").unwrap().1;
    if !part.contains("base64") {
        return body.into();
    }
    let octets = STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap();
    if octets.starts_with(b"{") {
        return octets;
    }
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(&octets[..]).read_to_end(&mut json).unwrap();
    json
}

const HEAD: &str = r#""organization-name":"o","contact-info":"c","report-id":"i","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"}"#;

#[test]
fn what_senders_leave_out_and_put_in() {
    let report = parse(&format!(
        r#"{{{HEAD}, "x": [[1]], "policies": [
            {{"policy": {{"policy-type": "new", "policy-string": "one line", "policy-domain": "a b", "mx-host": null}}}},
            {{"policy": {{"policy-type": "tlsa"}}, "summary": {{"total-failure-session-count": 2}},
              "failure-details": [{{"result-type": "new-failure", "receiving-ip": "nowhere", "receiving-mx-helo": "a\tb"}}]}}
        ]}}"#
    ))
    .unwrap();
    let [first, second] = &report.policies[..] else { panic!("two policies") };
    assert_eq!(first.policy.kind, PolicyType::Other("new".into()));
    assert_eq!((&first.policy.lines[..], first.policy.mx.len()), (&["one line".to_owned()][..], 0));
    assert_eq!((first.domain.as_ref(), first.successful, first.failed), (None, 0, 0));
    assert_eq!((second.successful, second.failed), (0, 2));
    let failure = &second.failures[0];
    assert_eq!(failure.result, ResultType::Other("new-failure".into()));
    assert_eq!((failure.receiving_ip, failure.receiving_helo.as_deref()), (None, Some("a\tb")));
    assert_eq!(parse(&format!("{{{HEAD}}}")).unwrap().policies.len(), 0);
}

#[test]
fn reports_that_are_none() {
    let is_json_error = |json: &str| matches!(parse(json), Err(ReportError::Json { .. }));
    for json in
        ["", "[]", "{", "null", r#"{"organization-name":"o"}"#, &format!("{{{HEAD}}}x"), &format!("{{{HEAD},{HEAD}}}")]
    {
        assert!(is_json_error(json), "{json}");
    }
    for policies in ["{}", "[1]", "[{}]", r#"[{"policy":{},"summary":{"total-failure-session-count":-1}}]"#, "\"x\""] {
        assert!(is_json_error(&format!("{{{HEAD},\"policies\":{policies}}}")), "{policies}");
    }
    assert_eq!(parse("{\n\"a\" 1}"), Err(ReportError::Json { line: 2, column: 5 }));
    let deep = format!("{{{HEAD},\"policies\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(is_json_error(&deep));
    let early = HEAD.replace("2026-01-01T00:00:00Z", "yesterday");
    assert_eq!(parse(&format!("{{{early}}}")), Err(ReportError::Date("start-datetime")));
}

#[test]
fn each_limit() {
    let mut limits = ReadLimits::default();
    limits.policies_max = 2;
    limits.failures_max = 3;
    limits.lines_max = 2;
    let read = |policies: &str| {
        let json = format!("{{{HEAD},\"policies\":[{policies}]}}");
        Report::parse_json(json.as_bytes(), &limits).map(|report| report.policies.len())
    };
    let policy = |lines: usize, failures: usize| {
        let lines = vec!["\"x\""; lines].join(",");
        format!(
            "{{\"policy\":{{\"policy-string\":[{lines}]}},\"failure-details\":[{}]}}",
            vec!["{}"; failures].join(",")
        )
    };
    assert_eq!(read(&[policy(2, 1), policy(0, 2)].join(",")), Ok(2));
    assert_eq!(read(&[policy(2, 2), policy(0, 2)].join(",")), Err(ReportError::TooMany("failures")));
    assert_eq!(read(&policy(3, 0)), Err(ReportError::TooMany("lines of a policy")));
    assert_eq!(read(&[policy(0, 0), policy(0, 0), policy(0, 0)].join(",")), Err(ReportError::TooMany("policies")));
    limits.size_max = 10;
    assert_eq!(Report::parse_json(b"{         }", &limits), Err(ReportError::TooLarge));
}

#[test]
fn policies_as_reports_show_them() {
    let policy = b"version: STSv1\nmode: testing\nmx: *.example.net\nmx: mx.example.net\nmax_age: 86400\n";
    let applied = AppliedPolicy::sts(&Policy::parse(policy).unwrap());
    assert_eq!(applied.mx, ["*.example.net", "mx.example.net"]);
    assert_eq!(applied.lines.join("\n") + "\n", String::from_utf8_lossy(policy));
    let record = Record::Tlsa { usage: 3, selector: 0, matching: 1, data: vec![0x1f; 32] };
    let applied = AppliedPolicy::tlsa(&[Tlsa::new(&record).unwrap()]);
    assert_eq!(applied.lines, [format!("3 0 1 {}", "1F".repeat(32))]);
    // Of a policy that is as long as it may be, the first lines.
    let long = format!("version: STSv1\nmode: testing\nmax_age: 1\n{}", "mx: mx.example.net\n".repeat(3000));
    let applied = AppliedPolicy::sts(&Policy::parse(long.as_bytes()).unwrap());
    let size: usize = applied.lines.iter().map(String::len).sum();
    assert!((1900..=2048).contains(&size), "{size}");
}

#[test]
fn a_counted_day_becomes_a_report_and_its_mail() {
    let mut counters = Counters::new(CountersLimits::default());
    let failure = Failure::new(FailureType::ValidationFailure)
        .with_host(name("mx.example.org"))
        .with_addresses(Some([192, 0, 2, 1].into()), [192, 0, 2, 2].into())
        .with_helo("mx\"\r\n")
        .with_reason("bad \u{1}");
    for _ in 0..3 {
        counters.count(&name("example.org"), &AppliedPolicy::none(), std::slice::from_ref(&failure));
    }
    let (domain, policies) = counters.take().next().unwrap();
    let report = Report::new("Example", "tls@example.net", "a b/c>\r\n@x", 1_767_225_600, 1_767_311_999, policies);
    assert_eq!(
        report.to_json(),
        r#"{"organization-name":"Example","date-range":{"start-datetime":"2026-01-01T00:00:00Z","end-datetime":"2026-01-01T23:59:59Z"},"contact-info":"tls@example.net","report-id":"a b/c>\r\n@x","policies":[{"policy":{"policy-type":"no-policy-found","policy-domain":"example.org"},"summary":{"total-successful-session-count":0,"total-failure-session-count":3},"failure-details":[{"result-type":"validation-failure","sending-mta-ip":"192.0.2.1","receiving-mx-hostname":"mx.example.org","receiving-mx-helo":"mx\"??","receiving-ip":"192.0.2.2","failed-session-count":3,"failure-reason-code":"bad ?"}]}]}"#
    );
    let mail = ReportMail::new(&report, &domain, &name("example.net"), false);
    assert_eq!(mail.subject, "Report Domain: example.org Submitter: example.net Report-ID: <a-b/c---@example.net>");
    assert_eq!(
        (mail.media_type, &*mail.file_name),
        ("application/tlsrpt+json", "example.net!example.org!1767225600!1767311999.json")
    );
}

#[test]
fn failures_have_their_words() {
    let all = [
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
        "tlsa-invalid",
        "dnssec-invalid",
        "dane-required",
        "sts-policy-fetch-error",
        "sts-policy-invalid",
        "sts-webpki-invalid",
    ];
    for word in all {
        assert_eq!(FailureType::from_word(word).map(FailureType::as_str), Some(word));
    }
    assert_eq!(FailureType::from_word("other"), None);
}

proptest! {
    #[test]
    fn any_texts_in_a_report(texts in prop::collection::vec(any::<String>(), 4), start in 0_u64..253_402_300_799) {
        let mut counters = Counters::new(CountersLimits::default());
        let failure = Failure::new(FailureType::DaneRequired).with_helo(&texts[2]).with_reason(&texts[3]);
        counters.count(&name("example.org"), &AppliedPolicy::none(), &[failure]);
        let policies = counters.take().next().unwrap().1;
        let report = Report::new(&texts[0], "c", &texts[1], start, start, policies);
        prop_assert_eq!(parse(&report.to_json()), Ok(report.clone()));
        let mail = ReportMail::new(&report, &name("example.org"), &name("example.net"), true);
        prop_assert!(mail.subject.bytes().all(|octet| octet.is_ascii_graphic() || octet == b' '));
    }

    #[test]
    fn any_octets(json in "[\\[\\]{}\",:a0 \\\\]{0,40}", at in 0..200_usize) {
        let _ = parse(&json);
        let whole = format!("{{{HEAD},\"policies\":[{{\"policy\":{{}},\"failure-details\":[{{}}]}}]}}");
        let at = at % whole.len();
        let _ = parse(&[&whole[..at], &json, &whole[at..]].concat());
        let _ = Destinations::parse(format!("v=TLSRPTv1;{json}").as_bytes());
    }
}
