//! The queue in front of other servers: what is accepted for elsewhere is sent, or its sender told.
//!
//! ```text
//!   SmtpServer ──▶ SpoolSink ──▶ Store (the log: 250 after its sync) ──▶ Outbound ──▶ routes, DNS, TLS policy ──▶ SmtpClient
//!                                  ▲                                        │
//!                                  └──── outcomes and notices, one commit ──┘
//! ```
//!
//! ```no_run
//! use std::sync::Arc;
//! use pillarbox::outbound::{Outbound, OutboundConfig, OutboundParts, Route, SmartHost, spool};
//! use pillarbox::mailcore::address::Domain;
//! use pillarbox::smtp_proto::route::RouteTable;
//! use pillarbox::Shutdown;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, recovery) = spool::Store::open(spool::RealFs, "/var/spool/relay", spool::Options::from_system())?;
//! let mut routes = RouteTable::new();
//! routes.set_default(Route::SmartHost(Arc::new(SmartHost::new(Domain::parse("smtp.example.net")?.into_owned()))));
//! let parts = OutboundParts::from_system();
//! let outbound = Outbound::new(OutboundConfig::new("mx.example.org")?, parts, routes, store);
//! let sink = outbound.sink(); // for the Parts of a server
//! # let _ = sink;
//! outbound.run(recovery, &Shutdown::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - A recipient of an accepted message ends as delivered, as returned to the sender, or set aside where a person has to look;
//!   until then it waits. A crash loses none, and can double one only between the next server's 250 and our record of it.
//! - The record of an outcome and the notice about it are one commit.
//! - Nothing is sent in the clear where the route, the domain (DANE, MTA-STS) or the message (REQUIRETLS) forbids it.
//! - Nothing with the null reverse-path is ever answered, and a message for which the sender was proven false is silent
//!   ([`SpoolSink::silent`]).
//!
//! # Limits
//!
//! | what | value | where |
//! |---|---|---|
//! | deliveries at a time | 100 | [`OutboundConfig::deliveries_max`] |
//! | beside them, to hosts that hang or were in trouble | 400 | [`OutboundConfig::slow_max`] |
//! | to one destination | 5, up to 20 where it goes well | [`spool::ScheduleOptions`] |
//! | recipients of a transaction | 100 | [`OutboundConfig::recipients_max`] |
//! | addresses and sessions of a round | 5 and 2 | [`OutboundConfig::attempts`] |
//! | memory for content | 256 KiB for each delivery | [`spool::Options::inline_max`] |
//! | memory for messages, with their envelopes, that were accepted just now and are sent at once | 16 MiB, beside the queue on the disk | |
//! | header, while it is looked through as a delivery begins | 1 MiB for each call of the disk | [`OutboundConfig::disk`] |
//! | hops | 100 | [`OutboundConfig::hops_max`] |
//! | addresses of an alias | 1,000 | [`Aliases`] |
//! | policies of MTA-STS that are kept | 10,000 | [`StsFolder::files_max`] |

mod body;
mod commits;
mod config;
mod connect;
mod delivery;
mod disk;
mod engine;
mod forward;
mod fresh;
mod handle;
mod hosts;
#[cfg(feature = "https")]
mod https;
mod local;
mod looking;
mod notice;
mod pool;
mod race;
mod record;
mod replace;
mod route;
mod seat;
mod session;
mod shared;
mod sink;
mod space;
mod speak;
mod sts;
#[cfg(feature = "https")]
mod sts_fetch;
mod sts_folder;
mod tls;
mod tls_reports;
mod turns;

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use pillarbox_core::Random;
use pillarbox_smtp::route::RouteTable;
use pillarbox_spool::{Recovery, Schedule, Store};

pub use config::OutboundConfig;
pub use connect::{Connect, Connected, Endpoint, TcpConnect};
pub use disk::Disk;
pub use forward::{AliasError, AliasFault, Aliases, Forward, SharedForward, Srs, SrsError};
pub use handle::{Interrupted, OutboundHandle};
pub use route::{Route, SharedLogin, SmartHost, TlsMode};
pub use sink::SpoolSink;
pub use sts::{FetchedPolicy, PolicyFetch, StsPolicies};
#[cfg(feature = "https")]
pub use sts_fetch::HttpsPolicies;
pub use sts_folder::StsFolder;
#[cfg(feature = "https")]
pub use tls_reports::HttpsReports;
pub use tls_reports::{ReportPost, TlsReporting};

use crate::crypto::SystemRandom;
use crate::parts::{Clock, Observer, Resolver, Silent, SystemClock};
use crate::shutdown::Shutdown;
use commits::Commits;
use disk::Blocking;
use fresh::Freshest;
use pool::Pool;
use shared::Shared;
use space::Space;
use tls::HostTls;
use tls_reports::TlsCounts;
use turns::Turns;

/// The queue itself: what is on the disk, and when it is tried.
pub mod spool {
    pub use pillarbox_fs::RealFs;
    pub use pillarbox_spool::*;
}

/// Who does for the queue what it does not do itself.
#[derive(Clone)]
#[non_exhaustive]
pub struct OutboundParts {
    /// Who answers DNS questions. That its answers are validated is for it to say; without that there is no DANE.
    pub resolver: Arc<dyn Resolver>,
    /// Who makes connections.
    pub connect: Arc<dyn Connect>,
    /// TLS with certificates that are checked for the names of hosts. Without it there is no TLS, and what needs it waits.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Policies of MTA-STS; without them there is none.
    pub policies: Option<Arc<StsPolicies>>,
    /// Who sends reports on TLS by HTTPS; without that they go by mail alone.
    pub report_post: Option<Arc<dyn ReportPost>>,
    /// What is sent on, where that may change while the queue works; it comes before the routes.
    pub forward: Option<SharedForward>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
}

impl OutboundParts {
    /// Connections over TCP, the clock of the system, an empty DNS, no TLS, no policies, and nobody who is told.
    pub fn from_system() -> Self {
        OutboundParts {
            resolver: Arc::new(pillarbox_core::dns::FixedZone::new()),
            connect: Arc::new(TcpConnect::default()),
            tls: None,
            policies: None,
            report_post: None,
            forward: None,
            clock: Arc::new(SystemClock::new()),
            observer: Arc::new(Silent),
        }
    }
}

/// Sends what is in the queue. The [module](self) has an example.
#[derive(Clone)]
pub struct Outbound(Arc<Shared>);

impl Outbound {
    /// The queue in `store`, by these routes: where they have none, mail goes where the DNS says.
    pub fn new(config: OutboundConfig, parts: OutboundParts, routes: RouteTable<Route>, store: Store) -> Self {
        Outbound::with_random(config, parts, routes, store, || Box::new(SystemRandom::default()))
    }

    /// The same with randomness that you give, for tests that have to be the same each time: one for the schedule, and one for
    /// everything else.
    pub fn with_random(
        config: OutboundConfig,
        parts: OutboundParts,
        routes: RouteTable<Route>,
        store: Store,
        random: impl Fn() -> Box<dyn Random + Send>,
    ) -> Self {
        Outbound(Arc::new(Shared {
            schedule: Mutex::new(Schedule::new(config.schedule.clone(), Boxed(random()))),
            waiting: AtomicUsize::new(0),
            disk: Blocking::new(config.disk),
            commits: Commits::new(config.disk),
            fresh: Freshest::default(),
            space: Space::default(),
            tls: HostTls::new(parts.tls.clone()),
            tls_counts: config.tls_reports.as_ref().map(TlsCounts::new),
            random: Mutex::new(random()),
            wake: tokio::sync::Notify::new(),
            grown: tokio::sync::Notify::new(),
            recovered: AtomicBool::new(false),
            pool: Pool::default(),
            turns: Turns::default(),
            operator: Arc::default(),
            config,
            parts,
            routes,
            store,
        }))
    }

    /// The sink that fills the queue.
    pub fn sink(&self) -> SpoolSink {
        SpoolSink::new(Arc::clone(&self.0))
    }

    /// What an operator does with the queue.
    pub fn handle(&self) -> OutboundHandle {
        OutboundHandle::new(Arc::clone(&self.0))
    }

    /// Sends until `shutdown` begins, and then for as long as its patience lasts what is on its way. What was waiting before
    /// the start is read in the background meanwhile. Nothing is lost by dropping the future, either: what was under way is
    /// tried again after the next start.
    pub async fn run(&self, recovery: Recovery, shutdown: &Shutdown) {
        engine::run(&self.0, recovery, shutdown).await;
    }
}

struct Boxed(Box<dyn Random + Send>);

impl Random for Boxed {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }
}
