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

use crate::measure::{Case, Scale, Work};
use crate::report::Goal;
use crate::sample;

const PEER: &str = "imap-codec 2.0.0-alpha.10";

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = COMMANDS.into_iter().map(|(name, line)| command(name, line)).collect();
    cases.push(fetch("FETCH ENVELOPE BODYSTRUCTURE, from the octets", &sample::small(), false));
    cases.push(fetch("the same, written before", &sample::small(), true));
    cases
}

const COMMANDS: [(&str, &[u8]); 5] = [
    ("NOOP", b"a001 NOOP\r\n"),
    ("LOGIN", b"a002 LOGIN joe@example.org \"correct horse\"\r\n"),
    (
        "UID FETCH, eight items",
        b"a003 UID FETCH 17,25:40,900:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE \
          BODY.PEEK[HEADER.FIELDS (From To Subject Date)] BODY.PEEK[1.2]<0.2048>)\r\n",
    ),
    (
        "SEARCH",
        b"a004 SEARCH UNSEEN SINCE 1-Feb-2026 OR FROM \"smith\" SUBJECT \"quarterly report\" NOT LARGER 100000\r\n",
    ),
    ("UID STORE", b"a005 UID STORE 25:40 +FLAGS.SILENT (\\Seen \\Deleted $Junk)\r\n"),
];

/// A whole turn of a session: what a command says is not public without one.
fn command(name: &'static str, line: &'static [u8]) -> Case {
    let mut session = if name == "LOGIN" { stranger(&config()) } else { selected(&config()) };
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
    let codec = CommandCodec::new();
    let theirs = move || {
        let decoded = codec.decode(black_box(line));
        assert!(black_box(&decoded).is_ok());
    };
    Case {
        section: 5,
        name,
        scale: Scale::Operations(1),
        ours: Box::new(ours),
        peer: Some((PEER, Box::new(theirs))),
        goals: vec![Goal::TimesPeer(4.0)],
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

/// `written`: the store has ENVELOPE and BODYSTRUCTURE at hand, as one with an index does.
fn fetch(name: &'static str, raw: &[u8], written: bool) -> Case {
    const COMMAND: &[u8] = b"a UID FETCH 17 (UID ENVELOPE BODYSTRUCTURE)\r\n";
    let limits = message::Limits::default();
    let raw = raw.to_vec();
    let write = move |envelope: &mut Vec<u8>, structure: &mut Vec<u8>| {
        envelope.clear();
        structure.clear();
        let raw = black_box(&raw[..]);
        message::write_envelope(raw, &limits, envelope);
        message::write_body(&Structure::parse(raw, &limits), raw, &limits, true, structure);
    };
    let (mut envelope, mut structure) = (Vec::new(), Vec::new());
    write(&mut envelope, &mut structure);
    let uid = Uid::new(17).expect("it is not 0");
    let mut session = selected(&config());
    let mut answer = move || {
        let mut unread = COMMAND;
        let Step::Event(Event::Fetch { .. }) = session.poll(Time::ZERO, &mut unread) else { unreachable!("it asks") };
        if !written {
            write(&mut envelope, &mut structure);
        }
        for answer in [
            Answer::Message(uid),
            Answer::Data(FetchData::Written { item: FetchItem::Envelope, text: &envelope }),
            Answer::Data(FetchData::Written { item: FetchItem::BodyStructure, text: &structure }),
            Answer::MessageEnd,
            Answer::Done,
        ] {
            session.answer(Time::ZERO, answer).expect("FETCH is open");
        }
        let output = session.output().to_vec();
        session.consume_output(Time::ZERO, usize::MAX);
        black_box(output)
    };

    // The peer writes what it read from us.
    let sent = answer();
    let (_, response) = ResponseCodec::new().decode(&sent).expect("the peer reads what we write");
    let response = response.into_static();
    let theirs: Work = Box::new(move || {
        let octets = ResponseCodec::new().encode(black_box(&response)).dump();
        assert!(!black_box(octets).is_empty());
    });
    Case {
        section: 5,
        name,
        scale: Scale::Operations(1),
        ours: Box::new(move || assert!(!answer().is_empty())),
        peer: Some((PEER, theirs)),
        goals: vec![Goal::TimesPeer(4.0)],
        note: if written {
            "ours: a whole turn of a session; peer: a tree to octets"
        } else {
            "ours reads the message (2 KB) and serves the command; peer: a tree to octets"
        },
    }
}
