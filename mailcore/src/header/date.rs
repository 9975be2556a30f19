//! Dates in header fields (RFC 5322 §3.3, §4.3).

use super::skip_cfws;
use crate::WallTime;

/// Reads a date as header fields have it, in the present and the obsolete forms: two-digit years, named zones, comments, no
/// seconds. The day of the week is not checked. `None` if there is no such date.
///
/// ```
/// use pillarbox_core::header::parse_date;
///
/// let date = parse_date(b"Fri, 21 Nov 97 09:55 EST (a comment)").unwrap();
/// assert_eq!(date.to_string(), "Fri, 21 Nov 1997 09:55:00 -0500");
/// assert_eq!(parse_date(b"yesterday"), None);
/// ```
pub fn parse_date(value: &[u8]) -> Option<WallTime> {
    let (day, rest) = read_day(value)?;
    let (hour, minute, second, offset) = read_time(rest)?;
    day.at(hour, minute, second, offset)
}

/// Reads a date as [`parse_date`] does. Where the day can be read and the time cannot, it is 00:00:00 UTC (RFC 5256 §2.2).
/// `None` if there is no such day.
///
/// ```
/// use pillarbox_core::header::parse_sent_date;
///
/// assert_eq!(parse_sent_date(b"21 Nov 97 25:00").unwrap().to_string(), "Fri, 21 Nov 1997 00:00:00 +0000");
/// assert_eq!(parse_sent_date(b"31 Nov 97 09:55"), None);
/// ```
pub fn parse_sent_date(value: &[u8]) -> Option<WallTime> {
    let (day, rest) = read_day(value)?;
    let (hour, minute, second, offset) = read_time(rest).unwrap_or_default();
    day.at(hour, minute, second, offset).or_else(|| day.at(0, 0, 0, 0))
}

/// A day that may be in no calendar.
struct Day {
    year: i64,
    month: u8,
    day: u8,
}

impl Day {
    fn at(&self, hour: u8, minute: u8, second: u8, offset: i32) -> Option<WallTime> {
        WallTime::from_civil(self.year, self.month, self.day, hour, minute, second, offset)
    }
}

/// The day that a date begins with, and what stands behind it.
fn read_day(value: &[u8]) -> Option<(Day, &[u8])> {
    let mut rest = skip_cfws(value);
    if !rest.first()?.is_ascii_digit() {
        run(&mut rest, u8::is_ascii_alphabetic);
        rest = skip_cfws(rest);
        take(&mut rest, b',');
        rest = skip_cfws(rest);
    }
    let (day, _) = number(&mut rest, 2)?;
    // A dash is not in any RFC and common all the same.
    take(&mut rest, b'-');
    let month = month(run(&mut rest, u8::is_ascii_alphabetic))?;
    rest = skip_cfws(rest);
    take(&mut rest, b'-');
    let (year, digits) = number(&mut rest, 4)?;
    // RFC 5322 §4.3: the centuries of two and three digits.
    let year = match digits {
        4 => year,
        3 => year + 1900,
        _ if year < 50 => year + 2000,
        _ => year + 1900,
    };
    Some((Day { year: i64::from(year), month, day: u8::try_from(day).ok()? }, rest))
}

/// Hour, minute, second, and the offset of the zone in seconds.
fn read_time(mut rest: &[u8]) -> Option<(u8, u8, u8, i32)> {
    let (hour, _) = number(&mut rest, 2)?;
    if !take(&mut rest, b':') {
        return None;
    }
    rest = skip_cfws(rest);
    let (minute, _) = number(&mut rest, 2)?;
    let mut second = 0;
    if take(&mut rest, b':') {
        rest = skip_cfws(rest);
        second = number(&mut rest, 2)?.0;
    }
    let octet = |n: u32| u8::try_from(n).ok();
    Some((octet(hour)?, octet(minute)?, octet(second)?, zone(rest)))
}

/// Takes the longest run of octets that fit.
fn run<'v>(rest: &mut &'v [u8], fits: impl Fn(&u8) -> bool) -> &'v [u8] {
    let (run, behind) = rest.split_at(rest.iter().position(|octet| !fits(octet)).unwrap_or(rest.len()));
    *rest = behind;
    run
}

/// Takes the octet if it comes next.
fn take(rest: &mut &[u8], octet: u8) -> bool {
    let behind = rest.strip_prefix(&[octet]);
    *rest = behind.unwrap_or(rest);
    behind.is_some()
}

/// A number and how many digits it has, at least one and at most `digits_max`; then white space is skipped.
fn number(rest: &mut &[u8], digits_max: usize) -> Option<(u32, usize)> {
    let digits = run(rest, u8::is_ascii_digit);
    *rest = skip_cfws(rest);
    let fits = (1..=digits_max).contains(&digits.len());
    fits.then(|| (digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')), digits.len()))
}

fn month(name: &[u8]) -> Option<u8> {
    let names = b"janfebmaraprmayjunjulaugsepoctnovdec".chunks(3);
    let short = name.get(..3)?;
    names.zip(1..).find(|(month, _)| month.eq_ignore_ascii_case(short)).map(|(_, number)| number)
}

/// The offset of a zone in seconds; 0 if it is missing or unknown.
fn zone(mut rest: &[u8]) -> i32 {
    let sign = match rest.first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => {
            // RFC 5322 §4.3: the North American zones; all others are unknown, which means -0000.
            let hours = match run(&mut rest, u8::is_ascii_alphabetic).to_ascii_uppercase().as_slice() {
                b"EDT" => -4,
                b"EST" | b"CDT" => -5,
                b"CST" | b"MDT" => -6,
                b"MST" | b"PDT" => -7,
                b"PST" => -8,
                _ => 0,
            };
            return hours * 3600;
        }
    };
    rest = &rest[1..];
    match number(&mut rest, 4) {
        Some((hhmm, 4)) if hhmm % 100 < 60 => sign * (hhmm / 100 * 3600 + hhmm % 100 * 60) as i32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn forms() {
        for (value, expected) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600"),
            ("21 Nov 97 09:55:06 GMT", "Fri, 21 Nov 1997 09:55:06 +0000"),
            ("Thu, 13 Feb 1969 23:32 -0330", "Thu, 13 Feb 1969 23:32:00 -0330"),
            (
                "Thu,\r\n      13\r\n  Feb\r\n  1969\r\n 23:32\r\n -0330 (Newfoundland Time)",
                "Thu, 13 Feb 1969 23:32:00 -0330",
            ),
            ("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", "Fri, 21 Nov 1997 09:55:06 -0600"),
            ("1 Jan 49 0:00 Z", "Fri, 1 Jan 2049 00:00:00 +0000"),
            ("1 Jan 103 00:00 PST", "Wed, 1 Jan 2003 00:00:00 -0800"),
            ("Sun 06-Nov-94 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 +0000"),
            ("Sat, 1 July 2023 10:00:00 +9999", "Sat, 1 Jul 2023 10:00:00 +0000"),
            ("8 October 11 20:15", "Sat, 8 Oct 2011 20:15:00 +0000"),
            ("Thu, 8 Mar 2005 14:00:00 EDT", "Tue, 8 Mar 2005 14:00:00 -0400"),
            ("Wed, 14 Apr 2010 12:15:31 -0700", "Wed, 14 Apr 2010 12:15:31 -0700"),
            ("8 Oct 2011 20:15:58 +0000", "Sat, 8 Oct 2011 20:15:58 +0000"),
        ] {
            assert_eq!(parse_date(value.as_bytes()).map(|d| d.to_string()).as_deref(), Some(expected), "{value}");
        }
    }

    /// RFC 5256 §2.2
    #[test]
    fn the_day_counts_where_the_time_cannot_be_read() {
        for (value, expected) in [
            ("1 Jan 2020", "Wed, 1 Jan 2020 00:00:00 +0000"),
            ("1 Jan 2020 1", "Wed, 1 Jan 2020 00:00:00 +0000"),
            ("Wed, 1 Jan 2020 25:00:00 +0100", "Wed, 1 Jan 2020 00:00:00 +0000"),
            ("1 Jan 2020 10:61 PST", "Wed, 1 Jan 2020 00:00:00 +0000"),
            ("1 Jan 2020 noon +0100", "Wed, 1 Jan 2020 00:00:00 +0000"),
            ("1 Jan 2020 10:00:00 +9999", "Wed, 1 Jan 2020 10:00:00 +0000"),
            ("1 Jan 2020 10:00:00 +0100", "Wed, 1 Jan 2020 10:00:00 +0100"),
        ] {
            assert_eq!(parse_sent_date(value.as_bytes()).map(|d| d.to_string()).as_deref(), Some(expected), "{value}");
        }
        for value in ["", "Fri", "32 Jan 2020 00:00 Z", "29 Feb 2023", "1 Xyz 2020 00:00", "8 Oct 20111", "(8 Oct 2011"]
        {
            assert_eq!(parse_sent_date(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn no_dates() {
        for value in [
            "",
            "Fri",
            "32 Jan 2020 00:00 Z",
            "29 Feb 2023 00:00 Z",
            "1 Xyz 2020 00:00",
            "1 Jan 2020",
            "1 Jan 2020 1",
            "31 Feb 2011 20:15:58 +0000",
            "8 Oct 20111 20:15:58",
            "8 \u{e9}\u{e9} 2011 20:15:58",
            "(8 Oct 2011 20:15",
        ] {
            assert_eq!(parse_date(value.as_bytes()), None, "{value}");
        }
    }
}
