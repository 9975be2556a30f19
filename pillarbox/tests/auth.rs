//! Mail authentication in front of a sink: on loopback, where a client is 127.0.0.1, and with sinks alone.
#![cfg(feature = "tokio")]

mod support;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::auth::{AuthSink, Config, HELD_MAX, Verdicts};
use pillarbox::mailauth::dmarc::{Disposition, OverrideReason};
use pillarbox::parts::{
    AllowList, BoxFuture, Envelope, Identity, IncomingMessage, MemoryAuthenticator, MemorySink, MessageSink, Outcome,
    Parts, Resolver, Session, SinkError,
};
use pillarbox::smtp::{Protocol, ServerConfig, SmtpServer};
use pillarbox::smtp_proto::command::ClientAttributes;
use pillarbox::testing::SteppedClock;
use pillarbox_core::Reply;
use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::dns::{DnsAnswer, FixedZone, Question, Record};
use pillarbox_core::sasl::Mechanism;
use support::start;
use tokio::sync::Notify;

const YOU: &str = "you@localhost";

fn zone() -> FixedZone {
    FixedZone::new()
        .with("client.example", Record::txt("v=spf1 ip4:127.0.0.1 -all"))
        .with("_dmarc.client.example", Record::txt("v=DMARC1; p=reject"))
        .with("_dmarc.bank.example", Record::txt("v=DMARC1; p=reject"))
}

fn parts(sink: &MemorySink) -> Parts {
    Parts {
        policy: Arc::new(AllowList::new([YOU, "me@localhost"])),
        sink: Arc::new(sink.clone()),
        authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
        resolver: Arc::new(zone()),
        ..Parts::in_memory()
    }
}

fn config() -> Config {
    Config::new("mx.localhost")
}

const FORGED: &str = "Authentication-Results: MX.localhost (me); dmarc=pass\r\n";
const OTHERS: &str = "Authentication-Results: other.example; dmarc=pass\r\n";

#[tokio::test]
async fn what_is_taken_carries_the_results_and_what_fails_is_refused() {
    let sink = MemorySink::new();
    let parts = parts(&sink);
    let checked = Arc::new(AuthSink::new(config(), &parts));
    let server = start(SmtpServer::new(ServerConfig::new("mx.localhost"), Parts { sink: checked, ..parts })).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send(format!("{FORGED}{OTHERS}From: a@client.example\r\n\r\nhello\r\n.\r\n")).await;
    client.expect("250 2.0.0 accepted as ").await;
    client.say("MAIL FROM:<sender@client.example>", "250 ").await;
    client.say(&format!("RCPT TO:<{YOU}>"), "250 ").await;
    client.say("DATA", "354 ").await;
    client.send("From: a@bank.example\r\n\r\ngive me all\r\n.\r\n").await;
    client.expect("550 5.7.1 refused by the DMARC policy of bank.example").await;
    client.say("QUIT", "221 ").await;
    server.stop().await;

    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    let text = String::from_utf8(messages[0].octets.clone()).unwrap();
    let results = "Authentication-Results: mx.localhost;\r\n\
        \tiprev=permerror policy.iprev=127.0.0.1;\r\n\
        \tspf=pass smtp.mailfrom=client.example;\r\n\
        \tspf=pass smtp.helo=client.example;\r\n\
        \tdkim=none;\r\n\
        \tarc=none;\r\n\
        \tdmarc=pass header.from=client.example policy.dmarc=reject\r\n\
        Received: from client.example";
    assert!(text.starts_with(results), "{text}");
    assert!(text.ends_with(&format!("\r\n{OTHERS}From: a@client.example\r\n\r\nhello\r\n")), "{text}");
    assert!(!text.contains("MX.localhost"), "{text}");
}

#[tokio::test]
async fn who_logs_in_is_not_checked_but_cannot_forge() {
    let sink = MemorySink::new();
    let parts = parts(&sink);
    let checked = Arc::new(AuthSink::new(config(), &parts));
    let mut server = ServerConfig::new("mx.localhost");
    (server.mechanisms, server.auth_without_tls) = (vec![Mechanism::Plain], true);
    let server = start(SmtpServer::new(server, Parts { sink: checked, ..parts })).await;
    let mut client = server.client().await;
    client.say("EHLO client.example", "250").await;
    // you@localhost, secret
    client.say("AUTH PLAIN AHlvdUBsb2NhbGhvc3QAc2VjcmV0", "235 ").await;
    client.say("MAIL FROM:<you@localhost>", "250 ").await;
    client.say(&format!("RCPT TO:<{YOU}>"), "250 ").await;
    client.say("DATA", "354 ").await;
    client.send(format!("Subject: x\r\n{FORGED}From: a@bank.example\r\n\r\nhello\r\n.\r\n")).await;
    client.expect("250 ").await;
    server.stop().await;
    let text = String::from_utf8(sink.messages()[0].octets.clone()).unwrap();
    assert!(text.starts_with("Received: from client.example"), "{text}");
    assert!(text.ends_with("\r\nSubject: x\r\nFrom: a@bank.example\r\n\r\nhello\r\n"), "{text}");
}

#[tokio::test]
async fn over_lmtp_each_recipient_hears_the_refusal() {
    let sink = MemorySink::new();
    let parts = parts(&sink);
    let checked = Arc::new(AuthSink::new(config(), &parts));
    let mut server = ServerConfig::new("mx.localhost");
    server.protocol = Protocol::Lmtp;
    let server = start(SmtpServer::new(server, Parts { sink: checked, ..parts })).await;
    let mut client = server.client().await;
    client.say("LHLO client.example", "250").await;
    client.say("MAIL FROM:<>", "250 ").await;
    client.say(&format!("RCPT TO:<{YOU}>"), "250 ").await;
    client.say("RCPT TO:<me@localhost>", "250 ").await;
    client.say("DATA", "354 ").await;
    client.send("From: a@bank.example, b@client.example\r\n\r\nhello\r\n.\r\n").await;
    for _ in 0..2 {
        client.expect("550 5.7.1 the author cannot be told: authors in several domains").await;
    }
    server.stop().await;
    assert!(sink.messages().is_empty());
}

/// A header beyond the limits of the check is not looked at, so that what is forged in it cannot be taken out.
#[tokio::test]
async fn who_logs_in_cannot_hide_what_is_forged_in_a_long_header() {
    let sink = MemorySink::new();
    let mut config = config();
    config.dkim.header.fields_max = 10;
    let checked = AuthSink::new(config, &parts(&sink));
    for fields in [10, 11] {
        let mut envelope = envelope(LOOPBACK);
        envelope.session.identity = Some(Identity::new("you@localhost"));
        let mut incoming = checked.begin(envelope).await.unwrap();
        let message = format!("{}{FORGED}\r\nhello\r\n", "A: b\r\n".repeat(fields - 1));
        let mut written = Ok(());
        for piece in message.as_bytes().chunks(7) {
            written = written.and(incoming.write(piece).await);
        }
        let outcomes = match written {
            Ok(()) => incoming.commit(true).await,
            Err(error) => vec![Outcome::Refused(error.reply); 2],
        };
        if fields > 10 {
            let refused = Reply::enhanced(552, 5, 3, 4, "too many header fields");
            assert_eq!(outcomes, vec![Outcome::Refused(refused); 2]);
        } else {
            assert_eq!(outcomes, [Outcome::Delivered, Outcome::Delivered]);
        }
    }
    assert_eq!(sink.messages().len(), 1);
    assert!(!String::from_utf8_lossy(&sink.messages()[0].octets).contains("MX.localhost"));
}

/// An envelope from a client of that address.
fn envelope(ip: Option<IpAddr>) -> Envelope {
    let to = |to: &str| ForwardPath::from(to.parse::<pillarbox_core::address::Address<'_>>().unwrap().into_owned());
    let from = ReversePath::take(b"<sender@client.example>", false).unwrap().0.into_owned();
    let mut envelope = Envelope::new("id", from, vec![to(YOU), to("me@localhost")]);
    envelope.trace = b"Received: by mx.localhost\r\n".to_vec();
    let mut session = Session::default();
    (session.ip, session.hello) = (ip, Some("client.example".into()));
    envelope.session = session;
    envelope
}

const LOOPBACK: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

/// Sends a message through a sink in pieces of a size.
async fn deliver(sink: &AuthSink, ip: Option<IpAddr>, message: &[u8], piece: usize) -> Vec<Outcome> {
    let mut incoming = sink.begin(envelope(ip)).await.unwrap();
    for piece in message.chunks(piece) {
        incoming.write(piece).await.unwrap();
    }
    incoming.commit(true).await
}

#[tokio::test]
async fn messages_of_any_size_arrive_whole() {
    let sink = MemorySink::new();
    let checked = AuthSink::new(config(), &parts(&sink));
    let front = format!("A: b\r\n{FORGED}From: a@client.example\r\n{FORGED}C: d\r\n\r\n");
    let mut expected = Vec::new();
    for size in [0, 1, HELD_MAX - front.len(), HELD_MAX, 2 * HELD_MAX + 17] {
        let body = (0..size).map(|at| b"0123456789abcdef\r\n"[at % 18]).collect::<Vec<_>>();
        for piece in [997, 64 * 1024, 3 * HELD_MAX] {
            let outcomes = deliver(&checked, LOOPBACK, &[front.as_bytes(), &body].concat(), piece).await;
            assert_eq!(outcomes, [Outcome::Delivered, Outcome::Delivered]);
            expected.push(body.clone());
        }
    }
    for (message, body) in sink.messages().iter().zip(&expected) {
        let front = b"Received: by mx.localhost\r\nA: b\r\nFrom: a@client.example\r\nC: d\r\n\r\n";
        assert!(message.octets.starts_with(b"Authentication-Results: mx.localhost;"));
        assert!(message.octets.ends_with(&[&front[..], body].concat()), "{} octets", body.len());
    }
    assert_eq!(sink.messages().len(), expected.len());
}

#[tokio::test]
async fn a_socket_passes_through() {
    let sink = MemorySink::new();
    let checked = AuthSink::new(config(), &parts(&sink));
    let message = format!("{FORGED}From: a@bank.example\r\n\r\n");
    assert_eq!(deliver(&checked, None, message.as_bytes(), 10).await, [Outcome::Delivered, Outcome::Delivered]);
    let text = String::from_utf8(sink.messages()[0].octets.clone()).unwrap();
    assert_eq!(text, format!("Received: by mx.localhost\r\n{message}"));
}

/// A proxy that does not know its client's address brings the mail of strangers all the same.
#[tokio::test]
async fn a_client_whose_address_a_proxy_does_not_know_cannot_forge() {
    let sink = MemorySink::new();
    let checked = AuthSink::new(config(), &parts(&sink));
    let mut envelope = envelope(None);
    envelope.session.xclient = Some(ClientAttributes::default());
    let mut incoming = checked.begin(envelope).await.unwrap();
    incoming.write(format!("{FORGED}{OTHERS}From: a@bank.example\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(incoming.commit(true).await, [Outcome::Delivered, Outcome::Delivered]);
    let text = String::from_utf8(sink.messages()[0].octets.clone()).unwrap();
    assert_eq!(text, format!("Received: by mx.localhost\r\n{OTHERS}From: a@bank.example\r\n\r\n"));
}

#[tokio::test]
async fn a_rule_has_the_last_word() {
    let sink = MemorySink::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let checked = AuthSink::new(config(), &parts(&sink)).rule({
        let seen = seen.clone();
        move |envelope: &Envelope, verdicts: &mut Verdicts| {
            seen.lock().unwrap().push(format!("{} {}", envelope.id, verdicts.dmarc.as_ref().unwrap().result));
            verdicts.override_disposition(OverrideReason::LocalPolicy, Disposition::None);
        }
    });
    let outcomes = deliver(&checked, LOOPBACK, b"From: a@bank.example\r\n\r\n", 10).await;
    assert_eq!(outcomes, [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!(*seen.lock().unwrap(), ["id fail"]);
    let text = String::from_utf8(sink.messages()[0].octets.clone()).unwrap();
    assert!(text.contains("dmarc=fail (local_policy makes none of reject)"), "{text}");
}

/// A resolver that answers when it is let, or breaks.
struct Slow {
    zone: FixedZone,
    go: Notify,
    asked: AtomicUsize,
    breaks: bool,
}

impl Resolver for Slow {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, DnsAnswer> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            assert!(!self.breaks, "a resolver that breaks");
            self.go.notified().await;
            self.zone.answer(question)
        })
    }
}

fn slow(breaks: bool) -> Arc<Slow> {
    Arc::new(Slow { zone: zone(), go: Notify::new(), asked: AtomicUsize::new(0), breaks })
}

#[tokio::test]
async fn questions_are_open_while_the_message_comes_and_time_runs_out() {
    let (sink, clock, resolver) = (MemorySink::new(), SteppedClock::new(), slow(false));
    let parts = Parts { resolver: resolver.clone(), clock: Arc::new(clock.clone()), ..parts(&sink) };
    let checked = AuthSink::new(config(), &parts);
    let mut incoming = checked.begin(envelope(LOOPBACK)).await.unwrap();
    incoming.write(b"From: a@client.example\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    // iprev, both of SPF, and DMARC.
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 4);
    let commit = tokio::spawn(incoming.commit(true));
    clock.sleeper(Duration::from_secs(20)).await;
    clock.advance(Duration::from_secs(20));
    let later = Reply::enhanced(451, 4, 7, 1, "DMARC cannot be checked for now, try again later");
    assert_eq!(commit.await.unwrap(), vec![Outcome::Refused(later); 2]);
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn a_resolver_that_breaks_is_no_answer() {
    let sink = MemorySink::new();
    let parts = Parts { resolver: slow(true), ..parts(&sink) };
    let outcomes = deliver(&AuthSink::new(config(), &parts), LOOPBACK, b"From: a@client.example\r\n\r\n", 10).await;
    assert!(matches!(&outcomes[..], [Outcome::Refused(reply), _] if reply.code() == 451), "{outcomes:?}");
}

/// A sink that has no room.
struct Full;

impl MessageSink for Full {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        let full = || SinkError::new(Reply::enhanced(452, 4, 3, 1, "full"), "full");
        let begun = if envelope.id == "id" { Ok(Box::new(Full) as Box<dyn IncomingMessage>) } else { Err(full()) };
        Box::pin(std::future::ready(begun))
    }
}

impl IncomingMessage for Full {
    fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        let full = SinkError::new(Reply::enhanced(452, 4, 3, 1, "full"), "full");
        Box::pin(std::future::ready(Err(full)))
    }

    fn commit(self: Box<Self>, _: bool) -> BoxFuture<'static, Vec<Outcome>> {
        panic!("nothing is committed behind an error")
    }
}

#[tokio::test]
async fn what_the_sink_behind_says_is_what_the_client_hears() {
    let parts = Parts { sink: Arc::new(Full), ..parts(&MemorySink::new()) };
    let checked = AuthSink::new(config(), &parts);
    let outcomes = deliver(&checked, LOOPBACK, b"From: a@client.example\r\n\r\n", 10).await;
    assert!(matches!(&outcomes[..], [Outcome::Refused(one), Outcome::Refused(_)] if one.code() == 452), "{outcomes:?}");
    let mut other = envelope(LOOPBACK);
    other.id = "other".into();
    assert!(checked.begin(other).await.is_err());
}
