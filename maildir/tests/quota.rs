//! What `maildirsize` says is what is there, whatever is done and whoever is at work.

mod support;

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Entry, File, Fs, FsError, Metadata, Op, RealFs, Space};
use pillarbox_maildir::{
    Access, FlagChange, Flags, Full, Layout, Mailbox, MailboxName, MaildirError, Options, Purpose, Quota, QuotaRules,
    Store, Tree, TreeOptions, Uid, Usage, publish_all,
};
use support::{Bench, deliver, prepare};

const LIMITS: Quota = Quota { bytes: Some(100_000), messages: Some(100) };

fn name(name: &str) -> MailboxName {
    MailboxName::parse(name, '/').unwrap()
}

/// An account with a mailbox, and a `maildirsize`.
fn account(bench: &Bench) -> Tree {
    let tree = Tree::create(&bench.store, bench.path("m")).unwrap();
    tree.create_mailbox(&name("a")).unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage::default());
    tree
}

/// What lies there, by another road than the one that is tested: whole files, however they are named.
fn there(bench: &Bench) -> Usage {
    let mut usage = Usage::default();
    let mut folders = vec![bench.path("m")];
    folders.extend(std::fs::read_dir(bench.path("m")).unwrap().map(|entry| entry.unwrap().path()));
    for dir in folders.iter().flat_map(|folder| [folder.join("new"), folder.join("cur")]) {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            usage = usage.plus(Usage::message(entry.unwrap().metadata().unwrap().len()));
        }
    }
    usage
}

fn written(bench: &Bench) -> String {
    std::fs::read_to_string(bench.path("m/maildirsize")).unwrap()
}

fn write(bench: &Bench, text: impl AsRef<[u8]>) {
    std::fs::write(bench.path("m/maildirsize"), text).unwrap();
}

fn all(mailbox: &Mailbox) -> Vec<Uid> {
    mailbox.messages().map(|message| message.uid).collect()
}

/// Lines that were added, without counting again.
fn added_up(bench: &Bench) -> Usage {
    let (mut bytes, mut messages) = (0, 0);
    for line in written(bench).lines().skip(1) {
        let (b, m) = line.split_once(' ').unwrap();
        bytes += b.parse::<i64>().unwrap();
        messages += m.parse::<i64>().unwrap();
    }
    Usage { bytes: bytes.try_into().unwrap(), messages: messages.try_into().unwrap() }
}

#[test]
fn every_change_is_a_line() {
    let bench = Bench::new();
    let tree = account(&bench);
    let (inbox, a) = (tree.mailbox(&MailboxName::inbox()).unwrap(), tree.mailbox(&name("a")).unwrap());
    assert_eq!(written(&bench), "100000S,100C\n0 0\n");
    let check = |line: &str| {
        assert_eq!(written(&bench).lines().last().unwrap(), line);
        assert_eq!(added_up(&bench), there(&bench), "after {line}");
        assert_eq!(tree.usage(LIMITS).unwrap(), there(&bench));
    };
    deliver(&inbox, "one\r\n").unwrap();
    check("4 1");
    inbox
        .append(vec![
            prepare(&inbox, "two\r\n", Flags::SEEN).unwrap(),
            prepare(&inbox, "three\r\n", Flags::NONE).unwrap(),
        ])
        .unwrap();
    check("10 2");
    publish_all(vec![prepare(&inbox, "both\r\n", Flags::NONE).unwrap(), prepare(&a, "both\r\n", Flags::NONE).unwrap()])
        .unwrap();
    check("10 2");
    let mut open = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
    let uids = all(&open);
    assert_eq!(open.usage_of(&uids).unwrap(), Usage { bytes: 19, messages: 4 });
    open.copy(&uids[..2], &a).unwrap();
    check("10 2");
    let lines = written(&bench).lines().count();
    open.set_flags(&uids, FlagChange::Add, Flags::SEEN).unwrap();
    assert_eq!(written(&bench).lines().count(), lines, "flags use nothing");
    open.move_to(&uids[..1], &a).unwrap();
    check("-4 -1");
    open.expunge(&uids[1..3]).unwrap();
    check("-10 -2");
    let delivered = prepare(&inbox, "back\r\n", Flags::NONE).unwrap().publish().unwrap();
    assert!(inbox.take_back(&delivered).unwrap());
    check("-5 -1");
    tree.rename_mailbox(&name("a"), &name("b/c")).unwrap();
    check("-5 -1");
    tree.rename_mailbox(&MailboxName::inbox(), &name("old")).unwrap();
    check("-5 -1");
    tree.delete_mailbox(&name("b/c")).unwrap();
    check("-19 -4");
    assert_eq!(there(&bench), Usage { bytes: 5, messages: 1 });
}

/// Two appenders would mix lines that are written in pieces; and nothing is synced that a delivery does not need.
#[test]
fn a_line_is_one_write() {
    let bench = Bench::new();
    let tree = account(&bench);
    bench.ops();
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "one\r\n").unwrap();
    let of_file: Vec<Op> =
        bench.ops().into_iter().filter(|(_, name)| name == "m/maildirsize").map(|(op, _)| op).collect();
    assert_eq!(of_file, [Op::Open, Op::Write, Op::Close]);
}

#[test]
fn an_account_without_the_file_gets_none() {
    let bench = Bench::new();
    let inbox = bench.folder("m");
    deliver(&inbox, "one\r\n").unwrap();
    assert!(!bench.path("m/maildirsize").exists());
    let tree = Tree::open(&bench.store, bench.path("m")).unwrap();
    assert_eq!(tree.quota_on_disk().unwrap(), None);
    assert_eq!(tree.usage(Quota::default()).unwrap(), Usage::message(4));
    assert_eq!(written(&bench), "0S\n4 1\n");
    assert_eq!(tree.quota_on_disk().unwrap(), Some(Quota::default()));
}

#[test]
fn what_is_damaged_is_counted_again() {
    let bench = Bench::new();
    let tree = account(&bench);
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "one\r\n").unwrap();
    deliver(&tree.mailbox(&name("a")).unwrap(), "three\r\n").unwrap();
    let good = "100000S,100C\n10 2\n";
    for damage in [
        "",
        "\n",
        "100000S,100C",
        "100000S,100C\n",
        "100000S,100C\n5",
        "100000S,100C\n5 1",
        "100000S,100C\nx y\n",
        "100000S,100C\n-5 0\n",
        "100000S,100C\n5 -1\n",
        "100000S,100C\n9223372036854775807 1\n9223372036854775807 1\n",
        "100000S,100C\n5 1 1\n",
        "100000S,100C\n5 1\n\0\0\0",
        "99S,100C\n10 2\n",
        "garbage\n10 2\n",
        "\u{1F600}\n10 2\n",
        &format!("100000S,100C\n{}", "1 1\n".repeat(2000)),
    ] {
        write(&bench, damage);
        assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 10, messages: 2 }, "{damage:?}");
        assert_eq!(written(&bench), good, "{damage:?}");
        tree.check_quota(&QuotaRules::new(LIMITS), &name("a"), Usage::message(1), Purpose::Own).unwrap();
        // And a delivery meets it.
        write(&bench, damage);
        let delivered = prepare(&tree.mailbox(&name("a")).unwrap(), "x\r\n", Flags::NONE).unwrap().publish().unwrap();
        assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 12, messages: 3 }, "{damage:?}");
        tree.mailbox(&name("a")).unwrap().take_back(&delivered).unwrap();
        assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 10, messages: 2 }, "{damage:?}");
    }
    write(&bench, good);
    std::fs::File::options().write(true).open(bench.path("m/maildirsize")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 10, messages: 2 }, "a file of a tebibyte");
    std::fs::remove_file(bench.path("m/maildirsize")).unwrap();
    std::fs::create_dir(bench.path("m/maildirsize")).unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 10, messages: 2 }, "a directory of that name");
    deliver(&tree.mailbox(&name("a")).unwrap(), "x\r\n").unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 12, messages: 3 }, "a directory of that name");
}

/// Another process died in the middle of its line. Ours behind it would make one number of two.
#[test]
fn nothing_is_written_behind_a_torn_line() {
    let bench = Bench::new();
    let tree = account(&bench);
    let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
    deliver(&inbox, "one\r\n").unwrap();
    std::fs::File::options().append(true).open(bench.path("m/maildirsize")).unwrap().write_all(b"20").unwrap();
    deliver(&inbox, "two\r\n").unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 8, messages: 2 });
    assert_eq!(written(&bench), "100000S,100C\n8 2\n");
}

#[test]
fn nobody_is_refused_for_what_the_file_says_alone() {
    let bench = Bench::new();
    let tree = account(&bench);
    let inbox = MailboxName::inbox();
    let rules = QuotaRules::new(Quota { bytes: Some(10), messages: None });
    let ask = |bytes| tree.check_quota(&rules, &inbox, Usage::message(bytes), Purpose::Own);
    deliver(&tree.mailbox(&inbox).unwrap(), "seven \r\n").unwrap();
    // Somebody removed messages and wrote nothing down.
    write(&bench, "10S\n5 1\n4 1\n");
    ask(3).unwrap();
    assert_eq!(written(&bench), "10S\n7 1\n");
    // Just counted, so that the answer costs no count.
    let id =
        |bench: &Bench| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(bench.path("m/maildirsize")).unwrap());
    let before = id(&bench);
    let error = ask(4).unwrap_err();
    assert!(matches!(error, MaildirError::OverQuota) && error.is_temporary() && error.full() == Some(Full::Quota));
    assert_eq!(id(&bench), before);
    // A quarter of an hour later it costs one.
    bench.clock.advance(Duration::from_secs(16 * 60));
    ask(4).unwrap_err();
    assert_ne!(id(&bench), before);
    write(&bench, "10S\n11 1\n");
    bench.clock.advance(Duration::from_secs(16 * 60));
    assert_eq!(tree.usage(rules.quota()).unwrap(), Usage { bytes: 7, messages: 1 });
    // More room in the trash, and some for what is delivered.
    let mut rules = rules;
    rules.add("Trash:bytes=+5").unwrap();
    tree.check_quota(&rules, &name("Trash"), Usage::message(8), Purpose::Own).unwrap();
    tree.check_quota(&rules, &name("Trash"), Usage::message(9), Purpose::Own).unwrap_err();
    tree.check_quota(&rules, &inbox, Usage::message(4), Purpose::Delivery).unwrap();
    tree.check_quota(&rules, &inbox, Usage::message(5), Purpose::Delivery).unwrap_err();
}

/// What other programs put there has no size in its name, or one that is wrong; what they tell us nothing of is found.
#[test]
fn files_of_other_programs_count() {
    let bench = Bench::new();
    let tree = account(&bench);
    for (file, text) in
        [("new/1.a.b", "12345"), ("cur/2.a.b:2,S", "123"), ("cur/3.a.b,S=7:2,", "1234567"), ("cur/.hidden", "x")]
    {
        std::fs::write(bench.path("m").join(file), text).unwrap();
    }
    std::fs::create_dir(bench.path("m/cur/4.directory")).unwrap();
    let usage = Usage { bytes: 15, messages: 3 };
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage::default(), "nobody wrote it down");
    assert_eq!(tree.recount(LIMITS).unwrap(), usage);
    let mut open = Mailbox::open(&tree.mailbox(&MailboxName::inbox()).unwrap(), Access::ReadWrite).unwrap();
    let uids = all(&open);
    assert_eq!(open.usage_of(&uids).unwrap(), usage);
    open.expunge(&uids).unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage::default());
    assert_eq!(written(&bench).lines().last(), Some("-15 -3"));
}

/// After a crash lines may be missing whose messages are there: who starts counts.
#[test]
fn the_first_look_of_a_process_counts() {
    let bench = Bench::new();
    let tree = account(&bench);
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "one\r\n").unwrap();
    write(&bench, "100000S,100C\n0 0\n");
    let after = Tree::open(&bench.other_process(), bench.path("m")).unwrap();
    assert_eq!(after.usage(LIMITS).unwrap(), Usage::message(4));
}

/// A line that cannot be written refuses nothing, and is made up for.
#[test]
fn a_change_that_is_not_written_down_is_counted() {
    // Of a full disk the changes fail, of a broken one everything.
    for errno in [28, 5] {
        for n in 0.. {
            let bench = Bench::new();
            let tree = account(&bench);
            let (inbox, a) = (tree.mailbox(&MailboxName::inbox()).unwrap(), tree.mailbox(&name("a")).unwrap());
            deliver(&inbox, "one\r\n").unwrap();
            let mut open = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
            let uids = all(&open);
            match errno {
                28 => bench.fs.fail_at(n, errno),
                _ => bench.fs.fail_any_at(n, errno),
            }
            let _ = deliver(&a, "two\r\n");
            let _ = open.copy(&uids, &a);
            let _ = open.expunge(&uids);
            let _ = tree.usage(LIMITS);
            let _ = tree.recount(Quota::default());
            let healed = bench.fs.heal();
            assert_eq!(tree.usage(LIMITS).unwrap(), there(&bench), "errno {errno}, change {n}");
            // What was counted while the file could not be written is kept for a minute, then the file is made.
            bench.clock.advance(Duration::from_secs(61));
            assert_eq!(tree.usage(LIMITS).unwrap(), there(&bench), "errno {errno}, change {n}");
            assert_eq!(added_up(&bench), there(&bench), "errno {errno}, change {n}");
            if healed {
                break;
            }
        }
    }
}

/// Nothing refuses a message because the file cannot be written: what was counted is right.
#[test]
fn usage_is_told_where_nothing_can_be_written() {
    let bench = Bench::new();
    let tree = account(&bench);
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "one\r\n").unwrap();
    for n in 0..4 {
        write(&bench, "broken");
        bench.fs.fail_at(n, 28);
        assert_eq!(tree.usage(LIMITS).unwrap(), Usage::message(4), "change {n}");
        assert!(!bench.fs.heal(), "create, write, sync and close can fail: {n}");
        assert_eq!(support::files(&bench.path("m")).len(), 1, "nothing is left in tmp/");
        bench.clock.advance(Duration::from_secs(61));
    }
}

/// A count of all messages at each RCPT would keep the mail from whoever has much of it, just when the disk is full.
#[test]
fn what_was_counted_is_kept_where_nothing_can_be_written() {
    let bench = Bench::new();
    let tree = account(&bench);
    let (inbox, a) = (tree.mailbox(&MailboxName::inbox()).unwrap(), tree.mailbox(&name("a")).unwrap());
    deliver(&inbox, "one\r\n").unwrap();
    // In its place is something that no file can be put over.
    std::fs::remove_file(bench.path("m/maildirsize")).unwrap();
    std::fs::create_dir(bench.path("m/maildirsize")).unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage::message(4));
    let asks_the_disk = || {
        bench.fs.fail_any_at(0, 5);
        let usage = tree.usage(LIMITS).and_then(|usage| {
            tree.check_quota(&QuotaRules::new(LIMITS), &MailboxName::inbox(), Usage::message(1), Purpose::Delivery)?;
            Ok(usage)
        });
        (usage.ok(), !bench.fs.heal())
    };
    assert_eq!(asks_the_disk(), (Some(Usage::message(4)), false));
    // What this process does is known.
    deliver(&a, "three\r\n").unwrap();
    assert_eq!(asks_the_disk(), (Some(Usage { bytes: 10, messages: 2 }), false));
    let mut open = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
    open.expunge(&all(&open)).unwrap();
    assert_eq!(asks_the_disk(), (Some(Usage::message(6)), false));
    // A minute later everything is.
    std::fs::write(bench.path("m/new/1.other"), "12345").unwrap();
    assert_eq!(asks_the_disk(), (Some(Usage::message(6)), false));
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(asks_the_disk(), (None, true));
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage { bytes: 11, messages: 2 });
}

/// 0 is no limit in the file, so that one of nothing cannot stand there. That is no reason to count at each question.
#[test]
fn a_limit_of_nothing_is_not_counted_for_at_each_question() {
    for (bytes, messages) in [(Some(0), None), (None, Some(0)), (Some(0), Some(7)), (Some(0), Some(0))] {
        let limits = Quota { bytes, messages };
        let bench = Bench::new();
        let tree = account(&bench);
        let which = || std::fs::metadata(bench.path("m/maildirsize")).unwrap().ino();
        assert_eq!(tree.usage(limits).unwrap(), Usage::default());
        let first = which();
        for _ in 0..3 {
            assert_eq!(tree.usage(limits).unwrap(), Usage::default());
            let rules = QuotaRules::new(limits);
            let asked = tree.check_quota(&rules, &MailboxName::inbox(), Usage::message(1), Purpose::Own);
            assert_eq!(asked.unwrap_err().full(), Some(Full::Quota), "{limits:?}");
        }
        assert_eq!(which(), first, "{limits:?}");
    }
}

/// A root that is no mailbox has no tmp/.
#[test]
fn the_file_of_an_account_whose_inbox_is_elsewhere() {
    let bench = Bench::new();
    let mut options = TreeOptions::default();
    (options.layout, options.inbox) = (Layout::Fs, Some(bench.path("inbox")));
    let tree = Tree::create_with(&bench.store, bench.path("m"), options).unwrap();
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "one\r\n").unwrap();
    assert_eq!(tree.usage(LIMITS).unwrap(), Usage::message(4));
    assert_eq!(written(&bench), "100000S,100C\n4 1\n");
    assert_eq!(std::fs::read_dir(bench.path("m")).unwrap().count(), 1, "nothing is left beside it");
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "two\r\n").unwrap();
    assert_eq!(written(&bench), "100000S,100C\n4 1\n4 1\n");
}

/// The machine's file system, where some folders may not be read, as somebody else's.
#[derive(Debug)]
struct Denying(&'static str);

impl Denying {
    fn ask<T>(&self, op: Op, path: &Path, answer: impl FnOnce() -> pillarbox_fs::Result<T>) -> pillarbox_fs::Result<T> {
        match path.ends_with(self.0) {
            true => Err(FsError::new(op, path, std::io::ErrorKind::PermissionDenied.into())),
            false => answer(),
        }
    }
}

impl Fs for Denying {
    fn create(&self, path: &Path) -> pillarbox_fs::Result<File> {
        RealFs.create(path)
    }
    fn open(&self, path: &Path) -> pillarbox_fs::Result<File> {
        RealFs.open(path)
    }
    fn open_append(&self, path: &Path) -> pillarbox_fs::Result<File> {
        RealFs.open_append(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> pillarbox_fs::Result<()> {
        RealFs.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> pillarbox_fs::Result<()> {
        RealFs.link(from, to)
    }
    fn unlink(&self, path: &Path) -> pillarbox_fs::Result<()> {
        RealFs.unlink(path)
    }
    fn make_dir(&self, path: &Path) -> pillarbox_fs::Result<()> {
        RealFs.make_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> pillarbox_fs::Result<()> {
        RealFs.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> pillarbox_fs::Result<()> {
        RealFs.sync_dir(path)
    }
    fn list(&self, path: &Path) -> pillarbox_fs::Result<Vec<Entry>> {
        self.ask(Op::List, path, || RealFs.list(path))
    }
    fn metadata(&self, path: &Path) -> pillarbox_fs::Result<Metadata> {
        self.ask(Op::Metadata, path, || RealFs.metadata(path))
    }
    fn space(&self, path: &Path) -> pillarbox_fs::Result<Space> {
        RealFs.space(path)
    }
}

#[test]
fn a_mailbox_that_may_not_be_read_is_passed_over() {
    let bench = Bench::new();
    let tree = account(&bench);
    deliver(&tree.mailbox(&MailboxName::inbox()).unwrap(), "one\r\n").unwrap();
    deliver(&tree.mailbox(&name("a")).unwrap(), "three\r\n").unwrap();
    for denied in [".a", ".a/cur", ".a/new"] {
        let tree = Tree::open(&Store::new(Denying(denied), Options::from_system()), bench.path("m")).unwrap();
        assert_eq!(tree.recount(LIMITS).unwrap().messages, 1, "{denied}");
    }
    let denied = Tree::open(&Store::new(Denying("m/new"), Options::from_system()), bench.path("m"));
    // Of INBOX nobody can say that it is somebody else's.
    assert!(denied.and_then(|tree| tree.recount(LIMITS)).is_err());
}

/// Mail comes to a mailbox at any moment of its deletion: what is gone does not count.
#[test]
fn a_delivery_into_a_mailbox_that_is_being_deleted_does_not_count() {
    for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
        // Before each step of the deletion once.
        for moment in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("m");
            let mut options = TreeOptions::default();
            options.layout = layout;
            let other = Store::new(RealFs, Options::from_system());
            let begun = Tree::create_with(&other, &root, options.clone()).unwrap();
            begun.create_mailbox(&name("a")).unwrap();
            let steps = Arc::new(AtomicUsize::new(usize::MAX));
            let (count, folder) = (steps.clone(), begun.mailbox(&name("a")).unwrap());
            let fs = Watched::new(RealFs).before(move |_, _| {
                let step = count.load(Ordering::SeqCst);
                if step < usize::MAX {
                    count.store(step + 1, Ordering::SeqCst);
                    if step == moment {
                        // Once the mailbox is gone it is refused.
                        let _ = deliver(&folder, "late\r\n");
                    }
                }
            });
            let tree = Tree::open_with(&Store::new(fs, Options::from_system()), &root, options).unwrap();
            tree.usage(LIMITS).unwrap();
            begun.usage(LIMITS).unwrap();
            deliver(&tree.mailbox(&name("a")).unwrap(), "one\r\n").unwrap();
            steps.store(0, Ordering::SeqCst);
            tree.delete_mailbox(&name("a")).unwrap();
            let struck = steps.swap(usize::MAX, Ordering::SeqCst) > moment;
            assert_eq!(tree.usage(LIMITS).unwrap(), Usage::default(), "{layout:?}, step {moment}");
            if !struck {
                break;
            }
        }
    }
}

fn work(store: &Store, bench: &Bench, mailbox: &str, rounds: usize) {
    let tree = Tree::open(store, bench.path("m")).unwrap();
    let (folder, inbox) = (tree.mailbox(&name(mailbox)).unwrap(), tree.mailbox(&MailboxName::inbox()).unwrap());
    for round in 0..rounds {
        deliver(&inbox, &"x".repeat(round % 7)).unwrap();
        folder.append(vec![prepare(&folder, &"y".repeat(round % 5), Flags::SEEN).unwrap()]).unwrap();
        if round % 3 == 0 {
            let mut open = Mailbox::open(&folder, Access::ReadWrite).unwrap();
            let uids = all(&open);
            open.copy(&uids[..1], &folder).unwrap();
            open.expunge(&uids[..1]).unwrap();
        }
    }
}

/// Counting while others deliver, in this process and in another, loses none of their messages and counts none twice.
#[test]
fn who_counts_loses_nothing_of_those_who_deliver() {
    let bench = Bench::new();
    let tree = account(&bench);
    tree.create_mailbox(&name("b")).unwrap();
    tree.create_mailbox(&name("c")).unwrap();
    let other = bench.other_process();
    let other_tree = Tree::open(&other, bench.path("m")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers = [(&bench.store, "a"), (&bench.store, "b"), (&other, "c")]
            .map(|(store, mailbox)| scope.spawn(|| work(store, &bench, mailbox, 60)));
        let counter = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                tree.recount(LIMITS).unwrap();
                other_tree.usage(LIMITS).unwrap();
            }
        });
        let ended = workers.map(|worker| worker.join());
        done.store(true, Ordering::SeqCst);
        counter.join().unwrap();
        ended.into_iter().for_each(|worker| worker.unwrap());
    });
    // Whoever lost count knows it; who does not has the right sum.
    assert_eq!(tree.usage(LIMITS).unwrap(), there(&bench));
    assert_eq!(other_tree.usage(LIMITS).unwrap(), there(&bench));
}

/// Within one process no count is needed to be right.
#[test]
fn in_one_process_the_lines_are_exact() {
    let bench = Bench::new();
    let tree = account(&bench);
    tree.create_mailbox(&name("b")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers = ["a", "b"].map(|mailbox| scope.spawn(|| work(&bench.store, &bench, mailbox, 60)));
        let counter = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                tree.recount(LIMITS).unwrap();
                std::thread::yield_now();
            }
        });
        let ended = workers.map(|worker| worker.join());
        done.store(true, Ordering::SeqCst);
        counter.join().unwrap();
        ended.into_iter().for_each(|worker| worker.unwrap());
    });
    assert_eq!(added_up(&bench), there(&bench));
}
