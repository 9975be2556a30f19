//! The threads that wait for disks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::Result;
use crate::parts::{Identity, StoreError, StoreErrorKind};

/// File operations under way at a time. Most of them wait for a disk to sync, and those that wait together are synced
/// together, so this is far more than there are processors.
const OPERATIONS_MAX: usize = 128;

/// How many of them may be of one account: its disk may have stopped answering, or another program holds its locks, and the
/// others go on.
const OPERATIONS_OF_ONE: usize = 32;

/// How many operations of each account find a turn although others hang. It takes 32 such accounts to stop the rest.
const FIRST_OF_ONE: usize = 2;

/// Turns that nobody has but for the first operations of an account.
const FIRST_MAX: usize = OPERATIONS_MAX / 2;

/// Turns for file work, for all accounts.
#[derive(Debug)]
pub(super) struct Pool {
    all: Arc<Turns>,
    accounts: Mutex<HashMap<String, Weak<Own>>>,
}

#[derive(Debug)]
struct Turns {
    first: Arc<Semaphore>,
    further: Arc<Semaphore>,
}

#[derive(Debug)]
struct Own {
    first: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// The turns of one account.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    all: Arc<Turns>,
    own: Arc<Own>,
}

impl Pool {
    pub(super) fn new() -> Self {
        let further = Arc::new(Semaphore::new(OPERATIONS_MAX - FIRST_MAX));
        let all = Arc::new(Turns { first: Arc::new(Semaphore::new(FIRST_MAX)), further });
        Pool { all, accounts: Mutex::default() }
    }

    pub(super) fn lane(&self, account: &Identity) -> Lane {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.get(account.user()).and_then(Weak::upgrade);
        let own = known.unwrap_or_else(|| {
            // Whenever their number may have doubled, so that the cost of each stays constant.
            if accounts.len() == accounts.capacity() {
                accounts.retain(|_, own| own.strong_count() > 0);
            }
            let first = Arc::new(Semaphore::new(FIRST_OF_ONE));
            let own = Arc::new(Own { first, all: Arc::new(Semaphore::new(OPERATIONS_OF_ONE)) });
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
        let turn = async |of: &Arc<Semaphore>| Arc::clone(of).acquire_owned().await.expect("the pool is never closed");
        let own = turn(&self.own.all).await;
        let turns = tokio::select! {
            biased;
            first = turn(&self.own.first) => (turn(&self.all.first).await, Some(first)),
            further = turn(&self.all.further) => (further, None),
        };
        // The lane is kept too: an account that is at work is not forgotten, for it would get its turns once more.
        let lane = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turns, own, lane));
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
    async fn accounts_whose_disks_hang_keep_no_other_waiting() {
        let pool = Pool::new();
        let (hang, hung) = mpsc::channel::<()>();
        let hung = Arc::new(Mutex::new(hung));
        let mut waiting = Vec::new();
        let hanging: Vec<Identity> = (0..8).map(|n| Identity::new(format!("hanging-{n}"))).collect();
        for n in 0..4 * OPERATIONS_MAX {
            let (lane, hung) = (pool.lane(&hanging[n % hanging.len()]), Arc::clone(&hung));
            waiting.push(tokio::spawn(async move {
                let wait = move || {
                    let _ = hung.lock().unwrap().recv();
                    Ok(())
                };
                lane.run(wait).await
            }));
        }
        let is_full = |account: &Identity| pool.lane(account).own.first.available_permits() == 0;
        while pool.all.further.available_permits() > 0 || !hanging.iter().all(is_full) {
            tokio::task::yield_now().await;
        }
        let other = pool.lane(&Identity::new("other"));
        let done = tokio::time::timeout(std::time::Duration::from_secs(30), other.run(|| Ok(1))).await;
        assert_eq!(done.expect("it waits for those that hang").unwrap(), 1);
        drop(hang);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
        for n in 0..100 {
            drop(pool.lane(&Identity::new(format!("another-{n}"))));
        }
        assert!(pool.accounts.lock().unwrap().len() < 50, "those without work are forgotten");
    }

    #[tokio::test]
    async fn a_panic_is_trouble_of_one_operation() {
        let lane = Pool::new().lane(&Identity::new("you"));
        let failed = lane.run(|| -> Result<()> { panic!("planned") }).await;
        assert_eq!(failed.unwrap_err().kind, StoreErrorKind::Unavailable);
        assert_eq!(lane.own.all.available_permits(), OPERATIONS_OF_ONE);
        assert_eq!(lane.own.first.available_permits(), FIRST_OF_ONE);
    }
}
