//! The mail that brings a failure report: `multipart/report` (RFC 5965 §2, RFC 6522, RFC 6533).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pillarbox_core::address::Address;
use pillarbox_core::header::Fields;
use pillarbox_core::returned::Returned;
use pillarbox_core::{Random, WallTime};

use super::{Feedback, Redactor};
use crate::reports::mime::MailWriter;

/// How much of the message goes into the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Include {
    /// The header. The default of every careful receiver, as the body is nobody's business but its readers'
    /// (RFC 9991 §7).
    Header,
    /// All of it, if it has at most so many octets; else the header.
    Message {
        /// The most octets of a message that is included.
        octets_max: usize,
    },
}

/// The mail that brings a failure report. Send it with the null path, so that nothing comes back, and sign it with DKIM for
/// the domain of `from`: reports that fail themselves make more reports (RFC 9991 §5.1).
///
/// ```
/// use pillarbox_auth::reports::failure::{AuthFailure, FailureMail, Feedback};
/// use pillarbox_core::address::Address;
/// use pillarbox_core::{SeededRandom, WallTime};
///
/// let feedback = Feedback::auth_failure(AuthFailure::Dmarc, "Example/1.0");
/// let from = Address::parse("dmarc@mx.example.net").unwrap();
/// let to = Address::parse("failures@example.org").unwrap();
/// let original = b"From: joe@example.org\r\nSubject: Hello\r\n\r\nbody\r\n";
/// let mail = FailureMail::new(&feedback, original, &from, &to, WallTime::new(1_633_136_400, 0), "77@mx.example.net");
/// let text = String::from_utf8(mail.write(&mut SeededRandom::new(1))).unwrap();
/// assert!(text.contains("Subject: FW: Hello\r\n"));
/// assert!(text.contains("Content-Type: text/rfc822-headers\r\n") && !text.contains("body\r\n"));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FailureMail<'a> {
    /// The fields for machines.
    pub feedback: &'a Feedback,
    /// The message that failed, with CRLF line ends.
    pub original: &'a [u8],
    /// How much of it is included.
    pub include: Include,
    /// Takes the names of people out; then no more than the header is included, as a body holds names in every form.
    pub redactor: Option<&'a Redactor<'a>>,
    /// The author of the mail.
    pub from: &'a Address<'a>,
    /// Who asked for the report.
    pub to: &'a Address<'a>,
    /// The date of the mail.
    pub date: WallTime,
    /// Its Message-ID, without angle brackets.
    pub message_id: &'a str,
}

/// A subject longer than this is cut, as it has to stand in a field of ours.
const SUBJECT_MAX: usize = 255;

impl<'a> FailureMail<'a> {
    /// A report that includes the header and keeps the names that are in it.
    pub const fn new(
        feedback: &'a Feedback,
        original: &'a [u8],
        from: &'a Address<'a>,
        to: &'a Address<'a>,
        date: WallTime,
        message_id: &'a str,
    ) -> Self {
        FailureMail { feedback, original, include: Include::Header, redactor: None, from, to, date, message_id }
    }

    /// The whole mail, with CRLF line ends. `random` makes the boundary. Bare line ends and NUL in the message become
    /// spaces, so that the mail can be sent; a field of its header that no line can hold is left out.
    pub fn write(&self, random: &mut dyn Random) -> Vec<u8> {
        let feedback = self.redactor.map_or(Cow::Borrowed(self.feedback), |r| Cow::Owned(r.feedback(self.feedback)));
        let fields = feedback.to_text();
        let part = self.original_part();
        let mut mail = MailWriter::new(random);
        mail.addresses("From", &[self.from]);
        mail.addresses("To", &[self.to]);
        mail.field("Date", self.date);
        // RFC 5965 §2 (f)
        mail.field("Subject", alloc::format!("FW: {}", encoded_words(&subject(&part.octets))));
        mail.field("Message-ID", alloc::format!("<{}>", self.message_id));
        // RFC 3834 §5: nobody shall answer it.
        mail.field("Auto-Submitted", "auto-generated");
        mail.field("MIME-Version", "1.0");
        let boundary = mail.boundary().to_string();
        let kind = "multipart/report; report-type=feedback-report";
        mail.field("Content-Type", alloc::format!("{kind}; boundary=\"{boundary}\""));
        // RFC 2045 §6.4: as what it holds.
        if !(fields.is_ascii() && part.octets.is_ascii()) {
            mail.field("Content-Transfer-Encoding", "8bit");
        }
        mail.end_header();

        mail.begin_part();
        mail.field("Content-Type", "text/plain; charset=us-ascii");
        mail.end_header();
        mail.lines(&people(&feedback));

        mail.begin_part();
        mail.field("Content-Type", "message/feedback-report");
        // Deviates from RFC 5965 §7.1, which has 7bit only: because addresses may be in UTF-8 since (RFC 6531).
        if !fields.is_ascii() {
            mail.field("Content-Transfer-Encoding", "8bit");
        }
        mail.end_header();
        mail.octets(fields.as_bytes());

        mail.begin_part();
        mail.field("Content-Type", part.media_type);
        if !part.octets.is_ascii() {
            mail.field("Content-Transfer-Encoding", "8bit");
        }
        mail.end_header();
        mail.octets(&part.octets);
        mail.finish()
    }

    /// RFC 5965 §2 (d)
    fn original_part(&self) -> Returned {
        if let (Include::Message { octets_max }, None) = (self.include, self.redactor)
            && self.original.len() <= octets_max
            && let Some(message) = Returned::message(self.original)
        {
            return message;
        }
        let change = |raw| self.redactor.map_or(Cow::Borrowed(raw), |redactor| Cow::Owned(redactor.header(raw)));
        Returned::header_with(self.original, change)
    }
}

/// The subject of a message, as far as a field of ours can hold it.
fn subject(message: &[u8]) -> String {
    let field = Fields::new(message).find(|field| field.name_is("Subject"));
    let value = field.map(|field| field.unfolded().into_owned()).unwrap_or_default();
    let value = match String::from_utf8(value) {
        Ok(value) => value,
        Err(error) => {
            error.into_bytes().iter().map(|octet| if octet.is_ascii() { char::from(*octet) } else { '?' }).collect()
        }
    };
    // What a field would show as spaces an encoded word would hide.
    let value = value.replace(char::is_control, " ");
    let value = value.trim();
    let end = (0..=SUBJECT_MAX.min(value.len())).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    if value.is_empty() { "(no subject)".into() } else { value[..end].into() }
}

/// Text that a header in ASCII can hold (RFC 2047 §4.1), in words that a line can hold. The server that takes the mail need
/// not know SMTPUTF8 for a stranger's subject.
fn encoded_words(text: &str) -> String {
    if text.is_ascii() {
        return text.into();
    }
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = (1..=WORD_OCTETS.min(rest.len())).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(rest.len());
        words.push(alloc::format!("=?utf-8?B?{}?=", STANDARD.encode(&rest[..end])));
        rest = &rest[end..];
    }
    words.join(" ")
}

/// RFC 2047 §2: an encoded word has at most 75 characters.
const WORD_OCTETS: usize = 45;

/// The part for people.
fn people(feedback: &Feedback) -> String {
    let mut text = String::from("This is an authentication failure report for a message");
    if let Some(ip) = feedback.source_ip {
        text += &alloc::format!("\nreceived from IP {ip}");
    }
    if let Some(date) = feedback.arrival_date {
        text += &alloc::format!("\non {date}");
    }
    text += ".\n";
    if let Some(domain) = feedback.reported_domains.first() {
        text += &alloc::format!("It used the name of {domain}.\n");
    }
    if feedback.incidents > 1 {
        text += &alloc::format!("It stands for {} such messages.\n", feedback.incidents);
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::AuthFailure;
    use super::*;
    use pillarbox_core::SeededRandom;

    fn write(original: &[u8], include: Include) -> String {
        let mut feedback = Feedback::auth_failure(AuthFailure::Dmarc, "Test/1");
        feedback.reported_domains = ["example.org".parse().unwrap()].into();
        feedback.incidents = 3;
        let (from, to) = (Address::parse("a@mx.example").unwrap(), Address::parse("b@example.org").unwrap());
        let mail = FailureMail::new(&feedback, original, &from, &to, WallTime::new(0, 0), "1@mx.example");
        let octets = FailureMail { include, ..mail }.write(&mut SeededRandom::new(5));
        assert!(Returned::message(&octets).is_some(), "a line is too long");
        assert!(!octets.contains(&0));
        String::from_utf8_lossy(&octets).into_owned()
    }

    #[test]
    fn what_of_the_message_goes_along() {
        let original = b"Subject: x\r\n\r\nbody\r\n";
        let all = Include::Message { octets_max: 100 };
        assert!(write(original, all).contains("message/rfc822\r\n\r\nSubject: x\r\n\r\nbody\r\n--"));
        let header = "text/rfc822-headers\r\n\r\nSubject: x\r\n--";
        assert!(write(original, Include::Header).contains(header));
        assert!(write(original, Include::Message { octets_max: 10 }).contains(header));
        let long_line = [&original[..], &[b'x'; 999]].concat();
        assert!(write(&long_line, Include::Message { octets_max: 10_000 }).contains(header));
        assert!(
            write("Subject: \u{e9}\r\n\r\n\u{e9}".as_bytes(), all)
                .contains("message/global\r\nContent-Transfer-Encoding: 8bit")
        );
        assert!(write("Subject: \u{e9}\r\n\r\n".as_bytes(), Include::Header).contains("message/global-headers\r\n"));
        assert!(write(b"Subject: x\r\n\r\n\xff", all).contains("message/rfc822\r\nContent-Transfer-Encoding: 8bit"));
        assert!(write(b"", Include::Header).contains("Subject: FW: (no subject)\r\n"));
    }

    /// RFC 2045 §6.4: what holds 8bit is 8bit itself; RFC 2047: a header in UTF-8 would need a server that takes one.
    #[test]
    fn encodings_are_told_and_the_header_is_ascii() {
        let mail = |original: &str, include| write(original.as_bytes(), include);
        let parts = |text: &str| text.matches("\r\nContent-Transfer-Encoding: 8bit\r\n").count();
        assert_eq!(parts(&mail("Subject: x\r\n\r\n", Include::Header)), 0);
        assert_eq!(parts(&mail("Subject: \u{e9}\r\n\r\n", Include::Header)), 2);
        let subject = "\u{e9}\u{20ac}".repeat(60);
        let text = mail(&alloc::format!("Subject: {subject}\r\n\r\n"), Include::Header);
        let header = text.split("\r\n\r\n").next().unwrap();
        assert!(header.is_ascii(), "{header}");
        let words =
            header.split_ascii_whitespace().filter_map(|word| word.strip_prefix("=?utf-8?B?")?.strip_suffix("?="));
        let decoded = words.flat_map(|word| STANDARD.decode(word).unwrap()).collect::<Vec<_>>();
        let decoded = String::from_utf8(decoded).unwrap();
        assert!(subject.starts_with(&decoded) && decoded.len() > SUBJECT_MAX - 4, "{decoded}");
        let text = mail("Subject: \u{e9}\0\u{1b}x\r\n\r\n", Include::Header);
        assert!(text.contains(&alloc::format!("=?utf-8?B?{}?=\r\n", STANDARD.encode("\u{e9}  x"))), "{text}");

        let mut feedback = Feedback::auth_failure(AuthFailure::Dmarc, "Test/1");
        feedback.dkim_identity = Some("j\u{f6}e@example.org".into());
        let (from, to) = (Address::parse("a@mx.example").unwrap(), Address::parse("b@example.org").unwrap());
        let mail = FailureMail::new(&feedback, b"Subject: x\r\n\r\n", &from, &to, WallTime::new(0, 0), "1@mx.example");
        assert_eq!(parts(&String::from_utf8(mail.write(&mut SeededRandom::new(5))).unwrap()), 2);
    }

    /// What stands for a name may be longer than the name.
    #[cfg(feature = "ring")]
    #[test]
    fn redaction_makes_no_line_too_long() {
        let original = alloc::format!("To: {}x@y\r\nSubject: kept\r\n\r\n", "a@b,".repeat(240));
        assert!(Returned::message(original.as_bytes()).is_some());
        let feedback = Feedback::auth_failure(AuthFailure::Dmarc, "Test/1");
        let (from, to) = (Address::parse("a@mx.example").unwrap(), Address::parse("b@example.org").unwrap());
        let redactor = Redactor::new(&crate::RingCrypto, pillarbox_core::Secret::from(&b"key"[..]));
        let mail = FailureMail::new(&feedback, original.as_bytes(), &from, &to, WallTime::new(0, 0), "1@mx.example");
        let octets = FailureMail { redactor: Some(&redactor), ..mail }.write(&mut SeededRandom::new(5));
        assert!(Returned::message(&octets).is_some(), "a line is too long");
        assert!(String::from_utf8(octets).unwrap().contains("\r\n\r\nSubject: kept\r\n"));
    }

    #[test]
    fn a_message_cannot_break_out_of_its_part() {
        let hostile = b"Subject: a\rBcc: v@example.net\r\nX: y\n.\n\0z\r\n\r\n--=_\r\n";
        let text = write(hostile, Include::Message { octets_max: 1000 });
        assert!(text.contains("Subject: FW: a Bcc: v@example.net\r\n"));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        let huge = alloc::format!("X: {}\r\nSubject: kept\r\n\r\n", "y".repeat(2000));
        let text = write(huge.as_bytes(), Include::Header);
        assert!(!text.contains("yyy") && text.contains("FW: kept"));
        let many = "A: b\r\n".repeat(100_000);
        assert!(write(many.as_bytes(), Include::Header).len() < 70_000);
    }
}
