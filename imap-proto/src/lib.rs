//! Sans-IO IMAP: the server's side of one connection and the client's, without a socket, a clock or a runtime; and what IMAP
//! shows of a message, computed from its octets. This page is about the server; [`client`] has its own.
//!
//! ```text
//!     your socket        your buffer                                        your program
//!   ───── bytes ─────▶  unread bytes ──▶ ┌──────────────────┐ ──▶ Event  ──▶ mailboxes, users
//!                        (kept by you)   │  ServerSession   │
//!   ◀──── bytes ───── output() ◀──────── │  with its View   │ ◀── Answer ◀── UIDs, flags, octets
//!                                        └──────────────────┘ ◀── learn() ◀─ what others changed
//!                                          │           ▲
//!                             deadline() ◀─┘           └─ now
//! ```
//!
//! A [`ServerSession`](server::ServerSession) is shown unread bytes and says how many it used; it lends events out of them,
//! asks one question at a time, and collects what is to be sent. Sequence numbers never leave it: its [`View`](view::View)
//! knows what the client was told, and every question and answer speaks of UIDs. Messages stream both ways: what APPEND
//! brings is lent in slices of your own buffer, what FETCH wants is taken in chunks as there is [`room`].
//!
//! [`room`]: server::ServerSession::room
//!
//! # What it does not do
//!
//! No sockets, TLS, storage, password checks, logs or threads: those are yours, or those of the `pillarbox` crate. It
//! keeps no mailbox and judges no user.
//!
//! Whoever wants the syntax without a session takes [`wire`]: [`Framer`](wire::frame::Framer) finds where a command ends, and
//! [`command`](wire::parse::command) reads what it says.
//!
//! # The loop
//!
//! Whatever drives a session (blocking threads, an async runtime, an event loop, a test) does this. `Wire` stands for a
//! socket; the mailbox is one message in a constant.
//!
//! ```
//! # use std::collections::VecDeque;
//! # struct Wire { arrives: VecDeque<&'static [u8]>, sent: Vec<u8> }
//! # impl Wire {
//! #     fn read(&mut self) -> &'static [u8] { self.arrives.pop_front().unwrap_or_default() }
//! #     fn write(&mut self, bytes: &[u8]) { self.sent.extend_from_slice(bytes); }
//! # }
//! use std::sync::Arc;
//!
//! use pillarbox_core::{Misuse, Step, Time};
//! use pillarbox_imap::server::{Answer, Event, FetchItem, Peer, ServerConfig, ServerSession, Snapshot};
//! use pillarbox_imap::types::{ResponseCode, Uid, UidValidity};
//!
//! const MESSAGE: &[u8] = b"Subject: hi\r\n\r\nHello!\r\n";
//!
//! fn serve(wire: &mut Wire, session: &mut ServerSession) -> Result<(), Misuse> {
//!     let now = Time::ZERO; // a real program asks its clock
//!     let mut buffer = Vec::new(); // never needs to hold more than session.max_unread()
//!     loop {
//!         let mut unread = &buffer[..];
//!         let mut waits = false;
//!         match session.poll(now, &mut unread) {
//!             Step::Event(event) => answer(session, now, event)?,
//!             Step::NeedInput | Step::Closed => {
//!                 wire.write(session.output());
//!                 session.consume_output(now, usize::MAX);
//!                 if session.close_reason().is_some() {
//!                     return Ok(());
//!                 }
//!                 // A real program also wakes at session.deadline() and when the mailbox changes: session.learn().
//!                 waits = true;
//!             }
//!             Step::Upgrade(_) => session.upgrade_failed(now, pillarbox_core::UpgradeError::Handshake),
//!             Step::NeedAnswer | Step::NeedTime => unreachable!("every question is answered at once"),
//!         }
//!         let left = unread.len();
//!         buffer.drain(..buffer.len() - left);
//!         if waits {
//!             match wire.read() {
//!                 b"" => session.handle_eof(now),
//!                 bytes => buffer.extend_from_slice(bytes),
//!             }
//!         }
//!     }
//! }
//!
//! fn answer(session: &mut ServerSession, now: Time, event: Event<'_>) -> Result<(), Misuse> {
//!     match event {
//!         Event::Login { credentials, .. } if credentials.password().is_some_and(|p| p.same_as(b"secret")) => {
//!             session.answer(now, Answer::LoggedIn(credentials.authentication_id().into()))
//!         }
//!         Event::Select { .. } => {
//!             let mut snapshot = Snapshot::new(UidValidity::MIN, Uid::new(8).unwrap());
//!             snapshot.uids = vec![Uid::new(7).unwrap()];
//!             session.answer(now, Answer::Selected(snapshot))
//!         }
//!         Event::Fetch { uids, wanted, .. } => {
//!             for uid in uids.iter() {
//!                 session.answer(now, Answer::Message(uid))?;
//!                 for item in &wanted {
//!                     if let FetchItem::Section { section, name, .. } = item {
//!                         let len = MESSAGE.len() as u64;
//!                         session.answer(now, Answer::Literal { section, name: *name, origin: None, len })?;
//!                         session.answer(now, Answer::Chunk(MESSAGE))?;
//!                     }
//!                 }
//!                 session.answer(now, Answer::MessageEnd)?;
//!             }
//!             session.answer(now, Answer::Done)
//!         }
//!         Event::Connect | Event::Sync => session.answer(now, Answer::Done),
//!         // These tell and do not ask.
//!         Event::Deselected | Event::Refused { .. } | Event::Abandoned | Event::Idle | Event::IdleEnd => Ok(()),
//!         _ => session.answer(now, Answer::No { code: Some(ResponseCode::Cannot), text: "not here".into() }),
//!     }
//! }
//!
//! # let mut wire = Wire {
//! #     arrives: [&b"a LOGIN joe secret\r\n"[..], b"b SELECT INBOX\r\nc UID FETCH 7 BODY[]\r\n", b"d LOGOUT\r\n"].into(),
//! #     sent: Vec::new(),
//! # };
//! let mut config = ServerConfig::default();
//! config.login_without_tls = true;
//! let mut session = ServerSession::new(Arc::new(config), Peer::default());
//! serve(&mut wire, &mut session)?;
//! # let sent = String::from_utf8(wire.sent).unwrap();
//! assert!(sent.contains("* 1 FETCH (UID 7 BODY[] {23}\r\nSubject: hi\r\n\r\nHello!\r\n)\r\nc OK"));
//! # Ok::<(), Misuse>(())
//! ```
//!
//! # Events
//!
//! Which events are questions, and what answers them, is the table at [`Event`](server::Event).
//!
//! **News and answers.** Give changes to [`learn`](server::ServerSession::learn) in commit order, those that the session's own
//! commands made too, and those before the parts of the answer that repeat them (`Flags`, `Expunged`): then nothing is told
//! twice. Given later they are told again, which is harmless; the last one always wins.
//!
//! **Synchronisation points.** A client waits for our output behind STARTTLS, behind each line of AUTHENTICATE, and behind the
//! announcement of a synchronising literal. What it sends behind STARTTLS before the handshake ends the connection.
//!
//! **Mod-sequences** (RFC 7162) are numbers of changes. Where a mailbox has them, each [`Change`](server::Change) and
//! each answer about flags carries one, and they rise from commit to commit; the session sees to who is told what, and
//! that no client comes to believe that it knows more than it was told.
//!
//! # Commands
//!
//! [`COMMANDS`](command::COMMANDS) as it stands in the code:
//!
//! | command | state | uses sequence numbers | may tell EXPUNGE | changes the selection |
//! |---|---|---|---|---|
//! | APPEND | authenticated |  | yes |  |
//! | AUTHENTICATE | not authenticated |  |  |  |
//! | CANCELUPDATE | selected |  | yes |  |
//! | CAPABILITY | any |  | yes |  |
//! | CHECK | selected |  | yes |  |
//! | CLOSE | selected |  |  | yes |
//! | COMPARATOR | authenticated |  | yes |  |
//! | COMPRESS | authenticated |  |  |  |
//! | COPY | selected | yes | yes |  |
//! | CREATE | authenticated |  | yes |  |
//! | DELETE | authenticated |  | yes |  |
//! | DELETEACL | authenticated |  | yes |  |
//! | ENABLE | authenticated |  | yes |  |
//! | ESEARCH | authenticated |  | yes |  |
//! | EXAMINE | authenticated |  |  | yes |
//! | EXPUNGE | selected |  | yes |  |
//! | FETCH | selected | yes |  |  |
//! | GETACL | authenticated |  | yes |  |
//! | GETMETADATA | authenticated |  | yes |  |
//! | GETQUOTA | authenticated |  | yes |  |
//! | GETQUOTAROOT | authenticated |  | yes |  |
//! | ID | any |  | yes |  |
//! | IDLE | authenticated |  | yes |  |
//! | LANGUAGE | any |  | yes |  |
//! | LIST | authenticated |  | yes |  |
//! | LISTRIGHTS | authenticated |  | yes |  |
//! | LOGIN | not authenticated |  |  |  |
//! | LOGOUT | any |  |  |  |
//! | LSUB | authenticated |  | yes |  |
//! | MOVE | selected | yes | yes |  |
//! | MYRIGHTS | authenticated |  | yes |  |
//! | NAMESPACE | authenticated |  | yes |  |
//! | NOOP | any |  | yes |  |
//! | NOTIFY | authenticated |  | yes |  |
//! | RENAME | authenticated |  | yes |  |
//! | REPLACE | selected | yes | yes |  |
//! | SEARCH | selected | yes |  |  |
//! | SELECT | authenticated |  |  | yes |
//! | SETACL | authenticated |  | yes |  |
//! | SETMETADATA | authenticated |  | yes |  |
//! | SETQUOTA | authenticated |  | yes |  |
//! | SORT | selected | yes |  |  |
//! | STARTTLS | not authenticated |  |  |  |
//! | STATUS | authenticated |  | yes |  |
//! | STORE | selected | yes |  |  |
//! | SUBSCRIBE | authenticated |  | yes |  |
//! | THREAD | selected | yes |  |  |
//! | UID COPY | selected |  | yes |  |
//! | UID EXPUNGE | selected |  | yes |  |
//! | UID FETCH | selected |  | yes |  |
//! | UID MOVE | selected |  | yes |  |
//! | UID REPLACE | selected |  | yes |  |
//! | UID SEARCH | selected |  | yes |  |
//! | UID SORT | selected |  | yes |  |
//! | UID STORE | selected |  | yes |  |
//! | UID THREAD | selected |  | yes |  |
//! | UNAUTHENTICATE | authenticated |  |  |  |
//! | UNSELECT | selected |  |  | yes |
//! | UNSUBSCRIBE | authenticated |  | yes |  |
//!
//! # RFCs
//!
//! | RFC | what | status |
//! |---|---|---|
//! | 3501 | IMAP4rev1 | yes; RECENT is told at selection only |
//! | 2177 | IDLE | yes |
//! | 2342 | NAMESPACE | one of each kind: personal, of other users, shared |
//! | 2971 | ID | answered with NIL |
//! | 3348 | CHILDREN | yes |
//! | 3502 | MULTIAPPEND | yes |
//! | 3516 | BINARY | yes |
//! | 3691 | UNSELECT | yes |
//! | 4314 | ACL | yes; what is allowed is the store's to say |
//! | 4315 | UIDPLUS | yes |
//! | 4469 | CATENATE | yes |
//! | 4731 | ESEARCH | yes |
//! | 4959 | SASL-IR | yes |
//! | 4978 | COMPRESS=DEFLATE | off unless [`Extensions`](server::Extensions) says otherwise; the driver brings the layer |
//! | 5032 | WITHIN | yes |
//! | 5161 | ENABLE | yes |
//! | 5092 | IMAP URLs | those that name messages of this server, for CATENATE |
//! | 5182 | SEARCHRES | yes |
//! | 5255 | LANGUAGE, I18NLEVEL=2 | English, and i;unicode-casemap |
//! | 5256 | SORT, THREAD=ORDEREDSUBJECT, THREAD=REFERENCES | yes |
//! | 5258 | LIST-EXTENDED | yes; no mailbox is remote |
//! | 5267 | ESORT, CONTEXT=SEARCH, CONTEXT=SORT | yes; searches with OLDER or YOUNGER are not kept up to date |
//! | 5464 | METADATA, METADATA-SERVER | yes; nobody is told of changes unasked |
//! | 5465 | NOTIFY | all but changes of annotations and metadata |
//! | 5530 | response codes | those that the store gives |
//! | 5819 | LIST-STATUS | yes |
//! | 5957 | SORT=DISPLAY | yes |
//! | 6154 | SPECIAL-USE, CREATE-SPECIAL-USE | yes |
//! | 6851 | MOVE | yes |
//! | 6855 | UTF8=ACCEPT | all but the refusal of 8-bit header fields of clients that did not enable it |
//! | 7162 | CONDSTORE, QRESYNC | yes |
//! | 7377 | MULTISEARCH | numbers are resolved by [`MailboxesQuery`](search::MailboxesQuery) in each mailbox; `$` names nothing but in the selected one |
//! | 7888 | LITERAL- before login, LITERAL+ or LITERAL- after it | yes |
//! | 7889 | APPENDLIMIT | one for all mailboxes |
//! | 8437 | UNAUTHENTICATE | off unless [`Extensions`](server::Extensions) says otherwise |
//! | 8438 | STATUS=SIZE | yes |
//! | 8440 | LIST-MYRIGHTS | yes |
//! | 8474 | OBJECTID | yes |
//! | 8508 | REPLACE | yes |
//! | 8514 | SAVEDATE | yes |
//! | 8970 | PREVIEW | yes |
//! | 9051 | IMAP4rev2 | for clients that ENABLE it |
//! | 9208 | QUOTA, QUOTASET | STORAGE and MESSAGE; the numbers are the store's |
//! | 9394 | PARTIAL | yes |
//! | 9585 | INPROGRESS | as often as [`in_progress`](server::ServerSession::in_progress) is called and the limit allows |
//! | 9586 | UIDONLY | for clients that ENABLE it |
//! | 9590 | LIST-METADATA | entries of each mailbox, without MAXSIZE and DEPTH |
//! | 9738 | MESSAGELIMIT, SAVELIMIT | where [`messages_max`](server::Limits::messages_max) or [`copied_messages_max`](server::Limits::copied_messages_max) is set; what ESEARCH looks at in several mailboxes counts together |
//!
//! What of these needs the store is offered as [`Extensions`](server::Extensions) says.
//!
//! # Limits
//!
//! All in [`Limits`](server::Limits) and [`FrameLimits`](wire::frame::FrameLimits), with their defaults and reasons, but for
//! those that the types keep: 50 octets a keyword, 255 a level of a mailbox name, 32 levels, a depth of 50 and 2000 keys in SEARCH,
//! 100 items in FETCH, 12 criteria in SORT, 100 flags in a command, 50 patterns in LIST, 100 entries in GETMETADATA, SETMETADATA and LIST. A view takes four octets a message. What one command tells of a mailbox at once
//! (EXPUNGE and FETCH lines before its tagged answer) is limited by the number of messages that the client knows and by
//! [`pending_flags_max`](server::Limits::pending_flags_max).
#![cfg_attr(not(feature = "std"), no_std)]
// A word that nobody defined would be a pattern that matches everything.
#![deny(unreachable_patterns)]

extern crate alloc;

#[cfg(test)]
mod steps;

pub mod acl;
pub mod client;
pub mod command;
pub mod list;
pub mod message;
pub mod metadata;
pub mod notify;
mod octet;
pub mod quota;
pub mod search;
pub mod server;
pub mod sort;
pub mod thread;
pub mod types;
pub mod url;
pub mod view;
pub mod wire;

/// The README's examples are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
