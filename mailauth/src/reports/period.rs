//! When a report is due. All of it is arithmetic: the time comes from the caller.

use pillarbox_core::Random;

/// A span of time that a report covers, in seconds of UTC since 1970; both ends belong to it.
///
/// ```
/// use pillarbox_auth::reports::Period;
///
/// // 1 October 2021, 13:46:40
/// let period = Period::containing(1_633_096_000, Period::DAY);
/// assert_eq!((period.begin, period.end), (1_633_046_400, 1_633_132_799));
/// assert_eq!(period.next().begin, 1_633_132_800);
/// assert!(period.is_over(1_633_132_800));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    /// The first second.
    pub begin: u64,
    /// The last second.
    pub end: u64,
}

impl Period {
    /// The usual length: one day of UTC (RFC 9990 §3.1.1).
    pub const DAY: u32 = 86_400;

    /// The period of `interval` seconds that a moment falls into. Periods begin at midnight of UTC and follow each other
    /// without a gap; an interval that does not divide a day is shortened to one that does ([`Period::interval`]).
    pub fn containing(now: u64, interval: u32) -> Self {
        let length = u64::from(Period::interval(Some(interval), 1));
        let begin = now - now % length;
        Period { begin, end: begin.saturating_add(length - 1) }
    }

    /// The interval to report in: what a domain asked for (`ri` of RFC 7489 §6.3, which RFC 9989 dropped), not below
    /// `shortest`, not above a day, and such that a day is a multiple of it, so that no report spans midnight.
    ///
    /// ```
    /// use pillarbox_auth::reports::Period;
    ///
    /// assert_eq!(Period::interval(None, 3600), 86_400);
    /// assert_eq!(Period::interval(Some(7200), 3600), 7200);
    /// assert_eq!(Period::interval(Some(60), 3600), 3600);
    /// assert_eq!(Period::interval(Some(50_000), 3600), 43_200);
    /// assert_eq!(Period::interval(Some(604_800), 3600), 86_400);
    /// ```
    pub fn interval(asked: Option<u32>, shortest: u32) -> u32 {
        let day = Period::DAY;
        let shortest = shortest.clamp(1, day);
        let wanted = asked.unwrap_or(day).clamp(shortest, day);
        // The smallest number of equal parts that are not longer than wanted; where those get shorter than allowed, the
        // largest number of parts that do not.
        let fewer =
            (day.div_ceil(wanted)..=day).find(|parts| day.is_multiple_of(*parts)).map_or(1, |parts| day / parts);
        if fewer >= shortest {
            return fewer;
        }
        (1..=day / shortest).rev().find(|parts| day.is_multiple_of(*parts)).map_or(day, |parts| day / parts)
    }

    /// The period of the same length that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        let begin = self.end.saturating_add(1);
        Period { begin, end: begin.saturating_add(self.end.saturating_sub(self.begin)) }
    }

    /// Whether nothing more can happen in it.
    pub const fn is_over(self, now: u64) -> bool {
        now > self.end
    }

    /// When to send the report of this period: after its end, by a random part of `spread` seconds, so that the reports
    /// of many domains (and of all servers in the world) do not start together at midnight.
    pub fn send_at(self, spread: u32, random: &mut dyn Random) -> u64 {
        self.end.saturating_add(1).saturating_add(random.below(u64::from(spread) + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use pillarbox_core::SeededRandom;

    #[test]
    fn periods_cover_every_second_once() {
        for interval in [1, 60, 3600, 7000, 43_200, 86_400, 1_000_000] {
            let mut period = Period::containing(1_700_000_000, interval);
            for _ in 0..50 {
                let next = period.next();
                assert_eq!(next.begin, period.end + 1);
                assert_eq!(Period::containing(period.begin, interval), period);
                assert_eq!(Period::containing(period.end, interval), period);
                let day = u64::from(Period::DAY);
                assert_eq!(period.begin / day, period.end / day, "no report spans midnight");
                assert!(period.is_over(next.begin) && !period.is_over(period.end));
                period = next;
            }
        }
        assert_eq!(Period::containing(u64::MAX, Period::DAY).end, u64::MAX);
    }

    #[test]
    fn intervals_divide_a_day_and_keep_their_bounds() {
        for asked in [0, 1, 59, 3599, 3600, 3601, 5000, 40_000, 86_399, 86_400, u32::MAX] {
            for shortest in [0, 1, 7, 3600, 5000, 50_000, 86_400, u32::MAX] {
                let interval = Period::interval(Some(asked), shortest);
                assert_eq!(Period::DAY % interval, 0, "{asked} {shortest}");
                assert!(interval >= shortest.min(Period::DAY), "{asked} {shortest}");
            }
        }
    }

    #[test]
    fn reports_are_spread() {
        let mut random = SeededRandom::new(3);
        let period = Period::containing(0, Period::DAY);
        let times = (0..100).map(|_| period.send_at(3600, &mut random)).collect::<Vec<_>>();
        assert!(times.iter().all(|time| (86_400..=90_000).contains(time)));
        assert!(times.iter().max() > times.iter().min());
        assert_eq!(period.send_at(0, &mut random), 86_400);
    }
}
