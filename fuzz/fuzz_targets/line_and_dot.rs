//! Command lines and bodies: cuts change nothing, and nothing but CRLF and CRLF.CRLF ends anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_core::dot::{BareNewlines, DotDecoder, DotEncoder, Piece};
use pillarbox_core::line::{LineScanner, LineSkipper, Scan, forbidden_octet};
use pillarbox_fuzz::cut;

fuzz_target!(|data: &[u8]| {
    let (whole, _) = cut(data);
    assert_eq!(lines(cut(data).1), lines([whole].into_iter()));

    for policy in [BareNewlines::Repair, BareNewlines::Reject] {
        for new in [DotDecoder::new, DotDecoder::for_chunks] {
            let expected = decode(new(policy), [whole].into_iter());
            assert_eq!(decode(new(policy), cut(data).1), expected);
            check_body(&expected.0);
        }
    }

    // Whatever a stored message holds, the receiver sees one, with its newlines repaired.
    let wire = encode([whole].into_iter());
    assert_eq!(encode(cut(data).1), wire);
    let (body, used, saw_bare) = decode(DotDecoder::new(BareNewlines::Repair), [&wire[..]].into_iter());
    assert_eq!((used, saw_bare), (Some(wire.len()), false));
    let (mut repaired, ..) = decode(DotDecoder::for_chunks(BareNewlines::Repair), [whole].into_iter());
    if !repaired.is_empty() && !repaired.ends_with(b"\r\n") {
        repaired.extend_from_slice(b"\r\n");
    }
    assert_eq!(body, repaired);
});

/// The lines of some slices, and the lengths of those that are too long.
fn lines<'b>(slices: impl Iterator<Item = &'b [u8]>) -> Vec<Result<Vec<u8>, u64>> {
    const MAX: usize = 16;
    let (mut found, mut scanner, mut skipper) = (Vec::new(), LineScanner::new(), None::<LineSkipper>);
    let mut unread = Vec::new();
    for slice in slices {
        unread.extend_from_slice(slice);
        let mut input = &unread[..];
        loop {
            if let Some(skip) = &mut skipper {
                let Some(length) = skip.skip(&mut input) else { break };
                found.push(Err(length));
                skipper = None;
            }
            match scanner.scan(input, MAX) {
                Scan::Line { len } => {
                    let (line, rest) = input.split_at(len);
                    assert!(len <= MAX && line.ends_with(b"\r\n"));
                    // A bare newline inside stays visible to who parses the line.
                    let inside = &line[..len - 2];
                    let bare = inside.iter().position(|octet| matches!(octet, 0 | b'\r' | b'\n'));
                    assert_eq!(forbidden_octet(line).map(|(at, _)| at), bare);
                    found.push(Ok(line.to_vec()));
                    input = rest;
                }
                Scan::Incomplete => {
                    assert!(input.len() < MAX);
                    break;
                }
                Scan::TooLong => skipper = Some(LineSkipper::new()),
            }
        }
        let used = unread.len() - input.len();
        unread.drain(..used);
    }
    found
}

/// The body, how many octets it took if it ended, and whether it held bare newlines.
fn decode<'b>(mut decoder: DotDecoder, slices: impl Iterator<Item = &'b [u8]>) -> (Vec<u8>, Option<usize>, bool) {
    let (mut body, mut used) = (Vec::new(), 0);
    for slice in slices {
        let mut input = slice;
        loop {
            match decoder.decode(&mut input) {
                Piece::Body(piece) => {
                    assert!(!piece.is_empty());
                    body.extend_from_slice(piece);
                }
                Piece::NeedInput => {
                    assert!(input.is_empty());
                    break;
                }
                Piece::End => break,
            }
        }
        used += slice.len() - input.len();
    }
    let ended = decoder.is_ended();
    if let Piece::Body(piece) = decoder.finish() {
        body.extend_from_slice(piece);
    }
    (body, ended.then_some(used), decoder.saw_bare())
}

/// No CR without LF, no LF without CR.
fn check_body(body: &[u8]) {
    for (at, octet) in body.iter().enumerate() {
        match octet {
            b'\r' => assert_eq!(body.get(at + 1), Some(&b'\n')),
            b'\n' => assert!(at > 0 && body[at - 1] == b'\r'),
            _ => {}
        }
    }
}

fn encode<'b>(slices: impl Iterator<Item = &'b [u8]>) -> Vec<u8> {
    let (mut encoder, mut wire) = (DotEncoder::new(), Vec::new());
    for slice in slices {
        let mut rest = slice;
        while !rest.is_empty() {
            let (room, before) = (2 + rest.len() % 5, wire.len());
            let used = encoder.encode(rest, &mut wire, room);
            assert!(wire.len() - before <= room && (used > 0 || wire.len() > before));
            rest = &rest[used..];
        }
    }
    encoder.finish(&mut wire);
    check_body(&wire);
    wire
}
