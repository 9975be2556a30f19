//! The client session against scripted servers, the laws of every machine, and what only shows with single calls.

mod client_subject;

use std::time::Duration;

use client_subject::Client;
use pillarbox_core::address::Address;
use pillarbox_core::{Misuse, Step, Time, dialog, laws};
use pillarbox_smtp::client::{
    Answer, BodyKind, ClientConfig, ClientSession, Credentials, Envelope, EnvelopeId, Event, Login, Notify,
    OriginalRecipient, RecipientOutcome, StartTls, Submitter,
};

const DIALOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client-dialogs");

#[test]
fn dialogs() {
    dialog::play_dir(DIALOGS, Client::default);
}

fn law_options() -> laws::Options {
    let mut options = laws::Options::default();
    options.max_unread = 2048;
    options.max_output = 65_536;
    options
}

#[test]
fn laws_of_a_whole_delivery() {
    let flights: [&[u8]; 8] = [
        b"220-mx.example\r\n220 ESMTP\r\n",
        b"250-mx.example\r\n250-SIZE 1000\r\n250 8BITMIME\r\n",
        b"250 2.1.0 ok\r\n",
        b"550 5.1.1 who\r\n",
        b"250 2.1.5 ok\r\n",
        b"354 go\r\n",
        b"250 2.0.0 kept\r\n",
        b"221 2.0.0 bye\r\n",
    ];
    for end in 0..=flights.len() {
        laws::check(Client::default, &flights[..end], &law_options()).unwrap();
    }
}

#[test]
fn laws_of_a_flight() {
    let flights: [&[u8]; 4] = [
        b"220 mx.example\r\n",
        b"250-mx.example\r\n250 PIPELINING\r\n",
        b"250 2.1.0 ok\r\n550 5.1.1 who\r\n250 2.1.5 ok\r\n354 go\r\n",
        b"250 2.0.0 kept\r\n",
    ];
    for end in 0..=flights.len() {
        laws::check(Client::default, &flights[..end], &law_options()).unwrap();
    }
}

/// The options for a session that sends by BDAT.
fn chunking(settings: &str) -> laws::Options {
    let mut options = law_options();
    let text = format!("cfg: side=client chunking {settings}\nEOF\n");
    options.config = dialog::parse("laws", &text).unwrap().config(1);
    options
}

#[test]
fn laws_of_chunks() {
    const HELLO: [&str; 2] = ["220 mx.example", "250-mx.example|250-PIPELINING|250 CHUNKING"];
    // In one flight all replies may come at once; else what is not asked yet must not be answered.
    let envelope = ["250 2.1.0 ok", "550 5.1.1 who", "250 2.1.5 ok"];
    for (settings, is_one_flight) in
        [("chunk=512", true), ("chunk=512 protocol=lmtp", false), ("chunk=512 no-pipelining", false)]
    {
        for last in ["250 2.0.0 kept", "552 5.3.4 no"] {
            let mut flights: Vec<String> = HELLO.map(String::from).to_vec();
            if is_one_flight {
                flights.push(format!("{}|{last}", envelope.join("|")));
            } else {
                flights.extend(envelope.into_iter().chain([last]).map(String::from));
            }
            flights.push("221 2.0.0 bye".into());
            let flights: Vec<Vec<u8>> =
                flights.iter().map(|flight| format!("{}\r\n", flight.replace('|', "\r\n")).into_bytes()).collect();
            let flights: Vec<&[u8]> = flights.iter().map(Vec::as_slice).collect();
            for end in 0..=flights.len() {
                laws::check(Client::default, &flights[..end], &chunking(settings)).unwrap();
            }
        }
    }
}

#[test]
fn laws_of_chunks_under_torture() {
    for settings in ["chunk=512", "protocol=lmtp", "crypto login login-in-clear"] {
        laws::torture(Client::default, &laws::seeds(DIALOGS), 700, &chunking(settings)).unwrap();
    }
}

#[test]
fn no_password_is_shown() {
    let mut config = config();
    let mut login = Login::new(Credentials::plain("", "joe", "hunter2"));
    login.policy.clear_text_without_tls = true;
    config.login = Some(login);
    let mut session = ClientSession::new(config);
    say(&mut session, "220 mx.example");
    session.consume_output(Time::ZERO, usize::MAX);
    say(&mut session, "250-mx.example\n250 AUTH PLAIN");
    let told = "AUTH PLAIN AGpvZQBodW50ZXIy\r\n";
    assert_eq!(session.output(), told.as_bytes());
    let shown = format!("{session:?}");
    assert!(!shown.contains("hunter2") && !shown.contains(&format!("{:?}", told.as_bytes())[1..40]), "{shown}");
}

#[test]
fn a_flight_has_an_end() {
    let mut session = ClientSession::new(config());
    say(&mut session, "220 mx.example");
    session.consume_output(Time::ZERO, usize::MAX);
    say(&mut session, "250-mx.example\n250 PIPELINING");
    let to = Address::parse("u@own.example").unwrap();
    let from = Address::parse("a@c.example").unwrap();
    session.answer(Time::ZERO, Answer::Send(Envelope::new(from.into(), vec![to; 1000]))).unwrap();
    let (mut sent, mut replied) = (0, 0);
    while replied < 1001 {
        sent += session.output().iter().filter(|octet| **octet == b'\n').count();
        session.consume_output(Time::ZERO, usize::MAX);
        assert!(sent - replied <= 100, "{sent} {replied}");
        say(&mut session, "250 ok");
        replied += 1;
    }
    // MAIL, all recipients, DATA.
    assert_eq!(sent, 1002);
    let events = say(&mut session, "354 go");
    assert_eq!(events, [Event::NeedBody]);
}

#[test]
fn laws_under_torture() {
    laws::torture(Client::default, &laws::seeds(DIALOGS), 2000, &law_options()).unwrap();
}

/// A session that a server has greeted and that was asked what to send, and the bytes it wrote.
fn ready(config: ClientConfig) -> (ClientSession, Vec<u8>) {
    ready_at("250 mx.example", config)
}

/// The same with a server's reply to EHLO.
fn ready_at(offers: &str, config: ClientConfig) -> (ClientSession, Vec<u8>) {
    let mut session = ClientSession::new(config);
    let mut sent = Vec::new();
    for line in ["220 mx.example", offers] {
        say(&mut session, line);
        sent.extend_from_slice(session.output());
        session.consume_output(Time::ZERO, usize::MAX);
    }
    (session, sent)
}

/// Shows the session lines; gives its events.
fn say(session: &mut ClientSession, lines: &str) -> Vec<Event> {
    let bytes = if lines.is_empty() { String::new() } else { lines.replace('\n', "\r\n") + "\r\n" };
    let mut input = bytes.as_bytes();
    let mut events = Vec::new();
    while let Step::Event(event) = session.poll(Time::ZERO, &mut input) {
        events.push(event);
    }
    events
}

fn config() -> ClientConfig {
    ClientConfig::new("c.example").unwrap()
}

fn envelope() -> Envelope {
    let address = |text: &'static str| Address::parse(text).unwrap();
    Envelope::new(address("a@c.example").into(), [address("u@own.example")])
}

#[test]
fn nothing_the_application_says_can_add_a_line() {
    for name in ["c.example\r\nMAIL FROM:<>", "c example", "c.example\0", "c.example>", "", "c.example\n"] {
        assert!(ClientConfig::new(name).is_err(), "{name:?}");
    }
    for address in ["a@c.example>\r\nRSET", "a\r\n@c.example", "a\0@c.example", "a b@c.example", "a>@c.example"] {
        assert!(Address::parse_utf8(address).is_err(), "{address:?}");
    }
    for text in ["a\r\nRSET", "a\nb", "a\0b", "a\rb", "\x1b", ""] {
        assert!(EnvelopeId::new(text).is_err(), "{text:?}");
        for addr_type in ["rfc822", "utf-8", text] {
            assert!(OriginalRecipient::new(addr_type, text).is_err(), "{addr_type:?} {text:?}");
        }
        assert!(text.parse::<Notify>().is_err() && Address::parse_utf8(text).is_err(), "{text:?}");
    }
    // What could end the parameter is encoded.
    let (mut session, _) = ready_at("250-mx.example\n250-AUTH PLAIN\n250 DSN", config());
    let mut with_parameters = envelope();
    with_parameters.envid = Some(EnvelopeId::new("a b=c+> RET=FULL").unwrap());
    with_parameters.submitter = Some(Submitter::Mailbox(Address::parse(r#""x SIZE=1>"@c.example"#).unwrap()));
    session.answer(Time::ZERO, Answer::Send(with_parameters)).unwrap();
    let line = b"MAIL FROM:<a@c.example> ENVID=a+20b+3Dc+2B>+20RET+3DFULL AUTH=\"x+20SIZE+3D1>\"@c.example\r\n";
    assert_eq!(session.output(), line, "{}", session.output().escape_ascii());
    // What can be quoted goes through with its quotes.
    let (mut session, _) = ready(config());
    let from = Address::parse(r#""x> RCPT TO:<y"@c.example"#).unwrap();
    let envelope = Envelope::new(from.into(), [Address::parse("u@own.example").unwrap()]);
    session.answer(Time::ZERO, Answer::Send(envelope)).unwrap();
    assert_eq!(session.output(), b"MAIL FROM:<\"x> RCPT TO:<y\"@c.example>\r\n");
}

#[test]
fn misuse_changes_nothing() {
    let mut session = ClientSession::new(config());
    assert_eq!(session.answer(Time::ZERO, Answer::Quit), Err(Misuse::NoOpenQuestion));
    assert!(session.upgraded(Time::ZERO, pillarbox_core::LayerFacts::Deflate).is_err());
    let (mut session, _) = ready(config());
    for answer in [Answer::Body(b"x"), Answer::BodyEnd, Answer::Abort] {
        assert!(matches!(session.answer(Time::ZERO, answer), Err(Misuse::WrongAnswer { question: "Ready", .. })));
    }
    let mut nobody = envelope();
    nobody.recipients.clear();
    assert!(session.answer(Time::ZERO, Answer::Send(nobody)).is_err());
    assert_eq!((session.output(), session.room(), session.deadline()), (&b""[..], 0, None));
    session.answer(Time::ZERO, Answer::Send(envelope())).unwrap();
    assert_eq!(session.answer(Time::ZERO, Answer::Quit), Err(Misuse::NoOpenQuestion));
    assert_eq!(session.output(), b"MAIL FROM:<a@c.example>\r\n");
}

/// A session that was asked for the message.
fn in_body(config: ClientConfig) -> ClientSession {
    let (mut session, _) = ready(config);
    session.answer(Time::ZERO, Answer::Send(envelope())).unwrap();
    for line in ["250 ok", "250 ok", "354 go"] {
        session.consume_output(Time::ZERO, usize::MAX);
        say(&mut session, line);
    }
    session.consume_output(Time::ZERO, usize::MAX);
    session
}

#[test]
fn the_output_never_passes_its_limit() {
    let mut small = config();
    small.limits.output_max = 1024;
    for octet in [b'\n', b'\r', b'.', b'x'] {
        let mut session = in_body(small.clone());
        let mut sent = Vec::new();
        for round in 0..200 {
            let room = session.room();
            let body = vec![octet; room + 1];
            assert_eq!(
                session.answer(Time::ZERO, Answer::Body(&body)),
                Err(Misuse::TooLong { what: "a piece of the message" })
            );
            session.answer(Time::ZERO, Answer::Body(&body[1..])).unwrap();
            assert!(session.output().len() <= 1024);
            // Flushed now and then, wholly or in part.
            let n = [0, 100, 2000][round % 3];
            sent.extend_from_slice(&session.output()[..n.min(session.output().len())]);
            session.consume_output(Time::ZERO, n);
        }
        session.answer(Time::ZERO, Answer::BodyEnd).unwrap();
        sent.extend_from_slice(session.output());
        assert!(sent.len() > 30_000 && sent.ends_with(b"\r\n.\r\n"));
        let bare = |at: usize| match sent[at] {
            b'\n' => at == 0 || sent[at - 1] != b'\r',
            b'\r' => sent.get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        assert!(!(0..sent.len()).any(bare));
        assert_eq!(sent.windows(5).filter(|window| window == b"\r\n.\r\n").count(), 1);
    }
}

#[test]
fn the_clock_of_the_message_runs_with_the_output() {
    let seconds = |n| Time::from_origin(Duration::from_secs(n));
    let mut session = in_body(config());
    assert_eq!(session.deadline(), None, "while the embedder thinks, no time runs");
    session.answer(seconds(1000), Answer::Body(b"one\r\ntwo\r\n")).unwrap();
    assert_eq!(session.deadline(), Some(seconds(1180)));
    session.consume_output(seconds(1100), 3);
    assert_eq!(session.deadline(), Some(seconds(1280)));
    session.consume_output(seconds(1200), usize::MAX);
    assert_eq!(session.deadline(), None);
    session.answer(seconds(1300), Answer::BodyEnd).unwrap();
    assert_eq!(session.deadline(), Some(seconds(1480)));
    session.consume_output(seconds(1400), usize::MAX);
    assert_eq!(session.deadline(), Some(seconds(2000)));
    session.handle_timeout(seconds(1999));
    assert_eq!(say(&mut session, ""), []);
    session.handle_timeout(seconds(2000));
    let events = say(&mut session, "");
    assert!(
        matches!(&events[..], [Event::Sent(outcomes), Event::Failed(_)] if outcomes[..] == [RecipientOutcome::Later(None)])
    );
}

#[test]
fn an_end_mark_that_did_not_leave_cannot_be_answered() {
    let mut session = in_body(config());
    session.answer(Time::ZERO, Answer::Body(b"half\r\n")).unwrap();
    session.answer(Time::ZERO, Answer::BodyEnd).unwrap();
    session.consume_output(Time::ZERO, 4);
    let events = say(&mut session, "250 kept");
    assert!(
        matches!(&events[..], [Event::Sent(outcomes), Event::Failed(_)] if outcomes[..] == [RecipientOutcome::Later(None)])
    );
    assert_eq!(session.output(), b"", "the end mark is not sent any more");
}

#[test]
fn a_reply_that_began_too_early_is_no_answer() {
    let (mut session, _) = ready(config());
    let mut input = &b"25"[..];
    assert_eq!(session.poll(Time::ZERO, &mut input), Step::NeedAnswer);
    session.answer(Time::ZERO, Answer::Send(envelope())).unwrap();
    session.consume_output(Time::ZERO, usize::MAX);
    let events = say(&mut session, "250 ok");
    assert!(matches!(&events[..], [Event::Sent(_), Event::Failed(_)]), "{events:?}");
}

#[test]
fn shut_down_waits_for_nothing_but_the_final_reply() {
    // Before anything was said.
    let mut session = ClientSession::new(config());
    session.shut_down(Time::ZERO);
    assert_eq!(session.deadline(), Some(Time::from_origin(Duration::from_secs(20))));
    assert_eq!(say(&mut session, "220 mx.example"), []);
    assert_eq!(session.output(), b"QUIT\r\n");
    // A question is taken back.
    let (mut session, _) = ready(config());
    session.shut_down(Time::ZERO);
    assert_eq!(session.answer(Time::ZERO, Answer::Send(envelope())), Err(Misuse::NoOpenQuestion));
    assert_eq!(session.output(), b"QUIT\r\n");
    // In the middle of the commands.
    let (mut session, _) = ready(config());
    session.answer(Time::ZERO, Answer::Send(envelope())).unwrap();
    session.consume_output(Time::ZERO, usize::MAX);
    session.shut_down(Time::ZERO);
    assert_eq!(session.deadline(), Some(Time::from_origin(Duration::from_secs(20))));
    assert_eq!(say(&mut session, "250 ok"), [Event::Sent(vec![RecipientOutcome::Later(None)])]);
    assert_eq!(session.output(), b"QUIT\r\n");
    // While the handshake is made.
    let mut session = upgrading();
    session.shut_down(Time::ZERO);
    session.upgraded(Time::ZERO, tls()).unwrap();
    assert_eq!(session.output(), b"QUIT\r\n");
    // Half a message is never ended.
    let mut session = in_body(config());
    session.answer(Time::ZERO, Answer::Body(b"half\r\n")).unwrap();
    session.shut_down(Time::ZERO);
    let later = Event::Sent(vec![RecipientOutcome::Later(None)]);
    assert_eq!(say(&mut session, ""), [Event::BodyRefused { reply: None }, later]);
    assert_eq!(session.output(), b"");
    // A whole one may be delivered, so its reply is waited for.
    let mut session = in_body(config());
    session.answer(Time::ZERO, Answer::BodyEnd).unwrap();
    session.consume_output(Time::ZERO, usize::MAX);
    session.shut_down(Time::ZERO);
    assert_eq!(session.deadline(), Some(Time::from_origin(Duration::from_secs(600))));
    let events = say(&mut session, "250 kept");
    assert!(matches!(&events[..], [Event::Sent(outcomes)] if matches!(outcomes[..], [RecipientOutcome::Delivered(_)])));
    assert_eq!(session.output(), b"QUIT\r\n");
    session.consume_output(Time::ZERO, usize::MAX);
    assert_eq!(say(&mut session, "221 bye"), []);
    assert_eq!(session.close_reason(), Some(pillarbox_smtp::client::CloseReason::ShutDown));
}

#[test]
fn nothing_is_timed_behind_the_end() {
    // The goodbye was answered, or our side stopped while a piece of the message waited.
    let (mut session, _) = ready(config());
    session.answer(Time::ZERO, Answer::Quit).unwrap();
    session.consume_output(Time::ZERO, usize::MAX);
    say(&mut session, "221 bye");
    assert!(session.close_reason().is_some() && session.deadline().is_none());
    let mut session = in_body(config());
    session.answer(Time::ZERO, Answer::Body(b"half\r\n")).unwrap();
    session.shut_down(Time::ZERO);
    assert!(session.close_reason().is_some() && session.deadline().is_none());
}

#[test]
fn the_end_mark_has_its_place_in_the_output() {
    let mut small = config();
    small.limits.output_max = 1024;
    for (fill, end) in [(b'\n', b'\n'), (b'\n', b'x'), (b'\n', b'\r'), (b'.', b'.'), (b'\r', b'\r')] {
        let mut session = in_body(small.clone());
        while session.room() > 0 {
            let mut body = vec![fill; session.room()];
            *body.last_mut().unwrap() = end;
            session.answer(Time::ZERO, Answer::Body(&body)).unwrap();
        }
        session.answer(Time::ZERO, Answer::BodyEnd).unwrap();
        assert!(session.output().len() <= 1024, "{fill} {end}: {}", session.output().len());
    }
}

#[test]
fn no_injected_byte_survives_the_handshake() {
    // The bytes come with the reply, or before the handshake begins.
    for later in [false, true] {
        let mut required = config();
        required.starttls = StartTls::Required;
        let mut session = ClientSession::new(required);
        for line in ["220 mx.example", "250-mx.example\n250 STARTTLS"] {
            say(&mut session, line);
            session.consume_output(Time::ZERO, usize::MAX);
        }
        let events = if later {
            say(&mut session, "220 go");
            assert!(matches!(session.poll(Time::ZERO, &mut &b""[..]), Step::Upgrade(_)));
            say(&mut session, "250 AUTH PLAIN")
        } else {
            say(&mut session, "220 go\n250 AUTH PLAIN")
        };
        assert!(matches!(&events[..], [Event::Failed(failure)] if failure.is_temporary()), "{events:?}");
        assert_eq!(session.poll(Time::ZERO, &mut &b""[..]), Step::Closed);
        assert_eq!(session.output(), b"");
    }
}

/// A session that has the go-ahead for the handshake.
fn upgrading() -> ClientSession {
    let mut session = ClientSession::new(config());
    for line in ["220 mx.example", "250-mx.example\n250-AUTH PLAIN\n250 STARTTLS", "220 go"] {
        say(&mut session, line);
        session.consume_output(Time::ZERO, usize::MAX);
    }
    session
}

fn tls() -> pillarbox_core::LayerFacts {
    pillarbox_core::LayerFacts::Tls(pillarbox_core::TlsFacts::new("TLSv1.3", "TLS_AES_128_GCM_SHA256"))
}

#[test]
fn nothing_learned_in_clear_is_known_over_tls() {
    let mut session = upgrading();
    assert!(session.capabilities().has("AUTH") && session.tls().is_none());
    session.upgraded(Time::ZERO, tls()).unwrap();
    assert!(!session.capabilities().has("AUTH") && session.tls().is_some());
    session.consume_output(Time::ZERO, usize::MAX);
    say(&mut session, "502 no EHLO over TLS");
    assert_eq!(session.output(), b"HELO c.example\r\n");
}

#[test]
fn a_message_is_what_its_envelope_says() {
    for (body, piece, is_taken) in [
        (BodyKind::SevenBit, &b"zo\xc3\xab"[..], false),
        (BodyKind::SevenBit, b"zoe", true),
        (BodyKind::EightBitMime, b"zo\xc3\xab", true),
    ] {
        for chunking in [false, true] {
            let mut config = config();
            config.chunking = chunking;
            let (mut session, _) = ready_at("250-mx.example\n250-8BITMIME\n250 CHUNKING", config);
            let mut envelope = envelope();
            envelope.body = body;
            session.answer(Time::ZERO, Answer::Send(envelope)).unwrap();
            for line in ["250 ok", "250 ok", "354 go"] {
                session.consume_output(Time::ZERO, usize::MAX);
                if !matches!(session.poll(Time::ZERO, &mut &b""[..]), Step::Event(Event::NeedBody) | Step::NeedAnswer) {
                    say(&mut session, line);
                }
            }
            let answered = session.answer(Time::ZERO, Answer::Body(piece));
            let wrong = Misuse::ForbiddenOctet { what: "a message of 7 bits" };
            assert_eq!(answered, if is_taken { Ok(()) } else { Err(wrong) }, "{body:?} {chunking}");
        }
    }
}

/// A chunk enters the output whole or not at all, and what is held besides is a chunk at most.
#[test]
fn chunks_have_their_place_in_the_output() {
    for (chunk_max, output_max) in [(512, 1024), (100_000, 1024), (600, 5000), (0, 0)] {
        let mut config = config();
        (config.chunking, config.limits.chunk_max, config.limits.output_max) = (true, chunk_max, output_max);
        let (mut session, _) = ready_at("250-mx.example\n250-PIPELINING\n250 CHUNKING", config);
        session.answer(Time::ZERO, Answer::Send(envelope())).unwrap();
        say(&mut session, "");
        session.consume_output(Time::ZERO, usize::MAX);
        assert_eq!(say(&mut session, "250 ok\n250 ok").len(), 1);
        let mut taken = 0;
        // Nobody reads: it comes to an end, whatever a line end becomes.
        while session.room() > 0 {
            let piece = vec![b'\n'; session.room()];
            session.answer(Time::ZERO, Answer::Body(&piece)).unwrap();
            taken += piece.len();
            assert!(session.output().len() <= output_max.max(1024), "{}", session.output().len());
        }
        assert!(2 * taken <= output_max.max(1024) + chunk_max.max(512), "{taken} {chunk_max} {output_max}");
        session.answer(Time::ZERO, Answer::BodyEnd).unwrap();
        let mut sent = 0;
        for _ in 0..10 {
            sent += session.output().iter().filter(|octet| **octet == b'\n').count();
            session.consume_output(Time::ZERO, usize::MAX);
        }
        // Every line end, and that of each command.
        assert!(sent > taken && sent < taken + 20, "{sent} {taken}");
    }
}
