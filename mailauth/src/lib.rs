//! Mail authentication without a resolver, a clock or a runtime: whether the domain that a message shows as its author's
//! stands behind it, what that domain wants done if not, and the reports that tell it; and whether the next hop has to show
//! who it is.
//!
//! ```text
//!    header ──▶ from::Authors ────┐
//!                                 ▼
//!    SPF, DKIM ──▶ Evidence ──▶ ┌────────────────┐ ──▶ Question  ──▶ your resolver
//!                               │  dmarc::Check  │
//!                               └────────────────┘ ◀── DnsAnswer ◀── in any order
//!                                 │
//!                                 ▼
//!                              Outcome ──▶ refuse, mark, take; Authentication-Results
//!                                 │
//!                                 ▼
//!                              reports ──▶ aggregate reports, failure reports
//! ```
//!
//! Every evaluator is a value that is made of typed inputs and comes to a typed outcome, with the reasons and the steps that
//! led there, which print as lines for people. What needs the DNS is a [`DnsMachine`]: it asks, you answer, from wherever you
//! like. Domains are [`Name`]s from one stage to the next; no stage reads again what another one wrote.
//!
//! [`DnsMachine`]: pillarbox_core::dns::DnsMachine
//! [`Name`]: pillarbox_core::dns::Name
//!
//! # What it does not do
//!
//! No sockets, resolver, clock, storage, logs or threads: those are yours, or those of the `pillarbox` crate. It delivers no
//! report and refuses no message: it says what is due, and you do it. It does not look for spam; that a message passes says
//! who sent it, not that it is welcome.
//!
//! # The loop
//!
//! Whatever answers the questions (a stub resolver, an async one, a test) does this. Here it is a zone that is fixed; with
//! one, [`dns::run`](pillarbox_core::dns::run) is the same in a line.
//!
//! ```
//! use pillarbox_auth::dmarc::{Check, Config, Disposition, DkimInput, DmarcResult, Evidence, Verification};
//! use pillarbox_auth::from::{Authors, Limits};
//! use pillarbox_core::dns::{DnsMachine, DnsStep, FixedZone, Record};
//!
//! let zone = FixedZone::new().with("_dmarc.example.org", Record::txt("v=DMARC1; p=reject; rua=mailto:r@example.org"));
//! let header = b"From: Joe <joe@news.example.org>\r\nSubject: hi\r\n\r\n";
//!
//! let authors = Authors::read(header, &Limits::default());
//! let mut check = Check::new(&authors, &Config::default());
//! // Questions about the author may go out before the message is here; what SPF and DKIM found comes when it is known.
//! check.supply(Evidence::new(None, vec![DkimInput::new(Verification::Pass, "attack.example".parse()?)]));
//!
//! let mut open = Vec::new();
//! let outcome = loop {
//!     match check.poll() {
//!         DnsStep::Ask(question) => open.push(question), // send it now, and do not wait
//!         DnsStep::Wait => {
//!             // Whichever answer comes first; or check.give_up(), when it has taken too long.
//!             let question = open.pop().expect("who waits has asked");
//!             check.answer(question.id, zone.answer(&question));
//!         }
//!         DnsStep::Done(outcome) => break outcome,
//!     }
//! };
//! assert_eq!((outcome.result, outcome.disposition), (DmarcResult::Fail, Disposition::Reject));
//! for step in &outcome.trace {
//!     println!("{step}");
//! }
//! # Ok::<(), pillarbox_core::dns::NameError>(())
//! ```
//!
//! # Modules
//!
//! | module | what | how |
//! |---|---|---|
//! | [`spf`] | whether a client may send for the domain of HELO or MAIL FROM | [`spf::Check`] is a `DnsMachine` |
//! | [`iprev`] | whether the name of a client leads back to it | [`iprev::ReverseCheck`] is a `DnsMachine` |
//! | [`dkim`] | signatures, verified and made while the message streams | [`dkim::Verifier`] and [`dkim::Signer`] take slices |
//! | [`arc`] | chains of those who handed a message on, verified and sealed | [`arc::Verifier`] and [`arc::Sealer`] take slices |
//! | [`from`] | the authors of a message: one strict reading of From, or none | a value made of the header |
//! | [`dmarc`] | policy records, organizational domains, alignment, policies | [`dmarc::Check`] is a `DnsMachine` |
//! | [`authres`] | Authentication-Results: written, read, and found where it is forged | values |
//! | [`mta_sts`], [`dane`] | whether a next hop has to have TLS, and which certificate | values; look-ups are `DnsMachine`s |
//! | [`tls_rpt`] | reports about TLS: record, counting, JSON | values; the look-up is a `DnsMachine` |
//! | [`reports`] | aggregate and failure reports: counted, written, read, and whether they are wanted | values; [`reports::VerifyDestinations`] is a `DnsMachine` |
//! | [`inbound`] | all methods over one message of a session: the reply, the fields, every step | [`inbound::Inbound`] takes events and slices |
//! | [`idn`] | names beyond ASCII, in the form that the DNS knows | functions |
//!
//! # RFCs
//!
//! | RFC | what | status | remark |
//! |---|---|---|---|
//! | 7208 | SPF | yes | explanations and Received-SPF, too |
//! | 6376, 8301, 8463, 6541 | DKIM | yes | SHA-1 and short keys prove nothing |
//! | 8617 | ARC | yes | |
//! | 8601 | Authentication-Results, iprev | yes | |
//! | 8616 | internationalized mail | partial | SPF and lists of tags |
//! | 8461, 7672, 8460 | MTA-STS, DANE for SMTP, TLS-RPT | yes | fetching, and verifying below an authority, are the caller's |
//! | 9989 | DMARC | yes | read in its last draft |
//! | 7489 | DMARC, as it was | partial | organizational domains by a public suffix list, `pct`, `ri`, its form of reports |
//! | 9990 | aggregate reports | yes | read in its last draft; extensions are passed over |
//! | 9991, 6591, 5965 | failure reports | yes | 9991 read in its last draft; addresses beyond ASCII are written in UTF-8 |
//! | 6590 | redaction | yes | local parts, by a keyed hash |
//! | 7960 | forwarders and lists | partial | a trusted one is believed by ARC, with the reason kept |
//! | 6854 | groups in From | yes | obsolete forms of RFC 5322 that are read in two ways are refused |
//! | 6532 | UTF-8 in headers | partial | in From; octets that are not UTF-8 are refused there |
//! | 5890, 5892, 3492 | names beyond ASCII | partial | punycode without mapping; names that programs would map are refused |
//!
//! # Limits
//!
//! Whatever a message, a record or a report holds, the cost is bounded, and grows with the length at most.
//!
//! | what | limit | default |
//! |---|---|---|
//! | what SPF, DKIM and ARC ask, hash and keep | [`spf::Limits`], [`dkim::Policy`] | see there |
//! | questions of one message that are open at once | [`inbound::Config::open_questions_max`] | 20 |
//! | words and marks in From | [`from::Limits::tokens_max`] | 10,000 |
//! | questions about an author's domain | RFC 9989 §4.10 | 8, and 1 whether it exists |
//! | questions about domains of SPF and DKIM | [`dmarc::Limits::alignment_questions_max`] | 8 |
//! | domains of SPF and DKIM | [`dmarc::Limits::identifiers_max`] | 20 |
//! | author domains, where several are checked at all | [`dmarc::Limits::authors_max`] | 5 |
//! | tags of a record; URIs of `rua` or `ruf` | of the parser | 100; 10 |
//! | memory of what is counted for aggregate reports | [`reports::aggregate::CollectLimits`] | 64 MiB |
//! | failure reports in an hour, about one domain and in all | [`reports::RateLimits`] | 10, 1000 |
//! | a report that is read: mail, document, records | `reports::aggregate::ReadLimits` | 50 MiB, 32 MiB, 100,000 |
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `std` | yes | faster searching by the libraries below; without it the crate is `no_std` with `alloc` |
//! | `ring` | yes | `RingCrypto`: digests and signatures by *ring* |
//! | `reports` | no | reading of reports: XML, gzip, zip, and the mails that carry them; the JSON of TLS reports both ways |
//! | `rsa-keygen` | no | making of RSA keys for DKIM |
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

pub mod arc;
pub mod authres;
pub mod dane;
mod der;
pub mod dkim;
pub mod dmarc;
pub mod from;
pub mod idn;
pub mod inbound;
pub mod iprev;
pub mod mta_sts;
pub mod reports;
#[cfg(feature = "ring")]
mod ring_crypto;
pub mod spf;
mod tag_list;
mod text_record;
pub mod tls_rpt;
mod words;

#[cfg(feature = "ring")]
pub use ring_crypto::RingCrypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
