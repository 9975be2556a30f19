//! `fsck`: finds each damage and nothing else, repairs it, and then finds nothing.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Fs, Op, RealFs, SimulatedFs};
use pillarbox_maildir::{
    Access, Examiner, FlagChange, Flags, Layout, Mailbox, MailboxName, MaildirError, MessageReader, Options, Pieces,
    Problem, Progress, Quota, Repair, Report, Result, State, Store, Tree, TreeOptions, Uid, Usage, fsck,
};
use proptest::prelude::*;
use support::TestClock;

const FIRST_LINE: u8 = 16;

/// Keeps the first line of each message.
struct FirstLines {
    looks: usize,
}

impl Examiner for FirstLines {
    fn recompute(&mut self, message: &mut MessageReader, pieces: &Pieces) -> Result<Option<Pieces>> {
        let mut computed = Pieces::new();
        for piece in pieces.iter() {
            computed.insert(piece.kind, piece.name, &first_line(&whole(message)));
        }
        Ok(Some(computed))
    }

    fn progress(&mut self, _: &Progress<'_>) {
        self.looks += 1;
    }
}

fn whole(message: &mut MessageReader) -> Vec<u8> {
    let mut text = vec![0; usize::try_from(message.len()).unwrap()];
    assert_eq!(message.read_at(0, &mut text).unwrap(), text.len());
    text
}

fn first_line(text: &[u8]) -> Vec<u8> {
    text.split(|octet| *octet == b'\r').next().unwrap().to_vec()
}

fn store(fs: impl Fs + 'static) -> Store {
    let mut options = Options::from_system();
    options.clock = TestClock::new();
    Store::new(fs, options)
}

fn check(tree: &Tree, repair: Repair) -> Report {
    let mut examiner = FirstLines { looks: 0 };
    let report = fsck(tree, repair, &mut examiner).unwrap();
    assert!(examiner.looks >= report.mailboxes);
    report
}

fn problems(report: &Report) -> Vec<Problem> {
    report.findings.iter().map(|finding| finding.problem.clone()).collect()
}

/// The messages of INBOX by what they say, with their UIDs, and the numbers of the mailbox.
fn messages(tree: &Tree) -> (BTreeMap<Vec<u8>, Vec<Uid>>, u32, u32) {
    let mut mailbox = Mailbox::open(&tree.mailbox(&MailboxName::inbox()).unwrap(), Access::ReadOnly).unwrap();
    let uids: Vec<Uid> = mailbox.messages().map(|message| message.uid).collect();
    let mut all: BTreeMap<Vec<u8>, Vec<Uid>> = BTreeMap::new();
    for uid in uids {
        let mut reader = mailbox.read(uid).unwrap();
        assert_eq!(reader.len(), mailbox.info(uid).unwrap().size);
        all.entry(whole(&mut reader)).or_default().push(uid);
    }
    (all, mailbox.uid_validity(), mailbox.uid_next())
}

/// An account as it is after some use.
fn used(store: &Store, root: &Path) -> Tree {
    let tree = Tree::create(store, root).unwrap();
    let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
    let (flags, _) = inbox.keyword_flags(&["work", "$Junk"]).unwrap();
    for n in 0..8 {
        let mut message = inbox.begin().unwrap();
        message.write(format!("Subject: {n}\r\n\r\n{}", "line\r\n".repeat(n)).as_bytes()).unwrap();
        message.commit(Flags::SEEN, None).unwrap();
    }
    let archive = tree.create_mailbox(&MailboxName::parse("Archive/2026", '/').unwrap()).unwrap();
    tree.subscribe(&MailboxName::parse("Archive/2026", '/').unwrap()).unwrap();
    tree.subscribe(&MailboxName::inbox()).unwrap();
    let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
    let uids: Vec<Uid> = mailbox.messages().map(|message| message.uid).collect();
    mailbox.set_flags(&uids[2..4], FlagChange::Add, flags).unwrap();
    mailbox.copy(&uids[..3], &archive).unwrap();
    mailbox.expunge(&uids[..1]).unwrap();
    let pieces: Vec<_> = uids[1..]
        .iter()
        .map(|uid| {
            let mut pieces = Pieces::new();
            pieces.insert(FIRST_LINE, b"", &first_line(&whole(&mut mailbox.read(*uid).unwrap())));
            (*uid, pieces)
        })
        .collect();
    mailbox.remember(&pieces);
    tree
}

/// All that can be seen of files and directories but when they were read.
type Snapshot = BTreeMap<PathBuf, (u64, u64, [i64; 4], Vec<u8>)>;

fn snapshot(root: &Path) -> Snapshot {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
        let octets = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (metadata.ino(), metadata.nlink(), times, octets));
    }
    found
}

struct Account {
    dir: tempfile::TempDir,
    store: Store,
    tree: Tree,
}

impl Account {
    fn new() -> Account {
        // In memory, where there is such a place: syncs of a disk take most of the time.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = store(RealFs);
        let tree = used(&store, &dir.path().join("Maildir"));
        let account = Account { dir, store, tree };
        // The line of the message that was expunged.
        assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::NoFile(1)]);
        assert_eq!(problems(&check(&account.tree, Repair::Yes)), [Problem::NoFile(1)]);
        account
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("Maildir").join(name)
    }

    /// The message files in `cur` of INBOX, by name.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.path("cur")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(text)).unwrap();
    }

    /// Gives a message's file another name.
    fn rename(&self, n: usize, change: impl FnOnce(String) -> String) {
        let old = self.files().swap_remove(n);
        let name = change(old.file_name().unwrap().to_str().unwrap().to_owned());
        fs::rename(&old, self.path("cur").join(name)).unwrap();
    }

    /// All names, and what is in the files.
    fn disk(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.path("")];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    open.push(entry.path());
                }
                let octets = entry.file_type().unwrap().is_file().then(|| fs::read(entry.path()).unwrap());
                found.insert(entry.path(), octets);
            }
        }
        found
    }
}

/// Plants a damage, and sees it found, repaired and gone; messages keep their UIDs if `uids_stay`.
fn damage(uids_stay: bool, plant: impl Fn(&Account), expected: &[Problem]) {
    let account = Account::new();
    let (before, validity, uid_next) = messages(&account.tree);
    plant(&account);
    let disk = snapshot(account.dir.path());
    let found = check(&account.tree, Repair::No);
    assert_eq!(problems(&found), expected);
    assert!(snapshot(account.dir.path()) == disk, "looking changes nothing, not even a time");
    assert!(found.findings.iter().all(|finding| matches!(finding.state, State::Found)), "{found:?}");
    assert_eq!(found.is_clean(), expected.iter().all(Problem::is_usual));

    let repaired = check(&account.tree, Repair::Yes);
    // A lost list means that the UIDs have to be given too.
    assert!(problems(&repaired).starts_with(expected), "{repaired:?}");
    assert!(repaired.findings.iter().all(|finding| matches!(finding.state, State::Repaired)), "{repaired:?}");
    assert!(!repaired.is_left());
    let again = check(&account.tree, Repair::No);
    assert!(again.findings.is_empty() && again.is_clean(), "{again:?}");

    // Another process finds everything.
    let tree = Tree::open(&store(RealFs), account.path("")).unwrap();
    let (after, validity_after, uid_next_after) = messages(&tree);
    for (text, uids) in &before {
        let now = after.get(text).unwrap_or_else(|| panic!("lost: {}", text.escape_ascii()));
        if uids_stay {
            assert!(now.contains(&uids[0]), "{} {uids:?} {now:?}", text.escape_ascii());
        }
    }
    assert_eq!(validity_after == validity, uids_stay || uid_next_after > uid_next || before == after);
    assert!(validity_after > validity || uid_next_after >= uid_next);
    drop(account.store);
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    damage(true, |_| {}, &[]);
}

#[test]
fn new_mail_is_usual() {
    let deliver = |account: &Account| {
        for name in ["new/1700000001.x", "cur/1700000002.y:2,S"] {
            fs::write(account.path(name), "Subject: new\n\n").unwrap();
        }
    };
    damage(true, deliver, &[Problem::NoUid(2)]);
}

#[test]
fn missing_directories() {
    damage(true, |account| fs::remove_dir(account.path("new")).unwrap(), &[Problem::NoDirectory]);
    damage(true, |account| fs::remove_dir(account.path("tmp")).unwrap(), &[Problem::NoDirectory]);
    let unfinished = |account: &Account| {
        fs::create_dir(account.path(".Begun")).unwrap();
        fs::write(account.path(".Begun/maildirfolder"), "").unwrap();
    };
    // Those that are missing, each.
    damage(true, unfinished, &[Problem::NoDirectory, Problem::NoDirectory, Problem::NoDirectory]);
}

#[test]
fn leftovers_in_tmp() {
    let leave = |account: &Account| {
        let path = account.path("tmp/1000000000.M1P1.h");
        fs::write(&path, "half a mess").unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        // Somebody may be at work on this one.
        fs::write(account.path("tmp/1000000001.M1P1.h"), "another").unwrap();
    };
    damage(true, leave, &[Problem::Leftovers(1)]);
}

#[test]
fn two_files_of_one_name() {
    let copy = |account: &Account| {
        let file = account.files().swap_remove(3);
        let name = file.to_str().unwrap().split(':').next().unwrap().to_owned();
        fs::write(format!("{name}:2,FT"), fs::read(&file).unwrap()).unwrap();
    };
    damage(true, copy, &[Problem::Double]);
    let link = |account: &Account| {
        let file = account.files().swap_remove(3);
        let name = file.to_str().unwrap().split(':').next().unwrap().to_owned();
        fs::hard_link(&file, format!("{name}:2,FT")).unwrap();
    };
    damage(true, link, &[Problem::Double]);
}

#[test]
fn names_that_no_list_can_hold() {
    let plant = |account: &Account| {
        fs::write(account.path("cur/:2,S"), "Subject: nameless\n\n").unwrap();
        fs::write(account.path("new/a\nb"), "Subject: two lines\n\n").unwrap();
    };
    let account = Account::new();
    plant(&account);
    let mut found = problems(&check(&account.tree, Repair::No));
    found.sort_by_key(|problem| problem.name());
    assert_eq!(found, [Problem::NoMessageName, Problem::NoMessageName]);
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    let (after, ..) = messages(&account.tree);
    assert!(
        after.contains_key(&b"Subject: nameless\r\n\r\n"[..]) && after.contains_key(&b"Subject: two lines\r\n\r\n"[..])
    );
}

#[test]
fn sizes_that_are_wrong() {
    let lie = |from: &'static str, to: &'static str| {
        move |account: &Account| {
            account.rename(4, |name| {
                let at = name.find(from).unwrap() + from.len();
                let end = at + name[at..].find([',', ':']).unwrap();
                format!("{}{to}{}", &name[..at], &name[end..])
            });
            // The list knows it by the name that it has.
            let file = account.files().swap_remove(4);
            let name = file.file_name().unwrap().to_str().unwrap().split(':').next().unwrap().to_owned();
            let unique = name.split(',').next().unwrap().to_owned();
            account.edit("dovecot-uidlist", |list| {
                list.lines()
                    .map(|line| match line.split_once(':') {
                        Some((uid, base)) if base.starts_with(&unique) => format!("{uid}:{name}\n"),
                        _ => format!("{line}\n"),
                    })
                    .collect()
            });
            // What was kept under the old name is of no message.
            fs::remove_file(account.path("pillarbox-cache")).unwrap();
        }
    };
    damage(true, lie(",W=", "9999"), &[Problem::WrongSizes]);
    damage(true, lie(",W=", "x"), &[Problem::WrongSizes]);
    damage(true, lie(",W=", "1"), &[Problem::WrongSizes]);
    damage(true, lie(",S=", "99999999999999999999"), &[Problem::WrongSizes]);
    damage(true, lie(",S=", "1"), &[Problem::WrongSizes]);
    // Of a name without sizes the list tells them.
    let in_the_list = |account: &Account| {
        fs::write(account.path("cur/1700000002.y:2,S"), "Subject: y\n\n").unwrap();
        messages(&account.tree);
        account.edit("dovecot-uidlist", |list| list.replace(" :1700000002.y", " S12 W99 Gguid :1700000002.y"));
    };
    damage(true, in_the_list, &[Problem::WrongSizes]);
    let account = Account::new();
    in_the_list(&account);
    check(&account.tree, Repair::Yes);
    let list = fs::read_to_string(account.path("dovecot-uidlist")).unwrap();
    assert!(list.contains(" Gguid :1700000002.y\n"), "{list}");
}

#[test]
fn the_quota_counts_what_names_tell_after_a_repair() {
    let account = Account::new();
    let limits = Quota { bytes: Some(1 << 30), messages: None };
    account.tree.usage(limits).unwrap();
    let counted = || -> u64 {
        let file = fs::read_to_string(account.path("maildirsize")).unwrap();
        file.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let right = counted();
    account.rename(4, |name| name.replacen(",S=", ",S=1", 1));
    account.tree.recount(limits).unwrap();
    assert_ne!(counted(), right);
    check(&account.tree, Repair::Yes);
    assert_eq!(counted(), right);
}

#[test]
fn a_snapshot_that_is_wrong() {
    let account = Account::new();
    let inbox = account.path("");
    let mut options = Options::from_system();
    let clock = TestClock::new();
    clock.advance(std::time::Duration::from_secs(10));
    (options.snapshot_from, options.clock) = (1, clock);
    let store = Store::new(RealFs, options);
    let tree = Tree::open(&store, &inbox).unwrap();
    drop(Mailbox::open(&tree.mailbox(&MailboxName::inbox()).unwrap(), Access::ReadWrite).unwrap());
    let index = inbox.join("pillarbox-index");
    assert!(check(&tree, Repair::No).findings.is_empty());
    // The flags of the first message, under a checksum that is right.
    let mut octets = fs::read(&index).unwrap();
    let end = octets.len() - 4;
    octets[8 + 16 + 108 + 12 + 4] ^= 2;
    let sum = crc32fast::hash(&octets[..end]);
    octets[end..].copy_from_slice(&sum.to_le_bytes());
    fs::write(&index, octets).unwrap();
    assert_eq!(problems(&check(&tree, Repair::No)), [Problem::WrongIndex]);
    check(&tree, Repair::Yes);
    assert!(check(&tree, Repair::No).findings.is_empty() && !inbox.join("pillarbox-index").exists());
}

#[test]
fn a_message_that_was_renamed() {
    let rename = |account: &Account| {
        account.rename(2, |name| {
            let (unique, flags) = (name.split(',').next().unwrap(), name.split_once(':').unwrap().1);
            format!("{unique}:{flags}")
        });
        account.rename(5, |name| name.replacen(",W=", ",S=", 1).replacen(",S=", ",W=", 1));
    };
    let account = Account::new();
    rename(&account);
    let found = problems(&check(&account.tree, Repair::No));
    assert_eq!(found.iter().filter(|problem| **problem == Problem::RenamedMessage).count(), 2, "{found:?}");
    let before = {
        let account = Account::new();
        messages(&account.tree).0
    };
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    assert_eq!(messages(&account.tree).0, before);
}

/// A line may be long, and its message get a longer name.
#[test]
fn a_message_that_was_renamed_in_a_line_as_long_as_can_be() {
    let account = Account::new();
    account.edit("dovecot-uidlist", |list| {
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        let (uid, name) = lines[1].split_once(" :").unwrap();
        lines[1] = format!("{uid} X{} :{name}", "x".repeat(65_533 - name.len()));
        lines.join("\n") + "\n"
    });
    account.rename(0, |name| {
        let (unique, flags) = (name.split(',').next().unwrap(), name.split_once(':').unwrap().1);
        format!("{unique}:{flags}")
    });
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
}

#[test]
fn a_damaged_uid_list() {
    let torn = |account: &Account| account.edit("dovecot-uidlist", |list| list + "9 :170");
    damage(true, torn, &[Problem::TornUidList]);
    let in_the_middle = |account: &Account| {
        account.edit("dovecot-uidlist", |list| {
            list.lines()
                .map(|line| if line.starts_with("4 ") { "\0\0\0\n".into() } else { format!("{line}\n") })
                .collect()
        });
    };
    damage(false, in_the_middle, &[Problem::DamagedUidList(Some(1)), Problem::NoUid(1)]);
    let not_rising = |account: &Account| {
        account.edit("dovecot-uidlist", |list| list.replace("\n4 ", "\n400 "));
    };
    damage(false, not_rising, &[Problem::DamagedUidList(Some(1)), Problem::NoUid(1)]);
    for lost in [&b""[..], b"2 V1 N1\n", b"3 Vx N1\n5 :a\n", &[0; 300]] {
        let lose = |account: &Account| fs::write(account.path("dovecot-uidlist"), lost).unwrap();
        damage(false, lose, &[Problem::DamagedUidList(None), Problem::NoUid(7)]);
    }
    let account = Account::new();
    account.edit("dovecot-uidlist", |list| list.replace("\n4 ", "\nx "));
    let damaged = fs::read(account.path("dovecot-uidlist")).unwrap();
    check(&account.tree, Repair::Yes);
    assert_eq!(fs::read(account.path("dovecot-uidlist.damaged")).unwrap(), damaged);
}

#[test]
fn a_lost_uid_list() {
    let lose = |account: &Account| fs::remove_file(account.path("dovecot-uidlist")).unwrap();
    // The cache is of the UIDVALIDITY that is gone, but nobody can know that before there is another.
    let account = Account::new();
    let (before, validity, _) = messages(&account.tree);
    lose(&account);
    assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::NoUid(7)]);
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    let (after, validity_after, _) = messages(&account.tree);
    assert!(validity_after > validity);
    assert!(before.keys().eq(after.keys()));
}

#[test]
fn keywords() {
    let forget = |account: &Account| fs::remove_file(account.path("dovecot-keywords")).unwrap();
    damage(true, forget, &[Problem::NamelessLetter('a'), Problem::NamelessLetter('b')]);
    let zeros = |account: &Account| fs::write(account.path("dovecot-keywords"), [0; 20]).unwrap();
    damage(true, zeros, &[Problem::DamagedKeywords, Problem::NamelessLetter('a'), Problem::NamelessLetter('b')]);
    let twice = |account: &Account| account.edit("dovecot-keywords", |text| text + "1 other\n");
    damage(true, twice, &[Problem::DamagedKeywords]);
    // The letter is not given to another keyword.
    let account = Account::new();
    fs::remove_file(account.path("dovecot-keywords")).unwrap();
    check(&account.tree, Repair::Yes);
    let inbox = account.tree.mailbox(&MailboxName::inbox()).unwrap();
    let (flags, _) = inbox.keyword_flags(&["new"]).unwrap();
    assert_eq!(flags.to_string(), "c");
    assert_eq!(inbox.keywords().unwrap().name(1), Some("lost-keyword-b"));
}

#[test]
fn the_accounts_own_files() {
    let fallen = |account: &Account| {
        for entry in fs::read_dir(account.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains("dovecot-uidvalidity") {
                fs::remove_file(path).unwrap();
            }
        }
        fs::write(account.path("dovecot-uidvalidity.00000007"), "").unwrap();
        fs::write(account.path("dovecot-uidvalidity"), "00000007").unwrap();
    };
    let account = Account::new();
    fallen(&account);
    let found = problems(&check(&account.tree, Repair::No));
    assert!(
        matches!(found[..], [Problem::LowUidValidity { last: 7, mailbox }] if mailbox > 1_000_000_000),
        "{found:?}"
    );
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());

    let subscriptions = |account: &Account| account.edit("subscriptions", |text| text + "..\nINBOX\n");
    damage(true, subscriptions, &[Problem::BadSubscriptions(2)]);
    let account = Account::new();
    subscriptions(&account);
    let before = account.tree.subscriptions().unwrap();
    check(&account.tree, Repair::Yes);
    assert_eq!(account.tree.subscriptions().unwrap(), before[..2]);
}

#[test]
fn a_cache_that_is_wrong() {
    let changed = |account: &Account| {
        let file = account.files().swap_remove(3);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen("Subject: ", "Subject; ", 1)).unwrap();
    };
    let account = Account::new();
    changed(&account);
    assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::WrongCache(1)]);
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    let damaged = |account: &Account| {
        let path = account.path("pillarbox-cache");
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        bytes[len - 3] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    damage(true, damaged, &[Problem::UnreadableCache]);
    let of_another = |account: &Account| fs::write(account.path("pillarbox-cache"), [0; 30]).unwrap();
    damage(true, of_another, &[Problem::UnreadableCache]);
}

// MDR-11
#[test]
fn what_is_no_file_is_told_and_not_touched() {
    let account = Account::new();
    std::os::unix::fs::symlink("/etc/passwd", account.path("cur/link:2,S")).unwrap();
    nix::unistd::mkfifo(&account.path("new/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(account.path("cur/folder")).unwrap();
    fs::create_dir_all(account.path(".B&d/cur")).unwrap();
    let disk = account.disk();
    for repair in [Repair::No, Repair::Yes] {
        let report = check(&account.tree, repair);
        let mut found = problems(&report);
        found.sort_by_key(|problem| problem.name());
        assert_eq!(found, [Problem::NoMailboxName, Problem::NotAFile, Problem::NotAFile, Problem::NotAFile]);
        assert!(report.is_left() && report.findings.iter().all(|finding| matches!(finding.state, State::Left)));
        assert_eq!(account.disk(), disk);
    }
    // One mailbox that cannot be read keeps nobody from the others.
    fs::remove_dir(account.path("new/../.Archive.2026/new")).unwrap();
    fs::write(account.path(".Archive.2026/new"), "").unwrap();
    let report = check(&account.tree, Repair::Yes);
    assert!(problems(&report).contains(&Problem::NotADirectory) && report.mailboxes == 2);
}

#[test]
fn a_journal_that_is_damaged() {
    let change = |change: fn(&mut Vec<u8>)| {
        move |account: &Account| {
            let path = account.path("pillarbox-journal");
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
    };
    for planted in [
        change(|bytes| bytes[3] ^= 1),
        change(|bytes| bytes[30] ^= 1),
        change(|bytes| bytes.truncate(bytes.len() - 1)),
        change(|bytes| bytes.truncate(10)),
        change(|bytes| bytes.truncate(24)),
        change(|bytes| bytes.extend([0; 100])),
        change(|bytes| bytes.fill(0)),
    ] {
        damage(true, planted, &[Problem::DamagedJournal]);
        // No mod-sequence falls.
        let account = Account::new();
        let highest = || {
            let inbox = account.tree.mailbox(&MailboxName::inbox()).unwrap();
            Mailbox::open(&inbox, Access::ReadOnly).unwrap().highest_mod_seq().unwrap()
        };
        let before = highest();
        planted(&account);
        check(&Tree::open(&store(RealFs), account.path("")).unwrap(), Repair::Yes);
        assert!(highest() > before);
    }
    // One that is not there, or of which nothing is written yet, is none.
    damage(true, |account| fs::remove_file(account.path("pillarbox-journal")).unwrap(), &[]);
    damage(true, change(Vec::clear), &[]);
    let elsewhere = |account: &Account| {
        fs::remove_file(account.path("pillarbox-journal")).unwrap();
        fs::create_dir(account.path("pillarbox-journal")).unwrap();
    };
    let account = Account::new();
    elsewhere(&account);
    assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::DamagedJournal]);
    let report = check(&account.tree, Repair::Yes);
    assert!(report.is_left() && matches!(report.findings[0].state, State::Failed(_)), "{report:?}");
}

const LIMITS: Quota = Quota { bytes: Some(1 << 20), messages: None };

#[test]
fn a_quota_file_that_is_wrong() {
    let of = |bytes, messages| Usage { bytes, messages };
    let there = Account::new().tree.usage(LIMITS).unwrap();
    assert_eq!(there.messages, 10);
    for (text, problem) in [
        ("1048576S\n5 1\n", Problem::WrongQuota { told: of(5, 1), counted: there }),
        ("1048576S\n0 0\n", Problem::WrongQuota { told: of(0, 0), counted: there }),
        ("1048576S\n5 1\n20", Problem::DamagedQuota),
        ("1048576S\n", Problem::DamagedQuota),
        ("1048576S\n5 x\n", Problem::DamagedQuota),
        ("1048576S\n-5 0\n", Problem::DamagedQuota),
    ] {
        damage(true, |account| fs::write(account.path("maildirsize"), text).unwrap(), &[problem]);
        let account = Account::new();
        fs::write(account.path("maildirsize"), text).unwrap();
        check(&account.tree, Repair::Yes);
        let right = format!("1048576S\n{} {}\n", there.bytes, there.messages);
        assert_eq!(fs::read_to_string(account.path("maildirsize")).unwrap(), right, "{text:?}");
    }
    // Whose limits are lost nobody can write anew.
    for text in ["", "\0\0\0\0", "NOQUOTA\n5 1\n"] {
        damage(true, |account| fs::write(account.path("maildirsize"), text).unwrap(), &[Problem::DamagedQuota]);
        let account = Account::new();
        fs::write(account.path("maildirsize"), text).unwrap();
        check(&account.tree, Repair::Yes);
        assert!(!account.path("maildirsize").exists());
        assert_eq!(fs::read_to_string(account.path("maildirsize.damaged")).unwrap(), text);
    }
    damage(true, |account| fs::create_dir(account.path("maildirsize")).unwrap(), &[Problem::DamagedQuota]);
    // What is right, or so long that whoever asks writes it anew, is no damage.
    let lines = format!("1048576S\n{} {}\n{}", there.bytes - 100, there.messages - 1, "100 1\n");
    damage(true, |account| fs::write(account.path("maildirsize"), &lines).unwrap(), &[]);
    let long = format!("1048576S\n{}", "1 1\n".repeat(2000));
    damage(true, |account| fs::write(account.path("maildirsize"), &long).unwrap(), &[]);
}

/// An account that lies in the layout `fs`, with INBOX elsewhere.
fn in_layout_fs(root: &Path) -> TreeOptions {
    let mut options = TreeOptions::default();
    (options.layout, options.inbox) = (Layout::Fs, Some(root.with_file_name("inbox")));
    options
}

#[test]
fn the_layout_fs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("Maildir");
    let tree = Tree::create_with(&store(RealFs), &root, in_layout_fs(&root)).unwrap();
    for name in ["Lists", "Lists/rust.lang", "INBOX/deep/er"] {
        let folder = tree.create_mailbox(&MailboxName::parse(name, '/').unwrap()).unwrap();
        support::deliver(&folder, "Subject: x\r\n\r\n").unwrap();
        drop(Mailbox::open(&folder, Access::ReadWrite).unwrap());
    }
    support::deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "Subject: x\r\n\r\n").unwrap();
    drop(Mailbox::open(&tree.mailbox(&MailboxName::inbox()).unwrap(), Access::ReadWrite).unwrap());
    tree.usage(LIMITS).unwrap();
    let found = check(&tree, Repair::No);
    assert_eq!((problems(&found), found.mailboxes, found.messages), (vec![], 4, 4));

    let message = fs::read_dir(root.join("Lists/rust.lang/cur")).unwrap().next().unwrap().unwrap().path();
    let other = message.to_str().unwrap().replace(",S=", ",S=9");
    fs::rename(&message, &other).unwrap();
    let list = root.join("Lists/rust.lang/dovecot-uidlist");
    fs::write(&list, fs::read_to_string(&list).unwrap().replace(",S=", ",S=9")).unwrap();
    fs::remove_dir(root.join("Lists/new")).unwrap();
    fs::write(root.join("INBOX/deep/er/pillarbox-journal"), "x").unwrap();
    fs::write(root.join("maildirsize"), "1048576S\n1 1\n").unwrap();
    fs::write(dir.path().join("inbox/dovecot-keywords"), "x").unwrap();
    // What a crash left of a deletion, which a server removes in passing.
    fs::create_dir_all(root.join("Gone/..pillarbox-deleted.1")).unwrap();
    fs::write(root.join("Gone/..pillarbox-deleted.1/1.x"), "gone").unwrap();
    let before = snapshot(dir.path());
    let lying = Tree::as_it_lies(&store(RealFs), &root, in_layout_fs(&root)).unwrap();
    let found = check(&lying, Repair::No);
    assert!(snapshot(dir.path()) == before, "looking changes nothing, not even a time");
    let mut names: Vec<&str> = found.findings.iter().map(|finding| finding.problem.name()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["damaged-journal", "damaged-keywords", "no-directory", "wrong-quota", "wrong-sizes"],
        "{found:?}"
    );
    let repaired = check(&lying, Repair::Yes);
    assert!(!repaired.is_left(), "{repaired:?}");
    let again = check(&lying, Repair::No);
    assert!(again.findings.is_empty(), "{again:?}");
    assert!(!root.join("Gone/..pillarbox-deleted.1").exists());
    assert!(message.exists() && !Path::new(&other).exists());
}

/// Opening an account as a server does mends some things in passing. Who only looks leaves them, and finds what is missing.
#[test]
fn an_account_is_looked_at_as_it_lies() {
    for (missing, lost) in [("cur", 0), ("new", 0), ("tmp", 0)] {
        let account = Account::new();
        let (before, validity, _) = messages(&account.tree);
        let spare = account.dir.path().join("spare");
        fs::rename(account.path(missing), &spare).unwrap();
        fs::create_dir_all(account.path("..pillarbox-deleted.1/cur")).unwrap();
        fs::write(account.path("..pillarbox-deleted.1/cur/1.x"), "gone").unwrap();
        let disk = snapshot(account.dir.path());
        let lying = || Tree::as_it_lies(&store(RealFs), account.path(""), TreeOptions::default()).unwrap();
        assert_eq!(problems(&check(&lying(), Repair::No))[..], [Problem::NoDirectory], "{missing}");
        assert!(snapshot(account.dir.path()) == disk, "{missing}: looking changes nothing");
        let repaired = check(&lying(), Repair::Yes);
        assert!(!repaired.is_left() && problems(&repaired)[0] == Problem::NoDirectory, "{repaired:?}");
        assert!(check(&lying(), Repair::No).is_clean());
        assert!(!account.path("..pillarbox-deleted.1").exists());
        if missing != "cur" {
            assert_eq!((messages(&account.tree).0.len() + lost, messages(&account.tree).1), (before.len(), validity));
        }
    }
    // What never was an account is none.
    let dir = tempfile::tempdir().unwrap();
    let none = |path: &Path| Tree::as_it_lies(&store(RealFs), path, TreeOptions::default()).unwrap_err();
    assert!(matches!(none(dir.path()), MaildirError::NoSuchMailbox(_)));
    assert!(matches!(none(&dir.path().join("nowhere")), MaildirError::NoSuchMailbox(_)));
}

/// While somebody writes the list it may look cut off. Who only looks waits until the lock is gone, and does not take it.
#[test]
fn who_only_looks_waits_for_a_lock() {
    let account = Account::new();
    let whole = fs::read(account.path("dovecot-uidlist")).unwrap();
    fs::write(account.path("dovecot-uidlist"), &whole[..whole.len() - 3]).unwrap();
    fs::write(account.path("dovecot-uidlist.lock"), "").unwrap();
    let (lock, list) = (account.path("dovecot-uidlist.lock"), account.path("dovecot-uidlist"));
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let fs = Watched::new(RealFs).before(move |op, path| {
        // At the third look it is done.
        if op == Op::Metadata && path == lock && looks.fetch_add(1, Ordering::SeqCst) == 2 {
            std::fs::write(&list, &whole).unwrap();
            std::fs::remove_file(&lock).unwrap();
        }
    });
    let tree = Tree::as_it_lies(&store(fs), account.path(""), TreeOptions::default()).unwrap();
    assert!(check(&tree, Repair::No).findings.is_empty());
    assert!(!account.path("dovecot-uidlist.lock").exists());
}

/// A name that tells terabytes costs no memory.
#[test]
fn a_size_that_nothing_can_have() {
    let account = Account::new();
    let huge = 99_999_999_999_999_u64;
    account.rename(4, |name| {
        let at = name.find(",W=").unwrap();
        format!("{},W={huge}{}", &name[..at], &name[name.find(':').unwrap()..])
    });
    let inbox = account.tree.mailbox(&MailboxName::inbox()).unwrap();
    let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
    let uid = mailbox.messages().next_back().unwrap().uid;
    let mut reader = mailbox.read(uid).unwrap();
    assert!(reader.len() < 1000, "{}", reader.len());
    let mut pieces = Pieces::new();
    pieces.insert(FIRST_LINE, b"", &first_line(&whole(&mut reader)));
    mailbox.remember(&[(uid, pieces)]);
    drop(mailbox);
    assert!(problems(&check(&account.tree, Repair::No)).contains(&Problem::WrongSizes));
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
}

/// A file gets the right sizes, and whoever opens the mailbox at any moment of it knows the message by the UID that it had.
#[test]
fn a_repair_of_sizes_beside_another_server() {
    for moment in 0.. {
        let account = Account::new();
        let file = account.files().swap_remove(4);
        fs::write(&file, [&fs::read(&file).unwrap()[..], b"more\n"].concat()).unwrap();
        fs::remove_file(account.path("pillarbox-cache")).unwrap();
        let (before, ..) = messages(&account.tree);
        let mut options = Options::from_system();
        options.clock = TestClock::new();
        options.lock_patience = std::time::Duration::ZERO;
        let other = Tree::open(&Store::new(RealFs, options), account.path("")).unwrap();
        let inbox = other.mailbox(&MailboxName::inbox()).unwrap();
        let steps = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = steps.clone();
        let fs = Watched::new(RealFs).before(move |op, _| {
            if !matches!(op, Op::Open | Op::Metadata | Op::List) && count.fetch_add(1, Ordering::SeqCst) == moment {
                // Who finds the lock taken shows what has a UID.
                let _ = Mailbox::open(&inbox, Access::ReadWrite);
            }
        });
        let tree = Tree::open(&store(fs), account.path("")).unwrap();
        let report = check(&tree, Repair::Yes);
        assert!(problems(&report).contains(&Problem::WrongSizes) && !report.is_left(), "{report:?}");
        let struck = steps.load(Ordering::SeqCst) > moment;
        let (after, ..) = messages(&account.tree);
        assert_eq!(after, before, "step {moment}");
        assert!(check(&account.tree, Repair::No).findings.is_empty(), "step {moment}");
        if !struck {
            assert!(moment > 4);
            break;
        }
    }
}

/// The list cannot be written: the files have their names back, so that no message loses its UID.
#[test]
fn a_repair_of_sizes_that_fails() {
    for n in 0.. {
        let account = Account::new();
        let file = account.files().swap_remove(4);
        fs::write(&file, [&fs::read(&file).unwrap()[..], b"more\n"].concat()).unwrap();
        fs::remove_file(account.path("pillarbox-cache")).unwrap();
        let (before, ..) = messages(&account.tree);
        let fs = Watched::new(RealFs);
        let tree = Tree::open(&store(fs.clone()), account.path("")).unwrap();
        fs.fail_at(n, 28);
        let report = check(&tree, Repair::Yes);
        let healed = fs.heal();
        assert!(healed || report.is_left() || problems(&report).contains(&Problem::WrongSizes), "{report:?}");
        assert_eq!(messages(&account.tree).0, before, "step {n}");
        check(&account.tree, Repair::Yes);
        assert_eq!(messages(&account.tree).0, before, "step {n}");
        if healed {
            break;
        }
    }
}

#[test]
fn servers_may_work_meanwhile() {
    let account = Account::new();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let (stop, root) = (stop.clone(), account.path(""));
        move || {
            let tree = Tree::open(&store(RealFs), root).unwrap();
            let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
            let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
            let mut delivered = 0;
            while !stop.load(Ordering::SeqCst) {
                support::deliver(&inbox, &format!("Subject: busy {delivered}\r\n\r\n")).unwrap();
                delivered += 1;
                let changes = mailbox.refresh().unwrap();
                assert!(!changes.reset && changes.removed.is_empty(), "{changes:?}");
                let last = mailbox.messages().next_back().unwrap().uid;
                mailbox.set_flags(&[last], FlagChange::Add, Flags::FLAGGED).unwrap();
            }
            delivered
        }
    });
    for _ in 0..40 {
        let report = check(&account.tree, Repair::Yes);
        assert!(report.is_clean(), "{report:?}");
    }
    stop.store(true, Ordering::SeqCst);
    let delivered = worker.join().unwrap();
    let (after, ..) = messages(&account.tree);
    assert_eq!(after.len(), 7 + delivered);
}

/// A power cut at any moment of a repair: every message is there, and the next repair ends it.
#[test]
fn a_power_cut_during_a_repair() {
    let root = Path::new("/Maildir");
    let fs = SimulatedFs::new();
    let tree = used(&store(fs.clone()), root);
    let (before, ..) = messages(&tree);
    let list = root.join("dovecot-uidlist");
    let mut text = String::from_utf8(fs.read(&list, 1 << 20).unwrap()).unwrap();
    text = text.replace("\n4 ", "\nx ");
    // A message that the list has, with a size that is wrong in both.
    let line = text.lines().find(|line| line.starts_with("6 ")).unwrap().to_owned();
    let base = line.split_once(':').unwrap().1;
    let wrong = base.replace(",W=", ",W=9");
    text = text.replace(base, &wrong);
    let names = fs.list(&root.join("cur")).unwrap();
    let named = names.iter().map(|entry| entry.name.to_str().unwrap()).find(|name| name.starts_with(base)).unwrap();
    fs.rename(&root.join("cur").join(named), &root.join("cur").join(named.replace(",W=", ",W=9"))).unwrap();
    fs.sync_dir(&root.join("cur")).unwrap();
    let put = |path: &Path, octets: &[u8]| {
        let _ = fs.unlink(path);
        let mut file = fs.create(path).unwrap();
        file.write(octets).unwrap();
        file.sync().unwrap();
        fs.sync_dir(path.parent().unwrap()).unwrap();
    };
    put(&list, text.as_bytes());
    put(&root.join("dovecot-keywords"), b"\0\0");
    put(&root.join("subscriptions"), b"V\t2\n\n..\nINBOX\n");
    put(&root.join("cur/1.odd,S=1,W=2:2,S"), b"Subject: odd\n\n");
    fs.unlink(&root.join("pillarbox-cache")).unwrap();
    fs.sync_dir(root).unwrap();
    fs.record();
    let report = check(&tree, Repair::Yes);
    assert!(report.findings.len() >= 5, "{report:?}");
    let crashes = fs.recorded();
    let mut images = 0;
    for crash in &crashes {
        for fs in crash.images(24, 7) {
            images += 1;
            let tree = Tree::open(&store(fs), root).unwrap();
            let report = check(&tree, Repair::Yes);
            assert!(!report.is_left(), "{report:?}");
            let again = check(&tree, Repair::No);
            assert!(again.findings.is_empty(), "{again:?}");
            let (after, ..) = messages(&tree);
            for (text, uids) in &before {
                let now = &after[text];
                // The message whose line was lost gets a UID that nobody has had.
                assert!(now == uids || uids[0].get() == 4 && now[0].get() > 8, "{uids:?} {now:?}");
            }
            assert_eq!(after[&b"Subject: odd\r\n\r\n"[..]].len(), 1);
        }
    }
    assert!(images > 200, "{images}");
}

#[derive(Clone, Debug)]
enum Damage {
    Octet(prop::sample::Index, prop::sample::Index, u8),
    Cut(prop::sample::Index, prop::sample::Index),
    Remove(prop::sample::Index),
    Rename(prop::sample::Index, &'static str, &'static str),
    Copy(prop::sample::Index, &'static str),
}

fn damages() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), at(), any::<u8>()).prop_map(|(file, at, octet)| Damage::Octet(file, at, octet)),
        (at(), at()).prop_map(|(file, at)| Damage::Cut(file, at)),
        at().prop_map(Damage::Remove),
        (at(), prop_oneof![Just((",S=", ",S=1")), Just((",W=", ",X=")), Just((":2,", ":2,xyz")), Just((":2,", ""))])
            .prop_map(|(file, (from, to))| Damage::Rename(file, from, to)),
        (at(), prop_oneof![Just("T"), Just("0")]).prop_map(|(file, end)| Damage::Copy(file, end)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever befalls the files beside the messages, and the names of these: all messages are there afterwards, and those
    /// that have their UID in the list keep it.
    #[test]
    fn random_damage(damages in proptest::collection::vec(damages(), 1..6)) {
        let account = Account::new();
        let (before, validity, uid_next) = messages(&account.tree);
        let beside = ["dovecot-uidlist", "dovecot-keywords", "subscriptions", "pillarbox-cache", "dovecot-uidvalidity"];
        for damage in &damages {
            match damage {
                Damage::Octet(file, at, octet) => {
                    let path = account.path(beside[file.index(beside.len())]);
                    if let Ok(mut bytes) = fs::read(&path) && !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = *octet;
                        fs::write(path, bytes).unwrap();
                    }
                }
                Damage::Cut(file, at) => {
                    let path = account.path(beside[file.index(beside.len())]);
                    if let Ok(bytes) = fs::read(&path) {
                        fs::write(path, &bytes[..at.index(bytes.len() + 1)]).unwrap();
                    }
                }
                Damage::Remove(file) => {
                    let _ = fs::remove_file(account.path(beside[file.index(beside.len())]));
                }
                Damage::Rename(file, from, to) => {
                    let files = account.files();
                    account.rename(file.index(files.len()), |name| name.replacen(from, to, 1));
                }
                Damage::Copy(file, end) => {
                    let files = account.files();
                    let path = &files[file.index(files.len())];
                    let mut copy = path.clone().into_os_string();
                    copy.push(end);
                    fs::copy(path, copy).unwrap();
                }
            }
        }
        let tree = Tree::open(&store(RealFs), account.path("")).unwrap();
        let report = check(&tree, Repair::Yes);
        prop_assert!(!report.is_left(), "{report:?}");
        let again = check(&tree, Repair::No);
        prop_assert!(again.findings.is_empty(), "{damages:?} {again:?}");
        let (after, validity_after, uid_next_after) = messages(&tree);
        prop_assert!(before.keys().eq(after.keys()), "{damages:?}");
        // A name with another field is another name.
        let numbers_untouched = damages.iter().all(|damage| match damage {
            Damage::Rename(_, _, to) => *to != ",X=",
            Damage::Copy(..) => true,
            Damage::Octet(..) | Damage::Cut(..) | Damage::Remove(_) => false,
        });
        if numbers_untouched {
            prop_assert_eq!(validity_after, validity);
            prop_assert!(uid_next_after >= uid_next);
            prop_assert!(before.iter().all(|(text, uids)| after[text].contains(&uids[0])), "{damages:?}");
        }
    }
}
