//! Searches of several mailboxes (RFC 7377), over the stores that ship.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::num::NonZeroU32;
use std::sync::Arc;

use imap_support::bent::Bent;
use imap_support::{Client, Server, YOU};
use pillarbox::imap::ServerConfig;
use pillarbox::parts::{Append, Identity, MailboxStore};
use pillarbox::store::{AclStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::types::MailboxName;

/// What was found, without the UIDVALIDITY: `mailbox uids`, in the order in which it was told.
fn found(answer: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let (name, rest) =
            line.strip_prefix("* ESEARCH (TAG ")?.split_once(" MAILBOX ")?.1.split_once(" UIDVALIDITY ")?;
        let (_, uids) = rest.split_once(") UID ALL ")?;
        Some(format!("{} {uids}", name.trim_matches('"')))
    };
    answer.lines().filter_map(of_line).collect()
}

#[tokio::test]
async fn each_mailbox_that_is_meant_is_searched_once() {
    for server in Server::each() {
        let mut client = server.client().await;
        for name in ["Lists", "Lists/Rust", "Lists/Rust/Old", "Listsx", "A%"] {
            client.ok(&format!("CREATE \"{name}\"")).await;
        }
        client.ok("SUBSCRIBE Lists/Rust").await;
        client.ok("SUBSCRIBE Gone").await;
        for (name, subject) in [
            ("INBOX", "hay"),
            ("INBOX", "needle"),
            ("Lists", "needle"),
            ("Lists/Rust", "needle"),
            ("Lists/Rust/Old", "needle"),
            ("Listsx", "needle"),
            ("A%", "hay"),
        ] {
            server.add(name, format!("Subject: {subject}\r\n\r\n").as_bytes()).await;
        }
        for (sources, expected) in [
            ("mailboxes (INBOX \"A%\" Lists Lists)", &["INBOX 2", "Lists 1"][..]),
            ("mailboxes Nowhere", &[]),
            ("subtree Lists", &["Lists 1", "Lists/Rust 1", "Lists/Rust/Old 1"]),
            ("subtree-one Lists mailboxes Lists/Rust", &["Lists 1", "Lists/Rust 1"]),
            ("subtree \"L%\"", &[]),
            ("subscribed", &["Lists/Rust 1"]),
            ("personal", &["INBOX 2", "Lists 1", "Lists/Rust 1", "Lists/Rust/Old 1", "Listsx 1"]),
            ("inboxes", &["INBOX 2", "Lists 1", "Lists/Rust 1", "Lists/Rust/Old 1", "Listsx 1"]),
        ] {
            let answer = client.ok(&format!("ESEARCH IN ({sources}) SUBJECT needle")).await;
            let mut told = found(&answer);
            told.sort();
            assert_eq!(told, expected, "{sources}: {answer}");
        }
        // What is selected stays so, and is searched with the others.
        client.ok("SELECT Lists").await;
        let told = found(&client.ok("ESEARCH IN (selected mailboxes INBOX) ALL").await);
        assert_eq!(told, ["INBOX 1:2", "Lists 1"]);
        assert_eq!(client.ok("SEARCH ALL").await, "* SEARCH 1\r\nOK Searched\r\n");
    }
}

#[tokio::test]
async fn numbers_are_counted_in_each_mailbox() {
    for server in Server::each() {
        let mut client = server.client().await;
        for (name, messages) in [("INBOX", 5), ("Long", 8), ("Short", 2), ("Empty", 0)] {
            if name != "INBOX" {
                client.ok(&format!("CREATE {name}")).await;
            }
            for _ in 0..messages {
                server.add(name, b"Subject: hay\r\n\r\n").await;
            }
        }
        // UIDs and numbers part ways.
        client.ok("SELECT Long").await;
        client.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
        client.ok("EXPUNGE").await;
        client.ok("UNSELECT").await;
        let all = "mailboxes (INBOX Long Short Empty)";
        for (keys, expected) in [
            ("SUBJECT hay 1:3", &["INBOX 1:3", "Long 2,4:5", "Short 1:2"][..]),
            ("4:100", &["INBOX 4:5", "Long 6:8"]),
            ("101:200", &[]),
            ("*", &["INBOX 5", "Long 8", "Short 2"]),
            ("UID *", &["INBOX 5", "Long 8", "Short 2"]),
            ("UID 7:*", &["INBOX 5", "Long 7:8", "Short 2"]),
            ("NOT 2:*", &["INBOX 1", "Long 2", "Short 1"]),
            ("$", &[]),
        ] {
            let mut told = found(&client.ok(&format!("ESEARCH IN ({all}) {keys}")).await);
            told.sort();
            assert_eq!(told, expected, "{keys}");
        }
        client.ok("SELECT Long").await;
        client.ok("SEARCH RETURN (SAVE) 2:3").await;
        assert_eq!(found(&client.ok(&format!("ESEARCH IN ({all}) $")).await), ["Long 4:5"]);
        assert_eq!(found(&client.ok("ESEARCH IN (personal) UID $ 3").await), ["Long 5"]);
        // What the client does not know has no number yet, but is there.
        server.add("Long", b"Subject: needle\r\n\r\n").await;
        let told = found(&client.ok("ESEARCH IN (selected mailboxes Short) *").await);
        assert_eq!(told, ["Long 8", "Short 2"]);
    }
}

#[tokio::test]
async fn messages_of_all_mailboxes_count_together() {
    for store in [Arc::new(MemoryStore::new()) as Arc<dyn MailboxStore>, Server::maildir().store] {
        let mut config = ServerConfig::default();
        config.login_without_tls = true;
        config.limits.messages_max = NonZeroU32::new(6);
        let server = Server::configured(store, config, |server| server);
        let mut client = server.client().await;
        for name in ["A", "B", "C"] {
            client.ok(&format!("CREATE {name}")).await;
            for _ in 0..4 {
                server.add(name, b"Subject: hay\r\n\r\n").await;
            }
        }
        let answer = client.ok("ESEARCH IN (mailboxes (A B C)) SUBJECT hay").await;
        assert_eq!(found(&answer), ["A 1:4", "B 3:4"]);
        assert!(answer.ends_with("OK [MESSAGELIMIT 6] Searched in part\r\n"), "{answer}");
        // Of what is not looked at nothing counts.
        let answer = client.ok("ESEARCH IN (mailboxes (A B C)) UID 2:3 SUBJECT hay").await;
        assert_eq!(found(&answer), ["A 2:3", "B 2:3", "C 2:3"]);
        assert!(answer.ends_with("OK Searched\r\n"), "{answer}");
        client.ok("SELECT A").await;
        for _ in 0..4 {
            client.ok("COPY 1:4 B").await;
        }
        client.ok("SELECT B").await;
        client.ok("STORE 1:6 +FLAGS.SILENT (\\Deleted)").await;
        client.ok("STORE 7:9 +FLAGS.SILENT (\\Deleted)").await;
        let mut rounds = 0;
        loop {
            rounds += 1;
            let answer = client.ok("UID EXPUNGE 1:*").await;
            if !answer.contains("[MESSAGELIMIT 6 ") {
                break;
            }
            assert!(answer.contains("* 4 EXPUNGE\r\n") && !answer.contains("* 3 EXPUNGE\r\n"), "{answer}");
        }
        assert_eq!(rounds, 2, "who repeats it comes to an end");
        assert!(client.ok("STATUS B (MESSAGES)").await.contains("(MESSAGES 11)"));
    }
}

#[tokio::test]
async fn mailboxes_of_others_are_searched_with_the_right_to_read_and_found_with_that_to_see() {
    let ann = Identity::new("ann");
    let name = |text: &str| MailboxName::new(text).unwrap();
    let store = AclStore::new(MemoryStore::new()).other_users(name("Other Users"));
    for (mailbox, rights) in [("Read", "r"), ("Seen", "l"), ("Both", "lr"), ("Hidden", "")] {
        store.create(&ann, &name(mailbox), &[]).await.unwrap();
        let mut append = store.append(&ann, &name(mailbox), Append::default()).await.unwrap();
        append.write(b"Subject: needle\r\n\r\n").await.unwrap();
        append.publish().await.unwrap();
        store.set_acl(&ann, &name(mailbox), YOU, RightsChange::parse(rights)).await.unwrap();
    }
    let server = Server::over(Arc::new(store));
    let mut client = server.client().await;
    let all = "\"Other Users/ann/Read\" \"Other Users/ann/Seen\" \"Other Users/ann/Both\" \"Other Users/ann/Hidden\"";
    let mut told = found(&client.ok(&format!("ESEARCH IN (mailboxes ({all})) ALL")).await);
    told.sort();
    assert_eq!(told, ["Other Users/ann/Both 1", "Other Users/ann/Read 1"]);
    let told = found(&client.ok("ESEARCH IN (subtree \"Other Users/ann\") ALL").await);
    assert_eq!(told, ["Other Users/ann/Both 1"]);
    assert_eq!(client.ok("ESEARCH IN (personal) ALL").await, "OK Searched\r\n");
}

#[tokio::test]
async fn a_search_of_many_mailboxes_ends_when_its_client_is_gone() {
    let store = Bent::over(MemoryStore::new());
    store.bend.permits.add_permits(1_000_000);
    let server = Server::over(Arc::new(store.clone()));
    let (stream, session) = server.connect(1 << 16, None);
    let mut client = Client::new(stream);
    client.line().await;
    client.ok("LOGIN you@localhost secret").await;
    for number in 0..100 {
        client.ok(&format!("CREATE M{number}")).await;
        server.add(&format!("M{number}"), b"Subject: hay\r\n\r\n").await;
    }
    store.bend.openings.forget_permits(100_000_000);
    client.begin("ESEARCH IN (personal) TEXT needle").await;
    while store.bend.opened.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(client);
    store.bend.openings.add_permits(1_000_000);
    session.await.unwrap();
    let opened = store.bend.opened.lock().unwrap().len();
    assert!(opened <= 2, "messages of {opened} of 100 mailboxes were opened for nobody");
}

#[tokio::test]
async fn more_mailboxes_than_one_search_may_have() {
    let server = Server::memory();
    let mut client = server.client().await;
    for number in 0..500 {
        client.ok(&format!("CREATE M{number}")).await;
    }
    // With INBOX there are 501.
    client.fails("ESEARCH IN (personal) ALL", "NO [LIMIT]").await;
    client.ok("DELETE M1").await;
    client.ok("ESEARCH IN (personal) ALL").await;
}

#[tokio::test]
async fn accounts_of_others_are_named_within_the_bound_on_patterns() {
    let store = AclStore::new(MemoryStore::new()).other_users(MailboxName::new("Other Users").unwrap());
    let server = Server::over(Arc::new(store));
    let mut client = server.client().await;
    let subtrees = |name: &dyn Fn(u32) -> String| {
        let names: Vec<String> = (0..100).map(|number| format!("\"{}\"", name(number))).collect();
        format!("ESEARCH IN (subtree ({})) ALL", names.join(" "))
    };
    client.fails(&subtrees(&|number| format!("Other Users/account-{number}/Work")), "NO [LIMIT]").await;
    // Many names of one account are one, and one's own cost nothing.
    client.ok(&subtrees(&|number| format!("Other Users/ann/a-mailbox-{number}"))).await;
    client.ok(&subtrees(&|number| format!("a-mailbox-{number}/{}", "x".repeat(100)))).await;
    client.ok(&subtrees(&|number| format!("**************{number}"))).await;
}
