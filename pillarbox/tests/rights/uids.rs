//! What users hear of messages that they may put where they may not read (RFC 4315 §3).

use std::sync::Arc;

use pillarbox::parts::{Append, Copied, MailboxStore};
use pillarbox::store::{AclSource, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::types::{MailboxName, UidSet};

use crate::world::{World, add, all, in_both_stores, name, user};

in_both_stores! {
    where_nothing_may_be_read_no_uids_are_told
    a_copy_has_the_identifier_of_its_source
}

async fn where_nothing_may_be_read_no_uids_are_told<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob) = (&world.store, &world.ann, &world.bob);
    store.create(ann, &name("Sub"), &[]).await.unwrap();
    let sub = name("Other Users/ann/Sub");
    world.grant("lrswite").await;
    // Without all rights over flags a copy goes another way, and from another account as well.
    for (rights, may_read) in [("lswi", false), ("lswit", false), ("lrswi", true), ("lrswit", true)] {
        store.set_acl(ann, &name("Sub"), "bob", RightsChange::parse(rights)).await.unwrap();
        assert_eq!(add(store, bob, sub.as_str(), &[]).await.unwrap().is_some(), may_read, "APPEND {rights}");
        for (mailbox, seen) in [("INBOX", MailboxName::inbox()), ("Work", world.work())] {
            let owner = if mailbox == "Work" { ann } else { bob };
            let uid = add(store, owner, mailbox, &[]).await.unwrap().unwrap();
            let mut open = world.open(bob, &seen).await;
            let told = |copied: Copied| (copied.sources().collect::<Vec<_>>(), copied.known().is_some());
            let copied = open.copy(&UidSet::one(uid), &sub).await.unwrap();
            assert_eq!(told(copied), (vec![uid], may_read), "COPY from {mailbox} {rights}");
            let moved = open.move_to(&UidSet::one(uid), &sub).await.unwrap();
            assert_eq!(told(moved), (vec![uid], may_read), "MOVE from {mailbox} {rights}");
            assert!(open.messages(&all()).await.unwrap().is_empty());
        }
        let uid = world.add("Work", &[]).await;
        let mut open = world.open(bob, &world.work()).await;
        let mut incoming = open.replace(uid, &sub, Append::default()).await.unwrap();
        assert_eq!(incoming.publish().await.unwrap().uids.is_some(), may_read, "REPLACE {rights}");
    }
    assert_eq!(store.status(ann, &name("Sub"), &[]).await.unwrap().messages, 4 * 6);
}

/// RFC 8474 §5.1: the messages that COPYUID puts side by side have one EMAILID, in whichever accounts they are.
async fn a_copy_has_the_identifier_of_its_source<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob, inbox) = (&world.store, &world.bob, MailboxName::inbox());
    for rights in ["lrswi", "lrswit"] {
        world.grant(rights).await;
        for is_move in [false, true] {
            for _ in 0..2 {
                add(store, bob, "INBOX", &[]).await.unwrap();
            }
            let (mut here, mut there) = (world.open(bob, &inbox).await, world.open(bob, &world.work()).await);
            let sources = here.messages(&all()).await.unwrap();
            let copied = match is_move {
                true => here.move_to(&all(), &world.work()).await.unwrap(),
                false => here.copy(&all(), &world.work()).await.unwrap(),
            };
            let (_, pairs) = copied.known().unwrap();
            assert_eq!(pairs.len(), sources.len());
            there.refresh().await.unwrap();
            for (source, (uid, copy)) in sources.iter().zip(pairs) {
                assert_eq!(source.uid, uid);
                let copies = there.messages(&UidSet::one(copy)).await.unwrap();
                assert_eq!(copies[0].email_id, source.email_id, "{rights} move: {is_move}");
            }
        }
    }
}

#[tokio::test]
async fn over_imap() {
    let world = World::new(MemoryStore::new()).await;
    let you = user(crate::imap_support::YOU);
    world.store.set_acl(&world.ann, &name("Work"), you.user(), RightsChange::parse("lswit")).await.unwrap();
    let server = crate::imap_support::Server::over(Arc::new(world.store.clone()));
    let mut client = server.client().await;
    let told = client.ok("APPEND \"Other Users/ann/Work\" {1+}\r\nx").await;
    assert!(!told.contains("APPENDUID"), "{told}");
    for _ in 0..3 {
        assert!(client.ok("APPEND INBOX {1+}\r\nx").await.contains("APPENDUID"));
    }
    client.ok("SELECT INBOX").await;
    let told = client.ok("COPY 1 \"Other Users/ann/Work\"").await;
    assert!(!told.contains("COPYUID"), "{told}");
    let told = client.ok("MOVE 1,3 \"Other Users/ann/Work\"").await;
    assert!(!told.contains("COPYUID"), "{told}");
    assert!(told.starts_with("* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n"), "{told}");
    assert_eq!(world.store.status(&world.ann, &name("Work"), &[]).await.unwrap().messages, 4);
}
