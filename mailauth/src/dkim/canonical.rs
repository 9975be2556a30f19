//! The two forms in which a message is signed (RFC 6376 §3.4), for header fields and names; bodies are in
//! [`body`](super::body).

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::header::Field;

/// How much a message may change on its way without breaking a signature (RFC 6376 §3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Canonicalization {
    /// Next to nothing: empty lines at the end of the body.
    #[default]
    Simple,
    /// White space: its amount, its place at ends of lines, folds; and the case of names.
    Relaxed,
}

impl Canonicalization {
    /// The word in `c=`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Canonicalization::Simple => "simple",
            Canonicalization::Relaxed => "relaxed",
        }
    }

    /// Adds a field in this form to `data`, without a line end.
    ///
    /// ```
    /// use pillarbox_auth::dkim::Canonicalization;
    /// use pillarbox_core::header::Fields;
    ///
    /// let field = Fields::new(b"SUBJect : a \r\n\t b \r\n").next().unwrap();
    /// let mut data = Vec::new();
    /// Canonicalization::Relaxed.push_field(&field, &mut data);
    /// assert_eq!(data, b"subject:a b");
    /// ```
    pub fn push_field(self, field: &Field<'_>, data: &mut Vec<u8>) {
        match self {
            Canonicalization::Simple => data.extend_from_slice(content(field.raw)),
            Canonicalization::Relaxed => push_relaxed(field.name, field.value, data),
        }
    }

    /// The same with its line end, as fields are signed that others follow.
    pub(crate) fn push_line(self, field: &Field<'_>, data: &mut Vec<u8>) {
        self.push_field(field, data);
        data.extend_from_slice(b"\r\n");
    }

    /// The same for a signature, with the value of its `b=` taken out (RFC 6376 §3.7).
    pub(crate) fn push_signature(self, field: &Field<'_>, data: &mut Vec<u8>) {
        let value = without_signature(field.value);
        match self {
            Canonicalization::Simple => {
                let content = content(field.raw);
                data.extend_from_slice(&content[..content.len() - field.value.len()]);
                data.extend_from_slice(&value);
            }
            Canonicalization::Relaxed => push_relaxed(field.name, &value, data),
        }
    }
}

impl fmt::Display for Canonicalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A field without its line end.
fn content(raw: &[u8]) -> &[u8] {
    raw.strip_suffix(b"\n").map_or(raw, |line| line.strip_suffix(b"\r").unwrap_or(line))
}

// RFC 6376 §3.4.2
fn push_relaxed(name: &[u8], value: &[u8], data: &mut Vec<u8>) {
    data.extend(name.iter().map(u8::to_ascii_lowercase));
    data.push(b':');
    let start = data.len();
    let mut space = false;
    let mut rest = value;
    while let [first, behind @ ..] = rest {
        let mut word = 1;
        match first {
            b' ' | b'\t' => space = true,
            // Every LF inside a value ends a folded line.
            b'\n' => {}
            b'\r' if behind.first() == Some(&b'\n') => {}
            _ => {
                if space && data.len() > start {
                    data.push(b' ');
                }
                space = false;
                // What stands there, and the octets behind it that are no white space for sure.
                word += behind.iter().position(|octet| *octet <= b' ').unwrap_or(behind.len());
                data.extend_from_slice(&rest[..word]);
            }
        }
        rest = &rest[word..];
    }
}

/// The value of a signature field with nothing between `b=` and the next `;` (RFC 6376 §3.7 and §3.5: the white space
/// around the value goes with it).
fn without_signature(value: &[u8]) -> Vec<u8> {
    let mut without = Vec::with_capacity(value.len());
    for (index, spec) in value.split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            without.push(b';');
        }
        let equals = memchr::memchr(b'=', spec).filter(|equals| crate::tag_list::trim(&spec[..*equals]) == b"b");
        without.extend_from_slice(equals.map_or(spec, |equals| &spec[..=equals]));
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};
    use pillarbox_core::header::Fields;
    use proptest::prelude::*;

    fn canonical(form: Canonicalization, field: &[u8], signature: bool) -> Vec<u8> {
        let field = Fields::new(field).next().unwrap();
        let mut data = Vec::new();
        if signature {
            form.push_signature(&field, &mut data);
        } else {
            form.push_field(&field, &mut data);
        }
        data
    }

    /// RFC 6376 §3.4.5
    #[test]
    fn fields_of_the_rfc() {
        for (field, simple, relaxed) in [
            (&b"A: X\r\n"[..], &b"A: X"[..], &b"a:X"[..]),
            (b"B : Y\t\r\n\tZ  \r\n", b"B : Y\t\r\n\tZ  ", b"b:Y Z"),
            (b"C:\r\n", b"C:", b"c:"),
            (b"D: \t\r\n \r\n", b"D: \t\r\n ", b"d:"),
            // Without a line end, and with octets that only look like one.
            (b"E: a\rb \x0c\x80", b"E: a\rb \x0c\x80", b"e:a\rb \x0c\x80"),
        ] {
            assert_eq!(canonical(Canonicalization::Simple, field, false), simple);
            assert_eq!(canonical(Canonicalization::Relaxed, field, false), relaxed);
        }
    }

    #[test]
    fn the_signature_itself_is_left_out() {
        let field = b"DKIM-Signature : bh=b=; \r\n\tb = ab\r\n\t cd== ; d=b; x\r\n";
        let simple = canonical(Canonicalization::Simple, field, true);
        assert_eq!(simple, b"DKIM-Signature : bh=b=; \r\n\tb =; d=b; x");
        let relaxed = canonical(Canonicalization::Relaxed, field, true);
        assert_eq!(relaxed, b"dkim-signature:bh=b=; b =; d=b; x");
        assert_eq!(canonical(Canonicalization::Relaxed, b"A: b=c \r\n", true), b"a:b=");
    }

    /// The words of RFC 6376 §3.4.2, one after another.
    fn model(field: &str) -> String {
        let (name, value) = field.split_once(':').unwrap();
        let unfolded = value.replace("\r\n", "");
        let mut value = unfolded.replace('\t', " ");
        while value.contains("  ") {
            value = value.replace("  ", " ");
        }
        alloc::format!("{}:{}", name.trim_end_matches([' ', '\t']).to_lowercase(), value.trim_matches(' '))
    }

    proptest! {
        #[test]
        fn the_obvious_reading(
            name in "[A-Za-z-]{1,8}[ \t]{0,2}",
            value in "([ -~]|\t|\r\n |\r\n\t|\r){0,30}",
            end in "(\r\n)?",
        ) {
            let field = alloc::format!("{name}:{value}");
            let relaxed = canonical(Canonicalization::Relaxed, (field.to_string() + &end).as_bytes(), false);
            prop_assert_eq!(String::from_utf8(relaxed).unwrap(), model(&field));
            let simple = canonical(Canonicalization::Simple, (field.to_string() + &end).as_bytes(), false);
            prop_assert_eq!(String::from_utf8(simple).unwrap(), field);
        }
    }
}
