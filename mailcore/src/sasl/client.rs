//! The client's side of an exchange.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::cram::{self, Client as Cram};
use super::scram::Client as Scram;
use super::{Choice, Credentials, Mechanism, SaslError, simple};
use crate::crypto::Crypto;
use crate::{Random, Secret};

/// The fewest iterations that a client of SCRAM makes a proof with (RFC 7677 §4): with fewer, a server that is not the right
/// one could guess the password from the proof.
pub const ITERATIONS_MIN: u32 = 4096;
/// The most iterations that a client of SCRAM makes: with more, a server could keep it busy for long.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// The client's side of one exchange.
///
/// ```
/// use pillarbox_core::sasl::{ClientExchange, Credentials, Mechanism};
///
/// let mut exchange = ClientExchange::new(&Mechanism::Plain, Credentials::plain("", "joe", "hunter2"))?;
/// assert_eq!(exchange.initial_response().unwrap().expose(), b"\0joe\0hunter2");
///
/// let mut exchange = ClientExchange::new(&Mechanism::Login, Credentials::plain("", "joe", "hunter2"))?;
/// assert!(exchange.initial_response().is_none());
/// assert_eq!(exchange.respond(b"Username:")?.expose(), b"joe");
/// assert_eq!(exchange.respond(b"Password:")?.expose(), b"hunter2");
/// # Ok::<(), pillarbox_core::sasl::SaslError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientExchange {
    credentials: Credentials,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// There is one message, which the server may have to ask for.
    Single(Mechanism),
    LoginName,
    LoginPassword,
    Scram(Scram),
    Cram(Cram),
    /// The token was told. A challenge now is the error, and wants this answer.
    Token(&'static [u8]),
    Over,
}

impl ClientExchange {
    /// An exchange by this mechanism, if it does without cryptography: any but SCRAM and CRAM-MD5, for which there is
    /// [`with_crypto`](ClientExchange::with_crypto).
    ///
    /// # Errors
    ///
    /// [`SaslError::UnknownMechanism`] if there is none; [`SaslError::Malformed`] or [`SaslError::Empty`] if the mechanism
    /// cannot carry the credentials: a NUL, an empty name or password, or an authorization identity with LOGIN.
    pub fn new(mechanism: &Mechanism, credentials: Credentials) -> Result<Self, SaslError> {
        check(&credentials)?;
        let state = match mechanism {
            Mechanism::Other(_) => return Err(SaslError::UnknownMechanism),
            mechanism if mechanism.needs_crypto() => return Err(SaslError::UnknownMechanism),
            mechanism if !mechanism.carries(&credentials) => return Err(SaslError::Malformed),
            Mechanism::Login => State::LoginName,
            _ => State::Single(mechanism.clone()),
        };
        Ok(ClientExchange { credentials, state })
    }

    /// An exchange by the mechanism that [`ClientPolicy::choose`](super::ClientPolicy::choose) took, whichever it is.
    /// `random` is a source that nobody can foresee.
    ///
    /// # Errors
    ///
    /// As with [`new`](ClientExchange::new); and [`SaslError::Unprepared`] if SCRAM cannot carry the name or the password.
    pub fn with_crypto(
        choice: &Choice,
        credentials: Credentials,
        crypto: Arc<dyn Crypto>,
        random: &mut dyn Random,
    ) -> Result<Self, SaslError> {
        if choice.mechanism == Mechanism::CramMd5 && choice.mechanism.carries(&credentials) {
            check(&credentials)?;
            return Ok(ClientExchange { credentials, state: State::Cram(Cram(crypto)) });
        }
        let Some(hash) = choice.mechanism.scram_hash() else {
            return ClientExchange::new(&choice.mechanism, credentials);
        };
        check(&credentials)?;
        let Credentials::Plain { authorization_id, authentication_id, password } = &credentials else {
            return Err(SaslError::Malformed);
        };
        let identity = (&**authorization_id, &**authentication_id, password);
        let state = State::Scram(Scram::new(hash, &choice.channel, identity, crypto, random)?);
        Ok(ClientExchange { credentials, state })
    }

    /// What to send with the command, if the mechanism has the client speak first. A client that does not send it there
    /// does not call this, and answers the empty challenge.
    pub fn initial_response(&mut self) -> Option<Secret<Vec<u8>>> {
        match &mut self.state {
            State::Single(_) => Some(self.step()),
            State::Scram(scram) => scram.initial_response().map(Secret::new),
            _ => None,
        }
    }

    /// The answer to a challenge, decoded. What a server asks with LOGIN is not compared: servers word it as they like.
    ///
    /// # Errors
    ///
    /// [`SaslError::OutOfOrder`] if the exchange is over and the server asks for more, and with SCRAM what is wrong with the
    /// server: cancel the exchange with `*` then, and do not trust the connection.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Secret<Vec<u8>>, SaslError> {
        match &mut self.state {
            State::Over => Err(SaslError::OutOfOrder),
            // RFC 4422 §5.1: a server that expects the client to speak first asks with nothing.
            State::Single(_) if !challenge.is_empty() => Err(SaslError::Malformed),
            State::Scram(scram) => scram.respond(challenge).map(Secret::new),
            State::Cram(_) if challenge.is_empty() => Err(SaslError::Malformed),
            State::Cram(Cram(crypto)) => {
                let Some(password) = self.credentials.password() else { return Err(SaslError::Malformed) };
                let name = self.credentials.authentication_id();
                let answer = cram::answer(&**crypto, name, password, challenge)?;
                self.state = State::Over;
                Ok(Secret::new(answer))
            }
            _ => Ok(self.step()),
        }
    }

    /// The server says that we are logged in: whether to believe it. After SCRAM a server that has not proved that it knows
    /// the keys is not the one that we wanted to speak with.
    ///
    /// # Errors
    ///
    /// [`SaslError::ServerProof`] then; [`SaslError::OutOfOrder`] if the exchange is not at its end.
    pub const fn finish(&self) -> Result<(), SaslError> {
        match &self.state {
            State::Scram(scram) if !scram.is_proven() => Err(SaslError::ServerProof),
            State::Scram(_) | State::Token(_) | State::Over => Ok(()),
            State::Single(_) | State::LoginName | State::LoginPassword | State::Cram(_) => Err(SaslError::OutOfOrder),
        }
    }

    /// The next message.
    fn step(&mut self) -> Secret<Vec<u8>> {
        let (message, next) = match (&self.state, &self.credentials) {
            // RFC 4616 §2
            (State::Single(_), Credentials::Plain { authorization_id, authentication_id, password }) => {
                let parts = [authorization_id.as_bytes(), authentication_id.as_bytes(), password.expose().as_bytes()];
                (Secret::new(parts.join(&0)), State::Over)
            }
            (State::Single(mechanism), Credentials::Bearer { authorization_id, token, host, port }) => {
                if *mechanism == Mechanism::XOAuth2 {
                    (simple::write_xoauth2(authorization_id, token), State::Token(b""))
                } else {
                    let message = simple::write_oauthbearer(authorization_id, token, host.as_deref(), *port);
                    // RFC 7628 §3.2.3
                    (message, State::Token(b"\x01"))
                }
            }
            (
                State::Single(_),
                Credentials::External { authorization_id: text } | Credentials::Anonymous { trace: text },
            ) => (text.as_bytes().into(), State::Over),
            (State::LoginName, credentials) => {
                (credentials.authentication_id().as_bytes().into(), State::LoginPassword)
            }
            (State::LoginPassword, Credentials::Plain { password, .. }) => {
                (password.expose().as_bytes().into(), State::Over)
            }
            (State::Token(answer), _) => ((*answer).into(), State::Over),
            (State::Scram(_) | State::Cram(_) | State::Over | State::Single(_) | State::LoginPassword, _) => {
                unreachable!("the callers step only an exchange that goes on, and new() knows what it carries")
            }
        };
        self.state = next;
        message
    }
}

/// What no mechanism can carry.
fn check(credentials: &Credentials) -> Result<(), SaslError> {
    let is_control = |text: &String| text.contains(char::is_control);
    match credentials {
        Credentials::Plain { authorization_id, authentication_id, password } => {
            if [authorization_id, authentication_id, password.expose()].iter().any(|part| part.contains('\0')) {
                return Err(SaslError::Malformed);
            }
            if authentication_id.is_empty() || password.expose().is_empty() {
                return Err(SaslError::Empty);
            }
        }
        Credentials::Bearer { authorization_id, token, host, .. } => {
            if is_control(authorization_id) || is_control(token.expose()) || host.as_ref().is_some_and(is_control) {
                return Err(SaslError::Malformed);
            }
            if token.expose().is_empty() {
                return Err(SaslError::Empty);
            }
        }
        Credentials::External { authorization_id: text } | Credentials::Anonymous { trace: text } => {
            if is_control(text) {
                return Err(SaslError::Malformed);
            }
        }
        Credentials::Proven { .. } | Credentials::Challenged { .. } => return Err(SaslError::Malformed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Progress, ServerExchange};
    use super::*;

    /// Runs both sides against each other.
    fn exchange(mechanism: &Mechanism, with_initial: bool) -> Credentials {
        let mut client = ClientExchange::new(mechanism, Credentials::plain("", "joe", "pässword")).unwrap();
        let mut server = ServerExchange::new(mechanism).unwrap();
        let initial = if with_initial { client.initial_response() } else { None };
        let mut progress = server.start(initial.as_ref().map(|secret| &secret.expose()[..]));
        loop {
            match progress {
                Progress::Challenge(challenge) => {
                    progress = server.respond(client.respond(&challenge).unwrap().expose());
                }
                Progress::Credentials(credentials) => {
                    assert_eq!(client.respond(b"").unwrap_err(), SaslError::OutOfOrder);
                    return credentials;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn both_sides_agree() {
        for mechanism in [Mechanism::Plain, Mechanism::Login] {
            for with_initial in [true, false] {
                let credentials = exchange(&mechanism, with_initial);
                assert_eq!(credentials.authentication_id(), "joe");
                assert!(credentials.password().unwrap().same_as("pässword".as_bytes()));
            }
        }
    }

    #[test]
    fn credentials_that_a_mechanism_cannot_carry() {
        let new = |mechanism: &Mechanism, authorization, name, password| {
            ClientExchange::new(mechanism, Credentials::plain(authorization, name, password)).map(|_| ())
        };
        assert_eq!(new(&Mechanism::Plain, "", "j\0oe", "x"), Err(SaslError::Malformed));
        assert_eq!(new(&Mechanism::Plain, "", "joe", ""), Err(SaslError::Empty));
        assert_eq!(new(&Mechanism::Login, "ann", "joe", "x"), Err(SaslError::Malformed));
        assert_eq!(new(&Mechanism::Plain, "ann", "joe", "x"), Ok(()));
        let other = Mechanism::parse("GSSAPI").unwrap();
        assert_eq!(new(&other, "", "joe", "x"), Err(SaslError::UnknownMechanism));
    }

    #[test]
    fn a_challenge_where_none_is_due() {
        let mut client = ClientExchange::new(&Mechanism::Plain, Credentials::plain("", "joe", "x")).unwrap();
        assert_eq!(client.respond(b"realm?").unwrap_err(), SaslError::Malformed);
    }
}
