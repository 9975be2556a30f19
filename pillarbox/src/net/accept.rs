//! Listening: who is let in, how many at once, and what happens when a session panics.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::Transport;
use crate::parts::{BoxFuture, Parts};
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
    /// Addresses that are only counted in all: a gateway, or a web mailer that logs in for its users.
    pub trusted: Vec<IpAddr>,
}

impl Default for PeerLimits {
    /// 10,000 in all and 50 from one address; nobody is trusted.
    fn default() -> Self {
        PeerLimits { connections_max: 10_000, connections_per_address_max: 50, trusted: Vec::new() }
    }
}

/// A connection, and the address of the client if it has one.
pub type Accepted = (Box<dyn Transport>, Option<IpAddr>);

/// Where connections come from: a TCP or unix listener of tokio, or your own.
pub trait Listener: Send + 'static {
    /// Waits for the next connection. Cancel-safe.
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>>;
}

impl Listener for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        Box::pin(async {
            let (stream, peer) = TcpListener::accept(self).await?;
            // Output is written in whole flights, so waiting for more of it only costs time. A connection that is gone
            // already shows that at its first read.
            let _ = stream.set_nodelay(true);
            Ok((Box::new(stream) as Box<dyn Transport>, Some(peer.ip().to_canonical())))
        })
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
}

/// Who is let in to the listeners of one server.
pub(crate) struct Doorway {
    limits: PeerLimits,
    seats: Arc<Mutex<Seats>>,
}

#[derive(Default)]
struct Seats {
    taken: usize,
    /// The standard map's hash is seeded, so that addresses cannot be picked to collide.
    by_address: HashMap<IpAddr, usize>,
}

pub(crate) struct Seat {
    seats: Arc<Mutex<Seats>>,
    /// The network that the connection is counted for; none if it only counts in all.
    pub(crate) address: Option<IpAddr>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.taken -= 1;
        if let Some(address) = self.address
            && let Some(count) = seats.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                seats.by_address.remove(&address);
            }
        }
    }
}

impl Doorway {
    pub(crate) fn new(limits: PeerLimits) -> Self {
        Doorway { limits, seats: Arc::default() }
    }

    fn take_seat(&self, ip: Option<IpAddr>) -> Option<Seat> {
        let address = ip.filter(|ip| !self.limits.trusted.contains(ip)).map(network);
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.taken >= self.limits.connections_max {
            return None;
        }
        if let Some(address) = address {
            let count = seats.by_address.entry(address).or_default();
            if *count >= self.limits.connections_per_address_max {
                return None;
            }
            *count += 1;
        }
        seats.taken += 1;
        Some(Seat { seats: Arc::clone(&self.seats), address })
    }

    /// A seat for a connection that came by another way than a listener.
    pub(crate) fn let_in(
        &self,
        transport: Box<dyn Transport>,
        ip: Option<IpAddr>,
    ) -> Result<Incoming, Box<dyn Transport>> {
        static SESSIONS: AtomicU64 = AtomicU64::new(1);
        match self.take_seat(ip) {
            Some(seat) => Ok(Incoming { transport, ip, session: SESSIONS.fetch_add(1, Ordering::Relaxed), seat }),
            None => Err(transport),
        }
    }

    /// Accepts connections and runs a session for each until `shutdown` begins, then waits for the sessions as long as it
    /// has patience. Those who find no seat get `full` and are closed; it is empty where nothing can be said in clear text.
    pub(crate) async fn serve<L: Listener, S: Future<Output = ()> + Send + 'static>(
        &self,
        listener: L,
        shutdown: &Shutdown,
        parts: &Parts,
        full: &'static [u8],
        session: impl Fn(Incoming) -> S,
    ) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => break,
                Some(_) = sessions.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((transport, ip)) => match self.let_in(transport, ip) {
                        Ok(incoming) => {
                            let running = session(incoming);
                            sessions.spawn(running);
                        }
                        Err(mut transport) => turn_away(&mut *transport, full).await,
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
async fn turn_away(transport: &mut dyn Transport, full: &'static [u8]) {
    poll_fn(|cx| {
        let _ = std::pin::Pin::new(&mut *transport).poll_write(cx, full);
        let _ = std::pin::Pin::new(&mut *transport).poll_shutdown(cx);
        Poll::Ready(())
    })
    .await;
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

    #[test]
    fn seats_are_counted_per_network_and_given_back() {
        let limits = PeerLimits {
            connections_max: 4,
            connections_per_address_max: 2,
            trusted: vec!["192.0.2.9".parse().unwrap()],
        };
        let door = Doorway::new(limits);
        let seat = |ip: &str| door.take_seat(Some(ip.parse().unwrap()));
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
        assert!(door.seats.lock().unwrap().by_address.is_empty());
        assert_eq!(door.seats.lock().unwrap().taken, 0);
    }

    #[tokio::test]
    async fn a_panic_stays_inside() {
        assert_eq!(contain(async { 1 }).await, Ok(1));
        let failed: Result<(), String> = contain(async { panic!("out of {}", "cheese") }).await;
        assert_eq!(failed, Err("out of cheese".into()));
    }
}
