//! The client's side of an exchange.

use alloc::vec::Vec;

use super::{Credentials, Mechanism, SaslError};
use crate::Secret;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    LoginName,
    LoginPassword,
    Over,
}

impl ClientExchange {
    /// An exchange by this mechanism.
    ///
    /// # Errors
    ///
    /// [`SaslError::UnknownMechanism`] if there is none; [`SaslError::Malformed`] or [`SaslError::Empty`] if the mechanism
    /// cannot carry the credentials: a NUL, an empty name or password, or an authorization identity with LOGIN.
    pub fn new(mechanism: &Mechanism, credentials: Credentials) -> Result<Self, SaslError> {
        let Credentials::Plain { authorization_id, authentication_id, password } = &credentials;
        let parts = [authorization_id, authentication_id, password.expose()];
        if parts.iter().any(|part| part.contains('\0')) {
            return Err(SaslError::Malformed);
        }
        if authentication_id.is_empty() || password.expose().is_empty() {
            return Err(SaslError::Empty);
        }
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login if !authorization_id.is_empty() => return Err(SaslError::Malformed),
            Mechanism::Login => State::LoginName,
            Mechanism::Other(_) => return Err(SaslError::UnknownMechanism),
        };
        Ok(ClientExchange { credentials, state })
    }

    /// What to send with the command, if the mechanism has the client speak first. A client that does not send it there
    /// does not call this, and answers the empty challenge.
    pub fn initial_response(&mut self) -> Option<Secret<Vec<u8>>> {
        match self.state {
            State::Plain => Some(self.step()),
            _ => None,
        }
    }

    /// The answer to a challenge, decoded. What a server asks with LOGIN is not compared: servers word it as they like.
    ///
    /// # Errors
    ///
    /// [`SaslError::OutOfOrder`] if the exchange is over and the server asks for more; cancel it with `*` then.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Secret<Vec<u8>>, SaslError> {
        match self.state {
            State::Over => Err(SaslError::OutOfOrder),
            // RFC 4422 §5.1: a server that expects the client to speak first asks with nothing.
            State::Plain if !challenge.is_empty() => Err(SaslError::Malformed),
            _ => Ok(self.step()),
        }
    }

    /// The next message.
    fn step(&mut self) -> Secret<Vec<u8>> {
        let Credentials::Plain { authorization_id, authentication_id, password } = &self.credentials;
        let (message, next) = match self.state {
            // RFC 4616 §2
            State::Plain => {
                let parts = [authorization_id.as_bytes(), authentication_id.as_bytes(), password.expose().as_bytes()];
                (parts.join(&0), State::Over)
            }
            State::LoginName => (authentication_id.as_bytes().to_vec(), State::LoginPassword),
            State::LoginPassword => (password.expose().as_bytes().to_vec(), State::Over),
            State::Over => unreachable!("the callers step only an exchange that goes on"),
        };
        self.state = next;
        Secret::new(message)
    }
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
                Progress::Failed(error) => panic!("{error}"),
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
