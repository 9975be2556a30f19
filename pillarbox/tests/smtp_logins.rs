//! Who logs in to an SMTP server, who only guesses, and as whom its users may send.
#![cfg(feature = "tokio")]

#[path = "support/account.rs"]
mod account;
mod support;

use std::sync::Arc;
use std::time::Duration;

use account::{YOU, auth, config, fixture};
use pillarbox::Shutdown;
use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::{Clock, OwnSenders, Parts};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox_core::sasl::Mechanism;
use support::{Client, start};

#[tokio::test]
async fn a_guesser_waits_longer_each_time_in_whatever_session() {
    let f = fixture();
    let mut config = config();
    config.limits.logins_max = 100;
    let server = start(SmtpServer::new(config, f.parts.clone())).await;
    let mut waited = Vec::new();
    for guess in ["a", "b", "c", "c", "d"] {
        let mut guesser = server.client().await;
        guesser.say("EHLO client.example", "250-").await;
        guesser.send(format!("{}\r\n", auth(guess))).await;
        let (before, waits) = (f.clock.now(), [2, 4, 8, 15].map(Duration::from_secs));
        let reply = tokio::select! {
            reply = guesser.reply() => reply,
            () = f.clock.pass_over(&waits) => unreachable!("never ends"),
        };
        assert!(reply.starts_with("535 5.7.8"), "{reply}");
        waited.push((f.clock.now() - before).as_secs());
    }
    // Two seconds for each no; before it what the guesses before it cost. The same guess again costs no more.
    assert_eq!(waited, [2, 2 + 2, 2 + 4, 2 + 8, 2 + 8]);
    // IMAP knows of it, as it has the same parts. The right password ends it.
    let mut config = imap::ServerConfig::default();
    config.login_without_tls = true;
    let imap = ImapServer::new(config, f.parts.clone());
    let (ours, theirs) = tokio::io::duplex(4096);
    let mut client = Client::new(theirs);
    let shutdown = Shutdown::new();
    let ip = Some("127.0.0.1".parse().unwrap());
    let session = async {
        client.expect("* OK").await;
        client.send(format!("a LOGIN {YOU} secret\r\n")).await;
        f.clock.sleeper(Duration::from_secs(15)).await;
        f.clock.advance(Duration::from_secs(15));
        client.expect("a OK").await;
        drop(client);
    };
    tokio::join!(session, imap.serve_connection(ours, ip, &shutdown));
    assert_eq!(f.parts.logins.admit(f.clock.now(), ip), Some(f.clock.now()));
    server.stop().await;
}

#[tokio::test]
async fn strangers_and_wrong_passwords_hear_the_same_after_the_same_time() {
    let mut heard = Vec::new();
    for name in [YOU, "nobody@localhost", "you@localhost'--", "%{user}", "../you@localhost"] {
        let f = fixture();
        let server = start(SmtpServer::new(config(), f.parts)).await;
        let mut client = server.client().await;
        client.say("EHLO client.example", "250-").await;
        let response = pillarbox_core::sasl::encode(format!("\0{name}\0wrong").as_bytes());
        client.send(format!("AUTH PLAIN {response}\r\n")).await;
        let (before, waits) = (f.clock.now(), [Duration::from_secs(2)]);
        let reply = tokio::select! {
            reply = client.reply() => reply,
            () = f.clock.pass_over(&waits) => unreachable!("never ends"),
        };
        heard.push((reply, f.clock.now() - before));
        drop(client);
        server.stop().await;
    }
    assert!(heard[0].0.starts_with("535 5.7.8") && heard[0].1 == Duration::from_secs(2), "{heard:?}");
    assert!(heard.iter().all(|other| *other == heard[0]), "{heard:?}");
}

#[tokio::test]
async fn logins_that_break_off_leave_nothing() {
    let f = fixture();
    let mut config = config();
    config.mechanisms = vec![Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256];
    let server = start(SmtpServer::new(config, f.parts)).await;
    let steps: [&[&str]; 5] = [
        &["AUTH PLAIN"],
        &["AUTH LOGIN"],
        &["AUTH LOGIN", "am9l"],
        &["AUTH SCRAM-SHA-256"],
        &["AUTH SCRAM-SHA-256 biwsbj1qb2Uscj1hYmM="],
    ];
    for (number, lines) in steps.iter().cycle().take(100).enumerate() {
        let mut client = server.client().await;
        client.say("EHLO client.example", "250-").await;
        for line in *lines {
            client.say(line, "334 ").await;
        }
        drop(client);
        // Each session is over before the next begins, though nothing was said.
        while f.log.lines().iter().filter(|line| line.starts_with("disconnected")).count() <= number {
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;
    assert!(!f.log.text().contains("login"), "{}", f.log.text());
}

#[tokio::test]
async fn ten_wrong_passwords_in_a_minute_are_enough() {
    let f = fixture();
    let ip = Some("127.0.0.1".parse().unwrap());
    for _ in 0..10 {
        f.parts.logins.failed(pillarbox_core::Time::ZERO, ip, None);
    }
    let server = start(SmtpServer::new(config(), f.parts)).await;
    let mut client = server.client().await;
    client.say("EHLO client.example", "250-").await;
    client.say(&auth("secret"), "421 4.7.0").await;
    client.expect_end().await;
    assert!(f.log.text().contains("login refused you@localhost"), "{}", f.log.text());
    server.stop().await;
}

#[tokio::test]
async fn users_send_as_themselves() {
    let f = fixture();
    let own = OwnSenders::new(f.parts.policy.clone(), |identity, address| address.to_string() == identity.user());
    let mut config = ServerConfig::submission("mx.localhost");
    config.mechanisms = vec![Mechanism::Plain];
    config.auth_without_tls = true;
    let server = start(SmtpServer::new(config, Parts { policy: Arc::new(own), ..f.parts })).await;
    let mut client = server.client().await;
    client.say("EHLO client.example", "250-").await;
    client.say("MAIL FROM:<you@localhost>", "530 5.7.0").await;
    client.say(&auth("secret"), "235 ").await;
    client.say("MAIL FROM:<boss@localhost>", "553 5.7.1").await;
    client.say("MAIL FROM:<you@sales>", "554 5.1.8").await;
    for (message, reply) in [
        ("From: you@localhost\r\n\r\nx\r\n", "250 2.0.0"),
        ("Subject: hi\r\nFrom: You <you@localhost>\r\n\r\nx\r\n", "250 2.0.0"),
        ("From: boss@localhost\r\n\r\nx\r\n", "550 5.7.1 the address"),
        ("From: you@localhost\r\nFrom: boss@localhost\r\n\r\nx\r\n", "550 5.7.1 the message"),
        ("From: boss@localhost\r\n", "550 5.7.1 the address"),
        ("Subject: nobody\r\n\r\nFrom: you@localhost\r\n", "550 5.7.1 the message"),
    ] {
        client.say("MAIL FROM:<you@localhost>", "250 ").await;
        client.say(&format!("RCPT TO:<{YOU}>"), "250 ").await;
        client.say("DATA", "354 ").await;
        // One octet more at a time: the header is whole whenever it is.
        for octet in message.bytes() {
            client.send([octet]).await;
        }
        client.send(".\r\n").await;
        client.expect(reply).await;
    }
    assert_eq!(f.sink.messages().len(), 2);
    drop(client);
    server.stop().await;
}
