//! Annotations of mailboxes and of the server.

use std::sync::Arc;

use pillarbox_imap::metadata::MetadataQuestion;
use pillarbox_imap::server::Answer;

use super::{Connection, Trouble};
use crate::parts::NameChange;

impl Connection {
    pub(super) async fn metadata(&mut self, question: MetadataQuestion) -> Result<(), Trouble> {
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        match question {
            MetadataQuestion::Get { mailbox, wanted } => {
                let entries = self.wire.answer(store.metadata(&user, mailbox.as_ref(), &wanted)).await?;
                for (name, value) in &entries {
                    self.answer(Answer::Entry { name, value });
                    self.flush_if_full().await?;
                }
                self.answer(Answer::Done);
            }
            MetadataQuestion::Set { mailbox, changes } => {
                self.wire.answer(store.set_metadata(&user, mailbox.as_ref(), &changes)).await?;
                let entries = changes.iter().map(|(entry, _)| entry);
                for change in NameChange::annotated(mailbox.as_ref(), entries, &user) {
                    self.did(change);
                }
                self.answer(Answer::Done);
            }
            // A question of a later version of the protocol crate.
            _ => self.answer(Answer::No { code: None, text: "not supported here".into() }),
        }
        Ok(())
    }
}
