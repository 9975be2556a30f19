//! The server's side of LMTP: the SMTP server session that takes LHLO and asks for one outcome per recipient.
//!
//! Everything else is as in SMTP, so the words are those of [`pillarbox_smtp::server`]; [`config`] makes the difference.
//!
//! Two recipients, one of them over quota (RFC 2033 §4.2):
//!
//! ```
//! use std::sync::Arc;
//! use pillarbox_core::{Reply, Step, Time};
//! use pillarbox_lmtp::server::{self, Answer, Event, Peer, ServerSession};
//!
//! let mut session = ServerSession::new(Arc::new(server::config("store.example")), Peer::default());
//! let client = [
//!     "LHLO mx.example\r\n",
//!     "MAIL FROM:<a@c.example>\r\nRCPT TO:<u@own.example>\r\nRCPT TO:<v@own.example>\r\nDATA\r\n",
//!     "Subject: hi\r\n\r\nhello\r\n.\r\nQUIT\r\n",
//! ];
//! let mut replies = Vec::new();
//! for flight in client {
//!     let mut unread = flight.as_bytes();
//!     while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
//!         match event {
//!             Event::Outcome { recipient: Some(1) } => {
//!                 session.answer(Time::ZERO, Answer::Refuse(Reply::enhanced(452, 4, 2, 2, "v is over quota")))?;
//!             }
//!             Event::Body(_) | Event::Abandoned(_) | Event::Refused { .. } => {}
//!             _ => session.answer(Time::ZERO, Answer::Accept)?,
//!         }
//!     }
//!     // Written to the socket.
//!     replies.extend_from_slice(session.output());
//!     session.consume_output(Time::ZERO, usize::MAX);
//! }
//! let replies = String::from_utf8(replies).unwrap();
//! let last: Vec<&str> = replies.lines().rev().take(3).map(|line| &line[..9]).collect();
//! assert_eq!(last, ["221 2.0.0", "452 4.2.2", "250 2.0.0"]);
//! # Ok::<(), pillarbox_core::Misuse>(())
//! ```

extern crate alloc;

use alloc::string::String;

pub use pillarbox_smtp::server::{
    Answer, BodyKind, CloseReason, Event, Hello, HelloVerb, Identity, Limits, Mail, Notify, Orcpt, Peer, Protocol,
    Rcpt, Ret, ServerConfig, ServerSession, Why,
};

/// A configuration for an LMTP server: no STARTTLS and no AUTH; change what you need.
///
/// ```
/// let config = pillarbox_lmtp::server::config("store.example");
/// assert_eq!(config.protocol, pillarbox_lmtp::server::Protocol::Lmtp);
/// ```
pub fn config(hostname: impl Into<String>) -> ServerConfig {
    let mut config = ServerConfig::new(hostname);
    config.protocol = Protocol::Lmtp;
    config
}
