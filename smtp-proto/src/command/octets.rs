//! The octets of a line, eight at a time as one number.
//!
//! A set of octets is a function: it takes eight octets, the first one lowest, and gives the highest bit of each that is in the
//! set.

/// The highest bit of each octet.
const HIGH: u64 = each(0x80);

/// Eight times the same octet.
const fn each(octet: u8) -> u64 {
    0x0101_0101_0101_0101 * octet as u64
}

/// What the octets of a line are, seen in one pass.
pub(super) struct Seen {
    /// One is a control of ASCII.
    pub(super) control: bool,
    /// One is beyond ASCII.
    pub(super) beyond_ascii: bool,
}

/// Looks at all octets of a line.
#[inline]
pub(super) fn look(line: &[u8]) -> Seen {
    let (blocks, rest) = line.as_chunks::<16>();
    let mut seen = Seen { control: false, beyond_ascii: false };
    for block in blocks {
        look_at(block, &mut seen);
    }
    match line.last_chunk::<16>() {
        // It may have octets in common with the block before it.
        Some(block) => look_at(block, &mut seen),
        None => look_at(rest, &mut seen),
    }
    seen
}

/// Without branches, so that the compiler makes vector code of it.
#[inline(always)]
fn look_at(octets: &[u8], seen: &mut Seen) {
    let (control, all) = octets
        .iter()
        .fold((false, 0), |(control, all), octet| (control | (*octet < b' ') | (*octet == 0x7f), all | *octet));
    seen.control |= control;
    seen.beyond_ascii |= !all.is_ascii();
}

/// Whether all octets are in a set.
#[inline(always)]
pub(super) fn all(octets: &[u8], set: impl Fn(u64) -> u64) -> bool {
    run(octets, set) == octets.len()
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
    match octets.first_chunk() {
        Some(octets) => u64::from_le_bytes(*octets),
        None => octets.iter().rev().fold(0, |eight, octet| eight << 8 | u64::from(*octet)),
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
pub(super) const fn only(octets: u64, octet: u8) -> u64 {
    range(octets, octet, octet)
}

/// Octets beyond ASCII.
#[inline(always)]
pub(super) const fn beyond_ascii(octets: u64) -> u64 {
    octets & HIGH
}

/// ASCII letters and digits.
#[inline(always)]
pub(super) const fn alphanumeric(octets: u64) -> u64 {
    // The bit of case turns nothing into a letter that was none.
    range(octets | each(0x20), b'a', b'z') | range(octets, b'0', b'9')
}

/// RFC 5321 §4.1.2: the octets of `esmtp-keyword`.
#[inline(always)]
pub(super) const fn keyword(octets: u64) -> u64 {
    alphanumeric(octets) | only(octets, b'-')
}

/// RFC 5321 §4.1.2: the octets of `esmtp-value`, graphic but no `=`.
#[inline(always)]
pub(super) const fn value(octets: u64) -> u64 {
    range(octets, b'!', b'<') | range(octets, b'>', b'~')
}

/// RFC 3461 §4: the octets of xtext that stand for themselves.
#[inline(always)]
pub(super) const fn xchar(octets: u64) -> u64 {
    value(octets) & !only(octets, b'+')
}

/// RFC 5322 §3.2.3: the octets of `atom`.
#[inline(always)]
pub(super) const fn atext(octets: u64) -> u64 {
    let brackets = range(octets, b'(', b')') | range(octets, b'[', b']') | range(octets, b':', b'<');
    let others = only(octets, b'"') | only(octets, b',') | only(octets, b'.') | only(octets, b'>') | only(octets, b'@');
    range(octets, b'!', b'~') & !brackets & !others
}

/// The bit that letters in lower case have. Digits and most marks have it as well; printable octets become letters, digits or
/// the marks of a [`Front`] by it only if they are those already, but for the case of letters. The end of a text becomes a
/// space.
const CASE: u64 = each(0x20);

/// The first eight octets of a text without the case of its letters, and with spaces behind its end: to be compared with
/// [`Front`]s, which costs hardly more than a look.
#[derive(Clone, Copy)]
pub(super) struct Folded(u64);

/// What a text may begin with: at most eight letters, digits, hyphens, equals signs, colons, semicolons, and a space that stands
/// for the end of the text as well.
#[derive(Clone, Copy)]
pub(super) struct Front {
    octets: u64,
    mask: u64,
    len: usize,
}

impl Folded {
    #[inline(always)]
    pub(super) fn of(text: &[u8]) -> Self {
        Folded(eight(text) | CASE)
    }

    /// Whether the text begins so.
    #[inline(always)]
    pub(super) const fn is(self, front: Front) -> bool {
        self.0 & front.mask == front.octets
    }
}

/// A [`Front`] of the program.
pub(super) const fn front(text: &str) -> Front {
    let text = text.as_bytes();
    assert!(text.len() <= 8, "no more than eight octets are looked at");
    let (mut octets, mut mask, mut at) = (0, 0, 0);
    while at < text.len() {
        assert!(text[at] & 0x20 != 0 || text[at].is_ascii_alphabetic(), "no such octet comes out of folding");
        octets |= ((text[at] | 0x20) as u64) << (8 * at);
        mask |= 0xff << (8 * at);
        at += 1;
    }
    Front { octets, mask, len: text.len() }
}

impl Front {
    /// Takes it off a text that begins with it, `folded` being the text.
    #[inline(always)]
    pub(super) fn take(self, text: &mut &[u8], folded: Folded) -> bool {
        let is = folded.is(self);
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
        for text in ["a", "BY=", "MAIL ", "SIZE=", "NOTIFY=", "SMTPUTF8", "8BITMIME", "RFC822;", "x-y:"] {
            let folded = |octets: &[u8]| Folded::of(octets).is(front(text));
            // Alone and with something behind it.
            for behind in ["", " ", "x", "xxxxxxxxx"] {
                let whole = [text, behind].concat();
                for at in 0..text.len() {
                    // Controls never come here.
                    for octet in (b' '..=0x7e).chain(0x80..=0xff) {
                        let mut other = whole.clone().into_bytes();
                        other[at] = octet;
                        let equal = other[..text.len()].eq_ignore_ascii_case(text.as_bytes());
                        assert_eq!(folded(&other), equal, "{text} {}", other.escape_ascii());
                    }
                    let is_space_only = text[at..].trim().is_empty();
                    assert_eq!(folded(&whole.as_bytes()[..at]), is_space_only, "{text} cut at {at}");
                }
            }
        }
        let mut rest = &b"siZe=1"[..];
        let folded = Folded::of(rest);
        assert!(front("SIZE=").take(&mut rest, folded));
        assert_eq!(rest, b"1");
        let folded = Folded::of(rest);
        assert!(!front("SIZE=").take(&mut rest, folded));
        assert_eq!(rest, b"1");
        assert_eq!([&b""[..], b" ", b" x", b"x"].map(is_end), [true, true, true, false]);
    }

    #[test]
    fn an_octet_is_seen_wherever_it_stands() {
        let x = |octets| only(octets, b'x');
        for len in 0..40 {
            assert!(all(&vec![b'x'; len], x));
            for at in 0..len {
                for other in [b'w', b'y', 0, 0x1f, b' ', 0x7f, 0x80, 0x80 | b'x', 0xff] {
                    let mut octets = vec![b'x'; len];
                    octets[at] = other;
                    assert!(!all(&octets, x), "{at} of {len}");
                    assert_eq!(run(&octets, x), at);
                    let seen = look(&octets);
                    assert_eq!((seen.control, seen.beyond_ascii), (other.is_ascii_control(), !other.is_ascii()));
                }
            }
        }
    }

    #[test]
    fn sets_are_those_of_the_grammar() {
        for octet in 0..=255_u8 {
            // Alone, and in each place among neighbours that could carry into it.
            let is = |set: fn(u64) -> u64| {
                let alone = all(&[octet], set);
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
            assert_eq!(is(beyond_ascii), !octet.is_ascii());
            assert_eq!(is(alphanumeric), octet.is_ascii_alphanumeric());
            assert_eq!(is(keyword), octet.is_ascii_alphanumeric() || octet == b'-');
            assert_eq!(is(value), (33..=60).contains(&octet) || (62..=126).contains(&octet));
            assert_eq!(is(xchar), (33..=126).contains(&octet) && octet != b'+' && octet != b'=');
            assert_eq!(is(atext), octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet));
        }
    }
}
