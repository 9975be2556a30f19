//! The SMTP client on loopback against our server with parts in memory, and against servers played by hand.
#![cfg(feature = "tokio")]

mod support;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use pillarbox::parts::{AllowList, MemoryAuthenticator, MemorySink, Parts};
use pillarbox::smtp::{
    ClientConfig, ConnectError, Credentials, Envelope, Login, Protocol, RecipientOutcome, SendError, ServerConfig,
    SmtpClient, SmtpServer,
};
use pillarbox::smtp_proto::client::{BodyKind, EnvelopeId};
use pillarbox::testing::SteppedClock;
use pillarbox_core::address::Address;
use pillarbox_core::sasl::Mechanism;
use support::{Running, start};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const YOU: &str = "you@localhost";

async fn server(config: ServerConfig) -> (Running, MemorySink) {
    let (server, sink) = stopped_server(config);
    (start(server).await, sink)
}

fn stopped_server(config: ServerConfig) -> (SmtpServer, MemorySink) {
    let sink = MemorySink::new();
    let parts = Parts {
        policy: Arc::new(AllowList::new([YOU, "me@localhost"])),
        sink: Arc::new(sink.clone()),
        authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
        ..Parts::in_memory()
    };
    (SmtpServer::new(config, parts), sink)
}

fn config() -> ClientConfig {
    ClientConfig::new("c.example").unwrap()
}

fn envelope(recipients: &[&'static str]) -> Envelope {
    let address = |text: &'static str| Address::parse(text).unwrap();
    Envelope::new(address("joe@c.example").into(), recipients.iter().map(|to| address(to)))
}

fn words(outcomes: &[RecipientOutcome]) -> Vec<String> {
    let word = |outcome: &RecipientOutcome| match outcome {
        RecipientOutcome::Delivered(_) => "delivered".into(),
        RecipientOutcome::Refused(reply) => format!("refused {}", reply.code()),
        RecipientOutcome::Later(reply) => format!("later {}", reply.as_ref().map_or(0, pillarbox_core::Reply::code)),
        other => format!("{other:?}"),
    };
    outcomes.iter().map(word).collect()
}

#[tokio::test]
async fn several_messages_go_over_one_connection() {
    let (running, sink) = server(ServerConfig::new("mx.localhost")).await;
    let mut client = SmtpClient::connect(running.address, config(), None).await.unwrap();
    assert!(client.capabilities().has("PIPELINING"));
    let sent = client.send(envelope(&[YOU, "no@localhost"]), &b"Subject: 1\r\n\r\n.\nx"[..]).await.unwrap();
    assert_eq!(words(&sent), ["delivered", "refused 550"]);
    let sent = client.send(envelope(&["no@localhost"]), &b"never"[..]).await.unwrap();
    assert_eq!(words(&sent), ["refused 550"]);
    // More than the socket and the session hold.
    let large = b"Subject: 2\r\n\r\n".iter().copied().chain(b"0123456789\r\n".repeat(300_000)).collect::<Vec<u8>>();
    let sent = client.send(envelope(&["me@localhost"]), &large[..]).await.unwrap();
    assert_eq!(words(&sent), ["delivered"]);
    assert!(matches!(client.send(envelope(&[]), &b""[..]).await, Err(SendError::NoRecipients)));
    client.quit().await;
    let messages = sink.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].octets.ends_with(b"Subject: 1\r\n\r\n.\r\nx\r\n"));
    assert!(messages[1].octets.ends_with(&large));
    running.stop().await;
}

#[tokio::test]
async fn a_login_is_made_or_nothing_is_sent() {
    let mut wanted = ServerConfig::new("mx.localhost");
    wanted.auth_required = true;
    wanted.mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    wanted.auth_without_tls = true;
    let (running, sink) = server(wanted).await;
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        let mut login = Login::new(Credentials::plain("", YOU, "secret"));
        login.policy.clear_text_without_tls = true;
        login.policy.mechanisms = vec![mechanism];
        let mut config = config();
        config.login = Some(login);
        let mut client = SmtpClient::connect(running.address, config, None).await.unwrap();
        let sent = client.send(envelope(&[YOU]), &b"Subject: x\r\n\r\n"[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered"]);
        client.quit().await;
    }
    let mut config = config();
    config.login = Some(Login::new(Credentials::plain("", YOU, "secret")));
    let refused = SmtpClient::connect(running.address, config, None).await.err().expect("no password in the clear");
    assert!(refused.to_string().contains("no mechanism"), "{refused}");
    assert_eq!(sink.messages().len(), 2);
    running.stop().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_login_under_tls() {
    use pillarbox::smtp::{ClientTls, StartTls};
    use rustls::pki_types::ServerName;

    let (pair, stranger) = (tls::pair(), tls::pair());
    for is_implicit in [false, true] {
        let mut wanted = ServerConfig::new("mx.localhost");
        wanted.auth_required = true;
        wanted.mechanisms = vec![Mechanism::Plain];
        let (server, sink) = stopped_server(wanted);
        let running = start(server.tls(pair.server.clone()).implicit_tls(is_implicit)).await;
        let make = if is_implicit { ClientTls::implicit } else { ClientTls::starttls };
        let mut config = config();
        config.starttls = StartTls::Required;
        config.login = Some(Login::new(Credentials::plain("", YOU, "secret")));
        let tls = Some(make(pair.client.clone(), tls::name()));
        let mut client = SmtpClient::connect(running.address, config.clone(), tls).await.unwrap();
        let sent = client.send(envelope(&[YOU]), &b"Subject: x\r\n\r\n"[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered"]);
        client.quit().await;
        // Whose certificate is not trusted, or is that of another host than the one that was meant, hears no password: where an
        // MX or a CNAME leads is not who it is.
        let elsewhere = ServerName::try_from("submission.example").unwrap();
        let not_trusted = "does not come from an authority that is trusted";
        for (trust, name, why) in [(&stranger, tls::name(), not_trusted), (&pair, elsewhere, "is for another name")] {
            let tls = Some(make(trust.client.clone(), name));
            let error = SmtpClient::connect(running.address, config.clone(), tls).await.err().unwrap();
            assert!(error.to_string().contains(why), "{error}");
        }
        if !is_implicit {
            let error = SmtpClient::connect(running.address, config, None).await.err().unwrap();
            assert!(matches!(error, ConnectError::Session(_)), "{error}");
        }
        running.stop().await;
        assert_eq!(sink.messages().len(), 1);
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_login_that_tells_no_password() {
    use pillarbox::smtp::{ClientTls, StartTls};

    let pair = tls::pair();
    let mut wanted = ServerConfig::new("mx.localhost");
    wanted.auth_required = true;
    wanted.mechanisms =
        vec![Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::Plain];
    let (server, sink) = stopped_server(wanted);
    let running = start(server.tls(pair.server.clone())).await;
    let mut config = config();
    config.starttls = StartTls::Required;
    let connect = |config: ClientConfig, name| {
        let tls = Some(ClientTls::starttls(pair.client.clone(), name));
        SmtpClient::connect(running.address, config, tls)
    };
    // The best one that is offered, and each by itself.
    for mechanism in [None, Some(Mechanism::ScramSha256Plus), Some(Mechanism::ScramSha256), Some(Mechanism::ScramSha1)]
    {
        let mut login = Login::new(Credentials::plain("", YOU, "secret"));
        login.policy.mechanisms.retain(|known| mechanism.as_ref().is_none_or(|wanted| known == wanted));
        config.login = Some(login);
        let mut client = connect(config.clone(), tls::name()).await.unwrap();
        let sent = client.send(envelope(&[YOU]), &b"Subject: x\r\n\r\n"[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered"]);
        client.quit().await;
    }
    assert_eq!(sink.messages().len(), 4);
    // Credentials are for one name: whoever has a certificate for another one gets neither them nor a proof.
    let name = rustls::pki_types::ServerName::try_from("mx.example").unwrap();
    let error = connect(config, name).await.err().unwrap();
    assert!(error.to_string().contains("is for another name"), "{error}");
    running.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn lmtp_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let sink = MemorySink::new();
    let parts = Parts {
        policy: Arc::new(AllowList::new([YOU, "me@localhost"])),
        sink: Arc::new(sink.clone()),
        ..Parts::in_memory()
    };
    let mut wanted = ServerConfig::new("mx.localhost");
    wanted.protocol = Protocol::Lmtp;
    let shutdown = pillarbox::Shutdown::new();
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { SmtpServer::new(wanted, parts).serve(listener, &shutdown).await }
    });
    let mut config = config();
    config.protocol = Protocol::Lmtp;
    let mut client = SmtpClient::connect_unix(&path, config).await.unwrap();
    let sent = client.send(envelope(&[YOU, "no@localhost", "me@localhost"]), &b"Subject: x\r\n\r\n"[..]).await.unwrap();
    assert_eq!(words(&sent), ["delivered", "refused 550", "delivered"]);
    client.quit().await;
    shutdown.begin();
    serving.await.unwrap();
}

#[tokio::test]
async fn messages_in_chunks() {
    let mut offers = ServerConfig::new("mx.localhost");
    offers.binary_mime = true;
    let (running, sink) = server(offers).await;
    let mut wanted = config();
    wanted.chunking = true;
    // Many chunks, in one flight and one by one, and more than the sockets hold.
    let large = b"Subject: 1\r\n\r\n".iter().copied().chain(b"0123456789\r\n".repeat(300_000)).collect::<Vec<u8>>();
    for pipelining in [true, false] {
        wanted.pipelining = pipelining;
        let mut client = SmtpClient::connect(running.address, wanted.clone(), None).await.unwrap();
        let sent = client.send(envelope(&[YOU, "no@localhost"]), &large[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered", "refused 550"]);
        let sent = client.send(envelope(&["no@localhost"]), &large[..]).await.unwrap();
        assert_eq!(words(&sent), ["refused 550"]);
        let mut binary = envelope(&[YOU]);
        binary.body = BodyKind::BinaryMime;
        let sent = client.send(binary, &b"Subject: 2\r\n\r\n\0\n\r"[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered"]);
        // A message that breaks off costs no connection here.
        let error = client.send(envelope(&[YOU]), half_a_message()).await.unwrap_err();
        assert!(matches!(error, SendError::Body(_)) && client.is_open(), "{error}");
        let error = client.send(envelope(&[YOU]), &b"Subject: z\xc3\xab\r\n\r\n"[..]).await.unwrap_err();
        assert!(matches!(error, SendError::NotAsAnnounced) && client.is_open(), "{error}");
        let sent = client.send(envelope(&[YOU]), &b"Subject: 3\r\n\r\n"[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered"]);
        client.quit().await;
    }
    running.stop().await;
    let messages = sink.messages();
    assert_eq!(messages.len(), 6);
    assert!(messages[0].octets.ends_with(&large) && messages[3].octets.ends_with(&large));
    assert!(messages[1].octets.ends_with(b"Subject: 2\r\n\r\n\0\n\r"));
}

#[tokio::test]
async fn notices_and_addresses_beyond_ascii() {
    let mut offers = ServerConfig::new("mx.localhost");
    (offers.dsn, offers.smtputf8) = (true, true);
    let (running, sink) = server(offers).await;
    let mut client = SmtpClient::connect(running.address, config(), None).await.unwrap();
    let mut sent = envelope(&[YOU]);
    sent.from = Address::parse_utf8("zoë@bücher.example").unwrap().into();
    sent.envid = Some(EnvelopeId::new("one two").unwrap());
    assert_eq!(words(&client.send(sent, &b"Subject: x\r\n\r\n"[..]).await.unwrap()), ["delivered"]);
    client.quit().await;
    running.stop().await;
    let stored = &sink.messages()[0].envelope;
    assert_eq!((stored.from.to_string(), stored.smtputf8), ("<zoë@bücher.example>".into(), true));
    assert_eq!(stored.envid.as_deref(), Some("one two"));

    // A server without SMTPUTF8 gets the A-labels of domains, and nothing of what has no such form.
    let (running, sink) = server(ServerConfig::new("mx.localhost")).await;
    let mut client = SmtpClient::connect(running.address, config(), None).await.unwrap();
    let mut sent = envelope(&[YOU]);
    sent.from = Address::parse_utf8("joe@bücher.example").unwrap().into();
    assert_eq!(words(&client.send(sent.clone(), &b"Subject: x\r\n\r\n"[..]).await.unwrap()), ["delivered"]);
    sent.from = Address::parse_utf8("zoë@bücher.example").unwrap().into();
    assert_eq!(words(&client.send(sent, &b""[..]).await.unwrap()), ["Impossible(SmtpUtf8)"]);
    client.quit().await;
    running.stop().await;
    assert_eq!(sink.messages()[0].envelope.from.to_string(), "<joe@xn--bcher-kva.example>");
}

#[tokio::test]
async fn lmtp_over_tcp_and_never_on_port_25() {
    let mut offers = ServerConfig::new("mx.localhost");
    offers.protocol = Protocol::Lmtp;
    let (running, sink) = server(offers).await;
    let mut wanted = config();
    wanted.protocol = Protocol::Lmtp;
    for chunking in [false, true] {
        wanted.chunking = chunking;
        let mut client = SmtpClient::connect(running.address, wanted.clone(), None).await.unwrap();
        let to = [YOU, "no@localhost", "me@localhost"];
        let sent = client.send(envelope(&to), &b"Subject: x\r\n\r\n"[..]).await.unwrap();
        assert_eq!(words(&sent), ["delivered", "refused 550", "delivered"]);
        client.quit().await;
    }
    running.stop().await;
    assert_eq!(sink.messages().len(), 2);
    // RFC 2033 §5. There is no need for a server: none is asked.
    let error = SmtpClient::connect("127.0.0.1:25", wanted, None).await.err().unwrap();
    assert!(matches!(error, ConnectError::LmtpOnSmtpPort), "{error}");
}

/// The example of RFC 2195 §2, with a server that has nothing better and a login that names it.
#[cfg(feature = "cram-md5")]
#[tokio::test]
async fn a_login_by_cram_md5() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut login = Login::new(Credentials::plain("", "tim", "tanstaaftanstaaf"));
    login.policy.mechanisms.push(Mechanism::CramMd5);
    let mut config = config();
    config.login = Some(login);
    let connect = SmtpClient::over(ours, config, None, Arc::new(SteppedClock::new()));
    let server = async {
        let mut theirs = BufReader::new(theirs);
        let said = [
            ("220 mx.example\r\n", "EHLO c.example\r\n"),
            ("250-mx.example\r\n250 AUTH CRAM-MD5\r\n", "AUTH CRAM-MD5\r\n"),
            (
                "334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n",
                "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n",
            ),
        ];
        for (reply, command) in said {
            theirs.get_mut().write_all(reply.as_bytes()).await.unwrap();
            let mut line = String::new();
            theirs.read_line(&mut line).await.unwrap();
            assert_eq!(line, command);
        }
        theirs.get_mut().write_all(b"235 2.7.0 welcome\r\n").await.unwrap();
        theirs
    };
    let (client, _theirs) = tokio::join!(connect, server);
    assert!(client.is_ok());
}

/// Our own server, where the embedder wants it. In the clear, where its challenge keeps the password from whoever listens.
#[cfg(feature = "cram-md5")]
#[tokio::test]
async fn a_login_by_cram_md5_at_our_own_server() {
    for (name, password, is_right) in [(YOU, "secret", true), (YOU, "wrong", false), ("no@localhost", "secret", false)]
    {
        let mut offers = ServerConfig::new("mx.localhost");
        (offers.mechanisms, offers.auth_without_tls) = (vec![Mechanism::CramMd5, Mechanism::Plain], true);
        let (server, sink) = stopped_server(offers);
        let running = start(server).await;
        let mut login = Login::new(Credentials::plain("", name, password));
        login.policy.mechanisms = vec![Mechanism::CramMd5];
        let mut config = config();
        config.login = Some(login);
        let connected = SmtpClient::connect(running.address, config, None).await;
        assert_eq!(connected.is_ok(), is_right, "{:?}", connected.err());
        if let Ok(mut client) = connected {
            client.send(envelope(&[YOU]), &b"Subject: x\r\n\r\n"[..]).await.unwrap();
            assert!(String::from_utf8_lossy(&sink.messages()[0].envelope.trace).contains("with ESMTPA"));
            client.quit().await;
        }
        running.stop().await;
    }
}

/// A client at the end of a pipe whose other end is the test.
async fn by_hand(greeting: &str) -> (SmtpClient, BufReader<tokio::io::DuplexStream>, SteppedClock) {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut theirs = BufReader::new(theirs);
    theirs.get_mut().write_all(greeting.as_bytes()).await.unwrap();
    let clock = SteppedClock::new();
    let connect = SmtpClient::over(ours, config(), None, Arc::new(clock.clone()));
    let server = async {
        let mut line = String::new();
        theirs.read_line(&mut line).await.unwrap();
        assert_eq!(line, "EHLO c.example\r\n");
        theirs.get_mut().write_all(b"250-mx.example\r\n250 PIPELINING\r\n").await.unwrap();
    };
    let (client, ()) = tokio::join!(connect, server);
    (client.unwrap(), theirs, clock)
}

#[tokio::test]
async fn a_lost_connection_leaves_what_was_said_before() {
    let (mut client, mut theirs, _) = by_hand("220 mx.example\r\n").await;
    let server = async {
        let mut line = String::new();
        while line != "DATA\r\n" {
            line.clear();
            theirs.read_line(&mut line).await.unwrap();
        }
        theirs.get_mut().write_all(b"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n").await.unwrap();
        let mut some = [0; 100];
        theirs.read_exact(&mut some).await.unwrap();
        drop(theirs);
    };
    let large = vec![b'x'; 1 << 20];
    let (sent, ()) = tokio::join!(client.send(envelope(&[YOU, "me@localhost"]), &large[..]), server);
    assert_eq!(words(&sent.unwrap()), ["later 0", "refused 550"]);
    assert!(!client.is_open() && client.failure().is_some());
    assert!(matches!(client.send(envelope(&[YOU]), &b""[..]).await, Err(SendError::Ended)));
    client.quit().await;
}

#[tokio::test]
async fn a_message_that_was_left_half_sent_is_given_up() {
    let (mut client, mut theirs, _) = by_hand("220 mx.example\r\n").await;
    let (endless, mut source) = tokio::io::duplex(4);
    let server = async {
        let mut line = String::new();
        while line != "DATA\r\n" {
            line.clear();
            theirs.read_line(&mut line).await.unwrap();
        }
        theirs.get_mut().write_all(b"250 ok\r\n250 ok\r\n354 go\r\n").await.unwrap();
        // It is read from once the replies have come.
        source.write_all(b"half").await.unwrap();
        source.write_all(b"a message").await.unwrap();
    };
    tokio::select! {
        sent = client.send(envelope(&[YOU]), endless) => panic!("{sent:?}"),
        () = server => {}
    }
    assert!(matches!(client.send(envelope(&[YOU]), &b""[..]).await, Err(SendError::Ended)));
    let server = async {
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        drop(theirs);
        rest
    };
    let (rest, ()) = tokio::join!(server, client.quit());
    assert!(!rest.ends_with(b".\r\n") && !rest.ends_with(b"QUIT\r\n"), "{}", rest.escape_ascii());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_as_long_as_is_said() {
    let (mut client, _theirs, clock) = by_hand("220 mx.example\r\n").await;
    let (sent, ()) = tokio::join!(client.send(envelope(&[YOU]), &b""[..]), async {
        clock.sleeper(Duration::from_secs(300)).await;
        clock.advance(Duration::from_secs(300));
    });
    assert_eq!(words(&sent.unwrap()), ["later 0"]);
    assert_eq!(client.failure().unwrap().to_string(), "MAIL: timed out");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_not_delivered_by_half() {
    let (running, sink) = server(ServerConfig::new("mx.localhost")).await;
    let mut client = SmtpClient::connect(running.address, config(), None).await.unwrap();
    let broken = half_a_message();
    let error = client.send(envelope(&[YOU]), broken).await.unwrap_err();
    assert!(matches!(error, SendError::Body(_)) && !client.is_open());
    client.quit().await;
    running.stop().await;
    assert!(sink.messages().is_empty());
}

/// A message that ends with an error.
fn half_a_message() -> impl tokio::io::AsyncRead + Unpin {
    struct Broken;
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the disk is gone")))
        }
    }
    (&b"Subject: half\r\n\r\n"[..]).chain(Broken)
}

#[tokio::test]
async fn nobody_listens() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = SmtpClient::connect(address, config(), None).await.err().unwrap();
    assert!(matches!(error, ConnectError::Connect(_)));
}
