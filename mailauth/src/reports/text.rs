//! The tokens of header fields: comments, quoted strings.

use alloc::string::String;

/// The value without comments (RFC 5322 §3.2.2), each of which becomes a space, and without white space around. Parentheses
/// in quoted strings are no comments; one that is not closed takes the rest with it.
pub(super) fn without_comments(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let (mut depth, mut is_quoted) = (0_usize, false);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if depth > 0 || is_quoted => {
                let escaped = chars.next();
                if depth == 0 {
                    out.push(c);
                    out.extend(escaped);
                }
            }
            '"' if depth == 0 => {
                is_quoted = !is_quoted;
                out.push(c);
            }
            '(' if !is_quoted => {
                depth += 1;
                out.push(' ');
            }
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.trim().into()
}

/// The content of a quoted string (RFC 5322 §3.2.4); a text that is none as it stands.
pub(super) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return text.into() };
    let mut chars = inner.chars();
    core::iter::from_fn(|| match chars.next() {
        Some('\\') => chars.next(),
        c => c,
    })
    .collect()
}

/// A quoted string, without the controls that none can hold.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments() {
        for (value, text) in [
            (" bodyhash (a comment) ", "bodyhash"),
            ("(a (nested \\) one)) x", "x"),
            ("a(b)c", "a c"),
            ("\"a (b)\" (c)", "\"a (b)\""),
            ("\"a\\\"(\" (c)", "\"a\\\"(\""),
            ("a (b", "a"),
            ("a) b", "a) b"),
        ] {
            assert_eq!(without_comments(value), text, "{value:?}");
        }
        let deep = "(".repeat(100_000);
        assert_eq!(without_comments(&deep), "");
    }

    #[test]
    fn quoted_strings_both_ways() {
        for text in ["", "a b", "\"\\", "v=spf1 exists:%{i}.x -all"] {
            assert_eq!(unquote(&quote(text)), text);
        }
        assert_eq!(unquote("plain"), "plain");
        assert_eq!(unquote("\""), "\"");
        assert_eq!(quote("a\r\nb"), "\"ab\"");
    }
}
