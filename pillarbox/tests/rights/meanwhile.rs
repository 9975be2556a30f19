//! What others do while something is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use pillarbox::maildir::{Identifier, Rights, RightsChange};
use pillarbox::parts::{Append, Identity, MailboxStore, SetFlags, StoreError, StoreErrorKind};
use pillarbox::store::{AclChange, AclSource, MemoryStore};
use pillarbox_imap::list::List;
use pillarbox_imap::server::{Change, FlagChange};
use pillarbox_imap::types::{Flag, MailboxName, Uid, UidSet};

use crate::StoreErrorKind::{NoPermission, NoSuchMailbox, Unavailable};
use crate::meddled::{Before, Meddled};
use crate::world::{World, add, all, flags, flags_of, in_both_stores, kind, name};

in_both_stores! {
    rights_are_looked_at_when_a_message_has_come
    flags_take_their_rights_when_a_message_has_come
    rights_are_looked_at_when_a_message_takes_its_place
    conditions_of_flags_that_are_replaced_in_part
    what_is_renamed_or_deleted_is_read_no_more
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

/// RFC 4314 §4: a flag takes its right also when the message has come. Which message it is of, and whether another is in its place, is
/// nothing to it.
async fn flags_take_their_rights_when_a_message_has_come<S: AclSource + Clone + 'static>(world: World<S>) {
    let uid = world.add("Work", &[]).await;
    let (plain, mut flagged) = (Append::default(), Append::default());
    flagged.flags = flags(&[Flag::Flagged]);
    for (left, refusal) in [("lri", Some(NoPermission)), ("lriw", None)] {
        for first_is_flagged in [true, false] {
            world.grant("lriw").await;
            let (first, second) = if first_is_flagged { (&flagged, &plain) } else { (&plain, &flagged) };
            let mut incoming = world.store.append(&world.bob, &world.work(), first.clone()).await.unwrap();
            incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
            incoming.next(second.clone()).await.unwrap();
            incoming.write(b"Subject: y\r\n\r\n").await.unwrap();
            world.grant(left).await;
            assert_eq!(kind(incoming.publish().await), refusal, "append {left} {first_is_flagged}");
        }
        world.grant("lriwte").await;
        let mut incoming =
            world.open(&world.bob, &world.work()).await.replace(uid, &world.work(), flagged.clone()).await.unwrap();
        incoming.write(b"Subject: z\r\n\r\n").await.unwrap();
        world.grant(&format!("{left}te")).await;
        assert_eq!(kind(incoming.publish().await), refusal, "replace {left}");
    }
    let marked: Vec<bool> = flags_of(&mut *world.open(&world.ann, &name("Work")).await)
        .await
        .iter()
        .map(|all| all.contains(&Flag::Flagged))
        .collect();
    assert_eq!(marked.iter().filter(|marked| **marked).count(), 3, "{marked:?}");
    assert_eq!(marked.len(), 5);
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

/// COPY and MOVE to another account take as long as the messages are large: the right to add may go meanwhile.
#[tokio::test]
async fn rights_are_looked_at_when_messages_have_been_carried() {
    let source = Meddled::default();
    let world = World::new(source.clone()).await;
    add(&world.store, &world.bob, "INBOX", &[]).await.unwrap();
    let mut open = world.open(&world.bob, &MailboxName::inbox()).await;
    let store = source.inner.clone();
    source.before(Before::Read, move || {
        let store = store.clone();
        async move {
            let (identifier, rights) = (Identifier::User("bob".into()), Rights::LOOKUP);
            let change = AclChange::new(identifier, false, Some(RightsChange::Replace(rights)));
            store.change_list(&Identity::new("ann"), &name("Work"), &change).await
        }
    });
    for is_move in [false, true] {
        world.grant("lrswite").await;
        let refused = match is_move {
            false => open.copy(&all(), &world.work()).await,
            true => open.move_to(&all(), &world.work()).await,
        };
        assert_eq!(kind(refused), Some(NoPermission), "move: {is_move}");
    }
    assert_eq!(open.messages(&all()).await.unwrap().len(), 1, "it stays");
    assert_eq!(world.store.status(&world.ann, &name("Work"), &[]).await.unwrap().messages, 0);
}

/// What another's account has no room for is not brought there to be refused when all of it has come.
#[tokio::test]
async fn a_copy_ends_where_the_room_of_another_does() {
    let source = Meddled::over(MemoryStore::new().with_quota(None, Some(11)));
    let world = World::new(source.clone()).await;
    world.grant("lrswite").await;
    for _ in 0..10 {
        add(&world.store, &world.bob, "INBOX", &[]).await.unwrap();
        world.add("INBOX", &[]).await;
    }
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    source.before(Before::Read, move || {
        count.fetch_add(1, SeqCst);
        async { Ok(()) }
    });
    let mut open = world.open(&world.bob, &MailboxName::inbox()).await;
    assert_eq!(kind(open.copy(&all(), &world.work()).await), Some(StoreErrorKind::OverQuota));
    assert_eq!(read.load(SeqCst), 3, "one fits, with the other there are too many, and the third is not let in");
    assert_eq!(world.store.status(&world.ann, &name("Work"), &[]).await.unwrap().messages, 0);
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

/// FLAGS of somebody who may not change all flags: what others change meanwhile is theirs.
#[tokio::test]
async fn flags_are_replaced_beside_changes_of_others() {
    let source = Meddled::default();
    let world = World::new(source.clone()).await;
    world.grant("lrst").await;
    let uid = world.add("Work", &[Flag::Deleted, Flag::Draft]).await;
    let keyword = Flag::parse("$Done").unwrap();
    let (store, added) = (source.inner.clone(), keyword.clone());
    source.before(Before::SetFlags, move || mark(store.clone(), FlagChange::Add, uid, added.clone()));
    let mut open = world.open(&world.bob, &world.work()).await;
    let set = open.set_flags(&all(), &SetFlags::new(FlagChange::Replace, flags(&[Flag::Seen]))).await.unwrap();
    let expected = flags(&[Flag::Seen, Flag::Draft, keyword]);
    assert_eq!((set.len(), set[0].refused, set[0].changed), (1, false, true));
    assert_eq!(set[0].now.flags, expected);
    assert_eq!(flags_of(&mut *open).await, [expected]);
}

/// RFC 7162 §3.1.3: any change counts where all flags are replaced, also for somebody who may change some only.
async fn conditions_of_flags_that_are_replaced_in_part<S: AclSource + Clone + 'static>(world: World<S>) {
    let keywords = ["$A", "$B", "$C"].map(|keyword| Flag::parse(keyword).unwrap());
    for (rights, expected) in
        [("lrst", flags(&[Flag::Seen, keywords[0].clone()])), ("lrw", flags(&[keywords[1].clone(), Flag::Deleted]))]
    {
        let with = [Flag::Deleted, keywords[0].clone()];
        let (late, on_time) = (world.add("Work", &with).await, world.add("Work", &with).await);
        world.grant(rights).await;
        let mut open = world.open(&world.bob, &world.work()).await;
        let since = open.snapshot().await.unwrap().highest_mod_seq.unwrap();
        let mut hers = world.open(&world.ann, &name("Work")).await;
        let added = SetFlags::new(FlagChange::Add, flags(&keywords[2..]));
        hers.set_flags(&UidSet::one(late), &added).await.unwrap();
        open.refresh().await.unwrap();
        let mut what = SetFlags::new(FlagChange::Replace, flags(&[Flag::Seen, keywords[1].clone()]));
        what.unchanged_since = Some(since.get());
        let both: UidSet = [late, on_time].into_iter().collect();
        let set = open.set_flags(&both, &what).await.unwrap();
        let told: Vec<(Uid, bool)> = set.iter().map(|one| (one.now.uid, one.refused)).collect();
        assert_eq!(told, [(late, true), (on_time, false)], "{rights}");
        assert_eq!(set[0].now.flags, flags(&[Flag::Deleted, keywords[0].clone(), keywords[2].clone()]), "{rights}");
        assert_eq!(set[1].now.flags, expected, "{rights}");
        let now = open.flags(&both).await.unwrap();
        assert!(now.iter().eq(set.iter().map(|one| &one.now)), "{rights}: {now:?}");
    }
}

/// A list is found by its mailbox's name: under a name that leads elsewhere now, or nowhere, nothing may be read any more.
async fn what_is_renamed_or_deleted_is_read_no_more<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob) = (&world.store, &world.ann, &world.bob);
    for (round, is_deleted) in [false, true].into_iter().enumerate() {
        world.grant("lrswite").await;
        store.create(ann, &name("Work/Sub"), &[]).await.unwrap();
        let uid = UidSet::one(world.add("Work/Sub", &[]).await);
        let below = name("Other Users/ann/Work/Sub");
        let mut open = world.open(bob, &below).await;
        let mut hers = world.open(ann, &name("Work/Sub")).await;
        let mut incoming = store.append(bob, &below, Append::default()).await.unwrap();
        incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
        match is_deleted {
            false => store.rename(ann, &name("Work"), &name("Private")).await.unwrap(),
            true => {
                store.delete(ann, &name("Work/Sub")).await.unwrap();
                store.delete(ann, &name("Work")).await.unwrap();
            }
        }
        // There is something else now that bob may use.
        store.create(ann, &name("Work"), &[]).await.unwrap();
        world.grant("lrswite").await;
        store.create(ann, &name("Work/Sub"), &[]).await.unwrap();
        for open in [&mut open, &mut hers] {
            assert!(open.messages(&uid).await.is_err(), "{round}");
            assert!(open.flags(&uid).await.is_err(), "{round}");
            assert!(open.read(uid.first().unwrap()).await.is_err(), "{round}");
            assert!(open.copy(&uid, &MailboxName::inbox()).await.is_err(), "{round}");
            assert!(open.move_to(&uid, &MailboxName::inbox()).await.is_err(), "{round}");
            assert!(open.expunge(None).await.is_err(), "{round}");
            let seen = SetFlags::new(FlagChange::Add, flags(&[Flag::Seen]));
            assert!(open.set_flags(&uid, &seen).await.is_err(), "{round}");
            assert!(open.refresh().await.unwrap().contains(&Change::Gone), "{round}");
            assert!(open.refresh().await.is_err(), "{round}: once it was told");
        }
        if let Ok(appended) = incoming.publish().await {
            let there = store.status(ann, &name("Work/Sub"), &[]).await.unwrap();
            assert_eq!(there.messages, 1, "what is let in there comes there: {appended:?}");
        }
        if !is_deleted {
            assert_eq!(store.status(ann, &name("Private/Sub"), &[]).await.unwrap().messages, 1);
            let mut moved = world.open(ann, &name("Private/Sub")).await;
            assert_eq!(moved.messages(&all()).await.unwrap().len(), 1, "under its new name it is what it was");
        }
        store.delete(ann, &name("Work/Sub")).await.unwrap();
    }
}

/// A moment's trouble with a list is not the end of the mailbox for somebody who is in it.
#[tokio::test]
async fn trouble_is_told_as_trouble_to_who_was_let_in() {
    let source = Meddled::default();
    let world = World::new(source.clone()).await;
    world.grant("lrswite").await;
    world.add("Work", &[]).await;
    let (bob, work) = (&world.bob, world.work());
    let mut open = world.open(bob, &work).await;
    let mut watch = world.store.watch(bob, &work).await.unwrap();
    let mut incoming = world.store.append(bob, &work, Append::default()).await.unwrap();
    incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
    let mut late = world.store.append(bob, &work, Append::default()).await.unwrap();
    world.add("Work", &[]).await;
    let is_trouble = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&is_trouble);
    source.before(Before::ListOf, move || {
        let trouble = || StoreError::new(StoreErrorKind::Unavailable, "as the test wants it");
        let told = if now.load(SeqCst) { Err(trouble()) } else { Ok(()) };
        async move { told }
    });
    assert_eq!(kind(open.refresh().await), Some(Unavailable));
    assert_eq!(kind(open.changes().await), Some(Unavailable));
    assert_eq!(kind(open.messages(&all()).await), Some(Unavailable));
    assert_eq!(kind(watch.stirred().await), Some(Unavailable));
    assert_eq!(kind(watch.numbers().await), Some(Unavailable));
    assert_eq!(kind(incoming.publish().await), Some(Unavailable));
    // By its name nothing is to be learned of it.
    assert_eq!(kind(world.store.open(bob, &work, true).await), Some(NoSuchMailbox));
    assert_eq!(kind(world.store.append(bob, &work, Append::default()).await), Some(NoSuchMailbox));
    // But of names that are told none is left out, as if it had gone.
    let mut list = List::new("*");
    list.patterns.push("Other Users/ann/*".into());
    assert_eq!(kind(world.store.list(bob, &list).await), Some(Unavailable));
    is_trouble.store(false, SeqCst);
    assert!(matches!(open.refresh().await.unwrap()[..], [Change::Added { .. }]), "what was not told is told now");
    assert!(watch.stirred().await.unwrap().messages);
    late.publish().await.unwrap();
    assert_eq!(world.listed(bob, "Other Users/ann/*").await, [work.as_str()]);
}

/// What the first step of a command tells does not cut off whoever gives it, nor anybody who waits.
#[tokio::test]
async fn one_command_about_many_keywords_cuts_nobody_off() {
    let world = World::new(MemoryStore::new()).await;
    world.grant("lrste").await;
    let keywords: Vec<Flag> = (0..99).map(|number| Flag::parse(&format!("k{number}")).unwrap()).collect();
    for _ in 0..700 {
        world.add("Work", &keywords).await;
    }
    let mut waits = world.open(&world.ann, &name("Work")).await;
    let mut open = world.open(&world.bob, &world.work()).await;
    let moved = open.move_to(&all(), &MailboxName::inbox()).await.unwrap();
    assert_eq!(moved.sources().count(), 700);
    for open in [&mut open, &mut waits] {
        let told = open.refresh().await.unwrap();
        assert!(!told.is_empty() && !told.iter().any(|change| matches!(change, Change::Gone)), "{}", told.len());
    }
}
