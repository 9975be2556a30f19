//! Names whose addresses are asked for together: exchangers of `mx`, and the client's own (RFC 7208 §5.4, §5.5).

use alloc::vec::Vec;
use core::mem;

use pillarbox_core::dns::{self, DnsAnswer, Name, Question, QuestionId, RecordKind};

use super::check::{Course, State};
use super::record::Prefixes;
use super::trace::{Answered, What};
use super::{Problem, SpfResult};

/// Names whose addresses are asked for at once, and looked at in their order.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// The number of the question for the first.
    first: u32,
    kind: RecordKind,
    pub(super) prefixes: Prefixes,
    /// The names, and what is known of each: whether one of its addresses is the client's.
    hosts: Vec<(Name, Option<(Answered, bool)>)>,
    /// How many were asked for.
    asked: usize,
    /// How many were looked at.
    seen: usize,
    /// The domain whose exchangers they are, if it has more than are looked at.
    too_many: Option<Name>,
}

impl Course {
    fn hosts(&mut self, names: impl Iterator<Item = Name>, prefixes: Prefixes, too_many: Option<Name>) -> Hosts {
        let hosts = names.map(|name| (name, None)).collect::<Vec<_>>();
        let first = self.next_id;
        self.next_id += u32::try_from(hosts.len()).expect("an answer has at most 65535 records");
        Hosts { first, kind: self.address_kind(), prefixes, hosts, asked: 0, seen: 0, too_many }
    }

    /// The question for the next host, if hosts are asked for.
    pub(super) fn next_host(&mut self) -> Option<Question> {
        let (State::ExchangerHosts(hosts) | State::PointerHosts(hosts)) = &mut self.state else { return None };
        let (name, _) = hosts.hosts.get(hosts.asked)?;
        let id = QuestionId(hosts.first + u32::try_from(hosts.asked).ok()?);
        hosts.asked += 1;
        Some(Question::new(id, name.clone(), hosts.kind))
    }

    // RFC 7208 §5.4
    pub(super) fn take_exchangers(&mut self, prefixes: Prefixes, answer: &DnsAnswer) {
        let asked = self.asked;
        let answered = Answered::of(answer, asked.kind);
        if answered == Answered::TryLater {
            return self.try_later(asked.name, asked.kind);
        }
        let exchangers = answer.records().filter_map(|record| match record {
            // RFC 7505 §3: the root says that there is no exchanger.
            dns::Record::Mx { preference, exchange } if !exchange.is_root() => Some((*preference, exchange)),
            _ => None,
        });
        let mut exchangers = exchangers.collect::<Vec<_>>();
        // So that the result does not depend on how a server mixes them.
        exchangers.sort_unstable();
        // RFC 7208 §4.6.4: no more than 10 names are asked for; to need more is an error.
        let too_many = (exchangers.len() > self.limits.names_max).then(|| self.names.at(asked.name).clone());
        self.answered(asked.name, asked.kind, answered);
        if answered.is_void() && !self.count_void() {
            return;
        }
        let names = exchangers.into_iter().take(self.limits.names_max).map(|(_, name)| name.clone());
        let hosts = self.hosts(names, prefixes, too_many);
        self.state = State::ExchangerHosts(hosts.into());
        self.look_at_exchangers();
    }

    /// Looks at the exchangers in their order, as far as their addresses are known: the result must not depend on which
    /// answer came first.
    pub(super) fn look_at_exchangers(&mut self) {
        loop {
            let State::ExchangerHosts(hosts) = &mut self.state else { return };
            let kind = hosts.kind;
            let Some((name, found)) = hosts.hosts.get_mut(hosts.seen) else {
                if let Some(domain) = hosts.too_many.take() {
                    return self.fail(SpfResult::PermError, Problem::Exchangers(domain));
                }
                return self.mechanism_done(false);
            };
            let Some((answered, is_client)) = *found else { return };
            let name = self.names.push(mem::replace(name, Name::root()));
            hosts.seen += 1;
            if answered == Answered::TryLater {
                return self.try_later(name, kind);
            }
            self.answered(name, kind, answered);
            if answered.is_void() && !self.count_void() {
                return;
            }
            if is_client {
                // The others need not be asked for.
                return self.mechanism_done(true);
            }
        }
    }

    /// Finds the names of the client that lead back to it (RFC 7208 §5.5), once in a check.
    pub(super) fn validate(&mut self) {
        let name = self.names.push(Name::reverse(self.subject.ip));
        self.ask(name, RecordKind::Ptr, State::Pointers);
    }

    pub(super) fn take_pointers(&mut self, answer: &DnsAnswer) {
        let asked = self.asked;
        let answered = Answered::of(answer, asked.kind);
        // RFC 7208 §4.6.4: "all records other than the first 10 MUST be ignored".
        let names = answer.records().filter_map(|record| match record {
            dns::Record::Ptr(name) if !name.is_root() => Some(name.clone()),
            _ => None,
        });
        let hosts = self.hosts(names.take(self.limits.names_max), Prefixes::WHOLE, None);
        self.answered(asked.name, asked.kind, answered);
        self.state = State::PointerHosts(hosts.into());
        self.look_at_pointers();
    }

    pub(super) fn look_at_pointers(&mut self) {
        let State::PointerHosts(hosts) = &mut self.state else { return };
        if hosts.hosts.iter().any(|(_, found)| found.is_none()) {
            return;
        }
        let kind = hosts.kind;
        let mut validated = Vec::new();
        for (name, found) in mem::take(&mut hosts.hosts) {
            // RFC 7208 §5.5: what cannot be looked up is skipped.
            let (answered, is_client) = found.unwrap_or((Answered::TryLater, false));
            if is_client {
                validated.push(name.clone());
            }
            let name = self.names.push(name);
            self.answered(name, kind, answered);
        }
        self.step(What::Validated { names: u32::try_from(validated.len()).unwrap_or(u32::MAX) });
        self.validated = Some(validated);
        self.resume();
    }
}

impl Hosts {
    pub(super) fn take(&mut self, id: QuestionId, answer: &DnsAnswer, is_client: bool) {
        let index = id.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some((_, found)) = index.and_then(|index| self.hosts.get_mut(index)) {
            *found = Some((Answered::of(answer, self.kind), is_client));
        }
    }
}
