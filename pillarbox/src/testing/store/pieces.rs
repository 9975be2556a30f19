//! What sessions compute of messages and stores keep, for SORT, THREAD (RFC 5256) and PREVIEW (RFC 8970); and messages that parts
//! of others are copied into, for CATENATE (RFC 4469).

use pillarbox_imap::server::FlagChange;
use pillarbox_imap::types::{Flag, Uid};

use super::{add, mark, name, read_all, uids};
use crate::parts::{Append, Identity, Mailbox, MailboxStore, Piece};

fn kinds() -> [Piece; 4] {
    [Piece::SortKeys, Piece::ThreadKeys, Piece::Preview, Piece::HeaderEnd]
}

async fn cached(mailbox: &mut dyn Mailbox, of: &[Uid]) -> Vec<Option<Vec<Vec<u8>>>> {
    let mut found = mailbox.cached(of, &kinds()).await.found;
    // What is not told is not known.
    found.resize(of.len(), None);
    found
}

/// What was remembered of a message is told of no other, whatever takes its place or its number.
pub(super) async fn kept(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Sorted"), &[]).await.expect("a mailbox");
    let first = add(store, user, "Sorted", b"Subject: b\r\n\r\none", &[]).await;
    let second = add(store, user, "Sorted", b"Subject: a\r\n\r\ntwo", &[]).await;
    let mut open = store.open(user, &name("Sorted"), false).await.expect("it opens");
    open.snapshot().await.expect("a snapshot");
    assert_eq!(cached(&mut *open, &[first, second]).await, [None, None], "nothing was computed yet");
    // Any octets are what a session may have computed.
    let computed = |of: &str| kinds().map(|kind| (kind.clone(), format!("{of} {kind:?}\0\r\n\u{ff}").into_bytes()));
    let octets = |of: &str| Some(computed(of).map(|(_, octets)| octets).to_vec());
    open.remember(vec![(first, computed("one").to_vec()), (second, computed("two").to_vec())]).await;
    let mut other = store.open(user, &name("Sorted"), true).await.expect("it opens twice");
    other.snapshot().await.expect("a snapshot");
    for mailbox in [&mut open, &mut other] {
        let told = cached(&mut **mailbox, &[second, first]).await;
        let is_right = |(told, known): (&Option<Vec<Vec<u8>>>, _)| told.is_none() || *told == known;
        assert!(told.iter().zip([octets("two"), octets("one")]).all(is_right), "{told:?}");
        assert!(!mailbox.caches() || told.iter().all(Option::is_some), "what was remembered just now is not there");
    }

    let mut last = second;
    if store.capabilities().replace {
        let append = Append { wants_uid: true, ..Append::default() };
        let mut incoming = open.replace(second, &name("Sorted"), append).await.expect("a replacement begins");
        incoming.write(b"Subject: c\r\n\r\nthree").await.expect("octets are taken");
        last = incoming.publish().await.expect("it is published").uids.expect("the UID was wanted").1[0];
        open.refresh().await.expect("a look");
        assert_eq!(cached(&mut *open, &[last]).await, [None], "another message has other keys");
    }
    drop((open, other));
    // The same name and the same numbers.
    store.delete(user, &name("Sorted")).await.expect("it is deleted");
    store.create(user, &name("Sorted"), &[]).await.expect("the name is free again");
    for _ in 0..3 {
        add(store, user, "Sorted", b"Subject: d\r\n\r\nfour", &[]).await;
    }
    let mut again = store.open(user, &name("Sorted"), false).await.expect("it opens");
    again.snapshot().await.expect("a snapshot");
    let numbers = uids(&mut *again).await;
    assert!(
        numbers.iter().all(|uid| *uid <= last.max(second).next().unwrap_or(last)),
        "the test is about the same UIDs"
    );
    let told = cached(&mut *again, &numbers).await;
    assert!(told.iter().all(Option::is_none), "a mailbox that is gone left keys to one of its name: {told:?}");
}

/// A message is read, in its own mailbox and read-only, while another is written there; what was opened stays readable when it is gone.
pub(super) async fn catenated(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Parts"), &[]).await.expect("a mailbox");
    let source = add(store, user, "Parts", b"Subject: parts\r\n\r\n0123456789", &[]).await;
    let mut incoming = store.append(user, &name("Parts"), Append::default()).await.expect("an append begins");
    incoming.write(b"front ").await.expect("octets are taken");
    let mut looked_at = store.open(user, &name("Parts"), true).await.expect("it opens beside it");
    looked_at.snapshot().await.expect("a snapshot");
    let mut reader = looked_at.read(source).await.expect("its message opens");
    let mut piece = [0; 4];
    assert_eq!(reader.read_at(18, &mut piece).await.expect("a part is readable"), 4);
    incoming.write(&piece).await.expect("octets are taken");
    let mut open = store.open(user, &name("Parts"), false).await.expect("it opens");
    open.snapshot().await.expect("a snapshot");
    mark(&mut *open, source, FlagChange::Add, Flag::Deleted).await;
    assert_eq!(open.expunge(None).await.expect("it is expunged"), [source], "what is on its way is not seen");
    assert_eq!(reader.read_at(24, &mut piece).await.expect("and readable all the same"), 4);
    incoming.write(&piece).await.expect("octets are taken");
    incoming.publish().await.expect("it is published");
    open.refresh().await.expect("a look");
    let there = uids(&mut *open).await;
    assert_eq!(there.len(), 1);
    let mut whole = open.read(there[0]).await.expect("it opens");
    assert_eq!(read_all(&mut *whole).await, b"front 01236789");
}
