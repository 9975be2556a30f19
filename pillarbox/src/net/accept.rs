//! Listening: who is let in, how many at once, and what happens when a session panics.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use pillarbox_core::proxy::ProxyError;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Transport, proxied};
use crate::network::Network;
use crate::parts::{BoxFuture, Guest, Parts};
use crate::rate::{Rate, Table};
use crate::shutdown::Shutdown;

/// How long a listener waits when the process has no more descriptors. Trying again at once would burn a processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients a server takes at a time. More are told to come back later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerLimits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address. Addresses of IPv6 count by their /64 network, all of which one client may hold.
    /// Connections over a unix socket have no address and are only counted in all.
    pub connections_per_address_max: usize,
    /// Connections from one address (counted as above) that are taken within a minute.
    pub connections_per_minute_max: u32,
    /// Networks that are only counted in all: a gateway, or a web mailer that logs in for its users.
    pub trusted: Vec<Network>,
    /// The load balancers through which all connections come. Where there are any, every connection has to begin with a PROXY
    /// header, and has to come from one of them; others are closed without a word. The client that the header names is the one
    /// that everything else here is counted for, and that the session is told of.
    pub proxies: Vec<Network>,
}

impl Default for PeerLimits {
    /// 10,000 in all, 50 from one address, and 300 from one address within a minute; nobody is trusted, and there are no
    /// proxies.
    fn default() -> Self {
        PeerLimits {
            connections_max: 10_000,
            connections_per_address_max: 50,
            connections_per_minute_max: 300,
            trusted: Vec::new(),
            proxies: Vec::new(),
        }
    }
}

/// Networks whose connections are counted by the minute.
const RATES_MAX: usize = 100_000;

/// A connection, and the address of the client if it has one.
pub type Accepted = (Box<dyn Transport>, Option<IpAddr>);

/// Where connections come from: a TCP or unix listener of tokio, or your own.
pub trait Listener: Send + 'static {
    /// Waits for the next connection. Cancel-safe.
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>>;

    /// The TCP port, if it has one and knows it.
    fn port(&self) -> Option<u16> {
        None
    }
}

impl Listener for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async {
            let (stream, peer) = TcpListener::accept(self).await?;
            // Output is written in whole flights, so waiting for more of it only costs time. A connection that is gone
            // already shows that at its first read.
            let _ = stream.set_nodelay(true);
            Ok((Box::new(stream) as Box<dyn Transport>, Some(peer.ip())))
        })
    }

    fn port(&self) -> Option<u16> {
        self.local_addr().ok().map(|address| address.port())
    }
}

impl Listener for UnixListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async {
            let (stream, _) = UnixListener::accept(self).await?;
            Ok((Box::new(stream) as Box<dyn Transport>, None))
        })
    }
}

/// A connection that was let in.
pub(crate) struct Incoming {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) ip: Option<IpAddr>,
    /// Numbers the connections of this process.
    pub(crate) session: u64,
    /// Held as long as the connection counts.
    pub(crate) seat: Seat,
    /// Counts the connection while nobody has logged in; none if it does not count.
    pub(crate) guest: Option<Guest>,
}

/// Who is let in to the listeners of one server.
pub(crate) struct Doorway {
    limits: PeerLimits,
    room: Arc<Room>,
}

/// The seats of one server, and who is told when they become few.
struct Room {
    seats: Mutex<Seats>,
    /// From so many taken seats on, sessions are under stress, and until they are fewer than so many. Between the two nothing
    /// changes: a client that comes and goes at the limit would otherwise wake all sessions each time.
    stress_from: usize,
    stress_until: usize,
    stress: watch::Sender<bool>,
}

struct Seats {
    taken: usize,
    /// The standard map's hash is seeded, so that addresses cannot be picked to collide.
    by_address: HashMap<IpAddr, usize>,
    rates: Table<IpAddr, Rate>,
}

pub(crate) struct Seat {
    room: Arc<Room>,
    /// The network that the connection is counted for; none if it only counts in all.
    pub(crate) address: Option<IpAddr>,
}

impl Seat {
    /// Whether sessions are under stress, now and whenever that changes.
    pub(crate) fn stress(&self) -> watch::Receiver<bool> {
        self.room.stress.subscribe()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.room.seats();
        seats.taken -= 1;
        if let Some(address) = self.address
            && let Some(count) = seats.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                seats.by_address.remove(&address);
            }
        }
        self.room.tell(seats.taken);
    }
}

impl Room {
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells sessions if it has become crowded, or no longer is.
    fn tell(&self, taken: usize) {
        self.stress.send_if_modified(|stress| {
            let crowded = taken >= if *stress { self.stress_until } else { self.stress_from };
            std::mem::replace(stress, crowded) != crowded
        });
    }
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error("there are too many connections")]
    Full,
    #[error("there are too many connections that nobody has logged in to")]
    Crowded,
    #[error("the connection did not come through a proxy that is trusted")]
    NoProxy,
    #[error("{0}")]
    Proxy(ProxyError),
}

/// What those hear who are told to come back later; nothing where nothing can be said in clear text.
#[derive(Clone, Copy)]
pub(crate) struct Excuses {
    /// There are too many connections, of all or of theirs.
    pub(crate) full: &'static str,
    /// There are too many that nobody has logged in to.
    pub(crate) crowded: &'static str,
}

impl Excuses {
    pub(crate) const NONE: Excuses = Excuses { full: "", crowded: "" };

    const fn of(self, why: TurnedAway) -> Option<&'static str> {
        match why {
            TurnedAway::Full => Some(self.full),
            TurnedAway::Crowded => Some(self.crowded),
            // Whoever comes past the proxies, or through one that says nothing right, hears nothing.
            TurnedAway::NoProxy | TurnedAway::Proxy(_) => None,
        }
    }
}

impl Doorway {
    pub(crate) fn new(limits: PeerLimits) -> Self {
        let seats = Seats { taken: 0, by_address: HashMap::new(), rates: Table::new(RATES_MAX) };
        // Nine tenths and eight tenths, rounded up.
        let stress_from = limits.connections_max - limits.connections_max / 10;
        let stress_until = limits.connections_max - limits.connections_max / 5;
        let room = Room { seats: Mutex::new(seats), stress_from, stress_until, stress: watch::Sender::new(false) };
        Doorway { limits, room: Arc::new(room) }
    }

    /// A seat that counts in all, and for nobody yet.
    fn take_seat(&self) -> Option<Seat> {
        let mut seats = self.room.seats();
        if seats.taken >= self.limits.connections_max {
            return None;
        }
        seats.taken += 1;
        self.room.tell(seats.taken);
        Some(Seat { room: Arc::clone(&self.room), address: None })
    }

    /// Gives somebody from there this seat, if they may have it; it counts for them from here on.
    fn seat_client(&self, seat: &mut Seat, ip: Option<IpAddr>, parts: &Parts) -> Result<Option<Guest>, TurnedAway> {
        let is_trusted = |ip: &IpAddr| self.limits.trusted.iter().any(|network| network.contains(*ip));
        let Some(address) = ip.filter(|ip| !is_trusted(ip)).map(network) else { return Ok(None) };
        let now = parts.clock.now();
        let mut seats = self.room.seats();
        let per_minute = self.limits.connections_per_minute_max;
        let count = seats.by_address.get(&address).copied().unwrap_or_default();
        if count >= self.limits.connections_per_address_max || !seats.rates.has_room(now, &address, per_minute) {
            return Err(TurnedAway::Full);
        }
        let guest = Guest::enter(&parts.unauthenticated).ok_or(TurnedAway::Crowded)?;
        seats.rates.count(now, address, per_minute);
        seats.by_address.insert(address, count + 1);
        seat.address = Some(address);
        Ok(Some(guest))
    }

    /// A seat for a connection, if it comes from where connections may come from. Behind a proxy it counts for nobody before
    /// [`enter`](Doorway::enter).
    pub(crate) fn let_in(
        &self,
        transport: Box<dyn Transport>,
        ip: Option<IpAddr>,
        parts: &Parts,
    ) -> Result<Incoming, (TurnedAway, Box<dyn Transport>)> {
        let proxies = &self.limits.proxies;
        // All of IPv4 is one /64 of IPv6 otherwise, and would be counted as one client.
        let ip = ip.map(|ip| ip.to_canonical());
        // A unix socket has no address; whoever may write there is of our machine.
        if !proxies.is_empty() && ip.is_some_and(|ip| !proxies.iter().any(|proxy| proxy.contains(ip))) {
            return Err((TurnedAway::NoProxy, transport));
        }
        let Some(mut seat) = self.take_seat() else { return Err((TurnedAway::Full, transport)) };
        let guest = match proxies.is_empty() {
            true => self.seat_client(&mut seat, ip, parts),
            false => Ok(None),
        };
        match guest {
            Ok(guest) => Ok(Incoming { transport, ip, session: next_session(), seat, guest }),
            Err(why) => Err((why, transport)),
        }
    }

    /// Reads the header of the proxy, if connections come through one, and counts the connection for its client.
    async fn enter(&self, incoming: Incoming, parts: &Parts) -> Result<Incoming, (TurnedAway, Box<dyn Transport>)> {
        if self.limits.proxies.is_empty() {
            return Ok(incoming);
        }
        let Incoming { transport, ip, session, mut seat, .. } = incoming;
        let none = || -> Box<dyn Transport> { Box::new(tokio::io::empty()) };
        let header =
            proxied::read_header(transport, &*parts.clock).await.map_err(|why| (TurnedAway::Proxy(why), none()));
        let (header, transport) = header?;
        // Without an address it is the proxy itself that asks.
        let client = header.source.map(|source| source.ip());
        match self.seat_client(&mut seat, client, parts) {
            Ok(guest) => Ok(Incoming { transport, ip: client.or(ip), session, seat, guest }),
            Err(why) => Err((why, transport)),
        }
    }

    /// Lets a connection in that has a seat, and runs its session. The observer hears of those that do not come so far.
    pub(crate) async fn run<S: Future<Output = ()>>(
        &self,
        incoming: Incoming,
        service: &'static str,
        parts: &Parts,
        excuses: Excuses,
        session: impl FnOnce(Incoming) -> S,
    ) {
        let (number, ip) = (incoming.session, incoming.ip);
        match self.enter(incoming, parts).await {
            Ok(incoming) => session(incoming).await,
            Err((why, transport)) => turn_away(transport, ip, number, why, service, parts, excuses).await,
        }
    }

    /// Accepts connections and runs a session for each until `shutdown` begins, then waits for the sessions as long as it
    /// has patience. Those who find no seat get an excuse and are closed.
    pub(crate) async fn serve<L: Listener, S: Future<Output = ()> + Send + 'static>(
        &self,
        listener: L,
        shutdown: &Shutdown,
        service: &'static str,
        parts: &Parts,
        excuses: Excuses,
        session: impl Fn(Incoming) -> S,
    ) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => break,
                Some(_) = sessions.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((transport, ip)) => match self.let_in(transport, ip, parts) {
                        Ok(incoming) => {
                            let running = session(incoming);
                            sessions.spawn(running);
                        }
                        Err((why, transport)) => turn_away(transport, ip, next_session(), why, service, parts, excuses).await,
                    },
                    // The client was gone before we came to it, which is its business.
                    Err(error) if is_of_the_client(&error) => {}
                    Err(error) => {
                        parts.observer.failed(0, "accept", &error);
                        parts.clock.sleep_until(parts.clock.now() + ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        let limit = parts.clock.now() + shutdown.patience();
        tokio::select! {
            biased;
            () = async { while sessions.join_next().await.is_some() {} } => {}
            // What is still there is cut off by dropping the set.
            () = parts.clock.sleep_until(limit) => {}
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Which addresses count as one client.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Says no without waiting: a fresh socket has room for a line, and whoever does not read it has no claim to our time.
async fn turn_away(
    mut transport: Box<dyn Transport>,
    ip: Option<IpAddr>,
    session: u64,
    why: TurnedAway,
    service: &'static str,
    parts: &Parts,
    excuses: Excuses,
) {
    let reason = why.to_string();
    parts.observer.connected(session, service, ip);
    parts.observer.refused(session, "connection", &reason);
    if let Some(excuse) = excuses.of(why) {
        poll_fn(|cx| {
            let _ = Pin::new(&mut *transport).poll_write(cx, excuse.as_bytes());
            let _ = Pin::new(&mut *transport).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
    parts.observer.disconnected(session, &reason);
}

/// Numbers the connections of this process.
fn next_session() -> u64 {
    static SESSIONS: AtomicU64 = AtomicU64::new(1);
    SESSIONS.fetch_add(1, Ordering::Relaxed)
}

/// Runs a future to its end or to its panic. `Err` is the panic's message. Whatever the future holds is dropped by the
/// unwinding; only give it what may be seen half changed.
pub(crate) async fn contain<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Poll::Ready(Err(text.unwrap_or_else(|| "panic".into())))
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SteppedClock;

    fn parts(clock: &SteppedClock) -> Parts {
        Parts { clock: Arc::new(clock.clone()), ..Parts::in_memory() }
    }

    fn seat(door: &Doorway, ip: &str, parts: &Parts) -> Option<Seat> {
        let mut seat = door.take_seat()?;
        door.seat_client(&mut seat, Some(ip.parse().unwrap()), parts).is_ok().then_some(seat)
    }

    #[test]
    fn seats_are_counted_per_network_and_given_back() {
        let limits = PeerLimits {
            connections_max: 4,
            connections_per_address_max: 2,
            trusted: vec!["192.0.2.8/30".parse().unwrap()],
            ..PeerLimits::default()
        };
        let door = Doorway::new(limits);
        let parts = parts(&SteppedClock::new());
        let seat = |ip| seat(&door, ip, &parts);
        let first = seat("2001:db8::1");
        let second = seat("2001:db8::ffff");
        assert!(first.is_some() && second.is_some() && seat("2001:db8::2").is_none());
        assert!(seat("2001:db8:0:1::1").is_some());
        let third = seat("192.0.2.9");
        let fourth = seat("192.0.2.9");
        assert!(third.is_some() && fourth.is_some(), "trusted ones are not counted by address");
        assert!(seat("192.0.2.9").is_none(), "but in all");
        drop(first);
        assert!(seat("2001:db8::3").is_some());
        drop((second, third, fourth));
        assert!(door.room.seats().by_address.is_empty());
        assert_eq!(door.room.seats().taken, 0);
    }

    #[test]
    fn addresses_of_ipv4_are_no_network_of_ipv6() {
        let limits = PeerLimits { connections_per_address_max: 1, ..PeerLimits::default() };
        let (door, parts) = (Doorway::new(limits), parts(&SteppedClock::new()));
        // As a listener of both gives them, if nobody translates.
        let come = |ip: &str| door.let_in(Box::new(tokio::io::empty()), Some(ip.parse().unwrap()), &parts).ok();
        let (one, other) = (come("::ffff:192.0.2.1"), come("::ffff:192.0.2.2"));
        assert!(one.is_some() && other.is_some() && come("192.0.2.1").is_none());
        assert_eq!(one.unwrap().ip, Some("192.0.2.1".parse().unwrap()), "and all parts hear the short form");
    }

    #[test]
    fn connections_of_a_minute() {
        let limits = PeerLimits {
            connections_per_minute_max: 3,
            trusted: vec!["192.0.2.9".parse().unwrap()],
            ..PeerLimits::default()
        };
        let door = Doorway::new(limits);
        let clock = SteppedClock::new();
        let parts = parts(&clock);
        let come = |ip: &str| seat(&door, ip, &parts).is_some();
        for _ in 0..3 {
            assert!(come("192.0.2.1") && come("192.0.2.9"));
        }
        assert!(!come("192.0.2.1") && come("192.0.2.2"));
        assert!(come("192.0.2.9"), "trusted ones come as often as they like");
        clock.advance(Duration::from_secs(20));
        assert!(come("192.0.2.1") && !come("192.0.2.1"));
    }

    #[test]
    fn stress_begins_at_nine_tenths_and_ends_below_eight() {
        let limits = PeerLimits { connections_max: 20, connections_per_address_max: 100, ..PeerLimits::default() };
        let door = Doorway::new(limits);
        let parts = parts(&SteppedClock::new());
        let mut taken: Vec<_> = (0..17).map(|_| seat(&door, "192.0.2.1", &parts).unwrap()).collect();
        let mut stress = taken[0].stress();
        assert!(!*stress.borrow_and_update());
        taken.push(seat(&door, "192.0.2.1", &parts).unwrap());
        assert!(*stress.borrow_and_update());
        for _ in 0..10 {
            taken.pop();
            taken.push(seat(&door, "192.0.2.1", &parts).unwrap());
        }
        assert!(!stress.has_changed().unwrap(), "coming and going at the limit wakes nobody");
        taken.truncate(16);
        assert!(*stress.borrow());
        taken.pop();
        assert!(!*stress.borrow());
    }

    #[tokio::test]
    async fn a_panic_stays_inside() {
        assert_eq!(contain(async { 1 }).await, Ok(1));
        let failed: Result<(), String> = contain(async { panic!("out of {}", "cheese") }).await;
        assert_eq!(failed, Err("out of cheese".into()));
    }
}
