//! Where reports are sent: the URIs of `rua` and `ruf` (RFC 9989 §4.8, RFC 7489 §6.4).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::address::Address;
use pillarbox_core::dns::Name;

use crate::idn;

/// A mailbox that wants reports: a `mailto:` URI (RFC 6068), with the size that RFC 7489 let it ask for.
///
/// ```
/// use pillarbox_auth::reports::ReportUri;
///
/// let uri = ReportUri::parse("mailto:dmarc@reports.example.org!10m")?;
/// assert_eq!(uri.address().to_string(), "dmarc@reports.example.org");
/// assert_eq!(uri.host().as_str(), "reports.example.org");
/// assert!(uri.takes(10 * 1024 * 1024) && !uri.takes(10 * 1024 * 1024 + 1));
/// assert_eq!(uri.to_string(), "mailto:dmarc@reports.example.org!10485760");
/// # Ok::<(), pillarbox_auth::reports::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportUri {
    address: Address<'static>,
    host: Name,
    size_max: Option<u64>,
}

/// Why no report can be sent to a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It is no `mailto:` URI: RFC 9989 §4.7 has those that are not supported ignored.
    #[error("not a mailto: URI")]
    Scheme,
    /// A percent sign is not followed by two hexadecimal digits, or what they give is no UTF-8.
    #[error("wrong percent-encoding")]
    Encoding,
    /// What stands behind `mailto:` is not one mailbox.
    #[error("not a mailbox")]
    Address,
    /// The mailbox is not in a domain of the DNS: an address literal, or a name that cannot be asked for.
    #[error("the host of the mailbox has no name in the DNS")]
    Host,
    /// What stands behind the exclamation mark is no size.
    #[error("not a size")]
    Size,
}

/// The URIs of a `rua` or `ruf` tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UriList {
    /// Those that reports can be sent to, in the order of the tag, each mailbox once.
    pub uris: Vec<ReportUri>,
    /// How many are ignored because they are malformed or of another scheme (RFC 9990 §3.5).
    pub ignored: usize,
    /// How many are left out because the list is too long.
    pub left_out: usize,
}

impl ReportUri {
    /// The mailbox, without a limit of size.
    ///
    /// # Errors
    ///
    /// [`UriError::Host`] if its domain is not a name in the DNS.
    pub fn new(address: Address<'static>) -> Result<Self, UriError> {
        let domain = address.domain().name().ok_or(UriError::Host)?;
        let host = idn::to_ascii(domain).ok().and_then(|ascii| Name::parse(&ascii).ok()).ok_or(UriError::Host)?;
        Ok(ReportUri { address, host, size_max: None })
    }

    /// Parses a URI as it stands in a tag. Header fields behind a question mark are not looked at: what a report's mail
    /// says is for its sender to decide.
    ///
    /// # Errors
    ///
    /// [`UriError`] says why no report can be sent there.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        // RFC 7489 §6.2: an exclamation mark in the URI itself is encoded.
        let (uri, size_max) = match uri.rsplit_once('!') {
            Some((uri, size)) => (uri, Some(parse_size(size).ok_or(UriError::Size)?)),
            None => (uri, None),
        };
        let (scheme, rest) = uri.split_once(':').ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("mailto") {
            return Err(UriError::Scheme);
        }
        let mailbox = rest.split_once('?').map_or(rest, |(mailbox, _)| mailbox);
        let mailbox = decode_percent(mailbox).ok_or(UriError::Encoding)?;
        let address = mailbox.parse::<Address<'static>>().map_err(|_| UriError::Address)?;
        Ok(ReportUri { size_max, ..ReportUri::new(address)? })
    }

    /// Parses the value of a `rua` or `ruf` tag: URIs with commas between. At most `uris_max` of them are kept; RFC 9990
    /// §3.5 leaves that limit to the sender, and RFC 7489 §6.2 asks for two at least.
    ///
    /// ```
    /// use pillarbox_auth::reports::ReportUri;
    ///
    /// let list = ReportUri::parse_list("mailto:a@example.org , https://example.org/,mailto:b@example.net", 10);
    /// assert_eq!(list.uris.len(), 2);
    /// assert_eq!(list.ignored, 1);
    /// ```
    pub fn parse_list(tag: &str, uris_max: usize) -> UriList {
        let mut list = UriList::default();
        for uri in tag.split(',').map(str::trim).filter(|uri| !uri.is_empty()) {
            match ReportUri::parse(uri) {
                Err(_) => list.ignored += 1,
                Ok(uri) if list.uris.iter().any(|other| other.address == uri.address) => {}
                Ok(_) if list.uris.len() >= uris_max => list.left_out += 1,
                Ok(uri) => list.uris.push(uri),
            }
        }
        list
    }

    /// The mailbox.
    pub const fn address(&self) -> &Address<'static> {
        &self.address
    }

    /// The host part of the URI as the DNS knows it: what RFC 9990 §4 calls the destination host.
    pub const fn host(&self) -> &Name {
        &self.host
    }

    /// The most octets that a report may have, as sent (RFC 7489 §6.4). RFC 9989 made this obsolete and advises to ignore
    /// it; a sender that honours it does no harm.
    pub const fn size_max(&self) -> Option<u64> {
        self.size_max
    }

    /// Whether a report of this many octets, as sent, is within [`size_max`](ReportUri::size_max).
    pub fn takes(&self, octets: u64) -> bool {
        self.size_max.is_none_or(|size_max| octets <= size_max)
    }
}

impl fmt::Display for ReportUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mailto:")?;
        // RFC 6068 §2: what is neither unreserved nor one of the marks that may stand in an address is encoded.
        for octet in alloc::format!("{}", self.address).bytes() {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' | b'+' | b'$' | b'*' => {
                    write!(f, "{}", char::from(octet))?;
                }
                _ => write!(f, "%{octet:02X}")?,
            }
        }
        self.size_max.map_or(Ok(()), |size_max| write!(f, "!{size_max}"))
    }
}

/// RFC 7489 §6.4: a number and maybe a unit, which is a power of two. A size that no number can hold is none.
fn parse_size(size: &str) -> Option<u64> {
    let (digits, shift) = match size.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&size[..size.len() - 1], 10),
        b'm' => (&size[..size.len() - 1], 20),
        b'g' => (&size[..size.len() - 1], 30),
        b't' => (&size[..size.len() - 1], 40),
        _ => (size, 0),
    };
    if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// RFC 3986 §2.1
fn decode_percent(text: &str) -> Option<String> {
    let hex = |octet: Option<u8>| char::from(octet?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut octets = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        decoded.push(if octet == b'%' { hex(octets.next())? << 4 | hex(octets.next())? } else { octet });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn sizes_and_units() {
        for (size, octets) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("10k", Some(10 << 10)),
            ("10M", Some(10 << 20)),
            ("1g", Some(1 << 30)),
            ("2t", Some(2 << 40)),
            ("", None),
            ("k", None),
            ("-1", None),
            ("+1", None),
            ("1 k", None),
            ("1kb", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999t", None),
        ] {
            assert_eq!(parse_size(size), octets, "{size:?}");
        }
    }

    #[test]
    fn what_no_report_is_sent_to() {
        for (uri, error) in [
            ("", UriError::Scheme),
            ("dmarc@example.org", UriError::Scheme),
            ("https://example.org/report", UriError::Scheme),
            ("mailto:", UriError::Address),
            ("mailto:example.org", UriError::Address),
            ("mailto:a@b.example,c@d.example", UriError::Address),
            ("mailto:a%40", UriError::Address),
            ("mailto:a@example.org%0d%0aBcc:%20v@example.net", UriError::Address),
            ("mailto:a@example.org\r\nBcc: v", UriError::Address),
            ("mailto:a%4", UriError::Encoding),
            ("mailto:a%zz@example.org", UriError::Encoding),
            ("mailto:a%ff@example.org", UriError::Encoding),
            ("mailto:a@[192.0.2.1]", UriError::Host),
            ("mailto:a@example.org!", UriError::Size),
            ("mailto:a@example.org!10x", UriError::Size),
        ] {
            assert_eq!(ReportUri::parse(uri), Err(error), "{uri:?}");
        }
    }

    #[test]
    fn written_and_read_again() {
        for uri in
            ["mailto:a%2Bb@example.org", "MAILTO:%22a%20!b%22@example.org!5k", "mailto:a@b\u{fc}cher.example?subject=x"]
        {
            let parsed = ReportUri::parse(uri).map_err(|error| alloc::format!("{uri}: {error}"));
            // The second one hides an exclamation mark that RFC 7489 wants encoded: its size is then no size.
            let Ok(parsed) = parsed else { continue };
            assert_eq!(ReportUri::parse(&parsed.to_string()), Ok(parsed));
        }
        let uri = ReportUri::parse("mailto:%22a%2C%21%22@example.org!1k").unwrap();
        assert_eq!(uri.to_string(), "mailto:%22a%2C%21%22@example.org!1024");
        assert_eq!(ReportUri::parse("mailto:a@b\u{fc}cher.example").unwrap().host().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn lists_are_bounded_and_hold_nobody_twice() {
        let list = ReportUri::parse_list(
            " mailto:a@x.example,,mailto:a@X.example!1k, mailto:b@x.example,mailto:c@x.example",
            2,
        );
        assert_eq!(
            list.uris.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["mailto:a@x.example", "mailto:b@x.example"]
        );
        assert_eq!((list.ignored, list.left_out), (0, 1));
    }
}
