//! How many failure reports are too many.

use alloc::collections::BTreeMap;

use pillarbox_core::dns::Name;

/// Limits of failure reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// The window that the numbers below hold for, in seconds. 3600.
    pub window: u32,
    /// Reports about one domain in a window. 10: the first few show what is wrong, and RFC 9991 §2 demands a limit, as
    /// anybody can make mail fail in anybody's name.
    pub domain_max: u32,
    /// Reports in a window, whatever the domain. 1000, so that forged mail in the name of many domains does not make this
    /// server a source of mail.
    pub total_max: u32,
    /// Domains that are counted in a window. 10,000; further ones get no report until the window is over.
    pub domains_max: usize,
}

impl Default for RateLimits {
    fn default() -> Self {
        RateLimits { window: 3600, domain_max: 10, total_max: 1000, domains_max: 10_000 }
    }
}

/// Keeps failure reports from flooding those who asked for them (RFC 9991 §2 and §8.1).
///
/// ```
/// use pillarbox_auth::reports::{RateLimit, RateLimits};
/// use pillarbox_core::dns::Name;
///
/// let domain = "example.org".parse::<Name>()?;
/// let mut limit = RateLimit::new(RateLimits::default());
/// assert!((0..10).all(|_| limit.admit(&domain, 1000) == Some(1)));
/// assert_eq!(limit.admit(&domain, 1000), None);
/// // In the next window a report goes out again, and counts the incident that had none.
/// assert_eq!(limit.admit(&domain, 4000), Some(2));
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    limits: RateLimits,
    window: u64,
    sent: u32,
    domains: BTreeMap<Name, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: u32,
    held_back: u32,
}

impl RateLimit {
    /// A limit that has seen nothing yet.
    pub const fn new(limits: RateLimits) -> Self {
        RateLimit { limits, window: 0, sent: 0, domains: BTreeMap::new() }
    }

    /// Whether a report about a domain may be sent now, in seconds of UTC: with the number for its field `Incidents`, which
    /// counts it and those that were held back since the last one (RFC 9991 §8.1). `None` if it must not be sent. A clock
    /// that goes back opens no new window.
    pub fn admit(&mut self, domain: &Name, now: u64) -> Option<u32> {
        let window = now / u64::from(self.limits.window.max(1));
        if window > self.window {
            self.window = window;
            self.sent = 0;
            // What was held back is told with the first report of the window after; then it is forgotten.
            self.domains.retain(|_, count| count.held_back > 0 && count.sent > 0);
            self.domains.values_mut().for_each(|count| count.sent = 0);
        }
        if !self.domains.contains_key(domain) && self.domains.len() >= self.limits.domains_max {
            return None;
        }
        let count = self.domains.entry(domain.clone()).or_default();
        if count.sent >= self.limits.domain_max || self.sent >= self.limits.total_max {
            count.held_back = count.held_back.saturating_add(1);
            return None;
        }
        count.sent += 1;
        self.sent += 1;
        Some(core::mem::take(&mut count.held_back).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floods_in_the_name_of_many_domains_are_bounded() {
        let limits = RateLimits { window: 60, domain_max: 2, total_max: 5, domains_max: 4 };
        let mut limit = RateLimit::new(limits);
        let domain = |n: u32| alloc::format!("d{n}.example").parse::<Name>().unwrap();
        let admitted =
            |limit: &mut RateLimit, now| (0..100).filter(|n| limit.admit(&domain(n % 10), now).is_some()).count();
        assert_eq!(admitted(&mut limit, 100), 5);
        assert_eq!(limit.domains.len(), 4);
        assert_eq!(admitted(&mut limit, 119), 0);
        assert_eq!(admitted(&mut limit, 60), 0, "a clock that goes back opens nothing");
        assert_eq!(admitted(&mut limit, 120), 5);
        // A domain that fell silent is forgotten at the latest two windows on.
        let quiet = domain(0);
        limit.admit(&quiet, 10_000);
        limit.admit(&quiet, 20_000);
        assert_eq!(limit.domains.len(), 1);
        assert_eq!(limit.admit(&quiet, 20_000), Some(1));
    }
}
