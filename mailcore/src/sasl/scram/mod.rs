//! SCRAM: a proof of the password that tells neither side's eavesdropper, nor the server, what it is (RFC 5802, RFC 7677).

mod client;
mod message;
mod server;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use super::SaslError;
use super::prep::prepare;
use crate::crypto::{Crypto, CryptoError, HashAlgorithm};
use crate::{Random, Secret};

pub(super) use client::Client;
pub(super) use message::{escape, unescape};
pub(super) use server::{Server, Stage};

/// The name of the channel binding (RFC 9266 §2).
const EXPORTER: &str = "tls-exporter";
/// Random octets in a nonce, base64 of which has no padding.
const NONCE_OCTETS: usize = 24;

/// What a server keeps of a password for SCRAM (RFC 5802 §3). Whoever has it can pretend to be the server, and can guess
/// passwords without asking; nobody can log in with it.
///
/// ```
/// use pillarbox_core::crypto::HashAlgorithm;
/// use pillarbox_core::sasl::ScramKeys;
///
/// // As `doveadm pw -s SCRAM-SHA-256` writes them, behind the name of the scheme.
/// let text = "4096,Y0oxOuC0gd561s1pY1DnjQ==,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,\
///             oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=";
/// let keys = ScramKeys::parse(HashAlgorithm::Sha256, text).unwrap();
/// assert_eq!(keys.iterations().get(), 4096);
/// assert_eq!(keys.to_text().expose(), text);
/// ```
#[derive(Clone)]
pub struct ScramKeys {
    hash: HashAlgorithm,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Secret<Vec<u8>>,
    server_key: Secret<Vec<u8>>,
    /// There is nobody who has the password.
    is_decoy: bool,
}

impl ScramKeys {
    /// The keys of a password. The time is that of [`Crypto::pbkdf2`].
    ///
    /// # Errors
    ///
    /// [`SaslError::Empty`] and [`SaslError::Unprepared`] if there are no keys of such a password (RFC 4013);
    /// [`SaslError::Unsupported`] if there is no such hash.
    pub fn derive(
        crypto: &dyn Crypto,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt: &[u8],
        password: &Secret<String>,
    ) -> Result<Self, SaslError> {
        let salted = Salted::new(crypto, hash, iterations, salt, password)?;
        let (stored_key, server_key) = (salted.stored_key(crypto)?, salted.server_key(crypto)?);
        Ok(ScramKeys { hash, iterations, salt: salt.into(), stored_key, server_key, is_decoy: false })
    }

    /// Keys for a name that there is not, so that an exchange goes on as if there were one, and fails. They are always the
    /// same for a name and a secret: a salt that changes would tell a stranger that the name is unknown (RFC 5802 §9).
    /// `secret` is the server's own and lasts; `salt_len` and `iterations` are those of the other accounts.
    ///
    /// # Errors
    ///
    /// [`SaslError::Unsupported`] if there is no such hash.
    pub fn decoy(
        crypto: &dyn Crypto,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt_len: usize,
        secret: &Secret<Vec<u8>>,
        name: &str,
    ) -> Result<Self, SaslError> {
        let stored_key = crypto.hmac(hash, secret.expose(), &[b"stored\0", name.as_bytes()].concat())?;
        let server_key = crypto.hmac(hash, secret.expose(), &[b"server\0", name.as_bytes()].concat())?;
        let mut salt = Vec::new();
        for count in 0_u32.. {
            if salt.len() >= salt_len.clamp(1, 1024) {
                salt.truncate(salt_len.clamp(1, 1024));
                break;
            }
            let text = [&b"salt\0"[..], &count.to_be_bytes(), name.as_bytes()].concat();
            salt.extend(crypto.hmac(hash, secret.expose(), &text)?);
        }
        let (stored_key, server_key) = (Secret::new(stored_key), Secret::new(server_key));
        Ok(ScramKeys { hash, iterations, salt, stored_key, server_key, is_decoy: true })
    }

    /// The same keys for a name that there is not: whoever proves to have the password is refused all the same.
    #[must_use]
    pub fn into_decoy(self) -> Self {
        ScramKeys { is_decoy: true, ..self }
    }

    /// Reads keys as Dovecot stores them: `iterations,salt,StoredKey,ServerKey`, the last three in base64. `None` if it is
    /// something else, or the keys are not as long as the hash is.
    pub fn parse(hash: HashAlgorithm, text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let iterations = parts.next().filter(|digits| digits.starts_with(|first: char| first.is_ascii_digit()))?;
        let iterations = iterations.parse().ok()?;
        let mut decoded = || parts.next().and_then(|part| message::decode(part).ok());
        let (salt, stored_key, server_key) = (decoded()?, decoded()?, decoded()?);
        let fits = !salt.is_empty() && [&stored_key, &server_key].iter().all(|key| key.len() == hash.len());
        let (stored_key, server_key) = (Secret::new(stored_key), Secret::new(server_key));
        (fits && parts.next().is_none()).then_some(ScramKeys {
            hash,
            iterations,
            salt,
            stored_key,
            server_key,
            is_decoy: false,
        })
    }

    /// The form that [`parse`](ScramKeys::parse) reads.
    pub fn to_text(&self) -> Secret<String> {
        let [salt, stored_key, server_key] =
            [&self.salt, self.stored_key.expose(), self.server_key.expose()].map(|octets| message::encode(octets));
        Secret::new(alloc::format!("{},{salt},{stored_key},{server_key}", self.iterations))
    }

    /// Whether they are the keys of this password, for mechanisms that tell it. The time is that of [`Crypto::pbkdf2`].
    pub fn matches(&self, crypto: &dyn Crypto, password: &Secret<String>) -> bool {
        let salted = Salted::new(crypto, self.hash, self.iterations, &self.salt, password);
        let stored_key = salted.and_then(|salted| salted.stored_key(crypto));
        stored_key.is_ok_and(|key| self.stored_key.same_as(key.expose())) && !self.is_decoy
    }

    /// The hash that they are for.
    pub const fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// How often the password was hashed.
    pub const fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// What the password was hashed with; everybody may know it.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// What a server says to [`Progress::NeedsKeys`](super::Progress::NeedsKeys).
#[derive(Clone)]
pub struct ScramAnswer {
    keys: ScramKeys,
    nonce: String,
    crypto: Arc<dyn Crypto>,
}

impl ScramAnswer {
    /// Keys, what to check a proof of them with, and a source of random octets that nobody can foresee.
    pub fn new(keys: ScramKeys, crypto: Arc<dyn Crypto>, random: &mut dyn Random) -> Self {
        ScramAnswer { keys, nonce: nonce(random), crypto }
    }
}

impl fmt::Debug for ScramAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramAnswer").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// Equal if they lead to the same exchange.
impl PartialEq for ScramAnswer {
    fn eq(&self, other: &Self) -> bool {
        let text = self.keys.to_text().same_as(other.keys.to_text().expose().as_bytes());
        text && self.nonce == other.nonce
            && self.keys.is_decoy == other.keys.is_decoy
            && self.keys.hash == other.keys.hash
    }
}

fn nonce(random: &mut dyn Random) -> String {
    let mut octets = [0; NONCE_OCTETS];
    random.fill(&mut octets);
    message::encode(&octets)
}

/// A password behind PBKDF2: all keys are made of it.
#[derive(Clone, Debug)]
struct Salted {
    hash: HashAlgorithm,
    key: Secret<Vec<u8>>,
}

impl Salted {
    fn new(
        crypto: &dyn Crypto,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt: &[u8],
        password: &Secret<String>,
    ) -> Result<Self, SaslError> {
        let password = prepare(password.expose())?;
        let key = crypto.pbkdf2(hash, iterations, salt, password.as_bytes())?;
        Ok(Salted { hash, key: Secret::new(key) })
    }

    fn client_key(&self, crypto: &dyn Crypto) -> Result<Secret<Vec<u8>>, CryptoError> {
        crypto.hmac(self.hash, self.key.expose(), b"Client Key").map(Secret::new)
    }

    fn stored_key(&self, crypto: &dyn Crypto) -> Result<Secret<Vec<u8>>, SaslError> {
        Ok(Secret::new(crypto.digest(self.hash, self.client_key(crypto)?.expose())?))
    }

    fn server_key(&self, crypto: &dyn Crypto) -> Result<Secret<Vec<u8>>, SaslError> {
        Ok(Secret::new(crypto.hmac(self.hash, self.key.expose(), b"Server Key")?))
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests;
