//! The verdicts as Authentication-Results (RFC 8601).

use alloc::format;
use alloc::string::ToString;

use pillarbox_core::address::LocalPart;

use super::Verdicts;
use crate::authres::{AuthenticationResults, Keyword, MethodResult, Property, RESULTS_MAX};
use crate::{arc, dkim, dmarc, iprev, spf};

impl Verdicts {
    /// The verdicts as one field Authentication-Results, in our name.
    pub fn authentication_results(&self) -> AuthenticationResults {
        let results = AuthenticationResults::new(&self.config.authserv_id);
        let results = self.iprev.iter().map(iprev).fold(results, AuthenticationResults::with);
        // Of a null path the name in HELO is what was checked (RFC 7208 §2.4), and that is told once.
        let has_path = self.spf_mail_from.as_ref().is_some_and(|outcome| !outcome.is_null_path());
        let helo = self.spf_helo.as_ref().filter(|_| has_path || self.spf_mail_from.is_none());
        let results = self.spf_mail_from.iter().chain(helo).map(spf).fold(results, AuthenticationResults::with);
        let results = self.dkim(results);
        let results = results.with(arc(&self.arc));
        results.with(match &self.dmarc {
            Some(outcome) => dmarc(outcome),
            None => {
                let result = if self.header_limit.is_some() { "permerror" } else { "temperror" };
                let result = MethodResult::new(Keyword::DMARC, word(result));
                result.reason(self.header_limit.map_or("the message is not complete".into(), |limit| limit.to_string()))
            }
        })
    }

    fn dkim(&self, mut results: AuthenticationResults) -> AuthenticationResults {
        let signatures = &self.dkim.signatures;
        if signatures.is_empty() {
            let none = MethodResult::new(Keyword::DKIM, word(self.dkim.result().as_str()));
            return results.with(match self.dkim.header_limit {
                Some(limit) => none.reason(limit),
                None => none,
            });
        }
        let is_pass = |outcome: &dkim::Outcome| outcome.result == dkim::DkimResult::Pass;
        let passes = signatures.iter().filter(|outcome| is_pass(outcome)).count();
        let mut passes_left = passes.min(SIGNATURES_MAX);
        let mut others_left = self.config.dkim_results_max.min(SIGNATURES_MAX).saturating_sub(passes_left);
        let mut left_out = 0_usize;
        for outcome in signatures {
            let left = if is_pass(outcome) { &mut passes_left } else { &mut others_left };
            match left.checked_sub(1) {
                Some(less) => {
                    *left = less;
                    results = results.with(signature(outcome));
                }
                None => left_out += 1,
            }
        }
        if left_out > 0 {
            let result = MethodResult::new(Keyword::DKIM, word("policy"));
            results = results.with(result.reason(format!("{left_out} more signatures are not told")));
        }
        results
    }
}

/// Signatures that a field has room for, beside iprev, two results of SPF, what is said of those left out, ARC and DMARC.
const SIGNATURES_MAX: usize = RESULTS_MAX - 6;

/// A result's word as a keyword. All of ours are some.
fn word(result: &'static str) -> Keyword {
    Keyword::fixed(result)
}

// RFC 8601 §2.7.3
fn iprev(outcome: &iprev::Outcome) -> MethodResult {
    let result = MethodResult::new(Keyword::IPREV, word(outcome.result.as_str()));
    let result = match outcome.name() {
        Some(name) => result.comment(name),
        None => result,
    };
    result.with(Property::policy(Keyword::IPREV, outcome.ip))
}

// RFC 8601 §2.7.2
fn spf(outcome: &spf::Outcome) -> MethodResult {
    let mut result = MethodResult::new(Keyword::SPF, word(outcome.result.as_str()));
    if let Some(problem) = &outcome.problem {
        result = result.reason(problem);
    }
    let Some(domain) = outcome.domain() else { return result };
    let property = if outcome.identity == spf::Identity::Helo || outcome.is_null_path() {
        Property::smtp(Keyword::HELO, domain)
    } else if outcome.uses_local_part()
        && let Ok(local) = LocalPart::from_unquoted(outcome.local())
    {
        Property::smtp(Keyword::MAILFROM, format!("{}@{domain}", local.canonical()))
    } else {
        Property::smtp(Keyword::MAILFROM, domain)
    };
    result.with(property)
}

// RFC 8601 §2.7.1, RFC 6008
fn signature(outcome: &dkim::Outcome) -> MethodResult {
    let mut result = MethodResult::new(Keyword::DKIM, word(outcome.result.as_str()));
    result.reason = outcome.reason.map(crate::authres::Text::new);
    let reservation = outcome.notes.iter().find(|note| note.is_reservation());
    result.comment = reservation.or(outcome.notes.first()).map(crate::authres::Text::new);
    if let Some(domain) = &outcome.domain {
        result = result.with(Property::header(const { Keyword::fixed("d") }, domain));
    }
    if let Some(selector) = &outcome.selector {
        result = result.with(Property::header(const { Keyword::fixed("s") }, selector));
    }
    if let Some(identity) = &outcome.identity {
        result = result.with(Property::header(const { Keyword::fixed("i") }, identity));
    }
    if let Some(algorithm) = outcome.algorithm {
        result = result.with(Property::header(const { Keyword::fixed("a") }, algorithm));
    }
    if let Some(prefix) = &outcome.signature_prefix {
        result = result.with(Property::header(const { Keyword::fixed("b") }, prefix));
    }
    result
}

// RFC 8617 §10.2
fn arc(verification: &arc::Verification) -> MethodResult {
    let mut result = MethodResult::new(Keyword::ARC, word(verification.result.as_str()));
    result.reason = verification.reason.map(crate::authres::Text::new);
    match verification.sets.last() {
        Some(last) => result.comment(format!("set {} by {}", last.instance, last.sealer)),
        None => result,
    }
}

// RFC 9989 §9.1
fn dmarc(outcome: &dmarc::Outcome) -> MethodResult {
    let mut result = MethodResult::new(Keyword::DMARC, word(outcome.result.as_str()));
    if outcome.result != dmarc::DmarcResult::Pass {
        result = result.reason(&outcome.cause);
    }
    if let Some(last) = outcome.overrides.last() {
        result = result.comment(last);
    }
    if let Some(author) = &outcome.author {
        result = result.with(Property::header(Keyword::FROM, author));
    }
    if let Some(policy) = outcome.applied_policy {
        result = result.with(Property::policy(Keyword::DMARC, policy.as_str()));
    }
    result
}
