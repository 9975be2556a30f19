//! Counting messages until a report is due.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem::size_of;

use pillarbox_core::dns::Name;

use super::{
    DkimAuthResult, DkimResult, Identifiers, Metadata, Observation, PolicyEvaluated, PublishedPolicy, Reason, Record,
    Report, SpfAuthResult, SpfScope, Text,
};
use crate::dmarc::ReportUri;

/// What a collector keeps at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectLimits {
    /// Domains. 10,000: anybody can send mail from as many as they like, each with a policy.
    pub domains_max: usize,
    /// Records of one domain. 10,000: so that mail from countless addresses in the name of one domain leaves room for the
    /// others.
    pub records_max: usize,
    /// Octets in all, as estimated. 64 MiB.
    pub octets_max: usize,
    /// Signatures in a record. 100, as RFC 9990 §3.1.3 advises; those that say most are kept.
    pub signatures_max: usize,
    /// Reasons in a record. 10.
    pub reasons_max: usize,
    /// Octets of a text for people. 255; what is longer is cut.
    pub text_len_max: usize,
}

impl Default for CollectLimits {
    fn default() -> Self {
        CollectLimits {
            domains_max: 10_000,
            records_max: 10_000,
            octets_max: 64 << 20,
            signatures_max: 100,
            reasons_max: 10,
            text_len_max: 255,
        }
    }
}

/// What became of a message in a [`Collector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Added {
    /// It is counted in a record that was there.
    Counted,
    /// It made a new record.
    New,
    /// It made no record, as there are too many. The report will say how many messages are missing.
    LeftOut,
    /// It is the first of its domain, and there is no room for another one: no report will tell of it.
    Lost,
}

/// Messages counted by policy domain, client, identifiers and results. It reads no clock: empty it when a period is over.
///
/// ```
/// use pillarbox_auth::dmarc::{Policy, Record};
/// use pillarbox_auth::reports::aggregate::{
///     ActionDisposition, CollectLimits, Collector, Metadata, Observation, Period, PublishedPolicy,
/// };
///
/// let policy = PublishedPolicy::new("example.org".parse()?, Record::new(Policy::Reject));
/// let author = "news.example.org".parse()?;
/// let mut collector = Collector::new(CollectLimits::default());
/// for client in [1, 2, 1] {
///     collector.add(&Observation::new(&policy, [192, 0, 2, client].into(), &author, ActionDisposition::Reject));
/// }
///
/// let [collected] = &collector.take_all()[..] else { panic!("one domain") };
/// let metadata = Metadata::new("Example", "dmarc@example.net", "1@example.net", Period::containing(0, Period::DAY));
/// let report = collected.to_report(metadata);
/// assert_eq!(report.records.len(), 2);
/// assert_eq!(report.messages(), 3);
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Collector {
    limits: CollectLimits,
    domains: BTreeMap<Name, Collected>,
    octets: usize,
}

/// What was counted for one policy domain.
#[derive(Clone, Debug)]
pub struct Collected {
    policy: PublishedPolicy,
    /// Records without their count.
    records: BTreeMap<Record, u64>,
    octets: usize,
    left_out: u64,
}

impl Collector {
    /// An empty collector.
    pub const fn new(limits: CollectLimits) -> Self {
        Collector { limits, domains: BTreeMap::new(), octets: 0 }
    }

    /// Counts a message. Of a policy that changed meanwhile the last form counts (RFC 9990 §3.1) that there was room for.
    pub fn add(&mut self, message: &Observation<'_>) -> Added {
        let policy = message.policy;
        let room = self.limits.octets_max.saturating_sub(self.octets);
        let record = record_of(message, &self.limits);
        let Some(collected) = self.domains.get_mut(&policy.domain) else {
            let octets = policy_octets(policy) + record_octets(&record);
            if self.domains.len() >= self.limits.domains_max || self.limits.records_max == 0 || octets > room {
                return Added::Lost;
            }
            self.octets += octets;
            let records = BTreeMap::from([(record, 1)]);
            let collected = Collected { policy: policy.clone(), records, octets, left_out: 0 };
            self.domains.insert(policy.domain.clone(), collected);
            return Added::New;
        };
        if collected.policy != *policy {
            let (before, after) = (policy_octets(&collected.policy), policy_octets(policy));
            if after <= before + room {
                collected.octets = collected.octets - before + after;
                self.octets = self.octets - before + after;
                collected.policy = policy.clone();
            }
        }
        if let Some(count) = collected.records.get_mut(&record) {
            *count = count.saturating_add(1);
            return Added::Counted;
        }
        let octets = record_octets(&record);
        if collected.records.len() >= self.limits.records_max || self.octets + octets > self.limits.octets_max {
            collected.left_out = collected.left_out.saturating_add(1);
            return Added::LeftOut;
        }
        self.octets += octets;
        collected.octets += octets;
        collected.records.insert(record, 1);
        Added::New
    }

    /// The domains that something was counted for.
    pub fn domains(&self) -> impl Iterator<Item = &Name> {
        self.domains.keys()
    }

    /// Takes out what was counted for a domain, for one that wants reports more often than others.
    pub fn take(&mut self, domain: &Name) -> Option<Collected> {
        let collected = self.domains.remove(domain)?;
        self.octets -= collected.octets;
        Some(collected)
    }

    /// Takes out everything, by domain.
    pub fn take_all(&mut self) -> Vec<Collected> {
        self.octets = 0;
        core::mem::take(&mut self.domains).into_values().collect()
    }
}

impl Collected {
    /// The policy, with where the reports go.
    pub const fn policy(&self) -> &PublishedPolicy {
        &self.policy
    }

    /// The report. If messages had to be left out, it says how many.
    pub fn to_report(&self, metadata: Metadata) -> Report {
        let mut report = Report::new(metadata, self.policy.to_published());
        if self.left_out > 0 {
            let error = alloc::format!("{} messages are not in this report: it has too many records", self.left_out);
            report.metadata.errors.push(error.into());
        }
        report.records =
            self.records.iter().map(|(record, count)| Record { count: *count, ..record.clone() }).collect();
        report
    }
}

/// The record that a message belongs to, without a count.
fn record_of(message: &Observation<'_>, limits: &CollectLimits) -> Record {
    let text = |text: &Option<String>| text.as_deref().map(|text| Text::from(cut(text, limits.text_len_max)));
    let shorten = |reason: &Reason| {
        let shorter = |comment: &Text| Text { text: cut(&comment.text, limits.text_len_max).into(), ..comment.clone() };
        Reason { kind: reason.kind, comment: reason.comment.as_ref().map(shorter) }
    };
    let evaluated = PolicyEvaluated {
        disposition: Some(message.disposition),
        dkim_aligned: Some(message.dkim_aligned),
        spf_aligned: Some(message.spf_aligned),
        reasons: message.reasons.iter().take(limits.reasons_max).map(shorten).collect(),
    };
    let identifiers = Identifiers {
        header_from: message.header_from.to_string(),
        // RFC 9990 §3.1.1.10: it is empty for the null path.
        envelope_from: Some(message.envelope_from.map(Name::to_string).unwrap_or_default()),
        envelope_to: message.envelope_to.map(Name::to_string),
    };
    let mut record = Record::new(message.source_ip.to_canonical(), 0, evaluated, identifiers);
    let mut signatures = message.dkim.iter().collect::<Vec<_>>();
    // RFC 9990 §3.1.3; what is equal keeps its order.
    signatures.sort_by_key(|signature| match (signature.result, signature.is_aligned) {
        (DkimResult::Pass, _) if signature.domain == *message.header_from => 0,
        (DkimResult::Pass, true) => 1,
        (DkimResult::Pass, false) => 2,
        _ => 3,
    });
    record.dkim = signatures
        .into_iter()
        .take(limits.signatures_max)
        .map(|signature| DkimAuthResult {
            domain: signature.domain.to_string(),
            selector: Some(signature.selector.to_string()),
            result: Some(signature.result),
            human_result: text(&signature.human_result),
        })
        .collect();
    record.spf = message
        .spf
        .map(|spf| SpfAuthResult {
            domain: spf.domain.to_string(),
            scope: Some(SpfScope::MailFrom),
            result: Some(spf.result),
            human_result: text(&spf.human_result),
        })
        .into_iter()
        .collect();
    record
}

/// The start of a text that has at most `len_max` octets.
fn cut(text: &str, len_max: usize) -> &str {
    let end = (0..=len_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// What an allocation costs beside what is in it.
const ALLOCATION: usize = 16;

fn policy_octets(policy: &PublishedPolicy) -> usize {
    let uris = policy.record.aggregate_reports.iter().chain(&policy.record.failure_reports);
    let uris = uris.map(|uri| {
        size_of::<ReportUri>()
            + match uri {
                // The domain stands there as it was written, too.
                ReportUri::Mailto(mailbox) => {
                    mailbox.address().local().as_str().len() + 2 * mailbox.host().as_str().len() + 3 * ALLOCATION
                }
                ReportUri::Other(text) => text.len() + ALLOCATION,
            }
    });
    // The domain stands there twice: as a key, too.
    size_of::<Collected>() + 2 * (size_of::<Name>() + policy.domain.as_str().len() + ALLOCATION) + uris.sum::<usize>()
}

fn record_octets(record: &Record) -> usize {
    let string = |text: &str| text.len() + ALLOCATION;
    let optional = |text: &Option<String>| text.as_deref().map_or(0, string);
    let text = |text: &Option<Text>| text.as_ref().map_or(0, |text| string(&text.text) + optional(&text.lang));
    let identifiers = &record.identifiers;
    let dkim = record.dkim.iter().map(|result| {
        size_of::<DkimAuthResult>() + string(&result.domain) + optional(&result.selector) + text(&result.human_result)
    });
    let spf = record
        .spf
        .iter()
        .map(|result| size_of::<SpfAuthResult>() + string(&result.domain) + text(&result.human_result));
    let reasons = record.evaluated.reasons.iter().map(|reason| size_of::<Reason>() + text(&reason.comment));
    // A tree keeps its nodes at least half full.
    2 * (size_of::<Record>() + size_of::<u64>())
        + string(&identifiers.header_from)
        + optional(&identifiers.envelope_from)
        + optional(&identifiers.envelope_to)
        + dkim.chain(spf).chain(reasons).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::super::{ActionDisposition, DkimSeen, SpfResult, SpfSeen};
    use super::*;
    use crate::dmarc::{self, OverrideReason, Policy};
    use core::net::{IpAddr, Ipv6Addr};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn signature(domain: &str, result: DkimResult, is_aligned: bool) -> DkimSeen {
        DkimSeen { domain: name(domain), selector: name("s1"), result, is_aligned, human_result: None }
    }

    #[test]
    fn equal_messages_share_a_record_and_others_do_not() {
        let policy = PublishedPolicy::new(name("example.org"), dmarc::Record::new(Policy::None));
        let (author, other) = (name("example.org"), name("a.example.org"));
        let base = Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None);
        let reasons = [Reason::new(OverrideReason::MailingList, Some("list".into()))].to_vec();
        let signatures = [signature("example.org", DkimResult::Fail, true)];
        let spf = SpfSeen { domain: name("example.org"), result: SpfResult::Pass, human_result: None };
        let mut collector = Collector::new(CollectLimits::default());
        let all = [
            base.clone(),
            Observation { source_ip: [192, 0, 2, 2].into(), ..base.clone() },
            Observation { header_from: &other, ..base.clone() },
            Observation { envelope_from: Some(&other), ..base.clone() },
            Observation { envelope_to: Some(&other), ..base.clone() },
            Observation { disposition: ActionDisposition::Quarantine, ..base.clone() },
            Observation { dkim_aligned: true, ..base.clone() },
            Observation { spf_aligned: true, ..base.clone() },
            Observation { reasons, ..base.clone() },
            Observation { dkim: &signatures, ..base.clone() },
            Observation { spf: Some(&spf), ..base.clone() },
        ];
        for message in &all {
            assert_eq!(collector.add(message), Added::New);
        }
        for message in &all {
            assert_eq!(collector.add(message), Added::Counted);
        }
        let mapped = IpAddr::V6(Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201]));
        assert_eq!(collector.add(&Observation { source_ip: mapped, ..base.clone() }), Added::Counted);
        let collected = collector.take(&name("EXAMPLE.org")).unwrap();
        let report = collected.to_report(Metadata::default());
        assert_eq!((report.records.len(), report.messages()), (11, 23));
        assert_eq!(collector.octets, 0);
    }

    #[test]
    fn a_policy_that_changes_counts_in_its_last_form() {
        let mut policy = PublishedPolicy::new(name("example.org"), dmarc::Record::new(Policy::None));
        let author = name("example.org");
        let mut collector = Collector::new(CollectLimits::default());
        collector.add(&Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None));
        policy.record = dmarc::Record::parse(b"v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@example.org").unwrap();
        collector.add(&Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None));
        let all = collector.take_all();
        assert_eq!(all[0].policy(), &policy);
        let published = all[0].to_report(Metadata::default()).policy;
        assert_eq!((published.p, published.np), (Some(Policy::Reject), Some(Policy::Quarantine)));
    }

    #[test]
    fn a_policy_that_grows_stays_within_the_limits() {
        let small = dmarc::Record::new(Policy::None);
        let large = alloc::format!("v=DMARC1; p=reject; rua=https://example.org/{}", "x".repeat(60_000));
        let large = dmarc::Record::parse(large.as_bytes()).unwrap();
        let limits = CollectLimits { octets_max: 100_000, ..CollectLimits::default() };
        let mut collector = Collector::new(limits.clone());
        let author = name("example.org");
        for record in [small, large] {
            for domain in 0..10 {
                let policy = PublishedPolicy::new(name(&alloc::format!("d{domain}.example")), record.clone());
                collector.add(&Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None));
                assert!(collector.octets <= limits.octets_max, "{}", collector.octets);
            }
        }
        // The first one that grew had room, the others keep the form that they had.
        let grown =
            collector.take_all().into_iter().map(|collected| collected.policy.record.policy == Some(Policy::Reject));
        assert_eq!(grown.collect::<Vec<_>>(), [[true].as_slice(), &[false; 9]].concat());
        assert_eq!(collector.octets, 0);
    }

    #[test]
    fn a_report_has_at_least_one_record() {
        let policy = PublishedPolicy::new(name("example.org"), dmarc::Record::new(Policy::None));
        let author = name("example.org");
        let message = Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None);
        for octets_max in (0..3000).step_by(8) {
            let mut collector = Collector::new(CollectLimits { octets_max, ..CollectLimits::default() });
            let added = collector.add(&message);
            assert!(matches!(added, Added::New | Added::Lost), "{octets_max}: {added:?}");
            assert!(collector.take_all().iter().all(|collected| !collected.records.is_empty()), "{octets_max}");
        }
    }

    #[test]
    fn the_signatures_that_say_most_come_first() {
        let policy = PublishedPolicy::new(name("example.org"), dmarc::Record::new(Policy::None));
        let author = name("a.example.org");
        let signatures = [
            signature("w.example", DkimResult::Fail, false),
            signature("x.example", DkimResult::Pass, false),
            signature("example.org", DkimResult::Pass, true),
            signature("a.example.org", DkimResult::Pass, true),
            signature("y.example", DkimResult::Pass, false),
        ];
        let limits = CollectLimits { signatures_max: 4, ..CollectLimits::default() };
        let mut collector = Collector::new(limits);
        let message = Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None);
        collector.add(&Observation { dkim: &signatures, ..message });
        let report = collector.take_all()[0].to_report(Metadata::default());
        let domains = report.records[0].dkim.iter().map(|result| &*result.domain).collect::<Vec<_>>();
        assert_eq!(domains, ["a.example.org", "example.org", "x.example", "y.example"]);
    }

    #[test]
    fn floods_are_bounded_and_told() {
        let limits = CollectLimits { domains_max: 3, records_max: 5, octets_max: 100_000, ..CollectLimits::default() };
        let mut collector = Collector::new(limits.clone());
        let author = name("example.org");
        for domain in 0..10 {
            let policy =
                PublishedPolicy::new(name(&alloc::format!("d{domain}.example")), dmarc::Record::new(Policy::None));
            for client in 0..20 {
                let message = Observation::new(&policy, [192, 0, 2, client].into(), &author, ActionDisposition::None);
                let added = collector.add(&message);
                let expected = match (domain, client) {
                    (3.., _) => Added::Lost,
                    (_, 5..) => Added::LeftOut,
                    _ => Added::New,
                };
                assert_eq!(added, expected, "{domain} {client}");
            }
        }
        let report = collector.take_all()[0].to_report(Metadata::default());
        assert_eq!(report.metadata.errors[0].text, "15 messages are not in this report: it has too many records");

        // Long texts count by their length, and the sum stays what it is whatever comes.
        let mut collector = Collector::new(CollectLimits { records_max: 1_000_000, ..limits });
        let policy = PublishedPolicy::new(name("example.org"), dmarc::Record::new(Policy::None));
        for number in 0..2000_u32 {
            let human_result = Some(alloc::format!("{number} {}", "x".repeat(5000)));
            let spf = SpfSeen { domain: author.clone(), result: SpfResult::Fail, human_result };
            let message = Observation::new(&policy, [192, 0, 2, 1].into(), &author, ActionDisposition::None);
            collector.add(&Observation { spf: Some(&spf), ..message });
        }
        assert!(collector.octets <= 100_000);
        assert!((50..200).contains(&collector.domains[&author].records.len()));
    }
}
