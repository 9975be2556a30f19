//! The server's side of an IMAP connection.

mod acl;
mod answer;
mod append;
mod auth;
mod catenate;
mod config;
mod context;
mod event;
mod extensions;
mod facts;
mod fetch;
mod flags_in_use;
mod idle;
mod item;
mod layer;
mod list;
mod mailbox;
mod messages;
mod metadata;
mod multisearch;
mod notify;
mod quota;
mod read;
mod recheck;
mod reply;
mod search;
mod session;
mod sort;
mod sync;
mod timer;

pub use config::{Limits, ServerConfig};
pub use event::{Answer, AppendPart, AppendStart, Event, FlagChange, StatusItem};
pub use extensions::Extensions;
pub use facts::{Change, CloseReason, Listed, Peer, Snapshot, Status};
pub use item::{FetchData, FetchItem, SectionName};
pub use session::ServerSession;
