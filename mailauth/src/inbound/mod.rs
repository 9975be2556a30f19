//! All methods over one message of a session, as one machine.
//!
//! ```text
//!   connect(ip) -----> iprev ---------------------+
//!   helo(name) ------> SPF of HELO ---------------|
//!   mail_from(path) -> SPF of MAIL ----------+    |
//!   write(slices) ---> DKIM -----------------+--> DMARC --+--> Verdicts: refusal(), header_fields(), explanation()
//!              \-----> ARC -------------------------------+
//!   finish()                 questions to your resolver, from the moment on that they can be asked
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use pillarbox_auth::RingCrypto;
//! use pillarbox_auth::inbound::{Config, Inbound};
//! use pillarbox_core::address::ReversePath;
//! use pillarbox_core::dns::{self, FixedZone, Record};
//!
//! let zone = FixedZone::new()
//!     .with("example.org", Record::txt("v=spf1 ip4:192.0.2.1 -all"))
//!     .with("_dmarc.example.org", Record::txt("v=DMARC1; p=reject"));
//! let config = Arc::new(Config::new("mx.example.net"));
//! let verdicts = |ip: [u8; 4]| {
//!     let mut inbound = Inbound::new(Arc::new(RingCrypto), config.clone(), 1_700_000_000);
//!     inbound.connect(ip.into());
//!     inbound.helo("mail.example.org");
//!     inbound.mail_from(&ReversePath::take(b"<joe@example.org>", false).unwrap().0);
//!     inbound.write(b"From: Joe <joe@example.org>\r\nSubject: dinner\r\n\r\nIs it rea");
//!     inbound.write(b"dy?\r\n");
//!     inbound.finish();
//!     // Or as it comes: ask what `poll` gives while the message arrives.
//!     dns::run(&mut inbound, &zone)
//! };
//!
//! let taken = verdicts([192, 0, 2, 1]);
//! assert_eq!(taken.refusal(), None);
//! assert_eq!(
//!     taken.header_fields(),
//!     "Authentication-Results: mx.example.net;\r\n\
//!      \tiprev=permerror policy.iprev=192.0.2.1;\r\n\
//!      \tspf=pass smtp.mailfrom=example.org;\r\n\
//!      \tspf=none reason=\"mail.example.org has no SPF record\"\r\n\
//!      \t smtp.helo=mail.example.org;\r\n\
//!      \tdkim=none;\r\n\
//!      \tarc=none;\r\n\
//!      \tdmarc=pass header.from=example.org policy.dmarc=reject\r\n"
//! );
//!
//! let refused = verdicts([198, 51, 100, 7]);
//! assert_eq!(refused.refusal().unwrap().to_string(), "550 5.7.1 refused by the DMARC policy of example.org");
//! ```
//!
//! # What it costs
//!
//! The header is held once until the keys are known, within the limits of [`dkim::Policy`](crate::dkim::Policy); of the body
//! nothing but hashes, one for each distinct form and length, which DKIM and ARC share. Whatever is in a message and in the DNS, these are the questions at most:
//!
//! | method | questions |
//! |---|---|
//! | iprev | 1, and 1 for each of 10 names |
//! | SPF, of each identity | 1, and for each of 10 terms 1 and 10 hosts; 11 for the names of the client, 1 for the explanation |
//! | DKIM | 8 |
//! | ARC | 8 |
//! | DMARC | 8 for the author's domain, 1 whether it exists, 8 for other organizational domains |
//!
//! No more than [`Config::open_questions_max`] of them are open at a time.
//!
//! # Whom it believes
//!
//! Nobody: what a message says about itself is a claim. A fail of DMARC stands, unless a forwarder on the operator's list
//! ([`Config::trusted_sealers`]) says in a whole chain of seals that it passed there.

mod config;
mod explanation;
mod forwarder;
mod machine;
mod part;
mod results;
mod verdicts;

pub use config::Config;
pub use explanation::Explanation;
pub use machine::Inbound;
pub use verdicts::Verdicts;
