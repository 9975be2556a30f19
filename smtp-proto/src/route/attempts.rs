//! Which address of which host is tried next, and when to stop.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use pillarbox_core::dns::Name;

/// How much one round of attempts may cost. What is not reached in it waits for the next round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttemptLimits {
    /// Addresses that are connected to. RFC 5321 §5.1 asks for at least two to be tried.
    pub addresses_max: u32,
    /// Sessions that get as far as a greeting and then end without an answer for every recipient.
    pub sessions_max: u32,
    /// Go to IPv6 addresses first, where a host has both.
    pub ipv6_first: bool,
}

impl Default for AttemptLimits {
    /// 5 addresses and 2 sessions; IPv6 first.
    fn default() -> Self {
        AttemptLimits { addresses_max: 5, sessions_max: 2, ipv6_first: true }
    }
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The host whose address it is.
    pub host: Name,
    /// The address.
    pub ip: IpAddr,
}

/// The addresses of one round: host after host, and of each host IPv6 and IPv4 in turn (RFC 8305 §4), so that a family that
/// does not work costs one attempt and not all of them. The next one may be begun while the last is still connecting
/// ("happy eyeballs", RFC 8305 §5): whoever is connected first gets the message, and the others are [given
/// back](Attempts::give_back).
///
/// ```
/// use pillarbox_smtp::route::{AttemptLimits, Attempts};
///
/// let mut attempts = Attempts::new(AttemptLimits::default(), vec![]);
/// let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|ip| ip.parse().unwrap());
/// attempts.add_host(&"mx.example.org".parse()?, addresses);
///
/// let mut tried = Vec::new();
/// while let Some(candidate) = attempts.next() {
///     tried.push(candidate.ip.to_string());
///     // Connect; when a session has begun and not brought an answer for every recipient:
///     attempts.session_failed();
/// }
/// assert_eq!(tried, ["2001:db8::1", "192.0.2.1"]); // two sessions, no third
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    own: Vec<IpAddr>,
    waiting: VecDeque<Candidate>,
    /// What was tried last.
    last: Option<Candidate>,
    added: usize,
    left: u32,
    sessions_left: u32,
    meets_itself: bool,
}

impl Attempts {
    /// A round without addresses yet. `own`: addresses of this host, to which nothing is sent.
    pub fn new(limits: AttemptLimits, own: Vec<IpAddr>) -> Self {
        let (left, sessions_left) = (limits.addresses_max, limits.sessions_max);
        Attempts {
            limits,
            own,
            waiting: VecDeque::new(),
            last: None,
            added: 0,
            left,
            sessions_left,
            meets_itself: false,
        }
    }

    /// Adds the addresses of the next host in the order of preference, each family in the order of the answer, which is the
    /// order to try (RFC 5321 §5.1).
    ///
    /// A host that has an address of ours is this host under another name: it and all that are added after it are left out, for
    /// they are no nearer to the recipient. Add equals of such a host before it, if they are to be tried.
    pub fn add_host(&mut self, host: &Name, addresses: impl IntoIterator<Item = IpAddr>) {
        self.add(host, addresses, self.limits.ipv6_first);
    }

    /// Adds addresses of the host that was added last, which became known while others of it are being tried (RFC 8305 §5): they
    /// take turns with those that wait, beginning with the family that was not the last to be tried. For addresses that were not
    /// added before.
    ///
    /// If one is an address of ours, nothing more of the host is tried, as if it had been there from the start.
    ///
    /// ```
    /// use pillarbox_smtp::route::{AttemptLimits, Attempts};
    ///
    /// let mut attempts = Attempts::new(AttemptLimits::default(), vec![]);
    /// let host = "mx.example.org".parse()?;
    /// attempts.add_host(&host, ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap()));
    /// assert_eq!(attempts.next().unwrap().ip.to_string(), "192.0.2.1");
    /// attempts.add_more(&host, ["2001:db8::1".parse()?]);
    /// assert_eq!(attempts.next().unwrap().ip.to_string(), "2001:db8::1");
    /// assert_eq!(attempts.next().unwrap().ip.to_string(), "192.0.2.2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_more(&mut self, host: &Name, addresses: impl IntoIterator<Item = IpAddr>) {
        let (waiting, others) = self.waiting.drain(..).partition::<Vec<_>, _>(|candidate| candidate.host == *host);
        self.waiting = others.into();
        self.added -= waiting.len();
        let last = self.last.as_ref().filter(|last| last.host == *host);
        let starts_with_ipv6 = last.map_or(self.limits.ipv6_first, |last| last.ip.is_ipv4());
        let waiting = waiting.into_iter().map(|candidate| candidate.ip);
        self.add(host, waiting.chain(addresses), starts_with_ipv6);
    }

    fn add(&mut self, host: &Name, addresses: impl IntoIterator<Item = IpAddr>, starts_with_ipv6: bool) {
        if self.meets_itself {
            return;
        }
        // As many as can be tried of either family, whatever the answer holds.
        let max = usize::try_from(self.limits.addresses_max).unwrap_or(usize::MAX);
        let (mut first, mut second) = (VecDeque::new(), VecDeque::new());
        for ip in addresses.into_iter().map(|ip| ip.to_canonical()) {
            if self.own.contains(&ip) {
                self.meets_itself = true;
                return;
            }
            let family = if ip.is_ipv6() == starts_with_ipv6 { &mut first } else { &mut second };
            if family.len() < max && !family.contains(&ip) {
                family.push_back(ip);
            }
        }
        while !(first.is_empty() && second.is_empty()) && self.added < max {
            let turn = [first.pop_front(), second.pop_front()];
            for ip in turn.into_iter().flatten() {
                self.waiting.push_back(Candidate { host: host.clone(), ip });
                self.added += 1;
            }
        }
    }

    /// The next address to connect to; `None`: this round is over.
    #[expect(clippy::should_implement_trait, reason = "hosts are added between the calls")]
    pub fn next(&mut self) -> Option<Candidate> {
        if self.is_over() {
            return None;
        }
        let candidate = self.waiting.pop_front()?;
        self.left -= 1;
        self.last = Some(candidate.clone());
        Some(candidate)
    }

    /// An address was not decided on: another one that was tried beside it was faster. It is the next again.
    pub fn give_back(&mut self, candidate: Candidate) {
        self.waiting.push_front(candidate);
        self.left += 1;
    }

    /// Whether this round is over, whatever hosts there are still.
    pub const fn is_over(&self) -> bool {
        self.left == 0 || self.sessions_left == 0
    }

    /// A session had begun, and some recipient has no answer yet: the next host may do better, but not any number of them.
    pub fn session_failed(&mut self) {
        self.sessions_left = self.sessions_left.saturating_sub(1);
    }

    /// Nothing more of a host is tried in this round: it said that it does not want to be spoken to now (421), which holds for
    /// all its addresses.
    pub fn drop_host(&mut self, host: &Name) {
        let waiting = self.waiting.len();
        self.waiting.retain(|candidate| candidate.host != *host);
        // They make room for those of the next host.
        self.added -= waiting - self.waiting.len();
    }

    /// A host had an address of this host. With no candidate before it the message would go in a circle (RFC 5321 §5.1).
    pub fn meets_itself(&self) -> bool {
        self.meets_itself
    }

    /// Whether there were any addresses.
    pub fn is_empty(&self) -> bool {
        self.added == 0
    }
}
