//! The cryptography of *ring* under the names that the protocol crates ask by.

use std::num::NonZeroU32;

#[cfg(feature = "cram-md5")]
use md5::Digest as _;
pub use pillarbox_auth::RingCrypto;
use pillarbox_core::crypto::HashAlgorithm;
#[cfg(feature = "cram-md5")]
use pillarbox_core::crypto::{Crypto, CryptoError};
#[cfg(feature = "cram-md5")]
use pillarbox_core::sasl::Challenged;
use pillarbox_core::sasl::{SaslError, ScramKeys};
use pillarbox_core::{Random, Secret};
use ring::rand;
use ring::rand::SecureRandom as _;

/// How often passwords that are kept in clear text are hashed for SCRAM: what RFC 7677 §4 asks for at least.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("it is not 0");
/// Octets of a salt, as many as Dovecot's have.
const SALT_LEN: usize = 16;

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

/// A [`Crypto`] with MD5 added, which CRAM-MD5 (RFC 2195) needs and nothing else. Made with
/// the feature `cram-md5`.
///
/// ```
/// use pillarbox::crypto::{RingCrypto, WithMd5};
/// use pillarbox::mailcore::crypto::{Crypto, CryptoError, HashAlgorithm};
///
/// assert_eq!(RingCrypto.digest(HashAlgorithm::Md5, b"abc"), Err(CryptoError::Unsupported));
/// let digest = WithMd5(RingCrypto).digest(HashAlgorithm::Md5, b"abc")?;
/// assert_eq!(digest[..4], [0x90, 0x01, 0x50, 0x98]);
/// # Ok::<(), CryptoError>(())
/// ```
#[cfg(feature = "cram-md5")]
#[derive(Clone, Copy, Debug, Default)]
pub struct WithMd5<C>(pub C);

#[cfg(feature = "cram-md5")]
impl<C: Crypto> Crypto for WithMd5<C> {
    fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match hash {
            HashAlgorithm::Md5 => Ok(md5::Md5::digest(data).to_vec()),
            hash => self.0.digest(hash, data),
        }
    }

    // RFC 2104 §2
    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        if hash != HashAlgorithm::Md5 {
            return self.0.hmac(hash, key, data);
        }
        let mut block = [0; 64];
        let hashed;
        let key = if key.len() > block.len() {
            hashed = self.digest(hash, key)?;
            &hashed
        } else {
            key
        };
        block[..key.len()].copy_from_slice(key);
        let padded = |pad: u8| block.map(|octet| octet ^ pad);
        let inner = self.digest(hash, &[&padded(0x36)[..], data].concat())?;
        self.digest(hash, &[&padded(0x5c)[..], &inner].concat())
    }

    fn pbkdf2(
        &self,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt: &[u8],
        password: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.0.pbkdf2(hash, iterations, salt, password)
    }
}

/// Whether a client of CRAM-MD5 knows this password.
#[cfg(feature = "cram-md5")]
pub(crate) fn is_proved(proof: &Challenged, password: &Secret<String>) -> bool {
    proof.is_proof_of(&WithMd5(RingCrypto), password).unwrap_or(false)
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

#[cfg(all(test, feature = "cram-md5"))]
mod tests {
    use super::*;

    #[test]
    fn hmac_md5() {
        let hmac = |key: &[u8], data: &[u8]| {
            let digest = WithMd5(RingCrypto).hmac(HashAlgorithm::Md5, key, data).unwrap();
            digest.iter().map(|octet| format!("{octet:02x}")).collect::<String>()
        };
        // RFC 2202 §2, test cases 1, 2 and 6: the key of the last one is longer than a block.
        assert_eq!(hmac(&[0x0b; 16], b"Hi There"), "9294727a3638bb1c13f48ef8158bfc9d");
        assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?"), "750c783e6ab0b503eaa86e310a5db738");
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hmac(&[0xaa; 80], text), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    }
}
