//! SASL over real connections: SCRAM with and without channel binding, with both servers, and a man in the middle.
#![cfg(all(feature = "tls", feature = "passwd"))]

mod support;
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::crypto::{RingCrypto, SystemRandom};
use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::Parts;
use pillarbox::passwd::PasswdFile;
use pillarbox::smtp::{self, SmtpServer};
use pillarbox::testing::SteppedClock;
use pillarbox_core::TlsFacts;
use pillarbox_core::sasl::{ClientExchange, ClientPolicy, Credentials, Mechanism, encode, encode_initial_response};
use support::Log;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Made by `doveadm pw -s SCRAM-SHA-256 -p pencil`.
const ACCOUNTS: &str = "joe@example.org:{SCRAM-SHA-256}4096,Y0oxOuC0gd561s1pY1DnjQ==,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=\n";
const MECHANISMS: [Mechanism; 4] =
    [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::OAuthBearer, Mechanism::Plain];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Smtp,
    Imap,
}

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    pair: tls::Pair,
    log: Log,
}

/// A server with implicit TLS and these accounts.
async fn serve(protocol: Protocol, accounts: &str) -> Server {
    let (pair, log, clock) = (tls::pair(), Log::default(), SteppedClock::new());
    let parts = Parts {
        authenticator: Arc::new(PasswdFile::parse(accounts).unwrap()),
        observer: Arc::new(log.clone()),
        clock: Arc::new(clock.clone()),
        ..Parts::in_memory()
    };
    // What waits because of a wrong password goes on at once.
    tokio::spawn(async move { clock.pass_over(&[2, 4, 8, 15].map(Duration::from_secs)).await });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let (until, tls) = (shutdown.clone(), pair.server.clone());
    if protocol == Protocol::Smtp {
        let mut config = smtp::ServerConfig::new("mx.localhost");
        config.mechanisms = MECHANISMS.into();
        config.limits.logins_max = 10;
        let server = SmtpServer::new(config, parts).tls(tls).implicit_tls(true);
        tokio::spawn(async move { server.serve(listener, &until).await });
    } else {
        let mut config = imap::ServerConfig::default();
        config.mechanisms = MECHANISMS.into();
        config.limits.bad_before_login = 10;
        let server = ImapServer::new(config, parts).tls(tls).implicit_tls(true);
        tokio::spawn(async move { server.serve(listener, &until).await });
    }
    Server { address, shutdown, pair, log }
}

struct Client {
    protocol: Protocol,
    stream: BufReader<TlsStream<TcpStream>>,
    tls: TlsFacts,
    offered: Vec<Mechanism>,
}

impl Client {
    async fn connect(server: &Server, protocol: Protocol) -> Client {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let connector = TlsConnector::from(server.pair.client.clone());
        let stream = connector.connect(tls::name(), stream).await.unwrap();
        let mut tls = TlsFacts::new("TLSv1.3", "");
        let exporter = stream.get_ref().1.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]));
        tls.exporter = Some(exporter.unwrap());
        let mut client = Client { protocol, stream: BufReader::new(stream), tls, offered: Vec::new() };
        let mut offer = client.line().await;
        if protocol == Protocol::Smtp {
            client.send("EHLO client.example").await;
            while !offer.starts_with("250 ") {
                offer = client.line().await;
            }
        }
        let words = offer.split([' ', ']']).filter_map(|word| match protocol {
            Protocol::Smtp => Some(word),
            Protocol::Imap => word.strip_prefix("AUTH="),
        });
        let known = |mechanism: &Mechanism| !matches!(mechanism, Mechanism::Other(_));
        client.offered = words.filter_map(Mechanism::parse).filter(known).collect();
        client
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    async fn send(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.stream.get_mut().flush().await.unwrap();
    }

    /// Logs in by this mechanism; the last line of the server, and whether to believe a yes.
    async fn log_in(&mut self, mechanism: &Mechanism, credentials: Credentials) -> (String, bool) {
        let mut policy = ClientPolicy::default();
        policy.mechanisms = vec![mechanism.clone()];
        let choice = policy.choose(&self.offered, &credentials, Some(&self.tls)).expect("it is on offer");
        let random = &mut SystemRandom::default();
        let mut exchange = ClientExchange::with_crypto(&choice, credentials, Arc::new(RingCrypto), random).unwrap();
        let initial = encode_initial_response(exchange.initial_response().unwrap().expose());
        let command = if self.protocol == Protocol::Smtp { "AUTH" } else { "a AUTHENTICATE" };
        self.send(&format!("{command} {mechanism} {initial}")).await;
        loop {
            let line = self.line().await;
            let challenge = match self.protocol {
                Protocol::Smtp => line.strip_prefix("334 "),
                Protocol::Imap => line.strip_prefix("+ "),
            };
            let Some(challenge) = challenge else { return (line, exchange.finish().is_ok()) };
            let challenge = pillarbox_core::sasl::decode_response(challenge.as_bytes()).unwrap();
            let response = exchange.respond(&challenge).unwrap();
            self.send(&encode(response.expose())).await;
        }
    }
}

fn joe(password: &str) -> Credentials {
    Credentials::plain("", "joe@example.org", password)
}

#[tokio::test]
async fn scram_with_and_without_binding() {
    for protocol in [Protocol::Smtp, Protocol::Imap] {
        let server = serve(protocol, ACCOUNTS).await;
        let client = Client::connect(&server, protocol).await;
        // There is nobody who could judge a token.
        assert_eq!(client.offered, [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::Plain]);
        for mechanism in client.offered {
            let mut client = Client::connect(&server, protocol).await;
            let (line, believed) = client.log_in(&mechanism, joe("pencil")).await;
            assert!(line.starts_with("235 2.7.0 ") || line.starts_with("a OK "), "{protocol:?} {mechanism}: {line}");
            assert!(believed, "{protocol:?} {mechanism}");
        }
        assert_eq!(server.log.text().matches("logged in joe@example.org").count(), 3);
        server.shutdown.begin();
    }
}

/// ATH-04, ATH-05, ATH-09: a wrong password, an unknown name, somebody else's rights and another connection's binding are all
/// told in the same words, and each counts.
#[tokio::test]
async fn refusals() {
    for protocol in [Protocol::Smtp, Protocol::Imap] {
        let server = serve(protocol, ACCOUNTS).await;
        let mut client = Client::connect(&server, protocol).await;
        let mut told = Vec::new();
        for (mechanism, credentials) in [
            (Mechanism::Plain, joe("pencils")),
            (Mechanism::ScramSha256, joe("pencils")),
            (Mechanism::ScramSha256Plus, joe("pencils")),
            (Mechanism::ScramSha256, Credentials::plain("", "ann@example.org", "pencil")),
            (Mechanism::ScramSha256, Credentials::plain("ann@example.org", "joe@example.org", "pencil")),
        ] {
            told.push(client.log_in(&mechanism, credentials).await.0);
        }
        // What somebody between the two has: another connection.
        client.tls.exporter = Some([7; 32]);
        told.push(client.log_in(&Mechanism::ScramSha256Plus, joe("pencil")).await.0);
        let first = told[0].clone();
        assert!(first.starts_with("535 5.7.8 ") || first.starts_with("a NO [AUTHENTICATIONFAILED] "), "{first}");
        assert!(told.iter().all(|line| *line == first), "{told:#?}");
        assert_eq!(server.log.text().matches("login refused").count(), told.len());
        let shown = server.log.text();
        assert!(!shown.contains("pencil") && !shown.contains(",p="), "{shown}");
        server.shutdown.begin();
    }
}

/// Dovecot's other hashes have no keys: where one is, SCRAM would shut its owner out.
#[tokio::test]
async fn scram_is_not_offered_where_an_account_has_no_keys() {
    let accounts = format!(
        "{ACCOUNTS}ann@example.org:{{BLF-CRYPT}}$2y$05$ftp6FcQt0atznpPlwASe5e/7oXe722HOxsfYS9A0AxsjkOR/LK3xq\n"
    );
    for protocol in [Protocol::Smtp, Protocol::Imap] {
        let server = serve(protocol, &accounts).await;
        assert_eq!(Client::connect(&server, protocol).await.offered, [Mechanism::Plain]);
        server.shutdown.begin();
    }
}
