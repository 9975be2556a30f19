//! Whole worlds: servers that refuse, defer, hang, break off and lie, a disk whose power fails, and five days and more. What is
//! accepted ends in one of few ways, whatever happens.

mod audit;
mod elsewhere;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::outbound::OutboundConfig;
use pillarbox::outbound::spool::Selector;
use pillarbox::parts::{Notices, Outcome};
use pillarbox::smtp::Notify;
use pillarbox_fs::{Fs as _, SimulatedFs};

use self::audit::{Disk, Ends, contains};
use self::elsewhere::{RECIPIENTS, To, Weather, net, table, with_tls, zone};
use crate::net::{Die, Moment, Net};
use crate::station::{Station, config, envelope, parts};

/// Worlds that are gone through; another number with `WORLDS=n`, and one alone with `WORLD=seed`.
const WORLDS: u64 = 1000;
const SENDERS: [Option<&str>; 3] = [Some("joe@here.example"), Some("joe@here.example"), None];
/// Behind it everything has been given up that was not delivered.
const LONG: Duration = Duration::from_secs(7 * 24 * 3600);

/// A recipient of an accepted message.
struct Expected {
    token: String,
    to: String,
    from: Option<&'static str>,
    notify: Option<Notify>,
    /// What else it may wait as.
    via: &'static [&'static str],
    /// Power cuts since it was accepted.
    crashes: usize,
    /// When that was.
    at: Moment,
}

impl Expected {
    fn wants_failure(&self) -> bool {
        self.from.is_some() && self.notify.is_none_or(|notify| notify.failure)
    }
}

struct World {
    seed: u64,
    die: Die,
    weather: Arc<Weather>,
    net: Arc<Net>,
    /// There are TLS, DANE and MTA-STS.
    has_tls: bool,
    /// It is looked at while messages are waiting.
    is_early: bool,
    expected: Vec<Expected>,
    /// Tokens of messages that the disk has damaged.
    damaged: BTreeSet<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let die = Die::new(seed);
        let (faults, lies) = (die.below(70), die.below(4) == 0);
        let (has_tls, is_early) = (die.below(6) == 0, die.below(8) == 0);
        let weather = Arc::new(Weather { die: Die::new(seed ^ 0x5eed), is_bad: AtomicBool::new(true), faults, lies });
        let net = Arc::new(net(&weather, has_tls));
        let (expected, damaged) = (Vec::new(), BTreeSet::new());
        World { seed, die, weather, net, has_tls, is_early, expected, damaged }
    }

    fn station(&self, fs: SimulatedFs, number: u64) -> Station {
        let mut config: OutboundConfig = config();
        config.deliveries_max = 4;
        let seed = self.seed.wrapping_mul(31).wrapping_add(number);
        let parts = |diary: &_| {
            let parts = parts(&self.net, zone(self.has_tls), diary);
            if self.has_tls { with_tls(parts) } else { parts }
        };
        Station::begin(fs, seed, config, parts, table(&self.net, self.has_tls))
    }

    async fn accept(&mut self, station: &Station, number: usize) {
        let token = format!("token-{number}-");
        let from = SENDERS[usize::try_from(self.die.below(3)).unwrap()];
        let mut to: Vec<&To> = Vec::new();
        for _ in 0..=self.die.below(4) {
            let drawn = &RECIPIENTS[usize::try_from(self.die.below(RECIPIENTS.len() as u64)).unwrap()];
            if to.iter().all(|known| known.address != drawn.address) && (self.has_tls || !drawn.is_tls) {
                to.push(drawn);
            }
        }
        if to.is_empty() {
            to.push(&RECIPIENTS[0]);
        }
        let mut envelope = envelope(from, &to.iter().map(|to| to.address).collect::<Vec<_>>());
        let notify = match self.die.below(4) {
            0 => Some(Notify::default()),
            1 => Some("SUCCESS,FAILURE,DELAY".parse().unwrap()),
            _ => None,
        };
        envelope.notices = vec![Notices::new(notify, None); to.len()];
        // Some have a file of their own.
        let length = if self.die.below(5) == 0 { 10_000 } else { 100 };
        let content = format!("Subject: {token}\r\n\r\n{}\r\n", "x".repeat(900).repeat(length / 900 + 1));
        let outcomes = station.accept(envelope, content.as_bytes()).await;
        // What is refused comes again, or never: it is not ours.
        if outcomes.iter().all(|outcome| *outcome == Outcome::Delivered) {
            let at = self.net.now.moment();
            for (to, end) in to.into_iter().flat_map(|to| to.ends.iter().map(move |end| (to, *end))) {
                let (token, to, via) = (token.clone(), end.to_owned(), to.via);
                self.expected.push(Expected { token, to, from, notify, via, crashes: 0, at });
            }
        }
    }

    /// An operator does something, or nothing.
    async fn operate(&self, station: &Station) {
        let handle = station.handle();
        let which = match self.die.below(3) {
            0 => Selector::Sender(None),
            1 => Selector::Destination("one.example"),
            _ => Selector::All,
        };
        match self.die.below(12) {
            0 | 1 => drop(handle.hold(which).await.unwrap()),
            2 | 3 => drop(handle.release(which).await.unwrap()),
            4 => drop(handle.flush(which).await),
            5 => drop(handle.requeue(which).await),
            _ => {}
        }
    }

    /// Gives the disk that is left in the end.
    async fn live(&mut self) -> SimulatedFs {
        let mut station = self.station(SimulatedFs::new(), 0);
        self.net.now.begin(0, &station.fs);
        let crashes = self.die.below(4);
        let mut accepted = 0;
        for life in 0..=crashes {
            for _ in 0..=self.die.below(3) {
                self.accept(&station, accepted).await;
                accepted += 1;
                tokio::time::sleep(Duration::from_millis(self.die.below(5000))).await;
                self.operate(&station).await;
            }
            if life == crashes {
                break;
            }
            // Mostly soon, while sessions are open.
            let most = [30_000, 600_000, 40_000_000][usize::try_from(self.die.below(3)).unwrap()];
            tokio::time::sleep(Duration::from_millis(self.die.below(most))).await;
            station.fs.record();
            if self.die.below(2) == 0 {
                self.accept(&station, accepted).await;
                accepted += 1;
            }
            tokio::time::sleep(Duration::from_millis(self.die.below(40_000))).await;
            let (fs, changes) = station.crash(self.die.below(100_000)).await;
            // What was seen since has not happened.
            let has_happened = |at: Moment| at.0 < life || at.1 <= changes;
            self.expected.retain(|expected| has_happened(expected.at));
            self.net.copies.lock().unwrap().retain(|copy| has_happened(copy.at));
            if self.die.below(4) == 0 {
                self.damage(&fs);
            }
            station = self.station(fs, life + 1);
            self.net.now.begin(life + 1, &station.fs);
            self.expected.iter_mut().for_each(|expected| expected.crashes += 1);
        }
        if self.is_early {
            tokio::time::sleep(Duration::from_secs(self.die.below(1800))).await;
            return station.stop().await;
        }
        tokio::time::sleep(Duration::from_secs(self.die.below(3 * 24 * 3600))).await;
        // What an operator has held, through whatever power cuts, is let go.
        station.handle().release(Selector::All).await.unwrap();
        self.weather.is_bad.store(false, Ordering::Relaxed);
        tokio::time::sleep(LONG).await;
        let left = station.handle().list(None, 100);
        assert_eq!(left.len(), 0, "after so long nothing waits: {:#?}", station.lines());
        station.stop().await
    }

    /// The disk damages a message, while nobody runs: a letter of its text, in a file of its own or in a part of the log that something
    /// follows. The end of the log is left alone: a group that is damaged there is taken for one that was never whole.
    fn damage(&mut self, fs: &SimulatedFs) {
        let mut files = Vec::new();
        for folder in ["/spool/log", "/spool/bodies"].map(Path::new) {
            let mut names: Vec<_> = fs.list(folder).unwrap().into_iter().map(|entry| folder.join(entry.name)).collect();
            names.sort();
            if folder.ends_with("log") {
                names.pop();
            }
            files.extend(names);
        }
        let mut possible = Vec::new();
        for path in files {
            let octets = fs.read(&path, 1 << 20).unwrap();
            for expected in &self.expected {
                let begin = format!("Subject: {}\r\n\r\nxx", expected.token);
                let places = (0..octets.len()).filter(|at| octets[*at..].starts_with(begin.as_bytes()));
                let letters = places.map(|at| at + begin.len() + 50).filter(|at| octets[*at] == b'x');
                possible.extend(letters.map(|at| (path.clone(), at, expected.token.clone())));
            }
        }
        if possible.is_empty() {
            return;
        }
        let which = usize::try_from(self.die.below(possible.len() as u64)).unwrap();
        let (path, at, token) = possible.swap_remove(which);
        let mut octets = fs.read(&path, 1 << 20).unwrap();
        octets[at] = b'y';
        fs.unlink(&path).unwrap();
        let mut file = fs.create(&path).unwrap();
        file.write(&octets).unwrap();
        file.sync().unwrap();
        file.close().unwrap();
        fs.sync_dir(path.parent().unwrap()).unwrap();
        self.damaged.insert(token);
    }
}

fn go_through(seed: u64) -> (World, Ends) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        let fs = world.live().await;
        let ends = world.audit(&Disk::of(&fs));
        (world, ends)
    })
}

#[test]
#[allow(clippy::print_stdout)]
fn what_is_accepted_ends_in_one_way() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("WORLD") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WORLDS").unwrap_or(WORLDS),
    };
    let worlds = seeds.end - seeds.start;
    let (next, gone) = (AtomicU64::new(seeds.start), Mutex::new(Gone::default()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || gone.lock().unwrap().failures.len() >= 3 {
                        return;
                    }
                    let world = std::panic::catch_unwind(|| go_through(seed));
                    let mut gone = gone.lock().unwrap();
                    match world {
                        Ok((world, ends)) => gone.add(&world, ends),
                        Err(_) => drop(gone.failures.insert(seed)),
                    }
                }
            });
        }
    });
    let gone = gone.into_inner().unwrap();
    assert!(gone.failures.is_empty(), "worlds {:?} went wrong; WORLD=seed repeats one", gone.failures);
    println!("{worlds} worlds, {} recipients, {} copies, {:?}", gone.recipients, gone.copies, gone.ends);
    println!("by hosts: {:?}", gone.by_host);
    if worlds >= WORLDS {
        // Each way to end occurs, and each way to go.
        let Ends { delivered, returned, queued, quarantined } = gone.ends;
        let least = usize::try_from(worlds).unwrap();
        assert!(delivered > least && returned > least && queued > least / 20 && quarantined > least / 50);
        for host in ["here", "a.one", "b.one", "a.two", "lmtp", "relay", "tls-relay", "dane", "sts"] {
            let copies = gone.by_host.get(host).copied().unwrap_or(0);
            assert!(copies > least / 50, "{copies} copies went to {host}");
        }
        assert!(gone.sent_on > least / 5, "{} copies were sent on", gone.sent_on);
    }
}

/// What came of the worlds.
#[derive(Default)]
struct Gone {
    recipients: usize,
    copies: usize,
    by_host: BTreeMap<String, usize>,
    /// Copies that an alias has sent elsewhere.
    sent_on: usize,
    ends: Ends,
    failures: BTreeSet<u64>,
}

impl Gone {
    fn add(&mut self, world: &World, ends: Ends) {
        self.recipients += world.expected.len();
        self.ends.add(ends);
        for copy in world.net.copies.lock().unwrap().iter() {
            self.copies += 1;
            *self.by_host.entry(copy.host.clone()).or_default() += 1;
            self.sent_on += usize::from(copy.host != "here" && contains(&copy.octets, "Delivered-To: "));
        }
    }
}
