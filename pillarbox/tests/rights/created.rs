//! Whom new mailboxes let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use pillarbox::parts::{MailboxStore, StoreError, StoreErrorKind};
use pillarbox::store::AclSource;
use pillarbox_imap::acl::{Rights, RightsChange};
use pillarbox_imap::types::MailboxName;

use crate::StoreErrorKind::{NoPermission, NoSuchMailbox};
use crate::meddled::{Before, Meddled};
use crate::world::{World, add, in_both_stores, kind, name, user};

in_both_stores! {
    levels_above_a_new_mailbox_have_the_list_too
    an_inbox_that_nobody_opened_is_shared
    what_an_inbox_was_renamed_to_has_a_list
}

/// Who may make a mailbox may go on below the levels that came to be with it.
async fn levels_above_a_new_mailbox_have_the_list_too<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob) = (&world.store, &world.ann, &world.bob);
    world.grant("lrk").await;
    store.create(bob, &name("Other Users/ann/Work/A/B/C"), &[]).await.unwrap();
    for level in ["Work/A", "Work/A/B", "Work/A/B/C"] {
        // Not every store makes them all.
        if store.status(ann, &name(level), &[]).await.is_ok() {
            let rights = store.rights(bob, &name(&format!("Other Users/ann/{level}"))).await.unwrap();
            assert_eq!(rights.to_string(), "lrk", "{level}");
        }
    }
    store.create(bob, &name("Other Users/ann/Work/A/B/D"), &[]).await.unwrap();
    // What was there keeps the list that it has, and gives it on.
    store.create(ann, &name("Work/Hers"), &[]).await.unwrap();
    store.set_acl(ann, &name("Work/Hers"), "bob", None).await.unwrap();
    store.create(ann, &name("Work/Hers/Deep/Down"), &[]).await.unwrap();
    for level in ["Other Users/ann/Work/Hers", "Other Users/ann/Work/Hers/Deep", "Other Users/ann/Work/Hers/Deep/Down"]
    {
        assert_eq!(kind(store.rights(bob, &name(level)).await), Some(NoSuchMailbox), "{level}");
    }
}

/// INBOX is always there, whatever is on disk: what a user says first may be whom they let in.
async fn an_inbox_that_nobody_opened_is_shared<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, new, inbox) = (&world.store, user("new"), MailboxName::inbox());
    assert_eq!(store.rights(&new, &inbox).await.unwrap(), Rights::ALL);
    assert_eq!(store.acl(&new, &inbox).await.unwrap()[0].rights, Rights::ALL);
    assert_eq!(store.grantable(&new, &inbox, "bob").await.unwrap().required, Rights::NONE);
    store.set_acl(&new, &inbox, "bob", RightsChange::parse("lr")).await.unwrap();
    let seen = name("Other Users/new/INBOX");
    assert_eq!(store.rights(&world.bob, &seen).await.unwrap().to_string(), "lr");
    // Of another's nothing comes to be by a question.
    let other = name("Other Users/newer/INBOX");
    assert_eq!(kind(store.set_acl(&world.bob, &other, "bob", RightsChange::parse("lr")).await), Some(NoSuchMailbox));
    assert_eq!(kind(store.acl(&world.bob, &other).await), Some(NoSuchMailbox));
}

/// RFC 4314 §4: what INBOX is renamed to is a new mailbox. Whoever could read the mail before can read it there.
async fn what_an_inbox_was_renamed_to_has_a_list<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob, inbox) = (&world.store, &world.ann, &world.bob, MailboxName::inbox());
    add(store, ann, "INBOX", &[]).await.unwrap();
    store.set_acl(ann, &inbox, "bob", RightsChange::parse("lrkx")).await.unwrap();
    store.rename(bob, &name("Other Users/ann/INBOX"), &name("Other Users/ann/Old")).await.unwrap();
    let old = name("Other Users/ann/Old");
    assert_eq!(store.rights(bob, &old).await.unwrap().to_string(), "lrkx");
    assert_eq!(store.status(bob, &old, &[]).await.unwrap().messages, 1);
    // Her own is hers alone, unless there is one above that she shares.
    add(store, ann, "INBOX", &[]).await.unwrap();
    store.rename(ann, &inbox, &name("Mine")).await.unwrap();
    assert_eq!(kind(store.rights(bob, &name("Other Users/ann/Mine")).await), Some(NoSuchMailbox));
    world.grant("lr").await;
    add(store, ann, "INBOX", &[]).await.unwrap();
    store.rename(ann, &inbox, &name("Work/In")).await.unwrap();
    assert_eq!(store.rights(bob, &name("Other Users/ann/Work/In")).await.unwrap().to_string(), "lr");
}

/// A mailbox comes to be with its list, in one step: its maker could not use one without, nor make it again.
#[tokio::test]
async fn a_mailbox_without_its_list_is_not_made() {
    let source = Meddled::default();
    let world = World::new(source.clone()).await;
    world.grant("lrk").await;
    let made = async |mailbox: &str| {
        let mailbox: MailboxName = name(mailbox);
        world.store.create(&world.bob, &mailbox, &[]).await
    };
    let full = || StoreError::new(StoreErrorKind::NoSpace, "as the test wants it");
    let count = Arc::new(AtomicUsize::new(0));
    let steps = Arc::clone(&count);
    source.before(Before::Create, move || {
        let is_first = steps.fetch_add(1, SeqCst) == 0;
        async move { if is_first { Err(full()) } else { Ok(()) } }
    });
    let refused = made("Other Users/ann/Work/Level/New").await;
    assert_eq!(kind(refused), Some(StoreErrorKind::NoSpace));
    for nothing in ["Work/Level/New", "Work/Level"] {
        let there = world.store.status(&world.ann, &name(nothing), &[]).await;
        assert_eq!(kind(there), Some(NoSuchMailbox), "{nothing}");
    }
    made("Other Users/ann/Work/Level/New").await.unwrap();
    assert_eq!(count.load(SeqCst), 2, "one step for each");
    let rights = world.store.rights(&world.bob, &name("Other Users/ann/Work/Level/New")).await.unwrap();
    assert_eq!(rights.to_string(), "lrk");
    world.grant("lr").await;
    assert_eq!(kind(made("Other Users/ann/Work/Other").await), Some(NoPermission));
}
