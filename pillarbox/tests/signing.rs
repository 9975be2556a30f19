//! Signatures on what users send, and how mail is dealt with by who brings it.
#![cfg(feature = "tokio")]

use std::net::IpAddr;
use std::sync::Arc;

use pillarbox::auth::{AuthSink, Config, HELD_MAX, SigningKeys, SigningSink, Treatment};
use pillarbox::crypto::RingCrypto;
use pillarbox::mailauth::dkim::{DkimResult, DomainKey, KeyRecord, Policy, Verifier, generate_ed25519};
use pillarbox::parts::{Envelope, Identity, MemorySink, MessageSink as _, Outcome, Parts, Session};
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::crypto::Crypto as _;
use pillarbox_core::dns::{self, FixedZone, Record};
use pillarbox_core::{Reply, SeededRandom};

/// A key under these names, and a zone with it.
fn key(domain: &str, selector: &str, zone: FixedZone) -> (DomainKey, FixedZone) {
    let seed = selector.bytes().map(u64::from).sum();
    let key = RingCrypto.load_key(&generate_ed25519(&mut SeededRandom::new(seed))).unwrap();
    let record = KeyRecord::text(key.public_key()).unwrap();
    let zone = zone.with(&format!("{selector}._domainkey.{domain}"), Record::txt(record));
    (DomainKey::new(domain.parse().unwrap(), selector.parse().unwrap(), key.into()), zone)
}

fn envelope(user: Option<&str>) -> Envelope {
    let to = |to: &str| ForwardPath::from(to.parse::<Address<'_>>().unwrap().into_owned());
    let from = ReversePath::take(b"<joe@c.example>", false).unwrap().0.into_owned();
    let mut envelope = Envelope::new("id", from, vec![to("a@d.example"), to("b@d.example")]);
    envelope.trace = b"Received: by mx.c.example\r\n".to_vec();
    let mut session = Session::default();
    (session.ip, session.identity) = (Some(IpAddr::from([127, 0, 0, 1])), user.map(Identity::new));
    envelope.session = session;
    envelope
}

async fn send(sink: &SigningSink, user: Option<&str>, message: &str, piece: usize) -> Vec<Outcome> {
    let mut incoming = sink.begin(envelope(user)).await.unwrap();
    for piece in message.as_bytes().chunks(piece) {
        if let Err(error) = incoming.write(piece).await {
            return vec![Outcome::Refused(error.reply); 2];
        }
    }
    incoming.commit(true).await
}

fn results(message: &[u8], zone: &FixedZone) -> Vec<(String, DkimResult)> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), now);
    verifier.write(message);
    verifier.finish();
    let signatures = dns::run(&mut verifier, zone).signatures;
    signatures.iter().map(|it| (it.selector.as_ref().unwrap().to_string(), it.result)).collect()
}

#[tokio::test]
async fn what_users_send_is_signed_for_the_domain_of_its_author() {
    let (one, zone) = key("c.example", "one", FixedZone::new());
    let (two, zone) = key("c.example", "two", zone);
    let (other, zone) = key("e.example", "other", zone);
    let behind = MemorySink::new();
    let parts = Parts { sink: Arc::new(behind.clone()), ..Parts::in_memory() };
    let keys = SigningKeys::new(vec![one.clone(), other, two]);
    let sink = SigningSink::new(keys.clone(), &parts);
    for size in [0, 10, HELD_MAX + 5] {
        let message = format!("From: Joe <joe@C.example>\r\nSubject: x\r\n\r\n{}\r\n", "hello ".repeat(size / 6));
        for piece in [11, 70_000, 1 << 20] {
            assert_eq!(send(&sink, Some("joe"), &message, piece).await, [Outcome::Delivered, Outcome::Delivered]);
            let octets = behind.messages().pop().unwrap().octets;
            let text = String::from_utf8(octets.clone()).unwrap();
            assert!(text.starts_with("DKIM-Signature: v=1; a=ed25519-sha256;"), "{text}");
            assert!(text.ends_with(&format!("\r\nReceived: by mx.c.example\r\n{message}")));
            let passed = |selector: &str| (selector.to_owned(), DkimResult::Pass);
            assert_eq!(results(&octets, &zone), [passed("one"), passed("two")]);
            let changed = text.replace("Subject: x", "Subject: y");
            assert!(results(changed.as_bytes(), &zone).iter().all(|(_, result)| *result == DkimResult::Fail));
        }
    }
    // Keys that are read again sign from then on.
    keys.set(vec![one]);
    send(&sink, Some("joe"), "From: joe@c.example\r\n\r\n", 10).await;
    assert_eq!(results(&behind.messages().pop().unwrap().octets, &zone).len(), 1);
}

#[tokio::test]
async fn what_is_nobodys_goes_on_as_it_is() {
    let (ours, _) = key("c.example", "one", FixedZone::new());
    let behind = MemorySink::new();
    let parts = Parts { sink: Arc::new(behind.clone()), ..Parts::in_memory() };
    let sink = SigningSink::new(SigningKeys::new(vec![ours]), &parts);
    for (user, message) in [
        (None, "From: joe@c.example\r\n\r\nhello\r\n"),
        (Some("joe"), "From: joe@mail.c.example\r\n\r\nhello\r\n"),
        (Some("joe"), "From: joe@example\r\n\r\nhello\r\n"),
        (Some("joe"), "From: joe@c.example, ann@d.example\r\n\r\nhello\r\n"),
        (Some("joe"), "From: joe@c.example\r\nFrom: joe@c.example\r\n\r\nhello\r\n"),
        (Some("joe"), "Sender: joe@c.example\r\n\r\nhello\r\n"),
        (Some("joe"), "hello"),
        (Some("joe"), ""),
    ] {
        for piece in [1, 1000] {
            assert_eq!(send(&sink, user, message, piece).await, [Outcome::Delivered, Outcome::Delivered]);
            let octets = behind.messages().pop().unwrap().octets;
            assert_eq!(String::from_utf8(octets).unwrap(), format!("Received: by mx.c.example\r\n{message}"));
        }
    }
    let sink = sink.signs(|envelope| envelope.session.ip.is_some_and(|ip| ip.is_loopback()));
    send(&sink, None, "From: joe@c.example\r\n\r\nhello\r\n", 10).await;
    assert!(behind.messages().pop().unwrap().octets.starts_with(b"DKIM-Signature: "));
}

#[tokio::test]
async fn what_cannot_be_signed_is_not_sent() {
    let (ours, _) = key("c.example", "one", FixedZone::new());
    let behind = MemorySink::new();
    let parts = Parts { sink: Arc::new(behind.clone()), ..Parts::in_memory() };
    let sink = SigningSink::new(SigningKeys::new(vec![ours]), &parts);
    let message = format!("{}From: joe@c.example\r\n\r\nhello\r\n", "A: b\r\n".repeat(100_000));
    let [Outcome::Refused(reply), Outcome::Refused(_)] = &send(&sink, Some("joe"), &message, 5000).await[..] else {
        panic!("it was taken")
    };
    assert!(reply.to_string().starts_with("552 5.3.4 "), "{reply}");
    assert!(behind.messages().is_empty());
}

const FORGED: &str = "Authentication-Results: mx.localhost; dmarc=pass\r\n";

#[tokio::test]
async fn mail_is_dealt_with_by_who_brings_it() {
    let behind = MemorySink::new();
    let parts = Parts { sink: Arc::new(behind.clone()), ..Parts::in_memory() };
    for (treatment, top) in [
        (Treatment::Check, "Authentication-Results: mx.localhost;\r\n\tiprev="),
        (Treatment::Strip, "Received: by mx.c.example\r\nFrom: joe@c.example\r\n"),
        (Treatment::Pass, "Received: by mx.c.example\r\nAuthentication-Results: mx.localhost; dmarc=pass\r\n"),
    ] {
        let sink = AuthSink::new(Config::new("mx.localhost"), &parts).care(move |_| treatment);
        let mut incoming = sink.begin(envelope(None)).await.unwrap();
        incoming.write(format!("{FORGED}From: joe@c.example\r\n\r\nhello\r\n").as_bytes()).await.unwrap();
        assert_eq!(incoming.commit(true).await, [Outcome::Delivered, Outcome::Delivered]);
        let text = String::from_utf8(behind.messages().pop().unwrap().octets).unwrap();
        assert!(text.starts_with(top), "{text}");
    }
    // Nobody is looked up who has no address.
    let sink = AuthSink::new(Config::new("mx.localhost"), &parts).care(|_| Treatment::Check);
    let mut unknown = envelope(None);
    unknown.session.ip = None;
    let mut incoming = sink.begin(unknown).await.unwrap();
    incoming.write(format!("{FORGED}From: joe@c.example\r\n\r\nhello\r\n").as_bytes()).await.unwrap();
    incoming.commit(true).await;
    assert!(behind.messages().pop().unwrap().octets.starts_with(b"Received: by mx.c.example\r\nFrom: "));
}

#[tokio::test]
async fn what_is_to_be_kept_apart_is_marked() {
    let behind = MemorySink::new();
    let zone = FixedZone::new()
        .with("_dmarc.q.example", Record::txt("v=DMARC1; p=quarantine"))
        .with("_dmarc.r.example", Record::txt("v=DMARC1; p=reject"));
    let parts = Parts { sink: Arc::new(behind.clone()), resolver: Arc::new(zone), ..Parts::in_memory() };
    let sink = AuthSink::new(Config::new("mx.localhost"), &parts).quarantine_mark("X-Spam: Yes");
    for (author, mark) in [("q.example", Some(true)), ("r.example", None), ("other.example", Some(false))] {
        let mut incoming = sink.begin(envelope(None)).await.unwrap();
        incoming.write(format!("From: joe@{author}\r\n\r\nhello\r\n").as_bytes()).await.unwrap();
        let outcomes = incoming.commit(true).await;
        let message = behind.messages().into_iter().find(|it| String::from_utf8_lossy(&it.octets).contains(author));
        match mark {
            Some(is_marked) => {
                let octets = message.unwrap().octets;
                assert_eq!(octets.starts_with(b"X-Spam: Yes\r\nAuthentication-Results: "), is_marked, "{author}");
            }
            None => {
                let refused = Reply::enhanced(550, 5, 7, 1, "refused by the DMARC policy of r.example");
                assert_eq!(outcomes, vec![Outcome::Refused(refused); 2]);
            }
        }
    }
}

#[test]
#[should_panic(expected = "is no header field")]
fn a_mark_is_one_field() {
    let _ = AuthSink::new(Config::new("mx.localhost"), &Parts::in_memory()).quarantine_mark("X-Spam: Yes\r\nTo: x");
}
