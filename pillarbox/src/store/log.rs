//! What happens, told in order to everyone who listens.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// An ordered log of changes with any number of readers. What every reader has read is forgotten.
pub(crate) struct Log<T> {
    state: Mutex<State<T>>,
    /// So much a reader may fall behind before it is cut off: what its changes weigh together.
    behind_max: u64,
    /// What a change takes of that; 1 for one that is as small as any.
    weight: fn(&T) -> u64,
    /// What a reader hears that was cut off.
    cut_off: T,
}

struct State<T> {
    log: VecDeque<Told<T>>,
    /// The number of the log's first change.
    first: u64,
    /// What all that was told weighs.
    weight: u64,
    /// By rising number.
    readers: Vec<Slot>,
    next_reader: u64,
    /// Those who wait for the next change, so that one costs nothing for readers who have not taken the last one.
    waiting: BTreeMap<u64, Waker>,
}

struct Told<T> {
    change: T,
    /// What all that was told before it weighs.
    before: u64,
}

struct Slot {
    reader: u64,
    /// The number of the next change to read.
    next: u64,
}

impl<T> State<T> {
    fn slot(&mut self, reader: u64) -> Option<&mut Slot> {
        let at = self.readers.binary_search_by_key(&reader, |slot| slot.reader).ok()?;
        self.readers.get_mut(at)
    }

    /// What somebody still has to read whose next change has this number.
    fn behind(&self, next: u64) -> u64 {
        self.log.get((next - self.first) as usize).map_or(0, |told| self.weight - told.before)
    }

    fn forget_what_all_have_read(&mut self) {
        let end = self.first + self.log.len() as u64;
        let oldest = self.readers.iter().map(|slot| slot.next).min().unwrap_or(end);
        let read = oldest.saturating_sub(self.first) as usize;
        self.log.drain(..read.min(self.log.len()));
        self.first = self.first.max(oldest);
    }
}

impl<T: Clone> Log<T> {
    pub(crate) fn new(behind_max: u64, weight: fn(&T) -> u64, cut_off: T) -> Self {
        let (log, readers, waiting) = (VecDeque::new(), Vec::new(), BTreeMap::new());
        let state = State { log, first: 0, weight: 0, readers, next_reader: 0, waiting };
        Log { state: Mutex::new(state), behind_max, weight, cut_off }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a change to all readers.
    #[cfg(test)]
    pub(crate) fn tell(&self, change: T) {
        self.tell_all(vec![change]);
    }

    /// Tells changes that were made at once. They are as many as a mailbox has messages, which may be more than a reader
    /// may fall behind: it is cut off only if it was behind before.
    pub(crate) fn tell_all(&self, changes: Vec<T>) {
        let mut state = self.state();
        if state.readers.is_empty() || changes.is_empty() {
            return;
        }
        // A reader that is too far behind is cut off, and its session ends: memory is worth more than its patience. Nobody is
        // farther behind than what is kept.
        if state.behind(state.first) >= self.behind_max {
            let mut readers = std::mem::take(&mut state.readers);
            readers.retain(|slot| state.behind(slot.next) < self.behind_max);
            state.readers = readers;
            state.forget_what_all_have_read();
            if state.readers.is_empty() {
                return;
            }
        }
        for change in changes {
            let before = state.weight;
            state.weight += (self.weight)(&change);
            state.log.push_back(Told { change, before });
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether nothing is kept for anybody.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.state().log.is_empty()
    }

    /// A reader of everything that is told from now on.
    pub(crate) fn reader(self: &Arc<Self>) -> LogReader<T> {
        let mut state = self.state();
        let reader = state.next_reader;
        state.next_reader += 1;
        let next = state.first + state.log.len() as u64;
        state.readers.push(Slot { reader, next });
        LogReader { log: Arc::clone(self), reader }
    }
}

/// One reader of a [`Log`].
pub(crate) struct LogReader<T: Clone> {
    log: Arc<Log<T>>,
    reader: u64,
}

impl<T: Clone> LogReader<T> {
    /// What was told since the last call. If this reader was cut off, that alone.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut state = self.log.state();
        let (first, end) = (state.first, state.first + state.log.len() as u64);
        let Some(slot) = state.slot(self.reader) else { return vec![self.log.cut_off.clone()] };
        let unread = (slot.next - first) as usize;
        slot.next = end;
        let changes = state.log.iter().skip(unread).map(|told| told.change.clone()).collect();
        state.forget_what_all_have_read();
        changes
    }

    /// Waits until something was told. Cancel-safe: what was not returned comes with the next call.
    pub(crate) async fn next(&self) -> Vec<T> {
        poll_fn(|context| {
            let changes = self.take();
            if !changes.is_empty() {
                return Poll::Ready(changes);
            }
            let mut state = self.log.state();
            let end = state.first + state.log.len() as u64;
            match state.slot(self.reader).is_some_and(|slot| slot.next == end) {
                true => drop(state.waiting.insert(self.reader, context.waker().clone())),
                // Told, or cut off, between the look above and here.
                false => context.waker().wake_by_ref(),
            }
            Poll::Pending
        })
        .await
    }
}

impl<T: Clone> Drop for LogReader<T> {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.readers.retain(|slot| slot.reader != self.reader);
        state.waiting.remove(&self.reader);
        state.forget_what_all_have_read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::feed::{BEHIND_MAX, weight};
    use pillarbox_imap::server::Change;
    use pillarbox_imap::types::Uid;

    fn feed() -> Arc<Log<Change>> {
        Arc::new(Log::new(BEHIND_MAX, weight, Change::Gone))
    }

    fn added(uid: u32) -> Change {
        Change::Added { uids: vec![Uid::new(uid).expect("not 0")], mod_seq: None }
    }

    #[test]
    fn a_thousand_readers_cost_one_log() {
        let feed = feed();
        let readers: Vec<LogReader<Change>> = (0..1000).map(|_| feed.reader()).collect();
        for n in 1..=1000 {
            feed.tell(added(n));
        }
        assert_eq!(feed.state().log.len(), 1000, "what waits is kept once, not for each");
        assert!(feed.state().waiting.is_empty(), "nobody has to be woken who has not taken what there is");
        for reader in &readers {
            assert_eq!(reader.take().len(), 1000, "a burst is one wake-up");
        }
        assert_eq!(feed.state().log.len(), 0);
    }

    #[test]
    fn every_reader_gets_every_change_once_and_nothing_is_kept() {
        let feed = feed();
        feed.tell(added(1));
        let a = feed.reader();
        feed.tell(added(2));
        let b = feed.reader();
        feed.tell(added(3));
        assert_eq!(a.take(), [added(2), added(3)]);
        assert_eq!(feed.state().log.len(), 1, "b has not read 3");
        assert_eq!(b.take(), [added(3)]);
        assert_eq!(a.take(), []);
        assert_eq!(feed.state().log.len(), 0);
        feed.tell(added(4));
        drop(b);
        assert_eq!(a.take(), [added(4)]);
        assert_eq!(feed.state().log.len(), 0);
    }

    #[test]
    fn a_reader_that_is_too_far_behind_is_cut_off() {
        let feed = feed();
        let slow = feed.reader();
        let quick = feed.reader();
        for uid in 1..=BEHIND_MAX as u32 + 1 {
            feed.tell(added(uid));
            quick.take();
        }
        assert_eq!(slow.take(), [Change::Gone]);
        assert_eq!(feed.state().log.len(), 0);
        feed.tell(added(7));
        assert_eq!(quick.take(), [added(7)]);
    }

    /// One change may be about as many messages as a mailbox holds.
    #[test]
    fn what_a_change_holds_counts() {
        let feed = feed();
        let slow = feed.reader();
        let quick = feed.reader();
        let many: Vec<Uid> = (1..=100_000).filter_map(Uid::new).collect();
        let octets = size_of_val(&many[..]);
        let mut told = 0;
        while feed.state().readers.len() == 2 {
            feed.tell(Change::Added { uids: many.clone(), mod_seq: None });
            quick.take();
            told += 1;
            assert!(told * octets <= 8 << 20, "{told} times {octets} octets lie there");
        }
        assert_eq!(slow.take(), [Change::Gone]);
        assert!(feed.is_empty());
        assert!(told > 2, "one who is busy for a moment may go on");
    }

    #[test]
    fn who_has_read_everything_can_take_any_number_of_changes_at_once() {
        let feed = feed();
        let reader = feed.reader();
        let many: Vec<Change> = (1..=BEHIND_MAX as u32 + 1).map(added).collect();
        feed.tell_all(many.clone());
        assert_eq!(reader.take(), many);
        feed.tell_all(many);
        feed.tell(added(1));
        assert_eq!(reader.take(), [Change::Gone], "but not leave them lying");
    }
}
