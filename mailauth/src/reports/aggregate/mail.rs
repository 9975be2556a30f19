//! The mail that brings a report (RFC 9990 §3.5.2).

use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::address::Address;
use pillarbox_core::{Random, WallTime};

use super::{Packing, ReportName};
use crate::reports::ReportId;
use crate::reports::mime::MailWriter;

/// The mail that brings an aggregate report to those who asked for it. Sign it with DKIM for the domain of `from`: RFC 9990
/// §3.5.2 has it pass DMARC itself.
///
/// ```
/// use pillarbox_auth::reports::ReportId;
/// use pillarbox_auth::reports::aggregate::{AggregateMail, Attachment, Period, ReportName};
/// use pillarbox_core::address::Address;
/// use pillarbox_core::{SeededRandom, WallTime};
///
/// let period = Period { begin: 1_633_046_400, end: 1_633_132_799 };
/// let name = ReportName::new("mx.example.net".parse()?, "example.org".parse()?, period).unwrap();
/// let id = ReportId::parse("1633046400.77-example.org@mx.example.net").unwrap();
/// let from = Address::parse("dmarc@mx.example.net").unwrap();
/// let to = Address::parse("reports@example.org").unwrap();
/// let mail = AggregateMail::new(&name, &id, &from, &to, WallTime::new(1_633_136_400, 0));
/// let text = String::from_utf8(mail.write(Attachment::Xml("<feedback/>"), &mut SeededRandom::new(1))).unwrap();
/// assert!(text.contains("Message-ID: <1633046400.77-example.org@mx.example.net>\r\n"));
/// assert!(text.contains("filename=\"mx.example.net!example.org!1633046400!1633132799.xml\""));
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AggregateMail<'a> {
    /// Who reports about whom, and when.
    pub name: &'a ReportName,
    /// What tells the report from others.
    pub report_id: &'a ReportId,
    /// The author of the mail.
    pub from: &'a Address<'a>,
    /// Who asked for the report.
    pub to: &'a Address<'a>,
    /// The date of the mail.
    pub date: WallTime,
}

/// The document.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Attachment<'a> {
    /// The XML itself.
    Xml(&'a str),
    /// The XML in gzip, as it should be; `reports::gzip` makes it (feature `reports`).
    Gzip(&'a [u8]),
}

impl Attachment<'_> {
    /// How many octets it has, for [`ReportMailbox::takes`](crate::dmarc::ReportMailbox::takes).
    pub const fn octets(&self) -> usize {
        match self {
            Attachment::Xml(xml) => xml.len(),
            Attachment::Gzip(octets) => octets.len(),
        }
    }

    const fn packing(&self) -> Packing {
        match self {
            Attachment::Xml(_) => Packing::Xml,
            Attachment::Gzip(_) => Packing::Gzip,
        }
    }
}

impl<'a> AggregateMail<'a> {
    /// A mail to one mailbox.
    pub const fn new(
        name: &'a ReportName,
        report_id: &'a ReportId,
        from: &'a Address<'a>,
        to: &'a Address<'a>,
        date: WallTime,
    ) -> Self {
        AggregateMail { name, report_id, from, to, date }
    }

    /// The whole mail, with CRLF line ends. `random` makes the boundary.
    pub fn write(&self, attachment: Attachment<'_>, random: &mut dyn Random) -> Vec<u8> {
        let mut mail = MailWriter::new(random);
        let file_name = self.name.file_name(attachment.packing());
        mail.addresses("From", &[self.from]);
        mail.addresses("To", &[self.to]);
        mail.field("Date", self.date);
        mail.field("Subject", self.name.subject(self.report_id));
        // RFC 9990 §3.5.2: so that receivers know a report that comes twice.
        mail.field("Message-ID", self.message_id());
        // RFC 3834 §5: nobody shall answer it.
        mail.field("Auto-Submitted", "auto-generated");
        mail.field("MIME-Version", "1.0");
        mail.field("Content-Type", alloc::format!("multipart/mixed; boundary=\"{}\"", mail.boundary()));
        mail.end_header();

        mail.begin_part();
        mail.field("Content-Type", "text/plain; charset=us-ascii");
        mail.end_header();
        let seconds = |seconds: u64| WallTime::new(i64::try_from(seconds).unwrap_or(i64::MAX), 0);
        let ReportName { submitter, domain, period, .. } = self.name;
        mail.lines(&alloc::format!(
            "This is a DMARC aggregate report of {submitter}\nabout mail in the name of {domain}\nfrom {} to {}.\n",
            seconds(period.begin),
            seconds(period.end),
        ));

        mail.begin_part();
        let media_type = match attachment {
            Attachment::Xml(_) => "text/xml; charset=utf-8",
            Attachment::Gzip(_) => "application/gzip",
        };
        mail.field("Content-Type", media_type);
        mail.field("Content-Disposition", alloc::format!("attachment; filename=\"{file_name}\""));
        mail.field("Content-Transfer-Encoding", "base64");
        mail.end_header();
        mail.base64(match attachment {
            Attachment::Xml(xml) => xml.as_bytes(),
            Attachment::Gzip(octets) => octets,
        });
        mail.finish()
    }

    fn message_id(&self) -> String {
        let id = self.report_id.as_str();
        if id.contains('@') { alloc::format!("<{id}>") } else { alloc::format!("<{id}@{}>", self.name.submitter) }
    }
}
