//! What clients that come back need: mod-sequences, what was expunged, identifiers, and when a message came.

use pillarbox_core::WallTime;
use pillarbox_imap::server::{Change, FlagChange, StatusItem};
use pillarbox_imap::types::{Flag, ModSeq, ObjectId, Uid, UidSet};

use super::{add, all, flags, mark, name};
use crate::parts::{Copied, FlagsSet, Identity, Mailbox, MailboxStore, MessageData, SetFlags, StoreErrorKind};

async fn one(mailbox: &mut dyn Mailbox, uid: Uid) -> MessageData {
    mailbox.messages(&UidSet::one(uid)).await.expect("a message is told").remove(0)
}

async fn mod_seq(mailbox: &mut dyn Mailbox, uid: Uid) -> ModSeq {
    one(mailbox, uid).await.mod_seq.expect("a message has a mod-sequence")
}

async fn highest(store: &dyn MailboxStore, user: &Identity, mailbox: &str) -> Option<ModSeq> {
    let status = store.status(user, &name(mailbox), &[StatusItem::HighestModSeq]).await;
    status.expect("it has a status").highest_mod_seq
}

/// Every change has a mod-sequence that is higher than all before (RFC 7162 §3.1).
pub(super) async fn mod_seqs(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Changes"), &[]).await.expect("a mailbox");
    let mut here = store.open(user, &name("Changes"), false).await.expect("it opens");
    let snapshot = here.snapshot().await.expect("a snapshot");
    if !store.capabilities().mod_seqs {
        assert_eq!(snapshot.highest_mod_seq, None, "a store without mod-sequences tells none");
        assert_eq!(highest(store, user, "Changes").await, None);
        return;
    }
    let empty = snapshot.highest_mod_seq.expect("an empty mailbox has one too");
    let first = add(store, user, "Changes", b"one", &[]).await;
    let second = add(store, user, "Changes", b"two", &[]).await;
    let (one, two) = (mod_seq(&mut *here, first).await, mod_seq(&mut *here, second).await);
    assert!(empty < one && one < two, "what comes later has a higher one: {empty} {one} {two}");
    assert_eq!(highest(store, user, "Changes").await, Some(two));

    mark(&mut *here, first, FlagChange::Add, Flag::Seen).await;
    let seen = mod_seq(&mut *here, first).await;
    assert!(seen > two, "a flag is a change");
    assert_eq!(mod_seq(&mut *here, second).await, two, "of this message alone");
    mark(&mut *here, first, FlagChange::Add, Flag::Seen).await;
    assert_eq!(highest(store, user, "Changes").await, Some(seen), "a flag that is set already changes nothing");

    let told = here.refresh().await.expect("a look");
    let numbers = told.iter().filter_map(|change| match change {
        Change::Added { mod_seq, .. } | Change::Flags { mod_seq, .. } | Change::Removed { mod_seq, .. } => *mod_seq,
        _ => None,
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [one, two, seen], "sessions hear of them in their order: {told:?}");

    let changed = here.changed(&all(), two).await.expect("changes are known");
    assert_eq!(changed, UidSet::one(first), "what changed after a mod-sequence is known");
    assert_eq!(here.changed(&UidSet::one(second), empty).await.expect("changes are known"), UidSet::one(second));
    assert_eq!(here.changed(&all(), seen).await.expect("changes are known"), UidSet::new());

    mark(&mut *here, second, FlagChange::Add, Flag::Deleted).await;
    let marked = mod_seq(&mut *here, second).await;
    here.expunge(None).await.expect("a message is expunged");
    let expunged = highest(store, user, "Changes").await;
    assert!(expunged > Some(marked), "an expunge is a change");
    here.expunge(None).await.expect("nothing is expunged");
    assert_eq!(highest(store, user, "Changes").await, expunged, "but not where nothing goes");
    here.refresh().await.expect("a look");
    assert_eq!(here.snapshot().await.expect("a snapshot").highest_mod_seq, expunged);

    // RFC 7162 §3.1: a copy is new where it comes to.
    let before = highest(store, user, "Copies").await;
    let (_, pairs) = here
        .copy(&UidSet::one(first), &name("Copies"))
        .await
        .expect("a message is copied")
        .known()
        .expect("and their UIDs");
    let mut there = store.open(user, &name("Copies"), true).await.expect("it opens");
    there.snapshot().await.expect("a snapshot");
    assert!(Some(mod_seq(&mut *there, pairs[0].1).await) > before);
}

/// UNCHANGEDSINCE (RFC 7162 §3.1.3).
pub(super) async fn conditional(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Conditions"), &[]).await.expect("a mailbox");
    let first = add(store, user, "Conditions", b"one", &[]).await;
    let second = add(store, user, "Conditions", b"two", &[]).await;
    let both: UidSet = [first, second].into_iter().collect();
    let mut here = store.open(user, &name("Conditions"), false).await.expect("it opens");
    here.snapshot().await.expect("a snapshot");
    let condition = |change: FlagChange, flag: Flag, since: u64| {
        let mut what = SetFlags::new(change, flags(&[flag]));
        what.unchanged_since = Some(since);
        what
    };
    if !store.capabilities().mod_seqs {
        let set = here.set_flags(&both, &condition(FlagChange::Add, Flag::Seen, 1)).await;
        assert!(set.is_err(), "a store that cannot compare says so");
        return;
    }
    let refused = |set: &[FlagsSet]| set.iter().map(|set| (set.now.uid, set.refused)).collect::<Vec<_>>();
    let start = highest(store, user, "Conditions").await.expect("it has one").get();
    mark(&mut *here, first, FlagChange::Add, Flag::Flagged).await;

    let set = here.set_flags(&both, &condition(FlagChange::Replace, Flag::Seen, start)).await.expect("flags are set");
    assert_eq!(refused(&set), [(first, true), (second, false)], "message by message");
    assert_eq!(set[0].now.flags, flags(&[Flag::Flagged]), "what changed is left as it is");
    assert_eq!(set[1].now.flags, flags(&[Flag::Seen]));
    assert_eq!(set[1].now.mod_seq, highest(store, user, "Conditions").await, "what is set has a new mod-sequence");
    assert!(set[1].now.mod_seq > set[0].now.mod_seq);

    let set = here.set_flags(&both, &condition(FlagChange::Add, Flag::Flagged, start)).await.expect("flags are set");
    assert!(set[0].refused, "that very flag changed");
    let now = highest(store, user, "Conditions").await.expect("it has one").get();
    let set = here.set_flags(&both, &condition(FlagChange::Remove, Flag::Flagged, now)).await.expect("flags are set");
    assert_eq!(refused(&set), [(first, false), (second, false)], "nothing changed since");

    // RFC 7162 §3.1.3: a system flag always exists, so it changed after 0.
    let set = here.set_flags(&both, &condition(FlagChange::Add, Flag::Draft, 0)).await.expect("flags are set");
    assert_eq!(refused(&set), [(first, true), (second, true)]);
    let now = highest(store, user, "Conditions").await;
    let keyword = Flag::parse("$Claimed").expect("a keyword");
    mark(&mut *here, first, FlagChange::Add, keyword.clone()).await;
    let set = here.set_flags(&both, &condition(FlagChange::Add, keyword, 0)).await.expect("flags are set");
    assert!(set[0].refused, "who comes too late hears it");
    assert!(highest(store, user, "Conditions").await > now);
}

/// What was expunged since when (RFC 7162 §3.2.6).
pub(super) async fn vanished(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Gone"), &[]).await.expect("a mailbox");
    let mut uids = Vec::new();
    for octets in [b"1", b"2", b"3", b"4", b"5"] {
        uids.push(add(store, user, "Gone", octets, &[]).await);
    }
    let mut here = store.open(user, &name("Gone"), false).await.expect("it opens");
    here.snapshot().await.expect("a snapshot");
    if !store.capabilities().vanished {
        let error = here.vanished(&all(), ModSeq::MIN).await.expect_err("nobody knows what was expunged");
        assert_eq!(error.kind, StoreErrorKind::Cannot, "a store that does not know says so");
        return;
    }
    assert!(store.capabilities().mod_seqs, "what was expunged is counted by mod-sequences");
    let mut times = vec![highest(store, user, "Gone").await.expect("it has one")];
    for some in [&uids[1..2], &uids[2..4]] {
        for uid in some {
            mark(&mut *here, *uid, FlagChange::Add, Flag::Deleted).await;
        }
        here.expunge(None).await.expect("messages are expunged");
        times.push(highest(store, user, "Gone").await.expect("it has one"));
    }
    let set = |some: &[Uid]| some.iter().copied().collect::<UidSet>();
    for (since, expected) in times.iter().zip([&uids[1..4], &uids[2..4], &[]]) {
        assert_eq!(here.vanished(&all(), *since).await.expect("it is known"), set(expected), "after {since}");
    }
    assert_eq!(here.vanished(&set(&uids[..2]), times[0]).await.expect("it is known"), set(&uids[1..2]), "of these");
    let moved = here.move_to(&set(&uids[..1]), &name("Copies")).await;
    if moved.is_ok() {
        assert_eq!(here.vanished(&all(), times[2]).await.expect("it is known"), set(&uids[..1]), "what moves is gone");
    }
    // Before everything there is nothing else that is gone.
    let all_gone = here.vanished(&all(), ModSeq::MIN).await.expect("it is known");
    assert!(!all_gone.contains(uids[4]) && all_gone.last() < Some(uids[4]), "{all_gone}");
}

/// Identifiers of mailboxes and messages (RFC 8474).
pub(super) async fn object_ids(store: &dyn MailboxStore, user: &Identity) {
    let made = store.create(user, &name("Objects"), &[]).await.expect("a mailbox is made");
    let first = add(store, user, "Objects", b"one", &[]).await;
    let second = add(store, user, "Objects", b"two", &[]).await;
    let mut here = store.open(user, &name("Objects"), false).await.expect("it opens");
    let snapshot = here.snapshot().await.expect("a snapshot");
    if !store.capabilities().object_ids {
        assert_eq!((made, snapshot.mailbox_id), (None, None), "a store without identifiers tells none");
        return;
    }
    let id = made.expect("a mailbox that is made has an identifier");
    assert_eq!(snapshot.mailbox_id.as_ref(), Some(&id), "which is told at selection");
    let of = async |mailbox: &str| -> ObjectId {
        let status = store.status(user, &name(mailbox), &[StatusItem::MailboxId]).await.expect("it has a status");
        status.mailbox_id.expect("it has an identifier")
    };
    assert_eq!(of("Objects").await, id, "and with its numbers");
    assert_ne!(of("Copies").await, id, "no two mailboxes have the same");
    store.rename(user, &name("Objects"), &name("Renamed")).await.expect("it is renamed");
    assert_eq!(of("Renamed").await, id, "it outlives its name (RFC 8474 §4)");
    let again = store.create(user, &name("Objects"), &[]).await.expect("the name is free again");
    assert!(again.is_some_and(|again| again != id), "and does not come back with it");

    let mut here = store.open(user, &name("Renamed"), false).await.expect("it opens");
    here.snapshot().await.expect("a snapshot");
    let email = one(&mut *here, first).await.email_id.expect("a message has an identifier");
    assert_ne!(one(&mut *here, second).await.email_id.as_ref(), Some(&email), "of its own");
    mark(&mut *here, first, FlagChange::Add, Flag::Seen).await;
    assert_eq!(one(&mut *here, first).await.email_id.as_ref(), Some(&email), "flags are nothing to it");
    let (_, pairs) = here
        .copy(&UidSet::one(first), &name("Objects"))
        .await
        .expect("a message is copied")
        .known()
        .expect("and their UIDs");
    let mut there = store.open(user, &name("Objects"), true).await.expect("it opens");
    there.snapshot().await.expect("a snapshot");
    let copy = one(&mut *there, pairs[0].1).await;
    assert_eq!(copy.email_id.as_ref(), Some(&email), "a copy has the same (RFC 8474 §5.1)");
    assert!(copy.thread_id.is_none_or(|thread| thread != email), "no thread has it");
    if let Ok(Copied::Known(_, pairs)) = here.move_to(&UidSet::one(first), &name("Objects")).await {
        there.refresh().await.expect("a look");
        assert_eq!(one(&mut *there, pairs[0].1).await.email_id, Some(email), "and so has what moved");
    }
}

/// When a message came into its mailbox (RFC 8514 §3).
pub(super) async fn save_dates(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Saved"), &[]).await.expect("a mailbox");
    // Its internal date is of 2009.
    let uid = add(store, user, "Saved", b"one", &[]).await;
    let mut here = store.open(user, &name("Saved"), false).await.expect("it opens");
    here.snapshot().await.expect("a snapshot");
    let date = one(&mut *here, uid).await.save_date;
    if !store.capabilities().save_dates {
        assert_eq!(date, None, "a store that does not know tells none");
        return;
    }
    let date = date.map(WallTime::unix_seconds).expect("it is known");
    assert!(date > 1_600_000_000, "it is the present one, whatever APPEND said: {date}");
    mark(&mut *here, uid, FlagChange::Add, Flag::Seen).await;
    let later = one(&mut *here, uid).await.save_date.map(WallTime::unix_seconds);
    assert_eq!(later, Some(date), "and stays");
    let (_, pairs) = here
        .copy(&UidSet::one(uid), &name("Copies"))
        .await
        .expect("a message is copied")
        .known()
        .expect("and their UIDs");
    let mut there = store.open(user, &name("Copies"), true).await.expect("it opens");
    there.snapshot().await.expect("a snapshot");
    let copy = one(&mut *there, pairs[0].1).await;
    assert!(copy.save_date.is_some_and(|copied| copied.unix_seconds() >= date), "a copy has one of its own");
    assert_eq!(copy.internal_date.unix_seconds(), 1_234_567_890, "and the internal date of its source");
}
