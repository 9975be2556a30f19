//! Policies of MTA-STS (RFC 8461): fetched through a part, kept there too, and applied while they are in force.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pillarbox_auth::mta_sts::{self, CacheEntry, Discovery, FailedFetch, Fetch, FetchError, Limits, Policy, Published};
use pillarbox_core::dns::Name;

use super::turns::Turns;
use crate::parts::{BoxFuture, Clock, Resolver, resolve_within};

/// Who fetches policies by HTTPS, and keeps them where they survive a restart.
///
/// What [`fetch`](PolicyFetch::fetch) has to see to: the URL is [`policy_url`](mta_sts::policy_url), no redirect is followed, the
/// certificate is checked for the name of the host, no address that is not [public](mta_sts::is_public) is connected to, and
/// no more is read than [`Limits::body_size_max`] and one octet.
pub trait PolicyFetch: Send + Sync {
    /// Fetches the policy of a domain.
    ///
    /// # Errors
    ///
    /// Why nothing came.
    fn fetch<'a>(&'a self, domain: &'a Name) -> BoxFuture<'a, Result<FetchedPolicy, FetchError>>;

    /// The text that was kept for a domain.
    fn load<'a>(&'a self, domain: &'a Name) -> BoxFuture<'a, Option<Vec<u8>>>;

    /// Keeps a text for a domain in place of the one before.
    fn save<'a>(&'a self, domain: &'a Name, text: String) -> BoxFuture<'a, ()>;
}

/// What a web server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedPolicy {
    /// The status, such as 200.
    pub status: u16,
    /// The value of Content-Type.
    pub content_type: Option<String>,
    /// The content.
    pub body: Vec<u8>,
}

/// Domains of which something is known in memory. The others are looked up anew.
const DOMAINS_MAX: usize = 10_000;

/// The policies that are known.
pub struct StsPolicies {
    fetch: Arc<dyn PolicyFetch>,
    limits: Limits,
    known: Mutex<HashMap<Name, Domain>>,
    /// Who fetches the policy of a domain.
    turns: Turns<Name>,
}

#[derive(Clone, Default)]
struct Domain {
    cached: Option<CacheEntry>,
    failed: Option<(FailedFetch, FetchError)>,
}

/// What is done for the policy of a domain.
enum Plan {
    /// This is it, if there is any; or the reason for which there is none.
    Use(Result<Option<Policy>, FetchError>),
    /// One is fetched; this one is in force until then.
    Fetch(Option<Policy>),
}

fn seconds(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.wall().unix_seconds()).unwrap_or(0)
}

impl StsPolicies {
    /// Policies that come by `fetch`.
    pub fn new(fetch: Arc<dyn PolicyFetch>) -> Self {
        StsPolicies { fetch, limits: Limits::default(), known: Mutex::default(), turns: Turns::default() }
    }

    /// The policy in force for a domain; none if it has none, or none could be found out.
    pub async fn policy(
        &self,
        domain: &Name,
        resolver: &dyn Resolver,
        clock: &dyn Clock,
        patience: Duration,
    ) -> Option<Policy> {
        self.look_up(domain, resolver, clock, patience).await.ok().flatten()
    }

    /// The same, but that a domain which announces a policy that cannot be had, and for which none is in force from before, has no
    /// policy for a reason.
    pub(super) async fn look_up(
        &self,
        domain: &Name,
        resolver: &dyn Resolver,
        clock: &dyn Clock,
        patience: Duration,
    ) -> Result<Option<Policy>, FetchError> {
        let published = resolve_within(Discovery::new(domain), resolver, clock, patience).await;
        let (_, plan) = self.decide(domain, clock, &published).await;
        if let Plan::Use(policy) = plan {
            return policy;
        }
        // Who had the turn before may have brought what this one wants, or found that it cannot be had.
        let _turn = self.turns.take(domain.clone()).await;
        let (mut known, plan) = self.decide(domain, clock, &published).await;
        let in_force = match plan {
            Plan::Use(policy) => return policy,
            Plan::Fetch(in_force) => in_force,
        };
        let now = seconds(clock);
        // Deviates from RFC 8461 §3.3: because a refresh that is waited for costs one message a second a day, and spares a task
        // that outlives the delivery.
        match self.fetch(domain, clock).await {
            Ok(policy) => {
                let id = match published {
                    Published::Record(record) => Some(record.id),
                    _ => known.cached.map(|entry| entry.id),
                };
                let Some(id) = id else { return Ok(None) };
                let entry = CacheEntry::new(domain.clone(), id, now, policy.clone());
                self.fetch.save(domain, entry.to_string()).await;
                self.learn(domain, Domain { cached: Some(entry), failed: None });
                Ok(Some(policy))
            }
            Err(error) => {
                let id = match published {
                    Published::Record(record) => Some(record.id),
                    _ => None,
                };
                known.failed = Some((FailedFetch::new(id, now), error));
                self.learn(domain, known);
                in_force.map_or(Err(error), |policy| Ok(Some(policy)))
            }
        }
    }

    /// What is known of a domain, and what is to be done.
    async fn decide(&self, domain: &Name, clock: &dyn Clock, published: &Published) -> (Domain, Plan) {
        let known = self.known(domain).await;
        let (limits, failed) = (&self.limits, known.failed.as_ref().map(|(failed, _)| failed));
        let plan = mta_sts::decide(seconds(clock), known.cached.as_ref(), failed, published, limits);
        let policy = plan.policy.cloned();
        let plan = match (plan.fetch, policy, &known.failed, published) {
            (Fetch::No, None, Some((_, error)), Published::Record(_)) => Plan::Use(Err(*error)),
            (Fetch::No, policy, ..) => Plan::Use(Ok(policy)),
            (_, policy, ..) => Plan::Fetch(policy),
        };
        (known, plan)
    }

    async fn fetch(&self, domain: &Name, clock: &dyn Clock) -> Result<Policy, FetchError> {
        let deadline = clock.now() + Duration::from_secs(self.limits.fetch_seconds_max);
        let fetched = tokio::select! {
            biased;
            fetched = self.fetch.fetch(domain) => fetched?,
            () = clock.sleep_until(deadline) => return Err(FetchError::TooSlow),
        };
        mta_sts::read_response(fetched.status, fetched.content_type.as_deref(), &fetched.body, &self.limits)
    }

    async fn known(&self, domain: &Name) -> Domain {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(domain).cloned();
        if let Some(known) = known {
            return known;
        }
        let kept = self.fetch.load(domain).await;
        let cached = kept.and_then(|text| CacheEntry::parse(&text).ok()).filter(|entry| entry.domain == *domain);
        Domain { cached, failed: None }
    }

    fn learn(&self, domain: &Name, news: Domain) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= DOMAINS_MAX {
            // What was kept is loaded again; of the rest a fetch is tried once more.
            known.clear();
        }
        known.insert(domain.clone(), news);
    }
}
