//! The signer: a message goes in, signature fields come out (RFC 6376 §5).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::crypto::{Crypto, CryptoError, SigningKey};
use pillarbox_core::dns::Name;
use pillarbox_core::header::{HeaderLimit, HeaderLimits};

use super::body::{BodyHashId, BodyHashes};
use super::intake::{Header, HeaderReader, Intake};
use super::policy::header_limits;
use super::tag_writer::TagWriter;
use super::{Algorithm, Canonicalization};

/// A key and the names under which its public half is published.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DomainKey {
    /// The domain that signs: `d=`.
    pub domain: Name,
    /// `s=`: the record is at `selector._domainkey.domain`.
    pub selector: Name,
    /// The private half.
    pub key: Arc<dyn SigningKey>,
}

impl DomainKey {
    /// A key under its names.
    pub fn new(domain: Name, selector: Name, key: Arc<dyn SigningKey>) -> Self {
        DomainKey { domain, selector, key }
    }
}

/// What is signed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignOptions {
    /// The form of the header; relaxed, as hosts on the way fold fields anew.
    pub header: Canonicalization,
    /// The form of the body; relaxed.
    pub body: Canonicalization,
    /// Names of fields that are signed as often as they are there: by default those that RFC 6376 §5.4.1 names, but for
    /// those of re-sending.
    pub signed: Vec<Cow<'static, str>>,
    /// Names that are signed once more than they are there, so that one that is added later breaks the signature
    /// (RFC 6376 §8.15): by default From, To, Cc, Subject, Date, Reply-To and Content-Type. From is among them whatever
    /// stands here.
    pub oversigned: Vec<Cow<'static, str>>,
    /// Seconds until the signature expires (`x=`); never by default. What is signed can be sent again for so long.
    pub lifetime: Option<u64>,
    /// The size of the header that is taken.
    pub header_limits: HeaderLimits,
}

const SIGNED: [&str; 23] = [
    "From",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "To",
    "Cc",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-ID",
    "Content-Description",
    "In-Reply-To",
    "References",
    "List-Id",
    "List-Help",
    "List-Unsubscribe",
    // RFC 8058 §4: one-click needs both under one signature.
    "List-Unsubscribe-Post",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
];
const OVERSIGNED: [&str; 7] = ["From", "To", "Cc", "Subject", "Date", "Reply-To", "Content-Type"];

impl Default for SignOptions {
    fn default() -> Self {
        SignOptions {
            header: Canonicalization::Relaxed,
            body: Canonicalization::Relaxed,
            signed: SIGNED.map(Cow::Borrowed).into(),
            oversigned: OVERSIGNED.map(Cow::Borrowed).into(),
            lifetime: None,
            header_limits: header_limits(),
        }
    }
}

/// Why a message is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// There is no key: what comes of it would be a message that nobody has signed.
    #[error("there is no key")]
    NoKey,
    /// It has no From field, which RFC 6376 §5.4 wants signed.
    #[error("the message has no From field")]
    NoFrom,
    /// It has several: a signature would vouch for authors that it does not show.
    #[error("the message has several From fields")]
    SeveralFrom,
    /// Its header is too long.
    #[error("{0}")]
    Header(HeaderLimit),
    /// A key is of a kind that DKIM does not know.
    #[error("the key is of a kind that makes no signatures of DKIM")]
    KeyKind,
    /// The cryptography failed.
    #[error("{0}")]
    Crypto(CryptoError),
}

impl From<CryptoError> for SignError {
    fn from(error: CryptoError) -> Self {
        SignError::Crypto(error)
    }
}

/// Signs a message with several keys in one pass: one of RSA that everybody verifies, and one of Ed25519 beside it
/// (RFC 8463).
///
/// [`write`](Signer::write) takes the message as it will be sent, in slices of any cut: with CRLF line ends, without the dots
/// of SMTP, and complete with all its fields. Nothing of the body is kept. The signature covers all of the body: there is no
/// `l=`.
///
/// ```
/// use std::sync::Arc;
///
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::dkim::{DkimResult, DomainKey, KeyRecord, Policy, SignOptions, Signer, Verifier, read_private_key};
/// use pillarbox_core::crypto::Crypto;
/// use pillarbox_core::dns::{self, FixedZone, Record};
///
/// let pem = "-----BEGIN PRIVATE KEY-----\n\
///     MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
///     -----END PRIVATE KEY-----\n";
/// let crypto = Arc::new(RingCrypto);
/// let key = crypto.load_key(&read_private_key(pem.as_bytes())?)?;
/// let record = KeyRecord::text(key.public_key()).unwrap();
/// let key = DomainKey::new("example.org".parse()?, "sel".parse()?, key.into());
///
/// let message = "From: joe@example.org\r\nSubject: dinner\r\n\r\nIs it ready?\r\n";
/// let now = 1_700_000_000;
/// let mut signer = Signer::new(crypto.clone(), vec![key], SignOptions::default(), now);
/// signer.write(message.as_bytes());
/// let fields = signer.finish()?;
/// assert!(fields.starts_with("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;"));
///
/// let mut verifier = Verifier::new(crypto, Policy::default(), now);
/// verifier.write(fields.as_bytes());
/// verifier.write(message.as_bytes());
/// verifier.finish();
/// let zone = FixedZone::new().with("sel._domainkey.example.org", Record::txt(record));
/// assert_eq!(dns::run(&mut verifier, &zone).result(), DkimResult::Pass);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Signer {
    crypto: Arc<dyn Crypto>,
    keys: Vec<DomainKey>,
    options: SignOptions,
    now: u64,
    reader: HeaderReader,
    bodies: BodyHashes,
    header: Option<Result<Prepared, SignError>>,
}

/// What of a header is signed.
#[derive(Debug)]
struct Prepared {
    names: String,
    data: Vec<u8>,
    body: BodyHashId,
}

impl Signer {
    /// A signer for one message; `now` is the time in seconds since 1970. The keys sign in their order, the first one on top.
    pub fn new(crypto: Arc<dyn Crypto>, keys: Vec<DomainKey>, options: SignOptions, now: u64) -> Self {
        let reader = HeaderReader::new(options.header_limits);
        Signer { crypto, keys, options, now, reader, bodies: BodyHashes::default(), header: None }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        let intake = self.reader.write(slice);
        self.take(intake);
    }

    fn take(&mut self, intake: Intake<'_>) {
        match intake {
            Intake::Header | Intake::Refused => {}
            Intake::Complete(header, body) => {
                self.header = Some(self.prepare(&header));
                self.bodies.write(body);
            }
            Intake::Body(slice) => self.bodies.write(slice),
            Intake::TooLong(limit) => self.header = Some(Err(SignError::Header(limit))),
        }
    }

    fn prepare(&mut self, header: &Header) -> Result<Prepared, SignError> {
        match header.named(b"from").len() {
            0 => return Err(SignError::NoFrom),
            1 => {}
            _ => return Err(SignError::SeveralFrom),
        }
        let mut oversigned = self.options.oversigned.clone();
        oversigned.push(Cow::Borrowed("From"));
        let names = names_to_sign(header, &self.options.signed, &oversigned);
        let data = selected_data(header, &names, self.options.header);
        let body = self.bodies.want(&*self.crypto, self.options.body, None)?;
        Ok(Prepared { names: names.join(":"), data, body })
    }

    /// The message is complete. Gives the signature fields, each with its line end, to be put before the message.
    ///
    /// # Errors
    ///
    /// [`SignError`] says why there are none.
    pub fn finish(mut self) -> Result<String, SignError> {
        let intake = self.reader.finish();
        self.take(intake);
        self.bodies.finish();
        let Prepared { names, data, body } = self.header.take().expect("the header has ended")?;
        let (body_hash, _) = self.bodies.result(body);
        if self.keys.is_empty() {
            return Err(SignError::NoKey);
        }
        let mut fields = String::new();
        for DomainKey { domain, selector, key } in &self.keys {
            let algorithm = Algorithm::of_key(key.algorithm()).ok_or(SignError::KeyKind)?;
            let mut field = TagWriter::new("DKIM-Signature");
            field.tag("v", "1");
            field.tag("a", algorithm.as_str());
            field.tag("c", format_args!("{}/{}", self.options.header, self.options.body));
            field.tag("d", domain);
            field.tag("s", selector);
            field.tag("t", self.now.min(TIME_MAX));
            if let Some(lifetime) = self.options.lifetime {
                field.tag("x", self.now.saturating_add(lifetime.max(1)).min(TIME_MAX));
            }
            field.list("h", &names);
            field.base64("bh", body_hash);
            fields.push_str(&sign_field(&*self.crypto, &**key, field, data.clone(), self.options.header)?);
        }
        Ok(fields)
    }
}

/// The latest time that has the twelve digits of RFC 6376 §3.5.
pub(crate) const TIME_MAX: u64 = 999_999_999_999;

/// The names for `h=`: each as often as it is there, and once more if it is oversigned.
pub(crate) fn names_to_sign<'n>(
    header: &Header,
    signed: &'n [Cow<'static, str>],
    oversigned: &'n [Cow<'static, str>],
) -> Vec<&'n str> {
    let mut names = Vec::new();
    for (index, name) in signed.iter().chain(oversigned).enumerate() {
        let is_name =
            !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b':' | b';'));
        let is_again = signed.iter().chain(oversigned).take(index).any(|other| other.eq_ignore_ascii_case(name));
        if !is_name || is_again {
            continue;
        }
        let more = usize::from(oversigned.iter().any(|other| other.eq_ignore_ascii_case(name)));
        names.extend(core::iter::repeat_n(&**name, header.named(name.as_bytes()).len() + more));
    }
    names
}

/// The fields that names select, in their form.
pub(crate) fn selected_data(header: &Header, names: &[&str], form: Canonicalization) -> Vec<u8> {
    let mut data = Vec::new();
    for index in header.select(names.iter().map(|name| name.as_bytes()), None) {
        form.push_field(&header.field(index), &mut data);
        data.extend_from_slice(b"\r\n");
    }
    data
}

/// Signs `data` and a field that lacks nothing but its `b=`, and completes the field.
pub(crate) fn sign_field(
    crypto: &dyn Crypto,
    key: &dyn SigningKey,
    mut field: TagWriter,
    mut data: Vec<u8>,
    form: Canonicalization,
) -> Result<String, SignError> {
    field.base64("b", b"");
    field.with_field(|field| form.push_field(field, &mut data));
    let signature = super::key::sign(crypto, key, &data)?;
    Ok(field.complete(&signature))
}

impl fmt::Display for DomainKey {
    /// Where its record is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}._domainkey.{}", self.selector, self.domain)
    }
}
