//! What an operator does with the queue.

use std::sync::atomic::Ordering;

use pillarbox_spool::{Change, Message, MessageId, NextTry, Selector, StoreError, Usage};

use super::shared;

/// Looks into the queue and changes what waits in it, while it is at work.
#[derive(Clone)]
pub struct OutboundHandle(shared::Handle);

impl OutboundHandle {
    pub(super) const fn new(shared: shared::Handle) -> Self {
        OutboundHandle(shared)
    }

    /// The waiting messages behind this one (from the first with `None`), at most so many, in order.
    pub fn list(&self, after: Option<MessageId>, max: usize) -> Vec<MessageId> {
        self.0.store.ids(after, max)
    }

    /// Whether what was waiting before the start is still being read: then lists miss some of it, and so does what is done about
    /// messages by a selector.
    pub fn is_reading(&self) -> bool {
        !self.0.recovered.load(Ordering::Acquire)
    }

    /// How much there is.
    pub fn usage(&self) -> Usage {
        self.0.store.usage()
    }

    /// A message with the history of each recipient.
    ///
    /// # Errors
    ///
    /// As [`Store::message`](pillarbox_spool::Store::message).
    pub async fn show(&self, id: MessageId) -> Result<Message, StoreError> {
        let store = self.0.store.clone();
        self.0.disk.run(move || store.message(id)).await
    }

    /// When the recipients of a message are tried next, those that go one way together.
    pub fn next_tries(&self, id: MessageId) -> Vec<(Vec<u32>, NextTry)> {
        self.0.schedule().next_tries(self.0.parts.clock.now(), id)
    }

    /// Keeps messages from being tried, also after a restart. Attempts under way go on. Gives those that were not held.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; nothing is held then.
    pub async fn hold(&self, selector: Selector<'_>) -> Result<Vec<MessageId>, StoreError> {
        let ids = self.0.schedule().hold(self.0.parts.clock.now(), selector);
        let held = self.write(&ids, Change::Hold).await;
        if held.is_err() {
            for id in &ids {
                self.0.schedule().release(self.0.parts.clock.now(), Selector::Id(*id));
            }
            self.0.wake.notify_one();
        }
        held.map(|()| ids)
    }

    /// Lets held messages go on. Gives those that were held.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; they go on now, and are held again after a restart.
    pub async fn release(&self, selector: Selector<'_>) -> Result<Vec<MessageId>, StoreError> {
        let ids = self.0.schedule().release(self.0.parts.clock.now(), selector);
        self.0.wake.notify_one();
        self.write(&ids, Change::Release).await?;
        Ok(ids)
    }

    /// Tries messages now. Gives them.
    pub fn flush(&self, selector: Selector<'_>) -> Vec<MessageId> {
        let ids = self.0.schedule().flush(self.0.parts.clock.now(), selector);
        self.0.wake.notify_one();
        ids
    }

    /// Tries messages now, and waits as for new ones from there on. Gives them.
    pub fn requeue(&self, selector: Selector<'_>) -> Vec<MessageId> {
        let ids = self.0.schedule().requeue(self.0.parts.clock.now(), selector);
        self.0.wake.notify_one();
        ids
    }

    /// Forgets messages. Nobody is told. Gives their names.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; they are not tried any more now, and will be after a restart.
    pub async fn delete(&self, selector: Selector<'_>) -> Result<Vec<MessageId>, StoreError> {
        let ids = self.0.schedule().delete(self.0.parts.clock.now(), selector);
        self.write(&ids, Change::Delete).await?;
        Ok(ids)
    }

    /// One change for each message, in one group of the log. What has finished meanwhile is left out.
    async fn write(&self, ids: &[MessageId], change: fn(MessageId) -> Change) -> Result<(), StoreError> {
        let (store, ids) = (self.0.store.clone(), ids.to_vec());
        let made = self.0.disk.run(move || {
            let mut commits = Vec::new();
            for id in ids {
                match store.commit(vec![change(id)]) {
                    Ok(commit) => commits.push(commit),
                    Err(StoreError::NoSuchMessage(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            commits.into_iter().try_for_each(pillarbox_spool::Commit::wait)
        });
        made.await
    }
}
