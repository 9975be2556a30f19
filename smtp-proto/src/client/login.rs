//! AUTH (RFC 4954): the exchange of a login over commands and replies.

use alloc::format;
use alloc::vec::Vec;

use pillarbox_core::sasl::{self, ClientExchange, Mechanism};

use super::state::State;
use super::{ClientSession, CloseReason, FailureCause, Phase};
use crate::reply_parser::RawReply;

impl ClientSession {
    /// Logs in, if that is wanted; behind TLS, if there is TLS.
    pub(super) fn authenticate(&mut self) -> State {
        let Some(login) = &self.config.login else { return self.ready() };
        let offered = self.capabilities.parameters("AUTH").into_iter().flatten();
        // SCRAM needs a source of random numbers and cryptography, which a session does not have.
        let offered = offered.filter_map(Mechanism::parse).filter(|mechanism| mechanism.scram_hash().is_none());
        let offered: Vec<Mechanism> = offered.collect();
        let chosen = login.policy.choose(&offered, &login.credentials, self.tls.as_ref());
        let begun = chosen.and_then(|choice| {
            let exchange = ClientExchange::new(choice.mechanism(), login.credentials.clone()).ok()?;
            Some((choice.mechanism().clone(), exchange))
        });
        let Some((mechanism, mut exchange)) = begun else {
            self.failed(Phase::Auth, FailureCause::AuthNotOffered, None);
            return self.quit(CloseReason::Failed);
        };
        let mut line = format!("AUTH {mechanism}");
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

    /// Answers a challenge, or gives the exchange up.
    pub(super) fn respond(&mut self, mut exchange: ClientExchange, raw: &RawReply) -> State {
        let text = raw.lines().next().unwrap_or_default();
        let response = sasl::decode_response(text.trim_ascii().as_bytes()).and_then(|it| exchange.respond(&it));
        if let Ok(response) = response {
            self.command(&sasl::encode(response.expose()), self.config.timeouts.auth);
            State::Auth(exchange)
        } else {
            // RFC 4954 §4
            self.command("*", self.config.timeouts.auth);
            State::AuthCancelled
        }
    }
}
