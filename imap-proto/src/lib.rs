//! Crate page.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod command;
pub mod message;
pub mod search;
pub mod server;
pub mod types;
pub mod view;
pub mod wire;
