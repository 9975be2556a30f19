//! Time as a value: machines read no clock.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A moment on a clock that only moves forward, as the time since an origin that the caller picked.
///
/// ```
/// use core::time::Duration;
/// use pillarbox_core::Time;
///
/// let start = Time::ZERO;
/// let deadline = start + Duration::from_secs(300);
/// assert!(deadline > start);
/// assert_eq!(deadline.since(start), Duration::from_secs(300));
/// assert_eq!(start.since(deadline), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The origin.
    pub const ZERO: Time = Time(Duration::ZERO);

    /// The moment `duration` after the origin.
    pub const fn from_origin(duration: Duration) -> Self {
        Time(duration)
    }

    /// How long after the origin this is.
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    pub const fn since(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(duration))
    }
}

impl Sub<Time> for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

/// A date as people and headers write it: seconds of UTC since 1970-01-01, and the offset of the local zone.
///
/// Needed where a protocol writes dates (Received, INTERNALDATE). It prints as RFC 5322 §3.3 wants:
///
/// ```
/// use pillarbox_core::WallTime;
///
/// let date = WallTime::new(1_234_567_890, 3600);
/// assert_eq!(date.to_string(), "Sat, 14 Feb 2009 00:31:30 +0100");
/// assert_eq!(WallTime::new(0, 0).to_string(), "Thu, 1 Jan 1970 00:00:00 +0000");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    unix_seconds: i64,
    offset_seconds: i32,
}

/// The parts of a date in its own zone, by the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year, such as 2026.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 is Sunday.
    pub weekday: u8,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
/// Seconds from 0000-01-01 to 9999-12-31, the years that the protocols can write, around 1970.
const SECONDS_MIN: i64 = -62_167_219_200;
const SECONDS_MAX: i64 = 253_402_300_799;
/// The zone furthest from Greenwich that four digits can write: 99:59 hours.
const OFFSET_MAX: i32 = 359_940;

impl WallTime {
    /// A date from UTC seconds since 1970 and the zone's offset in seconds east of Greenwich. Years that are outside 0 to
    /// 9999 there and offsets beyond ±99:59 hours, which no mail date can hold, are pulled to the nearest one that it can.
    /// Offsets lose what is no whole minute, as zones before 1900 have it; the moment stays the same.
    pub fn new(unix_seconds: i64, offset_seconds: i32) -> Self {
        let offset_seconds = offset_seconds.clamp(-OFFSET_MAX, OFFSET_MAX) / 60 * 60;
        let shift = i64::from(offset_seconds);
        WallTime { unix_seconds: unix_seconds.clamp(SECONDS_MIN - shift, SECONDS_MAX - shift), offset_seconds }
    }

    /// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
    pub const fn unix_seconds(self) -> i64 {
        self.unix_seconds
    }

    /// The zone's offset in seconds, whole minutes, positive east of Greenwich.
    pub const fn offset_seconds(self) -> i32 {
        self.offset_seconds
    }

    /// A date from its parts and the offset of their zone; `None` if there is no such date.
    pub fn from_civil(
        year: i64,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
        offset_seconds: i32,
    ) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        // A leap second (60) is written by RFC 5322 §3.3 and counts as the second after it.
        if !(0..=9999).contains(&year) || day == 0 || day > days_in_month || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        if !(-OFFSET_MAX..=OFFSET_MAX).contains(&offset_seconds) {
            return None;
        }
        // Days since 1970-01-01 with March as the first month, so that the leap day is the last of its year.
        let march_year = if month <= 2 { year - 1 } else { year };
        let era = march_year.div_euclid(400);
        let year_of_era = march_year.rem_euclid(400);
        let month_from_march = (i64::from(month) + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(WallTime::new(seconds - i64::from(offset_seconds), offset_seconds))
    }

    /// The parts of the date in its own zone.
    pub fn civil(self) -> Civil {
        let local = self.unix_seconds + i64::from(self.offset_seconds);
        let days = local.div_euclid(86_400);
        let second_of_day = local.rem_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as u8,
            day: (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u8,
            hour: (second_of_day / 3600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
            weekday: (days + 4).rem_euclid(7) as u8,
        }
    }

    /// The zone as four digits with a sign, such as `+0100`.
    pub const fn zone(self) -> Zone {
        Zone(self.offset_seconds)
    }
}

/// A zone's offset; prints as four digits with a sign (RFC 5322 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(i32);

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.abs() / 60;
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }
}

impl Civil {
    /// The month's English abbreviation, such as `Feb`.
    pub fn month_name(&self) -> &'static str {
        MONTHS[usize::from(self.month.clamp(1, 12)) - 1]
    }

    /// The weekday's English abbreviation, such as `Sat`.
    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS[usize::from(self.weekday % 7)]
    }
}

impl fmt::Display for WallTime {
    // RFC 5322 §3.3
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        write!(
            f,
            "{}, {} {} {:04} {:02}:{:02}:{:02} {}",
            c.weekday_name(),
            c.day,
            c.month_name(),
            c.year,
            c.hour,
            c.minute,
            c.second,
            self.zone()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn civil_and_back_over_the_whole_range() {
        let mut seconds = SECONDS_MIN;
        while seconds < SECONDS_MAX {
            let date = WallTime::new(seconds, 0);
            let c = date.civil();
            assert_eq!(WallTime::from_civil(c.year, c.month, c.day, c.hour, c.minute, c.second, 0), Some(date));
            seconds += 86_400 * 13 + 12_345;
        }
    }

    #[test]
    fn dates_that_do_not_exist() {
        for (year, month, day) in
            [(2023, 2, 29), (1900, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (2024, 1, 0)]
        {
            assert_eq!(WallTime::from_civil(year, month, day, 0, 0, 0, 0), None, "{year}-{month}-{day}");
        }
        assert!(WallTime::from_civil(2000, 2, 29, 23, 59, 60, 0).is_some());
    }

    #[test]
    fn offsets_that_no_date_can_hold() {
        for offset in [i32::MIN, -360_000, 360_000, i32::MAX] {
            assert_eq!(WallTime::from_civil(2000, 1, 1, 0, 0, 0, offset), None, "{offset}");
        }
        // Zones of before 1900 have seconds. The moment stays the same.
        let date = WallTime::new(0, 3629);
        assert_eq!((date.unix_seconds(), date.to_string()), (0, "Thu, 1 Jan 1970 01:00:00 +0100".to_string()));
        let date = WallTime::new(0, -3629);
        assert_eq!((date.unix_seconds(), date.to_string()), (0, "Wed, 31 Dec 1969 23:00:00 -0100".to_string()));
    }

    #[test]
    fn the_first_and_the_last_hour_in_any_zone() {
        for (year, month, day, hour) in [(0, 1, 1, 0), (9999, 12, 31, 23)] {
            for offset in [-359_940, -3600, 0, 3600, 359_940] {
                let c = WallTime::from_civil(year, month, day, hour, 0, 0, offset).unwrap().civil();
                assert_eq!((c.year, c.month, c.day, c.hour), (year, month, day, hour), "{offset}");
            }
        }
    }

    #[test]
    fn extremes_print_a_four_digit_year() {
        for seconds in [i64::MIN, i64::MAX] {
            for offset in [i32::MIN, 0, i32::MAX] {
                let c = WallTime::new(seconds, offset).civil();
                assert!((0..=9999).contains(&c.year), "{seconds} {offset} {c:?}");
            }
        }
    }
}
