//! A zone file as entries of tokens: comments, parentheses and quotes are gone behind here.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::{ZoneError, ZoneFault};

/// Where something stands, both counted from 1; a column is an octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) const fn error(self, fault: ZoneFault) -> ZoneError {
        ZoneError { fault, line: self.line, column: self.column }
    }
}

/// A word or a quoted string, its backslashes still in it: what an escaped dot means depends on what the token is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) raw: &'a [u8],
    pub(super) quoted: bool,
    pub(super) place: Place,
}

impl<'a> Token<'a> {
    /// The octets it means (RFC 1035 §5.1: `\X` and `\DDD`).
    pub(super) fn octets(&self) -> Result<Cow<'a, [u8]>, ZoneError> {
        if !self.raw.contains(&b'\\') {
            return Ok(Cow::Borrowed(self.raw));
        }
        let mut octets = Vec::with_capacity(self.raw.len());
        self.decode(|octet, _| octets.push(octet))?;
        Ok(Cow::Owned(octets))
    }

    /// Calls `take` with each octet and whether it was escaped.
    pub(super) fn decode(&self, mut take: impl FnMut(u8, bool)) -> Result<(), ZoneError> {
        let mut rest = self.raw;
        while let [first, behind @ ..] = rest {
            rest = behind;
            if *first != b'\\' {
                take(*first, false);
                continue;
            }
            let wrong = || self.place.error(ZoneFault::Escape);
            match rest {
                [a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', behind @ ..] => {
                    let value = [a, b, c].iter().fold(0_u16, |value, digit| value * 10 + u16::from(**digit - b'0'));
                    take(u8::try_from(value).map_err(|_| wrong())?, true);
                    rest = behind;
                }
                [b'0'..=b'9', ..] | [] => return Err(wrong()),
                [octet, behind @ ..] => {
                    take(*octet, true);
                    rest = behind;
                }
            }
        }
        Ok(())
    }

    /// The text, if it is a plain word.
    pub(super) fn word(&self) -> Option<&'a str> {
        if self.quoted { None } else { core::str::from_utf8(self.raw).ok() }
    }
}

/// Something that a zone file says: a directive, a record, or a comment that may be meant for us.
#[derive(Debug)]
pub(super) enum Item<'a> {
    /// The tokens of one entry, at least one. `has_owner` if no white space stands before the first.
    Entry { tokens: Vec<Token<'a>>, has_owner: bool },
    /// What follows a semicolon.
    Comment { words: &'a [u8], place: Place },
}

/// Reads items off the front of a file.
#[derive(Clone, Debug)]
pub(super) struct Items<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    line_start: usize,
    /// A comment that ended an entry: it comes behind it.
    comments: Vec<(&'a [u8], Place)>,
}

impl<'a> Items<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        Items { text, at: 0, line: 1, line_start: 0, comments: Vec::new() }
    }

    fn place(&self) -> Place {
        Place { line: self.line, column: self.at - self.line_start + 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn new_line(&mut self) {
        self.at += 1;
        self.line += 1;
        self.line_start = self.at;
    }

    /// The next item; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>, ZoneError> {
        loop {
            if let Some((words, place)) = self.comments.pop() {
                return Ok(Some(Item::Comment { words, place }));
            }
            if self.at >= self.text.len() {
                return Ok(None);
            }
            let has_owner = !self.peek().is_some_and(is_blank);
            let tokens = self.entry()?;
            self.comments.reverse();
            if !tokens.is_empty() {
                return Ok(Some(Item::Entry { tokens, has_owner }));
            }
        }
    }

    /// One entry: a line, or several inside parentheses (RFC 1035 §5.1).
    fn entry(&mut self) -> Result<Vec<Token<'a>>, ZoneError> {
        let mut tokens = Vec::new();
        let mut open = None;
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' => {
                    self.new_line();
                    if open.is_none() {
                        return Ok(tokens);
                    }
                }
                b';' => {
                    let place = self.place();
                    let rest = &self.text[self.at + 1..];
                    let words = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
                    self.at += 1 + words.len();
                    self.comments.push((words, place));
                }
                b'(' => {
                    if open.is_some() {
                        return Err(self.place().error(ZoneFault::Parenthesis));
                    }
                    open = Some(self.place());
                    self.at += 1;
                }
                b')' => {
                    open.take().ok_or_else(|| self.place().error(ZoneFault::Parenthesis))?;
                    self.at += 1;
                }
                b'"' => tokens.push(self.quoted()?),
                octet if is_blank(octet) => self.at += 1,
                _ => tokens.push(self.word()),
            }
        }
        match open {
            Some(place) => Err(place.error(ZoneFault::Parenthesis)),
            None => Ok(tokens),
        }
    }

    fn quoted(&mut self) -> Result<Token<'a>, ZoneError> {
        let place = self.place();
        let start = self.at + 1;
        let mut end = start;
        loop {
            match self.text.get(end) {
                Some(b'"') => break,
                // A line end may be escaped, but then the place of all that follows would be a riddle.
                None | Some(b'\n') => return Err(place.error(ZoneFault::UnclosedQuote)),
                Some(b'\\') if self.text.get(end + 1).is_some_and(|octet| *octet != b'\n') => end += 2,
                Some(_) => end += 1,
            }
        }
        self.at = end + 1;
        Ok(Token { raw: &self.text[start..end], quoted: true, place })
    }

    fn word(&mut self) -> Token<'a> {
        let (start, place) = (self.at, self.place());
        while let Some(octet) = self.peek() {
            match octet {
                b'\\' if self.text.get(self.at + 1).is_some_and(|octet| *octet != b'\n') => self.at += 2,
                b'\n' | b';' | b'(' | b')' | b'"' => break,
                octet if is_blank(octet) => break,
                _ => self.at += 1,
            }
        }
        Token { raw: &self.text[start..self.at], quoted: false, place }
    }
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r')
}
