//! The parts of a mail that may hold a report (RFC 2045, RFC 2046).
//!
//! Of MIME only what reports need is read, and within bounds: a mail can hold mails without end.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memchr;
use pillarbox_core::header::{self, Fields};

use super::mime::decode_base64;
use super::text::{unquote, without_comments};

/// What is read of a mail at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailLimits {
    /// Octets of the mail. 52,428,800, as everywhere in the family.
    pub octets_max: usize,
    /// Parts that are looked at. 100: reports have three.
    pub parts_max: usize,
    /// Multiparts and mails within each other. 8: a report that was forwarded as an attachment is three or four deep.
    pub depth_max: usize,
}

impl Default for MailLimits {
    fn default() -> Self {
        MailLimits { octets_max: 52_428_800, parts_max: 100, depth_max: 8 }
    }
}

/// One part that is no multipart, decoded.
pub(super) struct MailPart<'m> {
    /// Type and subtype in small letters.
    pub(super) media_type: String,
    /// The name of the file that it is to become, in small letters; empty if it has none.
    pub(super) file_name: String,
    pub(super) octets: Cow<'m, [u8]>,
}

/// Calls `look` with each part, in the order in which they stand, until it says that it has seen enough. `false` if the mail
/// is too long.
pub(super) fn each_part(mail: &[u8], limits: &MailLimits, mut look: impl FnMut(MailPart<'_>) -> bool) -> bool {
    if mail.len() > limits.octets_max {
        return false;
    }
    let mut left = limits.parts_max;
    walk(mail, "text/plain", limits.depth_max, &mut left, &mut look);
    true
}

/// Looks at an entity and what is in it. Returns whether to go on.
fn walk(
    entity: &[u8],
    default_type: &str,
    depth: usize,
    left: &mut usize,
    look: &mut dyn FnMut(MailPart<'_>) -> bool,
) -> bool {
    if *left == 0 {
        return false;
    }
    *left -= 1;
    let (head, body) = header::split(entity);
    let find =
        |name: &str| Fields::new(head).find(|field| field.name_is(name)).map(|field| Value::parse(&field.unfolded()));
    let content_type = find("Content-Type").unwrap_or_default();
    let media_type = if content_type.word.contains('/') { content_type.word.clone() } else { default_type.into() };
    if let (true, Some(boundary)) = (media_type.starts_with("multipart/"), content_type.parameter("boundary")) {
        // RFC 2046 §5.1.5
        let default_type = if media_type == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let mut sections = Sections::new(body, boundary);
        return depth == 0 || sections.all(|section| walk(section, default_type, depth - 1, left, look));
    }
    let encoding = find("Content-Transfer-Encoding").unwrap_or_default();
    let octets = match &*encoding.word {
        "base64" => Cow::Owned(decode_base64(body)),
        "quoted-printable" => Cow::Owned(decode_quoted_printable(body)),
        _ => Cow::Borrowed(body),
    };
    let disposition = find("Content-Disposition").unwrap_or_default();
    let file_name = disposition.parameter("filename").or(content_type.parameter("name")).unwrap_or_default();
    let file_name = file_name.to_ascii_lowercase();
    let is_mail = matches!(&*media_type, "message/rfc822" | "message/global");
    look(MailPart { media_type, file_name, octets: Cow::Borrowed(&octets) })
        && (!is_mail || depth == 0 || walk(&octets, "text/plain", depth - 1, left, look))
}

/// A value with parameters (RFC 2045 §5.1).
#[derive(Default)]
struct Value {
    /// In small letters.
    word: String,
    /// Names in small letters, and values.
    parameters: Vec<(String, String)>,
}

/// A field has no more parameters that mean something.
const PARAMETERS_MAX: usize = 32;

impl Value {
    fn parse(value: &[u8]) -> Self {
        let value = without_comments(&String::from_utf8_lossy(value));
        let mut parts = split_unquoted(&value);
        let word = parts.next().unwrap_or_default();
        let word = word.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), unquote(value.trim())))
        };
        Value { word, parameters: parts.take(PARAMETERS_MAX).filter_map(parameter).collect() }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }
}

/// The parts between semicolons that are not in quoted strings.
fn split_unquoted(value: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |c| {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        c == ';' && !is_quoted
    })
}

/// What stands between the boundaries of a multipart (RFC 2046 §5.1.1).
struct Sections<'m> {
    rest: &'m [u8],
    delimiter: Vec<u8>,
    is_done: bool,
}

enum Delimiter {
    Next,
    Last,
}

impl<'m> Sections<'m> {
    fn new(body: &'m [u8], boundary: &str) -> Self {
        let mut sections = Sections { rest: body, delimiter: [b"--", boundary.as_bytes()].concat(), is_done: false };
        // What stands before the first boundary is for readers without MIME.
        let _preamble = sections.section();
        sections
    }

    /// What stands before the next boundary, which is taken, too.
    fn section(&mut self) -> &'m [u8] {
        let body = self.rest;
        let mut at = 0;
        while at < body.len() {
            let end = memchr(b'\n', &body[at..]).map_or(body.len(), |lf| at + lf + 1);
            if let Some(delimiter) = self.delimiter(&body[at..end]) {
                self.is_done = matches!(delimiter, Delimiter::Last);
                self.rest = &body[end..];
                // The line end before a boundary belongs to it.
                let section = body[..at].strip_suffix(b"\n").unwrap_or(&body[..at]);
                return section.strip_suffix(b"\r").unwrap_or(section);
            }
            at = end;
        }
        (self.rest, self.is_done) = (&[], true);
        body
    }

    fn delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let rest = line.strip_prefix(&*self.delimiter)?.trim_ascii_end();
        match rest {
            b"" => Some(Delimiter::Next),
            b"--" => Some(Delimiter::Last),
            // Another boundary that begins with this one.
            _ => None,
        }
    }
}

impl<'m> Iterator for Sections<'m> {
    type Item = &'m [u8];

    fn next(&mut self) -> Option<&'m [u8]> {
        if self.is_done { None } else { Some(self.section()) }
    }
}

/// RFC 2045 §6.7; what is wrong in it stays as it is.
fn decode_quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'=', rest) {
        out.extend_from_slice(&rest[..at]);
        let hex = |octet: &u8| char::from(*octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        rest = match &rest[at + 1..] {
            [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
            // The line end belongs to the boundary that follows.
            [] => &[],
            [high, low, rest @ ..] if hex(high).is_some() && hex(low).is_some() => {
                out.extend(hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low));
                rest
            }
            rest => {
                out.push(b'=');
                rest
            }
        };
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn parts(mail: &str) -> Vec<String> {
        let mut parts = Vec::new();
        each_part(mail.as_bytes(), &MailLimits::default(), |part| {
            let text = String::from_utf8_lossy(&part.octets).into_owned();
            parts.push(format!("{}|{}|{text}", part.media_type, part.file_name));
            true
        });
        parts
    }

    #[test]
    fn parts_as_mails_bring_them() {
        assert_eq!(parts("\r\nhello"), ["text/plain||hello"]);
        assert_eq!(parts("Content-Type: nonsense\r\n\r\nhello"), ["text/plain||hello"]);
        let mail = "Content-Type: Multipart/Mixed (c); x=\"a;b\\\"\"; BOUNDARY=\"b 1\"\r\n\r\npreamble\r\n--b 1\r\n\r\none\r\n\
            --b 11\r\n--b 1 \r\nContent-Type: text/xml; name=A.XML\r\nContent-Transfer-Encoding: Base64\r\n\r\nPGE+\r\n\
            --b 1\nContent-Disposition: attachment;\r\n filename=\"x;y.gz\"\nContent-Transfer-Encoding: quoted-printable\n\n\
            =3Ca=\r\n>=zz=\r\n--b 1--\r\n--b 1\r\n\r\nepilogue";
        assert_eq!(parts(mail), ["text/plain||one\r\n--b 11", "text/xml|a.xml|<a>", "text/plain|x;y.gz|<a>=zz"]);
        // The end is missing, and so is the boundary.
        assert_eq!(parts("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx"), ["text/plain||x"]);
        assert_eq!(parts("Content-Type: multipart/mixed\n\n--b\n\nx"), ["multipart/mixed||--b\n\nx"]);
    }

    #[test]
    fn mails_in_mails() {
        let mail = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\none\n--b--\n";
        // The part has no header, and what it holds has one.
        assert_eq!(parts(mail), ["message/rfc822||Subject: x\n\none", "text/plain||one"]);
        let deep = "Content-Type: message/rfc822\n\n".repeat(100_000);
        assert_eq!(parts(&deep).len(), 9);
        let wide = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(100_000));
        assert_eq!(parts(&wide).len(), 99);
        let parameters = format!("Content-Type: multipart/mixed{}; boundary=b\n\nx", "; a=b".repeat(100_000));
        assert_eq!(parts(&parameters), ["multipart/mixed||x"]);
    }
}
