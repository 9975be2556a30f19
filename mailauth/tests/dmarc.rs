//! DMARC, behaviour by behaviour (RFC 9989; RFC 7489 where a configuration asks for it).

use std::sync::Arc;

use pillarbox_auth::dmarc::{
    Cause, Check, Config, Discovery, Disposition, DkimInput, DmarcResult, Evidence, Finding, Method, Outcome,
    OverrideReason, Place, Policy, PublicSuffixList, Sections, SeveralAuthors, SpfIdentity, SpfInput, Step, Verdict,
    Verification, Weakness,
};
use pillarbox_auth::from::{Authors, FromFault};
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Name, Question, QuestionId, Record};

fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn read(header: &str) -> Authors {
    Authors::read(header.as_bytes(), &Default::default())
}

fn from(domain: &str) -> Authors {
    read(&format!("From: <joe@{domain}>\r\n\r\n"))
}

/// Domains and their records; a record that is empty makes the domain exist, and `SERVFAIL` lets the question for it fail.
fn zone(records: &[(&str, &str)]) -> FixedZone {
    records.iter().fold(FixedZone::new(), |zone, (domain, record)| match *record {
        "" => zone.with(domain, Record::A([192, 0, 2, 1].into())),
        "SERVFAIL" => zone.failing(&format!("_dmarc.{domain}")),
        record => zone.with(&format!("_dmarc.{domain}"), Record::txt(record)),
    })
}

fn dkim(domain: &str) -> Evidence {
    Evidence::new(None, vec![DkimInput::new(Verification::Pass, name(domain))])
}

fn spf(domain: &str) -> Evidence {
    Evidence::new(Some(SpfInput::new(SpfIdentity::MailFrom, Verification::Pass, name(domain))), Vec::new())
}

fn check_with(authors: &Authors, evidence: &Evidence, config: &Config, zone: &FixedZone) -> Outcome {
    let make = || {
        let mut check = Check::new(authors, config);
        check.supply(evidence.clone());
        check
    };
    let mut outcomes = dns::run_in_orders(make, zone);
    let outcome = outcomes.pop().expect("at least one order");
    assert!(outcomes.iter().all(|other| *other == outcome), "the order of the answers counts");
    outcome
}

fn check(authors: &Authors, evidence: &Evidence, zone: &FixedZone) -> Outcome {
    check_with(authors, evidence, &Config::default(), zone)
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// What a check asked for, in order.
fn questions(authors: &Authors, evidence: &Evidence, zone: &FixedZone) -> Vec<Question> {
    let mut check = Check::new(authors, &Config::default());
    check.supply(evidence.clone());
    let (mut asked, mut answered) = (Vec::new(), 0);
    loop {
        match check.poll() {
            DnsStep::Ask(question) => asked.push(question),
            DnsStep::Wait => {
                let question: &Question = &asked[answered];
                check.answer(question.id, zone.answer(question));
                answered += 1;
            }
            DnsStep::Done(_) => return asked,
        }
    }
}

#[test]
fn a_message_without_a_single_author_is_refused() {
    let zone = zone(&[("legit.example", "v=DMARC1; p=reject"), ("attack.example", "v=DMARC1; p=quarantine")]);
    for (header, fault) in [
        ("To: a@b\r\n\r\n", FromFault::Missing),
        ("From:\r\n\r\n", FromFault::NoMailbox),
        ("From: friends:;\r\n\r\n", FromFault::NoMailbox),
        ("From: a@attack.example\r\nFrom: a@legit.example\r\n\r\n", FromFault::SeveralFields),
        ("From: a@attack.example\r\nFrom : a@attack.example\r\n\r\n", FromFault::SeveralFields),
        ("From: a@attack.example, b@legit.example\r\n\r\n", FromFault::SeveralDomains),
        ("From: a@[192.0.2.1]\r\n\r\n", FromFault::NotAName),
        ("From\r\n : a@attack.example\r\n\r\n", FromFault::FieldName),
        ("From: <a@attack.example>b@legit.example\r\n\r\n", FromFault::Syntax { at: 19 }),
    ] {
        let outcome = check(&read(header), &dkim("attack.example"), &zone);
        assert_eq!((outcome.result, outcome.disposition), (DmarcResult::PermError, Disposition::Reject), "{header:?}");
        assert_eq!(outcome.cause, Cause::Author(fault), "{header:?}");
        assert_eq!((outcome.author.as_ref(), outcome.applied_policy), (None, None), "{header:?}");
        let refusal = outcome.refusal().unwrap();
        assert_eq!(refusal.to_string(), format!("550 5.7.1 the author cannot be told: {fault}"));
        assert!(questions(&read(header), &dkim("attack.example"), &zone).is_empty(), "nothing is asked for {header:?}");
    }
}

#[test]
fn the_strictest_policy_of_several_authors_applies_where_that_is_wanted() {
    let config = config(|config| config.several_authors = SeveralAuthors::StrictestPolicy);
    let zone = zone(&[
        ("none.example", "v=DMARC1; p=none"),
        ("quarantine.example", "v=DMARC1; p=quarantine"),
        ("reject.example", "v=DMARC1; p=reject"),
        ("slow.example", "SERVFAIL"),
    ]);
    let of = |header: &str, evidence| {
        let outcome = check_with(&read(header), &evidence, &config, &zone);
        (outcome.result, outcome.author.map(|author| author.to_string()), outcome.disposition)
    };
    let found = |result, author: &str, disposition| (result, Some(author.to_owned()), disposition);
    let domains = |domains: &[&str]| {
        let mailboxes = domains.iter().map(|domain| format!("a@{domain}.example")).collect::<Vec<_>>();
        format!("From: {}\r\n\r\n", mailboxes.join(", "))
    };
    let one = dkim("reject.example");
    let both = Evidence::new(
        Some(SpfInput::new(SpfIdentity::MailFrom, Verification::Pass, name("reject.example"))),
        vec![DkimInput::new(Verification::Pass, name("quarantine.example"))],
    );
    for (authors, evidence, expected) in [
        (
            &["none", "reject", "quarantine"][..],
            dkim("x.example"),
            found(DmarcResult::Fail, "reject.example", Disposition::Reject),
        ),
        (
            &["reject", "quarantine"],
            one.clone(),
            found(DmarcResult::Fail, "quarantine.example", Disposition::Quarantine),
        ),
        (&["reject", "none"], one.clone(), found(DmarcResult::Fail, "none.example", Disposition::None)),
        (&["reject", "unknown"], one.clone(), found(DmarcResult::None, "unknown.example", Disposition::None)),
        (&["reject", "slow"], one.clone(), found(DmarcResult::TempError, "slow.example", Disposition::Defer)),
        (&["none", "slow"], one.clone(), found(DmarcResult::TempError, "slow.example", Disposition::Defer)),
        (&["quarantine", "reject"], both, found(DmarcResult::Pass, "quarantine.example", Disposition::None)),
    ] {
        assert_eq!(of(&domains(authors), evidence), expected, "{authors:?}");
    }
    // Somebody can have put a second field on a message that was signed with one.
    let twice = "From: a@reject.example\r\nFrom: b@reject.example\r\n\r\n";
    assert_eq!(of(twice, one.clone()), found(DmarcResult::Fail, "reject.example", Disposition::Reject));
    let outcome = check_with(&read(twice), &one, &config, &zone);
    assert_eq!(outcome.cause, Cause::Author(FromFault::SeveralFields));
    assert!(outcome.trace.contains(&Step::AuthorFault(FromFault::SeveralFields)));
    // What cannot be read, and more than is worth the questions, is refused.
    let many = domains(&["a", "b", "c", "d", "e", "f"]);
    for header in
        [&many[..], "From: a@reject.example\r\nFrom: b\r\n\r\n", "From: a@[192.0.2.1], b@none.example\r\n\r\n"]
    {
        let outcome = check_with(&read(header), &one, &config, &zone);
        assert_eq!((outcome.result, outcome.disposition), (DmarcResult::PermError, Disposition::Reject), "{header}");
    }
}

/// RFC 9989 §4.4, §4.10.2
#[test]
fn alignment() {
    let domain = "a.example";
    for (mode, author, identifier, is_aligned) in [
        ("r", "a.example", "a.example", true),
        ("r", "A.example", "a.EXAMPLE", true),
        ("r", "a.example", "sub.a.example", true),
        ("r", "sub.a.example", "a.example", true),
        ("r", "one.a.example", "two.a.example", true),
        ("r", "x.one.a.example", "y.two.a.example", true),
        ("r", "a.example", "example", false),
        ("r", "a.example", "b.example", false),
        ("r", "a.example", "evila.example", false),
        ("r", "a.example", "a.example.net", false),
        ("r", "a.example", "a", false),
        ("s", "a.example", "a.example", true),
        ("s", "a.example", "sub.a.example", false),
        ("s", "sub.a.example", "a.example", false),
        ("s", "sub.a.example", "sub.a.example", true),
        ("s", "one.a.example", "two.a.example", false),
        ("s", "a.example", "example", false),
    ] {
        for (tag, other, evidence) in [("adkim", "aspf", dkim(identifier)), ("aspf", "adkim", spf(identifier))] {
            let other_mode = if mode == "r" { "s" } else { "r" };
            let record = format!("v=DMARC1; p=reject; {tag}={mode}; {other}={other_mode}");
            let zone = zone(&[(domain, &record)]);
            let outcome = check(&from(author), &evidence, &zone);
            let case = format!("{tag}={mode} author {author} identifier {identifier}");
            assert_eq!(outcome.result == DmarcResult::Pass, is_aligned, "{case}");
            assert_eq!(outcome.dkim_is_aligned(), is_aligned && tag == "adkim", "{case}");
            assert_eq!(outcome.spf_is_aligned(), is_aligned && tag == "aspf", "{case}");
            let disposition = if is_aligned { Disposition::None } else { Disposition::Reject };
            assert_eq!(outcome.disposition, disposition, "{case}");
            assert_eq!(outcome.applied_policy, Some(Policy::Reject), "{case}");
        }
    }
}

#[test]
fn only_what_is_verified_counts() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject")]);
    let verdict = |evidence: Evidence| {
        let outcome = check(&from("a.example"), &evidence, &zone);
        let verdict = outcome.identifiers[0].verdict;
        assert_eq!(outcome.result == DmarcResult::Pass, verdict == Verdict::Aligned);
        verdict
    };
    let spf = |identity, verification| {
        Evidence::new(Some(SpfInput::new(identity, verification, name("a.example"))), Vec::new())
    };
    assert_eq!(verdict(spf(SpfIdentity::MailFrom, Verification::Pass)), Verdict::Aligned);
    assert_eq!(verdict(spf(SpfIdentity::MailFrom, Verification::Fail)), Verdict::NotVerified);
    assert_eq!(verdict(spf(SpfIdentity::NullMailFrom, Verification::Pass)), Verdict::Aligned);
    // The name in HELO is what the client says; it is no author's domain beside a MAIL FROM.
    assert_eq!(verdict(spf(SpfIdentity::Helo, Verification::Pass)), Verdict::Helo);
    assert_eq!(verdict(spf(SpfIdentity::Helo, Verification::TempError)), Verdict::Helo);
}

#[test]
fn weak_signatures_do_not_count() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject")]);
    for weakness in [Weakness::PartialBody, Weakness::TestKey, Weakness::Algorithm] {
        let mut input = DkimInput::new(Verification::Pass, name("a.example"));
        input.weakness = Some(weakness);
        let evidence = Evidence::new(None, vec![input]);
        let outcome = check(&from("a.example"), &evidence, &zone);
        assert_eq!((outcome.result, outcome.disposition), (DmarcResult::Fail, Disposition::Reject));
        assert_eq!(outcome.identifiers[0].verdict, Verdict::Weak(weakness));
        let config = config(|config| config.counts_weak_signatures = true);
        assert_eq!(check_with(&from("a.example"), &evidence, &config, &zone).result, DmarcResult::Pass);
    }
}

/// RFC 9989 §4.10: eight questions at most, whatever the name.
#[test]
fn a_walk_has_eight_steps() {
    let many = |labels: usize| "a.".repeat(labels - 2) + "b.example";
    for (domain, count) in [
        ("example".to_owned(), 1),
        ("b.example".to_owned(), 2),
        (many(7), 7),
        (many(8), 8),
        (many(9), 8),
        (many(20), 8),
        (many(120), 8),
    ] {
        let asked = questions(&from(&domain), &dkim("b.example"), &FixedZone::new());
        assert_eq!(asked.len(), count, "{domain}");
        assert_eq!(asked[0].name, name(&format!("_dmarc.{domain}")));
        assert!(asked.iter().map(|question| question.id.0 as usize).eq(0..count), "ids count from 0");
    }
    // A name so long that no label fits before it cannot have a record.
    let long = format!("{}.example", "abcdefghi.".repeat(24) + "abcd");
    assert_eq!(long.len(), 252);
    let long = read(&format!("From: a@{long}\r\n\r\n"));
    assert_eq!(questions(&long, &Evidence::default(), &FixedZone::new()).len(), 7);
    // What is found first can be enough.
    let zone = zone(&[("b.example", "v=DMARC1; p=none")]);
    assert_eq!(questions(&from("b.example"), &dkim("b.example"), &zone).len(), 1);
    assert_eq!(questions(&from("b.example"), &dkim("other.test"), &zone).len(), 1);
    assert_eq!(questions(&from("b.example"), &dkim("x.b.example"), &zone).len(), 3);
    // Once the author's organization is known, nothing needs to be asked about a stranger.
    assert_eq!(questions(&from("b.example"), &dkim("x.c.example"), &zone).len(), 2);
}

/// RFC 9989 §4.10.1, §4.10.2, and the examples of Appendix B.4.
#[test]
fn organizational_domains() {
    for (records, author, organization, policy_domain, place) in [
        (&[("example.com", "")][..], "a.example.com", "example.com", "example.com", Place::Organization),
        (
            &[("mail.example.com", ""), ("example.com", "")],
            "a.mail.example.com",
            "example.com",
            "example.com",
            Place::Organization,
        ),
        (
            &[("mail.example.com", "psd=n")],
            "a.mail.example.com",
            "mail.example.com",
            "mail.example.com",
            Place::Organization,
        ),
        (&[("com", "psd=y")], "a.mail.example.com", "example.com", "com", Place::PublicSuffix),
        (
            &[("com", "psd=y"), ("mail.example.com", "")],
            "a.mail.example.com",
            "example.com",
            "com",
            Place::PublicSuffix,
        ),
        (
            &[("com", "psd=y"), ("example.com", "")],
            "a.mail.example.com",
            "example.com",
            "example.com",
            Place::Organization,
        ),
        // Names below the shortcut are not asked for.
        (
            &[("c.d.e.f.g.example.com", "psd=n"), ("b.c.d.e.f.g.example.com", "psd=n")],
            "mail.a.b.c.d.e.f.g.example.com",
            "c.d.e.f.g.example.com",
            "c.d.e.f.g.example.com",
            Place::Organization,
        ),
        (
            &[("c.d.e.f.g.example.com", "psd=y")],
            "mail.a.b.c.d.e.f.g.example.com",
            "b.c.d.e.f.g.example.com",
            "c.d.e.f.g.example.com",
            Place::PublicSuffix,
        ),
        (
            &[("b.c.d.e.f.g.example.com", "psd=n"), ("example.com", "")],
            "mail.a.b.c.d.e.f.g.example.com",
            "example.com",
            "example.com",
            Place::Organization,
        ),
        (
            &[("example.com", ""), ("signing.example.com", "")],
            "a.b.c.d.e.f.g.h.i.j.k.example.com",
            "example.com",
            "example.com",
            Place::Organization,
        ),
        // A record of a top-level domain that does not say what it is.
        (&[("com", "")], "example.com", "com", "com", Place::Organization),
    ] {
        let records = records.iter().map(|(at, tags)| (*at, format!("v=DMARC1; p=reject; {tags}"))).collect::<Vec<_>>();
        let records = records.iter().map(|(at, record)| (*at, record.as_str())).collect::<Vec<_>>();
        let outcome = check(&from(author), &Evidence::default(), &zone(&records));
        assert_eq!(outcome.organizational_domain, Some(name(organization)), "{author} {records:?}");
        let found = outcome.policy_record.unwrap();
        assert_eq!((found.domain, found.place), (name(policy_domain), place), "{author} {records:?}");
    }
    // B.4.3: a bank among banks.
    let banks =
        zone(&[("bank.example", "v=DMARC1; p=reject; psd=y"), ("giant.bank.example", "v=DMARC1; p=quarantine")]);
    let evidence = Evidence::new(
        Some(SpfInput::new(SpfIdentity::MailFrom, Verification::Pass, name("mail.giant.bank.example"))),
        vec![DkimInput::new(Verification::Pass, name("mail.mega.bank.example"))],
    );
    let outcome = check(&from("giant.bank.example"), &evidence, &banks);
    assert_eq!((outcome.spf_is_aligned(), outcome.dkim_is_aligned()), (true, false));
    assert_eq!(outcome.organizational_domain, Some(name("giant.bank.example")));
    // A public suffix that writes mail itself is its own organization, and none of those below.
    let of_suffix = |domain: &str| check(&from("bank.example"), &dkim(domain), &banks).result;
    assert_eq!(of_suffix("bank.example"), DmarcResult::Pass);
    assert_eq!(of_suffix("giant.bank.example"), DmarcResult::Fail);
    // And a record of its own says where an organization ends.
    let university = zone(&[("uni.example", "v=DMARC1; p=reject"), ("x.uni.example", "v=DMARC1; p=reject; psd=n")]);
    assert_eq!(check(&from("uni.example"), &dkim("a.x.uni.example"), &university).result, DmarcResult::Fail);
    assert_eq!(check(&from("b.x.uni.example"), &dkim("a.x.uni.example"), &university).result, DmarcResult::Pass);
    assert_eq!(check(&from("b.uni.example"), &dkim("a.uni.example"), &university).result, DmarcResult::Pass);
}

/// RFC 7489 §3.2, §6.6.3
#[test]
fn public_suffix_list_in_place_of_the_walk() {
    let list = Arc::new(PublicSuffixList::parse("example\nco.example\n", Sections::All).unwrap());
    let by_list = config(|config| config.discovery = Discovery::PublicSuffixList(list.clone()));
    let records = zone(&[("example", "v=DMARC1; p=reject"), ("a.co.example", "v=DMARC1; p=reject; sp=quarantine")]);
    let of = |author: &str, evidence| check_with(&from(author), &evidence, &by_list, &records);
    let outcome = of("x.a.co.example", dkim("y.a.co.example"));
    assert_eq!((outcome.result, outcome.method), (DmarcResult::Pass, Method::PublicSuffixList));
    assert_eq!(outcome.organizational_domain, Some(name("a.co.example")));
    assert_eq!(of("x.a.co.example", dkim("b.co.example")).applied_policy, Some(Policy::Quarantine));
    assert_eq!(of("a.co.example", dkim("b.co.example")).applied_policy, Some(Policy::Reject));
    // The record of a public suffix is not asked for, and names next to each other below it are strangers.
    assert_eq!(of("b.co.example", dkim("b.co.example")).result, DmarcResult::None);
    // The walk finds the record of the suffix, which claims all that is below; the list is heard, and has no say.
    let compared = config(|config| config.discovery = Discovery::TreeWalkComparedWith(list.clone()));
    let outcome = check_with(&from("b.co.example"), &dkim("c.co.example"), &compared, &records);
    assert_eq!((outcome.result, outcome.method), (DmarcResult::Pass, Method::TreeWalk));
    assert_eq!(outcome.organizational_domain, Some(name("example")));
    assert!(outcome.trace.contains(&Step::ListDiffers(name("b.co.example"))));
    // Several records at the author's domain end the search, where the walk would go on.
    let doubled = records.with("_dmarc.y.a.co.example", Record::txt("v=DMARC1; p=none"));
    let doubled = doubled.with("_dmarc.y.a.co.example", Record::txt("v=DMARC1; p=reject"));
    let several = |config| check_with(&from("y.a.co.example"), &Evidence::default(), config, &doubled).result;
    assert_eq!((several(&by_list), several(&compared)), (DmarcResult::None, DmarcResult::Fail));
}

/// RFC 9989 §4.7 (`p`, `sp`, `np`), §3.2.13
#[test]
fn which_policy_applies() {
    use Policy::{None, Quarantine, Reject};
    for (tags, of_domain, of_subdomain, of_missing) in [
        ("p=reject", Reject, Reject, Reject),
        ("p=reject; sp=quarantine", Reject, Quarantine, Quarantine),
        ("p=none; sp=quarantine; np=reject", None, Quarantine, Reject),
        ("p=reject; np=none", Reject, Reject, None),
        ("p=none; np=quarantine", None, None, Quarantine),
    ] {
        let zone =
            zone(&[("a.example", &format!("v=DMARC1; {tags}")), ("sub.a.example", ""), ("below.empty.a.example", "")]);
        for (author, expected) in [
            ("a.example", of_domain),
            ("sub.a.example", of_subdomain),
            // It has no records, but names below it have: it exists.
            ("empty.a.example", of_subdomain),
            ("missing.a.example", of_missing),
        ] {
            let outcome = check(&from(author), &Evidence::default(), &zone);
            assert_eq!(outcome.policy, Some(expected), "{tags} {author}");
            assert_eq!(outcome.disposition, expected.into(), "{tags} {author}");
        }
        // Nobody asks whether a name exists if nothing depends on it.
        let asked = questions(&from("missing.a.example"), &Evidence::default(), &zone).len();
        assert_eq!(asked, if tags.contains("np") { 4 } else { 3 }, "{tags}");
    }
    // Whether it exists cannot be told: neither policy can be applied, but a pass stays one.
    let unclear = zone(&[("a.example", "v=DMARC1; p=reject; np=none")]).failing("sub.a.example");
    let outcome = check(&from("sub.a.example"), &Evidence::default(), &unclear);
    assert_eq!((outcome.result, outcome.disposition), (DmarcResult::TempError, Disposition::Defer));
    assert_eq!(check(&from("sub.a.example"), &dkim("a.example"), &unclear).result, DmarcResult::Pass);
    // A record of the author's own domain speaks by "p" alone.
    let own = zone(&[("x.a.example", "v=DMARC1; p=none; sp=reject"), ("a.example", "v=DMARC1; p=reject")]);
    assert_eq!(check(&from("x.a.example"), &Evidence::default(), &own).applied_policy, Some(None));
    let own =
        FixedZone::new().with("_dmarc.a.example", Record::txt("v=DMARC1; p=reject; np=none")).failing("a.example");
    assert_eq!(questions(&from("a.example"), &Evidence::default(), &own).len(), 1);
}

/// RFC 9989 §4.7 (`t`), RFC 7489 §6.6.4 (`pct`)
#[test]
fn testing_and_sampling() {
    let outcome = |tags: &str, draw| {
        let zone = zone(&[("a.example", &format!("v=DMARC1; {tags}"))]);
        let mut evidence = Evidence::default();
        evidence.percent_draw = draw;
        let outcome = check(&from("a.example"), &evidence, &zone);
        assert_eq!(outcome.result, DmarcResult::Fail);
        assert_eq!(outcome.disposition, outcome.applied_policy.unwrap().into());
        let reasons = outcome.overrides.iter().map(|change| change.reason.as_str()).collect::<Vec<_>>();
        (outcome.applied_policy.unwrap().as_str(), reasons.join(" "))
    };
    let found = |policy, reasons: &str| (policy, reasons.to_owned());
    assert_eq!(outcome("p=reject; t=y", None), found("quarantine", "policy_test_mode"));
    assert_eq!(outcome("p=quarantine; t=Y", None), found("none", "policy_test_mode"));
    assert_eq!(outcome("p=none; t=y", None), found("none", ""));
    assert_eq!(outcome("p=reject; t=n", None), found("reject", ""));
    assert_eq!(outcome("p=reject; t=maybe", None), found("reject", ""));
    for percent in [0, 1, 50, 99, 100] {
        let tags = format!("p=reject; pct={percent}");
        // RFC 9989 has no "pct".
        assert_eq!(outcome(&tags, None), found("reject", ""));
        let spared = (0..100).filter(|draw| outcome(&tags, Some(*draw)) == found("quarantine", "sampled_out"));
        assert_eq!(spared.count(), 100 - percent);
    }
    assert_eq!(outcome("p=quarantine; pct=0", Some(0)), found("none", "sampled_out"));
    assert_eq!(outcome("p=reject; pct=100", Some(u8::MAX)), found("reject", ""));
    // One step down, not two.
    assert_eq!(outcome("p=reject; t=y; pct=0", Some(99)), found("quarantine", "policy_test_mode"));
    // A message that passes is not spared anything.
    let zone = zone(&[("a.example", "v=DMARC1; p=reject; t=y")]);
    let passed = check(&from("a.example"), &dkim("a.example"), &zone);
    assert_eq!((passed.result, passed.overrides.len()), (DmarcResult::Pass, 0));
    assert_eq!((passed.policy, passed.applied_policy), (Some(Policy::Reject), Some(Policy::Quarantine)));
}

/// RFC 9989 §4.10 (steps 2 and 6), §4.10.1
#[test]
fn records_that_do_not_count() {
    let of = |records: &[&str]| {
        let records =
            records.iter().fold(FixedZone::new(), |zone, record| zone.with("_dmarc.a.example", Record::txt(record)));
        check(&from("a.example"), &Evidence::default(), &records)
    };
    let reject = "v=DMARC1; p=reject";
    for records in [&[][..], &["v=spf1 -all"], &["p=reject; v=DMARC1"], &["v=DMARC2; p=reject"], &[reject, reject]] {
        let outcome = of(records);
        assert_eq!((outcome.result, outcome.cause), (DmarcResult::None, Cause::NoRecord), "{records:?}");
        assert_eq!((outcome.disposition, outcome.applied_policy), (Disposition::None, None), "{records:?}");
    }
    assert!(
        of(&[reject, reject]).trace.iter().any(|step| matches!(step, Step::Looked { finding: Finding::Several, .. }))
    );
    // Texts for others at the same name do not matter, and neither do unknown tags.
    assert_eq!(of(&["v=spf1 -all", reject, "hello"]).applied_policy, Some(Policy::Reject));
    assert_eq!(of(&["v=DMARC1; x=y; p=reject; z"]).applied_policy, Some(Policy::Reject));
    // A record that asks for nothing keeps those above from being asked.
    let unusable = zone(&[("x.a.example", "v=DMARC1; p=wrong"), ("a.example", reject)]);
    let outcome = check(&from("x.a.example"), &dkim("x.a.example"), &unusable);
    assert_eq!((outcome.result, outcome.cause), (DmarcResult::PermError, Cause::UnusableRecord));
    assert_eq!(outcome.disposition, Disposition::None);
    // Several records, or a broken one, do not: the walk goes on.
    let doubled = zone(&[("x.a.example", reject), ("x.a.example", "v=DMARC1; p=none"), ("a.example", reject)]);
    assert_eq!(check(&from("x.a.example"), &Evidence::default(), &doubled).applied_policy, Some(Policy::Reject));
    let broken = zone(&[("x.a.example", "v=DMARC1; p=none; p=none"), ("a.example", reject)]);
    assert_eq!(check(&from("x.a.example"), &Evidence::default(), &broken).applied_policy, Some(Policy::Reject));
}

#[test]
fn what_cannot_be_looked_up_is_never_a_pass() {
    let accepting = config(|config| config.defers_on_temp_error = false);
    let own = zone(&[("a.example", "SERVFAIL")]);
    let above = zone(&[("a.example", "v=DMARC1; p=reject"), ("example", "SERVFAIL")]);
    for (zone, author, evidence, cause) in [
        (&own, "a.example", dkim("a.example"), Cause::LookupFailed(name("a.example"))),
        (&own, "x.a.example", dkim("a.example"), Cause::LookupFailed(name("a.example"))),
        (&above, "x.a.example", dkim("x.a.example"), Cause::LookupFailed(name("example"))),
        // The policy is known, but not whether the two belong together.
        (&above, "a.example", dkim("x.a.example"), Cause::LookupFailed(name("x.a.example"))),
    ] {
        let outcome = check(&from(author), &evidence, zone);
        assert_eq!((outcome.result, outcome.cause.clone()), (DmarcResult::TempError, cause));
        assert_eq!(outcome.disposition, Disposition::Defer);
        assert_eq!(outcome.refusal().unwrap().code(), 451);
        let outcome = check_with(&from(author), &evidence, &accepting, zone);
        assert_eq!((outcome.result, outcome.disposition), (DmarcResult::TempError, Disposition::None));
    }
    // What is known can be enough.
    assert_eq!(check(&from("a.example"), &dkim("a.example"), &above).result, DmarcResult::Pass);
    assert_eq!(check(&from("a.example"), &dkim("x.test"), &above).result, DmarcResult::Fail);
    let end = zone(&[("x.a.example", "v=DMARC1; p=reject; psd=n"), ("a.example", "SERVFAIL")]);
    assert_eq!(check(&from("x.a.example"), &dkim("y.x.a.example"), &end).result, DmarcResult::Pass);
    // A domain that asks for nothing does not have its mail put off.
    let none = zone(&[("a.example", "v=DMARC1; p=none"), ("example", "SERVFAIL")]);
    let outcome = check(&from("a.example"), &dkim("x.a.example"), &none);
    assert_eq!((outcome.result, outcome.disposition), (DmarcResult::TempError, Disposition::None));
}

/// RFC 7489 §6.6.2
#[test]
fn what_may_pass_later_has_not_failed() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject")]);
    let of = |domains: &[(&str, Verification)]| {
        let inputs = domains.iter().map(|(domain, verification)| DkimInput::new(*verification, name(domain)));
        let outcome = check(&from("a.example"), &Evidence::new(None, inputs.collect()), &zone);
        (outcome.result, outcome.disposition)
    };
    let put_off = (DmarcResult::TempError, Disposition::Defer);
    assert_eq!(of(&[("a.example", Verification::TempError)]), put_off);
    assert_eq!(of(&[("x.a.example", Verification::TempError), ("a.example", Verification::Fail)]), put_off);
    assert_eq!(of(&[("a.example", Verification::TempError), ("a.example", Verification::Pass)]).0, DmarcResult::Pass);
    // A forger does not get a second chance by a signature of his own that cannot be verified.
    assert_eq!(of(&[("attack.example", Verification::TempError)]), (DmarcResult::Fail, Disposition::Reject));
}

/// RFC 7960, RFC 9989 §5.4
#[test]
fn overrides_are_kept_with_their_reasons() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject; t=y")]);
    let mut outcome = check(&from("a.example"), &dkim("lists.example"), &zone);
    outcome.override_disposition(OverrideReason::TrustedForwarder, Disposition::None);
    outcome.override_disposition(OverrideReason::LocalPolicy, Disposition::None);
    assert_eq!((outcome.result, outcome.disposition), (DmarcResult::Fail, Disposition::None));
    assert_eq!(outcome.refusal(), None);
    let steps = outcome.overrides.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(steps, ["policy_test_mode makes quarantine of reject", "trusted_forwarder makes none of quarantine"]);
    assert_eq!(outcome.trace.last(), Some(&Step::Override(outcome.overrides[1])));
    // A server may also be stricter than it was asked to be.
    outcome.override_disposition(OverrideReason::LocalPolicy, Disposition::Reject);
    assert_eq!(outcome.refusal().unwrap().to_string(), "550 5.7.1 refused by the DMARC policy of a.example");
}

#[test]
fn the_trace_tells_each_step() {
    let zone = zone(&[("a.example", "v=DMARC1; p=none; np=quarantine; adkim=s; rua=mailto:x@a.example")]);
    let mut evidence = dkim("y.a.example");
    evidence.spf = Some(SpfInput::new(SpfIdentity::Helo, Verification::Pass, name("x.a.example")));
    let outcome = check(&from("x.a.example"), &evidence, &zone);
    let steps = outcome.trace.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        steps,
        [
            "the author's domain is x.a.example",
            "_dmarc.x.a.example: no record",
            "_dmarc.a.example: v=DMARC1; p=none; np=quarantine; adkim=s; rua=mailto:x@a.example",
            "_dmarc.example: no record",
            "the author's organizational domain is a.example",
            "the record of a.example rules, the organizational domain",
            "the author's domain does not exist",
            "SPF domain x.a.example: does not count, as it is the name in HELO",
            "DKIM domain y.a.example: not aligned",
            "it asks for quarantine",
            "the result is fail",
        ]
    );
}

#[test]
fn evidence_may_come_last() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject")]);
    let mut check = Check::new(&from("x.a.example"), &Config::default());
    let mut asked = Vec::new();
    loop {
        match check.poll() {
            DnsStep::Ask(question) => asked.push(question),
            DnsStep::Wait if asked.is_empty() => break,
            DnsStep::Wait => {
                let question = asked.remove(0);
                check.answer(question.id, zone.answer(&question));
            }
            DnsStep::Done(outcome) => panic!("finished without evidence: {outcome:?}"),
        }
    }
    let mut waiting = check.clone();
    check.supply(dkim("a.example"));
    check.supply(dkim("b.example"));
    let DnsStep::Done(outcome) = check.poll() else { panic!("all answers are there") };
    assert_eq!(outcome.result, DmarcResult::Pass);

    waiting.give_up();
    let DnsStep::Done(outcome) = waiting.poll() else { panic!("it was given up") };
    assert_eq!((outcome.result, outcome.cause), (DmarcResult::TempError, Cause::NoEvidence));
}

#[test]
fn odd_answers_change_nothing() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject")]);
    let hostile = || DnsAnswer::found(name("x"), [(0, Record::txt("v=DMARC1; p=none; psd=n"))]);
    let mut check = Check::new(&from("x.a.example"), &Config::default());
    check.supply(dkim("attack.example"));
    // Nothing was asked yet.
    check.answer(QuestionId(0), hostile());
    let mut open = Vec::new();
    loop {
        match check.poll() {
            DnsStep::Ask(question) => {
                // The next question has not been handed out.
                check.answer(QuestionId(question.id.0 + 1), hostile());
                check.answer(QuestionId(u32::MAX), hostile());
                open.push(question);
            }
            DnsStep::Wait => {
                let question = open.pop().unwrap();
                check.answer(question.id, zone.answer(&question));
                check.answer(question.id, hostile());
            }
            DnsStep::Done(outcome) => {
                assert_eq!((outcome.result, outcome.applied_policy), (DmarcResult::Fail, Some(Policy::Reject)));
                break;
            }
        }
    }
    // A record of another kind, and an answer without the records that it speaks of.
    for answer in [
        DnsAnswer::found(name("a.example"), [(0, Record::A([192, 0, 2, 1].into()))]),
        DnsAnswer::found(name("a.example"), []),
    ] {
        let mut check = Check::new(&from("example"), &Config::default());
        check.supply(Evidence::default());
        let DnsStep::Ask(question) = check.poll() else { panic!("it has a question") };
        check.answer(question.id, answer);
        let DnsStep::Done(outcome) = check.poll() else { panic!("the answer is enough") };
        assert_eq!(outcome.result, DmarcResult::None);
    }
}

#[test]
fn giving_up_ends_it_wherever_it_stands() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject")]);
    for answers in 0..6 {
        let mut check = Check::new(&from("x.a.example"), &Config::default());
        check.supply(dkim("y.a.example"));
        let mut open = Vec::new();
        let mut answered = 0;
        let outcome = loop {
            match check.poll() {
                DnsStep::Ask(question) => open.push(question),
                DnsStep::Wait if answered == answers => check.give_up(),
                DnsStep::Wait => {
                    let question = open.remove(0);
                    check.answer(question.id, zone.answer(&question));
                    answered += 1;
                }
                DnsStep::Done(outcome) => break outcome,
            }
        };
        let expected = if answers < 4 { DmarcResult::TempError } else { DmarcResult::Pass };
        assert_eq!(outcome.result, expected, "after {answers} answers");
    }
}

#[test]
fn signatures_of_many_domains_cost_few_questions() {
    let zone = zone(&[("a.example", "v=DMARC1; p=reject"), ("x5.a.example", "v=DMARC1; p=none; psd=n")]);
    let domains = |count: usize| (0..count).map(|n| format!("x{n}.a.example")).collect::<Vec<_>>();
    let evidence = |domains: &[String], verification| {
        Evidence::new(None, domains.iter().map(|domain| DkimInput::new(verification, name(domain))).collect())
    };
    let many = evidence(&domains(1000), Verification::TempError);
    let outcome = check(&from("a.example"), &many, &zone);
    let count = |verdict| outcome.identifiers.iter().filter(|identifier| identifier.verdict == verdict).count();
    assert_eq!(outcome.identifiers.len(), 20);
    assert_eq!(count(Verdict::NotVerifiedYet), 7);
    assert_eq!(count(Verdict::NotAligned), 1);
    assert_eq!(count(Verdict::TooManyQuestions), 12);
    assert_eq!(questions(&from("a.example"), &many, &zone).len(), 2 + 8);
    // Those for which nothing needs to be asked still count.
    let mut last = domains(18);
    last.push("a.example".to_owned());
    let outcome = check(&from("a.example"), &evidence(&last, Verification::Pass), &zone);
    assert_eq!(outcome.identifiers.last().unwrap().verdict, Verdict::Aligned);
}
