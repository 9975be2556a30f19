//! How much an account may keep, and whether it has room for more.

use pillarbox_imap::quota::{QuotaRoot, Resource, ResourceUse};
use pillarbox_maildir::{self as maildir, Purpose, Quota, QuotaRules, Tree, Usage};

use super::{Inner, MaildirStore, Result, told};
use crate::parts::{BoxFuture, Identity, StoreError, StoreErrorKind};

/// What the names of roots begin with; then comes the account.
const ROOT: &str = "#user/";

impl MaildirStore {
    /// Lets these users set the limits of all accounts that are in use (SETQUOTA, RFC 9208 §4.1.3); otherwise nobody may. What was set is kept with
    /// the account and holds in place of what [`with_quotas`](Self::with_quotas) says of it, for as long as somebody may set limits;
    /// what is said there of single mailboxes and of deliveries holds as well.
    ///
    /// ```
    /// use pillarbox::store::MaildirStore;
    ///
    /// let store = MaildirStore::new(|_| Some("/var/mail/you".into()));
    /// let store = store.quotas_set_by(|user| user.user() == "admin@localhost");
    /// ```
    ///
    /// # Panics
    ///
    /// If the store is in use: this is said while it is put together.
    #[must_use]
    pub fn quotas_set_by(mut self, may: impl Fn(&Identity) -> bool + Send + Sync + 'static) -> Self {
        self.being_made().quota_setters = Some(Box::new(may));
        self
    }

    /// The root of an account that has mail, after its limits were set, if they are to be.
    pub(super) fn quota_root_there(
        &self,
        account: Identity,
        limits: Option<Quota>,
    ) -> BoxFuture<'static, Result<QuotaRoot>> {
        self.on_tree_there(&account.clone(), move |inner, tree| {
            let Some(limits) = limits else { return inner.root_of(&account, tree) };
            tree.set_limits(limits).map_err(told)?;
            let root = roots(&account, tree, inner.rules(&account, tree))?.pop();
            Ok(root.unwrap_or_else(|| QuotaRoot { name: format!("{ROOT}{account}"), resources: Vec::new() }))
        })
    }
}

impl Inner {
    /// What an account may use: as was set for it, or as the operator's configuration says.
    pub(super) fn rules(&self, account: &Identity, tree: &Tree) -> Option<QuotaRules> {
        let configured = (self.quotas)(account);
        let set = match self.quota_setters.is_some().then(|| tree.limits()) {
            None | Some(Ok(None)) => None,
            Some(Ok(limits)) => limits,
            // Mail must come in all the same, and not without end: where the configuration has no limits, those that were set last
            // still stand in `maildirsize`.
            Some(Err(_)) => match &configured {
                Some(rules) if rules.quota() != Quota::default() => None,
                _ => tree.quota_on_disk().ok().flatten(),
            },
        };
        let rules = match set {
            Some(limits) => Some(configured.unwrap_or_default().with_quota(limits)),
            None => configured,
        };
        // Who may have all there is needs no counting.
        rules.filter(|rules| !rules.is_unlimited())
    }

    /// The root of an account, which is none if nothing is limited.
    pub(super) fn root_of(&self, account: &Identity, tree: &Tree) -> Result<QuotaRoot> {
        roots(account, tree, self.rules(account, tree))?.pop().ok_or_else(|| no_root(account.user()))
    }
}

/// The account whose root has this name.
pub(super) fn account_of(root: &str) -> Option<Identity> {
    root.strip_prefix(ROOT).filter(|account| !account.is_empty()).map(Identity::new)
}

pub(super) fn no_root(root: &str) -> StoreError {
    StoreError::new(StoreErrorKind::NoSuchMailbox, format!("no quota root {root}"))
}

pub(super) fn limits(limits: &[(Resource, u64)]) -> Quota {
    let limit = |wanted| limits.iter().find(|(resource, _)| *resource == wanted).map(|(_, limit)| *limit);
    Quota { bytes: limit(Resource::Storage), messages: limit(Resource::Message) }
}

/// The root of an account, if anything is limited for all of it. Its name is nobody else's.
pub(super) fn roots(account: &Identity, tree: &Tree, rules: Option<QuotaRules>) -> Result<Vec<QuotaRoot>> {
    let quota = rules.map(|rules| rules.quota()).unwrap_or_default();
    if quota == Quota::default() {
        return Ok(Vec::new());
    }
    let usage = tree.usage(quota).map_err(told)?;
    let one = |resource, used, limit: Option<u64>| limit.map(|limit| ResourceUse { resource, used, limit });
    let storage = one(Resource::Storage, usage.bytes, quota.bytes);
    let messages = one(Resource::Message, usage.messages, quota.messages);
    let name = format!("{ROOT}{account}");
    Ok(vec![QuotaRoot { name, resources: storage.into_iter().chain(messages).collect() }])
}

/// One mailbox of an account that has a quota.
#[derive(Clone)]
pub(super) struct Room {
    tree: Tree,
    name: maildir::MailboxName,
    rules: QuotaRules,
}

impl Room {
    pub(super) fn new(tree: Tree, name: maildir::MailboxName, rules: QuotaRules) -> Self {
        Room { tree, name, rules }
    }

    pub(super) fn check(&self, adding: Usage, purpose: Purpose) -> Result<()> {
        self.tree.check_quota(&self.rules, &self.name, adding, purpose).map_err(told)
    }

    /// For a message of which so many octets are announced. On disk it may be smaller, as CRLF becomes LF there: what is refused
    /// before it comes does not fit in any case.
    pub(super) fn check_announced(&self, octets: u64, purpose: Purpose) -> Result<()> {
        self.check(Usage::message(octets.div_ceil(2)), purpose)
    }

    /// For a message that takes the place of another: it needs what it is larger by, and not even that if it is not.
    pub(super) fn check_instead(&self, new: Usage, old: Usage) -> Result<()> {
        let bytes = new.bytes.saturating_sub(old.bytes);
        match bytes {
            0 if old.messages > 0 => Ok(()),
            _ => self.check(Usage { bytes, messages: new.messages.saturating_sub(old.messages) }, Purpose::Own),
        }
    }
}
