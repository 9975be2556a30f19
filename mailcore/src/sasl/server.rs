//! The server's side of an exchange.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Credentials, Mechanism, SaslError};
use crate::Secret;

/// The server's side of one exchange.
///
/// ```
/// use pillarbox_core::sasl::{Mechanism, Progress, ServerExchange};
///
/// let mut exchange = ServerExchange::new(&Mechanism::Plain)?;
/// let Progress::Credentials(credentials) = exchange.start(Some(b"\0joe\0hunter2")) else { panic!("refused") };
/// assert_eq!(credentials.authentication_id(), "joe");
///
/// let mut exchange = ServerExchange::new(&Mechanism::Login)?;
/// assert!(matches!(exchange.start(None), Progress::Challenge(text) if text == b"Username:"));
/// assert!(matches!(exchange.respond(b"joe"), Progress::Challenge(text) if text == b"Password:"));
/// assert!(matches!(exchange.respond(b"hunter2"), Progress::Credentials(_)));
/// # Ok::<(), pillarbox_core::sasl::SaslError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerExchange {
    state: State,
}

/// Where an exchange stands after a message of the client.
#[derive(Clone, Debug)]
#[must_use]
#[non_exhaustive]
pub enum Progress {
    /// Send this, encoded, and show the answer.
    Challenge(Vec<u8>),
    /// The exchange is over; judge these.
    Credentials(Credentials),
    /// The exchange is over and failed.
    Failed(SaslError),
}

#[derive(Clone, Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword { name: String },
    Over,
}

impl ServerExchange {
    /// An exchange by this mechanism.
    ///
    /// # Errors
    ///
    /// [`SaslError::UnknownMechanism`] if there is none. Which of the others are on offer is the caller's to check.
    pub const fn new(mechanism: &Mechanism) -> Result<Self, SaslError> {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::Other(_) => return Err(SaslError::UnknownMechanism),
        };
        Ok(ServerExchange { state })
    }

    /// Begins, with the initial response if the command had one.
    pub fn start(&mut self, initial_response: Option<&[u8]>) -> Progress {
        match (initial_response, &self.state) {
            // Deviates from RFC 4954 §4: because clients send the name with AUTH LOGIN, though the server speaks first there.
            (Some(response), _) => self.respond(response),
            // RFC 4422 §5.1: an empty challenge asks for the initial response.
            (None, State::Plain) => Progress::Challenge(Vec::new()),
            (None, State::LoginName) => Progress::Challenge(b"Username:".to_vec()),
            (None, _) => self.over(Err(SaslError::OutOfOrder)),
        }
    }

    /// Goes on with the client's answer to a challenge, decoded.
    pub fn respond(&mut self, response: &[u8]) -> Progress {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Plain => self.over(parse_plain(response)),
            State::LoginName => match text(response) {
                Ok(name) => {
                    self.state = State::LoginPassword { name: name.into() };
                    Progress::Challenge(b"Password:".to_vec())
                }
                Err(error) => self.over(Err(error)),
            },
            State::LoginPassword { name } => {
                self.over(text(response).map(|password| Credentials::plain("", name, password)))
            }
            State::Over => self.over(Err(SaslError::OutOfOrder)),
        }
    }

    fn over(&mut self, result: Result<Credentials, SaslError>) -> Progress {
        self.state = State::Over;
        match result {
            Ok(credentials) => Progress::Credentials(credentials),
            Err(error) => Progress::Failed(error),
        }
    }
}

/// RFC 4616 §2: `message = [authzid] UTF8NUL authcid UTF8NUL passwd`.
fn parse_plain(message: &[u8]) -> Result<Credentials, SaslError> {
    let mut parts = message.split(|octet| *octet == 0);
    let (Some(authorization), Some(authentication), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    let authorization = core::str::from_utf8(authorization).map_err(|_| SaslError::InvalidUtf8)?;
    Ok(Credentials::Plain {
        authorization_id: authorization.into(),
        authentication_id: text(authentication)?.into(),
        password: Secret::new(text(password)?.into()),
    })
}

/// A name or a password: `1*SAFE` of RFC 4616 §2.
fn text(octets: &[u8]) -> Result<&str, SaslError> {
    match core::str::from_utf8(octets) {
        Ok("") => Err(SaslError::Empty),
        // A name that ends early in another program's eyes is another name.
        Ok(text) if text.contains('\0') => Err(SaslError::Malformed),
        Ok(text) => Ok(text),
        Err(_) => Err(SaslError::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LINE_MAX, decode_response};
    use super::*;
    use proptest::prelude::*;

    fn failure(progress: Progress) -> SaslError {
        match progress {
            Progress::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn plain(message: &[u8]) -> Progress {
        ServerExchange::new(&Mechanism::Plain).unwrap().start(Some(message))
    }

    #[test]
    fn malformed_plain_messages() {
        for (message, error) in [
            (&b""[..], SaslError::Malformed),
            (b"joe", SaslError::Malformed),
            (b"joe\0hunter2", SaslError::Malformed),
            (b"\0joe\0hunter2\0", SaslError::Malformed),
            (b"\0\0\0", SaslError::Malformed),
            (b"\0\0hunter2", SaslError::Empty),
            (b"\0joe\0", SaslError::Empty),
            (b"\0jo\xff\0hunter2", SaslError::InvalidUtf8),
            (b"\0joe\0\xc3", SaslError::InvalidUtf8),
            (b"\xed\xa0\x80\0joe\0hunter2", SaslError::InvalidUtf8),
        ] {
            assert_eq!(failure(plain(message)), error, "{message:?}");
        }
    }

    #[test]
    fn lines_that_are_no_base64_or_too_long() {
        for line in [&b"=AAA"[..], b"AAA=BBB", b"am9l\n", b"am 9l", b"am9lC", b"YQ", b"YR==", b"\xff\xff\xff\xff", b"="]
        {
            assert_eq!(decode_response(line), Err(SaslError::BadBase64), "{line:?}");
        }
        assert_eq!(decode_response(&[b'A'; LINE_MAX]), Ok([0; LINE_MAX / 4 * 3].to_vec()));
        assert_eq!(decode_response(&[b'A'; LINE_MAX + 4]), Err(SaslError::TooLong));
        assert_eq!(decode_response(&[b'A'; 20_480]), Err(SaslError::TooLong));
    }

    #[test]
    fn the_authorization_identity_is_kept_apart() {
        let Progress::Credentials(credentials) = plain(b"ann\0joe\0p w") else { panic!("refused") };
        assert_eq!(credentials.authorization_id(), Some("ann"));
        assert_eq!(credentials.authentication_id(), "joe");
        assert!(credentials.password().unwrap().same_as(b"p w"));
    }

    #[test]
    fn plain_without_initial_response_is_asked_for() {
        let mut exchange = ServerExchange::new(&Mechanism::Plain).unwrap();
        assert!(matches!(exchange.start(None), Progress::Challenge(text) if text.is_empty()));
        assert!(matches!(exchange.respond(b"\0joe\0x"), Progress::Credentials(_)));
        assert_eq!(failure(exchange.respond(b"\0joe\0x")), SaslError::OutOfOrder);
    }

    #[test]
    fn login_refuses_what_plain_refuses() {
        for (name, error) in
            [(&b""[..], SaslError::Empty), (b"a\0b", SaslError::Malformed), (b"\xff", SaslError::InvalidUtf8)]
        {
            let mut exchange = ServerExchange::new(&Mechanism::Login).unwrap();
            assert_eq!(failure(exchange.start(Some(name))), error);
            assert_eq!(failure(exchange.respond(b"x")), SaslError::OutOfOrder);
            let mut exchange = ServerExchange::new(&Mechanism::Login).unwrap();
            assert!(matches!(exchange.start(Some(b"joe")), Progress::Challenge(_)));
            assert_eq!(failure(exchange.respond(name)), error);
        }
    }

    #[test]
    fn mechanisms_without_an_exchange() {
        let mechanism = Mechanism::parse("GSSAPI").unwrap();
        assert_eq!(ServerExchange::new(&mechanism).unwrap_err(), SaslError::UnknownMechanism);
    }

    proptest! {
        #[test]
        fn any_octets_end_an_exchange(message in prop::collection::vec(any::<u8>(), 0..40)) {
            for mechanism in [Mechanism::Plain, Mechanism::Login] {
                let mut exchange = ServerExchange::new(&mechanism).unwrap();
                let mut progress = exchange.start(None);
                for _ in 0..3 {
                    let Progress::Challenge(_) = progress else { break };
                    progress = exchange.respond(&message);
                }
                prop_assert!(!matches!(progress, Progress::Challenge(_)));
            }
        }
    }
}
