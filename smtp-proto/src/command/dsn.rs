//! The parameters that ask for notices: RET and ENVID, NOTIFY and ORCPT (RFC 3461 §4, RFC 6533 §3).

use alloc::borrow::Cow;
use alloc::string::String;

use pillarbox_core::Text;

use super::CommandError;
use super::octets::{Begin, Front, front, is_xchars};
use super::parameters::{Parameters, xtext};
use crate::server::{Notify, Orcpt, Ret};

/// Octets of ENVID (RFC 3461 §4.4).
const ENVID_MAX: usize = 100;
/// Octets of ORCPT (RFC 3461 §4.2).
const ORCPT_MAX: usize = 500;

/// RFC 3461 §4.3
pub(super) fn ret(value: &str) -> Result<Ret, CommandError> {
    match value {
        word if word.eq_ignore_ascii_case("FULL") => Ok(Ret::Full),
        word if word.eq_ignore_ascii_case("HDRS") => Ok(Ret::Hdrs),
        _ => Err(CommandError::Parameter),
    }
}

/// RFC 3461 §4.4
pub(super) fn envid(value: &str) -> Result<Cow<'_, str>, CommandError> {
    if value.len() > ENVID_MAX {
        return Err(CommandError::Parameter);
    }
    printable(value).ok_or(CommandError::Parameter)
}

/// RFC 3461 §4.1: `"NEVER" / 1#("SUCCESS" / "FAILURE" / "DELAY")`
pub(super) fn notify(parameters: &mut Parameters<'_>) -> Result<Notify, CommandError> {
    const SUCCESS: Front = front("SUCCESS");
    const FAILURE: Front = front("FAILURE");
    const DELAY: Front = front("DELAY");
    const NEVER: Front = front("NEVER");
    let (mut notify, mut never, mut words) = (Notify::default(), false, 0);
    parameters.words(|rest| {
        let begin = Begin::of(rest);
        let asked = if SUCCESS.take(rest, begin) {
            &mut notify.success
        } else if FAILURE.take(rest, begin) {
            &mut notify.failure
        } else if DELAY.take(rest, begin) {
            &mut notify.delay
        } else if NEVER.take(rest, begin) {
            &mut never
        } else {
            return false;
        };
        words += 1;
        // Each of them once, and NEVER alone.
        !core::mem::replace(asked, true) && (!never || words == 1)
    })?;
    Ok(notify)
}

/// RFC 3461 §4.2: `addr-type ";" xtext`
#[inline(always)]
pub(super) fn orcpt<'b>(parameters: &mut Parameters<'b>) -> Result<Orcpt<'b>, CommandError> {
    const RFC822: Front = front("RFC822;");
    let value = parameters.octets();
    let mut address = value;
    // Nearly all are of this form.
    if RFC822.take(&mut address, Begin::of(value))
        && (1..=ORCPT_MAX - "RFC822;".len()).contains(&address.len())
        && is_xchars(address)
    {
        let addr_type = &value[.."RFC822".len()];
        return Ok(Orcpt { addr_type: Text::from_checked(addr_type), address: Text::from_checked(address) });
    }
    any_orcpt(parameters.checked(value)?)
}

/// The same with an address of any type.
#[cold]
fn any_orcpt(value: &str) -> Result<Orcpt<'_>, CommandError> {
    let (addr_type, encoded) = value.split_once(';').ok_or(CommandError::Parameter)?;
    let is_atom = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    let is_empty = addr_type.is_empty() || encoded.is_empty();
    if value.len() > ORCPT_MAX || is_empty || !addr_type.bytes().all(is_atom) {
        return Err(CommandError::Parameter);
    }
    let address = if addr_type.eq_ignore_ascii_case("utf-8") { unitext(encoded) } else { printable(encoded) };
    let address = address.ok_or(CommandError::Parameter)?;
    Ok(Orcpt { addr_type: addr_type.into(), address: address.into() })
}

/// Decodes xtext. RFC 3461 §4.2, §4.4: what was encoded is printable ASCII. A control in it could only be there to break the
/// line or the header that it is written into one day.
fn printable(value: &str) -> Option<Cow<'_, str>> {
    if is_xchars(value.as_bytes()) {
        return Some(Cow::Borrowed(value));
    }
    let text = xtext(value)?;
    text.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()).then_some(Cow::Owned(text))
}

/// Decodes `utf-8-addr-unitext` of RFC 6533 §3, of which `utf-8-addr-xtext` is the part in ASCII: `\x{...}` stands for a
/// character. The parameter as such was checked to hold UTF-8 only where SMTPUTF8 allows it.
fn unitext(value: &str) -> Option<Cow<'_, str>> {
    // QCHAR leaves out what would need the other encoding.
    if value.contains('+') {
        return None;
    }
    let mut parts = value.split('\\');
    let first = parts.next()?;
    let mut text = Cow::Borrowed(first);
    for part in parts {
        let (digits, rest) = part.strip_prefix("x{")?.split_once('}')?;
        let character = code_point(digits)?;
        let text: &mut String = text.to_mut();
        text.push(character);
        text.push_str(rest);
    }
    // Deviates from RFC 6533 §3: because its grammar has codes of controls, which have no place in an address.
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// `HEXPOINT`: the character that these digits stand for, if it is one that needs them.
fn code_point(digits: &str) -> Option<char> {
    let of_hex = |octet: u8| octet.is_ascii_digit() || (b'A'..=b'F').contains(&octet);
    // Two digits at least, and no more than are needed.
    let fits = (2..=6).contains(&digits.len()) && digits.bytes().all(of_hex);
    if !fits || (digits.len() > 2 && digits.starts_with('0')) {
        return None;
    }
    let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    (!character.is_ascii() || matches!(character, ' ' | '+' | '=' | '\\')).then_some(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    /// Reads a parameter with this value.
    fn read<T>(
        value: &str,
        reader: impl FnOnce(&mut Parameters<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let text = format!(" X={value}");
        let mut parameters = Parameters::of(text.as_bytes(), false).unwrap();
        assert!(parameters.next() && parameters.is(front("X=")));
        reader(&mut parameters)
    }

    #[test]
    fn envelope_ids() {
        assert_eq!(envid("QQ314159").unwrap(), "QQ314159");
        assert!(matches!(envid("QQ314159"), Ok(Cow::Borrowed(_))));
        assert_eq!(envid("a+2Bb+20c+3D").unwrap(), "a+b c=");
        assert!(envid(&"x".repeat(100)).is_ok());
        let long = "x".repeat(101);
        for wrong in ["+00", "a+0D+0A", "+", "a+", "a+2", "+2b", "+7F", "+C3+A9", "+09", "+GG", "+-1", "++1", &long] {
            assert_eq!(envid(wrong), Err(CommandError::Parameter), "{wrong:?}");
        }
    }

    #[test]
    fn notices() {
        let all = Notify { success: true, failure: true, delay: true };
        assert_eq!(read("delay,Success,FAILURE", notify), Ok(all));
        assert_eq!(read("FAILURE", notify), Ok(Notify { failure: true, ..Notify::default() }));
        assert!(read("never", notify).unwrap().is_never());
        for wrong in [
            "NEVER,SUCCESS",
            "SUCCESS,NEVER",
            "NEVER,NEVER",
            "NEVER,",
            "SUCCESS,SUCCESS",
            "SUCCESS,",
            "SUCCESS;DELAY",
            ",",
            "",
            "ALWAYS",
            "SUCCESSES",
            "SUCCESS=",
        ] {
            assert_eq!(read(wrong, notify), Err(CommandError::Parameter), "{wrong}");
        }
        assert_eq!((ret("full"), ret("HDRS")), (Ok(Ret::Full), Ok(Ret::Hdrs)));
        for wrong in ["", "FULLY", "FULL,", "x"] {
            assert_eq!(ret(wrong), Err(CommandError::Parameter), "{wrong}");
        }
    }

    #[test]
    fn original_recipients() {
        for (value, addr_type, address) in [
            ("rfc822;joe@b.example", "rfc822", "joe@b.example"),
            ("RFC822;joe+2Bmail@b.example", "RFC822", "joe+mail@b.example"),
            ("x400;/C=us".replace('=', "+3D").as_str(), "x400", "/C=us"),
            ("utf-8;zo\\x{EB}@b.example", "utf-8", "zoë@b.example"),
            ("utf-8;zoë\\x{20}\\x{5C}\\x{2B}\\x{3D}\\x{1F600}@b.example", "utf-8", "zoë \\+=\u{1F600}@b.example"),
        ] {
            let (text, utf8) = (format!(" X={value}"), !value.is_ascii());
            let mut parameters = Parameters::of(text.as_bytes(), utf8).unwrap();
            assert!(parameters.next() && parameters.is(front("X=")));
            let orcpt = orcpt(&mut parameters).expect(value);
            assert_eq!((&*orcpt.addr_type, &*orcpt.address), (addr_type, address));
            assert_eq!(orcpt.clone().into_owned(), orcpt);
        }
        let long = format!("rfc822;{}", "x".repeat(494));
        for wrong in [
            "rfc822",
            "rfc822;",
            ";joe@b.example",
            "r fc;x",
            "rfc822;+00",
            "rfc822;a+0D+0Ab",
            "rfc822;+",
            "rfc822;+2b",
            "rfc822;zoë",
            "utf-8;a+2Bb",
            "utf-8;\\",
            "utf-8;\\x",
            "utf-8;\\x{}",
            "utf-8;\\x{2}",
            "utf-8;\\x{41}",
            "utf-8;\\x{eb}",
            "utf-8;\\x{0EB}",
            "utf-8;\\x{D800}",
            "utf-8;\\x{110000}",
            "utf-8;\\x{0D}",
            "utf-8;\\x{7F}",
            "utf-8;\\x{85}",
            "utf-8;\\x{2B",
            &long,
        ] {
            let read = read(wrong, |parameters| orcpt(parameters).map(Orcpt::into_owned));
            assert_eq!(read, Err(CommandError::Parameter), "{wrong}");
        }
    }
}
