//! The mails that bring reports, as a domain owner gets them.

use pillarbox_auth::RingCrypto;
use pillarbox_auth::dmarc;
use pillarbox_auth::reports::aggregate::{
    ActionDisposition, AggregateMail, Attachment, CollectLimits, Collector, DkimResult, DkimSeen, Metadata,
    Observation, Period, PublishedPolicy, ReadError, ReadLimits, Report, ReportName, SpfResult, SpfSeen,
};
use pillarbox_auth::reports::failure::{
    AuthFailure, DeliveryResult, FailureMail, FailureReport, Feedback, FeedbackLimits, IdentityAlignment, Include,
    Original, Redactor,
};
use pillarbox_auth::reports::{MailLimits, ReportId, gzip};
use pillarbox_core::address::{Address, ReversePath};
use pillarbox_core::dns::Name;
use pillarbox_core::{Secret, SeededRandom, WallTime};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn address(text: &str) -> Address<'_> {
    Address::parse(text).unwrap()
}

/// From messages to the report that their domain's owner reads.
#[test]
fn an_aggregate_report_goes_all_the_way() {
    let record = dmarc::Record::parse(b"v=DMARC1; p=quarantine; rua=mailto:reports@example.org!10k").unwrap();
    let policy = PublishedPolicy::new(name("example.org"), record);
    let author = name("news.example.org");
    let dkim = [DkimSeen {
        domain: name("example.org"),
        selector: name("s2026"),
        result: DkimResult::Pass,
        is_aligned: true,
        human_result: None,
    }];
    let spf = SpfSeen { domain: name("bounce.example.org"), result: SpfResult::SoftFail, human_result: None };
    let mut collector = Collector::new(CollectLimits::default());
    for _ in 0..3 {
        let message = Observation::new(&policy, "2001:db8::1".parse().unwrap(), &author, ActionDisposition::Pass);
        let mut message = message;
        message.envelope_from = Some(&spf.domain);
        message.dkim_aligned = true;
        message.dkim = &dkim;
        message.spf = Some(&spf);
        collector.add(&message);
    }
    let collected = collector.take(&name("example.org")).unwrap();

    let period = Period::containing(1_633_096_000, Period::DAY);
    let submitter = name("mx.example.net");
    let mut random = SeededRandom::new(9);
    let id = ReportId::generate(period, &policy.domain, &submitter, &mut random);
    let report = collected.to_report(Metadata::new("Example", "dmarc@example.net", id.as_str(), period));
    let report_name = ReportName::new(submitter, policy.domain.clone(), period).unwrap().with_unique_id("a1").unwrap();
    let mailbox = collected.policy().record.aggregate_reports[0].mailbox().unwrap();
    let (from, to) = (address("dmarc@mx.example.net"), mailbox.address());
    let mail = AggregateMail::new(&report_name, &id, &from, to, WallTime::new(1_633_140_000, 0));
    let xml = report.to_xml();
    let packed = gzip(xml.as_bytes());
    assert!(mailbox.takes(packed.len() as u64));

    for attachment in [Attachment::Xml(&xml), Attachment::Gzip(&packed)] {
        let mail = mail.write(attachment, &mut random);
        let parsed = Report::from_mail(&mail, &ReadLimits::default()).unwrap();
        assert!(parsed.faults.is_empty(), "{:?}", parsed.faults);
        assert_eq!(parsed.report.records, report.records);
        assert_eq!(parsed.report.metadata, report.metadata);
        assert_eq!(parsed.report.records[0].count, 3);
        let text = String::from_utf8(mail).unwrap();
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert!(
            text.replace("\r\n ", " ").contains(&format!(
                "Subject: Report Domain: example.org Submitter: mx.example.net Report-ID: <{id}>\r\n"
            ))
        );
        assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n"));
    }
}

fn feedback() -> Feedback {
    let mut feedback = Feedback::auth_failure(AuthFailure::Dmarc, "Example/1.0");
    feedback.delivery_result = Some(DeliveryResult::Reject);
    feedback.identity_alignment = Some(IdentityAlignment { dkim: true, spf: true });
    feedback.authentication_results = ["mx.example.net; dmarc=fail header.from=example.org".to_string()].into();
    feedback.original_mail_from = Some(ReversePath::Address("joe@example.org".parse().unwrap()));
    feedback.original_rcpt_to = ["anna@example.net".parse().unwrap()].into();
    feedback.source_ip = Some("2001:db8::1".parse().unwrap());
    feedback.arrival_date = Some(WallTime::new(1_633_140_000, 3600));
    feedback.reported_domains = [name("example.org")].into();
    feedback
}

const ORIGINAL: &[u8] =
    b"Received: from x by mx.example.net for <anna@example.net>; Sat, 2 Oct 2021 02:00:00 +0000\r\n\
    From: Joe <joe@example.org>\r\nTo: anna@example.net\r\nSubject: Hello\r\n\tAnna\r\n\
    Message-ID: <1@example.org>\r\n\r\nDear anna@example.net\r\n";

#[test]
fn a_failure_report_goes_all_the_way() {
    let feedback = feedback();
    let (from, to) = (address("dmarc@mx.example.net"), address("failures@example.org"));
    let mut mail = FailureMail::new(&feedback, ORIGINAL, &from, &to, WallTime::new(0, 0), "7@mx.example.net");
    mail.include = Include::Message { octets_max: 50_000 };
    let read = |mail: &FailureMail<'_>| {
        let octets = mail.write(&mut SeededRandom::new(4));
        let report = FailureReport::from_mail(&octets, &MailLimits::default(), &FeedbackLimits::default()).unwrap();
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        (report, String::from_utf8(octets).unwrap())
    };
    let (report, text) = read(&mail);
    assert_eq!(report.feedback, feedback);
    assert_eq!(report.original, Original::Message(ORIGINAL[..ORIGINAL.len() - 2].into()));
    assert!(report.text.unwrap().contains("received from IP 2001:db8::1"));
    assert!(text.contains("\r\nSubject: FW: Hello Anna\r\n") || text.contains("\r\nSubject: FW: Hello\tAnna\r\n"));

    // Without the names of people there is no body.
    let redactor = Redactor::new(&RingCrypto, Secret::from(&b"key"[..]));
    mail.redactor = Some(&redactor);
    let (report, text) = read(&mail);
    assert!(!text.contains("anna@") && !text.contains("joe@") && !text.contains("Dear"), "{text}");
    let Original::Header(header) = report.original else { panic!("{:?}", report.original) };
    let anna = redactor.local_part("anna");
    let header = String::from_utf8(header).unwrap();
    assert!(header.contains(&format!("To: {anna}@example.net")) && header.contains("Message-ID: <1@example.org>"));
    assert_eq!(report.feedback.original_rcpt_to[0].local().as_str(), anna);
}

#[test]
fn mails_that_hold_none() {
    for mail in [
        &b""[..],
        b"Subject: x\r\n\r\nhello\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n",
    ] {
        assert!(matches!(Report::from_mail(mail, &ReadLimits::default()), Err(ReadError::NoReport | ReadError::Mail)));
        assert!(FailureReport::from_mail(mail, &MailLimits::default(), &FeedbackLimits::default()).is_err());
    }
}

#[test]
fn a_report_in_a_mail_in_a_mail_is_found() {
    let xml = "<feedback><report_metadata><date_range><begin>0</begin><end>9</end></date_range></report_metadata>\
        <policy_published><domain>example.org</domain></policy_published></feedback>";
    let mut mail = format!("Content-Type: text/xml\r\n\r\n{xml}\r\n");
    for depth in 0..6 {
        mail = format!(
            "Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\nContent-Type: message/rfc822\r\n\r\n{mail}\r\n--b{depth}--\r\n"
        );
        let result = Report::from_mail(mail.as_bytes(), &ReadLimits::default());
        // Each adds a multipart and a mail.
        assert_eq!(result.is_ok(), 2 * (depth + 1) <= MailLimits::default().depth_max, "{depth}");
    }
}
