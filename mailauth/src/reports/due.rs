//! Which failure reports a message makes due.

use crate::dmarc::{FailureOptions, FailureTrigger};

/// What the evaluation of a message came to, as far as failure reports depend on it.
///
/// ```
/// use pillarbox_auth::dmarc::Record;
/// use pillarbox_auth::reports::FailedMessage;
///
/// let record = Record::parse(b"v=DMARC1; p=none; ruf=mailto:f@example.org; fo=1:d")?;
/// let mut message = FailedMessage::default();
/// message.spf_aligned = true;
/// message.dkim_failed = true;
/// let due = message.due(record.failure_options);
/// assert!(due.dmarc && due.dkim && !due.spf);
/// # Ok::<(), pillarbox_auth::dmarc::RecordError>(())
/// ```
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

impl FailedMessage {
    /// Which reports are due if a domain wants those that the options speak of.
    pub const fn due(self, options: FailureOptions) -> DueReports {
        let dmarc = match options.dmarc {
            None => false,
            Some(FailureTrigger::All) => !self.dkim_aligned && !self.spf_aligned,
            Some(FailureTrigger::Any) => !self.dkim_aligned || !self.spf_aligned,
        };
        DueReports { dmarc, dkim: options.dkim && self.dkim_failed, spf: options.spf && self.spf_failed }
    }
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
    use crate::dmarc::Record;
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
            ("d", "Dd", "d"),
            ("d", "", ""),
            ("s", "s", "s"),
            ("D:S", "ds", "ds"),
            ("0:d:s", "ds", "Mds"),
            ("", "", "M"),
            (" 1 : s ", "Ds", "Ms"),
            // What is none of the values is as if it were not there.
            ("0:1", "Ds", ""),
            ("1:x", "Ds", ""),
        ] {
            let record = alloc::format!("v=DMARC1; p=none; ruf=mailto:a@b.example; fo={fo}");
            let reports = message(letters).due(Record::parse(record.as_bytes()).unwrap().failure_options);
            let words = [(reports.dmarc, "M"), (reports.dkim, "d"), (reports.spf, "s")];
            let words = words.iter().filter(|(is_due, _)| *is_due).map(|(_, word)| *word).collect::<String>();
            assert_eq!(words, due, "fo={fo} {letters}");
            assert_eq!(reports.any(), !due.is_empty());
        }
    }
}
