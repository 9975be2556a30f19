//! Going through the terms of a record (RFC 7208 §4.6, §5, §6.1).

use alloc::string::ToString;
use core::net::IpAddr;

use pillarbox_core::dns::RecordKind;

use super::check::{Course, State, Via, is_domain};
use super::macros::{MacroString, Unusable};
use super::record::{Qualifier, Term};
use super::scan::ClientIp;
use super::stops::{Kind, Stop};
use super::trace::{Place, What};
use super::visits::Visited;
use super::{Broad, Limits, Problem, SpfResult};

impl Course {
    /// Goes through terms until one needs an answer, or the end.
    pub(super) fn evaluate(&mut self) {
        while self.evaluate_term() {}
    }

    /// Looks at one term; `false` if an answer is needed or the check is finished.
    fn evaluate_term(&mut self) -> bool {
        let Some(Visited { domain, record, stops, .. }) = self.visited.numbered(self.current) else {
            return self.default();
        };
        let (domain, stop) = (*domain, *stops.current());
        let target = match stop.kind {
            Kind::All | Kind::Network(_) => return self.matched(),
            Kind::End => match record.redirect() {
                None => return self.default(),
                target => target,
            },
            _ if stop.is_plain => None,
            _ => record.domain_of(&stop),
        };
        if self.needs_validation(target) {
            self.validate();
            return false;
        }
        let name = match target {
            Some(target) => target.expand(&self.values(self.names.at(domain))).map(|name| self.names.push(name)),
            None if stop.is_plain => Ok(self.names.push_plain(&record.octets()[stop.domain()])),
            // RFC 7208 §4.8: without a domain-spec it is the domain itself.
            None => Ok(domain),
        };
        if !self.count_term() {
            return false;
        }
        let name = match (name, stop.kind) {
            (Ok(name), _) => name,
            // RFC 7208 §6.1: "if the <target-name> is malformed, the result is a "permerror"". §5.2: no domain has no record,
            // and that is an error.
            (Err(_), Kind::End) | (Err(Unusable::Name(_)), Kind::Include) => return self.refuse_target(),
            // RFC 8616 §4: what holds a local part beyond ASCII matches nothing, and is no error. RFC 7208 §4.8 leaves it open
            // what is not a name at all. Composition Kills A3: such a name is not asked for; as it does not exist, it does not
            // match.
            (Err(_), _) => return self.unusable(),
        };
        match stop.kind {
            Kind::End | Kind::Include if !stop.is_plain && !is_domain(self.names.at(name)) => {
                return self.refuse_target();
            }
            Kind::End => {
                self.step(What::Redirect { domain: name });
                self.ask(name, RecordKind::Txt, State::Record(Via::Redirect));
            }
            Kind::Include => self.ask(name, RecordKind::Txt, State::Record(Via::Include)),
            // RFC 7208 §5.7: A, whatever the client's address is.
            Kind::Exists => self.ask(name, RecordKind::A, State::Existence),
            Kind::A(prefixes) => self.ask(name, self.address_kind(), State::Addresses(prefixes)),
            Kind::Mx(prefixes) => self.ask(name, RecordKind::Mx, State::Exchangers(prefixes)),
            Kind::Ptr => match &self.validated {
                None => self.validate(),
                // RFC 7208 §5.5: the same name, or one below. "The <target-name> is a subdomain of a validated domain
                // name" says it the wrong way round; the examples and the paragraph before have it right.
                Some(names) if names.iter().any(|known| known.is_within(self.names.at(name))) => return self.matched(),
                Some(_) => {
                    self.term_does_not_match();
                    return true;
                }
            },
            // Nothing else is stopped at.
            _ => return self.unusable(),
        }
        false
    }

    /// Nothing matched.
    fn default(&mut self) -> bool {
        self.step(What::Default);
        self.matched = None;
        self.settle(SpfResult::Neutral)
    }

    /// The target is no name that can be asked for: the term does not match.
    fn unusable(&mut self) -> bool {
        if let Some(Place { term, .. }) = self.place() {
            self.step(What::Unusable { term });
        }
        self.next_term();
        true
    }

    /// The target of an `include` or `redirect` is none: nothing can be told.
    fn refuse_target(&mut self) -> bool {
        let term = self.current().and_then(|Visited { record, stops, .. }| match stops.current().kind {
            Kind::End => record.redirect().map(Term::Redirect),
            _ => record.term_at(stops.current().start),
        });
        let term = term.map(|term| term.to_string()).unwrap_or_default();
        self.fail(SpfResult::PermError, Problem::Target(term));
        false
    }

    fn needs_validation(&self, target: Option<MacroString<'_>>) -> bool {
        self.validated.is_none() && target.is_some_and(|target| target.uses(b"p"))
    }

    /// RFC 7208 §4.6.4: counts the term, unless that is done, and finishes if it is one too many.
    fn count_term(&mut self) -> bool {
        if self.current().is_some_and(|visited| visited.is_counted) {
            return true;
        }
        if self.counters.terms == self.limits.terms_max {
            self.fail(SpfResult::PermError, Problem::Terms);
            return false;
        }
        self.counters.terms += 1;
        if let Some(visited) = self.current_mut() {
            visited.is_counted = true;
        }
        true
    }

    /// The mechanism that was asked for matches or does not.
    pub(super) fn mechanism_done(&mut self, matches: bool) {
        let goes_on = if matches {
            self.matched()
        } else {
            self.term_does_not_match();
            true
        };
        if goes_on {
            self.evaluate();
        }
    }

    /// Goes from the term that is looked at to the next one that may match.
    fn next_term(&mut self) {
        let client = ClientIp::new(self.subject.ip);
        if let Some(Visited { record, stops, is_counted, .. }) = self.current_mut() {
            let from = stops.go_on(record.octets(), client);
            *is_counted = false;
            let Stop { is_behind_networks, start, .. } = *stops.current();
            self.go_over(is_behind_networks, from, start);
        }
    }

    /// Networks between two octets do not match, if there are any.
    pub(super) fn go_over(&mut self, has_networks: bool, start: u16, end: u16) {
        if has_networks {
            self.step(What::NoMatch { start, end });
        }
    }

    /// The term that was looked at does not match.
    fn term_does_not_match(&mut self) {
        if let Some(Stop { start, end, .. }) = self.stop() {
            self.step(What::NoMatch { start, end });
        }
        self.next_term();
    }

    pub(super) fn current(&self) -> Option<&Visited> {
        self.visited.numbered(self.current)
    }

    fn current_mut(&mut self) -> Option<&mut Visited> {
        self.visited.numbered_mut(self.current)
    }

    /// The term that is looked at.
    fn stop(&self) -> Option<Stop> {
        Some(*self.current()?.stops.current())
    }

    /// Where it is.
    fn place(&self) -> Option<Place> {
        Some(Place { visited: self.current?, term: self.stop()?.start })
    }

    /// The term that is looked at matches, so that its record has a result. `true` if an `include` goes on with it.
    fn matched(&mut self) -> bool {
        let (Some(visited), Some(stop)) = (self.current, self.stop()) else { return false };
        self.step(What::Match { term: stop.start });
        self.matched = Some(Place { visited, term: stop.start });
        if stop.qualifier == Qualifier::Pass {
            self.broad = self.broad.or(broad(stop.kind, self.subject.ip, &self.limits));
        }
        self.settle(stop.qualifier.result())
    }

    /// The record that is gone through has a result, which is final, or decides about the `include`s that led there. `true`
    /// if the terms behind those are to be gone through.
    fn settle(&mut self, mut result: SpfResult) -> bool {
        loop {
            let decided = self.current;
            self.current = self.current().and_then(|visited| visited.includer);
            let (Some(visited), Some(stop)) = (self.current, self.stop()) else {
                match (decided, result, self.matched) {
                    // RFC 7208 §6.2: an explanation belongs to a fail by a mechanism, and is that of the record of the domain
                    // or of the last redirect; never that of an include.
                    (Some(visited), SpfResult::Fail, Some(_)) => self.explain(visited),
                    _ => self.finish(result),
                }
                return false;
            };
            self.step(What::Included { term: stop.start, result });
            // RFC 7208 §5.2: an include matches on pass, and on nothing else.
            if result != SpfResult::Pass {
                (self.matched, self.broad) = (None, None);
                self.next_term();
                return true;
            }
            self.matched = Some(Place { visited, term: stop.start });
            result = stop.qualifier.result();
        }
    }
}

/// Whether a mechanism that let the client pass lets nearly everybody pass.
fn broad(kind: Kind, ip: IpAddr, limits: &Limits) -> Option<Broad> {
    let (prefix, least) = match (kind, ip) {
        (Kind::All, _) => return Some(Broad::All),
        (Kind::Network(prefix), IpAddr::V4(_)) => (prefix, limits.broad_ip4_prefix),
        (Kind::Network(prefix), IpAddr::V6(_)) => (prefix, limits.broad_ip6_prefix),
        (Kind::A(prefixes) | Kind::Mx(prefixes), IpAddr::V4(_)) => (prefixes.ip4, limits.broad_ip4_prefix),
        (Kind::A(prefixes) | Kind::Mx(prefixes), IpAddr::V6(_)) => (prefixes.ip6, limits.broad_ip6_prefix),
        _ => return None,
    };
    (prefix < least).then_some(Broad::Network(prefix))
}
