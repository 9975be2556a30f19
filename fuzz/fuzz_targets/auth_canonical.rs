//! The forms of DKIM: in any cuts they come out as the words of RFC 6376 §3.4 say, applied one after another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_auth::dkim::{BodyCanonicalizer, Canonicalization};
use pillarbox_core::header::Fields;
use pillarbox_fuzz::cut;

fuzz_target!(|data: &[u8]| {
    let (body, pieces) = cut(data);
    let pieces = pieces.collect::<Vec<_>>();
    for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let expected = obvious_body(form, body);
        assert_eq!(canonical(form, &[body]), expected);
        assert_eq!(canonical(form, &pieces), expected);
        // What is in the form already stays as it is.
        assert_eq!(canonical(form, &[&expected]), expected);
    }
    for field in Fields::new(body) {
        for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
            let mut found = Vec::new();
            form.push_field(&field, &mut found);
            let expected = match form {
                Canonicalization::Simple => without_line_end(field.raw).to_vec(),
                Canonicalization::Relaxed => obvious_field(field.name, field.value),
            };
            assert_eq!(found, expected);
        }
    }
});

fn canonical(form: Canonicalization, pieces: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut canonicalizer = BodyCanonicalizer::new(form);
    for piece in pieces {
        canonicalizer.write(piece, |run| body.extend_from_slice(run));
    }
    canonicalizer.finish(|run| body.extend_from_slice(run));
    body
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// White space as one space, none at the end.
fn reduced(line: &[u8]) -> Vec<u8> {
    let mut reduced = Vec::new();
    for &octet in line {
        match is_space(octet) {
            true if reduced.last() == Some(&b' ') => {}
            true => reduced.push(b' '),
            false => reduced.push(octet),
        }
    }
    if reduced.last() == Some(&b' ') {
        reduced.pop();
    }
    reduced
}

fn obvious_body(form: Canonicalization, body: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut rest = body;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(rest[..end].to_vec());
        rest = &rest[end + 2..];
    }
    lines.push(rest.to_vec());
    if form == Canonicalization::Relaxed {
        lines.iter_mut().for_each(|line| *line = reduced(line));
    }
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    let mut out = lines.iter().flat_map(|line| [line, &b"\r\n"[..]].concat()).collect::<Vec<_>>();
    if lines.is_empty() && form == Canonicalization::Simple {
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn without_line_end(raw: &[u8]) -> &[u8] {
    raw.strip_suffix(b"\r\n").or(raw.strip_suffix(b"\n")).unwrap_or(raw)
}

/// Name in small letters, folds taken out, white space as one space and none at either end.
fn obvious_field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut lines = value.split(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let folded = lines.len() - 1;
    for line in &mut lines[..folded] {
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    let value = reduced(&lines.concat());
    [&name.to_ascii_lowercase(), &b":"[..], value.strip_prefix(b" ").unwrap_or(&value)].concat()
}
