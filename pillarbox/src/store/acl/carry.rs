//! Messages from one account to another, or to where not every flag may be set: read here and written there.

use pillarbox_imap::types::{Uid, UidSet};

use super::incoming::Admission;
use super::{AclSource, Result};
use crate::parts::{Append, IncomingAppend, Mailbox, Progress, StoreError, StoreErrorKind};

/// So much of a message is in memory at a time.
const PIECE: usize = 64 * 1024;

/// Reads those of these messages that are there: which, and all of them on their way.
pub(super) async fn carry<S: AclSource + 'static>(
    from: &mut dyn Mailbox,
    uids: &UidSet,
    admission: Admission<S>,
    progress: &Progress,
) -> Result<(Vec<Uid>, Box<dyn IncomingAppend>)> {
    let messages = from.messages(uids).await?;
    let mut admission = Some(admission);
    let mut incoming: Option<Box<dyn IncomingAppend>> = None;
    let mut piece = vec![0; PIECE];
    for message in &messages {
        let mut reader = from.read(message.uid).await?;
        let append = Append {
            flags: message.flags.clone(),
            date: Some(message.internal_date),
            size: Some(reader.size()),
            delivery: false,
            wants_uid: true,
            email_id: message.email_id.clone(),
        };
        let target = match (&mut incoming, admission.take()) {
            (Some(incoming), _) => {
                incoming.next(append).await?;
                incoming
            }
            (none, Some(admission)) => none.insert(admission.begin(append).await?),
            (None, None) => unreachable!("the first message takes the admission"),
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
        progress.add(1);
    }
    let expunged = || StoreError::new(StoreErrorKind::Expunged, "none of these messages is there");
    Ok((messages.iter().map(|message| message.uid).collect(), incoming.ok_or_else(expunged)?))
}
