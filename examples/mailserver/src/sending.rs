//! From a configuration to the queue and its routes.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::dns::{StubConfig, StubResolver};
use pillarbox::mailcore::address::{Address, Domain};
use pillarbox::outbound::spool::{Options, RealFs, Recovery, Store, StoreError};
use pillarbox::outbound::{
    Disk, HttpsPolicies, HttpsReports, Outbound, OutboundConfig, OutboundParts, Route, SharedLogin, SmartHost,
    StsFolder, StsPolicies, TcpConnect, TlsMode,
};
use pillarbox::parts::{Clock, MessageSink, Parts, Resolver};
use pillarbox::smtp::{ClientConfig, Credentials, Login};
use pillarbox::smtp_proto::route::RouteTable;
use rustls::RootCertStore;

use crate::certificate;
use crate::config::{self, Address as Listened, Config, Dns, HostRoute, NextHop, Protocol, RouteOf, RouteTls, Sending};
use crate::forwarding::{self, Forwarded};
use crate::password::PasswordSource;
use crate::serve::HOLD_MAX;
use crate::tls_reporting;

/// The socket in the folder of the queue on which a running server is spoken to.
pub const SOCKET_NAME: &str = "control";
/// The port of mail exchangers.
const SMTP_PORT: u16 = 25;

/// The queue, ready to send.
pub struct Queue {
    pub outbound: Outbound,
    pub recovery: Recovery,
    pub forward: Option<Forwarded>,
    /// Where operators ask.
    pub socket: PathBuf,
    pub logins: Logins,
}

/// The logins at other servers, which are read again when their passwords change.
#[derive(Clone, Default)]
pub struct Logins(Vec<(SharedLogin, String, PasswordSource)>);

impl Logins {
    fn add(&mut self, user: &str, source: &PasswordSource) -> Result<SharedLogin, String> {
        let login = SharedLogin::new(login(user, source)?);
        self.0.push((login.clone(), user.to_owned(), source.clone()));
        Ok(login)
    }

    /// Reads all passwords again; those that cannot be read are told, and stay as they were.
    pub fn read_again(&self) -> Vec<String> {
        let read = self.0.iter().map(|(shared, user, source)| login(user, source).map(|login| shared.set(login)));
        read.filter_map(Result::err).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn login(user: &str, source: &PasswordSource) -> Result<Login, String> {
    Ok(Login::new(Credentials::plain("", user, source.read()?.expose().clone())))
}

/// Finds what would keep the queue from starting, beside what stands in files, and changes nothing.
pub fn check(config: &Config, sending: &Sending) -> Result<(), String> {
    let passwords = sending.routes.iter().filter_map(|rule| match &rule.to {
        NextHop::Host(HostRoute { login: Some((_, source)), .. }) => source.read().err(),
        _ => None,
    });
    let mut told: Vec<String> = passwords.collect();
    told.extend(trusted(sending).err());
    if let Some(forwarding) = &sending.forwarding {
        let read = forwarding::load(config, forwarding, None);
        told.extend(read.and_then(|forward| forwarding::checked(config, sending, forward)).err());
    }
    if told.is_empty() { Ok(()) } else { Err(told.join("\n")) }
}

/// Opens the queue, with routes into `local` for what is delivered here. Resolver, clock and observer are shared with the rest.
pub fn open(config: &Config, sending: &Sending, local: &Arc<dyn MessageSink>, shared: &Parts) -> Result<Queue, String> {
    let mut parts = OutboundParts::from_system();
    parts.resolver = Arc::clone(&shared.resolver);
    parts.clock = Arc::clone(&shared.clock);
    parts.connect = Arc::new(TcpConnect { source: sending.source.clone() });
    let tls = rustls::ClientConfig::builder().with_root_certificates(trusted(sending)?).with_no_client_auth();
    let tls = Arc::new(tls);
    parts.tls = Some(Arc::clone(&tls));
    if let Some(folder) = &sending.policies {
        let told = |error| format!("cannot use the folder {}: {error}", folder.display());
        let kept = StsFolder::open(Arc::new(RealFs), folder, Disk::default()).map_err(told)?;
        let mut web = HttpsPolicies::new(&parts, Arc::clone(&tls)).keep_in(kept);
        if sending.private_policy_hosts {
            web = web.any_address();
        }
        parts.policies = Some(Arc::new(StsPolicies::new(Arc::new(web))));
    }
    if let Some(reports) = &sending.tls_reports {
        let mut web = HttpsReports::new(&parts, tls);
        if reports.private_hosts {
            web = web.any_address();
        }
        parts.report_post = Some(Arc::new(web));
    }
    parts.observer = Arc::clone(&shared.observer);

    let mut logins = Logins::default();
    let routes = routes(config, sending, local, &mut logins)?;
    let forward = Forwarded::load(config, sending, local)?;
    parts.forward = forward.as_ref().map(|forward| forward.shared.clone());
    let outbound = outbound_config(config, sending)?;
    let (store, recovery) = open_store(config, sending)?;
    Ok(Queue {
        outbound: Outbound::new(outbound, parts, routes, store),
        recovery,
        forward,
        socket: sending.folder.join(SOCKET_NAME),
        logins,
    })
}

/// Opens the queue on the disk, which nobody else may have open.
pub fn open_store(config: &Config, sending: &Sending) -> Result<(Store, Recovery), String> {
    let mut options = Options::from_system();
    options.reserve_bytes = config.limits.free_space;
    options.reserve_files = config.limits.free_files;
    let folder = sending.folder.display();
    Store::open(RealFs, &sending.folder, options).map_err(|error| match error {
        StoreError::InUse(_) => format!("cannot open the queue {folder}: another server has it open"),
        error => format!("cannot open the queue {folder}: {error}"),
    })
}

fn outbound_config(config: &Config, sending: &Sending) -> Result<OutboundConfig, String> {
    let told = |error| format!("{}: {error}", config.hostname);
    let mut outbound = OutboundConfig::new(&config.hostname).map_err(told)?;
    if let Some(hello) = &sending.hello {
        outbound.client = ClientConfig::new(hello).map_err(|error| format!("{hello}: {error}"))?;
    }
    // A domain whose exchanger is one of these is ours, and would come back here.
    outbound.own_addresses = config
        .listeners
        .iter()
        .filter_map(|listener| match listener.address {
            Listened::Tcp(at) if listener.protocol == Protocol::Smtp && at.port() == SMTP_PORT => {
                Some(at.ip()).filter(|ip| !ip.is_unspecified())
            }
            _ => None,
        })
        .collect();
    outbound.tls_reports = sending.tls_reports.as_ref().map(tls_reporting::reporting).transpose()?;
    outbound.deliveries_max = sending.deliveries;
    outbound.hold_max = Duration::from_secs(HOLD_MAX.into());
    if sending.double_bounces {
        outbound.double_bounces_to = Address::parse(&config.postmaster).ok().map(Address::into_owned);
    }
    let schedule = &mut outbound.schedule;
    (schedule.delay_first, schedule.delay_max) = (sending.retry_first, sending.retry_max);
    schedule.notice_after = sending.notice_after;
    (schedule.expire_after, schedule.notice_expire_after) = (sending.expire_after, sending.bounce_expire_after);
    schedule.concurrency_max = sending.deliveries_per_destination;
    schedule.concurrency_first = schedule.concurrency_first.min(sending.deliveries_per_destination);
    Ok(outbound)
}

/// Who is asked for names.
pub fn resolver(dns: &Dns, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Resolver>, String> {
    Ok(Arc::new(StubResolver::new(stub_config(dns)?, Arc::clone(clock))))
}

fn stub_config(dns: &Dns) -> Result<StubConfig, String> {
    let mut stub = match dns.servers.is_empty() {
        false => StubConfig::new(dns.servers.iter().copied()),
        true => {
            // Without the file the C library asks this machine as well.
            let text = match std::fs::read_to_string("/etc/resolv.conf") {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("cannot read /etc/resolv.conf: {error}"));
                }
                text => text.unwrap_or_default(),
            };
            StubConfig::from_resolv_conf(&text)
        }
    };
    stub.trust_ad = dns.validates.unwrap_or(stub.trust_ad);
    Ok(stub)
}

/// Whose signature on a certificate counts.
fn trusted(sending: &Sending) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match &sending.trusted_certificates {
        Some(path) => {
            for certificate in certificate::read_chain(path)? {
                roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
                return Err(format!(
                    "this system has no certificates that are trusted, so that no server could show who it is{why}; install \
                     them (Debian: ca-certificates), or name a file with `trusted_certificates` in [queue]"
                ));
            }
        }
    }
    Ok(roots)
}

fn routes(
    config: &Config,
    sending: &Sending,
    local: &Arc<dyn MessageSink>,
    logins: &mut Logins,
) -> Result<RouteTable<Route>, String> {
    let mut routes = RouteTable::new();
    let told = |error: pillarbox::smtp_proto::route::RouteTableError| error.to_string();
    for domain in &config.domains {
        routes.by_recipient(domain, Route::Sink(Arc::clone(local))).map_err(told)?;
    }
    if !config.domains.contains(&config.hostname) {
        // What `<Postmaster>` without a domain means (RFC 5321 §4.5.1).
        let postmaster = format!("postmaster@{}", config.hostname);
        routes.by_recipient(&postmaster, Route::Sink(Arc::clone(local))).map_err(told)?;
    }
    for rule in &sending.routes {
        let route = |pattern: &str, logins: &mut Logins| match &rule.to {
            NextHop::Mx => Ok(Route::Mx),
            NextHop::MxWithTls(tls) => {
                let domain = config::domain_of(pattern).ok_or_else(|| format!("{pattern} has no domain"))?;
                let mut host = SmartHost::new(domain);
                (host.mx, host.port, host.tls) = (true, SMTP_PORT, mode(*tls));
                Ok(Route::SmartHost(Arc::new(host)))
            }
            NextHop::Host(host) => smart_host(host, logins).map(|host| Route::SmartHost(Arc::new(host))),
            NextHop::LmtpSocket(path) => Ok(Route::LmtpSocket(path.clone())),
        };
        match &rule.of {
            RouteOf::Rest => routes.set_default(route("*", logins)?),
            RouteOf::Senders(patterns) => {
                let shared = route("*", logins)?;
                for pattern in patterns {
                    routes.by_sender(pattern, shared.clone()).map_err(told)?;
                }
            }
            RouteOf::Recipients(patterns) => {
                // One host stays one, with one login, for all that is routed to it.
                let shared = match rule.to {
                    NextHop::MxWithTls(_) => None,
                    _ => Some(route("*", logins)?),
                };
                for pattern in patterns {
                    let route = shared.clone().map_or_else(|| route(pattern, logins), Ok)?;
                    routes.by_recipient(pattern, route).map_err(told)?;
                }
            }
        }
    }
    Ok(routes)
}

fn smart_host(route: &HostRoute, logins: &mut Logins) -> Result<SmartHost, String> {
    let domain = match route.host.trim_matches(['[', ']']).trim_start_matches("IPv6:").parse::<IpAddr>() {
        Ok(ip) => Domain::from_ip(ip),
        Err(_) => Domain::parse(&route.host).map_err(|error| format!("{}: {error}", route.host))?.into_owned(),
    };
    let mut host = if route.is_lmtp { SmartHost::lmtp(domain) } else { SmartHost::new(domain) };
    (host.address, host.port, host.tls) = (route.address, route.port, mode(route.tls));
    if let Some((user, source)) = &route.login {
        host.shared_login = Some(logins.add(user, source)?);
    }
    Ok(host)
}

const fn mode(tls: RouteTls) -> TlsMode {
    match tls {
        RouteTls::None => TlsMode::Never,
        RouteTls::Opportunistic => TlsMode::IfOffered,
        RouteTls::Required => TlsMode::Encrypted,
        RouteTls::Verified => TlsMode::Verified,
        RouteTls::Implicit => TlsMode::Implicit,
    }
}
