//! SPF against hostile records, answers and clients, and what an outcome tells. The published suites are in `spf_suite.rs`.

use std::collections::VecDeque;

use pillarbox_auth::spf::{
    self, Broad, Check, Client, Identity, Limits, Outcome, Problem, RecordFault, SpfResult, Step,
};
use pillarbox_core::address::{Address, ReversePath};
use pillarbox_core::dns::{
    self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, Question, QuestionId, Record, RecordKind, ZoneFile,
};
use proptest::prelude::*;

/// A zone file, indented as the code around it.
fn zone(text: &str) -> FixedZone {
    let text = text.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    ZoneFile::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in\n{text}")).zone
}

fn client(ip: &str) -> Client {
    Client::new(ip.parse().unwrap(), "mail.example.net")
}

fn check(ip: &str, sender: &str, limits: &Limits) -> Check {
    let address = sender.parse::<Address<'_>>().unwrap();
    Check::mail_from(&client(ip), &ReversePath::Address(address), limits.clone())
}

/// The outcome, which must be the same whatever order the answers come in.
fn run_with(ip: &str, sender: &str, zone: &FixedZone, limits: &Limits) -> Outcome {
    let mut outcomes = dns::run_in_orders(|| check(ip, sender, limits), zone);
    let seen = |outcome: &Outcome| {
        let steps = outcome.steps().map(|step| step.to_string()).collect::<Vec<_>>();
        (outcome.result, outcome.problem.clone(), outcome.explanation.clone(), outcome.broad, steps)
    };
    for outcome in &outcomes {
        assert_eq!(seen(outcome), seen(&outcomes[0]), "the order of the answers counts");
    }
    outcomes.swap_remove(0)
}

fn run(ip: &str, sender: &str, zone: &FixedZone) -> Outcome {
    run_with(ip, sender, zone, &Limits::default())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn one_term_more_than_ten_is_an_error_wherever_it_stands() {
    let zone = zone(
        r#"
        ten.example     TXT "v=spf1 a a a a a a a a a a ip4:192.0.2.1 -all"
                        A   198.51.100.1
        eleven.example  TXT "v=spf1 a a a a a a a a a a a ip4:192.0.2.1 -all"
                        A   198.51.100.1
        shared.example  TXT "v=spf1 include:four.example include:four.example -all"
        four.example    TXT "v=spf1 a:ten.example a:ten.example a:ten.example a:ten.example ?all"
        over.example    TXT "v=spf1 a:ten.example include:four.example include:four.example -all"
        redirect.example TXT "v=spf1 a:ten.example a:ten.example a:ten.example a:ten.example a:ten.example a:ten.example a:ten.example a:ten.example a:ten.example redirect=last.example"
        last.example    TXT "v=spf1 ip4:192.0.2.1 a:ten.example -all"
        "#,
    );
    let result = |ip: &str, domain: &str| {
        let outcome = run(ip, &format!("joe@{domain}"), &zone);
        assert!(outcome.counters.terms <= 10);
        (outcome.result, outcome.problem)
    };
    assert_eq!(result("192.0.2.1", "ten.example"), (SpfResult::Pass, None));
    assert_eq!(result("192.0.2.1", "eleven.example"), (SpfResult::PermError, Some(Problem::Terms)));
    assert_eq!(result("192.0.2.1", "shared.example"), (SpfResult::Fail, None));
    assert_eq!(result("192.0.2.1", "over.example"), (SpfResult::PermError, Some(Problem::Terms)));
    // The redirect is the tenth, what it leads to has none left.
    assert_eq!(result("192.0.2.1", "redirect.example"), (SpfResult::Pass, None));
    assert_eq!(result("192.0.2.2", "redirect.example"), (SpfResult::PermError, Some(Problem::Terms)));
}

#[test]
fn the_third_empty_answer_is_an_error() {
    let zone = zone(
        r#"
        two.example    TXT "v=spf1 a:no1.example exists:no2.example ip4:192.0.2.1 -all"
        three.example  TXT "v=spf1 a:no1.example exists:no2.example exists:mail.example ip4:192.0.2.1 -all"
        mx.example     TXT "v=spf1 mx a:no1.example -all"
                       MX  10 no2.example
                       MX  20 no3.example
        mail.example   TXT "no address"
        fail.example   TXT "v=spf1 a:no1.example a:no2.example -all exp=no3.example"
        "#,
    );
    let outcome = run("192.0.2.1", "joe@two.example", &zone);
    assert_eq!((outcome.result, outcome.counters.void_lookups), (SpfResult::Pass, 2));
    for domain in ["three.example", "mx.example"] {
        let outcome = run("192.0.2.1", &format!("joe@{domain}"), &zone);
        assert_eq!((outcome.result, outcome.problem), (SpfResult::PermError, Some(Problem::VoidLookups)), "{domain}");
    }
    // RFC 7208 §4.6.4: an explanation that is missing does not count.
    let outcome = run("192.0.2.2", "joe@fail.example", &zone);
    assert_eq!((outcome.result, outcome.explanation, outcome.counters.void_lookups), (SpfResult::Fail, None, 2));

    let mut limits = Limits::default();
    limits.void_lookups_max = 3;
    let outcome = run_with("192.0.2.1", "joe@three.example", &zone, &limits);
    assert_eq!((outcome.result, outcome.counters.void_lookups), (SpfResult::Pass, 3));
}

#[test]
fn loops_end() {
    let zone = zone(
        r#"
        self.example  TXT "v=spf1 include:self.example -all"
        a.example     TXT "v=spf1 include:b.example -all"
        b.example     TXT "v=spf1 include:a.example -all"
        r.example     TXT "v=spf1 redirect=r.example"
        p.example     TXT "v=spf1 redirect=q.example"
        q.example     TXT "v=spf1 include:p.example redirect=p.example"
        "#,
    );
    for domain in ["self.example", "a.example", "r.example", "p.example"] {
        let outcome = run("192.0.2.1", &format!("joe@{domain}"), &zone);
        assert_eq!((outcome.result, outcome.problem), (SpfResult::PermError, Some(Problem::Terms)), "{domain}");
        assert_eq!(outcome.counters.questions, 11, "{domain}");
    }
}

#[test]
fn which_texts_are_records() {
    let zone = FixedZone::new()
        .with("two.example", Record::txt("v=spf1 -all"))
        .with("two.example", Record::txt("V=SPF1 +all"))
        .with("ten.example", Record::txt("v=spf10 +all"))
        .with("ten.example", Record::txt("v=spf1x"))
        .with("cut.example", Record::txt("v=spf1 ip4:192.0.2.0/24 -all"))
        .with("cut.example", Record::txt("verification=1"))
        .with("join.example", Record::txt("v=spf1-all"))
        .with("long.example", Record::txt(format!("v=spf1 {} +all", "ip4:198.51.100.1 ".repeat(4000))))
        .with("other.example", Record::txt("x".repeat(64 * 1024)))
        .with("other.example", Record::txt("v=spf1 -all"))
        .with("full.example", Record::txt(format!("v=spf1{}+all", " ".repeat(8192 - 10))))
        .with("over.example", Record::txt(format!("v=spf1{}+all", " ".repeat(8193 - 10))));
    for (domain, result) in [
        ("two.example", SpfResult::PermError),
        ("ten.example", SpfResult::None),
        ("cut.example", SpfResult::Pass),
        ("join.example", SpfResult::None),
        ("long.example", SpfResult::PermError),
        ("other.example", SpfResult::Fail),
        ("full.example", SpfResult::Pass),
        ("over.example", SpfResult::PermError),
        ("no.example", SpfResult::None),
    ] {
        assert_eq!(run("192.0.2.1", &format!("joe@{domain}"), &zone).result, result, "{domain}");
    }
    let problem = |domain: &str| run("192.0.2.1", &format!("joe@{domain}"), &zone).problem.unwrap();
    assert_eq!(problem("two.example"), Problem::SeveralRecords(name("two.example")));
    assert_eq!(problem("over.example"), Problem::RecordSize(name("over.example")));
    assert_eq!(problem("no.example"), Problem::NoRecord(name("no.example")));
}

#[test]
fn what_is_wrong_with_a_record_is_told_without_its_octets() {
    let zone = FixedZone::new().with("bad.example", Record::txt(b"v=spf1 mx a:x\x1b[2J\x00\xff.example -all"));
    let outcome = run("192.0.2.1", "joe@bad.example", &zone);
    let Some(Problem::Syntax { domain, error, term }) = &outcome.problem else { panic!("{:?}", outcome.problem) };
    assert_eq!((domain, error.fault, error.at), (&name("bad.example"), RecordFault::UnexpectedOctet, 13));
    assert_eq!(term, r"a:x\x1b[2J\x00\xff.example");
    assert_eq!(
        outcome.problem.as_ref().unwrap().to_string(),
        r"the SPF record of bad.example is wrong: an octet that is no visible character at octet 13: a:x\x1b[2J\x00\xff.example"
    );
    assert_eq!(outcome.steps().count(), 0);
}

#[test]
fn a_server_that_does_not_answer_is_a_temporary_error() {
    let zone = zone(
        r#"
        a.example   TXT "v=spf1 a:slow.example ip4:192.0.2.1 -all"
        mx.example  TXT "v=spf1 mx -all"
                    MX  10 slow.example
                    MX  20 fast.example
        mx2.example TXT "v=spf1 mx -all"
                    MX  10 fast.example
                    MX  20 slow.example
        i.example   TXT "v=spf1 include:slow.example -all"
        r.example   TXT "v=spf1 redirect=slow.example"
        fast.example A  192.0.2.1
        ptr.example TXT "v=spf1 ptr -all"
        ; TEMPFAIL slow.example
        ; TEMPFAIL 1.2.0.192.in-addr.arpa
        2.2.0.192.in-addr.arpa PTR slow.example
                               PTR p.ptr.example
        p.ptr.example A 192.0.2.2
        "#,
    );
    for (domain, kind) in [
        ("a.example", RecordKind::A),
        ("mx.example", RecordKind::A),
        ("i.example", RecordKind::Txt),
        ("r.example", RecordKind::Txt),
        ("slow.example", RecordKind::Txt),
    ] {
        let outcome = run("192.0.2.1", &format!("joe@{domain}"), &zone);
        let problem = Problem::Dns(name("slow.example"), kind);
        assert_eq!((outcome.result, outcome.problem), (SpfResult::TempError, Some(problem)), "{domain}");
    }
    // The exchanger that comes first is enough.
    assert_eq!(run("192.0.2.1", "joe@mx2.example", &zone).result, SpfResult::Pass);
    // RFC 7208 §5.5: ptr does not match if its records cannot be had, and skips names that cannot be looked up.
    assert_eq!(run("192.0.2.1", "joe@ptr.example", &zone).result, SpfResult::Fail);
    assert_eq!(run("192.0.2.2", "joe@ptr.example", &zone).result, SpfResult::Pass);
}

#[test]
fn giving_up_finishes_at_once() {
    let zone = zone(
        r#"
        a.example   TXT "v=spf1 a mx ptr include:b.example -all exp=why.%{d}"
        why.a.example TXT "no %{p}"
        "#,
    );
    // After any number of answers.
    for answers in 0..5 {
        let mut limits = Limits::default();
        limits.void_lookups_max = 9;
        let mut check = check("192.0.2.1", "joe@a.example", &limits);
        let mut given = 0;
        let outcome = loop {
            match check.poll() {
                DnsStep::Ask(question) if given < answers => {
                    given += 1;
                    check.answer(question.id, zone.answer(&question));
                }
                DnsStep::Ask(_) => {}
                DnsStep::Wait => check.give_up(),
                DnsStep::Done(outcome) => break outcome,
            }
        };
        assert_eq!((outcome.result, outcome.problem), (SpfResult::TempError, Some(Problem::GaveUp)));
        assert_eq!(check.poll().map_done(), None);
        check.give_up();
        assert_eq!(check.poll().map_done(), None);
    }
    // A fail stays one if its explanation does not come, and the name of the client is unknown.
    let zone = FixedZone::new()
        .with("f.example", Record::txt("v=spf1 -all exp=why.example"))
        .with("why.example", Record::txt("no %{p}"));
    for (answers, explanation) in [(1, None), (2, Some("no unknown"))] {
        let mut check = check("192.0.2.1", "joe@f.example", &Limits::default());
        let mut given = 0;
        let outcome = loop {
            match check.poll() {
                DnsStep::Ask(question) if given < answers => {
                    given += 1;
                    check.answer(question.id, zone.answer(&question));
                }
                DnsStep::Ask(_) => {}
                DnsStep::Wait => check.give_up(),
                DnsStep::Done(outcome) => break outcome,
            }
        };
        assert_eq!((outcome.result, outcome.explanation.as_deref()), (SpfResult::Fail, explanation));
    }
}

trait MapDone {
    fn map_done(self) -> Option<SpfResult>;
}

impl MapDone for DnsStep<Outcome> {
    /// The result, if this is the end; a machine that is used up waits.
    fn map_done(self) -> Option<SpfResult> {
        match self {
            DnsStep::Done(outcome) => Some(outcome.result),
            _ => None,
        }
    }
}

/// Runs a check and counts: questions, and how many were open at most.
fn meter(mut check: Check, mut answer: impl FnMut(&Question) -> DnsAnswer) -> (Outcome, usize, usize) {
    let (mut asked, mut most) = (0, 0);
    let mut open = VecDeque::new();
    loop {
        match check.poll() {
            DnsStep::Ask(question) => {
                asked += 1;
                open.push_back(question);
                most = most.max(open.len());
            }
            DnsStep::Wait => {
                let question = open.pop_back().expect("a question is open");
                check.answer(question.id, answer(&question));
            }
            DnsStep::Done(outcome) => return (outcome, asked, most),
        }
    }
}

#[test]
fn the_worst_record_asks_111_questions_and_those_for_its_explanation() {
    // Ten times mx with ten exchangers that have addresses, but not the client's; then an explanation with %{p}.
    let (outcome, asked, most) = meter(check("192.0.2.1", "joe@evil.example", &Limits::default()), |question| {
        let found = |records: Vec<Record>| {
            DnsAnswer::found(question.name.clone(), records.into_iter().map(|record| (60, record)))
        };
        match question.kind {
            RecordKind::Txt if question.name == name("evil.example") => found(vec![Record::txt(format!(
                "v=spf1 {} -all exp=why.%{{d}}",
                (0..10).map(|n| format!("mx:m{n}.evil.example")).collect::<Vec<_>>().join(" ")
            ))]),
            RecordKind::Txt => found(vec![Record::txt("ask %{p}")]),
            RecordKind::Mx => found((0..10).map(|n| Record::mx(n, name(&format!("h{n}.{}", question.name)))).collect()),
            RecordKind::Ptr => found((0..1000).map(|n| Record::Ptr(name(&format!("p{n}.evil.example")))).collect()),
            _ => found(vec![Record::A([198, 51, 100, 1].into())]),
        }
    });
    assert_eq!((outcome.result, outcome.explanation.as_deref()), (SpfResult::Fail, Some("ask unknown")));
    assert_eq!(asked, 111 + 1 + 11);
    assert_eq!(outcome.counters.questions, 123);
    assert_eq!(most, 4);
}

#[test]
fn a_thousand_exchangers_or_names_are_ten() {
    let mut zone = zone(
        r#"
        mx.example   TXT "v=spf1 mx ip4:192.0.2.0/24 -all"
        ptr.example  TXT "v=spf1 ptr -all"
        "#,
    );
    for number in 0..1000 {
        let host = name(&format!("h{number}.ptr.example"));
        zone.add(name("mx.example"), 60, Record::mx(number, host.clone()));
        zone.add(name("1.2.0.192.in-addr.arpa"), 60, Record::Ptr(host.clone()));
        zone.add(host, 60, Record::A([10, 0, (number >> 8) as u8, number as u8].into()));
    }
    zone.add(name("h10.ptr.example"), 60, Record::A([192, 0, 2, 1].into()));
    let outcome = run("192.0.2.1", "joe@mx.example", &zone);
    assert_eq!(
        (outcome.result, outcome.problem),
        (SpfResult::PermError, Some(Problem::Exchangers(name("mx.example"))))
    );
    assert_eq!(outcome.counters.questions, 12);
    // The most preferred are looked at, and enough if one matches.
    assert_eq!(run("10.0.0.9", "joe@mx.example", &zone).result, SpfResult::Pass);
    assert_eq!(run("10.0.0.10", "joe@mx.example", &zone).result, SpfResult::PermError);
    // RFC 7208 §4.6.4: PTR records beyond the tenth are ignored.
    let outcome = run("192.0.2.1", "joe@ptr.example", &zone);
    assert_eq!((outcome.result, outcome.counters.questions), (SpfResult::Fail, 12));
}

#[test]
fn the_names_of_the_client_are_asked_for_once() {
    let zone = zone(
        r#"
        a.example   TXT "v=spf1 ptr:x.example ptr:y.example exists:%{p}.z.example ptr -all exp=why.%{p2}"
        why.a.example TXT "%{p} %{p1r}"
        m.a.example A 192.0.2.1
        m.y.example A 192.0.2.9
        1.2.0.192.in-addr.arpa PTR m.y.example
                               PTR m.a.example
        m.a.example.z.example A 127.0.0.1
        "#,
    );
    let outcome = run("192.0.2.1", "joe@a.example", &zone);
    assert_eq!((outcome.result, outcome.counters.questions), (SpfResult::Pass, 5));
    assert_eq!(outcome.mechanism().unwrap().to_string(), "exists:%{p}.z.example");
    assert_eq!(outcome.counters.terms, 3);
}

#[test]
fn a_pass_of_one_identity_is_none_of_the_other() {
    let zone = zone(r#"mail.example.net TXT "v=spf1 ip4:192.0.2.1 -all""#);
    let helo = dns::run(&mut Check::helo(&client("192.0.2.1"), Limits::default()), &zone);
    assert_eq!((helo.identity, helo.result), (Identity::Helo, SpfResult::Pass));
    assert_eq!(helo.domain(), Some(&name("mail.example.net")));
    // Composition Kills A1: the path names a domain that does not exist.
    let outcome = run("192.0.2.1", "any@notexist.legit.example", &zone);
    assert_eq!((outcome.identity, outcome.result), (Identity::MailFrom, SpfResult::None));
    assert_eq!(outcome.domain(), Some(&name("notexist.legit.example")));
    assert!(!outcome.is_null_path());
    // Composition Kills A2: with a null path the domain is that of HELO, and the outcome says so.
    let check = || Check::mail_from(&client("192.0.2.1"), &ReversePath::Null, Limits::default());
    let outcome = dns::run(&mut check(), &zone);
    assert_eq!((outcome.identity, outcome.result), (Identity::MailFrom, SpfResult::Pass));
    assert_eq!((outcome.local(), outcome.domain()), ("postmaster", Some(&name("mail.example.net"))));
    assert!(outcome.is_null_path());
}

#[test]
fn what_is_no_domain_is_never_asked_for() {
    let label = "a".repeat(64);
    for domain in [
        "",
        ".",
        "localhost",
        "[192.0.2.1]",
        "legit.example\0.evil.example",
        "legit.example .evil.example",
        "legit.example(.evil.example",
        "\"legit.example\".evil.example",
        "legit.example\r\n.evil.example",
        "a..example",
        ".example.org",
        "a.example:25",
        "joe@a.example",
        "a%00.example",
        "a.example,b.example",
        &format!("{label}.example"),
        &format!("{}example", "a.".repeat(130)),
        &"\u{fc}".repeat(70),
    ] {
        for identity in [Identity::Helo, Identity::MailFrom] {
            let client = Client::new([192, 0, 2, 1].into(), domain);
            let mut check = Check::sender(&client, identity, "joe", domain, Limits::default());
            let DnsStep::Done(outcome) = check.poll() else { panic!("{domain:?} is asked for") };
            assert_eq!(
                (outcome.result, outcome.problem.as_ref()),
                (SpfResult::None, Some(&Problem::NoDomain)),
                "{domain:?}"
            );
            assert_eq!(outcome.domain(), None);
            let field = outcome.received_spf();
            assert!(field.split("\r\n").all(|line| !line.contains(char::is_control)), "{field:?}");
        }
    }
    // Composition Kills A2: one parser for the path, which takes no such thing.
    assert!(ReversePath::take(b"<(any@legit.example>", false).is_err());
}

#[test]
fn names_that_macros_make_are_not_asked_for_if_they_are_none() {
    let zone = zone(
        r#"
        e.example   TXT "v=spf1 exists:%{l}.x.example -all"
        i.example   TXT "v=spf1 include:%{l}.x.example -all"
        r.example   TXT "v=spf1 redirect=%{l}.x.example"
        w.example   TXT "v=spf1 include:%{h} -all"
        *.x.example A 127.0.0.1
        "#,
    );
    for local in ["\"a b\"", "\"a(b\"", "\"a\\\"b\"", "\"a..b\"", "\"<\"", &"a".repeat(64)] {
        let result = |domain: &str| {
            let outcome = run("192.0.2.1", &format!("{local}@{domain}"), &zone);
            assert_eq!(outcome.counters.questions, 1, "{local}");
            outcome.result
        };
        assert_eq!(result("e.example"), SpfResult::Fail, "{local}");
        assert_eq!(result("i.example"), SpfResult::PermError, "{local}");
        assert_eq!(result("r.example"), SpfResult::PermError, "{local}");
    }
    assert_eq!(run("192.0.2.1", "joe+x@e.example", &zone).result, SpfResult::Pass);
    // RFC 7208 §5.2, §4.3: one label is no domain.
    let client = Client::new([192, 0, 2, 1].into(), "localhost");
    let check = || Check::sender(&client, Identity::MailFrom, "joe", "w.example", Limits::default());
    let outcome = dns::run(&mut check(), &zone);
    assert_eq!(outcome.problem, Some(Problem::Target("include:%{h}".into())));
    let steps = run("192.0.2.1", "\"a b\"@e.example", &zone).steps().map(|step| step.to_string()).collect::<Vec<_>>();
    assert_eq!(steps[1], "exists:%{l}.x.example stands for no name that can be asked for");
}

#[test]
fn a_pass_for_nearly_everybody_is_noted() {
    let zone = zone(
        r#"
        all.example   TXT "v=spf1 a +all"
                      A   198.51.100.1
        half.example  TXT "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all"
        six.example   TXT "v=spf1 ip6:2000::/3 -all"
        a.example     TXT "v=spf1 a/8 -all"
                      A   192.9.9.9
        cloud.example TXT "v=spf1 ip4:192.0.0.0/15 -all"
        fine.example  TXT "v=spf1 ip4:192.0.0.0/16 +all"
        inc.example   TXT "v=spf1 include:all.example -all"
        not.example   TXT "v=spf1 -include:all.example +a:all.example"
        morgan.example TXT "v=spf1 include:inner.example ip4:192.0.2.1 -all"
        inner.example TXT "v=spf1 -include:all.example ?all"
        "#,
    );
    for (ip, domain, result, broad) in [
        ("192.0.2.1", "all.example", SpfResult::Pass, Some(Broad::All)),
        ("198.51.100.1", "all.example", SpfResult::Pass, None),
        ("192.0.2.1", "half.example", SpfResult::Pass, Some(Broad::Network(1))),
        ("2001:db8::1", "six.example", SpfResult::Pass, Some(Broad::Network(3))),
        ("192.0.2.1", "a.example", SpfResult::Pass, Some(Broad::Network(8))),
        ("192.0.2.1", "cloud.example", SpfResult::Pass, Some(Broad::Network(15))),
        ("192.0.2.1", "fine.example", SpfResult::Pass, None),
        ("192.0.2.1", "inc.example", SpfResult::Pass, Some(Broad::All)),
        ("192.0.2.1", "not.example", SpfResult::Fail, None),
        ("192.0.2.1", "morgan.example", SpfResult::Pass, None),
    ] {
        let outcome = run(ip, &format!("joe@{domain}"), &zone);
        assert_eq!((outcome.result, outcome.broad), (result, broad), "{domain}");
    }
}

#[test]
fn internationalised_senders() {
    let zone = zone(
        r#"
        xn--bcher-kva.example TXT "v=spf1 exists:%{l}.l.example exists:%{o}.o.example -all exp=why.%{o}"
        xn--bcher-kva.example.o.example A 127.0.0.1
        *.l.example A 127.0.0.1
        i.example TXT "v=spf1 include:%{s}.l.example ip4:192.0.2.1 -all exp=why.i.example"
        why.i.example TXT "%{l}"
        u.example TXT "v=spf1 -all exp=why.u.example"
        why.u.example TXT "%{L}"
        r.example TXT "v=spf1 redirect=%{l}.l.example"
        "#,
    );
    // RFC 8616 §4: the domain is asked for by its A-labels, and a local part beyond ASCII matches nothing.
    let outcome = run("192.0.2.1", "jürgen@bücher.example", &zone);
    assert_eq!(outcome.result, SpfResult::Pass);
    assert_eq!(outcome.mechanism().unwrap().to_string(), "exists:%{o}.o.example");
    assert_eq!(outcome.domain(), Some(&name("xn--bcher-kva.example")));
    assert_eq!(
        run("192.0.2.1", "jurgen@bücher.example", &zone).mechanism().unwrap().to_string(),
        "exists:%{l}.l.example"
    );
    assert_eq!(run("192.0.2.1", "jürgen@i.example", &zone).result, SpfResult::Pass);
    // RFC 7208 §6.2: an explanation is ASCII.
    let outcome = run("192.0.2.9", "jürgen@i.example", &zone);
    assert_eq!((outcome.result, outcome.explanation), (SpfResult::Fail, None));
    assert_eq!(run("192.0.2.9", "jürgen@u.example", &zone).explanation.as_deref(), Some("j%C3%BCrgen"));
    assert_eq!(run("192.0.2.9", "jürgen@r.example", &zone).result, SpfResult::PermError);
}

#[test]
fn a_mapped_address_is_an_ipv4_client() {
    let zone = zone(
        r#"a.example TXT "v=spf1 ip6:::ffff:192.0.2.1 exists:%{i}.%{v}.x.example -all exp=why.a.example"
        why.a.example TXT "%{c} %{i} %{v}""#,
    );
    let outcome = run("::ffff:192.0.2.1", "joe@a.example", &zone);
    assert_eq!(outcome.explanation.as_deref(), Some("192.0.2.1 192.0.2.1 in-addr"));
    assert_eq!(outcome.ip(), "192.0.2.1".parse::<std::net::IpAddr>().unwrap());
}

#[test]
fn an_explanation_is_bounded_and_harmless() {
    let mut zone = zone(r#"a.example TXT "v=spf1 -all exp=why.a.example""#);
    let explanation = |texts: &[&[u8]]| {
        let mut zone = zone.clone();
        texts.iter().for_each(|text| zone.add(name("why.a.example"), 60, Record::txt(text)));
        let outcome = run("192.0.2.1", "joe@a.example", &zone);
        assert_eq!(outcome.result, SpfResult::Fail);
        outcome.explanation
    };
    assert_eq!(explanation(&[b"see %{o}"]).as_deref(), Some("see a.example"));
    assert_eq!(explanation(&[b""]).as_deref(), Some(""));
    assert_eq!(explanation(&[b"one", b"two"]), None);
    assert_eq!(explanation(&[b"no\r\n250 OK"]), None);
    assert_eq!(explanation(&[b"no\xff"]), None);
    assert_eq!(explanation(&[b"no \x1b[2J"]), None);
    assert_eq!(explanation(&[&b"%{S}".repeat(1000)]).unwrap().len(), 400);
    assert_eq!(explanation(&[&b"x".repeat(8193)]), None);
    zone.fail(name("why.a.example"));
    assert_eq!(run("192.0.2.1", "joe@a.example", &zone).explanation, None);
}

#[test]
fn the_steps_tell_the_story() {
    let zone = zone(
        r#"
        a.example     TXT "v=spf1 ip4:203.0.113.1 ip4:203.0.113.2 a mx include:b.example redirect=c.example"
                      A   198.51.100.1
                      MX  10 mail.a.example
        b.example     TXT "v=spf1 ip6:2001:db8::1 ptr ?all"
        c.example     TXT "v=spf1 exists:%{ir}.dnswl.example ~all"
        "#,
    );
    let mut outcome = run("192.0.2.1", "joe@a.example", &zone);
    assert_eq!(outcome.result, SpfResult::SoftFail);
    let story = outcome.steps().map(|step| step.to_string()).collect::<Vec<_>>();
    assert_eq!(
        story.join("\n"),
        "a.example: v=spf1 ip4:203.0.113.1 ip4:203.0.113.2 a mx include:b.example redirect=c.example\n\
         ip4:203.0.113.1 ip4:203.0.113.2 do not match\n\
         a.example A: 1 record\n\
         a does not match\n\
         a.example MX: 1 record\n\
         mail.a.example A: no such name\n\
         mx does not match\n  \
           b.example: v=spf1 ip6:2001:db8::1 ptr ?all\n  \
           ip6:2001:db8::1 does not match\n  \
           1.2.0.192.in-addr.arpa PTR: no such name\n\
         the client has no validated names\n  \
           ptr does not match\n  \
           ?all matches: neutral\n\
         include:b.example came to neutral, so it does not match\n\
         nothing matches, so c.example decides\n\
         c.example: v=spf1 exists:%{ir}.dnswl.example ~all\n\
         1.2.0.192.dnswl.example A: no such name\n\
         exists:%{ir}.dnswl.example does not match\n\
         ~all matches: softfail"
    );
    assert!(!outcome.uses_local_part());
    let mut limits = Limits::default();
    limits.steps_max = 2;
    outcome = run_with("192.0.2.1", "joe@a.example", &zone, &limits);
    assert_eq!(outcome.steps().count(), 3);
    assert_eq!(outcome.steps().last(), Some(Step::Cut));
}

#[test]
fn a_long_record_makes_one_step_of_what_does_not_match() {
    let zone =
        FixedZone::new().with("a.example", Record::txt(format!("v=spf1{} -all", " ip4:203.0.113.1".repeat(500))));
    assert_eq!(run("192.0.2.1", "joe@a.example", &zone).steps().count(), 3);
}

#[test]
fn received_spf() {
    let zone = zone(
        r#"
        a.example TXT "v=spf1 include:b.example -all"
        b.example TXT "v=spf1 ip6:2001:db8::/32"
        n.example TXT "v=spf1"
        bad.example TXT "v=spf1 a:\"(x)"
        "#,
    );
    let field = |ip: &str, helo: &str, sender: &str| {
        let mut client = Client::new(ip.parse().unwrap(), helo);
        client.receiver = Some(name("mx.example.net"));
        let path = ReversePath::Address(sender.parse().unwrap());
        dns::run(&mut Check::mail_from(&client, &path, Limits::default()), &zone).received_spf()
    };
    assert_eq!(
        field("2001:db8::1", "mail.a.example", "joe@a.example"),
        "Received-SPF: pass (mx.example.net: a.example lets 2001:db8::1 send for it)\r\n \
         identity=mailfrom; client-ip=\"2001:db8::1\";\r\n \
         envelope-from=\"joe@a.example\";\r\n \
         helo=\"mail.a.example\";\r\n \
         receiver=mx.example.net;\r\n \
         mechanism=\"include:b.example\"\r\n"
    );
    assert!(field("192.0.2.1", "h", "joe@n.example").ends_with(" mechanism=default\r\n"));
    // What the client and the domain say stays inside quotes and comments.
    let hostile =
        field("192.0.2.1", "x\"; identity=helo;\r\n Subject: \\\u{7f}\u{9b}", "\"a\\\"; b=\\\\c\"@bad.example");
    assert_eq!(
        hostile,
        "Received-SPF: permerror (mx.example.net: what bad.example says cannot be used)\r\n \
         identity=mailfrom; client-ip=192.0.2.1;\r\n \
         envelope-from=\"\\\"a\\\\\\\"; b=\\\\\\\\c\\\"@bad.example\";\r\n \
         helo=\"x\\\"; identity=helo;?? Subject: \\\\??\";\r\n \
         receiver=mx.example.net;\r\n \
         problem=\"the SPF record of bad.example is wrong: the domain does not end in a dot and a top-level label at octet 9: \
         a:\\\\\\\"(x)\"\r\n"
    );
    let long = field("192.0.2.1", &"\"".repeat(5000), "joe@n.example");
    assert!(long.split("\r\n").all(|line| line.len() < 998));
}

/// RFC 7208 §7.3, for names without macros too: what does not fit is cut off at the left.
#[test]
fn a_name_that_is_too_long_loses_labels_at_its_left() {
    let label = "x".repeat(62);
    let fits = format!("{label}.{label}.{label}.example");
    let zone = FixedZone::new()
        .with("a.example", Record::txt(format!("v=spf1 a:{label}.{fits} -all")))
        .with("i.example", Record::txt(format!("v=spf1 include:{label}.{fits} ~all")))
        .with(&fits, Record::A([192, 0, 2, 1].into()))
        .with(&fits, Record::txt("v=spf1 ip4:192.0.2.2 -all"));
    assert_eq!(run("192.0.2.1", "joe@a.example", &zone).result, SpfResult::Pass);
    assert_eq!(run("192.0.2.2", "joe@i.example", &zone).result, SpfResult::Pass);
    // A label that is too long cannot be cut, and no name has it.
    let zone = FixedZone::new()
        .with("a.example", Record::txt(format!("v=spf1 a:{label}xx.example ~all")))
        .with("i.example", Record::txt(format!("v=spf1 include:{label}xx.example ~all")));
    assert_eq!(run("192.0.2.1", "joe@a.example", &zone).result, SpfResult::SoftFail);
    assert_eq!(run("192.0.2.1", "joe@i.example", &zone).result, SpfResult::PermError);
}

/// RFC 6532 §3: beyond ASCII stands only what came with SMTPUTF8, which HELO comes before.
#[test]
fn a_helo_beyond_ascii_is_not_in_the_field() {
    for (helo, shown) in
        [("b\u{fc}cher.example", "xn--bcher-kva.example"), ("\u{fc}", "?"), ("a \u{fc}\u{1f600}.b", "a ??.b")]
    {
        let client = Client::new([192, 0, 2, 1].into(), helo);
        for mut check in [
            Check::helo(&client, Limits::default()),
            Check::mail_from(&client, &ReversePath::Null, Limits::default()),
            Check::mail_from(&client, &ReversePath::Address("joe@a.example".parse().unwrap()), Limits::default()),
        ] {
            let field = dns::run(&mut check, &FixedZone::new()).received_spf();
            assert!(field.is_ascii() && field.contains(&format!("helo=\"{shown}\"")), "{field}");
        }
    }
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let zone = zone(
        r#"
        a.example TXT "v=spf1 mx -all"
                  MX 10 m1.example
                  MX 20 m2.example
                  MX 30 m3.example
        m1.example A 192.0.2.1
        m2.example A 192.0.2.2
        m3.example A 192.0.2.3
        "#,
    );
    let lie = || DnsAnswer::found(name("x.example"), [(1, Record::txt("v=spf1 +all"))]);
    let mut check = check("192.0.2.9", "joe@a.example", &Limits::default());
    check.answer(QuestionId(0), lie());
    let mut open = Vec::new();
    let outcome = loop {
        match check.poll() {
            DnsStep::Ask(question) => {
                check.answer(QuestionId(question.id.0 + 1), lie());
                open.push(question);
            }
            DnsStep::Wait => {
                let question = open.pop().unwrap();
                check.answer(question.id, zone.answer(&question));
                // A second answer to the same question.
                check.answer(question.id, DnsAnswer::found(name("x.example"), [(1, Record::A([192, 0, 2, 9].into()))]));
            }
            DnsStep::Done(outcome) => break outcome,
        }
    };
    assert_eq!(outcome.result, SpfResult::Fail);
    // Records of another kind than was asked for are none.
    let mut check = self::check("192.0.2.9", "joe@a.example", &Limits::default());
    let DnsStep::Ask(question) = check.poll() else { panic!("no question") };
    check.answer(question.id, DnsAnswer::found(question.name, [(1, Record::A([192, 0, 2, 9].into()))]));
    let DnsStep::Done(outcome) = check.poll() else { panic!("not done") };
    assert_eq!(outcome.result, SpfResult::None);
}

#[test]
fn a_parsed_record_answers_a_question_for_a_record_and_no_other() {
    let zone = zone(
        r#"
        a.example TXT "v=spf1 -all exp=why.example"
        why.example TXT "v=spf1 +all"
        "#,
    );
    let mut check = self::check("192.0.2.9", "joe@a.example", &Limits::default());
    let record = spf::Record::parse(b"v=spf1 -all exp=why.example").unwrap();
    assert!(!check.answer_record(QuestionId(0), &record), "nothing was asked");
    let DnsStep::Ask(question) = check.poll() else { panic!("no question") };
    assert!(!check.answer_record(QuestionId(question.id.0 + 1), &record));
    assert!(check.answer_record(question.id, &record));
    assert!(!check.answer_record(question.id, &record), "it is answered");
    // An explanation is a text like another.
    let DnsStep::Ask(question) = check.poll() else { panic!("no question") };
    assert_eq!(question.name, name("why.example"));
    let answer = zone.answer(&question);
    assert!(!check.answer_record(question.id, &spf::Record::from_answer(&answer).unwrap()));
    check.answer_ref(question.id, &answer);
    let DnsStep::Done(outcome) = check.poll() else { panic!("not done") };
    assert_eq!((outcome.result, outcome.explanation.as_deref()), (SpfResult::Fail, Some("v=spf1 +all")));
}

#[test]
fn a_parsed_record_is_held_to_the_limits_too() {
    // More terms than are listed, and the one that matches is the last.
    let networks = (0..300).map(|number| format!(" ip4:10.{}.{}.0/24", number / 256, number % 256)).collect::<String>();
    let record = spf::Record::parse(format!("v=spf1{networks} ip4:192.0.2.9 -all").as_bytes()).unwrap();
    let run = |record: &spf::Record, record_size_max| {
        let mut limits = Limits::default();
        limits.record_size_max = record_size_max;
        let mut check = self::check("192.0.2.9", "joe@a.example", &limits);
        let DnsStep::Ask(question) = check.poll() else { panic!("no question") };
        assert!(check.answer_record(question.id, record));
        let DnsStep::Done(outcome) = check.poll() else { panic!("not done") };
        outcome
    };
    let size = record.to_string().len();
    let outcome = run(&record, size);
    assert_eq!(outcome.result, SpfResult::Pass);
    assert_eq!(outcome.mechanism().unwrap().to_string(), "ip4:192.0.2.9");
    let outcome = run(&record, size - 1);
    assert_eq!(outcome.problem, Some(Problem::RecordSize(name("a.example"))));
    // What a trace has lent is a record as well.
    let steps = run(&record, size);
    let Some(Step::Record { record: lent, .. }) = steps.steps().next() else { panic!("no record") };
    assert_eq!(run(lent, size).result, SpfResult::Pass);
    let zone = FixedZone::new().with("a.example", Record::txt("v=spf1 redirect=a.example exp=a.example"));
    let outcome = self::run("192.0.2.9", "joe@a.example", &zone);
    let Some(Step::Record { record: lent, .. }) = outcome.steps().next() else { panic!("no record") };
    let mut check = self::check("192.0.2.9", "joe@a.example", &Limits::default());
    let DnsStep::Ask(question) = check.poll() else { panic!("no question") };
    assert!(check.answer_record(question.id, lent));
    let DnsStep::Ask(question) = check.poll() else { panic!("the redirect is not followed") };
    assert_eq!(question.name, name("a.example"));
}

#[test]
fn an_answer_that_is_not_needed_any_more_may_still_come() {
    let zone = zone(
        r#"
        a.example TXT "v=spf1 include:b.example -all exp=why.example"
        b.example TXT "v=spf1 -mx ~all"
                  MX 10 m1.example
                  MX 20 m2.example
        m1.example A 192.0.2.1
        m2.example A 192.0.2.2
        why.example TXT "because"
        "#,
    );
    let mut check = check("192.0.2.1", "joe@a.example", &Limits::default());
    let mut late = Vec::new();
    let outcome = loop {
        match check.poll() {
            DnsStep::Ask(question) if question.name == name("m2.example") => late.push(question),
            DnsStep::Ask(question) => {
                let answer = zone.answer(&question);
                if question.kind != RecordKind::A {
                    check.answer(question.id, answer);
                } else {
                    late.insert(0, question);
                }
            }
            // The first exchanger matches; the answer of the second comes while the explanation is asked for.
            DnsStep::Wait => {
                let question = late.remove(0);
                check.answer(question.id, zone.answer(&question));
            }
            DnsStep::Done(outcome) => break outcome,
        }
    };
    assert_eq!((outcome.result, outcome.explanation.as_deref()), (SpfResult::Fail, Some("because")));
}

fn record() -> impl Strategy<Value = String> {
    let domain = prop_oneof![
        Just("a.example".to_owned()),
        Just("b.example".to_owned()),
        Just("c.example".to_owned()),
        Just("slow.example".to_owned()),
        Just("%{d}".to_owned()),
        Just("%{l}.example".to_owned()),
        Just("%{p}".to_owned()),
        Just("%{ir}.%{v}.arpa".to_owned()),
    ];
    let term = (0..9_usize, "[-+~?]?", domain, prop_oneof![Just(""), Just("/8"), Just("//8")]);
    let terms = prop::collection::vec(term, 0..12).prop_map(|terms| {
        let term = |(kind, qualifier, domain, prefix): (usize, String, String, &str)| match kind {
            0 => format!("{qualifier}include:{domain}"),
            1 => format!("{qualifier}a:{domain}{prefix}"),
            2 => format!("{qualifier}mx:{domain}{prefix}"),
            3 => format!("{qualifier}ptr:{domain}"),
            4 => format!("{qualifier}exists:{domain}"),
            5 => format!("{qualifier}mx"),
            6 => format!("{qualifier}ip4:192.0.2.0/28"),
            7 => "x=y".to_owned(),
            _ => format!("{qualifier}ptr"),
        };
        terms.into_iter().map(term).collect::<Vec<_>>().join(" ")
    });
    let end = prop_oneof![
        Just(""),
        Just("-all"),
        Just("redirect=%{d2}"),
        Just("redirect=b.example"),
        Just("exp=why.%{p} -all"),
        Just("exp=c.example -all"),
    ];
    (terms, end).prop_map(|(terms, end)| format!("v=spf1 {terms} {end}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever records say: the check ends, within its limits, and comes to the same in every order.
    #[test]
    fn the_cost_is_bounded(
        records in prop::collection::vec(record(), 3),
        exchangers in prop::collection::vec((0..4_u16, 0..15_u16), 0..14),
        addresses in prop::collection::vec((0..15_u16, 0..20_u8), 0..14),
        pointers in prop::collection::vec(0..15_u16, 0..14),
    ) {
        let mut zone = FixedZone::new().failing("slow.example").failing("h3.example");
        for (domain, record) in ["a.example", "b.example", "c.example"].into_iter().zip(&records) {
            zone.add(name(domain), 60, Record::txt(record));
            for (preference, host) in &exchangers {
                zone.add(name(domain), 60, Record::mx(*preference, name(&format!("h{host}.example"))));
            }
        }
        for (host, address) in addresses {
            zone.add(name(&format!("h{host}.example")), 60, Record::A([192, 0, 2, address].into()));
        }
        for host in pointers {
            zone.add(name("1.2.0.192.in-addr.arpa"), 60, Record::Ptr(name(&format!("h{host}.example"))));
        }
        let mut limits = Limits::default();
        limits.void_lookups_max = 20;
        let (outcome, asked, most) = meter(check("192.0.2.1", "joe@a.example", &limits), |question| zone.answer(question));
        prop_assert!(asked <= 111 + 12 && most <= 4, "{} questions, {} open", asked, most);
        prop_assert!(outcome.counters.terms <= 10);
        prop_assert_eq!(outcome.problem.is_none(), !matches!(outcome.result, SpfResult::None | SpfResult::TempError | SpfResult::PermError));
        prop_assert!(outcome.received_spf().split("\r\n").all(|line| line.len() < 998));
        // And the same with another order.
        let mut check = check("192.0.2.1", "joe@a.example", &limits);
        let again = dns::run(&mut check, &zone);
        prop_assert_eq!((again.result, again.problem, again.explanation), (outcome.result, outcome.problem, outcome.explanation));
    }
}
