//! Looks at folders that nobody asked for, because we put something there and somebody waits to hear of it.
//!
//! Whoever was just told something is told more with the next beat. Until then nobody waits, and whatever is put into the folder
//! meanwhile is one look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::looks::AskedAt;
use super::shared::Shared;

/// Behind a look that took so long nobody looks unasked for so many times as long: whoever delivers into a large folder again and
/// again must not have it read each time for those who wait for news of it.
const LOOK_SHARE: u32 = 9;
/// But no longer than this: most of a look that takes seconds may be another program that holds a lock.
const REST_MAX: Duration = Duration::from_secs(5);

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
            look(asked);
        }
    }

    /// Somebody has looked, asked or not, and it took so long.
    pub(super) fn looked(&self, took: Duration) {
        self.state().next = Some(Instant::now() + took.saturating_mul(LOOK_SHARE).min(REST_MAX));
    }

    /// How long nobody looks unasked from now on. Zero: now is as good as later.
    pub(super) fn rest(&self) -> Duration {
        let next = self.state().next;
        next.map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()))
    }
}

/// Somebody is on the way to look as long as this is there.
struct Begun(Weak<Shared>);

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(folder) = self.0.upgrade() {
            folder.unasked.state().begun = false;
        }
    }
}

/// Something was put into a folder.
pub(super) fn put_into(folder: &Arc<Shared>) {
    folder.unasked.state().stale = Some(folder.now());
    look_if_awaited(folder);
}

/// Has a folder looked at if something was put there and somebody waits to hear of it. Who begins to wait calls this afterwards.
/// Nobody waits for the look: it can take as long as another program holds the lock.
///
/// It is looked at where somebody waits, and not where something was put there: that runtime may end before, or know no time.
pub(super) fn look_if_awaited(folder: &Arc<Shared>) {
    {
        let mut state = folder.unasked.state();
        if state.stale.is_none() || state.begun || !folder.is_awaited() {
            return;
        }
        state.begun = true;
    }
    // Whatever becomes of the task, the next who puts something there begins another.
    let begun = Begun(Arc::downgrade(folder));
    let Some(runtime) = folder.news.runtime().or_else(|| Handle::try_current().ok()) else { return };
    let rest = folder.unasked.rest();
    runtime.spawn(async move {
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        // Nobody is kept here by a rest: a folder is let go when its last session ends.
        let Some(folder) = begun.0.upgrade() else { return };
        let (shared, lane) = (Arc::clone(&folder), folder.lane.clone());
        let looked = lane.run(move || {
            shared.catch_up();
            drop(begun);
            Ok(())
        });
        // Trouble meets the sessions again when they look themselves.
        let _ = looked.await;
        look_if_awaited(&folder);
    });
}

/// A store of one account to which the disk itself tells nothing as long as a test runs.
#[cfg(test)]
pub(super) fn without_notices(root: std::path::PathBuf) -> super::MaildirStore {
    let mut never = pillarbox_maildir::WatchOptions::default();
    (never.notices_max, never.rescan_every, never.gather) = (0, Duration::from_secs(3600), Duration::from_secs(3600));
    super::MaildirStore::new(move |_| Some(root.clone())).watch(never)
}

#[cfg(test)]
mod tests {
    use pillarbox_imap::types::MailboxName;
    use tokio::runtime::Builder;

    use super::*;
    use crate::parts::{Append, Identity, MailboxStore};

    #[test]
    fn behind_a_long_look_there_is_a_rest_but_no_endless_one() {
        let unasked = Unasked::default();
        assert_eq!(unasked.rest(), Duration::ZERO, "nobody has looked");
        unasked.looked(Duration::from_secs(30));
        assert!(unasked.rest() <= REST_MAX && unasked.rest() > REST_MAX / 2);
        unasked.looked(Duration::from_millis(100));
        assert!(unasked.rest() <= Duration::from_millis(900));
        unasked.looked(Duration::ZERO);
        assert_eq!(unasked.rest(), Duration::ZERO);
    }

    #[test]
    fn who_waits_hears_it_though_the_runtime_of_who_delivered_ends() {
        let dir = tempfile::tempdir().unwrap();
        let store = without_notices(dir.path().join("Maildir"));
        let (you, inbox) = (Identity::new("you"), MailboxName::inbox());
        let waits = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut mailbox = waits.block_on(store.open(&you, &inbox, false)).unwrap();
        waits.block_on(mailbox.snapshot()).unwrap();
        let waiting = waits.spawn(async move { mailbox.changes().await.unwrap().len() });
        let open = || store.inner.open.lock().unwrap().values().find_map(Weak::upgrade);
        let folder = open().unwrap();
        let soon = Duration::from_secs(15);
        waits.block_on(async {
            let awaited = async {
                while !folder.is_awaited() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(soon, awaited).await.unwrap();
        });
        // One that knows no time, and ends while the folder rests.
        let delivers = Builder::new_current_thread().build().unwrap();
        folder.unasked.looked(Duration::from_millis(20));
        delivers.block_on(async {
            let mut append = store.append(&you, &inbox, Append::default()).await.unwrap();
            append.write(b"Subject: news\n\n").await.unwrap();
            append.publish().await.unwrap();
        });
        drop(delivers);
        assert_eq!(waits.block_on(async { tokio::time::timeout(soon, waiting).await }).unwrap().unwrap(), 1);
    }
}
