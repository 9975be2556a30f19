//! The server's side of an IMAP connection.

mod answer;
mod append;
mod auth;
mod config;
mod event;
mod fetch;
mod idle;
mod mailbox;
mod messages;
mod read;
mod reply;
mod search;
mod session;
mod timer;

pub use config::{Limits, ServerConfig};
pub use event::{
    Answer, Change, CloseReason, Event, FetchData, FetchItem, FlagChange, List, Listed, Peer, SectionName, Snapshot,
    Status, StatusItem,
};
pub use session::ServerSession;
