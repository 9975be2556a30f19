//! Other people's servers, in memory: our own server sessions behind a wire that can be cut, stopped and lied on.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use pillarbox::Shutdown;
use pillarbox::outbound::{Connect, Connected, Endpoint};
use pillarbox::parts::{
    Authenticator, BoxFuture, Clock, Envelope, IncomingMessage, MessageSink, Outcome, Parts, Policy, Session,
    SinkError, Verdict,
};
use pillarbox::smtp::{ServerConfig, SmtpServer};
use pillarbox::smtp_proto::server::{Mail, Rcpt};
use pillarbox_core::address::ForwardPath;
use pillarbox_core::{Random, Reply, SeededRandom, Time, WallTime};
use pillarbox_fs::SimulatedFs;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;

/// The date at which every test begins.
pub(crate) const START: i64 = 1_700_000_000;

/// The paused clock of tokio: where all wait, time goes on to what is next.
pub(crate) struct Paused(Instant);

impl Paused {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Paused(Instant::now()))
    }
}

impl Clock for Paused {
    fn now(&self) -> Time {
        Time::from_origin(self.0.elapsed())
    }

    fn wall(&self) -> WallTime {
        WallTime::new(START + i64::try_from(self.0.elapsed().as_secs()).unwrap(), 0)
    }

    fn sleep_until(&self, moment: Time) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep_until(self.0 + moment.since_origin()))
    }
}

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody listens.
    Refuse,
    /// Nobody answers.
    Silence,
    /// It takes so many milliseconds until somebody answers.
    Late(u64),
    /// After so many octets of the server's the connection breaks.
    CutAfter(usize),
    /// After so many octets of the server's nothing more comes.
    StopAfter(usize),
    /// Behind so many octets the server says something that nobody asked for.
    LieAfter(usize),
    /// The server takes so many seconds for everything.
    Slow(u64),
}

/// A copy of a message that a server took.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    pub(crate) host: String,
    pub(crate) envelope: Envelope,
    pub(crate) to: String,
    pub(crate) octets: Vec<u8>,
    /// Its 250 may not have arrived.
    pub(crate) is_doubtful: bool,
    /// When it was taken, counted in lives of this host and changes of its disk.
    pub(crate) at: Moment,
}

/// A moment: the life of this host, and the changes of its disk in it.
pub(crate) type Moment = (u64, u64);

/// The disk that moments are counted by.
#[derive(Clone, Default)]
pub(crate) struct Now(Arc<Mutex<(u64, SimulatedFs)>>);

impl Now {
    /// Another life begins, with this disk.
    pub(crate) fn begin(&self, life: u64, fs: &SimulatedFs) {
        *self.0.lock().unwrap() = (life, fs.clone());
    }

    pub(crate) fn moment(&self) -> Moment {
        let now = self.0.lock().unwrap();
        (now.0, now.1.changes())
    }
}

pub(crate) type Copies = Arc<Mutex<Vec<Copy>>>;

/// What a server says, beside being there.
pub(crate) trait Script: Send + Sync {
    /// What is wrong with the next connection to this host.
    fn fault(&self, host: &str) -> Option<Fault>;
    /// What is said to RCPT.
    fn rcpt(&self, host: &str, to: &str) -> Verdict;
    /// What is said at the end of a message, if it is no.
    fn end(&self, host: &str) -> Option<Reply>;
    /// What is said to MAIL.
    fn mail(&self, _host: &str) -> Verdict {
        Verdict::Accept
    }
}

/// The network.
pub(crate) struct Net {
    pub(crate) hosts: HashMap<IpAddr, (String, ServerConfig)>,
    pub(crate) script: Arc<dyn Script>,
    pub(crate) copies: Copies,
    pub(crate) now: Now,
    pub(crate) clock: Arc<Paused>,
    pub(crate) dialled: Mutex<Vec<String>>,
    /// By the names of hosts.
    pub(crate) tls: HashMap<String, Arc<rustls::ServerConfig>>,
    pub(crate) base: Parts,
}

impl Net {
    pub(crate) fn new(clock: Arc<Paused>, script: Arc<dyn Script>) -> Self {
        let base = Parts { clock: clock.clone(), ..Parts::in_memory() };
        let (copies, now, dialled) = (Copies::default(), Now::default(), Mutex::default());
        Net { hosts: HashMap::new(), tls: HashMap::new(), script, copies, now, clock, dialled, base }
    }

    pub(crate) fn host(mut self, ip: &str, name: &str, config: ServerConfig) -> Self {
        self.hosts.insert(ip.parse().unwrap(), (name.into(), config));
        self
    }

    /// Who judges logins at all hosts.
    pub(crate) fn logins(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.base.authenticator = authenticator;
        self
    }

    fn serve(&self, name: &str, config: ServerConfig, wire: DuplexStream, fault: Option<Fault>) {
        let slow = match fault {
            Some(Fault::Slow(seconds)) => Duration::from_secs(seconds),
            _ => Duration::ZERO,
        };
        let host = Arc::new(Host {
            name: name.into(),
            script: Arc::clone(&self.script),
            copies: Arc::clone(&self.copies),
            now: self.now.clone(),
            is_doubtful: Arc::new(AtomicBool::new(fault.is_some())),
            slow,
        });
        let parts = Parts { policy: host.clone(), sink: host, ..self.base.clone() };
        let mut server = SmtpServer::new(config, parts);
        if let Some(tls) = self.tls.get(name) {
            server = server.tls(Arc::clone(tls));
        }
        let wire = Faulty { inner: wire, fault, written: 0 };
        tokio::spawn(async move { server.serve_connection(wire, None, &Shutdown::new()).await });
    }
}

impl Connect for Net {
    fn dial<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, io::Result<Connected>> {
        Box::pin(async move {
            let Endpoint::Tcp { address, .. } = endpoint else { return Err(io::ErrorKind::Unsupported.into()) };
            self.dialled.lock().unwrap().push(address.to_string());
            let Some((name, config)) = self.hosts.get(&address.ip()) else {
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let fault = self.script.fault(name);
            match fault {
                Some(Fault::Refuse) => return Err(io::ErrorKind::ConnectionRefused.into()),
                Some(Fault::Silence) => std::future::pending::<()>().await,
                Some(Fault::Late(milliseconds)) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
                _ => {}
            }
            let (near, far) = duplex(64 * 1024);
            self.serve(name, config.clone(), far, fault);
            Ok(Connected::new(near, Some([192, 0, 2, 99].into())))
        })
    }
}

/// The far end of a wire.
struct Faulty {
    inner: DuplexStream,
    fault: Option<Fault>,
    written: usize,
}

impl AsyncRead for Faulty {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let most = match self.fault {
            Some(Fault::CutAfter(at) | Fault::StopAfter(at) | Fault::LieAfter(at)) => {
                let left = at.saturating_sub(self.written);
                if left == 0 {
                    match self.fault {
                        Some(Fault::CutAfter(_)) => {
                            let _ = Pin::new(&mut self.inner).poll_shutdown(cx);
                            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                        }
                        Some(Fault::LieAfter(_)) => {
                            let lie = b"250 2.0.0 thank you for nothing\r\n";
                            return match Pin::new(&mut self.inner).poll_write(cx, lie) {
                                Poll::Ready(Ok(_)) => {
                                    self.fault = None;
                                    self.poll_write(cx, octets)
                                }
                                other => other,
                            };
                        }
                        // Whoever waits for this is never woken.
                        _ => return Poll::Pending,
                    }
                }
                left.min(octets.len())
            }
            _ => octets.len(),
        };
        let wrote = Pin::new(&mut self.inner).poll_write(cx, &octets[..most]);
        if let Poll::Ready(Ok(n)) = wrote {
            self.written += n;
        }
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// One connection to a server.
struct Host {
    name: String,
    script: Arc<dyn Script>,
    copies: Copies,
    now: Now,
    is_doubtful: Arc<AtomicBool>,
    slow: Duration,
}

impl Policy for Host {
    fn sender<'a>(&'a self, _session: &'a Session, _mail: &'a Mail<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move { self.script.mail(&self.name) })
    }

    fn recipient<'a>(&'a self, _session: &'a Session, rcpt: &'a Rcpt<'a>) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            tokio::time::sleep(self.slow).await;
            self.script.rcpt(&self.name, &text(&rcpt.to))
        })
    }
}

pub(crate) fn text(to: &ForwardPath<'_>) -> String {
    to.address().map_or_else(|| "postmaster".into(), ToString::to_string)
}

impl MessageSink for Host {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        let taking = Taking {
            host: self.name.clone(),
            envelope,
            octets: Vec::new(),
            copies: Arc::clone(&self.copies),
            now: self.now.clone(),
            refusal: self.script.end(&self.name),
            is_doubtful: Arc::clone(&self.is_doubtful),
            slow: self.slow,
        };
        Box::pin(async move { Ok(Box::new(taking) as Box<dyn IncomingMessage>) })
    }
}

struct Taking {
    host: String,
    envelope: Envelope,
    octets: Vec<u8>,
    copies: Copies,
    now: Now,
    refusal: Option<Reply>,
    is_doubtful: Arc<AtomicBool>,
    slow: Duration,
}

impl IncomingMessage for Taking {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<(), SinkError>> {
        self.octets.extend_from_slice(octets);
        Box::pin(async { Ok(()) })
    }

    fn commit(self: Box<Self>, _all_or_nothing: bool) -> BoxFuture<'static, Vec<Outcome>> {
        Box::pin(async move {
            let recipients = self.envelope.recipients.clone();
            if let Some(reply) = self.refusal {
                return vec![Outcome::Refused(reply); recipients.len()];
            }
            for to in &recipients {
                self.copies.lock().unwrap().push(Copy {
                    host: self.host.clone(),
                    envelope: self.envelope.clone(),
                    to: text(to),
                    octets: self.octets.clone(),
                    is_doubtful: self.is_doubtful.load(Ordering::Relaxed),
                    at: self.now.moment(),
                });
            }
            // The message is taken, and the client does not know it yet.
            tokio::time::sleep(self.slow).await;
            vec![Outcome::Delivered; recipients.len()]
        })
    }
}

/// A sink in memory as the mailboxes of this host, which keeps what it gets with the others' copies.
pub(crate) struct Mailboxes(pub(crate) Copies, pub(crate) Now);

impl MessageSink for Mailboxes {
    fn begin(&self, envelope: Envelope) -> BoxFuture<'_, Result<Box<dyn IncomingMessage>, SinkError>> {
        let taking = Taking {
            host: "here".into(),
            octets: envelope.trace.clone(),
            envelope,
            copies: Arc::clone(&self.0),
            now: self.1.clone(),
            refusal: None,
            is_doubtful: Arc::default(),
            slow: Duration::ZERO,
        };
        Box::pin(async move { Ok(Box::new(taking) as Box<dyn IncomingMessage>) })
    }
}

/// A die.
pub(crate) struct Die(Mutex<SeededRandom>);

impl Die {
    pub(crate) fn new(seed: u64) -> Self {
        Die(Mutex::new(SeededRandom::new(seed)))
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.0.lock().unwrap().below(bound)
    }
}
