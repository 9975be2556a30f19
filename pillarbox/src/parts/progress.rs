//! How far long work has come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many messages an operation is done with: a store counts, and whoever waits for it looks. Clones count together.
///
/// ```
/// use pillarbox::parts::Progress;
///
/// let progress = Progress::default();
/// progress.clone().add(3);
/// assert_eq!(progress.done(), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// So many messages more are done with.
    pub fn add(&self, messages: u64) {
        self.0.fetch_add(messages, Ordering::Relaxed);
    }

    /// So many messages are done with.
    pub fn done(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[cfg(feature = "maildir")]
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0)
    }
}
