//! What time it is, said on the command line.

use std::time::{SystemTime, UNIX_EPOCH};

use pillarbox::mailcore::WallTime;

/// Seconds since 1970 from a number of them, or from a date as RFC 3339 has it.
pub fn parse(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(seconds) => Ok(seconds),
        Err(_) => date(text).ok_or_else(|| "neither seconds since 1970 nor a date as in 2026-01-31T23:59:59Z".into()),
    }
}

/// Now, by the clock of the system.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

// RFC 3339 §5.6
fn date(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|octet| octet.is_ascii_digit()).then(|| digits.parse::<u8>().ok())?
    };
    let is_mark = |at: usize, marks: &[u8]| text.as_bytes().get(at).is_some_and(|octet| marks.contains(octet));
    let is_date = is_mark(4, b"-") && is_mark(7, b"-") && is_mark(10, b"Tt ") && is_mark(13, b":") && is_mark(16, b":");
    let year = i64::from(number(0..2)?) * 100 + i64::from(number(2..4)?);
    let mut zone = 19;
    if is_mark(zone, b".") {
        let digits = text.bytes().skip(zone + 1).take_while(u8::is_ascii_digit).count();
        zone += 1 + digits;
        if digits == 0 {
            return None;
        }
    }
    let offset = match text.get(zone..)? {
        "Z" | "z" => 0,
        offset if offset.len() == 6 && is_mark(zone, b"+-") && is_mark(zone + 3, b":") => {
            let minutes = i32::from(number(zone + 1..zone + 3)?) * 60 + i32::from(number(zone + 4..zone + 6)?);
            minutes * if offset.starts_with('-') { -60 } else { 60 }
        }
        _ => return None,
    };
    let (month, day) = (number(5..7)?, number(8..10)?);
    let time = WallTime::from_civil(year, month, day, number(11..13)?, number(14..16)?, number(17..19)?, offset)?;
    is_date.then(|| u64::try_from(time.unix_seconds()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        assert_eq!(parse("1700000000"), Ok(1_700_000_000));
        for date in [
            "2023-11-14T22:13:20Z",
            "2023-11-14t22:13:20.25z",
            "2023-11-15T00:13:20+02:00",
            "2023-11-14 16:43:20-05:30",
        ] {
            assert_eq!(parse(date), Ok(1_700_000_000), "{date}");
        }
        for wrong in [
            "",
            "-1",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20.Z",
            "2023-13-14T22:13:20Z",
            "2023-11-14T22:13:20+0200",
            "2023-11-14T22:13:20Zé",
            "1969-12-31T23:59:59Z",
            "20+3-11-14T22:13:20Z",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
