//! Whether those who are named as receivers of reports want them (RFC 9990 §4).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, RecordKind};

use super::ReportUri;
use crate::tag_list::{TagList, without_space};

/// Which reports the destinations are for: the tag that may name another mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportKind {
    /// Aggregate reports: `rua`.
    Aggregate,
    /// Failure reports: `ruf` (RFC 9991 §5).
    Failure,
}

impl ReportKind {
    /// The tag of a DMARC record that names the destinations.
    pub const fn tag(self) -> &'static str {
        match self {
            ReportKind::Aggregate => "rua",
            ReportKind::Failure => "ruf",
        }
    }
}

/// What a verification does at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationLimits {
    /// How many hosts are asked about: a record can name dozens, and each costs a question. 10, as SPF has it for its
    /// lookups.
    pub hosts_max: usize,
    /// How many records of an answer are looked at. 10: a destination publishes one.
    pub records_max: usize,
    /// How many octets a record may have; a longer one is not looked at. 4096, many times what the tags need.
    pub record_len_max: usize,
    /// How many mailboxes a destination may name instead. 10.
    pub replacements_max: usize,
}

impl Default for DestinationLimits {
    fn default() -> Self {
        DestinationLimits { hosts_max: 10, records_max: 10, record_len_max: 4096, replacements_max: 10 }
    }
}

/// What came of one URI.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// The host belongs to the organisation that asks for the reports: nobody else is bothered, and nobody is asked.
    Internal,
    /// The host says that it takes reports about the domain.
    Confirmed,
    /// The host says so, and names other mailboxes within itself.
    Replaced(Vec<ReportUri>),
    /// The host does not say so: no report is sent to it.
    NotConfirmed,
    /// The name that would say so is longer than the DNS allows, so nobody can say it (RFC 9990 §4 step 4).
    NameTooLong,
    /// The host names a mailbox elsewhere: no report is sent to either (RFC 9990 §4).
    OtherHost,
    /// The DNS gave no certain answer: no report is sent now, and the question may be asked again later.
    TryLater,
    /// Too many hosts are named: this one was not asked.
    TooMany,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Internal => "is within the organisation",
            Decision::Confirmed => "takes reports about the domain",
            Decision::Replaced(_) => "takes reports about the domain at another mailbox",
            Decision::NotConfirmed => "does not say that it takes reports about the domain",
            Decision::NameTooLong => "could not say that it takes reports: the name would be too long",
            Decision::OtherHost => "wants reports sent to another host, which is not allowed",
            Decision::TryLater => "could not be asked: the DNS had no certain answer",
            Decision::TooMany => "was not asked: too many hosts are named",
        })
    }
}

/// A URI with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destination {
    /// The URI as the domain published it.
    pub uri: ReportUri,
    /// What came of it.
    pub decision: Decision,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.uri, self.uri.host(), self.decision)
    }
}

/// The URIs of a domain, each with what came of it, in the order of the tag. It is also the trace for people: each
/// prints as a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations(Vec<Destination>);

impl Destinations {
    /// Each URI with its decision.
    pub fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.0.iter()
    }

    /// Where reports may be sent, each mailbox once.
    pub fn accepted(&self) -> Vec<&ReportUri> {
        let mut accepted = Vec::<&ReportUri>::new();
        for destination in &self.0 {
            let uris = match &destination.decision {
                Decision::Internal | Decision::Confirmed => core::slice::from_ref(&destination.uri),
                Decision::Replaced(uris) => uris,
                _ => &[],
            };
            for uri in uris {
                if !accepted.iter().any(|other| other.address() == uri.address()) {
                    accepted.push(uri);
                }
            }
        }
        accepted
    }

    /// Whether some could not be asked now, so that trying again later may find more.
    pub fn is_temporary(&self) -> bool {
        self.0.iter().any(|destination| destination.decision == Decision::TryLater)
    }
}

/// Asks the destinations of reports whether they want them. Without this a domain could have anybody flooded with reports
/// (RFC 9990 §4).
///
/// Destinations within the organisation are not asked. Which those are is the caller's to know, as it depends on how
/// organisations are found: for a policy that was found at (or below) an organisational domain `org`,
/// `|host| host.is_within(&org)` is right unless `org` is a public suffix.
///
/// ```
/// use pillarbox_auth::reports::{ReportKind, ReportUri, VerifyDestinations};
/// use pillarbox_core::dns::{self, FixedZone, Name, Record};
///
/// let domain = "blue.example.com".parse::<Name>()?;
/// let uris = ReportUri::parse_list("mailto:a@example.com,mailto:b@red.example.net,mailto:v@victim.example", 10).uris;
/// let zone = FixedZone::new().with("blue.example.com._report._dmarc.red.example.net", Record::txt("v=DMARC1"));
///
/// let organisation = "example.com".parse::<Name>()?;
/// let mut verify =
///     VerifyDestinations::new(&domain, ReportKind::Aggregate, uris, |host| host.is_within(&organisation));
/// let destinations = dns::run(&mut verify, &zone);
/// let accepted = destinations.accepted().iter().map(|uri| uri.to_string()).collect::<Vec<_>>();
/// assert_eq!(accepted, ["mailto:a@example.com", "mailto:b@red.example.net"]);
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifyDestinations {
    kind: ReportKind,
    limits: DestinationLimits,
    uris: Vec<(ReportUri, Choice)>,
    /// The hosts that are asked, a question for each; ids are places in this list.
    asked: Vec<Asked>,
    next: usize,
    given_up: bool,
}

#[derive(Clone, Debug)]
enum Choice {
    Decided(Decision),
    /// The place in the list of hosts.
    Asked(usize),
}

#[derive(Clone, Debug)]
struct Asked {
    host: Name,
    question: Name,
    decision: Option<Decision>,
}

impl VerifyDestinations {
    /// Starts with the domain where the policy was found, and the URIs of its tag. `is_internal` says which hosts are of
    /// the same organisation.
    pub fn new(
        policy_domain: &Name,
        kind: ReportKind,
        uris: Vec<ReportUri>,
        is_internal: impl FnMut(&Name) -> bool,
    ) -> Self {
        VerifyDestinations::with_limits(policy_domain, kind, uris, is_internal, DestinationLimits::default())
    }

    /// The same with other limits.
    pub fn with_limits(
        policy_domain: &Name,
        kind: ReportKind,
        uris: Vec<ReportUri>,
        mut is_internal: impl FnMut(&Name) -> bool,
        limits: DestinationLimits,
    ) -> Self {
        let mut asked = Vec::<Asked>::new();
        let mut places = BTreeMap::<Name, usize>::new();
        let mut choose = |uri: &ReportUri| {
            let host = uri.host();
            if host == policy_domain || is_internal(host) {
                return Choice::Decided(Decision::Internal);
            }
            if let Some(place) = places.get(host) {
                return Choice::Asked(*place);
            }
            // RFC 9990 §4 steps 2 to 4
            let prefix = alloc::format!("{policy_domain}._report._dmarc");
            let Ok(question) = host.with_prefix(&prefix) else { return Choice::Decided(Decision::NameTooLong) };
            if asked.len() >= limits.hosts_max {
                return Choice::Decided(Decision::TooMany);
            }
            places.insert(host.clone(), asked.len());
            asked.push(Asked { host: host.clone(), question, decision: None });
            Choice::Asked(asked.len() - 1)
        };
        let uris = uris.into_iter().map(|uri| (choose(&uri), uri)).map(|(choice, uri)| (uri, choice)).collect();
        VerifyDestinations { kind, limits, uris, asked, next: 0, given_up: false }
    }

    fn finish(&mut self) -> Destinations {
        let decided = |choice: Choice| match choice {
            Choice::Decided(decision) => decision,
            Choice::Asked(place) => self.asked[place].decision.clone().unwrap_or(Decision::TryLater),
        };
        let uris = core::mem::take(&mut self.uris).into_iter();
        Destinations(uris.map(|(uri, choice)| Destination { uri, decision: decided(choice) }).collect())
    }
}

impl DnsMachine for VerifyDestinations {
    type Output = Destinations;

    fn poll(&mut self) -> DnsStep<Destinations> {
        if !self.given_up
            && let Some(asked) = self.asked.get(self.next)
        {
            let id = QuestionId(u32::try_from(self.next).expect("hosts are counted in a u32"));
            self.next += 1;
            return DnsStep::Ask(Question::new(id, asked.question.clone(), RecordKind::Txt));
        }
        if self.given_up || self.asked.iter().all(|asked| asked.decision.is_some()) {
            return DnsStep::Done(self.finish());
        }
        DnsStep::Wait
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        let place = usize::try_from(id.0).unwrap_or(usize::MAX);
        let was_asked = place < self.next;
        if let Some(asked) = self.asked.get_mut(place).filter(|asked| was_asked && asked.decision.is_none()) {
            asked.decision = Some(decide(self.kind, &self.limits, &asked.host, &answer));
        }
    }

    fn give_up(&mut self) {
        self.given_up = true;
    }
}

/// RFC 9990 §4 steps 5 to 9
fn decide(kind: ReportKind, limits: &DestinationLimits, host: &Name, answer: &DnsAnswer) -> Decision {
    if answer.outcome == DnsOutcome::TryLater {
        return Decision::TryLater;
    }
    let mut confirmed = false;
    let mut replacements = Vec::<ReportUri>::new();
    for record in answer.records().take(limits.records_max).filter_map(|record| record.joined_txt()) {
        let Some(tags) = TagList::parse(&record).ok().filter(|_| record.len() <= limits.record_len_max) else {
            continue;
        };
        // RFC 9989 §4.8: the version stands first, and its case counts.
        if !tags.first().is_some_and(|tag| tag.name == b"v" && tag.value == b"DMARC1") {
            continue;
        }
        confirmed = true;
        let named = tags.find(kind.tag()).map(without_space).and_then(|tag| String::from_utf8(tag).ok());
        let named = ReportUri::parse_list(&named.unwrap_or_default(), limits.replacements_max).uris;
        // A host that could send the reports on would make every check of another host worthless.
        if named.iter().any(|uri| uri.host() != host) {
            return Decision::OtherHost;
        }
        replacements.extend(named);
    }
    if !confirmed {
        return Decision::NotConfirmed;
    }
    // A tag without a mailbox that could be used replaces nothing: the version alone confirms.
    if replacements.is_empty() {
        return Decision::Confirmed;
    }
    // The order of records in an answer means nothing, and must not change the result.
    replacements.sort();
    replacements.dedup_by(|a, b| a.address() == b.address());
    replacements.truncate(limits.replacements_max);
    Decision::Replaced(replacements)
}
