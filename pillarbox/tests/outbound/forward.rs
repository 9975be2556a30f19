//! Mail that is sent on, and what comes back of it.

use std::sync::Arc;
use std::time::Duration;

use pillarbox::mailauth::RingCrypto;
use pillarbox::mailauth::arc::{ArcResult, Verifier};
use pillarbox::mailauth::dkim::{DomainKey, Policy, generate_ed25519};
use pillarbox::outbound::{Aliases, Forward, OutboundConfig, SharedForward, Srs, spool};
use pillarbox::parts::{BoxFuture, Envelope, Identity, IncomingMessage, MessageSink, Outcome, SinkError, Verdict};
use pillarbox::smtp::ServerConfig;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::crypto::{Crypto as _, PublicKey};
use pillarbox_core::dns::{self, FixedZone, Record};
use pillarbox_core::{Reply, SeededRandom, WallTime};
use pillarbox_fs::SimulatedFs;
use pillarbox_smtp::command::FutureRelease;

use crate::net::{Copy, Fault, Mailboxes, Net, Paused, START, Script};
use crate::station::{Station, config, envelope, parts, routes};

const JOE: &str = "joe@else.example";
const ALIASES: &str = "info: ann@far.example
both: \\both, ann@far.example
team: ann@far.example, eve@here.example
a: b
b: a
gone: gone@far.example
you: \\you, gone@far.example
later: \\later, ann@later.far.example
";

/// All but one mailbox are there.
struct Far;

impl Script for Far {
    fn fault(&self, _host: &str) -> Option<Fault> {
        None
    }

    fn rcpt(&self, _host: &str, to: &str) -> Verdict {
        match to {
            "gone@far.example" => Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such mailbox")),
            _ => Verdict::Accept,
        }
    }

    fn end(&self, _host: &str) -> Option<Reply> {
        None
    }
}

struct Place {
    station: Station,
    net: Arc<Net>,
    forward: Arc<Forward>,
}

fn srs() -> Srs {
    Srs::new("srs.here.example", ["secret"]).unwrap().own_domain("here.example").unwrap()
}

fn place_with(change: impl FnOnce(Forward) -> Forward) -> Place {
    place_of(change, config())
}

fn place_of(change: impl FnOnce(Forward) -> Forward, config: OutboundConfig) -> Place {
    let mx = |host: &str| Record::mx(10, host.parse().unwrap());
    let zone = FixedZone::new()
        .with("far.example", mx("mx.far.example"))
        .with("else.example", mx("mx.far.example"))
        .with("later.far.example", mx("mx.later.example"))
        .with("mx.later.example", Record::A([192, 0, 2, 9].into()))
        .with("mx.far.example", Record::A([192, 0, 2, 1].into()));
    let mut server = ServerConfig::new("mx.far.example");
    server.dsn = true;
    let net = Arc::new(Net::new(Paused::new(), Arc::new(Far)).host("192.0.2.1", "far", server));
    let mut table = routes(&net);
    let mailboxes = Arc::new(Mailboxes(net.copies.clone(), net.now.clone()));
    let aliases = Aliases::parse(ALIASES, "here.example").unwrap();
    let forward = Arc::new(change(Forward::new(aliases, Some(srs())).mailboxes(mailboxes)));
    forward.add_to(&mut table).unwrap();
    let station = Station::begin(SimulatedFs::new(), 1, config, |diary| parts(&net, zone, diary), table);
    Place { station, net, forward }
}

fn place() -> Place {
    place_with(|forward| forward)
}

impl Place {
    async fn send(&self, from: Option<&str>, to: &str, message: &str) -> Vec<Copy> {
        self.send_as(envelope(from, &[to]), message).await
    }

    async fn send_as(&self, envelope: Envelope, message: &str) -> Vec<Copy> {
        let outcomes = self.station.accept(envelope, message.as_bytes()).await;
        assert_eq!(outcomes, [Outcome::Delivered]);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(self.station.handle().usage().messages, 0, "{:?}", self.station.lines());
        std::mem::take(&mut *self.net.copies.lock().unwrap())
    }
}

const MESSAGE: &str =
    "Received: from x by y; Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: joe@else.example\r\n\r\nhello\r\n";

fn sender(copy: &Copy) -> String {
    copy.envelope.from.address().map(ToString::to_string).unwrap_or_default()
}

fn content(copy: &Copy) -> String {
    let octets = [&copy.envelope.trace[..], &copy.octets].concat();
    String::from_utf8(octets).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_alias_sends_on_under_a_sender_of_ours() {
    let place = place();
    let copies = place.send(Some(JOE), "info@here.example", MESSAGE).await;
    assert_eq!(copies.iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(), ["ann@far.example"]);
    let from = Address::parse(JOE).unwrap();
    assert_eq!(sender(&copies[0]), srs().rewrite(&from, WallTime::new(START, 0)).unwrap().to_string());
    assert!(content(&copies[0]).contains(&format!("Delivered-To: info@here.example\r\n{MESSAGE}")));
    // Our own people are themselves; whoever only says so is not; and nobody stays nobody.
    let mut own = envelope(Some("eve@here.example"), &["info@here.example"]);
    own.session.identity = Some(Identity::new("eve"));
    let copies = place.send_as(own, MESSAGE).await;
    assert_eq!(sender(&copies[0]), "eve@here.example");
    let copies = place.send(Some("eve@here.example"), "info@here.example", MESSAGE).await;
    let ours = sender(&copies[0]);
    assert!(ours.starts_with("SRS0=") && ours.ends_with("=here.example=eve@srs.here.example"), "{ours}");
    let copies = place.send(None, "info@here.example", MESSAGE).await;
    assert_eq!(copies[0].envelope.from, ReversePath::Null);
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_to_all_and_a_copy_stays() {
    let place = place();
    let mut to = place.send(Some(JOE), "team@here.example", MESSAGE).await;
    to.sort_by(|a, b| a.to.cmp(&b.to));
    let to: Vec<_> = to.iter().map(|copy| (copy.host.as_str(), copy.to.as_str())).collect();
    assert_eq!(to, [("far", "ann@far.example"), ("here", "eve@here.example")]);
    let to = place.send(Some(JOE), "both@here.example", MESSAGE).await;
    let to: Vec<_> = to.iter().map(|copy| (copy.host.as_str(), copy.to.as_str())).collect();
    assert_eq!(to, [("here", "both@here.example"), ("far", "ann@far.example")]);
}

#[tokio::test(start_paused = true)]
async fn a_bounce_finds_back_to_the_sender() {
    let place = place();
    let ours = sender(&place.send(Some(JOE), "info@here.example", MESSAGE).await[0]);
    let copies = place.send(None, &ours, "Subject: it failed\r\n\r\n").await;
    assert_eq!(copies.iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(), [JOE]);
    assert_eq!(copies[0].envelope.from, ReversePath::Null);
    // A target that is not there: our own notice takes the same way.
    let copies = place.send(Some(JOE), "gone@here.example", MESSAGE).await;
    assert_eq!(copies.iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(), [JOE]);
    let notice = content(&copies[0]);
    assert!(notice.contains("gone@far.example") && !notice.contains("hello"), "a stranger's: {notice}");
}

// LOP-02, LOP-03, LOP-04
#[tokio::test(start_paused = true)]
async fn what_was_here_before_goes_back_once() {
    let place = place();
    let copies = place.send(Some(JOE), "a@here.example", MESSAGE).await;
    assert_eq!(copies.iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(), [JOE]);
    assert!(content(&copies[0]).contains("Status: 5.4.6"));
    let feigned = format!("Delivered-To: <Info@HERE.example>\r\n{MESSAGE}");
    let copies = place.send(Some(JOE), "info@here.example", &feigned.replace(['<', '>'], "")).await;
    assert_eq!(copies.iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(), [JOE]);
    assert!(content(&copies[0]).contains("Status: 5.4.6"));
    // Of what has no sender nobody is told.
    assert!(place.send(None, "a@here.example", MESSAGE).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rcpt_is_refused_where_an_address_is_forged_or_old() {
    let place = place();
    let judge_from = |from: Option<&str>, to: &str, days: i64| {
        let from = envelope(from, &[]).from;
        let to = ForwardPath::Address(Address::parse(to).unwrap().into_owned());
        match place.forward.judge(&to, &from, WallTime::new(START + days * 86_400, 0)) {
            Some(Verdict::Refuse(reply)) => Some(reply.to_string()),
            Some(_) => Some("yes".into()),
            None => None,
        }
    };
    let judge = |to: &str, days: i64| judge_from(None, to, days);
    let ours = srs().rewrite(&Address::parse(JOE).unwrap(), WallTime::new(START, 0)).unwrap().to_string();
    assert_eq!(judge(&ours, 21).as_deref(), Some("yes"));
    assert_eq!(judge(&ours, 22).as_deref(), Some("550 5.1.6 this address has expired"));
    assert_eq!(judge(&ours.replace("=joe", "=jim"), 0).as_deref(), Some("550 5.1.1 no such address here"));
    assert_eq!(judge("ann@srs.here.example", 0).as_deref(), Some("550 5.1.1 no such address here"));
    assert_eq!(judge("Info@here.example", 0).as_deref(), Some("yes"));
    assert_eq!(judge("eve@here.example", 0), None);
    let other = "550 5.7.1 this address takes bounces and nothing else";
    assert_eq!(judge_from(Some(JOE), &ours, 0).as_deref(), Some(other));
    assert_eq!(judge_from(Some(JOE), "info@here.example", 0).as_deref(), Some("yes"));
    // What was accepted in time and is old now goes back.
    let copies = place.send(Some(JOE), &ours.replace("=joe", "=jim"), MESSAGE).await;
    assert!(content(&copies[0]).contains("Status: 5.1.1"));
}

// RFC 8617 §5.1
#[tokio::test(start_paused = true)]
async fn what_is_sent_on_is_sealed_with_what_was_found() {
    let secret = generate_ed25519(&mut SeededRandom::new(1));
    let key = RingCrypto.load_key(&secret).unwrap();
    let PublicKey::Ed25519(public) = key.public_key() else { panic!("another kind of key") };
    let record = format!("v=DKIM1; k=ed25519; p={}", base64_of(public));
    let key = DomainKey::new("here.example".parse().unwrap(), "sel".parse().unwrap(), key.into());
    let place = place_with(|forward| forward.seal(key.clone()));
    let found = "Authentication-Results: mx.here.example; spf=pass smtp.mailfrom=else.example\r\n";
    let copies = place.send(Some(JOE), "info@here.example", &format!("{found}{MESSAGE}")).await;
    let sealed = content(&copies[0]);
    assert!(
        sealed.contains("ARC-Authentication-Results: i=1; mx.here.example; spf=pass smtp.mailfrom=else.example\r\n"),
        "{sealed}"
    );
    let zone = FixedZone::new().with("sel._domainkey.here.example", Record::txt(&record));
    let verify = |message: &str| {
        let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), u64::try_from(START).unwrap());
        verifier.write(message.as_bytes());
        verifier.finish();
        dns::run(&mut verifier, &zone).result
    };
    let message = &sealed[sealed.find("ARC-Seal").unwrap()..];
    assert_eq!(verify(message), ArcResult::Pass);
    assert_eq!(verify(&message.replace("hello", "hullo")), ArcResult::Fail);
    // What the host is called there need not be its name.
    let renamed = place_with(|forward| forward.seal(key).authserv_id("results.example"));
    for (results, is_sealed) in [("results.example", true), ("mx.here.example", false)] {
        let copies = renamed
            .send(Some(JOE), "info@here.example", &format!("{}{MESSAGE}", found.replace("mx.here.example", results)))
            .await;
        assert_eq!(content(&copies[0]).contains("ARC-Message-Signature"), is_sealed, "{results}");
    }
    // Below the Received field of this host stands what a stranger wrote, under whatever name.
    let chain = "ARC-Seal: i=1; cv=none\r\n";
    let feigned = "Authentication-Results: mx.here.example; arc=pass; dkim=pass header.d=bank.example\r\n";
    for message in [
        MESSAGE.replace("From:", &format!("{feigned}From:")),
        MESSAGE.replace("From:", &format!("{feigned}{chain}From:")),
        format!("Delivered-To: else@here.example\r\n{}", MESSAGE.replace("From:", &format!("{feigned}From:"))),
        // No field of this host is there at all.
        format!("{feigned}From: joe@else.example\r\n\r\nhello\r\n"),
        // Another host's word.
        format!("{}{MESSAGE}", found.replace("mx.here", "mx.else")),
        // The message was looked at, its chain was not.
        format!("{found}{chain}{MESSAGE}"),
        MESSAGE.into(),
    ] {
        let copies = place.send(Some(JOE), "info@here.example", &message).await;
        assert!(!content(&copies[0]).contains("ARC-Message-Signature"), "{message}");
    }
}

fn base64_of(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(octets)
}

// DSN-02
#[tokio::test(start_paused = true)]
async fn a_notice_about_a_notice_is_the_last_wherever_it_is_sent_on_to() {
    let mut config = config();
    config.double_bounces_to = Some(Address::parse("you@here.example").unwrap().into_owned());
    let place = place_of(|forward| forward, config);
    let copies = place.send(None, "gone@here.example", MESSAGE).await;
    assert_eq!(copies.iter().map(|copy| copy.to.as_str()).collect::<Vec<_>>(), ["you@here.example"]);
    let lines = place.station.lines();
    assert_eq!(lines.iter().filter(|line| *line == "notice to you@here.example").count(), 1, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| *line == "double bounce").count(), 2, "{lines:#?}");
}

/// Mailboxes that take nothing.
struct Shut(Reply);

impl MessageSink for Shut {
    fn begin(&self, _envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        Box::pin(async move { Err(SinkError::new(self.0.clone(), "shut")) })
    }
}

fn went(copies: &[Copy]) -> Vec<&str> {
    copies.iter().map(|copy| copy.to.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_cannot_stay_holds_up_nobody_else() {
    let full = Shut(Reply::enhanced(452, 4, 2, 2, "the mailbox is full"));
    let place = place_with(|forward| forward.mailboxes(Arc::new(full)));
    place.station.accept(envelope(Some(JOE), &["both@here.example"]), MESSAGE.as_bytes()).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(went(&place.net.copies.lock().unwrap()), ["ann@far.example"], "once, however often the other is tried");
    assert_eq!(place.station.handle().usage().messages, 1, "the copy that stays waits");
    let gone = Shut(Reply::enhanced(550, 5, 2, 1, "the mailbox is closed"));
    let place = place_with(|forward| forward.mailboxes(Arc::new(gone)));
    let mut copies = place.send(Some(JOE), "both@here.example", MESSAGE).await;
    copies.sort_by(|a, b| a.to.cmp(&b.to));
    assert_eq!(went(&copies), ["ann@far.example", JOE]);
    assert!(content(&copies[1]).contains("the mailbox is closed"), "{}", content(&copies[1]));
}

#[tokio::test(start_paused = true)]
async fn the_copy_that_stays_is_what_came() {
    let place = place();
    let copies = place.send(Some(JOE), "both@here.example", MESSAGE).await;
    let kept = copies.iter().find(|copy| copy.host == "here").unwrap();
    assert_eq!((sender(kept).as_str(), content(kept).as_str()), (JOE, MESSAGE));
    // Where its sender cannot be rewritten, it stays all the same, and the sender hears what is true.
    let long = format!("{}@{}.example", "x".repeat(60), vec!["y".repeat(60); 3].join("."));
    let copies = place.send(Some(&long), "both@here.example", MESSAGE).await;
    assert_eq!(went(&copies), ["both@here.example"]);
    let lines = place.station.lines().join("\n");
    let why = "both@here.example failed : not sent on, and a copy stays: the address is too long to be rewritten";
    assert!(lines.contains(why) && lines.contains(&format!("notice to {long}")), "{lines}");
}

/// What a log holds: is the first message there, what was sent on, and the copy that stays?
fn waiting(fs: SimulatedFs) -> [bool; 3] {
    let mut options = spool::Options::from_system();
    options.random = Box::new(SeededRandom::new(7));
    (options.reserve_bytes, options.reserve_files) = (0, 0);
    let (_store, recovery) = spool::Store::open(fs, "/spool", options).unwrap();
    let mut found = [false; 3];
    for recovered in recovery {
        let spool::Recovered::Waiting(waiting) = recovered else { continue };
        for (_, recipient) in waiting.open_recipients() {
            let is_far = recipient.to.address().unwrap().domain().as_str() == "later.far.example";
            let at = if waiting.envelope.is_kept { 2 } else { usize::from(is_far) };
            assert!(!std::mem::replace(&mut found[at], true), "twice");
        }
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_crash_leaves_either_the_message_or_what_it_turned_into() {
    // In the log, and in a file of its own.
    for length in [10, 9000] {
        let later = Shut(Reply::enhanced(452, 4, 2, 2, "the mailbox is full"));
        let place = place_with(|forward| forward.mailboxes(Arc::new(later)));
        let message = format!("{MESSAGE}{}\r\n", "x".repeat(length));
        let to = ["later@here.example"];
        assert_eq!(place.station.accept(envelope(Some(JOE), &to), message.as_bytes()).await, [Outcome::Delivered]);
        place.station.fs.record();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let crashes = place.station.fs.recorded();
        let (mut before, mut after) = (0, 0);
        for (seed, crash) in (0..).zip(&crashes) {
            for image in crash.images(64, seed) {
                match waiting(image) {
                    [true, false, false] => before += 1,
                    [false, true, true] => after += 1,
                    other => panic!("after {} changes: {other:?}", crash.changes()),
                }
            }
        }
        assert!(before > 0 && after > 0, "{before} disks before, {after} after");
    }
}

#[tokio::test(start_paused = true)]
async fn a_circle_is_seen_while_the_message_comes() {
    let place = place();
    let header = b"Received: x\r\nDelivered-To: Info@here.example\r\n\r\n";
    let judge = |to: &[&str]| place.forward.judge_header(&envelope(None, to).recipients, header);
    let Some(Verdict::Refuse(reply)) = judge(&["info@here.example"]) else { panic!("it is taken") };
    let told = "550 5.4.6 the message has been at this address before: it goes in a circle";
    assert_eq!(reply.to_string(), told);
    // Others are to have their mail.
    assert_eq!(judge(&["info@here.example", "team@here.example"]), None);
    assert_eq!(judge(&["eve@here.example"]), None);
    assert_eq!(judge(&[]), None);
}

// DSN-09: whoever a stranger names as the sender wrote nothing, perhaps.
#[tokio::test(start_paused = true)]
async fn a_forged_sender_hears_nothing_of_an_alias_where_somebody_here_does() {
    let you = || Address::parse("you@here.example").unwrap().into_owned();
    let place = place_with(|forward| forward.bounces_to(you()));
    let copies = place.send(Some(JOE), "info@here.example", MESSAGE).await;
    assert_eq!((went(&copies), sender(&copies[0])), (vec!["ann@far.example"], "you@here.example".into()));
    let copies = place.send(Some(JOE), "gone@here.example", MESSAGE).await;
    assert!(!went(&copies).contains(&JOE), "{:?}", went(&copies));
    let found =
        |what: &str| format!("Authentication-Results: mx.here.example; {what} smtp.mailfrom=else.example\r\n{MESSAGE}");
    for (what, is_told) in [("spf=pass", true), ("spf=softfail", false), ("dkim=pass", false)] {
        let copies = place.send(Some(JOE), "gone@here.example", &found(what)).await;
        assert_eq!(went(&copies).contains(&JOE), is_told, "{what}: {:?}", went(&copies));
    }
    // What is true of HELO or of another sender says nothing of this one.
    for what in ["spf=pass smtp.helo=mx.else.example", "spf=pass smtp.mailfrom=other.example"] {
        let message = format!(
            "Authentication-Results: mx.here.example; {what}; spf=none smtp.mailfrom=else.example\r\n{MESSAGE}"
        );
        assert!(!went(&place.send(Some(JOE), "gone@here.example", &message).await).contains(&JOE), "{what}");
    }
    let full = format!("Authentication-Results: mx.here.example; spf=pass smtp.mailfrom={JOE}\r\n{MESSAGE}");
    assert!(went(&place.send(Some(JOE), "gone@here.example", &full).await).contains(&JOE));
    // A feigned field below that of this host counts for nothing.
    let feigned = format!("{}{}", "Received: from x by y\r\n", found("spf=pass"));
    assert!(!went(&place.send(Some(JOE), "gone@here.example", &feigned).await).contains(&JOE));
    // Our own people are told, and nobody stays nobody.
    let mut own = envelope(Some("eve@here.example"), &["gone@here.example"]);
    own.session.identity = Some(Identity::new("eve"));
    assert_eq!(went(&place.send_as(own, MESSAGE).await), ["eve@here.example"]);
    assert_eq!(place.send(None, "info@here.example", MESSAGE).await[0].envelope.from, ReversePath::Null);
}

#[tokio::test(start_paused = true)]
async fn aliases_that_are_read_again_count_from_then_on() {
    let net =
        Arc::new(Net::new(Paused::new(), Arc::new(Far)).host("192.0.2.1", "far", ServerConfig::new("mx.far.example")));
    let zone = FixedZone::new().with("far.example", Record::A([192, 0, 2, 1].into()));
    let read = |text: &str| Forward::new(Aliases::parse(text, "here.example").unwrap(), Some(srs()));
    let shared = SharedForward::new(read("info: ann@far.example\n"));
    let parts = |diary: &_| {
        let mut parts = parts(&net, zone, diary);
        parts.forward = Some(shared.clone());
        parts
    };
    let station = Station::begin(SimulatedFs::new(), 1, config(), parts, routes(&net));
    let send = async |to: &str| {
        station.accept(envelope(Some(JOE), &[to]), MESSAGE.as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        std::mem::take(&mut *net.copies.lock().unwrap()).into_iter().map(|copy| copy.to).collect::<Vec<_>>()
    };
    assert_eq!(send("info@here.example").await, ["ann@far.example"]);
    assert_eq!(send("new@here.example").await, ["new@here.example"], "a mailbox");
    // One that waits goes where its alias leads when it is tried.
    let mut waits = envelope(Some(JOE), &["info@here.example"]);
    waits.future_release = Some(FutureRelease::For(30));
    station.accept(waits, MESSAGE.as_bytes()).await;
    shared.set(read("info: bob@far.example\nnew: eve@far.example\n"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let went: Vec<_> = std::mem::take(&mut *net.copies.lock().unwrap()).into_iter().map(|copy| copy.to).collect();
    assert_eq!(went, ["bob@far.example"]);
    assert_eq!(send("new@here.example").await, ["eve@far.example"]);
}

#[tokio::test(start_paused = true)]
async fn recipients_that_waited_together_part_where_an_alias_of_one_has_changed() {
    let net =
        Arc::new(Net::new(Paused::new(), Arc::new(Far)).host("192.0.2.1", "far", ServerConfig::new("mx.far.example")));
    let zone = FixedZone::new().with("far.example", Record::A([192, 0, 2, 1].into()));
    let read = |text: &str| Forward::new(Aliases::parse(text, "here.example").unwrap(), Some(srs()));
    let shared = SharedForward::new(read("info: ann@far.example\nsales: eve@far.example\n"));
    let parts = |diary: &_| {
        let mut parts = parts(&net, zone, diary);
        parts.forward = Some(shared.clone());
        parts
    };
    let station = Station::begin(SimulatedFs::new(), 1, config(), parts, routes(&net));
    let wait = async |to: &[&str], aliases: &str| {
        let mut waits = envelope(Some(JOE), to);
        waits.future_release = Some(FutureRelease::For(30));
        station.accept(waits, MESSAGE.as_bytes()).await;
        shared.set(read(aliases));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let copies = std::mem::take(&mut *net.copies.lock().unwrap());
        let mut went: Vec<_> = copies.into_iter().map(|copy| copy.to).collect();
        went.sort();
        went
    };
    // Two aliases, of which one becomes a mailbox; and two mailboxes, of which one becomes an alias.
    let went = wait(&["info@here.example", "sales@here.example"], "sales: eve@far.example\n").await;
    assert_eq!(went, ["eve@far.example", "info@here.example"], "{:?}", station.lines());
    let went = wait(&["joe@here.example", "ann@here.example"], "joe: joe@far.example\n").await;
    assert_eq!(went, ["ann@here.example", "joe@far.example"], "{:?}", station.lines());
    assert_eq!(station.handle().usage().messages, 0, "{:?}", station.lines());
    assert!(station.lines().iter().all(|line| !line.starts_with("notice")), "{:?}", station.lines());
}
