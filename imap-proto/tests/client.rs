//! The client session against scripted servers, the laws of every machine, and what only shows with single calls.

mod client_subject;

use client_subject::Client;
use pillarbox_core::{Misuse, Step, Time, dialog, laws};
use pillarbox_imap::client::{Capabilities, ClientConfig, ClientSession, Command, Event, KnownMailbox};
use pillarbox_imap::types::{ModSeq, Uid, UidSet, UidValidity};
use proptest::prelude::*;

const DIALOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client-dialogs");

#[test]
fn dialogs() {
    dialog::play_dir(DIALOGS, Client::default);
}

fn law_options(settings: &str) -> laws::Options {
    let mut options = laws::Options::default();
    options.max_unread = 4096;
    options.max_output = 65_536;
    let text = format!("cfg: side=client script response=4096 {settings}\nEOF\n");
    options.config = dialog::parse("laws", &text).unwrap().config(1);
    options
}

const FLIGHTS: [&[u8]; 8] = [
    b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n",
    b"* CAPABILITY IMAP4rev1 ENABLE QRESYNC IDLE\r\nA1 OK done\r\n",
    b"* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\nA2 OK [READ-WRITE] selected\r\n",
    b"* 1 FETCH (UID 3 BODY[] {12}\r\na\r\nb)\r\n* OK\r\n FLAGS (\\Seen))\r\n* 2 FETCH (BODY[] \"x\" UID 4)\r\n",
    b"A3 OK fetched\r\n+ go ahead\r\n",
    b"A4 OK [APPENDUID 7 5] stored\r\n+ idling\r\n",
    b"* 3 EXISTS\r\nA5 OK done\r\n",
    b"* BYE see you\r\nA6 OK bye\r\n",
];

#[test]
fn laws_of_a_whole_session() {
    for end in 0..=FLIGHTS.len() {
        laws::check(Client::default, &FLIGHTS[..end], &law_options("enable=")).unwrap();
    }
}

proptest! {
    #[test]
    fn laws_whatever_a_server_says(
        words in prop::collection::vec(prop::sample::select(&[
            "* ", "A1 ", "A2 ", "OK ", "NO ", "+ ", "BYE ", "1 ", "FETCH ", "(UID 3 ", "BODY[] ", "{3}\r\n", "abc", ")", "\r\n",
            "\r\n", "\"x", "\"", "FLAGS (\\Seen) ", "EXISTS", "EXPUNGE", "[CAPABILITY IMAP4rev1 LITERAL+]", "LIST () \"/\" ",
            "{9999}\r\n", "SEARCH 1 2", "VANISHED (EARLIER) 1:3",
        ][..]), 0..40),
    ) {
        let input = words.concat();
        let greeted = format!("* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n{input}");
        laws::check_bytes(Client::default, greeted.as_bytes(), &law_options("")).unwrap();
        laws::check_bytes(Client::default, input.as_bytes(), &law_options("")).unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_refused_and_nothing_is_sent() {
    let now = Time::ZERO;
    let mut session = ClientSession::new(ClientConfig::default());
    for command in [
        Command::new("NOOP\r\nA9 LOGOUT"),
        Command::new("NOOP X"),
        Command::new(""),
        Command::new("UID"),
        Command::uid_fetch("1:*", "(FLAGS)\r\nA9 LOGOUT"),
        Command::uid_fetch("1:*", "BODY[] {5}"),
        Command::select("a\0b"),
        Command::uid_search("SUBJECT").string("a\0"),
        Command::uid_expunge(&UidSet::new()),
    ] {
        // UID alone is the name of nothing, and no harm.
        let is_harmless = command == Command::new("UID");
        let told = session.submit(now, command.clone());
        assert_eq!(matches!(told, Err(Misuse::ForbiddenOctet { .. })), !is_harmless, "{command:?}");
    }
    let mut input = &b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"[..];
    assert_eq!(session.poll(now, &mut input), Step::Event(Event::Ready));
    assert_eq!(session.output(), b"A1 UID\r\n");
}

#[test]
fn names_go_as_the_server_takes_them() {
    let now = Time::ZERO;
    for (offered, enabled, sent) in [
        ("IMAP4rev1", "", "Entw&APw-rfe"),
        ("IMAP4rev1 IMAP4rev2", "", "Entw&APw-rfe"),
        ("IMAP4rev1", "* ENABLED UTF8=ACCEPT\r\n", "\"Entwürfe\""),
        ("IMAP4rev1 IMAP4rev2", "* ENABLED IMAP4rev2\r\n", "\"Entwürfe\""),
        // RFC 9051 §6.1.1: nothing has to be enabled where there is nothing else.
        ("IMAP4rev2", "", "\"Entwürfe\""),
    ] {
        let mut session = ClientSession::new(ClientConfig::default());
        let greeting = format!("* PREAUTH [CAPABILITY {offered}] hi\r\n{enabled}");
        let mut input = greeting.as_bytes();
        while session.poll(now, &mut input) != Step::NeedInput {}
        session.submit(now, Command::select("Entwürfe")).unwrap();
        assert_eq!(session.output(), format!("A1 SELECT {sent}\r\n").as_bytes());
    }
}

#[test]
fn what_is_known_is_told_as_far_as_a_line_holds_it() {
    let uid = |number: u32| Uid::new(number).unwrap();
    for (count, is_told) in [(3, true), (3000, false)] {
        let known = KnownMailbox {
            uid_validity: UidValidity::new(7).unwrap(),
            mod_seq: ModSeq::new(9).unwrap(),
            uids: (1..=count).map(|number| uid(number * 2)).collect(),
        };
        let mut session = ClientSession::new(ClientConfig::default());
        let mut input = &b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"[..];
        while session.poll(Time::ZERO, &mut input) != Step::NeedInput {}
        session.submit(Time::ZERO, Command::select("INBOX").qresync(&known)).unwrap();
        let sent = if is_told { "7 9 2,4,6" } else { "7 9" };
        assert_eq!(session.output(), format!("A1 SELECT INBOX (QRESYNC ({sent}))\r\n").as_bytes());
    }
}

#[test]
fn capabilities_of_any_length_are_not_kept() {
    let text = format!("IDLE {} {}", "x".repeat(256), "y".repeat(257));
    assert!(Capabilities::parse(text.as_bytes()).words().eq(["IDLE", &*"x".repeat(256)]));
}

#[test]
fn what_lies_under_the_session_is_not_changed_by_hand() {
    let now = Time::ZERO;
    let refused = |told| matches!(told, Err(Misuse::ForbiddenCommand { .. }));
    let mut session = ClientSession::new(ClientConfig::default());
    let mut input = &b"* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE STARTTLS UNAUTHENTICATE] hi\r\n"[..];
    while session.poll(now, &mut input) != Step::NeedInput {}
    assert!(refused(session.submit(now, Command::new("starttls"))));
    assert!(refused(session.submit(now, Command::new("COMPRESS").raw("DEFLATE"))));
    assert_eq!(session.output(), b"");
    let told = session.submit(now, Command::new("STARTTLS")).unwrap_err().to_string();
    assert_eq!(told, "STARTTLS cannot be submitted: the session sends it by itself, as its configuration says");
    assert!(session.submit(now, Command::new("UNAUTHENTICATE")).is_ok());

    // Compression would end in the middle of what both sides send (RFC 8437 §4.1).
    let mut config = ClientConfig::default();
    config.compress = true;
    config.enable.clear();
    let mut session = ClientSession::new(config);
    assert!(refused(session.submit(now, Command::new("UNAUTHENTICATE"))));
    let mut input = &b"* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] hi\r\n"[..];
    while session.poll(now, &mut input) != Step::NeedInput {}
    session.consume_output(now, usize::MAX);
    let mut input = &b"A1 OK active\r\n"[..];
    while !matches!(session.poll(now, &mut input), Step::Upgrade(_)) {}
    session.upgraded(now, pillarbox_core::LayerFacts::Deflate).unwrap();
    assert!(session.is_compressed() && refused(session.submit(now, Command::new("UNAUTHENTICATE"))));
    // It was wished for, and there is none.
    let mut config = ClientConfig::default();
    config.compress = true;
    let mut session = ClientSession::new(config);
    let mut input = &b"* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"[..];
    while session.poll(now, &mut input) != Step::NeedInput {}
    assert!(session.submit(now, Command::new("UNAUTHENTICATE")).is_ok());
}
