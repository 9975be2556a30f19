//! Whose search may look at messages now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::parts::Identity;

const NEVER_CLOSED: &str = "these semaphores are never closed";

/// The turns of all searches of a server.
///
/// Each user waits in one lane, whatever the number of their searches, and only its first waits for a slot. Both queues are
/// first come, first served, and a turn lasts for a slice: so as many users as wait share the slots evenly.
pub(super) struct Searches {
    slots: Arc<Semaphore>,
    /// How many searches each user has, and their lane. The standard map's hash is seeded.
    lanes: Mutex<HashMap<Identity, (usize, Queues)>>,
}

/// Where the searches of one user wait.
#[derive(Clone)]
struct Queues {
    /// The first of them waits for a slot.
    first: Arc<Semaphore>,
    /// One of them gathers what messages are put in order by.
    sorting: Arc<Semaphore>,
}

/// The lane of a user, for one search.
pub(super) struct Lane {
    searches: Arc<Searches>,
    user: Identity,
    queues: Queues,
}

/// Held while a slice is worked on.
pub(super) struct Turn {
    _slot: OwnedSemaphorePermit,
    _first: OwnedSemaphorePermit,
}

/// Held while what a whole mailbox is put in order by is in memory: each user has that once, in however many sessions they sort.
pub(super) struct Sorting {
    /// It had to wait for another one.
    pub(super) waited: bool,
    _permit: OwnedSemaphorePermit,
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
        let one = || Arc::new(Semaphore::new(1));
        let (count, queues) = lanes.entry(user.clone()).or_insert_with(|| (0, Queues { first: one(), sorting: one() }));
        *count += 1;
        Lane { searches: Arc::clone(searches), user, queues: queues.clone() }
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
        let first = Arc::clone(&self.queues.first).acquire_owned().await.expect(NEVER_CLOSED);
        let slot = Arc::clone(&self.searches.slots).acquire_owned().await.expect(NEVER_CLOSED);
        Turn { _slot: slot, _first: first }
    }

    /// Waits until the user puts nothing else in order. Nobody waits for this who has a turn.
    pub(super) async fn sorting(&self) -> Sorting {
        let queue = &self.queues.sorting;
        match Arc::clone(queue).try_acquire_owned() {
            Ok(permit) => Sorting { waited: false, _permit: permit },
            Err(_) => {
                let permit = Arc::clone(queue).acquire_owned().await.expect(NEVER_CLOSED);
                Sorting { waited: true, _permit: permit }
            }
        }
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

    #[test]
    fn a_user_puts_one_mailbox_in_order_at_a_time() {
        let searches = Arc::new(Searches::new(1));
        let lanes = ["joe", "joe", "ann"].map(|user| Searches::lane(&searches, Identity::new(user)));
        let mut waits = lanes.each_ref().map(|lane| Box::pin(lane.sorting()));
        let mut poll = |at: usize| match waits[at].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sorting) => Some(sorting),
            Poll::Pending => None,
        };
        let first = poll(0).expect("nobody sorts yet");
        assert!(!first.waited && poll(1).is_none());
        assert!(poll(2).is_some_and(|anns| !anns.waited), "another user does not wait");
        // Whoever sorts takes turns like others.
        assert!(pin!(lanes[0].turn()).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        drop(first);
        assert!(poll(1).is_some_and(|second| second.waited));
    }
}
