//! TLSA records, and which of them SMTP can use (RFC 6698 §2.1, RFC 7672 §3.1).

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::dns::Record;

/// A TLSA record that can be used for SMTP.
///
/// ```
/// use pillarbox_auth::dane::{Tlsa, Unusable};
/// use pillarbox_core::dns::Record;
///
/// let record = |usage, matching| Record::Tlsa { usage, selector: 1, matching, data: vec![0xab; 32] };
/// let tlsa = Tlsa::new(&record(3, 1))?;
/// assert_eq!(tlsa.to_string(), format!("3 1 1 {}", "AB".repeat(32)));
/// assert_eq!(Tlsa::new(&record(1, 1)), Err(Unusable::Usage(1)));
/// assert_eq!(Tlsa::new(&record(3, 2)), Err(Unusable::Length));
/// # Ok::<(), Unusable>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tlsa {
    /// Whose certificate it tells.
    pub usage: Usage,
    /// Which part of that certificate.
    pub selector: Selector,
    /// The part itself, or which digest of it.
    pub matching: Matching,
    /// The part or its digest.
    pub data: Vec<u8>,
}

/// Whose certificate a record tells (RFC 6698 §2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Usage {
    /// That of an authority, from which the host's must come: DANE-TA(2).
    TrustAnchor = 2,
    /// That of the host: DANE-EE(3).
    EndEntity = 3,
}

/// Which part of a certificate counts (RFC 6698 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Selector {
    /// All of it: Cert(0).
    Certificate = 0,
    /// The public key with its algorithm: SPKI(1).
    PublicKey = 1,
}

/// How a record holds it (RFC 6698 §2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Matching {
    /// As it is: Full(0).
    Full = 0,
    /// Its digest: SHA2-256(1).
    Sha256 = 1,
    /// Its digest: SHA2-512(2).
    Sha512 = 2,
}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// No TLSA record at all.
    #[error("no TLSA record")]
    Kind,
    /// PKIX-TA(0) and PKIX-EE(1), which mean nothing where no list of authorities is agreed on (RFC 7672 §3.1.3), and unknown
    /// ones.
    #[error("certificate usage {0}")]
    Usage(u8),
    /// An unknown selector.
    #[error("selector {0}")]
    Selector(u8),
    /// An unknown matching type.
    #[error("matching type {0}")]
    Matching(u8),
    /// A digest of the wrong length, or nothing.
    #[error("data of the wrong length")]
    Length,
}

impl Tlsa {
    /// The record, if it can be used.
    ///
    /// # Errors
    ///
    /// [`Unusable`] says why not.
    pub fn new(record: &Record) -> Result<Self, Unusable> {
        let Record::Tlsa { usage, selector, matching, data } = record else { return Err(Unusable::Kind) };
        let usage = match usage {
            2 => Usage::TrustAnchor,
            3 => Usage::EndEntity,
            other => return Err(Unusable::Usage(*other)),
        };
        let selector = match selector {
            0 => Selector::Certificate,
            1 => Selector::PublicKey,
            other => return Err(Unusable::Selector(*other)),
        };
        let (matching, is_right_length) = match matching {
            0 => (Matching::Full, !data.is_empty()),
            1 => (Matching::Sha256, data.len() == 32),
            2 => (Matching::Sha512, data.len() == 64),
            other => return Err(Unusable::Matching(*other)),
        };
        if is_right_length { Ok(Tlsa { usage, selector, matching, data: data.clone() }) } else { Err(Unusable::Length) }
    }
}

impl fmt::Display for Tlsa {
    /// As in a zone file, and in reports (RFC 8460 §4.5).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage as u8, self.selector as u8, self.matching as u8)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

/// Records that are looked at; a host has two or four.
const RECORDS_MAX: usize = 100;

/// The usable ones of some records. Where the same thing is told by both digests, the weaker is left out (RFC 7671 §9), so
/// that a weakness of the one cannot be used while the other is there.
pub fn usable<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<Tlsa> {
    let records = records.into_iter().take(RECORDS_MAX).filter_map(|record| Tlsa::new(record).ok()).collect::<Vec<_>>();
    let is_outdone = |record: &Tlsa| {
        let has_stronger = |other: &Tlsa| {
            other.matching == Matching::Sha512 && (other.usage, other.selector) == (record.usage, record.selector)
        };
        record.matching == Matching::Sha256 && records.iter().any(has_stronger)
    };
    records.iter().filter(|record| !is_outdone(record)).cloned().collect()
}
