//! Messages that a client puts into mailboxes.

use std::sync::Arc;

use pillarbox_imap::server::{Answer, AppendStart};

use super::progress::Counted;
use super::{Connection, Sources, Trouble, no_mailbox, try_create};
use crate::parts::Append;

impl Connection {
    /// A message is announced: the first of a command, or another one.
    pub(super) async fn append_start(&mut self, start: AppendStart) -> Result<(), Trouble> {
        let user = self.user()?;
        let AppendStart { mailbox, index, flags, date, size, replaces, .. } = start;
        if index == 0 {
            self.sources = Sources::default();
        }
        let append = Append { flags, date, size, wants_uid: true, ..Append::default() };
        self.append_to = Some(mailbox.clone());
        let begun = match (replaces, index, self.append.take()) {
            (Some(replaced), ..) => {
                let Some(selected) = &mut self.selected else { return Err(no_mailbox().into()) };
                self.wire.answer(selected.replace(replaced, &mailbox, append)).await
            }
            (None, 0, _) => {
                let store = Arc::clone(&self.shared.parts.store);
                self.wire.answer(store.append(&user, &mailbox, append)).await
            }
            (None, _, Some(mut before)) => self.wire.answer(before.next(append)).await.map(|()| before),
            (None, _, None) => Err(no_mailbox()),
        };
        match begun {
            Ok(append) => {
                self.append = Some(append);
                self.answer(Answer::Done);
            }
            Err(error) => self.refuse(&error, try_create(&error)),
        }
        Ok(())
    }

    pub(super) async fn append_end(&mut self) -> Result<(), Trouble> {
        self.sources = Sources::default();
        let Some(mut append) = self.append.take() else { return Err(no_mailbox().into()) };
        let appended = Counted::new(&self.shared, None, None).wait(&mut self.wire, append.publish()).await;
        // What the selected mailbox learns of the message may go out with the answer; or that another one was quicker.
        self.look().await;
        let appended = appended?;
        match appended.uids {
            Some((uid_validity, uids)) => {
                if let Some(mailbox) = self.append_to.take() {
                    self.brought(&mailbox, uids.iter().copied());
                }
                self.answer(Answer::Appended { uid_validity, uids: &uids });
            }
            None => self.answer(Answer::Done),
        }
        Ok(())
    }
}
