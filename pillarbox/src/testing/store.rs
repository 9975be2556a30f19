//! What every mailbox store must do, whatever it is made of.

mod limits;
mod metadata;
mod moving;
mod names;
mod pieces;
mod replacing;
mod rights;
mod sync;

use pillarbox_core::WallTime;
use pillarbox_imap::list::List;
use pillarbox_imap::server::{Change, FlagChange};
use pillarbox_imap::types::{Flag, Flags, MailboxName, Uid, UidSet};

use crate::parts::{Append, Identity, Mailbox, MailboxStore, MessageReader, Piece, SetFlags, StoreErrorKind};

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).expect("the suite's names are good")
}

fn flags(list: &[Flag]) -> Flags {
    list.iter().cloned().collect()
}

async fn add(store: &dyn MailboxStore, user: &Identity, mailbox: &str, octets: &[u8], with: &[Flag]) -> Uid {
    let mailbox = name(mailbox);
    let append = Append {
        flags: flags(with),
        date: Some(WallTime::new(1_234_567_890, 0)),
        wants_uid: true,
        ..Append::default()
    };
    let mut incoming = store.append(user, &mailbox, append).await.expect("an append begins");
    for piece in octets.chunks(7) {
        incoming.write(piece).await.expect("octets are taken");
    }
    incoming.prepare().await.expect("a message is prepared");
    let appended = incoming.publish().await.expect("a message is published");
    appended.uids.expect("the UID was wanted").1[0]
}

async fn read_all(reader: &mut dyn MessageReader) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut buffer = [0; 11];
    loop {
        match reader.read_at(octets.len() as u64, &mut buffer).await.expect("a message is readable") {
            0 => return octets,
            count => octets.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Changes one flag of a message; what flags it has then.
async fn mark(mailbox: &mut dyn Mailbox, uid: Uid, change: FlagChange, flag: Flag) -> Vec<(Uid, Flags)> {
    let what = SetFlags::new(change, flags(&[flag]));
    let set = mailbox.set_flags(&UidSet::one(uid), &what).await.expect("flags are changed");
    set.into_iter().map(|set| (set.now.uid, set.now.flags)).collect()
}

fn all() -> UidSet {
    let mut set = UidSet::new();
    set.insert_range(Uid::new(1).expect("not 0")..=Uid::new(u32::MAX).expect("not 0"));
    set
}

async fn uids(mailbox: &mut dyn Mailbox) -> Vec<Uid> {
    mailbox.messages(&all()).await.expect("messages are told").iter().map(|message| message.uid).collect()
}

/// Runs the suite against a store, as a user who has nothing in it yet.
///
/// # Panics
///
/// If the store does not do what [`MailboxStore`] promises; the message says what was expected.
pub async fn store_suite(store: &dyn MailboxStore, user: &Identity) {
    first_names(store, user).await;
    messages(store, user).await;
    several_sessions(store, user).await;
    renaming(store, user).await;
    names::listing(store, user).await;
    names::special_uses(store, user).await;
    metadata::annotations(store, user).await;
    moving::several_at_once(store, user).await;
    moving::binary(store, user).await;
    moving::numbers(store, user).await;
    moving::moving(store, user).await;
    replacing::replacing(store, user).await;
    pieces::kept(store, user).await;
    pieces::catenated(store, user).await;
    rights::rights(store, user).await;
    limits::quota(store, user).await;
    sync::mod_seqs(store, user).await;
    sync::conditional(store, user).await;
    sync::vanished(store, user).await;
    sync::object_ids(store, user).await;
    sync::save_dates(store, user).await;
}

async fn listed(store: &dyn MailboxStore, user: &Identity, pattern: &str, subscribed: bool) -> Vec<String> {
    let mut list = List::new(pattern);
    list.lsub = subscribed;
    let listed = store.list(user, &list).await.expect("names are listed");
    let mut names: Vec<String> = listed.iter().map(|item| item.name.as_str().to_owned()).collect();
    names.sort();
    names
}

async fn first_names(store: &dyn MailboxStore, user: &Identity) {
    assert_eq!(listed(store, user, "*", false).await, ["INBOX"], "a new account has an INBOX and nothing else");
    store.create(user, &name("Suite/Täst/Deep"), &[]).await.expect("a deep name can be made");
    let error = store.create(user, &name("Suite/Täst/Deep"), &[]).await.expect_err("a name is made twice");
    assert_eq!(error.kind, StoreErrorKind::AlreadyExists);
    assert!(listed(store, user, "*", false).await.contains(&"Suite/Täst/Deep".into()), "what was made is listed");
    assert!(listed(store, user, "Suite/%/Deep", false).await.contains(&"Suite/Täst/Deep".into()));
    assert_eq!(listed(store, user, "%", false).await.iter().filter(|name| name.contains('/')).count(), 0);

    for missing in ["Missing", "Suite/Missing"] {
        let error = store.status(user, &name(missing), &[]).await.expect_err("the status of nothing");
        assert_eq!(error.kind, StoreErrorKind::NoSuchMailbox);
        assert!(store.open(user, &name(missing), true).await.is_err(), "nothing cannot be opened");
        assert!(store.delete(user, &name(missing)).await.is_err(), "nothing cannot be deleted");
        assert!(store.append(user, &name(missing), Append::default()).await.is_err(), "nothing takes no message");
    }
    assert!(store.delete(user, &MailboxName::inbox()).await.is_err(), "INBOX stays");

    // RFC 9051 §6.3.7: a subscription outlives its mailbox.
    store.subscribe(user, &name("Suite/Täst/Deep"), true).await.expect("a name can be subscribed");
    assert_eq!(listed(store, user, "*", true).await, ["Suite/Täst/Deep"]);
    let first = store.status(user, &name("Suite/Täst/Deep"), &[]).await.expect("it has a status").uid_validity;
    store.delete(user, &name("Suite/Täst/Deep")).await.expect("it can be deleted");
    assert!(store.status(user, &name("Suite/Täst/Deep"), &[]).await.is_err());
    assert_eq!(listed(store, user, "*", true).await, ["Suite/Täst/Deep"]);
    store.create(user, &name("Suite/Täst/Deep"), &[]).await.expect("the name is free again");
    let second = store.status(user, &name("Suite/Täst/Deep"), &[]).await.expect("it has a status").uid_validity;
    assert!(second > first, "a name that was used before gets a greater UIDVALIDITY: {second} after {first}");
    store.subscribe(user, &name("Suite/Täst/Deep"), false).await.expect("and taken off");
    assert_eq!(listed(store, user, "*", true).await, [] as [&str; 0]);
}

async fn messages(store: &dyn MailboxStore, user: &Identity) {
    let octets = b"Subject: one\r\n\r\nHello\r\n..\r\nbare \n and \r stay\r\n";
    let one = add(store, user, "INBOX", octets, &[Flag::Flagged]).await;
    let keyword = Flag::parse("$Forwarded").expect("a keyword");
    let two = add(store, user, "INBOX", b"Subject: two\r\n\r\nno line end", &[Flag::Seen, keyword.clone()]).await;
    let three = add(store, user, "INBOX", b"", &[]).await;
    assert!(one < two && two < three, "UIDs rise");

    let status = store.status(user, &MailboxName::inbox(), &[]).await.expect("INBOX has a status");
    assert_eq!((status.messages, status.unseen), (3, 2));
    assert!(status.uid_next > three);

    let mut inbox = store.open(user, &MailboxName::inbox(), false).await.expect("INBOX opens");
    let snapshot = inbox.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.uids, [one, two, three]);
    assert_eq!(snapshot.first_unseen, Some(one));
    assert_eq!(snapshot.uid_validity, status.uid_validity);
    let data = inbox.messages(&all()).await.expect("messages are told");
    assert_eq!(data[0].flags, flags(&[Flag::Flagged]));
    assert_eq!(data[0].size, octets.len() as u64);
    assert_eq!(data[0].internal_date.unix_seconds(), 1_234_567_890);
    assert_eq!(data[1].flags, flags(&[Flag::Seen, keyword]));
    let told = inbox.flags(&all()).await.expect("flags are told");
    let told: Vec<_> = told.into_iter().map(|message| (message.uid, message.flags, message.mod_seq)).collect();
    let known: Vec<_> = data.iter().map(|message| (message.uid, message.flags.clone(), message.mod_seq)).collect();
    assert_eq!(told, known, "flags alone are the same flags");
    let mut reader = inbox.read(one).await.expect("a message opens");
    assert_eq!(reader.size(), octets.len() as u64);
    assert_eq!(read_all(&mut *reader).await, octets, "a message reads back octet for octet");
    let mut part = [0; 5];
    assert_eq!(reader.read_at(16, &mut part).await.expect("a part is readable"), 5);
    assert_eq!(&part, b"Hello");
    assert_eq!(reader.read_at(9999, &mut part).await.expect("there is nothing behind the end"), 0);
    let mut most = vec![0; octets.len() + 100];
    let read = reader.read_at(7, &mut most).await.expect("as much as there is is readable");
    assert!(read > 0 && octets[7..].starts_with(&most[..read]), "octets come from where they were asked for");

    remembered(&mut *inbox, one, two).await;

    let set = |uid| UidSet::one(uid);
    let now = mark(&mut *inbox, one, FlagChange::Add, Flag::Seen).await;
    assert_eq!(now, [(one, flags(&[Flag::Flagged, Flag::Seen]))]);
    let now = mark(&mut *inbox, one, FlagChange::Remove, Flag::Flagged).await;
    assert_eq!(now, [(one, flags(&[Flag::Seen]))]);
    let now = mark(&mut *inbox, one, FlagChange::Replace, Flag::Draft).await;
    assert_eq!(now, [(one, flags(&[Flag::Draft]))]);

    store.create(user, &name("Copies"), &[]).await.expect("a target");
    let (validity, pairs) =
        inbox.copy(&all(), &name("Copies")).await.expect("messages are copied").known().expect("and their UIDs");
    assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), [one, two, three]);
    let mut copies = store.open(user, &name("Copies"), true).await.expect("the target opens");
    assert_eq!(copies.snapshot().await.expect("a snapshot").uid_validity, validity);
    let copied = copies.messages(&all()).await.expect("copies are told");
    assert_eq!(
        copied.iter().map(|message| message.uid).collect::<Vec<_>>(),
        pairs.iter().map(|pair| pair.1).collect::<Vec<_>>()
    );
    assert_eq!(copied[0].flags, flags(&[Flag::Draft]), "flags are copied");
    assert_eq!(copied[0].internal_date.unix_seconds(), 1_234_567_890, "dates are copied");
    assert!(
        copies.set_flags(&all(), &SetFlags::new(FlagChange::Add, flags(&[Flag::Deleted]))).await.is_err(),
        "it is open for reading"
    );
    assert!(inbox.copy(&all(), &name("Missing")).await.is_err(), "nothing takes no copies");

    mark(&mut *inbox, one, FlagChange::Add, Flag::Deleted).await;
    mark(&mut *inbox, three, FlagChange::Add, Flag::Deleted).await;
    let both: UidSet = [one, two].into_iter().collect();
    let what = SetFlags::new(FlagChange::Add, flags(&[Flag::Deleted]));
    let marked = inbox.set_flags(&both, &what).await.expect("flags are set");
    assert_eq!(marked.iter().map(|set| set.changed).collect::<Vec<_>>(), [false, true], "the first had it");
    mark(&mut *inbox, two, FlagChange::Remove, Flag::Deleted).await;
    assert_eq!(inbox.expunge(Some(&set(two))).await.expect("nothing of these is marked"), []);
    let mut held = inbox.read(one).await.expect("a message opens");
    assert_eq!(inbox.expunge(Some(&set(one))).await.expect("one is expunged"), [one]);
    assert_eq!(read_all(&mut *held).await, octets, "a reader stays readable while it is held");
    assert_eq!(inbox.expunge(None).await.expect("the rest is expunged"), [three]);
    assert_eq!(uids(&mut *inbox).await, [two]);
    match inbox.read(one).await {
        Err(error) => assert_eq!(error.kind, StoreErrorKind::Expunged),
        Ok(_) => panic!("an expunged message opens"),
    }
    let error = inbox.copy(&set(one), &name("Copies")).await.expect_err("what is gone is copied");
    assert_eq!(error.kind, StoreErrorKind::Expunged);
    let copies_before = uids(&mut *copies).await.len();
    let (_, pairs) = inbox
        .copy(&[one, two].into_iter().collect(), &name("Copies"))
        .await
        .expect("the rest is copied")
        .known()
        .expect("and their UIDs");
    assert_eq!(pairs.iter().map(|pair| pair.0).collect::<Vec<_>>(), [two], "what is gone is left out");
    copies.refresh().await.expect("a look");
    assert_eq!(uids(&mut *copies).await.len(), copies_before + 1);
    assert_eq!(inbox.messages(&set(one)).await.expect("nothing is told of what is gone"), []);
    assert_eq!(mark(&mut *inbox, one, FlagChange::Add, Flag::Seen).await, []);
    let four = add(store, user, "INBOX", b"x", &[]).await;
    assert!(four > three, "UIDs are not used again");

    // What is dropped or undone leaves nothing.
    let mut dropped = store.append(user, &MailboxName::inbox(), Append::default()).await.expect("an append begins");
    dropped.write(b"never").await.expect("octets are taken");
    dropped.prepare().await.expect("a message is prepared");
    drop(dropped);
    let mut undone = store.append(user, &MailboxName::inbox(), Append::default()).await.expect("an append begins");
    undone.publish().await.expect("a message is published");
    undone.undo().await.expect("and taken back");
    assert_eq!(uids(&mut *inbox).await, [two, four]);
}

/// What is remembered of a message is nothing, or what was computed of it.
async fn remembered(inbox: &mut dyn Mailbox, one: Uid, two: Uid) {
    let envelope = || (Piece::Envelope, b"(one)".to_vec());
    let subject = || (Piece::Field("subject".into()), b"Subject: one".to_vec());
    inbox.remember(vec![(one, vec![envelope()])]).await;
    inbox.remember(vec![(one, vec![subject()])]).await;
    let cached = inbox.cached(&[two, one], &[subject().0, envelope().0]).await.found;
    match cached.get(1).cloned().flatten() {
        Some(octets) => assert_eq!(octets, [subject().1, envelope().1], "in the order that was asked for"),
        None => assert!(!inbox.caches(), "what was remembered just now is not there"),
    }
    assert_eq!(cached.first().cloned().flatten(), None, "that is another message");
    let cached = inbox.cached(&[one], &[Piece::Envelope, Piece::Body]).await.found;
    assert_eq!(cached.first().cloned().flatten(), None, "one piece is missing");
}

async fn several_sessions(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Shared"), &[]).await.expect("a mailbox");
    let mut a = store.open(user, &name("Shared"), false).await.expect("it opens");
    let mut b = store.open(user, &name("Shared"), false).await.expect("it opens twice");
    assert_eq!(a.snapshot().await.expect("a snapshot").uids, []);
    assert_eq!(b.snapshot().await.expect("a snapshot").uids, []);

    let one = add(store, user, "Shared", b"one", &[]).await;
    let two = add(store, user, "Shared", b"two", &[]).await;
    let mut added = Vec::new();
    for change in b.changes().await.expect("waiting ends").into_iter().chain(b.refresh().await.expect("a look")) {
        match change {
            Change::Added { uids, .. } => added.extend(uids),
            // A store may tell the first flags of a message, and what the user may do.
            Change::Flags { .. } | Change::Rights(_) => {}
            other => panic!("only additions were made: {other:?}"),
        }
    }
    assert_eq!(added, [one, two], "a session hears of new messages in order");

    a.refresh().await.expect("a look");
    mark(&mut *a, one, FlagChange::Add, Flag::Deleted).await;
    a.expunge(None).await.expect("and expunged");
    let told = b.refresh().await.expect("a look");
    assert!(
        told.iter().any(|change| matches!(change, Change::Removed { uids, .. } if uids.contains(one))),
        "a session hears of what another expunged: {told:?}"
    );
    assert_eq!(b.refresh().await.expect("a look"), [], "and hears it once");

    a.refresh().await.expect("a look");
    mark(&mut *b, two, FlagChange::Replace, Flag::Answered).await;
    let told = a.refresh().await.expect("a look");
    let answered = flags(&[Flag::Answered]);
    let hears =
        |change: &Change| matches!(change, Change::Flags { uid, flags, .. } if *uid == two && *flags == answered);
    assert!(told.iter().any(hears), "a session hears of flags: {told:?}");

    if store.capabilities().keywords {
        let keyword = Flag::parse("NotSeenBefore").expect("a keyword");
        mark(&mut *b, two, FlagChange::Add, keyword.clone()).await;
        let told = a.refresh().await.expect("a look");
        let names =
            |change: &Change| matches!(change, Change::Keywords { keywords, .. } if keywords.contains(&keyword));
        let has = |change: &Change| matches!(change, Change::Flags { flags, .. } if flags.contains(&keyword));
        let (named, had) = (told.iter().position(names), told.iter().position(has));
        assert!(named.is_some() && named < had, "a keyword is told before flags in which it is: {told:?}");
        let three = add(store, user, "Shared", b"three", std::slice::from_ref(&keyword)).await;
        let told = a.refresh().await.expect("a look");
        assert!(!told.iter().any(names), "and once: {told:?}");
        assert!(three > two);
    }

    drop(a);
    store.delete(user, &name("Shared")).await.expect("it is deleted");
    let told = b.refresh().await;
    assert!(
        told.is_err() || told.is_ok_and(|told| told.contains(&Change::Gone)),
        "a session hears that its mailbox is gone"
    );
}

async fn renaming(store: &dyn MailboxStore, user: &Identity) {
    store.create(user, &name("Old/Child"), &[]).await.expect("a mailbox with a parent");
    let uid = add(store, user, "Old/Child", b"kept", &[]).await;
    store.rename(user, &name("Old"), &name("New")).await.expect("a name with children is renamed");
    assert!(store.status(user, &name("Old/Child"), &[]).await.is_err());
    let mut child = store.open(user, &name("New/Child"), true).await.expect("the child came along");
    assert_eq!(uids(&mut *child).await, [uid], "with its messages");
    assert!(store.rename(user, &name("New"), &name("New/Below")).await.is_err(), "not below itself");
    assert!(store.rename(user, &name("New"), &name("Copies")).await.is_err(), "not over another");

    let before = store.status(user, &MailboxName::inbox(), &[]).await.expect("INBOX has a status").messages;
    store.rename(user, &MailboxName::inbox(), &name("Was inbox")).await.expect("INBOX gives its messages away");
    assert_eq!(store.status(user, &MailboxName::inbox(), &[]).await.expect("and stays").messages, 0);
    assert_eq!(store.status(user, &name("Was inbox"), &[]).await.expect("they are there").messages, before);
}
