//! Words that more than one mail protocol needs.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod address;
#[cfg(feature = "dialog")]
pub mod dialog;
pub mod dns;
pub mod dot;
pub mod header;
#[cfg(feature = "dialog")]
pub mod laws;
pub mod line;
mod machine;
pub mod mutf7;
mod random;
mod reply;
pub mod sasl;
mod secret;
mod time;

pub use machine::{Layer, LayerFacts, Machine, Misuse, Step, TlsFacts, UpgradeError};
pub use random::{Random, SeededRandom};
pub use reply::{EnhancedCode, Reply};
pub use secret::Secret;
pub use time::{Civil, Time, WallTime, Zone};
