//! Where a policy is fetched from, and whether what came back counts (RFC 8461 §3.3).

use alloc::string::String;

use pillarbox_core::dns::{Name, NameError};

use super::{Limits, Policy, PolicyError};
use crate::tls_rpt::FailureType;

/// The path of every policy on its host.
pub const POLICY_PATH: &str = "/.well-known/mta-sts.txt";

/// The host that a policy is fetched from: by HTTPS on port 443, with a certificate that is checked for this name by its
/// DNS-IDs, and without following any redirect. Its addresses come from a stranger's DNS: see [`is_public`](super::is_public).
///
/// # Errors
///
/// [`NameError`] if the name would be too long; the domain then has no policy.
pub fn policy_host(domain: &Name) -> Result<Name, NameError> {
    domain.with_prefix("mta-sts")
}

/// The URL of a domain's policy.
///
/// # Errors
///
/// As [`policy_host`].
///
/// ```
/// let url = pillarbox_auth::mta_sts::policy_url(&"example.com".parse()?)?;
/// assert_eq!(url, "https://mta-sts.example.com/.well-known/mta-sts.txt");
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
pub fn policy_url(domain: &Name) -> Result<String, NameError> {
    Ok(alloc::format!("https://{}{POLICY_PATH}", policy_host(domain)?))
}

/// Why fetching a policy failed. A policy in the cache stays in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The name of the host has no address, or nobody could say.
    #[error("the policy host has no address")]
    NoAddress,
    /// The host has only addresses that are not for strangers to name ([`is_public`](super::is_public)).
    #[error("the policy host has no public address")]
    ForbiddenAddress,
    /// No connection, or it broke.
    #[error("the policy host cannot be reached")]
    Unreachable,
    /// TLS failed, or the certificate is not good for the name of the host.
    #[error("the certificate of the policy host is not valid")]
    Certificate,
    /// [`Limits::fetch_seconds_max`]
    #[error("fetching the policy took too long")]
    TooSlow,
    /// A status other than 200, redirects among them.
    #[error("the policy host answered with status {0}")]
    Status(u16),
    /// A media type other than `text/plain`, or none.
    #[error("the policy is no plain text")]
    ContentType,
    /// [`Limits::body_size_max`]
    #[error("the policy is too long")]
    TooLarge,
    /// It is no policy.
    #[error("the policy is invalid: {0}")]
    Policy(#[from] PolicyError),
}

impl FetchError {
    /// What a report calls it (RFC 8460 §4.3.2.2).
    pub const fn failure_type(&self) -> FailureType {
        match self {
            FetchError::Certificate => FailureType::StsWebPkiInvalid,
            FetchError::Policy(_) => FailureType::StsPolicyInvalid,
            _ => FailureType::StsPolicyFetchError,
        }
    }
}

/// The policy in an answer of HTTPS: its status, its Content-Type, its body (one octet more than allowed is enough of one
/// that is too long).
///
/// # Errors
///
/// [`FetchError`] says why it does not count.
///
/// ```
/// use pillarbox_auth::mta_sts::{FetchError, Limits, read_response};
///
/// let limits = Limits::default();
/// let body = b"version: STSv1\nmode: none\nmax_age: 86400\n";
/// assert!(read_response(200, Some("text/plain"), body, &limits).is_ok());
/// assert_eq!(read_response(301, Some("text/plain"), body, &limits), Err(FetchError::Status(301)));
/// assert_eq!(read_response(200, Some("text/html"), body, &limits), Err(FetchError::ContentType));
/// ```
pub fn read_response(
    status: u16,
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Result<Policy, FetchError> {
    // RFC 8461 §3.3: 200 and nothing else; redirects are not followed.
    if status != 200 {
        return Err(FetchError::Status(status));
    }
    // RFC 8461 §3.2: a web server may let its users put up pages and images, but hardly plain text. Parameters do not count.
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if !media_type.trim_matches([' ', '\t']).eq_ignore_ascii_case("text/plain") {
        return Err(FetchError::ContentType);
    }
    if body.len() > limits.body_size_max {
        return Err(FetchError::TooLarge);
    }
    Ok(Policy::parse(body)?)
}
