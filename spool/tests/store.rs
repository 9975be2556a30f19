//! The store as those see it who use it: what is accepted is there after a start, with all that became of it.

mod support;

use std::path::Path;
use std::time::Duration;

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{EnhancedCode, WallTime};
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{ErrorKind, Fs, Op, SimulatedFs};
use pillarbox_spool::{
    Attempt, BodyKind, ByMode, Change, DeliverBy, Envelope, Item, MessageId, Notices, Notify, OriginalRecipient,
    Outcome, Recipient, Recovered, Report, Ret, Store, StoreError, dump,
};
use support::{ROOT, accept, content, envelope, now, open, open_simulated, options, report, small, tell};

/// An envelope that has everything.
fn full_envelope() -> Envelope {
    let mut to = Recipient::new(ForwardPath::Address("\"a b\"@[192.0.2.1]".parse().unwrap()));
    to.notify = Some(Notify { success: true, failure: false, delay: true });
    to.orcpt = Some(OriginalRecipient { addr_type: "utf-8".into(), address: "zoë@example.org".into() });
    let mut never = Recipient::new(ForwardPath::Postmaster);
    never.notify = Some(Notify::default());
    let mut envelope = Envelope::new(
        WallTime::new(1_700_000_000, -3600),
        ReversePath::Address("zoë@exämple.org".parse().unwrap()),
        [to, never, support::recipient("plain@example.com")],
    );
    envelope.envid = Some("QQ314159".into());
    envelope.ret = Some(Ret::Hdrs);
    envelope.body = BodyKind::BinaryMime;
    (envelope.smtputf8, envelope.require_tls) = (true, true);
    (envelope.is_own, envelope.is_last, envelope.is_kept) = (true, true, true);
    envelope.hold_until = Some(WallTime::new(1_700_003_600, 0));
    let deadline = WallTime::new(1_700_000_120, 0);
    envelope.deliver_by = Some(DeliverBy { deadline, mode: ByMode::Return, trace: true });
    envelope.priority = -9;
    envelope
}

#[test]
fn an_envelope_is_read_as_it_was_written() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let mut incoming = store.begin(now());
    incoming.write(b"A: b\r\n\r\n\0binary\xff").unwrap();
    let id = incoming.id();
    incoming.commit(full_envelope()).unwrap().wait().unwrap();
    for _ in 0..2 {
        assert_eq!(store.message(id).unwrap().envelope, full_envelope());
    }
    drop(store);
    let (store, waiting) = open_simulated(&fs, 2);
    assert_eq!((waiting[0].id, &waiting[0].envelope), (id, &full_envelope()));
    assert_eq!(content(&store, id).unwrap(), b"A: b\r\n\r\n\0binary\xff");
}

#[test]
fn what_becomes_of_recipients_is_kept() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let id = accept(&store, b"text", 3).unwrap();
    let mut failed = Attempt::new(now(), Outcome::Failed);
    failed.status = Some(EnhancedCode::new(5, 1, 1));
    failed.code = Some(550);
    failed.text = "no such user\r\nsecond line".into();
    let mut first = report(id, &[(0, Outcome::Delivered), (1, Outcome::Delayed)]);
    first.attempt(2, failed.clone()).noticed(2, Notices { failure: true, ..Notices::default() });
    tell(&store, first).unwrap();
    tell(&store, report(id, &[(1, Outcome::Delayed)])).unwrap();
    let look = |store: &Store| {
        let message = store.message(id).unwrap();
        let states: Vec<_> = message.recipients.iter().map(|it| (it.outcome, it.attempts, it.history.len())).collect();
        let done = |outcome| (Some(outcome), 1, 1);
        assert_eq!(states, [done(Outcome::Delivered), (None, 2, 2), done(Outcome::Failed)]);
        assert_eq!(message.recipients[2].history, [failed.clone()]);
        assert!(message.recipients[2].notices.failure && !message.recipients[1].notices.failure);
        assert_eq!(message.recipients[1].history[0].peer, "mx.example.com [192.0.2.1]");
    };
    look(&store);
    drop(store);
    let (store, waiting) = open_simulated(&fs, 2);
    look(&store);
    assert_eq!((waiting[0].attempts, waiting[0].last_attempt), (2, Some(1_700_000_000)));
    let item = Item::from(&waiting[0]);
    assert_eq!((item.attempts, item.last_attempt, item.held, item.is_noticed), (2, Some(1_700_000_000), false, false));
    assert_eq!(waiting[0].open_recipients().map(|(number, _)| number).collect::<Vec<_>>(), [1]);
    // A final outcome stays, whatever is said later.
    tell(&store, report(id, &[(0, Outcome::Failed), (1, Outcome::Relayed)])).unwrap();
    assert!(matches!(store.message(id), Err(StoreError::NoSuchMessage(_))));
    drop(store);
    assert_eq!(open_simulated(&fs, 3).1, []);
}

#[test]
fn hold_release_delete() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let ids: Vec<MessageId> = (0..3).map(|_| accept(&store, b"text", 1).unwrap()).collect();
    assert!(ids.is_sorted());
    store.commit(vec![Change::Hold(ids[0]), Change::Hold(ids[1]), Change::Delete(ids[2])]).unwrap().wait().unwrap();
    store.commit(vec![Change::Release(ids[1])]).unwrap().wait().unwrap();
    drop(store);
    let (store, waiting) = open_simulated(&fs, 2);
    assert_eq!(waiting.iter().map(|it| (it.id, it.held)).collect::<Vec<_>>(), [(ids[0], true), (ids[1], false)]);
    assert_eq!(store.ids(None, 10), ids[..2]);
    assert_eq!(store.ids(Some(ids[0]), 1), ids[1..2]);
}

#[test]
fn changes_of_one_commit_may_speak_of_its_messages() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let mut incoming = store.begin(now());
    incoming.write(b"text").unwrap();
    let ready = incoming.finish(envelope(2)).unwrap();
    let id = ready.id();
    let news = report(id, &[(0, Outcome::Delivered)]);
    store.commit(vec![Change::Accept(ready), Change::Report(news)]).unwrap().wait().unwrap();
    assert_eq!(store.message(id).unwrap().recipients[0].outcome, Some(Outcome::Delivered));
    drop(store);
    let (_, waiting) = open_simulated(&fs, 2);
    assert_eq!(waiting[0].recipients, [(Some(Outcome::Delivered), Notices::default()), (None, Notices::default())]);
}

#[test]
fn changes_that_cannot_be_made() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let id = accept(&store, b"text", 1).unwrap();
    let unknown = MessageId::from_octets([9; 10]);
    assert!(matches!(store.commit(vec![Change::Hold(unknown)]), Err(StoreError::NoSuchMessage(it)) if it == unknown));
    let too_far = report(id, &[(0, Outcome::Delivered), (1, Outcome::Delivered)]);
    assert!(matches!(store.commit(vec![Change::Report(too_far)]), Err(StoreError::NoSuchRecipient(_, 1))));
    assert_eq!(store.message(id).unwrap().recipients[0].outcome, None, "none of it was made");
    assert!(matches!(store.begin(now()).commit(envelope(0)), Err(StoreError::NoRecipients)));
    let mut huge = envelope(1);
    huge.envid = Some("x".repeat(17 << 20));
    assert!(matches!(store.begin(now()).commit(huge), Err(StoreError::TooLarge)));
}

/// The order that durability needs.
// DUR-01, DUR-02
#[test]
fn the_trace_of_an_accepted_message() {
    let folder = tempfile::tempdir().unwrap();
    let fs = Watched::new(pillarbox_fs::RealFs);
    let root = folder.path().join("spool");
    let (store, ..) = open(fs.clone(), root.to_str().unwrap(), small(1)).unwrap();
    let trace = |fs: &Watched| {
        let name = |path: &Path| path.strip_prefix(&root).unwrap().components().next().unwrap().as_os_str().to_owned();
        let changes = fs.changes().into_iter().map(|(op, path)| (op, name(&path).into_string().unwrap())).collect();
        fs.clear();
        changes
    };
    fs.clear();
    accept(&store, b"first", 1).unwrap();
    let log = |op| (op, "log".to_owned());
    let body = |op| (op, "bodies".to_owned());
    let trace_of: &dyn Fn() -> Vec<(Op, String)> = &|| trace(&fs);
    assert_eq!(trace_of(), [log(Op::Create), log(Op::Write), log(Op::Sync), log(Op::SyncDir)]);
    accept(&store, b"second", 100).unwrap();
    assert_eq!(trace_of(), [log(Op::Write), log(Op::Sync)]);
    let id = accept(&store, &[b'x'; 1001], 1).unwrap();
    let large = [body(Op::Create), body(Op::Write), body(Op::Sync), body(Op::Close), body(Op::SyncDir)];
    let in_log = [log(Op::Create), log(Op::Write), log(Op::Sync), log(Op::SyncDir)];
    assert_eq!(trace_of(), [&large[..], &in_log[..]].concat(), "the record that names a body comes last");
    tell(&store, report(id, &[(0, Outcome::Delivered)])).unwrap();
    store.tend().unwrap();
    let gone = trace_of();
    assert_eq!(gone[..2], [log(Op::Write), log(Op::Sync)], "the outcome is durable before the body goes");
    assert_eq!(gone[2], body(Op::Unlink));
}

#[test]
fn large_content_has_a_file_and_leaves_none_behind() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let text = b"0123456789abcdef".repeat(1000);
    let files = || fs.list(Path::new("/spool/bodies")).unwrap().len();
    let mut incoming = store.begin(now());
    for piece in text.chunks(300) {
        incoming.write(piece).unwrap();
    }
    assert_eq!(files(), 1);
    drop(incoming);
    assert_eq!(files(), 0, "DUR-08: nobody committed it");
    let id = accept(&store, &text, 1).unwrap();
    assert_eq!(content(&store, id).unwrap(), text);
    assert_eq!(store.message(id).unwrap().size, 16_000);
    drop(store);
    let (store, waiting) = open_simulated(&fs, 2);
    assert_eq!(waiting[0].size, 16_000);
    assert_eq!(content(&store, id).unwrap(), text);
    tell(&store, report(id, &[(0, Outcome::Delivered)])).unwrap();
    store.tend().unwrap();
    assert_eq!(files(), 0);
}

// RST-06
#[test]
fn bodies_of_nobody_go_when_they_are_old() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let id = accept(&store, &[b'x'; 2000], 1).unwrap();
    let orphan = Path::new("/spool/bodies").join(MessageId::from_octets([7; 10]).to_string());
    fs.create(&orphan).unwrap().close().unwrap();
    fs.create(Path::new("/spool/bodies/README")).unwrap().close().unwrap();
    fs.advance(Duration::from_secs(36 * 3600 - 1));
    assert_eq!(store.sweep(fs.now()).unwrap(), 0);
    assert!(fs.metadata(&orphan).is_ok());
    fs.advance(Duration::from_secs(1));
    assert_eq!(store.sweep(fs.now()).unwrap(), 1);
    assert!(fs.metadata(&orphan).is_err());
    assert!(fs.metadata(Path::new("/spool/set-aside/README")).is_ok());
    assert_eq!(content(&store, id).unwrap().len(), 2000);
}

#[test]
fn what_is_sent_at_once_is_what_will_be_read() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let mut incoming = store.begin(now());
    assert!(incoming.write_in_memory(b"A: b\r\n\r\n") && incoming.write_in_memory(b"\0binary\xff"));
    assert!(incoming.is_in_memory());
    let ready = incoming.finish(full_envelope()).unwrap();
    let (message, body) = ready.in_memory().unwrap();
    let id = ready.id();
    store.commit(vec![Change::Accept(ready)]).unwrap().wait().unwrap();
    assert_eq!(message, store.message(id).unwrap());
    assert_eq!(body.in_memory().unwrap(), content(&store, id).unwrap());

    // What does not fit is not taken, by half or otherwise.
    let mut large = store.begin(now());
    assert!(large.write_in_memory(&vec![b'x'; 600]) && !large.write_in_memory(&vec![b'y'; 600]));
    large.write(&vec![b'z'; 600]).unwrap();
    assert!(!large.is_in_memory() && !large.write_in_memory(b"x"));
    let ready = large.finish(full_envelope()).unwrap();
    assert!(ready.in_memory().is_none());
    let id = ready.id();
    store.commit(vec![Change::Accept(ready)]).unwrap().wait().unwrap();
    let read = content(&store, id).unwrap();
    assert!(read.len() == 1200 && read.starts_with(b"xx") && read.ends_with(b"zz"));
    assert!(store.body(id).unwrap().in_memory().is_none());
}

#[test]
fn content_goes_to_a_file_when_the_budget_of_all_is_used_up() {
    let fs = SimulatedFs::new();
    let mut options = small(1);
    options.inline_budget = 1500;
    let (store, ..) = open(fs.clone(), ROOT, options).unwrap();
    let mut first = store.begin(now());
    first.write(&[b'a'; 900]).unwrap();
    let mut second = store.begin(now());
    second.write(&[b'b'; 900]).unwrap();
    assert_eq!(fs.list(Path::new("/spool/bodies")).unwrap().len(), 1);
    drop(first);
    let third = accept(&store, &[b'c'; 900], 1).unwrap();
    assert_eq!(fs.list(Path::new("/spool/bodies")).unwrap().len(), 1, "there is room again");
    let (id, commit) = (second.id(), second.commit(envelope(1)).unwrap());
    commit.wait().unwrap();
    assert_eq!(content(&store, id).unwrap(), [b'b'; 900]);
    assert_eq!(content(&store, third).unwrap(), [b'c'; 900]);
}

#[test]
fn finished_segments_are_deleted_and_one_stuck_message_keeps_none() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let stuck = accept(&store, b"stuck", 2).unwrap();
    tell(&store, report(stuck, &[(0, Outcome::Delivered), (1, Outcome::Delayed)])).unwrap();
    let large = accept(&store, &[b'x'; 5000], 1).unwrap();
    store.commit(vec![Change::Hold(large)]).unwrap().wait().unwrap();
    let (mut largest, mut carried) = (0, 0);
    for round in 0..300 {
        let id = accept(&store, &[b'm'; 500], 1).unwrap();
        tell(&store, report(id, &[(0, Outcome::Delivered)])).unwrap();
        let tended = store.tend().unwrap();
        carried += tended.carried;
        let usage = store.usage();
        assert_eq!(usage.messages, 2);
        if round > 20 {
            largest = largest.max(usage.log);
        }
    }
    assert!(largest < 10_000, "{largest} octets of log for {:?}", store.usage());
    assert!(carried > 10, "{carried}");
    let history = store.message(stuck).unwrap().recipients;
    assert_eq!((history[0].outcome, history[1].attempts, history[1].history.len()), (Some(Outcome::Delivered), 1, 1));
    drop(store);
    let (store, waiting) = open_simulated(&fs, 2);
    assert_eq!(waiting.iter().map(|it| (it.id, it.held)).collect::<Vec<_>>(), [(stuck, false), (large, true)]);
    assert_eq!(store.message(stuck).unwrap().recipients, history);
    assert_eq!(content(&store, stuck).unwrap(), b"stuck");
    assert_eq!(content(&store, large).unwrap(), [b'x'; 5000]);
}

#[test]
fn a_long_history_is_shortened_when_it_is_carried_forward() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let id = accept(&store, b"stuck", 1).unwrap();
    for n in 0..200 {
        let mut attempt = Attempt::new(now(), Outcome::Delayed);
        attempt.text = format!("{n} {}", "é".repeat(600));
        let mut report = Report::new(id);
        report.attempt(0, attempt);
        tell(&store, report).unwrap();
        store.tend().unwrap();
    }
    let state = &store.message(id).unwrap().recipients[0];
    assert_eq!(state.attempts, 200);
    assert!(state.history[0].text.starts_with("0 ") && state.history.last().unwrap().text.starts_with("199 "));
    assert!((16..60).contains(&state.history.len()), "{}", state.history.len());
    assert!(state.history.iter().all(|attempt| attempt.text.len() <= 1000));
    assert!(store.usage().log < 40_000, "{:?}", store.usage());
}

/// Two processes never use one spool.
// RST-05
#[test]
fn a_spool_has_one_process() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let second = Store::open(fs.clone(), ROOT, small(2)).unwrap_err();
    assert!(matches!(&second, StoreError::InUse(path) if path == Path::new(ROOT)), "{second}");
    drop(store);
    open_simulated(&fs, 3);
}

/// The store answers before it has read what was waiting.
// RST-04, RST-07
#[test]
fn messages_come_while_the_old_ones_are_read() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let old: Vec<MessageId> = (0..50).map(|_| accept(&store, &[b'x'; 200], 1).unwrap()).collect();
    drop(store);
    let (store, mut recovery) = Store::open(fs, ROOT, small(2)).unwrap();
    let new = accept(&store, b"new", 1).unwrap();
    assert!(matches!(store.message(old[0]), Err(StoreError::StillReading)));
    assert!(matches!(store.commit(vec![Change::Delete(old[0])]), Err(StoreError::StillReading)));
    assert_eq!(store.tend().unwrap().deleted, 0);
    assert!(matches!(recovery.next(), Some(Recovered::Waiting(message)) if message.id == old[0]));
    store.commit(vec![Change::Delete(old[1])]).unwrap().wait().unwrap();
    let rest: Vec<MessageId> = recovery
        .map(|it| match it {
            Recovered::Waiting(message) => message.id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rest, old[2..], "neither the deleted one nor the new one");
    assert!(store.message(new).is_ok());
    assert_eq!(store.usage().messages, 50);
}

#[test]
fn the_dump_tells_a_person_what_there_is() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let id = accept(&store, b"text", 2).unwrap();
    tell(&store, report(id, &[(1, Outcome::Delayed)])).unwrap();
    store.commit(vec![Change::Hold(id)]).unwrap().wait().unwrap();
    let mut text = String::new();
    dump(&fs, ROOT, &mut text).unwrap();
    let expected = format!(
        "segment 1: 501 octets, floor 1, behind segment 0 that ends at 0
  92: {id} accepted, received Tue, 14 Nov 2023 23:13:20 +0100, from <sender@example.org>, 4 octets
    0: <r0@example.com> waiting, 0 attempts
    1: <r1@example.com> waiting, 0 attempts
  273: {id} news
    1: Tue, 14 Nov 2023 23:13:20 +0100 delayed by mx.example.com [192.0.2.1] 450 \"mailbox busy\"
  454: {id} held
"
    );
    assert_eq!(text, expected);
}

/// All that a log can hold of a message is in the dump, and what others wrote is escaped.
#[test]
fn the_dump_leaves_nothing_out() {
    let fs = SimulatedFs::new();
    let (store, _) = open_simulated(&fs, 1);
    let mut all = envelope(2);
    all.recipients[0].notify = Some(Notify { success: true, failure: true, delay: false });
    all.recipients[0].orcpt = Some(OriginalRecipient { addr_type: "rfc822".into(), address: "a\n@b".into() });
    all.recipients[1].notify = Some(Notify::default());
    (all.envid, all.ret, all.body) = (Some("order\x1b66".into()), Some(Ret::Hdrs), BodyKind::BinaryMime);
    (all.smtputf8, all.require_tls, all.priority) = (true, true, -3);
    (all.is_own, all.is_last, all.is_kept) = (true, true, true);
    all.hold_until = Some(now());
    all.deliver_by = Some(DeliverBy { deadline: now(), mode: ByMode::Return, trace: true });
    let mut incoming = store.begin(now());
    incoming.write(&[b'x'; 1500]).unwrap();
    let id = incoming.id();
    incoming.commit(all).unwrap().wait().unwrap();
    for _ in 0..2 {
        let mut news = report(id, &[(0, Outcome::Delayed)]);
        news.noticed(1, Notices { delay: true, ..Notices::default() });
        tell(&store, news).unwrap();
    }
    for _ in 0..10 {
        let id = accept(&store, &[b'm'; 900], 1).unwrap();
        tell(&store, report(id, &[(0, Outcome::Delivered)])).unwrap();
        store.tend().unwrap();
    }
    let mut text = String::new();
    dump(&fs, ROOT, &mut text).unwrap();
    let date = "Tue, 14 Nov 2023 23:13:20 +0100";
    let carried = format!(
        "{id} carried forward, received {date}, from <sender@example.org>, 1500 octets in a file, BINARYMIME, SMTPUTF8, \
         REQUIRETLS, from one of ours, about a notice, stays in mailboxes, ENVID \"order\\u{{1b}}66\", RET HDRS, not before {date}, by {date} or returned, traced, priority -3, \
         2 reports, last at Tue, 14 Nov 2023 22:13:20 +0000
    0: <r0@example.com> waiting, 2 attempts, NOTIFY success failure, ORCPT rfc822;a\\n@b
      {date} delayed by mx.example.com [192.0.2.1] 450 \"mailbox busy\"
      {date} delayed by mx.example.com [192.0.2.1] 450 \"mailbox busy\"
    1: <r1@example.com> waiting, 0 attempts, NOTIFY never
      notices: delay
"
    );
    assert!(text.contains(&carried), "{text}");
}

/// Names and room.
// DSK-03, DSK-04
#[test]
fn room_that_has_to_stay_free() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("spool").to_str().unwrap().to_owned();
    let mut low = options(1);
    low.reserve_bytes = u64::MAX;
    let (store, ..) = open(pillarbox_fs::RealFs, &root, low).unwrap();
    let error = store.check_room(0).unwrap_err();
    assert!(error.is_full() && error.is_temporary(), "{error}");
    drop(store);
    let (store, ..) = open(pillarbox_fs::RealFs, &root, options(1)).unwrap();
    store.check_room(10_000).unwrap();
    assert!(store.check_room(u64::MAX).unwrap_err().is_full(), "more than there is");
    drop(store);
    let mut low = options(1);
    low.reserve_files = u64::MAX;
    let (store, ..) = open(pillarbox_fs::RealFs, &root, low).unwrap();
    // Where files are made as needed, as many as one likes are possible.
    if pillarbox_fs::RealFs.space(folder.path()).unwrap().files < u64::MAX {
        assert!(store.check_room(0).unwrap_err().is_full());
    }
}

// An operator looks, beside a server and where none is: nothing is touched, and nobody is in the way of anybody.
#[test]
fn a_look_changes_nothing_and_keeps_nobody_out() {
    let fs = SimulatedFs::new();
    let (store, ..) = open(fs.clone(), ROOT, small(1)).unwrap();
    let ids: Vec<MessageId> = (0..4).map(|n| accept(&store, &[b'x'; 900], 1 + n).unwrap()).collect();
    let look = |expected: &[MessageId]| {
        let (before, dump) = (fs.changes(), fs.dump());
        let (store, recovery) = Store::look(fs.clone(), ROOT).unwrap();
        let findings = recovery.filter(|recovered| matches!(recovered, Recovered::Finding(_))).count();
        assert_eq!(store.ids(None, 10), expected);
        for id in expected {
            assert_eq!(content(&store, *id).unwrap(), [b'x'; 900]);
            let commit = store.commit(vec![Change::Delete(*id)]).and_then(|commit| commit.wait());
            assert!(matches!(commit, Err(StoreError::Fs(error)) if error.kind() == ErrorKind::ReadOnly));
            assert!(store.set_aside(*id).is_err());
        }
        assert!(store.tend().is_ok_and(|tended| tended.deleted + tended.carried == 0));
        assert_eq!((fs.changes(), fs.dump()), (before, dump));
        findings
    };
    assert_eq!(look(&ids), 0);
    // The server goes on, and another one can come while somebody looks.
    let (_looker, _reading) = Store::look(fs.clone(), ROOT).unwrap();
    tell(&store, report(ids[0], &[(0, Outcome::Delivered)])).unwrap();
    drop(store);
    let (store, _) = open_simulated(&fs, 2);
    assert_eq!(look(&ids[1..]), 0);
    drop(store);
    // What does not belong there is told, and left where it is.
    let stray = Path::new(ROOT).join("log/stray");
    fs.create(&stray).unwrap().close().unwrap();
    assert_eq!(look(&ids[1..]), 1);
    assert!(Store::look(SimulatedFs::new(), ROOT).is_err(), "there is no spool");
}
