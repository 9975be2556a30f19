//! Names of accounts, however they are spelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pillarbox::maildir::{Identifier, Rights as OnDisk, RightsChange as ChangeOnDisk};
use pillarbox::parts::{MailboxStore, StoreErrorKind::NoSuchMailbox};
use pillarbox::store::{AclChange, AclSource, AclStore, MemoryStore};
use pillarbox_imap::acl::{Rights, RightsChange};
use pillarbox_imap::list::List;
use pillarbox_imap::types::MailboxName;

use crate::world::{World, add, in_maildirs, kind, name, user};

/// Puts a line into a list as another program does.
async fn put(source: &impl AclSource, account: &str, mailbox: &str, who: &str, rights: &str) {
    let rights = ChangeOnDisk::Replace(OnDisk::parse(rights).unwrap());
    let change = AclChange::new(Identifier::User(who.into()), false, Some(rights));
    source.change_list(&user(account), &name(mailbox), &change).await.unwrap();
}

async fn told<S: AclSource + 'static>(store: &AclStore<S>, account: &str, mailbox: &str) -> String {
    let entries = store.acl(&user(account), &name(mailbox)).await.unwrap();
    let entries: Vec<String> =
        entries.into_iter().map(|entry| format!("{}:{}", entry.identifier, entry.rights)).collect();
    entries.join(" ")
}

/// RFC 4314 §2: every name that LOGIN takes for a user's is theirs in a list.
async fn a_name_in_any_spelling<S: AclSource + Clone + 'static>(source: S) {
    for account in ["ann", "team"] {
        source.open(&user(account), &MailboxName::inbox(), true).await.map(drop).unwrap();
        source.create(&user(account), &name("Work"), &[]).await.unwrap();
    }
    put(&source, "ann", "Work", "Eve@Example.org", "lrs").await;
    put(&source, "team", "Work", "ANN", "lra").await;
    let store = AclStore::new(source.clone()).shared(name("Shared"), user("Team"));
    let store = store.other_users(name("Other Users")).names(str::to_ascii_lowercase);
    let (ann, eve, work) = (user("ann"), user("eve@example.org"), name("Work"));
    let seen = name("Other Users/ann/Work");
    assert_eq!(store.rights(&eve, &seen).await.unwrap().to_string(), "lrs", "what another program wrote");
    assert_eq!(told(&store, "ann", "Work").await, "ann:lrswipkxtea eve@example.org:lrs");

    store.set_acl(&ann, &work, "EVE@example.org", RightsChange::parse("+i")).await.unwrap();
    assert_eq!(store.rights(&eve, &seen).await.unwrap().to_string(), "lrsi");
    let mut open = store.open(&eve, &name("Other Users/ANN/Work"), false).await.unwrap();
    assert!(open.snapshot().await.unwrap().uids.is_empty(), "one account, by either name");
    add(&store, &eve, "Other Users/Ann/Work", &[]).await.unwrap();
    assert_eq!(store.status(&ann, &work, &[]).await.unwrap().messages, 1);
    let listed = store.list(&eve, &List::new("Other Users/ANN/*")).await.unwrap();
    assert_eq!(listed.len(), 1, "as it was asked for");

    store.set_acl(&ann, &work, "-eVe@example.org", RightsChange::parse("lrsi")).await.unwrap();
    assert_eq!(kind(store.rights(&eve, &seen).await), Some(NoSuchMailbox));
    assert!(open.snapshot().await.is_err());
    for text in ["-Eve@Example.org", "eve@EXAMPLE.org"] {
        store.set_acl(&ann, &work, text, None).await.unwrap();
    }
    assert_eq!(told(&store, "ann", "Work").await, "ann:lrswipkxtea");

    store.set_acl(&ann, &work, "ANN", RightsChange::parse("-x")).await.unwrap();
    assert_eq!(store.rights(&ann, &work).await.unwrap(), Rights::ALL.minus(Rights::DELETE), "the owner");
    assert_eq!(told(&store, "ann", "Shared/Work").await, "ann:lra");
    // Nobody owns what is shared, so that no line stands for an owner.
    assert_eq!(told(&store, "team", "Work").await, "ann:lra");
}

#[tokio::test]
async fn a_name_in_any_spelling_in_memory() {
    a_name_in_any_spelling(MemoryStore::new()).await;
}

#[tokio::test]
async fn a_name_in_any_spelling_in_a_maildir() {
    let dir = tempfile::tempdir().unwrap();
    a_name_in_any_spelling(in_maildirs(dir.path())).await;
}

/// A line with the owner's name is of the owner: what SETACL and DELETEACL change is what counts.
async fn a_line_with_the_name_of_the_owner<S: AclSource + Clone + 'static>(source: S) {
    let World { store, ann, .. } = World::new(source.clone()).await;
    let work = name("Work");
    for own_name in ["ann", "owner"] {
        put(&source, "ann", "Work", "ann", "lrs").await;
        assert_eq!(store.rights(&ann, &work).await.unwrap().to_string(), "lrsa");
        assert_eq!(told(&store, "ann", "Work").await, "ann:lrsa");
        store.set_acl(&ann, &work, own_name, RightsChange::parse("+i")).await.unwrap();
        assert_eq!(store.rights(&ann, &work).await.unwrap().to_string(), "lrsia");
        assert_eq!(told(&store, "ann", "Work").await, "ann:lrsia");
        put(&source, "ann", "Work", "ann", "lr").await;
        store.set_acl(&ann, &work, own_name, None).await.unwrap();
        assert_eq!(store.rights(&ann, &work).await.unwrap(), Rights::ALL);
        assert!(source.list_of(&ann, &work).await.unwrap().entries().next().is_none());
    }
}

#[tokio::test]
async fn a_line_with_the_name_of_the_owner_in_memory() {
    a_line_with_the_name_of_the_owner(MemoryStore::new()).await;
}

#[tokio::test]
async fn a_line_with_the_name_of_the_owner_in_a_maildir() {
    let dir = tempfile::tempdir().unwrap();
    a_line_with_the_name_of_the_owner(in_maildirs(dir.path())).await;
}

/// Which groups somebody is in may have to be read from a file.
#[tokio::test]
async fn a_list_asks_once_which_groups_somebody_is_in() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let store = AclStore::new(MemoryStore::new()).other_users(name("Other Users")).groups(move |_| {
        count.fetch_add(1, SeqCst);
        vec!["team".into()]
    });
    for account in ["ann", "joe"] {
        for number in 0..20 {
            let mailbox = name(&format!("Work{number}"));
            store.create(&user(account), &mailbox, &[]).await.unwrap();
            store.set_acl(&user(account), &mailbox, "$team", RightsChange::parse("l")).await.unwrap();
        }
    }
    asked.store(0, SeqCst);
    let mut list = List::new("Other Users/ann/*");
    list.patterns.push("Other Users/joe/*".into());
    assert_eq!(store.list(&user("bob"), &list).await.unwrap().len(), 40);
    assert_eq!(asked.load(SeqCst), 1);
}
