//! Sans-IO LMTP server and client sessions: one true reply per recipient.
#![cfg_attr(not(feature = "std"), no_std)]

pub mod client;
pub mod server;
