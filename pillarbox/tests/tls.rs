//! TLS under the SMTP server.
#![cfg(feature = "tls")]

mod support;
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::parts::{BoxFuture, MemorySink, Parts, Policy, Session, Verdict};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox::testing::SteppedClock;
use pillarbox_core::TlsFacts;
use pillarbox_smtp::server::Rcpt;
use support::{Client, Running, start};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Accepts everything and keeps what it heard of TLS.
#[derive(Clone, Default)]
struct Facts(Arc<Mutex<Option<TlsFacts>>>);

impl Policy for Facts {
    fn recipient<'a>(&'a self, session: &'a Session, _: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        self.0.lock().unwrap().clone_from(&session.tls);
        Box::pin(std::future::ready(Verdict::Accept))
    }
}

async fn server(pair: &tls::Pair, implicit: bool) -> (Running, Facts, MemorySink, SteppedClock) {
    let (facts, sink, clock) = (Facts::default(), MemorySink::new(), SteppedClock::new());
    let parts = Parts {
        policy: Arc::new(facts.clone()),
        sink: Arc::new(sink.clone()),
        clock: Arc::new(clock.clone()),
        ..Parts::in_memory()
    };
    let server =
        SmtpServer::new(ServerConfig::new("mx.localhost"), parts).tls(pair.server.clone()).implicit_tls(implicit);
    (start(server).await, facts, sink, clock)
}

async fn handshake(pair: &tls::Pair, stream: TcpStream) -> Client<TlsStream<TcpStream>> {
    Client::new(TlsConnector::from(pair.client.clone()).connect(tls::name(), stream).await.unwrap())
}

/// Delivers a message, and compares what the two sides know of the layer.
async fn deliver(mut client: Client<TlsStream<TcpStream>>, facts: &Facts, sink: &MemorySink) {
    client.up_to_data("you@localhost").await;
    client.send("Subject: x\r\n\r\nsecret\r\n.\r\n").await;
    client.expect("250 ").await;
    let connection = client.stream.get_ref().get_ref().1;
    let exporter = connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).unwrap();
    let seen = facts.0.lock().unwrap().clone().unwrap();
    assert_eq!(seen.exporter, Some(exporter));
    assert_eq!((&*seen.version, seen.sni.as_deref()), ("TLSv1.3", Some("localhost")));
    assert!(seen.cipher.starts_with("TLS_"), "{}", seen.cipher);
    let trace = String::from_utf8(sink.messages()[0].envelope.trace.clone()).unwrap();
    assert!(
        trace.contains("with ESMTPS") && trace.contains(&format!("TLSv1.3 with cipher {}", seen.cipher)),
        "{trace}"
    );
    client.say("QUIT", "221 ").await;
    client.expect_end().await;
}

#[tokio::test]
async fn starttls() {
    let pair = tls::pair();
    let (server, facts, sink, _) = server(&pair, false).await;
    let mut client = server.client().await;
    assert!(client.say("EHLO client.example", "250-").await.contains("STARTTLS"));
    client.say("STARTTLS", "220 ").await;
    let mut client = handshake(&pair, client.stream.into_inner()).await;
    client.say("MAIL FROM:<>", "503 ").await;
    assert!(!client.say("EHLO client.example", "250-").await.contains("STARTTLS"));
    deliver(client, &facts, &sink).await;
    server.stop().await;
}

#[tokio::test]
async fn implicit_tls() {
    let pair = tls::pair();
    let (server, facts, sink, _) = server(&pair, true).await;
    let mut client = handshake(&pair, TcpStream::connect(server.address).await.unwrap()).await;
    client.expect("220 ").await;
    deliver(client, &facts, &sink).await;
    server.stop().await;
}

#[tokio::test]
async fn clear_text_does_not_cross_into_tls() {
    let pair = tls::pair();
    let (server, _, sink, _) = server(&pair, false).await;
    let mut client = server.client().await;
    client.say("EHLO client.example", "250-").await;
    client.send("STARTTLS\r\nMAIL FROM:<x@client.example>\r\n").await;
    client.expect("220 ").await;
    client.expect("554 5.5.0").await;
    client.expect_end().await;
    assert!(sink.messages().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn clear_text_on_the_port_of_tls_gets_no_clear_answer() {
    let pair = tls::pair();
    let (server, ..) = server(&pair, true).await;
    let mut client = server.silent_client().await;
    client.send("EHLO client.example\r\n").await;
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).await.unwrap();
    // A TLS alert (content type 21) or nothing.
    assert!(answer.is_empty() || answer[0] == 21, "{}", answer.escape_ascii());
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_takes_thirty_seconds_at_most() {
    let pair = tls::pair();
    let (server, _, _, clock) = server(&pair, true).await;
    let client = server.silent_client().await;
    clock.sleeper(Duration::from_secs(30)).await;
    clock.advance(Duration::from_secs(30));
    client.expect_end().await;
    server.stop().await;
}

#[tokio::test]
async fn fifty_clients_under_tls_at_once() {
    let pair = Arc::new(tls::pair());
    let (server, _, sink, _) = server(&pair, false).await;
    let mut sessions = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let mut client = server.client().await;
        let pair = pair.clone();
        sessions.spawn(async move {
            client.say("EHLO client.example", "250-").await;
            client.say("STARTTLS", "220 ").await;
            let mut client = handshake(&pair, client.stream.into_inner()).await;
            client.up_to_data("you@localhost").await;
            client.send(format!("\r\n{}.\r\n", "0123456789\r\n".repeat(20_000))).await;
            client.expect("250 ").await;
        });
    }
    sessions.join_all().await;
    assert!(sink.messages().iter().all(|message| message.octets.ends_with(b"0123456789\r\n")));
    assert_eq!(sink.messages().len(), 50);
    server.stop().await;
}

/// Shakes hands with a client that names these protocols; the connection, or the error that the client saw.
async fn offer(pair: &tls::Pair, server: &Running, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = (*pair.client).clone();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(server.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(tls::name(), stream).await
}

#[tokio::test]
async fn a_browser_is_refused_in_the_handshake() {
    let pair = tls::pair();
    let (server, ..) = server(&pair, true).await;
    let refused = offer(&pair, &server, &[b"h2", b"http/1.1"]).await.unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    let offers: [&[&[u8]]; 3] = [&[], &[b"smtp"], &[b"h2", b"smtp"]];
    for alpn in offers {
        let mut client = Client::new(offer(&pair, &server, alpn).await.unwrap());
        client.expect("220 ").await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_of_one_service_is_not_resumed_at_another() {
    let mut pair = tls::pair();
    // With tickets that the server keeps, and with such that it seals.
    for sealed in [false, true] {
        if sealed {
            let mut config = (*pair.server).clone();
            config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
            pair.server = Arc::new(config);
        }
        let run = async |service| {
            let parts = Parts { policy: Arc::new(Facts::default()), ..Parts::in_memory() };
            let server = SmtpServer::new(ServerConfig::new("mx.localhost"), parts).tls(pair.server.clone());
            start(server.service(service).implicit_tls(true)).await
        };
        let (port_25, submission) = (run("smtp").await, run("submission").await);
        // One client for all, with its tickets.
        let client = Arc::new((*pair.client).clone());
        let kind = async |server: &Running| {
            let stream = TcpStream::connect(server.address).await.unwrap();
            let mut client =
                Client::new(TlsConnector::from(client.clone()).connect(tls::name(), stream).await.unwrap());
            // Tickets come behind the handshake.
            client.expect("220 ").await;
            client.stream.get_ref().get_ref().1.handshake_kind().unwrap()
        };
        use rustls::HandshakeKind::{Full, Resumed};
        assert_eq!(kind(&port_25).await, Full);
        assert_eq!(kind(&port_25).await, Resumed, "sealed: {sealed}");
        assert_eq!(kind(&submission).await, Full, "sealed: {sealed}");
        assert_eq!(kind(&submission).await, Resumed, "sealed: {sealed}");
        port_25.stop().await;
        submission.stop().await;
    }
}

#[tokio::test]
async fn a_handshake_that_fails_leaves_no_way_back() {
    let pair = tls::pair();
    let (server, _, sink, _) = server(&pair, false).await;
    // No TLS at all; TLS 1.0 and nothing newer, with one old suite.
    let old: &[u8] =
        b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
        \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x2f\x00\x0a\x01\x00";
    for hello in [&b"MAIL FROM:<a@client.example>\r\nRCPT TO:<you@localhost>\r\nDATA\r\n"[..], old] {
        let mut client = server.client().await;
        client.say("EHLO client.example", "250-").await;
        client.say("STARTTLS", "220 ").await;
        client.send(hello).await;
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = client.stream.read_to_end(&mut answer).await;
        // A TLS alert (content type 21) or nothing.
        assert!(answer.is_empty() || answer[0] == 21, "{}", answer.escape_ascii());
    }
    assert!(sink.messages().is_empty());
    server.stop().await;
}

/// A ClientHello of an old client: this version at most, and these cipher suites.
fn old_hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let length = |octets: usize, width: usize| octets.to_be_bytes()[size_of::<usize>() - width..].to_vec();
    let body = [&version[..], &[7; 32], &[0], &length(suites.len(), 2), &suites, &[1, 0]].concat();
    let message = [&[1][..], &length(body.len(), 3), &body].concat();
    [&[22, 3, 1][..], &length(message.len(), 2), &message].concat()
}

#[tokio::test]
async fn old_versions_and_suites_are_refused_with_an_alert() {
    // RSA with AES, 3DES and RC4; with export keys; anonymous; without encryption.
    let suites = [0x002f, 0x000a, 0x0005, 0x0003, 0x0008, 0x0034, 0x001b, 0x0001, 0x003b];
    let pair = tls::pair();
    for is_implicit in [false, true] {
        let (server, _, _, _) = server(&pair, is_implicit).await;
        for version in [[3, 0], [3, 1], [3, 2], [3, 3]] {
            let mut client = match is_implicit {
                true => server.silent_client().await,
                false => {
                    let mut client = server.client().await;
                    client.say("EHLO client.example", "250-").await;
                    client.say("STARTTLS", "220 ").await;
                    client
                }
            };
            client.send(old_hello(version, &suites)).await;
            let mut answer = Vec::new();
            let _ = client.stream.read_to_end(&mut answer).await;
            // A fatal alert and nothing else: no hello of a server.
            assert_eq!((answer.len(), answer[0], answer[5]), (7, 21, 2), "{version:?} {}", answer.escape_ascii());
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn versions_of_today_are_spoken() {
    let pair = tls::pair();
    for (version, name) in [(&rustls::version::TLS12, "TLSv1.2"), (&rustls::version::TLS13, "TLSv1.3")] {
        let (server, facts, _, _) = server(&pair, true).await;
        let config = tls::client_of(&pair, &[version]);
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut client = Client::new(TlsConnector::from(config).connect(tls::name(), stream).await.unwrap());
        client.expect("220 ").await;
        client.up_to_data("you@localhost").await;
        let seen = facts.0.lock().unwrap().clone().unwrap();
        assert_eq!(&*seen.version, name);
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_is_cut_off_under_tls_is_not_taken() {
    let pair = tls::pair();
    let (server, _, sink, _) = server(&pair, true).await;
    let mut client = handshake(&pair, TcpStream::connect(server.address).await.unwrap()).await;
    client.expect("220 ").await;
    client.up_to_data("you@localhost").await;
    client.send("Subject: x\r\n\r\nQUIT\r\n").await;
    // The connection ends without the goodbye of TLS, as when somebody in between cuts it.
    drop(client);
    server.stop().await;
    assert!(sink.messages().is_empty());
}
