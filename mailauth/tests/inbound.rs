//! All methods together: what comes out depends on the message and the DNS, and on nothing else.

#![cfg(feature = "ring")]

#[path = "messages/keys.rs"]
mod keys;
mod messages;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keys::{domain_key, ed25519, record, rsa, sign_with_tags};
use messages::{Told, in_all_ways};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::arc::{ArcResult, Sealer};
use pillarbox_auth::authres::AuthenticationResults;
use pillarbox_auth::dkim::{DkimResult, Reason, SignOptions, Signer};
use pillarbox_auth::dmarc::{Disposition, DmarcResult, OverrideReason, SeveralAuthors};
use pillarbox_auth::inbound::{Config, Inbound, Verdicts};
use pillarbox_auth::iprev::IprevResult;
use pillarbox_auth::spf::SpfResult;
use pillarbox_core::address::ReversePath;
use pillarbox_core::crypto::{Crypto, CryptoError, Digest, HashAlgorithm, PrivateKeyDer, PublicKey, SigningKey};
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Question, Record, RecordKind};

const NOW: u64 = 1_700_000_000;
const MESSAGE: &str = "From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nSubject: dinner\r\n\r\nIs it ready?\r\n";

/// A session that somebody has with us.
#[derive(Clone, Copy)]
struct Talk {
    ip: [u8; 4],
    helo: &'static str,
    mail_from: &'static str,
}

const HOME: Talk = Talk { ip: [192, 0, 2, 1], helo: "mail.example.org", mail_from: "<joe@example.org>" };
const AWAY: Talk = Talk { ip: [198, 51, 100, 7], helo: "mail.lists.example", mail_from: "<b@lists.example>" };

fn inbound(config: &Arc<Config>, talk: Talk) -> Inbound {
    let mut inbound = Inbound::new(Arc::new(RingCrypto), config.clone(), NOW);
    inbound.connect(talk.ip.into());
    inbound.helo(talk.helo);
    inbound.mail_from(&ReversePath::take(talk.mail_from.as_bytes(), true).unwrap().0);
    inbound
}

fn config() -> Config {
    Config::new("mx.example.net")
}

fn zone() -> FixedZone {
    FixedZone::new()
        .with("example.org", Record::txt("v=spf1 mx ip4:192.0.2.1 -all"))
        .with("example.org", Record::mx(10, "mail.example.org".parse().unwrap()))
        .with("mail.example.org", Record::txt("v=spf1 a -all"))
        .with("mail.example.org", Record::A([192, 0, 2, 1].into()))
        .with("1.2.0.192.in-addr.arpa", Record::Ptr("mail.example.org".parse().unwrap()))
        .with("_dmarc.example.org", Record::txt("v=DMARC1; p=reject"))
        .with("ed._domainkey.example.org", Record::txt(record(&*ed25519())))
        .with("rsa._domainkey.example.org", Record::txt(record(&*rsa())))
        .with("s._domainkey.lists.example", Record::txt(record(&*ed25519())))
        .with("s._domainkey.next.example", Record::txt(record(&*ed25519())))
}

fn verdicts_of(config: Config, talk: Talk, message: &[u8], zone: &FixedZone) -> Verdicts {
    let mut inbound = inbound(&Arc::new(config), talk);
    inbound.write(message);
    inbound.finish();
    dns::run(&mut inbound, zone)
}

/// With signatures of two keys.
fn signed(message: &str) -> String {
    let keys = vec![domain_key("example.org", "rsa", rsa()), domain_key("example.org", "ed", ed25519())];
    let mut signer = Signer::new(Arc::new(RingCrypto), keys, SignOptions::default(), NOW - 60);
    signer.write(message.as_bytes());
    signer.finish().unwrap() + message
}

/// Sealed by somebody who says that.
fn sealed(sealer: &str, chain: ArcResult, results: &str, message: &str) -> String {
    let key = domain_key(sealer, "s", ed25519());
    let mut sealer = Sealer::new(Arc::new(RingCrypto), key, SignOptions::default(), NOW - 30);
    sealer.write(message.as_bytes());
    sealer.finish(chain, results).unwrap() + message
}

/// All that others may see. A step counts what was asked, and a host that was not asked for because another one was quicker is
/// none.
fn told(verdicts: Verdicts) -> String {
    let told = format!("{:?} {:?} {}", verdicts.refusal(), verdicts.forged, verdicts.header_fields());
    format!("{told}{:?}{:?}{:?}", verdicts.dkim, verdicts.arc, verdicts.dmarc)
}

#[test]
fn neither_cuts_nor_orders_matter() {
    let mut config = config();
    config.received_spf = true;
    config.trusted_sealers.push("lists.example".parse().unwrap());
    let config = Arc::new(config);
    let pass = "mx.lists.example; dmarc=pass header.from=example.org";
    let list = sealed("lists.example", ArcResult::None, pass, &format!("{}> a list", signed(MESSAGE)));
    let forged = format!("Authentication-Results: MX.example.net; dmarc=pass\r\n{MESSAGE}");
    let failing = zone().failing("rsa._domainkey.example.org").failing("mail.example.org");
    for (talk, message, zone) in [
        (HOME, MESSAGE, zone()),
        (HOME, &*signed(MESSAGE), zone()),
        (HOME, &signed(MESSAGE), failing),
        (AWAY, &signed(MESSAGE), FixedZone::new()),
        (AWAY, &list, zone()),
        (AWAY, &forged, zone()),
        (AWAY, "From: a@b, c@d\r\nno end", zone()),
        (AWAY, "", zone()),
    ] {
        let told = in_all_ways(&|| Told(inbound(&config, talk), told), message.as_bytes(), &zone);
        assert!(told.contains("Authentication-Results: mx.example.net;\r\n"), "{told}");
    }
}

/// Counts the bodies that are hashed.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

impl Crypto for Counting {
    fn start_digest(&self, hash: HashAlgorithm) -> Result<Box<dyn Digest>, CryptoError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        RingCrypto.start_digest(hash)
    }

    fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        RingCrypto.digest(hash, data)
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        RingCrypto.hmac(hash, key, data)
    }

    fn pbkdf2(
        &self,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt: &[u8],
        password: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        RingCrypto.pbkdf2(hash, iterations, salt, password)
    }

    fn verify(&self, key: PublicKey<'_>, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        RingCrypto.verify(key, message, signature)
    }

    fn load_key(&self, key: &PrivateKeyDer) -> Result<Box<dyn SigningKey>, CryptoError> {
        RingCrypto.load_key(key)
    }
}

/// Each form of a body is hashed once for each length, whoever wants it: signatures and chains.
#[test]
fn dkim_and_arc_share_the_hashes_of_a_body() {
    let pass = "mx.lists.example; dmarc=pass header.from=example.org";
    let partial =
        String::from_utf8(sign_with_tags("v=1; d=example.org; s=ed; l=5", "from:to:subject", MESSAGE)).unwrap();
    for (message, hashes) in [
        (MESSAGE.to_owned(), 0),
        (signed(MESSAGE), 1),
        (sealed("lists.example", ArcResult::None, pass, MESSAGE), 1),
        (sealed("lists.example", ArcResult::None, pass, &signed(MESSAGE)), 1),
        (sealed("lists.example", ArcResult::None, pass, &partial), 2),
    ] {
        let crypto = Arc::new(Counting::default());
        let mut inbound = Inbound::new(crypto.clone(), Arc::new(config()), NOW);
        inbound.write(message.as_bytes());
        inbound.finish();
        let verdicts = dns::run(&mut inbound, &zone());
        assert!(verdicts.dkim.signatures.iter().all(|outcome| outcome.result == DkimResult::Pass));
        assert_ne!(verdicts.arc.result, ArcResult::Fail);
        assert_eq!(crypto.0.load(Ordering::Relaxed), hashes, "{message}");
    }
}

#[test]
fn everything_is_asked_as_soon_as_it_can_be() {
    let names = |inbound: &mut Inbound| {
        let mut names = Vec::new();
        while let DnsStep::Ask(question) = inbound.poll() {
            names.push(question.name.to_string());
        }
        names
    };
    let mut inbound = Inbound::new(Arc::new(RingCrypto), Arc::new(config()), NOW);
    assert!(names(&mut inbound).is_empty());
    inbound.connect([192, 0, 2, 1].into());
    assert_eq!(names(&mut inbound), ["1.2.0.192.in-addr.arpa"]);
    inbound.helo("mail.example.org");
    assert_eq!(names(&mut inbound), ["mail.example.org"]);
    inbound.mail_from(&ReversePath::take(b"<joe@example.org>", false).unwrap().0);
    assert_eq!(names(&mut inbound), ["example.org"]);
    let message = signed(MESSAGE);
    let (header, body) = message.split_at(message.find("\r\n\r\n").unwrap() + 3);
    inbound.write(header.as_bytes());
    assert!(names(&mut inbound).is_empty());
    assert_eq!(inbound.forged(), None);
    inbound.write(&body.as_bytes()[..1]);
    assert_eq!(names(&mut inbound), ["rsa._domainkey.example.org", "ed._domainkey.example.org", "_dmarc.example.org"]);
    assert_eq!(inbound.forged(), Some(&[][..]));
    // Too late.
    inbound.helo("other.example");
    inbound.connect([192, 0, 2, 2].into());
    inbound.mail_from(&ReversePath::Null);
    assert!(names(&mut inbound).is_empty());
}

#[test]
fn the_last_word_before_the_message_counts() {
    let zone = zone();
    let mut inbound = inbound(&Arc::new(config()), AWAY);
    let mut stale = Vec::new();
    while let DnsStep::Ask(question) = inbound.poll() {
        stale.push(question);
    }
    inbound.connect(HOME.ip.into());
    inbound.helo(HOME.helo);
    inbound.mail_from(&ReversePath::take(HOME.mail_from.as_bytes(), false).unwrap().0);
    for question in &stale {
        inbound.answer(question.id, zone.answer(question));
    }
    inbound.write(MESSAGE.as_bytes());
    inbound.finish();
    let verdicts = dns::run(&mut inbound, &zone);
    assert_eq!(verdicts.spf_mail_from.unwrap().domain().unwrap().as_str(), "example.org");
    assert_eq!(verdicts.spf_helo.unwrap().result, SpfResult::Pass);
    assert_eq!(verdicts.iprev.unwrap().result, IprevResult::Pass);
}

/// A proxy may say that the client is another one, and a client may greet again: what was found for the first is none of the
/// other's.
#[test]
fn what_was_told_before_is_taken_back() {
    for (connects, greets) in [(true, false), (false, true), (true, true)] {
        let mut inbound = inbound(&Arc::new(config()), HOME);
        if connects {
            inbound.connect(AWAY.ip.into());
        }
        if greets {
            inbound.helo(AWAY.helo);
        }
        inbound.write(MESSAGE.as_bytes());
        inbound.finish();
        let verdicts = dns::run(&mut inbound, &zone());
        assert!(verdicts.spf_mail_from.is_none());
        assert_eq!(verdicts.spf_helo.map(|outcome| outcome.result), greets.then_some(SpfResult::None));
        let expected = if connects { IprevResult::PermError } else { IprevResult::Pass };
        assert_eq!(verdicts.iprev.unwrap().result, expected);
        assert_eq!(verdicts.dmarc.unwrap().result, DmarcResult::Fail);
    }
}

#[test]
fn a_socket_has_no_address() {
    let mut inbound = Inbound::new(Arc::new(RingCrypto), Arc::new(config()), NOW);
    inbound.helo("mail.example.org");
    inbound.mail_from(&ReversePath::Null);
    inbound.write(signed(MESSAGE).as_bytes());
    inbound.finish();
    let verdicts = dns::run(&mut inbound, &zone());
    assert!(verdicts.iprev.is_none() && verdicts.spf_helo.is_none() && verdicts.spf_mail_from.is_none());
    assert_eq!(verdicts.dmarc.unwrap().result, DmarcResult::Pass);
}

/// Whatever has been asked, answered and written by then: giving up ends it, and never well.
#[test]
fn giving_up_works_at_any_time() {
    let (zone, config) = (zone(), Arc::new(config()));
    let message = signed(MESSAGE);
    let mut ends = BTreeSet::new();
    for answers in 0..12 {
        for written in
            [0, 10, message.find("\r\n\r\n").unwrap() + 4, message.len() - 1, message.len(), message.len() + 1]
        {
            let mut inbound = inbound(&config, HOME);
            inbound.write(&message.as_bytes()[..written.min(message.len())]);
            if written > message.len() {
                inbound.finish();
            }
            let mut open = Vec::<Question>::new();
            let mut given = 0;
            let mut done = None;
            loop {
                match inbound.poll() {
                    DnsStep::Ask(question) => open.push(question),
                    DnsStep::Done(verdicts) => break done = Some(verdicts),
                    DnsStep::Wait if given < answers && !open.is_empty() => {
                        let question = open.remove(0);
                        inbound.answer(question.id, zone.answer(&question));
                        given += 1;
                    }
                    DnsStep::Wait => break,
                }
            }
            let verdicts = done.unwrap_or_else(|| {
                inbound.give_up();
                let DnsStep::Done(verdicts) = inbound.poll() else { panic!("it goes on after {answers} answers") };
                // What comes too late changes nothing.
                assert!(matches!(inbound.poll(), DnsStep::Wait));
                for question in &open {
                    inbound.answer(question.id, zone.answer(question));
                }
                inbound.write(b"more");
                inbound.finish();
                inbound.give_up();
                assert!(matches!(inbound.poll(), DnsStep::Wait));
                verdicts
            });
            let told = verdicts.authentication_results();
            assert_eq!(AuthenticationResults::parse(told.to_string().as_bytes()), Ok(told));
            ends.insert(verdicts.refusal().map(|reply| reply.code()));
        }
    }
    // Passes, as SPF alone suffices; or later.
    assert_eq!(ends, BTreeSet::from([None, Some(451)]));
}

#[test]
fn a_forwarder_is_believed_as_far_as_it_is_trusted() {
    let zone = zone();
    let pass = "mx.lists.example; spf=pass smtp.mailfrom=example.org; dmarc=pass header.from=EXAMPLE.org";
    let changed = format!("{MESSAGE}-- \r\nsent by a list\r\n");
    let one = |results: &str| sealed("lists.example", ArcResult::None, results, &changed);
    let two = |results: &str| {
        let first = sealed("next.example", ArcResult::None, "next.example; dmarc=none", &changed);
        sealed("lists.example", ArcResult::Pass, results, &first)
    };
    let then_next = |message: &str| {
        sealed("next.example", ArcResult::Pass, "next.example; arc=pass; dmarc=fail header.from=example.org", message)
    };
    let lists = &["lists.example"][..];
    let both = &["next.example", "lists.example"][..];
    for (about, message, trusted, forwarder) in [
        ("nobody is trusted", one(pass), &[][..], None),
        ("another one is trusted", one(pass), &["example.org"], None),
        ("one above is trusted", one(pass), &["example"], None),
        ("trusted", one(pass), lists, Some("lists.example")),
        ("claims nothing", one("mx.lists.example; none"), lists, None),
        ("claims a fail", one("x; dmarc=fail header.from=example.org"), lists, None),
        ("claims it of another author", one("x; dmarc=pass header.from=example.net"), lists, None),
        ("claims it of nobody", one("x; dmarc=pass"), lists, None),
        ("claims it in another version", one("x; dmarc/2=pass header.from=example.org"), lists, None),
        ("claims another method", one("x; dkim=pass header.from=example.org"), lists, None),
        ("claims what cannot be read", one("x; dmarc=pass header.from=example.org(a"), lists, None),
        ("somebody else before the claim", two(pass), lists, Some("lists.example")),
        ("somebody else after the claim", then_next(&one(pass)), lists, None),
        ("somebody trusted after the claim", then_next(&one(pass)), both, Some("lists.example")),
        ("the body was changed since", one(pass) + "more\r\n", lists, None),
        ("the author was changed since", one(pass).replace("From: Joe", "From: Jim"), lists, None),
        ("two authors", one(pass).replace("To:", "From: joe@example.org\r\nTo:"), lists, None),
    ] {
        let mut config = config();
        config.trusted_sealers = trusted.iter().map(|name| name.parse().unwrap()).collect();
        let verdicts = verdicts_of(config, AWAY, message.as_bytes(), &zone);
        let found = verdicts.forwarder.as_ref().map(|name| name.as_str());
        assert_eq!(found, forwarder, "{about}\n{}", verdicts.explanation());
        let dmarc = verdicts.dmarc.as_ref().unwrap();
        assert!(matches!(dmarc.result, DmarcResult::Fail | DmarcResult::PermError), "{about}");
        assert_eq!(verdicts.refusal().is_none(), forwarder.is_some(), "{about}");
        if forwarder.is_some() {
            assert_eq!(dmarc.overrides[0].reason, OverrideReason::TrustedForwarder);
            assert!(
                verdicts.header_fields().contains("dmarc=fail (trusted_forwarder makes none of reject)"),
                "{about}"
            );
        }
    }
}

/// RFC 8617 leaves From to the sealer: one that does not sign it vouches for no author.
#[test]
fn a_seal_that_leaves_out_the_author_counts_for_nothing() {
    let pass = "mx.lists.example; dmarc=pass header.from=example.org";
    let message = sealed("lists.example", ArcResult::None, pass, MESSAGE);
    let mut options = SignOptions::default();
    options.signed = vec!["Subject".into()];
    options.oversigned = vec!["Subject".into()];
    let mut sealer = Sealer::new(Arc::new(RingCrypto), domain_key("lists.example", "s", ed25519()), options, NOW - 30);
    sealer.write(MESSAGE.as_bytes());
    let without = sealer.finish(ArcResult::None, pass).unwrap() + MESSAGE;
    for (message, is_signed) in [(message, true), (without, false)] {
        let mut config = config();
        config.trusted_sealers.push("lists.example".parse().unwrap());
        let verdicts = verdicts_of(config, AWAY, message.as_bytes(), &zone());
        assert_eq!((verdicts.arc.result, verdicts.arc.from_is_signed), (ArcResult::Pass, is_signed));
        assert_eq!(verdicts.refusal().is_none(), is_signed);
    }
}

/// A sealer that signs From once vouches for the author whom it saw, and not for another one whom somebody put on top.
#[test]
fn an_author_who_was_added_since_has_no_forwarder() {
    let mut options = SignOptions::default();
    options.oversigned = Vec::new();
    let mut sealer = Sealer::new(Arc::new(RingCrypto), domain_key("lists.example", "s", ed25519()), options, NOW - 30);
    sealer.write(MESSAGE.as_bytes());
    let pass = "mx.lists.example; dmarc=pass header.from=example.org";
    let message = sealer.finish(ArcResult::None, pass).unwrap() + MESSAGE;
    let added = message.replace("From: Joe", "From: boss@bank.example\r\nFrom: Joe");
    for (message, is_taken) in [(message, true), (added, false)] {
        for several in [SeveralAuthors::Refuse, SeveralAuthors::StrictestPolicy] {
            let mut config = config();
            config.trusted_sealers.push("lists.example".parse().unwrap());
            config.dmarc.several_authors = several;
            let verdicts = verdicts_of(config, AWAY, message.as_bytes(), &zone());
            assert_eq!(verdicts.arc.result, ArcResult::Pass);
            assert_eq!(verdicts.refusal().is_none(), is_taken, "{}", verdicts.explanation());
        }
    }
}

#[test]
fn replies_and_dispositions() {
    let zone = zone();
    let reply = |verdicts: &Verdicts| verdicts.refusal().map(|reply| reply.to_string()).unwrap_or_default();
    let mut limited = config();
    limited.dkim.header.size_max = 20;
    let verdicts = verdicts_of(limited, HOME, MESSAGE.as_bytes(), &zone);
    assert_eq!(reply(&verdicts), "552 5.3.4 the header is too long");
    assert!(verdicts.authors.is_none() && verdicts.forged.is_empty());
    assert!(verdicts.header_fields().contains("dmarc=permerror reason=\"the header is too long\""));

    let mut verdicts = verdicts_of(config(), AWAY, MESSAGE.as_bytes(), &zone);
    assert_eq!(
        (reply(&verdicts), verdicts.disposition()),
        ("550 5.7.1 refused by the DMARC policy of example.org".into(), Disposition::Reject)
    );
    verdicts.override_disposition(OverrideReason::LocalPolicy, Disposition::Quarantine);
    assert_eq!((reply(&verdicts), verdicts.disposition()), (String::new(), Disposition::Quarantine));

    let down = zone.failing("_dmarc.example.net");
    let other = MESSAGE.replace("joe@example.org", "joe@example.net");
    let verdicts = verdicts_of(config(), AWAY, other.as_bytes(), &down);
    assert_eq!(reply(&verdicts), "451 4.7.1 DMARC cannot be checked for now, try again later");
    let mut lenient = config();
    lenient.dmarc.defers_on_temp_error = false;
    let verdicts = verdicts_of(lenient, AWAY, other.as_bytes(), &down);
    assert_eq!((reply(&verdicts), verdicts.dmarc.unwrap().result), (String::new(), DmarcResult::TempError));
}

#[test]
fn what_the_client_says_is_told_once_and_as_what_it_is() {
    let zone = zone().with("local.example", Record::txt("v=spf1 exists:%{l}.local.example -all"));
    let results = |talk: Talk| {
        let verdicts = verdicts_of(config(), talk, MESSAGE.as_bytes(), &zone);
        let told = verdicts.authentication_results();
        let spf = told.results.iter().filter(|result| result.method == *"spf");
        spf.map(|result| {
            let property = result.properties.first().map(|p| format!("{}.{}={}", p.kind, p.name, p.value));
            format!("{} {}", result.result, property.unwrap_or_default())
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(results(HOME), ["pass smtp.mailfrom=example.org", "pass smtp.helo=mail.example.org"]);
    assert_eq!(results(Talk { mail_from: "<>", ..HOME }), ["pass smtp.helo=mail.example.org"]);
    assert_eq!(
        results(Talk { helo: "[192.0.2.1]", mail_from: "<\"a b\"@local.example>", ..HOME }),
        ["fail smtp.mailfrom=\"a b\"@local.example", "none "]
    );
    assert_eq!(results(Talk { helo: "a) b;\" spf=pass", mail_from: "<a@[192.0.2.1]>", ..HOME }), ["none ", "none "]);
}

/// Hundreds of signatures, a crowd of names, records that ask for everything: the questions are counted.
#[test]
fn hostile_messages_and_records_ask_a_bounded_number_of_questions() {
    let mut zone = FixedZone::new();
    for name in 0..1000 {
        zone.add(
            "1.2.0.192.in-addr.arpa".parse().unwrap(),
            60,
            Record::Ptr(format!("p{name}.attack.example").parse().unwrap()),
        );
    }
    let terms = (0..11).map(|term| format!("mx:m{term}.attack.example ")).collect::<String>();
    zone = zone.with("attack.example", Record::txt(format!("v=spf1 {terms}-all")));
    for term in 0..11 {
        for name in 0..10 {
            zone = zone.with(
                &format!("m{term}.attack.example"),
                Record::mx(1, format!("h{term}-{name}.attack.example").parse().unwrap()),
            );
            zone = zone.with(&format!("h{term}-{name}.attack.example"), Record::A([203, 0, 113, 1].into()));
        }
    }
    let deep = (0..20).map(|label| format!("l{label}.")).collect::<String>() + "attack.example";
    let mut message = format!("From: joe@{deep}\r\nSubject: x\r\n\r\nbody\r\n");
    for number in 0..200 {
        let tags = format!("v=1; d=d{number}.{deep}; s=s");
        message = String::from_utf8(sign_with_tags(&tags, "from:subject", &message)).unwrap();
    }
    for set in 1..=50 {
        let cv = if set == 1 { "none" } else { "pass" };
        let fields = format!(
            "ARC-Seal: i={set}; a=ed25519-sha256; cv={cv}; d=a{set}.attack.example; s=s; b=AAAA\r\n\
             ARC-Message-Signature: i={set}; a=ed25519-sha256; h=from; d=a{set}.attack.example; s=s; bh=AAAA; b=AAAA\r\n\
             ARC-Authentication-Results: i={set}; x; none\r\n"
        );
        message.insert_str(0, &fields);
    }
    let talk = Talk { ip: [192, 0, 2, 1], helo: "attack.example", mail_from: "<a@attack.example>" };
    let mut inbound = inbound(&Arc::new(config()), talk);
    inbound.write(message.as_bytes());
    inbound.finish();
    let (mut open, mut open_max, mut names) = (Vec::new(), 0, Vec::new());
    let verdicts = loop {
        match inbound.poll() {
            DnsStep::Ask(question) => {
                names.push(question.name.to_string());
                open.push(question);
                open_max = open_max.max(open.len());
            }
            DnsStep::Wait => {
                // The last one first: the most that can be open at a time.
                let question = open.pop().expect("it asks for what it waits for");
                inbound.answer(question.id, zone.answer(&question));
            }
            DnsStep::Done(verdicts) => break verdicts,
        }
    };
    let count = |part: &str| names.iter().filter(|name| name.contains(part)).count();
    assert_eq!(open_max, 20);
    assert_eq!(count(".in-addr.arpa") + names.iter().filter(|name| name.starts_with('p')).count(), 11);
    // Of ten terms one and ten hosts each, twice.
    assert_eq!(names.iter().filter(|name| name.starts_with('h')).count(), 200);
    assert_eq!(names.iter().filter(|name| name.starts_with('m')).count(), 20);
    assert_eq!(count("s._domainkey.d"), 8);
    assert!(count("s._domainkey.a") <= 8);
    assert!(count("_dmarc.") <= 16, "{}", count("_dmarc."));
    assert!(names.len() <= 11 + 2 * 111 + 16 + 17, "{}", names.len());

    assert_eq!(verdicts.spf_mail_from.as_ref().unwrap().result, SpfResult::PermError);
    let looked_at = verdicts.dkim.signatures.iter().filter(|outcome| outcome.reason != Some(Reason::TooManySignatures));
    assert_eq!(looked_at.count(), 8);
    assert_eq!(verdicts.arc.result, ArcResult::Fail);
    assert_eq!(verdicts.dmarc.as_ref().unwrap().result, DmarcResult::None);
    let told = verdicts.authentication_results();
    assert_eq!(told.results.iter().filter(|result| result.method == *"dkim").count(), 17);
    assert!(verdicts.header_fields().contains("dkim=policy reason=\"184 more signatures are not told\""));
    assert_eq!(told.results.last().unwrap().method, *"dmarc");
}

/// A reader of the field sees why a pass does not count, whatever else is to be said of it.
#[test]
fn a_reservation_is_told_before_all_else() {
    let told = |tags: &str, record: &str| {
        let message = sign_with_tags(&format!("v=1; d=example.org; s=t{tags}"), "from", MESSAGE);
        let zone = zone().with("t._domainkey.example.org", Record::txt(record));
        let verdicts = verdicts_of(config(), AWAY, &message, &zone);
        assert!(verdicts.dkim.signatures[0].notes.len() > 1);
        let told = verdicts.authentication_results();
        let dkim = told.results.iter().find(|result| result.method == *"dkim").unwrap();
        dkim.comment.as_ref().unwrap().to_string()
    };
    let key = record(&*ed25519());
    assert_eq!(told("; l=5", &key), "5 of 14 octets of the body are signed");
    assert_eq!(told("", &format!("{key}; t=y")), "the domain is testing");
    assert_eq!(told("", &key), "a field Subject is not signed");
}

/// However many signatures are to be told: DMARC and ARC have their place in the field.
#[test]
fn signatures_leave_room_for_the_rest() {
    let mut message = MESSAGE.to_owned();
    for number in 0..150 {
        message.insert_str(0, &format!("DKIM-Signature: v=1; d=d{number}.attack.example; s=s\r\n"));
    }
    let mut config = config();
    config.dkim_results_max = 1000;
    let told = verdicts_of(config, AWAY, message.as_bytes(), &zone()).authentication_results();
    let last = told.results.iter().rev().take(3).map(|result| result.method.as_str()).collect::<Vec<_>>();
    assert_eq!(last, ["dmarc", "arc", "dkim"]);
    assert!(told.to_string().contains(" more signatures are not told"));
}

/// A pass behind a crowd of signatures that fail is among those that count and are told.
#[test]
fn a_crowd_hides_nothing() {
    let mut message = signed(MESSAGE);
    for number in 0..200 {
        message.insert_str(0, &format!("DKIM-Signature: v=1; d=d{number}.attack.example; s=s\r\n"));
    }
    let verdicts = verdicts_of(config(), AWAY, message.as_bytes(), &zone());
    assert_eq!(verdicts.dkim.signatures.len(), 202);
    assert_eq!(verdicts.dkim.result(), DkimResult::Pass);
    assert_eq!(verdicts.dmarc.as_ref().unwrap().result, DmarcResult::Pass);
    let told = verdicts.authentication_results();
    assert_eq!(told.results.iter().filter(|result| result.result == *"pass" && result.method == *"dkim").count(), 2);
}

/// Answers of the DNS that are beyond all measure: an alias without end, a record of 64 KiB, records of the wrong kind.
#[test]
fn hostile_answers() {
    let huge = Record::Txt(vec![b'a'; 255 * 257]);
    for answer in [
        DnsAnswer::found("x.example".parse().unwrap(), vec![(1, huge.clone()); 1000]),
        DnsAnswer::found("x.example".parse().unwrap(), vec![(1, Record::txt("v=spf1 +all")); 1000]),
        DnsAnswer::found("x.example".parse().unwrap(), vec![(1, Record::txt("v=DMARC1; p=none")); 1000]),
        DnsAnswer::found("x.example".parse().unwrap(), vec![(1, Record::A([192, 0, 2, 1].into())); 1000]),
        DnsAnswer::found("x.example".parse().unwrap(), [(1, Record::Txt(Vec::new()))]),
        DnsAnswer::try_later(),
        DnsAnswer::no_data(),
    ] {
        let mut inbound = inbound(&Arc::new(config()), HOME);
        inbound.write(signed(MESSAGE).as_bytes());
        inbound.finish();
        let mut asked = 0;
        let verdicts = loop {
            match inbound.poll() {
                DnsStep::Ask(question) => {
                    asked += 1;
                    inbound.answer(question.id, answer.clone());
                }
                DnsStep::Wait => panic!("all is answered"),
                DnsStep::Done(verdicts) => break verdicts,
            }
        };
        assert!(asked < 40, "{asked}");
        assert_ne!(verdicts.dmarc.unwrap().result, DmarcResult::Pass);
        assert_eq!(verdicts.dkim.signatures.iter().filter(|outcome| outcome.result == DkimResult::Pass).count(), 0);
    }
    assert_eq!(RecordKind::Txt, huge.kind());
}
