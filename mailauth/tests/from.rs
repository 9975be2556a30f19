//! The one reading of the author (RFC 5322 §3.4, §3.6.2, §4.4; RFC 6854; RFC 6532).

use pillarbox_auth::from::{Authors, FromFault, Limits};
use proptest::prelude::*;

fn read(header: &[u8]) -> Authors {
    Authors::read(header, &Limits::default())
}

fn read_value(value: &str) -> Authors {
    read(format!("To: x@y\r\nFrom:{value}\r\nSubject: z\r\n\r\nFrom: body@example\r\n").as_bytes())
}

/// The mailboxes with a space between, or the fault.
fn mailboxes(authors: &Authors) -> Result<String, FromFault> {
    let written = authors.mailboxes()?.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(written.join(" "))
}

fn domain(authors: &Authors) -> Result<&str, FromFault> {
    authors.domain().map(|domain| domain.as_str())
}

#[test]
fn what_is_read() {
    for (value, expected_mailboxes, expected_domain) in [
        (" joe@example.org", "joe@example.org", Ok("example.org")),
        ("joe@Example.ORG", "joe@Example.ORG", Ok("example.org")),
        (" Joe Q. Public <joe@example.org>", "joe@example.org", Ok("example.org")),
        (" <joe@example.org> (Joe (the one)) ", "joe@example.org", Ok("example.org")),
        (" (not (me) \\) ) joe @ (at) example.org", "joe@example.org", Ok("example.org")),
        (" \"a@b.example, <c@d.example>\" <joe@example.org>", "joe@example.org", Ok("example.org")),
        (" \"joe \\\"x\\\" doe\"@example.org", "\"joe \\\"x\\\" doe\"@example.org", Ok("example.org")),
        (" \"joe\"\r\n\t<joe@example.org>", "joe@example.org", Ok("example.org")),
        (" =?utf-8?Q?a=40b=2Eexample?= <joe@example.org>", "joe@example.org", Ok("example.org")),
        (" Jürgen <jürgen@bücher.example>", "jürgen@bücher.example", Ok("xn--bcher-kva.example")),
        (" <@a.example,@b.example:joe@example.org>", "joe@example.org", Ok("example.org")),
        (" a@x.example, ,b@X.example,", "a@x.example b@X.example", Ok("x.example")),
        (" Team: a@x.example, B <b@x.example>;", "a@x.example b@x.example", Ok("x.example")),
        (" Team: a@x.example;, b@x.example", "a@x.example b@x.example", Ok("x.example")),
        (" a@x.example, b@y.example", "a@x.example b@y.example", Err(FromFault::SeveralDomains)),
        (" joe@[192.0.2.1]", "joe@[192.0.2.1]", Err(FromFault::NotAName)),
        (" joe@[192.0.2.1], joe@example.org", "joe@[192.0.2.1] joe@example.org", Err(FromFault::NotAName)),
    ] {
        let authors = read_value(value);
        assert_eq!(mailboxes(&authors).as_deref(), Ok(expected_mailboxes), "{value}");
        assert_eq!(domain(&authors), expected_domain, "{value}");
    }
}

/// A program that maps names as older IDNA has it takes each of these for another domain than the one whose policy would be
/// looked up, and shows the same as for that one.
#[test]
fn names_that_look_like_others_are_none() {
    for domain in [
        "B\u{dc}CHER.example",
        "bu\u{308}cher.example",
        "legit\u{ad}.example",
        "le\u{200b}git.example",
        "le\u{200d}git.example",
        "legit.example\u{2060}",
        "\u{202e}legit.example",
        "\u{feff}legit.example",
        "\u{ff4c}egit.example",
        "\u{1d425}egit.example",
        "le\u{fe0f}git.example",
        "e\u{fb03}cient.example",
        "legit\u{2024}example",
        "\u{304b}\u{3099}.example",
        "\u{1100}\u{1161}.example",
        "\u{212a}.example",
    ] {
        assert_eq!(read_value(&format!(" <a@{domain}>")).fault(), Some(FromFault::NotAName), "{domain:?}");
    }
    for (domain, ascii) in [
        ("B\u{fc}cher.EXAMPLE", "xn--bcher-kva.example"),
        ("stra\u{df}e.example", "xn--strae-oqa.example"),
        ("l\u{b7}l.example", "xn--ll-0ea.example"),
        ("\u{98df}\u{72ee}.example", "xn--85x722f.example"),
        ("\u{ac00}.example", "xn--o39a.example"),
        ("\u{304c}.example", "xn--v8j.example"),
    ] {
        assert_eq!(self::domain(&read_value(&format!(" <a@{domain}>"))), Ok(ascii), "{domain}");
    }
}

#[test]
fn what_is_no_address() {
    for value in ["", " ", " (only a comment)", " undisclosed recipients:;", " a:; , b: , ;", ","] {
        assert_eq!(read_value(value).fault(), Some(FromFault::NoMailbox), "{value:?}");
    }
    for (value, at) in [
        (" joe", 4),
        (" Joe Public", 11),
        (" <>", 2),
        (" <joe>", 5),
        (" joe@", 5),
        (" joe@example.org.", 16),
        (" joe@.example.org", 5),
        (" joe..doe@example.org", 5),
        (" @example.org", 1),
        (" <joe@example.org", 17),
        (" joe@example.org>", 16),
        (" joe@example.org x", 17),
        (" <joe@example.org>x", 18),
        (" <joe@example.org> <x@y>", 19),
        (" joe@example.org <joe@example.org>", 17),
        (" joe@a@b", 6),
        (" <a@b.example>\\,<c@d.example>", 14),
        (" joe\\@x@y", 4),
        (" \"joe@example.org", 1),
        (" joe@example.org (", 17),
        (" joe@example.org (\\", 17),
        (" joe@example.org )", 17),
        (" joe@[192.0.2.1", 5),
        (" Team: a@x.example", 18),
        (" Team: Other: a@x.example;;", 12),
        (" <a>:<b@c>", 3),
        (" :a@b;", 1),
        (" a@b;", 4),
        (" a@b: c@d;", 4),
        (" .Joe <joe@example.org>", 6),
        (" <@a.example joe@example.org>", 13),
        (" <@a.example,b.example:joe@example.org>", 13),
        (" <@:joe@example.org>", 3),
        // Readers disagree: the space may end the address, or vanish.
        (" joe@example .org", 13),
        (" joe@example. org", 12),
        (" joe@legit(x).example", 13),
        (" joe .doe@example.org", 1),
        (" \"a\".b@example.org", 4),
        // The full stop of another script.
        (" joe@legit\u{3002}example", 10),
        // A control, as it is or behind a backslash.
        (" <admin@legit.example\0@attack.example>", 21),
        (" \"a\\\0\" <joe@example.org>", 4),
        (" a\x1b <joe@example.org>", 2),
        (" a\rb <joe@example.org>", 2),
        (" a\u{9b} <joe@example.org>", 2),
    ] {
        assert_eq!(read_value(value).fault(), Some(FromFault::Syntax { at }), "{value:?}");
    }
    let latin1 = read(b"From: J\xfcrgen <joe@example.org>\r\n\r\n");
    assert_eq!(latin1.fault(), Some(FromFault::Syntax { at: 2 }));
}

#[test]
fn fields() {
    for (header, expected) in [
        ("To: a@b\r\n\r\nFrom: joe@example.org\r\n", Err(FromFault::Missing)),
        ("", Err(FromFault::Missing)),
        ("Sender: a@b.example\r\nResent-From: c@d.example\r\nX-From: e@f.example\r\n\r\n", Err(FromFault::Missing)),
        ("fROM: joe@example.org\r\n\r\n", Ok("example.org")),
        ("From: joe@example.org", Ok("example.org")),
        ("From: joe@example.org\nTo: a@b\n\n", Ok("example.org")),
        ("From : joe@example.org\r\n\r\n", Ok("example.org")),
        ("From\t: joe@example.org\r\n\r\n", Ok("example.org")),
        ("From\r\n : joe@example.org\r\n\r\n", Err(FromFault::FieldName)),
        ("From\x0c: joe@example.org\r\n\r\n", Err(FromFault::FieldName)),
        ("From\r: joe@example.org\r\n\r\n", Err(FromFault::FieldName)),
        ("From: joe@example.org\r\nFrom: joe@example.org\r\n\r\n", Err(FromFault::SeveralFields)),
        ("From: joe@example.org\r\nFROM :\r\n\r\n", Err(FromFault::SeveralFields)),
        // A worse fault wins, so that nobody goes on with what could be read.
        ("From: joe@example.org\r\nFrom: joe\r\n\r\n", Err(FromFault::Syntax { at: 4 })),
        ("From\r\n : a@b.example\r\nFrom: joe@example.org\r\n\r\n", Err(FromFault::FieldName)),
        // Nobody takes these for a From field: a field without a name, and one with another.
        (" From: a@b.example\r\nFrom: joe@example.org\r\n\r\n", Ok("example.org")),
        ("From joe@b.example Mon Jan  1\r\nFrom: joe@example.org\r\n\r\n", Ok("example.org")),
    ] {
        let authors = read(header.as_bytes());
        assert_eq!(domain(&authors), expected, "{header:?}");
        let is_readable = matches!(expected, Ok(_) | Err(FromFault::SeveralDomains));
        assert_eq!(authors.mailboxes().is_ok(), is_readable, "{header:?}");
    }
    let several = read(b"From: joe@b.example\r\nFrom: joe@a.example, x@b.example\r\n\r\n");
    let domains = several.domains().iter().map(|domain| domain.as_str()).collect::<Vec<_>>();
    assert_eq!(domains, ["a.example", "b.example"]);
}

#[test]
fn limits() {
    // An address and its comma are four tokens.
    let list = |count: usize| read_value(&" a@b,".repeat(count));
    assert_eq!(mailboxes(&list(2500)).unwrap().split(' ').count(), 2500);
    assert_eq!(list(2501).fault(), Some(FromFault::TooMany));
    assert_eq!(list(100_000).fault(), Some(FromFault::TooMany));
    let two_fields = format!("From:{}\r\n", " a@b,".repeat(1251)).repeat(2);
    assert_eq!(read(two_fields.as_bytes()).fault(), Some(FromFault::TooMany));
    // Five tokens are the address.
    let comments = "()".repeat(9995);
    assert_eq!(read_value(&format!("{comments}a@b.example")).fault(), None);
    assert_eq!(read_value(&format!("(){comments}a@b.example")).fault(), Some(FromFault::TooMany));
    // However deep comments nest, they cost a counter.
    for depth in [10_000, 1_000_000] {
        let value = format!("{}{} joe@example.org", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(domain(&read_value(&value)), Ok("example.org"));
        let unclosed = format!(" joe@example.org {}", "(".repeat(depth));
        assert_eq!(read_value(&unclosed).fault(), Some(FromFault::Syntax { at: 17 }));
    }
    let many_domains = (0..3000).map(|n| format!(" a@d{n},")).collect::<String>();
    assert_eq!(read_value(&many_domains).fault(), Some(FromFault::TooMany));
    let long_name = format!(" a@{}.example", "b.".repeat(118) + "b");
    assert_eq!(read_value(&long_name).fault(), None);
    assert_eq!(read_value(&format!(" a@{}.example", "ü".repeat(60))).fault(), Some(FromFault::NotAName));
}

proptest! {
    /// No text breaks the reader, and what it gives can be written and read again.
    #[test]
    fn total(value in prop::collection::vec(prop::sample::select(
        &["a", "b.example", "@", ",", ";", ":", "<", ">", "(", ")", "\"", "\\", ".", "[", "]", " ", "\r\n ", "ü", "\0", "=?x?="][..],
    ), 0..24)) {
        let authors = read_value(&value.concat());
        if let Ok(mailboxes) = authors.mailboxes() {
            prop_assert!(!mailboxes.is_empty());
            let written = mailboxes.iter().map(|mailbox| format!("<{mailbox}>")).collect::<Vec<_>>().join(", ");
            let again = read_value(&written);
            prop_assert_eq!(again.mailboxes(), Ok(mailboxes));
            prop_assert_eq!(again.domain(), authors.domain());
        }
    }

    #[test]
    fn octets(header in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&header);
        let _ = read(&[b"From:", &header[..]].concat());
    }
}
