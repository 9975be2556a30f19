//! MTA-STS (RFC 8461).

#![allow(clippy::print_stdout, reason = "the tables of the suites are printed")]

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use pillarbox_auth::mta_sts::{
    self, CacheEntry, CacheEntryError, Discovery, FailedFetch, Fetch, FetchError, Limits, NotPublished, Policy,
    PolicyFault, PolicyId, Published, StsRecord, StsRecordError, TlsOutcome, Verdict,
};
use pillarbox_auth::tls_rpt::FailureType;
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, QuestionId, Record};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn fault(text: &str) -> Option<(PolicyFault, usize)> {
    Policy::parse(text.as_bytes()).err().map(|error| (error.fault, error.line))
}

fn tick(agrees: bool) -> &'static str {
    if agrees { "pass   " } else { "differs" }
}

#[test]
fn policies_hosts_and_records_of_the_suite() {
    let Some(suite) = shared::suite("mta-sts/policy.json") else { return };
    let mut different = Vec::new();
    let mut judge = |what: String, expected: Option<bool>, is: bool| {
        // `null`: the standard leaves room.
        let agrees = expected.is_none_or(|expected| expected == is);
        println!("{} {what}", tick(agrees));
        if !agrees {
            different.push(what);
        }
    };
    let policies = suite["policies"].as_array().unwrap();
    for case in policies {
        let text = shared::text(case, "text");
        judge(format!("{text:?}"), case["valid"].as_bool(), fault(text).is_none());
    }
    let hosts = suite["mx_match"].as_array().unwrap();
    for case in hosts {
        let (pattern, host) = (shared::text(case, "pattern"), shared::text(case, "host"));
        let policy = format!("version: STSv1\nmode: enforce\nmx: {pattern}\nmax_age: 1");
        let lists = Policy::parse(policy.as_bytes()).unwrap().lists(&name(host));
        judge(format!("{pattern} {host}"), case["match"].as_bool(), lists);
    }
    let records = suite["txt"].as_array().unwrap();
    for case in records {
        let record = shared::text(case, "record");
        judge(record.to_owned(), case["valid"].as_bool(), StsRecord::parse(record.as_bytes()).is_ok());
    }
    assert_eq!((policies.len(), hosts.len(), records.len()), (17, 7, 9));
    assert_eq!(different, Vec::<String>::new());
}

#[test]
fn each_fault_of_a_policy_on_its_line() {
    for (text, expected) in [
        ("", (PolicyFault::Version, 1)),
        ("version: STSv1\n", (PolicyFault::Mode, 1)),
        ("version: STSv1\nmode: none\n", (PolicyFault::MaxAge, 2)),
        ("version: STSv1\nmode: enforce\nmax_age: 1\n\n", (PolicyFault::MissingMx, 3)),
        ("Version: STSv1\nmode: none\nmax_age: 1\n", (PolicyFault::Version, 3)),
        ("version: stsv1\nmode: none\nmax_age: 1\n", (PolicyFault::Version, 1)),
        ("version: STSv1\nmode: Enforce\n", (PolicyFault::Mode, 2)),
        ("version: STSv1\nmode\n", (PolicyFault::Malformed, 2)),
        ("version: STSv1\nmode :none\n", (PolicyFault::Malformed, 2)),
        ("version: STSv1\r\r\nmode: none\n", (PolicyFault::Malformed, 1)),
        ("version: STSv1\nx: a\u{0}b\n", (PolicyFault::Malformed, 2)),
        ("version: STSv1\n\u{feff}mode: none\n", (PolicyFault::Malformed, 2)),
        ("version: STSv1\nmax_age: 31557601\n", (PolicyFault::MaxAge, 2)),
        ("version: STSv1\nmax_age: 00000000001\n", (PolicyFault::MaxAge, 2)),
        ("version: STSv1\nmax_age: +1\n", (PolicyFault::MaxAge, 2)),
        ("version: STSv1\nmx: bücher.example\n", (PolicyFault::Mx, 2)),
        ("version: STSv1\nmx: *\n", (PolicyFault::Mx, 2)),
        ("version: STSv1\nmx: *.\n", (PolicyFault::Mx, 2)),
        ("version: STSv1\nmx: [192.0.2.1]\n", (PolicyFault::Mx, 2)),
        ("version: STSv1\nmx: a.example, b.example\n", (PolicyFault::Mx, 2)),
    ] {
        assert_eq!(fault(text), Some(expected), "{text:?}");
    }
    for text in [
        "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: 31557600\n",
        "\r\nversion:\tSTSv1 \r\nmode: none\r\nx-ü.1: no\r\nmax_age: 0000000001\r\n".replace("ü", "u").as_str(),
        "version: STSv1\nversion: other\nmode: none\nmode: other\nmax_age: 1\nmax_age: other\nx: ü y\n",
    ] {
        assert_eq!(fault(text), None, "{text:?}");
    }
    assert!(Policy::parse(b"version: STSv1\nmode: none\nmax_age: 1\nx: \xff").is_err());
}

#[test]
fn each_fault_of_a_record() {
    for (record, error) in [
        ("v=STSv1", StsRecordError::Version),
        ("v=stsv1; id=1", StsRecordError::Version),
        (" v=STSv1; id=1", StsRecordError::Version),
        ("v=STSv1;", StsRecordError::Malformed),
        ("v=STSv1; x=1", StsRecordError::MissingId),
        ("v=STSv1; ID=1", StsRecordError::MissingId),
        ("v=STSv1; id=1;;", StsRecordError::Malformed),
        ("v=STSv1; id=1; x", StsRecordError::Malformed),
        ("v=STSv1; id=1; -x=1", StsRecordError::Malformed),
        ("v=STSv1; id=1; x=a b", StsRecordError::Malformed),
        ("v=STSv1; id=1; x=\u{e9}", StsRecordError::Malformed),
        ("v=STSv1; id=1 2", StsRecordError::Id),
    ] {
        assert_eq!(StsRecord::parse(record.as_bytes()), Err(error), "{record}");
    }
    assert_eq!(StsRecord::parse(b"v=STSv1\t; x.y-z=1;id=1;id=!;\t").unwrap().id.as_str(), "1");
}

fn discover(zone: &FixedZone) -> Published {
    let domain = name("example.org");
    let mut results = dns::run_in_orders(|| Discovery::new(&domain), zone);
    let first = results.pop().unwrap();
    assert!(results.iter().all(|result| *result == first));
    first
}

#[test]
fn what_a_domain_publishes() {
    let zone = |records: &[Record]| {
        records.iter().fold(FixedZone::new(), |zone, record| zone.with("_mta-sts.example.org", record.clone()))
    };
    let record = Record::txt("v=STSv1; id=1;");
    let published = Published::Record(StsRecord::parse(b"v=STSv1; id=1;").unwrap());
    assert_eq!(discover(&zone(std::slice::from_ref(&record))), published);
    assert_eq!(discover(&zone(&[Record::txt("v=spf1 -all"), record.clone()])), published);
    let alias = FixedZone::new()
        .with("_mta-sts.example.org", Record::Cname(name("sts.example.net")))
        .with("sts.example.net", record.clone());
    assert_eq!(discover(&alias), published);

    let nothing = |why| Published::Nothing(why);
    assert_eq!(discover(&zone(&[])), nothing(NotPublished::NoRecord));
    assert_eq!(discover(&zone(&[Record::txt("v=STSv10; id=1")])), nothing(NotPublished::NoRecord));
    assert_eq!(discover(&zone(&[record, Record::txt("v=STSv1; id=2;")])), nothing(NotPublished::Several));
    let malformed = discover(&zone(&[Record::txt("v=STSv1; id=!")]));
    assert_eq!(malformed, nothing(NotPublished::Malformed(StsRecordError::Id)));
    assert_eq!(malformed.to_string(), "MTA-STS record: the id is not 1 to 32 letters and digits");
    let huge = format!("v=STSv1; id=1; x={}", "y".repeat(5000));
    assert_eq!(discover(&zone(&[Record::txt(huge)])), nothing(NotPublished::NoRecord));
    assert_eq!(discover(&FixedZone::new().failing("_mta-sts.example.org")), Published::TryLater);

    let long = name(&format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(55)));
    assert_eq!(dns::run(&mut Discovery::new(&long), &FixedZone::new()), nothing(NotPublished::NoRecord));
}

#[test]
fn answers_that_were_not_asked_for_change_nothing() {
    let mut discovery = Discovery::new(&name("example.org"));
    discovery.answer(QuestionId(0), DnsAnswer::no_data());
    assert!(matches!(discovery.poll(), DnsStep::Ask(question) if question.name == name("_mta-sts.example.org")));
    discovery.answer(QuestionId(7), DnsAnswer::no_data());
    assert_eq!(discovery.poll(), DnsStep::Wait);
    discovery.give_up();
    discovery.answer(QuestionId(0), DnsAnswer::no_data());
    assert_eq!(discovery.poll(), DnsStep::Done(Published::TryLater));
    assert_eq!(discovery.poll(), DnsStep::Wait);
}

const NOW: u64 = 1_800_000_000;

fn entry(id: &str, age: u64, mode: &str, max_age: u32) -> CacheEntry {
    let policy = format!("version: STSv1\nmode: {mode}\nmx: mx.example.org\nmax_age: {max_age}\n");
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    CacheEntry::new(name("example.org"), PolicyId::parse(id).unwrap(), NOW - age, policy)
}

/// Whether a policy is in force, and whether to fetch.
fn plan(cached: Option<&CacheEntry>, failed: Option<&FailedFetch>, id: Option<&str>) -> (bool, Fetch) {
    let published = match id {
        Some("later") => Published::TryLater,
        Some(id) => Published::Record(StsRecord::parse(format!("v=STSv1; id={id}").as_bytes()).unwrap()),
        None => Published::Nothing(NotPublished::NoRecord),
    };
    let plan = mta_sts::decide(NOW, cached, failed, &published, &Limits::default());
    assert_eq!(plan.policy.is_some(), plan.policy == cached.map(|entry| &entry.policy) && cached.is_some());
    (plan.policy.is_some(), plan.fetch)
}

#[test]
fn the_cache_decides() {
    let week = 604_800;
    let fresh = entry("1", 60, "enforce", week);
    assert_eq!(plan(Some(&fresh), None, Some("1")), (true, Fetch::No));
    assert_eq!(plan(Some(&fresh), None, Some("2")), (true, Fetch::Beside));
    // The record vanishes, or an attacker keeps it from us: the policy stays.
    assert_eq!(plan(Some(&fresh), None, None), (true, Fetch::No));
    assert_eq!(plan(Some(&fresh), None, Some("later")), (true, Fetch::No));

    let day_old = entry("1", 86_400, "enforce", week);
    for id in [Some("1"), Some("2"), None, Some("later")] {
        assert_eq!(plan(Some(&day_old), None, id), (true, Fetch::Beside), "{id:?}");
    }
    // A short life: half of it.
    assert_eq!(plan(Some(&entry("1", 1799, "enforce", 3600)), None, Some("1")), (true, Fetch::No));
    assert_eq!(plan(Some(&entry("1", 1800, "enforce", 3600)), None, Some("1")), (true, Fetch::Beside));

    assert!(plan(Some(&entry("1", u64::from(week), "enforce", week)), None, Some("1")).0);
    for cached in [None, Some(entry("1", u64::from(week) + 1, "enforce", week))] {
        assert_eq!(plan(cached.as_ref(), None, Some("1")), (false, Fetch::First));
        assert_eq!(plan(cached.as_ref(), None, None), (false, Fetch::No));
        assert_eq!(plan(cached.as_ref(), None, Some("later")), (false, Fetch::No));
    }
    // The clock was put back.
    let mut future = fresh;
    future.fetched = NOW + 1000;
    assert_eq!(plan(Some(&future), None, Some("1")), (true, Fetch::Beside));
}

#[test]
fn a_failed_fetch_is_not_made_again_at_once() {
    let failed = |id: Option<&str>, ago| FailedFetch::new(id.map(|id| PolicyId::parse(id).unwrap()), NOW - ago);
    assert_eq!(plan(None, Some(&failed(Some("1"), 299)), Some("1")), (false, Fetch::No));
    assert_eq!(plan(None, Some(&failed(Some("1"), 300)), Some("1")), (false, Fetch::First));
    assert_eq!(plan(None, Some(&failed(Some("1"), 0)), Some("2")), (false, Fetch::First));
    let old = entry("1", 100_000, "enforce", 604_800);
    assert_eq!(plan(Some(&old), Some(&failed(Some("2"), 10)), Some("2")), (true, Fetch::No));
    assert_eq!(plan(Some(&old), Some(&failed(None, 10)), None), (true, Fetch::No));
    assert_eq!(plan(Some(&old), Some(&failed(None, 10)), Some("1")), (true, Fetch::Beside));
}

#[test]
fn answers_of_web_servers() {
    let limits = Limits::default();
    let body = "version: STSv1\nmode: none\nmax_age: 1\n";
    let read =
        |status, content_type, body: &str| mta_sts::read_response(status, content_type, body.as_bytes(), &limits);
    for content_type in ["text/plain", "Text/Plain;charset=utf-8", " text/plain ; x=y"] {
        assert!(read(200, Some(content_type), body).is_ok(), "{content_type}");
    }
    for status in [0, 201, 204, 206, 301, 302, 304, 307, 404, 500] {
        assert_eq!(read(status, Some("text/plain"), body), Err(FetchError::Status(status)));
    }
    for content_type in [None, Some(""), Some("text/html"), Some("text/plainx"), Some("application/octet-stream")] {
        assert_eq!(read(200, content_type, body), Err(FetchError::ContentType));
    }
    let padded = |size: usize| format!("{body}x: {}", "y".repeat(size - body.len() - 3));
    assert!(read(200, Some("text/plain"), &padded(65_536)).is_ok());
    assert_eq!(read(200, Some("text/plain"), &padded(65_537)), Err(FetchError::TooLarge));
    let invalid = read(200, Some("text/plain"), "<html>").unwrap_err();
    assert_eq!(invalid.to_string(), "the policy is invalid: line 1: not a name and a value");

    assert_eq!(invalid.failure_type(), FailureType::StsPolicyInvalid);
    assert_eq!(FetchError::Certificate.failure_type(), FailureType::StsWebPkiInvalid);
    assert_eq!(FetchError::Status(301).failure_type(), FailureType::StsPolicyFetchError);
}

#[test]
fn a_policy_is_applied() {
    use FailureType::{CertificateExpired, ValidationFailure};
    let (host, other) = (name("mx.example.org"), name("mx.example.net"));
    let failed = TlsOutcome::Failed(CertificateExpired);
    for (mode, listed, expired, unlisted) in [
        ("enforce", Verdict::Deliver, Verdict::Refuse(CertificateExpired), Verdict::Refuse(ValidationFailure)),
        (
            "testing",
            Verdict::Deliver,
            Verdict::DeliverAndReport(CertificateExpired),
            Verdict::DeliverAndReport(ValidationFailure),
        ),
        ("none", Verdict::Deliver, Verdict::Deliver, Verdict::Deliver),
    ] {
        let policy = entry("1", 0, mode, 1).policy;
        assert_eq!(mta_sts::judge(&policy, &host, TlsOutcome::Authenticated), listed);
        assert_eq!(mta_sts::judge(&policy, &host, failed), expired);
        // Not listed, with a good certificate of its own.
        assert_eq!(mta_sts::judge(&policy, &other, TlsOutcome::Authenticated), unlisted);
    }
}

#[test]
fn cache_entries_that_are_none() {
    let text = entry("1", 0, "enforce", 1).to_string();
    assert!(CacheEntry::parse(text.as_bytes()).is_ok());
    for end in 0..text.len() - 1 {
        assert!(CacheEntry::parse(&text.as_bytes()[..end]).is_err(), "{:?}", &text[..end]);
    }
    for (from, to) in [("domain", "x"), ("id: 1", "id: !"), ("fetched: 1", "fetched: -1"), ("example.org\n", "\n")] {
        let broken = text.replacen(from, to, 1);
        assert_eq!(CacheEntry::parse(broken.as_bytes()), Err(CacheEntryError::Malformed), "{broken:?}");
    }
    assert!(matches!(
        CacheEntry::parse(text.replace("STSv1", "STSv2").as_bytes()),
        Err(CacheEntryError::Policy(error)) if error.fault == PolicyFault::Version
    ));
}

proptest! {
    /// What is read is written so that it reads back, also in a cache.
    #[test]
    fn written_and_read(text in "(version: STSv1\n)?(mode: (enforce|testing|none)\n)?((mx: (\\*\\.)?[a-z.]{1,9}\n|[a-z]:[ x]{0,3}\r?\n)){0,4}max_age: [0-9]{1,9}\n?") {
        if let Ok(policy) = Policy::parse(text.as_bytes()) {
            prop_assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy.clone()));
            let entry = CacheEntry::new(name("example.org"), PolicyId::parse("1").unwrap(), 5, policy);
            prop_assert_eq!(CacheEntry::parse(entry.to_string().as_bytes()), Ok(entry));
        }
    }

    #[test]
    fn any_octets(text in prop::collection::vec(any::<u8>(), 0..100), record in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Policy::parse(&text);
        let _ = CacheEntry::parse(&text);
        let _ = StsRecord::parse(&[&b"v=STSv1;"[..], &record].concat());
    }
}
