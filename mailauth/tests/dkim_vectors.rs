//! Messages that others signed: each in every cut and with answers in every order.

#![cfg(feature = "ring")]

mod messages;

use std::sync::Arc;

use messages::{Table, crlf, in_all_ways, read, read_json, suite, with_zone_on_top, zone};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{DkimResult, KeyError, KeyRecord, Policy, Reason, Verification, Verifier};
use pillarbox_core::dns::{FixedZone, Record};

/// Before all that expires, and after all that was signed by a clock that is ahead.
const NOW: u64 = 1_667_843_665;

fn verify(message: &[u8], zone: &FixedZone, now: u64) -> Verification {
    in_all_ways(&|| Verifier::new(Arc::new(RingCrypto), Policy::default(), now), message, zone)
}

fn results(verification: &Verification) -> String {
    let words = verification.signatures.iter().map(|outcome| outcome.result.as_str()).collect::<Vec<_>>();
    words.join(" ")
}

/// What the rows of a suite expect, one word for each signature.
fn expected(case: &serde_json::Value) -> String {
    let signatures = case["signatures"].as_array().expect("signatures");
    let word = |row: &serde_json::Value| {
        let words = row["expected"].as_str().expect("expected");
        words.split(' ').next().expect("a word").to_owned()
    };
    signatures.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn examples_of_the_rfcs() {
    let Some(folder) = suite("dkim/rfc-examples") else { return };
    let zone = zone(&read_json(&folder, "zone.json"));
    let mut table = Table::new("RFC 6376 A.2, RFC 8463 A.3");
    for (file, expected) in [("rfc6376-A.2.eml", "pass"), ("rfc8463-A.3.eml", "pass pass")] {
        let verification = verify(&crlf(&read(&folder, file)), &zone, NOW);
        table.row(file, expected, &results(&verification));
    }
    table.finish(&[]);
}

#[test]
fn dkim_verifier() {
    let Some(folder) = suite("dkim/dkim_verifier") else { return };
    let zone = zone(&read_json(&folder, "zone.json"));
    let mut table = Table::new("dkim_verifier");
    for case in read_json(&folder, "cases.json").as_array().expect("cases") {
        let file = case["file"].as_str().expect("file");
        let message = crlf(&read(&folder, file));
        table.row(file, &expected(case), &results(&verify(&message, &zone, NOW)));
        // Once more when all that expires has expired.
        let expires = |row: &serde_json::Value| !row["x"].is_null();
        if case["signatures"].as_array().expect("signatures").iter().any(expires) {
            let late = verify(&message, &zone, 1_698_181_528);
            assert!(late.signatures.iter().all(|outcome| outcome.reason == Some(Reason::Expired)), "{late:#?}");
        }
    }
    table.finish(&[
        (
            "original/Fastmail from Fastmail - How to keep your email private.eml",
            "the key of the second domain is not in the zone, so it is a permerror whatever the clock says",
        ),
        ("original/Fastmail from Fastmail - Welcome! Get set up in 3 steps..eml", "as the one above"),
    ]);
}

#[test]
fn mail_auth() {
    let Some(folder) = suite("dkim/mail-auth") else { return };
    let mut table = Table::new("mail-auth");
    for (file, expected) in [
        ("001.txt", "pass pass"),
        ("002.txt", "pass"),
        ("003.txt", "pass pass"),
        ("004.txt", "pass"),
        ("005.txt", "pass"),
        ("006.txt", "pass"),
    ] {
        let (zone, message) = with_zone_on_top(&read(&folder, file));
        table.row(file, expected, &results(&verify(&message, &zone, NOW)));
    }
    table.finish(&[]);
}

#[test]
fn mimekit() {
    let Some(folder) = suite("dkim/mimekit") else { return };
    let zone = FixedZone::new()
        .with("20120113._domainkey.gmail.com", gmail(&read(&folder, "gmail.pub")))
        .with("brisbane._domainkey.football.example.com", Record::txt(BRISBANE))
        .with("test._domainkey.football.example.com", Record::txt(TEST));
    let mut table = Table::new("MimeKit");
    for (file, expected) in
        [("gmail.msg", "pass"), ("multipart-no-end-boundary.msg", "pass"), ("rfc8463-example.msg", "pass pass")]
    {
        table.row(file, expected, &results(&verify(&crlf(&read(&folder, file)), &zone, NOW)));
    }
    table.finish(&[]);
}

const BRISBANE: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const TEST: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

/// A key record of a public key in PEM.
fn gmail(pem: &[u8]) -> Record {
    let text = String::from_utf8_lossy(pem);
    let base64 = text.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
    Record::txt(format!("k=rsa; p={base64}"))
}

#[test]
fn dkimpy_messages() {
    let Some(folder) = suite("dkim/dkimpy") else { return };
    let key = |file: &str| Record::txt(String::from_utf8(read(&folder, file)).unwrap().trim());
    let zone = FixedZone::new()
        .with("20120113._domainkey.gmail.com", Record::txt(format!("k=rsa; p={GMAIL}")))
        .with("brisbane._domainkey.football.example.com", Record::txt(BRISBANE))
        .with("test._domainkey.football.example.com", key("test.txt"))
        .with("sed._domainkey.test.ex", key("eximtest.dns"));
    let mut table = Table::new("dkimpy, messages");
    for (file, expected) in [
        ("rfc6376.signed.msg", "pass pass"),
        ("rfc6376.signed.rsa.msg", "pass"),
        // Its signature was made with another t=.
        ("rfc6376.signed.no_t.msg", "fail"),
        ("ed25519test2.msg", "pass"),
        ("test2.message", "pass"),
        ("test.message.baddomain", "permerror"),
        ("rfc6376.msg", ""),
        ("rfc6376.w1258.msg", ""),
        ("test.message", ""),
        ("test_extra.message", ""),
        ("test_nofrom.message", ""),
        ("ed25519test.msg", ""),
        // No key is there.
        ("message.mbox", "permerror"),
    ] {
        let verification = verify(&crlf(&read(&folder, file)), &zone, NOW);
        table.row(file, expected, &results(&verification));
        if expected.is_empty() {
            assert_eq!(verification.result(), DkimResult::None);
        }
    }
    table.finish(&[]);
}

/// What Gmail published as `20120113`.
const GMAIL: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh+eBCsSTrqmwIYYvywlbhbqoo2DymndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD07y2+07wlNWwIt8svnxgdxGkVbbhzY8i+RQ9DpSVpPbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5OctMEeWUwg8Istjqz8BZeTWbf41fbNhte7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598HY+vtSBczUiKERHv1yRbcaQtZFh5wtiRrN04BLUTD21MycBX5jYchHjPY/wIDAQAB";

#[test]
fn dkimpy_keys() {
    let Some(folder) = suite("dkim/dkimpy") else { return };
    let message = crlf(&read(&folder, "rfc6376.signed.rsa.msg"));
    let mut table = Table::new("dkimpy, keys");
    for (file, expected) in [
        ("test.txt", "pass"),
        ("badk.txt", "permerror: the key is of an unknown type"),
        ("badversion.txt", "permerror: the key record is of another version"),
        ("test_tlsrpt.txt", "permerror: the key is not for mail"),
        ("test_bad.txt", "permerror: the key is malformed"),
        ("test2.txt", "pass"),
        ("2048_testkey_PKCS8.key.pub.txt", "fail: the signature does not match the header"),
        ("2048_testkey_wo_markers.pub.txt", "fail: the signature does not match the header"),
        ("2048_testkey_wo_markers.pub.rsa.txt", "fail: the signature does not match the header"),
        ("1024_testkey_wo_markers.pub.txt", "fail: the signature does not match the header"),
        ("1024_testkey_wo_markers.pub.rsa.txt", "fail: the signature does not match the header"),
        ("ed25519test.dns", "permerror: the key is of another type than the signature"),
    ] {
        let text = String::from_utf8(read(&folder, file)).unwrap();
        let zone = FixedZone::new().with("test._domainkey.football.example.com", Record::txt(text.trim()));
        let verification = verify(&message, &zone, NOW);
        let outcome = &verification.signatures[0];
        let reason = outcome.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        table.row(file, expected, &format!("{}{reason}", outcome.result));
    }
    // One key in two forms.
    let parse = |file: &str| KeyRecord::parse(&read(&folder, file)).unwrap();
    for bits in [1024, 2048] {
        let (with, without) = (
            parse(&format!("{bits}_testkey_wo_markers.pub.txt")),
            parse(&format!("{bits}_testkey_wo_markers.pub.rsa.txt")),
        );
        assert_eq!((with.bits(), &with), (bits, &without));
    }
    assert_eq!(KeyRecord::parse(&read(&folder, "badk.txt")), Err(KeyError::UnknownType));
    table.finish(&[]);
}
