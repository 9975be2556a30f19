//! Content-Type, and the parameters that it shares with Content-Disposition (RFC 2045 §5.1, RFC 2183, RFC 2231).

use alloc::vec::Vec;

use pillarbox_core::header::Fields;

use super::lex::{Lexer, is_token};
use super::{Limits, PartKind};

/// The type of a part and its parameters, as written: case is kept, encoded values are not decoded.
///
/// ```
/// use pillarbox_imap::message::{Limits, Structure};
///
/// let raw = b"Content-Type: Text/HTML; charset=\"utf-8\"\r\n\r\n";
/// let limits = Limits::default();
/// let content_type = Structure::parse(raw, &limits).parts()[0].content_type(raw, &limits);
/// assert!(content_type.is("text", "html"));
/// assert_eq!(content_type.parameter("charset"), Some(&b"utf-8"[..]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    main: Vec<u8>,
    sub: Vec<u8>,
    parameters: Vec<Parameter>,
}

/// A parameter of a MIME field; the name of one in RFC 2231 form ends with `*`.
pub(super) type Parameter = (Vec<u8>, Vec<u8>);

impl ContentType {
    /// The type, such as `text`.
    pub fn main(&self) -> &[u8] {
        &self.main
    }

    /// The subtype, such as `plain`.
    pub fn sub(&self) -> &[u8] {
        &self.sub
    }

    /// Whether it is this type and subtype, compared without case.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main.eq_ignore_ascii_case(main.as_bytes()) && self.sub.eq_ignore_ascii_case(sub.as_bytes())
    }

    /// The value of a parameter, named without case.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// Names and values of the parameters in order.
    pub fn parameters(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parameters.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    pub(super) fn of_header(header: &[u8], in_digest: bool, limits: &Limits) -> Self {
        let value = Fields::new(header).find(|field| field.name_is("content-type")).map(|field| field.value);
        Self::parse(value, in_digest, limits)
    }

    fn parse(value: Option<&[u8]>, in_digest: bool, limits: &Limits) -> Self {
        value.and_then(|value| Self::parse_value(value, limits)).unwrap_or_else(|| {
            // RFC 2045 §5.2: what has no readable type is plain text; RFC 2046 §5.1.5: but in a digest a message.
            let (main, sub) = if in_digest && value.is_none() { ("message", "rfc822") } else { ("text", "plain") };
            ContentType { main: main.into(), sub: sub.into(), parameters: Vec::new() }
        })
    }

    fn parse_value(value: &[u8], limits: &Limits) -> Option<Self> {
        let mut lexer = Lexer::new(value);
        lexer.skip_cfws();
        let main = lexer.run(is_token);
        lexer.skip_cfws();
        if main.is_empty() || !lexer.take(b'/') {
            return None;
        }
        lexer.skip_cfws();
        let sub = lexer.run(is_token);
        lexer.skip_cfws();
        if sub.is_empty() || !matches!(lexer.peek(), None | Some(b';')) {
            return None;
        }
        Some(ContentType { main: main.into(), sub: sub.into(), parameters: parse_parameters(&mut lexer, limits) })
    }

    pub(super) fn kind(&self) -> PartKind {
        if self.main.eq_ignore_ascii_case(b"text") {
            PartKind::Text
        } else if self.main.eq_ignore_ascii_case(b"multipart") {
            PartKind::Multipart
        } else if self.is("message", "rfc822") || self.is("message", "global") {
            PartKind::Message
        } else {
            PartKind::Other
        }
    }

    /// The boundary, if it can separate parts.
    pub(super) fn boundary(&self, limits: &Limits) -> Option<&[u8]> {
        // RFC 2046 §5.1.1: a boundary does not end with white space.
        let boundary = self.parameter("boundary")?.trim_ascii_end();
        (!boundary.is_empty() && boundary.len() <= limits.boundary_size_max).then_some(boundary)
    }
}

/// Reads `; name=value` as long as there are any.
///
/// Values that are continued (`name*0`, `name*1*`, RFC 2231 §3) are joined: IMAP clients are shown `name`, or `name*` if a
/// piece is in extended form, whose other pieces are then percent-encoded to fit. Pieces that do not count from zero
/// without a gap are shown as they are.
pub(super) fn parse_parameters(lexer: &mut Lexer<'_>, limits: &Limits) -> Vec<Parameter> {
    let mut plain: Vec<Parameter> = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    // Once one is not closed none is looked for: it is junk like any other, and looking for the end of each would cost the
    // square of their number.
    let mut comments_close = true;
    while plain.len() + pieces.len() < limits.parameters_max {
        lexer.run(|b| b != b';' && b != b'(');
        while comments_close && lexer.peek() == Some(b'(') {
            comments_close = lexer.skip_closed_comment();
            lexer.run(|b| b != b';' && b != b'(');
        }
        lexer.run(|b| b != b';');
        if !lexer.take(b';') {
            break;
        }
        lexer.skip_cfws();
        let name = lexer.run(is_token);
        lexer.skip_cfws();
        if name.is_empty() || !lexer.take(b'=') {
            continue;
        }
        lexer.skip_cfws();
        let mut value = Vec::new();
        if lexer.peek() == Some(b'"') {
            lexer.quoted_string(&mut value);
        } else {
            // Values that should have been quoted are common: only what must end a value does.
            value.extend_from_slice(lexer.run(|b| !matches!(b, b';' | b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'(')));
        }
        match Piece::of(name, &value) {
            Some(piece) => pieces.push(piece),
            None => plain.push((name.to_vec(), value)),
        }
    }
    pieces.sort_by(|a, b| a.name.cmp(&b.name).then(a.index.cmp(&b.index)));
    for group in pieces.chunk_by(|a, b| a.name == b.name) {
        join(group, &mut plain);
    }
    plain
}

/// A piece of a continued value.
struct Piece {
    /// In lower case.
    name: Vec<u8>,
    index: u32,
    extended: bool,
    value: Vec<u8>,
}

impl Piece {
    fn of(name: &[u8], value: &[u8]) -> Option<Self> {
        let star = name.iter().position(|&b| b == b'*')?;
        let digits = &name[star + 1..];
        let (digits, extended) = digits.strip_suffix(b"*").map_or((digits, false), |digits| (digits, true));
        let index =
            core::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
        Some(Piece { name: name[..star].to_ascii_lowercase(), index, extended, value: value.to_vec() })
    }
}

fn join(group: &[Piece], out: &mut Vec<Parameter>) {
    let is_whole = group.iter().zip(0..).all(|(piece, index)| piece.index == index);
    if !is_whole {
        for piece in group {
            let mut name = piece.name.clone();
            name.extend_from_slice(
                alloc::format!("*{}{}", piece.index, if piece.extended { "*" } else { "" }).as_bytes(),
            );
            out.push((name, piece.value.clone()));
        }
        return;
    }
    let extended = group.iter().any(|piece| piece.extended);
    let mut name = group[0].name.clone();
    let mut value = Vec::new();
    if extended {
        name.push(b'*');
        // RFC 2231 §4: the first piece says charset and language; here it is plain text, so both are empty.
        if !group[0].extended {
            value.extend_from_slice(b"''");
        }
    }
    for piece in group {
        if extended && !piece.extended {
            percent_encode(&piece.value, &mut value);
        } else {
            value.extend_from_slice(&piece.value);
        }
    }
    out.push((name, value));
}

// RFC 2231 §7: attribute-char.
fn percent_encode(value: &[u8], out: &mut Vec<u8>) {
    for &octet in value {
        if is_token(octet) && octet < 0x80 && !b"*'%".contains(&octet) {
            out.push(octet);
        } else {
            out.extend_from_slice(alloc::format!("%{octet:02x}").as_bytes());
        }
    }
}
