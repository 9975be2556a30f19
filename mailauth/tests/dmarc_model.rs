//! DMARC against a slow and obvious reading of RFC 9989 §4.10, and public suffixes against one of the algorithm of the list.

use std::cell::Cell;
use std::collections::BTreeMap;

use pillarbox_auth::dmarc::{
    Check, Config, DkimInput, DmarcResult, Evidence, Policy, PublicSuffixDomain, PublicSuffixList, Record, Sections,
    Verification,
};
use pillarbox_auth::from::Authors;
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, QuestionId};
use proptest::prelude::*;

/// The valid record of each domain that has one.
type Records = BTreeMap<String, Record>;

/// The domains of a walk that have a record, step by step as in RFC 9989 §4.10.
fn walk(start: &str, records: &Records) -> Vec<String> {
    let mut found = Vec::new();
    let mut target = start.split('.').collect::<Vec<_>>();
    let mut is_first = true;
    while !target.is_empty() {
        let domain = target.join(".");
        if let Some(record) = records.get(&domain) {
            found.push(domain);
            if record.public_suffix_domain != PublicSuffixDomain::Unknown {
                break;
            }
        }
        let removed = if is_first && target.len() >= 8 { target.len() - 7 } else { 1 };
        target.drain(..removed);
        is_first = false;
    }
    found
}

/// RFC 9989 §4.10.2
fn organization(start: &str, records: &Records) -> String {
    let found = walk(start, records);
    for domain in &found {
        match records[domain].public_suffix_domain {
            PublicSuffixDomain::No => return domain.clone(),
            PublicSuffixDomain::Yes if domain != start => {
                let below = start.strip_suffix(domain.as_str()).unwrap().trim_end_matches('.');
                return format!("{}.{domain}", below.rsplit('.').next().unwrap());
            }
            _ => {}
        }
    }
    found.last().cloned().unwrap_or(start.to_owned())
}

/// RFC 9989 §4.10.1, for domains that all exist.
fn policy(author: &str, records: &Records) -> Option<Policy> {
    if let Some(record) = records.get(author) {
        return record.policy;
    }
    let of_organization = organization(author, records);
    let of_suffix = walk(author, records)
        .into_iter()
        .find(|domain| records[domain].public_suffix_domain == PublicSuffixDomain::Yes);
    let record = records.get(&of_organization).or_else(|| records.get(&of_suffix?))?;
    record.subdomain_policy.or(record.policy)
}

/// Counts the questions of a machine.
struct Counted<'c, M> {
    machine: M,
    count: &'c Cell<usize>,
}

impl<M: DnsMachine> DnsMachine for Counted<'_, M> {
    type Output = M::Output;

    fn poll(&mut self) -> DnsStep<M::Output> {
        let step = self.machine.poll();
        if matches!(step, DnsStep::Ask(_)) {
            self.count.set(self.count.get() + 1);
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

/// Names of up to eleven labels that share their ends, so that they meet.
fn domain() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&["a", "b"][..]), 0..10).prop_map(|mut labels| {
        labels.push("example");
        labels.join(".")
    })
}

fn record() -> impl Strategy<Value = String> {
    let policies =
        ["p=none", "p=quarantine", "p=reject", "p=reject; sp=quarantine", "p=none; sp=reject", "p=reject; np=none"];
    let flags = ["", "; psd=y", "; psd=n", "; adkim=s"];
    (prop::sample::select(policies.to_vec()), prop::sample::select(flags.to_vec()))
        .prop_map(|(policy, flag)| format!("v=DMARC1; {policy}{flag}"))
}

proptest! {
    #[test]
    fn as_the_text_says(
        published in prop::collection::btree_map(domain(), record(), 0..6),
        author in domain(),
        signers in prop::collection::vec(domain(), 0..3),
    ) {
        let mut zone = FixedZone::new().with(&author, dns::Record::A([192, 0, 2, 1].into()));
        let mut records = Records::new();
        for (domain, text) in &published {
            zone = zone.with(&format!("_dmarc.{domain}"), dns::Record::txt(text));
            records.insert(domain.clone(), Record::parse(text.as_bytes()).unwrap());
        }
        let authors = Authors::read(format!("From: x@{author}\r\n\r\n").as_bytes(), &Default::default());
        let signatures = signers.iter().map(|domain| DkimInput::new(Verification::Pass, domain.parse().unwrap()));
        // Enough for all walks: what the limit does is tested elsewhere.
        let mut config = Config::default();
        config.limits.alignment_questions_max = 100;
        let mut check = Check::new(&authors, &config);
        check.supply(Evidence::new(None, signatures.collect()));
        let outcome = dns::run(&mut check, &zone);
        prop_assert_eq!(outcome.policy, policy(&author, &records));
        let strict = outcome.policy_record.as_ref().is_some_and(|found| found.record.to_string().contains("adkim=s"));
        let of_author = organization(&author, &records);
        let is_aligned = |signer: &String| *signer == author || (!strict && organization(signer, &records) == of_author);
        let expected = match outcome.policy {
            None => DmarcResult::None,
            Some(_) if signers.iter().any(is_aligned) => DmarcResult::Pass,
            Some(_) => DmarcResult::Fail,
        };
        prop_assert_eq!(outcome.result, expected);
        if let Some(found) = &outcome.organizational_domain {
            prop_assert_eq!(found.as_str(), of_author);
        }
    }

    /// Eight questions for the author, one whether that domain exists, eight for all others; and the same outcome in every
    /// order of the answers.
    #[test]
    fn few_questions(
        published in prop::collection::btree_map(domain(), record(), 0..4),
        author in domain(),
        signers in prop::collection::vec(domain(), 0..20),
    ) {
        let records = published.iter().map(|(domain, text)| (format!("_dmarc.{domain}"), dns::Record::txt(text)));
        let zone = records.fold(FixedZone::new(), |zone, (at, record)| zone.with(&at, record));
        let authors = Authors::read(format!("From: x@{author}\r\n\r\n").as_bytes(), &Default::default());
        let signatures = signers.iter().map(|domain| DkimInput::new(Verification::Pass, domain.parse().unwrap()));
        let mut check = Check::new(&authors, &Config::default());
        check.supply(Evidence::new(None, signatures.collect()));
        let (count, runs) = (Cell::new(0), Cell::new(0));
        let make = || {
            runs.set(runs.get() + 1);
            Counted { machine: check.clone(), count: &count }
        };
        let outcomes = dns::run_in_orders(make, &zone);
        prop_assert!(count.get() <= runs.get() * (8 + 1 + 8));
        prop_assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
        prop_assert!(outcomes[0].trace.len() < 40);
    }

    /// What is printed is read again as the same record; nothing breaks the parser.
    #[test]
    fn records(tags in prop::collection::vec((
        prop::sample::select(&["v", "p", "sp", "np", "adkim", "aspf", "psd", "t", "rua", "ruf", "fo", "pct", "ri", "rf", "x", ""][..]),
        prop::sample::select(&[
            "none", "Quarantine", "reject", "r", "S", "y", "n", "u", "0", "1:d:s", "d", "50", "4294967295", "DMARC1",
            "mailto:a@b.example!10k", "mailto:a@b.example,https://c.example/ ,mailto:%22x%22@d.example", "ü", "\0", "=",
        ][..]),
    ), 0..12), octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = tags.iter().map(|(name, value)| format!("; {name}={value}")).collect::<String>();
        if let Ok(record) = Record::parse(format!("v=DMARC1{text}").as_bytes()) {
            prop_assert_eq!(Record::parse(record.to_string().as_bytes()), Ok(record));
        }
        let _ = Record::parse(&octets);
        let _ = Record::parse(&[b"v=DMARC1;", &octets[..]].concat());
    }

    #[test]
    fn public_suffixes(
        rules in prop::collection::btree_set((
            prop::sample::select(&["", "*.", "!"][..]),
            prop::collection::vec(prop::sample::select(&["a", "b", "c"][..]), 1..4),
        ), 1..12),
        name in prop::collection::vec(prop::sample::select(&["a", "b", "c", "d"][..]), 1..6),
    ) {
        let rules = rules.iter().map(|(kind, labels)| format!("{kind}{}", labels.join("."))).collect::<Vec<_>>();
        let list = PublicSuffixList::parse(&rules.join("\n"), Sections::All).unwrap();
        let matches = |rule: &str| {
            let mut labels = rule.trim_start_matches('!').rsplit('.').zip(name.iter().rev());
            rule.split('.').count() <= name.len() && labels.all(|(one, other)| one == "*" || one == *other)
        };
        let matching = rules.iter().filter(|rule| matches(rule)).collect::<Vec<_>>();
        let labels = |rule: &str| rule.split('.').count();
        // Of several exceptions the text does not say which prevails; the shortest does here.
        let exception = matching.iter().filter(|rule| rule.starts_with('!')).map(|rule| labels(rule) - 1).min();
        let suffix = exception.unwrap_or(matching.iter().map(|rule| labels(rule)).max().unwrap_or(1));
        let expected = (name.len() > suffix).then(|| name[name.len() - suffix - 1..].join("."));
        let found = list.organizational_domain(&Name::parse(&name.join(".")).unwrap());
        prop_assert_eq!(found.map(|name| name.to_string()), expected, "{:?}", rules);
    }
}
