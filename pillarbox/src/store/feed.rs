//! Changes of one mailbox: for those who have it open, one by one and in order; for those who watch it, that there were some.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use pillarbox_imap::server::Change;

use super::log::{Log, LogReader, Logged};
use crate::parts::{BoxFuture, MailboxWatch, Stirred, StoreError, StoreErrorKind};

/// Changes that a reader may fall behind before it is cut off. Each costs some tens of octets, or four if it is joined with others; one
/// that costs more counts for several.
pub(super) const BEHIND_MAX: u64 = 65_536;

/// What happens in a mailbox.
pub(crate) struct Feed {
    log: Arc<Log<Change>>,
    watchers: Arc<Watchers>,
}

pub(crate) type FeedReader = LogReader<Change>;

impl Logged for Change {
    fn weight(&self) -> u64 {
        /// So many UIDs, or half as many ranges of them, take as much as a change that has none.
        const UIDS: usize = 16;
        let more = match self {
            Change::Added { uids, .. } => uids.len() / UIDS,
            Change::Removed { uids, .. } => uids.ranges().len() / (UIDS / 2),
            Change::Flags { flags, .. } => flags.keywords().len(),
            Change::Keywords { keywords, .. } => keywords.len(),
            _ => 0,
        };
        1 + more as u64
    }

    /// Arrivals that follow each other are one, but for the first: what a client was told depends on its mod-sequence.
    fn join(&mut self, before: Option<&Self>, next: Self) -> Option<Self> {
        match (before, self, next) {
            (
                Some(Change::Added { .. }),
                Change::Added { uids, mod_seq },
                Change::Added { uids: more, mod_seq: latest },
            ) => {
                uids.extend(more);
                *mod_seq = latest.max(*mod_seq);
                None
            }
            (_, _, next) => Some(next),
        }
    }
}

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
        let (mut stirred, mut gone) = (Stirred::default(), false);
        for change in &changes {
            match change {
                Change::Added { .. } | Change::Removed { .. } => stirred.messages = true,
                Change::Flags { .. } => stirred.flags = true,
                Change::Gone => gone = true,
                _ => {}
            }
        }
        self.log.tell_all(changes);
        self.watchers.tell(stirred, gone);
    }

    /// How many times something was told.
    #[cfg(feature = "maildir")]
    pub(crate) fn told(&self) -> Told {
        self.watchers.state().told
    }

    /// Whether somebody waits for what happens next.
    #[cfg(feature = "maildir")]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.log.is_waited_for() || !self.watchers.state().waiting.is_empty()
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
        Watcher { watchers: Arc::clone(&self.watchers), number, heard: state.told }
    }
}

/// How many times something was told. Each watcher keeps the counts that it has heard of, so that to tell costs nothing for those who
/// have not taken the last news.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    messages: u64,
    flags: u64,
    gone: bool,
}

impl Told {
    /// Whether something was told since.
    #[cfg_attr(not(feature = "maildir"), expect(dead_code, reason = "stores that count at once need no order"))]
    pub(crate) fn is_after(self, before: Told) -> bool {
        self.messages + self.flags > before.messages + before.flags
    }
}

#[derive(Default)]
struct Watchers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    told: Told,
    waiting: BTreeMap<u64, Waker>,
}

impl Watchers {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, stirred: Stirred, gone: bool) {
        if stirred == Stirred::default() && !gone {
            return;
        }
        let mut state = self.state();
        state.told.messages += u64::from(stirred.messages);
        state.told.flags += u64::from(stirred.flags);
        state.told.gone |= gone;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }
}

/// One who watches a mailbox.
pub(crate) struct Watcher {
    watchers: Arc<Watchers>,
    number: u64,
    heard: Told,
}

impl Watcher {
    /// What was told by when this watcher was told of it.
    #[cfg(feature = "maildir")]
    pub(crate) fn heard(&self) -> Told {
        self.heard
    }

    /// It has the numbers as they were then, and knows of nothing that came later. Messages that came or went show in them; that flags
    /// changed does not, and is heard of unless it was before.
    #[cfg(feature = "maildir")]
    pub(crate) fn has_heard(&mut self, told: Told) {
        self.heard = Told { flags: self.heard.flags.min(told.flags), ..told };
    }

    /// Waits until something happened. Cancel-safe.
    pub(crate) async fn stirred(&mut self) -> Result<Stirred, StoreError> {
        let Watcher { watchers, number, heard } = self;
        poll_fn(|context| {
            let mut state = watchers.state();
            let told = state.told;
            if told.gone {
                return Poll::Ready(Err(StoreError::new(StoreErrorKind::NoSuchMailbox, "the mailbox is gone")));
            }
            let stirred = Stirred { messages: told.messages != heard.messages, flags: told.flags != heard.flags };
            if stirred != Stirred::default() {
                *heard = told;
                return Poll::Ready(Ok(stirred));
            }
            state.waiting.insert(*number, context.waker().clone());
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
        self.watchers.state().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_imap::types::{Flags, Uid, UidSet};

    #[tokio::test]
    async fn numbers_do_not_say_that_flags_changed() {
        let feed = Feed::default();
        let mut watcher = feed.watcher();
        feed.tell(Change::Added { uids: vec![Uid::MIN], mod_seq: None });
        assert_eq!(watcher.stirred().await.unwrap(), Stirred { messages: true, flags: false });
        // Both again before the messages are counted: who counts them sees those that came, and tells of no flags.
        feed.tell(Change::Removed { uids: UidSet::from_iter([Uid::MIN]), mod_seq: None });
        feed.tell(Change::Flags { uid: Uid::MIN, flags: Flags::default(), mod_seq: None });
        watcher.has_heard(feed.told());
        assert_eq!(watcher.stirred().await.unwrap(), Stirred { messages: false, flags: true });
    }

    #[tokio::test]
    async fn a_watcher_remembers_no_more_however_much_happens() {
        let feed = Feed::default();
        let mut watchers: Vec<Watcher> = (0..1000).map(|_| feed.watcher()).collect();
        for uid in 1..=10_000 {
            feed.tell(Change::Added { uids: vec![Uid::new(uid).expect("not 0")], mod_seq: None });
        }
        assert!(feed.log.is_empty(), "nobody reads what is only watched");
        assert!(feed.watchers.state().waiting.is_empty(), "nobody has to be woken who has not taken what there is");
        let each = std::mem::size_of::<Watcher>();
        assert!(each <= 64, "{each} octets for each");
        for watcher in &mut watchers {
            assert_eq!(watcher.stirred().await.unwrap(), Stirred { messages: true, flags: false });
        }
        feed.tell(Change::Gone);
        assert!(watchers[0].stirred().await.is_err());
        let mut later = Feed::default().watcher();
        let waits = tokio::time::timeout(std::time::Duration::ZERO, later.stirred());
        assert!(waits.await.is_err(), "nothing happened since it began");
        let places = Arc::clone(&later.watchers);
        assert_eq!(places.state().waiting.len(), 1);
        drop(later);
        assert!(places.state().waiting.is_empty());
    }
}
