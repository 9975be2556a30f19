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
use super::intake::{Headed, Header, Message, Reader};
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
    signing: Signing,
    keys: Vec<DomainKey>,
    prepared: Option<Result<Prepared, SignError>>,
}

impl Signer {
    /// A signer for one message; `now` is the time in seconds since 1970. The keys sign in their order, the first one on top.
    pub fn new(crypto: Arc<dyn Crypto>, keys: Vec<DomainKey>, options: SignOptions, now: u64) -> Self {
        Signer { signing: Signing::new(crypto, options, now), keys, prepared: None }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        self.read(slice);
    }

    fn prepare(&mut self, header: &Header) -> Result<Prepared, SignError> {
        match header.named(b"from").len() {
            0 => return Err(SignError::NoFrom),
            1 => {}
            _ => return Err(SignError::SeveralFrom),
        }
        let Signing { crypto, options, message, .. } = &mut self.signing;
        let mut oversigned = options.oversigned.clone();
        oversigned.push(Cow::Borrowed("From"));
        let names = names_to_sign(header, &options.signed, &oversigned, &[]);
        Ok(Prepared::new(&**crypto, options, header, &names, &mut message.bodies)?)
    }

    /// The message is complete. Gives the signature fields, each with its line end, to be put before the message.
    ///
    /// # Errors
    ///
    /// [`SignError`] says why there are none.
    pub fn finish(mut self) -> Result<String, SignError> {
        self.read_end();
        let prepared = self.prepared.take().expect("the header has ended")?;
        if self.keys.is_empty() {
            return Err(SignError::NoKey);
        }
        let mut fields = String::new();
        for key in &self.keys {
            let mut field = TagWriter::new("DKIM-Signature");
            field.tag("v", "1");
            fields.push_str(&self.signing.sign(&prepared, key, field)?);
        }
        Ok(fields)
    }
}

impl Reader for Signer {
    fn message(&mut self) -> &mut Message {
        &mut self.signing.message
    }

    fn begin(&mut self, header: Headed) {
        self.prepared = Some(match header {
            Ok(header) => self.prepare(&header),
            Err(limit) => Err(SignError::Header(limit)),
        });
    }
}

/// What signers of messages have in common: those of DKIM and those of ARC.
#[derive(Debug)]
pub(crate) struct Signing {
    pub(crate) crypto: Arc<dyn Crypto>,
    pub(crate) options: SignOptions,
    /// Seconds since 1970, with no more digits than a tag may have.
    pub(crate) now: u64,
    pub(crate) message: Message,
}

/// What of a header is signed.
#[derive(Debug)]
pub(crate) struct Prepared {
    names: String,
    data: Vec<u8>,
    body: BodyHashId,
}

impl Prepared {
    /// The fields that these names select, in their form; and asks for the hash of the body.
    pub(crate) fn new(
        crypto: &dyn Crypto,
        options: &SignOptions,
        header: &Header,
        names: &[&str],
        bodies: &mut BodyHashes,
    ) -> Result<Self, CryptoError> {
        let mut data = Vec::new();
        for index in header.select(names.iter().map(|name| name.as_bytes()), None) {
            options.header.push_line(&header.field(index), &mut data);
        }
        let body = bodies.want(crypto, options.body, None)?;
        Ok(Prepared { names: names.join(":"), data, body })
    }
}

impl Signing {
    pub(crate) fn new(crypto: Arc<dyn Crypto>, options: SignOptions, now: u64) -> Self {
        Signing { crypto, message: Message::new(options.header_limits), options, now: now.min(TIME_MAX) }
    }

    /// The message is complete: makes a signature of a field that has no more than what comes before `a=`.
    pub(crate) fn sign(&self, prepared: &Prepared, key: &DomainKey, mut field: TagWriter) -> Result<String, SignError> {
        let Prepared { names, data, body } = prepared;
        let options = &self.options;
        field.tag("a", key.algorithm()?);
        field.tag("c", format_args!("{}/{}", options.header, options.body));
        field.tag("d", &key.domain);
        field.tag("s", &key.selector);
        field.tag("t", self.now);
        if let Some(lifetime) = options.lifetime {
            field.tag("x", self.now.saturating_add(lifetime.max(1)).min(TIME_MAX));
        }
        field.list("h", names);
        field.base64("bh", self.message.bodies.result(*body).0);
        Ok(sign_field(&*self.crypto, &*key.key, field, data.clone(), options.header)?)
    }
}

impl DomainKey {
    /// The algorithm that it signs with.
    pub(crate) fn algorithm(&self) -> Result<Algorithm, SignError> {
        Algorithm::of_key(self.key.algorithm()).ok_or(SignError::KeyKind)
    }
}

/// The latest time that has the twelve digits of RFC 6376 §3.5.
pub(crate) const TIME_MAX: u64 = 999_999_999_999;

/// The names for `h=`: each as often as it is there, and once more if it is oversigned; without those that are excluded.
pub(crate) fn names_to_sign<'n>(
    header: &Header,
    signed: &'n [Cow<'static, str>],
    oversigned: &'n [Cow<'static, str>],
    excluded: &[&str],
) -> Vec<&'n str> {
    let mut names = Vec::new();
    for (index, name) in signed.iter().chain(oversigned).enumerate() {
        let is_name =
            !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b':' | b';'));
        let is_again = signed.iter().chain(oversigned).take(index).any(|other| other.eq_ignore_ascii_case(name));
        let is_excluded = excluded.iter().any(|excluded| excluded.eq_ignore_ascii_case(name));
        if !is_name || is_again || is_excluded {
            continue;
        }
        let more = usize::from(oversigned.iter().any(|other| other.eq_ignore_ascii_case(name)));
        names.extend(core::iter::repeat_n(&**name, header.named(name.as_bytes()).len() + more));
    }
    names
}

/// Signs `data` and a field that lacks nothing but its `b=`, and completes the field.
pub(crate) fn sign_field(
    crypto: &dyn Crypto,
    key: &dyn SigningKey,
    mut field: TagWriter,
    mut data: Vec<u8>,
    form: Canonicalization,
) -> Result<String, CryptoError> {
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
