//! Messages that the disk does not give, and a try that is owed: each ends, and nothing is forgotten over it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pillarbox::outbound::spool::{MessageId, Selector};
use pillarbox::parts::Outcome;
use pillarbox::smtp::ServerConfig;
use pillarbox_core::dns::{FixedZone, Record};
use pillarbox_fs::testing::BadDisk;
use pillarbox_fs::{Fs as _, SimulatedFs};

use crate::cases::{HOUR, JOE, MESSAGE, Replies, pass};
use crate::net::{Fault, Net, Paused};
use crate::station::{Station, config, envelope, parts, routes};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Two hosts, which refuse connections for now.
struct World {
    net: Arc<Net>,
    replies: Arc<Replies>,
}

impl World {
    fn new() -> Self {
        let replies = Arc::new(Replies::default());
        replies.faults.lock().unwrap().insert("far".into(), Fault::Refuse);
        replies.faults.lock().unwrap().insert("other".into(), Fault::Refuse);
        let net = Net::new(Paused::new(), replies.clone());
        let net = net.host("192.0.2.1", "far", ServerConfig::new("far.example"));
        let net = Arc::new(net.host("192.0.2.2", "other", ServerConfig::new("other.example")));
        World { net, replies }
    }

    fn station(&self, disk: &BadDisk, seed: u64) -> Station {
        let zone = FixedZone::new().with("far.example", Record::A([192, 0, 2, 1].into()));
        let zone = zone.with("other.example", Record::A([192, 0, 2, 2].into()));
        let parts = |diary: &_| parts(&self.net, zone, diary);
        let mut config = config();
        config.hold_max = 12 * HOUR;
        Station::begin_on(disk.clone(), disk.disk().clone(), seed, config, parts, routes(&self.net)).unwrap()
    }

    /// Those that Joe got.
    fn notices(&self) -> Vec<String> {
        let copies = self.net.copies.lock().unwrap();
        let here = copies.iter().filter(|copy| copy.host == "here");
        here.map(|copy| String::from_utf8(copy.octets.clone()).unwrap()).collect()
    }
}

async fn send(station: &Station, content: &[u8]) -> MessageId {
    assert_eq!(station.accept(envelope(Some(JOE), &["ann@far.example"]), content).await, [Outcome::Delivered]);
    station.handle().list(None, 10)[0]
}

fn set_aside(station: &Station) -> usize {
    station.lines().iter().filter(|line| line.starts_with("set aside")).count()
}

// DSK-05: the content is not to be had, the envelope is.
#[tokio::test(start_paused = true)]
async fn a_message_without_its_content_goes_back_when_it_is_too_old() {
    let world = World::new();
    let disk = BadDisk::new(SimulatedFs::new());
    let station = world.station(&disk, 1);
    let id = send(&station, &[MESSAGE, &b"x".repeat(900).repeat(10)].concat()).await;
    pass(HOUR).await;
    disk.fail_reads_of(&format!("bodies/{id}"), 0);
    pass(4 * DAY).await;
    assert_eq!(station.handle().usage().messages, 1, "the disk may give it yet");
    pass(2 * DAY).await;
    assert_eq!((station.handle().usage().messages, set_aside(&station)), (0, 0), "{:#?}", station.lines());
    let failed: Vec<_> = world.notices().into_iter().filter(|notice| notice.contains("Action: failed")).collect();
    assert_eq!(failed.len(), 1, "{:#?}", station.lines());
    assert!(failed[0].contains("Final-Recipient: rfc822; ann@far.example\r\n"), "{}", failed[0]);
    assert!(!failed[0].contains("Subject: hello"), "nothing of it can be shown: {}", failed[0]);
}

// DSK-05: not even the envelope is to be had. A person has to look, and nothing is tried for ever.
#[tokio::test(start_paused = true)]
async fn a_message_without_its_envelope_is_set_aside_when_it_is_too_old() {
    let world = World::new();
    let disk = BadDisk::new(SimulatedFs::new());
    let station = world.station(&disk, 1);
    let id = send(&station, MESSAGE).await;
    pass(HOUR).await;
    let segment = disk.disk().list(Path::new("/spool/log")).unwrap()[0].name.clone();
    disk.fail_reads_of(segment.to_str().unwrap(), 0);
    pass(4 * DAY).await;
    assert_eq!((station.handle().usage().messages, set_aside(&station)), (1, 0), "the disk may give it yet");
    pass(2 * DAY).await;
    assert_eq!((station.handle().usage().messages, set_aside(&station)), (0, 1), "{:#?}", station.lines());
    let kept = disk.disk().list(Path::new("/spool/set-aside")).unwrap();
    assert!(kept.iter().any(|entry| entry.name.to_str().unwrap().starts_with(&id.to_string())), "{kept:?}");
    disk.heal();
    world.replies.faults.lock().unwrap().clear();
    pass(DAY).await;
    assert!(world.net.copies.lock().unwrap().iter().all(|copy| copy.host == "here"), "it is in the queue no more");
}

// The same from the start on, whichever read is the first that fails: it is not even known where the message goes.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_after_a_start_ends_as_well() {
    let (mut never, mut held) = (0, 0);
    for (reads, is_held) in (0..12).flat_map(|reads| [(reads, false), (reads, true)]) {
        let world = World::new();
        let disk = BadDisk::new(SimulatedFs::new());
        let station = world.station(&disk, 1);
        send(&station, MESSAGE).await;
        pass(HOUR).await;
        if is_held {
            station.handle().hold(Selector::All).await.unwrap();
        }
        station.stop().await;
        disk.fail_reads_of("spool/log", reads);
        let station = world.station(&disk, 2);
        pass(DAY).await;
        let is_unread = station.lines().iter().any(|line| line.starts_with("reading a message after the start failed"));
        pass(4 * DAY + 6 * HOUR).await;
        assert!(!is_unread || set_aside(&station) == 0, "its sender may have had it held");
        pass(2 * DAY).await;
        match (is_unread, is_held) {
            (true, true) => {
                assert_eq!((station.handle().usage().messages, set_aside(&station)), (1, 0), "an operator has it");
                held += 1;
            }
            (true, false) => {
                assert_eq!((station.handle().usage().messages, set_aside(&station)), (0, 1), "{:#?}", station.lines());
                never += 1;
            }
            (false, _) => {}
        }
    }
    assert!(never > 0 && held > 0, "{never} not read, {held} held");
}

// What an operator let go is tried once more, also where the power fails before it was.
#[tokio::test(start_paused = true)]
async fn a_try_that_is_owed_is_made_after_a_crash() {
    let world = World::new();
    let station = world.station(&BadDisk::new(SimulatedFs::new()), 1);
    send(&station, MESSAGE).await;
    pass(HOUR).await;
    station.handle().hold(Selector::All).await.unwrap();
    pass(10 * DAY).await;
    // It would be tried at once: the power fails before the answer of the host.
    world.replies.faults.lock().unwrap().insert("far".into(), Fault::Silence);
    assert_eq!(station.handle().release(Selector::All).await.unwrap().len(), 1);
    let (fs, _) = station.crash(1_000_000).await;
    world.replies.faults.lock().unwrap().clear();
    let station = world.station(&BadDisk::new(fs), 2);
    pass(HOUR).await;
    let went: Vec<_> = world.net.copies.lock().unwrap().iter().map(|copy| copy.to.clone()).collect();
    assert_eq!(went, ["ann@far.example"], "{:#?}", station.lines());
}

// The same where it goes two ways, and one of them was tried before the power failed: the other is owed its try still.
#[tokio::test(start_paused = true)]
async fn each_way_is_owed_a_try_of_its_own_after_a_crash() {
    let world = World::new();
    let station = world.station(&BadDisk::new(SimulatedFs::new()), 1);
    let both = envelope(Some(JOE), &["ann@far.example", "eve@other.example"]);
    assert_eq!(station.accept(both, MESSAGE).await, [Outcome::Delivered, Outcome::Delivered]);
    pass(HOUR).await;
    station.handle().hold(Selector::All).await.unwrap();
    pass(10 * DAY).await;
    // One host says that it is busy, and the other nothing.
    world.replies.faults.lock().unwrap().insert("other".into(), Fault::Silence);
    assert_eq!(station.handle().release(Selector::All).await.unwrap().len(), 1);
    pass(Duration::from_secs(5)).await;
    let (fs, _) = station.crash(1_000_000).await;
    world.replies.faults.lock().unwrap().clear();
    let station = world.station(&BadDisk::new(fs), 2);
    pass(HOUR).await;
    let went: Vec<_> = world.net.copies.lock().unwrap().iter().map(|copy| copy.to.clone()).collect();
    assert!(went.contains(&"eve@other.example".into()), "{went:?} {:#?}", station.lines());
}
