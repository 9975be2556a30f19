//! Messages on their way into a mailbox, and who brings them.

use std::sync::Arc;

use pillarbox_imap::acl::{Rights, right_to_change};
use pillarbox_imap::types::Flags;

use super::places::Place;
use super::{AclSource, Inner, Result};
use crate::parts::{Append, AppendedMessages, BoxFuture, Identity, IncomingAppend};

/// The flags that somebody with these rights may change.
pub(super) fn allowed_flags(flags: &Flags, rights: Rights) -> Flags {
    flags.iter().filter(|flag| rights.contains(right_to_change(flag))).collect()
}

/// What it takes to set them.
fn to_set(flags: &Flags) -> Rights {
    flags.iter().fold(Rights::NONE, |all, flag| all | right_to_change(&flag))
}

/// RFC 6851 §4, RFC 8508 §3.5: what FETCH, STORE and EXPUNGE take of a message that goes elsewhere or gives way to another.
pub(super) fn to_take_away() -> Rights {
    Rights::READ | Rights::DELETE_MESSAGES | Rights::EXPUNGE
}

/// Who brings messages, and where.
pub(super) struct Admission<S> {
    pub(super) store: Arc<Inner<S>>,
    pub(super) user: Identity,
    pub(super) target: Place,
    /// What it takes to put them there, with the flags that they have.
    pub(super) needed: Rights,
    /// Where those are that they come from or take the place of, if these go away.
    pub(super) source: Option<Place>,
    /// What the user could do when it began.
    pub(super) rights: Rights,
}

impl<S: AclSource + 'static> Admission<S> {
    /// Leaves a message the flags that it may have (RFC 4314 §4).
    pub(super) fn admit(&mut self, append: &mut Append) {
        append.flags = allowed_flags(&append.flags, self.rights);
        self.needed = self.needed | to_set(&append.flags);
    }

    /// Begins a message there.
    pub(super) async fn begin(mut self, mut append: Append) -> Result<Box<dyn IncomingAppend>> {
        self.admit(&mut append);
        let incoming = self.store.source.append(&self.target.account, &self.target.mailbox, append).await?;
        Ok(self.of(incoming))
    }

    /// Messages that have begun.
    pub(super) fn of(self, incoming: Box<dyn IncomingAppend>) -> Box<dyn IncomingAppend> {
        Box::new(Incoming { incoming, admission: self })
    }
}

/// Messages on their way. Their octets may take hours to come: whether they are let in as they are is looked at again when they have
/// come.
struct Incoming<S> {
    incoming: Box<dyn IncomingAppend>,
    admission: Admission<S>,
}

impl<S: AclSource + 'static> IncomingAppend for Incoming<S> {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        self.incoming.write(octets)
    }

    fn park(&mut self) -> BoxFuture<'_, Result<()>> {
        self.incoming.park()
    }

    fn next(&mut self, mut append: Append) -> BoxFuture<'_, Result<()>> {
        self.admission.admit(&mut append);
        self.incoming.next(append)
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<()>> {
        self.incoming.prepare()
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages>> {
        Box::pin(async move {
            let Admission { store, user, target, needed, source, .. } = &self.admission;
            if let Some(source) = source {
                store.check_inside(user, source, to_take_away()).await?;
            }
            let rights = store.check_inside(user, target, *needed).await?;
            let mut appended = self.incoming.publish().await?;
            // RFC 4315 §3: who cannot open a mailbox learns nothing of what is in it.
            appended.uids = appended.uids.filter(|_| rights.contains(Rights::READ));
            Ok(appended)
        })
    }

    fn undo(&mut self) -> BoxFuture<'_, Result<()>> {
        self.incoming.undo()
    }
}
