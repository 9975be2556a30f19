//! Taking failure reports out of mails.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Feedback, FeedbackLimits};
use crate::reports::fault::Faults;
use crate::reports::mail_parts::{MailLimits, each_part};

/// A failure report, or another in the format for abuse reports, as a mail brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailureReport {
    /// The fields for machines.
    pub feedback: Feedback,
    /// What was wrong with them.
    pub faults: Faults,
    /// The text for people.
    pub text: Option<String>,
    /// What the report is about.
    pub original: Original,
}

/// What a report includes of the message that it is about. It is as hostile as that message was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Original {
    /// Nothing, though RFC 5965 §2 demands it.
    #[default]
    Missing,
    /// Its header.
    Header(Vec<u8>),
    /// All of it.
    Message(Vec<u8>),
}

/// Why a mail is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FailureReadError {
    /// The mail is longer than the limit, or no mail.
    #[error("not a mail that can be read")]
    Mail,
    /// No part of it is `message/feedback-report`.
    #[error("the mail holds no failure report")]
    NoReport,
}

impl FailureReport {
    /// Takes the report out of the mail that brought it. Its parts are found wherever they stand, as some are sent as
    /// `multipart/mixed`.
    ///
    /// ```
    /// use pillarbox_auth::reports::MailLimits;
    /// use pillarbox_auth::reports::failure::{FailureReport, FeedbackLimits, FeedbackType};
    ///
    /// let mail = b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\n";
    /// let report = FailureReport::from_mail(mail, &MailLimits::default(), &FeedbackLimits::default())?;
    /// assert_eq!(report.feedback.kind, Some(FeedbackType::Abuse));
    /// # Ok::<(), pillarbox_auth::reports::failure::FailureReadError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FailureReadError`] if it holds none.
    pub fn from_mail(mail: &[u8], mail_limits: &MailLimits, limits: &FeedbackLimits) -> Result<Self, FailureReadError> {
        let mut found = None;
        let mut text = None;
        let mut original = Original::Missing;
        let is_mail = each_part(mail, mail_limits, |part| {
            match &*part.media_type {
                "message/feedback-report" if found.is_none() => found = Some(Feedback::parse(&part.octets, limits)),
                "text/plain" if found.is_none() && text.is_none() => {
                    text = Some(String::from_utf8_lossy(&part.octets).into_owned());
                }
                // RFC 5965 §2 (d), RFC 6533 §4.3
                "message/rfc822" | "message/global" => original = Original::Message(part.octets.into_owned()),
                "text/rfc822-headers" | "message/global-headers" | "message/rfc822-headers" => {
                    original = Original::Header(part.octets.into_owned());
                }
                _ => {}
            }
            found.is_none() || original == Original::Missing
        });
        match found {
            _ if !is_mail => Err(FailureReadError::Mail),
            None => Err(FailureReadError::NoReport),
            Some((feedback, faults)) => Ok(FailureReport { feedback, faults, text, original }),
        }
    }
}
