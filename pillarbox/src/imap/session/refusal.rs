//! How a store's no is told to a client.

use pillarbox_imap::server::Answer;
use pillarbox_imap::types::ResponseCode;

use super::Connection;
use crate::parts::{StoreError, StoreErrorKind};

impl Connection {
    /// Answers with the store's no.
    pub(super) fn refuse(&mut self, error: &StoreError, code: Option<ResponseCode>) {
        if matches!(error.kind, StoreErrorKind::NoSpace | StoreErrorKind::Unavailable) {
            self.failed("mailbox", error);
        }
        let (usual, text) = told(error.kind);
        self.answer(Answer::No { code: code.or(usual), text: text.into() });
    }
}

/// The answer to a question about the selected mailbox when there is none: the store took it away.
pub(crate) fn no_mailbox() -> StoreError {
    StoreError::new(StoreErrorKind::NoSuchMailbox, "no mailbox is selected")
}

/// RFC 9051 §6.3.12, §6.4.7: a missing target is said to be one that the client may create.
pub(super) fn try_create(error: &StoreError) -> Option<ResponseCode> {
    (error.kind == StoreErrorKind::NoSuchMailbox).then_some(ResponseCode::TryCreate)
}

/// The response code (RFC 5530) and the words for each kind of error. The private cause stays with us.
fn told(kind: StoreErrorKind) -> (Option<ResponseCode>, &'static str) {
    match kind {
        StoreErrorKind::NoSuchMailbox => (Some(ResponseCode::NonExistent), "no such mailbox"),
        StoreErrorKind::AlreadyExists => (Some(ResponseCode::AlreadyExists), "that name is taken"),
        StoreErrorKind::Cannot => (Some(ResponseCode::Cannot), "that is not possible here"),
        StoreErrorKind::Limit => (Some(ResponseCode::Limit), "a limit is reached"),
        StoreErrorKind::OverQuota => (Some(ResponseCode::OverQuota), "the quota is used up"),
        StoreErrorKind::Expunged => {
            (Some(ResponseCode::ExpungeIssued), "some of these messages were expunged meanwhile")
        }
        StoreErrorKind::HasChildren => (Some(ResponseCode::HasChildren), "there are mailboxes below it"),
        StoreErrorKind::NoPermission => (Some(ResponseCode::NoPerm), "you may not do that"),
        StoreErrorKind::NotForThatUse => (Some(ResponseCode::UseAttr), "no mailbox can be made for that use"),
        StoreErrorKind::AnnotationTooLarge(max) => {
            (Some(ResponseCode::MetadataMaxSize(max)), "the annotation is too large")
        }
        StoreErrorKind::TooManyAnnotations => (Some(ResponseCode::MetadataTooMany), "there are too many annotations"),
        StoreErrorKind::NoSpace => (Some(ResponseCode::Unavailable), "the disk is full, try again later"),
        StoreErrorKind::Unavailable => {
            (Some(ResponseCode::Unavailable), "the mailbox cannot be used now, try again later")
        }
    }
}
