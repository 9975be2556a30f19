//! What servers and the DNS answer, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::outbound::{Route, SmartHost, TlsMode};
use pillarbox::parts::{AllowList, BoxFuture, Parts, Resolver};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox_core::Reply;
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{DnsAnswer, FixedZone, Question, Record};
use pillarbox_fs::SimulatedFs;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::cases::{HOUR, JOE, Place, Replies, pass, place, place_with, zone};
use crate::net::{Fault, Net, Paused};
use crate::station::{Station, config, envelope, parts, routes};

// RTY-03
#[tokio::test(start_paused = true)]
async fn a_message_that_is_refused_for_good_goes_back_at_once() {
    let place = place();
    place.replies.end.lock().unwrap().insert("mx1".into(), Reply::enhanced(554, 5, 7, 1, "no such thing here"));
    place.send(&["ann@far.example", "bob@far.example"]).await;
    pass(Duration::from_secs(1)).await;
    let notices = place.notices();
    assert_eq!((notices.len(), place.waiting()), (1, 0), "one notice about both");
    assert_eq!(notices[0].matches("Action: failed\r\nStatus: 5.7.1\r\n").count(), 2, "{}", notices[0]);
    assert_eq!(place.net.dialled.lock().unwrap().len(), 1);
}

// DSN-11
#[tokio::test(start_paused = true)]
async fn a_refusal_for_now_and_then_for_good_is_told_once() {
    let place = place();
    let says = |code, class| {
        let reply = Reply::enhanced(code, class, 2, 1, "no mailbox");
        place.replies.rcpt.lock().unwrap().insert("ann@far.example".into(), reply);
    };
    says(450, 4);
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.notices().len(), place.waiting()), (0, 1));
    says(550, 5);
    pass(24 * HOUR).await;
    let notices = place.notices();
    assert_eq!((notices.len(), place.waiting()), (1, 0));
    assert_eq!(notices[0].matches("Action: failed\r\nStatus: 5.2.1\r\n").count(), 1, "{}", notices[0]);
}

// RTY-04: in the middle of a flight.
#[tokio::test(start_paused = true)]
async fn who_has_no_answer_when_a_server_hangs_up_waits() {
    let place = place();
    place.replies.faults.lock().unwrap().insert("mx2".into(), Fault::Refuse);
    let closing = Reply::enhanced(421, 4, 3, 2, "closing");
    place.replies.rcpt.lock().unwrap().insert("bob@far.example".into(), closing);
    place.send(&["ann@far.example", "bob@far.example", "eve@far.example"]).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!((place.copies().len(), place.waiting(), place.notices().len()), (0, 1, 0));
    place.replies.rcpt.lock().unwrap().clear();
    pass(HOUR).await;
    let mut went = place.went();
    went.sort();
    assert_eq!(went, ["mx1 ann@far.example", "mx1 bob@far.example", "mx1 eve@far.example"]);
}

// RTY-07
#[tokio::test(start_paused = true)]
async fn a_round_has_few_addresses_and_sessions() {
    for (fault, most) in [(Fault::Refuse, 5), (Fault::Silence, 5), (Fault::StopAfter(0), 2)] {
        let replies = Arc::new(Replies::default());
        let mut net = Net::new(Paused::new(), replies.clone());
        let mut zone = FixedZone::new();
        for n in 1..=20 {
            let name = format!("mx{n}.many.example");
            net = net.host(&format!("192.0.2.{n}"), &name, ServerConfig::new(&name));
            zone = zone.with("many.example", Record::mx(u16::from(n), name.parse().unwrap()));
            zone = zone.with(&name, Record::A([192, 0, 2, n].into()));
            replies.faults.lock().unwrap().insert(name, fault);
        }
        let net = Arc::new(net);
        let table = routes(&net);
        let station = Station::begin(SimulatedFs::new(), 1, config(), |diary| parts(&net, zone, diary), table);
        let place = Place { station, net, replies };
        place.send(&["ann@many.example"]).await;
        // One round, and not the next.
        let rounds =
            || place.station.lines().iter().filter(|line| line.starts_with("ann@many.example delayed")).count();
        let mut minutes = 0;
        while rounds() == 0 {
            pass(Duration::from_secs(60)).await;
            minutes += 1;
            assert!(minutes < 30, "{fault:?} takes more than half an hour");
        }
        let dialled = place.net.dialled.lock().unwrap().len();
        assert!((1..=most).contains(&dialled), "{fault:?}: {dialled}");
    }
}

// DSN-12
#[tokio::test(start_paused = true)]
async fn a_notice_goes_to_the_path_and_to_no_field() {
    let place = place();
    let message = b"From: list@far.example\r\nReply-To: all@far.example\r\nSender: eve@far.example\r\n\r\nx\r\n";
    place.station.accept(envelope(Some(JOE), &["ann@no-mail.example"]), message).await;
    pass(HOUR).await;
    assert_eq!(place.went(), [format!("here {JOE}")]);
}

/// A zone that is away for a while.
struct Flaky {
    zone: FixedZone,
    is_away: AtomicBool,
}

impl Resolver for Flaky {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, DnsAnswer> {
        let is_away = self.is_away.load(Ordering::Relaxed);
        let answer = if is_away { DnsAnswer::try_later() } else { self.zone.answer(question) };
        Box::pin(std::future::ready(answer))
    }
}

// DNS-03
#[tokio::test(start_paused = true)]
async fn mail_waits_while_the_dns_is_away() {
    let replies = Arc::new(Replies::default());
    let net = Net::new(Paused::new(), replies.clone());
    let net = Arc::new(net.host("192.0.2.1", "mx1", ServerConfig::new("mx1.far.example")));
    let dns = Arc::new(Flaky { zone: zone(), is_away: AtomicBool::new(true) });
    let table = routes(&net);
    let with_dns = |diary: &_| {
        let mut parts = parts(&net, FixedZone::new(), diary);
        parts.resolver = dns.clone();
        parts
    };
    let station = Station::begin(SimulatedFs::new(), 1, config(), with_dns, table);
    let place = Place { station, net, replies };
    for to in ["ann@far.example", "eve@absent.example", "eve@no-mail.example"] {
        place.send(&[to]).await;
    }
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 3), "nothing is given back");
    dns.is_away.store(false, Ordering::Relaxed);
    pass(3 * HOUR).await;
    assert_eq!((place.waiting(), place.notices().len()), (0, 2), "{:#?}", place.went());
    assert!(place.went().contains(&"mx1 ann@far.example".to_owned()));
}

// RFC 5321 §5.1: that this host is the next one there is says nothing while a nearer one may be.
#[tokio::test(start_paused = true)]
async fn mail_is_no_loop_while_a_nearer_host_cannot_be_looked_up() {
    let replies = Arc::new(Replies::default());
    let net = Arc::new(Net::new(Paused::new(), replies.clone()));
    let zone = FixedZone::new()
        .with("far.example", Record::mx(10, "near.far.example".parse().unwrap()))
        .with("far.example", Record::mx(20, "mx.far.example".parse().unwrap()))
        .with("mx.far.example", Record::A([192, 0, 2, 1].into()))
        .failing("near.far.example");
    let (mut config, table) = (config(), routes(&net));
    config.own_addresses = vec![[192, 0, 2, 1].into()];
    let station = Station::begin(SimulatedFs::new(), 1, config, |diary| parts(&net, zone, diary), table);
    let place = Place { station, net, replies };
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.notices().len(), place.waiting()), (0, 1), "{:#?}", place.station.lines());
}

// Of one name and port, and yet not the same: each recipient goes to its own.
#[tokio::test(start_paused = true)]
async fn relays_of_one_name_share_no_attempt() {
    let place = place_with(SimulatedFs::new(), |table| {
        for (domain, last) in [("far.example", 1), ("other.example", 2)] {
            let mut relay = SmartHost::new(Domain::parse("relay.example").unwrap());
            (relay.address, relay.tls) = (Some([192, 0, 2, last].into()), TlsMode::Never);
            table.by_recipient(domain, Route::SmartHost(Arc::new(relay))).unwrap();
        }
    });
    for _ in 0..2 {
        place.send(&["ann@far.example", "eve@other.example"]).await;
        pass(Duration::from_secs(1)).await;
    }
    let mut went = place.went();
    went.sort();
    let each = ["mx1 ann@far.example", "mx2 eve@other.example"];
    assert_eq!(went, [each[0], each[0], each[1], each[1]]);
}

/// Reads until a reply begins so.
async fn heard(client: &mut DuplexStream, begin: &[u8]) {
    let mut replies = Vec::new();
    while !replies.windows(begin.len()).any(|window| window == begin) {
        let mut octets = [0; 1000];
        let n = client.read(&mut octets).await.unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&replies));
        replies.extend_from_slice(&octets[..n]);
    }
}

// DUR-07: the reply could not be delivered; the message is there, once for each time that it came.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_before_the_reply_has_sent_its_message() {
    let place = place();
    let parts = Parts {
        policy: Arc::new(AllowList::new(["bob@here.example"])),
        sink: Arc::new(place.station.sink.clone()),
        clock: place.net.clock.clone(),
        ..Parts::in_memory()
    };
    let server = SmtpServer::new(ServerConfig::new("mx.here.example"), parts);
    for times in 1..=2 {
        let (mut client, wire) = tokio::io::duplex(64 * 1024);
        let serving = server.clone();
        let served = tokio::spawn(async move { serving.serve_connection(wire, None, &Shutdown::new()).await });
        heard(&mut client, b"220 ").await;
        client.write_all(b"EHLO far.example\r\n").await.unwrap();
        heard(&mut client, b"250 ").await;
        let flight = b"MAIL FROM:<joe@far.example>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\n";
        client.write_all(flight).await.unwrap();
        heard(&mut client, b"354 ").await;
        client.write_all(b"Subject: x\r\n\r\nx\r\n.\r\n").await.unwrap();
        drop(client);
        served.await.unwrap();
        pass(Duration::from_secs(60)).await;
        assert_eq!(place.went(), vec!["here bob@here.example"; times]);
        let accepted = place.station.lines().iter().filter(|line| line.starts_with("accepted")).count();
        assert_eq!(accepted, times, "and it is in the log");
    }
}
