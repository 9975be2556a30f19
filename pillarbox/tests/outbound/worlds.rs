//! Whole worlds: servers that refuse, defer, hang, break off and lie, a disk whose power fails, and five days and more. What is
//! accepted ends in one of few ways, whatever happens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pillarbox::outbound::spool::Selector;
use pillarbox::outbound::{OutboundConfig, Route, SmartHost, TlsMode};
use pillarbox::parts::{Notices, Outcome, Verdict};
use pillarbox::smtp::{Notify, ServerConfig};
use pillarbox_core::Reply;
use pillarbox_core::address::Domain;
use pillarbox_core::dns::{FixedZone, Record};
use pillarbox_fs::SimulatedFs;
use pillarbox_smtp::route::RouteTable;

use crate::net::{Die, Fault, Moment, Net, Paused, Script};
use crate::station::{Station, config, envelope, parts, routes};

/// Worlds that are gone through; another number with `WORLDS=n`, and one alone with `WORLD=seed`.
const WORLDS: u64 = 1000;
const SENDERS: [Option<&str>; 3] = [Some("joe@here.example"), Some("joe@here.example"), None];
/// Behind it everything has been given up that was not delivered.
const LONG: Duration = Duration::from_secs(7 * 24 * 3600);

/// The weather: bad until a moment, and then good.
struct Weather {
    die: Die,
    is_bad: AtomicBool,
    /// Hundredths of connections that meet a fault while it is bad.
    faults: u64,
    /// Servers lie.
    lies: bool,
}

impl Script for Weather {
    fn fault(&self, host: &str) -> Option<Fault> {
        if host == "dead" {
            return Some(if self.die.below(2) == 0 { Fault::Refuse } else { Fault::Silence });
        }
        if !self.is_bad.load(Ordering::Relaxed) || self.die.below(100) >= self.faults {
            return None;
        }
        let octets = usize::try_from(self.die.below(700)).unwrap();
        Some(match self.die.below(6) {
            0 => Fault::Refuse,
            1 => Fault::Silence,
            2 => Fault::CutAfter(octets),
            3 => Fault::StopAfter(octets),
            4 if self.lies => Fault::LieAfter(octets),
            _ => Fault::Slow(1 + self.die.below(40)),
        })
    }

    fn rcpt(&self, _host: &str, to: &str) -> Verdict {
        if to.starts_with("never") {
            return Verdict::Refuse(Reply::enhanced(550, 5, 1, 1, "no such user"));
        }
        if to.starts_with("later") && self.is_bad.load(Ordering::Relaxed) || to.starts_with("always-later") {
            return Verdict::Refuse(Reply::enhanced(450, 4, 2, 1, "come again"));
        }
        Verdict::Accept
    }

    fn end(&self, _host: &str) -> Option<Reply> {
        let is_bad = self.is_bad.load(Ordering::Relaxed) && self.die.below(8) == 0;
        is_bad.then(|| Reply::enhanced(452, 4, 3, 1, "no room"))
    }

    fn mail(&self, _host: &str) -> Verdict {
        if self.is_bad.load(Ordering::Relaxed) && self.die.below(10) == 0 {
            return Verdict::Hangup(Reply::enhanced(421, 4, 3, 2, "closing"));
        }
        Verdict::Accept
    }
}

/// A recipient of an accepted message.
struct Expected {
    token: String,
    to: String,
    from: Option<&'static str>,
    notify: Option<Notify>,
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

fn zone() -> FixedZone {
    let mx = |preference, host: &str| Record::mx(preference, host.parse().unwrap());
    let a = |last| Record::A([192, 0, 2, last].into());
    FixedZone::new()
        .with("one.example", mx(10, "a.one.example"))
        .with("one.example", mx(10, "b.one.example"))
        .with("a.one.example", a(1))
        .with("b.one.example", a(2))
        .with("two.example", mx(10, "a.two.example"))
        .with("two.example", mx(20, "b.one.example"))
        .with("a.two.example", a(3))
        .with("dead.example", mx(10, "mx.dead.example"))
        .with("mx.dead.example", a(4))
        .with("no-mail.example", mx(0, "."))
        .with("strict.example", a(5))
}

const RECIPIENTS: [&str; 12] = [
    "ann@one.example",
    "bob@one.example",
    "never@one.example",
    "later@one.example",
    "always-later@one.example",
    "ann@two.example",
    "never@two.example",
    "later@two.example",
    "eve@dead.example",
    "eve@no-mail.example",
    "eve@strict.example",
    "bob@here.example",
];

struct World {
    seed: u64,
    die: Die,
    weather: Arc<Weather>,
    net: Arc<Net>,
    expected: Vec<Expected>,
    set_aside: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let die = Die::new(seed);
        let (faults, lies) = (die.below(70), die.below(4) == 0);
        let weather = Arc::new(Weather { die: Die::new(seed ^ 0x5eed), is_bad: AtomicBool::new(true), faults, lies });
        let server = |name: &str| ServerConfig::new(name);
        let mut knows_dsn = server("a.one.example");
        (knows_dsn.dsn, knows_dsn.tell_limits, knows_dsn.limits.recipients_max) = (true, true, 2);
        let net = Net::new(Paused::new(), weather.clone())
            .host("192.0.2.1", "a.one", knows_dsn)
            .host("192.0.2.2", "b.one", server("b.one.example"))
            .host("192.0.2.3", "a.two", server("a.two.example"))
            .host("192.0.2.4", "dead", server("mx.dead.example"))
            .host("192.0.2.5", "strict", server("strict.example"));
        World { seed, die, weather, net: Arc::new(net), expected: Vec::new(), set_aside: 0 }
    }

    fn routes(&self) -> RouteTable<Route> {
        let mut routes = routes(&self.net);
        let mut strict = SmartHost::new(Domain::parse("strict.example").unwrap());
        strict.tls = TlsMode::Encrypted;
        routes.by_recipient("strict.example", Route::SmartHost(Arc::new(strict))).unwrap();
        routes
    }

    fn station(&self, fs: SimulatedFs, number: u64) -> Station {
        let mut config: OutboundConfig = config();
        config.deliveries_max = 4;
        let seed = self.seed.wrapping_mul(31).wrapping_add(number);
        Station::begin(fs, seed, config, |diary| parts(&self.net, zone(), diary), self.routes())
    }

    async fn accept(&mut self, station: &Station, number: usize) {
        let token = format!("token-{number}-");
        let from = SENDERS[usize::try_from(self.die.below(3)).unwrap()];
        let mut to = BTreeSet::new();
        for _ in 0..=self.die.below(4) {
            to.insert(RECIPIENTS[usize::try_from(self.die.below(12)).unwrap()]);
        }
        let to: Vec<&str> = to.into_iter().collect();
        let mut envelope = envelope(from, &to);
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
            for to in to {
                self.expected.push(Expected { token: token.clone(), to: to.into(), from, notify, crashes: 0, at });
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

    async fn live(&mut self) {
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
            self.set_aside += station.lines().iter().filter(|line| line.starts_with("set aside")).count();
            let (fs, changes) = station.crash(self.die.below(100_000)).await;
            // What was seen since has not happened.
            let has_happened = |at: Moment| at.0 < life || at.1 <= changes;
            self.expected.retain(|expected| has_happened(expected.at));
            self.net.copies.lock().unwrap().retain(|copy| has_happened(copy.at));
            station = self.station(fs, life + 1);
            self.net.now.begin(life + 1, &station.fs);
            self.expected.iter_mut().for_each(|expected| expected.crashes += 1);
        }
        tokio::time::sleep(Duration::from_secs(self.die.below(3 * 24 * 3600))).await;
        // What an operator has held, through whatever power cuts, is let go.
        station.handle().release(Selector::All).await.unwrap();
        self.weather.is_bad.store(false, Ordering::Relaxed);
        tokio::time::sleep(LONG).await;
        let left = station.handle().list(None, 100);
        assert_eq!(left.len(), 0, "after so long nothing waits: {:#?}", station.lines());
        self.set_aside += station.lines().iter().filter(|line| line.starts_with("set aside")).count();
    }

    /// Each accepted recipient ended in exactly one way.
    fn audit(&self) {
        assert_eq!(self.set_aside, 0, "no power cut of a sound disk damages a message");
        let copies = self.net.copies.lock().unwrap();
        assert!(copies.iter().all(|copy| copy.host != "strict"), "something went in the clear");
        let notices = Notice::all(copies.clone());
        for expected in &self.expected {
            let Expected { token, to, notify, crashes, .. } = expected;
            let who = format!("{token} to {to}");
            let got = copies.iter().filter(|copy| {
                copy.to == *to && copy.envelope.from.is_null() == expected.from.is_none() && copy.is_of(token)
            });
            let (doubtful, certain): (Vec<_>, Vec<_>) = got.partition(|copy| copy.is_doubtful);
            let of = |action: &str| {
                let about = notices.iter().filter(|notice| notice.is_about(token, to, action));
                about.map(|notice| &*notice.message_id).collect::<BTreeSet<_>>().len()
            };
            let (failed, delayed, relayed) = (of("failed"), of("delayed"), of("relayed"));
            assert!(certain.len() <= 1 + crashes, "{who}: {} copies, {crashes} power cuts", certain.len());
            assert!(failed <= 1 && delayed <= 1 && relayed <= 1, "{who}: told twice");
            if expected.from.is_none() || notify.is_some_and(Notify::is_never) {
                assert_eq!((failed, delayed, relayed), (0, 0, 0), "{who}: told what it must not be");
            }
            let is_delivered = !certain.is_empty() || !doubtful.is_empty();
            if !is_delivered && expected.wants_failure() {
                assert_eq!(failed, 1, "{who}: lost");
            }
            if !certain.is_empty() && doubtful.is_empty() && *crashes == 0 {
                assert_eq!(failed, 0, "{who}: delivered, and returned as well");
            }
            // The bad weather ends long before the message is too old.
            let is_hopeless = ["never", "always", "dead", "strict", "no-mail"].iter().any(|word| to.contains(word));
            // A reply that nobody asked for shifts the refusal of one recipient to another, and nobody can tell at that moment.
            if is_hopeless || !self.weather.lies {
                assert_eq!(is_delivered, !is_hopeless, "{who}: given up too soon, or taken by nobody");
            }
        }
    }
}

/// A notice that Joe has.
struct Notice {
    message_id: String,
    text: String,
}

impl Notice {
    fn all(copies: Vec<crate::net::Copy>) -> Vec<Notice> {
        let here = copies.into_iter().filter(|copy| copy.to == "joe@here.example" && copy.envelope.from.is_null());
        let notice = |octets: Vec<u8>| {
            let text = String::from_utf8(octets).unwrap();
            let id = text.lines().find(|line| line.starts_with("Message-ID: ")).unwrap();
            Notice { message_id: id.into(), text }
        };
        here.map(|copy| notice(copy.octets)).collect()
    }

    fn is_about(&self, token: &str, to: &str, action: &str) -> bool {
        self.text.contains(token)
            && self.text.contains(&format!("Final-Recipient: rfc822; {to}\r\nAction: {action}\r\n"))
    }
}

impl crate::net::Copy {
    fn is_of(&self, token: &str) -> bool {
        self.octets.windows(token.len()).any(|window| window == token.as_bytes())
    }
}

fn go_through(seed: u64) -> (usize, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        world.live().await;
        world.audit();
        (world.expected.len(), world.net.copies.lock().unwrap().len())
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
                        Ok((recipients, copies)) => {
                            gone.recipients += recipients;
                            gone.copies += copies;
                        }
                        Err(_) => drop(gone.failures.insert(seed)),
                    }
                }
            });
        }
    });
    let Gone { recipients, copies, failures } = gone.into_inner().unwrap();
    assert!(failures.is_empty(), "worlds {failures:?} went wrong; WORLD=seed repeats one");
    println!("{worlds} worlds, {recipients} recipients, {copies} copies");
}

/// What came of the worlds.
#[derive(Default)]
struct Gone {
    recipients: usize,
    copies: usize,
    failures: BTreeSet<u64>,
}
