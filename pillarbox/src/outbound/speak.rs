//! A session with a host: with which TLS, what becomes of it, and what a report says of that.

use std::net::IpAddr;
use std::sync::Arc;

use pillarbox_auth::dane::Security;
use pillarbox_auth::mta_sts::Mode;
use pillarbox_auth::tls_rpt::{AppliedPolicy, Failure, FailureType};
use pillarbox_core::dns::Name;
use pillarbox_core::{CertificateFault, EnhancedCode, UpgradeError};
use pillarbox_smtp::client::{ClientConfig, FailureCause, Phase, StartTls};
use pillarbox_smtp::server::Protocol;
use pillarbox_spool::{Health, Outcome};

use super::delivery::Delivery;
use super::hosts::Manner;
use super::pool::Kept;
use super::session::send;
use super::tls::{Need, Wanted};
use super::{Connected, Endpoint, TlsMode};
use crate::net::Transport;
use crate::parts::QueueEvent;
use crate::smtp::{ConnectError, SmtpClient};

/// A host with one of its addresses, and how it is to be spoken to.
pub(super) struct Target {
    pub(super) host: String,
    /// The name that it is to show, where a certificate is asked for.
    pub(super) shown: String,
    pub(super) endpoint: Endpoint,
    pub(super) wanted: Wanted,
    /// What a report says that the session was to come to.
    pub(super) applied: AppliedPolicy,
    /// What is wrong whatever comes of the session.
    pub(super) fault: Option<Failure>,
    pub(super) trial: Option<Trial>,
}

impl Target {
    /// A host with which nothing is tried that need not be.
    pub(super) fn new(host: String, endpoint: Endpoint, wanted: Wanted) -> Self {
        Target { shown: host.clone(), host, endpoint, wanted, applied: AppliedPolicy::none(), fault: None, trial: None }
    }
}

/// What is found out for the report of a domain whose policy is in test (RFC 8461 §5): it does not keep the message from going.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Trial {
    /// Whether the host has a good certificate.
    Verify,
    /// The policy does not list the host.
    NotListed,
}

/// What a report says of a host that its domain's policy does not list. RFC 8460 §4.3 has no word for it.
pub(super) fn not_listed() -> Failure {
    Failure::new(FailureType::ValidationFailure).with_reason("the policy does not list the host")
}

/// What applies to a host, DANE before MTA-STS (RFC 8461 §2), and what is wrong with that.
pub(super) fn applied(security: &Security, manner: &Manner) -> (AppliedPolicy, Option<Failure>) {
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

/// Connects, if that has not been done, and sends. Where TLS fails that was only tried because it was there, it goes in the
/// clear, as it would have without the offer.
pub(super) async fn speak(delivery: &mut Delivery, manner: &Manner, target: &Target, connected: Option<Connected>) {
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
pub(super) async fn keep(delivery: &Delivery, manner: &Manner, kept: Kept) {
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
    pub(super) fn unfit(&mut self, status: EnhancedCode, why: &'static str, host: &str) {
        let mut attempt = self.our(Outcome::Delayed, status, why);
        attempt.peer = host.into();
        self.meet(attempt);
    }

    pub(super) fn no_session(&mut self, target: &Target, error: &ConnectError) {
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

    pub(super) fn tell_tls(&self, manner: &Manner, host: &str, failure: Option<FailureType>) {
        let failure = failure.map(FailureType::as_str);
        self.shared.tell(&QueueEvent::Tls { domain: &manner.domain, host, failure });
    }

    /// Counts a session for the report of the domain. Of what waives its policy nothing is counted: such are the reports
    /// themselves (RFC 8460 §5.3).
    pub(super) fn count_tls(&self, manner: &Manner, applied: &AppliedPolicy, failures: &[Failure]) {
        let is_theirs = manner.mode == TlsMode::Published && manner.protocol == Protocol::Smtp;
        let (Some(counts), Ok(domain)) = (&self.shared.tls_counts, Name::parse(&manner.domain)) else { return };
        if is_theirs && self.need != Need::Waived {
            counts.count(self.wall(), &domain, applied, failures);
        }
    }
}
