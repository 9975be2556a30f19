//! ESEARCH (RFC 7377): several mailboxes, one after the other, each searched as the selected one is.

use std::collections::BTreeSet;
use std::sync::Arc;

use pillarbox_imap::list::{List, SearchScope};
use pillarbox_imap::search::Query;
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::{MailboxName, Separator};

use super::session::{Connection, Trouble};
use crate::net::Lost;
use crate::parts::{StoreError, StoreErrorKind};

impl Connection {
    pub(super) async fn search_mailboxes(
        &mut self,
        sources: &[SearchScope],
        query: &Query,
        mailboxes_max: usize,
    ) -> Result<(), Trouble> {
        let names = self.searched_names(sources).await?;
        if names.len() > mailboxes_max {
            // RFC 7377 §2.4
            return Err(StoreError::new(StoreErrorKind::Limit, "too many mailboxes for one search").into());
        }
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        for (index, name) in names.iter().enumerate() {
            if index > 0 && !self.wire.is_peer_there().await {
                return Err(Lost.into());
            }
            let mut mailbox = match self.wire.answer(store.open(&user, name, true)).await {
                Ok(mailbox) => mailbox,
                // RFC 7377 §2.2, §5: of these nothing is told, nor which of them it was.
                Err(error) if matches!(error.kind, StoreErrorKind::NoSuchMailbox | StoreErrorKind::NoPermission) => {
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let uid_validity = self.wire.answer(mailbox.snapshot()).await?.uid_validity;
            let selected = self.selected.replace(mailbox);
            let found = self.find_matching(query, false).await;
            self.selected = selected;
            self.answer(Answer::Searched { mailbox: name.clone(), uid_validity });
            self.tell_uids(&found?).await?;
        }
        self.answer(Answer::Done);
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
        let mut list = List::new("*");
        // Of other users a store lists those that are named. A wildcard in the name only makes the list longer.
        list.patterns.extend(names.iter().map(|name| format!("{name}/*")));
        list.tell_subscribed = true;
        let config = Arc::clone(&self.shared.config);
        let is_foreign = |name: &MailboxName, prefix: &Option<String>| {
            let prefix = prefix.as_ref().map(|prefix| match config.separator {
                Separator::Dot => prefix.replace('.', "/"),
                _ => prefix.clone(),
            });
            prefix.is_some_and(|prefix| name.as_str().starts_with(&prefix))
        };
        for listed in self.wire.answer(store.list(&user, &list)).await? {
            let name = &listed.name;
            let is_own = !is_foreign(name, &config.other_users_prefix) && !is_foreign(name, &config.shared_prefix);
            let is_subscribed = listed.attributes.iter().any(|attribute| attribute == "\\Subscribed");
            if listed.is_selectable() && sources.iter().any(|source| source.covers(name, is_own, is_subscribed)) {
                names.insert(listed.name);
            }
        }
        Ok(names)
    }
}
