//! What was asked and what is known, whatever the order of the answers.

use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::dns::{self, DnsAnswer, DnsOutcome, Name, Question, QuestionId, RecordKind};

use super::{Finding, Record, RecordError};

/// Look-ups of one check. What is not known is asked for once; identifiers that share domains with the author share the
/// answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookups {
    entries: Vec<Entry>,
    /// Entries that were handed out as questions.
    asked: usize,
    is_given_up: bool,
}

#[derive(Clone, Debug)]
struct Entry {
    domain: Name,
    question: Name,
    kind: RecordKind,
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
enum Answer {
    Record(Finding),
    Existence(Existence),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    Exists,
    Missing,
    TryLater,
}

impl Lookups {
    /// The policy record at a domain; `None` until it is known.
    pub(super) fn record(&mut self, domain: &Name) -> Option<&Finding> {
        let index = match self.find(domain, RecordKind::Txt) {
            Some(index) => index,
            None => {
                // RFC 9989 §4.5. A name that is too long for the label has no record.
                let (question, answer) = match domain.with_prefix("_dmarc") {
                    Ok(question) => (question, self.is_given_up.then_some(Answer::Record(Finding::TryLater))),
                    Err(_) => (domain.clone(), Some(Answer::Record(Finding::Nothing))),
                };
                self.add(Entry { domain: domain.clone(), question, kind: RecordKind::Txt, answer })
            }
        };
        match &self.entries[index].answer {
            Some(Answer::Record(finding)) => Some(finding),
            _ => None,
        }
    }

    /// Whether a domain exists; `None` until it is known.
    pub(super) fn existence(&mut self, domain: &Name) -> Option<Existence> {
        // RFC 9989 §3.2.13: any kind of record will do, as only NXDOMAIN counts.
        let index = match self.find(domain, RecordKind::A) {
            Some(index) => index,
            None => {
                let answer = self.is_given_up.then_some(Answer::Existence(Existence::TryLater));
                self.add(Entry { domain: domain.clone(), question: domain.clone(), kind: RecordKind::A, answer })
            }
        };
        match self.entries[index].answer {
            Some(Answer::Existence(existence)) => Some(existence),
            _ => None,
        }
    }

    /// Number of different look-ups so far.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// How many of these domains were not yet looked up for their record.
    pub(super) fn count_new(&self, domains: &[Name]) -> usize {
        domains.iter().filter(|domain| self.find(domain, RecordKind::Txt).is_none()).count()
    }

    pub(super) fn next_question(&mut self) -> Option<Question> {
        loop {
            let index = self.asked;
            let entry = self.entries.get(index)?;
            self.asked += 1;
            if entry.answer.is_none() {
                let id = QuestionId(u32::try_from(index).expect("limits keep the questions few"));
                return Some(Question::new(id, entry.question.clone(), entry.kind));
            }
        }
    }

    pub(super) fn answer(&mut self, id: QuestionId, answer: &DnsAnswer) {
        let index = usize::try_from(id.0).unwrap_or(usize::MAX);
        let Some(entry) = self.entries[..self.asked].get_mut(index).filter(|entry| entry.answer.is_none()) else {
            return;
        };
        entry.answer = Some(match entry.kind {
            RecordKind::Txt => Answer::Record(read_record(answer)),
            _ => Answer::Existence(match answer.outcome {
                DnsOutcome::Found(_) | DnsOutcome::NoData => Existence::Exists,
                DnsOutcome::NoSuchName => Existence::Missing,
                _ => Existence::TryLater,
            }),
        });
    }

    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
        for entry in self.entries.iter_mut().filter(|entry| entry.answer.is_none()) {
            entry.answer = Some(match entry.kind {
                RecordKind::Txt => Answer::Record(Finding::TryLater),
                _ => Answer::Existence(Existence::TryLater),
            });
        }
    }

    fn find(&self, domain: &Name, kind: RecordKind) -> Option<usize> {
        self.entries.iter().position(|entry| entry.kind == kind && entry.domain == *domain)
    }

    fn add(&mut self, entry: Entry) -> usize {
        self.entries.push(entry);
        self.entries.len() - 1
    }
}

/// RFC 9989 §4.10, steps 2 and 6.
fn read_record(answer: &DnsAnswer) -> Finding {
    match answer.outcome {
        DnsOutcome::Found(_) => {}
        DnsOutcome::NoData | DnsOutcome::NoSuchName => return Finding::Nothing,
        _ => return Finding::TryLater,
    }
    let texts = answer.records().filter_map(dns::Record::text);
    let mut records = texts.map(Record::parse).filter(|record| *record != Err(RecordError::NotDmarc));
    match (records.next(), records.next()) {
        (None, _) => Finding::Nothing,
        (Some(Ok(record)), None) => Finding::Record(Arc::new(record)),
        (Some(Err(error)), None) => Finding::Broken(error),
        (Some(_), Some(_)) => Finding::Several,
    }
}
