//! What can go wrong in the store.

use std::path::PathBuf;

use pillarbox_fs::{ErrorKind, FsError};

use crate::MessageId;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why the store could not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused an operation. Nothing was accepted; the next commit begins a new segment.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Another process uses this spool.
    #[error("the spool is in use by another process: {}", .0.display())]
    InUse(PathBuf),
    /// There is less room left than must stay free.
    #[error("there is too little room on the disk")]
    NoRoom,
    /// No message has this name, or it is finished.
    #[error("no message {0} is waiting")]
    NoSuchMessage(MessageId),
    /// The message may be one of those that are still being read after the start.
    #[error("the spool is still being read")]
    StillReading,
    /// The message has no such recipient.
    #[error("message {0} has no recipient {1}")]
    NoSuchRecipient(MessageId, u32),
    /// The envelope has no recipient.
    #[error("a message without recipients")]
    NoRecipients,
    /// The envelope or report does not fit into a record (16 MiB).
    #[error("the envelope or report is too large")]
    TooLarge,
    /// What is on the disk is not what was written. [`Store::set_aside`](crate::Store::set_aside) takes the message out of the queue.
    #[error("message {0} is damaged: {1}")]
    Damaged(MessageId, &'static str),
}

impl StoreError {
    /// True if the same request may work later without any change: mail that meets this is asked to come again (451, or 452
    /// where [`is_full`](StoreError::is_full)).
    pub fn is_temporary(&self) -> bool {
        match self {
            StoreError::Fs(_) | StoreError::InUse(_) | StoreError::NoRoom | StoreError::StillReading => true,
            StoreError::NoSuchMessage(_)
            | StoreError::NoSuchRecipient(..)
            | StoreError::NoRecipients
            | StoreError::TooLarge
            | StoreError::Damaged(..) => false,
        }
    }

    /// Whether the disk, or our share of it, is full: 452 4.3.1.
    pub fn is_full(&self) -> bool {
        match self {
            StoreError::Fs(error) => matches!(error.kind(), ErrorKind::NoSpace | ErrorKind::QuotaExceeded),
            StoreError::NoRoom => true,
            _ => false,
        }
    }
}
