//! What an octet may stand in, looked up; and words as numbers, to be compared with those of the program.

/// A set of octets, as a bit of [`CLASSES`].
#[derive(Clone, Copy)]
pub(crate) struct Class(u8);

/// `ASTRING-CHAR` (RFC 9051 §9).
pub(crate) const ASTRING: Class = Class(1);
/// `ATOM-CHAR` (RFC 9051 §9): as those, without `]`.
pub(crate) const ATOM: Class = Class(2);
/// `list-char` (RFC 9051 §9): as `ASTRING-CHAR`, with the wildcards.
pub(crate) const LIST: Class = Class(4);
/// What a tag is made of (RFC 9051 §9): as `ASTRING-CHAR`, without `+`.
pub(crate) const TAG: Class = Class(8);
/// Letters, digits and `.`: the names of what FETCH and SEARCH know.
pub(crate) const WORD: Class = Class(16);
/// What a `sequence-set` is made of (RFC 9051 §9, RFC 5182 §3).
pub(crate) const SET: Class = Class(32);
/// What is no space and no part of a line's end.
pub(crate) const NAME: Class = Class(128);
/// What stands for itself between quotes, of ASCII: `TEXT-CHAR` without `quoted-specials` (RFC 9051 §9).
pub(crate) const QUOTED: Class = Class(64);

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0u8;
    while octet < 0x80 {
        let astring = octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\');
        let digit = octet.is_ascii_digit();
        let of = [
            (astring, ASTRING),
            (astring && octet != b']', ATOM),
            (astring || octet == b'*' || octet == b'%', LIST),
            (astring && octet != b'+', TAG),
            (octet.is_ascii_alphanumeric() || octet == b'.', WORD),
            (digit || octet == b'*' || octet == b':' || octet == b',' || octet == b'$', SET),
            (!matches!(octet, 0 | b'\r' | b'\n' | b'"' | b'\\'), QUOTED),
            (!matches!(octet, b' ' | b'\r' | b'\n'), NAME),
        ];
        let mut at = 0;
        while at < of.len() {
            if of[at].0 {
                classes[octet as usize] |= of[at].1.0;
            }
            at += 1;
        }
        octet += 1;
    }
    while octet < u8::MAX {
        classes[octet as usize] = NAME.0;
        octet += 1;
    }
    classes[octet as usize] = NAME.0;
    classes
};

impl Class {
    /// Whether the octet is one of these.
    #[inline(always)]
    pub(crate) const fn holds(self, octet: u8) -> bool {
        CLASSES[octet as usize] & self.0 != 0
    }

    /// What is in one or the other.
    pub(crate) const fn or(self, other: Class) -> Class {
        Class(self.0 | other.0)
    }

    /// As many octets of these as stand at the front, and what is behind them.
    #[inline(always)]
    pub(crate) fn split(self, input: &[u8]) -> (&[u8], &[u8]) {
        let len = input.iter().take_while(|octet| self.holds(**octet)).count();
        input.split_at(len)
    }
}

/// A word in capitals as one number, so that it is compared at once; 0 if it is longer than 15 octets.
#[inline(always)]
pub(crate) const fn capitals(word: &[u8]) -> u128 {
    match word.len() {
        0..=8 => in_capitals(eight(word)) as u128,
        9..=15 => {
            let (first, rest) = word.split_at(8);
            in_capitals(eight(first)) as u128 | (in_capitals(eight(rest)) as u128) << 64
        }
        _ => 0,
    }
}

/// The word at the front as such a number, and what is behind it: letters, digits and `.` are a word. What is longer than 15
/// octets, or has marks in it that no word of the program has, is a number that no word of the program is.
#[inline(always)]
pub(crate) fn word(input: &[u8]) -> (u128, &[u8]) {
    let (first, behind) = split_eight(input);
    let (octets, len) = word_in(eight(first));
    if len < 8 {
        return (octets as u128, &input[len.min(input.len())..]);
    }
    let (more, len) = word_in(eight(split_eight(behind).0));
    if len < 8 {
        return (octets as u128 | (more as u128) << 64, &behind[len.min(behind.len())..]);
    }
    (0, WORD.split(input).1)
}

/// The octets before a space or a control at the front as such a number, and how many they are. It is the number of a word of the
/// program only if they are that word, in any case.
#[inline(always)]
pub(crate) fn word_before_space(input: &[u8]) -> (u128, usize) {
    // NUL stands behind the last octet.
    let octets = eight(split_eight(input).0);
    match spaces(octets) {
        0 => {
            let (octets, behind) = word(input);
            (octets, input.len() - behind.len())
        }
        spaces => ((in_capitals(octets) & before(spaces)) as u128, (spaces.trailing_zeros() / 8) as usize),
    }
}

/// The length of the word at the front, if a space is behind it and eight octets have room for both.
#[inline(always)]
pub(crate) fn short_word(input: &[u8]) -> Option<usize> {
    let octets = u64::from_le_bytes(*input.first_chunk()?);
    let spaces = spaces(octets);
    if spaces == 0 {
        return None;
    }
    // What is behind has to wait for the length, but not for the look at the word.
    let len = (spaces.trailing_zeros() / 8) as usize;
    if input.get(len) != Some(&b' ') {
        return None;
    }
    let others = others(octets, in_capitals(octets)) & before(spaces);
    if others == 0 && len > 0 { Some(len) } else { None }
}

/// The highest bit of the first octet that is a space or a control, and perhaps of some behind it.
#[inline(always)]
const fn spaces(octets: u64) -> u64 {
    // A difference borrows only from octets that are higher.
    octets.wrapping_sub((b' ' as u64 + 1) * EACH) & !octets & (0x80 * EACH)
}

/// All bits of the octets before the lowest bit.
#[inline(always)]
const fn before(bits: u64) -> u64 {
    (bits ^ bits.wrapping_sub(1)) >> 8
}

/// How many of eight octets are a word at the front, and those in capitals.
#[inline(always)]
const fn word_in(octets: u64) -> (u64, usize) {
    let capitals = in_capitals(octets);
    match others(octets, capitals) {
        0 => (capitals, 8),
        others => (capitals & before(others), (others.trailing_zeros() / 8) as usize),
    }
}

/// The highest bit of each octet that is in no word. `capitals` are the same octets.
#[inline(always)]
const fn others(octets: u64, capitals: u64) -> u64 {
    // With small letters gone, all that is in a word lies between `.` and `Z`. No sum carries into the next octet.
    let low = capitals & (0x7f * EACH);
    let from_dot = low.wrapping_add((0x80 - b'.' as u64) * EACH);
    let behind_z = low.wrapping_add((0x80 - b'Z' as u64 - 1) * EACH);
    (!from_dot | behind_z | octets) & (0x80 * EACH)
}

/// Words of the program as such numbers, by their own names, or by others where there is a mark in them. They are for patterns:
/// one that is not defined here would match everything, which the compiler warns of.
macro_rules! words {
    (@number $word:expr) => {{
        let word = crate::octet::capitals($word.as_bytes());
        assert!(word != 0, "the word is too long to be one number");
        word
    }};
    (@number $name:expr, $word:literal) => { words!(@number $word) };
    ($($name:ident $(= $word:literal)?),+ $(,)?) => {$(
        const $name: u128 = words!(@number stringify!($name) $(, $word)?);
    )+};
}
pub(crate) use words;

const EACH: u64 = 0x0101_0101_0101_0101;

/// The first eight octets, if there are so many, and the rest.
#[inline(always)]
const fn split_eight(octets: &[u8]) -> (&[u8], &[u8]) {
    octets.split_at(if octets.len() < 8 { octets.len() } else { 8 })
}

/// The first eight octets, with NUL in place of those that are not there.
#[inline(always)]
const fn eight(octets: &[u8]) -> u64 {
    if let Some(octets) = octets.first_chunk() {
        u64::from_le_bytes(*octets)
    } else if let Some(first) = octets.first_chunk()
        && let Some(last) = octets.split_at(octets.len() - 4).1.first_chunk()
    {
        // They may have octets in common.
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        first as u64 | (last as u64) << (8 * (octets.len() - 4))
    } else {
        match *octets {
            [a] => a as u64,
            [a, b] => a as u64 | (b as u64) << 8,
            [a, b, c] => a as u64 | (b as u64) << 8 | (c as u64) << 16,
            _ => 0,
        }
    }
}

/// Eight octets, with letters of ASCII in capitals. Marks above the letters become those below them, and nothing else becomes a
/// letter, a digit or a `.`.
#[inline(always)]
const fn in_capitals(octets: u64) -> u64 {
    octets & !(octets >> 1 & (0x20 * EACH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn classes_are_those_of_the_grammar() {
        for octet in 0..=255u8 {
            let specials = b"(){ %*\"\\]".contains(&octet) || octet.is_ascii_control() || octet >= 0x80;
            let is = |class: Class| class.holds(octet);
            assert_eq!(is(ATOM), !specials, "{octet}");
            assert_eq!(is(ASTRING), !specials || octet == b']', "{octet}");
            assert_eq!(is(LIST), !specials || b"]%*".contains(&octet), "{octet}");
            assert_eq!(is(TAG), (!specials || octet == b']') && octet != b'+', "{octet}");
            assert_eq!(is(NAME), !b" \r\n".contains(&octet), "{octet}");
            assert_eq!(is(QUOTED), (1..=0x7f).contains(&octet) && !b"\r\n\"\\".contains(&octet), "{octet}");
        }
    }

    #[test]
    fn capitals() {
        let letters = |word: &[u8]| word.to_ascii_uppercase();
        for octet in 1..=255u8 {
            for len in 1..=15 {
                for at in 0..len {
                    // What a word of the program is compared with: the same letters in any case, and nothing else.
                    let mut known: Vec<u8> = b"Az09.zA".iter().copied().cycle().take(len).collect();
                    known[at] = b'Q';
                    let mut word = known.clone();
                    word[at] = octet;
                    let same = super::capitals(&word) == super::capitals(&known);
                    assert_eq!(same, letters(&word) == letters(&known), "{octet} at {at} of {len}");
                }
            }
        }
        assert_eq!(super::capitals(&[b'x'; 16]), 0);
    }

    #[test]
    fn words_end_where_they_end() {
        for octet in 1..=255u8 {
            for len in 0..=20 {
                let text = [&b"abcdefghijklmnopqrst"[..len], &[octet], &b"uvw xyz"[..]].concat();
                let (number, rest) = super::word(&text);
                let whole = octet.is_ascii_alphanumeric() || octet == b'.';
                let expected = if whole { text.len() - 4 } else { len };
                match octet {
                    // Marks within a word, of which no known word has any.
                    b'/' | b':'..=b'@' | b'`' => assert!(number == 0 || number != super::capitals(&text[..len])),
                    _ => {
                        assert_eq!(number, super::capitals(&text[..expected]), "{octet} at {len}");
                        assert_eq!(rest, &text[expected..], "{octet} at {len}");
                    }
                }
            }
        }
        assert_eq!(super::word(b""), (0, &b""[..]));
        assert_eq!(super::word(b"abcdefgh"), (super::capitals(b"ABCDEFGH"), &b""[..]));
        assert_eq!(super::word(b"abcdefghabcdefgh]"), (0, &b"]"[..]));
    }
}
