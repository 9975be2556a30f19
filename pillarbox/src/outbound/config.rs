//! What the queue is told at its start.

use std::net::IpAddr;
use std::time::Duration;

use pillarbox_core::address::{Address, AddressError, Domain};
use pillarbox_core::dns::Name;
use pillarbox_smtp::client::ClientConfig;
use pillarbox_smtp::route::AttemptLimits;
use pillarbox_spool::ScheduleOptions;

use super::{Disk, TlsReporting};

/// How the queue sends.
///
/// ```
/// use pillarbox::outbound::OutboundConfig;
///
/// let config = OutboundConfig::new("mx.example.org")?;
/// assert_eq!(config.notices_from.to_string(), "MAILER-DAEMON@mx.example.org");
/// # Ok::<(), pillarbox::mailcore::address::AddressError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutboundConfig {
    hostname: Domain<'static>,
    /// Other names of this host, to which nothing is sent: its own exchangers among those of a domain, and what is less
    /// preferred than they, are left out.
    pub own_names: Vec<Name>,
    /// Addresses of this host, to which nothing is sent either.
    pub own_addresses: Vec<IpAddr>,
    /// Who writes notices.
    pub notices_from: Address<'static>,
    /// Who is told of notices that could not be delivered; by default nobody is.
    pub double_bounces_to: Option<Address<'static>>,
    /// When what is tried.
    pub schedule: ScheduleOptions,
    /// How much is tried in one round.
    pub attempts: AttemptLimits,
    /// Deliveries at a time to destinations of which nothing bad is known, over all of them; at least 1.
    pub deliveries_max: usize,
    /// Deliveries at a time, beside those, to destinations that were in trouble the last time, and those that take longer than
    /// `slow_after`; at least 1. They have room of their own, so that hosts that hang hold up nobody else. When that is full too,
    /// those give way that have been slow for longest and to which no content has gone out yet; they are tried again later.
    pub slow_max: usize,
    /// How long a delivery may take before it counts among the slow ones.
    pub slow_after: Duration,
    /// Recipients of one message in one transaction: 100, as many as every server takes (RFC 5321 §4.5.3.1.8).
    pub recipients_max: usize,
    /// How long it may take to connect to an address.
    pub connect_timeout: Duration,
    /// How long an address of a host has been tried when its next one is begun beside it (RFC 8305 §5); whoever answers first
    /// gets the message. Hosts are not tried beside each other, whatever they are preferred to.
    pub attempt_delay: Duration,
    /// How long the DNS may take for one question with all that follows from it.
    pub dns_timeout: Duration,
    /// How long a connection is kept for the next message to the same destination.
    pub idle_timeout: Duration,
    /// Messages that go over one connection.
    pub messages_max: u32,
    /// Received fields of a message that is still sent; one with more goes in a circle (RFC 5321 §6.3).
    pub hops_max: usize,
    /// The port of mail exchangers: 25, unless it is a test.
    pub mx_port: u16,
    /// What else every session is told: timeouts, limits, whether to use BDAT. Protocol, STARTTLS and login come from the
    /// route.
    pub client: ClientConfig,
    /// Reports of what became of TLS, to the domains that want them (RFC 8460); by default there are none, and nothing is counted.
    pub tls_reports: Option<TlsReporting>,
    /// How long a message may be held for its sender at most, as the servers in front grant it (RFC 4865): 30 days. One that the
    /// disk does not give is waited for so much longer before it is set aside, as nobody knows then for how long it was held.
    pub hold_max: Duration,
    /// Where calls that wait for the disk are made.
    pub disk: Disk,
}

impl OutboundConfig {
    /// The usual: 100 deliveries at a time and 400 slow ones, 30 s to connect and 250 ms until the next address is begun, 20 s for the DNS,
    /// connections kept for 5 s and 100 messages, 100
    /// hops. `hostname` is what this host is called in EHLO and in notices.
    ///
    /// # Errors
    ///
    /// [`AddressError`] if it is no domain.
    pub fn new(hostname: &str) -> Result<Self, AddressError> {
        let domain = Domain::parse(hostname)?.into_owned();
        Ok(OutboundConfig {
            own_names: Name::parse(hostname).into_iter().collect(),
            own_addresses: Vec::new(),
            notices_from: Address::parse(&format!("MAILER-DAEMON@{hostname}"))?.into_owned(),
            double_bounces_to: None,
            schedule: ScheduleOptions::default(),
            attempts: AttemptLimits::default(),
            deliveries_max: 100,
            slow_max: 400,
            slow_after: Duration::from_secs(10),
            recipients_max: 100,
            connect_timeout: Duration::from_secs(30),
            attempt_delay: Duration::from_millis(250),
            dns_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(5),
            messages_max: 100,
            hops_max: 100,
            mx_port: 25,
            client: ClientConfig::new(hostname)?,
            tls_reports: None,
            hold_max: Duration::from_secs(30 * 24 * 3600),
            disk: Disk::default(),
            hostname: domain,
        })
    }

    /// The postmaster of this host, who is meant where a recipient is `<Postmaster>`.
    pub(super) fn postmaster(&self) -> Address<'static> {
        Address::parse(&format!("postmaster@{}", self.hostname))
            .map_or_else(|_| self.notices_from.clone(), Address::into_owned)
    }

    /// What this host is called.
    pub const fn hostname(&self) -> &Domain<'static> {
        &self.hostname
    }
}
