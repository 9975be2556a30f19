//! The field Received-SPF (RFC 7208 §9.1).

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Write;

use pillarbox_core::address::LocalPart;
use pillarbox_core::dns::Name;

use super::{Outcome, SpfResult};

impl Outcome {
    /// The whole field Received-SPF with its CRLF, to be put above the Received field of the same hop and above all other
    /// Received-SPF fields. What the client sent stands in quotes in it, cut to 255 octets; controls and what is not
    /// well-formed become question marks, and so does all beyond ASCII in HELO. A local part beyond ASCII is written as it is:
    /// it came by SMTPUTF8, so the message may hold it (RFC 6532 §3).
    ///
    /// ```
    /// use pillarbox_auth::spf::{Check, Client, Limits};
    /// use pillarbox_core::dns::{self, FixedZone, Record};
    ///
    /// let zone = FixedZone::new().with("mail.example.org", Record::txt("v=spf1 ip4:192.0.2.1 -all"));
    /// let mut client = Client::new([192, 0, 2, 1].into(), "mail.example.org");
    /// client.receiver = Some("mx.example.net".parse().unwrap());
    /// let outcome = dns::run(&mut Check::helo(&client, Limits::default()), &zone);
    /// assert_eq!(
    ///     outcome.received_spf(),
    ///     "Received-SPF: pass (mx.example.net: mail.example.org lets 192.0.2.1 send for it)\r\n \
    ///      identity=helo; client-ip=192.0.2.1;\r\n \
    ///      helo=\"mail.example.org\";\r\n \
    ///      receiver=mx.example.net;\r\n \
    ///      mechanism=\"ip4:192.0.2.1\"\r\n"
    /// );
    /// ```
    pub fn received_spf(&self) -> String {
        let receiver = self.course.subject.receiver.as_ref().map_or("unknown", Name::as_str);
        let helo = ascii(self.helo());
        let domain = match &self.course.subject.no_domain {
            None => Cow::Borrowed(self.course.names.first().as_str()),
            // The text is that of HELO.
            Some(text) if self.identity == super::Identity::Helo || self.course.subject.null_path => ascii(text),
            Some(text) => Cow::Borrowed(&**text),
        };
        let domain = clean(&domain);
        let ip = self.course.subject.ip;
        let meaning = match self.result {
            SpfResult::Pass => format!("{domain} lets {ip} send for it"),
            SpfResult::Fail => format!("{domain} does not let {ip} send for it"),
            SpfResult::SoftFail => format!("{domain} probably does not let {ip} send for it"),
            SpfResult::Neutral => format!("{domain} does not say whether {ip} may send for it"),
            SpfResult::None => format!("{domain} says nothing"),
            SpfResult::TempError => format!("{domain} cannot be looked up now"),
            SpfResult::PermError => format!("what {domain} says cannot be used"),
        };
        let mut field = format!("Received-SPF: {} (", self.result);
        comment(&format!("{receiver}: {meaning}"), &mut field);
        // Writing to a String cannot fail. An address of IPv6 is no dot-atom.
        let _ = match ip {
            core::net::IpAddr::V4(_) => write!(field, ")\r\n identity={}; client-ip={ip};", self.identity),
            core::net::IpAddr::V6(_) => write!(field, ")\r\n identity={}; client-ip=\"{ip}\";", self.identity),
        };
        if self.identity == super::Identity::MailFrom {
            let local = LocalPart::from_unquoted(self.local());
            let local = local.as_ref().map_or(Cow::Borrowed("?"), LocalPart::canonical);
            pair("envelope-from", &format!("{local}@{domain}"), &mut field);
        }
        pair("helo", &helo, &mut field);
        let _ = write!(field, "\r\n receiver={};", if is_dot_atom(receiver) { receiver } else { "unknown" });
        if let Some(problem) = &self.problem {
            pair("problem", &problem.to_string(), &mut field);
        } else {
            // RFC 7208 §9.1: "if no mechanisms matched, substitute the word "default"".
            match self.mechanism() {
                Some(mechanism) => pair("mechanism", &mechanism.to_string(), &mut field),
                None => field.push_str("\r\n mechanism=default;"),
            }
        }
        field.pop();
        field.push_str("\r\n");
        field
    }
}

/// The longest value: with its name well below the 998 octets of a line (RFC 5322 §2.1.1), even if each is escaped.
const VALUE_MAX: usize = 255;

/// The text without what would steer a terminal or a reader of the header.
fn clean(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(VALUE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    if text.contains(char::is_control) {
        return Cow::Owned(text.chars().map(|c| if c.is_control() { '?' } else { c }).collect());
    }
    Cow::Borrowed(text)
}

/// RFC 6532 §3: only what came with SMTPUTF8 may stand in a header as it is, and HELO comes before that.
fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect())
}

/// `key="value";` on a line of its own.
fn pair(key: &str, value: &str, field: &mut String) {
    let _ = write!(field, "\r\n {key}=\"");
    for c in clean(value).chars() {
        if matches!(c, '"' | '\\') {
            field.push('\\');
        }
        field.push(c);
    }
    field.push_str("\";");
}

fn comment(text: &str, field: &mut String) {
    for c in clean(text).chars() {
        if matches!(c, '(' | ')' | '\\') {
            field.push('\\');
        }
        field.push(c);
    }
}

fn is_dot_atom(text: &str) -> bool {
    let is_atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}
