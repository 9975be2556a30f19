//! A folder that somebody watches without having it open.

use std::sync::Arc;

use super::news::Waiting;
use super::shared::Shared;
use super::{Inner, Result};
use crate::parts::{BoxFuture, MailboxWatch, Stirred};
use crate::store::feed::Watcher;

/// The folder is looked at as for sessions in IDLE: when we change it, and when the system or a look now and then says that others
/// did.
pub(super) struct Watched {
    watcher: Watcher,
    /// Held for all that the folder is looked at because of it.
    waiting: Waiting,
}

impl Watched {
    pub(super) fn begin(inner: &Arc<Inner>, shared: Arc<Shared>) -> Result<Self> {
        // In this order: a mailbox that goes in between tells the watcher, or is found gone.
        let watcher = shared.watcher();
        shared.while_there()?;
        Ok(Watched { watcher, waiting: Waiting::begin(inner, &shared)? })
    }
}

impl MailboxWatch for Watched {
    fn stirred(&mut self) -> BoxFuture<'_, Result<Stirred>> {
        Box::pin(async {
            tokio::select! {
                // What is known is told first.
                biased;
                stirred = self.watcher.stirred() => stirred,
                trouble = self.waiting.trouble() => Err(trouble),
            }
        })
    }
}
