//! The keys that signatures need: each name is asked for once.

use alloc::vec::Vec;

use pillarbox_core::dns::{DnsAnswer, DnsOutcome, Name, Question, QuestionId, Record, RecordKind};

use super::{KeyError, KeyRecord};

/// Text records of one name that are looked at.
const RECORDS_MAX: usize = 16;
/// Key records of one name that are tried: RFC 6376 §3.6.2.2 knows one.
const KEYS_MAX: usize = 4;

/// The lookups of one message.
#[derive(Debug)]
pub(crate) struct KeyLookups {
    max: usize,
    lookups: Vec<Lookup>,
    asked: usize,
}

#[derive(Debug)]
struct Lookup {
    name: Name,
    answer: Option<KeyAnswer>,
}

/// What the DNS said about the keys of a name.
#[derive(Debug)]
pub(crate) enum KeyAnswer {
    /// At least one, in the order of their texts.
    Keys(Vec<KeyRecord>),
    /// None, and why the first record is none, if there was one.
    None(Option<KeyError>),
    /// Nothing certain.
    TryLater,
}

impl KeyLookups {
    pub(crate) const fn new(max: usize) -> Self {
        KeyLookups { max, lookups: Vec::new(), asked: 0 }
    }

    /// Asks for the keys of a name; `None` if that is one name too many.
    pub(crate) fn want(&mut self, name: &Name) -> Option<usize> {
        if let Some(known) = self.lookups.iter().position(|lookup| lookup.name == *name) {
            return Some(known);
        }
        if self.lookups.len() >= self.max {
            return None;
        }
        self.lookups.push(Lookup { name: name.clone(), answer: None });
        Some(self.lookups.len() - 1)
    }

    /// The next question that was not asked yet.
    pub(crate) fn next_question(&mut self) -> Option<Question> {
        let lookup = self.lookups.get(self.asked)?;
        let id = QuestionId(u32::try_from(self.asked).ok()?);
        self.asked += 1;
        Some(Question::new(id, lookup.name.clone(), RecordKind::Txt))
    }

    /// Takes an answer; gives the lookup if it was its first.
    pub(crate) fn answer(&mut self, id: QuestionId, answer: &DnsAnswer) -> Option<usize> {
        let at = usize::try_from(id.0).ok().filter(|at| *at < self.asked)?;
        let lookup = self.lookups.get_mut(at).filter(|lookup| lookup.answer.is_none())?;
        lookup.answer = Some(read(answer));
        Some(at)
    }

    /// All that is open will not be answered.
    pub(crate) fn give_up(&mut self) {
        for lookup in &mut self.lookups {
            lookup.answer.get_or_insert(KeyAnswer::TryLater);
        }
        self.asked = self.lookups.len();
    }

    pub(crate) fn answer_of(&self, lookup: usize) -> Option<&KeyAnswer> {
        self.lookups[lookup].answer.as_ref()
    }

    pub(crate) fn name_of(&self, lookup: usize) -> &Name {
        &self.lookups[lookup].name
    }

    pub(crate) fn len(&self) -> usize {
        self.lookups.len()
    }

    pub(crate) fn are_answered(&self) -> bool {
        self.lookups.iter().all(|lookup| lookup.answer.is_some())
    }
}

fn read(answer: &DnsAnswer) -> KeyAnswer {
    match answer.outcome {
        DnsOutcome::TryLater => return KeyAnswer::TryLater,
        DnsOutcome::NoData | DnsOutcome::NoSuchName => return KeyAnswer::None(None),
        // What is found is read below, and another outcome has no records.
        _ => {}
    }
    let mut texts = answer.records().filter_map(Record::text).take(RECORDS_MAX).collect::<Vec<_>>();
    // Servers turn the order of records about: nothing that follows may depend on it.
    texts.sort_unstable();
    let (mut keys, mut error) = (Vec::new(), None);
    for text in texts {
        match KeyRecord::parse(text) {
            Ok(key) if keys.len() < KEYS_MAX => keys.push(key),
            Ok(_) => {}
            // A revocation says more than a text that is about something else.
            Err(KeyError::Revoked) => error = Some(KeyError::Revoked),
            Err(other) => error = error.or(Some(other)),
        }
    }
    if keys.is_empty() { KeyAnswer::None(error) } else { KeyAnswer::Keys(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn found(texts: &[&str]) -> KeyAnswer {
        let records = texts.iter().map(|text| (60, Record::txt(text)));
        read(&DnsAnswer::found("a.example".parse().unwrap(), records))
    }

    #[test]
    fn each_name_is_asked_for_once() {
        let mut lookups = KeyLookups::new(2);
        let name = |text: &str| text.parse::<Name>().unwrap();
        assert_eq!(lookups.want(&name("a.example")), Some(0));
        assert_eq!(lookups.want(&name("b.example")), Some(1));
        assert_eq!(lookups.want(&name("A.example")), Some(0));
        assert_eq!(lookups.want(&name("c.example")), None);
        // Not asked yet.
        assert_eq!(lookups.answer(QuestionId(0), &DnsAnswer::no_data()), None);
        assert_eq!(lookups.next_question().map(|question| question.id), Some(QuestionId(0)));
        assert_eq!(lookups.next_question().map(|question| question.id), Some(QuestionId(1)));
        assert_eq!(lookups.next_question(), None);
        assert_eq!(lookups.answer(QuestionId(1), &DnsAnswer::no_data()), Some(1));
        assert_eq!(lookups.answer(QuestionId(1), &DnsAnswer::try_later()), None);
        assert_eq!(lookups.answer(QuestionId(7), &DnsAnswer::try_later()), None);
        assert!(!lookups.are_answered());
        lookups.give_up();
        assert!(lookups.are_answered());
        assert!(matches!(lookups.answer_of(1), Some(KeyAnswer::None(None))));
    }

    #[test]
    fn keys_among_other_records() {
        assert!(matches!(found(&["v=spf1 -all", ED25519]), KeyAnswer::Keys(keys) if keys.len() == 1));
        assert!(matches!(found(&[ED25519; 6]), KeyAnswer::Keys(keys) if keys.len() == KEYS_MAX));
        assert!(matches!(found(&["v=spf1 -all", "p="]), KeyAnswer::None(Some(KeyError::Revoked))));
        let mut texts = ["x=y"; 17];
        texts[16] = ED25519;
        assert!(matches!(found(&texts), KeyAnswer::None(Some(KeyError::NoKey))));
        // 64 KiB in one record.
        assert!(matches!(found(&["x".repeat(65_000).as_str()]), KeyAnswer::None(Some(KeyError::TooLong))));
    }
}
