//! Which failure reports a message makes due.

use alloc::vec::Vec;
use core::fmt;

/// What failures a domain wants reports about: the tag `fo` (RFC 9989 §4.7).
///
/// ```
/// use pillarbox_auth::reports::FailureOptions;
///
/// let options = FailureOptions::parse("1:d:x");
/// assert!(options.any && options.dkim && !options.spf);
/// assert_eq!(options.to_string(), "1:d");
/// assert_eq!(FailureOptions::default().to_string(), "0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FailureOptions {
    /// `0`: a DMARC report if no mechanism gave an aligned pass.
    pub all: bool,
    /// `1`: a DMARC report if one of the mechanisms gave no aligned pass.
    pub any: bool,
    /// `d`: a DKIM report if a signature failed, aligned or not.
    pub dkim: bool,
    /// `s`: an SPF report if SPF failed, aligned or not.
    pub spf: bool,
}

impl Default for FailureOptions {
    /// `0`
    fn default() -> Self {
        FailureOptions { all: true, any: false, dkim: false, spf: false }
    }
}

impl FailureOptions {
    /// Reads the value of the tag. Words that are not known are ignored, as RFC 9989 §4.7 has it for tags; if none is
    /// known the default stands. `0` and `1` exclude each other, and `1` includes what `0` asks for, so it wins.
    pub fn parse(value: &str) -> Self {
        let mut options = FailureOptions { all: false, any: false, dkim: false, spf: false };
        for word in value.split(':').map(str::trim) {
            match word {
                "0" => options.all = true,
                "1" => options.any = true,
                "d" | "D" => options.dkim = true,
                "s" | "S" => options.spf = true,
                _ => {}
            }
        }
        options.all &= !options.any;
        if options.reports_nothing() { FailureOptions::default() } else { options }
    }

    const fn reports_nothing(self) -> bool {
        !(self.all || self.any || self.dkim || self.spf)
    }

    /// Which reports are due for a message.
    pub const fn due(self, message: FailedMessage) -> DueReports {
        let none_aligned = !message.dkim_aligned && !message.spf_aligned;
        let one_not_aligned = !message.dkim_aligned || !message.spf_aligned;
        DueReports {
            dmarc: (self.all && none_aligned) || (self.any && one_not_aligned),
            dkim: self.dkim && message.dkim_failed,
            spf: self.spf && message.spf_failed,
        }
    }
}

impl fmt::Display for FailureOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [(self.all, "0"), (self.any, "1"), (self.dkim, "d"), (self.spf, "s")];
        let words = words.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| *word).collect::<Vec<_>>();
        f.write_str(&words.join(":"))
    }
}

/// What the evaluation of a message came to, as far as failure reports depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FailedMessage {
    /// A DKIM signature passed whose domain is aligned with the author's.
    pub dkim_aligned: bool,
    /// SPF passed for a domain that is aligned with the author's.
    pub spf_aligned: bool,
    /// A DKIM signature failed, whatever its domain.
    pub dkim_failed: bool,
    /// SPF failed, whatever the domain.
    pub spf_failed: bool,
}

/// The failure reports that are due for a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DueReports {
    /// A DMARC failure report (RFC 9991).
    pub dmarc: bool,
    /// A DKIM failure report (RFC 6651).
    pub dkim: bool,
    /// An SPF failure report (RFC 6652).
    pub spf: bool,
}

impl DueReports {
    /// Whether any is due.
    pub const fn any(self) -> bool {
        self.dmarc || self.dkim || self.spf
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn which_reports_are_due() {
        let message = |letters: &str| FailedMessage {
            dkim_aligned: letters.contains('D'),
            spf_aligned: letters.contains('S'),
            dkim_failed: letters.contains('d'),
            spf_failed: letters.contains('s'),
        };
        // Big letters: an aligned pass. Small letters: a failure.
        for (fo, letters, due) in [
            ("0", "ds", "M"),
            ("0", "", "M"),
            ("0", "Ds", ""),
            ("0", "DS", ""),
            ("1", "Ds", "M"),
            ("1", "dS", "M"),
            ("1", "DS", ""),
            ("0:1", "Ds", "M"),
            ("d", "Dd", "d"),
            ("d", "", ""),
            ("s", "s", "s"),
            ("D:S", "ds", "ds"),
            ("0:d:s", "ds", "Mds"),
            ("x:y", "", "M"),
            ("", "", "M"),
            (" 1 : s ", "Ds", "Ms"),
        ] {
            let reports = FailureOptions::parse(fo).due(message(letters));
            let words = [(reports.dmarc, "M"), (reports.dkim, "d"), (reports.spf, "s")];
            let words = words.iter().filter(|(is_due, _)| *is_due).map(|(_, word)| *word).collect::<String>();
            assert_eq!(words, due, "fo={fo} {letters}");
            assert_eq!(reports.any(), !due.is_empty());
        }
    }
}
