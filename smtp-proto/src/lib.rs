//! Sans-IO SMTP: the server's and the client's side of one connection, without a socket, a clock or a runtime.
//!
//! ```text
//!     your socket        your buffer                                       your program
//!   ───── bytes ─────▶  unread bytes ──▶ ┌─────────────────┐ ──▶ Event  ──▶ policy, storage
//!                        (kept by you)   │  ServerSession  │
//!   ◀──── bytes ───── output() ◀──────── └─────────────────┘ ◀── Answer ◀── accept, refuse
//!                                          │           ▲
//!                             deadline() ◀─┘           └─ now
//! ```
//!
//! A session is shown unread bytes and says how many it used; it lends events out of them, asks one question at a time, and
//! collects what is to be sent. Message bodies are slices of your own buffer: nothing is copied or collected, so a message of a
//! GiB costs as much memory as an empty one.
//!
//! # What it does not do
//!
//! No sockets, DNS, TLS, storage, password checks, logs or threads: those are yours, or those of the `pillarbox` crate. It
//! does not parse messages. Whether a sender, a recipient or a message is welcome is asked, never decided here.
//!
//! # The loop
//!
//! Whatever drives a session (blocking threads, an async runtime, an event loop, a test) does this. `Wire` stands for a
//! socket; `examples/smtp-sink` is the same with a real one.
//!
//! ```
//! # use std::collections::VecDeque;
//! # struct Wire { arrives: VecDeque<&'static [u8]>, sent: Vec<u8> }
//! # impl Wire {
//! #     fn read(&mut self) -> &'static [u8] { self.arrives.pop_front().unwrap_or_default() }
//! #     fn write(&mut self, bytes: &[u8]) { self.sent.extend_from_slice(bytes) }
//! # }
//! use std::sync::Arc;
//! use pillarbox_core::{Reply, Step, Time};
//! use pillarbox_smtp::server::{Answer, Event, Peer, ServerConfig, ServerSession};
//!
//! # let mut wire = Wire { arrives: VecDeque::new(), sent: Vec::new() };
//! # wire.arrives.extend([
//! #     &b"EHLO client.example\r\n"[..], b"MAIL FROM:<a@client.example>\r\nRCPT TO:<nobody@mx.example>\r\n",
//! #     b"RCPT TO:<joe@mx.example>\r\nDATA\r\n", b"Subject: hi\r\n\r\n..dot\r", b"\n.\r\nQUIT\r\n",
//! # ]);
//! let config = Arc::new(ServerConfig::new("mx.example"));
//! let mut session = ServerSession::new(config, Peer::default());
//! let mut buffer: Vec<u8> = Vec::new(); // at most session.max_unread() bytes
//! let mut message = Vec::new();
//! # let now = Time::ZERO;
//! loop {
//!     let mut unread = &buffer[..];
//!     let step = session.poll(now, &mut unread);
//!     let left = unread.len();
//!     match step {
//!         Step::Event(Event::Body(octets)) => message.extend_from_slice(octets),
//!         Step::Event(Event::Rcpt(rcpt)) => {
//!             let known = rcpt.to.to_string() == "<joe@mx.example>";
//!             let unknown = || Answer::Refuse(Reply::enhanced(550, 5, 1, 1, "no such user here"));
//!             session.answer(now, if known { Answer::Accept } else { unknown() })?;
//!         }
//!         Step::Event(Event::Outcome { .. }) => {
//!             // Synced to disk by now: Accept is the promise to deliver.
//!             session.answer(now, Answer::Accept)?;
//!         }
//!         Step::Event(Event::Abandoned(_)) => message.clear(),
//!         Step::Event(Event::Refused { .. }) => {} // a line for the log
//!         Step::Event(_) => session.answer(now, Answer::Accept)?,
//!         // Whatever is waited for, what was said before it goes out first.
//!         Step::NeedInput => {
//!             wire.write(session.output());
//!             session.consume_output(now, usize::MAX);
//!             buffer.drain(..buffer.len() - left);
//!             match wire.read() { // or handle_timeout() at session.deadline()
//!                 [] => session.handle_eof(now),
//!                 bytes => buffer.extend_from_slice(bytes),
//!             }
//!             continue;
//!         }
//!         Step::NeedTime => { /* flush, sleep until session.deadline(), then */ session.handle_timeout(now) }
//!         Step::Upgrade(_) => { /* flush, start TLS under the session, then upgraded() */ }
//!         Step::NeedAnswer => unreachable!("every question above was answered"),
//!         Step::Closed => {
//!             wire.write(session.output());
//!             break; // session.close_reason() says why
//!         }
//!     }
//!     buffer.drain(..buffer.len() - left);
//!     if session.must_flush() {
//!         wire.write(session.output());
//!         session.consume_output(now, usize::MAX);
//!     }
//! }
//! assert_eq!(message, b"Subject: hi\r\n\r\n.dot\r\n");
//! # assert!(wire.sent.ends_with(b"221 2.0.0 mx.example closing the connection\r\n"));
//! # Ok::<(), pillarbox_core::Misuse>(())
//! ```
//!
//! # Events and answers
//!
//! The table of the server's questions is on [`server::Event`], that of its states on [`server::ServerSession`]; the client
//! has both on [`client`].
//!
//! # RFCs
//!
//! | RFC | what | server | remark |
//! |---|---|---|---|
//! | 5321 | SMTP | yes | bare CR and LF in a body are repaired or refused (§2.3.8); EXPN is off (§7.3) |
//! | 1870 | SIZE | yes | |
//! | 2034, 3463 | enhanced status codes | yes | added where an answer has none |
//! | 2920 | PIPELINING | yes | sending behind EHLO, DATA, STARTTLS or an AUTH line too early ends the connection |
//! | 3207 | STARTTLS | yes | |
//! | 4954 | AUTH | yes | SCRAM with and without -PLUS, PLAIN, LOGIN, OAUTHBEARER, XOAUTH2, EXTERNAL |
//! | 6152 | 8BITMIME | yes | |
//! | 6409 | submission | yes | a login (§4.3), whole domains (§4.2), no ETRN (§7); messages are not changed (§8): what lacks a Date or a Message-ID keeps lacking it |
//! | 2033 | LMTP | yes | see `pillarbox-lmtp` |
//! | 3848 | words in Received | yes | |
//! | 3030 | CHUNKING | yes | on by default |
//! | 3030 | BINARYMIME | yes | off by default: what stands behind must keep every octet |
//! | 3461, 6533 | DSN | yes | the parameters; off by default: what stands behind must send the notices |
//! | 6531 | SMTPUTF8 | yes | off by default: what stands behind must work with such addresses |
//! | 8689 | REQUIRETLS | yes | under TLS; off by default: what stands behind must keep the promise |
//! | 8689 §3 | TLS-Required | read | [`tls_required`] says whether a message waives TLS; acting on it is for who sends it on |
//! | 4865 | FUTURERELEASE | yes | submission only; off by default: what stands behind must hold messages |
//! | 2852 | DELIVERBY | yes | off by default: what stands behind must keep the time |
//! | 6710 | MT-PRIORITY | yes | off by default; who may raise a priority is the embedder's (§4.1) |
//! | 9422 | LIMITS | partial | RCPTMAX, MAILMAX and RCPTDOMAINMAX are told where `tell_limits` is on, and always enforced; the client obeys all three |
//! | 1985 | ETRN | yes | off by default: 502; never for submission or LMTP |
//!
//! XCLIENT and XFORWARD are Postfix's and have no RFC; they are for peers that [`server::Peer`] calls trusted.
//!
//! # Limits
//!
//! Everything that a peer could make grow has a limit with a default and a reason: [`server::Limits`], and that of the client.
//! Memory of a session follows from them: an idle one takes at most 1 KiB beside its buffers, and nothing that arrives makes it more but a SASL
//! exchange (its line). The caller's buffer needs [`max_unread`](server::ServerSession::max_unread) bytes: a line of 2 KiB, or
//! 64 KiB while a body arrives.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod client;
pub mod command;
pub mod reply_parser;
pub mod route;
pub mod server;
pub mod tls_required;
pub mod trace;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
