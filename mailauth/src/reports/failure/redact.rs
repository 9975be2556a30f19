//! Taking the names of people out of reports (RFC 6590).

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pillarbox_core::Secret;
use pillarbox_core::address::{Address, LocalPart, ReversePath};
use pillarbox_core::crypto::{Crypto, HashAlgorithm};
use pillarbox_core::header::Fields;

use super::Feedback;

/// Puts a keyed hash in the place of each local part. Equal ones become equal, so that whoever gets the reports can count
/// and compare, and nobody without the key can tell who it was, not even by trying names.
///
/// Names beside addresses, and what is encoded, stay what they are. So does what looks like an address in Message-ID and
/// the fields that refer to one.
///
/// ```
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::reports::failure::Redactor;
/// use pillarbox_core::Secret;
///
/// let redactor = Redactor::new(&RingCrypto, Secret::from(&b"kept on this server"[..]));
/// let header = redactor.header(b"To: <joe@example.org>\r\nMessage-ID: <1@example.org>\r\n\r\n");
/// let text = String::from_utf8(header).unwrap();
/// assert!(!text.contains("joe") && text.contains("@example.org>\r\nMessage-ID: <1@example.org>"));
/// ```
#[derive(Debug)]
pub struct Redactor<'c> {
    crypto: &'c dyn Crypto,
    key: Secret<Vec<u8>>,
}

/// Octets of the hash that are kept: 72 bits make 12 characters.
const HASH_LEN: usize = 9;

impl<'c> Redactor<'c> {
    /// With a key that is kept secret, and only changed when reports from before and after need not be compared.
    pub fn new(crypto: &'c dyn Crypto, key: Secret<Vec<u8>>) -> Self {
        Redactor { crypto, key }
    }

    /// What stands for a local part: letters, digits, hyphens and underscores.
    pub fn local_part(&self, local: &str) -> String {
        match self.crypto.hmac(HashAlgorithm::Sha256, self.key.expose(), local.as_bytes()) {
            Ok(hash) => URL_SAFE_NO_PAD.encode(&hash[..hash.len().min(HASH_LEN)]),
            // Without the hash there is still no name.
            Err(_) => "redacted".into(),
        }
    }

    /// A text in which each local part before an `@` is replaced. Linear in its length.
    pub fn text(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let (mut copied, mut from) = (0, 0);
        let mut quotes = Quotes::default();
        for at in memchr::memchr_iter(b'@', text) {
            quotes.read(text, at);
            let local = local_part(text, from, at, &quotes);
            if !local.is_empty() && is_domain(&text[at + 1..]) {
                out.extend_from_slice(&text[copied..local.start]);
                out.extend_from_slice(self.local_part(&meaning(&text[local.clone()])).as_bytes());
                copied = local.end;
            }
            // A quoted string that an address was found in may go on behind it.
            from = at + 1;
        }
        out.extend_from_slice(&text[copied..]);
        out
    }

    /// A header in which each local part is replaced, but in the fields that identify messages.
    pub fn header(&self, header: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(header.len());
        let mut end = 0;
        for field in Fields::new(header) {
            end += field.raw.len();
            let is_kept = ["Message-ID", "In-Reply-To", "References", "Resent-Message-ID", "Content-ID"];
            if is_kept.iter().any(|name| field.name_is(name)) {
                out.extend_from_slice(field.raw);
            } else {
                out.extend(self.text(field.raw));
            }
        }
        out.extend_from_slice(&header[end..]);
        out
    }

    /// Fields in which each local part is replaced. What DKIM hashed is left out: RFC 6591 §3.2.4 allows it whole or not at
    /// all.
    pub fn feedback(&self, feedback: &Feedback) -> Feedback {
        let text = |text: &String| String::from_utf8(self.text(text.as_bytes())).unwrap_or_default();
        Feedback {
            authentication_results: feedback.authentication_results.iter().map(text).collect(),
            original_mail_from: feedback.original_mail_from.as_ref().map(|path| match path {
                ReversePath::Address(address) => ReversePath::Address(self.address(address)),
                ReversePath::Null => ReversePath::Null,
            }),
            original_rcpt_to: feedback.original_rcpt_to.iter().map(|address| self.address(address)).collect(),
            original_envelope_id: feedback.original_envelope_id.as_ref().map(text),
            reported_uris: feedback.reported_uris.iter().map(text).collect(),
            dkim_identity: feedback.dkim_identity.as_ref().map(text),
            dkim_canonicalized_header: None,
            dkim_canonicalized_body: None,
            other: feedback.other.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            ..feedback.clone()
        }
    }

    fn address(&self, address: &Address<'_>) -> Address<'static> {
        let local = LocalPart::from_unquoted(&self.local_part(&address.local().unquoted()));
        let local = local.expect("a hash is written in letters");
        Address::new(local, address.domain().clone().into_owned())
            .unwrap_or_else(|_| "redacted@invalid".parse().expect("it is an address"))
    }
}

/// The quotes in a text that are not behind a backslash, as far as it was read: the last two.
#[derive(Default)]
struct Quotes {
    read: usize,
    is_escaped: bool,
    last: [Option<usize>; 2],
}

impl Quotes {
    /// Reads on to an octet that is neither a quote nor a backslash.
    fn read(&mut self, text: &[u8], to: usize) {
        for (at, octet) in text.iter().enumerate().take(to).skip(self.read) {
            match octet {
                b'\\' => self.is_escaped = !self.is_escaped,
                b'"' if !self.is_escaped => self.last = [self.last[1], Some(at)],
                _ => self.is_escaped = false,
            }
        }
        (self.read, self.is_escaped) = (to, false);
    }

    /// Where the quoted string begins that ends with the last octet before `end`.
    fn start_of_string(&self, end: usize) -> Option<usize> {
        match self.last {
            [open, Some(close)] if close + 1 == end => open,
            _ => None,
        }
    }
}

/// The local part before an `@`, not before `from`; empty if there is none. Rather too much than too little.
fn local_part(text: &[u8], from: usize, at: usize, quotes: &Quotes) -> Range<usize> {
    let end = skip_back(text, from, at);
    if let Some(open) = quotes.start_of_string(end).filter(|open| *open >= from) {
        return open..end;
    }
    // RFC 5322 §3.2.3, with dots, what is beyond ASCII, and quotes that belong to no string; the `=` of a tag is none of it,
    // though atoms may hold it.
    let is_local = |octet: &u8| {
        octet.is_ascii_alphanumeric() || b".!#$%&'*+-/?^_`{|}~\"\\".contains(octet) || matches!(octet, 0x80.. | b'=')
    };
    let start = text[from..end].iter().rposition(|octet| !is_local(octet)).map_or(from, |last| from + last + 1);
    // `header.i=joe@example.org`: the name of the property is not part of the address.
    match text[start..end].iter().position(|octet| *octet == b'=') {
        Some(equals) if PROPERTIES.contains(&&text[start..start + equals]) => start + equals + 1..end,
        _ => start..end,
    }
}

/// The end of what stands before white space and comments.
fn skip_back(text: &[u8], from: usize, at: usize) -> usize {
    let mut end = at;
    let mut depth = 0_usize;
    while let Some(octet) = text[from..end].last() {
        match octet {
            b')' => depth += 1,
            b'(' if depth > 0 => depth -= 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if depth > 0 => {}
            _ => break,
        }
        end -= 1;
    }
    end
}

/// Whether a domain may begin here, behind white space or a comment.
fn is_domain(text: &[u8]) -> bool {
    let first = text.iter().find(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n'));
    first.is_some_and(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'[' | b'(' | 0x80..))
}

/// What stands before an address in DKIM-Signature, Received-SPF and Authentication-Results.
const PROPERTIES: [&[u8]; 8] =
    [b"i", b"header.i", b"header.from", b"smtp.mailfrom", b"smtp.mail", b"smtp.auth", b"smtp.rcptto", b"envelope-from"];

/// The name that a local part means, so that it has one hash whether it is quoted or not.
fn meaning(local: &[u8]) -> String {
    let local = String::from_utf8_lossy(local);
    LocalPart::parse_utf8(&local).map_or_else(|_| local.clone().into_owned(), |local| local.unquoted().into_owned())
}

#[cfg(all(test, feature = "ring"))]
mod tests {
    use super::*;
    use crate::RingCrypto;
    use alloc::string::ToString;

    fn redactor() -> Redactor<'static> {
        Redactor::new(&RingCrypto, Secret::from(&b"key"[..]))
    }

    fn redacted(text: &str) -> String {
        let joe = redactor().local_part("joe");
        String::from_utf8(redactor().text(text.as_bytes())).unwrap().replace(&joe, "***")
    }

    #[test]
    fn local_parts_are_replaced_wherever_they_stand() {
        for (text, expected) in [
            ("joe@example.org", "***@example.org"),
            (
                "<joe@example.org>, \"joe\"@example.net (joe@[192.0.2.1])",
                "<***@example.org>, ***@example.net (***@[192.0.2.1])",
            ),
            ("for <joe@example.org>; Mon", "for <***@example.org>; Mon"),
            ("i=joe@example.org; d=example.org", "i=***@example.org; d=example.org"),
            ("i=@example.org", "i=@example.org"),
            ("smtp.mailfrom=joe@example.org", "smtp.mailfrom=***@example.org"),
            ("mailto:joe@example.org?x", "mailto:***@example.org?x"),
            ("joe @\r\n example.org", "*** @\r\n example.org"),
            ("joe(a (b) c) @(d)example.org", "***(a (b) c) @(d)example.org"),
            ("a, @c, joe@", "a, @c, joe@"),
            ("", ""),
        ] {
            assert_eq!(redacted(text), expected);
        }
        // What a forwarder wrote into a local part goes with it.
        assert!(!redacted("<bounces+1-joe=example.org@example.net>").contains("joe"));
        for text in [
            "\"joe (x) y\"@example.net",
            "\"joe \\\"x\\\" y\"@example.net",
            "\"\\\"joe\\\"\"@example.net",
            "\"joe\\\\\"@example.net",
            "\"joe@x\"@example.net",
            "\"joe\".y@example.net",
            "joe\"@example.net",
            "joe\\\"@example.net",
        ] {
            assert!(!redacted(text).contains("joe"), "{text}: {}", redacted(text));
        }
        assert!(!redacted("j\u{f6}e@example.net").contains('\u{f6}'));
    }

    #[test]
    fn keys_make_the_difference_and_stay_secret() {
        let other = Redactor::new(&RingCrypto, Secret::from(&b"other"[..]));
        assert_ne!(redactor().local_part("joe"), other.local_part("joe"));
        assert_eq!(redactor().local_part("joe").len(), 12);
        assert!(!alloc::format!("{other:?}").contains("other") && !alloc::format!("{other:?}").contains("111"));
    }

    #[test]
    fn fields_of_a_report_are_redacted_too() {
        let mut feedback = Feedback::auth_failure(super::super::AuthFailure::Signature, "x/1");
        feedback.original_mail_from = "joe@example.org".parse().ok().map(ReversePath::Address);
        feedback.original_rcpt_to = ["\"joe\"@example.net".parse().unwrap()].into();
        feedback.dkim_identity = Some("joe@example.org".to_string());
        feedback.dkim_canonicalized_header = Some(b"from:joe@example.org".to_vec());
        feedback.dkim_canonicalized_body = Some(b"joe".to_vec());
        feedback.other = [("X-Rcpt".to_string(), "joe@example.org".to_string())].into();
        let text = redactor().feedback(&feedback).to_text();
        assert!(!text.contains("joe") && !text.contains("Canonicalized"), "{text}");
        assert_eq!(text.matches(&redactor().local_part("joe")).count(), 4);
    }

    #[test]
    fn long_rows_of_marks_cost_linear_time() {
        // Each would look back to the start if what is done were forgotten.
        for unit in ["\"@a", "@", "x@", "\"", "=@a", "\\\"@ ", "\\", "(@a", ")@a", " @", "@ ", "x\"@ "] {
            let text = unit.repeat(200_000);
            assert!(redactor().text(text.as_bytes()).len() >= text.len() / 3);
        }
    }
}
