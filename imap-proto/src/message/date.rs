//! The Date field (RFC 5322 §3.3, §4.3).

use pillarbox_core::WallTime;

use super::lex::Lexer;

/// Reads the value of a Date field, in the present and the obsolete forms: two-digit years, named zones, comments, no
/// seconds. The day of the week is not checked. `None` if there is no such date.
///
/// ```
/// use pillarbox_imap::message::parse_date;
///
/// let date = parse_date(b"Fri, 21 Nov 97 09:55 EST (a comment)").unwrap();
/// assert_eq!(date.to_string(), "Fri, 21 Nov 1997 09:55:00 -0500");
/// assert_eq!(parse_date(b"yesterday"), None);
/// ```
pub fn parse_date(value: &[u8]) -> Option<WallTime> {
    let mut lexer = Lexer::new(value);
    lexer.skip_cfws();
    if !lexer.peek()?.is_ascii_digit() {
        lexer.run(|b| b.is_ascii_alphabetic());
        lexer.skip_cfws();
        lexer.take(b',');
        lexer.skip_cfws();
    }
    let (day, _) = number(&mut lexer, 2)?;
    // A dash is not in any RFC and common all the same.
    lexer.take(b'-');
    let month = month(lexer.run(|b| b.is_ascii_alphabetic()))?;
    lexer.skip_cfws();
    lexer.take(b'-');
    let (year, digits) = number(&mut lexer, 4)?;
    // RFC 5322 §4.3: the centuries of two and three digits.
    let year = match digits {
        4 => year,
        3 => year + 1900,
        _ if year < 50 => year + 2000,
        _ => year + 1900,
    };
    let (hour, _) = number(&mut lexer, 2)?;
    if !lexer.take(b':') {
        return None;
    }
    lexer.skip_cfws();
    let (minute, _) = number(&mut lexer, 2)?;
    let mut second = 0;
    if lexer.take(b':') {
        lexer.skip_cfws();
        second = number(&mut lexer, 2)?.0;
    }
    let octet = |n: u32| u8::try_from(n).ok();
    let (day, hour, minute, second) = (octet(day)?, octet(hour)?, octet(minute)?, octet(second)?);
    WallTime::from_civil(i64::from(year), month, day, hour, minute, second, zone(&mut lexer))
}

/// A number and how many digits it has, at least one and at most `digits_max`; then white space is skipped.
fn number(lexer: &mut Lexer<'_>, digits_max: usize) -> Option<(u32, usize)> {
    let digits = lexer.run(|b| b.is_ascii_digit());
    lexer.skip_cfws();
    let fits = (1..=digits_max).contains(&digits.len());
    fits.then(|| (digits.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')), digits.len()))
}

fn month(name: &[u8]) -> Option<u8> {
    let names = b"janfebmaraprmayjunjulaugsepoctnovdec".chunks(3);
    let short = name.get(..3)?;
    names.zip(1..).find(|(month, _)| month.eq_ignore_ascii_case(short)).map(|(_, number)| number)
}

/// The offset of a zone in seconds; 0 if it is missing or unknown.
fn zone(lexer: &mut Lexer<'_>) -> i32 {
    let sign = match lexer.peek() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => {
            let name = lexer.run(|b| b.is_ascii_alphabetic()).to_ascii_uppercase();
            // RFC 5322 §4.3: the North American zones; all others are unknown, which means -0000.
            let hours = match name.as_slice() {
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
    lexer.bump();
    match number(lexer, 4) {
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
        ] {
            assert_eq!(parse_date(value.as_bytes()).map(|d| d.to_string()).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn no_dates() {
        for value in
            ["", "Fri", "32 Jan 2020 00:00 Z", "29 Feb 2023 00:00 Z", "1 Xyz 2020 00:00", "1 Jan 2020", "1 Jan 2020 1"]
        {
            assert_eq!(parse_date(value.as_bytes()), None, "{value}");
        }
    }
}
