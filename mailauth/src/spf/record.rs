//! Records as typed terms (RFC 7208 §4.5, §4.6, §12).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::SpfResult;
use super::macros::MacroString;
use super::term;

/// A record whose syntax was checked from end to end: `v=spf1` and terms.
///
/// Two records are equal if their terms are. It prints as a record that parses to the same terms.
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
    text: String,
    terms: Vec<Span>,
    redirect: Option<u16>,
    explanation: Option<u16>,
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

/// A term, as places in the text of the record: so a record is two allocations, whatever is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) kind: Kind,
    /// The domain, or name and value of an unknown modifier; nothing where start and end are equal.
    pub(super) start: u16,
    pub(super) end: u16,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    All(Qualifier),
    Include(Qualifier),
    A(Qualifier, Prefixes),
    Mx(Qualifier, Prefixes),
    Ptr(Qualifier),
    Ip4(Qualifier, Ipv4Addr, u8),
    Ip6(Qualifier, Ipv6Addr, u8),
    Exists(Qualifier),
    Redirect,
    Explanation,
    Unknown,
}

impl Record {
    /// Parses a record, its strings joined (RFC 7208 §3.3).
    ///
    /// # Errors
    ///
    /// [`RecordError`] says what is wrong and at which octet.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        Record::from_text(text.to_vec()).map_err(|(error, _)| error)
    }

    /// Whether a text means to be a record: all others at a domain are none of our business.
    pub fn is_record(text: &[u8]) -> bool {
        // RFC 7208 §4.5: the version is ended by a space or the end; `v=spf10` is something else.
        text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
            version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(rest, [] | [b' ', ..])
        })
    }

    /// Parses a text that it keeps, or gives back.
    pub(super) fn from_text(text: Vec<u8>) -> Result<Self, (RecordError, Vec<u8>)> {
        let fault = if !Record::is_record(&text) {
            Some((RecordFault::Version, 0))
        } else if text.len() > usize::from(u16::MAX) {
            Some((RecordFault::TooLong, usize::from(u16::MAX)))
        } else {
            // All of them at once first, which takes a tenth of the time of one after another.
            let is_wrong = |octet: &u8| !matches!(octet, b' '..=b'~');
            let any_wrong = text.iter().fold(false, |wrong, octet| wrong | is_wrong(octet));
            let at = if any_wrong { text.iter().position(is_wrong) } else { None };
            at.map(|at| (RecordFault::UnexpectedOctet, at))
        };
        if let Some((fault, at)) = fault {
            return Err((RecordError { fault, at }, text));
        }
        let text = String::from_utf8(text).expect("visible octets are UTF-8");
        // A term has 18 octets on the average.
        let terms = Vec::with_capacity(text.len() / 16 + 4);
        let mut record = Record { text, terms, redirect: None, explanation: None };
        match record.parse_terms() {
            Ok(()) => Ok(record),
            Err(error) => Err((error, record.text.into_bytes())),
        }
    }

    fn parse_terms(&mut self) -> Result<(), RecordError> {
        let mut at = VERSION.len();
        // RFC 7208 §4.6.1: terms are separated by one space or several, and by nothing else.
        while at < self.text.len() {
            let rest = &self.text[at..];
            let len = memchr::memchr(b' ', rest.as_bytes()).unwrap_or(rest.len());
            if len > 0 {
                term::parse(&rest[..len], at, &mut self.terms).map_err(|error| error.moved(at))?;
                self.note_modifier(at)?;
            }
            at += len + 1;
        }
        Ok(())
    }

    /// Notes where `redirect` and `exp` are, if the last term is one.
    fn note_modifier(&mut self, at: usize) -> Result<(), RecordError> {
        let index = self.terms.len() - 1;
        let known = match self.terms[index].kind {
            Kind::Redirect => &mut self.redirect,
            Kind::Explanation => &mut self.explanation,
            _ => return Ok(()),
        };
        // RFC 7208 §6: "These two modifiers MUST NOT appear in a record more than once each."
        match known.replace(short(index)) {
            Some(_) => Err(RecordError { fault: RecordFault::Repeated, at }),
            None => Ok(()),
        }
    }

    /// The terms, as they stand.
    pub fn terms(&self) -> impl DoubleEndedIterator<Item = Term<'_>> + ExactSizeIterator {
        self.terms.iter().map(|span| self.view(span))
    }

    /// One of them, counted from 0.
    pub fn term(&self, index: usize) -> Option<Term<'_>> {
        self.terms.get(index).map(|span| self.view(span))
    }

    /// The domain of `redirect=`, unless an `all` stands anywhere in the record and makes it void (RFC 7208 §5.1).
    pub fn redirect(&self) -> Option<MacroString<'_>> {
        if self.terms.iter().any(|span| matches!(span.kind, Kind::All(_))) {
            return None;
        }
        self.redirect.map(|index| self.argument(&self.terms[usize::from(index)]))
    }

    /// The domain of `exp=`.
    pub fn explanation(&self) -> Option<MacroString<'_>> {
        self.explanation.map(|index| self.argument(&self.terms[usize::from(index)]))
    }

    /// The first term from `from` on that is not a network without the address in it.
    pub(super) fn skip_networks(&self, from: usize, ip: IpAddr) -> usize {
        let others = self.terms.get(from..).unwrap_or_default().iter();
        let is_other = |span: &Span| match (span.kind, ip) {
            (Kind::Ip4(_, network, prefix), IpAddr::V4(ip)) => !covers_ip4(network, prefix, ip),
            (Kind::Ip6(_, network, prefix), IpAddr::V6(ip)) => !covers_ip6(network, prefix, ip),
            (Kind::Ip4(..) | Kind::Ip6(..), _) => true,
            _ => false,
        };
        from + others.take_while(|span| is_other(span)).count()
    }

    /// Whether a macro asks for the local part of the sender or the HELO name.
    pub(super) fn uses_sender(&self) -> bool {
        let asks = |span: &&Span| !matches!(span.kind, Kind::Unknown | Kind::Explanation);
        self.terms.iter().filter(asks).any(|span| self.argument(span).uses(b"slh"))
    }

    fn argument(&self, span: &Span) -> MacroString<'_> {
        MacroString::from_checked(&self.text[usize::from(span.start)..usize::from(span.end)])
    }

    fn view(&self, span: &Span) -> Term<'_> {
        let argument = self.argument(span);
        let domain = (span.start != span.end).then_some(argument);
        let (qualifier, mechanism) = match span.kind {
            Kind::All(qualifier) => (qualifier, Mechanism::All),
            Kind::Include(qualifier) => (qualifier, Mechanism::Include(argument)),
            Kind::A(qualifier, prefixes) => (qualifier, Mechanism::A { domain, prefixes }),
            Kind::Mx(qualifier, prefixes) => (qualifier, Mechanism::Mx { domain, prefixes }),
            Kind::Ptr(qualifier) => (qualifier, Mechanism::Ptr(domain)),
            Kind::Ip4(qualifier, network, prefix) => (qualifier, Mechanism::Ip4 { network, prefix }),
            Kind::Ip6(qualifier, network, prefix) => (qualifier, Mechanism::Ip6 { network, prefix }),
            Kind::Exists(qualifier) => (qualifier, Mechanism::Exists(argument)),
            Kind::Redirect => return Term::Redirect(argument),
            Kind::Explanation => return Term::Explanation(argument),
            Kind::Unknown => {
                let (name, value) = argument.as_str().split_once('=').unwrap_or((argument.as_str(), ""));
                return Term::Unknown { name, value };
            }
        };
        Term::Directive(qualifier, mechanism)
    }
}

const VERSION: &str = "v=spf1";

/// A place in a record, or the number of a term.
pub(super) fn short(number: usize) -> u16 {
    u16::try_from(number).expect("the record has at most 65535 octets")
}

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
