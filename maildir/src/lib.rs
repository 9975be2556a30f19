#![doc = include_str!("../README.md")]

mod above;
mod acl;
mod cache;
mod change;
mod chunks;
mod deletion;
mod delivery;
mod dotlock;
mod error;
mod file_name;
#[doc = include_str!("../FILES.md")]
pub mod files {}
mod flags;
mod folder;
mod fsck;
mod journal;
mod keywords;
mod layout;
mod line_ends;
mod lines;
mod listing;
mod look;
mod mailbox;
mod mailbox_name;
pub mod mbox;
mod metadata;
mod own;
mod quota;
mod reader;
mod sidecar;
mod snapshot;
mod special_use;
mod store;
mod subscriptions;
mod tree;
mod uid_list;
mod uid_validity;
mod view;
mod watch;

pub use above::make_folders_above;
pub use acl::{ACL_ENTRIES_MAX, Acl, AclEntry, AclError, Identifier, Rights, RightsChange, Who};
pub use cache::{Piece, Pieces};
pub use change::{Copied, FlagsSet};
pub use delivery::{Appended, Delivered, Incoming, Prepared, publish_all};
pub use error::{Full, MaildirError, Result};
pub use flags::{FlagChange, Flags};
pub use folder::Maildir;
pub use fsck::{Examiner, Finding, Problem, Progress, Repair, Report, State, fsck};
pub use keywords::Keywords;
pub use layout::{DiskNames, Layout, TreeOptions};
pub use mailbox::{Access, Changes, Info, Mailbox, Message};
pub use mailbox_name::{MailboxName, NameError};
pub use metadata::{EntryName, EntryNameError, METADATA_ENTRIES_MAX, METADATA_VALUE_MAX, Metadata, MetadataError};
pub use quota::{Grace, Purpose, Quota, QuotaRules, RuleError, Usage};
pub use reader::MessageReader;
pub use store::{Clock, LineEnds, Options, Store, SystemClock};
pub use tree::{Listed, Tree};
pub use watch::{News, Watch, WatchOptions, Watcher};

/// The file system that a [`Store`] works on outside of tests.
pub use pillarbox_fs::RealFs;

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
    send_and_sync::<Watcher>();
    send_and_sync::<Watch>();
    send::<MessageReader>();
    send::<Incoming>();
    send::<Prepared>();
};
