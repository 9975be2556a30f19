//! HOLDFOR and HOLDUNTIL: a message that is not to be released before its time (RFC 4865).

use core::fmt;

use pillarbox_core::WallTime;

use super::CommandError;

/// When a message is to be released (RFC 4865 §3). Prints as the parameter of MAIL.
///
/// ```
/// use pillarbox_smtp::command::FutureRelease;
///
/// let hold = FutureRelease::parse("HOLDUNTIL", "2026-12-24T17:00:00Z")?;
/// assert_eq!(hold.to_string(), "HOLDUNTIL=2026-12-24T17:00:00Z");
/// assert_eq!(FutureRelease::parse("HOLDFOR", "3600")?, FutureRelease::For(3600));
/// assert!(FutureRelease::parse("HOLDFOR", "0").is_err());
/// # Ok::<(), pillarbox_smtp::command::CommandError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FutureRelease {
    /// `HOLDFOR=`: so many seconds after MAIL, 1 to 999,999,999.
    For(u32),
    /// `HOLDUNTIL=`: not before this moment; in UTC, whole seconds.
    Until(WallTime),
}

/// RFC 4865 §3: `future-release-integer` has nine digits at most.
const SECONDS_MAX: u32 = 999_999_999;

impl FutureRelease {
    /// Reads one of the two parameters; the keyword in any case of letters.
    ///
    /// # Errors
    ///
    /// [`CommandError::UnknownParameter`] for another keyword, [`CommandError::Parameter`] for a value that does not fit: no
    /// number from 1 to 999,999,999, or no date in UTC as RFC 3339 writes it (with a `Z`).
    pub fn parse(keyword: &str, value: &str) -> Result<Self, CommandError> {
        let release = if keyword.eq_ignore_ascii_case("HOLDFOR") {
            seconds(value).map(FutureRelease::For)
        } else if keyword.eq_ignore_ascii_case("HOLDUNTIL") {
            date(value).map(FutureRelease::Until)
        } else {
            return Err(CommandError::UnknownParameter);
        };
        release.ok_or(CommandError::Parameter)
    }

    /// Seconds from `now` to the release; negative if it is past.
    pub fn seconds_from(self, now: WallTime) -> i64 {
        match self {
            FutureRelease::For(seconds) => i64::from(seconds),
            FutureRelease::Until(date) => date.unix_seconds() - now.unix_seconds(),
        }
    }
}

impl fmt::Display for FutureRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureRelease::For(seconds) => write!(f, "HOLDFOR={}", (*seconds).clamp(1, SECONDS_MAX)),
            FutureRelease::Until(date) => write!(f, "HOLDUNTIL={}", Utc(*date)),
        }
    }
}

/// A date as EHLO and HOLDUNTIL write it (RFC 3339 §5.6, in UTC).
pub(crate) struct Utc(pub(crate) WallTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = WallTime::new(self.0.unix_seconds(), 0).civil();
        let (year, month, day) = (at.year, at.month, at.day);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour, at.minute, at.second)
    }
}

fn seconds(value: &str) -> Option<u32> {
    let fits = value.len() <= 9 && !value.starts_with('0') && value.bytes().all(|octet| octet.is_ascii_digit());
    value.parse().ok().filter(|_| fits)
}

/// Reads a date in UTC. Fractions of a second round up, so that no message is released too early.
fn date(value: &str) -> Option<WallTime> {
    // RFC 3339 §5.6: T and Z may be small letters.
    let value = value.strip_suffix(['Z', 'z'])?;
    let (whole, fraction) = value.split_once('.').map_or((value, None), |(whole, digits)| (whole, Some(digits)));
    let octets: &[u8; 19] = whole.as_bytes().try_into().ok()?;
    if fraction.is_some_and(|digits| digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit())) {
        return None;
    }
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, mark)| octets[*at].eq_ignore_ascii_case(mark)) {
        return None;
    }
    let number = |at: usize, len: usize| {
        octets[at..at + len]
            .iter()
            .try_fold(0u16, |number, octet| octet.is_ascii_digit().then(|| number * 10 + u16::from(octet - b'0')))
    };
    let small = |at| number(at, 2).and_then(|number| u8::try_from(number).ok());
    let (year, month, day) = (i64::from(number(0, 4)?), small(5)?, small(8)?);
    let date = WallTime::from_civil(year, month, day, small(11)?, small(14)?, small(17)?, 0)?;
    let rest = fraction.is_some_and(|digits| digits.bytes().any(|octet| octet != b'0'));
    Some(WallTime::new(date.unix_seconds() + i64::from(rest), 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn intervals() {
        for (value, seconds) in [("1", 1), ("70", 70), ("999999999", 999_999_999)] {
            assert_eq!(FutureRelease::parse("holdfor", value), Ok(FutureRelease::For(seconds)), "{value}");
        }
        for wrong in ["", "0", "007", "-1", "+1", "1s", "1.0", "1000000000", "4294967297"] {
            assert_eq!(FutureRelease::parse("HOLDFOR", wrong), Err(CommandError::Parameter), "{wrong}");
        }
        assert_eq!(FutureRelease::parse("HOLD", "1"), Err(CommandError::UnknownParameter));
        assert_eq!(FutureRelease::For(60).to_string(), "HOLDFOR=60");
    }

    #[test]
    fn dates() {
        for (value, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2009-02-13T23:31:30Z", 1_234_567_890),
            ("2009-02-13t23:31:30z", 1_234_567_890),
            ("2009-02-13T23:31:30.000Z", 1_234_567_890),
            ("2009-02-13T23:31:29.01Z", 1_234_567_890),
            ("2008-02-29T12:00:00Z", 1_204_286_400),
        ] {
            let release = FutureRelease::parse("HOLDUNTIL", value);
            assert_eq!(release, Ok(FutureRelease::Until(WallTime::new(unix, 0))), "{value}");
        }
        for wrong in [
            "",
            "Z",
            "2009-02-13",
            "2009-02-13T23:31:30",
            "2009-02-13T23:31:30+00:00",
            "2009-02-13T23:31:30.Z",
            "2009-02-13T23:31:30.xZ",
            "2009-02-13 23:31:30Z",
            "2009-02-30T23:31:30Z",
            "2009-13-01T23:31:30Z",
            "2009-02-13T24:31:30Z",
            "+009-02-13T23:31:30Z",
            "20090213T233130Z",
            "é009-02-13T23:31:3Z",
        ] {
            assert_eq!(FutureRelease::parse("HOLDUNTIL", wrong), Err(CommandError::Parameter), "{wrong}");
        }
        let date = WallTime::new(1_234_567_890, 3600);
        assert_eq!(FutureRelease::Until(date).to_string(), "HOLDUNTIL=2009-02-13T23:31:30Z");
        assert_eq!(FutureRelease::Until(date).seconds_from(WallTime::new(1_234_567_900, 0)), -10);
    }
}
