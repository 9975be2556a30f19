//! What a check came to, and why.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};

use pillarbox_core::dns::{Name, RecordKind};

use super::check::Course;
use super::kept::Kept;
use super::{Identity, Mechanism, RecordError, SpfResult, Step, Term};

/// What a check came to, and all that others may want to know of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The identity that was checked. A result says nothing about the other one.
    pub identity: Identity,
    /// The result.
    pub result: SpfResult,
    /// Why there is nothing better, of none, a temporary error and a permanent error.
    pub problem: Option<Problem>,
    /// Of a fail, what the domain has to say to it: visible ASCII and spaces, bounded by
    /// [`Limits::explanation_size_max`](super::Limits::explanation_size_max). It comes from a third party: say so where
    /// you show it (RFC 7208 §6.2).
    pub explanation: Option<String>,
    /// Of a pass, whether it says little, because (nearly) everybody passes. For policies; the result stays.
    pub broad: Option<Broad>,
    /// What it cost.
    pub counters: Counters,
    pub(super) course: Box<Course>,
}

/// Why a check came to none, a temporary error or a permanent error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// What was to be checked is no domain name of two labels or more (RFC 7208 §4.3).
    NoDomain,
    /// The domain has no record; an error only where `include` or `redirect` led there.
    NoRecord(Name),
    /// The domain has several records (RFC 7208 §4.5).
    SeveralRecords(Name),
    /// The record of the domain is longer than [`Limits::record_size_max`](super::Limits::record_size_max).
    RecordSize(Name),
    /// The record of the domain is wrong.
    Syntax {
        /// The domain.
        domain: Name,
        /// What is wrong.
        error: RecordError,
        /// The term that is wrong: visible characters, others escaped; at most 80 of its octets.
        term: String,
    },
    /// `include` or `redirect` stands for no domain name of two labels or more.
    Target(String),
    /// More terms than [`Limits::terms_max`](super::Limits::terms_max) ask the DNS.
    Terms,
    /// More than [`Limits::void_lookups_max`](super::Limits::void_lookups_max) questions came back empty.
    VoidLookups,
    /// The domain has more mail exchangers than [`Limits::names_max`](super::Limits::names_max).
    Exchangers(Name),
    /// No certain answer from the DNS.
    Dns(Name, RecordKind),
    /// The caller gave up.
    GaveUp,
}

/// A pass that says little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Broad {
    /// `+all`: everybody passes.
    All,
    /// A network with a prefix as short as this.
    Network(u8),
}

/// What a check cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Terms that asked the DNS.
    pub terms: u32,
    /// Questions of such terms that came back empty.
    pub void_lookups: u32,
    /// All questions.
    pub questions: u32,
}

/// Whom the check is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) ip: IpAddr,
    /// U-labels as A-labels.
    pub(super) helo: Kept,
    pub(super) local: Kept,
    /// The text that was to be the domain and is none, if so. Else the domain is the first of the names.
    pub(super) no_domain: Option<Box<str>>,
    pub(super) receiver: Option<Name>,
    pub(super) now: u64,
    pub(super) null_path: bool,
}

impl Subject {
    pub(super) const NOBODY: Subject = Subject {
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        helo: Kept::EMPTY,
        local: Kept::EMPTY,
        no_domain: None,
        receiver: None,
        now: 0,
        null_path: false,
    };
}

impl Outcome {
    /// That of a check that has come to a result. It is written where the caller wants it.
    #[inline(always)]
    pub(super) fn of(mut course: Box<Course>, result: SpfResult) -> Self {
        let problem = course.problem.take();
        if problem.is_some() {
            course.matched = None;
        }
        Outcome {
            identity: course.identity,
            result,
            broad: course.broad.filter(|_| result == SpfResult::Pass),
            explanation: course.explanation.take(),
            counters: course.counters,
            problem: problem.map(|problem| *problem),
            course,
        }
    }

    /// The domain that the result is about, in A-labels: what DMARC aligns, and the value of `smtp.mailfrom` or `smtp.helo`
    /// in Authentication-Results (RFC 8601 §2.7.2). `None` if it was none.
    pub const fn domain(&self) -> Option<&Name> {
        if self.course.subject.no_domain.is_none() { Some(self.course.names.first()) } else { None }
    }

    /// The local part, without quotes: `postmaster` where there was none (RFC 7208 §4.3). RFC 8601 §2.7.2 wants it in
    /// Authentication-Results only where [`uses_local_part`](Outcome::uses_local_part).
    pub fn local(&self) -> &str {
        self.course.subject.local.as_str()
    }

    /// Whether the path of MAIL was null, so that the domain is that of HELO (RFC 7208 §2.4).
    pub const fn is_null_path(&self) -> bool {
        self.course.subject.null_path
    }

    /// The name in HELO, as it came but for U-labels: data from the client.
    pub fn helo(&self) -> &str {
        self.course.subject.helo.as_str()
    }

    /// The address of the client; IPv4 as such, however it came.
    pub const fn ip(&self) -> IpAddr {
        self.course.subject.ip
    }

    /// The mechanism that matched, in the record of the domain itself or of the last `redirect`. `None` if none did.
    pub fn mechanism(&self) -> Option<Mechanism<'_>> {
        match self.course.matched?.term(&self.course.visited)? {
            Term::Directive(_, mechanism) => Some(mechanism),
            _ => None,
        }
    }

    /// Whether a record that was gone through asks for the local part or the HELO name, so that the result holds for them
    /// alone and cannot be kept for others (RFC 7208 §7.3).
    pub fn uses_local_part(&self) -> bool {
        self.course.visited.iter().any(|visited| visited.record.uses_sender())
    }

    /// What was done, step by step.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.course.trace.steps(&self.course.visited, &self.course.names)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoDomain => f.write_str("no domain name of two labels or more"),
            Problem::NoRecord(domain) => write!(f, "{domain} has no SPF record"),
            Problem::SeveralRecords(domain) => write!(f, "{domain} has several SPF records"),
            Problem::RecordSize(domain) => write!(f, "the SPF record of {domain} is too long"),
            Problem::Syntax { domain, error, term } => {
                write!(f, "the SPF record of {domain} is wrong: {error}: {term}")
            }
            Problem::Target(term) => write!(f, "{term} stands for no domain name of two labels or more"),
            Problem::Terms => f.write_str("too many terms that ask the DNS"),
            Problem::VoidLookups => f.write_str("too many questions that came back empty"),
            Problem::Exchangers(domain) => write!(f, "{domain} has too many mail exchangers"),
            Problem::Dns(name, kind) => write!(f, "no certain answer for {name} {kind}"),
            Problem::GaveUp => f.write_str("the time is over"),
        }
    }
}

impl fmt::Display for Broad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broad::All => f.write_str("everybody passes"),
            Broad::Network(prefix) => write!(f, "a network as wide as /{prefix} passes"),
        }
    }
}
