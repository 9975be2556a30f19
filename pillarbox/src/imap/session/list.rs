//! Names, and what LIST tells of each of them.

use std::sync::Arc;

use pillarbox_imap::list::List;
use pillarbox_imap::metadata::Entry;
use pillarbox_imap::server::{Answer, Listed};

use super::{Connection, Trouble};
use crate::parts::Identity;

impl Connection {
    pub(super) async fn list(&mut self, list: List) -> Result<(), Trouble> {
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        for mut listed in self.wire.answer(store.list(&user, &list)).await? {
            // Of what is only named nothing else is told: whoever subscribes to a name need not know whether there is such a mailbox.
            let entries = match listed.tells_more() {
                true => self.tell_more(&user, &list, &mut listed).await,
                false => None,
            };
            listed.has_metadata = entries.is_some();
            self.answer(Answer::Listed(listed));
            self.flush_if_full().await?;
            for (name, value) in entries.iter().flatten() {
                self.answer(Answer::Entry { name, value });
                self.flush_if_full().await?;
            }
        }
        self.answer(Answer::Done);
        Ok(())
    }

    /// What is wanted of a mailbox beside its name. RFC 5819 §2, RFC 8440 §3: what cannot be told now is left out.
    async fn tell_more(&mut self, user: &Identity, list: &List, listed: &mut Listed) -> Option<Vec<Entry>> {
        let (store, mailbox) = (Arc::clone(&self.shared.parts.store), listed.name.clone());
        if !list.status.is_empty() {
            listed.status = self.wire.answer(store.status(user, &mailbox, &list.status)).await.ok();
        }
        if list.my_rights {
            listed.rights = self.wire.answer(store.rights(user, &mailbox)).await.ok();
        }
        match list.metadata.names.is_empty() {
            true => None,
            false => self.wire.answer(store.metadata(user, Some(&mailbox), &list.metadata)).await.ok(),
        }
    }
}
