//! What a message costs that nobody holds.

#![cfg(feature = "ring")]
#![expect(clippy::print_stdout, reason = "the figure is what the test is for")]

#[path = "messages/keys.rs"]
mod keys;

use std::sync::Arc;

use keys::{domain_key, ed25519, record, rsa};
use peak_alloc::PeakAlloc;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{Canonicalization, DkimResult, Policy, SignOptions, Signer, Verifier};
use pillarbox_core::dns::{DnsMachine as _, DnsStep, FixedZone, Record};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const NOW: u64 = 1_700_000_000;
const HEADER: &str = "From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nSubject: dinner\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
const LIMIT: usize = 64 * 1024;

/// A body of so many MiB, in slices of 16 KiB.
fn body(mebibytes: usize, mut write: impl FnMut(&[u8])) {
    static SLICE: [u8; 16 * 1024] = {
        let line = b"The quick brown fox jumps over the lazy dog, and goes on to do so till.\r\n\r\n";
        let mut slice = [0; 16 * 1024];
        let mut at = 0;
        while at < slice.len() {
            slice[at] = line[at % line.len()];
            at += 1;
        }
        slice
    };
    for _ in 0..mebibytes * 64 {
        write(&SLICE);
    }
}

fn signs_and_verifies(mebibytes: usize) {
    let zone = FixedZone::new()
        .with("sel._domainkey.example.org", Record::txt(record(&*ed25519())))
        .with("rsa._domainkey.example.org", Record::txt(record(&*rsa())));
    let crypto = Arc::new(RingCrypto);
    // Eight signatures in both forms of the body.
    let mut fields = String::new();
    let before = ALLOCATOR.current_usage();
    for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let mut options = SignOptions::default();
        (options.header, options.body) = (form, form);
        let keys = [("rsa", rsa()), ("sel", ed25519())];
        let keys =
            keys.iter().cycle().take(4).map(|(name, key)| domain_key("example.org", name, key.clone())).collect();
        ALLOCATOR.reset_peak_usage();
        let mut signer = Signer::new(crypto.clone(), keys, options, NOW);
        signer.write(HEADER.as_bytes());
        body(mebibytes, |slice| signer.write(slice));
        fields.push_str(&signer.finish().unwrap());
        assert!(ALLOCATOR.peak_usage() - before < LIMIT, "{} octets to sign", ALLOCATOR.peak_usage() - before);
    }

    // A way of many hops.
    let hops =
        "Received: from one.example (one.example [192.0.2.1]) by two.example; Fri, 11 Jul 2003 21:01:54 -0700\r\n";
    let fields = format!("{}{fields}", hops.repeat(40));
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut verifier = Verifier::new(crypto, Policy::default(), NOW);
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
