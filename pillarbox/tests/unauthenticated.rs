//! How many sessions there may be that nobody has logged in to, over all protocols together.
#![cfg(feature = "tokio")]

mod support;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::{BoxFuture, MemoryAuthenticator, Parts, Policy, Session, UnauthenticatedLimit, Verdict};
use pillarbox::smtp::{Protocol, ServerConfig, SmtpServer};
use pillarbox::{PeerLimits, Shutdown};
use pillarbox_core::sasl::{Mechanism, encode};
use pillarbox_smtp::server::Rcpt;
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

fn auth_plain() -> String {
    format!("AUTH PLAIN {}", encode(format!("\0{YOU}\0secret").as_bytes()))
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
    one.say(&auth_plain(), "235 ").await;
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

#[tokio::test]
async fn who_logs_out_counts_again_even_where_there_is_no_room() {
    let f = fixture(1);
    let reading = run!(imap(&f.parts));
    let mut one = connect(reading).await;
    one.expect("* OK").await;
    one.say(&format!("a LOGIN {YOU} secret"), "a OK").await;
    let mut two = connect(reading).await;
    two.expect("* OK").await;
    one.say("b UNAUTHENTICATE", "b OK").await;
    until(&f.strangers, 2).await;
    drop(two);
    until(&f.strangers, 1).await;
    connect(reading).await.expect("* BYE [LIMIT]").await;
    // Logging in once more and going takes it out of the count once.
    one.say(&format!("c LOGIN {YOU} secret"), "c OK").await;
    until(&f.strangers, 0).await;
    drop(one);
    connect(reading).await.expect("* OK").await;
    until(&f.strangers, 0).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_login_that_starttls_forgets_counts_no_more() {
    let (f, pair) = (fixture(3), tls::pair());
    let mail = run!(smtp(&f.parts, Protocol::Smtp).tls(pair.server.clone()));
    let mut client = connect(mail).await;
    client.expect("220 ").await;
    client.say("EHLO client.example", "250-").await;
    client.say(&auth_plain(), "235 ").await;
    until(&f.strangers, 0).await;
    client.say("STARTTLS", "220 ").await;
    let connector = tokio_rustls::TlsConnector::from(pair.client.clone());
    let mut client = Client::new(connector.connect(tls::name(), client.stream.into_inner()).await.unwrap());
    client.say("EHLO client.example", "250-").await;
    assert_eq!(f.strangers.count(), 1);
    client.say(&auth_plain(), "235 ").await;
    until(&f.strangers, 0).await;
}

#[tokio::test]
async fn a_login_that_xclient_forgets_counts_no_more() {
    let f = fixture(3);
    let mail = run!(smtp(&f.parts, Protocol::Smtp).xclient_hosts(["127.0.0.0/8".parse().unwrap()]));
    let mut proxy = connect(mail).await;
    proxy.expect("220 ").await;
    proxy.say("EHLO proxy.example", "250-").await;
    proxy.say(&auth_plain(), "235 ").await;
    until(&f.strangers, 0).await;
    // That was the proxy's own; of its client nothing is known.
    proxy.say("XCLIENT ADDR=192.0.2.7", "220 ").await;
    until(&f.strangers, 1).await;
}

/// However a session ends, it leaves the count.
#[cfg(feature = "tls")]
#[tokio::test]
async fn a_handshake_that_fails_leaves_nothing_in_the_count() {
    let (f, pair) = (fixture(3), tls::pair());
    let wrapped = run!(smtp(&f.parts, Protocol::Smtp).tls(pair.server.clone()).implicit_tls(true));
    let offered = run!(smtp(&f.parts, Protocol::Smtp).tls(pair.server.clone()));
    let mut silent = connect(wrapped).await;
    until(&f.strangers, 1).await;
    silent.send("EHLO client.example\r\n").await;
    until(&f.strangers, 0).await;
    let mut client = connect(offered).await;
    client.expect("220 ").await;
    client.say("EHLO client.example", "250-").await;
    client.say("STARTTLS", "220 ").await;
    assert_eq!(f.strangers.count(), 1);
    client.send("MAIL FROM:<>\r\n").await;
    until(&f.strangers, 0).await;
}

/// A part that panics.
struct Broken;

impl Policy for Broken {
    fn connect<'a>(&'a self, _: &'a Session) -> BoxFuture<'a, Verdict> {
        Box::pin(async { panic!("broken part") })
    }

    fn recipient<'a>(&'a self, _: &'a Session, _: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async { Verdict::Accept })
    }
}

#[tokio::test]
async fn a_panic_and_an_abort_leave_nothing_in_the_count() {
    let mut f = fixture(3);
    let (listener, address) = listen().await;
    let server = smtp(&f.parts, Protocol::Smtp);
    let serving = tokio::spawn(async move { server.serve(listener, &Shutdown::new()).await });
    let mut client = connect(address).await;
    client.expect("220 ").await;
    assert_eq!(f.strangers.count(), 1);
    serving.abort();
    until(&f.strangers, 0).await;
    f.parts.policy = Arc::new(Broken);
    let broken = run!(smtp(&f.parts, Protocol::Smtp));
    connect(broken).await.expect("421 ").await;
    until(&f.strangers, 0).await;
}
