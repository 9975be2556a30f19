//! What others leave in a folder: other programs, backups, and whoever wishes us ill.

mod support;

use std::fs;
use std::time::Duration;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{Access, Mailbox, Maildir, Options, Store};
use support::{Bench, deliver, files, uids};

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
