//! Messages of published suites, and their way through a machine: in every cut, with answers in every order.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]

#[path = "../../../mailcore/tests/shared/mod.rs"]
mod shared;

use std::fmt::Debug;
use std::path::Path;

use pillarbox_auth::inbound::{Inbound, Verdicts};
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, QuestionId, Record};
use pillarbox_core::{Random as _, SeededRandom};
pub(crate) use shared::{path as suite, suite as suite_json, text as suite_text};

pub(crate) fn read(folder: &Path, file: &str) -> Vec<u8> {
    let path = folder.join(file);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn read_json(folder: &Path, file: &str) -> serde_json::Value {
    serde_json::from_slice(&read(folder, file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// With CRLF line ends, if they are LF.
pub(crate) fn crlf(message: &[u8]) -> Vec<u8> {
    if message.windows(2).any(|pair| pair == b"\r\n") {
        return message.to_vec();
    }
    let mut with = Vec::with_capacity(message.len() + message.len() / 30);
    for octet in message {
        if *octet == b'\n' {
            with.push(b'\r');
        }
        with.push(*octet);
    }
    with
}

/// A zone of texts under names.
pub(crate) fn zone(object: &serde_json::Value) -> FixedZone {
    object.as_object().expect("a zone is an object").iter().fold(FixedZone::new(), |zone, (name, text)| {
        zone.with(name, Record::txt(text.as_str().expect("a record is a text")))
    })
}

/// A message with lines `name text` on top, up to an empty line, that are its zone.
pub(crate) fn with_zone_on_top(file: &[u8]) -> (FixedZone, Vec<u8>) {
    let mut zone = FixedZone::new();
    let mut rest = file;
    loop {
        let end = rest.iter().position(|octet| *octet == b'\n').expect("an empty line ends the zone");
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        match line.trim_end().split_once(' ') {
            Some((name, text)) => zone = zone.with(name, Record::txt(text)),
            None => return (zone, crlf(rest)),
        }
    }
}

/// A machine that takes a message in slices.
pub(crate) trait Streamed: DnsMachine {
    fn write_slice(&mut self, slice: &[u8]);
    fn end(&mut self);
}

/// The verifiers of signatures and of chains.
macro_rules! streamed {
    ($($verifier:ty),*) => {
        $(impl Streamed for $verifier {
            fn write_slice(&mut self, slice: &[u8]) {
                self.write(slice);
            }

            fn end(&mut self) {
                self.finish();
            }
        })*
    };
}

streamed!(pillarbox_auth::dkim::Verifier, pillarbox_auth::arc::Verifier);

/// All methods over a message, whose outcome is a text of what others may see of it.
pub(crate) struct Told(pub(crate) Inbound, pub(crate) fn(Verdicts) -> String);

impl DnsMachine for Told {
    type Output = String;

    fn poll(&mut self) -> DnsStep<String> {
        match self.0.poll() {
            DnsStep::Ask(question) => DnsStep::Ask(question),
            DnsStep::Wait => DnsStep::Wait,
            DnsStep::Done(verdicts) => DnsStep::Done((self.1)(verdicts)),
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.0.answer(id, answer);
    }

    fn give_up(&mut self) {
        self.0.give_up();
    }
}

impl Streamed for Told {
    fn write_slice(&mut self, slice: &[u8]) {
        self.0.write(slice);
    }

    fn end(&mut self) {
        self.0.finish();
    }
}

/// Runs a message through a machine whole, then in other cuts and orders, all of which must come to the same.
pub(crate) fn in_all_ways<M: Streamed>(make: &dyn Fn() -> M, message: &[u8], zone: &FixedZone) -> M::Output
where
    M::Output: Debug + PartialEq,
{
    let fed = |slices: &[&[u8]]| {
        let mut machine = make();
        for slice in slices {
            machine.write_slice(slice);
        }
        machine.end();
        machine
    };
    let expected = dns::run(&mut fed(&[message]), zone);
    let octets = message.chunks(1).collect::<Vec<_>>();
    assert_eq!(dns::run(&mut fed(&octets), zone), expected, "octet by octet");
    let cuts = if message.len() <= 1000 {
        (0..message.len()).collect::<Vec<_>>()
    } else {
        let mut random = SeededRandom::new(message.len() as u64);
        (0..200).map(|_| usize::try_from(random.below(message.len() as u64)).unwrap()).collect()
    };
    for cut in cuts {
        let (start, end) = message.split_at(cut);
        assert_eq!(dns::run(&mut fed(&[start, end]), zone), expected, "cut at {cut}");
    }
    for result in dns::run_in_orders(|| fed(&[message]), zone) {
        assert_eq!(result, expected, "another order of answers");
    }
    // With every answer as soon as there is a question: while the body still arrives.
    let mut machine = make();
    for slice in message.chunks(64) {
        machine.write_slice(slice);
        while let DnsStep::Ask(question) = machine.poll() {
            machine.answer(question.id, zone.answer(&question));
        }
    }
    machine.end();
    assert_eq!(dns::run(&mut machine, zone), expected, "early answers");
    expected
}

/// Counts vectors, and says at the end how many there were.
pub(crate) struct Table {
    suite: &'static str,
    passed: usize,
    differs: Vec<String>,
}

impl Table {
    pub(crate) fn new(suite: &'static str) -> Self {
        Table { suite, passed: 0, differs: Vec::new() }
    }

    pub(crate) fn row(&mut self, name: &str, expected: &str, found: &str) {
        if expected == found {
            self.passed += 1;
        } else {
            self.differs.push(format!("{name}: {found}, not {expected}"));
        }
    }

    /// Holds the suite to what is known to differ: each with its name, and why.
    #[expect(clippy::print_stdout, reason = "the table is what the test is for")]
    pub(crate) fn finish(self, known: &[(&str, &str)]) {
        println!("| {} | {} pass | {} differ |", self.suite, self.passed, self.differs.len());
        let mut differs = self.differs;
        for (name, why) in known {
            let before = differs.len();
            differs.retain(|row| !row.starts_with(&format!("{name}: ")));
            assert!(differs.len() < before, "{name} no longer differs ({why})");
            println!("|   {name} | differs | {why} |");
        }
        assert!(differs.is_empty(), "{}: {differs:#?}", self.suite);
        assert!(self.passed > 0, "{}: nothing was tried", self.suite);
    }
}
