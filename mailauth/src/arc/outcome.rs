//! What came of a chain, in types and for people.

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::dns::Name;
use pillarbox_core::header::HeaderLimit;

use crate::dkim::Reason;
use crate::words::words;

/// What ARC says about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The chain validation status (RFC 8617 §4.4).
    pub result: ArcResult,
    /// Why the chain fails.
    pub reason: Option<ArcReason>,
    /// The sets from instance 1 on, if they are a chain in form. What they say is true if the result is pass, *and* each of
    /// the sealers is one that the operator trusts: whoever seals can claim anything (RFC 8617 §9).
    pub sets: Vec<SealedSet>,
    /// Whether the last message signature covers the From field, and each of them if there are several; RFC 8617 leaves that
    /// to the sealer. Without it a pass says nothing about the author whom readers see.
    pub from_is_signed: bool,
    /// What was done, step by step.
    pub trace: Vec<Step>,
}

/// What one host on the way claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedSet {
    /// Its place in the chain, from 1 on.
    pub instance: u8,
    /// Who seals it: `d=` of its ARC-Seal.
    pub sealer: Name,
    /// The results of authentication that it saw: what stands behind the instance in its ARC-Authentication-Results, as it
    /// came, to be parsed as RFC 8601 has it.
    pub results: Vec<u8>,
    /// When it was sealed, in seconds since 1970, if the seal says so.
    pub time: Option<u64>,
}

impl Verification {
    /// Those who sealed, from the first to the last.
    pub fn sealers(&self) -> impl Iterator<Item = &Name> {
        self.sets.iter().map(|set| &set.sealer)
    }
}

words! {
    /// The chain validation status (RFC 8617 §4.4): what stands in `cv=` and in Authentication-Results.
    #[non_exhaustive]
    pub enum ArcResult {
        /// There is no chain.
        None = "none",
        /// The chain is whole, and the message is as it was last sealed.
        Pass = "pass",
        /// It is not. RFC 8617 §5.2: the message is treated as one without a chain.
        Fail = "fail",
    }
}

/// One of the three fields of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// ARC-Authentication-Results (RFC 8617 §4.1.1).
    Results,
    /// ARC-Message-Signature (RFC 8617 §4.1.2).
    MessageSignature,
    /// ARC-Seal (RFC 8617 §4.1.3).
    Seal,
}

impl FieldKind {
    /// The name of the field.
    pub const fn name(self) -> &'static str {
        match self {
            FieldKind::Results => "ARC-Authentication-Results",
            FieldKind::MessageSignature => "ARC-Message-Signature",
            FieldKind::Seal => "ARC-Seal",
        }
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a chain fails. RFC 8617 §5.2.1: there is no failure that is temporary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ArcReason {
    /// The header passes a limit, and was not looked at.
    #[error("{0}")]
    Header(HeaderLimit),
    /// A field says no instance from 1 to 50.
    #[error("{kind} without an instance")]
    NoInstance {
        /// Which.
        kind: FieldKind,
    },
    /// An instance beyond 50 (RFC 8617 §4.2.1).
    #[error("an instance of {instance}")]
    TooManySets {
        /// Which.
        instance: u8,
    },
    /// A set lacks a field, or there is no such set.
    #[error("set {instance} has no {kind}")]
    Missing {
        /// Which.
        kind: FieldKind,
        /// Where.
        instance: u8,
    },
    /// A set has a field twice.
    #[error("set {instance} has {kind} twice")]
    Duplicate {
        /// Which.
        kind: FieldKind,
        /// Where.
        instance: u8,
    },
    /// The last host found the chain broken.
    #[error("seal {instance} says that the chain is broken")]
    DeclaredFailed {
        /// Where.
        instance: u8,
    },
    /// `cv=` is not `none` in the first seal, or not `pass` in another one.
    #[error("cv= of seal {instance} is not what it must be")]
    ChainValue {
        /// Where.
        instance: u8,
    },
    /// The message is not as it was last sealed.
    #[error("message signature {instance}: {reason}")]
    MessageSignature {
        /// Where.
        instance: u8,
        /// Why.
        reason: Reason,
    },
    /// A seal is not valid.
    #[error("seal {instance}: {reason}")]
    Seal {
        /// Where.
        instance: u8,
        /// Why.
        reason: Reason,
    },
}

/// What was done about a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The sets were collected.
    Sets {
        /// How many.
        count: u8,
    },
    /// A signature was verified.
    Verified {
        /// Of which field.
        kind: FieldKind,
        /// In which set.
        instance: u8,
        /// Where its key is.
        key: Name,
        /// Why it is not valid.
        reason: Option<Reason>,
    },
    /// The body was compared with what the last message signature says.
    Body {
        /// Octets of all of it in its form.
        size: u64,
        /// Whether it is the same.
        matches: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Sets { count } => write!(f, "a chain of {count}"),
            Step::Verified { kind, instance, key, reason: None } => write!(f, "{kind} {instance} is valid by {key}"),
            Step::Verified { kind, instance, key, reason: Some(reason) } => {
                write!(f, "{kind} {instance} by {key}: {reason}")
            }
            Step::Body { size, matches: true } => write!(f, "the body ({size} octets) is the one that was sealed"),
            Step::Body { size, matches: false } => write!(f, "the body ({size} octets) is another one"),
        }
    }
}
