//! Who may do what with mailboxes.

use std::sync::Arc;

use pillarbox_imap::acl::AclQuestion;
use pillarbox_imap::server::Answer;

use super::{Connection, Trouble};
use crate::parts::NameChange;

impl Connection {
    pub(super) async fn rights(&mut self, question: AclQuestion) -> Result<(), Trouble> {
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        match question {
            AclQuestion::Set { mailbox, identifier, change } => {
                self.wire.answer(store.set_acl(&user, &mailbox, &identifier, Some(change))).await?;
                self.did(NameChange::Rights(mailbox));
                self.answer(Answer::Done);
            }
            AclQuestion::Delete { mailbox, identifier } => {
                self.wire.answer(store.set_acl(&user, &mailbox, &identifier, None)).await?;
                self.did(NameChange::Rights(mailbox));
                self.answer(Answer::Done);
            }
            AclQuestion::List(mailbox) => {
                let entries = self.wire.answer(store.acl(&user, &mailbox)).await?;
                self.answer(Answer::Acl(&entries));
            }
            AclQuestion::Grantable { mailbox, identifier } => {
                let grantable = self.wire.answer(store.grantable(&user, &mailbox, &identifier)).await?;
                self.answer(Answer::Grantable(grantable));
            }
            AclQuestion::Mine(mailbox) => {
                let rights = self.wire.answer(store.rights(&user, &mailbox)).await?;
                self.answer(Answer::Rights(rights));
            }
            // A question of a later version of the protocol crate.
            _ => self.answer(Answer::No { code: None, text: "not supported here".into() }),
        }
        Ok(())
    }
}
