//! The log of the queue: any octets as a segment, and a right one with octets changed. It opens, says what is damaged, takes a new
//! message, and has that at the next start.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{SeededRandom, WallTime};
use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_spool::{Attempt, Change, Commit, Envelope, Options, Outcome, Recipient, Recovered, Report, Store, dump};

const ROOT: &str = "/spool";
const LOG: &str = "/spool/log";

fn options(seed: u64) -> Options {
    let mut options = Options::from_system();
    options.random = Box::new(SeededRandom::new(seed));
    (options.segment_size, options.inline_max) = (1500, 500);
    options
}

fn accept(store: &Store, octets: usize) {
    let now = WallTime::new(1_700_000_000, 0);
    let mut incoming = store.begin(now);
    incoming.write(&vec![b'x'; octets]).expect("memory is enough");
    let id = incoming.id();
    let to = [ForwardPath::Postmaster, ForwardPath::Address("a@example.com".parse().expect("an address"))];
    incoming
        .commit(Envelope::new(now, ReversePath::Null, to.map(Recipient::new)))
        .and_then(Commit::wait)
        .expect("it fits");
    let mut report = Report::new(id);
    report.attempt(0, Attempt::new(now, Outcome::Delivered));
    store.commit(vec![Change::Report(report)]).and_then(Commit::wait).expect("it is waiting");
}

/// The segments of a queue, by name.
fn right() -> &'static [(String, Vec<u8>)] {
    static SEGMENTS: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    SEGMENTS.get_or_init(|| {
        let fs = SimulatedFs::new();
        let (store, recovery) = Store::open(fs.clone(), ROOT, options(1)).expect("it is new");
        let _ = recovery.count();
        (0..6).for_each(|n| accept(&store, n * 90));
        let names = fs.list(Path::new(LOG)).expect("it is there").into_iter();
        let read = |name: String| {
            let octets = fs.read(&Path::new(LOG).join(&name), 1 << 20).expect("it is small");
            (name, octets)
        };
        names.map(|entry| read(entry.name.into_string().expect("digits"))).collect()
    })
}

fuzz_target!(|data: &[u8]| {
    let fs = SimulatedFs::new();
    for folder in [ROOT, LOG] {
        fs.make_dir(Path::new(folder)).expect("it is new");
    }
    let write = |name: &str, octets: &[u8]| {
        let mut file = fs.create(&Path::new(LOG).join(name)).expect("it is new");
        file.write(octets).expect("memory is enough");
    };
    let Some((mode, data)) = data.split_first() else { return };
    if mode % 2 == 0 {
        let salt = data.get(20..28).map_or(0, |salt| u64::from_le_bytes(salt.try_into().expect("eight octets")));
        write(&format!("{:016x}.{salt:016x}", u64::from(mode / 2 % 4)), data);
    }
    if mode % 2 == 1 || mode & 16 != 0 {
        // Which segment, where, what is there now.
        let mut segments = right().to_vec();
        for edit in data.chunks_exact(4).take(64) {
            let count = segments.len();
            let octets = &mut segments[usize::from(edit[0]) % count].1;
            let at = usize::from(u16::from_le_bytes([edit[1], edit[2]]));
            match (octets.len(), edit[0] & 0x80) {
                (0, _) => {}
                (len, 0) => octets[at % len] ^= edit[3],
                (len, _) => octets.truncate(at % len),
            }
        }
        for (name, octets) in &segments {
            if fs.metadata(&Path::new(LOG).join(name)).is_err() {
                write(name, octets);
            }
        }
    }
    dump(&fs, ROOT, &mut String::new()).expect("a disk in memory");
    let (store, recovery) = Store::open(fs.clone(), ROOT, options(2)).expect("any state is good");
    let ids: Vec<_> = recovery
        .filter_map(|recovered| match recovered {
            Recovered::Waiting(message) => Some(message.id),
            _ => None,
        })
        .collect();
    for id in &ids {
        let _ = (store.message(*id), store.body(*id));
    }
    let before = store.usage().messages;
    accept(&store, 100);
    store.tend().expect("a disk in memory");
    let after = store.usage().messages;
    assert!(after <= before + 1);
    drop(store);
    let (store, recovery) = Store::open(fs, ROOT, options(3)).expect("any state is good");
    let _ = recovery.count();
    assert_eq!(store.usage().messages, after, "a second start finds what the first one left");
});
