//! Section 7 too: SORT and THREAD of many messages, from what was kept of them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pillarbox_fs::RealFs;
use pillarbox_imap::sort::{SortCriterion, SortKey, SortKeys, Sorter, write_sort_keys};
use pillarbox_imap::thread::{ThreadAlgorithm, ThreadKeys, Threader, write_thread_keys};
use pillarbox_imap::types::Uid;
use pillarbox_maildir::{self as maildir, Access, Mailbox, Maildir, Options, Pieces, Store};

use crate::measure::cpu_time;
use crate::report::{Goal, Quantity, Row, Spread, Unit};

/// As many as the driver asks for at a time.
const AT_ONCE: usize = 1024;
const SORT_KEYS: u8 = 21;
const THREAD_KEYS: u8 = 22;

/// A header of one conversation among many: replies that name those before them.
fn header(number: usize) -> String {
    let (thread, place) = (number / 8 * 7919 % 65_537, number % 8);
    let ids: Vec<String> = (0..place).map(|place| format!("<{thread}.{place}.4711@mail.example.org>")).collect();
    let reply = if place > 0 { "Re: " } else { "" };
    format!(
        "Date: {} Mar 2026 {:02}:{:02}:{:02} +0100\r\nFrom: Person {} <p{}@example.org>\r\nTo: joe@example.com\r\n\
         Subject: {reply}[list] What to do about number {thread} of many\r\n\
         Message-ID: <{thread}.{place}.4711@mail.example.org>\r\nReferences: {}\r\n\r\n",
        number % 28 + 1,
        number % 24,
        number % 60,
        number * 7 % 60,
        number % 997,
        number % 997,
        ids.join("\r\n ")
    )
}

const BY: [SortCriterion; 2] =
    [SortCriterion { key: SortKey::Subject, reverse: false }, SortCriterion { key: SortKey::Date, reverse: true }];

pub fn rows(dir: &Path, quick: bool) -> Vec<Row> {
    let (count, rounds) = if quick { (10_000, 3) } else { (100_000, 9) };
    let folder = tempfile::tempdir_in(dir).expect("a place to work in");
    let store = Store::new(RealFs, Options::from_system());
    let maildir = Maildir::create(&store, folder.path().join("Maildir")).expect("a Maildir");
    for number in 0..count {
        let name = format!("cur/{}.M{number:06}P4711.mx,S=1,W=1:2,S", 1_700_000_000 + number);
        fs::write(maildir.path().join(name), "x").expect("there is room");
    }
    let open = || Mailbox::open(&maildir, Access::ReadWrite).expect("it opens");
    let mut mailbox = open();
    let uids: Vec<maildir::Uid> = mailbox.messages().map(|message| message.uid).collect();
    for (block, some) in uids.chunks(AT_ONCE).enumerate() {
        let pieces = some.iter().enumerate().map(|(at, uid)| {
            let (header, mut sort, mut thread) = (header(block * AT_ONCE + at), Vec::new(), Vec::new());
            write_sort_keys(header.as_bytes(), &mut sort);
            write_thread_keys(header.as_bytes(), &mut thread);
            let mut pieces = Pieces::new();
            assert!(pieces.insert(SORT_KEYS, b"", &sort) && pieces.insert(THREAD_KEYS, b"", &thread));
            (*uid, pieces)
        });
        mailbox.remember(&pieces.collect::<Vec<_>>());
    }
    let (mut sort, mut thread, mut only_sort, mut only_thread) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let mut mailbox = open();
        // The first look at the file is not a part of a command.
        mailbox.cached_piece(&uids[..1], SORT_KEYS, b"");
        let mut computing = Duration::ZERO;
        let mut sorted = 0;
        sort.push(cpu_time(|| (computing, sorted) = sort_once(&mut mailbox, &uids)).as_nanos() as f64);
        only_sort.push(computing.as_nanos() as f64);
        let mut threads = 0;
        thread.push(cpu_time(|| (computing, threads) = thread_once(&mut mailbox, &uids)).as_nanos() as f64);
        only_thread.push(computing.as_nanos() as f64);
        assert!(sorted == count && threads > count, "all are told");
    }
    let row = |name: &str, samples, goals, note: &str| Row {
        section: 7,
        name: format!("{name} of {count} messages"),
        ours: Quantity { unit: Unit::Nanoseconds, spread: Spread::of(samples) },
        allocations: None,
        peer: None,
        ratio: None,
        goals,
        note: note.into(),
    };
    // Those of 100,000 messages.
    let at_most = |milliseconds: f64| if quick { vec![] } else { vec![Goal::AtMost(milliseconds * 1e6)] };
    let from_file = "keys out of the cache file, in the system's memory, and sorted";
    vec![
        row("SORT (SUBJECT REVERSE DATE)", sort, at_most(100.0), from_file),
        row("THREAD REFERENCES", thread, at_most(300.0), "the same, threaded, and told"),
        row("SORT without reading,", only_sort, vec![], "what of that is not reading"),
        row("THREAD without reading,", only_thread, vec![], "what of that is not reading"),
    ]
}

fn number(uid: maildir::Uid) -> Uid {
    Uid::new(uid.get()).expect("it is not 0")
}

/// What took no reading, and how many messages were sorted.
fn sort_once(mailbox: &mut Mailbox, uids: &[maildir::Uid]) -> (Duration, usize) {
    let (mut sorter, mut computing) = (Sorter::new(&BY), Duration::ZERO);
    for some in uids.chunks(AT_ONCE) {
        let keys = mailbox.cached_piece(some, SORT_KEYS, b"");
        computing += cpu_time(|| {
            for (uid, keys) in some.iter().zip(&keys) {
                sorter.add(number(*uid), 0, 0, keys.as_deref().and_then(SortKeys::read));
            }
        });
    }
    let mut sorted = 0;
    computing += cpu_time(|| sorted = sorter.finish().len());
    (computing, sorted)
}

/// What took no reading, and how many pieces of threads were told.
fn thread_once(mailbox: &mut Mailbox, uids: &[maildir::Uid]) -> (Duration, usize) {
    let (mut threader, mut computing) = (Threader::new(ThreadAlgorithm::References), Duration::ZERO);
    for some in uids.chunks(AT_ONCE) {
        let keys = mailbox.cached_piece(some, THREAD_KEYS, b"");
        computing += cpu_time(|| {
            for (uid, keys) in some.iter().zip(&keys) {
                let keys = keys.as_deref().and_then(ThreadKeys::read).expect("it was kept");
                threader.add(number(*uid), 0, &keys);
            }
        });
    }
    let mut told = 0;
    computing += cpu_time(|| told = threader.finish().parts().count());
    (computing, told)
}
