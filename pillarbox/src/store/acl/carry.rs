//! Messages from one account to another, or to where not every flag may be set: read here and written there.

use pillarbox_imap::acl::Rights;
use pillarbox_imap::types::UidSet;

use super::Result;
use super::open::allowed_flags;
use super::places::Place;
use crate::parts::{Append, Copied, IncomingAppend, Mailbox, MailboxStore, StoreError, StoreErrorKind};

/// So much of a message is in memory at a time.
const PIECE: usize = 64 * 1024;

/// Copies those of these messages that are there, all or none.
pub(super) async fn carry(
    from: &mut dyn Mailbox,
    uids: &UidSet,
    store: &dyn MailboxStore,
    to: &Place,
    rights: Rights,
) -> Result<Copied> {
    let messages = from.messages(uids).await?;
    let mut incoming: Option<Box<dyn IncomingAppend>> = None;
    let mut piece = vec![0; PIECE];
    for message in &messages {
        let mut reader = from.read(message.uid).await?;
        let append = Append {
            flags: allowed_flags(&message.flags, rights),
            date: Some(message.internal_date),
            size: Some(reader.size()),
            delivery: false,
            wants_uid: true,
        };
        let target = match &mut incoming {
            Some(incoming) => {
                incoming.next(append).await?;
                incoming
            }
            None => incoming.insert(store.append(&to.account, &to.mailbox, append).await?),
        };
        let mut offset = 0;
        loop {
            match reader.read_at(offset, &mut piece).await? {
                0 => break,
                count => {
                    target.write(&piece[..count]).await?;
                    offset += count as u64;
                }
            }
        }
    }
    let expunged = || StoreError::new(StoreErrorKind::Expunged, "none of these messages is there");
    let appended = incoming.ok_or_else(expunged)?.publish().await?;
    let unknown = || StoreError::new(StoreErrorKind::Unavailable, "the store did not tell the UIDs that it gave");
    let (uid_validity, there) = appended.uids.ok_or_else(unknown)?;
    Ok((uid_validity, messages.iter().map(|message| message.uid).zip(there).collect()))
}
