//! DANE for SMTP (RFC 7672): the keys of a host by DNSSEC, so that nobody can take its place or strip its TLS.
//!
//! ```text
//!   HostLookup    asks for addresses and TLSA records  -> Host { addresses, security }
//!   judge_chain   looks at the certificates presented  -> ChainMatch
//! ```
//!
//! | [`Security`] | because | TLS with the host | if that fails |
//! |---|---|---|---|
//! | `Dane` | secure TLSA records, at least one usable | required, and authenticated by them | next host, else later |
//! | `EncryptOnly` | secure TLSA records, none usable | required, whoever the host is | next host, else later |
//! | `Opportunistic` | no secure records | if it is offered | in clear, if policy allows |
//! | `Later` | a look-up failed | none: the host is passed over | next host, else later |
//!
//! "Secure" is an answer that says [`Validation::Validated`], and nothing else: a resolver that does not validate says nothing
//! about it, and then there is no DANE (RFC 7672 §2.1.1). A look-up that fails is never taken for an absence (§2.1.2): else an
//! attacker would only have to disturb it.
//!
//! ```
//! use pillarbox_auth::dane::{self, ChainMatch, HostLookup, NextHop, Security};
//! use pillarbox_auth::RingCrypto;
//! use pillarbox_core::dns::{self, FixedZone, Record, Validation};
//! # use pillarbox_core::crypto::{Crypto, HashAlgorithm};
//! # let certificate = b"\x30\x03\x02\x01\x00".to_vec();
//!
//! # let data = RingCrypto.digest(HashAlgorithm::Sha256, &certificate)?;
//! let zone = FixedZone::new()
//!     .with("mx.example.org", Record::A([192, 0, 2, 1].into()))
//!     .with("_25._tcp.mx.example.org", Record::Tlsa { usage: 3, selector: 0, matching: 1, data })
//!     .with_validation(Validation::Validated);
//! let next_hop = NextHop::new("mx.example.org".parse()?, "example.org".parse()?, Validation::Validated);
//! let host = dns::run(&mut HostLookup::new(next_hop), &zone);
//! let Security::Dane(dane) = host.security else { panic!("no DANE") };
//!
//! // The certificates of the TLS handshake, that of the host first.
//! assert_eq!(dane::judge_chain(&dane.records, &[&certificate], &RingCrypto), ChainMatch::EndEntity);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod certificate;
mod chain;
mod lookup;
mod tlsa;

pub use certificate::{DerError, subject_public_key_info};
pub use chain::{Anchor, ChainMatch, judge_chain};
pub use lookup::{Dane, Host, HostLookup, InsecureMx, NextHop, Security};
pub use tlsa::{Matching, Selector, Tlsa, Unusable, Usage, usable};

#[cfg(doc)]
use pillarbox_core::dns::Validation;
