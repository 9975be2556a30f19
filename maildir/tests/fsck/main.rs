//! `fsck`: finds each damage and nothing else, repairs it, and then finds nothing.

mod as_it_lies;
mod meanwhile;
mod planted;
#[path = "../support/mod.rs"]
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

const LIMITS: Quota = Quota { bytes: Some(1 << 20), messages: None };
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
