//! A SASL exchange (RFC 4954): its lines, its questions, and how it ends.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use pillarbox_core::Reply;
use pillarbox_core::sasl::{
    CramChallenge, Mechanism, Progress, SaslError, ScramAnswer, ServerExchange, decode_initial_response,
    decode_response, encode,
};

use super::commands::{Decision, Next};
use super::session::ServerSession;
use super::state::{Question, State};
use super::{CloseReason, Event, Identity, replies};
use crate::command::{self, CommandError, InitialResponse, Verb};

/// A SASL exchange that is under way.
#[derive(Debug)]
pub(super) struct Login {
    mechanism: Mechanism,
    exchange: ServerExchange,
    /// The exchange has failed, and the client was told why. It gets this once it has said that it heard (RFC 7628 §3.2.3).
    refusal: Option<Reply>,
}

impl ServerSession {
    /// AUTH where it may be said: begins an exchange by a mechanism that is on offer.
    pub(super) fn begin_login<'b>(
        &self,
        mechanism: &str,
        initial: Option<&InitialResponse<'_>>,
    ) -> Result<Decision<'b>, Reply> {
        let mechanism = Mechanism::parse(mechanism).ok_or_else(replies::unknown_mechanism)?;
        if mechanism == Mechanism::CramMd5 && self.config.mechanisms.contains(&mechanism) {
            // RFC 4954 §4: where the server speaks first, there is no initial response.
            return match initial {
                Some(_) => Err(CommandError::Argument.reply()),
                None => Ok(Decision::Ask(Question::CramChallenge, Event::CramChallenge)),
            };
        }
        let exchange = ServerExchange::among(&self.config.mechanisms, &mechanism, self.tls.as_ref());
        let mut exchange = exchange.map_err(|_| replies::unknown_mechanism())?;
        let initial = initial.map(|text| decode_initial_response(text.expose().as_bytes())).transpose();
        let initial = initial.map_err(SaslError::reply)?;
        let progress = exchange.start(initial.as_deref());
        Ok(Decision::Exchange(progress, Box::new(Login { mechanism, exchange, refusal: None })))
    }

    /// How much of a refused line may be shown in a log. A client that does not look at replies sends its name and its password
    /// behind an AUTH that was refused, too.
    pub(super) fn shown<'b>(&self, line: &'b [u8]) -> &'b [u8] {
        if self.after_auth && Verb::of(line).is_none() { b"" } else { command::without_secrets(line) }
    }

    /// Serves a line of a SASL exchange. Whatever it holds, it is a response: a command hidden in it is none.
    pub(super) fn response<'b>(&mut self, line: &'b [u8], last: bool) -> Next<'b> {
        self.begin_reply(true, true, last);
        let State::Login(mut login) = core::mem::replace(&mut self.state, State::Ready) else {
            unreachable!("called in that state only")
        };
        if let Some(reply) = login.refusal.take() {
            // RFC 7628 §3.2.3: whatever was answered, and if it is `*`.
            self.write_refusal(reply);
            return None;
        }
        let progress = match decode_response(line) {
            Ok(response) => login.exchange.respond(&response),
            Err(error) => Progress::Failed(error),
        };
        self.progress(progress, login)
    }

    /// What an exchange came to.
    pub(super) fn progress<'b>(&mut self, progress: Progress, login: Box<Login>) -> Next<'b> {
        let mechanism = login.mechanism.clone();
        match progress {
            Progress::Challenge(challenge) => {
                self.challenge(&challenge, login);
                None
            }
            Progress::Credentials(credentials) => {
                self.ask(Question::Login(login), Event::Login { mechanism, credentials })
            }
            Progress::NeedsKeys { user, hash } => {
                self.ask(Question::ScramKeys(login), Event::ScramKeys { mechanism, user, hash })
            }
            Progress::Refused { authentication_id } => {
                self.ask(Question::WrongProof, Event::WrongProof { mechanism, authentication_id })
            }
            Progress::Failed(error) => self.refuse_line(b"", error.reply()),
            _ => self.refuse_line(b"", SaslError::Malformed.reply()),
        }
    }

    fn challenge(&mut self, challenge: &[u8], login: Box<Login>) {
        self.state = State::Login(login);
        self.write_challenge(&encode(challenge));
    }

    /// The challenge that was asked for.
    pub(super) fn begin_cram(&mut self, challenge: CramChallenge) {
        let encoded = encode(challenge.as_bytes());
        let mut exchange = ServerExchange::cram_md5(challenge);
        // The challenge is told from here on.
        let _ = exchange.start(None);
        self.state = State::Login(Box::new(Login { mechanism: Mechanism::CramMd5, exchange, refusal: None }));
        self.write_challenge(&encoded);
    }

    /// The keys that were asked for.
    pub(super) fn keys(&mut self, mut login: Box<Login>, answer: ScramAnswer) {
        match login.exchange.keys(answer) {
            Progress::Challenge(challenge) => self.challenge(&challenge, login),
            Progress::Failed(error) => self.write_refusal(error.reply()),
            _ => self.write_refusal(SaslError::Malformed.reply()),
        }
    }

    pub(super) fn logged_in(&mut self, Identity(name): Identity<'_>) {
        self.identity = Some(Identity(Cow::Owned(name.into_owned())));
        self.write(&Reply::enhanced(235, 2, 7, 0, "You are logged in"));
    }

    /// The credentials are no good, or the proof was wrong.
    pub(super) fn login_refused(&mut self, login: Option<Box<Login>>, reply: Reply) {
        if reply.is_permanent() {
            self.counts.logins = self.counts.logins.saturating_add(1);
            if self.counts.logins >= self.config.limits.logins_max {
                self.write(&reply);
                let goodbye = replies::too_many_logins(&self.config);
                return self.close(CloseReason::TooManyErrors, Some(&goodbye));
            }
            if let Some(mut login) = login
                && let Some(challenge) = login.exchange.clone().refuse()
            {
                login.refusal = Some(reply);
                return self.challenge(challenge, login);
            }
        }
        self.write_refusal(reply);
    }
}
