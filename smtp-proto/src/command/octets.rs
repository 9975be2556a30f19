//! The octets of a line, eight at a time as one number.
//!
//! A set of octets is a function: it takes eight octets, the first one lowest, and gives the highest bit of each that is in the
//! set.

use pillarbox_core::octets::all;

/// The highest bit of each octet.
const HIGH: u64 = each(0x80);

/// Eight times the same octet.
const fn each(octet: u8) -> u64 {
    0x0101_0101_0101_0101 * octet as u64
}

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
#[inline]
pub(super) fn is_xchars(octets: &[u8]) -> bool {
    all(octets, |octet| is_in(octet, b'!', b'~') & (octet != b'=') & (octet != b'+'))
}

/// How many octets at the front are in a set, of which NUL is no part.
#[inline(always)]
pub(super) fn run(octets: &[u8], set: impl Fn(u64) -> u64) -> usize {
    let mut rest = octets;
    loop {
        let others = !set(eight(rest)) & HIGH;
        if others != 0 {
            return octets.len() - rest.len() + (others.trailing_zeros() / 8) as usize;
        }
        rest = &rest[8..];
    }
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

/// The octets from `first` to `last`, both of ASCII.
#[inline(always)]
const fn range(octets: u64, first: u8, last: u8) -> u64 {
    // Seven bits of each, so that no sum carries into the next octet.
    let low = octets & !HIGH;
    let not_below = low.wrapping_add(each(0x80 - first));
    let above = low.wrapping_add(each(0x7f - last));
    not_below & !above & !octets & HIGH
}

/// One octet of ASCII.
#[inline(always)]
const fn only(octets: u64, octet: u8) -> u64 {
    range(octets, octet, octet)
}

/// ASCII letters and digits.
#[inline(always)]
const fn alphanumeric(octets: u64) -> u64 {
    // The bit of case turns nothing into a letter that was none.
    range(octets | each(0x20), b'a', b'z') | range(octets, b'0', b'9')
}

/// RFC 5321 §4.1.2: the octets of `esmtp-keyword`.
#[inline(always)]
pub(super) const fn keyword(octets: u64) -> u64 {
    alphanumeric(octets) | only(octets, b'-')
}

/// RFC 5322 §3.2.3: the octets of `atom`.
#[inline(always)]
pub(super) const fn atext(octets: u64) -> u64 {
    let brackets = range(octets, b'(', b')') | range(octets, b'[', b']') | range(octets, b':', b'<');
    let others = only(octets, b'"') | only(octets, b',') | only(octets, b'.') | only(octets, b'>') | only(octets, b'@');
    range(octets, b'!', b'~') & !brackets & !others
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
    fn a_run_ends_wherever_it_does() {
        for len in 0..40 {
            assert_eq!(run(&vec![b'x'; len], keyword), len);
            for at in 0..len {
                for other in [b'/', b'{', 0, 0x80 | b'x', 0xff] {
                    let mut octets = vec![b'x'; len];
                    octets[at] = other;
                    assert_eq!(run(&octets, keyword), at);
                }
            }
        }
    }

    #[test]
    fn sets_are_those_of_the_grammar() {
        for octet in 0..=255_u8 {
            // Alone, and in each place among neighbours that could carry into it.
            let is = |set: fn(u64) -> u64| {
                let alone = run(&[octet], set) == 1;
                for neighbour in [0, 0x7f, 0x80, 0xff] {
                    for at in 0..8 {
                        let mut octets = [neighbour; 8];
                        octets[at] = octet;
                        let bit = set(u64::from_le_bytes(octets)) >> (8 * at + 7) & 1;
                        assert_eq!(bit == 1, alone, "{octet}");
                    }
                }
                alone
            };
            let is_value_octet = (33..=60).contains(&octet) || (62..=126).contains(&octet);
            assert_eq!(is(keyword), octet.is_ascii_alphanumeric() || octet == b'-');
            assert_eq!(is(atext), octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet));
            assert_eq!(is_uncontrolled(&[octet; 20]), !octet.is_ascii_control());
            assert_eq!(is_value(&[octet; 20]), is_value_octet);
            assert_eq!(is_xchars(&[octet; 20]), is_value_octet && octet != b'+');
            let is_of_host = octet.is_ascii_alphanumeric() || b"-._:[]".contains(&octet);
            assert_eq!(is_host_name(&[octet; 20]), is_of_host);
        }
    }
}
