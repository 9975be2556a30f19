//! The domain: a name or an address literal.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::sharpen;
use super::{AddressError, AddressFault};
use crate::Text;

/// The part of an address behind the `@`, or the name in EHLO: a domain name or an address literal, in the form it came in
/// (`Domain` and `address-literal` of RFC 5321 §4.1.2 and §4.1.3).
///
/// Names are equal whatever the case of their ASCII letters (RFC 5321 §2.4), literals if they hold the same address.
///
/// ```
/// use pillarbox_core::address::{Domain, DomainKind};
///
/// let domain = Domain::parse("Example.ORG")?;
/// assert_eq!(domain.as_str(), "Example.ORG");
/// assert_eq!(domain, Domain::parse("example.org")?);
///
/// let literal = Domain::parse("[IPv6:2001:db8::1]")?;
/// assert!(literal.is_literal());
/// assert_eq!(literal.ip(), Some("2001:db8::1".parse().unwrap()));
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Domain<'a> {
    text: Text<'a>,
    ip: Option<IpAddr>,
}

/// What a [`Domain`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DomainKind<'a> {
    /// A domain name, in the form it came in.
    Name(&'a str),
    /// `[192.0.2.1]`
    Ipv4(Ipv4Addr),
    /// `[IPv6:2001:db8::1]`
    Ipv6(Ipv6Addr),
}

/// RFC 1035 §2.3.4, RFC 5321 §4.5.3.1.2
pub(super) const LABEL_MAX: usize = 63;
const DOMAIN_MAX: usize = 255;

impl<'a> Domain<'a> {
    /// Parses a domain of ASCII characters.
    ///
    /// A dot at the end is refused, as RFC 5321 §4.1.2 has none. No literals are known but those of IPv4 and IPv6: no other
    /// tag was ever registered (RFC 5321 §4.1.3), and none could be delivered to.
    ///
    /// # Errors
    ///
    /// [`AddressError`] says what is wrong and at which octet.
    pub fn parse(text: &'a str) -> Result<Self, AddressError> {
        Domain::parse_with(text, false)
    }

    /// Parses a domain whose labels may be U-labels (RFC 6531 §3.3). Whether they are permitted by IDNA, and not too long
    /// as A-labels, is found out by who turns them into A-labels for the DNS.
    ///
    /// # Errors
    ///
    /// As [`Domain::parse`].
    pub fn parse_utf8(text: &'a str) -> Result<Self, AddressError> {
        Domain::parse_with(text, true)
    }

    pub(super) fn parse_with(text: &'a str, utf8: bool) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::new(AddressFault::EmptyDomain, 0));
        }
        let ip = if text.starts_with('[') {
            Some(parse_literal(text, utf8)?)
        } else {
            check_name(text, utf8)?;
            None
        };
        Ok(Domain { text: text.into(), ip })
    }

    /// For a name that was gone through.
    pub(super) const fn from_checked_name(octets: &'a [u8]) -> Self {
        Domain { text: Text::from_checked(octets), ip: None }
    }

    /// The literal of an address.
    pub fn from_ip(ip: IpAddr) -> Domain<'static> {
        let text = match ip {
            IpAddr::V4(ip) => alloc::format!("[{ip}]"),
            IpAddr::V6(ip) => alloc::format!("[IPv6:{ip}]"),
        };
        Domain { text: text.into(), ip: Some(ip) }
    }

    /// The form it came in, a literal with its brackets.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The octets of that form.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// A name, or which literal.
    pub fn kind(&self) -> DomainKind<'_> {
        match self.ip {
            None => DomainKind::Name(self.as_str()),
            Some(IpAddr::V4(ip)) => DomainKind::Ipv4(ip),
            Some(IpAddr::V6(ip)) => DomainKind::Ipv6(ip),
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        self.ip.is_none().then(|| self.as_str())
    }

    /// Whether it is an address literal.
    pub const fn is_literal(&self) -> bool {
        self.ip.is_some()
    }

    /// The address in the literal.
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Whether it is this name, whatever the case of ASCII letters.
    pub fn eq_ignore_ascii_case(&self, name: &str) -> bool {
        self.as_bytes().eq_ignore_ascii_case(name.as_bytes())
    }

    /// The same with bytes of its own.
    pub fn into_owned(self) -> Domain<'static> {
        Domain { text: self.text.into_owned(), ip: self.ip }
    }

    /// The octets that a name is compared by; of a literal only its address counts.
    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        let name = if self.ip.is_none() { self.as_bytes() } else { b"" };
        name.iter().map(u8::to_ascii_lowercase)
    }
}

impl fmt::Display for Domain<'_> {
    /// The form it came in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Domain<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.ip == other.ip && (self.ip.is_some() || self.as_bytes().eq_ignore_ascii_case(other.as_bytes()))
    }
}

impl Eq for Domain<'_> {}

impl Hash for Domain<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ip.hash(state);
        for octet in self.folded() {
            state.write_u8(octet);
        }
        state.write_u8(0xff);
    }
}

impl PartialOrd for Domain<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Domain<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ip.cmp(&other.ip).then_with(|| self.folded().cmp(other.folded()))
    }
}

/// RFC 5321 §4.1.2: `Domain = sub-domain *("." sub-domain)`.
fn check_name(text: &str, utf8: bool) -> Result<(), AddressError> {
    if let Some((at, _)) = text.char_indices().find(|(_, c)| *c != '.' && !is_label_char(*c, utf8)) {
        return Err(sharpen(AddressFault::UnexpectedOctet, text, at, utf8));
    }
    if text.len() > DOMAIN_MAX {
        return Err(AddressError::new(AddressFault::DomainTooLong, DOMAIN_MAX));
    }
    let mut start = 0;
    for label in text.split('.') {
        let end = start + label.len();
        if label.is_empty() {
            return Err(AddressError::new(AddressFault::Dot, start.min(text.len() - 1)));
        }
        if label.starts_with('-') {
            return Err(AddressError::new(AddressFault::Hyphen, start));
        }
        if label.ends_with('-') {
            return Err(AddressError::new(AddressFault::Hyphen, end - 1));
        }
        // A U-label counts by its A-label, which can be shorter or longer.
        if label.is_ascii() && label.len() > LABEL_MAX {
            return Err(AddressError::new(AddressFault::LabelTooLong, start + LABEL_MAX));
        }
        start = end + 1;
    }
    Ok(())
}

fn is_label_char(c: char, utf8: bool) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => true,
        // Deviates from RFC 5321 §4.1.2: because hosts with an underscore in their name exist in the DNS and send mail,
        // and the octet means nothing anywhere in SMTP.
        '_' => true,
        // IDNA maps these to a dot (RFC 3490 §3.1), so one reader would see other labels than the next.
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' => false,
        c => utf8 && !c.is_ascii() && !c.is_control() && !c.is_whitespace(),
    }
}

/// RFC 5321 §4.1.3
fn parse_literal(text: &str, utf8: bool) -> Result<IpAddr, AddressError> {
    let wrong = AddressError::new(AddressFault::Literal, 0);
    if let Some(at) = text.bytes().position(|octet| !octet.is_ascii_graphic()) {
        return Err(sharpen(AddressFault::UnexpectedOctet, text, at, utf8));
    }
    let content = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).ok_or(wrong)?;
    match content.split_at_checked(5) {
        Some((tag, ip)) if tag.eq_ignore_ascii_case("IPv6:") => {
            let parsed = ip.parse().map_err(|_| wrong)?;
            // RFC 5321 §4.1.3: the "::" stands for two groups or more.
            if ip.contains("::") && groups(ip) > 6 {
                return Err(wrong);
            }
            Ok(IpAddr::V6(parsed))
        }
        // Deviates from RFC 5321 §4.1.3: zeros before a number are refused, because some programs read it as octal then.
        _ => content.parse().map(IpAddr::V4).map_err(|_| wrong),
    }
}

/// How many groups of 16 bits are written out; an IPv4 address counts as two.
fn groups(ip: &str) -> usize {
    let written = ip.split(':').filter(|group| !group.is_empty());
    written.map(|group| if group.contains('.') { 2 } else { 1 }).sum()
}
