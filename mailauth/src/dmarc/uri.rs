//! Where reports go: the URIs of `rua` and `ruf` (RFC 9989 §4.6, §4.8; RFC 7489 §6.2).

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::address::{Address, Domain, LocalPart};
use pillarbox_core::dns::Name;

use crate::idn;
use crate::tag_list::trim;

/// A URI that a domain wants its reports sent to.
///
/// ```
/// use pillarbox_auth::dmarc::ReportUri;
///
/// let uri = ReportUri::parse("mailto:dmarc@reports.example.org!10m").unwrap();
/// let mailbox = uri.mailbox().unwrap();
/// assert_eq!(mailbox.address().to_string(), "dmarc@reports.example.org");
/// assert!(mailbox.takes(10 * 1024 * 1024) && !mailbox.takes(10 * 1024 * 1024 + 1));
/// assert_eq!(uri.to_string(), "mailto:dmarc@reports.example.org!10485760");
///
/// let uri = ReportUri::parse("https://example.org/report").unwrap();
/// assert_eq!(uri.mailbox(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportUri {
    /// `mailto:`, the one scheme that reports are sent by (RFC 6068).
    Mailto(ReportMailbox),
    /// A URI of another scheme, as it stands in the record. Who sends reports ignores it (RFC 9989 §4.7); it still is a URI
    /// that wants some.
    Other(String),
}

/// A mailbox that wants reports, with the size that RFC 7489 let it ask for.
///
/// ```
/// use pillarbox_auth::dmarc::ReportMailbox;
///
/// let mailbox = ReportMailbox::new("\"a,b\"@Example.org".parse()?).unwrap();
/// assert_eq!(mailbox.to_string(), "mailto:%22a%2Cb%22@Example.org");
/// assert_eq!(mailbox.host().as_str(), "example.org");
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportMailbox {
    address: Address<'static>,
    host: Name,
    size_max: Option<u64>,
}

impl ReportUri {
    /// Parses one entry of a list; `None` if it is no URI, or a `mailto:` URI of anything but one mailbox in the DNS.
    pub fn parse(entry: &str) -> Option<Self> {
        // RFC 9989 §4.8: an exclamation mark in the URI itself would be encoded.
        let (text, size_max) = match memchr::memchr(b'!', entry.as_bytes()) {
            Some(at) => (&entry[..at], Some(parse_size(&entry[at + 1..])?)),
            None => (entry, None),
        };
        let colon = memchr::memchr(b':', text.as_bytes())?;
        let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
        if !is_scheme(scheme) || rest.is_empty() || !is_uri(rest) {
            return None;
        }
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Some(ReportUri::Other(entry.to_owned()));
        }
        let mailbox = ReportMailbox::new(parse_mailbox(rest)?)?;
        Some(ReportUri::Mailto(ReportMailbox { size_max, ..mailbox }))
    }

    /// The mailbox, if it is one.
    pub const fn mailbox(&self) -> Option<&ReportMailbox> {
        match self {
            ReportUri::Mailto(mailbox) => Some(mailbox),
            ReportUri::Other(_) => None,
        }
    }
}

/// URIs of a list that are kept. RFC 9990 §3.5 leaves the number to who sends reports, RFC 7489 §6.2 asks for two at least.
pub(super) const URIS_MAX: usize = 10;

/// The value of `rua` or `ruf`: the first URIs that are valid, each mailbox once.
pub(super) fn parse_list(value: &[u8]) -> Vec<ReportUri> {
    let mut uris = Vec::<ReportUri>::new();
    let entries = value.split(|octet| *octet == b',').filter_map(|entry| core::str::from_utf8(trim(entry)).ok());
    for uri in entries.filter_map(ReportUri::parse) {
        let is_same = |other: &ReportUri| match (other.mailbox(), uri.mailbox()) {
            (Some(other), Some(mailbox)) => other.address == mailbox.address,
            _ => *other == uri,
        };
        if uris.len() == URIS_MAX {
            break;
        }
        if !uris.iter().any(is_same) {
            uris.push(uri);
        }
    }
    uris
}

impl ReportMailbox {
    /// A mailbox, without a limit of size; `None` if its domain is no name in the DNS.
    pub fn new(address: Address<'static>) -> Option<Self> {
        let host = Name::parse(&idn::to_ascii(address.domain().name()?).ok()?).ok()?;
        Some(ReportMailbox { address, host, size_max: None })
    }

    /// The address.
    pub const fn address(&self) -> &Address<'static> {
        &self.address
    }

    /// Its domain as the DNS knows it: what RFC 9990 §4 calls the destination host.
    pub const fn host(&self) -> &Name {
        &self.host
    }

    /// The most octets that a report may have, as sent (RFC 7489 §6.4). RFC 9989 made this obsolete and advises to ignore
    /// it; a sender that honours it does no harm.
    pub const fn size_max(&self) -> Option<u64> {
        self.size_max
    }

    /// Whether a report of this many octets, as sent, is within [`size_max`](ReportMailbox::size_max).
    pub fn takes(&self, octets: u64) -> bool {
        self.size_max.is_none_or(|size_max| octets <= size_max)
    }
}

impl fmt::Display for ReportUri {
    /// As in a record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportUri::Mailto(mailbox) => write!(f, "{mailbox}"),
            ReportUri::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ReportMailbox {
    /// The URI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mailto:")?;
        encode(self.address.local().as_str(), f)?;
        f.write_str("@")?;
        encode(self.address.domain().as_str(), f)?;
        self.size_max.map_or(Ok(()), |size_max| write!(f, "!{size_max}"))
    }
}

/// RFC 7489 §6.4: digits and a unit, which is a power of two; all of it within 64 bits.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => 0,
        unit if unit.eq_ignore_ascii_case("k") => 10,
        unit if unit.eq_ignore_ascii_case("m") => 20,
        unit if unit.eq_ignore_ascii_case("g") => 30,
        unit if unit.eq_ignore_ascii_case("t") => 40,
        _ => return None,
    };
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

// RFC 3986 §3.1
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'))
}

/// RFC 3986 §2: reserved, unreserved and percent-encoded octets, but for those that have to be encoded in a record
/// (RFC 9989 §4.8).
fn is_uri(text: &str) -> bool {
    text.bytes().all(|octet| URI_OCTETS[usize::from(octet)])
        && memchr::memchr_iter(b'%', text.as_bytes()).all(|at| {
            let digits = text.as_bytes().get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
}

static URI_OCTETS: [bool; 256] = {
    let mut octets = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        let is_wrong = matches!(octet, b',' | b';' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
        octets[octet as usize] = octet.is_ascii_graphic() && !is_wrong;
        octet += 1;
    }
    octets
};

/// RFC 6068 §2: one mailbox, percent-encoded; fields of a header to come behind `?` are not for reports.
fn parse_mailbox(encoded: &str) -> Option<Address<'static>> {
    let encoded = memchr::memchr(b'?', encoded.as_bytes()).map_or(encoded, |at| &encoded[..at]);
    let text = decode(encoded)?;
    let at = memchr::memrchr(b'@', text.as_bytes())?;
    let (local, domain) = (&text[..at], &text[at + 1..]);
    let local = match LocalPart::parse_utf8(local) {
        Ok(local) => local,
        // `a%2Cb@example.org` is written by people who know that the comma needs something, and mean `"a,b"@example.org`.
        // With another `@` it rather is two addresses.
        Err(_) => LocalPart::from_unquoted(local).ok().filter(|_| !local.contains('@'))?,
    };
    let domain = Domain::parse_utf8(domain).ok()?;
    Some(Address::new(local, domain).ok()?.into_owned())
}

fn decode(encoded: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'%', encoded.as_bytes()).is_none() {
        return Some(Cow::Borrowed(encoded));
    }
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).ok().map(Cow::Owned)
}

fn encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for octet in text.bytes() {
        // RFC 6068 §2: what may stand in an address without being encoded.
        if octet.is_ascii_alphanumeric() || b"-._~$'*+:".contains(&octet) {
            write!(f, "{}", char::from(octet))?;
        } else {
            write!(f, "%{octet:02X}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn mailbox(entry: &str) -> Option<String> {
        Some(ReportUri::parse(entry)?.mailbox()?.address.to_string())
    }

    #[test]
    fn mailboxes() {
        for (entry, expected) in [
            ("mailto:a@example.org", Some("a@example.org")),
            ("MAILTO:a@example.org?subject=x", Some("a@example.org")),
            ("mailto:a%2Bb@example.org", Some("a+b@example.org")),
            ("mailto:a%2Cb@example.org", Some("\"a,b\"@example.org")),
            ("mailto:%22a@b%22@example.org", Some("\"a@b\"@example.org")),
            ("mailto:%22a%2C%21%22@example.org!1k", Some("\"a,!\"@example.org")),
            ("mailto:%C3%BC@b%C3%BCcher.example", Some("ü@bücher.example")),
        ] {
            assert_eq!(mailbox(entry).as_deref(), expected, "{entry}");
            let uri = ReportUri::parse(entry).unwrap();
            assert_eq!(ReportUri::parse(&uri.to_string()), Some(uri), "{entry}");
        }
        let uri = ReportUri::parse("mailto:a@b%C3%BCcher.example").unwrap();
        assert_eq!(uri.mailbox().unwrap().host().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_no_report_is_sent_to() {
        for entry in [
            "",
            "mailto:",
            "a@example.org",
            "mailto:a",
            "mailto:a@",
            "mailto:a%40",
            "mailto:a@b.example,c@d.example",
            "mailto:a@example.org, b@example.org",
            "mailto:a@b\u{fc}cher.example",
            // Nobody can be asked whether it is wanted there.
            "mailto:a@[192.0.2.1]",
            "mailto:a@%5B192.0.2.1%5D",
            "mailto:a@example.org%0d%0aBcc:%20v@example.net",
            "mailto:a@example.org\r\nBcc: v",
            "mailto:a%0d%0ax@example.org",
            "mailto:a%00@example.org",
            "mailto:a%4",
            "mailto:a%zz@example.org",
            "mailto:a@ex%2",
            "mailto:%ff@example.org",
            // The first exclamation mark begins a size.
            "mailto:%22a%20!b%22@example.org!5k",
        ] {
            assert_eq!(ReportUri::parse(entry), None, "{entry:?}");
        }
        assert_eq!(
            ReportUri::parse("https://example.org/dmarc!5k"),
            Some(ReportUri::Other("https://example.org/dmarc!5k".into()))
        );
        assert_eq!(ReportUri::parse("https://example.org/dmarc!x"), None);
        // It would end its entry, or its tag.
        assert_eq!(ReportUri::parse("https://example.org/a,mailto:b@example.org"), None);
        assert_eq!(ReportUri::parse("https://example.org/a;p=none"), None);
        assert_eq!(ReportUri::parse("1https://example.org"), None);
    }

    #[test]
    fn sizes() {
        for (size, expected) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("10k", Some(10 << 10)),
            ("10M", Some(10 << 20)),
            ("2g", Some(2 << 30)),
            ("1t", Some(1 << 40)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("16777216t", None),
            ("", None),
            ("k", None),
            ("+1", None),
            ("-1", None),
            ("1 k", None),
            ("1kk", None),
            ("1!2", None),
        ] {
            let uri = ReportUri::parse(&alloc::format!("mailto:a@example.org!{size}"));
            assert_eq!(uri.and_then(|uri| uri.mailbox().unwrap().size_max()), expected, "{size}");
        }
    }

    #[test]
    fn lists_are_bounded_and_hold_nobody_twice() {
        let list = |value: &str| parse_list(value.as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            list(" mailto:a@x.example,,mailto:a@X.example!1k, https://x.example/ ,nowhere,mailto:b@x.example"),
            ["mailto:a@x.example", "https://x.example/", "mailto:b@x.example"]
        );
        assert_eq!(list(&"mailto:a@x.example,".repeat(1000)), ["mailto:a@x.example"]);
        let many = (0..1000).map(|n| alloc::format!("mailto:m{n}@x.example,")).collect::<String>();
        assert_eq!(list(&many).len(), URIS_MAX);
    }
}
