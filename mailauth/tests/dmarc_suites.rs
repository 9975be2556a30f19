//! DMARC against the suites in `conformance/dmarc` (RFC 9989, RFC 7489 §3.2).

#![allow(clippy::print_stdout, reason = "the results are a table")]

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use std::cell::RefCell;
use std::rc::Rc;

use pillarbox_auth::dmarc::{
    AlignmentMode, Check, Config, DkimInput, Evidence, Outcome, PublicSuffixDomain, PublicSuffixList, Record, Sections,
    SpfIdentity, SpfInput, Verification,
};
use pillarbox_auth::from::Authors;
use pillarbox_auth::idn;
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, QuestionId};
use serde_json::Value;
use shared::{suite, text};

fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn authors(domain: &str) -> Authors {
    Authors::read(format!("From: <joe@{domain}>\r\n\r\n").as_bytes(), &Default::default())
}

/// One line for a case, and whether it is as expected.
struct Row {
    case: String,
    differs: Option<String>,
}

/// Prints a table of a suite. No difference is allowed.
fn report(title: &str, rows: &[Row]) {
    let (passed, differing): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.differs.is_none());
    println!("{title}: {} pass, {} differ", passed.len(), differing.len());
    for row in &differing {
        println!("  {}: {}", row.case, row.differs.as_deref().unwrap_or_default());
    }
    assert!(differing.is_empty(), "{title}: see the table");
}

fn compare(case: impl Into<String>, found: impl Into<String>, expected: &str) -> Row {
    let found = found.into();
    let differs = (found != expected).then(|| format!("found {found:?}, expected {expected:?}"));
    Row { case: case.into(), differs }
}

#[test]
fn records() {
    let Some(suite) = suite("dmarc/record-parse.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 29);
    let rows = cases.iter().map(|case| {
        let record_text = text(case, "record");
        let parsed = Record::parse(record_text.as_bytes());
        for end in 0..record_text.len() {
            // A record that is cut is another record, or none; it breaks nothing.
            let _ = Record::parse(&record_text.as_bytes()[..end]);
        }
        let policy = parsed.as_ref().ok().and_then(|record| record.policy);
        let Some(fields) = case["fields"].as_object() else {
            // "No policy", "not a record", or a form where peers differ: an empty tag and a tag beyond ASCII are read over.
            let is_read_over = ["v=DMARC1;; p=none", "v=DMARC1; p=none; \u{e4}=1"].contains(&record_text);
            let expected = if is_read_over { "a policy" } else { "none" };
            return compare(record_text, if policy.is_some() { "a policy" } else { "none" }, expected);
        };
        let record = parsed.unwrap_or_else(|error| panic!("{record_text}: {error}"));
        assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record.clone()), "{record_text}");
        let field = |name: &str| -> Value {
            let mode = |mode| if mode == AlignmentMode::Strict { "s" } else { "r" };
            match name {
                "p" => record.policy.unwrap().as_str().into(),
                "sp" => record.subdomain_policy.unwrap().as_str().into(),
                "np" => record.nonexistent_policy.unwrap().as_str().into(),
                "adkim" => mode(record.dkim_alignment).into(),
                "aspf" => mode(record.spf_alignment).into(),
                "rua" => {
                    let uris = record.aggregate_reports.iter().map(ToString::to_string);
                    // The suite has them without their sizes and as they were written.
                    uris.map(|uri| uri.split('!').next().unwrap().replace("%22a%2Cb%22", "a%2Cb")).collect()
                }
                "t" => (if record.is_testing { "y" } else { "n" }).into(),
                "psd" => match record.public_suffix_domain {
                    PublicSuffixDomain::Yes => "y".into(),
                    PublicSuffixDomain::No => "n".into(),
                    PublicSuffixDomain::Unknown => "u".into(),
                },
                name => panic!("no field {name}"),
            }
        };
        let found = fields.keys().map(|name| (name.clone(), field(name))).collect::<serde_json::Map<_, _>>();
        compare(record_text, Value::Object(found).to_string(), &case["fields"].to_string())
    });
    report("record-parse", &rows.collect::<Vec<_>>());
}

fn evidence(case: &Value) -> Evidence {
    let verification = |value: &Value| match text(value, "result") {
        "pass" => Verification::Pass,
        "temperror" => Verification::TempError,
        _ => Verification::Fail,
    };
    let spf = case["spf"].as_object().map(|_| {
        let spf = &case["spf"];
        let identity = match spf["scope"].as_str() {
            Some("mfrom-from-helo") => SpfIdentity::NullMailFrom,
            None => SpfIdentity::MailFrom,
            Some(scope) => panic!("no scope {scope}"),
        };
        SpfInput::new(identity, verification(spf), name(text(spf, "domain")))
    });
    let dkim = case["dkim"].as_array().unwrap();
    let dkim = dkim.iter().map(|dkim| DkimInput::new(verification(dkim), name(text(dkim, "d")))).collect();
    Evidence::new(spf, dkim)
}

fn zone(case: &Value) -> FixedZone {
    let mut zone = FixedZone::new();
    // Subdomains exist unless the case says otherwise.
    if !text(case, "name").starts_with("missing ") {
        zone = zone.with(text(case, "from_domain"), dns::Record::A([192, 0, 2, 1].into()));
    }
    for (at, record) in case["txt"].as_object().unwrap() {
        match record.as_str() {
            Some("SERVFAIL") => zone.fail(name(at)),
            Some(record) => zone.add(name(at), 3600, dns::Record::txt(record)),
            None => {}
        }
    }
    zone
}

#[test]
fn evaluation() {
    let Some(suite) = suite("dmarc/evaluate.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 22);
    let rows = cases.iter().map(|case| {
        let zone = zone(case);
        let make = || {
            let mut check = Check::new(&authors(text(case, "from_domain")), &Config::default());
            check.supply(evidence(case));
            check
        };
        let outcomes = dns::run_in_orders(make, &zone);
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "the order of the answers counts: {case}");
        let Outcome { result, applied_policy, .. } = &outcomes[0];
        let expected = &case["expect"];
        let mut found = result.to_string();
        let mut wanted = text(expected, "result").to_owned();
        if wanted == "temperror or fail" {
            wanted = "temperror".to_owned();
        }
        if let Some(policy) = expected["policy"].as_str() {
            found += &format!(" {}", applied_policy.map_or("-", |policy| policy.as_str()));
            wanted += &format!(" {policy}");
        }
        compare(text(case, "name"), found, &wanted)
    });
    report("evaluate", &rows.collect::<Vec<_>>());
}

/// Keeps the names that a machine asks for.
struct Noted<M> {
    machine: M,
    names: Rc<RefCell<Vec<String>>>,
}

impl<M: DnsMachine> DnsMachine for Noted<M> {
    type Output = M::Output;

    fn poll(&mut self) -> DnsStep<M::Output> {
        let step = self.machine.poll();
        if let DnsStep::Ask(question) = &step {
            self.names.borrow_mut().push(question.name.to_string());
        }
        step
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.machine.answer(id, answer);
    }

    fn give_up(&mut self) {
        self.machine.give_up();
    }
}

#[test]
fn tree_walks() {
    let Some(suite) = suite("dmarc/tree-walk.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    let rows = cases.iter().map(|case| {
        let domain = text(case, "name");
        let expected = case["queries"].as_array().unwrap().iter().map(|query| query.as_str().unwrap().to_owned());
        let mut check = Check::new(&authors(domain), &Config::default());
        check.supply(Evidence::default());
        let mut noted = Noted { machine: check, names: Rc::default() };
        dns::run(&mut noted, &FixedZone::new());
        let names = noted.names.borrow().join(" ");
        compare(domain, names, &expected.collect::<Vec<_>>().join(" "))
    });
    report("tree-walk", &rows.collect::<Vec<_>>());
}

/// A text of the suite that is not in JSON.
fn file(name: &str) -> Option<String> {
    shared::octets(&format!("dmarc/psl/{name}")).map(|octets| String::from_utf8(octets).unwrap())
}

fn look_up(list: &PublicSuffixList, text: &str) -> Option<String> {
    // A name that begins with a dot, or is none, has no organization.
    let name = idn::to_ascii(text).ok().and_then(|text| Name::parse(&text).ok())?;
    list.organizational_domain(&name).map(|name| name.to_string())
}

#[test]
fn public_suffixes() {
    let Some(list) = file("public_suffix_list.dat") else { return };
    let list = PublicSuffixList::parse(&list, Sections::All).unwrap();
    // `name expected`, and `checkPublicSuffix('name', 'expected');`
    let plain = |line: &str| line.to_owned();
    let call = |line: &str| match line.strip_prefix("checkPublicSuffix(") {
        Some(call) => call.trim_end_matches(");").replace(['\'', ','], ""),
        None => String::new(),
    };
    for (title, line) in [("tests.txt", plain as fn(&str) -> String), ("test_psl.txt", call)] {
        let Some(text) = file(title) else { continue };
        let lines = text.lines().map(line).collect::<Vec<_>>();
        let mut rows = Vec::new();
        for line in lines.iter().filter(|line| !line.is_empty() && !line.starts_with("//")) {
            let (name, expected) = line.split_once(' ').unwrap();
            let name = if name == "null" { "" } else { name };
            let expected = idn::to_ascii(expected).unwrap();
            rows.push(compare(name, look_up(&list, name).unwrap_or("null".to_owned()), &expected));
        }
        assert_eq!(rows.len(), 78, "{title}");
        report(title, &rows);
    }
}
