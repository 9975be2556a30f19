//! Looking at several octets of a line at once: sixteen, to know whether all are in a set, and eight, to know what a text
//! begins with.

use pillarbox_core::octets::all;

/// Whether an octet is in a range, with one comparison.
#[inline(always)]
const fn is_in(octet: u8, first: u8, last: u8) -> bool {
    octet.wrapping_sub(first) <= last.wrapping_sub(first)
}

/// No octet is a control of ASCII.
#[inline(never)]
pub(super) fn is_uncontrolled(octets: &[u8]) -> bool {
    all(octets, |octet| is_in(octet, b' ', b'~') | !octet.is_ascii())
}

/// All octets can stand in the name of a host, or in an address literal.
#[inline]
pub(super) fn is_host_name(octets: &[u8]) -> bool {
    let is_mark = |octet| (octet == b'[') | (octet == b']') | (octet == b'_');
    all(octets, |octet| is_in(octet | 0x20, b'a', b'z') | (is_in(octet, b'-', b':') & (octet != b'/')) | is_mark(octet))
}

/// All octets are such as can stand in an `esmtp-value` (RFC 5321 §4.1.2): graphic but no `=`.
#[inline(never)]
pub(super) fn is_value(octets: &[u8]) -> bool {
    all(octets, |octet| is_in(octet, b'!', b'~') & (octet != b'='))
}

/// The same of xtext that stands for itself (RFC 3461 §4).
#[inline(never)]
pub(super) fn is_xchars(octets: &[u8]) -> bool {
    all(octets, |octet| is_in(octet, b'!', b'~') & (octet != b'=') & (octet != b'+'))
}

/// The first eight octets, with NUL in place of those that are not there.
#[inline(always)]
fn eight(octets: &[u8]) -> u64 {
    if let Some(octets) = octets.first_chunk() {
        u64::from_le_bytes(*octets)
    } else if let (Some(first), Some(last)) = (octets.first_chunk(), octets.last_chunk()) {
        // They may have octets in common.
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u64::from(first) | u64::from(last) << (8 * (octets.len() - 4))
    } else {
        octets.iter().rev().fold(0, |eight, octet| eight << 8 | u64::from(*octet))
    }
}

/// The first eight octets of a text, to be compared with [`Front`]s, which costs hardly more than a look.
#[derive(Clone, Copy)]
pub(super) struct Begin(u64);

/// What a text may begin with: at most eight octets, letters in any case.
#[derive(Clone, Copy)]
pub(super) struct Front {
    octets: u64,
    /// The bit of case of each letter. It turns nothing into a letter that was none.
    case: u64,
    mask: u64,
    len: usize,
}

/// A [`Front`] of the program.
pub(super) const fn front(text: &str) -> Front {
    let text = text.as_bytes();
    assert!(text.len() <= 8, "no more than eight octets are looked at");
    let mut front = Front { octets: 0, case: 0, mask: 0, len: text.len() };
    let mut at = 0;
    while at < text.len() {
        let case = if text[at].is_ascii_alphabetic() { 0x20 } else { 0 };
        front.octets |= ((text[at] | case) as u64) << (8 * at);
        front.case |= (case as u64) << (8 * at);
        front.mask |= 0xff << (8 * at);
        at += 1;
    }
    front
}

impl Begin {
    #[inline(always)]
    pub(super) fn of(text: &[u8]) -> Self {
        Begin(eight(text))
    }

    /// Whether the text begins so.
    #[inline(always)]
    pub(super) const fn is(self, front: Front) -> bool {
        (self.0 | front.case) & front.mask == front.octets
    }
}

impl Front {
    /// Takes it off a text that begins with it; `begin` is that of the text.
    #[inline(always)]
    pub(super) fn take(self, text: &mut &[u8], begin: Begin) -> bool {
        let is = begin.is(self);
        if is {
            *text = text.get(self.len..).unwrap_or_default();
        }
        is
    }
}

/// Whether a text begins with a space, or is empty.
#[inline(always)]
pub(super) const fn is_end(octets: &[u8]) -> bool {
    matches!(octets, [] | [b' ', ..])
}

/// Takes an octet from the front, if it is this one.
#[inline(always)]
pub(super) fn take(octets: &mut &[u8], octet: u8) -> bool {
    match octets.split_first() {
        Some((first, rest)) if *first == octet => {
            *octets = rest;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn fronts_are_equal_whatever_their_case_and_nothing_else_is() {
        for text in ["a", "BY=", "MAIL", "SIZE=", "NOTIFY=", "SMTPUTF8", "8BITMIME", "RFC822;", "x-y:", "[]^_`{|}"] {
            let is = |octets: &[u8]| Begin::of(octets).is(front(text));
            // Alone and with something behind it.
            for behind in ["", " ", "x", "xxxxxxxxx"] {
                let whole = [text, behind].concat();
                for at in 0..text.len() {
                    for octet in 0..=255 {
                        let mut other = whole.clone().into_bytes();
                        other[at] = octet;
                        let equal = other[..text.len()].eq_ignore_ascii_case(text.as_bytes());
                        assert_eq!(is(&other), equal, "{text} {}", other.escape_ascii());
                    }
                    assert!(!is(&whole.as_bytes()[..at]), "{text} cut at {at}");
                }
            }
        }
        let mut rest = &b"siZe=1"[..];
        let begin = Begin::of(rest);
        assert!(front("SIZE=").take(&mut rest, begin));
        assert_eq!(rest, b"1");
        let begin = Begin::of(rest);
        assert!(!front("SIZE=").take(&mut rest, begin));
        assert_eq!(rest, b"1");
        assert_eq!([&b""[..], b" ", b" x", b"x", b"\0", b"\t"].map(is_end), [true, true, true, false, false, false]);
    }

    #[test]
    fn sets_are_those_of_the_grammar() {
        for octet in 0..=255_u8 {
            let is_value_octet = (33..=60).contains(&octet) || (62..=126).contains(&octet);
            let is_of_host = octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet);
            for len in [1, 8, 20] {
                let octets = vec![octet; len];
                assert_eq!(is_uncontrolled(&octets), !octet.is_ascii_control());
                assert_eq!(is_value(&octets), is_value_octet);
                assert_eq!(is_xchars(&octets), is_value_octet && octet != b'+');
                assert_eq!(is_host_name(&octets), is_of_host);
            }
        }
    }
}
