//! From the check of a message to what a report says of it.

use pillarbox_auth::dmarc::{Check, Config, Disposition, DkimInput, Evidence, Outcome, OverrideReason, Verification};
use pillarbox_auth::from::Authors;
use pillarbox_auth::reports::aggregate::{Observation, PublishedPolicy, SpfResult};
use pillarbox_auth::spf;
use pillarbox_core::dns::{self, FixedZone, Record};

fn outcome(record: &str, dkim: Option<(&str, Verification)>) -> Outcome {
    let zone = FixedZone::new().with("_dmarc.a.example", Record::txt(record)).failing("_dmarc.slow.a.example");
    let authors = Authors::read(b"From: joe@a.example\r\n\r\n", &Default::default());
    let mut check = Check::new(&authors, &Config::default());
    let dkim = dkim.map(|(domain, verification)| DkimInput::new(verification, domain.parse().unwrap()));
    check.supply(Evidence::new(None, dkim.into_iter().collect()));
    dns::run(&mut check, &zone)
}

/// What was done, whether DKIM is aligned, and why it is not what the policy says; `None` if no report tells of it.
fn observed(outcome: &Outcome) -> Option<String> {
    let policy = PublishedPolicy::of(outcome)?;
    let message = Observation::of(&policy, outcome, [192, 0, 2, 1].into())?;
    assert_eq!((message.header_from.as_str(), message.spf_aligned), ("a.example", false));
    let reasons = message.reasons.iter().map(|reason| format!(" {}", reason.kind.unwrap())).collect::<String>();
    Some(format!("{} {}{reasons}", message.disposition, message.dkim_aligned))
}

#[test]
fn what_was_done_in_the_words_of_a_report() {
    let rua = "rua=mailto:r@a.example";
    let pass = Some(("a.example", Verification::Pass));
    for (record, dkim, expected) in [
        (format!("v=DMARC1; p=reject; {rua}"), pass, Some("pass true")),
        (format!("v=DMARC1; p=none; {rua}"), pass, Some("none true")),
        (format!("v=DMARC1; p=reject; {rua}"), None, Some("reject false")),
        (format!("v=DMARC1; p=quarantine; {rua}"), None, Some("quarantine false")),
        (format!("v=DMARC1; p=none; {rua}"), None, Some("none false")),
        (format!("v=DMARC1; p=reject; t=y; {rua}"), None, Some("quarantine false policy_test_mode")),
        // Without a policy that could be used the record counts as one of none.
        (format!("v=DMARC1; {rua}"), None, Some("none false")),
        // It comes again.
        (format!("v=DMARC1; p=reject; {rua}"), Some(("a.example", Verification::TempError)), None),
        // Nobody wants to know.
        ("v=DMARC1; p=reject".into(), None, None),
        ("v=DMARC1; p=reject; rua=https://a.example/".into(), None, None),
        ("v=spf1 -all".into(), None, None),
    ] {
        assert_eq!(observed(&outcome(&record, dkim)).as_deref(), expected, "{record} {dkim:?}");
    }
    let mut forwarded = outcome(&format!("v=DMARC1; p=reject; {rua}"), None);
    forwarded.override_disposition(OverrideReason::TrustedForwarder, Disposition::None);
    assert_eq!(observed(&forwarded).as_deref(), Some("none false trusted_forwarder"));
}

#[test]
fn results_of_spf_keep_their_words() {
    use spf::SpfResult::{Fail, Neutral, None, Pass, PermError, SoftFail, TempError};
    for result in [None, Neutral, Pass, Fail, SoftFail, TempError, PermError] {
        assert_eq!(SpfResult::from(result).as_str(), result.as_str());
    }
}
