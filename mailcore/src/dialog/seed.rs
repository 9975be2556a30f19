//! The seed of a test run.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

/// One seed for all random cuts of this process: the number in `DIALOG_SEED`, or a new one.
///
/// # Panics
///
/// If `DIALOG_SEED` is no number: whoever sets it wants that run and no other.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| match std::env::var("DIALOG_SEED") {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("DIALOG_SEED={text} is no number")),
        // The standard library has no other source of randomness than the keys of its hash maps.
        Err(_) => RandomState::new().build_hasher().finish(),
    })
}
