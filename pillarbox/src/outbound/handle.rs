//! What an operator does with the queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pillarbox_core::Time;
use pillarbox_spool::{
    Body, Change, Cursor, Message, MessageId, NextTry, Schedule, Selector, Store, StoreError, Usage,
};

use super::shared;

/// Messages that are changed in one group of the log.
const AT_ONCE: usize = 1000;

/// Messages, and ways that their recipients go, that are looked at while nobody else has the schedule: what a thousand of them
/// take is less than a sync of the disk.
const LOOKED_AT: usize = 1000;

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

    /// The content of a message.
    ///
    /// # Errors
    ///
    /// As [`Store::body`](pillarbox_spool::Store::body).
    pub async fn body(&self, id: MessageId) -> Result<Body, StoreError> {
        let store = self.0.store.clone();
        self.0.disk.run(move || store.body(id)).await
    }

    /// When the recipients of a message are tried next, those that go one way together.
    pub fn next_tries(&self, id: MessageId) -> Vec<(Vec<u32>, NextTry)> {
        self.0.schedule().next_tries(self.0.parts.clock.now(), id)
    }

    /// Keeps messages from being tried, also after a restart. Attempts under way go on. Gives those that were not held.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] with those that are held now.
    pub async fn hold(&self, selector: Selector<'_>) -> Result<Vec<MessageId>, Interrupted> {
        self.change(selector, |is_held| !is_held, Change::Hold, Schedule::hold).await
    }

    /// Lets held messages go on. Gives those that were held.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] with those that go on.
    pub async fn release(&self, selector: Selector<'_>) -> Result<Vec<MessageId>, Interrupted> {
        self.change(selector, |is_held| is_held, Change::Release, Schedule::release).await
    }

    /// Tries messages now. Gives them.
    pub async fn flush(&self, selector: Selector<'_>) -> Vec<MessageId> {
        let ids = self.slices(selector, Schedule::flush_slice).await;
        self.0.wake.notify_one();
        ids
    }

    /// Tries messages now, and waits as for new ones from there on. Gives them.
    pub async fn requeue(&self, selector: Selector<'_>) -> Vec<MessageId> {
        let ids = self.slices(selector, Schedule::requeue_slice).await;
        self.0.wake.notify_one();
        ids
    }

    /// Forgets messages. Nobody is told. Gives their names.
    ///
    /// # Errors
    ///
    /// [`Interrupted`] with those that are forgotten.
    pub async fn delete(&self, selector: Selector<'_>) -> Result<Vec<MessageId>, Interrupted> {
        self.change(selector, |_| true, Change::Delete, Schedule::delete).await
    }

    /// Looks at the messages that are meant, some at a time; in between, whoever else waits for the schedule has it.
    async fn slices<T>(
        &self,
        selector: Selector<'_>,
        slice: impl Fn(&mut Schedule, Time, Selector<'_>, &mut Cursor) -> Vec<T>,
    ) -> Vec<T> {
        let some: Vec<Selector<'_>> = match selector {
            Selector::Ids(ids) => ids.chunks(LOOKED_AT).map(Selector::Ids).collect(),
            other => vec![other],
        };
        let mut all = Vec::new();
        for selector in some {
            let mut cursor = Cursor::new(LOOKED_AT);
            while !cursor.is_over() {
                let now = self.0.parts.clock.now();
                let done = slice(&mut self.0.schedule(), now, selector, &mut cursor);
                all.extend(done);
                self.0.let_others().await;
            }
        }
        all
    }

    /// Changes messages, so many at once in one group of the log, and then in the schedule. What has finished meanwhile is left out.
    async fn change(
        &self,
        selector: Selector<'_>,
        is_meant: fn(bool) -> bool,
        change: fn(MessageId) -> Change,
        schedule: fn(&mut Schedule, Time, Selector<'_>) -> Vec<MessageId>,
    ) -> Result<Vec<MessageId>, Interrupted> {
        let shared = Arc::clone(&self.0);
        // Two of them must not come to the log in one order, and to the schedule in the other.
        let turn = Arc::clone(&shared.operator).lock_owned().await;
        let known =
            self.slices(selector, |schedule, now, meant, cursor| schedule.select_slice(now, meant, cursor)).await;
        // One that could not be read is in the log alone.
        let mut ids: BTreeSet<MessageId> = match selector {
            Selector::Id(id) => [id].into(),
            Selector::Ids(ids) => ids.iter().copied().collect(),
            _ => BTreeSet::new(),
        };
        for (id, is_held) in known {
            if is_meant(is_held) {
                ids.insert(id)
            } else {
                ids.remove(&id)
            };
        }
        let ids: Vec<MessageId> = ids.into_iter().collect();
        // Once begun it is done to its end, whether this is still waited for or not.
        let made = self.0.disk.run(move || {
            let _turn = turn;
            let mut done = Vec::new();
            for some in ids.chunks(AT_ONCE) {
                match write(&shared.store, some.to_vec(), change) {
                    Ok(made) => {
                        let now = shared.parts.clock.now();
                        for id in &made {
                            shared.fresh.forget(*id);
                            schedule(&mut shared.schedule(), now, Selector::Id(*id));
                        }
                        done.extend(made);
                    }
                    Err(error) => return Err(Interrupted { done, error }),
                }
            }
            Ok(done)
        });
        let made = made.await;
        self.0.wake.notify_one();
        self.0.grown.notify_one();
        made
    }
}

/// Blocks. Gives those that were there.
fn write(
    store: &Store,
    mut ids: Vec<MessageId>,
    change: fn(MessageId) -> Change,
) -> Result<Vec<MessageId>, StoreError> {
    while !ids.is_empty() {
        match store.commit(ids.iter().copied().map(change).collect()) {
            Ok(commit) => {
                commit.wait()?;
                break;
            }
            Err(StoreError::NoSuchMessage(id)) => ids.retain(|known| *known != id),
            Err(error) => return Err(error),
        }
    }
    Ok(ids)
}

/// The disk failed on the way. What was done is so, also after a restart; of the others each is as it was, unless the machine
/// stops before anything else is written: then it may be found changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} messages were changed, and then: {error}", done.len())]
#[non_exhaustive]
pub struct Interrupted {
    /// Those that were changed.
    pub done: Vec<MessageId>,
    /// Why the others were not.
    #[source]
    pub error: StoreError,
}

impl From<Interrupted> for StoreError {
    fn from(interrupted: Interrupted) -> Self {
        interrupted.error
    }
}
