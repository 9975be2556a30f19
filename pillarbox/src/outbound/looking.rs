//! The addresses of a host, of which one kind can be tried while the other is still being looked up (RFC 8305 §3).

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use pillarbox_auth::dane::{Host, HostLookup, NextHop, Security};
use pillarbox_core::dns::{Name, RecordKind};
use pillarbox_smtp::route::{Attempts, Candidate};

use super::Endpoint;
use super::race::Addresses;
use super::shared::Shared;
use crate::parts::{BoxFuture, Clock, Driven};

/// How long the preferred kind of addresses is waited for when the other is there (RFC 8305 §3 "Resolution Delay").
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// A host that is being looked up, with what was made of it until now.
pub(super) struct Looking<'r> {
    driven: Driven<'r, HostLookup>,
    finished: Option<Host>,
    clock: &'r dyn Clock,
    /// Addresses that were told.
    told: Vec<IpAddr>,
}

impl<'r> Looking<'r> {
    /// Begins, when it is waited for.
    pub(super) fn new(hop: NextHop, shared: &'r Shared) -> Self {
        let (resolver, clock) = (&*shared.parts.resolver, &*shared.parts.clock);
        let alarm = clock.sleep_until(clock.now() + shared.config.dns_timeout);
        let driven = Driven::new(HostLookup::new(hop), resolver, alarm);
        Looking { driven, finished: None, clock, told: Vec::new() }
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if self.finished.is_none()
            && let Poll::Ready(host) = self.driven.poll(context)
        {
            self.finished = Some(host);
        }
    }

    fn host(&self) -> Option<Host> {
        self.finished.clone().or_else(|| self.driven.machine().so_far())
    }

    /// The addresses that can be tried at once, and how the host is to be spoken to. Nothing begins before it is known whether
    /// there is DANE (RFC 7672 §2.2).
    pub(super) async fn begin(&mut self, ipv6_first: bool) -> Host {
        let (first, second) =
            if ipv6_first { (RecordKind::Aaaa, RecordKind::A) } else { (RecordKind::A, RecordKind::Aaaa) };
        let mut delay: Option<BoxFuture<'_, ()>> = None;
        let mut is_over = false;
        let host = poll_fn(|context| {
            self.poll(context);
            let lookup = self.driven.machine();
            if delay.is_none() && !lookup.awaits(second) {
                delay = Some(self.clock.sleep_until(self.clock.now() + RESOLUTION_DELAY));
            }
            if let Some(delay) = delay.as_mut().filter(|_| !is_over) {
                is_over = delay.as_mut().poll(context).is_ready();
            }
            match self.host() {
                Some(host) if is_over || self.finished.is_some() || !lookup.awaits(first) => Poll::Ready(host),
                _ => Poll::Pending,
            }
        });
        let host = host.await;
        self.told.clone_from(&host.addresses);
        host
    }

    /// How the host is to be spoken to by all that is known now.
    pub(super) async fn security(&mut self) -> Security {
        let host = poll_fn(|context| {
            self.poll(context);
            self.host().map_or(Poll::Pending, Poll::Ready)
        });
        host.await.security
    }

    /// Addresses that were not told yet.
    fn news(&mut self) -> Vec<IpAddr> {
        let Some(host) = self.host() else { return Vec::new() };
        let news: Vec<IpAddr> = host.addresses.into_iter().filter(|ip| !self.told.contains(ip)).collect();
        self.told.extend(&news);
        news
    }
}

/// The addresses of a host that are waiting in a round, and those that are still to be found.
pub(super) struct Found<'a, 'r> {
    pub(super) attempts: &'a mut Attempts,
    pub(super) looking: &'a mut Looking<'r>,
    pub(super) host: &'a Name,
    pub(super) port: u16,
}

impl Found<'_, '_> {
    /// One that was not decided on: it is the next again.
    pub(super) fn give_back(&mut self, endpoint: &Endpoint) {
        if let Endpoint::Tcp { address, .. } = endpoint {
            self.attempts.give_back(Candidate { host: self.host.clone(), ip: address.ip() });
        }
    }

    /// Puts addresses that have become known among those that are waiting; false if there are none. Whoever has waited for the
    /// look-up calls it: one that is over brings no more.
    pub(super) fn take_news(&mut self) -> bool {
        let news = self.looking.news();
        let has_news = !news.is_empty();
        if has_news {
            self.attempts.add_more(self.host, news);
        }
        has_news
    }
}

impl Addresses for Found<'_, '_> {
    fn next(&mut self) -> Option<Endpoint> {
        let address = SocketAddr::new(self.attempts.next()?.ip, self.port);
        Some(Endpoint::Tcp { host: self.host.to_string(), address })
    }

    fn is_complete(&self) -> bool {
        self.looking.finished.is_some() || self.attempts.is_over() || self.attempts.meets_itself()
    }

    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_complete() {
            return Poll::Pending;
        }
        self.looking.poll(context);
        let has_news = self.take_news();
        if has_news || self.is_complete() { Poll::Ready(()) } else { Poll::Pending }
    }
}
