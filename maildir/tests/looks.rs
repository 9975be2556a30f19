//! How much of a folder is read to see what is new in it, and that nothing is overlooked for it.

mod support;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use pillarbox_fs::{Entry, File, Fs, Kind, Metadata, Result, SimulatedFs, Space};
use pillarbox_maildir::{Access, Clock, FlagChange, Flags, Mailbox, Maildir, Options, Store, Uid};
use proptest::prelude::*;
use support::deliver;

/// A disk that counts how often `cur/` is read. Its time stands still until the test moves it on, so that changes cannot be
/// told apart by their times.
#[derive(Clone, Debug)]
struct Disk {
    fs: SimulatedFs,
    listings: Arc<AtomicUsize>,
    /// The next reading of `cur/` takes five seconds, and another program changes a flag behind it.
    slow: Arc<AtomicBool>,
}

impl Disk {
    fn new() -> Self {
        let disk = Disk { fs: SimulatedFs::new(), listings: Arc::default(), slow: Arc::default() };
        Maildir::create(&disk.process(1), "/m").unwrap();
        disk
    }

    /// A process of its own, which keeps snapshots of mailboxes from so many messages on.
    fn process(&self, snapshot_from: usize) -> Store {
        static SEED: AtomicUsize = AtomicUsize::new(1);
        let mut options = Options::from_system();
        options.seed = SEED.fetch_add(1, Ordering::Relaxed) as u64;
        options.clock = Arc::new(DiskClock(self.fs.clone()));
        options.snapshot_from = snapshot_from;
        Store::new(self.clone(), options)
    }

    fn open(&self, snapshot_from: usize) -> Mailbox {
        let folder = Maildir::open(&self.process(snapshot_from), "/m").unwrap();
        Mailbox::open(&folder, Access::ReadWrite).unwrap()
    }

    /// How often `cur/` was read meanwhile.
    fn listings<T>(&self, work: impl FnOnce() -> T) -> (usize, T) {
        let before = self.listings.load(Ordering::Relaxed);
        let done = work();
        (self.listings.load(Ordering::Relaxed) - before, done)
    }

    fn advance(&self, seconds: u64) {
        self.fs.advance(Duration::from_secs(seconds));
    }

    fn names(&self) -> Vec<String> {
        self.fs.list(Path::new("/m/cur")).unwrap().into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
    }

    /// What another program does: it adds or takes away the letter F of a message.
    fn flag(&self, which: usize) {
        let names = self.names();
        let Some(name) = names.get(which % names.len().max(1)) else { return };
        let (base, info) = name.split_once(":2,").unwrap();
        let letters = match info.strip_prefix('F') {
            Some(rest) => rest.to_owned(),
            None => format!("F{info}"),
        };
        let cur = PathBuf::from("/m/cur");
        self.fs.rename(&cur.join(name), &cur.join(format!("{base}:2,{letters}"))).unwrap();
    }

    fn remove(&self, which: usize) {
        let names = self.names();
        if let Some(name) = names.get(which % names.len().max(1)) {
            self.fs.unlink(&PathBuf::from("/m/cur").join(name)).unwrap();
        }
    }
}

impl Fs for Disk {
    fn create(&self, path: &Path) -> Result<File> {
        self.fs.create(path)
    }
    fn open(&self, path: &Path) -> Result<File> {
        self.fs.open(path)
    }
    fn open_append(&self, path: &Path) -> Result<File> {
        self.fs.open_append(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.fs.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.fs.link(from, to)
    }
    fn unlink(&self, path: &Path) -> Result<()> {
        self.fs.unlink(path)
    }
    fn make_dir(&self, path: &Path) -> Result<()> {
        self.fs.make_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.fs.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.fs.sync_dir(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        self.listings.fetch_add(usize::from(path.ends_with("cur")), Ordering::Relaxed);
        self.fs.list(path)
    }
    fn list_each(&self, path: &Path, show: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.listings.fetch_add(usize::from(path.ends_with("cur")), Ordering::Relaxed);
        self.fs.list_each(path, show)?;
        if path.ends_with("cur") && self.slow.swap(false, Ordering::Relaxed) {
            self.flag(0);
            self.advance(5);
        }
        Ok(())
    }
    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.fs.metadata(path)
    }
    fn space(&self, path: &Path) -> Result<Space> {
        self.fs.space(path)
    }
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

fn uid(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn shown(mailbox: &Mailbox) -> BTreeMap<u32, (Vec<u8>, Flags)> {
    mailbox.messages().map(|message| (message.uid.get(), (message.name.to_vec(), message.flags))).collect()
}

/// A mailbox at rest with three messages.
fn at_rest() -> (Disk, Mailbox) {
    let disk = Disk::new();
    let mut mailbox = disk.open(usize::MAX);
    for _ in 0..3 {
        deliver(mailbox.maildir(), "x\r\n").unwrap();
    }
    mailbox.refresh().unwrap();
    disk.advance(10);
    mailbox.refresh().unwrap();
    (disk, mailbox)
}

#[test]
fn what_we_change_ourselves_is_not_read_again() {
    let (disk, mut mailbox) = at_rest();
    let (listings, ()) = disk.listings(|| {
        deliver(mailbox.maildir(), "4\r\n").unwrap();
        assert_eq!(mailbox.refresh().unwrap().added, [uid(4)]);
        assert!(mailbox.message(uid(4)).unwrap().recent);
        mailbox.set_flags(&[uid(1), uid(4)], FlagChange::Add, Flags::SEEN).unwrap();
        assert!(mailbox.refresh().unwrap().is_empty());
        mailbox.expunge(&[uid(2)]).unwrap();
        assert!(mailbox.refresh().unwrap().is_empty());
        deliver(mailbox.maildir(), "5\r\n").unwrap();
        deliver(mailbox.maildir(), "6\r\n").unwrap();
        assert_eq!(mailbox.refresh().unwrap().added, [uid(5), uid(6)]);
        let message = support::prepare(mailbox.maildir(), "7\r\n", Flags::NONE).unwrap();
        assert_eq!(mailbox.maildir().append(vec![message]).unwrap().uids, [uid(7)]);
        assert_eq!(mailbox.refresh().unwrap().added, [uid(7)]);
        // With flags it comes into cur/ at once.
        let message = support::prepare(mailbox.maildir(), "8\r\n", Flags::SEEN).unwrap();
        assert_eq!(mailbox.maildir().append(vec![message]).unwrap().uids, [uid(8)]);
        assert_eq!(mailbox.refresh().unwrap().added, [uid(8)]);
        support::prepare(mailbox.maildir(), "9\r\n", Flags::FLAGGED).unwrap().publish().unwrap();
        deliver(mailbox.maildir(), "10\r\n").unwrap();
        assert_eq!(mailbox.refresh().unwrap().added, [uid(9), uid(10)]);
        // Nobody takes it out of new/, so it is not recent.
        for message in mailbox.messages().skip(5) {
            assert_eq!(message.recent, message.flags.is_empty(), "{message:?}");
        }
    });
    assert_eq!(listings, 0);
    assert_eq!(support::text(&mut mailbox, uid(8)), "8\r\n");
    assert_eq!(mailbox.message(uid(8)).unwrap().flags, Flags::SEEN);
    assert_eq!(shown(&mailbox), shown(&disk.open(usize::MAX)));
}

#[test]
fn a_change_hidden_behind_ours_is_seen_when_the_folder_has_been_at_rest() {
    let (disk, mut mailbox) = at_rest();
    deliver(mailbox.maildir(), "4\r\n").unwrap();
    mailbox.refresh().unwrap();
    // In the same step of the disk's clock.
    disk.flag(0);
    assert!(mailbox.refresh().unwrap().is_empty(), "nothing tells it apart from what we did");
    assert!(mailbox.is_in_doubt());
    disk.advance(2);
    let (listings, changes) = disk.listings(|| mailbox.refresh().unwrap());
    assert_eq!((listings, changes.flags.len()), (1, 1));
    let (listings, changes) = disk.listings(|| mailbox.refresh().unwrap());
    assert!(listings == 0 && changes.is_empty() && !mailbox.is_in_doubt());
}

#[test]
fn a_change_hidden_behind_ours_is_seen_after_ten_seconds_though_we_go_on() {
    let (disk, mut mailbox) = at_rest();
    deliver(mailbox.maildir(), "4\r\n").unwrap();
    mailbox.refresh().unwrap();
    disk.flag(0);
    let mut seen = 0;
    let (listings, ()) = disk.listings(|| {
        for second in 1..=30 {
            disk.advance(1);
            deliver(mailbox.maildir(), "more\r\n").unwrap();
            let changes = mailbox.refresh().unwrap();
            assert_eq!(changes.added.len(), 1);
            if !changes.flags.is_empty() {
                assert_eq!(second, 10);
                seen += 1;
            }
        }
    });
    // Every ten seconds once without the lock and, for there is a message without a UID, once with it.
    assert_eq!((seen, listings), (1, 6));
}

#[test]
fn a_reading_that_takes_long_is_as_old_as_its_beginning() {
    let (disk, mut mailbox) = at_rest();
    disk.flag(1);
    disk.slow.store(true, Ordering::Relaxed);
    mailbox.refresh().unwrap();
    assert!(!disk.slow.load(Ordering::Relaxed));
    mailbox.refresh().unwrap();
    assert_eq!(shown(&mailbox), shown(&disk.open(usize::MAX)));
}

#[test]
fn a_change_of_another_program_is_seen_at_once() {
    let (disk, mut mailbox) = at_rest();
    disk.advance(1);
    disk.flag(0);
    assert_eq!(mailbox.refresh().unwrap().flags.len(), 1);
    // Who is at work may go on within the same step.
    disk.flag(1);
    assert_eq!(mailbox.refresh().unwrap().flags.len(), 1);
    disk.remove(2);
    assert_eq!(mailbox.refresh().unwrap().removed.len(), 1);
}

#[test]
fn a_mailbox_at_rest_is_opened_without_reading_its_directories() {
    let (disk, mailbox) = at_rest();
    drop(mailbox);
    let (listings, first) = disk.listings(|| disk.open(3));
    assert_eq!(listings, 1);
    let (listings, second) = disk.listings(|| disk.open(3));
    assert_eq!(listings, 0);
    assert_eq!(shown(&first), shown(&second));
    assert_eq!((first.uid_validity(), first.uid_next()), (second.uid_validity(), second.uid_next()));
    // A smaller one has no snapshot, and one that has changed is read.
    assert_eq!(disk.listings(|| disk.open(3)).0, 0);
    disk.flag(1);
    let (listings, third) = disk.listings(|| disk.open(3));
    assert!(listings > 0);
    assert_ne!(shown(&third), shown(&second));
    disk.advance(10);
    assert_eq!(disk.listings(|| disk.open(3)).0, 1);
    assert_eq!(disk.listings(|| disk.open(3)).0, 0);
}

// MDR-06
#[test]
fn a_snapshot_that_is_lost_damaged_or_of_another_file_is_written_anew() {
    let (disk, mailbox) = at_rest();
    drop(mailbox);
    let whole = shown(&disk.open(1));
    let path = Path::new("/m/pillarbox-index");
    let octets = disk.fs.read(path, 1 << 20).unwrap();
    let mut flipped = octets.clone();
    flipped[160] ^= 1;
    for content in [&b""[..], b"PBXIDX1\n", &octets[..octets.len() - 1], &flipped, &octets] {
        assert_eq!(disk.listings(|| disk.open(1)).0, 0);
        disk.fs.unlink(path).unwrap();
        let mut file = disk.fs.create(path).unwrap();
        file.write(content).unwrap();
        file.close().unwrap();
        let (listings, mailbox) = disk.listings(|| disk.open(1));
        assert_eq!((listings, shown(&mailbox)), (1, whole.clone()));
    }
}

/// What another program did may not have reached the disk. Times of directories may have.
// MDR-06
#[test]
fn a_snapshot_says_nothing_that_a_power_cut_takes_back() {
    let (disk, mut mailbox) = at_rest();
    mailbox.set_flags(&[uid(1)], FlagChange::Add, Flags::SEEN).unwrap();
    drop(mailbox);
    for dir in ["tmp", "new", "cur"] {
        disk.fs.sync_dir(&Path::new("/m").join(dir)).unwrap();
    }
    disk.advance(10);
    disk.flag(0);
    disk.remove(1);
    disk.advance(10);
    assert_eq!(disk.listings(|| disk.open(1)).0, 1);
    let (listings, open) = disk.listings(|| disk.open(1));
    assert_eq!((listings, open.messages().len()), (0, 2));
    let mut images = 0;
    for fs in disk.fs.crash().images(1000, 1) {
        images += 1;
        let after = Disk { fs, ..Disk::new() };
        after.advance(10);
        assert_eq!(shown(&after.open(1)), shown(&after.open(usize::MAX)));
    }
    assert!(images > 1, "{images}");
}

// DSK-05
#[test]
fn a_snapshot_that_cannot_be_written_is_no_trouble() {
    let mut faults = 0;
    for carried_out in [false, true] {
        for n in 0.. {
            let (disk, mailbox) = at_rest();
            let whole = shown(&mailbox);
            drop(mailbox);
            let folder = Maildir::open(&disk.process(1), "/m").unwrap();
            disk.fs.fail_at(n, nix::errno::Errno::ENOSPC as i32, carried_out);
            let opened = Mailbox::open(&folder, Access::ReadWrite);
            if disk.fs.heal() {
                break;
            }
            faults += 1;
            // To open it may fail where the UID list has to be synced.
            match opened {
                Ok(mailbox) => assert_eq!(shown(&mailbox), whole),
                Err(error) => assert!(error.is_temporary() && n < 2, "{n}: {error}"),
            }
            for _ in 0..2 {
                assert_eq!(shown(&disk.open(1)), whole);
            }
            assert_eq!(disk.listings(|| disk.open(1)).0, 0);
        }
    }
    assert!(faults >= 12, "{faults}");
}

#[derive(Clone, Debug)]
enum Step {
    Deliver,
    AppendSeen,
    OurFlag(usize),
    OurExpunge(usize),
    TheirFlag(usize),
    TheirRemoval(usize),
    Refresh,
    Open,
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Deliver),
        1 => Just(Step::AppendSeen),
        2 => (0..9usize).prop_map(Step::OurFlag),
        1 => (0..9usize).prop_map(Step::OurExpunge),
        2 => (0..9usize).prop_map(Step::TheirFlag),
        1 => (0..9usize).prop_map(Step::TheirRemoval),
        3 => Just(Step::Refresh),
        2 => Just(Step::Open),
        4 => (0..4u64).prop_map(Step::Advance),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A view that reads little, and one that comes from a snapshot, show what one that reads everything shows: the second at
    /// once, the first as soon as the folder has been at rest.
    #[test]
    fn short_looks_and_snapshots_show_what_is_there(steps in steps()) {
        let disk = Disk::new();
        let mut mailbox = disk.open(1);
        let nth = |mailbox: &Mailbox, n: usize| mailbox.messages().nth(n).map(|message| message.uid).into_iter().collect::<Vec<_>>();
        for step in steps {
            match step {
                Step::Deliver => deliver(mailbox.maildir(), "x\r\n").unwrap(),
                Step::AppendSeen => {
                    let message = support::prepare(mailbox.maildir(), "x\r\n", Flags::SEEN).unwrap();
                    mailbox.maildir().append(vec![message]).unwrap();
                }
                Step::OurFlag(n) => {
                    let uids = nth(&mailbox, n);
                    let _ = mailbox.set_flags(&uids, FlagChange::Add, if n % 2 == 0 { Flags::SEEN } else { Flags::DRAFT });
                }
                Step::OurExpunge(n) => {
                    let uids = nth(&mailbox, n);
                    mailbox.expunge(&uids).unwrap();
                }
                Step::TheirFlag(n) => disk.flag(n),
                Step::TheirRemoval(n) => disk.remove(n),
                Step::Refresh => drop(mailbox.refresh().unwrap()),
                Step::Open => {
                    let opened = shown(&disk.open(1));
                    prop_assert_eq!(opened, shown(&disk.open(usize::MAX)));
                }
                Step::Advance(seconds) => disk.advance(seconds),
            }
        }
        disk.advance(3);
        mailbox.refresh().unwrap();
        disk.advance(3);
        mailbox.refresh().unwrap();
        let all = shown(&disk.open(usize::MAX));
        prop_assert_eq!(&shown(&mailbox), &all);
        disk.advance(3);
        prop_assert_eq!(&shown(&disk.open(1)), &all);
        prop_assert_eq!(shown(&disk.open(1)), all);
    }
}
