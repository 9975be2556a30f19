//! Which record rules, and where the author's organization begins.

use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::dns::Name;

use super::lookups::{Existence, Lookups};
use super::{Discovery, Finding, Place, PolicyRecord, PublicSuffixDomain, PublicSuffixList, Record, Step};

/// What is known of an author's domain.
pub(super) struct Discovered {
    pub(super) author: Name,
    pub(super) record: Ruling,
    pub(super) organization: Organization,
    /// Whether the author's domain exists; looked up only where something depends on it.
    pub(super) existence: Option<Existence>,
    pub(super) steps: Vec<Step>,
}

pub(super) enum Ruling {
    Record(PolicyRecord),
    Nothing,
    /// This domain could not be looked up.
    Failed(Name),
}

pub(super) enum Organization {
    /// Nothing depends on it.
    Unneeded,
    Is(Name),
    Failed,
}

/// Finds out about an author's domain; `None` until enough is known. `needs_organization` says whether alignment under a
/// record of the author's domain depends on the organizational domain.
pub(super) fn discover(
    author: &Name,
    discovery: &Discovery,
    lookups: &mut Lookups,
    needs_organization: impl Fn(&Record) -> bool,
) -> Option<Discovered> {
    let mut discovered = match discovery {
        Discovery::PublicSuffixList(list) => by_list(author, list, lookups)?,
        Discovery::TreeWalk => by_tree_walk(author, lookups, needs_organization)?,
        Discovery::TreeWalkComparedWith(list) => {
            let mut discovered = by_tree_walk(author, lookups, needs_organization)?;
            let by_list = list_organization(list, author);
            if matches!(&discovered.organization, Organization::Is(domain) if *domain != by_list) {
                discovered.steps.push(Step::ListDiffers(by_list));
            }
            discovered
        }
    };
    if let Ruling::Record(PolicyRecord { domain, place, record }) = &discovered.record {
        discovered.steps.push(Step::PolicyRecord { domain: domain.clone(), place: *place });
        if *place != Place::Author && record.policy_below(true) != record.policy_below(false) {
            let existence = lookups.existence(author)?;
            discovered.existence = Some(existence);
            match existence {
                Existence::Exists => discovered.steps.push(Step::Exists(true)),
                Existence::Missing => discovered.steps.push(Step::Exists(false)),
                Existence::TryLater => {}
            }
        }
    }
    Some(discovered)
}

impl Discovered {
    fn new(author: &Name, record: Ruling, organization: Organization, steps: Vec<Step>) -> Self {
        Discovered { author: author.clone(), record, organization, existence: None, steps }
    }
}

// RFC 9989 §4.10.1
fn by_tree_walk(
    author: &Name,
    lookups: &mut Lookups,
    needs_organization: impl Fn(&Record) -> bool,
) -> Option<Discovered> {
    let own = lookups.record(author)?.clone();
    // As many as one question makes.
    let mut steps = Vec::with_capacity(8);
    steps.push(Step::Author(author.clone()));
    let of_author = |record| Ruling::Record(PolicyRecord { domain: author.clone(), place: Place::Author, record });
    let own_record = match &own {
        Finding::Record(record) => Some(record.clone()),
        _ => None,
    };
    // One question is enough for most mail.
    let (record, organization) = match (own_record, own) {
        (Some(record), own) if !needs_organization(&record) => {
            steps.push(Step::Looked { at: author.clone(), finding: own });
            (of_author(record), Organization::Unneeded)
        }
        (None, own @ Finding::TryLater) => {
            steps.push(Step::Looked { at: author.clone(), finding: own });
            (Ruling::Failed(author.clone()), Organization::Failed)
        }
        (own_record, _) => {
            let walk = Walk::new(author, lookups, &mut steps)?;
            match (own_record, walk.failed.clone()) {
                (Some(record), Some(_)) => (of_author(record), Organization::Failed),
                (None, Some(failed)) => (Ruling::Failed(failed), Organization::Failed),
                (own_record, None) => {
                    let organization = walk.organizational_domain();
                    steps.push(Step::OrganizationalDomain(organization.clone()));
                    let above = || walk.policy_record_above(&organization).map_or(Ruling::Nothing, Ruling::Record);
                    (own_record.map_or_else(above, of_author), Organization::Is(organization))
                }
            }
        }
    };
    Some(Discovered::new(author, record, organization, steps))
}

// RFC 7489 §6.6.3
fn by_list(author: &Name, list: &PublicSuffixList, lookups: &mut Lookups) -> Option<Discovered> {
    let mut steps = [Step::Author(author.clone())].to_vec();
    let organization = list_organization(list, author);
    let mut domain = author.clone();
    let mut finding = lookups.record(author)?.clone();
    if finding == Finding::Nothing && organization != *author {
        steps.push(Step::Looked { at: domain, finding });
        domain = organization.clone();
        finding = lookups.record(&organization)?.clone();
    }
    steps.push(Step::Looked { at: domain.clone(), finding: finding.clone() });
    steps.push(Step::OrganizationalDomain(organization.clone()));
    let place = if domain == *author { Place::Author } else { Place::Organization };
    let record = match finding {
        Finding::Record(record) => Ruling::Record(PolicyRecord { domain, place, record }),
        Finding::TryLater => Ruling::Failed(domain),
        Finding::Nothing | Finding::Several | Finding::Broken(_) => Ruling::Nothing,
    };
    Some(Discovered::new(author, record, Organization::Is(organization), steps))
}

/// The organizational domain by a list; a public suffix is its own.
pub(super) fn list_organization(list: &PublicSuffixList, domain: &Name) -> Name {
    list.organizational_domain(domain).unwrap_or_else(|| domain.clone())
}

/// A walk up the DNS (RFC 9989 §4.10).
pub(super) struct Walk<'n> {
    start: &'n Name,
    /// The valid records, that of the longest name first.
    records: Vec<(Name, Arc<Record>)>,
    /// The walk came to a domain that could not be looked up.
    pub(super) failed: Option<Name>,
}

impl<'n> Walk<'n> {
    /// Walks; `None` until all that the way depends on is known. The questions go out together, and answers behind the end
    /// of the way are not read.
    pub(super) fn new(start: &'n Name, lookups: &mut Lookups, steps: &mut Vec<Step>) -> Option<Self> {
        let way = way(start);
        for domain in &way {
            lookups.record(domain);
        }
        let mut walk = Walk { start, records: Vec::new(), failed: None };
        for domain in way {
            let finding = lookups.record(&domain)?;
            steps.push(Step::Looked { at: domain.clone(), finding: finding.clone() });
            match finding {
                Finding::Record(record) => {
                    let ends_here = record.public_suffix_domain != PublicSuffixDomain::Unknown;
                    walk.records.push((domain, record.clone()));
                    if ends_here {
                        break;
                    }
                }
                Finding::TryLater => {
                    walk.failed = Some(domain);
                    break;
                }
                Finding::Nothing | Finding::Several | Finding::Broken(_) => {}
            }
        }
        Some(walk)
    }

    /// RFC 9989 §4.10.2. A record that says what its domain is ends the way, so that only the last one matters: of the
    /// others it is the one with the fewest labels.
    pub(super) fn organizational_domain(&self) -> Name {
        match self.records.last() {
            None => self.start.clone(),
            // At the start this is the start itself.
            Some((domain, record)) if record.public_suffix_domain == PublicSuffixDomain::Yes => {
                self.start.suffix(domain.labels().count() + 1)
            }
            Some((domain, _)) => domain.clone(),
        }
    }

    /// The record of the organizational domain, or else of the public suffix, which then is the last.
    fn policy_record_above(&self, organization: &Name) -> Option<PolicyRecord> {
        let found = |place| {
            move |(domain, record): &(Name, Arc<Record>)| PolicyRecord {
                domain: domain.clone(),
                place,
                record: record.clone(),
            }
        };
        let of_organization = self.records.iter().find(|(domain, _)| domain == organization);
        let of_organization = of_organization.map(found(Place::Organization));
        of_organization.or_else(|| self.records.last().map(found(Place::PublicSuffix)))
    }
}

/// The domains whose records a walk asks for: at most eight.
pub(super) fn way(start: &Name) -> Vec<Name> {
    let labels = start.labels().count();
    // RFC 9989 §4.10, step 4: behind the start of a long name comes what it has in its last seven labels.
    let next = labels.saturating_sub(1).min(7);
    let start = (labels > 0).then(|| start.clone());
    let shorter =
        start.iter().flat_map(|start| (1..=next).rev().map(|labels| start.suffix(labels))).collect::<Vec<_>>();
    start.into_iter().chain(shorter).collect()
}
