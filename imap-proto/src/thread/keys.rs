//! What a message is threaded by.

use alloc::vec::Vec;

use pillarbox_core::header::Fields;

use super::ids::Ids;
use crate::sort::{COLLATED_MAX, collated, sent_date};

/// The most references of a message that count: the first, and the last ones.
const REFERENCES_MAX: usize = 100;

/// Stands for a date that cannot be read.
const NO_DATE: i64 = i64::MIN;

/// Before the references: the date, whether it is a reply, its identifier, and how many references there are.
const HEAD: usize = 8 + 1 + 8 + 1;

const _: () = assert!(REFERENCES_MAX <= u8::MAX as usize);

/// What a message is threaded by, as [`write_thread_keys`] wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadKeys<'k> {
    sent: Option<i64>,
    is_reply: bool,
    id: u64,
    references: &'k [u8],
    subject: &'k [u8],
}

/// Appends what a message is threaded by: its octets, or those of its header. At most some 1.3 KiB.
///
/// The octets are for [`ThreadKeys::read`] and may be kept, for as long as this crate keeps its version.
///
/// ```
/// use pillarbox_imap::thread::{ThreadKeys, write_thread_keys};
///
/// let mut octets = Vec::new();
/// write_thread_keys(b"Message-ID: <a@x>\r\nIn-Reply-To: <b@x>\r\n\r\n", &mut octets);
/// assert!(ThreadKeys::read(&octets).is_some());
/// assert_eq!(ThreadKeys::read(b"something else"), None);
/// ```
pub fn write_thread_keys(header: &[u8], out: &mut Vec<u8>) {
    const NAMES: [&str; 5] = ["date", "subject", "message-id", "references", "in-reply-to"];
    let mut values: [Option<&[u8]>; NAMES.len()] = [None; NAMES.len()];
    for field in Fields::new(header) {
        if let Some(at) = NAMES.iter().position(|name| field.name_is(name)) {
            values[at].get_or_insert(field.value);
        }
    }
    let [date, subject, id, references, in_reply_to] = values;
    let (subject, is_reply) = collated(subject);
    let id = Ids(id.unwrap_or_default()).next().unwrap_or(0);
    out.extend_from_slice(&sent_date(date).unwrap_or(NO_DATE).to_le_bytes());
    out.push(u8::from(is_reply));
    out.extend_from_slice(&id.to_le_bytes());
    let count_at = out.len();
    out.push(0);
    let start = out.len();
    for reference in Ids(references.unwrap_or_default()) {
        if out.len() - start == REFERENCES_MAX * 8 {
            // A ring of the last ones, put straight below, would cost no less code.
            out.drain(start + 8..start + 16);
        }
        out.extend_from_slice(&reference.to_le_bytes());
    }
    if out.len() == start {
        // RFC 5256 §3
        out.extend(Ids(in_reply_to.unwrap_or_default()).next().iter().flat_map(|id| id.to_le_bytes()));
    }
    out[count_at] = ((out.len() - start) / 8) as u8;
    out.extend_from_slice(subject.as_bytes());
}

impl<'k> ThreadKeys<'k> {
    /// Reads what was written; `None` if it is something else.
    pub fn read(octets: &'k [u8]) -> Option<Self> {
        let (head, rest) = octets.split_first_chunk::<HEAD>()?;
        let number = |octets: &[u8]| Some(u64::from_le_bytes(octets.try_into().ok()?));
        let sent = Some(number(&head[..8])?.cast_signed()).filter(|sent| *sent != NO_DATE);
        let (references, subject) = rest.split_at_checked(usize::from(head[17]) * 8)?;
        let is_written = head[8] <= 1 && usize::from(head[17]) <= REFERENCES_MAX && subject.len() <= COLLATED_MAX;
        is_written.then_some(ThreadKeys {
            sent,
            is_reply: head[8] == 1,
            id: number(&head[9..17])?,
            references,
            subject,
        })
    }

    /// The Date field in seconds since 1970, UTC; `None` if it cannot be read, so that INTERNALDATE counts (RFC 5256 §2.2).
    pub const fn sent(&self) -> Option<i64> {
        self.sent
    }

    pub(super) const fn is_reply(&self) -> bool {
        self.is_reply
    }

    pub(super) const fn subject(&self) -> &'k [u8] {
        self.subject
    }

    /// Its identifier; 0 if it has none.
    pub(super) const fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn references(&self) -> impl Iterator<Item = u64> + use<'k> {
        self.references.chunks_exact(8).map(|octets| u64::from_le_bytes(octets.try_into().expect("eight are eight")))
    }
}
