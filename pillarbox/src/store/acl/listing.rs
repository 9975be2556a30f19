//! Which names a user is told.

use std::collections::BTreeSet;

use pillarbox_imap::acl::Rights;
use pillarbox_imap::list::{KnownName, List};
use pillarbox_imap::server::Listed;
use pillarbox_imap::types::{MailboxName, SpecialUse};

use super::places::Place;
use super::{AclSource, Inner, Member, Result};
use crate::parts::{Identity, StoreErrorKind};

/// Of so many accounts of others one LIST tells.
pub(super) const ACCOUNTS_MAX: usize = 100;

impl<S: AclSource + 'static> Inner<S> {
    pub(super) async fn listed(&self, user: &Identity, list: &List) -> Result<Vec<Listed>> {
        let beside = [self.places.others.as_ref(), self.places.shared.as_ref().map(|(name, _)| name)];
        let may_reach = |pattern: &String| beside.iter().flatten().any(|name| may_reach(pattern, name));
        let tells_of_subscriptions = list.lsub || list.subscribed || list.tell_subscribed;
        let may_be_kept_otherwise = tells_of_subscriptions && self.places.keeps_otherwise();
        if !may_be_kept_otherwise && !list.patterns.iter().any(may_reach) {
            return self.source.list(user, list).await;
        }
        let mut everything = List::new("*");
        // What an account has under names that lie beside it can be reached by nobody: all commands mean the other mailbox.
        let is_there = |listed: &Listed| listed.is_selectable() && self.places.is_own(&listed.name);
        let existing = self.source.list(user, &everything).await?.into_iter().filter(is_there);
        let mut known: Vec<KnownName> = existing.map(known).collect();
        everything.subscribed = true;
        let subscribed = self.source.list(user, &everything).await?;
        let subscribed: Vec<MailboxName> =
            subscribed.into_iter().map(|listed| self.places.subscribed(listed.name)).collect();
        let member = self.member(user);
        if let Some((below, account)) = &self.places.shared {
            known.extend(self.seen_of(&member, account, below.as_str()).await?);
        }
        if let Some(below) = &self.places.others {
            for account in accounts_named(below, &list.patterns, &subscribed) {
                let in_front = format!("{below}/{account}");
                known.extend(self.seen_of(&member, &self.places.names.account(&account), &in_front).await?);
            }
        }
        known.extend(subscribed.into_iter().map(KnownName::subscription));
        Ok(list.answer(known))
    }

    /// The mailboxes of an account that a user may know of. An account that there is not has none. One that cannot be looked at now is
    /// no such account: who asks would take its mailboxes for gone.
    async fn seen_of(&self, member: &Member<'_>, account: &Identity, in_front: &str) -> Result<Vec<KnownName>> {
        let lists = match self.source.lists_of(account).await {
            Err(error) if error.kind == StoreErrorKind::NoSuchMailbox => return Ok(Vec::new()),
            lists => lists?,
        };
        let seen = lists.into_iter().filter_map(|(mailbox, acl)| {
            let place = Place { account: account.clone(), mailbox };
            let may_know = self.rights_of(&acl, member, &place).contains(Rights::LOOKUP);
            let name = self.places.seen_below(in_front, &place.mailbox).filter(|_| may_know)?;
            Some(KnownName::existing(name))
        });
        Ok(seen.collect())
    }
}

fn known(listed: Listed) -> KnownName {
    let mut known = KnownName::existing(listed.name);
    known.uses = listed.attributes.iter().filter_map(|attribute| SpecialUse::parse(attribute)).collect();
    known
}

/// What stands in front of the first wildcard.
fn literal(pattern: &str) -> &str {
    pattern.split(['*', '%']).next().unwrap_or_default()
}

/// Whether a pattern may match a name, or something below it.
fn may_reach(pattern: &str, name: &MailboxName) -> bool {
    let literal = literal(pattern);
    name.as_str().starts_with(literal) || literal.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

/// The accounts that are named by patterns or subscribed names.
fn accounts_named(below: &MailboxName, patterns: &[String], subscribed: &[MailboxName]) -> BTreeSet<String> {
    let texts = patterns.iter().map(|pattern| literal(pattern)).chain(subscribed.iter().map(MailboxName::as_str));
    let named = texts.filter_map(|text| {
        let (account, _) = text.strip_prefix(below.as_str())?.strip_prefix('/')?.split_once('/')?;
        Some(account.to_owned())
    });
    let mut accounts = BTreeSet::new();
    for account in named {
        // Many names of one account are one.
        if accounts.len() == ACCOUNTS_MAX && !accounts.contains(&account) {
            break;
        }
        accounts.insert(account);
    }
    accounts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_name_accounts() {
        let (below, text) = (MailboxName::new("Other Users").unwrap(), |text: &str| vec![text.to_owned()]);
        for (pattern, reaches, account) in [
            ("*", true, None),
            ("%", true, None),
            ("Oth*", true, None),
            ("Other Users/%", true, None),
            ("Other Users/bo%", true, None),
            ("Other Users/bob/*", true, Some("bob")),
            ("Other Users/bob/Work", true, Some("bob")),
            ("Other Usersx/bob/*", false, None),
            ("Work/*", false, None),
        ] {
            assert_eq!(may_reach(pattern, &below), reaches, "{pattern}");
            let named = accounts_named(&below, &text(pattern), &[]);
            assert_eq!(named.first().map(String::as_str), account, "{pattern}");
        }
        let subscribed = [MailboxName::new("Other Users/eve/x").unwrap(), MailboxName::new("Work").unwrap()];
        assert_eq!(accounts_named(&below, &text("*"), &subscribed).len(), 1);
        let many = (0..300).map(|number| format!("Other Users/bob/{number}")).chain(["Other Users/eve/x".into()]);
        let many: Vec<_> = many.map(|name| MailboxName::new(&name).unwrap()).collect();
        assert_eq!(accounts_named(&below, &text("*"), &many).len(), 2, "accounts count, not names");
        let many: Vec<_> =
            (0..300).map(|number| MailboxName::new(&format!("Other Users/{number}/x")).unwrap()).collect();
        assert_eq!(accounts_named(&below, &text("*"), &many).len(), ACCOUNTS_MAX);
    }
}
