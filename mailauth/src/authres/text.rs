//! The words and values of the field.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::{self, Write};

/// A value of the field: any text in one line, at most 490 octets.
///
/// Made of anything that prints, so that a domain, an address or a number needs no string in between. What no header can
/// carry is taken out on the way: a control (line ends first of all) becomes `?`, a tab a space, and what is too long ends
/// early. No domain (253 octets), address (254) or identity of a signature that names them loses anything by that.
///
/// ```
/// use pillarbox_auth::authres::Text;
///
/// assert_eq!(Text::new("a\r\nBcc: b@example.org").as_str(), "a??Bcc: b@example.org");
/// assert_eq!(Text::new(std::net::Ipv4Addr::LOCALHOST).as_str(), "127.0.0.1");
/// assert_eq!(Text::new("x".repeat(1000)).as_str().len(), 490);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Text(String);

/// Octets of a text. Quoted with a backslash before each, with quotes and a space before, it fits into one line of 998
/// octets (RFC 5322 §2.1.1): a text without spaces cannot be folded.
pub(super) const TEXT_MAX: usize = 490;

impl Text {
    /// The text of something.
    pub fn new(value: impl fmt::Display) -> Self {
        let mut text = Text::default();
        // It stops, by an error, where the text is full.
        let _ = write!(text, "{value}");
        text
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // What nearly all of them are.
        if part.len() <= TEXT_MAX - self.0.len() && part.bytes().all(|octet| matches!(octet, b' '..=b'~')) {
            self.0.push_str(part);
            return Ok(());
        }
        for c in part.chars() {
            let c = match c {
                '\t' => ' ',
                c if c.is_control() => '?',
                c => c,
            };
            if self.0.len() + c.len_utf8() > TEXT_MAX {
                return Err(fmt::Error);
            }
            self.0.push(c);
        }
        Ok(())
    }
}

impl fmt::Display for Text {
    /// The text without any quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word of the field: the name of a method, a result, a property (`Keyword`, RFC 8601 §2.2): letters, digits and hyphens,
/// and the underscores that some hosts write, 64 at most. Kept in small letters, as case does not count.
///
/// ```
/// use pillarbox_auth::authres::Keyword;
///
/// assert_eq!(Keyword::new("DKIM")?, Keyword::DKIM);
/// assert!(Keyword::new("a b").is_err());
/// # Ok::<(), pillarbox_auth::authres::KeywordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Keyword(Cow<'static, str>);

/// Not a word of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a word of letters, digits and hyphens")]
#[non_exhaustive]
pub struct KeywordError;

/// No registered word has more than 20 octets.
pub(super) const KEYWORD_MAX: usize = 64;

impl Keyword {
    /// Sender Policy Framework.
    pub const SPF: Keyword = Keyword::fixed("spf");
    /// DomainKeys Identified Mail.
    pub const DKIM: Keyword = Keyword::fixed("dkim");
    /// Domain-based Message Authentication, Reporting, and Conformance.
    pub const DMARC: Keyword = Keyword::fixed("dmarc");
    /// Authenticated Received Chain.
    pub const ARC: Keyword = Keyword::fixed("arc");
    /// The name of the client's address, there and back.
    pub const IPREV: Keyword = Keyword::fixed("iprev");
    /// A login.
    pub const AUTH: Keyword = Keyword::fixed("auth");
    /// The command MAIL FROM.
    pub const MAILFROM: Keyword = Keyword::fixed("mailfrom");
    /// The command HELO or EHLO.
    pub const HELO: Keyword = Keyword::fixed("helo");
    /// The field From.
    pub const FROM: Keyword = Keyword::fixed("from");

    /// A word that is known when the program is written.
    ///
    /// # Panics
    ///
    /// If it is none, or has capital letters; as a constant, when it is compiled.
    pub const fn fixed(word: &'static str) -> Self {
        let octets = word.as_bytes();
        assert!(!octets.is_empty() && octets.len() <= KEYWORD_MAX, "a word of the field has 1 to 64 octets");
        let mut at = 0;
        while at < octets.len() {
            let fits = is_keyword_octet(octets[at]) && !octets[at].is_ascii_uppercase();
            assert!(fits, "a word of the field has small letters, digits and hyphens");
            at += 1;
        }
        Keyword(Cow::Borrowed(word))
    }

    /// A word that comes from elsewhere.
    ///
    /// # Errors
    ///
    /// [`KeywordError`] if it has no octet, more than 64, or others than letters, digits, hyphens and underscores.
    pub fn new(word: &str) -> Result<Self, KeywordError> {
        if word.is_empty() || word.len() > KEYWORD_MAX || !word.bytes().all(is_keyword_octet) {
            return Err(KeywordError);
        }
        Ok(Keyword(Cow::Owned(word.to_ascii_lowercase())))
    }

    /// The word in small letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) const fn is_keyword_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

impl PartialEq<str> for Keyword {
    fn eq(&self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
