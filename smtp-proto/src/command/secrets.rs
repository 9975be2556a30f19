//! What of a line may be shown.

use super::Verb;

/// How much of a line may be shown in a log: all of it, but of AUTH only the mechanism. Where AUTH is written wrongly
/// (behind a space, with a tab), a secret may stand there all the same.
pub(crate) fn without_secrets(line: &[u8]) -> &[u8] {
    let verb_start = line.len() - line.trim_ascii_start().len();
    let verb_end = verb_start + Verb::Auth.as_str().len();
    if !line.get(verb_start..verb_end).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH")) {
        return line;
    }
    if Verb::of(line) != Some(Verb::Auth) {
        return &line[..verb_end];
    }
    let argument = line[verb_end..].trim_ascii_start();
    let start = line.len() - argument.len();
    let of_mechanism = |octet: &&u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    &line[..start + argument.iter().take_while(of_mechanism).count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_reach_the_log() {
        assert_eq!(without_secrets(b"AUTH PLAIN AGEAYg=="), b"AUTH PLAIN");
        assert_eq!(without_secrets(b"auth  LOGIN  YQ== YQ=="), b"auth  LOGIN");
        assert_eq!(without_secrets(b"AUTH"), b"AUTH");
        assert_eq!(without_secrets(b"AUTH PLAIN=AGEAYg=="), b"AUTH PLAIN");
        assert_eq!(without_secrets(b" AUTH PLAIN AGEAYg=="), b" AUTH");
        assert_eq!(without_secrets(b"auth\tPLAIN AGEAYg=="), b"auth");
        assert_eq!(without_secrets(b"NOOP x y"), b"NOOP x y");
    }
}
