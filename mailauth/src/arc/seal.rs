//! The sealer: adds a set to a chain (RFC 8617 §5.1).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::crypto::{Crypto, CryptoError};
use pillarbox_core::header::{Fields, HeaderLimit};

use super::SETS_MAX;
use super::outcome::{ArcResult, FieldKind};
use super::set::Chain;
use crate::dkim::body::{BodyHashId, BodyHashes};
use crate::dkim::intake::{Header, HeaderReader, Intake};
use crate::dkim::sign::{TIME_MAX, names_to_sign, selected_data, sign_field};
use crate::dkim::tag_writer::TagWriter;
use crate::dkim::{Algorithm, Canonicalization, DomainKey, SignError, SignOptions};

/// Why a message is not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The last seal says that the chain is broken, so nothing is to be added (RFC 8617 §5.1, step 2).
    #[error("the chain is broken and says so")]
    DeclaredFailed,
    /// There are 50 sets.
    #[error("the chain is full")]
    Full,
    /// The results are no text that can stand in a field.
    #[error("the results cannot stand in a header")]
    Results,
    /// The header is too long.
    #[error("{0}")]
    Header(HeaderLimit),
    /// The key is of a kind that ARC does not know.
    #[error("the key is of a kind that makes no seals")]
    KeyKind,
    /// The cryptography failed.
    #[error("{0}")]
    Crypto(CryptoError),
}

impl From<SignError> for SealError {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Header(limit) => SealError::Header(limit),
            SignError::Crypto(error) => SealError::Crypto(error),
            _ => SealError::KeyKind,
        }
    }
}

/// Seals a message that is passed on: says what was found when it came, and signs it as it goes.
///
/// [`write`](Sealer::write) takes the message as it will be sent, as [`dkim::Signer`](crate::dkim::Signer) does, after every
/// other change to it. The same options say which fields the message signature covers; those that later hosts take out or
/// that ARC excludes are left out whatever the lists say, and DKIM-Signature is added (RFC 8617 §4.1.2).
///
/// ```
/// use std::sync::Arc;
///
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::arc::{ArcResult, Sealer};
/// use pillarbox_auth::dkim::{DomainKey, SignOptions, generate_ed25519};
/// use pillarbox_core::crypto::Crypto;
/// # use pillarbox_core::SeededRandom;
/// # let key = generate_ed25519(&mut SeededRandom::new(1));
///
/// let crypto = Arc::new(RingCrypto);
/// let key = DomainKey::new("lists.example".parse()?, "sel".parse()?, crypto.load_key(&key)?.into());
/// let mut sealer = Sealer::new(crypto, key, SignOptions::default(), 1_700_000_000);
/// sealer.write(b"From: joe@example.org\r\n\r\nIs it ready?\r\n");
/// let fields = sealer.finish(ArcResult::None, "lists.example; spf=pass smtp.mailfrom=example.org")?;
/// assert!(fields.starts_with("ARC-Seal: i=1; a=ed25519-sha256; t=1700000000; cv=none;"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sealer {
    crypto: Arc<dyn Crypto>,
    key: DomainKey,
    options: SignOptions,
    now: u64,
    reader: HeaderReader,
    bodies: BodyHashes,
    header: Option<Result<Prepared, SealError>>,
}

/// What of a header is signed.
#[derive(Debug)]
struct Prepared {
    names: String,
    data: Vec<u8>,
    body: BodyHashId,
    /// The fields of the sets that there are, in the order and form in which seals sign them; `None` if they are no chain.
    sets: Option<Vec<u8>>,
    instance: u8,
}

impl Sealer {
    /// A sealer for one message; `now` is the time in seconds since 1970.
    pub fn new(crypto: Arc<dyn Crypto>, key: DomainKey, options: SignOptions, now: u64) -> Self {
        let reader = HeaderReader::new(options.header_limits);
        Sealer { crypto, key, options, now, reader, bodies: BodyHashes::default(), header: None }
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
            Intake::TooLong(limit) => self.header = Some(Err(SealError::Header(limit))),
        }
    }

    fn prepare(&mut self, header: &Header) -> Result<Prepared, SealError> {
        let chain = Chain::read(header);
        if chain.declared_failed {
            return Err(SealError::DeclaredFailed);
        }
        // A chain with an instance that is too high has no place for another one.
        if chain.highest >= SETS_MAX || matches!(chain.sets, Err(super::ArcReason::TooManySets { .. })) {
            return Err(SealError::Full);
        }
        let sets = chain.sets.ok().map(|sets| {
            let mut data = Vec::new();
            for field in sets.iter().flat_map(|set| [set.results, set.message, set.seal]) {
                Canonicalization::Relaxed.push_field(&header.field(field), &mut data);
                data.extend_from_slice(b"\r\n");
            }
            data
        });
        let mut signed = self.options.signed.clone();
        signed.push(Cow::Borrowed("DKIM-Signature"));
        let mut names = names_to_sign(header, &signed, &self.options.oversigned);
        names.retain(|name| !EXCLUDED.iter().any(|excluded| excluded.eq_ignore_ascii_case(name)));
        let data = selected_data(header, &names, self.options.header);
        let body = self.bodies.want(&*self.crypto, self.options.body, None).map_err(SealError::Crypto)?;
        Ok(Prepared { names: names.join(":"), data, body, sets, instance: chain.highest + 1 })
    }

    /// The message is complete. `chain` is what the [`Verifier`](super::Verifier) said about the message as it came, and
    /// `results` what is found in its Authentication-Results field: the name of the host that checked, and what it found
    /// (RFC 8601 §2.2). Gives the three fields, each with its line end, to be put before the message.
    ///
    /// A chain that does not pass, or that is not what `chain` says, is sealed as broken (RFC 8617 §5.1.2).
    ///
    /// # Errors
    ///
    /// [`SealError`] says why there are none.
    pub fn finish(mut self, chain: ArcResult, results: &str) -> Result<String, SealError> {
        let intake = self.reader.finish();
        self.take(intake);
        self.bodies.finish();
        let Prepared { names, data, body, sets, instance } = self.header.take().expect("the header has ended")?;
        let (crypto, DomainKey { domain, selector, key }) = (&*self.crypto, &self.key);
        let algorithm = Algorithm::of_key(key.algorithm()).ok_or(SealError::KeyKind)?;

        let results = alloc::format!("{}: i={instance}; {}\r\n", FieldKind::Results, results.trim());
        // One field, whatever stands in it.
        let mut fields = Fields::new(results.as_bytes());
        let is_text = !results.contains('\0') && !results.replace("\r\n", "").contains(['\r', '\n']);
        let Some(results_field) = fields.next().filter(|field| is_text && field.raw.len() == results.len()) else {
            return Err(SealError::Results);
        };

        let mut message = TagWriter::new(FieldKind::MessageSignature.name());
        message.tag("i", instance);
        message.tag("a", algorithm.as_str());
        message.tag("c", format_args!("{}/{}", self.options.header, self.options.body));
        message.tag("d", domain);
        message.tag("s", selector);
        message.tag("t", self.now.min(TIME_MAX));
        message.list("h", &names);
        message.base64("bh", self.bodies.result(body).0);
        let message = sign_field(crypto, &**key, message, data, self.options.header)?;

        // RFC 8617 §5.1.1, §5.1.2: all sets, or this one alone if those before it are broken.
        let (cv, mut data) = match (sets, chain) {
            (Some(sets), ArcResult::None) if sets.is_empty() => (ArcResult::None, sets),
            (Some(sets), ArcResult::Pass) if !sets.is_empty() => (ArcResult::Pass, sets),
            _ => (ArcResult::Fail, Vec::new()),
        };
        let message_field = Fields::new(message.as_bytes()).next().expect("it was written above");
        for field in [results_field, message_field] {
            Canonicalization::Relaxed.push_field(&field, &mut data);
            data.extend_from_slice(b"\r\n");
        }
        let mut seal = TagWriter::new(FieldKind::Seal.name());
        seal.tag("i", instance);
        seal.tag("a", algorithm.as_str());
        seal.tag("t", self.now.min(TIME_MAX));
        seal.tag("cv", cv);
        seal.tag("d", domain);
        seal.tag("s", selector);
        let seal = sign_field(crypto, &**key, seal, data, Canonicalization::Relaxed)?;
        Ok([seal, message, results].concat())
    }
}

/// Fields that no message signature covers (RFC 8617 §4.1.2).
const EXCLUDED: [&str; 4] =
    ["Authentication-Results", "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"];
