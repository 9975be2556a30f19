//! What others leave in a folder: other programs, backups, and whoever wishes us ill.

mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{
    Access, Flags, Layout, Mailbox, MailboxName, Maildir, MaildirError, Options, Store, Tree, TreeOptions,
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
