//! DNS without a resolver: questions and answers as values.
//!
//! What needs the DNS (SPF, DKIM keys, routes) is a [`DnsMachine`]: it asks, the caller answers, in any order and from
//! wherever it likes. So it can be replayed from a list of answers, and tested against a [`FixedZone`].

mod name;
mod name_text;
#[cfg(feature = "dialog")]
mod orders;
mod record_set;
mod zone;
mod zone_file;

use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

pub use name::{Name, NameError};
#[cfg(feature = "dialog")]
pub use orders::run_in_orders;
pub use record_set::RecordSet;
pub use zone::{FixedZone, run};
pub use zone_file::{Skipped, ZoneError, ZoneFault, ZoneFile};

/// Something that comes to a result by asking the DNS.
///
/// Ask every question that [`poll`](DnsMachine::poll) gives, one after another or all at once, until it says
/// [`DnsStep::Wait`]; bring an answer; poll again.
///
/// ```
/// use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Question, QuestionId, Record, RecordKind};
///
/// /// Finds the first mail exchanger of a domain.
/// struct FirstExchanger { question: Option<Question>, answer: Option<Option<String>> }
///
/// impl DnsMachine for FirstExchanger {
///     type Output = Option<String>;
///
///     fn poll(&mut self) -> DnsStep<Option<String>> {
///         match (self.question.take(), &self.answer) {
///             (Some(question), _) => DnsStep::Ask(question),
///             (None, None) => DnsStep::Wait,
///             (None, Some(exchanger)) => DnsStep::Done(exchanger.clone()),
///         }
///     }
///
///     fn answer(&mut self, _: QuestionId, answer: DnsAnswer) {
///         self.answer = Some(answer.records().find_map(|record| match record {
///             Record::Mx { exchange, .. } => Some(exchange.to_string()),
///             _ => None,
///         }));
///     }
///
///     fn give_up(&mut self) {
///         self.answer.get_or_insert(None);
///     }
/// }
///
/// use pillarbox_core::dns::{self, FixedZone};
///
/// let zone = FixedZone::new().with("example.org", Record::mx(10, "mx.example.org".parse()?));
/// let question = Question::new(QuestionId(1), "example.org".parse()?, RecordKind::Mx);
/// let mut machine = FirstExchanger { question: Some(question), answer: None };
/// assert_eq!(dns::run(&mut machine, &zone).as_deref(), Some("mx.example.org"));
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
pub trait DnsMachine {
    /// What it comes to.
    type Output;

    /// The next step. After [`DnsStep::Done`] the machine is used up.
    fn poll(&mut self) -> DnsStep<Self::Output>;

    /// The answer to a question that was asked. An answer to another question changes nothing, and neither does a second one.
    fn answer(&mut self, id: QuestionId, answer: DnsAnswer);

    /// The same with an answer that the caller keeps, as a cache does. A machine that needs little of it copies no more than
    /// that; others take a clone.
    fn answer_ref(&mut self, id: QuestionId, answer: &DnsAnswer) {
        self.answer(id, answer.clone());
    }

    /// The caller's patience is over: the next polls finish, with what temporary errors make of it.
    fn give_up(&mut self);
}

/// What [`DnsMachine::poll`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum DnsStep<T> {
    /// Ask this, and poll again without waiting for the answer.
    Ask(Question),
    /// Nothing more to ask before an answer comes.
    Wait,
    /// Finished.
    Done(T),
}

/// Names a question within its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u32);

/// What to ask the DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Question {
    /// Comes back with the answer.
    pub id: QuestionId,
    /// The name to look up.
    pub name: Name,
    /// The kind of record that is wanted.
    pub kind: RecordKind,
}

impl Question {
    /// A question.
    pub const fn new(id: QuestionId, name: Name, kind: RecordKind) -> Self {
        Question { id, name, kind }
    }
}

/// A kind of record (RFC 1035 §3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// IPv4 address.
    A,
    /// IPv6 address (RFC 3596).
    Aaaa,
    /// Mail exchanger.
    Mx,
    /// Text.
    Txt,
    /// Pointer to a name, from the name of an address.
    Ptr,
    /// Canonical name. Other questions follow these by themselves; ask for them only to see the alias itself.
    Cname,
    /// Certificate association (RFC 6698).
    Tlsa,
}

impl fmt::Display for RecordKind {
    /// The name in zone files.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Mx => "MX",
            RecordKind::Txt => "TXT",
            RecordKind::Ptr => "PTR",
            RecordKind::Cname => "CNAME",
            RecordKind::Tlsa => "TLSA",
        })
    }
}

/// The data of one record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Record {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Mail exchanger.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host; the root name if the domain takes no mail (RFC 7505).
        exchange: Name,
    },
    /// A text of octets of any value: its strings joined without anything between, as everything in mail reads them
    /// (RFC 7208 §3.3, RFC 6376 §3.6.2.2, RFC 9989 §4.5).
    Txt(Vec<u8>),
    /// Pointer to a name.
    Ptr(Name),
    /// Canonical name.
    Cname(Name),
    /// Certificate association (RFC 6698 §2.1), numbers as they came.
    Tlsa {
        /// Certificate usage.
        usage: u8,
        /// Selector.
        selector: u8,
        /// Matching type.
        matching: u8,
        /// Certificate association data.
        data: Vec<u8>,
    },
}

impl Record {
    /// A mail exchanger.
    pub const fn mx(preference: u16, exchange: Name) -> Self {
        Record::Mx { preference, exchange }
    }

    /// A text.
    pub fn txt(text: impl AsRef<[u8]>) -> Self {
        Record::Txt(text.as_ref().to_vec())
    }

    /// The octets of a text; `None` for another kind.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Record::Txt(text) => Some(text),
            _ => None,
        }
    }

    /// The kind it is of.
    pub const fn kind(&self) -> RecordKind {
        match self {
            Record::A(_) => RecordKind::A,
            Record::Aaaa(_) => RecordKind::Aaaa,
            Record::Mx { .. } => RecordKind::Mx,
            Record::Txt(_) => RecordKind::Txt,
            Record::Ptr(_) => RecordKind::Ptr,
            Record::Cname(_) => RecordKind::Cname,
            Record::Tlsa { .. } => RecordKind::Tlsa,
        }
    }
}

/// What the DNS answered.
///
/// ```
/// use pillarbox_core::dns::{DnsAnswer, DnsOutcome, Record, Validation};
///
/// let answer = DnsAnswer::found("mx.example.org".parse()?, [(3600, Record::A([192, 0, 2, 1].into()))]);
/// assert_eq!(answer.records().count(), 1);
/// assert_eq!(answer.validation, Validation::Unknown);
/// assert_eq!(DnsAnswer::try_later().outcome, DnsOutcome::TryLater);
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DnsAnswer {
    /// What was found.
    pub outcome: DnsOutcome,
    /// What is known about its truth.
    pub validation: Validation,
}

/// What was found. An answer is hostile input: whoever reads it sets limits to what it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DnsOutcome {
    /// Records of the kind that was asked for, at least one.
    Found(RecordSet),
    /// The name exists, but has no record of this kind.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// Nothing certain: a timeout, SERVFAIL, a refusal, a chain of aliases that is too long, an answer whose signature is
    /// wrong (RFC 4035 §4.3 "bogus"). Never to be taken for an absence.
    TryLater,
}

/// What is known about the truth of an answer (RFC 4035 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Validation {
    /// Validated by DNSSEC, all aliases included ("secure").
    Validated,
    /// The zone is not signed ("insecure").
    NotValidated,
    /// The resolver does not say.
    #[default]
    Unknown,
}

impl DnsAnswer {
    /// An answer.
    pub const fn new(outcome: DnsOutcome, validation: Validation) -> Self {
        DnsAnswer { outcome, validation }
    }

    /// Records, with the seconds that each may be kept, of which the least counts; no data if there are none.
    pub fn found(owner: Name, records: impl IntoIterator<Item = (u32, Record)>) -> Self {
        let (ttls, records): (Vec<u32>, Vec<Record>) = records.into_iter().unzip();
        let outcome = match ttls.into_iter().min() {
            Some(ttl) => DnsOutcome::Found(RecordSet::new(owner, ttl, records)),
            None => DnsOutcome::NoData,
        };
        DnsAnswer::new(outcome, Validation::Unknown)
    }

    /// The name exists without such a record.
    pub const fn no_data() -> Self {
        DnsAnswer::new(DnsOutcome::NoData, Validation::Unknown)
    }

    /// The name does not exist.
    pub const fn no_such_name() -> Self {
        DnsAnswer::new(DnsOutcome::NoSuchName, Validation::Unknown)
    }

    /// Nothing certain.
    pub const fn try_later() -> Self {
        DnsAnswer::new(DnsOutcome::TryLater, Validation::Unknown)
    }

    /// The same with what is known about its truth.
    #[must_use]
    pub fn with_validation(self, validation: Validation) -> Self {
        DnsAnswer { validation, ..self }
    }

    /// The records, none unless some were found.
    pub fn records(&self) -> core::slice::Iter<'_, Record> {
        match &self.outcome {
            DnsOutcome::Found(set) => set.records().iter(),
            _ => [].iter(),
        }
    }

    /// How many seconds the records may be kept.
    pub const fn ttl(&self) -> Option<u32> {
        match &self.outcome {
            DnsOutcome::Found(set) => Some(set.ttl()),
            _ => None,
        }
    }

    /// Whether records were found and validated, as DANE asks (RFC 7672 §2.1).
    pub const fn is_secure(&self) -> bool {
        matches!((&self.outcome, self.validation), (DnsOutcome::Found(_), Validation::Validated))
    }
}
