//! The published suites for SPF, each vector with its answers in every order.
//!
//! `tests/suites/fetch pyspf mail-auth` gets them. Run with `--nocapture` for the table.

#![allow(clippy::print_stdout, reason = "the table of results")]

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use std::collections::BTreeMap;
use std::net::IpAddr;

use pillarbox_auth::spf::{self, Check, Client, Identity, Limits, Outcome, SpfResult};
use pillarbox_core::address::ReversePath;
use pillarbox_core::dns::{self, DnsMachine, DnsStep, FixedZone, Name, Record};
use serde_json::Value;

/// Vectors that come out otherwise, with what comes out and why.
type Differences = [(&'static str, &'static str, &'static str)];

const SPACE: &str = "the target name holds spaces: no name with a space is asked for";

const RFC7208: &Differences = &[("macro-mania-in-domain", "fail", SPACE)];

const RFC4408: &Differences = &[("macro-mania-in-domain", "fail", SPACE)];

const PYSPF: &Differences = &[
    ("default-modifier", "neutral", "RFC 7208 §6: `default=` of old drafts is an unknown modifier, and ignored"),
    ("default-modifier-harsh", "neutral", "a result of pyspf's own; `default=` is an unknown modifier"),
];

const MAIL_AUTH: &Differences = &[
    ("all 1", "permerror", "RFC 7208 §4.6: `ip:` is no mechanism, and an error behind `all` is one too"),
    ("basic 9", "permerror", "RFC 7208 §4.6.4: ten names that do not exist are more than two empty answers"),
    ("exists 2", "fail", "RFC 7208 §5.7: `exists` asks for A, and the name has AAAA alone"),
    ("ip 11", "fail", "RFC 7208 §5: an IPv4 client is listed by `ip4` only"),
    ("macro 4", "fail", "RFC 7208 §5.7: `exists` asks for A, and the name has AAAA alone"),
];

/// What one suite came to.
#[derive(Default)]
struct Table {
    passed: usize,
    /// Name, what came, and what was expected.
    differs: Vec<(String, String, String)>,
}

impl Table {
    fn add(&mut self, name: &str, expected: &[String], explanation: Option<&str>, outcome: &Outcome) {
        let mut got = outcome.result.to_string();
        let mut right = expected.contains(&got);
        if let Some(expected) = explanation {
            // "DEFAULT": the evaluator's own, of which there is none.
            let text = outcome.explanation.as_deref().unwrap_or("DEFAULT");
            // RFC 7208 §7.3 leaves the case of hexadecimal digits open.
            if right && !text.eq_ignore_ascii_case(expected) {
                right = false;
                got = format!("{got}: {text}");
            }
        }
        if right {
            self.passed += 1;
        } else {
            self.differs.push((
                name.into(),
                got,
                format!("{} {}", expected.join(" or "), explanation.unwrap_or_default()),
            ));
        }
    }

    /// Prints the table and holds it to the list of differences.
    fn finish(&self, suite: &str, size: usize, listed: &Differences) {
        println!("{suite}: {} pass, {} differ", self.passed, self.differs.len());
        let mut wrong = Vec::new();
        for (name, got, expected) in &self.differs {
            match listed.iter().find(|(listed, result, _)| listed == name && result == got) {
                Some((_, _, why)) => println!("  {name}: {got}, not {expected}: {why}"),
                None => wrong.push(format!("{name}: {got}, not {expected}")),
            }
        }
        for (name, ..) in listed {
            if !self.differs.iter().any(|(differs, ..)| differs == name) {
                wrong.push(format!("{name} is listed as a difference and is none"));
            }
        }
        assert!(wrong.is_empty(), "{suite}:\n{}", wrong.join("\n"));
        assert_eq!(self.passed + self.differs.len(), size, "{suite} has another size");
    }
}

/// Runs a check with its answers in every order; all must come to the same, within the limits.
fn run(make: impl Fn() -> Check, zone: &FixedZone, name: &str) -> Outcome {
    let mut outcomes = dns::run_in_orders(&make, zone);
    let seen = |outcome: &Outcome| {
        let mut counters = outcome.counters;
        counters.questions = 0;
        let steps = outcome.steps().map(|step| step.to_string()).collect::<Vec<_>>();
        (outcome.result, outcome.explanation.clone(), outcome.problem.clone(), counters, steps)
    };
    let first = seen(&outcomes[0]);
    for outcome in &outcomes {
        assert_eq!(seen(outcome), first, "{name}: the order of the answers counts");
        assert!(outcome.counters.questions <= 111 + 12, "{name}: {} questions", outcome.counters.questions);
        let field = outcome.received_spf();
        assert!(
            field.starts_with(&format!("Received-SPF: {} (", outcome.result)) && field.ends_with("\r\n"),
            "{field}"
        );
        assert!(field.split("\r\n").all(|line| line.len() <= 998 && !line.contains(char::is_control)), "{field}");
    }
    assert_eq!(seen(&run_parsed(make(), zone)), first, "{name}: it counts whether records were parsed before");
    outcomes.swap_remove(0)
}

/// Runs a check whose records were parsed when their answers came.
fn run_parsed(mut check: Check, zone: &FixedZone) -> Outcome {
    let mut open = Vec::new();
    loop {
        match check.poll() {
            DnsStep::Ask(question) => open.push(question),
            DnsStep::Wait => {
                let question = open.pop().expect("the check waits for an answer");
                let answer = zone.answer(&question);
                let record = spf::Record::from_answer(&answer);
                if !record.is_some_and(|record| check.answer_record(question.id, &record)) {
                    check.answer_ref(question.id, &answer);
                }
            }
            DnsStep::Done(outcome) => return outcome,
        }
    }
}

/// Characters up to U+00FF stand for octets.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("octets are written as characters")).collect()
}

fn strings(value: &Value) -> Record {
    match value {
        Value::Array(parts) => Record::Txt(parts.iter().flat_map(|part| octets(part.as_str().unwrap())).collect()),
        _ => Record::txt(octets(value.as_str().unwrap())),
    }
}

fn target(value: &Value) -> Name {
    let text = value.as_str().unwrap();
    if text.is_empty() { Name::root() } else { text.parse().unwrap() }
}

/// The data of a scenario. A record of type SPF stands for TXT too, unless the name says something about TXT itself.
fn zone(data: &Value) -> FixedZone {
    let mut zone = FixedZone::new();
    for (name, records) in data.as_object().unwrap() {
        // What is no name here is never asked for.
        let Ok(name) = name.parse::<Name>() else { continue };
        let records = records.as_array().unwrap();
        let has_txt = records.iter().any(|record| record.get("TXT").is_some());
        for record in records {
            let Some((kind, value)) = record.as_object().and_then(|record| record.iter().next()) else {
                assert_eq!(record, "TIMEOUT");
                zone.fail(name.clone());
                continue;
            };
            let record = match kind.as_str() {
                "TXT" if value == "NONE" => continue,
                "TXT" => strings(value),
                "SPF" if has_txt => continue,
                "SPF" => strings(value),
                "A" => Record::A(value.as_str().unwrap().parse().unwrap()),
                "AAAA" => Record::Aaaa(value.as_str().unwrap().parse().unwrap()),
                "MX" => Record::mx(u16::try_from(value[0].as_u64().unwrap()).unwrap(), target(&value[1])),
                "PTR" => Record::Ptr(target(value)),
                "CNAME" => Record::Cname(target(value)),
                _ => panic!("a record of type {kind}"),
            };
            zone.add(name.clone(), 3600, record);
        }
    }
    zone
}

fn suite(file: &str, name: &str, size: usize, listed: &Differences) {
    let Some(scenarios) = shared::suite(file) else { return };
    let mut table = Table::default();
    for scenario in scenarios.as_array().unwrap() {
        let zone = zone(&scenario["zonedata"]);
        for (test, case) in scenario["tests"].as_object().unwrap() {
            let text = |key: &str| case[key].as_str().unwrap_or_default();
            let client = Client::new(text("host").parse().unwrap(), text("helo"));
            let mailfrom = text("mailfrom");
            let make = || match mailfrom.rsplit_once('@') {
                Some((local, domain)) => Check::sender(&client, Identity::MailFrom, local, domain, Limits::default()),
                None if mailfrom.is_empty() => Check::mail_from(&client, &ReversePath::Null, Limits::default()),
                None => Check::sender(&client, Identity::MailFrom, "", mailfrom, Limits::default()),
            };
            let expected = match &case["result"] {
                Value::Array(results) => results.iter().map(|result| result.as_str().unwrap().to_owned()).collect(),
                result => vec![result.as_str().unwrap().to_owned()],
            };
            table.add(test, &expected, case["explanation"].as_str(), &run(make, &zone, test));
        }
    }
    table.finish(name, size, listed);
}

#[test]
fn rfc7208() {
    suite("spf/rfc7208-tests.json", "openspf RFC 7208", 203, RFC7208);
}

#[test]
fn rfc4408() {
    suite("spf/rfc4408-tests.json", "openspf RFC 4408", 191, RFC4408);
}

#[test]
fn pyspf() {
    suite("spf/pyspf-extra-tests.json", "pyspf", 16, PYSPF);
}

/// `type: name value` of mail-auth's files. Values of MX are addresses of exchangers, names of PTR are addresses.
fn add_mail_auth(zone: &mut FixedZone, kind: &str, rest: &str) {
    let (name, value) = rest.split_once(' ').unwrap_or_else(|| panic!("no value in {rest}"));
    let values = value.split(',').map(str::trim);
    let address = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => Record::A(ip),
        IpAddr::V6(ip) => Record::Aaaa(ip),
    };
    if kind == "ptr" {
        for value in values {
            zone.add(Name::reverse(name.parse().unwrap()), 3600, Record::Ptr(value.parse().unwrap()));
        }
        return;
    }
    // What is no name here is never asked for.
    let Ok(name) = name.parse::<Name>() else { return };
    match kind {
        "spf" | "exp" => zone.add(name, 3600, Record::txt(value)),
        "a" | "aaaa" => values.for_each(|value| zone.add(name.clone(), 3600, address(value.parse().unwrap()))),
        "mx" => {
            for (index, value) in (0..).zip(values) {
                let exchange = name.with_prefix(&format!("exchanger{index}")).unwrap();
                zone.add(name.clone(), 3600, Record::mx(index, exchange.clone()));
                zone.add(exchange, 3600, address(value.parse().unwrap()));
            }
        }
        _ => panic!("{kind}: {rest}"),
    }
}

/// A document of mail-auth: `key: value` line by line. Each `expect` is a test of what was said so far.
#[derive(Default)]
struct Document<'a> {
    records: Vec<(&'a str, &'a str)>,
    values: BTreeMap<&'a str, &'a str>,
    in_tests: bool,
}

impl<'a> Document<'a> {
    fn line(&mut self, line: &'a str) -> Option<&'a str> {
        let (key, value) = line.strip_prefix("- ").unwrap_or(line).split_once(':').expect("a line has a key");
        let value = value.trim();
        match key {
            "expect" => return Some(value),
            "records" => {}
            "tests" => self.in_tests = true,
            "name" | "domain" | "sender" | "ip" => drop(self.values.insert(key, value)),
            _ => {
                // Among the tests a record takes the place of the one before.
                let name = |value: &'a str| value.split_once(' ').map(|(name, _)| name);
                let in_tests = self.in_tests;
                self.records.retain(|(k, v)| !in_tests || *k != key || name(v) != name(value));
                self.records.push((key, value));
            }
        }
        None
    }

    fn zone(&self) -> FixedZone {
        let mut zone = FixedZone::new().failing("_dns_error.org").failing("_dns_error.test.org");
        for (kind, rest) in &self.records {
            add_mail_auth(&mut zone, kind, rest);
        }
        zone
    }
}

#[test]
fn mail_auth() {
    let Some(folder) = shared::path("spf/mail-auth") else { return };
    let mut files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    assert_eq!(files.len(), 13);
    let mut table = Table::default();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut number = 0;
        for document in text.split("\n---") {
            let mut parsed = Document::default();
            let is_content = |line: &&str| !line.is_empty() && !line.starts_with(['#', '-']) || line.starts_with("- ");
            for line in document.lines().map(str::trim).filter(is_content) {
                let Some(expected) = parsed.line(line) else { continue };
                number += 1;
                let name = format!("{} {number}", file.file_stem().unwrap().to_string_lossy());
                let zone = parsed.zone();
                let client = Client::new(parsed.values["ip"].parse().unwrap(), parsed.values["domain"]);
                // Its own rule: a HELO name that fails decides.
                let helo = run(|| Check::helo(&client, Limits::default()), &zone, &name);
                let mail_from = || match parsed.values["sender"].rsplit_once('@') {
                    Some((local, domain)) => {
                        Check::sender(&client, Identity::MailFrom, local, domain, Limits::default())
                    }
                    None => Check::mail_from(&client, &ReversePath::Null, Limits::default()),
                };
                let mail_from = run(mail_from, &zone, &name);
                let outcome = if helo.result == SpfResult::Fail { &helo } else { &mail_from };
                let (result, explanation) = expected.split_once(' ').unwrap_or((expected, ""));
                let explanation = (!explanation.is_empty()).then_some(explanation);
                table.add(&name, &[result.to_owned()], explanation, outcome);
            }
        }
    }
    table.finish("mail-auth", 170, MAIL_AUTH);
}
