//! BY: how soon a message has to be delivered, and what to do if it is not (RFC 2852).

use core::fmt;

use super::CommandError;

/// The BY parameter of MAIL (RFC 2852 §4). Prints as that parameter.
///
/// ```
/// use pillarbox_smtp::command::{ByMode, DeliverBy};
///
/// let by = DeliverBy::parse("120;RT")?;
/// assert_eq!((by.seconds, by.mode, by.trace), (120, ByMode::Return, true));
/// assert_eq!(by.to_string(), "BY=120;RT");
/// assert!(DeliverBy::parse("-1;R").is_err(), "what must come back in time must have some");
/// # Ok::<(), pillarbox_smtp::command::CommandError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeliverBy {
    /// Seconds that are left from the moment of MAIL, -999,999,999 to 999,999,999. With [`ByMode::Notify`] the time may have
    /// passed already: how long ago is kept for notices.
    pub seconds: i32,
    /// What to do when the time has passed.
    pub mode: ByMode,
    /// Every relay is to send a notice that it handed the message on.
    pub trace: bool,
}

/// What becomes of a message that was not delivered in time (RFC 2852 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByMode {
    /// `N`: it is tried further, and the sender told of the delay.
    Notify,
    /// `R`: it goes back to the sender.
    Return,
}

/// RFC 2852 §4: a by-time has nine digits at most.
const SECONDS_MAX: i32 = 999_999_999;

impl DeliverBy {
    /// Reads the value of the parameter.
    ///
    /// # Errors
    ///
    /// [`CommandError::Parameter`] if it does not fit the grammar, or wants a message back that is late already (RFC 2852
    /// §4).
    pub fn parse(value: &str) -> Result<Self, CommandError> {
        let (time, how) = value.split_once(';').ok_or(CommandError::Parameter)?;
        let digits = time.strip_prefix(['-', '+']).unwrap_or(time);
        if !(1..=9).contains(&digits.len()) || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(CommandError::Parameter);
        }
        let seconds: i32 = time.parse().map_err(|_| CommandError::Parameter)?;
        let (mode, trace) = match how.as_bytes() {
            [mode] => (mode, false),
            [mode, b'T' | b't'] => (mode, true),
            _ => return Err(CommandError::Parameter),
        };
        let mode = match mode {
            b'N' | b'n' => ByMode::Notify,
            b'R' | b'r' if seconds > 0 => ByMode::Return,
            _ => return Err(CommandError::Parameter),
        };
        Ok(DeliverBy { seconds, mode, trace })
    }

    /// What a relay says that held the message for so many seconds (RFC 2852 §4.1.4); `None` if the time of a message that is
    /// to come back has passed: it must not be relayed.
    pub fn after(self, seconds: u64) -> Option<Self> {
        let held = i32::try_from(seconds).unwrap_or(i32::MAX);
        let left = self.seconds.saturating_sub(held).clamp(-SECONDS_MAX, SECONDS_MAX);
        (self.mode == ByMode::Notify || left > 0).then_some(DeliverBy { seconds: left, ..self })
    }
}

impl fmt::Display for DeliverBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            ByMode::Notify => "N",
            ByMode::Return => "R",
        };
        let trace = if self.trace { "T" } else { "" };
        write!(f, "BY={};{mode}{trace}", self.seconds.clamp(-SECONDS_MAX, SECONDS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn values() {
        for (value, seconds, mode, trace) in [
            ("1;R", 1, ByMode::Return, false),
            ("+0060;rt", 60, ByMode::Return, true),
            ("0;N", 0, ByMode::Notify, false),
            ("-999999999;nT", -999_999_999, ByMode::Notify, true),
            ("999999999;N", 999_999_999, ByMode::Notify, false),
        ] {
            let by = DeliverBy::parse(value).expect(value);
            assert_eq!(by, DeliverBy { seconds, mode, trace }, "{value}");
            let printed = by.to_string();
            assert_eq!(DeliverBy::parse(printed.strip_prefix("BY=").unwrap()), Ok(by));
        }
        for wrong in [
            "",
            ";",
            "1",
            "1;",
            ";R",
            "0;R",
            "-0;R",
            "-1;R",
            "1;T",
            "1;RR",
            "1;RTT",
            "1;R T",
            "1;RNT",
            "--1;N",
            "+-1;N",
            "1.5;N",
            "x;N",
            "1000000000;N",
            "1;R;T",
            "1,R",
            "1;É",
        ] {
            assert_eq!(DeliverBy::parse(wrong), Err(CommandError::Parameter), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_at_the_next_hop() {
        let by = |seconds, mode| DeliverBy { seconds, mode, trace: false };
        assert_eq!(by(60, ByMode::Return).after(59), Some(by(1, ByMode::Return)));
        assert_eq!(by(60, ByMode::Return).after(60), None);
        assert_eq!(by(60, ByMode::Notify).after(90), Some(by(-30, ByMode::Notify)));
        assert_eq!(by(0, ByMode::Notify).after(u64::MAX), Some(by(-SECONDS_MAX, ByMode::Notify)));
    }
}
