//! Who is let into whose mailboxes (RFC 4314): each case over mailboxes in memory and over Maildirs.
#![cfg(all(feature = "testing", feature = "maildir"))]

mod created;
mod everybody;
#[path = "../imap_support/mod.rs"]
mod imap_support;
mod kept_from_us;
mod meanwhile;
mod meddled;
mod names;
mod notes;
mod owner;
mod subscribed;
#[path = "../support/mod.rs"]
mod support;
mod uids;
mod unseen;
mod world;

use std::sync::Arc;

use pillarbox::parts::{Append, MailboxStore, SetFlags, StoreErrorKind};
use pillarbox::store::{AclSource, AclStore, MemoryStore};
use pillarbox::testing::store_suite;
use pillarbox_imap::acl::{Rights, RightsChange};
use pillarbox_imap::list::List;
use pillarbox_imap::metadata::{Depth, EntryName, WantedEntries};
use pillarbox_imap::server::{Change, FlagChange};
use pillarbox_imap::types::{Flag, Flags, MailboxName, SpecialUse, Uid, UidSet};

use world::{World, add, all, flags, flags_of, in_both_stores, in_maildirs, kind, name, user};

use StoreErrorKind::{Cannot, NoPermission, NoSuchMailbox, NotForThatUse};

in_both_stores! {
    what_i_may_not_know_of_is_not_there
    every_operation_takes_its_right
    rights_count_when_something_is_done
    rights_that_change_are_told
    flags_that_may_be_changed
    flags_that_come_along
    copies_from_one_account_to_another
    what_takes_the_place_of_another
    mailboxes_that_are_nobodys
    lists_tell_what_may_be_seen
    new_mailboxes_have_the_list_of_the_one_above
    no_use_in_the_account_of_another
    who_may_see_and_change_the_list
    what_is_taken_away
    notes_take_the_right_to_be_there
    mail_takes_the_right_to_post
}

#[tokio::test]
async fn the_owner_notices_nothing_in_memory() {
    let store = AclStore::new(MemoryStore::new().with_quota(Some(1 << 20), None)).other_users(name("Other Users"));
    store_suite(&store, &user("you@localhost")).await;
}

#[tokio::test]
async fn the_owner_notices_nothing_in_a_maildir() {
    let dir = tempfile::tempdir().unwrap();
    let store = AclStore::new(in_maildirs(dir.path())).other_users(name("Other Users"));
    store_suite(&store, &user("you@localhost")).await;
}

/// The commands, from the socket to the lists.
#[tokio::test]
async fn over_imap() {
    let world = World::new(MemoryStore::new()).await;
    let you = user(imap_support::YOU);
    let store = Arc::new(world.store.clone());
    let server = imap_support::Server::over(store);
    let mut client = server.client().await;
    let capabilities = client.ok("CAPABILITY").await;
    assert!(capabilities.contains(" ACL ") && capabilities.contains(" RIGHTS=kxte"), "{capabilities}");
    let told = client.ok("NAMESPACE").await;
    assert!(told.contains("* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"Shared/\" \"/\"))\r\n"), "{told}");
    client.ok("CREATE Mine").await;
    client.ok("SETACL Mine bob lrk").await;
    let told = client.ok("GETACL Mine").await;
    assert!(told.contains(&format!("* ACL Mine {you} lrswipkxteacd bob lrkc\r\n")), "{told}");
    let told = client.ok("LISTRIGHTS Mine bob").await;
    assert!(told.contains("* LISTRIGHTS Mine bob \"\" l r s w i p k x t e a c d\r\n"), "{told}");
    let told = client.ok("LISTRIGHTS Mine anyone").await;
    assert!(told.contains("* LISTRIGHTS Mine anyone \"\"\r\n"), "{told}");
    assert!(client.ok("MYRIGHTS Mine").await.contains("* MYRIGHTS Mine lrswipkxteacd\r\n"));
    client.ok("DELETEACL Mine bob").await;
    let missing = client.say("SELECT \"Other Users/ann/Missing\"").await;
    let forbidden = client.say("SELECT \"Other Users/ann/Work\"").await;
    let behind_tag = |answer: &str| answer.trim_end().split_once(' ').map(|(_, rest)| rest.to_owned());
    assert_eq!(behind_tag(&missing), behind_tag(&forbidden), "not a letter tells them apart");
    let append = |mailbox: &str| format!("APPEND \"{mailbox}\" {{1+}}\r\nx");
    client.fails(&append("Other Users/ann/Work"), "NO [TRYCREATE]").await;
    client.fails(&append("Other Users/ann/Missing"), "NO [TRYCREATE]").await;
    world.add("Work", &[]).await;
    world.store.set_acl(&world.ann, &name("Work"), you.user(), RightsChange::parse("lr")).await.unwrap();
    let told = client.ok("SELECT \"Other Users/ann/Work\"").await;
    assert!(told.contains("[PERMANENTFLAGS ()]") && told.contains("[READ-ONLY]"), "{told}");
    let told = client.ok("FETCH 1 BODY[]").await;
    assert!(told.contains("hello") && !told.contains("\\Seen"), "{told}");
    world.store.set_acl(&world.ann, &name("Work"), you.user(), RightsChange::parse("lrs")).await.unwrap();
    client.ok("SELECT \"Other Users/ann/Work\"").await;
    client.ok("STORE 1 +FLAGS (\\Seen \\Deleted)").await;
    client.fails("STORE 1 +FLAGS (\\Deleted)", "NO [NOPERM]").await;
    client.fails("EXPUNGE", "NO [NOPERM]").await;
    client.ok("CLOSE").await;
}

/// ACL-01: whatever bob tries, a mailbox of ann's, one that she does not have, and an account that is none look the same.
async fn what_i_may_not_know_of_is_not_there<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob) = (&world.store, &world.bob);
    world.add("Work", &[]).await;
    // Rights without `l` that are not those which are needed show nothing either.
    for granted in ["", "p", "kp"] {
        world.grant(granted).await;
        for mailbox in ["Other Users/ann/Work", "Other Users/ann/Missing", "Other Users/nobody/Work", "Other Users/ann"]
        {
            let (mailbox, text) = (name(mailbox), mailbox);
            assert_eq!(kind(store.status(bob, &mailbox, &[]).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(store.open(bob, &mailbox, false).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(store.open(bob, &mailbox, true).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(add(store, bob, text, &[]).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(store.delete(bob, &mailbox).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(store.rename(bob, &mailbox, &name("Mine")).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(store.acl(bob, &mailbox).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(kind(store.grantable(bob, &mailbox, "bob").await), Some(NoSuchMailbox), "{text} {granted}");
            let change = RightsChange::parse("+lr");
            assert_eq!(
                kind(store.set_acl(bob, &mailbox, "bob", change).await),
                Some(NoSuchMailbox),
                "{text} {granted}"
            );
            assert_eq!(kind(store.set_acl(bob, &mailbox, "ann", None).await), Some(NoSuchMailbox), "{text} {granted}");
            assert_eq!(world.listed(bob, text).await, [] as [&str; 0], "{text} {granted}");
        }
        let below = name("Other Users/ann/Work/New");
        if !granted.contains('k') {
            assert_eq!(kind(store.create(bob, &below, &[]).await), Some(NoSuchMailbox), "{granted}");
            assert_eq!(kind(store.rights(bob, &world.work()).await), Some(NoSuchMailbox), "{granted}");
        }
        for pattern in ["*", "Other Users/*", "Other Users/ann/*", "Other Users/ann/W%"] {
            let listed = world.listed(bob, pattern).await;
            assert!(!listed.iter().any(|listed| listed.contains("Work")), "{pattern}: {listed:?}");
        }
        let mut mine = world.open(bob, &MailboxName::inbox()).await;
        add(store, bob, "INBOX", &[]).await.unwrap();
        for target in ["Other Users/ann/Work", "Other Users/ann/Missing"] {
            assert_eq!(kind(mine.copy(&all(), &name(target)).await), Some(NoSuchMailbox), "{target}");
            assert_eq!(kind(mine.move_to(&all(), &name(target)).await), Some(NoSuchMailbox), "{target}");
        }
    }
    let subscribed = name("Other Users/ann/Work");
    store.subscribe(bob, &subscribed, true).await.unwrap();
    let mut list = List::new("*");
    (list.subscribed, list.extended) = (true, true);
    let told = store.list(bob, &list).await.unwrap();
    let told = told.iter().find(|listed| listed.name == subscribed).expect("a subscription is told");
    assert!(!told.is_selectable(), "and is no proof that there is such a mailbox");
}

/// RFC 5464 §3.3: it takes `l` and one of `r`, `s`, `w`, `i` and `p`, whatever is done; and everybody has private ones of their own.
async fn notes_take_the_right_to_be_there<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob, work) = (&world.store, &world.ann, &world.bob, world.work());
    let entry = |name: &str| EntryName::parse(name).unwrap();
    let all = WantedEntries { names: vec![entry("/private"), entry("/shared")], depth: Depth::Infinity };
    let change = |name: &str, value: &str| [(entry(name), Some(value.as_bytes().to_vec()))];
    let told = async |who, mailbox: &MailboxName| {
        let entries = store.metadata(who, Some(mailbox), &all).await.unwrap();
        let text = |(name, value): &(EntryName, Vec<u8>)| format!("{name}={}", String::from_utf8_lossy(value));
        entries.iter().map(text).collect::<Vec<_>>()
    };
    for (granted, refused) in
        [("", NoSuchMailbox), ("rswip", NoSuchMailbox), ("l", NoPermission), ("lkxtea", NoPermission)]
    {
        world.grant(granted).await;
        assert_eq!(kind(store.metadata(bob, Some(&work), &all).await), Some(refused), "{granted}");
        let set = store.set_metadata(bob, Some(&work), &change("/private/comment", "x")).await;
        assert_eq!(kind(set), Some(refused), "{granted}");
    }
    let missing = name("Other Users/ann/Missing");
    assert_eq!(kind(store.metadata(bob, Some(&missing), &all).await), Some(NoSuchMailbox));
    for granted in ["lr", "ls", "lw", "li", "lp"] {
        world.grant(granted).await;
        store.set_metadata(bob, Some(&work), &change("/private/comment", granted)).await.unwrap();
        store.set_metadata(bob, Some(&work), &change("/shared/comment", granted)).await.unwrap();
        assert_eq!(
            told(bob, &work).await,
            [format!("/private/comment={granted}"), format!("/shared/comment={granted}")]
        );
    }
    store.set_metadata(ann, Some(&name("Work")), &change("/private/comment", "ann's")).await.unwrap();
    assert_eq!(told(bob, &work).await, ["/private/comment=lp", "/shared/comment=lp"]);
    assert_eq!(told(ann, &name("Work")).await, ["/private/comment=ann's", "/shared/comment=lp"]);
    // What her mailboxes are for is hers to say and to know (RFC 6154 §7).
    let special = change("/private/specialuse", "\\Junk");
    assert_eq!(kind(store.set_metadata(bob, Some(&work), &special).await), Some(NotForThatUse));
    store.set_metadata(ann, Some(&name("Work")), &special).await.unwrap();
    assert_eq!(told(ann, &name("Work")).await.len(), 3);
    assert_eq!(told(bob, &work).await.len(), 2);
    // One who is let in leaves room for others.
    let many: Vec<_> = (0..200).map(|number| (entry(&format!("/private/{number}")), Some(Vec::new()))).collect();
    let set = store.set_metadata(bob, Some(&work), &many).await;
    assert_eq!(kind(set), Some(StoreErrorKind::TooManyAnnotations));
    // The server's are one's own.
    store.set_metadata(bob, None, &change("/private/vendor/x/y", "bob's")).await.unwrap();
    assert_eq!(store.metadata(ann, None, &all).await.unwrap(), []);
    assert_eq!(kind(store.set_metadata(bob, None, &change("/shared/comment", "x")).await), Some(NoPermission));
}

/// RFC 4314 §4, row by row: with all rights but the one that is needed it is refused, and with that one alone it is done.
async fn every_operation_takes_its_right<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob, work) = (&world.store, &world.bob, world.work());
    let without = |letter: char| Rights::ALL.to_string().replace(letter, "");
    world.grant(&without('r')).await;
    assert_eq!(kind(store.open(bob, &work, true).await), Some(NoPermission));
    assert_eq!(kind(store.status(bob, &work, &[]).await), Some(NoPermission));
    world.grant("r").await;
    store.status(bob, &work, &[]).await.unwrap();
    let mut open = world.open(bob, &work).await;
    world.grant(&without('i')).await;
    assert_eq!(kind(add(store, bob, work.as_str(), &[]).await), Some(NoPermission));
    world.grant("i").await;
    add(store, bob, work.as_str(), &[Flag::Deleted]).await.unwrap();
    world.add("Work", &[Flag::Deleted]).await;
    world.grant(&without('e')).await;
    assert_eq!(kind(open.expunge(None).await), Some(NoPermission));
    // Who has it open knows that it is there, also where it is not listed.
    world.grant("r").await;
    assert_eq!(kind(open.expunge(None).await), Some(NoPermission));
    assert_eq!(kind(add(store, bob, work.as_str(), &[]).await), Some(NoSuchMailbox), "by its name it is not");
    world.grant("re").await;
    assert_eq!(open.expunge(None).await.unwrap().len(), 1, "the other lost its flag on the way");
    let below = name("Other Users/ann/Work/Below");
    world.grant(&without('k')).await;
    assert_eq!(kind(store.create(bob, &below, &[]).await), Some(NoPermission));
    world.grant("k").await;
    store.create(bob, &below, &[]).await.unwrap();
    let inherited = store.acl(&world.ann, &name("Work/Below")).await.unwrap();
    assert_eq!(inherited[1].rights, Rights::CREATE);
    store.set_acl(&world.ann, &name("Work/Below"), "bob", RightsChange::parse(&without('x'))).await.unwrap();
    assert_eq!(kind(store.delete(bob, &below).await), Some(NoPermission));
    let renamed = name("Other Users/ann/Work/Renamed");
    assert_eq!(kind(store.rename(bob, &below, &renamed).await), Some(NoPermission));
    store.set_acl(&world.ann, &name("Work/Below"), "bob", RightsChange::parse("x")).await.unwrap();
    store.rename(bob, &below, &renamed).await.unwrap();
    assert_eq!(kind(store.rename(bob, &renamed, &name("Mine")).await), Some(Cannot), "it stays in its account");
    world.grant("").await;
    assert_eq!(kind(store.rename(bob, &renamed, &below).await), Some(NoSuchMailbox), "the other needs `k` above");
    store.delete(bob, &renamed).await.unwrap();
    for letters in ["l", "r", "i", "k", "x", "a"] {
        world.grant(letters).await;
        assert_eq!(store.rights(bob, &work).await.unwrap().to_string(), letters, "any of these shows my rights");
    }
}

/// ACL: rights are looked at when something is done, also in a mailbox that is open.
async fn rights_count_when_something_is_done<S: AclSource + Clone + 'static>(world: World<S>) {
    let uid = UidSet::one(world.add("Work", &[]).await);
    world.grant("lrswite").await;
    let mut open = world.open(&world.bob, &world.work()).await;
    assert_eq!(open.messages(&all()).await.unwrap().len(), 1);
    world.grant("lr").await;
    let seen = SetFlags::new(FlagChange::Add, flags(&[Flag::Seen]));
    assert_eq!(kind(open.set_flags(&uid, &seen).await), Some(NoPermission));
    assert_eq!(kind(open.expunge(None).await), Some(NoPermission));
    assert_eq!(kind(open.move_to(&uid, &name("INBOX")).await), Some(NoPermission));
    open.copy(&uid, &name("INBOX")).await.unwrap();
    world.add("Work", &[]).await;
    world.grant("l").await;
    assert_eq!(kind(open.messages(&all()).await), Some(NoPermission));
    assert_eq!(kind(open.read(Uid::MIN).await), Some(NoPermission));
    assert_eq!(kind(open.flags(&all()).await), Some(NoPermission));
    assert_eq!(kind(open.copy(&uid, &name("INBOX")).await), Some(NoPermission));
    assert_eq!(open.refresh().await.unwrap(), [Change::Gone], "and nothing is told of what came meanwhile");
    world.add("Work", &[]).await;
    assert_eq!(open.changes().await.unwrap(), [Change::Gone]);
    world.grant("").await;
    assert_eq!(kind(open.messages(&all()).await), Some(NoSuchMailbox));
}

/// RFC 4314 §5.1.1: a session hears what its user may do when that changes.
async fn rights_that_change_are_told<S: AclSource + Clone + 'static>(world: World<S>) {
    world.grant("lrs").await;
    let mut open = world.open(&world.bob, &world.work()).await;
    assert_eq!(open.refresh().await.unwrap(), [], "the snapshot has told them");
    world.grant("lrst").await;
    let told = Change::Rights(Rights::parse("lrst").unwrap());
    assert_eq!(open.refresh().await.unwrap(), [told]);
    assert_eq!(open.refresh().await.unwrap(), [], "and once");
}

/// RFC 4314 §4, STORE; §5.1.1: what the client is told of it.
async fn flags_that_may_be_changed<S: AclSource + Clone + 'static>(world: World<S>) {
    world.add("Work", &[Flag::Flagged]).await;
    world.add("Work", &[Flag::Seen]).await;
    world.grant("lrs").await;
    let mut open = world.store.open(&world.bob, &world.work(), false).await.unwrap();
    assert_eq!(open.snapshot().await.unwrap().rights, Some(Rights::parse("lrs").unwrap()));
    let what = |change, list: &[Flag]| SetFlags::new(change, flags(list));
    // With a right for some of them, these are changed.
    open.set_flags(&all(), &what(FlagChange::Add, &[Flag::Seen, Flag::Deleted, Flag::Draft])).await.unwrap();
    assert_eq!(flags_of(&mut *open).await, [flags(&[Flag::Flagged, Flag::Seen]), flags(&[Flag::Seen])]);
    open.set_flags(&all(), &what(FlagChange::Replace, &[Flag::Deleted])).await.unwrap();
    assert_eq!(flags_of(&mut *open).await, [flags(&[Flag::Flagged]), Flags::new()], "what may not change stays");
    for (letters, flag) in [("t", Flag::Seen), ("s", Flag::Deleted), ("st", Flag::Flagged), ("te", Flag::Draft)] {
        world.grant(&format!("lr{letters}")).await;
        for change in [FlagChange::Add, FlagChange::Remove] {
            let refused = open.set_flags(&all(), &what(change, std::slice::from_ref(&flag))).await;
            assert_eq!(kind(refused), Some(NoPermission), "{letters} {flag}");
        }
    }
    world.grant("lr").await;
    assert_eq!(kind(open.set_flags(&all(), &what(FlagChange::Replace, &[])).await), Some(NoPermission));
    world.grant("lrw").await;
    open.set_flags(&all(), &what(FlagChange::Replace, &[Flag::Draft, Flag::Seen])).await.unwrap();
    assert_eq!(flags_of(&mut *open).await, [flags(&[Flag::Draft]), flags(&[Flag::Draft])]);
}

/// RFC 4314 §4, APPEND and COPY: the message comes, and of its flags those that may be set.
async fn flags_that_come_along<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob) = (&world.store, &world.bob);
    let mixed = [Flag::Draft, Flag::Deleted, Flag::Seen];
    world.grant("lrwis").await;
    add(store, bob, world.work().as_str(), &mixed).await.unwrap();
    world.grant("lrsti").await;
    let mut append = Append::default();
    append.flags = flags(&mixed);
    let mut incoming = store.append(bob, &world.work(), append.clone()).await.unwrap();
    incoming.next(append).await.unwrap();
    incoming.publish().await.unwrap();
    add(store, bob, "INBOX", &mixed).await.unwrap();
    let mut mine = world.open(bob, &MailboxName::inbox()).await;
    mine.copy(&all(), &world.work()).await.unwrap();
    let mut open = world.open(bob, &world.work()).await;
    let without_w = flags(&[Flag::Deleted, Flag::Seen]);
    let expected = [flags(&[Flag::Draft, Flag::Seen]), without_w.clone(), without_w.clone(), without_w.clone()];
    assert_eq!(flags_of(&mut *open).await, expected);
    // Within one account as well.
    store.create(&world.ann, &name("Work/Sub"), &[]).await.unwrap();
    store.set_acl(&world.ann, &name("Work/Sub"), "bob", RightsChange::parse("lri")).await.unwrap();
    open.copy(&all(), &name("Other Users/ann/Work/Sub")).await.unwrap();
    let mut sub = world.open(bob, &name("Other Users/ann/Work/Sub")).await;
    assert_eq!(flags_of(&mut *sub).await, vec![Flags::new(); 4]);
}

async fn copies_from_one_account_to_another<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob) = (&world.store, &world.bob);
    world.grant("lrswite").await;
    let uids = [world.add("Work", &[Flag::Seen]).await, world.add("Work", &[]).await, world.add("Work", &[]).await];
    let mut open = world.open(bob, &world.work()).await;
    store.create(bob, &name("Here"), &[]).await.unwrap();
    let (_, pairs) = open.copy(&UidSet::one(uids[0]), &name("Here")).await.unwrap().known().unwrap();
    assert_eq!(pairs.len(), 1);
    let two: UidSet = uids[1..].iter().copied().collect();
    let (_, pairs) = open.move_to(&two, &name("Here")).await.unwrap().known().unwrap();
    assert_eq!(pairs.iter().map(|(here, _)| *here).collect::<Vec<_>>(), uids[1..]);
    let mut here = world.open(bob, &name("Here")).await;
    assert_eq!(flags_of(&mut *here).await, [flags(&[Flag::Seen]), Flags::new(), Flags::new()]);
    let mut octets = [0; 64];
    let count = here.read(pairs[0].1).await.unwrap().read_at(0, &mut octets).await.unwrap();
    assert_eq!(&octets[..count], b"Subject: x\r\n\r\nhello\r\n");
    assert_eq!(open.messages(&all()).await.unwrap().len(), 1, "what was moved is gone");
    assert_eq!(kind(open.copy(&two, &name("Here")).await), Some(StoreErrorKind::Expunged));
    let mut for_reading = store.open(bob, &world.work(), true).await.unwrap();
    assert_eq!(kind(for_reading.move_to(&all(), &name("Here")).await), Some(Cannot));
    assert_eq!(here.messages(&all()).await.unwrap().len(), 3, "and nothing was copied for it");
}

/// RFC 8508: it takes what APPEND, STORE and EXPUNGE would.
async fn what_takes_the_place_of_another<S: AclSource + Clone + 'static>(world: World<S>) {
    world.grant("lrswite").await;
    let uid = world.add("Work", &[]).await;
    let (mut open, work) = (world.open(&world.bob, &world.work()).await, world.work());
    let mut append = Append::default();
    append.flags = flags(&[Flag::Draft, Flag::Seen]);
    for letters in ["lrswit", "lrswie", "lrswte"] {
        world.grant(letters).await;
        assert_eq!(kind(open.replace(uid, &work, append.clone()).await), Some(NoPermission), "{letters}");
    }
    world.grant("lrsite").await;
    assert_eq!(kind(open.replace(uid, &name("INBOX"), append.clone()).await), Some(Cannot), "it stays in its account");
    open.replace(uid, &work, append).await.unwrap().publish().await.unwrap();
    open.refresh().await.unwrap();
    assert_eq!(flags_of(&mut *open).await, [flags(&[Flag::Seen])]);
}

/// Two users and a tree that belongs to neither.
async fn mailboxes_that_are_nobodys<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob) = (&world.store, &world.ann, &world.bob);
    let team = name("Shared/Team");
    assert_eq!(kind(store.create(bob, &team, &[]).await), Some(NoSuchMailbox), "the list of the top says who may");
    store.create(ann, &team, &[]).await.unwrap();
    assert_eq!(store.acl(ann, &team).await.unwrap()[0].identifier, "ann", "there is no owner");
    assert_eq!(kind(store.status(bob, &team, &[]).await), Some(NoSuchMailbox));
    store.set_acl(ann, &team, "authenticated", RightsChange::parse("lri")).await.unwrap();
    add(store, bob, "Shared/Team", &[]).await.unwrap();
    add(store, ann, "Shared/Team", &[]).await.unwrap();
    let mut open = world.open(bob, &team).await;
    assert_eq!(open.messages(&all()).await.unwrap().len(), 2);
    add(store, ann, "Shared/Team", &[]).await.unwrap();
    open.refresh().await.unwrap();
    assert_eq!(open.messages(&all()).await.unwrap().len(), 3, "each sees what the other put there");
    assert_eq!(kind(store.set_acl(bob, &team, "bob", RightsChange::parse("+a")).await), Some(NoPermission));
    assert_eq!(kind(store.delete(bob, &team).await), Some(NoPermission));
    assert_eq!(kind(store.acl(bob, &team).await), Some(NoPermission));
    store.delete(ann, &team).await.unwrap();
    store.create(ann, &team, &[]).await.unwrap();
    assert_eq!(kind(store.status(bob, &team, &[]).await), Some(NoSuchMailbox), "the list went with the mailbox");
}

async fn lists_tell_what_may_be_seen<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob) = (&world.store, &world.bob);
    store.create(&world.ann, &name("Work/Hidden/Deep"), &[]).await.unwrap();
    store.create(&world.ann, &name("Shared/Team"), &[]).await.unwrap();
    store.create(&world.ann, &name("Shared/Secret"), &[]).await.unwrap();
    store.set_acl(&world.ann, &name("Shared/Team"), "bob", RightsChange::parse("l")).await.unwrap();
    assert_eq!(world.listed(bob, "*").await, ["INBOX", "Shared", "Shared/Team"]);
    assert_eq!(world.listed(bob, "Other Users/ann/*").await, [] as [&str; 0]);
    store.set_acl(&world.ann, &name("Work/Hidden/Deep"), "bob", RightsChange::parse("l")).await.unwrap();
    // Levels above it lead there, and are no mailboxes for bob.
    let mut list = List::new("Other Users/ann/*");
    list.extended = true;
    let listed = store.list(bob, &list).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|listed| (listed.name.as_str(), listed.is_selectable())).collect();
    let below = "Other Users/ann/Work";
    let deep = format!("{below}/Hidden/Deep");
    assert_eq!(listed, [(below, false), (&*format!("{below}/Hidden"), false), (&*deep, true)]);
    assert_eq!(world.listed(bob, "*").await, ["INBOX", "Shared", "Shared/Team"], "nobody named her");
    store.subscribe(bob, &name(&deep), true).await.unwrap();
    assert!(world.listed(bob, "*").await.contains(&deep), "a subscription does");
    assert_eq!(world.listed(bob, "%").await, ["INBOX", "Other Users", "Shared"]);
    let namespace = store.namespace().unwrap();
    assert_eq!(
        (namespace.other_users.as_deref(), namespace.shared.as_deref()),
        (Some("Other Users/"), Some("Shared/"))
    );
}

/// An account may have folders that are named as what lies beside it: from before its mailboxes were shared, or made by another
/// program. Under such names everybody means the account of somebody else.
async fn own_mailboxes_that_nobody_can_reach(source: impl AclSource + Clone + 'static) {
    let bob = user("bob");
    for mailbox in ["Other Users", "Other Users/ann", "Other Users/ann/Work", "Shared/Mine", "Sharedx", "Work"] {
        let made = source.create(&bob, &name(mailbox), &[]).await;
        assert!(matches!(kind(made), None | Some(StoreErrorKind::AlreadyExists)), "{mailbox}");
    }
    source.subscribe(&bob, &name("Other Users/ann/Work"), true).await.unwrap();
    let world = World::new(source).await;
    for pattern in ["*", "%", "Other Users*", "Other Users/*", "Other Users/ann/*", "Shared/*", "Shared/Mine"] {
        let listed = world.store.list(&bob, &List::new(pattern)).await.unwrap();
        let listed = listed.iter().filter(|listed| listed.is_selectable());
        let listed: Vec<&str> = listed.map(|listed| listed.name.as_str()).collect();
        let own: &[&str] = if ["*", "%"].contains(&pattern) { &["INBOX", "Sharedx", "Work"] } else { &[] };
        assert_eq!(listed, own, "{pattern}");
    }
    let mut subscribed = List::new("*");
    subscribed.subscribed = true;
    let told = world.store.list(&bob, &subscribed).await.unwrap();
    assert_eq!(told.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>(), ["Other Users/ann/Work"]);
    world.grant("lr").await;
    assert!(world.listed(&bob, "*").await.contains(&"Other Users/ann/Work".to_owned()), "now it is hers");
}

#[tokio::test]
async fn own_mailboxes_that_nobody_can_reach_in_memory() {
    own_mailboxes_that_nobody_can_reach(MemoryStore::new()).await;
}

#[tokio::test]
async fn own_mailboxes_that_nobody_can_reach_in_a_maildir() {
    let dir = tempfile::tempdir().unwrap();
    own_mailboxes_that_nobody_can_reach(in_maildirs(dir.path())).await;
}

async fn new_mailboxes_have_the_list_of_the_one_above<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann) = (&world.store, &world.ann);
    world.grant("lr").await;
    store.create(ann, &name("Work/New"), &[]).await.unwrap();
    store.status(&world.bob, &name("Other Users/ann/Work/New"), &[]).await.unwrap();
    store.set_acl(ann, &MailboxName::inbox(), "bob", RightsChange::parse("lr")).await.unwrap();
    store.create(ann, &name("Private"), &[]).await.unwrap();
    assert_eq!(kind(store.status(&world.bob, &name("Other Users/ann/Private"), &[]).await), Some(NoSuchMailbox));
    store.rename(ann, &name("Work"), &name("Old")).await.unwrap();
    store.status(&world.bob, &name("Other Users/ann/Old"), &[]).await.expect("a list goes where its mailbox goes");
}

/// Where ann's programs put what she sends is not for others to say, whatever they may make.
async fn no_use_in_the_account_of_another<S: AclSource + Clone + 'static>(world: World<S>) {
    world.grant("lrk").await;
    let (sent, mine) = ([SpecialUse::Sent], name("Other Users/ann/Work/Sent"));
    assert_eq!(kind(world.store.create(&world.bob, &mine, &sent).await), Some(NotForThatUse));
    world.store.create(&world.bob, &mine, &[]).await.unwrap();
    world.store.create(&world.ann, &name("Sent"), &sent).await.unwrap();
}

/// ACL-02: GETACL, SETACL, DELETEACL and LISTRIGHTS are for those who have the right `a`.
async fn who_may_see_and_change_the_list<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob, work) = (&world.store, &world.ann, &world.bob, world.work());
    world.grant("lrswipkxte").await;
    assert_eq!(kind(store.acl(bob, &work).await), Some(NoPermission));
    assert_eq!(kind(store.grantable(bob, &work, "ann").await), Some(NoPermission));
    for change in ["+a", "lr", "-l"] {
        assert_eq!(kind(store.set_acl(bob, &work, "bob", RightsChange::parse(change)).await), Some(NoPermission));
    }
    assert_eq!(kind(store.set_acl(bob, &work, "ann", None).await), Some(NoPermission));
    world.grant("a").await;
    store.set_acl(bob, &work, "eve", RightsChange::parse("+l")).await.unwrap();
    let told = store.acl(bob, &work).await.unwrap();
    let told: Vec<_> = told.iter().map(|entry| format!("{} {}", entry.identifier, entry.rights)).collect();
    assert_eq!(told, ["ann lrswipkxtea", "bob a", "eve l"]);
    let to_owner = store.grantable(bob, &work, "ann").await.unwrap();
    assert_eq!(to_owner.required, Rights::LOOKUP | Rights::ADMIN);
    assert_eq!(to_owner.optional.len(), 9);
    assert_eq!(store.grantable(bob, &work, "eve").await.unwrap().required, Rights::NONE);
    // The owner can be kept from everything but this.
    store.set_acl(bob, &work, "ann", RightsChange::parse("")).await.unwrap();
    assert_eq!(store.rights(ann, &name("Work")).await.unwrap(), Rights::LOOKUP | Rights::ADMIN);
    assert_eq!(kind(store.open(ann, &name("Work"), true).await), Some(NoPermission));
    store.set_acl(ann, &name("Work"), "ann", None).await.unwrap();
    assert_eq!(store.rights(ann, &name("Work")).await.unwrap(), Rights::ALL);
    store.set_acl(ann, &name("Work"), "eve", None).await.unwrap();
    assert_eq!(store.acl(ann, &name("Work")).await.unwrap().len(), 2);
    assert_eq!(kind(store.acl(ann, &name("Missing")).await), Some(NoSuchMailbox));
    assert_eq!(kind(store.rights(ann, &name("Missing")).await), Some(NoSuchMailbox));
    assert_eq!(kind(store.set_acl(ann, &name("Missing"), "bob", RightsChange::parse("l")).await), Some(NoSuchMailbox));
    for wrong in ["", "-", "#global", "a\nb"] {
        let change = RightsChange::parse("l");
        assert_eq!(kind(store.set_acl(ann, &name("Work"), wrong, change).await), Some(Cannot), "{wrong:?}");
    }
}

/// RFC 4314 §2: rights that are taken away count more than those that are given.
async fn what_is_taken_away<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, ann, bob) = (&world.store, &world.ann, &world.bob);
    world.grant("lrswi").await;
    store.set_acl(ann, &name("Work"), "-bob", RightsChange::parse("wi")).await.unwrap();
    assert_eq!(store.rights(bob, &world.work()).await.unwrap().to_string(), "lrs");
    assert_eq!(kind(add(store, bob, world.work().as_str(), &[]).await), Some(NoPermission));
    store.set_acl(ann, &name("Work"), "-bob", RightsChange::parse("+l")).await.unwrap();
    assert_eq!(kind(add(store, bob, world.work().as_str(), &[]).await), Some(NoSuchMailbox));
    assert_eq!(world.listed(bob, "Other Users/ann/*").await, [] as [&str; 0]);
    store.set_acl(ann, &name("Work"), "-bob", None).await.unwrap();
    assert_eq!(store.rights(bob, &world.work()).await.unwrap().to_string(), "lrswi");
}

/// ACL-03: mail is delivered where it may be posted, and refused elsewhere.
async fn mail_takes_the_right_to_post<S: AclSource + Clone + 'static>(world: World<S>) {
    let (store, bob, work) = (&world.store, &world.bob, world.work());
    let deliver = async |mailbox: &MailboxName| {
        let mut append = Append::default();
        append.delivery = true;
        store.append(bob, mailbox, append).await?.publish().await
    };
    world.grant("lri").await;
    assert_eq!(kind(deliver(&work).await), Some(NoPermission));
    assert_eq!(kind(store.room(bob, &work, 1).await), Some(NoPermission));
    deliver(&MailboxName::inbox()).await.expect("the own INBOX takes it");
    world.grant("p").await;
    store.room(bob, &work, 1).await.unwrap();
    deliver(&work).await.unwrap();
    assert_eq!(store.status(&world.ann, &name("Work"), &[]).await.unwrap().messages, 1);
}
