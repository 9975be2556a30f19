//! What time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pillarbox_core::{Time, WallTime};

use super::BoxFuture;

/// What time it is, and waiting. Drivers sleep through nothing else, so a test can step time.
pub trait Clock: Send + Sync {
    /// The moment on a clock that only moves forward.
    fn now(&self) -> Time;
    /// The date.
    fn wall(&self) -> WallTime;
    /// Waits until the moment has come.
    fn sleep_until(&self, moment: Time) -> BoxFuture<'_, ()>;
}

/// The clock of the system. Dates are in UTC: a server's Received fields compare best when all are in one zone.
///
/// Waiting needs the feature `tokio`; without it [`sleep_until`](Clock::sleep_until) never ends.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose origin is now.
    pub fn new() -> Self {
        SystemClock { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from_origin(self.origin.elapsed())
    }

    fn wall(&self) -> WallTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        WallTime::new(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX), 0)
    }

    fn sleep_until(&self, moment: Time) -> BoxFuture<'_, ()> {
        #[cfg(feature = "tokio")]
        {
            let wait = moment.since(self.now());
            Box::pin(tokio::time::sleep(wait))
        }
        #[cfg(not(feature = "tokio"))]
        {
            let _ = moment;
            Box::pin(std::future::pending())
        }
    }
}
