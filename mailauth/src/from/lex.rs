//! Words and marks of an address field (RFC 5322 §3.2).

use super::FromFault;

/// A value in pieces, comments and white space taken out.
pub(super) struct Lexer<'v, 't> {
    text: &'v str,
    at: usize,
    tokens_left: &'t mut usize,
}

#[derive(Clone, Copy)]
pub(super) struct Token<'v> {
    pub(super) kind: Kind,
    /// As it is written, quotes and brackets included.
    pub(super) text: &'v str,
    pub(super) at: usize,
    /// Whether white space or a comment stands before it.
    pub(super) is_spaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Atom,
    QuotedString,
    DomainLiteral,
    /// One of `<>@,;:.`
    Mark(u8),
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

impl<'v, 't> Lexer<'v, 't> {
    pub(super) fn new(text: &'v str, tokens_left: &'t mut usize) -> Result<Self, FromFault> {
        // RFC 5322 §4.1 has controls as obsolete. Some programs end a text at NUL, others show what a control hides.
        match text.char_indices().find(|(_, c)| c.is_control() && *c != '\t') {
            Some((at, _)) => Err(FromFault::Syntax { at }),
            None => Ok(Lexer { text, at: 0, tokens_left }),
        }
    }

    pub(super) fn text(&self) -> &'v str {
        self.text
    }

    pub(super) fn next(&mut self) -> Result<Option<Token<'v>>, FromFault> {
        let start = self.at;
        self.skip_cfws()?;
        let (at, is_spaced) = (self.at, self.at > start);
        let Some(first) = self.peek() else { return Ok(None) };
        self.count()?;
        let kind = match first {
            b'"' => {
                self.quoted_string()?;
                Kind::QuotedString
            }
            b'[' => {
                self.domain_literal()?;
                Kind::DomainLiteral
            }
            b'<' | b'>' | b'@' | b',' | b';' | b':' | b'.' => {
                self.at += 1;
                Kind::Mark(first)
            }
            first if is_atext(first) => {
                let rest = &self.text.as_bytes()[at..];
                self.at += rest.iter().position(|octet| !is_atext(*octet)).unwrap_or(rest.len());
                Kind::Atom
            }
            // A backslash outside of quotes, or a bracket that was not opened.
            _ => return Err(FromFault::Syntax { at }),
        };
        Ok(Some(Token { kind, text: &self.text[at..self.at], at, is_spaced }))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn count(&mut self) -> Result<(), FromFault> {
        *self.tokens_left = self.tokens_left.checked_sub(1).ok_or(FromFault::TooMany)?;
        Ok(())
    }

    // RFC 5322 §3.2.2: CFWS
    fn skip_cfws(&mut self) -> Result<(), FromFault> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'(') => {
                    self.count()?;
                    self.skip_comment()?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Comments nest, however deep: a counter is enough.
    fn skip_comment(&mut self) -> Result<(), FromFault> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\\' => self.at += 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(FromFault::Syntax { at: start })
    }

    // RFC 5322 §3.2.4
    fn quoted_string(&mut self) -> Result<(), FromFault> {
        let start = self.at;
        self.at += 1;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'"' => return Ok(()),
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        Err(FromFault::Syntax { at: start })
    }

    // RFC 5322 §3.4.1: domain-literal
    fn domain_literal(&mut self) -> Result<(), FromFault> {
        let start = self.at;
        let content = &self.text.as_bytes()[start + 1..];
        match content.iter().position(|octet| matches!(octet, b'[' | b']' | b'\\')) {
            Some(end) if content[end] == b']' => {
                self.at += end + 2;
                Ok(())
            }
            _ => Err(FromFault::Syntax { at: start }),
        }
    }
}

/// RFC 5322 §3.2.3, RFC 6532 §3.2
const fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || octet >= 0x80
        || matches!(
            octet,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'/' | b'=' | b'?' | b'^' | b'_' | b'`'
        )
        || matches!(octet, b'{' | b'|' | b'}' | b'~')
}
