//! Mailbox stores: in memory, and Maildir (feature `maildir`).

mod expunged;
mod feed;
#[cfg(feature = "maildir")]
mod maildir;
mod memory;

#[cfg(feature = "maildir")]
pub use maildir::{MaildirStore, room_on_disk};
pub use memory::MemoryStore;
#[cfg(feature = "maildir")]
pub use pillarbox_maildir::WatchOptions;
