//! How often something may happen for each key.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use pillarbox_core::Time;

/// The window in which things are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// How often a full table is looked through for what has run out.
const SWEEP: Duration = Duration::from_secs(1);

/// A count that runs out: at most so many in a minute, which may all come at once; then one more for each share of the minute
/// that passes. It costs one moment in time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    /// When all that was counted will have run out.
    until: Time,
}

impl Rate {
    /// Whether one more may happen now.
    pub(crate) fn has_room(self, now: Time, per_minute: u32) -> bool {
        self.until.since(now) + WINDOW / per_minute.max(1) <= WINDOW
    }

    /// One more has happened.
    pub(crate) fn count(&mut self, now: Time, per_minute: u32) {
        self.until = self.until.max(now) + WINDOW / per_minute.max(1);
    }

    #[cfg(feature = "tokio")]
    fn has_run_out(self, now: Time) -> bool {
        self.until <= now
    }
}

/// A table with a bound. When it is full of what is still of use, what is new is not kept: better that than to forget whoever
/// is known, or to grow without an end.
///
/// The standard map's hash is seeded, so that keys cannot be picked to collide.
#[derive(Debug)]
pub(crate) struct Table<K, V> {
    entries: HashMap<K, V>,
    max: usize,
    /// When it was last looked through.
    swept: Option<Time>,
}

impl<K: Eq + Hash, V: Default> Table<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Table { entries: HashMap::new(), max, swept: None }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    /// The entry of a key, a fresh one if there is none; `None` if there is no room for it.
    pub(crate) fn entry(&mut self, now: Time, key: K, is_of_use: impl Fn(&V) -> bool) -> Option<&mut V> {
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            if self.swept.is_none_or(|swept| now.since(swept) >= SWEEP) {
                self.swept = Some(now);
                self.entries.retain(|_, value| is_of_use(value));
            }
            if self.entries.len() >= self.max {
                return None;
            }
        }
        Some(self.entries.entry(key).or_default())
    }
}

impl<K: Eq + Hash> Table<K, Rate> {
    /// Whether one more may happen for this key.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_room(&self, now: Time, key: &K, per_minute: u32) -> bool {
        self.entries.get(key).is_none_or(|rate| rate.has_room(now, per_minute))
    }

    /// One more has happened for this key.
    #[cfg(feature = "tokio")]
    pub(crate) fn count(&mut self, now: Time, key: K, per_minute: u32) {
        if let Some(rate) = self.entry(now, key, |rate| !rate.has_run_out(now)) {
            rate.count(now, per_minute);
        }
    }
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_minute() {
        let mut rates = Table::new(10);
        let mut now = Time::ZERO;
        for _ in 0..3 {
            assert!(rates.has_room(now, &'a', 3));
            rates.count(now, 'a', 3);
        }
        assert!(!rates.has_room(now, &'a', 3) && rates.has_room(now, &'b', 3));
        now = now + Duration::from_secs(19);
        assert!(!rates.has_room(now, &'a', 3));
        now = now + Duration::from_secs(1);
        assert!(rates.has_room(now, &'a', 3));
        rates.count(now, 'a', 3);
        assert!(!rates.has_room(now, &'a', 3));
        now = now + Duration::from_secs(60);
        for _ in 0..3 {
            assert!(rates.has_room(now, &'a', 3));
            rates.count(now, 'a', 3);
        }
        assert!(!rates.has_room(now, &'a', 3));
    }

    #[test]
    fn keys_are_bounded() {
        let mut rates = Table::new(2);
        for key in 0..100 {
            rates.count(Time::ZERO, key, 1);
        }
        assert_eq!(rates.entries.len(), 2);
        assert!(!rates.has_room(Time::ZERO, &0, 1) && rates.has_room(Time::ZERO, &99, 1));
        // What has run out makes room.
        let later = Time::ZERO + Duration::from_secs(60);
        rates.count(later, 99, 1);
        assert_eq!(rates.entries.keys().collect::<Vec<_>>(), [&99]);
    }
}
