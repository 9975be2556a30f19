//! The client's side of SMTP and LMTP: a [`ClientSession`] is told what to send, and says what became of it for each recipient.

mod capabilities;
mod chunks;
mod config;
mod dsn;
mod envelope;
mod event;
mod login;
mod outcome;
mod session;
mod state;
mod terms;
mod transaction;

pub use capabilities::Capabilities;
pub use config::{ClientConfig, ClientLimits, ClientTimeouts, Login, StartTls};
pub use dsn::{DsnError, EnvelopeId, OriginalRecipient};
pub use envelope::{Envelope, Recipient, Submitter};
pub use event::{Answer, CloseReason, Event, Failure, FailureCause, Phase};
pub use outcome::{Acceptance, Lack, RecipientOutcome};
pub use session::ClientSession;

pub use pillarbox_core::sasl::{ClientPolicy, Credentials};

pub use crate::command::{ByMode, DeliverBy, FutureRelease, MtPriority};
pub use crate::server::{BodyKind, Notify, Orcpt, Protocol, Ret};
