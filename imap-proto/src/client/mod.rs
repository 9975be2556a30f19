//! The client's side of IMAP: a [`ClientSession`] sends commands and says what the server tells.
//!
//! | RFC | what the client does |
//! |---|---|
//! | 9051, 3501 | greeting, CAPABILITY, STARTTLS, AUTHENTICATE and LOGIN, every command, every response; pipelining as §5.5 allows |
//! | 2177 | IDLE, begun anew in time, ended for the next command |
//! | 3502, 3516, 7888 | APPEND of one message or several, of binary ones; literals that wait and that do not |
//! | 4731, 5256, 9394 | ESEARCH, SORT, THREAD and PARTIAL are read |
//! | 4978 | COMPRESS, if the configuration says so |
//! | 5267, 5465 | searches and mailboxes are watched: UPDATE with ADDTO and REMOVEFROM, NOTIFY |
//! | 5161, 7162 | ENABLE; CONDSTORE and QRESYNC, with a [`Mirror`] of a mailbox |
//! | 8437 | UNAUTHENTICATE, without compression: what was enabled is forgotten; then LOGIN, or AUTHENTICATE with its response in the line |
//! | 2342, 2971, 4314, 5464, 9208 | NAMESPACE, ID, ACL, METADATA and QUOTA are read |
//! | 5258, 5819, 8440, 9590 | LIST with options, and what stands behind each name |
//! | 9585, 9738 | INPROGRESS and MESSAGELIMIT are read |
//!
//! What it does not do: choose a server, keep messages, try again. Those are its caller's.

mod code;
mod command;
mod config;
mod data;
mod event;
mod fetch;
mod frame;
mod handshake;
mod mirror;
mod numbering;
mod options;
mod read;
mod response;
mod selecting;
mod session;
mod structure;
mod turns;
mod value;
mod words;
mod write;

pub use code::{Code, Status, StatusKind};
pub use command::{Command, Name};
pub use config::{ClientConfig, ClientLimits, ClientTimeouts};
pub use data::{ContextUpdate, ESearch, ListEntry, MailboxStatus, Namespace, Namespaces, ThreadNode};
pub use event::{Answer, CloseReason, CommandId, Event, Failure, FailureCause};
pub use fetch::{Fetch, Section};
pub use mirror::{KnownMailbox, Message, Mirror, Wanted};
pub use options::{ListReturn, NotifyEvent, NotifyFilter, SearchReturn};
pub use response::Response;
pub use session::ClientSession;
pub use structure::{BodyStructure, Disposition, Envelope, EnvelopeAddress};
pub use value::OwnedValue;
pub use words::{Capabilities, FlagList, Numbers, WireName};

pub use pillarbox_core::StartTls;
pub use pillarbox_core::sasl::{ClientPolicy, Credentials, Login};

pub use crate::server::FlagChange;
