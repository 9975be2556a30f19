//! Two pieces of work beside each other: taken in turns, so that whatever else the machine does falls on both.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::allocation::counted;
use crate::report::{Goal, Peer, Quantity, Row, Spread, Unit};

/// A piece of work that can be done again and again.
pub type Work = Box<dyn FnMut()>;

/// Our way of doing something, and a published one.
pub struct Case {
    /// The number of its section in `docs/benchmarks.md`.
    pub section: u8,
    pub name: &'static str,
    pub scale: Scale,
    pub ours: Work,
    pub peer: Option<(&'static str, Work)>,
    pub goals: Vec<Goal>,
    pub note: &'static str,
}

/// In what a case is told.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Time for one operation, of which one call does so many.
    Operations(u32),
    /// Octets in a second, of which one call handles so many.
    Octets(usize),
}

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    pub sample: Duration,
}

impl Effort {
    pub const FULL: Effort = Effort { rounds: 31, sample: Duration::from_millis(20) };
    pub const QUICK: Effort = Effort { rounds: 7, sample: Duration::from_millis(5) };
}

/// Measures a case: samples of both sides in turns, the one that goes first changing from round to round.
pub fn measure(mut case: Case, effort: Effort) -> Row {
    let calls = calls_for(&mut case.ours, effort.sample);
    let peer_calls = case.peer.as_mut().map(|(_, work)| calls_for(work, effort.sample));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        let ours_first = round % 2 == 0;
        if ours_first {
            ours.push(time(&mut case.ours, calls));
        }
        if let (Some((_, work)), Some(calls)) = (&mut case.peer, peer_calls) {
            theirs.push(time(work, calls));
        }
        if !ours_first {
            ours.push(time(&mut case.ours, calls));
        }
    }
    // Pairs of one round met the same weather, so their ratio is steadier than that of the medians.
    let ratio = (!theirs.is_empty())
        .then(|| Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| theirs / ours).collect()));
    let allocations = Some(allocations(&mut case.ours, case.scale));
    let peer = case.peer.map(|(name, mut work)| Peer {
        name,
        quantity: case.scale.quantity(theirs),
        allocations: Some(self::allocations(&mut work, case.scale)),
    });
    Row {
        section: case.section,
        name: case.name.into(),
        ours: case.scale.quantity(ours),
        allocations,
        peer,
        ratio,
        goals: case.goals,
        note: case.note.into(),
    }
}

impl Scale {
    /// From nanoseconds for a call.
    fn quantity(self, samples: Vec<f64>) -> Quantity {
        match self {
            Scale::Operations(count) => Quantity {
                unit: Unit::Nanoseconds,
                spread: Spread::of(samples.into_iter().map(|call| call / f64::from(count)).collect()),
            },
            Scale::Octets(count) => Quantity {
                unit: Unit::OctetsPerSecond,
                spread: Spread::of(samples.into_iter().map(|call| count as f64 * 1e9 / call).collect()),
            },
        }
    }
}

/// Nanoseconds for a call.
fn time(work: &mut Work, calls: u64) -> f64 {
    cpu_time(|| (0..calls).for_each(|_| work())).as_nanos() as f64 / calls as f64
}

/// What a piece of work that waits for nothing took of the processor. Time in which other programs ran is not in it.
pub fn cpu_time(work: impl FnOnce()) -> Duration {
    time_by(ClockId::ThreadCPUTime, work)
}

/// What all threads of the process took of the processors meanwhile.
pub fn cpu_time_of_all(work: impl FnOnce()) -> Duration {
    time_by(ClockId::ProcessCPUTime, work)
}

fn time_by(clock: ClockId, work: impl FnOnce()) -> Duration {
    let now = || {
        let now = clock_gettime(clock);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let start = now();
    work();
    now() - start
}

/// How many calls fill a sample. Warms up on the way.
fn calls_for(work: &mut Work, sample: Duration) -> u64 {
    let mut calls = 1;
    loop {
        let elapsed = cpu_time(|| (0..calls).for_each(|_| work()));
        if elapsed * 2 >= sample {
            return ((calls as f64 * sample.as_secs_f64() / elapsed.as_secs_f64()) as u64).max(1);
        }
        calls *= 2;
    }
}

/// Allocations for an operation, or for a call where octets are counted.
fn allocations(work: &mut Work, scale: Scale) -> f64 {
    const CALLS: u32 = 10;
    let (_, count, _) = counted(|| (0..CALLS).for_each(|_| work()));
    let operations = match scale {
        Scale::Operations(count) => count,
        Scale::Octets(_) => 1,
    };
    count as f64 / f64::from(CALLS * operations)
}
