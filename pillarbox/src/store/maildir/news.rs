//! What other programs do in folders that somebody waits for news of.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use pillarbox_maildir::{Watch, WatchOptions, Watcher};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::shared::Shared;
use super::unasked::look_if_awaited;
use super::{Inner, Result};
use crate::parts::{BoxFuture, StoreError, StoreErrorKind};

/// How long a folder is left alone after a look at least, so that a busy one does not keep a thread busy.
pub(super) const LOOKS_APART: Duration = Duration::from_millis(250);
/// When trouble is looked at again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(5);
/// When a folder is looked at again that has to be at rest for two seconds before it shows everything.
const REST: Duration = Duration::from_millis(2250);

/// The one thread that waits for the disk, from the first time that somebody waits for news on.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) options: Mutex<WatchOptions>,
    watcher: OnceLock<Watcher>,
}

impl Disk {
    pub(super) fn watcher(&self, inner: &Arc<Inner>) -> Result<&Watcher> {
        if let Some(watcher) = self.watcher.get() {
            return Ok(watcher);
        }
        let options = lock(&self.options);
        if let Some(watcher) = self.watcher.get() {
            return Ok(watcher);
        }
        let watcher = Watcher::new(&inner.files, options.clone());
        let (waiting, store) = (watcher.clone(), Arc::downgrade(inner));
        let listen = move || {
            while let Some(news) = waiting.wait(Duration::MAX) {
                let Some(inner) = store.upgrade() else { return };
                news.names.iter().for_each(|root| inner.look_at_names(root));
                for folder in news.folders {
                    for read_only in [false, true] {
                        if let Some(shared) = inner.find_open(&(folder.clone(), read_only)) {
                            shared.news.state().behind = true;
                            look(&inner, &shared);
                        }
                    }
                }
            }
        };
        let started = std::thread::Builder::new().name("maildir-news".into()).spawn(listen);
        started.map_err(|error| StoreError::new(StoreErrorKind::Unavailable, error.to_string()))?;
        Ok(self.watcher.get_or_init(|| watcher))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.get() {
            watcher.close();
        }
    }
}

/// What is known of news of one folder.
#[derive(Default)]
pub(super) struct News {
    state: Mutex<State>,
    trouble: Notify,
}

#[derive(Default)]
struct State {
    /// From the first time that a session waits until the last one is gone.
    watch: Option<(Watch, Handle)>,
    waiting: usize,
    /// Something happened since the last look began.
    behind: bool,
    looking: bool,
    /// The last look did not show everything, and nobody will tell when there is more to see: look again after so long.
    again: Option<Duration>,
    /// Somebody is about to.
    again_begun: bool,
    trouble: Option<StoreError>,
}

impl News {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// After a look: whether there are messages that could not be shown, and changes that could not be seen.
    pub(super) fn looked(&self, held_back: bool, in_doubt: bool) {
        self.state().again = match (held_back, in_doubt) {
            (true, _) => Some(RETRY_AFTER),
            (false, true) => Some(REST),
            (false, false) => None,
        };
    }

    /// Where somebody waits, or waited last.
    pub(super) fn runtime(&self) -> Option<Handle> {
        self.state().watch.as_ref().map(|(_, runtime)| runtime.clone())
    }

    /// Waits until a look fails.
    async fn trouble(&self) -> StoreError {
        loop {
            let told = self.trouble.notified();
            if let Some(trouble) = self.state().trouble.take() {
                return trouble;
            }
            told.await;
        }
    }
}

/// A session waits for news of a folder as long as this is there.
pub(super) struct Waiting(Arc<Shared>);

/// Waits for something that a look brings.
async fn looking<T>(folder: &Arc<Shared>, news: impl Future<Output = T>) -> T {
    let mut news = pin!(news);
    poll_fn(|context| {
        let polled = news.as_mut().poll(context);
        if polled.is_pending() {
            look_if_awaited(folder);
        }
        polled
    })
    .await
}

impl Waiting {
    pub(super) fn begin(inner: &Arc<Inner>, shared: &Arc<Shared>) -> Result<Self> {
        let watcher = inner.disk.watcher(inner)?;
        let mut state = shared.news.state();
        let here = Handle::current();
        match &mut state.watch {
            // Where others wait may have ended.
            Some((_, runtime)) => *runtime = here,
            // It is told, and so looked at, as soon as it is watched.
            none => *none = Some((watcher.folder(&shared.folder), here)),
        }
        state.waiting += 1;
        drop(state);
        look(inner, shared);
        Ok(Waiting(Arc::clone(shared)))
    }
}

impl Waiting {
    /// Waits for what looks at the folder bring, or until one fails. What is known is told first; the trouble comes again.
    pub(super) async fn hear<T>(&self, news: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            news = looking(&self.0, news) => news,
            trouble = self.0.news.trouble() => Err(trouble),
        }
    }

    pub(super) fn folder(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.news.state().waiting -= 1;
    }
}

/// Looks at a folder if there may be something that somebody waits for: once for all of them, and one look at a time.
fn look(inner: &Arc<Inner>, shared: &Arc<Shared>) {
    let mut state = shared.news.state();
    if state.waiting == 0 || !state.behind || state.looking {
        return;
    }
    let Some((_, runtime)) = &state.watch else { return };
    let runtime = runtime.clone();
    state.looking = true;
    state.behind = false;
    // Another look that begins from now on is as good.
    let asked = shared.now();
    drop(state);
    let (store, folder) = (Arc::downgrade(inner), Arc::downgrade(shared));
    let looking = Looking(Weak::clone(&folder));
    let rest = shared.unasked.rest();
    // Nobody is kept here by a pause: a folder is let go when its last session ends.
    runtime.spawn(async move {
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        let Some(shared) = folder.upgrade() else { return };
        let looked = {
            let folder = Arc::clone(&shared);
            shared.lane.run(move || folder.refresh_since(asked)).await
        };
        let again = {
            let mut state = shared.news.state();
            state.trouble = looked.err();
            if state.trouble.is_some() {
                state.again = Some(RETRY_AFTER);
                shared.news.trouble.notify_one();
            }
            state.again.filter(|_| !std::mem::replace(&mut state.again_begun, true))
        };
        drop(shared);
        if let Some(after) = again {
            let change = |state: &mut State| (state.again_begun, state.behind) = (false, true);
            tokio::spawn(later(store.clone(), folder.clone(), after, change));
        }
        tokio::time::sleep(LOOKS_APART).await;
        drop(looking);
        if let (Some(inner), Some(shared)) = (store.upgrade(), folder.upgrade()) {
            look(&inner, &shared);
        }
    });
}

/// A look is under way, or the pause behind it, as long as this is there: also where the runtime ends before they do.
struct Looking(Weak<Shared>);

impl Drop for Looking {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.news.state().looking = false;
        }
    }
}

/// Looks after a while.
fn later(store: Weak<Inner>, folder: Weak<Shared>, after: Duration, change: fn(&mut State)) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        tokio::time::sleep(after).await;
        if let (Some(inner), Some(shared)) = (store.upgrade(), folder.upgrade()) {
            change(&mut shared.news.state());
            look(&inner, &shared);
        }
    })
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
