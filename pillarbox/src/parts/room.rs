//! No mail is taken for a disk that is nearly full.

use std::sync::Arc;

use pillarbox_core::Reply;
use pillarbox_smtp::server::{Mail, Rcpt};

use super::{BoxFuture, Policy, Session, Verdict};

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
}

impl<F: Fn() -> BoxFuture<'static, Option<Room>> + Send + Sync> Reserve<F> {
    /// Keeps `reserve` of what `measure` finds, and asks `inner` everything else. It is asked first.
    pub const fn new(inner: Arc<dyn Policy>, reserve: Room, measure: F) -> Self {
        Reserve { inner, reserve, measure }
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
            match (self.measure)().await {
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
