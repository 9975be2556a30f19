//! How many sessions there may be that nobody has logged in to.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Sessions that nobody has logged in to, counted over all servers that share these [`Parts`](super::Parts): SMTP, LMTP and
/// IMAP together. Beyond the limit new connections are told to come back later; a session that logs in leaves the count.
///
/// Whoever has an account finds room as long as strangers cannot take all of it. Connections from networks that are trusted
/// and over unix sockets are not counted. A server that takes mail from strangers takes most of the count for itself: give it
/// parts with a limit of its own where that should not touch those who log in elsewhere.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::parts::{Parts, UnauthenticatedLimit};
///
/// let strangers = Arc::new(UnauthenticatedLimit::new(200));
/// let parts = Parts { unauthenticated: strangers.clone(), ..Parts::in_memory() };
/// assert_eq!((strangers.max(), strangers.count()), (200, 0));
/// ```
#[derive(Debug)]
pub struct UnauthenticatedLimit {
    max: usize,
    count: AtomicUsize,
}

impl Default for UnauthenticatedLimit {
    /// 1,000 sessions.
    fn default() -> Self {
        UnauthenticatedLimit::new(1000)
    }
}

impl UnauthenticatedLimit {
    /// So many sessions, and none yet.
    pub const fn new(max: usize) -> Self {
        UnauthenticatedLimit { max, count: AtomicUsize::new(0) }
    }

    /// How many there may be.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// How many there are. They can be more than [`max`](Self::max) where sessions went back to nobody being logged in.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(feature = "tokio")]
mod guest {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::UnauthenticatedLimit;

    /// One session that counts while nobody is logged in, until this is dropped.
    #[derive(Debug)]
    pub(crate) struct Guest {
        limit: Arc<UnauthenticatedLimit>,
        counts: bool,
    }

    impl Guest {
        /// One more session; `None` if there are as many as there may be.
        pub(crate) fn enter(limit: &Arc<UnauthenticatedLimit>) -> Option<Self> {
            let one_more = |count| (count < limit.max).then_some(count + 1);
            limit.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
            Some(Guest { limit: Arc::clone(limit), counts: true })
        }

        /// Somebody has logged in, or nobody is logged in any more. It is there already, so it counts again even where there is no
        /// room for it: the next to come have to wait.
        pub(crate) fn set_logged_in(&mut self, logged_in: bool) {
            match (self.counts, logged_in) {
                (true, true) => self.limit.count.fetch_sub(1, Ordering::Relaxed),
                (false, false) => self.limit.count.fetch_add(1, Ordering::Relaxed),
                _ => return,
            };
            self.counts = !logged_in;
        }
    }

    impl Drop for Guest {
        fn drop(&mut self) {
            self.set_logged_in(true);
        }
    }
}

#[cfg(feature = "tokio")]
pub(crate) use guest::Guest;
