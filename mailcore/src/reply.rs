//! SMTP and LMTP replies with enhanced status codes (RFC 5321 §4.2, RFC 2034, RFC 3463).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::Text;
use crate::octets::are_printable;

/// An enhanced status code, such as 5.1.1 (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedCode {
    /// 2 success, 4 temporary, 5 permanent.
    pub class: u8,
    /// What it is about: 0 to 999.
    pub subject: u16,
    /// The detail: 0 to 999.
    pub detail: u16,
}

impl EnhancedCode {
    /// A code from its three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        EnhancedCode { class, subject, detail }
    }

    /// Takes a code from the start of a reply text; gives the rest after one space. `None` if there is none
    /// (RFC 2034 §4: class 2, 4 or 5, then two numbers of at most three digits).
    pub fn take(text: &str) -> Option<(Self, &str)> {
        let (code, rest) = EnhancedCode::take_octets(text.as_bytes())?;
        // It is the end of the text, behind an octet of ASCII.
        Some((code, &text[text.len() - rest.len()..]))
    }

    /// The same for a text that need not be UTF-8.
    #[inline]
    pub fn take_octets(text: &[u8]) -> Option<(Self, &[u8])> {
        let [class @ (b'2' | b'4' | b'5'), b'.', rest @ ..] = text else { return None };
        if let [subject @ b'0'..=b'9', b'.', detail @ b'0'..=b'9', b' ', rest @ ..] = rest {
            let code = EnhancedCode::new(class - b'0', u16::from(subject - b'0'), u16::from(detail - b'0'));
            return Some((code, rest));
        }
        let (subject, rest) = take_number(rest)?;
        let (detail, rest) = take_number(rest.strip_prefix(b".")?)?;
        let rest = match rest {
            [] => rest,
            [b' ', rest @ ..] => rest,
            _ => return None,
        };
        Some((EnhancedCode { class: class - b'0', subject, detail }, rest))
    }
}

/// Takes a number of one to three digits.
#[inline]
fn take_number(text: &[u8]) -> Option<(u16, &[u8])> {
    let (mut number, mut rest) = (0, text);
    while let [digit @ b'0'..=b'9', behind @ ..] = rest
        && text.len() - rest.len() < 3
    {
        number = number * 10 + u16::from(digit - b'0');
        rest = behind;
    }
    (rest.len() < text.len()).then_some((number, rest))
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply: a code of three digits, maybe an enhanced code, and one or more lines of text.
///
/// The text is cleaned when the reply is made: it never holds CR, LF, NUL or another control, and the lines that are
/// written never pass 512 octets (RFC 5321 §4.5.3.1.5), so text that came from elsewhere cannot add a line.
///
/// ```
/// use pillarbox_core::Reply;
///
/// let reply = Reply::enhanced(550, 5, 1, 1, "no such user here");
/// assert_eq!(reply.to_string(), "550 5.1.1 no such user here");
/// assert!(reply.is_permanent());
///
/// let mut wire = Vec::new();
/// Reply::new(250, "mx.example\nSIZE 1000").write(&mut wire);
/// assert_eq!(wire, b"250-mx.example\r\n250 SIZE 1000\r\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    /// Lines parted by LF; no other control octet.
    text: Text<'static>,
}

/// What a line may still hold behind code, separator and enhanced code (RFC 5321 §4.5.3.1.5: 512 with CRLF).
const TEXT_MAX: usize = 512 - 2 - 4 - 10;

impl Reply {
    /// A reply without an enhanced code. LF in the text parts lines; other controls become `?`.
    ///
    /// # Panics
    ///
    /// If `code` is not in 200..=599: codes are written in the program, never taken from a peer.
    pub fn new(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Reply::with(code, None, text.into())
    }

    /// A reply with an enhanced code `class.subject.detail`.
    ///
    /// # Panics
    ///
    /// As [`Reply::new`], and if a number has more digits than RFC 2034 §4 allows: one for the class, three for the others.
    pub fn enhanced(code: u16, class: u8, subject: u16, detail: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Reply::with(code, Some(EnhancedCode::new(class, subject, detail)), text.into())
    }

    /// A reply with the text that a peer sent, which may hold anything. What is not UTF-8 is replaced.
    ///
    /// ```
    /// use pillarbox_core::Reply;
    ///
    /// assert_eq!(Reply::from_octets(250, None, b"ok \xff\x1b[2J".to_vec()).text(), "ok \u{fffd}?[2J");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Reply::enhanced`]: the codes have to be checked.
    pub fn from_octets(code: u16, enhanced: Option<EnhancedCode>, text: Vec<u8>) -> Self {
        if is_plain(&text) {
            return Reply::checked(code, enhanced, Text::from_checked_vec(text));
        }
        let text =
            String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Reply::with(code, enhanced, text.into())
    }

    fn with(code: u16, enhanced: Option<EnhancedCode>, text: Cow<'static, str>) -> Self {
        let text = if is_plain(text.as_bytes()) { text } else { clean(text) };
        Reply::checked(code, enhanced, text.into())
    }

    fn checked(code: u16, enhanced: Option<EnhancedCode>, text: Text<'static>) -> Self {
        assert!((200..=599).contains(&code), "reply code {code} is not in 200..=599");
        if let Some(EnhancedCode { class, subject, detail }) = enhanced {
            let fits = class < 10 && subject < 1000 && detail < 1000;
            assert!(fits, "enhanced code {class}.{subject}.{detail} has too many digits");
        }
        Reply { code, enhanced, text }
    }

    /// The code of three digits.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code, if the reply has one.
    pub const fn enhanced_code(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The lines of text, without code and enhanced code.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text().split('\n')
    }

    /// The text of all lines, parted by LF.
    pub fn text(&self) -> &str {
        self.text.as_str()
    }

    /// 2yz and 3yz.
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 4yz: the same command may succeed later.
    pub const fn is_temporary(&self) -> bool {
        self.code >= 400 && self.code < 500
    }

    /// 5yz.
    pub const fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Appends the reply as it goes over the wire: every line with the code, all but the last with a hyphen, every line
    /// with the enhanced code (RFC 2034 §4), each ended by CRLF.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut out = Octets(out);
        let mut lines = self.lines().peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            // Appending octets cannot fail.
            let _ = match self.enhanced {
                Some(enhanced) => write!(out, "{}{separator}{enhanced} {line}\r\n", self.code),
                None => write!(out, "{}{separator}{line}\r\n", self.code),
            };
        }
    }
}

impl fmt::Display for Reply {
    /// The reply on one line, as logs show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.lines() {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// Lets `write!` append to octets.
struct Octets<'v>(&'v mut Vec<u8>);

impl fmt::Write for Octets<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Whether a text is one line of ASCII, not too long and without controls, as most are.
fn is_plain(text: &[u8]) -> bool {
    text.len() <= TEXT_MAX && are_printable(text)
}

/// Makes text fit to stand in a reply: no control but LF between lines, lines cut at [`TEXT_MAX`] on a character border.
// Deviates from RFC 5321 §4.2: because characters beyond ASCII stay, as people read what a server says in their language, and
// programs only the codes.
fn clean(text: Cow<'static, str>) -> Cow<'static, str> {
    let fits = |line: &str| line.len() <= TEXT_MAX && !line.chars().any(char::is_control);
    if text.split('\n').all(fits) {
        return text;
    }
    let mut cleaned = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            cleaned.push('\n');
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        let start = cleaned.len();
        for c in line.chars() {
            if cleaned.len() - start + c.len_utf8() > TEXT_MAX {
                break;
            }
            cleaned.push(if c.is_control() { '?' } else { c });
        }
    }
    Cow::Owned(cleaned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_from_elsewhere_cannot_add_a_line() {
        let reply = Reply::new(550, String::from("bad \r250 ok\0\u{1b}[2J"));
        assert_eq!(reply.text(), "bad ?250 ok??[2J");
        let mut wire = Vec::new();
        Reply::enhanced(550, 5, 0, 0, "é".repeat(1000)).write(&mut wire);
        assert!(wire.len() <= 512 && wire.ends_with("é\r\n".as_bytes()));
    }

    #[test]
    fn the_longest_line_has_512_octets() {
        for enhanced in [(5, 0, 0), (5, 999, 999)] {
            let (class, subject, detail) = enhanced;
            let mut wire = Vec::new();
            Reply::enhanced(550, class, subject, detail, "x".repeat(1000)).write(&mut wire);
            assert!(wire.len() <= 512 && wire.ends_with(b"x\r\n"));
        }
        for (class, subject, detail) in [(5, 1000, 0), (5, 0, 1000), (10, 0, 0)] {
            let made = std::panic::catch_unwind(|| Reply::enhanced(550, class, subject, detail, ""));
            assert!(made.is_err(), "{class}.{subject}.{detail}");
        }
    }

    #[test]
    fn enhanced_codes_are_taken_from_text() {
        let take = |text| EnhancedCode::take(text).map(|(code, rest)| (code.to_string(), rest));
        assert_eq!(take("5.1.1 no such user"), Some(("5.1.1".into(), "no such user")));
        assert_eq!(take("2.0.0"), Some(("2.0.0".into(), "")));
        for wrong in ["3.1.1 x", "5.1 x", "5.1.1.1 x", "5.1234.1 x", "5.+1.1 x", "", "5..1", "55.1.1"] {
            assert_eq!(take(wrong), None, "{wrong}");
        }
    }
}
