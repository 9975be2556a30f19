//! Replies off the wire, as a client reads them (RFC 5321 §4.2).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::{mem, slice};

use memchr::memchr;
use pillarbox_core::line::{LineScanner, LineSkipper, Scan, forbidden_octet};
use pillarbox_core::octets::all;
use pillarbox_core::{EnhancedCode, Reply, Text};

/// Puts the lines of a reply together. A reply that is shown whole is lent out of the caller's buffer; of another, line after
/// line is taken out of it and kept. What the parser holds and what the caller must hold are both bounded by the
/// [`ReplyLimits`].
///
/// ```
/// use pillarbox_smtp::reply_parser::{ReplyLimits, ReplyParser};
///
/// let mut parser = ReplyParser::new(ReplyLimits::default());
/// let mut input = &b"250-mx.example\r\n250 SIZE 1000\r\n220"[..];
/// let reply = parser.parse(&mut input).unwrap().expect("it is complete");
/// assert_eq!((reply.code(), reply.lines().collect::<Vec<_>>()), (250, vec!["mx.example".into(), "SIZE 1000".into()]));
/// assert_eq!(parser.parse(&mut input), Ok(None));
/// assert_eq!(input, b"220");
/// ```
#[derive(Clone, Debug)]
pub struct ReplyParser {
    limits: ReplyLimits,
    scanner: LineScanner,
    /// Set while a line that was cut is eaten; the flag says whether it is the last of the reply.
    cut: Option<(LineSkipper, bool)>,
    /// The input was looked at, and holds no whole reply: it is read line by line.
    in_parts: bool,
    /// The code, once there is a line.
    code: u16,
    /// The lines so far.
    wire: Vec<u8>,
    lines: usize,
    /// Octets of the text of these lines, with one for the end of each.
    text_len: usize,
    /// Octets of the lines on the wire.
    octets: usize,
}

/// How much of a reply a client takes before it gives the server up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplyLimits {
    /// Octets of a line with its CRLF; what is longer is cut. RFC 5321 §4.5.3.1.5 asks for 512.
    pub line_max: usize,
    /// Lines of a reply. The RFC knows no limit; an EHLO reply has less than 30.
    pub lines_max: usize,
    /// Octets of a reply, those that were cut off included.
    pub reply_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        ReplyLimits { line_max: 2048, lines_max: 128, reply_max: 65_536 }
    }
}

/// What is wrong with a reply. The server's fault; there is no way to go on, because nobody knows where the next reply
/// begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line is not three digits (200 to 599), then a space, a hyphen or nothing.
    #[error("a line is no reply line")]
    Syntax,
    /// Lines of one reply have different codes (RFC 5321 §4.2.1): which of them would count?
    #[error("the lines of a reply have different codes")]
    CodesDiffer,
    /// A line holds NUL, a bare CR or a bare LF.
    #[error("a line holds a forbidden octet")]
    ForbiddenOctet,
    /// More lines or octets than [`ReplyLimits`] allow.
    #[error("the reply is too long")]
    TooLong,
}

/// A reply with the text as it came. [`to_reply`](RawReply::to_reply) makes it fit for logs and for other peers.
#[derive(Clone, Debug)]
pub struct RawReply<'b> {
    code: u16,
    /// Lines with their code and what follows it, each ended by CRLF. CR and LF stand nowhere else.
    wire: Cow<'b, [u8]>,
    ends: Ends,
}

/// Where the lines of a reply end: what was found once need not be looked for again. Only for that; any of it can be missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    /// Those of the first lines.
    known: [u16; 12],
    count: u8,
    /// Behind these is one more line, and nothing else.
    complete: bool,
}

impl Ends {
    /// Adds the end of the next line, if there is room for it.
    #[inline(always)]
    fn push(&mut self, end: usize) {
        match (self.known.get_mut(usize::from(self.count)), u16::try_from(end)) {
            (Some(place), Ok(end)) => {
                *place = end;
                self.count += 1;
            }
            _ => self.complete = false,
        }
    }
}

// What a reply says is in its lines.
impl PartialEq for RawReply<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code && self.wire == other.wire
    }
}

impl Eq for RawReply<'_> {}

impl ReplyParser {
    /// A parser at the start of a reply.
    pub fn new(limits: ReplyLimits) -> Self {
        ReplyParser {
            limits,
            scanner: LineScanner::new(),
            cut: None,
            in_parts: false,
            code: 0,
            wire: Vec::new(),
            lines: 0,
            text_len: 0,
            octets: 0,
        }
    }

    /// Takes whole lines off the front of `input`, up to the end of a reply. `None`: more input is needed; what is left is
    /// an unfinished line, shorter than [`ReplyLimits::line_max`].
    ///
    /// # Errors
    ///
    /// [`ReplyError`]: what the server sends is no reply, or too long for one. The parser is of no more use.
    #[inline(never)]
    pub fn parse<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<RawReply<'b>>, ReplyError> {
        // It is tried once for each reply, so that octets which come one by one are not looked at again and again.
        if !self.in_parts
            && let Some(reply) = whole(input, &self.limits)
        {
            *input = &input[reply.wire.len()..];
            return Ok(Some(reply));
        }
        self.parse_in_parts(input)
    }

    #[inline(never)]
    fn parse_in_parts<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<RawReply<'b>>, ReplyError> {
        self.in_parts |= !input.is_empty();
        loop {
            let shown = input.len();
            let line_is_last = if let Some((skipper, is_last)) = &mut self.cut {
                let is_last = *is_last;
                let ended = skipper.skip(input).is_some();
                if ended {
                    self.cut = None;
                }
                ended.then_some(is_last)
            } else {
                match self.scanner.scan(input, self.limits.line_max) {
                    Scan::Incomplete => return Ok(None),
                    Scan::Line { len } => {
                        let line = &input[..len - 2];
                        *input = &input[len..];
                        Some(self.add(line)?)
                    }
                    Scan::TooLong => {
                        let is_last = self.add(&input[..self.limits.line_max.saturating_sub(2)])?;
                        self.cut = Some((LineSkipper::new(), is_last));
                        continue;
                    }
                }
            };
            self.octets += shown - input.len();
            if self.octets > self.limits.reply_max {
                return Err(ReplyError::TooLong);
            }
            match line_is_last {
                None => return Ok(None),
                Some(false) => {}
                Some(true) => {
                    (self.in_parts, self.lines, self.text_len, self.octets) = (false, 0, 0, 0);
                    let wire = Cow::Owned(mem::take(&mut self.wire));
                    return Ok(Some(RawReply { code: self.code, wire, ends: Ends::default() }));
                }
            }
        }
    }

    /// Whether a reply has begun and not ended. Octets that stand unread in the caller's buffer are not known here.
    pub const fn is_inside_reply(&self) -> bool {
        self.lines > 0
    }

    /// Adds a line without its CRLF; tells whether it is the last of its reply.
    // RFC 5321 §4.2: Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
    fn add(&mut self, line: &[u8]) -> Result<bool, ReplyError> {
        if forbidden_octet(line).is_some() {
            return Err(ReplyError::ForbiddenOctet);
        }
        let (digits, rest) = line.split_first_chunk().ok_or(ReplyError::Syntax)?;
        let code = code(digits).ok_or(ReplyError::Syntax)?;
        let is_last = match rest {
            [] | [b' ', ..] => true,
            [b'-', ..] => false,
            _ => return Err(ReplyError::Syntax),
        };
        if self.lines == 0 {
            self.code = code;
        } else if self.code != code {
            return Err(ReplyError::CodesDiffer);
        }
        self.lines += 1;
        let text_len = rest.len().saturating_sub(1);
        if self.lines > self.limits.lines_max || self.text_len + text_len >= self.limits.reply_max {
            return Err(ReplyError::TooLong);
        }
        self.text_len += text_len + 1;
        self.wire.extend_from_slice(line);
        self.wire.extend_from_slice(b"\r\n");
        Ok(is_last)
    }
}

/// A reply that stands whole at the front of the input, with nothing wrong about it and no line that would be cut. Anything else
/// is for the line-by-line way, which knows what to say about it.
#[inline(always)]
fn whole<'b>(input: &'b [u8], limits: &ReplyLimits) -> Option<RawReply<'b>> {
    let digits = input.first_chunk::<3>()?;
    let code = code(digits)?;
    let (mut rest, mut ends) = (input, Ends { complete: true, ..Ends::default() });
    for _ in 0..limits.lines_max {
        let (start, line) = rest.split_first_chunk::<4>()?;
        let [start @ .., separator] = start;
        let behind = behind_line(line)?;
        if start != digits || line.len() - behind.len() + start.len() + 1 > limits.line_max {
            return None;
        }
        rest = behind;
        let len = input.len() - rest.len();
        match separator {
            b'-' => ends.push(len),
            b' ' if len <= limits.reply_max => {
                return Some(RawReply { code, wire: Cow::Borrowed(&input[..len]), ends });
            }
            _ => return None,
        }
    }
    None
}

/// What stands behind the first CRLF, if no other control stands before it: those need a closer look.
#[inline(always)]
fn behind_line(line: &[u8]) -> Option<&[u8]> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut rest = line;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        // The highest bit of the first octet below the space; bits of later ones may be wrong, as the subtraction carries.
        let controls = eight.wrapping_sub(0x20 * EACH) & !eight & (0x80 * EACH);
        if controls != 0 {
            return rest.get((controls.trailing_zeros() / 8) as usize..)?.strip_prefix(b"\r\n");
        }
        rest = behind;
    }
    while let [octet, behind @ ..] = rest {
        if *octet < b' ' {
            return rest.strip_prefix(b"\r\n");
        }
        rest = behind;
    }
    None
}

/// The code that three digits are, 200 to 599.
#[inline(always)]
const fn code(digits: &[u8; 3]) -> Option<u16> {
    match *digits {
        [hundreds @ b'2'..=b'5', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some((hundreds - b'0') as u16 * 100 + (tens - b'0') as u16 * 10 + (ones - b'0') as u16)
        }
        _ => None,
    }
}

impl<'b> RawReply<'b> {
    /// The code of three digits, 200 to 599.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The lines behind their codes. What is not UTF-8 is replaced.
    pub fn lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        lines(&self.wire, &self.ends).map(String::from_utf8_lossy)
    }

    /// The enhanced code at the front of the text, if it fits the code.
    ///
    /// ```
    /// use pillarbox_core::EnhancedCode;
    /// use pillarbox_smtp::reply_parser::{ReplyLimits, ReplyParser};
    ///
    /// let mut wire = &b"250 2.1.5 ok\r\n"[..];
    /// let reply = ReplyParser::new(ReplyLimits::default()).parse(&mut wire).unwrap().unwrap();
    /// assert_eq!(reply.enhanced_code(), Some(EnhancedCode::new(2, 1, 5)));
    /// ```
    #[inline]
    pub fn enhanced_code(&self) -> Option<EnhancedCode> {
        self.taken(lines(&self.wire, &self.ends).next()?).map(|(code, _)| code)
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> RawReply<'static> {
        RawReply { code: self.code, wire: Cow::Owned(self.wire.into_owned()), ends: self.ends }
    }

    /// The lines as a text of their own, with codes and line ends. What is not UTF-8 is replaced.
    pub(crate) fn to_text(&self) -> (Text<'static>, Ends) {
        if all(&self.wire, |octet| octet.is_ascii()) {
            return (Text::from_checked_vec(self.wire.to_vec()), self.ends);
        }
        // The ends may be elsewhere now.
        (String::from_utf8_lossy(&self.wire).into_owned().into(), Ends::default())
    }

    /// An enhanced code and the text behind it.
    #[inline]
    fn taken<'t>(&self, line: &'t [u8]) -> Option<(EnhancedCode, &'t [u8])> {
        // RFC 2034 §4: the class says the same as the first digit of the reply; what says something else is text.
        EnhancedCode::take_octets(line).filter(|(code, _)| u16::from(code.class) == self.code / 100)
    }

    /// The reply with its enhanced code taken out of the text (RFC 2034 §4) and controls replaced.
    pub fn to_reply(&self) -> Reply {
        let mut lines = lines(&self.wire, &self.ends);
        let first = lines.next().unwrap_or_default();
        let (enhanced, first) = self.taken(first).map_or((None, first), |(code, rest)| (Some(code), rest));
        let mut text = first.to_vec();
        for line in lines {
            text.push(b'\n');
            match self.taken(line) {
                Some((code, rest)) if Some(code) == enhanced => text.extend_from_slice(rest),
                _ => text.extend_from_slice(line),
            }
        }
        Reply::from_octets(self.code, enhanced, text)
    }
}

/// The texts of the lines of a reply as [`RawReply`] keeps them.
#[inline]
pub(crate) fn lines<'b>(wire: &'b [u8], ends: &'b Ends) -> Lines<'b> {
    Lines { wire, start: 0, ends: ends.known[..usize::from(ends.count)].iter(), complete: ends.complete }
}

/// Goes over the lines of a reply.
pub(crate) struct Lines<'b> {
    wire: &'b [u8],
    start: usize,
    /// The ends that are known.
    ends: slice::Iter<'b, u16>,
    complete: bool,
}

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'b [u8]> {
        let end = match self.ends.next() {
            Some(end) => usize::from(*end),
            None if self.start >= self.wire.len() => return None,
            None if self.complete => self.wire.len(),
            None => self.start + memchr(b'\n', &self.wire[self.start..])? + 1,
        };
        // Behind the code is one octet, or nothing; at the end a CRLF.
        let line = self.wire.get(self.start + 4..end - 2).unwrap_or_default();
        self.start = end;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    /// All replies of `input`, shown in pieces that end at the cuts, and the error that ended them.
    fn replies(input: &[u8], cuts: &[usize], limits: &ReplyLimits) -> (Vec<RawReply<'static>>, Option<ReplyError>) {
        let mut ends = cuts.iter().map(|cut| cut % (input.len() + 1)).chain([input.len()]).collect::<Vec<_>>();
        ends.sort_unstable();
        let mut parser = ReplyParser::new(limits.clone());
        let (mut replies, mut start) = (Vec::new(), 0);
        for end in ends {
            loop {
                let mut unread = &input[start..end];
                let parsed = parser.parse(&mut unread);
                start = end - unread.len();
                match parsed {
                    Ok(Some(reply)) => replies.push(reply.into_owned()),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
                assert!(parser.wire.len() <= limits.reply_max + 5 * limits.lines_max);
            }
            assert!(end - start < limits.line_max, "more is left to the caller than was promised");
        }
        (replies, None)
    }

    fn one(input: &[u8]) -> Result<RawReply<'static>, Option<ReplyError>> {
        let (mut all, error) = replies(input, &[], &ReplyLimits::default());
        assert!(all.len() < 2);
        all.pop().ok_or(error)
    }

    #[test]
    fn replies_and_what_is_none() {
        let text = |input: &[u8]| one(input).map(|reply| reply.to_reply().to_string());
        assert_eq!(text(b"250 ok\r\n"), Ok("250 ok".into()));
        assert_eq!(text(b"250\r\n"), Ok("250 ".into()));
        assert_eq!(text(b"250-\r\n250\r\n"), Ok("250  ".into()));
        assert_eq!(text(b"550-5.1.1 no\r\n550 5.1.1 user\r\n"), Ok("550 5.1.1 no user".into()));
        // A class that denies the code is text.
        assert_eq!(one(b"250 5.1.1 fine\r\n").map(|reply| reply.to_reply().enhanced_code()), Ok(None));
        assert_eq!(
            one(b"550 \xff\x1b[2J\r\n").map(|reply| reply.to_reply().text().into()),
            Ok("\u{fffd}?[2J".to_string())
        );
        for (input, error) in [
            (&b"2500 x\r\n"[..], ReplyError::Syntax),
            (b"25\r\n", ReplyError::Syntax),
            (b"\r\n", ReplyError::Syntax),
            (b"250+x\r\n", ReplyError::Syntax),
            (b"-250 x\r\n", ReplyError::Syntax),
            (b"150 x\r\n", ReplyError::Syntax),
            (b"650 x\r\n", ReplyError::Syntax),
            (b"+OK x\r\n", ReplyError::Syntax),
            (b"250-mx\r\n251 x\r\n", ReplyError::CodesDiffer),
            (b"250-a\r\n550 b\r\n", ReplyError::CodesDiffer),
            (b"550 a\n250 b\r\n", ReplyError::ForbiddenOctet),
            (b"550 a\r250 b\r\n", ReplyError::ForbiddenOctet),
            (b"550 a\0b\r\n", ReplyError::ForbiddenOctet),
        ] {
            assert_eq!(one(input), Err(Some(error)), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn long_lines_are_cut_and_endless_replies_refused() {
        let long = |count: usize| [b"250 ", &*vec![b'x'; count], b"\r\n"].concat();
        assert_eq!(one(&long(2042)).unwrap().lines().next().unwrap().len(), 2042);
        assert_eq!(one(&long(2043)).unwrap().lines().next().unwrap().len(), 2042);
        assert_eq!(one(&long(60_000)).unwrap().lines().next().unwrap().len(), 2042);
        assert_eq!(one(&long(10_000_000)), Err(Some(ReplyError::TooLong)));
        // It is refused before the end of the line comes.
        assert_eq!(one(&long(70_000)[..70_000]), Err(Some(ReplyError::TooLong)));

        let many = |count: usize| [b"250-x\r\n".repeat(count - 1), b"250 x\r\n".to_vec()].concat();
        assert_eq!(one(&many(128)).unwrap().lines().count(), 128);
        assert_eq!(one(&many(129)), Err(Some(ReplyError::TooLong)));
        assert_eq!(one(&many(100_000)), Err(Some(ReplyError::TooLong)));
        let wide = [b"250-", &vec![b'x'; 1000][..], b"\r\n"].concat().repeat(100);
        assert_eq!(one(&wide), Err(Some(ReplyError::TooLong)));
    }

    proptest! {
        #[test]
        fn any_octets_any_cuts(
            input in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n 2250-5"[..])], 0..200),
            cuts in prop::collection::vec(any::<usize>(), 0..6),
        ) {
            let limits = ReplyLimits { line_max: 16, lines_max: 3, reply_max: 40 };
            let drip = (0..input.len()).collect::<Vec<_>>();
            let whole = replies(&input, &[], &limits);
            prop_assert_eq!(&replies(&input, &cuts, &limits), &whole);
            prop_assert_eq!(&replies(&input, &drip, &limits), &whole);
            for reply in &whole.0 {
                prop_assert!((200..600).contains(&reply.to_reply().code()));
            }
        }

        #[test]
        fn replies_any_cuts(
            lines in prop::collection::vec(("(250|251)", "[- ]", "[a-z\\r\\n]{0,16}", "(\\r\\n|\\r|\\n)"), 0..12),
            cuts in prop::collection::vec(any::<usize>(), 0..6),
        ) {
            let input = lines.iter().map(|(a, b, c, d)| [&a[..], b, c, d].concat()).collect::<String>();
            let limits = ReplyLimits { line_max: 16, lines_max: 3, reply_max: 40 };
            let whole = replies(input.as_bytes(), &[], &limits);
            prop_assert_eq!(replies(input.as_bytes(), &cuts, &limits), whole);
        }
    }
}
