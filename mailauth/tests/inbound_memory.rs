//! What a message costs that nobody holds, with all methods over it.

#![cfg(feature = "ring")]
#![expect(clippy::print_stdout, reason = "the figure is what the test is for")]

#[path = "messages/keys.rs"]
mod keys;
#[path = "messages/large.rs"]
mod large;

use std::sync::Arc;

use keys::{domain_key, ed25519, record, rsa};
use large::{HEADER, LIMIT, NOW, body, eight_signatures};
use peak_alloc::PeakAlloc;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::arc::{ArcResult, Sealer};
use pillarbox_auth::dkim::{DkimResult, SignOptions};
use pillarbox_auth::dmarc::DmarcResult;
use pillarbox_auth::inbound::{Config, Inbound};
use pillarbox_core::address::ReversePath;
use pillarbox_core::dns::{DnsMachine as _, DnsStep, FixedZone, Record};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Eight signatures in both forms and a chain of three sets, over a way of twenty hops: what a message may have that is
/// verified to the end.
fn fields(mebibytes: usize) -> String {
    let mut fields = eight_signatures(mebibytes, |sign| sign());
    let hop =
        "Received: from one.example (one.example [192.0.2.1]) by two.example; Fri, 11 Jul 2003 21:01:54 -0700\r\n";
    fields.insert_str(0, &hop.repeat(20));
    for chain in [ArcResult::None, ArcResult::Pass, ArcResult::Pass] {
        let key = domain_key("example.org", "sel", ed25519());
        let mut sealer = Sealer::new(Arc::new(RingCrypto), key, SignOptions::default(), NOW);
        sealer.write(fields.as_bytes());
        sealer.write(HEADER.as_bytes());
        body(mebibytes, |slice| sealer.write(slice));
        let set = sealer.finish(chain, "mx.example.org; dmarc=pass header.from=example.org").unwrap();
        fields.insert_str(0, &set);
    }
    fields
}

fn checks(mebibytes: usize) {
    let zone = FixedZone::new()
        .with("sel._domainkey.example.org", Record::txt(record(&*ed25519())))
        .with("rsa._domainkey.example.org", Record::txt(record(&*rsa())))
        .with("_dmarc.example.org", Record::txt("v=DMARC1; p=reject"))
        .with("example.org", Record::txt("v=spf1 mx a ip4:192.0.2.0/24 -all"));
    let fields = fields(mebibytes);
    let config = Arc::new(Config::new("mx.example.net"));
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let mut inbound = Inbound::new(Arc::new(RingCrypto), config, NOW);
    inbound.connect([192, 0, 2, 1].into());
    inbound.helo("mail.example.org");
    inbound.mail_from(&ReversePath::take(b"<joe@example.org>", false).unwrap().0);
    for slice in [&fields, HEADER] {
        for slice in slice.as_bytes().chunks(1000) {
            inbound.write(slice);
        }
    }
    let mut first = true;
    body(mebibytes, |slice| {
        inbound.write(slice);
        // The answers come when a part of the body is there.
        if core::mem::take(&mut first) {
            while let DnsStep::Ask(question) = inbound.poll() {
                inbound.answer(question.id, zone.answer(&question));
            }
        }
    });
    inbound.finish();
    let DnsStep::Done(verdicts) = inbound.poll() else { panic!("all was answered") };
    let text = verdicts.header_fields();
    let peak = ALLOCATOR.peak_usage() - before;
    println!("{mebibytes} MiB, a header of {} octets: {peak} octets", fields.len() + HEADER.len());
    assert_eq!(verdicts.dkim.signatures.len(), 8);
    assert!(verdicts.dkim.signatures.iter().all(|outcome| outcome.result == DkimResult::Pass), "{text}");
    assert_eq!((verdicts.arc.result, verdicts.arc.sets.len()), (ArcResult::Pass, 3), "{text}");
    assert_eq!(verdicts.dmarc.unwrap().result, DmarcResult::Pass);
    assert!(peak < LIMIT, "{peak} octets");
}

#[test]
fn memory_does_not_grow_with_the_message() {
    checks(1);
    checks(4);
}

/// `cargo test --release -p pillarbox-auth --test inbound_memory -- --ignored`
#[test]
#[ignore = "takes long without optimisation"]
fn a_gibibyte() {
    checks(1024);
}
