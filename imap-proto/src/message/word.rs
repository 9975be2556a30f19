//! Encoded words (RFC 2047) and charsets.

use alloc::string::String;
use alloc::vec::Vec;

use encoding_rs::{Encoding as Charset, UTF_8};
use memchr::memmem;

use super::{Decoder, Encoding};

/// The charset of this name; US-ASCII counts as UTF-8.
fn known_charset(label: Option<&[u8]>) -> Option<&'static Charset> {
    let label = label.unwrap_or_default().trim_ascii();
    if label.eq_ignore_ascii_case(b"us-ascii") { Some(UTF_8) } else { Charset::for_label(label) }
}

/// The charset of this name. Unknown and missing ones, and US-ASCII, count as UTF-8: text that is not what it says is
/// UTF-8 more often than anything else.
pub(crate) fn charset(label: Option<&[u8]>) -> &'static Charset {
    known_charset(label).unwrap_or(UTF_8)
}

/// Appends the value of an unstructured field in Unicode: folds and encoded words are undone. What is no text in its
/// charset becomes U+FFFD.
///
/// ```
/// use pillarbox_imap::message::decode_words;
///
/// let mut text = String::new();
/// decode_words(b" =?utf-8?q?caf=C3?=\r\n =?utf-8?q?=A9_au?= lait", &mut text);
/// assert_eq!(text, " café au lait");
/// ```
pub fn decode_words(value: &[u8], out: &mut String) {
    pieces(value, |charset, octets| {
        out.push_str(&charset.unwrap_or(UTF_8).decode_without_bom_handling(octets).0);
    });
}

/// The value of an unstructured field, of which it is known whether it is text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// All of it is text in its charset.
    Text(String),
    /// Some of it is not, or its charset is not known: the octets, each as the character of its number.
    Octets(String),
}

impl Decoded {
    /// Undoes folds and encoded words.
    pub(crate) fn of_words(value: &[u8]) -> Self {
        let (mut text, mut is_text) = (String::new(), true);
        pieces(value, |charset, octets| {
            let (piece, malformed) = charset.unwrap_or(UTF_8).decode_without_bom_handling(octets);
            is_text &= charset.is_some() && !malformed;
            text.push_str(&piece);
        });
        if is_text {
            return Decoded::Text(text);
        }
        text.clear();
        pieces(value, |_, octets| text.extend(octets.iter().map(|octet| char::from(*octet))));
        Decoded::Octets(text)
    }

    /// What has no encoded words in it.
    pub(crate) fn of_plain(value: &[u8]) -> Self {
        match core::str::from_utf8(value) {
            Ok(text) => Decoded::Text(text.into()),
            Err(_) => Decoded::Octets(value.iter().map(|octet| char::from(*octet)).collect()),
        }
    }

    /// The text, or what stands for it.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Decoded::Text(text) | Decoded::Octets(text) => text,
        }
    }
}

/// Cuts the value of an unstructured field into octets of one charset each, with folds and encoded words undone; none where the
/// charset is not known.
fn pieces(value: &[u8], mut each: impl FnMut(Option<&'static Charset>, &[u8])) {
    let mut rest = value;
    // Octets of the encoded words so far: a character may be split between two of one charset (RFC 2047 §5 forbids it,
    // senders do it).
    let mut pending: Option<(Option<&'static Charset>, Vec<u8>)> = None;
    while let Some(at) = memmem::find(rest, b"=?") {
        let (before, word) = rest.split_at(at);
        let Some((word, behind)) = Word::parse(word) else {
            flush(&mut pending, &mut each);
            plain(&rest[..at + 2], &mut each);
            rest = &rest[at + 2..];
            continue;
        };
        // RFC 2047 §6.2: white space between encoded words is not shown.
        if pending.is_none() || !before.trim_ascii().is_empty() {
            flush(&mut pending, &mut each);
            plain(before, &mut each);
        }
        if pending.as_ref().is_some_and(|(charset, _)| *charset != word.charset) {
            flush(&mut pending, &mut each);
        }
        word.decode(&mut pending.get_or_insert_with(|| (word.charset, Vec::new())).1);
        rest = behind;
    }
    flush(&mut pending, &mut each);
    plain(rest, &mut each);
}

struct Word<'b> {
    charset: Option<&'static Charset>,
    is_base64: bool,
    text: &'b [u8],
}

impl<'b> Word<'b> {
    /// Parses `=?charset?encoding?text?=` and gives what follows. Whatever fails ends at the next question mark or space,
    /// so that no octet is looked at again and again.
    fn parse(input: &'b [u8]) -> Option<(Self, &'b [u8])> {
        let (charset_label, rest) = until_mark(input.strip_prefix(b"=?")?)?;
        let (encoding, rest) = until_mark(rest)?;
        // RFC 2047 §2: no white space is in an encoded word. Senders leave spaces as they are, and fold within one.
        let (text, rest) = rest.split_at_checked(memchr::memchr(b'?', rest)?)?;
        let rest = rest.get(1..)?;
        let rest = rest.strip_prefix(b"=")?;
        let is_base64 = match encoding {
            b"q" | b"Q" => false,
            b"b" | b"B" => true,
            _ => return None,
        };
        // RFC 2231 §5: a language may follow the charset.
        let label = charset_label.split(|&b| b == b'*').next();
        Some((Word { charset: known_charset(label), is_base64, text }, rest))
    }

    fn decode(&self, out: &mut Vec<u8>) {
        if self.is_base64 {
            let mut decoder = Decoder::new(Encoding::Base64);
            decoder.decode(self.text, out);
            return decoder.finish(out);
        }
        // RFC 2047 §4.2: like quoted-printable, but white space does not end a line here and underscores are spaces.
        let mut rest = self.text;
        while let Some((&octet, behind)) = rest.split_first() {
            rest = behind;
            match (octet, behind) {
                (b'_', _) => out.push(b' '),
                (b'\r' | b'\n', _) => rest = behind.trim_ascii_start(),
                (b'=', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let digit = |b: u8| (b as char).to_digit(16).unwrap_or_default() as u8;
                    out.push(digit(*high) << 4 | digit(*low));
                    rest = behind;
                }
                _ => out.push(octet),
            }
        }
    }
}

/// What is before the next question mark, and what is behind it. Nothing if white space comes first.
fn until_mark(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = input.iter().position(|b| *b == b'?' || b.is_ascii_whitespace())?;
    (input[end] == b'?').then(|| (&input[..end], &input[end + 1..]))
}

fn flush(
    pending: &mut Option<(Option<&'static Charset>, Vec<u8>)>,
    each: &mut impl FnMut(Option<&'static Charset>, &[u8]),
) {
    if let Some((charset, octets)) = pending.take() {
        each(charset, &octets);
    }
}

/// Text outside of encoded words: UTF-8 (RFC 6532), with folds. A tab behind a fold once was a space, as ENVELOPE shows it.
fn plain(text: &[u8], each: &mut impl FnMut(Option<&'static Charset>, &[u8])) {
    let mut lines = text.split(|b| matches!(b, b'\r' | b'\n'));
    each(Some(UTF_8), lines.next().unwrap_or_default());
    for line in lines {
        let unfolded = line.strip_prefix(b"\t").inspect(|_| each(Some(UTF_8), b" "));
        each(Some(UTF_8), unfolded.unwrap_or(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words() {
        for (value, expected) in [
            (&b"plain"[..], "plain"),
            (b"=?ISO-8859-1?Q?a_=E4?= b", "a ä b"),
            (b"=?iso-8859-1*de?q?=E4?=", "ä"),
            (b"=?utf-8?b?w6Q=?==?utf-8?q?_x?=", "ä x"),
            (b"=?utf-8?b?w6Q=?= \t=?iso-8859-1?q?=E4?=  =?utf-8?q?a?=", "ääa"),
            (b"a =?utf-8?q?b?= c", "a b c"),
            (b"=?utf-8?q?no end", "=?utf-8?q?no end"),
            (b"=?utf-8?x?a?= =?utf-8?q?", "=?utf-8?x?a?= =?utf-8?q?"),
            (b"=?=?utf-8?q?a?=", "=?a"),
            (b"=?utf-8?q?=C3?= x", "\u{fffd} x"),
            (b"=?utf-8?q?=01=_=zz=?=", "\u{1}= =zz="),
            (b"raw \xe4 \xc3\xa4", "raw \u{fffd} ä"),
            (b"folded\r\n text", "folded text"),
            (b"=?utf-8?q?with spaces?=", "with spaces"),
            (b"=?utf-8?q?fol\r\n ded?= =?utf-8?b?w6\r\n Q=?=", "folded\u{e4}"),
            (b"=?utf-8?q?open = b?c", "=?utf-8?q?open = b?c"),
            (b"=?nonsense?q?=C3=A4?=", "ä"),
        ] {
            let mut out = String::new();
            decode_words(value, &mut out);
            assert_eq!(out, expected, "{}", value.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn text_without_words_stays(text in "[a-z ?=]{0,40}") {
            prop_assume!(!text.contains("=?"));
            let mut out = String::new();
            decode_words(text.as_bytes(), &mut out);
            prop_assert_eq!(out, text);
        }
    }
}
