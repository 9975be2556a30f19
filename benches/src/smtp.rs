//! Sections 1 to 3: SMTP command lines, bodies, replies.

use std::hint::black_box;
use std::sync::Arc;

use pillarbox_core::line::{LineScanner, Scan};
use pillarbox_core::{Step, Time};
use pillarbox_smtp::client::Capabilities;
use pillarbox_smtp::command;
use pillarbox_smtp::reply_parser::{ReplyLimits, ReplyParser};
use pillarbox_smtp::server::{Answer, Event, Peer, ServerConfig, ServerSession};
use smtp_proto::request::receiver::DataReceiver;
use smtp_proto::response::parser::ResponseReceiver;
use smtp_proto::{EhloResponse, Request};

use crate::measure::{Case, Scale, Work, cpu_time};
use crate::report::{Goal, Quantity, Row, Spread, Unit};

const PEER: &str = "smtp-proto 0.2.5";

const EHLO: &[u8] = b"EHLO client.example.com\r\n";
const MAIL: &[u8] = b"MAIL FROM:<joe.smith@client.example.com> SIZE=12345 BODY=8BITMIME SMTPUTF8\r\n";
const RCPT: &[u8] =
    b"RCPT TO:<ann.jones@mx.example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann.jones@mx.example.org\r\n";

pub fn cases() -> Vec<Case> {
    let mut cases = vec![
        commands("EHLO", &[EHLO]),
        commands("MAIL with SIZE, BODY, SMTPUTF8", &[MAIL]),
        commands("RCPT with NOTIFY, ORCPT", &[RCPT]),
        commands("the three in turn", &[EHLO, MAIL, RCPT]),
    ];
    cases.push(body("body, few dots", few_dots(), 10e9));
    cases.push(copied_body("the same, copied by the caller", few_dots()));
    cases.push(body("body, each line with a dot", all_dots(), 1e9));
    cases.push(copied_body("the same, copied by the caller", all_dots()));
    cases.push(ehlo_reply());
    cases.extend(plain_replies());
    cases
}

/// A command with the finding of its end, which the peer's parser does as well.
fn commands(name: &'static str, lines: &'static [&'static [u8]]) -> Case {
    let ours = move || {
        for line in lines {
            let line = black_box(*line);
            let Scan::Line { len } = LineScanner::new().scan(line, 2048) else { unreachable!("the line is whole") };
            let command = command::parse(&line[..len - 2]);
            assert!(black_box(&command).is_ok());
        }
    };
    let theirs = move || {
        for line in lines {
            let request = Request::parse(&mut black_box(*line).iter());
            assert!(black_box(&request).is_ok());
        }
    };
    Case {
        section: 1,
        name,
        scale: Scale::Operations(lines.len() as u32),
        ours: Box::new(ours),
        peer: Some((PEER, Box::new(theirs))),
        goals: vec![Goal::TimesPeer(2.0), Goal::NoAllocation],
        note: "",
    }
}

/// 16 KiB: what one read from a socket brings, small enough for the first cache.
const SLICE: usize = 16 * 1024;

fn few_dots() -> Vec<u8> {
    let mut slice = Vec::new();
    while slice.len() < SLICE - 80 {
        slice.extend_from_slice(&[b'x'; 74]);
        slice.extend_from_slice(b"\r\n");
    }
    slice.extend_from_slice(b"..stuffed\r\n");
    slice
}

fn all_dots() -> Vec<u8> {
    let line = [b".", &[b'.'][..], &[b'x'; 70], b"\r\n"].concat();
    line.repeat(SLICE / line.len())
}

/// A session that waits for a body.
fn in_data() -> ServerSession {
    let mut config = ServerConfig::new("mx.example");
    config.limits.message_size_max = u64::MAX;
    let mut session = ServerSession::new(Arc::new(config), Peer::default());
    for flight in ["", "EHLO c.example\r\n", "MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n"] {
        show(&mut session, flight.as_bytes(), |_| {});
    }
    // The header ends at once: its limits are not what is measured.
    show(&mut session, b"\r\n", |_| {});
    assert!(session.output().is_empty());
    session
}

/// What a driver does: shows octets, answers, sends.
fn show(session: &mut ServerSession, mut unread: &[u8], mut body: impl FnMut(&[u8])) {
    loop {
        match session.poll(Time::ZERO, &mut unread) {
            Step::Event(Event::Body(octets)) => body(octets),
            Step::Event(Event::Abandoned(_) | Event::Refused { .. }) => {}
            Step::Event(_) => session.answer(Time::ZERO, Answer::Accept).expect("a question was open"),
            Step::NeedInput => break,
            step => unreachable!("{step:?}"),
        }
    }
    session.consume_output(Time::ZERO, usize::MAX);
}

fn body(name: &'static str, slice: Vec<u8>, goal: f64) -> Case {
    let mut session = in_data();
    let len = slice.len();
    Case {
        section: 2,
        name,
        scale: Scale::Octets(len),
        ours: Box::new(move || show(&mut session, black_box(&slice), |octets| _ = black_box(octets))),
        peer: None,
        goals: vec![Goal::AtLeast(goal)],
        note: "lent to the caller in slices of its own buffer",
    }
}

fn copied_body(name: &'static str, slice: Vec<u8>) -> Case {
    let mut session = in_data();
    let mut receiver = DataReceiver::new();
    let len = slice.len();
    let (mut ours, mut theirs) = (Vec::with_capacity(2 * SLICE), Vec::with_capacity(2 * SLICE));
    let same = slice.clone();
    // The peer takes no dot away at the very start of a body; from the second slice on both do the same.
    for _ in 0..2 {
        ours.clear();
        theirs.clear();
        show(&mut session, &slice, |octets| ours.extend_from_slice(octets));
        receiver.ingest(&mut slice.iter(), &mut theirs);
    }
    assert!(ours == theirs, "both find the same body");
    Case {
        section: 2,
        name,
        scale: Scale::Octets(len),
        ours: Box::new(move || {
            ours.clear();
            show(&mut session, black_box(&slice), |octets| ours.extend_from_slice(octets));
            black_box(&ours);
        }),
        peer: Some((
            PEER,
            Box::new(move || {
                theirs.clear();
                let ended = receiver.ingest(&mut black_box(&same[..]).iter(), &mut theirs);
                assert!(!black_box(ended));
                black_box(&theirs);
            }),
        )),
        goals: vec![],
        note: "both end with the body in a `Vec`; ours repairs bare CR and LF, the peer lets them pass",
    }
}

/// Octets one by one: twice as many may take twice as long, and not more.
pub fn drips(rounds: usize) -> Vec<Row> {
    let of_body = |octets: usize| {
        let slice = few_dots();
        let mut session = in_data();
        let drip = |at: usize| show(&mut session, &slice[at % slice.len()..][..1], |octets| _ = black_box(octets));
        cpu_time(|| (0..octets).for_each(drip)).as_secs_f64()
    };
    // The driver shows the whole line so far each time.
    let of_line = |octets: usize| {
        let line = [&b"NOOP "[..], &vec![b'x'; octets], b"\r\n"].concat();
        let mut config = ServerConfig::new("mx.example");
        config.limits.command_line_max = 1 << 20;
        let config = Arc::new(config);
        let once = |_| {
            let mut session = ServerSession::new(config.clone(), Peer::default());
            show(&mut session, b"", |_| {});
            for at in 1..=line.len() {
                show(&mut session, &line[..at], |_| {});
            }
        };
        cpu_time(|| (0..200).for_each(once)).as_secs_f64()
    };
    let row = |name: &str, run: &dyn Fn(usize) -> f64, octets: usize| Row {
        section: 2,
        name: name.into(),
        ours: Quantity {
            unit: Unit::Times,
            spread: Spread::of((0..rounds).map(|_| 1.0 / (run(octets) / run(2 * octets))).collect()),
        },
        allocations: None,
        peer: None,
        ratio: None,
        goals: vec![Goal::AtMost(2.2)],
        note: "time for twice the octets, as a multiple; 2 is linear, 4 quadratic".into(),
    };
    vec![
        row("body octet by octet, 1 and 2 million", &of_body, 1_000_000),
        row("line octet by octet, 1,000 and 2,000", &of_line, 1000),
    ]
}

const EHLO_REPLY: &[u8] = b"250-mx.example.org at your service, [192.0.2.17]\r\n250-SIZE 157286400\r\n250-8BITMIME\r\n\
    250-STARTTLS\r\n250-AUTH LOGIN PLAIN XOAUTH2 OAUTHBEARER\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n\
    250-CHUNKING\r\n250-DSN\r\n250 SMTPUTF8\r\n";

fn ehlo_reply() -> Case {
    let mut parser = ReplyParser::new(ReplyLimits::default());
    Case {
        section: 3,
        name: "reply to EHLO, ten lines",
        scale: Scale::Operations(1),
        ours: Box::new(move || {
            let reply = parser.parse(&mut black_box(EHLO_REPLY)).expect("it is a reply").expect("it is whole");
            let capabilities = Capabilities::from_reply(&reply);
            assert!(black_box(&capabilities).has("SMTPUTF8"));
        }),
        peer: Some((
            PEER,
            Box::new(|| {
                let response = EhloResponse::parse(&mut black_box(EHLO_REPLY).iter()).expect("it is a reply");
                assert!(black_box(&response).has_capability(smtp_proto::EXT_SMTP_UTF8));
            }),
        )),
        goals: vec![Goal::TimesPeer(2.0)],
        note: "ours keeps the reply and looks the keyword up in it, the last of nine; the peer keeps a bit for each that it knows",
    }
}

fn plain_replies() -> [Case; 2] {
    const REPLY: &[u8] = b"250 2.1.5 Recipient ok, go ahead\r\n";
    let peer = || {
        let mut receiver = ResponseReceiver::default();
        let work = move || {
            let response = receiver.parse(&mut black_box(REPLY).iter()).expect("it is whole");
            assert_eq!(black_box(&response).code(), 250);
            receiver.reset();
        };
        Some((PEER, Box::new(work) as Work))
    };
    let mut lent = ReplyParser::new(ReplyLimits::default());
    let mut kept = ReplyParser::new(ReplyLimits::default());
    [
        Case {
            section: 3,
            name: "reply of one line",
            scale: Scale::Operations(1),
            ours: Box::new(move || {
                let reply = lent.parse(&mut black_box(REPLY)).expect("it is a reply").expect("it is whole");
                assert!(reply.code() == 250 && reply.enhanced_code().is_some());
                black_box(&reply);
            }),
            peer: peer(),
            goals: vec![Goal::TimesPeer(2.0)],
            note: "code, enhanced code, and the line as a slice of the caller's buffer; the peer copies the text",
        },
        Case {
            section: 3,
            name: "the same, kept",
            scale: Scale::Operations(1),
            ours: Box::new(move || {
                let reply = kept.parse(&mut black_box(REPLY)).expect("it is a reply").expect("it is whole").to_reply();
                assert_eq!(black_box(&reply).code(), 250);
            }),
            peer: peer(),
            goals: vec![],
            note: "both end with a text of their own; ours is cleaned of what could break a line elsewhere",
        },
    ]
}
