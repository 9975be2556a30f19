//! Our client against our server over a link in memory that splits, delays, breaks and goes silent, with a clock that is
//! moved by hand.

#[allow(unreachable_pub, reason = "shared with the fuzz target of the same name")]
mod pair_link;

use std::time::Duration;

use pair_link::{Fault, Link, Message, Plan, Verdict};
use pillarbox_smtp::client::{BodyKind, RecipientOutcome};
use pillarbox_smtp::server::Protocol;
use proptest::prelude::*;

use Verdict::{Accept, Later, Refuse};

/// The first message is a trap for a server that takes a bare newline for a line end, and for a client that sends one; of
/// its recipients LMTP keeps one. The second one is nobody's, and the third one is empty.
fn texts() -> Vec<Message> {
    let mut first = Message::text(b"a\r\n.\r\nb\n.\nQUIT\r.\r", 3);
    first.recipients = vec![(Accept, Accept), (Refuse, Accept), (Accept, Later)];
    let mut second = Message::text(b"never", 1);
    second.recipients = vec![(Refuse, Accept)];
    let mut third = Message::text(b"", 2);
    third.recipients = vec![(Later, Accept), (Accept, Accept)];
    vec![first, second, third]
}

/// Messages that need extensions, and one that needs none; longer than a chunk.
fn extended() -> Vec<Message> {
    let mut notices = Message::text(b"Subject: hi\r\n\r\n.\r\n..\r\n", 2);
    notices.dsn = true;
    notices.recipients[1] = (Accept, Refuse);
    let mut utf8 = Message::text("zoë\n".repeat(60).as_bytes(), 1);
    utf8.utf8 = true;
    let mut binary = Message::text(b"\n.\r\n\0\r.\xff\n", 1);
    binary.kind = BodyKind::BinaryMime;
    vec![notices, utf8, binary]
}

/// Messages that the server refuses at one point or another.
fn refused() -> Vec<Message> {
    let long = [b'x'; 600];
    let mut at_mail = Message::text(&long, 2);
    at_mail.mail = Later;
    let mut at_data = Message::text(&long, 2);
    at_data.data = Refuse;
    let mut at_the_end = Message::text(&long, 1);
    (at_the_end.end, at_the_end.recipients[0].1) = (Later, Later);
    let mut early = Message::text(&long, 2);
    early.early = Some((10, Refuse));
    // Behind DATA the session has to give the connection up at an early refusal, so it comes last.
    vec![at_mail, at_data, at_the_end, Message::text(b"fine\r\n", 1), early]
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Smtp, Protocol::Lmtp];

/// The plans of all tests: with what both sides do differently.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for protocol in PROTOCOLS {
        for pipelining in [true, false] {
            let plain = Plan { pipelining, ..Plan::new(protocol, texts()) };
            plans.push(Plan { starttls: true, ..plain.clone() });
            plans.push(Plan { chunking: true, ..plain.clone() });
            plans.push(plain);
            for chunking in [true, false] {
                plans.push(Plan { pipelining, chunking, ..Plan::new(protocol, extended()) });
            }
        }
    }
    plans
}

#[test]
fn a_link_that_works_in_pieces_of_any_size() {
    for plan in plans() {
        for piece in [1, 2, 3, 7, 50, 1000] {
            let report = plan.with(piece, Fault::None).check();
            assert!(!report.failed && report.begun == plan.messages.len(), "{report:?}");
            assert_eq!(report.delivered(), report.kept);
        }
    }
}

#[test]
fn everybody_gets_what_was_said() {
    for protocol in PROTOCOLS {
        let report = Plan::new(protocol, texts()).check();
        let kept: &[(usize, usize)] = match protocol {
            Protocol::Smtp => &[(0, 0), (0, 2), (2, 1)],
            Protocol::Lmtp => &[(0, 0), (2, 1)],
        };
        assert_eq!(report.kept, kept.iter().copied().collect());
        assert!(matches!(&report.sent[1][..], [RecipientOutcome::Refused(_)]));
        assert!(matches!(&report.sent[2][0], RecipientOutcome::Later(Some(reply)) if reply.code() == 451));

        let report = Plan::new(protocol, extended()).check();
        let is_kept = protocol == Protocol::Smtp;
        assert_eq!(report.kept.contains(&(0, 1)), is_kept);
        assert_eq!(report.kept.len(), 3 + usize::from(is_kept), "{report:?}");
    }
}

#[test]
fn a_server_without_extensions() {
    for protocol in PROTOCOLS {
        let report = Plan { bare: true, ..Plan::new(protocol, extended()) }.check();
        // The notices are ours, and what needs SMTPUTF8 or BINARYMIME does not leave.
        assert!(report.kept.contains(&(0, 0)));
        for message in [1, 2] {
            assert!(matches!(report.sent[message][..], [RecipientOutcome::Impossible(_)]), "{report:?}");
        }
    }
}

#[test]
fn refusals_at_each_point() {
    for protocol in PROTOCOLS {
        for (chunking, pipelining) in [(true, true), (true, false), (false, true), (false, false)] {
            let report = Plan { chunking, pipelining, ..Plan::new(protocol, refused()) }.check();
            assert_eq!(report.kept, [(3, 0)].into(), "{report:?}");
            assert_eq!(report.begun, 5);
            assert!(report.sent[1].iter().all(|outcome| matches!(outcome, RecipientOutcome::Refused(_))), "{report:?}");
            assert!(report.sent[4].iter().all(|outcome| matches!(outcome, RecipientOutcome::Refused(_))), "{report:?}");
            // No refusal costs the connection here: our server eats what it does not want.
            assert!(!report.failed, "{report:?}");
        }
    }
}

#[test]
fn logins() {
    for protocol in PROTOCOLS {
        for starttls in [true, false] {
            let report = Plan { login: true, starttls, ..Plan::new(protocol, texts()) }.check();
            assert!(!report.failed && report.begun == 3, "{report:?}");
            assert_eq!(report.delivered(), report.kept);
        }
    }
}

#[test]
fn a_link_with_delay() {
    for plan in plans() {
        let slow = |delay| Plan { link: Link { delay, ..plan.link }, ..plan.clone() };
        // Each piece takes a while, but each reply comes in time.
        assert!(!slow(Duration::from_secs(20)).check().failed);
        // Each takes longer than anybody waits.
        let report = slow(Duration::from_secs(700)).check();
        assert_eq!(report.delivered(), report.kept);
    }
}

/// Breaks and silences the link behind each octet in each direction; gives how often the client could not know what the
/// server has kept, and how often something was delivered.
fn fail_after_each_octet(plan: &Plan, pieces: &[usize]) -> (usize, usize) {
    let whole = plan.check();
    let (mut unsure, mut settled) = (0, 0);
    for piece in pieces {
        let to_server = (0..whole.to_server).map(Fault::BreakToServer);
        let to_client = (0..whole.to_client).map(Fault::BreakToClient);
        // Silence is a break that only the clock tells of: here and there will do.
        let silence = (0..whole.to_server).step_by(5).map(Fault::SilenceToServer);
        let silence = silence.chain((0..whole.to_client).step_by(5).map(Fault::SilenceToClient));
        for fault in to_server.chain(to_client).chain(silence) {
            let report = plan.with(*piece, fault).check();
            unsure += usize::from(report.delivered() != report.kept);
            settled += usize::from(!report.delivered().is_empty());
        }
    }
    (unsure, settled)
}

#[test]
fn a_link_that_fails_after_any_octet() {
    for plan in plans() {
        let (unsure, settled) = fail_after_each_octet(&plan, &[1000]);
        // The test sees both: the window in which the server has kept what the client cannot know, and deliveries.
        assert!(unsure > 10 && settled > 100, "{unsure} {settled} {plan:?}");
    }
}

#[test]
fn a_link_that_fails_after_any_octet_of_a_drip() {
    for protocol in PROTOCOLS {
        for messages in [texts(), extended()] {
            let (unsure, settled) = fail_after_each_octet(&Plan::new(protocol, messages), &[1]);
            assert!(unsure > 10 && settled > 100, "{unsure} {settled}");
        }
    }
}

#[test]
fn a_link_that_fails_in_a_login() {
    for starttls in [true, false] {
        let plan = Plan { login: true, starttls, ..Plan::new(Protocol::Smtp, vec![Message::text(b"hi\r\n", 1)]) };
        let (unsure, settled) = fail_after_each_octet(&plan, &[1000]);
        assert!(unsure > 10 && settled > 10, "{unsure} {settled}");
    }
}

#[test]
fn a_link_that_fails_while_messages_are_refused() {
    for protocol in PROTOCOLS {
        for chunking in [true, false] {
            let plan = Plan { chunking, ..Plan::new(protocol, refused()) };
            fail_after_each_octet(&plan, &[1000]);
        }
    }
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![8 => Just(Accept), 1 => Just(Refuse), 1 => Just(Later)]
}

fn message() -> impl Strategy<Value = Message> {
    let octet = prop_oneof![3 => prop::sample::select(&b"\r\n.a"[..]), 1 => any::<u8>()];
    (
        prop::collection::vec(octet, 0..1500),
        any::<(bool, bool, bool)>(),
        prop::collection::vec((verdict(), verdict()), 1..4),
        (verdict(), verdict(), verdict()),
        prop::option::weighted(0.1, (0..1500_usize, verdict())),
    )
        .prop_map(|(body, (binary, utf8, dsn), recipients, (mail, data, end), early)| {
            let text = Message::text(&body, 0);
            let kind = if binary { BodyKind::BinaryMime } else { text.kind };
            Message { kind, utf8, dsn, mail, recipients, data, early, end, ..text }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// What arrives is what was sent, with clean lines if it is a text, or it does not arrive.
    #[test]
    fn any_messages_over_any_link(
        messages in prop::collection::vec(message(), 1..4),
        (lmtp, starttls, pipelining, chunking, bare) in any::<(bool, bool, bool, bool, bool)>(),
        chunk_max in 500..2000_usize,
        output_max in 1000..3000_usize,
        piece in prop_oneof![Just(1_usize), 2..50_usize, Just(5000)],
        fault in prop_oneof![
            Just(Fault::None),
            (0..6000_usize).prop_map(Fault::BreakToServer),
            (0..900_usize).prop_map(Fault::BreakToClient),
            (0..6000_usize).prop_map(Fault::SilenceToServer),
        ],
    ) {
        let protocol = PROTOCOLS[usize::from(lmtp)];
        let plan = Plan { starttls, pipelining, chunking, bare, chunk_max, output_max, ..Plan::new(protocol, messages) };
        plan.with(piece, fault).check();
    }
}
