//! The lexical layer of the field: white space, comments, quoted strings, runs of octets (RFC 5322 §3.2).

use alloc::vec::Vec;

use super::parse::{AuthresError, AuthresFault};

/// Reads a field's value from left to right. It goes over each octet once.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
}

/// White space and comments between two tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    /// Whether there was anything.
    pub(super) any: bool,
    /// The first comment, without its outer parentheses and without backslashes.
    pub(super) comment: Option<Vec<u8>>,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Lexer { input, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    /// An error here.
    pub(super) const fn error(&self, fault: AuthresFault) -> AuthresError {
        AuthresError { fault, at: self.at }
    }

    /// Takes the octet if it comes next.
    pub(super) fn take(&mut self, octet: u8) -> bool {
        let is_next = self.peek() == Some(octet);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes the octet, which has to come next.
    pub(super) fn expect(&mut self, octet: u8, fault: AuthresFault) -> Result<(), AuthresError> {
        if self.take(octet) { Ok(()) } else { Err(self.error(fault)) }
    }

    /// Takes white space, folds and comments (`CFWS`).
    pub(super) fn gap(&mut self) -> Result<Gap, AuthresError> {
        let start = self.at;
        let mut gap = Gap::default();
        while let Some(octet) = self.peek() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'(' => {
                    let comment = self.comment()?;
                    gap.comment.get_or_insert(comment);
                }
                _ => break,
            }
        }
        gap.any = self.at > start;
        Ok(gap)
    }

    /// Takes a comment, with those in it (RFC 5322 §3.2.2). Depth is a number, so nesting costs nothing.
    fn comment(&mut self) -> Result<Vec<u8>, AuthresError> {
        let open = self.error(AuthresFault::OpenComment);
        let mut depth = 0_usize;
        let mut content = Vec::new();
        loop {
            let octet = self.peek().ok_or(open)?;
            self.at += 1;
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => {
                    content.push(self.peek().ok_or(open)?);
                    self.at += 1;
                    continue;
                }
                b'\r' | b'\n' => continue,
                _ => {}
            }
            match (depth, octet) {
                (0, _) => return Ok(content),
                (1, b'(') => {}
                _ => content.push(octet),
            }
        }
    }

    /// Takes a quoted string (RFC 5322 §3.2.4) and gives what it means.
    pub(super) fn quoted(&mut self) -> Result<Vec<u8>, AuthresError> {
        let open = self.error(AuthresFault::OpenQuote);
        self.at += 1;
        let mut content = Vec::new();
        loop {
            let octet = self.peek().ok_or(open)?;
            self.at += 1;
            match octet {
                b'"' => return Ok(content),
                b'\\' => {
                    content.push(self.peek().ok_or(open)?);
                    self.at += 1;
                }
                b'\r' | b'\n' => {}
                _ => content.push(octet),
            }
        }
    }

    /// Takes the octets that fit.
    pub(super) fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let run = &rest[..rest.iter().position(|octet| !fits(*octet)).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    /// What was taken since a place.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.input.get(start..self.at).unwrap_or_default()
    }
}
