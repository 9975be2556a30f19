//! The order of texts: i;unicode-casemap (RFC 5051).

use alloc::string::String;

use unicode_normalization::char::decompose_compatible;

/// A text in the form in which RFC 5051 §2 compares texts, octet by octet: in titlecase and taken apart.
///
/// Letters are as Unicode has them in this version of Rust; RFC 5051 §5 leaves that open.
///
/// ```
/// use pillarbox_imap::sort::collation_key;
///
/// let key = |text| {
///     let mut key = String::new();
///     collation_key(text, &mut key);
///     key
/// };
/// assert_eq!(key("straße"), "STRAßE");
/// assert_eq!(key("\u{e4}pfel"), key("A\u{308}PFEL"));
/// // The example of RFC 5051 §2.
/// assert_eq!(key("\u{1c4}"), "D\u{7a}\u{30c}");
/// assert!(key("b") > key("A"));
/// ```
pub fn collation_key(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        return out[start..].make_ascii_uppercase();
    }
    for letter in text.chars() {
        match titlecase(letter) {
            ascii if ascii.is_ascii() => out.push(ascii),
            // Unicode's table has no decomposition of Hangul: it is computed, which RFC 5051 does not ask for.
            hangul @ '\u{ac00}'..='\u{d7a3}' => out.push(hangul),
            other => decompose_compatible(other, |part| out.push(part)),
        }
    }
}

/// The simple titlecase of a letter: one letter for one, whatever stands around it.
fn titlecase(letter: char) -> char {
    let at = |number: u32| char::from_u32(number).unwrap_or(letter);
    match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        '\0'..='\u{7f}' => letter,
        // The letters that look like two, of which only the first becomes large.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals for whole texts only.
        '\u{10d0}'..='\u{10ff}' => letter,
        // Greek with an iota below, which has one large letter as a title and two in capitals.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => at(letter as u32 + 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => at(letter as u32 + 9),
        _ => {
            let mut upper = letter.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                // What has no single capital stays.
                _ => letter,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        let mut key = String::new();
        collation_key(text, &mut key);
        key
    }

    #[test]
    fn letters() {
        for (one, other) in [
            ("hello", "HELLO"),
            ("\u{1c6}", "\u{1c4}"),
            ("\u{1f3}", "\u{1f1}"),
            ("\u{1f80}", "\u{1f88}"),
            ("\u{1fb3}", "\u{1fbc}"),
            ("\u{ff21}", "a"),
        ] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        // A ligature is no capital letter, but is taken apart.
        assert_eq!(key("\u{fb01}"), "fi");
        assert_eq!(key("\u{10d0}"), "\u{10d0}");
        assert_eq!(key("\u{ac00}"), "\u{ac00}");
        assert_eq!(key("\u{149}"), "\u{2bc}n");
        assert_ne!(key("ß"), key("ss"));
    }
}
