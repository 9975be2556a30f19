//! The header of a message: where it ends, and which fields it has (RFC 5322 §2.1, §2.2, §4.5).
//!
//! Everything that reads headers (DKIM, DMARC, filters, IMAP) goes through this one reading, so that a crafted message cannot
//! show one author to the check and another to the reader. The rules, which hold for CRLF and LF line ends alike:
//!
//! - The header ends at the first empty line, and nowhere else. The empty line belongs to the header, so header and body
//!   put together are the message. Without an empty line all is header.
//! - A line that begins with space or tab goes on the field before it, also if nothing else stands on it. As the first
//!   line of a message it begins a field without a name.
//! - The name of a field is what stands before the first colon, without the white space (and folds) before the colon, if
//!   that is one or more octets from 33 to 126. A field without such a name is kept, has the name `""`, and its value is
//!   all of it. So a mailbox separator `From ` and other junk between fields hides nothing that follows.
//! - A bare CR is an octet as any other.
//!
//! Sessions repair or refuse bare newlines before a message is stored ([`dot`](crate::dot)), so that the tolerance for LF
//! serves files from elsewhere.

mod date;
mod scanner;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use memchr::memchr;

pub use date::{parse_date, parse_sent_date};
pub use scanner::{HeaderLimit, HeaderLimits, HeaderScanner, HeaderStatus};

/// Splits a message behind the empty line that ends its header.
///
/// ```
/// use pillarbox_core::header;
///
/// assert_eq!(header::split(b"A: 1\r\n\r\nbody"), (&b"A: 1\r\n\r\n"[..], &b"body"[..]));
/// assert_eq!(header::split(b"A: 1\n\nbody").1, b"body");
/// assert_eq!(header::split(b"\r\nbody").1, b"body");
/// assert_eq!(header::split(b"A: 1\r\n").1, b"");
/// ```
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    message.split_at(find_body(message))
}

/// The message without all fields of this name, whatever the case. So who submits a message takes `Bcc` out of it (RFC 5322
/// §3.6.3): whom it names is nobody else's business.
///
/// ```
/// use pillarbox_core::header;
///
/// let message = b"To: joe@example.org\r\nbcc: ann@example.org,\r\n eve@example.org\r\n\r\nBcc: body\r\n";
/// assert_eq!(header::without(message, "Bcc"), b"To: joe@example.org\r\n\r\nBcc: body\r\n");
/// ```
pub fn without(message: &[u8], name: &str) -> Vec<u8> {
    let mut kept = Vec::with_capacity(message.len());
    let mut fields_end = 0;
    for field in Fields::new(message) {
        fields_end += field.raw.len();
        if !field.name_is(name) {
            kept.extend_from_slice(field.raw);
        }
    }
    kept.extend_from_slice(&message[fields_end..]);
    kept
}

/// Where the body begins: the length of the header with the empty line that ends it.
pub fn find_body(message: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = &message[at..];
        if let Some(length) = empty_line(rest) {
            return at + length;
        }
        match memchr(b'\n', rest) {
            Some(lf) => at += lf + 1,
            None => return message.len(),
        }
    }
}

/// The length of the empty line that `rest` begins with.
fn empty_line(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'\r', b'\n', ..] => Some(2),
        [b'\n', ..] => Some(1),
        _ => None,
    }
}

/// The fields of a header, from the top.
///
/// ```
/// use pillarbox_core::header::Fields;
///
/// let message = b"From: joe@example.org\r\nSubject: a\r\n folded one\r\n\r\nbody: no field\r\n";
/// let fields = Fields::new(message).collect::<Vec<_>>();
/// assert_eq!(fields.len(), 2);
/// assert!(fields[1].name_is("subject"));
/// assert_eq!(fields[1].value, b" a\r\n folded one");
/// assert_eq!(&*fields[1].unfolded(), b" a folded one");
/// ```
#[derive(Clone, Debug)]
pub struct Fields<'b> {
    rest: &'b [u8],
}

/// One field of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Field<'b> {
    /// The name as it is written; empty if the field has none that is valid.
    pub name: &'b [u8],
    /// What stands behind the colon, folds included, without the line end at the end.
    pub value: &'b [u8],
    /// All of the field with its line end, if it has one. The fields put together are the header without the empty line.
    pub raw: &'b [u8],
}

impl<'b> Fields<'b> {
    /// The fields of a header, or of the header of a message.
    pub const fn new(message: &'b [u8]) -> Self {
        Fields { rest: message }
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Field<'b>;

    fn next(&mut self) -> Option<Field<'b>> {
        if self.rest.is_empty() || empty_line(self.rest).is_some() {
            self.rest = &[];
            return None;
        }
        let mut end = 0;
        loop {
            match memchr(b'\n', &self.rest[end..]) {
                Some(lf) => end += lf + 1,
                None => end = self.rest.len(),
            }
            // RFC 5322 §2.2.3
            if !matches!(self.rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Field::new(raw))
    }
}

impl<'b> Field<'b> {
    fn new(raw: &'b [u8]) -> Self {
        let content = raw.strip_suffix(b"\n").map_or(raw, |line| line.strip_suffix(b"\r").unwrap_or(line));
        if let Some(colon) = memchr(b':', content) {
            // RFC 5322 §4.5: the obsolete syntax has white space before the colon.
            let name = content[..colon].trim_ascii_end();
            // RFC 5322 §3.6.8: ftext
            if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) {
                return Field { name, value: &content[colon + 1..], raw };
            }
        }
        Field { name: b"", value: content, raw }
    }

    /// Whether the field has this name, whatever the case.
    pub fn name_is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line: line ends before space or tab are taken out, and nothing else (RFC 5322 §2.2.3).
    pub fn unfolded(&self) -> Cow<'b, [u8]> {
        if memchr(b'\n', self.value).is_none() {
            return Cow::Borrowed(self.value);
        }
        let mut unfolded = Vec::with_capacity(self.value.len());
        let mut lines = self.value.split(|octet| *octet == b'\n').peekable();
        while let Some(line) = lines.next() {
            // Every LF inside a value is the end of a folded line.
            let line = if lines.peek().is_some() { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
            unfolded.extend_from_slice(line);
        }
        Cow::Owned(unfolded)
    }
}

/// What stands behind white space, folds and comments (`CFWS`, RFC 5322 §3.2.2). A comment that is not closed takes the rest
/// with it.
///
/// ```
/// use pillarbox_core::header::skip_cfws;
///
/// assert_eq!(skip_cfws(b" (a (nested) \\) one)\r\n\ttext (x)"), b"text (x)");
/// assert_eq!(skip_cfws(b" (open"), b"");
/// ```
pub fn skip_cfws(text: &[u8]) -> &[u8] {
    // Depth is a number, so that nesting costs nothing.
    let mut depth = 0_usize;
    let mut is_escaped = false;
    for (at, octet) in text.iter().enumerate() {
        match octet {
            _ if is_escaped => is_escaped = false,
            b'\\' if depth > 0 => is_escaped = true,
            b'(' => depth += 1,
            b')' if depth > 0 => depth -= 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if depth > 0 => {}
            _ => return &text[at..],
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Pair<'b> = (&'b [u8], &'b [u8]);

    /// Names and values of a message, and its body.
    fn read(message: &[u8]) -> (Vec<Pair<'_>>, &[u8]) {
        (Fields::new(message).map(|field| (field.name, field.value)).collect(), split(message).1)
    }

    #[test]
    fn odd_messages_have_one_reading() {
        type Case = (&'static [u8], &'static [Pair<'static>], &'static [u8]);
        let cases: [Case; 14] = [
            (b"", &[], b""),
            (b"\r\n", &[], b""),
            (b"A: 1", &[(b"A", b" 1")], b""),
            // The first line begins with a space: no field before it to go on with, so it hides no other.
            (b" A: 1\r\nB: 2\r\n\r\nx", &[(b"", b" A: 1"), (b"B", b" 2")], b"x"),
            // White space before the colon.
            (b"From : a\r\nFrom\t: b\r\n\r\n", &[(b"From", b" a"), (b"From", b" b")], b""),
            (b"From\r\n : a\r\n\r\n", &[(b"From", b" a")], b""),
            // No colon.
            (b"A: 1\r\njunk\r\nB: 2\r\n\r\nx", &[(b"A", b" 1"), (b"", b"junk"), (b"B", b" 2")], b"x"),
            // The separator of a mailbox file.
            (
                b"From a@b Mon Jan  1 00:00:00\nA: 1\n\nx",
                &[(b"", b"From a@b Mon Jan  1 00:00:00"), (b"A", b" 1")],
                b"x",
            ),
            // A line of white space ends nothing.
            (b"A: 1\r\n \r\nB: 2\r\n\r\nx", &[(b"A", b" 1\r\n "), (b"B", b" 2")], b"x"),
            // The body begins like a header.
            (b"A: 1\r\n\r\nB: 2\r\n", &[(b"A", b" 1")], b"B: 2\r\n"),
            (b"A: 1\n\r\nx", &[(b"A", b" 1")], b"x"),
            // A bare CR is no line end, and two are no empty line.
            (b"A: 1\r\r\n\r\r\nx: y\r\n\r\n", &[(b"A", b" 1\r"), (b"", b"\r"), (b"x", b" y")], b""),
            (b": 1\r\n\xc3\xa9: 2\r\nA B: 3\r\n\r\n", &[(b"", b": 1"), (b"", b"\xc3\xa9: 2"), (b"", b"A B: 3")], b""),
            (b"A:\r\nB:2:3\r\n\r\n", &[(b"A", b""), (b"B", b"2:3")], b""),
        ];
        for (message, fields, body) in cases {
            assert_eq!(read(message), (fields.to_vec(), body), "{:?}", message.escape_ascii().to_string());
        }
    }

    #[test]
    fn unfolding_takes_line_ends_and_nothing_else() {
        let unfolded = |message| Fields::new(message).next().unwrap().unfolded().into_owned();
        assert_eq!(unfolded(b"A: 1\r\n\t2\r\n  3\r\n\r\n"), b" 1\t2  3");
        assert_eq!(unfolded(b"A: 1\n 2\r\r\n 3\n"), b" 1 2\r 3");
        assert!(matches!(Fields::new(b"A: 1\r\n").next().unwrap().unfolded(), Cow::Borrowed(b" 1")));
    }

    proptest! {
        #[test]
        fn fields_and_body_are_the_message(message in prop::collection::vec(prop::sample::select(&b"\r\n :A"[..]), 0..60)) {
            let (header, body) = split(&message);
            let fields = Fields::new(&message).flat_map(|field| field.raw).copied().collect::<Vec<_>>();
            prop_assert_eq!([header, body].concat(), message.clone());
            let end = &header[fields.len()..];
            prop_assert!(header.starts_with(&fields) && matches!(end, b"" | b"\n" | b"\r\n"));
        }
    }
}
