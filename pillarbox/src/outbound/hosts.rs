//! To other hosts: which, in what order, over which connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use pillarbox_auth::dane::{NextHop, Security};
use pillarbox_auth::mta_sts::{FetchError, Mode, Policy};
use pillarbox_auth::tls_rpt::{AppliedPolicy, Failure, FailureType};
use pillarbox_core::EnhancedCode;
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{Name, Validation};
use pillarbox_smtp::client::Login;
use pillarbox_smtp::route::{Attempts, Destination, Exchangers, MxSearch, NoRoute};
use pillarbox_smtp::server::Protocol;
use pillarbox_spool::Outcome;

use super::delivery::Delivery;
use super::looking::{Found, Looking};
use super::pool::{Kept, Key};
use super::route::Route;
use super::session::send;
use super::speak::{Target, Trial, applied, keep, not_listed, speak};
use super::tls::{Known, Need, Wanted, wanted};
use super::{Endpoint, TlsMode};
use crate::parts::resolve_within;
use crate::smtp::ConnectError;

/// The port of SMTP, on which no LMTP is spoken.
const SMTP_PORT: u16 = 25;

/// How hosts of a route are spoken to.
pub(super) struct Manner {
    pub(super) key: Key,
    pub(super) mode: TlsMode,
    pub(super) port: u16,
    pub(super) login: Option<Login>,
    pub(super) protocol: Protocol,
    /// It was set by hand.
    pub(super) is_set: bool,
    pub(super) policy: Option<Policy>,
    /// The domain announces a policy, and this is why nobody could get it.
    pub(super) no_policy: Option<FetchError>,
    /// The domain whose policy it is.
    pub(super) domain: String,
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
        let shared = Arc::clone(&delivery.shared);
        let mut looking = Looking::new(hop, &shared);
        let host = looking.begin(shared.config.attempts.ipv6_first).await;
        match host.security {
            Security::Later => {
                let has_addresses = !host.addresses.is_empty();
                not_found_now(delivery, manner, &exchanger.name, has_addresses);
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
        let mut found =
            Found { attempts: &mut attempts, looking: &mut looking, host: &exchanger.name, port: manner.port };
        try_addresses(delivery, manner, host.security, found_by, &mut found).await;
        if attempts.meets_itself() {
            break;
        }
    }
    // A nearer host that could not be looked up now may take the message later.
    if attempts.meets_itself() && delivery.trouble.is_none() {
        no_route(delivery, NoRoute::Loop);
    } else if unreachable == found.hosts.len() {
        delivery.fail_all(EnhancedCode::new(5, 4, 4), "none of the domain's mail exchangers has an address");
    }
}

/// A host that was set by its name.
async fn try_host(delivery: &mut Delivery, manner: &Manner, name: &Name) {
    let mut hop = NextHop::new(name.clone(), name.clone(), Validation::Validated);
    hop.port = manner.port;
    let shared = Arc::clone(&delivery.shared);
    let mut looking = Looking::new(hop, &shared);
    let host = looking.begin(shared.config.attempts.ipv6_first).await;
    // It was set by hand: that it has no address today is our trouble, and no reason to give mail back.
    if matches!(host.security, Security::Later | Security::Unreachable) {
        let why = format!("{name} has no address now");
        delivery.meet(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 3), why));
        return;
    }
    let mut attempts = Attempts::new(delivery.shared.config.attempts, Vec::new());
    attempts.add_host(name, host.addresses.iter().copied());
    let mut found = Found { attempts: &mut attempts, looking: &mut looking, host: name, port: manner.port };
    try_addresses(delivery, manner, host.security, None, &mut found).await;
}

/// The look-up of a host has failed: of its addresses, or of the records that belong to them.
fn not_found_now(delivery: &mut Delivery, manner: &Manner, host: &Name, has_addresses: bool) {
    // The addresses are known: what failed is the look-up of the records.
    if has_addresses {
        let fault = Failure::new(FailureType::DnssecInvalid).with_reason("the look-up of TLSA records failed");
        delivery.tell_tls(manner, host.as_str(), Some(FailureType::DnssecInvalid));
        delivery.count_tls(manner, &AppliedPolicy::tlsa([]), &[fault.with_host(host.clone())]);
    }
    let why = format!("the addresses of {host} could not be looked up");
    delivery.meet(delivery.our(Outcome::Delayed, EnhancedCode::new(4, 4, 3), why));
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

/// What each session with a host is to be like; none if nothing may be sent to it, which is written down. `found_by`: it is an
/// exchanger of this domain by the word of records that nobody validated.
fn plan(
    delivery: &mut Delivery,
    manner: &Manner,
    name: &Name,
    security: &Security,
    found_by: Option<&Name>,
) -> Option<impl Fn(Endpoint) -> Target + use<>> {
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
            return None;
        }
    };
    let trial = match &manner.policy {
        Some(policy) if policy.mode == Mode::Testing && wanted == Wanted::IfOffered => {
            Some(if policy.lists(name) { Trial::Verify } else { Trial::NotListed })
        }
        _ => None,
    };
    let shown = shown(manner, name, found_by).to_string();
    Some(move |endpoint| {
        let (host, shown, applied, fault) = (host.clone(), shown.clone(), applied.clone(), fault.clone());
        Target { host, shown, endpoint, wanted: wanted.clone(), applied, fault, trial }
    })
}

/// Goes through the addresses of a host that are waiting, and those that are found meanwhile, until every recipient has an
/// answer. `security`: how it is to be spoken to by what is known until now.
async fn try_addresses(
    delivery: &mut Delivery,
    manner: &Manner,
    mut security: Security,
    found_by: Option<&Name>,
    found: &mut Found<'_, '_>,
) {
    let name = found.host;
    let Some(mut target) = plan(delivery, manner, name, &security, found_by) else {
        return found.attempts.drop_host(name);
    };
    while !delivery.open.is_empty() {
        let raced = delivery.shared.pace().race(found).await;
        for (endpoint, error) in raced.failed {
            delivery.no_session(&target(endpoint), &ConnectError::Connect(error));
        }
        for endpoint in raced.undecided.iter().rev() {
            found.give_back(endpoint);
        }
        let Some((endpoint, connected)) = raced.winner else { return };
        // RFC 7672 §2.2: the other kind of addresses may have turned out to be secure since. Nothing was said to the host yet.
        let now = found.looking.security().await;
        found.take_news();
        if found.attempts.meets_itself() {
            return;
        }
        if now != security {
            security = now;
            if security == Security::Later {
                not_found_now(delivery, manner, name, true);
                return found.attempts.drop_host(name);
            }
            match plan(delivery, manner, name, &security, found_by) {
                Some(other) => target = other,
                None => return found.attempts.drop_host(name),
            }
        }
        speak(delivery, manner, &target(endpoint), Some(connected)).await;
        if !delivery.open.is_empty() {
            found.attempts.session_failed();
            if delivery.trouble.as_ref().is_some_and(|trouble| trouble.code == Some(421)) {
                return found.attempts.drop_host(name);
            }
        }
    }
}
