//! Messages on their way into a folder.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pillarbox_core::WallTime;
use pillarbox_imap::types::{Keyword, Uid, UidValidity};
use pillarbox_maildir::{self as maildir, Delivered, Maildir, Prepared, Purpose, Usage};

use super::email_id::guid_of;
use super::pool::Lane;
use super::quota::Room;
use super::shared::{Shared, system};
use super::{Inner, Result, told, uid, uid_validity};
use crate::parts::{Append, AppendedMessages, BoxFuture, IncomingAppend, StoreError, StoreErrorKind};

/// So much of a message is held before it is written. A message that fits costs one visit to the pool.
const BUFFER: usize = 64 * 1024;

pub(super) struct Incoming {
    inner: Arc<Inner>,
    lane: Lane,
    folder: Maildir,
    /// Where there is a quota.
    room: Option<Room>,
    append: Append,
    buffer: Vec<u8>,
    /// Messages that came before in the same command: complete, on disk, and not to be seen.
    before: Vec<Prepared>,
    /// What they need together.
    needed: Usage,
    /// The view and the message whose place it takes, and the UIDVALIDITY under which that was named.
    replaces: Option<(Arc<Shared>, Uid, u32)>,
    stage: Stage,
}

enum Stage {
    /// Nothing is on disk.
    Held,
    Writing(maildir::Incoming),
    Prepared(Prepared),
    Published(Vec<Delivered>),
    /// An operation failed or was not waited for; what it had on disk is gone.
    Broken,
}

impl Incoming {
    pub(super) fn new(inner: Arc<Inner>, lane: Lane, folder: Maildir, room: Option<Room>, append: Append) -> Self {
        let (buffer, before, needed, replaces) = (Vec::new(), Vec::new(), Usage::default(), None);
        Incoming { inner, lane, folder, room, append, buffer, before, needed, replaces, stage: Stage::Held }
    }

    pub(super) fn replacing(self, here: Arc<Shared>, uid: Uid, uid_validity: u32) -> Self {
        Incoming { replaces: Some((here, uid, uid_validity)), ..self }
    }

    /// Takes the message one stage on, on the pool.
    fn step<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Arc<Inner>, &Maildir, &Append, Stage, &[u8]) -> Result<(Stage, T)> + Send + 'static,
    ) -> BoxFuture<'_, Result<T>> {
        let stage = std::mem::replace(&mut self.stage, Stage::Broken);
        let mut buffer = std::mem::take(&mut self.buffer);
        let (inner, folder, append) = (Arc::clone(&self.inner), self.folder.clone(), self.append.clone());
        let lane = self.lane.clone();
        Box::pin(async move {
            let (stage, buffer, done) = lane
                .run(move || {
                    let (stage, done) = work(&inner, &folder, &append, stage, &buffer)?;
                    buffer.clear();
                    Ok((stage, buffer, done))
                })
                .await?;
            self.stage = stage;
            self.buffer = buffer;
            Ok(done)
        })
    }
}

fn out_of_order() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "an earlier step of this message failed")
}

/// Writes what is held to the message's file, which comes to be now if it is not there.
fn write(folder: &Maildir, stage: Stage, held: &[u8]) -> Result<maildir::Incoming> {
    let mut incoming = match stage {
        Stage::Held => folder.begin().map_err(told)?,
        Stage::Writing(incoming) => incoming,
        _ => return Err(out_of_order()),
    };
    incoming.write(held).map_err(told)?;
    Ok(incoming)
}

fn prepare(folder: &Maildir, append: &Append, stage: Stage, held: &[u8]) -> Result<Prepared> {
    if let Stage::Prepared(prepared) = stage {
        return Ok(prepared);
    }
    let incoming = write(folder, stage, held)?;
    let names: Vec<&str> = append.flags.keywords().iter().map(Keyword::as_str).collect();
    // Keywords for which no letter is left are lost: a message counts more than its marks.
    let (letters, _) = folder.keyword_flags(&names).map_err(told)?;
    let prepared = incoming.prepare(system(&append.flags) | letters, append.date.map(system_time)).map_err(told)?;
    Ok(match append.email_id.as_ref().and_then(guid_of) {
        Some(guid) => prepared.with_guid(&guid),
        None => prepared,
    })
}

/// Which room a message needs.
pub(super) fn purpose(append: &Append) -> Purpose {
    if append.delivery { Purpose::Delivery } else { Purpose::Own }
}

fn system_time(date: WallTime) -> SystemTime {
    let seconds = Duration::from_secs(date.unix_seconds().unsigned_abs());
    let time = if date.unix_seconds() < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    time.unwrap_or(UNIX_EPOCH)
}

impl IncomingAppend for Incoming {
    fn write<'a>(&'a mut self, octets: &'a [u8]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for piece in octets.chunks(BUFFER) {
                if self.buffer.len() + piece.len() > BUFFER {
                    let written = |_: &Arc<Inner>, folder: &Maildir, _: &Append, stage, held: &[u8]| {
                        Ok((Stage::Writing(write(folder, stage, held)?), ()))
                    };
                    self.step(written).await?;
                }
                self.buffer.extend_from_slice(piece);
            }
            Ok(())
        })
    }

    fn park(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let parked = |_: &Arc<Inner>, folder: &Maildir, _: &Append, stage, held: &[u8]| {
                let mut incoming = write(folder, stage, held)?;
                incoming.park().map_err(told)?;
                Ok((Stage::Writing(incoming), ()))
            };
            self.step(parked).await?;
            self.buffer = Vec::new();
            Ok(())
        })
    }

    fn prepare(&mut self) -> BoxFuture<'_, Result<()>> {
        // Here and not at its publication: then no copy of it is shown in another mailbox before this one is refused. And with those
        // that came before: a command of many messages must not fill a disk with what its account cannot keep.
        let (room, replaces, needed) = (self.room.clone(), self.replaces.clone(), self.needed);
        self.step(move |_, folder, append, stage, held| {
            let prepared = prepare(folder, append, stage, held)?;
            match (room, replaces) {
                (None, _) => {}
                (Some(room), None) => room.check(needed.plus(prepared.usage()), purpose(append))?,
                (Some(room), Some((here, uid, _))) => room.check_instead(prepared.usage(), here.usage_of(uid)?)?,
            }
            Ok((Stage::Prepared(prepared), ()))
        })
    }

    fn next(&mut self, append: Append) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if self.replaces.is_some() {
                return Err(StoreError::new(StoreErrorKind::Cannot, "one message takes the place of one"));
            }
            self.prepare().await?;
            match std::mem::replace(&mut self.stage, Stage::Held) {
                Stage::Prepared(prepared) => {
                    self.needed = self.needed.plus(prepared.usage());
                    self.before.push(prepared);
                }
                _ => return Err(out_of_order()),
            }
            self.append = append;
            Ok(())
        })
    }

    fn publish(&mut self) -> BoxFuture<'_, Result<AppendedMessages>> {
        if let Some((here, replaced, of)) = self.replaces.clone() {
            return Box::pin(async move {
                self.prepare().await?;
                self.step(move |inner, folder, _, stage, _| {
                    let Stage::Prepared(prepared) = stage else { return Err(out_of_order()) };
                    let appended = here.replace(replaced, of, prepared);
                    inner.look_again(folder.path());
                    let appended = appended?;
                    let uids = appended.uids.into_iter().map(uid).collect();
                    // It cannot be taken back: the other is gone.
                    Ok((Stage::Broken, AppendedMessages::new(Some((uid_validity(appended.uid_validity)?, uids)))))
                })
                .await
            });
        }
        let mut all = std::mem::take(&mut self.before);
        let (room, needed) = (self.room.clone(), self.needed);
        self.step(move |inner, folder, append, stage, held| {
            let was_checked = matches!(stage, Stage::Prepared(_));
            let last = prepare(folder, append, stage, held)?;
            if let Some(room) = room.filter(|_| !was_checked) {
                room.check(needed.plus(last.usage()), purpose(append))?;
            }
            all.push(last);
            let published = match append.wants_uid {
                true => {
                    let appended = folder.append(all).map_err(told)?;
                    let uids = appended.uids.into_iter().map(uid).collect();
                    let known: (UidValidity, Vec<Uid>) = (uid_validity(appended.uid_validity)?, uids);
                    (Stage::Published(appended.delivered), AppendedMessages::new(Some(known)))
                }
                false => {
                    let delivered = maildir::publish_all(all).map_err(told)?;
                    (Stage::Published(delivered), AppendedMessages::new(None))
                }
            };
            inner.look_again(folder.path());
            Ok(published)
        })
    }

    fn undo(&mut self) -> BoxFuture<'_, Result<()>> {
        self.before.clear();
        if self.replaces.is_some() && matches!(self.stage, Stage::Broken) {
            return Box::pin(std::future::ready(Err(out_of_order())));
        }
        self.step(|inner, folder, _, stage, _| {
            // What is not published goes away with the value.
            if let Stage::Published(delivered) = stage {
                for message in &delivered {
                    folder.take_back(message).map_err(told)?;
                }
                inner.look_again(folder.path());
            }
            Ok((Stage::Broken, ()))
        })
    }
}
