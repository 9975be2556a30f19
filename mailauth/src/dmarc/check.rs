//! The check of one message.

use alloc::vec::Vec;

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Name, QuestionId};

use super::alignment;
use super::discovery::{Discovered, Organization, Ruling, discover};
use super::lookups::{Existence, Lookups};
use super::{
    Cause, Config, Discovery, Disposition, DmarcResult, Evidence, Identifier, Method, Outcome, OverrideReason, Place,
    Policy, PolicyRecord, SeveralAuthors, Step, Verdict,
};
use crate::from::{Authors, FromFault};

/// The check of one message. The result depends on what the answers are, never on their order: each time something more is
/// known, it is worked out from the start.
///
/// It can begin as soon as the header is known; what SPF and DKIM found may be [supplied](Check::supply) later, and until
/// then the check waits.
///
/// ```
/// use pillarbox_auth::dmarc::{Check, Config, Disposition, DkimInput, DmarcResult, Evidence, Policy, Verification};
/// use pillarbox_auth::from::{Authors, Limits};
/// use pillarbox_core::dns::{self, FixedZone, Record};
///
/// let zone = FixedZone::new().with("_dmarc.example.org", Record::txt("v=DMARC1; p=reject; rua=mailto:a@example.org"));
/// let authors = Authors::read(b"From: joe@news.example.org\r\n\r\n", &Limits::default());
///
/// let mut check = Check::new(&authors, &Config::default());
/// check.supply(Evidence::new(None, vec![DkimInput::new(Verification::Pass, "example.net".parse()?)]));
/// let outcome = dns::run(&mut check, &zone);
/// assert_eq!((outcome.result, outcome.disposition), (DmarcResult::Fail, Disposition::Reject));
/// assert_eq!(outcome.refusal().unwrap().to_string(), "550 5.7.1 refused by the DMARC policy of example.org");
///
/// let mut check = Check::new(&authors, &Config::default());
/// check.supply(Evidence::new(None, vec![DkimInput::new(Verification::Pass, "example.org".parse()?)]));
/// let outcome = dns::run(&mut check, &zone);
/// assert_eq!((outcome.result, outcome.policy), (DmarcResult::Pass, Some(Policy::Reject)));
/// assert_eq!(outcome.trace[1].to_string(), "_dmarc.news.example.org: no record");
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Check {
    domains: Vec<Name>,
    fault: Option<FromFault>,
    evidence: Option<Evidence>,
    config: Config,
    lookups: Lookups,
    /// How many look-ups the check may come to: known when those about the authors are.
    count_max: Option<usize>,
    is_given_up: bool,
}

impl Check {
    /// A check of a message of these authors.
    pub fn new(authors: &Authors, config: &Config) -> Self {
        let fault = authors.fault();
        let is_checked = match (fault, config.several_authors) {
            (None, _) => true,
            (Some(FromFault::SeveralFields | FromFault::SeveralDomains), SeveralAuthors::StrictestPolicy) => {
                authors.domains().len() <= config.limits.authors_max
            }
            (Some(_), _) => false,
        };
        Check {
            domains: if is_checked { authors.domains().to_vec() } else { Vec::new() },
            fault,
            evidence: None,
            config: config.clone(),
            lookups: Lookups::default(),
            count_max: None,
            is_given_up: false,
        }
    }

    /// What SPF and DKIM found. Only what is supplied first counts.
    pub fn supply(&mut self, evidence: Evidence) {
        self.evidence.get_or_insert(evidence);
    }

    /// The outcome; `None` until all that it needs is known, and then what is missing has been put among the look-ups.
    fn evaluate(&mut self) -> Option<Outcome> {
        let method = match &self.config.discovery {
            Discovery::TreeWalk | Discovery::TreeWalkComparedWith(_) => Method::TreeWalk,
            Discovery::PublicSuffixList(_) => Method::PublicSuffixList,
        };
        // No domain can be read, or no check is wanted of what can.
        if self.domains.is_empty() {
            let fault = self.fault.unwrap_or(FromFault::NoMailbox);
            let mut outcome = Outcome::new(method, DmarcResult::PermError, Cause::Author(fault));
            outcome.disposition = Disposition::Reject;
            outcome.trace.push(Step::AuthorFault(fault));
            return Some(outcome);
        }
        let (config, evidence, lookups) = (&self.config, &self.evidence, &mut self.lookups);
        let mut is_known = true;
        let mut all_discovered = Vec::with_capacity(self.domains.len());
        for author in &self.domains {
            let discovered = discover(author, &config.discovery, lookups, |record| {
                let evidence = evidence.as_ref();
                evidence.is_some_and(|evidence| alignment::needs_organization(author, record, evidence, config))
            });
            is_known &= discovered.is_some();
            all_discovered.extend(discovered);
        }
        let no_evidence = Evidence::default();
        let evidence = match evidence {
            Some(evidence) => evidence,
            None if self.is_given_up => &no_evidence,
            None => return None,
        };
        if !is_known {
            return None;
        }
        let count_max = lookups.count().saturating_add(config.limits.alignment_questions_max);
        let count_max = *self.count_max.get_or_insert(count_max);
        let mut all_judged = Vec::with_capacity(all_discovered.len());
        for discovered in all_discovered {
            let identifiers = match &discovered.record {
                Ruling::Record(PolicyRecord { record, .. }) if record.policy.is_some() => {
                    alignment::judge(&discovered, record, evidence, config, lookups, count_max)
                }
                _ => Some(Vec::new()),
            };
            is_known &= identifiers.is_some();
            all_judged.extend(identifiers.map(|identifiers| (discovered, identifiers)));
        }
        if !is_known {
            return None;
        }
        let has_evidence = self.evidence.is_some();
        let outcomes = all_judged.into_iter().map(|(discovered, identifiers)| {
            let (result, cause) = conclude(&discovered, &identifiers, self.fault, has_evidence);
            apply(discovered, identifiers, Outcome::new(method, result, cause), evidence, config)
        });
        Some(strictest(outcomes, self.fault))
    }
}

impl DnsMachine for Check {
    type Output = Outcome;

    fn poll(&mut self) -> DnsStep<Outcome> {
        loop {
            if let Some(question) = self.lookups.next_question() {
                return DnsStep::Ask(question);
            }
            let count = self.lookups.count();
            match self.evaluate() {
                Some(outcome) => return DnsStep::Done(outcome),
                None if self.lookups.count() > count => {}
                None => return DnsStep::Wait,
            }
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.lookups.answer(id, &answer);
    }

    fn give_up(&mut self) {
        self.is_given_up = true;
        self.lookups.give_up();
    }
}

/// The result for one author domain.
fn conclude(
    discovered: &Discovered,
    identifiers: &[Identifier],
    fault: Option<FromFault>,
    has_evidence: bool,
) -> (DmarcResult, Cause) {
    match &discovered.record {
        Ruling::Nothing => return (DmarcResult::None, Cause::NoRecord),
        Ruling::Failed(domain) => return (DmarcResult::TempError, Cause::LookupFailed(domain.clone())),
        Ruling::Record(found) if found.record.policy.is_none() => {
            return (DmarcResult::PermError, Cause::UnusableRecord);
        }
        Ruling::Record(_) => {}
    }
    if !has_evidence {
        return (DmarcResult::TempError, Cause::NoEvidence);
    }
    let first = |verdict| identifiers.iter().find(|identifier| identifier.verdict == verdict);
    if first(Verdict::Aligned).is_some() {
        // Which of several fields was signed cannot be told.
        return match fault {
            Some(FromFault::SeveralFields) => (DmarcResult::Fail, Cause::Author(FromFault::SeveralFields)),
            _ => (DmarcResult::Pass, Cause::Aligned),
        };
    }
    // RFC 7489 §6.6.2, RFC 9989 §5.3.6: what may pass later has not failed. Only domains that would be aligned come to this,
    // so that a forger cannot put off the result with a signature of his own.
    if let Some(identifier) = first(Verdict::NotVerifiedYet) {
        return (DmarcResult::TempError, Cause::NotVerifiedYet(identifier.domain.clone()));
    }
    if let Some(identifier) = first(Verdict::LookupFailed) {
        return (DmarcResult::TempError, Cause::LookupFailed(identifier.domain.clone()));
    }
    if discovered.existence == Some(Existence::TryLater) {
        return (DmarcResult::TempError, Cause::LookupFailed(discovered.author.clone()));
    }
    (DmarcResult::Fail, Cause::NotAligned)
}

/// Fills in what the result means for the message.
fn apply(
    discovered: Discovered,
    identifiers: Vec<Identifier>,
    mut outcome: Outcome,
    evidence: &Evidence,
    config: &Config,
) -> Outcome {
    outcome.trace = discovered.steps;
    outcome.trace.extend(identifiers.iter().cloned().map(Step::Identifier));
    outcome.author = Some(discovered.author);
    outcome.identifiers = identifiers;
    if let Organization::Is(domain) = discovered.organization {
        outcome.organizational_domain = Some(domain);
    }
    let mut lowering = None;
    if let Ruling::Record(found) = discovered.record {
        let record = &found.record;
        outcome.policy = match found.place {
            Place::Author => record.policy,
            Place::Organization | Place::PublicSuffix => {
                record.policy_below(discovered.existence != Some(Existence::Missing))
            }
        };
        lowering = if record.is_testing {
            Some(OverrideReason::PolicyTestMode)
        } else {
            let is_spared = evidence.percent_draw.is_some_and(|draw| draw.min(99) >= record.percent);
            is_spared.then_some(OverrideReason::SampledOut)
        };
        outcome.policy_record = Some(found);
    }
    outcome.applied_policy = outcome.policy.map(|policy| if lowering.is_some() { policy.lowered() } else { policy });
    outcome.trace.extend(outcome.policy.map(Step::Policy));
    outcome.trace.push(Step::Result(outcome.result));
    match (outcome.result, outcome.policy, outcome.applied_policy) {
        (DmarcResult::Fail, Some(policy), Some(applied)) => {
            outcome.disposition = policy.into();
            if let Some(reason) = lowering {
                outcome.override_disposition(reason, applied.into());
            }
        }
        // RFC 9989 §5.4: who asks for nothing gets nothing.
        (DmarcResult::TempError, _, Some(Policy::None)) => {}
        (DmarcResult::TempError, ..) if config.defers_on_temp_error => outcome.disposition = Disposition::Defer,
        _ => {}
    }
    outcome
}

/// RFC 9989 §11.5: of several authors, the one counts for whom the least is to be hoped. All traces are kept.
fn strictest(outcomes: impl Iterator<Item = Outcome>, fault: Option<FromFault>) -> Outcome {
    let severity = |outcome: &Outcome| {
        let disposition = match outcome.disposition {
            Disposition::Reject => 3,
            Disposition::Defer => 2,
            Disposition::Quarantine => 1,
            Disposition::None => 0,
        };
        let result = match outcome.result {
            DmarcResult::Fail => 4,
            DmarcResult::TempError => 3,
            DmarcResult::PermError => 2,
            DmarcResult::None => 1,
            DmarcResult::Pass => 0,
        };
        (disposition, result)
    };
    let mut trace = fault.map(Step::AuthorFault).into_iter().collect::<Vec<_>>();
    let outcomes = outcomes.map(|mut outcome| {
        trace.append(&mut outcome.trace);
        outcome
    });
    let strictest = outcomes.reduce(|one, other| if severity(&other) > severity(&one) { other } else { one });
    Outcome { trace, ..strictest.expect("there is an author for each outcome, and at least one") }
}
