//! ESEARCH (RFC 7377): several mailboxes, one after the other, each searched as the selected one is.

use std::collections::BTreeSet;
use std::sync::Arc;

use pillarbox_imap::list::{List, PATTERNS_SIZE_MAX, SearchScope};
use pillarbox_imap::search::MailboxesQuery;
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::{MailboxName, Separator};

use super::session::{Connection, Trouble};
use crate::parts::{StoreError, StoreErrorKind};

impl Connection {
    pub(super) async fn search_mailboxes(
        &mut self,
        sources: &[SearchScope],
        query: &mut MailboxesQuery,
        mailboxes_max: usize,
    ) -> Result<(), Trouble> {
        let names = self.searched_names(sources).await?;
        if names.len() > mailboxes_max {
            // RFC 7377 §2.4
            return Err(StoreError::new(StoreErrorKind::Limit, "too many mailboxes for one search").into());
        }
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                self.still_wanted(0, None).await?;
            }
            let mut mailbox = match self.wire.answer(store.open(&user, name, true)).await {
                Ok(mailbox) => mailbox,
                // RFC 7377 §2.2, §5: of these nothing is told, nor which of them it was.
                Err(error) if matches!(error.kind, StoreErrorKind::NoSuchMailbox | StoreErrorKind::NoPermission) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let snapshot = self.wire.answer(mailbox.snapshot()).await?;
            let query = query
                .in_mailbox(name, &snapshot.uids)
                .map_err(|error| StoreError::new(StoreErrorKind::Limit, error.to_string()))?;
            let Some(query) = query else { continue };
            let selected = self.selected.replace(mailbox);
            let found = self.find_matching(&query, false).await;
            self.selected = selected;
            self.answer(Answer::Searched { mailbox: name.clone(), uid_validity: snapshot.uid_validity });
            self.tell_uids(&found?).await?;
        }
        // RFC 9738 §3.1
        self.answer(if query.has_left_out() { Answer::DoneInPart } else { Answer::Done });
        Ok(())
    }

    /// The mailboxes that are meant, each once. Those that the user names need not be there, or to be seen.
    async fn searched_names(&mut self, sources: &[SearchScope]) -> Result<BTreeSet<MailboxName>, Trouble> {
        let mut names: BTreeSet<MailboxName> = sources.iter().filter_map(SearchScope::name).cloned().collect();
        let only_named = sources.iter().all(|source| matches!(source, SearchScope::Mailbox(_)));
        if only_named {
            return Ok(names);
        }
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        let config = &self.shared.config;
        let prefixes = [&config.other_users_prefix, &config.shared_prefix].into_iter().flatten();
        let prefixes: Vec<String> = prefixes
            .map(|prefix| match config.separator {
                Separator::Dot => prefix.replace('.', "/"),
                _ => prefix.clone(),
            })
            .collect();
        let mut list = List::new("*");
        // Of other users a store lists those that are named.
        list.patterns.extend(patterns_of_accounts(sources, &prefixes));
        list.tell_subscribed = true;
        if list.patterns.iter().map(String::len).sum::<usize>() > PATTERNS_SIZE_MAX {
            return Err(StoreError::new(StoreErrorKind::Limit, "too many accounts for one search").into());
        }
        for listed in self.wire.answer(store.list(&user, &list)).await? {
            let name = &listed.name;
            let is_own = !prefixes.iter().any(|prefix| name.as_str().starts_with(prefix));
            let is_subscribed = listed.attributes.iter().any(|attribute| attribute == "\\Subscribed");
            if listed.is_selectable() && sources.iter().any(|source| source.covers(name, is_own, is_subscribed)) {
                names.insert(listed.name);
            }
        }
        Ok(names)
    }
}

/// Patterns that name the accounts below these prefixes of which a subtree is meant, each once. One that holds a wildcard is left out.
fn patterns_of_accounts(sources: &[SearchScope], prefixes: &[String]) -> BTreeSet<String> {
    let subtrees = sources.iter().filter(|source| !matches!(source, SearchScope::Mailbox(_)));
    let names = subtrees.filter_map(SearchScope::name).map(MailboxName::as_str);
    let accounts = names.flat_map(|name| {
        prefixes.iter().filter_map(move |prefix| {
            let account = name.strip_prefix(prefix.as_str())?.split('/').next()?;
            let is_plain = !account.is_empty() && !account.contains(['*', '%']);
            is_plain.then(|| format!("{prefix}{account}/*"))
        })
    });
    accounts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_of_others_become_patterns() {
        let name = |text: &str| MailboxName::new(text).unwrap();
        let prefixes = ["Other Users/".to_owned(), "Public/".to_owned()];
        let patterns = |names: &[&str]| -> Vec<String> {
            let sources: Vec<_> = names.iter().map(|text| SearchScope::Subtree(name(text))).collect();
            patterns_of_accounts(&sources, &prefixes).into_iter().collect()
        };
        assert!(
            patterns(&["Work", "*", "Other Users", "Other Usersx/ann", "Other Users/a*/Work", "Public/%"]).is_empty()
        );
        assert_eq!(patterns(&["Other Users/ann/Work", "Other Users/ann/W*", "Other Users/ann"]), ["Other Users/ann/*"]);
        assert_eq!(patterns(&["Public/News/Old", "Other Users/bob/x"]), ["Other Users/bob/*", "Public/News/*"]);
        assert!(patterns_of_accounts(&[SearchScope::Mailbox(name("Other Users/ann/Work"))], &prefixes).is_empty());
    }
}
