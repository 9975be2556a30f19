//! The cryptography of *ring* under the names that the protocol crates ask by.

use std::num::NonZeroU32;

use pillarbox_core::crypto::{Crypto, CryptoError, HashAlgorithm};
use pillarbox_core::sasl::{SaslError, ScramKeys};
use pillarbox_core::{Random, Secret};
use ring::rand::SecureRandom as _;
use ring::{digest, hmac, pbkdf2, rand};

/// How often passwords that are kept in clear text are hashed for SCRAM: what RFC 7677 §4 asks for at least.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("it is not 0");
/// Octets of a salt, as many as Dovecot's have.
const SALT_LEN: usize = 16;

/// Hashes by *ring*.
///
/// ```
/// use pillarbox::crypto::RingCrypto;
/// use pillarbox::mailcore::crypto::{Crypto, HashAlgorithm};
///
/// let digest = RingCrypto.digest(HashAlgorithm::Sha256, b"abc")?;
/// assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
/// # Ok::<(), pillarbox::mailcore::crypto::CryptoError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RingCrypto;

impl Crypto for RingCrypto {
    fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => &digest::SHA256,
            _ => return Err(CryptoError::Unsupported),
        };
        Ok(digest::digest(algorithm, data).as_ref().into())
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
            _ => return Err(CryptoError::Unsupported),
        };
        Ok(hmac::sign(&hmac::Key::new(algorithm, key), data).as_ref().into())
    }

    fn pbkdf2(
        &self,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt: &[u8],
        password: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            HashAlgorithm::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            _ => return Err(CryptoError::Unsupported),
        };
        let mut key = vec![0; hash.len()];
        pbkdf2::derive(algorithm, iterations, salt, password, &mut key);
        Ok(key)
    }
}

/// Random octets of the system, fit for nonces and keys.
///
/// ```
/// use pillarbox::crypto::SystemRandom;
/// use pillarbox::mailcore::Random;
///
/// let (mut one, mut other) = ([0; 16], [0; 16]);
/// SystemRandom::default().fill(&mut one);
/// SystemRandom::default().fill(&mut other);
/// assert_ne!(one, other);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SystemRandom(());

impl Random for SystemRandom {
    /// # Panics
    ///
    /// If the system gives no random octets, without which nothing here is safe.
    fn fill(&mut self, buffer: &mut [u8]) {
        rand::SystemRandom::new().fill(buffer).expect("the system has random octets");
    }
}

/// SCRAM keys of a password that is kept in clear text, or a decoy where there is none; both take the same time. The salt
/// follows from the name and a secret, so that it stays the same without being kept.
pub(crate) fn keys_of_clear_text(
    hash: HashAlgorithm,
    secret: &Secret<Vec<u8>>,
    name: &str,
    password: Option<&Secret<String>>,
) -> Result<ScramKeys, SaslError> {
    let decoy = ScramKeys::decoy(&RingCrypto, hash, ITERATIONS, SALT_LEN, secret, name)?;
    let nobody = Secret::from("x");
    let keys = ScramKeys::derive(&RingCrypto, hash, ITERATIONS, decoy.salt(), password.unwrap_or(&nobody));
    match (keys, password) {
        (Ok(keys), Some(_)) => Ok(keys),
        // A password that cannot be prepared (RFC 4013) is nobody's either.
        _ => Ok(decoy),
    }
}
