//! Addresses and TLSA records of a host (RFC 7672 §2.2).

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

/// Looks up the addresses of a host, and then, if they are secure, its TLSA records: in this order, as servers of zones that
/// are not signed often fail at questions for TLSA (RFC 7672 §2.2.2).
#[derive(Clone, Debug)]
pub struct HostLookup {
    hop: NextHop,
    state: State,
    next_id: u32,
    /// The questions that are open, or were answered and still wait for others.
    open: Vec<Open>,
    addresses: Vec<IpAddr>,
    given_up: bool,
}

#[derive(Clone, Debug)]
struct Open {
    question: Question,
    is_asked: bool,
    answer: Option<DnsAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// A and AAAA.
    Addresses,
    /// Whether the host is a secure alias for insecure addresses.
    Alias,
    /// TLSA of the first of these; the others are tried if it has none.
    Records(Vec<Name>),
    Done,
}

impl HostLookup {
    /// The look-up of a host.
    pub const fn new(hop: NextHop) -> Self {
        HostLookup { hop, state: State::Start, next_id: 0, open: Vec::new(), addresses: Vec::new(), given_up: false }
    }

    fn ask(&mut self, name: Name, kind: RecordKind) {
        let question = Question::new(QuestionId(self.next_id), name, kind);
        self.next_id += 1;
        self.open.push(Open { question, is_asked: false, answer: None });
    }

    /// Takes the answers, once all are there.
    fn answers(&mut self) -> Option<Vec<DnsAnswer>> {
        if self.open.iter().any(|open| open.answer.is_none()) {
            return None;
        }
        Some(core::mem::take(&mut self.open).into_iter().filter_map(|open| open.answer).collect())
    }

    fn finish(&mut self, security: Security) -> Option<Host> {
        self.state = State::Done;
        Some(Host { addresses: core::mem::take(&mut self.addresses), security })
    }

    /// What follows from the answers of a state; `None` if there are new questions.
    fn go_on(&mut self, answers: &[DnsAnswer]) -> Option<Host> {
        match core::mem::replace(&mut self.state, State::Done) {
            State::Start | State::Done => {
                self.ask(self.hop.host.clone(), RecordKind::A);
                self.ask(self.hop.host.clone(), RecordKind::Aaaa);
                self.state = State::Addresses;
                None
            }
            State::Addresses => self.have_addresses(answers),
            State::Alias => match answers.first() {
                Some(answer) if is_failure(answer) => self.finish(Security::Later),
                // RFC 7672 §2.2.2 "Insecure CNAME"
                Some(answer) if answer.is_secure() => self.ask_records([self.hop.host.clone()].into()),
                _ => self.finish(Security::Opportunistic),
            },
            State::Records(candidates) => match answers.first() {
                // RFC 7672 §2.1.2
                Some(answer) if is_failure(answer) => self.finish(Security::Later),
                Some(answer) if answer.is_secure() => self.have_records(&candidates[0], answer),
                _ => self.ask_records(candidates[1..].into()),
            },
        }
    }

    fn have_addresses(&mut self, answers: &[DnsAnswer]) -> Option<Host> {
        for answer in answers {
            self.addresses.extend(answer.records().filter_map(address).take(ADDRESSES_MAX));
        }
        // Deviates from RFC 7672 §2.2.2: because servers of zones that are not signed often fail at AAAA, one kind of addresses
        // is enough. Nobody gains by making the other fail: that cannot make a secure answer an insecure one.
        let found = || answers.iter().filter_map(|answer| address_owner(answer).map(|owner| (answer, owner)));
        if found().next().is_none() {
            let failed = answers.iter().any(is_failure);
            return self.finish(if failed { Security::Later } else { Security::Unreachable });
        }
        let is_insecure_mx = self.hop.mx_validation != Validation::Validated;
        if is_insecure_mx && self.hop.insecure_mx == InsecureMx::Ignore {
            return self.finish(Security::Opportunistic);
        }
        let host = self.hop.host.clone();
        // RFC 7672 §2.2.2: where the addresses are secure, so is the chain of aliases to them. If those of one kind alone are,
        // the records below are asked for too: they have to be secure by themselves.
        match found().find(|(answer, _)| answer.is_secure()) {
            Some((_, owner)) if *owner == host => self.ask_records([host].into()),
            Some((_, owner)) => self.ask_records([owner.clone(), host].into()),
            None if found().any(|(_, owner)| *owner != host) => {
                self.ask(host, RecordKind::Cname);
                self.state = State::Alias;
                None
            }
            None => self.finish(Security::Opportunistic),
        }
    }

    /// Asks for the records of the first candidate whose name can be asked for.
    fn ask_records(&mut self, mut candidates: Vec<Name>) -> Option<Host> {
        // RFC 7672 §2.2.3
        let prefix = alloc::format!("_{}._tcp", self.hop.port);
        while let Some(candidate) = candidates.first() {
            if let Ok(name) = candidate.with_prefix(&prefix) {
                self.ask(name, RecordKind::Tlsa);
                self.state = State::Records(candidates);
                return None;
            }
            candidates.remove(0);
        }
        self.finish(Security::Opportunistic)
    }

    fn have_records(&mut self, base: &Name, answer: &DnsAnswer) -> Option<Host> {
        let records = usable(answer.records());
        if records.is_empty() {
            return self.finish(Security::EncryptOnly);
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
        self.finish(Security::Dane(Dane { records, names }))
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
        loop {
            if self.given_up && self.state != State::Done {
                let host = self.finish(Security::Later);
                return host.map_or(DnsStep::Wait, DnsStep::Done);
            }
            if let Some(open) = self.open.iter_mut().find(|open| !open.is_asked) {
                open.is_asked = true;
                return DnsStep::Ask(open.question.clone());
            }
            if self.state == State::Done {
                return DnsStep::Wait;
            }
            let Some(answers) = self.answers() else { return DnsStep::Wait };
            if let Some(host) = self.go_on(&answers) {
                return DnsStep::Done(host);
            }
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        let open = self.open.iter_mut().find(|open| open.is_asked && open.question.id == id);
        if let Some(open) = open {
            open.answer.get_or_insert(answer);
        }
    }

    fn give_up(&mut self) {
        self.given_up = true;
    }
}
