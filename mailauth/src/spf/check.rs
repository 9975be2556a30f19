//! The check itself (`check_host()` of RFC 7208 §4).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;
use core::net::IpAddr;

use pillarbox_core::address::ReversePath;
use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsOutcome, DnsStep, Name, Question, QuestionId, RecordKind};

use super::hosts::Hosts;
use super::macros::Values;
use super::names::{NameId, Names};
use super::open::OpenQuestions;
use super::outcome::Subject;
use super::record::{Prefixes, Record, RecordError};
use super::scan::ClientIp;
use super::stops::{Stop, Stops};
use super::trace::{Answered, Place, Trace, What};
use super::visits::{VisitId, Visited, Visits};
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
    pub(super) names: Names,
    /// Records that were gone through; each knows whose `include` led there, and steps refer to them.
    pub(super) visited: Visits,
    /// The record that is gone through.
    pub(super) current: Option<VisitId>,
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
    Explain(VisitId),
    Explanation(VisitId, String),
}

/// How a record came to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Root,
    Include,
    Redirect,
}

/// A question that is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) id: QuestionId,
    pub(super) name: NameId,
    pub(super) kind: RecordKind,
}

impl Check {
    /// Checks the name in HELO or EHLO (RFC 7208 §2.3).
    pub fn helo(client: &Client, limits: Limits) -> Self {
        Check::sender(client, Identity::Helo, "", &client.helo, limits)
    }

    /// Checks the path of MAIL (RFC 7208 §2.4).
    pub fn mail_from(client: &Client, path: &ReversePath<'_>, limits: Limits) -> Self {
        let mut course = Course::new(client, Identity::MailFrom, limits);
        let Some(address) = path.address() else {
            course.subject.null_path = true;
            course.set_local(b"");
            return course.begin(client.helo.as_bytes());
        };
        let (local, domain) = (address.local(), address.domain());
        if local.is_quoted() {
            course.set_local(local.unquoted().as_bytes());
        } else {
            course.set_local(local.as_bytes());
        }
        if domain.is_literal() {
            return course.refuse(shown(domain.as_str()));
        }
        course.begin(domain.as_bytes())
    }

    /// Checks an identity that comes in parts: a local part without quotes, `postmaster` if it is empty, and a domain. What
    /// is no domain name of two labels or more comes to [`SpfResult::None`], without a question.
    pub fn sender(client: &Client, identity: Identity, local: &str, domain: &str, limits: Limits) -> Self {
        let mut course = Course::new(client, identity, limits);
        course.set_local(local.as_bytes());
        course.begin(domain.as_bytes())
    }

    /// The answer to a question, as the record that [`Record::from_answer`] has found in it: for a cache that keeps records parsed.
    /// It comes to the same, sooner. `false` if the question was not for a record, or is not open: nothing has changed then, and
    /// an open question still needs its [answer](DnsMachine::answer_ref).
    ///
    /// ```
    /// use pillarbox_auth::spf::{Check, Client, Limits, Record, SpfResult};
    /// use pillarbox_core::address::ReversePath;
    /// use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep};
    ///
    /// let text = dns::Record::txt("v=spf1 ip4:192.0.2.0/24 -all");
    /// let answer = DnsAnswer::found("example.org".parse()?, [(3600, text)]);
    /// let record = Record::from_answer(&answer);
    ///
    /// let client = Client::new([192, 0, 2, 1].into(), "mail.example.org");
    /// let (path, _) = ReversePath::take(b"<joe@example.org>", false)?;
    /// let mut check = Check::mail_from(&client, &path, Limits::default());
    /// let outcome = loop {
    ///     match check.poll() {
    ///         DnsStep::Ask(question) => {
    ///             let is_taken = record.as_ref().is_some_and(|record| check.answer_record(question.id, record));
    ///             if !is_taken {
    ///                 check.answer_ref(question.id, &answer);
    ///             }
    ///         }
    ///         DnsStep::Wait => unreachable!("every question was answered"),
    ///         DnsStep::Done(outcome) => break outcome,
    ///     }
    /// };
    /// assert_eq!(outcome.result, SpfResult::Pass);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn answer_record(&mut self, id: QuestionId, record: &Record) -> bool {
        self.0.as_mut().is_some_and(|course| course.take_parsed(id, record))
    }
}

impl Course {
    /// That of nobody, about nothing.
    const BLANK: Course = Course {
        limits: Limits::DEFAULT,
        identity: Identity::MailFrom,
        subject: Subject::NOBODY,
        names: Names::NONE,
        visited: Visits::NONE,
        current: None,
        state: State::Done,
        phase: Phase::Terms,
        validated: None,
        asked: Asked { id: QuestionId(0), name: NameId::FIRST, kind: RecordKind::Txt },
        is_pending: false,
        open: OpenQuestions::NONE,
        next_id: 0,
        counters: Counters { terms: 0, void_lookups: 0, questions: 0 },
        broad: None,
        matched: None,
        trace: Trace::EMPTY,
        explanation: None,
        result: None,
        problem: None,
    };

    /// It is copied as a whole to where it stays, and filled in there: what was just written by parts is slow to be moved.
    #[inline(always)]
    fn new(client: &Client, identity: Identity, limits: Limits) -> Box<Self> {
        let mut course = Box::write(Box::new_uninit(), Course::BLANK);
        course.limits = limits;
        course.identity = identity;
        let Subject { ip, helo, receiver, now, .. } = &mut course.subject;
        // RFC 7208 §5: a client with a mapped address is an IPv4 client.
        *ip = client.ip.to_canonical();
        *now = client.now;
        if client.receiver.is_some() {
            receiver.clone_from(&client.receiver);
        }
        match if client.helo.is_ascii() { None } else { parse_name(client.helo.as_bytes()).ok() } {
            Some(name) => helo.copy(name.as_octets()),
            None => helo.share(&client.helo),
        }
        course
    }

    /// `local` is UTF-8.
    #[inline(always)]
    fn set_local(&mut self, local: &[u8]) {
        // RFC 7208 §4.3
        self.subject.local.copy(if local.is_empty() { b"postmaster" } else { local });
    }

    /// Asks for the record of the domain, if it is one. It is UTF-8.
    #[inline(always)]
    fn begin(mut self: Box<Self>, domain: &[u8]) -> Check {
        // Nearly all are written like that.
        let name = if Name::plain_domain_len(domain) == Some(domain.len()) {
            self.names.push_plain(domain)
        } else {
            match parse_name(domain) {
                Ok(name) => self.names.push(name),
                Err(text) => return self.refuse(text),
            }
        };
        self.ask(name, RecordKind::Txt, State::Record(Via::Root));
        Check(Some(self))
    }

    /// For a text that is no domain.
    #[cold]
    fn refuse(mut self: Box<Self>, text: String) -> Check {
        self.subject.no_domain = Some(text.into());
        self.fail(SpfResult::None, Problem::NoDomain);
        Check(Some(self))
    }

    #[inline(always)]
    pub(super) fn ask(&mut self, name: NameId, kind: RecordKind, state: State) {
        self.asked = Asked { id: QuestionId(self.next_id), name, kind };
        self.next_id += 1;
        self.is_pending = true;
        self.state = state;
    }

    /// RFC 7208 §5: "when <ip> is an IPv4, "A" records are fetched; when <ip> is an IPv6 address, "AAAA" records are fetched".
    pub(super) const fn address_kind(&self) -> RecordKind {
        if self.subject.ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa }
    }

    #[inline(always)]
    pub(super) fn step(&mut self, what: What) {
        self.trace.push(self.limits.steps_max, self.current, what);
    }

    pub(super) fn answered(&mut self, name: NameId, kind: RecordKind, answer: Answered) {
        self.step(What::Answer { name, kind, answer });
    }

    // RFC 7208 §4.4, §4.5
    fn take_record(&mut self, via: Via, answer: &DnsAnswer) {
        let asked = self.asked;
        let set = match &answer.outcome {
            DnsOutcome::Found(set) => set,
            DnsOutcome::NoData | DnsOutcome::NoSuchName => {
                self.answered(asked.name, asked.kind, Answered::of(answer, asked.kind));
                return self.no_record(asked.name, via);
            }
            _ => return self.try_later(asked.name, asked.kind),
        };
        let (mut found, mut size) = (None, 0);
        for (index, record) in set.records().iter().enumerate() {
            let Some(text) = record.text() else { continue };
            size += text.len();
            if Record::is_record(text) && found.replace((index, text)).is_some() {
                let domain = self.names.at(asked.name).clone();
                return self.fail(SpfResult::PermError, Problem::SeveralRecords(domain));
            }
        }
        let Some((index, text)) = found else { return self.no_record(asked.name, via) };
        let size_max = self.limits.record_size_max.min(u16::MAX.into());
        if text.len() > size_max {
            let domain = self.names.at(asked.name).clone();
            return self.fail(SpfResult::PermError, Problem::RecordSize(domain));
        }
        // An answer that is kept must not hold much more than a record may have.
        let is_small = size + size_of_val(set.records()) <= size_max;
        self.go_through(via, Record::of_answer(set.clone(), index), is_small);
    }

    /// Goes through the record of the name that was asked for.
    #[inline(always)]
    fn go_through(&mut self, via: Via, record: Record, is_small: bool) {
        let domain = self.asked.name;
        let from = self.current();
        let (includer, depth) = match (from, via) {
            (Some(from), Via::Include) => (self.current, from.depth + 1),
            (Some(from), Via::Root | Via::Redirect) => (from.includer, from.depth),
            (None, _) => (None, 0),
        };
        let (number, Visited { record, stops, .. }) = self.visited.push(Visited::new(domain, record, includer, depth));
        if !is_small {
            record.detach();
        }
        if let Err(error) = record.look(ClientIp::new(self.subject.ip), stops) {
            let term = excerpt(record.octets(), error);
            let problem = Problem::Syntax { domain: self.names.at(domain).clone(), error, term };
            self.visited.pop();
            return self.fail(SpfResult::PermError, problem);
        }
        let Stop { is_behind_networks, start, .. } = *stops.current();
        self.current = Some(number);
        self.step(What::Record);
        self.go_over(is_behind_networks, Stops::START, start);
        self.evaluate();
    }

    fn take_parsed(&mut self, id: QuestionId, record: &Record) -> bool {
        let State::Record(via) = self.state else { return false };
        if self.asked.id != id || !self.open.remove(id) {
            return false;
        }
        if record.octets().len() > self.limits.record_size_max {
            let domain = self.names.at(self.asked.name).clone();
            self.fail(SpfResult::PermError, Problem::RecordSize(domain));
        } else {
            self.go_through(via, record.clone(), true);
        }
        true
    }

    fn no_record(&mut self, domain: NameId, via: Via) {
        // RFC 7208 §5.2, §6.1: who leads elsewhere must lead to a record.
        let result = if via == Via::Root { SpfResult::None } else { SpfResult::PermError };
        let domain = self.names.at(domain).clone();
        self.fail(result, Problem::NoRecord(domain));
    }

    #[cold]
    pub(super) fn try_later(&mut self, name: NameId, kind: RecordKind) {
        let problem = Problem::Dns(self.names.at(name).clone(), kind);
        self.answered(name, kind, Answered::TryLater);
        self.fail(SpfResult::TempError, problem);
    }

    fn take_addresses(&mut self, prefixes: Prefixes, answer: &DnsAnswer) {
        let asked = self.asked;
        let answered = Answered::of(answer, asked.kind);
        if answered == Answered::TryLater {
            return self.try_later(asked.name, asked.kind);
        }
        let is_client = is_client(answer, self.subject.ip, prefixes);
        self.answered(asked.name, asked.kind, answered);
        self.go_on(answered, is_client);
    }

    // RFC 7208 §5.7: "If any A record is returned, this mechanism matches."
    fn take_existence(&mut self, answer: &DnsAnswer) {
        let asked = self.asked;
        let answered = Answered::of(answer, asked.kind);
        if answered == Answered::TryLater {
            return self.try_later(asked.name, asked.kind);
        }
        self.answered(asked.name, asked.kind, answered);
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

    /// What macros stand for in the record of `domain`.
    pub(super) fn values<'a>(&'a self, domain: &'a Name) -> Values<'a> {
        let validated = self.validated.as_deref().unwrap_or_default();
        // RFC 7208 §7.3: the domain itself, else a name below it, else any.
        let best = validated.iter().find(|name| *name == domain);
        let best = best.or_else(|| validated.iter().find(|name| name.is_within(domain))).or(validated.first());
        Values {
            local: self.subject.local.as_str(),
            // No record is gone through where there is none.
            sender_domain: self.names.first().as_str(),
            domain: domain.as_str(),
            ip: self.subject.ip,
            validated: best.map_or("unknown", Name::as_str),
            helo: self.subject.helo.as_str(),
            receiver: self.subject.receiver.as_ref().map_or("unknown", Name::as_str),
            now: self.subject.now,
        }
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

    /// Each question is written where the caller wants it.
    #[inline(always)]
    fn next_question(&mut self) -> DnsStep<Outcome> {
        if self.open.len() >= self.limits.open_questions_max.max(1) {
            return DnsStep::Wait;
        }
        if !mem::take(&mut self.is_pending) {
            let Some(question) = self.next_host() else { return DnsStep::Wait };
            self.open.add(question.id);
            self.counters.questions += 1;
            return DnsStep::Ask(question);
        }
        let Asked { id, name, kind } = self.asked;
        self.open.add(id);
        self.counters.questions += 1;
        DnsStep::Ask(Question::new(id, self.names.at(name).clone(), kind))
    }

    fn take_answer(&mut self, id: QuestionId, answer: &DnsAnswer) {
        if !self.open.remove(id) {
            return;
        }
        let is_asked = self.asked.id == id;
        match &mut self.state {
            State::Record(via) if is_asked => {
                let via = *via;
                self.take_record(via, answer);
            }
            State::Addresses(prefixes) if is_asked => {
                let prefixes = *prefixes;
                self.take_addresses(prefixes, answer);
            }
            State::Existence if is_asked => self.take_existence(answer),
            State::Exchangers(prefixes) if is_asked => {
                let prefixes = *prefixes;
                self.take_exchangers(prefixes, answer);
            }
            State::Pointers if is_asked => self.take_pointers(answer),
            State::Explanation if is_asked => self.take_explanation(answer),
            State::ExchangerHosts(hosts) => {
                hosts.take(id, answer, is_client(answer, self.subject.ip, hosts.prefixes));
                self.look_at_exchangers();
            }
            State::PointerHosts(hosts) => {
                hosts.take(id, answer, is_client(answer, self.subject.ip, hosts.prefixes));
                self.look_at_pointers();
            }
            // An exchanger that is not needed any more.
            _ => {}
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
        let Some(result) = course.result else { return course.next_question() };
        match self.0.take() {
            Some(course) => DnsStep::Done(Outcome::of(course, result)),
            None => DnsStep::Wait,
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.answer_ref(id, &answer);
    }

    fn answer_ref(&mut self, id: QuestionId, answer: &DnsAnswer) {
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

/// Whether one of the addresses in an answer is the client's, as far as their bits count.
fn is_client(answer: &DnsAnswer, client: IpAddr, prefixes: Prefixes) -> bool {
    answer.records().any(|record| match (record, client) {
        (dns::Record::A(ip), IpAddr::V4(client)) => prefixes.cover_ip4(*ip, client),
        (dns::Record::Aaaa(ip), IpAddr::V6(client)) => prefixes.cover_ip6(*ip, client),
        _ => false,
    })
}

/// RFC 7208 §4.3: the domain of an identity, or the text that is none. RFC 8616 §4: U-labels are made A-labels.
fn parse_name(text: &[u8]) -> Result<Name, String> {
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.' | 0x80..);
    let name = if text.iter().all(is_plain) {
        Name::from_octets(text).ok().or_else(|| {
            let text = core::str::from_utf8(text).ok()?;
            Name::parse(&idn::to_ascii(text).ok()?).ok()
        })
    } else {
        None
    };
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
