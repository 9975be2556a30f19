//! Zone files: what is read, and where an error is seen.

use pillarbox_core::dns::{
    DnsAnswer, DnsOutcome, Name, NameError, Question, QuestionId, Record, RecordKind, Validation, ZoneFault, ZoneFile,
};
use proptest::prelude::*;

fn parse(text: &str) -> ZoneFile {
    ZoneFile::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

fn ask(file: &ZoneFile, name: &str, kind: RecordKind) -> DnsAnswer {
    file.zone.answer(&Question::new(QuestionId(0), name.parse().unwrap(), kind))
}

fn found(file: &ZoneFile, name: &str, kind: RecordKind) -> (u32, Vec<Record>) {
    match ask(file, name, kind).outcome {
        DnsOutcome::Found(set) => (set.ttl(), set.records().to_vec()),
        outcome => panic!("{name} {kind}: {outcome:?}"),
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn every_type_and_way_of_writing() {
    let file = parse(concat!(
        "\u{feff}$ORIGIN example.org.\r\n",
        "$TTL 1h30m ; of all that say nothing\r\n",
        "@\tIN\tSOA ns hostmaster (\r\n",
        "      2026010100 ; serial\r\n",
        "      1d 2h 4w 300 )\r\n",
        "        NS ns.example.net.\r\n",
        "   60 IN TXT \"v=spf1 \" \"a \\\"quoted\\\" ; no comment\\059 \\\\ \\200\"\r\n",
        "   in 61 txt two\\ words( and\r\n",
        "   more)\r\n",
        "     MX 10 mail\r\n",
        "     MX 20 mail.example.net.\r\n",
        "none MX 0 .\r\n",
        "mail A 192.0.2.1\r\n",
        "     AAAA 2001:db8::1\r\n",
        "WWW  CNAME @\r\n",
        "_25._tcp.mail TLSA 3 1 1 00ff (\r\n",
        "  aA 10 )\r\n",
        "$origin 2.0.192.in-addr.arpa.\r\n",
        "1 PTR mail.example.org.\r\n",
        "odd TYPE65534 \\# 0\r\n",
        "; TEMPFAIL slow.example.org.\r\n",
        "; just a remark",
    ));
    assert_eq!(
        found(&file, "example.org", RecordKind::Txt),
        (60, vec![Record::txt(b"v=spf1 a \"quoted\" ; no comment; \\ \xc8"), Record::txt("two wordsandmore")])
    );
    assert_eq!(
        found(&file, "example.org", RecordKind::Mx),
        (5400, vec![Record::mx(10, name("mail.example.org")), Record::mx(20, name("mail.example.net"))])
    );
    assert_eq!(found(&file, "none.example.org", RecordKind::Mx), (5400, vec![Record::mx(0, Name::root())]));
    assert_eq!(found(&file, "mail.example.org", RecordKind::A), (5400, vec![Record::A([192, 0, 2, 1].into())]));
    assert_eq!(
        found(&file, "mail.example.org", RecordKind::Aaaa),
        (5400, vec![Record::Aaaa("2001:db8::1".parse().unwrap())])
    );
    assert_eq!(found(&file, "www.example.org", RecordKind::Cname), (5400, vec![Record::Cname(name("example.org"))]));
    let tlsa = Record::Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0, 0xff, 0xaa, 0x10] };
    assert_eq!(found(&file, "_25._tcp.mail.example.org", RecordKind::Tlsa), (5400, vec![tlsa]));
    assert_eq!(
        found(&file, "1.2.0.192.in-addr.arpa", RecordKind::Ptr),
        (5400, vec![Record::Ptr(name("mail.example.org"))])
    );
    assert_eq!(ask(&file, "slow.example.org", RecordKind::A).outcome, DnsOutcome::TryLater);
    assert_eq!(ask(&file, "mail.example.org", RecordKind::Txt).outcome, DnsOutcome::NoData);

    let skipped = file.skipped.iter().map(|skipped| (skipped.kind.as_str(), skipped.line)).collect::<Vec<_>>();
    assert_eq!(skipped, [("SOA", 3), ("NS", 6), ("TYPE65534", 20)]);
    assert_eq!(ask(&file, "odd.2.0.192.in-addr.arpa", RecordKind::A).outcome, DnsOutcome::NoData);
}

#[test]
fn names_are_relative_to_the_root_without_an_origin() {
    let file = parse("example.org TXT x\n@ A 192.0.2.1\n");
    assert_eq!(found(&file, "example.org", RecordKind::Txt).1.len(), 1);
    assert_eq!(found(&file, ".", RecordKind::A).1.len(), 1);
}

#[test]
fn how_long_a_record_may_be_kept() {
    let ttl = |text: &str| found(&parse(text), "a", RecordKind::A).0;
    assert_eq!(ttl("a A 192.0.2.1"), 3600);
    assert_eq!(ttl("$TTL 5\na A 192.0.2.1"), 5);
    // RFC 1035 §5.1: that of the record before; RFC 2308 §4: but $TTL comes first.
    assert_eq!(ttl("b 7 A 192.0.2.1\na A 192.0.2.1"), 7);
    assert_eq!(ttl("$TTL 5\nb 7 A 192.0.2.1\na A 192.0.2.1"), 5);
    assert_eq!(ttl("a 1W2d3H4m5s A 192.0.2.1"), 604_800 + 2 * 86_400 + 3 * 3600 + 4 * 60 + 5);
    assert_eq!(ttl("a 2147483647 A 192.0.2.1"), 2_147_483_647);
}

#[test]
fn the_truth_of_answers() {
    assert_eq!(ask(&parse("a A 192.0.2.1"), "a", RecordKind::A).validation, Validation::Unknown);
    let file = parse("; DNSSEC validated\na A 192.0.2.1");
    assert_eq!(ask(&file, "a", RecordKind::A).validation, Validation::Validated);
    let file = parse("; DNSSEC insecure\n; DNSSEC is only a word here\na A 192.0.2.1");
    assert_eq!(ask(&file, "a", RecordKind::A).validation, Validation::NotValidated);
}

#[test]
fn what_is_wrong_and_where() {
    use ZoneFault::*;
    let long = format!("a TXT {}", "x".repeat(256));
    for (text, line, column, fault) in [
        ("\n a A 192.0.2.1", 2, 2, NoOwner),
        ("a", 1, 2, NoType),
        ("a 300 IN", 1, 9, NoType),
        ("a FOO x", 1, 3, UnknownType),
        ("a TYPE65536 x", 1, 3, UnknownType),
        ("a \"A\" 192.0.2.1", 1, 3, UnknownType),
        ("a IN IN A 192.0.2.1", 1, 6, UnknownType),
        ("a CH TXT x", 1, 3, Class),
        ("a 2147483648 A 192.0.2.1", 1, 3, Ttl),
        ("a 1h30 A 192.0.2.1", 1, 3, Ttl),
        ("a 1y A 192.0.2.1", 1, 3, Ttl),
        ("$TTL x", 1, 6, Ttl),
        ("a A 192.0.2", 1, 5, Ipv4),
        ("a A 192.0.2.01", 1, 5, Ipv4),
        ("a AAAA 192.0.2.1", 1, 8, Ipv6),
        ("a A", 1, 4, Missing),
        ("a A 192.0.2.1 x", 1, 15, Trailing),
        ("a MX mail", 1, 6, Number),
        ("a MX 65536 mail", 1, 6, Number),
        ("a MX +1 mail", 1, 6, Number),
        ("a MX 10", 1, 8, Missing),
        ("a TXT", 1, 6, Missing),
        ("a TXT \"x\n\"", 1, 7, UnclosedQuote),
        ("a TXT \"x\\", 1, 7, UnclosedQuote),
        ("a TXT x\\", 1, 7, Escape),
        ("a TXT x\\25", 1, 7, Escape),
        ("a TXT x\\256", 1, 7, Escape),
        (&long, 1, 7, StringTooLong),
        ("a TXT ( x\n y", 1, 7, Parenthesis),
        ("a TXT ( x ( y ) )", 1, 11, Parenthesis),
        ("a TXT x )", 1, 9, Parenthesis),
        ("a TLSA 3 1 256 00", 1, 12, Number),
        ("a TLSA 3 1 1 0g", 1, 14, Hex),
        ("a TLSA 3 1 1 000", 1, 14, Hex),
        ("a TLSA 3 1 1", 1, 13, Missing),
        ("$INCLUDE other", 1, 1, Directive),
        ("$GENERATE 1-9 a$ A 192.0.2.$", 1, 1, Directive),
        ("$ORIGIN", 1, 8, Missing),
        ("$ORIGIN a b", 1, 11, Trailing),
        ("a A 192.0.2.1\n  ; TEMPFAIL\n", 2, 3, Tempfail),
        ("; TEMPFAIL a b", 1, 1, Tempfail),
        ("a..b A 192.0.2.1", 1, 1, Name(NameError::EmptyLabel)),
        ("a\\.b A 192.0.2.1", 1, 1, Name(NameError::ForbiddenOctet)),
        ("a\\032b A 192.0.2.1", 1, 1, Name(NameError::ForbiddenOctet)),
        ("a\\000b A 192.0.2.1", 1, 1, Name(NameError::ForbiddenOctet)),
        ("\"a\" A 192.0.2.1", 1, 1, Name(NameError::ForbiddenOctet)),
        ("é A 192.0.2.1", 1, 1, Name(NameError::ForbiddenOctet)),
        ("a PTR b..", 1, 7, Name(NameError::EmptyLabel)),
    ] {
        let error = ZoneFile::parse(text.as_bytes()).expect_err(text);
        assert_eq!((error.fault, error.line, error.column), (fault, line, column), "{text:?}");
    }
}

#[test]
fn sizes_are_limited() {
    let fault = |text: &[u8]| ZoneFile::parse(text).map(drop).unwrap_err().fault;
    assert_eq!(fault(&vec![b'\n'; (16 << 20) + 1]), ZoneFault::TooLarge);
    let many = |count| "a A 192.0.2.1\n".repeat(count);
    assert!(ZoneFile::parse(many(100_000).as_bytes()).is_ok());
    assert_eq!(fault(many(100_001).as_bytes()), ZoneFault::TooManyRecords);
}

proptest! {
    #[test]
    fn no_octets_panic_and_errors_lie_in_the_file(text in "([a@$ ();\"\\\\\n.0-9]|TXT|\\$TTL|\\$ORIGIN|IN| A |MX|192\\.0\\.2\\.1|TEMPFAIL|é){0,40}") {
        if let Err(error) = ZoneFile::parse(text.as_bytes()) {
            let line = text.split('\n').nth(error.line - 1).expect("the line exists");
            prop_assert!(error.column <= line.len() + 1, "{error} in {text:?}");
        }
    }

    #[test]
    fn any_string_can_be_written(octets in prop::collection::vec(any::<u8>(), 0..255), quoted: bool) {
        let mut text = String::from("a TXT ");
        if quoted { text.push('"'); }
        for octet in &octets {
            text += &format!("\\{octet:03}");
        }
        if quoted { text.push('"'); }
        if octets.is_empty() && !quoted { return Ok(()); }
        prop_assert_eq!(found(&parse(&text), "a", RecordKind::Txt), (3600, vec![Record::Txt(octets)]));
    }
}
