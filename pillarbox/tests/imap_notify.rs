//! NOTIFY from the client to the stores that ship, and back: two sessions for every event.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use imap_support::hearing::{each, heard, hurry, name, without_validity};
use imap_support::{Client, Server, YOU};
use pillarbox::imap::ServerConfig;
use pillarbox::parts::{Identity, MailboxStore, NameChange, Stirred};
use pillarbox::store::{AclSource, AclStore, MaildirStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::metadata::EntryName;
use pillarbox_imap::types::MailboxName;
use tokio::io::DuplexStream;

const MESSAGE: &[u8] = b"Subject: hi\r\nFrom: me\r\n\r\nHello\r\n";

#[tokio::test]
async fn messages_elsewhere() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.client().await, server.client().await);
        b.ok("CREATE Lists").await;
        b.append("Lists", MESSAGE).await;
        let set = "NOTIFY SET STATUS (mailboxes (Lists Nothing) (MessageNew MessageExpunge FlagChange))";
        let told = a.ok(set).await;
        let (numbers, end) = told.split_once("\r\n").unwrap();
        assert!(without_validity(numbers).starts_with("* STATUS Lists (MESSAGES 1 UIDNEXT 2 HIGHESTMODSEQ "), "{told}");
        assert_eq!(end, "OK Done\r\n");

        b.append("Lists", MESSAGE).await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Lists (MESSAGES 2 UIDNEXT 3)\r\n");
        b.ok("SELECT Lists").await;
        b.ok("STORE 1 +FLAGS (\\Seen \\Deleted)").await;
        assert!(heard(&mut a).await.ends_with(" UNSEEN 1)\r\n"));
        b.ok("EXPUNGE").await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Lists (MESSAGES 1 UIDNEXT 3)\r\n");

        // Within IDLE, and with mod-sequences.
        a.ok("ENABLE CONDSTORE").await;
        let idle = a.begin("IDLE").await;
        assert_eq!(heard(&mut a).await, "+ Idling\r\n");
        b.append("Lists", MESSAGE).await;
        let line = without_validity(&heard(&mut a).await);
        assert!(line.starts_with("* STATUS Lists (MESSAGES 2 UIDNEXT 4 HIGHESTMODSEQ "), "{line}");
        a.send("DONE\r\n").await;
        assert!(a.answer(&idle).await.contains("OK"));

        // What is selected is told in other words.
        a.ok("SELECT Lists").await;
        b.append("Lists", MESSAGE).await;
        b.append("INBOX", MESSAGE).await;
        assert_eq!(a.ok("NOOP").await, "OK Done\r\n", "nothing was asked for of the selected mailbox");
        a.ok("NOTIFY SET (selected (MessageNew MessageExpunge)) (mailboxes Lists (MessageNew MessageExpunge))").await;
        b.append("Lists", MESSAGE).await;
        assert_eq!(heard(&mut a).await, "* 4 EXISTS\r\n");
    }
}

#[tokio::test]
async fn messages_here() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.ok("NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (Subject)]) MessageExpunge FlagChange))")
            .await;
        b.append("INBOX", MESSAGE).await;
        assert_eq!(heard(&mut a).await, "* 1 EXISTS\r\n");
        let fetch = "* 1 FETCH (UID 1 BODY[HEADER.FIELDS (Subject)] {15}\r\nSubject: hi\r\n\r\n)\r\n";
        assert_eq!(heard(&mut a).await, fetch);
        b.ok("STORE 1 +FLAGS (\\Deleted)").await;
        assert_eq!(heard(&mut a).await, "* 1 FETCH (UID 1 FLAGS (\\Deleted))\r\n");
        b.ok("EXPUNGE").await;
        assert_eq!(heard(&mut a).await, "* 1 EXPUNGE\r\n");
        // What the client brings itself it need not be shown.
        let own = a.append("INBOX", MESSAGE).await;
        assert!(own.starts_with("* 1 EXISTS\r\nOK [APPENDUID "), "{own}");
    }
}

#[tokio::test]
async fn names() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.client().await, server.client().await);
        a.ok("NOTIFY SET (personal (MailboxName SubscriptionChange))").await;
        // What the client does itself it is not told.
        a.ok("CREATE Mine/Own").await;
        a.ok("SUBSCRIBE Mine/Own").await;
        b.ok("CREATE New").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren) \"/\" New\r\n");
        b.ok("CREATE New/Below").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren) \"/\" New/Below\r\n");
        assert_eq!(heard(&mut a).await, "* LIST (\\HasChildren) \"/\" New\r\n");
        b.ok("RENAME New Newer").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasChildren) \"/\" Newer (\"OLDNAME\" (New))\r\n");
        b.ok("SUBSCRIBE Newer/Below").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" Newer/Below\r\n");
        b.ok("UNSUBSCRIBE Newer/Below").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren) \"/\" Newer/Below\r\n");
        b.ok("DELETE Newer/Below").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\NonExistent) \"/\" Newer/Below\r\n");
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren) \"/\" Newer\r\n");
    }
}

/// Also where only what is subscribed to is watched, which it is no more behind that.
#[tokio::test]
async fn subscriptions_that_end() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.client().await, server.client().await);
        b.ok("CREATE There").await;
        b.ok("SUBSCRIBE There").await;
        b.ok("SUBSCRIBE Nothing").await;
        a.ok("NOTIFY SET (subscribed (SubscriptionChange))").await;
        b.ok("UNSUBSCRIBE There").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren) \"/\" There\r\n");
        b.ok("UNSUBSCRIBE Nothing").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\NonExistent) \"/\" Nothing\r\n");
        b.ok("SUBSCRIBE There").await;
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" There\r\n");
    }
}

#[tokio::test]
async fn what_is_watched_follows_the_names() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.client().await, server.client().await);
        b.ok("CREATE Lists/One").await;
        a.ok("NOTIFY SET (subtree Lists (MessageNew MessageExpunge)) (subscribed (MessageNew MessageExpunge))").await;
        b.ok("CREATE Lists/Two").await;
        // The numbers of what is watched from now on: messages may have come before it was.
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Lists/Two (MESSAGES 0 UIDNEXT 1)\r\n");
        b.append("Lists/Two", MESSAGE).await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Lists/Two (MESSAGES 1 UIDNEXT 2)\r\n");
        b.ok("RENAME Lists/Two Elsewhere").await;
        b.append("Elsewhere", MESSAGE).await;
        b.ok("SUBSCRIBE Elsewhere").await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Elsewhere (MESSAGES 2 UIDNEXT 3)\r\n");
        b.ok("UNSUBSCRIBE Elsewhere").await;
        b.append("Elsewhere", MESSAGE).await;
        b.append("Lists/One", MESSAGE).await;
        assert_eq!(without_validity(&heard(&mut a).await), "* STATUS Lists/One (MESSAGES 1 UIDNEXT 2)\r\n");
        a.ok("NOTIFY NONE").await;
        b.append("Lists/One", MESSAGE).await;
        assert_eq!(a.ok("NOOP").await, "OK Done\r\n");
    }
}

// IML-10
#[tokio::test]
async fn limits() {
    let server = Server::memory();
    let user = Identity::new(YOU);
    let (mut a, mut b) = (server.client().await, server.client().await);
    let many = |count: usize| (0..count).map(|number| format!("m{number}")).collect::<Vec<_>>().join(" ");
    a.fails(&format!("NOTIFY SET (mailboxes ({}) (MailboxName))", many(101)), "NO [LIMIT]").await;
    a.ok(&format!("NOTIFY SET (mailboxes ({}) (MailboxName))", many(100))).await;
    for number in 0..=500 {
        server.store.create(&user, &name(&format!("all/{number}")), &[]).await.unwrap();
    }
    a.fails("NOTIFY SET (personal (MessageNew MessageExpunge))", "NO [NOTIFICATIONOVERFLOW]").await;
    // Names cost nothing that stays.
    a.ok("NOTIFY SET (personal (MailboxName SubscriptionChange))").await;
    b.ok("SUBSCRIBE first").await;
    assert_eq!(heard(&mut a).await, "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" first\r\n");
    // While the session gathers, more happens than is kept.
    for number in 0..=1000 {
        server.store.subscribe(&user, &name(&format!("s{number}")), true).await.unwrap();
    }
    server.clock.advance(Duration::from_secs(1));
    assert!(heard(&mut a).await.starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    server.clock.advance(Duration::from_secs(1));
    b.ok("SUBSCRIBE last").await;
    assert_eq!(a.ok("NOOP").await, "OK Done\r\n", "as after NOTIFY NONE");
    a.ok("NOTIFY SET (personal (SubscriptionChange))").await;
    b.ok("UNSUBSCRIBE last").await;
    assert_eq!(heard(&mut a).await, "* LIST (\\NonExistent) \"/\" last\r\n");
}

/// Who may not know of a mailbox hears nothing of it.
async fn rights<S: AclSource + Clone + 'static>(source: S) {
    let store = Arc::new(AclStore::new(source).other_users(name("Other Users")));
    let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
    let _hurry = hurry(&server);
    let ann = Identity::new(YOU);
    let grant = async |letters: &str| {
        store.set_acl(&ann, &name("Work"), "me@localhost", RightsChange::parse(letters)).await.unwrap();
    };
    let mut bob: Client<DuplexStream> = server.stranger().await;
    bob.ok("LOGIN me@localhost secret").await;
    let work = "\"Other Users/you@localhost/Work\"";
    let set = format!("NOTIFY SET STATUS (mailboxes ({work} mine) (MailboxName MessageNew MessageExpunge))");
    assert_eq!(bob.ok(&set).await, "OK Done\r\n", "there is no such mailbox");
    // Also who subscribes to the name learns nothing.
    bob.ok(&format!("SUBSCRIBE {work}")).await;
    store.create(&ann, &name("Work"), &[]).await.unwrap();
    assert_eq!(bob.ok(&set).await, "OK Done\r\n", "and this looks the same");
    server.add("Work", MESSAGE).await;
    store.rename(&ann, &name("Work"), &name("Other")).await.unwrap();
    store.rename(&ann, &name("Other"), &name("Work")).await.unwrap();
    // A sign that whatever there was to tell would have been told: bob's own.
    store.create(&Identity::new("me@localhost"), &name("mine"), &[]).await.unwrap();
    // A look because of something else may find the mailbox before its name is told.
    let mut told = [heard(&mut bob).await, heard(&mut bob).await];
    told.sort();
    assert_eq!(told[0], "* LIST (\\HasNoChildren) \"/\" mine\r\n");
    assert_eq!(without_validity(&told[1]), "* STATUS mine (MESSAGES 0 UIDNEXT 1)\r\n");
    grant("l").await;
    assert_eq!(heard(&mut bob).await, format!("* LIST (\\HasNoChildren \\Subscribed) \"/\" {work}\r\n"));
    assert_eq!(heard(&mut bob).await, format!("* LIST (\\NoAccess) \"/\" {work}\r\n"));
    assert_eq!(bob.ok(&set).await.lines().next().unwrap(), format!("* LIST (\\NoAccess) \"/\" {work}"));
    // What happens to a mailbox that nobody else may know of shows nowhere.
    store.create(&ann, &name("Hidden"), &[]).await.unwrap();
    store.delete(&ann, &name("Hidden")).await.unwrap();
    // Time passes, so that it would be told.
    store.create(&Identity::new("me@localhost"), &name("mine/x"), &[]).await.unwrap();
    assert_eq!(heard(&mut bob).await, "* LIST (\\HasChildren) \"/\" mine\r\n");
    store.delete(&Identity::new("me@localhost"), &name("mine/x")).await.unwrap();
    assert_eq!(heard(&mut bob).await, "* LIST (\\HasNoChildren) \"/\" mine\r\n");
    grant("lr").await;
    // It was told as one that may not be read.
    assert_eq!(heard(&mut bob).await, format!("* LIST (\\HasNoChildren \\Subscribed) \"/\" {work}\r\n"));
    assert_eq!(without_validity(&heard(&mut bob).await), format!("* STATUS {work} (MESSAGES 1 UIDNEXT 2)\r\n"));
    server.add("Work", MESSAGE).await;
    assert_eq!(without_validity(&heard(&mut bob).await), format!("* STATUS {work} (MESSAGES 2 UIDNEXT 3)\r\n"));
    grant("").await;
    server.add("Work", MESSAGE).await;
    assert_eq!(heard(&mut bob).await, format!("* LIST (\\NonExistent) \"/\" {work}\r\n"));
    server.add("Work", MESSAGE).await;
    store.delete(&ann, &name("Work")).await.unwrap();
    assert_eq!(bob.ok("NOOP").await, "OK Done\r\n");
    store.delete(&Identity::new("me@localhost"), &name("mine")).await.unwrap();
    assert_eq!(heard(&mut bob).await, "* LIST (\\NonExistent) \"/\" mine\r\n", "nothing else was told");
}

/// Who watches messages and not names hears when a mailbox that it knew of may not be read any more, and when it may again.
async fn access<S: AclSource + Clone + 'static>(source: S) {
    let store = Arc::new(AclStore::new(source).other_users(name("Other Users")));
    let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
    let _hurry = hurry(&server);
    let ann = Identity::new(YOU);
    let grant = async |letters: &str| {
        store.set_acl(&ann, &name("Work"), "me@localhost", RightsChange::parse(letters)).await.unwrap();
    };
    store.create(&ann, &name("Work"), &[]).await.unwrap();
    grant("lr").await;
    let mut bob: Client<DuplexStream> = server.stranger().await;
    bob.ok("LOGIN me@localhost secret").await;
    let work = "\"Other Users/you@localhost/Work\"";
    let no_access = format!("* LIST (\\NoAccess) \"/\" {work}\r\n");
    let list = format!("* LIST (\\HasNoChildren) \"/\" {work}\r\n");
    let status = |messages: u32| format!("* STATUS {work} (MESSAGES {messages} UIDNEXT {})\r\n", messages + 1);
    assert_eq!(bob.ok(&format!("NOTIFY SET (mailboxes {work} (MessageNew MessageExpunge))")).await, "OK Done\r\n");
    server.add("Work", MESSAGE).await;
    assert_eq!(without_validity(&heard(&mut bob).await), status(1));
    for (lost, messages) in [("", 2), ("l", 3)] {
        grant(lost).await;
        assert_eq!(heard(&mut bob).await, no_access, "{lost:?} is left");
        server.add("Work", MESSAGE).await;
        grant("lr").await;
        assert_eq!(heard(&mut bob).await, list, "{lost:?} was left");
        assert_eq!(without_validity(&heard(&mut bob).await), status(messages));
    }
    // One that may be known of, then not, and then be read.
    grant("l").await;
    assert_eq!(heard(&mut bob).await, no_access);
    // It was told before.
    grant("").await;
    grant("lr").await;
    assert_eq!(heard(&mut bob).await, list);
    assert_eq!(without_validity(&heard(&mut bob).await), status(3));
}

#[tokio::test]
async fn access_in_memory() {
    access(MemoryStore::new()).await;
}

#[tokio::test]
async fn access_in_maildirs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    access(MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")))).await;
}

#[tokio::test]
async fn rights_in_memory() {
    rights(MemoryStore::new()).await;
}

#[tokio::test]
async fn rights_in_maildirs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    rights(MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")))).await;
}

/// The names of entries that others set or remove (RFC 5465 §5.6, §5.7).
#[tokio::test]
async fn annotations() {
    for (server, _folder) in each() {
        let _hurry = hurry(&server);
        let (mut a, mut b) = (server.in_inbox().await, server.client().await);
        a.ok("NOTIFY SET (personal (MailboxMetadataChange)) (mailboxes Nothing (ServerMetadataChange))").await;
        b.ok("NOTIFY SET (personal (MailboxName))").await;
        b.ok("SETMETADATA INBOX (/shared/comment \"x\" /private/comment \"y\")").await;
        assert_eq!(heard(&mut a).await, "* METADATA INBOX /private/comment /shared/comment\r\n");
        // What the client does itself it is not told, and what others do to the same entry it is.
        a.ok("SETMETADATA INBOX (/shared/comment \"z\")").await;
        a.ok("SETMETADATA \"\" (/private/comment \"z\")").await;
        b.ok("SETMETADATA INBOX (/shared/comment NIL)").await;
        assert_eq!(heard(&mut a).await, "* METADATA INBOX /shared/comment\r\n");
        b.fails("SETMETADATA \"\" (/private/comment \"z\" /shared/comment \"z\")", "NO").await;
        b.ok("SETMETADATA \"\" (/private/vendor/x/y \"z\")").await;
        assert_eq!(heard(&mut a).await, "* METADATA \"\" /private/vendor/x/y\r\n");
        b.ok("CREATE Sent").await;
        b.ok("SETMETADATA Sent (/private/specialuse \"\\\\Sent\")").await;
        assert_eq!(heard(&mut a).await, "* METADATA Sent /private/specialuse\r\n");
        a.ok("CREATE Own").await;
        assert_eq!(heard(&mut b).await, "* LIST (\\HasNoChildren) \"/\" Own\r\n", "nothing else was asked for");
    }
}

/// More annotations change than are kept for one who does not listen.
#[tokio::test]
async fn too_many_annotations() {
    let (server, user) = (Server::memory(), Identity::new(YOU));
    let mut a = server.client().await;
    a.ok("NOTIFY SET (personal (MailboxMetadataChange))").await;
    let change = async |entry: &str| {
        let changes = [(EntryName::parse(entry).unwrap(), Some(b"x".to_vec()))];
        server.store.set_metadata(&user, Some(&MailboxName::inbox()), &changes).await.unwrap();
    };
    change("/shared/comment").await;
    assert_eq!(heard(&mut a).await, "* METADATA INBOX /shared/comment\r\n");
    for _ in 0..=1000 {
        change("/shared/comment").await;
    }
    server.clock.advance(Duration::from_secs(1));
    assert!(heard(&mut a).await.starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    change("/shared/other").await;
    assert_eq!(a.ok("NOOP").await, "OK Done\r\n", "as after NOTIFY NONE");
}

/// Who may not ask for annotations does not hear of them, and of private ones only those whose they are.
async fn annotations_of_others<S: AclSource + Clone + 'static>(source: S) {
    let store = Arc::new(AclStore::new(source).other_users(name("Other Users")));
    let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
    let _hurry = hurry(&server);
    let [ann, bob] = [YOU, "me@localhost"].map(Identity::new);
    let below = |mailbox: &str| format!("Other Users/{YOU}/{mailbox}");
    for mailbox in ["Work", "Sign"] {
        store.create(&ann, &name(mailbox), &[]).await.unwrap();
    }
    let grant = async |mailbox: &str, letters: &str| {
        store.set_acl(&ann, &name(mailbox), bob.user(), RightsChange::parse(letters)).await.unwrap();
    };
    let change = async |by: &Identity, mailbox: &str, entry: &str| {
        let changes = [(EntryName::parse(entry).unwrap(), Some(b"x".to_vec()))];
        store.set_metadata(by, Some(&name(mailbox)), &changes).await.unwrap();
    };
    grant("Sign", "lr").await;
    let mut of_ann = server.client().await;
    of_ann.ok("NOTIFY SET (personal (MailboxMetadataChange))").await;
    let mut of_bob: Client<DuplexStream> = server.stranger().await;
    of_bob.ok("LOGIN me@localhost secret").await;
    let set = format!("NOTIFY SET (subtree \"Other Users/{YOU}\" (MailboxMetadataChange ServerMetadataChange))");
    of_bob.ok(&set).await;
    // The sign is told in order, so that what is not told before it is not told at all.
    for (number, rights) in ["", "l", "r"].into_iter().enumerate() {
        grant("Work", rights).await;
        let sign = format!("/shared/sign{number}");
        change(&ann, "Work", "/shared/hidden").await;
        change(&ann, "Sign", "/private/hidden").await;
        change(&ann, "Sign", &sign).await;
        assert_eq!(heard(&mut of_bob).await, format!("* METADATA \"{}\" {sign}\r\n", below("Sign")));
    }
    // Another's account is not the server.
    let changes = [(EntryName::parse("/private/hidden").unwrap(), Some(b"x".to_vec()))];
    store.set_metadata(&ann, None, &changes).await.unwrap();
    grant("Work", "lp").await;
    change(&ann, "Work", "/shared/seen").await;
    assert_eq!(heard(&mut of_bob).await, format!("* METADATA \"{}\" /shared/seen\r\n", below("Work")));
    change(&bob, &below("Work"), "/private/bob").await;
    assert_eq!(heard(&mut of_bob).await, format!("* METADATA \"{}\" /private/bob\r\n", below("Work")));
    change(&bob, &below("Work"), "/shared/bob").await;
    assert_eq!(heard(&mut of_bob).await, format!("* METADATA \"{}\" /shared/bob\r\n", below("Work")));
    let mut told = String::new();
    while !told.contains("/shared/bob") {
        told = told + &heard(&mut of_ann).await;
    }
    assert!(told.contains("/private/hidden") && !told.contains("/private/bob"), "{told}");
}

#[tokio::test]
async fn annotations_of_others_in_memory() {
    annotations_of_others(MemoryStore::new()).await;
}

#[tokio::test]
async fn annotations_of_others_in_maildirs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    annotations_of_others(MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")))).await;
}

/// What another program delivers is heard as well.
#[tokio::test]
async fn deliveries_of_others() {
    let server = Server::maildir();
    let mut a = server.client().await;
    a.ok("NOTIFY SET (mailboxes INBOX (MessageNew MessageExpunge))").await;
    let folder = server.folder().join(YOU).join("Maildir");
    std::fs::write(folder.join("tmp/1.a"), "Subject: x\n\n").unwrap();
    std::fs::rename(folder.join("tmp/1.a"), folder.join("new/1.a")).unwrap();
    let line = heard(&mut a).await;
    assert_eq!(without_validity(&line), "* STATUS INBOX (MESSAGES 1 UIDNEXT 2)\r\n");
}

/// The API below, as an embedder uses it.
#[tokio::test]
async fn watching_without_a_session() {
    let (store, user) = (MemoryStore::new(), Identity::new(YOU));
    let mut names = store.watch_names(&user, &[]).await.unwrap();
    store.create(&user, &name("a/b"), &[]).await.unwrap();
    let created = [name("a"), name("a/b")].map(NameChange::Created);
    assert_eq!(names.changes().await.unwrap(), created);
    let mut watch = store.watch(&user, &name("a/b")).await.unwrap();
    store.append(&user, &name("a/b"), Default::default()).await.unwrap().publish().await.unwrap();
    assert_eq!(watch.stirred().await.unwrap(), Stirred { messages: true, flags: false });
    store.delete(&user, &name("a/b")).await.unwrap();
    assert!(watch.stirred().await.is_err(), "it is gone");
}

/// A client in IDLE that reads nothing for a while loses nothing, although it is told that the server is there.
#[tokio::test]
async fn who_does_not_read_hears_it_later() {
    let mut config = ServerConfig::default();
    (config.login_without_tls, config.limits.output_high_water) = (true, 128);
    let server = Server::configured(Arc::new(MemoryStore::new()), config, |server| server);
    let mut a = Client::new(server.connect(64, None).0);
    a.line().await;
    a.ok("LOGIN you@localhost secret").await;
    a.ok("NOTIFY SET (personal (SubscriptionChange))").await;
    let idle = a.begin("IDLE").await;
    assert_eq!(heard(&mut a).await, "+ Idling\r\n");
    let names: Vec<String> = (10..60).map(|number| format!("s{number}")).collect();
    for each in &names {
        server.store.subscribe(&Identity::new(YOU), &name(each), true).await.unwrap();
    }
    // The first line takes the pipe's octets; from then on the server waits until more are taken.
    let mut told = vec![heard(&mut a).await];
    for is_first in [true, false] {
        let sleeper = server.clock.sleeper(Duration::from_secs(120));
        tokio::time::timeout(Duration::from_secs(15), sleeper).await.expect("the server waits");
        if is_first {
            server.clock.advance(Duration::from_secs(120));
        }
    }
    let _hurry = hurry(&server);
    while told.len() < names.len() {
        let line = heard(&mut a).await;
        if line != "* OK Still here\r\n" {
            told.push(line);
        }
    }
    let expected =
        names.iter().map(|each| format!("* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" {each}\r\n"));
    assert_eq!(told, expected.collect::<Vec<_>>());
    a.send("DONE\r\n").await;
    assert!(a.answer(&idle).await.contains("OK"));
}

/// What the client does itself hides nothing of what others do.
#[tokio::test]
async fn own_and_others() {
    for (server, _folder) in each() {
        let (mut a, mut b) = (server.client().await, server.client().await);
        b.append("INBOX", MESSAGE).await;
        a.ok("NOTIFY SET (personal (MailboxName SubscriptionChange))").await;
        // This changes nothing, or nothing that was not so.
        a.ok("SUBSCRIBE INBOX").await;
        a.ok("SUBSCRIBE INBOX").await;
        a.ok("RENAME INBOX Old").await;
        b.ok("SUBSCRIBE New").await;
        server.clock.advance(Duration::from_secs(1));
        assert!(heard(&mut a).await.ends_with(" New\r\n"));
        // While the session gathers: another makes what is above.
        b.ok("CREATE Above").await;
        a.ok("CREATE Above/Mine").await;
        b.ok("UNSUBSCRIBE INBOX").await;
        a.ok("SUBSCRIBE INBOX").await;
        server.clock.advance(Duration::from_secs(1));
        assert_eq!(heard(&mut a).await, "* LIST (\\HasChildren) \"/\" Above\r\n");
        assert!(heard(&mut a).await.ends_with(" INBOX\r\n"));
        assert_eq!(a.ok("NOOP").await, "OK Done\r\n");
    }
}
