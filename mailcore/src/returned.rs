//! What of a message goes back in a report about it: the third part of `multipart/report` (RFC 6522 §3).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::header::{self, Fields};

/// RFC 5322 §2.1.1: what a line can hold.
const LINE_MAX: usize = 998;
/// The header of a message that goes back at most; fields behind that are left out. No reader needs more.
const HEADER_MAX: usize = 65_536;

/// A message, or the header of one, in the form in which a report can hold it: every line ends with CRLF, and neither a bare CR
/// or LF nor NUL is left.
///
/// ```
/// use pillarbox_core::returned::Returned;
///
/// let message = "Subject: Gr\u{fc}\u{df}e\n\nbody\n".as_bytes();
/// let header = Returned::header(message);
/// assert_eq!((header.media_type, &header.octets[..]), ("message/global-headers", "Subject: Gr\u{fc}\u{df}e\r\n".as_bytes()));
/// assert_eq!(Returned::message(b"Subject: hi\r\n\r\nbody\r\n").unwrap().media_type, "message/rfc822");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Returned {
    /// `message/rfc822` or `text/rfc822-headers`; `message/global` or `message/global-headers` where the header is in UTF-8
    /// (RFC 6533 §4.3, RFC 6532 §3.7).
    pub media_type: &'static str,
    /// The octets.
    pub octets: Vec<u8>,
}

impl Returned {
    /// All of a message; `None` if one of its lines is longer than a line can be (998 octets).
    pub fn message(message: &[u8]) -> Option<Self> {
        lines_fit(message).then(|| Returned::new(sendable(message), ["message/rfc822", "message/global"]))
    }

    /// The header of a message, 65,536 octets of it at most. A field that no line can hold is left out.
    pub fn header(message: &[u8]) -> Self {
        Returned::header_with(message, Cow::Borrowed)
    }

    /// The same with each field, its line end included, as `change` has it.
    pub fn header_with<'m>(message: &'m [u8], mut change: impl FnMut(&'m [u8]) -> Cow<'m, [u8]>) -> Self {
        let header = header::split(message).0;
        let mut fields = Vec::new();
        for field in Fields::new(header) {
            let raw = change(field.raw);
            if fields.len() + raw.len() > HEADER_MAX {
                break;
            }
            if lines_fit(&raw) {
                fields.extend_from_slice(&raw);
            }
        }
        Returned::new(sendable(&fields), ["text/rfc822-headers", "message/global-headers"])
    }

    /// The second type is for a header in UTF-8.
    fn new(octets: Vec<u8>, media_types: [&'static str; 2]) -> Self {
        let header = header::split(&octets).0;
        let is_global = !header.is_ascii() && core::str::from_utf8(header).is_ok();
        Returned { media_type: media_types[usize::from(is_global)], octets }
    }
}

fn lines_fit(text: &[u8]) -> bool {
    text.split(|octet| *octet == b'\n').all(|line| line.strip_suffix(b"\r").unwrap_or(line).len() <= LINE_MAX)
}

fn sendable(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    let mut octets = message.iter().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' if octets.peek() == Some(&&b'\n') => {
                octets.next();
                out.extend_from_slice(b"\r\n");
            }
            b'\r' | 0 => out.push(b' '),
            // A message from a file has these as line ends.
            b'\n' => out.extend_from_slice(b"\r\n"),
            octet => out.push(*octet),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_smtp_cannot_carry() {
        let returned = Returned::message(b"A: 1\nB: 2\r\n\r\nx\ry\0z\r\r\n.\n").unwrap();
        assert_eq!(returned.octets, b"A: 1\r\nB: 2\r\n\r\nx y z \r\n.\r\n");
        assert_eq!(Returned::message(&[b'x'; LINE_MAX]).unwrap().octets.len(), LINE_MAX);
        assert_eq!(Returned::message(&[b'x'; LINE_MAX + 1]), None);
    }

    #[test]
    fn a_header_is_cut_between_its_fields() {
        let long = [&b"X: "[..], &[b'x'; 990], b"\r\n"].concat();
        let message = [&b"A: 1\r\n"[..], &long.repeat(100), b"\r\nbody"].concat();
        let returned = Returned::header(&message);
        assert!(returned.octets.len() <= HEADER_MAX && returned.octets.ends_with(&long));
        let overlong = [&b"X: "[..], &[b'x'; 999], b"\r\nB: 2\r\n"].concat();
        assert_eq!(Returned::header(&overlong).octets, b"B: 2\r\n");
    }

    #[test]
    fn types_follow_the_header() {
        for (message, whole, header) in [
            (&b"A: 1\r\n\r\n\xff\r\n"[..], "message/rfc822", "text/rfc822-headers"),
            (b"A: \xc3\xbc\r\n\r\n\xff\r\n", "message/global", "message/global-headers"),
            (b"A: \xfc\r\n\r\nx\r\n", "message/rfc822", "text/rfc822-headers"),
            (b"", "message/rfc822", "text/rfc822-headers"),
        ] {
            assert_eq!(Returned::message(message).unwrap().media_type, whole);
            assert_eq!(Returned::header(message).media_type, header);
        }
    }
}
