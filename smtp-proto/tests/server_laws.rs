//! The laws of machines, on the server session.

mod server_subject;

use std::sync::Arc;

use pillarbox_core::dialog::parse;
use pillarbox_core::laws::{Options, check, check_bytes, check_order, seeds, torture};
use pillarbox_core::{Step, Time};
use pillarbox_smtp::server::{Answer, CloseReason, Event, Peer, ServerSession};
use server_subject::{ServerSubject, server_config};

const DIALOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs");

/// Options for a server with these `cfg:` settings.
fn options(settings: &str) -> Options {
    let mut options = Options::default();
    options.config =
        parse("options", &format!("cfg: {settings}\n")).expect("the settings are in the grammar").config(1);
    options.max_unread = 64 * 1024;
    // A flight of the kit has at most 16 KiB, of which a command takes 6 octets and its reply less than 100.
    options.max_output = 512 * 1024;
    options
}

const SMALL: &str =
    "message_size_max=20 refused_size_max=0 field_size_max=12 header_size_max=16 fields_max=2 received_max=1";
const EVERYTHING: &str = "tls xclient xforward etrn expn smtputf8 dsn binary_mime require_tls deliver_by=60 mt_priority=p \
    tell_limits mails_max=4 recipient_domains_max=2 mail_parameters=X-A rcpt_parameters=X-B";
const SUBMISSION: &str = "starttls auth=PLAIN,LOGIN auth_without_tls message_size_max=2000 recipients_max=3";

#[test]
fn whole_sessions() {
    let flights: [&[u8]; 9] = [
        b"EHLO c.example\r\n",
        b"MAIL FROM:<a@c.example> SIZE=10\r\nRCPT TO:<joe@mx.example>\r\nNOOP\r\nXFOO\r\nRCPT TO:<>\r\nDATA\r\n",
        b"Subject: x\r\n\r\n..one\r\n.two\nthree\rfour\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n",
        b".\r\nSTARTTLS\r\n",
        b"EHLO c.example\r\n",
        b"AUTH LOGIN\r\n",
        b"am9l\r\n",
        b"c2VjcmV0\r\n",
        b"MAIL FROM:<a@c.example>\r\nQUIT\r\n",
    ];
    check(ServerSubject::default, &flights, &options(SUBMISSION)).unwrap();
    check(ServerSubject::default, &flights[..4], &options("bare_newlines=reject")).unwrap();
    check(ServerSubject::default, &flights, &options("protocol=lmtp")).unwrap();
    let chunks: [&[u8]; 3] = [
        b"EHLO c.example\r\n",
        b"BDAT 6\r\nQUIT\r\nMAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<joe@mx.example>\r\nBDAT 4\r\na\n.\rBDAT 2 LAST\r\n\r\nRSET\r\n",
        b"MAIL FROM:<>\r\nRCPT TO:<joe@mx.example>\r\nBDAT 4\r\na\n.\rBDAT 3\r\n\n\rbBDAT 1 LAST\r\n\rBDAT 2\r\n\r\nNOOP\r\nQUIT\r\n",
    ];
    // Whichever of its limits a header passes, where it does so does not depend on the cuts.
    for limits in [
        "received_max=0",
        "field_size_max=12 fields_max=2",
        "field_size_max=11 header_size_max=11",
        "header_size_max=12 fields_max=1",
        "message_size_max=14 header_size_max=13",
        "message_size_max=3",
    ] {
        let header = b"Received: x\r\nSubject: y\r\n z\r\n\r\n..\r\n.\r\nRSET\r\n";
        let flights = [flights[0], flights[1], header];
        check(ServerSubject::default, &flights, &options(limits)).unwrap();
    }
    for settings in ["binary_mime", "bare_newlines=reject", "no_chunking", "protocol=lmtp", "message_size_max=5"] {
        check(ServerSubject::default, &chunks, &options(settings)).unwrap();
    }
    let rare: [&[u8]; 6] = [
        b"ETRN c.example\r\nXFORWARD ADDR=192.0.2.7\r\nVERB\r\nXCLIENT ADDR=IPV6:2001:db8::7 LOGIN=joe\r\n",
        b"MAIL FROM:<>\r\nXCLIENT ADDR\r\n",
        b"EHLO c.example\r\n",
        b"EXPN staff\r\nXFORWARD SOURCE=LOCAL\r\nMAIL FROM:<a@c.example> REQUIRETLS BY=60;R MT-PRIORITY=2 X-A=1\r\n\
            RCPT TO:<a@one.example> X-B\r\nRCPT TO:<a@two.example>\r\nRCPT TO:<a@three.example>\r\nXCLIENT ADDR=192.0.2.7\r\n",
        b"RSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\nMAIL FROM:<>\r\nRSET\r\n",
        b"MAIL FROM:<>\r\nNOOP\r\n",
    ];
    check(ServerSubject::default, &rare, &options(EVERYTHING)).unwrap();
    check(ServerSubject::default, &rare, &options("submission future_release=60 stress")).unwrap();
    let lmtp: [&[u8]; 3] = [
        b"LHLO c.example\r\n",
        b"MAIL FROM:<>\r\nRCPT TO:<a@mx.example>\r\nRCPT TO:<b@mx.example>\r\nDATA\r\n",
        b"hello\r\n.\r\nQUIT\r\n",
    ];
    check(ServerSubject::default, &lmtp, &options("protocol=lmtp")).unwrap();
}

#[test]
fn one_reply_for_each_command() {
    let commands: [&[u8]; 13] = [
        b"NOOP\r\n",
        b"XFOO\r\n",
        b"MAIL FROM:<a@c.example>\r\n",
        b"RCPT TO:<b@c.example>\r\n",
        b"VRFY joe\r\n",
        b"EXPN joe\r\n",
        b"HELP\r\n",
        b"\r\n",
        b"RSET\r\n",
        b"NOOP \0\r\n",
        b"RSET now\r\n",
        b"VRFY\r\n",
        b"QUIT\r\n",
    ];
    check_order(ServerSubject::default, &commands, final_replies, &options("error_delay=0")).unwrap();
}

/// Counts the lines whose code is followed by a space.
fn final_replies(output: &[u8]) -> usize {
    output.split(|octet| *octet == b'\n').filter(|line| line.get(3) == Some(&b' ')).count()
}

#[test]
fn mutated_dialogs() {
    let seeds = seeds(DIALOGS);
    for (settings, iterations) in [
        (SUBMISSION, 600),
        ("tls auth=PLAIN,LOGIN auth_required", 300),
        ("protocol=lmtp", 300),
        (SMALL, 300),
        ("binary_mime", 300),
        (EVERYTHING, 300),
        ("submission future_release=60 deliver_by=0 stress", 300),
    ] {
        torture(ServerSubject::default, &seeds, iterations, &options(settings)).unwrap();
    }
}

#[test]
fn what_came_too_early_is_refused_however_it_is_cut() {
    // Shown with the line, in the middle of our reply, or before it was flushed.
    for (before, early) in [
        (&b"EHLO c.example\r\n"[..], &b"NOOP\r\n"[..]),
        (b"HELO c.example\r\n", b"NOOP\r\n"),
        (b"STARTTLS\r\n", b"\x16\x03\x01"),
        (b"DATA\r\n", b".\r\n"),
        (b"AUTH LOGIN\r\n", b"am9l\r\n"),
        (b"XCLIENT ADDR=192.0.2.7\r\n", b"EHLO c.example\r\n"),
    ] {
        let together = [before, early].concat();
        check_bytes(ServerSubject::default, &together, &options(&format!("{SUBMISSION} xclient"))).unwrap();
        let (apart, reason) = play(&[before, early]);
        assert_eq!((apart.clone(), reason), play(&[&together]), "{}", together.escape_ascii());
        assert!(
            apart.ends_with("554 5.5.0 You sent more before you read the reply that you had to wait for\r\n"),
            "{apart}"
        );
        assert_eq!(reason, Some(CloseReason::Synchronisation));
    }
}

/// Shows pieces to a session whose output nobody takes; gives that output.
fn play(pieces: &[&[u8]]) -> (String, Option<CloseReason>) {
    let config = server_config(&options(SUBMISSION).config).unwrap();
    let mut peer = Peer::default();
    peer.may_xclient = true;
    let mut session = ServerSession::new(Arc::new(config), peer);
    for mut unread in pieces.iter().copied() {
        while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
            if !matches!(event, Event::Refused { .. } | Event::XClient(_)) {
                session.answer(Time::ZERO, Answer::Accept).unwrap();
            }
        }
    }
    (String::from_utf8_lossy(session.output()).into_owned(), session.close_reason())
}
