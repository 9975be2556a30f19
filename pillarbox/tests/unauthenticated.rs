//! How many sessions there may be that nobody has logged in to, over all protocols together.
#![cfg(feature = "tokio")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::{MemoryAuthenticator, Parts, UnauthenticatedLimit};
use pillarbox::smtp::{Protocol, ServerConfig, SmtpServer};
use pillarbox::{PeerLimits, Shutdown};
use pillarbox_core::sasl::{Mechanism, encode};
use support::{Client, Log};
use tokio::net::{TcpListener, TcpStream};

const YOU: &str = "you@localhost";

struct Fixture {
    strangers: Arc<UnauthenticatedLimit>,
    log: Log,
    parts: Parts,
}

fn fixture(max: usize) -> Fixture {
    let (strangers, log) = (Arc::new(UnauthenticatedLimit::new(max)), Log::default());
    let parts = Parts {
        authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
        unauthenticated: Arc::clone(&strangers),
        observer: Arc::new(log.clone()),
        ..Parts::in_memory()
    };
    Fixture { strangers, log, parts }
}

fn smtp(parts: &Parts, protocol: Protocol) -> SmtpServer {
    let mut config = ServerConfig::new("mx.localhost");
    config.protocol = protocol;
    (config.mechanisms, config.auth_without_tls) = (vec![Mechanism::Plain], true);
    SmtpServer::new(config, parts.clone())
}

fn imap(parts: &Parts) -> ImapServer {
    let mut config = imap::ServerConfig::default();
    config.login_without_tls = true;
    config.extensions.unauthenticate = true;
    ImapServer::new(config, parts.clone())
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Runs a server until the test ends.
macro_rules! run {
    ($server:expr) => {{
        let (listener, address) = listen().await;
        let server = $server;
        tokio::spawn(async move { server.serve(listener, &Shutdown::new()).await });
        address
    }};
}

async fn connect(address: SocketAddr) -> Client<TcpStream> {
    Client::new(TcpStream::connect(address).await.unwrap())
}

async fn until(strangers: &UnauthenticatedLimit, count: usize) {
    while strangers.count() != count {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_thousand_unless_told_otherwise() {
    assert_eq!(Parts::in_memory().unauthenticated.max(), 1000);
}

#[tokio::test]
async fn all_protocols_share_one_count() {
    let f = fixture(3);
    let mail = run!(smtp(&f.parts, Protocol::Smtp));
    let delivery = run!(smtp(&f.parts, Protocol::Lmtp));
    let reading = run!(imap(&f.parts));
    let (mut one, mut two, mut three) = (connect(mail).await, connect(delivery).await, connect(reading).await);
    one.expect("220 ").await;
    two.expect("220 ").await;
    three.expect("* OK").await;
    assert_eq!(f.strangers.count(), 3);
    // One more, of whatever protocol.
    for (address, excuse) in [
        (mail, "421 4.3.2 "),
        (delivery, "421 4.3.2 "),
        (reading, "* BYE [LIMIT] too many connections without a login"),
    ] {
        let mut excess = connect(address).await;
        excess.expect(excuse).await;
        excess.expect_end().await;
    }
    let log = f.log.text();
    assert_eq!(log.matches("refused connection: ").count(), 3, "{log}");
    // Whoever logs in makes room, and so does whoever goes.
    one.say("EHLO client.example", "250-").await;
    one.say(&format!("AUTH PLAIN {}", encode(format!("\0{YOU}\0secret").as_bytes())), "235 ").await;
    until(&f.strangers, 2).await;
    let mut four = connect(delivery).await;
    four.expect("220 ").await;
    connect(mail).await.expect("421 4.3.2 ").await;
    three.say(&format!("a LOGIN {YOU} secret"), "a OK").await;
    until(&f.strangers, 2).await;
    drop(two);
    until(&f.strangers, 1).await;
    // Where nobody is logged in any more, the session counts again.
    three.say("b UNAUTHENTICATE", "b OK").await;
    until(&f.strangers, 2).await;
    drop((one, three, four));
    until(&f.strangers, 0).await;
}

#[tokio::test]
async fn a_wrong_password_leaves_a_session_in_the_count() {
    let f = fixture(1);
    let mail = run!(smtp(&f.parts, Protocol::Smtp));
    let mut client = connect(mail).await;
    client.expect("220 ").await;
    client.say("EHLO client.example", "250-").await;
    client.say(&format!("AUTH PLAIN {}", encode(format!("\0{YOU}\0wrong").as_bytes())), "535 ").await;
    assert_eq!(f.strangers.count(), 1);
    connect(mail).await.expect("421 4.3.2 ").await;
}

#[tokio::test]
async fn who_is_trusted_does_not_count() {
    let f = fixture(0);
    let mut limits = PeerLimits::default();
    limits.trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let mail = run!(smtp(&f.parts, Protocol::Smtp).peer_limits(limits));
    connect(mail).await.expect("220 ").await;
    let strangers = run!(smtp(&f.parts, Protocol::Smtp));
    connect(strangers).await.expect("421 4.3.2 ").await;
    // Nor does whoever comes over a socket of this machine.
    let (ours, theirs) = tokio::io::duplex(4096);
    let server = smtp(&f.parts, Protocol::Smtp);
    tokio::spawn(async move { server.serve_connection(ours, None, &Shutdown::new()).await });
    Client::new(theirs).expect("220 ").await;
}

#[tokio::test]
async fn behind_a_load_balancer_its_clients_count() {
    let f = fixture(1);
    let mut limits = PeerLimits::default();
    limits.proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let mail = run!(smtp(&f.parts, Protocol::Smtp).peer_limits(limits));
    let connect = async |ip: &str| {
        let mut client = connect(mail).await;
        client.send(format!("PROXY TCP4 {ip} 192.0.2.1 4711 25\r\n")).await;
        client
    };
    let mut one = connect("192.0.2.7").await;
    one.expect("220 ").await;
    let mut two = connect("192.0.2.8").await;
    two.expect("421 4.3.2 ").await;
    two.expect_end().await;
    assert_eq!(f.strangers.count(), 1);
}
