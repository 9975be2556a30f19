//! Reading the field.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::lexer::Lexer;
use super::text::{KEYWORD_MAX, TEXT_MAX, is_keyword_octet};
use super::{AuthenticationResults, Keyword, MethodResult, PROPERTIES_MAX, Property, PropertyType, RESULTS_MAX, Text};

/// Why a field cannot be read, and at which octet of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{fault} at octet {at}")]
#[non_exhaustive]
pub struct AuthresError {
    /// What is wrong.
    pub fault: AuthresFault,
    /// The octet, counted from 0.
    pub at: usize,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthresFault {
    /// No identifier of the checking host.
    MissingId,
    /// The field is of a version other than 1, so what follows may be anything (RFC 8601 §2.6).
    UnknownVersion,
    /// Neither results nor `none` behind the identifier.
    MissingResults,
    /// Something else than `;`.
    ExpectedSemicolon,
    /// No word where one has to be, or one that is too long.
    ExpectedKeyword,
    /// A word is not followed by `=`.
    ExpectedEquals,
    /// A property without a value.
    ExpectedValue,
    /// An octet that cannot stand in a value without quotes.
    UnexpectedOctet,
    /// A comment that touches a value.
    TouchingComment,
    /// A comment without an end.
    OpenComment,
    /// A quoted string without an end.
    OpenQuote,
    /// A value of more than 490 octets.
    ValueTooLong,
    /// A value that holds a control.
    Control,
    /// A value that is no UTF-8.
    NotUtf8,
    /// A number that is too large.
    Number,
    /// More than 100 results, or more than 32 properties of one.
    TooMany,
}

impl fmt::Display for AuthresFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthresFault::MissingId => "no identifier of the checking host",
            AuthresFault::UnknownVersion => "an unknown version",
            AuthresFault::MissingResults => "no results",
            AuthresFault::ExpectedSemicolon => "no semicolon",
            AuthresFault::ExpectedKeyword => "no word",
            AuthresFault::ExpectedEquals => "no equals sign",
            AuthresFault::ExpectedValue => "no value",
            AuthresFault::UnexpectedOctet => "an octet that has to be quoted",
            AuthresFault::TouchingComment => "a comment that touches a value",
            AuthresFault::OpenComment => "a comment without an end",
            AuthresFault::OpenQuote => "a quoted string without an end",
            AuthresFault::ValueTooLong => "a value that is too long",
            AuthresFault::Control => "a control in a value",
            AuthresFault::NotUtf8 => "a value that is no UTF-8",
            AuthresFault::Number => "a number that is too large",
            AuthresFault::TooMany => "too many results or properties",
        })
    }
}

impl AuthenticationResults {
    /// Reads the value of a field, folded or not: what stands behind `Authentication-Results:`, or behind the `i=1;` of
    /// ARC-Authentication-Results. [The module](super) says what is read beyond the grammar.
    ///
    /// # Errors
    ///
    /// [`AuthresError`] with the first fault; a field is read whole or not at all.
    pub fn parse(value: &[u8]) -> Result<Self, AuthresError> {
        let mut lexer = Lexer::new(value);
        let authserv_id = identifier(&mut lexer)?;
        let mut results = AuthenticationResults { authserv_id, results: Vec::new() };
        if lexer.is_at_end() {
            return Err(lexer.error(AuthresFault::MissingResults));
        }
        let mut is_first = true;
        while !lexer.is_at_end() {
            lexer.expect(b';', AuthresFault::ExpectedSemicolon)?;
            lexer.gap()?;
            if lexer.is_at_end() {
                break;
            }
            if is_first && is_none(&mut lexer)? {
                return Ok(results);
            }
            if results.results.len() == RESULTS_MAX {
                return Err(lexer.error(AuthresFault::TooMany));
            }
            results.results.push(method_result(&mut lexer)?);
            is_first = false;
        }
        if is_first { Err(lexer.error(AuthresFault::MissingResults)) } else { Ok(results) }
    }
}

/// `[CFWS] authserv-id [CFWS authres-version]`, up to the `;` or the end.
pub(super) fn identifier(lexer: &mut Lexer<'_>) -> Result<Text, AuthresError> {
    lexer.gap()?;
    let id = match lexer.peek() {
        Some(b'"') => {
            let start = lexer.clone();
            let quoted = lexer.quoted()?;
            text(&start, &quoted)?
        }
        _ => unquoted(lexer)?,
    };
    if id.is_empty() {
        return Err(lexer.error(AuthresFault::MissingId));
    }
    lexer.gap()?;
    // RFC 8601 §2.6
    let start = lexer.clone();
    if let Some(version) = number(lexer)?
        && version != 1
    {
        return Err(start.error(AuthresFault::UnknownVersion));
    }
    lexer.gap()?;
    match lexer.peek() {
        None | Some(b';') => Ok(id),
        _ => Err(lexer.error(AuthresFault::ExpectedSemicolon)),
    }
}

/// `none` and nothing behind it but a `;`.
fn is_none(lexer: &mut Lexer<'_>) -> Result<bool, AuthresError> {
    let mut ahead = lexer.clone();
    if !ahead.run(is_keyword_octet).eq_ignore_ascii_case(b"none") {
        return Ok(false);
    }
    ahead.gap()?;
    ahead.take(b';');
    ahead.gap()?;
    Ok(ahead.is_at_end())
}

/// `methodspec [reasonspec] *propspec`, up to the `;` or the end.
fn method_result(lexer: &mut Lexer<'_>) -> Result<MethodResult, AuthresError> {
    let method = keyword(lexer)?;
    lexer.gap()?;
    let mut version = None;
    if lexer.take(b'/') {
        lexer.gap()?;
        version = Some(number(lexer)?.ok_or(lexer.error(AuthresFault::ExpectedValue))?);
        lexer.gap()?;
    }
    lexer.expect(b'=', AuthresFault::ExpectedEquals)?;
    lexer.gap()?;
    let mut result = MethodResult::new(method, keyword(lexer)?);
    result.version = version;
    let mut gap = lexer.gap()?;
    // A comment is for people, so there is no reading of it to fail.
    result.comment = gap.comment.take().map(|comment| Text::new(String::from_utf8_lossy(&comment)));
    loop {
        match lexer.peek() {
            None | Some(b';') => return Ok(result),
            _ if !gap.any => return Err(lexer.error(AuthresFault::ExpectedSemicolon)),
            _ => {}
        }
        let word = keyword(lexer)?;
        lexer.gap()?;
        if lexer.take(b'.') {
            lexer.gap()?;
            let name = keyword(lexer)?;
            lexer.gap()?;
            lexer.expect(b'=', AuthresFault::ExpectedEquals)?;
            if result.properties.len() == PROPERTIES_MAX {
                return Err(lexer.error(AuthresFault::TooMany));
            }
            let kind = PropertyType::from(word);
            result.properties.push(Property { kind, name, value: value(lexer)? });
        } else {
            lexer.expect(b'=', AuthresFault::ExpectedEquals)?;
            let value = value(lexer)?;
            // Other pairs without a property type have no meaning that is written down anywhere.
            if word == *"reason" && result.reason.is_none() {
                result.reason = Some(value);
            }
        }
        gap = lexer.gap()?;
    }
}

/// `[CFWS] (value / [[local-part] "@"] domain-name)`
fn value(lexer: &mut Lexer<'_>) -> Result<Text, AuthresError> {
    lexer.gap()?;
    match lexer.peek() {
        None | Some(b';') => Ok(Text::default()),
        Some(b'"') => {
            let start = lexer.clone();
            let quoted = lexer.quoted()?;
            if lexer.peek() != Some(b'@') {
                return text(&start, &quoted);
            }
            // A mailbox whose local part is quoted: the quotes belong to it.
            unquoted(lexer)?;
            let mut mailbox = lexer.since(start.at()).to_vec();
            mailbox.retain(|octet| !matches!(octet, b'\r' | b'\n'));
            text(&start, &mailbox)
        }
        _ => unquoted(lexer),
    }
}

/// A value without quotes, up to white space or `;`.
fn unquoted(lexer: &mut Lexer<'_>) -> Result<Text, AuthresError> {
    let start = lexer.clone();
    let run = lexer.run(|octet| matches!(octet, 0x21.. if !matches!(octet, b';' | b'(' | b')' | b'"' | b'\\' | 0x7f)));
    match lexer.peek() {
        None | Some(b';' | b' ' | b'\t' | b'\r' | b'\n') => {}
        Some(b'(') => return Err(lexer.error(AuthresFault::TouchingComment)),
        Some(_) => return Err(lexer.error(AuthresFault::UnexpectedOctet)),
    }
    // An equals sign stands in a local part and at the end of base64. Elsewhere it belongs to the next property, before
    // which a value is missing.
    let domain = memchr::memrchr(b'@', run).map_or(run, |at| &run[at..]);
    let unpadded = domain.iter().rposition(|octet| *octet != b'=').map_or(0, |last| last + 1);
    if domain[..unpadded].contains(&b'=') {
        return Err(start.error(AuthresFault::ExpectedValue));
    }
    text(&start, run)
}

fn keyword(lexer: &mut Lexer<'_>) -> Result<Keyword, AuthresError> {
    let start = lexer.clone();
    let run = lexer.run(is_keyword_octet);
    let word = if run.len() > KEYWORD_MAX { "" } else { core::str::from_utf8(run).unwrap_or_default() };
    Keyword::new(word).map_err(|_| start.error(AuthresFault::ExpectedKeyword))
}

/// Digits, if there are any.
fn number(lexer: &mut Lexer<'_>) -> Result<Option<u32>, AuthresError> {
    let start = lexer.clone();
    let digits = lexer.run(|octet| octet.is_ascii_digit());
    if digits.is_empty() {
        return Ok(None);
    }
    let number = digits.iter().try_fold(0_u32, |number, digit| {
        number.checked_mul(10).and_then(|number| number.checked_add(u32::from(digit - b'0')))
    });
    number.map(Some).ok_or(start.error(AuthresFault::Number))
}

fn text(start: &Lexer<'_>, octets: &[u8]) -> Result<Text, AuthresError> {
    if octets.len() > TEXT_MAX {
        return Err(start.error(AuthresFault::ValueTooLong));
    }
    let text = String::from_utf8(octets.into()).map_err(|_| start.error(AuthresFault::NotUtf8))?;
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(start.error(AuthresFault::Control));
    }
    Ok(Text::new(text))
}
