//! Key records (RFC 6376 §3.6.1, RFC 8463 §4): what stands at `selector._domainkey.domain`.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pillarbox_core::crypto::{Crypto, CryptoError, HashAlgorithm, PublicKey, SignatureAlgorithm, SigningKey};
use pillarbox_core::dns::Name;

use super::signature::base64;
use super::{Algorithm, rsa_der};
use crate::tag_list::{TagList, trim};

/// What a domain says about one of its keys.
///
/// ```
/// use pillarbox_auth::dkim::{KeyError, KeyRecord};
///
/// let record = KeyRecord::parse(b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")?;
/// assert_eq!(record.bits(), 256);
/// assert_eq!(KeyRecord::parse(b"v=DKIM1; p=").unwrap_err(), KeyError::Revoked);
/// # Ok::<(), KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    key: Key,
    sha256: bool,
    email: bool,
    testing: bool,
    strict: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    Ed25519([u8; 32]),
}

/// Why a record is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Longer than [`KeyRecord::SIZE_MAX`].
    #[error("the key record is too long")]
    TooLong,
    /// No list of tags, or a tag stands twice.
    #[error("the key record is not a list of tag=value")]
    NoTagList,
    /// `v=` is not first, or not `DKIM1`.
    #[error("the key record is of another version")]
    Version,
    /// There is no `p=`.
    #[error("the key record has no key")]
    NoKey,
    /// `p=` is empty: the key must not be used any more.
    #[error("the key is revoked")]
    Revoked,
    /// `k=` is neither `rsa` nor `ed25519`.
    #[error("the key is of an unknown type")]
    UnknownType,
    /// What stands in `p=` is no key of the type.
    #[error("the key is malformed")]
    Malformed,
}

impl KeyRecord {
    /// Octets of a record that are read: ten times what a key of 4096 bits needs.
    pub const SIZE_MAX: usize = 8192;

    /// Reads a record, its strings put together.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says why it is no key.
    pub fn parse(record: &[u8]) -> Result<Self, KeyError> {
        if record.len() > KeyRecord::SIZE_MAX {
            return Err(KeyError::TooLong);
        }
        let list = TagList::parse(record).map_err(|_| KeyError::NoTagList)?;
        // RFC 6376 §3.6.1: if it is there, it is the first, and says this.
        if let Some(version) = list.find("v")
            && (version != b"DKIM1" || list.first().is_some_and(|first| first.name != b"v"))
        {
            return Err(KeyError::Version);
        }
        let public = list.find("p").ok_or(KeyError::NoKey)?;
        let key_type = list.find("k").unwrap_or(b"rsa");
        if public.is_empty() {
            return Err(KeyError::Revoked);
        }
        let octets = base64(public).ok_or(KeyError::Malformed);
        let key = if key_type.eq_ignore_ascii_case(b"rsa") {
            let octets = octets?;
            let (modulus, exponent) = rsa_der::read_rsa(&octets).ok_or(KeyError::Malformed)?;
            // An even modulus, and an exponent of one or an even one, belong to no key; a long exponent costs time only.
            let is_odd = |number: &[u8]| number.last().is_some_and(|octet| octet & 1 == 1);
            if !is_odd(modulus) || !is_odd(exponent) || exponent == [1] || exponent.len() > EXPONENT_MAX {
                return Err(KeyError::Malformed);
            }
            Key::Rsa { modulus: modulus.into(), exponent: exponent.into() }
        } else if key_type.eq_ignore_ascii_case(b"ed25519") {
            Key::Ed25519(octets?.try_into().map_err(|_| KeyError::Malformed)?)
        } else {
            return Err(KeyError::UnknownType);
        };
        let has = |tag, word: &[u8]| list_has(list.find(tag), word);
        Ok(KeyRecord {
            key,
            sha256: list.find("h").is_none() || has("h", b"sha256"),
            email: list.find("s").is_none() || has("s", b"email") || has("s", b"*"),
            testing: has("t", b"y"),
            strict: has("t", b"s"),
        })
    }

    /// The record for a key, as it stands in the DNS.
    ///
    /// ```
    /// use pillarbox_auth::dkim::KeyRecord;
    /// use pillarbox_core::crypto::PublicKey;
    ///
    /// let text = KeyRecord::text(PublicKey::Ed25519(&[7; 32])).unwrap();
    /// assert_eq!(text, "v=DKIM1; k=ed25519; p=BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    /// ```
    ///
    /// `None` for a kind of key that DKIM does not know.
    pub fn text(key: PublicKey<'_>) -> Option<String> {
        let (word, octets) = match key {
            PublicKey::Rsa { modulus, exponent } => ("rsa", rsa_der::write_rsa(modulus, exponent)),
            PublicKey::Ed25519(point) => ("ed25519", point.to_vec()),
            _ => return None,
        };
        Some(format!("v=DKIM1; k={word}; p={}", BASE64_STANDARD.encode(octets)))
    }

    /// The same as a line of a zone file (RFC 1035 §5.1), in strings of 255 octets at most.
    ///
    /// ```
    /// # use pillarbox_auth::dkim::KeyRecord;
    /// # use pillarbox_core::crypto::PublicKey;
    /// let (selector, domain) = ("sel".parse()?, "example.org".parse()?);
    /// let line = KeyRecord::zone_line(&selector, &domain, PublicKey::Ed25519(&[7; 32])).unwrap();
    /// assert!(line.starts_with("sel._domainkey.example.org. IN TXT ( \"v=DKIM1; k=ed25519; p="));
    /// # Ok::<(), pillarbox_core::dns::NameError>(())
    /// ```
    pub fn zone_line(selector: &Name, domain: &Name, key: PublicKey<'_>) -> Option<String> {
        let text = KeyRecord::text(key)?;
        let mut line = format!("{selector}._domainkey.{domain}. IN TXT (");
        // No octet of it needs a backslash.
        for string in text.as_bytes().chunks(255) {
            line.push_str(" \"");
            line.push_str(&String::from_utf8_lossy(string));
            line.push('"');
        }
        line.push_str(" )");
        Some(line)
    }

    /// The bits of the key: of the modulus for RSA.
    pub fn bits(&self) -> u32 {
        match &self.key {
            Key::Rsa { modulus, .. } => {
                let zeros = modulus.first().map_or(0, |octet| octet.leading_zeros());
                u32::try_from(modulus.len()).unwrap_or(u32::MAX / 8).saturating_mul(8) - zeros
            }
            Key::Ed25519(_) => 256,
        }
    }

    /// The key itself.
    pub fn public_key(&self) -> PublicKey<'_> {
        match &self.key {
            Key::Rsa { modulus, exponent } => PublicKey::Rsa { modulus, exponent },
            Key::Ed25519(point) => PublicKey::Ed25519(point),
        }
    }

    /// `t=y`: the domain is testing, and its mail is to be treated as unsigned (RFC 6376 §3.6.1).
    pub const fn is_testing(&self) -> bool {
        self.testing
    }

    /// `t=s`: only addresses of the domain itself, and none below it, may be the identity of a signature.
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether `h=` admits SHA-256.
    pub(crate) const fn admits_sha256(&self) -> bool {
        self.sha256
    }

    /// Whether `s=` admits mail.
    pub(crate) const fn admits_email(&self) -> bool {
        self.email
    }

    pub(crate) const fn is_rsa(&self) -> bool {
        matches!(self.key, Key::Rsa { .. })
    }

    /// Whether the key makes signatures of this algorithm.
    pub(crate) const fn makes(&self, algorithm: Algorithm) -> bool {
        matches!(
            (&self.key, algorithm),
            (Key::Rsa { .. }, Algorithm::RsaSha256) | (Key::Ed25519(_), Algorithm::Ed25519Sha256)
        )
    }

    /// Whether the data of a header was signed with the key.
    pub(crate) fn verify(&self, crypto: &dyn Crypto, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        match &self.key {
            Key::Rsa { .. } => crypto.verify(self.public_key(), data, signature),
            // RFC 8463 §3: what is signed is the hash.
            Key::Ed25519(_) => {
                crypto.verify(self.public_key(), &crypto.digest(HashAlgorithm::Sha256, data)?, signature)
            }
        }
    }
}

/// Signs the data of a header.
pub(crate) fn sign(crypto: &dyn Crypto, key: &dyn SigningKey, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
    match key.algorithm() {
        // RFC 8463 §3
        SignatureAlgorithm::Ed25519 => key.sign(&crypto.digest(HashAlgorithm::Sha256, data)?),
        _ => key.sign(data),
    }
}

/// Octets of an exponent: 33 bits are the most that is in use, and what *ring* takes.
const EXPONENT_MAX: usize = 5;

/// Whether a list with colons has a word.
fn list_has(value: Option<&[u8]>, word: &[u8]) -> bool {
    value.is_some_and(|value| value.split(|octet| *octet == b':').any(|other| trim(other).eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn parse(record: &str) -> Result<KeyRecord, KeyError> {
        KeyRecord::parse(record.as_bytes())
    }

    fn rsa(modulus_len: usize, exponent: &[u8]) -> String {
        format!("p={}", BASE64_STANDARD.encode(rsa_der::write_rsa(&vec![0xff; modulus_len], exponent)))
    }

    #[test]
    fn records_in_use() {
        let key = rsa(128, &[1, 0, 1]);
        for (record, sha256, email, testing, strict) in [
            (format!("v=DKIM1; k=rsa; {key}"), true, true, false, false),
            (key.clone(), true, true, false, false),
            (format!("k=RSA; t=y:s; h=sha1 : SHA256; s=*; n=note; g=*; {key}"), true, true, true, true),
            (format!("v=DKIM1; h=sha1; s=tlsrpt; t=x; {key}"), false, false, false, false),
            (format!(" v = DKIM1 ; s=other:email; {}", key.replace("p=", "p= \r\n ")), true, true, false, false),
        ] {
            let record = parse(&record).unwrap();
            assert_eq!(record.bits(), 1024);
            assert_eq!((record.sha256, record.email, record.testing, record.strict), (sha256, email, testing, strict));
        }
    }

    #[test]
    fn what_is_no_key() {
        let key = rsa(128, &[1, 0, 1]);
        for (record, error) in [
            (String::new(), KeyError::NoKey),
            ("v=spf1 -all".into(), KeyError::Version),
            ("v=DMARC1; p=none".into(), KeyError::Version),
            (format!("k=rsa; v=DKIM1; {key}"), KeyError::Version),
            (format!("v=dkim1; {key}"), KeyError::Version),
            (format!("v=DKIM1; {key}; {key}"), KeyError::NoTagList),
            ("v=DKIM1; k=rsa".into(), KeyError::NoKey),
            ("v=DKIM1; p=".into(), KeyError::Revoked),
            ("v=DKIM1; k=new; p=".into(), KeyError::Revoked),
            (format!("k=ed25519-sha256; {key}"), KeyError::UnknownType),
            (format!("k=ed25519; {key}"), KeyError::Malformed),
            ("p=****".into(), KeyError::Malformed),
            ("p=AAAA".into(), KeyError::Malformed),
            (rsa(128, &[1]), KeyError::Malformed),
            (rsa(128, &[4]), KeyError::Malformed),
            (rsa(128, &[1; 6]), KeyError::Malformed),
            (format!("n={}; {key}", "x".repeat(8192)), KeyError::TooLong),
        ] {
            assert_eq!(parse(&record).unwrap_err(), error, "{record}");
        }
        assert!(parse(&rsa(128, &[3])).is_ok());
        assert_eq!(parse(&rsa(2048, &[1, 0, 1])).unwrap().bits(), 16_384);
    }

    #[test]
    fn records_are_read_as_they_are_written() {
        let record = parse(&rsa(256, &[1, 0, 1])).unwrap();
        let text = KeyRecord::text(record.public_key()).unwrap();
        assert_eq!(parse(&text).unwrap(), record);
        let (selector, domain) = ("s".parse().unwrap(), "example.org".parse().unwrap());
        let line = KeyRecord::zone_line(&selector, &domain, record.public_key()).unwrap();
        let strings = line.split('"').skip(1).step_by(2).collect::<Vec<_>>();
        assert_eq!(strings.iter().map(|string| string.len()).collect::<Vec<_>>(), [255, 155]);
        assert_eq!(strings.concat(), text);
    }
}
