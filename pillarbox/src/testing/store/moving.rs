//! Messages that come several at a time, and messages that move.

use pillarbox_core::WallTime;
use pillarbox_imap::server::{Change, StatusItem};
use pillarbox_imap::types::{Flag, Uid, UidSet};

use super::{add, all, flags, name, read_all, uids};
use crate::parts::{Append, Identity, MailboxStore, StoreErrorKind};

/// MULTIAPPEND (RFC 3502): all or none.
pub(super) async fn several_at_once(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Several"), &[]).await.expect("a mailbox");
    let mut open = store.open(user, &name("Several"), false).await.expect("it opens");
    open.snapshot().await.expect("a snapshot");
    let append = |mark: Flag| Append {
        flags: flags(&[mark]),
        date: Some(WallTime::new(1_234_567_890, 0)),
        wants_uid: true,
        ..Append::default()
    };
    let mut incoming = store.append(user, &name("Several"), append(Flag::Seen)).await.expect("an append begins");
    incoming.write(b"one").await.expect("octets are taken");
    let next = incoming.next(append(Flag::Flagged)).await;
    if !store.capabilities().multiappend {
        assert!(next.is_err(), "a store that takes one at a time says so");
        return;
    }
    next.expect("another message begins");
    incoming.write(b"t").await.expect("octets are taken");
    incoming.write(b"wo").await.expect("octets are taken");
    incoming.next(append(Flag::Draft)).await.expect("and a third");
    assert_eq!(open.refresh().await.expect("a look"), [], "nobody sees some of them");
    incoming.write(b"three").await.expect("octets are taken");
    let appended = incoming.publish().await.expect("they are published").uids.expect("the UIDs were wanted").1;
    assert_eq!(appended.len(), 3);
    assert!(appended.is_sorted(), "UIDs rise in the order in which the messages came");
    open.refresh().await.expect("a look");
    let data = open.messages(&all()).await.expect("messages are told");
    assert_eq!(data.iter().map(|message| message.uid).collect::<Vec<_>>(), appended);
    let marks: Vec<_> = data.iter().map(|message| message.flags.clone()).collect();
    assert_eq!(marks, [flags(&[Flag::Seen]), flags(&[Flag::Flagged]), flags(&[Flag::Draft])], "each has its own flags");
    for (uid, octets) in appended.iter().zip([&b"one"[..], b"two", b"three"]) {
        let mut reader = open.read(*uid).await.expect("a message opens");
        assert_eq!(read_all(&mut *reader).await, octets);
    }

    // What is dropped or undone leaves nothing, however many there are.
    for undo in [false, true] {
        let mut incoming = store.append(user, &name("Several"), append(Flag::Seen)).await.expect("an append begins");
        incoming.write(b"never").await.expect("octets are taken");
        incoming.next(append(Flag::Seen)).await.expect("another message begins");
        if undo {
            incoming.publish().await.expect("they are published");
            incoming.undo().await.expect("and taken back");
        }
    }
    open.refresh().await.expect("a look");
    assert_eq!(uids(&mut *open).await, appended);
}

/// NUL and line ends of every kind (RFC 3516 §4.4).
pub(super) async fn binary(store: &dyn MailboxStore, user: &Identity) {
    if !store.capabilities().binary {
        return;
    }
    store.create(user, &name("Binary"), &[]).await.expect("a mailbox");
    let octets = b"Content-Transfer-Encoding: binary\r\n\r\n\0\n\r\0\r\n\xFF\xFE\n\0";
    let uid = add(store, user, "Binary", octets, &[]).await;
    let mut open = store.open(user, &name("Binary"), true).await.expect("it opens");
    open.snapshot().await.expect("a snapshot");
    let mut reader = open.read(uid).await.expect("it opens");
    assert_eq!(reader.size(), octets.len() as u64);
    assert_eq!(read_all(&mut *reader).await, octets, "what is binary reads back octet for octet");
}

/// STATUS with sizes (RFC 8438) and deleted messages (RFC 9051 §6.3.11).
pub(super) async fn numbers(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Numbers"), &[]).await.expect("a mailbox");
    add(store, user, "Numbers", b"12345", &[Flag::Deleted, Flag::Seen]).await;
    add(store, user, "Numbers", b"a\nb\r\n", &[Flag::Deleted]).await;
    add(store, user, "Numbers", b"", &[]).await;
    let items = [StatusItem::Size, StatusItem::Deleted, StatusItem::DeletedStorage];
    let status = store.status(user, &name("Numbers"), &items).await.expect("it has a status");
    assert_eq!((status.messages, status.unseen, status.deleted), (3, 2, 2));
    if store.capabilities().sizes {
        assert_eq!(status.deleted_storage, 10, "what an EXPUNGE would make free");
        assert_eq!(status.size, 10, "the sum of the sizes that messages have when they are read");
    }
}

/// MOVE (RFC 6851).
pub(super) async fn moving(store: &dyn MailboxStore, user: &Identity) {
    for mailbox in ["From here", "To there"] {
        store.create(user, &name(mailbox), &[]).await.expect("a mailbox");
    }
    let one = add(store, user, "From here", b"one", &[Flag::Flagged]).await;
    let two = add(store, user, "From here", b"two", &[]).await;
    let three = add(store, user, "From here", b"three", &[]).await;
    let mut here = store.open(user, &name("From here"), false).await.expect("it opens");
    here.snapshot().await.expect("a snapshot");
    let both: UidSet = [one, three].into_iter().collect();
    let moved = here.move_to(&both, &name("To there")).await;
    if !store.capabilities().moves {
        assert!(moved.is_err(), "a store that cannot move says so");
        return;
    }
    let mut watching = store.open(user, &name("To there"), true).await.expect("the target opens");
    let snapshot = watching.snapshot().await.expect("a snapshot");
    let (validity, pairs) = moved.expect("messages are moved").known().expect("and their UIDs");
    assert_eq!(validity, snapshot.uid_validity);
    assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), [one, three], "in the order of the sources");
    assert_eq!(pairs.iter().map(|pair| pair.1).collect::<Vec<_>>(), snapshot.uids);
    let there = watching.messages(&all()).await.expect("messages are told");
    assert_eq!(there[0].flags, flags(&[Flag::Flagged]), "flags go along");
    assert_eq!(there[0].internal_date.unix_seconds(), 1_234_567_890, "dates go along");
    assert_eq!(uids(&mut *here).await, [two], "what moved is here no more");
    let told = here.refresh().await.expect("a look");
    let gone =
        |uid: Uid| told.iter().any(|change| matches!(change, Change::Removed { uids, .. } if uids.contains(uid)));
    assert!(gone(one) && gone(three) && !gone(two), "and its sessions hear of it: {told:?}");

    let error = here.move_to(&both, &name("To there")).await.expect_err("what is gone is moved");
    assert_eq!(error.kind, StoreErrorKind::Expunged);
    let error = here.move_to(&UidSet::one(two), &name("Missing")).await.expect_err("nowhere is no target");
    assert_eq!(error.kind, StoreErrorKind::NoSuchMailbox);
    assert_eq!(uids(&mut *here).await, [two], "what cannot move stays");
    let mut read_only = store.open(user, &name("From here"), true).await.expect("it opens");
    read_only.snapshot().await.expect("a snapshot");
    assert!(read_only.move_to(&UidSet::one(two), &name("To there")).await.is_err(), "it is open for reading");

    // Into the mailbox itself: a new UID, and no message lost or doubled.
    let (_, pairs) = here
        .move_to(&UidSet::one(two), &name("From here"))
        .await
        .expect("a message moves where it is")
        .known()
        .expect("and their UIDs");
    here.refresh().await.expect("a look");
    assert_eq!(uids(&mut *here).await, [pairs[0].1]);
}
