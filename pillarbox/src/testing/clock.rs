//! A clock that stands still.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use pillarbox_core::{Time, WallTime};

use crate::parts::{BoxFuture, Clock};

/// A clock that only moves when it is told to. All clones are one clock.
///
/// ```
/// use std::time::Duration;
/// use pillarbox::parts::Clock;
/// use pillarbox::testing::SteppedClock;
///
/// let clock = SteppedClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(300));
/// assert_eq!(clock.now() - before, Duration::from_secs(300));
/// assert_eq!(clock.wall().to_string(), "Sat, 14 Feb 2009 00:36:30 +0000");
/// ```
#[derive(Clone, Debug, Default)]
pub struct SteppedClock {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    now: Duration,
    /// Who waits for which moment, until they have left: in that order, so that those whose moment has not come cost nothing.
    sleepers: BTreeMap<(Time, u64), Option<Waker>>,
    /// Tells sleepers of one moment apart.
    next: u64,
    /// Who waits for a sleeper, or for time to pass.
    watchers: Vec<Waker>,
}

/// The date when a stepped clock begins: a second chosen to be told from zero in a Received field.
const WALL_ORIGIN: i64 = 1_234_571_490;

impl SteppedClock {
    /// A clock at its origin; its date is 14 February 2009, 00:31:30 UTC.
    pub fn new() -> Self {
        SteppedClock::default()
    }

    /// Lets so much time pass, and wakes whoever waited for it.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.now += duration;
        let now = Time::from_origin(state.now);
        let due = state.sleepers.range_mut(..=(now, u64::MAX)).filter_map(|(_, waker)| waker.take());
        let mut wakers: Vec<_> = due.collect();
        wakers.append(&mut state.watchers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until somebody sleeps until the moment that is so far from now: then the code under test has come to the place
    /// where only time can bring it on.
    pub async fn sleeper(&self, from_now: Duration) {
        self.sleeper_of(&[from_now]).await;
    }

    /// Lets time pass whenever somebody sleeps for just so long, one of these, again and again: whoever waits because of a
    /// wrong password goes on at once, and a timeout of minutes does not come. Never ends.
    pub async fn pass_over(&self, waits: &[Duration]) {
        loop {
            let wait = self.sleeper_of(waits).await;
            self.advance(wait);
        }
    }

    /// Waits for a sleeper that is so far from waking, and says how far.
    async fn sleeper_of(&self, waits: &[Duration]) -> Duration {
        let now = self.now();
        poll_fn(|cx| {
            let mut state = self.state();
            let sleeps = |moment| state.sleepers.range((moment, 0)..=(moment, u64::MAX)).next().is_some();
            if let Some(wait) = waits.iter().find(|wait| sleeps(now + **wait)) {
                return Poll::Ready(*wait);
            }
            state.watchers.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Time {
        Time::from_origin(self.state().now)
    }

    fn wall(&self) -> WallTime {
        let seconds = self.now().since_origin().as_secs();
        WallTime::new(WALL_ORIGIN + i64::try_from(seconds).unwrap_or(i64::MAX / 2), 0)
    }

    fn sleep_until(&self, moment: Time) -> BoxFuture<'_, ()> {
        let mut state = self.state();
        let place = (moment, state.next);
        state.next += 1;
        state.sleepers.insert(place, None);
        let watchers = std::mem::take(&mut state.watchers);
        drop(state);
        watchers.into_iter().for_each(Waker::wake);
        let sleeper = Sleeper { clock: self.clone(), place };
        Box::pin(async move {
            poll_fn(|cx| {
                let mut state = sleeper.clock.state();
                if Time::from_origin(state.now) >= moment {
                    return Poll::Ready(());
                }
                state.sleepers.insert(sleeper.place, Some(cx.waker().clone()));
                Poll::Pending
            })
            .await;
        })
    }
}

/// A place among the sleepers; leaves it when dropped.
struct Sleeper {
    clock: SteppedClock,
    place: (Time, u64),
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_in_their_order() {
        let clock = SteppedClock::new();
        let nap = |seconds| {
            let clock = clock.clone();
            tokio::spawn(async move {
                clock.sleep_until(Time::ZERO + Duration::from_secs(seconds)).await;
                clock.now()
            })
        };
        let (short, long) = (nap(1), nap(5));
        clock.sleeper(Duration::from_secs(1)).await;
        clock.sleeper(Duration::from_secs(5)).await;
        clock.advance(Duration::from_secs(1));
        assert_eq!(short.await.unwrap(), Time::ZERO + Duration::from_secs(1));
        assert!(!long.is_finished());
        clock.advance(Duration::from_secs(4));
        assert_eq!(long.await.unwrap(), Time::ZERO + Duration::from_secs(5));
        assert!(clock.state().sleepers.is_empty());
    }
}
