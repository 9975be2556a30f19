//! TLS-RPT (RFC 8460): what became of TLS with a domain's hosts is counted, and reported to the domain.
//!
//! ```text
//!   Discovery   asks for the TXT record      -> Destinations  where reports shall go
//!   Counters    counts sessions of a day     -> PolicyReport  for each domain and policy
//!   Report      with who reports and when    -> JSON          (feature `reports`), and back
//!   ReportMail  the fields of the mail that carries it
//! ```
//!
//! ```
//! use pillarbox_auth::tls_rpt::{AppliedPolicy, Counters, CountersLimits, Failure, FailureType, Report};
//! use pillarbox_core::dns::Name;
//!
//! let mut counters = Counters::new(CountersLimits::default());
//! let domain = Name::parse("example.org")?;
//! let failure = Failure::new(FailureType::CertificateExpired).with_host("mx.example.org".parse()?);
//! counters.count(&domain, &AppliedPolicy::none(), &[]);
//! counters.count(&domain, &AppliedPolicy::none(), &[failure]);
//!
//! let (domain, policies) = counters.take().next().expect("one domain was counted");
//! let report = Report::new("Example", "tls@example.net", "2026-01-01.1", 1_767_225_600, 1_767_311_999, policies);
//! assert_eq!((report.policies[0].successful, report.policies[0].failed), (1, 1));
//! # Ok::<(), pillarbox_core::dns::NameError>(())
//! ```

mod counters;
#[cfg(feature = "reports")]
mod json;
mod record;
mod report;

pub use counters::{Counters, CountersLimits, Failure};
#[cfg(feature = "reports")]
pub use json::{ReadLimits, ReportError};
pub use record::{Destination, Destinations, Discovery, HttpsUrl, RecordError};
pub use report::{AppliedPolicy, FailureDetail, PolicyReport, PolicyType, Report, ReportMail, ResultType};

use crate::words::words;

words! {
    /// Why TLS with a host did not come to what its policy asks for (RFC 8460 §4.3).
    #[non_exhaustive]
    pub enum FailureType {
        /// The host does not offer STARTTLS.
        StartTlsNotSupported = "starttls-not-supported",
        /// The certificate is for another name.
        CertificateHostMismatch = "certificate-host-mismatch",
        /// The certificate has expired.
        CertificateExpired = "certificate-expired",
        /// The certificate does not come from an authority that is trusted.
        CertificateNotTrusted = "certificate-not-trusted",
        /// Anything else; a reason code tells more.
        ValidationFailure = "validation-failure",
        /// None of the TLSA records could be used.
        TlsaInvalid = "tlsa-invalid",
        /// The resolver gave no valid records.
        DnssecInvalid = "dnssec-invalid",
        /// DANE is required, and the host has no TLSA records.
        DaneRequired = "dane-required",
        /// The policy of MTA-STS could not be fetched.
        StsPolicyFetchError = "sts-policy-fetch-error",
        /// The policy of MTA-STS is none.
        StsPolicyInvalid = "sts-policy-invalid",
        /// The web server with the policy of MTA-STS has no valid certificate.
        StsWebPkiInvalid = "sts-webpki-invalid",
    }
}
