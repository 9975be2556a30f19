//! What came of a message's signatures, in types and for people.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::crypto::CryptoError;
use pillarbox_core::dns::Name;
use pillarbox_core::header::HeaderLimit;

use super::signature::AtpsClaim;
use super::{Algorithm, Canonicalization, Identity, KeyError};
use crate::words::words;

/// All that DKIM says about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// One for each DKIM-Signature field, from the top.
    pub signatures: Vec<Outcome>,
    /// The limit that the header passes. Then no signature was looked at, and the message has the result `permerror`.
    pub header_limit: Option<HeaderLimit>,
    /// Number of From fields. RFC 5322 §3.6 wants one; with more of them readers and checks may see different authors.
    pub from_fields: usize,
}

impl Verification {
    /// The result of the message as a whole: of its best signature, and `none` if there is none.
    pub fn result(&self) -> DkimResult {
        if self.header_limit.is_some() {
            return DkimResult::PermError;
        }
        let rank = |result: &DkimResult| match result {
            DkimResult::Pass => 0,
            DkimResult::TempError => 1,
            DkimResult::Fail => 2,
            DkimResult::Policy => 3,
            DkimResult::PermError => 4,
            DkimResult::Neutral => 5,
            DkimResult::None => 6,
        };
        self.signatures.iter().map(|outcome| outcome.result).min_by_key(rank).unwrap_or(DkimResult::None)
    }

    /// The domains that DMARC may hold against the author's: those of signatures that pass without a
    /// reservation.
    pub fn proven_domains(&self) -> impl Iterator<Item = &Name> {
        self.signatures.iter().filter_map(Outcome::proven_domain)
    }
}

/// What came of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// `d=`, if it is a domain.
    pub domain: Option<Name>,
    /// `s=`, if it is a name.
    pub selector: Option<Name>,
    /// `a=`, if it is known.
    pub algorithm: Option<Algorithm>,
    /// `i=`, if it was there and valid.
    pub identity: Option<Identity>,
    /// The first characters of `b=`, eight if it has them, which tell signatures of one domain apart (RFC 6008).
    pub signature_prefix: Option<String>,
    /// The result as RFC 8601 §2.7.1 names it.
    pub result: DkimResult,
    /// Why it is no pass.
    pub reason: Option<Reason>,
    /// What else is to be known.
    pub notes: Vec<Note>,
    /// The bits of the key, if one was found.
    pub key_bits: Option<u32>,
    /// A SHA-256 over the signature, if it was verified: the same for every copy of a message, so that a receiver can count
    /// how often one is sent again (RFC 6376 §8.6).
    pub fingerprint: Option<[u8; 32]>,
    /// What was done, step by step.
    pub trace: Vec<Step>,
    pub(crate) reserved: bool,
    pub(crate) atps: Option<AtpsClaim>,
}

impl Outcome {
    /// The signing domain, if the signature proves for it what DMARC asks for: it passes, and there is no reservation. One
    /// over the start of the body is none unless the policy says so, and a domain that is testing (`t=y`) asks to be taken
    /// for unsigned.
    pub fn proven_domain(&self) -> Option<&Name> {
        self.domain.as_ref().filter(|_| self.result == DkimResult::Pass && !self.reserved)
    }

    /// Whether somebody else than the author's domain signs: neither it, nor one above or below it.
    pub fn is_third_party(&self, author: &Name) -> bool {
        self.domain.as_ref().is_some_and(|domain| !domain.is_within(author) && !author.is_within(domain))
    }
}

words! {
    /// A result of DKIM in the words of RFC 8601 §2.7.1.
    #[non_exhaustive]
    pub enum DkimResult {
        /// The message is not signed.
        None = "none",
        /// The signature is valid.
        Pass = "pass",
        /// The signature is not, or the body is not what was signed.
        Fail = "fail",
        /// The signature is not acceptable to the receiver.
        Policy = "policy",
        /// The signature cannot be processed, and nothing says that it is wrong.
        Neutral = "neutral",
        /// There is no answer now, and there may be one later.
        TempError = "temperror",
        /// There will be none.
        PermError = "permerror",
    }
}

/// Why a signature does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The field is no list of tags (RFC 6376 §3.2).
    #[error("not a list of tag=value")]
    NoTagList,
    /// A tag stands twice (RFC 6376 §3.2).
    #[error("a tag stands twice")]
    DuplicateTag,
    /// A tag that must be there is not.
    #[error("{0}= is missing")]
    MissingTag(&'static str),
    /// The value of a tag is not what may stand there.
    #[error("{0}= is not valid")]
    InvalidTag(&'static str),
    /// `v=` is not 1.
    #[error("the version is unknown")]
    Version,
    /// `h=` lacks From (RFC 6376 §5.4).
    #[error("the From field is not signed")]
    FromNotSigned,
    /// The domain in `i=` is neither that in `d=` nor below it.
    #[error("the identity is outside the signing domain")]
    IdentityOutsideDomain,
    /// `rsa-sha1` (RFC 8301 §3.1).
    #[error("rsa-sha1 is historic and proves nothing")]
    HistoricAlgorithm,
    /// `a=` is an algorithm, but none that is known.
    #[error("the algorithm is unknown")]
    UnknownAlgorithm,
    /// `q=` has no way to ask for the key that is known.
    #[error("no known way to ask for the key")]
    UnknownQuery,
    /// `x=` has passed.
    #[error("the signature has expired")]
    Expired,
    /// `x=` is not after `t=`.
    #[error("the signature expires before it was made")]
    ExpiresBeforeMade,
    /// `t=` is ahead, and the policy refuses that.
    #[error("the signature is from the future")]
    FutureTimestamp,
    /// Beyond [`Policy::signatures_max`](super::Policy::signatures_max).
    #[error("too many signatures")]
    TooManySignatures,
    /// Beyond [`Policy::lookups_max`](super::Policy::lookups_max).
    #[error("too many keys to look up")]
    TooManyLookups,
    /// The DNS has no key there.
    #[error("there is no key")]
    NoKey,
    /// What it has is no key.
    #[error("{0}")]
    BadKey(KeyError),
    /// The DNS does not know for now.
    #[error("the key cannot be looked up now")]
    KeyUnavailable,
    /// `k=` of the key is not that of `a=`.
    #[error("the key is of another type than the signature")]
    KeyType,
    /// `h=` of the key does not admit SHA-256.
    #[error("the key does not admit the hash")]
    KeyHash,
    /// `s=` of the key does not admit mail.
    #[error("the key is not for mail")]
    KeyService,
    /// `t=s` of the key, and `i=` is of another domain than `d=`.
    #[error("the key admits no identity below the domain")]
    KeyIdentity,
    /// An RSA key that proves nothing (RFC 8301 §3.2), or too little for the policy.
    #[error("the key is too short: {bits} bits")]
    KeyTooShort {
        /// Its bits.
        bits: u32,
        /// Whether it is the policy that wants more.
        policy: bool,
    },
    /// An RSA key that costs too much.
    #[error("the key is too long: {bits} bits")]
    KeyTooLong {
        /// Its bits.
        bits: u32,
    },
    /// The body is not what was signed.
    #[error("the body was changed")]
    BodyHash,
    /// `l=` is more than there is.
    #[error("the body is shorter than what was signed")]
    BodyTooShort,
    /// The body goes on behind what was signed, and the policy refuses that.
    #[error("only the start of the body is signed")]
    PartialBody,
    /// The header is not what was signed, or not by this key.
    #[error("the signature does not match the header")]
    Signature,
    /// The signature matches, but there is a From field that it does not cover: the author that readers see may be another
    /// one than the author who was signed.
    #[error("a From field is not signed")]
    UnsignedFrom,
    /// It was given up before the message was complete.
    #[error("the message is not complete")]
    Incomplete,
    /// The provider of the cryptography did not do it.
    #[error("{0}")]
    Crypto(CryptoError),
    /// A seal of ARC with `h=` (RFC 8617 §4.1.3).
    #[error("a seal has no h=")]
    SealWithNames,
    /// A message signature of ARC over a seal (RFC 8617 §4.1.2).
    #[error("a seal is signed")]
    SealSigned,
}

impl Reason {
    /// The result that follows.
    pub const fn result(self) -> DkimResult {
        match self {
            Reason::Signature | Reason::BodyHash | Reason::UnsignedFrom => DkimResult::Fail,
            Reason::KeyUnavailable | Reason::Incomplete => DkimResult::TempError,
            Reason::TooManySignatures
            | Reason::TooManyLookups
            | Reason::FutureTimestamp
            | Reason::PartialBody
            | Reason::KeyTooLong { .. }
            | Reason::KeyTooShort { policy: true, .. } => DkimResult::Policy,
            Reason::UnknownAlgorithm | Reason::UnknownQuery | Reason::Crypto(_) => DkimResult::Neutral,
            _ => DkimResult::PermError,
        }
    }
}

/// What is to be known about a signature, whatever its result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Note {
    /// An RSA key of less than 2048 bits (RFC 8301 §3.2).
    WeakKey {
        /// Its bits.
        bits: u32,
    },
    /// The domain is testing (`t=y`).
    Testing,
    /// The body goes on behind what `l=` covers.
    PartialBody {
        /// Octets that are signed.
        signed: u64,
        /// Octets that there are.
        size: u64,
    },
    /// `t=` is ahead.
    FutureTimestamp,
    /// There are several From fields.
    SeveralFrom,
    /// A field of this name is there that is not signed, so that anybody may have added or changed it. One of From, Subject,
    /// Date, To, Cc, Reply-To, MIME-Version, Content-Type and Content-Transfer-Encoding: what readers are shown, and what
    /// decides how a body is shown.
    Unsigned(&'static str),
    /// The domain publishes several keys under one selector, which RFC 6376 §3.6.2.2 leaves undefined. Each was tried.
    SeveralKeys,
}

impl Note {
    /// Whether it is why a pass may count for nothing.
    pub(crate) const fn is_reservation(&self) -> bool {
        matches!(self, Note::Testing | Note::PartialBody { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::WeakKey { bits } => write!(f, "weak key of {bits} bits"),
            Note::Testing => f.write_str("the domain is testing"),
            Note::PartialBody { signed, size } => write!(f, "{signed} of {size} octets of the body are signed"),
            Note::FutureTimestamp => f.write_str("the signature is from the future"),
            Note::SeveralFrom => f.write_str("several From fields"),
            Note::Unsigned(name) => write!(f, "a field {name} is not signed"),
            Note::SeveralKeys => f.write_str("several keys under one selector"),
        }
    }
}

/// What was done about a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The field was read.
    Read {
        /// `a=`
        algorithm: Algorithm,
        /// `c=`, of the header.
        header: Canonicalization,
        /// `c=`, of the body.
        body: Canonicalization,
    },
    /// The DNS was asked, and has this many keys.
    Keys {
        /// Where.
        name: Name,
        /// How many.
        count: usize,
    },
    /// A key was taken up.
    Key {
        /// Its bits.
        bits: u32,
        /// Why it does not verify the signature.
        reason: Option<Reason>,
    },
    /// The header was put into its form.
    Header {
        /// How many fields `h=` selects.
        fields: usize,
        /// Octets that were signed, with those of the signature.
        octets: usize,
    },
    /// The body was hashed.
    Body {
        /// Octets of all of it in its form.
        size: u64,
        /// Whether the hash is that in `bh=`.
        matches: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Read { algorithm, header, body } => write!(f, "signed by {algorithm} in the form {header}/{body}"),
            Step::Keys { name, count: 1 } => write!(f, "one key at {name}"),
            Step::Keys { name, count } => write!(f, "{count} keys at {name}"),
            Step::Key { bits, reason: None } => write!(f, "the key of {bits} bits verifies the header"),
            Step::Key { bits, reason: Some(reason) } => write!(f, "the key of {bits} bits: {reason}"),
            Step::Header { fields, octets } => write!(f, "{fields} fields selected, {octets} octets signed"),
            Step::Body { size, matches: true } => {
                write!(f, "the hash of the body ({size} octets) is that of the signature")
            }
            Step::Body { size, matches: false } => write!(f, "the hash of the body ({size} octets) is another one"),
        }
    }
}
