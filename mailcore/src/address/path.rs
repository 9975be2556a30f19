//! The paths of MAIL and RCPT.

use core::fmt;

use memchr::memchr3;

use super::{Address, AddressError, AddressFault, Domain, PATH_MAX, plain};

/// Who a message is from, as MAIL says it (`Reverse-path` of RFC 5321 §4.1.2).
///
/// ```
/// use pillarbox_core::address::ReversePath;
///
/// let (path, rest) = ReversePath::take(b"<joe@example.org> SIZE=10", false)?;
/// assert_eq!(path.address().unwrap().local().as_str(), "joe");
/// assert_eq!(rest, b" SIZE=10");
/// assert_eq!(ReversePath::take(b"<>", false)?.0, ReversePath::Null);
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath<'a> {
    /// `<>`: a report that must never be answered with another (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Address(Address<'a>),
}

/// Who a message is for, as RCPT says it (`Forward-path` of RFC 5321 §4.1.2, §4.1.1.3).
///
/// ```
/// use pillarbox_core::address::ForwardPath;
///
/// let (path, rest) = ForwardPath::take(b"<@relay.example:joe@example.org>", false)?;
/// assert_eq!(path.to_string(), "<joe@example.org>");
/// assert!(rest.is_empty());
/// assert_eq!(ForwardPath::take(b"<POSTMASTER>", false)?.0, ForwardPath::Postmaster);
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardPath<'a> {
    /// `<Postmaster>` without a domain, in any case of letters (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Address(Address<'a>),
}

impl<'a> ReversePath<'a> {
    /// Takes a path off the front of `input` and gives what follows it. A source route is checked and dropped. `utf8` says
    /// whether characters beyond ASCII are allowed, as they are in a transaction with SMTPUTF8 (RFC 6531 §3.3).
    ///
    /// # Errors
    ///
    /// [`AddressError`] says what is wrong and at which octet of `input`.
    pub fn take(input: &'a [u8], utf8: bool) -> Result<(Self, &'a [u8]), AddressError> {
        if let Some(plain) = ReversePath::take_plain(input) {
            return Ok(plain);
        }
        let (address, rest) = take_carefully(input, utf8)?;
        Ok((address.map_or(ReversePath::Null, ReversePath::Address), rest))
    }

    /// The same for the form that nearly all paths have: a dot-string at a name, all of it ASCII. `None` says nothing about others
    /// but that [`take`](ReversePath::take) has to look at them.
    #[inline(always)]
    pub fn take_plain(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        plain::take(input).map(|(address, rest)| (ReversePath::Address(address), rest))
    }

    /// The mailbox, if the path is not null.
    pub const fn address(&self) -> Option<&Address<'a>> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }

    /// Whether this is the null path.
    pub const fn is_null(&self) -> bool {
        matches!(self, ReversePath::Null)
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> ReversePath<'static> {
        match self {
            ReversePath::Null => ReversePath::Null,
            ReversePath::Address(address) => ReversePath::Address(address.into_owned()),
        }
    }
}

impl<'a> ForwardPath<'a> {
    /// Takes a path off the front of `input` and gives what follows it. A source route is checked and dropped. `utf8` says
    /// whether characters beyond ASCII are allowed, as they are in a transaction with SMTPUTF8 (RFC 6531 §3.3).
    ///
    /// # Errors
    ///
    /// [`AddressError`] says what is wrong and at which octet of `input`.
    pub fn take(input: &'a [u8], utf8: bool) -> Result<(Self, &'a [u8]), AddressError> {
        if let Some(plain) = ForwardPath::take_plain(input) {
            return Ok(plain);
        }
        // RFC 5321 §4.1.1.3
        if let Some((path, rest)) = input.split_at_checked("<postmaster>".len())
            && path.eq_ignore_ascii_case(b"<postmaster>")
        {
            return Ok((ForwardPath::Postmaster, rest));
        }
        match take_carefully(input, utf8)? {
            (Some(address), rest) => Ok((ForwardPath::Address(address), rest)),
            (None, _) => Err(AddressError::new(AddressFault::EmptyPath, 1)),
        }
    }

    /// The same for the form that nearly all paths have: a dot-string at a name, all of it ASCII. `None` says nothing about others
    /// but that [`take`](ForwardPath::take) has to look at them.
    #[inline(always)]
    pub fn take_plain(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        plain::take(input).map(|(address, rest)| (ForwardPath::Address(address), rest))
    }

    /// The mailbox, if the path has a domain.
    pub const fn address(&self) -> Option<&Address<'a>> {
        match self {
            ForwardPath::Postmaster => None,
            ForwardPath::Address(address) => Some(address),
        }
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> ForwardPath<'static> {
        match self {
            ForwardPath::Postmaster => ForwardPath::Postmaster,
            ForwardPath::Address(address) => ForwardPath::Address(address.into_owned()),
        }
    }
}

impl fmt::Display for ReversePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Address(address) => write!(f, "<{address}>"),
        }
    }
}

impl fmt::Display for ForwardPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("<Postmaster>"),
            ForwardPath::Address(address) => write!(f, "<{address}>"),
        }
    }
}

impl<'a> From<Address<'a>> for ReversePath<'a> {
    fn from(address: Address<'a>) -> Self {
        ReversePath::Address(address)
    }
}

impl<'a> From<Address<'a>> for ForwardPath<'a> {
    fn from(address: Address<'a>) -> Self {
        ForwardPath::Address(address)
    }
}

/// Takes any path off the front, `None` for an empty one.
#[cold]
pub(super) fn take_carefully(input: &[u8], utf8: bool) -> Result<(Option<Address<'_>>, &[u8]), AddressError> {
    let (content, rest) = split(input, utf8)?;
    if content.is_empty() {
        return Ok((None, rest));
    }
    Ok((Some(parse(content, utf8)?), rest))
}

/// Splits `<content>` off the front. A `>` between quotes does not close the path.
fn split(input: &[u8], utf8: bool) -> Result<(&str, &[u8]), AddressError> {
    if input.first() != Some(&b'<') {
        return Err(AddressError::new(AddressFault::MissingOpen, 0));
    }
    let end = find_close(input)?;
    if end + 1 > PATH_MAX {
        return Err(AddressError::new(AddressFault::PathTooLong, PATH_MAX));
    }
    let content = &input[1..end];
    let text = core::str::from_utf8(content).map_err(|error| {
        let fault = if utf8 { AddressFault::InvalidUtf8 } else { AddressFault::NonAscii };
        // Without SMTPUTF8 the first octet beyond ASCII is the one to point at, valid or not.
        let at = if utf8 { error.valid_up_to() } else { content.iter().take_while(|octet| octet.is_ascii()).count() };
        AddressError::new(fault, at + 1)
    })?;
    Ok((text, &input[end + 1..]))
}

/// The place of the `>` that closes the path.
fn find_close(input: &[u8]) -> Result<usize, AddressError> {
    let mut at = 1;
    let mut quoted = false;
    while let Some(found) = memchr3(b'"', b'\\', b'>', &input[at.min(input.len())..]) {
        at += found;
        match input[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b'>' if !quoted => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    let fault = if quoted { AddressFault::UnclosedQuote } else { AddressFault::MissingClose };
    Err(AddressError::new(fault, input.len()))
}

/// Parses what stands between `<` and `>`.
fn parse(content: &str, utf8: bool) -> Result<Address<'_>, AddressError> {
    let mailbox = skip_source_route(content, utf8)?;
    let start = 1 + content.len() - mailbox.len();
    Address::parse_with(mailbox, utf8).map_err(|error| error.moved(start))
}

/// RFC 5321 §4.1.2: `A-d-l = At-domain *("," At-domain)`, ended by a colon. §4.1.1.3 and appendix C: servers take it and
/// ignore it, so that nobody is relayed for on its account.
fn skip_source_route(content: &str, utf8: bool) -> Result<&str, AddressError> {
    if !content.starts_with('@') {
        return Ok(content);
    }
    let mut rest = content;
    loop {
        let at = 1 + content.len() - rest.len();
        let wrong = AddressError::new(AddressFault::SourceRoute, at);
        let hop = rest.strip_prefix('@').ok_or(wrong)?;
        // A literal holds colons of its own.
        let literal = if hop.starts_with('[') { hop.find(']').ok_or(wrong)? } else { 0 };
        let end = literal + hop[literal..].find([',', ':']).ok_or(wrong)?;
        Domain::parse_with(&hop[..end], utf8).map_err(|error| error.moved(at + 1))?;
        rest = &hop[end + 1..];
        if hop.as_bytes()[end] == b':' {
            return Ok(rest);
        }
    }
}
