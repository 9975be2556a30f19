//! The boundaries that may end a part right now, and which of them a line names.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// The boundaries of the open multiparts.
///
/// A line is compared with all of them at once: they are kept sorted, with the length of the prefix that each shares with
/// its neighbour, so that a line costs a binary search and not a comparison with every open level. (A hundred nested
/// boundaries that share two thousand octets, and a million lines that share them too, would otherwise cost a hundred
/// times what the message weighs.)
#[derive(Debug, Default)]
pub(super) struct Boundaries {
    sorted: Vec<Boundary>,
}

#[derive(Debug)]
struct Boundary {
    value: Vec<u8>,
    /// How many multiparts were open when this one was opened.
    level: usize,
    /// How many leading octets it shares with the one before it in the order.
    shared: usize,
}

/// What a line of a boundary says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delimiter {
    /// The level of the multipart whose boundary it is.
    pub(super) level: usize,
    /// Whether it ends the multipart (`--boundary--`).
    pub(super) closes: bool,
}

impl Boundaries {
    pub(super) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Adds the boundary of a multipart. The level is above all levels that are held.
    pub(super) fn open(&mut self, level: usize, value: Vec<u8>) {
        // Behind its equals, so that of two equal ones the inner is found first.
        let at = self.sorted.partition_point(|b| b.value <= value);
        let shared = at.checked_sub(1).map_or(0, |before| shared_prefix(&self.sorted[before].value, &value));
        if let Some(next) = self.sorted.get_mut(at) {
            next.shared = shared_prefix(&value, &next.value);
        }
        self.sorted.insert(at, Boundary { value, level, shared });
    }

    /// Forgets the boundaries at this level and above it.
    pub(super) fn close(&mut self, level: usize) {
        // What two neighbours of a removed one share is the least of what it shared with each.
        let mut bridge = usize::MAX;
        self.sorted.retain_mut(|b| {
            bridge = bridge.min(b.shared);
            let keep = b.level < level;
            if keep {
                b.shared = bridge;
                bridge = usize::MAX;
            }
            keep
        });
    }

    /// Which boundary a line names that starts with `--`; `line` is what follows these two, without its line end.
    // RFC 2046 §5.1.1: it is enough that the line begins with the boundary. If one boundary begins with another, the
    // longer is meant, unless `foo--` can be read both as a boundary and as the end of `foo`: then the inner one is.
    pub(super) fn find(&self, line: &[u8]) -> Option<Delimiter> {
        let mut at = self.sorted.partition_point(|b| b.value.as_slice().cmp(line) != Ordering::Greater);
        let mut shared = shared_prefix(&self.sorted[at.checked_sub(1)?].value, line);
        let line_trimmed = line.trim_ascii_end();
        let mut best: Option<&Boundary> = None;
        while at > 0 && shared > 0 {
            at -= 1;
            let b = &self.sorted[at];
            if b.value.len() <= shared {
                let Some(longer) = best else {
                    best = Some(b);
                    if b.value.len() == line_trimmed.len() && line_trimmed.ends_with(b"--") {
                        shared = shared.min(b.shared);
                        continue;
                    }
                    break;
                };
                if b.value.len() + 2 == line_trimmed.len() && b.level > longer.level {
                    best = Some(b);
                }
                if b.value.len() + 2 <= line_trimmed.len() {
                    break;
                }
            }
            shared = shared.min(b.shared);
        }
        let best = best?;
        Some(Delimiter { level: best.level, closes: line[best.value.len()..].starts_with(b"--") })
    }
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boundaries(values: &[&str]) -> Boundaries {
        let mut boundaries = Boundaries::default();
        for (level, value) in values.iter().enumerate() {
            boundaries.open(level, value.as_bytes().to_vec());
        }
        boundaries
    }

    fn find(boundaries: &Boundaries, line: &str) -> Option<(usize, bool)> {
        boundaries.find(line.as_bytes()).map(|d| (d.level, d.closes))
    }

    #[test]
    fn the_longest_matching_boundary_is_meant() {
        let b = boundaries(&["a", "ab", "abcd"]);
        assert_eq!(find(&b, "a"), Some((0, false)));
        assert_eq!(find(&b, "abc"), Some((1, false)));
        assert_eq!(find(&b, "abcd \t"), Some((2, false)));
        assert_eq!(find(&b, "abcd--"), Some((2, true)));
        assert_eq!(find(&b, "ab--"), Some((1, true)));
        assert_eq!(find(&b, "b"), None);
        assert_eq!(find(&b, ""), None);
    }

    #[test]
    fn two_dashes_belong_to_the_inner_boundary() {
        assert_eq!(find(&boundaries(&["foo", "foo--"]), "foo--"), Some((1, false)));
        assert_eq!(find(&boundaries(&["foo--", "foo"]), "foo--"), Some((1, true)));
        assert_eq!(find(&boundaries(&["foo--", "foo"]), "foo----"), Some((0, true)));
    }

    #[test]
    fn of_equal_boundaries_the_inner_is_meant_until_it_closes() {
        let mut b = boundaries(&["x", "x", "x"]);
        assert_eq!(find(&b, "x"), Some((2, false)));
        b.close(2);
        assert_eq!(find(&b, "x--"), Some((1, true)));
        b.close(0);
        assert_eq!(find(&b, "x"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_comparing_each(
            values in prop::collection::vec("[ab-]{1,5}", 1..12),
            lines in prop::collection::vec("[ab-]{0,7}", 1..20),
            close in 0usize..12,
        ) {
            let mut b = Boundaries::default();
            for (level, value) in values.iter().enumerate() {
                b.open(level, value.clone().into_bytes());
            }
            b.close(close);
            let open = &values[..close.min(values.len())];
            for line in &lines {
                let longest = open.iter().enumerate().filter(|(_, v)| line.starts_with(v.as_str()));
                let longest = longest.max_by_key(|(level, v)| (v.len(), *level));
                let exact = longest.filter(|(_, v)| v.len() == line.len() && line.ends_with("--"));
                let closing = exact.and_then(|(level, _)| {
                    let inner = open.iter().enumerate().rev().find(|(_, v)| v.len() + 2 == line.len() && line.starts_with(v.as_str()));
                    inner.filter(|(inner, _)| *inner > level)
                });
                let expected = closing.or(longest).map(|(level, v)| (level, line[v.len()..].starts_with("--")));
                prop_assert_eq!(find(&b, line), expected, "{} in {:?}", line, open);
            }
        }
    }
}
