//! Records as typed terms (RFC 7208 §4.5, §4.6, §12).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Range;
use core::str::FromStr;

use pillarbox_core::dns::{self, DnsAnswer, RecordSet};

use super::SpfResult;
use super::listed::Listed;
use super::macros::MacroString;
use super::scan::{self, ClientIp};
use super::stops::{Stop, Stops};
use super::term;

/// A record whose syntax was checked from end to end: `v=spf1` and terms.
///
/// Two records are equal if their terms are. It prints as a record that parses to the same terms. A clone of one that was
/// parsed shares all that it holds, so that a cache may keep it and
/// [`Check::answer_record`](super::Check::answer_record) take it. One that a trace lends may hold its octets alone, copied out of
/// a large answer: a clone copies them again.
///
/// ```
/// use pillarbox_auth::spf::{Mechanism, Qualifier, Record, RecordFault, Term};
///
/// let record = Record::parse(b"V=SPF1  +mx/24 ip4:192.0.2.0/24 redirect=_spf.example.org ")?;
/// assert_eq!(record.to_string(), "v=spf1 mx/24 ip4:192.0.2.0/24 redirect=_spf.example.org");
/// let Some(Term::Directive(Qualifier::Pass, Mechanism::Mx { domain: None, prefixes })) = record.terms().next() else {
///     panic!("the first term is mx");
/// };
/// assert_eq!(prefixes.ip4, 24);
///
/// let error = Record::parse(b"v=spf1 a:192.0.2.1 -all").unwrap_err();
/// assert_eq!((error.fault, error.at), (RecordFault::TopLabel, 17));
/// # Ok::<(), pillarbox_auth::spf::RecordError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Record {
    text: Text,
    marks: Marks,
}

/// The octets of a record.
#[derive(Clone, Debug)]
enum Text {
    /// With its terms, and shared with whoever keeps the record.
    Listed(Arc<Listed>),
    Own(Vec<u8>),
    /// Of the record with this number in an answer, which is shared with whoever brought it.
    Answer(RecordSet, usize),
}

impl Text {
    fn octets(&self) -> &[u8] {
        match self {
            Text::Listed(listed) => &listed.text,
            Text::Own(text) => text,
            Text::Answer(set, index) => set.records().get(*index).and_then(dns::Record::text).unwrap_or_default(),
        }
    }
}

/// What the terms of a record do not say one by one. Places are those of the value of a modifier.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) has_all: bool,
    pub(super) redirect: Option<(u16, u16)>,
    pub(super) explanation: Option<(u16, u16)>,
}

/// A term of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Term<'a> {
    /// A mechanism, and what the result is if it matches.
    Directive(Qualifier, Mechanism<'a>),
    /// `redirect=`: the domain whose record decides if nothing here matches (RFC 7208 §6.1).
    Redirect(MacroString<'a>),
    /// `exp=`: where to find the explanation of a fail (RFC 7208 §6.2).
    Explanation(MacroString<'a>),
    /// A modifier that is not known, and ignored (RFC 7208 §6).
    Unknown {
        /// Its name.
        name: &'a str,
        /// What stands behind the `=`.
        value: &'a str,
    },
}

/// What a term looks at (RFC 7208 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mechanism<'a> {
    /// `all`: matches.
    All,
    /// `include`: the record of another domain passes.
    Include(MacroString<'a>),
    /// `a`: one of the addresses of a name; where there is none, of the domain itself.
    A {
        /// The name.
        domain: Option<MacroString<'a>>,
        /// How many bits of the addresses count.
        prefixes: Prefixes,
    },
    /// `mx`: one of the addresses of the mail exchangers.
    Mx {
        /// The name whose exchangers they are.
        domain: Option<MacroString<'a>>,
        /// How many bits of the addresses count.
        prefixes: Prefixes,
    },
    /// `ptr`: the client has a name within this one.
    Ptr(Option<MacroString<'a>>),
    /// `ip4`
    Ip4 {
        /// The network.
        network: Ipv4Addr,
        /// How many bits of it count, 0 to 32.
        prefix: u8,
    },
    /// `ip6`
    Ip6 {
        /// The network.
        network: Ipv6Addr,
        /// How many bits of it count, 0 to 128.
        prefix: u8,
    },
    /// `exists`: a name has an IPv4 address.
    Exists(MacroString<'a>),
}

/// How many bits of an address count: `/24//64` (`dual-cidr-length`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prefixes {
    /// For IPv4, 0 to 32.
    pub ip4: u8,
    /// For IPv6, 0 to 128.
    pub ip6: u8,
}

/// What a directive makes of a match (RFC 7208 §4.6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Qualifier {
    /// `+`, or nothing.
    Pass,
    /// `-`
    Fail,
    /// `~`
    SoftFail,
    /// `?`
    Neutral,
}

impl Qualifier {
    /// That of a directive that begins with an octet.
    pub(super) const fn of(octet: u8) -> Self {
        match octet {
            b'-' => Qualifier::Fail,
            b'~' => Qualifier::SoftFail,
            b'?' => Qualifier::Neutral,
            _ => Qualifier::Pass,
        }
    }

    /// The result that it stands for.
    pub const fn result(self) -> SpfResult {
        match self {
            Qualifier::Pass => SpfResult::Pass,
            Qualifier::Fail => SpfResult::Fail,
            Qualifier::SoftFail => SpfResult::SoftFail,
            Qualifier::Neutral => SpfResult::Neutral,
        }
    }

    /// How it is written; `+` is left out.
    const fn as_str(self) -> &'static str {
        match self {
            Qualifier::Pass => "",
            Qualifier::Fail => "-",
            Qualifier::SoftFail => "~",
            Qualifier::Neutral => "?",
        }
    }
}

/// Why a text is no record, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{fault} at octet {at}")]
#[non_exhaustive]
pub struct RecordError {
    /// What is wrong.
    pub fault: RecordFault,
    /// The octet it was seen at, counted from 0.
    pub at: usize,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// It does not begin with `v=spf1` and a space or nothing.
    #[error("no v=spf1")]
    Version,
    /// It is longer than 65535 octets, which no text of the DNS is.
    #[error("the record is too long")]
    TooLong,
    /// A control or something beyond ASCII (RFC 7208 §3.1).
    #[error("an octet that is no visible character")]
    UnexpectedOctet,
    /// A word that is no mechanism.
    #[error("an unknown mechanism")]
    UnknownMechanism,
    /// The name of a modifier is empty, does not begin with a letter, or holds what no name may hold.
    #[error("a wrong name of a modifier")]
    ModifierName,
    /// A mechanism or modifier that needs a domain or address has none.
    #[error("the domain or address is missing")]
    Missing,
    /// Something stands behind a mechanism that takes nothing there.
    #[error("something behind the end of the term")]
    Trailing,
    /// `redirect` or `exp` for a second time (RFC 7208 §6).
    #[error("a modifier stands twice")]
    Repeated,
    /// A `%` that begins no macro, or a macro that is wrong inside.
    #[error("a wrong macro")]
    Macro,
    /// `%{c}`, `%{r}` or `%{t}` outside an explanation (RFC 7208 §7.2).
    #[error("a macro that only explanations may use")]
    ExplanationMacro,
    /// A domain that ends in no top-level label, such as an IPv4 address or a single word.
    #[error("the domain does not end in a dot and a top-level label")]
    TopLabel,
    /// No IPv4 address.
    #[error("no IPv4 address")]
    Ipv4,
    /// No IPv6 address.
    #[error("no IPv6 address")]
    Ipv6,
    /// A prefix length that is no number in its range, or has a zero before it.
    #[error("a wrong prefix length")]
    Prefix,
}

impl Record {
    /// Parses a record, its strings joined (RFC 7208 §3.3).
    ///
    /// # Errors
    ///
    /// [`RecordError`] says what is wrong and at which octet.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        if !Record::is_record(text) {
            return Err(RecordError { fault: RecordFault::Version, at: 0 });
        }
        let (mut marks, mut stops) = (Marks::default(), Stops::NONE);
        check(text, ClientIp::Nobody, &mut marks, &mut stops)?;
        Ok(Record { text: Text::Listed(Arc::new(Listed::new(text.to_vec()))), marks })
    }

    /// The record of the answer to a question for texts, to be kept with it. `None` where there is none, where there are several,
    /// and where it is wrong: what an answer like that means is for a check to say.
    ///
    /// ```
    /// use pillarbox_auth::spf::Record;
    /// use pillarbox_core::dns::{self, DnsAnswer};
    ///
    /// let texts = |texts: &[&str]| {
    ///     let records = texts.iter().map(|text| (3600, dns::Record::txt(text)));
    ///     DnsAnswer::found("example.org".parse().unwrap(), records)
    /// };
    /// let record = Record::from_answer(&texts(&["something else", "v=spf1 mx -all"])).unwrap();
    /// assert_eq!(record.to_string(), "v=spf1 mx -all");
    /// assert!(Record::from_answer(&texts(&["v=spf1 mx -all", "v=spf1 -all"])).is_none());
    /// ```
    pub fn from_answer(answer: &DnsAnswer) -> Option<Self> {
        let mut texts = answer.records().filter_map(dns::Record::text).filter(|text| Record::is_record(text));
        let text = texts.next().filter(|_| texts.next().is_none())?;
        Record::parse(text).ok()
    }

    /// Whether a text means to be a record: all others at a domain are none of our business.
    pub fn is_record(text: &[u8]) -> bool {
        // RFC 7208 §4.5: the version is ended by a space or the end; `v=spf10` is something else.
        text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
            // Small letters, as nearly all write it, are compared in one step.
            (version == VERSION.as_bytes() || version.eq_ignore_ascii_case(VERSION.as_bytes()))
                && matches!(rest, [] | [b' ', ..])
        })
    }

    /// One of the records of an answer, to be checked.
    pub(super) fn of_answer(set: RecordSet, index: usize) -> Self {
        Record { text: Text::Answer(set, index), marks: Marks::default() }
    }

    /// Copies its octets out of the answer.
    #[cold]
    pub(super) fn detach(&mut self) {
        self.text = Text::Own(self.octets().to_vec());
    }

    /// Finds those of its terms that may match. A record of an answer is checked first.
    pub(super) fn look(&mut self, client: ClientIp, stops: &mut Stops) -> Result<(), RecordError> {
        if let Text::Listed(listed) = &self.text {
            listed.look(client, stops);
            return Ok(());
        }
        self.marks = Marks::default();
        check(self.text.octets(), client, &mut self.marks, stops)
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.text.octets()
    }

    fn slice(&self, range: Range<usize>) -> &str {
        core::str::from_utf8(&self.octets()[range]).expect("the octets of a record are visible ASCII")
    }

    /// The terms, as they stand.
    pub fn terms(&self) -> Terms<'_> {
        Terms(self.slice(VERSION.len()..self.octets().len()))
    }

    /// Some of them.
    pub(super) fn terms_in(&self, start: u16, end: u16) -> Terms<'_> {
        Terms(self.slice(start.into()..end.into()))
    }

    /// The domain of a term that was looked at, if there is one in it.
    pub(super) fn domain_of(&self, stop: &Stop) -> Option<MacroString<'_>> {
        let domain = stop.domain();
        if domain.is_empty() { None } else { Some(MacroString::from_checked(self.slice(domain))) }
    }

    /// The one that begins at an octet.
    pub(super) fn term_at(&self, at: u16) -> Option<Term<'_>> {
        let at = at.into();
        let term = self.slice(at..scan::end_of_term(self.octets(), at));
        if term.is_empty() { None } else { term::lend(term) }
    }

    /// The domain of `redirect=`, unless an `all` stands anywhere in the record and makes it void (RFC 7208 §5.1).
    pub fn redirect(&self) -> Option<MacroString<'_>> {
        let (start, end) = self.marks.redirect.filter(|_| !self.marks.has_all)?;
        Some(MacroString::from_checked(self.slice(start.into()..end.into())))
    }

    /// The domain of `exp=`.
    pub fn explanation(&self) -> Option<MacroString<'_>> {
        let (start, end) = self.marks.explanation?;
        Some(MacroString::from_checked(self.slice(start.into()..end.into())))
    }

    /// Whether a macro asks for the local part of the sender or the HELO name.
    pub(super) fn uses_sender(&self) -> bool {
        let argument = |term: Term<'_>| match term {
            Term::Directive(_, mechanism) => mechanism.domain().is_some_and(|domain| domain.uses(b"slh")),
            Term::Redirect(domain) => domain.uses(b"slh"),
            Term::Explanation(_) | Term::Unknown { .. } => false,
        };
        self.terms().any(argument)
    }
}

/// Checks a text that means to be a record from end to end (RFC 7208 §4.6: an error anywhere in it counts before anything is
/// looked at), and finds those of its terms that may match.
fn check(text: &[u8], client: ClientIp, marks: &mut Marks, stops: &mut Stops) -> Result<(), RecordError> {
    let error = |fault, at| Err(RecordError { fault, at });
    if text.len() > usize::from(u16::MAX) {
        return error(RecordFault::TooLong, usize::from(u16::MAX));
    }
    scan::whole(text, VERSION.len(), client, marks, stops).or_else(|wrong| {
        // What nobody can read comes before all else.
        match text.iter().position(|octet| !matches!(octet, b' '..=b'~')) {
            Some(at) => error(RecordFault::UnexpectedOctet, at),
            None => Err(wrong),
        }
    })
}

/// Terms of a record, one after another; a clone goes on from the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms<'a>(&'a str);

impl<'a> Iterator for Terms<'a> {
    type Item = Term<'a>;

    fn next(&mut self) -> Option<Term<'a>> {
        let text = self.0.trim_start_matches(' ');
        let (term, rest) = text.split_at(scan::end_of_term(text.as_bytes(), 0));
        self.0 = rest;
        if term.is_empty() { None } else { term::lend(term) }
    }
}

impl<'a> Mechanism<'a> {
    /// The domain that is written in it.
    pub(super) const fn domain(&self) -> Option<MacroString<'a>> {
        match *self {
            Mechanism::Include(domain) | Mechanism::Exists(domain) => Some(domain),
            Mechanism::A { domain, .. } | Mechanism::Mx { domain, .. } | Mechanism::Ptr(domain) => domain,
            Mechanism::All | Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. } => None,
        }
    }
}

const VERSION: &str = "v=spf1";
/// The octet behind it.
pub(super) const VERSION_END: u16 = VERSION.len() as u16;

impl Prefixes {
    pub(super) const WHOLE: Prefixes = Prefixes { ip4: 32, ip6: 128 };

    pub(super) fn cover_ip4(self, network: Ipv4Addr, ip: Ipv4Addr) -> bool {
        covers_ip4(network, self.ip4, ip)
    }

    pub(super) fn cover_ip6(self, network: Ipv6Addr, ip: Ipv6Addr) -> bool {
        covers_ip6(network, self.ip6, ip)
    }
}

/// RFC 7208 §5: the high-order bits that count are equal.
fn covers_ip4(network: Ipv4Addr, prefix: u8, ip: Ipv4Addr) -> bool {
    let different = u32::from(network) ^ u32::from(ip);
    different.leading_zeros() >= u32::from(prefix)
}

fn covers_ip6(network: Ipv6Addr, prefix: u8, ip: Ipv6Addr) -> bool {
    let different = u128::from(network) ^ u128::from(ip);
    different.leading_zeros() >= u32::from(prefix)
}

impl RecordError {
    /// The same, seen from a text that begins `by` octets earlier.
    pub(super) const fn moved(self, by: usize) -> Self {
        RecordError { fault: self.fault, at: self.at + by }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.terms().eq(other.terms())
    }
}

impl Eq for Record {}

impl FromStr for Record {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        Record::parse(text.as_bytes())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        self.terms().try_for_each(|term| write!(f, " {term}"))
    }
}

impl fmt::Display for Term<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Directive(qualifier, mechanism) => write!(f, "{}{mechanism}", qualifier.as_str()),
            Term::Redirect(domain) => write!(f, "redirect={domain}"),
            Term::Explanation(domain) => write!(f, "exp={domain}"),
            Term::Unknown { name, value } => write!(f, "{name}={value}"),
        }
    }
}

impl fmt::Display for Mechanism<'_> {
    /// Without its qualifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_domain = |f: &mut fmt::Formatter<'_>, name: &str, domain: &Option<MacroString<'_>>| match domain {
            Some(domain) => write!(f, "{name}:{domain}"),
            None => f.write_str(name),
        };
        match self {
            Mechanism::All => f.write_str("all"),
            Mechanism::Include(domain) => write!(f, "include:{domain}"),
            Mechanism::A { domain, prefixes } => {
                with_domain(f, "a", domain)?;
                write!(f, "{prefixes}")
            }
            Mechanism::Mx { domain, prefixes } => {
                with_domain(f, "mx", domain)?;
                write!(f, "{prefixes}")
            }
            Mechanism::Ptr(domain) => with_domain(f, "ptr", domain),
            Mechanism::Ip4 { network, prefix: 32 } => write!(f, "ip4:{network}"),
            Mechanism::Ip4 { network, prefix } => write!(f, "ip4:{network}/{prefix}"),
            Mechanism::Ip6 { network, prefix: 128 } => write!(f, "ip6:{network}"),
            Mechanism::Ip6 { network, prefix } => write!(f, "ip6:{network}/{prefix}"),
            Mechanism::Exists(domain) => write!(f, "exists:{domain}"),
        }
    }
}

impl fmt::Display for Prefixes {
    /// Whole addresses are not written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ip4 != 32 {
            write!(f, "/{}", self.ip4)?;
        }
        if self.ip6 != 128 {
            write!(f, "//{}", self.ip6)?;
        }
        Ok(())
    }
}
