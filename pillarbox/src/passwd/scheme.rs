//! Password schemes: what stands behind `{SCHEME}` and whether a password fits it.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use pillarbox_core::Secret;
use pillarbox_core::crypto::HashAlgorithm;
#[cfg(feature = "cram-md5")]
use pillarbox_core::sasl::Challenged;
use pillarbox_core::sasl::{ITERATIONS_MAX, ScramKeys};
use sha_crypt::ShaCrypt;

use crate::crypto::RingCrypto;

/// A stored password.
#[derive(Debug)]
pub(super) enum Hash {
    Plain(Secret<String>),
    Sha512Crypt(String),
    Bcrypt(String),
    Argon2id(String),
    Scram {
        keys: ScramKeys,
        /// The iterations, as they are written.
        cost: String,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum HashFault {
    UnknownScheme,
    InvalidHash(&'static str),
}

impl Hash {
    /// Reads a hash of a scheme. The scheme's name may stand in any case of letters.
    pub(super) fn parse(scheme: &str, hash: &str) -> Result<Self, HashFault> {
        let checked = |valid: bool, name, hash: fn(String) -> Hash, text: &str| match valid {
            true => Ok(hash(text.into())),
            false => Err(HashFault::InvalidHash(name)),
        };
        match &*scheme.to_ascii_uppercase() {
            "PLAIN" => Ok(Hash::Plain(hash.into())),
            "SHA512-CRYPT" => checked(is_sha512_crypt(hash), "SHA512-CRYPT", Hash::Sha512Crypt, hash),
            "BLF-CRYPT" => checked(is_bcrypt(hash), "BLF-CRYPT", Hash::Bcrypt, hash),
            "ARGON2ID" => checked(is_argon2id(hash), "ARGON2ID", Hash::Argon2id, hash),
            "SCRAM-SHA-1" => scram(HashAlgorithm::Sha1, "SCRAM-SHA-1", hash),
            "SCRAM-SHA-256" => scram(HashAlgorithm::Sha256, "SCRAM-SHA-256", hash),
            _ => Err(HashFault::UnknownScheme),
        }
    }

    /// Whether this is the password. Takes as long as the scheme wants: call it where blocking is allowed.
    pub(super) fn matches(&self, given: &Secret<String>) -> bool {
        let password = given.expose().as_bytes();
        match self {
            Hash::Plain(known) => known.same_as(password),
            Hash::Sha512Crypt(hash) => ShaCrypt::default().verify_password(password, hash.as_str()).is_ok(),
            // Cuts passwords at 72 octets as every crypt(3) does; hashes made elsewhere rely on it.
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Argon2id(hash) => {
                PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
            }
            Hash::Scram { keys, .. } => keys.matches(&RingCrypto, given),
        }
    }

    /// Whether a client of CRAM-MD5 knows the password; only who has it in clear text can tell.
    #[cfg(feature = "cram-md5")]
    pub(super) fn is_proved_by(&self, proof: &Challenged) -> bool {
        matches!(self, Hash::Plain(password) if crate::crypto::is_proved(proof, password))
    }

    /// What decides how long checking takes: the scheme and its parameters. Equal for hashes that take equally long.
    pub(super) fn cost(&self) -> &str {
        match self {
            Hash::Plain(_) => "",
            Hash::Sha512Crypt(hash) => {
                hash.split_inclusive('$').nth(2).filter(|part| part.starts_with("rounds=")).unwrap_or("$6$")
            }
            Hash::Bcrypt(hash) => hash.get(..7).unwrap_or_default(),
            Hash::Argon2id(hash) => hash.rsplitn(3, '$').nth(2).unwrap_or_default(),
            Hash::Scram { cost, .. } => cost,
        }
    }

    /// Whether keys for SCRAM are there, or can be made.
    pub(super) fn has_scram_keys(&self, hash: HashAlgorithm) -> bool {
        match self {
            Hash::Plain(_) => true,
            Hash::Scram { keys, .. } => keys.hash() == hash,
            _ => false,
        }
    }
}

fn scram(hash: HashAlgorithm, name: &'static str, text: &str) -> Result<Hash, HashFault> {
    let keys = ScramKeys::parse(hash, text).filter(|keys| keys.iterations().get() <= ITERATIONS_MAX);
    let cost = text.split(',').next().unwrap_or_default().into();
    keys.map(|keys| Hash::Scram { keys, cost }).ok_or(HashFault::InvalidHash(name))
}

fn is_sha512_crypt(hash: &str) -> bool {
    let mut parts = hash.split('$');
    let (Some(""), Some("6")) = (parts.next(), parts.next()) else { return false };
    let mut next = parts.next();
    if let Some(rounds) = next.and_then(|part| part.strip_prefix("rounds=")) {
        // What crypt(5) allows.
        if !rounds.parse().is_ok_and(|rounds: u32| (1000..=999_999_999).contains(&rounds)) {
            return false;
        }
        next = parts.next();
    }
    let is_base64 = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    let salt_fits = next.is_some_and(|salt| (1..=16).contains(&salt.len()) && is_base64(salt));
    salt_fits && parts.next().is_some_and(|sum| sum.len() == 86 && is_base64(sum)) && parts.next().is_none()
}

fn is_bcrypt(hash: &str) -> bool {
    let Some(cost) = ["$2y$", "$2b$", "$2a$"].iter().find_map(|prefix| hash.strip_prefix(prefix)) else { return false };
    let Some((cost, rest)) = cost.split_once('$') else { return false };
    cost.len() == 2
        && cost.parse().is_ok_and(|cost: u32| (4..=31).contains(&cost))
        && rest.len() == 53
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/')
}

fn is_argon2id(hash: &str) -> bool {
    // The library reads argon2d and argon2i as well, which are other schemes.
    hash.starts_with("$argon2id$")
        && PasswordHash::new(hash)
            .is_ok_and(|hash| hash.hash.is_some() && hash.salt.is_some() && Params::try_from(&hash).is_ok())
}

/// Why a password could not be hashed: the system gave no randomness or no memory.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot hash the password: {cause}")]
#[non_exhaustive]
pub struct HashError {
    /// What happened.
    pub cause: String,
}

/// Hashes a password with a new salt as `{ARGON2ID}...`, ready for a passwd-file. Takes 64 MiB and some tenths of a second.
///
/// # Errors
///
/// [`HashError`] if the system gives no randomness or no memory.
///
/// ```
/// use pillarbox::passwd::{PasswdFile, hash};
/// use pillarbox_core::Secret;
///
/// let stored = hash(&Secret::from("hunter2"))?;
/// assert!(stored.starts_with("{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$"));
/// PasswdFile::parse(&format!("joe:{stored}")).expect("what was hashed here can be read here");
/// # Ok::<(), pillarbox::passwd::HashError>(())
/// ```
pub fn hash(password: &Secret<String>) -> Result<String, HashError> {
    // RFC 9106 §4 (second choice): 64 MiB and three passes; one lane, because a login has one thread.
    let params = Params::new(65_536, 3, 1, None);
    let hashed = params.map_err(|error| error.to_string()).and_then(|params| {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password(password.expose().as_bytes()).map_err(|error| error.to_string())
    });
    hashed.map(|hash| format!("{{ARGON2ID}}{hash}")).map_err(|cause| HashError { cause })
}
