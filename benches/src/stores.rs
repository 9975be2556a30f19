//! Section 7: a Maildir, on the disk under `--dir`.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pillarbox_fs::RealFs;
use pillarbox_maildir::{Access, FlagChange, Flags, Mailbox, Maildir, Options, Store};

use crate::measure::cpu_time;
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
    let maildir = process(&path, true);
    for number in 0..count {
        let name = format!("cur/{}.M{:06}P4711.mx,S=20,W=21:2,S", 1_700_000_000 + number, number % 1_000_000);
        fs::write(path.join(name), b"Subject: message\r\n\r\n").expect("there is room");
    }
    let first = nanoseconds(count, || opened(&maildir));
    // A directory that has just changed is looked at twice, and has no snapshot; what is measured is a mailbox at rest.
    thread::sleep(Duration::from_millis(2100));
    let with_snapshot = nanoseconds(count, || opened(&maildir));

    let peer = maildir::Maildir::from(path.clone());
    let list = || {
        let entries = peer.list_cur().filter_map(Result::ok);
        entries.map(|entry| black_box((entry.id().len(), entry.is_seen()))).count()
    };
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        samples[0].push(nanoseconds(count, || opened(&maildir)));
        samples[1].push(nanoseconds(count, list));
        samples[2].push(nanoseconds(count, || opened(&process(&path, true))));
        samples[3].push(nanoseconds(count, || opened(&process(&path, false))));
    }
    let [ours, theirs, anew, read] = samples;

    let mut mailbox = Mailbox::open(&maildir, Access::ReadWrite).expect("it opens");
    let quiet =
        (0..rounds * 10).map(|_| nanoseconds(0, || mailbox.refresh().expect("it is there").added.len())).collect();
    let delivered = (0..rounds * 10)
        .map(|_| {
            let mut message = maildir.begin().expect("tmp is there");
            message.write(b"Subject: message\r\n\r\n").expect("there is room");
            message.commit(Flags::NONE, None).expect("new is there");
            nanoseconds(1, || mailbox.refresh().expect("it is there").added.len())
        })
        .collect();
    let all: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    let flagged = (0..rounds)
        .map(|round| {
            mailbox.set_flags(&all[round..=round], FlagChange::Add, Flags::FLAGGED).expect("it is there");
            nanoseconds(0, || mailbox.refresh().expect("it is there").flags.len())
        })
        .collect();

    let row = |name: &str, spread: Spread, goals: Vec<Goal>, note: &str| Row {
        section: 7,
        name: format!("{count} messages, {name}"),
        ours: Quantity { unit: Unit::Nanoseconds, spread },
        allocations: None,
        peer: None,
        ratio: None,
        goals,
        note: note.into(),
    };
    let beside = |row: Row, ours: &[f64]| Row {
        ratio: Some(Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours).collect())),
        peer: Some(Peer {
            name: PEER,
            quantity: Quantity { unit: Unit::Nanoseconds, spread: Spread::of(theirs.clone()) },
            allocations: None,
        }),
        ..row
    };
    let large = count == 100_000;
    let goal = |most: f64| if large { vec![Goal::AtMost(most * 1e6)] } else { vec![] };
    let mut same = goal(100.0);
    same.extend((count == 10_000).then_some(Goal::TimesPeer(3.0)));
    let note = "UID, flags and name of each; ours from the snapshot, peer: `list_cur`, no UIDs";
    vec![
        row(
            "seen for the first time",
            Spread::exact(first),
            goal(2000.0),
            "once; gives UIDs, without the wait for their sync",
        ),
        row("read, and the snapshot written", Spread::exact(with_snapshot), vec![], "once"),
        beside(row("opened", Spread::of(ours.clone()), same, note), &ours),
        beside(row("opened by a new process", Spread::of(anew.clone()), goal(100.0), "reads the UID list too"), &anew),
        beside(
            row(
                "opened by a new process, no snapshot",
                Spread::of(read.clone()),
                goal(2000.0),
                "reads both directories",
            ),
            &read,
        ),
        row("refresh without news", Spread::of(quiet), vec![], ""),
        row("refresh after a delivery", Spread::of(delivered), goal(5.0), "without the wait for the sync of its UID"),
        row("refresh after a flag of ours", Spread::of(flagged), goal(5.0), ""),
    ]
}

/// A process that knows nothing of the folder yet.
fn process(path: &Path, snapshots: bool) -> Maildir {
    let mut options = Options::from_system();
    if !snapshots {
        options.snapshot_from = usize::MAX;
    }
    Maildir::create(&Store::new(RealFs, options), path).expect("a Maildir")
}

fn opened(maildir: &Maildir) -> usize {
    let mailbox = Mailbox::open(maildir, Access::ReadWrite).expect("it opens");
    let each = mailbox.messages();
    each.map(|message| black_box((message.uid, message.name.len(), message.flags.contains(Flags::SEEN)))).count()
}

/// The thread's processor time; the wait for a sync is not in it.
fn nanoseconds(expected: usize, work: impl FnOnce() -> usize) -> f64 {
    let mut found = 0;
    let used = cpu_time(|| found = black_box(work()));
    assert_eq!(found, expected);
    used.as_nanos() as f64
}
