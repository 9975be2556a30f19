//! Counting sessions until it is time for a report.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use pillarbox_core::dns::Name;

use super::{AppliedPolicy, FailureDetail, FailureType, PolicyReport, ResultType};

/// One way in which a session failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Failure {
    /// How.
    pub kind: FailureType,
    /// The host by its MX record.
    pub receiving_host: Option<Name>,
    /// Its address.
    pub receiving_ip: Option<IpAddr>,
    /// The name by which it greeted.
    pub receiving_helo: Option<String>,
    /// The address that we connected from.
    pub sending_ip: Option<IpAddr>,
    /// A short code or text of the error.
    pub reason: Option<String>,
}

/// Characters of a text that somebody else wrote.
const TEXT_MAX: usize = 255;

impl Failure {
    /// A failure.
    pub const fn new(kind: FailureType) -> Self {
        Failure { kind, receiving_host: None, receiving_ip: None, receiving_helo: None, sending_ip: None, reason: None }
    }

    /// The same with the host.
    #[must_use]
    pub fn with_host(self, host: Name) -> Self {
        Failure { receiving_host: Some(host), ..self }
    }

    /// The same with the addresses of both ends.
    #[must_use]
    pub fn with_addresses(self, sending: Option<IpAddr>, receiving: IpAddr) -> Self {
        Failure { sending_ip: sending, receiving_ip: Some(receiving), ..self }
    }

    /// The same with the name by which the host greeted; 255 characters of it.
    #[must_use]
    pub fn with_helo(self, helo: &str) -> Self {
        Failure { receiving_helo: Some(cleaned(helo)), ..self }
    }

    /// The same with a code or text of the error; 255 characters of it.
    #[must_use]
    pub fn with_reason(self, reason: &str) -> Self {
        Failure { reason: Some(cleaned(reason)), ..self }
    }

    fn size(&self) -> usize {
        let texts = [&self.receiving_helo, &self.reason].into_iter().flatten().map(String::len).sum::<usize>();
        ENTRY_SIZE + texts + self.receiving_host.as_ref().map_or(0, |host| host.as_str().len())
    }
}

fn cleaned(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(TEXT_MAX).collect()
}

/// What bounds the memory of [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CountersLimits {
    /// Octets that all entries may need: 16 MiB, some 50,000 entries.
    pub size_max: usize,
    /// Policies that are told apart for one domain: 16. A domain can have a new policy every minute.
    pub policies_max: usize,
    /// Ways to fail that are told apart for one policy: 200. Some of their texts come from the hosts.
    pub failures_max: usize,
}

impl Default for CountersLimits {
    fn default() -> Self {
        CountersLimits { size_max: 16 << 20, policies_max: 16, failures_max: 200 }
    }
}

/// What an entry needs beside its texts.
const ENTRY_SIZE: usize = 256;

/// Counts sessions by domain, policy and failure.
///
/// Memory is bounded by [`CountersLimits`]. What has no room as an entry of its own is still in the totals of its policy; a
/// session whose domain or policy has no room is counted in [`lost`](Counters::lost).
#[derive(Clone, Debug, Default)]
pub struct Counters {
    limits: CountersLimits,
    domains: BTreeMap<Name, BTreeMap<AppliedPolicy, Counts>>,
    size: usize,
    lost: u64,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    successful: u64,
    failed: u64,
    failures: BTreeMap<Failure, u64>,
}

impl Counters {
    /// Nothing is counted yet.
    pub fn new(limits: CountersLimits) -> Self {
        Counters { limits, ..Counters::default() }
    }

    /// Counts one session with a host of a domain, under a policy; a success if nothing failed. Under several policies it is
    /// counted once for each.
    pub fn count(&mut self, domain: &Name, policy: &AppliedPolicy, failures: &[Failure]) {
        if !self.make_entry(domain, policy) {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let (size_max, failures_max) = (self.limits.size_max, self.limits.failures_max);
        let Some(counts) = self.domains.get_mut(domain).and_then(|policies| policies.get_mut(policy)) else { return };
        if failures.is_empty() {
            counts.successful = counts.successful.saturating_add(1);
            return;
        }
        counts.failed = counts.failed.saturating_add(1);
        for failure in failures {
            if let Some(sessions) = counts.failures.get_mut(failure) {
                *sessions = sessions.saturating_add(1);
            } else if counts.failures.len() < failures_max && self.size + failure.size() <= size_max {
                self.size += failure.size();
                counts.failures.insert(failure.clone(), 1);
            }
        }
    }

    /// Makes an entry for a policy, unless it is there or has no room.
    fn make_entry(&mut self, domain: &Name, policy: &AppliedPolicy) -> bool {
        if self.domains.get(domain).is_some_and(|policies| policies.contains_key(policy)) {
            return true;
        }
        let size = ENTRY_SIZE + domain.as_str().len() + policy.size();
        let has_room = self.domains.get(domain).is_none_or(|policies| policies.len() < self.limits.policies_max);
        if !has_room || !self.reserve(size) {
            return false;
        }
        self.domains.entry(domain.clone()).or_default().insert(policy.clone(), Counts::default());
        true
    }

    fn reserve(&mut self, size: usize) -> bool {
        let fits = self.size + size <= self.limits.size_max;
        self.size += if fits { size } else { 0 };
        fits
    }

    /// Sessions that there was no room for.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds what was counted before, such as what [`take`](Counters::take) gave an earlier process. What it has no room for is lost
    /// as it would have been when it was counted.
    pub fn add(&mut self, domain: &Name, reports: impl IntoIterator<Item = PolicyReport>) {
        for report in reports {
            if !self.make_entry(domain, &report.policy) {
                self.lost = self.lost.saturating_add(report.successful).saturating_add(report.failed);
                continue;
            }
            let (size_max, failures_max) = (self.limits.size_max, self.limits.failures_max);
            let counts = self.domains.get_mut(domain).and_then(|policies| policies.get_mut(&report.policy));
            let Some(counts) = counts else { continue };
            counts.successful = counts.successful.saturating_add(report.successful);
            counts.failed = counts.failed.saturating_add(report.failed);
            for detail in report.failures {
                let ResultType::Known(kind) = detail.result else { continue };
                let failure = Failure {
                    kind,
                    receiving_host: detail.receiving_host,
                    receiving_ip: detail.receiving_ip,
                    receiving_helo: detail.receiving_helo,
                    sending_ip: detail.sending_ip,
                    reason: detail.reason,
                };
                if let Some(sessions) = counts.failures.get_mut(&failure) {
                    *sessions = sessions.saturating_add(detail.sessions);
                } else if counts.failures.len() < failures_max && self.size + failure.size() <= size_max {
                    self.size += failure.size();
                    counts.failures.insert(failure, detail.sessions);
                }
            }
        }
    }

    /// Takes everything that was counted, by domain, and begins anew.
    pub fn take(&mut self) -> impl Iterator<Item = (Name, Vec<PolicyReport>)> + use<> {
        let taken = core::mem::replace(self, Counters::new(self.limits));
        taken.domains.into_iter().map(|(domain, policies)| {
            let reports = policies.into_iter().map(|(policy, counts)| PolicyReport {
                policy,
                domain: Some(domain.clone()),
                successful: counts.successful,
                failed: counts.failed,
                failures: counts.failures.into_iter().map(|(failure, sessions)| detail(failure, sessions)).collect(),
            });
            let reports = reports.collect();
            (domain, reports)
        })
    }
}

fn detail(failure: Failure, sessions: u64) -> FailureDetail {
    FailureDetail {
        result: ResultType::Known(failure.kind),
        sending_ip: failure.sending_ip,
        receiving_host: failure.receiving_host,
        receiving_helo: failure.receiving_helo,
        receiving_ip: failure.receiving_ip,
        sessions,
        additional_information: None,
        reason: failure.reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn sessions_add_up() {
        let mut counters = Counters::new(CountersLimits::default());
        let failure = Failure::new(FailureType::CertificateExpired).with_host(name("mx.example.org"));
        let other = failure.clone().with_reason("a\r\nb");
        counters.count(&name("example.org"), &AppliedPolicy::none(), &[]);
        counters.count(&name("EXAMPLE.org"), &AppliedPolicy::none(), &[failure.clone(), other]);
        counters.count(&name("example.org"), &AppliedPolicy::none(), &[failure]);
        counters.count(&name("example.net"), &AppliedPolicy::none(), &[]);
        let taken = counters.take().collect::<Vec<_>>();
        assert_eq!(taken.iter().map(|(domain, _)| domain.as_str()).collect::<Vec<_>>(), ["example.net", "example.org"]);
        let report = &taken[1].1[0];
        assert_eq!((report.successful, report.failed), (1, 2));
        assert_eq!(report.failures.iter().map(|failure| failure.sessions).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(report.failures[1].reason.as_deref(), Some("a??b"));
        assert_eq!(counters.take().count(), 0);
    }

    #[test]
    fn what_was_counted_before_is_added() {
        let mut counters = Counters::new(CountersLimits::default());
        let failure = Failure::new(FailureType::CertificateExpired).with_host(name("mx.example.org"));
        counters.count(&name("example.org"), &AppliedPolicy::none(), core::slice::from_ref(&failure));
        let (domain, before) = counters.take().next().unwrap();
        counters.count(&domain, &AppliedPolicy::none(), &[failure]);
        counters.count(&domain, &AppliedPolicy::none(), &[]);
        counters.add(&domain, before);
        let (_, reports) = counters.take().next().unwrap();
        assert_eq!((reports[0].successful, reports[0].failed, reports[0].failures[0].sessions), (1, 2, 2));
        assert_eq!(reports.len(), 1);
    }

    #[test]
    fn memory_ends_where_the_limits_are() {
        let limits = CountersLimits { size_max: 100_000, policies_max: 2, failures_max: 3 };
        let mut counters = Counters::new(limits);
        let policy = |n: u32| AppliedPolicy { lines: [format!("{n}")].into(), ..AppliedPolicy::none() };
        for n in 0..10 {
            let failure = Failure::new(FailureType::ValidationFailure).with_reason(&format!("{n}"));
            counters.count(&name("example.org"), &policy(0), &[failure]);
            counters.count(&name("example.org"), &policy(n), &[]);
        }
        assert_eq!(counters.lost(), 8);
        for n in 0..1000 {
            counters.count(&name(&format!("d{n}.example")), &policy(0), &[]);
        }
        assert!(counters.size <= 100_000 && counters.lost() > 600, "{} {}", counters.size, counters.lost());
        let taken = counters.take().collect::<Vec<_>>();
        let reports = &taken.iter().find(|(domain, _)| domain.as_str() == "example.org").unwrap().1;
        assert_eq!(reports.iter().map(|report| report.successful).collect::<Vec<_>>(), [1, 1]);
        // The totals hold what has no entry.
        assert_eq!((reports[0].failed, reports[0].failures.len()), (10, 3));
        assert_eq!((counters.size, counters.lost()), (0, 0));
    }
}
