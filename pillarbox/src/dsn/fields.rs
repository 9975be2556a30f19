//! The part for machines: `message/delivery-status` (RFC 3464), or `message/global-delivery-status` (RFC 6533).

use std::fmt::Write as _;

use pillarbox_core::WallTime;

use super::Notice;

/// Octets of a value that others wrote; the rest is cut. With the name of the field it stays below what a line can hold (RFC
/// 5322 §2.1.1).
const VALUE_MAX: usize = 800;

/// The fields. With `utf8` addresses stand as they are; without, all is ASCII.
pub(super) fn write(notice: &Notice<'_>, utf8: bool) -> String {
    let mut out = String::new();
    // RFC 3464 §2.2
    if let Some(id) = notice.envelope_id {
        field(&mut out, "Original-Envelope-Id", &clean(id, false));
    }
    // RFC 3461 §6.3 (b): a name that is none of the DNS is not called one.
    let kind = if notice.reporting_mta.contains('.') { "dns" } else { "x-local-hostname" };
    field(&mut out, "Reporting-MTA", &format!("{kind}; {}", clean(notice.reporting_mta, false)));
    date(&mut out, "Arrival-Date", notice.arrival);
    for recipient in &notice.recipients {
        out.push_str("\r\n");
        // RFC 3464 §2.3
        if let Some(original) = recipient.original {
            field(&mut out, "Original-Recipient", &address(original.addr_type(), original.address(), utf8));
        }
        let address_text = recipient.address.to_string();
        let kind = if address_text.is_ascii() { "rfc822" } else { "utf-8" };
        field(&mut out, "Final-Recipient", &address(kind, &address_text, utf8));
        field(&mut out, "Action", recipient.action.as_str());
        let (class, subject, detail) = recipient.status;
        field(&mut out, "Status", &format!("{class}.{subject}.{detail}"));
        if let Some(name) = recipient.remote_mta {
            field(&mut out, "Remote-MTA", &format!("dns; {}", clean(name, utf8)));
        }
        if let Some(words) = recipient.diagnostic {
            // RFC 3464 §2.3.6: "smtp" says that these are a server's words.
            let kind = if recipient.remote_mta.is_some() { "smtp" } else { "x-pillarbox" };
            field(&mut out, "Diagnostic-Code", &format!("{kind}; {}", clean(words, utf8)));
        }
        date(&mut out, "Last-Attempt-Date", recipient.last_attempt);
        date(&mut out, "Will-Retry-Until", recipient.will_retry_until);
    }
    out
}

fn field(out: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{name}: {value}\r\n");
}

fn date(out: &mut String, name: &str, date: Option<WallTime>) {
    if let Some(date) = date {
        field(out, name, &date.to_string());
    }
}

/// An address with its type. RFC 6533 §3: where only ASCII may stand, `\x{...}` stands for other characters.
fn address(kind: &str, address: &str, utf8: bool) -> String {
    let kind = clean(kind, false);
    if utf8 || !kind.eq_ignore_ascii_case("utf-8") {
        return format!("{kind}; {}", clean(address, utf8));
    }
    let mut text = String::new();
    for character in address.chars() {
        // QCHAR
        if character.is_ascii_graphic() && !matches!(character, '\\' | '+' | '=') {
            text.push(character);
        } else {
            let _ = write!(text, "\\x{{{:02X}}}", u32::from(character));
        }
    }
    format!("{kind}; {}", cut(&text))
}

/// What others wrote, fit for one line.
fn clean(text: &str, utf8: bool) -> String {
    let printable = |character: char| match character {
        '\n' | '\t' => ' ',
        character if character.is_control() || !(utf8 || character.is_ascii()) => '?',
        character => character,
    };
    let line: String = cut(text).trim().chars().map(printable).collect();
    if line.is_empty() { "?".into() } else { line }
}

fn cut(text: &str) -> &str {
    let end = (0..=VALUE_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
