//! MT-PRIORITY: which message goes first (RFC 6710).

use core::fmt;

use super::CommandError;

/// The priority of a message, -9 to 9; higher goes first, 0 is that of every message without one (RFC 6710 §3, §5). Prints as
/// the number alone.
///
/// ```
/// use pillarbox_smtp::command::MtPriority;
///
/// assert_eq!(MtPriority::parse("-3")?, MtPriority::new(-3).unwrap());
/// assert_eq!(MtPriority::new(10), None);
/// assert_eq!(MtPriority::default().to_string(), "0");
/// # Ok::<(), pillarbox_smtp::command::CommandError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MtPriority(i8);

impl MtPriority {
    /// A priority; `None` outside -9 to 9.
    pub const fn new(level: i8) -> Option<Self> {
        if level >= -9 && level <= 9 { Some(MtPriority(level)) } else { None }
    }

    /// The number, -9 to 9.
    pub const fn level(self) -> i8 {
        self.0
    }

    /// Reads the value of the parameter: `(["-"] NZDIGIT) / "0"` (RFC 6710 §7).
    ///
    /// # Errors
    ///
    /// [`CommandError::Parameter`] for anything else.
    pub fn parse(value: &str) -> Result<Self, CommandError> {
        match value.as_bytes() {
            b"0" => Ok(MtPriority(0)),
            [digit @ b'1'..=b'9'] => Ok(MtPriority((digit - b'0').cast_signed())),
            [b'-', digit @ b'1'..=b'9'] => Ok(MtPriority(-(digit - b'0').cast_signed())),
            _ => Err(CommandError::Parameter),
        }
    }
}

impl fmt::Display for MtPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn values() {
        for level in -9..=9 {
            let priority = MtPriority::new(level).unwrap();
            assert_eq!(MtPriority::parse(&priority.to_string()), Ok(priority));
        }
        for wrong in ["", "-", "-0", "00", "+1", "10", "-10", "1.0", "x", " 1"] {
            assert_eq!(MtPriority::parse(wrong), Err(CommandError::Parameter), "{wrong:?}");
        }
        assert!(MtPriority::new(9) > MtPriority::new(0) && MtPriority::new(-10).is_none());
    }
}
