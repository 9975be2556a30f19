//! Notices about delivery: what is told, and that nothing in it can break out of its place.

use pillarbox::dsn::{Action, Notice, NoticeMail, RecipientReport};
use pillarbox_core::address::Address;
use pillarbox_core::header::{self, Fields};
use pillarbox_core::{SeededRandom, WallTime};
use pillarbox_smtp::client::OriginalRecipient;
use pillarbox_smtp::server::{Notify, Ret};
use proptest::prelude::*;

fn epoch() -> WallTime {
    WallTime::new(0, 0)
}

fn address(text: &str) -> Address<'_> {
    Address::parse_utf8(text).unwrap()
}

/// Type, encoding and decoded octets.
type Part = (String, String, Vec<u8>);

/// The top header, and each part of the report as its type, its encoding and its decoded octets.
fn parts(mail: &NoticeMail) -> (Vec<u8>, Vec<Part>) {
    let (top, body) = header::split(&mail.octets);
    let kind = value(top, "Content-Type");
    let boundary = kind.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    let text = body.to_vec();
    let marker = format!("\r\n--{boundary}");
    // The first boundary has no line before it but the end of the header.
    let whole = [b"\r\n", &text[..]].concat();
    let mut pieces = Vec::new();
    let mut rest = &whole[..];
    while let Some(at) = memchr::memmem::find(rest, marker.as_bytes()) {
        pieces.push(&rest[..at]);
        rest = &rest[at + marker.len()..];
    }
    assert_eq!(rest, b"--\r\n", "nothing behind the last boundary");
    assert_eq!(pieces.remove(0).trim_ascii(), b"", "nothing before the first");
    let parts = pieces.into_iter().map(|piece| {
        let piece = piece.strip_prefix(b"\r\n").unwrap();
        let (head, octets) = header::split(piece);
        let encoding = value(head, "Content-Transfer-Encoding");
        let decoded = match encoding.as_str() {
            "quoted-printable" => unquoted(octets),
            "base64" => {
                use base64::Engine as _;
                let text: Vec<u8> = octets.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
                base64::engine::general_purpose::STANDARD.decode(text).unwrap()
            }
            _ => octets.to_vec(),
        };
        (value(head, "Content-Type"), encoding, decoded)
    });
    (top.to_vec(), parts.collect())
}

fn unquoted(octets: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(octets.to_vec()).unwrap().replace("=\r\n", "");
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((octet, more)) = rest.split_first() {
        rest = more;
        if *octet == b'=' {
            out.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
            rest = &rest[2..];
        } else {
            out.push(*octet);
        }
    }
    out
}

fn value(header: &[u8], name: &str) -> String {
    let mut fields = Fields::new(header).filter(|field| field.name_is(name));
    let value = fields.next().map(|field| String::from_utf8(field.unfolded().trim_ascii().to_vec()).unwrap());
    assert!(fields.next().is_none(), "{name} twice");
    value.unwrap_or_default()
}

fn text(part: &Part) -> String {
    String::from_utf8(part.2.clone()).unwrap()
}

// RFC 3464 §6, RFC 3461 §6.2
#[test]
fn a_failure_for_people_and_for_machines() {
    let (from, to) = (address("MAILER-DAEMON@mx.example"), address("ann@example.org"));
    let (joe, eve) = (address("joe@example.com"), address("\"e v\"@example.net"));
    let original = OriginalRecipient::new("rfc822", "joe+list@own.example").unwrap();
    let message = b"From: ann@example.org\r\nSubject: Hello\r\n\r\nAre you there?\r\n";
    let mut notice = Notice::new("mx.example", &from, &to, epoch(), "77@mx.example", message);
    notice.envelope_id = Some("QQ+314");
    notice.arrival = Some(WallTime::new(1_633_136_400, 7200));
    let mut failed = RecipientReport::new(&joe, Action::Failed, (5, 1, 1));
    failed.original = Some(&original);
    failed.remote_mta = Some("mail.example.com");
    failed.diagnostic = Some("550-5.1.1 no such user here\n550 5.1.1 ask the postmaster");
    failed.last_attempt = Some(epoch());
    let mut late = RecipientReport::new(&eve, Action::Delayed, (4, 4, 1));
    late.diagnostic = Some("connect to 192.0.2.1 port 25: refused");
    late.will_retry_until = Some(epoch());
    notice.recipients = vec![failed, late];
    let mail = notice.write(&mut SeededRandom::new(1));
    let (top, parts) = parts(&mail);

    assert!(mail.octets.is_ascii() && !mail.is_eight_bit() && !mail.smtputf8);
    assert_eq!(value(&top, "From"), "\"Mail Delivery System\" <MAILER-DAEMON@mx.example>");
    assert_eq!(value(&top, "To"), "<ann@example.org>");
    assert_eq!(value(&top, "Date"), "Thu, 1 Jan 1970 00:00:00 +0000");
    assert_eq!(value(&top, "Message-ID"), "<77@mx.example>");
    assert_eq!(value(&top, "Auto-Submitted"), "auto-replied");
    assert_eq!(value(&top, "MIME-Version"), "1.0");
    assert_eq!(value(&top, "Subject"), "Your message could not be delivered");
    assert!(value(&top, "Content-Type").contains("report-type=\"delivery-status\""));
    assert_eq!(Fields::new(&top).count(), 8);

    let [people, status, message_part] = &parts[..] else { panic!("{parts:?}") };
    assert!(people.0.starts_with("text/plain"), "{people:?}");
    let words = text(people);
    for wanted in [
        "This is the mail system of mx.example.\r\nYour message came here on Sat, 2 Oct 2021 03:00:00 +0200.\r\n",
        "will not be tried again:\r\n\r\n  <joe@example.com>\r\n    (you wrote to joe+list@own.example)\r\n",
        "    the server mail.example.com said:\r\n    550-5.1.1 no such user here\r\n    550 5.1.1 ask the postmaster\r\n",
        "You need not send it again:\r\n\r\n  <\"e v\"@example.net>\r\n    connect to 192.0.2.1 port 25: refused\r\n",
    ] {
        assert!(words.contains(wanted), "{wanted}\n\n{words}");
    }
    assert_eq!(status.0, "message/delivery-status");
    let expected = "Original-Envelope-Id: QQ+314\r\n\
        Reporting-MTA: dns; mx.example\r\n\
        Arrival-Date: Sat, 2 Oct 2021 03:00:00 +0200\r\n\
        \r\n\
        Original-Recipient: rfc822; joe+list@own.example\r\n\
        Final-Recipient: rfc822; joe@example.com\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mail.example.com\r\n\
        Diagnostic-Code: smtp; 550-5.1.1 no such user here 550 5.1.1 ask the postmaster\r\n\
        Last-Attempt-Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
        \r\n\
        Final-Recipient: rfc822; \"e v\"@example.net\r\n\
        Action: delayed\r\n\
        Status: 4.4.1\r\n\
        Diagnostic-Code: x-pillarbox; connect to 192.0.2.1 port 25: refused\r\n\
        Will-Retry-Until: Thu, 1 Jan 1970 00:00:00 +0000\r\n";
    assert_eq!(text(status), expected);
    assert_eq!((message_part.0.as_str(), &message_part.2[..]), ("message/rfc822", &message[..]));
}

// RFC 3461 §4.1, §5.2
#[test]
fn who_is_told_what() {
    let notify = |success, failure, delay| {
        let mut notify = Notify::default();
        (notify.success, notify.failure, notify.delay) = (success, failure, delay);
        Some(notify)
    };
    use Action::*;
    let all = [Failed, Delayed, Delivered, Relayed, Expanded];
    for (notify, wanted) in [
        (None, [true, true, false, false, false]),
        (notify(false, false, false), [false; 5]),
        (notify(true, false, false), [false, false, true, true, true]),
        (notify(false, true, false), [true, false, false, false, false]),
        (notify(false, false, true), [false, true, false, false, false]),
        (notify(true, true, true), [true; 5]),
    ] {
        assert_eq!(all.map(|action| action.is_wanted(notify)), wanted, "{notify:?}");
    }
}

// RFC 3461 §4.3, §6.2
#[test]
fn how_much_of_the_message_comes_back() {
    let (from, to, joe) = (address("m@mx.example"), address("ann@example.org"), address("joe@example.com"));
    let small = b"Subject: x\r\n\r\nbody\r\n";
    let exact = [&small[..], &b"y".repeat(98), b"\r\n"].concat();
    let long_line = [&small[..], &b"y".repeat(999), b"\r\n"].concat();
    let large = [&small[..], b"y\r\n".repeat(20_000).as_slice()].concat();
    for (message, action, ret, whole_given, max, comes_whole) in [
        (&small[..], Action::Failed, None, true, 50_000, true),
        (small, Action::Failed, Some(Ret::Full), true, 50_000, true),
        (small, Action::Failed, Some(Ret::Hdrs), true, 50_000, false),
        (small, Action::Failed, None, false, 50_000, false),
        (small, Action::Delayed, Some(Ret::Full), true, 50_000, false),
        (small, Action::Delivered, Some(Ret::Full), true, 50_000, false),
        (&exact, Action::Failed, None, true, exact.len(), true),
        (&exact, Action::Failed, None, true, exact.len() - 1, false),
        (&long_line, Action::Failed, None, true, 50_000, false),
        (&large, Action::Failed, Some(Ret::Full), true, 50_000, false),
    ] {
        let mut notice = Notice::new("mx.example", &from, &to, epoch(), "1@mx.example", message);
        notice.recipients.push(RecipientReport::new(&joe, action, (5, 0, 0)));
        (notice.ret, notice.original_is_whole, notice.full_max) = (ret, whole_given, max);
        let (_, parts) = parts(&notice.write(&mut SeededRandom::new(1)));
        let expected =
            if comes_whole { ("message/rfc822", message) } else { ("text/rfc822-headers", &b"Subject: x\r\n"[..]) };
        assert_eq!((parts[2].0.as_str(), &parts[2].2[..]), expected, "{action:?} {ret:?}");
    }
}

// RFC 6533
#[test]
fn addresses_beyond_ascii() {
    let (from, plain, wide) = (address("m@mx.example"), address("ann@example.org"), address("zoë@example.org"));
    let (to, original) =
        (address("\"jö\\\\\"@bücher.example"), OriginalRecipient::new("utf-8", "jö+=@own.example").unwrap());
    assert_eq!(original.address(), "jö+=@own.example");
    for (sender, smtputf8, kind, original_field, final_field) in [
        (
            &plain,
            false,
            "message/delivery-status",
            "Original-Recipient: utf-8; j\\x{F6}\\x{2B}\\x{3D}@own.example",
            "Final-Recipient: utf-8; \"j\\x{F6}\\x{5C}\\x{5C}\"@b\\x{FC}cher.example",
        ),
        (
            &wide,
            true,
            "message/global-delivery-status",
            "Original-Recipient: utf-8; jö+=@own.example",
            "Final-Recipient: utf-8; \"jö\\\\\"@bücher.example",
        ),
    ] {
        let mut notice =
            Notice::new("mx.example", &from, sender, epoch(), "1@mx.example", "Subject: ü\r\n\r\nü".as_bytes());
        let mut report = RecipientReport::new(&to, Action::Delayed, (4, 4, 1));
        report.original = Some(&original);
        report.diagnostic = Some("451 später");
        notice.recipients.push(report);
        let mail = notice.write(&mut SeededRandom::new(1));
        let (top, parts) = parts(&mail);
        assert_eq!(mail.smtputf8, smtputf8);
        assert_eq!(value(&top, "To"), format!("<{sender}>"));
        assert_eq!(top.is_ascii(), !smtputf8);
        assert!(header::split(&mail.octets).1.is_ascii(), "parts are encoded");
        assert!(text(&parts[0]).contains("<\"jö\\\\\"@bücher.example>"), "{}", text(&parts[0]));
        assert_eq!(parts[1].0, kind);
        let fields = text(&parts[1]);
        assert!(fields.contains(&format!("\r\n{original_field}\r\n{final_field}\r\n")), "{fields}");
        assert!(
            fields.contains(if smtputf8 { "x-pillarbox; 451 später\r\n" } else { "x-pillarbox; 451 sp?ter\r\n" }),
            "{fields}"
        );
        assert_eq!((parts[2].0.as_str(), text(&parts[2])), ("message/global-headers", "Subject: ü\r\n".into()));
    }
    // A message with octets beyond ASCII comes back as it is, for which the server has to offer 8BITMIME.
    let mut notice = Notice::new("mx.example", &from, &plain, epoch(), "1@mx.example", b"Subject: x\r\n\r\n\xfc\r\n");
    notice.recipients.push(RecipientReport::new(&plain, Action::Failed, (5, 0, 0)));
    let mail = notice.write(&mut SeededRandom::new(1));
    assert!(mail.is_eight_bit() && !mail.smtputf8);
    assert_eq!(parts(&mail).1[2].1, "8bit");
    // Nobody knows which characters these octets mean, but they come through.
    notice.original = b"Subject: \xfc\r\n\r\n\xfc\r\n";
    notice.ret = Some(Ret::Hdrs);
    let mail = notice.write(&mut SeededRandom::new(1));
    assert!(!mail.is_eight_bit());
    assert_eq!(parts(&mail).1[2].2, b"Subject: \xfc\r\n");
}

#[test]
fn words_of_a_hostile_server() {
    let (from, to, joe) = (address("m@mx.example"), address("ann@example.org"), address("joe@example.com"));
    let mut notice = Notice::new("mx.example", &from, &to, epoch(), "1@mx.example", b"Subject: x\r\n\r\n");
    let words = format!("550 \x1b[2J\x07\0\r\n\r\n--=_\r\nX: {}", "y".repeat(65_536));
    let mut report = RecipientReport::new(&joe, Action::Failed, (5, 0, 0));
    (report.remote_mta, report.diagnostic) = (Some("a\r\nSubject: z"), Some(words.as_str()));
    notice.recipients.push(report);
    let mail = notice.write(&mut SeededRandom::new(1));
    let (_, parts) = parts(&mail);
    assert!(mail.octets.len() < 5000);
    let fields = text(&parts[1]);
    assert_eq!(fields.lines().count(), 7, "{fields}");
    assert!(fields.contains("Remote-MTA: dns; a? Subject: z\r\n"), "{fields}");
    assert!(fields.contains("Diagnostic-Code: smtp; 550 ?[2J??? ? --=_? X: yyy"), "{fields}");
    for part in &parts {
        assert!(!text(part).contains(['\x1b', '\x07', '\0']));
    }
}

proptest! {
    #[test]
    fn nothing_breaks_out_of_its_place(
        words in "(\\PC|\r|\n|\0|--|=_|: ){0,200}",
        mta in "(\\PC|\r\n){0,20}",
        id in "(\\PC|\r\n){0,20}",
        message in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b':')], 0..400),
        utf8 in any::<bool>(),
        ret in prop_oneof![Just(None), Just(Some(Ret::Full)), Just(Some(Ret::Hdrs))],
        seed in any::<u64>(),
    ) {
        let (from, to) = (address("m@mx.example"), address(if utf8 { "zoë@example.org" } else { "ann@example.org" }));
        let joe = address("joe@example.com");
        let mut notice = Notice::new(&mta, &from, &to, epoch(), "1@mx.example", &message);
        notice.ret = ret;
        notice.envelope_id = Some(&id);
        let mut report = RecipientReport::new(&joe, Action::Failed, (5, 0, 0));
        (report.remote_mta, report.diagnostic) = (Some(mta.as_str()), Some(words.as_str()));
        notice.recipients.push(report);
        let mail = notice.write(&mut SeededRandom::new(seed));
        let (top, parts) = parts(&mail);
        prop_assert_eq!(Fields::new(&top).count(), 8);
        prop_assert_eq!(parts.len(), 3);
        let fields = text(&parts[1]);
        prop_assert_eq!(fields.split("\r\n").count(), 9, "{}", fields);
        // What SMTP can carry.
        prop_assert!(!mail.octets.contains(&0));
        for line in mail.octets.split(|octet| *octet == b'\n') {
            prop_assert!(line.len() <= 999, "a line is too long");
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            prop_assert!(!line.contains(&b'\r'));
        }
        prop_assert_eq!(mail.octets.iter().filter(|octet| **octet == b'\n').count(), memchr::memmem::find_iter(&mail.octets, b"\r\n").count());
    }
}
