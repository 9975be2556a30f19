//! Line framing on the caller's buffer: only CRLF ends a line (RFC 5321 §2.3.8, RFC 9051 §2.2).

use memchr::{memchr, memchr3};

/// Finds command lines in a growing buffer. It remembers how far it looked, so bytes that arrive one at a time cost no
/// more than bytes that arrive at once.
///
/// The buffer belongs to the caller: it shows the same unread bytes again, with more behind them, until a line was found,
/// and takes the line off the front itself.
///
/// ```
/// use pillarbox_core::line::{LineScanner, Scan};
///
/// let mut scanner = LineScanner::new();
/// assert_eq!(scanner.scan(b"NOOP\r", 512), Scan::Incomplete);
/// assert_eq!(scanner.scan(b"NOOP\r\nQUIT\r\n", 512), Scan::Line { len: 6 });
/// assert_eq!(scanner.scan(b"QUIT\r\n", 512), Scan::Line { len: 6 });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineScanner {
    /// Bytes at the front of the unread input that hold no line end.
    scanned: usize,
}

/// What [`LineScanner::scan`] found at the front of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Scan {
    /// A whole line of `len` bytes, its CRLF counted.
    Line {
        /// Length with CRLF, at most the `max` that was given.
        len: usize,
    },
    /// No line yet: more bytes are needed. Fewer than `max` bytes are there.
    Incomplete,
    /// The line is longer than `max` bytes with its CRLF. Eat it with a [`LineSkipper`].
    TooLong,
}

impl LineScanner {
    /// A scanner at the start of a line.
    pub const fn new() -> Self {
        LineScanner { scanned: 0 }
    }

    /// Looks for the end of the first line in `input`. `max` counts the CRLF.
    ///
    /// After [`Scan::Line`] and [`Scan::TooLong`] the scanner starts anew. The answer depends on the bytes alone, never on
    /// how they were cut.
    #[inline]
    pub fn scan(&mut self, input: &[u8], max: usize) -> Scan {
        let window = &input[..input.len().min(max)];
        let mut rest = window.get(self.scanned..).unwrap_or_default();
        while let Some(found) = find_lf(rest) {
            rest = &rest[found + 1..];
            let len = window.len() - rest.len();
            if let [.., b'\r', b'\n'] = window[..len] {
                self.scanned = 0;
                return Scan::Line { len };
            }
        }
        if input.len() >= max {
            self.scanned = 0;
            return Scan::TooLong;
        }
        self.scanned = window.len();
        Scan::Incomplete
    }

    /// Forgets how far it looked: the front of the input is not what it was.
    pub const fn reset(&mut self) {
        self.scanned = 0;
    }
}

/// The line at the front of `input`, without its CRLF, if the first LF there ends one. Where this gives `None` a [`LineScanner`]
/// may still find a line, behind an LF that stands alone.
///
/// ```
/// use pillarbox_core::line::whole_line;
///
/// assert_eq!(whole_line(b"NOOP\r\nQUIT\r\n"), Some(&b"NOOP"[..]));
/// assert_eq!(whole_line(b"NO\nOP\r\n"), None);
/// ```
#[inline]
pub fn whole_line(input: &[u8]) -> Option<&[u8]> {
    input.get(..find_lf(input)?)?.strip_suffix(b"\r")
}

/// Eats the rest of a line that is too long, without holding it.
///
/// ```
/// use pillarbox_core::line::LineSkipper;
///
/// let mut skipper = LineSkipper::new();
/// let mut input = &b"xxxxxx\r"[..];
/// assert_eq!(skipper.skip(&mut input), None);
/// assert!(input.is_empty());
/// input = b"\nQUIT\r\n";
/// assert_eq!(skipper.skip(&mut input), Some(8));
/// assert_eq!(input, b"QUIT\r\n");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineSkipper {
    skipped: u64,
    after_cr: bool,
}

impl LineSkipper {
    /// A skipper at the start of the line.
    pub const fn new() -> Self {
        LineSkipper { skipped: 0, after_cr: false }
    }

    /// Eats up to and with the next CRLF. Gives the length of the whole line when its end was there, else `None` with
    /// all of `input` eaten.
    pub fn skip(&mut self, input: &mut &[u8]) -> Option<u64> {
        let mut at = 0;
        while let Some(found) = memchr(b'\n', &input[at..]) {
            let lf = at + found;
            let after_cr = if lf == 0 { self.after_cr } else { input[lf - 1] == b'\r' };
            at = lf + 1;
            if after_cr {
                let length = self.skipped.saturating_add(at as u64);
                *input = &input[at..];
                *self = LineSkipper::new();
                return Some(length);
            }
        }
        if let Some(&last) = input.last() {
            self.after_cr = last == b'\r';
        }
        self.skipped = self.skipped.saturating_add(input.len() as u64);
        *input = &[];
        None
    }

    /// How many bytes were eaten so far, so that the caller can lose patience.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// The first octet that no command line may hold: NUL, CR or LF, with its place. The line's own CRLF does not count.
///
/// A bare CR or LF inside a line is how one peer makes two of another's lines (RFC 5321 §2.3.8, §4.1.1.4), and NUL ends a
/// text in other people's programs.
///
/// ```
/// use pillarbox_core::line::forbidden_octet;
///
/// assert_eq!(forbidden_octet(b"NOOP\r\n"), None);
/// assert_eq!(forbidden_octet(b"EH\rLO x\r\n"), Some((2, b'\r')));
/// ```
pub fn forbidden_octet(line: &[u8]) -> Option<(usize, u8)> {
    let content = line.strip_suffix(b"\r\n").unwrap_or(line);
    memchr3(0, b'\r', b'\n', content).map(|at| (at, content[at]))
}

/// The place of the first LF.
#[inline(always)]
fn find_lf(octets: &[u8]) -> Option<usize> {
    // Many commands are short, and a search that is fast in long texts takes longer to begin. Two blocks may have octets in common.
    if octets.len() > 16 {
        if octets.len() > 32 {
            return memchr(b'\n', octets);
        }
        let behind = octets.len() - 16;
        let first = octets.first_chunk()?;
        return find_lf_in_16(first).or_else(|| Some(behind + find_lf_in_16(octets[behind..].first_chunk()?)?));
    }
    if let Some(first) = octets.first_chunk() {
        let behind = octets.len() - 8;
        return find_lf_in_8(first).or_else(|| Some(behind + find_lf_in_8(octets[behind..].first_chunk()?)?));
    }
    octets.iter().position(|octet| *octet == b'\n')
}

macro_rules! find_lf_in {
    ($name:ident, $number:ty, $len:literal) => {
        #[inline(always)]
        fn $name(block: &[u8; $len]) -> Option<usize> {
            const EACH: $number = <$number>::from_ne_bytes([1; $len]);
            let others = <$number>::from_le_bytes(*block) ^ (EACH * b'\n' as $number);
            // The highest bit of the first LF; bits of later octets may be wrong, as the subtraction carries.
            let found = others.wrapping_sub(EACH) & !others & (0x80 * EACH);
            (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
        }
    };
}

find_lf_in!(find_lf_in_8, u64, 8);
find_lf_in!(find_lf_in_16, u128, 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_crlf_ends_a_line() {
        let mut scanner = LineScanner::new();
        assert_eq!(scanner.scan(b"a\nb\rc\r", 512), Scan::Incomplete);
        assert_eq!(scanner.scan(b"a\nb\rc\r\r\n", 512), Scan::Line { len: 8 });
        assert_eq!(scanner.scan(b"\n\r", 512), Scan::Incomplete);
        assert_eq!(scanner.scan(b"\n\r\n", 512), Scan::Line { len: 3 });
    }

    #[test]
    fn the_first_lf_is_found() {
        for len in 0..70 {
            assert_eq!(find_lf(&vec![b'x'; len]), None);
            for first in 0..len {
                let mut octets = vec![b'x'; len];
                octets[first] = b'\n';
                // Neighbours that a carry could take for it.
                octets[first + 1..].fill(0x0b);
                assert_eq!(find_lf(&octets), Some(first), "{first} of {len}");
                octets[first] = 0x8a;
                assert_eq!(find_lf(&octets), None);
            }
        }
    }

    #[test]
    fn the_longest_line_and_one_more() {
        for max in 2..6 {
            let fits = [&b"xxxxxx"[..max - 2], b"\r\n"].concat();
            assert_eq!(LineScanner::new().scan(&fits, max), Scan::Line { len: max });
            assert_eq!(LineScanner::new().scan(&[b"x", &fits[..]].concat(), max), Scan::TooLong);
            assert_eq!(LineScanner::new().scan(&fits[..max - 1], max), Scan::Incomplete);
        }
    }

    #[test]
    fn an_input_that_shrank_is_no_panic() {
        let mut scanner = LineScanner::new();
        assert_eq!(scanner.scan(b"abcdef", 512), Scan::Incomplete);
        assert_eq!(scanner.scan(b"ab", 512), Scan::Incomplete);
        scanner.reset();
        assert_eq!(scanner.scan(b"a\r\n", 512), Scan::Line { len: 3 });
    }

    /// Lines and skipped lengths of `input`, shown in pieces that end at the cuts.
    fn frames(input: &[u8], cuts: &[usize], max: usize) -> Vec<(bool, u64)> {
        let mut frames = Vec::new();
        let mut scanner = LineScanner::new();
        let mut skipper = None::<LineSkipper>;
        let mut start = 0;
        let ends = cuts.iter().map(|cut| cut % (input.len() + 1)).chain([input.len()]);
        let mut ends = ends.collect::<Vec<_>>();
        ends.sort_unstable();
        for end in ends {
            loop {
                let mut unread = &input[start..end];
                if let Some(skip) = &mut skipper {
                    let done = skip.skip(&mut unread);
                    start = end - unread.len();
                    let Some(length) = done else { break };
                    frames.push((false, length));
                    skipper = None;
                    continue;
                }
                match scanner.scan(unread, max) {
                    Scan::Line { len } => {
                        frames.push((true, len as u64));
                        start += len;
                    }
                    Scan::Incomplete => break,
                    Scan::TooLong => skipper = Some(LineSkipper::new()),
                }
            }
        }
        frames
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            input in prop::collection::vec(prop::sample::select(&b"\r\nx"[..]), 0..60),
            cuts in prop::collection::vec(any::<usize>(), 0..8),
            max in 2usize..8,
        ) {
            let drip = (0..input.len()).collect::<Vec<_>>();
            let whole = frames(&input, &[], max);
            prop_assert_eq!(&frames(&input, &cuts, max), &whole);
            prop_assert_eq!(&frames(&input, &drip, max), &whole);
        }
    }
}
