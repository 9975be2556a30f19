//! The server's side of SMTP, submission and LMTP.

mod answers;
mod body;
mod chunks;
mod commands;
mod config;
mod deadlines;
mod event;
mod lines;
mod login;
mod offers;
mod output;
mod replies;
mod replying;
mod session;
mod state;

pub use config::{Limits, Protocol, ServerConfig};
pub use event::{
    Answer, BodyKind, CloseReason, Event, Hello, HelloVerb, Identity, Mail, Notify, Orcpt, Peer, Rcpt, Ret, Why,
};
pub use session::ServerSession;
