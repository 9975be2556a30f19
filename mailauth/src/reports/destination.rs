//! Whether those who are named as receivers of reports want them (RFC 9990 §4).

use alloc::vec::Vec;
use core::{fmt, slice};

use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, RecordKind};

use crate::dmarc::{PublicSuffixDomain, Record, ReportMailbox, ReportUri};

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

    /// The destinations that a record names.
    pub fn uris(self, record: &Record) -> &[ReportUri] {
        match self {
            ReportKind::Aggregate => &record.aggregate_reports,
            ReportKind::Failure => &record.failure_reports,
        }
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
    Replaced(Vec<ReportMailbox>),
    /// The host does not say so: no report is sent to it.
    NotConfirmed,
    /// The name that would say so is longer than the DNS allows, so nobody can say it (RFC 9990 §4 step 4).
    NameTooLong,
    /// The host names a mailbox elsewhere: no report is sent to either (RFC 9990 §4).
    OtherHost,
    /// The DNS gave no certain answer: no report is sent now, and the question may be asked again later.
    TryLater,
    /// It is of a scheme by which no reports are sent, and ignored (RFC 9989 §4.7).
    Unsupported,
    /// It is that of a public suffix (`psd=y`), which gets no failure reports about those who registered with it.
    PublicSuffix,
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
            Decision::Unsupported => "is ignored: reports are sent by mail",
            Decision::PublicSuffix => "is ignored: a public suffix gets no failure reports",
        })
    }
}

/// Mailboxes that a host may name instead, whatever the number of its records.
const REPLACEMENTS_MAX: usize = 10;

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
        write!(f, "{}: ", self.uri)?;
        if let Some(mailbox) = self.uri.mailbox() {
            write!(f, "{} ", mailbox.host())?;
        }
        write!(f, "{}", self.decision)
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
    pub fn accepted(&self) -> Vec<&ReportMailbox> {
        let mut accepted = Vec::<&ReportMailbox>::new();
        for destination in &self.0 {
            let mailboxes = match &destination.decision {
                Decision::Internal | Decision::Confirmed => destination.uri.mailbox().map_or(&[][..], slice::from_ref),
                Decision::Replaced(mailboxes) => mailboxes,
                _ => &[],
            };
            for mailbox in mailboxes {
                if !accepted.iter().any(|other| other.address() == mailbox.address()) {
                    accepted.push(mailbox);
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
/// `|host| host.is_within(&org)` is right, unless `org` is a public suffix of a list. Below a domain whose record says that
/// it is one (`psd=y`) nobody is of its organisation, whatever the caller says.
///
/// ```
/// use pillarbox_auth::dmarc::Record;
/// use pillarbox_auth::reports::{ReportKind, VerifyDestinations};
/// use pillarbox_core::dns::{self, FixedZone, Name};
///
/// let domain = "blue.example.com".parse::<Name>()?;
/// let record = b"v=DMARC1; p=none; rua=mailto:a@example.com,mailto:b@red.example.net,mailto:v@victim.example";
/// let record = Record::parse(record)?;
/// let zone = FixedZone::new()
///     .with("blue.example.com._report._dmarc.red.example.net", dns::Record::txt("v=DMARC1"));
///
/// let organisation = "example.com".parse::<Name>()?;
/// let mut verify =
///     VerifyDestinations::new(&domain, &record, ReportKind::Aggregate, |host| host.is_within(&organisation));
/// let destinations = dns::run(&mut verify, &zone);
/// let accepted = destinations.accepted().iter().map(|mailbox| mailbox.to_string()).collect::<Vec<_>>();
/// assert_eq!(accepted, ["mailto:a@example.com", "mailto:b@red.example.net"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerifyDestinations {
    kind: ReportKind,
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
    /// Starts with the record that rules, and the domain where it was found. `is_internal` says which hosts are of the same
    /// organisation. Each host is asked once, so that a record as it was read costs at most ten questions.
    pub fn new(domain: &Name, record: &Record, kind: ReportKind, mut is_internal: impl FnMut(&Name) -> bool) -> Self {
        let is_public_suffix = record.public_suffix_domain == PublicSuffixDomain::Yes;
        let mut asked = Vec::<Asked>::new();
        let mut choose = |uri: &ReportUri| {
            let Some(host) = uri.mailbox().map(ReportMailbox::host) else {
                return Choice::Decided(Decision::Unsupported);
            };
            // RFC 9991 §2
            if kind == ReportKind::Failure && is_public_suffix {
                return Choice::Decided(Decision::PublicSuffix);
            }
            if host == domain || (!is_public_suffix && is_internal(host)) {
                return Choice::Decided(Decision::Internal);
            }
            if let Some(place) = asked.iter().position(|asked| asked.host == *host) {
                return Choice::Asked(place);
            }
            // RFC 9990 §4 steps 2 to 4
            let prefix = alloc::format!("{domain}._report._dmarc");
            let Ok(question) = host.with_prefix(&prefix) else { return Choice::Decided(Decision::NameTooLong) };
            asked.push(Asked { host: host.clone(), question, decision: None });
            Choice::Asked(asked.len() - 1)
        };
        let uris = kind.uris(record).iter().map(|uri| (uri.clone(), choose(uri))).collect();
        VerifyDestinations { kind, uris, asked, next: 0, given_up: false }
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
            asked.decision = Some(decide(self.kind, &asked.host, &answer));
        }
    }

    fn give_up(&mut self) {
        self.given_up = true;
    }
}

/// RFC 9990 §4 steps 5 to 9
fn decide(kind: ReportKind, host: &Name, answer: &DnsAnswer) -> Decision {
    if answer.outcome == DnsOutcome::TryLater {
        return Decision::TryLater;
    }
    // Step 6: the format is that of a policy record.
    let texts = answer.records().filter_map(dns::Record::text);
    let records = texts.filter_map(|text| Record::parse(text).ok()).collect::<Vec<_>>();
    if records.is_empty() {
        return Decision::NotConfirmed;
    }
    let mailboxes = records.iter().flat_map(|record| kind.uris(record)).filter_map(ReportUri::mailbox);
    let mut replacements = mailboxes.cloned().collect::<Vec<_>>();
    // A host that could send the reports on would make every check of another host worthless.
    if replacements.iter().any(|mailbox| mailbox.host() != host) {
        return Decision::OtherHost;
    }
    // A tag without a mailbox that could be used replaces nothing: the version alone confirms.
    if replacements.is_empty() {
        return Decision::Confirmed;
    }
    // The order of records in an answer means nothing, and must not change the result.
    replacements.sort();
    replacements.dedup_by(|a, b| a.address() == b.address());
    replacements.truncate(REPLACEMENTS_MAX);
    Decision::Replaced(replacements)
}
