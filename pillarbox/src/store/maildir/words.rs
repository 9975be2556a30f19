//! What a folder says, in the words of stores and of IMAP.

use pillarbox_imap::types::{ObjectId, Uid, UidValidity};
use pillarbox_maildir::{self as maildir, Full, Maildir, MaildirError};

use super::{Result, metadata};
use crate::parts::{StoreError, StoreErrorKind};

/// Which kind of trouble it is; the text is for our own logs.
pub(super) fn told(error: MaildirError) -> StoreError {
    let kind = match &error {
        MaildirError::NoSuchMailbox(_) => StoreErrorKind::NoSuchMailbox,
        MaildirError::MailboxExists(_) => StoreErrorKind::AlreadyExists,
        MaildirError::Name(maildir::NameError::TooLong)
        | MaildirError::NumbersExhausted
        | MaildirError::TooManyMailboxes
        | MaildirError::Acl(maildir::AclError::TooMany) => StoreErrorKind::Limit,
        MaildirError::Metadata(error) => metadata::kind(*error),
        MaildirError::NoModSeqs => StoreErrorKind::Cannot,
        MaildirError::Name(_) | MaildirError::Inbox | MaildirError::BelowItself(_) | MaildirError::Acl(_) => {
            StoreErrorKind::Cannot
        }
        MaildirError::NoSuchMessage(_) => StoreErrorKind::Expunged,
        _ => match error.full() {
            Some(Full::Quota) => StoreErrorKind::OverQuota,
            Some(Full::Disk) => StoreErrorKind::NoSpace,
            None => StoreErrorKind::Unavailable,
        },
    };
    StoreError::new(kind, error.to_string())
}

pub(super) fn uid_validity(number: u32) -> Result<UidValidity> {
    UidValidity::new(number).ok_or_else(|| StoreError::new(StoreErrorKind::Unavailable, "a UIDVALIDITY of 0"))
}

/// The UID of the next message; the last of all numbers once they are used up.
pub(super) fn uid_next(number: u32) -> Uid {
    Uid::new(number).unwrap_or_else(|| Uid::new(u32::MAX).expect("it is not 0"))
}

pub(super) fn uid(number: maildir::Uid) -> Uid {
    Uid::new(number.get()).expect("it is not 0")
}

pub(super) fn number(uid: Uid) -> maildir::Uid {
    maildir::Uid::new(uid.get()).expect("a UID is not 0")
}

/// A mailbox's identifier. On a disk that cannot be written on there may be none.
pub(super) fn mailbox_id(folder: &Maildir) -> Option<ObjectId> {
    ObjectId::new(&folder.guid().ok()?)
}
