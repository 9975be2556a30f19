//! Files that are not ours, or no longer: whatever they are called, they lead the queue nowhere, and nothing of them is thrown away.

mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_spool::{Finding, MessageId};
use support::{ROOT, accept, open, open_simulated, small};

fn spool() -> (SimulatedFs, Vec<MessageId>) {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let ids = (0..6).map(|n| accept(&store, &vec![b'a' + n; 600], 1).unwrap()).collect();
    (fs, ids)
}

fn write(fs: &SimulatedFs, path: &Path, octets: &[u8]) {
    let mut file = fs.create(path).unwrap();
    file.write(octets).unwrap();
    file.sync().unwrap();
    file.close().unwrap();
}

fn names(fs: &SimulatedFs, folder: &str) -> Vec<OsString> {
    fs.list(Path::new(folder)).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// What is accepted behind a file with a number from nowhere is found by the next start.
#[test]
fn numbers_from_nowhere() {
    let stray = ["0000000000000007", "0000000000100000", "00ffffffffffffff", "0100000000000000", "4000000000000000"];
    for (number, octets) in stray.iter().flat_map(|number| [(number, &b""[..]), (number, b"PBXSPOOL"), (number, b"?")])
    {
        let (fs, ids) = spool();
        write(&fs, &PathBuf::from(format!("/spool/log/{number}.0123456789abcdef")), octets);
        let case = format!("{number} with {} octets", octets.len());
        let (store, waiting, findings) = open(fs.clone(), ROOT, small(2)).unwrap();
        assert_eq!(waiting.len(), ids.len(), "{case}: {findings:?}");
        let new = accept(&store, b"new", 1).unwrap();
        drop(store);
        let (store, waiting, findings) = open(fs.clone(), ROOT, small(3)).unwrap();
        assert!(waiting.iter().any(|message| message.id == new), "{case}: {findings:?}");
        let last = accept(&store, b"last", 1).unwrap();
        drop(store);
        let (_, waiting, findings) = open(fs.clone(), ROOT, small(4)).unwrap();
        assert!(waiting.iter().any(|message| message.id == last), "{case}: {findings:?}");
        assert_eq!((waiting.len(), findings), (ids.len() + 2, vec![]), "{case}");
        // What was never ours is not thrown away.
        let name = format!("{number}.0123456789abcdef");
        assert!(octets != b"?" || names(&fs, "/spool/set-aside").iter().any(|it| *it == *name), "{case}");
    }
}

/// A second file with the number of a segment, whichever is read first, and whatever is in it.
#[test]
fn two_files_with_one_number() {
    let random: Vec<u8> = (0..5000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    for octets in [&b""[..], b"PBXSPOOL", &random] {
        for salt in ["0000000000000000", "ffffffffffffffff"] {
            for number in 1..=2 {
                let (fs, ids) = spool();
                write(&fs, &PathBuf::from(format!("/spool/log/{number:016x}.{salt}")), octets);
                let (_, waiting, findings) = open(fs.clone(), ROOT, small(2)).unwrap();
                assert_eq!(waiting.len(), ids.len(), "{number}.{salt}: {findings:?}");
                assert!(matches!(&findings[..], [Finding::Moved { .. }]), "{findings:?}");
            }
        }
    }
}

/// Names of any octets and any length, and names that are taken.
#[test]
fn names_that_are_hard_to_move() {
    let (fs, ids) = spool();
    let folder = Path::new("/spool/log");
    let all = [vec![0xff; 200], vec![b'x'; 255], vec![0xfe; 255], b"taken".to_vec()].map(OsString::from_vec);
    for name in &all {
        write(&fs, &folder.join(name), b"here");
        write(&fs, &Path::new("/spool/set-aside").join(name), b"there");
    }
    for n in 1..=20 {
        write(&fs, &PathBuf::from(format!("/spool/set-aside/taken.{n}")), b"there");
    }
    let (_, waiting, findings) = open(fs.clone(), ROOT, small(2)).unwrap();
    assert_eq!((waiting.len(), findings.len()), (ids.len(), 4), "{findings:?}");
    let to = |name: &[u8]| {
        let mut moved = findings.iter().map(|finding| match finding {
            Finding::Moved { from, to, .. } => (from, to),
            other => panic!("{other:?}"),
        });
        let name = OsString::from_vec(name.to_vec());
        moved.find(|(from, _)| from.ends_with(&name)).unwrap().1.file_name().unwrap().to_owned()
    };
    assert_eq!(to(b"taken"), *"taken.21");
    assert_eq!(to(&[b'x'; 255]), *format!("{}.1", "x".repeat(200)));
    for name in names(&fs, "/spool/set-aside") {
        assert!(!fs.read(&Path::new("/spool/set-aside").join(&name), 100).unwrap().is_empty(), "{name:?}");
    }
}

/// What was moved is where it was moved to, and nowhere else, when the start says so.
#[test]
fn what_is_moved_is_moved_durably() {
    let (fs, _) = spool();
    write(&fs, Path::new("/spool/log/README"), b"?");
    fs.sync_dir(Path::new("/spool/log")).unwrap();
    let (_, _, findings) = open(fs.clone(), ROOT, small(2)).unwrap();
    assert_eq!(findings.len(), 1);
    for disk in fs.crash().images(50, 1) {
        assert!(disk.metadata(Path::new("/spool/log/README")).is_err());
        assert!(disk.metadata(Path::new("/spool/set-aside/README")).is_ok());
    }
}

/// The record of a large message is lost, and the server is started again, or the power fails, before anybody looks at its body:
/// it is kept all the same. What comes later and is nobody's goes as ever.
#[test]
fn a_start_does_not_forget_what_an_earlier_one_missed() {
    let (fs, _) = spool();
    let (store, _) = open_simulated(&fs, 2);
    let large = accept(&store, &[b'l'; 3000], 1).unwrap();
    drop(store);
    let log = names(&fs, "/spool/log");
    let newer = fs.read(&Path::new("/spool/log").join(log.last().unwrap()), 100_000).unwrap();
    // Its segment is one of a newer program now.
    fs.unlink(&Path::new("/spool/log").join(log.last().unwrap())).unwrap();
    let mut header = newer[..56].to_vec();
    header[8] = 9;
    let check = crc32fast::hash(&header[..52]).to_le_bytes();
    header[52..].copy_from_slice(&check);
    write(&fs, &Path::new("/spool/log").join(log.last().unwrap()), &[&header, &newer[56..]].concat());
    fs.sync_dir(Path::new("/spool/log")).unwrap();
    fs.record();
    let (store, _, findings) = open(fs.clone(), ROOT, small(3)).unwrap();
    assert!(matches!(&findings[..], [Finding::Moved { .. }]), "{findings:?}");
    drop(store);
    let mut crashes = fs.recorded();
    crashes.push(fs.crash());
    for disk in crashes.iter().flat_map(|crash| crash.images(20, 1)) {
        for seed in 4..6 {
            drop(open(disk.clone(), ROOT, small(seed)).unwrap());
        }
        let (store, _, findings) = open(disk.clone(), ROOT, small(6)).unwrap();
        assert_eq!(findings, []);
        disk.advance(Duration::from_secs(40 * 3600));
        assert_eq!(store.sweep(disk.now()).unwrap(), 1);
        assert!(disk.metadata(&Path::new("/spool/set-aside").join(large.to_string())).is_ok());
        // From now on bodies of nobody are what is left of sessions.
        let nobody = store.begin(support::now()).id();
        write(&disk, &Path::new("/spool/bodies").join(nobody.to_string()), b"half");
        disk.advance(Duration::from_secs(40 * 3600));
        assert_eq!(store.sweep(disk.now()).unwrap(), 1);
        assert!(disk.metadata(&Path::new("/spool/set-aside").join(nobody.to_string())).is_err());
    }
}

/// The numbers of the segments in the log.
fn numbers(fs: &SimulatedFs) -> Vec<u64> {
    let number = |name: OsString| u64::from_str_radix(name.to_str()?.split_once('.')?.0, 16).ok();
    names(fs, "/spool/log").into_iter().filter_map(number).collect()
}

// Whatever has happened to the newest segment, the next one has another number: a file that comes back is never taken for it.
#[test]
fn after_damage_of_the_newest_segment_no_number_is_used_twice() {
    let (sound, _) = spool();
    let newest = *numbers(&sound).iter().max().unwrap();
    let name = names(&sound, "/spool/log").into_iter().max().unwrap();
    let path = Path::new("/spool/log").join(&name);
    let octets = sound.read(&path, 1 << 20).unwrap();
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    for at in 0..56 {
        let mut flipped = octets.clone();
        flipped[at] ^= 0x10;
        damaged.push((format!("octet {at}"), flipped.clone()));
        flipped.truncate(56);
        damaged.push((format!("octet {at} of a header alone"), flipped));
    }
    damaged.extend((0..octets.len()).step_by(23).map(|len| (format!("{len} octets"), octets[..len].to_vec())));
    damaged.push(("zeros".into(), vec![0; octets.len()]));
    damaged.push(("something else".into(), b"something else".repeat(20)));
    // A header that is whole, of another version and of another segment.
    for (at, octet) in [(8, 2), (12, 0x77), (20, 0x77)] {
        let mut other = octets.clone();
        other[at] = octet;
        let check = crc32fast::hash(&other[..52]).to_le_bytes();
        other[52..56].copy_from_slice(&check);
        damaged.push((format!("another header, by octet {at}"), other));
    }
    for (case, octets) in damaged {
        let fs = sound.crash().images(1, 0).next().unwrap();
        fs.unlink(&path).unwrap();
        write(&fs, &path, &octets);
        let mut before = newest;
        for seed in 2..4 {
            let (store, _, findings) = open(fs.clone(), ROOT, small(seed)).unwrap();
            accept(&store, b"new", 1).unwrap();
            let number = *numbers(&fs).iter().max().unwrap();
            assert!(number > before, "{case}: {number} is used again behind {before}: {findings:?}");
            before = number;
        }
    }
}
