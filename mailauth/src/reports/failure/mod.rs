//! Failure reports: what was wrong with one message (RFC 9991, RFC 6591), in the format for abuse reports (RFC 5965).
//!
//! A report has three parts: text for people, fields for machines ([`Feedback`]), and the message or its header. Before
//! any is sent the receiver asks [`FailedMessage`](super::FailedMessage) whether it is due,
//! [`VerifyDestinations`](super::VerifyDestinations) whether it is wanted and [`RateLimit`](super::RateLimit) whether it is one
//! too many, and takes the names of people out of it with a [`Redactor`].

mod fields;
mod mail;
#[cfg(feature = "reports")]
mod read;
mod redact;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use pillarbox_core::WallTime;
use pillarbox_core::address::{Address, ReversePath};
use pillarbox_core::dns::Name;

pub use fields::FeedbackLimits;
pub use mail::{FailureMail, Include};
#[cfg(feature = "reports")]
pub use read::{FailureReadError, FailureReport, Original};
pub use redact::Redactor;

use crate::words::words;

/// The part of a report that is made for machines: `message/feedback-report` (RFC 5965 §3, RFC 6591 §3.2, RFC 9991 §4).
///
/// In one that was read nothing is checked against anything, and what could not be understood is left out.
///
/// ```
/// use pillarbox_auth::reports::failure::{AuthFailure, Feedback, FeedbackLimits, IdentityAlignment};
///
/// let mut feedback = Feedback::auth_failure(AuthFailure::Dmarc, "Example/1.0");
/// feedback.identity_alignment = Some(IdentityAlignment { dkim: true, spf: true });
/// feedback.source_ip = Some([192, 0, 2, 1].into());
/// let text = feedback.to_text();
/// assert!(text.starts_with("Feedback-Type: auth-failure\r\n"));
/// assert!(text.contains("\r\nIdentity-Alignment: dkim, spf\r\n"));
/// assert_eq!(Feedback::parse(text.as_bytes(), &FeedbackLimits::default()).0, feedback);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feedback {
    /// `Feedback-Type`: what the report is about.
    pub kind: Option<FeedbackType>,
    /// `Version`: 1.
    pub version: Option<u32>,
    /// `User-Agent`: the software that made it.
    pub user_agent: Option<String>,
    /// `Auth-Failure`: which check failed.
    pub auth_failure: Option<AuthFailure>,
    /// `Delivery-Result`: what became of the message.
    pub delivery_result: Option<DeliveryResult>,
    /// `Identity-Alignment`: which mechanisms gave no aligned identity.
    pub identity_alignment: Option<IdentityAlignment>,
    /// `Authentication-Results`: the values of such fields (RFC 8601), unfolded.
    pub authentication_results: Vec<String>,
    /// `Original-Envelope-Id`
    pub original_envelope_id: Option<String>,
    /// `Original-Mail-From`
    pub original_mail_from: Option<ReversePath<'static>>,
    /// `Original-Rcpt-To`
    pub original_rcpt_to: Vec<Address<'static>>,
    /// `Arrival-Date`: when the message came.
    pub arrival_date: Option<WallTime>,
    /// `Reporting-MTA`: the name of the host that reports, of type `dns`.
    pub reporting_mta: Option<String>,
    /// `Source-IP`: the client's address.
    pub source_ip: Option<IpAddr>,
    /// `Source-Port`: the client's port (RFC 6692).
    pub source_port: Option<u16>,
    /// `Incidents`: how many messages the report stands for.
    pub incidents: u32,
    /// `Reported-Domain`: whom it concerns.
    pub reported_domains: Vec<Name>,
    /// `Reported-URI`: URIs in the message.
    pub reported_uris: Vec<String>,
    /// `DKIM-Domain`: `d=` of the signature that failed.
    pub dkim_domain: Option<Name>,
    /// `DKIM-Identity`: `i=` of it.
    pub dkim_identity: Option<String>,
    /// `DKIM-Selector`: `s=` of it.
    pub dkim_selector: Option<Name>,
    /// `DKIM-Selector-DNS`: the key record.
    pub dkim_selector_dns: Option<String>,
    /// `DKIM-Canonicalized-Header`: the header that was hashed, decoded.
    pub dkim_canonicalized_header: Option<Vec<u8>>,
    /// `DKIM-Canonicalized-Body`: the body that was hashed, decoded.
    pub dkim_canonicalized_body: Option<Vec<u8>>,
    /// `DKIM-ADSP-DNS`: a policy of RFC 5617, which is historic.
    pub dkim_adsp_dns: Option<String>,
    /// `SPF-DNS`: the records that SPF used.
    pub spf_dns: Vec<SpfDns>,
    /// Fields of other names, unfolded.
    pub other: Vec<(String, String)>,
}

/// Mechanisms that gave no aligned identity (RFC 9991 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct IdentityAlignment {
    /// DKIM gave none.
    pub dkim: bool,
    /// SPF gave none.
    pub spf: bool,
}

impl fmt::Display for IdentityAlignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.dkim, self.spf) {
            (true, true) => "dkim, spf",
            (true, false) => "dkim",
            (false, true) => "spf",
            (false, false) => "none",
        })
    }
}

/// A record that SPF used (RFC 6591 §3.2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpfDns {
    /// Whether it is of the type SPF, which is historic, and not TXT.
    pub is_spf_type: bool,
    /// Where it stands.
    pub domain: Name,
    /// What it says.
    pub record: String,
}

impl Feedback {
    /// Fields of a kind of report, with the software that makes it, such as `Example/1.0`.
    pub fn new(kind: FeedbackType, user_agent: impl Into<String>) -> Self {
        Feedback { kind: Some(kind), version: Some(1), user_agent: Some(user_agent.into()), ..Feedback::empty() }
    }

    /// Fields of a failure report.
    pub fn auth_failure(auth_failure: AuthFailure, user_agent: impl Into<String>) -> Self {
        Feedback { auth_failure: Some(auth_failure), ..Feedback::new(FeedbackType::AuthFailure, user_agent) }
    }

    const fn empty() -> Self {
        Feedback {
            kind: None,
            version: None,
            user_agent: None,
            auth_failure: None,
            delivery_result: None,
            identity_alignment: None,
            authentication_results: Vec::new(),
            original_envelope_id: None,
            original_mail_from: None,
            original_rcpt_to: Vec::new(),
            arrival_date: None,
            reporting_mta: None,
            source_ip: None,
            source_port: None,
            incidents: 1,
            reported_domains: Vec::new(),
            reported_uris: Vec::new(),
            dkim_domain: None,
            dkim_identity: None,
            dkim_selector: None,
            dkim_selector_dns: None,
            dkim_canonicalized_header: None,
            dkim_canonicalized_body: None,
            dkim_adsp_dns: None,
            spf_dns: Vec::new(),
            other: Vec::new(),
        }
    }
}

words! {
    /// What a report is about: the registered types.
    #[non_exhaustive]
    pub enum FeedbackType {
        /// Mail that is not wanted.
        Abuse = "abuse",
        /// A check of authentication failed (RFC 6591).
        AuthFailure = "auth-failure",
        /// Fraud.
        Fraud = "fraud",
        /// Mail that was wrongly taken for spam (RFC 6430).
        NotSpam = "not-spam",
        /// Something else.
        Other = "other",
        /// A virus.
        Virus = "virus",
    }
}

words! {
    /// Which check of authentication failed (RFC 6591 §3.3, RFC 9991 §4).
    #[non_exhaustive]
    pub enum AuthFailure {
        /// The practices of the author's domain; historic.
        Adsp = "adsp",
        /// The body does not have the hash that the signature says.
        BodyHash = "bodyhash",
        /// No mechanism, or not every one, gave an aligned identity.
        Dmarc = "dmarc",
        /// The key was revoked.
        Revoked = "revoked",
        /// The signature does not fit the header.
        Signature = "signature",
        /// SPF did not pass.
        Spf = "spf",
    }
}

words! {
    /// What became of a message (RFC 6591 §3.2.2).
    #[non_exhaustive]
    pub enum DeliveryResult {
        /// It was delivered somewhere.
        Delivered = "delivered",
        /// It was delivered as spam.
        Spam = "spam",
        /// It was not delivered where it was meant to, because a check failed.
        Policy = "policy",
        /// It was refused.
        Reject = "reject",
        /// Something else.
        Other = "other",
    }
}
