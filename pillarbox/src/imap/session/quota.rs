//! How much may be kept, and how much is.

use std::sync::Arc;

use pillarbox_imap::quota::{QuotaQuestion, QuotaRoot};
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::{MailboxName, ResponseCode};

use super::{Connection, Trouble};

impl Connection {
    pub(super) async fn quota(&mut self, question: QuotaQuestion) -> Result<(), Trouble> {
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        match question {
            QuotaQuestion::Root(name) => {
                // RFC 9208 §6: roots of one's own take no rights.
                let roots = self.wire.answer(store.quota_roots(&user, &MailboxName::inbox())).await?;
                let Some(root) = roots.iter().find(|root| root.name == name) else {
                    let (code, text) = (Some(ResponseCode::NonExistent), "no such quota root".into());
                    self.answer(Answer::No { code, text });
                    return Ok(());
                };
                self.answer(Answer::Quota(root));
            }
            QuotaQuestion::Roots(mailbox) => {
                let roots: Vec<QuotaRoot> = self.wire.answer(store.quota_roots(&user, &mailbox)).await?;
                let names: Vec<&str> = roots.iter().map(|root| root.name.as_str()).collect();
                self.answer(Answer::QuotaRoots(&names));
                roots.iter().for_each(|root| self.answer(Answer::Quota(root)));
            }
            // A question of a later version of the protocol crate.
            _ => {
                self.answer(Answer::No { code: None, text: "not supported here".into() });
                return Ok(());
            }
        }
        self.answer(Answer::Done);
        Ok(())
    }
}
