//! The resolver that asks name servers: a stub, for a recursive server nearby (feature `hickory`).
//!
//! It sends questions over UDP, over TCP where an answer was cut off, and keeps what it heard for as long as it may be kept.
//! It validates nothing. Whether an answer was validated is the word of the server, by its AD bit, and that word counts only
//! where the configuration says that the server and the way to it can be trusted ([`StubConfig::trust_ad`]): a validating
//! server on the same machine. Else every answer is [`Validation::Unknown`], and DANE is not used.
//!
//! ```no_run
//! use std::sync::Arc;
//! use pillarbox::dns::{StubConfig, StubResolver};
//! use pillarbox::parts::{Parts, SystemClock};
//!
//! # fn main() -> std::io::Result<()> {
//! let config = StubConfig::from_resolv_conf(&std::fs::read_to_string("/etc/resolv.conf")?);
//! let clock = Arc::new(SystemClock::new());
//! let parts = Parts { resolver: Arc::new(StubResolver::new(config, clock)), ..Parts::in_memory() };
//! # Ok(())
//! # }
//! ```
//!
//! Every answer is hostile input: [`StubLimits`] bounds what becomes of it. What has no use within them is "try later", and so
//! is every failure: a timeout, SERVFAIL (which is how a server says that a signature is wrong), a refusal, a referral, a
//! chain of aliases without an end. Of an absence (no such name, no such record) it is not known whether it was validated: the
//! answer says [`Validation::Unknown`] there.

mod answer;
mod cache;
mod config;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use pillarbox_core::dns::{DnsAnswer, DnsOutcome, Name, Question, RecordKind, Validation};

use crate::parts::{BoxFuture, Clock, Resolver};
use answer::Reading;
use cache::Cache;
pub use config::{StubConfig, StubLimits};

/// Asks name servers. Cheap to share in an [`Arc`]; questions run side by side, and equal ones that are open at once are asked
/// once.
pub struct StubResolver {
    config: StubConfig,
    /// One for each server, in the order of the configuration.
    servers: Vec<NameServerPool<TokioRuntimeProvider>>,
    /// The server that answered last.
    preferred: AtomicUsize,
    cache: Mutex<Cache>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for StubResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubResolver").field("config", &self.config).finish_non_exhaustive()
    }
}

impl StubResolver {
    /// A resolver with an empty cache. It opens no socket before the first question, which has to be asked within a tokio
    /// runtime. Without a server in the configuration every answer is "try later".
    pub fn new(config: StubConfig, clock: Arc<dyn Clock>) -> Self {
        let mut options = ResolverOpts::default();
        options.timeout = config.timeout;
        options.max_active_requests = ACTIVE_MAX;
        let tls = TlsConfig::new().expect("without encrypted transports there is nothing to configure");
        let context = Arc::new(PoolContext::new(options, tls));
        // A pool of several ends when its first server has used up the time.
        let servers = config.servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            let server = NameServerConfig::new(server.ip(), true, connections.into());
            NameServerPool::from_config([server], context.clone(), TokioRuntimeProvider::default())
        });
        let servers = servers.collect();
        let cache = Mutex::new(Cache::new(config.limits.cache_entries_max, config.limits.cache_size_max));
        StubResolver { config, servers, preferred: AtomicUsize::new(0), cache, clock }
    }

    /// Forgets everything that was kept.
    pub fn clear_cache(&self) {
        self.cache().clear();
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_up(&self, question: &Question) -> DnsAnswer {
        if let Some(answer) = self.cache().find(&question.name, question.kind, self.clock.now()) {
            return answer;
        }
        let deadline = self.clock.now() + self.config.patience();
        // Whoever polls this late finds both ready.
        let (answer, keep) = tokio::select! {
            biased;
            found = self.ask(&question.name, question.kind) => found,
            () = self.clock.sleep_until(deadline) => self.failed(),
        };
        self.keep(question, &answer, keep);
        answer
    }

    /// Keeps an answer for a while. A failure takes no place of what another, who asked meanwhile, has been told.
    fn keep(&self, question: &Question, answer: &DnsAnswer, keep: Duration) {
        let (mut cache, now) = (self.cache(), self.clock.now());
        let is_failure = answer.outcome == DnsOutcome::TryLater;
        if !is_failure || cache.find(&question.name, question.kind, now).is_none() {
            cache.insert(&question.name, question.kind, answer, keep, now);
        }
    }

    /// An answer, and how long it may be kept. Where a server gives an alias without its target, that is asked for too.
    async fn ask(&self, name: &Name, kind: RecordKind) -> (DnsAnswer, Duration) {
        let limits = &self.config.limits;
        let mut owner = name.clone();
        let mut aliases_left = limits.aliases_max;
        let mut ttl = limits.ttl_max;
        // Nothing is more secure than the least secure part of the way to it (RFC 7672 §2.1.3).
        let mut validation = self.validation(true);
        loop {
            let response = match self.exchange(&owner, kind).await {
                Ok(response) => response,
                Err(error) => return self.absence(&error).unwrap_or_else(|| self.failed()),
            };
            if !response.metadata.authentic_data {
                validation = self.validation(false);
            }
            let read = answer::read(&response, &owner, kind, &mut aliases_left, &mut ttl, limits);
            let (outcome, ttl) = match read {
                Some(Reading::Alias(target)) => {
                    owner = target;
                    continue;
                }
                Some(Reading::Found(set)) => {
                    let ttl = set.ttl();
                    (DnsOutcome::Found(set), ttl)
                }
                Some(Reading::NoData(ttl)) => (DnsOutcome::NoData, ttl),
                Some(Reading::NoSuchName(ttl)) => (DnsOutcome::NoSuchName, ttl),
                None => return self.failed(),
            };
            return (DnsAnswer::new(outcome, validation), Duration::from_secs(ttl.into()));
        }
    }

    async fn exchange(&self, name: &Name, kind: RecordKind) -> Result<DnsResponse, NetError> {
        let query = Query::query(answer::to_hickory(name).ok_or(NetError::NoConnections)?, answer::record_type(kind));
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        // RFC 6840 §5.7: without this bit a server need not say whether it validated.
        options.edns_set_dnssec_ok = self.config.trust_ad;
        options.recursion_desired = true;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = NetError::NoConnections;
        for _ in 0..self.config.attempts.max(1) {
            for place in 0..self.servers.len() {
                let place = (first + place) % self.servers.len();
                match self.servers[place].lookup(query.clone(), options).first_answer().await {
                    Ok(response) => {
                        self.preferred.store(place, Ordering::Relaxed);
                        return Ok(response);
                    }
                    Err(error @ NetError::Dns(DnsError::NoRecordsFound(_))) => {
                        self.preferred.store(place, Ordering::Relaxed);
                        return Err(error);
                    }
                    // Another server may know more.
                    Err(error) => last = error,
                }
            }
            // They have spoken; asking again would not change their mind.
            if matches!(last, NetError::Dns(_)) {
                break;
            }
        }
        Err(last)
    }

    /// What an absence is, of those that the pool tells by an error. It does not tell whether it was validated.
    fn absence(&self, error: &NetError) -> Option<(DnsAnswer, Duration)> {
        let NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, negative_ttl, soa, ns, .. })) = error
        else {
            return None;
        };
        let answer = match response_code {
            ResponseCode::NXDomain => DnsAnswer::no_such_name(),
            // A referral is no answer: the server does not recurse for us.
            ResponseCode::NoError if soa.is_some() || ns.is_none() => DnsAnswer::no_data(),
            _ => return None,
        };
        // RFC 2308 §5: what comes without an SOA is not kept.
        let keep = negative_ttl.unwrap_or(0).min(self.config.limits.negative_ttl_max);
        Some((answer, Duration::from_secs(keep.into())))
    }

    fn failed(&self) -> (DnsAnswer, Duration) {
        (DnsAnswer::try_later(), Duration::from_secs(self.config.limits.failure_ttl.into()))
    }

    const fn validation(&self, authentic: bool) -> Validation {
        match (self.config.trust_ad, authentic) {
            (false, _) => Validation::Unknown,
            (true, true) => Validation::Validated,
            (true, false) => Validation::NotValidated,
        }
    }
}

/// Questions that may be open on one connection over TCP. Beyond that they wait.
const ACTIVE_MAX: usize = 256;

impl Resolver for StubResolver {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, DnsAnswer> {
        Box::pin(self.look_up(question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::SystemClock;

    #[test]
    fn a_failure_takes_no_place_of_an_answer() {
        let resolver = StubResolver::new(StubConfig::new([]), Arc::new(SystemClock::new()));
        let name: Name = "mx.example.org".parse().unwrap();
        let question = Question::new(pillarbox_core::dns::QuestionId(0), name.clone(), RecordKind::A);
        let kept = || resolver.cache().find(&name, RecordKind::A, resolver.clock.now()).map(|answer| answer.outcome);
        let minute = Duration::from_secs(60);
        resolver.keep(&question, &DnsAnswer::try_later(), minute);
        assert_eq!(kept(), Some(DnsOutcome::TryLater));
        resolver.keep(&question, &DnsAnswer::no_data(), minute);
        resolver.keep(&question, &DnsAnswer::try_later(), minute);
        assert_eq!(kept(), Some(DnsOutcome::NoData));
    }
}
