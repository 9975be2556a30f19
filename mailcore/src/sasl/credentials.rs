//! What an exchange comes to, and what a client brings to one.

use alloc::string::String;

use super::Challenged;
use crate::Secret;

/// Who somebody says to be, and the proof.
///
/// Names and passwords in clear text are given as they came: no SASLprep is applied, as RFC 4616 §2 leaves it to the comparing
/// side and password files of other servers hold unprepared ones. The names of [`Proven`](Credentials::Proven) are prepared.
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
    /// A password in clear text: PLAIN, LOGIN, and the LOGIN command of IMAP. A client proves the same with SCRAM.
    #[non_exhaustive]
    Plain {
        /// Whom to act as; empty if nobody was named, which means the same person.
        authorization_id: String,
        /// Whose password it is.
        authentication_id: String,
        /// The password.
        password: Secret<String>,
    },
    /// The exchange itself has proved whose keys they are: SCRAM. Only a server sees these.
    #[non_exhaustive]
    Proven {
        /// Whom to act as; empty if nobody was named, which means the same person.
        authorization_id: String,
        /// Who it is.
        authentication_id: String,
    },
    /// A digest that takes the password to be judged: CRAM-MD5 (RFC 2195). Only a server sees these.
    #[non_exhaustive]
    Challenged {
        /// Who the client says to be.
        authentication_id: String,
        /// What it made of the challenge.
        proof: Challenged,
    },
    /// A token that somebody else gave out: OAUTHBEARER (RFC 7628) and XOAUTH2. Whose it is stands in the token.
    #[non_exhaustive]
    Bearer {
        /// Whom to act as; empty if nobody was named, which means the token's owner.
        authorization_id: String,
        /// The token, not checked in any way.
        token: Secret<String>,
        /// The host that the client means to speak with.
        host: Option<String>,
        /// The port that the client means to speak with.
        port: Option<u16>,
    },
    /// What was shown outside of the exchange, such as the certificate in [`TlsFacts`](crate::TlsFacts): EXTERNAL (RFC 4422
    /// appendix A).
    #[non_exhaustive]
    External {
        /// Whom to act as; empty if nobody was named, which means whoever the certificate names.
        authorization_id: String,
    },
    /// Nobody: ANONYMOUS (RFC 4505).
    #[non_exhaustive]
    Anonymous {
        /// What the visitor says about itself, such as an address; for logs.
        trace: String,
    },
}

impl Credentials {
    /// A password; `authorization_id` is empty to act as oneself.
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

    /// What a server's exchange proved; for tests of whoever judges credentials.
    pub fn proven(authorization_id: impl Into<String>, authentication_id: impl Into<String>) -> Self {
        Credentials::Proven { authorization_id: authorization_id.into(), authentication_id: authentication_id.into() }
    }

    /// A token; `authorization_id` is empty to act as its owner, which XOAUTH2 cannot.
    pub fn bearer(authorization_id: impl Into<String>, token: impl Into<String>) -> Self {
        Credentials::Bearer {
            authorization_id: authorization_id.into(),
            token: Secret::new(token.into()),
            host: None,
            port: None,
        }
    }

    /// The certificate of the TLS connection; `authorization_id` is empty to act as whom it names.
    pub fn external(authorization_id: impl Into<String>) -> Self {
        Credentials::External { authorization_id: authorization_id.into() }
    }

    /// A visitor.
    pub fn anonymous(trace: impl Into<String>) -> Self {
        Credentials::Anonymous { trace: trace.into() }
    }

    /// Whom to act as, if somebody was named. Somebody other than the
    /// [`authentication_id`](Credentials::authentication_id) needs a right to be.
    pub fn authorization_id(&self) -> Option<&str> {
        let id = match self {
            Credentials::Plain { authorization_id, .. }
            | Credentials::Proven { authorization_id, .. }
            | Credentials::Bearer { authorization_id, .. }
            | Credentials::External { authorization_id } => authorization_id,
            Credentials::Challenged { .. } | Credentials::Anonymous { .. } => "",
        };
        Some(id).filter(|id| !id.is_empty())
    }

    /// Whose proof it is; empty where the proof itself tells that: a token, a certificate, a visitor's none.
    pub fn authentication_id(&self) -> &str {
        match self {
            Credentials::Plain { authentication_id, .. }
            | Credentials::Proven { authentication_id, .. }
            | Credentials::Challenged { authentication_id, .. } => authentication_id,
            Credentials::Bearer { .. } | Credentials::External { .. } | Credentials::Anonymous { .. } => "",
        }
    }

    /// The password, if that is the proof.
    pub const fn password(&self) -> Option<&Secret<String>> {
        match self {
            Credentials::Plain { password, .. } => Some(password),
            _ => None,
        }
    }
}
