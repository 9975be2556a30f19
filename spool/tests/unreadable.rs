//! What the disk does not give: blocks that cannot be read, files that cannot be opened or moved, for now or for good.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use nix::errno::Errno;
use pillarbox_fs::testing::BadDisk;
use pillarbox_fs::{Fs, Kind, SimulatedFs};
use pillarbox_spool::{Change, Finding, MessageId, Options, Outcome, Recovered, Store, StoreError};
use support::{ROOT, accept, content, now, open, options, report, small, tell};

/// Segments of several blocks.
fn medium(seed: u64) -> Options {
    let mut options = options(seed);
    (options.segment_size, options.inline_max) = (30_000, 10_000);
    options
}

fn text(n: usize) -> Vec<u8> {
    format!("message {n} {}", "x".repeat(900)).into_bytes()
}

/// A spool of three segments and more with waiting messages of some 1,000 octets.
fn spool() -> (BadDisk, Vec<MessageId>) {
    let disk = BadDisk::default();
    let (store, ..) = open(disk.clone(), ROOT, medium(1)).unwrap();
    let ids = (0..100).map(|n| accept(&store, &text(n), 1).unwrap()).collect();
    (disk, ids)
}

struct Opened {
    store: Store,
    waiting: BTreeSet<MessageId>,
    unreadable: Vec<(MessageId, StoreError)>,
    later: usize,
    findings: Vec<Finding>,
}

fn start(disk: &BadDisk, seed: u64) -> Opened {
    let (store, recovery) = Store::open(disk.clone(), ROOT, medium(seed)).unwrap();
    let mut opened = Opened { store, waiting: BTreeSet::new(), unreadable: Vec::new(), later: 0, findings: Vec::new() };
    for recovered in recovery {
        match recovered {
            Recovered::Waiting(message) => drop(opened.waiting.insert(message.id)),
            Recovered::Finding(finding) => opened.findings.push(finding),
            Recovered::Unreadable(id, error) => opened.unreadable.push((id, error)),
            Recovered::Later(error) => {
                assert!(error.is_temporary());
                opened.later += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    opened
}

fn finish(store: &Store, id: MessageId) {
    tell(store, report(id, &[(0, Outcome::Delivered)])).unwrap();
}

fn segment_files(disk: &BadDisk) -> usize {
    disk.list(Path::new("/spool/log")).unwrap().len()
}

/// One block of a segment: what stands around it goes on, what it held is told and kept as far as it goes, and the log is tidied
/// as ever.
#[test]
fn a_bad_block_costs_what_stood_in_it() {
    for block in [0, 1, 2] {
        for segment in ["/0000000000000001.", "/0000000000000002.", "/0000000000000004."] {
            let (disk, ids) = spool();
            let from = block * 4096;
            disk.faults(|faults| faults.unreadable.push((format!("log{segment}"), from..from + 4096)));
            let opened = start(&disk, 2);
            let case = format!("block {block} of {segment}: {:?}", opened.findings);
            let lost = ids.len() - opened.waiting.len() - opened.unreadable.len();
            assert!((1..=6).contains(&(lost + opened.unreadable.len())), "{case}: {lost}");
            assert!(!opened.findings.is_empty(), "{case}");
            let is_kept = |finding: &Finding| matches!(finding, Finding::Damaged { kept: Some(_), .. });
            assert!(opened.findings.iter().all(is_kept), "{case}");
            for id in &opened.waiting {
                if opened.store.body(*id).is_ok() {
                    finish(&opened.store, *id);
                }
            }
            // Those whose content is in the block are in the way, until the disk has not given them twice.
            let mut set_aside = Vec::new();
            for n in 0..150 {
                let id = accept(&opened.store, &text(n), 1).unwrap();
                finish(&opened.store, id);
                set_aside.extend(opened.store.tend().map(|tended| tended.set_aside).unwrap_or_default());
            }
            assert!(segment_files(&disk) <= 4, "{case}: {} segments", segment_files(&disk));
            let left: BTreeSet<_> = set_aside.into_iter().map(|(id, _)| id).collect();
            for id in left {
                let record = format!("/spool/set-aside/{id}.record");
                assert!(disk.metadata(Path::new(&record)).is_ok(), "{case}: {id}");
            }
            assert_eq!(opened.store.ids(None, 10), [], "{case}");
        }
    }
}

/// The end of the log cannot be read: nothing of it is cut off as if nobody had been told of it.
#[test]
fn a_bad_block_at_the_end_is_no_torn_tail() {
    let (disk, ids) = spool();
    let names = disk.list(Path::new("/spool/log")).unwrap();
    let last = format!("/spool/log/{}", names.last().unwrap().name.to_str().unwrap());
    let len = disk.metadata(Path::new(&last)).unwrap().len;
    disk.faults(|faults| faults.unreadable.push((last, len - 500..len)));
    let opened = start(&disk, 2);
    assert!(opened.findings.iter().all(|it| matches!(it, Finding::Damaged { .. })), "{:?}", opened.findings);
    let new = accept(&opened.store, b"new", 1).unwrap();
    drop(opened);
    // The disk comes back.
    disk.faults(|faults| faults.unreadable.clear());
    let opened = start(&disk, 3);
    assert!(ids.iter().chain([&new]).all(|id| opened.waiting.contains(id)), "{:?}", opened.findings);
}

/// No file can be opened for a while: the recovery says so, and finds everything when it goes on.
#[test]
fn a_start_without_open_files_finds_everything_later() {
    let (disk, ids) = spool();
    let (store, mut recovery) = Store::open(disk.clone(), ROOT, medium(2)).unwrap();
    disk.faults(|faults| faults.unopened = Some(("/log/".into(), 5, Errno::EMFILE as i32)));
    let (mut later, mut waiting) = (0, 0);
    for recovered in recovery.by_ref() {
        match recovered {
            Recovered::Later(_) => later += 1,
            Recovered::Waiting(_) => waiting += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((later, waiting, store.ids(None, 1000).len()), (5, ids.len(), ids.len()));
}

/// A segment that nobody may open: the queue opens without it, and has it again when it may.
#[test]
fn a_segment_that_cannot_be_opened_stays() {
    for number in [1, 2, 4] {
        let (disk, ids) = spool();
        let name = format!("/{number:016x}.");
        disk.faults(|faults| faults.unopened = Some((name.clone(), usize::MAX, Errno::EACCES as i32)));
        let opened = start(&disk, 2);
        assert!(matches!(&opened.findings[..], [Finding::Damaged { kept: None, .. }]), "{:?}", opened.findings);
        assert!(opened.waiting.len() < ids.len());
        let waiting = opened.waiting.clone();
        waiting.iter().for_each(|id| finish(&opened.store, *id));
        for n in 0..60 {
            let id = accept(&opened.store, &text(n), 1).unwrap();
            finish(&opened.store, id);
            opened.store.tend().unwrap();
        }
        drop(opened);
        disk.faults(|faults| faults.unopened = None);
        let opened = start(&disk, 3);
        let left: BTreeSet<_> = ids.iter().copied().filter(|id| !waiting.contains(id)).collect();
        assert_eq!(opened.waiting, left, "segment {number}: {:?}", opened.findings);
    }
}

/// A block that is not given once is given later: nothing is set aside for it.
#[test]
fn a_read_that_fails_once_is_made_again() {
    let (disk, ids) = spool();
    let (store, mut recovery) = Store::open(disk.clone(), ROOT, medium(2)).unwrap();
    let Some(Recovered::Waiting(first)) = recovery.next() else { panic!("all is well") };
    disk.faults(|faults| {
        faults.unreadable.push(("/log/".into(), 0..u64::MAX));
        faults.reads = Some(4);
    });
    let mut unreadable = Vec::new();
    let mut waiting = BTreeSet::from([first.id]);
    for recovered in recovery {
        match recovered {
            Recovered::Waiting(message) => drop(waiting.insert(message.id)),
            Recovered::Unreadable(id, error) => {
                assert!(error.is_temporary(), "{id}: {error}");
                unreadable.push(id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((unreadable.len(), waiting.len()), (2, ids.len() - 2));
    for id in unreadable {
        assert_eq!(store.waiting(id).unwrap().id, id);
    }
}

/// What was tried long ago is no reason not to send a message.
#[test]
fn a_history_that_cannot_be_read_does_not_stop_its_message() {
    for missing in [true, false] {
        let disk = BadDisk::default();
        let (store, ..) = open(disk.clone(), ROOT, medium(1)).unwrap();
        let id = accept(&store, b"stuck", 1).unwrap();
        for n in 0..60 {
            tell(&store, report(id, &[(0, Outcome::Delayed)])).unwrap();
            accept(&store, &text(n), 1).unwrap();
        }
        let second = disk.list(Path::new("/spool/log")).unwrap()[1].name.to_str().unwrap().to_owned();
        if missing {
            disk.unlink(&Path::new("/spool/log").join(&second)).unwrap();
        } else {
            disk.faults(|faults| faults.unreadable.push((second, 0..u64::MAX)));
        }
        let message = store.message(id).unwrap();
        assert!((1..60).contains(&message.recipients[0].attempts), "{:?}", message.recipients[0].attempts);
        assert_eq!(content(&store, id).unwrap(), b"stuck");
    }
}

/// Of many attempts the first one and the last fifteen are in memory and in what is carried forward.
#[test]
fn a_long_history_is_cut_in_the_middle() {
    let disk = BadDisk::default();
    let (store, ..) = open(disk, ROOT, small(1)).unwrap();
    let id = accept(&store, b"stuck", 2).unwrap();
    for n in 0..100 {
        let mut report = report(id, &[(0, Outcome::Delayed)]);
        report.recipients[0].attempt.as_mut().unwrap().text = format!("attempt {n}");
        tell(&store, report).unwrap();
        store.tend().unwrap();
        let known = &store.message(id).unwrap().recipients;
        assert_eq!((known[0].attempts, known[1].attempts), (n + 1, 0));
        let texts: Vec<_> = known[0].history.iter().map(|attempt| attempt.text.clone()).collect();
        let last = (n + 1).saturating_sub(15).max(1)..=n;
        let expected: Vec<_> = std::iter::once(0).chain(last).map(|n| format!("attempt {n}")).collect();
        assert_eq!(texts, expected);
    }
}

/// Many recipients with much said of each: what is carried forward fits into a record, and no recipient is left out.
#[test]
fn words_are_left_out_before_recipients_are() {
    let disk = BadDisk::default();
    let (store, ..) = open(disk.clone(), ROOT, medium(1)).unwrap();
    let id = accept(&store, b"stuck", 700).unwrap();
    for n in 0..16 {
        let outcome = if n == 15 { Outcome::Failed } else { Outcome::Delayed };
        let mut report = pillarbox_spool::Report::new(id);
        for recipient in 0..699 {
            let mut attempt =
                pillarbox_spool::Attempt::new(now(), if recipient < 10 { outcome } else { Outcome::Delayed });
            (attempt.text, attempt.peer) = (format!("{n} {}", "t".repeat(996)), "p".repeat(1000));
            report.attempt(recipient, attempt);
        }
        tell(&store, report).unwrap();
    }
    let carried: usize = (0..3).map(|_| store.tend().unwrap().carried).sum();
    assert_eq!(carried, 1);
    drop(store);
    let opened = start(&disk, 2);
    assert_eq!((opened.findings, opened.waiting), (vec![], BTreeSet::from([id])));
    let known = opened.store.message(id).unwrap().recipients;
    assert_eq!(known.len(), 700);
    assert!(known[..699].iter().all(|it| it.attempts == 16 && it.history.len() == 8), "{}", known[0].history.len());
    assert!(known[0].history[7].text.starts_with("15 ") && known[0].history[0].text.starts_with("0 "));
    assert_eq!((known[9].outcome, known[10].outcome), (Some(Outcome::Failed), None));
    assert_eq!(known[699].attempts, 0);
}

/// A disk that is full while a damaged message is taken out of the queue: it stays there until that is done.
#[test]
fn a_message_that_cannot_be_set_aside_stays() {
    for n in 0.. {
        let disk = SimulatedFs::new();
        let (store, ..) = open(disk.clone(), ROOT, small(1)).unwrap();
        let id = accept(&store, &[b'x'; 3000], 1).unwrap();
        disk.fail_at(n, Errno::ENOSPC as i32, n % 2 == 0);
        let set_aside = store.set_aside(id);
        if disk.heal() {
            set_aside.unwrap();
            assert!(n > 6, "only {n} changes");
            break;
        }
        assert!(set_aside.unwrap_err().is_full());
        assert_eq!(store.ids(None, 10), [id], "change {n}");
        store.set_aside(id).unwrap();
        assert_eq!(store.ids(None, 10), []);
        let names = disk.list(Path::new("/spool/set-aside")).unwrap();
        let names: Vec<_> = names.into_iter().map(|entry| entry.name.into_string().unwrap()).collect();
        assert_eq!(names, [id.to_string(), format!("{id}.record")], "change {n}");
    }
}

/// What does not belong there and cannot be moved is passed over.
#[test]
fn a_stray_file_that_cannot_be_moved_is_passed_over() {
    let (disk, ids) = spool();
    disk.make_dir(Path::new("/spool/log/folder")).unwrap();
    disk.faults(|faults| faults.unmoved = Some("folder".into()));
    let opened = start(&disk, 2);
    assert!(matches!(&opened.findings[..], [Finding::Left { .. }]), "{:?}", opened.findings);
    assert_eq!(opened.waiting.len(), ids.len());
    let line = opened.findings[0].to_string();
    assert!(line.starts_with("/spool/log/folder is passed over: not a segment; it could not be moved: "), "{line}");
    opened.store.commit(vec![Change::Delete(ids[0])]).unwrap().wait().unwrap();
    assert_eq!(disk.list(Path::new("/spool/log")).unwrap().iter().filter(|it| it.kind == Kind::Directory).count(), 1);
}

/// A message whose segment the disk does not give at all leaves the queue; what the disk may give one day is kept.
#[test]
fn what_cannot_be_opened_is_set_aside_as_it_is() {
    let (disk, ids) = spool();
    let Opened { store, .. } = start(&disk, 2);
    let log = disk.list(Path::new("/spool/log")).unwrap();
    let name = log.iter().map(|entry| entry.name.clone()).min().unwrap();
    disk.faults(|faults| faults.unopened = Some((name.to_str().unwrap().into(), usize::MAX, Errno::EIO as i32)));
    store.set_aside(ids[0]).unwrap();
    assert!(!store.ids(None, 1000).contains(&ids[0]));
    // The others go, and the segment with them.
    disk.faults(|faults| faults.unopened = None);
    ids[1..].iter().for_each(|id| finish(&store, *id));
    accept(&store, b"new", 1).unwrap();
    while store.tend().unwrap().deleted > 0 {}
    assert!(disk.list(Path::new("/spool/log")).unwrap().iter().all(|entry| entry.name != name));
    let kept = Path::new("/spool/set-aside").join(format!("{}.segment", ids[0]));
    let octets = disk.read(&kept, 1 << 20).unwrap();
    assert!(octets.windows(text(0).len()).any(|window| window == text(0)));
}

/// A segment that was deleted and comes back with a power cut brings no finished message back, also where the disk does not give
/// the segment that says what counts: it comes back alone, beside all that was said of its messages.
#[test]
fn what_was_deleted_finishes_nothing_twice_where_the_newest_segment_cannot_be_read() {
    let fs = SimulatedFs::new();
    let (store, ..) = open(fs.clone(), ROOT, small(1)).unwrap();
    let ids: Vec<MessageId> = (0..12).map(|n| accept(&store, &text(n), 1).unwrap()).collect();
    ids.iter().for_each(|id| finish(&store, *id));
    let kept = BTreeSet::from([accept(&store, b"waiting", 1).unwrap()]);
    let newest =
        |fs: &SimulatedFs| fs.list(Path::new("/spool/log")).unwrap().into_iter().map(|it| it.name).max().unwrap();
    let before = newest(&fs);
    fs.record();
    assert!(store.tend().unwrap().deleted > 3);
    let mut disks = 0;
    for crash in fs.recorded() {
        for image in crash.images(300, crash.changes()) {
            let newest = newest(&image);
            if newest == before {
                continue;
            }
            disks += 1;
            let disk = BadDisk::new(image);
            disk.faults(|faults| faults.unreadable.push((newest.into_string().unwrap(), 0..u64::MAX)));
            assert_eq!(start(&disk, 2).waiting, kept, "{crash:?}");
        }
    }
    assert!(disks > 20, "only {disks} disks");
}

/// A segment that was deleted and is put back alone, as from a copy of the disk, does not count: what was said of its messages
/// stood in segments that are gone, and the floor knows.
#[test]
fn a_deleted_segment_that_is_put_back_does_not_count() {
    let disk = BadDisk::default();
    let (store, ..) = open(disk.clone(), ROOT, small(1)).unwrap();
    let ids: Vec<MessageId> = (0..12).map(|n| accept(&store, &text(n), 1).unwrap()).collect();
    let oldest = disk.list(Path::new("/spool/log")).unwrap().into_iter().map(|it| it.name).min().unwrap();
    let oldest = Path::new("/spool/log").join(oldest);
    let copy = disk.read(&oldest, 1 << 20).unwrap();
    ids.iter().for_each(|id| finish(&store, *id));
    let kept = BTreeSet::from([accept(&store, b"waiting", 1).unwrap()]);
    assert!(store.tend().unwrap().deleted > 3);
    drop(store);
    disk.create(&oldest).unwrap().write(&copy).unwrap();
    let opened = start(&disk, 2);
    assert_eq!((opened.waiting, opened.findings), (kept, vec![]));
    assert!(opened.store.tend().unwrap().deleted > 0, "it goes again");
}
