//! Logging in: SASL exchanges of both sides (RFC 4422), without a line, a socket or a password file.
//!
//! A session decodes a client's line with [`decode_response`], shows the bytes to a [`ServerExchange`], and sends its
//! challenges encoded with [`encode`]. The exchange ends in [`Credentials`], which whoever knows the users judges, or in a
//! [`SaslError`].
//!
//! | mechanism | what the other side learns | ends in |
//! |---|---|---|
//! | SCRAM-SHA-256, SCRAM-SHA-1 (RFC 7677, RFC 5802) | that both know the password, not what it is | [`Credentials::Proven`] |
//! | the same with -PLUS (RFC 9266) | and that both speak over the same TLS connection | [`Credentials::Proven`] |
//! | PLAIN (RFC 4616), LOGIN | the password | [`Credentials::Plain`] |
//! | OAUTHBEARER (RFC 7628), XOAUTH2 | a token | [`Credentials::Bearer`] |
//! | EXTERNAL (RFC 4422 appendix A) | nothing that TLS did not tell | [`Credentials::External`] |
//! | ANONYMOUS (RFC 4505) | nothing; for tests | [`Credentials::Anonymous`] |
//! | CRAM-MD5 (RFC 2195) | that the client knows the password; off by default | [`Credentials::Challenged`] |
//!
//! CRAM-MD5 needs the password itself on the server, and proves nothing of the server; it is there for what cannot be
//! changed, and used by no policy that does not name it. There is no DIGEST-MD5 (RFC 6331).

mod choice;
mod client;
mod cram;
mod credentials;
mod line;
mod prep;
mod scram;
mod server;
mod simple;

use alloc::string::String;
use core::fmt;

use crate::crypto::{CryptoError, HashAlgorithm};
use crate::{Reply, TlsFacts};

pub use choice::{Choice, ClientPolicy, Login};
pub use client::{ClientExchange, ITERATIONS_MAX, ITERATIONS_MIN};
pub use cram::{Challenged, CramChallenge};
pub use credentials::Credentials;
pub use line::{LINE_MAX, decode_initial_response, decode_response, encode, encode_initial_response};
pub use prep::prepare;
pub use scram::{ScramAnswer, ScramKeys};
pub use server::{Progress, ServerExchange};

/// A SASL mechanism. The set is open: a name that this crate has no exchange for is [`Mechanism::Other`].
///
/// ```
/// use pillarbox_core::sasl::Mechanism;
///
/// assert_eq!(Mechanism::parse("plain"), Some(Mechanism::Plain));
/// assert_eq!(Mechanism::parse("Gssapi").unwrap().to_string(), "GSSAPI");
/// assert_eq!(Mechanism::parse("PLAIN "), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// Identity and password in one message (RFC 4616).
    Plain,
    /// Identity and password, each asked for. Obsolete and never a standard, but what some clients still need.
    Login,
    /// A proof of the password, with SHA-1 (RFC 5802).
    ScramSha1,
    /// The same, bound to the TLS connection (RFC 9266).
    ScramSha1Plus,
    /// A proof of the password, with SHA-256 (RFC 7677).
    ScramSha256,
    /// The same, bound to the TLS connection (RFC 9266).
    ScramSha256Plus,
    /// A digest of the password and a challenge (RFC 2195). Off by default: whoever hears it can guess the password, and a
    /// server proves nothing.
    CramMd5,
    /// What TLS has proved (RFC 4422 appendix A).
    External,
    /// A token of OAuth 2.0 (RFC 7628).
    OAuthBearer,
    /// The same, in the older form that some providers have instead.
    XOAuth2,
    /// A visitor (RFC 4505).
    Anonymous,
    /// Any other, by its name in capitals.
    Other(String),
}

impl Mechanism {
    /// The longest name that is read. RFC 4422 §3.1 allows 20 octets; longer ones are kept so that they can be refused by
    /// name.
    pub const NAME_MAX: usize = 64;

    /// Reads the name of a mechanism in any case. `None` if it is none: empty, longer than
    /// [`NAME_MAX`](Mechanism::NAME_MAX), or with other octets than RFC 4422 §3.1 has.
    pub fn parse(name: &str) -> Option<Self> {
        let valid = (1..=Self::NAME_MAX).contains(&name.len())
            && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'));
        let name = valid.then(|| name.to_ascii_uppercase())?;
        Some(match &*name {
            "PLAIN" => Mechanism::Plain,
            "LOGIN" => Mechanism::Login,
            "SCRAM-SHA-1" => Mechanism::ScramSha1,
            "SCRAM-SHA-1-PLUS" => Mechanism::ScramSha1Plus,
            "SCRAM-SHA-256" => Mechanism::ScramSha256,
            "SCRAM-SHA-256-PLUS" => Mechanism::ScramSha256Plus,
            "CRAM-MD5" => Mechanism::CramMd5,
            "EXTERNAL" => Mechanism::External,
            "OAUTHBEARER" => Mechanism::OAuthBearer,
            "XOAUTH2" => Mechanism::XOAuth2,
            "ANONYMOUS" => Mechanism::Anonymous,
            _ => Mechanism::Other(name),
        })
    }

    /// The name in capitals.
    pub fn name(&self) -> &str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::External => "EXTERNAL",
            Mechanism::OAuthBearer => "OAUTHBEARER",
            Mechanism::XOAuth2 => "XOAUTH2",
            Mechanism::Anonymous => "ANONYMOUS",
            Mechanism::Other(name) => name,
        }
    }

    /// Whether it is a form of SCRAM that is bound to the TLS connection.
    pub const fn is_plus(&self) -> bool {
        matches!(self, Mechanism::ScramSha1Plus | Mechanism::ScramSha256Plus)
    }

    /// The hash of SCRAM, if it is that.
    pub const fn scram_hash(&self) -> Option<HashAlgorithm> {
        match self {
            Mechanism::ScramSha1 | Mechanism::ScramSha1Plus => Some(HashAlgorithm::Sha1),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => Some(HashAlgorithm::Sha256),
            _ => None,
        }
    }

    /// Whether an exchange of it takes a [`Crypto`](crate::crypto::Crypto).
    pub const fn needs_crypto(&self) -> bool {
        self.scram_hash().is_some() || matches!(self, Mechanism::CramMd5)
    }

    /// Whether it tells the other side something that can be used again: a password, a token. Such a mechanism belongs under
    /// TLS.
    pub const fn tells_secret(&self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::Login | Mechanism::OAuthBearer | Mechanism::XOAuth2)
    }

    /// Whether a server can serve it here: there is an exchange that needs nothing but what TLS has, an exporter for a PLUS
    /// and the client's certificate for EXTERNAL. (CRAM-MD5 needs a challenge, for which there is
    /// [`ServerExchange::cram_md5`].)
    pub fn is_possible(&self, tls: Option<&TlsFacts>) -> bool {
        match self {
            Mechanism::CramMd5 | Mechanism::Other(_) => false,
            Mechanism::External => tls.is_some_and(|tls| tls.peer_certificate.is_some()),
            _ => !self.is_plus() || tls.is_some_and(|tls| tls.exporter.is_some()),
        }
    }

    /// Whether a client can show these credentials by it.
    fn carries(&self, credentials: &Credentials) -> bool {
        match credentials {
            Credentials::Plain { authorization_id, .. } => match self {
                Mechanism::Plain => true,
                Mechanism::Login | Mechanism::CramMd5 => authorization_id.is_empty(),
                _ => self.scram_hash().is_some(),
            },
            Credentials::Bearer { authorization_id, .. } => match self {
                Mechanism::OAuthBearer => true,
                _ => *self == Mechanism::XOAuth2 && !authorization_id.is_empty(),
            },
            Credentials::External { .. } => *self == Mechanism::External,
            Credentials::Anonymous { .. } => *self == Mechanism::Anonymous,
            Credentials::Proven { .. } | Credentials::Challenged { .. } => false,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an exchange ended without credentials: the peer's fault, or its wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// The client gave up with `*`.
    #[error("authentication cancelled")]
    Cancelled,
    /// The line is no base64 (RFC 4648 §4), or not padded as it should be.
    #[error("cannot decode the response")]
    BadBase64,
    /// The line is longer than [`LINE_MAX`].
    #[error("authentication exchange line is too long")]
    TooLong,
    /// The message is not of the form that the mechanism has.
    #[error("malformed authentication message")]
    Malformed,
    /// A part that must be UTF-8 is not.
    #[error("authentication message is not UTF-8")]
    InvalidUtf8,
    /// The identity or the password is empty.
    #[error("empty identity or password")]
    Empty,
    /// There is no exchange for the mechanism here.
    #[error("unrecognized authentication type")]
    UnknownMechanism,
    /// A message came after the exchange had ended, or was not asked for.
    #[error("authentication message out of order")]
    OutOfOrder,
    /// A name or a password has no form that can be compared (RFC 4013): it holds characters that nobody can see, or mixes
    /// the directions of writing.
    #[error("the name or the password holds forbidden characters")]
    Unprepared,
    /// The exchange is bound to another connection, or to none where it has to be: somebody may stand between the two sides
    /// (RFC 5802 §6).
    #[error("the channel binding does not fit")]
    ChannelBinding,
    /// A client's finding: the server wants fewer iterations than [`ITERATIONS_MIN`] or more than [`ITERATIONS_MAX`].
    #[error("the number of iterations is out of range")]
    Iterations,
    /// A client's finding: the server refuses the proof.
    #[error("the server refused the proof")]
    Denied,
    /// A client's finding: the server does not know the keys itself. It may be somebody else.
    #[error("the server did not prove who it is")]
    ServerProof,
    /// There is no such hash here.
    #[error("the hash is not supported here")]
    Unsupported,
}

impl From<CryptoError> for SaslError {
    fn from(_: CryptoError) -> Self {
        SaslError::Unsupported
    }
}

impl SaslError {
    /// The reply that SMTP and LMTP give (RFC 4954 §4 and §6).
    ///
    /// ```
    /// use pillarbox_core::sasl::SaslError;
    ///
    /// assert_eq!(SaslError::BadBase64.reply().to_string(), "501 5.5.2 cannot decode the response");
    /// ```
    pub fn reply(self) -> Reply {
        let (code, class, subject, detail) = match self {
            SaslError::Cancelled => (501, 5, 7, 0),
            SaslError::BadBase64 | SaslError::Malformed | SaslError::InvalidUtf8 => (501, 5, 5, 2),
            SaslError::TooLong => (500, 5, 5, 6),
            SaslError::Empty
            | SaslError::Unprepared
            | SaslError::ChannelBinding
            | SaslError::Iterations
            | SaslError::Denied
            | SaslError::ServerProof => (535, 5, 7, 8),
            SaslError::Unsupported => (454, 4, 7, 0),
            SaslError::UnknownMechanism => (504, 5, 5, 4),
            SaslError::OutOfOrder => (503, 5, 5, 1),
        };
        Reply::enhanced(code, class, subject, detail, alloc::format!("{self}"))
    }
}
