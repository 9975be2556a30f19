#![doc = include_str!("../README.md")]

mod change;
mod chunks;
mod delivery;
mod dotlock;
mod error;
mod file_name;
mod flags;
mod folder;
mod keywords;
mod line_ends;
mod lines;
mod listing;
mod look;
mod mailbox;
mod mailbox_name;
mod reader;
mod snapshot;
mod special_use;
mod store;
mod subscriptions;
mod tree;
mod uid_list;
mod uid_validity;
mod view;

pub use change::Copied;
pub use delivery::{Appended, Delivered, Incoming, Prepared, publish_all};
pub use error::{Full, MaildirError, Result};
pub use flags::{FlagChange, Flags};
pub use folder::Maildir;
pub use keywords::Keywords;
pub use mailbox::{Access, Changes, Info, Mailbox, Message};
pub use mailbox_name::{MailboxName, NameError};
pub use reader::MessageReader;
pub use store::{Clock, LineEnds, Options, Store, SystemClock};
pub use tree::{Listed, Tree};

/// A message's unique identifier (RFC 9051 §2.3.1.1): 1 to 4,294,967,295.
pub type Uid = std::num::NonZeroU32;

// Handles go from thread to thread; what only reads an open file need not be shared.
const _: () = {
    const fn send<T: Send>() {}
    const fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Store>();
    send_and_sync::<Maildir>();
    send_and_sync::<Tree>();
    send_and_sync::<Mailbox>();
    send::<MessageReader>();
    send::<Incoming>();
    send::<Prepared>();
};
