//! The shared conformance material, where the environment variable `PILLARBOX_SHARED` says where it is.
#![allow(clippy::print_stderr)]

use std::path::PathBuf;
use std::sync::Arc;

use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Reply, Step, Time};
use pillarbox_smtp::server::{Answer, Event, Identity, Peer, Protocol, ServerConfig, ServerSession};
use serde_json::Value;

/// A file of the material; `None` (with a word on why) if there is none here.
fn material(name: &str) -> Option<Value> {
    let Some(shared) = std::env::var_os("PILLARBOX_SHARED") else {
        eprintln!("PILLARBOX_SHARED is not set: {name} is skipped");
        return None;
    };
    let path = PathBuf::from(shared).join("conformance/smtp").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// A server whose users are u and u2, and what it was told.
struct Server {
    session: ServerSession,
    unread: Vec<u8>,
    replies: Vec<u16>,
    messages: Vec<Vec<u8>>,
    body: Vec<u8>,
    closed: bool,
}

impl Server {
    fn new(protocol: Protocol) -> Self {
        let mut config = ServerConfig::new("own.example");
        config.protocol = protocol;
        config.starttls = true;
        config.mechanisms = vec![Mechanism::Plain];
        config.binary_mime = true;
        Server::with(config)
    }

    fn with(config: ServerConfig) -> Self {
        let session = ServerSession::new(Arc::new(config), Peer::default());
        let (unread, replies, messages, body) = Default::default();
        let mut server = Server { session, unread, replies, messages, body, closed: false };
        server.show(b"");
        server
    }

    /// Shows octets that came in one piece.
    fn show(&mut self, octets: &[u8]) {
        self.unread.extend_from_slice(octets);
        loop {
            let mut unread = &self.unread[..];
            let answer = match self.session.poll(Time::ZERO, &mut unread) {
                Step::Event(event) => match event {
                    Event::Body(octets) => {
                        self.body.extend_from_slice(octets);
                        None
                    }
                    Event::Rcpt(rcpt) if rcpt.to.to_string().starts_with("<nobody@") => {
                        Some(Answer::Refuse(Reply::enhanced(550, 5, 1, 1, "no such user")))
                    }
                    Event::Outcome { recipient } => {
                        if recipient.is_none_or(|index| index == 0) {
                            self.messages.push(std::mem::take(&mut self.body));
                        }
                        Some(Answer::Accept)
                    }
                    Event::Refused { .. } | Event::Abandoned(_) => None,
                    Event::Login { .. } => Some(Answer::LoggedIn(Identity("bob@own.example".into()))),
                    _ => Some(Answer::Accept),
                },
                step => {
                    self.closed = matches!(step, Step::Closed);
                    let left = self.unread.len() - unread.len();
                    self.unread.drain(..left);
                    let lines = self.session.output().split(|octet| *octet == b'\n');
                    for line in lines.filter(|line| line.get(3) == Some(&b' ')) {
                        self.replies.push(std::str::from_utf8(&line[..3]).unwrap().parse().unwrap());
                    }
                    self.session.consume_output(Time::ZERO, usize::MAX);
                    return;
                }
            };
            if let Some(answer) = answer {
                self.session.answer(Time::ZERO, answer).unwrap();
            }
            let used = self.unread.len() - unread.len();
            self.unread.drain(..used);
        }
    }
}

#[test]
fn sessions() {
    let Some(suite) = material("sessions.json") else { return };
    let mut played = 0;
    for (_, cases) in suite.as_object().unwrap().iter().filter(|(group, _)| *group != "about") {
        for case in cases.as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let steps: Vec<&str> =
                case["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
            played += 1;
            let lmtp = steps.iter().any(|step| step.contains("LHLO"));
            let mut server = Server::new(if lmtp { Protocol::Lmtp } else { Protocol::Smtp });
            let mut replies = 0;
            for step in steps {
                if let Some(octets) = step.strip_prefix("C:") {
                    server.show(octets.as_bytes());
                    continue;
                }
                let got = server.replies.get(replies).unwrap_or_else(|| panic!("{name}: no reply where {step}"));
                let fits = step.split('|').any(|one| got.to_string().starts_with(one.trim_start_matches("S:")));
                assert!(fits, "{name}: {got} where {step}");
                replies += 1;
            }
            assert!(server.replies.len() <= replies + 1, "{name}: replies left over {:?}", &server.replies[replies..]);
            assert!(server.replies.len() == replies || server.closed, "{name}: {:?}", server.replies);
        }
    }
    assert_eq!(played, 35);
}

#[test]
fn false_ends_of_data() {
    let Some(suite) = material("smuggling-eod.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let hex = case["hex"].as_str().unwrap().as_bytes();
        let digit = |octet: u8| char::from(octet).to_digit(16).unwrap() as u8;
        let sequence: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        let smuggled = b"MAIL FROM:<evil@c.example>\r\nRCPT TO:<u@own.example>\r\nDATA\r\nsecond\r\n.\r\n";
        let wire = [b"first", &sequence[..], smuggled].concat();
        let play = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut server = Server::new(Protocol::Smtp);
            server.show(b"EHLO c.example\r\n");
            server.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<u@own.example>\r\nDATA\r\n");
            server.replies.clear();
            pieces.for_each(|piece| server.show(piece));
            (server.messages, server.replies)
        };
        let whole = play(&mut [&wire[..]].into_iter());
        let (messages, replies) = &whole;
        if case["ends_data"] == true {
            // The control: a true end, behind which commands are commands.
            assert_eq!((messages.len(), replies[0]), (1, 250), "{name}");
            continue;
        }
        assert_eq!(play(&mut wire.chunks(1)), whole, "{name} octet by octet");
        assert_eq!((messages.len(), &replies[..]), (1, &[250][..]), "{name}");
        for at in 0..wire.len() {
            let (one, other) = wire.split_at(at);
            assert_eq!(play(&mut [one, other].into_iter()), whole, "{name} cut at {at}");
        }
    }
}

#[test]
fn dots() {
    let Some(suite) = material("dot-stuffing.json") else { return };
    let cases = suite["decode"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (wire, message) = (case["wire"].as_str().unwrap(), case["message"].as_str().unwrap());
        for at in 0..=wire.len() {
            let mut server = Server::new(Protocol::Smtp);
            server.show(b"EHLO c.example\r\n");
            server.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<u@own.example>\r\nDATA\r\n");
            server.show(&wire.as_bytes()[..at]);
            server.show(&wire.as_bytes()[at..]);
            assert_eq!(server.messages, [message.as_bytes()], "{wire:?} cut at {at}");
        }
    }
}

/// What another server's scripts want otherwise than we do: script, its code, ours, and why.
const OTHERWISE: [(&str, &str, u16, &str); 3] = [
    ("authplain", "334", 503, "RFC 4954 §4: AUTH needs an EHLO before it; the script sends none"),
    (
        "starttls_session_fixation",
        "501",
        503,
        "a command out of order (RFC 5321 §4.2.4), not an argument that is wrong",
    ),
    (
        "starttls_with_injection",
        "451",
        220,
        "the reply may have left already when the rest comes; 554 and the end follow",
    ),
];

/// Scripts of Apache James: our replies have the codes that they expect. Their texts are James's own.
#[test]
fn scripts_of_james() {
    if material("dot-stuffing.json").is_none() {
        return;
    }
    let folder = PathBuf::from(std::env::var_os("PILLARBOX_SHARED").unwrap()).join("conformance/smtp/james-mpt");
    let mut differences = Vec::new();
    let mut played = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        played += 1;
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut config = ServerConfig::new("mydomain.tld");
        config.starttls = true;
        config.mechanisms = vec![Mechanism::Plain, Mechanism::Login];
        config.auth_without_tls = true;
        let mut server = Server::with(config);
        let mut wanted = Vec::new();
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("C:") {
                let command = command.strip_prefix(' ').unwrap_or(command).replace("\\r\\n", "\r\n");
                server.show(format!("{}\r\n", command.trim_end_matches("\r\n")).as_bytes());
            } else if let Some(reply) = line.strip_prefix("S: ") {
                // The last line of each reply; a pattern instead of a space is the greeting of an EHLO reply.
                if reply.as_bytes().get(3) == Some(&b' ') {
                    wanted.push(reply[..3].to_owned());
                }
            }
        }
        let got = server.replies.iter().take(wanted.len());
        if let Some((wanted, got)) = wanted.iter().zip(got).find(|(wanted, got)| **wanted != got.to_string()) {
            differences.push((name.clone(), wanted.clone(), *got));
        } else {
            assert!(server.replies.len() >= wanted.len(), "{name}: {:?} instead of {wanted:?}", server.replies);
        }
        eprintln!(
            "{name}: {}",
            if differences.iter().any(|(other, ..)| *other == name) { "differs" } else { "passes" }
        );
    }
    assert_eq!(played, 8);
    differences.sort();
    let listed = OTHERWISE.map(|(name, wanted, got, _)| (name.to_owned(), wanted.to_owned(), got));
    assert_eq!(differences, listed);
}
