//! Whether the certificates that a host presented are those that its records tell (RFC 7672 §3, RFC 7671 §5).

use alloc::vec::Vec;

use pillarbox_core::crypto::{Crypto, HashAlgorithm};

use super::tlsa::{Matching, Selector, Tlsa, Usage};
use super::{DerError, subject_public_key_info};

/// What the certificates of a handshake come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum ChainMatch {
    /// The host's own certificate is one that the records tell. The host is authenticated: the names in the certificate, its
    /// dates and who signed it do not count (RFC 7672 §3.1.1).
    EndEntity,
    /// The records tell authorities, and these are there. The host is authenticated if its certificate comes from one of
    /// them: the caller has its TLS library verify the chain with no other trust anchors than these, dates included, for one
    /// of the names in [`Dane::names`](super::Dane::names).
    TrustAnchors(Vec<Anchor>),
    /// Nothing that was presented is what the records tell. The message must not go to this host.
    Mismatch,
}

/// An authority that a record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Anchor {
    /// Its certificate in DER.
    pub certificate: Vec<u8>,
    /// Where it stands in the chain that was presented, the host's own certificate being 0; `None` if the record itself holds
    /// it (`2 0 0`).
    pub place: Option<usize>,
}

/// Certificates of a chain that are looked at; those in use have up to five.
const CHAIN_MAX: usize = 16;

/// Compares a chain, each certificate in DER and the host's own first, with usable records.
///
/// A record of an authority whose certificate is neither in the chain nor in the record matches nothing, as the host has to
/// present it (RFC 7672 §3.1.2); a bare key of one (`2 1 0`) counts if a certificate in the chain has it.
pub fn judge_chain(records: &[Tlsa], chain: &[&[u8]], crypto: &dyn Crypto) -> ChainMatch {
    let Some(leaf) = chain.first() else { return ChainMatch::Mismatch };
    // An exact match needs no chain, so it comes first.
    if records.iter().any(|record| record.usage == Usage::EndEntity && tells(record, leaf, crypto)) {
        return ChainMatch::EndEntity;
    }
    let authorities = || records.iter().filter(|record| record.usage == Usage::TrustAnchor);
    let in_chain = chain.iter().enumerate().take(CHAIN_MAX).skip(1);
    let told = in_chain.filter(|(_, certificate)| authorities().any(|record| tells(record, certificate, crypto)));
    let told = told.map(|(place, certificate)| Anchor { certificate: certificate.to_vec(), place: Some(place) });
    let mut anchors = told.collect::<Vec<_>>();
    // RFC 7671 §5.2.2: the only kind of record with which the authority need not be in the chain.
    let is_certificate = |record: &&Tlsa| {
        (record.selector, record.matching) == (Selector::Certificate, Matching::Full)
            && subject_public_key_info(&record.data).is_ok()
    };
    for Tlsa { data, .. } in authorities().filter(is_certificate) {
        if !anchors.iter().any(|anchor| anchor.certificate == *data) {
            anchors.push(Anchor { certificate: data.clone(), place: None });
        }
    }
    if anchors.is_empty() { ChainMatch::Mismatch } else { ChainMatch::TrustAnchors(anchors) }
}

/// Whether a record tells a certificate. One whose key cannot be found is told by no record of a key.
fn tells(record: &Tlsa, certificate: &[u8], crypto: &dyn Crypto) -> bool {
    let part = match record.selector {
        Selector::Certificate => Ok::<_, DerError>(certificate),
        Selector::PublicKey => subject_public_key_info(certificate),
    };
    let Ok(part) = part else { return false };
    let hash = match record.matching {
        Matching::Full => return record.data == part,
        Matching::Sha256 => HashAlgorithm::Sha256,
        Matching::Sha512 => HashAlgorithm::Sha512,
    };
    crypto.digest(hash, part).is_ok_and(|digest| digest == record.data)
}
