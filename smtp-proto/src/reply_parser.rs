//! Replies off the wire, as a client reads them (RFC 5321 §4.2).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use pillarbox_core::line::{LineScanner, LineSkipper, Scan, forbidden_octet};
use pillarbox_core::{EnhancedCode, Reply};

/// Puts the lines of a reply together. It takes line after line out of the caller's buffer, so what it holds and what the
/// caller must hold are both bounded by the [`ReplyLimits`].
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
    /// The lines so far.
    reply: RawReply,
    lines: usize,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawReply {
    code: u16,
    /// The lines without their codes, each behind an LF.
    text: Vec<u8>,
}

impl ReplyParser {
    /// A parser at the start of a reply.
    pub fn new(limits: ReplyLimits) -> Self {
        ReplyParser { limits, scanner: LineScanner::new(), cut: None, reply: RawReply::EMPTY, lines: 0, octets: 0 }
    }

    /// Takes whole lines off the front of `input`, up to the end of a reply. `None`: more input is needed; what is left is
    /// an unfinished line, shorter than [`ReplyLimits::line_max`].
    ///
    /// # Errors
    ///
    /// [`ReplyError`]: what the server sends is no reply, or too long for one. The parser is of no more use.
    pub fn parse(&mut self, input: &mut &[u8]) -> Result<Option<RawReply>, ReplyError> {
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
                    (self.lines, self.octets) = (0, 0);
                    return Ok(Some(mem::replace(&mut self.reply, RawReply::EMPTY)));
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
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::Syntax)?;
        let &[b'2'..=b'5', b'0'..=b'9', b'0'..=b'9'] = code else { return Err(ReplyError::Syntax) };
        let code = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        let (is_last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyError::Syntax),
        };
        if self.lines == 0 {
            self.reply.code = code;
        } else if self.reply.code != code {
            return Err(ReplyError::CodesDiffer);
        }
        self.lines += 1;
        if self.lines > self.limits.lines_max || self.reply.text.len() + text.len() >= self.limits.reply_max {
            return Err(ReplyError::TooLong);
        }
        self.reply.text.extend_from_slice(text);
        self.reply.text.push(b'\n');
        Ok(is_last)
    }
}

impl RawReply {
    /// What a parser begins with. Never shown: it has no code.
    const EMPTY: RawReply = RawReply { code: 0, text: Vec::new() };

    /// The code of three digits, 200 to 599.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The lines behind their codes. What is not UTF-8 is replaced.
    pub fn lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let text = self.text.strip_suffix(b"\n").unwrap_or(&self.text);
        text.split(|octet| *octet == b'\n').map(String::from_utf8_lossy)
    }

    /// The reply with its enhanced code taken out of the text (RFC 2034 §4) and controls replaced.
    pub fn to_reply(&self) -> Reply {
        let class = self.code / 100;
        let taken = |line: &str| {
            // RFC 2034 §4: the class says the same as the first digit of the reply; what says something else is text.
            EnhancedCode::take(line).map(|(code, _)| code).filter(|code| u16::from(code.class) == class)
        };
        let enhanced = self.lines().next().and_then(|line| taken(&line));
        let mut text = String::with_capacity(self.text.len());
        for (number, line) in self.lines().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            match EnhancedCode::take(&line) {
                Some((code, rest)) if Some(code) == enhanced => text.push_str(rest),
                _ => text.push_str(&line),
            }
        }
        match enhanced {
            Some(code) => Reply::enhanced(self.code, code.class, code.subject, code.detail, text),
            None => Reply::new(self.code, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    /// All replies of `input`, shown in pieces that end at the cuts, and the error that ended them.
    fn replies(input: &[u8], cuts: &[usize], limits: &ReplyLimits) -> (Vec<RawReply>, Option<ReplyError>) {
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
                    Ok(Some(reply)) => replies.push(reply),
                    Ok(None) => break,
                    Err(error) => return (replies, Some(error)),
                }
                assert!(parser.reply.text.len() <= limits.reply_max);
            }
            assert!(end - start < limits.line_max, "more is left to the caller than was promised");
        }
        (replies, None)
    }

    fn one(input: &[u8]) -> Result<RawReply, Option<ReplyError>> {
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
