//! Whether an account has room for more.

use pillarbox_imap::quota::{QuotaRoot, Resource, ResourceUse};
use pillarbox_maildir::{self as maildir, Prepared, Purpose, Quota, QuotaRules, Tree, Usage};

use super::{Result, told};
use crate::parts::Identity;

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
    let name = format!("#user/{account}");
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

    /// For messages that are on disk and not yet to be seen.
    pub(super) fn check_prepared(&self, messages: &[Prepared], purpose: Purpose) -> Result<()> {
        self.check(messages.iter().map(Prepared::usage).fold(Usage::default(), Usage::plus), purpose)
    }
}
