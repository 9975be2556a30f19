//! What is known of a domain, and what to do about it (RFC 8461 §5.1).

use core::fmt;

use pillarbox_core::dns::Name;

use super::{Limits, Policy, PolicyError, PolicyId, Published};

/// A policy that was fetched. Its text form survives a restart:
///
/// ```
/// use pillarbox_auth::mta_sts::CacheEntry;
///
/// let text = "domain: example.org\nid: 20260101\nfetched: 1800000000\n\
///             version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 604800\n";
/// let entry = CacheEntry::parse(text.as_bytes())?;
/// assert!(entry.is_in_force(1_800_604_800));
/// assert!(!entry.is_in_force(1_800_604_801));
/// assert_eq!(entry.to_string(), text);
/// # Ok::<(), pillarbox_auth::mta_sts::CacheEntryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheEntry {
    /// The domain that the policy is for.
    pub domain: Name,
    /// Its identifier when it was fetched.
    pub id: PolicyId,
    /// When it was fetched, in seconds since 1970.
    pub fetched: u64,
    /// The policy.
    pub policy: Policy,
}

/// Why a text is no cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CacheEntryError {
    /// The lines `domain`, `id` and `fetched` do not stand first, each with its value.
    #[error("not the lines of a cache entry")]
    Malformed,
    /// What follows is no policy.
    #[error("the policy is invalid: {0}")]
    Policy(#[from] PolicyError),
}

impl CacheEntry {
    /// What was fetched now, under the identifier that the record has now.
    pub const fn new(domain: Name, id: PolicyId, fetched: u64, policy: Policy) -> Self {
        CacheEntry { domain, id, fetched, policy }
    }

    /// Reads the text form.
    ///
    /// # Errors
    ///
    /// [`CacheEntryError`]; the entry is lost then, and the policy is fetched anew.
    pub fn parse(text: &[u8]) -> Result<Self, CacheEntryError> {
        let mut lines = text.splitn(4, |octet| *octet == b'\n');
        let mut value = |name: &str| {
            let line = core::str::from_utf8(lines.next()?).ok()?;
            line.strip_prefix(name)
        };
        let entry = (|| {
            let domain = Name::parse(value("domain: ")?).ok()?;
            let id = PolicyId::parse(value("id: ")?).ok()?;
            let fetched = value("fetched: ")?.parse().ok()?;
            Some((domain, id, fetched))
        })();
        let (domain, id, fetched) = entry.ok_or(CacheEntryError::Malformed)?;
        let policy = Policy::parse(lines.next().ok_or(CacheEntryError::Malformed)?)?;
        Ok(CacheEntry { domain, id, fetched, policy })
    }

    /// Whether the policy is in force at a time: until its `max_age` has passed since it was fetched. A clock that was put
    /// back does not end it.
    pub const fn is_in_force(&self, now: u64) -> bool {
        now.saturating_sub(self.fetched) <= self.policy.max_age as u64
    }

    /// Whether it is time for the next fetch, well before the policy ends.
    fn is_due(&self, now: u64, limits: &Limits) -> bool {
        let wait = limits.refresh_seconds.min(u64::from(self.policy.max_age / 2));
        // Fetched in the future: the clock was put back, and the age is unknown.
        self.fetched > now || now - self.fetched >= wait
    }
}

impl fmt::Display for CacheEntry {
    /// The text form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "domain: {}\nid: {}\nfetched: {}\n{}", self.domain, self.id, self.fetched, self.policy)
    }
}

/// The last fetch, if it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedFetch {
    /// The identifier in the record, if there was one.
    pub id: Option<PolicyId>,
    /// When it failed, in seconds since 1970.
    pub at: u64,
}

impl FailedFetch {
    /// A fetch that failed.
    pub const fn new(id: Option<PolicyId>, at: u64) -> Self {
        FailedFetch { id, at }
    }
}

/// What [`decide`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan<'c> {
    /// The policy in force. `None`: as if there were no MTA-STS (after the fetch, if one is to be made first).
    pub policy: Option<&'c Policy>,
    /// Whether to fetch.
    pub fetch: Fetch,
}

/// Whether to fetch a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fetch {
    /// There is no need.
    No,
    /// Soon, beside the delivery: the policy in force holds until another one is there. Its failure is worth a report, and in
    /// the long run an alarm, unless the policy in force has the mode `none` (RFC 8461 §3.3, §6).
    Beside,
    /// Before the delivery, which waits for it: nothing is in force. If it fails the mail goes as if there were no MTA-STS.
    First,
}

/// What is in force for a domain now, and whether to fetch: from the cache, the last fetch if it failed, and what the domain
/// publishes.
///
/// | in the cache | the record | in force | fetch |
/// |---|---|---|---|
/// | in force | has the same identifier | the cached policy | beside, if a refresh is due |
/// | in force | has another identifier | the cached policy | beside |
/// | in force | is gone, or nobody can say | the cached policy | beside, if a refresh is due |
/// | nothing, or over | is there | nothing | first |
/// | nothing, or over | is gone, or nobody can say | nothing | no |
///
/// A fetch that failed for the same record is not made again for five minutes.
pub fn decide<'c>(
    now: u64,
    cached: Option<&'c CacheEntry>,
    failed: Option<&FailedFetch>,
    published: &Published,
    limits: &Limits,
) -> Plan<'c> {
    let id = match published {
        Published::Record(record) => Some(&record.id),
        _ => None,
    };
    let cached = cached.filter(|entry| entry.is_in_force(now));
    let fetch = match (cached, id) {
        (Some(entry), Some(id)) if entry.id != *id => Fetch::Beside,
        (Some(entry), _) if entry.is_due(now, limits) => Fetch::Beside,
        (None, Some(_)) => Fetch::First,
        _ => Fetch::No,
    };
    let is_too_soon = failed.is_some_and(|failed| {
        let waited = now.checked_sub(failed.at);
        failed.id.as_ref() == id && waited.is_some_and(|waited| waited < limits.retry_seconds)
    });
    Plan { policy: cached.map(|entry| &entry.policy), fetch: if is_too_soon { Fetch::No } else { fetch } }
}
