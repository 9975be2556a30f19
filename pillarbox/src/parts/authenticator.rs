//! Credentials to an identity.

use std::collections::HashMap;
use std::net::IpAddr;

use pillarbox_core::Secret;
use pillarbox_core::sasl::{Credentials, Mechanism};

use super::BoxFuture;

/// Who someone is once the credentials were good: the account's own spelling of its name, such as `you@localhost`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(String);

impl Identity {
    /// An identity by its account name.
    pub fn new(user: impl Into<String>) -> Self {
        Identity(user.into())
    }

    /// The account name.
    pub fn user(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One try to log in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoginAttempt {
    /// The mechanism that carried the credentials.
    pub mechanism: Mechanism,
    /// The credentials.
    pub credentials: Credentials,
    /// Where the client is; `None` on a unix socket.
    pub ip: Option<IpAddr>,
    /// The protocol: `smtp`, `submission`, `imap`.
    pub service: &'static str,
}

impl LoginAttempt {
    /// A try over `service` with these credentials.
    pub const fn new(
        service: &'static str,
        mechanism: Mechanism,
        credentials: Credentials,
        ip: Option<IpAddr>,
    ) -> Self {
        LoginAttempt { mechanism, credentials, ip, service }
    }

    /// Whether the client wants to act for somebody else than the one whose proof it shows (RFC 4616 §2). Refuse that
    /// unless there is a right to it.
    pub fn acts_for_another(&self) -> bool {
        self.credentials.authorization_id().is_some_and(|id| id != self.credentials.authentication_id())
    }
}

/// What came of a try to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginOutcome {
    /// Good.
    Accepted(Identity),
    /// Not good. A stranger never learns whether the account or the password was wrong.
    Refused,
    /// It cannot be told now (the account database is away). The text is for our own logs.
    TryLater(String),
}

/// Credentials to an identity.
pub trait Authenticator: Send + Sync {
    /// Checks credentials. Takes the same time for unknown accounts as for wrong passwords.
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome>;

    /// Whether there is such an account. `None`: it cannot be told now.
    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>>;
}

/// Accounts in memory, for tests and first tries.
///
/// ```
/// use pillarbox::parts::MemoryAuthenticator;
///
/// let accounts = MemoryAuthenticator::new().with("you@localhost", "secret");
/// ```
#[derive(Debug, Default)]
pub struct MemoryAuthenticator {
    passwords: HashMap<String, Secret<String>>,
}

impl MemoryAuthenticator {
    /// No accounts.
    pub fn new() -> Self {
        MemoryAuthenticator::default()
    }

    /// One more account with its password.
    #[must_use]
    pub fn with(mut self, user: &str, password: &str) -> Self {
        self.passwords.insert(user.into(), password.into());
        self
    }
}

impl Authenticator for MemoryAuthenticator {
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        Box::pin(async move {
            let name = attempt.credentials.authentication_id();
            let known = self.passwords.get(name).zip(attempt.credentials.password());
            match known {
                Some((known, given)) if known.same_as(given.expose().as_bytes()) && !attempt.acts_for_another() => {
                    LoginOutcome::Accepted(Identity::new(name))
                }
                _ => LoginOutcome::Refused,
            }
        })
    }

    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async move { Some(self.passwords.contains_key(user)) })
    }
}
