//! Hosts that hang, disks that fail and operators that meet them: nothing of it holds up anything else, or is forgotten.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::outbound::spool::{MessageId, Selector};
use pillarbox::outbound::{OutboundHandle, Route, SmartHost};
use pillarbox::parts::{Envelope, Outcome};
use pillarbox::smtp::ServerConfig;
use pillarbox_core::Reply;
use pillarbox_core::address::{Domain, ForwardPath};
use pillarbox_core::dns::{FixedZone, Record};
use pillarbox_fs::testing::Watched;
use pillarbox_fs::{Fs as _, SimulatedFs};
use pillarbox_smtp::command::FutureRelease;

use crate::cases::{HOUR, JOE, MESSAGE, Place, Replies, pass, place, place_of, place_with};
use crate::net::{Fault, Net, Paused};
use crate::station::{Station, config, envelope, parts, routes};

/// Errors by their numbers.
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// A queue before as many hosts as one likes, of which all but the last hang.
fn before_hosts(count: u8, fault: Fault) -> Place {
    let replies = Arc::new(Replies::default());
    let mut net = Net::new(Paused::new(), replies.clone());
    let mut zone = FixedZone::new();
    for n in 1..=count {
        let name = format!("host{n}.example");
        net = net.host(&format!("192.0.2.{n}"), &name, ServerConfig::new(&name));
        zone = zone.with(&name, Record::A([192, 0, 2, n].into()));
        if n < count {
            replies.faults.lock().unwrap().insert(name, fault);
        }
    }
    let net = Arc::new(net);
    let (fs, table) = (SimulatedFs::new(), routes(&net));
    let station = Station::begin(fs, 1, config(), |diary| parts(&net, zone, diary), table);
    Place { station, net, replies }
}

// RTY-06: nobody answers a connection, or says anything on it, and all the room there is is taken.
#[tokio::test(start_paused = true)]
async fn a_hundred_hosts_that_hang_hold_up_nobody() {
    for fault in [Fault::Silence, Fault::StopAfter(0)] {
        let place = before_hosts(151, fault);
        for round in 0..3 {
            for n in 1..=150 {
                place.send(&[&format!("ann@host{n}.example")]).await;
            }
            pass(Duration::from_secs(1)).await;
            place.send(&["ann@host151.example"]).await;
            pass(Duration::from_secs(12)).await;
            let went = place.went();
            assert_eq!(went.len(), round + 1, "{fault:?}, round {round}: {went:?}");
        }
        // They come back, and all of it goes out.
        place.replies.faults.lock().unwrap().clear();
        pass(24 * HOUR).await;
        let copies = place.copies().iter().filter(|copy| copy.host != "here").count();
        assert_eq!((copies, place.waiting()), (453, 0));
    }
}

/// A host of which the address has a number.
fn numbered(n: u16) -> (String, [u8; 4]) {
    let [high, low] = n.to_be_bytes();
    (format!("host{n}.example"), [10, 0, high, low])
}

// RTY-06: more hosts hang than there is room for, all of them strangers. Each gives way when others wait, until content has gone
// out to it: what may have been taken is waited for.
#[tokio::test(start_paused = true)]
async fn two_thousand_hosts_that_hang_hold_up_nobody() {
    const HANG: u16 = 2000;
    let fault = |n| match n {
        HANG => None,
        0 => Some(Fault::Slow(45)),
        n if n % 2 == 0 => Some(Fault::StopAfter(0)),
        _ => Some(Fault::Silence),
    };
    let replies = Arc::new(Replies::default());
    let (mut net, mut zone) = (Net::new(Paused::new(), replies.clone()), FixedZone::new());
    for n in 0..=HANG {
        let (name, ip) = numbered(n);
        net.hosts.insert(ip.into(), (name.clone(), ServerConfig::new(&name)));
        zone = zone.with(&name, Record::A(ip.into()));
        replies.faults.lock().unwrap().extend(fault(n).map(|fault| (name, fault)));
    }
    let net = Arc::new(net);
    let (fs, table) = (SimulatedFs::new(), routes(&net));
    let station = Station::begin(fs, 1, config(), |diary| parts(&net, zone, diary), table);
    let place = Place { station, net, replies };
    for n in 0..=HANG {
        place.send(&[&format!("ann@host{n}.example")]).await;
    }
    // Each hundred of them has ten seconds.
    pass(Duration::from_secs(230)).await;
    let took = |name: &str| place.copies().iter().filter(|copy| copy.host == name).count();
    let good = format!("host{HANG}.example");
    assert_eq!((took(&good), took("host0.example")), (1, 1));
    let lines = place.station.lines();
    let tried = lines.iter().filter(|line| line.starts_with(&format!("ann@{good} "))).count();
    let gave_way = lines.iter().filter(|line| line.contains("while others waited")).count();
    assert!(tried == 1 && gave_way > 500, "{tried} {gave_way}");
    // They come back, and all of it goes out, once.
    place.replies.faults.lock().unwrap().clear();
    pass(24 * HOUR).await;
    let copies = place.copies().iter().filter(|copy| copy.host != "here").count();
    assert_eq!((copies, place.waiting()), (usize::from(HANG) + 1, 0));
}

// RFC 8689 §4.2.1: what may take it and is only away now counts for more than what may not.
#[tokio::test(start_paused = true)]
async fn a_message_that_needs_tls_waits_for_a_host_that_is_away() {
    let place = place();
    let mut envelope = envelope(Some(JOE), &["ann@half.example"]);
    envelope.require_tls = true;
    place.station.accept(envelope, MESSAGE).await;
    pass(3 * HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 1), "{:#?}", place.station.lines());
    pass(6 * 24 * HOUR).await;
    let failed = place.notices().into_iter().filter(|notice| notice.contains("Action: failed")).count();
    assert_eq!((failed, place.waiting()), (1, 0));
}

// RFC 8689 §2: LMTP is a hop like any other. RFC 8689 §4.4: mailboxes here are none.
#[tokio::test(start_paused = true)]
async fn a_message_that_needs_tls_goes_by_no_lmtp_without_it() {
    let place = place_with(SimulatedFs::new(), |table| {
        table.by_recipient("socket.example", Route::LmtpSocket("/run/lmtp".into())).unwrap();
        let mut lmtp = SmartHost::lmtp(Domain::parse("lmtp.example").unwrap());
        lmtp.address = Some([192, 0, 2, 4].into());
        table.by_recipient("far.example", Route::SmartHost(Arc::new(lmtp))).unwrap();
    });
    for (to, status) in [("ann@socket.example", "5.7.10"), ("ann@far.example", "5.7.30")] {
        let mut envelope = envelope(Some(JOE), &[to]);
        envelope.require_tls = true;
        place.station.accept(envelope, MESSAGE).await;
        pass(HOUR).await;
        let notice = place.notices().pop().unwrap();
        assert!(notice.contains(&format!("; {to}\r\nAction: failed\r\nStatus: {status}\r\n")), "{notice}");
    }
    let mut here = envelope(Some(JOE), &["bob@here.example"]);
    here.require_tls = true;
    place.station.accept(here, MESSAGE).await;
    pass(HOUR).await;
    assert_eq!((place.went().pop().unwrap(), place.waiting()), ("here bob@here.example".to_owned(), 0));
}

/// A message for whoever is the postmaster here.
fn to_postmaster() -> Envelope {
    let mut envelope = envelope(Some(JOE), &[]);
    envelope.recipients = vec![ForwardPath::Postmaster];
    envelope
}

// RFC 5321 §4.1.1.3, §4.5.1
#[tokio::test(start_paused = true)]
async fn the_postmaster_without_a_domain_is_ours() {
    let relay = |table: &mut pillarbox_smtp::route::RouteTable<Route>| {
        let mut relay = SmartHost::new(Domain::parse("relay.example").unwrap());
        relay.tls = pillarbox::outbound::TlsMode::IfOffered;
        table.set_default(Route::SmartHost(Arc::new(relay)));
    };
    let place = place_with(SimulatedFs::new(), relay);
    place.station.accept(to_postmaster(), MESSAGE).await;
    pass(HOUR).await;
    assert_eq!(place.went(), ["relay postmaster@mx.here.example"], "not the relay's own");

    let no = Reply::enhanced(550, 5, 1, 1, "no such user");
    place.replies.rcpt.lock().unwrap().insert("postmaster@mx.here.example".into(), no);
    place.station.accept(to_postmaster(), MESSAGE).await;
    pass(HOUR).await;
    let notices = place.notices();
    assert_eq!((notices.len(), place.waiting()), (1, 0), "{:#?}", place.station.lines());
    let about = "Final-Recipient: rfc822; postmaster@mx.here.example\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    assert!(notices[0].contains(about), "{}", notices[0]);
}

// DSK-05, RST-04: whatever read or open fails after the start, and how, delays what was waiting and loses none of it.
#[tokio::test(start_paused = true)]
async fn a_read_that_fails_after_the_start_only_delays() {
    let place = place();
    for n in 0..5 {
        place.send(&[&format!("r{n}@far.example")]).await;
        place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Refuse);
        place.replies.faults.lock().unwrap().insert("mx2".into(), Fault::Refuse);
    }
    let large = [MESSAGE, &b"x".repeat(900).repeat(10)].concat();
    place.station.accept(envelope(Some(JOE), &["large@far.example"]), &large).await;
    pass(Duration::from_secs(1)).await;
    let waiting = place.waiting();
    let (disk, _) = place.station.crash(1_000_000).await;
    let (mut faults, mut away) = (0, 0);
    for errno in [EMFILE, EIO] {
        for n in 0.. {
            let image = disk.crash().images(1, 1).next().unwrap();
            let above = Watched::new(image.clone());
            above.fail_any_at(n, errno);
            let replies = Arc::new(Replies::default());
            let net = Net::new(Paused::new(), replies).host("192.0.2.1", "mx1", ServerConfig::new("mx1.far.example"));
            let net = Arc::new(net);
            let mx = Record::mx(10, "mx1.far.example".parse().unwrap());
            let zone = FixedZone::new().with("far.example", mx);
            let zone = zone.with("mx1.far.example", Record::A([192, 0, 2, 1].into()));
            let table = routes(&net);
            let begun = Station::begin_on(above.clone(), image, 2, config(), |diary| parts(&net, zone, diary), table);
            // It says so at once where it cannot open the queue.
            let Ok(station) = begun else {
                away += 1;
                continue;
            };
            pass(4 * HOUR).await;
            let is_over = above.heal();
            let went: BTreeSet<String> = net.copies.lock().unwrap().iter().map(|copy| copy.to.clone()).collect();
            let case = format!("error {errno} at {n}: {:#?}", station.lines());
            assert_eq!((went.len(), station.handle().usage().messages), (waiting, 0), "{case}");
            assert_eq!(net.copies.lock().unwrap().len(), waiting, "{case}");
            if is_over {
                break;
            }
            faults += 1;
        }
    }
    assert!(faults > 40 && away > 10, "{faults} faults, {away} times it did not open");
}

// DSK-02: a disk that is full while a damaged message is taken out of the queue.
#[tokio::test(start_paused = true)]
async fn a_damaged_message_that_cannot_be_set_aside_now_is_later() {
    let place = place();
    let large = [MESSAGE, &b"x".repeat(900).repeat(10)].concat();
    place.station.accept(envelope(Some(JOE), &["ann@dead.example"]), &large).await;
    pass(Duration::from_secs(60)).await;
    let id = place.station.handle().list(None, 1)[0];
    place.station.fs.unlink(&Path::new("/spool/bodies").join(id.to_string())).unwrap();
    place.station.fs.fail_at(0, ENOSPC, false);
    place.station.handle().flush(Selector::All).await;
    pass(Duration::from_secs(10)).await;
    assert!(!place.station.fs.heal());
    let is_aside = |line: &String| line.starts_with(&format!("set aside {id}"));
    assert_eq!((place.waiting(), place.station.lines().iter().any(is_aside)), (1, false));
    pass(2 * HOUR).await;
    assert_eq!((place.waiting(), place.station.lines().iter().filter(|line| is_aside(line)).count()), (0, 1));
}

// DSK-05: a message that can be read no more when its sender is to be told is told of without it.
#[tokio::test(start_paused = true)]
async fn a_notice_needs_no_original() {
    let place = place();
    let no = Reply::enhanced(550, 5, 1, 1, "no such user");
    place.replies.rcpt.lock().unwrap().insert("ann@far.example".into(), no);
    place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Silence);
    let large = [MESSAGE, &b"x".repeat(900).repeat(10)].concat();
    place.station.accept(envelope(Some(JOE), &["ann@far.example"]), &large).await;
    pass(Duration::from_secs(1)).await;
    // The attempt has opened it.
    let id = place.station.handle().list(None, 1)[0];
    let body = Path::new("/spool/bodies").join(id.to_string());
    place.station.fs.unlink(&body).unwrap();
    place.station.fs.make_dir(&body).unwrap();
    pass(HOUR).await;
    let notices = place.notices();
    assert_eq!((notices.len(), place.waiting()), (1, 0), "{:#?}", place.station.lines());
    assert!(notices[0].contains("; ann@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"), "{}", notices[0]);
}

// DSK-09: what is found damaged while the log is tidied is told as well.
#[tokio::test(start_paused = true)]
async fn what_is_set_aside_in_passing_is_told() {
    let place = place();
    let stuck = [MESSAGE, b"flip this one"].concat();
    place.station.accept(envelope(Some(JOE), &["ann@dead.example"]), &stuck).await;
    let handle = place.station.handle();
    let id = handle.hold(Selector::All).await.unwrap()[0];
    let fs = &place.station.fs;
    let log = Path::new("/spool/log");
    let segment = log.join(&fs.list(log).unwrap()[0].name);
    for n in 0..120 {
        place.station.accept(envelope(Some(JOE), &["bob@here.example"]), &b"filling ".repeat(100)).await;
        if n == 0 {
            let mut octets = fs.read(&segment, 1 << 20).unwrap();
            let at = octets.windows(9).position(|window| window == b"flip this").unwrap();
            octets[at] ^= 1;
            fs.unlink(&segment).unwrap();
            fs.create(&segment).unwrap().write(&octets).unwrap();
        }
        pass(Duration::from_secs(1)).await;
    }
    pass(HOUR).await;
    let lines = place.station.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with(&format!("set aside {id}"))).count(), 1);
    assert_eq!((place.waiting(), handle.release(Selector::All).await.unwrap().len()), (0, 0));
}

/// Which messages are held, as the log says; that the schedule says the same is seen by what is held anew.
async fn held(handle: &OutboundHandle) -> BTreeSet<MessageId> {
    let mut held = BTreeSet::new();
    for id in handle.list(None, 10_000) {
        if handle.show(id).await.unwrap().held {
            held.insert(id);
        }
    }
    held
}

// An operator's change of many messages meets a disk that is full: what it says was done is done, on the disk and in memory, and
// nothing else.
#[tokio::test(start_paused = true)]
async fn a_change_of_many_that_is_interrupted_says_what_was_done() {
    const ALL: usize = 1100;
    let place = place();
    for n in 0..ALL {
        // Nothing else writes meanwhile: they are not tried today.
        let mut envelope = envelope(Some(JOE), &[&format!("r{n}@dead.example")]);
        envelope.future_release = Some(FutureRelease::For(24 * 3600));
        assert_eq!(place.station.accept(envelope, b"x").await, [Outcome::Delivered]);
    }
    let handle = place.station.handle();
    let mut dones = BTreeSet::new();
    for n in 0.. {
        let fail = || place.station.fs.fail_at(n, ENOSPC, false);
        fail();
        let Err(error) = handle.hold(Selector::All).await else {
            assert!(place.station.fs.heal() && n > 4, "only {n} changes");
            break;
        };
        let done: BTreeSet<_> = error.done.iter().copied().collect();
        assert!(held(&handle).await == done, "hold, change {n}");
        let rest: BTreeSet<_> = handle.hold(Selector::All).await.unwrap().into_iter().collect();
        assert_eq!((rest.len() + done.len(), rest.is_disjoint(&done)), (ALL, true), "hold, change {n}");
        fail();
        let free = match handle.release(Selector::All).await {
            Ok(free) => free,
            Err(error) => error.done,
        };
        place.station.fs.heal();
        assert_eq!(held(&handle).await.len() + free.len(), ALL, "release, change {n}");
        assert_eq!(handle.release(Selector::All).await.unwrap().len() + free.len(), ALL, "release, change {n}");
        dones.extend([done.len(), free.len()]);
    }
    assert!([0, 1000].iter().all(|done| dones.contains(done)), "{dones:?}");
    // In the second group, whether the first one begins a segment or not.
    place.station.fs.fail_at(4, EIO, false);
    let error = handle.delete(Selector::All).await.unwrap_err();
    assert_eq!((error.done.len(), place.waiting()), (1000, 100), "{error}");
    assert_eq!(error.to_string(), format!("1000 messages were changed, and then: {}", error.error));
    assert_eq!(handle.delete(Selector::All).await.unwrap().len(), 100);
    assert_eq!((place.waiting(), place.notices().len()), (0, 0));
}

// DSN: a notice of delay and the end of an attempt come within seconds of each other, in either order, each in a task of its own.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_a_delay_that_is_over() {
    for seconds in [14_398, 14_399, 14_400, 14_401] {
        let mut config = config();
        config.schedule.delay_first = Duration::from_secs(seconds);
        (config.schedule.delay_max, config.schedule.jitter_percent) = (Duration::from_secs(seconds), 0);
        let place = place_of(SimulatedFs::new(), config, |_| {});
        place.replies.faults.lock().unwrap().extend([("mx1".into(), Fault::Refuse), ("mx2".into(), Fault::Refuse)]);
        place.send(&["ann@far.example", "eve@dead.example"]).await;
        pass(HOUR).await;
        place.replies.faults.lock().unwrap().clear();
        pass(5 * HOUR).await;
        let notices = place.notices();
        assert_eq!(notices.len(), 1, "{seconds}: {notices:#?}");
        let is_named = notices[0].contains("; ann@far.example\r\nAction: delayed");
        let delivered = place.copies().iter().position(|copy| copy.to == "ann@far.example").unwrap();
        let told = place.copies().iter().position(|copy| copy.host == "here").unwrap();
        assert!(!is_named || told < delivered, "{seconds}: told of a delay that is over");
    }
}

// An operator's look at all of a long queue is made in slices: mail comes in meanwhile.
#[tokio::test(start_paused = true)]
async fn mail_is_accepted_while_an_operator_looks_at_all_of_it() {
    let place = place();
    for n in 0..3000 {
        place.station.accept(envelope(Some(JOE), &[&format!("r{n}@dead.example")]), b"x").await;
    }
    let handle = place.station.handle();
    let steps = std::cell::RefCell::new(Vec::new());
    let operator = async {
        assert_eq!(handle.flush(Selector::All).await.len(), 3001);
        steps.borrow_mut().push("flushed");
    };
    let client = async {
        tokio::task::yield_now().await;
        place.station.accept(envelope(Some(JOE), &["new@dead.example"]), b"x").await;
        steps.borrow_mut().push("accepted");
    };
    tokio::join!(operator, client);
    assert_eq!(*steps.borrow(), ["accepted", "flushed"]);
}
