//! A resolver that knows a fixed list of records, for tests.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{DnsAnswer, DnsMachine, DnsStep, Name, Question, Record, RecordKind, Validation};

/// Aliases that are followed before the answer is "try later", as a chain can be endless.
const CNAME_CHAIN_MAX: usize = 8;

/// A resolver with a fixed content: for tests, and for a server without a network.
///
/// ```
/// use pillarbox_core::dns::{DnsOutcome, FixedZone, Question, QuestionId, Record, RecordKind};
///
/// let zone = FixedZone::new()
///     .with("www.example.org", Record::Cname("example.org".parse()?))
///     .with("example.org", Record::A([192, 0, 2, 1].into()))
///     .failing("slow.example.org");
/// let ask = |name: &str| Ok(zone.answer(&Question::new(QuestionId(0), name.parse()?, RecordKind::A)).outcome);
///
/// let DnsOutcome::Found(set) = ask("www.example.org")? else { panic!("not found") };
/// assert_eq!(set.owner().as_str(), "example.org");
/// assert_eq!(set.records(), [Record::A([192, 0, 2, 1].into())]);
/// assert_eq!(ask("slow.example.org")?, DnsOutcome::TryLater);
/// assert_eq!(ask("no.example.org")?, DnsOutcome::NoSuchName);
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FixedZone {
    records: BTreeMap<Name, Vec<(u32, Record)>>,
    failing: BTreeSet<Name>,
    validation: Validation,
    /// Whether a name begins with `*`.
    wildcards: bool,
}

impl FixedZone {
    /// A resolver that knows nothing: every name is missing.
    pub fn new() -> Self {
        FixedZone::default()
    }

    /// The same with one more record, to be kept for an hour.
    ///
    /// # Panics
    ///
    /// If `name` is no name: it is written in a test.
    #[must_use]
    pub fn with(mut self, name: &str, record: Record) -> Self {
        self.add(parse(name), 3600, record);
        self
    }

    /// The same with a name that cannot be asked for: kinds that it has no record of answer "try later".
    ///
    /// # Panics
    ///
    /// As [`FixedZone::with`].
    #[must_use]
    pub fn failing(mut self, name: &str) -> Self {
        self.failing.insert(parse(name));
        self
    }

    /// The same, with what all answers say about their truth.
    #[must_use]
    pub fn with_validation(self, validation: Validation) -> Self {
        FixedZone { validation, ..self }
    }

    /// Changes what all answers say about their truth.
    pub const fn set_validation(&mut self, validation: Validation) {
        self.validation = validation;
    }

    /// Makes a name exist, with or without records.
    pub fn add_name(&mut self, name: Name) {
        self.entry(name);
    }

    /// Adds a record that may be kept for `ttl` seconds.
    pub fn add(&mut self, name: Name, ttl: u32, record: Record) {
        self.entry(name).push((ttl, record));
    }

    fn entry(&mut self, name: Name) -> &mut Vec<(u32, Record)> {
        self.wildcards |= name.as_str().starts_with("*.");
        self.records.entry(name).or_default()
    }

    /// Makes a name fail, as [`failing`](FixedZone::failing) does.
    pub fn fail(&mut self, name: Name) {
        self.failing.insert(name);
    }

    /// Answers a question. Aliases are followed, eight at most; a longer chain and a loop are "try later".
    pub fn answer(&self, question: &Question) -> DnsAnswer {
        self.look_up(question).with_validation(self.validation)
    }

    fn look_up(&self, question: &Question) -> DnsAnswer {
        let mut owner = question.name.clone();
        for _ in 0..=CNAME_CHAIN_MAX {
            let own = self.records.get(&owner).or_else(|| self.wildcard(&owner));
            let here = own.map(Vec::as_slice).unwrap_or_default();
            let wanted = here.iter().filter(|(_, record)| record.kind() == question.kind).cloned().collect::<Vec<_>>();
            if !wanted.is_empty() {
                return DnsAnswer::found(owner, wanted);
            }
            let alias = here.iter().find_map(|(_, record)| match record {
                Record::Cname(target) if question.kind != RecordKind::Cname => Some(target),
                _ => None,
            });
            match alias {
                Some(target) => owner = target.clone(),
                None if self.failing.contains(&owner) => return DnsAnswer::try_later(),
                None if own.is_some() || self.exists(&owner) => return DnsAnswer::no_data(),
                None => return DnsAnswer::no_such_name(),
            }
        }
        DnsAnswer::try_later()
    }

    /// RFC 1034 §4.3.3: the records of `*` below the closest name above that exists, for a name that does not.
    fn wildcard(&self, name: &Name) -> Option<&Vec<(u32, Record)>> {
        if !self.wildcards || self.exists(name) {
            return None;
        }
        let mut encloser = name.parent()?;
        while !self.exists(&encloser) {
            encloser = encloser.parent()?;
        }
        self.records.get(&encloser.with_prefix("*").ok()?)
    }

    /// A name exists if it or a name below it has a record.
    fn exists(&self, name: &Name) -> bool {
        self.records.keys().any(|key| key.is_within(name))
    }
}

fn parse(name: &str) -> Name {
    match Name::parse(name) {
        Ok(name) => name,
        Err(error) => panic!("{name:?}: {error}"),
    }
}

/// Runs a machine to its end with the answers of a zone, in the order of the questions. A machine that waits without
/// having asked is given up on.
///
/// # Panics
///
/// If the machine goes on waiting after that: it breaks its contract.
pub fn run<M: DnsMachine>(machine: &mut M, zone: &FixedZone) -> M::Output {
    let mut open = VecDeque::new();
    let mut given_up = false;
    loop {
        match machine.poll() {
            DnsStep::Ask(question) => open.push_back(question),
            DnsStep::Done(output) => return output,
            DnsStep::Wait => match open.pop_front() {
                Some(question) => machine.answer(question.id, zone.answer(&question)),
                None => {
                    assert!(!given_up, "the machine waits for an answer to nothing");
                    machine.give_up();
                    given_up = true;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DnsOutcome, QuestionId};
    use super::*;
    use alloc::format;

    fn ask(zone: &FixedZone, name: &str, kind: RecordKind) -> DnsOutcome {
        zone.answer(&Question::new(QuestionId(0), parse(name), kind)).outcome
    }

    fn chain(links: usize) -> FixedZone {
        let end = FixedZone::new().with(&format!("n{links}.example"), Record::txt("end"));
        (0..links).fold(end, |zone, n| {
            zone.with(&format!("n{n}.example"), Record::Cname(parse(&format!("n{}.example", n + 1))))
        })
    }

    #[test]
    fn chains_of_aliases_end() {
        assert!(
            matches!(ask(&chain(8), "n0.example", RecordKind::Txt), DnsOutcome::Found(set) if *set.owner() == parse("n8.example"))
        );
        assert_eq!(ask(&chain(9), "n0.example", RecordKind::Txt), DnsOutcome::TryLater);
        let ring = FixedZone::new()
            .with("a.example", Record::Cname(parse("b.example")))
            .with("b.example", Record::Cname(parse("a.example")));
        assert_eq!(ask(&ring, "a.example", RecordKind::A), DnsOutcome::TryLater);
        assert!(matches!(ask(&ring, "a.example", RecordKind::Cname), DnsOutcome::Found(_)));
    }

    #[test]
    fn absence_has_two_kinds() {
        let zone = FixedZone::new().with("a.b.example", Record::txt("x")).failing("slow.example");
        assert_eq!(ask(&zone, "a.b.example", RecordKind::Mx), DnsOutcome::NoData);
        assert_eq!(ask(&zone, "B.example", RecordKind::Txt), DnsOutcome::NoData);
        assert_eq!(ask(&zone, "c.example", RecordKind::Txt), DnsOutcome::NoSuchName);
        assert_eq!(ask(&zone, "slow.example", RecordKind::Txt), DnsOutcome::TryLater);
    }

    #[test]
    fn wildcards_stand_for_names_without_anything() {
        let zone = FixedZone::new()
            .with("*.example", Record::txt("any"))
            .with("b.a.example", Record::A([192, 0, 2, 1].into()))
            .with("*.c.example", Record::Cname(parse("*.example")));
        assert!(
            matches!(ask(&zone, "x.y.example", RecordKind::Txt), DnsOutcome::Found(set) if *set.owner() == parse("x.y.example"))
        );
        assert_eq!(ask(&zone, "x.example", RecordKind::A), DnsOutcome::NoData);
        // RFC 4592 §2.2.1: a name that exists, if only for what is below it, is not covered, nor is what is below it.
        assert_eq!(ask(&zone, "a.example", RecordKind::Txt), DnsOutcome::NoData);
        assert_eq!(ask(&zone, "b.a.example", RecordKind::Txt), DnsOutcome::NoData);
        assert_eq!(ask(&zone, "z.a.example", RecordKind::Txt), DnsOutcome::NoSuchName);
        assert!(
            matches!(ask(&zone, "x.c.example", RecordKind::Txt), DnsOutcome::Found(set) if *set.owner() == parse("*.example"))
        );
        assert_eq!(ask(&zone, "example.org", RecordKind::Txt), DnsOutcome::NoSuchName);
    }

    #[test]
    fn a_failing_name_still_has_its_records() {
        let zone = FixedZone::new().with("a.example", Record::txt("x")).failing("a.example");
        assert!(matches!(ask(&zone, "a.example", RecordKind::Txt), DnsOutcome::Found(_)));
        assert_eq!(ask(&zone, "a.example", RecordKind::A), DnsOutcome::TryLater);
    }

    #[test]
    fn a_machine_that_waits_for_nothing_is_given_up_on() {
        struct Idle(bool);
        impl DnsMachine for Idle {
            type Output = &'static str;
            fn poll(&mut self) -> DnsStep<&'static str> {
                if self.0 { DnsStep::Done("given up") } else { DnsStep::Wait }
            }
            fn answer(&mut self, _: QuestionId, _: DnsAnswer) {}
            fn give_up(&mut self) {
                self.0 = true;
            }
        }
        assert_eq!(run(&mut Idle(false), &FixedZone::new()), "given up");
    }
}
