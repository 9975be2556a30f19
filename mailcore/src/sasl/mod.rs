//! Logging in: SASL exchanges of both sides (RFC 4422), without a line, a socket or a password file.
//!
//! A session decodes a client's line with [`decode_response`], shows the bytes to a [`ServerExchange`], and sends its
//! challenges encoded with [`encode`]. The exchange ends in [`Credentials`], which whoever knows the users judges, or in a
//! [`SaslError`].

mod client;
mod line;
mod server;

use alloc::string::String;
use core::fmt;

use crate::{Reply, Secret};

pub use client::ClientExchange;
pub use line::{LINE_MAX, decode_initial_response, decode_response, encode};
pub use server::{Progress, ServerExchange};

/// A SASL mechanism. The set is open: a name that this crate has no exchange for is [`Mechanism::Other`].
///
/// ```
/// use pillarbox_core::sasl::Mechanism;
///
/// assert_eq!(Mechanism::parse("plain"), Some(Mechanism::Plain));
/// assert_eq!(Mechanism::parse("XOAUTH2").unwrap().to_string(), "XOAUTH2");
/// assert_eq!(Mechanism::parse("PLAIN "), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// Identity and password in one message (RFC 4616).
    Plain,
    /// Identity and password, each asked for. Obsolete and never a standard, but what some clients still need.
    Login,
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
            _ => Mechanism::Other(name),
        })
    }

    /// The name in capitals.
    pub fn name(&self) -> &str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::Other(name) => name,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who somebody says to be, and the proof.
///
/// Names and passwords are compared as they came: no SASLprep is applied, as RFC 4616 §2 leaves it to the comparing side and
/// password files of other servers hold unprepared ones.
///
/// ```
/// use pillarbox_core::sasl::Credentials;
///
/// let credentials = Credentials::plain("", "joe", "hunter2");
/// assert_eq!(credentials.authentication_id(), "joe");
/// assert_eq!(credentials.authorization_id(), None);
/// assert!(credentials.password().unwrap().same_as(b"hunter2"));
/// assert!(!format!("{credentials:?}").contains("hunter2"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// A password in clear text: PLAIN, LOGIN, and the LOGIN command of IMAP.
    #[non_exhaustive]
    Plain {
        /// Whom to act as; empty if nobody was named, which means the same person.
        authorization_id: String,
        /// Whose password it is.
        authentication_id: String,
        /// The password.
        password: Secret<String>,
    },
}

impl Credentials {
    /// A password in clear text; `authorization_id` is empty to act as oneself.
    pub fn plain(
        authorization_id: impl Into<String>,
        authentication_id: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Credentials::Plain {
            authorization_id: authorization_id.into(),
            authentication_id: authentication_id.into(),
            password: Secret::new(password.into()),
        }
    }

    /// Whom to act as, if somebody was named. Somebody other than the
    /// [`authentication_id`](Credentials::authentication_id) needs a right to be.
    pub fn authorization_id(&self) -> Option<&str> {
        match self {
            Credentials::Plain { authorization_id, .. } => Some(&**authorization_id).filter(|id| !id.is_empty()),
        }
    }

    /// Whose proof it is.
    pub fn authentication_id(&self) -> &str {
        match self {
            Credentials::Plain { authentication_id, .. } => authentication_id,
        }
    }

    /// The password, if that is the proof.
    pub const fn password(&self) -> Option<&Secret<String>> {
        match self {
            Credentials::Plain { password, .. } => Some(password),
        }
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
            SaslError::Empty => (535, 5, 7, 8),
            SaslError::UnknownMechanism => (504, 5, 5, 4),
            SaslError::OutOfOrder => (503, 5, 5, 1),
        };
        Reply::enhanced(code, class, subject, detail, alloc::format!("{self}"))
    }
}
