//! How slow a wrong password is, and for whom.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pillarbox_core::Time;
use pillarbox_core::sasl::Credentials;

use crate::network::Network;
use crate::rate::{Rate, Table};

/// What a login costs whoever guesses. Addresses of IPv6 count by their /48 network, which is what one customer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginLimits {
    /// How long the no to a wrong password is held back.
    pub refusal_delay: Duration,
    /// How long the next try from an address waits after one failure, two, and so on; the last one is for all beyond.
    pub delays: Vec<Duration>,
    /// Failures from an address within a minute, each with another password, with which further tries are refused unseen.
    pub failures_per_minute_max: u32,
    /// The longest wait. Where so many tries of an address wait already that one more would wait longer, it is refused unseen.
    pub wait_max: Duration,
    /// After so long without a failure an address is as good as any other.
    pub forget_after: Duration,
    /// Networks for whom none of this is, but the delay of the no: a web mailer that logs in for its users.
    pub trusted: Vec<Network>,
}

impl Default for LoginLimits {
    /// 2 seconds for the no; then 2, 4, 8 and 15 seconds for the next tries; 10 failures a minute; 60 seconds of waiting; an
    /// hour of memory; nobody is trusted.
    fn default() -> Self {
        LoginLimits {
            refusal_delay: Duration::from_secs(2),
            delays: [2, 4, 8, 15].map(Duration::from_secs).to_vec(),
            failures_per_minute_max: 10,
            wait_max: Duration::from_secs(60),
            forget_after: Duration::from_secs(3600),
            trusted: Vec::new(),
        }
    }
}

/// Makes guessing slow for an address, in however many sessions and over whatever protocols it guesses: all servers with the
/// same [`Parts`](super::Parts) share one.
///
/// A try with a password that was wrong a moment ago makes it no slower, and is not counted among those of the minute: that is
/// a program that was not told of a new password, and would otherwise lock out its whole office. It still waits as long as the
/// tries before it made it. A success makes the address as good as any other.
///
/// ```
/// use std::time::Duration;
/// use pillarbox::mailcore::Time;
/// use pillarbox::mailcore::sasl::Credentials;
/// use pillarbox::parts::LoginGuard;
///
/// let guard = LoginGuard::default();
/// let guesser = Some("192.0.2.66".parse().unwrap());
/// assert_eq!(guard.admit(Time::ZERO, guesser), Some(Time::ZERO));
/// guard.failed(Time::ZERO, guesser, Some(&Credentials::plain("", "joe", "guess")));
/// assert_eq!(guard.admit(Time::ZERO, guesser), Some(Time::ZERO + Duration::from_secs(2)));
/// ```
#[derive(Debug)]
pub struct LoginGuard {
    limits: LoginLimits,
    /// Passwords are only told apart, by a hash that this process alone knows.
    hasher: RandomState,
    networks: Mutex<Table<Network, Suspect>>,
}

/// Networks that are remembered.
const NETWORKS_MAX: usize = 100_000;
/// Wrong passwords of a network that are told apart.
const SEEN_MAX: usize = 8;

/// What is known about a network from which a wrong password came.
#[derive(Debug, Default)]
struct Suspect {
    /// Failures that count.
    failures: usize,
    /// When the last failure was.
    last: Time,
    /// When the last try that was admitted may begin.
    admitted: Time,
    rate: Rate,
    /// The last wrong passwords, as hashes.
    seen: Vec<u64>,
}

impl Default for LoginGuard {
    fn default() -> Self {
        LoginGuard::new(LoginLimits::default())
    }
}

impl LoginGuard {
    /// A guard that knows nobody yet.
    pub fn new(limits: LoginLimits) -> Self {
        LoginGuard { limits, hasher: RandomState::new(), networks: Mutex::new(Table::new(NETWORKS_MAX)) }
    }

    /// The limits.
    pub const fn limits(&self) -> &LoginLimits {
        &self.limits
    }

    /// When a try from this address may be looked at; `None` if not at all. Tries of one address that come together wait one
    /// behind the other.
    pub fn admit(&self, now: Time, ip: Option<IpAddr>) -> Option<Time> {
        let Some(network) = self.network(ip) else { return Some(now) };
        let mut networks = self.networks();
        let Some(suspect) = networks.get_mut(&network).filter(|suspect| suspect.is_known(now, &self.limits)) else {
            return Some(now);
        };
        if !suspect.rate.has_room(now, self.limits.failures_per_minute_max) {
            return None;
        }
        let delay = match suspect.failures.checked_sub(1) {
            Some(index) => self.limits.delays.get(index).or(self.limits.delays.last()).copied().unwrap_or_default(),
            None => return Some(now),
        };
        let moment = suspect.admitted.max(now) + delay;
        if moment.since(now) > self.limits.wait_max {
            return None;
        }
        suspect.admitted = moment;
        Some(moment)
    }

    /// A try from this address has failed. Without credentials (SCRAM shows none) it counts as a new guess.
    pub fn failed(&self, now: Time, ip: Option<IpAddr>, credentials: Option<&Credentials>) {
        let Some(network) = self.network(ip) else { return };
        let guess = credentials.and_then(|credentials| self.hash(credentials));
        let mut networks = self.networks();
        let limits = &self.limits;
        let Some(suspect) = networks.entry(now, network, |suspect| suspect.is_known(now, limits)) else { return };
        if !suspect.is_known(now, limits) {
            *suspect = Suspect::default();
        }
        suspect.last = now;
        if let Some(guess) = guess {
            if suspect.seen.contains(&guess) {
                return;
            }
            if suspect.seen.len() == SEEN_MAX {
                suspect.seen.remove(0);
            }
            suspect.seen.push(guess);
        }
        suspect.failures += 1;
        suspect.rate.count(now, limits.failures_per_minute_max);
    }

    /// Somebody from this address has logged in.
    pub fn succeeded(&self, ip: Option<IpAddr>) {
        let Some(network) = self.network(ip) else { return };
        if let Some(suspect) = self.networks().get_mut(&network) {
            suspect.failures = 0;
            suspect.seen = Vec::new();
        }
    }

    /// Whom a try is counted for, if anybody.
    fn network(&self, ip: Option<IpAddr>) -> Option<Network> {
        let ip = ip?.to_canonical();
        let trusted = self.limits.trusted.iter().any(|network| network.contains(ip));
        (!trusted).then(|| Network::around(ip, if ip.is_ipv4() { 32 } else { 48 }))
    }

    fn networks(&self) -> MutexGuard<'_, Table<Network, Suspect>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a password is known by.
    fn hash(&self, credentials: &Credentials) -> Option<u64> {
        let password = credentials.password()?.expose();
        Some(self.hasher.hash_one((credentials.authentication_id(), password)))
    }
}

impl Suspect {
    /// Whether its failures still count.
    fn is_known(&self, now: Time, limits: &LoginLimits) -> bool {
        now.since(self.last) < limits.forget_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn guess(password: &str) -> Credentials {
        Credentials::plain("", "joe", password)
    }

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn each_guess_makes_the_next_one_slower() {
        let guard = LoginGuard::default();
        let here = ip("192.0.2.66");
        let mut now = Time::ZERO;
        for (number, wait) in [0, 2, 4, 8, 15, 15].into_iter().enumerate() {
            let moment = guard.admit(now, here).unwrap();
            assert_eq!(moment - now, Duration::from_secs(wait), "try {number}");
            now = moment;
            guard.failed(now, here, Some(&guess(&number.to_string())));
        }
        assert_eq!(guard.admit(now, ip("192.0.2.67")), Some(now), "others are not slower");
        guard.succeeded(here);
        assert_eq!(guard.admit(now, here), Some(now));
    }

    #[test]
    fn tries_at_one_time_wait_for_each_other() {
        let guard = LoginGuard::default();
        let here = ip("192.0.2.66");
        guard.failed(at(0), here, Some(&guess("a")));
        let moments: Vec<_> = (0..40).map_while(|_| guard.admit(at(0), here)).collect();
        assert_eq!(moments, (1..=30).map(|n| at(2 * n)).collect::<Vec<_>>(), "and beyond a minute they are refused");
    }

    #[test]
    fn the_same_wrong_password_is_counted_once() {
        let guard = LoginGuard::default();
        let here = ip("192.0.2.66");
        for second in 0..5 {
            guard.failed(at(second), here, Some(&guess("old")));
        }
        assert_eq!(guard.admit(at(10), here), Some(at(12)));
        // Another user with the same password is another guess; so is one that nobody saw.
        guard.failed(at(20), here, Some(&Credentials::plain("", "jane", "old")));
        assert_eq!(guard.admit(at(30), here), Some(at(34)));
        guard.failed(at(40), here, None);
        guard.failed(at(41), here, None);
        assert_eq!(guard.admit(at(60), here), Some(at(75)));
    }

    #[test]
    fn a_program_with_an_old_password_is_never_refused_unseen() {
        let guard = LoginGuard::default();
        let (here, mut now) = (ip("192.0.2.66"), at(0));
        for number in 0..100 {
            let moment = guard.admit(now, here).expect("one password is one failure");
            assert_eq!(moment - now, Duration::from_secs(if number == 0 { 0 } else { 2 }), "try {number}");
            now = moment;
            guard.failed(now, here, Some(&guess("old")));
        }
    }

    #[test]
    fn networks_of_ipv6_count_as_one() {
        let guard = LoginGuard::default();
        guard.failed(at(0), ip("2001:db8:1:2::3"), None);
        assert_eq!(guard.admit(at(0), ip("2001:db8:1:ffff::1")), Some(at(2)));
        assert_eq!(guard.admit(at(0), ip("2001:db8:2::1")), Some(at(0)));
        guard.failed(at(0), ip("::ffff:192.0.2.1"), None);
        assert_eq!(guard.admit(at(0), ip("192.0.2.1")), Some(at(2)));
    }

    #[test]
    fn ten_failures_a_minute() {
        let guard = LoginGuard::default();
        let here = ip("192.0.2.66");
        for number in 0..10 {
            assert!(guard.admit(at(100 * number), here).is_some());
        }
        for number in 0..10 {
            assert!(guard.admit(at(1000), ip("192.0.2.67")).is_some());
            guard.failed(at(1000), here, Some(&guess(&number.to_string())));
        }
        assert_eq!(guard.admit(at(1005), here), None);
        assert!(guard.admit(at(1006), here).is_some());
        guard.succeeded(here);
        guard.failed(at(1006), here, None);
        assert_eq!(guard.admit(at(1007), here), None, "a success forgives, and is no way around the rate");
    }

    #[test]
    fn who_is_trusted_and_who_is_forgotten() {
        let trusted = vec!["192.0.2.0/24".parse().unwrap()];
        let guard = LoginGuard::new(LoginLimits { trusted, ..LoginLimits::default() });
        for _ in 0..100 {
            guard.failed(at(0), ip("192.0.2.66"), None);
            guard.failed(at(0), None, None);
        }
        assert_eq!((guard.admit(at(0), ip("192.0.2.66")), guard.admit(at(0), None)), (Some(at(0)), Some(at(0))));
        guard.failed(at(0), ip("198.51.100.1"), None);
        assert_eq!(guard.admit(at(3599), ip("198.51.100.1")), Some(at(3601)));
        assert_eq!(guard.admit(at(3600), ip("198.51.100.1")), Some(at(3600)));
        assert!(!format!("{guard:?}").contains("old"));
    }
}
