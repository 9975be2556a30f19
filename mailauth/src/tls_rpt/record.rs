//! The TXT record, which says where reports shall go (RFC 8460 §3).

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use pillarbox_core::address::Address;
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Name, QuestionId};

use crate::text_record::{self, Records, TextLookup, trim};

const VERSION: &str = "v=TLSRPTv1";
/// Destinations that are kept of one record, as a report is sent to each, and a record could name any number of victims.
const DESTINATIONS_MAX: usize = 10;

/// Where a domain wants its reports to go.
///
/// ```
/// use pillarbox_auth::tls_rpt::{Destination, Destinations};
///
/// let record = b"v=TLSRPTv1; rua=mailto:tls@example.org,https://tls.example.org/v1";
/// let destinations = Destinations::parse(record)?;
/// assert_eq!(destinations.list[0], Destination::Mail("tls@example.org".parse().unwrap()));
/// assert_eq!(destinations.list[1].to_string(), "https://tls.example.org/v1");
/// # Ok::<(), pillarbox_auth::tls_rpt::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destinations {
    /// In the order of the record; at least one, at most ten.
    pub list: Vec<Destination>,
}

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// By mail, signed with DKIM; whatever TLS with its host comes to (RFC 8460 §3, §5.3).
    Mail(Address<'static>),
    /// By POST to a URL. A stranger named it: see [`is_public`](crate::mta_sts::is_public).
    Https(HttpsUrl),
}

impl fmt::Display for Destination {
    /// The address or the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Mail(address) => address.fmt(f),
            Destination::Https(url) => f.write_str(url.as_str()),
        }
    }
}

impl FromStr for Destination {
    type Err = RecordError;

    /// Reads one URI of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError::NoDestination`]: it is neither a `mailto:` with an address nor a URL of HTTPS.
    fn from_str(uri: &str) -> Result<Self, RecordError> {
        Destination::parse(uri.as_bytes()).ok_or(RecordError::NoDestination)
    }
}

/// A URL that begins with `https://` and a host, of characters that RFC 3986 allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpsUrl(String);

impl HttpsUrl {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.get(8..).filter(|_| url[..8].eq_ignore_ascii_case("https://"))?;
        let authority = rest.split(['/', '?', '#']).next()?;
        // RFC 3986 §3.2: nobody needs a name and a password here, and they would hide the host from whoever reads it.
        let is_host = !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@');
        let is_url = rest.bytes().all(|octet| {
            octet.is_ascii_graphic() && !matches!(octet, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
        });
        (is_host && is_url).then(|| HttpsUrl(url.into()))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, with a port if there is one.
    pub fn authority(&self) -> &str {
        self.0[8..].split(['/', '?', '#']).next().unwrap_or_default()
    }
}

/// Why a text is no record of TLS-RPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It does not begin with `v=TLSRPTv1;`.
    #[error("not a record of version TLSRPTv1")]
    Version,
    /// A field is no `name=value`.
    #[error("a field is malformed")]
    Malformed,
    /// There is no `rua`, or no destination in it that can be used.
    #[error("there is no destination for reports")]
    NoDestination,
}

impl Destinations {
    /// Reads a record, its strings put together. Destinations of other schemes and those that are no address or URL are passed
    /// over.
    ///
    /// # Errors
    ///
    /// [`RecordError`]; the domain then wants no reports.
    pub fn parse(record: &[u8]) -> Result<Self, RecordError> {
        let mut rua = None;
        for field in text_record::fields(record, VERSION).ok_or(RecordError::Version)? {
            let (name, value) = field.map_err(|_| RecordError::Malformed)?;
            if name == b"rua" {
                rua = rua.or(Some(value));
            // RFC 8460 §3: tlsrpt-ext-value
            } else if value.iter().any(|octet| matches!(octet, b' ' | b'\t' | b'=')) {
                return Err(RecordError::Malformed);
            }
        }
        let uris = rua.unwrap_or_default().split(|octet| *octet == b',');
        let list = uris.filter_map(|uri| Destination::parse(trim(uri))).take(DESTINATIONS_MAX).collect::<Vec<_>>();
        if list.is_empty() { Err(RecordError::NoDestination) } else { Ok(Destinations { list }) }
    }
}

impl Destination {
    /// The URI of the destination, as a record could name it. It reads back as the same.
    ///
    /// ```
    /// use pillarbox_auth::tls_rpt::Destination;
    ///
    /// let mail: Destination = "mailto:tls%2Breports@example.org?subject=x".parse()?;
    /// assert_eq!(mail.to_string(), "tls+reports@example.org");
    /// assert_eq!(mail.uri(), "mailto:tls%2Breports@example.org");
    /// # Ok::<(), pillarbox_auth::tls_rpt::RecordError>(())
    /// ```
    pub fn uri(&self) -> String {
        match self {
            Destination::Mail(address) => {
                let mut uri = String::from("mailto:");
                for octet in address.to_string().bytes() {
                    match octet {
                        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                            uri.push(char::from(octet));
                        }
                        _ => uri.push_str(&alloc::format!("%{octet:02X}")),
                    }
                }
                uri
            }
            Destination::Https(url) => url.as_str().into(),
        }
    }

    fn parse(uri: &[u8]) -> Option<Self> {
        let uri = core::str::from_utf8(uri).ok()?;
        let (scheme, rest) = uri.split_once(':')?;
        if scheme.eq_ignore_ascii_case("mailto") {
            // RFC 6068 §2: fields of the mail may follow, which are nobody's to set here.
            let address = percent_decoded(rest.split('?').next()?)?;
            return Some(Destination::Mail(Address::parse(&address).ok()?.into_owned()));
        }
        HttpsUrl::parse(uri).map(Destination::Https)
    }
}

/// RFC 3986 §2.1
fn percent_decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        octets.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(octets).ok()
}

/// Finds out where a domain wants its reports to go: one question, for the text at `_smtp._tls`. `None`: nowhere, or nobody
/// could say, and then there is no report either, as nothing else hangs on it.
#[derive(Clone, Debug)]
pub struct Discovery(TextLookup);

impl Discovery {
    /// The look-up for a domain.
    pub fn new(domain: &Name) -> Self {
        Discovery(TextLookup::below("_smtp._tls", domain))
    }
}

impl DnsMachine for Discovery {
    type Output = Option<Destinations>;

    fn poll(&mut self) -> DnsStep<Option<Destinations>> {
        match self.0.poll() {
            DnsStep::Ask(question) => DnsStep::Ask(question),
            DnsStep::Wait => DnsStep::Wait,
            DnsStep::Done(answer) => DnsStep::Done(match Records::of(&answer, VERSION) {
                Records::One(record) => Destinations::parse(&record).ok(),
                _ => None,
            }),
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.0.answer(id, answer);
    }

    fn give_up(&mut self) {
        self.0.give_up();
    }
}
