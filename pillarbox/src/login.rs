//! Logging in, the same for all protocols: ask, be slow to say no, tell the observer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Mechanism, ScramAnswer};

use crate::crypto::SystemRandom;
use crate::parts::{Authenticator, LoginAttempt, LoginOutcome, Parts};

/// How long a refusal is held back. Each session waits for itself, so a guesser slows down nobody else.
const REFUSAL_DELAY: Duration = Duration::from_secs(2);

/// The mechanisms that the accounts can judge; none if they can judge all.
pub(crate) fn without_unjudged(mechanisms: &[Mechanism], accounts: &dyn Authenticator) -> Option<Vec<Mechanism>> {
    let judged: Vec<_> = mechanisms.iter().filter(|mechanism| accounts.can_judge(mechanism)).cloned().collect();
    (judged.len() < mechanisms.len()).then_some(judged)
}

/// Asks the authenticator. A refusal comes late.
pub(crate) async fn log_in(parts: &Parts, session: u64, attempt: LoginAttempt) -> LoginOutcome {
    let outcome = parts.authenticator.login(&attempt).await;
    match &outcome {
        LoginOutcome::Accepted(identity) => parts.observer.logged_in(session, identity.user()),
        LoginOutcome::Refused => {
            // Who brings a token or a certificate says at most whom to act as.
            let name = match attempt.credentials.authentication_id() {
                "" => attempt.credentials.authorization_id().unwrap_or_default(),
                name => name,
            };
            refused(parts, session, attempt.ip, name).await;
        }
        LoginOutcome::TryLater(cause) => parts.observer.failed(session, "login", cause),
    }
    outcome
}

/// A login that is refused: the observer hears of it at once, the client later.
pub(crate) async fn refused(parts: &Parts, session: u64, ip: Option<IpAddr>, name: &str) {
    parts.observer.login_refused(session, ip, name);
    parts.clock.sleep_until(parts.clock.now() + REFUSAL_DELAY).await;
}

/// Asks for keys; none if they cannot be told now.
pub(crate) async fn scram_keys(parts: &Parts, session: u64, user: &str, hash: HashAlgorithm) -> Option<ScramAnswer> {
    match parts.authenticator.scram_keys(user, hash).await {
        Ok(keys) => Some(ScramAnswer::new(keys, Arc::clone(&parts.crypto), &mut SystemRandom::default())),
        Err(cause) => {
            parts.observer.failed(session, "login", &cause);
            None
        }
    }
}
