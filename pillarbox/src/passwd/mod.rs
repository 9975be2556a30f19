//! Accounts in a passwd-file, as Dovecot's `passdb passwd-file` reads them.
//!
//! One account per line: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra`. Everything behind the hash may be left out and
//! is not used here; lines that are empty or begin with `#` are passed over. The user may hold `@`. An account whose
//! password is empty, or that has the extra field `nologin`, cannot log in.
//!
//! | scheme | how it is made |
//! |---|---|
//! | `{ARGON2ID}` | [`hash`], or `doveadm pw -s ARGON2ID` |
//! | `{BLF-CRYPT}` | `doveadm pw -s BLF-CRYPT` |
//! | `{SHA512-CRYPT}` | `doveadm pw -s SHA512-CRYPT`, `mkpasswd -m sha-512` |
//! | `{PLAIN}` | the password itself: for tests |

mod parse;
mod scheme;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pillarbox_core::Secret;
use tokio::sync::Semaphore;

pub use parse::{ParseError, ParseFault};
use scheme::Hash;
pub use scheme::{HashError, hash};

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
}

#[derive(Debug)]
struct State {
    accounts: Arc<Accounts>,
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
}

#[derive(Debug)]
struct Account {
    /// The name as the file spells it.
    name: String,
    /// None: nobody logs in.
    hash: Option<Arc<Hash>>,
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
        PasswdFile {
            source,
            state: Mutex::new(State { accounts: Arc::new(accounts), stamp, error: None }),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
        }
    }

    /// The names of the accounts as the file spells them, in its order.
    pub fn users(&self) -> impl Iterator<Item = String> + use<> {
        let accounts = self.accounts();
        (0..accounts.names.len()).map(move |index| accounts.names[index].clone())
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
                        *state = State { accounts: Arc::new(accounts), stamp: Some(stamp), error: None };
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
        let Some(password) = attempt.credentials.password() else { return LoginOutcome::Refused };
        let accounts = self.accounts();
        let account = accounts.by_name.get(&name.to_ascii_lowercase());
        let known = account.and_then(|account| account.hash.clone());
        let may_pass = known.is_some() && !attempt.acts_for_another();
        // A stranger must not learn by the clock which accounts there are.
        let Some(hash) = known.or_else(|| accounts.decoy.clone()) else { return LoginOutcome::Refused };
        let password = Secret::clone(password);
        // Whoever waits or checks holds a clone.
        if Arc::strong_count(&self.checks) > WAITING_MAX {
            return LoginOutcome::TryLater("too many logins wait for their password check".into());
        }
        let Ok(permit) = Arc::clone(&self.checks).acquire_owned().await else { return LoginOutcome::Refused };
        let matches = tokio::task::spawn_blocking(move || {
            let matches = hash.matches(&password);
            drop(permit);
            matches
        });
        match (matches.await, account) {
            (Ok(true), Some(account)) if may_pass => LoginOutcome::Accepted(Identity::new(account.name.clone())),
            (Ok(_), _) => LoginOutcome::Refused,
            (Err(error), _) => LoginOutcome::TryLater(error.to_string()),
        }
    }
}

impl Authenticator for PasswdFile {
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        Box::pin(self.check(attempt))
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
