//! Who logs in, and what they hear who may not.

use std::borrow::Cow;
use std::sync::Arc;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Credentials, Mechanism};
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::ResponseCode;

use super::Connection;
use crate::login::{Tried, log_in, scram_keys};
use crate::parts::{LoginAttempt, LoginOutcome};

impl Connection {
    pub(super) async fn log_in(&mut self, mechanism: Mechanism, credentials: Credentials) {
        let shared = Arc::clone(&self.shared);
        let mut attempt = LoginAttempt::new(shared.service, mechanism, credentials, self.ip);
        attempt.tls = self.wire.machine.tls().cloned();
        let trying = log_in(&shared.parts, self.number, attempt);
        let outcome = match self.wire.answer(Box::pin(trying)).await {
            Tried::Yes(outcome) => outcome,
            Tried::TooMany => return self.answer(no_check_now()),
        };
        match outcome {
            LoginOutcome::Accepted(identity) => {
                self.seat = self.address.and_then(|address| self.shared.users.take(&identity, address));
                if self.address.is_some() && self.seat.is_none() {
                    let text = "too many sessions of this user from this address";
                    self.shared.parts.observer.refused(self.number, "LOGIN", text);
                    return self.answer(Answer::No { code: Some(ResponseCode::Limit), text: text.into() });
                }
                self.wire.machine.let_set_quota(shared.parts.store.may_set_quota(&identity));
                self.answer(Answer::LoggedIn(Cow::Owned(identity.user().to_owned())));
                self.set_identity(Some(identity));
            }
            LoginOutcome::TryLater(_) => self.answer(no_check_now()),
            _ => self.answer(wrong_password()),
        }
    }

    pub(super) async fn scram_keys(&mut self, user: &str, hash: HashAlgorithm) {
        let shared = Arc::clone(&self.shared);
        let keys = scram_keys(&shared.parts, self.number, self.ip, user, hash);
        match self.wire.answer(Box::pin(keys)).await {
            Tried::Yes(Some(keys)) => self.answer(Answer::ScramKeys(keys)),
            Tried::Yes(None) | Tried::TooMany => self.answer(no_check_now()),
        }
    }
}

/// The words of the session for credentials that nobody needs to judge: a stranger learns no more.
pub(super) fn wrong_password() -> Answer<'static> {
    Answer::No { code: Some(ResponseCode::AuthenticationFailed), text: "Wrong name or password".into() }
}

fn no_check_now() -> Answer<'static> {
    Answer::No { code: Some(ResponseCode::Unavailable), text: "logins cannot be checked now, try again later".into() }
}
