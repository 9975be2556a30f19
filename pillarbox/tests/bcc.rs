//! Who is meant to be known to nobody: Bcc ends where a message is submitted.
#![cfg(feature = "tokio")]

mod support;

use std::sync::Arc;

use pillarbox::parts::{AllowList, MemorySink, Parts};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use support::start;

/// What a server stores of a message that comes in pieces of this size.
async fn stored(message: &str, submission: bool, piece: usize) -> String {
    let sink = MemorySink::new();
    let parts = Parts {
        policy: Arc::new(AllowList::new(["you@localhost"])),
        sink: Arc::new(sink.clone()),
        ..Parts::in_memory()
    };
    let mut config = ServerConfig::new("mx.localhost");
    config.submission = submission;
    let running = start(SmtpServer::new(config, parts)).await;
    let mut client = running.client().await;
    client.say("EHLO c.example", "250-").await;
    for line in ["MAIL FROM:<a@c.example>", "RCPT TO:<you@localhost>"] {
        client.say(line, "250 ").await;
    }
    for piece in message.as_bytes().chunks(piece) {
        client.send(format!("BDAT {}\r\n", piece.len())).await;
        client.send(piece).await;
        client.expect("250 ").await;
    }
    client.say("BDAT 0 LAST", "250 ").await;
    drop(client);
    running.stop().await;
    let message = sink.messages().remove(0);
    let octets = message.octets.strip_prefix(&message.envelope.trace[..]).unwrap_or(&message.octets);
    String::from_utf8(octets.to_vec()).unwrap()
}

#[tokio::test]
async fn nobody_hears_who_else_was_meant() {
    let fields = "From: a@c.example\r\nBcc: ann@localhost,\r\n joe@localhost\r\nTo: you@localhost\r\nbCC :\r\n\
        Resent-Bcc: jim@localhost\r\nBccx: 1\r\nX-Bcc: 2\r\n";
    let kept = "From: a@c.example\r\nTo: you@localhost\r\nBccx: 1\r\nX-Bcc: 2\r\n";
    let body = "\r\nBcc: in the body\r\nResent-Bcc: too\r\n";
    for piece in [7, 1000] {
        assert_eq!(stored(&[fields, body].concat(), true, piece).await, [kept, body].concat());
    }
    // One that has no body, and one whose last line may have been the beginning of such a field.
    assert_eq!(stored(fields, true, 1000).await, kept);
    assert_eq!(stored("Subject: x\r\nBcc", true, 1000).await, "Subject: x\r\nBcc");
    // What comes from elsewhere stays as it is.
    assert_eq!(stored(&[fields, body].concat(), false, 1000).await, [fields, body].concat());
}
