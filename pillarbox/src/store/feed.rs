//! Changes of one mailbox: for those who have it open, one by one and in order; for those who watch it, that there were some.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use pillarbox_imap::server::Change;

use super::log::{Log, LogReader};
use crate::parts::{BoxFuture, MailboxWatch, Stirred, StoreError, StoreErrorKind};

/// Changes that a reader may fall behind before it is cut off. Each costs some tens of octets.
pub(super) const BEHIND_MAX: usize = 65_536;

/// What happens in a mailbox.
pub(crate) struct Feed {
    log: Arc<Log<Change>>,
    watchers: Arc<Watchers>,
}

pub(crate) type FeedReader = LogReader<Change>;

impl Default for Feed {
    fn default() -> Self {
        Feed { log: Arc::new(Log::new(BEHIND_MAX, Change::Gone)), watchers: Arc::default() }
    }
}

impl Feed {
    /// Tells a change to all.
    pub(crate) fn tell(&self, change: Change) {
        self.tell_all(vec![change]);
    }

    /// Tells changes that were made at once.
    pub(crate) fn tell_all(&self, changes: Vec<Change>) {
        let mut heard = Heard::default();
        for change in &changes {
            match change {
                Change::Added { .. } | Change::Removed { .. } => heard.stirred.messages = true,
                Change::Flags { .. } => heard.stirred.flags = true,
                Change::Gone => heard.gone = true,
                _ => {}
            }
        }
        self.log.tell_all(changes);
        self.watchers.tell(heard);
    }

    /// A reader of everything that is told from now on.
    pub(crate) fn reader(&self) -> FeedReader {
        self.log.reader()
    }

    /// Somebody who wants to know that something happened, from now on. However much happens, it is no more to remember.
    pub(crate) fn watcher(&self) -> Watcher {
        let mut state = self.watchers.state();
        let number = state.next;
        state.next += 1;
        state.all.insert(number, Place::default());
        Watcher { watchers: Arc::clone(&self.watchers), number }
    }
}

/// What a watcher has not taken yet.
#[derive(Clone, Copy, Default, PartialEq)]
struct Heard {
    stirred: Stirred,
    gone: bool,
}

#[derive(Default)]
struct Watchers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    all: BTreeMap<u64, Place>,
}

#[derive(Default)]
struct Place {
    heard: Heard,
    waker: Option<Waker>,
}

impl Watchers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: Heard) {
        if news == Heard::default() {
            return;
        }
        let mut wakers = Vec::new();
        for Place { heard, waker } in self.state().all.values_mut() {
            heard.stirred = heard.stirred.and(news.stirred);
            heard.gone |= news.gone;
            wakers.extend(waker.take());
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// One who watches a mailbox.
pub(crate) struct Watcher {
    watchers: Arc<Watchers>,
    number: u64,
}

impl Watcher {
    /// Waits until something happened. Cancel-safe.
    pub(crate) async fn stirred(&self) -> Result<Stirred, StoreError> {
        poll_fn(|context| {
            let mut state = self.watchers.state();
            let Some(place) = state.all.get_mut(&self.number) else { return Poll::Pending };
            if place.heard.gone {
                return Poll::Ready(Err(StoreError::new(StoreErrorKind::NoSuchMailbox, "the mailbox is gone")));
            }
            let stirred = std::mem::take(&mut place.heard.stirred);
            if stirred != Stirred::default() {
                return Poll::Ready(Ok(stirred));
            }
            place.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl MailboxWatch for Watcher {
    fn stirred(&mut self) -> BoxFuture<'_, Result<Stirred, StoreError>> {
        Box::pin(Watcher::stirred(self))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.state().all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_imap::types::Uid;

    #[tokio::test]
    async fn a_watcher_remembers_no_more_however_much_happens() {
        let feed = Feed::default();
        let watchers: Vec<Watcher> = (0..1000).map(|_| feed.watcher()).collect();
        for uid in 1..=10_000 {
            feed.tell(Change::Added { uids: vec![Uid::new(uid).expect("not 0")], mod_seq: None });
        }
        assert!(feed.log.is_empty(), "nobody reads what is only watched");
        let place = std::mem::size_of::<(u64, Place)>();
        assert!(place <= 64, "{place} octets for each");
        for watcher in &watchers {
            assert_eq!(watcher.stirred().await.unwrap(), Stirred { messages: true, flags: false });
        }
        feed.tell(Change::Gone);
        assert!(watchers[0].stirred().await.is_err());
        drop(watchers);
        assert!(feed.watchers.state().all.is_empty());
    }
}
