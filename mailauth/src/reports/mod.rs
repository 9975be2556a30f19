//! Reports about mail that used a domain: who wants them, and when they are due (RFC 9990, RFC 9991).

mod destination;
mod due;
mod period;
mod rate_limit;
mod report_id;
mod uri;

pub use destination::{Decision, Destination, DestinationLimits, Destinations, ReportKind, VerifyDestinations};
pub use due::{DueReports, FailedMessage, FailureOptions};
pub use period::Period;
pub use rate_limit::{RateLimit, RateLimits};
pub use report_id::ReportId;
pub use uri::{ReportUri, UriError, UriList};
