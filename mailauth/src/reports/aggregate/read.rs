//! Taking reports out of files and mails.

use super::{ParseError, ParseLimits, Parsed, Report};
use crate::reports::mail_parts::{MailLimits, MailPart, each_part};
use crate::reports::{UnpackError, UnpackLimits, unpack};

/// What is read of a report at most, from the mail to the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadLimits {
    /// The mail.
    pub mail: MailLimits,
    /// The packed document.
    pub unpack: UnpackLimits,
    /// The document.
    pub parse: ParseLimits,
}

/// Why no report could be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The mail is longer than the limit, or no mail.
    #[error("not a mail that can be read")]
    Mail,
    /// No part of the mail looks like a report.
    #[error("the mail holds no aggregate report")]
    NoReport,
    /// The report cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// What was unpacked is no report.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

/// Parts of a mail that are unpacked at most, so that a mail of many bombs costs no more than one of few.
const CANDIDATES_MAX: usize = 4;

impl Report {
    /// Reads a report from a file: XML, or XML in gzip or zip.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it holds none.
    pub fn from_file(file: &[u8], limits: &ReadLimits) -> Result<Parsed, ReadError> {
        Ok(Report::parse(&unpack(file, &limits.unpack)?, &limits.parse)?)
    }

    /// Takes the report out of the mail that brought it: the first part that holds one, also in a mail that was forwarded as
    /// an attachment. Parts are known by what is in them, as the types that reporters give them are of every kind.
    ///
    /// ```
    /// use pillarbox_auth::reports::aggregate::{ReadLimits, Report};
    ///
    /// let mail = b"Content-Type: text/xml\r\n\r\n<feedback><report_metadata><date_range><begin>0</begin><end>9</end>\
    ///     </date_range></report_metadata><policy_published><domain>example.org</domain></policy_published></feedback>";
    /// let parsed = Report::from_mail(mail, &ReadLimits::default())?;
    /// assert_eq!(parsed.report.policy.domain, "example.org");
    /// # Ok::<(), pillarbox_auth::reports::aggregate::ReadError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it holds none; if several parts look like one and none is, what was wrong with the first.
    pub fn from_mail(mail: &[u8], limits: &ReadLimits) -> Result<Parsed, ReadError> {
        let mut found = Err(ReadError::NoReport);
        let mut candidates = 0;
        let is_mail = each_part(mail, &limits.mail, |part| {
            if !is_candidate(&part) {
                return true;
            }
            candidates += 1;
            match (Report::from_file(&part.octets, limits), &found) {
                (Ok(parsed), _) => found = Ok(parsed),
                (Err(error), Err(ReadError::NoReport)) => found = Err(error),
                (Err(_), _) => {}
            }
            found.is_err() && candidates < CANDIDATES_MAX
        });
        if is_mail { found } else { Err(ReadError::Mail) }
    }
}

fn is_candidate(part: &MailPart<'_>) -> bool {
    let is_packed = part.octets.starts_with(&[0x1f, 0x8b]) || part.octets.starts_with(b"PK\x03\x04");
    let is_named = [".xml", ".gz", ".zip"].iter().any(|ending| part.file_name.ends_with(ending));
    let is_typed = matches!(
        &*part.media_type,
        "application/gzip"
            | "application/x-gzip"
            | "application/zip"
            | "application/x-zip-compressed"
            | "application/xml"
            | "text/xml"
    );
    let start = part.octets.trim_ascii_start();
    is_packed || is_named || is_typed || start.starts_with(b"<?xml") || start.starts_with(b"<feedback")
}
