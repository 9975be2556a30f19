//! Strings in responses.

use alloc::vec::Vec;

/// Writes a string, quoted if it can be and else as a literal; nothing as NIL.
pub(super) fn write_nstring(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => write_string(value, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes a string, quoted if it can be and else as a literal.
///
/// Line ends within it are the folds of a header field: they are left out, and a tab behind one, which once was a space,
/// becomes a space again.
// RFC 9051 §9: quoted strings hold no octets above 127 unless the client asked for UTF-8; literals always may. No string
// holds NUL; 0x80 is sent in its place.
pub(super) fn write_string(value: &[u8], out: &mut Vec<u8>) {
    let plain = |b: &u8| (b' '..=b'~').contains(b) && !matches!(b, b'"' | b'\\');
    if value.iter().all(plain) {
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
    } else if value.is_ascii() && !value.contains(&0) {
        out.push(b'"');
        for octet in unfolded(value) {
            if matches!(octet, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(octet);
        }
        out.push(b'"');
    } else {
        write_number_in(b"{", unfolded(value).count(), b"}\r\n", out);
        out.extend(unfolded(value).map(|b| if b == 0 { 0x80 } else { b }));
    }
}

fn unfolded(value: &[u8]) -> impl Iterator<Item = u8> {
    let mut behind_line_end = false;
    value.iter().filter_map(move |&octet| {
        let behind = core::mem::replace(&mut behind_line_end, matches!(octet, b'\r' | b'\n'));
        match octet {
            b'\r' | b'\n' => None,
            b'\t' if behind => Some(b' '),
            _ => Some(octet),
        }
    })
}

pub(super) fn write_number_in(before: &[u8], number: usize, behind: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(before);
    crate::wire::encode::number(out, number as u64);
    out.extend_from_slice(behind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        for (value, written) in [
            (&b""[..], &b"\"\""[..]),
            (b"a b", b"\"a b\""),
            (b"a\"b\\c", b"\"a\\\"b\\\\c\""),
            (b"folded\r\n value\r\n\tand\tmore", b"\"folded value and\tmore\""),
            (b"tab\there", b"\"tab\there\""),
            (b"\xe4\r\n\xf6", b"{2}\r\n\xe4\xf6"),
            (b"a\0b", b"{3}\r\na\x80b"),
            (b"\"a\0b", b"{4}\r\n\"a\x80b"),
        ] {
            let mut out = Vec::new();
            write_string(value, &mut out);
            assert_eq!(out, written, "{value:?}");
        }
    }

    #[test]
    fn numbers() {
        for number in [0, 9, 10, 12_345, usize::MAX] {
            let mut out = Vec::new();
            write_number_in(b"<", number, b">", &mut out);
            assert_eq!(out, alloc::format!("<{number}>").as_bytes());
        }
    }
}
