//! Content-Transfer-Encodings (RFC 2045 §6), undone as the octets come.

use alloc::vec::Vec;

/// How a part's body is encoded for transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// `7bit`, `8bit` and `binary`: not encoded.
    Identity,
    /// `base64`
    Base64,
    /// `quoted-printable`
    QuotedPrintable,
    /// An encoding that is not known here.
    Unknown,
}

impl Encoding {
    /// The encoding of this name. `None`, for a field that names none, is unknown too; a part without the field is not
    /// encoded (RFC 2045 §6.1).
    pub fn named(token: Option<&[u8]>) -> Self {
        let Some(token) = token else { return Encoding::Unknown };
        let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("7bit") || is("8bit") || is("binary") => Encoding::Identity,
            () if is("base64") => Encoding::Base64,
            () if is("quoted-printable") => Encoding::QuotedPrintable,
            () => Encoding::Unknown,
        }
    }
}

/// Decodes a body piece by piece. Tolerant, as RFC 2045 asks: octets that do not belong are skipped or taken literally,
/// and [`is_broken`](Decoder::is_broken) tells about them.
///
/// ```
/// use pillarbox_imap::message::{Decoder, Encoding};
///
/// let mut decoder = Decoder::new(Encoding::QuotedPrintable);
/// let mut out = Vec::new();
/// for piece in [&b"caf=C"[..], b"3=A9 =\r", b"\nau lait"] {
///     decoder.decode(piece, &mut out);
/// }
/// decoder.finish(&mut out);
/// assert_eq!(out, "café au lait".as_bytes());
/// assert!(!decoder.is_broken());
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: Encoding,
    /// Base64: the bits of an unfinished group. Quoted-printable: unused.
    bits: u32,
    /// Base64: how many characters of a group were seen.
    count: u8,
    /// Base64: padding was seen.
    padded: bool,
    /// Quoted-printable: octets that mean nothing before more is known: `=`, `=4`, `= `, or white space that may end a line.
    held: Vec<u8>,
    broken: bool,
}

/// White space before a line end is dropped; a run longer than this is text, so that what is held stays small.
const HELD_MAX: usize = 1000;

impl Decoder {
    /// A decoder at the start of a body. [`Encoding::Unknown`] passes octets through and counts as broken.
    pub fn new(encoding: Encoding) -> Self {
        let broken = encoding == Encoding::Unknown;
        Decoder { encoding, bits: 0, count: 0, padded: false, held: Vec::new(), broken }
    }

    /// Whether the body was not what its encoding requires, as far as it was seen.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Decodes the next octets and appends the result to `out`.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Identity | Encoding::Unknown => out.extend_from_slice(input),
            Encoding::Base64 => input.iter().for_each(|&octet| self.base64(octet, out)),
            Encoding::QuotedPrintable => input.iter().for_each(|&octet| self.quoted_printable(octet, out)),
        }
    }

    /// Appends what only the end of the body settles.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Base64 => {
                self.broken |= self.count != 0 && !self.padded;
                self.end_group(out);
            }
            Encoding::QuotedPrintable => match self.held.first() {
                // A soft line break may be the last thing, without its line end: that one belongs to a boundary.
                Some(b'=') if self.held[1..].trim_ascii().is_empty() => self.held.clear(),
                Some(b'=') => {
                    self.broken = true;
                    out.append(&mut self.held);
                }
                // RFC 2045 §6.7: white space at the end of a line was added on the way.
                _ => self.held.clear(),
            },
            Encoding::Identity | Encoding::Unknown => {}
        }
    }

    fn base64(&mut self, octet: u8, out: &mut Vec<u8>) {
        let value = match BASE64[usize::from(octet)] {
            SKIP => return,
            PAD => {
                self.padded = true;
                return;
            }
            INVALID => {
                self.broken = true;
                return;
            }
            value => value,
        };
        if self.padded {
            // Another encoded text follows the first; some senders encode in pieces.
            self.end_group(out);
        }
        self.bits = self.bits << 6 | u32::from(value);
        self.count += 1;
        if self.count == 4 {
            let [_, a, b, c] = self.bits.to_be_bytes();
            out.extend_from_slice(&[a, b, c]);
            (self.bits, self.count) = (0, 0);
        }
    }

    fn end_group(&mut self, out: &mut Vec<u8>) {
        let [_, a, b, _] = (self.bits << (6 * (4 - u32::from(self.count)))).to_be_bytes();
        match self.count {
            3 => out.extend_from_slice(&[a, b]),
            2 => out.push(a),
            1 => self.broken = true,
            _ => {}
        }
        (self.bits, self.count, self.padded) = (0, 0, false);
    }

    fn quoted_printable(&mut self, octet: u8, out: &mut Vec<u8>) {
        match (self.held.as_slice(), octet) {
            ([], b'=' | b' ' | b'\t' | b'\r') => self.held.push(octet),
            ([], _) => out.push(octet),
            ([b'='], _) if octet.is_ascii_hexdigit() => self.held.push(octet),
            ([b'=', high], _) if high.is_ascii_hexdigit() && octet.is_ascii_hexdigit() => {
                let digit = |b: u8| (b as char).to_digit(16).unwrap_or_default() as u8;
                out.push(digit(*high) << 4 | digit(octet));
                self.held.clear();
            }
            ([b'=', high, ..], _) if high.is_ascii_hexdigit() => self.release(octet, out),
            // A soft line break, with the white space that may have been added to it.
            ([b'=', ..], b'\n') => self.held.clear(),
            ([b'=', ..], b' ' | b'\t' | b'\r') if self.held.len() < HELD_MAX => self.held.push(octet),
            ([b'=', ..], _) => self.release(octet, out),
            // White space, perhaps with the CR of a line end.
            ([.., b'\r'], b'\n') => {
                self.held.clear();
                out.extend_from_slice(b"\r\n");
            }
            (_, b'\n') => {
                self.held.clear();
                out.push(b'\n');
            }
            ([.., b' ' | b'\t'], b' ' | b'\t' | b'\r') if self.held.len() < HELD_MAX => self.held.push(octet),
            _ => {
                out.append(&mut self.held);
                self.quoted_printable(octet, out);
            }
        }
    }

    /// What was held is no escape: it stands for itself (RFC 2045 §6.7, note on robustness).
    fn release(&mut self, octet: u8, out: &mut Vec<u8>) {
        self.broken = true;
        out.append(&mut self.held);
        self.quoted_printable(octet, out);
    }
}

const SKIP: u8 = 0xfd;
const PAD: u8 = 0xfe;
const INVALID: u8 = 0xff;
const BASE64: [u8; 256] = {
    let mut table = [INVALID; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < alphabet.len() {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table[b'=' as usize] = PAD;
    table[b' ' as usize] = SKIP;
    table[b'\t' as usize] = SKIP;
    table[b'\r' as usize] = SKIP;
    table[b'\n' as usize] = SKIP;
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn decode(encoding: Encoding, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut decoder = Decoder::new(encoding);
        let mut out = Vec::new();
        pieces.iter().for_each(|piece| decoder.decode(piece, &mut out));
        decoder.finish(&mut out);
        (out, decoder.is_broken())
    }

    #[test]
    fn quoted_printable() {
        for (input, expected, broken) in [
            (&b"a=3Db"[..], &b"a=b"[..], false),
            (b"trailing  \t\r\nnext", b"trailing\r\nnext", false),
            (b"soft= \t\r\nbreak", b"softbreak", false),
            (b"end=", b"end", false),
            (b"end  ", b"end", false),
            (b"a=b", b"a=b", true),
            (b"a=bz", b"a=bz", true),
            (b"a==3D", b"a==", true),
            (b"= x", b"= x", true),
            (b"lone\rcr", b"lone\rcr", false),
            (b"lf\n=0A", b"lf\n\n", false),
        ] {
            assert_eq!(decode(Encoding::QuotedPrintable, &[input]), (expected.to_vec(), broken), "{input:?}");
        }
    }

    #[test]
    fn base64_that_is_not_quite() {
        for (input, expected, broken) in [
            (&b"YWJj\r\nZA=="[..], &b"abcd"[..], false),
            (b"YQ==Yg==", b"ab", false),
            (b"YWJj!ZGVm", b"abcdef", true),
            (b"YWJjZ", b"abc", true),
            (b"YWJjZGU", b"abcde", true),
            (b"====", b"", false),
        ] {
            assert_eq!(decode(Encoding::Base64, &[input]), (expected.to_vec(), broken), "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn base64_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
            let encoded = STANDARD.encode(&bytes).into_bytes();
            let (a, b) = encoded.split_at(cut.min(encoded.len()));
            prop_assert_eq!(decode(Encoding::Base64, &[a, b]), (bytes, false));
        }

        #[test]
        fn cutting_changes_nothing(text in "[=0-9A-Fx \t\r\n]{0,60}", cut in 0usize..60) {
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::Identity] {
                let (a, b) = text.as_bytes().split_at(cut.min(text.len()));
                prop_assert_eq!(decode(encoding, &[a, b]), decode(encoding, &[text.as_bytes()]));
            }
        }
    }
}
