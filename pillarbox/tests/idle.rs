//! Connections that say nothing: what each costs, and that one more costs no more however many there are.
//!
//! Simulated sockets and a clock that stands still, and the real driver between them. `IDLE_CONNECTIONS` says how many.
#![cfg(feature = "tokio")]
#![allow(clippy::print_stdout, reason = "tests show what they measured")]

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use pillarbox::parts::{BoxFuture, Clock, Parts, UnauthenticatedLimit};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox::testing::SteppedClock;
use pillarbox::{Accepted, Listener, PeerLimits, Shutdown};
use pillarbox_core::{Time, WallTime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What one connection may cost.
const OCTETS_MAX: usize = 32 * 1024;
/// Connections whose cost is counted.
const SAMPLE: usize = 100;

/// What is done for connections.
#[derive(Default)]
struct Work {
    /// Sockets that wait for a client which says nothing more.
    idle: AtomicUsize,
    closed: AtomicUsize,
    /// Reads, writes and flushes of all sockets.
    socket_polls: AtomicUsize,
    /// Those of sockets which were idle already.
    idle_polls: AtomicUsize,
    accepts: AtomicUsize,
    clock_calls: AtomicUsize,
}

impl Work {
    fn counted(&self) -> [usize; 3] {
        [&self.socket_polls, &self.accepts, &self.clock_calls].map(|count| count.load(Ordering::Relaxed))
    }
}

/// A client that says EHLO once it was greeted, and no more. It hangs up when the server does.
struct Socket {
    work: Arc<Work>,
    greeted: bool,
    said: bool,
    is_idle: bool,
    closed: bool,
}

impl Socket {
    fn polled(&self) {
        self.work.socket_polls.fetch_add(1, Ordering::Relaxed);
        if self.is_idle {
            self.work.idle_polls.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.polled();
        if self.closed {
            return Poll::Ready(Ok(()));
        }
        if self.greeted && !self.said {
            self.said = true;
            buffer.put_slice(b"EHLO client.example\r\n");
            return Poll::Ready(Ok(()));
        }
        // Nobody is to be woken: nothing ever comes.
        if self.said && !self.is_idle {
            self.is_idle = true;
            self.work.idle.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.polled();
        self.greeted |= octets.starts_with(b"220 ");
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.polled();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.work.closed.fetch_add(1, Ordering::Relaxed);
    }
}

/// Connections that wait to be accepted.
#[derive(Clone, Default)]
struct Queue {
    work: Arc<Work>,
    waiting: Arc<Mutex<VecDeque<Accepted>>>,
    news: Arc<Notify>,
}

impl Queue {
    /// So many more connections, each from an address of its own.
    async fn connect(&self, numbers: std::ops::Range<usize>) {
        let end = numbers.end;
        for number in numbers {
            let work = Arc::clone(&self.work);
            let socket = Socket { work, greeted: false, said: false, is_idle: false, closed: false };
            let ip = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap());
            self.waiting.lock().unwrap().push_back((Box::new(socket), Some(IpAddr::V4(ip))));
            self.news.notify_one();
        }
        while self.work.idle.load(Ordering::Relaxed) < end {
            tokio::task::yield_now().await;
        }
    }
}

impl Listener for Queue {
    fn accept(&self) -> BoxFuture<'_, io::Result<Accepted>> {
        self.work.accepts.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            loop {
                if let Some(accepted) = self.waiting.lock().unwrap().pop_front() {
                    return Ok(accepted);
                }
                self.news.notified().await;
            }
        })
    }
}

/// Counts how often a clock is asked.
struct Counted(SteppedClock, Arc<Work>);

impl Clock for Counted {
    fn now(&self) -> Time {
        self.1.clock_calls.fetch_add(1, Ordering::Relaxed);
        self.0.now()
    }

    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn sleep_until(&self, moment: Time) -> BoxFuture<'_, ()> {
        self.1.clock_calls.fetch_add(1, Ordering::Relaxed);
        self.0.sleep_until(moment)
    }
}

#[tokio::test]
async fn many_connections_that_say_nothing() {
    let connections = std::env::var("IDLE_CONNECTIONS").map_or(10_000, |text| text.parse().unwrap());
    let (queue, clock, shutdown) = (Queue::default(), SteppedClock::new(), Shutdown::new());
    let work = Arc::clone(&queue.work);
    let strangers = Arc::new(UnauthenticatedLimit::new(connections + SAMPLE));
    let parts = Parts {
        clock: Arc::new(Counted(clock.clone(), Arc::clone(&work))),
        unauthenticated: Arc::clone(&strangers),
        ..Parts::in_memory()
    };
    let mut limits = PeerLimits::default();
    // Twice as many, so that the sessions are not under stress, which is a haste that would end them.
    limits.connections_max = 2 * (connections + SAMPLE);
    let server = SmtpServer::new(ServerConfig::new("mx.example"), parts).peer_limits(limits);
    let serving = tokio::spawn({
        let (queue, shutdown) = (queue.clone(), shutdown.clone());
        async move { server.serve(queue, &shutdown).await }
    });

    queue.connect(0..SAMPLE).await;
    let begin = MEMORY.current_usage();
    let mut open = SAMPLE;
    let mut costs = Vec::new();
    for size in [1000, connections] {
        queue.connect(open..size).await;
        let (before, start) = (work.counted(), Instant::now());
        queue.connect(size..size + SAMPLE).await;
        let time = start.elapsed() / u32::try_from(SAMPLE).unwrap();
        let after = work.counted();
        let cost: [usize; 3] = std::array::from_fn(|at| after[at] - before[at]);
        println!(
            "beside {size}: {SAMPLE} more take {cost:?} socket polls, accepts and looks at the clock, {time:?} each"
        );
        open = size + SAMPLE;
        costs.push(cost);
    }
    let each = (MEMORY.current_usage() - begin) / (open - SAMPLE);
    println!("{open} connections, {each} octets each");

    assert_eq!(costs[0], costs[1], "one more costs as much beside many as beside few");
    assert_eq!(work.idle_polls.load(Ordering::Relaxed), 0, "nobody who is idle is woken for others");
    assert!(each <= OCTETS_MAX, "{each} octets");
    assert_eq!(strangers.count(), open);

    // All are sent away when their time is over, and nothing stays behind.
    clock.advance(Duration::from_secs(300));
    while work.closed.load(Ordering::Relaxed) < open {
        tokio::task::yield_now().await;
    }
    shutdown.begin();
    serving.await.unwrap();
    assert_eq!(strangers.count(), 0);
}
