//! BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).

use alloc::vec::Vec;

use pillarbox_core::header::Fields;

use super::content_type::{Parameter, parse_parameters};
use super::lex::{Lexer, is_token, only_token};
use super::string::{write_nstring, write_number_in, write_string};
use super::{ContentType, Limits, PartKind, Structure, write_envelope};

/// Writes the BODYSTRUCTURE of a message (`extended`), or its BODY, which is the same without extension data. `raw` and
/// `limits` are those that the structure was parsed with.
///
/// ```
/// use pillarbox_imap::message::{Limits, Structure, write_body};
///
/// let raw = b"Content-Type: image/png; name=x\r\nContent-Disposition: inline\r\n\r\n12345";
/// let limits = Limits::default();
/// let mut out = Vec::new();
/// write_body(&Structure::parse(raw, &limits), raw, &limits, true, &mut out);
/// assert_eq!(out, br#"("image" "png" ("name" "x") NIL NIL "7bit" 5 NIL ("inline" NIL) NIL NIL)"#);
/// ```
pub fn write_body(structure: &Structure, raw: &[u8], limits: &Limits, extended: bool, out: &mut Vec<u8>) {
    Writer { structure, raw, limits, extended, out }.part(0);
}

struct Writer<'a> {
    structure: &'a Structure,
    raw: &'a [u8],
    limits: &'a Limits,
    extended: bool,
    out: &'a mut Vec<u8>,
}

/// The MIME fields of a part, trimmed.
#[derive(Default)]
struct MimeFields<'b> {
    id: Option<&'b [u8]>,
    description: Option<&'b [u8]>,
    encoding: Option<&'b [u8]>,
    md5: Option<&'b [u8]>,
    disposition: Option<&'b [u8]>,
    language: Option<&'b [u8]>,
    location: Option<&'b [u8]>,
}

impl<'b> MimeFields<'b> {
    fn of(header: &'b [u8]) -> Self {
        let mut found = MimeFields::default();
        for field in Fields::new(header) {
            // Most fields of a message are not MIME's.
            if !matches!(field.name.first(), Some(b'c' | b'C')) {
                continue;
            }
            let slot = match field.name {
                name if name.eq_ignore_ascii_case(b"content-id") => &mut found.id,
                name if name.eq_ignore_ascii_case(b"content-description") => &mut found.description,
                name if name.eq_ignore_ascii_case(b"content-transfer-encoding") => &mut found.encoding,
                name if name.eq_ignore_ascii_case(b"content-md5") => &mut found.md5,
                name if name.eq_ignore_ascii_case(b"content-disposition") => &mut found.disposition,
                name if name.eq_ignore_ascii_case(b"content-language") => &mut found.language,
                name if name.eq_ignore_ascii_case(b"content-location") => &mut found.location,
                _ => continue,
            };
            slot.get_or_insert(field.value.trim_ascii());
        }
        found
    }
}

impl Writer<'_> {
    // Recursion ends at the depth that `Limits` allows to be parsed.
    fn part(&mut self, index: usize) {
        let structure = self.structure;
        let part = &structure.parts()[index];
        let header = self.raw.get(part.header()).unwrap_or_default();
        let mime = MimeFields::of(header);
        let content_type = part.content_type(self.raw, self.limits);
        self.out.push(b'(');
        match part.kind() {
            PartKind::Multipart => self.multipart(index, &content_type),
            kind => self.leaf(index, kind, &content_type, &mime),
        }
        if self.extended {
            self.out.push(b' ');
            self.disposition(mime.disposition);
            self.out.push(b' ');
            self.language(mime.language);
            self.out.push(b' ');
            write_nstring(mime.location, self.out);
        }
        self.out.push(b')');
    }

    fn multipart(&mut self, index: usize, content_type: &ContentType) {
        let structure = self.structure;
        for child in structure.children(index) {
            self.part(child);
        }
        self.out.push(b' ');
        write_string(content_type.sub(), self.out);
        if self.extended {
            self.out.push(b' ');
            self.parameters(content_type.parameters(), false);
        }
    }

    fn leaf(&mut self, index: usize, kind: PartKind, content_type: &ContentType, mime: &MimeFields<'_>) {
        let structure = self.structure;
        let part = &structure.parts()[index];
        if kind == PartKind::Opaque {
            // "multipart" or "message" would promise what does not follow.
            self.out.extend_from_slice(b"\"application\" \"octet-stream\" NIL");
        } else {
            let (main, sub) = (content_type.main(), content_type.sub());
            if kind == PartKind::Message {
                // Clients that look for this word in quotes look for it in lower case.
                write_string(&main.to_ascii_lowercase(), self.out);
                self.out.push(b' ');
                write_string(&sub.to_ascii_lowercase(), self.out);
            } else {
                write_string(main, self.out);
                self.out.push(b' ');
                write_string(sub, self.out);
            }
            self.out.push(b' ');
            self.parameters(content_type.parameters(), kind == PartKind::Text);
        }
        self.out.push(b' ');
        write_nstring(mime.id, self.out);
        self.out.push(b' ');
        write_nstring(mime.description, self.out);
        self.out.push(b' ');
        // RFC 2045 §6.1: the default is 7bit.
        write_string(mime.encoding.and_then(only_token).unwrap_or(b"7bit"), self.out);
        write_number_in(b" ", part.body().len(), b"", self.out);
        match kind {
            PartKind::Text => write_number_in(b" ", part.lines(), b"", self.out),
            PartKind::Message => {
                self.out.push(b' ');
                if let Some(message) = structure.embedded(index) {
                    let header = structure.parts()[message].header();
                    write_envelope(self.raw.get(header).unwrap_or_default(), self.limits, self.out);
                    self.out.push(b' ');
                    self.part(message);
                }
                write_number_in(b" ", part.lines(), b"", self.out);
            }
            _ => {}
        }
        if self.extended {
            self.out.push(b' ');
            write_nstring(mime.md5, self.out);
        }
    }

    fn parameters<'p>(&mut self, parameters: impl Iterator<Item = (&'p [u8], &'p [u8])>, is_text: bool) {
        let mut has_charset = false;
        let start = self.out.len();
        for (name, value) in parameters {
            has_charset |= name.eq_ignore_ascii_case(b"charset");
            self.out.push(if self.out.len() == start { b'(' } else { b' ' });
            write_string(name, self.out);
            self.out.push(b' ');
            write_string(value, self.out);
        }
        if is_text && !has_charset {
            // RFC 2046 §4.1.2: the default charset. Some clients want to be told.
            self.out.push(if self.out.len() == start { b'(' } else { b' ' });
            self.out.extend_from_slice(b"\"charset\" \"us-ascii\"");
        }
        self.out.extend_from_slice(if self.out.len() == start { b"NIL" } else { b")" });
    }

    fn disposition(&mut self, value: Option<&[u8]>) {
        let Some((kind, parameters)) = value.and_then(|value| parse_disposition(value, self.limits)) else {
            return self.out.extend_from_slice(b"NIL");
        };
        self.out.push(b'(');
        write_string(kind, self.out);
        self.out.push(b' ');
        self.parameters(parameters.iter().map(|(name, value)| (name.as_slice(), value.as_slice())), false);
        self.out.push(b')');
    }

    fn language(&mut self, value: Option<&[u8]>) {
        // RFC 3282 §2: tags with commas between.
        let mut lexer = Lexer::new(value.unwrap_or_default());
        let start = self.out.len();
        let mut left = self.limits.parameters_max;
        while left > 0 && lexer.peek().is_some() {
            lexer.skip_cfws();
            let tag = lexer.run(is_token);
            if tag.is_empty() {
                lexer.bump();
                continue;
            }
            left -= 1;
            self.out.push(if self.out.len() == start { b'(' } else { b' ' });
            write_string(tag, self.out);
        }
        self.out.extend_from_slice(if self.out.len() == start { b"NIL" } else { b")" });
    }
}

fn parse_disposition<'b>(value: &'b [u8], limits: &Limits) -> Option<(&'b [u8], Vec<Parameter>)> {
    let mut lexer = Lexer::new(value);
    lexer.skip_cfws();
    let kind = lexer.run(is_token);
    (!kind.is_empty()).then(|| (kind, parse_parameters(&mut lexer, limits)))
}
