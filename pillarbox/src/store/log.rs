//! What happens, told in order to everyone who listens.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

/// What a [`Log`] keeps.
pub(crate) trait Logged: Clone {
    /// How much it counts for a reader that is behind; 1 for one that is as small as any.
    fn weight(&self) -> u64 {
        1
    }

    /// Takes in what happened next, if a reader is to hear of both at once. `before` is what the same readers hear before this.
    fn join(&mut self, before: Option<&Self>, next: Self) -> Option<Self> {
        let _ = before;
        Some(next)
    }
}

/// An ordered log of changes with any number of readers. What every reader has read is forgotten.
///
/// Changes that nobody has read yet are joined. Where one reader of many has read to, the others read to as well: each has a copy
/// of the few changes that they become together, and not of the many that they were.
pub(crate) struct Log<T> {
    state: Mutex<State<T>>,
    /// So much a reader may fall behind before it is cut off.
    behind_max: u64,
    /// What a reader hears that was cut off.
    cut_off: T,
}

struct State<T> {
    log: VecDeque<Entry<T>>,
    /// The weight of all that was ever told.
    end: u64,
    /// The same before the last time that something was told.
    before_last: u64,
    /// Somebody has read up to there: nothing that comes later is joined with what came before.
    read: u64,
    /// By rising number.
    readers: Vec<Slot>,
    /// How many of them have read up to where.
    places: BTreeMap<u64, usize>,
    next_reader: u64,
    /// Those who wait for the next change, so that one costs nothing for readers who have not taken the last one.
    waiting: BTreeMap<u64, Waker>,
}

struct Entry<T> {
    change: T,
    /// The weight of all that was told up to it, itself included.
    end: u64,
}

struct Slot {
    reader: u64,
    /// It has read up to there.
    read: u64,
}

impl<T: Logged> State<T> {
    fn push(&mut self, change: T) {
        self.end += change.weight();
        let (end, read) = (self.end, self.read);
        let mut unread = self.log.iter_mut().rev().take_while(|entry| entry.end > read);
        let left = match (unread.next(), unread.next()) {
            (Some(last), before) => {
                let left = last.change.join(before.map(|entry| &entry.change), change);
                if left.is_none() {
                    last.end = end;
                }
                left
            }
            (None, _) => Some(change),
        };
        self.log.extend(left.map(|change| Entry { change, end }));
    }

    /// What a reader has not read, up to `until`; `None` if it was cut off.
    fn read(&mut self, reader: u64, until: impl FnOnce(u64, &Self) -> u64) -> Option<Vec<T>> {
        let at = self.readers.binary_search_by_key(&reader, |slot| slot.reader).ok()?;
        let from = self.readers[at].read;
        let until = until(from, self);
        if until == from {
            return Some(Vec::new());
        }
        let first = self.log.partition_point(|entry| entry.end <= from);
        let some = self.log.range(first..).take_while(|entry| entry.end <= until);
        let changes = some.map(|entry| entry.change.clone()).collect();
        self.readers[at].read = until;
        self.read = self.read.max(until);
        *self.places.entry(until).or_default() += 1;
        self.left(from);
        Some(changes)
    }

    /// A reader is not at a place any more.
    fn left(&mut self, place: u64) {
        if let Some(readers) = self.places.get_mut(&place) {
            *readers -= 1;
            if *readers == 0 {
                self.places.remove(&place);
                self.forget_what_all_have_read();
            }
        }
    }

    /// Up to where all readers have read.
    fn read_by_all(&self) -> u64 {
        self.places.first_key_value().map_or(self.end, |(place, _)| *place)
    }

    fn forget_what_all_have_read(&mut self) {
        let all = self.read_by_all();
        let read = self.log.partition_point(|entry| entry.end <= all);
        self.log.drain(..read);
        if self.log.is_empty() {
            // Of a burst that was read nothing is left.
            self.log.shrink_to(64);
        }
    }
}

impl<T: Logged> Log<T> {
    pub(crate) fn new(behind_max: u64, cut_off: T) -> Self {
        let state = State {
            log: VecDeque::new(),
            end: 0,
            before_last: 0,
            read: 0,
            readers: Vec::new(),
            places: BTreeMap::new(),
            next_reader: 0,
            waiting: BTreeMap::new(),
        };
        Log { state: Mutex::new(state), behind_max, cut_off }
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
    /// may fall behind: it is cut off only if it was behind before the last of them. One command may tell twice, what is marked and
    /// what goes, before anybody can read.
    pub(crate) fn tell_all(&self, changes: Vec<T>) {
        let mut state = self.state();
        if state.readers.is_empty() || changes.is_empty() {
            return;
        }
        // A reader that is too far behind is cut off, and its session ends: memory is worth more than its patience. Nobody is
        // farther behind than what is kept.
        if state.before_last.saturating_sub(state.read_by_all()) >= self.behind_max {
            let least = state.before_last - self.behind_max;
            state.readers.retain(|slot| slot.read > least);
            state.places = state.places.split_off(&(least + 1));
            state.forget_what_all_have_read();
            if state.readers.is_empty() {
                return;
            }
        }
        state.before_last = state.end;
        changes.into_iter().for_each(|change| state.push(change));
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether somebody waits for the next change.
    #[cfg(feature = "maildir")]
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// Whether nothing is kept for anybody.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.state().log.is_empty()
    }

    /// A reader of everything that is told from now on.
    pub(crate) fn reader(self: &Arc<Self>) -> LogReader<T> {
        let mut state = self.state();
        let (reader, read) = (state.next_reader, state.end);
        state.next_reader += 1;
        state.readers.push(Slot { reader, read });
        state.read = read;
        *state.places.entry(read).or_default() += 1;
        LogReader { log: Arc::clone(self), reader }
    }
}

/// One reader of a [`Log`].
pub(crate) struct LogReader<T: Logged> {
    log: Arc<Log<T>>,
    reader: u64,
}

impl<T: Logged> LogReader<T> {
    /// What was told since the last call. If this reader was cut off, that alone.
    pub(crate) fn take(&self) -> Vec<T> {
        let read = self.log.state().read(self.reader, |_, state| state.end);
        read.unwrap_or_else(|| vec![self.log.cut_off.clone()])
    }

    /// Waits until something was told. Cancel-safe: what was not returned comes with the next call.
    ///
    /// Where another reader has read less than everything, this one reads no more than that: the rest comes with the next call.
    pub(crate) async fn next(&self) -> Vec<T> {
        poll_fn(|context| {
            let mut state = self.log.state();
            let as_others = |from, state: &State<T>| if from < state.read { state.read } else { state.end };
            match state.read(self.reader, as_others) {
                None => Poll::Ready(vec![self.log.cut_off.clone()]),
                Some(changes) if !changes.is_empty() => Poll::Ready(changes),
                Some(_) => {
                    state.waiting.insert(self.reader, context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T: Logged> Drop for LogReader<T> {
    fn drop(&mut self) {
        let mut state = self.log.state();
        state.waiting.remove(&self.reader);
        if let Ok(at) = state.readers.binary_search_by_key(&self.reader, |slot| slot.reader) {
            let slot = state.readers.remove(at);
            state.left(slot.read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::feed::BEHIND_MAX;
    use pillarbox_imap::server::Change;
    use pillarbox_imap::types::{ModSeq, Uid, UidSet};

    fn feed() -> Arc<Log<Change>> {
        Arc::new(Log::new(BEHIND_MAX, Change::Gone))
    }

    fn added(uid: u32) -> Change {
        added_to(uid..=uid)
    }

    fn added_to(uids: std::ops::RangeInclusive<u32>) -> Change {
        Change::Added { uids: uids.map(|uid| Uid::new(uid).expect("not 0")).collect(), mod_seq: None }
    }

    #[test]
    fn a_thousand_readers_cost_one_log() {
        let feed = feed();
        let readers: Vec<LogReader<Change>> = (0..1000).map(|_| feed.reader()).collect();
        for n in 1..=1000 {
            feed.tell(added(n));
        }
        assert_eq!(feed.state().log.len(), 2, "what waits is kept once, not for each");
        assert!(feed.state().waiting.is_empty(), "nobody has to be woken who has not taken what there is");
        for reader in &readers {
            assert_eq!(reader.take(), [added(1), added_to(2..=1000)], "a burst is one wake-up");
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
        for uid in 1..=BEHIND_MAX as u32 + 2 {
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
        assert_eq!(reader.take(), [added(1), added_to(2..=BEHIND_MAX as u32 + 1)]);
        feed.tell_all(many.clone());
        feed.tell_all(many.clone());
        let took: usize = reader
            .take()
            .iter()
            .map(|change| if let Change::Added { uids, .. } = change { uids.len() } else { 0 })
            .sum();
        assert_eq!(took, 2 * many.len(), "one command may tell twice");
        feed.tell_all(many);
        feed.tell(added(1));
        feed.tell(added(2));
        assert_eq!(reader.take(), [Change::Gone], "but not leave them lying");
    }

    #[tokio::test]
    async fn all_who_hear_of_a_burst_share_where_the_first_of_them_ended() {
        let feed = feed();
        let readers: Vec<LogReader<Change>> = (0..100).map(|_| feed.reader()).collect();
        (1..=500).for_each(|uid| feed.tell(added(uid)));
        for (at, reader) in readers.iter().enumerate() {
            assert_eq!(reader.next().await, [added(1), added_to(2..=500)]);
            // More comes while the others are not told yet.
            feed.tell(added(501 + at as u32));
        }
        assert_eq!(feed.state().log.len(), 2, "what came meanwhile is one burst, and not one for each");
        for reader in &readers {
            assert_eq!(reader.next().await, [added(501), added_to(502..=600)]);
        }
        assert!(feed.is_empty());
        (601..=603).for_each(|uid| feed.tell(added(uid)));
        readers[0].next().await;
        feed.tell(added(604));
        assert_eq!(readers[1].take(), [added(601), added_to(602..=603), added(604)], "who asks is told everything");
    }

    #[test]
    fn what_is_joined_counts_as_before() {
        let feed = feed();
        let slow = feed.reader();
        (1..=BEHIND_MAX as u32 + 1).for_each(|uid| feed.tell(added(uid)));
        assert_eq!(feed.state().log.len(), 2);
        let late = feed.reader();
        feed.tell(added(BEHIND_MAX as u32 + 2));
        assert_eq!(slow.take(), [Change::Gone]);
        assert_eq!(late.take(), [added(BEHIND_MAX as u32 + 2)]);
        drop(late);
        assert!(feed.state().places.is_empty() && feed.is_empty());
    }

    #[test]
    fn the_first_of_what_came_keeps_its_mod_seq() {
        let feed = feed();
        let reader = feed.reader();
        let at = |uid, mod_seq| {
            let uids = vec![Uid::new(uid).expect("not 0")];
            Change::Added { uids, mod_seq: ModSeq::new(mod_seq) }
        };
        let gone = Change::Removed { uids: UidSet::one(Uid::MIN), mod_seq: ModSeq::new(9) };
        feed.tell_all(vec![at(1, 5), at(2, 6), at(3, 7), gone.clone(), at(4, 10), at(5, 11)]);
        let rest = Change::Added {
            uids: vec![Uid::new(2).expect("not 0"), Uid::new(3).expect("not 0")],
            mod_seq: ModSeq::new(7),
        };
        assert_eq!(reader.take(), [at(1, 5), rest, gone, at(4, 10), at(5, 11)]);
    }
}
