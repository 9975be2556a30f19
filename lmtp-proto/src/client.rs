//! The client's side of LMTP: the SMTP client session that says LHLO and reads one final reply per recipient.
//!
//! So it is behind DATA and behind the last BDAT (RFC 2033 §4.2, §4.3). Everything else is as in SMTP, so the words are those of
//! [`pillarbox_smtp::client`]; [`config`] makes the difference. Which port is connected to is for whoever opens the socket to
//! see to: not 25 (§5).
//!
//! Two recipients, one of them over quota (RFC 2033 §4.2); the server is played by hand:
//!
//! ```
//! use pillarbox_core::address::Address;
//! use pillarbox_core::{Step, Time};
//! use pillarbox_lmtp::client::{self, Answer, ClientSession, Envelope, Event, RecipientOutcome};
//!
//! let mut session = ClientSession::new(client::config("mx.example")?);
//! let server = "220 store LMTP\r\n|250 store\r\n|250 ok\r\n|250 ok\r\n|250 ok\r\n|354 go\r\n|\
//!     250 2.0.0 kept for u\r\n452 4.2.2 v is over quota\r\n";
//! let mut outcomes = Vec::new();
//! for flight in server.split('|') {
//!     let mut unread = flight.as_bytes();
//!     loop {
//!         match session.poll(Time::ZERO, &mut unread) {
//!             Step::Event(Event::Ready) if outcomes.is_empty() => {
//!                 let to = ["u@own.example", "v@own.example"].map(|to| Address::parse(to).unwrap());
//!                 let from = Address::parse("a@c.example")?.into();
//!                 session.answer(Time::ZERO, Answer::Send(Envelope::new(from, to)))?;
//!             }
//!             Step::Event(Event::NeedBody) => {
//!                 session.answer(Time::ZERO, Answer::Body(b"Subject: hi\r\n\r\nhello\r\n"))?;
//!                 session.answer(Time::ZERO, Answer::BodyEnd)?;
//!             }
//!             Step::Event(Event::Sent(sent)) => outcomes = sent,
//!             Step::Event(_) => {}
//!             _ => break,
//!         }
//!     }
//!     // Written to the socket.
//!     session.consume_output(Time::ZERO, usize::MAX);
//! }
//! let [RecipientOutcome::Delivered(kept), RecipientOutcome::Later(Some(full))] = &outcomes[..] else { panic!() };
//! assert_eq!((kept.reply.text(), full.text()), ("kept for u", "v is over quota"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use pillarbox_core::address::AddressError;

pub use pillarbox_smtp::client::*;

/// A configuration for LMTP that takes TLS if it is offered. `hello_name` is what LHLO says we are.
///
/// # Errors
///
/// As [`ClientConfig::new`].
pub fn config(hello_name: &str) -> Result<ClientConfig, AddressError> {
    let mut config = ClientConfig::new(hello_name)?;
    config.protocol = Protocol::Lmtp;
    Ok(config)
}
