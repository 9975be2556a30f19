//! Which mailbox names a LIST pattern means (RFC 9051 §6.3.9).

use alloc::vec::Vec;

/// A LIST pattern, made ready: `*` stands for any octets, `%` for any but the hierarchy separator `/`. INBOX matches in any
/// case.
///
/// All places of the pattern that a name can have come to are kept at once, as bits, so that no order of wildcards costs more
/// than another: one step for each octet of the name, and in it one operation for each 64 octets of the pattern.
///
/// ```
/// use pillarbox_imap::types::ListPattern;
///
/// let pattern = ListPattern::new("A*/%6");
/// assert!(pattern.matches("Archive/2026") && !pattern.matches("Archive/2026/07"));
/// ```
#[derive(Clone, Debug)]
pub struct ListPattern {
    /// The pattern is INBOX in some case.
    is_inbox: bool,
    /// For each octet that stands in the pattern, at which places.
    literals: Vec<(u8, Vec<u64>)>,
    /// Where a `*` stands, and where a `%`.
    stars: Vec<u64>,
    percents: Vec<u64>,
    /// How many places there are; to have come to the one behind the last is to match.
    len: usize,
}

impl ListPattern {
    /// Makes a pattern ready.
    pub fn new(pattern: &str) -> Self {
        // Wildcards side by side are one: what `%` could take, `*` can take as well.
        let mut places: Vec<u8> = Vec::with_capacity(pattern.len());
        for octet in pattern.bytes() {
            match (places.last_mut(), octet) {
                (Some(last @ (b'*' | b'%')), b'*') => *last = b'*',
                (Some(b'*' | b'%'), b'%') => {}
                _ => places.push(octet),
            }
        }
        let len = places.len();
        let none = alloc::vec![0; len / 64 + 1];
        let (mut literals, mut stars, mut percents) = (Vec::<(u8, Vec<u64>)>::new(), none.clone(), none.clone());
        for (place, octet) in places.into_iter().enumerate() {
            let bits = match octet {
                b'*' => &mut stars,
                b'%' => &mut percents,
                octet => {
                    let at = literals.binary_search_by_key(&octet, |(octet, _)| *octet).unwrap_or_else(|at| {
                        literals.insert(at, (octet, none.clone()));
                        at
                    });
                    &mut literals[at].1
                }
            };
            bits[place / 64] |= 1 << (place % 64);
        }
        ListPattern { is_inbox: pattern.eq_ignore_ascii_case("INBOX"), literals, stars, percents, len }
    }

    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        if self.is_inbox && name == "INBOX" {
            return true;
        }
        let mut come_to = alloc::vec![0; self.stars.len()];
        come_to[0] = 1;
        self.pass_wildcards(&mut come_to);
        for octet in name.bytes() {
            let literal = self.literals.binary_search_by_key(&octet, |(octet, _)| *octet);
            let literal = literal.ok().and_then(|at| self.literals.get(at)).map(|(_, places)| &places[..]);
            let (mut carry, mut any) = (0, 0);
            for (word, places) in come_to.iter_mut().enumerate() {
                let wild = self.stars[word] | if octet == b'/' { 0 } else { self.percents[word] };
                // A wildcard takes the octet and stays; a literal that is this octet goes on to the next place.
                let goes_on = *places & literal.map_or(0, |literal| literal[word]);
                *places = *places & wild | goes_on << 1 | carry;
                carry = goes_on >> 63;
                any |= *places;
            }
            if any == 0 {
                return false;
            }
            self.pass_wildcards(&mut come_to);
        }
        come_to[self.len / 64] & 1 << (self.len % 64) != 0
    }

    /// A wildcard may stand for nothing. Behind one there is never another.
    fn pass_wildcards(&self, come_to: &mut [u64]) {
        let mut carry = 0;
        for (word, places) in come_to.iter_mut().enumerate() {
            let passes = *places & (self.stars[word] | self.percents[word]);
            *places |= passes << 1 | carry;
            carry = passes >> 63;
        }
    }
}

/// Whether a name matches a LIST pattern. For one name; [`ListPattern`] is for many.
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
    ListPattern::new(pattern).matches(name)
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

    /// A pattern that is longer than a word of bits, at each place where a carry can be lost.
    #[test]
    fn long_patterns() {
        for before in 55..75 {
            let literal = "x".repeat(before);
            for (middle, text, expected) in [
                ("*b", "ab/b", true),
                ("%b", "aab", true),
                ("%b", "a/b", false),
                ("%/%b*", "a/b", true),
                ("abc", "abc", true),
                ("abc", "abd", false),
            ] {
                let tail = "y".repeat(130 - before);
                let (pattern, name) = ([&literal, middle, &tail].concat(), [&literal, text, &tail].concat());
                assert_eq!(list_matches(&pattern, &name), expected, "{before} {middle} {text}");
            }
        }
    }

    #[test]
    fn no_order_of_wildcards_is_slow() {
        // A name that is as long as names get, twenty times, with patterns for which trying one way after the other takes
        // hours.
        let name = ["a".repeat(255).as_str(); 32].join("/");
        for (pattern, expected) in [
            ("*a".repeat(500), true),
            ("%a*".repeat(333), true),
            ("*%a".repeat(333), true),
            ("*a%".repeat(333) + "b", false),
            ("*".to_owned() + &"%a".repeat(400) + "b", false),
        ] {
            let pattern = super::ListPattern::new(&pattern);
            assert!((0..20).all(|_| pattern.matches(&name) == expected));
        }
        assert!(!list_matches(&("*a".repeat(499) + "*b"), &name));
    }

    #[test]
    fn many_wildcards_take_no_exponential_time() {
        let pattern = "a*%".repeat(1000) + "b";
        assert!(!list_matches(&pattern, &"a".repeat(2000)));
    }
}
