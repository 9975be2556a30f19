//! Which servers are asked, and what bounds their answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How a [`StubResolver`](super::StubResolver) asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StubConfig {
    /// The servers: recursive ones. Questions begin with the first, until it does not answer and another one does.
    pub servers: Vec<SocketAddr>,
    /// Whether the AD bit of these servers is to be believed: they validate, and nobody between them and us can change what
    /// they say (RFC 7672 §2.1.1). Off by default. DANE needs it.
    pub trust_ad: bool,
    /// How long a server is waited for: 5 s.
    pub timeout: Duration,
    /// How often each server is asked at most: 2. A question takes `timeout` times this, for each server, at most.
    pub attempts: u32,
    /// What bounds answers and cache.
    pub limits: StubLimits,
}

/// What bounds answers and the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StubLimits {
    /// Aliases from a name to its records: 8. A longer chain is "try later".
    pub aliases_max: u32,
    /// Records of one answer: 100. More are "try later": with some of them left out they would say something else.
    pub records_max: usize,
    /// Octets of texts in one answer: 32 KiB; more are "try later".
    pub text_size_max: usize,
    /// Answers that are kept: 100,000.
    pub cache_entries_max: usize,
    /// Octets that they may need: 64 MiB.
    pub cache_size_max: usize,
    /// Seconds that records are kept at most: one day.
    pub ttl_max: u32,
    /// Seconds that an absence is kept at most: one hour (RFC 2308 §5 has up to three).
    pub negative_ttl_max: u32,
    /// Seconds that a failure is kept: 5 (RFC 2308 §7 has up to five minutes), so that a domain whose servers are down does
    /// not cost a timeout for each of its messages.
    pub failure_ttl: u32,
}

impl Default for StubLimits {
    fn default() -> Self {
        StubLimits {
            aliases_max: 8,
            records_max: 100,
            text_size_max: 32 << 10,
            cache_entries_max: 100_000,
            cache_size_max: 64 << 20,
            ttl_max: 86_400,
            negative_ttl_max: 3600,
            failure_ttl: 5,
        }
    }
}

/// Servers that are taken from a file, as the C library has it.
const SERVERS_MAX: usize = 3;

impl StubConfig {
    /// Asks these servers, whose AD bit does not count.
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        StubConfig {
            servers: servers.into_iter().collect(),
            trust_ad: false,
            timeout: Duration::from_secs(5),
            attempts: 2,
            limits: StubLimits::default(),
        }
    }

    /// Asks as a file of the form of `/etc/resolv.conf` says: the first three lines `nameserver`, and of the lines `options`
    /// `timeout:`, `attempts:` (1 to 30 s, 1 to 5 times) and `trust-ad`. Without any server it is the one on this machine. Search
    /// lists are not used, as every name is complete, nor are addresses with a zone.
    ///
    /// ```
    /// use pillarbox::dns::StubConfig;
    ///
    /// let config = StubConfig::from_resolv_conf("# local\nnameserver 127.0.0.53\noptions edns0 trust-ad timeout:2\n");
    /// assert_eq!(config.servers, ["127.0.0.53:53".parse()?]);
    /// assert!(config.trust_ad);
    /// assert_eq!(config.timeout.as_secs(), 2);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn from_resolv_conf(text: &str) -> Self {
        let mut config = StubConfig::new([]);
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config
                        .servers
                        .extend(ip.filter(|_| config.servers.len() < SERVERS_MAX).map(|ip| SocketAddr::new(ip, 53)));
                }
                Some("options") => words.for_each(|word| config.option(word)),
                _ => {}
            }
        }
        if config.servers.is_empty() {
            config.servers.push((Ipv4Addr::LOCALHOST, 53).into());
        }
        config
    }

    /// How long a question may take.
    pub(super) fn patience(&self) -> Duration {
        let servers = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        self.timeout.saturating_mul(self.attempts.max(1)).saturating_mul(servers.max(1))
    }

    fn option(&mut self, word: &str) {
        match word.split_once(':') {
            None if word == "trust-ad" => self.trust_ad = true,
            Some(("timeout", seconds)) => {
                self.timeout =
                    seconds.parse().map_or(self.timeout, |seconds: u64| Duration::from_secs(seconds.clamp(1, 30)));
            }
            Some(("attempts", attempts)) => {
                self.attempts = attempts.parse().map_or(self.attempts, |attempts: u32| attempts.clamp(1, 5));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_c_library() {
        let config = StubConfig::from_resolv_conf("");
        assert_eq!(config, StubConfig::new(["127.0.0.1:53".parse().unwrap()]));
        let config = StubConfig::from_resolv_conf(
            "domain example.org\nsearch a b\n;nameserver 192.0.2.9\nnameserver fe80::1%eth0\nnameserver\tx\n  nameserver 2001:db8::1\n\
             nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\noptions ndots:2 timeout:99 attempts:0\noptions rotate",
        );
        let servers: Vec<_> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["[2001:db8::1]:53", "192.0.2.1:53", "192.0.2.2:53"]);
        assert_eq!((config.timeout, config.attempts, config.trust_ad), (Duration::from_secs(30), 1, false));
        let odd = StubConfig::from_resolv_conf("options timeout:x attempts:-1 trust-ad:no");
        assert_eq!((odd.timeout, odd.attempts, odd.trust_ad), (Duration::from_secs(5), 2, false));
    }
}
