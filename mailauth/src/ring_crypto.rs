//! The cryptography of *ring* under the names that the machines ask by.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;

use pillarbox_core::crypto::{
    Crypto, CryptoError, Digest, HashAlgorithm, PrivateKeyDer, PublicKey, SignatureAlgorithm, SigningKey,
};
use ring::rand::SystemRandom;
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents, UnparsedPublicKey,
};
use ring::{digest, hmac, pbkdf2};

/// Hashes and signatures by *ring*: RSA keys of 1024 to 8192 bits to verify with and 2048 to 4096 to sign with, and Ed25519.
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
        Ok(digest::digest(algorithm(hash)?, data).as_ref().into())
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

    fn start_digest(&self, hash: HashAlgorithm) -> Result<Box<dyn Digest>, CryptoError> {
        Ok(Box::new(RingDigest(digest::Context::new(algorithm(hash)?))))
    }

    fn verify(&self, key: PublicKey<'_>, message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let result = match key {
            PublicKey::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
                message,
                signature,
            ),
            PublicKey::Ed25519(point) => {
                if !is_strict(point) {
                    return Err(CryptoError::InvalidKey);
                }
                if !signature.first_chunk().is_some_and(is_strict) {
                    return Err(CryptoError::InvalidSignature);
                }
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
            _ => return Err(CryptoError::Unsupported),
        };
        result.map_err(|ring::error::Unspecified| CryptoError::InvalidSignature)
    }

    fn load_key(&self, key: &PrivateKeyDer) -> Result<Box<dyn SigningKey>, CryptoError> {
        match key {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.expose()).map(RsaKey::boxed),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.expose()).map(RsaKey::boxed).or_else(|_| {
                // What OpenSSL writes lacks the public half, and it is checked where it is there.
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.expose()).map(EdKey::boxed)
            }),
            _ => return Err(CryptoError::Unsupported),
        }
        .map_err(|_| CryptoError::InvalidKey)
    }
}

const fn algorithm(hash: HashAlgorithm) -> Result<&'static digest::Algorithm, CryptoError> {
    match hash {
        HashAlgorithm::Sha1 => Ok(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        HashAlgorithm::Sha256 => Ok(&digest::SHA256),
        HashAlgorithm::Sha512 => Ok(&digest::SHA512),
        _ => Err(CryptoError::Unsupported),
    }
}

struct RingDigest(digest::Context);

impl Digest for RingDigest {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_ref().into()
    }
}

impl fmt::Debug for RingDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RingDigest").field(self.0.algorithm()).finish()
    }
}

/// *ring* shows the public half of a key alone.
#[derive(Debug)]
struct RsaKey {
    pair: RsaKeyPair,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    fn boxed(pair: RsaKeyPair) -> Box<dyn SigningKey> {
        let RsaPublicKeyComponents { n: modulus, e: exponent } = pair.public().into();
        Box::new(RsaKey { pair, modulus, exponent })
    }
}

impl SigningKey for RsaKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RsaSha256
    }

    fn public_key(&self) -> PublicKey<'_> {
        PublicKey::Rsa { modulus: &self.modulus, exponent: &self.exponent }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        // The randomness blinds the computation; the signature is the same without it.
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|ring::error::Unspecified| CryptoError::Failed)?;
        Ok(signature)
    }
}

struct EdKey {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl EdKey {
    fn boxed(pair: Ed25519KeyPair) -> Box<dyn SigningKey> {
        let public = pair.public_key().as_ref().try_into().expect("an Ed25519 point has 32 octets");
        Box::new(EdKey { pair, public })
    }
}

impl fmt::Debug for EdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl SigningKey for EdKey {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::Ed25519
    }

    fn public_key(&self) -> PublicKey<'_> {
        PublicKey::Ed25519(&self.public)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(self.pair.sign(message).as_ref().into())
    }
}

/// Whether 32 octets are a point in its canonical form (RFC 8032 §5.1.3: `y` below the prime) and not of small order.
/// *ring* checks neither, and with a key of order 8 one signature is valid for every eighth message.
fn is_strict(point: &[u8; 32]) -> bool {
    let mut y = *point;
    // The sign of x.
    y[31] &= 0x7f;
    let beyond_prime = y[31] == 0x7f && y[1..31].iter().all(|octet| *octet == 0xff) && y[0] >= 0xed;
    !beyond_prime && !SMALL_ORDER.contains(&y)
}

/// The `y` of the eight points whose order divides 8, little-endian: 1, -1, 0, and that of the four of order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    first_octet(1),
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    first_octet(0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn first_octet(octet: u8) -> [u8; 32] {
    let mut y = [0; 32];
    y[0] = octet;
    y
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_core::Secret;

    /// The private key of RFC 8032 §7.1, test 2, as RFC 5958 writes it: without the public half.
    fn ed25519() -> Box<dyn SigningKey> {
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend_from_slice(&[
            0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a,
            0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
        ]);
        RingCrypto.load_key(&PrivateKeyDer::Pkcs8(Secret::new(der))).unwrap()
    }

    #[test]
    fn digests_do_not_depend_on_the_cut() {
        for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let mut digest = RingCrypto.start_digest(hash).unwrap();
            digest.update(b"a");
            digest.update(b"");
            digest.update(b"bc");
            let digest = digest.finish();
            assert_eq!(digest, RingCrypto.digest(hash, b"abc").unwrap());
            assert_eq!(digest.len(), hash.len());
        }
    }

    #[test]
    fn ed25519_signs_as_the_rfc_does() {
        let key = ed25519();
        let signature = key.sign(&[0x72]).unwrap();
        assert_eq!(signature[..8], [0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8]);
        let verify = |message: &[u8], signature: &[u8]| RingCrypto.verify(key.public_key(), message, signature);
        assert_eq!(verify(&[0x72], &signature), Ok(()));
        assert_eq!(verify(&[0x73], &signature), Err(CryptoError::InvalidSignature));
        assert_eq!(verify(&[0x72], &signature[..63]), Err(CryptoError::InvalidSignature));
        assert_eq!(verify(&[0x72], b""), Err(CryptoError::InvalidSignature));
    }

    /// With a key of small order, `R` = A or so and S = 0 is a signature over a good part of all messages.
    #[test]
    fn points_of_small_order_sign_nothing() {
        let mut forged = [0; 64];
        forged[0] = 1;
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut point = y;
                point[31] |= sign;
                let result = RingCrypto.verify(PublicKey::Ed25519(&point), b"any", &forged);
                assert_eq!(result, Err(CryptoError::InvalidKey), "{point:?}");
            }
        }
        // The identity again, written as 1 + p.
        let mut other_form = [0xff; 32];
        (other_form[0], other_form[31]) = (0xee, 0x7f);
        let result = RingCrypto.verify(PublicKey::Ed25519(&other_form), b"any", &forged);
        assert_eq!(result, Err(CryptoError::InvalidKey));
        let key = ed25519();
        assert_eq!(RingCrypto.verify(key.public_key(), b"any", &forged), Err(CryptoError::InvalidSignature));
    }

    /// RFC 8032 §8.4: S and S + L would be signatures of the same message, so that copies could not be told by them.
    #[test]
    fn a_signature_has_one_form() {
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = ed25519();
        let mut signature = key.sign(b"any").unwrap();
        assert_eq!(RingCrypto.verify(key.public_key(), b"any", &signature), Ok(()));
        let mut carry = 0;
        for (octet, of_order) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*octet) + u16::from(of_order) + carry;
            (*octet, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert_eq!(carry, 0);
        assert_eq!(RingCrypto.verify(key.public_key(), b"any", &signature), Err(CryptoError::InvalidSignature));
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        for der in [PrivateKeyDer::Pkcs1, PrivateKeyDer::Pkcs8] {
            let key = der(Secret::new(b"\x30\x03\x02\x01\x00".to_vec()));
            assert_eq!(RingCrypto.load_key(&key).unwrap_err(), CryptoError::InvalidKey);
            assert!(alloc::format!("{key:?}").ends_with("(Secret(..))"));
        }
        let shown = alloc::format!("{:?}", ed25519());
        assert!(shown.contains("61, 64, 23") && !shown.contains("76, 205, 8"), "{shown}");
    }
}
