//! Logging in, the same for all protocols: ask, be slow to say no, tell the observer.

use std::net::IpAddr;
use std::sync::Arc;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Credentials, Mechanism, ScramAnswer};

use crate::crypto::SystemRandom;
use crate::parts::{Authenticator, LoginAttempt, LoginOutcome, Parts};

/// The mechanisms that the accounts can judge; none if they can judge all.
pub(crate) fn without_unjudged(mechanisms: &[Mechanism], accounts: &dyn Authenticator) -> Option<Vec<Mechanism>> {
    let judged: Vec<_> = mechanisms.iter().filter(|mechanism| accounts.can_judge(mechanism)).cloned().collect();
    (judged.len() < mechanisms.len()).then_some(judged)
}

/// What came of a try, or why it was not made.
pub(crate) enum Tried<T> {
    Yes(T),
    /// Too many tries from that address have failed.
    TooMany,
}

/// Waits until the guard lets a try through; `false` if it does not.
async fn admitted(parts: &Parts, session: u64, ip: Option<IpAddr>, name: &str) -> bool {
    let now = parts.clock.now();
    match parts.logins.admit(now, ip) {
        Some(moment) if moment > now => parts.clock.sleep_until(moment).await,
        Some(_) => {}
        None => {
            parts.observer.login_refused(session, ip, name);
            return false;
        }
    }
    true
}

/// Asks the authenticator. A refusal comes late.
pub(crate) async fn log_in(parts: &Parts, session: u64, attempt: LoginAttempt) -> Tried<LoginOutcome> {
    let credentials = &attempt.credentials;
    // Who brings a token or a certificate says at most whom to act as.
    let name = match credentials.authentication_id() {
        "" => credentials.authorization_id().unwrap_or_default(),
        name => name,
    };
    // An exchange that proves by itself has waited before its keys were told.
    let waited = matches!(credentials, Credentials::Proven { .. });
    if !waited && !admitted(parts, session, attempt.ip, name).await {
        return Tried::TooMany;
    }
    let outcome = parts.authenticator.login(&attempt).await;
    match &outcome {
        LoginOutcome::Accepted(identity) => {
            parts.logins.succeeded(attempt.ip);
            parts.observer.logged_in(session, identity.user());
        }
        LoginOutcome::Refused => refused(parts, session, attempt.ip, name, Some(credentials)).await,
        LoginOutcome::TryLater(cause) => parts.observer.failed(session, "login", cause),
    }
    Tried::Yes(outcome)
}

/// A login that is refused: the guard and the observer hear of it at once, the client later.
pub(crate) async fn refused(
    parts: &Parts,
    session: u64,
    ip: Option<IpAddr>,
    name: &str,
    credentials: Option<&Credentials>,
) {
    let now = parts.clock.now();
    parts.logins.failed(now, ip, credentials);
    parts.observer.login_refused(session, ip, name);
    parts.clock.sleep_until(now + parts.logins.limits().refusal_delay).await;
}

/// Asks for keys; none if they cannot be told now.
pub(crate) async fn scram_keys(
    parts: &Parts,
    session: u64,
    ip: Option<IpAddr>,
    user: &str,
    hash: HashAlgorithm,
) -> Tried<Option<ScramAnswer>> {
    if !admitted(parts, session, ip, user).await {
        return Tried::TooMany;
    }
    Tried::Yes(match parts.authenticator.scram_keys(user, hash).await {
        Ok(keys) => Some(ScramAnswer::new(keys, Arc::clone(&parts.crypto), &mut SystemRandom::default())),
        Err(cause) => {
            parts.observer.failed(session, "login", &cause);
            None
        }
    })
}
