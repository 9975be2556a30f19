//! Commands as they come, and as they must not.

use super::*;
use crate::server::BodyKind;
use alloc::format;
use alloc::string::ToString;

#[track_caller]
fn code(line: &str) -> u16 {
    parse(line.as_bytes()).expect_err(line).reply().code()
}

#[test]
fn verbs_are_whole_words() {
    for line in ["", "MAILFROM:<a@b.example>", "QUITX", "RSET\u{e9}", "X", "BDAT3", ".", "DATA\t"] {
        assert!(matches!(parse(line.as_bytes()), Err(CommandError::Unknown | CommandError::Octet)), "{line}");
    }
}

#[test]
fn controls_are_refused_anywhere() {
    for line in ["EH\rLO x", "NOOP \0", "MAIL FROM:<a\r@b.example>", "MAIL FROM:<a@b.example> SIZE=\r1\r2", "NOOP\t"] {
        assert_eq!(parse(line.as_bytes()), Err(CommandError::Octet), "{line:?}");
    }
    assert_eq!(parse(b"RCPT TO:<a\x7f@b.example>"), Err(CommandError::Octet));
    assert_eq!(parse(b"NOOP \xff"), Err(CommandError::Octet));
    assert_eq!(parse(b"RCPT TO:<a\xff@b.example>").unwrap_err().reply().code(), 553);
}

#[test]
fn sizes_of_chunks() {
    for (line, size, last) in [
        ("BDAT 0", 0, false),
        ("bdat 7 last", 7, true),
        ("BDAT 007  LAST ", 7, true),
        ("BDAT 18446744073709551615", u64::MAX, false),
        ("BDAT 18446744073709551617 LAST", u64::MAX, true),
        ("BDAT 999999999999999999999990", u64::MAX, false),
    ] {
        assert_eq!(parse(line.as_bytes()), Ok(Command::Bdat { size, last }), "{line}");
    }
    for line in
        ["BDAT", "BDAT x", "BDAT -1", "BDAT +1", "BDAT 0x10", "BDAT 1.0", "BDAT LAST", "BDAT 5 FIRST", "BDAT 5 LAST 6"]
    {
        assert_eq!(parse(line.as_bytes()), Err(CommandError::ChunkSize), "{line}");
    }
}

#[test]
fn paths_and_their_spaces() {
    for line in ["MAIL FROM:<a@b.example>", "mail from: <a@b.example>", "MAIL  FROM:<a@b.example>  "] {
        let Ok(Command::Mail(mail)) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(mail.from.to_string(), "<a@b.example>");
    }
    for line in ["MAIL", "MAIL FROM", "MAIL FROM <a@b.example>", "MAIL TO:<a@b.example>", "RCPT FROM:<a@b.example>"] {
        assert_eq!(code(line), 501, "{line}");
    }
    for line in ["MAIL FROM:a@b.example", "MAIL FROM:", "RCPT TO:<>", "RCPT TO:<a@b..example>"] {
        assert_eq!(code(line), 501, "{line}");
    }
}

#[test]
fn parameters_of_mail() {
    let line = b"MAIL FROM:<> BODY=8bitmime SIZE=00012 AUTH=e+3Dmc2@example.com";
    let Ok(Command::Mail(mail)) = parse(line) else { panic!() };
    assert!(mail.from.is_null());
    assert_eq!((mail.size, mail.body), (Some(12), BodyKind::EightBitMime));
    assert_eq!(mail.auth.as_deref(), Some("e=mc2@example.com"));
    let Ok(Command::Mail(mail)) = parse(b"MAIL FROM:<> AUTH=<> SIZE=99999999999999999999") else { panic!() };
    assert_eq!((mail.auth.as_deref(), mail.size), (Some(""), Some(u64::MAX)));

    let wrong = [
        "SIZE",
        "SIZE=",
        "SIZE=-1",
        "SIZE=+1",
        "SIZE=1x",
        "SIZE=999999999999999999999990",
        "SIZE=1 SIZE=1",
        "BODY",
        "BODY=9BIT",
        "BODY=7BIT BODY=7BIT",
        "AUTH",
        "AUTH=a",
        "AUTH=a+zz@b.example",
        "AUTH=a+0D@b.example",
        "AUTH=<> AUTH=<>",
        "=1",
        "-X=1",
        "SIZE==1",
        "S\u{e9}=1",
    ];
    for parameter in wrong {
        assert_eq!(code(&format!("MAIL FROM:<a@b.example> {parameter}")), 501, "{parameter}");
    }
    assert_eq!(code("MAIL FROM:<a@b.example>SIZE=1"), 501);
    assert_eq!(code("MAIL FROM:<a@b.example> X-OTHER=1"), 555);
    assert_eq!(code("MAIL FROM:<a@b.example> NOTIFY=NEVER"), 555);
    assert_eq!(code("RCPT TO:<a@b.example> RET=FULL"), 555);
    assert_eq!(code("RCPT TO:<a@b.example> NOTIFY==NEVER"), 501);
}

#[test]
fn utf8_only_where_it_was_announced() {
    let Ok(Command::Mail(mail)) = parse("MAIL FROM:<zoë@b.example> smtputf8".as_bytes()) else { panic!() };
    assert!(mail.smtputf8);
    assert_eq!(mail.from.to_string(), "<zoë@b.example>");
    for (line, expected) in [
        ("MAIL FROM:<zoë@b.example>", 553),
        ("MAIL FROM:<zoë@b.example> SIZE=1", 553),
        ("MAIL FROM:<a@b.example> SMTPUTF8=yes", 501),
        ("MAIL FROM:<a@b.example> SMTPUTF8 SMTPUTF8", 501),
        ("MAIL FROM:<a@b.example> SMTPUTF8 X=é", 501),
        ("RCPT TO:<zoë@b.example>", 553),
        ("RCPT TO:<a@b.example> SMTPUTF8", 555),
        ("VRFY zoë", 501),
        ("VRFY SMTPUTF8", 0),
        ("VRFY zoë smtputf8", 0),
    ] {
        assert_eq!(parse(line.as_bytes()).map_or_else(|error| error.reply().code(), |_| 0), expected, "{line}");
    }
    assert_eq!(parse(b"MAIL FROM:<a\xff@b.example> SMTPUTF8").unwrap_err().reply().code(), 501);
    assert_eq!(parse_in(b"RCPT TO:<a\xff@b.example>", true).unwrap_err().reply().code(), 501);
    assert_eq!(parse(b"VRFY a\xff SMTPUTF8"), Err(CommandError::Octet));
    let Ok(Command::Rcpt(rcpt)) = parse_in("RCPT TO:<zoë@b.example>".as_bytes(), true) else { panic!() };
    assert_eq!(rcpt.to.to_string(), "<zoë@b.example>");
}

#[test]
fn host_names_that_could_break_a_received_field() {
    for name in ["a(b", "a)", "a;b", "a b", "<a>", "a\"", "a\\b", "a,b", "[127.0.0.1] by trusted", ""] {
        assert_eq!(code(&format!("EHLO {name}")), 501, "{name}");
    }
    assert_eq!(code(&format!("EHLO {}", "a".repeat(256))), 501);
    for name in ["a", "a_b.example", "[127.0.0.1]", "[IPv6:::1]", "192.0.2.1"] {
        assert!(parse(format!("EHLO {name}").as_bytes()).is_ok(), "{name}");
    }
}
