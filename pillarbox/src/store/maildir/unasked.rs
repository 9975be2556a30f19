//! Looks at folders that nobody asked for, because we put something there and somebody waits to hear of it.
//!
//! Whoever was just told something is told more with the next beat. Until then nobody waits, and whatever is put into the folder
//! meanwhile is one look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::looks::AskedAt;
use super::shared::Shared;

/// Behind a look that took so long nobody looks unasked for so many times as long: whoever delivers into a large folder again and
/// again must not have it read each time for those who wait for news of it.
const LOOK_SHARE: u32 = 9;

/// What is known of such looks at one folder.
#[derive(Default)]
pub(super) struct Unasked(Mutex<State>);

#[derive(Default)]
struct State {
    /// When something was put there last, if nobody has looked since.
    stale: Option<AskedAt>,
    /// Somebody is on the way to look.
    begun: bool,
    /// Nobody looks before.
    next: Option<Instant>,
}

impl Unasked {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks if something was put there and nobody has looked since.
    pub(super) fn catch_up(&self, look: impl FnOnce(AskedAt)) {
        let stale = self.state().stale.take();
        if let Some(asked) = stale {
            let begun = Instant::now();
            look(asked);
            let next = Instant::now() + begun.elapsed() * LOOK_SHARE;
            self.state().next = Some(next);
        }
    }
}

/// Somebody is on the way to look as long as this is there.
struct Begun(Arc<Shared>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.unasked.state().begun = false;
    }
}

/// Something was put into a folder.
pub(super) fn put_into(folder: &Arc<Shared>) {
    folder.unasked.state().stale = Some(folder.now());
    look_if_awaited(folder);
}

/// Has a folder looked at if something was put there and somebody waits to hear of it. Who begins to wait calls this afterwards.
/// Nobody waits for the look: it can take as long as another program holds the lock.
pub(super) fn look_if_awaited(folder: &Arc<Shared>) {
    let next = {
        let mut state = folder.unasked.state();
        if state.stale.is_none() || state.begun || !folder.is_awaited() {
            return;
        }
        state.begun = true;
        state.next
    };
    let begun = Begun(Arc::clone(folder));
    tokio::spawn(async move {
        if let Some(next) = next {
            tokio::time::sleep_until(next.into()).await;
        }
        let (folder, lane) = (Arc::clone(&begun.0), begun.0.lane.clone());
        let looked = lane.run(move || {
            begun.0.catch_up();
            Ok(())
        });
        // Trouble meets the sessions again when they look themselves.
        let _ = looked.await;
        look_if_awaited(&folder);
    });
}
