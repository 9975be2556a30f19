//! Envelope addresses (RFC 5321 §4.1.2, §4.1.3, §4.5.3.1, RFC 6531 §3.3).

mod shared;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use pillarbox_core::address::{Address, AddressError, AddressFault, Domain, ForwardPath, LocalPart, ReversePath};
use proptest::prelude::*;

fn fault(result: Result<Address<'_>, AddressError>) -> (AddressFault, usize) {
    let error = result.unwrap_err();
    (error.fault, error.at)
}

/// The `is_email` suite has a column for RFC 5321 mailboxes: those that it allows are accepted, and no others but those whose
/// local part is longer than 64 octets.
#[test]
fn published_addresses() {
    let Some(suite) = shared::suite("smtp/isemail/tests.json") else { return };
    let cases = suite.as_array().unwrap();
    assert!(cases.len() > 160);
    for case in cases {
        let text = shared::text(case, "address");
        let is_long = shared::text(case, "diagnosis") == "ISEMAIL_RFC5322_LOCAL_TOOLONG";
        let expected = is_long || case["rfc5321_mailbox"].as_bool().unwrap();
        let parsed = Address::parse(text);
        assert_eq!(parsed.is_ok(), expected, "{case} gave {parsed:?}");
        if let Ok(address) = parsed {
            assert_eq!(address.to_string(), text);
        }
    }
}

#[test]
fn quoted_local_parts_keep_their_octets() {
    for (text, local) in [
        (r#""a@b"@c.d"#, "a@b"),
        (r#""x> y"@e"#, "x> y"),
        (r#""\a\"\\"@e"#, r#"a"\"#),
        (r#""joe"@e"#, "joe"),
        (r#"""@e"#, ""),
        ("joe+tag@e", "joe+tag"),
    ] {
        let address = Address::parse(text).unwrap();
        assert_eq!((address.to_string(), &*address.local().unquoted()), (text.to_owned(), local));
        let path = format!("<{text}> X=<y>");
        let (path, rest) = ReversePath::take(path.as_bytes(), false).unwrap();
        assert_eq!((path.to_string(), rest), (format!("<{text}>"), &b" X=<y>"[..]));
    }
}

#[test]
fn equal_is_what_names_the_same_mailbox() {
    let hash = |address: &Address<'_>| {
        let mut hasher = DefaultHasher::new();
        address.hash(&mut hasher);
        hasher.finish()
    };
    for (one, other, equal) in [
        (r#""joe"@e.example"#, "joe@E.example", true),
        (r#""j\oe"@e"#, r#""joe"@e"#, true),
        ("Joe@e", "joe@e", false),
        (r#""joe "@e"#, "joe@e", false),
        ("joe@[IPv6:2001:db8::1]", "joe@[ipv6:2001:DB8:0::1]", true),
        ("joe@[192.0.2.1]", "joe@192.0.2.1", false),
    ] {
        let (one, other) = (Address::parse(one).unwrap(), Address::parse(other).unwrap());
        assert_eq!(one == other, equal, "{one} {other}");
        assert_eq!(one.cmp(&other).is_eq(), equal, "{one} {other}");
        if equal {
            assert_eq!(hash(&one), hash(&other), "{one} {other}");
        }
    }
}

#[test]
fn literals() {
    for (text, ip) in
        [("u@[127.0.0.1]", "127.0.0.1"), ("u@[IPv6:::1]", "::1"), ("u@[ipv6:::ffff:192.0.2.1]", "::ffff:192.0.2.1")]
    {
        let address = Address::parse(text).unwrap();
        assert_eq!(address.domain().ip(), Some(ip.parse().unwrap()));
        assert_eq!(address.to_string(), text);
    }
    for text in [
        "[]",
        "[1.2.3]",
        "[1.2.3.4",
        "1.2.3.4]",
        "[::1]",
        "[IPv6:]",
        "[IPv6:1.2.3.4]",
        "[01.2.3.4]",
        "[x-tag:y]",
        "[1.2.3.4]x",
    ] {
        assert!(Domain::parse(text).is_err(), "{text}");
    }
    for ip in ["192.0.2.1", "2001:db8::1", "::"] {
        let domain = Domain::from_ip(ip.parse().unwrap());
        assert_eq!(Domain::parse(domain.as_str()).unwrap().ip(), Some(ip.parse().unwrap()));
    }
}

#[test]
fn faults_and_their_places() {
    use AddressFault::*;
    for (text, expected) in [
        ("", (MissingAt, 0)),
        ("joe", (MissingAt, 3)),
        ("@e", (EmptyLocalPart, 0)),
        ("joe@", (EmptyDomain, 4)),
        (".joe@e", (Dot, 0)),
        ("joe.@e", (Dot, 3)),
        ("jo..e@e", (Dot, 3)),
        ("jo e@e", (UnexpectedOctet, 2)),
        ("jo\re@e", (Control, 2)),
        ("joe\0@e", (Control, 3)),
        ("joe\x7f@e", (Control, 3)),
        ("jo\u{e9}@e", (NonAscii, 2)),
        ("\"joe@e", (UnclosedQuote, 6)),
        ("\"joe\\", (UnclosedQuote, 5)),
        ("\"j\ne\"@e", (Control, 2)),
        ("\"j\\\te\"@e", (Control, 3)),
        ("\"joe\"x@e", (UnexpectedOctet, 5)),
        ("joe@e..f", (Dot, 6)),
        ("joe@e.", (Dot, 5)),
        ("joe@.e", (Dot, 4)),
        ("joe@-e", (Hyphen, 4)),
        ("joe@e-.f", (Hyphen, 5)),
        ("joe@e/f", (UnexpectedOctet, 5)),
        ("joe@e@f", (UnexpectedOctet, 5)),
        ("joe@e\u{e9}", (NonAscii, 5)),
        ("joe@[1.2.3.4", (Literal, 4)),
        ("joe@[1.2.\x003.4]", (Control, 9)),
    ] {
        assert_eq!(fault(Address::parse(text)), expected, "{text:?}");
    }
    let label = "a".repeat(63);
    assert!(Address::parse(&format!("joe@{label}")).is_ok());
    assert_eq!(fault(Address::parse(&format!("joe@{label}a"))), (LabelTooLong, 67));
    let domain = [&label[..]; 4].join(".");
    assert_eq!(domain.len(), 255);
    assert!(Domain::parse(&domain).is_ok());
    assert_eq!(Domain::parse(&format!("{domain}.a")).unwrap_err().fault, DomainTooLong);
    assert_eq!(fault(Address::parse(&format!("joe@{domain}"))), (PathTooLong, 254));
}

#[test]
fn an_underscore_in_a_domain_is_taken() {
    // Hosts with such names send mail, though RFC 5321 §4.1.2 has no underscore.
    assert!(Address::parse("joe@mail_1.example").is_ok());
}

#[test]
fn local_parts_are_as_long_as_their_path_allows() {
    // RFC 5321 §4.5.3.1.1 has 64. Mailing lists and forwarders write other people's addresses into theirs.
    let address = |length: usize| format!("{}@e", "x".repeat(length));
    for length in [64, 65, 252] {
        let text = address(length);
        assert!(Address::parse(&text).is_ok());
        let path = format!("<{text}>");
        assert_eq!(ReversePath::take(path.as_bytes(), false).unwrap().0.to_string(), path);
    }
    assert_eq!(fault(Address::parse(&address(253))), (AddressFault::LocalPartTooLong, 252));
    assert_eq!(fault(Address::parse(&(address(252) + "x"))), (AddressFault::PathTooLong, 254));
    let path = format!("<{}>", address(253));
    assert_eq!(ReversePath::take(path.as_bytes(), false).unwrap_err().fault, AddressFault::PathTooLong);
}

#[test]
fn characters_beyond_ascii_need_smtputf8() {
    for text in ["jos\u{e9}@example.org", "joe@b\u{fc}cher.example", "\"jos\u{e9} x\"@example.org"] {
        assert_eq!(fault(Address::parse(text)).0, AddressFault::NonAscii, "{text}");
        let address = Address::parse_utf8(text).unwrap();
        assert!(!address.is_ascii());
        assert_eq!(address.to_string(), text);
        assert!(ForwardPath::take(format!("<{text}>").as_bytes(), true).is_ok());
    }
    // C1 controls, spaces and what IDNA takes for a dot.
    for text in ["jo\u{85}e@e", "joe@e\u{3000}f", "joe@e\u{3002}f", "joe@e\u{ff0e}f", "joe@e\u{ff61}f", "\"\u{9b}\"@e"]
    {
        assert!(Address::parse_utf8(text).is_err(), "{text:?}");
    }
    // A quoted pair is ASCII only (RFC 6531 §3.3 leaves quoted-pairSMTP alone).
    assert!(Address::parse_utf8("\"\\\u{e9}\"@e").is_err());
}

#[test]
fn paths() {
    type Case = (&'static [u8], &'static str, &'static [u8]);
    let reverse: [Case; 4] = [
        (b"<>", "<>", b""),
        (b"<> BODY=7BIT", "<>", b" BODY=7BIT"),
        (b"<joe@e>", "<joe@e>", b""),
        (b"<@a,@[IPv6:::1],@b.c:joe@e> SIZE=1", "<joe@e>", b" SIZE=1"),
    ];
    for (input, path, rest) in reverse {
        let (taken, left) = ReversePath::take(input, false).unwrap();
        assert_eq!((taken.to_string().as_str(), left), (path, rest));
        assert_eq!(taken.clone().into_owned(), taken);
        assert_eq!(taken.is_null(), taken.address().is_none());
    }
    let forward: [Case; 4] = [
        (b"<Postmaster>", "<Postmaster>", b""),
        (b"<postMASTER> X", "<Postmaster>", b" X"),
        (b"<postmaster@e>", "<postmaster@e>", b""),
        (b"<@a:joe@e>", "<joe@e>", b""),
    ];
    for (input, path, rest) in forward {
        let (taken, left) = ForwardPath::take(input, false).unwrap();
        assert_eq!((taken.to_string().as_str(), left), (path, rest));
        assert_eq!(taken.clone().into_owned(), taken);
    }
}

#[test]
fn faults_in_paths() {
    use AddressFault::*;
    let reverse = |input: &[u8], utf8| {
        let error = ReversePath::take(input, utf8).unwrap_err();
        (error.fault, error.at)
    };
    for (input, expected) in [
        (&b""[..], (MissingOpen, 0)),
        (b"joe@e", (MissingOpen, 0)),
        (b" <joe@e>", (MissingOpen, 0)),
        (b"<joe@e", (MissingClose, 6)),
        (b"<\"joe@e>", (UnclosedQuote, 8)),
        (b"<\"joe\\", (UnclosedQuote, 6)),
        (b"<joe\x80@e>", (NonAscii, 4)),
        (b"<joe@e\xff>", (NonAscii, 6)),
        (b"<jo\re@e>", (Control, 3)),
        (b"<@a>", (SourceRoute, 1)),
        (b"<@a,b:joe@e>", (SourceRoute, 4)),
        (b"<@:joe@e>", (EmptyDomain, 2)),
        (b"<@a:>", (MissingAt, 4)),
        (b"<<joe@e>>", (EmptyLocalPart, 1)),
        (b"<Postmaster>", (MissingAt, 11)),
    ] {
        assert_eq!(reverse(input, false), expected, "{:?}", input.escape_ascii().to_string());
    }
    assert_eq!(reverse(b"<jo\xffe@e>", true), (InvalidUtf8, 3));
    assert_eq!(ForwardPath::take(b"<>", false).unwrap_err().fault, EmptyPath);
    let long = format!("<{}joe@e>", "@a.example,".repeat(30));
    assert_eq!(reverse(long.as_bytes(), false).0, PathTooLong);
}

#[test]
fn names_become_local_parts() {
    for (name, wire) in [
        ("joe", "joe"),
        ("joe doe", "\"joe doe\""),
        ("a\"\\", r#""a\"\\""#),
        ("", "\"\""),
        (".a", "\".a\""),
        ("a@b", "\"a@b\""),
    ] {
        let local = LocalPart::from_unquoted(name).unwrap();
        assert_eq!((local.as_str(), &*local.unquoted(), &*local.canonical()), (wire, name, wire));
    }
    for (wire, canonical) in [(r#""joe""#, "joe"), (r#""j\o\e""#, "joe"), (r#""j\ d""#, "\"j d\""), ("joe", "joe")] {
        assert_eq!(LocalPart::parse(wire).unwrap().canonical(), canonical);
    }
    assert_eq!(LocalPart::from_unquoted("a\r\nb").unwrap_err().fault, AddressFault::Control);
    assert_eq!(LocalPart::from_unquoted(&"x".repeat(253)).unwrap_err().fault, AddressFault::LocalPartTooLong);
    let local = LocalPart::from_unquoted("joe doe").unwrap();
    let address = Address::new(local, Domain::parse("e.example").unwrap()).unwrap();
    assert_eq!(address.to_string(), "\"joe doe\"@e.example");
}

proptest! {
    #[test]
    fn what_was_parsed_prints_and_parses_again(text in r#"([a-z.+]{0,6}|"([ -~]|\\[ -~]){0,6}")@([a-z0-9_.-]{0,8}|\[[0-9.]{0,8}\])"#) {
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(address.to_string(), text.clone());
            prop_assert_eq!(&Address::parse(&text).unwrap(), &address.clone().into_owned());
            // The canonical form names the same mailbox and is its own canonical form.
            let local = address.local();
            let canonical = local.canonical().into_owned();
            let again = LocalPart::parse(&canonical).unwrap();
            prop_assert_eq!(&again, local);
            prop_assert_eq!(again.canonical(), &*canonical);
            prop_assert!(canonical.len() <= local.as_str().len());
            let path = format!("<{text}> rest");
            let (path, rest) = ForwardPath::take(path.as_bytes(), false).unwrap();
            prop_assert_eq!((path.address(), rest), (Some(&address), &b" rest"[..]));
        }
    }

    #[test]
    fn any_name_survives_quoting(name in "\\PC{0,20}") {
        if let Ok(local) = LocalPart::from_unquoted(&name) {
            prop_assert_eq!(local.unquoted(), &*name);
            let again = LocalPart::parse_utf8(local.as_str()).unwrap();
            prop_assert_eq!(again.unquoted(), &*name);
        }
    }

    #[test]
    fn no_octets_panic(input in prop::collection::vec(any::<u8>(), 0..40), utf8 in any::<bool>()) {
        let input = [b"<", &input[..]].concat();
        for path in [ReversePath::take(&input, utf8).map(|p| p.1), ForwardPath::take(&input, utf8).map(|p| p.1)] {
            prop_assert!(path.map_or_else(|error| error.at <= input.len(), |rest| rest.len() < input.len()));
        }
    }
}
