//! What the receiver decides for itself (RFC 6376 §6.3).

use pillarbox_core::header::HeaderLimits;

/// What a verifier takes, and what it costs at most.
///
/// ```
/// use pillarbox_auth::dkim::Policy;
///
/// let mut policy = Policy::default();
/// policy.rsa_bits_min = 2048;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Signatures that are verified: 8. Those of domains that the From field names come first, then those at the top; the
    /// others are told as [`Reason::TooManySignatures`](super::Reason::TooManySignatures), so that a message with hundreds
    /// costs no more than one with a few.
    pub signatures_max: usize,
    /// Names that the DNS is asked for: 8.
    pub lookups_max: usize,
    /// Bits of the shortest RSA key that proves something: 1024. What is less there changes nothing (RFC 8301 §3.2).
    pub rsa_bits_min: u32,
    /// Bits of the longest RSA key that is computed with: 4096, which everybody must take (RFC 8301 §3.2); the cost grows
    /// with the square.
    pub rsa_bits_max: u32,
    /// What a signature over the start of the body is worth (`l=`).
    pub partial_body: PartialBody,
    /// What a signature is worth that comes from the future.
    pub future: Future,
    /// Seconds that clocks may differ: 300.
    pub clock_skew: u64,
    /// The size of the header. A message beyond it is not looked at.
    pub header: HeaderLimits,
}

/// What a signature is worth that covers the start of a body (RFC 6376 §8.2): whoever passes such a message on can add what
/// he likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PartialBody {
    /// It passes, with a note, and does not count for DMARC.
    #[default]
    Reserved,
    /// It passes, with a note.
    Accepted,
    /// [`Reason::PartialBody`](super::Reason::PartialBody).
    Refused,
}

/// What a signature is worth whose `t=` is further ahead than clocks differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Future {
    /// It can pass, with a note: RFC 6376 §3.5 says no more than that it may be ignored.
    #[default]
    Accepted,
    /// [`Reason::FutureTimestamp`](super::Reason::FutureTimestamp).
    Refused,
}

/// RFC 8301 §3.2: nothing shorter proves anything.
pub(crate) const RSA_BITS_MIN: u32 = 1024;

impl Default for Policy {
    fn default() -> Self {
        Policy {
            signatures_max: 8,
            lookups_max: 8,
            rsa_bits_min: RSA_BITS_MIN,
            rsa_bits_max: 4096,
            partial_body: PartialBody::default(),
            future: Future::default(),
            clock_skew: 300,
            header: header_limits(),
        }
    }
}

/// What sessions let through: how often a message was passed on is for them to judge.
pub(crate) fn header_limits() -> HeaderLimits {
    let mut limits = HeaderLimits::default();
    limits.received_max = limits.fields_max;
    limits
}
