//! The TXT record, which says that there is a policy, and which (RFC 8461 §3.1).

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Name, QuestionId};

use crate::text_record::{self, Records, TextLookup};

const VERSION: &str = "v=STSv1";

/// What tells one policy of a domain from the next: 1 to 32 letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId(String);

impl PolicyId {
    /// An identifier.
    ///
    /// # Errors
    ///
    /// [`StsRecordError::Id`] if it is not 1 to 32 letters and digits.
    pub fn parse(id: &str) -> Result<Self, StsRecordError> {
        let is_id = matches!(id.len(), 1..=32) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
        if is_id { Ok(PolicyId(id.to_owned())) } else { Err(StsRecordError::Id) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The record at `_mta-sts`.
///
/// ```
/// use pillarbox_auth::mta_sts::{StsRecord, StsRecordError};
///
/// assert_eq!(StsRecord::parse(b"v=STSv1; id=20160831085700Z;")?.id.as_str(), "20160831085700Z");
/// assert_eq!(StsRecord::parse(b"v=STSv1; id=a_b"), Err(StsRecordError::Id));
/// # Ok::<(), StsRecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StsRecord {
    /// Which policy.
    pub id: PolicyId,
}

/// Why a text is no record of MTA-STS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StsRecordError {
    /// It does not begin with `v=STSv1;`.
    #[error("not a record of version STSv1")]
    Version,
    /// A field is no `name=value`.
    #[error("a field is malformed")]
    Malformed,
    /// There is no `id`.
    #[error("there is no id")]
    MissingId,
    /// The `id` is not 1 to 32 letters and digits.
    #[error("the id is not 1 to 32 letters and digits")]
    Id,
}

impl StsRecord {
    /// Reads a record, its strings put together.
    ///
    /// # Errors
    ///
    /// [`StsRecordError`]; the domain then has no policy (RFC 8461 §3.1).
    pub fn parse(record: &[u8]) -> Result<Self, StsRecordError> {
        let mut id = None;
        for field in text_record::fields(record, VERSION).ok_or(StsRecordError::Version)? {
            let (name, value) = field.map_err(|_| StsRecordError::Malformed)?;
            // RFC 8461 §3.2: of fields that stand twice the first counts. §3.1: the names have a case.
            if name == b"id" && id.is_none() {
                let value = core::str::from_utf8(value).map_err(|_| StsRecordError::Id)?;
                id = Some(PolicyId::parse(value)?);
            // RFC 8461 §3.1: sts-ext-value
            } else if value.iter().any(|octet| matches!(octet, b' ' | b'\t' | b'=')) {
                return Err(StsRecordError::Malformed);
            }
        }
        Ok(StsRecord { id: id.ok_or(StsRecordError::MissingId)? })
    }
}

/// What a domain publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Published {
    /// It has a policy, under this identifier.
    Record(StsRecord),
    /// It has none. A policy in the cache stays in force all the same.
    Nothing(NotPublished),
    /// The DNS did not say.
    TryLater,
}

/// Why a domain has no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotPublished {
    /// There is no record of this version.
    NoRecord,
    /// There are several.
    Several,
    /// There is one, and it cannot be read.
    Malformed(StsRecordError),
}

impl fmt::Display for Published {
    /// A line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Published::Record(record) => write!(f, "MTA-STS policy {}", record.id),
            Published::Nothing(NotPublished::NoRecord) => f.write_str("no MTA-STS record"),
            Published::Nothing(NotPublished::Several) => f.write_str("several MTA-STS records, so none counts"),
            Published::Nothing(NotPublished::Malformed(error)) => write!(f, "MTA-STS record: {error}"),
            Published::TryLater => f.write_str("the MTA-STS record could not be looked up"),
        }
    }
}

/// Finds out what a domain publishes: one question, for the text at `_mta-sts`. The domain is the one behind the `@` or the
/// smart host, never a parent of it (RFC 8461 §3.4).
#[derive(Clone, Debug)]
pub struct Discovery(TextLookup);

impl Discovery {
    /// The look-up for a domain.
    pub fn new(domain: &Name) -> Self {
        Discovery(TextLookup::below("_mta-sts", domain))
    }
}

impl DnsMachine for Discovery {
    type Output = Published;

    fn poll(&mut self) -> DnsStep<Published> {
        match self.0.poll() {
            DnsStep::Ask(question) => DnsStep::Ask(question),
            DnsStep::Wait => DnsStep::Wait,
            DnsStep::Done(answer) => DnsStep::Done(match Records::of(&answer, VERSION) {
                Records::None => Published::Nothing(NotPublished::NoRecord),
                Records::Several => Published::Nothing(NotPublished::Several),
                Records::TryLater => Published::TryLater,
                Records::One(record) => match StsRecord::parse(&record) {
                    Ok(record) => Published::Record(record),
                    Err(error) => Published::Nothing(NotPublished::Malformed(error)),
                },
            }),
        }
    }

    fn answer(&mut self, id: QuestionId, answer: DnsAnswer) {
        self.0.answer(id, answer);
    }

    fn give_up(&mut self) {
        self.0.give_up();
    }
}
