//! Looking for several texts at once in text that comes in pieces: the substring operation of i;unicode-casemap (RFC 5051), which
//! regards neither case nor how letters with marks are composed.

use alloc::string::String;
use alloc::vec::Vec;

use memchr::memmem::Finder;

use crate::sort::collation_key;

/// The texts to look for.
#[derive(Clone, Debug, Default)]
pub(super) struct Needles {
    finders: Vec<Finder<'static>>,
}

impl Needles {
    /// Adds a text; its number is how many were added before.
    pub(super) fn add(&mut self, text: &str) -> usize {
        let mut folded = String::new();
        collation_key(text, &mut folded);
        self.finders.push(Finder::new(folded.as_bytes()).into_owned());
        self.finders.len() - 1
    }

    /// Whether the folded text contains one of them that ends at `from` or behind it.
    fn ends_behind(&self, number: usize, folded: &str, from: usize) -> bool {
        let start = from.saturating_sub(self.len(number).saturating_sub(1));
        self.finders[number].find(&folded.as_bytes()[start..]).is_some()
    }

    fn len(&self, number: usize) -> usize {
        self.finders[number].needle().len()
    }
}

/// One text, in pieces, and the needles that have not been found in it.
pub(super) struct Haystack<'n> {
    needles: &'n Needles,
    wanted: Vec<usize>,
    found: Vec<usize>,
    folded: String,
    /// How much of the text before a piece a needle may begin in.
    overlap: usize,
}

impl<'n> Haystack<'n> {
    /// An empty text in which these needles are looked for.
    pub(super) fn new(needles: &'n Needles, wanted: Vec<usize>) -> Self {
        let overlap = wanted.iter().map(|&number| needles.len(number).saturating_sub(1)).max().unwrap_or(0);
        let mut haystack = Haystack { needles, wanted, found: Vec::new(), folded: String::new(), overlap };
        // Even the empty text contains the empty needle.
        haystack.add("");
        haystack
    }

    /// Adds the next piece of the text; false when there is nothing left to find.
    pub(super) fn add(&mut self, piece: &str) -> bool {
        // What ends before was looked for with the piece before: a long needle must not make the short ones read it again.
        let from = self.folded.len();
        collation_key(piece, &mut self.folded);
        let (needles, folded, found) = (self.needles, &self.folded, &mut self.found);
        self.wanted.retain(|&number| {
            let is_in = needles.ends_behind(number, folded, from);
            if is_in {
                found.push(number);
            }
            !is_in
        });
        let mut keep_from = self.folded.len().saturating_sub(self.overlap);
        while !self.folded.is_char_boundary(keep_from) {
            keep_from -= 1;
        }
        self.folded.drain(..keep_from);
        !self.wanted.is_empty()
    }

    /// The needles that were found.
    pub(super) fn found(&self) -> &[usize] {
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> String {
        let mut key = String::new();
        collation_key(text, &mut key);
        key
    }

    #[test]
    fn case_does_not_matter() {
        let mut needles = Needles::default();
        for text in ["STRASSE", "Über", "", "y"] {
            needles.add(text);
        }
        let mut haystack = Haystack::new(&needles, alloc::vec![0, 1, 2, 3]);
        assert_eq!(haystack.found(), [2]);
        assert!(haystack.add("ÜB"));
        assert!(haystack.add("ER die Stra"));
        assert!(haystack.add("sse"));
        assert_eq!(haystack.found(), [2, 1, 0]);
    }

    #[test]
    fn letters_with_two_small_forms() {
        for (needle, text) in [("ΟΔΟΣ", "οδος"), ("οδος", "ΟΔΟΣ"), ("μ", "\u{b5}"), ("s", "\u{17f}"), ("ß", "ß")]
        {
            let mut needles = Needles::default();
            needles.add(needle);
            let mut haystack = Haystack::new(&needles, alloc::vec![0]);
            haystack.add(text);
            assert_eq!(haystack.found(), [0], "{needle} in {text}");
        }
    }

    /// RFC 5051 §2: letters are taken apart before they are compared.
    #[test]
    fn letters_with_marks() {
        let is_in = |needle: &str, text: &str| {
            let mut needles = Needles::default();
            needles.add(needle);
            let mut haystack = Haystack::new(&needles, alloc::vec![0]);
            haystack.add(text);
            !haystack.found().is_empty()
        };
        assert!(is_in("\u{fc}ber", "u\u{308}BER") && is_in("U\u{308}ber", "\u{fc}ber"));
        assert!(is_in("u", "\u{fc}") && !is_in("\u{fc}", "u"));
        // A ligature is no capital, and is taken apart after that was looked at.
        assert!(is_in("\u{fb01}", "\u{fb01}nd") && !is_in("fi", "\u{fb01}nd"));
        assert!(!is_in("straße", "STRASSE"));
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(text in "[abÄ]{0,30}", needle in "[abä]{0,4}", cut in 0usize..30) {
            let mut needles = Needles::default();
            needles.add(&needle);
            let mut at = cut.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            let mut haystack = Haystack::new(&needles, alloc::vec![0]);
            haystack.add(&text[..at]);
            haystack.add(&text[at..]);
            prop_assert_eq!(!haystack.found().is_empty(), key(&text).contains(&key(&needle)));
        }
    }
}
