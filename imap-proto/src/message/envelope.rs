//! ENVELOPE (RFC 9051 §7.5.2).

use alloc::vec::Vec;

use pillarbox_core::header::Fields;

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
    let mut texts: [Option<&[u8]>; TEXTS.len()] = [None; TEXTS.len()];
    let mut lists: [Vec<Address>; LISTS.len()] = Default::default();
    for field in Fields::new(header) {
        if let Some(at) = TEXTS.iter().position(|name| field.name_is(name)) {
            texts[at].get_or_insert(field.value.trim_ascii());
        } else if let Some(at) = LISTS.iter().position(|name| field.name_is(name)) {
            // RFC 5322 §4.5.3: several fields of the same name mean one with all the addresses. Of From this is the
            // honest answer too.
            let room = limits.addresses_max - lists[at].len().min(limits.addresses_max);
            lists[at].extend(addresses(field.value, room));
        }
    }
    let [date, subject, in_reply_to, message_id] = texts;
    let [from, sender, reply_to, to, cc, bcc] = &lists;
    // RFC 9051 §7.5.2: without a Sender or Reply-To field, or with an empty one, From stands in for it.
    let or_from = |list| if <[_]>::is_empty(list) { from } else { list };
    out.push(b'(');
    write_nstring(date, out);
    out.push(b' ');
    write_nstring(subject, out);
    for list in [from, or_from(sender), or_from(reply_to), to, cc, bcc] {
        out.push(b' ');
        write_addresses(list, out);
    }
    for text in [in_reply_to, message_id] {
        out.push(b' ');
        write_nstring(text, out);
    }
    out.push(b')');
}

const TEXTS: [&str; 4] = ["date", "subject", "in-reply-to", "message-id"];
const LISTS: [&str; 6] = ["from", "sender", "reply-to", "to", "cc", "bcc"];

fn write_addresses(list: &[Address], out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
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
}
