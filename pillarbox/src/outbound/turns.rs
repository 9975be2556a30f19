//! Whose turn it is to write down something about a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_spool::MessageId;
use tokio::sync::{Mutex as Gate, OwnedMutexGuard};

/// Who decides by what is known of a message what is to be written down must not be overtaken: each message has one turn.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<MessageId, Arc<Gate<()>>>>);

/// A turn that somebody has.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    id: MessageId,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody has the turn of this message.
    pub(super) async fn take(&self, id: MessageId) -> Turn<'_> {
        let mut turn = Turn { turns: self, id, held: None };
        let gate = Arc::clone(self.all().entry(id).or_default());
        turn.held = Some(gate.lock_owned().await);
        turn
    }

    fn all(&self) -> MutexGuard<'_, HashMap<MessageId, Arc<Gate<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut all = self.turns.all();
        self.held = None;
        // Whoever waits holds the gate as well.
        if all.get(&self.id).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_is_waited_for_and_forgotten() {
        let (turns, ids) = (Turns::default(), [1, 2].map(|n| MessageId::from_octets([n; 10])));
        let first = turns.take(ids[0]).await;
        drop(turns.take(ids[1]).await);
        let mut second = Box::pin(turns.take(ids[0]));
        assert!(futures_pending(&mut second).await);
        drop(first);
        drop(second.await);
        // One that was given up while it was waited for.
        let third = turns.take(ids[0]).await;
        let mut fourth = Box::pin(turns.take(ids[0]));
        assert!(futures_pending(&mut fourth).await);
        drop((fourth, third));
        assert!(turns.all().is_empty());
    }

    async fn futures_pending(future: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())).await
    }
}
