//! What a message costs that nobody holds.

#![cfg(feature = "ring")]
#![expect(clippy::print_stdout, reason = "the figure is what the test is for")]

#[path = "messages/keys.rs"]
mod keys;
#[path = "messages/large.rs"]
mod large;

use std::sync::Arc;

use keys::{ed25519, record, rsa};
use large::{HEADER, LIMIT, NOW, body, eight_signatures};
use peak_alloc::PeakAlloc;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{DkimResult, Policy, Verifier};
use pillarbox_core::dns::{DnsMachine as _, DnsStep, FixedZone, Record};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn signs_and_verifies(mebibytes: usize) {
    let zone = FixedZone::new()
        .with("sel._domainkey.example.org", Record::txt(record(&*ed25519())))
        .with("rsa._domainkey.example.org", Record::txt(record(&*rsa())));
    let fields = eight_signatures(mebibytes, |sign| {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        sign();
        assert!(ALLOCATOR.peak_usage() - before < LIMIT, "{} octets to sign", ALLOCATOR.peak_usage() - before);
    });

    // A way of many hops.
    let hops =
        "Received: from one.example (one.example [192.0.2.1]) by two.example; Fri, 11 Jul 2003 21:01:54 -0700\r\n";
    let fields = format!("{}{fields}", hops.repeat(40));
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), NOW);
    for slice in [&fields, HEADER] {
        for slice in slice.as_bytes().chunks(1000) {
            verifier.write(slice);
        }
    }
    let mut open = Vec::new();
    while let DnsStep::Ask(question) = verifier.poll() {
        open.push(question);
    }
    assert_eq!(open.len(), 2);
    let mut first = true;
    body(mebibytes, |slice| {
        verifier.write(slice);
        // The answers come when a part of the body is there.
        if core::mem::take(&mut first) {
            for question in &open {
                verifier.answer(question.id, zone.answer(question));
            }
        }
    });
    verifier.finish();
    let DnsStep::Done(verification) = verifier.poll() else { panic!("all was answered") };
    let peak = ALLOCATOR.peak_usage() - before;
    println!(
        "{mebibytes} MiB, {} signatures, a header of {} octets: {peak} octets",
        verification.signatures.len(),
        fields.len()
    );
    assert!(verification.signatures.iter().all(|outcome| outcome.result == DkimResult::Pass));
    assert_eq!(verification.signatures.len(), 8);
    assert!(peak < LIMIT, "{peak} octets to verify");
}

#[test]
fn memory_does_not_grow_with_the_message() {
    signs_and_verifies(1);
    signs_and_verifies(4);
}

/// `cargo test --release -p pillarbox-auth --test dkim_memory -- --ignored`
#[test]
#[ignore = "takes long without optimisation"]
fn a_gibibyte() {
    signs_and_verifies(1024);
}
