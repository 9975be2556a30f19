//! One signature against the keys of its domain: what DKIM and ARC have in common (RFC 6376 §6.1.2, §6.1.3).

use alloc::vec::Vec;

use pillarbox_core::crypto::{Crypto, CryptoError};

use super::body::{BodyHashId, BodyHashes};
use super::intake::Header;
use super::lookup::KeyAnswer;
use super::policy::{Future, RSA_BITS_MIN};
use super::signature::Signature;
use super::{KeyError, KeyRecord, Policy, Reason, Step};

/// The octets that a signature signs: the fields that it selects, then itself without its `b=` (RFC 6376 §3.7). Gives the
/// number of fields, too.
pub(crate) fn signed_data(header: &Header, own: usize, signature: &Signature) -> (Vec<u8>, usize) {
    let selected = header.select(signature.names(), Some(own));
    // Most headers that are signed have less.
    let mut data = Vec::with_capacity(2048);
    for &index in &selected {
        signature.header_form.push_line(&header.field(index), &mut data);
    }
    signature.header_form.push_signature(&header.field(own), &mut data);
    (data, selected.len())
}

/// What the keys of a name say about a signature.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) result: Result<(), Reason>,
    /// Of the key that verified, or of the last one that was tried.
    pub(crate) bits: Option<u32>,
    pub(crate) is_rsa: bool,
    pub(crate) testing: bool,
    pub(crate) several: bool,
}

/// Tries the keys. RFC 6376 §6.1.2 leaves open what to do with several: each is tried, and the first that verifies is enough.
pub(crate) fn check(
    crypto: &dyn Crypto,
    policy: &Policy,
    answer: &KeyAnswer,
    signature: &Signature,
    data: &[u8],
    trace: &mut Vec<Step>,
) -> Verdict {
    let refused = |reason| Verdict { result: Err(reason), bits: None, is_rsa: false, testing: false, several: false };
    let keys = match answer {
        KeyAnswer::TryLater => return refused(Reason::KeyUnavailable),
        KeyAnswer::None(None) => return refused(Reason::NoKey),
        KeyAnswer::None(Some(error)) => return refused(Reason::BadKey(*error)),
        KeyAnswer::Keys(keys) => keys,
    };
    let mut verdict = refused(Reason::NoKey);
    verdict.several = keys.len() > 1;
    for (index, key) in keys.iter().enumerate() {
        let result = try_key(crypto, policy, key, signature, data);
        trace.push(Step::Key { bits: key.bits(), reason: result.err() });
        // That a key could be used says more than that another one could not.
        if index == 0 || matches!(result, Ok(()) | Err(Reason::Signature)) {
            verdict.result = result;
            verdict.bits = Some(key.bits());
            verdict.is_rsa = key.is_rsa();
            verdict.testing = key.is_testing();
        }
        if result.is_ok() {
            break;
        }
    }
    verdict
}

fn try_key(
    crypto: &dyn Crypto,
    policy: &Policy,
    key: &KeyRecord,
    signature: &Signature,
    data: &[u8],
) -> Result<(), Reason> {
    if !key.admits_email() {
        return Err(Reason::KeyService);
    }
    if !key.admits_sha256() {
        return Err(Reason::KeyHash);
    }
    if !key.makes(signature.algorithm) {
        return Err(Reason::KeyType);
    }
    if key.is_strict() && signature.identity.as_ref().is_some_and(|identity| identity.domain != signature.domain) {
        return Err(Reason::KeyIdentity);
    }
    if key.is_rsa() {
        let bits = key.bits();
        if bits < RSA_BITS_MIN {
            return Err(Reason::KeyTooShort { bits, policy: false });
        }
        if bits < policy.rsa_bits_min {
            return Err(Reason::KeyTooShort { bits, policy: true });
        }
        if bits > policy.rsa_bits_max {
            return Err(Reason::KeyTooLong { bits });
        }
    }
    match key.verify(crypto, data, &signature.signature) {
        Ok(()) => Ok(()),
        Err(CryptoError::InvalidSignature) => Err(Reason::Signature),
        Err(CryptoError::InvalidKey) => Err(Reason::BadKey(KeyError::Malformed)),
        Err(error) => Err(Reason::Crypto(error)),
    }
}

/// Whether the signature is in force (RFC 6376 §3.5, `t=` and `x=`).
pub(crate) fn check_times(signature: &Signature, policy: &Policy, now: u64) -> Result<(), Reason> {
    if let (Some(time), Some(expires)) = (signature.time, signature.expires)
        && expires <= time
    {
        return Err(Reason::ExpiresBeforeMade);
    }
    if signature.expires.is_some_and(|expires| now > expires) {
        return Err(Reason::Expired);
    }
    if policy.future == Future::Refused && is_ahead(signature, policy, now) {
        return Err(Reason::FutureTimestamp);
    }
    Ok(())
}

/// Whether it says to be made further ahead than clocks differ.
pub(crate) fn is_ahead(signature: &Signature, policy: &Policy, now: u64) -> bool {
    signature.time.is_some_and(|time| time > now.saturating_add(policy.clock_skew))
}

/// What a body says about a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyVerdict {
    /// Octets of all of the body in the form of the signature.
    pub(crate) size: u64,
    /// How many of them are signed, if there are more.
    pub(crate) partial: Option<u64>,
    /// Whether what is signed is what there is.
    pub(crate) result: Result<(), Reason>,
}

/// Compares a body that has ended with what was signed (RFC 6376 §6.1.3, steps 2 and 3).
pub(crate) fn check_body(signature: &Signature, bodies: &BodyHashes, id: BodyHashId) -> BodyVerdict {
    let (hash, size) = bodies.result(id);
    let result = if signature.length.is_some_and(|length| length > size) {
        Err(Reason::BodyTooShort)
    } else if hash.is_empty() || hash != signature.body_hash {
        Err(Reason::BodyHash)
    } else {
        Ok(())
    };
    BodyVerdict { size, partial: signature.length.filter(|length| *length < size), result }
}
