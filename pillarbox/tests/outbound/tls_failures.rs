//! What a report calls the ways in which TLS fails (RFC 8460 §4.3), and what it tells of them.

use std::sync::Arc;

use pillarbox::mailauth::mta_sts::FetchError;
use pillarbox::mailauth::tls_rpt::{FailureType, PolicyReport, PolicyType, ResultType};
use pillarbox_core::dns::{Record, Validation};

use crate::policies::{Certified, certified, certified_until};
use crate::tls_reports::{DAY, HOST, MAIL, OTHERS, Place, TESTING, Web, minutes, place, send};

/// What the report says after a message for the domain. It may have arrived or not.
async fn told(place: &Place) -> PolicyReport {
    let station = place.begin();
    send(&station).await;
    minutes(DAY).await;
    let mut reports = place.reports();
    assert_eq!((reports.len(), reports[0].policies.len()), (1, 1), "{reports:?}");
    drop(station);
    reports.remove(0).policies.remove(0)
}

/// The one way in which it failed, and the words about it.
fn failure(policy: &PolicyReport) -> (FailureType, &str) {
    assert_eq!((policy.successful, policy.failed, policy.failures.len()), (0, 1, 1), "{policy:?}");
    let failure = &policy.failures[0];
    let ResultType::Known(kind) = failure.result else { panic!("{failure:?}") };
    assert_eq!(failure.receiving_host.as_ref().map(ToString::to_string).as_deref(), Some(HOST));
    (kind, failure.reason.as_deref().unwrap_or_default())
}

/// A host under a policy in test, which has this certificate, and one that is trusted.
fn tested(host: Option<Certified>, trusted: Option<&Certified>) -> Place {
    let trusted = trusted.map(|it| it.certificate.clone());
    let mut place = place(host, MAIL, Some(TESTING));
    place.trusted.add_parsable_certificates(trusted);
    place
}

// RFC 8460 §4.3.1
#[tokio::test(start_paused = true)]
async fn each_fault_of_a_certificate_has_its_word() {
    let own = |host: Certified| {
        let trusted = Certified { server: Arc::clone(&host.server), certificate: host.certificate.clone() };
        tested(Some(host), Some(&trusted))
    };
    for (place, kind, reason) in [
        (
            own(certified("mx.other.example")),
            FailureType::CertificateHostMismatch,
            "the certificate is for another name",
        ),
        (
            own(certified_until(HOST, 2020)),
            FailureType::CertificateExpired,
            "the certificate is not valid at this time",
        ),
        (
            tested(Some(certified(HOST)), Some(&certified(HOST))),
            FailureType::CertificateNotTrusted,
            "the certificate does not come from an authority that is trusted",
        ),
    ] {
        let policy = told(&place).await;
        assert_eq!((&policy.policy.kind, failure(&policy)), (&PolicyType::Sts, (kind, reason)));
    }
    let good = told(&own(certified(HOST))).await;
    assert_eq!((good.successful, good.failed), (1, 0));
}

// RFC 8460 §4.3, §4.4: both ends, and what the host calls itself.
#[tokio::test(start_paused = true)]
async fn a_failure_names_both_ends() {
    for host in [None, Some(certified("mx.other.example"))] {
        let policy = told(&tested(host, None)).await;
        let failure = &policy.failures[0];
        let addresses = [failure.sending_ip, failure.receiving_ip].map(|ip| ip.unwrap().to_string());
        assert_eq!(addresses, ["192.0.2.99", "192.0.2.1"]);
        assert_eq!((failure.receiving_helo.as_deref(), failure.sessions), (Some(HOST), 1));
    }
    let policy = told(&tested(None, None)).await;
    assert_eq!(failure(&policy), (FailureType::StartTlsNotSupported, "TLS is required and not offered"));
    let policy = told(&place(Some(certified(HOST)), MAIL, Some(OTHERS))).await;
    assert_eq!(failure(&policy), (FailureType::ValidationFailure, "the policy does not list the host"));
}

/// A domain with a record for its host, all of it validated.
fn signed(tlsa: Record) -> Place {
    let mut place = place(Some(certified(HOST)), MAIL, None);
    place.zone = place.zone.with("_25._tcp.mx.far.example", tlsa).with_validation(Validation::Validated);
    place
}

fn tlsa(usage: u8, selector: u8) -> Record {
    Record::Tlsa { usage, selector, matching: 1, data: vec![7; 32] }
}

// RFC 8460 §4.3.2.1. What DANE forbids waits, and the report goes all the same.
#[tokio::test(start_paused = true)]
async fn each_fault_of_dane_has_its_word() {
    let policy = told(&signed(tlsa(3, 1))).await;
    assert_eq!((&policy.policy.kind, policy.policy.lines.len(), policy.successful), (&PolicyType::Tlsa, 1, 0));
    let first = &policy.failures[0];
    assert_eq!(first.result, ResultType::Known(FailureType::ValidationFailure));
    assert_eq!(first.reason.as_deref(), Some("the certificate is not one that the TLSA records tell"));

    let policy = told(&signed(tlsa(0, 1))).await;
    assert_eq!(failure(&policy), (FailureType::TlsaInvalid, "none of the TLSA records can be used"));
    assert_eq!(policy.policy.kind, PolicyType::Tlsa);

    let mut fails = place(Some(certified(HOST)), MAIL, None);
    fails.zone = fails.zone.failing("_25._tcp.mx.far.example").with_validation(Validation::Validated);
    let station = fails.begin();
    send(&station).await;
    // Meanwhile the records can be looked up, and the report can go to a host that they fit.
    minutes(60).await;
    let fs = station.stop().await;
    fails.zone = place(None, MAIL, None).zone;
    let station = fails.begin_on(fs);
    minutes(DAY).await;
    let report = fails.reports().remove(0);
    let policy = report.policies.iter().find(|policy| policy.policy.kind == PolicyType::Tlsa).unwrap();
    let failure = &policy.failures[0];
    assert_eq!((&failure.result, policy.successful), (&ResultType::Known(FailureType::DnssecInvalid), 0));
    assert_eq!(failure.reason.as_deref(), Some("the look-up of TLSA records failed"));
    drop(station);
}

// RFC 8460 §4.3.2.2
#[tokio::test(start_paused = true)]
async fn each_fault_of_a_policy_has_its_word() {
    for (policy, failed, kind, reason) in [
        (None, FetchError::Unreachable, FailureType::StsPolicyFetchError, "the policy host cannot be reached"),
        (
            None,
            FetchError::Certificate,
            FailureType::StsWebPkiInvalid,
            "the certificate of the policy host is not valid",
        ),
        (Some("mode: enforce\n"), FetchError::Unreachable, FailureType::StsPolicyInvalid, "the policy is invalid: "),
    ] {
        let mut place = place(Some(certified(HOST)), MAIL, Some(TESTING));
        place.web = Arc::new(Web { policy, failure: Some(failed), ..Web::default() });
        // The second one comes while the fetch is not tried again yet.
        let station = place.begin();
        send(&station).await;
        send(&station).await;
        minutes(DAY).await;
        let report = place.reports().remove(0);
        let [policy] = &report.policies[..] else { panic!("{report:?}") };
        assert_eq!((&policy.policy.kind, policy.policy.lines.len()), (&PolicyType::Sts, 0));
        let failure = &policy.failures[0];
        assert_eq!((&failure.result, failure.sessions), (&ResultType::Known(kind), 2));
        assert!(failure.reason.as_deref().is_some_and(|it| it.starts_with(reason)), "{failure:?}");
        drop(station);
    }
}
