//! The verdicts as JSON.

use pillarbox::mailauth::inbound::Verdicts;
use pillarbox::mailauth::{arc, dkim, dmarc, iprev, spf};
use serde_json::{Value, json};

use crate::check::CheckArgs;

/// One object. What there is none of is `null`.
pub fn of(args: &CheckArgs, verdicts: &Verdicts) -> Value {
    json!({
        "ip": args.ip.map(|ip| ip.to_string()),
        "helo": args.helo,
        "mail_from": args.mail_from.as_ref().map(ToString::to_string),
        "iprev": verdicts.iprev.as_ref().map(iprev),
        "spf": verdicts.spf_mail_from.as_ref().map(spf),
        "spf_helo": verdicts.spf_helo.as_ref().map(spf),
        "dkim": verdicts.dkim.signatures.iter().map(signature).collect::<Value>(),
        "arc": arc(&verdicts.arc),
        "dmarc": verdicts.dmarc.as_ref().map(dmarc),
        "forwarder": verdicts.forwarder.as_ref().map(ToString::to_string),
        "disposition": disposition(verdicts.disposition()),
        "reply": verdicts.refusal().map(|reply| reply.to_string()),
        "authentication_results": verdicts.authentication_results().to_string(),
        "header_fields": verdicts.header_fields(),
        "forged": verdicts.forged.iter().map(|place| json!([place.start, place.end])).collect::<Value>(),
        "steps": verdicts.explanation().to_string().lines().collect::<Value>(),
    })
}

fn iprev(outcome: &iprev::Outcome) -> Value {
    json!({ "result": outcome.result.as_str(), "name": outcome.name().map(ToString::to_string) })
}

fn spf(outcome: &spf::Outcome) -> Value {
    json!({
        "result": outcome.result.as_str(),
        "identity": outcome.identity.as_str(),
        "domain": outcome.domain().map(ToString::to_string),
        "local_part": outcome.local(),
        "mechanism": outcome.mechanism().map(|mechanism| mechanism.to_string()),
        "reason": outcome.problem.as_ref().map(ToString::to_string),
        "explanation": outcome.explanation,
        "broad": outcome.broad.map(|broad| broad.to_string()),
        "questions": outcome.counters.questions,
    })
}

fn signature(outcome: &dkim::Outcome) -> Value {
    json!({
        "domain": outcome.domain.as_ref().map(ToString::to_string),
        "selector": outcome.selector.as_ref().map(ToString::to_string),
        "identity": outcome.identity.as_ref().map(ToString::to_string),
        "algorithm": outcome.algorithm.map(|algorithm| algorithm.to_string()),
        "bits": outcome.key_bits,
        "result": outcome.result.as_str(),
        "reason": outcome.reason.map(|reason| reason.to_string()),
        "counts": outcome.proven_domain().is_some(),
        "notes": outcome.notes.iter().map(ToString::to_string).collect::<Value>(),
    })
}

fn arc(verification: &arc::Verification) -> Value {
    let sets = verification.sets.iter().map(|set| {
        json!({
            "instance": set.instance,
            "sealer": set.sealer.to_string(),
            "results": String::from_utf8_lossy(set.results.trim_ascii()),
        })
    });
    json!({
        "result": verification.result.as_str(),
        "reason": verification.reason.map(|reason| reason.to_string()),
        "sets": sets.collect::<Value>(),
    })
}

fn dmarc(outcome: &dmarc::Outcome) -> Value {
    json!({
        "result": outcome.result.as_str(),
        "reason": outcome.cause.to_string(),
        "domain": outcome.author.as_ref().map(ToString::to_string),
        "organizational_domain": outcome.organizational_domain.as_ref().map(ToString::to_string),
        "record_domain": outcome.policy_record.as_ref().map(|found| found.domain.to_string()),
        "policy": outcome.policy.map(dmarc::Policy::as_str),
        "applied_policy": outcome.applied_policy.map(dmarc::Policy::as_str),
        "disposition": disposition(outcome.disposition),
        "overrides": outcome.overrides.iter().map(ToString::to_string).collect::<Value>(),
        "spf_aligned": outcome.spf_is_aligned(),
        "dkim_aligned": outcome.dkim_is_aligned(),
    })
}

const fn disposition(disposition: dmarc::Disposition) -> &'static str {
    match disposition {
        dmarc::Disposition::Defer => "defer",
        other => other.as_str(),
    }
}
