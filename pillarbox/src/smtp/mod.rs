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

pub use client::{ClientTls, ConnectError, SendError, SmtpClient};
pub use pillarbox_smtp::client::{
    Acceptance, ClientConfig, Credentials, Envelope, EnvelopeId, Login, OriginalRecipient, Recipient, RecipientOutcome,
    StartTls,
};
pub use pillarbox_smtp::server::{BodyKind, Limits, Notify, Orcpt, Protocol, Ret, ServerConfig};

use crate::net::{Caller, Conversation, Doorway, Incoming, Listener, Lost, PeerLimits, Transport, converse};
use crate::parts::Parts;
use crate::shutdown::Shutdown;
use session::Connection;

const FULL: &[u8] = b"421 4.7.0 too many connections, try again later\r\n";

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
    implicit_tls: bool,
    ids: Arc<MessageIds>,
}

impl SmtpServer {
    /// A server with this configuration and these parts.
    ///
    /// STARTTLS is offered when [`tls`](Self::tls) was called and not otherwise, whatever the configuration says: what
    /// cannot be honoured is not offered.
    pub fn new(mut config: ServerConfig, parts: Parts) -> Self {
        config.starttls = false;
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
                implicit_tls: false,
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
        self
    }

    /// Offers STARTTLS with this configuration.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Arc<rustls::ServerConfig>) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.tls = Some(tls);
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

    /// How many clients are served at a time.
    #[must_use]
    pub fn peer_limits(mut self, limits: PeerLimits) -> Self {
        self.doorway = Arc::new(Doorway::new(limits));
        self
    }

    /// Serves connections until `shutdown` begins; returns when the sessions have ended or its patience has.
    ///
    /// Trouble with single connections goes to the observer and ends nothing else; so does a panic in a part.
    pub async fn serve<L: Listener>(&self, listener: L, shutdown: &Shutdown) {
        let full: &[u8] = if self.shared.implicit_tls { b"" } else { FULL };
        let session = |incoming| run(Arc::clone(&self.shared), incoming, shutdown.clone());
        self.doorway.serve(listener, shutdown, &self.shared.parts, full, session).await;
    }

    /// Serves one connection that you accepted yourself.
    pub async fn serve_connection(&self, transport: impl Transport + 'static, ip: Option<IpAddr>, shutdown: &Shutdown) {
        // A caller that accepts by itself also counts by itself: no seat, no work.
        if let Ok(incoming) = self.doorway.let_in(Box::new(transport), ip) {
            run(Arc::clone(&self.shared), incoming, shutdown.clone()).await;
        }
    }
}

/// One connection from its first octet to its last.
async fn run(shared: Arc<Shared>, incoming: Incoming, shutdown: Shutdown) {
    let Incoming { transport, ip, session: number, seat } = incoming;
    let start = session::start(&shared, transport, ip, number);
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
