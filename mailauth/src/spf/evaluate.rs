//! Going through the terms of a record (RFC 7208 §4.6, §5, §6.1).

use alloc::string::{String, ToString};
use core::net::IpAddr;

use pillarbox_core::dns::{Name, RecordKind};

use super::check::{Check, Frame, State, Via, is_domain};
use super::macros::{MacroString, Unusable};
use super::outcome::Visited;
use super::record::{Mechanism, Prefixes, Qualifier, Term};
use super::trace::What;
use super::{Broad, Limits, Problem, SpfResult};

/// What the term that is looked at comes to.
enum Action {
    /// A modifier, which is none of the terms that match.
    Skip,
    /// Terms before this one, that do not match.
    NoMatch(usize),
    Match(Qualifier),
    /// Something is to be asked for, or refused: a term that counts.
    Lookup(Lookup),
    /// The names of the client must be known first.
    Validate,
    /// Nothing matched.
    Default,
}

enum Lookup {
    Addresses(RecordKind, Name, Prefixes),
    Existence(Name),
    Exchangers(Name, Prefixes),
    Ptr(Qualifier, Name),
    Include(Name),
    Redirect(Name),
    /// The target is no name that can be asked for: the term does not match.
    Unusable,
    /// The target of an `include` or `redirect` is none: nothing can be told. The term, as it is written.
    Refused(String),
}

impl Check {
    /// Goes through terms until one needs an answer, or the end.
    pub(super) fn evaluate(&mut self) {
        while self.evaluate_term() {}
    }

    /// Looks at one term; `false` if an answer is needed or the check is finished.
    fn evaluate_term(&mut self) -> bool {
        match self.look() {
            Action::Skip => self.next_term(),
            Action::NoMatch(end) => self.no_match(end),
            Action::Match(qualifier) => return self.matched(qualifier),
            Action::Validate => {
                self.validate();
                return false;
            }
            Action::Default => {
                self.step(What::Default);
                self.matched = None;
                return self.settle(SpfResult::Neutral);
            }
            Action::Lookup(lookup) => {
                return self.count_term() && self.look_up(lookup);
            }
        }
        true
    }

    fn look_up(&mut self, lookup: Lookup) -> bool {
        match lookup {
            Lookup::Addresses(kind, name, prefixes) => self.state = State::Addresses(self.ask(name, kind), prefixes),
            // RFC 7208 §5.7: A, whatever the client's address is.
            Lookup::Existence(name) => self.state = State::Existence(self.ask(name, RecordKind::A)),
            Lookup::Exchangers(name, prefixes) => {
                self.state = State::Exchangers(self.ask(name, RecordKind::Mx), prefixes);
            }
            Lookup::Include(domain) => self.ask_record(domain, Via::Include),
            Lookup::Redirect(domain) => {
                self.step(What::Redirect { domain: domain.clone() });
                self.ask_record(domain, Via::Redirect);
            }
            Lookup::Ptr(qualifier, target) => match &self.validated {
                None => self.validate(),
                // RFC 7208 §5.5: the same name, or one below. "The <target-name> is a subdomain of a validated domain
                // name" says it the wrong way round; the examples and the paragraph before have it right.
                Some(names) if names.iter().any(|name| name.is_within(&target)) => return self.matched(qualifier),
                Some(_) => {
                    self.term_does_not_match();
                    return true;
                }
            },
            Lookup::Unusable => {
                if let Some(&Frame { visited, term, .. }) = self.frames.last() {
                    self.step(What::Unusable { visited, term });
                }
                self.next_term();
                return true;
            }
            Lookup::Refused(term) => self.finish(SpfResult::PermError, Some(Problem::Target(term))),
        }
        false
    }

    /// What the term that is looked at needs; changes nothing.
    fn look(&self) -> Action {
        let Some(frame) = self.frames.last() else { return Action::Default };
        let Some(Visited { domain, record }) = self.visited.get(frame.visited) else { return Action::Default };
        let end = record.skip_networks(frame.term, self.subject.ip);
        if end > frame.term {
            return Action::NoMatch(end);
        }
        match record.term(frame.term) {
            Some(Term::Directive(qualifier, mechanism)) => self.look_at(qualifier, mechanism, domain),
            Some(_) => Action::Skip,
            None => match record.redirect() {
                Some(target) if self.needs_validation(Some(target)) => Action::Validate,
                Some(target) => match target.expand(&self.values(domain)) {
                    Ok(name) if is_domain(&name) => Action::Lookup(Lookup::Redirect(name)),
                    // RFC 7208 §6.1: "if the <target-name> is malformed, the result is a "permerror"".
                    _ => Action::Lookup(Lookup::Refused(Term::Redirect(target).to_string())),
                },
                None => Action::Default,
            },
        }
    }

    fn look_at(&self, qualifier: Qualifier, mechanism: Mechanism<'_>, domain: &Name) -> Action {
        let target = match mechanism {
            // Networks without the client were skipped.
            Mechanism::All | Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. } => return Action::Match(qualifier),
            Mechanism::A { domain, .. } | Mechanism::Mx { domain, .. } | Mechanism::Ptr(domain) => domain,
            Mechanism::Include(target) | Mechanism::Exists(target) => Some(target),
        };
        if self.needs_validation(target) {
            return Action::Validate;
        }
        // RFC 7208 §4.8: without a domain-spec it is the domain itself.
        let name = target.map_or_else(|| Ok(domain.clone()), |target| target.expand(&self.values(domain)));
        Action::Lookup(match (mechanism, name) {
            // RFC 8616 §4: what holds a local part beyond ASCII matches nothing, and is no error.
            (_, Err(Unusable::NonAscii)) => Lookup::Unusable,
            // RFC 7208 §5.2: no domain has no record, and that is an error.
            (Mechanism::Include(_), Ok(name)) if is_domain(&name) => Lookup::Include(name),
            (Mechanism::Include(_), _) => Lookup::Refused(Term::Directive(qualifier, mechanism).to_string()),
            // RFC 7208 §4.8 leaves it open. Composition Kills A3: such a name is not asked for; as it does not exist, it
            // does not match.
            (_, Err(Unusable::Name(_))) => Lookup::Unusable,
            (Mechanism::Exists(_), Ok(name)) => Lookup::Existence(name),
            (Mechanism::Mx { prefixes, .. }, Ok(name)) => Lookup::Exchangers(name, prefixes),
            (Mechanism::Ptr(_), Ok(name)) => Lookup::Ptr(qualifier, name),
            (Mechanism::A { prefixes, .. }, Ok(name)) => Lookup::Addresses(self.address_kind(), name, prefixes),
            (Mechanism::All | Mechanism::Ip4 { .. } | Mechanism::Ip6 { .. }, Ok(_)) => return Action::Match(qualifier),
        })
    }

    fn needs_validation(&self, target: Option<MacroString<'_>>) -> bool {
        self.validated.is_none() && target.is_some_and(|target| target.uses(b"p"))
    }

    /// RFC 7208 §4.6.4: counts the term, unless that is done, and finishes if it is one too many.
    fn count_term(&mut self) -> bool {
        if self.frames.last().is_some_and(|frame| frame.counted) {
            return true;
        }
        if self.counters.terms == self.limits.terms_max {
            self.finish(SpfResult::PermError, Some(Problem::Terms));
            return false;
        }
        self.counters.terms += 1;
        if let Some(frame) = self.frames.last_mut() {
            frame.counted = true;
        }
        true
    }

    /// The mechanism that was asked for matches or does not.
    pub(super) fn mechanism_done(&mut self, matches: bool) {
        let goes_on = match self.qualifier() {
            Some(qualifier) if matches => self.matched(qualifier),
            _ => {
                self.term_does_not_match();
                true
            }
        };
        if goes_on {
            self.evaluate();
        }
    }

    fn next_term(&mut self) {
        if let Some(&Frame { term, .. }) = self.frames.last() {
            self.go_to(term + 1);
        }
    }

    fn go_to(&mut self, term: usize) {
        if let Some(frame) = self.frames.last_mut() {
            (frame.term, frame.counted) = (term, false);
        }
    }

    /// The terms before `end` do not match.
    fn no_match(&mut self, end: usize) {
        if let Some(&Frame { visited, term, .. }) = self.frames.last() {
            self.step(What::NoMatch { visited, first: term, last: end - 1 });
        }
        self.go_to(end);
    }

    /// The term that was looked at does not match.
    fn term_does_not_match(&mut self) {
        if let Some(&Frame { term, .. }) = self.frames.last() {
            self.no_match(term + 1);
        }
    }

    fn term(&self) -> Option<Term<'_>> {
        let frame = self.frames.last()?;
        self.visited.get(frame.visited)?.record.term(frame.term)
    }

    fn qualifier(&self) -> Option<Qualifier> {
        match self.term()? {
            Term::Directive(qualifier, _) => Some(qualifier),
            _ => None,
        }
    }

    /// The term that is looked at matches, so that its record has a result. `true` if an `include` goes on with it.
    fn matched(&mut self, qualifier: Qualifier) -> bool {
        let Some(&Frame { visited, term, .. }) = self.frames.last() else { return false };
        self.step(What::Match { visited, term });
        self.matched = Some((visited, term));
        if qualifier == Qualifier::Pass {
            self.broad = self.broad.or(self.term().and_then(|term| broad(term, self.subject.ip, &self.limits)));
        }
        self.settle(qualifier.result())
    }

    /// The record that is gone through has a result, which is final, or decides about the `include`s that led there. `true`
    /// if the terms behind those are to be gone through.
    fn settle(&mut self, mut result: SpfResult) -> bool {
        loop {
            let frame = self.frames.pop();
            let Some(&Frame { visited, term, .. }) = self.frames.last() else {
                match (frame, result, self.matched) {
                    // RFC 7208 §6.2: an explanation belongs to a fail by a mechanism, and is that of the record of the domain
                    // or of the last redirect; never that of an include.
                    (Some(frame), SpfResult::Fail, Some(_)) => self.explain(frame.visited),
                    _ => self.finish(result, None),
                }
                return false;
            };
            self.step(What::Included { visited, term, result });
            // RFC 7208 §5.2: an include matches on pass, and on nothing else.
            let qualifier = self.qualifier().filter(|_| result == SpfResult::Pass);
            let Some(qualifier) = qualifier else {
                (self.matched, self.broad) = (None, None);
                self.next_term();
                return true;
            };
            self.matched = Some((visited, term));
            result = qualifier.result();
        }
    }
}

/// Whether a mechanism that let the client pass lets nearly everybody pass.
fn broad(term: Term<'_>, ip: IpAddr, limits: &Limits) -> Option<Broad> {
    let shorter = |prefix: u8, least: u8| (prefix < least).then_some(Broad::Network(prefix));
    match term {
        Term::Directive(_, Mechanism::All) => Some(Broad::All),
        Term::Directive(_, Mechanism::Ip4 { prefix, .. }) => shorter(prefix, limits.broad_ip4_prefix),
        Term::Directive(_, Mechanism::Ip6 { prefix, .. }) => shorter(prefix, limits.broad_ip6_prefix),
        Term::Directive(_, Mechanism::A { prefixes, .. } | Mechanism::Mx { prefixes, .. }) => match ip {
            IpAddr::V4(_) => shorter(prefixes.ip4, limits.broad_ip4_prefix),
            IpAddr::V6(_) => shorter(prefixes.ip6, limits.broad_ip6_prefix),
        },
        _ => None,
    }
}
