//! Message identifiers (RFC 5322 §3.6.4), read tolerantly.

/// The identifiers in the value of a field, each as a number that stands for its octets.
///
/// Whoever makes another's number on purpose might as well send the identifier itself; by chance it happens once in some
/// hundred million mailboxes.
pub(super) struct Ids<'v>(pub(super) &'v [u8]);

impl Iterator for Ids<'_> {
    type Item = u64;

    /// One pass over the octets: `<` always begins anew.
    fn next(&mut self) -> Option<u64> {
        let mut hash = None;
        // Octets before and behind the last `@`.
        let (mut before, mut behind, mut at) = (0, 0, false);
        let (mut quoted, mut escaped) = (false, false);
        while let Some((&octet, rest)) = self.0.split_first() {
            self.0 = rest;
            let Some(state) = &mut hash else {
                if octet == b'<' {
                    hash = Some(Hash::NEW);
                    (before, behind, at, quoted, escaped) = (0, 0, false, false, false);
                }
                continue;
            };
            match octet {
                b'<' => {
                    *state = Hash::NEW;
                    (before, behind, at, quoted, escaped) = (0, 0, false, false, false);
                    continue;
                }
                // RFC 5256 §3: quoting makes no other identifier.
                b'\\' if quoted && !escaped => {
                    escaped = true;
                    continue;
                }
                b'"' if !escaped => {
                    quoted = !quoted;
                    continue;
                }
                // A fold.
                b'\r' | b'\n' => continue,
                b'>' if !quoted => match at && before > 0 && behind > 0 {
                    true => return Some(state.end()),
                    false => {
                        hash = None;
                        continue;
                    }
                },
                // No identifier holds a space.
                b' ' | b'\t' if !quoted => {
                    hash = None;
                    continue;
                }
                b'@' if !quoted => {
                    before += behind;
                    (at, behind) = (true, 0);
                }
                _ if at => behind += 1,
                _ => before += 1,
            }
            escaped = false;
            state.add(octet);
        }
        None
    }
}

/// FNV-1a with its bits mixed at the end.
struct Hash(u64);

impl Hash {
    const NEW: Hash = Hash(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, octet: u8) {
        self.0 = (self.0 ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3);
    }

    /// Never 0, which stands for none.
    fn end(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(value: &str) -> usize {
        Ids(value.as_bytes()).count()
    }

    #[test]
    fn identifiers() {
        let one = |value: &str| Ids(value.as_bytes()).next();
        assert_eq!(one("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"), one("x <01KF8JCEOCBS0045PS@xxx.yyy.com>"));
        assert_eq!(one("<\"a\\\"b\"@x>"), one("<\"a\\\"\\b\"@x>"));
        assert_ne!(one("<a@x>"), one("<A@x>"));
        assert_ne!(one("<a@x>"), one("<b@x>"));
        assert_eq!(count("<a@x><b@x>\r\n\t<c@x> d@x <e@x"), 3);
        assert_eq!(count("<> <a> <@x> <a@> <a b@x> <a@b c> \"<a@x>\""), 1);
        assert_eq!(count("<a <b@x>"), 1);
        assert_eq!(one("<a <b@x>"), one("<b@x>"));
        assert_eq!(count("<a@x\r\n y>"), 0);
        assert_eq!(one("<a@\r\nx>"), one("<a@x>"));
        assert_eq!(count(""), 0);
        assert_eq!(count(&"<\"a@".repeat(10_000)), 0);
    }
}
