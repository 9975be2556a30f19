//! Mailbox stores: in memory, and Maildir (feature `maildir`).

#[cfg(feature = "maildir")]
mod acl;
mod annotations;
mod expunged;
mod feed;
mod log;
#[cfg(feature = "maildir")]
mod maildir;
mod memory;
mod names;

#[cfg(feature = "maildir")]
pub use acl::{AclChange, AclSource, AclStore};
#[cfg(feature = "maildir")]
pub use maildir::{MaildirStore, room_on_disk};
pub use memory::MemoryStore;
#[cfg(feature = "maildir")]
pub use pillarbox_maildir::WatchOptions;
