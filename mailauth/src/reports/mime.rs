//! Writing the mails that carry reports: fields, boundaries, base64. Nothing that is put in can end its field or its part.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine as _, alphabet};
use pillarbox_core::Random;
use pillarbox_core::address::Address;

/// RFC 5322 §2.1.1
const LINE_MAX: usize = 76;
/// RFC 5322 §2.1.1 has 998 for all of a line.
const WORD_MAX: usize = 900;

/// A mail that is being written.
pub(super) struct MailWriter {
    out: Vec<u8>,
    boundary: String,
}

impl MailWriter {
    /// A mail with a boundary that nobody who wrote one of its parts could foresee.
    pub(super) fn new(random: &mut dyn Random) -> Self {
        let boundary = alloc::format!("=_{:016x}{:016x}", random.next_u64(), random.next_u64());
        MailWriter { out: Vec::new(), boundary }
    }

    pub(super) fn boundary(&self) -> &str {
        &self.boundary
    }

    /// A field, folded at its spaces. Controls become spaces.
    pub(super) fn field(&mut self, name: &str, value: impl Display) {
        write_field(&mut self.out, name, &value.to_string());
    }

    /// A field of addresses.
    pub(super) fn addresses(&mut self, name: &str, addresses: &[&Address<'_>]) {
        let addresses = addresses.iter().map(|address| alloc::format!("<{address}>")).collect::<Vec<_>>();
        self.field(name, addresses.join(", "));
    }

    /// The empty line between header and body.
    pub(super) fn end_header(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// The line before a part; the fields of the part follow.
    pub(super) fn begin_part(&mut self) {
        self.out.extend_from_slice(alloc::format!("--{}\r\n", self.boundary).as_bytes());
    }

    /// Lines of text.
    pub(super) fn lines(&mut self, text: &str) {
        for line in text.lines() {
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// What is in CRLF lines already, and ends with one.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
        if !octets.ends_with(b"\r\n") {
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Octets as base64 (RFC 2045 §6.8).
    pub(super) fn base64(&mut self, octets: &[u8]) {
        // 57 octets make a line of 76.
        for line in octets.chunks(LINE_MAX / 4 * 3) {
            self.out.extend_from_slice(STANDARD.encode(line).as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// The line behind the last part.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(alloc::format!("--{}--\r\n", self.boundary).as_bytes());
        self.out
    }
}

/// Writes `name: value`, folded at its spaces where it gets long (RFC 5322 §2.2.3). Controls become spaces, so that a
/// value stays in its field whoever wrote it; unfolded, it is what it was. Only a word that no line can hold is cut.
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    let is_space = |c: char| c.is_control() || c == ' ';
    for word in value.trim_matches(is_space).split(is_space) {
        let end = (0..=WORD_MAX.min(word.len())).rev().find(|end| word.is_char_boundary(*end)).unwrap_or(0);
        let word = &word[..end];
        // A line of spaces alone would be taken for the end of the header by some.
        if !word.is_empty() && column + 1 + word.len() > LINE_MAX && !out.ends_with(b" ") {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The octets that base64 text stands for (RFC 2045 §6.8): what is not in the alphabet is passed over, as mails are folded
/// and stamped on their way, and the text ends at its padding.
pub(super) fn decode_base64(text: &[u8]) -> Vec<u8> {
    let is_digit = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/');
    let end = memchr::memchr(b'=', text).unwrap_or(text.len());
    let mut digits = text[..end].iter().copied().filter(is_digit).collect::<Vec<_>>();
    // One digit alone stands for less than an octet.
    if digits.len() % 4 == 1 {
        digits.pop();
    }
    LENIENT.decode(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_core::SeededRandom;

    #[test]
    fn base64_is_read_as_mails_bring_it() {
        for (text, octets) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YQ", b"a"),
            ("Y Q\r\n=", b"a"),
            ("YWJj", b"abc"),
            ("YWJjZ", b"abc"),
            ("!Y(W)J*j==x", b"abc"),
        ] {
            assert_eq!(decode_base64(text.as_bytes()), octets, "{text:?}");
        }
    }

    #[test]
    fn values_stay_in_their_fields() {
        let mut out = Vec::new();
        write_field(&mut out, "Subject", "a\r\nBcc: v@example.net\0\u{85}b");
        assert_eq!(String::from_utf8(out).unwrap(), "Subject: a  Bcc: v@example.net  b\r\n");
        let mut out = Vec::new();
        write_field(&mut out, "X", &"word ".repeat(40));
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.lines().all(|line| line.len() <= LINE_MAX) && text.lines().skip(1).all(|line| line.starts_with(' '))
        );
        let mut out = Vec::new();
        write_field(&mut out, "X", &"w".repeat(100));
        assert!(out.starts_with(b"X:\r\n w"));
        let mut out = Vec::new();
        write_field(&mut out, "X", &"\u{20ac}".repeat(1000));
        assert_eq!(out.len(), 900 + 7);
    }

    #[test]
    fn base64_has_short_lines() {
        let mut writer = MailWriter::new(&mut SeededRandom::new(1));
        writer.base64(&[7; 200]);
        assert!(writer.out.split(|octet| *octet == b'\n').all(|line| line.len() <= 77));
    }
}
