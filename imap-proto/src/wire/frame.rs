//! Where a command ends: lines and literals on the caller's buffer.
//!
//! Staying in step is this module's duty, also where the command is garbage or too large: octets of a literal must never
//! be taken for commands.

use memchr::memchr;
use pillarbox_core::line::{LineScanner, Scan, whole_line};

/// What a command may take up. The message of APPEND is not counted: it streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameLimits {
    /// Octets of a command outside of literals, line ends counted.
    pub line_max: usize,
    /// Octets of one literal.
    pub literal_max: usize,
    /// Literals in one command.
    pub literals_max: usize,
    /// Octets of all literals of a command.
    pub literals_size_max: usize,
    /// Octets of a refused command that are read and dropped; a longer one ends the connection.
    pub skip_max: u64,
}

impl FrameLimits {
    /// What a stranger may send: enough for LOGIN with two literals.
    pub const BEFORE_LOGIN: FrameLimits = FrameLimits {
        line_max: 8192,
        // RFC 7888 §5: what LITERAL- allows without being asked.
        literal_max: 4096,
        literals_max: 8,
        literals_size_max: 16_384,
        skip_max: 65_536,
    };

    /// What a user may send.
    pub const AFTER_LOGIN: FrameLimits = FrameLimits {
        // RFC 7162 §4 asks for at least 8192; clients list many messages in one command.
        line_max: 65_536,
        literal_max: 100_000,
        literals_max: 1000,
        literals_size_max: 1 << 20,
        skip_max: 1 << 20,
    };
}

/// The announcement of a literal at the end of a line: `{5}`, `{5+}`, `~{5}` (RFC 9051 §4.3, RFC 7888, RFC 3516).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiteralHeader {
    /// Octets of the literal.
    pub size: u64,
    /// The client waits for a continuation request before it sends the octets.
    pub synchronising: bool,
    /// The octets may hold NUL (literal8).
    pub binary: bool,
}

/// What [`Framer::frame`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Framed {
    /// More bytes are needed.
    Incomplete,
    /// A whole command of `len` bytes at the front of the input, literals and line ends included.
    Command {
        /// Its length.
        len: usize,
    },
    /// The first `len` bytes end with the announcement of a literal: say [`Framer::accept`], or drop the command.
    Literal {
        /// What was announced.
        header: LiteralHeader,
        /// Bytes of the command up to and with the announcement's line end.
        len: usize,
    },
    /// The command's text is longer than the limit, which the first `len` bytes show. Drop them, and what follows with
    /// [`Skipper::behind`].
    TooLong {
        /// Bytes of the command that were looked at.
        len: usize,
        /// From here on they are text; before it may be a literal, whose octets announce nothing.
        text: usize,
    },
}

/// Finds the end of the command at the front of the unread input. Remembers how far it looked: bytes that come one by
/// one cost no more than bytes that come at once.
///
/// ```
/// use pillarbox_imap::wire::frame::{FrameLimits, Framed, Framer};
///
/// let limits = FrameLimits::AFTER_LOGIN;
/// let mut framer = Framer::new();
/// let input = b"a LOGIN {3}\r\nfoo bar\r\nb NOOP\r\n";
/// let Framed::Literal { header, len: 13 } = framer.frame(input, &limits) else { panic!() };
/// assert!(header.synchronising && framer.accept(header, 13, &limits));
/// assert_eq!(framer.frame(input, &limits), Framed::Command { len: 22 });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Framer {
    scanner: LineScanner,
    /// Where the text behind the last accepted literal begins.
    start: usize,
    /// Octets outside of literals before `start`.
    text: usize,
    literals: usize,
}

impl Framer {
    /// A framer at the start of a command.
    pub fn new() -> Self {
        Framer::default()
    }

    /// Looks for the end of the command, or for the next literal in it. After [`Framed::Command`] and
    /// [`Framed::TooLong`] the framer is at a start again.
    #[inline]
    pub fn frame(&mut self, input: &[u8], limits: &FrameLimits) -> Framed {
        // Most commands are one line, are there at once, and are seen once: nothing has to be remembered of them.
        if self.start == 0
            && self.scanner == LineScanner::new()
            && let Some(line) = whole_line(&input[..input.len().min(limits.line_max)])
            && !line.ends_with(b"}")
        {
            return Framed::Command { len: line.len() + 2 };
        }
        self.frame_on(input, limits)
    }

    /// As [`frame`](Framer::frame), for lines that have begun, and for what is behind literals.
    fn frame_on(&mut self, input: &[u8], limits: &FrameLimits) -> Framed {
        let Some(text) = input.get(self.start..) else { return Framed::Incomplete };
        let max = limits.line_max.saturating_sub(self.text);
        match self.scanner.scan(text, max) {
            Scan::Incomplete => Framed::Incomplete,
            Scan::TooLong => {
                let (len, text) = (self.start + max, self.start);
                self.reset();
                Framed::TooLong { len, text }
            }
            Scan::Line { len } => match literal_header(&text[..len]) {
                Some(header) => Framed::Literal { header, len: self.start + len },
                None => {
                    let len = self.start + len;
                    self.reset();
                    Framed::Command { len }
                }
            },
        }
    }

    /// Takes the announced literal into the command; false, with nothing changed, if that passes a limit. `len` is what
    /// [`Framed::Literal`] said. The command's budget is charged here, before [`Framer::max_unread`] rises.
    pub fn accept(&mut self, header: LiteralHeader, len: usize, limits: &FrameLimits) -> bool {
        let text = self.text + (len - self.start);
        let held = len - text;
        let Ok(size) = usize::try_from(header.size) else { return false };
        let fits = size <= limits.literal_max
            && self.literals < limits.literals_max
            && size <= limits.literals_size_max.saturating_sub(held);
        if fits {
            self.text = text;
            self.start = len + size;
            self.literals += 1;
        }
        fits
    }

    /// Forgets the command: what is at the front of the input now is another one.
    pub fn reset(&mut self) {
        *self = Framer::new();
    }

    /// Whether a literal was accepted for the command that is under way.
    pub fn is_inside(&self) -> bool {
        self.literals > 0
    }

    /// The most bytes that the command under way can come to.
    pub fn max_unread(&self, limits: &FrameLimits) -> usize {
        limits.line_max + (self.start - self.text)
    }
}

/// The literal that a line (with its CRLF) announces at its end.
#[inline]
fn literal_header(line: &[u8]) -> Option<LiteralHeader> {
    // Most lines have none, and this is asked of each.
    match line {
        [line @ .., b'}', b'\r', b'\n'] => announcement(line),
        _ => None,
    }
}

/// What stands before the closing brace at the end of a line.
fn announcement(line: &[u8]) -> Option<LiteralHeader> {
    let (line, synchronising) = match line.strip_suffix(b"+") {
        Some(line) => (line, false),
        None => (line, true),
    };
    let digits = line.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (rest, digits) = line.split_at(line.len() - digits);
    let rest = rest.strip_suffix(b"{")?;
    if digits.is_empty() {
        return None;
    }
    // A number that does not fit is as good as the largest: both are refused for their size.
    let size = digits.iter().fold(0u64, |sum, &b| sum.saturating_mul(10).saturating_add(u64::from(b - b'0')));
    Some(LiteralHeader { size, synchronising, binary: rest.ends_with(b"~") })
}

/// What [`Skipper::skip`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Skipped {
    /// All that was there is eaten, and the command goes on.
    More,
    /// The command is over, or waits for a continuation that it will not get.
    Done,
    /// More than the limit: it is not worth staying in step.
    TooMuch,
}

/// Eats the rest of a refused command with the literals that come without being asked for, and holds none of it.
#[derive(Clone, Debug)]
pub struct Skipper {
    literal_left: u64,
    /// The end of the line so far: enough to read the announcement of a literal, whichever way it was cut.
    tail: [u8; TAIL],
    tail_len: usize,
    budget: u64,
}

/// `~{18446744073709551615+}` and its CRLF.
const TAIL: usize = 26;

impl Skipper {
    /// Eats what follows the announcement of a literal of `size` octets that come unasked (0: plain text follows), at
    /// most `budget` octets beside it.
    pub fn new(size: u64, budget: u64) -> Self {
        Skipper { literal_left: size, tail: [0; TAIL], tail_len: 0, budget }
    }

    /// Eats what follows a line without an end, which begins with `text` (behind all literals): at most `budget` octets more.
    pub fn behind(text: &[u8], budget: u64) -> Self {
        let mut skipper = Skipper::new(0, budget);
        skipper.remember(text);
        skipper
    }

    /// Eats what is there.
    pub fn skip(&mut self, input: &mut &[u8]) -> Skipped {
        loop {
            let literal = input.len().min(usize::try_from(self.literal_left).unwrap_or(usize::MAX));
            *input = &input[literal..];
            self.literal_left -= literal as u64;
            if input.is_empty() {
                return Skipped::More;
            }
            let window = input.len().min(usize::try_from(self.budget).unwrap_or(usize::MAX));
            if window == 0 {
                return Skipped::TooMuch;
            }
            let taken = memchr(b'\n', &input[..window]).map_or(window, |at| at + 1);
            self.remember(&input[..taken]);
            self.budget -= taken as u64;
            *input = &input[taken..];
            let tail = &self.tail[..self.tail_len];
            if tail.ends_with(b"\r\n") {
                match literal_header(tail) {
                    Some(header) if !header.synchronising => {
                        let Some(budget) = self.budget.checked_sub(header.size) else { return Skipped::TooMuch };
                        self.budget = budget;
                        self.literal_left = header.size;
                        self.tail_len = 0;
                    }
                    _ => return Skipped::Done,
                }
            }
        }
    }

    fn remember(&mut self, text: &[u8]) {
        let text = &text[text.len().saturating_sub(TAIL)..];
        let keep = self.tail_len.min(TAIL - text.len());
        self.tail.copy_within(self.tail_len - keep..self.tail_len, 0);
        self.tail[keep..keep + text.len()].copy_from_slice(text);
        self.tail_len = keep + text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const SMALL: FrameLimits =
        FrameLimits { line_max: 40, literal_max: 10, literals_max: 3, literals_size_max: 25, skip_max: 60 };

    /// Frames and skips as the session does, reading `cut` bytes at a time. Gives what became of each command.
    fn run(bytes: &[u8], mut cut: impl FnMut() -> usize) -> Vec<(&'static str, Vec<u8>)> {
        let (mut framer, mut skipper, mut seen) = (Framer::new(), None::<Skipper>, Vec::new());
        let (mut start, mut shown) = (0, 0);
        loop {
            let mut input = &bytes[start..shown];
            let mut need = false;
            if let Some(skip) = &mut skipper {
                match skip.skip(&mut input) {
                    Skipped::More => need = true,
                    Skipped::Done => {
                        seen.push(("skipped", Vec::new()));
                        skipper = None;
                    }
                    Skipped::TooMuch => {
                        seen.push(("too much", Vec::new()));
                        return seen;
                    }
                }
            } else {
                match framer.frame(input, &SMALL) {
                    Framed::Incomplete => {
                        assert!(input.len() < framer.max_unread(&SMALL), "no progress");
                        need = true;
                    }
                    Framed::Command { len } => {
                        seen.push(("command", input[..len].to_vec()));
                        input = &input[len..];
                    }
                    Framed::Literal { header, len } if !framer.accept(header, len, &SMALL) => {
                        seen.push(("refused", input[..len].to_vec()));
                        framer.reset();
                        input = &input[len..];
                        if !header.synchronising {
                            skipper = Some(Skipper::new(header.size.min(100), SMALL.skip_max));
                        }
                    }
                    Framed::Literal { .. } => seen.push(("literal", Vec::new())),
                    Framed::TooLong { len, text } => {
                        seen.push(("too long", Vec::new()));
                        skipper = Some(Skipper::behind(&input[text..len], SMALL.skip_max));
                        input = &input[len..];
                    }
                }
            }
            start = shown - input.len();
            if need {
                if shown == bytes.len() {
                    return seen;
                }
                shown = (shown + cut().max(1)).min(bytes.len());
            }
        }
    }

    #[test]
    fn announcements() {
        let header = |line: &str| literal_header(line.as_bytes()).map(|h| (h.size, h.synchronising, h.binary));
        assert_eq!(header("a {5}\r\n"), Some((5, true, false)));
        assert_eq!(header("a ~{0+}\r\n"), Some((0, false, true)));
        assert_eq!(header("{99999999999999999999999}\r\n"), Some((u64::MAX, true, false)));
        for none in ["a {5} \r\n", "a {-1}\r\n", "a {}\r\n", "a {+}\r\n", "a 5}\r\n", "a {5\r\n", "{5++}\r\n", "{5}\n"]
        {
            assert_eq!(header(none), None, "{none:?}");
        }
    }

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(run(b"a\nb\rc\r\r\n", || 1), [("command", b"a\nb\rc\r\r\n".to_vec())]);
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let line = [&[b'x'; 38][..], b"\r\n"].concat();
        assert_eq!(run(&line, || 1)[0].0, "command");
        let line = [&[b'x'; 39][..], b"\r\n"].concat();
        assert_eq!(run(&line, || 1).iter().map(|s| s.0).collect::<Vec<_>>(), ["too long", "skipped"]);
        let endless = [b'x'; 200];
        assert_eq!(run(&endless, || 7).iter().map(|s| s.0).collect::<Vec<_>>(), ["too long", "too much"]);
        let full = [&[b'x'; 34][..], b"{10}\r\n012345{3+}\r\nb\r\n"].concat();
        let kinds = |bytes: &[u8]| run(bytes, || 3).iter().map(|s| s.0).collect::<Vec<_>>();
        assert_eq!(kinds(b"{10}\r\n0123456789\r\n"), ["literal", "command"]);
        assert_eq!(kinds(&full), ["literal", "too long", "skipped", "command"], "a literal announces nothing");
        assert_eq!(kinds(b"{11}\r\nb\r\n"), ["refused", "command"]);
        assert_eq!(kinds(b"{11+}\r\n01234\r\n7890 {3+}\r\nx\r\n y\r\nb\r\n"), ["refused", "skipped", "command"]);
        assert_eq!(kinds(b"{1}\r\na{1}\r\na{1}\r\na{1}\r\n"), ["literal", "literal", "literal", "refused"]);
        assert_eq!(kinds(b"{10}\r\n0123456789{10}\r\n0123456789{6}\r\n"), ["literal", "literal", "refused"]);
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(
            bytes in prop::collection::vec(prop::sample::select(&b"a {}+~0129\r\n\r\n\r\n"[..]), 0..200),
            cuts in prop::collection::vec(1..20usize, 1..50),
        ) {
            let mut cuts = cuts.into_iter().cycle();
            let whole = run(&bytes, || usize::MAX / 2);
            prop_assert_eq!(&run(&bytes, || 1), &whole);
            prop_assert_eq!(&run(&bytes, || cuts.next().unwrap()), &whole);
        }
    }
}
