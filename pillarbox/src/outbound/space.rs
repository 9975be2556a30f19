//! Whether there is room for a message, without asking the disk each time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pillarbox_core::Time;
use pillarbox_spool::StoreError;

use super::disk::Blocking;

type Result<T> = std::result::Result<T, StoreError>;

/// How long an answer of the disk counts, and for how many octets: there was room for these too.
const KNOWN_FOR: Duration = Duration::from_secs(1);
const AHEAD: u64 = 16 << 20;
/// What a message counts for that did not say its size.
const UNTOLD: u64 = 64 * 1024;

/// What the disk said last.
#[derive(Default)]
pub(super) struct Space(Mutex<Option<Known>>);

struct Known {
    until: Time,
    /// Octets that it still counts for.
    left: u64,
}

impl Space {
    /// Whether a message may come, of this size if it said so. With plenty of room `check_room` is asked now and then; with less,
    /// for each message.
    pub(super) async fn check(
        &self,
        now: Time,
        disk: &Blocking,
        size: Option<u64>,
        check_room: impl Fn(u64) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let counted = size.unwrap_or(UNTOLD);
        if self.known().as_mut().is_some_and(|known| known.covers(now, counted)) {
            return Ok(());
        }
        let (plenty, room) = disk
            .run(move || match check_room(counted.saturating_add(AHEAD)) {
                Err(StoreError::NoRoom) => (false, check_room(size.unwrap_or(0))),
                answer => (answer.is_ok(), answer),
            })
            .await;
        *self.known() = plenty.then_some(Known { until: now + KNOWN_FOR, left: AHEAD });
        room
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn covers(&mut self, now: Time, size: u64) -> bool {
        let is_covered = now < self.until && size <= self.left;
        if is_covered {
            self.left -= size;
        }
        is_covered
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::outbound::Disk;

    #[tokio::test]
    async fn the_disk_is_asked_once_in_a_while() {
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let (space, disk, start) = (Space::default(), Blocking::new(Disk::Here), Time::from_origin(Duration::ZERO));
        let set = |octets| free.store(octets, Ordering::Relaxed);
        let check = async |at: Time, size| {
            let free = Arc::clone(&free);
            let room = move |size| if size <= free.load(Ordering::Relaxed) { Ok(()) } else { Err(StoreError::NoRoom) };
            space.check(at, &disk, Some(size), room).await.is_ok()
        };
        assert!(check(start, 100).await);
        // It fills up behind our back: what was let in ahead is let in, and no more.
        set(50);
        assert!(check(start, AHEAD / 2).await && check(start, AHEAD / 2).await && !check(start, 100).await);
        // Near the end each message is asked for.
        assert!(check(start, 50).await && !check(start, 51).await && check(start, 50).await);
        set(u64::MAX);
        assert!(check(start, 100).await);
        set(0);
        assert!(check(start, 100).await && !check(start + KNOWN_FOR, 100).await);
    }
}
