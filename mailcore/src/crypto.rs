//! The cryptography that protocols need, as a trait. The algorithms themselves are a library's work.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

/// What a program brings so that exchanges can hash and prove. The umbrella crate has a version on *ring*.
///
/// All methods are pure: equal arguments give equal results. Secrets are compared with
/// [`Secret::same_as`](crate::Secret::same_as), never with `==`.
pub trait Crypto: fmt::Debug + Send + Sync {
    /// The digest of the data; [`HashAlgorithm::len`] octets.
    ///
    /// # Errors
    ///
    /// [`CryptoError::Unsupported`] if the algorithm is not there.
    fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// The HMAC of the data (RFC 2104); [`HashAlgorithm::len`] octets.
    ///
    /// # Errors
    ///
    /// [`CryptoError::Unsupported`] if the algorithm is not there.
    fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError>;

    /// PBKDF2 (RFC 8018 §5.2) with HMAC and one block of output: what RFC 5802 §2.2 calls `Hi`. Takes time in proportion to
    /// the iterations: about a millisecond for 4096 of them.
    ///
    /// # Errors
    ///
    /// [`CryptoError::Unsupported`] if the algorithm is not there.
    fn pbkdf2(
        &self,
        hash: HashAlgorithm,
        iterations: NonZeroU32,
        salt: &[u8],
        password: &[u8],
    ) -> Result<Vec<u8>, CryptoError>;
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// MD5. Broken; nothing but CRAM-MD5 (RFC 2195) asks for it, and only where somebody wants that.
    Md5,
    /// SHA-1. Broken for signatures, sound in HMAC and PBKDF2 (RFC 6194 §2), where SCRAM-SHA-1 needs it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512. TLSA records may hold it (RFC 6698 §2.1.3).
    Sha512,
}

impl HashAlgorithm {
    /// The length of a digest in octets.
    #[expect(clippy::len_without_is_empty, reason = "no digest is empty")]
    pub const fn len(self) -> usize {
        match self {
            HashAlgorithm::Md5 => 16,
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha512 => 64,
        }
    }
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// This [`Crypto`] does not have the algorithm.
    #[error("the algorithm is not supported")]
    Unsupported,
}
