//! The SMTP server on loopback with parts in memory.
#![cfg(feature = "tokio")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pillarbox::PeerLimits;
use pillarbox::parts::{
    AllowList, BoxFuture, Envelope, IncomingMessage, MemoryAuthenticator, MemorySink, MessageSink, Outcome, Parts,
    Policy, Session, SinkError, Verdict,
};
use pillarbox::smtp::{BodyKind, Protocol, Ret, ServerConfig, SmtpServer};
use pillarbox::testing::SteppedClock;
use pillarbox_core::Reply;
use pillarbox_core::sasl::Mechanism;
use pillarbox_smtp::command::{FutureRelease, MtPriority};
use pillarbox_smtp::server::Rcpt;
use support::{Log, Running, start};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

const YOU: &str = "you@localhost";
/// `\0you@localhost\0secret`
const RIGHT: &str = "AUTH PLAIN AHlvdUBsb2NhbGhvc3QAc2VjcmV0";
/// `\0you@localhost\0wrong`
const WRONG: &str = "AUTH PLAIN AHlvdUBsb2NhbGhvc3QAd3Jvbmc=";

struct Fixture {
    sink: MemorySink,
    clock: SteppedClock,
    log: Log,
    parts: Parts,
}

fn fixture() -> Fixture {
    let (sink, clock, log) = (MemorySink::new(), SteppedClock::new(), Log::default());
    let parts = Parts {
        policy: Arc::new(AllowList::new([YOU, "me@localhost"])),
        sink: Arc::new(sink.clone()),
        authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
        clock: Arc::new(clock.clone()),
        observer: Arc::new(log.clone()),
        ..Parts::in_memory()
    };
    Fixture { sink, clock, log, parts }
}

fn config() -> ServerConfig {
    let mut config = ServerConfig::new("mx.localhost");
    config.mechanisms = vec![Mechanism::Plain];
    config.auth_without_tls = true;
    config
}

async fn run(parts: Parts) -> Running {
    start(SmtpServer::new(config(), parts)).await
}

#[tokio::test]
async fn a_message_arrives() {
    let f = fixture();
    let server = run(f.parts).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("Subject: hello\r\n\r\n..dot\r\n.\r\n").await;
    client.expect("250 2.0.0 accepted as ").await;
    client.say("QUIT", "221 ").await;
    client.expect_end().await;
    let messages = f.sink.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].octets.ends_with(b"Subject: hello\r\n\r\n.dot\r\n"));
    assert_eq!(messages[0].envelope.from.to_string(), "<sender@client.example>");
    server.stop().await;
    let log = f.log.text();
    assert!(log.contains("delivered <sender@client.example> <you@localhost> 24"), "{log}");
    assert!(log.ends_with("disconnected Quit"), "{log}");
}

#[tokio::test]
async fn a_message_in_chunks_with_all_that_its_envelope_can_say() {
    let f = fixture();
    let mut config = config();
    (config.binary_mime, config.smtputf8, config.dsn) = (true, true, true);
    (config.deliver_by, config.mt_priority) = (Some(60), Some(String::new()));
    config.submission = true;
    config.future_release = Some(3600);
    let server = start(SmtpServer::new(config, f.parts)).await;
    let mut client = server.client().await;
    client.say("EHLO client.example", "250").await;
    client
        .say(
            "MAIL FROM:<zo\u{eb}@client.example> SMTPUTF8 BODY=BINARYMIME RET=HDRS ENVID=a+2Bb \
        HOLDFOR=60 BY=120;R MT-PRIORITY=2",
            "250 ",
        )
        .await;
    client.say(&format!("RCPT TO:<{YOU}> NOTIFY=NEVER ORCPT=rfc822;me@localhost"), "250 ").await;
    client.send("BDAT 6\r\na\n\r.\r\nBDAT 1 LAST\r\n\nQUIT\r\n").await;
    client.expect("250 2.0.0 The chunk").await;
    client.expect("250 2.0.0 accepted as ").await;
    client.expect("221 ").await;
    client.expect_end().await;
    let messages = f.sink.messages();
    let envelope = &messages[0].envelope;
    assert!(messages[0].octets.ends_with(b"\r\na\n\r.\r\n\n"), "{}", messages[0].octets.escape_ascii());
    assert!(envelope.trace.escape_ascii().to_string().contains("with UTF8SMTP"));
    assert!(envelope.smtputf8);
    assert_eq!((envelope.body, envelope.ret), (BodyKind::BinaryMime, Some(Ret::Hdrs)));
    assert_eq!(envelope.envid.as_deref(), Some("a+b"));
    assert_eq!(envelope.future_release, Some(FutureRelease::For(60)));
    assert_eq!(envelope.deliver_by.unwrap().to_string(), "BY=120;R");
    assert_eq!(envelope.mt_priority, MtPriority::new(2));
    assert!(envelope.arrived.is_some() && !envelope.require_tls);
    assert!(envelope.trace.escape_ascii().to_string().contains("PRIORITY 2"));
    let [notices] = &envelope.notices[..] else { panic!("one for each recipient") };
    assert!(notices.notify.unwrap().is_never());
    assert_eq!(notices.orcpt.as_ref().unwrap().address, "me@localhost");
    server.stop().await;
}

#[tokio::test]
async fn a_whole_flight_of_commands_gets_its_replies_in_order() {
    let f = fixture();
    let server = run(f.parts).await;
    let mut client = server.client().await;
    client.say("EHLO client.example", "250-").await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<you@localhost>\r\nRCPT TO:<else@localhost>\r\nDATA\r\n").await;
    for reply in ["250 ", "250 ", "550 5.1.1", "354 "] {
        client.expect(reply).await;
    }
    client.send(".\r\n").await;
    client.expect("250 ").await;
    assert_eq!(f.sink.messages().len(), 1);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_hundred_sessions_at_once() {
    let f = fixture();
    let mut limits = PeerLimits::default();
    limits.connections_per_address_max = 100;
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(limits)).await;
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..100 {
        let mut client = server.client().await;
        sessions.spawn(async move {
            for round in 0..3 {
                client.up_to_data(YOU).await;
                client.send(format!("Subject: {number}-{round}\r\n\r\n{}\r\n.\r\n", "x".repeat(5000))).await;
                client.expect("250 ").await;
            }
            client.say("QUIT", "221 ").await;
        });
    }
    sessions.join_all().await;
    let messages = f.sink.messages();
    let ids: std::collections::HashSet<_> = messages.iter().map(|message| &message.envelope.id).collect();
    assert_eq!((messages.len(), ids.len()), (300, 300));
    server.stop().await;
}

#[tokio::test]
async fn a_message_of_many_packets_arrives_whole() {
    let f = fixture();
    let server = run(f.parts).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    let line = format!("{}\r\n", "0123456789".repeat(7));
    let body = line.repeat(50_000);
    client.send("\r\n").await;
    client.send(&body).await;
    client.send(".\r\n").await;
    client.expect("250 ").await;
    assert!(f.sink.messages()[0].octets.ends_with(body.as_bytes()));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_login_waits_two_seconds() {
    let f = fixture();
    let server = run(f.parts).await;
    let (mut guesser, mut user) = (server.client().await, server.client().await);
    user.say("EHLO client.example", "250-").await;
    user.say(RIGHT, "235 2.7.0").await;
    guesser.say("EHLO client.example", "250-").await;
    guesser.send(format!("{WRONG}\r\n")).await;
    f.clock.sleeper(Duration::from_secs(2)).await;
    user.say("NOOP", "250 ").await;
    user.say("QUIT", "221 ").await;
    f.clock.advance(Duration::from_secs(2));
    guesser.expect("535 5.7.8").await;
    drop((guesser, user));
    server.stop().await;
    let log = f.log.text();
    assert!(log.contains("logged in you@localhost") && log.contains("login refused you@localhost"), "{log}");
    assert!(log.contains("Received AUTH PLAIN <hidden>") && !log.contains("AHlvd"), "{log}");
}

#[tokio::test]
async fn too_many_connections_of_one_address_are_turned_away() {
    let f = fixture();
    let server = run(f.parts).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(server.client().await);
    }
    let mut excess = server.silent_client().await;
    excess.expect("421 4.7.0 ").await;
    excess.expect_end().await;
    for client in &mut clients {
        client.say("NOOP", "250 ").await;
    }
    let mut leaving = clients.pop().unwrap();
    leaving.say("QUIT", "221 ").await;
    leaving.expect_end().await;
    // The seat is free once the server saw the connection end; until then the door says so.
    while !f.log.text().contains("disconnected") {
        tokio::task::yield_now().await;
    }
    let mut late = server.client().await;
    late.say("NOOP", "250 ").await;
    drop((clients, late));
    server.stop().await;
}

/// Panics where it is told to.
struct Panics;

impl Policy for Panics {
    fn recipient<'a>(&'a self, _: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            assert!(rcpt.to.to_string() != "<panic@localhost>", "as was wished");
            Verdict::Accept
        })
    }
}

#[tokio::test]
async fn a_panic_ends_only_its_own_session() {
    let f = fixture();
    let mut limits = PeerLimits::default();
    limits.connections_max = 2;
    let server = SmtpServer::new(config(), Parts { policy: Arc::new(Panics), ..f.parts }).peer_limits(limits);
    let server = start(server).await;
    let (mut bad, mut good) = (server.client().await, server.client().await);
    bad.say("EHLO client.example", "250-").await;
    bad.say("MAIL FROM:<>", "250 ").await;
    bad.say("RCPT TO:<panic@localhost>", "421 4.3.0").await;
    bad.expect_end().await;
    good.up_to_data(YOU).await;
    good.send("x\r\n.\r\n").await;
    good.expect("250 ").await;
    while !f.log.text().contains("disconnected panic") {
        tokio::task::yield_now().await;
    }
    // Its seat is free again.
    let mut late = server.client().await;
    late.say("NOOP", "250 ").await;
    drop((good, late));
    assert!(f.log.text().contains("failed session: as was wished"), "{}", f.log.text());
    server.stop().await;
}

/// Commits when it is told to, and counts.
#[derive(Clone, Default)]
struct SlowSink {
    begun: Arc<Notify>,
    go: Arc<Notify>,
    commits: Arc<AtomicUsize>,
    /// Octets that are taken before an error.
    room: Option<usize>,
    panics: bool,
}

impl MessageSink for SlowSink {
    fn begin(&self, _: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        let incoming: Box<dyn IncomingMessage> = Box::new(self.clone());
        Box::pin(std::future::ready(Ok(incoming)))
    }
}

impl IncomingMessage for SlowSink {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        let result = match &mut self.room {
            Some(room) if octets.len() > *room => {
                Err(SinkError::new(Reply::enhanced(452, 4, 3, 1, "no room"), "the disk is full"))
            }
            Some(room) => {
                *room -= octets.len();
                Ok(())
            }
            None => Ok(()),
        };
        Box::pin(std::future::ready(result))
    }

    fn commit(self: Box<Self>, _: bool) -> BoxFuture<'static, Vec<Outcome>> {
        Box::pin(async move {
            self.begun.notify_one();
            self.go.notified().await;
            assert!(!self.panics, "as was wished");
            self.commits.fetch_add(1, Ordering::SeqCst);
            vec![Outcome::Delivered]
        })
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_reply_has_its_message_stored_once() {
    let f = fixture();
    let sink = SlowSink::default();
    let server = run(Parts { sink: Arc::new(sink.clone()), ..f.parts }).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("Subject: x\r\n\r\n.\r\n").await;
    sink.begun.notified().await;
    drop(client);
    sink.go.notify_one();
    while !f.log.text().contains("disconnected") {
        tokio::task::yield_now().await;
    }
    assert_eq!(sink.commits.load(Ordering::SeqCst), 1);
    assert!(f.log.text().contains("delivered <sender@client.example> <you@localhost> 14"), "{}", f.log.text());
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_hears_what_became_of_its_message() {
    let f = fixture();
    let sink = SlowSink::default();
    let server = run(Parts { sink: Arc::new(sink.clone()), ..f.parts }).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("Subject: x\r\n\r\n.\r\nRSET\r\nQUIT\r\n").await;
    client.stream.get_mut().shutdown().await.unwrap();
    sink.begun.notified().await;
    f.clock.advance(Duration::from_secs(60));
    sink.go.notify_one();
    client.expect("250").await;
    client.expect("250").await;
    client.expect("221").await;
    client.expect_end().await;
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_inside_the_message_leaves_nothing() {
    let f = fixture();
    let server = run(f.parts).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("Subject: x\r\n\r\nQUIT\r\n").await;
    drop(client);
    while !f.log.text().contains("disconnected EndOfInput") {
        tokio::task::yield_now().await;
    }
    assert!(f.sink.messages().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_sink_that_fails_or_panics_is_a_temporary_refusal() {
    let f = fixture();
    let sink = SlowSink { room: Some(10), ..SlowSink::default() };
    let server = run(Parts { sink: Arc::new(sink), ..f.parts.clone() }).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("Subject: this is too long\r\n\r\nbody\r\n.\r\n").await;
    client.expect("452 4.3.1 no room").await;
    client.say("NOOP", "250 ").await;
    drop(client);
    server.stop().await;
    assert!(f.log.text().contains("failed message: the disk is full"), "{}", f.log.text());

    let sink = SlowSink { panics: true, ..SlowSink::default() };
    sink.go.notify_one();
    let server = run(Parts { sink: Arc::new(sink), ..f.parts }).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("x\r\n.\r\n").await;
    client.expect("451 4.3.0").await;
    client.say("NOOP", "250 ").await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn shutdown_says_goodbye_and_keeps_what_is_under_way() {
    let f = fixture();
    let sink = SlowSink::default();
    let server = run(Parts { sink: Arc::new(sink.clone()), ..f.parts }).await;
    let (mut idle, mut busy) = (server.client().await, server.client().await);
    busy.up_to_data(YOU).await;
    busy.send("Subject: x\r\n\r\n.\r\n").await;
    sink.begun.notified().await;
    server.shutdown.begin();
    idle.expect("421 4.").await;
    idle.expect_end().await;
    sink.go.notify_one();
    busy.expect("250 2.0.0 accepted").await;
    busy.expect("421 4.").await;
    busy.expect_end().await;
    let address = server.address;
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert_eq!(sink.commits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let f = fixture();
    let sink = SlowSink::default();
    let server = run(Parts { sink: Arc::new(sink.clone()), ..f.parts }).await;
    let mut client = server.client().await;
    client.up_to_data(YOU).await;
    client.send("Subject: x\r\n\r\n.\r\n").await;
    sink.begun.notified().await;
    server.shutdown.begin();
    f.clock.sleeper(Duration::from_secs(30)).await;
    f.clock.advance(Duration::from_secs(30));
    server.ended.await.unwrap();
    client.expect_end().await;
    // The session is gone; its message is still wholly stored.
    sink.go.notify_one();
    while sink.commits.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_idle_client_is_sent_away() {
    let f = fixture();
    let server = run(f.parts).await;
    let mut client = server.client().await;
    client.say("NOOP", "250 ").await;
    f.clock.sleeper(Duration::from_secs(300)).await;
    f.clock.advance(Duration::from_secs(300));
    client.expect("421 4.4.2").await;
    client.expect_end().await;
    server.stop().await;
    assert!(f.log.text().contains("disconnected Timeout"), "{}", f.log.text());
}

/// Writes down what was said before the greeting.
struct EarlyTalk(Arc<AtomicUsize>);

impl Policy for EarlyTalk {
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        self.0.store(session.early_talk, Ordering::SeqCst);
        let verdict = match session.early_talk {
            0 => Verdict::Accept,
            _ => Verdict::Hangup(Reply::enhanced(554, 5, 5, 1, "wait for the greeting")),
        };
        Box::pin(std::future::ready(verdict))
    }

    fn recipient<'a>(&'a self, _: &'a Session, _: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(Verdict::Accept))
    }
}

#[tokio::test]
async fn the_policy_hears_of_early_talk() {
    let f = fixture();
    let early = Arc::new(AtomicUsize::new(usize::MAX));
    let server = SmtpServer::new(config(), Parts { policy: Arc::new(EarlyTalk(early.clone())), ..f.parts });
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut client = support::Client::new(theirs);
    client.send("EHLO client.example\r\n").await;
    let shutdown = pillarbox::Shutdown::new();
    let (_, ()) = tokio::join!(
        async {
            client.expect("554 5.5.1 wait").await;
            client.expect_end().await;
        },
        server.serve_connection(ours, None, &shutdown)
    );
    assert_eq!(early.load(Ordering::SeqCst), 21);
}

#[tokio::test]
async fn a_client_that_writes_without_reading_is_not_waited_for_with_deaf_ears() {
    // Two pipes of 64 octets: neither side can finish writing unless the other reads meanwhile.
    let f = fixture();
    let server = SmtpServer::new(config(), f.parts);
    let (ours, theirs) = tokio::io::duplex(64);
    let mut client = support::Client::new(theirs);
    let shutdown = pillarbox::Shutdown::new();
    tokio::join!(
        async {
            client.expect("220 ").await;
            client.say("EHLO client.example", "250-").await;
            client.send("MAIL FROM:<>\r\nRSET\r\n".repeat(45)).await;
            for _ in 0..90 {
                client.expect("250 ").await;
            }
            client.say("QUIT", "221 ").await;
            client.expect_end().await;
        },
        server.serve_connection(ours, None, &shutdown)
    );
}

/// Fails twice, then has one connection.
struct Shaky(std::sync::Mutex<Vec<std::io::Result<pillarbox::Accepted>>>);

impl pillarbox::Listener for Shaky {
    fn accept(&self) -> BoxFuture<'_, std::io::Result<pillarbox::Accepted>> {
        match self.0.lock().unwrap().pop() {
            Some(accepted) => Box::pin(std::future::ready(accepted)),
            None => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn a_listener_that_fails_is_tried_again() {
    let f = fixture();
    let (ours, theirs) = tokio::io::duplex(1024);
    let (no_descriptors, gone) = (std::io::Error::other("none left"), std::io::ErrorKind::ConnectionAborted.into());
    let listener = Shaky(std::sync::Mutex::new(vec![Ok((Box::new(ours), None)), Err(no_descriptors), Err(gone)]));
    let server = SmtpServer::new(config(), f.parts);
    let shutdown = pillarbox::Shutdown::new();
    tokio::join!(
        async {
            // Only the trouble of our own is waited out.
            f.clock.sleeper(Duration::from_millis(100)).await;
            f.clock.advance(Duration::from_millis(100));
            let mut client = support::Client::new(theirs);
            client.expect("220 ").await;
            client.say("QUIT", "221 ").await;
            client.expect_end().await;
            shutdown.begin();
        },
        server.serve(listener, &shutdown)
    );
    let failures = f.log.lines().into_iter().filter(|line| line.starts_with("failed"));
    assert_eq!(failures.collect::<Vec<_>>(), ["failed accept: none left"]);
}

#[tokio::test]
async fn lmtp_tells_each_recipient_its_own_outcome_over_a_unix_socket() {
    struct Choosy;
    struct Choice(usize);
    impl MessageSink for Choosy {
        fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
            let incoming: Box<dyn IncomingMessage> = Box::new(Choice(envelope.recipients.len()));
            Box::pin(std::future::ready(Ok(incoming)))
        }
    }
    impl IncomingMessage for Choice {
        fn write<'a>(&'a mut self, _: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
            Box::pin(std::future::ready(Ok(())))
        }
        fn commit(self: Box<Self>, all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
            assert!(!all_or_nothing);
            let full = Outcome::Refused(Reply::enhanced(452, 4, 2, 2, "mailbox full"));
            Box::pin(std::future::ready([Outcome::Delivered, full][..self.0].to_vec()))
        }
    }
    let f = fixture();
    let mut config = config();
    config.protocol = Protocol::Lmtp;
    let server = SmtpServer::new(config, Parts { sink: Arc::new(Choosy), ..f.parts });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let shutdown = pillarbox::Shutdown::new();
    let mut client = support::Client::new(tokio::net::UnixStream::connect(&path).await.unwrap());
    tokio::join!(
        async {
            client.expect("220 ").await;
            client.say("LHLO client.example", "250-").await;
            client.say("MAIL FROM:<>", "250 ").await;
            client.say("RCPT TO:<you@localhost>", "250 ").await;
            client.say("RCPT TO:<me@localhost>", "250 ").await;
            client.say("DATA", "354 ").await;
            client.send("x\r\n.\r\n").await;
            client.expect("250 2.0.0").await;
            client.expect("452 4.2.2 mailbox full").await;
            client.say("QUIT", "221 ").await;
            drop(client);
            shutdown.begin();
        },
        server.serve(listener, &shutdown)
    );
    assert!(f.log.text().starts_with("connected lmtp None"), "{}", f.log.text());
}
