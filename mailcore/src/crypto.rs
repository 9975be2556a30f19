//! The cryptography that protocols need, as a trait. The algorithms themselves are a library's work.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use crate::Secret;

/// What a program brings so that exchanges can hash and prove. The umbrella crate has a version on *ring*.
///
/// All methods are pure: equal arguments give equal results. Secrets are compared with
/// [`Secret::same_as`](crate::Secret::same_as), never with `==`. What a provider leaves out is
/// [`CryptoError::Unsupported`]: logins need the hashes, mail authentication needs the rest.
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

    /// A digest over data that comes in pieces, so that nobody has to hold it.
    ///
    /// # Errors
    ///
    /// [`CryptoError::Unsupported`] if the algorithm is not there.
    fn start_digest(&self, hash: HashAlgorithm) -> Result<Box<dyn Digest>, CryptoError> {
        let _ = hash;
        Err(CryptoError::Unsupported)
    }

    /// Whether a signature over a message was made with the private half of a key. What kind of signature it is follows from
    /// the key: see [`SignatureAlgorithm`].
    ///
    /// Ed25519 is verified strictly: a public key or an `R` of small order, or one that is not in its one canonical form, is
    /// refused, so that no signature is valid for more than one message.
    ///
    /// # Errors
    ///
    /// [`CryptoError::InvalidSignature`] if it was not, [`CryptoError::InvalidKey`] if the key cannot be one, and
    /// [`CryptoError::Unsupported`] if the algorithm, or a key of that length, is not there.
    fn verify(&self, key: PublicKey<'_>, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let _ = (key, message, signature);
        Err(CryptoError::Unsupported)
    }

    /// Reads a private key, to sign with.
    ///
    /// # Errors
    ///
    /// [`CryptoError::InvalidKey`] if it is none, or one that is too short to sign with (RSA below 2048 bits), and
    /// [`CryptoError::Unsupported`] if it is of a kind that is not there.
    fn load_key(&self, key: &PrivateKeyDer) -> Result<Box<dyn SigningKey>, CryptoError> {
        let _ = key;
        Err(CryptoError::Unsupported)
    }
}

/// A digest that takes its data in pieces: [`Crypto::start_digest`].
pub trait Digest: fmt::Debug + Send + Sync {
    /// Takes the next octets. How the data is cut changes nothing.
    fn update(&mut self, data: &[u8]);

    /// The digest of all that was taken; [`HashAlgorithm::len`] octets.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// A private key in the hands of its provider, which may be a device that never shows it. `Debug` shows at most the public
/// half.
pub trait SigningKey: fmt::Debug + Send + Sync {
    /// The signatures that the key makes.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// The public half, for others to verify with.
    fn public_key(&self) -> PublicKey<'_>;

    /// Signs a message.
    ///
    /// # Errors
    ///
    /// What the provider says if it cannot: no memory, no randomness, a device that is gone.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
}

/// A kind of signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2) over the SHA-256 of the message.
    RsaSha256,
    /// Ed25519 without a prehash (RFC 8032 §5.1).
    Ed25519,
}

/// The public half of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublicKey<'a> {
    /// For [`SignatureAlgorithm::RsaSha256`] (RFC 8017 §3.1): both numbers big-endian and without zeros at the start.
    Rsa {
        /// The modulus `n`.
        modulus: &'a [u8],
        /// The exponent `e`.
        exponent: &'a [u8],
    },
    /// For [`SignatureAlgorithm::Ed25519`]: the encoded point (RFC 8032 §5.1.5).
    Ed25519(&'a [u8; 32]),
}

/// A private key as the octets of its file, in the encoding that a provider reads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PrivateKeyDer {
    /// An RSA key alone: `RSAPrivateKey` of PKCS #1 (RFC 8017 §A.1.2).
    Pkcs1(Secret<Vec<u8>>),
    /// A key that says what it is: `PrivateKeyInfo` of PKCS #8, or `OneAsymmetricKey` (RFC 5958 §2).
    Pkcs8(Secret<Vec<u8>>),
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// This [`Crypto`] does not have the algorithm.
    #[error("the algorithm is not supported")]
    Unsupported,
    /// The key is none, or one that must not be used.
    #[error("the key is not usable")]
    InvalidKey,
    /// The signature was not made over this message with this key.
    #[error("the signature does not match")]
    InvalidSignature,
    /// The provider failed.
    #[error("the cryptography failed")]
    Failed,
}
