//! Whom a server listens to, and how much: load balancers, proxies, filters, crowds, and those who talk too early.
#![cfg(feature = "tokio")]

#[path = "support/account.rs"]
mod account;
mod support;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use account::{YOU, config, fixture};
use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::{BoxFuture, Parts, Policy, Session, Verdict};
use pillarbox::smtp::{Protocol, SmtpServer};
use pillarbox::{Network, PeerLimits, Shutdown};
use pillarbox_core::Reply;
use pillarbox_smtp::server::Rcpt;
use support::{Client, Log, start};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

fn loopback() -> Vec<Network> {
    vec!["127.0.0.0/8".parse().unwrap()]
}

fn behind_proxies(proxies: Vec<Network>) -> PeerLimits {
    let mut limits = PeerLimits::default();
    limits.proxies = proxies;
    limits
}

async fn until(log: &Log, text: &str) {
    while !log.text().contains(text) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_client_behind_a_load_balancer() {
    let f = fixture();
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(behind_proxies(loopback()))).await;
    // Version 1, with the first command in the same packet: it is no early talk of the proxy's, but of the client's.
    let mut client = server.silent_client().await;
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").await;
    client.expect("220 ").await;
    client.up_to_data(YOU).await;
    client.send("x\r\n.\r\n").await;
    client.expect("250 ").await;
    let trace = String::from_utf8(f.sink.messages()[0].envelope.trace.clone()).unwrap();
    assert!(trace.contains("([192.0.2.7])") && !trace.contains("127.0.0.1"), "{trace}");
    drop(client);
    // Version 2.
    let mut client = server.silent_client().await;
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x12\x67\x00\x19";
    for octet in header {
        client.send([*octet]).await;
    }
    client.expect("220 ").await;
    drop(client);
    // A look at our health.
    let mut client = server.silent_client().await;
    client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00").await;
    client.expect("220 ").await;
    drop(client);
    server.stop().await;
    let log = f.log.text();
    for ip in ["192.0.2.7", "192.0.2.8", "127.0.0.1"] {
        assert!(log.contains(&format!("connected smtp Some({ip})")), "{log}");
    }
}

#[tokio::test]
async fn what_is_no_header_is_closed_without_a_word() {
    let f = fixture();
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(behind_proxies(loopback()))).await;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let too_long: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    for wrong in [b"EHLO client.example\r\n", long.as_bytes(), too_long, b"PROXY TCP4 a b 1 2\r\n", b"\x16\x03\x01"] {
        let mut client = server.silent_client().await;
        client.send(wrong).await;
        client.expect_end().await;
    }
    // Nothing at all, for three seconds.
    let client = server.silent_client().await;
    f.clock.sleeper(Duration::from_secs(3)).await;
    f.clock.advance(Duration::from_secs(3));
    client.expect_end().await;
    until(&f.log, "did not come in time").await;
    // Half of it, and gone.
    let mut client = server.silent_client().await;
    client.send("PROXY TCP4 192").await;
    drop(client);
    until(&f.log, "ended within the PROXY header").await;
    assert!(!f.log.text().contains("Sent 220"), "{}", f.log.text());
    server.stop().await;
}

#[tokio::test]
async fn a_header_comes_once_and_from_whom_it_may() {
    let f = fixture();
    let server = start(SmtpServer::new(config(), f.parts.clone()).peer_limits(behind_proxies(loopback()))).await;
    let mut client = server.silent_client().await;
    client.send("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").await;
    client.expect("220 ").await;
    client.say("PROXY TCP4 192.0.2.9 192.0.2.1 4711 25", "500 ").await;
    client.expect_end().await;
    server.stop().await;

    // Somebody who is no proxy of ours.
    let elsewhere = vec!["192.0.2.0/24".parse().unwrap()];
    let server = start(SmtpServer::new(config(), f.parts.clone()).peer_limits(behind_proxies(elsewhere))).await;
    let mut client = server.silent_client().await;
    // The connection may be gone before the header is sent.
    let _ = tokio::io::AsyncWriteExt::write_all(client.stream.get_mut(), b"PROXY UNKNOWN\r\n").await;
    client.expect_end().await;
    server.stop().await;

    // A listener that expects none.
    let server = start(SmtpServer::new(config(), f.parts)).await;
    let mut client = server.client().await;
    client.say("PROXY TCP4 192.0.2.7 192.0.2.1 4711 25", "500 ").await;
    client.expect_end().await;
    server.stop().await;
}

#[tokio::test]
async fn clients_behind_a_load_balancer_are_counted_each_by_itself() {
    let f = fixture();
    let mut limits = behind_proxies(loopback());
    limits.connections_per_address_max = 1;
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(limits)).await;
    let connect = async |ip: &str| {
        let mut client = server.silent_client().await;
        client.send(format!("PROXY TCP4 {ip} 192.0.2.1 4711 25\r\n")).await;
        client
    };
    let mut one = connect("192.0.2.7").await;
    one.expect("220 ").await;
    let mut other = connect("192.0.2.8").await;
    other.expect("220 ").await;
    let mut again = connect("192.0.2.7").await;
    again.expect("421 4.7.0 ").await;
    again.expect_end().await;
    drop((one, other));
    server.stop().await;
}

#[tokio::test]
async fn imap_behind_a_load_balancer() {
    let f = fixture();
    let server = ImapServer::new(imap::ServerConfig::default(), f.parts).peer_limits(behind_proxies(loopback()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let (until_then, serving) = (shutdown.clone(), server.clone());
    let ended = tokio::spawn(async move { serving.serve(listener, &until_then).await });
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client.send("PROXY TCP6 2001:db8::7 2001:db8::1 4711 143\r\na LOGOUT\r\n").await;
    client.expect("* OK").await;
    client.expect("* BYE").await;
    client.expect("a OK").await;
    client.expect_end().await;
    let mut client = Client::new(TcpStream::connect(address).await.unwrap());
    client.send("a NOOP\r\n").await;
    client.expect_end().await;
    shutdown.begin();
    ended.await.unwrap();
    assert!(f.log.text().contains("connected imap Some(2001:db8::7)"), "{}", f.log.text());
}

/// Accepts all, and writes down who was asked about.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, question: &str, session: &Session) {
        let name = session.xclient.as_ref().and_then(|told| told.name.as_ref()?.value().cloned());
        let from = session.xforward.as_ref().and_then(|told| told.addr.as_ref()?.value().copied());
        let user = session.identity.as_ref().map(|identity| identity.user());
        let ip = session.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let line = format!("{question} {ip} name={name:?} hello={:?} user={user:?} from={from:?}", session.hello);
        self.0.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Policy for Asked {
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        self.note("connect", session);
        let unwelcome = session.ip.is_some_and(|ip| ip.to_string() == "192.0.2.66");
        let verdict = match unwelcome {
            true => Verdict::Refuse(Reply::enhanced(554, 5, 7, 1, "not you")),
            false => Verdict::Accept,
        };
        Box::pin(std::future::ready(verdict))
    }

    fn recipient<'a>(&'a self, session: &'a Session, _: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        self.note("recipient", session);
        Box::pin(std::future::ready(Verdict::Accept))
    }
}

#[tokio::test]
async fn a_proxy_says_who_its_client_is() {
    let (f, asked) = (fixture(), Asked::default());
    let parts = Parts { policy: Arc::new(asked.clone()), ..f.parts };
    let mut config = config();
    config.auth_required = true;
    let server = start(SmtpServer::new(config, parts).xclient_hosts(loopback())).await;
    let mut client = server.client().await;
    assert!(client.say("EHLO proxy.example", "250-").await.contains("XCLIENT NAME ADDR"));
    client.say("XCLIENT NAME=client.example ADDR=192.0.2.7 HELO=helo.example LOGIN=you+40localhost", "220 ").await;
    client.up_to_data(YOU).await;
    client.send("x\r\n.\r\n").await;
    client.expect("250 ").await;
    assert_eq!(
        asked.take(),
        [
            "connect 127.0.0.1 name=None hello=None user=None from=None",
            r#"connect 192.0.2.7 name=Some("client.example") hello=Some("helo.example") user=Some("you@localhost") from=None"#,
            r#"recipient 192.0.2.7 name=Some("client.example") hello=Some("client.example") user=Some("you@localhost") from=None"#,
        ]
    );
    let trace = String::from_utf8(f.sink.messages()[0].envelope.trace.clone()).unwrap();
    assert!(trace.contains("from client.example (client.example [192.0.2.7])"), "{trace}");
    assert!(trace.contains("with ESMTPA"), "{trace}");
    // What the client itself says is not believed.
    client.say("XCLIENT ADDR=127.0.0.1", "550 5.7.0").await;
    client.say("XFORWARD ADDR=127.0.0.1", "550 5.7.0").await;
    drop(client);
    // Another client, who is not welcome.
    let mut client = server.client().await;
    client.say("XCLIENT ADDR=192.0.2.66", "554 5.7.1 not you").await;
    client.say("EHLO client.example", "503 ").await;
    client.say("QUIT", "221 ").await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_stranger_is_no_proxy() {
    let f = fixture();
    let elsewhere: Network = "192.0.2.0/24".parse().unwrap();
    let server = start(SmtpServer::new(config(), f.parts).xclient_hosts([elsewhere]).xforward_hosts([elsewhere])).await;
    let mut client = server.client().await;
    let offered = client.say("EHLO client.example", "250-").await;
    assert!(!offered.contains("XCLIENT") && !offered.contains("XFORWARD"), "{offered}");
    client.say("XCLIENT ADDR=192.0.2.7 LOGIN=you+40localhost", "550 5.7.0").await;
    client.say("XFORWARD ADDR=192.0.2.7", "550 5.7.0").await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_filter_says_where_a_message_came_from() {
    let (f, asked) = (fixture(), Asked::default());
    let parts = Parts { policy: Arc::new(asked.clone()), ..f.parts };
    let server = start(SmtpServer::new(config(), parts).xforward_hosts(loopback())).await;
    let mut client = server.client().await;
    client.say("EHLO filter.example", "250-").await;
    client.say("XFORWARD ADDR=IPV6:2001:db8::7 NAME=[UNAVAILABLE]", "250 ").await;
    for _ in 0..2 {
        client.say("MAIL FROM:<>", "250 ").await;
        client.say(&format!("RCPT TO:<{YOU}>"), "250 ").await;
        client.say("DATA", "354 ").await;
        client.send("x\r\n.\r\n").await;
        client.expect("250 ").await;
    }
    let heard: Vec<_> = asked.take().into_iter().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(heard, ["from=None", "from=Some(2001:db8::7)", "from=None"], "it holds for one message");
    let trace = String::from_utf8(f.sink.messages()[0].envelope.trace.clone()).unwrap();
    assert!(trace.contains("[127.0.0.1]"), "{trace}");
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_crowd_makes_everybody_hurry() {
    let f = fixture();
    let mut limits = PeerLimits::default();
    (limits.connections_max, limits.connections_per_address_max) = (10, 10);
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(limits)).await;
    // Eight are patient: nobody is sent away after ten seconds.
    let mut patient = Vec::new();
    for _ in 0..8 {
        patient.push(server.client().await);
    }
    f.clock.advance(Duration::from_secs(9));
    patient[0].say("NOOP", "250 ").await;
    // The ninth makes it a crowd: those who have waited so long are sent away, and a mistake is one too many.
    let mut ninth = server.client().await;
    f.clock.advance(Duration::from_secs(2));
    for mut client in patient.drain(1..) {
        client.expect("421 4.4.2").await;
        client.expect_end().await;
    }
    // Now there are two; the mistakes are forgiven again once those have gone.
    while f.log.text().matches("disconnected").count() < 7 {
        tokio::task::yield_now().await;
    }
    ninth.say("XFOO", "500 ").await;
    ninth.say("XFOO", "500 ").await;
    drop((patient, ninth));
    server.stop().await;
}

#[tokio::test]
async fn one_mistake_in_a_crowd() {
    let f = fixture();
    let mut limits = PeerLimits::default();
    limits.connections_max = 1;
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(limits)).await;
    let mut client = server.client().await;
    client.say("XFOO", "500 ").await;
    client.expect("421 4.7.0").await;
    client.expect_end().await;
    server.stop().await;
}

/// Refuses those who talk before they are greeted.
struct Patience;

impl Policy for Patience {
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        let verdict = match session.early_talk {
            0 => Verdict::Accept,
            _ => Verdict::Refuse(Reply::enhanced(554, 5, 5, 1, "wait for the greeting")),
        };
        Box::pin(std::future::ready(verdict))
    }

    fn recipient<'a>(&'a self, _: &'a Session, _: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(std::future::ready(Verdict::Accept))
    }
}

#[tokio::test]
async fn who_does_not_wait_for_the_greeting_is_found_out() {
    let f = fixture();
    let parts = Parts { policy: Arc::new(Patience), ..f.parts };
    let server = start(SmtpServer::new(config(), parts).greet_wait(Duration::from_secs(6))).await;
    let (mut honest, mut hasty) = (server.silent_client().await, server.silent_client().await);
    f.clock.sleeper(Duration::from_secs(6)).await;
    hasty.send("EHLO client.example\r\n").await;
    // Nobody has to wait for what is known already.
    hasty.expect("554 5.5.1 wait").await;
    f.clock.advance(Duration::from_secs(6));
    honest.expect("220 ").await;
    drop((honest, hasty));
    server.stop().await;
    let log = f.log.text();
    assert!(log.matches("talked early").count() == 1 && log.contains("talked early EHLO client.example"), "{log}");
}

#[tokio::test]
async fn connections_of_a_minute() {
    let f = fixture();
    let mut limits = PeerLimits::default();
    limits.connections_per_minute_max = 3;
    let server = start(SmtpServer::new(config(), f.parts).peer_limits(limits)).await;
    for _ in 0..3 {
        server.client().await.say("QUIT", "221 ").await;
    }
    let mut excess = server.silent_client().await;
    excess.expect("421 4.7.0 ").await;
    excess.expect_end().await;
    f.clock.advance(Duration::from_secs(20));
    server.client().await.say("QUIT", "221 ").await;
    server.stop().await;
}

/// Says it is port 25.
struct Port25;

impl pillarbox::Listener for Port25 {
    fn accept(&self) -> BoxFuture<'_, std::io::Result<pillarbox::Accepted>> {
        Box::pin(std::future::pending())
    }

    fn port(&self) -> Option<u16> {
        Some(25)
    }
}

#[tokio::test]
async fn lmtp_is_not_served_on_port_25() {
    let f = fixture();
    let mut config = config();
    config.protocol = Protocol::Lmtp;
    let shutdown = Shutdown::new();
    SmtpServer::new(config, f.parts).serve(Port25, &shutdown).await;
    assert_eq!(f.log.lines(), ["failed listen: LMTP must not be spoken on port 25 (RFC 2033 §5)"]);
}

#[tokio::test]
async fn foreign_protocols_are_closed_over_smtp_and_lmtp() {
    let f = fixture();
    for protocol in [Protocol::Smtp, Protocol::Lmtp] {
        let mut config = config();
        config.protocol = protocol;
        let server = start(SmtpServer::new(config, f.parts.clone())).await;
        for first in [
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<>\r\n"[..],
            b"POST / HTTP/1.1\r\n\r\nLHLO x\r\nMAIL FROM:<>\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x03\x00\x00\x2b\x26\xe0\x00\x00\x00\x00\x00Cookie: mstshash=x\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            let mut client = server.client().await;
            client.send(first).await;
            let mut answer = String::new();
            // A reset is an end as well.
            let _ = client.stream.read_to_string(&mut answer).await;
            assert_eq!(answer.lines().count(), 1, "{}: {answer}", first.escape_ascii());
            assert!(answer.starts_with("500 "), "{answer}");
        }
        server.stop().await;
    }
    assert!(f.sink.messages().is_empty());
}
