//! The client's side of SMTP and LMTP: a [`ClientSession`] is told what to send, and says what became of it for each recipient.

mod capabilities;
mod config;
mod event;
mod session;
mod state;
mod transaction;

pub use capabilities::Capabilities;
pub use config::{ClientConfig, ClientLimits, ClientTimeouts, Login, StartTls};
pub use event::{
    Answer, CloseReason, Envelope, Event, Failure, FailureCause, Lack, Phase, Recipient, RecipientOutcome,
};
pub use session::ClientSession;

pub use pillarbox_core::sasl::{ClientPolicy, Credentials};

pub use crate::server::{BodyKind, Protocol};
