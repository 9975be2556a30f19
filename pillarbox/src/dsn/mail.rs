//! The mail around the three parts (RFC 6522).

use mail_builder::MessageBuilder;
use mail_builder::headers::HeaderType;
use mail_builder::headers::address::Address as MailAddress;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use pillarbox_core::Random;

use super::{Notice, fields, original, people};

/// A mail that can be sent: with the null reverse-path, to [`Notice::to`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoticeMail {
    /// Its octets, with CRLF line ends.
    pub octets: Vec<u8>,
    /// It needs a server with SMTPUTF8, as the address that it goes to does (RFC 6531 §3.5).
    pub smtputf8: bool,
}

impl NoticeMail {
    /// It needs a server with 8BITMIME: it holds a message that does.
    pub fn is_eight_bit(&self) -> bool {
        !self.octets.is_ascii()
    }
}

impl Notice<'_> {
    /// The mail. `random` makes the boundary, which nothing in the message can know.
    pub fn write(&self, random: &mut dyn Random) -> NoticeMail {
        let smtputf8 = !self.to.is_ascii() || !self.from.is_ascii();
        let status_type = if smtputf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        let status = fields::write(self, smtputf8);
        let status = match status.is_ascii() {
            true => {
                original::plain(status_type, BodyPart::Binary(status.into_bytes().into())).transfer_encoding("7bit")
            }
            false => original::plain(status_type, BodyPart::Text(status.into())),
        };
        let people = MimePart::new(
            ContentType::new("text/plain").attribute("charset", "utf-8"),
            people::text(self).replace('\n', "\r\n"),
        );
        let report = ContentType::new("multipart/report")
            .attribute("report-type", if smtputf8 { "global-delivery-status" } else { "delivery-status" })
            .attribute("boundary", format!("=_{:016x}{:016x}", random.next_u64(), random.next_u64()));
        let mail = MessageBuilder::new()
            .from(MailAddress::new_address(Some("Mail Delivery System"), self.from.to_string()))
            .to(MailAddress::new_address(None::<&str>, self.to.to_string()))
            .subject(people::subject(self))
            .header("Date", HeaderType::Raw(Raw::new(self.date.to_string())))
            .message_id(self.message_id)
            // RFC 3834 §5: nobody shall answer it.
            .header("Auto-Submitted", HeaderType::Raw(Raw::new("auto-replied")))
            .header("MIME-Version", HeaderType::Raw(Raw::new("1.0")))
            .body(MimePart::new(report, vec![people, status, original::part(self)]));
        let mut octets = Vec::new();
        // Writing to memory does not fail.
        let _ = mail.write_to(&mut octets);
        NoticeMail { octets, smtputf8 }
    }
}
