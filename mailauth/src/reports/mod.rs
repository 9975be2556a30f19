//! Reports about mail that used a domain: aggregate reports (RFC 9990), failure reports (RFC 9991, RFC 6591), who wants
//! them, and when they are due.
//!
//! | a receiver of mail | |
//! |---|---|
//! | counts what it evaluated | [`aggregate::Collector`] |
//! | reads where a domain wants its reports | [`dmarc::Record`](crate::dmarc::Record) |
//! | asks those hosts whether they want them | [`VerifyDestinations`] |
//! | knows when an aggregate report is due | [`Period`] |
//! | knows which failure reports are due, and when they are too many | [`FailedMessage::due`], [`RateLimit`] |
//! | writes the reports and their mails | [`aggregate::Report::to_xml`], [`aggregate::AggregateMail`], [`failure::FailureMail`] |
//!
//! | a domain owner | |
//! |---|---|
//! | takes aggregate reports out of mails (feature `reports`) | `aggregate::Report::from_mail` |
//! | takes failure reports out of mails (feature `reports`) | `failure::FailureReport::from_mail` |
//!
//! **A report is a stranger's claim.** Anybody can send one about any domain; RFC 9990 §3.5.2 has reports pass DMARC
//! themselves, so evaluate the mail that brought it before believing it.

pub mod aggregate;
mod destination;
mod due;
pub mod failure;
mod fault;
#[cfg(feature = "reports")]
mod mail_parts;
mod mime;
mod period;
mod rate_limit;
mod report_id;
mod text;
#[cfg(feature = "reports")]
mod unpack;

pub use destination::{Decision, Destination, Destinations, ReportKind, VerifyDestinations};
pub use due::{DueReports, FailedMessage};
pub use fault::{Fault, FaultKind, Faults};
#[cfg(feature = "reports")]
pub use mail_parts::MailLimits;
pub use period::Period;
pub use rate_limit::{RateLimit, RateLimits};
pub use report_id::ReportId;
#[cfg(feature = "reports")]
pub use unpack::{UnpackError, UnpackLimits, gzip, unpack};
