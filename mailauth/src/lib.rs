//! Mail authentication without a resolver, a clock or a runtime.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

pub mod dmarc;
pub mod from;
pub mod idn;
pub mod reports;
#[cfg(feature = "ring")]
mod ring_crypto;
mod tag_list;
mod words;

#[cfg(feature = "ring")]
pub use ring_crypto::RingCrypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
