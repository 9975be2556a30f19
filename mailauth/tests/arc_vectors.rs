//! Chains that others sealed: each in every cut and with answers in every order.

#![cfg(feature = "ring")]

mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use messages::{Table, crlf, in_all_ways, read, suite, suite_json, with_zone_on_top};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::arc::{Verification, Verifier};
use pillarbox_auth::dkim::Policy;
use pillarbox_core::dns::{FixedZone, Record};

const NOW: u64 = 1_700_000_000;

fn verify(message: &[u8], zone: &FixedZone) -> Verification {
    in_all_ways(&|| Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW), message, zone)
}

fn said(verification: &Verification) -> String {
    verification.result.as_str().to_owned()
}

/// Runs a validation suite of ValiMail; rows that it does not judge need no more than an end.
fn valimail(name: &'static str, file: &str, known: &[(&str, &str)]) {
    let Some(scenarios) = suite_json(file) else { return };
    let mut table = Table::new(name);
    let mut reasons = BTreeMap::<String, usize>::new();
    for scenario in scenarios.as_array().expect("scenarios") {
        let records = scenario["txt-records"].as_object().expect("txt-records");
        let zone = records
            .iter()
            .fold(FixedZone::new(), |zone, (name, text)| zone.with(name, Record::txt(text.as_str().expect("a text"))));
        for (test, row) in scenario["tests"].as_object().expect("tests") {
            let message = crlf(row["message"].as_str().expect("a message").as_bytes());
            let verification = verify(&message, &zone);
            if let Some(reason) = verification.reason {
                *reasons.entry(reason.to_string()).or_default() += 1;
            }
            match row["cv"].as_str().unwrap_or("") {
                "" => {}
                expected => table.row(test, &expected.to_ascii_lowercase(), &said(&verification)),
            }
        }
    }
    // Failures for one reason only would mean that little was looked at.
    assert!(reasons.len() > 15, "{reasons:#?}");
    table.finish(known);
}

#[test]
fn validation_suite() {
    valimail("ARC validation", "arc/valimail-arc-draft-validation-tests.json", &[]);
}

#[test]
fn validation_suite_before_sha1_was_refused() {
    valimail(
        "ARC validation, older",
        "arc/arc-draft-validation-tests.json",
        &[
            ("ams_fields_a_sha1", "RFC 8301: rsa-sha1 proves nothing any more"),
            ("as_fields_a_sha1", "as the one above"),
            ("ams_fields_c_na", "c= may be absent, and the newer suite says so"),
        ],
    );
}

#[test]
fn real_mail_of_mail_auth() {
    let Some(folder) = suite("arc/mail-auth") else { return };
    let mut table = Table::new("ARC, real mail of mail-auth");
    for file in ["001.txt", "002.txt"] {
        let (zone, message) = with_zone_on_top(&read(&folder, file));
        let verification = verify(&message, &zone);
        table.row(file, "pass", &said(&verification));
        assert!(verification.sealers().count() > 0 && verification.sets.iter().all(|set| !set.results.is_empty()));
    }
    table.finish(&[]);
}

#[test]
fn real_mail_of_mailauth() {
    let (Some(folder), Some(keys)) = (suite("arc/mailauth"), suite("arc/mail-auth")) else { return };
    let mut table = Table::new("ARC, real mail of mailauth");
    let (google, _) = with_zone_on_top(&read(&keys, "001.txt"));
    for (file, expected) in [
        ("arc-pass.eml", "pass"),
        ("arc-pass2.eml", "pass"),
        ("arc-fail.eml", "fail"),
        ("arc-fail2.eml", "fail"),
        ("arc-fail3.eml", "fail"),
    ] {
        let message = crlf(&read(&folder, file));
        table.row(file, expected, &said(&verify(&message, &google)));
    }
    table.finish(&[]);
}
