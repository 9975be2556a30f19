//! Who may see and change annotations.

use pillarbox_imap::acl::Rights;
use pillarbox_imap::metadata::{Entry, EntryChange, EntryName, WantedEntries};
use pillarbox_imap::types::MailboxName;

use super::places::Place;
use super::{AclSource, Inner, Result, permit};
use crate::parts::{Identity, StoreError, StoreErrorKind};

impl<S: AclSource + 'static> Inner<S> {
    pub(super) async fn annotations(
        &self,
        user: &Identity,
        mailbox: Option<&MailboxName>,
        wanted: &WantedEntries,
    ) -> Result<Vec<Entry>> {
        let Some(mailbox) = mailbox else { return self.source.metadata(user, None, wanted).await };
        let Place { account, mailbox } = self.annotated(user, mailbox).await?;
        match account == *user {
            true => self.source.metadata(user, Some(&mailbox), wanted).await,
            false => self.source.annotations_of(&account, &mailbox, user, wanted).await,
        }
    }

    pub(super) async fn annotate(
        &self,
        user: &Identity,
        mailbox: Option<&MailboxName>,
        changes: &[EntryChange],
    ) -> Result<()> {
        let Some(mailbox) = mailbox else { return self.source.set_metadata(user, None, changes).await };
        let Place { account, mailbox } = self.annotated(user, mailbox).await?;
        if account == *user {
            return self.source.set_metadata(user, Some(&mailbox), changes).await;
        }
        if changes.iter().any(|(name, _)| *name == EntryName::special_use()) {
            // As with CREATE: what the owner's mailboxes are for is for the owner to say.
            return Err(StoreError::new(StoreErrorKind::NotForThatUse, "another's account has its own uses"));
        }
        self.source.annotate_for(&account, &mailbox, user, changes).await
    }

    /// Whether a user may hear that annotations of a mailbox changed.
    pub(super) async fn hears_of_annotations(&self, user: &Identity, mailbox: &MailboxName) -> Result<bool> {
        let place = self.places.find(user, mailbox)?;
        let rights = match self.rights_inside(user, &place).await {
            Err(error) if !is_absence(&error) => {
                // A moment's trouble must not hide the change for good. That which lasts hides it, as it hides the mailbox.
                let lists = self.source.lists_of(&place.account).await?;
                let list = lists.into_iter().find(|(name, _)| *name == place.mailbox);
                Ok(list.map_or(Rights::NONE, |(_, acl)| self.rights_by(&acl, user, &place)))
            }
            rights => rights,
        };
        match rights.and_then(permit_annotations) {
            Ok(()) => Ok(true),
            Err(error) if is_absence(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// RFC 5464 §3.3: the right `l` and any one of `r`, `s`, `w`, `i` and `p`, whatever is done.
    async fn annotated(&self, user: &Identity, mailbox: &MailboxName) -> Result<Place> {
        let place = self.places.find(user, mailbox)?;
        permit_annotations(self.rights_in(user, &place).await?)?;
        Ok(place)
    }
}

fn is_absence(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::NoSuchMailbox | StoreErrorKind::NoPermission)
}

fn permit_annotations(rights: Rights) -> Result<()> {
    permit(rights, Rights::LOOKUP)?;
    let any = Rights::READ | Rights::SEEN | Rights::WRITE | Rights::INSERT | Rights::POST;
    match rights.has_any(any) {
        true => Ok(()),
        false => permit(rights, any),
    }
}
