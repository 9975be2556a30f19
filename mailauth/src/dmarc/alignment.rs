//! Which domains of SPF and DKIM are the author's (RFC 9989 §4.4, §4.10.2).

use alloc::vec::Vec;

use pillarbox_core::dns::Name;

use super::discovery::{Discovered, Organization, Walk, list_organization, way};
use super::lookups::Lookups;
use super::{
    AlignmentMode, Config, Discovery, Evidence, Identifier, Record, Source, SpfIdentity, Verdict, Verification,
    Weakness,
};

/// A domain that SPF or DKIM brought.
#[derive(Clone, Copy)]
struct Candidate<'e> {
    source: Source,
    domain: &'e Name,
    verification: Verification,
    is_helo: bool,
    weakness: Option<Weakness>,
}

fn candidates<'e>(evidence: &'e Evidence, config: &Config) -> impl Iterator<Item = Candidate<'e>> + use<'e> {
    let spf = evidence.spf.iter().map(|spf| Candidate {
        source: Source::Spf,
        domain: &spf.domain,
        verification: spf.verification,
        is_helo: spf.identity == SpfIdentity::Helo,
        weakness: None,
    });
    let counts_weak = config.counts_weak_signatures;
    let dkim = evidence.dkim.iter().map(move |dkim| Candidate {
        source: Source::Dkim,
        domain: &dkim.domain,
        verification: dkim.verification,
        is_helo: false,
        weakness: dkim.weakness.filter(|_| !counts_weak),
    });
    spf.chain(dkim).take(config.limits.identifiers_max)
}

impl Candidate<'_> {
    /// Why its alignment is of no interest.
    fn dismissal(&self) -> Option<Verdict> {
        match self {
            Candidate { is_helo: true, .. } => Some(Verdict::Helo),
            Candidate { verification: Verification::Fail, .. } => Some(Verdict::NotVerified),
            Candidate { weakness: Some(weakness), .. } => Some(Verdict::Weak(*weakness)),
            _ => None,
        }
    }

    const fn mode(&self, record: &Record) -> AlignmentMode {
        match self.source {
            Source::Spf => record.spf_alignment,
            Source::Dkim => record.dkim_alignment,
        }
    }

    /// Whether its alignment depends on organizational domains: those of two domains without a common label never agree.
    fn needs_organization(&self, author: &Name, record: &Record) -> bool {
        let is_open = self.dismissal().is_none() && self.mode(record) == AlignmentMode::Relaxed;
        is_open && self.domain != author && self.domain.suffix(1) == author.suffix(1)
    }
}

/// Whether some alignment under this record of the author's domain depends on organizational domains.
pub(super) fn needs_organization(author: &Name, record: &Record, evidence: &Evidence, config: &Config) -> bool {
    candidates(evidence, config).any(|candidate| candidate.needs_organization(author, record))
}

/// Judges all domains; `None` until all that is needed is known. `count_max` is how many look-ups the check may come to.
pub(super) fn judge(
    discovered: &Discovered,
    record: &Record,
    evidence: &Evidence,
    config: &Config,
    lookups: &mut Lookups,
    count_max: usize,
) -> Option<Vec<Identifier>> {
    let mut identifiers = Vec::new();
    let mut is_known = true;
    // Those behind an open one are gone through, too, so that their questions go out together.
    for candidate in candidates(evidence, config) {
        let judged = match candidate.dismissal() {
            Some(verdict) => Some((verdict, None)),
            None => judge_verified(&candidate, discovered, record, config, lookups, count_max),
        };
        is_known &= judged.is_some();
        identifiers.extend(judged.map(|(verdict, organizational_domain)| Identifier {
            source: candidate.source,
            domain: candidate.domain.clone(),
            organizational_domain,
            verdict,
        }));
    }
    is_known.then_some(identifiers)
}

/// The verdict, and the organizational domain that it depended on.
fn judge_verified(
    candidate: &Candidate<'_>,
    discovered: &Discovered,
    record: &Record,
    config: &Config,
    lookups: &mut Lookups,
    count_max: usize,
) -> Option<(Verdict, Option<Name>)> {
    let aligned = match candidate.verification {
        Verification::Pass => Verdict::Aligned,
        Verification::TempError | Verification::Fail => Verdict::NotVerifiedYet,
    };
    let author = &discovered.author;
    if candidate.domain == author {
        return Some((aligned, None));
    }
    if !candidate.needs_organization(author, record) {
        return Some((Verdict::NotAligned, None));
    }
    let Organization::Is(organization) = &discovered.organization else { return Some((Verdict::LookupFailed, None)) };
    // An organizational domain is the domain itself or above it.
    if !candidate.domain.is_within(organization) {
        return Some((Verdict::NotAligned, None));
    }
    let of_candidate = match &config.discovery {
        Discovery::PublicSuffixList(list) => list_organization(list, candidate.domain),
        Discovery::TreeWalk | Discovery::TreeWalkComparedWith(_) => {
            if lookups.count() + lookups.count_new(&way(candidate.domain)) > count_max {
                return Some((Verdict::TooManyQuestions, None));
            }
            let walk = Walk::new(candidate.domain, lookups, &mut Vec::new())?;
            if walk.failed.is_some() {
                return Some((Verdict::LookupFailed, None));
            }
            walk.organizational_domain()
        }
    };
    let verdict = if of_candidate == *organization { aligned } else { Verdict::NotAligned };
    Some((verdict, Some(of_candidate)))
}
