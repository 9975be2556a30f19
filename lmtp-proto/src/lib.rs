//! Sans-IO LMTP (RFC 2033): SMTP in which every recipient gets its own true reply.
//!
//! ```text
//!   MTA's queue ──▶ ClientSession ═══ LHLO, MAIL, RCPT, RCPT, DATA ═══▶ ServerSession ──▶ store
//!               ◀── outcome, outcome ◀══ 250 kept, 452 over quota ═══                ◀── outcome, outcome
//! ```
//!
//! With SMTP a server that keeps a message for one recipient and not for the other must send a report; with LMTP it says so,
//! and the client's queue tries again for the one. Both sides are the sessions of `pillarbox-smtp` with another configuration:
//! [`server::config`] and [`client::config`]. Their loop, events, answers and limits are those of that crate.
//!
//! # What it does not do
//!
//! No sockets, no storage, no queue; and nothing that SMTP does not do, but for the replies at the end of a message.
//!
//! # RFCs
//!
//! | RFC | what | status |
//! |---|---|---|
//! | 2033 §4.1 | LHLO; EHLO and HELO are refused with 500 | yes |
//! | 2033 §4.2 | one reply per recipient, 503 to DATA without one | yes |
//! | 2033 §4.3 | BDAT | yes |
//! | 2033 §5 | PIPELINING, ENHANCEDSTATUSCODES, 8BITMIME | yes |
#![cfg_attr(not(feature = "std"), no_std)]

pub mod client;
pub mod server;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
