//! Quoted byte strings of `C~`, `S~`, `B:` and `cfg:` lines.

/// Reads `"text"`, `"text"*3` and several of them in a row; gives the bytes they stand for.
///
/// Escapes: `\r \n \t \0 \\ \" \xNN`. What is not escaped stands for its UTF-8 bytes.
pub(super) fn unquote(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("a quoted string is missing".into());
    }
    while !rest.is_empty() {
        let (piece, tail) = take_quoted(rest)?;
        rest = tail;
        let mut times: usize = 1;
        if let Some(tail) = rest.strip_prefix('*') {
            let digits = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            times = tail[..digits].parse().map_err(|_| "a count must follow '*'".to_string())?;
            rest = &tail[digits..];
        }
        if times.saturating_mul(piece.len()) > REPEATED_MAX {
            return Err(format!("more than {REPEATED_MAX} bytes in one line"));
        }
        for _ in 0..times {
            bytes.extend_from_slice(&piece);
        }
        rest = rest.trim_start();
    }
    Ok(bytes)
}

/// A slip of the finger in a count should not eat the memory of the test machine.
const REPEATED_MAX: usize = 256 << 20;

/// Takes one quoted string from the front; gives its bytes and the rest.
pub(super) fn take_quoted(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut bytes = Vec::new();
    let body = text.strip_prefix('"').ok_or_else(|| format!("a quoted string must begin at: {text}"))?;
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((bytes, &body[at + 1..])),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('r') => bytes.push(b'\r'),
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some('0') => bytes.push(0),
                Some('\\') => bytes.push(b'\\'),
                Some('"') => bytes.push(b'"'),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                    let valid = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    let value = valid.then(|| u8::from_str_radix(&digits, 16).ok()).flatten();
                    bytes.push(value.ok_or("two hexadecimal digits must follow \\x".to_string())?);
                }
                _ => return Err("unknown escape: use \\r \\n \\t \\0 \\\\ \\\" or \\xNN".into()),
            },
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("a quoted string has no end".into())
}

/// Bytes as a quoted string, on one line.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\0' => text.push_str("\\0"),
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                c if c.is_control() => {
                    let mut buffer = [0; 4];
                    text.extend(c.encode_utf8(&mut buffer).bytes().map(|b| format!("\\x{b:02x}")));
                }
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|b| format!("\\x{b:02x}")));
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_reversible() {
        let all: Vec<u8> = (0..=255).chain("é\u{85}☃".bytes()).collect();
        assert_eq!(unquote(&quote(&all)).unwrap(), all);
        assert!(!quote(&all).contains(['\r', '\n']));
    }

    #[test]
    fn repetition_and_sequence() {
        assert_eq!(unquote(r#" "ab"*3 "\r\n" "#).unwrap(), b"ababab\r\n");
        assert_eq!(unquote(r#""x"*0"y""#).unwrap(), b"y");
    }

    #[test]
    fn mistakes_are_named() {
        for wrong in ["", "abc", "\"abc", r#""\q""#, r#""\x1""#, r#""a"*"#, r#""a"x"#, r#""a"*999999999999"#] {
            assert!(unquote(wrong).is_err(), "{wrong}");
        }
    }
}
