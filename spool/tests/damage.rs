//! Whatever stands in the folder, the queue opens, goes on with what can be read, and says what cannot.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use pillarbox_core::{Random, SeededRandom};
use pillarbox_fs::{Fs, Kind, SimulatedFs};
use pillarbox_spool::{Change, Finding, MessageId, Outcome, Recovered, Store, StoreError, dump};
use support::{ROOT, accept, content, envelope, now, open, open_simulated, options, report, small, tell};

/// A copy of a spool, file by file, with one of them changed.
fn copy(from: &SimulatedFs, change: &dyn Fn(&str, Vec<u8>) -> Vec<u8>) -> SimulatedFs {
    let to = SimulatedFs::new();
    for folder in ["/spool", "/spool/log", "/spool/bodies", "/spool/set-aside"] {
        to.make_dir(Path::new(folder)).unwrap();
        for entry in from.list(Path::new(folder)).unwrap() {
            let path = Path::new(folder).join(&entry.name);
            if entry.kind == Kind::File {
                let octets = from.read(&path, 1 << 20).unwrap();
                let mut file = to.create(&path).unwrap();
                file.write(&change(path.to_str().unwrap(), octets)).unwrap();
                file.close().unwrap();
            }
        }
    }
    to
}

fn segments(fs: &SimulatedFs) -> Vec<String> {
    let names = fs.list(Path::new("/spool/log")).unwrap().into_iter();
    names.map(|entry| format!("/spool/log/{}", entry.name.into_string().unwrap())).collect()
}

/// A spool of several segments with all kinds of records; the messages that are waiting, and those that are finished.
fn spool() -> (SimulatedFs, Vec<MessageId>, Vec<MessageId>) {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let (mut waiting, mut finished) = (Vec::new(), Vec::new());
    for n in 0..8 {
        let id = accept(&store, format!("message {n} {}", "x".repeat(100 * n)).as_bytes(), 2).unwrap();
        tell(&store, report(id, &[(0, Outcome::Delayed), (1, Outcome::Delivered)])).unwrap();
        waiting.push(id);
        let id = accept(&store, format!("finished {n}").as_bytes(), 1).unwrap();
        tell(&store, report(id, &[(0, Outcome::Delivered)])).unwrap();
        finished.push(id);
    }
    waiting.push(accept(&store, &[b'l'; 3000], 1).unwrap());
    store.commit(vec![Change::Hold(waiting[0])]).unwrap().wait().unwrap();
    drop(store);
    // A segment behind the last one says where that ends.
    let (store, _) = open_simulated(&fs, 2);
    waiting.push(accept(&store, b"the last one", 1).unwrap());
    (fs, waiting, finished)
}

/// What a start makes of a damaged spool: who is waiting, and what it says.
struct Opened {
    store: Store,
    readable: BTreeSet<MessageId>,
    damaged: BTreeSet<MessageId>,
    findings: Vec<Finding>,
}

fn open_damaged(fs: &SimulatedFs) -> Opened {
    let (store, recovery) = Store::open(fs.clone(), ROOT, small(9)).unwrap();
    let (mut readable, mut damaged, mut findings) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for recovered in recovery {
        match recovered {
            Recovered::Waiting(message) => drop(readable.insert(message.id)),
            Recovered::Unreadable(id, StoreError::Damaged(..)) => drop(damaged.insert(id)),
            Recovered::Finding(finding) => findings.push(finding),
            other => panic!("{other:?}"),
        }
    }
    for id in readable.clone() {
        match (store.message(id), store.body(id)) {
            (Ok(_), Ok(_)) => {}
            (Err(StoreError::Damaged(..)), _) | (_, Err(StoreError::Damaged(..))) => {
                readable.remove(&id);
                damaged.insert(id);
            }
            other => panic!("{other:?}"),
        }
    }
    Opened { store, readable, damaged, findings }
}

/// One octet is another one, anywhere: nothing is lost without a word, and all else goes on.
// DUR, DSK-09, RST-03
#[test]
fn one_flipped_bit_anywhere() {
    let (fs, waiting, finished) = spool();
    let whole: Vec<Vec<u8>> = {
        let (store, ..) = open(copy(&fs, &|_, octets| octets), ROOT, small(3)).unwrap();
        waiting.iter().map(|id| content(&store, *id).unwrap()).collect()
    };
    let mut random = SeededRandom::new(1);
    let mut resurrected = 0;
    for path in segments(&fs) {
        let len = fs.metadata(Path::new(&path)).unwrap().len as usize;
        for at in (0..len).step_by(3) {
            let bit = 1 << random.below(8);
            let damaged = copy(&fs, &|name, mut octets| {
                if name == path {
                    octets[at] ^= bit;
                }
                octets
            });
            let opened = open_damaged(&damaged);
            let case = format!("{path} octet {at}: {:?}", opened.findings);
            let lost: Vec<_> = waiting.iter().filter(|id| !opened.readable.contains(id)).collect();
            assert!(lost.len() <= 1, "{case}: {lost:?}");
            if let [id] = lost[..] {
                assert!(opened.damaged.contains(id) || !opened.findings.is_empty(), "{case}: {id} is lost in silence");
            }
            for (id, whole) in waiting.iter().zip(&whole).filter(|(id, _)| opened.readable.contains(id)) {
                assert_eq!(content(&opened.store, *id).unwrap(), *whole, "{case}");
            }
            // Where news is damaged, a finished message may be there again: it is said.
            let again = finished.iter().filter(|id| opened.readable.contains(id)).count();
            assert!(again == 0 || again == 1 && !opened.findings.is_empty(), "{case}");
            resurrected += again;
            // The queue works.
            let id = accept(&opened.store, b"new", 1).unwrap();
            tell(&opened.store, report(id, &[(0, Outcome::Delivered)])).unwrap();
            opened.store.tend().unwrap();
        }
    }
    assert!(resurrected > 10, "{resurrected}");
}

/// A file ends anywhere.
// RST-02, RST-03
#[test]
fn truncated_anywhere() {
    let (fs, waiting, _) = spool();
    let all = segments(&fs);
    for (number, path) in all.iter().enumerate() {
        let len = fs.metadata(Path::new(path)).unwrap().len as usize;
        for at in (0..len).step_by(7) {
            let is_last = number == all.len() - 1;
            let damaged = copy(&fs, &|name, mut octets| {
                octets.truncate(if name == path { at } else { octets.len() });
                octets
            });
            let opened = open_damaged(&damaged);
            let lost = waiting.iter().filter(|id| !opened.readable.contains(id)).count();
            if is_last {
                // A torn tail: of what it held nobody was told.
                assert_eq!(lost, 1, "{path} at {at}");
                assert!(opened.findings.iter().all(|it| matches!(it, Finding::Cut { .. })), "{:?}", opened.findings);
            } else {
                let is_said = opened.findings.iter().any(|it| matches!(it, Finding::Damaged { kept: Some(_), .. }));
                assert!(is_said, "{path} at {at}: {:?}", opened.findings);
            }
            accept(&opened.store, b"new", 1).unwrap();
        }
    }
}

/// A disk may have made the file longer and written only a part of it: zeros stand for the rest, or in the middle.
// DUR-03
#[test]
fn a_torn_tail_of_the_right_length() {
    let (fs, waiting, _) = spool();
    let last = segments(&fs).pop().unwrap();
    let len = fs.metadata(Path::new(&last)).unwrap().len as usize;
    for at in (56..len - 1).step_by(5) {
        for to in [len, len.min(at + 16)] {
            let torn = copy(&fs, &|name, mut octets| {
                if name == last {
                    octets[at..to].fill(0);
                }
                octets
            });
            let changed = torn.read(Path::new(&last), 1 << 20).unwrap() != fs.read(Path::new(&last), 1 << 20).unwrap();
            let opened = open_damaged(&torn);
            assert_eq!(opened.readable.len(), waiting.len() - usize::from(changed), "zeros from {at} to {to}");
            assert!(opened.findings.iter().all(|it| matches!(it, Finding::Cut { .. })), "{:?}", opened.findings);
        }
    }
}

/// What is damaged is copied once, and the copy holds it.
#[test]
fn what_is_damaged_is_kept() {
    let (fs, waiting, _) = spool();
    let first = segments(&fs).remove(0);
    let whole = fs.read(Path::new(&first), 1 << 20).unwrap();
    // The fields of the first record.
    let damaged = copy(&fs, &|name, mut octets| {
        if name == first {
            octets[130] ^= 1;
        }
        octets
    });
    for _ in 0..2 {
        let opened = open_damaged(&damaged);
        assert_eq!(opened.readable.len(), waiting.len() - 1);
        let [Finding::Damaged { segment: 1, from: 92, to, why, kept: Some(kept) }] = &opened.findings[..] else {
            panic!("{:?}", opened.findings);
        };
        assert_eq!(*why, "the fields of a record are damaged");
        let mut expected = whole[92..*to as usize].to_vec();
        expected[130 - 92] ^= 1;
        assert_eq!(damaged.read(kept, 1 << 20).unwrap(), expected);
        assert_eq!(damaged.list(Path::new("/spool/set-aside")).unwrap().len(), 1);
        let line = opened.findings[0].to_string();
        assert!(line.starts_with("segment 1 is damaged from 92 to ") && line.contains("/spool/set-aside/"), "{line}");
    }
}

/// A disk without room for the copy: what is damaged stays where it is, until there is room.
#[test]
fn what_cannot_be_kept_is_not_deleted() {
    let (fs, ..) = spool();
    let first = segments(&fs).remove(0);
    let damaged = copy(&fs, &|name, mut octets| {
        if name == first {
            octets[130] ^= 1;
        }
        octets
    });
    let (store, recovery) = Store::open(damaged.clone(), ROOT, small(9)).unwrap();
    // The file that is to hold the copy cannot be made.
    damaged.fail_at(6, nix::errno::Errno::ENOSPC as i32, false);
    let findings: Vec<_> = recovery.filter(|it| matches!(it, Recovered::Finding(_))).collect();
    assert!(matches!(&findings[..], [Recovered::Finding(Finding::Damaged { kept: None, .. })]), "{findings:?}");
    let finish = |store: &Store| {
        for id in store.ids(None, 100) {
            store.commit(vec![Change::Delete(id)]).unwrap().wait().unwrap();
        }
        store.tend().unwrap();
    };
    damaged.fail_at(0, nix::errno::Errno::ENOSPC as i32, false);
    store.tend().unwrap();
    finish(&store);
    let copies = || damaged.list(Path::new("/spool/set-aside")).unwrap().len();
    assert_eq!((copies(), damaged.metadata(Path::new(&first)).is_err()), (1, true));
}

/// Content that is not what was written is not sent, and a person gets it.
// DSK-09
#[test]
fn damaged_content_is_set_aside() {
    let (fs, waiting, _) = spool();
    let large = format!("/spool/bodies/{}", waiting[8]);
    let damaged = copy(&fs, &|name, mut octets| {
        if name == large {
            octets[2000] ^= 0x20;
        }
        if let Some(at) = octets.windows(10).position(|window| window == b"message 3 ") {
            octets[at + 20] ^= 1;
        }
        octets
    });
    let opened = open_damaged(&damaged);
    assert_eq!(opened.findings, [], "content is not read before it is needed");
    assert_eq!(opened.damaged, BTreeSet::from([waiting[3], waiting[8]]));
    for id in &opened.damaged {
        assert!(matches!(opened.store.body(*id), Err(StoreError::Damaged(known, _)) if known == *id));
        opened.store.set_aside(*id).unwrap();
        assert!(matches!(opened.store.body(*id), Err(StoreError::NoSuchMessage(_))));
    }
    let names: BTreeSet<String> = damaged
        .list(Path::new("/spool/set-aside"))
        .unwrap()
        .into_iter()
        .map(|entry| entry.name.into_string().unwrap())
        .collect();
    let expected = [format!("{}.record", waiting[3]), format!("{}.record", waiting[8]), waiting[8].to_string()];
    assert_eq!(names, expected.into());
    drop(opened.store);
    assert_eq!(open_damaged(&damaged).readable.len(), waiting.len() - 2);
}

/// The content of a large message is gone.
#[test]
fn a_body_that_is_gone() {
    let (fs, waiting, _) = spool();
    fs.unlink(Path::new(&format!("/spool/bodies/{}", waiting[8]))).unwrap();
    let opened = open_damaged(&fs);
    assert_eq!(opened.damaged, BTreeSet::from([waiting[8]]));
    opened.store.set_aside(waiting[8]).unwrap();
}

/// A message that cannot be carried forward is set aside, and the others go on.
#[test]
fn damaged_content_in_the_way() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let stuck: Vec<_> = (0..2).map(|n| accept(&store, format!("stuck {n}").as_bytes(), 1).unwrap()).collect();
    drop(store);
    let damaged = copy(&fs, &|_, mut octets| {
        if let Some(at) = octets.windows(7).position(|window| window == b"stuck 0") {
            octets[at] ^= 1;
        }
        octets
    });
    // A later group says that this one was synced.
    let (store, waiting, _) = open(damaged, ROOT, small(2)).unwrap();
    assert_eq!(waiting.len(), 2);
    let mut set_aside = Vec::new();
    for _ in 0..20 {
        let id = accept(&store, &[b'm'; 800], 1).unwrap();
        tell(&store, report(id, &[(0, Outcome::Delivered)])).unwrap();
        set_aside.extend(store.tend().unwrap().set_aside);
    }
    assert!(matches!(set_aside[..], [(id, StoreError::Damaged(..))] if id == stuck[0]), "{set_aside:?}");
    assert_eq!(store.ids(None, 10), [stuck[1]]);
    assert!(store.usage().log < 10_000);
}

/// Foreign files, other versions, segments that are gone or not what their name says.
// RST-02, RST-03, RST-09
#[test]
fn what_does_not_belong_there_is_moved() {
    let (fs, waiting, _) = spool();
    let all = segments(&fs);
    let write = |fs: &SimulatedFs, path: &str, octets: &[u8]| {
        let mut file = fs.create(Path::new(path)).unwrap();
        file.write(octets).unwrap();
        file.close().unwrap();
    };
    write(&fs, "/spool/log/README", b"?");
    write(&fs, "/spool/log/0000000000000001.zzzzzzzzzzzzzzzz", b"");
    write(&fs, "/spool/log/ffffffffffffffff.0000000000000000", b"");
    fs.make_dir(Path::new("/spool/log/folder")).unwrap();
    let mut random = vec![0; 5000];
    SeededRandom::new(3).fill(&mut random);
    write(&fs, "/spool/log/0000000000000077.0123456789abcdef", &random);
    let mut newer = b"PBXSPOOL\x02\0\0\0".to_vec();
    newer.resize(52, 0);
    newer.extend(crc32fast::hash(&newer).to_le_bytes());
    newer.resize(100, 0);
    write(&fs, "/spool/log/0000000000000078.0123456789abcdef", &newer);
    let copied = fs.read(Path::new(&all[1]), 1 << 20).unwrap();
    write(&fs, "/spool/log/0000000000000002.0000000000000000", &copied);
    let opened = open_damaged(&fs);
    assert_eq!(opened.readable.len(), waiting.len(), "{:?}", opened.findings);
    let mut moved: Vec<String> = opened
        .findings
        .iter()
        .map(|finding| match finding {
            Finding::Moved { from, to, why } => {
                assert!(fs.metadata(from).is_err() && fs.metadata(to).is_ok());
                format!("{}: {why}", from.file_name().unwrap().display())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    moved.sort();
    assert_eq!(
        moved,
        [
            "0000000000000001.zzzzzzzzzzzzzzzz: not a segment",
            "0000000000000002.0000000000000000: not the segment that its name says",
            "0000000000000077.0123456789abcdef: not the segment that its name says",
            "0000000000000078.0123456789abcdef: written by a newer program, in version 2 of the format",
            "README: not a segment",
            "ffffffffffffffff.0000000000000000: not a segment",
            "folder: not a segment",
        ]
    );
    let id = accept(&opened.store, b"new", 1).unwrap();
    drop(opened.store);
    let again = open_damaged(&fs);
    assert_eq!(again.findings, []);
    assert!(again.readable.contains(&id));
}

/// A body whose record is lost is all that is left of a message, however old it is.
#[test]
fn bodies_of_messages_that_are_lost_are_kept() {
    let (fs, waiting, _) = spool();
    let large = waiting[8];
    let body = format!("/spool/bodies/{large}");
    assert!(fs.metadata(Path::new(&body)).is_ok());
    // The disk does not give the segment of the message, or it is gone.
    for path in segments(&fs) {
        let fs = copy(&fs, &|_, octets| octets);
        fs.unlink(Path::new(&path)).unwrap();
        let opened = open_damaged(&fs);
        fs.advance(Duration::from_secs(40 * 3600));
        let swept = opened.store.sweep(fs.now()).unwrap();
        let is_known = opened.store.ids(None, 100).contains(&large);
        assert_eq!(swept, usize::from(!is_known), "{path}: {:?}", opened.findings);
        let at = if is_known { body.clone() } else { format!("/spool/set-aside/{large}") };
        assert!(fs.metadata(Path::new(&at)).is_ok(), "{path}");
    }
}

#[test]
fn a_segment_that_is_gone() {
    let (fs, waiting, _) = spool();
    let all = segments(&fs);
    fs.unlink(Path::new(&all[2])).unwrap();
    let opened = open_damaged(&fs);
    assert_eq!(opened.findings, [Finding::Lost { segment: 3 }]);
    assert!(opened.readable.len() > waiting.len() - 4);
    assert!(opened.readable.contains(&waiting[0]) && opened.readable.contains(&waiting[9]));
}

#[test]
fn folders_that_are_files() {
    let fs = SimulatedFs::new();
    fs.make_dir(Path::new(ROOT)).unwrap();
    for name in ["log", "bodies"] {
        fs.create(&Path::new(ROOT).join(name)).unwrap().close().unwrap();
    }
    fs.make_dir(&Path::new(ROOT).join("lock")).unwrap();
    let opened = open_damaged(&fs);
    assert_eq!(opened.findings.len(), 3);
    accept(&opened.store, &[b'x'; 2000], 1).unwrap();
}

/// The text of a message cannot pass for a part of the log, not even behind damage: it would need the salt of the segment.
#[test]
fn a_message_that_holds_a_log() {
    let other = SimulatedFs::new();
    let (store, _) = open_simulated(&other, 77);
    let victim = MessageId::from_octets([5; 10]);
    accept(&store, b"forged", 1).unwrap();
    drop(store);
    let log = other.read(Path::new(&segments(&other)[0]), 1 << 20).unwrap();
    let fs = SimulatedFs::new();
    let (store, ..) = open(fs.clone(), ROOT, options(1)).unwrap();
    let kept = accept(&store, &log, 1).unwrap();
    let last = accept(&store, b"last", 1).unwrap();
    drop(store);
    // The header of the record is damaged, so that the next frame has to be looked for, through the text.
    let damaged = copy(&fs, &|_, mut octets| {
        if octets.len() > 100 {
            octets[100] ^= 1;
        }
        octets
    });
    let opened = open_damaged(&damaged);
    assert_eq!(opened.readable, BTreeSet::from([last]), "{victim} {kept}");
    assert_eq!(opened.findings.len(), 1, "{:?}", opened.findings);
}

/// Any octets in place of a segment, also with frames in them that are right.
#[test]
fn random_octets_between_right_ones() {
    let (fs, ..) = spool();
    let all = segments(&fs);
    for seed in 0..300 {
        let mut random = SeededRandom::new(seed);
        let path = &all[random.below(all.len() as u64) as usize];
        let len = fs.metadata(Path::new(path)).unwrap().len;
        let (from, count) = (random.below(len) as usize, random.below(600) as usize);
        let is_copy = random.below(2) == 0;
        let source = random.below(len) as usize;
        let damaged = copy(&fs, &|name, mut octets| {
            if name == path {
                let end = octets.len().min(from + count);
                if is_copy {
                    // A part of the same segment in another place.
                    let part: Vec<u8> = octets[source..].iter().copied().cycle().take(end - from).collect();
                    octets[from..end].copy_from_slice(&part);
                } else {
                    SeededRandom::new(seed + 1).fill(&mut octets[from..end]);
                }
            }
            octets
        });
        let opened = open_damaged(&damaged);
        accept(&opened.store, b"new", 1).unwrap();
        opened.store.tend().unwrap();
        dump(&damaged, ROOT, &mut String::new()).unwrap();
        drop(opened.store);
        open_damaged(&damaged);
    }
}

/// A queue of the first version of the format opens, whatever this program writes. The files are those that version 1 wrote.
// RST-09
#[test]
fn version_1_opens() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/version-1");
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        let fs = SimulatedFs::new();
        let (store, ..) = open(fs.clone(), ROOT, small(11)).unwrap();
        let first = accept(&store, b"Subject: one\r\n\r\none\r\n", 3).unwrap();
        tell(&store, report(first, &[(0, Outcome::Delivered), (1, Outcome::Delayed), (2, Outcome::Failed)])).unwrap();
        accept(&store, &b"Subject: large\r\n\r\n".repeat(100), 1).unwrap();
        for _ in 0..6 {
            let id = accept(&store, &[b'.'; 900], 1).unwrap();
            tell(&store, report(id, &[(0, Outcome::Relayed)])).unwrap();
            store.tend().unwrap();
        }
        store.commit(vec![Change::Hold(first)]).unwrap().wait().unwrap();
        for folder in ["log", "bodies"] {
            std::fs::create_dir_all(fixture.join(folder)).unwrap();
            for entry in fs.list(&Path::new(ROOT).join(folder)).unwrap() {
                let octets = fs.read(&Path::new(ROOT).join(folder).join(&entry.name), 1 << 20).unwrap();
                std::fs::write(fixture.join(folder).join(&entry.name), octets).unwrap();
            }
        }
    }
    let fs = SimulatedFs::new();
    fs.make_dir(Path::new(ROOT)).unwrap();
    for folder in ["log", "bodies"] {
        fs.make_dir(&Path::new(ROOT).join(folder)).unwrap();
        for entry in std::fs::read_dir(fixture.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let mut file = fs.create(&Path::new(ROOT).join(folder).join(path.file_name().unwrap())).unwrap();
            file.write(&std::fs::read(&path).unwrap()).unwrap();
            file.close().unwrap();
        }
    }
    let (store, waiting, findings) = open(fs, ROOT, small(12)).unwrap();
    assert_eq!(findings, []);
    let [first, large] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((&first.envelope, first.held, first.attempts), (&envelope(3), true, 1));
    let outcomes: Vec<_> = first.recipients.iter().map(|(outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Delivered), None, Some(Outcome::Failed)]);
    let history = &store.message(first.id).unwrap().recipients[1].history;
    assert_eq!((history.len(), &*history[0].text, history[0].at), (1, "mailbox busy", now()));
    assert_eq!(content(&store, first.id).unwrap(), b"Subject: one\r\n\r\none\r\n");
    assert_eq!(content(&store, large.id).unwrap(), b"Subject: large\r\n\r\n".repeat(100));
}
