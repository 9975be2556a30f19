//! Modified UTF-7, in which IMAP4rev1 and Maildir++ write mailbox names (RFC 3501 §5.1.3).

use alloc::string::String;

/// Why a text is not modified UTF-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mutf7Error {
    /// An octet outside printable US-ASCII.
    #[error("an octet that is not printable US-ASCII")]
    NotAscii,
    /// A shift sequence that is not ended by `-`, or holds another character than the 64.
    #[error("a shift sequence without its end, or with a character that is not of base64")]
    BadShift,
    /// Base64 that does not make whole UTF-16 units, or whose left-over bits are not zero.
    #[error("base64 that does not hold whole characters")]
    BadBase64,
    /// A surrogate without its other half.
    #[error("half a surrogate pair")]
    BadSurrogate,
    /// A printable US-ASCII character in base64, or a shift where none was needed: a second spelling of the same name.
    #[error("a second spelling of a name that has a plainer one")]
    Superfluous,
}

/// Writes a name in modified UTF-7.
///
/// ```
/// use pillarbox_core::mutf7;
///
/// assert_eq!(mutf7::encode("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
/// assert_eq!(mutf7::encode("AT&T"), "AT&-T");
/// ```
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut units = [0; 2];
    // Bits of UTF-16 that wait for the next base64 character, and how many; `None` outside a shift.
    let mut shift: Option<(u32, u32)> = None;
    for c in name.chars() {
        if is_direct(c) || c == '&' {
            if let Some(bits) = shift.take() {
                end_shift(&mut out, bits);
            }
            out.push(c);
            if c == '&' {
                out.push('-');
            }
            continue;
        }
        let (mut bits, mut count) = shift.unwrap_or_else(|| {
            out.push('&');
            (0, 0)
        });
        for unit in c.encode_utf16(&mut units) {
            bits = bits << 16 | u32::from(*unit);
            count += 16;
            while count >= 6 {
                count -= 6;
                out.push(char::from(ALPHABET[(bits >> count & 63) as usize]));
            }
            bits &= (1 << count) - 1;
        }
        shift = Some((bits, count));
    }
    if let Some(bits) = shift {
        end_shift(&mut out, bits);
    }
    out
}

/// Reads a name in modified UTF-7. Strict: each name has exactly one spelling, which is what [`encode`] writes, so that
/// two spellings can never be two mailboxes, or one mailbox pass two checks.
///
/// ```
/// use pillarbox_core::mutf7::{Mutf7Error, decode};
///
/// assert_eq!(decode(b"&U,BTFw-/&ZeVnLIqe-").unwrap(), "台北/日本語");
/// assert_eq!(decode(b"&Jjo!"), Err(Mutf7Error::BadShift));
/// assert_eq!(decode(b"&U,BTFw-&ZeVnLIqe-"), Err(Mutf7Error::Superfluous));
/// ```
///
/// # Errors
///
/// [`Mutf7Error`] says what is wrong.
pub fn decode(text: &[u8]) -> Result<String, Mutf7Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_shift = false;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if !(0x20..0x7F).contains(&octet) {
            return Err(Mutf7Error::NotAscii);
        }
        if octet != b'&' {
            out.push(char::from(octet));
            after_shift = false;
            continue;
        }
        let end = rest.iter().position(|o| *o == b'-').ok_or(Mutf7Error::BadShift)?;
        let (shifted, tail) = rest.split_at(end);
        rest = &tail[1..];
        if shifted.is_empty() {
            out.push('&');
            after_shift = false;
            continue;
        }
        // RFC 3501 §5.1.3: "&U,BTFw-&ZeVnLIqe-" is not permitted.
        if after_shift {
            return Err(Mutf7Error::Superfluous);
        }
        decode_shifted(shifted, &mut out)?;
        after_shift = true;
    }
    Ok(out)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn is_direct(c: char) -> bool {
    matches!(c, ' '..='~') && c != '&'
}

fn end_shift(out: &mut String, (bits, count): (u32, u32)) {
    if count > 0 {
        out.push(char::from(ALPHABET[(bits << (6 - count) & 63) as usize]));
    }
    out.push('-');
}

fn decode_shifted(shifted: &[u8], out: &mut String) -> Result<(), Mutf7Error> {
    let mut bits = 0u32;
    let mut count = 0;
    let mut high: Option<u16> = None;
    for octet in shifted {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b',' => 63,
            _ => return Err(Mutf7Error::BadShift),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count < 16 {
            continue;
        }
        count -= 16;
        let unit = (bits >> count) as u16;
        bits &= (1 << count) - 1;
        let c = match high.take() {
            Some(first) => char::decode_utf16([first, unit]).next().and_then(Result::ok).filter(|c| *c > '\u{FFFF}'),
            None if (0xD800..0xDC00).contains(&unit) => {
                high = Some(unit);
                continue;
            }
            None => char::from_u32(u32::from(unit)),
        };
        let c = c.ok_or(Mutf7Error::BadSurrogate)?;
        if is_direct(c) || c == '&' {
            return Err(Mutf7Error::Superfluous);
        }
        out.push(c);
    }
    if high.is_some() {
        return Err(Mutf7Error::BadSurrogate);
    }
    // What is left is padding: fewer bits than a base64 character, all zero.
    if count >= 6 || bits != 0 { Err(Mutf7Error::BadBase64) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_both_ways() {
        for (name, text) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("Täst", "T&AOQ-st"),
            ("été 😀", "&AOk-t&AOk- &2D3eAA-"),
            ("台北日本語", "&U,BTF2XlZyyKng-"),
            ("&", "&-"),
            ("ä&ä", "&AOQ-&-&AOQ-"),
            ("&&ä", "&-&-&AOQ-"),
            ("-ä-", "-&AOQ--"),
            ("\n", "&AAo-"),
        ] {
            assert_eq!(encode(name), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for (text, error) in [
            ("T\u{e4}st", Mutf7Error::NotAscii),
            ("a\nb", Mutf7Error::NotAscii),
            ("\u{7f}", Mutf7Error::NotAscii),
            ("&", Mutf7Error::BadShift),
            ("&AOQ", Mutf7Error::BadShift),
            ("&AO/-", Mutf7Error::BadShift),
            ("&AO=-", Mutf7Error::BadShift),
            ("&A-", Mutf7Error::BadBase64),
            ("&AOQA-", Mutf7Error::BadBase64),
            ("&AOR-", Mutf7Error::BadBase64),
            ("&2D0-", Mutf7Error::BadSurrogate),
            ("&3gA-", Mutf7Error::BadSurrogate),
            ("&2D0A5A-", Mutf7Error::BadSurrogate),
            ("&2D3YPQ-", Mutf7Error::BadSurrogate),
            ("&AGE-", Mutf7Error::Superfluous),
            ("&ACY-", Mutf7Error::Superfluous),
            ("&AOQ-&AOQ-", Mutf7Error::Superfluous),
        ] {
            assert_eq!(decode(text.as_bytes()), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in any::<String>()) {
            let text = encode(&name);
            prop_assert!(text.bytes().all(|o| (0x20..0x7F).contains(&o)));
            prop_assert_eq!(decode(text.as_bytes()), Ok(name));
        }

        #[test]
        fn what_decodes_is_what_would_be_written(text in "[&A-Da-d0-3+,/ -]{0,24}") {
            if let Ok(name) = decode(text.as_bytes()) {
                prop_assert_eq!(encode(&name), text);
            }
        }
    }
}
