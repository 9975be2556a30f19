//! Envelope addresses: local part, domain, mailbox, and the paths of MAIL and RCPT (RFC 5321 §4.1.2, §4.1.3, RFC 6531 §3.3).
//!
//! An address keeps the bytes it came with. Parsing copies nothing; `into_owned()` copies once. There is one serialiser
//! that quotes, [`LocalPart::canonical`], and nobody else puts a local part together.

mod domain;
mod error;
mod local;
mod path;
mod plain;

use core::fmt;
use core::str::FromStr;

pub use domain::{Domain, DomainKind};
pub use error::{AddressError, AddressFault};
pub use local::LocalPart;
pub use path::{ForwardPath, ReversePath};

/// The longest path in octets, `<` and `>` counted (RFC 5321 §4.5.3.1.3).
const PATH_MAX: usize = 256;

/// The longest local part: what a path has room for beside `<`, `@`, a domain of one octet and `>`.
// RFC 5321 §4.5.3.1.1 has 64, but §4.5.3.1 asks to receive more where possible, and mailing lists and forwarders (VERP, SRS)
// write the addresses of others into local parts of their own. Nothing here holds less than a path.
const LOCAL_PART_MAX: usize = PATH_MAX - 4;

/// A mailbox: local part, `@`, domain (`Mailbox` of RFC 5321 §4.1.2).
///
/// Two addresses are equal if they name the same mailbox: quoting does not count (RFC 5321 §4.1.2), nor does the case of
/// the domain (§2.4). The case of the local part does.
///
/// ```
/// use pillarbox_core::address::Address;
///
/// let address = Address::parse(r#""x> y"@Example.ORG"#)?;
/// assert_eq!(address.local().unquoted(), "x> y");
/// assert_eq!(address.domain().as_str(), "Example.ORG");
/// assert_eq!(address.to_string(), r#""x> y"@Example.ORG"#);
/// assert_eq!(Address::parse(r#""joe"@example.org"#)?, Address::parse("joe@EXAMPLE.org")?);
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address<'a> {
    local: LocalPart<'a>,
    domain: Domain<'a>,
}

impl<'a> Address<'a> {
    /// Puts an address together.
    ///
    /// # Errors
    ///
    /// [`AddressFault::PathTooLong`] if it would be longer than 254 octets.
    pub fn new(local: LocalPart<'a>, domain: Domain<'a>) -> Result<Self, AddressError> {
        let length = local.as_bytes().len() + 1 + domain.as_bytes().len();
        check_length(length)?;
        Ok(Address { local, domain })
    }

    /// Parses an address of ASCII characters.
    ///
    /// # Errors
    ///
    /// [`AddressError`] says what is wrong and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, AddressError> {
        Address::parse_with(text, false)
    }

    /// Parses an address that may hold any UTF-8 (RFC 6531 §3.3).
    ///
    /// # Errors
    ///
    /// As [`Address::parse`].
    pub fn parse_utf8(text: &'a str) -> Result<Self, AddressError> {
        Address::parse_with(text, true)
    }

    fn parse_with(text: &'a str, utf8: bool) -> Result<Self, AddressError> {
        let local_end = local::scan(text, utf8)?;
        if local_end == text.len() {
            return Err(AddressError::new(AddressFault::MissingAt, local_end));
        }
        if text.as_bytes()[local_end] != b'@' {
            let fault = if local_end == 0 { AddressFault::EmptyLocalPart } else { AddressFault::UnexpectedOctet };
            return Err(error::sharpen(fault, text, local_end, utf8));
        }
        if local_end == 0 {
            return Err(AddressError::new(AddressFault::EmptyLocalPart, 0));
        }
        let domain = Domain::parse_with(&text[local_end + 1..], utf8).map_err(|e| e.moved(local_end + 1))?;
        check_length(text.len())?;
        Ok(Address { local: LocalPart::from_checked(text[..local_end].into()), domain })
    }

    /// The part before the last `@` that is not quoted.
    pub const fn local(&self) -> &LocalPart<'a> {
        &self.local
    }

    /// The part behind it.
    pub const fn domain(&self) -> &Domain<'a> {
        &self.domain
    }

    /// Whether the address can be used without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.local.as_bytes().is_ascii() && self.domain.as_bytes().is_ascii()
    }

    /// The same address with bytes of its own.
    pub fn into_owned(self) -> Address<'static> {
        Address { local: self.local.into_owned(), domain: self.domain.into_owned() }
    }

    /// The parts.
    pub fn into_parts(self) -> (LocalPart<'a>, Domain<'a>) {
        (self.local, self.domain)
    }
}

impl fmt::Display for Address<'_> {
    /// The address as it came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl FromStr for Address<'static> {
    type Err = AddressError;

    /// Parses any UTF-8, for addresses from configuration; see [`Address::is_ascii`].
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Address::parse_utf8(text).map(Address::into_owned)
    }
}

fn check_length(length: usize) -> Result<(), AddressError> {
    // RFC 5321 §4.5.3.1.3
    if length > PATH_MAX - 2 {
        return Err(AddressError::new(AddressFault::PathTooLong, PATH_MAX - 2));
    }
    Ok(())
}
