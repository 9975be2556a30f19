//! Reading the lines of a passwd-file.

use std::collections::HashMap;
use std::sync::Arc;

use pillarbox_core::crypto::HashAlgorithm;

use super::scheme::{Hash, HashFault};
use super::{Account, Accounts};

/// Something in a passwd-file that is no account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
#[non_exhaustive]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The character of the line, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub fault: ParseFault,
}

/// What is wrong in a passwd-file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFault {
    /// A line without a colon, or with nothing before it.
    #[error("an account is written as user:{{SCHEME}}hash")]
    NoAccount,
    /// A control character in a user name.
    #[error("a user name cannot hold control characters")]
    ControlCharacter,
    /// The same name, in whatever case of letters, stands on an earlier line.
    #[error("the same user stands on line {0}")]
    Duplicate(usize),
    /// A password without `{SCHEME}` in front.
    #[error("the password has no {{SCHEME}} in front")]
    NoScheme,
    /// A scheme that cannot be checked here.
    #[error("there is no password scheme {0} here")]
    UnknownScheme(String),
    /// The hash is not of the form that its scheme has.
    #[error("this is no hash of {0}")]
    InvalidHash(&'static str),
    /// An extra field that narrows who may log in, and that is not understood here. Passing it over would let in more than
    /// the file says.
    #[error("the extra field {0} is not supported")]
    UnsupportedField(String),
}

/// Extra fields of Dovecot that narrow or change a login.
const NARROWING: [&str; 3] = ["allow_nets", "allow_real_nets", "proxy"];

/// What stands in front of extra fields that say something about a user's mail, and nothing about the login.
const USER_FIELD: &str = "userdb_";

pub(super) fn accounts(text: &str) -> Result<Accounts, ParseError> {
    let mut accounts = Accounts::default();
    let mut lines_of_names = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let fail = |octet: usize, fault| ParseError { line: number, column: line[..octet].chars().count() + 1, fault };
        let account = account(line).map_err(|(octet, fault)| fail(octet, fault))?;
        let key = account.name.to_ascii_lowercase();
        if let Some(earlier) = lines_of_names.insert(key.clone(), number) {
            return Err(fail(0, ParseFault::Duplicate(earlier)));
        }
        accounts.names.push(account.name.clone());
        accounts.by_name.insert(key, account);
    }
    accounts.decoy = decoy(&accounts);
    let hashes = || accounts.by_name.values().filter_map(|account| account.hash.as_ref());
    let has_keys = |algorithm: &_| hashes().next().is_some() && hashes().all(|hash| hash.has_scram_keys(*algorithm));
    let algorithms = [HashAlgorithm::Sha1, HashAlgorithm::Sha256];
    accounts.scram_hashes = algorithms.into_iter().filter(has_keys).collect();
    accounts.in_clear_text = hashes().next().is_some() && hashes().all(|hash| matches!(**hash, Hash::Plain(_)));
    Ok(accounts)
}

/// Reads one line; an error tells the octet.
fn account(line: &str) -> Result<Account, (usize, ParseFault)> {
    let (name, rest) = line.split_once(':').ok_or((0, ParseFault::NoAccount))?;
    if name.is_empty() {
        return Err((0, ParseFault::NoAccount));
    }
    if let Some(octet) = name.find(char::is_control) {
        return Err((octet, ParseFault::ControlCharacter));
    }
    let password_start = name.len() + 1;
    let password = rest.split(':').next().unwrap_or_default();
    let mut hash = match password {
        "" => None,
        _ => Some(parse_hash(password).map_err(|(octet, fault)| (password_start + octet, fault))?),
    };
    let mut user_fields = Vec::new();
    // The eighth field has the rest of the line, colons and all.
    if let Some(extra) = line.splitn(8, ':').nth(7) {
        let extra_start = line.len() - extra.len();
        let mut octet = extra_start;
        for field in extra.split(' ') {
            let (key, value) = field.split_once('=').unwrap_or((field, ""));
            if let Some(key) = key.strip_prefix(USER_FIELD) {
                user_fields.push((key.to_owned(), value.to_owned()));
            }
            if key.eq_ignore_ascii_case("nologin") {
                hash = None;
            } else if NARROWING.contains(&key) {
                return Err((octet, ParseFault::UnsupportedField(key.into())));
            }
            octet += field.len() + 1;
        }
    }
    Ok(Account { name: name.into(), hash: hash.map(Arc::new), user_fields })
}

/// Reads `{SCHEME}hash`; an error tells the octet.
fn parse_hash(password: &str) -> Result<Hash, (usize, ParseFault)> {
    let (scheme, hash) =
        password.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or((0, ParseFault::NoScheme))?;
    Hash::parse(scheme, hash).map_err(|fault| match fault {
        HashFault::UnknownScheme => (0, ParseFault::UnknownScheme(scheme.into())),
        HashFault::InvalidHash(scheme_name) => (scheme.len() + 2, ParseFault::InvalidHash(scheme_name)),
    })
}

/// A hash of the commonest cost; the first one of the file.
fn decoy(accounts: &Accounts) -> Option<Arc<Hash>> {
    let hashes = || accounts.names.iter().filter_map(|name| accounts.by_name[&name.to_ascii_lowercase()].hash.as_ref());
    let mut counts = HashMap::new();
    for hash in hashes() {
        *counts.entry(hash.cost()).or_insert(0) += 1;
    }
    let most = counts.values().max().copied();
    hashes().find(|hash| counts.get(hash.cost()).copied() == most).map(Arc::clone)
}
