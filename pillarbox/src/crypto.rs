//! The cryptography of *ring* under the names that the protocol crates ask by.

use std::num::NonZeroU32;

pub use pillarbox_auth::RingCrypto;
use pillarbox_core::crypto::HashAlgorithm;
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
