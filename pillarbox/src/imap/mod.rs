//! IMAP on tokio sockets.
//!
//! ```
//! use std::sync::Arc;
//!
//! use pillarbox::imap::{ImapServer, ServerConfig};
//! use pillarbox::parts::{MemoryAuthenticator, Parts};
//! use pillarbox::Shutdown;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let accounts = MemoryAuthenticator::new().with("you@localhost", "secret");
//! let parts = Parts { authenticator: Arc::new(accounts), ..Parts::in_memory() };
//! let server = ImapServer::new(ServerConfig::default(), parts);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let shutdown = Shutdown::new();
//! # shutdown.begin();
//! server.serve(listener, &shutdown).await;
//! # Ok(())
//! # }
//! ```

mod catenate;
mod client;
mod fetch;
mod multisearch;
pub(crate) mod pieces;
mod search;
mod searches;
mod seats;
mod session;
mod sort;
mod watch;

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

pub use client::{ConnectError, ImapClient, RunError};
pub use pillarbox_imap::client::{
    Capabilities, ClientConfig, Command, CommandId, Credentials, Event, Failure, Fetch, Login, Mirror, Response,
    StartTls, Status,
};
pub use pillarbox_imap::server::{Extensions, Limits, ServerConfig};

pub use crate::net::ClientTls;

use crate::net::{Caller, Conversation, Doorway, Excuses, Incoming, Listener, Lost, PeerLimits, Transport, converse};
use crate::parts::Parts;
use crate::shutdown::Shutdown;
use searches::Searches;
use seats::UserSeats;
use session::Connection;

/// Sessions of one user from one address, unless the embedder says otherwise: some programs keep one for each mailbox.
const USER_SESSIONS_MAX: usize = 10;

const EXCUSES: Excuses = Excuses {
    full: "* BYE [LIMIT] too many connections, try again later\r\n",
    crowded: "* BYE [LIMIT] too many connections without a login, try again later\r\n",
};

/// A server for IMAP: configuration, parts, and what belongs to a socket. One server may serve several listeners; they
/// share its limits.
#[derive(Clone)]
pub struct ImapServer {
    shared: Arc<Shared>,
    doorway: Arc<Doorway>,
}

/// What all sessions of a server share.
#[derive(Clone)]
struct Shared {
    config: Arc<ServerConfig>,
    parts: Parts,
    users: Arc<UserSeats>,
    searches: Arc<Searches>,
    service: &'static str,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ServerConfig>>,
    implicit_tls: bool,
}

impl ImapServer {
    /// A server with this configuration and these parts.
    ///
    /// STARTTLS is offered when [`tls`](Self::tls) was called and not otherwise, whatever the configuration says: what
    /// cannot be honoured is not offered. COMPRESS=DEFLATE needs the feature `compress`. The same holds for each extension that the store has to answer for
    /// ([`StoreCapabilities`](crate::parts::StoreCapabilities)). A store that says how names are spelled
    /// ([`MailboxStore::namespace`](crate::parts::MailboxStore::namespace)) is followed, whatever the configuration says.
    pub fn new(mut config: ServerConfig, parts: Parts) -> Self {
        config.starttls = false;
        if let Some(namespace) = parts.store.namespace() {
            (config.namespace_prefix, config.separator) = (namespace.prefix, namespace.separator);
            (config.other_users_prefix, config.shared_prefix) = (namespace.other_users, namespace.shared);
        }
        let (offered, can) = (&mut config.extensions, parts.store.capabilities());
        offered.compress &= cfg!(feature = "compress");
        offered.acl &= can.rights;
        offered.children &= can.hierarchy;
        offered.binary &= can.binary;
        offered.metadata &= can.metadata;
        offered.metadata_server &= can.metadata || can.server_metadata;
        offered.moves &= can.moves;
        offered.notify &= can.watches;
        offered.multiappend &= can.multiappend;
        offered.replace &= can.replace;
        offered.status_size &= can.sizes;
        offered.special_use &= can.special_use;
        offered.create_special_use &= can.create_special_use;
        offered.condstore &= can.mod_seqs;
        offered.qresync &= can.vanished;
        offered.quota &= can.quota;
        offered.quota_set &= can.quota_set;
        offered.object_id &= can.object_ids;
        offered.save_date &= can.save_dates;
        ImapServer {
            shared: Arc::new(Shared {
                config: Arc::new(config),
                parts,
                users: Arc::new(UserSeats::new(USER_SESSIONS_MAX)),
                searches: Arc::default(),
                service: "imap",
                #[cfg(feature = "tls")]
                tls: None,
                implicit_tls: false,
            }),
            doorway: Arc::new(Doorway::new(PeerLimits::default())),
        }
    }

    /// Offers STARTTLS with this configuration. Several servers may have the same: what a client began at one of them it cannot
    /// resume at another with a different name.
    ///
    /// A client that names application protocols (RFC 7301), and among them none of the configuration's (if it has none:
    /// `imap`), is refused in the handshake: it is a browser. One that names none is served.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Arc<rustls::ServerConfig>) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.tls = Some(crate::tls::of_service(&tls, shared.service, b"imap"));
        Arc::make_mut(&mut shared.config).starttls = !shared.implicit_tls;
        self
    }

    /// Begins every connection with TLS (RFC 8314 §3) instead of offering STARTTLS. Without [`tls`](Self::tls) every
    /// connection is then closed at once.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn implicit_tls(mut self, implicit: bool) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.implicit_tls = implicit;
        Arc::make_mut(&mut shared.config).starttls = !implicit && shared.tls.is_some();
        self
    }

    /// How many clients are served at a time, and from where they come.
    #[must_use]
    pub fn peer_limits(mut self, limits: PeerLimits) -> Self {
        self.doorway = Arc::new(Doorway::new(limits));
        self
    }

    /// How many sessions one user may have from one address; a login beyond them is refused with `[LIMIT]`. Default: 10.
    ///
    /// Addresses count as for [`peer_limits`](Self::peer_limits): not those that are trusted, and none on a unix socket.
    #[must_use]
    pub fn user_sessions_max(mut self, max: usize) -> Self {
        Arc::make_mut(&mut self.shared).users = Arc::new(UserSeats::new(max));
        self
    }

    /// How many searches (and sorts) of all users look into messages at the same moment, at least one. The others wait, each user for as
    /// long as every other one. Default: half the number of processors.
    ///
    /// Only searches that the store leaves to the server count ([`Mailbox::search`](crate::parts::Mailbox::search)).
    #[must_use]
    pub fn searches_max(mut self, max: usize) -> Self {
        Arc::make_mut(&mut self.shared).searches = Arc::new(Searches::new(max));
        self
    }

    /// Serves connections until `shutdown` begins; returns when the sessions have ended or its patience has.
    ///
    /// Trouble with single connections goes to the observer and ends nothing else; so does a panic in a part.
    pub async fn serve<L: Listener>(&self, listener: L, shutdown: &Shutdown) {
        let session = |incoming| self.clone().run(incoming, shutdown.clone());
        self.doorway.serve(listener, shutdown, self.shared.service, &self.shared.parts, self.excuses(), session).await;
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
    let start = session::start(&shared, transport, ip, seat.address, number, guest);
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
