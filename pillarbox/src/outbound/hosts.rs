//! To other hosts: which, in what order, over which connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pillarbox_auth::dane::{Host, HostLookup, NextHop, Security};
use pillarbox_auth::mta_sts::Policy;
use pillarbox_auth::tls_rpt::FailureType;
use pillarbox_core::EnhancedCode;
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{Name, Validation};
use pillarbox_smtp::client::{ClientConfig, FailureCause, Login, Phase, StartTls};
use pillarbox_smtp::route::{Attempts, Candidate, Destination, Exchangers, MxSearch, NoRoute};
use pillarbox_smtp::server::Protocol;
use pillarbox_spool::{Health, Outcome};

use super::delivery::Delivery;
use super::pool::{Kept, Key};
use super::route::Route;
use super::session::send;
use super::tls::{Known, Need, Wanted, wanted};
use super::{Endpoint, TlsMode};
use crate::parts::{QueueEvent, resolve_within};
use crate::smtp::{ConnectError, SmtpClient};

/// The port of SMTP, on which no LMTP is spoken.
const SMTP_PORT: u16 = 25;

/// How hosts of a route are spoken to.
struct Manner {
    key: Key,
    mode: TlsMode,
    port: u16,
    login: Option<Login>,
    protocol: Protocol,
    /// It was set by hand.
    is_set: bool,
    policy: Option<Policy>,
    /// The domain whose policy it is.
    domain: String,
}

/// A host with one of its addresses, and how it is to be spoken to.
struct Target {
    host: String,
    endpoint: Endpoint,
    wanted: Wanted,
}

/// What came of one address.
enum Tried {
    /// Nobody to speak to.
    Nobody,
    /// A session began.
    Spoken,
}

/// Tries the hosts of a route until every recipient has an answer, or this round is over.
pub(super) async fn deliver(delivery: &mut Delivery, route: &Route, domain: &Domain<'static>) {
    let mut manner = manner(delivery, route, domain);
    if use_kept(delivery, &manner).await {
        return;
    }
    let target = match route {
        Route::LmtpSocket(path) => {
            let endpoint = Endpoint::Socket(path.clone());
            let target = Target { host: path.display().to_string(), endpoint, wanted: Wanted::Plain };
            speak(delivery, &manner, target).await;
            return;
        }
        Route::SmartHost(host) => (&host.host, host.mx),
        _ => (domain, true),
    };
    if let Route::SmartHost(host) = route
        && let Some(ip) = host.address
    {
        return try_address(delivery, &manner, ip, host.host.as_str()).await;
    }
    match Destination::of(target.0) {
        Ok(Destination::Address(ip)) => try_address(delivery, &manner, ip, &ip.to_string()).await,
        Ok(Destination::Domain(name)) if target.1 => {
            manner.policy = policy_of(delivery, &manner, &name).await;
            match exchangers(delivery, &name).await {
                Ok(found) => try_exchangers(delivery, &manner, &found).await,
                Err(why) => no_route(delivery, why),
            }
        }
        Ok(Destination::Domain(name)) => try_host(delivery, &manner, &name).await,
        Err(error) => {
            delivery.fail_all(EnhancedCode::new(5, 1, 2), &format!("the domain cannot be looked up: {error}"));
        }
    }
}

fn manner(delivery: &Delivery, route: &Route, domain: &Domain<'static>) -> Manner {
    let route_number = match route {
        Route::SmartHost(host) => Arc::as_ptr(host).addr(),
        _ => 0,
    };
    let key = Key { destination: Arc::clone(&delivery.task.destination), route: route_number, need: delivery.need };
    let domain = domain.as_str().to_ascii_lowercase();
    match route {
        Route::SmartHost(host) => Manner {
            key,
            mode: host.tls,
            port: host.port,
            login: host.current_login(),
            protocol: if host.is_lmtp { Protocol::Lmtp } else { Protocol::Smtp },
            is_set: true,
            policy: None,
            domain: host.host.as_str().to_ascii_lowercase(),
        },
        _ => Manner {
            key,
            mode: TlsMode::Published,
            port: if matches!(route, Route::LmtpSocket(_)) { 0 } else { delivery.shared.config.mx_port },
            login: None,
            protocol: if matches!(route, Route::LmtpSocket(_)) { Protocol::Lmtp } else { Protocol::Smtp },
            is_set: matches!(route, Route::LmtpSocket(_)),
            policy: None,
            domain,
        },
    }
}

/// Sends over a connection that was kept; false if that has not settled everything.
async fn use_kept(delivery: &mut Delivery, manner: &Manner) -> bool {
    while let Some(kept) = delivery.shared.pool.take(&manner.key) {
        // A server may have closed it meanwhile, which is nobody's fault: then another one is made.
        let Kept { client, peer, host, messages } = kept;
        let sent = send(delivery, client, &peer).await;
        if let Some(client) = sent.client {
            keep(delivery, manner, Kept { client, peer, host, messages: messages + 1 }).await;
        }
        if delivery.open.is_empty() {
            return true;
        }
        if !sent.was_gone {
            return false;
        }
    }
    false
}

async fn policy_of(delivery: &Delivery, manner: &Manner, domain: &Name) -> Option<Policy> {
    let policies = delivery.shared.parts.policies.as_ref()?;
    if manner.mode != TlsMode::Published || delivery.need == Need::Waived {
        return None;
    }
    let parts = &delivery.shared.parts;
    policies.policy(domain, &*parts.resolver, &*parts.clock, delivery.shared.config.dns_timeout).await
}

async fn exchangers(delivery: &Delivery, domain: &Name) -> Result<Exchangers, NoRoute> {
    let shared = &delivery.shared;
    let search = MxSearch::new(domain.clone(), &shared.config.own_names, &mut **shared.random());
    resolve_within(search, &*shared.parts.resolver, &*shared.parts.clock, shared.config.dns_timeout).await
}

/// What a domain without a host to go to means for the recipients.
fn no_route(delivery: &mut Delivery, why: NoRoute) {
    let (class, subject, detail) = why.status();
    let status = EnhancedCode::new(class, subject, detail);
    if why.is_temporary() {
        delivery.trouble = Some(delivery.our(Outcome::Delayed, status, why.to_string()));
    } else {
        delivery.fail_all(status, &why.to_string());
    }
}

async fn look_up(delivery: &Delivery, hop: NextHop) -> Host {
    let shared = &delivery.shared;
    resolve_within(HostLookup::new(hop), &*shared.parts.resolver, &*shared.parts.clock, shared.config.dns_timeout).await
}

/// The exchangers in their order, each looked up when those before it have not sufficed.
async fn try_exchangers(delivery: &mut Delivery, manner: &Manner, found: &Exchangers) {
    let config = &delivery.shared.config;
    let (limits, own) = (config.attempts, config.own_addresses.clone());
    let mut attempts = Attempts::new(limits, own);
    let (mut addresses, mut sessions) = (0, 0);
    let mut unreachable = 0;
    for exchanger in &found.hosts {
        if delivery.open.is_empty() || addresses >= limits.addresses_max || sessions >= limits.sessions_max {
            return;
        }
        let mut hop = NextHop::new(exchanger.name.clone(), found.domain.clone(), found.validation);
        hop.port = manner.port;
        hop.expanded_domain = (found.owner != found.domain).then(|| found.owner.clone());
        let host = look_up(delivery, hop).await;
        match host.security {
            Security::Later => {
                let why = format!("the addresses of {} could not be looked up", exchanger.name);
                delivery.trouble = Some(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 3), why));
                continue;
            }
            Security::Unreachable => {
                unreachable += 1;
                continue;
            }
            _ => {}
        }
        attempts.add_host(&exchanger.name, host.addresses.iter().copied());
        let is_certain = manner.is_set || found.validation == Validation::Validated;
        while let Some(candidate) = attempts.next() {
            addresses += 1;
            let tried = try_candidate(delivery, manner, &candidate, &host.security, is_certain).await;
            if delivery.open.is_empty() {
                return;
            }
            if let Tried::Spoken = tried {
                sessions += 1;
                attempts.session_failed();
                if delivery.trouble.as_ref().is_some_and(|trouble| trouble.code == Some(421)) {
                    attempts.drop_host(&candidate.host);
                }
            }
        }
        if attempts.meets_itself() {
            break;
        }
    }
    // A nearer host that could not be looked up now may take the message later.
    if attempts.meets_itself() && addresses == 0 && delivery.trouble.is_none() {
        no_route(delivery, NoRoute::Loop);
    } else if unreachable == found.hosts.len() {
        delivery.fail_all(EnhancedCode::new(5, 4, 4), "none of the domain's mail exchangers has an address");
    }
}

/// A host that was set by its name.
async fn try_host(delivery: &mut Delivery, manner: &Manner, name: &Name) {
    let mut hop = NextHop::new(name.clone(), name.clone(), Validation::Validated);
    hop.port = manner.port;
    let host = look_up(delivery, hop).await;
    // It was set by hand: that it has no address today is our trouble, and no reason to give mail back.
    if matches!(host.security, Security::Later | Security::Unreachable) {
        let why = format!("{name} has no address now");
        delivery.trouble = Some(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 3), why));
        return;
    }
    let mut attempts = Attempts::new(delivery.shared.config.attempts, Vec::new());
    attempts.add_host(name, host.addresses.iter().copied());
    while let Some(candidate) = attempts.next() {
        let tried = try_candidate(delivery, manner, &candidate, &host.security, true).await;
        if delivery.open.is_empty() {
            return;
        }
        if let Tried::Spoken = tried {
            attempts.session_failed();
        }
    }
}

/// An address that was given in place of a name, or with it.
async fn try_address(delivery: &mut Delivery, manner: &Manner, ip: IpAddr, host: &str) {
    if !manner.is_set && delivery.shared.config.own_addresses.contains(&ip) {
        return no_route(delivery, NoRoute::Loop);
    }
    let known = Known {
        host: None,
        security: &Security::Opportunistic,
        policy: None,
        is_certain: manner.is_set,
        has_login: manner.login.is_some(),
    };
    match wanted(manner.mode, delivery.need, &known) {
        Ok(wanted) => {
            let (host, address) = (host.to_owned(), SocketAddr::new(ip, manner.port));
            let endpoint = Endpoint::Tcp { host: host.clone(), address };
            speak(delivery, manner, Target { host, endpoint, wanted }).await;
        }
        Err(unfit) => delivery.unfit(unfit.status, unfit.why, host),
    }
}

async fn try_candidate(
    delivery: &mut Delivery,
    manner: &Manner,
    candidate: &Candidate,
    security: &Security,
    is_certain: bool,
) -> Tried {
    let has_login = manner.login.is_some();
    let known = Known { host: Some(&candidate.host), security, policy: manner.policy.as_ref(), is_certain, has_login };
    let host = candidate.host.to_string();
    match wanted(manner.mode, delivery.need, &known) {
        Ok(wanted) => {
            let address = SocketAddr::new(candidate.ip, manner.port);
            let endpoint = Endpoint::Tcp { host: host.clone(), address };
            speak(delivery, manner, Target { host, endpoint, wanted }).await
        }
        Err(unfit) => {
            delivery.tell_tls(manner, &host, Some(FailureType::ValidationFailure));
            delivery.unfit(unfit.status, unfit.why, &host);
            Tried::Nobody
        }
    }
}

/// Connects, and sends. Where TLS fails that was only tried because it was there, it goes in the clear, as it would have
/// without the offer.
async fn speak(delivery: &mut Delivery, manner: &Manner, target: Target) -> Tried {
    let mut plan = target.wanted.clone();
    loop {
        match connect(delivery, manner, &target, &plan).await {
            Ok(client) => {
                // Whether there is TLS that was only taken because it was offered is for nobody's report.
                if !plan.allows_plain() {
                    delivery.tell_tls(manner, &target.host, None);
                }
                let peer = peer_of(&target);
                let sent = send(delivery, client, &peer).await;
                if let Some(client) = sent.client {
                    keep(delivery, manner, Kept { client, peer, host: target.host, messages: 1 }).await;
                }
                return Tried::Spoken;
            }
            Err(error) => {
                let at_tls = matches!(&error, ConnectError::Session(failure) if failure.phase == Phase::StartTls);
                if let Some(failure) = failure_of(&error) {
                    delivery.tell_tls(manner, &target.host, Some(failure));
                }
                let may_be_plain = plan != Wanted::Plain && plan.allows_plain() && delivery.need != Need::Required;
                if at_tls && may_be_plain {
                    plan = Wanted::Plain;
                    continue;
                }
                return delivery.no_session(&target, error);
            }
        }
    }
}

/// What a report calls it (RFC 8460 §4.3.1), if it is about TLS.
fn failure_of(error: &ConnectError) -> Option<FailureType> {
    match error {
        ConnectError::Tls(_) => Some(FailureType::ValidationFailure),
        ConnectError::Session(failure) => match failure.cause {
            FailureCause::TlsNotOffered | FailureCause::TlsRefused => Some(FailureType::StartTlsNotSupported),
            FailureCause::Tls(_) | FailureCause::StartTlsInjection => Some(FailureType::ValidationFailure),
            _ => None,
        },
        _ => None,
    }
}

async fn connect(
    delivery: &Delivery,
    manner: &Manner,
    target: &Target,
    plan: &Wanted,
) -> Result<SmtpClient, ConnectError> {
    let shared = &delivery.shared;
    let clock = &shared.parts.clock;
    // RFC 2033 §5
    if manner.protocol == Protocol::Lmtp && manner.port == SMTP_PORT {
        return Err(ConnectError::LmtpOnSmtpPort);
    }
    let deadline = clock.now() + shared.config.connect_timeout;
    let transport = tokio::select! {
        biased;
        dialled = shared.parts.connect.dial(&target.endpoint) => dialled.map_err(ConnectError::Connect)?,
        () = clock.sleep_until(deadline) => return Err(ConnectError::Connect(std::io::ErrorKind::TimedOut.into())),
    };
    let (starttls, tls) = shared.tls.session(plan, &target.host);
    let mut config: ClientConfig = shared.config.client.clone();
    (config.protocol, config.starttls, config.login) = (manner.protocol, starttls, manner.login.clone());
    if tls.is_none() && config.starttls == StartTls::IfOffered {
        config.starttls = StartTls::Never;
    }
    SmtpClient::over(transport, config, tls, Arc::clone(clock)).await
}

fn peer_of(target: &Target) -> String {
    match &target.endpoint {
        Endpoint::Tcp { host, address } if host.trim_matches(['[', ']']).parse() == Ok(address.ip()) => {
            format!("[{}]", address.ip())
        }
        Endpoint::Tcp { host, address } => format!("{host} [{}]", address.ip()),
        Endpoint::Socket(path) => path.display().to_string(),
    }
}

/// Keeps a connection for the next message, for a while.
async fn keep(delivery: &Delivery, manner: &Manner, kept: Kept) {
    let shared = &delivery.shared;
    if !kept.client.is_open() || kept.messages >= shared.config.messages_max {
        return kept.client.quit().await;
    }
    match shared.pool.keep(manner.key.clone(), kept) {
        Ok(number) => {
            let (clock, key) = (Arc::clone(&shared.parts.clock), manner.key.clone());
            let until = clock.now() + shared.config.idle_timeout;
            // A queue that has stopped is not kept open by this.
            let shared = Arc::downgrade(shared);
            tokio::spawn(async move {
                clock.sleep_until(until).await;
                let kept = shared.upgrade().and_then(|shared| shared.pool.expire(&key, number));
                if let Some(kept) = kept {
                    kept.client.quit().await;
                }
            });
        }
        Err(kept) => kept.client.quit().await,
    }
}

impl Delivery {
    /// A host that nothing may be sent to.
    fn unfit(&mut self, status: EnhancedCode, why: &'static str, host: &str) {
        let mut attempt = self.our(Outcome::Delayed, status, why);
        attempt.peer = host.into();
        self.trouble = Some(attempt);
    }

    fn no_session(&mut self, target: &Target, error: ConnectError) -> Tried {
        self.health = Health::Trouble;
        let peer = peer_of(target);
        let (mut attempt, tried) = match &error {
            ConnectError::Session(failure) => match &failure.reply {
                Some(reply) => (self.of_reply(Outcome::Delayed, &peer, reply), Tried::Spoken),
                None => (self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 2), failure.to_string()), Tried::Spoken),
            },
            ConnectError::Tls(error) => {
                (self.our(Outcome::Delayed, EnhancedCode::new(4, 7, 5), error.to_string()), Tried::Spoken)
            }
            error => (self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 1), error.to_string()), Tried::Nobody),
        };
        attempt.peer = peer;
        self.trouble = Some(attempt);
        tried
    }

    fn tell_tls(&self, manner: &Manner, host: &str, failure: Option<FailureType>) {
        let failure = failure.map(FailureType::as_str);
        self.shared.tell(&QueueEvent::Tls { domain: &manner.domain, host, failure });
    }
}
