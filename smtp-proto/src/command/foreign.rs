//! The first words of other protocols.

/// Whether a line was never meant for a mail server: a request of HTTP (which browsers can be made to send anywhere, with
/// commands in its body), the line of a proxy that we were not told of, or the banner of SSH.
pub fn is_foreign(line: &[u8]) -> bool {
    #[rustfmt::skip]
    const WORDS: [&str; 11] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PRI", "PROXY", "PUT", "TRACE"];
    let word = first_word(line);
    WORDS.iter().any(|foreign| foreign.as_bytes().eq_ignore_ascii_case(word)) || word.starts_with(b"SSH-")
}

fn first_word(line: &[u8]) -> &[u8] {
    line.split(|octet| *octet == b' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words() {
        for line in
            ["GET / HTTP/1.1", "post /", "SSH-2.0-OpenSSH_9.2", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "PRI * HTTP/2.0"]
        {
            assert!(is_foreign(line.as_bytes()), "{line}");
        }
        for line in ["EHLO x", "GETX", "NOOP GET", "", "."] {
            assert!(!is_foreign(line.as_bytes()), "{line}");
        }
    }
}
