//! Annotations, rights and uses of mailboxes: what is set is there, goes where the mailbox goes, and is never half of it.

mod support;

use std::fs;

use pillarbox_fs::RealFs;
use pillarbox_maildir::{
    ACL_ENTRIES_MAX, AclError, EntryName, Identifier, MailboxName, Maildir, MaildirError, MetadataError, Options,
    Rights, RightsChange, Store, Tree, Who,
};
use support::Bench;

fn name(name: &str) -> MailboxName {
    MailboxName::parse(name, '/').unwrap()
}

fn entry(name: &str) -> EntryName {
    EntryName::parse(name).unwrap()
}

fn account(bench: &Bench) -> Tree {
    let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
    tree.create_mailbox_for(&name("a"), &["\\Sent"]).unwrap();
    tree
}

fn ann() -> Identifier {
    Identifier::User("ann".into())
}

fn rights_of_ann(folder: &Maildir) -> String {
    folder.acl().unwrap().rights(&Who { user: Some("ann"), ..Who::default() }).to_string()
}

fn aside(bench: &Bench, folder: &str, file: &str) -> Vec<Vec<u8>> {
    let names = fs::read_dir(bench.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    let is_aside = |path: &std::path::PathBuf| {
        path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{file}.damaged."))
    };
    names.filter(is_aside).map(|path| fs::read(path).unwrap_or_default()).collect()
}

#[test]
fn all_goes_where_the_mailbox_goes() {
    let bench = Bench::new();
    let tree = account(&bench);
    let a = tree.mailbox(&name("a")).unwrap();
    a.set_metadata("joe", &[(entry("/private/comment"), Some(b"a\0\r\nb")), (entry("/shared/x"), Some(b""))]).unwrap();
    tree.set_metadata("joe", &[(entry("/shared/admin"), Some(b"mailto:x"))]).unwrap();
    a.set_acl(&ann(), false, RightsChange::Replace(Rights::parse("lr").unwrap())).unwrap();
    a.set_special_uses(&["\\Archive", "no attribute", "\\Important"]).unwrap();
    tree.rename_mailbox(&name("a"), &name("b/c")).unwrap();
    let c = tree.mailbox(&name("b/c")).unwrap();
    let metadata = c.metadata().unwrap();
    assert_eq!(metadata.value("joe", &entry("/private/comment")), Some(&b"a\0\r\nb"[..]));
    assert_eq!(metadata.value("ann", &entry("/private/comment")), None);
    assert_eq!(metadata.value("ann", &entry("/shared/x")), Some(&b""[..]));
    assert_eq!(metadata.entries("ann").count(), 1);
    assert_eq!(rights_of_ann(&c), "lr");
    assert_eq!(c.special_uses().unwrap(), ["\\Archive", "\\Important"]);
    assert_eq!(tree.metadata().unwrap().value("", &entry("/shared/admin")), Some(&b"mailto:x"[..]));
    let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
    assert!(inbox.metadata().unwrap().is_empty(), "INBOX is not the account");
    // And goes with it.
    tree.delete_mailbox(&name("b/c")).unwrap();
    let new = tree.create_mailbox(&name("b/c")).unwrap();
    assert!(new.metadata().unwrap().is_empty() && rights_of_ann(&new).is_empty());
    assert_eq!(new.special_uses().unwrap(), [""; 0]);
}

#[test]
fn what_is_removed_leaves_no_file() {
    let bench = Bench::new();
    let tree = account(&bench);
    let a = tree.mailbox(&name("a")).unwrap();
    let files = |bench: &Bench| {
        let mut names: Vec<String> = fs::read_dir(bench.path("m/.a"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    a.set_special_uses(&[]).unwrap();
    let before = files(&bench);
    a.set_metadata("joe", &[(entry("/private/comment"), Some(b"x"))]).unwrap();
    a.set_acl(&ann(), false, RightsChange::Add(Rights::ALL)).unwrap();
    assert_eq!(files(&bench).len(), before.len() + 2);
    a.set_metadata("joe", &[(entry("/private/comment"), None), (entry("/shared/none"), None)]).unwrap();
    a.delete_acl(&ann(), false).unwrap();
    a.delete_acl(&ann(), true).unwrap();
    assert_eq!(files(&bench), before);
}

#[test]
fn what_is_damaged_is_set_aside() {
    let bench = Bench::new();
    let tree = account(&bench);
    let a = tree.mailbox(&name("a")).unwrap();
    let comment = entry("/private/comment");
    fs::write(bench.path("m/.a/pillarbox-metadata"), "pillarbox-metadata 1 1\n/shared/a 0 5\nx\n").unwrap();
    fs::write(bench.path("m/.a/dovecot-acl"), "owner lr\nuser=ann lrZ\n").unwrap();
    assert!(matches!(a.metadata(), Err(MaildirError::Damaged(_))));
    let error = a.acl().unwrap_err();
    assert!(matches!(error, MaildirError::Damaged(_)) && error.is_temporary());
    a.set_metadata("joe", &[(comment.clone(), Some(b"new"))]).unwrap();
    a.set_acl(&ann(), false, RightsChange::Add(Rights::LOOKUP)).unwrap();
    assert_eq!(a.metadata().unwrap().len(), 1);
    assert_eq!(rights_of_ann(&a), "l");
    assert_eq!(aside(&bench, "m/.a", "pillarbox-metadata"), [b"pillarbox-metadata 1 1\n/shared/a 0 5\nx\n"]);
    assert_eq!(aside(&bench, "m/.a", "dovecot-acl"), [b"owner lr\nuser=ann lrZ\n"]);
    // A gigabyte, a directory, a link.
    fs::File::options().write(true).open(bench.path("m/.a/dovecot-acl")).unwrap().set_len(1 << 30).unwrap();
    assert!(matches!(a.acl(), Err(MaildirError::Damaged(_))));
    fs::remove_file(bench.path("m/.a/pillarbox-metadata")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", bench.path("m/.a/pillarbox-metadata")).unwrap();
    assert!(matches!(a.metadata(), Err(MaildirError::Damaged(_))));
    a.set_metadata("joe", &[(comment, Some(b"new"))]).unwrap();
    assert_eq!(a.metadata().unwrap().len(), 1);
    // What is refused changes nothing.
    let large = vec![0; 100_000];
    let refused = a.set_metadata("joe", &[(entry("/shared/a"), None), (entry("/shared/b"), Some(&large))]);
    assert!(matches!(refused, Err(MaildirError::Metadata(MetadataError::TooLarge))));
    assert!(matches!(a.set_metadata("", &[(entry("/private/a"), Some(b"x"))]), Err(MaildirError::Metadata(_))));
    assert_eq!(a.metadata().unwrap().len(), 1);
}

/// A file of the version that told of nobody who set what: it is read, and what was set then is in nobody's way.
#[test]
fn annotations_of_an_older_version() {
    let bench = Bench::new();
    let tree = account(&bench);
    let a = tree.mailbox(&name("a")).unwrap();
    let mut old = b"pillarbox-metadata 1 256\n/private/comment 3 4\njoemine\n".to_vec();
    (0..255).for_each(|n| old.extend_from_slice(format!("/shared/old/{n} 0 1\nx\n").as_bytes()));
    fs::write(bench.path("m/.a/pillarbox-metadata"), &old).unwrap();
    assert_eq!(a.metadata().unwrap().value("joe", &entry("/private/comment")), Some(&b"mine"[..]));
    assert_eq!(a.metadata().unwrap().len(), 256);
    let new = |n: usize| [(entry(&format!("/shared/new/{n}")), Some(&b"y"[..]))];
    assert!(matches!(a.set_metadata_for("ann", "joe", &new(0)), Err(MaildirError::Metadata(MetadataError::TooMany))));
    assert_eq!(fs::read(bench.path("m/.a/pillarbox-metadata")).unwrap(), old, "what is refused changes nothing");
    let set = |n: &usize| a.set_metadata("joe", &new(*n)).is_ok();
    assert_eq!((0..300).take_while(set).count(), 63, "a quarter is the owner's, with what they had");
    let away: Vec<_> = (0..255).map(|n| (entry(&format!("/shared/old/{n}")), None)).collect();
    a.set_metadata_for("ann", "joe", &away[..100]).unwrap();
    a.set_metadata_for("ann", "joe", &new(300)).unwrap();
    assert_eq!(a.metadata().unwrap().len(), 256 + 63 - 100 + 1);
    assert!(aside(&bench, "m/.a", "pillarbox-metadata").is_empty());
}

/// Several processes change entries at once, and none is lost.
#[test]
fn changes_at_once_do_not_replace_each_other() {
    let bench = Bench::new();
    account(&bench);
    // With the machine's clock: who waits for a lock lets time pass.
    let stores = [0, 1].map(|_| Store::new(RealFs, Options::from_system()));
    std::thread::scope(|scope| {
        for (number, store) in stores.iter().enumerate() {
            let bench = &bench;
            scope.spawn(move || {
                let a = Tree::open(store, bench.path("m")).unwrap().mailbox(&name("a")).unwrap();
                for n in 0..20 {
                    a.set_metadata("", &[(entry(&format!("/shared/{number}/{n}")), Some(b"x"))]).unwrap();
                    a.set_acl(&Identifier::User(format!("{number}.{n}")), false, RightsChange::Add(Rights::LOOKUP))
                        .unwrap();
                }
            });
        }
    });
    let a = Tree::open(&bench.store, bench.path("m")).unwrap().mailbox(&name("a")).unwrap();
    assert_eq!((a.metadata().unwrap().len(), a.acl().unwrap().entries().count()), (40, 40));
}

/// Every operation fails once: the old is there or the new, and the next attempt works.
// DSK-05
#[test]
fn a_failed_change_can_be_repeated() {
    for errno in [28] {
        for n in 0.. {
            let bench = Bench::new();
            let a = account(&bench).mailbox(&name("a")).unwrap();
            let (comment, guests) = (entry("/shared/comment"), entry("/shared/guests"));
            let change = |value: &[u8], rights: &str, special: &str| {
                a.set_metadata("joe", &[(comment.clone(), Some(value))])?;
                a.set_metadata_for("ann", "joe", &[(guests.clone(), Some(value))])?;
                a.set_acl(&ann(), false, RightsChange::Replace(Rights::parse(rights).unwrap()))?;
                a.set_special_uses(&[special])
            };
            let there = || {
                let metadata = a.metadata().unwrap();
                let value = metadata.value("", &comment).map(<[u8]>::to_vec);
                // The guest's comes behind it.
                let guests = metadata.value("", &guests).map(<[u8]>::to_vec);
                assert!(guests == value || guests == Some(b"old".to_vec()), "{guests:?}");
                (value, rights_of_ann(&a), a.special_uses().unwrap().join(" "))
            };
            change(b"old", "l", "\\Junk").unwrap();
            bench.fs.fail_at(n, errno);
            let changed = change(b"new", "lr", "\\Drafts");
            let healed = bench.fs.heal();
            let (value, rights, special) = there();
            assert!(value == Some(b"old".to_vec()) || value == Some(b"new".to_vec()));
            assert!(
                (rights == "l" || rights == "lr") && (special == "\\Junk" || special == "\\Drafts"),
                "{rights} {special}"
            );
            if changed.is_ok() {
                assert_eq!((rights.as_str(), special.as_str()), ("lr", "\\Drafts"));
            }
            change(b"new", "lr", "\\Drafts").unwrap();
            assert_eq!(there(), (Some(b"new".to_vec()), "lr".into(), "\\Drafts".into()), "errno {errno}, change {n}");
            if healed {
                assert!(n > 20, "{n} changes");
                break;
            }
        }
    }
}

/// What could not be read again is refused, and what was there stays.
#[test]
fn a_list_grows_no_larger_than_one_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::create(&Store::new(RealFs, Options::from_system()), dir.path()).unwrap();
    let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
    let all = RightsChange::Replace(Rights::ALL);
    let mut refused = 0;
    for number in 0..ACL_ENTRIES_MAX {
        // Each of these letters takes two.
        let user = Identifier::User(format!("{number:03}{}", "\"".repeat(509)));
        match inbox.set_acl(&user, false, all) {
            Ok(()) => assert_eq!(inbox.acl().unwrap().entries().count(), number + 1, "it is read"),
            Err(error) => {
                assert!(matches!(error, MaildirError::Acl(AclError::TooMany)), "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(inbox.acl().unwrap().entries().count() + refused, ACL_ENTRIES_MAX);
    assert!((1..10).contains(&refused), "{refused}");
    inbox.delete_acl(&Identifier::User(format!("000{}", "\"".repeat(509))), false).unwrap();
    inbox.set_acl(&Identifier::User("ann".into()), false, all).unwrap();
}
