//! Logging in, the same for all protocols: ask, be slow to say no, tell the observer.

use std::net::IpAddr;
use std::time::Duration;

use pillarbox_core::sasl::{Credentials, Mechanism};

use crate::parts::{LoginAttempt, LoginOutcome, Parts};

/// How long a refusal is held back. Each session waits for itself, so a guesser slows down nobody else.
const REFUSAL_DELAY: Duration = Duration::from_secs(2);

/// Asks the authenticator. A refusal comes late.
pub(crate) async fn log_in(
    parts: &Parts,
    session: u64,
    service: &'static str,
    ip: Option<IpAddr>,
    mechanism: Mechanism,
    credentials: Credentials,
) -> LoginOutcome {
    let attempt = LoginAttempt::new(service, mechanism, credentials, ip);
    let outcome = parts.authenticator.login(&attempt).await;
    match &outcome {
        LoginOutcome::Accepted(identity) => parts.observer.logged_in(session, identity.user()),
        LoginOutcome::Refused => {
            parts.observer.login_refused(session, ip, attempt.credentials.authentication_id());
            parts.clock.sleep_until(parts.clock.now() + REFUSAL_DELAY).await;
        }
        LoginOutcome::TryLater(cause) => parts.observer.failed(session, "login", cause),
    }
    outcome
}
