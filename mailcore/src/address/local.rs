//! The local part: dot-string or quoted string.

use alloc::borrow::Cow;
use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::error::sharpen;
use super::{AddressError, AddressFault, LOCAL_PART_MAX};
use crate::Text;

/// The part of an address before the `@`, in the form it came in (`Local-part` of RFC 5321 §4.1.2).
///
/// Its meaning belongs to the host that the domain names: case counts here, and nothing is folded or cut. Quoting does not
/// count: local parts are equal, ordered and hashed by [`unquoted`](LocalPart::unquoted).
///
/// ```
/// use pillarbox_core::address::LocalPart;
///
/// let local = LocalPart::parse(r#""joe\ doe""#)?;
/// assert_eq!(local.as_str(), r#""joe\ doe""#);
/// assert_eq!(local.unquoted(), "joe doe");
/// assert_eq!(local.canonical(), r#""joe doe""#);
/// assert_eq!(local, LocalPart::from_unquoted("joe doe")?);
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LocalPart<'a>(Text<'a>);

impl<'a> LocalPart<'a> {
    /// Parses a local part of ASCII characters: a dot-string or a quoted string.
    ///
    /// # Errors
    ///
    /// [`AddressError`] says what is wrong and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, AddressError> {
        LocalPart::parse_with(text, false)
    }

    /// Parses a local part that may hold any UTF-8 (RFC 6531 §3.3).
    ///
    /// # Errors
    ///
    /// As [`LocalPart::parse`].
    pub fn parse_utf8(text: &'a str) -> Result<Self, AddressError> {
        LocalPart::parse_with(text, true)
    }

    fn parse_with(text: &'a str, utf8: bool) -> Result<Self, AddressError> {
        let end = scan(text, utf8)?;
        if text.is_empty() {
            return Err(AddressError::new(AddressFault::EmptyLocalPart, 0));
        }
        if end < text.len() {
            return Err(sharpen(AddressFault::UnexpectedOctet, text, end, utf8));
        }
        Ok(LocalPart(text.into()))
    }

    /// Makes a local part from the name it means, quoted if it has to be.
    ///
    /// # Errors
    ///
    /// [`AddressError`] if the name holds a control octet, or is longer than 252 octets when quoted.
    pub fn from_unquoted(name: &str) -> Result<LocalPart<'static>, AddressError> {
        if let Some((at, _)) = name.char_indices().find(|(_, c)| c.is_control()) {
            return Err(AddressError::new(AddressFault::Control, at));
        }
        let wire = quote(name);
        if wire.len() > LOCAL_PART_MAX {
            return Err(AddressError::new(AddressFault::LocalPartTooLong, LOCAL_PART_MAX));
        }
        Ok(LocalPart(wire.into_owned().into()))
    }

    /// For text that [`scan`] has gone through.
    pub(super) const fn from_checked(text: Text<'a>) -> Self {
        LocalPart(text)
    }

    /// The form it came in, quotes and backslashes included.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The octets of that form.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The name it means: without quotes and backslashes. **Not for the wire**: an address put together from this is
    /// another address, or none.
    pub fn unquoted(&self) -> Cow<'_, str> {
        let Some(inner) = self.inner() else { return Cow::Borrowed(self.as_str()) };
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        Cow::Owned(self.meaning().collect())
    }

    /// The form with the fewest quotes and backslashes that means the same.
    pub fn canonical(&self) -> Cow<'_, str> {
        if !self.is_quoted() {
            return Cow::Borrowed(self.as_str());
        }
        match self.unquoted() {
            Cow::Borrowed(name) => quote(name),
            Cow::Owned(name) => Cow::Owned(quote(&name).into_owned()),
        }
    }

    /// Whether it came as a quoted string.
    pub fn is_quoted(&self) -> bool {
        self.as_bytes().starts_with(b"\"")
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> LocalPart<'static> {
        LocalPart(self.0.into_owned())
    }

    /// What stands between the quotes, if there are any.
    fn inner(&self) -> Option<&str> {
        self.is_quoted().then(|| self.as_str())?.strip_prefix('"')?.strip_suffix('"')
    }

    /// The characters of the name it means.
    fn meaning(&self) -> impl Iterator<Item = char> + '_ {
        let quoted = self.inner();
        let mut chars = quoted.unwrap_or_else(|| self.as_str()).chars();
        core::iter::from_fn(move || match chars.next() {
            Some('\\') if quoted.is_some() => chars.next(),
            c => c,
        })
    }
}

impl fmt::Display for LocalPart<'_> {
    /// The form it came in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// RFC 5321 §4.1.2: quoting is a way of writing, not a part of the name.
impl PartialEq for LocalPart<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.meaning().eq(other.meaning())
    }
}

impl Eq for LocalPart<'_> {}

impl Hash for LocalPart<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for c in self.meaning() {
            c.hash(state);
        }
        state.write_u8(0xff);
    }
}

impl PartialOrd for LocalPart<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LocalPart<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.meaning().cmp(other.meaning())
    }
}

/// The end of the local part that `text` begins with: 0 if there is none, and at most the place of an octet that cannot
/// belong to it.
pub(super) fn scan(text: &str, utf8: bool) -> Result<usize, AddressError> {
    let end = if text.starts_with('"') { scan_quoted(text, utf8)? } else { scan_dot_string(text, utf8)? };
    if end > LOCAL_PART_MAX {
        return Err(AddressError::new(AddressFault::LocalPartTooLong, LOCAL_PART_MAX));
    }
    Ok(end)
}

/// RFC 5321 §4.1.2: `Dot-string = Atom *("." Atom)`.
fn scan_dot_string(text: &str, utf8: bool) -> Result<usize, AddressError> {
    let end = text.find(|c| c != '.' && !is_atext(c, utf8)).unwrap_or(text.len());
    let dots = &text.as_bytes()[..end];
    for (at, _) in dots.iter().enumerate().filter(|(_, octet)| **octet == b'.') {
        if at == 0 || at + 1 == end || dots[at - 1] == b'.' {
            return Err(AddressError::new(AddressFault::Dot, at));
        }
    }
    Ok(end)
}

/// RFC 5321 §4.1.2: `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`.
fn scan_quoted(text: &str, utf8: bool) -> Result<usize, AddressError> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        let (at, c) = match c {
            '"' => return Ok(at + 1),
            // quoted-pairSMTP: a backslash and a graphic or space, never a character beyond ASCII.
            '\\' => match chars.next() {
                Some((_, ' '..='~')) => continue,
                Some((at, c)) if c.is_ascii() => (at, c),
                Some((at, _)) => return Err(sharpen(AddressFault::UnexpectedOctet, text, at, utf8)),
                None => break,
            },
            c => (at, c),
        };
        if c.is_control() || !(c.is_ascii() || utf8) {
            let fault = if c.is_control() { AddressFault::Control } else { AddressFault::NonAscii };
            return Err(sharpen(fault, text, at, utf8));
        }
    }
    Err(AddressError::new(AddressFault::UnclosedQuote, text.len()))
}

/// RFC 5322 §3.2.3, RFC 6531 §3.3.
fn is_atext(c: char, utf8: bool) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^' | '_' | '`' | '{' | '|' | '}'
        | '~' => true,
        // The controls U+0080 to U+009F are shut out with those of ASCII: they steer terminals.
        c => utf8 && !c.is_ascii() && !c.is_control(),
    }
}

/// The one serialiser of names: a dot-string where that is possible, else a quoted string with a backslash before quotes and
/// backslashes only.
fn quote(name: &str) -> Cow<'_, str> {
    if !name.is_empty() && scan_dot_string(name, true) == Ok(name.len()) {
        return Cow::Borrowed(name);
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Cow::Owned(quoted)
}
