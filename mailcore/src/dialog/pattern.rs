//! Patterns of `S:` and `E:` lines, and the names that they bind.

use std::collections::BTreeMap;

/// What the `$name`s of a file stand for, once each was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings(BTreeMap<String, Vec<u8>>);

/// A line with wildcards: `*` fits any run of bytes, `**` one asterisk, `$name` a run without spaces that is the same
/// wherever the name stands, `$$` one dollar sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Any,
    Name(String),
}

impl Pattern {
    /// The pattern of a line that the machine sends. Its first `* ` is IMAP's mark of an untagged response, no wildcard.
    pub(super) fn of_output(text: &str) -> Self {
        match text.strip_prefix("* ") {
            Some(rest) => {
                let mut parts = vec![Part::Text(b"* ".to_vec())];
                parts.extend(parse(rest, true));
                Pattern(parts)
            }
            None => Pattern(parse(text, true)),
        }
    }

    /// The pattern of an event or of a close reason.
    pub(super) fn of_event(text: &str) -> Self {
        Pattern(parse(text, true))
    }

    /// Whether all of `bytes` fits. New names are bound only if it does.
    pub(super) fn fits(&self, bytes: &[u8], bindings: &mut Bindings) -> bool {
        let mut attempt = bindings.clone();
        let fits = fits(&self.0, bytes, &mut attempt);
        if fits {
            *bindings = attempt;
        }
        fits
    }
}

impl Bindings {
    /// The text of a line that we send, with every `$name` replaced by what it stands for.
    pub(super) fn substitute(&self, text: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for part in parse(text, false) {
            match part {
                Part::Text(text) => bytes.extend_from_slice(&text),
                Part::Any => bytes.push(b'*'),
                Part::Name(name) => {
                    bytes.extend_from_slice(self.0.get(&name).ok_or(format!("${name} was not seen yet"))?);
                }
            }
        }
        Ok(bytes)
    }
}

/// Whether a line that we send names something that must have been seen before.
pub(super) fn refers(text: &str) -> bool {
    parse(text, false).iter().any(|part| matches!(part, Part::Name(_)))
}

/// Text in which nothing is a wildcard or a name, as a pattern.
pub(super) fn escape(text: &str) -> String {
    let (mark, rest) = match text.strip_prefix("* ") {
        Some(rest) => ("* ", rest),
        None => ("", text),
    };
    let mut escaped = mark.to_string();
    let mut rest = rest.chars().peekable();
    while let Some(c) = rest.next() {
        escaped.push(c);
        let name_follows = rest.peek().is_some_and(|c| c.is_ascii_lowercase() || *c == '$');
        if c == '*' || c == '$' && name_follows {
            escaped.push(c);
        }
    }
    if escaped == "..." { "..*".into() } else { escaped }
}

fn parse(text: &str, wildcards: bool) -> Vec<Part> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let next = bytes.get(at + 1).copied();
        let part = match bytes[at] {
            b'*' if wildcards && next == Some(b'*') => {
                literal.push(b'*');
                at += 2;
                continue;
            }
            b'$' if next == Some(b'$') => {
                literal.push(b'$');
                at += 2;
                continue;
            }
            b'*' if wildcards => {
                at += 1;
                Part::Any
            }
            b'$' if next.is_some_and(|b| b.is_ascii_lowercase()) => {
                let is_name = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
                let length = bytes[at + 1..].iter().take_while(|b| is_name(b)).count();
                let name = text[at + 1..at + 1 + length].to_string();
                at += 1 + length;
                Part::Name(name)
            }
            byte => {
                literal.push(byte);
                at += 1;
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(part);
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    parts
}

fn fits(parts: &[Part], bytes: &[u8], bindings: &mut Bindings) -> bool {
    let Some((part, parts)) = parts.split_first() else { return bytes.is_empty() };
    match part {
        Part::Text(text) => bytes.strip_prefix(text.as_slice()).is_some_and(|rest| fits(parts, rest, bindings)),
        Part::Any if parts.is_empty() => true,
        Part::Any => (0..=bytes.len()).any(|skip| fits(parts, &bytes[skip..], bindings)),
        Part::Name(name) => match bindings.0.get(name).cloned() {
            Some(value) => bytes.strip_prefix(value.as_slice()).is_some_and(|rest| fits(parts, rest, bindings)),
            None => {
                let longest = bytes.iter().take_while(|b| !b.is_ascii_whitespace()).count();
                for length in (1..=longest).rev() {
                    bindings.0.insert(name.clone(), bytes[..length].to_vec());
                    if fits(parts, &bytes[length..], bindings) {
                        return true;
                    }
                }
                bindings.0.remove(name);
                false
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(pattern: &str, line: &str) -> bool {
        Pattern::of_output(pattern).fits(line.as_bytes(), &mut Bindings::default())
    }

    #[test]
    fn wildcards() {
        assert!(output("220 mx.example *", "220 mx.example ESMTP"));
        assert!(output("250 2.1.0*", "250 2.1.0"));
        assert!(output("*b*b", "abbb") && !output("*b*b", "ab"));
        assert!(!output("220 *", "250 mx"));
        // An untagged mark is no wildcard at the start of an output line, and `**` is an asterisk anywhere.
        assert!(output("* 5 EXISTS", "* 5 EXISTS") && !output("* 5 EXISTS", "a 5 EXISTS"));
        assert!(output("a ** b", "a * b") && !output("a ** b", "a x b"));
    }

    #[test]
    fn names_bind_once_and_stay() {
        let mut bindings = Bindings::default();
        assert!(Pattern::of_output("* OK [UIDVALIDITY $v] *").fits(b"* OK [UIDVALIDITY 77] ok", &mut bindings));
        assert!(Pattern::of_event("$v is $w").fits(b"77 is new", &mut bindings));
        assert!(!Pattern::of_event("$v").fits(b"78", &mut bindings));
        assert_eq!(bindings.substitute("x$v.$w$$v").unwrap(), b"x77.new$v");
        assert!(bindings.substitute("$unknown").unwrap_err().contains("$unknown"));
        // Flags begin with a capital letter and are no names.
        assert!(!refers("STORE 1 FLAGS ($Forwarded)") && refers("UID FETCH $uid"));
    }

    #[test]
    fn a_failed_attempt_binds_nothing() {
        let mut bindings = Bindings::default();
        assert!(!Pattern::of_event("$a end").fits(b"one two", &mut bindings));
        assert!(Pattern::of_event("$a two").fits(b"one two", &mut bindings));
    }

    #[test]
    fn escaped_text_fits_itself_alone() {
        for text in ["* OK [PERMANENTFLAGS (\\Seen \\*)]", "$label1 $$x 5$ * **", "...", "250 ok"] {
            let escaped = escape(text);
            assert!(output(&escaped, text), "{escaped}");
            if text != "..." {
                assert!(!output(&escaped, &format!("{text}x")), "{escaped}");
            }
        }
    }
}
