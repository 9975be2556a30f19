//! Annotations of mailboxes and accounts.

use pillarbox_imap::metadata::{Entry, EntryChange, EntryName, WantedEntries};
use pillarbox_imap::types::MailboxName;
use pillarbox_maildir::{METADATA_VALUE_MAX, Metadata, MetadataError, Tree};

use super::{Inner, Result, told, uses};
use crate::parts::{Identity, StoreErrorKind};
use crate::store::annotations::{new_uses, of_uses, refuse_shared};

/// What a refusal comes to.
pub(super) fn kind(error: MetadataError) -> StoreErrorKind {
    match error {
        MetadataError::TooLarge => StoreErrorKind::AnnotationTooLarge(METADATA_VALUE_MAX as u32),
        MetadataError::TooMany => StoreErrorKind::TooManyAnnotations,
        _ => StoreErrorKind::Cannot,
    }
}

pub(super) fn told_of(
    inner: &Inner,
    tree: &Tree,
    reader: &Identity,
    mailbox: Option<&MailboxName>,
    wanted: &WantedEntries,
) -> Result<Vec<Entry>> {
    let Some(mailbox) = mailbox else { return Ok(seen_by(&tree.metadata().map_err(told)?, reader, wanted)) };
    let name = inner.names.find(tree, mailbox)?;
    let mut entries = seen_by(&tree.mailbox(&name).and_then(|folder| folder.metadata()).map_err(told)?, reader, wanted);
    if wanted.has(&EntryName::special_use()) {
        entries.extend(of_uses(&uses::special_uses(tree, &name)?));
    }
    Ok(entries)
}

pub(super) fn change(
    inner: &Inner,
    tree: &Tree,
    writer: &Identity,
    mailbox: Option<&MailboxName>,
    changes: &[EntryChange],
) -> Result<()> {
    let Some(mailbox) = mailbox else {
        refuse_shared(changes)?;
        tree.set_metadata(writer.user(), &on_disk(changes)).map_err(told)?;
        inner.watched_names.tell_annotated(writer, None, writer, changes);
        return Ok(());
    };
    let name = inner.names.find(tree, mailbox)?;
    match new_uses(changes)? {
        Some(new) => uses::set(tree, &name, &new)?,
        None => {
            let changes = on_disk(changes);
            tree.mailbox(&name).and_then(|folder| folder.set_metadata(writer.user(), &changes)).map_err(told)?;
        }
    }
    inner.watched_names.tell_annotated(writer, Some(mailbox), writer, changes);
    Ok(())
}

/// Those of the wanted ones that a user sees.
pub(super) fn seen_by(metadata: &Metadata, reader: &Identity, wanted: &WantedEntries) -> Vec<Entry> {
    let wanted = metadata.entries(reader.user()).filter(|(name, _)| wanted.has(name));
    wanted.map(|(name, value)| (name.clone(), value.to_vec())).collect()
}

/// The changes, as the files take them.
pub(super) fn on_disk(changes: &[EntryChange]) -> Vec<(EntryName, Option<&[u8]>)> {
    changes.iter().map(|(name, value)| (name.clone(), value.as_deref())).collect()
}
