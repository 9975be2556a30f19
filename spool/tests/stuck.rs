//! One message that waits for days while others come and go: the log stays as small as if it were not there.

#![allow(clippy::print_stdout)] // How large the log was.

mod support;

use pillarbox_fs::RealFs;
use pillarbox_spool::{Change, MessageId, Outcome, Store};
use support::{accept, content, envelope, now, open, options, report};

/// Messages that share a sync.
const AT_ONCE: usize = 500;
/// Octets of a segment.
const SEGMENT: u64 = 256 << 10;

/// Accepts and finishes so many messages behind a stuck one. What the log came to at most, and how much was written to it.
fn work(messages: usize) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let root = root.to_str().unwrap();
    let small = |seed| {
        let mut options = options(seed);
        options.segment_size = SEGMENT;
        options
    };
    let (store, ..) = open(RealFs, root, small(1)).unwrap();
    let stuck = accept(&store, b"stuck", 2).unwrap();
    let (mut most, mut segments, mut deleted, mut carried) = (0, 0, 0, 0);
    for round in 0..messages / AT_ONCE {
        finish(&store, AT_ONCE);
        if round % 50 == 0 {
            store.commit(vec![Change::Report(report(stuck, &[(1, Outcome::Delayed)]))]).unwrap().wait().unwrap();
        }
        let tended = store.tend().unwrap();
        (deleted, carried) = (deleted + tended.deleted, carried + tended.carried);
        let usage = store.usage();
        assert_eq!(usage.messages, 1);
        (most, segments) = (most.max(usage.log), segments.max(usage.segments));
    }
    let on_disk: u64 =
        std::fs::read_dir(format!("{root}/log")).unwrap().map(|it| it.unwrap().metadata().unwrap().len()).sum();
    println!(
        "{messages} messages: {deleted} segments deleted, the stuck one carried {carried} times, at most {most} octets in \
         {segments} segments, {on_disk} in the end"
    );
    // Two segments of waste, the one that is being filled, and what the last group put behind its end.
    assert!(most < 4 * SEGMENT && segments <= 5 && on_disk < 4 * SEGMENT, "{most} octets, {segments} segments");
    assert!(deleted > messages / 2000 && carried > 0, "{deleted} deleted, {carried} carried");
    drop(store);
    let (store, waiting, findings) = open(RealFs, root, small(2)).unwrap();
    assert_eq!((waiting.len(), waiting[0].id, findings.len()), (1, stuck, 0));
    assert_eq!(content(&store, stuck).unwrap(), b"stuck");
    let state = &store.message(stuck).unwrap().recipients[1];
    assert_eq!(state.attempts as usize, (messages / AT_ONCE).div_ceil(50), "no attempt was forgotten on the way");
}

/// Messages that are accepted, and then delivered.
fn finish(store: &Store, count: usize) {
    let (mut accepts, mut reports) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut incoming = store.begin(now());
        incoming.write(b"Subject: filling\r\n\r\nfilling\r\n").unwrap();
        let id: MessageId = incoming.id();
        accepts.push(Change::Accept(incoming.finish(envelope(1)).unwrap()));
        reports.push(Change::Report(report(id, &[(0, Outcome::Delivered)])));
    }
    store.commit(accepts).unwrap().wait().unwrap();
    store.commit(reports).unwrap().wait().unwrap();
}

#[test]
fn twenty_thousand_messages_pass_a_stuck_one() {
    work(20_000);
}

#[test]
#[ignore = "takes seven seconds"]
fn a_million_messages_pass_a_stuck_one() {
    work(1_000_000);
}
