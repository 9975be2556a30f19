//! What an octet may stand in, looked up; and words in capitals, to be compared with those of the program.

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
        let len = input.iter().position(|&octet| !self.holds(octet)).unwrap_or(input.len());
        input.split_at(len)
    }
}

/// A word in capitals. No word of the program is longer than [`Capitals::LEN_MAX`].
pub(crate) struct Capitals {
    octets: [u8; Self::LEN_MAX],
    len: usize,
}

impl Capitals {
    pub(crate) const LEN_MAX: usize = 24;

    /// The word in capitals; an empty one if it is longer than any that is known.
    #[inline(always)]
    pub(crate) fn of(word: &[u8]) -> Self {
        let mut capitals = Capitals { octets: [0; Self::LEN_MAX], len: 0 };
        if let Some(octets) = capitals.octets.get_mut(..word.len()) {
            for (capital, octet) in octets.iter_mut().zip(word) {
                *capital = octet.to_ascii_uppercase();
            }
            capitals.len = word.len();
        }
        capitals
    }

    #[inline(always)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_those_of_the_grammar() {
        for octet in 0..=255u8 {
            let specials = b"(){ %*\"\\]".contains(&octet) || octet.is_ascii_control() || octet >= 0x80;
            let is = |class: Class| class.holds(octet);
            assert_eq!(is(ATOM), !specials, "{octet}");
            assert_eq!(is(ASTRING), !specials || octet == b']', "{octet}");
            assert_eq!(is(LIST), !specials || b"]%*".contains(&octet), "{octet}");
            assert_eq!(is(TAG), (!specials || octet == b']') && octet != b'+', "{octet}");
            assert_eq!(is(QUOTED), (1..=0x7f).contains(&octet) && !b"\r\n\"\\".contains(&octet), "{octet}");
        }
    }

    #[test]
    fn capitals() {
        assert_eq!(Capitals::of(b"body.Peek").as_bytes(), b"BODY.PEEK");
        assert_eq!(Capitals::of(&[b'x'; 24]).as_bytes(), [b'X'; 24]);
        assert_eq!(Capitals::of(&[b'x'; 25]).as_bytes(), b"");
    }
}
