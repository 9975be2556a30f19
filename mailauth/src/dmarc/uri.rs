//! Where reports go (RFC 9989 §4.6, RFC 7489 §6.2).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::address::{Address, Domain, LocalPart};

/// A URI that takes reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportUri {
    /// The URI as it stands in the record, without the size.
    pub text: String,
    /// The mailbox, if it is a `mailto:` URI of one. Other URIs are ignored by who sends reports (RFC 9989 §4.7).
    pub mailbox: Option<Address<'static>>,
    /// The largest report that is wanted there, in octets. RFC 9989 has this no more, and lets who sends ignore it.
    pub size_max: Option<u64>,
}

impl ReportUri {
    /// A URI that sends reports to a mailbox.
    ///
    /// ```
    /// use pillarbox_auth::dmarc::ReportUri;
    ///
    /// let uri = ReportUri::mailto("\"a,b\"@example.org".parse()?);
    /// assert_eq!(uri.to_string(), "mailto:%22a%2Cb%22@example.org");
    /// # Ok::<(), pillarbox_core::address::AddressError>(())
    /// ```
    pub fn mailto(mailbox: Address<'static>) -> Self {
        let mut text = "mailto:".to_owned();
        encode(mailbox.local().as_str(), &mut text);
        text.push('@');
        encode(mailbox.domain().as_str(), &mut text);
        ReportUri { text, mailbox: Some(mailbox), size_max: None }
    }

    /// One entry of a list; `None` if it is no URI.
    pub(super) fn parse(entry: &str) -> Option<Self> {
        // RFC 9989 §4.8: an exclamation mark in the URI itself would be encoded.
        let (text, size_max) = match entry.split_once('!') {
            Some((text, size)) => (text, Some(parse_size(size)?)),
            None => (entry, None),
        };
        let (scheme, rest) = text.split_once(':')?;
        if !is_scheme(scheme) || rest.is_empty() || !is_uri(rest) {
            return None;
        }
        let is_mailto = scheme.eq_ignore_ascii_case("mailto");
        let mailbox = is_mailto.then(|| parse_mailbox(rest)).flatten();
        // A mailto without a mailbox is broken, not foreign.
        (mailbox.is_some() || !is_mailto).then(|| ReportUri { text: text.to_owned(), mailbox, size_max })
    }
}

impl fmt::Display for ReportUri {
    /// As in a record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.size_max {
            Some(size) => write!(f, "!{size}"),
            None => Ok(()),
        }
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

/// RFC 3986 §2: reserved, unreserved and percent-encoded octets.
fn is_uri(text: &str) -> bool {
    let octets = text.as_bytes();
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'%' => octets.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
        octet => octet.is_ascii_graphic(),
    })
}

/// RFC 6068 §2: one mailbox, percent-encoded; fields of a header to come behind `?` are not for reports.
fn parse_mailbox(encoded: &str) -> Option<Address<'static>> {
    let encoded = encoded.split_once('?').map_or(encoded, |(to, _)| to);
    let text = decode(encoded)?;
    let (local, domain) = text.rsplit_once('@')?;
    // `a%2Cb@example.org` is written by people who know that the comma needs something, and mean `"a,b"@example.org`.
    let local = LocalPart::parse_utf8(local).or_else(|_| LocalPart::from_unquoted(local)).ok()?;
    let domain = Domain::parse_utf8(domain).ok()?;
    Some(Address::new(local, domain).ok()?.into_owned())
}

fn decode(encoded: &str) -> Option<String> {
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
    String::from_utf8(octets).ok()
}

fn encode(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for octet in text.bytes() {
        // RFC 6068 §2: what may stand in an address without being encoded.
        let is_plain = octet.is_ascii_alphanumeric() || b"-._~$'*+:".contains(&octet);
        if is_plain {
            into.push(char::from(octet));
        } else {
            into.push('%');
            into.extend([octet >> 4, octet & 15].map(|digit| char::from(HEX[usize::from(digit)])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn mailbox(entry: &str) -> Option<String> {
        Some(ReportUri::parse(entry)?.mailbox?.to_string())
    }

    #[test]
    fn mailboxes() {
        for (entry, expected) in [
            ("mailto:a@example.org", Some("a@example.org")),
            ("MAILTO:a@example.org?subject=x", Some("a@example.org")),
            ("mailto:a%2Cb@example.org", Some("\"a,b\"@example.org")),
            ("mailto:%22a@b%22@example.org", Some("\"a@b\"@example.org")),
            ("mailto:%C3%BC@b%C3%BCcher.example", Some("ü@bücher.example")),
            ("mailto:a", None),
            ("mailto:a@", None),
            ("mailto:a%0d%0ax@example.org", None),
            ("mailto:a%00@example.org", None),
            ("mailto:%ff@example.org", None),
            ("mailto:a@ex%2", None),
            ("mailto:a@example.org, b@example.org", None),
            ("a@example.org", None),
            ("mailto:", None),
            ("", None),
        ] {
            assert_eq!(mailbox(entry).as_deref(), expected, "{entry}");
        }
        assert_eq!(ReportUri::parse("https://example.org/dmarc").unwrap().mailbox, None);
        assert_eq!(ReportUri::parse("1https://example.org"), None);
    }

    #[test]
    fn sizes() {
        for (size, expected) in [
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
            ("1 k", None),
            ("1kk", None),
            ("1!2", None),
        ] {
            let entry = alloc::format!("mailto:a@example.org!{size}");
            assert_eq!(ReportUri::parse(&entry).map(|uri| uri.size_max), expected.map(Some), "{size}");
        }
    }
}
