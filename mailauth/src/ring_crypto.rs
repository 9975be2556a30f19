//! The cryptography of *ring* under the names that the machines ask by.

use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use pillarbox_core::crypto::{Crypto, CryptoError, HashAlgorithm};
use ring::{digest, hmac, pbkdf2};

/// Hashes by *ring*.
///
/// ```
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_core::crypto::{Crypto, HashAlgorithm};
///
/// let digest = RingCrypto.digest(HashAlgorithm::Sha256, b"abc")?;
/// assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
/// # Ok::<(), pillarbox_core::crypto::CryptoError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RingCrypto;

impl Crypto for RingCrypto {
    fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => &digest::SHA256,
            HashAlgorithm::Sha512 => &digest::SHA512,
            _ => return Err(CryptoError::Unsupported),
        };
        Ok(digest::digest(algorithm, data).as_ref().into())
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
            HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
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
            HashAlgorithm::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(CryptoError::Unsupported),
        };
        let mut key = vec![0; hash.len()];
        pbkdf2::derive(algorithm, iterations, salt, password, &mut key);
        Ok(key)
    }
}
