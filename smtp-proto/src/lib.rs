//! Sans-IO SMTP/ESMTP server and client sessions.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod client;
pub mod command;
pub mod reply_parser;
pub mod server;
pub mod trace;
