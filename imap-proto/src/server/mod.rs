//! The server's side of an IMAP connection.

mod config;
mod event;

pub use config::{Limits, ServerConfig};
pub use event::{
    Answer, Change, CloseReason, Event, FetchData, FetchItem, FlagChange, List, Listed, Peer, SectionName, Snapshot,
    Status, StatusItem,
};
