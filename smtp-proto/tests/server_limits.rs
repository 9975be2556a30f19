//! Each limit at its value, one beyond, and far beyond. Those that fit in a few lines are dialog files.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Misuse, Reply, Step, Time, TlsFacts};
use pillarbox_smtp::server::{Answer, CloseReason, Event, Identity, Limits, Peer, ServerConfig, ServerSession, Why};

/// A session under test, its clock, and what it said and told.
struct Played {
    session: ServerSession,
    now: Time,
    said: Vec<u8>,
    body: Vec<u8>,
    abandoned: Option<Why>,
}

impl Played {
    fn new(config: ServerConfig) -> Self {
        let mut peer = Peer::default();
        peer.tls = Some(TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384"));
        let session = ServerSession::new(Arc::new(config), peer);
        let (said, body) = (Vec::new(), Vec::new());
        let mut played = Played { session, now: Time::ZERO, said, body, abandoned: None };
        played.show(b"");
        played.show(b"EHLO c.example\r\n");
        played.said.clear();
        played
    }

    fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        let mut config = ServerConfig::new("mx.example");
        config.mechanisms = vec![Mechanism::Plain];
        change(&mut config.limits);
        Played::new(config)
    }

    /// Shows bytes that all fit, waiting out what is held back, and gives the code of the last reply (0: none).
    fn show(&mut self, mut unread: &[u8]) -> u16 {
        self.show_part(&mut unread)
    }

    /// The same, and tells what was not used.
    fn show_part(&mut self, unread: &mut &[u8]) -> u16 {
        self.said.clear();
        loop {
            match self.session.poll(self.now, unread) {
                Step::Event(Event::Body(octets)) => self.body.extend_from_slice(octets),
                Step::Event(Event::Abandoned(why)) => self.abandoned = Some(why),
                Step::Event(Event::Refused { .. }) => {}
                Step::Event(Event::Login { .. }) => {
                    let answer = Answer::Refuse(Reply::enhanced(535, 5, 7, 8, "wrong"));
                    self.session.answer(self.now, answer).unwrap();
                }
                Step::Event(_) => self.session.answer(self.now, Answer::Accept).unwrap(),
                Step::NeedTime => {
                    self.now = self.session.deadline().expect("a delay has an end");
                    self.session.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.said.extend_from_slice(self.session.output());
        self.session.consume_output(self.now, usize::MAX);
        self.last_code()
    }

    fn last_code(&self) -> u16 {
        let line = self.said.split(|octet| *octet == b'\n').rev().find(|line| !line.is_empty()).unwrap_or_default();
        line.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok()).unwrap_or(0)
    }

    /// Lets time pass, in steps as a driver would take.
    fn pass(&mut self, seconds: u64) -> u16 {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(deadline) = self.session.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.session.handle_timeout(self.now);
            let code = self.show(b"");
            if self.session.close_reason().is_some() {
                return code;
            }
        }
        self.now = end;
        0
    }
}

fn noop(length: usize) -> Vec<u8> {
    let mut line = b"NOOP ".to_vec();
    line.resize(length - 2, b'x');
    line.extend_from_slice(b"\r\n");
    line
}

#[test]
fn command_lines() {
    let mut played = Played::with_limits(|_| {});
    assert_eq!(played.session.max_unread(), 2048);
    assert_eq!(played.show(&noop(2048)), 250);
    assert_eq!(played.show(&noop(2049)), 500);
    assert!(played.said.starts_with(b"500 5.5.2"), "the reply comes once");
    // Up to 64 KiB the end of the line is waited for, whatever the pieces; then patience ends.
    assert_eq!(played.show(&noop(64 * 1024)), 500);
    assert_eq!(played.session.close_reason(), None);
    assert_eq!(played.show(&noop(64 * 1024 + 1)), 500);
    assert_eq!(played.session.close_reason(), Some(CloseReason::Synchronisation));

    for length in [64 * 1024, 64 * 1024 + 1, 2_048_000] {
        let mut played = Played::with_limits(|_| {});
        let line = noop(length);
        // Pieces that are taken whole.
        let mut pieces = line.chunks(2048);
        let shown = pieces.by_ref().take_while(|piece| {
            played.show(piece);
            played.session.close_reason().is_none()
        });
        let taken: usize = shown.map(<[u8]>::len).sum();
        assert_eq!(played.session.close_reason().is_some(), length > 64 * 1024, "{length}");
        assert!(taken <= 64 * 1024, "{taken} octets of {length}");
    }
}

#[test]
fn lines_cannot_be_made_shorter_than_the_rfc_asks() {
    let mut played = Played::with_limits(|limits| limits.command_line_max = 0);
    assert_eq!(played.show(&noop(512)), 250);
    assert_eq!(played.show(&noop(513)), 500);
}

#[test]
fn sasl_lines() {
    for (length, code) in [(12_288, 501), (12_289, 500), (64 * 1024, 500), (12_288_000, 500)] {
        let mut played = Played::with_limits(|_| {});
        assert_eq!(played.show(b"AUTH PLAIN\r\n"), 334);
        assert_eq!(played.session.max_unread(), 12_288);
        // Base64 of zeros, which is no PLAIN message.
        let mut line = vec![b'A'; length - 2];
        line.extend_from_slice(b"\r\n");
        assert_eq!(played.show(&line), code, "{length}");
        if code == 500 {
            assert!(played.said.starts_with(b"500 5.5.6"));
        }
        assert_eq!(played.session.close_reason().is_some(), length > 64 * 1024);
    }
}

#[test]
fn message_size() {
    const MAX: usize = 1000;
    for (size, code) in [(MAX, 250), (MAX + 1, 552), (MAX * 1000, 552)] {
        let mut played = Played::with_limits(|limits| limits.message_size_max = MAX as u64);
        let announced = format!("MAIL FROM:<a@c.example> SIZE={size}\r\n");
        assert_eq!(played.show(announced.as_bytes()), code);
        played.show(b"RSET\r\nMAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n");
        let mut message = vec![b'x'; size - 2];
        message.extend_from_slice(b"\r\n.\r\n");
        assert_eq!(played.show(&message), code, "{size}");
        assert_eq!(played.body.len(), size.min(MAX));
        assert_eq!(played.show(b"NOOP\r\n"), 250, "all of it was eaten");
    }
}

#[test]
fn headers() {
    let field = |length: usize| format!("A: {}\r\n", "x".repeat(length - 5));
    let received = "Received: from a.example by b.example\r\n";
    for (header, code) in [
        (received.repeat(100), 250),
        (received.repeat(101), 554),
        (received.repeat(100_000), 554),
        ("A: b\r\n".repeat(1000), 250),
        ("A: b\r\n".repeat(1001), 554),
        ("A: b\r\n".repeat(1_000_000), 554),
        (field(102_400), 250),
        (field(102_401), 552),
        (field(20_000_000), 552),
        // With the empty line.
        (field(1024).repeat(999) + &field(25_600 - 2), 250),
        (field(1024).repeat(999) + &field(25_600 - 1), 552),
    ] {
        let mut played = Played::with_limits(|_| {});
        played.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n");
        assert_eq!(played.show(format!("{header}\r\ntext\r\n.\r\n").as_bytes()), code, "{} octets", header.len());
        let enhanced = match header.as_bytes()[0] {
            _ if code == 250 => &b"250 2.0.0"[..],
            b'R' => b"554 5.4.6",
            _ if code == 554 => b"554 5.6.0",
            _ => b"552 5.3.4",
        };
        assert!(played.said.starts_with(enhanced), "{}", played.said.escape_ascii());
        assert_eq!(played.abandoned, (code != 250).then_some(Why::Refused));
        assert_eq!(played.show(b"NOOP\r\n"), 250);
    }
}

#[test]
fn refused_messages_are_not_eaten_for_ever() {
    for (change, most) in [
        ((|_| {}) as fn(&mut Limits), 104_857_600),
        (|limits| limits.message_size_max = 100_000_000, 150_001_024),
        (|limits| (limits.message_size_max, limits.refused_size_max) = (1000, 1_000_000), 1_000_000),
    ] {
        let mut played = Played::with_limits(change);
        played.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n");
        let piece = [b'x'; 64 * 1024];
        let mut taken = 0;
        let code = loop {
            let mut unread = &piece[..];
            let code = played.show_part(&mut unread);
            played.body.clear();
            taken += piece.len() - unread.len();
            if code != 0 {
                break code;
            }
        };
        assert_eq!((code, taken), (552, most));
        assert_eq!(played.session.close_reason(), Some(CloseReason::Overrun));
        assert_eq!(played.abandoned, Some(Why::Refused));
    }
}

#[test]
fn recipients() {
    let mut played = Played::with_limits(|_| {});
    played.show(b"MAIL FROM:<a@c.example>\r\n");
    for recipient in 1..=2001 {
        let code = played.show(b"RCPT TO:<joe@mx.example>\r\n");
        assert_eq!(code, if recipient <= 1000 { 250 } else { 452 }, "{recipient}");
    }
    assert_eq!(played.show(b"DATA\r\n"), 354);
    assert_eq!(played.show(b".\r\n"), 250, "those that were accepted get the message");
}

#[test]
fn errors() {
    let mut played = Played::with_limits(|_| {});
    for error in 1..=19 {
        let before = played.now;
        assert_eq!(played.show(b"XFOO\r\n"), 500);
        let delay = played.now.since(before);
        assert_eq!(delay, Duration::from_secs(u64::from(error > 10)), "error {error}");
    }
    assert_eq!(played.session.close_reason(), None);
    assert_eq!(played.show(b"XFOO\r\n"), 421);
    assert_eq!(played.session.close_reason(), Some(CloseReason::TooManyErrors));
}

#[test]
fn idle_commands() {
    let mut played = Played::with_limits(|_| {});
    // EHLO was the first.
    for _ in 2..=110 {
        assert_eq!(played.show(b"NOOP\r\n"), 250);
        assert_eq!(played.now, Time::ZERO);
    }
    for _ in 111..120 {
        let before = played.now;
        assert_eq!(played.show(b"RSET\r\n"), 250);
        assert_eq!(played.now.since(before), Duration::from_secs(1));
    }
    assert_eq!(played.show(b"NOOP\r\n"), 421);
}

#[test]
fn failed_logins() {
    let mut played = Played::with_limits(|_| {});
    assert_eq!(played.show(b"AUTH PLAIN AGpvZQB3cm9uZw==\r\n"), 535);
    assert_eq!(played.show(b"AUTH PLAIN AGpvZQB3cm9uZw==\r\n"), 535);
    assert_eq!(played.show(b"AUTH PLAIN AGpvZQB3cm9uZw==\r\n"), 421);
    assert_eq!(played.session.close_reason(), Some(CloseReason::TooManyErrors));
}

#[test]
fn drips() {
    // One octet in ten seconds: in a command, in a response, in a message.
    for before in ["", "AUTH PLAIN\r\n", "MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n"] {
        let mut played = Played::with_limits(|_| {});
        played.show(before.as_bytes());
        let start = played.now;
        let code = loop {
            played.show(b"x");
            let code = played.pass(10);
            if played.session.close_reason().is_some() {
                break code;
            }
        };
        assert_eq!((code, played.session.close_reason()), (421, Some(CloseReason::Timeout)), "{before}");
        assert!(played.said.starts_with(b"421 4.4.2"));
        let lasted = played.now.since(start);
        assert_eq!(lasted.as_secs(), if before.contains("DATA") { 60 } else { 300 });
    }
}

#[test]
fn drips_of_chunks() {
    // An octet in two hundred seconds, each a chunk of its own; then chunks of nothing, as fast as they can be said.
    for (chunk, pause) in [("BDAT 1\r\nx", 200), ("BDAT 0\r\n", 0)] {
        let mut played = Played::with_limits(|_| {});
        played.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\n");
        let mut chunks = 0;
        while played.session.close_reason().is_none() {
            played.show(chunk.as_bytes());
            played.pass(pause);
            chunks += 1;
            assert!(chunks <= 121, "as many as other commands that move no mail");
        }
        assert_eq!(played.session.close_reason(), Some(CloseReason::TooManyErrors));
        assert_eq!(played.abandoned, Some(Why::Closed));
    }
    // One that is fast enough goes on for ever, however long it waits between its chunks.
    let mut played = Played::with_limits(|_| {});
    played.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\n");
    played.show(b"BDAT 2\r\n\r\n");
    let chunk = [&b"BDAT 30000\r\n"[..], &b"x".repeat(29_998), b"\r\n"].concat();
    for _ in 0..200 {
        assert_eq!(played.show(&chunk), 250);
        played.pass(200);
    }
}

#[test]
fn the_rate_of_a_body() {
    for (octets_a_second, kept) in [(500, true), (499, false), (1, false)] {
        let mut played = Played::with_limits(|_| {});
        played.show(b"MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n");
        played.show(b"\r\n");
        for _ in 0..600 {
            played.show(&vec![b'x'; octets_a_second]);
            played.pass(1);
        }
        assert_eq!(played.session.close_reason().is_none(), kept, "{octets_a_second}");
        assert_eq!(played.abandoned, (!kept).then_some(Why::Closed));
    }
}

#[test]
fn a_peer_that_does_not_read() {
    let mut played = Played::with_limits(|_| {});
    let mut unread = &b"NOOP\r\n"[..];
    assert!(matches!(played.session.poll(played.now, &mut unread), Step::NeedInput));
    assert!(played.session.must_flush());
    let waited = |session: &ServerSession| session.deadline().map(|deadline| deadline.since_origin().as_secs());
    assert_eq!(waited(&played.session), Some(300));
    // An octet that it takes gives it no more time, nor does another command.
    let later = Time::from_origin(Duration::from_secs(200));
    played.session.consume_output(later, 1);
    let mut unread = &b"RCPT TO:<x@mx.example>\r\n"[..];
    let _ = played.session.poll(later, &mut unread);
    assert_eq!(waited(&played.session), Some(300));
    // What was there at first is taken, so there is time for the rest.
    played.session.consume_output(later, "250 2.0.0 Here\r\n".len());
    assert_eq!(waited(&played.session), Some(500));
    let again = Time::from_origin(Duration::from_secs(499));
    played.session.consume_output(again, 1);
    assert_eq!(waited(&played.session), Some(500));
    let end = Time::from_origin(Duration::from_secs(500));
    played.session.handle_timeout(end);
    assert!(matches!(played.session.poll(end, &mut &b""[..]), Step::Closed));
    assert_eq!(played.session.close_reason(), Some(CloseReason::Timeout));
    assert!(played.session.output().is_empty(), "nobody would read a goodbye");
}

#[test]
fn a_peer_that_does_not_read_while_we_think() {
    let mut played = Played::with_limits(|_| {});
    let mut unread = &b"NOOP\r\nMAIL FROM:<a@c.example>\r\n"[..];
    assert!(matches!(played.session.poll(played.now, &mut unread), Step::Event(Event::Mail(_))));
    let end = Time::from_origin(Duration::from_secs(300));
    assert_eq!(played.session.deadline(), Some(end));
    played.session.handle_timeout(end);
    assert_eq!(played.session.deadline(), None);
    assert!(matches!(played.session.poll(end, &mut unread), Step::NeedAnswer));
    played.session.answer(end, Answer::Accept).unwrap();
    assert!(matches!(played.session.poll(end, &mut unread), Step::Event(Event::Abandoned(Why::Closed))));
    assert!(matches!(played.session.poll(end, &mut unread), Step::Closed));
}

#[test]
fn answers_that_do_not_fit() {
    let config = Arc::new(ServerConfig::new("mx.example"));
    let mut session = ServerSession::new(config, Peer::default());
    let now = Time::ZERO;
    let refused = |result: Result<(), Misuse>| assert!(matches!(result, Err(Misuse::WrongAnswer { .. })), "{result:?}");
    assert_eq!(session.answer(now, Answer::Accept), Err(Misuse::NoOpenQuestion));
    assert!(matches!(session.poll(now, &mut &b""[..]), Step::Event(Event::Connect)));
    refused(session.answer(now, Answer::AcceptWith(Reply::new(354, "x"))));
    refused(session.answer(now, Answer::AcceptWith(Reply::new(250, "x"))));
    refused(session.answer(now, Answer::Refuse(Reply::new(220, "x"))));
    refused(session.answer(now, Answer::Hangup(Reply::new(220, "x"))));
    refused(session.answer(now, Answer::LoggedIn(Identity("joe".into()))));
    assert!(session.output().is_empty(), "nothing has changed");
    session.answer(now, Answer::Accept).unwrap();
    let mut unread = &b"EHLO c.example\r\n"[..];
    assert!(matches!(session.poll(now, &mut unread), Step::Event(Event::Hello(_))));
    refused(session.answer(now, Answer::AcceptWith(Reply::new(250, "x"))));
    session.answer(now, Answer::Accept).unwrap();
    assert_eq!(session.answer(now, Answer::Accept), Err(Misuse::NoOpenQuestion));
    // RFC 5321 §4.3.2: which code says yes to what.
    for (line, fits) in [
        ("VRFY joe\r\n", &[250, 251, 252][..]),
        ("MAIL FROM:<a@c.example>\r\n", &[250]),
        ("RCPT TO:<joe@mx.example>\r\n", &[250, 251]),
    ] {
        session.consume_output(now, usize::MAX);
        let mut unread = line.as_bytes();
        assert!(matches!(session.poll(now, &mut unread), Step::Event(_)), "{line}");
        for code in (200..300).filter(|code| !fits.contains(code)) {
            refused(session.answer(now, Answer::AcceptWith(Reply::new(code, "x"))));
        }
        session.answer(now, Answer::AcceptWith(Reply::new(*fits.last().unwrap(), "x"))).unwrap();
    }
    let facts = pillarbox_core::LayerFacts::Tls(TlsFacts::default());
    assert_eq!(session.upgraded(now, facts), Err(Misuse::NoUpgrade));
}

#[test]
fn words_for_received_fields() {
    let mut plain = ServerSession::new(Arc::new(ServerConfig::new("mx.example")), Peer::default());
    assert_eq!(plain.protocol_word(), "SMTP");
    let _ = plain.poll(Time::ZERO, &mut &b""[..]);
    plain.answer(Time::ZERO, Answer::Accept).unwrap();
    let _ = plain.poll(Time::ZERO, &mut &b"EHLO c.example\r\n"[..]);
    plain.answer(Time::ZERO, Answer::Accept).unwrap();
    assert_eq!(plain.protocol_word(), "ESMTP");
    let over_tls = Played::with_limits(|_| {});
    assert_eq!(over_tls.session.protocol_word(), "ESMTPS");
    assert_eq!(over_tls.session.hello().unwrap().name, "c.example");
    assert_eq!(over_tls.session.tls().unwrap().version, "TLSv1.3");
    assert_eq!(over_tls.session.identity(), None);
}

#[test]
fn words_in_a_transaction_with_smtputf8() {
    let mut config = ServerConfig::new("mx.example");
    config.smtputf8 = true;
    let mut played = Played::new(config);
    assert_eq!(played.show(b"MAIL FROM:<> SMTPUTF8\r\n"), 250);
    assert_eq!(played.session.protocol_word(), "UTF8SMTPS");
    assert_eq!(played.show(b"RSET\r\n"), 250);
    assert_eq!(played.session.protocol_word(), "ESMTPS");
    assert_eq!(played.show(b"MAIL FROM:<>\r\n"), 250);
    assert_eq!(played.session.protocol_word(), "ESMTPS");
}

#[test]
fn chunks_that_belong_to_nothing() {
    let limits = |limits: &mut Limits| {
        limits.message_size_max = 10;
        limits.refused_size_max = 2000;
    };
    // As much as is eaten of a refused message, and one octet more.
    let mut played = Played::with_limits(limits);
    assert_eq!(played.show(b"BDAT 2000\r\n"), 0);
    assert_eq!(played.show(&[b'x'; 1999]), 0);
    assert_eq!(played.show(b"x"), 503);
    assert_eq!(played.show(b"NOOP\r\n"), 250);
    assert_eq!(played.show(b"BDAT 2001\r\n"), 503);
    assert_eq!(played.session.close_reason(), Some(CloseReason::Overrun));
    // They count as errors.
    let mut played = Played::with_limits(limits);
    for _ in 0..19 {
        assert_eq!(played.show(b"BDAT 1\r\nx"), 503);
    }
    assert_eq!(played.show(b"BDAT 1\r\nx"), 421);
    assert_eq!(played.session.close_reason(), Some(CloseReason::TooManyErrors));
}

#[test]
fn empty_chunks_are_idle_talk() {
    let mut played = Played::with_limits(|limits| {
        limits.junk_commands_max = 3;
        limits.errors_soft = 0;
        limits.errors_hard = 2;
    });
    assert_eq!(played.show(b"MAIL FROM:<>\r\nRCPT TO:<joe@mx.example>\r\n"), 250);
    let mut said = 0;
    while played.session.close_reason().is_none() {
        played.show(b"BDAT 0\r\nNOOP\r\n");
        said += 1;
        assert!(said < 10, "empty chunks are counted");
    }
    assert_eq!(played.session.close_reason(), Some(CloseReason::TooManyErrors));
}

#[test]
fn refused_between_two_chunks() {
    let mut played = Played::with_limits(|_| {});
    played.show(b"MAIL FROM:<>\r\nRCPT TO:<joe@mx.example>\r\n");
    assert_eq!(played.show(b"BDAT 3\r\nabc"), 250);
    assert_eq!(played.body, b"abc");
    played.session.answer(played.now, Answer::Refuse(Reply::enhanced(452, 4, 3, 1, "full"))).unwrap();
    assert_eq!(played.show(b"NOOP\r\n"), 250);
    assert_eq!(played.abandoned, Some(Why::Refused));
    // The next chunk is eaten, and hears it.
    assert_eq!(played.show(b"BDAT 6\r\nQUIT\r\n"), 452);
    assert_eq!(played.show(b"BDAT 6 LAST\r\nQUIT\r\n"), 503);
    assert_eq!(played.body, b"abc");
    assert_eq!(played.session.close_reason(), None);
}
