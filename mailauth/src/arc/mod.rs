//! Authenticated Received Chain (RFC 8617): what hosts that pass a message on say about it, one behind the other.
//!
//! [`Verifier`] says whether the chain of a message is whole, and gives what its sets claim. **A claim is worth what its
//! sealer is worth**: who may be believed is a list that the operator keeps. [`Sealer`] adds a set to a message that is
//! passed on.
//!
//! Both are thin layers over the parts of [`dkim`](crate::dkim), whose keys, forms and limits they share.

mod outcome;
mod seal;
mod set;
mod verify;

pub use outcome::{ArcReason, ArcResult, FieldKind, SealedSet, Step, Verification};
pub use seal::{SealError, Sealer};
pub(crate) use verify::SealedChain;
pub use verify::Verifier;

/// Sets of a chain (RFC 8617 §4.2.1).
const SETS_MAX: u8 = 50;
