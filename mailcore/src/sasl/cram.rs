//! CRAM-MD5 (RFC 2195), for servers and clients that have nothing better and cannot be changed.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::SaslError;
use crate::crypto::{Crypto, CryptoError, HashAlgorithm};
use crate::{Random, Secret, WallTime};

/// Octets of a digest.
const DIGEST_LEN: usize = HashAlgorithm::Md5.len();

/// What a server of CRAM-MD5 says first, and never twice (RFC 2195 §2): random digits, the date and the name of the server, in the
/// form of a Message-ID.
///
/// ```
/// use pillarbox_core::sasl::CramChallenge;
/// use pillarbox_core::{SeededRandom, WallTime};
///
/// // The random digits are those of a test here.
/// let challenge = CramChallenge::new("mx.example", WallTime::new(697_170_952, 0), &mut SeededRandom::new(1));
/// assert!(challenge.as_bytes().ends_with(b".697170952@mx.example>"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CramChallenge(Vec<u8>);

impl CramChallenge {
    /// A challenge of the server `hostname`. `random` is a source that nobody can foresee.
    pub fn new(hostname: &str, now: WallTime, random: &mut dyn Random) -> Self {
        let (one, two) = (random.next_u64(), random.next_u64());
        CramChallenge(alloc::format!("<{one}{two}.{}@{hostname}>", now.unix_seconds()).into_bytes())
    }

    /// What is sent, before it is encoded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The client's answer: `name SP digest`.
pub(super) fn answer(
    crypto: &dyn Crypto,
    name: &str,
    password: &Secret<String>,
    challenge: &[u8],
) -> Result<Vec<u8>, SaslError> {
    let digest = crypto.hmac(HashAlgorithm::Md5, password.expose().as_bytes(), challenge)?;
    let mut answer = alloc::format!("{name} ");
    for octet in digest {
        answer.push_str(&alloc::format!("{octet:02x}"));
    }
    Ok(answer.into_bytes())
}

/// Reads the client's answer to this challenge.
pub(super) fn parse(challenge: Vec<u8>, answer: &[u8]) -> Result<(String, Challenged), SaslError> {
    let answer = core::str::from_utf8(answer).map_err(|_| SaslError::InvalidUtf8)?;
    // A name may hold spaces, a digest none.
    let (name, digits) = answer.rsplit_once(' ').ok_or(SaslError::Malformed)?;
    if name.is_empty() {
        return Err(SaslError::Empty);
    }
    if name.contains('\0') || digits.len() != 2 * DIGEST_LEN {
        return Err(SaslError::Malformed);
    }
    let mut digest = Vec::with_capacity(DIGEST_LEN);
    for pair in digits.as_bytes().chunks_exact(2) {
        // RFC 2195 §2: small letters.
        let digit = |octet: u8| match octet {
            b'0'..=b'9' => Ok(octet - b'0'),
            b'a'..=b'f' => Ok(octet - b'a' + 10),
            _ => Err(SaslError::Malformed),
        };
        digest.push((digit(pair[0])? << 4) | digit(pair[1])?);
    }
    Ok((name.into(), Challenged { challenge, digest: Secret::new(digest) }))
}

/// A challenge of ours, and what a client made of it with its password.
#[derive(Clone)]
pub struct Challenged {
    challenge: Vec<u8>,
    digest: Secret<Vec<u8>>,
}

impl Challenged {
    /// Whether the client knows this password. Takes the same time for a wrong one.
    ///
    /// # Errors
    ///
    /// [`CryptoError::Unsupported`] if there is no MD5.
    pub fn is_proof_of(&self, crypto: &dyn Crypto, password: &Secret<String>) -> Result<bool, CryptoError> {
        let expected = crypto.hmac(HashAlgorithm::Md5, password.expose().as_bytes(), &self.challenge)?;
        Ok(self.digest.same_as(&expected))
    }
}

// The password can be guessed from both.
impl fmt::Debug for Challenged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenged(..)")
    }
}

/// The client's side: one answer to one challenge.
#[derive(Clone)]
pub(super) struct Client(pub(super) Arc<dyn Crypto>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ClientExchange, ClientPolicy, Credentials, Mechanism, Progress, ServerExchange};
    use super::*;
    use crate::SeededRandom;
    use md5::{Digest as _, Md5};

    #[derive(Debug)]
    struct Md5Only;

    impl Crypto for Md5Only {
        fn digest(&self, hash: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
            assert_eq!(hash, HashAlgorithm::Md5);
            Ok(Md5::digest(data).to_vec())
        }

        fn hmac(&self, hash: HashAlgorithm, key: &[u8], data: &[u8]) -> Result<Vec<u8>, CryptoError> {
            assert!(key.len() <= 64);
            let padded = |pad: u8| (0..64).map(|at| key.get(at).unwrap_or(&0) ^ pad).collect::<Vec<u8>>();
            let inner = self.digest(hash, &[padded(0x36), data.to_vec()].concat())?;
            self.digest(hash, &[padded(0x5c), inner].concat())
        }

        fn pbkdf2(
            &self,
            _: HashAlgorithm,
            _: core::num::NonZeroU32,
            _: &[u8],
            _: &[u8],
        ) -> Result<Vec<u8>, CryptoError> {
            Err(CryptoError::Unsupported)
        }
    }

    /// The example of RFC 2195 §2.
    const CHALLENGE: &[u8] = b"<1896.697170952@postoffice.reston.mci.net>";
    const ANSWER: &[u8] = b"tim b913a602c7eda7a495b4e6e7334d3890";

    fn client(policy: &ClientPolicy) -> Option<ClientExchange> {
        let credentials = Credentials::plain("", "tim", "tanstaaftanstaaf");
        let choice = policy.choose(&[Mechanism::CramMd5], &credentials, None)?;
        let random = &mut SeededRandom::new(1);
        Some(ClientExchange::with_crypto(&choice, credentials, Arc::new(Md5Only), random).unwrap())
    }

    fn willing() -> ClientPolicy {
        let mut policy = ClientPolicy::default();
        policy.mechanisms.push(Mechanism::CramMd5);
        policy
    }

    #[test]
    fn it_is_off_unless_somebody_wants_it() {
        assert!(client(&ClientPolicy::default()).is_none());
        // A server without a challenge has none either.
        assert!(!Mechanism::CramMd5.is_possible(None));
        assert_eq!(ServerExchange::new(&Mechanism::CramMd5).unwrap_err(), SaslError::UnknownMechanism);
        assert!(ServerExchange::among(&[Mechanism::CramMd5], &Mechanism::CramMd5, None).is_err());
    }

    #[test]
    fn a_client_says_what_the_example_says() {
        let mut client = client(&willing()).unwrap();
        assert!(client.initial_response().is_none());
        assert_eq!(client.finish(), Err(SaslError::OutOfOrder));
        assert_eq!(client.respond(CHALLENGE).unwrap().expose(), ANSWER);
        assert_eq!(client.finish(), Ok(()));
        // A second challenge would be a second digest to guess from.
        assert_eq!(client.respond(CHALLENGE).unwrap_err(), SaslError::OutOfOrder);
    }

    #[test]
    fn a_challenge_that_is_none() {
        assert_eq!(client(&willing()).unwrap().respond(b"").unwrap_err(), SaslError::Malformed);
    }

    #[test]
    fn both_sides_agree() {
        let begin = |seed| {
            let date = WallTime::new(697_170_952, 0);
            let challenge = CramChallenge::new("own.example", date, &mut SeededRandom::new(seed));
            let mut server = ServerExchange::cram_md5(challenge);
            let Progress::Challenge(challenge) = server.start(None) else { panic!("challenge") };
            (server, challenge)
        };
        let (mut server, challenge) = begin(1);
        assert!(challenge.starts_with(b"<") && challenge.ends_with(b".697170952@own.example>"));
        assert_ne!(challenge, begin(2).1);
        let answer = client(&willing()).unwrap().respond(&challenge).unwrap();
        let Progress::Credentials(Credentials::Challenged { authentication_id, proof, .. }) =
            server.respond(answer.expose())
        else {
            panic!("credentials")
        };
        assert_eq!(authentication_id, "tim");
        assert_eq!(proof.is_proof_of(&Md5Only, &"tanstaaftanstaaf".into()), Ok(true));
        assert_eq!(proof.is_proof_of(&Md5Only, &"tanstaaf".into()), Ok(false));
        assert_eq!(alloc::format!("{proof:?}"), "Challenged(..)");
        // What was overheard of another exchange proves nothing.
        let (mut server, _) = begin(2);
        let Progress::Credentials(Credentials::Challenged { proof, .. }) = server.respond(answer.expose()) else {
            panic!("credentials")
        };
        assert_eq!(proof.is_proof_of(&Md5Only, &"tanstaaftanstaaf".into()), Ok(false));
    }

    #[test]
    fn malformed_answers() {
        for (answer, error) in [
            (&b""[..], SaslError::Malformed),
            (b"tim", SaslError::Malformed),
            (b" b913a602c7eda7a495b4e6e7334d3890", SaslError::Empty),
            (b"tim b913a602c7eda7a495b4e6e7334d389", SaslError::Malformed),
            (b"tim b913a602c7eda7a495b4e6e7334d38900", SaslError::Malformed),
            (b"tim B913A602C7EDA7A495B4E6E7334D3890", SaslError::Malformed),
            (b"t\0m b913a602c7eda7a495b4e6e7334d3890", SaslError::Malformed),
            (b"t\xffm b913a602c7eda7a495b4e6e7334d3890", SaslError::InvalidUtf8),
            (
                "tim \u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"
                    .as_bytes(),
                SaslError::Malformed,
            ),
        ] {
            assert_eq!(parse(Vec::new(), answer).unwrap_err(), error, "{}", answer.escape_ascii());
        }
        let (name, _) = parse(Vec::new(), b"t i m b913a602c7eda7a495b4e6e7334d3890").unwrap();
        assert_eq!(name, "t i m");
    }

    #[test]
    fn an_initial_response_is_none() {
        let challenge = CramChallenge::new("own.example", WallTime::new(0, 0), &mut SeededRandom::new(1));
        let mut server = ServerExchange::cram_md5(challenge);
        let Progress::Failed(error) = server.start(Some(ANSWER)) else { panic!("nothing was asked yet") };
        assert_eq!(error, SaslError::OutOfOrder);
    }
}
