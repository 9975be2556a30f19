//! How much may be kept, and how much is.

use std::sync::Arc;

use pillarbox_imap::quota::{QuotaQuestion, QuotaRoot};
use pillarbox_imap::server::Answer;
use pillarbox_imap::types::ResponseCode;

use super::{Connection, Trouble};
use crate::parts::{StoreError, StoreErrorKind};

impl Connection {
    pub(super) async fn quota(&mut self, question: QuotaQuestion) -> Result<(), Trouble> {
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        match question {
            QuotaQuestion::Root(name) => {
                let root = self.wire.answer(store.quota_root(&user, &name)).await;
                if !self.root_told(root)? {
                    return Ok(());
                }
            }
            QuotaQuestion::Set { root, limits } => {
                let root = self.wire.answer(store.set_quota(&user, &root, &limits)).await;
                if !self.root_told(root)? {
                    return Ok(());
                }
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

    /// Tells what a root limits; false, with everything said, if there is none.
    fn root_told(&mut self, root: Result<QuotaRoot, StoreError>) -> Result<bool, Trouble> {
        match root {
            Ok(root) => self.answer(Answer::Quota(&root)),
            Err(error) if error.kind == StoreErrorKind::NoSuchMailbox => {
                let (code, text) = (Some(ResponseCode::NonExistent), "no such quota root".into());
                self.answer(Answer::No { code, text });
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}
