//! The parameters behind a path: `keyword[=value]` (RFC 5321 §4.1.2) and the values of SIZE, BODY and AUTH.

use alloc::string::String;
use alloc::vec::Vec;

use memchr::memchr;
use pillarbox_core::address::Address;

use super::CommandError;
use super::octets::{Begin, Front, front, is_end, is_value, take};
use crate::server::BodyKind;

/// Goes over the parameters of MAIL or RCPT. [`next`](Parameters::next) begins one, [`is`](Parameters::is) takes its keyword,
/// and the method that reads its kind of value takes that and sees that the parameter ends behind it.
pub(super) struct Parameters<'b> {
    /// What was not taken yet.
    rest: &'b [u8],
    /// The parameter that was begun.
    begun: Begin,
    /// Values may hold UTF-8 (RFC 6531 §3.3).
    utf8: bool,
}

impl<'b> Parameters<'b> {
    /// What stands behind the path: nothing, or a space and parameters.
    #[inline(always)]
    pub(super) fn of(rest: &'b [u8], utf8: bool) -> Result<Self, CommandError> {
        if !is_end(rest) {
            return Err(CommandError::Argument);
        }
        Ok(Parameters { rest, begun: Begin::of(b""), utf8 })
    }

    /// Begins the next parameter, if there is one.
    #[inline(always)]
    pub(super) fn next(&mut self) -> bool {
        while take(&mut self.rest, b' ') {}
        if self.rest.is_empty() {
            return false;
        }
        self.begun = Begin::of(self.rest);
        true
    }

    /// Whether the parameter that was begun is this one, which is then taken up to its value.
    #[inline(always)]
    pub(super) fn is(&mut self, front: Front) -> bool {
        front.take(&mut self.rest, self.begun)
    }

    /// The same for one without a value: it is taken whole.
    #[inline(always)]
    pub(super) fn is_bare(&mut self, keyword: Front) -> bool {
        let mut rest = self.rest;
        let is = keyword.take(&mut rest, self.begun) && is_end(rest);
        if is {
            self.rest = rest;
        }
        is
    }

    /// RFC 1870 §4: `size-value = 1*20DIGIT`. Twenty digits can say more than 64 bits hold; that much is too much anyway.
    #[inline(always)]
    pub(super) fn size(&mut self) -> Result<u64, CommandError> {
        let (mut size, digits) = (0_u64, self.rest);
        let mut rest = digits;
        while let [octet, behind @ ..] = rest {
            let digit = octet.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            size = size.wrapping_mul(10).wrapping_add(u64::from(digit));
            rest = behind;
        }
        self.rest = rest;
        self.end()?;
        match digits.len() - rest.len() {
            // So few do not wrap.
            1..=19 => Ok(size),
            20 => Ok(saturated(&digits[..20])),
            _ => Err(CommandError::Parameter),
        }
    }

    /// RFC 6152 §2, RFC 3030 §3
    #[inline(always)]
    pub(super) fn body(&mut self) -> Result<BodyKind, CommandError> {
        const SEVEN_BIT: Front = front("7BIT");
        const EIGHT_BIT_MIME: Front = front("8BITMIME");
        let begin = Begin::of(self.rest);
        let kind = if EIGHT_BIT_MIME.take(&mut self.rest, begin) {
            BodyKind::EightBitMime
        } else if SEVEN_BIT.take(&mut self.rest, begin) {
            BodyKind::SevenBit
        } else if self.text()?.eq_ignore_ascii_case("BINARYMIME") {
            BodyKind::BinaryMime
        } else {
            return Err(CommandError::Parameter);
        };
        self.end()?;
        Ok(kind)
    }

    /// A word out of a few, or a list of such with commas: `each` takes one, and the first that it does not take is an error.
    #[inline(always)]
    pub(super) fn words(&mut self, mut each: impl FnMut(&mut &'b [u8]) -> bool) -> Result<(), CommandError> {
        loop {
            if !each(&mut self.rest) {
                return Err(CommandError::Parameter);
            }
            if !take(&mut self.rest, b',') {
                return self.end();
            }
        }
    }

    /// A value, with the octets that the RFC allows.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'b str, CommandError> {
        let value = self.octets();
        self.checked(value)
    }

    /// All up to the end of the parameter, whatever it is.
    #[inline(always)]
    pub(super) fn octets(&mut self) -> &'b [u8] {
        let (value, rest) = self.rest.split_at(memchr(b' ', self.rest).unwrap_or(self.rest.len()));
        self.rest = rest;
        value
    }

    /// A value of [`octets`](Parameters::octets), if it has those that the RFC allows.
    pub(super) fn checked(&self, value: &'b [u8]) -> Result<&'b str, CommandError> {
        // esmtp-value = 1*(%d33-60 / %d62-126)
        let fits = |octet: &u8| is_value(&[*octet]) || !octet.is_ascii();
        if value.is_empty() || !(is_value(value) || (self.utf8 && value.iter().all(fits))) {
            return Err(CommandError::Parameter);
        }
        core::str::from_utf8(value).map_err(|_| CommandError::Parameter)
    }

    /// A keyword and its value, both with the octets that the RFC allows.
    #[cold]
    pub(super) fn whole(&mut self) -> Result<(&'b str, Option<&'b str>), CommandError> {
        // Whatever is wrong with a parameter that nobody knows: octets that are no text are worse.
        if core::str::from_utf8(self.rest).is_err() {
            return Err(CommandError::Parameter);
        }
        // esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
        let fits = |octet: &&u8| octet.is_ascii_alphanumeric() || **octet == b'-';
        let (keyword, rest) = self.rest.split_at(self.rest.iter().take_while(fits).count());
        if keyword.is_empty() || keyword.starts_with(b"-") {
            return Err(CommandError::Parameter);
        }
        let keyword = core::str::from_utf8(keyword).map_err(|_| CommandError::Parameter)?;
        self.rest = rest;
        if take(&mut self.rest, b'=') {
            return Ok((keyword, Some(self.text()?)));
        }
        self.end()?;
        Ok((keyword, None))
    }

    /// Behind the parameter is a space, or nothing.
    #[inline(always)]
    fn end(&self) -> Result<(), CommandError> {
        if is_end(self.rest) { Ok(()) } else { Err(CommandError::Parameter) }
    }
}

/// The number that digits make, or the largest one.
#[cold]
fn saturated(digits: &[u8]) -> u64 {
    digits.iter().fold(0_u64, |size, digit| size.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// Keeps a value; a second one is an error (RFC 1870 §6 says so for SIZE).
#[inline(always)]
pub(super) fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), CommandError> {
    if slot.is_some() {
        return Err(CommandError::Parameter);
    }
    *slot = Some(value);
    Ok(())
}

/// RFC 4954 §5: a mailbox as xtext, or `<>`, which is given as an empty text.
pub(super) fn auth(value: &str) -> Result<String, CommandError> {
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
