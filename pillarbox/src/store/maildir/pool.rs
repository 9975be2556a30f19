//! The threads that wait for disks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::Result;
use crate::parts::{Identity, StoreError, StoreErrorKind};

/// File operations under way at a time. Most of them wait for a disk to sync, and those that wait together are synced
/// together, so this is far more than there are processors.
const OPERATIONS_MAX: usize = 128;

/// How many of them may be of one account: its disk may have stopped answering, and the others go on.
const OPERATIONS_OF_ONE: usize = 32;

/// Turns for file work, for all accounts.
#[derive(Debug)]
pub(super) struct Pool {
    all: Arc<Semaphore>,
    accounts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// The turns of one account.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Pool { all: Arc::new(Semaphore::new(OPERATIONS_MAX)), accounts: Mutex::default() }
    }

    pub(super) fn lane(&self, account: &Identity) -> Lane {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.get(account.user()).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| {
            // Whenever their number may have doubled, so that the cost of each stays constant.
            if accounts.len() == accounts.capacity() {
                accounts.retain(|_, own| own.strong_count() > 0);
            }
            let own = Arc::new(Semaphore::new(OPERATIONS_OF_ONE));
            accounts.insert(account.user().to_owned(), Arc::downgrade(&own));
            own
        });
        Lane { all: Arc::clone(&self.all), own }
    }
}

impl Lane {
    /// Runs file work on a thread that may wait. A panic in it is our own mistake and becomes trouble of this one operation.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        // Who waits for the account's own turn keeps nobody else from theirs.
        let own = Arc::clone(&self.own).acquire_owned().await.expect("the pool is never closed");
        let permit = Arc::clone(&self.all).acquire_owned().await.expect("the pool is never closed");
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((permit, own));
            done
        });
        done.await.unwrap_or_else(|error| Err(StoreError::new(StoreErrorKind::Unavailable, error.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn an_account_whose_disk_hangs_keeps_no_other_waiting() {
        let pool = Pool::new();
        let (hang, hung) = mpsc::channel::<()>();
        let hung = Arc::new(Mutex::new(hung));
        let mut waiting = Vec::new();
        for _ in 0..2 * OPERATIONS_MAX {
            let (lane, hung) = (pool.lane(&Identity::new("hanging")), Arc::clone(&hung));
            waiting.push(tokio::spawn(async move {
                let wait = move || {
                    let _ = hung.lock().unwrap().recv();
                    Ok(())
                };
                lane.run(wait).await
            }));
        }
        while pool.lane(&Identity::new("hanging")).own.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let other = pool.lane(&Identity::new("other"));
        let done = tokio::time::timeout(std::time::Duration::from_secs(30), other.run(|| Ok(1))).await;
        assert_eq!(done.expect("it waits for the one that hangs").unwrap(), 1);
        drop(hang);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
        drop(pool.lane(&Identity::new("a third")));
        assert!(pool.accounts.lock().unwrap().len() <= 3);
    }

    #[tokio::test]
    async fn a_panic_is_trouble_of_one_operation() {
        let lane = Pool::new().lane(&Identity::new("you"));
        let failed = lane.run(|| -> Result<()> { panic!("planned") }).await;
        assert_eq!(failed.unwrap_err().kind, StoreErrorKind::Unavailable);
        assert_eq!(lane.own.available_permits(), OPERATIONS_OF_ONE);
    }
}
