//! What an account may hold (RFC 9208).

use pillarbox_imap::quota::{Resource, ResourceUse};
use pillarbox_imap::server::{FlagChange, StatusItem};
use pillarbox_imap::types::{Flag, MailboxName, UidSet};

use super::{add, all, mark, name, uids};
use crate::parts::{Append, Identity, MailboxStore, StoreError, StoreErrorKind};

async fn told(store: &dyn MailboxStore, user: &Identity, mailbox: &str) -> Vec<ResourceUse> {
    let roots = store.quota_roots(user, &name(mailbox)).await.expect("limits are told");
    roots.into_iter().flat_map(|root| root.resources).collect()
}

/// What is used of a resource; none where it has no limit.
async fn used(store: &dyn MailboxStore, user: &Identity, resource: Resource) -> Option<u64> {
    told(store, user, "INBOX").await.into_iter().find(|one| one.resource == resource).map(|one| one.used)
}

/// A message of so many octets.
async fn put(store: &dyn MailboxStore, user: &Identity, mailbox: &str, size: u64) -> Result<(), StoreError> {
    let mut incoming = store.append(user, &name(mailbox), Append::default()).await?;
    let piece = [b'x'; 4096];
    let mut left = usize::try_from(size).expect("it fits into memory");
    while left > 0 {
        let count = left.min(piece.len());
        incoming.write(&piece[..count]).await?;
        left -= count;
    }
    incoming.publish().await.map(drop)
}

/// What is used follows what is there, and what does not fit is refused whole.
pub(super) async fn quota(store: &dyn MailboxStore, user: &Identity) {
    if !store.capabilities().quota {
        assert!(store.quota_roots(user, &MailboxName::inbox()).await.is_err(), "a store without quotas says so");
        return;
    }
    let limited = told(store, user, "INBOX").await;
    for mailbox in ["Measured", "Measured too"] {
        store.create(user, &name(mailbox), &[]).await.expect("a mailbox");
        let there = told(store, user, mailbox).await;
        assert_eq!(there, limited, "an empty mailbox takes nothing");
    }
    let mut open = store.open(user, &name("Measured"), false).await.expect("it opens");
    open.snapshot().await.expect("a snapshot");
    let both = async || {
        let storage = used(store, user, Resource::Storage).await.unwrap_or_default();
        (storage, used(store, user, Resource::Message).await.unwrap_or_default())
    };
    // Without a limit for it nothing is counted.
    let has = |resource| u64::from(limited.iter().any(|one| one.resource == resource));
    let (octets, count) = (1000 * has(Resource::Storage), has(Resource::Message));
    let before = both().await;
    let more = |octets: u64, messages: u64| (before.0 + octets, before.1 + messages);
    add(store, user, "Measured", &[b'x'; 1000], &[]).await;
    assert_eq!(both().await, more(octets, count), "what comes is counted");
    open.refresh().await.expect("a look");
    open.copy(&all(), &name("Measured too")).await.expect("it is copied");
    assert_eq!(both().await, more(2 * octets, 2 * count), "a copy is as much again");
    if store.capabilities().moves {
        open.move_to(&all(), &name("Measured too")).await.expect("it is moved");
        assert_eq!(both().await, more(2 * octets, 2 * count), "what moves takes no more");
    }
    let mut there = store.open(user, &name("Measured too"), false).await.expect("it opens");
    let first = uids(&mut *there).await[0];
    mark(&mut *there, first, FlagChange::Add, Flag::Deleted).await;
    let status = store.status(user, &name("Measured too"), &[StatusItem::Deleted, StatusItem::DeletedStorage]).await;
    let status = status.expect("it has a status");
    assert_eq!((status.deleted, status.deleted_storage), (1, 1000), "what would become free is known");
    assert_eq!(there.expunge(Some(&UidSet::one(first))).await.expect("it is expunged"), [first]);
    let left = if store.capabilities().moves { 1 } else { 2 };
    assert_eq!(both().await, more(left * octets, left * count), "what is expunged is given back");
    let mut undone = store.append(user, &name("Measured"), Append::default()).await.expect("an append begins");
    undone.write(b"never").await.expect("octets are taken");
    undone.publish().await.expect("it is published");
    undone.undo().await.expect("and taken back");
    drop(undone);
    assert_eq!(both().await, more(left * octets, left * count), "what is taken back is given back");

    if let Some(storage) = limited.iter().find(|one| one.resource == Resource::Storage) {
        let room = storage.limit - both().await.0;
        assert!(store.room(user, &name("Measured"), room / 2).await.is_ok(), "there is room for half of it");
        let refused = store.room(user, &name("Measured"), storage.limit * 10).await.expect_err("there is none for all");
        assert_eq!(refused.kind, StoreErrorKind::OverQuota);
        let before = store.status(user, &name("Measured"), &[]).await.expect("it has a status").messages;
        let refused = put(store, user, "Measured", room + 1).await.expect_err("an octet more than there is room for");
        assert_eq!(refused.kind, StoreErrorKind::OverQuota);
        let after = store.status(user, &name("Measured"), &[]).await.expect("it has a status").messages;
        assert_eq!((after, both().await), (before, more(left * octets, left * count)), "nothing of it is left");
        if store.capabilities().multiappend {
            let half = vec![b'x'; usize::try_from(room / 2 + 1).expect("a limit that a test can reach")];
            let mut incoming =
                store.append(user, &name("Measured"), Append::default()).await.expect("an append begins");
            incoming.write(&half).await.expect("octets are taken");
            incoming.next(Append::default()).await.expect("the first would fit");
            incoming.write(&half).await.expect("octets are taken");
            // More of them must not be written first.
            let refused = incoming.next(Append::default()).await.expect_err("there is no room for both");
            assert_eq!(refused.kind, StoreErrorKind::OverQuota);
            drop(incoming);
            assert_eq!(both().await, more(left * octets, left * count), "nothing of them is left");
        }
        put(store, user, "Measured", room).await.expect("what fits to the octet is taken");
        let mut full = store.open(user, &name("Measured"), false).await.expect("it opens");
        full.snapshot().await.expect("a snapshot");
        let refused = full.copy(&all(), &name("Measured too")).await.expect_err("there is no room for copies");
        assert_eq!(refused.kind, StoreErrorKind::OverQuota);
        if store.capabilities().moves {
            full.move_to(&all(), &name("Measured too")).await.expect("what moves needs no room");
        }
        if store.capabilities().replace {
            there.refresh().await.expect("a look");
            let last = *uids(&mut *there).await.last().expect("it is full of it");
            let mut incoming =
                there.replace(last, &name("Measured"), Append::default()).await.expect("a replacement begins");
            incoming.write(b"smaller").await.expect("octets are taken");
            incoming.publish().await.expect("what is smaller than what it replaces needs no room");
        }
    }
    drop((open, there));
    for mailbox in ["Measured", "Measured too"] {
        store.delete(user, &name(mailbox)).await.expect("it is deleted");
    }
    assert_eq!(both().await, before, "what is deleted is given back");
}
