//! Bodies on the wire: dots, bare newlines, and false ends (RFC 5321 §4.5.2, §4.1.1.4, §2.3.8).

mod shared;

use pillarbox_core::dot::{BareNewlines, DotDecoder, DotEncoder, Piece};
use proptest::prelude::*;

/// What a decoder made of some octets.
#[derive(Debug, PartialEq)]
struct Decoded {
    body: Vec<u8>,
    ended: bool,
    /// Octets that belong to what follows the body.
    left: usize,
    saw_bare: bool,
}

/// Decodes `wire` shown in slices that end at `cuts`.
fn decode_cut(mut decoder: DotDecoder, wire: &[u8], cuts: &[usize]) -> Decoded {
    let mut ends = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([wire.len()]).collect::<Vec<_>>();
    ends.sort_unstable();
    let (mut body, mut start) = (Vec::new(), 0);
    for end in ends {
        let mut input = &wire[start..end];
        loop {
            match decoder.decode(&mut input) {
                Piece::Body(piece) => {
                    assert!(!piece.is_empty());
                    body.extend_from_slice(piece);
                }
                Piece::NeedInput => {
                    assert!(input.is_empty(), "every octet is used at once");
                    break;
                }
                Piece::End => break,
            }
        }
        start = end - input.len();
    }
    Decoded { body, ended: decoder.is_ended(), left: wire.len() - start, saw_bare: decoder.saw_bare() }
}

fn decode(wire: &[u8]) -> Decoded {
    decode_cut(DotDecoder::new(BareNewlines::Repair), wire, &[])
}

/// The same by the rules alone, octet by octet, for a wire that holds the end.
fn reference(wire: &[u8], dots: bool) -> Decoded {
    let (mut body, mut at, mut line_start, mut saw_bare) = (Vec::new(), 0, true, false);
    while at < wire.len() {
        let rest = &wire[at..];
        if dots && line_start && rest.starts_with(b".\r\n") {
            return Decoded { body, ended: true, left: rest.len() - 3, saw_bare };
        }
        if rest.starts_with(b"\r\n") {
            body.extend_from_slice(b"\r\n");
            at += 2;
            line_start = true;
            continue;
        }
        match rest[0] {
            b'.' if dots && line_start => {}
            b'\r' => body.push(b' '),
            b'\n' => body.extend_from_slice(b"\r\n"),
            octet => body.push(octet),
        }
        saw_bare |= matches!(rest[0], b'\r' | b'\n');
        line_start = false;
        at += 1;
    }
    Decoded { body, ended: false, left: 0, saw_bare }
}

fn encode(message: &[u8], cuts: &[usize], room: usize) -> Vec<u8> {
    let mut ends = cuts.iter().map(|cut| cut % (message.len() + 1)).chain([message.len()]).collect::<Vec<_>>();
    ends.sort_unstable();
    let (mut encoder, mut wire, mut start) = (DotEncoder::new(), Vec::new(), 0);
    for end in ends {
        while start < end {
            let before = wire.len();
            let used = encoder.encode(&message[start..end], &mut wire, room);
            assert!(wire.len() - before <= room);
            assert!(used > 0 || wire.len() > before, "a room of 2 is enough to go on");
            start += used;
        }
    }
    let before = wire.len();
    encoder.finish(&mut wire);
    assert!(wire.len() - before <= DotEncoder::FINISH_MAX);
    wire
}

#[test]
fn published_dot_cases() {
    let Some(suite) = shared::suite("smtp/dot-stuffing.json") else { return };
    for case in suite["decode"].as_array().unwrap() {
        let (wire, message) = (shared::text(case, "wire").as_bytes(), shared::text(case, "message").as_bytes());
        for cut in 0..=wire.len() {
            let decoded = decode_cut(DotDecoder::new(BareNewlines::Repair), wire, &[cut]);
            assert_eq!((&decoded.body[..], decoded.ended), (message, true), "{case} cut at {cut}");
        }
    }
    for case in suite["encode"].as_array().unwrap() {
        let (wire, message) = (shared::text(case, "wire").as_bytes(), shared::text(case, "message").as_bytes());
        for cut in 0..=message.len() {
            assert_eq!(encode(message, &[cut], 2), wire, "{case} cut at {cut}");
        }
    }
}

#[test]
fn published_false_ends() {
    let Some(suite) = shared::suite("smtp/smuggling-eod.json") else { return };
    for case in suite["cases"].as_array().unwrap() {
        let sequence = shared::text(case, "bytes").as_bytes();
        let wire = [b"one", sequence, b"MAIL FROM:<a@b.example>\r\n\r\n.\r\n"].concat();
        let ends_data = case["ends_data"].as_bool().unwrap();
        for cut in 0..=wire.len() {
            let decoded = decode_cut(DotDecoder::new(BareNewlines::Repair), &wire, &[cut]);
            assert!(decoded.ended);
            assert_eq!(decoded.left > 0, ends_data, "{case} cut at {cut}");
        }
        // As a client: whatever a stored message holds, the receiver sees one message.
        let message = [b"one", sequence, b"two"].concat();
        let decoded = decode(&encode(&message, &[], 64));
        assert_eq!((decoded.ended, decoded.left, decoded.saw_bare), (true, 0, false), "{case}");
    }
}

#[test]
fn false_ends() {
    for (wire, body) in [
        // What ended a body for one server or another, and let a second message through behind it.
        (&b"a\n.\nb\r\n.\r\n"[..], &b"a\r\n.\r\nb\r\n"[..]),
        (b"a\n.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n"),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\r.\rb\r\n.\r\n", b"a . b\r\n"),
        (b"a\r.\nb\r\n.\r\n", b"a .\r\nb\r\n"),
        (b"a\r\n.\r\r\nb\r\n.\r\n", b"a\r\n \r\nb\r\n"),
        (b"a\r\r\n.\r\r\nb\r\n.\r\n", b"a \r\n \r\nb\r\n"),
        (b"a\r\n\0.\r\nb\r\n.\r\n", b"a\r\n\0.\r\nb\r\n"),
        // The empty message, and the dot that is doubled.
        (b".\r\n", b""),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"\r\n.\r\n", b"\r\n"),
        // Nothing but newlines of each kind.
        (b"\n\n\r\r\r\n.\r\n", b"\r\n\r\n  \r\n"),
    ] {
        let decoded = decode(wire);
        assert_eq!(
            (&decoded.body[..], decoded.ended, decoded.left),
            (body, true, 0),
            "{:?}",
            wire.escape_ascii().to_string()
        );
    }
    for wire in [&b"a\r\n."[..], b"a\r\n.\r", b"a\r\n.x", b".", b""] {
        assert!(!decode(wire).ended);
    }
}

#[test]
fn reject_shows_nothing_behind_the_first_bare_newline() {
    for wire in [&b"one\r\ntwo\nthree\r\n.\r\nQUIT"[..], b"one\r\ntwo\rthree\r\n.\r\nQUIT"] {
        for cut in 0..wire.len() {
            let decoded = decode_cut(DotDecoder::new(BareNewlines::Reject), wire, &[cut]);
            let expected = Decoded { body: b"one\r\ntwo".to_vec(), ended: true, left: 4, saw_bare: true };
            assert_eq!(decoded, expected, "cut at {cut}");
        }
    }
    let mut decoder = DotDecoder::new(BareNewlines::Reject);
    assert_eq!(decoder.decode(&mut &b"a\r\n.\r\n"[..]), Piece::Body(b"a\r\n"));
    assert!(!decoder.is_refused());
}

#[test]
fn a_chunk_that_ends_in_cr() {
    for (policy, last) in [(BareNewlines::Repair, Piece::Body(b" ")), (BareNewlines::Reject, Piece::End)] {
        let mut decoder = DotDecoder::for_chunks(policy);
        let mut body = Vec::new();
        for mut chunk in [&b"a\r"[..], b"\n.\r"] {
            while let Piece::Body(piece) = decoder.decode(&mut chunk) {
                body.extend_from_slice(piece);
            }
        }
        assert_eq!((&body[..], decoder.saw_bare()), (&b"a\r\n."[..], false));
        assert_eq!(decoder.finish(), last);
        assert_eq!(decoder.finish(), Piece::End);
        assert!(decoder.saw_bare());
    }
}

/// Octets that matter, and long runs that cross the blocks in which a decoder looks.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let octets = prop_oneof![
        8 => prop::sample::select(vec![b"\r".to_vec(), b"\n".to_vec(), b".".to_vec(), b"x".to_vec(), b"\r\n".to_vec()]),
        1 => (1usize..200).prop_map(|length| vec![b'y'; length]),
        1 => (1usize..80).prop_map(|lines| b"a line of text, ended well\r\n".repeat(lines)),
    ];
    prop::collection::vec(octets, 0..40).prop_map(|pieces| pieces.concat())
}

#[test]
fn long_lines_stay_whole() {
    // RFC 5321 §4.5.3.1.6 has 998 octets and CRLF, §4.5.3.1 lets a client try more.
    for length in [998, 999, 100_000] {
        let line = [&b"x".repeat(length)[..], b"\r\n"].concat();
        assert_eq!(encode(&line, &[], usize::MAX), [&line[..], b".\r\n"].concat());
        assert_eq!(decode(&[&line[..], b".\r\n"].concat()).body, line);
    }
}

#[test]
fn little_room_costs_no_more_than_much() {
    // Each call may look at what it can write, not at all that is left: that would be minutes here.
    let body = b"x".repeat(1 << 19);
    let (mut encoder, mut out) = (DotEncoder::new(), Vec::new());
    let (start, mut used) = (std::time::Instant::now(), 0);
    while used < body.len() {
        used += encoder.encode(&body[used..], &mut out, 16);
        assert!(start.elapsed().as_secs() < 10, "{used} octets in 10 seconds");
    }
    assert_eq!(out, body);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn decoding_is_by_the_rules_and_cuts_change_nothing(body in wire(), cuts in prop::collection::vec(any::<usize>(), 0..6)) {
        let wire = [&body[..], b"\r\n.\r\nQUIT\r\n"].concat();
        let drip = (0..wire.len()).collect::<Vec<_>>();
        let expected = reference(&wire, true);
        let new = || DotDecoder::new(BareNewlines::Repair);
        prop_assert_eq!(&decode_cut(new(), &wire, &[]), &expected);
        prop_assert_eq!(&decode_cut(new(), &wire, &cuts), &expected);
        prop_assert_eq!(&decode_cut(new(), &wire, &drip), &expected);
    }

    #[test]
    fn chunks_keep_their_dots(body in wire(), cuts in prop::collection::vec(any::<usize>(), 0..6)) {
        let body = [&body[..], b"x"].concat();
        let expected = reference(&body, false);
        prop_assert_eq!(&decode_cut(DotDecoder::for_chunks(BareNewlines::Repair), &body, &cuts), &expected);
    }

    #[test]
    fn what_is_encoded_holds_one_message(
        message in wire(),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
        room in 2usize..100,
    ) {
        let wire = encode(&message, &[], usize::MAX);
        prop_assert_eq!(&encode(&message, &cuts, room), &wire);
        let decoded = decode(&wire);
        prop_assert_eq!((decoded.ended, decoded.left, decoded.saw_bare), (true, 0, false));
        // The message comes back with its newlines repaired, and with a CRLF at its end.
        let mut expected = reference(&message, false).body;
        if !expected.is_empty() && !expected.ends_with(b"\r\n") {
            expected.extend_from_slice(b"\r\n");
        }
        prop_assert_eq!(decoded.body, expected);
    }
}
