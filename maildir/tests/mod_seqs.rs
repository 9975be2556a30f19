//! Mod-sequences: the same for all who use a folder, whoever changed it.

mod support;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Fs, Op, RealFs};
use pillarbox_maildir::{Access, Clock, FlagChange, Flags, Mailbox, Maildir, MaildirError, Options, Store, Uid};
use support::{Bench, deliver, files, uids};

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn with_messages(count: u32) -> Bench {
    let bench = Bench::new();
    let folder = bench.folder("m");
    for n in 0..count {
        deliver(&folder, &format!("{n}\r\n")).unwrap();
    }
    bench
}

fn open(bench: &Bench) -> Mailbox {
    Mailbox::open(&Maildir::open(&bench.store, bench.path("m")).unwrap(), Access::ReadWrite).unwrap()
}

/// A second server.
fn other(bench: &Bench) -> Mailbox {
    let folder = Maildir::open(&bench.other_process(), bench.path("m")).unwrap();
    Mailbox::open(&folder, Access::ReadWrite).unwrap()
}

/// Mod-sequences by rising UID.
fn numbers(mailbox: &Mailbox) -> Vec<u64> {
    mailbox.messages().map(|message| mailbox.mod_seq(message.uid).expect("each has one")).collect()
}

fn highest(mailbox: &Mailbox) -> u64 {
    mailbox.highest_mod_seq().expect("there are mod-sequences")
}

/// Another program gives the message of this place, or takes from it, whatever flags.
fn rename(bench: &Bench, place: usize, flags: &str) {
    let name = files(&bench.path("m")).into_iter().filter(|name| name.starts_with("cur/")).nth(place).unwrap();
    let (base, _) = name.split_once(":2,").unwrap();
    fs::rename(bench.path("m").join(&name), bench.path("m").join(format!("{base}:2,{flags}"))).unwrap();
}

#[test]
fn two_servers_have_the_same_numbers() {
    let bench = with_messages(3);
    let (mut one, mut two) = (open(&bench), other(&bench));
    assert_eq!(numbers(&one), numbers(&two));
    let start = highest(&one);
    assert_eq!(start, highest(&two));

    // At once, in the same step of the file system's clock: what the other did is told before what is done.
    one.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
    assert!(one.news().is_empty(), "its own changes are not news");
    two.set_flags(&[uid(2)], FlagChange::Add, Flags::FLAGGED).unwrap();
    assert_eq!(two.news().flags, [uid(1)]);
    one.set_flags(&[uid(3)], FlagChange::Add, Flags::ANSWERED).unwrap();
    assert_eq!(one.news().flags, [uid(2)]);
    assert_eq!(numbers(&one), [start + 1, start + 2, start + 3]);
    two.refresh().unwrap();
    assert_eq!(numbers(&two), numbers(&one));

    one.expunge(&[uid(1), uid(3)]).unwrap();
    two.expunge(&[uid(2)]).unwrap();
    assert_eq!(two.news().removed, [uid(1), uid(3)]);
    assert_eq!(two.removed_at(&[uid(1), uid(2), uid(3)]), [Some(start + 4), Some(start + 5), Some(start + 4)]);
    assert_eq!(one.refresh().unwrap().removed, [uid(2)]);
    assert_eq!(one.removed_since(start + 4), Some(vec![(uid(2), uid(2))]));

    // A server that is started again goes on.
    drop((one, two));
    deliver(&bench.folder("m"), "new\r\n").unwrap();
    let again = open(&bench);
    assert_eq!((uids(&again), numbers(&again), highest(&again)), (vec![4], vec![start + 6], start + 6));
    assert_eq!(again.removed_since(start + 5), Some(vec![]));
}

/// What another program changed is counted before our own change, also where nobody has looked.
#[test]
fn another_programs_change_comes_first() {
    let bench = with_messages(3);
    let mut mailbox = open(&bench);
    let start = highest(&mailbox);
    bench.clock.advance(Duration::from_secs(5));
    mailbox.refresh().unwrap();
    rename(&bench, 0, "F");
    bench.clock.advance(Duration::from_secs(5));
    mailbox.set_flags(&[uid(2)], FlagChange::Add, Flags::SEEN).unwrap();
    assert_eq!(mailbox.news().flags, [uid(1)]);
    assert_eq!(numbers(&mailbox)[..2], [start + 1, start + 2]);

    bench.clock.advance(Duration::from_secs(5));
    rename(&bench, 2, "R");
    bench.clock.advance(Duration::from_secs(5));
    mailbox.expunge(&[uid(1)]).unwrap();
    assert_eq!(mailbox.news().flags, [uid(3)]);
    assert_eq!((numbers(&mailbox), highest(&mailbox)), (vec![start + 2, start + 3], start + 4));
}

// RFC 7162 §3.1.3
#[test]
fn who_is_too_late_is_refused() {
    let bench = with_messages(3);
    let (mut one, mut two) = (open(&bench), other(&bench));
    let start = highest(&one);
    two.set_flags(&[uid(2)], FlagChange::Add, Flags::SEEN).unwrap();
    bench.clock.advance(Duration::from_secs(5));
    rename(&bench, 2, "F");
    let all = [uid(1), uid(2), uid(3), uid(9)];
    let set = one.set_flags_unless_changed(&all, FlagChange::Add, Flags::DELETED, start).unwrap();
    assert_eq!((set.changed, set.refused), (vec![uid(1)], vec![uid(2), uid(3)]));
    assert_eq!(one.message(uid(2)).unwrap().flags, Flags::SEEN);
    let now = highest(&one);
    let set = one.set_flags_unless_changed(&all, FlagChange::Add, Flags::DELETED, now).unwrap();
    assert_eq!((set.changed, set.refused), (vec![uid(2), uid(3)], vec![]));
    let set = one.set_flags_unless_changed(&all[..1], FlagChange::Replace, Flags::NONE, 0).unwrap();
    assert_eq!(set.refused, [uid(1)]);
}

/// Another program's change comes between the comparison and the change of ours.
// RFC 7162 §3.1.3
#[test]
fn who_is_too_late_by_a_moment_is_refused() {
    let bench = with_messages(2);
    drop(open(&bench));
    let (fs, deed) = meddled();
    let mut options = Options::from_system();
    options.clock = bench.clock.clone();
    let folder = Maildir::open(&Store::new(fs, options), bench.path("m")).unwrap();
    let mut mailbox = Mailbox::open(&folder, Access::ReadWrite).unwrap();
    let start = highest(&mailbox);
    for condition in [Some(start), None] {
        let program_flags = if condition.is_some() { "F" } else { "FR" };
        let name = format!("cur/{}:2,", String::from_utf8_lossy(mailbox.message(uid(1)).unwrap().name));
        let (path, program_flags) = (bench.path("m"), program_flags.to_owned());
        *deed.lock().unwrap() = Some(Box::new(move || {
            let old = files(&path).into_iter().find(|file| file.starts_with(&name)).unwrap();
            fs::rename(path.join(old), path.join(format!("{name}{program_flags}"))).unwrap();
        }));
        match condition {
            Some(since) => {
                let both = [uid(1), uid(2)];
                let set = mailbox.set_flags_unless_changed(&both, FlagChange::Add, Flags::SEEN, since).unwrap();
                assert_eq!((set.changed, set.refused), (vec![uid(2)], vec![uid(1)]));
                assert_eq!(mailbox.message(uid(1)).unwrap().flags, Flags::FLAGGED);
            }
            None => {
                mailbox.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
                let all = Flags::FLAGGED | Flags::ANSWERED | Flags::SEEN;
                assert_eq!(mailbox.message(uid(1)).unwrap().flags, all);
            }
        }
    }
}

/// What somebody does once.
type Deed = Box<dyn FnOnce() + Send>;

/// The real file system, with a deed just before the next file is renamed.
fn meddled() -> (Watched, Arc<Mutex<Option<Deed>>>) {
    let deed = Arc::<Mutex<Option<Deed>>>::default();
    let next = Arc::clone(&deed);
    let fs = Watched::new(RealFs).before(move |op, _| {
        // The lock is not held during it, as it may rename something itself.
        let deed = if op == Op::Rename { next.lock().unwrap().take() } else { None };
        if let Some(deed) = deed {
            deed();
        }
    });
    (fs, deed)
}

#[test]
fn keywords_that_get_another_name_are_changes() {
    let bench = with_messages(2);
    let mut mailbox = open(&bench);
    let (flag, _) = mailbox.maildir().keyword_flags(&["work"]).unwrap();
    mailbox.set_flags(&[uid(1)], FlagChange::Add, flag).unwrap();
    let start = highest(&mailbox);
    mailbox.refresh().unwrap();
    assert_eq!(highest(&mailbox), start, "the new keyword is counted with the flag");
    fs::write(bench.path("m/dovecot-keywords"), "0 home\n").unwrap();
    assert!(mailbox.refresh().unwrap().keywords);
    assert_eq!((highest(&mailbox), mailbox.mod_seq(uid(1))), (start + 1, Some(start + 1)));
}

/// The journal is derived, but for history: without it every message counts as changed, above all that was told.
// MDR-06
#[test]
fn a_journal_that_is_lost_or_damaged() {
    for damage in ["removed", "empty", "noise", "torn"] {
        let bench = with_messages(2);
        let mut mailbox = open(&bench);
        mailbox.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
        let told = highest(&mailbox);
        let path = bench.path("m/pillarbox-journal");
        let bytes = fs::read(&path).unwrap();
        match damage {
            "removed" => fs::remove_file(&path).unwrap(),
            "empty" => fs::write(&path, b"").unwrap(),
            "noise" => fs::write(&path, [0xA5; 5000]).unwrap(),
            _ => fs::write(&path, &bytes[..bytes.len() - 1]).unwrap(),
        }
        bench.clock.advance(Duration::from_secs(5));
        let again = other(&bench);
        assert!(numbers(&again).iter().all(|number| *number > told), "{damage}");
        assert_eq!(again.removed_since(told), None, "{damage}");
        // Who had it open goes on with the others.
        mailbox.set_flags(&[uid(2)], FlagChange::Add, Flags::SEEN).unwrap();
        assert!(highest(&mailbox) > highest(&again), "{damage}");
        assert_eq!(numbers(&mailbox)[0], numbers(&again)[0], "{damage}");
    }
}

/// Mail is read, flagged and removed without mod-sequences where the journal cannot be kept.
#[test]
fn without_a_journal() {
    let bench = with_messages(3);
    fs::create_dir(bench.path("m/pillarbox-journal")).unwrap();
    let mut mailbox = open(&bench);
    assert_eq!((mailbox.highest_mod_seq(), mailbox.mod_seq(uid(1))), (None, None));
    assert!(mailbox.journal_trouble().is_some());
    mailbox.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
    let compared = mailbox.set_flags_unless_changed(&[uid(1)], FlagChange::Add, Flags::FLAGGED, 1);
    assert!(matches!(compared, Err(MaildirError::NoModSeqs)));
    mailbox.expunge(&[uid(2)]).unwrap();
    assert_eq!((uids(&mailbox), mailbox.removed_since(1)), (vec![1, 3], None));
    assert!(mailbox.refresh().unwrap().is_empty());
    // With the next change there are some.
    fs::remove_dir(bench.path("m/pillarbox-journal")).unwrap();
    deliver(&bench.folder("m"), "new\r\n").unwrap();
    mailbox.refresh().unwrap();
    assert_eq!(numbers(&mailbox).len(), 3);
    assert!(mailbox.journal_trouble().is_none());
}

/// Another server that stands still with the lock in its hands keeps news back, and nothing else.
#[test]
fn while_another_server_has_the_lock() {
    let bench = with_messages(2);
    let mut mailbox = open(&bench);
    let start = highest(&mailbox);
    let mut journal = RealFs.open_append(&bench.path("m/pillarbox-journal")).unwrap();
    assert!(journal.try_lock().unwrap());
    deliver(&bench.folder("m"), "new\r\n").unwrap();
    let changes = mailbox.refresh().unwrap();
    assert!(matches!(changes.held_back, Some(MaildirError::Locked(_))) && changes.added.is_empty());
    assert!(mailbox.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap_err().is_temporary());
    assert!(mailbox.expunge(&[uid(1)]).unwrap_err().is_temporary());
    assert_eq!((uids(&mailbox), highest(&mailbox)), (vec![1, 2], start));
    mailbox.read(uid(1)).unwrap();
    drop(journal);
    let changes = mailbox.refresh().unwrap();
    assert!(changes.held_back.is_none());
    assert_eq!((changes.added, highest(&mailbox)), (vec![uid(3)], start + 1));
}

/// Who looks without changing anything, as EXAMINE and STATUS do, has the numbers that the others have.
#[test]
fn who_only_looks_counts_as_well() {
    let bench = with_messages(2);
    let folder = Maildir::open(&bench.store, bench.path("m")).unwrap();
    let mut looks = Mailbox::open(&folder, Access::ReadOnly).unwrap();
    let mut writes = open(&bench);
    assert_eq!(numbers(&looks), numbers(&writes));
    writes.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
    assert_eq!(looks.refresh().unwrap().flags, [uid(1)]);
    deliver(&folder, "3\r\n").unwrap();
    assert_eq!(looks.refresh().unwrap().added, [uid(3)]);
    assert_eq!(writes.refresh().unwrap().added, [uid(3)]);
    assert_eq!((numbers(&looks), highest(&looks)), (numbers(&writes), highest(&writes)));
}

/// The journal is nothing to anybody else: it is no message, no mailbox, and goes where its mailbox goes.
#[test]
fn the_journal_goes_with_its_mailbox() {
    let bench = Bench::new();
    let tree = pillarbox_maildir::Tree::create(&bench.store, bench.path("m")).unwrap();
    let name = |text| pillarbox_maildir::MailboxName::parse(text, '/').unwrap();
    let folder = tree.create_mailbox(&name("a")).unwrap();
    deliver(&folder, "x\r\n").unwrap();
    let before = numbers(&Mailbox::open(&folder, Access::ReadWrite).unwrap());
    tree.rename_mailbox(&name("a"), &name("b")).unwrap();
    let folder = tree.mailbox(&name("b")).unwrap();
    assert_eq!(numbers(&Mailbox::open(&folder, Access::ReadWrite).unwrap()), before);
    assert_eq!(tree.list().unwrap().iter().map(|listed| listed.name.to_string()).collect::<Vec<_>>(), ["INBOX", "b"]);
    let path = folder.path().to_owned();
    tree.delete_mailbox(&name("b")).unwrap();
    assert!(!path.exists());
}

/// What is not where it was may have another name. Who may not look cannot say that it is gone.
#[test]
fn a_message_is_not_called_gone_while_nobody_may_look() {
    let bench = with_messages(2);
    let mut mailbox = open(&bench);
    let mut journal = RealFs.open_append(&bench.path("m/pillarbox-journal")).unwrap();
    assert!(journal.try_lock().unwrap());
    rename(&bench, 0, "F");
    let before = bench.clock.now();
    assert!(matches!(mailbox.read(uid(1)), Err(MaildirError::Locked(_))));
    assert!(matches!(mailbox.info(uid(1)), Err(MaildirError::Locked(_))));
    let waited = bench.clock.now().duration_since(before).unwrap();
    assert!(waited < Duration::from_secs(70), "twice as long as a lock is waited for at most: {waited:?}");
    drop(journal);
    mailbox.read(uid(1)).unwrap();
    assert_eq!(mailbox.news().flags, [uid(1)]);
}

/// A letter that another program gives another meaning changes the flags of all who have it.
#[test]
fn who_has_a_letter_of_another_meaning_has_changed() {
    let bench = with_messages(3);
    let keywords = bench.path("m/dovecot-keywords");
    fs::write(&keywords, "0 old\n1 same\n").unwrap();
    let mut mailbox = open(&bench);
    rename(&bench, 0, "a");
    rename(&bench, 1, "b");
    mailbox.refresh().unwrap();
    let before = highest(&mailbox);
    fs::write(&keywords, "0 another\n1 same\n").unwrap();
    let changes = mailbox.refresh().unwrap();
    assert_eq!((changes.flags, changes.keywords), (vec![uid(1)], true));
    assert!(mailbox.mod_seq(uid(1)).unwrap() > before);
    assert!(mailbox.mod_seq(uid(2)).unwrap() <= before);
    assert!(mailbox.refresh().unwrap().is_empty());
}
