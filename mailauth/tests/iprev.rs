//! iprev: results, limits, and answers in every order.

use std::net::IpAddr;

use pillarbox_auth::iprev::{Forward, IprevResult, Outcome, ReverseCheck};
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, QuestionId, Record, RecordKind};

fn ptr(name: &str) -> Record {
    Record::Ptr(name.parse().unwrap())
}

fn check(ip: &str, zone: &FixedZone) -> Outcome {
    let ip = ip.parse::<IpAddr>().unwrap();
    let results = dns::run_in_orders(|| ReverseCheck::new(ip, 10), zone);
    assert!(results.iter().all(|result| *result == results[0]), "the order of the answers counts: {results:?}");
    results[0].clone()
}

#[test]
fn results() {
    let zone = FixedZone::new()
        .with("1.2.0.192.in-addr.arpa", ptr("other.example"))
        .with("1.2.0.192.in-addr.arpa", ptr("mail.example"))
        .with("2.2.0.192.in-addr.arpa", ptr("mail.example"))
        .with("3.2.0.192.in-addr.arpa", ptr("gone.example"))
        .with("4.2.0.192.in-addr.arpa", ptr("slow.example"))
        .with("4.2.0.192.in-addr.arpa", ptr("other.example"))
        .with("5.2.0.192.in-addr.arpa", ptr("slow.example"))
        .with("5.2.0.192.in-addr.arpa", ptr("five.example"))
        .with("6.2.0.192.in-addr.arpa", Record::Ptr(Name::root()))
        .with("mail.example", Record::A([192, 0, 2, 1].into()))
        .with("other.example", Record::A([192, 0, 2, 99].into()))
        .with("five.example", Record::A([192, 0, 2, 5].into()))
        .failing("slow.example")
        .failing("7.2.0.192.in-addr.arpa")
        .with("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", ptr("six.example"))
        .with("six.example", Record::Aaaa("2001:db8::1".parse().unwrap()))
        .with("six.example", Record::A([192, 0, 2, 8].into()))
        .with("8.2.0.192.in-addr.arpa", ptr("six.example"));
    for (ip, result, name) in [
        ("192.0.2.1", IprevResult::Pass, Some("mail.example")),
        ("::ffff:192.0.2.1", IprevResult::Pass, Some("mail.example")),
        ("192.0.2.2", IprevResult::Fail, None),
        ("192.0.2.3", IprevResult::Fail, None),
        ("192.0.2.4", IprevResult::TempError, None),
        ("192.0.2.5", IprevResult::Pass, Some("five.example")),
        ("192.0.2.6", IprevResult::PermError, None),
        ("192.0.2.7", IprevResult::TempError, None),
        ("192.0.2.9", IprevResult::PermError, None),
        ("2001:db8::1", IprevResult::Pass, Some("six.example")),
        ("192.0.2.8", IprevResult::Pass, Some("six.example")),
        ("2001:db8::2", IprevResult::PermError, None),
    ] {
        let outcome = check(ip, &zone);
        assert_eq!((outcome.result, outcome.name().map(Name::as_str)), (result, name), "{ip}");
    }
    let outcome = check("192.0.2.4", &zone);
    let forward = outcome.hosts.iter().map(|host| (host.name.as_str(), host.forward)).collect::<Vec<_>>();
    assert_eq!(forward, [("slow.example", Forward::Unknown), ("other.example", Forward::Different)]);
}

#[test]
fn a_thousand_names_make_ten_questions() {
    let mut zone = FixedZone::new();
    for number in 0..1000 {
        zone = zone.with("1.2.0.192.in-addr.arpa", ptr(&format!("n{number}.example")));
    }
    zone = zone.with("n9.example", Record::A([192, 0, 2, 1].into()));
    let outcome = check("192.0.2.1", &zone);
    assert_eq!((outcome.result, outcome.hosts.len()), (IprevResult::Pass, 10));

    let mut machine = ReverseCheck::new([192, 0, 2, 1].into(), 10);
    let mut questions = 0;
    loop {
        match machine.poll() {
            DnsStep::Ask(question) => {
                questions += 1;
                if question.kind == RecordKind::Ptr {
                    machine.answer(question.id, zone.answer(&question));
                }
            }
            DnsStep::Wait => machine.give_up(),
            DnsStep::Done(outcome) => {
                assert_eq!(outcome.result, IprevResult::TempError);
                break;
            }
        }
    }
    assert_eq!(questions, 11);
}

#[test]
fn answers_to_nothing_change_nothing() {
    let ip = [192, 0, 2, 1].into();
    let name = "mail.example".parse::<Name>().unwrap();
    let address = || DnsAnswer::found(name.clone(), [(1, Record::A([192, 0, 2, 1].into()))]);
    let mut machine = ReverseCheck::new(ip, 10);
    machine.answer(QuestionId(0), address());
    machine.answer(QuestionId(1), address());
    let DnsStep::Ask(question) = machine.poll() else { panic!("no question") };
    machine.answer(QuestionId(7), address());
    assert_eq!(machine.poll(), DnsStep::Wait);
    machine.answer(question.id, DnsAnswer::found(question.name, [(1, ptr("mail.example")), (1, ptr("two.example"))]));
    machine.answer(QuestionId(1), address());
    let DnsStep::Ask(first) = machine.poll() else { panic!("no question") };
    let DnsStep::Ask(second) = machine.poll() else { panic!("no question") };
    machine.answer(first.id, DnsAnswer::no_such_name());
    machine.answer(first.id, address());
    assert_eq!(machine.poll(), DnsStep::Wait);
    machine.answer(second.id, DnsAnswer::no_data());
    let DnsStep::Done(outcome) = machine.poll() else { panic!("not done") };
    assert_eq!(outcome.result, IprevResult::Fail);
    assert_eq!(machine.poll(), DnsStep::Wait);
}
