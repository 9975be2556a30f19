//! Embeddable mail: SMTP, submission, LMTP and IMAP servers on tokio, whose every decision is a plug-in part.
//!
//! ```text
//!   client            drivers                 protocol machines               parts (yours, or those that ship)
//!  --------       ----------------          ---------------------          ------------------------------------
//!                +----------------+  bytes  +--------------------+
//!   :25   -----> | smtp::         | <-----> | pillarbox_smtp::   | ------> Policy         who may send to whom
//!   :587  -----> |   SmtpServer   |  events | server::           | ------> Authenticator  who is who
//!   lmtp  -----> |                | answers |   ServerSession    | ------> MessageSink    where mail goes ---+
//!                +----------------+         +--------------------+                                           |
//!                +----------------+         +--------------------+           delivery::MailboxSink <---------+
//!   :143  -----> | imap::         | <-----> | pillarbox_imap::   |                      |
//!   :993  -----> |   ImapServer   |         | server::           | ------> MailboxStore  the mailboxes
//!                +----------------+         |   ServerSession    |
//!                  sockets, TLS,            +--------------------+          Clock, Resolver, Observer
//!                  deadlines                  no I/O, no clock              everywhere
//! ```
//!
//! A session is a state machine without input or output (the crates [`smtp_proto`], [`lmtp_proto`] and [`imap_proto`]). It asks
//! questions. A driver here moves its bytes and takes each question to a part. A part is a small trait with a version in
//! memory, so a server is complete from the first line, and you replace what you have better:
//!
//! ```no_run
//! use std::sync::Arc;
//! use pillarbox::{Shutdown, delivery::MailboxSink, imap::{self, ImapServer}, smtp::{self, SmtpServer}};
//! use pillarbox::parts::{AllowList, Identity, MemoryAuthenticator, Parts};
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let parts = Parts::in_memory();
//! let parts = Parts {
//!     authenticator: Arc::new(MemoryAuthenticator::new().with("you@localhost", "secret")),
//!     policy: Arc::new(AllowList::new(["you@localhost"])),
//!     sink: Arc::new(MailboxSink::new(parts.store.clone(), |_| Some(Identity::new("you@localhost")))),
//!     ..parts
//! };
//! let shutdown = Shutdown::new();
//! let smtp = SmtpServer::new(smtp::ServerConfig::new("localhost"), parts.clone());
//! let mut config = imap::ServerConfig::default();
//! config.login_without_tls = true; // on loopback only
//! let imap = ImapServer::new(config, parts);
//! let (port25, port143) = (TcpListener::bind("127.0.0.1:2525").await?, TcpListener::bind("127.0.0.1:1143").await?);
//! tokio::join!(smtp.serve(port25, &shutdown), imap.serve(port143, &shutdown));
//! # Ok(())
//! # }
//! ```
//!
//! # What a driver promises
//!
//! - **250 means stored.** A positive reply leaves only after the sink said that the message is on stable storage. Once the end
//!   of a message has arrived, its commit runs to its end whatever becomes of the connection (RFC 5321 §6.1).
//! - **One peer hurts only its own session.** A panic in a session or a part ends that session with 421 or BYE. What is read
//!   ahead, what is held and how long it may take are bounded by the protocol's `Limits` and by [`PeerLimits`].
//! - **Clear text never crosses into TLS.** Octets behind STARTTLS end the connection (RFC 3207 §4.2).
//! - **No secret reaches an observer.** Lines of a login are hidden; of bodies the size is told.
//! - **Stopping loses nothing.** With [`Shutdown`] the listeners close, sessions finish what they acknowledged, say 421 or BYE,
//!   and after a limit are cut off.
//! - **Time is a part.** Drivers wait through [`parts::Clock`] alone; tests of them move a
//!   stepped clock and never sleep.
//!
//! # What it does not do
//!
//! It opens no listener, reads no configuration and logs nothing: you bind the sockets, fill the structs, and hear everything
//! through [`parts::Observer`]. It judges no spam. A ready server with a configuration file is the example `mailserver`.
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `tokio` | yes | the drivers: `smtp`, `imap`; `auth`: mail authentication in front of a sink |
//! | `tls` | yes | STARTTLS and implicit TLS through rustls; you bring the configuration |
//! | `maildir` | yes | `store::MaildirStore`, compatible on disk with Dovecot's |
//! | `notify` | yes | what other programs do in a Maildir is heard at once, from the system |
//! | `passwd` | yes | `passwd`: accounts in a file of Dovecot's format |
//! | `outbound` | yes | `outbound`: the queue in front of other servers |
//! | `hickory` | | `dns`: a resolver that asks name servers |
//! | `testing` | | `testing`: a stepped clock, conformance suites for parts |
//!
//! # Limits
//!
//! | what | value | where |
//! |---|---|---|
//! | connections in all, from one address (IPv6: from one /64) | 10,000, 50 | [`PeerLimits`] |
//! | connections that nobody has logged in to, over all servers with the same parts | 1,000 | [`parts::UnauthenticatedLimit`] |
//! | a TLS handshake | 30 s | |
//! | connections from one address within a minute | 300 | [`PeerLimits`] |
//! | the PROXY header of a load balancer | 3 s, 536 octets | `mailcore::proxy` |
//! | a wrong password is answered after | 2 s | [`parts::LoginLimits`] |
//! | the next try from the same address (IPv6: from the same /48) waits | 2, 4, 8, 15 s | [`parts::LoginLimits`] |
//! | wrong passwords from one address within a minute | 10 | [`parts::LoginLimits`] |
//! | waits and errors of SMTP while nine tenths of the connections are taken | 10 s, 1 | `smtp::Limits` |
//! | passwords checked at a time (64 MiB each with Argon2) | 4 | |
//! | sessions are waited for at shutdown | 30 s | [`Shutdown::with_patience`] |
//! | everything in the conversation | | `smtp::Limits`, `imap::Limits` |

#[cfg(feature = "tokio")]
pub mod auth;
pub mod crypto;
pub mod delivery;
#[cfg(feature = "hickory")]
pub mod dns;
pub mod dsn;
#[cfg(feature = "tokio")]
pub mod imap;
#[cfg(feature = "tokio")]
mod login;
#[cfg(feature = "tokio")]
mod net;
mod network;
#[cfg(feature = "outbound")]
pub mod outbound;
pub mod parts;
#[cfg(feature = "passwd")]
pub mod passwd;
mod rate;
#[cfg(feature = "tokio")]
mod shutdown;
#[cfg(feature = "tokio")]
pub mod smtp;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tls")]
mod tls;

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "tokio")]
pub use net::{Accepted, Listener, PeerLimits, Transport};
pub use network::{Network, NetworkError};
#[cfg(feature = "tokio")]
pub use shutdown::Shutdown;

pub use pillarbox_auth as mailauth;
pub use pillarbox_core as mailcore;
pub use pillarbox_imap as imap_proto;
pub use pillarbox_lmtp as lmtp_proto;
#[cfg(feature = "maildir")]
pub use pillarbox_maildir as maildir;
pub use pillarbox_smtp as smtp_proto;
