//! The IMAP server over pipes in memory, with the stores that ship and with one that fails on demand.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;
#[cfg(feature = "tls")]
#[path = "support/tls.rs"]
#[allow(unreachable_pub, reason = "shared with other test files")]
mod tls;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use imap_support::bent::Bent;
use imap_support::{Client, Server, YOU};
use pillarbox::delivery::MailboxSink;
use pillarbox::parts::{Envelope, Identity, MessageSink, Outcome};
use pillarbox::store::MemoryStore;
use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_imap::types::{MailboxName, Uid, UidSet};

const MESSAGE: &[u8] = b"From: Joe <joe@example.org>\r\nSubject: hi\r\n\r\nHello\r\n";

/// A server over a store that can be bent.
fn bent() -> (Server, Bent) {
    let store = Bent::over(MemoryStore::new());
    (Server::over(Arc::new(store.clone())), store)
}

fn numbers(uids: &[u32]) -> UidSet {
    uids.iter().map(|&uid| Uid::new(uid).unwrap()).collect()
}

// ---- several sessions

#[tokio::test]
async fn what_one_session_expunges_the_other_learns() {
    for server in Server::each() {
        for _ in 0..3 {
            server.add("INBOX", MESSAGE).await;
        }
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.ok("STORE 2 +FLAGS (\\Deleted)").await;
        assert_eq!(a.ok("EXPUNGE").await, "* 2 EXPUNGE\r\nOK Expunged\r\n");
        // RFC 9051 §7.5.1: no EXPUNGE while FETCH is answered; the number still means the message that is gone.
        let answer = b.fails("FETCH 1:3 (UID)", "NO [EXPUNGEISSUED]").await;
        assert!(answer.starts_with("* 1 FETCH (UID 1)\r\n* 3 FETCH (UID 3)\r\n"), "{answer}");
        assert!(!answer.contains("EXPUNGE\r\n"), "{answer}");
        b.fails("FETCH 2 BODY.PEEK[]", "NO [EXPUNGEISSUED]").await;
        b.fails("STORE 2 +FLAGS (\\Seen)", "NO [EXPUNGEISSUED]").await;
        b.ok("STORE 2 +FLAGS.SILENT (\\Seen)").await;
        b.fails("COPY 2 INBOX", "NO [EXPUNGEISSUED]").await;
        assert_eq!(b.ok("NOOP").await, "OK Done\r\n", "COPY has told it");
        assert!(b.ok("FETCH 2 UID").await.starts_with("* 2 FETCH (UID 3)"));
    }
}

#[tokio::test]
async fn noop_tells_what_is_new_and_what_is_gone() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.ok("STORE 1 +FLAGS (\\Deleted)").await;
        a.ok("EXPUNGE").await;
        server.add("INBOX", MESSAGE).await;
        assert_eq!(b.ok("NOOP").await, "* 1 EXPUNGE\r\n* 1 EXISTS\r\nOK Done\r\n");
        a.ok("NOOP").await;
        // RFC 9051 §7.3.5: a keyword is told before it is first seen, to whoever made it and to the others.
        let system = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
        let new = format!(
            "* FLAGS ({system} work)\r\n* OK [PERMANENTFLAGS ({system} work \\*)] Flags that last\r\n\
             * 1 FETCH (UID 2 FLAGS (\\Answered work))\r\nOK Done\r\n"
        );
        assert_eq!(a.ok("STORE 1 FLAGS (\\Answered work)").await.replace("Stored", "Done"), new);
        assert_eq!(b.ok("NOOP").await, new);
        a.ok("STORE 1 -FLAGS (work)").await;
        assert_eq!(b.ok("NOOP").await, "* 1 FETCH (UID 2 FLAGS (\\Answered))\r\nOK Done\r\n");
    }
}

#[tokio::test]
async fn uids_that_never_were_are_no_error() {
    for server in Server::each() {
        for _ in 0..3 {
            server.add("INBOX", MESSAGE).await;
        }
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        assert_eq!(a.ok("UID FETCH 7:9,1000 FLAGS").await, "OK No such messages\r\n");
        assert!(a.ok("UID FETCH 2:1000 FLAGS").await.starts_with("* 2 FETCH (UID 2 FLAGS ()"));
        a.ok("UID STORE 2:4 +FLAGS (\\Deleted)").await;
        a.ok("UID EXPUNGE 2").await;
        // Nor are those that went meanwhile, which UID commands may tell at their end (RFC 9051 §6.4.9).
        let answer = b.ok("UID FETCH 1:3 (BODY.PEEK[TEXT])").await;
        assert!(answer.contains("* 3 FETCH (UID 3 BODY[TEXT] {7}\r\nHello\r\n)\r\n"), "{answer}");
        assert!(answer.contains("* 2 EXPUNGE\r\n"), "{answer}");
        b.ok("UID FETCH 2 FLAGS").await;
    }
}

#[tokio::test]
async fn a_uid_command_on_what_was_just_expunged_is_ok() {
    let (server, store) = bent();
    for _ in 0..3 {
        server.add("INBOX", MESSAGE).await;
    }
    let mut client = server.in_inbox().await;
    // Gone between the look at the flags and the opening.
    *store.bend.expunged.lock().unwrap() = numbers(&[2]);
    let answer = client.fails("FETCH 1:3 (FLAGS BODY.PEEK[TEXT])", "NO [EXPUNGEISSUED]").await;
    assert!(answer.contains("* 1 FETCH") && answer.contains("* 3 FETCH") && !answer.contains("* 2 FETCH"), "{answer}");
    let answer = client.ok("UID FETCH 1:3 (FLAGS BODY.PEEK[TEXT])").await;
    assert!(answer.contains("UID 1") && answer.contains("UID 3") && !answer.contains("UID 2"), "{answer}");
}

#[tokio::test]
async fn idle_hears_of_a_delivery_at_once() {
    for server in Server::each() {
        let mut client = server.in_inbox().await;
        let tag = client.begin("IDLE").await;
        assert_eq!(client.line().await, "+ Idling\r\n");
        let sink = MailboxSink::new(Arc::clone(&server.store), |_| Some(Identity::new(YOU)));
        let envelope = Envelope::new("1", ReversePath::Null, vec![ForwardPath::Postmaster]);
        let mut message = sink.begin(envelope).await.unwrap();
        message.write(MESSAGE).await.unwrap();
        assert_eq!(message.commit(false).await, [Outcome::Delivered]);
        assert_eq!(client.line().await, "* 1 EXISTS\r\n");
        client.send("DONE\r\n").await;
        assert!(client.answer(&tag).await.contains("OK"));
    }
}

/// IML-09: what comes in a burst is told together, to however many.
#[tokio::test]
async fn a_thousand_sessions_in_idle_hear_of_a_thousand_deliveries() {
    const SESSIONS: usize = 1000;
    let server = Server::memory();
    let mut watching = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = Client::new(server.connect(1024, None).0);
        client.line().await;
        client.ok("LOGIN you@localhost secret").await;
        client.ok("SELECT INBOX").await;
        client.begin("IDLE").await;
        assert_eq!(client.line().await, "+ Idling\r\n");
        watching.push(client);
    }
    for _ in 0..1000 {
        server.add("INBOX", MESSAGE).await;
    }
    // All hear within a second.
    server.clock.advance(Duration::from_secs(1));
    let mut told = 0;
    for client in &mut watching {
        loop {
            told += 1;
            let line = client.line().await;
            assert!(line.ends_with(" EXISTS\r\n"), "{line}");
            if line == "* 1000 EXISTS\r\n" {
                break;
            }
        }
    }
    assert!(told <= 2 * SESSIONS, "{told} lines for what one or two each say");
}

#[tokio::test]
async fn idle_asks_again_after_trouble() {
    let (server, store) = bent();
    let mut client = server.in_inbox().await;
    store.bend.no_news.store(1, SeqCst);
    client.begin("IDLE").await;
    assert_eq!(client.line().await, "+ Idling\r\n");
    server.clock.sleeper(Duration::from_secs(10)).await;
    server.add("INBOX", MESSAGE).await;
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(client.line().await, "* 1 EXISTS\r\n");
    assert!(server.log.text().contains("failed mailbox: as the test wants it"));
}

#[tokio::test]
async fn a_mailbox_that_is_deleted_elsewhere_ends_its_sessions() {
    for server in Server::each() {
        let (mut a, mut idle, mut busy) = (server.client().await, server.client().await, server.client().await);
        a.ok("CREATE Old").await;
        idle.ok("SELECT Old").await;
        busy.ok("SELECT Old").await;
        idle.begin("IDLE").await;
        assert_eq!(idle.line().await, "+ Idling\r\n");
        a.ok("DELETE Old").await;
        assert_eq!(idle.rest().await, "* BYE The selected mailbox is gone\r\n");
        let tag = busy.begin("NOOP").await;
        assert!(busy.answer(&tag).await.contains("OK"));
        assert_eq!(busy.rest().await, "* BYE The selected mailbox is gone\r\n");
        a.ok("NOOP").await;
    }
}

#[tokio::test]
async fn the_flags_of_more_messages_than_changes_may_wait() {
    let server = Server::memory();
    for _ in 0..66_000 {
        server.add("INBOX", b"x").await;
    }
    let mut client = server.in_inbox().await;
    assert_eq!(client.ok("STORE 1:* +FLAGS.SILENT (\\Seen)").await, "OK Stored\r\n");
    assert!(client.ok("SEARCH UNSEEN").await.starts_with("* SEARCH\r\n"));
    assert_eq!(client.ok("SEARCH ALL").await.lines().next().unwrap().split(' ').count(), 66_002);
    let told = client.ok("STORE 1:* +FLAGS (\\Flagged)").await;
    assert_eq!(told.lines().count(), 66_001, "each message once, and the end");
}

// ---- fetching

#[tokio::test]
async fn parts_of_messages() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        let mut client = server.in_inbox().await;
        for (item, told) in [
            ("BODY.PEEK[]<0.4>", "BODY[]<0> {4}\r\nFrom"),
            ("BODY.PEEK[]<50.40>", "BODY[]<50> {1}\r\n\n"),
            ("BODY.PEEK[]<51.5>", "BODY[]<51> {0}\r\n"),
            ("BODY.PEEK[]<4294967295.5>", "BODY[]<4294967295> {0}\r\n"),
            ("BODY.PEEK[TEXT]<5.9>", "BODY[TEXT]<5> {2}\r\n\r\n"),
            ("BODY.PEEK[TEXT]<9.9>", "BODY[TEXT]<9> {0}\r\n"),
            ("BODY.PEEK[1]<1.3>", "BODY[1]<1> {3}\r\nell"),
            ("BODY.PEEK[2]", "BODY[2] NIL"),
            ("BODY.PEEK[HEADER.FIELDS (subject)]", "BODY[HEADER.FIELDS (subject)] {15}\r\nSubject: hi\r\n\r\n"),
            ("RFC822.HEADER", "RFC822.HEADER {44}\r\nFrom: Joe <joe@example.org>\r\nSubject: hi\r\n\r\n"),
        ] {
            let answer = client.ok(&format!("FETCH 1 {item}")).await;
            assert_eq!(answer, format!("* 1 FETCH ({told})\r\nOK Fetched\r\n"), "{item}");
        }
        assert_eq!(client.ok("FETCH 1 FLAGS").await, "* 1 FETCH (FLAGS ())\r\nOK Fetched\r\n", "nothing was seen yet");
        let answer = client.ok("FETCH 1 BODY[TEXT]").await;
        assert!(answer.contains("* 1 FETCH (UID 1 FLAGS (\\Seen))\r\nOK"), "{answer}");
        let answer = client.ok("FETCH 1 (FLAGS BODY[TEXT])").await;
        assert!(answer.starts_with("* 1 FETCH (FLAGS (\\Seen) BODY[TEXT] {7}\r\nHello\r\n)\r\nOK"), "{answer}");
    }
}

#[tokio::test]
async fn macros() {
    for server in Server::each() {
        let mut client = server.client().await;
        let octets = String::from_utf8_lossy(MESSAGE).into_owned();
        let tag = client.begin("APPEND INBOX (\\Flagged) \"17-Jul-1996 02:44:25 -0700\" {51}").await;
        client.line().await;
        client.send(format!("{octets}\r\n")).await;
        assert!(client.answer(&tag).await.contains("OK [APPENDUID "));
        client.ok("SELECT INBOX").await;
        let fast = "FLAGS (\\Flagged) INTERNALDATE \"17-Jul-1996 0";
        let envelope = "ENVELOPE (NIL \"hi\" ((\"Joe\" NIL \"joe\" \"example.org\")) ";
        let answer = client.ok("FETCH 1 FAST").await;
        assert!(answer.contains(fast) && answer.contains("RFC822.SIZE 51)"), "{answer}");
        let answer = client.ok("FETCH 1 ALL").await;
        assert!(answer.contains(fast) && answer.contains(envelope) && !answer.contains("BODY"), "{answer}");
        let answer = client.ok("FETCH 1 FULL").await;
        let body = "BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 7 1))";
        assert!(answer.contains(fast) && answer.contains(envelope) && answer.contains(body), "{answer}");
    }
}

#[tokio::test]
async fn of_a_large_message_only_the_header_is_read() {
    let (server, store) = bent();
    server.add("INBOX", &[MESSAGE, &vec![b'x'; 10 << 20]].concat()).await;
    let mut client = server.in_inbox().await;
    let answer = client.ok("FETCH 1 (ENVELOPE BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (FROM)])").await;
    assert!(answer.contains("BODY[HEADER] {44}\r\n"), "{answer}");
    assert_eq!(store.bend.octets_read.swap(0, SeqCst), 8192);
    client.ok("FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE UID)").await;
    assert_eq!(store.bend.octets_read.load(SeqCst), 0);
    client.ok("FETCH 1 BODY.PEEK[]<100000.1000>").await;
    assert_eq!(store.bend.octets_read.load(SeqCst), 1000);
}

#[tokio::test]
async fn nul_is_never_sent() {
    for server in Server::each() {
        let mut octets = b"Subject: a\0b\r\nContent-Type: text/plain; name=\"x\0y\"\r\n\r\n".to_vec();
        octets.extend(std::iter::repeat_n(0, 100_000));
        server.add("INBOX", &octets).await;
        let mut client = server.in_inbox().await;
        for item in ["BODY.PEEK[]", "RFC822.TEXT", "BODY.PEEK[HEADER]", "BODY.PEEK[1]", "ENVELOPE", "BODYSTRUCTURE"] {
            client.begin(&format!("FETCH 1 {item}")).await;
            let told = client.octets().await;
            assert!(!told.contains(&0), "{item}: {}", told[..200.min(told.len())].escape_ascii());
            assert!(!item.starts_with("BODY.") || told.contains(&0x80));
            while !client.line().await.starts_with('t') {}
        }
    }
}

#[tokio::test]
async fn a_full_disk_does_not_withhold_messages() {
    let (server, store) = bent();
    server.add("INBOX", MESSAGE).await;
    let mut client = server.in_inbox().await;
    store.bend.full.store(true, SeqCst);
    assert!(client.ok("FETCH 1 BODY[TEXT]").await.contains("Hello"));
    client.fails("STORE 1 +FLAGS (\\Seen)", "NO [UNAVAILABLE]").await;
    assert!(server.log.text().contains("failed marking messages as seen"));
}

#[tokio::test]
async fn trouble_within_announced_octets_ends_the_connection() {
    let (server, store) = bent();
    server.add("INBOX", &vec![b'x'; 100_000]).await;
    server.add("INBOX", MESSAGE).await;
    let mut client = server.in_inbox().await;
    store.bend.unreadable_from.store(70_000, SeqCst);
    client.begin("FETCH 1:2 BODY.PEEK[]").await;
    let rest = client.rest().await;
    assert!(rest.starts_with("* 1 FETCH (BODY[] {100000}\r\nx"), "{}", &rest[..40]);
    assert!(rest.ends_with('x') && rest.len() < 100_000, "nothing that could be taken for the message");
    while !server.log.text().contains("disconnected Broken") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn searching() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        server.add("INBOX", "Subject: Grüße\r\n\r\nBis bald\r\n".as_bytes()).await;
        let mut client = server.in_inbox().await;
        assert_eq!(client.ok("SEARCH SUBJECT hi").await, "* SEARCH 1\r\nOK Searched\r\n");
        assert_eq!(client.ok("SEARCH CHARSET US-ASCII BODY bald").await, "* SEARCH 2\r\nOK Searched\r\n");
        let tag = client.begin("UID SEARCH CHARSET UTF-8 SUBJECT {7}").await;
        client.line().await;
        client.send("grüße\r\n").await;
        assert!(client.answer(&tag).await.starts_with("* SEARCH 2\r\n"));
        client.fails("SEARCH CHARSET KLINGON ALL", "NO [BADCHARSET (US-ASCII UTF-8)]").await;
        client.fails("SEARCH FROB", "BAD").await;
        // A message that came, and that the client was not told of, is not found.
        server.add("INBOX", MESSAGE).await;
        assert_eq!(client.ok("SEARCH SUBJECT hi").await, "* SEARCH 1\r\n* 3 EXISTS\r\nOK Searched\r\n");
    }
}

// ---- APPEND

#[tokio::test]
async fn a_large_message_streams_in() {
    let (server, store) = bent();
    let mut client = server.in_inbox().await;
    let octets = [MESSAGE, &vec![b'x'; 5 << 20]].concat();
    let answer = client.append("INBOX", &octets).await;
    assert!(answer.starts_with("* 1 EXISTS\r\nOK [APPENDUID "), "{answer}");
    assert!(store.bend.largest_piece.load(SeqCst) <= 64 << 10, "{}", store.bend.largest_piece.load(SeqCst));
    client.begin("FETCH 1 BODY.PEEK[]").await;
    let told = client.octets().await;
    assert!(told.windows(octets.len()).any(|window| window == octets));
}

#[tokio::test]
async fn a_message_that_is_refused_is_eaten() {
    let (server, store) = bent();
    let mut client = server.client().await;
    let tag = client.begin("APPEND Missing {20}").await;
    assert!(client.answer(&tag).await.starts_with(&format!("{tag}NO [TRYCREATE]")));
    client.send("a APPEND Missing {20+}\r\nb LOGOUT\r\n12345678\r\n\r\nc NOOP\r\n").await;
    assert!(client.answer("a ").await.starts_with("a NO [TRYCREATE]"));
    assert_eq!(client.line().await, "c OK Done\r\n");
    // The disk is full in the middle of it.
    store.bend.unwritable_from.store(100_000, SeqCst);
    let answer = client.append("INBOX", vec![b'x'; 1 << 20]).await;
    assert!(answer.starts_with("NO [UNAVAILABLE]"), "{answer}");
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.starts_with("* STATUS INBOX (MESSAGES 0)"));
}

#[tokio::test]
async fn what_was_done_is_not_called_refused() {
    let (server, store) = bent();
    server.add("INBOX", MESSAGE).await;
    let mut client = server.in_inbox().await;
    store.bend.blind.store(true, SeqCst);
    client.fails("NOOP", "NO [UNAVAILABLE]").await;
    assert!(client.append("INBOX", MESSAGE).await.starts_with("OK [APPENDUID"));
    assert!(client.ok("STORE 1 +FLAGS (\\Deleted)").await.starts_with("* 1 FETCH"));
    assert_eq!(client.ok("EXPUNGE").await, "* 1 EXPUNGE\r\nOK Expunged\r\n");
    store.bend.blind.store(false, SeqCst);
    assert_eq!(client.ok("NOOP").await, "* 1 EXISTS\r\nOK Done\r\n");
}

#[tokio::test]
async fn a_message_that_breaks_off_leaves_nothing() {
    for server in Server::each() {
        let mut client = server.client().await;
        client.begin("APPEND INBOX {1000000}").await;
        client.line().await;
        client.send(vec![b'x'; 500_000]).await;
        drop(client);
        while !server.log.text().contains("disconnected") {
            tokio::task::yield_now().await;
        }
        let mut client = server.client().await;
        assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("MESSAGES 0"));
    }
}

// ---- mailboxes

#[tokio::test]
async fn mailboxes_come_and_go() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        let mut client = server.in_inbox().await;
        assert_eq!(client.ok("LIST \"\" \"\"").await, "* LIST (\\Noselect) \"/\" \"\"\r\nOK Separator told\r\n");
        client.ok("CREATE Lists/Rust").await;
        client.ok("SUBSCRIBE Lists/Rust").await;
        let listed = client.ok("LSUB \"\" *").await;
        assert!(listed.contains(" \"/\" Lists/Rust\r\n"), "{listed}");
        let listed = client.ok("LIST \"\" *").await;
        assert!(listed.contains("* LIST (\\HasNoChildren) \"/\" Lists/Rust\r\n"), "{listed}");
        client.fails("CREATE Lists/Rust", "NO [ALREADYEXISTS]").await;
        client.fails("COPY 1 Missing", "NO [TRYCREATE]").await;
        client.fails("SELECT Missing", "NO [NONEXISTENT]").await;
        client.fails("CHECK", "BAD").await;
        client.fails("DELETE Missing", "NO [NONEXISTENT]").await;
        client.ok("RENAME INBOX Old").await;
        assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"));
        assert!(client.ok("STATUS Old (MESSAGES UNSEEN)").await.contains("(MESSAGES 1 UNSEEN 1)"));
    }
}

#[tokio::test]
async fn inbox_gives_its_messages_away_under_a_session() {
    for server in Server::each() {
        server.add("INBOX", MESSAGE).await;
        let (mut a, mut b) = (server.client().await, server.in_inbox().await);
        a.ok("RENAME INBOX Old").await;
        assert_eq!(b.ok("NOOP").await, "* 1 EXPUNGE\r\nOK Done\r\n");
        server.add("INBOX", MESSAGE).await;
        assert_eq!(b.ok("NOOP").await, "* 1 EXISTS\r\nOK Done\r\n");
    }
}

#[tokio::test]
async fn close_expunges_without_a_word() {
    for server in Server::each() {
        for _ in 0..2 {
            server.add("INBOX", MESSAGE).await;
        }
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
        assert_eq!(a.ok("CLOSE").await, "OK No mailbox is selected now\r\n");
        assert_eq!(b.ok("NOOP").await, "* 1 EXPUNGE\r\nOK Done\r\n");
        // EXAMINE changes nothing, and neither does its CLOSE.
        b.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
        a.ok("EXAMINE INBOX").await;
        a.ok("FETCH 1 BODY[]").await;
        a.fails("STORE 1 +FLAGS (\\Seen)", "NO [READ-ONLY]").await;
        a.ok("CLOSE").await;
        assert_eq!(b.ok("FETCH 1 FLAGS").await, "* 1 FETCH (FLAGS (\\Deleted))\r\nOK Fetched\r\n");
    }
}

// ---- logging in

#[tokio::test]
async fn a_wrong_password_is_answered_late() {
    let server = Server::memory();
    let mut client = server.stranger().await;
    let tag = client.begin("LOGIN you@localhost wrong").await;
    server.clock.sleeper(Duration::from_secs(2)).await;
    server.clock.advance(Duration::from_millis(1999));
    tokio::task::yield_now().await;
    assert!(client.stream.buffer().is_empty());
    server.clock.advance(Duration::from_millis(1));
    assert!(client.answer(&tag).await.contains("NO [AUTHENTICATIONFAILED]"));
    assert!(server.log.text().contains("login refused you@localhost"));
    client.ok("LOGIN you@localhost secret").await;
}

#[tokio::test]
async fn ten_sessions_of_one_user_from_one_address() {
    let server = Server::memory();
    let come = async |ip: &str, user: &str| {
        let mut client = Client::new(server.connect(1 << 16, Some(ip.parse().unwrap())).0);
        client.line().await;
        let answer = client.say(&format!("LOGIN {user} secret")).await;
        (client, answer)
    };
    let mut there = Vec::new();
    for _ in 0..10 {
        let (client, answer) = come("192.0.2.1", YOU).await;
        assert!(answer.starts_with("OK"), "{answer}");
        there.push(client);
    }
    let (mut eleventh, answer) = come("192.0.2.1", YOU).await;
    assert!(answer.starts_with("NO [LIMIT]"), "{answer}");
    for (ip, user) in [("192.0.2.1", "me@localhost"), ("192.0.2.2", YOU)] {
        let (_, answer) = come(ip, user).await;
        assert!(answer.starts_with("OK"), "{answer}");
    }
    let mut first = there.remove(0);
    first.ok("LOGOUT").await;
    first.rest().await;
    while server.log.lines().iter().filter(|line| line.starts_with("disconnected Logout")).count() == 0 {
        tokio::task::yield_now().await;
    }
    eleventh.ok(&format!("LOGIN {YOU} secret")).await;
}

#[cfg(feature = "tls")]
mod tls_tests {
    use super::*;
    use pillarbox::imap::{ImapServer, ServerConfig};
    use pillarbox::parts::{MemoryAuthenticator, Parts};
    use tokio_rustls::TlsConnector;

    fn server(pair: &tls::Pair, implicit: bool) -> Server {
        let accounts = MemoryAuthenticator::new().with(YOU, "secret");
        let parts = Parts { authenticator: Arc::new(accounts), ..Parts::in_memory() };
        Server::with(Arc::new(MemoryStore::new()), |_| {
            ImapServer::new(ServerConfig::default(), parts).tls(Arc::clone(&pair.server)).implicit_tls(implicit)
        })
    }

    #[tokio::test]
    async fn no_password_without_tls() {
        let pair = tls::pair();
        let server = server(&pair, false);
        let mut client = Client::new(server.connect(1 << 16, None).0);
        let greeting = client.line().await;
        assert!(greeting.contains("STARTTLS") && greeting.contains("LOGINDISABLED"), "{greeting}");
        client.fails("LOGIN you@localhost secret", "NO [PRIVACYREQUIRED]").await;
        client.ok("STARTTLS").await;
        let stream = TlsConnector::from(Arc::clone(&pair.client)).connect(tls::name(), client.stream.into_inner());
        let mut client = Client::new(stream.await.unwrap());
        let capabilities = client.ok("CAPABILITY").await;
        assert!(!capabilities.contains("STARTTLS") && !capabilities.contains("LOGINDISABLED"), "{capabilities}");
        client.ok("LOGIN you@localhost secret").await;
        client.ok("SELECT INBOX").await;
        client.append("INBOX", vec![b'x'; 1 << 20]).await;
        assert!(client.ok("FETCH 1 RFC822").await.contains("RFC822 {1048576}\r\nxxx"));
    }

    #[tokio::test]
    async fn nothing_may_be_slipped_in_before_the_handshake() {
        let pair = tls::pair();
        let server = server(&pair, false);
        let mut client = Client::new(server.connect(1 << 16, None).0);
        client.line().await;
        client.send("a STARTTLS\r\nb LOGIN you@localhost secret\r\n").await;
        assert_eq!(client.rest().await, "* BYE Nothing may follow STARTTLS\r\n");
    }

    #[tokio::test]
    async fn tls_from_the_start() {
        let pair = tls::pair();
        let server = server(&pair, true);
        let stream = server.connect(1 << 16, None).0;
        let stream = TlsConnector::from(Arc::clone(&pair.client)).connect(tls::name(), stream);
        let mut client = Client::new(stream.await.unwrap());
        assert!(client.line().await.contains("AUTH=PLAIN"));
        client.ok("LOGIN you@localhost secret").await;
    }
}

// ---- a client that does not read, a server that stops, a part that panics

#[tokio::test]
async fn a_client_that_does_not_read_holds_little_and_not_for_long() {
    for many_small in [false, true] {
        let (server, store) = bent();
        let (messages, size) = if many_small { (1000, 1000) } else { (10, 1 << 20) };
        for _ in 0..messages {
            server.add("INBOX", &vec![b'x'; size]).await;
        }
        let (stream, ended) = server.connect(1024, None);
        let mut client = Client::new(stream);
        client.line().await;
        client.ok("LOGIN you@localhost secret").await;
        client.ok("SELECT INBOX").await;
        client.begin("FETCH 1:* BODY.PEEK[]").await;
        server.clock.sleeper(Duration::from_secs(300)).await;
        server.clock.advance(Duration::from_secs(299));
        assert!(!ended.is_finished());
        server.clock.advance(Duration::from_secs(1));
        ended.await.unwrap();
        let read = store.bend.octets_read.load(SeqCst);
        assert!(read <= 128 << 10, "{read} octets were read for somebody who takes none");
        assert!(server.log.text().ends_with("disconnected Timeout"), "{}", server.log.text());
        drop(client);
    }
}

#[tokio::test]
async fn a_server_that_stops_says_goodbye() {
    let bye = "* BYE [UNAVAILABLE] The server is going down\r\n";
    for server in Server::each() {
        let (stranger, quiet, mut idle) = (server.stranger().await, server.in_inbox().await, server.in_inbox().await);
        idle.begin("IDLE").await;
        assert_eq!(idle.line().await, "+ Idling\r\n");
        let mut sending = server.client().await;
        sending.begin("APPEND INBOX {10}").await;
        sending.line().await;
        sending.send("12345").await;
        server.shutdown.begin();
        for client in [stranger, quiet, idle, sending] {
            assert_eq!(client.rest().await, bye);
        }
        let status = server.store.status(&Identity::new(YOU), &MailboxName::inbox(), &[]).await.unwrap();
        assert_eq!(status.messages, 0);
    }
}

#[tokio::test]
async fn a_message_whose_end_came_is_answered_before_the_goodbye() {
    let (server, store) = bent();
    let mut client = server.client().await;
    store.bend.permits.forget_permits(1000);
    let tag = client.begin("APPEND INBOX {5}").await;
    client.line().await;
    client.send("hello\r\n").await;
    store.bend.publishing.acquire().await.unwrap().forget();
    server.shutdown.begin();
    tokio::task::yield_now().await;
    assert!(client.stream.buffer().is_empty());
    store.bend.permits.add_permits(1);
    assert!(client.answer(&tag).await.contains("OK [APPENDUID"));
    assert!(client.rest().await.starts_with("* BYE"));
}

#[tokio::test]
async fn a_panic_ends_one_session() {
    let (server, store) = bent();
    let (mut a, mut b) = (server.client().await, server.in_inbox().await);
    store.bend.panics.store(true, SeqCst);
    a.begin("STATUS INBOX (MESSAGES)").await;
    assert_eq!(a.rest().await, "* BYE [SERVERBUG] internal error\r\n");
    b.ok("NOOP").await;
    assert!(server.log.text().contains("failed session: as the test wants it"), "{}", server.log.text());
}
