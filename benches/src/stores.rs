//! Section 7: a Maildir, on the disk under `--dir`.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use pillarbox_fs::RealFs;
use pillarbox_maildir::{Access, Flags, Mailbox, Maildir, Options, Store};

use crate::report::{Goal, Peer, Quantity, Row, Spread, Unit};
use crate::sample;

const PEER: &str = "maildir 0.6.6";

pub fn rows(dir: &Path, quick: bool) -> Vec<Row> {
    let messages = if quick { 100 } else { 400 };
    let mut rows: Vec<Row> =
        [1, 8, 50].map(|threads| deliver(dir, threads, messages, if quick { 3 } else { 9 })).into();
    let sizes: &[usize] = if quick { &[1000] } else { &[10_000, 100_000] };
    for count in sizes {
        rows.extend(open(dir, *count, if quick { 3 } else { 9 }));
    }
    rows
}

/// So many messages by so many threads at once, each on stable storage before the next.
fn deliver(dir: &Path, threads: usize, messages: usize, rounds: usize) -> Row {
    let text = sample::small();
    let each = messages.div_ceil(threads);
    let rate = |deliver: &(dyn Fn() + Sync)| {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..each).for_each(|_| deliver()));
            }
        });
        (threads * each) as f64 / start.elapsed().as_secs_f64()
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // New folders each time, so that no side meets a directory that the other or an earlier round has grown.
        let folder = tempfile::tempdir_in(dir).expect("a place to work in");
        let store = Store::new(RealFs, Options::from_system());
        let maildir = Maildir::create(&store, folder.path().join("ours")).expect("a Maildir");
        ours.push(rate(&|| {
            let mut message = maildir.begin().expect("tmp is there");
            message.write(&text).expect("there is room");
            message.commit(Flags::NONE, None).expect("new is there");
        }));
        let path = folder.path().join("theirs");
        let peer = maildir::Maildir::from(path.clone());
        peer.create_dirs().expect("a Maildir");
        theirs.push(rate(&|| {
            peer.store_new(&text).expect("new is there");
            // The peer syncs the file; without this its name may be gone after a power cut.
            fs::File::open(path.join("new")).and_then(|dir| dir.sync_all()).expect("new is there");
        }));
    }
    let quantity = |samples| Quantity { unit: Unit::MessagesPerSecond, spread: Spread::of(samples) };
    Row {
        section: 7,
        name: format!("deliver durably, {threads} threads"),
        ratio: Some(Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect())),
        ours: quantity(ours),
        allocations: None,
        peer: Some(Peer { name: PEER, quantity: quantity(theirs), allocations: None }),
        goals: vec![],
        note: "2 KB each; the peer with a sync of `new/` added, which it leaves to the caller".into(),
    }
}

/// A mailbox of so many messages: seen for the first time, opened again, and asked whether anything is new.
fn open(dir: &Path, count: usize, rounds: usize) -> Vec<Row> {
    let folder = tempfile::tempdir_in(dir).expect("a place to work in");
    let path = folder.path().join("Maildir");
    let store = Store::new(RealFs, Options::from_system());
    let maildir = Maildir::create(&store, &path).expect("a Maildir");
    for number in 0..count {
        let name = format!("cur/{}.M{:06}P4711.mx,S=20,W=21:2,S", 1_700_000_000 + number, number % 1_000_000);
        fs::write(path.join(name), b"Subject: message\r\n\r\n").expect("there is room");
    }
    // A directory that has just changed is looked at twice; what is measured is a mailbox at rest.
    let rest = SystemTime::now() - Duration::from_secs(60);
    for name in ["new", "cur"] {
        fs::File::open(path.join(name)).and_then(|dir| dir.set_modified(rest)).expect("it is ours");
    }

    let millis = |work: &mut dyn FnMut() -> usize| {
        let start = Instant::now();
        assert_eq!(black_box(work()), count);
        start.elapsed().as_nanos() as f64
    };
    let mut open = || Mailbox::open(&maildir, Access::ReadWrite).expect("it opens").messages().len();
    let first = millis(&mut open);
    let peer = maildir::Maildir::from(path);
    let mut list = || peer.list_cur().filter(|entry| entry.is_ok()).count();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(millis(&mut open));
        theirs.push(millis(&mut list));
    }
    let mut mailbox = Mailbox::open(&maildir, Access::ReadWrite).expect("it opens");
    let refreshes = (0..rounds * 10)
        .map(|_| {
            let start = Instant::now();
            assert!(mailbox.refresh().expect("it is there").is_empty());
            start.elapsed().as_nanos() as f64
        })
        .collect();

    let row = |name: String, spread: Spread, note: &str| Row {
        section: 7,
        name,
        ours: Quantity { unit: Unit::Nanoseconds, spread },
        allocations: None,
        peer: None,
        ratio: None,
        goals: Vec::<Goal>::new(),
        note: note.into(),
    };
    vec![
        row(
            format!("{count} messages, seen for the first time"),
            Spread::exact(first),
            "once; gives UIDs and syncs them",
        ),
        Row {
            ratio: Some(Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours).collect())),
            peer: Some(Peer {
                name: PEER,
                quantity: Quantity { unit: Unit::Nanoseconds, spread: Spread::of(theirs) },
                allocations: None,
            }),
            ..row(
                format!("{count} messages, opened"),
                Spread::of(ours),
                "ours reads UIDs and sorts by them; peer: `list_cur`, names only",
            )
        },
        row(format!("{count} messages, refresh without news"), Spread::of(refreshes), ""),
    ]
}
