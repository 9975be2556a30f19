//! The words of a structured header field (RFC 5322 §3.2, RFC 2045 §5.1), read tolerantly.
//!
//! Field values are given raw: line ends within them count as white space.

use alloc::vec::Vec;

/// A reader over the value of a structured field. All methods are total: they take what is there and leave the rest.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'b> {
    rest: &'b [u8],
    comment: Option<&'b [u8]>,
}

impl<'b> Lexer<'b> {
    pub(crate) fn new(value: &'b [u8]) -> Self {
        Lexer { rest: value, comment: None }
    }

    /// The next octet.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    /// Takes the octet if it comes next.
    pub(crate) fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.bump();
        }
        found
    }

    /// The last comment that was skipped, raw and without its parentheses; it is then forgotten.
    pub(crate) fn take_comment(&mut self) -> Option<&'b [u8]> {
        self.comment.take()
    }

    /// Skips white space and comments.
    pub(crate) fn skip_cfws(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.bump(),
                Some(b'(') => drop(self.skip_comment()),
                _ => return,
            }
        }
    }

    /// Skips the comment at whose parenthesis the reader stands; false, and nothing is skipped, if it is never closed.
    pub(crate) fn skip_closed_comment(&mut self) -> bool {
        let before = self.rest;
        let closed = self.skip_comment();
        if !closed {
            self.rest = before;
        }
        closed
    }

    // RFC 5322 §3.2.2: comments nest. Counted instead of recursed into, so that depth costs nothing.
    fn skip_comment(&mut self) -> bool {
        let mut depth = 0usize;
        let mut at = 0;
        while let Some(&octet) = self.rest.get(at) {
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => at += 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                self.comment = Some(&self.rest[1..at - 1]);
                self.rest = &self.rest[at..];
                return true;
            }
        }
        // Never closed: the rest of the field is the comment.
        self.comment = Some(&self.rest[1..]);
        self.rest = &[];
        false
    }

    /// Takes the longest run of octets that `wanted` accepts.
    pub(crate) fn run(&mut self, wanted: impl Fn(u8) -> bool) -> &'b [u8] {
        let end = self.rest.iter().position(|&b| !wanted(b)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// Appends the content of a quoted string, at whose opening quote the reader stands. One that is never closed goes to
    /// the end of the field.
    pub(crate) fn quoted_string(&mut self, out: &mut Vec<u8>) {
        self.bump();
        loop {
            out.extend_from_slice(self.run(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n')));
            match self.peek() {
                // RFC 5322 §3.2.4: a fold within a quoted string is not part of it.
                Some(b'\r' | b'\n') => self.bump(),
                Some(b'\\') => {
                    self.bump();
                    if let Some(octet) = self.peek() {
                        out.push(octet);
                        self.bump();
                    }
                }
                _ => {
                    self.bump();
                    return;
                }
            }
        }
    }
}

/// Appends the text of a comment: quoted pairs and folds are undone, inner parentheses stay.
pub(crate) fn unquote_comment(raw: &[u8], out: &mut Vec<u8>) {
    let mut octets = raw.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b'\r' | b'\n' => {}
            b'\\' => out.extend(octets.next()),
            _ => out.push(octet),
        }
    }
}

/// RFC 5322 §3.2.3 atext, and octets above ASCII (RFC 6532 §3.2, and what senders put there before it).
pub(crate) fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet >= 0x80 || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// RFC 2045 §5.1 token, and octets above ASCII.
pub(crate) fn is_token(octet: u8) -> bool {
    octet > b' ' && octet != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}

/// The token that a field's value is; `None` if it is anything else.
pub(crate) fn only_token(value: &[u8]) -> Option<&[u8]> {
    let mut lexer = Lexer::new(value);
    lexer.skip_cfws();
    let token = lexer.run(is_token);
    lexer.skip_cfws();
    (!token.is_empty() && lexer.peek().is_none()).then_some(token)
}
