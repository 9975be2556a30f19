//! Which mailbox names a LIST pattern means (RFC 9051 §6.3.9).

/// Whether a name matches a LIST pattern: `*` stands for any octets, `%` for any but the hierarchy separator `/`. INBOX
/// matches in any case.
///
/// The time grows with the product of both lengths at worst, and with their sum for patterns that people write.
///
/// ```
/// use pillarbox_imap::types::list_matches;
///
/// assert!(list_matches("*", "Archive/2026"));
/// assert!(list_matches("%", "Archive") && !list_matches("%", "Archive/2026"));
/// assert!(list_matches("A*/%6", "Archive/2026"));
/// assert!(list_matches("inbox", "INBOX") && !list_matches("archive", "Archive"));
/// ```
pub fn list_matches(pattern: &str, name: &str) -> bool {
    if name == "INBOX" && pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on if the present try fails: behind the last wildcard of each kind, one octet of the name further on.
    let mut star: Option<(usize, usize)> = None;
    let mut percent: Option<(usize, usize)> = None;
    while p < pattern.len() || n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                star = Some((p, n));
                // Whatever an earlier `%` could still take, the `*` can take as well.
                percent = None;
                continue;
            }
            Some(b'%') => {
                p += 1;
                percent = Some((p, n));
                continue;
            }
            Some(octet) if name.get(n) == Some(octet) => {
                p += 1;
                n += 1;
                continue;
            }
            _ => {}
        }
        match (percent, star) {
            (Some((after, from)), _) if name.get(from).is_some_and(|&octet| octet != b'/') => {
                percent = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
            (_, Some((after, from))) if from < name.len() => {
                star = Some((after, from + 1));
                percent = None;
                (p, n) = (after, from + 1);
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::list_matches;

    /// The definition, word for word, without care for time.
    fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|n| by_definition(rest, &name[n..])),
            Some((b'%', rest)) => {
                let reach = name.iter().position(|&octet| octet == b'/').unwrap_or(name.len());
                (0..=reach).any(|n| by_definition(rest, &name[n..]))
            }
            Some((octet, rest)) => name.first() == Some(octet) && by_definition(rest, &name[1..]),
        }
    }

    #[test]
    fn it_is_the_definition_for_all_short_patterns_and_names() {
        let words = |letters: &[u8], length: usize| {
            let mut words = vec![Vec::new()];
            let mut last = words.clone();
            for _ in 0..length {
                last = last
                    .iter()
                    .flat_map(|word| letters.iter().map(|&letter| [word.as_slice(), &[letter]].concat()))
                    .collect::<Vec<_>>();
                words.extend(last.clone());
            }
            words
        };
        let names = words(b"ab/", 5);
        for pattern in words(b"a/*%", 5) {
            for name in &names {
                let (p, n) = (core::str::from_utf8(&pattern).unwrap(), core::str::from_utf8(name).unwrap());
                assert_eq!(list_matches(p, n), by_definition(&pattern, name), "{p} {n}");
            }
        }
    }

    #[test]
    fn many_wildcards_take_no_exponential_time() {
        let pattern = "a*%".repeat(1000) + "b";
        assert!(!list_matches(&pattern, &"a".repeat(2000)));
    }
}
