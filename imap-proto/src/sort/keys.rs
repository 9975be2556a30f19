//! What a message is sorted by.

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::header::Fields;

use super::{base_subject, collation_key};
use crate::message::{Address, Decoded, addresses, parse_sent_date};

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
    Some(parse_sent_date(field?)?.unix_seconds())
}

/// The collation key of a Subject field's base subject, and whether it is a reply.
pub(crate) fn collated(subject: Option<&[u8]>) -> (String, bool) {
    let decoded = Decoded::of_words(subject.unwrap_or_default());
    let mut room = String::new();
    let base = base_subject(decoded.as_str(), &mut room);
    let key = match decoded {
        Decoded::Text(_) => key_of_text(base.text),
        Decoded::Octets(_) => key_of_octets(base.text),
    };
    (key, base.is_reply)
}

fn key_of(decoded: &Decoded) -> String {
    match decoded {
        Decoded::Text(text) => key_of_text(text),
        Decoded::Octets(octets) => key_of_octets(octets),
    }
}

/// RFC 5255 §4.6: what is no text in its charset comes behind all that is, and its octets are compared.
fn key_of_octets(octets: &str) -> String {
    let mut key = String::from(char::MAX);
    // A character that stands for an octet has two at most in the key.
    key.extend(octets.chars().take((COLLATED_MAX - key.len()) / 2));
    key
}

/// The collation key of a text, cut.
fn key_of_text(text: &str) -> String {
    let mut key = String::new();
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
fn mailbox(address: Option<&Address>) -> Decoded {
    match address {
        Some(Address::Mailbox { mailbox, .. }) => Decoded::of_plain(mailbox),
        Some(Address::GroupStart(name)) => Decoded::of_plain(name),
        _ => Decoded::Text(String::new()),
    }
}

/// RFC 5957 §3
fn shown(address: Option<&Address>) -> Decoded {
    let Some(Address::Mailbox { name, mailbox, host, .. }) = address else { return self::mailbox(address) };
    let name = Decoded::of_words(name.as_deref().unwrap_or_default());
    if name.as_str().is_empty() { Decoded::of_plain(&[mailbox, &b"@"[..], host].concat()) } else { name }
}

fn text(text: &str, out: &mut Vec<u8>) {
    // Texts are cut, so this number fits.
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_without_a_time_is_a_date() {
        for (date, expected) in
            [("1 Jan 2001", Some(978_307_200)), ("1 Jan 2001 25:00 -0100", Some(978_307_200)), ("x", None)]
        {
            let mut octets = Vec::new();
            write_sort_keys(alloc::format!("Date: {date}\r\n\r\n").as_bytes(), &mut octets);
            assert_eq!(SortKeys::read(&octets).unwrap().sent(), expected, "{date}");
        }
    }

    /// RFC 5255 §4.6: whether it is text says its charset, and not what it looks like. What is none is compared octet by octet.
    #[test]
    fn a_charset_that_is_not_known_is_as_bad_as_octets_that_are_wrong() {
        let sorted = [
            &b"=?utf-8?q?=E6=97=A5?="[..],
            // U+FFFD itself is a text.
            b"=?utf-8?q?=EF=BF=BD?=",
            b"=?x-nonsense?q?abc?=",
            b"=?iso-2022-kr?q?x=C3=A3?=",
            b"=?x-nonsense?q?x=C3=A4?=",
            b"x\xe3",
            b"=?utf-8?q?x=E4?=",
        ];
        let mut subjects = sorted;
        subjects.reverse();
        subjects.sort_by_key(|subject| collated(Some(subject)).0);
        assert_eq!(subjects, sorted);
        let names = [&b"From: =?utf-8?q?Z?= <a@x>\r\n\r\n"[..], b"From: =?x-nonsense?q?A?= <a@x>\r\n\r\n"];
        let mut keys = names.map(|header| {
            let mut octets = Vec::new();
            write_sort_keys(header, &mut octets);
            SortKeys::read(&octets).unwrap().texts[4].to_vec()
        });
        assert!(keys.is_sorted(), "{keys:?}");
        keys.reverse();
        assert!(!keys.is_sorted());
    }

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
        assert!(collated(Some(&[0xff; 10_000])).0.len() <= COLLATED_MAX);
    }
}
