//! iprev: whether the names of an address lead back to it (RFC 8601 §3).

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, Record, RecordKind};

/// A check of the client's address: its PTR records, then the addresses of each name.
///
/// ```
/// use pillarbox_auth::iprev::{IprevResult, ReverseCheck};
/// use pillarbox_core::dns::{self, FixedZone, Record};
///
/// let zone = FixedZone::new()
///     .with("1.2.0.192.in-addr.arpa", Record::Ptr("mail.example.org".parse()?))
///     .with("mail.example.org", Record::A([192, 0, 2, 1].into()));
/// let outcome = dns::run(&mut ReverseCheck::new([192, 0, 2, 1].into(), 10), &zone);
/// assert_eq!(outcome.result, IprevResult::Pass);
/// assert_eq!(outcome.name().unwrap().as_str(), "mail.example.org");
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReverseCheck {
    ip: IpAddr,
    names_max: usize,
    state: State,
    hosts: Vec<Host>,
    /// Which of them were answered.
    answered: Vec<bool>,
    /// How many questions were given out; the first is that for the names.
    asked: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The names are asked for.
    Names,
    /// Their addresses are asked for.
    Addresses,
    Finished(IprevResult),
    Used,
}

/// A name that the owner of the address claims.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Host {
    /// The name. Whoever owns the address chose it: it proves nothing by itself. A [`Name`] holds no spaces, controls,
    /// quotes or brackets.
    pub name: Name,
    /// Whether it leads back.
    pub forward: Forward,
}

/// Whether a name leads back to the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forward {
    /// The address is one of its own.
    Confirmed,
    /// It has others, or none.
    Different,
    /// No certain answer, or none yet.
    Unknown,
}

/// The result (RFC 8601 §2.7.3). There is no "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IprevResult {
    /// A name leads back to the address.
    Pass,
    /// There are names, and none does.
    Fail,
    /// The DNS did not answer.
    TempError,
    /// The address has no name.
    PermError,
}

impl IprevResult {
    /// The word of RFC 8601 §2.7.3.
    pub const fn as_str(self) -> &'static str {
        match self {
            IprevResult::Pass => "pass",
            IprevResult::Fail => "fail",
            IprevResult::TempError => "temperror",
            IprevResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for IprevResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a check came to. In Authentication-Results it is `iprev=result policy.iprev=address`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The address that was checked; IPv4 as such, however it came.
    pub ip: IpAddr,
    /// The result.
    pub result: IprevResult,
    /// The names that were looked at, as the PTR records had them.
    pub hosts: Vec<Host>,
}

impl Outcome {
    /// The first name that leads back to the address: the one that may be shown or written into a Received field.
    pub fn name(&self) -> Option<&Name> {
        self.hosts.iter().find(|host| host.forward == Forward::Confirmed).map(|host| &host.name)
    }
}

impl ReverseCheck {
    /// A check of an address, that looks at no more than `names_max` of its names; RFC 7208 §4.6.4 has 10, which RFC 8601 §3
    /// gives as an example. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub const fn new(ip: IpAddr, names_max: usize) -> Self {
        let ip = ip.to_canonical();
        ReverseCheck { ip, names_max, state: State::Names, hosts: Vec::new(), answered: Vec::new(), asked: 0 }
    }

    fn take_names(&mut self, answer: &DnsAnswer) {
        let names = answer.records().filter_map(|record| match record {
            Record::Ptr(name) if !name.is_root() => Some(name),
            _ => None,
        });
        self.hosts =
            names.take(self.names_max).map(|name| Host { name: name.clone(), forward: Forward::Unknown }).collect();
        self.answered = self.hosts.iter().map(|_| false).collect();
        self.state = match answer.outcome {
            DnsOutcome::Found(_) if !self.hosts.is_empty() => State::Addresses,
            DnsOutcome::Found(_) | DnsOutcome::NoData | DnsOutcome::NoSuchName => {
                State::Finished(IprevResult::PermError)
            }
            _ => State::Finished(IprevResult::TempError),
        };
    }

    /// The answer for the name with that number.
    fn take_addresses(&mut self, index: usize, answer: &DnsAnswer) {
        let (Some(host), Some(answered)) = (self.hosts.get_mut(index), self.answered.get_mut(index)) else { return };
        if core::mem::replace(answered, true) {
            return;
        }
        host.forward = match answer.outcome {
            DnsOutcome::Found(_) | DnsOutcome::NoData | DnsOutcome::NoSuchName => {
                let leads_back = answer.records().any(|record| match record {
                    Record::A(ip) => self.ip == IpAddr::V4(*ip),
                    Record::Aaaa(ip) => self.ip == IpAddr::V6(*ip),
                    _ => false,
                });
                if leads_back { Forward::Confirmed } else { Forward::Different }
            }
            _ => Forward::Unknown,
        };
        if self.answered.iter().all(|answered| *answered) {
            self.finish();
        }
    }

    // RFC 8601 §2.7.3
    fn finish(&mut self) {
        let any = |forward| self.hosts.iter().any(|host| host.forward == forward);
        let result = match (any(Forward::Confirmed), any(Forward::Unknown) || self.hosts.is_empty()) {
            (true, _) => IprevResult::Pass,
            (false, true) => IprevResult::TempError,
            (false, false) => IprevResult::Fail,
        };
        self.state = State::Finished(result);
    }
}

impl DnsMachine for ReverseCheck {
    type Output = Outcome;

    fn poll(&mut self) -> DnsStep<Outcome> {
        let next = match self.state {
            State::Names if self.asked == 0 => Some((Name::reverse(self.ip), RecordKind::Ptr)),
            State::Addresses => {
                let kind = if self.ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
                let host = usize::try_from(self.asked - 1).ok().and_then(|index| self.hosts.get(index));
                host.map(|host| (host.name.clone(), kind))
            }
            State::Finished(result) => {
                self.state = State::Used;
                return DnsStep::Done(Outcome { ip: self.ip, result, hosts: core::mem::take(&mut self.hosts) });
            }
            State::Names | State::Used => None,
        };
        let Some((name, kind)) = next else { return DnsStep::Wait };
        let id = QuestionId(self.asked);
        self.asked += 1;
        DnsStep::Ask(Question::new(id, name, kind))
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        let index = id.0.checked_sub(1).map(|index| usize::try_from(index).unwrap_or(usize::MAX));
        match (self.state, index) {
            _ if id.0 >= self.asked => {}
            (State::Names, None) => self.take_names(&answer),
            (State::Addresses, Some(index)) => self.take_addresses(index, &answer),
            _ => {}
        }
    }

    fn give_up(&mut self) {
        if matches!(self.state, State::Names | State::Addresses) {
            self.finish();
        }
    }
}
