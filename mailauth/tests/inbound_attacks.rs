//! Attacks on the author that a reader sees (`conformance/attacks`), from MAIL to the verdict.
//!
//! legit.example asks for all that is not its own to be refused, and so do own.example, which is ours, and bücher.example. The
//! attacker passes SPF for attack.example and signs for it, publishes any record below it, and wants a message taken that a
//! program shows as one of legit.example, or a result told that names it.

#![cfg(feature = "ring")]
#![allow(clippy::print_stdout, reason = "the results are a table")]

#[path = "messages/keys.rs"]
mod keys;
mod messages;

use std::sync::Arc;

use keys::{ed25519, record, sign_with_tags};
use messages::{Told, in_all_ways, suite_json as suite, suite_text as text};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::arc::ArcResult;
use pillarbox_auth::authres::AuthenticationResults;
use pillarbox_auth::dkim::{DkimResult, Note, Reason};
use pillarbox_auth::dmarc::SeveralAuthors;
use pillarbox_auth::inbound::{Config, Inbound, Verdicts};
use pillarbox_auth::spf::SpfResult;
use pillarbox_core::address::ReversePath;
use pillarbox_core::dns::{DnsMachine, DnsStep, FixedZone, Record};
use serde_json::Value;

const NOW: u64 = 1_700_000_000;

/// The attacker's zone has a valid key and an SPF pass under every name; the victim's has a key of its own.
fn zone() -> FixedZone {
    let reject = || Record::txt("v=DMARC1; p=reject");
    FixedZone::new()
        .with("*.attack.example", Record::txt("v=spf1 ip4:203.0.113.1 -all"))
        .with("attack.example", Record::txt("v=spf1 ip4:203.0.113.1 -all"))
        .with("s._domainkey.attack.example", Record::txt(record(&*ed25519())))
        .with("selector._domainkey.attack.example", Record::txt(record(&*ed25519())))
        .with("_dmarc.attack.example", Record::txt("v=DMARC1; p=none"))
        .with("s._domainkey.legit.example", Record::txt(record(&*ed25519())))
        .with("legit.example", Record::txt("v=spf1 -all"))
        .with("_dmarc.legit.example", reject())
        .with("_dmarc.own.example", reject())
        .with("_dmarc.xn--bcher-kva.example", reject())
}

fn message(case: &Value) -> Vec<u8> {
    let header = case["headers"].as_array().unwrap().iter().map(|line| format!("{}\r\n", line.as_str().unwrap()));
    let message = header.collect::<String>() + "To: ann@own.example\r\nSubject: pay\r\n\r\n" + text(case, "body");
    let own = "v=1; d=attack.example; s=s";
    match case.get("dkim") {
        None => sign_with_tags(own, "from:to:subject", &message),
        Some(dkim) => {
            let tag = |name: &str| dkim[name].as_str();
            let length = tag("l").map(|length| format!("; l={length}")).unwrap_or_default();
            let tags = format!("v=1; d={}; s={}{length}", tag("d").unwrap(), tag("s").unwrap_or("s"));
            sign_with_tags(&tags, tag("h").unwrap_or("from:to:subject"), &message)
        }
    }
}

/// A machine that knows the session of a case.
fn inbound(case: &Value, path: &ReversePath<'_>, config: &Arc<Config>) -> Inbound {
    let mut inbound = Inbound::new(Arc::new(RingCrypto), config.clone(), NOW);
    inbound.connect([203, 0, 113, 1].into());
    inbound.helo(text(case, "helo"));
    inbound.mail_from(path);
    inbound
}

fn told(verdicts: Verdicts) -> String {
    format!("{:?}\n{}\n{}", verdicts.refusal(), verdicts.header_fields(), verdicts.explanation())
}

/// Verdicts, and the names that were asked for.
fn run(case: &Value, path: &ReversePath<'_>, config: &Arc<Config>, message: &[u8]) -> (Verdicts, Vec<String>) {
    let mut inbound = inbound(case, path, config);
    inbound.write(message);
    inbound.finish();
    let (zone, mut names) = (zone(), Vec::new());
    loop {
        match inbound.poll() {
            DnsStep::Ask(question) => {
                names.push(question.name.to_string());
                inbound.answer(question.id, zone.answer(&question));
            }
            DnsStep::Wait => panic!("all is answered"),
            DnsStep::Done(verdicts) => return (verdicts, names),
        }
    }
}

/// What holds for every message that arrives.
fn check(case: &Value, verdicts: &Verdicts, message: &[u8]) {
    let told = verdicts.authentication_results();
    let field = verdicts.header_fields();
    let parsed = AuthenticationResults::parse(field.split_once(':').unwrap().1.as_bytes());
    assert_eq!(parsed, Ok(told.clone()), "{case}");
    // No pass is told for anybody else than the attacker; the victim's own signature over nothing passes, and counts for
    // nothing.
    for result in told.results.iter().filter(|result| result.result == *"pass") {
        let names = result.properties.iter().filter(|property| property.value.as_str().contains('.'));
        for property in names {
            let is_partial = result.comment.as_ref().is_some_and(|note| note.as_str().starts_with("0 of "));
            assert!(property.value.as_str().ends_with("attack.example") || is_partial, "{case}: {property:?}");
        }
    }
    // What claims to be ours goes.
    let ours = |octets: &[u8]| octets.to_ascii_lowercase().windows(14).any(|window| window == b"mx.own.example");
    let mut kept = Vec::new();
    let mut at = 0;
    for place in &verdicts.forged {
        kept.extend_from_slice(&message[at..place.start]);
        assert!(ours(&message[place.clone()]), "{case}");
        at = place.end;
    }
    kept.extend_from_slice(&message[at..]);
    assert!(!ours(&kept), "{case}");
}

/// What the methods say, where a case is about them.
fn check_methods(id: u64, verdicts: &Verdicts, names: &[String]) {
    let signature = || &verdicts.dkim.signatures[0];
    let spf = verdicts.spf_mail_from.as_ref().unwrap();
    match id {
        1 => {
            assert_eq!((spf.result, spf.domain().unwrap().as_str()), (SpfResult::None, "notexist.legit.example"));
        }
        3 => {
            assert!(spf.is_null_path() && spf.result == SpfResult::Pass && spf.local() == "postmaster");
            assert_eq!(spf.domain().unwrap().as_str(), "attack.example");
        }
        4 => {
            assert_eq!((signature().result, signature().reason), (DkimResult::PermError, Some(Reason::NoTagList)));
            assert!(names.iter().all(|name| !name.contains("_domainkey")), "{names:?}");
        }
        5 | 6 => {
            assert_eq!(
                (signature().result, signature().reason),
                (DkimResult::PermError, Some(Reason::InvalidTag("d")))
            );
            assert!(names.iter().all(|name| !name.contains("_domainkey")), "{names:?}");
        }
        31 => assert_eq!(signature().reason, Some(Reason::FromNotSigned)),
        32 => {
            assert_eq!(signature().result, DkimResult::Pass);
            assert!(
                matches!(signature().notes[..], [Note::PartialBody { signed: 0, .. }, ..]),
                "{:?}",
                signature().notes
            );
            assert!(signature().proven_domain().is_none());
        }
        33 | 34 => assert_eq!(verdicts.forged.len(), 1),
        35 => assert_eq!(verdicts.arc.result, ArcResult::Fail),
        _ => assert_eq!(spf.domain().unwrap().as_str(), "attack.example"),
    }
}

#[test]
fn no_attack_gets_through() {
    let Some(suite) = suite("attacks/composition.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 35);
    let (mut at_mail, mut refused, mut taken) = (0, 0, Vec::new());
    for case in cases {
        let id = case["id"].as_u64().unwrap();
        let about = text(case, "name");
        // As a client sends it: the session takes what stands between the brackets, or refuses the command.
        let command = format!("<{}>", text(case, "mail_from"));
        let path = [false, true].map(|utf8| ReversePath::take(command.as_bytes(), utf8));
        let [Ok((path, b"")), Ok((_, b""))] = path else {
            println!("{id:2} {about}: refused at MAIL");
            assert!([2, 7, 8].contains(&id), "{about}");
            at_mail += 1;
            continue;
        };
        let message = message(case);
        for several in [SeveralAuthors::Refuse, SeveralAuthors::StrictestPolicy] {
            let mut config = Config::new("mx.own.example");
            config.dmarc.several_authors = several;
            let config = Arc::new(config);
            let (verdicts, names) = run(case, &path, &config, &message);
            check(case, &verdicts, &message);
            check_methods(id, &verdicts, &names);
            // The same in any cut and with answers in any order.
            in_all_ways(&|| Told(inbound(case, &path, &config), told), &message, &zone());
            let verdict = verdicts.refusal().map(|reply| reply.to_string());
            if several == SeveralAuthors::Refuse {
                println!("{id:2} {about}: {}", verdict.as_deref().unwrap_or("taken, in the attacker's own name"));
                match verdict {
                    Some(reply) => {
                        assert!(reply.starts_with("550 5.7.1 "), "{reply}");
                        refused += 1;
                    }
                    None => taken.push(id),
                }
            } else {
                assert_eq!(verdict.is_none(), taken.contains(&id), "{about}");
            }
        }
    }
    println!("{at_mail} refused at MAIL, {refused} at the end of the message, {} taken", taken.len());
    // A display name is text: the address behind it is the attacker's own, and that is what is checked and shown.
    assert_eq!(taken, [25]);
}
