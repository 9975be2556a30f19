//! Section 5: IMAP commands and FETCH answers.

use std::hint::black_box;
use std::sync::Arc;

use imap_codec::decode::Decoder;
use imap_codec::encode::Encoder;
use imap_codec::imap_types::IntoStatic;
use imap_codec::{CommandCodec, ResponseCodec};
use pillarbox_core::{Step, Time};
use pillarbox_imap::message::{self, Structure};
use pillarbox_imap::server::{Answer, Event, FetchData, FetchItem, Peer, ServerConfig, ServerSession, Snapshot};
use pillarbox_imap::types::{Uid, UidValidity};
use pillarbox_imap::wire::frame::{FrameLimits, Framed, Framer};
use pillarbox_imap::wire::parse::command;

use crate::measure::{Case, Scale, Work};
use crate::report::Goal;
use crate::sample;

const PEER: &str = "imap-codec 2.0.0-alpha.10";

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> =
        COMMANDS.into_iter().flat_map(|(name, turn, line)| [decode(name, line), whole_turn(turn, line)]).collect();
    cases.extend([fetch(Fetch::Answer), fetch(Fetch::WrittenBefore), fetch(Fetch::FromOctets)]);
    cases
}

/// The names of the two cases, and the command.
const COMMANDS: [(&str, &str, &[u8]); 5] = [
    ("NOOP", "NOOP, a whole turn", b"a001 NOOP\r\n"),
    ("LOGIN", "LOGIN, a whole turn", b"a002 LOGIN joe@example.org \"correct horse\"\r\n"),
    (
        "UID FETCH, eight items",
        "UID FETCH, a whole turn",
        b"a003 UID FETCH 17,25:40,900:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE \
          BODY.PEEK[HEADER.FIELDS (From To Subject Date)] BODY.PEEK[1.2]<0.2048>)\r\n",
    ),
    (
        "SEARCH",
        "SEARCH, a whole turn",
        b"a004 SEARCH UNSEEN SINCE 1-Feb-2026 OR FROM \"smith\" SUBJECT \"quarterly report\" NOT LARGER 100000\r\n",
    ),
    ("UID STORE", "UID STORE, a whole turn", b"a005 UID STORE 25:40 +FLAGS.SILENT (\\Seen \\Deleted $Junk)\r\n"),
];

/// Where the command ends and what it says, on both sides.
fn decode(name: &'static str, line: &'static [u8]) -> Case {
    let (mut framer, limits) = (Framer::new(), FrameLimits::AFTER_LOGIN);
    let ours = move || {
        let unread = black_box(line);
        let Framed::Command { len } = framer.frame(unread, &limits) else { unreachable!("it is a whole command") };
        let read = command(&unread[..len]);
        assert!(black_box(&read).is_ok());
    };
    Case {
        section: 5,
        name,
        scale: Scale::Operations(1),
        ours: Box::new(ours),
        peer: Some((PEER, decoded_by_peer(line))),
        goals: vec![Goal::TimesPeer(4.0)],
        note: "from the octets to a typed command that borrows from them",
    }
}

fn decoded_by_peer(line: &'static [u8]) -> Work {
    let codec = CommandCodec::new();
    Box::new(move || {
        let decoded = codec.decode(black_box(line));
        assert!(black_box(&decoded).is_ok());
    })
}

/// What users run: decoding is a part of it.
fn whole_turn(name: &'static str, line: &'static [u8]) -> Case {
    let mut session = if name.starts_with("LOGIN") { stranger(&config()) } else { selected(&config()) };
    let ours = move || {
        let mut unread = black_box(line);
        while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
            let answer = match black_box(event) {
                // It stays a stranger, so that it can try again.
                Event::Login { .. } => Answer::No { code: None, text: "no".into() },
                Event::Refused { told, .. } => unreachable!("{told}"),
                _ => Answer::Done,
            };
            session.answer(Time::ZERO, answer).expect("a question was open");
        }
        assert!(!black_box(session.output()).is_empty());
        session.consume_output(Time::ZERO, usize::MAX);
    };
    Case {
        section: 5,
        name,
        scale: Scale::Operations(1),
        ours: Box::new(ours),
        peer: Some((PEER, decoded_by_peer(line))),
        goals: vec![],
        note: "ours: framing, decoding, state, UIDs looked up, answer, tagged reply; peer: decoding",
    }
}

pub fn config() -> Arc<ServerConfig> {
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    config.limits.bad_before_login = u32::MAX;
    Arc::new(config)
}

fn stranger(config: &Arc<ServerConfig>) -> ServerSession {
    let mut session = ServerSession::new(config.clone(), Peer::default());
    turn(&mut session, b"");
    session
}

pub fn logged_in(config: &Arc<ServerConfig>) -> ServerSession {
    let mut session = stranger(config);
    turn(&mut session, b"a LOGIN joe secret\r\n");
    session
}

/// With a mailbox of 1,000 messages.
pub fn selected(config: &Arc<ServerConfig>) -> ServerSession {
    let mut session = logged_in(config);
    turn(&mut session, b"b SELECT INBOX\r\n");
    session
}

/// Everything that is asked is granted.
pub fn turn(session: &mut ServerSession, mut unread: &[u8]) {
    loop {
        let answer = match session.poll(Time::ZERO, &mut unread) {
            Step::Event(Event::Login { .. }) => Answer::LoggedIn("joe".into()),
            Step::Event(Event::Select { .. }) => {
                let mut snapshot = Snapshot::new(UidValidity::MIN, Uid::new(1001).expect("it is not 0"));
                snapshot.uids = (1..=1000).filter_map(Uid::new).collect();
                Answer::Selected(snapshot)
            }
            Step::Event(Event::Idle | Event::IdleEnd) => continue,
            Step::Event(_) => Answer::Done,
            _ => break,
        };
        session.answer(Time::ZERO, answer).expect("a question was open");
    }
    session.consume_output(Time::ZERO, usize::MAX);
}

#[derive(Clone, Copy, PartialEq)]
enum Fetch {
    /// The answer alone, from texts at hand, as a store with an index has them.
    Answer,
    /// A whole turn of a session, with the texts at hand.
    WrittenBefore,
    /// A whole turn, in which the message is read.
    FromOctets,
}

fn fetch(kind: Fetch) -> Case {
    const COMMAND: &[u8] = b"a UID FETCH 17 (UID ENVELOPE BODYSTRUCTURE)\r\n";
    let limits = message::Limits::default();
    let raw = sample::small();
    let write = move |envelope: &mut Vec<u8>, structure: &mut Vec<u8>| {
        envelope.clear();
        structure.clear();
        let raw = black_box(&raw[..]);
        message::write_envelope(raw, &limits, envelope);
        message::write_body(&Structure::parse(raw, &limits), raw, &limits, true, structure);
    };
    let (mut envelope, mut structure) = (Vec::new(), Vec::new());
    write(&mut envelope, &mut structure);
    let mut session = selected(&config());
    ask(&mut session, COMMAND);
    answer(&mut session, &envelope, &structure);
    // The peer writes what it read from us.
    let (_, response) = ResponseCodec::new().decode(session.output()).expect("the peer reads what we write");
    let response = response.into_static();
    let theirs: Work = Box::new(move || {
        let octets = ResponseCodec::new().encode(black_box(&response)).dump();
        assert!(!black_box(octets).is_empty());
    });
    session.consume_output(Time::ZERO, usize::MAX);
    if kind != Fetch::Answer {
        session.answer(Time::ZERO, Answer::Done).expect("FETCH is open");
    }
    let ours = move || {
        if kind != Fetch::Answer {
            ask(&mut session, COMMAND);
        }
        if kind == Fetch::FromOctets {
            write(&mut envelope, &mut structure);
        }
        answer(&mut session, black_box(&envelope), black_box(&structure));
        if kind != Fetch::Answer {
            session.answer(Time::ZERO, Answer::Done).expect("FETCH is open");
        }
        assert!(!black_box(session.output()).is_empty());
        session.consume_output(Time::ZERO, usize::MAX);
    };
    let (name, note) = match kind {
        Fetch::Answer => (
            "FETCH ENVELOPE BODYSTRUCTURE, the answer",
            "ours: from the two texts that a store keeps to octets to send; peer: a tree to octets",
        ),
        Fetch::WrittenBefore => ("the same, a whole turn", "ours: a whole turn of a session; peer: a tree to octets"),
        Fetch::FromOctets => (
            "the same, from the octets",
            "ours: a whole turn in which the message (2 KB) is read; peer: a tree to octets",
        ),
    };
    Case {
        section: 5,
        name,
        scale: Scale::Operations(1),
        ours: Box::new(ours),
        peer: Some((PEER, theirs)),
        goals: if kind == Fetch::Answer { vec![Goal::TimesPeer(4.0)] } else { vec![] },
        note,
    }
}

fn ask(session: &mut ServerSession, mut command: &[u8]) {
    let Step::Event(Event::Fetch { .. }) = session.poll(Time::ZERO, &mut command) else { unreachable!("it asks") };
}

fn answer(session: &mut ServerSession, envelope: &[u8], structure: &[u8]) {
    for answer in [
        Answer::Message(Uid::new(17).expect("it is not 0")),
        Answer::Data(FetchData::Written { item: FetchItem::Envelope, text: envelope }),
        Answer::Data(FetchData::Written { item: FetchItem::BodyStructure, text: structure }),
        Answer::MessageEnd,
    ] {
        session.answer(Time::ZERO, answer).expect("FETCH is open");
    }
}
