//! Section 10: the queue, on the disk under `--dir`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{SeededRandom, Time, WallTime};
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Fs, Op, RealFs};
use pillarbox_spool::{
    Change, Envelope, Item, Options, Recipient, Recovered, Schedule, ScheduleOptions, Store, Waiting,
};

use crate::allocation::counted;
use crate::report::{Goal, Peer, Quantity, Row, Spread, Unit};

const PEER: &str = "append and fdatasync";
const SIZE: usize = 10_240;

pub fn rows(dir: &Path, quick: bool) -> Vec<Row> {
    let (messages, rounds) = if quick { (1000, 3) } else { (10_000, 9) };
    let mut rows: Vec<Row> =
        [1, 50].map(|threads| accept(dir, threads, messages / 50 * threads.min(50), rounds)).into();
    rows.push(syncs(dir, 50, messages));
    rows.extend(waiting(dir, if quick { 20_000 } else { 1_000_000 }));
    rows
}

fn now() -> WallTime {
    WallTime::new(1_700_000_000, 0)
}

fn envelope(number: usize) -> Envelope {
    let from = ReversePath::Address("joe.smith@client.example.com".parse().expect("an address"));
    let to = format!("ann.jones@domain-{}.example.org", number % 1000).parse().expect("an address");
    Envelope::new(now(), from, [Recipient::new(ForwardPath::Address(to))])
}

fn open(fs: impl Fs + 'static, path: &Path) -> Store {
    let (store, recovery) = Store::open(fs, path, Options::from_system()).expect("it opens");
    assert_eq!(recovery.count(), 0);
    store
}

/// Runs `work` so often on so many threads, and gives how often a second.
fn rate(threads: usize, messages: usize, work: &(dyn Fn(usize) + Sync)) -> f64 {
    let each = messages.div_ceil(threads);
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (0..each).for_each(|n| work(thread * each + n)));
        }
    });
    (threads * each) as f64 / start.elapsed().as_secs_f64()
}

fn accept_one(store: &Store, text: &[u8], number: usize) {
    let mut incoming = store.begin(now());
    for piece in text.chunks(4096) {
        incoming.write(piece).expect("there is room");
    }
    incoming.commit(envelope(number)).and_then(pillarbox_spool::Commit::wait).expect("the disk works");
}

fn accept(dir: &Path, threads: usize, messages: usize, rounds: usize) -> Row {
    let text = vec![b'x'; SIZE];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let folder = tempfile::tempdir_in(dir).expect("a place to work in");
        let store = open(RealFs, &folder.path().join("spool"));
        let bare = Bare::new(&folder.path().join("bare"));
        let mut run_ours = || ours.push(rate(threads, messages, &|number| accept_one(&store, &text, number)));
        let mut run_theirs = || theirs.push(rate(threads, messages, &|_| bare.append(&text)));
        if round % 2 == 0 {
            run_ours();
            run_theirs();
        } else {
            run_theirs();
            run_ours();
        }
    }
    let quantity = |samples| Quantity { unit: Unit::MessagesPerSecond, spread: Spread::of(samples) };
    Row {
        section: 10,
        name: format!("accept durably, {threads} at once"),
        ratio: Some(Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect())),
        ours: quantity(ours),
        allocations: None,
        peer: Some(Peer { name: PEER, quantity: quantity(theirs), allocations: None }),
        goals: vec![Goal::TimesPeer(0.5)],
        note: "10 KB each; the peer has the same grouping, and neither envelope nor checksum".into(),
    }
}

/// The least that a durable log can do: octets of all who wait are written and synced together.
struct Bare {
    state: Mutex<BareState>,
    done: Condvar,
}

struct BareState {
    pending: Vec<u8>,
    /// Groups that were begun, and that are synced.
    begun: u64,
    synced: u64,
    file: Option<File>,
}

impl Bare {
    fn new(path: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path).expect("a new file");
        let state = BareState { pending: Vec::new(), begun: 0, synced: 0, file: Some(file) };
        Bare { state: Mutex::new(state), done: Condvar::new() }
    }

    fn append(&self, octets: &[u8]) {
        let mut state = self.state.lock().expect("nobody panics");
        state.pending.extend_from_slice(octets);
        let mine = state.begun + 1;
        while state.synced < mine {
            let Some(mut file) = state.file.take() else {
                state = self.done.wait(state).expect("nobody panics");
                continue;
            };
            let group = std::mem::take(&mut state.pending);
            state.begun += 1;
            drop(state);
            file.write_all(&group).and_then(|()| file.sync_data()).expect("the disk works");
            state = self.state.lock().expect("nobody panics");
            state.file = Some(file);
            state.synced = state.begun;
            self.done.notify_all();
        }
    }
}

fn syncs(dir: &Path, threads: usize, messages: usize) -> Row {
    let text = vec![b'x'; SIZE];
    let folder = tempfile::tempdir_in(dir).expect("a place to work in");
    let fs = Watched::new(RealFs);
    let store = open(fs.clone(), &folder.path().join("spool"));
    fs.clear();
    rate(threads, messages, &|number| accept_one(&store, &text, number));
    let syncs = fs.changes().iter().filter(|(op, _)| matches!(op, Op::Sync | Op::SyncDir)).count();
    Row {
        section: 10,
        name: format!("syncs for a message, {threads} at once"),
        ours: Quantity { unit: Unit::Times, spread: Spread::exact(syncs as f64 / messages as f64) },
        allocations: None,
        peer: None,
        ratio: None,
        goals: vec![Goal::AtMost(0.1)],
        note: "of files and folders".into(),
    }
}

/// So many messages are waiting when the program starts.
fn waiting(dir: &Path, count: usize) -> Vec<Row> {
    let folder = tempfile::tempdir_in(dir).expect("a place to work in");
    let path = folder.path().join("spool");
    let store = open(RealFs, &path);
    let text = vec![b'x'; 1024];
    for from in (0..count).step_by(1000) {
        let accept = |number| {
            let mut incoming = store.begin(now());
            incoming.write(&text).expect("there is room");
            Change::Accept(incoming.finish(envelope(number)).expect("it is small"))
        };
        let changes = (from..from + 1000).map(accept).collect();
        store.commit(changes).and_then(pillarbox_spool::Commit::wait).expect("the disk works");
    }
    drop(store);

    let start = Instant::now();
    let (mut answered, mut first) = (Duration::ZERO, Duration::ZERO);
    let mut schedule = Schedule::new(ScheduleOptions::default(), SeededRandom::new(1));
    let (store, _, octets) = counted(|| {
        let (store, recovery) = Store::open(RealFs, &path, Options::from_system()).expect("it opens");
        accept_one(&store, &text, 0);
        answered = start.elapsed();
        for recovered in recovery {
            let Recovered::Waiting(message) = recovered else { panic!("{recovered:?}") };
            schedule.insert(Time::ZERO, now(), item(&message));
            if first.is_zero() {
                first = start.elapsed();
            }
        }
        store
    });
    let read = start.elapsed();
    assert_eq!((store.usage().messages, schedule.len()), (count + 1, count));
    let row = |name: String, unit, value, goal: Option<f64>, note: &str| Row {
        section: 10,
        name,
        ours: Quantity { unit, spread: Spread::exact(value) },
        allocations: None,
        peer: None,
        ratio: None,
        goals: goal.map(Goal::AtMost).into_iter().collect(),
        note: note.into(),
    };
    let nanoseconds = |duration: Duration| duration.as_nanos() as f64;
    vec![
        row(
            format!("start with {count} waiting messages, until one is accepted"),
            Unit::Nanoseconds,
            nanoseconds(answered),
            Some(2e9),
            "the folder is in the system's cache",
        ),
        row("the same, until the first waiting one is known".into(), Unit::Nanoseconds, nanoseconds(first), None, ""),
        row("the same, until all are scheduled".into(), Unit::Nanoseconds, nanoseconds(read), None, ""),
        row(
            "memory for each of them".into(),
            Unit::Octets,
            octets as f64 / count as f64,
            Some(512.0 * 1024.0 * 1024.0 / 1e6),
            "store and schedule together; 1,000 destinations",
        ),
    ]
}

fn item(message: &Waiting) -> Item {
    let mut item = Item::from(message);
    for (number, recipient) in message.open_recipients() {
        let domain = recipient.to.address().map_or(String::new(), |address| address.domain().to_string());
        item = item.route(domain, [number]);
    }
    item
}
