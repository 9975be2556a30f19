//! Reports: no panic and no end of memory on any file or mail, and what was read is written and read again as it was. The
//! first octet says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_auth::reports::aggregate::{ParseLimits, ReadLimits, Report};
use pillarbox_auth::reports::failure::{FailureReport, Feedback, FeedbackLimits};
use pillarbox_auth::reports::{MailLimits, UnpackLimits, gzip, unpack};
use pillarbox_auth::tls_rpt;

fuzz_target!(|data: &[u8]| {
    let Some((&which, data)) = data.split_first() else { return };
    match which % 7 {
        0 => aggregate(data),
        1 => drop(Report::from_mail(data, &ReadLimits::default())),
        2 => drop(FailureReport::from_mail(data, &MailLimits::default(), &FeedbackLimits::default())),
        3 => feedback(data),
        4 => tls(data),
        5 => {
            let mut limits = UnpackLimits::default();
            limits.octets_max = 1 << 16;
            if let Ok(document) = unpack(data, &limits) {
                assert!(document.len() <= 1 << 16);
            }
        }
        _ => {
            let packed = gzip(data);
            assert_eq!(unpack(&packed, &UnpackLimits::default()).as_deref(), Ok(data));
        }
    }
});

fn aggregate(data: &[u8]) {
    let Ok(parsed) = Report::parse(data, &ParseLimits::default()) else { return };
    // Elements that must be there are written empty where a report left them out; from then on nothing changes.
    let again = |report: &Report| {
        let xml = report.to_xml();
        Report::parse(xml.as_bytes(), &ParseLimits::default()).expect("a written report is one").report
    };
    let once = again(&parsed.report);
    assert_eq!(once.records.len(), parsed.report.records.len());
    assert_eq!(again(&once), once);
}

fn feedback(data: &[u8]) {
    let read = |octets: &[u8]| Feedback::parse(octets, &FeedbackLimits::default()).0;
    // What no field can hold is taken out when it is written; from then on nothing changes.
    let once = read(read(data).to_text().as_bytes());
    assert_eq!(read(once.to_text().as_bytes()), once);
}

fn tls(data: &[u8]) {
    let Ok(report) = tls_rpt::Report::parse_json(data, &tls_rpt::ReadLimits::default()) else { return };
    let json = report.to_json();
    assert_eq!(tls_rpt::Report::parse_json(json.as_bytes(), &tls_rpt::ReadLimits::default()), Ok(report), "{json}");
}
