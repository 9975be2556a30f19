//! DomainKeys Identified Mail (RFC 6376): who signed a message, whether it is still what was signed, and signing.
//!
//! ```text
//!              write(slices)                    poll() -> Ask(question)
//!   message ----------------->  Verifier  <----------------------------->  resolver
//!             finish()             |           answer(id, answer)
//!                                  v
//!                             Verification: an Outcome for each signature, from the top
//!
//!   message ----------------->  Signer  ----> fields to put before the message
//! ```
//!
//! [`Verifier`] and [`Signer`] take a message while it arrives and hold no body. Keys are asked for when the header is
//! complete. Each distinct (form, length) of the body is hashed once, however many signatures there are.
//! [`Inbound`](crate::inbound::Inbound) shares these hashes with ARC.
//!
//! # What a pass is worth
//!
//! A pass says that [`Outcome::domain`] takes responsibility for the message; not that it is the author's, and not that
//! everything that readers see was signed. What is missing stands in [`Outcome::notes`]; and what DMARC may hold against the
//! author's domain are the [`proven_domains`](Verification::proven_domains) alone, from which passes with a reservation are
//! left out: those over a part of the body (`l=`) and those of domains that are testing (`t=y`).
//!
//! # Which result
//!
//! | result | what it means here |
//! |---|---|
//! | pass | the signature is valid, and every From field is under it |
//! | fail | the body, or the header, is not what was signed; or there is a From field that was not |
//! | policy | the receiver does not want it: too many signatures or lookups, a key beyond its limits, and what else [`Policy`] refuses |
//! | neutral | an algorithm, or a way to ask for keys, that is not known |
//! | temperror | the DNS does not know for now, or the message was not read to its end |
//! | permerror | the field or the key is wrong, missing, revoked or expired; `rsa-sha1`; RSA keys below 1024 bits |
//!
//! # Limits
//!
//! Eight signatures and eight names are looked up; a name has at most four keys that are tried, of 16 records of 8 KiB. A
//! header has the limits of [`header`](pillarbox_core::header). They bound what a message costs in memory, time and
//! questions, whatever stands in it.
mod atps;
pub(crate) mod body;
mod canonical;
pub(crate) mod check;
pub(crate) mod intake;
mod key;
pub(crate) mod lookup;
mod outcome;
pub(crate) mod policy;
mod private_key;
mod rsa_der;
#[cfg(feature = "rsa-keygen")]
mod rsa_key;
pub(crate) mod sign;
pub(crate) mod signature;
pub(crate) mod tag_writer;
mod verify;
mod white_space;

pub use atps::{Atps, AtpsOutcome, AtpsResult};
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
pub(crate) use verify::Signatures;
pub use verify::Verifier;
