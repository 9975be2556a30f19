//! Messages that take the place of others, and messages made of parts of others, from the client to the stores that ship.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use imap_support::bent::Bent;
use imap_support::{Client, Server};
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::Parts;
use pillarbox::store::MemoryStore;

const MESSAGE: &[u8] = b"Subject: hi\r\n\r\nHello\r\n";

const MULTIPART: &[u8] = b"Subject: two\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
    Content-Type: text/plain\r\n\r\none\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n--x--\r\n";

// ---- REPLACE

#[tokio::test]
async fn a_message_takes_the_place_of_another() {
    for server in Server::each() {
        for _ in 0..3 {
            server.add("INBOX", MESSAGE).await;
        }
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.ok("STORE 2 +FLAGS.SILENT (\\Flagged)").await;
        let answer = a.ok("REPLACE 2 INBOX (\\Seen) {3+}\r\nnew").await;
        assert!(answer.starts_with("* OK [APPENDUID "), "{answer}");
        assert!(
            answer.ends_with(" 4] The message that takes the place\r\n* 2 EXPUNGE\r\n* 3 EXISTS\r\nOK Replaced\r\n"),
            "{answer}"
        );
        let answer = a.ok("FETCH 3 (UID FLAGS BODY.PEEK[])").await;
        assert_eq!(answer, "* 3 FETCH (UID 4 FLAGS (\\Seen) BODY[] {3}\r\nnew)\r\nOK Fetched\r\n");
        // Whoever comes too late replaces nothing, and leaves no double.
        b.fails("UID REPLACE 2 INBOX {4+}\r\nlate", "NO [EXPUNGEISSUED]").await;
        assert!(b.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 3)"));
        b.fails("UID REPLACE 2 INBOX {4+}\r\nlate", "NO [NONEXISTENT]").await;
        // Into another mailbox, which has to be there.
        a.fails("UID REPLACE 4 Sent {4+}\r\nsent", "NO [TRYCREATE]").await;
        a.ok("CREATE Sent").await;
        let answer = a.ok("UID REPLACE 4 Sent {4+}\r\nsent").await;
        assert!(answer.ends_with(" 1] The message that takes the place\r\n* 3 EXPUNGE\r\nOK Replaced\r\n"), "{answer}");
        assert!(a.ok("STATUS Sent (MESSAGES)").await.contains("(MESSAGES 1)"));
        a.ok("EXAMINE INBOX").await;
        a.fails("REPLACE 1 INBOX {1+}\r\nx", "NO [READ-ONLY]").await;
    }
}

#[tokio::test]
async fn two_sessions_that_replace_the_same_message() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        let first = a.begin("UID REPLACE 1 INBOX {3+}\r\none").await;
        let second = b.begin("UID REPLACE 1 INBOX {3+}\r\ntwo").await;
        let both = a.answer(&first).await + &b.answer(&second).await;
        assert_eq!(both.matches(" OK Replaced").count(), 1, "{both}");
        assert_eq!(both.matches(" NO [EXPUNGEISSUED]").count(), 1, "{both}");
        assert!(a.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 1)"), "none is lost and none is double");
    }
}

// ---- CATENATE

#[tokio::test]
async fn parts_of_other_messages() {
    for server in Server::each() {
        server.add("INBOX", MULTIPART).await;
        let mut client = server.client().await;
        client.ok("CREATE Drafts").await;
        let command = "APPEND Drafts CATENATE (URL /INBOX/;UID=1/;SECTION=HEADER TEXT {5+}\r\n--x\r\n \
            URL /INBOX/;UID=1/;SECTION=2.MIME URL /INBOX/;UID=1/;SECTION=2 TEXT {9+}\r\n\r\n--x--\r\n)";
        let answer = client.ok(command).await;
        assert!(answer.starts_with("OK [APPENDUID "), "{answer}");
        client.ok("SELECT Drafts").await;
        let expected = "Subject: two\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
            Content-Type: text/html\r\n\r\n<b>two</b>\r\n--x--\r\n";
        let answer = client.ok("FETCH 1 BODY.PEEK[]").await;
        let told = format!("* 1 FETCH (BODY[] {{{}}}\r\n{expected})\r\nOK Fetched\r\n", expected.len());
        assert_eq!(answer, told);
        // A whole message, a part of one, one of the mailbox that is selected; `\Seen` is set on none.
        client.ok("APPEND Drafts CATENATE (URL /INBOX/;UID=1)").await;
        client.ok("APPEND Drafts CATENATE (URL /INBOX/;UID=1/;PARTIAL=9.3 URL ;UID=1/;SECTION=1/;PARTIAL=3)").await;
        let answer = client.ok("FETCH 2:3 BODY.PEEK[]").await;
        assert!(answer.contains(std::str::from_utf8(MULTIPART).unwrap()), "{answer}");
        assert!(answer.contains("* 3 FETCH (BODY[] {10}\r\ntwotwo</b>)"), "{answer}");
        client.ok("SELECT INBOX").await;
        assert!(client.ok("FETCH 1 FLAGS").await.contains("FLAGS ()"));
        // A draft whose text is changed.
        client.ok("SELECT Drafts").await;
        let answer = client
            .ok("UID REPLACE 1 Drafts (\\Draft) CATENATE (URL /Drafts/;UID=1/;SECTION=HEADER TEXT {2+}\r\nhi)")
            .await;
        assert!(answer.contains(" 4] ") && answer.contains("* 1 EXPUNGE\r\n"), "{answer}");
        assert!(client.ok("UID FETCH 4 BODY.PEEK[TEXT]").await.contains("{2}\r\nhi)"));
    }
}

#[tokio::test]
async fn what_no_url_names() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        let mut client = server.client().await;
        let status = client.ok("STATUS INBOX (UIDVALIDITY)").await;
        let validity: u32 = status.split(['(', ')']).nth(1).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        client.ok(&format!("APPEND INBOX CATENATE (URL /INBOX;UIDVALIDITY={validity}/;UID=1)")).await;
        for url in [
            format!("/INBOX;UIDVALIDITY={}/;UID=1", validity.wrapping_sub(1).max(1)),
            "/INBOX/;UID=9".into(),
            "/INBOX/;UID=1/;SECTION=1.1".into(),
            "/Missing/;UID=1".into(),
            "imap://elsewhere.example/INBOX/;UID=1".into(),
            "/../INBOX/;UID=1".into(),
            ";UID=1".into(),
        ] {
            let command = format!("APPEND INBOX CATENATE (TEXT {{2+}}\r\nhi URL {url} TEXT {{9+}}\r\nx LOGOUT\r)");
            client.fails(&command, &format!("NO [BADURL {url}]")).await;
        }
        assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 2)"), "nothing of it was stored");
    }
}

/// IML-11: a message made of itself over and over ends at the limit, before an octet too many is copied.
#[tokio::test]
async fn a_message_that_doubles_itself() {
    let store = Arc::new(MemoryStore::new());
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    config.limits.append_size_max = 10_000;
    let accounts = pillarbox::parts::MemoryAuthenticator::new().with(imap_support::YOU, "secret");
    let parts = Parts { store: store.clone(), authenticator: Arc::new(accounts), ..Parts::in_memory() };
    let server = Server::with(store, |_| ImapServer::new(config, parts));
    server.add("INBOX", &[b'x'; 3000]).await;
    let mut client = server.in_inbox().await;
    client.ok("APPEND INBOX CATENATE (URL ;UID=1 URL ;UID=1 URL ;UID=1)").await;
    client.fails("APPEND INBOX CATENATE (URL ;UID=2 URL ;UID=1)", "NO [TOOBIG]").await;
    let text = "x".repeat(1001);
    client.fails(&format!("APPEND INBOX CATENATE (URL ;UID=2 TEXT {{1001+}}\r\n{text})"), "NO [TOOBIG]").await;
}

/// What is made of many parts of one message reads it once, and of several each time anew, but only while the client is there.
#[tokio::test]
async fn many_parts_of_one_message_are_read_once() {
    let store = Bent::over(MemoryStore::new());
    let server = Server::over(Arc::new(store.clone()));
    let large = [MULTIPART, &[b'x'; 100_000]].concat();
    server.add("INBOX", &large).await;
    server.add("INBOX", &large).await;
    let mut client = server.in_inbox().await;
    let parts = |urls: &str| format!("APPEND INBOX CATENATE ({})", vec![urls; 100].join(" "));
    for urls in ["URL ;UID=1/;SECTION=1", "URL /INBOX/;UID=1/;SECTION=2.MIME URL /INBOX/;UID=1/;SECTION=1"] {
        store.bend.octets_read.store(0, SeqCst);
        client.ok(&parts(urls)).await;
        assert!(store.bend.octets_read.load(SeqCst) <= large.len() as u64, "{urls}");
    }
    let answer = client.ok("FETCH 3 BODY.PEEK[]").await;
    assert!(answer.contains(&format!("{{300}}\r\n{}", "one".repeat(100))), "{answer}");
    // More of a message than its header is read where it is needed.
    let header = "URL ;UID=1/;SECTION=HEADER";
    client.ok(&format!("APPEND INBOX CATENATE ({header} URL ;UID=1/;SECTION=1 {header})")).await;
    let answer = client.ok("FETCH 5 BODY.PEEK[]").await;
    assert!(answer.contains("boundary=x\r\n\r\noneSubject: two\r\n"), "{answer}");

    let (stream, session) = server.connect(1 << 16, None);
    let mut client = Client::new(stream);
    client.line().await;
    client.ok("LOGIN you@localhost secret").await;
    client.ok("SELECT INBOX").await;
    store.bend.opened.lock().unwrap().clear();
    store.bend.openings.forget_permits(100_000_000);
    client.begin(&parts("URL ;UID=1/;SECTION=1 URL ;UID=2/;SECTION=1")).await;
    while store.bend.opened.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    store.bend.openings.add_permits(1_000_000);
    session.await.unwrap();
    let opened = store.bend.opened.lock().unwrap().len();
    assert!(opened <= 2, "{opened} of 200 parts were looked for for nobody");
    let mut other = server.in_inbox().await;
    assert!(other.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 5)"), "nothing of it was stored");
}

// ---- PREVIEW

#[tokio::test]
async fn the_beginning_of_a_message() {
    let html = b"Subject: x\r\nContent-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\n\
        Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        <style>p { color: red }</style><p>caf=E9<br>au lait</p>\r\n--x--\r\n";
    for (server, caches) in Server::each().into_iter().zip([false, true]) {
        server.add("INBOX", MESSAGE).await;
        server.add("INBOX", html).await;
        server.add("INBOX", b"Content-Type: image/png\r\n\r\nx").await;
        let mut client = server.in_inbox().await;
        let told = |first: &str, second: &str, third: &str| {
            let one = |number: u32, text: &str| format!("* {number} FETCH (UID {number} PREVIEW {text})\r\n");
            format!("{}{}{}OK Fetched\r\n", one(1, first), one(2, second), one(3, third))
        };
        let all = told("\"Hello\"", "{13}\r\ncafé au lait", "\"\"");
        let lazy = client.ok("UID FETCH 1:* (PREVIEW (LAZY))").await;
        // What is not at hand is not worth opening a file for.
        assert_eq!(lazy, if caches { told("NIL", "NIL", "NIL") } else { all.clone() });
        let answer = client.ok("UID FETCH 1:* (ENVELOPE PREVIEW (LAZY))").await;
        assert_eq!(answer.contains("PREVIEW NIL"), caches, "{answer}");
        assert!(answer.contains("ENVELOPE (NIL \"hi\" "), "{answer}");
        assert_eq!(client.ok("UID FETCH 1:* (PREVIEW)").await, all);
        assert_eq!(client.ok("UID FETCH 1:* (PREVIEW (LAZY))").await, all);
        let answer = client.ok("UID FETCH 1:* (ENVELOPE PREVIEW (LAZY))").await;
        assert!(!answer.contains("PREVIEW NIL") && answer.contains("ENVELOPE (NIL \"hi\" "), "{answer}");
        let answer = client.ok("UID FETCH 1 (PREVIEW BODY.PEEK[TEXT])").await;
        assert!(answer.contains("PREVIEW \"Hello\" BODY[TEXT] {7}\r\nHello\r\n)"), "{answer}");
        assert!(client.ok("FETCH 1 FLAGS").await.contains("FLAGS ()"), "nothing was seen");
    }
}
