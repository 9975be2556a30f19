//! Parts undone of their transfer encoding (RFC 3516).

use alloc::vec::Vec;
use core::ops::Range;

use super::{Decoder, Encoding, Section, SectionText, Structure};

/// Octets that are decoded at a time.
const PIECE: usize = 16 * 1024;

/// The content of a part, undone of its Content-Transfer-Encoding. Nothing is held: it is decoded once to be measured and once
/// to be told.
///
/// ```
/// use pillarbox_imap::message::{Limits, Structure};
///
/// let raw = b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8A\r\n";
/// let part = Structure::parse(raw, &Limits::default()).binary(raw, &[1]).unwrap().unwrap();
/// assert_eq!(part.measure(raw, None), Ok((6, true)), "six octets, with a NUL among them");
/// let mut pieces = part.pieces(raw, Some((4, 100)));
/// assert_eq!(pieces.next_piece(), Some(&b"o\0"[..]));
/// assert_eq!(pieces.next_piece(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    range: Range<usize>,
    encoding: Encoding,
}

/// A part has an encoding that is not known here, or is not written in the one that it names, so that its content cannot be
/// told (RFC 3516 §4.3, `UNKNOWN-CTE`). `BODY[..]` still gives its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content transfer encoding cannot be undone")]
pub struct UnknownEncoding;

impl Structure {
    /// The content of the part with this number; of an empty path the whole message, whose encoding is that of no part.
    /// `None` if there is no such part.
    ///
    /// # Errors
    ///
    /// [`UnknownEncoding`] if the encoding is not known.
    pub fn binary(&self, raw: &[u8], path: &[u32]) -> Option<Result<Binary, UnknownEncoding>> {
        let section = Section { path: path.to_vec(), text: SectionText::Full };
        let data = self.section(raw, &section)?;
        let range = data.ranges().0.first().cloned().unwrap_or_default();
        if path.is_empty() {
            return Some(Ok(Binary { range, encoding: Encoding::Identity }));
        }
        let part = self.parts().get(self.part(path)?)?;
        Some(match part.encoding(raw) {
            Encoding::Unknown => Err(UnknownEncoding),
            encoding => Ok(Binary { range, encoding }),
        })
    }
}

impl Binary {
    /// How many octets [`pieces`](Binary::pieces) gives for the same `partial`, and whether there is a NUL among them.
    ///
    /// # Errors
    ///
    /// [`UnknownEncoding`] if the part is not what its encoding allows, up to the end of what was asked for: a guess would pass
    /// for its content.
    pub fn measure(&self, raw: &[u8], partial: Option<(u64, u64)>) -> Result<(u64, bool), UnknownEncoding> {
        let (mut size, mut holds_nul) = (0, false);
        let mut pieces = self.pieces(raw, partial);
        while let Some(piece) = pieces.next_piece() {
            size += piece.len() as u64;
            holds_nul |= memchr::memchr(0, piece).is_some();
        }
        if pieces.broken { Err(UnknownEncoding) } else { Ok((size, holds_nul)) }
    }

    /// The decoded octets piece by piece; with `partial` only so many from the first on.
    pub fn pieces<'b>(&self, raw: &'b [u8], partial: Option<(u64, u64)>) -> BinaryPieces<'b> {
        let (skip, left) = partial.unwrap_or((0, u64::MAX));
        BinaryPieces {
            rest: raw.get(self.range.clone()).unwrap_or_default(),
            decoder: Some(Decoder::new(self.encoding)),
            piece: Vec::new(),
            skip,
            left,
            broken: false,
        }
    }
}

/// The octets of a [`Binary`], on the way.
#[derive(Clone, Debug)]
pub struct BinaryPieces<'b> {
    rest: &'b [u8],
    /// None at the end.
    decoder: Option<Decoder>,
    piece: Vec<u8>,
    skip: u64,
    left: u64,
    /// What was decoded so far was not what its encoding allows.
    broken: bool,
}

impl BinaryPieces<'_> {
    /// The next piece, which is never empty; `None` at the end.
    pub fn next_piece(&mut self) -> Option<&[u8]> {
        loop {
            let decoder = self.decoder.as_mut().filter(|_| self.left > 0)?;
            self.piece.clear();
            let (now, rest) = self.rest.split_at(self.rest.len().min(PIECE));
            self.rest = rest;
            decoder.decode(now, &mut self.piece);
            if rest.is_empty() {
                decoder.finish(&mut self.piece);
            }
            self.broken |= decoder.is_broken();
            if rest.is_empty() {
                self.decoder = None;
            }
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.piece.len());
            self.skip -= skipped as u64;
            let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.piece.len() - skipped);
            self.left -= count as u64;
            if count > 0 {
                return self.piece.get(skipped..skipped + count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Limits;
    use alloc::string::String;

    fn decoded(raw: &[u8], path: &[u32], partial: Option<(u64, u64)>) -> Vec<u8> {
        let binary = Structure::parse(raw, &Limits::default()).binary(raw, path).unwrap().unwrap();
        let mut pieces = binary.pieces(raw, partial);
        let mut all = Vec::new();
        while let Some(piece) = pieces.next_piece() {
            assert!(!piece.is_empty());
            all.extend_from_slice(piece);
        }
        assert_eq!(binary.measure(raw, partial).map(|(size, _)| size), Ok(all.len() as u64));
        all
    }

    const MAIL: &[u8] =
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        caf=C3=A9\r\n--x\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n--x\r\n\r\nplain\r\n--x--\r\n";

    #[test]
    fn parts_by_their_encoding() {
        assert_eq!(decoded(MAIL, &[1], None), "café".as_bytes());
        assert_eq!(decoded(MAIL, &[3], None), b"plain");
        assert_eq!(decoded(MAIL, &[], None), MAIL);
        let structure = Structure::parse(MAIL, &Limits::default());
        assert_eq!(structure.binary(MAIL, &[2]), Some(Err(UnknownEncoding)));
        assert_eq!(structure.binary(MAIL, &[4]), None);
    }

    #[test]
    fn what_is_not_in_its_encoding_is_not_told() {
        let measure = |encoding: &str, text: &str, partial| {
            let raw = alloc::format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{text}");
            let structure = Structure::parse(raw.as_bytes(), &Limits::default());
            structure.binary(raw.as_bytes(), &[1]).unwrap().unwrap().measure(raw.as_bytes(), partial)
        };
        assert_eq!(measure("base64", "aGVsbG8=", None), Ok((5, false)));
        assert_eq!(measure("base64", "aGVs*bG8=", None), Err(UnknownEncoding));
        assert_eq!(measure("base64", "aGVsbG8=a", None), Err(UnknownEncoding));
        assert_eq!(measure("quoted-printable", "1+1=2", None), Err(UnknownEncoding));
        // As far as it was looked at.
        assert_eq!(measure("quoted-printable", &("x".repeat(3 * PIECE) + "=2"), Some((0, 10))), Ok((10, false)));
    }

    #[test]
    fn a_range_is_one_of_the_decoded_octets() {
        let text = "0123456789abcdef".repeat(5000);
        let raw = [b"\r\n", text.as_bytes()].concat();
        for (origin, count) in [(0, 5), (16_383, 2), (79_998, 100), (80_000, 1), (u64::MAX, u64::MAX), (0, u64::MAX)] {
            let start = usize::try_from(origin).unwrap().min(text.len());
            let end = start.saturating_add(usize::try_from(count).unwrap()).min(text.len());
            let told = decoded(&raw, &[1], Some((origin, count)));
            assert_eq!(String::from_utf8(told).unwrap(), text[start..end], "{origin}.{count}");
        }
        assert_eq!(decoded(MAIL, &[1], Some((3, 1))), [0xC3]);
    }
}
