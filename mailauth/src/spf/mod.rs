//! SPF: whether a host may send mail in the name of a domain (RFC 7208).
//!
//! ```text
//!   Client (address, HELO) ----+
//!   ReversePath of MAIL -------+--> Check --- questions ---> your resolver
//!                                    |   <--- answers ------
//!                                    v
//!                                 Outcome: result, mechanism, explanation, trace, Received-SPF
//! ```
//!
//! A [`Check`] is a [`DnsMachine`](pillarbox_core::dns::DnsMachine): it asks, somebody answers, in any order. It holds a stack
//! of its own for `include`, so that no record makes it deep, and counts everything that a record can make it do.
//!
//! ```
//! use pillarbox_auth::spf::{Check, Client, Limits, SpfResult};
//! use pillarbox_core::address::ReversePath;
//! use pillarbox_core::dns::{self, FixedZone, Record};
//!
//! let zone = FixedZone::new()
//!     .with("example.org", Record::txt("v=spf1 include:_spf.example.net -all exp=why.example.org"))
//!     .with("_spf.example.net", Record::txt("v=spf1 ip4:192.0.2.0/24 ~all"))
//!     .with("why.example.org", Record::txt("%{i} does not send for %{o}"));
//! let (path, _) = ReversePath::take(b"<joe@example.org>", false)?;
//!
//! let client = Client::new([192, 0, 2, 1].into(), "mail.example.net");
//! let outcome = dns::run(&mut Check::mail_from(&client, &path, Limits::default()), &zone);
//! assert_eq!(outcome.result, SpfResult::Pass);
//! assert_eq!(outcome.mechanism().unwrap().to_string(), "include:_spf.example.net");
//!
//! let client = Client::new([198, 51, 100, 7].into(), "mail.example.net");
//! let outcome = dns::run(&mut Check::mail_from(&client, &path, Limits::default()), &zone);
//! assert_eq!(outcome.result, SpfResult::Fail);
//! assert_eq!(outcome.explanation.as_deref(), Some("198.51.100.7 does not send for example.org"));
//! let steps = outcome.steps().map(|step| step.to_string()).collect::<Vec<_>>();
//! assert_eq!(steps[0], "example.org: v=spf1 include:_spf.example.net -all exp=why.example.org");
//! # Ok::<(), pillarbox_core::address::AddressError>(())
//! ```
//!
//! Time is the caller's, too: RFC 7208 §4.6.4 asks to allow 20 seconds at least before
//! [`give_up`](pillarbox_core::dns::DnsMachine::give_up), which makes a temporary error of what is still open.
//!
//! Which identities are checked is the caller's choice; RFC 7208 §2.3 recommends HELO first. Each [`Outcome`] says which one
//! it is for, and nobody may take one for the other: DMARC looks at that of MAIL alone.

mod check;
mod evaluate;
mod explain;
mod hosts;
mod ip;
mod kept;
mod listed;
mod macros;
mod names;
mod open;
mod outcome;
mod received;
mod record;
mod scan;
mod stops;
mod term;
mod trace;
mod visits;

use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;

use pillarbox_core::dns::Name;

pub use check::Check;
pub use macros::MacroString;
pub use outcome::{Broad, Counters, Outcome, Problem};
pub use record::{Mechanism, Prefixes, Qualifier, Record, RecordError, RecordFault, Term, Terms};
pub use trace::{Answered, Step};

/// What a check came to (RFC 7208 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpfResult {
    /// There is no domain, or it says nothing: nothing is known.
    None,
    /// The domain says that it says nothing; to be treated as `None`.
    Neutral,
    /// The client may send for the domain.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// The DNS did not answer: to be tried later.
    TempError,
    /// What the domain publishes cannot be used.
    PermError,
}

impl SpfResult {
    /// The word of RFC 7208 §2.6 and RFC 8601 §2.7.2.
    pub const fn as_str(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which name of the client a check is about (RFC 7208 §2.3, §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Identity {
    /// The name in HELO or EHLO.
    Helo,
    /// The path of MAIL; of a null path `postmaster` at the name in HELO (RFC 7208 §2.4).
    MailFrom,
}

impl Identity {
    /// The word of RFC 7208 §9.1, which is also the property of RFC 8601 §2.7.2.
    pub const fn as_str(self) -> &'static str {
        match self {
            Identity::Helo => "helo",
            Identity::MailFrom => "mailfrom",
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about the client, for all checks of a session.
///
/// ```
/// use pillarbox_auth::spf::Client;
///
/// let mut client = Client::new("2001:db8::1".parse()?, "mail.example.org");
/// client.receiver = Some("mx.example.net".parse().unwrap());
/// client.now = 1_800_000_000;
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Client {
    /// Its address. An IPv4 address mapped into IPv6 counts as the IPv4 address (RFC 7208 §5).
    pub ip: IpAddr,
    /// What it said in HELO or EHLO, whatever that was.
    pub helo: Arc<str>,
    /// Our name, for `%{r}` (RFC 7208 §7.3) and Received-SPF; `None` is written `unknown`.
    pub receiver: Option<Name>,
    /// Now, in seconds since 1970, for `%{t}`.
    pub now: u64,
}

impl Client {
    /// A client; the receiver is not named, and the time is 1970 until it is set.
    pub fn new(ip: IpAddr, helo: impl Into<Arc<str>>) -> Self {
        Client { ip, helo: helo.into(), receiver: None, now: 0 }
    }
}

/// What a check may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Terms that ask the DNS: `include`, `a`, `mx`, `ptr`, `exists` and `redirect`. One more is a permanent error.
    /// 10 (RFC 7208 §4.6.4).
    pub terms_max: u32,
    /// Questions of such terms that may come back empty, NXDOMAIN or without data. One more is a permanent error. Those
    /// that confirm PTR records do not count: they are the client's, not the domain's. 2 (RFC 7208 §4.6.4).
    pub void_lookups_max: u32,
    /// Names of one `mx` whose addresses are asked for, the most preferred first; if none of them matches and there are
    /// more, that is a permanent error. Names of the client's PTR records that are confirmed; the others are ignored.
    /// 10 (RFC 7208 §4.6.4).
    pub names_max: usize,
    /// Octets of a record or an explanation. 8192: RFC 7208 §3.4 asks for less than 450, the longest in use have about
    /// 4000, and a text of the DNS can have 65535. Never more than that.
    pub record_size_max: usize,
    /// Octets of the explanation; what is beyond is cut off. 400, so that it fits a line of a reply with what stands
    /// around it (RFC 5321 §4.5.3.1.5).
    pub explanation_size_max: usize,
    /// Questions that are open at once; only the names of `mx` and PTR records are asked for together. 4, so that a
    /// message does not make a burst.
    pub open_questions_max: usize,
    /// Steps that are kept for people. 200, which a check within the other limits seldom has.
    pub steps_max: usize,
    /// A network that passes with a shorter prefix is noted as [`Broad`]. 16: more than 65536 addresses are hardly one
    /// sender's (BreakSPF, NDSS 2024).
    pub broad_ip4_prefix: u8,
    /// The same for IPv6. 32: what a whole provider gets.
    pub broad_ip6_prefix: u8,
}

impl Limits {
    const DEFAULT: Limits = Limits {
        terms_max: 10,
        void_lookups_max: 2,
        names_max: 10,
        record_size_max: 8192,
        explanation_size_max: 400,
        open_questions_max: 4,
        steps_max: 200,
        broad_ip4_prefix: 16,
        broad_ip6_prefix: 32,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
