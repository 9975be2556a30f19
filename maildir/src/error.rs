//! What can go wrong in the store.

use std::path::PathBuf;

use pillarbox_fs::{ErrorKind, FsError};

use crate::NameError;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, MaildirError>;

/// Why the store could not do what it was asked to.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaildirError {
    /// The file system refused an operation.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Another program has held the lock on the UID list for longer than the configured patience.
    #[error("locked by another program: {}", .0.display())]
    Locked(PathBuf),
    /// Our own lock on the UID list was taken away while we held it: this process stood still for minutes.
    #[error("the lock was lost: {}", .0.display())]
    LockLost(PathBuf),
    /// There is no such mailbox.
    #[error("no such mailbox: {0}")]
    NoSuchMailbox(String),
    /// There is a mailbox of that name already.
    #[error("the mailbox exists: {0}")]
    MailboxExists(String),
    /// A mailbox cannot be renamed to a name below its own.
    #[error("a mailbox cannot be put below itself: {0}")]
    BelowItself(String),
    /// INBOX can be renamed (its messages move), but not deleted.
    #[error("INBOX cannot be deleted")]
    Inbox,
    /// The name is not one that a mailbox may have.
    #[error("mailbox name refused: {0}")]
    Name(#[from] NameError),
    /// No message has this UID, or not any more.
    #[error("no message with UID {0}")]
    NoSuchMessage(crate::Uid),
    /// The account has as many mailboxes as it may have.
    #[error("there are too many mailboxes")]
    TooManyMailboxes,
    /// The file system takes names that differ in case alone for one, so that two mailboxes would share a directory.
    #[error("the file system does not tell the case of names apart: {}", .0.display())]
    CaseFolded(PathBuf),
    /// There are no mod-sequences to compare: on a disk that cannot be written on, and while the journal cannot be.
    #[error("the mailbox has no mod-sequences")]
    NoModSeqs,
    /// A file that is written whole is not what was written: what it held is not known. The next change sets it aside.
    #[error("damaged: {}", .0.display())]
    Damaged(PathBuf),
    /// An annotation does not fit.
    #[error(transparent)]
    Metadata(#[from] crate::MetadataError),
    /// A change of rights that cannot be.
    #[error(transparent)]
    Acl(#[from] crate::AclError),
    /// The account has no room for this, by its [quota](crate::Quota).
    #[error("the quota is used up")]
    OverQuota,
    /// All UIDs, or all UIDVALIDITY values, have been used.
    #[error("no number is left")]
    NumbersExhausted,
}

/// What is full when a message finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The device: everybody's problem (RFC 3463 X.3.1).
    Disk,
    /// The user's share of it (RFC 3463 X.2.2).
    Quota,
}

impl MaildirError {
    /// True if the same request may work later without any change: mail that meets this is asked to come again.
    pub fn is_temporary(&self) -> bool {
        match self {
            MaildirError::Fs(error) => error.is_temporary(),
            // Whoever runs the server can move the mail elsewhere, and no mail is lost until then.
            MaildirError::Locked(_) | MaildirError::LockLost(_) | MaildirError::CaseFolded(_) => true,
            // The user may make room, and somebody may mend the file.
            MaildirError::OverQuota | MaildirError::Damaged(_) => true,
            MaildirError::NoSuchMailbox(_)
            | MaildirError::MailboxExists(_)
            | MaildirError::Inbox
            | MaildirError::BelowItself(_)
            | MaildirError::Name(_)
            | MaildirError::NoSuchMessage(_)
            | MaildirError::TooManyMailboxes
            | MaildirError::NoModSeqs
            | MaildirError::Metadata(_)
            | MaildirError::Acl(_)
            | MaildirError::NumbersExhausted => false,
        }
    }

    /// What is full, if that is the reason: a full disk is answered 452 4.3.1, a full mailbox 452 4.2.2 or 552 5.2.2.
    pub fn full(&self) -> Option<Full> {
        match self {
            MaildirError::Fs(error) if error.kind() == ErrorKind::NoSpace => Some(Full::Disk),
            MaildirError::Fs(error) if error.kind() == ErrorKind::QuotaExceeded => Some(Full::Quota),
            MaildirError::OverQuota => Some(Full::Quota),
            _ => None,
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, MaildirError::Fs(error) if error.kind() == ErrorKind::NotFound)
    }
}

/// Whether a file operation failed because the name is not there.
pub(crate) trait NotFound<T> {
    /// `None` in place of that error.
    fn if_found(self) -> Result<Option<T>>;
}

impl<T> NotFound<T> for pillarbox_fs::Result<T> {
    fn if_found(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
