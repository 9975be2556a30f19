//! Messages that take the place of others.

use pillarbox_imap::server::Change;
use pillarbox_imap::types::{Flag, UidSet};

use super::{add, flags, name, read_all, uids};
use crate::parts::{Append, Identity, MailboxStore, StoreErrorKind};

/// REPLACE (RFC 8508).
pub(super) async fn replacing(store: &dyn MailboxStore, user: &Identity) {
    for mailbox in ["Written", "Sent off"] {
        store.create(user, &name(mailbox), &[]).await.expect("a mailbox");
    }
    let one = add(store, user, "Written", b"one", &[Flag::Draft]).await;
    let two = add(store, user, "Written", b"two", &[Flag::Draft, Flag::Flagged]).await;
    let mut open = store.open(user, &name("Written"), false).await.expect("it opens");
    open.snapshot().await.expect("a snapshot");
    let mut append = Append::default();
    (append.flags, append.wants_uid) = (flags(&[Flag::Seen]), true);

    let begun = open.replace(one, &name("Written"), append.clone()).await;
    if !store.capabilities().replace {
        assert!(begun.is_err(), "a store that cannot replace says so");
        return;
    }
    // What is dropped changes nothing.
    let mut incoming = begun.expect("a replacement begins");
    incoming.write(b"never").await.expect("octets are taken");
    assert!(incoming.next(append.clone()).await.is_err(), "one takes the place of one");
    drop(incoming);
    assert_eq!(open.refresh().await.expect("a look"), []);

    let mut incoming = open.replace(one, &name("Written"), append.clone()).await.expect("a replacement begins");
    incoming.write(b"one anew").await.expect("octets are taken");
    assert_eq!(open.refresh().await.expect("a look"), [], "nothing is to be seen before it is published");
    let new = incoming.publish().await.expect("it is published").uids.expect("the UID was wanted").1;
    assert!(incoming.undo().await.is_err(), "nobody has the other any more");
    let told = open.refresh().await.expect("a look");
    assert!(told.iter().any(|change| matches!(change, Change::Added { uids, .. } if *uids == new)), "{told:?}");
    let gone = |change: &Change| matches!(change, Change::Removed { uids, .. } if uids.contains(one));
    assert!(told.iter().any(gone), "{told:?}");
    assert_eq!(uids(&mut *open).await, [two, new[0]]);
    let now = open.flags(&UidSet::one(new[0])).await.expect("flags are told");
    assert_eq!(now[0].flags, flags(&[Flag::Seen]), "it inherits nothing");
    assert_eq!(read_all(&mut *open.read(new[0]).await.expect("it opens")).await, b"one anew");

    // What is gone by the time of the publication is not replaced, and nothing comes in its place.
    let mut late = open.replace(two, &name("Sent off"), append.clone()).await.expect("a replacement begins");
    late.write(b"late").await.expect("octets are taken");
    let mut incoming = open.replace(two, &name("Sent off"), append.clone()).await.expect("another begins");
    incoming.write(b"two sent").await.expect("octets are taken");
    incoming.publish().await.expect("it is published");
    let error = late.publish().await.expect_err("what is gone is replaced");
    assert_eq!(error.kind, StoreErrorKind::Expunged);
    open.refresh().await.expect("a look");
    assert_eq!(uids(&mut *open).await, new);
    assert_eq!(store.status(user, &name("Sent off"), &[]).await.expect("a status").messages, 1);

    let error = open.replace(new[0], &name("Missing"), append.clone()).await.err().expect("nowhere is no target");
    assert_eq!(error.kind, StoreErrorKind::NoSuchMailbox);
    let mut read_only = store.open(user, &name("Written"), true).await.expect("it opens");
    read_only.snapshot().await.expect("a snapshot");
    assert!(read_only.replace(new[0], &name("Written"), append).await.is_err(), "it is open for reading");
}
