//! The accounts: who may log in, which recipients are ours, and where their mail is.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pillarbox::delivery::MailboxSink;
use pillarbox::mailcore::Reply;
use pillarbox::mailcore::address::{Address, ForwardPath};
use pillarbox::mailcore::crypto::HashAlgorithm;
use pillarbox::mailcore::sasl::{Mechanism, ScramKeys};
use pillarbox::maildir::{QuotaRules, RuleError, TreeOptions};
use pillarbox::parts::{
    Authenticator, BoxFuture, Identity, LoginAttempt, LoginOutcome, Observer, Policy, Session, Verdict,
};
use pillarbox::passwd::PasswdFile;
use pillarbox::smtp_proto::server::Rcpt;

use crate::config::{Config, MailLocation, Mailboxes};
use crate::folders::Folders;
use crate::secret_file;

/// The accounts of a passwd-file that have a place here: their domain is ours and their name can be a part of a path. The
/// file may change while the server runs, so that is asked each time and not only at the start.
pub struct Accounts {
    file: PasswdFile,
    domains: HashSet<String>,
    postmaster: Identity,
    location: MailLocation,
    mailboxes: Mailboxes,
    quota: QuotaRules,
    observer: Arc<dyn Observer>,
    /// What was told last about a file that cannot be used.
    told: Mutex<Option<String>>,
    /// The same of a quota.
    told_of_quota: Mutex<Option<String>>,
    owners: Mutex<Owners>,
}

/// Who has which folder.
#[derive(Default)]
struct Owners {
    /// The edition of the file that this is of.
    edition: Option<u64>,
    folders: Folders,
    /// Accounts whose mail would be in another one's folder.
    refused: HashMap<String, String>,
}

impl Accounts {
    pub fn load(config: &Config, observer: Arc<dyn Observer>) -> Result<Self, String> {
        secret_file::check_rights(&config.accounts)?;
        let accounts = Accounts {
            file: PasswdFile::load(&config.accounts).map_err(|error| error.to_string())?,
            domains: config.domains.iter().cloned().collect(),
            postmaster: Identity::new(config.postmaster.clone()),
            location: config.mail.clone(),
            mailboxes: config.mailboxes.clone(),
            observer,
            quota: config.quota.clone(),
            told: Mutex::default(),
            told_of_quota: Mutex::default(),
            owners: Mutex::default(),
        };
        accounts.settle_folders();
        Ok(accounts)
    }

    /// Looks whether accounts that came since would share a folder: who has one keeps it, and who would share it is refused, which is
    /// told.
    fn settle_folders(&self) {
        let edition = self.file.edition();
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.edition == Some(edition) {
            return;
        }
        owners.edition = Some(edition);
        let users = self.users();
        let known: HashSet<&str> = users.iter().map(String::as_str).collect();
        owners.folders.keep(|user| known.contains(user));
        let before = std::mem::take(&mut owners.refused);
        for user in &users {
            let Some(folder) = self.place(user) else { continue };
            if let Err(other) = owners.folders.claim(user, std::iter::once(folder).chain(self.lies_as(user).inbox)) {
                if before.get(user) != Some(&other) {
                    let cause = format_args!("its mail would be in the same folder as that of {other}: it is refused");
                    self.observer.failed(0, &format!("the account {user}"), &cause);
                }
                owners.refused.insert(user.clone(), other);
            }
        }
    }

    /// Whether the account is one of those that would share a folder.
    fn is_refused(&self, user: &str) -> bool {
        let owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        !owners.refused.is_empty() && owners.refused.contains_key(&user.to_ascii_lowercase())
    }

    /// The account that a recipient means; `None` if it is not ours. Whether there is such an account is another question.
    ///
    /// Local parts are compared without regard to the case of ASCII letters, as the passwd-file's names are: only the server
    /// that an address belongs to may decide that (RFC 5321 §2.4), and people expect it.
    pub fn of_recipient(&self, path: &ForwardPath<'_>) -> Option<Identity> {
        let ForwardPath::Address(address) = path else { return Some(self.postmaster.clone()) };
        let domain = address.domain().as_str().to_ascii_lowercase();
        if !self.domains.contains(&domain) {
            return None;
        }
        let local = address.local().unquoted().to_ascii_lowercase();
        // RFC 5321 §4.5.1
        if local == "postmaster" {
            return Some(self.postmaster.clone());
        }
        Some(Identity::new(format!("{local}@{domain}")))
    }

    /// Whether mail to this address is this user's, so that they may also send from it.
    pub fn owns(&self, user: &Identity, address: &Address<'_>) -> bool {
        let account = self.of_recipient(&ForwardPath::Address(address.clone()));
        account.is_some_and(|account| account.user().eq_ignore_ascii_case(user.user()))
    }

    /// The folder of an account's mail; `None` if it can have none, or would share it. A name has one folder in whatever case it is
    /// written.
    pub fn folder(&self, user: &str) -> Option<PathBuf> {
        self.place(user).filter(|_| !self.is_refused(user))
    }

    fn place(&self, user: &str) -> Option<PathBuf> {
        let user = user.to_ascii_lowercase();
        let (local, domain) = user.rsplit_once('@')?;
        self.location.folder(local, domain).filter(|_| self.domains.contains(domain))
    }

    /// How the mailboxes of an account lie in its folder.
    pub fn lies_as(&self, user: &str) -> TreeOptions {
        let user = user.to_ascii_lowercase();
        let (local, domain) = user.rsplit_once('@').unwrap_or((&user, ""));
        self.mailboxes.of(local, domain)
    }

    /// The names of all accounts, as they are logged in to.
    pub fn users(&self) -> Vec<String> {
        self.file.users().map(|user| user.to_ascii_lowercase()).collect()
    }

    /// The groups that an account is in, by `userdb_acl_groups` in its line.
    pub fn groups(&self, user: &str) -> Vec<String> {
        let fields = self.file.user_fields(user);
        let groups = fields.iter().filter(|(key, _)| key == "acl_groups").flat_map(|(_, groups)| groups.split(','));
        groups.map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect()
    }

    /// What an account may use, which may be without limits: what is said beside them holds for ones that are set later. Where
    /// its line cannot be understood, what holds for all holds for it, and that is told.
    pub fn quota(&self, user: &str) -> QuotaRules {
        quota_of(&self.file, user, &self.quota).unwrap_or_else(|error| {
            let trouble = format!("{user}: {error}");
            let mut told = self.told_of_quota.lock().unwrap_or_else(PoisonError::into_inner);
            if told.as_ref() != Some(&trouble) {
                self.observer.failed(0, "a quota (the general one is used)", &trouble);
                *told = Some(trouble);
            }
            self.quota.clone()
        })
    }

    /// Why the file as it is now cannot be used, if so; the accounts that it held before are used on. Told once for each
    /// reason, so that whoever broke the file hears of it.
    pub fn trouble(&self) -> Option<String> {
        self.settle_folders();
        let trouble = self.file.error().map(|error| error.to_string());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != trouble {
            if let Some(trouble) = &trouble {
                self.observer.failed(0, "the accounts (those from before are used on)", trouble);
            }
            told.clone_from(&trouble);
        }
        trouble
    }
}

impl Authenticator for Accounts {
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        Box::pin(async move {
            self.trouble();
            let outcome = self.file.login(attempt).await;
            // The file may have changed while the password was checked.
            self.settle_folders();
            match outcome {
                LoginOutcome::Accepted(identity) if self.folder(identity.user()).is_none() => {
                    self.observer.failed(0, "login", &format_args!("the account {identity} can have no folder here"));
                    LoginOutcome::Refused
                }
                // Whatever is kept for a user, or given to them, is so by one name, however the file or the client spells it.
                LoginOutcome::Accepted(identity) => {
                    LoginOutcome::Accepted(Identity::new(identity.user().to_ascii_lowercase()))
                }
                outcome => outcome,
            }
        })
    }

    fn can_judge(&self, mechanism: &Mechanism) -> bool {
        self.file.can_judge(mechanism)
    }

    fn scram_keys<'a>(&'a self, user: &'a str, hash: HashAlgorithm) -> BoxFuture<'a, Result<ScramKeys, String>> {
        self.trouble();
        self.file.scram_keys(user, hash)
    }

    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>> {
        self.trouble();
        match self.folder(user) {
            Some(_) => self.file.knows(user),
            // Mail can wait until somebody has mended the accounts.
            None if self.is_refused(user) => Box::pin(std::future::ready(None)),
            None => Box::pin(std::future::ready(Some(false))),
        }
    }
}

/// What an account may use, by `userdb_quota_rule`, `userdb_quota_rule2` and so on in its line, and the rules for all.
pub fn quota_of(file: &PasswdFile, user: &str, all: &QuotaRules) -> Result<QuotaRules, RuleError> {
    let is_rule = |key: &str| {
        key.strip_prefix("quota_rule").is_some_and(|number| number.bytes().all(|octet| octet.is_ascii_digit()))
    };
    let fields = file.user_fields(user);
    all.with_rules(fields.iter().filter(|(key, _)| is_rule(key)).map(|(_, rule)| rule.as_str()))
}

/// Accepts mail for the accounts, and for nobody else.
pub struct LocalOnly {
    pub accounts: Arc<Accounts>,
    pub sink: MailboxSink,
}

impl Policy for LocalOnly {
    fn recipient<'a>(&'a self, session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let refuse = |code, class, subject, detail, text| {
                Verdict::Refuse(Reply::enhanced(code, class, subject, detail, text))
            };
            let Some(account) = self.accounts.of_recipient(&rcpt.to) else {
                return refuse(550, 5, 7, 1, "this server does not relay: that domain is not served here");
            };
            match self.accounts.knows(account.user()).await {
                Some(true) => match self.sink.no_room(&account, session.size).await {
                    Some(reply) => Verdict::Refuse(reply),
                    None => Verdict::Accept,
                },
                Some(false) => refuse(550, 5, 1, 1, "no such mailbox here"),
                None => refuse(451, 4, 3, 0, "the list of mailboxes cannot be read now"),
            }
        })
    }
}
