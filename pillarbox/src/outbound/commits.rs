//! Waiting for commits: one thread does it for everybody.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_spool::{Commit, StoreError};
use tokio::sync::oneshot;

/// Whoever waits for the sync of the log on a thread of its own is woken, with all others, to find that one of them has made it.
/// Here commits are handed to a single thread, which is there for as long as there are any: those that come during a sync share the
/// next one.
#[derive(Clone)]
pub(super) struct Commits(Option<Arc<Mutex<State>>>);

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    is_served: bool,
}

/// Waits for a commit, and tells who waits for that.
type Waiting = Box<dyn FnOnce() + Send>;

impl Commits {
    /// On a thread, or where they are.
    pub(super) fn new(disk: super::Disk) -> Self {
        Commits((disk != super::Disk::Here).then(Arc::default))
    }

    /// Waits for a commit, and gives what `then` makes of it. That is called whether this is still waited for or not, and before
    /// anything else is written: it must not take long.
    pub(super) async fn wait<T: Send + 'static>(
        &self,
        commit: Commit,
        then: impl FnOnce(Result<(), StoreError>) -> T + Send + 'static,
    ) -> T {
        let Some(state) = &self.0 else { return then(commit.wait()) };
        let (tell, hear) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let waiting = Box::new(move || {
            // A panic is that of this one alone, and nobody may listen any more.
            drop(tell.send(catch_unwind(AssertUnwindSafe(|| then(commit.wait())))));
        });
        add(state, waiting);
        match hear.await {
            Ok(Ok(made)) => made,
            Ok(Err(panic)) => resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Adds one to those that are waited for.
fn add(state: &Arc<Mutex<State>>, waiting: Waiting) {
    let mut known = lock(state);
    known.waiting.push(waiting);
    let is_served = std::mem::replace(&mut known.is_served, true);
    drop(known);
    if !is_served {
        let serving = Serving { state: Arc::clone(state), is_over: false };
        tokio::task::spawn_blocking(move || serving.serve());
    }
}

/// The thread that waits; or the wish for one, which a runtime that ends does not grant.
struct Serving {
    state: Arc<Mutex<State>>,
    is_over: bool,
}

impl Serving {
    fn serve(mut self) {
        loop {
            let mut state = lock(&self.state);
            let some = std::mem::take(&mut state.waiting);
            if some.is_empty() {
                // Under the same lock, so that who comes now finds nobody who serves.
                state.is_served = false;
                drop(state);
                self.is_over = true;
                return;
            }
            drop(state);
            // The first one writes the group of all of them.
            some.into_iter().for_each(|wait| wait());
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            lock(&self.state).is_served = false;
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use pillarbox_core::WallTime;
    use pillarbox_core::address::{ForwardPath, ReversePath};
    use pillarbox_fs::SimulatedFs;
    use pillarbox_spool::{Envelope, Options, Recipient, Store};

    use super::*;
    use crate::outbound::Disk;

    fn store() -> Store {
        let mut options = Options::from_system();
        (options.reserve_bytes, options.reserve_files) = (0, 0);
        let (store, recovery) = Store::open(SimulatedFs::new(), "/spool", options).unwrap();
        recovery.for_each(drop);
        store
    }

    fn commit(store: &Store) -> Commit {
        let now = WallTime::new(1_700_000_000, 0);
        let mut incoming = store.begin(now);
        incoming.write(b"Subject: x\r\n\r\n").unwrap();
        incoming.commit(Envelope::new(now, ReversePath::Null, [Recipient::new(ForwardPath::Postmaster)])).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_hears_of_its_own_commit() {
        let (store, commits) = (store(), Commits::new(Disk::Threads(1)));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100 {
            let (commits, commit) = (commits.clone(), commit(&store));
            tasks
                .spawn(async move { commits.wait(commit, move |committed| committed.map(|()| number)).await.unwrap() });
        }
        let mut heard = tasks.join_all().await;
        heard.sort_unstable();
        assert_eq!(heard, (0..100).collect::<Vec<_>>());
        assert_eq!(store.usage().messages, 100);
    }

    #[tokio::test]
    async fn what_follows_a_commit_is_done_though_nobody_waits() {
        let (store, commits) = (store(), Commits::new(Disk::Threads(1)));
        let (tell, hear) = oneshot::channel();
        {
            let mut given_up = Box::pin(commits.wait(commit(&store), move |committed| tell.send(committed.is_ok())));
            let begun = std::future::poll_fn(|cx| std::task::Poll::Ready(given_up.as_mut().poll(cx))).await;
            assert!(begun.is_pending());
        }
        assert!(hear.await.unwrap());
    }

    #[tokio::test]
    async fn a_panic_of_one_is_not_that_of_others() {
        let (store, commits) = (store(), Commits::new(Disk::Threads(1)));
        let (one, other) = (commits.clone(), commit(&store));
        let failed = tokio::spawn(async move { one.wait(other, |_| panic!("out of cheese")).await });
        assert!(failed.await.unwrap_err().is_panic());
        assert!(commits.wait(commit(&store), |committed| committed.is_ok()).await);
    }
}
