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
use crate::dkim::intake::{Headed, Header, Message, Reader};
use crate::dkim::sign::{Prepared, Signing, names_to_sign, sign_field};
use crate::dkim::tag_writer::TagWriter;
use crate::dkim::{Canonicalization, DomainKey, SignError, SignOptions};

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
/// other change to it. The same options say which fields the message signature covers, and when it ends; those that later
/// hosts take out or that ARC excludes are left out whatever the lists say, and DKIM-Signature is added (RFC 8617 §4.1.2).
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
    signing: Signing,
    key: DomainKey,
    prepared: Option<Result<PreparedSet, SealError>>,
}

/// What of a header is signed and sealed.
#[derive(Debug)]
struct PreparedSet {
    message: Prepared,
    /// The fields of the sets that there are, in the order and form in which seals sign them; `None` if they are no chain.
    sets: Option<Vec<u8>>,
    instance: u8,
}

impl Sealer {
    /// A sealer for one message; `now` is the time in seconds since 1970.
    pub fn new(crypto: Arc<dyn Crypto>, key: DomainKey, options: SignOptions, now: u64) -> Self {
        Sealer { signing: Signing::new(crypto, options, now), key, prepared: None }
    }

    /// Takes the next octets of the message.
    pub fn write(&mut self, slice: &[u8]) {
        self.read(slice);
    }

    fn prepare(&mut self, header: &Header) -> Result<PreparedSet, SealError> {
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
                Canonicalization::Relaxed.push_line(&header.field(field), &mut data);
            }
            data
        });
        let Signing { crypto, options, message, .. } = &mut self.signing;
        let mut signed = options.signed.clone();
        signed.push(Cow::Borrowed("DKIM-Signature"));
        let names = names_to_sign(header, &signed, &options.oversigned, &EXCLUDED);
        let message = Prepared::new(&**crypto, options, header, &names, &mut message.bodies);
        let message = message.map_err(SealError::Crypto)?;
        Ok(PreparedSet { message, sets, instance: chain.highest + 1 })
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
        self.read_end();
        let PreparedSet { message, sets, instance } = self.prepared.take().expect("the header has ended")?;
        let (signing, key) = (&self.signing, &self.key);

        let results = alloc::format!("{}: i={instance}; {}\r\n", FieldKind::Results, results.trim());
        // One field, whatever stands in it.
        let mut fields = Fields::new(results.as_bytes());
        let is_text = !results.contains('\0') && !results.replace("\r\n", "").contains(['\r', '\n']);
        let Some(results_field) = fields.next().filter(|field| is_text && field.raw.len() == results.len()) else {
            return Err(SealError::Results);
        };

        let mut field = TagWriter::new(FieldKind::MessageSignature.name());
        field.tag("i", instance);
        let message = signing.sign(&message, key, field)?;

        // RFC 8617 §5.1.1, §5.1.2: all sets, or this one alone if those before it are broken.
        let (cv, mut data) = match (sets, chain) {
            (Some(sets), ArcResult::None) if sets.is_empty() => (ArcResult::None, sets),
            (Some(sets), ArcResult::Pass) if !sets.is_empty() => (ArcResult::Pass, sets),
            _ => (ArcResult::Fail, Vec::new()),
        };
        let message_field = Fields::new(message.as_bytes()).next().expect("it was written above");
        for field in [results_field, message_field] {
            Canonicalization::Relaxed.push_line(&field, &mut data);
        }
        let mut seal = TagWriter::new(FieldKind::Seal.name());
        seal.tag("i", instance);
        seal.tag("a", key.algorithm()?);
        seal.tag("t", signing.now);
        seal.tag("cv", cv);
        seal.tag("d", &key.domain);
        seal.tag("s", &key.selector);
        let seal = sign_field(&*signing.crypto, &*key.key, seal, data, Canonicalization::Relaxed);
        Ok([seal.map_err(SealError::Crypto)?, message, results].concat())
    }
}

impl Reader for Sealer {
    fn message(&mut self) -> &mut Message {
        &mut self.signing.message
    }

    fn begin(&mut self, header: Headed) {
        self.prepared = Some(match header {
            Ok(header) => self.prepare(&header),
            Err(limit) => Err(SealError::Header(limit)),
        });
    }
}

/// Fields that no message signature covers (RFC 8617 §4.1.2).
const EXCLUDED: [&str; 4] =
    ["Authentication-Results", "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"];
