//! What NOTIFY and searches tell of new messages, and what a client need not be told because it did it itself.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use imap_support::Server;
use imap_support::YOU;
use imap_support::hearing::{each, heard, hurry, name, without_validity};
use pillarbox::parts::{Identity, MailboxStore};
use pillarbox::store::{AclStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;

const MESSAGE: &[u8] = b"Subject: hi\r\nFrom: me\r\n\r\nHello\r\n";

/// RFC 5465 §7: of a new message that enters a result its items are told.
#[tokio::test]
async fn items_of_messages_that_enter_a_result() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        let update = "UPDATE (UID BODY.PEEK[HEADER.FIELDS (Subject)])";
        let tag = a.ok(&format!("SEARCH RETURN (COUNT {update}) SUBJECT hi")).await;
        let tag = tag.split('"').nth(1).unwrap().to_owned();
        b.append("INBOX", MESSAGE).await;
        b.append("INBOX", "Subject: other\r\n\r\n").await;
        let fetch = |at: u32| {
            format!("* {at} FETCH (UID {at} BODY[HEADER.FIELDS (Subject)] {{15}}\r\nSubject: hi\r\n\r\n)\r\n")
        };
        let enters = |at: u32| format!("* ESEARCH (TAG \"{tag}\") ADDTO (0 {at})\r\n");
        assert_eq!(a.ok("NOOP").await, format!("* 2 EXISTS\r\n{}{}OK Done\r\n", fetch(1), enters(1)));
        // Within IDLE, as soon as it is known.
        let idle = a.begin("IDLE").await;
        assert_eq!(heard(&mut a).await, "+ Idling\r\n");
        b.append("INBOX", MESSAGE).await;
        for line in ["* 3 EXISTS\r\n".into(), fetch(3), enters(3)] {
            assert_eq!(heard(&mut a).await, line);
        }
        a.send("DONE\r\n").await;
        assert!(a.answer(&idle).await.contains("OK"));
        // Its own.
        let own = a.append("INBOX", MESSAGE).await;
        assert!(own.starts_with(&format!("* 4 EXISTS\r\n{}OK [APPENDUID ", enters(4))), "{own}");
        // With NOTIFY: §5.2, in one answer behind what the search makes of it.
        a.ok("NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge))").await;
        b.append("INBOX", MESSAGE).await;
        let both = fetch(5).replace("(UID 5 ", "(UID 5 FLAGS () ");
        for line in ["* 5 EXISTS\r\n".into(), enters(5), both] {
            assert_eq!(heard(&mut a).await, line);
        }
        b.append("INBOX", "Subject: other\r\n\r\n").await;
        assert_eq!(heard(&mut a).await, "* 6 EXISTS\r\n");
        assert_eq!(heard(&mut a).await, "* 6 FETCH (FLAGS ())\r\n");
    }
}

/// RFC 5465 §5: what the client itself puts into another mailbox it is not told, and what others put there too it is.
#[tokio::test]
async fn messages_that_the_client_puts_elsewhere() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.client().await, server.client().await);
        for name in ["One", "Two", "Sign"] {
            b.ok(&format!("CREATE {name}")).await;
        }
        b.append("INBOX", MESSAGE).await;
        b.append("INBOX", MESSAGE).await;
        b.append("Two", MESSAGE).await;
        a.ok("SELECT INBOX").await;
        a.ok("NOTIFY SET (personal (MessageNew MessageExpunge))").await;
        // Its own, alone; a mailbox of its own too.
        a.append("One", MESSAGE).await;
        a.ok("COPY 1 One").await;
        a.ok("CREATE Own").await;
        a.ok("MOVE 1 Own").await;
        // A sign that whatever there was to tell would have been told.
        b.append("Sign", MESSAGE).await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Sign (MESSAGES 1 UIDNEXT 2)\r\n");
        // Its own and another's, before and behind it: the numbers say what there is when they are told.
        b.append("One", MESSAGE).await;
        let text = std::str::from_utf8(MESSAGE).unwrap();
        let mut told = String::new();
        for name in ["One", "Two"] {
            told.push_str(&a.ok(&format!("APPEND {name} {{{}+}}\r\n{text}", text.len())).await);
        }
        b.append("Two", MESSAGE).await;
        while !(told.contains(" One ") && told.contains(" Two ")) {
            told.push_str(&heard(&mut a).await);
        }
        let told: Vec<String> = told.lines().filter(|line| line.starts_with("* ")).map(without_validity).collect();
        let one = told.iter().find(|line| line.contains(" One ")).unwrap();
        let two = told.iter().find(|line| line.contains(" Two ")).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        let either = ["* STATUS One (MESSAGES 3 UIDNEXT 4)", "* STATUS One (MESSAGES 4 UIDNEXT 5)"];
        assert!(either.contains(&one.as_str()), "{one}");
        assert_eq!(two, "* STATUS Two (MESSAGES 3 UIDNEXT 4)");
        // What another does to the client's own is told, and so is what comes later.
        a.ok("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))").await;
        a.ok("CREATE Empty").await;
        b.ok("SELECT One").await;
        b.ok("STORE 1 +FLAGS (\\Seen)").await;
        assert!(heard(&mut a).await.ends_with(" UNSEEN 3)\r\n"));
        b.append("Own", MESSAGE).await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Own (MESSAGES 2 UIDNEXT 3)\r\n");
        assert_eq!(a.ok("NOOP").await, "OK Done\r\n");
    }
}

/// What comes between the time at which the session hears that something happened and the one at which it tells so.
#[tokio::test]
async fn what_comes_before_the_rest_is_told_is_told() {
    for flags_first in [true, false] {
        for (server, _folder) in each() {
            let (mut a, mut b) = (server.client().await, server.client().await);
            b.ok("CREATE One").await;
            b.append("One", MESSAGE).await;
            b.append("One", MESSAGE).await;
            b.ok("SELECT One").await;
            a.ok("NOTIFY SET (personal (MessageNew MessageExpunge FlagChange))").await;
            b.ok("STORE 1 +FLAGS (\\Seen)").await;
            assert!(heard(&mut a).await.ends_with(" UNSEEN 1)\r\n"));
            server.clock.sleeper(Duration::from_secs(1)).await;
            for flags in [flags_first, !flags_first] {
                match flags {
                    true => drop(b.ok("STORE 2 +FLAGS (\\Seen)").await),
                    false => drop(b.append("One", MESSAGE).await),
                }
                // The session looks at what others did before it does something to a name.
                a.ok("SUBSCRIBE One").await;
            }
            let _hurry = hurry(&server);
            let mut told = String::new();
            while !(told.contains("(MESSAGES 3 UIDNEXT 4 ") && told.contains(" UNSEEN 1)\r\n")) {
                told.push_str(&heard(&mut a).await);
            }
        }
    }
}

/// Who gives up a right is not told so, and hears when it is given again.
#[tokio::test]
async fn rights_that_the_client_changes() {
    let store = Arc::new(AclStore::new(MemoryStore::new()).other_users(name("Other Users")));
    let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
    let _hurry = hurry(&server);
    let (ann, work) = (Identity::new(YOU), "\"Other Users/you@localhost/Work\"");
    let grant = async || {
        store.set_acl(&ann, &name("Work"), "me@localhost", RightsChange::parse("lra")).await.unwrap();
    };
    store.create(&ann, &name("Work"), &[]).await.unwrap();
    grant().await;
    let mut bob: imap_support::Client<tokio::io::DuplexStream> = server.stranger().await;
    bob.ok("LOGIN me@localhost secret").await;
    bob.ok(&format!("NOTIFY SET (mailboxes ({work} sign) (MailboxName))")).await;
    bob.ok(&format!("DELETEACL {work} me@localhost")).await;
    store.create(&Identity::new("me@localhost"), &name("sign"), &[]).await.unwrap();
    assert_eq!(heard(&mut bob).await, "* LIST (\\HasNoChildren) \"/\" sign\r\n");
    grant().await;
    assert_eq!(heard(&mut bob).await, format!("* LIST (\\HasNoChildren) \"/\" {work}\r\n"));
}

/// Who subscribes to what it subscribes to already changes nothing, and hears when another session ends it.
#[tokio::test]
async fn subscriptions_that_were_there() {
    let store = Arc::new(AclStore::new(MemoryStore::new()).other_users(name("Other Users")));
    let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
    let _hurry = hurry(&server);
    let (ann, work) = (Identity::new(YOU), "\"Other Users/you@localhost/Work\"");
    store.create(&ann, &name("Work"), &[]).await.unwrap();
    store.set_acl(&ann, &name("Work"), "me@localhost", RightsChange::parse("lr")).await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut bob: imap_support::Client<tokio::io::DuplexStream> = server.stranger().await;
        bob.ok("LOGIN me@localhost secret").await;
        sessions.push(bob);
    }
    let mut other = sessions.pop().unwrap();
    let mut bob = sessions.pop().unwrap();
    bob.ok(&format!("SUBSCRIBE {work}")).await;
    bob.ok(&format!("NOTIFY SET (mailboxes {work} (SubscriptionChange))")).await;
    bob.ok(&format!("SUBSCRIBE {work}")).await;
    bob.ok("NOOP").await;
    other.ok(&format!("UNSUBSCRIBE {work}")).await;
    assert_eq!(heard(&mut bob).await, format!("* LIST (\\HasNoChildren) \"/\" {work}\r\n"));
}
