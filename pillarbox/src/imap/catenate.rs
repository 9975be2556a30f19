//! CATENATE (RFC 4469): parts of a message that lie in others.

use std::sync::Arc;

use pillarbox_imap::message::{self, SectionText, Structure};
use pillarbox_imap::server::{Answer, AppendPart};
use pillarbox_imap::types::{MailboxName, ResponseCode, UidValidity};

use super::fetch::{PIECE, read_up_to, section_needs};
use super::session::{Connection, Trouble, no_mailbox};
use crate::parts::{IncomingAppend, Mailbox, MessageReader, StoreError, StoreErrorKind};

/// A mailbox that parts are taken from, kept open while the command lasts.
pub(super) struct Source {
    name: MailboxName,
    uid_validity: UidValidity,
    mailbox: Box<dyn Mailbox>,
}

/// What became of a part.
enum Taken {
    Copied(u64),
    /// There is no such thing.
    Absent,
    TooBig,
}

impl Connection {
    /// Copies a part behind what came so far.
    pub(super) async fn append_part(&mut self, part: AppendPart) -> Result<(), Trouble> {
        let Some(mut append) = self.append.take() else { return Err(no_mailbox().into()) };
        let taken = self.take_part(&part, &mut *append).await;
        if !matches!(taken, Ok(Taken::Copied(_))) {
            // The command is over, and with it the right to look there.
            self.source = None;
        }
        match taken {
            Ok(Taken::Copied(size)) => {
                self.append = Some(append);
                self.answer(Answer::Part(size));
            }
            Ok(Taken::Absent) => self.answer(Answer::NoPart),
            Ok(Taken::TooBig) => {
                let text = "the message is too large".into();
                self.answer(Answer::No { code: Some(ResponseCode::TooBig), text });
            }
            Err(Trouble::Store(error)) if is_absent(error.kind) => self.answer(Answer::NoPart),
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    async fn take_part(&mut self, part: &AppendPart, append: &mut dyn IncomingAppend) -> Result<Taken, Trouble> {
        let mut reader = {
            let mailbox = match &part.mailbox {
                None => self.selected.as_mut().ok_or_else(no_mailbox)?,
                Some(name) => {
                    self.open_source(name).await?;
                    let source = self.source.as_mut().ok_or_else(no_mailbox)?;
                    // RFC 5092 §5: UIDs of another time are of other messages.
                    if part.uid_validity.is_some_and(|validity| validity != source.uid_validity) {
                        return Ok(Taken::Absent);
                    }
                    &mut source.mailbox
                }
            };
            self.wire.answer(mailbox.read(part.uid)).await?
        };
        let (start, count) = part.partial.unwrap_or((0, None));
        let count = count.unwrap_or(u64::MAX);
        if part.section.path.is_empty() && part.section.text == SectionText::Full {
            let size = reader.size().saturating_sub(start).min(count);
            if size > part.size_max {
                return Ok(Taken::TooBig);
            }
            self.stream_part(&mut *reader, start, size, append).await?;
            return Ok(Taken::Copied(size));
        }
        let octets = self.wire.answer(Box::pin(read_up_to(&mut *reader, section_needs(&part.section)))).await?;
        let structure = Structure::parse(&octets, &message::Limits::default());
        let Some(found) = structure.section(&octets, &part.section) else { return Ok(Taken::Absent) };
        let found = found.partial(start, count);
        let size = found.len() as u64;
        if size > part.size_max {
            return Ok(Taken::TooBig);
        }
        for chunk in found.chunks(&octets) {
            self.wire.answer(append.write(chunk)).await?;
        }
        Ok(Taken::Copied(size))
    }

    /// A whole message, straight from one mailbox to the other.
    async fn stream_part(
        &mut self,
        reader: &mut dyn MessageReader,
        start: u64,
        size: u64,
        append: &mut dyn IncomingAppend,
    ) -> Result<(), Trouble> {
        let mut buffer = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
        let mut copied = 0;
        while copied < size {
            let piece = buffer.len().min(usize::try_from(size - copied).unwrap_or(usize::MAX));
            let read = self.wire.answer(reader.read_at(start + copied, &mut buffer[..piece])).await?;
            if read == 0 {
                return Err(StoreError::new(StoreErrorKind::Unavailable, "a message is shorter than it was").into());
            }
            self.wire.answer(append.write(&buffer[..read])).await?;
            copied += read as u64;
        }
        Ok(())
    }

    /// Opens the mailbox of a part, unless the part before was in it too.
    async fn open_source(&mut self, name: &MailboxName) -> Result<(), Trouble> {
        if self.source.as_ref().is_some_and(|source| source.name == *name) {
            return Ok(());
        }
        self.source = None;
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        let mut mailbox = self.wire.answer(store.open(&user, name, true)).await?;
        let uid_validity = self.wire.answer(mailbox.snapshot()).await?.uid_validity;
        self.source = Some(Source { name: name.clone(), uid_validity, mailbox });
        Ok(())
    }
}

/// Errors that say that what a URL names is not there, or that the user may not know of it.
fn is_absent(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::NoSuchMailbox | StoreErrorKind::Expunged | StoreErrorKind::NoPermission)
}
