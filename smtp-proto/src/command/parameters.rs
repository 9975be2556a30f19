//! The parameters behind a path: `keyword[=value]` (RFC 5321 §4.1.2) and the values of SIZE, BODY and AUTH.

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::address::Address;

use super::CommandError;
use crate::server::BodyKind;

/// Goes over the parameters of MAIL or RCPT.
pub(super) struct Parameters<'b> {
    rest: &'b str,
    /// Values may hold UTF-8 (RFC 6531 §3.3).
    utf8: bool,
}

impl<'b> Parameters<'b> {
    /// What stands behind the path: nothing, or a space and parameters.
    pub(super) fn of(rest: &'b [u8], utf8: bool) -> Result<Self, CommandError> {
        if !rest.is_empty() && rest[0] != b' ' {
            return Err(CommandError::Argument);
        }
        let rest = core::str::from_utf8(rest).map_err(|_| CommandError::Parameter)?;
        Ok(Parameters { rest, utf8 })
    }

    /// The next keyword and its value, both with the octets that the RFC allows.
    pub(super) fn next(&mut self) -> Result<Option<(&'b str, Option<&'b str>)>, CommandError> {
        let rest = self.rest.trim_start_matches(' ');
        if rest.is_empty() {
            return Ok(None);
        }
        let (parameter, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        self.rest = rest;
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        // esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"), esmtp-value = 1*(%d33-60 / %d62-126)
        let keyword_fits = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        let value_fits = value.is_none_or(|value| {
            let fits = |octet: u8| (octet.is_ascii_graphic() && octet != b'=') || (self.utf8 && !octet.is_ascii());
            !value.is_empty() && value.bytes().all(fits)
        });
        if keyword_fits && value_fits { Ok(Some((keyword, value))) } else { Err(CommandError::Parameter) }
    }
}

/// Keeps a value; a second one is an error (RFC 1870 §6 says so for SIZE).
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), CommandError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(CommandError::Parameter),
    }
}

/// RFC 1870 §4: `size-value = 1*20DIGIT`. Twenty digits can say more than 64 bits hold; that much is too much anyway.
pub(super) fn size(value: Option<&str>) -> Result<u64, CommandError> {
    let digits = value.ok_or(CommandError::Parameter)?;
    if digits.len() > 20 || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(CommandError::Parameter);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2, RFC 3030 §3
pub(super) fn body(value: Option<&str>) -> Result<BodyKind, CommandError> {
    match value.ok_or(CommandError::Parameter)? {
        kind if kind.eq_ignore_ascii_case("7BIT") => Ok(BodyKind::SevenBit),
        kind if kind.eq_ignore_ascii_case("8BITMIME") => Ok(BodyKind::EightBitMime),
        kind if kind.eq_ignore_ascii_case("BINARYMIME") => Ok(BodyKind::BinaryMime),
        _ => Err(CommandError::Parameter),
    }
}

/// RFC 4954 §5: a mailbox as xtext, or `<>`, which is given as an empty text.
pub(super) fn auth(value: Option<&str>) -> Result<String, CommandError> {
    let value = value.ok_or(CommandError::Parameter)?;
    if value == "<>" {
        return Ok(String::new());
    }
    let text = xtext(value).ok_or(CommandError::Parameter)?;
    Address::parse(&text).map_err(|_| CommandError::Parameter)?;
    Ok(text)
}

/// RFC 3461 §4: `+` and two capital hexadecimal digits stand for an octet.
pub(super) fn xtext(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            octet => octet,
        });
    }
    String::from_utf8(octets).ok()
}

const fn hex_digit(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}
