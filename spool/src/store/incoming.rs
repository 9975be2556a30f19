//! A message that is being received.

use std::path::PathBuf;
use std::sync::Arc;

use pillarbox_fs::File;

use super::budget::Reservation;
use super::log::{Effect, Prepared};
use super::read::{Body, Message};
use super::segment::FIELDS_MAX;
use super::{Commit, Store};
use crate::error::{Result, StoreError};
use crate::format::record::{LargeBody, MessageFields, encode_message, states_len};
use crate::state::RecipientState;
use crate::{Change, Envelope, MessageId};

/// A message that is being received: its content comes in pieces, and nothing is promised yet.
///
/// Dropped before it is committed, it leaves nothing behind.
#[derive(Debug)]
pub struct Incoming {
    store: Store,
    id: MessageId,
    hasher: crc32fast::Hasher,
    memory: Vec<u8>,
    reservation: Reservation,
    file: Option<BodyFile>,
}

/// A body that became too large for the log.
#[derive(Debug)]
struct BodyFile {
    file: File,
    length: u64,
    name: BodyName,
}

/// The file's name, which goes when nobody committed it.
#[derive(Debug)]
struct BodyName {
    store: Store,
    path: PathBuf,
    is_kept: bool,
}

/// A message whose content is complete and, if it is large, on stable storage. [`Change::Accept`] takes it.
#[derive(Debug)]
pub struct Ready {
    pub(super) prepared: Prepared,
    name: Option<BodyName>,
}

impl Incoming {
    pub(super) fn new(store: Store, id: MessageId) -> Self {
        let reservation = Reservation::new(&store.0.budget);
        let hasher = crc32fast::Hasher::new();
        Incoming { store, id, hasher, memory: Vec::new(), reservation, file: None }
    }

    /// The name that the message will have.
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// [`write`](Incoming::write), if that needs no file: false, and nothing is added, if it would. Never waits for the disk.
    pub fn write_in_memory(&mut self, octets: &[u8]) -> bool {
        let len = self.memory.len().saturating_add(octets.len());
        if self.file.is_some() || len > self.store.0.options.inline_max || !self.reservation.grow(octets.len()) {
            return false;
        }
        self.hasher.update(octets);
        self.memory.extend_from_slice(octets);
        true
    }

    /// Whether the content has no file. Then [`finish`](Incoming::finish) does not wait for the disk.
    pub const fn is_in_memory(&self) -> bool {
        self.file.is_none()
    }

    /// Adds to the content: header, empty line, body, as they are to be sent. Held in memory up to
    /// [`Options::inline_max`](crate::Options::inline_max) octets, in a file beyond that.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fs`]; the message can then only be dropped.
    pub fn write(&mut self, octets: &[u8]) -> Result<()> {
        if self.write_in_memory(octets) {
            return Ok(());
        }
        self.hasher.update(octets);
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.store.new_body(self.id)?),
        };
        if !self.memory.is_empty() {
            file.write(&self.memory)?;
            self.memory = Vec::new();
            self.reservation.release();
        }
        file.write(octets)
    }

    /// Ends the content, and makes it durable where it has a file: then it blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoRecipients`], [`StoreError::TooLarge`] for an envelope beyond 16 MiB, [`StoreError::Fs`].
    pub fn finish(self, envelope: Envelope) -> Result<Ready> {
        if envelope.recipients.is_empty() {
            return Err(StoreError::NoRecipients);
        }
        let check = self.hasher.finalize();
        let (large, name) = match self.file {
            Some(mut body) => {
                body.file.sync()?;
                body.file.close()?;
                self.store.0.bodies_sync.sync_dir(&self.store.0.paths.bodies)?;
                (Some(LargeBody { length: body.length, check }), Some(body.name))
            }
            None => (None, None),
        };
        let fields = encode_message(self.id, &envelope, large);
        // What becomes of its recipients has to fit beside it when it is carried forward.
        if fields.len().saturating_add(states_len(envelope.recipients.len())) > FIELDS_MAX as usize {
            return Err(StoreError::TooLarge);
        }
        let states = vec![RecipientState::default(); envelope.recipients.len()];
        let (held, reports, last_report) = (false, 0, 0);
        let message = MessageFields { id: self.id, envelope, large, held, states, reports, last_report };
        let prepared = Prepared {
            id: self.id,
            fields,
            body_check: if large.is_some() { crc32fast::hash(&[]) } else { check },
            body: Arc::new(self.memory),
            effect: Effect::Accept(Box::new(message)),
            _reservation: self.reservation,
        };
        Ok(Ready { prepared, name })
    }

    /// [`finish`](Incoming::finish), and a commit of this message alone.
    ///
    /// # Errors
    ///
    /// As `finish`.
    pub fn commit(self, envelope: Envelope) -> Result<Commit> {
        let store = self.store.clone();
        let ready = self.finish(envelope)?;
        store.commit(vec![Change::Accept(ready)])
    }
}

impl BodyFile {
    fn write(&mut self, octets: &[u8]) -> Result<()> {
        self.file.write(octets)?;
        self.length += octets.len() as u64;
        Ok(())
    }
}

impl Store {
    fn new_body(&self, id: MessageId) -> Result<BodyFile> {
        let path = self.0.paths.body(id);
        let file = self.0.fs.create(&path)?;
        Ok(BodyFile { file, length: 0, name: BodyName { store: self.clone(), path, is_kept: false } })
    }
}

impl Ready {
    /// The name that the message will have.
    pub const fn id(&self) -> MessageId {
        self.prepared.id
    }

    /// The message and its content as [`Store::message`] and [`Store::body`] will give them once it is committed and before anything
    /// becomes of it, for who needs them at once; `None` if the content has a file.
    pub fn in_memory(&self) -> Option<(Message, Body)> {
        let Effect::Accept(fields) = &self.prepared.effect else { return None };
        if fields.large.is_some() {
            return None;
        }
        let body = Body::of_memory(Arc::clone(&self.prepared.body));
        let (envelope, recipients) = (fields.envelope.clone(), fields.states.clone());
        let (held, is_owed) = (fields.held, fields.is_owed());
        let message = Message { id: self.prepared.id, envelope, recipients, held, is_owed, size: body.len() };
        Some((message, body))
    }

    /// From now on a record may name the body. Should its sync fail, the record may be there or not: the file stays until it is
    /// known to be nobody's.
    pub(super) fn into_prepared(mut self) -> Prepared {
        if let Some(name) = &mut self.name {
            name.is_kept = true;
        }
        self.prepared
    }
}

impl Drop for BodyName {
    fn drop(&mut self) {
        if !self.is_kept {
            // One that cannot be removed now is found by the next sweep.
            let _ = self.store.0.fs.unlink(&self.path);
        }
    }
}
