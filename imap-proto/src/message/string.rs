//! Strings in responses.

use alloc::vec::Vec;

use memchr::memchr3;

/// Writes a string, quoted if it can be and else as a literal; nothing as NIL.
pub(super) fn write_nstring(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => write_string(value, out),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes a string, quoted if it can be and else as a literal. Line ends within it (folds of a header field) are left out.
// RFC 9051 §9: quoted strings hold no octets above 127 unless the client asked for UTF-8; literals always may. No string
// holds NUL; 0x80 is sent in its place.
pub(super) fn write_string(value: &[u8], out: &mut Vec<u8>) {
    let plain = |b: &u8| (b' '..=b'~').contains(b) && !matches!(b, b'"' | b'\\');
    if value.iter().all(plain) {
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
        return;
    }
    if value.is_ascii() && memchr3(b'\0', b'"', b'\\', value).is_none_or(|at| value[at] != 0 && !value.contains(&0)) {
        out.push(b'"');
        for &octet in value {
            match octet {
                b'\r' | b'\n' => {}
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', octet]),
                _ => out.push(octet),
            }
        }
        out.push(b'"');
        return;
    }
    let line_ends = value.iter().filter(|b| matches!(b, b'\r' | b'\n')).count();
    write_number_in(b"{", value.len() - line_ends, b"}\r\n", out);
    out.extend(value.iter().filter(|b| !matches!(b, b'\r' | b'\n')).map(|&b| if b == 0 { 0x80 } else { b }));
}

pub(super) fn write_number_in(before: &[u8], number: usize, behind: &[u8], out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(before);
    out.extend_from_slice(&digits[at..]);
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
            (b"folded\r\n value", b"\"folded value\""),
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
