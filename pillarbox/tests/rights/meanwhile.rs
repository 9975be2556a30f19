//! What others do while something is done.

use pillarbox::parts::{Append, Identity, MailboxStore, SetFlags, StoreError};
use pillarbox::store::{AclSource, MemoryStore};
use pillarbox_imap::server::FlagChange;
use pillarbox_imap::types::{Flag, MailboxName, Uid, UidSet};

use crate::StoreErrorKind::{NoPermission, NoSuchMailbox};
use crate::meddled::{Before, Meddled};
use crate::world::{World, all, flags, in_both_stores, kind, name};

in_both_stores! {
    rights_are_looked_at_when_a_message_has_come
    rights_are_looked_at_when_a_message_takes_its_place
}

/// APPEND and deliveries: a right that goes while the octets come.
async fn rights_are_looked_at_when_a_message_has_come<S: AclSource + Clone + 'static>(world: World<S>) {
    for delivery in [false, true] {
        let mut append = Append::default();
        append.delivery = delivery;
        for (left, refusal) in [("lrip", None), ("lr", Some(NoPermission)), ("", Some(NoSuchMailbox))] {
            world.grant("lrip").await;
            let mut incoming = world.store.append(&world.bob, &world.work(), append.clone()).await.unwrap();
            incoming.write(b"Subject: x\r\n\r\nhello\r\n").await.unwrap();
            incoming.prepare().await.unwrap();
            world.grant(left).await;
            assert_eq!(kind(incoming.publish().await), refusal, "delivery {delivery} {left}");
        }
    }
    assert_eq!(world.store.status(&world.ann, &name("Work"), &[]).await.unwrap().messages, 2);
}

/// REPLACE takes the right to add where it goes, and to remove where it comes from, also when it is done.
async fn rights_are_looked_at_when_a_message_takes_its_place<S: AclSource + Clone + 'static>(world: World<S>) {
    let (ann, bob, work) = (&world.ann, &world.bob, world.work());
    let uid = world.add("Work", &[]).await;
    world.store.create(ann, &name("Other"), &[]).await.unwrap();
    let other = name("Other Users/ann/Other");
    for (target, here, there) in
        [(&work, "lrte", ""), (&work, "lrie", ""), (&work, "lrit", ""), (&other, "lrte", "lr"), (&other, "lre", "lri")]
    {
        let rights = async |mailbox: &str, rights: &str| {
            let change = pillarbox_imap::acl::RightsChange::parse(rights);
            world.store.set_acl(ann, &name(mailbox), "bob", change).await.unwrap();
        };
        rights("Work", "lrite").await;
        rights("Other", "lri").await;
        let mut open = world.open(bob, &work).await;
        let mut incoming = open.replace(uid, target, Append::default()).await.unwrap();
        incoming.write(b"Subject: y\r\n\r\n").await.unwrap();
        rights("Work", here).await;
        rights("Other", there).await;
        assert_eq!(kind(incoming.publish().await), Some(NoPermission), "{target} {here} {there}");
    }
    let there = world.open(ann, &name("Work")).await.messages(&all()).await.unwrap();
    assert_eq!(there.iter().map(|message| message.uid).collect::<Vec<_>>(), [uid], "it stays");
    assert_eq!(world.store.status(ann, &name("Other"), &[]).await.unwrap().messages, 0);
}

/// Changes a flag in ann's Work.
async fn mark(store: MemoryStore, change: FlagChange, uid: Uid, flag: Flag) -> Result<(), StoreError> {
    let mut open = store.open(&Identity::new("ann"), &name("Work"), false).await?;
    open.set_flags(&UidSet::one(uid), &SetFlags::new(change, flags(&[flag]))).await.map(drop)
}

/// RFC 6851 §3.3: of a message that stays, because somebody took its mark away, no EXPUNGE is told.
#[tokio::test]
async fn what_stays_when_messages_move_to_another_account() {
    let source = Meddled::default();
    let world = World::new(source.clone()).await;
    world.grant("lrte").await;
    let (stays, goes) = (world.add("Work", &[]).await, world.add("Work", &[]).await);
    let store = source.inner.clone();
    source.before(Before::Expunge, move || mark(store.clone(), FlagChange::Remove, stays, Flag::Deleted));
    let mut open = world.open(&world.bob, &world.work()).await;
    let moved = open.move_to(&all(), &MailboxName::inbox()).await.unwrap();
    assert_eq!(moved.sources().collect::<Vec<_>>(), [goes]);
    let there = open.messages(&all()).await.unwrap();
    assert_eq!(there.iter().map(|message| message.uid).collect::<Vec<_>>(), [stays]);
    let inbox = world.store.status(&world.bob, &MailboxName::inbox(), &[]).await.unwrap();
    assert_eq!(inbox.messages, 2, "a copy is not taken back: who else removed its source did so because of our mark");
}
