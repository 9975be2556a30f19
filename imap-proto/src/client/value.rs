//! What responses are made of: words, strings and lists.

use alloc::borrow::Cow;
use alloc::vec::Vec;

/// How deep lists may lie in each other. A body of that many parts within parts is nobody's mail.
const DEPTH_MAX: usize = 100;
/// The most values of a response: each costs more memory than the two octets that it can be written with.
const VALUES_MAX: usize = 65_536;

/// A piece of a response (RFC 9051 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'b> {
    /// `NIL`.
    Nil,
    /// An atom, a number, a flag, the name of a section: what stands without quotes.
    Word(&'b [u8]),
    /// A string, quoted or as a literal.
    String(Cow<'b, [u8]>),
    /// What stands between parentheses.
    List(Vec<Value<'b>>),
}

/// A piece of a response that this crate has no type for (RFC 9051 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedValue {
    /// `NIL`.
    Nil,
    /// What stood without quotes.
    Word(Vec<u8>),
    /// A string.
    String(Vec<u8>),
    /// A list.
    List(Vec<OwnedValue>),
}

/// The response breaks the grammar beyond what is overlooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl<'b> Value<'b> {
    /// The octets of a word or a string.
    pub(super) fn octets(&self) -> Option<&[u8]> {
        match self {
            Value::Word(octets) => Some(octets),
            Value::String(octets) => Some(octets),
            Value::Nil | Value::List(_) => None,
        }
    }

    /// A number, which some servers put between quotes.
    pub(super) fn number(&self) -> Option<u64> {
        number(self.octets()?)
    }

    pub(super) fn list(&self) -> Option<&[Value<'b>]> {
        match self {
            Value::List(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.octets().is_some_and(|octets| octets.eq_ignore_ascii_case(word.as_bytes()))
    }

    pub(super) fn to_owned_value(&self) -> OwnedValue {
        match self {
            Value::Nil => OwnedValue::Nil,
            Value::Word(octets) => OwnedValue::Word(octets.to_vec()),
            Value::String(octets) => OwnedValue::String(octets.to_vec()),
            Value::List(values) => OwnedValue::List(values.iter().map(Value::to_owned_value).collect()),
        }
    }
}

/// A number of digits only; none if it has no room in 64 bits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Reads values off the front of a response.
#[derive(Clone, Debug)]
pub(super) struct Reader<'b> {
    rest: &'b [u8],
    /// Values that may still come.
    budget: usize,
    /// There may be a closing bracket further on.
    closes: bool,
}

impl<'b> Reader<'b> {
    pub(super) const fn new(text: &'b [u8]) -> Self {
        Reader { rest: text, budget: VALUES_MAX, closes: true }
    }

    /// Skips spaces; servers put too many and too few.
    pub(super) fn skip_spaces(&mut self) {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_spaces();
        self.rest.is_empty()
    }

    /// Whether the next octet is this one, which is taken then.
    pub(super) fn takes(&mut self, octet: u8) -> bool {
        self.skip_spaces();
        match self.rest {
            [first, rest @ ..] if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_next(&mut self, octet: u8) -> bool {
        self.skip_spaces();
        self.rest.first() == Some(&octet)
    }

    /// All values that are left.
    pub(super) fn values(&mut self) -> Result<Vec<Value<'b>>, Malformed> {
        let mut values = Vec::new();
        while !self.is_at_end() {
            values.push(self.value()?);
        }
        Ok(values)
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Result<Value<'b>, Malformed> {
        self.value_at(0)
    }

    fn value_at(&mut self, depth: usize) -> Result<Value<'b>, Malformed> {
        self.skip_spaces();
        self.budget = self.budget.checked_sub(1).ok_or(Malformed)?;
        match self.rest {
            [b'(', rest @ ..] if depth < DEPTH_MAX => {
                self.rest = rest;
                let mut values = Vec::new();
                while !self.takes(b')') {
                    values.push(self.value_at(depth + 1)?);
                }
                Ok(Value::List(values))
            }
            [b'"', rest @ ..] => self.quoted(rest).map(Value::String),
            [b'{', ..] | [b'~', b'{', ..] => match self.literal() {
                Some(octets) => Ok(Value::String(Cow::Borrowed(octets))),
                None => self.word(),
            },
            _ => self.word(),
        }
    }

    fn quoted(&mut self, text: &'b [u8]) -> Result<Cow<'b, [u8]>, Malformed> {
        let end = memchr::memchr2(b'"', b'\\', text).ok_or(Malformed)?;
        if text[end] == b'"' {
            self.rest = &text[end + 1..];
            return Ok(Cow::Borrowed(&text[..end]));
        }
        let mut octets = text[..end].to_vec();
        let mut rest = &text[end..];
        loop {
            rest = match rest {
                [b'"', behind @ ..] => {
                    self.rest = behind;
                    return Ok(Cow::Owned(octets));
                }
                [b'\\', escaped @ (b'"' | b'\\'), behind @ ..] => {
                    octets.push(*escaped);
                    behind
                }
                // A backslash before anything else is no escape; servers that forget to double theirs mean it.
                [octet, behind @ ..] => {
                    octets.push(*octet);
                    behind
                }
                [] => return Err(Malformed),
            };
        }
    }

    fn literal(&mut self) -> Option<&'b [u8]> {
        let text = self.rest.strip_prefix(b"~").unwrap_or(self.rest).strip_prefix(b"{")?;
        let end = text.iter().position(|octet| !octet.is_ascii_digit())?;
        let size = usize::try_from(number(&text[..end])?).ok()?;
        let octets = text[end..].strip_prefix(b"}\r\n").or_else(|| text[end..].strip_prefix(b"+}\r\n"))?;
        self.rest = octets.get(size..)?;
        octets.get(..size)
    }

    fn word(&mut self) -> Result<Value<'b>, Malformed> {
        let word = self.raw_word();
        if word.is_empty() {
            return Err(Malformed);
        }
        Ok(if word.eq_ignore_ascii_case(b"NIL") { Value::Nil } else { Value::Word(word) })
    }

    /// What stands up to a space or a parenthesis. Behind the name of a section the brackets belong to it, with all that is
    /// in them.
    pub(super) fn raw_word(&mut self) -> &'b [u8] {
        self.skip_spaces();
        let plain = |text: &[u8]| {
            let end = |octet: &u8| matches!(octet, b' ' | b'(' | b')' | b'"' | b'\r' | b'\n');
            text.iter().position(end).unwrap_or(text.len())
        };
        let text = self.rest;
        let mut end = plain(text);
        if let Some(open) = text[..end].iter().position(|octet| *octet == b'[')
            && is_section_name(&text[..open])
            && self.closes
        {
            match memchr::memchr(b']', &text[open..]) {
                Some(close) => {
                    let behind = open + close + 1;
                    end = behind + plain(&text[behind..]);
                }
                // Not looked for again by each such word.
                None => self.closes = false,
            }
        }
        self.rest = &text[end..];
        &text[..end]
    }
}

/// Whether this is a name that a section in brackets belongs to.
fn is_section_name(name: &[u8]) -> bool {
    [&b"BODY"[..], b"BODY.PEEK", b"BINARY", b"BINARY.SIZE", b"BINARY.PEEK"]
        .iter()
        .any(|section| name.eq_ignore_ascii_case(section))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Value<'_>>, Malformed> {
        Reader::new(text.as_bytes()).values()
    }

    #[test]
    fn values_of_all_kinds() {
        assert_eq!(
            read("nil  (\\Seen \"a \\\"b\\\" \\c\") {3}\r\na)b BODY[HEADER.FIELDS (TO)]<0> ").unwrap(),
            [
                Value::Nil,
                Value::List(alloc::vec![Value::Word(b"\\Seen"), Value::String(b"a \"b\" \\c".into())]),
                Value::String(b"a)b".into()),
                Value::Word(b"BODY[HEADER.FIELDS (TO)]<0>"),
            ]
        );
        for bad in ["(", ")", "\"a", "(a", "a)"] {
            assert_eq!(read(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn depth_and_number_are_limited() {
        let nested = |depth| "(".repeat(depth) + &")".repeat(depth);
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(read(&nested(DEPTH_MAX + 1)), Err(Malformed));
        assert_eq!(read(&"(".repeat(10_000)), Err(Malformed));
        assert!(read(&"() ".repeat(VALUES_MAX)).is_ok());
        assert_eq!(read(&"() ".repeat(VALUES_MAX + 1)), Err(Malformed));
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), None);
        assert_eq!((number(b""), number(b"-1"), number(b"1 ")), (None, None, None));
    }
}
