//! What a domain has to say to a fail (RFC 7208 §6.2).

use alloc::string::String;

use pillarbox_core::dns::{self, DnsAnswer, RecordKind};

use super::check::{Course, Phase, State};
use super::trace::Answered;
use super::visits::{VisitId, Visited};
use super::{SpfResult, macros};

impl Course {
    // RFC 7208 §6.2
    pub(super) fn explain(&mut self, visited: VisitId) {
        let Some(Visited { domain, record, .. }) = self.visited.numbered(Some(visited)) else {
            return self.finish(SpfResult::Fail);
        };
        let name = match record.explanation() {
            Some(target) if self.validated.is_none() && target.uses(b"p") => {
                self.phase = Phase::Explain(visited);
                return self.validate();
            }
            Some(target) => target.expand(&self.values(self.names.at(*domain))).ok(),
            None => None,
        };
        // "If there are any DNS processing errors ... proceed as if no "exp" modifier was given."
        let Some(name) = name else { return self.finish(SpfResult::Fail) };
        self.phase = Phase::Explain(visited);
        let name = self.names.push(name);
        self.ask(name, RecordKind::Txt, State::Explanation);
    }

    pub(super) fn take_explanation(&mut self, answer: &DnsAnswer) {
        let asked = self.asked;
        let mut texts = answer.records().filter_map(dns::Record::text);
        // "if more than one record is returned": which of them was meant cannot be known.
        let text = texts.next().filter(|_| texts.next().is_none());
        let text = text.filter(|text| text.len() <= self.limits.record_size_max);
        let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok());
        let answered = Answered::of(answer, asked.kind);
        self.answered(asked.name, asked.kind, answered);
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

    pub(super) fn expand_explanation(&mut self, visited: VisitId, text: &str) {
        let domain = self.visited.numbered(Some(visited)).map(|visited| self.names.at(visited.domain));
        let size_max = self.limits.explanation_size_max;
        let explanation = domain.and_then(|domain| macros::explain(text, &self.values(domain), size_max));
        self.explanation = explanation;
        self.finish(SpfResult::Fail);
    }
}
