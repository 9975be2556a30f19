//! CATENATE (RFC 4469): parts of a message that lie in others.

use std::sync::Arc;

use pillarbox_imap::message::{self, SectionText, Structure};
use pillarbox_imap::server::{Answer, AppendPart};
use pillarbox_imap::types::{MailboxName, ResponseCode, Uid, UidValidity};

use super::fetch::{Needs, PIECE, read_up_to, section_needs};
use super::search::off_the_workers;
use super::searches::Searches;
use super::session::{Connection, Trouble, no_mailbox};
use crate::parts::{IncomingAppend, Mailbox, MessageReader, StoreError, StoreErrorKind};

/// Where the parts of a message come from, kept while the command lasts.
#[derive(Default)]
pub(super) struct Sources {
    opened: Option<Opened>,
    message: Option<Arc<Message>>,
    /// How many messages were read.
    read: usize,
}

/// The mailbox that the last part came from.
struct Opened {
    name: MailboxName,
    uid_validity: UidValidity,
    mailbox: Box<dyn Mailbox>,
}

/// The message that the last part came from: many parts of one large message cost no more than one.
struct Message {
    mailbox: Option<MailboxName>,
    uid: Uid,
    /// How much of it is here.
    needs: Needs,
    octets: Vec<u8>,
    structure: Structure,
}

impl Sources {
    /// Lets go of what takes memory, which nobody may hold by sending no more.
    pub(super) fn shrink(&mut self) {
        self.message = None;
    }

    /// The message of a part, if it is here as far as it is needed.
    fn message_of(&self, part: &AppendPart, needs: Needs) -> Option<Arc<Message>> {
        let is_it = |message: &&Arc<Message>| {
            message.mailbox == part.mailbox && message.uid == part.uid && message.needs >= needs
        };
        self.message.as_ref().filter(is_it).cloned()
    }
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
            self.sources = Sources::default();
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
                    let source = self.sources.opened.as_mut().ok_or_else(no_mailbox)?;
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
        let needs = section_needs(&part.section);
        let held = self.sources.message_of(part, needs);
        // What is made of one message is stored also for a client that has said its last word.
        if held.is_none() && self.sources.read > 0 {
            self.still_wanted(0, None).await?;
        }
        let lane = Searches::lane(&self.shared.searches, self.user()?);
        let turn = self.wire.answer(Box::pin(lane.turn())).await;
        let octets = match &held {
            Some(_) => Vec::new(),
            None => {
                self.sources.shrink();
                self.sources.read += 1;
                self.wire.answer(Box::pin(read_up_to(&mut *reader, needs))).await?
            }
        };
        let (mailbox, uid, section) = (part.mailbox.clone(), part.uid, part.section.clone());
        let looked = off_the_workers(move || {
            let _turn = turn;
            let message = held.unwrap_or_else(|| {
                let structure = Structure::parse(&octets, &message::Limits::default());
                Arc::new(Message { mailbox, uid, needs, octets, structure })
            });
            let found = message.structure.section(&message.octets, &section);
            (message, found)
        });
        let (message, found) = self.wire.answer(Box::pin(looked)).await?;
        self.sources.message = Some(Arc::clone(&message));
        let Some(found) = found.map(|found| found.partial(start, count)) else { return Ok(Taken::Absent) };
        let size = found.len() as u64;
        if size > part.size_max {
            return Ok(Taken::TooBig);
        }
        for chunk in found.chunks(&message.octets) {
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
        if self.sources.opened.as_ref().is_some_and(|opened| opened.name == *name) {
            return Ok(());
        }
        self.sources.opened = None;
        self.sources.shrink();
        let (user, store) = (self.user()?, Arc::clone(&self.shared.parts.store));
        let mut mailbox = self.wire.answer(store.open(&user, name, true)).await?;
        let uid_validity = self.wire.answer(mailbox.snapshot()).await?.uid_validity;
        self.sources.opened = Some(Opened { name: name.clone(), uid_validity, mailbox });
        Ok(())
    }
}

/// Errors that say that what a URL names is not there, or that the user may not know of it.
fn is_absent(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::NoSuchMailbox | StoreErrorKind::Expunged | StoreErrorKind::NoPermission)
}
