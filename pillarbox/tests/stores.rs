//! The suite for mailbox stores, run on those that ship.
#![cfg(all(feature = "testing", feature = "maildir"))]

use pillarbox::maildir::{Layout, Quota, QuotaRules, TreeOptions};
use pillarbox::parts::{Append, Identity, MailboxStore, SetFlags, StoreErrorKind};
use pillarbox::store::{MaildirStore, MemoryStore};
use pillarbox::testing::store_suite;
use pillarbox_imap::list::List;
use pillarbox_imap::server::FlagChange;
use pillarbox_imap::types::{Flag, MailboxName, Separator, SpecialUse, Uid, UidSet};

#[tokio::test]
async fn memory() {
    store_suite(&MemoryStore::new(), &Identity::new("you@localhost")).await;
}

const OCTETS_MAX: u64 = 1 << 20;

#[tokio::test]
async fn memory_with_a_quota() {
    for (octets, messages) in [(Some(OCTETS_MAX), Some(1000)), (Some(OCTETS_MAX), None), (None, Some(1000))] {
        let store = MemoryStore::new().with_quota(octets, messages);
        store_suite(&store, &Identity::new("you@localhost")).await;
    }
}

#[tokio::test]
async fn maildir_with_a_quota() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let rules = QuotaRules::new(Quota { bytes: Some(OCTETS_MAX), messages: Some(1000) });
    let folder = move |account: &Identity| Some(root.join(account.user()).join("Maildir"));
    let store = MaildirStore::with_quotas(folder, move |_| Some(rules.clone()));
    store_suite(&store, &Identity::new("you@localhost")).await;
}

/// What was expunged is remembered within limits; a client that asks for more hears of everything that is not there.
#[tokio::test]
async fn a_long_absence() {
    let (store, user, inbox) = (MemoryStore::new(), Identity::new("you@localhost"), MailboxName::inbox());
    let add = async |count: u32| {
        let mut incoming = store.append(&user, &inbox, Append::default()).await.unwrap();
        for _ in 1..count {
            incoming.next(Append::default()).await.unwrap();
        }
        incoming.publish().await.unwrap();
    };
    let mut open = store.open(&user, &inbox, false).await.unwrap();
    let deleted = SetFlags::new(FlagChange::Add, [Flag::Deleted].into_iter().collect());
    let uids = |numbers: &mut dyn Iterator<Item = u32>| numbers.filter_map(Uid::new).collect::<UidSet>();
    let all: UidSet = [Uid::MIN..=Uid::MAX].into_iter().collect();
    add(20_010).await;
    let highest = async || store.status(&user, &inbox, &[]).await.unwrap().highest_mod_seq.unwrap();
    open.set_flags(&uids(&mut [1].into_iter()), &deleted).await.unwrap();
    open.expunge(None).await.unwrap();
    let (early, odd) = (highest().await, uids(&mut (3..20_000).step_by(2)));
    open.set_flags(&odd, &deleted).await.unwrap();
    open.expunge(None).await.unwrap();
    assert_eq!(open.vanished(&all, early).await.unwrap(), odd, "so many ranges are remembered");
    open.set_flags(&uids(&mut [20_005, 20_007].into_iter()), &deleted).await.unwrap();
    open.expunge(None).await.unwrap();
    let all_gone = uids(&mut (1..20_000).step_by(2).chain([20_005, 20_007]));
    assert_eq!(open.vanished(&all, early).await.unwrap(), all_gone, "what went before is told as well");
    assert_eq!(open.vanished(&all, highest().await).await.unwrap(), UidSet::new());
}

#[tokio::test]
async fn maildir() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let store = MaildirStore::new(move |account| Some(root.join("mail").join(account.user()).join("Maildir")));
    store_suite(&store, &Identity::new("you@localhost")).await;
}

#[tokio::test]
async fn maildir_in_the_layout_fs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let mut options = TreeOptions::default();
    options.layout = Layout::Fs;
    let store = MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")));
    store_suite(&store.lying_as(move |_| options.clone()), &Identity::new("you@localhost")).await;
}

/// The account of one who moves here from a server that showed all mailboxes below INBOX.
#[tokio::test]
async fn names_below_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let (root, inboxes) = (dir.path().join("mail"), dir.path().join("inboxes"));
    let (user, name) = (Identity::new("you@localhost"), |text| MailboxName::new(text).unwrap());
    let store = MaildirStore::new(move |_| Some(root.clone())).in_namespace("INBOX.", Separator::Dot).unwrap();
    let store = store.lying_as(move |account| {
        let mut options = TreeOptions::default();
        options.inbox = Some(inboxes.join(account.user()));
        options
    });
    let told = store.namespace().unwrap();
    assert_eq!((told.prefix.as_str(), told.separator), ("INBOX.", Separator::Dot));
    for mailbox in ["INBOX/Sent", "INBOX/Lists/rust"] {
        store.create(&user, &name(mailbox), &[]).await.unwrap();
        store.subscribe(&user, &name(mailbox), true).await.unwrap();
    }
    store.rename(&user, &name("INBOX/Lists"), &name("INBOX/L")).await.unwrap();
    assert!(dir.path().join("mail/.Sent/cur").is_dir() && dir.path().join("mail/.L.rust/cur").is_dir());
    assert!(dir.path().join("inboxes/you@localhost/cur").is_dir() && !dir.path().join("mail/cur").exists());
    let written = std::fs::read_to_string(dir.path().join("mail/subscriptions")).unwrap();
    assert_eq!(written, "V\t2\n\nSent\nLists\trust\n");
    let listed = store.list(&user, &List::new("*")).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|listed| listed.name.as_str()).collect();
    assert_eq!(listed, ["INBOX", "INBOX/L", "INBOX/L/rust", "INBOX/Sent"]);
    let mut lsub = List::new("*");
    lsub.lsub = true;
    let listed = store.list(&user, &lsub).await.unwrap();
    assert!(listed.iter().any(|listed| listed.name.as_str() == "INBOX/Lists/rust"));
    let mut open = store.open(&user, &MailboxName::inbox(), false).await.unwrap();
    store.append(&user, &MailboxName::inbox(), Append::default()).await.unwrap().publish().await.unwrap();
    open.refresh().await.unwrap();
    open.move_to(&[Uid::MIN..=Uid::MAX].into_iter().collect(), &name("INBOX/Sent")).await.unwrap();
    let in_sent = store.status(&user, &name("INBOX/Sent"), &[]).await.unwrap();
    assert_eq!(in_sent.messages, 1);
    for outside in ["Sent", "Other/x", "INBOX/INBOX"] {
        let kind = |error: pillarbox::parts::StoreError| error.kind;
        let created = store.create(&user, &name(outside), &[]).await.map_err(kind);
        assert_eq!(created.unwrap_err(), StoreErrorKind::Cannot, "{outside}");
        assert!(store.open(&user, &name(outside), true).await.is_err(), "{outside}");
        assert!(store.rename(&user, &name("INBOX/Sent"), &name(outside)).await.is_err(), "{outside}");
        assert!(store.subscribe(&user, &name(outside), true).await.is_err(), "{outside}");
    }
    assert_eq!(
        std::fs::read_dir(dir.path().join("mail")).unwrap().filter(|e| { e.as_ref().unwrap().path().is_dir() }).count(),
        2
    );
}

/// Another program holds the lock on a mailbox that somebody has open: mail comes in all the same.
#[tokio::test]
async fn delivery_waits_for_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let store = MaildirStore::new(move |_| Some(root.join("Maildir")));
    let (user, inbox) = (Identity::new("you@localhost"), MailboxName::inbox());
    let mut open = store.open(&user, &inbox, false).await.unwrap();
    open.snapshot().await.unwrap();
    let lock = dir.path().join("Maildir/dovecot-uidlist.lock");
    std::fs::write(&lock, "").unwrap();
    let mut incoming = store.append(&user, &inbox, Append::default()).await.unwrap();
    incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
    incoming.publish().await.unwrap();
    // Nor does taking it back.
    incoming.undo().await.unwrap();
    assert!(lock.exists(), "all this time");
    let left = |folder| std::fs::read_dir(dir.path().join("Maildir").join(folder)).unwrap().count();
    assert_eq!((left("tmp"), left("new"), left("cur")), (0, 0, 0));
    std::fs::remove_file(&lock).unwrap();
}

/// While a message comes that is to take the place of another, somebody puts another mailbox where that one was: by this process, and
/// by another whose doing the view was told of. The message with the same number there is not the one that was meant.
#[tokio::test]
async fn no_message_of_another_mailbox_is_replaced() {
    let name = |text| MailboxName::new(text).unwrap();
    for by_another in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = |root: std::path::PathBuf| MaildirStore::new(move |_| Some(root.join("Maildir")));
        let (here, user) = (store(dir.path().to_owned()), Identity::new("you@localhost"));
        let there = if by_another { store(dir.path().to_owned()) } else { here.clone() };
        for mailbox in ["Work", "Other"] {
            here.create(&user, &name(mailbox), &[]).await.unwrap();
            let mut incoming = here.append(&user, &name(mailbox), Append::default()).await.unwrap();
            incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
            incoming.publish().await.unwrap();
        }
        let mut open = here.open(&user, &name("Work"), false).await.unwrap();
        let uid = open.snapshot().await.unwrap().uids[0];
        let mut incoming = open.replace(uid, &MailboxName::inbox(), Append::default()).await.unwrap();
        incoming.write(b"Subject: y\r\n\r\n").await.unwrap();
        there.rename(&user, &name("Work"), &name("Old")).await.unwrap();
        there.rename(&user, &name("Other"), &name("Work")).await.unwrap();
        let _ = open.refresh().await;
        let published = incoming.publish().await;
        assert_eq!(published.map_err(|error| error.kind), Err(StoreErrorKind::Expunged), "{by_another}");
        for (mailbox, messages) in [("Work", 1), ("Old", 1), ("INBOX", 0)] {
            let status = here.status(&user, &name(mailbox), &[]).await.unwrap();
            assert_eq!(status.messages, messages, "{mailbox}, {by_another}");
        }
    }
}

#[tokio::test]
async fn mail_may_stand_behind_a_link() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("disk")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("disk"), dir.path().join("mail")).unwrap();
    let root = dir.path().join("mail");
    let store = MaildirStore::new(move |account| Some(root.join(account.user()).join("Maildir")));
    store.open(&Identity::new("you@localhost"), &MailboxName::inbox(), true).await.unwrap();
}

/// RFC 6154 §3: of two programs that make a mailbox for the same use at once, one is refused.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_mailboxes_that_are_made_at_once_is_for_the_use() {
    let dir = tempfile::tempdir().unwrap();
    let user = Identity::new("you@localhost");
    for round in 0..5 {
        let root = dir.path().join(round.to_string());
        // Two processes.
        let stores = [0, 1].map(|_| {
            let root = root.clone();
            MaildirStore::new(move |_| Some(root.clone()))
        });
        let mut making = tokio::task::JoinSet::new();
        for n in 0..6 {
            let (store, user) = (stores[n % 2].clone(), user.clone());
            making.spawn(async move {
                let name = MailboxName::new(&format!("sent{n}")).unwrap();
                store.create(&user, &name, &[SpecialUse::parse("\\Sent").unwrap()]).await.map(drop)
            });
        }
        let made = making.join_all().await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
        assert!(made.iter().flat_map(|made| made.as_ref().err()).all(|e| e.kind == StoreErrorKind::NotForThatUse));
    }
}
