//! What tells one report from others.

use alloc::string::{String, ToString};
use core::fmt;

use pillarbox_core::Random;
use pillarbox_core::dns::Name;

use super::Period;

/// An identifier of a report, for its subject, its file name and its Message-ID: `dot-atom [ "@" dot-atom ]`
/// (RFC 9990 §3.5.1). A report that is sent again keeps its own.
///
/// ```
/// use pillarbox_auth::reports::{Period, ReportId};
/// use pillarbox_core::SeededRandom;
///
/// let period = Period::containing(1_633_096_000, Period::DAY);
/// let id = ReportId::generate(period, &"example.org".parse()?, &"mx.example.net".parse()?, &mut SeededRandom::new(1));
/// assert!(id.as_str().starts_with("1633046400.") && id.as_str().ends_with("-example.org@mx.example.net"));
/// assert_eq!(ReportId::parse("<a.b@c>").unwrap().as_str(), "a.b@c");
/// assert!(ReportId::parse("a b").is_none());
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportId(String);

/// No subject needs a longer one.
const REPORT_ID_MAX: usize = 600;

impl ReportId {
    /// An identifier that nobody else uses: when, about whom, from whom, and 64 random bits.
    pub fn generate(period: Period, domain: &Name, submitter: &Name, random: &mut dyn Random) -> Self {
        ReportId(alloc::format!("{}.{:016x}-{domain}@{submitter}", period.begin, random.next_u64()))
    }

    /// An identifier that was made before, with or without angle brackets; `None` if it is of another form.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
        let (left, right) = text.split_once('@').map_or((text, None), |(left, right)| (left, Some(right)));
        let is_valid = text.len() <= REPORT_ID_MAX && is_dot_atom(left) && right.is_none_or(is_dot_atom);
        is_valid.then(|| ReportId(text.to_string()))
    }

    /// The identifier, without angle brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReportId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 5322 §3.2.3
fn is_dot_atom(text: &str) -> bool {
    let is_atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_cannot_leave_their_field() {
        for text in ["", "<>", "a..b", "a@", "@b", "a@b@c", "a\r\nBcc: x", "a>b", "<a", "\u{e9}", &"a".repeat(601)] {
            assert_eq!(ReportId::parse(text), None, "{text:?}");
        }
    }
}
