//! Private keys: read from their files, and made.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pillarbox_core::crypto::PrivateKeyDer;
use pillarbox_core::{Random, Secret};

/// Why a file is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateKeyError {
    /// No `-----BEGIN ...-----` with its `-----END ...-----`.
    #[error("not in the PEM format")]
    NoPem,
    /// What stands between is no base64.
    #[error("the key is damaged")]
    Damaged,
    /// A password would be needed.
    #[error("the key is encrypted")]
    Encrypted,
    /// Something else: a public key, a certificate, a key for another kind of signature.
    #[error("not an RSA or Ed25519 private key")]
    OtherKind,
}

/// Longer files are not looked at: a key of 4096 bits has 3.3 KB.
const FILE_MAX: usize = 64 * 1024;

/// Reads a private key from PEM (RFC 7468): `PRIVATE KEY`, which OpenSSL writes for both kinds, or `RSA PRIVATE KEY`. What
/// stands around it, such as attributes or parameters, is passed over.
///
/// # Errors
///
/// [`PrivateKeyError`] says what it is instead. Whether the key itself is sound is for
/// [`Crypto::load_key`](pillarbox_core::crypto::Crypto::load_key) to say.
pub fn read_private_key(pem: &[u8]) -> Result<PrivateKeyDer, PrivateKeyError> {
    if pem.len() > FILE_MAX {
        return Err(PrivateKeyError::NoPem);
    }
    let mut lines = pem.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii);
    let mut refused = PrivateKeyError::NoPem;
    while let Some(line) = lines.next() {
        let Some(label) = label(line, b"-----BEGIN ") else { continue };
        let mut base64 = Vec::new();
        let mut encrypted = label == b"ENCRYPTED PRIVATE KEY";
        loop {
            let line = lines.next().ok_or(PrivateKeyError::NoPem)?;
            if self::label(line, b"-----END ").is_some_and(|end| end == label) {
                break;
            }
            // RFC 1421 §4.6.1.1: in front of a key that OpenSSL encrypted in its old way.
            encrypted |= line.starts_with(b"Proc-Type:");
            base64.extend_from_slice(line);
        }
        let der = |kind: fn(Secret<Vec<u8>>) -> PrivateKeyDer| {
            let der = BASE64_STANDARD.decode(&base64).map_err(|_| PrivateKeyError::Damaged)?;
            Ok(kind(Secret::new(der)))
        };
        match label {
            _ if encrypted => refused = PrivateKeyError::Encrypted,
            b"PRIVATE KEY" => return der(PrivateKeyDer::Pkcs8),
            b"RSA PRIVATE KEY" => return der(PrivateKeyDer::Pkcs1),
            _ if refused == PrivateKeyError::NoPem => refused = PrivateKeyError::OtherKind,
            _ => {}
        }
    }
    Err(refused)
}

fn label<'l>(line: &'l [u8], start: &[u8]) -> Option<&'l [u8]> {
    line.strip_prefix(start)?.strip_suffix(b"-----")
}

/// `OneAsymmetricKey` with an Ed25519 key of 32 octets behind it (RFC 8410 §7).
const ED25519_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The private key of an Ed25519 seed (RFC 8032 §5.1.5): any 32 octets that nobody else knows.
pub fn ed25519_key(seed: &Secret<[u8; 32]>) -> PrivateKeyDer {
    PrivateKeyDer::Pkcs8(Secret::new([&ED25519_PREFIX[..], seed.expose()].concat()))
}

/// Makes an Ed25519 key. The randomness must be fit for keys: that of the system.
///
/// ```
/// use pillarbox_auth::RingCrypto;
/// use pillarbox_auth::dkim::{KeyRecord, generate_ed25519, write_private_key};
/// use pillarbox_core::crypto::Crypto;
/// # use pillarbox_core::{Random, SeededRandom};
/// # // In a program: pillarbox::crypto::SystemRandom.
/// # let mut random = SeededRandom::new(1);
///
/// let key = generate_ed25519(&mut random);
/// let file = write_private_key(&key).unwrap();
/// assert!(file.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
/// let record = KeyRecord::text(RingCrypto.load_key(&key)?.public_key()).unwrap();
/// assert!(record.starts_with("v=DKIM1; k=ed25519; p="));
/// # Ok::<(), pillarbox_core::crypto::CryptoError>(())
/// ```
pub fn generate_ed25519(random: &mut dyn Random) -> PrivateKeyDer {
    let mut seed = [0; 32];
    random.fill(&mut seed);
    ed25519_key(&Secret::new(seed))
}

/// Writes a private key as PEM; `None` for an encoding that has no label here.
pub fn write_private_key(key: &PrivateKeyDer) -> Option<Secret<String>> {
    let (label, der) = match key {
        PrivateKeyDer::Pkcs1(der) => ("RSA PRIVATE KEY", der),
        PrivateKeyDer::Pkcs8(der) => ("PRIVATE KEY", der),
        _ => return None,
    };
    let base64 = BASE64_STANDARD.encode(der.expose());
    let mut pem = alloc::format!("-----BEGIN {label}-----\n");
    let mut rest = &base64[..];
    // RFC 7468 §2
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = behind;
    }
    pem.push_str(&alloc::format!("-----END {label}-----\n"));
    Some(Secret::new(pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pem: &str) -> Result<(&'static str, Vec<u8>), PrivateKeyError> {
        read_private_key(pem.as_bytes()).map(|key| match key {
            PrivateKeyDer::Pkcs1(der) => ("PKCS #1", der.into_exposed()),
            PrivateKeyDer::Pkcs8(der) => ("PKCS #8", der.into_exposed()),
            _ => unreachable!("not read"),
        })
    }

    #[test]
    fn keys_in_their_files() {
        let key = "-----BEGIN PRIVATE KEY-----\r\nAAEC\r\n AwQF\r\n-----END PRIVATE KEY-----";
        assert_eq!(read(key), Ok(("PKCS #8", [0, 1, 2, 3, 4, 5].to_vec())));
        assert_eq!(read(&alloc::format!("a comment\n{key}\nmore")).unwrap().0, "PKCS #8");
        assert_eq!(read(&key.replace("PRIVATE", "RSA PRIVATE")).unwrap().0, "PKCS #1");
        assert_eq!(read(&key.replace("PRIVATE", "PUBLIC")), Err(PrivateKeyError::OtherKind));
        assert_eq!(read(&key.replace("PRIVATE", "EC PRIVATE")), Err(PrivateKeyError::OtherKind));
        assert_eq!(read(&key.replace("PRIVATE", "ENCRYPTED PRIVATE")), Err(PrivateKeyError::Encrypted));
        let old = key.replace("AAEC", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAEC");
        assert_eq!(read(&old.replace("PRIVATE", "RSA PRIVATE")), Err(PrivateKeyError::Encrypted));
        assert_eq!(read(&key.replace("END", "END RSA")), Err(PrivateKeyError::NoPem));
        assert_eq!(read(&key.replace("AAEC", "AAE*")), Err(PrivateKeyError::Damaged));
        assert_eq!(read(""), Err(PrivateKeyError::NoPem));
        let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert_eq!(read(&alloc::format!("{certificate}{key}")).unwrap().0, "PKCS #8");
        assert_eq!(read(&"x\n".repeat(40_000)), Err(PrivateKeyError::NoPem));
    }

    #[test]
    fn what_is_written_is_read() {
        for key in [PrivateKeyDer::Pkcs1, PrivateKeyDer::Pkcs8] {
            let key = key(Secret::new((0..=255).collect()));
            let pem = write_private_key(&key).unwrap();
            assert_eq!(read(pem.expose()).unwrap().1, (0..=255).collect::<Vec<u8>>());
            assert!(pem.expose().lines().all(|line| line.len() <= 64));
        }
    }
}
