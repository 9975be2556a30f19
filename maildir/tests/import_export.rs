//! Mail from other programs' files and into them.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pillarbox_fs::{ErrorKind, SimulatedFs};
use pillarbox_maildir::mbox::{
    ImportError, MboxReader, export_maildir, export_mbox, forget_import, import_maildir, import_mbox,
};
use pillarbox_maildir::{Access, Clock, Flags, Mailbox, Maildir, MaildirError, Options, Store};
use support::Bench;

/// Text, flags with keywords, and date of each message, in the order of UIDs.
type Shown = Vec<(Vec<u8>, BTreeSet<String>, u64)>;

fn show(folder: &Maildir) -> Shown {
    let mut open = Mailbox::open(folder, Access::ReadOnly).unwrap();
    let all: Vec<_> = open.messages().map(|message| (message.uid, message.flags)).collect();
    let shown = all.into_iter().map(|(uid, flags)| {
        let mut reader = open.read(uid).unwrap();
        let mut text = vec![0; reader.len() as usize];
        assert_eq!(reader.read_at(0, &mut text).unwrap(), text.len());
        let mut words: BTreeSet<String> = open.keyword_names(flags).into_iter().map(str::to_owned).collect();
        words.extend(flags.system().without(Flags::PASSED).to_string().chars().map(String::from));
        let date = open.info(uid).unwrap().date.duration_since(UNIX_EPOCH).unwrap().as_secs();
        (text, words, date)
    });
    shown.collect()
}

fn import(folder: &Maildir, file: &str) -> Result<pillarbox_maildir::mbox::Imported, ImportError> {
    import_mbox(folder, &mut MboxReader::new(Cursor::new(file))?, "id", |_| {})
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn shared() -> Option<PathBuf> {
    let shared = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from);
    if shared.is_none() {
        #[allow(clippy::print_stdout)]
        {
            println!("skipped: PILLARBOX_SHARED is not set");
        }
    }
    shared.map(|shared| shared.join("conformance/maildir/mox"))
}

#[test]
fn moxs_samples() {
    let Some(samples) = shared() else { return };
    let bench = Bench::new();
    let inbox = Maildir::create(&bench.store, bench.path("Maildir")).unwrap();
    let mut mbox = MboxReader::new(fs::File::open(samples.join("importtest.mbox")).unwrap()).unwrap();
    let imported = import_mbox(&inbox, &mut mbox, "importtest.mbox", |_| {}).unwrap();
    assert_eq!((imported.messages, imported.keywords_lost.len()), (2, 0));
    let mboxs = show(&inbox);
    assert!(mboxs[0].0.ends_with(b"MIME-Version: 1.0\r\nLines: 3\r\n\r\nFrom testing\r\ntest2\r\nend\r\n"));
    assert!(mboxs[1].0.ends_with(b"Lines: 1\r\n\r\ntest van c\r\n"));
    assert_eq!(mboxs[0].1, set(&["R", "F", "T", "D", "S", "$NotJunk", "$Forwarded"]));
    assert_eq!(mboxs[1].1, set(&["S"]));
    // Sun Jan 23 20:41:55 2022 and 21:02:16
    assert_eq!((mboxs[0].2, mboxs[1].2), (1_642_970_515, 1_642_971_736));

    let unpacked = std::process::Command::new("tar")
        .arg("xzf")
        .arg(samples.join("importtest.maildir.tgz"))
        .arg("-C")
        .arg(bench.dir.path())
        .status();
    assert!(unpacked.unwrap().success());
    let before = walk(&bench.path("maildir"));
    let copy = Maildir::create(&bench.store, bench.path("copy")).unwrap();
    let imported = import_maildir(&copy, &bench.path("maildir"), "maildir", |_| {}).unwrap();
    assert_eq!(imported.messages, 2);
    assert_eq!(walk(&bench.path("maildir")), before, "nothing in it changes");
    let maildirs = show(&copy);
    // `Custom` and `custom` are one keyword (RFC 9051 §2.3.2).
    assert_eq!(maildirs[0].1, set(&["R", "S", "F", "$Forwarded", "$NotJunk", "Custom"]));
    assert_eq!(maildirs[1].1, set(&["T", "$Junk", "Custom"]));
    let body = |text: &[u8]| text.windows(4).position(|w| w == b"\r\n\r\n").map(|at| text[at..].to_vec());
    assert_eq!(body(&maildirs[1].0), body(&mboxs[1].0), "the same message in both");
}

fn walk(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(walk(&entry.path())),
            false => drop(found.insert(entry.path(), fs::read(entry.path()).unwrap())),
        }
    }
    found
}

/// Messages of all kinds, in a mailbox.
fn filled(bench: &Bench, name: &str) -> Maildir {
    let folder = Maildir::create(&bench.store, bench.path(name)).unwrap();
    let date = |n: u64| Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000 + n * 86_400));
    for (n, (text, flags, keywords)) in (0..).zip([
        (
            &b"Return-Path: <a@b.example>\r\nSubject: 1\r\n\r\nFrom me\r\n>From you\r\n\r\nStatus: x\r\n"[..],
            Flags::NONE,
            &[][..],
        ),
        (b"Subject: 2\r\nStatus: RO\r\n\r\nno end", Flags::SEEN | Flags::ANSWERED, &["work", "$Junk"]),
        (b"bare\nLF\r\n", Flags::FLAGGED | Flags::DELETED | Flags::DRAFT, &["work"]),
        (b"", Flags::SEEN, &[]),
        (b"nul \0 and \xff\r\n\r\n\r\n", Flags::PASSED, &[]),
    ]) {
        let (letters, lost) = folder.keyword_flags(keywords).unwrap();
        assert!(lost.is_empty());
        let mut message = folder.begin().unwrap();
        message.write(text).unwrap();
        folder.append(vec![message.prepare(flags | letters, date(n)).unwrap()]).unwrap();
    }
    folder
}

#[test]
fn out_and_in_again() {
    let bench = Bench::new();
    let folder = filled(&bench, "a");
    let before = show(&folder);
    let mut open = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    let mut told = Vec::new();
    let exported = export_mbox(&mut open, &bench.path("a.mbox"), |progress| told.push(*progress)).unwrap();
    assert_eq!((exported.messages, exported.gone), (5, 0));
    assert_eq!((told.len(), told[0].messages, told[0].read, told[0].total), (1, 5, 5, 5));
    export_maildir(&mut open, &bench.path("a.maildir"), |_| {}).unwrap();
    let text = fs::read(bench.path("a.mbox")).unwrap();
    assert!(text.starts_with(b"From a@b.example Sun Sep  9 01:46:40 2001\nStatus: O\n"));
    for left in fs::read_dir(bench.dir.path()).unwrap() {
        assert!(!left.unwrap().file_name().to_string_lossy().starts_with('.'), "nothing is left beside it");
    }
    assert!(!bench.path("a.maildir/dovecot-uidlist").exists());

    let again = Maildir::create(&bench.store, bench.path("b")).unwrap();
    let mut mbox = MboxReader::new(fs::File::open(bench.path("a.mbox")).unwrap()).unwrap();
    import_mbox(&again, &mut mbox, "a.mbox", |_| {}).unwrap();
    assert_eq!(show(&again), before);
    let third = Maildir::create(&bench.store, bench.path("c")).unwrap();
    import_maildir(&third, &bench.path("a.maildir"), "a.maildir", |_| {}).unwrap();
    assert_eq!(show(&third), before);
    // It is a Maildir.
    let direct = Maildir::open(&bench.store, bench.path("a.maildir")).unwrap();
    assert_eq!(show(&direct), before);
    // What is there stays.
    for result in [
        export_mbox(&mut open, &bench.path("a.mbox"), |_| {}),
        export_maildir(&mut open, &bench.path("a.maildir"), |_| {}),
        export_maildir(&mut open, &bench.path("a.mbox"), |_| {}),
    ] {
        assert!(matches!(result, Err(MaildirError::Fs(error)) if error.kind() == ErrorKind::AlreadyExists));
    }
    assert_eq!(fs::read(bench.path("a.mbox")).unwrap(), text);
}

/// With flags a name may be longer than a file system takes.
#[test]
fn a_message_whose_name_has_no_room_for_flags_gets_another() {
    let bench = Bench::new();
    let folder = Maildir::create(&bench.store, bench.path("a")).unwrap();
    let name = format!("1700000000.{}", "x".repeat(255 - 11));
    fs::write(bench.path("a/new").join(name), "Subject: long\n\n").unwrap();
    support::deliver(&folder, "Subject: short\r\n\r\n").unwrap();
    let mut open = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    assert_eq!(export_maildir(&mut open, &bench.path("b"), |_| {}).unwrap().messages, 2);
    assert_eq!(texts(&Maildir::open(&bench.store, bench.path("b")).unwrap()).len(), 2);
}

#[test]
fn a_message_that_goes_meanwhile_is_counted() {
    let bench = Bench::new();
    let folder = filled(&bench, "a");
    let mut open = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    let mut other = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let uid = other.messages().nth(1).unwrap().uid;
    other.expunge(&[uid]).unwrap();
    let exported = export_mbox(&mut open, &bench.path("a.mbox"), |_| {}).unwrap();
    assert_eq!((exported.messages, exported.gone), (4, 1));
}

/// What new mail cannot be shown yet is not left out in silence.
#[test]
fn an_export_that_would_lack_messages_is_refused() {
    let bench = Bench::new();
    let folder = filled(&bench, "a");
    drop(Mailbox::open(&folder, Access::ReadWrite).unwrap());
    support::deliver(&folder, "new\r\n").unwrap();
    fs::create_dir(bench.path("a/dovecot-uidlist.lock")).unwrap();
    let mut open = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    assert_eq!(open.messages().len(), 5, "the new one is held back");
    export_mbox(&mut open, &bench.path("a.mbox"), |_| {}).unwrap_err();
    export_maildir(&mut open, &bench.path("a.maildir"), |_| {}).unwrap_err();
    assert!(!bench.path("a.mbox").exists() && !bench.path("a.maildir").exists());
}

/// A crash or a restored backup leaves two files of one name, and two names of one file.
#[test]
fn two_files_of_one_name_are_two_messages_and_two_names_of_one_file_are_one() {
    let bench = Bench::new();
    for dir in ["old/new", "old/cur", "old/tmp"] {
        fs::create_dir_all(bench.path(dir)).unwrap();
    }
    for (name, text) in
        [("new/1.a.h", "one\n"), ("cur/1.a.h:2,S", "two\n"), ("cur/1.a.h:2,FS", "three\n"), ("cur/2.b.h:2,R", "four\n")]
    {
        fs::write(bench.path("old").join(name), text).unwrap();
    }
    fs::hard_link(bench.path("old/cur/2.b.h:2,R"), bench.path("old/new/2.b.h")).unwrap();
    let folder = Maildir::create(&bench.store, bench.path("a")).unwrap();
    let imported = import_maildir(&folder, &bench.path("old"), "old", |_| {}).unwrap();
    assert_eq!(imported.messages, 4);
    let mut shown: Vec<(String, BTreeSet<String>)> =
        show(&folder).into_iter().map(|(text, flags, _)| (String::from_utf8(text).unwrap(), flags)).collect();
    shown.sort();
    let expected = [("four", &["R"][..]), ("one", &[]), ("three", &["F", "S"]), ("two", &["S"])];
    assert_eq!(shown, expected.map(|(text, flags)| (format!("{text}\r\n"), set(flags))));
}

/// Each of two files of one name has its own place among what an earlier try brought in.
#[test]
fn two_files_of_one_name_are_known_again() {
    let bench = Bench::new();
    for dir in ["old/new", "old/cur", "old/tmp"] {
        fs::create_dir_all(bench.path(dir)).unwrap();
    }
    fs::write(bench.path("old/new/1.a.h"), "one\n").unwrap();
    fs::write(bench.path("old/cur/1.a.h:2,S"), "two\n").unwrap();
    let folder = Maildir::create(&bench.store, bench.path("a")).unwrap();
    for n in 0..300 {
        fs::write(bench.path(&format!("old/new/2.{n:03}.h")), format!("more {n}\n")).unwrap();
    }
    let step = |n: usize| {
        bench.fs.fail_any_at(n, 5);
        let imported = import_maildir(&folder, &bench.path("old"), "old", |_| {});
        bench.fs.heal();
        imported
    };
    let failed = (0..)
        .step_by(500)
        .map(step)
        .find(|imported| imported.is_err() && !texts(&folder).is_empty() || imported.is_ok());
    assert!(failed.unwrap().is_err(), "it was broken off between its batches");
    assert_eq!(texts(&folder).len(), 256);
    let imported = import_maildir(&folder, &bench.path("old"), "old", |_| {}).unwrap();
    assert_eq!((imported.messages, imported.there_before), (46, 256));
    assert_eq!(texts(&folder).iter().filter(|text| ["one\r\n", "two\r\n"].contains(&text.as_str())).count(), 2);
}

#[test]
fn where_an_import_fails() {
    let bench = Bench::new();
    let folder = Maildir::create(&bench.store, bench.path("a")).unwrap();
    let error = import(&folder, "\nnot a From_ line\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: no mbox: it does not begin with `From `");
    let error = import_maildir(&folder, &bench.path("nowhere"), "id", |_| {}).unwrap_err();
    assert!(error.to_string().contains("nowhere/new"), "{error}");
    assert_eq!(show(&folder), []);
    // More keywords than letters: the messages come all the same.
    let words: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    let file = format!("From a Wed Feb  3 10:11:12 2021\nX-Keywords: {}\nA: b\n\n", words.join(" "));
    let imported = import(&folder, &file).unwrap();
    assert_eq!(
        (imported.messages, imported.keywords_lost),
        (1, ["k26", "k27", "k28", "k29"].map(String::from).to_vec())
    );
}

struct DiskClock(SimulatedFs);

impl Clock for DiskClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

fn start(disk: &SimulatedFs, seed: u64) -> Maildir {
    let mut options = Options::from_system();
    options.seed = seed;
    options.clock = Arc::new(DiskClock(disk.clone()));
    Maildir::create(&Store::new(disk.clone(), options), "/mail").unwrap()
}

fn big_file(messages: usize) -> (String, Vec<String>) {
    let texts: Vec<String> = (0..messages).map(|n| format!("Subject: {n}\r\n\r\nbody\r\n")).collect();
    let mbox = |text: &String| format!("From a Wed Feb  3 10:11:12 2021\nStatus: R\n{}\n", text.replace('\r', ""));
    (texts.iter().map(mbox).collect(), texts)
}

fn texts(folder: &Maildir) -> Vec<String> {
    show(folder).into_iter().map(|(text, ..)| String::from_utf8(text).unwrap()).collect()
}

/// The power fails after any change, or the disk does; the same import goes on and brings each message once, in order.
#[test]
fn an_import_that_is_broken_off_goes_on() {
    // Two batches and a bit. Most changes are alike, so some of the cuts are looked at.
    let (file, wanted) = big_file(2 * 256 + 3);
    let disk = SimulatedFs::new();
    let folder = start(&disk, 1);
    let mut told = vec![(disk.changes(), 0)];
    disk.record();
    let mut mbox = MboxReader::new(Cursor::new(&file)).unwrap();
    import_mbox(&folder, &mut mbox, "id", |progress| told.push((disk.changes(), progress.messages))).unwrap();
    assert_eq!(told.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [0, 256, 512, 515]);
    assert_eq!(texts(&folder), wanted);
    let cuts = disk.recorded();
    let near = |changes: u64| told.iter().any(|(at, _)| changes.abs_diff(*at) <= 6);
    let mut looked = 0;
    for cut in cuts.iter().filter(|cut| near(cut.changes()) || cut.changes() % 97 == 0) {
        for image in cut.images(3, cut.changes()) {
            looked += 1;
            image.advance(Duration::from_secs(300));
            let folder = start(&image, 1000 + looked);
            let least = told.iter().rev().find(|(at, _)| *at <= cut.changes()).unwrap().1;
            let found = texts(&folder);
            assert!(found.len() as u64 >= least, "{} of {least} that were told of, at {}", found.len(), cut.changes());
            let imported = import(&folder, &file).unwrap();
            assert!(imported.ended_before || imported.messages + imported.there_before == wanted.len() as u64);
            let (mut all, mut sorted) = (texts(&folder), wanted.clone());
            all.sort();
            sorted.sort();
            assert!(all == sorted, "{} of {} messages, at {}", all.len(), wanted.len(), cut.changes());
            assert!(!image.dump().contains(".tmp"));
        }
    }
    assert!(looked > 60, "{looked}");
}

/// The user works on with what has come, while the rest waits for somebody to begin again.
#[test]
fn what_was_moved_or_expunged_meanwhile_does_not_come_again() {
    let (file, wanted) = big_file(300);
    let disk = SimulatedFs::new();
    let folder = start(&disk, 1);
    disk.fail_at(1620, nix::errno::Errno::ENOSPC as i32, false);
    import(&folder, &file).unwrap_err();
    disk.heal();
    assert_eq!(texts(&folder).len(), 256, "a batch has come");
    let other = Maildir::create(folder.store(), "/other").unwrap();
    let mut open = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let uids: Vec<_> = open.messages().map(|message| message.uid).collect();
    open.move_to(&uids[..100], &other).unwrap();
    open.expunge(&uids[100..120]).unwrap();
    drop(open);
    // As another process, after a restart.
    let folder = start(&disk, 2);
    let imported = import(&folder, &file).unwrap();
    assert_eq!((imported.messages, imported.there_before), (44, 256));
    assert_eq!(texts(&folder), wanted[120..]);
}

#[test]
fn an_import_that_failed_goes_on_and_one_that_ended_does_not() {
    let (file, wanted) = big_file(300);
    let disk = SimulatedFs::new();
    let folder = start(&disk, 1);
    disk.fail_at(700, nix::errno::Errno::ENOSPC as i32, false);
    let error = import(&folder, &file).unwrap_err();
    assert!(error.to_string().starts_with("line "), "{error}");
    assert!(matches!(&error, ImportError::Store { error, .. } if error.full().is_some()), "{error}");
    disk.heal();
    let before = texts(&folder);
    assert!(before.is_empty() || before == wanted[..256], "{}", before.len());
    assert_eq!(disk.dump().matches("/mail/tmp/").count(), 1, "only the directory: {}", disk.dump());
    let imported = import(&folder, &file).unwrap();
    assert_eq!(imported.there_before, before.len() as u64);
    assert_eq!(texts(&folder), wanted);
    // It had ended. Only whoever says so brings all in again.
    assert!(import(&folder, &file).unwrap().ended_before);
    assert_eq!(texts(&folder).len(), 300);
    assert!(forget_import(&folder, "id").unwrap());
    assert!(!forget_import(&folder, "id").unwrap());
    let imported = import(&folder, &file).unwrap();
    assert_eq!((imported.messages, imported.there_before), (300, 0));
    assert_eq!(texts(&folder).len(), 600);
}
