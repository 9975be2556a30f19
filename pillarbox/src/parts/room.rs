//! No mail is taken for a disk that is nearly full.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pillarbox_core::{Reply, Time};
use pillarbox_smtp::server::{Mail, Rcpt};

use super::{BoxFuture, Clock, Policy, Session, Verdict};

/// What is left on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Octets that may still be written.
    pub octets: u64,
    /// Files that may still be made.
    pub files: u64,
}

/// A policy in front of another: while less than a reserve is left on the disk, and for a message whose announced size would take
/// of it, MAIL is answered 452 4.3.1 (RFC 1870 §6.1). The client comes again, and no disk runs full in the middle of a message
/// or of what a user does.
///
/// Where nothing can be measured everything is let through: then the write will tell.
///
/// ```
/// use std::sync::Arc;
/// use pillarbox::parts::{AllowList, Reserve, Room};
///
/// let others = Arc::new(AllowList::new(["you@localhost"]));
/// let measure = || Box::pin(async { Some(Room { octets: 1 << 30, files: 100_000 }) }) as _;
/// let policy = Reserve::new(others, Room { octets: 100 << 20, files: 1000 }, measure);
/// ```
pub struct Reserve<F> {
    inner: Arc<dyn Policy>,
    reserve: Room,
    measure: F,
    clock: Option<Arc<dyn Clock>>,
    measured: Mutex<Option<Measured>>,
}

/// How long a measure counts, and what a message counts for in it that did not announce its size.
const MEASURED_FOR: Duration = Duration::from_secs(1);
const UNTOLD: u64 = 64 * 1024;

/// What was found, less what was let in since.
#[derive(Debug)]
struct Measured {
    until: Time,
    left: Room,
}

impl<F: Fn() -> BoxFuture<'static, Option<Room>> + Send + Sync> Reserve<F> {
    /// Keeps `reserve` of what `measure` finds, and asks `inner` everything else. It is asked first.
    pub const fn new(inner: Arc<dyn Policy>, reserve: Room, measure: F) -> Self {
        Reserve { inner, reserve, measure, clock: None, measured: Mutex::new(None) }
    }

    /// Measures once in a second, while there is plenty: twice the reserve, counting what was let in since. Where there is less, it
    /// is measured for each message, as it is without a clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Whether a message of this size may come by what is known already.
    fn is_known_to_fit(&self, now: Time, size: u64) -> bool {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = measured.as_mut().filter(|known| now < known.until) else { return false };
        known.left.octets = known.left.octets.saturating_sub(size);
        known.left.files = known.left.files.saturating_sub(1);
        known.left.octets / 2 >= self.reserve.octets && known.left.files / 2 >= self.reserve.files
    }

    fn has_room(&self, left: Room, size: u64) -> bool {
        let after = left.octets.checked_sub(size);
        after.is_some_and(|after| after >= self.reserve.octets) && left.files >= self.reserve.files
    }
}

impl<F: Fn() -> BoxFuture<'static, Option<Room>> + Send + Sync> Policy for Reserve<F> {
    fn connect<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, Verdict> {
        self.inner.connect(session)
    }

    fn sender<'a>(&'a self, session: &'a Session, mail: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            match self.inner.sender(session, mail).await {
                Verdict::Accept => {}
                no => return no,
            }
            let now = self.clock.as_ref().map(|clock| clock.now());
            if now.is_some_and(|now| self.is_known_to_fit(now, mail.size.unwrap_or(UNTOLD))) {
                return Verdict::Accept;
            }
            let left = (self.measure)().await;
            let measured = now.zip(left).map(|(now, left)| Measured { until: now + MEASURED_FOR, left });
            *self.measured.lock().unwrap_or_else(PoisonError::into_inner) = measured;
            match left {
                Some(left) if !self.has_room(left, mail.size.unwrap_or(0)) => {
                    Verdict::Refuse(Reply::enhanced(452, 4, 3, 1, "no room for mail now, try again later"))
                }
                _ => Verdict::Accept,
            }
        })
    }

    fn recipient<'a>(&'a self, session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        self.inner.recipient(session, rcpt)
    }

    fn wants_header(&self, session: &Session) -> bool {
        self.inner.wants_header(session)
    }

    fn header<'a>(&'a self, session: &'a Session, header: &'a [u8]) -> BoxFuture<'a, Verdict> {
        self.inner.header(session, header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::AllowList;

    #[tokio::test]
    async fn what_is_known_counts_for_a_second_while_there_is_plenty() {
        use std::sync::atomic::{AtomicU64, Ordering};

        use pillarbox_core::address::ReversePath;

        use crate::testing::SteppedClock;

        let (octets, asked) = (Arc::new(AtomicU64::new(300 * 1024)), Arc::new(AtomicU64::new(0)));
        let (there, counted) = (Arc::clone(&octets), Arc::clone(&asked));
        let measure = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let room = Room { octets: there.load(Ordering::Relaxed), files: 1000 };
            Box::pin(std::future::ready(Some(room))) as BoxFuture<'static, Option<Room>>
        };
        let clock = SteppedClock::new();
        let reserve = Room { octets: 100 * 1024, files: 10 };
        let policy = Reserve::new(Arc::new(AllowList::default()), reserve, measure).with_clock(Arc::new(clock.clone()));
        let (session, mut mail) = (Session::default(), Mail::new(ReversePath::Null));
        mail.size = Some(20 * 1024);
        let ask = async |mail: &Mail<'_>| policy.sender(&session, mail).await == Verdict::Accept;
        let asked = || asked.load(Ordering::Relaxed);
        assert!(ask(&mail).await && asked() == 1);
        for _ in 0..5 {
            assert!(ask(&mail).await && asked() == 1, "300 KiB less what came since");
        }
        assert!(ask(&mail).await && asked() == 2, "less than twice the reserve would be left");
        octets.store(110 * 1024, Ordering::Relaxed);
        clock.advance(MEASURED_FOR);
        assert!(!ask(&mail).await && asked() == 3);
        mail.size = Some(1024);
        assert!(ask(&mail).await && ask(&mail).await && asked() == 5, "near the reserve each message is measured");
    }

    #[test]
    fn the_reserve_is_never_touched() {
        let none = || Box::pin(std::future::ready(None)) as BoxFuture<'static, Option<Room>>;
        let policy = Reserve::new(Arc::new(AllowList::default()), Room { octets: 100, files: 10 }, none);
        for (octets, files, size, has_room) in [
            (100, 10, 0, true),
            (99, 10, 0, false),
            (100, 9, 0, false),
            (100, 10, 1, false),
            (1100, 10, 1000, true),
            (1100, 10, 1001, false),
            (1100, 10, u64::MAX, false),
            (u64::MAX, u64::MAX, u64::MAX - 100, true),
            (0, 0, 0, false),
        ] {
            assert_eq!(policy.has_room(Room { octets, files }, size), has_room, "{octets} {files} {size}");
        }
    }
}
