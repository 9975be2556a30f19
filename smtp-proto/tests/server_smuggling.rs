//! Every short string of the octets that end lines and messages, in every cut, around an end mark: the session agrees with
//! a model of the end of a message that is small enough to be believed.

use std::sync::Arc;

use pillarbox_core::{Step, Time};
use pillarbox_smtp::server::{Answer, Event, Peer, ServerConfig, ServerSession};

const ALPHABET: [u8; 5] = [b'\r', b'\n', b'.', 0, b'a'];
const LENGTH_MAX: u32 = 6;

/// A session that has just said 354 (DATA), or is in a chunk of so many octets (BDAT).
struct Play {
    session: ServerSession,
    unread: Vec<u8>,
    body: Vec<u8>,
    /// The message, and how many octets were left unread when it ended.
    ended: Option<(Vec<u8>, usize)>,
}

impl Play {
    fn begin(config: &Arc<ServerConfig>, start: &str) -> Self {
        let session = ServerSession::new(Arc::clone(config), Peer::default());
        let mut play = Play { session, unread: Vec::new(), body: Vec::new(), ended: None };
        for flight in ["", "EHLO c\r\n", "MAIL FROM:<>\r\nRCPT TO:<u@mx.example>\r\n", start] {
            play.show(flight.as_bytes());
        }
        play
    }

    /// Shows a piece of the message. Nothing behind its end is looked at.
    fn show(&mut self, piece: &[u8]) {
        self.unread.extend_from_slice(piece);
        while self.ended.is_none() {
            let mut unread = &self.unread[..];
            let step = self.session.poll(Time::ZERO, &mut unread);
            let left = unread.len();
            match step {
                Step::Event(Event::Body(octets)) => self.body.extend_from_slice(octets),
                Step::Event(Event::Outcome { .. }) => self.ended = Some((std::mem::take(&mut self.body), left)),
                Step::Event(_) => self.session.answer(Time::ZERO, Answer::Accept).unwrap(),
                _ => {
                    self.session.consume_output(Time::ZERO, usize::MAX);
                    self.unread.clear();
                    return;
                }
            }
            self.unread.drain(..self.unread.len() - left);
        }
    }
}

/// The message and how many octets stand behind its end, by RFC 5321 §4.1.1.4 and §4.5.2 and what is said of bare newlines:
/// lines end in CRLF and in nothing else, a line of one dot is the end, another loses its first dot, and then a bare LF
/// becomes a CRLF and a bare CR a space.
fn model(wire: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut message, mut rest) = (Vec::new(), wire);
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line == b"." {
            return Some((message, rest.len()));
        }
        message.extend(repaired(line.strip_prefix(b".").unwrap_or(line)));
        message.extend_from_slice(b"\r\n");
    }
}

/// Octets without CRLF, their bare newlines repaired.
fn repaired(octets: &[u8]) -> Vec<u8> {
    octets
        .iter()
        .flat_map(|octet| match octet {
            b'\n' => b"\r\n".to_vec(),
            b'\r' => b" ".to_vec(),
            other => vec![*other],
        })
        .collect()
}

/// Every string of the alphabet up to the length.
fn strings() -> impl Iterator<Item = Vec<u8>> {
    let base = ALPHABET.len();
    (0..=LENGTH_MAX).flat_map(move |length| {
        (0..base.pow(length))
            .map(move |number| (0..length).map(|place| ALPHABET[number / base.pow(place) % base]).collect())
    })
}

/// Plays a message octet by octet, and with one cut at each of these places.
fn check(config: &Arc<ServerConfig>, wire: &[u8], cuts: impl Iterator<Item = usize>) {
    let expected = model(wire).expect("the end mark is behind it");
    let mut single = Play::begin(config, "DATA\r\n");
    wire.chunks(1)
        .enumerate()
        .take_while(|(at, _)| at + expected.1 < wire.len())
        .for_each(|(_, octet)| single.show(octet));
    let (message, left) = single.ended.unwrap_or_else(|| panic!("{} has no end", wire.escape_ascii()));
    assert_eq!((message, left), (expected.0.clone(), 0), "{} octet by octet", wire.escape_ascii());
    for cut in cuts {
        let mut play = Play::begin(config, "DATA\r\n");
        play.show(&wire[..cut]);
        let shown_later = if play.ended.is_some() { wire.len() - cut } else { 0 };
        play.show(&wire[cut..]);
        let (message, left) = play.ended.unwrap_or_else(|| panic!("{} has no end", wire.escape_ascii()));
        assert_eq!((message, left + shown_later), expected, "{} cut at {cut}", wire.escape_ascii());
    }
}

#[test]
fn around_an_end_mark() {
    let config = Arc::new(ServerConfig::new("mx.example"));
    let mut played = 0_usize;
    for string in strings() {
        // Behind a line and in front of a true end, with what a smuggler would hide.
        let wire = [b"a\r\n", &string[..], b"NOOP\r\n.\r\n"].concat();
        check(&config, &wire, 3..=3 + string.len());
        played += 1;
    }
    assert_eq!(played, (0..=6).map(|length| 5_usize.pow(length)).sum::<usize>());
}

#[test]
fn at_the_very_start() {
    let config = Arc::new(ServerConfig::new("mx.example"));
    for string in strings() {
        let wire = [&string[..], b"\r\n.\r\n"].concat();
        check(&config, &wire, 0..=string.len());
    }
}

#[test]
fn in_a_chunk() {
    // The length is all that ends a chunk, and nothing in it is a dot to take away.
    let mut config = ServerConfig::new("mx.example");
    config.limits.message_size_max = 1000;
    let config = Arc::new(config);
    for string in strings() {
        let mut expected = Vec::new();
        for line in string.split_inclusive(|octet| *octet == b'\n') {
            match line.strip_suffix(b"\r\n") {
                Some(line) => {
                    expected.extend(repaired(line));
                    expected.extend_from_slice(b"\r\n");
                }
                None => expected.extend(repaired(line)),
            }
        }
        for cut in 0..=string.len() {
            let mut play = Play::begin(&config, &format!("BDAT {cut}\r\n"));
            play.show(&string[..cut]);
            play.show(format!("BDAT {} LAST\r\n", string.len() - cut).as_bytes());
            play.show(&string[cut..]);
            let (message, left) = play.ended.unwrap_or_else(|| panic!("{} has no end", string.escape_ascii()));
            assert_eq!((message, left), (expected.clone(), 0), "{} cut at {cut}", string.escape_ascii());
        }
    }
}
