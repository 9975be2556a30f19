//! To other hosts: which, in what order, over which connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pillarbox_auth::dane::{Host, HostLookup, NextHop, Security};
use pillarbox_auth::mta_sts::{FetchError, Mode, Policy};
use pillarbox_auth::tls_rpt::{AppliedPolicy, Failure, FailureType};
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{Name, Validation};
use pillarbox_core::{CertificateFault, EnhancedCode, UpgradeError};
use pillarbox_smtp::client::{ClientConfig, FailureCause, Login, Phase, StartTls};
use pillarbox_smtp::route::{Attempts, Candidate, Destination, Exchangers, MxSearch, NoRoute};
use pillarbox_smtp::server::Protocol;
use pillarbox_spool::{Health, Outcome};

use super::delivery::Delivery;
use super::pool::{Kept, Key};
use super::route::Route;
use super::session::send;
use super::tls::{Known, Need, Wanted, wanted};
use super::{Connected, Endpoint, TlsMode};
use crate::net::Transport;
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
    /// The domain announces a policy, and this is why nobody could get it.
    no_policy: Option<FetchError>,
    /// The domain whose policy it is.
    domain: String,
}

/// A host with one of its addresses, and how it is to be spoken to.
struct Target {
    host: String,
    /// The name that it is to show, where a certificate is asked for.
    shown: String,
    endpoint: Endpoint,
    wanted: Wanted,
    /// What a report says that the session was to come to.
    applied: AppliedPolicy,
    /// What is wrong whatever comes of the session.
    fault: Option<Failure>,
    trial: Option<Trial>,
}

impl Target {
    /// A host with which nothing is tried that need not be.
    fn new(host: String, endpoint: Endpoint, wanted: Wanted) -> Self {
        Target { shown: host.clone(), host, endpoint, wanted, applied: AppliedPolicy::none(), fault: None, trial: None }
    }
}

/// What is found out for the report of a domain whose policy is in test (RFC 8461 §5): it does not keep the message from going.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// Whether the host has a good certificate.
    Verify,
    /// The policy does not list the host.
    NotListed,
}

/// What a report says of a host that its domain's policy does not list. RFC 8460 §4.3 has no word for it.
fn not_listed() -> Failure {
    Failure::new(FailureType::ValidationFailure).with_reason("the policy does not list the host")
}

/// What applies to a host, DANE before MTA-STS (RFC 8461 §2), and what is wrong with that.
fn applied(security: &Security, manner: &Manner) -> (AppliedPolicy, Option<Failure>) {
    match (security, &manner.policy, manner.no_policy) {
        (Security::Dane(dane), ..) => (AppliedPolicy::tlsa(&dane.records), None),
        (Security::EncryptOnly, ..) => {
            let fault = Failure::new(FailureType::TlsaInvalid).with_reason("none of the TLSA records can be used");
            (AppliedPolicy::tlsa([]), Some(fault))
        }
        (_, Some(policy), _) if policy.mode != Mode::None => (AppliedPolicy::sts(policy), None),
        (_, None, Some(error)) => {
            let fault = Failure::new(error.failure_type()).with_reason(&error.to_string());
            (AppliedPolicy::sts_unknown(), Some(fault))
        }
        _ => (AppliedPolicy::none(), None),
    }
}

/// Tries the hosts of a route until every recipient has an answer, or this round is over.
pub(super) async fn deliver(delivery: &mut Delivery, route: &Route, domain: &Domain<'static>) {
    let mut manner = manner(delivery, route, domain);
    // RFC 2033 §5
    if manner.protocol == Protocol::Lmtp && manner.port == SMTP_PORT {
        let why = ConnectError::LmtpOnSmtpPort.to_string();
        delivery.trouble = Some(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 1), why));
        return;
    }
    if use_kept(delivery, &manner).await {
        return;
    }
    let target = match route {
        Route::LmtpSocket(path) if delivery.need == Need::Required => {
            // RFC 8689 §2, §4.2.1: LMTP is a hop like any other, and no server shows a certificate on a socket.
            let why = "REQUIRETLS: there is no TLS on a socket in the file system";
            return delivery.unfit(EnhancedCode::new(5, 7, 10), why, &path.display().to_string());
        }
        Route::LmtpSocket(path) => {
            let endpoint = Endpoint::Socket(path.clone());
            let target = Target::new(path.display().to_string(), endpoint, Wanted::Plain);
            speak(delivery, &manner, &target, None).await;
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
            match policy_of(delivery, &manner, &name).await {
                Ok(policy) => manner.policy = policy,
                Err(error) => manner.no_policy = Some(error),
            }
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
    let key = Key { destination: Arc::clone(&delivery.destination), route: route_number, need: delivery.need };
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
            no_policy: None,
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
            no_policy: None,
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

async fn policy_of(delivery: &Delivery, manner: &Manner, domain: &Name) -> Result<Option<Policy>, FetchError> {
    let Some(policies) = &delivery.shared.parts.policies else { return Ok(None) };
    if manner.mode != TlsMode::Published || delivery.need == Need::Waived {
        return Ok(None);
    }
    let parts = &delivery.shared.parts;
    policies.look_up(domain, &*parts.resolver, &*parts.clock, delivery.shared.config.dns_timeout).await
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
        delivery.meet(delivery.our(Outcome::Delayed, status, why.to_string()));
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
    let mut attempts = Attempts::new(config.attempts, config.own_addresses.clone());
    let mut unreachable = 0;
    for exchanger in &found.hosts {
        if delivery.open.is_empty() || attempts.is_over() {
            return;
        }
        let mut hop = NextHop::new(exchanger.name.clone(), found.domain.clone(), found.validation);
        hop.port = manner.port;
        hop.expanded_domain = (found.owner != found.domain).then(|| found.owner.clone());
        let host = look_up(delivery, hop).await;
        match host.security {
            Security::Later => {
                // The addresses are known: what failed is the look-up of the records.
                if !host.addresses.is_empty() {
                    let fault =
                        Failure::new(FailureType::DnssecInvalid).with_reason("the look-up of TLSA records failed");
                    let fault = fault.with_host(exchanger.name.clone());
                    delivery.tell_tls(manner, exchanger.name.as_str(), Some(FailureType::DnssecInvalid));
                    delivery.count_tls(manner, &AppliedPolicy::tlsa([]), &[fault]);
                }
                let why = format!("the addresses of {} could not be looked up", exchanger.name);
                delivery.meet(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 3), why));
                continue;
            }
            Security::Unreachable => {
                unreachable += 1;
                continue;
            }
            _ => {}
        }
        attempts.add_host(&exchanger.name, host.addresses.iter().copied());
        // Also where the domain was set by hand: its exchangers were not.
        let found_by = (found.validation != Validation::Validated).then_some(&found.domain);
        try_addresses(delivery, manner, &exchanger.name, &host.security, found_by, &mut attempts).await;
        if attempts.meets_itself() {
            break;
        }
    }
    // A nearer host that could not be looked up now may take the message later.
    if attempts.meets_itself() && attempts.is_empty() && delivery.trouble.is_none() {
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
        delivery.meet(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 3), why));
        return;
    }
    let mut attempts = Attempts::new(delivery.shared.config.attempts, Vec::new());
    attempts.add_host(name, host.addresses.iter().copied());
    try_addresses(delivery, manner, name, &host.security, None, &mut attempts).await;
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
            speak(delivery, manner, &Target::new(host, endpoint, wanted), None).await;
        }
        Err(unfit) => delivery.unfit(unfit.status, unfit.why, host),
    }
}

/// The name that is asked for in a certificate. Whoever forges MX records has a certificate for the name that he puts there:
/// where one was asked for by hand, it is for the domain, or for a host in it.
fn shown<'a>(manner: &Manner, host: &'a Name, found_by: Option<&'a Name>) -> &'a Name {
    match found_by {
        Some(domain) if manner.is_set && !host.is_within(domain) => domain,
        _ => host,
    }
}

/// Goes through the addresses of a host that are waiting, until every recipient has an answer. `found_by`: it is an exchanger of
/// this domain by the word of records that nobody validated.
async fn try_addresses(
    delivery: &mut Delivery,
    manner: &Manner,
    name: &Name,
    security: &Security,
    found_by: Option<&Name>,
    attempts: &mut Attempts,
) {
    let (is_certain, has_login) = (found_by.is_none(), manner.login.is_some());
    let known = Known { host: Some(name), security, policy: manner.policy.as_ref(), is_certain, has_login };
    let host = name.to_string();
    let (applied, fault) = applied(security, manner);
    let wanted = match wanted(manner.mode, delivery.need, &known) {
        Ok(wanted) => wanted,
        Err(unfit) => {
            if unfit.is_not_listed {
                delivery.tell_tls(manner, &host, Some(FailureType::ValidationFailure));
                delivery.count_tls(manner, &applied, &[not_listed().with_host(name.clone())]);
            }
            delivery.unfit(unfit.status, unfit.why, &host);
            return attempts.drop_host(name);
        }
    };
    let trial = match &manner.policy {
        Some(policy) if policy.mode == Mode::Testing && wanted == Wanted::IfOffered => {
            Some(if policy.lists(name) { Trial::Verify } else { Trial::NotListed })
        }
        _ => None,
    };
    let shown = shown(manner, name, found_by).to_string();
    let target = |endpoint| {
        let (host, shown, applied, fault) = (host.clone(), shown.clone(), applied.clone(), fault.clone());
        Target { host, shown, endpoint, wanted: wanted.clone(), applied, fault, trial }
    };
    while !delivery.open.is_empty() {
        let next = || {
            let address = SocketAddr::new(attempts.next()?.ip, manner.port);
            Some(Endpoint::Tcp { host: host.clone(), address })
        };
        let raced = delivery.shared.pace().race(next).await;
        for (endpoint, error) in raced.failed {
            delivery.no_session(&target(endpoint), &ConnectError::Connect(error));
        }
        for endpoint in raced.undecided.into_iter().rev() {
            if let Endpoint::Tcp { address, .. } = endpoint {
                attempts.give_back(Candidate { host: name.clone(), ip: address.ip() });
            }
        }
        let Some((endpoint, connected)) = raced.winner else { return };
        speak(delivery, manner, &target(endpoint), Some(connected)).await;
        if !delivery.open.is_empty() {
            attempts.session_failed();
            if delivery.trouble.as_ref().is_some_and(|trouble| trouble.code == Some(421)) {
                attempts.drop_host(name);
            }
        }
    }
}

/// Connects, if that has not been done, and sends. Where TLS fails that was only tried because it was there, it goes in the
/// clear, as it would have without the offer.
async fn speak(delivery: &mut Delivery, manner: &Manner, target: &Target, connected: Option<Connected>) {
    let mut plan = match target.trial {
        Some(Trial::Verify) => Wanted::Verified,
        _ => target.wanted.clone(),
    };
    let (mut connected, mut is_counted, mut local) = (connected, false, None);
    loop {
        let dialled = match connected.take() {
            Some(connected) => Ok(connected),
            None => delivery.shared.pace().dial(&target.endpoint).await.map_err(ConnectError::Connect),
        };
        let session = match dialled {
            Ok(Connected { transport, local: from }) => {
                local = from;
                begin(delivery, manner, target, &plan, transport).await
            }
            Err(error) => Err(error),
        };
        match session {
            Ok(client) => {
                // Whether there is TLS that was only taken because it was offered is for nobody's report.
                if !plan.allows_plain() {
                    delivery.tell_tls(manner, &target.host, None);
                }
                if !is_counted {
                    let helo = client.capabilities().server_name();
                    let refusal = (target.trial == Some(Trial::NotListed)).then(not_listed);
                    let plain = (!client.is_encrypted()).then(|| Failure::new(FailureType::StartTlsNotSupported));
                    let failures = [target.fault.clone(), refusal, plain].into_iter().flatten();
                    let failures: Vec<Failure> = failures.map(|failure| placed(failure, target, local, helo)).collect();
                    delivery.count_tls(manner, &target.applied, &failures);
                }
                let peer = peer_of(target);
                let sent = send(delivery, client, &peer).await;
                if let Some(client) = sent.client {
                    keep(delivery, manner, Kept { client, peer, host: target.host.clone(), messages: 1 }).await;
                }
                return;
            }
            Err(error) => {
                let at_tls = matches!(&error, ConnectError::Session(failure) if failure.phase == Phase::StartTls);
                if let Some(kind) = failure_of(&error) {
                    delivery.tell_tls(manner, &target.host, Some(kind));
                    if !is_counted {
                        let (helo, reason) = match &error {
                            ConnectError::Session(failure) => {
                                (failure.server_name.as_deref(), failure.cause.to_string())
                            }
                            error => (None, error.to_string()),
                        };
                        let failure = Failure::new(kind).with_reason(&reason);
                        let failures = [target.fault.clone(), Some(failure)].into_iter().flatten();
                        let failures: Vec<Failure> = failures.map(|it| placed(it, target, local, helo)).collect();
                        delivery.count_tls(manner, &target.applied, &failures);
                        is_counted = true;
                    }
                    if plan != target.wanted && plan != Wanted::Plain {
                        plan = target.wanted.clone();
                        continue;
                    }
                }
                let may_be_plain = plan != Wanted::Plain && plan.allows_plain() && delivery.need != Need::Required;
                if at_tls && may_be_plain {
                    plan = Wanted::Plain;
                    continue;
                }
                return delivery.no_session(target, &error);
            }
        }
    }
}

/// A failure with what is known of both ends.
fn placed(mut failure: Failure, target: &Target, local: Option<IpAddr>, helo: Option<&str>) -> Failure {
    failure.receiving_host = Name::parse(&target.host).ok();
    failure.sending_ip = local;
    failure.receiving_ip = match &target.endpoint {
        Endpoint::Tcp { address, .. } => Some(address.ip()),
        Endpoint::Socket(_) => None,
    };
    match helo {
        Some(helo) => failure.with_helo(helo),
        None => failure,
    }
}

/// What a report calls it (RFC 8460 §4.3), if it is about TLS.
fn failure_of(error: &ConnectError) -> Option<FailureType> {
    let upgrade = match error {
        ConnectError::Tls(error) => error,
        ConnectError::Session(failure) => match &failure.cause {
            FailureCause::TlsNotOffered | FailureCause::TlsRefused => return Some(FailureType::StartTlsNotSupported),
            FailureCause::StartTlsInjection => return Some(FailureType::ValidationFailure),
            FailureCause::Tls(error) => error,
            _ => return None,
        },
        _ => return None,
    };
    Some(match upgrade {
        UpgradeError::Certificate(CertificateFault::OtherName) => FailureType::CertificateHostMismatch,
        UpgradeError::Certificate(CertificateFault::Expired) => FailureType::CertificateExpired,
        UpgradeError::Certificate(CertificateFault::Untrusted) => FailureType::CertificateNotTrusted,
        _ => FailureType::ValidationFailure,
    })
}

/// Begins a session over a connection.
async fn begin(
    delivery: &Delivery,
    manner: &Manner,
    target: &Target,
    plan: &Wanted,
    transport: Box<dyn Transport>,
) -> Result<SmtpClient, ConnectError> {
    let shared = &delivery.shared;
    let (starttls, tls) = shared.tls.session(plan, &target.shown);
    let mut config: ClientConfig = shared.config.client.clone();
    (config.protocol, config.starttls, config.login) = (manner.protocol, starttls, manner.login.clone());
    if tls.is_none() && config.starttls == StartTls::IfOffered {
        config.starttls = StartTls::Never;
    }
    SmtpClient::over(transport, config, tls, Arc::clone(&shared.parts.clock)).await
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
        self.meet(attempt);
    }

    fn no_session(&mut self, target: &Target, error: &ConnectError) {
        self.health = Health::Trouble;
        let peer = peer_of(target);
        let mut attempt = match error {
            ConnectError::Session(failure) => match &failure.reply {
                Some(reply) => self.of_reply(Outcome::Delayed, &peer, reply),
                None => self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 2), failure.to_string()),
            },
            ConnectError::Tls(error) => self.our(Outcome::Delayed, EnhancedCode::new(4, 7, 5), error.to_string()),
            error => self.our(Outcome::Delayed, EnhancedCode::new(4, 4, 1), error.to_string()),
        };
        attempt.peer = peer;
        self.meet(attempt);
    }

    fn tell_tls(&self, manner: &Manner, host: &str, failure: Option<FailureType>) {
        let failure = failure.map(FailureType::as_str);
        self.shared.tell(&QueueEvent::Tls { domain: &manner.domain, host, failure });
    }

    /// Counts a session for the report of the domain. Of what waives its policy nothing is counted: such are the reports
    /// themselves (RFC 8460 §5.3).
    fn count_tls(&self, manner: &Manner, applied: &AppliedPolicy, failures: &[Failure]) {
        let is_theirs = manner.mode == TlsMode::Published && manner.protocol == Protocol::Smtp;
        let (Some(counts), Ok(domain)) = (&self.shared.tls_counts, Name::parse(&manner.domain)) else { return };
        if is_theirs && self.need != Need::Waived {
            counts.count(self.wall(), &domain, applied, failures);
        }
    }
}
