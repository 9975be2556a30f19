//! Searches that are kept up to date (RFC 5267), between two sessions, over the stores that ship.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;

use imap_support::bent::Bent;
use imap_support::{Client, Server};
use pillarbox::store::MemoryStore;
use tokio::io::{AsyncWriteExt, DuplexStream};

async fn with_subjects(server: &Server, subjects: &[&str]) {
    for subject in subjects {
        server.add("INBOX", format!("Subject: {subject}\r\n\r\n{subject} in the text\r\n").as_bytes()).await;
    }
}

/// What the client in IDLE hears up to a line that begins so.
async fn until(client: &mut Client<DuplexStream>, start: &str) -> String {
    let mut all = String::new();
    loop {
        let line = client.line().await;
        all.push_str(&line);
        if line.starts_with(start) {
            return all;
        }
    }
}

#[tokio::test]
async fn what_one_session_does_the_other_hears_as_changes_of_its_results() {
    for server in Server::each() {
        with_subjects(&server, &["b", "d", "a"]).await;
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        let told = a.ok("UID SEARCH RETURN (UPDATE ALL) UNSEEN TEXT text").await;
        assert_eq!(told, "* ESEARCH (TAG \"t3\") UID ALL 1:3\r\nOK Searched\r\n".replace("t3", &tag_of(&told)));
        let unseen = tag_of(&told);
        let sorted = tag_of(&a.ok("UID SORT RETURN (UPDATE ALL) (SUBJECT) UTF-8 UNDELETED").await);
        with_subjects(&server, &["c"]).await;
        b.ok("STORE 1 +FLAGS (\\Seen)").await;
        b.ok("STORE 3 +FLAGS (\\Deleted)").await;
        let heard = a.ok("NOOP").await;
        assert_eq!(
            heard,
            format!(
                "* 4 EXISTS\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 3 FETCH (UID 3 FLAGS (\\Deleted))\r\n\
                 * ESEARCH (TAG \"{unseen}\") UID REMOVEFROM (0 1)\r\n* ESEARCH (TAG \"{unseen}\") UID ADDTO (0 4)\r\n\
                 * ESEARCH (TAG \"{sorted}\") UID REMOVEFROM (1 3)\r\n\
                 * ESEARCH (TAG \"{sorted}\") UID ADDTO (2 4)\r\nOK Done\r\n"
            )
        );
        b.ok("STORE 3 -FLAGS (\\Deleted)").await;
        b.ok("STORE 2 +FLAGS (\\Deleted)").await;
        b.ok("EXPUNGE").await;
        let heard = a.ok("NOOP").await;
        assert!(heard.contains(&format!("(TAG \"{unseen}\") UID REMOVEFROM (0 2)\r\n")), "{heard}");
        assert!(heard.contains(&format!("(TAG \"{sorted}\") UID ADDTO (1 3)\r\n")), "{heard}");
        let at = |text: &str| heard.find(text).unwrap();
        assert!(at("REMOVEFROM (3 2)").max(at("REMOVEFROM (0 2)")) < at(" EXPUNGE"), "{heard}");
        assert_eq!(a.ok("UID SORT (SUBJECT) UTF-8 UNDELETED").await, "* SORT 3 1 4\r\nOK Sorted\r\n");
        // One's own commands count as well.
        let own = a.ok("UID STORE 4 +FLAGS.SILENT (\\Seen)").await;
        assert_eq!(own, format!("* ESEARCH (TAG \"{unseen}\") UID REMOVEFROM (0 4)\r\nOK Stored\r\n"));
    }
}

fn tag_of(answer: &str) -> String {
    answer.split('"').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn within_idle_results_change_at_once() {
    for server in Server::each() {
        with_subjects(&server, &["x"]).await;
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        let tag = tag_of(&a.ok("UID SEARCH RETURN (UPDATE COUNT) SUBJECT x UNSEEN").await);
        a.begin("IDLE").await;
        until(&mut a, "+ ").await;
        b.append("INBOX", "Subject: x\r\n\r\n").await;
        let heard = until(&mut a, "* ESEARCH").await;
        assert_eq!(heard, format!("* 2 EXISTS\r\n* ESEARCH (TAG \"{tag}\") UID ADDTO (0 2)\r\n"));
        server.clock.advance(std::time::Duration::from_secs(1));
        b.ok("STORE 1 +FLAGS (\\Seen)").await;
        let heard = until(&mut a, "* ESEARCH").await;
        assert!(heard.ends_with(&format!("* ESEARCH (TAG \"{tag}\") UID REMOVEFROM (0 1)\r\n")), "{heard}");
        a.send("DONE\r\n").await;
        a.ok("NOOP").await;
    }
}

#[tokio::test]
async fn a_change_costs_a_look_at_the_messages_that_changed_and_at_no_others() {
    let store = Bent::over(MemoryStore::new());
    store.bend.permits.add_permits(1_000_000);
    let server = Server::over(Arc::new(store.clone()));
    with_subjects(&server, &["hay"; 300]).await;
    let mut client = server.in_inbox().await;
    client.ok("UID SEARCH RETURN (UPDATE COUNT) TEXT needle").await;
    let before = store.bend.opened.lock().unwrap().len();
    assert_eq!(before, 300);
    with_subjects(&server, &["needle"; 2]).await;
    let heard = client.ok("NOOP").await;
    assert!(heard.contains(" ADDTO (0 301:302)\r\n"), "{heard}");
    assert_eq!(store.bend.opened.lock().unwrap().len() - before, 2);
}

#[tokio::test]
async fn a_client_that_closed_its_side_is_answered_and_its_results_are_kept_up_to_date() {
    let messages: Vec<String> = (0..200).map(|number| format!("hay {number}")).collect();
    for (search, told) in [
        // One that the text has to be read for in more than one slice.
        ("UID SEARCH RETURN (UPDATE COUNT) SEEN TEXT hay", "ADDTO (0 1:200)"),
        ("UID SORT RETURN (UPDATE COUNT) (SUBJECT) UTF-8 SEEN", "ADDTO (1 1:2,11,101:110,"),
    ] {
        let server = Server::memory();
        with_subjects(&server, &messages.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mut client = server.in_inbox().await;
        let tag = tag_of(&client.ok(search).await);
        client.send("x STORE 1:200 +FLAGS.SILENT (\\Seen)\r\ny STATUS INBOX (UNSEEN)\r\n").await;
        client.stream.shutdown().await.unwrap();
        let rest = client.rest().await;
        assert!(rest.contains(&format!("* ESEARCH (TAG \"{tag}\") UID {told}")), "{search}: {rest}");
        assert!(rest.contains("\r\nx OK "), "{search}: {rest}");
        assert!(rest.contains("\r\n* STATUS INBOX (UNSEEN 0)\r\ny OK "), "{search}: {rest}");
    }
}
