//! The order of system calls: nothing is reported done before it would survive a power cut.

mod support;

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Op, RealFs};
use pillarbox_maildir::{Access, FlagChange, Flags, Mailbox, MailboxName, Maildir, Options, Store, Tree, publish_all};
use support::{Bench, deliver, prepare, text, uids};

const JOURNAL: &str = "m/pillarbox-journal";

fn steps(steps: &[(Op, &str)]) -> Vec<(Op, String)> {
    steps.iter().map(|(op, path)| (*op, (*path).to_owned())).collect()
}

// DUR-01, MDR-01
#[test]
fn a_delivery_is_written_synced_renamed_and_its_directory_synced() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    bench.ops();
    deliver(&folder, "Subject: x\r\n\r\nx\r\n").unwrap();
    let expected = steps(&[
        (Op::Create, "m/tmp/*"),
        (Op::Write, "m/tmp/*"),
        (Op::Sync, "m/tmp/*"),
        (Op::Close, "m/tmp/*"),
        (Op::Rename, "m/new/*"),
        (Op::SyncDir, "m/new"),
    ]);
    assert_eq!(bench.ops(), expected);
}

#[test]
fn flags_and_date_are_there_before_the_sync() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    bench.ops();
    let mut message = folder.begin().unwrap();
    message.write(b"x\r\n").unwrap();
    let date = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let delivered = message.commit(Flags::SEEN | Flags::DRAFT, Some(date)).unwrap();
    let expected = steps(&[
        (Op::Create, "m/tmp/*"),
        (Op::Write, "m/tmp/*"),
        (Op::Touch, "m/tmp/*"),
        (Op::Sync, "m/tmp/*"),
        (Op::Close, "m/tmp/*"),
        (Op::Rename, "m/cur/*"),
        (Op::SyncDir, "m/cur"),
    ]);
    assert_eq!(bench.ops(), expected);
    assert_eq!(support::files(folder.path()), [format!("cur/{}:2,DS", delivered.name)]);
    assert!(delivered.name.ends_with(".host,S=2,W=3"), "{}", delivered.name);
    let mut mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    let uid = mailbox.messages().next().unwrap().uid;
    assert_eq!(mailbox.info(uid).unwrap().date, date);
}

// DUR-02
#[test]
fn a_new_mailbox_is_durable_with_its_parent() {
    let bench = Bench::new();
    bench.folder("m");
    let expected = steps(&[
        (Op::MakeDir, "m"),
        (Op::SyncDir, ""),
        (Op::MakeDir, "m/tmp"),
        (Op::MakeDir, "m/new"),
        (Op::MakeDir, "m/cur"),
        (Op::SyncDir, "m"),
    ]);
    assert_eq!(bench.ops(), expected);
}

/// What a mailbox is for is on disk before it is a mailbox: there is no moment at which a crash leaves it without.
#[test]
fn a_special_use_is_durable_before_the_mailbox_is_one() {
    let bench = Bench::new();
    let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
    bench.ops();
    tree.create_mailbox_for(&MailboxName::parse("Sent", '/').unwrap(), &["\\Sent"]).unwrap();
    let ops = bench.ops();
    let at = |op: Op, path: &str| {
        ops.iter().position(|step| *step == (op, path.to_owned())).unwrap_or_else(|| panic!("{op:?} {path}: {ops:?}"))
    };
    let written = at(Op::Sync, "m/.Sent/special-use");
    let named = at(Op::SyncDir, "m/.Sent");
    assert!(written < named && named < at(Op::MakeDir, "m/.Sent/cur"), "{ops:?}");
}

#[test]
fn for_several_mailboxes_all_copies_are_synced_before_the_first_is_visible() {
    let bench = Bench::new();
    let folders = ["a", "b", "c"].map(|name| bench.folder(name));
    bench.ops();
    let prepared: Vec<_> = folders.iter().map(|folder| prepare(folder, "x\r\n", Flags::NONE).unwrap()).collect();
    assert!(bench.ops().iter().all(|(op, _)| !matches!(op, Op::Rename | Op::Link)));
    publish_all(prepared).unwrap();
    let expected = steps(&[
        (Op::Rename, "a/new/*"),
        (Op::Rename, "b/new/*"),
        (Op::Rename, "c/new/*"),
        (Op::SyncDir, "a/new"),
        (Op::SyncDir, "b/new"),
        (Op::SyncDir, "c/new"),
    ]);
    assert_eq!(bench.ops(), expected);
}

// MDR-04
#[test]
fn an_appended_message_has_its_uid_on_disk() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    folder.append(vec![prepare(&folder, "1\r\n", Flags::NONE).unwrap()]).unwrap();
    let prepared =
        vec![prepare(&folder, "2\r\n", Flags::SEEN).unwrap(), prepare(&folder, "3\r\n", Flags::NONE).unwrap()];
    bench.ops();
    let appended = folder.append(prepared).unwrap();
    let expected = steps(&[
        (Op::Create, "m/dovecot-uidlist.lock"),
        (Op::Rename, "m/cur/*"),
        (Op::Rename, "m/new/*"),
        (Op::SyncDir, "m/cur"),
        (Op::SyncDir, "m/new"),
        // One line each is appended; the list is not written anew.
        (Op::Open, "m/dovecot-uidlist"),
        (Op::Write, "m/dovecot-uidlist"),
        (Op::Sync, "m/dovecot-uidlist"),
        (Op::Close, "m/dovecot-uidlist"),
        (Op::Unlink, "m/dovecot-uidlist.lock"),
    ]);
    assert_eq!(bench.ops(), expected);
    let other = pillarbox_maildir::Maildir::open(&bench.other_process(), folder.path()).unwrap();
    let mut mailbox = Mailbox::open(&other, Access::ReadOnly).unwrap();
    assert_eq!(mailbox.uid_validity(), appended.uid_validity);
    assert_eq!(uids(&mailbox), [1, 2, 3]);
    assert_eq!(appended.uids.iter().map(|uid| uid.get()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(text(&mut mailbox, appended.uids[0]), "2\r\n");
}

#[test]
fn a_first_uid_list_is_synced_before_it_has_its_name() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "x\r\n").unwrap();
    bench.ops();
    Mailbox::open(&folder, Access::ReadOnly).unwrap();
    let ops = bench.ops();
    let at = |op, path: &str| ops.iter().position(|step| *step == (op, path.to_owned())).unwrap();
    let (written, synced) = (at(Op::Write, "m/dovecot-uidlist.tmp"), at(Op::Sync, "m/dovecot-uidlist.tmp"));
    let named = at(Op::Rename, "m/dovecot-uidlist");
    let durable = named + ops[named..].iter().position(|step| *step == (Op::SyncDir, "m".into())).unwrap();
    let line = at(Op::Write, "m/dovecot-uidlist");
    assert!(written < synced && synced < named && named < durable && durable < line, "{ops:?}");
    assert!(line < at(Op::Sync, "m/dovecot-uidlist"));
}

// A UID that another program wrote without a sync could be given again after a power cut.
#[test]
fn a_list_that_another_program_wrote_is_synced_before_anyone_hears_of_it() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    std::fs::write(bench.path("m/cur/1.M1P1.h:2,S"), "x\n").unwrap();
    std::fs::write(bench.path("m/dovecot-uidlist"), "3 V7 N2 G00\n1 :1.M1P1.h\n").unwrap();
    bench.ops();
    let mut mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    assert_eq!(uids(&mailbox), [1]);
    let ops = bench.ops();
    assert_eq!(ops[..3], steps(&[(Op::Create, JOURNAL), (Op::Sync, "m/dovecot-uidlist"), (Op::SyncDir, "m")]));
    // The first journal is on stable storage before anyone hears of a mod-sequence.
    let journal = [
        (Op::Create, "m/tmp/*"),
        (Op::Write, "m/tmp/*"),
        (Op::Write, "m/tmp/*"),
        (Op::Sync, "m/tmp/*"),
        (Op::Rename, JOURNAL),
        (Op::SyncDir, "m"),
    ];
    assert_eq!(ops[3..], steps(&journal));
    mailbox.refresh().unwrap();
    assert_eq!(bench.ops(), steps(&[(Op::Open, JOURNAL)]));
}

// MDR-07, MDR-08
#[test]
fn flags_and_removals_are_durable() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "1\r\n").unwrap();
    deliver(&folder, "2\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    bench.ops();
    assert_eq!(mailbox.set_flags(&all, FlagChange::Add, Flags::SEEN).unwrap(), all);
    // The journal waits for no sync: what is lost of it in a power cut is found out.
    let (open, write) = ((Op::Open, JOURNAL), (Op::Write, JOURNAL));
    let twice = [open, (Op::Rename, "m/cur/*"), (Op::Rename, "m/cur/*"), write, (Op::SyncDir, "m/cur")];
    assert_eq!(bench.ops(), steps(&twice));
    assert_eq!(mailbox.set_flags(&all, FlagChange::Add, Flags::SEEN).unwrap(), []);
    assert_eq!(bench.ops(), steps(&[open]));
    assert_eq!(mailbox.expunge(&all[..1]).unwrap(), &all[..1]);
    // The message was taken out of new/ by this view, and its name there must not come back either.
    let once = [open, (Op::Unlink, "m/cur/*"), write, (Op::SyncDir, "m/new"), (Op::SyncDir, "m/cur")];
    assert_eq!(bench.ops(), steps(&once));
    assert_eq!(mailbox.expunge(&all[1..]).unwrap(), &all[1..]);
    assert_eq!(bench.ops(), steps(&[open, (Op::Unlink, "m/cur/*"), write, (Op::SyncDir, "m/cur")]));
    assert_eq!(mailbox.expunge(&all[..1]).unwrap(), []);
    assert!(mailbox.refresh().unwrap().is_empty(), "its own changes are not news");
}

// MDR-13
#[test]
fn a_copy_is_durable_before_its_source_goes() {
    let bench = Bench::new();
    let (source, target) = (bench.folder("m"), bench.folder("t"));
    target.append(vec![]).unwrap();
    deliver(&source, "1\r\n").unwrap();
    let mut mailbox = Mailbox::open(&source, Access::ReadWrite).unwrap();
    let uid = mailbox.messages().next().unwrap().uid;
    bench.ops();
    let moved = mailbox.move_to(&[uid], &target).unwrap();
    let expected = steps(&[
        (Op::Sync, "m/cur/*"),
        (Op::Link, "t/tmp/*"),
        (Op::Create, "t/dovecot-uidlist.lock"),
        (Op::Rename, "t/new/*"),
        (Op::SyncDir, "t/new"),
        (Op::Open, "t/dovecot-uidlist"),
        (Op::Write, "t/dovecot-uidlist"),
        (Op::Sync, "t/dovecot-uidlist"),
        (Op::Close, "t/dovecot-uidlist"),
        (Op::Unlink, "t/dovecot-uidlist.lock"),
        (Op::Open, JOURNAL),
        (Op::Unlink, "m/cur/*"),
        (Op::Write, JOURNAL),
        (Op::SyncDir, "m/new"),
        (Op::SyncDir, "m/cur"),
    ]);
    assert_eq!(bench.ops(), expected);
    let mut there = Mailbox::open(&target, Access::ReadWrite).unwrap();
    assert_eq!(text(&mut there, moved.uids[0].1), "1\r\n");
    assert_eq!(mailbox.messages().count(), 0);
}

/// A reader in another process takes the message out of `new/` before its name there is durable.
#[test]
fn a_message_that_a_reader_moved_is_durable_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (new, cur) = (dir.path().join("m/new"), dir.path().join("m/cur"));
    let there = cur.clone();
    let taken = move |synced: &Path| {
        if synced == new {
            for entry in std::fs::read_dir(synced).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                std::fs::rename(synced.join(&name), there.join(name + ":2,")).unwrap();
            }
        }
        Ok(())
    };
    let fs = Watched::new(RealFs).on_sync_dir(Box::new(taken));
    let folder = Maildir::create(&Store::new(fs.clone(), Options::from_system()), dir.path().join("m")).unwrap();
    deliver(&folder, "x\r\n").unwrap();
    assert_eq!(fs.changes().last(), Some(&(Op::SyncDir, cur)));
}

// DUR-02
#[test]
fn a_folder_that_somebody_else_made_is_synced_before_the_first_message_in_it() {
    let bench = Bench::new();
    for dir in ["", "tmp", "new", "cur"] {
        std::fs::create_dir(bench.path("m").join(dir)).unwrap();
    }
    let folder = Maildir::open(&bench.store, bench.path("m")).unwrap();
    deliver(&folder, "1\r\n").unwrap();
    let dirs = |bench: &Bench| bench.ops().into_iter().filter(|(op, _)| *op == Op::SyncDir).collect::<Vec<_>>();
    assert_eq!(dirs(&bench), steps(&[(Op::SyncDir, "m"), (Op::SyncDir, ""), (Op::SyncDir, "m/new")]));
    deliver(&folder, "2\r\n").unwrap();
    assert_eq!(dirs(&bench), steps(&[(Op::SyncDir, "m/new")]));
}

#[test]
fn a_list_is_not_read_again_for_each_message_appended() {
    let bench = Bench::new();
    let append = || {
        let folder = Maildir::open(&bench.store, bench.path("m")).unwrap();
        folder.append(vec![prepare(&folder, "x\r\n", Flags::NONE).unwrap()]).unwrap();
        // A list that is read is synced, and then written.
        let of_list = |(_, path): &(Op, String)| path == "m/dovecot-uidlist";
        bench.ops().into_iter().filter(of_list).map(|(op, _)| op).collect::<Vec<_>>()
    };
    bench.folder("m");
    append();
    assert_eq!(append(), [Op::Open, Op::Write, Op::Sync, Op::Close]);
}
