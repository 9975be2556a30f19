//! What reports cost in memory, whoever made them. A test binary of its own, as it counts every allocation.

use std::io::Write as _;
use std::sync::Mutex;

use flate2::Compression;
use flate2::write::GzEncoder;
use peak_alloc::PeakAlloc;
use pillarbox_auth::dmarc::{self, Policy};
use pillarbox_auth::reports::aggregate::{
    ActionDisposition, CollectLimits, Collector, Observation, ParseLimits, PublishedPolicy, Report, SpfResult, SpfSeen,
};
use pillarbox_auth::reports::{UnpackLimits, unpack};
use pillarbox_core::dns::Name;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;
/// The tests run one at a time, as they share the counter.
static ALONE: Mutex<()> = Mutex::new(());

/// The result, and how many octets more were allocated at once than before.
fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let result = run();
    (result, ALLOCATED.peak_usage().saturating_sub(before))
}

#[test]
fn a_document_costs_a_multiple_of_its_length() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let head = "<feedback><report_metadata><date_range><begin>0</begin><end>9</end></date_range></report_metadata>\
        <policy_published><domain>example.org</domain></policy_published>";
    let row = "<row><source_ip>::</source_ip><count>1</count></row>";
    let dkim = "<dkim><domain>a</domain></dkim>";
    for (name, content) in [
        ("records", format!("<record>{row}</record>").repeat(40_000)),
        ("signatures", format!("<record>{row}<auth_results>{}</auth_results></record>", dkim.repeat(100)).repeat(1000)),
        (
            "signatures beyond the limit",
            format!("<record>{row}<auth_results>{}</auth_results></record>", dkim.repeat(100_000)),
        ),
        ("unknown elements", "<x/>".repeat(700_000)),
        (
            "text",
            format!(
                "<record>{row}<identifiers><header_from>{}</header_from></identifiers></record>",
                "y".repeat(3_000_000)
            ),
        ),
        (
            "references",
            format!(
                "<record>{row}<identifiers><header_from>{}</header_from></identifiers></record>",
                "&lt;".repeat(700_000)
            ),
        ),
        ("attributes", format!("<error {}>", "a=\"\" ".repeat(500_000))),
    ] {
        let xml = format!("{head}{content}</feedback>");
        let (result, octets) = peak(|| Report::parse(xml.as_bytes(), &ParseLimits::default()));
        assert!(result.is_ok(), "{name}: {result:?}");
        // A short record is some 70 octets of XML and 300 of memory, and a list that grows is there twice.
        assert!(octets <= 16 * xml.len(), "{name}: {octets} octets for {}", xml.len());
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..200 {
        encoder.write_all(&[b'<'; 1 << 20]).unwrap();
    }
    let packed = encoder.finish().unwrap();
    for ratio_max in [200, 100_000] {
        let mut limits = UnpackLimits::default();
        limits.ratio_max = ratio_max;
        let (result, octets) = peak(|| unpack(&packed, &limits).map(drop));
        assert!(result.is_err());
        // A vector that grows is there twice for a moment.
        assert!(octets <= 3 * limits.octets_max, "{octets}");
    }
}

#[test]
fn a_collector_costs_what_it_says() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut limits = CollectLimits::default();
    limits.octets_max = 4 << 20;
    limits.records_max = usize::MAX;
    let author = "example.org".parse::<Name>().unwrap();
    for text_len in [0, 100] {
        let (_collector, octets) = peak(|| {
            let mut collector = Collector::new(limits.clone());
            for number in 0..40_000_u32 {
                let domain = format!("d{}.example", number % 100).parse().unwrap();
                let policy = PublishedPolicy::new(domain, dmarc::Record::new(Policy::None));
                let human_result = Some("x".repeat(text_len));
                let spf = SpfSeen { domain: author.clone(), result: SpfResult::Fail, human_result };
                let mut message =
                    Observation::new(&policy, number.to_be_bytes().into(), &author, ActionDisposition::None);
                message.spf = Some(&spf);
                collector.add(&message);
            }
            collector
        });
        assert!(octets <= limits.octets_max + (64 << 10), "{octets}");
        assert!(octets >= limits.octets_max / 3, "{octets}");
    }
}
