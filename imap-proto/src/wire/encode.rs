//! How answers are written.

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::WallTime;

use crate::octet::ASTRING;
use crate::types::{MailboxName, NameEncoding, Separator};

/// The most octets of a text for people.
const TEXT_MAX: usize = 400;

/// Appends formatted text. For numbers and words of ours; what a peer or embedder gave goes through [`text`] or
/// [`astring`].
pub fn push(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    struct Out<'a>(&'a mut Vec<u8>);
    impl fmt::Write for Out<'_> {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0.extend_from_slice(s.as_bytes());
            Ok(())
        }
    }
    // Writing to memory cannot fail; a `Display` that says otherwise has written what it could.
    let _ = fmt::Write::write_fmt(&mut Out(out), text);
}

/// Appends a text for people: printable ASCII (RFC 9051 §9, `text`), everything else as `?`, cut at 400 octets. Whatever
/// it repeats from a peer stays in its line.
pub fn text(out: &mut Vec<u8>, text: &str) {
    // RFC 9051 §9: the text has at least one character.
    let text = if text.is_empty() { "-" } else { text };
    if text.len() <= TEXT_MAX && pillarbox_core::octets::are_printable(text.as_bytes()) {
        // Nearly all are the program's own.
        return out.extend_from_slice(text.as_bytes());
    }
    out.extend(text.chars().map(|c| if matches!(c, ' '..='~') { c as u8 } else { b'?' }).take(TEXT_MAX));
}

/// Appends a number in decimal digits. Answers are full of them, and formatting takes several times as long.
pub fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Appends octets as `astring` (RFC 9051 §9): bare where that is possible, else quoted, else as a literal.
///
/// ```
/// use pillarbox_imap::wire::encode::astring;
///
/// let mut out = Vec::new();
/// astring(&mut out, b"INBOX");
/// out.push(b' ');
/// astring(&mut out, b"a \"b\"");
/// out.push(b' ');
/// astring(&mut out, b"a\r\nb");
/// assert_eq!(out, b"INBOX \"a \\\"b\\\"\" {4}\r\na\r\nb");
/// ```
pub fn astring(out: &mut Vec<u8>, octets: &[u8]) {
    // NIL would be read as an atom of its own.
    if !octets.is_empty() && octets.iter().all(|&b| ASTRING.holds(b)) && !octets.eq_ignore_ascii_case(b"NIL") {
        out.extend_from_slice(octets);
    } else {
        string(out, octets);
    }
}

/// Appends octets as `string` (RFC 9051 §9): quoted where that is possible, else as a literal.
pub fn string(out: &mut Vec<u8>, octets: &[u8]) {
    if octets.iter().all(|b| (b' '..=b'~').contains(b)) {
        out.push(b'"');
        for &b in octets {
            if b == b'"' || b == b'\\' {
                out.push(b'\\');
            }
            out.push(b);
        }
        out.push(b'"');
    } else {
        push(out, format_args!("{{{}}}\r\n", octets.len()));
        out.extend_from_slice(octets);
    }
}

/// Appends a mailbox name; false, with nothing written, if the separator stands in a level.
pub fn mailbox(out: &mut Vec<u8>, name: &MailboxName, separator: Separator, encoding: NameEncoding) -> bool {
    let Some(name) = name.to_wire(separator, encoding) else { return false };
    match encoding {
        NameEncoding::Utf8 => utf8_astring(out, &name),
        NameEncoding::ModifiedUtf7 => astring(out, name.as_bytes()),
    }
    true
}

/// Appends a text as `astring` for a client that takes UTF-8 in quotes (RFC 9051 §9, RFC 6855 §3).
pub fn utf8_astring(out: &mut Vec<u8>, text: &str) {
    if text.is_ascii() || text.contains(char::is_control) {
        return astring(out, text.as_bytes());
    }
    out.push(b'"');
    for &b in text.as_bytes() {
        if b == b'"' || b == b'\\' {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

/// Appends a `date-time` (RFC 9051 §9), such as `"17-Jul-1996 02:44:25 -0700"`.
pub fn date_time(out: &mut Vec<u8>, date: WallTime) {
    let c = date.civil();
    push(
        out,
        format_args!(
            "\"{:2}-{}-{:04} {:02}:{:02}:{:02} {}\"",
            c.day,
            c.month_name(),
            c.year,
            c.hour,
            c.minute,
            c.second,
            date.zone()
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn text_stays_in_its_line() {
        let mut out = Vec::new();
        text(&mut out, "no such mailbox: x\r\na OK done\0\u{1b}é\u{7f}");
        assert_eq!(out, b"no such mailbox: x??a OK done????");
        out.clear();
        text(&mut out, &"é".repeat(1000));
        assert_eq!(out.len(), TEXT_MAX);
    }

    #[test]
    fn numbers() {
        for n in [0, 7, 10, 4_294_967_295, u64::MAX] {
            let mut out = b"x".to_vec();
            number(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), alloc::format!("x{n}"));
        }
    }

    #[test]
    fn dates_have_two_places_for_the_day() {
        let mut out = Vec::new();
        date_time(&mut out, WallTime::from_civil(1996, 7, 4, 2, 44, 25, -7 * 3600).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), "\" 4-Jul-1996 02:44:25 -0700\"");
    }

    #[test]
    fn strings_that_need_care() {
        for (octets, written) in [
            (&b""[..], &b"\"\""[..]),
            (b"NIL", b"\"NIL\""),
            (b"a*", b"\"a*\""),
            (b"a]", b"a]"),
            (b"\xE9", b"{1}\r\n\xE9"),
            (b"a\x7f", b"{2}\r\na\x7f"),
        ] {
            let mut out = Vec::new();
            astring(&mut out, octets);
            assert_eq!(out, written);
        }
    }
}
