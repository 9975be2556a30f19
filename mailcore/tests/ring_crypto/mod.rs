use pillarbox_core::crypto::{Crypto, CryptoError, HashAlgorithm};

/// The hashes of *ring*.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingCrypto;

impl Crypto for RingCrypto {
    fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            _ => &ring::digest::SHA256,
        };
        Ok(ring::digest::digest(algorithm, data).as_ref().to_vec())
    }

    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            _ => ring::hmac::HMAC_SHA256,
        };
        Ok(ring::hmac::sign(&ring::hmac::Key::new(algorithm, key), data).as_ref().to_vec())
    }

    fn pbkdf2(
        &self,
        hash: HashAlgorithm,
        iterations: core::num::NonZeroU32,
        salt: &[u8],
        password: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let algorithm = match hash {
            HashAlgorithm::Sha1 => ring::pbkdf2::PBKDF2_HMAC_SHA1,
            _ => ring::pbkdf2::PBKDF2_HMAC_SHA256,
        };
        let mut key = vec![0; hash.len()];
        ring::pbkdf2::derive(algorithm, iterations, salt, password, &mut key);
        Ok(key)
    }
}
