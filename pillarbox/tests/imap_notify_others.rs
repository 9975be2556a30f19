//! What NOTIFY tells of mailboxes in the accounts of others that nobody named.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;

use imap_support::hearing::{heard, hurry, name, without_validity};
use imap_support::{Client, Server, YOU};
use pillarbox::parts::{Append, Identity, MailboxStore, NameChange};
use pillarbox::store::{AclSource, AclStore, MaildirStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use tokio::io::DuplexStream;

fn in_maildirs() -> (MaildirStore, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    (MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir"))), dir)
}

/// SUBSCRIBED, and SUBTREE of all others: the mailboxes that LIST tells of, as far as the user may know of them and read them.
async fn of_others<S: AclSource + Clone + 'static>(source: S) {
    // What LIST tells of a subscription to nothing, where it was asked for subscriptions.
    for (filter, gone) in
        [("subscribed", "\\NonExistent \\HasNoChildren \\Subscribed"), ("subtree \"Other Users\"", "\\NonExistent")]
    {
        let store = Arc::new(AclStore::new(source.clone()).other_users(name("Other Users")));
        let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
        let _hurry = hurry(&server);
        let [ann, bob, eve] = [YOU, "me@localhost", "eve@localhost"].map(Identity::new);
        let grant = async |of: &Identity, mailbox: &str, letters: &str| {
            store.set_acl(of, &name(mailbox), bob.user(), RightsChange::parse(letters)).await.unwrap();
        };
        let add = async |of: &Identity, mailbox: &str| {
            store.append(of, &name(mailbox), Append::default()).await.unwrap().publish().await.unwrap();
        };
        store.create(&ann, &name("Work"), &[]).await.unwrap();
        store.create(&eve, &name("Play"), &[]).await.unwrap();
        grant(&eve, "Play", "lr").await;
        let (work, play) = ("\"Other Users/you@localhost/Work\"", "\"Other Users/eve@localhost/Play\"");
        let mut of_bob: Client<DuplexStream> = server.stranger().await;
        of_bob.ok("LOGIN me@localhost secret").await;
        of_bob.ok(&format!("SUBSCRIBE {work}")).await;
        let set = format!("NOTIFY SET STATUS ({filter} (MailboxName MessageNew MessageExpunge))");
        assert_eq!(of_bob.ok(&set).await, "OK Done\r\n", "nothing may be known of what is subscribed to");
        add(&ann, "Work").await;
        add(&eve, "Play").await;

        // A right that is given begins it.
        grant(&ann, "Work", "lr").await;
        let list = |mailbox: &str, attributes: &str| format!("* LIST ({attributes}) \"/\" {mailbox}\r\n");
        assert_eq!(heard(&mut of_bob).await, list(work, "\\HasNoChildren \\Subscribed"));
        assert_eq!(without_validity(&heard(&mut of_bob).await), format!("* STATUS {work} (MESSAGES 1 UIDNEXT 2)\r\n"));
        add(&ann, "Work").await;
        assert_eq!(without_validity(&heard(&mut of_bob).await), format!("* STATUS {work} (MESSAGES 2 UIDNEXT 3)\r\n"));

        // So does a subscription, of the session's own and of another session. The name was no secret before.
        of_bob.ok(&format!("SUBSCRIBE {play}")).await;
        assert_eq!(without_validity(&heard(&mut of_bob).await), format!("* STATUS {play} (MESSAGES 1 UIDNEXT 2)\r\n"));
        add(&eve, "Play").await;
        assert_eq!(without_validity(&heard(&mut of_bob).await), format!("* STATUS {play} (MESSAGES 2 UIDNEXT 3)\r\n"));

        // What goes, and what may be known no more. Nothing else of these accounts shows.
        store.create(&eve, &name("Hidden"), &[]).await.unwrap();
        store.delete(&eve, &name("Hidden")).await.unwrap();
        grant(&ann, "Work", "").await;
        assert_eq!(heard(&mut of_bob).await, list(work, gone));
        add(&ann, "Work").await;
        store.delete(&ann, &name("Work")).await.unwrap();
        store.delete(&eve, &name("Play")).await.unwrap();
        assert_eq!(heard(&mut of_bob).await, list(play, gone));
        of_bob.ok(&format!("UNSUBSCRIBE {play}")).await;
        store.create(&eve, &name("Play"), &[]).await.unwrap();
        grant(&eve, "Play", "lr").await;
        store.create(&ann, &name("Work"), &[]).await.unwrap();
        grant(&ann, "Work", "l").await;
        assert_eq!(heard(&mut of_bob).await, list(work, "\\HasNoChildren \\Subscribed"), "what is left");
        assert_eq!(heard(&mut of_bob).await, format!("* LIST (\\NoAccess) \"/\" {work}\r\n"));
        of_bob.ok(&format!("UNSUBSCRIBE {work}")).await;
        assert_eq!(of_bob.ok("NOOP").await, "OK Done\r\n");
        store.delete(&ann, &name("Work")).await.unwrap();
        store.delete(&eve, &name("Play")).await.unwrap();
    }
}

#[tokio::test]
async fn of_others_in_memory() {
    of_others(MemoryStore::new()).await;
}

#[tokio::test]
async fn of_others_in_maildirs() {
    let (source, _dir) = in_maildirs();
    of_others(source).await;
}

/// As many accounts as LIST tells of, and no more.
#[tokio::test]
async fn too_many_accounts() {
    let store = Arc::new(AclStore::new(MemoryStore::new()).other_users(name("Other Users")));
    let server = Server::over(Arc::clone(&store) as Arc<dyn MailboxStore>);
    let _hurry = hurry(&server);
    let mut a = server.client().await;
    let subscribe = async |number: usize| {
        let mailbox = name(&format!("Other Users/{number}/x"));
        store.subscribe(&Identity::new(YOU), &mailbox, true).await.unwrap();
    };
    for number in 0..100 {
        subscribe(number).await;
    }
    a.ok("NOTIFY SET (subscribed (MailboxName))").await;
    subscribe(100).await;
    assert!(heard(&mut a).await.starts_with("* OK [NOTIFICATIONOVERFLOW] "));
    a.fails("NOTIFY SET (subscribed (MailboxName))", "NO [NOTIFICATIONOVERFLOW]").await;
    a.ok("NOTIFY SET (personal (MailboxName))").await;
}

/// Mailboxes that other programs make, delete and subscribe to are heard of, and the messages in them.
#[tokio::test]
async fn names_that_other_programs_change() {
    let (source, dir) = in_maildirs();
    let bare: Arc<dyn MailboxStore> = Arc::new(source.clone());
    let behind_rights: Arc<dyn MailboxStore> = Arc::new(AclStore::new(source));
    let root = dir.path().join(YOU).join("Maildir");
    for store in [bare, behind_rights] {
        let server = Server::over(store);
        let _hurry = hurry(&server);
        let mut a = server.in_inbox().await;
        a.ok("NOTIFY SET (personal (MailboxName SubscriptionChange MessageNew MessageExpunge))").await;
        // What the client does itself is seen on the disk too, and not told.
        a.ok("CREATE Own").await;
        a.ok("SUBSCRIBE Own").await;
        a.ok("DELETE Own").await;
        let made = root.join(".Made");
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(made.join(part)).unwrap();
        }
        // A look because of something else may find the mailbox before its name is told.
        let mut told = [heard(&mut a).await, heard(&mut a).await];
        told.sort();
        assert_eq!(told[0], "* LIST (\\HasNoChildren) \"/\" Made\r\n");
        let none = "* STATUS Made (MESSAGES 0 UIDNEXT 1)\r\n";
        assert_eq!(without_validity(&told[1]), none);
        std::fs::write(made.join("new/1.a"), "Subject: x\n\n").unwrap();
        assert_eq!(without_validity(&heard(&mut a).await), none.replace("S 0 UIDNEXT 1", "S 1 UIDNEXT 2"));
        let subscriptions = root.join("subscriptions");
        std::fs::write(&subscriptions, "Own\nMade\n").unwrap();
        assert_eq!(heard(&mut a).await, "* LIST (\\HasNoChildren \\Subscribed) \"/\" Made\r\n");
        // As Dovecot deletes.
        std::fs::rename(&made, root.join("..DOVECOT-TRASHED")).unwrap();
        std::fs::remove_dir_all(root.join("..DOVECOT-TRASHED")).unwrap();
        assert_eq!(heard(&mut a).await, "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" Made\r\n");
        std::fs::write(&subscriptions, "Own\n").unwrap();
        assert_eq!(heard(&mut a).await, "* LIST (\\NonExistent) \"/\" Made\r\n");
        assert_eq!(a.ok("NOOP").await, "OK Done\r\n");
    }
}

/// The names of an account that came to be after somebody began to watch them.
#[tokio::test]
async fn names_of_an_account_that_was_not_there() {
    let (source, dir) = in_maildirs();
    let new = Identity::new("new");
    let mut watch = source.watch_names(&new, &[]).await.unwrap();
    source.create(&new, &name("Own"), &[]).await.unwrap();
    assert_eq!(watch.changes().await.unwrap(), [NameChange::Created(name("Own"))]);
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(dir.path().join("new/Maildir/.Made").join(part)).unwrap();
    }
    let told = tokio::time::timeout(std::time::Duration::from_secs(90), watch.changes()).await;
    assert_eq!(told.expect("it is heard of").unwrap(), [NameChange::Created(name("Made"))]);
}
