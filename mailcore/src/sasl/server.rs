//! The server's side of an exchange.

use alloc::string::String;
use alloc::vec::Vec;

use super::scram::{Server as Scram, Stage};
use super::{CramChallenge, Credentials, Mechanism, SaslError, ScramAnswer, cram, simple};
use crate::crypto::HashAlgorithm;
use crate::{Secret, TlsFacts};

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
///
/// SCRAM asks for the keys of a name, and proves to the client that the server has them:
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ring_crypto/mod.rs"));
/// # use std::{num::NonZeroU32, sync::Arc};
/// # use pillarbox_core::{SeededRandom, Secret};
/// # fn main() -> Result<(), pillarbox_core::sasl::SaslError> {
/// use pillarbox_core::sasl::{Mechanism, Progress, ScramAnswer, ScramKeys, ServerExchange};
///
/// let mut exchange = ServerExchange::new(&Mechanism::ScramSha256)?;
/// let Progress::NeedsKeys { user, hash } = exchange.start(Some(b"n,,n=joe,r=clientnonce")) else { panic!("refused") };
/// assert_eq!(user, "joe");
/// let iterations = NonZeroU32::new(4096).unwrap();
/// let keys = ScramKeys::derive(&RingCrypto, hash, iterations, b"salt", &Secret::from("hunter2"))?;
/// // The random octets are those of a test here.
/// let answer = ScramAnswer::new(keys, Arc::new(RingCrypto), &mut SeededRandom::new(1));
/// assert!(matches!(exchange.keys(answer), Progress::Challenge(text) if text.starts_with(b"r=clientnonce")));
/// # Ok(())
/// # }
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
    /// Whose keys are needed: bring them with [`keys`](ServerExchange::keys), and for a name that there is not those of
    /// [`ScramKeys::decoy`](super::ScramKeys::decoy).
    NeedsKeys {
        /// The name that the client says to be, prepared (RFC 4013).
        user: String,
        /// The hash that the keys are for.
        hash: HashAlgorithm,
    },
    /// The exchange is over: the proof is wrong, or there is nobody of that name. It counts as a wrong password does.
    Refused {
        /// Who the client said to be.
        authentication_id: String,
    },
    /// The exchange is over and failed.
    Failed(SaslError),
}

#[derive(Clone, Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword {
        name: String,
    },
    Scram(Scram),
    /// The challenge, and whether it was told.
    Cram {
        challenge: Vec<u8>,
        told: bool,
    },
    External,
    OAuthBearer,
    XOAuth2,
    Anonymous,
    /// A token was told; this is what follows if it is no good.
    Token(&'static [u8]),
    Over,
}

/// What tells a client of OAUTHBEARER, before it is refused, that its token is no good (RFC 7628 §3.2.2).
const OAUTHBEARER_ERROR: &[u8] = br#"{"status":"invalid_token"}"#;
/// The same with XOAUTH2.
const XOAUTH2_ERROR: &[u8] = br#"{"status":"401","schemes":"bearer"}"#;

impl ServerExchange {
    /// An exchange by this mechanism.
    ///
    /// # Errors
    ///
    /// [`SaslError::UnknownMechanism`] if there is none. Which of the others are on offer is the caller's to check, or
    /// [`among`](ServerExchange::among)'s, without which a PLUS has nothing to bind to.
    pub const fn new(mechanism: &Mechanism) -> Result<Self, SaslError> {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::External => State::External,
            Mechanism::OAuthBearer => State::OAuthBearer,
            Mechanism::XOAuth2 => State::XOAuth2,
            Mechanism::Anonymous => State::Anonymous,
            Mechanism::ScramSha1 | Mechanism::ScramSha1Plus | Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let Some(hash) = mechanism.scram_hash() else { return Err(SaslError::UnknownMechanism) };
                State::Scram(Scram { hash, plus: mechanism.is_plus(), exporter: None, stage: Stage::First })
            }
            Mechanism::CramMd5 | Mechanism::Other(_) => return Err(SaslError::UnknownMechanism),
        };
        Ok(ServerExchange { state })
    }

    /// An exchange by this mechanism, if it is among those that a server has and is
    /// [possible](Mechanism::is_possible) on this connection. Knows what else is on offer, and so notices where somebody
    /// between the two sides took a PLUS out of the offer (RFC 5802 §6).
    ///
    /// # Errors
    ///
    /// [`SaslError::UnknownMechanism`] if it is not.
    pub fn among(mechanisms: &[Mechanism], mechanism: &Mechanism, tls: Option<&TlsFacts>) -> Result<Self, SaslError> {
        if !mechanisms.contains(mechanism) || !mechanism.is_possible(tls) {
            return Err(SaslError::UnknownMechanism);
        }
        let mut exchange = ServerExchange::new(mechanism)?;
        if let State::Scram(scram) = &mut exchange.state
            && mechanisms.iter().any(Mechanism::is_plus)
        {
            scram.exporter = tls.and_then(|tls| tls.exporter);
        }
        Ok(exchange)
    }

    /// An exchange by CRAM-MD5 (RFC 2195) with this challenge. It ends in [`Credentials::Challenged`], which whoever knows the
    /// password itself can judge.
    pub fn cram_md5(challenge: CramChallenge) -> Self {
        ServerExchange { state: State::Cram { challenge: challenge.into_bytes(), told: false } }
    }

    /// Begins, with the initial response if the command had one.
    pub fn start(&mut self, initial_response: Option<&[u8]>) -> Progress {
        match (initial_response, &self.state) {
            // Deviates from RFC 4954 §4: because clients send the name with AUTH LOGIN, though the server speaks first there.
            (Some(response), _) => self.respond(response),
            // RFC 4422 §5.1: an empty challenge asks for the initial response.
            (
                None,
                State::Plain
                | State::Scram(Scram { stage: Stage::First, .. })
                | State::External
                | State::OAuthBearer
                | State::XOAuth2
                | State::Anonymous,
            ) => Progress::Challenge(Vec::new()),
            (None, State::Cram { challenge, told: false }) => {
                let challenge = challenge.clone();
                self.state = State::Cram { challenge: challenge.clone(), told: true };
                Progress::Challenge(challenge)
            }
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
            State::Scram(mut scram) => {
                let stage = core::mem::replace(&mut scram.stage, Stage::First);
                let result = scram.respond(stage, response);
                self.scram(scram, result)
            }
            State::Cram { challenge, told: true } => self.over(
                cram::parse(challenge, response)
                    .map(|(authentication_id, proof)| Credentials::Challenged { authentication_id, proof }),
            ),
            // RFC 4422 §3: the client has no first word here.
            State::Cram { told: false, .. } => self.over(Err(SaslError::OutOfOrder)),
            State::External => self.over(simple::parse_external(response)),
            State::Anonymous => self.over(simple::parse_anonymous(response)),
            State::OAuthBearer => self.token(simple::parse_oauthbearer(response), OAUTHBEARER_ERROR),
            State::XOAuth2 => self.token(simple::parse_xoauth2(response), XOAUTH2_ERROR),
            State::Token(_) | State::Over => self.over(Err(SaslError::OutOfOrder)),
        }
    }

    /// Goes on with the keys that [`Progress::NeedsKeys`] asked for.
    pub fn keys(&mut self, answer: ScramAnswer) -> Progress {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Scram(mut scram) => {
                let stage = core::mem::replace(&mut scram.stage, Stage::First);
                let result = scram.keys(stage, answer);
                self.scram(scram, result)
            }
            _ => self.over(Err(SaslError::OutOfOrder)),
        }
    }

    /// The credentials were judged, and are no good: what the client has to be told before it is refused. Send it as a
    /// challenge; whatever the client answers, or `*`, the refusal follows (RFC 7628 §3.2.3).
    pub fn refuse(self) -> Option<&'static [u8]> {
        match self.state {
            State::Token(error) => Some(error),
            _ => None,
        }
    }

    fn token(&mut self, result: Result<Credentials, SaslError>, error: &'static [u8]) -> Progress {
        let progress = self.over(result);
        if let Progress::Credentials(_) = progress {
            self.state = State::Token(error);
        }
        progress
    }

    fn scram(&mut self, mut scram: Scram, result: Result<(Progress, Option<Stage>), SaslError>) -> Progress {
        match result {
            Ok((progress, Some(stage))) => {
                scram.stage = stage;
                self.state = State::Scram(scram);
                progress
            }
            Ok((progress, None)) => progress,
            Err(error) => Progress::Failed(error),
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
