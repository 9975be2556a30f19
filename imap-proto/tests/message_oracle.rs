//! ENVELOPE, BODY, BODYSTRUCTURE and sections of 286 messages, compared with what Dovecot 2.3.19 answered.

// What was skipped, compared or differs has to be told.
#![allow(clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_imap::message::{
    Decoder, Limits, Part, PartKind, Section, SectionText, Structure, write_body, write_envelope,
};
use ring::digest;
use serde_json::Value;

/// A file, and which answers about it differ.
type FileDifferences = (&'static str, &'static [&'static str]);

/// Why an answer differs from Dovecot's, and where.
const DIFFERENCES: &[(&str, &[FileDifferences])] = &[
    (
        // RFC 2046 §5.1.1. Dovecot leaves it with a multipart that was closed just before, and with a message that has no
        // body. That the sections themselves differ in nothing else is checked, not listed.
        "the line end before a boundary belongs to the boundary",
        &[
            ("mail-parser/eml/issues/127.eml", BOTH),
            ("mail-parser/eml/malformed/022.eml", BOTH),
            ("mail-parser/eml/regressions/nested-encoded-message.eml", BOTH),
            ("mail-parser/eml/regressions/nested-headers-cut-by-delimiter.eml", BOTH),
            ("mail-parser/eml/regressions/readme-example.eml", BOTH),
            ("mail-parser/eml/rfc/008.eml", BOTH),
            ("mail-parser/eml/thirdparty/007.eml", BOTH),
            ("mail-parser/eml/thirdparty/015.eml", BOTH),
            ("mimekit/messages/rfc2060.txt", BOTH),
        ],
    ),
    (
        // RFC 2046 §5.1.1. Dovecot cuts boundaries to 80 octets, so that longer ones that begin alike are one to it.
        "of two boundaries that begin alike the longer is meant",
        &[(
            "mail-parser/eml/malformed/016.eml",
            &[
                "body",
                "bodystructure",
                "BODY[1]",
                "BODY[1.1]",
                "BODY[1.1.2]",
                "BODY[1.1.2.MIME]",
                "BODY[1.1.3]",
                "BODY[1.1.3.MIME]",
                "BODY[1.1.4]",
                "BODY[1.1.4.MIME]",
            ],
        )],
    ),
    (
        // RFC 2045 §5.2. Dovecot answers "" "", which no client can show.
        "what has no readable Content-Type is plain text",
        &[
            ("mail-parser/eml/malformed/017.eml", BOTH),
            ("mail-parser/eml/malformed/023.eml", BOTH),
            ("cpython-email/msg_14.txt", BOTH),
            ("mimekit/messages/missing-subtype.txt", BOTH),
        ],
    ),
    (
        // Dovecot stops at the first comma that is missing.
        "a group may end without a comma before the next address",
        &[
            ("mail-parser/eml/issues/98-adjacent-groups.eml", &["envelope"]),
            ("mail-parser/eml/issues/98-group-first.eml", &["envelope"]),
            ("mail-parser/eml/regressions/readme-example.eml", &["envelope"]),
        ],
    ),
    (
        // Dovecot shows the first word.
        "several words where a local part should be are all shown",
        &[("mimekit/messages/feedback-report.txt", BOTH)],
    ),
    (
        // As SENTBEFORE and its kin do, which Dovecot answers from the first too.
        "of two Date fields the first is shown",
        &[("mail-parser/eml/malformed/019.eml", &["envelope"])],
    ),
    (
        // RFC 2045 §8 allows any text. Dovecot drops what is no phrase.
        "a description is shown whatever it is",
        &[("mail-parser/eml/regressions/unstructured-fields.eml", BOTH)],
    ),
    (
        // RFC 2231 §7. Dovecot leaves spaces and quotes as they are.
        "plain pieces of an extended parameter are percent-encoded",
        &[("cpython-email/msg_29.txt", BOTH)],
    ),
    (
        // Their order means nothing (RFC 2045 §5.1). Dovecot sorts the extended ones.
        "parameters are shown in the order of the field",
        &[("cpython-email/msg_33.txt", &["bodystructure"])],
    ),
    (
        // The file ends with a CR that Dovecot had not stored.
        "the oracle answered about another message",
        &[(
            "mail-parser/eml/legacy/049.eml",
            &["body", "bodystructure", "BODY[]", "BODY[1]", "BODY[TEXT]", "BINARY[1]"],
        )],
    ),
];
const BOTH: &[&str] = &["body", "bodystructure"];

#[test]
fn answers_as_dovecot_does() {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        println!("skipped: PILLARBOX_SHARED is not set");
        return;
    };
    let conformance = folder.join("conformance");
    let text = fs::read_to_string(conformance.join("imap/dovecot-oracle/mime-fetch.json")).unwrap();
    let oracle: Value = serde_json::from_str(&text).unwrap();
    let mut differences = Vec::new();
    let mut compared = 0;
    for case in oracle["cases"].as_array().unwrap() {
        let file = case["file"].as_str().unwrap();
        let raw = crlf(&conformance.join("mime").join(file));
        assert_eq!(sha256(&raw), case["crlf_sha256"], "{file}");
        for (what, expected, ours) in answers(&raw, case) {
            compared += 1;
            if expected != ours {
                differences.push((file, what, expected, ours));
            }
        }
    }
    assert!(compared > 286 * 3, "{compared}");
    let listed = DIFFERENCES.iter().flat_map(|(_, files)| files.iter());
    let mut listed: Vec<_> = listed.flat_map(|(file, whats)| whats.iter().map(move |what| (*file, *what))).collect();
    listed.sort_unstable();
    let mut found: Vec<_> = differences.iter().map(|(file, what, ..)| (*file, what.as_str())).collect();
    found.sort_unstable();
    for (file, what, expected, ours) in &differences {
        if listed.binary_search(&(*file, what)).is_err() {
            println!("{file} {what}\n  theirs {expected}\n  ours   {ours}");
        }
    }
    assert_eq!(found, listed, "left: what differs; right: what may");
    println!("{compared} answers compared, {} differ as listed", found.len());
}

/// What was asked, what Dovecot answered, and what we do.
fn answers(raw: &[u8], case: &Value) -> Vec<(String, String, String)> {
    let limits = Limits::default();
    let structure = Structure::parse(raw, &limits);
    let mut list = Vec::new();
    let mut add = |what: &str, write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        let expected = case[what].as_str().unwrap();
        // The oracle's file holds octets above 127 as characters of their own.
        let expected: Vec<u8> = latin1(expected).unwrap_or_else(|| expected.as_bytes().to_vec());
        let (expected, ours) = (Node::parse(&expected), Node::parse(&out));
        list.push((what.to_owned(), format!("{expected:?}"), format!("{ours:?}")));
    };
    add("envelope", &|out| write_envelope(raw, &limits, out));
    add("body", &|out| write_body(&structure, raw, &limits, false, out));
    add("bodystructure", &|out| write_body(&structure, raw, &limits, true, out));
    for (name, expected) in case["parts"].as_object().unwrap() {
        if let Some(section) = name.strip_prefix("BINARY[") {
            let index = structure.part(&parse_section(section.strip_suffix(']').unwrap()).path);
            let part = index.map(|index| &structure.parts()[index]);
            // RFC 3516 §4.2: a message within is given as it is; Dovecot decodes the parts in it.
            if let Some(part) = part.filter(|part| part.kind() != PartKind::Message) {
                // Where Dovecot refused to decode, the oracle holds two or three stray octets, or says that it fell over.
                let ours = decoded(raw, part);
                let both_refused = ours.is_none() && (expected.is_string() || expected["size"].as_u64() < Some(4));
                let expected = if both_refused { "refused".to_owned() } else { summary(expected) };
                list.push((name.clone(), expected, ours.unwrap_or("refused".to_owned())));
            }
            continue;
        }
        let Some(section) = name.strip_prefix("BODY[") else { panic!("what is {name}?") };
        let section = parse_section(section.strip_suffix(']').unwrap());
        let ours = structure.section(raw, &section).map(|data| data.chunks(raw).collect::<Vec<_>>().concat());
        let written = |octets: &[u8]| format!("{} {}", octets.len(), sha256(octets));
        let with_line_end = ours.as_ref().map(|ours| written(&[ours, &b"\r\n"[..]].concat()));
        let mut ours = ours.map_or("NIL".to_owned(), |ours| written(&ours));
        let expected = summary(expected);
        if with_line_end.as_ref() == Some(&expected) && !section.path.is_empty() {
            // The first of the differences above.
            ours.clone_from(&expected);
        }
        list.push((name.clone(), expected, ours));
    }
    list
}

/// Nothing if it is not what its encoding requires.
fn decoded(raw: &[u8], part: &Part) -> Option<String> {
    let mut decoder = Decoder::new(part.encoding(raw));
    let mut octets = Vec::new();
    decoder.decode(&raw[part.body()], &mut octets);
    decoder.finish(&mut octets);
    (!decoder.is_broken()).then(|| format!("{} {}", octets.len(), sha256(&octets)))
}

fn summary(expected: &Value) -> String {
    match expected.as_object() {
        Some(expected) => format!("{} {}", expected["size"], expected["sha256"].as_str().unwrap_or("-")),
        None => expected.to_string(),
    }
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn parse_section(text: &str) -> Section {
    let mut section = Section::default();
    for word in text.split('.').filter(|word| !word.is_empty()) {
        match word {
            "HEADER" => section.text = SectionText::Header,
            "TEXT" => section.text = SectionText::Text,
            "MIME" => section.text = SectionText::Mime,
            number => section.path.push(number.parse().unwrap()),
        }
    }
    section
}

fn crlf(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out = Vec::with_capacity(bytes.len());
    for (index, &octet) in bytes.iter().enumerate() {
        if octet == b'\n' && (index == 0 || bytes[index - 1] != b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// An IMAP value; a second reading of the grammar, apart from the code under test.
#[derive(PartialEq, Eq)]
enum Node {
    Nil,
    Number(u64),
    String(Vec<u8>),
    List(Vec<Node>),
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Node::Nil => f.write_str("NIL"),
            Node::Number(n) => write!(f, "{n}"),
            Node::String(s) => write!(f, "\"{}\"", s.escape_ascii()),
            Node::List(list) => {
                f.write_str("(")?;
                for (index, node) in list.iter().enumerate() {
                    write!(f, "{}{node:?}", if index == 0 { "" } else { " " })?;
                }
                f.write_str(")")
            }
        }
    }
}

impl Node {
    fn parse(text: &[u8]) -> Node {
        let mut rest = text;
        let node = Node::one(&mut rest);
        assert!(rest.is_empty(), "behind the value: {:?}", rest.escape_ascii().to_string());
        node
    }

    fn one(rest: &mut &[u8]) -> Node {
        match rest.first().copied().expect("a value") {
            b'(' => {
                *rest = &rest[1..];
                let mut list = Vec::new();
                while rest[0] != b')' {
                    if rest[0] == b' ' {
                        *rest = &rest[1..];
                    }
                    list.push(Node::one(rest));
                }
                *rest = &rest[1..];
                Node::List(list)
            }
            b'"' => {
                let mut value = Vec::new();
                let mut at = 1;
                while rest[at] != b'"' {
                    if rest[at] == b'\\' {
                        at += 1;
                    }
                    value.push(rest[at]);
                    at += 1;
                }
                *rest = &rest[at + 1..];
                Node::String(value)
            }
            b'{' => {
                let end = rest.iter().position(|&b| b == b'}').unwrap();
                let len: usize = std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap();
                assert_eq!(&rest[end + 1..end + 3], b"\r\n");
                let value = rest[end + 3..end + 3 + len].to_vec();
                *rest = &rest[end + 3 + len..];
                Node::String(value)
            }
            b'N' => {
                *rest = rest.strip_prefix(b"NIL").expect("NIL");
                Node::Nil
            }
            _ => {
                let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
                let number = std::str::from_utf8(&rest[..end]).unwrap().parse().expect("a number");
                *rest = &rest[end..];
                Node::Number(number)
            }
        }
    }
}
