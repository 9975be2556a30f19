//! Keys for tests, and signatures that no signer would make.

#![allow(dead_code, reason = "each test uses its part")]

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{BodyCanonicalizer, Canonicalization, DomainKey, KeyRecord, ed25519_key, read_private_key};
use pillarbox_core::Secret;
use pillarbox_core::crypto::{Crypto as _, HashAlgorithm, SigningKey};
use pillarbox_core::header::Fields;

pub(crate) fn rsa() -> Arc<dyn SigningKey> {
    let pem = include_bytes!("rsa2048.pem");
    RingCrypto.load_key(&read_private_key(pem).unwrap()).unwrap().into()
}

pub(crate) fn ed25519() -> Arc<dyn SigningKey> {
    RingCrypto.load_key(&ed25519_key(&Secret::new([7; 32]))).unwrap().into()
}

pub(crate) fn record(key: &dyn SigningKey) -> String {
    KeyRecord::text(key.public_key()).unwrap()
}

pub(crate) fn domain_key(domain: &str, selector: &str, key: Arc<dyn SigningKey>) -> DomainKey {
    DomainKey::new(domain.parse().unwrap(), selector.parse().unwrap(), key)
}

/// The hash of a body in the relaxed form, of its first octets if a length is given.
pub(crate) fn body_hash(body: &[u8], length: Option<usize>) -> String {
    let mut canonical = Vec::new();
    let mut canonicalizer = BodyCanonicalizer::new(Canonicalization::Relaxed);
    canonicalizer.write(body, |run| canonical.extend_from_slice(run));
    canonicalizer.finish(|run| canonical.extend_from_slice(run));
    canonical.truncate(length.unwrap_or(usize::MAX));
    BASE64_STANDARD.encode(RingCrypto.digest(HashAlgorithm::Sha256, &canonical).unwrap())
}

/// A message with a signature of an Ed25519 key: `tags` and all, whatever it says. Each name in `names` stands for the last
/// field of that name.
pub(crate) fn sign_with_tags(tags: &str, names: &str, message: &str) -> Vec<u8> {
    let (header, body) = message.split_once("\r\n\r\n").unwrap();
    let length = tags.split("l=").nth(1).and_then(|rest| rest.split(';').next()).and_then(|number| number.parse().ok());
    let bh = body_hash(body.as_bytes(), length);
    let field = format!("DKIM-Signature: a=ed25519-sha256; c=relaxed/relaxed; h={names}; bh={bh}; {tags}; b=\r\n");
    let header = format!("{header}\r\n");
    let mut data = Vec::new();
    for name in names.split(':') {
        if let Some(field) = Fields::new(header.as_bytes()).filter(|field| field.name_is(name)).last() {
            Canonicalization::Relaxed.push_field(&field, &mut data);
            data.extend_from_slice(b"\r\n");
        }
    }
    Canonicalization::Relaxed.push_field(&Fields::new(field.as_bytes()).next().unwrap(), &mut data);
    let hash = RingCrypto.digest(HashAlgorithm::Sha256, &data).unwrap();
    let signature = BASE64_STANDARD.encode(ed25519().sign(&hash).unwrap());
    format!("{}{signature}\r\n{message}", field.trim_end()).into_bytes()
}
