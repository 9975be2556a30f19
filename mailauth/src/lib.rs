//! Mail authentication without a resolver, a clock or a runtime.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

pub mod arc;
pub mod authres;
pub mod dane;
pub mod dkim;
pub mod dmarc;
pub mod from;
pub mod idn;
pub mod inbound;
pub mod iprev;
pub mod mta_sts;
pub mod reports;
#[cfg(feature = "ring")]
mod ring_crypto;
pub mod spf;
mod tag_list;
mod text_record;
pub mod tls_rpt;

#[cfg(feature = "ring")]
pub use ring_crypto::RingCrypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
