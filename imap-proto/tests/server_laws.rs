//! The laws of machines, on the IMAP session.

mod server_subject;

use std::sync::Arc;

use pillarbox_core::dialog::Config;
use pillarbox_core::laws::{Options, check, check_bytes, check_order, seeds, torture};
use pillarbox_core::{Step, Time};
use pillarbox_imap::server::{Answer, CloseReason, Event, Peer, ServerSession};
use server_subject::{ImapSubject, server_config};

const DIALOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs");

/// Options for a server with these `cfg:` settings.
fn options(settings: &str) -> Options {
    let mut options = Options::default();
    options.config = Config::of_text(settings).expect("the settings are in the grammar");
    // A line and the literals of a command.
    options.max_unread = 65_536 + (1 << 20);
    // A flight of the kit has at most 16 KiB, of which a command takes 6 octets and its answer less than 300.
    options.max_output = 1 << 20;
    options
}

#[test]
fn whole_sessions() {
    let flights: [&[u8]; 8] = [
        b"a CAPABILITY\r\nb STARTTLS\r\n",
        b"c AUTHENTICATE PLAIN\r\n",
        b"AGpvZQBzZWNyZXQ=\r\n",
        b"d SELECT INBOX\r\ne FETCH 1:* (FLAGS BODY[HEADER.FIELDS (\"x\")])\r\nf APPEND x (\\Seen) {5+}\r\nhello\r\n",
        b"g SEARCH {4}\r\nSEEN\r\nh STORE 1 +FLAGS \\Seen\r\ni NOOP\r\nj IDLE\r\n",
        b"DONE\r\nk UID COPY 1:2 y\r\nl LIST \"\" *\r\nm FROB\r\nn EXPUNGE\r\no CLOSE\r\n",
        b"p APPEND x {300}\r\nfewer than that",
        b"",
    ];
    let enabled: [&[u8]; 4] = [
        b"a LOGIN joe secret\r\nb ENABLE IMAP4rev2 UTF8=ACCEPT\r\nc SELECT \"\xC3\xBC\"\r\nd UID SEARCH RETURN (SAVE ALL MIN) ALL\r\n\
          e FETCH $ (BINARY[1] BINARY.SIZE[1])\r\nf MOVE $ x\r\ng SELECT INBOX\r\n",
        b"h APPEND x {3+}\r\nabc (\\Seen) ~{2+}\r\n\0\0 UTF8 (~{1+}\r\nx)\r\ni APPEND x {1+}\r\na {1+}\r\nb junk\r\nj NOOP\r\n",
        b"k LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a {1+}\r\nb) RETURN (STATUS (SIZE DELETED))\r\nl RENAME a b\r\n\
          m CREATE x (USE (\\Sent))\r\nn UNAUTHENTICATE\r\no NOOP\r\n",
        b"p LOGIN ann secret\r\nq APPEND x {1+}\r\na {300}\r\n",
    ];
    check(ImapSubject::default, &enabled, &options("with=UNAUTHENTICATE")).unwrap();
    check(ImapSubject::default, &enabled, &options("with=UNAUTHENTICATE output_high_water=50 messages=20")).unwrap();
    let compressed: [&[u8]; 3] = [
        b"a LOGIN joe secret\r\nb SELECT INBOX\r\nc COMPRESS DEFLATE\r\n",
        b"d FETCH 1:* BODY[]\r\ne COMPRESS DEFLATE\r\nf APPEND x {3+}\r\nabc\r\n",
        b"g LOGOUT\r\n",
    ];
    check(ImapSubject::default, &compressed, &options("with=COMPRESS")).unwrap();
    check(ImapSubject::default, &flights, &options("starttls")).unwrap();
    check(ImapSubject::default, &flights[1..], &options("line_max=40 literal_max=3")).unwrap();
    check(ImapSubject::default, &flights[1..], &options("output_high_water=1000 messages=50")).unwrap();
}

#[test]
fn one_answer_for_each_command() {
    let commands: [&[u8]; 22] = [
        b"a NOOP\r\n",
        b"a LOGIN joe secret\r\n",
        b"a XFOO\r\n",
        b"a SELECT INBOX\r\n",
        b"a FETCH 1 (FLAGS\r\n",
        b"a UID FETCH 1:* BODY[]\r\n",
        b"a APPEND INBOX {3+}\r\nabc\r\n",
        b"a APPEND INBOX {0+}\r\n\r\n",
        b"a APPEND INBOX {3+}\r\nabc {2+}\r\nde\r\n",
        b"a APPEND INBOX {3+}\r\nabc {99999999}\r\n",
        b"a APPEND INBOX {3+}\r\nabc junk\r\n",
        b"a SEARCH RETURN (SAVE) ALL\r\n",
        b"a MOVE $ x\r\n",
        b"a ENABLE IMAP4rev2\r\n",
        b"a LIST () \"\" () RETURN ()\r\n",
        b"a LIST {99999999}\r\n",
        b"a SEARCH ALL\r\n",
        b"a IDLE\r\nDONE\r\n",
        b"a STATUS x (MESSAGES)\r\n",
        b"a EXPUNGE\r\n",
        b"a CLOSE\r\n",
        b"a LOGOUT\r\n",
    ];
    check_order(ImapSubject::default, &commands, tagged, &options("")).unwrap();
}

/// Counts the tagged answers.
fn tagged(output: &[u8]) -> usize {
    output.split(|octet| *octet == b'\n').filter(|line| line.starts_with(b"a ")).count()
}

#[test]
fn mutated_dialogs() {
    let seeds = seeds(DIALOGS);
    for (settings, iterations) in [
        ("starttls auth=PLAIN,LOGIN", 500),
        ("bad_before_login=1000 bad_after_login=1000", 700),
        ("line_max=60", 300),
        ("with=UNAUTHENTICATE without=LITERAL+ bad_after_login=1000 append_messages_max=3", 500),
    ] {
        torture(ImapSubject::default, &seeds, iterations, &options(settings)).unwrap();
    }
}

#[test]
fn what_came_too_early_is_refused_however_it_is_cut() {
    for early in [&b"b LOGIN joe secret\r\n"[..], b"\x16\x03\x01"] {
        let line = b"a STARTTLS\r\n";
        let together = [&line[..], early].concat();
        check_bytes(ImapSubject::default, &together, &options("starttls")).unwrap();
        let (apart, reason) = play(&[line, early]);
        assert_eq!((apart.clone(), reason), play(&[&together]));
        assert!(apart.ends_with("* BYE Nothing may follow STARTTLS\r\n") && !apart.contains("a OK"), "{apart}");
        assert_eq!(reason, Some(CloseReason::Synchronisation));
    }
}

/// Shows pieces to a session whose output nobody takes; gives that output.
fn play(pieces: &[&[u8]]) -> (String, Option<CloseReason>) {
    let config = server_config(&options("starttls").config).unwrap();
    let mut session = ServerSession::new(Arc::new(config), Peer::default());
    for mut unread in pieces.iter().copied() {
        while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
            if !matches!(event, Event::Refused { .. }) {
                session.answer(Time::ZERO, Answer::Done).unwrap();
            }
        }
    }
    (String::from_utf8_lossy(session.output()).into_owned(), session.close_reason())
}
