//! Who is asked whether reports are wanted, and what the answers lead to.

use pillarbox_auth::dmarc::Record;
use pillarbox_auth::reports::{Decision, Destinations, ReportKind, VerifyDestinations};
use pillarbox_core::dns::{
    self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, QuestionId, RecordKind, run_in_orders,
};

const DOMAIN: &str = "blue.example.com";

fn machine(kind: ReportKind, uris: &str) -> VerifyDestinations {
    let organisation = "example.com".parse::<Name>().unwrap();
    let record = Record::parse(format!("v=DMARC1; p=none; {}={uris}", kind.tag()).as_bytes()).unwrap();
    VerifyDestinations::new(&DOMAIN.parse().unwrap(), &record, kind, |host| host.is_within(&organisation))
}

/// The result, which has to be the same in whatever order the answers come.
fn verify(kind: ReportKind, uris: &str, zone: &FixedZone) -> Destinations {
    let mut results = run_in_orders(|| machine(kind, uris), zone);
    let first = results.pop().unwrap();
    assert!(results.iter().all(|result| *result == first), "{uris}");
    first
}

fn decisions(destinations: &Destinations) -> Vec<Decision> {
    destinations.iter().map(|destination| destination.decision.clone()).collect()
}

fn accepted(destinations: &Destinations) -> String {
    destinations.accepted().iter().map(|uri| uri.to_string()).collect::<Vec<_>>().join(",")
}

fn confirming(host: &str, record: &str) -> FixedZone {
    FixedZone::new().with(&format!("{DOMAIN}._report._dmarc.{host}"), dns::Record::txt(record))
}

#[test]
fn a_record_confirms_or_does_not() {
    for (record, is_confirmed) in [
        ("v=DMARC1", true),
        ("v=DMARC1;", true),
        ("v = DMARC1 ; ", true),
        ("v=DMARC1; p=none; unknown=x", true),
        // A tag that replaces nothing.
        ("v=DMARC1; rua=", true),
        ("v=DMARC1; rua=https://red.example.net/", true),
        // As in a policy record, what is malformed behind the version is read over.
        ("v=DMARC1; nonsense", true),
        ("v=dmarc1", false),
        ("V=DMARC1", false),
        ("v=DMARC1x", false),
        ("v=DMARC11", false),
        ("p=none; v=DMARC1", false),
        ("v=DMARC1; v=DMARC1", false),
        (" v=DMARC1", false),
        ("", false),
        ("v=spf1 -all", false),
    ] {
        let zone = confirming("red.example.net", record);
        let destinations = verify(ReportKind::Aggregate, "mailto:r@red.example.net", &zone);
        let expected = if is_confirmed { Decision::Confirmed } else { Decision::NotConfirmed };
        assert_eq!(decisions(&destinations), [expected], "{record:?}");
        assert_eq!(accepted(&destinations), if is_confirmed { "mailto:r@red.example.net" } else { "" });
        assert!(!destinations.is_temporary());
    }
}

#[test]
fn nobody_within_the_organisation_is_asked() {
    let mut machine =
        machine(ReportKind::Aggregate, "mailto:a@blue.example.com,mailto:b@x.EXAMPLE.com,mailto:c@example.com");
    let DnsStep::Done(destinations) = machine.poll() else { panic!("something is asked") };
    assert_eq!(decisions(&destinations), [Decision::Internal, Decision::Internal, Decision::Internal]);
    // The end of a name is not enough.
    let destinations = verify(ReportKind::Aggregate, "mailto:a@evilexample.com", &FixedZone::new());
    assert_eq!(decisions(&destinations), [Decision::NotConfirmed]);
}

#[test]
fn the_question_is_the_one_of_the_rfc() {
    let mut machine =
        machine(ReportKind::Failure, "mailto:a@red.example.net,mailto:b@RED.example.net,mailto:c@b%C3%BCcher.example");
    let mut asked = Vec::new();
    while let DnsStep::Ask(question) = machine.poll() {
        assert_eq!(question.kind, RecordKind::Txt);
        asked.push(question.name.to_string());
    }
    // A host is asked once, whatever the number of its mailboxes.
    assert_eq!(
        asked,
        ["blue.example.com._report._dmarc.red.example.net", "blue.example.com._report._dmarc.xn--bcher-kva.example"]
    );
}

#[test]
fn a_wildcard_is_an_answer_like_another() {
    // A server makes the answer from `*._report._dmarc.red.example.net`; it comes under the name that was asked for.
    let mut machine = machine(ReportKind::Aggregate, "mailto:a@red.example.net");
    let DnsStep::Ask(question) = machine.poll() else { panic!("nothing is asked") };
    machine.answer(question.id, DnsAnswer::found(question.name, [(60, dns::Record::txt("v=DMARC1"))]));
    let DnsStep::Done(destinations) = machine.poll() else { panic!("not done") };
    assert_eq!(accepted(&destinations), "mailto:a@red.example.net");
}

#[test]
fn another_mailbox_of_the_same_host_may_be_named() {
    let zone =
        confirming("red.example.net", "v=DMARC1; rua=mailto:new@red.example.net!5m; ruf=mailto:f@red.example.net");
    let destinations = verify(ReportKind::Aggregate, "mailto:old@red.example.net,mailto:older@red.example.net", &zone);
    assert_eq!(accepted(&destinations), "mailto:new@red.example.net!5242880");
    let destinations = verify(ReportKind::Failure, "mailto:old@red.example.net", &zone);
    assert_eq!(accepted(&destinations), "mailto:f@red.example.net");

    // Several records: the order in which they come means nothing.
    let two = ["v=DMARC1; rua=mailto:b@red.example.net", "v=DMARC1; rua=mailto:a@red.example.net", "v=spf1"];
    let name = format!("{DOMAIN}._report._dmarc.red.example.net");
    let zone =
        |records: [&str; 3]| records.iter().fold(FixedZone::new(), |zone, r| zone.with(&name, dns::Record::txt(r)));
    let [one, other] = [two, [two[2], two[1], two[0]]]
        .map(|records| accepted(&verify(ReportKind::Aggregate, "mailto:old@red.example.net", &zone(records))));
    assert_eq!(one, "mailto:a@red.example.net,mailto:b@red.example.net");
    assert_eq!(one, other);
}

#[test]
fn a_mailbox_elsewhere_stops_both() {
    for record in [
        "v=DMARC1; rua=mailto:v@victim.example",
        "v=DMARC1; rua=mailto:a@red.example.net,mailto:v@victim.example",
        // Not even the domain's own organisation, nor a host below.
        "v=DMARC1; rua=mailto:v@example.com",
        "v=DMARC1; rua=mailto:v@sub.red.example.net",
    ] {
        let zone = confirming("red.example.net", record)
            .with("blue.example.com._report._dmarc.victim.example", dns::Record::txt("v=DMARC1"));
        let destinations = verify(ReportKind::Aggregate, "mailto:old@red.example.net", &zone);
        assert_eq!(decisions(&destinations), [Decision::OtherHost], "{record}");
        assert_eq!(accepted(&destinations), "");
    }
}

#[test]
fn what_cannot_be_known_now_is_told_apart() {
    let name = format!("{DOMAIN}._report._dmarc.red.example.net");
    let zone = confirming("green.example.net", "v=DMARC1").failing(&name);
    let uris = "mailto:a@red.example.net,mailto:b@green.example.net";
    let destinations = verify(ReportKind::Aggregate, uris, &zone);
    assert_eq!(decisions(&destinations), [Decision::TryLater, Decision::Confirmed]);
    assert!(destinations.is_temporary());
    let sentences = destinations.iter().map(|destination| destination.to_string()).collect::<Vec<_>>();
    assert_eq!(
        sentences,
        [
            "mailto:a@red.example.net: red.example.net could not be asked: the DNS had no certain answer",
            "mailto:b@green.example.net: green.example.net takes reports about the domain"
        ]
    );

    // The caller gave up: what is known stays known. Strange and second answers change nothing.
    let mut machine = machine(ReportKind::Aggregate, uris);
    let (DnsStep::Ask(_), DnsStep::Ask(second)) = (machine.poll(), machine.poll()) else { panic!("two questions") };
    assert_eq!(machine.poll(), DnsStep::Wait);
    machine.answer(QuestionId(7), DnsAnswer::no_data());
    machine.answer(QuestionId(u32::MAX), DnsAnswer::no_data());
    machine.answer(second.id, DnsAnswer::found(second.name, [(60, dns::Record::txt("v=DMARC1"))]));
    machine.answer(second.id, DnsAnswer::no_such_name());
    machine.give_up();
    let DnsStep::Done(destinations) = machine.poll() else { panic!("not done") };
    assert_eq!(decisions(&destinations), [Decision::TryLater, Decision::Confirmed]);

    // An answer to what was not asked yet changes nothing, either.
    let mut machine = crate::destinations::machine(ReportKind::Aggregate, uris);
    machine.answer(QuestionId(0), DnsAnswer::found("x.example".parse().unwrap(), [(60, dns::Record::txt("v=DMARC1"))]));
    let destinations = dns::run(&mut machine, &FixedZone::new());
    assert_eq!(accepted(&destinations), "");
}

#[test]
fn long_names_and_many_hosts_are_bounded() {
    let host = format!("{}.example", ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(30)].join("."));
    let long = verify(ReportKind::Aggregate, &format!("mailto:a@{host}"), &FixedZone::new());
    assert_eq!(decisions(&long), [Decision::NameTooLong]);

    let uris = (0..100).map(|n| format!("mailto:a@h{n}.example")).collect::<Vec<_>>().join(",");
    let mut machine = machine(ReportKind::Aggregate, &uris);
    let mut asked = 0;
    while let DnsStep::Ask(question) = machine.poll() {
        asked += 1;
        machine.answer(question.id, DnsAnswer::no_such_name());
    }
    assert_eq!(asked, 10);

    // A record of many mailboxes, and many records.
    let many = (0..1000).map(|n| format!("mailto:m{n}@red.example.net")).collect::<Vec<_>>();
    let name = format!("{DOMAIN}._report._dmarc.red.example.net");
    let one = confirming("red.example.net", &format!("v=DMARC1; rua={}", many.join(",")));
    let each = many
        .iter()
        .fold(FixedZone::new(), |zone, uri| zone.with(&name, dns::Record::txt(format!("v=DMARC1; rua={uri}"))));
    for zone in [one, each] {
        let destinations = verify(ReportKind::Aggregate, "mailto:a@red.example.net", &zone);
        assert_eq!(destinations.accepted().len(), 10);
    }
}

#[test]
fn other_schemes_are_ignored() {
    let zone = confirming("red.example.net", "v=DMARC1");
    let uris = "https://red.example.net/report,mailto:a@red.example.net";
    let destinations = verify(ReportKind::Aggregate, uris, &zone);
    assert_eq!(decisions(&destinations), [Decision::Unsupported, Decision::Confirmed]);
    assert_eq!(accepted(&destinations), "mailto:a@red.example.net");
    let first = destinations.iter().next().unwrap().to_string();
    assert_eq!(first, "https://red.example.net/report: is ignored: reports are sent by mail");
}

/// RFC 9991 §2: a registry does not get the mail of those who registered with it.
#[test]
fn a_public_suffix_gets_no_failure_reports() {
    let record = b"v=DMARC1; p=none; psd=y; rua=mailto:a@bank; ruf=mailto:f@bank,https://bank/";
    let (domain, record) = ("bank".parse().unwrap(), Record::parse(record).unwrap());
    let run = |kind| {
        let mut machine = VerifyDestinations::new(&domain, &record, kind, |_| false);
        dns::run(&mut machine, &FixedZone::new())
    };
    assert_eq!(accepted(&run(ReportKind::Aggregate)), "mailto:a@bank");
    assert_eq!(accepted(&run(ReportKind::Failure)), "");
    assert_eq!(decisions(&run(ReportKind::Failure)), [Decision::PublicSuffix, Decision::Unsupported]);
}

/// RFC 9990 §4: those below a public suffix are other organisations, so that it cannot have them flooded.
#[test]
fn nobody_below_a_public_suffix_is_within_it() {
    let record = Record::parse(b"v=DMARC1; p=none; psd=y; rua=mailto:a@bank,mailto:v@victim.bank").unwrap();
    let domain = "bank".parse::<Name>().unwrap();
    let mut machine = VerifyDestinations::new(&domain, &record, ReportKind::Aggregate, |host| host.is_within(&domain));
    let destinations = dns::run(&mut machine, &FixedZone::new());
    assert_eq!(decisions(&destinations), [Decision::Internal, Decision::NotConfirmed]);
}
