//! Accounts in a passwd-file, as Dovecot's `passdb passwd-file` reads them.
//!
//! One account per line: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra`. Everything behind the hash may be left out and
//! is not used here; lines that are empty or begin with `#` are passed over. The user may hold `@`. An account whose
//! password is empty, or that has the extra field `nologin`, cannot log in. Extra fields that begin with `userdb_` can be asked for.
//!
//! | scheme | how it is made |
//! |---|---|
//! | `{ARGON2ID}` | [`hash`], or `doveadm pw -s ARGON2ID` |
//! | `{BLF-CRYPT}` | `doveadm pw -s BLF-CRYPT` |
//! | `{SHA512-CRYPT}` | `doveadm pw -s SHA512-CRYPT`, `mkpasswd -m sha-512` |
//! | `{SCRAM-SHA-256}`, `{SCRAM-SHA-1}` | `doveadm pw -s SCRAM-SHA-256` |
//! | `{PLAIN}` | the password itself: for tests |
//!
//! SCRAM is offered for a hash if every account that can log in has keys for it, or its password in clear text; a client takes
//! the best that is on offer, and the others could not log in any more. An account with SCRAM keys can log in with PLAIN too.
//! CRAM-MD5 (feature `cram-md5`) needs the passwords of all accounts in clear text.

mod parse;
mod scheme;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{Credentials, Mechanism, ScramKeys};
use pillarbox_core::{Random, Secret};
use tokio::sync::Semaphore;

pub use parse::{ParseError, ParseFault};
use scheme::Hash;
pub use scheme::{HashError, hash};

use crate::crypto::{RingCrypto, SystemRandom, keys_of_clear_text};
use crate::parts::{Authenticator, BoxFuture, Identity, LoginAttempt, LoginOutcome};

/// Passwords that are checked at the same time. A hash of Argon2 takes 64 MiB, so this is a limit on memory: 256 MiB.
const CHECKS_MAX: usize = 4;
/// Logins that may wait for their check. More are told to try later: the wait would outlast the clients' patience.
const WAITING_MAX: usize = 1000;

/// Accounts in a passwd-file.
///
/// A file is read again when it changes. While its new content has an error the accounts of the old one stay, and
/// [`error`](PasswdFile::error) tells why.
///
/// Names are compared without regard to the case of ASCII letters. Checking takes as long for a name that does not exist as
/// for a wrong password.
///
/// ```
/// use pillarbox::passwd::PasswdFile;
///
/// let accounts = PasswdFile::parse("# staff\njoe@example.org:{PLAIN}hunter2::::::\n")?;
/// assert!(accounts.users().eq(["joe@example.org"]));
///
/// let wrong = PasswdFile::parse("joe:{ROT13}uhagre2\n").unwrap_err();
/// assert_eq!(wrong.to_string(), "line 1, column 5: there is no password scheme ROT13 here");
/// # Ok::<(), pillarbox::passwd::ParseError>(())
/// ```
#[derive(Debug)]
pub struct PasswdFile {
    source: Option<PathBuf>,
    state: Mutex<State>,
    checks: Arc<Semaphore>,
    /// What the salts are made of that are not kept: of names that there are not, and of passwords in clear text. Nothing of
    /// the file: everybody may ask for salts, and could try passwords on what they are made of.
    salt_secret: Secret<Vec<u8>>,
    /// What each check cost, for tests.
    #[cfg(test)]
    costs: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct State {
    accounts: Arc<Accounts>,
    /// How often the accounts were read.
    edition: u64,
    /// What the file looked like when it was last read.
    stamp: Option<Stamp>,
    error: Option<LoadError>,
}

/// The accounts of a file, by name in small letters.
#[derive(Debug, Default)]
struct Accounts {
    by_name: HashMap<String, Account>,
    /// In the order of the file.
    names: Vec<String>,
    /// What is checked in place of an account that there is not: the hash of one that there is, of the commonest scheme.
    decoy: Option<Arc<Hash>>,
    /// The hashes for which every account that can log in has SCRAM keys.
    scram_hashes: Vec<HashAlgorithm>,
    /// Whether there are accounts, and the passwords of all are kept in clear text.
    in_clear_text: bool,
}

#[derive(Debug)]
struct Account {
    /// The name as the file spells it.
    name: String,
    /// None: nobody logs in.
    hash: Option<Arc<Hash>>,
    /// The extra fields that begin with `userdb_`, without that, in their order.
    user_fields: Vec<(String, String)>,
}

/// What tells that a file changed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    /// A file that was replaced by renaming another one over it has a new number.
    inode: u64,
}

/// Why a passwd-file cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It cannot be read.
    #[error("{path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// It holds something that is no account.
    #[error("{path}: {error}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What and where.
        error: ParseError,
    },
}

impl PasswdFile {
    /// Reads a file, and reads it again whenever it has changed.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if it cannot be read or holds something that is no account.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, LoadError> {
        let path = path.into();
        let (accounts, stamp) = read(&path)?;
        Ok(PasswdFile::new(Some(path), accounts, Some(stamp)))
    }

    /// Accounts from a text in the form of a file.
    ///
    /// # Errors
    ///
    /// [`ParseError`] with the line and column of the first thing that is no account.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(PasswdFile::new(None, parse::accounts(text)?, None))
    }

    fn new(source: Option<PathBuf>, accounts: Accounts, stamp: Option<Stamp>) -> Self {
        let mut salt_secret = vec![0; 32];
        SystemRandom::default().fill(&mut salt_secret);
        PasswdFile {
            salt_secret: Secret::new(salt_secret),
            source,
            state: Mutex::new(State { accounts: Arc::new(accounts), edition: 1, stamp, error: None }),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            #[cfg(test)]
            costs: Mutex::default(),
        }
    }

    /// Sets what SCRAM's salts for unknown names are made of: 32 random octets that you keep. By default they are other ones
    /// with each start, and a stranger who asks before and after a restart learns which names there are.
    #[must_use]
    pub fn with_salt_secret(mut self, secret: Secret<Vec<u8>>) -> Self {
        self.salt_secret = secret;
        self
    }

    /// The names of the accounts as the file spells them, in its order.
    pub fn users(&self) -> impl Iterator<Item = String> + use<> {
        let accounts = self.accounts();
        (0..accounts.names.len()).map(move |index| accounts.names[index].clone())
    }

    /// The extra fields of an account that begin with `userdb_`, as Dovecot has them, without that and in their order; none for a
    /// name that there is not. They are for whoever keeps the mail, and mean nothing here.
    ///
    /// ```
    /// use pillarbox::passwd::PasswdFile;
    ///
    /// let accounts = PasswdFile::parse("joe:{PLAIN}x::::::userdb_quota_rule=*:storage=1G\n")?;
    /// assert_eq!(accounts.user_fields("Joe"), [("quota_rule".to_owned(), "*:storage=1G".to_owned())]);
    /// # Ok::<(), pillarbox::passwd::ParseError>(())
    /// ```
    pub fn user_fields(&self, user: &str) -> Vec<(String, String)> {
        let accounts = self.accounts();
        let account = accounts.by_name.get(&user.to_ascii_lowercase());
        account.map(|account| account.user_fields.clone()).unwrap_or_default()
    }

    /// How often the accounts were read: a greater number than before means that they may be others, for whoever keeps something that was
    /// made of them.
    pub fn edition(&self) -> u64 {
        self.accounts();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).edition
    }

    /// Why the file's present content is not in use, if it is not.
    pub fn error(&self) -> Option<LoadError> {
        self.accounts();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).error.clone()
    }

    /// The accounts of the file as it is now.
    fn accounts(&self) -> Arc<Accounts> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.source {
            let found = stamp(path);
            if found.is_err() || found.as_ref().ok() != state.stamp.as_ref() {
                match read(path) {
                    Ok((accounts, stamp)) => {
                        let edition = state.edition + 1;
                        *state = State { accounts: Arc::new(accounts), edition, stamp: Some(stamp), error: None };
                    }
                    Err(error) => {
                        // The same wrong content is not parsed again for every login.
                        state.stamp = found.ok();
                        state.error = Some(error);
                    }
                }
            }
        }
        Arc::clone(&state.accounts)
    }

    async fn check(&self, attempt: &LoginAttempt) -> LoginOutcome {
        let name = attempt.credentials.authentication_id();
        let accounts = self.accounts();
        let account = accounts.by_name.get(&name.to_ascii_lowercase());
        let known = account.and_then(|account| account.hash.clone());
        let check: Box<dyn FnOnce(&Hash) -> bool + Send> = match (&attempt.credentials, account) {
            (Credentials::Plain { password, .. }, _) => {
                let password = Secret::clone(password);
                Box::new(move |hash| hash.matches(&password))
            }
            #[cfg(feature = "cram-md5")]
            (Credentials::Challenged { proof, .. }, _) => {
                let proof = proof.clone();
                Box::new(move |hash| hash.is_proved_by(&proof))
            }
            // The keys were ours.
            (Credentials::Proven { .. }, Some(account)) if known.is_some() && !attempt.acts_for_another() => {
                return LoginOutcome::Accepted(Identity::new(account.name.clone()));
            }
            _ => return LoginOutcome::Refused,
        };
        let may_pass = known.is_some() && !attempt.acts_for_another();
        // A stranger must not learn by the clock which accounts there are.
        let Some(hash) = known.or_else(|| accounts.decoy.clone()) else { return LoginOutcome::Refused };
        #[cfg(test)]
        self.costs.lock().unwrap().push(hash.cost().to_owned());
        match (self.compute(move || check(&hash)).await, account) {
            (Ok(true), Some(account)) if may_pass => LoginOutcome::Accepted(Identity::new(account.name.clone())),
            (Ok(_), _) => LoginOutcome::Refused,
            (Err(cause), _) => LoginOutcome::TryLater(cause),
        }
    }

    /// Computes something that takes long, when its turn has come.
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        // Whoever waits or checks holds a clone.
        if Arc::strong_count(&self.checks) > WAITING_MAX {
            return Err("too many logins wait for their password check".into());
        }
        let permit = Arc::clone(&self.checks).acquire_owned().await.map_err(|error| error.to_string())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(|error| error.to_string())
    }

    async fn keys(&self, user: &str, algorithm: HashAlgorithm) -> Result<ScramKeys, String> {
        let accounts = self.accounts();
        let name = user.to_ascii_lowercase();
        let known = accounts.by_name.get(&name).and_then(|account| account.hash.clone());
        let known = known.filter(|hash| hash.has_scram_keys(algorithm));
        let secret = self.salt_secret.clone();
        // A stranger must learn neither by the clock nor by what is said which accounts there are.
        match known.as_deref().or(accounts.decoy.as_deref()) {
            Some(Hash::Scram { keys, .. }) => {
                let (iterations, salt_len) = (keys.iterations(), keys.salt().len());
                let decoy = ScramKeys::decoy(&RingCrypto, algorithm, iterations, salt_len, &secret, &name);
                match known.as_deref() {
                    Some(Hash::Scram { keys, .. }) => Ok(keys.clone()),
                    _ => decoy.map_err(|error| error.to_string()),
                }
            }
            _ => {
                let password = match known.as_deref() {
                    Some(Hash::Plain(password)) => Some(password.clone()),
                    _ => None,
                };
                let keys = move || keys_of_clear_text(algorithm, &secret, &name, password.as_ref());
                self.compute(keys).await?.map_err(|error| error.to_string())
            }
        }
    }
}

impl Authenticator for PasswdFile {
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        Box::pin(self.check(attempt))
    }

    fn can_judge(&self, mechanism: &Mechanism) -> bool {
        match mechanism.scram_hash() {
            Some(hash) => self.accounts().scram_hashes.contains(&hash),
            None if *mechanism == Mechanism::CramMd5 => cfg!(feature = "cram-md5") && self.accounts().in_clear_text,
            None => matches!(mechanism, Mechanism::Plain | Mechanism::Login),
        }
    }

    fn scram_keys<'a>(&'a self, user: &'a str, hash: HashAlgorithm) -> BoxFuture<'a, Result<ScramKeys, String>> {
        Box::pin(self.keys(user, hash))
    }

    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>> {
        let known = self.accounts().by_name.contains_key(&user.to_ascii_lowercase());
        Box::pin(std::future::ready(Some(known)))
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Ok(Stamp { modified: metadata.modified().ok(), size: metadata.len(), inode })
}

fn read(path: &Path) -> Result<(Accounts, Stamp), LoadError> {
    let failed = |cause: io::Error| LoadError::Read { path: path.into(), cause: cause.to_string() };
    // The stamp first: a change between the two calls is then seen the next time.
    let stamp = stamp(path).map_err(failed)?;
    let text = fs::read_to_string(path).map_err(failed)?;
    let accounts = parse::accounts(&text).map_err(|error| LoadError::Parse { path: path.into(), error })?;
    Ok((accounts, stamp))
}

#[cfg(test)]
mod tests;
