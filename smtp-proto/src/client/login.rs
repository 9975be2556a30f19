//! AUTH (RFC 4954): the exchange of a login over commands and replies.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::Random;
use pillarbox_core::crypto::Crypto;
use pillarbox_core::sasl::{self, Choice, ClientExchange, Mechanism, SaslError};

use super::state::State;
use super::{ClientSession, CloseReason, FailureCause, Phase};
use crate::reply_parser::RawReply;

/// What the proofs of SCRAM and CRAM-MD5 are made with.
pub(super) struct Proofs {
    pub(super) crypto: Arc<dyn Crypto>,
    pub(super) random: Box<dyn Random + Send + Sync>,
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs").field("crypto", &self.crypto).finish_non_exhaustive()
    }
}

impl ClientSession {
    /// Logs in, if that is wanted; behind TLS, if there is TLS.
    pub(super) fn authenticate(&mut self) -> State {
        let Some(login) = &self.config.login else { return self.ready() };
        let offered = self.capabilities.parameters("AUTH").into_iter().flatten();
        // All of the offer, as what a server is told of its PLUS hangs on that (RFC 5802 §6).
        let offered: Vec<Mechanism> = offered.filter_map(Mechanism::parse).collect();
        let mut policy = login.policy.clone();
        if self.proofs.is_none() {
            policy.mechanisms.retain(|mechanism| !mechanism.needs_crypto());
        }
        let Some(choice) = policy.choose(&offered, &login.credentials, self.tls.as_ref()) else {
            self.failed(Phase::Auth, FailureCause::AuthNotOffered, None);
            return self.quit(CloseReason::Failed);
        };
        let mut exchange = match self.exchange(&choice) {
            Ok(exchange) => exchange,
            Err(error) => {
                self.failed(Phase::Auth, FailureCause::AuthFailed(error), None);
                return self.quit(CloseReason::Failed);
            }
        };
        let mut line = format!("AUTH {}", choice.mechanism());
        // RFC 4954 §4: the whole command has to fit into 512 octets; else the server asks for the response.
        let mut ahead = exchange.clone();
        if let Some(response) = ahead.initial_response() {
            let response = sasl::encode_initial_response(response.expose());
            if line.len() + 1 + response.len() + 2 <= 512 {
                exchange = ahead;
                line = format!("{line} {response}");
            }
        }
        self.command(&line, self.config.timeouts.auth);
        State::Auth(exchange)
    }

    fn exchange(&mut self, choice: &Choice) -> Result<ClientExchange, SaslError> {
        let Some(login) = &self.config.login else { return Err(SaslError::OutOfOrder) };
        let credentials = login.credentials.clone();
        match &mut self.proofs {
            Some(proofs) => {
                ClientExchange::with_crypto(choice, credentials, Arc::clone(&proofs.crypto), &mut *proofs.random)
            }
            None => ClientExchange::new(choice.mechanism(), credentials),
        }
    }

    /// Answers a challenge, or gives the exchange up.
    pub(super) fn respond(&mut self, mut exchange: ClientExchange, raw: &RawReply<'_>) -> State {
        let text = raw.lines().next().unwrap_or_default();
        match sasl::decode_response(text.trim_ascii().as_bytes()).and_then(|it| exchange.respond(&it)) {
            Ok(response) => {
                self.command(&sasl::encode(response.expose()), self.config.timeouts.auth);
                State::Auth(exchange)
            }
            Err(error) => {
                // RFC 4954 §4
                self.command("*", self.config.timeouts.auth);
                State::AuthCancelled(error)
            }
        }
    }

    /// The server says that we are logged in. One that has not proved what it has to is not the one that we wanted to speak
    /// with, and gets no mail.
    pub(super) fn logged_in(&mut self, exchange: &ClientExchange) -> State {
        match exchange.finish() {
            Ok(()) => self.ready(),
            Err(error) => {
                self.failed(Phase::Auth, FailureCause::AuthFailed(error), None);
                self.quit(CloseReason::Failed)
            }
        }
    }
}
