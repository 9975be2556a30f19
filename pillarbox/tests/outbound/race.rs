//! Which addresses of a host are tried beside each other, and when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::parts::{Outcome, Verdict};
use pillarbox::smtp::ServerConfig;
use pillarbox_core::Reply;
use pillarbox_core::dns::{FixedZone, Record};
use pillarbox_fs::SimulatedFs;

use crate::net::{Fault, Net, Paused, Script};
use crate::station::{Station, config, envelope, parts, routes};

/// What is wrong with hosts, by their names.
pub(crate) struct Faults(pub(crate) HashMap<&'static str, Fault>);

impl Script for Faults {
    fn fault(&self, host: &str) -> Option<Fault> {
        self.0.get(host).copied()
    }

    fn rcpt(&self, _host: &str, _to: &str) -> Verdict {
        Verdict::Accept
    }

    fn end(&self, _host: &str) -> Option<Reply> {
        None
    }
}

pub(crate) fn mx(preference: u16, host: &str) -> Record {
    Record::mx(preference, host.parse().unwrap())
}

pub(crate) fn four(last: u8) -> Record {
    Record::A([192, 0, 2, last].into())
}

pub(crate) fn six(last: u16) -> Record {
    Record::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into())
}

/// A queue, and the hosts that it sends to.
pub(crate) struct Place {
    pub(crate) station: Station,
    pub(crate) net: Arc<Net>,
}

async fn place(zone: FixedZone, faults: &[(&'static str, Fault)]) -> Place {
    let server = || ServerConfig::new("mx.far.example");
    let net = Net::new(Paused::new(), Arc::new(Faults(faults.iter().copied().collect())))
        .host("2001:db8::1", "six", server())
        .host("192.0.2.1", "four", server())
        .host("192.0.2.2", "second", server());
    let net = Arc::new(net);
    let station = Station::begin(SimulatedFs::new(), 1, config(), |diary| parts(&net, zone, diary), routes(&net));
    let outcomes = station.accept(envelope(None, &["ann@far.example"]), b"Subject: hello\r\n\r\n").await;
    assert_eq!(outcomes, [Outcome::Delivered]);
    Place { station, net }
}

impl Place {
    pub(crate) fn dialled(&self) -> Vec<String> {
        self.net.dialled.lock().unwrap().clone()
    }

    pub(crate) fn copies(&self) -> Vec<String> {
        self.net.copies.lock().unwrap().iter().map(|copy| copy.host.clone()).collect()
    }
}

pub(crate) async fn after(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn both() -> FixedZone {
    FixedZone::new()
        .with("far.example", mx(10, "mx.far.example"))
        .with("mx.far.example", four(1))
        .with("mx.far.example", six(1))
}

// RFC 8305 §5
#[tokio::test(start_paused = true)]
async fn the_next_address_is_begun_while_the_first_says_nothing() {
    let place = place(both(), &[("six", Fault::Silence)]).await;
    after(240).await;
    assert_eq!(place.dialled(), ["[2001:db8::1]:25"]);
    after(20).await;
    assert_eq!(place.dialled(), ["[2001:db8::1]:25", "192.0.2.1:25"]);
    assert_eq!(place.copies(), ["four"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_begun_at_once_when_the_first_refuses() {
    let place = place(both(), &[("six", Fault::Refuse)]).await;
    after(1).await;
    assert_eq!((place.dialled().len(), place.copies()), (2, vec!["four".into()]));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_answers_is_the_only_one() {
    let place = place(both(), &[]).await;
    after(5000).await;
    assert_eq!((place.dialled().len(), place.copies()), (1, vec!["six".into()]));
}

// RFC 5321 §5.1
#[tokio::test(start_paused = true)]
async fn hosts_are_not_tried_beside_each_other() {
    let zone = both().with("far.example", mx(20, "second.far.example")).with("second.far.example", four(2));
    let place = place(zone, &[("six", Fault::Silence), ("four", Fault::Silence)]).await;
    after(30_000).await;
    assert_eq!(place.dialled(), ["[2001:db8::1]:25", "192.0.2.1:25"]);
    after(300).await;
    assert_eq!((place.dialled().len(), place.copies()), (3, vec!["second".into()]));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_was_only_slower_is_the_next() {
    let place = place(both(), &[("six", Fault::Silence), ("four", Fault::CutAfter(5))]).await;
    after(1000).await;
    assert_eq!(place.dialled(), ["[2001:db8::1]:25", "192.0.2.1:25", "[2001:db8::1]:25"]);
    assert_eq!(place.station.handle().usage().messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_round_has_five_addresses_however_many_there_are() {
    let mut zone = FixedZone::new().with("far.example", mx(10, "mx.far.example"));
    for last in 10..18 {
        zone = zone.with("mx.far.example", four(last)).with("mx.far.example", six(last.into()));
    }
    let place = place(zone, &[]).await;
    after(60_000).await;
    assert_eq!(place.dialled().len(), 5);
}
