//! Where calls that wait for the disk are made.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Where calls that wait for the disk are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disk {
    /// On threads of their own, at most so many at a time (at least one). One more is there for all who wait for the log to be
    /// synced, while somebody does.
    Threads(usize),
    /// Where they are: for disks that are in memory, so that a test is the same each time.
    Here,
}

impl Default for Disk {
    /// 64 threads.
    fn default() -> Self {
        Disk::Threads(64)
    }
}

/// Makes the calls.
#[derive(Clone, Debug)]
pub(super) struct Blocking(Option<Arc<Semaphore>>);

impl Blocking {
    pub(super) fn new(disk: Disk) -> Self {
        Blocking(match disk {
            Disk::Threads(threads) => Some(Arc::new(Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS)))),
            Disk::Here => None,
        })
    }

    /// Makes a call. Once it has begun it is made to its end, whether this is still waited for or not.
    pub(super) async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        let Some(seats) = &self.0 else { return call() };
        let seat = Arc::clone(seats).acquire_owned().await.expect("the semaphore is never closed");
        let made = tokio::task::spawn_blocking(move || {
            let made = call();
            drop(seat);
            made
        });
        match made.await {
            Ok(made) => made,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime ends, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        }
    }
}
