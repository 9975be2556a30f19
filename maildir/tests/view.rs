//! What a mailbox shows of a folder in which others work too.

mod support;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pillarbox_fs::RealFs;
use pillarbox_maildir::{
    Access, Clock, FlagChange, Flags, Mailbox, MailboxName, Maildir, MaildirError, Options, Store, Tree, Uid,
};
use support::{Bench, deliver, files, prepare, text, uids};

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

#[test]
fn uids_follow_arrival_and_changes_are_told_once() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    for (name, content) in [("9.M20P1.h", "b\n"), ("10.M1P1.h", "c\n"), ("9.M3P1.h", "a\n")] {
        fs::write(bench.path("m/new").join(name), content).unwrap();
    }
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!([1, 2, 3].map(|n| text(&mut mailbox, uid(n))), ["a\r\n", "b\r\n", "c\r\n"]);
    assert!(mailbox.messages().all(|message| message.recent));
    assert_eq!(files(folder.path()), ["cur/10.M1P1.h:2,", "cur/9.M20P1.h:2,", "cur/9.M3P1.h:2,"]);
    assert!(mailbox.refresh().unwrap().is_empty());

    fs::rename(bench.path("m/cur/9.M3P1.h:2,"), bench.path("m/cur/9.M3P1.h:2,FS")).unwrap();
    fs::remove_file(bench.path("m/cur/9.M20P1.h:2,")).unwrap();
    deliver(&folder, "d\r\n").unwrap();
    let changes = mailbox.refresh().unwrap();
    assert_eq!((changes.added, changes.removed, changes.flags), (vec![uid(4)], vec![uid(2)], vec![uid(1)]));
    assert_eq!(mailbox.message(uid(1)).unwrap().flags, Flags::FLAGGED | Flags::SEEN);
    assert!(mailbox.refresh().unwrap().is_empty());
    assert_eq!(mailbox.uid_next(), 5);
    assert!(matches!(mailbox.read(uid(2)), Err(MaildirError::NoSuchMessage(_))));
}

#[test]
fn an_examined_mailbox_keeps_its_new_messages_new() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "x\r\n").unwrap();
    let mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    assert!(mailbox.messages().next().unwrap().recent);
    assert!(files(folder.path())[0].starts_with("new/"));
    let mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert!(mailbox.messages().next().unwrap().recent);
    let mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert!(!mailbox.messages().next().unwrap().recent);
}

// A quiet folder is not read again, and one that has just changed is.
#[test]
fn a_change_within_one_tick_of_the_disks_clock_is_seen() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    for n in 1..50 {
        deliver(&folder, "x\r\n").unwrap();
        mailbox.refresh().unwrap();
        assert_eq!(mailbox.messages().count(), n);
    }
    bench.clock.advance(Duration::from_secs(10));
    mailbox.refresh().unwrap();
    assert!(mailbox.refresh().unwrap().is_empty());
    deliver(&folder, "x\r\n").unwrap();
    assert_eq!(mailbox.refresh().unwrap().added, [uid(50)]);
}

// MDR-11
#[test]
fn only_regular_files_are_messages() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    fs::write(bench.path("secret"), "secret\n").unwrap();
    for dir in ["new", "cur"] {
        symlink(bench.path("secret"), bench.path("m").join(dir).join("1.link")).unwrap();
        fs::create_dir(bench.path("m").join(dir).join("2.dir")).unwrap();
        let status = std::process::Command::new("mkfifo").arg(bench.path("m").join(dir).join("3.pipe")).status();
        assert!(status.unwrap().success());
        fs::write(bench.path("m").join(dir).join(".hidden"), "x").unwrap();
    }
    deliver(&folder, "x\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!(uids(&mailbox), [1]);
    assert_eq!(text(&mut mailbox, uid(1)), "x\r\n");
    assert_eq!(mailbox.ignored().len(), 6);
}

/// A line of the UID list ends where its name does.
// MDR-06
#[test]
fn a_name_with_a_line_feed_is_no_message() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "x\r\n").unwrap();
    fs::write(bench.path("m/cur/1.bad\nname:2,"), "x").unwrap();
    fs::write(bench.path("m/new/2.bad\nname"), "x").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!(uids(&mailbox), [1]);
    assert_eq!(mailbox.ignored().len(), 2);
    let validity = mailbox.uid_validity();
    mailbox.refresh().unwrap();
    let other = Maildir::open(&bench.other_process(), folder.path()).unwrap();
    let other = Mailbox::open(&other, Access::ReadWrite).unwrap();
    assert_eq!((other.uid_validity(), uids(&other)), (validity, vec![1]));
    assert!(!bench.path("m/dovecot-uidlist.damaged").exists());
}

// MDR-03
#[test]
fn leftovers_in_tmp_go_when_they_are_old() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    for (name, age) in [("old", 37), ("young", 35)] {
        let file = fs::File::create(bench.path("m/tmp").join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age * 3600)).unwrap();
    }
    Mailbox::open(&folder, Access::ReadOnly).unwrap();
    assert_eq!(files(folder.path()), ["tmp/old", "tmp/young"]);
    let mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!(files(folder.path()), ["tmp/young"]);
    assert_eq!(mailbox.messages().count(), 0);
}

#[test]
fn a_flag_that_another_program_sets_at_the_same_time_stays() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "a\r\n").unwrap();
    let mut ours = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let theirs = Maildir::open(&bench.other_process(), folder.path()).unwrap();
    let mut theirs = Mailbox::open(&theirs, Access::ReadWrite).unwrap();
    theirs.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
    assert_eq!(ours.set_flags(&[uid(1)], FlagChange::Add, Flags::FLAGGED).unwrap(), [uid(1)]);
    theirs.refresh().unwrap();
    for mailbox in [&ours, &theirs] {
        assert_eq!(mailbox.message(uid(1)).unwrap().flags, Flags::SEEN | Flags::FLAGGED);
    }
}

/// A clock that lets another program work while we wait.
struct Meanwhile<F>(F);

impl<F: Fn() + Send + Sync> Clock for Meanwhile<F> {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, _: Duration) {
        (self.0)();
    }
}

#[test]
fn a_letter_that_another_program_gave_away_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_path_buf();
    let mut options = Options::from_system();
    options.clock = Arc::new(Meanwhile(move || {
        fs::write(path.join("dovecot-keywords"), "0 mine\n1 theirs\n").unwrap();
        fs::remove_file(path.join("dovecot-uidlist.lock")).unwrap();
    }));
    let folder = Maildir::create(&Store::new(RealFs, options), dir.path()).unwrap();
    assert_eq!(folder.keyword_flags(&["mine"]).unwrap().0, Flags::keyword(0).unwrap());
    // They hold the lock when we come.
    fs::write(dir.path().join("dovecot-uidlist.lock"), "").unwrap();
    assert_eq!(folder.keyword_flags(&["ours"]).unwrap().0, Flags::keyword(2).unwrap());
    let keywords: Vec<_> = folder.keywords().unwrap().iter().map(|(n, name)| format!("{n} {name}")).collect();
    assert_eq!(keywords, ["0 mine", "1 theirs", "2 ours"]);
}

// MDR-05, MDR-06
#[test]
fn a_lost_list_gets_a_greater_uidvalidity() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "a\r\n").unwrap();
    deliver(&folder, "b\r\n").unwrap();
    let list = bench.path("m/dovecot-uidlist");
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let mut last = mailbox.uid_validity();
    let contents: [Option<&[u8]>; 6] = [
        None,
        Some(b""),
        Some(b"\0\xff\0\0"),
        Some(b"3 V1 N1\nx\n"),
        Some(b"3 V4000000000 N9\n2 :a\n1 :b\n"),
        Some(b"1 2 3\n"),
    ];
    for content in contents {
        match content {
            None => fs::remove_file(&list).unwrap(),
            Some(bytes) => fs::write(&list, bytes).unwrap(),
        }
        let changes = mailbox.refresh().unwrap();
        assert!(changes.reset, "{content:?}");
        if let Some(bytes) = content {
            let kept = fs::read(bench.path("m/dovecot-uidlist.damaged")).unwrap();
            assert_eq!(kept, bytes, "nothing is deleted that somebody may want to look at");
        }
        assert_eq!(changes.added, [uid(1), uid(2)]);
        assert!(mailbox.uid_validity() > last, "{content:?}");
        last = mailbox.uid_validity();
        // A process that remembers nothing agrees.
        let other = Maildir::open(&bench.other_process(), folder.path()).unwrap();
        assert_eq!(Mailbox::open(&other, Access::ReadOnly).unwrap().uid_validity(), last);
    }
    assert!(last > 4_000_000_000, "a damaged list's own claim counts");
    // And so does one to which nobody has told the old value.
    fs::remove_file(&list).unwrap();
    let other = Maildir::open(&bench.other_process(), folder.path()).unwrap();
    assert!(Mailbox::open(&other, Access::ReadOnly).unwrap().uid_validity() > last);
}

#[test]
fn a_torn_line_costs_its_number_and_nothing_else() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "a\r\n").unwrap();
    let validity = Mailbox::open(&folder, Access::ReadWrite).unwrap().uid_validity();
    let list = bench.path("m/dovecot-uidlist");
    fs::write(&list, [&fs::read(&list).unwrap()[..], b"2 :torn.na"].concat()).unwrap();
    deliver(&folder, "b\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!((mailbox.uid_validity(), uids(&mailbox)), (validity, vec![1, 3]));
    assert_eq!(text(&mut mailbox, uid(3)), "b\r\n");
    assert!(!fs::read_to_string(&list).unwrap().contains("torn"));
}

// RFC 9051 §2.3.1.1: a UID below UIDNEXT must not turn up in a mailbox where it was not.
#[test]
fn a_message_that_comes_back_gets_a_new_uid() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "a\r\n").unwrap();
    deliver(&folder, "b\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let names = files(folder.path());
    let (path, aside) = (bench.path("m").join(&names[0]), bench.path("aside"));
    fs::rename(&path, &aside).unwrap();
    assert_eq!(mailbox.refresh().unwrap().removed, [uid(1)]);
    fs::rename(&aside, &path).unwrap();
    assert_eq!(mailbox.refresh().unwrap().added, [uid(3)]);
    assert_eq!(text(&mut mailbox, uid(3)), "a\r\n");
    let other = Maildir::open(&bench.other_process(), folder.path()).unwrap();
    assert_eq!(uids(&Mailbox::open(&other, Access::ReadOnly).unwrap()), [2, 3]);
}

#[test]
fn two_files_of_one_name_are_two_messages_and_two_names_of_one_file_are_one() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    fs::write(bench.path("m/cur/1.x.h:2,"), "one\n").unwrap();
    fs::write(bench.path("m/cur/1.x.h:2,S"), "two\n").unwrap();
    fs::write(bench.path("m/cur/2.x.h:2,S"), "three\n").unwrap();
    fs::hard_link(bench.path("m/cur/2.x.h:2,S"), bench.path("m/new/2.x.h")).unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    mailbox.refresh().unwrap();
    let mut texts: Vec<String> = uids(&mailbox).into_iter().map(|n| text(&mut mailbox, uid(n))).collect();
    texts.sort();
    assert_eq!(texts, ["one\r\n", "three\r\n", "two\r\n"]);
    assert_eq!(files(folder.path()).len(), 3);
}

#[test]
fn lines_of_removed_messages_go_when_they_are_many() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    for _ in 0..300 {
        let message = prepare(&folder, "x\r\n", Flags::NONE).unwrap();
        folder.append(vec![message]).unwrap();
    }
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let all: Vec<Uid> = mailbox.messages().map(|message| message.uid).collect();
    mailbox.expunge(&all[10..]).unwrap();
    let lines = || fs::read_to_string(bench.path("m/dovecot-uidlist")).unwrap().lines().count();
    assert_eq!(lines(), 301);
    deliver(&folder, "y\r\n").unwrap();
    mailbox.refresh().unwrap();
    assert_eq!((lines(), mailbox.uid_next()), (12, 302));
}

#[test]
fn keywords_have_letters_and_go_along_with_copies() {
    let bench = Bench::new();
    let (folder, target) = (bench.folder("m"), bench.folder("t"));
    deliver(&folder, "x\r\n").unwrap();
    target.keyword_flags(&["other", "another"]).unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let (flags, left) = folder.keyword_flags(&["$Junk", "Work", "not an atom"]).unwrap();
    assert_eq!((flags.to_string(), left), ("ab".into(), vec!["not an atom".into()]));
    mailbox.set_flags(&[uid(1)], FlagChange::Add, flags | Flags::SEEN).unwrap();
    assert!(mailbox.refresh().unwrap().keywords);
    assert_eq!(mailbox.keyword_names(mailbox.message(uid(1)).unwrap().flags), ["$Junk", "Work"]);
    mailbox.copy(&[uid(1)], &target).unwrap();
    let there = Mailbox::open(&target, Access::ReadOnly).unwrap();
    let message = there.messages().next().unwrap();
    assert_eq!(message.flags.to_string(), "Scd");
    assert_eq!(there.keyword_names(message.flags), ["$Junk", "Work"]);
    assert_eq!(fs::read_to_string(bench.path("t/dovecot-keywords")).unwrap(), "0 other\n1 another\n2 $Junk\n3 Work\n");
}

/// As Dovecot has it: the name is the GUID, where the line does not tell another, and a copy has that of its source.
#[test]
fn a_copy_has_the_guid_of_its_source() {
    let bench = Bench::new();
    let (folder, target, third) = (bench.folder("m"), bench.folder("t"), bench.folder("u"));
    for name in ["1.M1P1.h,S=2,W=3:2,", "2.M1P1.h:2,S", "3.M1P1.a b:2,"] {
        fs::write(bench.path("m/cur").join(name), "x\n").unwrap();
    }
    let list = "3 V7 N3 G00112233445566778899aabbccddeeff\n1 :1.M1P1.h,S=2,W=3\n2 Gof-old P17 :2.M1P1.h\n";
    fs::write(bench.path("m/dovecot-uidlist"), list).unwrap();
    let guids = |mailbox: &Mailbox| {
        mailbox.messages().map(|message| String::from_utf8(message.guid.to_vec()).unwrap()).collect::<Vec<_>>()
    };
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!(guids(&mailbox), ["1.M1P1.h,S=2,W=3", "of-old", "3.M1P1.a b"]);
    mailbox.copy(&[uid(1), uid(2), uid(3)], &target).unwrap();
    let mut there = Mailbox::open(&target, Access::ReadWrite).unwrap();
    let copied = guids(&there);
    assert_eq!(copied[..2], ["1.M1P1.h,S=2,W=3", "of-old"]);
    // A value in a line cannot hold a space.
    assert_eq!(copied[2].as_bytes(), there.message(uid(3)).unwrap().name);
    // Again, in a process that knows nothing but the files.
    there.move_to(&[uid(1), uid(2)], &third).unwrap();
    let other = Maildir::open(&bench.other_process(), third.path()).unwrap();
    assert_eq!(guids(&Mailbox::open(&other, Access::ReadWrite).unwrap()), copied[..2]);
    let lines = fs::read_to_string(bench.path("u/dovecot-uidlist")).unwrap();
    assert!(lines.contains("1 G1.M1P1.h,S=2,W=3 :") && lines.contains("2 Gof-old :"), "{lines}");
    assert!(fs::read_to_string(bench.path("m/dovecot-uidlist")).unwrap().contains("\n2 Gof-old P17 :2.M1P1.h\n"));
}

#[test]
fn sizes_that_no_name_tells_are_in_the_list() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    for (name, content) in
        [("1.h", "a\n"), ("2.h,S=4", "a\nb\n"), ("3.h,S=2,W=3", "a\n"), ("4.h", "a\nb\n"), ("5.h", "a\n")]
    {
        fs::write(bench.path("m/cur").join(format!("{name}:2,")), content).unwrap();
    }
    // The last is a lie, which its reader sees through.
    let list = "3 V7 N5 G00\n1 S2 W3 :1.h\n2 W6 :2.h,S=4\n3 S9 W9 :3.h,S=2,W=3\n4 :4.h\n5 W8 S8 :5.h\n";
    fs::write(bench.path("m/dovecot-uidlist"), list).unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let told: Vec<_> = mailbox.messages().map(|message| message.size).collect();
    assert_eq!(told, [Some(3), Some(6), Some(3), None, Some(8)]);
    assert_eq!([1, 2, 3, 4, 5].map(|n| mailbox.info(uid(n)).unwrap().size), [3, 6, 3, 6, 3]);
    assert_eq!([4, 5].map(|n| text(&mut mailbox, uid(n))), ["a\r\nb\r\n", "a\r\n"]);
    assert_eq!(mailbox.message(uid(4)).unwrap().size, Some(6), "it was counted");
}

/// What was counted is written down when the list is written anyway.
#[test]
fn sizes_that_were_counted_are_kept_when_the_list_is_written_anew() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    for n in 0..300 {
        fs::write(bench.path("m/cur").join(format!("{n}.h:2,")), "a\n").unwrap();
    }
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let all: Vec<Uid> = mailbox.messages().map(|message| message.uid).collect();
    for uid in &all[..2] {
        assert_eq!(mailbox.info(*uid).unwrap().size, 3);
    }
    mailbox.expunge(&all[3..]).unwrap();
    deliver(&folder, "y\r\n").unwrap();
    bench.clock.advance(Duration::from_secs(10));
    mailbox.refresh().unwrap();
    let lines = fs::read_to_string(bench.path("m/dovecot-uidlist")).unwrap();
    let lines: Vec<&str> = lines.lines().skip(1).take(3).collect();
    assert_eq!(lines, ["1 S2 W3 :0.h", "2 S2 W3 :1.h", "3 :2.h"]);
}

#[test]
fn a_copy_of_what_is_not_there_copies_nothing() {
    let bench = Bench::new();
    let (folder, target) = (bench.folder("m"), bench.folder("t"));
    deliver(&folder, "x\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert!(matches!(mailbox.copy(&[uid(1), uid(7)], &target), Err(MaildirError::NoSuchMessage(_))));
    assert_eq!(files(target.path()), [""; 0]);
}

#[test]
fn a_reader_reads_on_when_the_message_is_gone() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "still here\r\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let mut reader = mailbox.read(uid(1)).unwrap();
    mailbox.expunge(&[uid(1)]).unwrap();
    let mut bytes = [0; 12];
    assert_eq!(reader.read_at(0, &mut bytes).unwrap(), 12);
    assert_eq!(&bytes, b"still here\r\n");
}

#[test]
fn bytes_come_back_as_they_came() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    let large = ["line\r\n".repeat(30_000), "bare\nlf\r\n".into(), "line\r\n".repeat(30_000)].concat();
    let messages = ["", "\r\n", "a\nb\r\nc\r\n", "a\rb\r\n", "a\r\r\nb", "no end", "a\r", "\n", &large];
    for message in messages {
        folder.append(vec![prepare(&folder, message, Flags::NONE).unwrap()]).unwrap();
    }
    let mut mailbox = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    for (n, message) in messages.iter().enumerate() {
        let uid = uid(n as u32 + 1);
        assert!(text(&mut mailbox, uid) == *message, "message {n}");
        assert_eq!(mailbox.info(uid).unwrap().size, message.len() as u64);
        assert_eq!(mailbox.message(uid).unwrap().size, Some(message.len() as u64));
    }
}

#[test]
fn a_lock_is_waited_for_and_broken_when_stale() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    deliver(&folder, "x\r\n").unwrap();
    let lock = bench.path("m/dovecot-uidlist.lock");
    fs::write(&lock, "").unwrap();
    assert!(matches!(Mailbox::open(&folder, Access::ReadOnly), Err(MaildirError::Locked(_))), "patience is shorter");
    assert!(lock.exists());
    // The test's clock moved on while it waited; two minutes after the lock was made it belongs to nobody.
    bench.clock.advance(Duration::from_secs(120));
    assert_eq!(uids(&Mailbox::open(&folder, Access::ReadOnly).unwrap()), [1]);
    assert!(!lock.exists());
}

// MDR-14
#[test]
fn an_account_has_so_many_mailboxes() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = pillarbox_maildir::Options::from_system();
    options.mailboxes_max = 2;
    let store = pillarbox_maildir::Store::new(pillarbox_fs::RealFs, options);
    let tree = pillarbox_maildir::Tree::create(&store, folder.path().join("Maildir")).unwrap();
    let name = |name: &str| pillarbox_maildir::MailboxName::parse(name, '/').unwrap();
    tree.create_mailbox(&name("a")).unwrap();
    tree.create_mailbox(&name("b/c")).unwrap();
    let error = tree.create_mailbox(&name("d")).unwrap_err();
    assert!(matches!(error, pillarbox_maildir::MaildirError::TooManyMailboxes), "{error}");
    tree.delete_mailbox(&name("a")).unwrap();
    tree.create_mailbox(&name("d")).unwrap();
}

#[test]
fn trees_are_renamed_and_deleted() {
    let bench = Bench::new();
    let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
    let name = |name: &str| MailboxName::parse(name, '/').unwrap();
    let listed = |tree: &Tree| {
        let show = |l: pillarbox_maildir::Listed| format!("{}{}", l.name, if l.exists { "" } else { " (level)" });
        tree.list().unwrap().into_iter().map(show).collect::<Vec<_>>()
    };
    let mut validities = Vec::new();
    for mailbox in ["a", "a/b/c", "ab", "Täst"] {
        let maildir = tree.create_mailbox(&name(mailbox)).unwrap();
        validities.push(Mailbox::open(&maildir, Access::ReadOnly).unwrap().uid_validity());
        assert!(matches!(tree.create_mailbox(&name(mailbox)), Err(MaildirError::MailboxExists(_))));
    }
    assert!(validities.is_sorted_by(|a, b| a < b), "{validities:?}");
    deliver(&tree.mailbox(&name("a/b/c")).unwrap(), "deep\r\n").unwrap();
    assert_eq!(listed(&tree), ["INBOX", "Täst", "a", "a/b (level)", "a/b/c", "ab"]);
    assert!(matches!(tree.rename_mailbox(&name("a"), &name("ab")), Err(MaildirError::MailboxExists(_))));
    assert!(matches!(tree.rename_mailbox(&name("x"), &name("y")), Err(MaildirError::NoSuchMailbox(_))));

    let mut open = Mailbox::open(&tree.mailbox(&name("a/b/c")).unwrap(), Access::ReadWrite).unwrap();
    tree.rename_mailbox(&name("a"), &name("z/y")).unwrap();
    assert_eq!(listed(&tree), ["INBOX", "Täst", "ab", "z (level)", "z/y", "z/y/b (level)", "z/y/b/c"]);
    assert!(open.refresh().is_err(), "the folder that was open is not there any more");
    let mut there = Mailbox::open(&tree.mailbox(&name("z/y/b/c")).unwrap(), Access::ReadWrite).unwrap();
    assert_eq!(text(&mut there, uid(1)), "deep\r\n");

    tree.delete_mailbox(&name("z/y")).unwrap();
    assert!(matches!(tree.delete_mailbox(&name("z/y")), Err(MaildirError::NoSuchMailbox(_))));
    assert!(matches!(tree.delete_mailbox(&name("inbox")), Err(MaildirError::Inbox)));
    assert_eq!(listed(&tree), ["INBOX", "Täst", "ab", "z (level)", "z/y (level)", "z/y/b (level)", "z/y/b/c"]);
    let again = tree.create_mailbox(&name("z/y")).unwrap();
    assert!(Mailbox::open(&again, Access::ReadOnly).unwrap().uid_validity() > *validities.last().unwrap());

    // RFC 9051 §6.3.6
    let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
    deliver(&inbox, "in the inbox\r\n").unwrap();
    tree.rename_mailbox(&name("INBOX"), &name("old")).unwrap();
    assert_eq!(Mailbox::open(&inbox, Access::ReadWrite).unwrap().messages().count(), 0);
    let mut old = Mailbox::open(&tree.mailbox(&name("old")).unwrap(), Access::ReadWrite).unwrap();
    assert_eq!(text(&mut old, uid(1)), "in the inbox\r\n");
}

#[test]
fn what_a_crash_left_of_a_deletion_is_removed_and_links_lead_nowhere() {
    let bench = Bench::new();
    let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
    tree.create_mailbox(&MailboxName::parse("a", '/').unwrap()).unwrap();
    fs::rename(bench.path("m/.a"), bench.path("m/..pillarbox-deleted.1")).unwrap();
    Maildir::create(&bench.store, bench.path("elsewhere")).unwrap();
    symlink(bench.path("elsewhere"), bench.path("m/.link")).unwrap();
    symlink(bench.path("elsewhere"), bench.path("m/..pillarbox-deleted.2")).unwrap();
    let tree = Tree::open(&bench.store, bench.path("m")).unwrap();
    assert_eq!(tree.list().unwrap().len(), 1);
    assert!(!bench.path("m/..pillarbox-deleted.1").exists());
    assert!(bench.path("elsewhere/cur").exists());
    assert!(tree.mailbox(&MailboxName::parse("link", '/').unwrap()).is_err());
}

/// One process: a store of its own, whose waiting does not sleep.
fn process() -> Store {
    struct Yielding;
    impl pillarbox_maildir::Clock for Yielding {
        fn now(&self) -> SystemTime {
            SystemTime::now()
        }
        fn sleep(&self, _: Duration) {
            std::thread::yield_now();
        }
    }
    let mut options = Options::from_system();
    options.clock = std::sync::Arc::new(Yielding);
    options.lock_patience = Duration::from_secs(1 << 40);
    Store::new(pillarbox_fs::RealFs, options)
}

// MDR-09, MDR-10, MDR-12
#[test]
fn writers_and_readers_of_several_processes_agree() {
    const EACH: usize = 150;
    let bench = Bench::new();
    let path = bench.folder("m").path().to_path_buf();
    let (done, still) = (AtomicBool::new(false), Barrier::new(2));
    let open = || Maildir::open(&process(), &path).unwrap();
    let (appended, views) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let folder = open();
                scope.spawn(move || {
                    let mut appended = Vec::new();
                    for n in 0..EACH {
                        let content = format!("{writer} {n}\r\n");
                        if n % 3 == 0 {
                            let message = prepare(&folder, &content, Flags::FLAGGED).unwrap();
                            appended.push((folder.append(vec![message]).unwrap().uids[0], content));
                        } else {
                            deliver(&folder, &content).unwrap();
                        }
                    }
                    appended
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let folder = open();
                let (done, still) = (&done, &still);
                scope.spawn(move || {
                    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
                    let mut names: HashMap<Uid, Vec<u8>> = HashMap::new();
                    let mut newest = 0;
                    let mut last_round = false;
                    loop {
                        let changes = mailbox.refresh().unwrap();
                        assert!(!changes.reset);
                        assert_eq!(changes.removed, [], "nobody removes anything");
                        for uid in &changes.added {
                            assert!(uid.get() > newest, "{uid} came after {newest}");
                        }
                        newest = changes.added.last().map_or(newest, |uid| uid.get());
                        for message in mailbox.messages() {
                            let name = names.entry(message.uid).or_insert_with(|| message.name.to_vec());
                            assert_eq!(name, message.name, "a UID names one message");
                            newest = newest.max(message.uid.get());
                        }
                        if last_round {
                            return names;
                        }
                        // Renames all the time, under the other reader's eyes.
                        let some: Vec<Uid> = mailbox.messages().map(|message| message.uid).step_by(2).collect();
                        let flag = if reader == 0 { Flags::SEEN } else { Flags::ANSWERED };
                        let how = if newest % 2 == 0 { FlagChange::Add } else { FlagChange::Remove };
                        mailbox.set_flags(&some, how, flag).unwrap();
                        // A file without a UID may be missed while the other reader renames; nobody renames in the last round.
                        if done.load(Ordering::SeqCst) && !last_round {
                            still.wait();
                            last_round = true;
                        }
                    }
                })
            })
            .collect();
        let appended: Vec<_> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        done.store(true, Ordering::SeqCst);
        (appended, readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>())
    });
    let mut mailbox = Mailbox::open(&open(), Access::ReadWrite).unwrap();
    assert_eq!(mailbox.messages().count(), 2 * EACH);
    for (uid, content) in &appended {
        assert_eq!(text(&mut mailbox, *uid), *content);
    }
    let mut texts: Vec<String> = uids(&mailbox).into_iter().map(|n| text(&mut mailbox, uid(n))).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 2 * EACH);
    for view in views {
        assert_eq!(view.len(), 2 * EACH);
        for (uid, name) in view {
            assert_eq!(mailbox.message(uid).unwrap().name, name);
        }
    }
}

// MDR-03
#[test]
fn a_message_of_an_old_date_is_no_leftover() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    let mut message = folder.begin().unwrap();
    message.write(b"x\r\n").unwrap();
    let prepared = message.prepare(Flags::NONE, Some(UNIX_EPOCH)).unwrap();
    Mailbox::open(&folder, Access::ReadWrite).unwrap();
    prepared.publish().unwrap();
}

#[test]
fn a_message_taken_out_of_new_takes_the_place_of_none() {
    let bench = Bench::new();
    let folder = bench.folder("m");
    fs::write(bench.path("m/cur/1.x.h:2,"), "one\n").unwrap();
    fs::write(bench.path("m/new/1.x.h"), "two\n").unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let mut texts: Vec<String> = uids(&mailbox).into_iter().map(|n| text(&mut mailbox, uid(n))).collect();
    texts.sort();
    assert_eq!(texts, ["one\r\n", "two\r\n"]);
}

#[test]
fn a_number_in_capitals_is_none() {
    let bench = Bench::new();
    let tree = Tree::create(&bench.store, bench.path("a")).unwrap();
    fs::write(bench.path("a/dovecot-uidvalidity.FFFF0000"), "").unwrap();
    tree.create_mailbox(&MailboxName::parse("x", '/').unwrap()).unwrap();
}

// MBX-01
#[test]
fn nothing_is_made_behind_a_link() {
    let bench = Bench::new();
    let tree = Tree::create(&bench.store, bench.path("a")).unwrap();
    fs::create_dir(bench.path("elsewhere")).unwrap();
    symlink(bench.path("elsewhere"), bench.path("a/.x")).unwrap();
    tree.create_mailbox(&MailboxName::parse("x", '/').unwrap()).unwrap_err();
    assert_eq!(fs::read_dir(bench.path("elsewhere")).unwrap().count(), 0);
}

#[test]
fn the_mail_may_stand_behind_a_link() {
    let bench = Bench::new();
    fs::create_dir(bench.path("disk")).unwrap();
    symlink(bench.path("disk"), bench.path("mail")).unwrap();
    deliver(&Maildir::create(&bench.store, bench.path("mail/joe")).unwrap(), "x\r\n").unwrap();
    let other = Maildir::open(&bench.other_process(), bench.path("mail/joe")).unwrap();
    deliver(&other, "x\r\n").unwrap();
}
