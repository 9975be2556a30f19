//! From the greeting to the first command: TLS, the login, what is enabled, compression.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::crypto::Crypto;
use pillarbox_core::sasl::{self, ClientExchange, Mechanism, SaslError};
use pillarbox_core::{Layer, Random};

use super::code::{Code, Status, StatusKind};
use super::command::Command;
use super::session::{ClientSession, Purpose, Stage};
use super::words::Capabilities;
use super::{CloseReason, Event, FailureCause, StartTls};

/// What a server says of itself whoever is logged in.
const REVISIONS: [&str; 2] = ["IMAP4rev1", "IMAP4rev2"];

/// What the proofs of SCRAM and CRAM-MD5 are made with.
pub(super) struct Proofs {
    crypto: Arc<dyn Crypto>,
    random: Box<dyn Random + Send + Sync>,
}

impl Proofs {
    pub(super) fn new(crypto: Arc<dyn Crypto>, random: impl Random + Send + Sync + 'static) -> Self {
        Proofs { crypto, random: Box::new(random) }
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs").field("crypto", &self.crypto).finish_non_exhaustive()
    }
}

/// What was done of what the configuration asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Goal {
    /// STARTTLS was asked for, and refused.
    is_tls_refused: bool,
    /// The server knows who we are.
    pub(super) is_authenticated: bool,
    is_enabled: bool,
    is_compressed: bool,
}

/// A command of the session's own.
#[derive(Debug)]
pub(super) enum Own {
    Capability,
    StartTls,
    Auth(Box<ClientExchange>),
    /// AUTHENTICATE was given up for this.
    Cancelled(SaslError),
    Login,
    Enable,
    Compress,
    /// Our side stops, or has no more to say.
    Logout,
}

impl ClientSession {
    pub(super) fn greeted(&mut self, status: Status) {
        if let Some(Code::Capability(offered)) = &status.code {
            self.capabilities = offered.clone();
        }
        match status.kind {
            StatusKind::Ok => {}
            // RFC 9051 §7.1.4: TLS cannot be had any more.
            StatusKind::PreAuth if self.tls.is_none() && !self.may_stay_in_clear() => {
                return self.fail(FailureCause::TlsNotOffered, None);
            }
            StatusKind::PreAuth => self.goal.is_authenticated = true,
            StatusKind::No | StatusKind::Bad | StatusKind::Bye => {
                return self.fail(FailureCause::Refused, Some(status));
            }
        }
        self.stage = Stage::Handshake;
        self.next_step();
    }

    /// Whether a session that is logged in from its start may do without TLS: anybody may have said so.
    fn may_stay_in_clear(&self) -> bool {
        match self.config.starttls {
            StartTls::Never => true,
            StartTls::IfOffered => self.config.login.as_ref().is_none_or(|login| login.policy.clear_text_without_tls),
            StartTls::Required => false,
        }
    }

    /// Asks for what comes next.
    pub(super) fn next_step(&mut self) {
        if self.is_stopping {
            self.stage = Stage::Ready;
            return self.pump();
        }
        if self.capabilities.is_empty() {
            return self.own(Own::Capability, Command::capability());
        }
        let wants_tls = self.config.starttls != StartTls::Never && self.tls.is_none() && !self.goal.is_authenticated;
        if wants_tls && !self.goal.is_tls_refused && self.capabilities.has("STARTTLS") {
            return self.own(Own::StartTls, Command::new("STARTTLS"));
        }
        if wants_tls && self.config.starttls == StartTls::Required {
            return self.fail(FailureCause::TlsNotOffered, None);
        }
        if self.config.login.is_some() && !self.goal.is_authenticated {
            return self.log_in();
        }
        if self.goal.is_authenticated && !self.goal.is_enabled {
            self.goal.is_enabled = true;
            let offered: Vec<&str> = match self.capabilities.has("ENABLE") || self.capabilities.has("IMAP4rev2") {
                true => {
                    self.config.enable.iter().map(|word| &**word).filter(|word| self.capabilities.has(word)).collect()
                }
                false => Vec::new(),
            };
            if !offered.is_empty() {
                return self.own(Own::Enable, Command::enable(&offered));
            }
        }
        if self.goal.is_authenticated && self.config.compress && !self.goal.is_compressed {
            self.goal.is_compressed = true;
            if self.capabilities.values("COMPRESS").any(|method| method.eq_ignore_ascii_case("DEFLATE")) {
                return self.own(Own::Compress, Command::new("COMPRESS").raw("DEFLATE"));
            }
        }
        self.stage = Stage::Ready;
        self.events.push_back(Event::Ready);
        self.expect_something();
        self.pump();
    }

    fn own(&mut self, own: Own, command: Command) {
        self.start(Purpose::Own(own), command);
    }

    /// A command of the session's own is over.
    pub(super) fn on_own(&mut self, own: Own, status: Status) {
        match own {
            Own::Logout => return self.close(CloseReason::ShutDown),
            Own::StartTls if status.is_ok() => {
                self.stage = Stage::Upgrading(Layer::Tls);
                return;
            }
            Own::StartTls if self.config.starttls == StartTls::Required => {
                return self.fail(FailureCause::TlsRefused, Some(status));
            }
            Own::StartTls => self.goal.is_tls_refused = true,
            Own::Capability if self.capabilities.is_empty() => {
                // It cannot be asked for ever; IMAP4rev1 is what all have.
                self.capabilities = Capabilities::parse(b"IMAP4rev1");
            }
            Own::Cancelled(error) => return self.fail(FailureCause::LoginFailed(error), Some(status)),
            Own::Auth(_) | Own::Login if !status.is_ok() => {
                return self.fail(FailureCause::LoginRefused, Some(status));
            }
            Own::Auth(exchange) => {
                // A server that has not proved what it has to is not the one that we wanted to speak with.
                if let Err(error) = exchange.finish() {
                    return self.fail(FailureCause::LoginFailed(error), None);
                }
                self.logged_in(&status);
            }
            Own::Login => self.logged_in(&status),
            Own::Compress if status.is_ok() => {
                self.stage = Stage::Upgrading(Layer::Deflate);
                return;
            }
            Own::Capability | Own::Enable | Own::Compress => {}
        }
        self.next_step();
    }

    fn logged_in(&mut self, status: &Status) {
        self.goal.is_authenticated = true;
        // RFC 9051 §6.2.2: what is offered changes with the login; if the server does not say how, it is asked.
        if !matches!(status.code, Some(Code::Capability(_))) {
            self.capabilities = Capabilities::default();
        }
    }

    /// The server knows us no more: what was enabled ceases to be (RFC 8437 §4.1), and what it offers is what the answer says,
    /// or unknown but for its revisions, which no login changes: they say how names are spelled.
    pub(super) fn unauthenticated(&mut self, status: &Status) {
        self.goal.is_authenticated = false;
        self.enabled = Capabilities::default();
        if !matches!(status.code, Some(Code::Capability(_))) {
            self.capabilities.retain(|word| REVISIONS.iter().any(|revision| word.eq_ignore_ascii_case(revision)));
        }
    }

    fn log_in(&mut self) {
        let Some(login) = &self.config.login else { return };
        // All of the offer, as what a server is told of its PLUS hangs on that (RFC 5802 §6).
        let offered: Vec<Mechanism> = self.capabilities.values("AUTH").filter_map(Mechanism::parse).collect();
        let mut policy = login.policy.clone();
        if self.proofs.is_none() {
            policy.mechanisms.retain(|mechanism| !mechanism.needs_crypto());
        }
        let Some(choice) = policy.choose(&offered, &login.credentials, self.tls.as_ref()) else {
            return self.log_in_by_login();
        };
        let credentials = login.credentials.clone();
        let exchange = match &mut self.proofs {
            Some(proofs) => {
                ClientExchange::with_crypto(&choice, credentials, Arc::clone(&proofs.crypto), &mut *proofs.random)
            }
            None => ClientExchange::new(choice.mechanism(), credentials),
        };
        let mut exchange = match exchange {
            Ok(exchange) => exchange,
            Err(error) => return self.fail(FailureCause::LoginFailed(error), None),
        };
        let mut command = Command::new("AUTHENTICATE").raw(&choice.mechanism().to_string());
        // RFC 4959 §3
        if (self.capabilities.has("SASL-IR") || self.capabilities.has("IMAP4rev2"))
            && let Some(response) = exchange.initial_response()
        {
            command = command.raw(&sasl::encode_initial_response(response.expose()));
        }
        self.own(Own::Auth(Box::new(exchange)), command);
    }

    /// LOGIN, where the server offers no mechanism that fits (RFC 9051 §6.2.3).
    fn log_in_by_login(&mut self) {
        let Some(login) = &self.config.login else { return };
        let is_private = self.tls.is_some() || login.policy.clear_text_without_tls;
        let is_allowed = login.policy.mechanisms.iter().any(|own| matches!(own, Mechanism::Plain | Mechanism::Login));
        let credentials = &login.credentials;
        let acts_as_another =
            credentials.authorization_id().is_some_and(|id| !id.is_empty() && id != credentials.authentication_id());
        let password = credentials.password().filter(|_| !acts_as_another);
        match password {
            Some(password) if is_private && is_allowed && !self.capabilities.has("LOGINDISABLED") => {
                let command =
                    Command::new("LOGIN").string(credentials.authentication_id()).string(password.expose().as_bytes());
                if command.forbidden.is_some() {
                    return self.fail(FailureCause::LoginFailed(SaslError::Malformed), None);
                }
                self.own(Own::Login, command);
            }
            _ => self.fail(FailureCause::LoginNotOffered, None),
        }
    }

    /// The server challenges: answers it, or gives the exchange up.
    pub(super) fn challenged(&mut self, text: &[u8]) {
        let Some(running) = self.running.back_mut() else { return };
        let Purpose::Own(Own::Auth(exchange)) = &mut running.purpose else { return };
        match sasl::decode_response(text.trim_ascii()).and_then(|challenge| exchange.respond(&challenge)) {
            Ok(response) => {
                self.output.extend_from_slice(sasl::encode(response.expose()).as_bytes());
            }
            Err(error) => {
                running.purpose = Purpose::Own(Own::Cancelled(error));
                // RFC 9051 §6.2.2
                self.output.push(b'*');
            }
        }
        self.output.extend_from_slice(b"\r\n");
        // What is answered now is this line.
        let end = self.left + self.output().len() as u64;
        if let Some(running) = self.running.back_mut() {
            running.end = Some(end);
        }
    }
}
