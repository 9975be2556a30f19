//! What is sent on, on its way into the queue: one commit with the outcome of what it came from.

use std::sync::{Arc, Mutex, PoisonError};

use pillarbox_core::WallTime;
use pillarbox_core::address::Address;
use pillarbox_spool::{Envelope, Item, MessageId, Ready, StoreError};

use super::Forward;
use super::seal::Seal;
use crate::outbound::body::Content;
use crate::outbound::shared::Shared;

/// Octets that are copied at a time.
const PIECE: usize = 64 * 1024;

/// The messages that one recipient's turns into.
pub(in crate::outbound) struct Onward {
    pub(super) forward: Arc<Forward>,
    pub(super) content: Arc<Content>,
    /// The beginning of the content, with its header.
    pub(super) head: Vec<u8>,
    /// Whom it came for.
    pub(super) to: Address<'static>,
    pub(super) now: WallTime,
    /// For the others.
    pub(super) others: Option<Envelope>,
    /// For the mailbox here.
    pub(super) kept: Option<Envelope>,
    pub(super) written: Mutex<Vec<Written>>,
}

/// A message that is ready to be committed.
pub(in crate::outbound) struct Written {
    pub(in crate::outbound) ready: Ready,
    pub(in crate::outbound) item: Item,
}

impl Onward {
    /// Writes the messages, so that trouble shows before anything is committed. Blocks.
    pub(super) fn prepare(&self, shared: &Shared) -> Result<(), StoreError> {
        let written = self.write(shared)?;
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = written;
        Ok(())
    }

    /// What was written, or the same once more where a commit of it has failed. Blocks.
    pub(in crate::outbound) fn take(&self, shared: &Shared) -> Result<Vec<Written>, StoreError> {
        let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        if written.is_empty() { self.write(shared) } else { Ok(written) }
    }

    fn write(&self, shared: &Shared) -> Result<Vec<Written>, StoreError> {
        let kept = self.kept.as_ref().map(|envelope| self.write_one(shared, envelope, ""));
        let trace = format!("Delivered-To: {}\r\n", self.to);
        let others = self.others.as_ref().map(|envelope| self.write_one(shared, envelope, &trace));
        kept.into_iter().chain(others).collect()
    }

    /// `trace`: what stands in front of what goes to others, which is sealed.
    fn write_one(&self, shared: &Shared, envelope: &Envelope, trace: &str) -> Result<Written, StoreError> {
        let mut incoming = shared.store.begin(self.now);
        let id = incoming.id();
        let key = self.forward.seal.as_ref().filter(|_| !envelope.is_kept);
        let host = self.forward.results_of(&shared.config);
        // Whoever seals has to see the whole message before its first octet is written.
        if let Some(mut seal) = key.and_then(|key| Seal::begin(key, host, &self.head, self.now)) {
            seal.write(trace.as_bytes());
            self.each(id, |piece| {
                seal.write(piece);
                Ok(())
            })?;
            incoming.write(seal.finish().unwrap_or_default().as_bytes())?;
        }
        incoming.write(trace.as_bytes())?;
        self.each(id, |piece| incoming.write(piece))?;
        let item = shared.item(id, envelope);
        Ok(Written { ready: incoming.finish(envelope.clone())?, item })
    }

    /// Shows the content piece by piece.
    fn each(&self, id: MessageId, mut show: impl FnMut(&[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut at = 0;
        while at < self.content.len {
            let piece = self.content.read(at, PIECE).map_err(|_| StoreError::Damaged(id, "it cannot be read"))?;
            if piece.is_empty() {
                return Err(StoreError::Damaged(id, "it ends too soon"));
            }
            show(&piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }
}
