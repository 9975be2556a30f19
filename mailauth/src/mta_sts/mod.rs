//! MTA-STS (RFC 8461): a domain says by DNS and HTTPS which hosts take its mail, and that they do TLS with good certificates.
//!
//! ```text
//!   Discovery   asks for the TXT record            -> Published     is there a policy, and which
//!   decide      looks at the cache and the record  -> Plan          the policy in force, and whether to fetch
//!   (the caller fetches policy_host by HTTPS)      -> read_response Policy, or FetchError
//!   judge       looks at a host and its TLS        -> Verdict       deliver, report, or go to the next host
//! ```
//!
//! Nothing here fetches, keeps or dates anything: what the caller brings are answers, octets and seconds since 1970. The rule
//! in all of it: a policy that is in the cache stays in force until its own `max_age` is over, whatever becomes of the record
//! and the web server (RFC 8461 §5.1, §10.2). Else an attacker would only have to disturb them.
//!
//! ```
//! use pillarbox_auth::mta_sts::{self, CacheEntry, Discovery, Fetch, Limits, Published, TlsOutcome, Verdict};
//! use pillarbox_auth::tls_rpt::FailureType;
//! use pillarbox_core::dns::{self, FixedZone, Name, Record};
//!
//! let domain = Name::parse("example.org")?;
//! let limits = Limits::default();
//! let zone = FixedZone::new().with("_mta-sts.example.org", Record::txt("v=STSv1; id=20260101;"));
//!
//! // Nothing is known of the domain: its policy has to be fetched first.
//! let published = dns::run(&mut Discovery::new(&domain), &zone);
//! let plan = mta_sts::decide(1_800_000_000, None, None, &published, &limits);
//! assert_eq!((plan.policy, plan.fetch), (None, Fetch::First));
//!
//! let body = b"version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 604800\r\n";
//! let policy = mta_sts::read_response(200, Some("text/plain; charset=utf-8"), body, &limits)?;
//! let Published::Record(record) = published else { panic!("nothing published") };
//! let entry = CacheEntry::new(domain, record.id, 1_800_000_000, policy);
//!
//! // The record is gone, the policy is not.
//! let plan = mta_sts::decide(1_800_000_060, Some(&entry), None, &Published::TryLater, &limits);
//! let policy = plan.policy.expect("the policy is in force");
//! assert_eq!(mta_sts::judge(policy, &Name::parse("mx1.example.org")?, TlsOutcome::Authenticated), Verdict::Deliver);
//! assert_eq!(
//!     mta_sts::judge(policy, &Name::parse("mx1.example.org")?, TlsOutcome::Failed(FailureType::StartTlsNotSupported)),
//!     Verdict::Refuse(FailureType::StartTlsNotSupported)
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod cache;
mod discovery;
mod fetch;
mod policy;

pub use address::is_public;
pub use cache::{CacheEntry, CacheEntryError, FailedFetch, Fetch, Plan, decide};
pub use discovery::{Discovery, NotPublished, PolicyId, Published, StsRecord, StsRecordError};
pub use fetch::{FetchError, POLICY_PATH, policy_host, policy_url, read_response};
pub use policy::{Mode, MxPattern, Policy, PolicyError, PolicyFault, TlsOutcome, Verdict, judge};

/// What bounds the work for one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of a policy: 64 KiB (RFC 8461 §3.3). A fetcher reads one more at most.
    pub body_size_max: usize,
    /// Seconds that fetching may take as a whole: 60 (RFC 8461 §3.3). For the fetcher; nothing here reads a clock.
    pub fetch_seconds_max: u64,
    /// Seconds after which a policy that is in force is fetched anew: one day (RFC 8461 §3.3), so that an attacker has to
    /// disturb every refresh until the policy ends. A policy with a shorter life is fetched after half of it.
    pub refresh_seconds: u64,
    /// Seconds after a fetch that failed until the next one for the same record: 300 (RFC 8461 §3.3).
    pub retry_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body_size_max: 64 << 10, fetch_seconds_max: 60, refresh_seconds: 86_400, retry_seconds: 300 }
    }
}
