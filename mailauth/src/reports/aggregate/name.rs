//! What a report is called: its file, and the subject of its mail (RFC 9990 §3.5.2).

use alloc::string::String;
use core::fmt;

use pillarbox_core::dns::Name;

use super::Period;
use crate::reports::ReportId;

/// What names a report to those who get it: who reports, about whom, when.
///
/// ```
/// use pillarbox_auth::reports::aggregate::{Packing, Period, ReportName};
///
/// let period = Period { begin: 1013662812, end: 1013749130 };
/// let name = ReportName::new("mail.receiver.example".parse()?, "example.com".parse()?, period).unwrap();
/// assert_eq!(name.file_name(Packing::Gzip), "mail.receiver.example!example.com!1013662812!1013749130.xml.gz");
/// assert_eq!(ReportName::parse(&name.file_name(Packing::Xml)), Some(name));
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ReportName {
    /// The receiver that reports.
    pub submitter: Name,
    /// The domain whose policy it is about.
    pub domain: Name,
    /// The time that is covered.
    pub period: Period,
    /// Letters and digits that tell apart several reports about the same.
    pub unique_id: Option<String>,
}

/// How the document is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Packing {
    /// Not at all: `text/xml`.
    Xml,
    /// With gzip (RFC 1952): `application/gzip`, as it should be.
    Gzip,
}

impl ReportName {
    /// A name; `None` if one of the domains has characters that cannot stand in a file name, as the grammar has letters,
    /// digits, hyphens and underscores only. A domain owner could otherwise publish a policy for one with slashes.
    pub fn new(submitter: Name, domain: Name, period: Period) -> Option<Self> {
        let is_plain = |name: &Name| !name.is_root() && name.labels().all(is_plain_label);
        (is_plain(&submitter) && is_plain(&domain)).then_some(ReportName { submitter, domain, period, unique_id: None })
    }

    /// The same with letters and digits that tell it from another of the same domains and time; `None` if there are others
    /// or none.
    pub fn with_unique_id(self, unique_id: &str) -> Option<Self> {
        let is_valid = is_unique_id(unique_id);
        is_valid.then(|| ReportName { unique_id: Some(unique_id.into()), ..self })
    }

    /// The name of the file. A report that is sent again keeps it.
    pub fn file_name(&self, packing: Packing) -> String {
        let extension = match packing {
            Packing::Xml => "xml",
            Packing::Gzip => "xml.gz",
        };
        alloc::format!("{self}.{extension}")
    }

    /// Reads the name of a file, with any of the endings that reporters use. `None` if it has another form: real reporters
    /// take liberties, and the report itself says the same, so a reader loses nothing by this.
    pub fn parse(file_name: &str) -> Option<Self> {
        let endings = [".xml.gz", ".xml.zip", ".xml", ".gz", ".zip"];
        let stem = endings.iter().find_map(|ending| file_name.strip_suffix(ending))?;
        let mut parts = stem.split('!');
        let submitter = Name::parse(parts.next()?).ok()?;
        let domain = Name::parse(parts.next()?).ok()?;
        let period = Period { begin: parse_seconds(parts.next()?)?, end: parse_seconds(parts.next()?)? };
        let name = ReportName::new(submitter, domain, period)?;
        match (parts.next(), parts.next()) {
            (None, _) => Some(name),
            (Some(unique_id), None) => name.with_unique_id(unique_id),
            _ => None,
        }
    }

    /// The subject of the mail: `Report Domain: … Submitter: … Report-ID: <…>`.
    pub fn subject(&self, report_id: &ReportId) -> String {
        alloc::format!("Report Domain: {} Submitter: {} Report-ID: <{report_id}>", self.domain, self.submitter)
    }
}

impl fmt::Display for ReportName {
    /// The name of the file without its extension.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Period { begin, end } = self.period;
        write!(f, "{}!{}!{begin}!{end}", self.submitter, self.domain)?;
        self.unique_id.as_ref().map_or(Ok(()), |unique_id| write!(f, "!{unique_id}"))
    }
}

fn is_plain_label(label: &str) -> bool {
    label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
}

/// A mailbox for reports gets file names of any length; ours are of reasonable ones.
const UNIQUE_ID_MAX: usize = 128;

fn is_unique_id(text: &str) -> bool {
    (1..=UNIQUE_ID_MAX).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

fn parse_seconds(text: &str) -> Option<u64> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_of_reporters() {
        for (file_name, is_read) in [
            ("google.com!stalw.art!1669507200!1669593599.zip", true),
            ("mimecast.org!ab.id.au!1693353600!1693439999!157a5fe30ec7.xml.gz", true),
            ("estadocuenta1.infonacot.gob.mx!example.com!1536853302!1536939702!2940.xml.zip", true),
            ("google.com!stalw.art!1669507200.zip", false),
            ("!example.com!1538204542!1538463818.xml", false),
            ("a!b!1!2!x-y.xml", false),
            ("a!b!1!2!x!y.xml", false),
            ("a!b!+1!2.xml", false),
            ("a!b!1!99999999999999999999999.xml", false),
            ("../../etc!b!1!2.xml", false),
            ("a!b!1!2.exe", false),
        ] {
            let name = ReportName::parse(file_name);
            assert_eq!(name.is_some(), is_read, "{file_name}");
            if let Some(name) = name {
                assert!(file_name.starts_with(&name.to_string()));
            }
        }
    }

    #[test]
    fn no_domain_leads_out_of_a_folder() {
        let receiver = || Name::parse("mx.example").unwrap();
        for domain in ["a/b.example", "a!b.example", "*.example", "."] {
            let domain = Name::parse(domain).unwrap();
            assert_eq!(ReportName::new(receiver(), domain, Period::default()), None);
        }
    }
}
