//! The mail exchangers of a domain (RFC 5321 §5.1, RFC 7505).

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::Random;
use pillarbox_core::dns::{
    DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, Record, RecordKind, Validation,
};

/// Exchangers that are kept, those that are preferred most. An answer may name thousands; the mail of a domain whose first
/// twenty hosts all fail waits for the next round.
pub const EXCHANGERS_MAX: usize = 20;

/// Looks for the mail exchangers of a domain.
///
/// ```
/// use pillarbox_core::SeededRandom;
/// use pillarbox_core::dns::{self, FixedZone, Record};
/// use pillarbox_smtp::route::{MxSearch, NoRoute};
///
/// let zone = FixedZone::new()
///     .with("example.org", Record::mx(20, "backup.example.net".parse()?))
///     .with("example.org", Record::mx(10, "mx.example.org".parse()?))
///     .with("no-mail.example", Record::mx(0, ".".parse()?));
/// let mut random = SeededRandom::new(1);
/// let mut search = |domain: &str| -> Result<_, dns::NameError> {
///     Ok(dns::run(&mut MxSearch::new(domain.parse()?, &[], &mut random), &zone))
/// };
///
/// let found = search("example.org")?.unwrap();
/// let names: Vec<_> = found.hosts.iter().map(|host| host.name.as_str()).collect();
/// assert_eq!(names, ["mx.example.org", "backup.example.net"]);
/// assert_eq!(search("no-mail.example")?.unwrap_err(), NoRoute::NullMx);
/// # Ok::<(), dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MxSearch {
    domain: Name,
    own: Vec<Name>,
    seed: u64,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Start,
    Asked,
    Finished(Result<Exchangers, NoRoute>),
    Used,
}

/// The hosts that take the mail of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchangers {
    /// The domain that was asked for.
    pub domain: Name,
    /// Where its aliases lead: the owner of the records. The domain itself if it is no alias.
    pub owner: Name,
    /// What is known of the truth of the answer, on which DANE depends (RFC 7672 §2.2.1).
    pub validation: Validation,
    /// There are no MX records, and the domain stands for its own host (RFC 5321 §5.1).
    pub implicit: bool,
    /// The hosts in the order in which to try them: rising by preference, drawn by lot among equals. At least one, at most
    /// [`EXCHANGERS_MAX`], none twice.
    pub hosts: Vec<Exchanger>,
}

/// One host that takes the mail of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchanger {
    /// Its name.
    pub name: Name,
    /// Lower is tried first; 0 for a domain that stands for its own host.
    pub preference: u16,
}

/// Why there is no host to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoute {
    /// The domain takes no mail (RFC 7505 §3).
    #[error("the domain takes no mail (null MX)")]
    NullMx,
    /// The domain does not exist.
    #[error("there is no such domain")]
    NoSuchDomain,
    /// All its exchangers are names that no host can have.
    #[error("none of the domain's mail exchangers can be used")]
    NoUsableExchanger,
    /// This host is the most preferred exchanger, but does not know the domain as its own.
    #[error("mail for the domain would come back to this host")]
    Loop,
    /// Nothing certain: ask again later.
    #[error("the mail exchangers could not be looked up")]
    TryLater,
}

impl NoRoute {
    /// Whether the message waits. All else is as it is until somebody changes the DNS or this host, so that the sender is told.
    pub const fn is_temporary(self) -> bool {
        matches!(self, NoRoute::TryLater)
    }

    /// The enhanced status code (RFC 3463, RFC 7505 §6) for the reply or the notice.
    ///
    /// ```
    /// use pillarbox_smtp::route::NoRoute;
    /// assert_eq!(NoRoute::NullMx.status(), (5, 1, 10));
    /// assert_eq!(NoRoute::TryLater.status(), (4, 4, 3));
    /// ```
    pub const fn status(self) -> (u8, u16, u16) {
        match self {
            NoRoute::NullMx => (5, 1, 10),
            NoRoute::NoSuchDomain => (5, 1, 2),
            NoRoute::NoUsableExchanger => (5, 4, 4),
            NoRoute::Loop => (5, 4, 6),
            NoRoute::TryLater => (4, 4, 3),
        }
    }
}

impl MxSearch {
    /// A search for the exchangers of `domain`, by a host that has the names `own`: itself and what is behind it in preference is
    /// left out. `random` draws lots among equals.
    pub fn new(domain: Name, own: &[Name], random: &mut dyn Random) -> Self {
        MxSearch { domain, own: own.to_vec(), seed: random.next_u64(), state: State::Start }
    }

    fn judge(&self, answer: &DnsAnswer) -> Result<Exchangers, NoRoute> {
        let found = |owner: &Name, implicit, hosts| Exchangers {
            domain: self.domain.clone(),
            owner: owner.clone(),
            validation: answer.validation,
            implicit,
            hosts,
        };
        match &answer.outcome {
            DnsOutcome::Found(set) => {
                let hosts = self.in_order(set.records())?;
                Ok(found(set.owner(), false, hosts))
            }
            // RFC 5321 §5.1: a domain without MX records is its own exchanger with preference 0.
            DnsOutcome::NoData if self.own.contains(&self.domain) => Err(NoRoute::Loop),
            DnsOutcome::NoData => {
                let host = Exchanger { name: self.domain.clone(), preference: 0 };
                Ok(found(&self.domain, true, [host].into()))
            }
            DnsOutcome::NoSuchName => Err(NoRoute::NoSuchDomain),
            // Never an absence, or mail would go to the wrong host or back to its sender.
            _ => Err(NoRoute::TryLater),
        }
    }

    fn in_order(&self, records: &[Record]) -> Result<Vec<Exchanger>, NoRoute> {
        let exchangers = records.iter().filter_map(|record| match record {
            Record::Mx { preference, exchange } => Some((*preference, exchange)),
            _ => None,
        });
        // RFC 7505 §3: a domain that takes no mail has this record and no other. Beside others it means nothing.
        if exchangers.clone().count() == 1 && exchangers.clone().all(|(_, exchange)| exchange.is_root()) {
            return Err(NoRoute::NullMx);
        }
        let usable = exchangers.filter(|(_, exchange)| can_be_host(exchange));
        let mut drawn: Vec<(u16, u64, &Name)> =
            usable.map(|(preference, name)| (preference, self.lot(name), name)).collect();
        drawn.sort_unstable();
        if drawn.is_empty() {
            return Err(NoRoute::NoUsableExchanger);
        }
        // RFC 5321 §5.1: a host that is in the list must not go to those as far away as itself, or farther: they would send it back.
        let own = drawn.iter().filter(|(_, _, name)| self.own.contains(name)).map(|(preference, ..)| *preference).min();
        let nearer = drawn.into_iter().filter(|(preference, ..)| own.is_none_or(|own| *preference < own));
        let mut hosts: Vec<Exchanger> = Vec::new();
        for (preference, _, name) in nearer {
            if hosts.len() == EXCHANGERS_MAX {
                break;
            }
            if hosts.iter().all(|host| host.name != *name) {
                hosts.push(Exchanger { name: name.clone(), preference });
            }
        }
        if hosts.is_empty() { Err(NoRoute::Loop) } else { Ok(hosts) }
    }

    /// RFC 5321 §5.1: lots are drawn among equals, so that the load is shared. By name, so that the order of the records has no
    /// say in it: many resolvers turn it round with each answer, and some never.
    fn lot(&self, name: &Name) -> u64 {
        // FNV-1a, begun with a number that nobody outside knows.
        let step = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        let hash = name.as_str().bytes().fold(self.seed, step);
        // Its last octets have hardly touched the upper bits.
        (hash ^ (hash >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// Whether a name can be that of a host. An address in place of a name is a common slip, and its last label is a number, which
/// that of no host is ; asking for it only burdens the servers of the root.
fn can_be_host(name: &Name) -> bool {
    name.labels().next_back().is_some_and(|top| !top.bytes().all(|octet| octet.is_ascii_digit()))
}

impl DnsMachine for MxSearch {
    type Output = Result<Exchangers, NoRoute>;

    fn poll(&mut self) -> DnsStep<Self::Output> {
        match core::mem::replace(&mut self.state, State::Used) {
            State::Start => {
                self.state = State::Asked;
                DnsStep::Ask(Question::new(QuestionId(0), self.domain.clone(), RecordKind::Mx))
            }
            State::Finished(outcome) => DnsStep::Done(outcome),
            state @ (State::Asked | State::Used) => {
                self.state = state;
                DnsStep::Wait
            }
        }
    }

    fn answer(&mut self, _: QuestionId, answer: DnsAnswer) {
        if matches!(self.state, State::Asked) {
            self.state = State::Finished(self.judge(&answer));
        }
    }

    fn give_up(&mut self) {
        if matches!(self.state, State::Start | State::Asked) {
            self.state = State::Finished(Err(NoRoute::TryLater));
        }
    }
}

impl fmt::Display for Exchanger {
    /// As in a zone file: `10 mx.example.org`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.preference, self.name)
    }
}
