//! The client's side of SMTP and LMTP: a [`ClientSession`] is told what to send, and says what became of it for each recipient.

mod capabilities;
mod config;
mod envelope;
mod event;
mod login;
mod outcome;
mod session;
mod state;
mod transaction;

pub use capabilities::Capabilities;
pub use config::{ClientConfig, ClientLimits, ClientTimeouts, Login, StartTls};
pub use envelope::{Envelope, Recipient};
pub use event::{Answer, CloseReason, Event, Failure, FailureCause, Phase};
pub use outcome::{Lack, RecipientOutcome};
pub use session::ClientSession;

pub use pillarbox_core::sasl::{ClientPolicy, Credentials};

pub use crate::server::{BodyKind, Protocol};
