//! What a session costs, counted by the allocator and by the clock.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use pillarbox_core::{Step, Time};
use pillarbox_imap::server::{
    Answer, Change, CloseReason, Event, FetchData, FetchItem, Peer, SectionName, ServerConfig, ServerSession, Snapshot,
};
use pillarbox_imap::types::{Flag, Flags, ModSeq, Uid, UidValidity};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const KIB: usize = 1024;

/// What a driver would do: shows bytes, answers, and sends the output. Gives how many octets of a message came.
fn show(session: &mut ServerSession, unread: &mut &[u8]) -> u64 {
    let mut body = 0;
    loop {
        let answer = match session.poll(Time::ZERO, unread) {
            Step::Event(Event::AppendBody(octets)) => {
                body += black_box(octets).len() as u64;
                continue;
            }
            Step::Event(Event::Login { .. }) => Answer::LoggedIn("joe".into()),
            Step::Event(Event::Select { mailbox, .. }) => {
                let mut snapshot = Snapshot::new(UidValidity::MIN, Uid::MAX);
                let apart = if mailbox.as_str() == "GAPS" { 2 } else { 1 };
                let count = match mailbox.as_str() {
                    "FEW" => 100,
                    other => other.parse().unwrap_or(100_000),
                };
                snapshot.uids = (1..=count).map(|n| n * apart).filter_map(Uid::new).collect();
                snapshot.highest_mod_seq = ModSeq::new(9);
                Answer::Selected(snapshot)
            }
            Step::Event(Event::AppendEnd) => Answer::Appended { uid_validity: UidValidity::MIN, uids: &[Uid::MIN] },
            Step::Event(Event::Refused { .. } | Event::Abandoned | Event::Idle | Event::Deselected) => continue,
            Step::Event(_) => Answer::Done,
            _ => {
                session.consume_output(Time::ZERO, usize::MAX);
                return body;
            }
        };
        session.answer(Time::ZERO, answer).unwrap();
    }
}

fn session(first: &[u8]) -> ServerSession {
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    config.limits.append_size_max = 2 << 30;
    let mut session = ServerSession::new(Arc::new(config), Peer::default());
    show(&mut session, &mut &[b"a LOGIN joe secret\r\n", first].concat()[..]);
    session
}

/// How much more than before is in use at most while `work` runs.
fn peak(work: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// One test, because what the others allocate would be counted.
#[test]
fn memory_is_flat_and_time_is_linear() {
    a_message_of_a_gib();
    an_idle_session();
    a_session_that_hears_of_many();
    a_view_with_all_that_can_wait();
    all_of_a_large_mailbox();
    a_stranger();
    short_items();
    knowledge_of_a_mailbox();
    sets_as_large_as_the_mailbox();
    literals_one_by_one();
    a_line_byte_by_byte();
    sets_named_again_and_again();
    changes_one_by_one();
}

fn a_message_of_a_gib() {
    for line in ["b APPEND INBOX {1073741824}\r\n", "b APPEND INBOX {1073741824+}\r\n"] {
        let mut big = session(line.as_bytes());
        let piece = vec![b'x'; 64 * KIB];
        let mut came = 0;
        let used = peak(|| {
            while came < 1 << 30 {
                let mut unread = &piece[..];
                came += show(&mut big, &mut unread);
                assert!(unread.is_empty() && big.max_unread() <= 64 * KIB);
            }
            show(&mut big, &mut &b"\r\n"[..]);
        });
        assert_eq!(came, 1 << 30);
        assert!(used < 256 * KIB, "{used} bytes for a message of {came}");
    }
}

fn an_idle_session() {
    // 4 octets a message, and what the session itself is.
    let selected = session(b"b SELECT INBOX\r\nc IDLE\r\n");
    let held = ALLOCATOR.current_usage();
    drop(selected);
    let held = held - ALLOCATOR.current_usage();
    assert!(held < 400_000 + 16 * KIB, "{held} bytes for 100,000 messages");
    let idle = peak(|| {
        black_box(ServerSession::new(Arc::new(ServerConfig::default()), Peer::default()));
    });
    assert!(idle < 8 * KIB, "{idle} bytes for a session without a mailbox");
}

/// The same for messages that come while it listens: no more than an eighth is kept to grow in.
fn a_session_that_hears_of_many() {
    let before = ALLOCATOR.current_usage();
    let mut selected = session(b"b SELECT 100000\r\nc IDLE\r\n");
    for first in (100_001..200_001).step_by(500) {
        let uids = (first..first + 500).filter_map(Uid::new).collect();
        selected.learn(Time::ZERO, Change::Added { uids, mod_seq: None });
        assert!(!selected.output().is_empty(), "it is told at once");
        selected.consume_output(Time::ZERO, usize::MAX);
    }
    let held = ALLOCATOR.current_usage() - before;
    assert!(held < 800_000 * 9 / 8 + 16 * KIB, "{held} bytes for 200,000 messages");
}

/// A mailbox of 100,000 messages costs a session at most 2 MiB, whatever others do in it meanwhile.
fn a_view_with_all_that_can_wait() {
    let before = ALLOCATOR.current_usage();
    let mut selected = session(b"b SELECT INBOX\r\n");
    let labels: Vec<Flag> = (0..40).filter_map(|n| Flag::parse(&format!("label-{n}"))).collect();
    for keywords in [0, 1, 5, 40] {
        let flags: Flags = labels.iter().take(keywords).cloned().chain([Flag::Seen, Flag::Answered]).collect();
        let held = |selected: &mut ServerSession, what: &str, changes: &mut dyn Iterator<Item = Change>| {
            for change in changes {
                selected.learn(Time::ZERO, change);
                let held = ALLOCATOR.current_usage() - before;
                assert!(held < 2048 * KIB, "{held} bytes: {what} with {keywords} keywords");
            }
        };
        let uids = |step: u32| (1..=100_000).filter(move |n| n % step == 0).filter_map(Uid::new);
        // Up to the limit, and beyond it.
        for step in [10, 1] {
            let flags = flags.clone();
            held(
                &mut selected,
                "flags",
                &mut uids(step).map(|uid| Change::Flags { uid, flags: flags.clone(), mod_seq: Some(ModSeq::MAX) }),
            );
        }
        // As many ranges as there can be.
        let flags = flags.clone();
        held(
            &mut selected,
            "gaps",
            &mut uids(2).map(|uid| Change::Flags { uid, flags: flags.clone(), mod_seq: Some(ModSeq::MAX) }),
        );
        show(&mut selected, &mut &b"d NOOP\r\n"[..]);
    }
    let every_second = (1..=100_000).filter(|n| n % 2 == 0).filter_map(Uid::new).collect();
    selected.learn(Time::ZERO, Change::Removed { uids: every_second, mod_seq: None });
    let uids = (100_001..=150_000).filter_map(Uid::new).collect();
    selected.learn(Time::ZERO, Change::Added { uids, mod_seq: None });
    let held = ALLOCATOR.current_usage() - before;
    assert!(held < 2048 * KIB, "{held} bytes: every second gone, and half as many new ones");
}

/// Output above the mark is never more than the one part of the answer that passed it.
fn all_of_a_large_mailbox() {
    const HIGH_WATER: usize = 64 * KIB;
    const PART_MAX: usize = 128;
    let mut session = session(b"b SELECT INBOX\r\n");
    let mut unread = &b"c FETCH 1:* (UID FLAGS RFC822.SIZE BODY.PEEK[TEXT])\r\n"[..];
    let Step::Event(Event::Fetch { uids, wanted, .. }) = session.poll(Time::ZERO, &mut unread) else { panic!() };
    let Some(FetchItem::Section { section, .. }) = wanted.last() else { panic!("{wanted:?}") };
    assert_eq!(uids.len(), 100_000);
    let (mut sent, mut most) = (0, 0);
    let used = peak(|| {
        for uid in uids.iter() {
            let parts = [
                Answer::Message(uid),
                Answer::Data(FetchData::Flags([Flag::Seen].into_iter().collect())),
                Answer::Data(FetchData::Rfc822Size(5)),
                Answer::Literal { section, name: SectionName::Body, origin: None, len: 5 },
                Answer::Chunk(b"Hello"),
                Answer::MessageEnd,
            ];
            for part in parts {
                if session.room() < PART_MAX {
                    sent += session.output().len();
                    session.consume_output(Time::ZERO, usize::MAX);
                }
                session.answer(Time::ZERO, part).unwrap();
                most = most.max(session.output().len());
            }
        }
        session.answer(Time::ZERO, Answer::Done).unwrap();
    });
    sent += session.output().len();
    assert!(most <= HIGH_WATER, "{most} octets waited");
    assert!(sent > 60 * 100_000, "all was told: {sent}");
    assert!(used < 256 * KIB, "{used} bytes for an answer of {sent}");
}

fn a_stranger() {
    // Announcements, parentheses and lines without an end, until patience ends: nothing is set aside for them.
    for line in ["a LOGIN {2147483648}\r\n", "a LOGIN {4096}\r\n", "a ((((((((((", "a FROB {4097+}\r\n"] {
        let mut session = ServerSession::new(Arc::new(ServerConfig::default()), Peer::default());
        show(&mut session, &mut &b""[..]);
        let bytes = line.repeat(4096 / line.len());
        let used = peak(|| {
            for _ in 0..1000 {
                show(&mut session, &mut bytes.as_bytes());
            }
        });
        assert!(used < 64 * KIB, "{used} bytes for {line:?}");
    }
    let mut session = ServerSession::new(Arc::new(ServerConfig::default()), Peer::default());
    show(&mut session, &mut &vec![b'a'; 200_000][..]);
    assert_eq!(session.close_reason(), Some(CloseReason::TooManyErrors));
}

/// A command costs no more for being made of the shortest items there are.
fn short_items() {
    for (head, item, tail) in [
        ("b FETCH 1 (", "UID ", "UID)"),
        ("b FETCH 1 (", "BODY[1] ", "UID)"),
        ("b FETCH 1 (BODY[HEADER.FIELDS (", "a ", "a)])"),
        ("b FETCH 1 BODY[1", ".1", "]"),
        ("b FETCH ", "1,", "1 UID"),
        ("b SEARCH ", "ALL ", "ALL"),
        ("b SEARCH ", "1 ", "ALL"),
        ("b SEARCH ", "(", "ALL"),
        ("b SEARCH ", "NOT ", "ALL"),
        ("b SEARCH RETURN (", "ALL ", "ALL) ALL"),
        ("b STORE 1 FLAGS (", "a ", "a)"),
        ("b STORE 1 FLAGS ", "a ", "a"),
        ("b STATUS x (", "SIZE ", "SIZE)"),
        ("b LIST \"\" (", "a ", "a)"),
        ("b LIST (", "REMOTE ", "REMOTE) \"\" a"),
        ("b LIST \"\" a RETURN (", "CHILDREN ", "CHILDREN)"),
        ("b CREATE x (USE (", "\\Sent ", "\\Sent))"),
        ("b ENABLE ", "X ", "X"),
        ("b ID (", "\"\" NIL ", "\"\" NIL)"),
        ("b APPEND x (", "a ", "a) {1}"),
        ("b SELECT FEW (QRESYNC (1 1 ", "1,", "1))"),
        ("b SELECT FEW (QRESYNC (1 1 (1 ", "1,", "1)))"),
        ("b UID FETCH ", "1,", "1 UID (CHANGEDSINCE 1 VANISHED)"),
        ("b SELECT FEW (", "X ", "X)"),
        ("b SELECT FEW (QRESYNC (1 1 ", "(", "))"),
        ("b SEARCH ", "MODSEQ 1 ", "ALL"),
    ] {
        let mut session = session(b"b ENABLE QRESYNC\r\nb SELECT INBOX\r\n");
        let items = item.repeat((65_000 - head.len() - tail.len()) / item.len());
        let line = [head, &items, tail, "\r\n"].concat();
        let used = peak(|| {
            let mut unread = line.as_bytes();
            show(&mut session, &mut unread);
            assert!(unread.is_empty());
        });
        assert!(used < 1024 * KIB, "{used} bytes for {head}{item}{item}..");
    }
}

/// What a client says it knows costs as much as it says, however it is spread.
fn knowledge_of_a_mailbox() {
    let odd = |max: u32| (1..max).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    for (known, matches) in [(20_000, 0), (0, 10_000), (10_000, 5_000)] {
        let mut session = session(b"b ENABLE QRESYNC\r\n");
        let known = if known > 0 { format!(" {}", odd(known)) } else { String::new() };
        let matches = if matches > 0 { format!(" ({0} {0})", odd(matches)) } else { String::new() };
        let line = format!("c SELECT FEW (QRESYNC (1 1{known}{matches}))\r\n");
        assert!((30_000..65_000).contains(&line.len()), "{}", line.len());
        let used = peak(|| {
            let mut unread = line.as_bytes();
            show(&mut session, &mut unread);
            assert!(unread.is_empty() && session.view().is_some());
        });
        assert!(used < 1024 * KIB, "{used} bytes for {}..", &line[..40]);
    }
}

/// `1:*` may mean as many ranges as there are messages. A search may name a few such sets, not thousands.
fn sets_as_large_as_the_mailbox() {
    let mut session = session(b"b SELECT GAPS\r\n");
    for (keys, told) in [(2, "c OK"), (2000, "c NO [LIMIT]")] {
        let line = ["c SEARCH", &" 1:*".repeat(keys), "\r\n"].concat();
        let mut output = Vec::new();
        let used = peak(|| {
            let mut unread = line.as_bytes();
            while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
                if let Event::Search { .. } = event {
                    session.answer(Time::ZERO, Answer::Done).unwrap();
                }
            }
            output.extend_from_slice(session.output());
        });
        session.consume_output(Time::ZERO, usize::MAX);
        let output = String::from_utf8(output).unwrap();
        assert!(output.lines().last().is_some_and(|line| line.starts_with(told)), "{output}");
        assert!(used < 8 * 1024 * KIB, "{used} bytes for {keys} sets");
    }
}

/// The least processor time of a few tries: what else the machine does is not in it.
fn time(mut work: impl FnMut()) -> Duration {
    let tries = (0..5).map(|_| {
        let start = processor_time();
        work();
        processor_time().saturating_sub(start)
    });
    tries.min().unwrap_or_default()
}

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.try_into().expect("the clock does not go below zero")
}

/// Doubling the input at most multiplies the time by 2.3; quadratic work would show as 16 for the factor of 4 here. A busy
/// machine can stretch any measurement, so what is linear has to show it once in a few tries, and the work is short enough to be
/// done within one turn of the processor.
fn linear(what: &str, mut work: impl FnMut(usize)) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (short, long) = (time(|| work(1)), time(|| work(4)));
        if long < short * 8 {
            return;
        }
        seen.push((short, long));
    }
    panic!("{what}: four times the input took, in each of five tries: {seen:?}");
}

fn literals_one_by_one() {
    linear("small literals", |factor| {
        let mut config = ServerConfig::default();
        config.login_without_tls = true;
        config.limits.after_login.literals_max = 100_000;
        config.limits.bad_after_login = 1000;
        let mut session = ServerSession::new(Arc::new(config), Peer::default());
        let command = ["b SEARCH", &" SUBJECT {1+}\r\nx".repeat(1000 * factor), "\r\n"].concat();
        let mut unread = &b"a LOGIN joe secret\r\n"[..];
        show(&mut session, &mut unread);
        // Whoever reads a packet at a time shows all of it again and again.
        for end in (0..command.len()).step_by(100) {
            let mut unread = &command.as_bytes()[..end];
            show(&mut session, &mut unread);
            assert_eq!(unread.len(), end, "nothing is used before the command is whole");
        }
        let mut unread = command.as_bytes();
        show(&mut session, &mut unread);
        assert!(unread.is_empty());
    });
}

fn a_line_byte_by_byte() {
    linear("one byte at a time", |factor| {
        let mut session = session(b"");
        let line = ["b SEARCH SUBJECT ", &"x".repeat(4_000 * factor), "\r\n"].concat();
        for end in 0..line.len() {
            let mut unread = &line.as_bytes()[..end];
            show(&mut session, &mut unread);
            assert_eq!(unread.len(), end);
        }
        let mut unread = line.as_bytes();
        show(&mut session, &mut unread);
        assert!(unread.is_empty());
    });
}

/// What `$` and a set mean is found out from ranges, not message by message.
fn sets_named_again_and_again() {
    for set in ["$", "1:*", "UID 1:*"] {
        let keys = |factor: usize| ["d SEARCH", &format!(" {set}").repeat(300 * factor), "\r\n"].concat();
        let mut sessions = [1, 4].map(|factor| {
            let mut session = session(format!("b SELECT {}\r\n", 5_000 * factor).as_bytes());
            let uids: Vec<Uid> = session.view().unwrap().uids().to_vec();
            let mut unread = &b"c SEARCH RETURN (SAVE) ALL\r\n"[..];
            assert!(matches!(session.poll(Time::ZERO, &mut unread), Step::Event(Event::Search { .. })));
            session.answer(Time::ZERO, Answer::Found(&uids)).unwrap();
            session.answer(Time::ZERO, Answer::Done).unwrap();
            session
        });
        linear(set, |factor| {
            show(&mut sessions[factor / 4], &mut keys(factor).as_bytes());
        });
    }
}

/// A client that is silent for long has as many changes waiting as there were, each for itself.
fn changes_one_by_one() {
    let removed = |uid: u32| Change::Removed { uids: Uid::new(uid).into_iter().collect(), mod_seq: None };
    linear("messages that come and go", |factor| {
        let mut session = session(b"b SELECT FEW\r\n");
        let uids = || 1_000..1_000 + 1_000 * factor as u32;
        uids().for_each(|uid| {
            let uids = Uid::new(uid).into_iter().collect();
            session.learn(Time::ZERO, Change::Added { uids, mod_seq: None });
        });
        uids().rev().filter(|uid| uid % 2 == 0).for_each(|uid| session.learn(Time::ZERO, removed(uid)));
        uids().filter(|uid| uid % 2 == 1).for_each(|uid| session.learn(Time::ZERO, removed(uid)));
    });
    linear("every other message goes", |factor| {
        let count = 2_000 * factor as u32;
        let mut session = session(format!("b SELECT {count}\r\n").as_bytes());
        (1..=count).rev().step_by(2).for_each(|uid| session.learn(Time::ZERO, removed(uid)));
    });
}
