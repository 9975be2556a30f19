//! Mail authentication without a resolver, a clock or a runtime.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

pub mod arc;
pub mod dkim;
pub mod idn;
#[cfg(feature = "ring")]
mod ring_crypto;
mod tag_list;

#[cfg(feature = "ring")]
pub use ring_crypto::RingCrypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
