//! Reports made to hurt whoever reads them: every one is refused, or read at a cost that its length bounds.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use pillarbox_auth::reports::aggregate::{ParseError, ParseLimits, Parsed, ReadError, ReadLimits, Report};
use pillarbox_auth::reports::failure::{FailureReport, FeedbackLimits};
use pillarbox_auth::reports::{MailLimits, UnpackError, UnpackLimits, gzip, unpack};

const HEAD: &str = "<feedback><report_metadata><org_name>x</org_name><email>x</email><report_id>x</report_id>\
    <date_range><begin>0</begin><end>9</end></date_range></report_metadata>\
    <policy_published><domain>example.org</domain><p>none</p></policy_published>";
const RECORD: &str = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count><policy_evaluated>\
    <disposition>none</disposition></policy_evaluated></row><identifiers><header_from>a</header_from></identifiers></record>";

fn parse(xml: &str) -> Result<Parsed, ParseError> {
    Report::parse(xml.as_bytes(), &ParseLimits::default())
}

fn faults(xml: &str) -> Vec<String> {
    parse(xml).unwrap().faults.iter().map(|fault| fault.to_string()).collect()
}

#[test]
fn entities_stand_for_nothing() {
    let laughs = "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;\">\
        <!ENTITY x SYSTEM \"file:///etc/passwd\"><!ENTITY % p SYSTEM \"http://127.0.0.1/\"> %p;]>";
    let xml = format!("<?xml version=\"1.0\"?>{laughs}{HEAD}{RECORD}</feedback>")
        .replace(">x</org_name>", ">a&lol2;&x;&amp;&#66;</org_name>");
    let parsed = parse(&xml).unwrap();
    assert_eq!(parsed.report.metadata.org_name, "a&B");
    assert_eq!(faults(&xml), ["org_name refers to an entity"]);
    for reference in ["&#0;", "&#xd800;", "&#x110000;", "&#99999999999999999999;", "&;", "&#;", "&#x;"] {
        let xml = format!("{HEAD}{RECORD}</feedback>").replace(">x</org_name>", &format!(">a{reference}b</org_name>"));
        if let Ok(parsed) = parse(&xml) {
            assert!(parsed.report.metadata.org_name.len() <= 2 + reference.len(), "{reference}");
        }
    }
    // References without number: each is one character.
    let many = "&lt;".repeat(1_000_000);
    let xml = format!("{HEAD}{RECORD}</feedback>").replace(">x</org_name>", &format!(">{many}</org_name>"));
    assert_eq!(parse(&xml).unwrap().report.metadata.org_name.len(), ParseLimits::default().text_len_max);
}

#[test]
fn elements_within_each_other_end_at_a_depth() {
    for name in ["a", "feedback", "record", "x:y"] {
        let deep = format!("{HEAD}{}", format!("<{name}>").repeat(1_000_000));
        assert_eq!(parse(&deep), Err(ParseError::TooDeep), "{name}");
    }
    assert_eq!(parse(&"<a>".repeat(1_000_000)), Err(ParseError::TooDeep));
    // As many that are ended one after another, and ends without a beginning.
    let flat = format!("{HEAD}{}{RECORD}{}</feedback>", "<a></a>".repeat(300_000), "</b>".repeat(300_000));
    assert_eq!(parse(&flat).unwrap().report.records.len(), 1);
}

#[test]
fn records_end_at_a_number() {
    let record = "<record><row><source_ip>::1</source_ip><count>1</count></row></record>";
    let xml = |count| format!("{HEAD}{}</feedback>", record.repeat(count));
    let limits = ParseLimits::default();
    assert_eq!(parse(&xml(limits.records_max)).unwrap().report.messages(), limits.records_max as u64);
    assert_eq!(parse(&xml(limits.records_max + 1)), Err(ParseError::TooManyRecords));
    assert_eq!(parse(&xml(1_000_000)), Err(ParseError::TooManyRecords));
    // Records that say nothing make none.
    let empty = format!("{HEAD}{}</feedback>", "<record/>".repeat(1_000_000));
    assert_eq!(parse(&empty).unwrap().report.records.len(), 0);
}

#[test]
fn what_is_in_a_record_is_bounded() {
    let dkim = "<dkim><domain>a</domain><result>pass</result></dkim>".repeat(10_000);
    let spf = "<spf><domain>a</domain><result>pass</result></spf>".repeat(10_000);
    let reasons = "<reason><type>other</type></reason>".repeat(10_000);
    let record = RECORD.replace("</policy_evaluated>", &format!("{reasons}</policy_evaluated>")).replace(
        "</record>",
        &format!("<auth_results>{dkim}{spf}{}</auth_results></record>", "<dkim/><spf/>".repeat(10_000)),
    );
    let xml = format!("{HEAD}{record}</feedback>");
    let parsed = parse(&xml).unwrap();
    let record = &parsed.report.records[0];
    assert_eq!((record.dkim.len(), record.spf.len(), record.evaluated.reasons.len()), (100, 10, 20));
    assert_eq!(faults(&xml).len(), 5);
}

#[test]
fn long_tags_and_attributes_cost_no_more_than_their_length() {
    let attributes = (0..200_000).map(|n| format!(" a{n}=\"x\"")).collect::<String>();
    let name = "n".repeat(1_000_000);
    let xml = format!("{HEAD}<error{attributes}>e</error><{name}></{name}>{RECORD}</feedback>")
        .replace("<feedback>", &format!("<feedback{attributes} xmlns=\"{}\">", "u".repeat(1_000_000)));
    assert_eq!(parse(&xml).unwrap().report.records.len(), 1);
    // Values that no field can hold.
    let xml = format!("{HEAD}{RECORD}</feedback>").replace(">1</count>", ">18446744073709551616</count>");
    assert_eq!(faults(&xml), ["count cannot be understood", "record cannot be understood"]);
}

#[test]
fn what_is_no_report_is_told_apart() {
    for (xml, error) in [
        ("", ParseError::NotAReport),
        ("hello", ParseError::NotAReport),
        ("<html><body/></html>", ParseError::NotAReport),
        ("<feedback>", ParseError::Truncated),
        (HEAD, ParseError::Truncated),
        ("<feedback/>", ParseError::Missing { element: "policy_published/domain" }),
        (
            "<feedback><policy_published><domain>a</domain></policy_published></feedback>",
            ParseError::Missing { element: "date_range" },
        ),
    ] {
        assert_eq!(parse(xml), Err(error), "{xml:?}");
    }
    assert!(matches!(parse("<feedback><a"), Err(ParseError::Syntax { .. })));
    assert!(matches!(parse("<feedback><!-- "), Err(ParseError::Syntax { .. })));
}

/// Zeros without end, packed.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..megabytes {
        encoder.write_all(&[b' '; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap()
}

/// A zip file of one entry, as deflated as it goes.
fn zip(name: &str, document: &[u8], method: u16) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(document).unwrap();
    let packed = if method == 8 { encoder.finish().unwrap() } else { document.to_vec() };
    let mut crc = flate2::Crc::new();
    crc.update(document);
    let fields = |out: &mut Vec<u8>| {
        out.extend(20_u16.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend(method.to_le_bytes());
        out.extend([0; 4]);
        out.extend(crc.sum().to_le_bytes());
        out.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        out.extend(u32::try_from(document.len()).unwrap().to_le_bytes());
        out.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        out.extend(0_u16.to_le_bytes());
    };
    let mut out = b"PK\x03\x04".to_vec();
    fields(&mut out);
    out.extend(name.as_bytes());
    out.extend(&packed);
    let directory_at = u32::try_from(out.len()).unwrap();
    out.extend(b"PK\x01\x02\x14\x00");
    fields(&mut out);
    out.extend([0; 14]);
    out.extend(name.as_bytes());
    let directory_len = u32::try_from(out.len()).unwrap() - directory_at;
    out.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
    out.extend(directory_len.to_le_bytes());
    out.extend(directory_at.to_le_bytes());
    out.extend([0; 2]);
    out
}

#[test]
fn bombs_do_not_go_off() {
    let limits = UnpackLimits::default();
    let packed = bomb(40);
    assert!(packed.len() < 100_000);
    assert_eq!(unpack(&packed, &limits), Err(UnpackError::Ratio));
    let mut lax = limits.clone();
    lax.ratio_max = 10_000;
    assert_eq!(unpack(&packed, &lax), Err(UnpackError::TooLong));
    assert_eq!(unpack(&bomb(1), &limits).unwrap().len(), 1 << 20);
    // Many members, each harmless.
    let members = bomb(1).repeat(40);
    assert!(matches!(unpack(&members, &limits), Err(UnpackError::Ratio | UnpackError::TooLong)));
    let packed = zip("a.xml", &vec![b' '; 10 << 20], 8);
    assert_eq!(unpack(&packed, &limits), Err(UnpackError::Ratio));
    // A mail of many bombs costs no more than one of few.
    let mut mail = "Content-Type: multipart/mixed; boundary=b\r\n".to_string();
    use base64::Engine as _;
    let packed = base64::engine::general_purpose::STANDARD.encode(bomb(10));
    for _ in 0..200 {
        mail +=
            &format!("\r\n--b\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n{packed}");
    }
    let result = Report::from_mail((mail + "\r\n--b--\r\n").as_bytes(), &ReadLimits::default());
    assert_eq!(result, Err(ReadError::Unpack(UnpackError::Ratio)));
}

#[test]
fn zip_files_are_read_by_their_directory() {
    let limits = UnpackLimits::default();
    let document = b"<feedback/>";
    for method in [0, 8] {
        assert_eq!(&*unpack(&zip("a.xml", document, method), &limits).unwrap(), document);
        assert_eq!(&*unpack(&zip("other", document, method), &limits).unwrap(), document);
    }
    assert_eq!(unpack(&zip("folder/", b"", 0), &limits), Err(UnpackError::Empty));
    assert_eq!(unpack(&zip("a.xml", document, 12), &limits), Err(UnpackError::Unsupported));
    let whole = zip("a.xml", document, 8);
    let mut encrypted = whole.clone();
    let directory_at = whole.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    encrypted[directory_at + 8] |= 1;
    assert_eq!(unpack(&encrypted, &limits), Err(UnpackError::Unsupported));
    // Any octet may be wrong: it is read as it was, or refused.
    for at in 4..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut wrong = whole.clone();
            wrong[at] ^= flip;
            if let Ok(unpacked) = unpack(&wrong, &limits) {
                assert_eq!(&*unpacked, document, "octet {at}");
            }
        }
    }
    let mut wrong = gzip(document);
    let last = wrong.len() - 5;
    wrong[last] ^= 1;
    assert_eq!(unpack(&wrong, &limits), Err(UnpackError::Damaged));
    // What follows a member and is none is left.
    assert_eq!(&*unpack(&[gzip(document), b"\r\n".to_vec()].concat(), &limits).unwrap(), document);
}

#[test]
fn mails_of_countless_parts_are_bounded() {
    let parts = "\r\n--b\r\nContent-Type: text/plain\r\n\r\nx".repeat(50_000);
    let mail = format!("Content-Type: multipart/mixed; boundary=b\r\n{parts}\r\n--b--\r\n");
    assert_eq!(Report::from_mail(mail.as_bytes(), &ReadLimits::default()), Err(ReadError::NoReport));
    let mut nested = String::new();
    for depth in 0..5000 {
        nested += &format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n");
    }
    assert_eq!(Report::from_mail(nested.as_bytes(), &ReadLimits::default()), Err(ReadError::NoReport));
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000);
    assert_eq!(Report::from_mail(nested.as_bytes(), &ReadLimits::default()), Err(ReadError::NoReport));
    assert!(FailureReport::from_mail(nested.as_bytes(), &MailLimits::default(), &FeedbackLimits::default()).is_err());
    let mut limits = ReadLimits::default();
    limits.mail.octets_max = 100;
    assert_eq!(Report::from_mail(mail.as_bytes(), &limits), Err(ReadError::Mail));
}

/// Each member costs a decoder of its own, and twenty octets make one.
#[test]
fn gzip_files_of_countless_members_are_refused() {
    let limits = UnpackLimits::default();
    let members = |count: usize| [gzip(b"").repeat(count - 1), gzip(b"<feedback/>")].concat();
    assert_eq!(&*unpack(&members(limits.entries_max), &limits).unwrap(), b"<feedback/>");
    assert_eq!(unpack(&members(limits.entries_max + 1), &limits), Err(UnpackError::Unsupported));
}
