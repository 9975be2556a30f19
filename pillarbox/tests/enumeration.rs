//! Whether a stranger can tell a name that there is not from a wrong password: by what is said, by how long it takes, or by how
//! much is computed for it.
#![cfg(all(feature = "tokio", feature = "passwd"))]
#![allow(clippy::print_stdout, reason = "tests show what they measured")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pillarbox::Shutdown;
use pillarbox::imap::{self, ImapServer};
use pillarbox::parts::{
    Authenticator, BoxFuture, Clock, LoginAttempt, LoginGuard, LoginLimits, LoginOutcome, MemoryAuthenticator, Parts,
    SystemClock,
};
use pillarbox::passwd::PasswdFile;
use pillarbox::smtp::{self, SmtpServer};
use pillarbox::testing::SteppedClock;
use pillarbox_core::sasl::{Mechanism, encode};
use pillarbox_core::{Time, WallTime};
use support::Client;
use tokio::io::DuplexStream;

const KNOWN: &str = "joe@example.org";
const UNKNOWN: &str = "jim@example.org";

/// The password of each is another one.
const ACCOUNTS: [(&str, &str); 3] = [
    (
        "SCRAM-SHA-256",
        "4096,Y0oxOuC0gd561s1pY1DnjQ==,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=",
    ),
    (
        "SHA512-CRYPT",
        "$6$Cn097a4jqd.deohK$NG738.kHTjebVUBIfM44zMBgtJNQWYh//ga9SjiZjAH.p9rrclYzKVOEl7bth3bJTzuCs7YBrSSx.RVTH2S/m1",
    ),
    ("PLAIN", "tanstaaftanstaaf"),
];

fn passwd(scheme: &str, hash: &str) -> PasswdFile {
    PasswdFile::parse(&format!("{KNOWN}:{{{scheme}}}{hash}\n")).unwrap()
}

/// How somebody tries to log in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    SmtpPlain,
    SmtpLogin,
    ImapLogin,
    ImapPlain,
}

const WAYS: [Way; 4] = [Way::SmtpPlain, Way::SmtpLogin, Way::ImapLogin, Way::ImapPlain];

impl Way {
    /// What is said before, with how each answer ends; and the line whose answer tells.
    fn lines(self, user: &str) -> (Vec<String>, String) {
        let plain = encode(format!("\0{user}\0wrong").as_bytes());
        match self {
            Way::SmtpPlain => (vec!["EHLO c.example".into()], format!("AUTH PLAIN {plain}")),
            Way::SmtpLogin => {
                let name = encode(user.as_bytes());
                (vec!["EHLO c.example".into(), "AUTH LOGIN".into(), name], encode(b"wrong"))
            }
            Way::ImapLogin => (vec![], format!("a LOGIN {user} wrong")),
            Way::ImapPlain => (vec![], format!("a AUTHENTICATE PLAIN {plain}")),
        }
    }
}

/// Servers without TLS, for which nobody is too slow.
struct Servers {
    smtp: SmtpServer,
    imap: ImapServer,
}

impl Servers {
    fn new(parts: &Parts) -> Self {
        let mut config = smtp::ServerConfig::new("mx.example");
        (config.mechanisms, config.auth_without_tls) = (vec![Mechanism::Plain, Mechanism::Login], true);
        let smtp = SmtpServer::new(config, parts.clone());
        let mut config = imap::ServerConfig::default();
        (config.mechanisms, config.login_without_tls) = (vec![Mechanism::Plain], true);
        Servers { smtp, imap: ImapServer::new(config, parts.clone()) }
    }

    /// A session in which all was said but the last line.
    async fn begin(&self, way: Way, user: &str) -> (Client<DuplexStream>, String) {
        let (ours, theirs) = tokio::io::duplex(4096);
        let (smtp, imap) = (self.smtp.clone(), self.imap.clone());
        tokio::spawn(async move {
            match way {
                Way::SmtpPlain | Way::SmtpLogin => smtp.serve_connection(ours, None, &Shutdown::new()).await,
                Way::ImapLogin | Way::ImapPlain => imap.serve_connection(ours, None, &Shutdown::new()).await,
            }
        });
        let mut client = Client::new(theirs);
        client.reply().await;
        let (before, last) = way.lines(user);
        for line in before {
            client.send(format!("{line}\r\n")).await;
            client.reply().await;
        }
        (client, format!("{last}\r\n"))
    }
}

/// Counts how often accounts are asked.
struct Asked(PasswdFile, Arc<AtomicUsize>);

impl Authenticator for Asked {
    fn login<'a>(&'a self, attempt: &'a LoginAttempt) -> BoxFuture<'a, LoginOutcome> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.login(attempt)
    }

    fn knows<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Option<bool>> {
        self.0.knows(user)
    }
}

#[tokio::test]
async fn the_same_words_after_the_same_time() {
    for (scheme, hash) in ACCOUNTS {
        for way in WAYS {
            let mut seen = Vec::new();
            for user in [KNOWN, UNKNOWN] {
                let (clock, asked) = (SteppedClock::new(), Arc::default());
                let accounts = Asked(passwd(scheme, hash), Arc::clone(&asked));
                let parts =
                    Parts { authenticator: Arc::new(accounts), clock: Arc::new(clock.clone()), ..Parts::in_memory() };
                let (mut client, last) = Servers::new(&parts).begin(way, user).await;
                client.send(last).await;
                let waits = [Duration::from_secs(2)];
                let reply = tokio::select! {
                    reply = client.reply() => reply,
                    () = clock.pass_over(&waits) => unreachable!("never ends"),
                };
                seen.push((reply, clock.now(), asked.load(Ordering::Relaxed)));
            }
            assert_eq!(seen[0], seen[1], "{scheme} {way:?}");
            let (reply, time, asked) = &seen[0];
            assert!(reply.starts_with("535 5.7.8 ") || reply.starts_with("a NO [AUTHENTICATIONFAILED] "), "{reply}");
            assert_eq!((time.since_origin().as_secs(), *asked), (2, 1), "{scheme} {way:?}");
        }
    }
}

/// The system's clock, but whoever waits for a moment that has come goes on at once: a timer has a grain of a millisecond, in
/// which what is smaller is lost to whoever listens. `FINE=1` measures so.
struct Fine(SystemClock);

impl Clock for Fine {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn sleep_until(&self, moment: Time) -> BoxFuture<'_, ()> {
        match moment <= self.0.now() {
            true => Box::pin(std::future::ready(())),
            false => self.0.sleep_until(moment),
        }
    }
}

/// Prints the median times of both and the statistic of Kolmogorov and Smirnov with its probability. A measurement: what a
/// clock says is no pass or fail.
#[tokio::test]
#[ignore = "measures"]
async fn how_long_each_takes() {
    let samples = std::env::var("SAMPLES").map_or(2000, |text| text.parse().unwrap());
    let fine = std::env::var_os("FINE").is_some();
    let mut accounts: Vec<(&str, Arc<dyn Authenticator>)> =
        vec![("in memory", Arc::new(MemoryAuthenticator::new().with(KNOWN, "tanstaaftanstaaf")))];
    for (scheme, hash) in ACCOUNTS {
        accounts.push((scheme, Arc::new(passwd(scheme, hash))));
    }
    println!("| accounts | way | wrong password, median | unknown user, median | difference | D | p |");
    println!("|---|---|---|---|---|---|---|");
    for (name, authenticator) in accounts {
        let mut limits = LoginLimits::default();
        (limits.refusal_delay, limits.delays) = (Duration::ZERO, vec![Duration::ZERO]);
        limits.failures_per_minute_max = u32::MAX;
        let parts = Parts {
            authenticator,
            logins: Arc::new(LoginGuard::new(limits)),
            clock: if fine { Arc::new(Fine(SystemClock::new())) } else { Arc::new(SystemClock::new()) },
            ..Parts::in_memory()
        };
        let servers = Servers::new(&parts);
        for way in [Way::SmtpPlain, Way::ImapLogin] {
            let mut times = [Vec::new(), Vec::new()];
            // In turns, and the one that goes first changes, so that whatever else the machine does falls on both.
            for round in 0..samples + 100 {
                for turn in 0..2 {
                    let which = (round + turn) % 2;
                    let (mut client, last) = servers.begin(way, [KNOWN, UNKNOWN][which]).await;
                    let start = Instant::now();
                    client.send(last).await;
                    client.reply().await;
                    // The first ones warm up.
                    if round >= 100 {
                        times[which].push(start.elapsed().as_secs_f64() * 1e6);
                    }
                }
            }
            times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
            let [known, unknown] = &times;
            let (one, other) = (known[samples / 2], unknown[samples / 2]);
            let (distance, chance) = kolmogorov_smirnov(known, unknown);
            println!(
                "| {name} | {way:?} | {one:.1} µs | {other:.1} µs | {:+.2} % | {distance:.4} | {chance:.3} |",
                (other / one - 1.0) * 100.0
            );
        }
    }
}

/// How far two sorted samples are apart at most, and how probable it is that two samples of one distribution are so far apart.
fn kolmogorov_smirnov(one: &[f64], other: &[f64]) -> (f64, f64) {
    let (mut at, mut distance) = ([0, 0], 0.0_f64);
    let share = |at: usize, of: &[f64]| at as f64 / of.len() as f64;
    while at[0] < one.len() && at[1] < other.len() {
        let value = one[at[0]].min(other[at[1]]);
        while at[0] < one.len() && one[at[0]] <= value {
            at[0] += 1;
        }
        while at[1] < other.len() && other[at[1]] <= value {
            at[1] += 1;
        }
        distance = distance.max((share(at[0], one) - share(at[1], other)).abs());
    }
    let size = ((one.len() * other.len()) as f64 / (one.len() + other.len()) as f64).sqrt();
    let lambda = (size + 0.12 + 0.11 / size) * distance;
    let term = |k: f64| (-1.0_f64).powf(k - 1.0) * (-2.0 * k * k * lambda * lambda).exp();
    let chance = 2.0 * (1..=100).map(|k| term(f64::from(k))).sum::<f64>();
    (distance, if lambda < 0.2 { 1.0 } else { chance.clamp(0.0, 1.0) })
}

#[test]
fn the_statistic_is_that_of_the_tables() {
    let one: Vec<f64> = (0..1000).map(f64::from).collect();
    let shifted = |by: f64| one.iter().map(|value| value + by).collect::<Vec<_>>();
    assert_eq!(kolmogorov_smirnov(&one, &shifted(0.0)), (0.0, 1.0));
    // 1.358 / sqrt(n / 2) is the 5 % point.
    let (distance, chance) = kolmogorov_smirnov(&one, &shifted(61.0));
    assert!((distance - 0.061).abs() < 1e-9 && (0.04..0.06).contains(&chance), "{distance} {chance}");
    assert!(kolmogorov_smirnov(&one, &shifted(200.0)).1 < 1e-9);
}
