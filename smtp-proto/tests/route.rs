//! Where mail goes: exchangers of domains, the addresses that are tried, and routes that are set.

use std::net::IpAddr;

use pillarbox_core::SeededRandom;
use pillarbox_core::address::{Address, Domain};
use pillarbox_core::dns::{
    self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, QuestionId, Record, RecordKind, Validation,
};
use pillarbox_smtp::route::{
    AttemptLimits, Attempts, Destination, EXCHANGERS_MAX, Exchangers, MxSearch, NoRoute, RouteTable, RouteTableError,
};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn zone(records: &[(&str, u16, &str)]) -> FixedZone {
    records.iter().fold(FixedZone::new(), |zone, (domain, preference, host)| {
        zone.with(domain, Record::mx(*preference, name(host)))
    })
}

fn search_as(zone: &FixedZone, domain: &str, own: &[&str], seed: u64) -> Result<Exchangers, NoRoute> {
    let own: Vec<Name> = own.iter().map(|own| name(own)).collect();
    dns::run(&mut MxSearch::new(name(domain), &own, &mut SeededRandom::new(seed)), zone)
}

fn search(zone: &FixedZone, domain: &str) -> Result<Exchangers, NoRoute> {
    search_as(zone, domain, &[], 1)
}

fn hosts(found: &Exchangers) -> Vec<String> {
    found.hosts.iter().map(ToString::to_string).collect()
}

// RFC 5321 §5.1
#[test]
fn lower_preferences_come_first() {
    let zone = zone(&[("a.example", 30, "c.example"), ("a.example", 5, "a.example"), ("a.example", 20, "b.example")]);
    let found = search(&zone, "a.example").unwrap();
    assert_eq!(hosts(&found), ["5 a.example", "20 b.example", "30 c.example"]);
    assert!(!found.implicit);
    assert_eq!((found.domain.as_str(), found.owner.as_str()), ("a.example", "a.example"));
}

// RFC 5321 §5.1
#[test]
fn lots_are_drawn_among_equals_and_only_among_them() {
    let names = ["p.example", "q.example", "r.example", "s.example"];
    let mut zone = zone(&[("a.example", 1, "first.example"), ("a.example", 90, "last.example")]);
    let mut turned = zone.clone();
    for at in 0..names.len() {
        zone = zone.with("a.example", Record::mx(10, name(names[at])));
        turned = turned.with("a.example", Record::mx(10, name(names[names.len() - 1 - at])));
    }
    let mut firsts = [0; 4];
    for seed in 0..4000 {
        let found = search_as(&zone, "a.example", &[], seed).unwrap();
        assert_eq!((found.hosts[0].name.as_str(), found.hosts[5].name.as_str()), ("first.example", "last.example"));
        firsts[names.iter().position(|name| *name == found.hosts[1].name.as_str()).unwrap()] += 1;
        let again = search_as(&turned, "a.example", &[], seed).unwrap();
        assert_eq!(found.hosts, again.hosts, "the order of the records has no say in it");
    }
    // 1,000 are expected of each, 27 are one standard deviation; the seeds are fixed, so this is no matter of luck.
    assert!(firsts.iter().all(|count| (850..1150).contains(count)), "{firsts:?}");
}

// RFC 5321 §5.1
#[test]
fn a_domain_without_records_is_its_own_exchanger() {
    let zone = FixedZone::new()
        .with("a.example", Record::A([192, 0, 2, 1].into()))
        .with("www.example", Record::Cname(name("a.example")))
        .with_validation(Validation::Validated);
    for domain in ["a.example", "www.example"] {
        let found = search(&zone, domain).unwrap();
        assert_eq!((hosts(&found), found.implicit), (vec![format!("0 {domain}")], true));
        assert_eq!(found.validation, Validation::Validated);
    }
    assert_eq!(search_as(&zone, "a.example", &["a.example"], 1), Err(NoRoute::Loop));
}

// RFC 5321 §5.1: an alias is resolved, and the records are those of its target.
#[test]
fn an_alias_has_the_exchangers_of_its_target() {
    let zone =
        zone(&[("target.example", 10, "mx.example")]).with("alias.example", Record::Cname(name("target.example")));
    let found = search(&zone, "alias.example").unwrap();
    assert_eq!((found.domain.as_str(), found.owner.as_str()), ("alias.example", "target.example"));
    assert_eq!(hosts(&found), ["10 mx.example"]);
    // RFC 2181 §10.3 forbids an exchanger to be an alias; its address is looked up all the same.
    let odd = zone.with("mx.example", Record::Cname(name("elsewhere.example")));
    assert_eq!(hosts(&search(&odd, "alias.example").unwrap()), ["10 mx.example"]);
}

// RFC 7505 §3
#[test]
fn null_mx_stands_alone_or_means_nothing() {
    for preference in [0, 10] {
        assert_eq!(search(&zone(&[("a.example", preference, ".")]), "a.example"), Err(NoRoute::NullMx));
    }
    let beside = zone(&[("a.example", 0, "."), ("a.example", 10, "mx.example")]);
    assert_eq!(hosts(&search(&beside, "a.example").unwrap()), ["10 mx.example"]);
    let twice = zone(&[("a.example", 0, "."), ("a.example", 10, ".")]);
    assert_eq!(search(&twice, "a.example"), Err(NoRoute::NoUsableExchanger));
}

// RFC 5321 §5.1
#[test]
fn nothing_goes_to_a_host_that_would_send_it_back() {
    let zone = zone(&[
        ("a.example", 10, "near.example"),
        ("a.example", 20, "us.example"),
        ("a.example", 20, "equal.example"),
        ("a.example", 30, "far.example"),
        ("b.example", 10, "us.example"),
        ("b.example", 20, "far.example"),
        ("c.example", 10, "other.example"),
    ]);
    let as_us = |domain| search_as(&zone, domain, &["US.example", "alias.example"], 1);
    assert_eq!(hosts(&as_us("a.example").unwrap()), ["10 near.example"]);
    assert_eq!(as_us("b.example"), Err(NoRoute::Loop));
    assert_eq!(hosts(&as_us("c.example").unwrap()), ["10 other.example"]);
}

#[test]
fn no_answer_is_never_taken_for_an_absence() {
    let zone = FixedZone::new().failing("slow.example").with("a.example", Record::txt("x"));
    assert_eq!(search(&zone, "slow.example"), Err(NoRoute::TryLater));
    assert_eq!(search(&zone, "no.example"), Err(NoRoute::NoSuchDomain));
    assert!(NoRoute::TryLater.is_temporary() && !NoRoute::NoSuchDomain.is_temporary());
    let ring = FixedZone::new().with("r.example", Record::Cname(name("r.example")));
    assert_eq!(search(&ring, "r.example"), Err(NoRoute::TryLater));
}

#[test]
fn an_answer_of_thousands_is_cut_to_those_preferred() {
    let zone = (0..5000).rev().fold(FixedZone::new(), |zone, n: u16| {
        zone.with("a.example", Record::mx(n, name(&format!("n{}.example", n / 2))))
    });
    let found = search(&zone, "a.example").unwrap();
    assert_eq!(found.hosts.len(), EXCHANGERS_MAX);
    let kept: Vec<u16> = found.hosts.iter().map(|host| host.preference).collect();
    let expected: Vec<u16> = (0..40).step_by(2).collect();
    assert_eq!(kept, expected, "each host once, at the preference that is lower");
}

#[test]
fn an_address_in_place_of_a_host_is_passed_over() {
    let zone = zone(&[("a.example", 1, "192.0.2.1"), ("a.example", 2, "mx.example"), ("b.example", 1, "10.1")]);
    assert_eq!(hosts(&search(&zone, "a.example").unwrap()), ["2 mx.example"]);
    assert_eq!(search(&zone, "b.example"), Err(NoRoute::NoUsableExchanger));
}

#[test]
fn the_machine_keeps_its_contract() {
    let mut machine = MxSearch::new(name("a.example"), &[], &mut SeededRandom::new(1));
    let DnsStep::Ask(question) = machine.poll() else { panic!("it asks") };
    assert_eq!((question.name.as_str(), question.kind), ("a.example", RecordKind::Mx));
    assert_eq!(machine.poll(), DnsStep::Wait);
    machine.give_up();
    machine.answer(QuestionId(0), DnsAnswer::no_such_name());
    assert_eq!(machine.poll(), DnsStep::Done(Err(NoRoute::TryLater)));
    assert_eq!(machine.poll(), DnsStep::Wait, "it is used up");
    machine.give_up();
    assert_eq!(machine.poll(), DnsStep::Wait);
    // An answer to no question.
    let mut machine = MxSearch::new(name("a.example"), &[], &mut SeededRandom::new(1));
    machine.answer(QuestionId(0), DnsAnswer::no_such_name());
    assert!(matches!(machine.poll(), DnsStep::Ask(_)));
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn all(mut attempts: Attempts) -> Vec<String> {
    std::iter::from_fn(|| attempts.next()).map(|candidate| format!("{} {}", candidate.host, candidate.ip)).collect()
}

// RFC 8305 §4
#[test]
fn families_take_turns() {
    let addresses = ips(&["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2", "2001:db8::1", "::ffff:192.0.2.1"]);
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    attempts.add_host(&name("a.example"), addresses.clone());
    attempts.add_host(&name("b.example"), ips(&["192.0.2.9"]));
    let expected = [
        "a.example 2001:db8::1",
        "a.example 192.0.2.1",
        "a.example 2001:db8::2",
        "a.example 192.0.2.2",
        "b.example 192.0.2.9",
    ];
    assert_eq!(all(attempts), expected);
    let mut limits = AttemptLimits::default();
    limits.ipv6_first = false;
    limits.addresses_max = 2;
    let mut attempts = Attempts::new(limits, Vec::new());
    attempts.add_host(&name("a.example"), addresses);
    assert_eq!(all(attempts), ["a.example 192.0.2.1", "a.example 2001:db8::1"]);
}

// RFC 8305 §3, §5
#[test]
fn addresses_that_come_later_take_turns_with_those_that_wait() {
    let host = name("a.example");
    let next = |attempts: &mut Attempts| attempts.next().map(|candidate| candidate.ip.to_string());
    let four = ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
    let six = ips(&["2001:db8::1", "2001:db8::2", "2001:db8::3"]);
    // As many were added as a round has; none of the others is tried for them.
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    attempts.add_host(&host, four.clone());
    assert_eq!(next(&mut attempts).unwrap(), "192.0.2.1");
    attempts.add_more(&host, six.clone());
    assert_eq!(
        all(attempts.clone()),
        ["2001:db8::1", "192.0.2.2", "2001:db8::2", "192.0.2.3"].map(|ip| format!("a.example {ip}"))
    );
    // The other way round, with one that is given back.
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    attempts.add_host(&host, six);
    let first = attempts.next().unwrap();
    assert_eq!(first.ip.to_string(), "2001:db8::1");
    attempts.add_more(&host, four);
    assert_eq!(next(&mut attempts).unwrap(), "192.0.2.1");
    attempts.give_back(first);
    assert_eq!(
        all(attempts),
        ["2001:db8::1", "2001:db8::2", "192.0.2.2", "2001:db8::3"].map(|ip| format!("a.example {ip}"))
    );
    // Before any was tried, it is as if all had been there.
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    attempts.add_host(&host, ips(&["192.0.2.1"]));
    attempts.add_more(&host, ips(&["2001:db8::1", "192.0.2.1"]));
    assert_eq!(all(attempts), ["a.example 2001:db8::1", "a.example 192.0.2.1"]);
}

#[test]
fn a_host_that_turns_out_to_be_ourselves_is_not_tried_further() {
    let (host, own) = (name("other-name.example"), ips(&["2001:db8::7"]));
    let mut attempts = Attempts::new(AttemptLimits::default(), own.clone());
    attempts.add_host(&host, ips(&["192.0.2.1", "192.0.2.2"]));
    assert!(attempts.next().is_some());
    attempts.add_more(&host, own.clone());
    assert!(attempts.meets_itself() && attempts.next().is_none() && !attempts.is_empty());
    // Nothing of it was tried.
    let mut attempts = Attempts::new(AttemptLimits::default(), own.clone());
    attempts.add_host(&host, ips(&["192.0.2.1"]));
    attempts.add_more(&host, own);
    assert!(attempts.meets_itself() && attempts.is_empty());
}

#[test]
fn a_round_has_an_end() {
    let many = || (0..=255).map(|last| IpAddr::from([192, 0, 2, last]));
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    assert!(attempts.is_empty() && attempts.next().is_none());
    for host in 0..100 {
        attempts.add_host(&name(&format!("n{host}.example")), many());
    }
    let mut sessions = attempts.clone();
    assert_eq!(all(attempts).len(), 5);
    for _ in 0..2 {
        assert!(sessions.next().is_some());
        sessions.session_failed();
    }
    assert_eq!(sessions.next(), None, "two sessions are a round");
}

// RFC 5321 §3.8, §5.1
#[test]
fn a_host_that_is_busy_is_left_alone_at_all_its_addresses() {
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    attempts.add_host(&name("a.example"), ips(&["192.0.2.1", "192.0.2.2"]));
    attempts.add_host(&name("b.example"), ips(&["192.0.2.3"]));
    let first = attempts.next().unwrap();
    attempts.drop_host(&first.host);
    assert_eq!(all(attempts), ["b.example 192.0.2.3"]);
    // However many it has, and the next one is added after that.
    let mut attempts = Attempts::new(AttemptLimits::default(), Vec::new());
    let five = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
    attempts.add_host(&name("a.example"), ips(&five));
    let first = attempts.next().unwrap();
    attempts.drop_host(&first.host);
    attempts.add_host(&name("b.example"), ips(&["192.0.2.6"]));
    assert_eq!(all(attempts), ["b.example 192.0.2.6"]);
}

// RFC 5321 §5.1
#[test]
fn a_host_with_one_of_our_addresses_is_ourselves() {
    let own = ips(&["192.0.2.7"]);
    let mut attempts = Attempts::new(AttemptLimits::default(), own);
    attempts.add_host(&name("a.example"), ips(&["192.0.2.1"]));
    attempts.add_host(&name("other-name.example"), ips(&["192.0.2.2", "::ffff:192.0.2.7"]));
    attempts.add_host(&name("far.example"), ips(&["192.0.2.3"]));
    assert!(attempts.meets_itself());
    assert_eq!(all(attempts), ["a.example 192.0.2.1"]);
}

#[test]
fn what_a_domain_names() {
    let of = |text| Destination::of(&Domain::parse_utf8(text).unwrap());
    assert_eq!(of("Mail.Example"), Ok(Destination::Domain(name("mail.example"))));
    assert_eq!(of("[192.0.2.1]"), Ok(Destination::Address([192, 0, 2, 1].into())));
    assert_eq!(of("[IPv6:2001:db8::1]"), Ok(Destination::Address("2001:db8::1".parse().unwrap())));
    assert!(of("bücher.example").is_err(), "it is for the caller to write A-labels");
}

#[test]
fn the_most_special_route_counts() {
    let mut table = RouteTable::new();
    for (pattern, route) in [
        ("joe@b.example", "address"),
        ("b.example", "domain"),
        (".b.example", "below"),
        (".example", "all of example"),
        ("[192.0.2.1]", "literal"),
        (".2.1]", "unreachable"),
    ] {
        let added = table.by_recipient(pattern, route);
        assert_eq!(added.is_ok(), pattern != ".2.1]", "{pattern}");
    }
    table.by_sender("boss@c.org", "boss").unwrap();
    table.by_sender("c.org", "office").unwrap();
    let route = |table: &RouteTable<&'static str>, from: Option<&str>, to: &str| {
        let from = from.map(|from| Address::parse_utf8(from).unwrap());
        table.route(from.as_ref(), &Address::parse_utf8(to).unwrap()).copied()
    };
    for (from, to, expected) in [
        (None, "Joe@B.example", Some("address")),
        (None, "\"joe\"@b.example", Some("address")),
        (None, "\"joe@x\"@b.example", Some("domain")),
        (None, "ann@b.example", Some("domain")),
        (None, "joe@a.b.example", Some("below")),
        (None, "joe@x.a.b.example", Some("below")),
        (None, "joe@c.example", Some("all of example")),
        (None, "joe@xb.example", Some("all of example")),
        (None, "joe@example", None),
        (None, "joe@[192.0.2.1]", Some("literal")),
        (None, "joe@[192.0.2.2]", None),
        (Some("boss@c.org"), "joe@b.example", Some("address")),
        (Some("BOSS@C.org"), "joe@d.org", Some("boss")),
        (Some("clerk@c.org"), "joe@d.org", Some("office")),
        (Some("clerk@x.c.org"), "joe@d.org", None),
        (None, "joe@d.org", None),
    ] {
        assert_eq!(route(&table, from, to), expected, "{from:?} {to}");
    }
    table.set_default("default");
    assert_eq!(route(&table, None, "joe@d.org"), Some("default"));
}

#[test]
fn patterns_that_are_none() {
    let mut table = RouteTable::new();
    for pattern in ["", ".", "..", "a b", "@b.example", "joe@", ".[192.0.2.1]", "*.example", "-", "joe@b.example "] {
        assert_eq!(table.by_recipient(pattern, 1), Err(RouteTableError::NoPattern(pattern.into())), "{pattern:?}");
    }
    table.by_recipient("joe@b.example", 1).unwrap();
    let twice = table.by_recipient("\"JOE\"@B.example", 2);
    assert_eq!(twice, Err(RouteTableError::Twice("\"JOE\"@B.example".into())));
    assert_eq!(table.route(None, &Address::parse("joe@b.example").unwrap()), Some(&1));
}

proptest! {
    #[test]
    fn whatever_the_answer_holds(
        records in proptest::collection::vec((0u16..4, 0u8..8), 0..40),
        own in proptest::collection::vec(0u8..8, 0..3),
        seed in any::<u64>(),
    ) {
        let host = |n: u8| if n == 0 { Name::root() } else { name(&format!("n{n}.example")) };
        let zone = records.iter().fold(FixedZone::new().with("a.example", Record::txt("x")), |zone, (preference, n)| {
            zone.with("a.example", Record::mx(*preference, host(*n)))
        });
        let own: Vec<Name> = own.into_iter().map(host).collect();
        let found = dns::run(&mut MxSearch::new(name("a.example"), &own, &mut SeededRandom::new(seed)), &zone);
        let ours = records.iter().filter(|(_, n)| own.contains(&host(*n)) && *n != 0).map(|(preference, _)| *preference).min();
        if let Ok(found) = found {
            prop_assert!(!found.hosts.is_empty() && found.hosts.len() <= EXCHANGERS_MAX);
            prop_assert!(found.hosts.is_sorted_by_key(|host| host.preference));
            for (at, host) in found.hosts.iter().enumerate() {
                prop_assert!(found.implicit || ours.is_none_or(|ours| host.preference < ours));
                prop_assert!(!own.contains(&host.name) && !host.name.is_root());
                prop_assert!(found.hosts[..at].iter().all(|other| other.name != host.name));
            }
        } else {
            prop_assert_ne!(found, Err(NoRoute::TryLater));
        }
    }
}
