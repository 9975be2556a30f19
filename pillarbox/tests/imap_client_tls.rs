//! The IMAP client under TLS, with certificates that are made for the test: from the start, by STARTTLS, for another name, and
//! with words before the handshake.
#![cfg(all(feature = "tls", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::sync::Arc;

use imap_support::{Server, YOU};
use pillarbox::imap::{
    ClientConfig, ClientTls, Command, ConnectError, Credentials, Event, ImapClient, Login, Response, ServerConfig,
    StartTls,
};
use pillarbox::store::MemoryStore;
use pillarbox::testing::SteppedClock;
use pillarbox_core::{CertificateFault, UpgradeError};
use pillarbox_imap::client::FailureCause;
use pillarbox_imap::types::Flags;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A login that tells no password in clear text.
fn config(starttls: StartTls) -> ClientConfig {
    let mut config = ClientConfig::default();
    config.login = Some(Login::new(Credentials::plain("", YOU, "secret")));
    config.starttls = starttls;
    config
}

fn server(pair: &tls::Pair, implicit: bool) -> Server {
    let mut config = ServerConfig::default();
    config.extensions.compress = true;
    Server::configured(Arc::new(MemoryStore::new()), config, |server| {
        server.tls(Arc::clone(&pair.server)).implicit_tls(implicit)
    })
}

async fn connect(server: &Server, config: ClientConfig, tls: ClientTls) -> Result<ImapClient, ConnectError> {
    let (stream, _) = server.connect(1 << 16, None);
    ImapClient::over(stream, config, Some(tls), Arc::new(server.clock.clone())).await
}

/// Stores a message and reads it again.
async fn try_it(client: &mut ImapClient) {
    assert!(client.is_encrypted());
    let message = b"Subject: hi\r\n\r\n0123456789\r\n".repeat(2000);
    let append = Command::append("INBOX", &Flags::new(), None, message.len() as u64);
    client.append(append, &message[..], |_| {}).await.unwrap();
    client.run(Command::select("INBOX"), |_| {}).await.unwrap();
    let mut octets = Vec::new();
    let fetched = |event: Event<'_>| {
        if let Event::Body(piece) = event {
            octets.extend_from_slice(&piece);
        }
    };
    client.run(Command::uid_fetch("*", "(BODY.PEEK[])"), fetched).await.unwrap();
    assert!(octets == message);
}

#[tokio::test]
async fn from_the_start_and_by_starttls() {
    let pair = tls::pair();
    for implicit in [true, false] {
        for compress in [false, cfg!(feature = "compress")] {
            let server = server(&pair, implicit);
            let tls = match implicit {
                true => ClientTls::implicit(Arc::clone(&pair.client), tls::name()),
                false => ClientTls::starttls(Arc::clone(&pair.client), tls::name()),
            };
            let mut config = config(StartTls::Required);
            config.compress = compress;
            let mut client = connect(&server, config, tls).await.unwrap();
            assert_eq!(client.is_compressed(), compress);
            try_it(&mut client).await;
            client.log_out().await;
            let log = server.log.text();
            assert!(!implicit || !log.contains("STARTTLS\n"), "{log}");
        }
    }
}

/// What the client has sent where a server is not who it says: no login.
#[tokio::test]
async fn a_certificate_for_another_name() {
    let (pair, other) = (tls::pair(), ServerName::try_from("mail.example").unwrap());
    for implicit in [true, false] {
        let server = server(&pair, implicit);
        let client = Arc::clone(&pair.client);
        let (tls, starttls) = match implicit {
            true => (ClientTls::implicit(client, other.clone()), StartTls::Never),
            // Nobody goes on in clear text, however much TLS was a wish only.
            false => (ClientTls::starttls(client, other.clone()), StartTls::IfOffered),
        };
        let why = match connect(&server, config(starttls), tls).await {
            Err(ConnectError::Tls(why)) => why,
            Err(ConnectError::Session(failure)) => match failure.cause {
                FailureCause::Tls(why) => why,
                cause => panic!("{cause}"),
            },
            _ => panic!("it was believed"),
        };
        assert_eq!(why, UpgradeError::Certificate(CertificateFault::OtherName));
        let received: Vec<_> = server.log.lines().into_iter().filter(|line| line.starts_with("Received")).collect();
        assert!(received.iter().all(|line| line == "Received A1 STARTTLS"), "{received:?}");
    }
}

#[tokio::test]
async fn an_authority_that_nobody_knows() {
    let (pair, stranger) = (tls::pair(), tls::pair());
    let server = server(&pair, false);
    let tls = ClientTls::starttls(stranger.client, tls::name());
    let Err(ConnectError::Session(failure)) = connect(&server, config(StartTls::Required), tls).await else { panic!() };
    assert!(
        matches!(failure.cause, FailureCause::Tls(UpgradeError::Certificate(CertificateFault::Untrusted))),
        "{failure:?}"
    );
}

/// A server played by hand in clear text; gives what the client sent behind STARTTLS, and how it ended.
async fn played(answer: &str, starttls: StartTls) -> (Vec<u8>, Result<ImapClient, ConnectError>) {
    let pair = tls::pair();
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = async {
        let mut far = BufReader::new(far);
        far.write_all(b"* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN] hi\r\n").await.unwrap();
        let mut line = String::new();
        far.read_line(&mut line).await.unwrap();
        assert_eq!(line, "A1 STARTTLS\r\n");
        far.write_all(answer.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let mut octets = Vec::new();
        while far.read_until(b'\n', &mut octets).await.unwrap_or(0) > 0 {
            rest.append(&mut octets);
        }
        rest
    };
    let tls = ClientTls::starttls(pair.client, tls::name());
    let client = ImapClient::over(near, config(starttls), Some(tls), Arc::new(SteppedClock::new()));
    tokio::join!(server, client)
}

/// RFC 9051 §6.2.1: what somebody in between puts behind the OK in clear text is not taken for the server's words, and no
/// password follows.
#[tokio::test]
async fn words_before_the_handshake() {
    for behind in ["* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "* 1 EXISTS\r\nA2 OK logged in\r\n", "x"] {
        let (sent, ended) = played(&format!("A1 OK begin\r\n{behind}"), StartTls::IfOffered).await;
        let Err(ConnectError::Session(failure)) = ended else { panic!("{behind}") };
        assert!(matches!(failure.cause, FailureCause::StartTlsInjection), "{failure:?}");
        assert!(sent.is_empty(), "{}", sent.escape_ascii());
    }
}

#[tokio::test]
async fn a_server_that_takes_its_offer_back() {
    let (sent, ended) = played("A1 NO not today\r\n", StartTls::Required).await;
    let Err(ConnectError::Session(failure)) = ended else { panic!() };
    assert!(matches!(failure.cause, FailureCause::TlsRefused), "{failure:?}");
    assert!(sent.is_empty(), "{}", sent.escape_ascii());
    // Where TLS is a wish the session goes on, and the password is still not told.
    let (sent, ended) = played("A1 NO not today\r\n", StartTls::IfOffered).await;
    let Err(ConnectError::Session(failure)) = ended else { panic!() };
    assert!(matches!(failure.cause, FailureCause::LoginNotOffered), "{failure:?}");
    assert!(!sent.windows(6).any(|word| word == b"secret"), "{}", sent.escape_ascii());
}

/// What was said in clear text is forgotten: a server has to offer everything again.
#[tokio::test]
async fn capabilities_are_those_of_behind_the_handshake() {
    let pair = tls::pair();
    let server = server(&pair, false);
    let mut client =
        connect(&server, config(StartTls::IfOffered), ClientTls::starttls(Arc::clone(&pair.client), tls::name()))
            .await
            .unwrap();
    assert!(!client.capabilities().has("STARTTLS") && !client.capabilities().has("LOGINDISABLED"));
    let mut told = 0;
    client
        .run(Command::capability(), |event| {
            told += usize::from(matches!(event, Event::Response(Response::Capability(_))));
        })
        .await
        .unwrap();
    assert_eq!(told, 1);
    client.log_out().await;
}
