//! What others leave in a folder: other programs, backups, and whoever wishes us ill.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{
    Access, FlagChange, Flags, Layout, Mailbox, MailboxName, Maildir, MaildirError, NameError, Options, Store, Tree,
    TreeOptions,
};
use support::{Bench, deliver, files, prepare, uids};

// MDR-06
#[test]
fn a_number_at_the_end_of_all_numbers_is_damage_and_closes_no_mailbox() {
    for list in ["3 V7 N2\n1 :old\n4294967295 :b\n", "3 V7 N4294967295\n1 :old\n", "3 V7 N2\n1 :old\n4294967295 :"] {
        let bench = Bench::new();
        let folder = bench.folder("m");
        deliver(&folder, "x\r\n").unwrap();
        fs::write(bench.path("m/cur/old:2,S"), "y\n").unwrap();
        fs::write(bench.path("m/dovecot-uidlist"), list).unwrap();
        let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
        assert!(mailbox.uid_validity() > 7, "{list:?}");
        assert_eq!(uids(&mailbox), [1, 2]);
        assert_eq!(fs::read_to_string(bench.path("m/dovecot-uidlist.damaged")).unwrap(), list);
        deliver(&folder, "z\r\n").unwrap();
        assert_eq!(mailbox.refresh().unwrap().added.len(), 1);
    }
}

/// As a copy that keeps times does, and programs that set the times of their folders.
#[test]
fn a_change_is_seen_though_the_time_of_its_folder_was_put_back() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "x\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    bench.clock.advance(Duration::from_secs(3));
    mailbox.refresh().unwrap();
    for dir in ["cur", "new"] {
        let path = bench.path("m").join(dir);
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(path.join(format!("{dir}:2,")), "y\n").unwrap();
        fs::File::open(&path).unwrap().set_modified(before).unwrap();
        assert_eq!(mailbox.refresh().unwrap().added.len(), 1, "{dir}");
        bench.clock.advance(Duration::from_secs(3));
        mailbox.refresh().unwrap();
    }
}

#[test]
fn names_of_one_file_are_put_right_by_one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m");
    let lock = path.join("dovecot-uidlist.lock");
    let fs = Watched::new(RealFs).before(move |op, path| {
        let is_message = path.to_str().unwrap().contains("2.x.h");
        assert!(op != Op::Unlink || !is_message || lock.exists(), "{path:?} goes without the lock");
    });
    let folder = Maildir::create(&Store::new(fs.clone(), Options::from_system()), &path).unwrap();
    deliver(&folder, "x\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    fs::write(path.join("cur/2.x.h:2,S"), "y\n").unwrap();
    mailbox.refresh().unwrap();
    // Both are known, so that nothing else needs the lock.
    fs::hard_link(path.join("cur/2.x.h:2,S"), path.join("cur/2.x.h:2,")).unwrap();
    mailbox.refresh().unwrap();
    assert_eq!((uids(&mailbox), files(&path).len()), (vec![1, 2], 2));
    assert!(fs.changes().iter().any(|(op, path)| *op == Op::Unlink && path.to_str().unwrap().contains("2.x.h")));
}

/// As a backup may leave it, while somebody holds the lock that is needed to give the file a name of its own.
// MDR-06
#[test]
fn a_file_that_has_the_name_of_a_message_is_not_written_over() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    folder.append(vec![prepare(&folder, "ours\r\n", Flags::NONE).unwrap()]).unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let cur = bench.path("m/cur");
    let texts = || {
        let files = fs::read_dir(&cur).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
        files.collect::<BTreeSet<String>>()
    };
    let both = || texts().into_iter().eq(["ours\n", "theirs\n"]);
    let ours = fs::read_dir(&cur).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    fs::write(cur.join(format!("{ours}S")), "theirs\n").unwrap();
    fs::write(bench.path("m/dovecot-uidlist.lock"), "").unwrap();

    let told = mailbox.refresh().unwrap();
    assert!(matches!(told.held_back, Some(MaildirError::Locked(_))), "{told:?}");
    let shown = mailbox.messages().next().unwrap();
    let (uid, flags) = (shown.uid, shown.flags);
    // The flags of the other one.
    let how = if flags.is_empty() { FlagChange::Add } else { FlagChange::Remove };
    let set = mailbox.set_flags(&[uid], how, Flags::SEEN);
    assert!(both(), "{:?}", texts());
    assert!(matches!(set, Err(MaildirError::Locked(_))), "{set:?}");

    fs::remove_file(bench.path("m/dovecot-uidlist.lock")).unwrap();
    assert_eq!(mailbox.set_flags(&[uid], how, Flags::SEEN).unwrap(), [uid]);
    mailbox.refresh().unwrap();
    assert_eq!(uids(&mailbox), [1, 2]);
    assert!(both(), "{:?}", texts());
}

/// Where a mailbox goes away between a message and its UID, the message is there and the client hears that it is not.
#[test]
fn a_mailbox_is_not_renamed_while_another_gives_uids_in_it() {
    let name = |name: &str| MailboxName::parse(name, '/').unwrap();
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        let mut options = TreeOptions::default();
        options.layout = layout;
        let bench = Bench::new();
        let other = Tree::create_with(&bench.other_process(), bench.path("m"), options.clone()).unwrap();
        let renamed = Arc::new(AtomicBool::new(false));
        let asked = renamed.clone();
        let fs = Watched::new(RealFs).before(move |op, path| {
            let publishes = op == Op::Rename && path.parent().is_some_and(|dir| dir.ends_with("cur"));
            if publishes && !asked.swap(true, Ordering::SeqCst) {
                let refused = other.rename_mailbox(&name("a"), &name("b"));
                assert!(matches!(refused, Err(MaildirError::Locked(_))), "{refused:?}");
            }
        });
        let tree = Tree::create_with(&Store::new(fs, Options::from_system()), bench.path("m"), options).unwrap();
        for mailbox in ["a", "a/x"] {
            tree.create_mailbox(&name(mailbox)).unwrap();
        }
        let folder = tree.mailbox(&name("a/x")).unwrap();
        folder.append(vec![prepare(&folder, "x\r\n", Flags::SEEN).unwrap()]).unwrap();
        assert!(renamed.load(Ordering::SeqCst));
        let names: Vec<_> = tree.list().unwrap().into_iter().map(|listed| listed.name.to_string()).collect();
        assert_eq!(names, ["INBOX", "a", "a/x"]);

        tree.rename_mailbox(&name("a"), &name("b")).unwrap();
        for mailbox in ["b", "b/x"] {
            let folder = tree.mailbox(&name(mailbox)).unwrap();
            assert!(!folder.path().join("dovecot-uidlist.lock").exists(), "{layout:?} {mailbox}");
        }
        let moved = Mailbox::open(&tree.mailbox(&name("b/x")).unwrap(), Access::ReadWrite).unwrap();
        assert_eq!(uids(&moved), [1]);
    }
}

/// Who knew the old mailbox by a number that another program gave it must not take the new one for it, nor for an older one.
#[test]
fn a_mailbox_of_the_same_name_has_a_greater_number_whoever_made_the_first() {
    let name = MailboxName::parse("a", '/').unwrap();
    for (given, greater) in [(3_999_999_999_u32, true), (u32::MAX, false)] {
        let bench = Bench::new();
        let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
        for dir in ["new", "cur", "tmp"] {
            fs::create_dir_all(bench.path("m/.a").join(dir)).unwrap();
        }
        fs::write(bench.path("m/.a/dovecot-uidlist"), format!("3 V{given} N1 G00\n")).unwrap();
        tree.delete_mailbox(&name).unwrap();
        let again = Mailbox::open(&tree.create_mailbox(&name).unwrap(), Access::ReadOnly).unwrap();
        assert_eq!(again.uid_validity() > given, greater, "at the end of all numbers there is none that is greater");
    }
}

// MDR-06
#[test]
fn a_uidvalidity_at_the_end_of_all_numbers_closes_no_account() {
    let bench = Bench::new();
    let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
    fs::write(bench.path("m/dovecot-uidvalidity"), "ffffffff").unwrap();
    fs::write(bench.path("m/dovecot-uidvalidity.ffffffff"), "").unwrap();
    let name = MailboxName::parse("a", '/').unwrap();
    let folder = tree.create_mailbox(&name).unwrap();
    fs::write(bench.path("m/.a/dovecot-uidlist"), "3 V4294967295 N4294967295\n").unwrap();
    let mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    assert!((1..u32::MAX / 2).contains(&mailbox.uid_validity()));
}

#[test]
fn a_name_that_gets_too_long_is_not_renamed() {
    let mut options = TreeOptions::default();
    options.layout = Layout::Fs;
    let bench = Bench::new();
    let tree = Tree::create_with(&bench.store, bench.path("m"), options).unwrap();
    let long = |letter: &str| letter.repeat(240);
    let name = |name: String| MailboxName::parse(&name, '/').unwrap();
    let below = name(format!("a/{}/{}/{}", long("x"), long("y"), long("z")));
    tree.create_mailbox(&below).unwrap();
    let refused = tree.rename_mailbox(&name("a".into()), &name(format!("{}/{}", long("b"), long("c"))));
    assert!(matches!(refused, Err(MaildirError::Name(NameError::TooLong))), "{refused:?}");
    tree.mailbox(&below).unwrap();
}

/// The folder is another one when a message of it is to be replaced: its number is that of a message nobody meant.
#[test]
fn no_message_of_another_folder_is_replaced() {
    let bench = Bench::new();
    let (folder, other, target) = (bench.folder("m"), bench.folder("n"), bench.folder("t"));
    deliver(&folder, "x\r\n").unwrap();
    deliver(&other, "y\r\n").unwrap();
    fs::write(bench.path("n/dovecot-uidlist"), "3 V7 N1\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let uid = Mailbox::open(&other, Access::ReadWrite).unwrap().messages().next().unwrap().uid;
    let message = prepare(&target, "z\r\n", Flags::NONE).unwrap();
    fs::rename(bench.path("m"), bench.path("old")).unwrap();
    fs::rename(bench.path("n"), bench.path("m")).unwrap();
    assert!(matches!(mailbox.replace(uid, message), Err(MaildirError::NoSuchMessage(_))));
    assert_eq!(uids(&mailbox).len(), 1, "it is there");
    assert_eq!(uids(&Mailbox::open(&target, Access::ReadWrite).unwrap()).len(), 0);
}

/// A mailbox that is deleted or renamed while it is opened is no trouble of the disk, for which who lists all would be refused.
#[test]
fn a_mailbox_that_goes_while_it_is_opened_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("Maildir");
    let (from, to) = (root.join(".Work"), root.join(".Other"));
    let going = Watched::new(RealFs).before(move |op, path| {
        if op == Op::Metadata && path == from.join("tmp") {
            let _ = fs::rename(&from, &to);
        }
    });
    let name = MailboxName::parse("Work", '/').unwrap();
    let there = Tree::create(&Store::new(RealFs, Options::from_system()), &root).unwrap();
    there.create_mailbox(&name).unwrap();
    let tree = Tree::open(&Store::new(going, Options::from_system()), &root).unwrap();
    let error = tree.mailbox(&name).unwrap_err();
    assert!(matches!(error, MaildirError::NoSuchMailbox(_)), "{error}");
    assert!(there.mailbox(&MailboxName::parse("Other", '/').unwrap()).is_ok());
}
