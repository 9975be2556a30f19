//! One behaviour each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::outbound::{OutboundConfig, Route, SmartHost, TlsMode, spool::Selector};
use pillarbox::parts::{Envelope, MessageSink as _, Notices, Outcome, Verdict};
use pillarbox::smtp::{Notify, Protocol, ServerConfig};
use pillarbox_core::Reply;
use pillarbox_core::address::{Address, Domain, ForwardPath};
use pillarbox_core::dns::{FixedZone, Record};
use pillarbox_fs::{Fs as _, SimulatedFs};
use pillarbox_smtp::command::{DeliverBy, FutureRelease};
use pillarbox_smtp::route::RouteTable;

use crate::net::{Copy, Fault, Mailboxes, Net, Paused, Script, text};
use crate::station::{Station, config, envelope, parts, routes};

pub(crate) const JOE: &str = "joe@here.example";
pub(crate) const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nhello\r\n";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Replies that are set by name.
#[derive(Default)]
pub(crate) struct Replies {
    pub(crate) rcpt: Mutex<HashMap<String, Reply>>,
    mail: Mutex<HashMap<String, Reply>>,
    pub(crate) end: Mutex<HashMap<String, Reply>>,
    pub(crate) faults: Mutex<HashMap<String, Fault>>,
}

impl Script for Replies {
    fn fault(&self, host: &str) -> Option<Fault> {
        self.faults.lock().unwrap().get(host).copied()
    }

    fn rcpt(&self, _host: &str, to: &str) -> Verdict {
        verdict(self.rcpt.lock().unwrap().get(to).cloned())
    }

    fn end(&self, host: &str) -> Option<Reply> {
        self.end.lock().unwrap().get(host).cloned()
    }

    fn mail(&self, host: &str) -> Verdict {
        verdict(self.mail.lock().unwrap().get(host).cloned())
    }
}

fn verdict(reply: Option<Reply>) -> Verdict {
    match reply {
        Some(reply) if reply.code() == 421 => Verdict::Hangup(reply),
        Some(reply) => Verdict::Refuse(reply),
        None => Verdict::Accept,
    }
}

pub(crate) struct Place {
    pub(crate) station: Station,
    pub(crate) net: Arc<Net>,
    pub(crate) replies: Arc<Replies>,
}

pub(crate) fn zone() -> FixedZone {
    let mx = |preference, host: &str| Record::mx(preference, host.parse().unwrap());
    let a = |last| Record::A([192, 0, 2, last].into());
    FixedZone::new()
        .with("far.example", mx(10, "mx1.far.example"))
        .with("far.example", mx(20, "mx2.far.example"))
        .with("mx1.far.example", a(1))
        .with("mx2.far.example", a(2))
        .with("no-mail.example", mx(0, "."))
        .with("loop.example", mx(10, "mx.here.example"))
        .with("dead.example", mx(10, "mx.dead.example"))
        .with("mx.dead.example", a(99))
        .with("relay.example", a(3))
        .with("half.example", mx(10, "mx.broken.example"))
        .with("half.example", mx(20, "mx2.far.example"))
        .failing("mx.broken.example")
        .failing("broken.example")
}

pub(crate) fn place() -> Place {
    place_with(SimulatedFs::new(), |_| {})
}

pub(crate) fn place_with(fs: SimulatedFs, change: impl FnOnce(&mut RouteTable<Route>)) -> Place {
    place_of(fs, config(), change)
}

pub(crate) fn place_of(fs: SimulatedFs, config: OutboundConfig, change: impl FnOnce(&mut RouteTable<Route>)) -> Place {
    let replies = Arc::new(Replies::default());
    let mut dsn = ServerConfig::new("mx1.far.example");
    dsn.dsn = true;
    let mut lmtp = ServerConfig::new("lmtp.example");
    lmtp.protocol = Protocol::Lmtp;
    let net = Net::new(Paused::new(), replies.clone())
        .host("192.0.2.1", "mx1", dsn)
        .host("192.0.2.2", "mx2", ServerConfig::new("mx2.far.example"))
        .host("192.0.2.3", "relay", ServerConfig::new("relay.example"))
        .host("192.0.2.4", "lmtp", lmtp);
    let net = Arc::new(net);
    let mut table = routes(&net);
    change(&mut table);
    let station = Station::begin(fs, 1, config, |diary| parts(&net, zone(), diary), table);
    Place { station, net, replies }
}

impl Place {
    pub(crate) async fn send(&self, to: &[&str]) {
        self.send_from(Some(JOE), to).await;
    }

    async fn send_from(&self, from: Option<&str>, to: &[&str]) {
        let outcomes = self.station.accept(envelope(from, to), MESSAGE).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Delivered), "{outcomes:?}");
    }

    pub(crate) fn copies(&self) -> Vec<Copy> {
        self.net.copies.lock().unwrap().clone()
    }

    /// Where copies went, and to whom.
    pub(crate) fn went(&self) -> Vec<String> {
        self.copies().iter().map(|copy| format!("{} {}", copy.host, copy.to)).collect()
    }

    /// The notices that Joe got.
    pub(crate) fn notices(&self) -> Vec<String> {
        let all = self.copies().into_iter().filter(|copy| copy.host == "here" && copy.envelope.from.is_null());
        all.map(|copy| String::from_utf8(copy.octets).unwrap()).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.station.handle().usage().messages
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn mail_goes_to_the_most_preferred_exchanger_and_is_forgotten() {
    let place = place();
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!(place.went(), ["mx1 ann@far.example"]);
    assert!(place.copies()[0].octets.ends_with(MESSAGE));
    assert_eq!((place.waiting(), place.notices().len()), (0, 0));
}

// RTY-02, RTY-03
#[tokio::test(start_paused = true)]
async fn each_recipient_has_its_own_fate() {
    let place = place();
    let later = Reply::enhanced(450, 4, 2, 1, "mailbox busy");
    place.replies.rcpt.lock().unwrap().insert("later@far.example".into(), later);
    let never = Reply::enhanced(550, 5, 1, 1, "no such user");
    place.replies.rcpt.lock().unwrap().insert("never@far.example".into(), never);
    place.send(&["ann@far.example", "later@far.example", "never@far.example"]).await;
    pass(Duration::from_secs(60)).await;
    let notice = &place.notices()[0];
    assert!(
        notice.contains("Final-Recipient: rfc822; never@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"),
        "{notice}"
    );
    assert!(
        notice.contains("Remote-MTA: dns; mx1.far.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"),
        "{notice}"
    );
    assert_eq!(place.waiting(), 1);
    place.replies.rcpt.lock().unwrap().clear();
    pass(HOUR).await;
    assert_eq!(place.went(), ["mx1 ann@far.example", "here joe@here.example", "mx1 later@far.example"]);
    assert_eq!((place.waiting(), place.notices().len()), (0, 1));
}

// RTY-04: 421 says nothing about a recipient; the next host is asked.
#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_up_is_followed_by_the_next() {
    let place = place();
    place.replies.mail.lock().unwrap().insert("mx1".into(), Reply::enhanced(421, 4, 3, 2, "not now"));
    place.send(&["ann@far.example"]).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(place.went(), ["mx2 ann@far.example"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_refuses_is_followed_by_the_next() {
    let place = place();
    place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Refuse);
    place.send(&["ann@far.example"]).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(place.went(), ["mx2 ann@far.example"]);
}

// RTY-01, RTY-05, DSN-11
#[tokio::test(start_paused = true)]
async fn a_dead_destination_is_told_late_and_given_up_in_the_end() {
    let place = place();
    place.send(&["ann@dead.example"]).await;
    pass(Duration::from_secs(4 * 3600 - 60)).await;
    assert_eq!(place.notices().len(), 0);
    pass(Duration::from_secs(120)).await;
    let late = place.notices().remove(0);
    assert!(late.contains("Action: delayed\r\n") && late.contains("Will-Retry-Until: "), "{late}");
    pass(Duration::from_secs(5 * 24 * 3600)).await;
    let notices = place.notices();
    assert_eq!((notices.len(), place.waiting()), (2, 0));
    assert!(notices[1].contains("Action: failed\r\nStatus: 4.4.7\r\n"), "{}", notices[1]);
    let tries = place.net.dialled.lock().unwrap().len();
    // 5 days by waits of 4,000 s give or take a fifth.
    assert!((90..150).contains(&tries), "{tries}");
}

// RTY-08, LOP
#[tokio::test(start_paused = true)]
async fn domains_that_take_no_mail_are_told_at_once() {
    let place = place();
    for (to, status) in
        [("ann@no-mail.example", "5.1.10"), ("ann@absent.example", "5.1.2"), ("ann@loop.example", "5.4.6")]
    {
        place.send(&[to]).await;
        pass(Duration::from_secs(1)).await;
        let notice = place.notices().pop().unwrap();
        assert!(notice.contains(&format!("; {to}\r\nAction: failed\r\nStatus: {status}\r\n")), "{notice}");
    }
    assert_eq!(place.net.dialled.lock().unwrap().len(), 0);
    place.send(&["ann@broken.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.notices().len(), place.waiting()), (3, 1), "a look-up that fails is no absence");
}

// DSN-01, DSN-04
#[tokio::test(start_paused = true)]
async fn nobody_is_told_who_must_not_be() {
    let place = place();
    place.send_from(None, &["ann@no-mail.example"]).await;
    let mut never = envelope(Some(JOE), &["ann@no-mail.example"]);
    never.notices = vec![Notices::new(Some(Notify::default()), None)];
    place.station.accept(never, MESSAGE).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 0));
    assert!(place.station.lines().contains(&"double bounce".to_owned()));
}

// DSN-05
#[tokio::test(start_paused = true)]
async fn success_is_told_by_us_where_the_next_server_does_not() {
    let place = place();
    let wants_success = || {
        let mut envelope = envelope(Some(JOE), &["ann@far.example"]);
        envelope.envid = Some("order 66".into());
        let notify = "SUCCESS,FAILURE".parse().unwrap();
        envelope.notices = vec![Notices::new(Some(notify), None)];
        envelope
    };
    place.station.accept(wants_success(), MESSAGE).await;
    pass(HOUR).await;
    assert_eq!(place.notices().len(), 0, "mx1 knows DSN");
    let handed_on = &place.copies()[0].envelope;
    assert_eq!(handed_on.envid.as_deref(), Some("order 66"));
    assert_eq!(handed_on.notices[0].notify.unwrap().to_string(), "SUCCESS,FAILURE");

    place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Refuse);
    place.station.accept(wants_success(), MESSAGE).await;
    pass(HOUR).await;
    let notice = &place.notices()[0];
    assert!(
        notice.contains("Original-Envelope-Id: order 66\r\n") && notice.contains("Action: relayed\r\n"),
        "{notice}"
    );
}

// One 250 for all: what is for here goes the same way as the rest.
#[tokio::test(start_paused = true)]
async fn a_message_for_here_and_elsewhere_is_one_record() {
    let place = place();
    place.send(&["bob@here.example", "ann@far.example"]).await;
    assert_eq!(place.waiting(), 1);
    pass(Duration::from_secs(1)).await;
    let mut went = place.went();
    went.sort();
    assert_eq!(went, ["here bob@here.example", "mx1 ann@far.example"]);
    assert_eq!(place.waiting(), 0);
}

// Connections are used again for a while.
#[tokio::test(start_paused = true)]
async fn several_messages_go_over_one_connection() {
    let place = place();
    for _ in 0..3 {
        place.send(&["ann@far.example"]).await;
        pass(Duration::from_secs(2)).await;
    }
    assert_eq!((place.copies().len(), place.net.dialled.lock().unwrap().len()), (3, 1));
    pass(HOUR).await;
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.net.dialled.lock().unwrap().len()), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn many_recipients_go_in_several_transactions_of_one_connection() {
    let place = place();
    let many: Vec<String> = (0..250).map(|n| format!("r{n}@far.example")).collect();
    let many: Vec<&str> = many.iter().map(|to| &**to).collect();
    place.send(&many).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.net.dialled.lock().unwrap().len(), place.waiting()), (250, 1, 0));
}

// TLP: where TLS is required and not there, nothing is sent, and the message waits.
#[tokio::test(start_paused = true)]
async fn nothing_goes_in_the_clear_where_that_is_forbidden() {
    let place = place_with(SimulatedFs::new(), |table| {
        let mut relay = SmartHost::new(Domain::parse("relay.example").unwrap());
        relay.tls = TlsMode::Encrypted;
        table.set_default(Route::SmartHost(Arc::new(relay)));
    });
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 1));
    assert!(place.net.dialled.lock().unwrap().len() > 1, "it was tried");
}

// RFC 8689 §4.2.1: without anybody to vouch for the next host the message goes back.
#[tokio::test(start_paused = true)]
async fn a_message_that_needs_tls_goes_back_where_there_is_none() {
    let place = place();
    let mut envelope = envelope(Some(JOE), &["ann@far.example"]);
    envelope.require_tls = true;
    place.station.accept(envelope, MESSAGE).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (1, 0));
    let notice = &place.notices()[0];
    assert!(notice.contains("Status: 5.7.30\r\n") && notice.contains("text/rfc822-headers"), "{notice}");
}

#[tokio::test(start_paused = true)]
async fn a_smart_host_gets_everything() {
    let place = place_with(SimulatedFs::new(), |table| {
        let mut relay = SmartHost::new(Domain::parse("relay.example").unwrap());
        relay.tls = TlsMode::IfOffered;
        table.set_default(Route::SmartHost(Arc::new(relay)));
    });
    place.send(&["ann@far.example", "eve@no-mail.example"]).await;
    pass(HOUR).await;
    assert_eq!(place.went(), ["relay ann@far.example", "relay eve@no-mail.example"]);
    assert_eq!(*place.net.dialled.lock().unwrap(), ["192.0.2.3:587"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_found_after_a_start() {
    let place = place();
    place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Silence);
    place.replies.faults.lock().unwrap().insert("mx2".into(), Fault::StopAfter(0));
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 1));
    let (fs, _) = place.station.crash(0).await;
    let place = place_with(fs, |_| {});
    pass(2 * HOUR).await;
    assert_eq!((place.went(), place.waiting()), (vec!["mx1 ann@far.example".to_owned()], 0));
}

// RTY-09
#[tokio::test(start_paused = true)]
async fn an_operator_holds_releases_flushes_and_deletes() {
    let place = place();
    place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Refuse);
    place.replies.faults.lock().unwrap().insert("mx2".into(), Fault::Refuse);
    place.send(&["ann@far.example"]).await;
    pass(Duration::from_secs(1)).await;
    let handle = place.station.handle();
    let id = handle.list(None, 10)[0];
    let message = handle.show(id).await.unwrap();
    assert_eq!(message.recipients[0].attempts, 1);
    assert_eq!(handle.hold(Selector::All).await.unwrap(), [id]);
    let tries = place.net.dialled.lock().unwrap().len();
    pass(24 * HOUR).await;
    assert_eq!((handle.flush(Selector::All).await, place.net.dialled.lock().unwrap().len()), (vec![id], tries));
    assert!(handle.show(id).await.unwrap().held);
    place.replies.faults.lock().unwrap().clear();
    assert_eq!(handle.release(Selector::Destination("far.example")).await.unwrap(), [id]);
    handle.flush(Selector::All).await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(place.went().pop().unwrap(), "mx1 ann@far.example");
    assert_eq!((place.waiting(), place.notices().len()), (0, 1), "it is told that it was late, once it is released");

    place.send(&["ann@dead.example"]).await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(handle.delete(Selector::Sender(Some(JOE))).await.unwrap().len(), 1);
    pass(24 * HOUR).await;
    assert_eq!((place.waiting(), place.notices().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_what_is_under_way() {
    let place = place();
    place.replies.faults.lock().unwrap().insert("mx1".into(), Fault::Slow(10));
    place.send(&["ann@far.example"]).await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(place.copies().len(), 0);
    let (net, fs) = (place.net.clone(), place.station.stop().await);
    assert_eq!(net.copies.lock().unwrap().len(), 1);
    let place = place_with(fs, |_| {});
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 0), "it is not sent again");
}

// RFC 4865
#[tokio::test(start_paused = true)]
async fn a_message_that_is_to_wait_waits() {
    let place = place();
    let mut envelope = envelope(Some(JOE), &["ann@far.example"]);
    envelope.future_release = Some(FutureRelease::For(2 * 24 * 3600));
    place.station.accept(envelope, MESSAGE).await;
    pass(47 * HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 1), "and nobody is told that it is late");
    pass(2 * HOUR).await;
    assert_eq!((place.went(), place.waiting()), (vec!["mx1 ann@far.example".to_owned()], 0));
}

// RFC 2852 §4.1.3
#[tokio::test(start_paused = true)]
async fn a_time_that_the_sender_gave_is_kept() {
    let place = place();
    for (mode, action) in [("R", "Action: failed\r\nStatus: 5.4.7"), ("N", "Action: delayed\r\n")] {
        let mut envelope = envelope(Some(JOE), &["ann@dead.example"]);
        envelope.deliver_by = Some(DeliverBy::parse(&format!("600;{mode}")).unwrap());
        place.station.accept(envelope, MESSAGE).await;
        pass(Duration::from_secs(599)).await;
        let before = place.notices().len();
        pass(Duration::from_secs(2)).await;
        let notices = place.notices();
        assert_eq!(notices.len(), before + 1, "{mode}");
        assert!(notices[before].contains(action), "{}", notices[before]);
    }
    assert_eq!(place.waiting(), 1, "what is only late is tried further");
}

// DSN-02
#[tokio::test(start_paused = true)]
async fn of_a_notice_that_failed_the_postmaster_hears_and_of_that_nobody() {
    let mut config = config();
    config.double_bounces_to = Some(Address::parse("postmaster@no-mail.example").unwrap().into_owned());
    let place = place_of(SimulatedFs::new(), config, |_| {});
    place.send_from(None, &["ann@absent.example"]).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 0));
    let lines = place.station.lines();
    assert_eq!(lines.iter().filter(|line| *line == "notice to postmaster@no-mail.example").count(), 1, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| *line == "double bounce").count(), 2);
}

// DSN-09
#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_a_message_whose_sender_is_false() {
    let place = place();
    let sink = place.station.sink.clone().silent(|envelope| envelope.session.ip.is_none());
    let mut incoming = sink.begin(envelope(Some(JOE), &["ann@no-mail.example", "bob@far.example"])).await.unwrap();
    incoming.write(MESSAGE).await.unwrap();
    incoming.commit(true).await;
    pass(HOUR).await;
    assert_eq!(place.went(), ["mx1 bob@far.example"]);
    assert!(place.copies()[0].envelope.notices[0].notify.unwrap().is_never(), "nor by the next server");
}

// A message that is damaged on the disk is not sent, and not lost from sight either.
#[tokio::test(start_paused = true)]
async fn a_damaged_message_is_set_aside() {
    let place = place();
    let large = [MESSAGE, &b"x".repeat(900).repeat(10)].concat();
    place.station.accept(envelope(Some(JOE), &["ann@dead.example"]), &large).await;
    pass(Duration::from_secs(60)).await;
    let id = place.station.handle().list(None, 1)[0];
    let path = std::path::Path::new("/spool/bodies").join(id.to_string());
    place.station.fs.unlink(&path).unwrap();
    let mut other = place.station.fs.create(&path).unwrap();
    other.write(b"something else").unwrap();
    place.station.handle().flush(Selector::All).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (0, 0));
    let lines = place.station.lines();
    assert!(lines.iter().any(|line| line.starts_with(&format!("set aside {id}"))), "{lines:#?}");
}

// LOP-01
#[tokio::test(start_paused = true)]
async fn a_message_that_goes_in_a_circle_goes_back() {
    let place = place();
    for (hops, status) in [(100, None), (101, Some("Status: 5.4.6\r\n"))] {
        let message = [b"Received: from a by b\r\n".repeat(hops), MESSAGE.to_vec()].concat();
        place.station.accept(envelope(Some(JOE), &["ann@far.example"]), &message).await;
        pass(Duration::from_secs(1)).await;
        let notice = place.notices().pop();
        assert_eq!(
            notice.as_ref().is_some_and(|text| text.contains(status.unwrap_or("-"))),
            status.is_some(),
            "{notice:?}"
        );
    }
    assert_eq!(place.went(), ["mx1 ann@far.example", "here joe@here.example"]);
}

// RFC 5321 §5.1: this host under another name, and what is farther than it.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_addresses_of_this_host() {
    let mut config = config();
    config.own_addresses = vec![[192, 0, 2, 1].into()];
    let place = place_of(SimulatedFs::new(), config, |_| {});
    place.send(&["ann@far.example"]).await;
    pass(HOUR).await;
    assert_eq!(place.net.dialled.lock().unwrap().len(), 0);
    assert!(place.notices()[0].contains("Status: 5.4.6\r\n"), "{}", place.notices()[0]);
}

// What is for mailboxes here alone makes no detour, unless it is to wait.
#[tokio::test(start_paused = true)]
async fn local_mail_goes_straight() {
    let place = place();
    let mailboxes = Arc::new(Mailboxes(place.net.copies.clone(), place.net.now.clone()));
    let is_here = |to: &ForwardPath<'_>| text(to).ends_with("@here.example");
    let sink = place.station.sink.clone().local(mailboxes, is_here);
    let give = async |envelope: Envelope| {
        let mut incoming = sink.begin(envelope).await.unwrap();
        incoming.write(MESSAGE).await.unwrap();
        assert!(incoming.commit(true).await.iter().all(|outcome| *outcome == Outcome::Delivered));
    };
    give(envelope(Some(JOE), &["bob@here.example"])).await;
    assert_eq!((place.copies().len(), place.waiting()), (1, 0));
    give(envelope(Some(JOE), &["bob@here.example", "ann@far.example"])).await;
    assert_eq!((place.copies().len(), place.waiting()), (1, 1));
    let mut waits = envelope(Some(JOE), &["bob@here.example"]);
    waits.future_release = Some(FutureRelease::For(60));
    give(waits).await;
    pass(HOUR).await;
    assert_eq!((place.copies().len(), place.waiting()), (4, 0));
}

// RFC 2033: a server of LMTP keeps what it takes.
#[tokio::test(start_paused = true)]
async fn lmtp_is_told_of_as_delivered() {
    let place = place_with(SimulatedFs::new(), |table| {
        let mut lmtp = SmartHost::lmtp(Domain::parse("lmtp.example").unwrap());
        lmtp.address = Some([192, 0, 2, 4].into());
        table.by_recipient("far.example", Route::SmartHost(Arc::new(lmtp))).unwrap();
    });
    place.replies.rcpt.lock().unwrap().insert("no@far.example".into(), Reply::enhanced(550, 5, 1, 1, "no"));
    let mut envelope = envelope(Some(JOE), &["ann@far.example", "no@far.example"]);
    envelope.notices = vec![Notices::new(Some("SUCCESS,FAILURE".parse().unwrap()), None); 2];
    place.station.accept(envelope, MESSAGE).await;
    pass(HOUR).await;
    assert_eq!(place.went(), ["lmtp ann@far.example", "here joe@here.example"]);
    let notice = &place.notices()[0];
    for (to, action) in [("ann", "delivered"), ("no", "failed")] {
        assert!(notice.contains(&format!("; {to}@far.example\r\nAction: {action}\r\n")), "{notice}");
    }
    assert_eq!(*place.net.dialled.lock().unwrap(), ["192.0.2.4:24"]);
}
