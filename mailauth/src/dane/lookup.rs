//! Addresses and TLSA records of a host (RFC 7672 §2.2).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use pillarbox_core::dns::{
    DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, Record, RecordKind, Validation,
};

use super::tlsa::{Tlsa, usable};
use crate::tls_rpt::FailureType;

/// A host that a message may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NextHop {
    /// The host: of an MX record, or the domain itself if that has none, or a relay that is configured.
    pub host: Name,
    /// The port that is connected to: 25.
    pub port: u16,
    /// The domain that the message is for, or of the relay: an MX record was looked up for it, or would have been.
    pub domain: Name,
    /// Where aliases of the domain lead, if it is one: the owner of the MX records.
    pub expanded_domain: Option<Name>,
    /// What is known of the truth of the MX records; of a host that is configured, [`Validation::Validated`].
    pub mx_validation: Validation,
    /// What to do with a host whose MX record is not secure.
    pub insecure_mx: InsecureMx,
}

impl NextHop {
    /// A host on port 25 for a domain that is no alias.
    pub const fn new(host: Name, domain: Name, mx_validation: Validation) -> Self {
        NextHop { host, port: 25, domain, expanded_domain: None, mx_validation, insecure_mx: InsecureMx::UseDane }
    }
}

/// What to do with a host whose MX record is not secure (RFC 7672 §2.2.1). The host may be an attacker's then; but if it is
/// not, its records still keep others from taking its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InsecureMx {
    /// Use its TLSA records all the same, and accept its own name only.
    #[default]
    UseDane,
    /// Do as if it had none.
    Ignore,
}

/// What a host came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// Its addresses, at most 100; none if it has none or nobody could say.
    pub addresses: Vec<IpAddr>,
    /// How it is to be spoken to.
    pub security: Security,
}

/// How a host is to be spoken to: the table in [the module](super).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Security {
    /// By TLS, authenticated by these records.
    Dane(Dane),
    /// By TLS, without authentication: there are secure records, and none can be used.
    EncryptOnly,
    /// By TLS if the host offers it: there are no secure records.
    Opportunistic,
    /// Not at all: the host has no address.
    Unreachable,
    /// Not now: a look-up failed.
    Later,
}

/// The records of a host, and whom they speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dane {
    /// The usable records, at least one.
    pub records: Vec<Tlsa>,
    /// The names of which a certificate has to have one, where names count: with an authority's record (RFC 7672 §3.2.2). The
    /// first is the one that the records were found below; it is also what to send as the server's name in TLS.
    pub names: Vec<Name>,
}

impl Security {
    /// The same for a domain that DANE is required for (RFC 7672 §6): without secure and usable records the message waits.
    /// The failure is what a report calls it.
    ///
    /// # Errors
    ///
    /// What the report of the domain tells.
    pub fn required(self) -> Result<Dane, FailureType> {
        match self {
            Security::Dane(dane) => Ok(dane),
            Security::EncryptOnly => Err(FailureType::TlsaInvalid),
            Security::Later => Err(FailureType::DnssecInvalid),
            Security::Opportunistic | Security::Unreachable => Err(FailureType::DaneRequired),
        }
    }
}

impl fmt::Display for Security {
    /// A line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Security::Dane(dane) => {
                let base = dane.names.first().map_or("", Name::as_str);
                write!(f, "{} usable TLSA records of {base}", dane.records.len())
            }
            Security::EncryptOnly => f.write_str("TLSA records, none usable: TLS without authentication"),
            Security::Opportunistic => f.write_str("no secure TLSA records"),
            Security::Unreachable => f.write_str("no address"),
            Security::Later => f.write_str("a look-up failed"),
        }
    }
}

/// Addresses that are kept of each kind; a host has two or four.
const ADDRESSES_MAX: usize = 50;

/// Looks up the addresses of a host, and, where they are secure, its TLSA records: in this order, as servers of zones that are
/// not signed often fail at questions for TLSA (RFC 7672 §2.2.2).
///
/// Both kinds of addresses are asked for together. A connection may be begun before both are there (RFC 8305 §3): as soon as
/// [`so_far`](Self::so_far) tells a host, whose addresses become more while the look-up goes on.
///
/// ```
/// use pillarbox_auth::dane::{HostLookup, NextHop, Security};
/// use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Record, RecordKind, Validation};
///
/// let hop = NextHop::new("mx.example.org".parse()?, "example.org".parse()?, Validation::Unknown);
/// let mut lookup = HostLookup::new(hop);
/// let (DnsStep::Ask(aaaa), DnsStep::Ask(a)) = (lookup.poll(), lookup.poll()) else { panic!() };
/// lookup.answer(aaaa.id, DnsAnswer::found(aaaa.name, [(60, Record::Aaaa("2001:db8::1".parse()?))]));
///
/// assert_eq!(lookup.poll(), DnsStep::Wait);
/// let host = lookup.so_far().expect("an address, and that there is no DANE");
/// assert_eq!((host.addresses.len(), host.security), (1, Security::Opportunistic));
/// assert!(lookup.awaits(RecordKind::A) && !lookup.awaits(RecordKind::Aaaa));
///
/// lookup.answer(a.id, DnsAnswer::found(a.name, [(60, Record::A([192, 0, 2, 1].into()))]));
/// let DnsStep::Done(host) = lookup.poll() else { panic!() };
/// assert_eq!(host.addresses.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HostLookup {
    hop: NextHop,
    next_id: u32,
    /// The questions that have no answer yet.
    open: Vec<Open>,
    /// Answers that nobody has looked at yet.
    answers: VecDeque<(Topic, DnsAnswer)>,
    /// By kind, so that their order does not depend on which answer was the first.
    four: Vec<IpAddr>,
    six: Vec<IpAddr>,
    /// One of the questions for addresses could not be answered.
    has_failed: bool,
    /// The best that an answer with addresses was.
    grounds: Grounds,
    security: Finding,
    phase: Phase,
}

#[derive(Clone, Debug)]
struct Open {
    topic: Topic,
    question: Question,
    is_asked: bool,
}

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    /// Addresses.
    Address(RecordKind),
    /// How the host is to be spoken to.
    Security,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Asking,
    GivenUp,
    Done,
}

/// What addresses say of DANE. Where those of two kinds say different things, the greater counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grounds {
    /// There are none yet.
    None,
    /// They are not secure, and the host is no alias.
    Insecure,
    /// They are not secure, and the host is an alias for them.
    InsecureAlias,
    /// They are secure, and so is the chain of aliases to them.
    Secure,
}

/// How far it is known how the host is to be spoken to.
#[derive(Clone, Debug)]
enum Finding {
    /// No address has come.
    Nothing,
    /// Asked whether the host is a secure alias for insecure addresses.
    Alias,
    /// Asked for TLSA of the first of these; the others are tried if it has none.
    Records(Vec<Name>),
    Known(Security),
}

impl HostLookup {
    /// The look-up of a host.
    pub const fn new(hop: NextHop) -> Self {
        HostLookup {
            hop,
            next_id: 0,
            open: Vec::new(),
            answers: VecDeque::new(),
            four: Vec::new(),
            six: Vec::new(),
            has_failed: false,
            grounds: Grounds::None,
            security: Finding::Nothing,
            phase: Phase::Start,
        }
    }

    /// The host as far as it is known while the look-up goes on: `None` as long as it has no address, or it is not known how it
    /// is to be spoken to. That one kind of addresses is not secure is told before the other kind is there, as no owner of a name
    /// signs a part of it; if the other is secure nevertheless, this is `None` again until its records are there. Whoever has
    /// connected meanwhile looks once more before saying anything.
    pub fn so_far(&self) -> Option<Host> {
        match &self.security {
            Finding::Known(security) if self.phase == Phase::Asking => {
                Some(Host { addresses: self.addresses(), security: security.clone() })
            }
            _ => None,
        }
    }

    /// Whether addresses of a kind (A or AAAA) were not answered for yet.
    pub fn awaits(&self, kind: RecordKind) -> bool {
        match self.phase {
            Phase::Start => true,
            Phase::Asking => self.open.iter().any(|open| open.topic == Topic::Address(kind)),
            Phase::GivenUp | Phase::Done => false,
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.four.iter().chain(&self.six).copied().collect()
    }

    fn ask(&mut self, topic: Topic, name: Name, kind: RecordKind) {
        let question = Question::new(QuestionId(self.next_id), name, kind);
        self.next_id += 1;
        self.open.push(Open { topic, question, is_asked: false });
    }

    /// RFC 8305 §3: AAAA first, and A right behind it.
    fn begin(&mut self) {
        self.phase = Phase::Asking;
        for kind in [RecordKind::Aaaa, RecordKind::A] {
            self.ask(Topic::Address(kind), self.hop.host.clone(), kind);
        }
    }

    /// What it came to, once nothing is open.
    fn finish(&mut self) -> Host {
        let is_answered = self.phase == Phase::Asking && !self.has_failed;
        let security = match &self.security {
            Finding::Known(security) => security.clone(),
            // Deviates from RFC 7672 §2.2.2: because servers of zones that are not signed often fail at AAAA, one kind of addresses
            // is enough. Nobody gains by making the other fail: that cannot make a secure answer an insecure one.
            Finding::Nothing if is_answered => Security::Unreachable,
            Finding::Nothing | Finding::Alias | Finding::Records(_) => Security::Later,
        };
        self.phase = Phase::Done;
        Host { addresses: self.addresses(), security }
    }

    fn have_addresses(&mut self, kind: RecordKind, answer: &DnsAnswer) {
        self.has_failed |= is_failure(answer);
        let Some(owner) = address_owner(answer) else { return };
        let kept = if kind == RecordKind::A { &mut self.four } else { &mut self.six };
        kept.extend(answer.records().filter_map(address).take(ADDRESSES_MAX));
        let is_alias = *owner != self.hop.host;
        let grounds = match (answer.is_secure(), is_alias) {
            (true, _) => Grounds::Secure,
            (false, true) => Grounds::InsecureAlias,
            (false, false) => Grounds::Insecure,
        };
        if grounds <= self.grounds {
            return;
        }
        self.grounds = grounds;
        // What was asked on lesser grounds does not count any more.
        self.open.retain(|open| open.topic != Topic::Security);
        self.answers.retain(|(topic, _)| *topic != Topic::Security);
        let is_insecure_mx = self.hop.mx_validation != Validation::Validated;
        if is_insecure_mx && self.hop.insecure_mx == InsecureMx::Ignore {
            self.security = Finding::Known(Security::Opportunistic);
            return;
        }
        let host = self.hop.host.clone();
        match grounds {
            // RFC 7672 §2.2.2: where the addresses are secure, so is the chain of aliases to them. If those of one kind alone are,
            // the records below are asked for too: they have to be secure by themselves.
            Grounds::Secure if is_alias => self.ask_records([owner.clone(), host].into()),
            Grounds::Secure => self.ask_records([host].into()),
            Grounds::InsecureAlias => {
                self.ask(Topic::Security, host, RecordKind::Cname);
                self.security = Finding::Alias;
            }
            Grounds::Insecure | Grounds::None => self.security = Finding::Known(Security::Opportunistic),
        }
    }

    /// What follows from the answer to a question about DANE.
    fn go_on(&mut self, answer: &DnsAnswer) {
        match core::mem::replace(&mut self.security, Finding::Nothing) {
            // RFC 7672 §2.1.2
            Finding::Alias | Finding::Records(_) if is_failure(answer) => {
                self.security = Finding::Known(Security::Later);
            }
            // RFC 7672 §2.2.2 "Insecure CNAME"
            Finding::Alias if answer.is_secure() => self.ask_records([self.hop.host.clone()].into()),
            Finding::Alias => self.security = Finding::Known(Security::Opportunistic),
            Finding::Records(candidates) if answer.is_secure() => self.have_records(&candidates[0], answer),
            Finding::Records(candidates) => self.ask_records(candidates[1..].into()),
            known => self.security = known,
        }
    }

    /// Asks for the records of the first candidate whose name can be asked for.
    fn ask_records(&mut self, mut candidates: Vec<Name>) {
        // RFC 7672 §2.2.3
        let prefix = alloc::format!("_{}._tcp", self.hop.port);
        while let Some(candidate) = candidates.first() {
            if let Ok(name) = candidate.with_prefix(&prefix) {
                self.ask(Topic::Security, name, RecordKind::Tlsa);
                self.security = Finding::Records(candidates);
                return;
            }
            candidates.remove(0);
        }
        self.security = Finding::Known(Security::Opportunistic);
    }

    fn have_records(&mut self, base: &Name, answer: &DnsAnswer) {
        let records = usable(answer.records());
        if records.is_empty() {
            self.security = Finding::Known(Security::EncryptOnly);
            return;
        }
        // RFC 7672 §3.2.2: the domain counts too, unless its MX records may be an attacker's.
        let mut names = alloc::vec![base.clone()];
        if self.hop.mx_validation == Validation::Validated {
            let domains = [Some(self.hop.domain.clone()), self.hop.expanded_domain.clone()];
            for domain in domains.into_iter().flatten() {
                if !names.contains(&domain) {
                    names.push(domain);
                }
            }
        }
        self.security = Finding::Known(Security::Dane(Dane { records, names }));
    }
}

fn is_failure(answer: &DnsAnswer) -> bool {
    !matches!(answer.outcome, DnsOutcome::Found(_) | DnsOutcome::NoData | DnsOutcome::NoSuchName)
}

/// Whose the addresses in an answer are, if there are any.
fn address_owner(answer: &DnsAnswer) -> Option<&Name> {
    match &answer.outcome {
        DnsOutcome::Found(set) if answer.records().any(|r| address(r).is_some()) => Some(set.owner()),
        _ => None,
    }
}

const fn address(record: &Record) -> Option<IpAddr> {
    match record {
        Record::A(ip) => Some(IpAddr::V4(*ip)),
        Record::Aaaa(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

impl DnsMachine for HostLookup {
    type Output = Host;

    fn poll(&mut self) -> DnsStep<Host> {
        if self.phase == Phase::Start {
            self.begin();
        }
        while let Some((topic, answer)) = self.answers.pop_front() {
            match topic {
                Topic::Address(kind) => self.have_addresses(kind, &answer),
                Topic::Security => self.go_on(&answer),
            }
        }
        let is_over = self.phase == Phase::GivenUp || self.phase == Phase::Asking && self.open.is_empty();
        if is_over {
            return DnsStep::Done(self.finish());
        }
        match self.open.iter_mut().find(|open| !open.is_asked) {
            Some(open) if self.phase == Phase::Asking => {
                open.is_asked = true;
                DnsStep::Ask(open.question.clone())
            }
            _ => DnsStep::Wait,
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if let Some(at) = self.open.iter().position(|open| open.is_asked && open.question.id == id) {
            let topic = self.open.remove(at).topic;
            self.answers.push_back((topic, answer));
        }
    }

    fn give_up(&mut self) {
        if self.phase != Phase::Done {
            self.phase = Phase::GivenUp;
        }
    }
}
