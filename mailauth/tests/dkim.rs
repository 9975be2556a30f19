//! What a verifier makes of good, bad and hostile signatures.

#![cfg(feature = "ring")]

#[path = "messages/keys.rs"]
mod keys;
mod messages;

use std::sync::Arc;

use keys::{domain_key, ed25519, record, rsa, sign_with_tags};
use messages::in_all_ways;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{
    Atps, AtpsResult, Canonicalization, DkimResult, Future, KeyError, KeyRecord, Note, Outcome, PartialBody, Policy,
    Reason, SignError, SignOptions, Signer, Verification, Verifier,
};
use pillarbox_core::crypto::PublicKey;
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine as _, DnsStep, FixedZone, QuestionId, Record};
use pillarbox_core::header::HeaderLimit;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000;
const MESSAGE: &str = "From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nSubject: dinner\r\n\r\nIs it ready?\r\n";
const TAGS: &str = "v=1; d=example.org; s=sel";

fn verifier() -> Verifier {
    Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW)
}

fn zone() -> FixedZone {
    zone_with(&record(&*ed25519()))
}

fn zone_with(record: &str) -> FixedZone {
    FixedZone::new().with("sel._domainkey.example.org", Record::txt(record))
}

fn verify(message: &[u8], zone: &FixedZone) -> Verification {
    in_all_ways(&verifier, message, zone)
}

/// The one outcome of a message.
fn outcome(message: &[u8], zone: &FixedZone) -> Outcome {
    let mut verification = verify(message, zone);
    assert_eq!(verification.signatures.len(), 1);
    verification.signatures.remove(0)
}

fn reason(message: &[u8], zone: &FixedZone) -> (DkimResult, Option<Reason>) {
    let outcome = outcome(message, zone);
    (outcome.result, outcome.reason)
}

fn with_policy(message: &[u8], zone: &FixedZone, change: impl FnOnce(&mut Policy)) -> Outcome {
    let mut policy = Policy::default();
    change(&mut policy);
    let make = || Verifier::new(Arc::new(RingCrypto), policy, NOW);
    in_all_ways(&make, message, zone).signatures.remove(0)
}

#[test]
fn a_good_signature() {
    let message = sign_with_tags(TAGS, "from:to:subject", MESSAGE);
    let verification = verify(&message, &zone());
    assert_eq!(verification.result(), DkimResult::Pass);
    assert_eq!(verification.proven_domains().map(|name| name.as_str()).collect::<Vec<_>>(), ["example.org"]);
    let outcome = &verification.signatures[0];
    assert_eq!((outcome.reason, &outcome.notes[..], outcome.key_bits), (None, &[][..], Some(256)));
    assert_eq!(outcome.signature_prefix.as_ref().map(String::len), Some(8));
    assert!(!outcome.is_third_party(&"sub.example.org".parse().unwrap()));
    assert!(!outcome.is_third_party(&"org".parse().unwrap()));
    assert!(outcome.is_third_party(&"notexample.org".parse().unwrap()));
    assert_eq!(
        outcome.trace.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "signed by ed25519-sha256 in the form relaxed/relaxed",
            "one key at sel._domainkey.example.org",
            "3 fields selected, 213 octets signed",
            "the key of 256 bits verifies the header",
            "the hash of the body (14 octets) is that of the signature",
        ]
    );
    // The same signature on a copy that came another way.
    let copy = [b"Received: from elsewhere\r\n", &message[..]].concat();
    assert_eq!(verify(&copy, &zone()).signatures[0].fingerprint, outcome.fingerprint);
    assert!(outcome.fingerprint.is_some());
    assert_eq!(verify(MESSAGE.as_bytes(), &zone()).result(), DkimResult::None);
}

#[test]
fn what_was_changed_fails() {
    let message = sign_with_tags(TAGS, "from:to:subject:cc", MESSAGE);
    let text = String::from_utf8(message).unwrap();
    let fail = |reason| (DkimResult::Fail, Some(reason));
    // A wrong body hash is a failure, not something that cannot be judged.
    assert_eq!(reason(text.replace("ready", "burnt").as_bytes(), &zone()), fail(Reason::BodyHash));
    assert_eq!(reason(text.replace(": dinner", ": lunch").as_bytes(), &zone()), fail(Reason::Signature));
    // Both: the body is looked at first.
    assert_eq!(
        reason(text.replace("inner", "onner").replace("ready", "x").as_bytes(), &zone()),
        fail(Reason::BodyHash)
    );
    // Cc was signed though it was not there.
    assert_eq!(reason(text.replace("To:", "Cc: x@example.com\r\nTo:").as_bytes(), &zone()), fail(Reason::Signature));
    // White space may change, and fields that are not signed.
    let relaxed = text.replace("Subject: dinner", "SUBJECT :\tdinner  \r\nX-More: 1").replace("Is it", "Is \t it");
    assert_eq!(reason(relaxed.as_bytes(), &zone()), (DkimResult::Pass, None));
    // Without the line ends at the end, with more of them, and without any body.
    assert_eq!(reason(format!("{text}\r\n \r\n").as_bytes(), &zone()), (DkimResult::Pass, None));
    assert_eq!(reason(text.trim_end().as_bytes(), &zone()), (DkimResult::Pass, None));
    assert_eq!(reason(text.split_once("\r\n\r\n").unwrap().0.as_bytes(), &zone()), fail(Reason::BodyHash));
}

#[test]
fn an_author_who_was_not_signed() {
    let permerror = |reason| (DkimResult::PermError, Some(reason));
    let message = sign_with_tags(TAGS, "to:subject", MESSAGE);
    assert_eq!(reason(&message, &zone()), permerror(Reason::FromNotSigned));
    // One more From on top: the last one is the signed one, and readers show the first.
    let message = sign_with_tags(TAGS, "from", MESSAGE);
    let more = [b"From: <boss@example.org>\r\n", &message[..]].concat();
    let verification = verify(&more, &zone());
    assert_eq!(verification.from_fields, 2);
    let outcome = &verification.signatures[0];
    assert_eq!((outcome.result, outcome.reason), (DkimResult::Fail, Some(Reason::UnsignedFrom)));
    assert!(outcome.notes.contains(&Note::SeveralFrom) && outcome.notes.contains(&Note::Unsigned("From")));
    assert_eq!(verification.proven_domains().count(), 0);
    // In the obsolete form with a space it is a From, too.
    let obsolete = [b"From\t: <boss@example.org>\r\n", &message[..]].concat();
    assert_eq!(reason(&obsolete, &zone()).1, Some(Reason::UnsignedFrom));
    // An identity outside of the domain, in disguise.
    let message = sign_with_tags("v=1; d=example.org; s=sel; i=a@evilexample.org", "from", MESSAGE);
    assert_eq!(reason(&message, &zone()), permerror(Reason::IdentityOutsideDomain));
    let message = sign_with_tags("v=1; d=example.org; s=sel; i=a@mail.example.org", "from", MESSAGE);
    assert_eq!(reason(&message, &zone()), (DkimResult::Pass, None));
    let strict = zone_with(&format!("{}; t=s", record(&*ed25519())));
    assert_eq!(reason(&message, &strict), permerror(Reason::KeyIdentity));
}

#[test]
fn fields_that_anybody_may_have_added() {
    let html = MESSAGE.replace("To:", "Content-Type: text/html\r\nTo:");
    let message = sign_with_tags(TAGS, "from:subject", &html);
    let outcome = outcome(&message, &zone());
    assert_eq!(outcome.result, DkimResult::Pass);
    assert_eq!(outcome.notes, [Note::Unsigned("To"), Note::Unsigned("Content-Type")]);
}

#[test]
fn a_body_of_which_the_start_is_signed() {
    let sign = |length: &str| sign_with_tags(&format!("{TAGS}; l={length}"), "from", MESSAGE);
    let whole = outcome(&sign("14"), &zone());
    assert_eq!(
        (whole.result, &whole.notes[..2]),
        (DkimResult::Pass, &[Note::Unsigned("Subject"), Note::Unsigned("To")][..])
    );
    assert!(whole.proven_domain().is_some());
    for (length, signed) in [("5", 5), ("0", 0)] {
        let partial = outcome(&sign(length), &zone());
        assert_eq!(partial.result, DkimResult::Pass);
        assert!(partial.notes.contains(&Note::PartialBody { signed, size: 14 }));
        assert_eq!(partial.proven_domain(), None);
        let accepted = with_policy(&sign(length), &zone(), |policy| policy.partial_body = PartialBody::Accepted);
        assert!(accepted.proven_domain().is_some());
        let refused = with_policy(&sign(length), &zone(), |policy| policy.partial_body = PartialBody::Refused);
        assert_eq!((refused.result, refused.reason), (DkimResult::Policy, Some(Reason::PartialBody)));
    }
    for length in ["15", "18446744073709551616", &"9".repeat(76)] {
        assert_eq!(reason(&sign(length), &zone()), (DkimResult::PermError, Some(Reason::BodyTooShort)), "{length}");
    }
    // The rest of the body is anybody's: that is what the note is for.
    let message = [&sign("14")[..], b"<h1>Other content</h1>\r\n"].concat();
    let added = outcome(&message, &zone());
    assert_eq!((added.result, added.proven_domain()), (DkimResult::Pass, None));
}

#[test]
fn clocks() {
    let sign = |times: &str| sign_with_tags(&format!("{TAGS}; {times}"), "from:to:subject", MESSAGE);
    let permerror = |reason| (DkimResult::PermError, Some(reason));
    assert_eq!(reason(&sign("t=1699999999; x=1700000000"), &zone()), (DkimResult::Pass, None));
    assert_eq!(reason(&sign("x=1699999999"), &zone()), permerror(Reason::Expired));
    assert_eq!(reason(&sign("t=1800000000; x=1700000001"), &zone()), permerror(Reason::ExpiresBeforeMade));
    assert_eq!(reason(&sign("t=1700000001; x=1700000001"), &zone()), permerror(Reason::ExpiresBeforeMade));
    assert_eq!(outcome(&sign("t=1700000300"), &zone()).notes, []);
    let ahead = outcome(&sign("t=1700000301"), &zone());
    assert_eq!((ahead.result, &ahead.notes[..]), (DkimResult::Pass, &[Note::FutureTimestamp][..]));
    let refused = with_policy(&sign("t=1700000301"), &zone(), |policy| policy.future = Future::Refused);
    assert_eq!((refused.result, refused.reason), (DkimResult::Policy, Some(Reason::FutureTimestamp)));
}

#[test]
fn algorithms() {
    let message = String::from_utf8(sign_with_tags(TAGS, "from", MESSAGE)).unwrap();
    let with = |algorithm: &str| message.replace("ed25519-sha256", algorithm).into_bytes();
    assert_eq!(reason(&with("rsa-sha1"), &zone()), (DkimResult::PermError, Some(Reason::HistoricAlgorithm)));
    assert_eq!(reason(&with("rsa-sha512"), &zone()), (DkimResult::Neutral, Some(Reason::UnknownAlgorithm)));
    assert_eq!(reason(&with("rsa-sha256"), &zone()), (DkimResult::PermError, Some(Reason::KeyType)));
}

/// A record of an RSA key of so many bits.
fn rsa_record(bits: usize, exponent: &[u8]) -> String {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= bits.wrapping_neg() % 8;
    KeyRecord::text(PublicKey::Rsa { modulus: &modulus, exponent }).unwrap()
}

#[test]
fn lengths_of_keys() {
    let text = String::from_utf8(sign_with_tags(TAGS, "from", MESSAGE)).unwrap();
    let message = text.replace("ed25519-sha256", "rsa-sha256").into_bytes();
    for (bits, expected) in [
        (512, Reason::KeyTooShort { bits: 512, policy: false }),
        (768, Reason::KeyTooShort { bits: 768, policy: false }),
        (1023, Reason::KeyTooShort { bits: 1023, policy: false }),
        (1024, Reason::Signature),
        (2048, Reason::Signature),
        (4096, Reason::Signature),
        (4097, Reason::KeyTooLong { bits: 4097 }),
        (16_384, Reason::KeyTooLong { bits: 16_384 }),
    ] {
        let outcome = outcome(&message, &zone_with(&rsa_record(bits, &[1, 0, 1])));
        assert_eq!(outcome.reason, Some(expected));
        assert_eq!(outcome.notes.iter().any(|note| matches!(note, Note::WeakKey { .. })), bits < 2048);
    }
    for exponent in [&[1][..], &[4], &[1, 0]] {
        let expected = (DkimResult::PermError, Some(Reason::BadKey(KeyError::Malformed)));
        assert_eq!(reason(&message, &zone_with(&rsa_record(2048, exponent))), expected);
    }
    let short = with_policy(&message, &zone_with(&rsa_record(1024, &[1, 0, 1])), |policy| policy.rsa_bits_min = 2048);
    assert_eq!(short.result, DkimResult::Policy);
    // RFC 8301 holds whatever the policy says.
    let short = with_policy(&message, &zone_with(&rsa_record(512, &[1, 0, 1])), |policy| policy.rsa_bits_min = 0);
    assert_eq!(short.result, DkimResult::PermError);
    // A point with which one signature fits every eighth message.
    let identity = KeyRecord::text(PublicKey::Ed25519(&{
        let mut point = [0; 32];
        point[0] = 1;
        point
    }));
    let expected = (DkimResult::PermError, Some(Reason::BadKey(KeyError::Malformed)));
    assert_eq!(reason(text.as_bytes(), &zone_with(&identity.unwrap())), expected);
}

#[test]
fn what_the_dns_says() {
    let message = sign_with_tags(TAGS, "from:to:subject", MESSAGE);
    let key = record(&*ed25519());
    let name = "sel._domainkey.example.org";
    let permerror = |reason| (DkimResult::PermError, Some(reason));
    assert_eq!(reason(&message, &FixedZone::new()), permerror(Reason::NoKey));
    assert_eq!(
        reason(&message, &FixedZone::new().failing(name)),
        (DkimResult::TempError, Some(Reason::KeyUnavailable))
    );
    assert_eq!(reason(&message, &zone_with("v=DKIM1; p=")), permerror(Reason::BadKey(KeyError::Revoked)));
    assert_eq!(reason(&message, &zone_with(&format!("{key}; h=sha1"))), permerror(Reason::KeyHash));
    assert_eq!(reason(&message, &zone_with(&format!("{key}; s=tlsrpt"))), permerror(Reason::KeyService));
    // An alias, and a record that nobody reads.
    let alias = FixedZone::new()
        .with(name, Record::Cname("key.example.net".parse().unwrap()))
        .with("key.example.net", Record::txt(&key));
    assert_eq!(reason(&message, &alias), (DkimResult::Pass, None));
    let long = zone_with(&format!("{key}; n={}", "x".repeat(65_000)));
    assert_eq!(reason(&message, &long), permerror(Reason::BadKey(KeyError::TooLong)));
    // Several: something else, a revoked one, one of another type; the order says nothing.
    let other = rsa_record(2048, &[1, 0, 1]);
    for order in [[&key[..], &other, "v=DKIM1; p=", "v=spf1 -all"], ["v=spf1 -all", "v=DKIM1; p=", &other, &key]] {
        let zone = order.iter().fold(FixedZone::new(), |zone, text| zone.with(name, Record::txt(text)));
        let outcome = outcome(&message, &zone);
        assert_eq!((outcome.result, &outcome.notes[..]), (DkimResult::Pass, &[Note::SeveralKeys][..]));
    }
    // One that verifies and is for tests, and the same without that: as the first of them in any order says.
    let testing = format!("{key}; t=y");
    let outcomes = [[&key, &testing], [&testing, &key]].map(|order| {
        let zone = order.iter().fold(FixedZone::new(), |zone, text| zone.with(name, Record::txt(text)));
        outcome(&message, &zone)
    });
    assert_eq!(outcomes[0], outcomes[1]);
    // None that can be used: the reason does not depend on the order either.
    let unusable = [format!("{key}; h=sha1"), format!("{key}; s=tlsrpt"), rsa_record(512, &[1, 0, 1])];
    let reasons = [[0, 1, 2], [2, 1, 0], [1, 2, 0]].map(|order| {
        let zone = order.iter().fold(FixedZone::new(), |zone, at| zone.with(name, Record::txt(&unusable[*at])));
        outcome(&message, &zone).reason
    });
    assert_eq!((reasons[0], reasons[0]), (reasons[1], reasons[2]));
    // A domain that is testing asks to be taken for unsigned.
    let testing = outcome(&message, &zone_with(&format!("{key}; t=y")));
    assert_eq!((testing.result, testing.proven_domain()), (DkimResult::Pass, None));
    assert_eq!(testing.notes, [Note::Testing]);
}

#[test]
fn names_that_could_be_read_in_two_ways_are_not_asked_for() {
    let long = ["a".repeat(60).as_str(); 5].join(".");
    for (tag, name) in [
        ("d", "legit.example(.attack.example"),
        ("d", "legit.example'a.attack.example"),
        ("d", "legit.example\"a.attack.example"),
        ("d", "legit .example"),
        ("d", "l\u{e9}git\u{0}.example"),
        ("d", &long),
        ("s", "sel._domainkey.attack.example.\0.any"),
        ("s", "a b"),
        ("s", &long),
    ] {
        let tags = if tag == "d" { format!("v=1; d={name}; s=sel") } else { format!("v=1; d=example.org; s={name}") };
        let message = sign_with_tags(&tags, "from", MESSAGE);
        let mut verifier = verifier();
        verifier.write(&message);
        verifier.finish();
        let DnsStep::Done(verification) = verifier.poll() else { panic!("a question about {name:?}") };
        assert_eq!(verification.signatures[0].result, DkimResult::PermError, "{name:?}");
    }
}

#[test]
fn many_signatures_cost_as_much_as_a_few() {
    // The only one of the author's domain is the last.
    let mut message = Vec::new();
    for number in 0..200 {
        let signature =
            format!("DKIM-Signature: v=1; a=rsa-sha256; d=d{number}.slow.example; s=s; h=from; bh=AAAA; b=AAAA\r\n");
        message.extend_from_slice(signature.as_bytes());
    }
    message.extend_from_slice(&sign_with_tags(TAGS, "from:to:subject", MESSAGE));
    let mut verifier = verifier();
    verifier.write(&message);
    verifier.finish();
    let mut questions = Vec::new();
    let verification = loop {
        match verifier.poll() {
            DnsStep::Ask(question) => questions.push(question),
            DnsStep::Done(verification) => break verification,
            DnsStep::Wait => {
                let question = questions.last().expect("one is open");
                verifier.answer(question.id, zone().answer(question));
                verifier.give_up();
            }
        }
    };
    assert_eq!(questions.len(), 8);
    let results = verification.signatures.iter().map(|outcome| outcome.result).collect::<Vec<_>>();
    assert_eq!(results.len(), 201);
    assert_eq!(results[..7], [DkimResult::TempError; 7]);
    assert_eq!(results[7..200], [DkimResult::Policy; 193]);
    assert_eq!(verification.signatures[100].reason, Some(Reason::TooManySignatures));
    assert_eq!(verification.signatures[200].result, DkimResult::Pass);
    // One name for all of them is asked for once.
    let message = [
        &b"DKIM-Signature: v=1; a=rsa-sha256; d=a.example; s=s; h=from; bh=AAAA; b=AAAA\r\n".repeat(8)[..],
        MESSAGE.as_bytes(),
    ];
    let mut policy = Policy::default();
    policy.lookups_max = 1;
    let mut verifier = Verifier::new(Arc::new(RingCrypto), policy, NOW);
    verifier.write(&message.concat());
    verifier.finish();
    assert!(matches!(verifier.poll(), DnsStep::Ask(_)));
    assert_eq!(verifier.poll(), DnsStep::Wait);
    let two = sign_with_tags("v=1; d=example.com; s=sel", "from:to:subject", MESSAGE);
    let two = [&two[..two.len() - MESSAGE.len()], &sign_with_tags(TAGS, "from:to:subject", MESSAGE)].concat();
    let make = || Verifier::new(Arc::new(RingCrypto), policy, NOW);
    let verification = in_all_ways(&make, &two, &zone());
    assert_eq!(verification.signatures[1].reason, Some(Reason::TooManyLookups));
}

#[test]
fn hostile_lists_and_headers() {
    // As many names as a field holds, of which most are not there.
    let names = "from:".repeat(20_000);
    let message = sign_with_tags(TAGS, &format!("{names}to"), &MESSAGE.replace("To", "X"));
    assert_eq!(reason_whole(&message), Some(Reason::Signature));
    // The header is beyond its limits: nothing is looked at, and the body passes by.
    let mut verifier = verifier();
    verifier.write(&sign_with_tags(TAGS, "from", &format!("{}{MESSAGE}", "A: b\r\n".repeat(1001))));
    verifier.write(b"more");
    verifier.finish();
    let verification = dns::run(&mut verifier, &zone());
    assert_eq!((verification.header_limit, verification.result()), (Some(HeaderLimit::Fields), DkimResult::PermError));
    assert!(verification.signatures.is_empty());
    // A hundred hops are the session's to judge.
    let hops = format!("{}{MESSAGE}", "Received: by x\r\n".repeat(200));
    assert_eq!(reason_whole(&sign_with_tags(TAGS, "from", &hops)), None);
}

fn reason_whole(message: &[u8]) -> Option<Reason> {
    let mut verifier = verifier();
    verifier.write(message);
    verifier.finish();
    dns::run(&mut verifier, &zone()).signatures[0].reason
}

#[test]
fn giving_up() {
    let message = sign_with_tags(TAGS, "from", MESSAGE);
    // With the whole message, without an answer.
    let mut complete = verifier();
    complete.write(&message);
    complete.finish();
    assert!(matches!(complete.poll(), DnsStep::Ask(question) if question.id == QuestionId(0)));
    // Nobody asked this.
    complete.answer(QuestionId(1), DnsAnswer::no_such_name());
    assert_eq!(complete.poll(), DnsStep::Wait);
    complete.give_up();
    complete.answer(QuestionId(0), DnsAnswer::no_such_name());
    let DnsStep::Done(verification) = complete.poll() else { panic!("given up") };
    assert_eq!(verification.signatures[0].reason, Some(Reason::KeyUnavailable));
    // With every answer, without the end of the message.
    let mut part = verifier();
    part.write(&message[..message.len() - 5]);
    let DnsStep::Ask(question) = part.poll() else { panic!("a question") };
    part.answer(question.id, zone().answer(&question));
    assert_eq!(part.poll(), DnsStep::Wait);
    part.give_up();
    let DnsStep::Done(verification) = part.poll() else { panic!("given up") };
    assert_eq!(verification.signatures[0].reason, Some(Reason::Incomplete));
    assert_eq!(verification.result(), DkimResult::TempError);
    // Before the header was there: what comes of it is not asked for any more.
    let mut early = verifier();
    early.write(&message[..10]);
    early.give_up();
    early.write(&message[10..]);
    early.finish();
    let DnsStep::Done(verification) = early.poll() else { panic!("given up") };
    assert_eq!(verification.signatures[0].reason, Some(Reason::KeyUnavailable));
    // Without anything.
    let mut nothing = verifier();
    nothing.give_up();
    assert!(matches!(nothing.poll(), DnsStep::Done(verification) if verification.result() == DkimResult::None));
}

#[test]
fn third_parties_that_an_author_authorises() {
    let author = "author.example".parse().unwrap();
    let atps = |tags: &str, zone: &FixedZone| {
        let message = sign_with_tags(&format!("{TAGS}; {tags}"), "from:to:subject", MESSAGE);
        let verification =
            verify(&message, &zone.clone().with("sel._domainkey.example.org", Record::txt(record(&*ed25519()))));
        let mut results = dns::run_in_orders(|| Atps::new(&RingCrypto, &verification, &author), zone);
        results.dedup();
        assert_eq!(results.len(), 1);
        (results[0].result, results[0].signer.as_ref().map(ToString::to_string))
    };
    let name = "example.org._atps.author.example";
    let with = |text: &str| FixedZone::new().with(name, Record::txt(text));
    let claim = "atps=Author.Example; atpsh=none";
    let pass = (AtpsResult::Pass, Some("example.org".to_owned()));
    let fail = (AtpsResult::Fail, None);
    assert_eq!(atps(claim, &with("v=ATPS1")), pass);
    assert_eq!(atps(claim, &with("v=ATPS1; d=example.org")), pass);
    assert_eq!(atps(claim, &with("v=ATPS1; d=other.example")), fail);
    assert_eq!(atps(claim, &with("v=ATPS2")), fail);
    assert_eq!(atps(claim, &FixedZone::new()), fail);
    assert_eq!(atps(claim, &FixedZone::new().failing(name)), (AtpsResult::TempError, None));
    assert_eq!(atps("atps=other.example; atpsh=none", &with("v=ATPS1")), fail);
    assert_eq!(atps("x=1800000000", &with("v=ATPS1")), (AtpsResult::None, None));
    // Without a known hash it is no claim.
    assert_eq!(atps("atps=author.example; atpsh=md5", &with("v=ATPS1")), (AtpsResult::None, None));
    assert_eq!(atps("atps=author.example", &with("v=ATPS1")), (AtpsResult::None, None));
}

fn sign(message: &str, options: SignOptions) -> Result<String, SignError> {
    let keys = vec![domain_key("example.org", "rsa", rsa()), domain_key("example.org", "sel", ed25519())];
    let mut signer = Signer::new(Arc::new(RingCrypto), keys, options, NOW);
    signer.write(message.as_bytes());
    signer.finish()
}

fn both_keys() -> FixedZone {
    zone().with("rsa._domainkey.example.org", Record::txt(record(&*rsa())))
}

#[test]
fn what_is_signed_by_default() {
    let more = MESSAGE.replace("To:", "MIME-Version: 1.0\r\nReceived: x\r\nList-Id: <l>\r\nX-Y: z\r\nTo:");
    let fields = sign(&more, SignOptions::default()).unwrap();
    let unfolded = fields.replace("\r\n\t", "");
    assert!(
        unfolded.contains("h=From:From:Reply-To:Subject:Subject:Date:To:To:Cc:MIME-Version:Content-Type:List-Id;"),
        "{unfolded}"
    );
    assert!(!unfolded.contains("l=") && !unfolded.contains("x="), "{unfolded}");
    // RFC 6376 §5.4.1, without those of re-sending.
    for name in [
        "From",
        "Reply-To",
        "Subject",
        "Date",
        "To",
        "Cc",
        "In-Reply-To",
        "References",
        "List-Id",
        "List-Help",
        "List-Unsubscribe",
        "List-Subscribe",
        "List-Post",
        "List-Owner",
        "List-Archive",
        "Message-ID",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ] {
        assert!(SignOptions::default().signed.iter().any(|signed| signed == name), "{name}");
    }
    let signed = format!("{fields}{more}");
    let verification = verify(signed.as_bytes(), &both_keys());
    let results = verification.signatures.iter().map(|outcome| outcome.result).collect::<Vec<_>>();
    assert_eq!(results, [DkimResult::Pass; 2]);
    assert!(verification.signatures.iter().all(|outcome| outcome.notes.is_empty()));
    // Whatever is added that readers see breaks both.
    for field in
        ["From: x@y.example", "To: x", "Cc: x", "Subject: x", "Date: x", "Reply-To: x", "Content-Type: text/html"]
    {
        for at in [0, fields.len(), signed.find("\r\n\r\n").unwrap() + 2] {
            let mut changed = signed.clone();
            changed.insert_str(at, &format!("{field}\r\n"));
            let verification = dns_run(changed.as_bytes());
            assert!(verification.signatures.iter().all(|outcome| outcome.result == DkimResult::Fail), "{field}");
        }
    }
}

fn dns_run(message: &[u8]) -> Verification {
    let mut verifier = verifier();
    verifier.write(message);
    verifier.finish();
    dns::run(&mut verifier, &both_keys())
}

#[test]
fn what_is_not_signed() {
    let sign = |message: &str| sign(message, SignOptions::default());
    assert_eq!(sign("To: x@example.org\r\n\r\n"), Err(SignError::NoFrom));
    assert_eq!(sign(&format!("From: x@example.org\r\n{MESSAGE}")), Err(SignError::SeveralFrom));
    assert_eq!(sign(&format!("{}{MESSAGE}", "A: b\r\n".repeat(1000))), Err(SignError::Header(HeaderLimit::Fields)));
    assert!(sign("From: x@example.org").is_ok());
    // Without a key nothing would be signed, and nobody would notice.
    let mut signer = Signer::new(Arc::new(RingCrypto), Vec::new(), SignOptions::default(), NOW);
    signer.write(MESSAGE.as_bytes());
    assert_eq!(signer.finish(), Err(SignError::NoKey));
}

#[test]
fn options_of_the_signer() {
    let mut options = SignOptions::default();
    options.lifetime = Some(3600);
    // From is signed whatever the lists say; what is no name would break the field.
    options.signed = vec!["subject".into(), "a:b".into(), "x;y".into(), "".into(), "SUBJECT".into()];
    options.oversigned = Vec::new();
    let fields = sign(MESSAGE, options).unwrap();
    assert!(fields.contains("x=1700003600;") && fields.contains("h=subject:From:From;"), "{fields}");
    let message = format!("{fields}{MESSAGE}");
    assert_eq!(dns_run(message.as_bytes()).result(), DkimResult::Pass);
    let mut options = SignOptions::default();
    options.oversigned = Vec::new();
    let unfolded = sign(MESSAGE, options).unwrap().replace("\r\n\t", "");
    assert!(unfolded.contains("h=From:From:Subject:To;"), "{unfolded}");
    // The signature itself cannot be changed.
    let verification = dns_run(message.replace("x=1700003600", "x=1700003601").as_bytes());
    assert!(verification.signatures.iter().all(|outcome| outcome.reason == Some(Reason::Signature)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is signed verifies, in each of the four forms, whatever the message is and however it is cut.
    #[test]
    fn signed_messages_verify(
        fields in prop::collection::vec(
            ("(Subject|To|cc|X-A|LIST-ID|Received|Content-Type|DKIM-Signature)", "[ -~é]{0,90}(\r\n[ \t][ -~]{0,30}){0,2}"),
            0..8,
        ),
        body in "([ -~\té]{0,100}(\r\n){0,3}){0,8}",
        from in 0_usize..8,
        header in prop::sample::select(&[Canonicalization::Simple, Canonicalization::Relaxed][..]),
        form in prop::sample::select(&[Canonicalization::Simple, Canonicalization::Relaxed][..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut lines = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect::<Vec<_>>();
        lines.insert(from.min(lines.len()), "From: joe@example.org\r\n".into());
        let message = format!("{}\r\n{body}", lines.concat());
        let keys = vec![domain_key("example.org", "rsa", rsa()), domain_key("example.org", "sel", ed25519())];
        let mut options = SignOptions::default();
        (options.header, options.body) = (header, form);
        let mut signer = Signer::new(Arc::new(RingCrypto), keys, options, NOW);
        let mut cuts = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect::<Vec<_>>();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        for cut in cuts.windows(2) {
            signer.write(&message.as_bytes()[cut[0]..cut[1]]);
        }
        let fields = signer.finish().unwrap();
        prop_assert!(fields.lines().all(|line| line.len() <= 78));
        let verification = dns_run(format!("{fields}{message}").as_bytes());
        prop_assert_eq!(verification.signatures[0].reason, None);
        prop_assert_eq!(verification.signatures[1].reason, None);
    }
}
