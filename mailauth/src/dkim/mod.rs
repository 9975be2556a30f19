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
mod private_key;
#[cfg(feature = "rsa-keygen")]
mod rsa_key;
mod sign;
mod signature;
mod tag_writer;
mod verify;

pub use body::BodyCanonicalizer;
pub use canonical::Canonicalization;
pub use key::{KeyError, KeyRecord};
pub use outcome::{DkimResult, Note, Outcome, Reason, Step, Verification};
pub use policy::{Future, PartialBody, Policy};
pub use private_key::{PrivateKeyError, ed25519_key, generate_ed25519, read_private_key, write_private_key};
#[cfg(feature = "rsa-keygen")]
pub use rsa_key::generate_rsa;
pub use sign::{DomainKey, SignError, SignOptions, Signer};
pub use signature::{Algorithm, Identity};
pub use verify::Verifier;
