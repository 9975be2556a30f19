//! DomainKeys Identified Mail.
mod body;
mod canonical;
mod check;
mod der;
mod intake;
mod key;
mod lookup;
mod outcome;
mod policy;
mod signature;
mod verify;

pub use body::BodyCanonicalizer;
pub use canonical::Canonicalization;
pub use key::{KeyError, KeyRecord};
pub use outcome::{DkimResult, Note, Outcome, Reason, Step, Verification};
pub use policy::{Future, PartialBody, Policy};
pub use signature::{Algorithm, Identity};
pub use verify::Verifier;
