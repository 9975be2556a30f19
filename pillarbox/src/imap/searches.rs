//! Whose search may look at messages now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::parts::Identity;

/// The turns of all searches of a server.
///
/// Each user waits in one lane, whatever the number of their searches, and only its first waits for a slot. Both queues are
/// first come, first served, and a turn lasts for a slice: so as many users as wait share the slots evenly.
pub(super) struct Searches {
    slots: Arc<Semaphore>,
    /// How many searches each user has, and their lane. The standard map's hash is seeded.
    lanes: Mutex<HashMap<Identity, (usize, Arc<Semaphore>)>>,
}

/// The lane of a user, for one search.
pub(super) struct Lane {
    searches: Arc<Searches>,
    user: Identity,
    first: Arc<Semaphore>,
}

/// Held while a slice is worked on.
pub(super) struct Turn {
    _slot: OwnedSemaphorePermit,
    _first: OwnedSemaphorePermit,
}

impl Searches {
    /// At most so many slices at a time, and at least one.
    pub(super) fn new(max: usize) -> Self {
        let slots = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        Searches { slots, lanes: Mutex::default() }
    }

    /// Begins a search of this user.
    pub(super) fn lane(searches: &Arc<Searches>, user: Identity) -> Lane {
        let mut lanes = searches.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, first) = lanes.entry(user.clone()).or_insert_with(|| (0, Arc::new(Semaphore::new(1))));
        *count += 1;
        Lane { searches: Arc::clone(searches), user, first: Arc::clone(first) }
    }
}

impl Default for Searches {
    /// Half of the processors, so that the other half goes on serving.
    fn default() -> Self {
        Searches::new(std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2))
    }
}

impl Lane {
    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn {
        let never = "these semaphores are never closed";
        let first = Arc::clone(&self.first).acquire_owned().await.expect(never);
        let slot = Arc::clone(&self.searches.slots).acquire_owned().await.expect(never);
        Turn { _slot: slot, _first: first }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.searches.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((count, _)) = lanes.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                lanes.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_user_with_many_searches_waits_as_long_as_one_with_one() {
        let searches = Arc::new(Searches::new(1));
        let joe: Vec<Lane> = (0..3).map(|_| Searches::lane(&searches, Identity::new("joe"))).collect();
        let ann = Searches::lane(&searches, Identity::new("ann"));
        let mut waits = joe.iter().chain([&ann]).map(|lane| Box::pin(lane.turn())).collect::<Vec<_>>();
        let mut poll = |at: usize| match waits[at].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        };
        let first = poll(0);
        assert!(first.is_some() && (1..4).all(|at| poll(at).is_none()));
        drop(first);
        // The slot is Ann's before the second of Joe's searches can ask for it.
        let anns = poll(3);
        assert!(anns.is_some() && poll(1).is_none() && poll(2).is_none());
        drop(anns);
        assert!(poll(1).is_some());
        drop(waits);
        drop((joe, ann));
        assert!(searches.lanes.lock().unwrap().is_empty());
        let lane = Searches::lane(&searches, Identity::new("ann"));
        assert!(pin!(lane.turn()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
