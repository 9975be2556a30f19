//! What is written is read again as it was.

use std::net::IpAddr;

use pillarbox_auth::dmarc::{AlignmentMode, Method, OverrideReason, Policy};
use pillarbox_auth::reports::aggregate::{
    ActionDisposition, Dialect, DkimAuthResult, DkimResult, Identifiers, Metadata, ParseLimits, Period,
    PolicyEvaluated, PolicyPublished, Reason, Record, Report, SpfAuthResult, SpfResult, SpfScope, Text,
};
use pillarbox_auth::reports::failure::{
    AuthFailure, DeliveryResult, Feedback, FeedbackLimits, FeedbackType, IdentityAlignment, SpfDns,
};
use pillarbox_auth::reports::{UnpackLimits, gzip, unpack};
use pillarbox_core::WallTime;
use pillarbox_core::address::ReversePath;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Text as people and attackers write it, without white space around it, which readers take off.
fn text() -> impl Strategy<Value = String> {
    "[ -~\u{a0}-\u{2ff}\u{4e00}\u{1f600}\t\r\n&<>\"']{0,30}".prop_map(|text| text.trim().to_string())
}

/// The same with something in it.
fn some_text() -> impl Strategy<Value = String> {
    text().prop_map(|text| if text.is_empty() { "x".to_string() } else { text })
}

fn spoken() -> impl Strategy<Value = Text> {
    (some_text(), of("[a-z]{2}(-[A-Z]{2})?")).prop_map(|(text, lang)| Text { text, lang })
}

const POLICIES: [Policy; 3] = [Policy::None, Policy::Quarantine, Policy::Reject];
const ALIGNMENTS: [AlignmentMode; 2] = [AlignmentMode::Relaxed, AlignmentMode::Strict];

prop_compose! {
    fn metadata()(
        org_name in text(),
        email in text(),
        extra in of(spoken()),
        report_id in text(),
        begin in any::<u64>(),
        end in any::<u64>(),
        error in of(spoken()),
        generator in of(text()),
    ) -> Metadata {
        let mut metadata = Metadata::new(org_name, email, report_id, Period { begin, end });
        metadata.extra_contact_info = extra;
        metadata.errors = error.into_iter().collect();
        metadata.generator = generator;
        metadata
    }
}

prop_compose! {
    fn policy()(
        domain in some_text(),
        discovery in of(select(&[Method::PublicSuffixList, Method::TreeWalk][..])),
        p in of(select(&POLICIES[..])),
        sp in of(select(&POLICIES[..])),
        np in of(select(&POLICIES[..])),
        adkim in of(select(&ALIGNMENTS[..])),
        aspf in of(select(&ALIGNMENTS[..])),
        fo in of(text()),
        testing in of(any::<bool>()),
    ) -> PolicyPublished {
        let mut policy = PolicyPublished::new(domain);
        (policy.discovery, policy.p, policy.sp, policy.np) = (discovery, p, sp, np);
        (policy.adkim, policy.aspf, policy.fo, policy.testing) = (adkim, aspf, fo, testing);
        policy
    }
}

prop_compose! {
    fn dkim()(
        domain in some_text(),
        selector in of(text()),
        result in of(select(&[
            DkimResult::None, DkimResult::Pass, DkimResult::Fail, DkimResult::Policy, DkimResult::Neutral,
            DkimResult::TempError, DkimResult::PermError,
        ][..])),
        human_result in of(spoken()),
    ) -> DkimAuthResult {
        let mut dkim = DkimAuthResult::default();
        (dkim.domain, dkim.selector, dkim.result, dkim.human_result) = (domain, selector, result, human_result);
        dkim
    }
}

prop_compose! {
    fn spf()(
        domain in some_text(),
        scope in of(Just(SpfScope::MailFrom)),
        result in of(select(&[
            SpfResult::None, SpfResult::Pass, SpfResult::Fail, SpfResult::SoftFail, SpfResult::Policy, SpfResult::Neutral,
            SpfResult::TempError, SpfResult::PermError,
        ][..])),
        human_result in of(spoken()),
    ) -> SpfAuthResult {
        let mut spf = SpfAuthResult::default();
        (spf.domain, spf.scope, spf.result, spf.human_result) = (domain, scope, result, human_result);
        spf
    }
}

prop_compose! {
    fn evaluated()(
        disposition in of(select(&[
            ActionDisposition::None, ActionDisposition::Pass, ActionDisposition::Quarantine, ActionDisposition::Reject,
        ][..])),
        dkim_aligned in of(any::<bool>()),
        spf_aligned in of(any::<bool>()),
        reasons in vec((select(&[
            OverrideReason::LocalPolicy, OverrideReason::MailingList, OverrideReason::Other,
            OverrideReason::PolicyTestMode, OverrideReason::TrustedForwarder,
        ][..]), of(spoken())), 0..3),
    ) -> PolicyEvaluated {
        let mut evaluated = PolicyEvaluated::default();
        evaluated.disposition = disposition;
        (evaluated.dkim_aligned, evaluated.spf_aligned) = (dkim_aligned, spf_aligned);
        evaluated.reasons = reasons.into_iter().map(|(kind, comment)| Reason::new(kind, comment)).collect();
        evaluated
    }
}

prop_compose! {
    fn record()(
        source_ip in any::<IpAddr>(),
        count in any::<u64>(),
        evaluated in evaluated(),
        header_from in text(),
        envelope_from in of(text()),
        envelope_to in of(text()),
        dkim in vec(dkim(), 0..4),
        spf in of(spf()),
    ) -> Record {
        let mut identifiers = Identifiers::new(header_from);
        (identifiers.envelope_from, identifiers.envelope_to) = (envelope_from, envelope_to);
        let mut record = Record::new(source_ip, count, evaluated, identifiers);
        (record.dkim, record.spf) = (dkim, spf.into_iter().collect());
        record
    }
}

/// A report that the form of RFC 9990 can hold as it is.
pub(crate) fn report() -> impl Strategy<Value = Report> {
    (metadata(), policy(), vec(record(), 0..5)).prop_map(|(metadata, policy, records)| {
        let mut report = Report::new(metadata, policy);
        report.records = records;
        report
    })
}

fn line() -> impl Strategy<Value = String> {
    "[!-~\u{e9}]([ -~\u{e9}]{0,100}[!-~\u{e9}])?"
}

/// Without what ends a token or begins a comment.
fn token() -> impl Strategy<Value = String> {
    "[a-z0-9@._-]{1,30}"
}

fn domain() -> impl Strategy<Value = String> {
    "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){1,3}"
}

prop_compose! {
    fn feedback()(
        words in (
            select(&[FeedbackType::Abuse, FeedbackType::AuthFailure, FeedbackType::NotSpam][..]),
            of(select(&[AuthFailure::Dmarc, AuthFailure::BodyHash, AuthFailure::Spf][..])),
            of(select(&[DeliveryResult::Delivered, DeliveryResult::Policy][..])),
            of((any::<bool>(), any::<bool>())),
        ),
        lines in (line(), vec(line(), 0..3), of(line()), vec(line(), 0..3)),
        addresses in (of(of("[a-z]{1,9}@[a-z]{1,9}\\.example")), vec("\"[a-z (]{1,9}\"@[a-z]{1,9}\\.example", 0..3)),
        peer in (of(any::<IpAddr>()), of(any::<u16>()), 1..=u32::MAX, of(0..4_000_000_000_i64)),
        dkim in (of(domain()), of(token()), of(domain()), of(line()), of(vec(any::<u8>(), 0..300)), of(vec(any::<u8>(), 0..300))),
        spf in vec((any::<bool>(), domain(), line()), 0..3),
        domains in vec(domain(), 0..3),
        other in vec(("X-[a-z]{1,9}", line()), 0..3),
    ) -> Feedback {
        let mut feedback = Feedback::new(words.0, lines.0);
        (feedback.auth_failure, feedback.delivery_result) = (words.1, words.2);
        feedback.identity_alignment = words.3.map(|(dkim, spf)| IdentityAlignment { dkim, spf });
        (feedback.authentication_results, feedback.original_envelope_id, feedback.reported_uris) = (lines.1, lines.2, lines.3);
        feedback.original_mail_from = addresses.0.map(|address| match address {
            Some(address) => ReversePath::Address(address.parse().unwrap()),
            None => ReversePath::Null,
        });
        feedback.original_rcpt_to = addresses.1.iter().map(|address| address.parse().unwrap()).collect();
        (feedback.source_ip, feedback.source_port, feedback.incidents) = (peer.0, peer.1, peer.2);
        feedback.arrival_date = peer.3.map(|seconds| WallTime::new(seconds, 3600));
        feedback.dkim_domain = dkim.0.map(|name| name.parse().unwrap());
        feedback.dkim_identity = dkim.1;
        feedback.dkim_selector = dkim.2.map(|name| name.parse().unwrap());
        feedback.dkim_selector_dns = dkim.3;
        (feedback.dkim_canonicalized_header, feedback.dkim_canonicalized_body) = (dkim.4, dkim.5);
        feedback.spf_dns = spf
            .into_iter()
            .map(|(is_spf_type, domain, record)| SpfDns { is_spf_type, domain: domain.parse().unwrap(), record })
            .collect();
        feedback.reported_domains = domains.iter().map(|name| name.parse().unwrap()).collect();
        feedback.other = other;
        feedback
    }
}

proptest! {
    #[test]
    fn an_aggregate_report_is_read_as_it_was_written(report in report()) {
        let parsed = Report::parse(report.to_xml().as_bytes(), &ParseLimits::default()).unwrap();
        prop_assert_eq!(&parsed.report, &report);
        let again = Report::parse(parsed.report.to_xml().as_bytes(), &ParseLimits::default()).unwrap();
        prop_assert_eq!(again.report, report);
    }

    /// The older form holds less; what it holds is stable.
    #[test]
    fn the_form_of_rfc_7489_is_stable(report in report()) {
        let mut report = report;
        report.dialect = Dialect::Rfc7489;
        let parsed = Report::parse(report.to_xml().as_bytes(), &ParseLimits::default()).unwrap();
        prop_assert_eq!(parsed.report.records.len(), report.records.len());
        prop_assert_eq!(parsed.report.messages(), report.messages());
        let again = Report::parse(parsed.report.to_xml().as_bytes(), &ParseLimits::default()).unwrap();
        prop_assert_eq!(again.report, parsed.report);
    }

    #[test]
    fn fields_of_a_failure_report_are_read_as_they_were_written(feedback in feedback()) {
        let text = feedback.to_text();
        prop_assert!(text.lines().all(|line| line.len() <= 200));
        let (parsed, _) = Feedback::parse(text.as_bytes(), &FeedbackLimits::default());
        prop_assert_eq!(parsed, feedback, "{}", text);
    }

    #[test]
    fn gzip_both_ways(octets in vec(any::<u8>(), 0..3000)) {
        let packed = gzip(&octets);
        prop_assert_eq!(&*unpack(&packed, &UnpackLimits::default()).unwrap(), &octets[..]);
    }

    /// Anything at all is read or refused.
    #[test]
    fn no_octets_are_too_strange(octets in vec(any::<u8>(), 0..300), xml in "(<|</|>|feedback|record|row|&|;|\\]\\]>|<!\\[CDATA\\[|<!DOCTYPE|\\[|\"| |x){0,60}") {
        let limits = ParseLimits::default();
        let _ = Report::parse(&octets, &limits);
        let _ = Report::parse(xml.as_bytes(), &limits);
        let _ = Report::parse(format!("<feedback>{xml}").as_bytes(), &limits);
        let _ = Feedback::parse(&octets, &FeedbackLimits::default());
        let _ = unpack(&[&b"PK\x03\x04"[..], &octets].concat(), &UnpackLimits::default());
        let _ = unpack(&[&[0x1f, 0x8b, 8][..], &octets].concat(), &UnpackLimits::default());
    }
}
