//! Where a response ends, and where in it the octets of a message begin.

use super::value::number;

/// Looks through a response as it arrives, each octet once.
#[derive(Clone, Debug, Default)]
pub(super) struct Framer {
    /// No line ends before this place.
    seen: usize,
    /// Where the text behind the last literal begins.
    line: usize,
    /// Octets to the end of a literal that is held with its response.
    literal_end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// More octets are needed.
    Incomplete,
    /// A response, or the rest of one, ends behind so many octets, of which the last two are CRLF.
    Whole { len: usize },
    /// So many octets lead to the literal of a section, which has `size` octets and goes past in pieces.
    Section { len: usize, size: u64 },
    /// There is no end within the limit.
    TooLong,
}

impl Framer {
    /// Looks on where it stopped the last time; `input` begins with the response, or behind the last section of it
    /// (`is_in_fetch`). A response may have `max` octets without its sections.
    pub(super) fn frame(&mut self, input: &[u8], is_in_fetch: bool, max: usize) -> Framed {
        loop {
            if self.literal_end > input.len() {
                break;
            }
            self.seen = self.seen.max(self.literal_end);
            let Some(at) = memchr::memchr(b'\n', &input[self.seen..]) else {
                self.seen = input.len();
                break;
            };
            let end = self.seen + at;
            self.seen = end + 1;
            // Only CRLF ends a line; the rest is an octet like another.
            if end == self.line || input[end - 1] != b'\r' {
                continue;
            }
            let text = &input[self.line..end - 1];
            let is_text = self.line == 0 && !is_in_fetch && is_status(text);
            let Some((size, before)) = literal(text).filter(|_| !is_text) else {
                *self = Framer::default();
                return if end < max { Framed::Whole { len: end + 1 } } else { Framed::TooLong };
            };
            if end < max && ends_with_section(before) && (is_in_fetch || is_fetch(input)) {
                *self = Framer::default();
                return Framed::Section { len: end + 1, size };
            }
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            self.line = self.seen.saturating_add(size);
            self.literal_end = self.line;
            if self.line >= max {
                return Framed::TooLong;
            }
        }
        if input.len() >= max { Framed::TooLong } else { Framed::Incomplete }
    }
}

/// The size of the literal that a line announces, and what stands before it.
fn literal(line: &[u8]) -> Option<(u64, &[u8])> {
    let text = line.strip_suffix(b"}")?;
    let text = text.strip_suffix(b"+").unwrap_or(text);
    let digits = text.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let (before, digits) = text.split_at(text.len() - digits);
    let before = before.strip_suffix(b"{")?;
    if digits.is_empty() {
        return None;
    }
    Some((number(digits).unwrap_or(u64::MAX), before.strip_suffix(b"~").unwrap_or(before)))
}

/// Whether what stands last is the name of a section: `BODY[..]`, with or without an origin, or one of RFC822.
fn ends_with_section(before: &[u8]) -> bool {
    let text = before.trim_ascii_end();
    let text = match text.strip_suffix(b">") {
        Some(text) => {
            let digits = text.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
            text[..text.len() - digits].strip_suffix(b"<").unwrap_or_default()
        }
        None => text,
    };
    let ends_with = |name: &[u8]| {
        let start = text.len().checked_sub(name.len());
        start.is_some_and(|start| {
            text[start..].eq_ignore_ascii_case(name) && matches!(text[..start].last(), None | Some(b' ' | b'('))
        })
    };
    text.ends_with(b"]") || ends_with(b"RFC822") || ends_with(b"RFC822.HEADER") || ends_with(b"RFC822.TEXT")
}

/// Whether a line ends with text for people, which may look like a literal and is none (RFC 9051 §9, `resp-text`).
fn is_status(line: &[u8]) -> bool {
    // No tag of ours is longer.
    let begin = &line[..line.len().min(64)];
    let mut words = begin.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    let kind = words.next().unwrap_or_default();
    let kinds = [&b"OK"[..], b"NO", b"BAD", b"BYE", b"PREAUTH"];
    first.starts_with(b"+") || kinds.iter().any(|own| kind.eq_ignore_ascii_case(own))
}

/// Whether a response begins as FETCH does.
fn is_fetch(input: &[u8]) -> bool {
    // So that many sections in one response do not each look through a long word.
    let input = &input[..input.len().min(64)];
    let mut words = input.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    let is_untagged = words.next() == Some(b"*") && words.next().is_some_and(|word| number(word).is_some());
    let name = words.next().unwrap_or_default();
    is_untagged && (name.eq_ignore_ascii_case(b"FETCH") || name.eq_ignore_ascii_case(b"UIDFETCH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(text: &[u8]) -> Framed {
        let whole = Framer::default().frame(text, false, 100);
        let mut framer = Framer::default();
        let mut last = Framed::Incomplete;
        for end in 0..=text.len() {
            last = framer.frame(&text[..end], false, 100);
            if last != Framed::Incomplete {
                break;
            }
        }
        assert_eq!(last, whole);
        whole
    }

    #[test]
    fn ends_of_responses() {
        assert_eq!(frames(b"* OK hi\r\n* OK"), Framed::Whole { len: 9 });
        assert_eq!(frames(b"* OK a\nb\rc\r"), Framed::Incomplete);
        assert_eq!(frames(b"* LIST () \"/\" {4}\r\na\r\nb\r\nx"), Framed::Whole { len: 25 });
        assert_eq!(frames(b"* 1 FETCH (UID 3 BODY[] {9999}\r\n"), Framed::Section { len: 32, size: 9999 });
        assert_eq!(frames(b"* 1 FETCH (body[1]<20> ~{0}\r\n"), Framed::Section { len: 29, size: 0 });
        assert_eq!(frames(b"* 1 fetch (rfc822.TEXT {1}\r\n"), Framed::Section { len: 28, size: 1 });
        assert_eq!(frames(b"* LIST () \"/\" x] {1}\r\ny\r\n"), Framed::Whole { len: 25 });
        assert_eq!(frames(b"* 1 FETCH (BODY[HEADER.FIELDS ({2}\r\nTo)] {7}\r\n"), Framed::Section { len: 46, size: 7 });
    }

    #[test]
    fn limits_hold() {
        assert_eq!(frames(&[b'x'; 100]), Framed::TooLong);
        assert_eq!(frames(&[&[b'x'; 98][..], b"\r\n"].concat()), Framed::Whole { len: 100 });
        assert_eq!(frames(b"* X {99}\r\n"), Framed::TooLong);
        assert_eq!(frames(b"* X {99999999999999999999999}\r\n"), Framed::TooLong);
    }
}
