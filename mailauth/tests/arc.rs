//! Chains that are sealed and validated, broken and hostile ones.

#![cfg(feature = "ring")]

#[path = "messages/keys.rs"]
mod keys;
mod messages;

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use keys::{body_hash, domain_key, ed25519, record, rsa};
use messages::in_all_ways;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::arc::{ArcReason, ArcResult, FieldKind, SealError, Sealer, Verification, Verifier};
use pillarbox_auth::dkim::{Canonicalization, DomainKey, Policy, Reason, SignOptions};
use pillarbox_core::crypto::{Crypto as _, HashAlgorithm};
use pillarbox_core::dns::{self, DnsMachine as _, DnsStep, FixedZone, Record};
use pillarbox_core::header::{Fields, HeaderLimit};

const NOW: u64 = 1_700_000_000;
const MESSAGE: &str =
    "From: Joe <joe@example.org>\r\nTo: list@lists.example\r\nSubject: dinner\r\n\r\nIs it ready?\r\n";
const RESULTS: &str = "mx.lists.example;\r\n spf=pass smtp.mailfrom=example.org;\r\n dkim=pass header.d=example.org";

fn zone() -> FixedZone {
    FixedZone::new()
        .with("ed._domainkey.lists.example", Record::txt(record(&*ed25519())))
        .with("rsa._domainkey.relay.example", Record::txt(record(&*rsa())))
}

fn lists() -> DomainKey {
    domain_key("lists.example", "ed", ed25519())
}

fn relay() -> DomainKey {
    domain_key("relay.example", "rsa", rsa())
}

fn verify(message: &str) -> Verification {
    in_all_ways(&|| Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW), message.as_bytes(), &zone())
}

fn verify_once(message: &str) -> Verification {
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
    verifier.write(message.as_bytes());
    verifier.finish();
    dns::run(&mut verifier, &zone())
}

fn try_seal(message: &str, key: DomainKey, chain: ArcResult, results: &str) -> Result<String, SealError> {
    let mut sealer = Sealer::new(Arc::new(RingCrypto), key, SignOptions::default(), NOW);
    for slice in message.as_bytes().chunks(7) {
        sealer.write(slice);
    }
    Ok(sealer.finish(chain, results)? + message)
}

fn seal(message: &str, key: DomainKey, chain: ArcResult) -> String {
    try_seal(message, key, chain, RESULTS).unwrap()
}

#[test]
fn a_chain_of_two() {
    let one = seal(MESSAGE, lists(), ArcResult::None);
    assert!(one.starts_with("ARC-Seal: i=1; a=ed25519-sha256; t=1700000000; cv=none; d=lists.example; s=ed;"), "{one}");
    // The list changes the subject and the body before it passes the message on.
    let changed = one.replace(": dinner", ": [list] dinner").replace("ready?", "ready?\r\n-- the list");
    assert_eq!(verify(&one).result, ArcResult::Pass);
    let two = seal(&changed, relay(), verify(&one).result);
    let verification = verify(&two);
    assert_eq!((verification.result, verification.reason), (ArcResult::Pass, None));
    let sealers = verification.sealers().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(sealers, ["lists.example", "relay.example"]);
    assert_eq!(verification.sets[0].results, RESULTS.as_bytes());
    assert_eq!(verification.sets[1].time, Some(NOW));
    assert_eq!(
        verification.trace.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "a chain of 2",
            "ARC-Message-Signature 2 is valid by rsa._domainkey.relay.example",
            "ARC-Seal 2 is valid by rsa._domainkey.relay.example",
            "ARC-Seal 1 is valid by ed._domainkey.lists.example",
            "the body (27 octets) is the one that was sealed",
        ]
    );
    assert_eq!(verify(MESSAGE).result, ArcResult::None);
}

#[test]
fn each_form_is_sealed() {
    for header in [Canonicalization::Simple, Canonicalization::Relaxed] {
        for body in [Canonicalization::Simple, Canonicalization::Relaxed] {
            let mut options = SignOptions::default();
            (options.header, options.body) = (header, body);
            // What ARC excludes stays out, whatever was asked for.
            options.signed.extend(["Authentication-Results".into(), "arc-seal".into()]);
            let mut sealer = Sealer::new(Arc::new(RingCrypto), lists(), options, NOW);
            sealer.write(b"Authentication-Results: x; none\r\n");
            sealer.write(MESSAGE.as_bytes());
            let fields = sealer.finish(ArcResult::None, RESULTS).unwrap();
            assert!(!fields.to_ascii_lowercase().contains(":authentication-results"), "{fields}");
            assert_eq!(verify(&format!("{fields}{MESSAGE}")).result, ArcResult::Pass);
        }
    }
}

/// What is sealed can be told to end, as what is signed; the seal has no tag for that (RFC 8617 §4.1.3).
#[test]
fn a_message_signature_ends() {
    let mut options = SignOptions::default();
    options.lifetime = Some(60);
    let mut sealer = Sealer::new(Arc::new(RingCrypto), lists(), options, NOW - 60);
    sealer.write(MESSAGE.as_bytes());
    let message = sealer.finish(ArcResult::None, RESULTS).unwrap() + MESSAGE;
    assert_eq!(message.matches("x=1700000000;").count(), 1);
    assert_eq!(verify(&message).result, ArcResult::Pass);
    let mut later = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW + 1);
    later.write(message.as_bytes());
    later.finish();
    let expired = ArcReason::MessageSignature { instance: 1, reason: Reason::Expired };
    assert_eq!(dns::run(&mut later, &zone()).reason, Some(expired));
}

#[test]
fn what_breaks_a_chain() {
    let one = seal(MESSAGE, lists(), ArcResult::None);
    let two = seal(&one, relay(), ArcResult::Pass);
    let message = |reason| Some(ArcReason::MessageSignature { instance: 2, reason });
    let in_seal = |instance, reason| Some(ArcReason::Seal { instance, reason });
    for (from, to, reason) in [
        ("ready?", "burnt?", message(Reason::BodyHash)),
        (": dinner", ": lunch", message(Reason::Signature)),
        ("\r\nTo: list", "\r\nReply-To: x@y.example\r\nTo: list", message(Reason::Signature)),
        // In the last set, and in the one before it: the last seal covers both.
        ("Results: i=2; mx.lists", "Results: i=2; mx.other", in_seal(2, Reason::Signature)),
        ("Results: i=1; mx.lists", "Results: i=1; mx.other", in_seal(2, Reason::Signature)),
        ("Seal: i=1; a=ed25519-sha256; t=17", "Seal: i=1; a=ed25519-sha256; t=18", in_seal(2, Reason::Signature)),
        ("Seal: i=2; a=rsa-sha256", "Seal: i=2; h=from; a=rsa-sha256", in_seal(2, Reason::SealWithNames)),
        ("Seal: i=2; a=rsa-sha256", "Seal: i=2; a=rsa-sha1", in_seal(2, Reason::HistoricAlgorithm)),
        ("Seal: i=2; a=rsa-sha256", "Seal: i=2; a=ed25519-sha256", in_seal(2, Reason::KeyType)),
        ("cv=pass", "cv=none", Some(ArcReason::ChainValue { instance: 2 })),
        ("cv=pass", "cv=fail", Some(ArcReason::DeclaredFailed { instance: 2 })),
        ("cv=none", "cv=pass", Some(ArcReason::ChainValue { instance: 1 })),
        ("ARC-Seal: i=1", "X-Seal: i=1", Some(ArcReason::Missing { kind: FieldKind::Seal, instance: 1 })),
        ("ARC-Seal: i=2", "ARC-Seal: i=3", Some(ArcReason::Missing { kind: FieldKind::Seal, instance: 2 })),
        ("ARC-Seal: i=1", "ARC-Seal: i=2", Some(ArcReason::Duplicate { kind: FieldKind::Seal, instance: 2 })),
        ("ARC-Seal: i=2", "ARC-Seal: i=51", Some(ArcReason::TooManySets { instance: 51 })),
    ] {
        assert_eq!(two.matches(from).count(), 1, "{from}");
        let verification = verify(&two.replace(from, to));
        assert_eq!((verification.result, verification.reason), (ArcResult::Fail, reason), "{to}");
    }
    // RFC 8617 §5.2.1: nothing is temporary.
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
    verifier.write(two.as_bytes());
    verifier.finish();
    let failing = zone().failing("ed._domainkey.nowhere.example");
    assert_eq!(dns::run(&mut verifier, &failing).result, ArcResult::Pass);
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
    verifier.write(two.as_bytes());
    assert!(matches!(verifier.poll(), DnsStep::Ask(_)));
    verifier.give_up();
    let DnsStep::Done(verification) = verifier.poll() else { panic!("given up") };
    assert_eq!(verification.reason, message(Reason::Incomplete));
    // Given up before the header was there.
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
    verifier.write(&two.as_bytes()[..10]);
    verifier.give_up();
    verifier.write(&two.as_bytes()[10..]);
    verifier.finish();
    let DnsStep::Done(verification) = verifier.poll() else { panic!("given up") };
    assert_eq!(verification.reason, message(Reason::KeyUnavailable));
    let failing = FixedZone::new().failing("ed._domainkey.lists.example").failing("rsa._domainkey.relay.example");
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
    verifier.write(two.as_bytes());
    verifier.finish();
    assert_eq!(dns::run(&mut verifier, &failing).reason, message(Reason::KeyUnavailable));
}

/// A message with a first set whose message signature has these tags, whatever they say.
fn seal_with_tags(tags: &str, length: Option<usize>) -> String {
    let push = |field: &str, data: &mut Vec<u8>| {
        Canonicalization::Relaxed.push_field(&Fields::new(field.as_bytes()).next().unwrap(), data);
    };
    let sign = |field: &str, mut data: Vec<u8>| {
        push(field, &mut data);
        let hash = RingCrypto.digest(HashAlgorithm::Sha256, &data).unwrap();
        format!("{field}{}\r\n", BASE64_STANDARD.encode(ed25519().sign(&hash).unwrap()))
    };
    let results = format!("ARC-Authentication-Results: i=1; {RESULTS}\r\n");
    let bh = body_hash(MESSAGE.split_once("\r\n\r\n").unwrap().1.as_bytes(), length);
    let names = "i=1; a=ed25519-sha256; d=lists.example; s=ed";
    let message = sign(&format!("ARC-Message-Signature: {names}; {tags}; h=x; bh={bh}; b="), Vec::new());
    let mut data = Vec::new();
    for field in [&results, &message] {
        push(field, &mut data);
        data.extend_from_slice(b"\r\n");
    }
    let seal = sign(&format!("ARC-Seal: {names}; cv=none; b="), data);
    [&seal, &message, &results, MESSAGE].concat()
}

#[test]
fn a_part_of_a_body_is_not_sealed() {
    let reason = |tags: &str, length| verify(&seal_with_tags(tags, length)).reason;
    let refused = |reason| Some(ArcReason::MessageSignature { instance: 1, reason });
    assert_eq!(reason("c=relaxed/relaxed; l=14", None), None);
    // A message signature over a part: what ARC takes from DKIM would let anybody write the rest.
    assert_eq!(reason("c=relaxed/relaxed; l=3", Some(3)), refused(Reason::PartialBody));
    assert_eq!(reason("c=relaxed/relaxed; l=15", None), refused(Reason::BodyTooShort));
    assert_eq!(reason("c=relaxed/relaxed; x=1699999999", None), refused(Reason::Expired));
    assert_eq!(reason("c=relaxed/relaxed; t=1700000001; x=1700000001", None), refused(Reason::ExpiresBeforeMade));
    // The version of DKIM means nothing here, and without c= the form is the relaxed one.
    assert_eq!(reason("v=7; x=1700000000", None), None);
}

/// Who signs From once leaves room for another one on top, which is the one that readers see.
#[test]
fn an_author_who_was_added_is_not_sealed() {
    let sealed = |oversigned: &'static [&'static str], message: &str| {
        let mut options = SignOptions::default();
        options.oversigned = oversigned.iter().map(|name| (*name).into()).collect();
        let mut sealer = Sealer::new(Arc::new(RingCrypto), lists(), options, NOW);
        sealer.write(message.as_bytes());
        sealer.finish(ArcResult::None, RESULTS).unwrap() + message
    };
    let added = |message: &str| message.replace("From: Joe", "From: Boss <boss@bank.example>\r\nFrom: Joe");
    let judged = |message: &str| {
        let verification = verify(message);
        (verification.result, verification.from_is_signed)
    };
    assert_eq!(judged(&sealed(&[], MESSAGE)), (ArcResult::Pass, true));
    assert_eq!(judged(&added(&sealed(&[], MESSAGE))), (ArcResult::Pass, false));
    assert_eq!(judged(&added(&sealed(&["From"], MESSAGE))).0, ArcResult::Fail);
    // Both were there when it was sealed.
    assert_eq!(judged(&sealed(&[], &added(MESSAGE))), (ArcResult::Pass, true));
    // In the obsolete form with white space before the colon it is a From field, too.
    let obsolete = sealed(&[], MESSAGE).replace("From: Joe", "From\t: Boss <boss@bank.example>\r\nFrom: Joe");
    assert_eq!(judged(&obsolete), (ArcResult::Pass, false));
}

#[test]
fn a_broken_chain_is_sealed_as_such_and_no_further() {
    let broken = seal(MESSAGE, lists(), ArcResult::None).replace("ready?", "burnt?");
    assert_eq!(verify(&broken).result, ArcResult::Fail);
    let sealed = seal(&broken, relay(), ArcResult::Fail);
    assert!(sealed.contains("cv=fail"), "{sealed}");
    assert_eq!(verify(&sealed).reason, Some(ArcReason::DeclaredFailed { instance: 2 }));
    assert_eq!(try_seal(&sealed, lists(), ArcResult::Fail, RESULTS), Err(SealError::DeclaredFailed));
    // Sets that are no chain.
    let gap = broken.replace("i=1", "i=7");
    assert!(seal(&gap, relay(), ArcResult::Fail).starts_with("ARC-Seal: i=8;"));
    // A caller that says something else than what stands there does not make a chain of it.
    assert!(seal(&broken, relay(), ArcResult::None).contains("cv=fail"));
    assert!(seal(MESSAGE, relay(), ArcResult::Pass).contains("cv=fail"));
}

#[test]
fn fifty_sets_and_no_more() {
    let mut message = MESSAGE.to_owned();
    let mut chain = ArcResult::None;
    for instance in 1..=50 {
        message = seal(&message, if instance % 2 == 0 { relay() } else { lists() }, chain);
        chain = ArcResult::Pass;
        if [1, 10, 50].contains(&instance) {
            let verification = verify_once(&message);
            assert_eq!((verification.reason, verification.sets.len()), (None, instance));
        }
    }
    assert_eq!(try_seal(&message, lists(), chain, RESULTS), Err(SealError::Full));
    assert_eq!(verify_once(&message.replace("i=50;", "i=51;")).reason, Some(ArcReason::TooManySets { instance: 51 }));
}

#[test]
fn nine_sealers_are_one_too_many_to_look_up() {
    let mut message = MESSAGE.to_owned();
    let mut chain = ArcResult::None;
    let mut zone = FixedZone::new();
    for number in 1..=9 {
        let domain = format!("d{number}.example");
        zone = zone.with(&format!("s._domainkey.{domain}"), Record::txt(record(&*ed25519())));
        message = seal(&message, domain_key(&domain, "s", ed25519()), chain);
        chain = ArcResult::Pass;
        let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
        verifier.write(message.as_bytes());
        verifier.finish();
        let verification = dns::run(&mut verifier, &zone);
        if number <= 8 {
            assert_eq!(verification.reason, None);
        } else {
            let reason = ArcReason::Seal { instance: 8, reason: Reason::TooManyLookups };
            assert_eq!(verification.reason, Some(reason));
            assert!(verification.sets.is_empty());
        }
    }
}

#[test]
fn results_stay_in_their_field() {
    let seal = |results: &str| try_seal(MESSAGE, lists(), ArcResult::None, results);
    for results in ["x; none\r\nFrom: evil@example.org", "x\r\n\r\nbody", "x\ny", "x\n y", "x\ry", "x\0y"] {
        assert_eq!(seal(results), Err(SealError::Results), "{results:?}");
    }
    assert!(seal("x;\r\n\tnone \r\n").is_ok());
    assert_eq!(verify(&seal("bücher.example; none").unwrap()).result, ArcResult::Pass);
}

#[test]
fn hostile_headers() {
    // As many fields as a header holds, in sets and out of them.
    for field in ["ARC-Seal: i=1; cv=none\r\n", "ARC-Message-Signature: x\r\n", "ARC-Authentication-Results: ((((\r\n"]
    {
        let verification = verify_once(&format!("{}{MESSAGE}", field.repeat(990)));
        assert_eq!(verification.result, ArcResult::Fail);
    }
    let verification = verify_once(&format!("{}{MESSAGE}", "A: b\r\n".repeat(1001)));
    assert_eq!(verification.reason, Some(ArcReason::Header(HeaderLimit::Fields)));
    let mut sealer = Sealer::new(Arc::new(RingCrypto), lists(), SignOptions::default(), NOW);
    sealer.write("A: b\r\n".repeat(1001).as_bytes());
    assert_eq!(sealer.finish(ArcResult::None, RESULTS), Err(SealError::Header(HeaderLimit::Fields)));
}
