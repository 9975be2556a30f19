//! Connections that begin while addresses of the host are still being looked up (RFC 8305 §3).

use std::sync::Arc;

use pillarbox::outbound::OutboundConfig;
use pillarbox::parts::{BoxFuture, Outcome, Resolver};
use pillarbox::smtp::ServerConfig;
use pillarbox_core::dns::{DnsAnswer, FixedZone, Question, Record, RecordKind, Validation};
use pillarbox_fs::SimulatedFs;

use crate::net::{Fault, Net, Paused};
use crate::policies::{certified, tlsa_of};
use crate::race::{Faults, Place, after, four, mx, six};
use crate::station::{Station, config, envelope, parts, routes};

/// What becomes of questions of one kind.
#[derive(Clone, Copy)]
enum Fate {
    /// Answered after so many milliseconds.
    After(u64),
    /// Never answered.
    Never,
    /// Failed after so many milliseconds.
    Fails(u64),
    /// Answered after so many milliseconds, and validated.
    Secure(u64),
}

/// A resolver that takes its time, by kinds; all others are answered at once.
struct Slow {
    zone: FixedZone,
    fates: Vec<(RecordKind, Fate)>,
}

impl Resolver for Slow {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, DnsAnswer> {
        let fate = self.fates.iter().find(|(kind, _)| *kind == question.kind).map_or(Fate::After(0), |(_, fate)| *fate);
        Box::pin(async move {
            let answer = self.zone.answer(question).with_validation(Validation::NotValidated);
            match fate {
                Fate::Never => std::future::pending().await,
                Fate::After(0) => answer,
                Fate::After(delay) => {
                    after(delay).await;
                    answer
                }
                Fate::Fails(delay) => {
                    after(delay).await;
                    DnsAnswer::try_later()
                }
                Fate::Secure(delay) => {
                    after(delay).await;
                    answer.with_validation(Validation::Validated)
                }
            }
        })
    }
}

const SIX: &str = "[2001:db8::1]:25";
const FOUR: &str = "192.0.2.1:25";
use Fate::{After, Fails, Never, Secure};
use RecordKind::{A, Aaaa, Tlsa};

async fn place(fates: &[(RecordKind, Fate)], faults: &[(&'static str, Fault)]) -> Place {
    place_with(fates, faults, config(), FixedZone::new()).await
}

async fn place_with(
    fates: &[(RecordKind, Fate)],
    faults: &[(&'static str, Fault)],
    config: OutboundConfig,
    zone: FixedZone,
) -> Place {
    place_of(fates, faults, config, zone, None).await
}

/// With a certificate that the IPv6 host has.
async fn place_of(
    fates: &[(RecordKind, Fate)],
    faults: &[(&'static str, Fault)],
    config: OutboundConfig,
    zone: FixedZone,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> Place {
    let server = || ServerConfig::new("mx.far.example");
    let mut net = Net::new(Paused::new(), Arc::new(Faults(faults.iter().copied().collect())))
        .host("2001:db8::1", "six", server())
        .host("192.0.2.1", "four", server())
        .host("192.0.2.2", "second", server());
    net.tls.extend(tls.map(|tls| ("six".into(), tls)));
    let net = Arc::new(net);
    let client = rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
    let client = client.with_no_client_auth();
    let zone = zone.with("far.example", mx(10, "mx.far.example"));
    let zone = zone.with("mx.far.example", four(1)).with("mx.far.example", six(1));
    let resolver = Arc::new(Slow { zone, fates: fates.to_vec() });
    let with_resolver = |diary: &_| {
        let mut parts = parts(&net, FixedZone::new(), diary);
        parts.resolver = resolver;
        parts.tls = Some(Arc::new(client));
        parts
    };
    let station = Station::begin(SimulatedFs::new(), 1, config, with_resolver, routes(&net));
    let outcomes = station.accept(envelope(None, &["ann@far.example"]), b"Subject: hello\r\n\r\n").await;
    assert_eq!(outcomes, [Outcome::Delivered]);
    Place { station, net }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_never_answers_at_aaaa_delays_mail_by_50_ms() {
    let place = place(&[(Aaaa, Never)], &[]).await;
    after(45).await;
    assert_eq!(place.dialled(), [""; 0]);
    after(10).await;
    assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into()], vec!["four".into()]));
    assert_eq!(place.station.handle().usage().messages, 0);
}

#[tokio::test(start_paused = true)]
async fn the_preferred_kind_waits_for_nothing() {
    for fate in [Never, After(3000), Fails(3000)] {
        let place = place(&[(A, fate)], &[]).await;
        after(1).await;
        assert_eq!((place.dialled(), place.copies()), (vec![SIX.into()], vec!["six".into()]));
    }
    // Where IPv4 is preferred it is the other way round.
    let mut first_four = config();
    first_four.attempts.ipv6_first = false;
    let place = place_with(&[(Aaaa, Never)], &[], first_four.clone(), FixedZone::new()).await;
    after(1).await;
    assert_eq!(place.dialled(), [FOUR]);
    let place = place_with(&[(A, Never)], &[], first_four, FixedZone::new()).await;
    after(45).await;
    assert_eq!(place.dialled(), [""; 0]);
    after(10).await;
    assert_eq!(place.dialled(), [SIX]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_within_50_ms_is_the_first_to_be_tried() {
    let place = place(&[(Aaaa, After(40))], &[]).await;
    after(45).await;
    assert_eq!((place.dialled(), place.copies()), (vec![SIX.into()], vec!["six".into()]));
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_aaaa_ends_the_wait() {
    let place = place(&[(Aaaa, Fails(20)), (A, After(10))], &[]).await;
    after(15).await;
    assert_eq!(place.dialled(), [""; 0]);
    after(10).await;
    assert_eq!(place.dialled(), [FOUR]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_joins_those_that_are_being_tried() {
    // In its turn: 250 ms after the one before it.
    let silent = [("four", Fault::Silence)];
    let place1 = place(&[(Aaaa, After(100))], &silent).await;
    after(290).await;
    assert_eq!(place1.dialled(), [FOUR]);
    after(20).await;
    assert_eq!((place1.dialled(), place1.copies()), (vec![FOUR.into(), SIX.into()], vec!["six".into()]));
    // At once where its turn has come before it.
    let place2 = place(&[(Aaaa, After(1000))], &silent).await;
    after(990).await;
    assert_eq!(place2.dialled(), [FOUR]);
    after(15).await;
    assert_eq!((place2.dialled(), place2.copies()), (vec![FOUR.into(), SIX.into()], vec!["six".into()]));
    // At once where all others have failed; and that is no end of the round.
    let place3 = place(&[(A, After(1000))], &[("six", Fault::Refuse)]).await;
    after(990).await;
    assert_eq!((place3.dialled(), place3.station.lines().len()), (vec![SIX.into()], 1));
    after(15).await;
    assert_eq!((place3.dialled(), place3.copies()), (vec![SIX.into(), FOUR.into()], vec!["four".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_round_ends_when_nothing_more_can_come() {
    for fate in [Fails(1000), Never] {
        let place = place(&[(Aaaa, fate)], &[("four", Fault::Refuse)]).await;
        after(990).await;
        assert_eq!(place.station.lines().len(), 1, "accepted, and no more");
        // The patience with the DNS is 20 s.
        after(20_000).await;
        let lines = place.station.lines();
        assert!(lines.len() == 2 && lines[1].contains("delayed mx.far.example [192.0.2.1]"), "{lines:?}");
        assert_eq!(place.dialled(), [FOUR]);
    }
}

#[tokio::test(start_paused = true)]
async fn five_addresses_are_a_round_whenever_they_come() {
    let mut zone = FixedZone::new();
    for last in 10..18 {
        zone = zone.with("mx.far.example", four(last)).with("mx.far.example", six(last.into()));
    }
    for fates in [[(A, After(300)), (Aaaa, After(0))], [(A, After(0)), (Aaaa, After(300))]] {
        let nobody = [("six", Fault::Refuse), ("four", Fault::Refuse)];
        let place = place_with(&fates, &nobody, config(), zone.clone()).await;
        after(60_000).await;
        assert_eq!(place.dialled().len(), 5, "{:?}", place.dialled());
    }
}

// RFC 5321 §5.1
#[tokio::test(start_paused = true)]
async fn an_address_of_ours_that_comes_later_ends_it() {
    let mut config = config();
    config.own_addresses = vec!["2001:db8::1".parse().unwrap()];
    for fault in [Fault::Silence, Fault::Late(200)] {
        let place = place_with(&[(Aaaa, After(100))], &[("four", fault)], config.clone(), FixedZone::new()).await;
        after(60_000).await;
        assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into()], vec![]));
        let lines = place.station.lines();
        match fault {
            // It is a loop, although an address of the host had been dialled before that was known.
            Fault::Late(_) => {
                assert!(lines[1].contains("failed") && lines[1].contains("come back to this host"), "{lines:?}");
            }
            // What did not answer is all that went wrong.
            _ => assert!(lines[1].contains("delayed mx.far.example [192.0.2.1]"), "{lines:?}"),
        }
    }
}

fn records() -> FixedZone {
    let data = vec![7; 32];
    FixedZone::new().with("_25._tcp.mx.far.example", Record::Tlsa { usage: 3, selector: 1, matching: 1, data })
}

// RFC 7672 §2.2: where an answer is secure, nothing begins before it is known what the records say.
#[tokio::test(start_paused = true)]
async fn secure_addresses_wait_for_their_records() {
    let place = place_with(&[(A, Secure(0)), (Aaaa, Never), (Tlsa, Secure(300))], &[], config(), records()).await;
    after(290).await;
    assert_eq!(place.dialled(), [""; 0]);
    after(1000).await;
    // The host has no TLS.
    assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into()], vec![]));
    let place = place_with(&[(A, Secure(0)), (Aaaa, Never), (Tlsa, Never)], &[], config(), records()).await;
    after(60_000).await;
    assert_eq!((place.dialled(), place.copies()), (vec![], vec![]));
}

// Nobody gets around DANE by making the one kind of addresses quick.
#[tokio::test(start_paused = true)]
async fn a_secure_answer_that_comes_later_counts_for_all() {
    for fates in [
        // The connection is there before the records are, and before anything is said.
        [(A, After(0)), (Aaaa, Secure(60)), (Tlsa, Secure(2000))],
        [(A, After(0)), (Aaaa, Secure(60)), (Tlsa, Fails(2000))],
        [(A, After(0)), (Aaaa, Secure(60)), (Tlsa, Never)],
    ] {
        for fault in [Fault::Late(100), Fault::Silence] {
            let place = place_with(&fates, &[("four", fault)], config(), records()).await;
            after(60_000).await;
            assert_eq!(place.copies(), [""; 0]);
            assert!(place.station.handle().usage().messages == 1, "{:?}", place.station.lines());
        }
    }
    // The same without records: it goes.
    let fates = [(A, After(0)), (Aaaa, Secure(60)), (Tlsa, Secure(2000))];
    let place = place_with(&fates, &[("four", Fault::Late(100))], config(), FixedZone::new()).await;
    after(2000).await;
    assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into()], vec![]));
    after(100).await;
    assert_eq!(place.copies(), ["four"]);
    let fates = [(A, After(0)), (Aaaa, Secure(60)), (Tlsa, Secure(100))];
    let place = place_with(&fates, &[("four", Fault::Silence)], config(), FixedZone::new()).await;
    after(1000).await;
    assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into(), SIX.into()], vec!["six".into()]));
}

// What is waited for before anything is said may bring more addresses than it was waited for.
#[tokio::test(start_paused = true)]
async fn addresses_that_come_with_the_records_are_tried() {
    let fates = [(A, After(0)), (Aaaa, Secure(60)), (Tlsa, Secure(2000))];
    let host = certified("mx.far.example");
    let zone = FixedZone::new().with("_25._tcp.mx.far.example", tlsa_of(&host));
    let place = place_of(&fates, &[("four", Fault::Late(100))], config(), zone, Some(host.server)).await;
    after(10_000).await;
    // The first has no TLS.
    assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into(), SIX.into()], vec!["six".into()]));
    assert_eq!(place.station.handle().usage().messages, 0);
    // One of ours among them ends it.
    let mut config = config();
    config.own_addresses = vec!["2001:db8::1".parse().unwrap()];
    let place = place_with(&fates, &[("four", Fault::Late(100))], config, FixedZone::new()).await;
    after(60_000).await;
    assert_eq!((place.dialled(), place.copies()), (vec![FOUR.into()], vec![]));
}
