//! The mail that carries a report (RFC 8460 §5.3).

use std::sync::Arc;

use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address as MailAddress;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use pillarbox_auth::dkim::{SignOptions, Signer};
use pillarbox_auth::reports::gzip;
use pillarbox_auth::tls_rpt::{Report, ReportMail};
use pillarbox_core::address::Address;
use pillarbox_core::dns::Name;
use pillarbox_core::{Random, WallTime};

use super::TlsReporting;
use crate::crypto::RingCrypto;

/// Fields that are signed beside the usual ones.
const SIGNED: [&str; 3] = ["TLS-Report-Domain", "TLS-Report-Submitter", "TLS-Required"];

/// A report, compressed (RFC 8460 §5.2).
pub(super) fn compress(report: &Report) -> Vec<u8> {
    gzip(report.to_json().as_bytes())
}

/// The mail to one of the addresses that a domain has named.
pub(super) fn write(
    reporting: &TlsReporting,
    (report, domain, submitter): (&Report, &Name, &Name),
    to: &Address<'_>,
    now: WallTime,
    random: &mut dyn Random,
) -> Vec<u8> {
    let told = ReportMail::new(report, domain, submitter, true);
    let raw = |text: &str| HeaderType::Raw(Raw::new(text.to_owned()));
    let people = format!("This is an aggregate report of {submitter} on TLS with the mail servers of {domain}.\r\n");
    let people = MimePart::new(ContentType::new("text/plain").attribute("charset", "us-ascii"), people);
    let attached = MimePart::new(ContentType::new(told.media_type), BodyPart::Binary(compress(report).into()))
        .attachment(told.file_name.clone());
    let boundary = format!("=_{:016x}{:016x}", random.next_u64(), random.next_u64());
    let kind = ContentType::new("multipart/report").attribute("report-type", "tlsrpt").attribute("boundary", boundary);
    let message_id = format!("{:016x}{:016x}@{submitter}", random.next_u64(), random.next_u64());
    let mut mail = MessageBuilder::new()
        .from(MailAddress::new_address(None::<&str>, reporting.sender.to_string()))
        .to(MailAddress::new_address(None::<&str>, to.to_string()))
        .header("Date", raw(&now.to_string()))
        .message_id(message_id);
    for (name, value) in told.fields() {
        mail = mail.header(name, raw(value));
    }
    let mail = mail
        // RFC 8460 §5.3: it goes out whatever TLS comes to, as what it tells is that TLS fails.
        .header("TLS-Required", raw("No"))
        .header("Auto-Submitted", raw("auto-generated"))
        .header("MIME-Version", raw("1.0"))
        .body(MimePart::new(kind, vec![people, attached]));
    let mut octets = Vec::new();
    // Writing to memory does not fail.
    let _ = mail.write_to(&mut octets);
    signed(reporting, now, octets)
}

/// RFC 8460 §3: signed, where there is a key.
fn signed(reporting: &TlsReporting, now: WallTime, octets: Vec<u8>) -> Vec<u8> {
    let Some(key) = reporting.key.clone() else { return octets };
    let mut options = SignOptions::default();
    options.signed.extend(SIGNED.map(Into::into));
    let now = u64::try_from(now.unix_seconds()).unwrap_or(0);
    let mut signer = Signer::new(Arc::new(RingCrypto), vec![key], options, now);
    signer.write(&octets);
    match signer.finish() {
        Ok(fields) => [fields.as_bytes(), &octets].concat(),
        Err(_) => octets,
    }
}
