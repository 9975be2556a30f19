//! Lists of addresses (RFC 5322 §3.4, RFC 6854 §2.1).

use alloc::vec::Vec;

use pillarbox_core::address::{Address, AddressError, Domain, LocalPart};

use super::FromFault;
use super::lex::{Kind, Lexer, Token};

/// Reads a list of mailboxes and groups; gives the mailboxes of both.
pub(super) fn read(
    value: &str,
    tokens_left: &mut usize,
    mailboxes: &mut Vec<Address<'static>>,
) -> Result<(), FromFault> {
    let mut lexer = Lexer::new(value, tokens_left)?;
    let ahead = lexer.next()?;
    Reader { lexer, ahead, mailboxes }.list()
}

struct Reader<'v, 't, 'm> {
    lexer: Lexer<'v, 't>,
    ahead: Option<Token<'v>>,
    mailboxes: &'m mut Vec<Address<'static>>,
}

/// Words and dots in a row: a display name, a local part, or nothing.
struct Words<'v> {
    text: &'v str,
    at: usize,
    /// No white space and no comment stands within.
    is_contiguous: bool,
}

impl<'v> Reader<'v, '_, '_> {
    fn list(&mut self) -> Result<(), FromFault> {
        let mut in_group = false;
        // What stands behind an address, but for a comma or the end of a group, belongs to nothing.
        let mut is_complete = false;
        while self.ahead.is_some() {
            if self.take(b',')? {
                is_complete = false;
            } else if in_group && self.take(b';')? {
                (in_group, is_complete) = (false, true);
            } else if is_complete {
                return Err(self.unexpected());
            } else {
                let words = self.words()?;
                if self.take(b'@')? {
                    self.mailbox(&words)?;
                    is_complete = true;
                } else if words.is_phrase_or_nothing() && self.take(b'<')? {
                    self.angle_address()?;
                    is_complete = true;
                } else if words.is_phrase() && !in_group && self.take(b':')? {
                    in_group = true;
                } else {
                    return Err(self.unexpected());
                }
            }
        }
        if in_group { Err(self.unexpected()) } else { Ok(()) }
    }

    /// What stands behind `<`.
    fn angle_address(&mut self) -> Result<(), FromFault> {
        // RFC 5322 §4.4: the route is to be ignored.
        if self.take(b'@')? {
            loop {
                self.domain()?;
                if self.take(b':')? {
                    break;
                }
                if !(self.take(b',')? && self.take(b'@')?) {
                    return Err(self.unexpected());
                }
            }
        }
        let words = self.words()?;
        if !self.take(b'@')? {
            return Err(self.unexpected());
        }
        self.mailbox(&words)?;
        if self.take(b'>')? { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The domain of an address whose local part and `@` were taken.
    fn mailbox(&mut self, local: &Words<'v>) -> Result<(), FromFault> {
        if !local.is_contiguous {
            return Err(FromFault::Syntax { at: local.at });
        }
        let wrong = |error: AddressError| FromFault::Syntax { at: local.at + error.at };
        let local_part = LocalPart::parse_utf8(local.text).map_err(wrong)?;
        let domain = self.domain()?;
        let address = Address::new(local_part.into_owned(), domain.into_owned()).map_err(wrong)?;
        self.mailboxes.push(address);
        Ok(())
    }

    fn domain(&mut self) -> Result<Domain<'v>, FromFault> {
        let first = self.ahead.ok_or_else(|| self.unexpected())?;
        let (start, mut end) = (first.at, first.at);
        if first.kind == Kind::DomainLiteral {
            end = first.end();
            self.bump()?;
        } else {
            while let Some(token) = self.ahead {
                let is_part = matches!(token.kind, Kind::Atom | Kind::Mark(b'.'));
                if !is_part || (token.is_spaced && token.at > start) {
                    break;
                }
                end = token.end();
                self.bump()?;
            }
        }
        let text = &self.lexer.text()[start..end];
        Domain::parse_utf8(text).map_err(|error| FromFault::Syntax { at: start + error.at })
    }

    fn words(&mut self) -> Result<Words<'v>, FromFault> {
        let start = self.position();
        let (mut end, mut is_contiguous) = (start, true);
        while let Some(token) = self.ahead {
            if !matches!(token.kind, Kind::Atom | Kind::QuotedString | Kind::Mark(b'.')) {
                break;
            }
            is_contiguous &= token.at == start || !token.is_spaced;
            end = token.end();
            self.bump()?;
        }
        Ok(Words { text: &self.lexer.text()[start..end], at: start, is_contiguous })
    }

    fn bump(&mut self) -> Result<(), FromFault> {
        self.ahead = self.lexer.next()?;
        Ok(())
    }

    fn take(&mut self, mark: u8) -> Result<bool, FromFault> {
        let is_there = self.ahead.is_some_and(|token| token.kind == Kind::Mark(mark));
        if is_there {
            self.bump()?;
        }
        Ok(is_there)
    }

    fn position(&self) -> usize {
        self.ahead.map_or(self.lexer.text().len(), |token| token.at)
    }

    fn unexpected(&self) -> FromFault {
        FromFault::Syntax { at: self.position() }
    }
}

impl Words<'_> {
    /// RFC 5322 §4.1: obs-phrase, in which a dot may follow a word.
    fn is_phrase(&self) -> bool {
        !self.text.is_empty() && self.is_phrase_or_nothing()
    }

    fn is_phrase_or_nothing(&self) -> bool {
        !self.text.starts_with('.')
    }
}
