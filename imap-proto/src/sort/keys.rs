//! What a message is sorted by.

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::header::Fields;

use super::{base_subject, collation_key};
use crate::message::{Address, addresses, decode_words, parse_date};

/// The most octets of a text that count: who makes longer ones takes no more memory.
pub(crate) const COLLATED_MAX: usize = 512;

/// Texts in the octets: base subject, then of From, To and Cc the mailbox, then of From and To what is shown.
const TEXTS: usize = 6;

/// Stands for a date that cannot be read.
const NO_DATE: i64 = i64::MIN;

/// What a message is sorted by, as [`write_sort_keys`] wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKeys<'k> {
    pub(super) sent: Option<i64>,
    pub(super) texts: [&'k [u8]; TEXTS],
}

/// Appends what a message is sorted by: its octets, or those of its header. At most some 3 KiB.
///
/// The octets are for [`SortKeys::read`] and may be kept, for as long as this crate keeps its version.
///
/// ```
/// use pillarbox_imap::sort::{SortKeys, write_sort_keys};
///
/// let mut octets = Vec::new();
/// write_sort_keys(b"Date: 1 Jan 2001 01:00 +0100\r\nSubject: Re: hello\r\n\r\n", &mut octets);
/// assert_eq!(SortKeys::read(&octets).unwrap().sent(), Some(978_307_200));
/// assert_eq!(SortKeys::read(&octets[1..]), None);
/// ```
pub fn write_sort_keys(header: &[u8], out: &mut Vec<u8>) {
    let (mut date, mut subject) = (None, None);
    let mut lists: [Option<&[u8]>; 3] = [None; 3];
    for field in Fields::new(header) {
        if field.name_is("date") {
            date.get_or_insert(field.value);
        } else if field.name_is("subject") {
            subject.get_or_insert(field.value);
        } else if let Some(at) = ["from", "to", "cc"].iter().position(|name| field.name_is(name)) {
            // As ENVELOPE has it, fields of one name are one with all addresses: the first address counts.
            if lists[at].is_none_or(|value| addresses(value, 1).is_empty()) {
                lists[at] = Some(field.value);
            }
        }
    }
    out.extend_from_slice(&sent_date(date).unwrap_or(NO_DATE).to_le_bytes());
    text(&collated(subject).0, out);
    let first = lists.map(|value| addresses(value.unwrap_or_default(), 1).into_iter().next());
    for address in &first {
        text(&key_of(&mailbox(address.as_ref())), out);
    }
    for address in &first[..2] {
        text(&key_of(&shown(address.as_ref())), out);
    }
}

impl<'k> SortKeys<'k> {
    /// Reads what was written; `None` if it is something else.
    pub fn read(octets: &'k [u8]) -> Option<Self> {
        let (sent, mut rest) = octets.split_first_chunk::<8>()?;
        let mut texts = [&[][..]; TEXTS];
        for text in &mut texts {
            let (len, behind) = rest.split_first_chunk::<2>()?;
            (*text, rest) = behind.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        }
        let sent = Some(i64::from_le_bytes(*sent)).filter(|sent| *sent != NO_DATE);
        rest.is_empty().then_some(SortKeys { sent, texts })
    }

    /// The Date field in seconds since 1970, UTC; `None` if it cannot be read, so that INTERNALDATE counts (RFC 5256 §2.2).
    pub const fn sent(&self) -> Option<i64> {
        self.sent
    }
}

/// RFC 5256 §2.2
pub(crate) fn sent_date(field: Option<&[u8]>) -> Option<i64> {
    Some(parse_date(field?)?.unix_seconds())
}

/// The collation key of a Subject field's base subject, and whether it is a reply.
pub(crate) fn collated(subject: Option<&[u8]>) -> (String, bool) {
    let (mut decoded, mut room) = (String::new(), String::new());
    decode_words(subject.unwrap_or_default(), &mut decoded);
    let base = base_subject(&decoded, &mut room);
    (key_of(base.text), base.is_reply)
}

/// The collation key of a text, cut.
fn key_of(text: &str) -> String {
    let mut key = String::new();
    if text.contains(char::REPLACEMENT_CHARACTER) {
        // RFC 5255 §4.6: what is no text in its charset comes behind all that is, and is compared as it is.
        key.push(char::MAX);
        key.extend(text.chars().take(COLLATED_MAX / 4 - 1));
        return key;
    }
    // A letter has at least one octet, and at most four in its key for each of its own in the usual case: cut before and behind.
    let front = text.char_indices().nth(COLLATED_MAX).map_or(text, |(at, _)| &text[..at]);
    collation_key(front, &mut key);
    let mut end = key.len().min(COLLATED_MAX);
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    key.truncate(end);
    key
}

/// `addr-mailbox` (RFC 9051 §9).
fn mailbox(address: Option<&Address>) -> String {
    match address {
        Some(Address::Mailbox { mailbox, .. }) => String::from_utf8_lossy(mailbox).into_owned(),
        Some(Address::GroupStart(name)) => String::from_utf8_lossy(name).into_owned(),
        _ => String::new(),
    }
}

/// RFC 5957 §3
fn shown(address: Option<&Address>) -> String {
    let Some(Address::Mailbox { name, mailbox, host, .. }) = address else { return self::mailbox(address) };
    let mut text = String::new();
    decode_words(name.as_deref().unwrap_or_default(), &mut text);
    if text.is_empty() {
        text = alloc::format!("{}@{}", String::from_utf8_lossy(mailbox), String::from_utf8_lossy(host));
    }
    text
}

fn text(text: &str, out: &mut Vec<u8>) {
    // Texts are cut, so this number fits.
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 5255 §4.6: what is no text in its charset comes last.
    #[test]
    fn broken_texts_are_sorted_apart() {
        let mut subjects = [
            &b"\xd0\xc0\xd0\xbd\xd0\xb4\xd1\x80\xd0\xb5\xd0\xb9"[..],
            b"\xd1\x81\xd0\x95\xd0\xa0\xd0\x93\xd0\x95\xd0\x99",
            b"\xd0\x92\xd0\xb0\xd1\x81\xd0\xb8\xd0\xbb\xd0\xb8\xff\xb9",
            b"=?koi8-r?Q?=E1=CC=C5=CB=D3=C5=CA?=",
        ];
        let [one, two, three, four] = subjects;
        subjects.sort_by_key(|subject| collated(Some(subject)).0);
        assert_eq!(subjects, [four, two, three, one]);
        // And never takes more room than a key may.
        let long = "\u{fffd}".repeat(10_000);
        assert!(collated(Some(long.as_bytes())).0.len() <= COLLATED_MAX);
    }
}
