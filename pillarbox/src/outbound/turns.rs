//! Whose turn it is to do what one at a time may do: to write down something about a message, to fetch the policy of a domain.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Gate, OwnedMutexGuard};

/// Who decides by what is known of a message or domain what is to be done must not be overtaken: each has one turn.
pub(super) struct Turns<K>(Mutex<HashMap<K, Arc<Gate<()>>>>);

/// A turn that somebody has.
pub(super) struct Turn<'a, K: Hash + Eq> {
    turns: &'a Turns<K>,
    of: K,
    held: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Turns(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Waits until nobody has the turn of this one.
    pub(super) async fn take(&self, of: K) -> Turn<'_, K> {
        let gate = Arc::clone(self.all().entry(of.clone()).or_default());
        let mut turn = Turn { turns: self, of, held: None };
        turn.held = Some(gate.lock_owned().await);
        turn
    }
}

impl<K> Turns<K> {
    fn all(&self) -> MutexGuard<'_, HashMap<K, Arc<Gate<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut all = self.turns.all();
        self.held = None;
        // Whoever waits holds the gate as well.
        if all.get(&self.of).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            all.remove(&self.of);
        }
    }
}

#[cfg(test)]
mod tests {
    use pillarbox_spool::MessageId;

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
