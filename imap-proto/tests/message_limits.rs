//! Messages made to hurt: depth, number, length and truncation; and that whatever is written can be read.

use std::time::Duration;

use pillarbox_core::{Random, SeededRandom};
use pillarbox_imap::message::{
    Address, Limits, PartKind, Section, SectionText, Structure, addresses, decode_words, parse_date, write_body,
    write_envelope,
};
use proptest::prelude::*;

mod message_examined;

use message_examined::{assert_value, examine};

fn bodystructure(raw: &[u8], limits: &Limits) -> Vec<u8> {
    let mut out = Vec::new();
    write_body(&Structure::parse(raw, limits), raw, limits, true, &mut out);
    out
}

/// Multiparts within each other, with an equal text part in the innermost.
fn nested(depth: usize) -> Vec<u8> {
    let mut raw = Vec::new();
    for level in 0..depth {
        raw.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{level}x\r\n\r\n--b{level}x\r\n").as_bytes(),
        );
    }
    raw.extend_from_slice(b"\r\nthe innermost\r\n");
    for level in (0..depth).rev() {
        raw.extend_from_slice(format!("--b{level}x--\r\n").as_bytes());
    }
    raw
}

/// Messages within each other.
fn forwarded(depth: usize) -> Vec<u8> {
    [b"Content-Type: message/rfc822\r\n\r\n".repeat(depth), b"Subject: x\r\n\r\nthe innermost\r\n".to_vec()].concat()
}

#[test]
fn containers_beyond_the_limit_are_opaque() {
    let limits = Limits::default();
    for make in [nested, forwarded] {
        for (depth, parts, opaque) in [(99, 100, 0), (100, 101, 0), (101, 101, 1), (10_000, 101, 1)] {
            let raw = make(depth);
            let structure = Structure::parse(&raw, &limits);
            assert_eq!(structure.parts().len(), parts, "{depth}");
            let count = structure.parts().iter().filter(|part| part.kind() == PartKind::Opaque).count();
            assert_eq!(count, opaque, "{depth}");
            let written = bodystructure(&raw, &limits);
            assert_value(&written);
            assert_eq!(
                String::from_utf8(written).unwrap().contains("\"octet-stream\" NIL NIL NIL \"7bit\""),
                opaque == 1
            );
        }
    }
    // However high the limit is set, the writer's stack is safe.
    let mut high = limits;
    high.depth_max = usize::MAX;
    assert!(assert_value(&bodystructure(&nested(10_000), &high)) < 250);
}

#[test]
fn parts_beyond_the_limit_belong_to_the_last() {
    let limits = Limits::default();
    for (parts, expected) in [(9_999, 10_000), (10_000, 10_000), (10_001, 10_000), (100_000, 10_000)] {
        let mut raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n".to_vec();
        raw.extend_from_slice(&b"--x\r\n\r\npart\r\n".repeat(parts));
        raw.extend_from_slice(b"--x--\r\n");
        let structure = Structure::parse(&raw, &limits);
        assert_eq!(structure.parts().len(), expected, "{parts}");
        let last = structure.parts().last().unwrap();
        assert_eq!(&raw[last.body()] == b"part", parts < 10_000, "{parts}");
        assert_value(&bodystructure(&raw, &limits));
        assert!(structure.part(&[expected as u32 - 1]).is_some() && structure.part(&[expected as u32]).is_none());
    }
}

#[test]
fn long_and_alike_boundaries() {
    let limits = Limits::default();
    for (size, parts) in [(70, 3), (2048, 3), (2049, 2)] {
        let boundary = "b".repeat(size);
        let raw = format!(
            "Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\n1\r\n--{boundary}\r\n\r\n2\r\n--{boundary}--\r\n"
        );
        // Of a multipart whose boundary cannot be used, an empty part stands for all.
        assert_eq!(Structure::parse(raw.as_bytes(), &limits).parts().len(), parts, "{size}");
    }
    let raw =
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\n\
        --ab\r\n\r\none\r\n--ab\r\n\r\ntwo\r\n--ab--\r\n--a\r\n\r\nthree\r\n--a--\r\n";
    let structure = Structure::parse(raw, &limits);
    let bodies: Vec<&[u8]> = structure.parts().iter().map(|part| &raw[part.body()]).collect();
    assert_eq!(bodies[2..], [&b"one"[..], b"two", b"three"]);
}

/// Makes a message of a size.
type Make = Box<dyn Fn(usize) -> Vec<u8>>;

fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.try_into().expect("the clock does not go below zero")
}

/// How much processor time it takes, at best of three: what else the machine does is not in it.
fn time(work: impl Fn()) -> Duration {
    let once = || {
        let start = processor_time();
        work();
        processor_time().saturating_sub(start)
    };
    (0..3).map(|_| once()).min().unwrap()
}

#[test]
fn the_time_grows_with_the_input_and_no_faster() {
    let limits = Limits::default();
    let boundaries = |n: usize| {
        let mut raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n".to_vec();
        raw.extend_from_slice(&b"--x\r\n".repeat(n * 50));
        raw
    };
    let almost_boundaries = |n: usize| {
        // A hundred open boundaries that share two thousand octets with each line.
        let shared = "b".repeat(2_000);
        let mut raw = Vec::new();
        for level in 0..100 {
            let boundary = format!("{shared}{level:03}");
            raw.extend_from_slice(
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n").as_bytes(),
            );
        }
        raw.extend_from_slice(b"\r\n");
        raw.extend_from_slice(format!("--{shared}\r\n").repeat(n / 8).as_bytes());
        raw
    };
    let repeat = |start: &'static str, unit: &'static str, count: usize| {
        move |n: usize| [start.as_bytes(), &unit.as_bytes().repeat(n * count), b"\r\n\r\n"].concat()
    };
    let cases: Vec<(&str, Make)> = vec![
        ("boundaries", Box::new(boundaries)),
        ("almost boundaries", Box::new(almost_boundaries)),
        ("dashes", Box::new(repeat("Content-Type: multipart/mixed; boundary=x\r\n\r\n", "--\r\n", 50))),
        ("addresses", Box::new(repeat("From: ", "a@b,", 20))),
        ("groups", Box::new(repeat("From: ", "a:", 50))),
        ("comments", Box::new(repeat("From: ", "(", 50))),
        ("quotes", Box::new(repeat("From: ", "\"a\" ", 50))),
        ("angles", Box::new(repeat("From: ", "<@", 50))),
        ("backslashes", Box::new(repeat("From: \"", "\\", 50))),
        ("parameters", Box::new(repeat("Content-Type: text/plain", "; a*0=b", 20))),
        ("semicolons", Box::new(repeat("Content-Type: text/plain", ";", 50))),
        ("encoded words", Box::new(repeat("Subject: ", "=?utf-8?q?a", 20))),
        ("folds", Box::new(repeat("Subject: ", "a\r\n ", 20))),
        ("fields", Box::new(repeat("", "Subject: x\r\n", 20))),
    ];
    for (name, make) in cases {
        let run = |raw: &[u8]| {
            let mut out = Vec::new();
            let structure = Structure::parse(raw, &limits);
            write_body(&structure, raw, &limits, true, &mut out);
            write_envelope(raw, &limits, &mut out);
            let names = (0..100).map(|n| format!("X-{n}")).collect();
            let text = SectionText::HeaderFields { names, not: true };
            let section = structure.section(raw, &Section { path: vec![], text }).unwrap();
            let mut text = String::new();
            decode_words(raw, &mut text);
            (out, section.len(), text)
        };
        let (small, large) = (make(1_000), make(8_000));
        // Eight times the input; a quadratic cost would be sixty-four times the time. A busy machine can stretch any
        // measurement, so what is linear has to show it once in a few tries.
        let linear = (0..5).any(|_| {
            let (short, long) = (time(|| drop(run(&small))), time(|| drop(run(&large))));
            long < short * 30 + Duration::from_millis(30)
        });
        assert!(linear, "{name}: eight times the input took far more than eight times the time, five times in a row");
    }
}

#[test]
fn many_addresses_and_parameters_are_cut() {
    let limits = Limits::default();
    let from = format!("From: {}\r\n\r\n", "a@b, ".repeat(100_000));
    let mut out = Vec::new();
    write_envelope(from.as_bytes(), &limits, &mut out);
    assert_value(&out);
    let shown = out.windows(10).filter(|window| window == b"NIL NIL \"a").count();
    assert_eq!(shown, 3 * limits.addresses_max);
    // From, and what stands in for Sender and Reply-To.
    let many = addresses("x: a@b, ".repeat(100_000).as_bytes(), limits.addresses_max);
    assert!(many.len() <= limits.addresses_max + 1 && many.last() == Some(&Address::GroupEnd));

    let pieces: String = (0..129).map(|n| format!("; name*{n}=a")).collect();
    let raw = format!("Content-Type: text/plain{pieces}\r\n\r\n");
    let content_type = Structure::parse(raw.as_bytes(), &limits).parts()[0].content_type(raw.as_bytes(), &limits);
    assert_eq!(content_type.parameter("name").map(<[u8]>::len), Some(128));
}

#[test]
fn continued_parameters_are_joined_whatever_their_order() {
    let parameters = |field: &str| {
        let raw = format!("Content-Type: text/plain{field}\r\n\r\n");
        let limits = Limits::default();
        let content_type = Structure::parse(raw.as_bytes(), &limits).parts()[0].content_type(raw.as_bytes(), &limits);
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        content_type.parameters().map(|(name, value)| format!("{}={}", text(name), text(value))).collect::<Vec<_>>()
    };
    assert_eq!(parameters("; n*1=b; N*0=a; x=y"), ["x=y", "n=ab"]);
    assert_eq!(parameters("; n*0*=utf-8''%41; n*1=\"b c\""), ["n*=utf-8''%41b%20c"]);
    assert_eq!(parameters("; n*0=a; n*2=c"), ["n*0=a", "n*2=c"]);
    assert_eq!(parameters("; n*0=a; n*0=b"), ["n*0=a", "n*0=b"]);
    assert_eq!(parameters("; n*=utf-8''%41; n*x=1; n*99999999999=1"), ["n*=utf-8''%41", "n*x=1", "n*99999999999=1"]);
}

#[test]
fn comments_are_no_parameters() {
    let boundary = |field: &str| {
        let raw = format!("Content-Type: multipart/mixed{field}\r\n\r\n");
        let limits = Limits::default();
        let content_type = Structure::parse(raw.as_bytes(), &limits).parts()[0].content_type(raw.as_bytes(), &limits);
        content_type.parameter("boundary").map(|value| String::from_utf8(value.to_vec()).unwrap())
    };
    // RFC 2045 §5.1 allows comments. Whoever reads one as a parameter sees other parts than a filter that does not.
    for field in [
        "; charset=utf-8 (; boundary=within); boundary=real",
        " (\\); boundary=within); boundary=real",
        "; a=b(((;boundary=within)));boundary=real",
        // One that is never closed is junk, and hides nothing.
        "; name=plan (1.pdf; boundary=real",
        "; name=5\" disk; boundary=real",
    ] {
        assert_eq!(boundary(field).as_deref(), Some("real"), "{field}");
    }
}

#[test]
fn many_languages_are_cut() {
    let raw = format!("Content-Language: {}\r\n\r\n", "a,".repeat(100_000));
    let limits = Limits::default();
    let written = bodystructure(raw.as_bytes(), &limits);
    assert_value(&written);
    assert_eq!(written.windows(3).filter(|window| *window == b"\"a\"").count(), limits.parameters_max);
}

/// A mail of every kind of part, to be cut and changed.
const MAIL: &[u8] = b"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nFrom: \"A \\\" b\" <a@example.com> (c (d))\r\n\
    To: Group: x@[192.0.2.1], <@r,@s:y@z>;, =?utf-8?q?=C3=A4?= <q@r>\r\nSubject: folded\r\n\tsubject \xe4\r\n\
    Message-ID: <1@example.com>\r\nContent-Type: multipart/mixed; boundary=\"one two\"\r\nMIME-Version: 1.0\r\n\r\n\
    preamble\r\n--one two\r\nContent-Type: text/plain; charset=utf-8; name*0*=u''%41; name*1=b\r\n\
    Content-Disposition: attachment; filename=\"x\\\"y\"\r\nContent-Language: de, en\r\n\r\nhello\r\n--one two\r\n\
    Content-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/digest; boundary=one\r\n\r\n--one\r\n\r\n\
    Subject: in the digest\r\n\r\ntext\r\n--one--\r\nepilogue\r\n--one two\r\nContent-Type: image/png\r\n\
    Content-Transfer-Encoding: base64\r\nContent-MD5: x\r\nContent-ID: <2>\r\n\r\nAAAA\r\n--one two--\r\n";

#[test]
fn ten_thousand_mutations() {
    let mut random = SeededRandom::new(8);
    let mut below = |bound: usize| random.below(bound as u64) as usize;
    for _ in 0..10_000 {
        let mut raw = MAIL.to_vec();
        for _ in 0..=below(6) {
            let at = below(raw.len());
            match below(5) {
                0 => raw[at] = below(256) as u8,
                1 => raw.insert(at, b"\"\\()<>@,;:-\r\n\0\xe4"[below(15)]),
                2 => drop(raw.drain(at..(at + below(40)).min(raw.len()))),
                3 => raw.truncate(at + 1),
                // A piece of it comes once more.
                _ => {
                    let piece = raw[at..(at + below(200)).min(raw.len())].to_vec();
                    let to = below(raw.len());
                    drop(raw.splice(to..to, piece));
                }
            }
        }
        examine(&raw);
    }
}

#[test]
fn a_mail_cut_anywhere() {
    for end in 0..=MAIL.len() {
        examine(&MAIL[..end]);
        // And with line ends of LF alone.
        examine(&MAIL[..end].iter().copied().filter(|&b| b != b'\r').collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn a_mail_changed_anywhere(changes in prop::collection::vec((0..MAIL.len(), any::<u8>(), 0usize..3), 1..20)) {
        let mut raw = MAIL.to_vec();
        for (at, octet, how) in changes {
            let at = at.min(raw.len() - 1);
            match how {
                0 => raw[at] = octet,
                1 => raw.insert(at, octet),
                _ => drop(raw.remove(at)),
            }
        }
        examine(&raw);
    }

    #[test]
    fn lines_of_a_mail_in_any_order(order in prop::collection::vec(0usize..50, 0..80)) {
        let lines: Vec<&[u8]> = MAIL.split_inclusive(|&b| b == b'\n').collect();
        let raw: Vec<u8> = order.iter().flat_map(|&at| lines[at % lines.len()]).copied().collect();
        examine(&raw);
    }

    #[test]
    fn any_octets(raw in prop::collection::vec(any::<u8>(), 0..300)) {
        examine(&raw);
        let _ = parse_date(&raw);
        decode_words(&raw, &mut String::new());
        addresses(&raw, 100);
    }

    #[test]
    fn odd_octets_in_an_address_field(field in "[a-b@<>,;:.\"()\\\\ \\[\\]]{0,60}") {
        let list = addresses(field.as_bytes(), 1000);
        let starts = list.iter().filter(|a| matches!(a, Address::GroupStart(_))).count();
        let ends = list.iter().filter(|a| matches!(a, Address::GroupEnd)).count();
        prop_assert_eq!(starts, ends);
        examine(format!("From: {field}\r\n\r\n").as_bytes());
    }
}
