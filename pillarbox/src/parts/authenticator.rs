//! Credentials to an identity.

use std::collections::HashMap;
use std::net::IpAddr;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Credentials, Mechanism, ScramKeys};
use pillarbox_core::{Random, Secret, TlsFacts};

use super::BoxFuture;
use crate::crypto::{SystemRandom, keys_of_clear_text};

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
    /// What is known about TLS, such as the certificate of EXTERNAL.
    pub tls: Option<TlsFacts>,
}

impl LoginAttempt {
    /// A try over `service` with these credentials.
    pub const fn new(
        service: &'static str,
        mechanism: Mechanism,
        credentials: Credentials,
        ip: Option<IpAddr>,
    ) -> Self {
        LoginAttempt { mechanism, credentials, ip, service, tls: None }
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

    /// Whether this can judge what the mechanism brings. Of the mechanisms in its configuration a server offers those for which
    /// this is so; it asks at the beginning of each connection. By default passwords in clear text: PLAIN and LOGIN.
    fn can_judge(&self, mechanism: &Mechanism) -> bool {
        matches!(mechanism, Mechanism::Plain | Mechanism::Login)
    }

    /// The keys of an account for SCRAM, whose proof is then checked without this; what was proved comes to
    /// [`login`](Authenticator::login) as [`Credentials::Proven`]. For an account that there is not, or that cannot log in,
    /// those of [`ScramKeys::decoy`], so that a stranger does not learn of it. An error is for our own logs: the keys cannot
    /// be told now.
    fn scram_keys<'a>(&'a self, user: &'a str, hash: HashAlgorithm) -> BoxFuture<'a, Result<ScramKeys, String>> {
        let _ = (user, hash);
        Box::pin(std::future::ready(Err("there are no SCRAM keys here".into())))
    }

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
#[derive(Debug)]
pub struct MemoryAuthenticator {
    passwords: HashMap<String, Secret<String>>,
    /// What the passwords of unknown accounts are compared with.
    nobody: Secret<String>,
    /// What salts are made of.
    secret: Secret<Vec<u8>>,
}

impl Default for MemoryAuthenticator {
    fn default() -> Self {
        let mut secret = vec![0; 32];
        SystemRandom::default().fill(&mut secret);
        MemoryAuthenticator { passwords: HashMap::new(), nobody: "nobody".into(), secret: Secret::new(secret) }
    }
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
            let known = self.passwords.get(name);
            // A stranger must not learn by the clock which accounts there are.
            let expected = known.unwrap_or(&self.nobody);
            let good = match &attempt.credentials {
                Credentials::Plain { password, .. } => expected.same_as(password.expose().as_bytes()),
                Credentials::Proven { .. } => true,
                #[cfg(feature = "cram-md5")]
                Credentials::Challenged { proof, .. } => crate::crypto::is_proved(proof, expected),
                _ => false,
            };
            match known.is_some() && good && !attempt.acts_for_another() {
                true => LoginOutcome::Accepted(Identity::new(name)),
                false => LoginOutcome::Refused,
            }
        })
    }

    fn can_judge(&self, mechanism: &Mechanism) -> bool {
        matches!(mechanism, Mechanism::Plain | Mechanism::Login)
            || mechanism.scram_hash().is_some()
            || cfg!(feature = "cram-md5") && *mechanism == Mechanism::CramMd5
    }

    fn scram_keys<'a>(&'a self, user: &'a str, hash: HashAlgorithm) -> BoxFuture<'a, Result<ScramKeys, String>> {
        let keys = keys_of_clear_text(hash, &self.secret, user, self.passwords.get(user));
        Box::pin(std::future::ready(keys.map_err(|error| error.to_string())))
    }

    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async move { Some(self.passwords.contains_key(user)) })
    }
}
