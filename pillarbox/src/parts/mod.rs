//! Who answers the questions of the sessions: one trait per file, each with an in-memory version.
//!
//! Assembly is a plain struct of trait objects, overridden with struct-update syntax:
//!
//! ```
//! use std::sync::Arc;
//! use pillarbox::parts::{MemoryAuthenticator, Parts};
//!
//! let accounts = MemoryAuthenticator::new().with("you@localhost", "secret");
//! let parts = Parts { authenticator: Arc::new(accounts), ..Parts::in_memory() };
//! ```

mod authenticator;
mod clock;
mod logins;
mod mailbox;
mod observer;
mod policy;
mod progress;
mod resolver;
mod room;
mod senders;
mod sink;
mod store;
mod store_error;
mod unauthenticated;
mod watch;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use pillarbox_core::crypto::Crypto;
use pillarbox_core::dns::FixedZone;

pub use authenticator::{Authenticator, Identity, LoginAttempt, LoginOutcome, MemoryAuthenticator};
pub use clock::{Clock, SystemClock};
pub use logins::{LoginGuard, LoginLimits};
pub use mailbox::{
    Cached, Computed, Copied, FlagsSet, Mailbox, MessageData, MessageFlags, MessageReader, Piece, SetFlags,
};
pub use observer::{Direction, Observer, QueueEvent, Silent};
pub use policy::{AllowList, Policy, Session, Verdict};
pub use progress::Progress;
#[cfg(feature = "outbound")]
pub(crate) use resolver::Driven;
pub use resolver::{Resolver, resolve, resolve_within};
pub use room::{Reserve, Room};
pub use senders::OwnSenders;
pub use sink::{Envelope, IncomingMessage, MemoryMessage, MemorySink, MessageSink, Notices, Outcome, SinkError};
pub use store::{Append, AppendedMessages, IncomingAppend, MailboxStore, Namespace, StoreCapabilities};
pub use store_error::{StoreError, StoreErrorKind};
#[cfg(feature = "tokio")]
pub(crate) use unauthenticated::Guest;
pub use unauthenticated::UnauthenticatedLimit;
pub use watch::{MailboxWatch, NameChange, NameWatch, Stirred};

use crate::crypto::RingCrypto;
use crate::store::MemoryStore;

/// A future that a plug-in trait returns. Boxed, so that the traits can be used as trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything that a server needs beside its configuration. Clone it freely: the parts are shared.
#[derive(Clone)]
pub struct Parts {
    /// Who may log in.
    pub authenticator: Arc<dyn Authenticator>,
    /// How slow a wrong password is, and for whom.
    pub logins: Arc<LoginGuard>,
    /// How many sessions there may be that nobody has logged in to.
    pub unauthenticated: Arc<UnauthenticatedLimit>,
    /// Which connections, senders, recipients and messages are accepted.
    pub policy: Arc<dyn Policy>,
    /// Where accepted messages go.
    pub sink: Arc<dyn MessageSink>,
    /// The mailboxes that IMAP shows.
    pub store: Arc<dyn MailboxStore>,
    /// Who answers DNS questions.
    pub resolver: Arc<dyn Resolver>,
    /// What hashes and proofs are computed with.
    pub crypto: Arc<dyn Crypto>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Who is told what happens, for logs and metrics.
    pub observer: Arc<dyn Observer>,
}

impl Parts {
    /// All parts in memory: no accounts, no recipients, nothing stored, an empty DNS; the clock of the system, and *ring*.
    /// Override what you need.
    pub fn in_memory() -> Self {
        Parts {
            authenticator: Arc::new(MemoryAuthenticator::new()),
            logins: Arc::new(LoginGuard::default()),
            unauthenticated: Arc::new(UnauthenticatedLimit::default()),
            policy: Arc::new(AllowList::default()),
            sink: Arc::new(MemorySink::new()),
            store: Arc::new(MemoryStore::new()),
            resolver: Arc::new(FixedZone::new()),
            crypto: Arc::new(RingCrypto),
            clock: Arc::new(SystemClock::new()),
            observer: Arc::new(Silent),
        }
    }
}
