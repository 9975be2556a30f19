//! Which mechanism a client takes of those that a server offers.

use alloc::vec::Vec;
use core::fmt;

use super::{Credentials, Mechanism};
use crate::TlsFacts;

/// Which mechanisms a client is willing to use.
///
/// ```
/// use pillarbox_core::TlsFacts;
/// use pillarbox_core::sasl::{ClientPolicy, Credentials, Mechanism};
///
/// let credentials = Credentials::plain("", "joe", "hunter2");
/// let offered = [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha256Plus];
/// let policy = ClientPolicy::default();
/// let mut tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
///
/// let choice = policy.choose(&offered, &credentials, Some(&tls)).unwrap();
/// assert_eq!(choice.mechanism(), &Mechanism::ScramSha256);
/// tls.exporter = Some([7; 32]);
/// let choice = policy.choose(&offered, &credentials, Some(&tls)).unwrap();
/// assert_eq!(choice.mechanism(), &Mechanism::ScramSha256Plus);
///
/// // Nothing that tells the password without TLS.
/// assert!(policy.choose(&[Mechanism::Plain], &credentials, None).is_none());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientPolicy {
    /// What may be used, best first. Default: everything but ANONYMOUS; what binds to the channel before what proves, and that
    /// before what tells the password.
    pub mechanisms: Vec<Mechanism>,
    /// Passwords and tokens may be told without TLS: on loopback. Default: no (RFC 4954 §4, RFC 9051 §11.1).
    pub clear_text_without_tls: bool,
}

impl Default for ClientPolicy {
    fn default() -> Self {
        ClientPolicy {
            mechanisms: [
                Mechanism::ScramSha256Plus,
                Mechanism::ScramSha1Plus,
                Mechanism::ScramSha256,
                Mechanism::ScramSha1,
                Mechanism::External,
                Mechanism::OAuthBearer,
                Mechanism::XOAuth2,
                Mechanism::Plain,
                Mechanism::Login,
            ]
            .into(),
            clear_text_without_tls: false,
        }
    }
}

impl ClientPolicy {
    /// The best mechanism of those that the server offers, that this policy has, and that the credentials and the connection
    /// fit. Give it all that the server offers: to leave one out is to change what the server is told of the offer.
    pub fn choose(&self, offered: &[Mechanism], credentials: &Credentials, tls: Option<&TlsFacts>) -> Option<Choice> {
        let exporter = tls.and_then(|tls| tls.exporter);
        let fits = |mechanism: &&Mechanism| {
            offered.contains(mechanism)
                && mechanism.carries(credentials)
                && (tls.is_some() || self.clear_text_without_tls || !mechanism.tells_secret())
                && (exporter.is_some() || !mechanism.is_plus())
                && (tls.is_some() || **mechanism != Mechanism::External)
        };
        let mechanism = self.mechanisms.iter().find(fits)?.clone();
        let channel = match exporter {
            Some(exporter) if mechanism.is_plus() => Channel::Exporter(exporter),
            // RFC 5802 §6: tells the server that nobody may have taken its PLUS out of what we saw.
            Some(_) if !offered.iter().any(Mechanism::is_plus) => Channel::NotOffered,
            _ => Channel::Unbound,
        };
        Some(Choice { mechanism, channel })
    }
}

/// A login that a client session makes (RFC 4954, RFC 9051 §6.2). If it cannot be made or is refused, nothing else is done.
///
/// ```
/// use pillarbox_core::sasl::{Credentials, Login};
///
/// let login = Login::new(Credentials::plain("", "joe", "hunter2"));
/// assert!(!format!("{login:?}").contains("hunter2"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Login {
    /// Who, and the proof.
    pub credentials: Credentials,
    /// Which mechanisms, the best one first; SCRAM needs a session that was given cryptography. What tells a secret, and LOGIN of
    /// IMAP is such, is used under TLS only, unless it is said here.
    pub policy: ClientPolicy,
}

impl Login {
    /// A login by the best mechanism that the server offers.
    pub fn new(credentials: Credentials) -> Self {
        Login { credentials, policy: ClientPolicy::default() }
    }
}

/// A mechanism, and how it is bound to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub(super) mechanism: Mechanism,
    pub(super) channel: Channel,
}

impl Choice {
    /// The mechanism.
    pub const fn mechanism(&self) -> &Mechanism {
        &self.mechanism
    }
}

/// How an exchange is bound to the connection (RFC 5802 §6).
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Channel {
    /// We cannot, or do not want to: `n`.
    Unbound,
    /// We could, but the server does not offer it: `y`.
    NotOffered,
    /// To the exporter of TLS (RFC 9266): `p`.
    Exporter([u8; 32]),
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channel::Unbound => "Unbound",
            Channel::NotOffered => "NotOffered",
            Channel::Exporter(_) => "Exporter(..)",
        })
    }
}
