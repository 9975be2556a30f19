//! `pillarbox-cache`: what was kept comes back, or nothing does, whatever befell the file.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_maildir::{Access, Clock, Flags, Mailbox, Maildir, Options, Pieces, Store, Uid};
use proptest::prelude::*;
use support::TestClock;

const TEXT: u8 = 16;

struct Disk {
    fs: SimulatedFs,
    maildir: Maildir,
}

impl Disk {
    fn of(fs: SimulatedFs) -> Disk {
        let mut options = Options::from_system();
        let clock: Arc<dyn Clock> = TestClock::new();
        options.clock = clock;
        let store = Store::new(fs.clone(), options);
        let maildir = Maildir::create(&store, "/mail").unwrap();
        Disk { fs, maildir }
    }

    fn with(messages: usize) -> Disk {
        let disk = Disk::of(SimulatedFs::new());
        for number in 0..messages {
            disk.deliver(format!("Subject: {number}\r\n\r\n").as_bytes());
        }
        disk
    }

    fn deliver(&self, text: &[u8]) {
        let mut message = self.maildir.begin().unwrap();
        message.write(text).unwrap();
        message.commit(Flags::NONE, None).unwrap();
    }

    fn open(&self) -> Mailbox {
        Mailbox::open(&self.maildir, Access::ReadWrite).unwrap()
    }

    fn cache(&self) -> Vec<u8> {
        self.fs.read(Path::new(FILE), 1 << 24).unwrap()
    }

    fn write_cache(&self, bytes: &[u8]) {
        let _ = self.fs.unlink(Path::new(FILE));
        self.fs.create(Path::new(FILE)).unwrap().write(bytes).unwrap();
    }
}

const FILE: &str = "/mail/pillarbox-cache";

fn uids(mailbox: &Mailbox) -> Vec<Uid> {
    mailbox.messages().map(|message| message.uid).collect()
}

fn text(text: &str) -> Pieces {
    let mut pieces = Pieces::new();
    assert!(pieces.insert(TEXT, b"", text.as_bytes()));
    pieces
}

fn truth(uid: Uid) -> Pieces {
    text(&"x".repeat(usize::try_from(uid.get()).unwrap() * 40))
}

/// What is kept of each message is true or not there, and the same when read in large pieces; how many are there.
fn count_true(mailbox: &mut Mailbox) -> usize {
    let uids = uids(mailbox);
    let cached = mailbox.cached(&uids);
    // In any order, and whether many are asked for or few.
    for some in [&uids[..], &uids[..uids.len().min(1)], &uids.iter().rev().copied().collect::<Vec<_>>()] {
        let pieces = mailbox.cached(some).into_iter().map(|found| Some(found?.find(TEXT, b"")?.to_vec()));
        let pieces: Vec<_> = pieces.collect();
        assert_eq!(mailbox.cached_piece(some, TEXT, b""), pieces);
        assert!(mailbox.cached_piece(some, TEXT, b"x").iter().all(Option::is_none));
    }
    let known = uids.iter().zip(&cached).filter(|(uid, found)| {
        found.as_ref().is_some_and(|found| {
            assert_eq!(*found, truth(**uid));
            true
        })
    });
    known.count()
}

fn fill(mailbox: &mut Mailbox) {
    for some in uids(mailbox).chunks(3) {
        let pieces: Vec<_> = some.iter().map(|uid| (*uid, truth(*uid))).collect();
        mailbox.remember(&pieces);
    }
}

/// A place in a table stands for each record, so that their number is limited, whatever wrote them.
// MDR-06
#[test]
fn a_file_full_of_records_of_nobody() {
    let disk = Disk::with(10);
    fill(&mut disk.open());
    let mut cache = disk.cache();
    for uid in 1_000_u32..1_000 + (1 << 17) {
        let mut rest = 24_u32.to_le_bytes().to_vec();
        rest.extend_from_slice(&uid.to_le_bytes());
        rest.extend_from_slice(&[0; 8]);
        cache.extend_from_slice(b"\xf5rec");
        cache.extend_from_slice(&crc32fast::hash(&rest).to_le_bytes());
        cache.extend_from_slice(&rest);
    }
    disk.write_cache(&cache);
    let mut mailbox = disk.open();
    assert_eq!(count_true(&mut mailbox), 0, "it is given up");
    fill(&mut mailbox);
    assert_eq!(count_true(&mut disk.open()), 10, "and written anew");
    assert!(disk.cache().len() < cache.len() / 100);
}

#[test]
fn what_was_kept_comes_back_to_everyone() {
    let disk = Disk::with(10);
    let (mut one, mut other) = (disk.open(), disk.open());
    assert_eq!(count_true(&mut one), 0);
    fill(&mut one);
    assert_eq!((count_true(&mut one), count_true(&mut other), count_true(&mut disk.open())), (10, 10, 10));
    // Pieces of one message come together, and the same again costs nothing.
    let uid = uids(&one)[4];
    let mut more = Pieces::new();
    more.insert(TEXT + 1, b"subject", b"4");
    other.remember(&[(uid, more.clone())]);
    let len = disk.cache().len();
    one.remember(&[(uid, more.clone()), (uid, truth(uid))]);
    assert_eq!(disk.cache().len(), len);
    let found = one.cached(&[uid]).remove(0).unwrap();
    assert_eq!(found.find(TEXT + 1, b"subject"), Some(&b"4"[..]));
    assert_eq!(found.find(TEXT, b""), truth(uid).find(TEXT, b""));
    assert_eq!(found.find(TEXT, b"other"), None);
}

#[test]
fn two_who_append_in_turn_lose_nothing() {
    let disk = Disk::with(40);
    let (mut one, mut other) = (disk.open(), disk.open());
    let all = uids(&one);
    one.remember(&[(all[0], truth(all[0]))]);
    other.cached(&[]);
    for (n, uid) in all.iter().enumerate().skip(1) {
        let who = if n % 2 == 0 { &mut one } else { &mut other };
        who.remember(&[(*uid, truth(*uid))]);
    }
    assert_eq!((count_true(&mut one), count_true(&mut other)), (40, 40));
}

#[test]
fn a_message_with_the_uid_of_another_has_nothing() {
    let disk = Disk::with(2);
    let mut mailbox = disk.open();
    fill(&mut mailbox);
    drop(mailbox);
    // A backup of the list is put back, and the UID is given a second time.
    let list = PathBuf::from("/mail/dovecot-uidlist");
    let lines = String::from_utf8(disk.fs.read(&list, 1 << 20).unwrap()).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let mut older = lines[..2].join("\n").replace(" N3", " N2");
    older.push('\n');
    let name = lines[2].split_once(':').unwrap().1.to_owned() + ":2,";
    disk.fs.unlink(&list).unwrap();
    disk.fs.create(&list).unwrap().write(older.as_bytes()).unwrap();
    disk.fs.unlink(&Path::new("/mail/cur").join(name)).unwrap();
    disk.deliver(b"Subject: other\r\n\r\n");
    let mut mailbox = disk.open();
    let all = uids(&mailbox);
    assert_eq!(all.len(), 2);
    let cached = mailbox.cached(&all);
    assert_eq!(cached, [Some(truth(all[0])), None]);
}

#[test]
fn another_uidvalidity_begins_anew() {
    let disk = Disk::with(5);
    fill(&mut disk.open());
    disk.fs.unlink(Path::new("/mail/dovecot-uidlist")).unwrap();
    let mut mailbox = disk.open();
    assert_eq!(count_true(&mut mailbox), 0);
    fill(&mut mailbox);
    assert_eq!((count_true(&mut mailbox), count_true(&mut disk.open())), (5, 5));
}

#[test]
fn it_does_not_grow_for_ever() {
    let disk = Disk::with(60);
    let mut mailbox = disk.open();
    let all = uids(&mailbox);
    let mut most = 0;
    for round in 0..50 {
        for uid in &all {
            mailbox.remember(&[(*uid, text(&format!("{round} {uid}")))]);
        }
        most = most.max(disk.cache().len());
    }
    assert!(most < 24 + 130 * 60, "{most}");
    let cached = mailbox.cached(&all);
    assert!(cached.iter().zip(&all).all(|(found, uid)| *found == Some(text(&format!("49 {uid}")))));
    mailbox.expunge(&all[..50]).unwrap();
    for round in 0..20 {
        mailbox.remember(&all[50..].iter().map(|uid| (*uid, text(&format!("{round}")))).collect::<Vec<_>>());
    }
    assert!(disk.cache().len() < 24 + 130 * 60);
    assert!(disk.fs.list(Path::new("/mail/tmp")).unwrap().is_empty());
}

#[test]
fn the_size_of_a_message_is_found_out_once() {
    let disk = Disk::with(0);
    let path = |n: u32| PathBuf::from(format!("/mail/cur/{n}.foreign:2,"));
    let write = |n, text: &[u8]| {
        let _ = disk.fs.unlink(&path(n));
        disk.fs.create(&path(n)).unwrap().write(text).unwrap();
    };
    write(1, b"Subject: 1\n\nline\n");
    write(2, b"a\n\n");
    let mut mailbox = disk.open();
    let all = uids(&mailbox);
    assert_eq!(all.iter().map(|uid| mailbox.info(*uid).unwrap().size).collect::<Vec<_>>(), [20, 5]);
    mailbox.refresh().unwrap();
    // To see where the answer comes from: as long as it was, and other lines.
    write(1, b"Subject: 1  line\n");
    let mut again = disk.open();
    assert_eq!(again.info(all[0]).unwrap().size, 20);
    // What has become longer is another message.
    write(2, b"a\n\n\n");
    assert_eq!(again.info(all[1]).unwrap().size, 7);
}

// MDR-06
#[test]
fn a_later_version_and_no_cache_at_all_are_replaced() {
    let good = {
        let disk = Disk::with(3);
        fill(&mut disk.open());
        disk.cache()
    };
    let mut later = good.clone();
    later[8] = 2;
    let mut zeros = good.clone();
    zeros[24..].fill(0);
    for bytes in [&later[..], &zeros, b"", b"PBXCACH\n", &[0; 100], &good[..30]] {
        let disk = Disk::with(3);
        disk.write_cache(bytes);
        let mut mailbox = disk.open();
        count_true(&mut mailbox);
        fill(&mut mailbox);
        assert_eq!((count_true(&mut mailbox), count_true(&mut disk.open())), (3, 3), "{}", bytes.escape_ascii());
    }
    // A directory of that name cannot be replaced, and keeps nobody from anything.
    let disk = Disk::with(3);
    disk.fs.make_dir(Path::new(FILE)).unwrap();
    let mut mailbox = disk.open();
    fill(&mut mailbox);
    assert_eq!(count_true(&mut mailbox), 0);
    assert!(disk.fs.list(Path::new("/mail/tmp")).unwrap().is_empty());
}

#[test]
fn every_power_cut_leaves_the_truth_or_nothing() {
    let disk = Disk::with(4);
    let mut mailbox = disk.open();
    disk.fs.record();
    fill(&mut mailbox);
    for round in 0..3 {
        for uid in uids(&mailbox) {
            for n in 0..20 {
                let mut pieces = truth(uid);
                pieces.insert(TEXT + 1, b"", format!("{round} {n}").as_bytes());
                mailbox.remember(&[(uid, pieces)]);
            }
        }
        fill(&mut mailbox);
    }
    let crashes = disk.fs.recorded();
    let mut images = 0;
    for crash in crashes.iter().step_by(3) {
        for fs in crash.images(20, 1) {
            images += 1;
            let after = Disk::of(fs);
            let mut mailbox = after.open();
            let all = uids(&mailbox);
            assert_eq!(all.len(), 4);
            for (uid, found) in all.iter().zip(mailbox.cached(&all)) {
                assert!(found.is_none_or(|found| found.find(TEXT, b"") == truth(*uid).find(TEXT, b"")));
            }
            fill(&mut mailbox);
            let cached = mailbox.cached(&all);
            let known = |(uid, found): (&Uid, &Option<Pieces>)| {
                found.as_ref().is_some_and(|found| found.find(TEXT, b"") == truth(*uid).find(TEXT, b""))
            };
            assert!(all.iter().zip(&cached).all(known));
        }
    }
    assert!(images > 100, "{images}");
}

#[test]
fn a_full_disk_is_nobodys_trouble() {
    const ENOSPC: i32 = 28;
    let count = {
        let disk = Disk::with(6);
        let mut mailbox = disk.open();
        let before = disk.fs.changes();
        fill(&mut mailbox);
        disk.fs.changes() - before
    };
    for n in 0..usize::try_from(count).unwrap() {
        for carried_out in [false, true] {
            let disk = Disk::with(6);
            let mut mailbox = disk.open();
            disk.fs.fail_at(n, ENOSPC, carried_out);
            fill(&mut mailbox);
            assert!(!disk.fs.heal());
            count_true(&mut mailbox);
            let mut later = disk.open();
            fill(&mut later);
            assert_eq!(count_true(&mut later), 6, "{n}");
            assert!(disk.fs.list(Path::new("/mail/tmp")).unwrap().is_empty(), "{n}");
        }
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Copy(prop::sample::Index, prop::sample::Index),
    /// A number in the place of another: lengths, UIDs, sums.
    Number(prop::sample::Index, u32),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), 1..=255u8).prop_map(|(at, by)| Damage::Flip(at, by)),
        (at(), proptest::collection::vec(prop_oneof![Just(b'\xf5'), Just(b'r'), Just(b'e'), any::<u8>()], 0..40))
            .prop_map(|(at, what)| Damage::Insert(at, what)),
        (at(), at()).prop_map(|(from, to)| Damage::Copy(from, to)),
        (at(), prop_oneof![0..100_000u32, any::<u32>()]).prop_map(|(at, n)| Damage::Number(at, n)),
    ]
}

impl Damage {
    fn strike(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Flip(at, by) => {
                let at = at.index(bytes.len());
                bytes[at] ^= by;
            }
            Damage::Insert(at, what) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, what.iter().copied());
            }
            Damage::Copy(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let piece: Vec<u8> = bytes[from..].iter().take(300).copied().collect();
                bytes.splice(to..to, piece);
            }
            Damage::Number(at, n) => {
                let at = at.index(bytes.len()) / 4 * 4;
                bytes.splice(at..(at + 4).min(bytes.len()), n.to_le_bytes());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // MDR-06
    #[test]
    fn whatever_befalls_the_file(
        damages in proptest::collection::vec(damage(), 1..6),
        more in proptest::collection::vec(damage(), 0..3),
    ) {
        let disk = Disk::with(12);
        let mut mailbox = disk.open();
        fill(&mut mailbox);
        let mut bytes = disk.cache();
        damages.iter().for_each(|damage| damage.strike(&mut bytes));
        disk.write_cache(&bytes);
        // Who had the good one open, and who comes now.
        let mut other = disk.open();
        count_true(&mut mailbox);
        count_true(&mut other);
        fill(&mut other);
        prop_assert_eq!((count_true(&mut mailbox), count_true(&mut other)), (12, 12));
        // In place, behind the back of those who have it open.
        let mut bytes = disk.cache();
        more.iter().for_each(|damage| damage.strike(&mut bytes));
        disk.write_cache(&bytes);
        count_true(&mut mailbox);
        count_true(&mut other);
    }

    // MDR-06
    #[test]
    fn any_octets_behind_a_good_header(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let disk = Disk::with(2);
        fill(&mut disk.open());
        let mut bytes = disk.cache();
        bytes.truncate(24);
        bytes.extend_from_slice(&octets);
        disk.write_cache(&bytes);
        let mut mailbox = disk.open();
        prop_assert_eq!(count_true(&mut mailbox), 0);
        fill(&mut mailbox);
        prop_assert_eq!(count_true(&mut mailbox), 2);
    }
}

/// Twice as many bad records cost at most twice as much, because the file is given up.
#[test]
fn a_file_of_bad_records_is_given_up() {
    let disk = Disk::with(2);
    fill(&mut disk.open());
    let mut bytes = disk.cache();
    bytes.truncate(24);
    for _ in 0..20_000 {
        bytes.extend_from_slice(b"\xf5rec\0\0\0\0\0\x40\0\0\x01\0\0\0");
    }
    disk.write_cache(&bytes);
    let mut mailbox = disk.open();
    assert_eq!(count_true(&mut mailbox), 0);
    fill(&mut mailbox);
    assert_eq!(count_true(&mut mailbox), 2);
    assert!(disk.cache().len() < 1000);
}
