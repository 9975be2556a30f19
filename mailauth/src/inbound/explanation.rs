//! The verdicts in words.

use core::fmt::{self, Display, Formatter};

use super::Verdicts;
use crate::iprev::Forward;
use crate::{arc, dkim, dmarc, iprev, spf};

/// Every step of every method, for people. It prints as lines: a result, and the steps behind it indented. All that others
/// wrote stands in forms that are safe to show: names, escaped texts.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a>(pub(super) &'a Verdicts);

impl Display for Explanation<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdicts = self.0;
        if let Some(limit) = verdicts.header_limit {
            writeln!(f, "the header was not read: {limit}")?;
        }
        verdicts.iprev.iter().try_for_each(|outcome| iprev(f, outcome))?;
        verdicts.spf_helo.iter().try_for_each(|outcome| spf(f, outcome))?;
        verdicts.spf_mail_from.iter().try_for_each(|outcome| spf(f, outcome))?;
        dkim(f, &verdicts.dkim)?;
        arc(f, &verdicts.arc)?;
        verdicts.dmarc.iter().try_for_each(|outcome| dmarc(f, outcome))?;
        if let Some(forwarder) = &verdicts.forwarder {
            writeln!(f, "  {forwarder}, whom we trust, saw it pass")?;
        }
        if !verdicts.forged.is_empty() {
            writeln!(f, "{} forged Authentication-Results", verdicts.forged.len())?;
        }
        match verdicts.refusal() {
            Some(reply) => writeln!(f, "reply: {reply}"),
            None => writeln!(f, "disposition: {}", verdicts.disposition().as_str()),
        }
    }
}

fn iprev(f: &mut Formatter<'_>, outcome: &iprev::Outcome) -> fmt::Result {
    writeln!(f, "iprev {}: {}", outcome.ip, outcome.result)?;
    for host in &outcome.hosts {
        let leads = match host.forward {
            Forward::Confirmed => "leads back",
            Forward::Different => "leads elsewhere",
            Forward::Unknown => "has no certain answer",
        };
        writeln!(f, "  {} {leads}", host.name)?;
    }
    Ok(())
}

fn spf(f: &mut Formatter<'_>, outcome: &spf::Outcome) -> fmt::Result {
    write!(f, "spf {}", outcome.identity)?;
    if let Some(domain) = outcome.domain() {
        write!(f, " {domain}")?;
    }
    writeln!(f, ": {}", outcome.result)?;
    outcome.steps().try_for_each(|step| writeln!(f, "  {step}"))?;
    if let Some(problem) = &outcome.problem {
        writeln!(f, "  {problem}")?;
    }
    if let Some(broad) = outcome.broad {
        writeln!(f, "  {broad}")?;
    }
    outcome.explanation.iter().try_for_each(|text| writeln!(f, "  the domain says: {text}"))
}

fn dkim(f: &mut Formatter<'_>, verification: &dkim::Verification) -> fmt::Result {
    if verification.signatures.is_empty() {
        writeln!(f, "dkim: {}", verification.result())?;
    }
    for outcome in &verification.signatures {
        f.write_str("dkim")?;
        if let (Some(domain), Some(selector)) = (&outcome.domain, &outcome.selector) {
            write!(f, " {domain} ({selector})")?;
        }
        writeln!(f, ": {}", outcome.result)?;
        outcome.trace.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
        outcome.reason.iter().try_for_each(|reason| writeln!(f, "  {reason}"))?;
        outcome.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
    }
    Ok(())
}

fn arc(f: &mut Formatter<'_>, verification: &arc::Verification) -> fmt::Result {
    writeln!(f, "arc: {}", verification.result)?;
    verification.sets.iter().try_for_each(|set| writeln!(f, "  set {} by {}", set.instance, set.sealer))?;
    verification.trace.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
    verification.reason.iter().try_for_each(|reason| writeln!(f, "  {reason}"))
}

fn dmarc(f: &mut Formatter<'_>, outcome: &dmarc::Outcome) -> fmt::Result {
    f.write_str("dmarc")?;
    if let Some(author) = &outcome.author {
        write!(f, " {author}")?;
    }
    writeln!(f, ": {}", outcome.result)?;
    outcome.trace.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
    writeln!(f, "  {}", outcome.cause)
}
