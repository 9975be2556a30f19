//! SMTP, submission and LMTP on tokio sockets.
//!
//! ```
//! use std::sync::Arc;
//!
//! use pillarbox::parts::{AllowList, MemorySink, Parts};
//! use pillarbox::smtp::{ServerConfig, SmtpServer};
//! use pillarbox::Shutdown;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let sink = MemorySink::new();
//! let parts = Parts {
//!     policy: Arc::new(AllowList::new(["you@localhost"])),
//!     sink: Arc::new(sink.clone()),
//!     ..Parts::in_memory()
//! };
//! let server = SmtpServer::new(ServerConfig::new("localhost"), parts);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = Shutdown::new();
//! # shutdown.begin();
//! server.serve(listener, &shutdown).await;
//! # Ok(())
//! # }
//! ```

mod client;
mod message;
mod session;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use client::{ConnectError, SendError, SmtpClient};

pub use crate::net::ClientTls;
pub use pillarbox_smtp::client::{
    Acceptance, ClientConfig, Credentials, Envelope, EnvelopeId, Login, OriginalRecipient, Recipient, RecipientOutcome,
    StartTls,
};
pub use pillarbox_smtp::server::{BodyKind, Limits, Notify, Orcpt, Protocol, Ret, ServerConfig};

use crate::net::{Caller, Conversation, Doorway, Excuses, Incoming, Listener, Lost, PeerLimits, Transport, converse};
use crate::network::Network;
use crate::parts::Parts;
use crate::shutdown::Shutdown;
use session::Connection;

/// RFC 3463 §3.4, §3.8
const EXCUSES: Excuses = Excuses {
    full: "421 4.7.0 too many connections, try again later\r\n",
    crowded: "421 4.3.2 too many connections without a login, try again later\r\n",
};

/// A server for SMTP, submission or LMTP: configuration, parts, and what belongs to a socket. One server may serve several
/// listeners; they share its limits.
#[derive(Clone)]
pub struct SmtpServer {
    shared: Arc<Shared>,
    doorway: Arc<Doorway>,
}

/// What all sessions of a server share.
#[derive(Clone)]
struct Shared {
    config: Arc<ServerConfig>,
    parts: Parts,
    service: &'static str,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
    /// The same as it was given, for all services that have it.
    #[cfg(feature = "tls")]
    tls_of_all: Option<Arc<rustls::ServerConfig>>,
    implicit_tls: bool,
    greet_wait: Duration,
    xclient_hosts: Vec<Network>,
    xforward_hosts: Vec<Network>,
    ids: Arc<MessageIds>,
}

/// The longest wait before the greeting: clients lose patience after minutes, and a seat is taken meanwhile.
const GREET_WAIT_MAX: Duration = Duration::from_secs(30);

impl SmtpServer {
    /// A server with this configuration and these parts.
    ///
    /// STARTTLS is offered when [`tls`](Self::tls) was called and not otherwise, whatever the configuration says: what
    /// cannot be honoured is not offered.
    pub fn new(mut config: ServerConfig, parts: Parts) -> Self {
        config.starttls = false;
        // No part answers for lists or has a queue to be run.
        (config.expn, config.etrn) = (false, false);
        let service = match config.protocol {
            Protocol::Lmtp => "lmtp",
            _ if config.auth_required => "submission",
            _ => "smtp",
        };
        SmtpServer {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                parts,
                service,
                #[cfg(feature = "tls")]
                tls: None,
                #[cfg(feature = "tls")]
                tls_of_all: None,
                implicit_tls: false,
                greet_wait: Duration::ZERO,
                xclient_hosts: Vec::new(),
                xforward_hosts: Vec::new(),
                ids: Arc::new(MessageIds::new()),
            }),
            doorway: Arc::new(Doorway::new(PeerLimits::default())),
        }
    }

    /// What the server is called in logs and to the parts. By default `lmtp`, `submission` where a login is required, and
    /// `smtp` otherwise.
    #[must_use]
    pub fn service(mut self, name: &'static str) -> Self {
        Arc::make_mut(&mut self.shared).service = name;
        #[cfg(feature = "tls")]
        if let Some(tls) = self.shared.tls_of_all.clone() {
            return self.tls(tls);
        }
        self
    }

    /// Offers STARTTLS with this configuration. Several servers may have the same: what a client began at one of them it cannot
    /// resume at another with a different name ([`service`](Self::service)).
    ///
    /// A client that names application protocols (RFC 7301), and among them none of the configuration's (if it has none:
    /// `smtp` or `lmtp`), is refused in the handshake: it is a browser. One that names none is served.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Arc<rustls::ServerConfig>) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        let alpn: &[u8] = if shared.config.protocol == Protocol::Lmtp { b"lmtp" } else { b"smtp" };
        shared.tls = Some(crate::tls::of_service(&tls, shared.service, alpn));
        shared.tls_of_all = Some(tls);
        Arc::make_mut(&mut shared.config).starttls = true;
        self
    }

    /// Begins every connection with TLS (RFC 8314 §3) instead of offering STARTTLS. Without [`tls`](Self::tls) every
    /// connection is then closed at once.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn implicit_tls(mut self, implicit: bool) -> Self {
        Arc::make_mut(&mut self.shared).implicit_tls = implicit;
        self
    }

    /// Waits so long before the greeting, at most 30 seconds, for clients that do not wait for it: the policy hears of what they
    /// said in [`Session::early_talk`](crate::parts::Session::early_talk). By default it hears of what has come by itself.
    #[must_use]
    pub fn greet_wait(mut self, wait: Duration) -> Self {
        Arc::make_mut(&mut self.shared).greet_wait = wait.min(GREET_WAIT_MAX);
        self
    }

    /// Proxies that may say by XCLIENT who their client is. Whoever is named here can be anybody, logged in as anybody. Name
    /// them in [`PeerLimits::trusted`] as well, since they come for many.
    #[must_use]
    pub fn xclient_hosts(mut self, hosts: impl IntoIterator<Item = Network>) -> Self {
        Arc::make_mut(&mut self.shared).xclient_hosts = hosts.into_iter().collect();
        self
    }

    /// Filters that may say by XFORWARD where a message came from.
    #[must_use]
    pub fn xforward_hosts(mut self, hosts: impl IntoIterator<Item = Network>) -> Self {
        Arc::make_mut(&mut self.shared).xforward_hosts = hosts.into_iter().collect();
        self
    }

    /// How many clients are served at a time, and from where they come.
    #[must_use]
    pub fn peer_limits(mut self, limits: PeerLimits) -> Self {
        self.doorway = Arc::new(Doorway::new(limits));
        self
    }

    /// Serves connections until `shutdown` begins; returns when the sessions have ended or its patience has.
    ///
    /// Trouble with single connections goes to the observer and ends nothing else; so does a panic in a part. LMTP is not served
    /// on port 25, where it would be taken for SMTP (RFC 2033 §5): the observer hears of that, and this returns.
    pub async fn serve<L: Listener>(&self, listener: L, shutdown: &Shutdown) {
        let parts = &self.shared.parts;
        if self.shared.config.protocol == Protocol::Lmtp && listener.port() == Some(25) {
            return parts.observer.failed(0, "listen", &"LMTP must not be spoken on port 25 (RFC 2033 §5)");
        }
        let session = |incoming| self.clone().run(incoming, shutdown.clone());
        self.doorway.serve(listener, shutdown, self.shared.service, parts, self.excuses(), session).await;
    }

    /// Serves one connection that you accepted yourself.
    pub async fn serve_connection(&self, transport: impl Transport + 'static, ip: Option<IpAddr>, shutdown: &Shutdown) {
        // A caller that accepts by itself also counts by itself: no seat, no work.
        if let Ok(incoming) = self.doorway.let_in(Box::new(transport), ip, &self.shared.parts) {
            self.clone().run(incoming, shutdown.clone()).await;
        }
    }

    /// What those hear who find no seat; nothing where only TLS is spoken.
    fn excuses(&self) -> Excuses {
        if self.shared.implicit_tls { Excuses::NONE } else { EXCUSES }
    }

    async fn run(self, incoming: Incoming, shutdown: Shutdown) {
        let shared = Arc::clone(&self.shared);
        let session = |incoming| run(Arc::clone(&shared), incoming, shutdown);
        self.doorway.run(incoming, shared.service, &shared.parts, self.excuses(), session).await;
    }
}

/// One connection from its first octet to its last.
async fn run(shared: Arc<Shared>, incoming: Incoming, shutdown: Shutdown) {
    let Incoming { transport, ip, session: number, seat, guest } = incoming;
    let start = session::start(&shared, transport, ip, number, seat.stress(), guest);
    let caller = Caller { observer: &*shared.parts.observer, service: shared.service, number, ip, seat };
    converse(caller, start, &shutdown).await;
}

impl Conversation for Connection {
    fn run(&mut self, shutdown: &Shutdown) -> impl Future<Output = Result<(), Lost>> + Send {
        self.run(shutdown)
    }

    fn close_reason(&self) -> Option<String> {
        self.close_reason()
    }

    fn close(self) -> impl Future<Output = ()> + Send {
        self.close()
    }

    fn abort(self) -> impl Future<Output = ()> + Send {
        self.abort()
    }
}

/// Names for messages: the second in which one came, a salt of the process, and a count.
struct MessageIds {
    salt: u32,
    next: AtomicU64,
}

impl MessageIds {
    fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        // The standard library seeds its maps from the system: enough to tell two processes apart that count alike.
        let random = RandomState::new().hash_one(std::process::id());
        MessageIds { salt: (random & 0xF_FFFF) as u32, next: AtomicU64::new(0) }
    }

    fn next(&self, unix_seconds: i64) -> String {
        let mut id = String::new();
        push_base32(&mut id, unix_seconds.cast_unsigned() & 0x7_FFFF_FFFF, 7);
        push_base32(&mut id, u64::from(self.salt), 4);
        push_base32(&mut id, self.next.fetch_add(1, Ordering::Relaxed), 1);
        id
    }
}

/// Appends a number in base 32, most significant digit first, with at least `digits` digits. The alphabet leaves out letters
/// that are read as digits or make up words.
fn push_base32(text: &mut String, number: u64, digits: u32) {
    const ALPHABET: &[u8; 32] = b"0123456789BCDFGHJKLMNPQRSTVWXYZb";
    let significant = (64 - number.leading_zeros()).div_ceil(5);
    for digit in (0..significant.max(digits)).rev() {
        text.push(char::from(ALPHABET[(number >> (digit * 5)) as usize & 31]));
    }
}
