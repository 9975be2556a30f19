//! The contract and the words that mail protocol machines share: no socket, no clock, no thread, no file.
//!
//! A *machine* is one side of one connection as a value. Bytes and answers go in, events and bytes come out; the program
//! around it owns the socket, the clock, the accounts and the store. The crates for SMTP, LMTP and IMAP are such machines;
//! this one holds what they have in common, and is useful alone for its addresses, headers and bodies.
//!
//! ```text
//!                    your program                            a machine (ServerSession, ClientSession)
//!   +----------+                       poll(now, &mut input)   +---------------------------------+
//!   |          | ---- unread bytes ----------------------------> line  dot  header               |
//!   |  socket  |                       <- Step::Event(event) - |   address  sasl  dns            |
//!   |   TLS    |                       -- answer(now, ..) ----> |                                 |
//!   |          | <--- output(), consume_output() -------------- |   Reply                         |
//!   +----------+                                               |                                 |
//!      clock     ---- deadline(), handle_timeout(now) --------> |   Time                          |
//!                                                              +---------------------------------+
//! ```
//!
//! # What it does not do
//!
//! It opens no connection and does no TLS: it says when a layer has to start and is told what came of it. It resolves no
//! names: [`dns`] has questions and answers. It knows no users: [`sasl`] ends in credentials that somebody else judges. It
//! reads no clock: every method that needs the time takes it. It parses no MIME: [`header`] finds fields, and what they mean
//! is for the crates that need it.
//!
//! # The loop
//!
//! Every program around every machine has this shape, with threads or with a runtime: make all steps there are, send what
//! there is to send, and only then wait.
//!
//! ```
//! # use pillarbox_core::{LayerFacts, Misuse, UpgradeError, line::{LineScanner, Scan}};
//! # /// Answers each line with what the embedder makes of it.
//! # #[derive(Default)]
//! # struct Session { scanner: LineScanner, open: bool, eof: bool, output: Vec<u8> }
//! # impl Machine for Session {
//! #     type Event<'b> = &'b [u8];
//! #     type Answer<'a> = Vec<u8>;
//! #     fn poll<'b>(&mut self, _: Time, input: &mut &'b [u8]) -> Step<&'b [u8]> {
//! #         if self.open {
//! #             return Step::NeedAnswer;
//! #         }
//! #         match self.scanner.scan(input, self.max_unread()) {
//! #             Scan::Line { len } => {
//! #                 let (line, rest) = input.split_at(len);
//! #                 (*input, self.open) = (rest, true);
//! #                 Step::Event(line)
//! #             }
//! #             Scan::Incomplete if !self.eof => Step::NeedInput,
//! #             _ => Step::Closed,
//! #         }
//! #     }
//! #     fn answer(&mut self, _: Time, answer: Vec<u8>) -> Result<(), Misuse> {
//! #         if !self.open {
//! #             return Err(Misuse::NoOpenQuestion);
//! #         }
//! #         self.open = false;
//! #         self.output.extend(answer);
//! #         Ok(())
//! #     }
//! #     fn output(&self) -> &[u8] { &self.output }
//! #     fn consume_output(&mut self, _: Time, n: usize) { self.output.drain(..n.min(self.output.len())); }
//! #     fn room(&self) -> usize { 0 }
//! #     fn deadline(&self) -> Option<Time> { None }
//! #     fn handle_timeout(&mut self, _: Time) {}
//! #     fn handle_eof(&mut self, _: Time) { self.eof = true; }
//! #     fn upgraded(&mut self, _: Time, _: LayerFacts) -> Result<(), Misuse> { Err(Misuse::NoUpgrade) }
//! #     fn upgrade_failed(&mut self, _: Time, _: UpgradeError) {}
//! #     fn shut_down(&mut self, _: Time) {}
//! #     fn max_unread(&self) -> usize { 512 }
//! # }
//! use std::io::{self, ErrorKind, Read, Write};
//! use std::net::TcpStream;
//! use std::time::{Duration, Instant};
//!
//! use pillarbox_core::{Machine, Step, Time};
//!
//! fn serve<M: Machine>(
//!     mut session: M,
//!     mut socket: TcpStream,
//!     mut decide: impl for<'b> FnMut(M::Event<'b>) -> Option<M::Answer<'static>>,
//! ) -> io::Result<()> {
//!     let origin = Instant::now();
//!     let now = || Time::from_origin(origin.elapsed());
//!     let mut unread = Vec::new();
//!     loop {
//!         // Every step that the bytes at hand allow.
//!         let mut input = &unread[..];
//!         let step = loop {
//!             match session.poll(now(), &mut input) {
//!                 // Some events are questions: each protocol has a table that says which.
//!                 Step::Event(event) => {
//!                     if let Some(answer) = decide(event) {
//!                         session.answer(now(), answer).expect("the answer fits the question");
//!                     }
//!                 }
//!                 step => break step.map(drop),
//!             }
//!         };
//!         let used = unread.len() - input.len();
//!         unread.drain(..used);
//!
//!         // Send before waiting for anything: the peer may wait for it too.
//!         socket.write_all(session.output())?;
//!         let sent = session.output().len();
//!         session.consume_output(now(), sent);
//!
//!         match step {
//!             Step::Event(()) => unreachable!("events were taken above"),
//!             Step::Closed => return Ok(()),
//!             // A real program starts TLS here and calls upgraded().
//!             Step::Upgrade(_) => session.upgrade_failed(now(), pillarbox_core::UpgradeError::Handshake),
//!             Step::NeedAnswer => unreachable!("questions were answered at once"),
//!             Step::NeedTime => {
//!                 let wait = session.deadline().map_or(Duration::ZERO, |deadline| deadline - now());
//!                 std::thread::sleep(wait);
//!                 session.handle_timeout(now());
//!             }
//!             // Bytes, the end of them, or the deadline, whatever comes first.
//!             Step::NeedInput => {
//!                 let wait = session.deadline().map(|deadline| (deadline - now()).max(Duration::from_millis(1)));
//!                 socket.set_read_timeout(wait)?;
//!                 let start = unread.len();
//!                 unread.resize(session.max_unread().max(start + 1), 0);
//!                 let read = socket.read(&mut unread[start..]);
//!                 unread.truncate(start + *read.as_ref().unwrap_or(&0));
//!                 match read {
//!                     Ok(0) => session.handle_eof(now()),
//!                     Ok(_) => {}
//!                     Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => session.handle_timeout(now()),
//!                     Err(e) => return Err(e),
//!                 }
//!             }
//!         }
//!     }
//! }
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let mut client = TcpStream::connect(listener.local_addr()?)?;
//! # let socket = listener.accept()?.0;
//! # let server = std::thread::spawn(|| serve(Session::default(), socket, |line| Some(line.to_ascii_uppercase())));
//! # client.write_all(b"one\r\ntw")?;
//! # client.write_all(b"o\r\n")?;
//! # client.shutdown(std::net::Shutdown::Write)?;
//! # let mut answer = String::new();
//! # client.read_to_string(&mut answer)?;
//! # assert_eq!(answer, "ONE\r\nTWO\r\n");
//! # server.join().unwrap()?;
//! # io::Result::Ok(())
//! ```
//!
//! # Modules
//!
//! | where | what |
//! |---|---|
//! | [`Machine`], [`Step`], [`Misuse`], [`LayerFacts`] | the contract, and its laws |
//! | [`Time`], [`WallTime`], [`Random`], [`Secret`] | what machines are given instead of a clock, a random source, a plain password |
//! | [`Text`] | text out of a command, checked and not yet a `str` |
//! | [`Reply`], [`EnhancedCode`] | replies of SMTP and LMTP |
//! | [`address`] | envelope addresses and paths |
//! | [`line`](mod@line) | command lines: CRLF and nothing else, in linear time however slowly they come |
//! | [`dot`] | bodies of DATA and BDAT, in and out; nothing but CRLF `.` CRLF ends one |
//! | [`header`] | the one reading of message headers, whole or while they arrive |
//! | [`sasl`] | login exchanges of both sides |
//! | [`crypto`] | the hashes that those need, as a trait |
//! | [`dns`] | questions and answers, machines that ask, a fixed zone for tests, zone files |
//! | [`octets`] | looking at many octets at once |
//! | [`mutf7`] | names of mailboxes in IMAP4rev1 and Maildir++ |
//! | [`proxy`] | the PROXY protocol of load balancers, in front of a session |
#![cfg_attr(
    feature = "dialog",
    doc = "| [`dialog`], [`laws`] | the player of dialog files and the kit that checks the laws (feature `dialog`) |"
)]
//!
//! # RFCs
//!
//! | RFC | what of it | where |
//! |---|---|---|
//! | 5321 | addresses, paths, literals, lengths (§4.1.2, §4.1.3, §4.5.3.1); end of data and dots (§4.1.1.4, §4.5.2); replies (§4.2) | [`address`], [`dot`], [`Reply`] |
//! | 6531 | addresses beyond ASCII (§3.3), without the check of U-labels by IDNA | [`address`] |
//! | 3030 | bare newlines in BDAT chunks (§2) | [`dot`] |
//! | 5322 | fields, folding, dates; the obsolete space before a colon (§2.2, §3.3, §4.5) | [`header`], [`WallTime`] |
//! | 2034, 3463 | enhanced status codes | [`EnhancedCode`] |
//! | 4422, 4616, 4954 §4 | SASL exchanges, PLAIN, EXTERNAL, and the lines that carry them | [`sasl`] |
//! | 5802, 7677, 9266 | SCRAM with SHA-1 and SHA-256, bound to TLS by its exporter; no `tls-unique` | [`sasl`] |
//! | 4013 | one form of names and passwords, as stored strings | [`sasl`] |
//! | 7628, 4505 | OAUTHBEARER, ANONYMOUS | [`sasl`] |
//! | 1034, 1035, 2181, 2308, 3596, 3597, 4343, 4592, 6698, 7505 | names, record data, zone files, wildcards; no wire format | [`dns`] |
//! | 3501 §5.1.3 | modified UTF-7 | [`mutf7`] |
//!
//! Deviations are marked in the source with `Deviates from RFC`: an underscore in a domain is taken, zeros before a number of
//! an IPv4 literal are not, bare newlines in bodies are repaired, replies keep characters beyond ASCII, and AUTH LOGIN may
//! bring the name along.
//!
//! # Features
//!
//! `std` (on by default) lets searches use what the processor has, and SCRAM take names and passwords that are not ASCII; without
//! it the crate needs `alloc` only. `dialog` adds the test player. No feature changes a type.
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

pub mod address;
pub mod annotation;
pub mod crypto;
#[cfg(feature = "dialog")]
pub mod dialog;
pub mod dns;
pub mod dot;
pub mod header;
#[cfg(feature = "dialog")]
pub mod laws;
pub mod line;
mod machine;
pub mod mutf7;
pub mod octets;
pub mod proxy;
mod random;
mod reply;
pub mod returned;
pub mod sasl;
mod secret;
mod starttls;
mod text;
mod time;

/// So that the tests of this crate and those in `tests/` share what they stand on.
#[cfg(test)]
extern crate self as pillarbox_core;
#[cfg(test)]
#[path = "../tests/ring_crypto/mod.rs"]
mod tests_crypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use machine::{CertificateFault, Layer, LayerFacts, Machine, Misuse, Step, TlsFacts, UpgradeError};
pub use random::{Random, SeededRandom};
pub use reply::{EnhancedCode, Reply};
pub use secret::Secret;
pub use starttls::StartTls;
pub use text::Text;
pub use time::{Civil, Time, WallTime, Zone};
