//! Every operation fails once: an error, nothing left behind, and the next attempt works.

mod support;

use pillarbox_fs::Op;
use pillarbox_maildir::{
    Access, FlagChange, Flags, Full, Mailbox, MailboxName, Maildir, MaildirError, Options, Store, Tree, publish_all,
};
use support::{Bench, deliver, files, prepare, text, uids};

const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = 122;

/// What a disk can say to any operation.
const FAULTS: [i32; 5] = [EIO, EMFILE, ENOSPC, EROFS, EDQUOT];

/// Runs `attempt` with the first change failing, then the second, until none does; `check` sees each result. Returns how many
/// there are.
fn each_fault<T>(
    errno: i32,
    start: impl FnMut() -> Bench,
    attempt: impl Fn(&Bench) -> Result<T, MaildirError>,
    check: impl Fn(&Bench, Result<T, MaildirError>),
) -> usize {
    each(errno, |bench, n| bench.fs.fail_at(n, errno), start, attempt, check)
}

/// The same for every fault at every operation: changes, and then what only reads too.
fn every_fault<T>(
    mut start: impl FnMut() -> Bench,
    attempt: impl Fn(&Bench) -> Result<T, MaildirError>,
    check: impl Fn(&Bench, Result<T, MaildirError>),
) {
    for errno in FAULTS {
        let changes = each_fault(errno, &mut start, &attempt, &check);
        let all = each(errno, |bench, n| bench.fs.fail_any_at(n, errno), &mut start, &attempt, &check);
        assert!(changes > 0 && all > changes, "{changes} of {all}");
    }
}

fn each<T>(
    errno: i32,
    plan: impl Fn(&Bench, usize),
    mut start: impl FnMut() -> Bench,
    attempt: impl Fn(&Bench) -> Result<T, MaildirError>,
    check: impl Fn(&Bench, Result<T, MaildirError>),
) -> usize {
    for n in 0.. {
        let bench = start();
        plan(&bench, n);
        let result = attempt(&bench);
        if bench.fs.heal() {
            result.unwrap_or_else(|error| panic!("no fault struck, and yet: {error}"));
            return n;
        }
        if let Err(error) = &result {
            assert!(error.is_temporary(), "{error}");
            let full = match errno {
                ENOSPC => Some(Full::Disk),
                EDQUOT => Some(Full::Quota),
                _ => None,
            };
            assert_eq!(error.full(), full, "{error}");
        }
        check(&bench, result);
    }
    unreachable!("the loop ends when no fault strikes")
}

fn with_folder() -> Bench {
    let bench = Bench::in_memory();
    bench.folder("m");
    bench
}

fn open(bench: &Bench, name: &str) -> Maildir {
    try_open(bench, name).unwrap()
}

fn try_open(bench: &Bench, name: &str) -> Result<Maildir, MaildirError> {
    Maildir::open(&bench.store, bench.path(name))
}

// DSK-01, DSK-02, DSK-05, DSK-06
#[test]
fn a_failed_delivery_leaves_nothing() {
    for errno in FAULTS {
        let struck = each_fault(
            errno,
            with_folder,
            |bench| deliver(&open(bench, "m"), "x\r\n"),
            |bench, result| {
                result.unwrap_err();
                assert_eq!(files(&bench.path("m")), [""; 0]);
                deliver(&open(bench, "m"), "y\r\n").unwrap();
                assert_eq!(files(&bench.path("m")).len(), 1);
            },
        );
        assert_eq!(struck, 6, "create, write, sync, close, rename, sync directory");
    }
    every_fault(
        with_folder,
        |bench| deliver(&try_open(bench, "m")?, "x\r\n"),
        |bench, result| {
            assert_eq!(files(&bench.path("m")).len(), usize::from(result.is_ok()));
            deliver(&open(bench, "m"), "y\r\n").unwrap();
        },
    );
}

/// A caller that goes on after an error gets no message with a hole in it.
// DSK-01, DSK-02
#[test]
fn a_message_of_which_a_part_was_not_written_is_never_prepared() {
    for (errno, parked) in [(ENOSPC, false), (EDQUOT, false), (EIO, false), (ENOSPC, true), (EIO, true)] {
        let bench = with_folder();
        let mut message = open(&bench, "m").begin().unwrap();
        // All of it is written out, or it stays in the buffer until it is parked.
        let piece = if parked { 100 } else { 100_000 };
        bench.fs.fail_at(0, errno);
        let mut written = message.write(&vec![b'x'; piece]);
        if parked {
            written = message.park();
        }
        assert!(!bench.fs.heal() && written.is_err(), "{errno}");
        for again in [message.write(b"y"), message.write(b""), message.park()] {
            assert!(again.unwrap_err().is_temporary(), "{errno}");
        }
        assert!(message.prepare(Flags::NONE, None).unwrap_err().is_temporary(), "{errno}");
        assert_eq!(files(&bench.path("m")), [""; 0]);
    }
}

/// What the disk says of pieces that were written before is heard by the handle that wrote them alone.
// DSK-05, DSK-06
#[test]
fn each_piece_of_a_parked_message_is_synced_before_its_file_is_closed() {
    let bench = with_folder();
    let mut message = open(&bench, "m").begin().unwrap();
    bench.ops();
    for _ in 0..2 {
        message.write(b"x\r\n").unwrap();
        message.park().unwrap();
        message.park().unwrap();
        let done: Vec<Op> = bench.ops().into_iter().map(|(op, _)| op).filter(|op| *op != Op::Open).collect();
        assert_eq!(done, [Op::Write, Op::Sync, Op::Close]);
    }
    bench.fs.fail_at(2, EIO);
    message.write(b"y\r\n").unwrap();
    message.park().unwrap_err();
    assert!(!bench.fs.heal());
    message.commit(Flags::NONE, None).unwrap_err();
    assert_eq!(files(&bench.path("m")), [""; 0]);
    every_fault(
        with_folder,
        |bench| {
            let mut message = try_open(bench, "m")?.begin()?;
            for _ in 0..3 {
                message.write(b"x\r\n")?;
                message.park()?;
            }
            message.commit(Flags::NONE, None)
        },
        |bench, result| assert_eq!(files(&bench.path("m")).len(), usize::from(result.is_ok())),
    );
}

#[test]
fn a_message_that_turns_verbatim_leaves_nothing_either() {
    every_fault(
        with_folder,
        |bench| {
            let mut message = try_open(bench, "m")?.begin()?;
            for _ in 0..3 {
                message.write(&[&[b'x'; 50_000][..], b"\r\n"].concat())?;
            }
            message.write(b"bare\nend")?;
            message.commit(Flags::NONE, None)
        },
        |bench, result| match result {
            Err(_) => assert_eq!(files(&bench.path("m")), [""; 0]),
            // A read that does not matter failed, or the first file could not be removed and waits in tmp/ until it is old.
            Ok(_) => {
                let files = files(&bench.path("m"));
                assert!(files[0].starts_with("new/"), "{files:?}");
                assert!(files.len() == 1 || files.len() == 2 && files[1].starts_with("tmp/"), "{files:?}");
            }
        },
    );
}

#[test]
fn for_several_mailboxes_all_or_none() {
    let start = || {
        let bench = Bench::in_memory();
        for name in ["a", "b", "c"] {
            bench.folder(name);
        }
        bench
    };
    let attempt = |bench: &Bench| {
        let prepared: Result<Vec<_>, _> =
            ["a", "b", "c"].iter().map(|name| prepare(&try_open(bench, name)?, "x\r\n", Flags::NONE)).collect();
        publish_all(prepared?)
    };
    let have = |bench: &Bench, count: usize| {
        for name in ["a", "b", "c"] {
            let files = files(&bench.path(name));
            assert!(files.len() == count && files.iter().all(|file| file.starts_with("new/")), "{files:?}");
        }
    };
    let struck = each_fault(EIO, start, attempt, |bench, result| {
        result.unwrap_err();
        have(bench, 0);
    });
    assert_eq!(struck, 18);
    // What stays without effect is a read that does not matter.
    every_fault(start, attempt, |bench, result| have(bench, usize::from(result.is_ok())));
}

// MDR-04
#[test]
fn a_failed_append_leaves_no_message_and_its_uid_is_never_given_again() {
    {
        let start = || {
            let bench = with_folder();
            let folder = open(&bench, "m");
            folder.append(vec![prepare(&folder, "first\r\n", Flags::NONE).unwrap()]).unwrap();
            bench
        };
        every_fault(
            start,
            |bench| {
                let folder = try_open(bench, "m")?;
                folder.append(vec![prepare(&folder, "x\r\n", Flags::NONE)?, prepare(&folder, "y\r\n", Flags::SEEN)?])
            },
            |bench, result| {
                // The one fault that is no matter: letting go of the lock is tried twice.
                let expected = if result.is_ok() { vec![1, 2, 3] } else { vec![1] };
                let folder = open(bench, "m");
                assert_eq!(files(folder.path()).len(), expected.len());
                let mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
                assert_eq!(uids(&mailbox), expected);
                let next = folder.append(vec![prepare(&folder, "z\r\n", Flags::NONE).unwrap()]).unwrap();
                assert!(next.uids[0].get() > expected.len() as u32);
                // And so another process has it.
                let other = Maildir::open(&bench.other_process(), folder.path()).unwrap();
                let mut mailbox = Mailbox::open(&other, Access::ReadOnly).unwrap();
                assert_eq!(mailbox.uid_validity(), next.uid_validity);
                assert_eq!(text(&mut mailbox, next.uids[0]), "z\r\n");
            },
        );
    }
}

#[test]
fn a_failed_copy_leaves_nothing_and_a_failed_move_loses_nothing() {
    let start = || {
        let bench = with_folder();
        bench.folder("t");
        for n in 0..3 {
            deliver(&open(&bench, "m"), &format!("{n}\r\n")).unwrap();
        }
        Mailbox::open(&open(&bench, "m"), Access::ReadWrite).unwrap();
        bench
    };
    for moving in [false, true] {
        every_fault(
            start,
            |bench| {
                let mut mailbox = Mailbox::open(&try_open(bench, "m")?, Access::ReadWrite)?;
                let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
                let target = try_open(bench, "t")?;
                if moving { mailbox.move_to(&all, &target) } else { mailbox.copy(&all, &target) }
            },
            |bench, result| {
                let (here, there) = (files(&bench.path("m")).len(), files(&bench.path("t")).len());
                match (moving, result) {
                    (false, Ok(_)) => assert_eq!((here, there), (3, 3)),
                    (false, Err(_)) => assert_eq!((here, there), (3, 0)),
                    (true, Ok(_)) => assert_eq!((here, there), (0, 3)),
                    (true, Err(_)) => assert!(here == 3 && there == 0 || there == 3, "{here} {there}"),
                }
            },
        );
    }
}

#[test]
fn where_no_link_is_possible_the_bytes_are_copied() {
    const EXDEV: i32 = 18;
    let bench = with_folder();
    let (source, target) = (open(&bench, "m"), bench.folder("t"));
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let mut message = source.begin().unwrap();
    message.write("line\r\n".repeat(20_000).as_bytes()).unwrap();
    message.commit(Flags::SEEN, Some(date)).unwrap();
    let mut mailbox = Mailbox::open(&source, Access::ReadWrite).unwrap();
    let uid = mailbox.messages().next().unwrap().uid;
    // After the sync of the source comes the link.
    bench.fs.fail_at(1, EXDEV);
    let copied = mailbox.copy(&[uid], &target).unwrap();
    assert!(!bench.fs.heal(), "the link was refused");
    let mut there = Mailbox::open(&target, Access::ReadWrite).unwrap();
    let new = copied.uids[0].1;
    assert_eq!(text(&mut there, new), "line\r\n".repeat(20_000));
    assert_eq!((there.info(new).unwrap().date, there.message(new).unwrap().flags), (date, Flags::SEEN));
    assert_eq!(files(target.path()).len(), 1);
}

#[test]
fn after_failed_changes_the_view_is_what_the_folder_is() {
    let start = || {
        let bench = with_folder();
        for n in 0..3 {
            deliver(&open(&bench, "m"), &format!("{n}\r\n")).unwrap();
        }
        bench
    };
    every_fault(
        start,
        |bench| {
            let mut mailbox = Mailbox::open(&try_open(bench, "m")?, Access::ReadWrite)?;
            let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
            let result =
                mailbox.set_flags(&all, FlagChange::Add, Flags::FLAGGED).and_then(|_| mailbox.expunge(&all[1..]));
            let view: Vec<_> = mailbox.messages().map(|m| (m.uid, m.flags)).collect();
            let other = Maildir::open(&bench.other_process(), bench.path("m")).unwrap();
            let fresh = Mailbox::open(&other, Access::ReadOnly).unwrap();
            let there: Vec<_> = fresh.messages().map(|m| (m.uid, m.flags)).collect();
            if mailbox.refresh()?.held_back.is_none() {
                assert!(view.is_empty() || view == there, "{view:?} {there:?}");
            }
            result.map(drop)
        },
        |bench, _| {
            let mut mailbox = Mailbox::open(&open(bench, "m"), Access::ReadWrite).unwrap();
            assert!(mailbox.refresh().unwrap().is_empty());
            assert!((1..=3).contains(&mailbox.messages().count()));
        },
    );
}

// DSK-07
#[test]
fn a_full_disk_keeps_new_messages_back_and_the_old_ones_readable() {
    let bench = with_folder();
    let folder = open(&bench, "m");
    deliver(&folder, "old\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    deliver(&folder, "new\r\n").unwrap();
    // Behind the opening of the journal.
    bench.fs.fail_at(1, ENOSPC);
    let changes = mailbox.refresh().unwrap();
    assert_eq!(changes.held_back.unwrap().full(), Some(Full::Disk));
    assert_eq!((uids(&mailbox), changes.added), (vec![1], vec![]));
    assert_eq!(text(&mut mailbox, pillarbox_maildir::Uid::MIN), "old\r\n");
    let changes = mailbox.refresh().unwrap();
    assert!(changes.held_back.is_none());
    assert_eq!(uids(&mailbox), [1, 2]);
}

#[test]
fn a_failed_creation_can_be_repeated() {
    let name = MailboxName::parse("a/b", '/').unwrap();
    let start = || {
        let bench = Bench::in_memory();
        Tree::create(&bench.store, bench.path("m")).unwrap();
        bench
    };
    every_fault(
        start,
        |bench| {
            let tree = Tree::open(&bench.store, bench.path("m"))?;
            tree.create_mailbox(&name)?;
            tree.subscribe(&name).map(drop)
        },
        |bench, _| {
            let tree = Tree::open(&bench.store, bench.path("m")).unwrap();
            match tree.create_mailbox(&name) {
                Ok(_) | Err(MaildirError::MailboxExists(_)) => {}
                Err(error) => panic!("{error}"),
            }
            tree.subscribe(&name).unwrap();
            assert_eq!(tree.subscriptions().unwrap(), std::slice::from_ref(&name));
            deliver(&tree.mailbox(&name).unwrap(), "x\r\n").unwrap();
        },
    );
}

/// Whatever fails, the message is in one mailbox until its mailbox is deleted, and then there is nothing.
#[test]
fn a_failed_renaming_or_deletion_can_be_repeated() {
    let [from, to] = ["from", "to"].map(|name| MailboxName::parse(name, '/').unwrap());
    let start = || {
        let bench = Bench::in_memory();
        let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
        deliver(&tree.create_mailbox(&from).unwrap(), "x\r\n").unwrap();
        bench
    };
    every_fault(
        start,
        |bench| {
            let tree = Tree::open(&bench.store, bench.path("m"))?;
            tree.rename_mailbox(&from, &to)?;
            assert_eq!(files(tree.mailbox(&to)?.path()).len(), 1);
            tree.delete_mailbox(&to)
        },
        |bench, result| {
            let tree = Tree::open(&bench.store, bench.path("m")).unwrap();
            if let Ok(folder) = tree.mailbox(&from) {
                assert_eq!(files(folder.path()).len(), 1);
                assert!(result.is_err() && tree.mailbox(&to).is_err());
                tree.rename_mailbox(&from, &to).unwrap();
            }
            if let Ok(folder) = tree.mailbox(&to) {
                assert_eq!(files(folder.path()).len(), 1);
                tree.delete_mailbox(&to).unwrap();
            }
            Tree::open(&bench.store, bench.path("m")).unwrap();
            let left = std::fs::read_dir(bench.path("m")).unwrap().map(|entry| entry.unwrap().file_name());
            let left: Vec<_> = left.filter(|name| name.to_str().unwrap().starts_with('.')).collect();
            assert_eq!(left, [""; 0]);
        },
    );
}

/// A mailbox that was made for something has that use from its beginning, and what failed half-way leaves none to the next.
#[test]
fn a_mailbox_is_never_without_its_uses() {
    let name = MailboxName::parse("Sent", '/').unwrap();
    let start = || {
        let bench = Bench::in_memory();
        Tree::create(&bench.store, bench.path("m")).unwrap();
        bench
    };
    every_fault(
        start,
        |bench| {
            let tree = Tree::open(&bench.store, bench.path("m"))?;
            tree.create_mailbox_for(&name, &["\\Sent", "\\Archive"]).map(drop)
        },
        |bench, _| {
            let tree = Tree::open(&bench.store, bench.path("m")).unwrap();
            match tree.mailbox(&name) {
                Ok(sent) => assert_eq!(sent.special_uses().unwrap(), ["\\Sent", "\\Archive"]),
                Err(_) => {
                    let plain = tree.create_mailbox(&name).unwrap();
                    assert_eq!(plain.special_uses().unwrap(), [] as [String; 0]);
                }
            }
        },
    );
}

// MDR-08
#[test]
fn what_a_failed_change_did_is_told() {
    let bench = with_folder();
    for n in 0..3 {
        deliver(&open(&bench, "m"), &format!("{n}\r\n")).unwrap();
    }
    let mut mailbox = Mailbox::open(&open(&bench, "m"), Access::ReadWrite).unwrap();
    let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    bench.fs.fail_at(2, EIO);
    mailbox.set_flags(&all, FlagChange::Add, Flags::SEEN).unwrap_err();
    assert_eq!(mailbox.refresh().unwrap().flags, &all[..1]);
    bench.fs.fail_at(2, EIO);
    mailbox.expunge(&all).unwrap_err();
    assert_eq!(mailbox.refresh().unwrap().removed, &all[..1]);
    assert!(mailbox.refresh().unwrap().is_empty());
}

// MDR-07, MDR-08, DSK-06
#[test]
fn what_a_failed_sync_left_is_synced_before_the_next_success() {
    let bench = with_folder();
    for n in 0..2 {
        deliver(&open(&bench, "m"), &format!("{n}\r\n")).unwrap();
    }
    let mut mailbox = Mailbox::open(&open(&bench, "m"), Access::ReadWrite).unwrap();
    let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    // The journal, two messages, the journal, the directory.
    let synced = |bench: &Bench| bench.ops().contains(&(Op::SyncDir, "m/cur".to_owned()));
    bench.fs.fail_at(4, EIO);
    mailbox.set_flags(&all, FlagChange::Add, Flags::SEEN).unwrap_err();
    bench.ops();
    mailbox.set_flags(&all, FlagChange::Add, Flags::SEEN).unwrap();
    assert!(synced(&bench), "the flags are as wanted, but not on stable storage");
    bench.fs.fail_at(4, EIO);
    mailbox.expunge(&all).unwrap_err();
    bench.ops();
    mailbox.expunge(&all).unwrap();
    assert!(synced(&bench), "the files are gone, but not from stable storage");
}

// DSK-06
#[test]
fn uids_of_a_failed_sync_are_not_told_before_the_list_is_written_anew() {
    let bench = with_folder();
    let folder = open(&bench, "m");
    deliver(&folder, "old\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    deliver(&folder, "new\r\n").unwrap();
    bench.ops();
    // The journal, rename to cur/, the lock, opening the list, writing, syncing.
    bench.fs.fail_at(5, EIO);
    assert!(mailbox.refresh().unwrap().held_back.is_some());
    assert_eq!(bench.ops().last(), Some(&(Op::Unlink, "m/dovecot-uidlist.lock".to_owned())));
    // The line is in the file and can be read, but the disk may never have got it.
    assert!(std::fs::read_to_string(bench.path("m/dovecot-uidlist")).unwrap().contains("\n2 :"));
    let mut renamed = false;
    for n in 0..30 {
        bench.fs.fail_at(n + 1, ENOSPC);
        let changes = mailbox.refresh().unwrap();
        // What strikes the journal comes behind all that.
        let healed = bench.fs.heal() || mailbox.journal_trouble().is_some() || changes.held_back.is_none();
        // Where only the sync behind it failed, it is written once more.
        renamed |= bench.ops().contains(&(Op::Rename, "m/dovecot-uidlist".to_owned()));
        if healed {
            assert!(renamed, "{changes:?}");
            assert_eq!(uids(&mailbox).len(), 2);
            return;
        }
        assert_eq!((uids(&mailbox), changes.held_back.is_some()), (vec![1], true), "{n}");
    }
    panic!("never healed");
}

/// The new list is in its place, and whether the disk keeps it is not known.
// DSK-06
#[test]
fn a_list_whose_name_could_not_be_synced_is_written_anew() {
    let bench = with_folder();
    let folder = open(&bench, "m");
    deliver(&folder, "x\r\n").unwrap();
    let mut struck = false;
    for n in 0.. {
        let store = Store::new(bench.fs.clone(), Options::from_system());
        let folder = Maildir::open(&store, bench.path("m")).unwrap();
        let _ = std::fs::remove_file(bench.path("m/dovecot-uidlist"));
        bench.ops();
        bench.fs.fail_at(n, EIO);
        let result = prepare(&folder, "y\r\n", Flags::NONE).and_then(|message| folder.append(vec![message]));
        if bench.fs.heal() {
            break;
        }
        let renamed = |ops: &[(Op, String)]| ops.contains(&(Op::Rename, "m/dovecot-uidlist".to_owned()));
        let ops = bench.ops();
        folder.append(vec![prepare(&folder, "z\r\n", Flags::NONE).unwrap()]).unwrap();
        // What makes the numbers of mailboxes durable has the same name, and comes before.
        let behind = ops.iter().skip_while(|(_, path)| path != "m/dovecot-uidlist");
        if result.is_err() && renamed(&ops) && behind.clone().all(|(op, _)| *op != Op::SyncDir) {
            assert!(renamed(&bench.ops()), "{ops:?}");
            struck = true;
        }
    }
    assert!(struck);
}

/// Lines that another program wrote without a sync, and that the disk then lost: no later sync brings them back.
// DSK-06
#[test]
fn uids_of_another_program_are_not_told_after_their_sync_failed() {
    let bench = with_folder();
    for known in [true, false] {
        let store = Store::new(bench.fs.clone(), Options::from_system());
        let folder = Maildir::open(&store, bench.path("m")).unwrap();
        let mut mailbox = known.then(|| Mailbox::open(&folder, Access::ReadWrite).unwrap());
        let other = Maildir::open(&bench.other_process(), bench.path("m")).unwrap();
        let before = mailbox.as_ref().map_or(0, |mailbox| mailbox.messages().len());
        other.append(vec![prepare(&other, "x\r\n", Flags::SEEN).unwrap()]).unwrap();
        let look = |mailbox: &mut Option<Mailbox>| match mailbox {
            Some(mailbox) => mailbox.refresh().map(|changes| changes.held_back.is_some()),
            None => Mailbox::open(&folder, Access::ReadWrite).map(|opened| {
                *mailbox = Some(opened);
                false
            }),
        };
        // The journal comes first.
        bench.fs.fail_at(1, EIO);
        bench.ops();
        let first = look(&mut mailbox);
        assert!(!bench.fs.heal() && first.is_err(), "{known}");
        assert!(mailbox.as_ref().is_none_or(|mailbox| mailbox.messages().len() == before));
        bench.ops();
        look(&mut mailbox).unwrap();
        let ops = bench.ops();
        assert!(ops.contains(&(Op::Rename, "m/dovecot-uidlist".to_owned())), "{known}: {ops:?}");
        let mailbox = mailbox.unwrap();
        assert_eq!(uids(&mailbox), if known { vec![1] } else { vec![1, 2] });
    }
}

// DSK-02
#[test]
fn a_message_is_taken_back_from_a_full_disk() {
    let bench = with_folder();
    let folder = open(&bench, "m");
    let delivered = prepare(&folder, "x\r\n", Flags::NONE).unwrap().publish().unwrap();
    bench.ops();
    assert!(folder.take_back(&delivered).unwrap());
    // Nothing is made or written.
    let new = |op, name: &str| (op, name.to_owned());
    assert_eq!(bench.ops(), [new(Op::Unlink, "m/new/*"), new(Op::SyncDir, "m/new"), new(Op::SyncDir, "m/cur")]);
    assert!(!folder.take_back(&delivered).unwrap());
    let delivered = prepare(&folder, "y\r\n", Flags::NONE).unwrap().publish().unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    mailbox.set_flags(&all, FlagChange::Add, Flags::SEEN).unwrap();
    assert!(folder.take_back(&delivered).unwrap());
    assert_eq!(files(folder.path()), [""; 0]);
    assert_eq!(mailbox.refresh().unwrap().removed, all);
}
