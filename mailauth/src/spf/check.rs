//! The check itself (`check_host()` of RFC 7208 §4).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;
use core::net::IpAddr;

use pillarbox_core::address::ReversePath;
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, RecordKind};

use super::hosts::Hosts;
use super::kept::Kept;
use super::macros::{self, Values};
use super::outcome::Subject;
use super::record::{self, Prefixes, Record, RecordError};
use super::scan::ClientIp;
use super::trace::{Answered, Place, Trace, What};
use super::visits::{Visited, Visits};
use super::{Broad, Client, Counters, Identity, Limits, Outcome, Problem, SpfResult};
use crate::idn;

/// A check of one identity. The [module](super) has an example.
#[derive(Debug)]
pub struct Check(
    /// Nothing when the outcome was given out.
    Option<Box<Course>>,
);

/// How far a check came. It stays at its place from the first question on, and the outcome has it.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) limits: Limits,
    pub(super) identity: Identity,
    pub(super) subject: Subject,
    /// Records that were gone through; each knows whose `include` led there, and steps refer to them.
    pub(super) visited: Visits,
    /// The record that is gone through.
    pub(super) current: Option<u32>,
    pub(super) state: State,
    pub(super) phase: Phase,
    /// The names of the client that lead back to it, once somebody has asked (RFC 7208 §5.5).
    pub(super) validated: Option<Vec<Name>>,
    /// The question that was asked last, other than those for the addresses of hosts.
    pub(super) asked: Asked,
    /// Whether it was not given out yet. Those for the addresses of hosts are made when there is room for them.
    is_pending: bool,
    /// Questions that were not answered yet.
    open: OpenQuestions,
    pub(super) next_id: u32,
    pub(super) counters: Counters,
    pub(super) broad: Option<Broad>,
    pub(super) matched: Option<Place>,
    pub(super) trace: Trace,
    pub(super) explanation: Option<String>,
    /// What it came to.
    pub(super) result: Option<SpfResult>,
    /// Hardly any check has one.
    pub(super) problem: Option<Box<Problem>>,
}

/// Numbers of questions. There seldom is more than one, for which no list is made.
#[derive(Clone, Debug, Default)]
struct OpenQuestions {
    one: Option<QuestionId>,
    others: Vec<QuestionId>,
}

impl OpenQuestions {
    fn len(&self) -> usize {
        usize::from(self.one.is_some()) + self.others.len()
    }

    fn add(&mut self, id: QuestionId) {
        match self.one {
            None => self.one = Some(id),
            Some(_) => self.others.push(id),
        }
    }

    /// Whether the question was open.
    fn remove(&mut self, id: QuestionId) -> bool {
        if self.one == Some(id) {
            self.one = None;
            return true;
        }
        let at = self.others.iter().position(|open| *open == id);
        at.map(|at| self.others.swap_remove(at)).is_some()
    }
}

/// Which answer is waited for.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// None: the check is finished.
    Done,
    Record(Via),
    Addresses(Prefixes),
    /// Of `exists`.
    Existence,
    Exchangers(Prefixes),
    ExchangerHosts(Box<Hosts>),
    Pointers,
    PointerHosts(Box<Hosts>),
    Explanation,
}

/// What is to be gone on with when the names of the client are known.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Terms,
    /// Of the record with this number.
    Explain(u32),
    Explanation(u32, String),
}

/// How a record came to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Root,
    Include,
    Redirect,
}

/// A question that is open.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: QuestionId,
    pub(super) name: Name,
    pub(super) kind: RecordKind,
}

impl Check {
    /// Checks the name in HELO or EHLO (RFC 7208 §2.3).
    pub fn helo(client: &Client, limits: Limits) -> Self {
        Check::sender(client, Identity::Helo, "", &client.helo, limits)
    }

    /// Checks the path of MAIL (RFC 7208 §2.4).
    pub fn mail_from(client: &Client, path: &ReversePath<'_>, limits: Limits) -> Self {
        let Some(address) = path.address() else {
            let course = Course::new(client, Identity::MailFrom, b"", parse_domain(&client.helo), limits);
            return Course { subject: Subject { null_path: true, ..course.subject }, ..course }.begin();
        };
        let (local, domain) = (address.local(), address.domain());
        let name = if domain.is_literal() { Err(shown(domain.as_str())) } else { parse_name(domain.as_bytes()) };
        let unquoted;
        let local = if local.is_quoted() {
            unquoted = local.unquoted();
            unquoted.as_bytes()
        } else {
            local.as_bytes()
        };
        Course::new(client, Identity::MailFrom, local, name, limits).begin()
    }

    /// Checks an identity that comes in parts: a local part without quotes, `postmaster` if it is empty, and a domain. What
    /// is no domain name of two labels or more comes to [`SpfResult::None`], without a question.
    pub fn sender(client: &Client, identity: Identity, local: &str, domain: &str, limits: Limits) -> Self {
        Course::new(client, identity, local.as_bytes(), parse_domain(domain), limits).begin()
    }
}

impl Course {
    /// `local` is UTF-8.
    #[inline(always)]
    fn new(client: &Client, identity: Identity, local: &[u8], domain: Result<Name, String>, limits: Limits) -> Self {
        let helo = if client.helo.is_ascii() { None } else { parse_domain(&client.helo).ok() };
        let helo = helo.map_or_else(|| Kept::share(&client.helo), |name| Kept::copy(name.as_octets()));
        Course {
            limits,
            identity,
            subject: Subject {
                // RFC 7208 §5: a client with a mapped address is an IPv4 client.
                ip: client.ip.to_canonical(),
                helo,
                // RFC 7208 §4.3
                local: Kept::copy(if local.is_empty() { b"postmaster" } else { local }),
                domain,
                receiver: client.receiver.clone(),
                now: client.now,
                null_path: false,
            },
            visited: Visits::NONE,
            current: None,
            state: State::Done,
            phase: Phase::Terms,
            validated: None,
            asked: Asked { id: QuestionId(0), name: Name::root(), kind: RecordKind::Txt },
            is_pending: false,
            open: OpenQuestions::default(),
            next_id: 0,
            counters: Counters::default(),
            broad: None,
            matched: None,
            trace: Trace::new(),
            explanation: None,
            result: None,
            problem: None,
        }
    }

    #[inline(always)]
    fn begin(self) -> Check {
        let mut course = Box::write(Box::new_uninit(), self);
        match &course.subject.domain {
            Ok(domain) => {
                let domain = domain.clone();
                course.ask(domain, RecordKind::Txt, State::Record(Via::Root));
            }
            Err(_) => course.fail(SpfResult::None, Problem::NoDomain),
        }
        Check(Some(course))
    }

    #[inline(always)]
    pub(super) fn ask(&mut self, name: Name, kind: RecordKind, state: State) {
        self.asked.name = name;
        self.ask_it(kind, state);
    }

    /// Asks for the name that was put where that of the last question was.
    #[inline(always)]
    pub(super) fn ask_it(&mut self, kind: RecordKind, state: State) {
        self.asked.id = QuestionId(self.next_id);
        self.asked.kind = kind;
        self.next_id += 1;
        self.is_pending = true;
        self.state = state;
    }

    /// The question that was answered.
    pub(super) fn take_asked(&mut self) -> Asked {
        let Asked { id, name, kind } = &mut self.asked;
        Asked { id: *id, name: mem::replace(name, Name::root()), kind: *kind }
    }

    /// RFC 7208 §5: "when <ip> is an IPv4, "A" records are fetched; when <ip> is an IPv6 address, "AAAA" records are fetched".
    pub(super) const fn address_kind(&self) -> RecordKind {
        if self.subject.ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa }
    }

    #[inline(always)]
    pub(super) fn step(&mut self, what: What) {
        self.trace.push(self.limits.steps_max, self.current, what);
    }

    pub(super) fn answered(&mut self, asked: Asked, answer: Answered) {
        let name = self.trace.note(self.limits.steps_max, asked.name);
        self.step(What::Answer { name, kind: asked.kind, answer });
    }

    // RFC 7208 §4.4, §4.5
    fn take_record(&mut self, via: Via, answer: DnsAnswer) {
        let asked = self.take_asked();
        let set = match answer.outcome {
            DnsOutcome::Found(set) => set,
            DnsOutcome::NoData | DnsOutcome::NoSuchName => {
                let (name, answered) = (asked.name.clone(), Answered::of(&answer, asked.kind));
                self.answered(asked, answered);
                return self.no_record(name, via);
            }
            _ => return self.try_later(asked),
        };
        let (mut found, mut size) = (None, 0);
        for (index, record) in set.records().iter().enumerate() {
            let Some(text) = record.text() else { continue };
            size += text.len();
            if Record::is_record(text) && found.replace((index, text)).is_some() {
                return self.fail(SpfResult::PermError, Problem::SeveralRecords(asked.name));
            }
        }
        let Some((index, text)) = found else { return self.no_record(asked.name, via) };
        let size_max = self.limits.record_size_max.min(u16::MAX.into());
        if text.len() > size_max {
            return self.fail(SpfResult::PermError, Problem::RecordSize(asked.name));
        }
        // An answer that is kept must not hold much more than a record may have.
        let is_small = size + size_of_val(set.records()) <= size_max;
        let from = self.current();
        let (includer, depth) = match (from, via) {
            (Some(from), Via::Include) => (self.current, from.depth + 1),
            (Some(from), Via::Root | Via::Redirect) => (from.includer, from.depth),
            (None, _) => (None, 0),
        };
        let visited = Visited::new(asked.name, Record::of_answer(set, index), includer, depth);
        // It is gone through where it lies: what was just written by parts is slow to be moved as a whole.
        let (number, Visited { domain, record, stop, .. }) = self.visited.push(visited);
        if !is_small {
            record.detach();
        }
        if let Err(error) = record.check(ClientIp::new(self.subject.ip), stop) {
            let term = excerpt(record.octets(), error);
            let problem = Problem::Syntax { domain: domain.clone(), error, term };
            self.visited.pop();
            return self.fail(SpfResult::PermError, problem);
        }
        let (is_behind_networks, start) = (stop.is_behind_networks, stop.start);
        self.current = Some(number);
        self.step(What::Record);
        self.go_over(is_behind_networks, record::VERSION_END, start);
        self.evaluate();
    }

    fn no_record(&mut self, domain: Name, via: Via) {
        // RFC 7208 §5.2, §6.1: who leads elsewhere must lead to a record.
        let result = if via == Via::Root { SpfResult::None } else { SpfResult::PermError };
        self.fail(result, Problem::NoRecord(domain));
    }

    pub(super) fn try_later(&mut self, asked: Asked) {
        let problem = Problem::Dns(asked.name.clone(), asked.kind);
        self.answered(asked, Answered::TryLater);
        self.fail(SpfResult::TempError, problem);
    }

    fn take_addresses(&mut self, prefixes: Prefixes, answer: &DnsAnswer) {
        let asked = self.take_asked();
        let answered = Answered::of(answer, asked.kind);
        if answered == Answered::TryLater {
            return self.try_later(asked);
        }
        let is_client = self.is_client(answer, prefixes);
        self.answered(asked, answered);
        self.go_on(answered, is_client);
    }

    // RFC 7208 §5.7: "If any A record is returned, this mechanism matches."
    fn take_existence(&mut self, answer: &DnsAnswer) {
        let asked = self.take_asked();
        let answered = Answered::of(answer, asked.kind);
        if answered == Answered::TryLater {
            return self.try_later(asked);
        }
        self.answered(asked, answered);
        self.go_on(answered, matches!(answered, Answered::Records(_)));
    }

    /// The answer to the question of a mechanism is known.
    fn go_on(&mut self, answered: Answered, matches: bool) {
        if answered.is_void() && !self.count_void() {
            return;
        }
        self.mechanism_done(matches);
    }

    pub(super) fn resume(&mut self) {
        match mem::replace(&mut self.phase, Phase::Terms) {
            Phase::Terms => self.evaluate(),
            Phase::Explain(visited) => self.explain(visited),
            Phase::Explanation(visited, text) => self.expand_explanation(visited, &text),
        }
    }

    // RFC 7208 §6.2
    pub(super) fn explain(&mut self, visited: u32) {
        let Some(Visited { domain, record, .. }) = self.visited.numbered(Some(visited)) else {
            return self.finish(SpfResult::Fail);
        };
        let name = match record.explanation() {
            Some(target) if self.validated.is_none() && target.uses(b"p") => {
                self.phase = Phase::Explain(visited);
                return self.validate();
            }
            Some(target) => target.expand(&self.values(domain)).ok(),
            None => None,
        };
        // "If there are any DNS processing errors ... proceed as if no "exp" modifier was given."
        let Some(name) = name else { return self.finish(SpfResult::Fail) };
        self.phase = Phase::Explain(visited);
        self.ask(name, RecordKind::Txt, State::Explanation);
    }

    fn take_explanation(&mut self, answer: &DnsAnswer) {
        let asked = self.take_asked();
        let mut texts = answer.records().filter_map(dns::Record::text);
        // "if more than one record is returned": which of them was meant cannot be known.
        let text = texts.next().filter(|_| texts.next().is_none());
        let text = text.filter(|text| text.len() <= self.limits.record_size_max);
        let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok());
        let answered = Answered::of(answer, asked.kind);
        self.answered(asked, answered);
        let (Phase::Explain(visited), Some(text)) = (&self.phase, text) else {
            return self.finish(SpfResult::Fail);
        };
        let visited = *visited;
        if self.validated.is_none() && macros::explanation_uses_validated(&text) {
            self.phase = Phase::Explanation(visited, text);
            return self.validate();
        }
        self.expand_explanation(visited, &text);
    }

    fn expand_explanation(&mut self, visited: u32, text: &str) {
        let domain = self.visited.numbered(Some(visited)).map(|visited| &visited.domain);
        let size_max = self.limits.explanation_size_max;
        let explanation = domain.and_then(|domain| macros::explain(text, &self.values(domain), size_max));
        self.explanation = explanation;
        self.finish(SpfResult::Fail);
    }

    /// What macros stand for in the record of `domain`.
    pub(super) fn values<'a>(&'a self, domain: &'a Name) -> Values<'a> {
        let validated = self.validated.as_deref().unwrap_or_default();
        // RFC 7208 §7.3: the domain itself, else a name below it, else any.
        let best = validated.iter().find(|name| *name == domain);
        let best = best.or_else(|| validated.iter().find(|name| name.is_within(domain))).or(validated.first());
        Values {
            local: self.subject.local.as_str(),
            sender_domain: self.subject.domain.as_ref().map_or("unknown", Name::as_str),
            domain: domain.as_str(),
            ip: self.subject.ip,
            validated: best.map_or("unknown", Name::as_str),
            helo: self.subject.helo.as_str(),
            receiver: self.subject.receiver.as_ref().map_or("unknown", Name::as_str),
            now: self.subject.now,
        }
    }

    pub(super) fn is_client(&self, answer: &DnsAnswer, prefixes: Prefixes) -> bool {
        answer.records().any(|record| match (record, self.subject.ip) {
            (dns::Record::A(ip), IpAddr::V4(client)) => prefixes.cover_ip4(*ip, client),
            (dns::Record::Aaaa(ip), IpAddr::V6(client)) => prefixes.cover_ip6(*ip, client),
            _ => false,
        })
    }

    // RFC 7208 §4.6.4
    pub(super) fn count_void(&mut self) -> bool {
        self.counters.void_lookups += 1;
        let within = self.counters.void_lookups <= self.limits.void_lookups_max;
        if !within {
            self.fail(SpfResult::PermError, Problem::VoidLookups);
        }
        within
    }

    pub(super) fn finish(&mut self, result: SpfResult) {
        self.state = State::Done;
        self.is_pending = false;
        self.result = Some(result);
    }

    #[cold]
    pub(super) fn fail(&mut self, result: SpfResult, problem: Problem) {
        self.problem = Some(problem.into());
        self.finish(result);
    }

    fn next_question(&mut self) -> Option<Question> {
        if !mem::take(&mut self.is_pending) {
            return self.next_host();
        }
        let Asked { id, name, kind } = &self.asked;
        Some(Question::new(*id, name.clone(), *kind))
    }

    fn take_answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if !self.open.remove(id) {
            return;
        }
        let is_asked = self.asked.id == id;
        match mem::replace(&mut self.state, State::Done) {
            State::Record(via) if is_asked => self.take_record(via, answer),
            State::Addresses(prefixes) if is_asked => self.take_addresses(prefixes, &answer),
            State::Existence if is_asked => self.take_existence(&answer),
            State::Exchangers(prefixes) if is_asked => self.take_exchangers(prefixes, &answer),
            State::Pointers if is_asked => self.take_pointers(&answer),
            State::Explanation if is_asked => self.take_explanation(&answer),
            State::ExchangerHosts(mut hosts) => {
                let is_client = self.is_client(&answer, hosts.prefixes);
                hosts.take(id, &answer, is_client);
                self.state = State::ExchangerHosts(hosts);
                self.look_at_exchangers();
            }
            State::PointerHosts(mut hosts) => {
                let is_client = self.is_client(&answer, hosts.prefixes);
                hosts.take(id, &answer, is_client);
                self.state = State::PointerHosts(hosts);
                self.look_at_pointers();
            }
            // An exchanger that is not needed any more.
            state => self.state = state,
        }
    }

    fn give_up(&mut self) {
        if matches!(self.state, State::Done) {
            return;
        }
        match mem::replace(&mut self.phase, Phase::Terms) {
            // RFC 7208 §4.6.4: "the result of authorization SHOULD be "temperror"."
            Phase::Terms => self.fail(SpfResult::TempError, Problem::GaveUp),
            Phase::Explain(_) => self.finish(SpfResult::Fail),
            Phase::Explanation(visited, text) => self.expand_explanation(visited, &text),
        }
    }
}

impl DnsMachine for Check {
    type Output = Outcome;

    fn poll(&mut self) -> DnsStep<Outcome> {
        let Some(course) = &mut self.0 else { return DnsStep::Wait };
        if course.result.is_none() {
            if course.open.len() < course.limits.open_questions_max.max(1)
                && let Some(question) = course.next_question()
            {
                course.open.add(question.id);
                course.counters.questions += 1;
                return DnsStep::Ask(question);
            }
            return DnsStep::Wait;
        }
        match self.0.take().and_then(Outcome::of) {
            Some(outcome) => DnsStep::Done(outcome),
            None => DnsStep::Wait,
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        if let Some(course) = &mut self.0 {
            course.take_answer(id, answer);
        }
    }

    fn give_up(&mut self) {
        if let Some(course) = &mut self.0 {
            course.give_up();
        }
    }
}

/// RFC 7208 §4.3: the domain of an identity, or the text that is none. RFC 8616 §4: U-labels are made A-labels.
fn parse_domain(text: &str) -> Result<Name, String> {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.') || octet >= 0x80;
    if text.bytes().all(is_plain) { parse_name(text.as_bytes()) } else { Err(shown(text)) }
}

/// The same for a text of letters, digits, hyphens, underscores and dots, and of what lies beyond ASCII.
fn parse_name(text: &[u8]) -> Result<Name, String> {
    // Nearly all are ASCII, and need not become a text.
    let name = Name::from_octets(text).ok().or_else(|| {
        let text = core::str::from_utf8(text).ok()?;
        Name::parse(&idn::to_ascii(text).ok()?).ok()
    });
    match name {
        Some(name) if is_domain(&name) => Ok(name),
        _ => Err(shown(&String::from_utf8_lossy(text))),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

/// RFC 7208 §4.3: "a multi-label domain name".
pub(super) fn is_domain(name: &Name) -> bool {
    memchr::memchr(b'.', name.as_octets()).is_some()
}

/// How much of a text that is wrong is kept to be shown.
const SHOWN_MAX: usize = 80;

/// The term of a wrong record that is wrong.
fn excerpt(text: &[u8], error: RecordError) -> String {
    let at = error.at.min(text.len());
    let start = text[..at].iter().rposition(|octet| *octet == b' ').map_or(0, |space| space + 1);
    let end = text[at..].iter().position(|octet| *octet == b' ').map_or(text.len(), |space| at + space);
    text[start..end.min(start + SHOWN_MAX)].escape_ascii().to_string()
}
