//! Where messages go: who waits for a destination, and how much it bears.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::item::Health;

/// Jobs that are made ready in one step. The others follow with the next one.
const STEP: usize = 1024;

#[derive(Debug)]
pub(super) struct Destination {
    pub(super) name: Arc<str>,
    /// Jobs that are not due: when, which.
    pub(super) later: BTreeSet<(u64, u32)>,
    /// Jobs that are due: priority turned round, when, which.
    pub(super) ready: BTreeSet<(i8, u64, u32)>,
    /// All of them, wherever they are.
    pub(super) jobs: u32,
    pub(super) in_flight: u32,
    pub(super) limit: u32,
    pub(super) limit_max: u32,
    /// Attempts in a row that met trouble.
    pub(super) troubles: u32,
    /// It keeps those waiting who are there.
    pub(super) is_slow: bool,
    /// Nothing is tried before.
    pub(super) closed_until: u64,
    /// Where it stands among the others.
    pub(super) place: Place,
}

/// When a destination can give something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not before an attempt ends.
    Nowhere,
    /// At this moment.
    Timer(u64),
    /// Now: priority turned round, turn, whether it is in doubt.
    Ready(i8, u64, bool),
}

impl Destination {
    pub(super) fn new(name: Arc<str>, limit: u32, limit_max: u32) -> Self {
        Destination {
            name,
            later: BTreeSet::new(),
            ready: BTreeSet::new(),
            jobs: 0,
            in_flight: 0,
            limit: limit.min(limit_max),
            limit_max,
            troubles: 0,
            is_slow: false,
            closed_until: 0,
            place: Place::Nowhere,
        }
    }

    /// Makes ready what is due, and says when the destination can give something. `priority` is that of a job, turned round.
    pub(super) fn settle(&mut self, now: u64, turn: u64, priority: impl Fn(u32) -> i8) -> Place {
        for _ in 0..STEP {
            match self.later.first() {
                Some((due, job)) if *due <= now => {
                    let (due, job) = (*due, *job);
                    self.later.pop_first();
                    self.ready.insert((priority(job), due, job));
                }
                _ => break,
            }
        }
        if self.in_flight >= self.limit {
            return Place::Nowhere;
        }
        match (self.ready.first(), self.later.first()) {
            (Some((priority, ..)), _) if self.closed_until <= now => {
                Place::Ready(*priority, turn, self.troubles > 0 || self.is_slow)
            }
            (Some(_), _) => Place::Timer(self.closed_until),
            (None, Some((due, _))) => Place::Timer((*due).max(self.closed_until)),
            (None, None) => Place::Nowhere,
        }
    }

    /// An attempt ended. Where all goes well it bears more; trouble halves that, down to one attempt that finds out.
    pub(super) fn learn(&mut self, health: Health, now: u64, delay: impl FnOnce(u32) -> u64) {
        match health {
            Health::Unknown => {}
            Health::Good => {
                self.limit = self.limit.saturating_add(1).min(self.limit_max);
                (self.troubles, self.is_slow, self.closed_until) = (0, false, 0);
            }
            Health::Trouble => {
                self.troubles = self.troubles.saturating_add(1);
                self.limit = (self.limit / 2).max(1);
                if self.limit == 1 {
                    self.closed_until = now.saturating_add(delay(self.troubles));
                }
            }
        }
    }
}
