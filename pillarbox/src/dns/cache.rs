//! What was answered, for as long as it may be kept.

use std::collections::HashMap;
use std::time::Duration;

use pillarbox_core::Time;
use pillarbox_core::dns::{DnsAnswer, DnsOutcome, Name, Record, RecordKind};

/// Two generations: what is new or was used goes into the young one; when that is full, it becomes the old one, and what was
/// in the old one is forgotten. So nothing has to be sorted, and what is in use stays.
#[derive(Debug)]
pub(super) struct Cache {
    young: Generation,
    old: Generation,
    /// Of one generation.
    entries_max: usize,
    size_max: usize,
}

#[derive(Debug, Default)]
struct Generation {
    entries: HashMap<(Name, RecordKind), Entry>,
    size: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    answer: DnsAnswer,
    since: Time,
    until: Time,
}

impl Cache {
    /// An empty cache with room for so many entries and octets.
    pub(super) fn new(entries_max: usize, size_max: usize) -> Self {
        Cache {
            young: Generation::default(),
            old: Generation::default(),
            entries_max: entries_max / 2,
            size_max: size_max / 2,
        }
    }

    /// An answer that may still be used, its times to live counted from now.
    pub(super) fn find(&mut self, name: &Name, kind: RecordKind, now: Time) -> Option<DnsAnswer> {
        let key = (name.clone(), kind);
        if let Some(entry) = self.young.entries.get(&key) {
            return entry.at(now);
        }
        let entry = self.old.entries.remove(&key)?;
        let answer = entry.at(now)?;
        self.put(key, entry);
        Some(answer)
    }

    /// Keeps an answer for a while.
    pub(super) fn insert(&mut self, name: &Name, kind: RecordKind, answer: &DnsAnswer, keep: Duration, now: Time) {
        if !keep.is_zero() {
            self.put((name.clone(), kind), Entry { answer: answer.clone(), since: now, until: now + keep });
        }
    }

    pub(super) fn clear(&mut self) {
        self.young = Generation::default();
        self.old = Generation::default();
    }

    fn put(&mut self, key: (Name, RecordKind), entry: Entry) {
        let size = size_of_entry(&key.0, &entry.answer);
        if size > self.size_max || self.entries_max == 0 {
            return;
        }
        if self.young.entries.len() >= self.entries_max || self.young.size + size > self.size_max {
            self.old = std::mem::take(&mut self.young);
        }
        if let Some(previous) = self.young.entries.remove(&key) {
            self.young.size -= size_of_entry(&key.0, &previous.answer);
        }
        self.young.size += size;
        self.young.entries.insert(key, entry);
    }
}

impl Entry {
    fn at(&self, now: Time) -> Option<DnsAnswer> {
        if now >= self.until {
            return None;
        }
        let DnsOutcome::Found(set) = &self.answer.outcome else { return Some(self.answer.clone()) };
        let age = u32::try_from(now.since(self.since).as_secs()).unwrap_or(u32::MAX);
        let set = set.clone().with_ttl(set.ttl().saturating_sub(age));
        Some(DnsAnswer::new(DnsOutcome::Found(set), self.answer.validation))
    }
}

/// About what an entry needs.
fn size_of_entry(name: &Name, answer: &DnsAnswer) -> usize {
    let data: usize = answer
        .records()
        .map(|record| {
            size_of::<Record>()
                + match record {
                    Record::Txt(text) => text.len(),
                    Record::Mx { exchange: name, .. } | Record::Ptr(name) | Record::Cname(name) => name.as_str().len(),
                    Record::Tlsa { data, .. } => data.len(),
                    _ => 0,
                }
        })
        .sum();
    ENTRY_SIZE + name.as_str().len() + data
}

/// What an entry needs beside its name and its records.
const ENTRY_SIZE: usize = size_of::<((Name, RecordKind), Entry)>() + 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Name {
        format!("n{number}.example").parse().unwrap()
    }

    fn answer(ttl: u32, size: usize) -> DnsAnswer {
        DnsAnswer::found(name(0), [(ttl, Record::txt("x".repeat(size)))])
    }

    fn at(seconds: u64) -> Time {
        Time::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn answers_grow_old() {
        let mut cache = Cache::new(10, 1 << 20);
        cache.insert(&name(1), RecordKind::Txt, &answer(100, 1), Duration::from_secs(100), at(50));
        assert_eq!(cache.find(&name(1), RecordKind::Txt, at(50)), Some(answer(100, 1)));
        assert_eq!(cache.find(&name(1), RecordKind::Txt, at(149)), Some(answer(1, 1)));
        assert_eq!(cache.find(&name(1), RecordKind::Txt, at(150)), None);
        assert_eq!(cache.find(&name(1), RecordKind::A, at(50)), None);
        cache.insert(&name(2), RecordKind::Txt, &answer(0, 1), Duration::ZERO, at(50));
        assert_eq!(cache.find(&name(2), RecordKind::Txt, at(50)), None);
        cache.clear();
        assert_eq!(cache.find(&name(1), RecordKind::Txt, at(50)), None);
    }

    #[test]
    fn entries_and_octets_are_bounded() {
        let (entries_max, size_max) = (100, 1 << 20);
        for size in [10, 20_000, 600_000] {
            let mut cache = Cache::new(entries_max, size_max);
            for number in 0..300 {
                cache.insert(&name(number), RecordKind::Txt, &answer(9, size), Duration::from_secs(9), at(0));
                let generations = [&cache.young, &cache.old];
                let entries: usize = generations.iter().map(|generation| generation.entries.len()).sum();
                let octets: usize = generations.iter().map(|generation| generation.size).sum();
                assert!(entries <= entries_max && octets <= size_max, "{entries} {octets}");
                // What is asked for again and again stays.
                assert_eq!(cache.find(&name(0), RecordKind::Txt, at(0)).is_some(), size < size_max / 2);
            }
            assert_eq!(cache.find(&name(1), RecordKind::Txt, at(0)), None);
        }
    }
}
