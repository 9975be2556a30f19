//! How long to wait before the next attempt, and what else can be chosen.

use std::time::Duration;

use pillarbox_core::Random;

/// What a [`Schedule`](crate::Schedule) goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleOptions {
    /// From the first attempt to the second. Each wait is twice the one before.
    pub delay_first: Duration,
    /// The longest wait.
    pub delay_max: Duration,
    /// Each wait is longer or shorter by up to so many hundredths of it, by lot; at most 100.
    pub jitter_percent: u8,
    /// A sender is told of a message that is still waiting at this age.
    pub notice_after: Duration,
    /// A message of this age is given up.
    // RFC 5321 §4.5.4.1
    pub expire_after: Duration,
    /// The same for notices, which have the null path.
    pub notice_expire_after: Duration,
    /// Attempts at once to a destination of which nothing is known.
    pub concurrency_first: u32,
    /// Attempts at once to a destination where all goes well.
    pub concurrency_max: u32,
}

impl Default for ScheduleOptions {
    /// 300 s doubling to 4,000 s, give or take 20 %; told after 4 hours and given up after 5 days, notices as well; from 5 attempts at
    /// once to 20.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        ScheduleOptions {
            delay_first: Duration::from_secs(300),
            delay_max: Duration::from_secs(4000),
            jitter_percent: 20,
            notice_after: Duration::from_secs(4 * 3600),
            expire_after: 5 * DAY,
            notice_expire_after: 5 * DAY,
            concurrency_first: 5,
            concurrency_max: 20,
        }
    }
}

impl ScheduleOptions {
    /// Milliseconds to wait after so many attempts in a row that came to nothing.
    pub(super) fn delay(&self, attempts: u32, random: &mut dyn Random) -> u64 {
        let doublings = attempts.saturating_sub(1).min(32);
        let delay = millis(self.delay_first).saturating_mul(1 << doublings).min(millis(self.delay_max));
        let jitter = delay / 100 * u64::from(self.jitter_percent.min(100));
        delay - jitter + random.below(2 * jitter + 1)
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_core::SeededRandom;

    // RTY-01
    #[test]
    fn waits_double_up_to_the_longest_and_differ() {
        let options = ScheduleOptions::default();
        let mut random = SeededRandom::new(1);
        for (attempts, seconds) in [(1, 300), (2, 600), (3, 1200), (4, 2400), (5, 4000), (6, 4000), (u32::MAX, 4000)] {
            let all: Vec<u64> = (0..1000).map(|_| options.delay(attempts, &mut random)).collect();
            let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
            assert!((seconds * 800..seconds * 810).contains(&least), "{attempts}: {least}");
            assert!((seconds * 1190..=seconds * 1200).contains(&most), "{attempts}: {most}");
        }
    }
}
