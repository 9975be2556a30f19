//! The client's side of SMTP and LMTP.

mod capabilities;
mod config;
mod event;
mod session;
mod state;
mod transaction;

pub use capabilities::Capabilities;
pub use config::{ClientConfig, ClientLimits, ClientTimeouts, StartTls};
pub use event::{
    Answer, CloseReason, Envelope, Event, Failure, FailureCause, Lack, Phase, Recipient, RecipientOutcome,
};
pub use session::ClientSession;
