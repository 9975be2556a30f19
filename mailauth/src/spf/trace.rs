//! What a check did, step by step, for people.

use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::dns::{DnsAnswer, DnsOutcome, Name, RecordKind};

use super::names::{NameId, Names};
use super::visits::{VisitId, Visited, Visits};
use super::{Record, SpfResult, Term, Terms};

/// One step of a check. It prints as one line, indented by how many `include`s it is inside of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// A record was found and is gone through.
    Record {
        /// How many `include`s are around.
        depth: usize,
        /// The domain that publishes it.
        domain: &'a Name,
        /// The record.
        record: &'a Record,
    },
    /// A question was answered, other than by a record that is gone through.
    Answer {
        /// How many `include`s are around.
        depth: usize,
        /// The name.
        name: &'a Name,
        /// What was asked for.
        kind: RecordKind,
        /// What came.
        answer: Answered,
    },
    /// Mechanisms that do not match, as they stand in the record. Modifiers may stand between them.
    NoMatch {
        /// How many `include`s are around.
        depth: usize,
        /// The terms.
        terms: Terms<'a>,
    },
    /// A term that matches.
    Match {
        /// How many `include`s are around.
        depth: usize,
        /// The term.
        term: Term<'a>,
        /// What the record comes to.
        result: SpfResult,
    },
    /// The name that a term stands for cannot be asked for, so it does not match.
    Unusable {
        /// How many `include`s are around.
        depth: usize,
        /// The term.
        term: Term<'a>,
    },
    /// What the record of an `include` came to: the include matches on pass.
    Included {
        /// How many `include`s are around this one.
        depth: usize,
        /// The term.
        term: Term<'a>,
        /// The result.
        result: SpfResult,
    },
    /// Nothing matched, and the record of another domain decides.
    Redirect {
        /// How many `include`s are around.
        depth: usize,
        /// The domain.
        domain: &'a Name,
    },
    /// Nothing matched: neutral.
    Default {
        /// How many `include`s are around.
        depth: usize,
    },
    /// How many names of the client lead back to its address.
    Validated {
        /// How many.
        names: usize,
    },
    /// More steps than are kept came behind this one.
    Cut,
}

/// What came back from the DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answered {
    /// That many records.
    Records(u32),
    /// The name has no such record.
    NoData,
    /// The name does not exist.
    NoSuchName,
    /// Nothing certain.
    TryLater,
}

impl Answered {
    pub(super) fn of(answer: &DnsAnswer, kind: RecordKind) -> Self {
        match &answer.outcome {
            DnsOutcome::Found(set) => match set.records().iter().map(|record| u32::from(record.kind() == kind)).sum() {
                0 => Answered::NoData,
                count => Answered::Records(count),
            },
            DnsOutcome::NoData => Answered::NoData,
            DnsOutcome::NoSuchName => Answered::NoSuchName,
            // What is not known yet is not known to be absent.
            _ => Answered::TryLater,
        }
    }

    /// RFC 7208 §4.6.4: an answer without records.
    pub(super) const fn is_void(self) -> bool {
        matches!(self, Answered::NoData | Answered::NoSuchName)
    }
}

/// A step, with places for references: many are kept, and hardly any is looked at. Small numbers alone, so that it is written
/// at once where it stays, and nothing is to be done when it goes.
#[derive(Clone, Copy, Debug)]
struct Event {
    /// The record that was gone through, if there was one yet.
    visited: Option<VisitId>,
    what: What,
}

/// A term of a record that was gone through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) visited: VisitId,
    /// The octet of the record that it begins at.
    pub(super) term: u16,
}

impl Place {
    pub(super) fn term<'a>(&self, all: &'a Visits) -> Option<Term<'a>> {
        all.numbered(Some(self.visited))?.record.term_at(self.term)
    }
}

/// Places are in the record that is gone through.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Record,
    Answer {
        name: NameId,
        kind: RecordKind,
        answer: Answered,
    },
    /// From one octet of the record to another.
    NoMatch {
        start: u16,
        end: u16,
    },
    Match {
        term: u16,
    },
    Unusable {
        term: u16,
    },
    Included {
        term: u16,
        result: SpfResult,
    },
    Redirect {
        domain: NameId,
    },
    Default,
    Validated {
        names: u32,
    },
}

/// The steps so far, up to a number.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// Those of most checks stand in the value.
    first_events: [Event; FIRST_EVENTS],
    other_events: Vec<Event>,
    /// How many there are.
    events: usize,
    cut: bool,
}

const FIRST_EVENTS: usize = 8;

impl Trace {
    pub(super) const EMPTY: Trace = Trace {
        first_events: [Event { visited: None, what: What::Default }; FIRST_EVENTS],
        other_events: Vec::new(),
        events: 0,
        cut: false,
    };

    #[inline(always)]
    pub(super) fn push(&mut self, max: usize, visited: Option<VisitId>, what: What) {
        if self.events >= max {
            self.cut = true;
            return;
        }
        match self.first_events.get_mut(self.events) {
            Some(event) => *event = Event { visited, what },
            None => self.other_events.push(Event { visited, what }),
        }
        self.events += 1;
    }

    pub(super) fn steps<'a>(&'a self, all: &'a Visits, names: &'a Names) -> impl Iterator<Item = Step<'a>> {
        let events = self.first_events.iter().chain(&self.other_events).take(self.events);
        let steps = events.filter_map(|event| event.step(all, names));
        steps.chain(self.cut.then_some(Step::Cut))
    }
}

impl Event {
    /// `None` never comes: an event is about a record that was visited.
    fn step<'a>(&self, all: &'a Visits, names: &'a Names) -> Option<Step<'a>> {
        let visited = all.numbered(self.visited);
        let depth = visited.map_or(0, |visited| visited.depth) as usize;
        Some(match self.what {
            What::Record => {
                let Visited { domain, record, .. } = visited?;
                Step::Record { depth, domain: names.at(*domain), record }
            }
            What::Answer { name, kind, answer } => Step::Answer { depth, name: names.at(name), kind, answer },
            What::NoMatch { start, end } => Step::NoMatch { depth, terms: visited?.record.terms_in(start, end) },
            What::Match { term } => {
                let term = visited?.record.term_at(term)?;
                let Term::Directive(qualifier, _) = term else { return None };
                Step::Match { depth, term, result: qualifier.result() }
            }
            What::Unusable { term } => Step::Unusable { depth, term: visited?.record.term_at(term)? },
            What::Included { term, result } => Step::Included { depth, term: visited?.record.term_at(term)?, result },
            What::Redirect { domain } => Step::Redirect { depth, domain: names.at(domain) },
            What::Default => Step::Default { depth },
            What::Validated { names } => Step::Validated { names: names as usize },
        })
    }
}

impl Step<'_> {
    const fn depth(&self) -> usize {
        match self {
            Step::Record { depth, .. }
            | Step::Answer { depth, .. }
            | Step::NoMatch { depth, .. }
            | Step::Match { depth, .. }
            | Step::Unusable { depth, .. }
            | Step::Included { depth, .. }
            | Step::Redirect { depth, .. }
            | Step::Default { depth } => *depth,
            Step::Validated { .. } | Step::Cut => 0,
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:1$}", "", 2 * self.depth())?;
        match self {
            Step::Record { domain, record, .. } => write!(f, "{domain}: {record}"),
            Step::Answer { name, kind, answer, .. } => write!(f, "{name} {kind}: {answer}"),
            Step::NoMatch { terms, .. } => {
                let mechanisms = terms.clone().filter(|term| matches!(term, Term::Directive(..)));
                let mut count = 0;
                for term in mechanisms {
                    write!(f, "{term} ")?;
                    count += 1;
                }
                f.write_str(if count == 1 { "does not match" } else { "do not match" })
            }
            Step::Match { term, result, .. } => write!(f, "{term} matches: {result}"),
            Step::Unusable { term, .. } => write!(f, "{term} stands for no name that can be asked for"),
            Step::Included { term, result, .. } => {
                write!(
                    f,
                    "{term} came to {result}, so it {}",
                    if *result == SpfResult::Pass { "matches" } else { "does not match" }
                )
            }
            Step::Redirect { domain, .. } => write!(f, "nothing matches, so {domain} decides"),
            Step::Default { .. } => f.write_str("nothing matches: neutral"),
            Step::Validated { names: 0 } => f.write_str("the client has no validated names"),
            Step::Validated { names: 1 } => f.write_str("the client has 1 validated name"),
            Step::Validated { names } => write!(f, "the client has {names} validated names"),
            Step::Cut => f.write_str("more steps are not kept"),
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answered::Records(1) => f.write_str("1 record"),
            Answered::Records(count) => write!(f, "{count} records"),
            Answered::NoData => f.write_str("no such record"),
            Answered::NoSuchName => f.write_str("no such name"),
            Answered::TryLater => f.write_str("no certain answer"),
        }
    }
}
