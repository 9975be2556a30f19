//! ENVELOPE (RFC 9051 §7.5.2).

use alloc::vec::Vec;

use super::field::fields;
use super::string::{write_nstring, write_string};
use super::{Address, Limits, addresses};

/// Writes the ENVELOPE of a message, or of a header alone: what follows the header is not looked at.
///
/// Values stand as in the header, without folds: encoded words are not decoded.
///
/// ```
/// use pillarbox_imap::message::{Limits, write_envelope};
///
/// let mut out = Vec::new();
/// write_envelope(b"From: Ann <a@example.com>\r\nSubject: =?utf-8?q?hi?=\r\n\r\n", &Limits::default(), &mut out);
/// let from = r#"(("Ann" NIL "a" "example.com"))"#;
/// let envelope = format!(r#"(NIL "=?utf-8?q?hi?=" {from} {from} {from} NIL NIL NIL NIL NIL)"#);
/// assert_eq!(String::from_utf8(out).unwrap(), envelope);
/// ```
pub fn write_envelope(header: &[u8], limits: &Limits, out: &mut Vec<u8>) {
    let mut values: [Option<&[u8]>; NAMES.len()] = [None; NAMES.len()];
    for field in fields(header) {
        if let Some(at) = NAMES.iter().position(|name| field.is(name)) {
            values[at].get_or_insert(field.value.trim_ascii());
        }
    }
    let [date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id] = values;
    let mut from_written = Vec::new();
    write_addresses(from, limits, &mut from_written);
    out.push(b'(');
    write_nstring(date, out);
    out.push(b' ');
    write_nstring(subject, out);
    out.push(b' ');
    out.extend_from_slice(&from_written);
    // RFC 9051 §7.5.2: without a Sender or Reply-To field, or with an empty one, From stands in for it.
    for value in [sender, reply_to] {
        out.push(b' ');
        if !write_addresses(value, limits, out) {
            out.truncate(out.len() - b"NIL".len());
            out.extend_from_slice(&from_written);
        }
    }
    for value in [to, cc, bcc] {
        out.push(b' ');
        write_addresses(value, limits, out);
    }
    for value in [in_reply_to, message_id] {
        out.push(b' ');
        write_nstring(value, out);
    }
    out.push(b')');
}

const NAMES: [&str; 10] =
    ["date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id"];

/// Writes an address list; false if it has no entries and is NIL.
fn write_addresses(value: Option<&[u8]>, limits: &Limits, out: &mut Vec<u8>) -> bool {
    let list = addresses(value.unwrap_or_default(), limits.addresses_max);
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return false;
    }
    out.push(b'(');
    for address in &list {
        out.push(b'(');
        match address {
            Address::Mailbox { name, route, mailbox, host } => {
                write_nstring(name.as_deref(), out);
                out.push(b' ');
                write_nstring(route.as_deref(), out);
                out.push(b' ');
                write_string(mailbox, out);
                out.push(b' ');
                write_string(host, out);
            }
            Address::GroupStart(name) => {
                out.extend_from_slice(b"NIL NIL ");
                write_string(name, out);
                out.extend_from_slice(b" NIL");
            }
            Address::GroupEnd => out.extend_from_slice(b"NIL NIL NIL NIL"),
        }
        out.push(b')');
    }
    out.push(b')');
    true
}
